//! What a room is told.

use chatroom_protocol::{Dialect, Refusal, Sequence, TopicName};

/// A connection of the embedding server, never used twice for one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Milliseconds since 1970, given by the embedding server and never going back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// So many milliseconds later.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How many milliseconds from `earlier` to this time; 0 if it is not earlier.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Everything that can happen to a room.
#[derive(Debug)]
pub enum Input<'a> {
    /// A client connected.
    Opened {
        /// Its connection.
        connection: ConnectionId,
        /// How it speaks.
        dialect: Dialect,
        /// 128 bits that nobody can guess, by which the client proves later who it was.
        secret: [u8; 16],
    },
    /// The embedding server itself takes part, as client 0: it speaks v1, needs no hello, and is not
    /// counted among the clients.
    Hosted {
        /// The connection under which it is sent its answers.
        connection: ConnectionId,
    },
    /// A client sent a message.
    Received {
        /// Its connection.
        connection: ConnectionId,
        /// The text of one whole message.
        message: &'a str,
    },
    /// A slow reader has taken all that waited for it; it missed changes of these topics.
    Drained {
        /// Its connection.
        connection: ConnectionId,
        /// The topics of which it needs the value anew.
        topics: Vec<TopicName>,
    },
    /// A client is gone.
    Closed {
        /// Its connection.
        connection: ConnectionId,
    },
    /// The journal has kept all commits up to and with this one.
    Appended {
        /// The last one kept.
        sequence: Sequence,
    },
    /// The journal was read for [`Effect::Read`].
    ///
    /// [`Effect::Read`]: crate::Effect::Read
    Read {
        /// What was asked for.
        reading: u64,
        /// What it has; or what its reader shall be told.
        stretch: Result<Stretch<'a>, Refusal>,
    },
    /// Time passed.
    Tick,
}

/// A stretch of a room's records.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// In order, without holes.
    pub records: &'a [(Sequence, &'a [u8])],
    /// The first record that is kept of the room, if any.
    pub oldest: Option<Sequence>,
}
