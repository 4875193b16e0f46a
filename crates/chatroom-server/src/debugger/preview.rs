//! Values cut to what fits a row: however big the value, only what is shown is written.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The JSON text of a value, or its beginning if it has more than `bytes_max` bytes.
pub(crate) enum Preview {
    Whole(String),
    Cut(String),
}

impl Preview {
    pub(crate) fn of(value: &impl Serialize, bytes_max: usize) -> Self {
        let mut writer = Limited { bytes: Vec::with_capacity(bytes_max.min(256)), bytes_max };
        let whole = serde_json::to_writer(&mut writer, value).is_ok();
        let text = match String::from_utf8(writer.bytes) {
            Ok(text) => text,
            // Cut within a character.
            Err(error) => {
                let end = error.utf8_error().valid_up_to();
                String::from_utf8_lossy(&error.as_bytes()[..end]).into_owned()
            }
        };
        if whole { Self::Whole(text) } else { Self::Cut(text) }
    }

    /// For a person to read: a text that was cut ends in an ellipsis.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Whole(text) => text,
            Self::Cut(text) => text + "…",
        }
    }

    /// For the page: the value itself, or `{"cut": true, "preview": TEXT}` with `kind` as its type.
    pub(crate) fn json(self, kind: Option<&str>) -> Box<RawValue> {
        #[derive(Serialize)]
        struct Cut<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            r#type: Option<&'a str>,
            cut: bool,
            preview: String,
        }

        let whole = match self {
            Self::Whole(text) => RawValue::from_string(text),
            cut @ Self::Cut(_) => to_raw_value(&Cut { r#type: kind, cut: true, preview: cut.text() }),
        };
        whole.unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.bytes_max - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &serde_json::Value, text: &str, json: &str) {
        assert_eq!(Preview::of(value, 8).text(), text);
        assert_eq!(Preview::of(value, 8).json(Some("set")).get(), json);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        check(&serde_json::json!([1, 2, 3]), "[1,2,3]", "[1,2,3]");
        check(&serde_json::json!("123456"), "\"123456\"", "\"123456\"");
        check(&serde_json::json!("1234567"), "\"1234567…", r#"{"type":"set","cut":true,"preview":"\"1234567…"}"#);
        check(&serde_json::json!("123456é"), "\"123456…", r#"{"type":"set","cut":true,"preview":"\"123456…"}"#);
    }
}
