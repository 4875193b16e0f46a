//! What can go wrong, one small type per family of operations.

use chatroom_protocol::{Code, Refusal};
use chatroom_replica::ErrorCode;
use serde_json::Value;

/// A change or an action that was not carried out, or whose outcome is not known.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the change to {topic_name:?} was refused: {code}: {reason}")]
#[non_exhaustive]
pub struct Rejected {
    /// Why, for a program.
    pub code: ErrorCode,
    /// Why, for a person.
    pub reason: String,
    /// The topic; of an action, that of the part that failed.
    pub topic_name: String,
    /// The change as it was sent, or would have been.
    pub change: Value,
    /// Whether the same change may be accepted later.
    pub retryable: bool,
    /// Whether it may have been carried out all the same: the connection was lost before the
    /// outcome was known.
    pub maybe_executed: bool,
}

/// A call that did not end with a value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the call failed: {code}: {reason}")]
#[non_exhaustive]
pub struct CallError {
    /// Why, for a program; from 1000 on the provider's own.
    pub code: ErrorCode,
    /// Why, for a person.
    pub reason: String,
    /// What the provider added.
    pub data: Option<Value>,
    /// Whether a provider may have done the work all the same.
    pub maybe_executed: bool,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

impl CallError {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
            data: None,
            maybe_executed: false,
            retryable: code.retryable(),
        }
    }

    pub(crate) fn maybe_executed(self, maybe_executed: bool) -> Self {
        Self { maybe_executed, ..self }
    }
}

/// What a handler answers instead of a value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
#[non_exhaustive]
pub struct ServiceError {
    /// 1000 or more; smaller ones are the server's and are raised to 1000.
    pub code: u32,
    /// For a person.
    pub message: String,
    /// For the caller's program.
    pub data: Option<Value>,
}

impl ServiceError {
    /// An error with a code of the application, 1000 or more.
    #[must_use]
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code: code.max(Code::APPLICATION_MIN), message: message.into(), data: None }
    }

    /// Adds something for the caller's program.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }
}

/// Code 1000.
impl From<String> for ServiceError {
    fn from(message: String) -> Self {
        Self::new(Code::APPLICATION_MIN, message)
    }
}

/// Code 1000.
impl From<&str> for ServiceError {
    fn from(message: &str) -> Self {
        Self::new(Code::APPLICATION_MIN, message)
    }
}

/// A handler that cannot fail.
impl From<std::convert::Infallible> for ServiceError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident, $text:literal, $($field:ident: $what:literal),*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($text)]
        #[non_exhaustive]
        pub struct $name {
            /// Why, for a program.
            pub code: ErrorCode,
            /// Why, for a person.
            pub reason: String,
            $(#[doc = $what] pub $field: String,)*
        }

        impl $name {
            pub(crate) fn new(code: impl Into<ErrorCode>, reason: impl Into<String> $(, $field: &str)*) -> Self {
                Self { code: code.into(), reason: reason.into() $(, $field: $field.to_owned())* }
            }
        }
    };
}

coded! {
    /// The connection was not made, or was given up.
    ConnectionError, "not connected: {code}: {reason}",
}

coded! {
    /// A topic that could not be opened or loaded.
    TopicError, "the topic {topic_name:?}: {code}: {reason}", topic_name: "The topic."
}

coded! {
    /// A service that could not be offered.
    RegisterError, "the service {service_name:?}: {code}: {reason}", service_name: "The service."
}

impl TopicError {
    pub(crate) fn refused(refusal: Refusal, topic_name: &str) -> Self {
        Self::new(refusal.code, refusal.reason, topic_name)
    }
}

/// A value that does not have the shape of the handle's type.
#[derive(Debug, thiserror::Error)]
#[error("the value does not have the shape that was asked for: {0}")]
pub struct ShapeError(#[from] pub(crate) serde_json::Error);
