//! Codes as a client meets them: the table's, a newer server's, or an application's.

use std::fmt;

use chatroom_protocol::Code;

/// A code of the protocol's table, of a newer server's, or (from 1000 on) of an application.
///
/// ```
/// use chatroom_protocol::Code;
/// use chatroom_replica::ErrorCode;
/// let code = ErrorCode::from(Code::Timeout);
/// assert_eq!(code, Code::Timeout);
/// assert!(code.is_retryable());
/// assert_eq!(ErrorCode::new(1007).name(), "application");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(u32);

impl ErrorCode {
    /// The code of that number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// The stable number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The code, if it is one of the protocol's table.
    #[must_use]
    pub fn known(self) -> Option<Code> {
        Code::by_number(self.0)
    }

    /// The stable name; `application` from 1000 on, `unknown` for a newer server's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.known() {
            Some(code) => code.name(),
            None if self.0 >= Code::APPLICATION_MIN => "application",
            None => "unknown",
        }
    }

    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.0 < 200
    }
}

impl From<Code> for ErrorCode {
    fn from(code: Code) -> Self {
        Self(code.number().into())
    }
}

impl PartialEq<Code> for ErrorCode {
    fn eq(&self, code: &Code) -> bool {
        *self == Self::from(*code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
