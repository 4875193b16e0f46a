//! The client against a real server, and against one that a test plays.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test that panics has failed, and says how much it ran"
)]

mod conformance;
mod connection;
mod durable;
mod leaks;
mod link;
mod listeners;
mod played;
mod reconnect;
mod services;
mod topics;
mod traces;
