//! What can be measured.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::problem::Outcome;
use super::report::Figures;
use super::server_process::Target;
use super::{calls, fan_out, idle, rooms, writes};

/// A workload, by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// One writer, 1,000 subscribers of its topic, with 1 and with 32 updates in flight
    FanOut,
    /// 500 rooms of 4 clients, one update in flight in each
    Rooms,
    /// 100 callers and 10 providers of a service, 8 calls of each caller in flight
    Calls,
    /// 1, 64 and 1,024 writers of one topic, one change of each in flight
    Writes,
    /// 10,000 clients that wait: connecting, memory, and one broadcast to all
    Idle,
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) workload: Workload,
    /// Updates in flight, where a workload is measured with several numbers of them.
    in_flight: u64,
}

/// The sizes of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many clients, in the sense of the workload.
    pub(crate) clients: usize,
    /// Bytes of a value.
    pub(crate) payload: usize,
    /// How long to measure.
    pub(crate) time: Duration,
}

impl Plan {
    /// The name of a room that no other run uses.
    pub(crate) fn room(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        format!("bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Workload {
    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FanOut => "fan-out",
            Self::Rooms => "rooms",
            Self::Calls => "calls",
            Self::Writes => "writes",
            Self::Idle => "idle",
        }
    }

    /// Subscribers, clients of all rooms, callers, or idle clients.
    pub(crate) fn default_clients(self) -> usize {
        match self {
            Self::FanOut => 1_000,
            Self::Rooms => 2_000,
            Self::Calls => 100,
            Self::Writes => 0,
            Self::Idle => 10_000,
        }
    }

    /// What is measured of it, in order.
    pub(crate) fn runs(self) -> Vec<Run> {
        let in_flight: &[u64] = match self {
            Self::FanOut => &[1, 32],
            Self::Writes => &[1, 64, 1_024],
            _ => &[1],
        };
        in_flight.iter().map(|in_flight| Run { workload: self, in_flight: *in_flight }).collect()
    }
}

impl Run {
    /// Does it.
    pub(crate) async fn run(self, target: &Target, plan: &Plan) -> Outcome<Figures> {
        let figures = match self.workload {
            Workload::FanOut => fan_out::run(target, plan, self.in_flight).await,
            Workload::Rooms => rooms::run(target, plan).await,
            Workload::Calls => calls::run(target, plan).await,
            Workload::Writes => {
                let writers =
                    if plan.clients > 0 { plan.clients } else { usize::try_from(self.in_flight).unwrap_or(1) };
                writes::run(target, plan, writers).await
            }
            Workload::Idle => idle::run(target, plan).await,
        };
        figures.map(|figures| Figures { workload: self.workload.name(), payload_bytes: plan.payload, ..figures })
    }
}
