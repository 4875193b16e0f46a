//! The value of a string topic: Unicode text with positions in scalar values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use ropey::Rope;

use crate::code::{Code, Refusal};

/// From here on a text is a rope, so that a keystroke costs the keystroke and a clone nothing.
const ROPE_BYTES_MIN: usize = 8 << 10;
/// A rope that shrinks below this is a string again.
const STRING_BYTES_MAX: usize = 4 << 10;

/// Text that is indexed by Unicode scalar values without walking over it.
#[derive(Clone, Debug)]
pub struct Text(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Knows its length in scalar values, so that ASCII is indexed at once.
    Short {
        string: String,
        scalars: usize,
    },
    Long(Rope),
}

impl Text {
    /// The length in Unicode scalar values.
    #[must_use]
    pub fn scalars(&self) -> usize {
        match &self.0 {
            Form::Short { scalars, .. } => *scalars,
            Form::Long(rope) => rope.len_chars(),
        }
    }

    /// The length in bytes of UTF-8.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Short { string, .. } => string.len(),
            Form::Long(rope) => rope.len_bytes(),
        }
    }

    /// Replaces `remove` scalar values at `position` by `insert`; returns what was there.
    ///
    /// # Errors
    /// `out_of_range` when the span passes the end; then nothing is changed.
    pub fn splice(&mut self, position: usize, remove: usize, insert: &str) -> Result<String, Refusal> {
        let span = self.span(position, remove)?;
        let removed = match &mut self.0 {
            Form::Short { string, scalars } => {
                let span = offsets(string, *scalars, &span);
                let removed = string[span.clone()].to_owned();
                string.replace_range(span, insert);
                *scalars = *scalars - remove + insert.chars().count();
                removed
            }
            Form::Long(rope) => {
                let removed = if span.is_empty() { String::new() } else { rope.slice(span.clone()).to_string() };
                if !span.is_empty() {
                    rope.remove(span);
                }
                if !insert.is_empty() {
                    rope.insert(position, insert);
                }
                removed
            }
        };
        match &self.0 {
            Form::Short { string, .. } if string.len() >= ROPE_BYTES_MIN => self.0 = Form::Long(Rope::from_str(string)),
            Form::Long(rope) if rope.len_bytes() < STRING_BYTES_MAX => {
                self.0 = Form::Short { scalars: rope.len_chars(), string: rope.to_string() };
            }
            _ => {}
        }
        Ok(removed)
    }

    /// The `count` scalar values from `position` on.
    ///
    /// # Errors
    /// `out_of_range` when the span passes the end.
    pub fn slice(&self, position: usize, count: usize) -> Result<Cow<'_, str>, Refusal> {
        let span = self.span(position, count)?;
        Ok(match &self.0 {
            Form::Short { string, scalars } => Cow::Borrowed(&string[offsets(string, *scalars, &span)]),
            Form::Long(rope) => Cow::from(rope.slice(span)),
        })
    }

    /// The text in the pieces in which it is held, none of them empty.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        let (short, long) = match &self.0 {
            Form::Short { string, .. } => (Some(string.as_str()).filter(|text| !text.is_empty()), None),
            Form::Long(rope) => (None, Some(rope.chunks())),
        };
        short.into_iter().chain(long.into_iter().flatten())
    }

    fn span(&self, position: usize, count: usize) -> Result<Range<usize>, Refusal> {
        let (end, scalars) = (position.saturating_add(count), self.scalars());
        if end > scalars {
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("position {end} is past the end of a text of {scalars}"),
            ));
        }
        Ok(position..end)
    }
}

/// Where a span of scalar values within a string is, in bytes.
fn offsets(string: &str, scalars: usize, span: &Range<usize>) -> Range<usize> {
    if string.len() == scalars {
        return span.clone();
    }
    let mut offsets = string.char_indices().map(|(offset, _)| offset).skip(span.start);
    let start = offsets.next().unwrap_or(string.len());
    let stop = if span.is_empty() { start } else { offsets.nth(span.len() - 1).unwrap_or(string.len()) };
    start..stop
}

impl Default for Text {
    fn default() -> Self {
        Self(Form::Short { string: String::new(), scalars: 0 })
    }
}

impl From<String> for Text {
    fn from(string: String) -> Self {
        if string.len() >= ROPE_BYTES_MIN {
            return Self(Form::Long(Rope::from_str(&string)));
        }
        let scalars = string.chars().count();
        Self(Form::Short { string, scalars })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Long(own), Form::Long(other)) => own == other,
            (Form::Short { string, .. }, _) => other == string.as_str(),
            (_, Form::Short { string, .. }) => self == string.as_str(),
        }
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        let mut rest = other;
        self.bytes() == other.len()
            && self.pieces().all(|piece| match rest.strip_prefix(piece) {
                Some(after) => {
                    rest = after;
                    true
                }
                None => false,
            })
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
        assert_eq!(text.to_string(), source);
        assert_eq!(text.slice(chars.len(), 1).unwrap_err().code, Code::OutOfRange);
        assert!(text.slice(usize::MAX, usize::MAX).is_err());
    }

    #[test]
    fn a_long_text_is_a_rope_and_becomes_a_string_again() {
        let mut text = Text::default();
        let mut model: Vec<char> = Vec::new();
        for round in 0..600usize {
            let position = (round * 7919) % (model.len() + 1);
            let more = "é😀 ascii and more of it ".repeat(1 + round % 3);
            text.splice(position, 0, &more).unwrap();
            model.splice(position..position, more.chars());
        }
        assert!(matches!(text.0, Form::Long(_)) && text.clone() == text);
        for round in 0..2_000usize {
            let count = model.len().min(40);
            let position = (round * 104_729) % (model.len() - count + 1);
            let removed = text.splice(position, count, "z").unwrap();
            let expected: String = model.splice(position..position + count, ['z']).collect();
            assert_eq!(removed, expected);
            let whole: String = model.iter().collect();
            assert!(text == *whole && text == Text::from(whole) && text.scalars() == model.len(), "round {round}");
        }
        assert!(matches!(text.0, Form::Short { .. }));
        assert!(text != Text::default());
    }
}
