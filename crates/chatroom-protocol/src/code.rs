//! Codes: what went wrong and what the caller can do about it, in one table.

use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($variant:ident = $number:literal, $name:literal, $meaning:literal;)*) => {
        /// Why something was refused or ended. The hundreds of its number say what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $variant = $number,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                self as u16
            }

            /// The stable name in texts, vectors and logs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One line for the table in `docs/protocol.md`.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    Internal = 100, "internal", "a fault of the server";
    Busy = 101, "busy", "a bounded queue is full";
    Timeout = 102, "timeout", "the deadline passed";
    ProviderLost = 103, "provider_lost", "the provider disconnected or unregistered during the call";
    NoProvider = 104, "no_provider", "nobody provides the service now";
    Cancelled = 105, "cancelled", "the caller cancelled the call";
    ShuttingDown = 106, "shutting_down", "the server is shutting down; connect again soon";
    SlowConsumer = 107, "slow_consumer", "the client did not read what was sent to it";
    HeartbeatMissed = 108, "heartbeat_missed", "nothing arrived for two heartbeats";
    NoAuthority = 109, "no_authority", "the topic's authority was lost";
    ConnectionLost = 110, "connection_lost", "the connection was lost before the outcome was known (said by client libraries), or is cut on purpose (by the debugger or a test)";
    StorageFull = 111, "storage_full", "the server has no room to keep changes; it takes them again when it has";
    Malformed = 200, "malformed", "not JSON, or not of the message's shape";
    UnknownMessage = 201, "unknown_message", "no client may send a message of this type";
    BadName = 202, "bad_name", "a name that is empty, too long or has characters that names may not have";
    BadType = 203, "bad_type", "a value of the wrong type, or a missing field";
    BadUnicode = 204, "bad_unicode", "text with a lone surrogate";
    NotFinite = 205, "not_finite", "a number that no double can hold";
    OutOfRange = 206, "out_of_range", "a position or number outside its range";
    KeyExists = 207, "key_exists", "add of a key that is there";
    NoSuchKey = 208, "no_such_key", "a key that is not there";
    TooBig = 209, "too_big", "over a size limit";
    UnknownTopic = 210, "unknown_topic", "no such topic";
    TypeMismatch = 211, "type_mismatch", "the topic has another type";
    Invalid = 212, "invalid", "refused by the topic's authority";
    Precondition = 213, "precondition", "the state is not what the change takes it to be";
    DuplicateRequest = 214, "duplicate_request", "the request id is still in flight";
    UnknownRequest = 215, "unknown_request", "no such request waits for this client";
    AlreadyRegistered = 216, "already_registered", "this client provides the service already, or its options contradict the service's";
    NotRegistered = 217, "not_registered", "this client does not provide the service";
    LimitReached = 218, "limit_reached", "over a limit on how many";
    HelloExpected = 219, "hello_expected", "a v1 client says hello first, and once";
    Unsupported = 220, "unsupported", "this server does not do that";
    UnknownChange = 221, "unknown_change", "the topic's type has no such change";
    StaleBase = 222, "stale_base", "made on a state that is not remembered any more";
    Forbidden = 300, "forbidden", "not allowed for this client";
    Unauthenticated = 301, "unauthenticated", "the client has to log in again";
    TopicDeleted = 400, "topic_deleted", "the topic was deleted";
    Closed = 401, "closed", "the client was closed by its own application (said by client libraries)";
    Replaced = 402, "replaced", "the session goes on over another connection";
}

impl Code {
    /// The lowest code that an application may use in a service error.
    pub const APPLICATION_MIN: u32 = 1000;

    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub fn retryable(self) -> bool {
        self.number() < 200
    }

    /// The WebSocket close code that carries this code.
    #[must_use]
    pub fn close_code(self) -> u16 {
        4000 + self.number()
    }

    /// What the hundreds of the number tell the caller to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self.number() / 100 {
            1 => "try again later",
            2 => "fix the request",
            3 => "not allowed as this client",
            _ => "stop",
        }
    }

    /// Finds a code by its number; a newer peer may use numbers that are not in this table.
    #[must_use]
    pub fn by_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| u32::from(code.number()) == number)
    }

    /// Finds a code by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// A code and a sentence for a person: what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What clients branch on.
    pub code: Code,
    /// What people read.
    pub reason: Cow<'static, str>,
}

impl Refusal {
    /// Joins a code and its sentence.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.reason)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_sorted() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{pair:?}");
        }
        for code in Code::ALL {
            assert_eq!(Code::by_name(code.name()), Some(*code));
            assert_eq!(Code::by_number(code.number().into()), Some(*code));
        }
    }

    #[test]
    fn only_the_first_hundred_is_retryable() {
        assert!(Code::Timeout.retryable());
        assert!(!Code::Malformed.retryable());
        assert_eq!(Code::SlowConsumer.close_code(), 4107);
    }
}
