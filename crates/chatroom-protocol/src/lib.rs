//! What can be said in ChatRoom: names, values, changes, messages, codes and limits.
//!
//! Everything here is a pure function of its arguments: no socket, clock, file, randomness or
//! logging (`cargo xtask tidy` holds it). A byte on its way in meets the modules in this order:
//! [`envelope`] finds the fields, [`message`] gives them types, [`change`] decodes and applies an
//! edit of a [`value`]; on its way out [`reply`] is turned into a [`frame`]. A client has the other
//! side of both: it [`say`]s messages and [`heard`] reads the server's.

pub mod code;
pub mod limits;

pub mod id;
pub mod name;

pub mod json;
pub mod text;
pub mod value;

pub mod change;
pub mod envelope;
pub mod message;

pub mod frame;
pub mod reply;

pub mod heard;
pub mod say;

pub use change::{Change, ChangeId};
pub use code::{Code, Refusal};
pub use frame::Frame;
pub use heard::Heard;
pub use id::{ClientId, Epoch, RequestId, Sequence};
pub use limits::Limits;
pub use message::ClientMessage;
pub use name::{RoomName, ServiceName, TopicName};
pub use reply::ServerMessage;
pub use value::{TopicType, TopicValue};

/// The subprotocol that selects the v1 dialect in JSON.
pub const V1_JSON: &str = "chatroom.v1.json";

/// Which form of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// The documented messages with exactly the documented fields, and nothing more.
    Seed,
    /// [`V1_JSON`]: more fields, more messages, codes.
    V1,
}

impl Dialect {
    /// The word that metrics and `_chatroom/clients` use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::V1 => "v1",
        }
    }
}
