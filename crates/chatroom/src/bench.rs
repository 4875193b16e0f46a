//! `chatroom bench`: what a server does on this machine, measured from outside.
//!
//! One thread drives all clients. Where the machine has two cores and `taskset`, the server gets one
//! of them and this process another, so that what one uses is not taken from the other.

mod calls;
mod client;
mod fan_out;
mod frame;
mod histogram;
mod idle;
mod load;
mod problem;
mod process;
mod report;
mod rooms;
mod server_metrics;
mod server_process;
mod stopwatch;
mod value;
mod workload;
mod writes;

use std::io::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use self::problem::{Outcome, Problem};
use self::report::Figures;
use self::server_process::Target;
use self::value::VALUE_BYTES_MIN;
use self::workload::{Plan, Run, Workload};
use crate::arguments::Failure;

/// Thirty-two of them under way stay below the outbox limit of a server, above which it sends
/// snapshots instead.
const VALUE_BYTES_MAX: i64 = 30_000;

/// What to measure, and how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// What to measure; all of it when none is named
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Workload>,

    /// Measure the server there instead of one started for it
    #[arg(long, value_name = "ws://HOST:PORT")]
    url: Option<String>,

    /// That server's process, for its processor time and memory
    #[arg(long, requires = "url")]
    pid: Option<u32>,

    /// How long to measure each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// How many: subscribers, clients of all rooms, callers, or idle clients
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: Option<u32>,

    /// Size of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(VALUE_BYTES_MIN as i64..=VALUE_BYTES_MAX))]
    payload: u32,

    /// Whether the server started for it keeps rooms: in memory, or in a folder of its own for a while
    #[arg(long, value_enum, default_value_t = Kept::Memory, conflicts_with = "url")]
    durability: Kept,

    /// Print a line of JSON for each instead of a table
    #[arg(long)]
    json: bool,
}

/// How the measured server keeps its rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// Not at all
    #[default]
    Memory,
    /// On disk, not synced at once
    Written,
    /// On disk, synced before anybody is told
    Synced,
}

/// Measures and prints.
pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    let named = if bench.workloads.is_empty() { Workload::value_variants() } else { &bench.workloads };
    let mut workloads = named.to_vec();
    workloads.sort_unstable();
    workloads.dedup();

    // Before there is a second thread: threads begin on the core of the one that starts them.
    let cores = if bench.url.is_none() { server_process::choose_cores() } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format!("cannot start the runtime: {error}")))?;
    let mut measured = Vec::new();
    for run in workloads.into_iter().flat_map(Workload::runs) {
        let figures = bench
            .measure(&runtime, run, cores)
            .map_err(|problem| Failure::runtime(format!("{}: {problem}", run.workload.name())))?;
        if bench.json {
            print(&format!("{}\n", figures.json()));
        }
        measured.push(figures);
    }
    if !bench.json {
        print(&format!("{}\n{}", bench.headline(cores), report::table(&measured)));
    }
    Ok(())
}

impl Bench {
    fn measure(&self, runtime: &Runtime, run: Run, cores: Option<(usize, usize)>) -> Outcome<Figures> {
        let count = self.clients.map(usize::try_from).transpose();
        let (Ok(clients), Ok(payload)) = (count, usize::try_from(self.payload)) else {
            return Err(Problem::new("so many do not fit into this machine's memory"));
        };
        let plan = Plan {
            clients: clients.unwrap_or(run.workload.default_clients()),
            payload,
            time: Duration::from_secs(self.seconds.into()),
        };
        let target = match &self.url {
            Some(url) => Target::running(url, self.pid)?,
            // A new one for each, so that none is measured with the memory of another.
            None => Target::start(cores.map(|(server, _)| server), self.durability)?,
        };
        LocalSet::new().block_on(runtime, run.run(&target, &plan))
    }

    fn headline(&self, cores: Option<(usize, usize)>) -> String {
        let places = match (&self.url, cores) {
            (Some(url), _) => format!("server at {url}"),
            (None, Some((server, own))) => format!("server on core {server}, generator on core {own}"),
            (None, None) => "server and generator share the cores".into(),
        };
        let build = if cfg!(debug_assertions) { "; unoptimised build" } else { "" };
        let kept = match self.durability {
            _ if self.url.is_some() => "",
            Kept::Memory => ", in memory",
            Kept::Written => ", written to disk",
            Kept::Synced => ", synced to disk",
        };
        format!("{places}{kept}; {}-byte values, {} s each{build}", self.payload, self.seconds)
    }
}

#[expect(clippy::print_stdout, reason = "printing figures is what this command is for")]
fn print(text: &str) {
    print!("{text}");
    // A line that is done shall be seen at once; a closed output is no reason to stop.
    let _ = std::io::stdout().flush();
}
