//! What a room wants done.

use std::sync::Arc;

use bytes::Bytes;
use chatroom_protocol::{Refusal, Sequence, TopicName};

use crate::fanout::Subscribers;
use crate::input::{ConnectionId, Time};
use crate::observe::Observation;

/// Something for the embedding server to do. Effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// Send whole frames to one connection.
    Send {
        /// The connection.
        to: ConnectionId,
        /// One or more frames.
        frames: Bytes,
        /// What they are, for a reader that is too slow.
        delivery: Delivery,
    },
    /// Send frames to all subscribers; each form was encoded once.
    Broadcast {
        /// Who.
        to: Arc<Subscribers>,
        /// But not this one: the author is answered apart.
        skip: Option<ConnectionId>,
        /// For connections of the seed dialect; `None` if there are none.
        seed: Option<Bytes>,
        /// For connections of v1; `None` if there are none.
        v1: Option<Bytes>,
        /// What they are, for a reader that is too slow.
        delivery: Delivery,
    },
    /// Keep a commit. Everything that tells of it follows once [`Input::Appended`] came.
    ///
    /// [`Input::Appended`]: crate::Input::Appended
    Append {
        /// Its place.
        sequence: Sequence,
        /// The commit.
        record: Bytes,
    },
    /// Read the journal's last `count` records before a place, or fewer that have `bytes`, and answer
    /// with [`Input::Read`].
    ///
    /// [`Input::Read`]: crate::Input::Read
    Read {
        /// To be given back with the answer.
        reading: u64,
        /// The place.
        before: Sequence,
        /// How many at most.
        count: usize,
        /// How many bytes at most, but one record at least.
        bytes: usize,
    },
    /// Send what waits, then close.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        refusal: Refusal,
    },
    /// Tell an observer.
    Observed(Box<Observation>),
    /// Send [`Input::Tick`] at this time; takes the place of an earlier wish.
    ///
    /// [`Input::Tick`]: crate::Input::Tick
    WakeAt(Option<Time>),
}

/// What frames are, so that the outbox can decide what a slow reader may miss.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How they may be treated.
    pub class: Class,
    /// The topics they tell of.
    pub topics: Arc<[TopicName]>,
}

/// How frames for a slow reader may be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Changes: a snapshot sent later makes up for them.
    State,
    /// A whole value: makes up for all changes of its topic before it.
    Snapshot,
    /// Events, answers, calls and echoes: each counts, none may be left out.
    Reply,
}

impl Delivery {
    /// Frames that belong to no topic and may not be left out.
    #[must_use]
    pub fn reply() -> Self {
        Self { class: Class::Reply, topics: Arc::new([]) }
    }
}
