//! The value of a string topic: Unicode text with positions in scalar values.

use std::ops::Range;

use crate::code::{Code, Refusal};

/// Text that knows its length in Unicode scalar values, so that ASCII is indexed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    string: String,
    scalars: usize,
}

impl Text {
    /// The text as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.string
    }

    /// The length in Unicode scalar values.
    #[must_use]
    pub fn scalars(&self) -> usize {
        self.scalars
    }

    /// Replaces `remove` scalar values at `position` by `insert`; returns what was there.
    ///
    /// # Errors
    /// `out_of_range` when the span passes the end; then nothing is changed.
    pub fn splice(&mut self, position: usize, remove: usize, insert: &str) -> Result<String, Refusal> {
        let span = self.bytes(position, remove)?;
        let removed = self.string[span.clone()].to_owned();
        self.string.replace_range(span, insert);
        self.scalars = self.scalars - remove + insert.chars().count();
        Ok(removed)
    }

    /// The `count` scalar values from `position` on.
    ///
    /// # Errors
    /// `out_of_range` when the span passes the end.
    pub fn slice(&self, position: usize, count: usize) -> Result<&str, Refusal> {
        Ok(&self.string[self.bytes(position, count)?])
    }

    fn bytes(&self, position: usize, count: usize) -> Result<Range<usize>, Refusal> {
        let end = position.saturating_add(count);
        if end > self.scalars {
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("position {end} is past the end of a text of {}", self.scalars),
            ));
        }
        if self.string.len() == self.scalars {
            return Ok(position..end);
        }
        let mut offsets = self.string.char_indices().map(|(offset, _)| offset).skip(position);
        let start = offsets.next().unwrap_or(self.string.len());
        let stop = if count == 0 { start } else { offsets.nth(count - 1).unwrap_or(self.string.len()) };
        Ok(start..stop)
    }
}

impl From<String> for Text {
    fn from(string: String) -> Self {
        let scalars = string.chars().count();
        Self { string, scalars }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_of_mixed_text_equals_the_span_of_its_chars() {
        let source = "aé😀👩‍👩‍👦z";
        let chars: Vec<char> = source.chars().collect();
        let text = Text::from(source.to_owned());
        for start in 0..=chars.len() {
            for count in 0..=chars.len() - start {
                let expected: String = chars[start..start + count].iter().collect();
                assert_eq!(text.slice(start, count).unwrap(), expected);
            }
        }
        assert_eq!(text.slice(chars.len(), 1).unwrap_err().code, Code::OutOfRange);
        assert!(text.slice(usize::MAX, usize::MAX).is_err());
    }
}
