//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;

/// Keeps the state of many clients in step, in real time.
///
/// Started without a command, chatroom serves on http://127.0.0.1:8765. Open that page in two tabs
/// to see it work, or connect a WebSocket client to ws://127.0.0.1:8765.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server (what chatroom does when no command is given)
    Serve(Serve),
    /// Print the configuration file with every key, its default and its meaning
    Config,
    /// Measure what a server does on this machine
    Bench(Bench),
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "CHATROOM_LISTEN",
        long_help = "Address to listen on [default: 127.0.0.1:8765]; port 0 takes a free one. Use 0.0.0.0:8765 to be reached from other machines: there is no authentication yet, so only on a network you trust."
    )]
    pub(crate) listen: Option<String>,

    /// Keep all rooms in memory only (the one store there is yet)
    #[arg(long, env = "CHATROOM_MEMORY")]
    pub(crate) memory: bool,

    /// Show what happens in the rooms on a page at this address; DEBUG=true means localhost:8800
    #[arg(
        long,
        value_name = "ADDR",
        env = "CHATROOM_DEBUGGER",
        long_help = "Show what happens in the rooms on a page at this address [default: off; DEBUG=true in the environment means localhost:8800]. Beyond loopback the page asks for a token, which is part of the address that the server prints."
    )]
    pub(crate) debugger: Option<String>,

    /// Read settings from this file; `chatroom config` prints one
    #[arg(long, value_name = "FILE", env = "CHATROOM_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Origins of web pages that may connect besides this server's own, comma-separated; * for any
    #[arg(long, value_name = "ORIGINS", env = "CHATROOM_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Option<Vec<String>>,
}

/// A failure as its user sees it: one line that says what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit: u8,
}

impl Failure {
    /// What was asked cannot be understood: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 2 }
    }

    /// What was asked cannot be done now: exit code 1.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 1 }
    }

    #[expect(clippy::print_stderr, reason = "the one place where the program tells why it ends")]
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("chatroom: {}", self.message);
        ExitCode::from(self.exit)
    }
}
