//! The state of the connection.

use std::time::Duration;

use chatroom_protocol::Code;

use chatroom_replica::ErrorCode;

/// Whether this client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Connectivity {
    /// A connection is being made.
    Connecting,
    /// Connected.
    Online,
    /// Not connected; it is tried again after [`State::retry_in`].
    Offline,
    /// Not connected, and not tried again until [`Client::authenticate`](crate::Client::authenticate).
    NeedsAuth,
    /// Not connected, for ever.
    Closed,
}

impl Connectivity {
    /// The word that all clients use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::NeedsAuth => "needs_auth",
            Self::Closed => "closed",
        }
    }
}

/// The state of a client, and why it is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Whether it is connected.
    pub connectivity: Connectivity,
    /// Why, for a program.
    pub code: Option<ErrorCode>,
    /// Why, for a person.
    pub reason: String,
    /// While offline, when it is tried again, counted from when this state began.
    pub retry_in: Option<Duration>,
}

impl State {
    pub(crate) fn new(connectivity: Connectivity) -> Self {
        Self { connectivity, code: None, reason: String::new(), retry_in: None }
    }

    pub(crate) fn because(connectivity: Connectivity, code: impl Into<ErrorCode>, reason: impl Into<String>) -> Self {
        Self { connectivity, code: Some(code.into()), reason: reason.into(), retry_in: None }
    }

    pub(crate) fn closed() -> Self {
        Self::because(Connectivity::Closed, Code::Closed, "the client was closed")
    }

    /// Whether it is connected.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.connectivity == Connectivity::Online
    }

    /// Whether it will never be connected again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connectivity == Connectivity::Closed
    }
}
