//! Why a workload failed.

use std::fmt;

/// What went wrong, in words for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem(String);

/// What a part of a workload gives.
pub(crate) type Outcome<T> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A message that should not have come.
    pub(crate) fn unexpected(expected: &str, message: &[u8]) -> Self {
        let shown: String = String::from_utf8_lossy(message).chars().take(300).collect();
        Self(format!("instead of {expected} the server sent {shown}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self(format!("a socket failed: {error}"))
    }
}

impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a client of the benchmark broke: {error}"))
    }
}
