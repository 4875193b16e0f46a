//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use chatroom_client::TopicType;
use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;

/// What the exit code of every command means.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done: a fault of this machine, such as a port that is taken
  2  the command was not understood
  3  no server: it cannot be reached, or was lost
  4  the server refused, and said why
  5  the service that was called failed, or did not answer in time";

/// Keeps the state of many clients in step, in real time.
///
/// Started without a command, chatroom serves on http://127.0.0.1:8765. Open that page in two tabs
/// to see it work, or connect a WebSocket client to ws://127.0.0.1:8765. The commands topics, get,
/// set, watch, call and provide are a client of a running server.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100, after_long_help = EXIT_CODES)]
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
    /// List the topics of a room
    Topics(Topics),
    /// Print a topic's value
    Get(Get),
    /// Change a topic, and create it if need be
    Set(Set),
    /// Print the changes of topics as they happen
    Watch(Watch),
    /// Call a service and print what it answers
    Call(Call),
    /// Offer a service that a shell command answers
    Provide(Provide),
    /// Print the configuration file with every key, its default and its meaning
    Config,
    /// Measure what a server does on this machine
    Bench(Bench),
    /// Look whether everything in a data folder can be read
    Check(Check),
    /// Write everything in a data folder to standard output, as lines of JSON
    Export(Export),
    /// Fill an empty data folder from standard input, with what export wrote
    Import(Import),
    /// Print the completions for a shell: chatroom completions bash > /etc/bash_completion.d/chatroom
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page: chatroom man > chatroom.1
    Man,
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

    /// Keep the rooms in this folder [default: ./chatroom-data]
    #[arg(long, value_name = "DIR", env = "CHATROOM_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Keep all rooms in memory only: they are gone with the server
    #[arg(long, env = "CHATROOM_MEMORY")]
    pub(crate) memory: bool,

    /// When a change counts as kept: synced (survives a loss of power) or written (survives a crash)
    #[arg(
        long,
        value_name = "WHEN",
        env = "CHATROOM_DURABILITY",
        long_help = "When a change counts as kept, and its author and all others are told: `synced` [default], when it is on the disk and survives a loss of power, or `written`, when the operating system has it and it survives the end of the server; then it is synced within a second."
    )]
    pub(crate) durability: Option<String>,

    /// How many threads serve; 0 is one for each processor
    #[arg(
        long,
        value_name = "NUMBER",
        env = "CHATROOM_WORKERS",
        long_help = "How many threads serve. A room runs on one of them; the connections of a small room are on the same, those of a large one are spread over all. 0 [default] is one for each processor."
    )]
    pub(crate) workers: Option<usize>,

    /// How much of each room's past is kept: commits, age and size, such as 1000,7d,1MiB
    #[arg(
        long,
        value_name = "HOW",
        env = "CHATROOM_KEEP",
        long_help = "How much of each room's past is kept besides its present [default: 100000,30d,64MiB]: a number of commits, an age (s, m, h, d) and a size (KiB, MiB, GiB), whichever is less; what is not named stays as it is by default."
    )]
    pub(crate) keep: Option<String>,

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

#[derive(Args, Clone, Debug)]
pub(crate) struct Check {
    /// The data folder; no server may have it
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Export {
    /// The data folder; no server may have it
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only this room
    #[arg(long, value_name = "NAME")]
    pub(crate) room: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Import {
    /// A folder that is empty or not there yet
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// The server and the room that a command talks to.
#[derive(Args, Clone, Debug)]
pub(crate) struct Remote {
    /// Where the server is; a path such as /rooms/NAME picks the room
    #[arg(long, value_name = "URL", env = "CHATROOM_URL", default_value = "ws://127.0.0.1:8765/")]
    pub(crate) url: String,

    /// The room, main if none is named
    #[arg(long, value_name = "NAME", env = "CHATROOM_ROOM")]
    pub(crate) room: Option<String>,

    /// Who you are, for a server that asks; better in the environment or a file than in a command
    #[arg(long, env = "CHATROOM_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    pub(crate) token: Option<String>,

    /// Read the token from the first line of this file, anew with every connection
    #[arg(long, value_name = "FILE", env = "CHATROOM_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Topics {
    /// Only topics whose names begin so
    #[arg(value_name = "PREFIX", default_value = "")]
    pub(crate) prefix: String,
    /// Print a line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Get {
    /// The topic
    pub(crate) topic: String,
    /// Print a text without quotes
    #[arg(long, short)]
    pub(crate) raw: bool,
    /// Print {type, value, sequence} on one line
    #[arg(long, conflicts_with = "raw")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Set {
    /// The topic
    pub(crate) topic: String,
    /// The new value as JSON (for a string topic any text), or - to read it from standard input
    #[arg(required_unless_present = "change", allow_negative_numbers = true)]
    pub(crate) value: Option<String>,
    /// Make any change instead, such as '{"type": "add", "value": 1}'
    #[arg(long, value_name = "JSON", conflicts_with = "value")]
    pub(crate) change: Option<String>,
    /// The type to create the topic with; without it the value tells
    #[arg(long = "type", value_name = "TYPE", value_parser = topic_type)]
    pub(crate) kind: Option<TopicType>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Watch {
    /// The topics; those that do not exist yet are waited for if --type tells what they are
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Print a line of JSON for each change
    #[arg(long)]
    pub(crate) json: bool,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// The type of topics that do not exist yet
    #[arg(long = "type", value_name = "TYPE", value_parser = topic_type)]
    pub(crate) kind: Option<TopicType>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Call {
    /// The service
    pub(crate) service: String,
    /// What it is given, as JSON, or - to read it from standard input
    #[arg(default_value = "null", allow_negative_numbers = true)]
    pub(crate) args: String,
    /// How long to wait
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) timeout_ms: u64,
    /// Print a text without quotes
    #[arg(long, short)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Each call runs the command anew. It reads the caller's argument as JSON from its standard input;
/// what it writes to its standard output is the answer, as JSON if it is JSON and as a text if not. An
/// exit code other than 0 is told to the caller as error 1000 plus that code, with what the command
/// wrote to standard error. CHATROOM_SERVICE, CHATROOM_BY (the caller) and CHATROOM_TIMEOUT_MS are in
/// its environment. When the caller cancels, the command is killed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Provide {
    /// The service
    pub(crate) service: String,
    /// The command: one word is run by the shell, several are a program and its arguments
    #[arg(required = true, value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
    /// How many calls are answered at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) concurrency: u32,
    /// The server may ask another provider when this one is lost during a call
    #[arg(long)]
    pub(crate) idempotent: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

fn topic_type(name: &str) -> Result<TopicType, String> {
    let known = || TopicType::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let found = TopicType::ALL.iter().copied().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("the types are {}", known()))
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

    /// There is no server to talk to: exit code 3.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 3 }
    }

    /// The server refused: exit code 4.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 4 }
    }

    /// A service failed: exit code 5.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 5 }
    }

    #[expect(clippy::print_stderr, reason = "the one place where the program tells why it ends")]
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("chatroom: {}", self.message);
        ExitCode::from(self.exit)
    }
}
