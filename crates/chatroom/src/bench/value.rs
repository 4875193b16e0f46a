//! The values that a workload sends: each tells its number and the time it was sent at.

use super::stopwatch::now_ns;

/// Where a value begins in a message; nothing else that the benchmark sends has it.
const MARK: u8 = b'#';
/// The mark, the number, the time and a dot after each of the two.
pub(crate) const VALUE_BYTES_MIN: usize = 1 + 16 + 1 + 20 + 1;

/// A value on its way.
#[derive(Debug, Default)]
pub(crate) struct Value {
    /// Its number.
    pub(crate) serial: u64,
    /// When it was sent, see [`now_ns`].
    pub(crate) sent_at: u64,
    /// The text of the JSON string, without its quotes.
    pub(crate) text: String,
}

impl Value {
    /// A value of that many bytes that is sent now.
    pub(crate) fn new(serial: u64, bytes: usize) -> Self {
        let sent_at = now_ns();
        let mut text = format!("{}{serial:016}.{sent_at:020}.", char::from(MARK));
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
        Self { serial, sent_at, text }
    }

    /// Whether a message carries this value, all of it and nothing after it.
    pub(crate) fn is_in(&self, message: &[u8]) -> bool {
        value_in(message).is_some_and(|value| value == self.text.as_bytes())
    }
}

/// The text of the value that a message carries.
pub(crate) fn value_in(message: &[u8]) -> Option<&[u8]> {
    let value = &message[message.iter().position(|byte| *byte == MARK)?..];
    value.get(..value.iter().position(|byte| *byte == b'"')?)
}

/// The number of a value.
pub(crate) fn serial_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(1..17)?).ok()?.parse().ok()
}

/// The integer after a key of a message: `number_after(m, "id")` of `{"id":7}` is 7.
pub(crate) fn number_after(message: &[u8], key: &str) -> Option<u64> {
    let key = key.as_bytes();
    let at = message
        .windows(key.len() + 3)
        .position(|window| window.starts_with(b"\"") && &window[1..=key.len()] == key && window.ends_with(b"\":"))?;
    let digits = &message[at + key.len() + 3..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_again() {
        let value = Value::new(42, 100);
        assert_eq!(value.text.len(), 100);
        let message = format!("{{\"key\":\"k\",\"value\":\"{}\",\"sequence\":7}}", value.text);
        assert!(value.is_in(message.as_bytes()));
        assert!(!Value::new(43, 100).is_in(message.as_bytes()));
        assert!(!value.is_in(message.replacen("xx", "x", 1).as_bytes()));
        assert!(!value.is_in(b"{}"));
        assert_eq!(serial_of(value_in(message.as_bytes()).unwrap()), Some(42));
        assert_eq!(Value::new(1, 1).text.len(), VALUE_BYTES_MIN);
    }

    #[test]
    fn numbers_are_found_by_their_key() {
        let message = br#"{"request_id":17,"id":8}"#;
        assert_eq!(number_after(message, "request_id"), Some(17));
        assert_eq!(number_after(message, "id"), Some(8));
        assert_eq!(number_after(message, "sequence"), None);
        assert_eq!(number_after(br#"{"id":"a"}"#, "id"), None);
    }
}
