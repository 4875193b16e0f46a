//! Counters and gauges for `/metrics`, in the OpenMetrics text format.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chatroom_engine::{Counts, Tally};
use chatroom_journal::Stats;
use chatroom_protocol::Dialect;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Level = Gauge<i64, AtomicI64>;

/// What the server counts. Every room adds to the same numbers.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Family<Vec<(&'static str, &'static str)>, Level>,
    pub(crate) accepted: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) writes: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) collapses: Counter,
    pub(crate) slow_consumers: Counter,
    pub(crate) rooms: Level,
    messages: Counter,
    commits: Counter,
    rejects: Counter,
    complaints: Counter,
    calls: Counter,
    encodings: Counter,
    topics: Level,
    subscriptions: Level,
    services: Level,
    calls_open: Level,
}

impl Metrics {
    /// The gauge of open connections of a dialect.
    pub(crate) fn connections_of(&self, dialect: Dialect) -> Level {
        self.connections.get_or_create(&vec![("dialect", dialect.name())]).clone()
    }

    /// Adds what a room counted since it last did.
    pub(crate) fn add_tally(&self, before: Tally, now: Tally) {
        self.messages.inc_by(now.messages - before.messages);
        self.commits.inc_by(now.commits - before.commits);
        self.rejects.inc_by(now.rejects - before.rejects);
        self.complaints.inc_by(now.complaints - before.complaints);
        self.calls.inc_by(now.calls - before.calls);
        self.encodings.inc_by(now.encodings - before.encodings);
    }

    /// Adds what a room's holdings changed by.
    pub(crate) fn add_counts(&self, before: Counts, now: Counts) {
        let difference =
            |now: usize, before: usize| i64::try_from(now).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        self.topics.inc_by(difference(now.topics, before.topics));
        self.subscriptions.inc_by(difference(now.subscriptions, before.subscriptions));
        self.services.inc_by(difference(now.services, before.services));
        self.calls_open.inc_by(difference(now.calls, before.calls));
    }

    /// All of it as text.
    pub(crate) fn text(self: &Arc<Self>, journal: Option<&Stats>) -> String {
        let mut registry = Registry::with_prefix("chatroom");
        registry.register("connections", "Open WebSocket connections", self.connections.clone());
        registry.register("accepted_connections", "TCP connections accepted", self.accepted.clone());
        registry.register("received_bytes", "Bytes read from clients", self.received_bytes.clone());
        registry.register("sent_bytes", "Bytes written to clients", self.sent_bytes.clone());
        registry.register("writes", "Writes to sockets", self.writes.clone());
        registry.register("deliveries", "Frames handed to connections", self.deliveries.clone());
        registry.register("collapses", "Times a slow reader's updates gave way to a snapshot", self.collapses.clone());
        registry.register(
            "slow_consumers",
            "Connections closed because they did not read",
            self.slow_consumers.clone(),
        );
        registry.register("rooms", "Rooms in memory", self.rooms.clone());
        registry.register("messages", "Messages received", self.messages.clone());
        registry.register("commits", "Actions committed", self.commits.clone());
        registry.register("rejects", "Actions refused", self.rejects.clone());
        registry.register("complaints", "Messages not understood or not allowed", self.complaints.clone());
        registry.register("calls", "Service calls opened", self.calls.clone());
        registry.register("encodings", "Frames written for commits", self.encodings.clone());
        registry.register("topics", "Topics in memory", self.topics.clone());
        registry.register("subscriptions", "Subscriptions", self.subscriptions.clone());
        registry.register("services", "Services with a provider", self.services.clone());
        registry.register("open_calls", "Service calls in flight or waiting", self.calls_open.clone());
        if let Some(stats) = journal {
            register_journal(&mut registry, stats);
        }
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes any text");
        text
    }
}

fn register_journal(registry: &mut Registry, stats: &Stats) {
    let counters: [(&str, &str, &AtomicU64); 5] = [
        ("journal_appends", "Appends that the journal carried out", &stats.appends),
        ("journal_batches", "Batches that the journal wrote", &stats.batches),
        ("journal_syncs", "Syncs of the journal", &stats.syncs),
        ("journal_bytes", "Bytes handed to the journal's store", &stats.bytes),
        ("journal_batch_microseconds", "How long all batches of the journal took", &stats.batches_us),
    ];
    for (name, help, value) in counters {
        let counter: Counter = Counter::default();
        counter.inc_by(value.load(Ordering::Relaxed));
        registry.register(name, help, counter);
    }
    let levels = [
        ("journal_waiting", "Works that wait for the journal", &stats.queued),
        ("journal_longest_batch_microseconds", "The longest batch of the journal", &stats.longest_batch_us),
    ];
    for (name, help, value) in levels {
        let level = Level::default();
        level.set(i64::try_from(value.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        registry.register(name, help, level);
    }
}
