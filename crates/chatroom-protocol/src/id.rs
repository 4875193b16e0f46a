//! Numbers and ids that messages carry.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::code::{Code, Refusal};
use crate::limits::{MAX_ID_BYTES, MAX_INTEGER};

/// A client of a room: 1, 2, 3 ... in the order of their arrival, never reused in that room. 0 is the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The author of what the server does by itself.
    pub const SERVER: Self = Self(0);

    /// Whether this is the server itself.
    #[must_use]
    pub fn is_server(self) -> bool {
        self == Self::SERVER
    }

    /// Reads an id as a presence topic's keys show it.
    ///
    /// # Errors
    /// `bad_type` for anything but a number in digits.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text.parse::<u64>() {
            Ok(number) if !text.starts_with('+') => Ok(Self(number)),
            _ => Err(Refusal::new(Code::BadType, format!("{text:?} is no client id"))),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a commit in its room's order; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which life of a room's history a [`Sequence`] belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// An id chosen by a client: a string or an integer, echoed as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum RequestId {
    /// An integer.
    Number(i64),
    /// A string.
    Text(Arc<str>),
}

impl RequestId {
    /// Reads an id; `field` names it in the refusal.
    ///
    /// # Errors
    /// `bad_type` for anything but a string or an integer, `too_big` for a long string.
    pub fn parse(raw: &RawValue, field: &str) -> Result<Self, Refusal> {
        let text = raw.get();
        if text.starts_with('"') {
            let id: String = serde_json::from_str(text).map_err(|error| crate::json::refusal(&error))?;
            if id.len() > MAX_ID_BYTES {
                return Err(Refusal::new(
                    Code::TooBig,
                    format!("{field} has {} bytes, at most {MAX_ID_BYTES} are allowed", id.len()),
                ));
            }
            return Ok(Self::Text(id.into()));
        }
        match text.parse::<i64>() {
            Ok(number) if number.abs() <= MAX_INTEGER => Ok(Self::Number(number)),
            _ => Err(Refusal::new(Code::BadType, format!("{field} must be a string or an integer up to 2^53 - 1"))),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}
