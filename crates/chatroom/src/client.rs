//! The commands that are a client of a running server.

mod call;
mod get;
mod opening;
mod output;
mod provide;
mod remote;
mod set;
mod table;
mod topics;
mod watch;

use std::future::Future;

use crate::arguments::{Command, Failure};

/// Runs one of them.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Topics(topics) => block_on(topics::run(topics)),
        Command::Get(get) => block_on(get::run(get)),
        Command::Set(set) => block_on(set::run(set)),
        Command::Watch(watch) => block_on(watch::run(watch)),
        Command::Call(call) => block_on(call::run(call)),
        Command::Provide(provide) => block_on(provide::run(provide)),
        _ => Ok(()),
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}
