//! The Rust client of ChatRoom: values shared between programs, and functions that one program
//! offers and another calls, over one connection that heals itself.
//!
//! ```no_run
//! use chatroom_client::{Client, Int};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let room = Client::connect("ws://localhost:8765").await?;
//! let score = room.topic::<Int>("game/score")?;
//! let mut changes = score.changes();
//! score.add(1);
//! while let Some(update) = changes.next().await {
//!     println!("the score is {:?}", update.value());
//! }
//! # Ok(()) }
//! ```
//!
//! A byte on its way in meets `connection`, `core` (the client's memory), then what it is for:
//! `replica` for topics, `action` for the outcomes of own changes, `call` and `service` for
//! functions, `presence` for who is there. Handles (`topic`, `kind`, `listener`) write into
//! the same memory. What is known of the room is a `chatroom_replica::Replica`, which is pure; no code of the application runs under
//! the lock of the memory nor on the connection's task, so anything may be called or awaited from
//! anywhere.

#![deny(missing_docs)]

mod client;

mod backoff;
mod connection;
mod connector;
mod state;
mod token;

mod core;

mod kind;
mod listener;
mod topic;

mod action;
mod call;
mod past;
mod presence;
mod service;
mod undo;

mod error;

pub use crate::action::{Action, ActionFuture, Editing, Transaction};
pub use crate::backoff::Backoff;
pub use crate::call::{CallFuture, Request};
pub use crate::client::{Builder, Client, Holdings, Notice};
pub use crate::error::{CallError, ConnectionError, RegisterError, Rejected, ServiceError, ShapeError, TopicError};
pub use crate::kind::{Bool, Component, Dict, Event, Float, Generic, Int, Kind, List, Presence, Set, Text, Untyped};
pub use crate::listener::{Changes, Listening, Update};
pub use crate::past::{CommitPage, PastChange, PastCommit, Which};
pub use crate::service::{Call, Provide, Registration, RegistrationState, Reporter};
pub use crate::state::{Connectivity, State};
pub use crate::token::{TokenError, TokenReason};
pub use crate::topic::Topic;
pub use crate::undo::{Group, History};

pub use chatroom_replica::{Accepted, Cause, ErrorCode, Meta, Saved, Status};

pub use chatroom_protocol::heard::About;
pub use chatroom_protocol::message::{Pick, TopicOptions};
pub use chatroom_protocol::{Change, ClientId, Code, Limits, RequestId, Sequence, TopicType, TopicValue};
