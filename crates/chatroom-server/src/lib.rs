//! The embeddable ChatRoom server: sockets and tasks around [`chatroom_engine::Room`].
//!
//! A byte's way through the files: `listener` accepts, `http` routes and upgrades, `workers` says on which thread, `connection`
//! moves bytes between a socket and the rest with `websocket` as its parser, `rooms` finds the room,
//! `room_task` runs its engine and carries out effects, `outbox` holds what waits for a socket and
//! alone decides what a slow reader gets.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8765").await?;
//! chatroom_server::Server::new(chatroom_server::Config::default()).serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

mod assets;
mod builder;
mod clock;
mod config;
mod connection;
mod debugger;
mod fault;
mod gathered;
mod handshake;
mod host;
mod http;
mod ledger;
mod listener;
mod metrics;
mod origin;
mod outbox;
mod room_task;
mod rooms;
mod server;
mod service;
pub mod testing;
mod websocket;
mod workers;

pub use builder::Builder;
pub use chatroom_engine::{Commit, CommittedChange, Counts, NoAuthority, Proposed, describe_part, describe_record};
pub use chatroom_journal as journal;
pub use chatroom_protocol as protocol;
pub use config::{Config, DebuggerConfig, Keep};
pub use fault::Fault;
pub use origin::{AllowedOrigins, BadOrigin};
pub use server::Server;
pub use service::{Call, ServiceError};
pub use workers::Workers;
