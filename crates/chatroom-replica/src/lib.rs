//! What a client of ChatRoom knows of its room, without any I/O.
//!
//! A [`Replica`] holds the topics that somebody has open: each one's confirmed value with the
//! client's own changes, which no outcome is known of yet, on top. Messages of the server go in,
//! messages for the server and [`Note`]s for the application come out; no socket, clock or
//! randomness. The rules are sections 3 to 6 of `docs/merging.md`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::print_stdout,
        reason = "a test that panics has failed, and reports what it ran"
    )
)]

mod code;
mod commit;
mod cursor;
mod difference;
mod join;
mod mirror;
mod outcome;
mod own;
mod push;
mod replica;
mod saved;
mod slide;
mod subscription;
mod undo;

pub use code::ErrorCode;
pub use cursor::{BEHIND_MAX, Cause, Meta, RawUpdate};
pub use mirror::Status;
pub use outcome::{Accepted, Outcome, Refused};
pub use own::{ActionId, How, Intent, Maker};
pub use replica::{Asking, CursorId, Greeting, Note, Replica, Resume};
pub use saved::Saved;
pub use undo::Direction;

/// How many own actions may be pending; then [`Replica::act`] refuses more.
pub const PENDING_ACTIONS_MAX: usize = 10_000;
