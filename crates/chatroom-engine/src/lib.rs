//! What happens in a room: one state machine, [`Room::handle`], from an [`Input`] to [`Effect`]s.
//!
//! Nothing here reads a clock, a socket, a file or randomness, waits for anything or starts a
//! thread: time and bytes come in as arguments, and what shall be done goes out as values. That is
//! what makes one order, atomic actions and simulation simple; `cargo xtask tidy` holds it.
//!
//! Read it in the order of a message: [`input`], `session` (who, and is it allowed), then either
//! `action`, `validation`, `topic` and `fanout` (a change), or `service` (a call), and [`effect`].
//! `system` derives the special topics, `outgoing` holds effects back until the journal has the
//! commit they tell of, `keep`, `record` and `restore` are the room's side of that journal, and `archive`
//! reads it for clients. `observe` and `view` are what an embedding program's hook and the debugger see.

pub mod effect;
pub mod input;

mod action;
mod archive;
mod fanout;
mod history;
mod keep;
mod member;
mod observe;
mod outgoing;
mod push;
mod record;
mod restore;
mod resume;
mod room;
mod service;
mod session;
mod system;
mod topic;
mod validation;
mod view;

pub use effect::{Class, Delivery, Effect};
pub use fanout::Subscribers;
pub use input::{ConnectionId, Input, Stretch, Time};
pub use keep::{Keeping, Snapshot};
pub use observe::{
    Answered, CallFailure, Commit, CommittedChange, Observation, Observe, Proposed, Provision, Refused, Rules,
};
pub use record::{Damaged, describe_record};
pub use restore::{Image, describe_part};
pub use room::{Counts, NoAuthority, Room, RoomConfig, Tally};
pub use view::{CallView, ClientView, ProviderView, ServiceView, TopicView, Touched};
