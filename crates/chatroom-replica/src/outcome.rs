//! How an own action ended.

use chatroom_protocol::Sequence;
use serde_json::Value;

use crate::code::ErrorCode;

/// The one outcome of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The room took it.
    Accepted(Accepted),
    /// It was not carried out, or nobody knows.
    Refused(Refused),
}

/// The room took the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Its place in the room's order.
    pub sequence: Sequence,
    /// Whether it changed anything: an item that somebody else took first is popped without effect.
    pub effect: bool,
}

impl Accepted {
    pub(crate) fn new(sequence: Sequence, effect: bool) -> Self {
        Self { sequence, effect }
    }
}

/// Why an action was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// For a program.
    pub code: ErrorCode,
    /// For a person.
    pub reason: String,
    /// The topic of the part that failed.
    pub topic_name: String,
    /// That part's change as it was to be sent.
    pub change: Value,
    /// Whether the same action may be accepted later.
    pub retryable: bool,
    /// Whether it may have been carried out all the same.
    pub maybe_executed: bool,
}
