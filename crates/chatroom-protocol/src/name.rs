//! Names of topics, services and rooms, checked once at the edge.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::code::{Code, Refusal};
use crate::limits::{MAX_NAME_BYTES, MAX_ROOM_NAME_BYTES};

/// What names of the server itself begin with.
pub const RESERVED: &str = "_chatroom/";

macro_rules! name {
    ($type:ident, $what:literal) => {
        #[doc = concat!("The name of a ", $what, ": 1 to 256 bytes, no control characters, no white space at its ends.")]
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// `bad_name`, saying which rule it breaks.
            pub fn parse(name: &str) -> Result<Self, Refusal> {
                check(name, $what).map(|()| Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the name belongs to the server.
            #[must_use]
            pub fn is_reserved(&self) -> bool {
                self.0.starts_with(RESERVED)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(TopicName, "topic");
name!(ServiceName, "service");

fn check(name: &str, what: &str) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(Code::BadName, format!("a {what} name {why}")));
    if name.is_empty() {
        return refuse("may not be empty".into());
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse(format!("has at most {MAX_NAME_BYTES} bytes, this one has {}", name.len()));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return refuse(format!("may not have control characters, this one has U+{:04X}", u32::from(control)));
    }
    if name.trim() != name {
        return refuse("may not begin or end with white space".into());
    }
    Ok(())
}

/// The name of a room: 1 to 128 of `A-Z a-z 0-9 . _ ~ -`, so that it stands in a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The room at `/`.
    #[must_use]
    pub fn main() -> Self {
        Self("main".into())
    }

    /// Checks a name.
    ///
    /// # Errors
    /// `bad_name`, with the rule.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if name.is_empty() || name.len() > MAX_ROOM_NAME_BYTES || !name.bytes().all(allowed) {
            return Err(Refusal::new(
                Code::BadName,
                format!("a room name is 1 to {MAX_ROOM_NAME_BYTES} characters of A-Z a-z 0-9 . _ ~ -"),
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "x".repeat(257);
        for (name, good) in [
            ("score", true),
            ("game/score", true),
            ("élan vital", true),
            ("", false),
            (" score", false),
            ("score\n", false),
            ("a\u{7f}b", false),
            (&long[..256], true),
            (&long, false),
        ] {
            assert_eq!(TopicName::parse(name).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn room_names() {
        for (name, good) in
            [("main", true), ("A-b_c.~9", true), ("", false), ("a/b", false), ("a b", false), ("é", false)]
        {
            assert_eq!(RoomName::parse(name).is_ok(), good, "{name:?}");
        }
    }
}
