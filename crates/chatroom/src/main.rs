//! The executable `chatroom`: flags and a file become a server, or a client of one. See `chatroom --help`.

mod arguments;
mod bench;
mod client;
mod config_file;
mod data;
mod debugger;
mod manual;
mod serve;
mod store;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Config) => config_file::print(),
        Some(Command::Bench(bench)) => bench::run(&bench),
        Some(Command::Check(check)) => data::check(&check),
        Some(Command::Export(export)) => data::export(&export),
        Some(Command::Import(import)) => data::import(&import),
        Some(Command::Completions { shell }) => manual::completions(shell),
        Some(Command::Man) => manual::print(),
        Some(command) => client::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
