//! What the clients of a workload share, and the stretch of time that is measured.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::histogram::Histogram;
use super::problem::{Outcome, Problem};
use super::process;
use super::report::{Figures, Latency};
use super::server_metrics::ServerMetrics;
use super::server_process::Target;
use super::stopwatch::{now_ns, seconds_between};

/// How long the load runs before it is measured, in parts of the time that is.
const WARM_UP_PART: u32 = 5;
/// How long what is in flight may take to arrive when a workload ends.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(5);

/// What the clients of a workload count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    operations: Cell<u64>,
    deliveries: Cell<u64>,
    in_flight: Cell<u64>,
    ending: Cell<bool>,
    latency: RefCell<Histogram>,
}

impl Tally {
    /// An update or a call was sent.
    pub(crate) fn sent(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// All of it that had to arrive has arrived.
    pub(crate) fn completed(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.operations.set(self.operations.get() + 1);
    }

    /// A message arrived at a client other than its author.
    pub(crate) fn delivered(&self) {
        self.deliveries.set(self.deliveries.get() + 1);
    }

    /// What was sent then was read now.
    pub(crate) fn took(&self, sent_at: u64, now: u64) {
        self.latency.borrow_mut().record(now.saturating_sub(sent_at));
    }

    /// Updates or calls that are not complete.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    /// Whether nothing more is to be sent.
    pub(crate) fn ending(&self) -> bool {
        self.ending.get()
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        self.operations.set(0);
        self.deliveries.set(0);
        *self.latency.borrow_mut() = Histogram::default();
    }

    /// What was measured of the times.
    pub(crate) fn latency(&self) -> Latency {
        Latency::of(&self.latency.borrow())
    }
}

/// Clients at work; each runs until it fails or is dropped.
pub(crate) type Clients = JoinSet<Outcome<()>>;

/// Lets the clients work for a time; a client that fails ends it.
pub(crate) async fn work(clients: &mut Clients, time: Duration) -> Outcome<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = clients.join_next() => {
            ended??;
            Err(Problem::new("a client stopped before its time"))
        }
    }
}

/// The load of both processes at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: u64,
    own: Option<f64>,
    server: Option<f64>,
}

impl Moment {
    pub(crate) fn now(target: &Target) -> Self {
        let own = process::cpu_seconds(std::process::id());
        Self { at: now_ns(), own, server: target.pid.and_then(process::cpu_seconds) }
    }

    /// The seconds between two moments.
    pub(crate) fn seconds_to(self, end: Self) -> f64 {
        seconds_between(self.at, end.at)
    }

    /// The seconds of processor time that the server used between two moments.
    pub(crate) fn server_cpu_to(self, end: Self) -> Option<f64> {
        Some(end.server? - self.server?)
    }

    /// Fills in the time and who used the processor in it.
    pub(crate) fn fill(self, end: Self, figures: &mut Figures) {
        let seconds = self.seconds_to(end);
        figures.seconds = seconds;
        figures.server_core_percent = self.server_cpu_to(end).map(|used| used / seconds * 100.0);
        figures.generator_core_percent =
            self.own.zip(end.own).map(|(before, after)| (after - before) / seconds * 100.0);
    }
}

/// Warms up, measures for `time`, and waits until all in flight has arrived.
pub(crate) async fn measure(
    target: &Target,
    tally: &Tally,
    clients: &mut Clients,
    time: Duration,
    figures: &mut Figures,
) -> Outcome<()> {
    work(clients, time / WARM_UP_PART).await?;
    let metrics_before = metrics(target).await?;
    tally.clear();
    let before = Moment::now(target);
    work(clients, time).await?;
    let after = Moment::now(target);
    let (operations, deliveries) = (tally.operations.get(), tally.deliveries.get());
    figures.latency = tally.latency();
    let metrics_after = metrics(target).await?;
    if operations == 0 {
        return Err(Problem::new("nothing came through in the time that was measured"));
    }

    before.fill(after, figures);
    figures.operations = Some(operations);
    figures.deliveries = Some(deliveries);
    figures.server_us_per_delivery = before.server_cpu_to(after).map(|used| used * 1e6 / deliveries as f64);
    let delivered = metrics_after.deliveries - metrics_before.deliveries;
    figures.writes_per_delivery = (delivered > 0.0).then(|| (metrics_after.writes - metrics_before.writes) / delivered);
    figures.server_memory_bytes = target.pid.and_then(process::memory_bytes);
    settle(tally, clients).await
}

async fn metrics(target: &Target) -> Outcome<ServerMetrics> {
    let asked = timeout(PATIENCE, ServerMetrics::of(target.address)).await;
    asked.map_err(|_| Problem::new("the server does not answer /metrics"))?
}

/// Ends the load: nothing may be missing, and nothing may come that was not awaited.
pub(crate) async fn settle(tally: &Tally, clients: &mut Clients) -> Outcome<()> {
    tally.ending.set(true);
    let mut waited = Duration::ZERO;
    while tally.in_flight() > 0 {
        if waited >= PATIENCE {
            return Err(Problem::new(format!(
                "{} of what was sent had not arrived everywhere {} s after the end",
                tally.in_flight(),
                PATIENCE.as_secs()
            )));
        }
        work(clients, GLANCE).await?;
        waited += GLANCE;
    }
    work(clients, 10 * GLANCE).await
}
