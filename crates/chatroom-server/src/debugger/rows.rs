//! The rows of the page's tables.

use std::collections::HashMap;

use chatroom_engine::{ClientView, Room, ServiceView, TopicView};
use chatroom_protocol::{ClientId, Sequence};
use serde::Serialize;

use super::preview::Preview;
use super::series::Latencies;
use crate::room_task::Member;

const PREVIEW_BYTES: usize = 120;
/// How many names and calls a row lists.
pub(crate) const LISTED: usize = 100;
/// How many providers of a service are counted apart.
const PROVIDERS: usize = 1_000;
/// How many calls of a service its latencies are taken from.
const RECENT_CALLS: usize = 512;

#[derive(Serialize)]
pub(crate) struct TopicRow<'a> {
    name: &'a str,
    r#type: &'static str,
    subscribers: usize,
    bytes: usize,
    sequence: Sequence,
    commits: u64,
    preview: String,
    changed_ms: u64,
    authority: bool,
}

/// What is counted of a topic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TopicCounts {
    pub(crate) commits: u64,
    pub(crate) changed_ms: u64,
}

impl<'a> TopicRow<'a> {
    pub(crate) fn new(topic: &TopicView<'a>, counts: TopicCounts) -> Self {
        Self {
            name: topic.name.as_str(),
            r#type: topic.kind.name(),
            subscribers: topic.subscribers,
            bytes: topic.bytes,
            sequence: topic.sequence,
            commits: counts.commits,
            preview: Preview::of(topic.value, PREVIEW_BYTES).text(),
            changed_ms: counts.changed_ms,
            authority: topic.guarded,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ServiceRow<'a> {
    name: &'a str,
    pick: &'static str,
    providers: Vec<ProviderRow>,
    waiting: usize,
    calls: u64,
    errors: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    in_flight: Vec<CallRow>,
}

#[derive(Serialize)]
struct ProviderRow {
    client: ClientId,
    in_flight: u32,
    concurrency: u32,
    calls: u64,
    errors: u64,
}

#[derive(Serialize)]
struct CallRow {
    call: u64,
    caller: ClientId,
    provider: Option<ClientId>,
    since_ms: u64,
}

/// What is counted of a service.
#[derive(Debug, Default)]
pub(crate) struct ServiceCounts {
    calls: u64,
    errors: u64,
    recent: Latencies,
    providers: HashMap<ClientId, (u64, u64)>,
}

impl ServiceCounts {
    pub(crate) fn answered(&mut self, provider: Option<ClientId>, took: Option<std::time::Duration>, failed: bool) {
        self.calls += 1;
        self.errors += u64::from(failed);
        if let Some(took) = took {
            self.recent.add(took, RECENT_CALLS);
        }
        // A provider that was lost may still be named by the calls it had.
        if let Some(provider) =
            provider.filter(|own| self.providers.len() < PROVIDERS || self.providers.contains_key(own))
        {
            let (calls, errors) = self.providers.entry(provider).or_default();
            *calls += 1;
            *errors += u64::from(failed);
        }
    }

    pub(crate) fn provider_gone(&mut self, provider: ClientId) {
        self.providers.remove(&provider);
    }
}

impl<'a> ServiceRow<'a> {
    pub(crate) fn new(service: &ServiceView<'a>, counts: Option<&ServiceCounts>) -> Self {
        let (p50_ms, p99_ms) = counts.map(|counts| counts.recent.percentiles_ms()).unwrap_or_default();
        let provider = |view: &chatroom_engine::ProviderView| {
            let own = counts.and_then(|counts| counts.providers.get(&view.client)).copied();
            let (calls, errors) = own.unwrap_or_default();
            let (client, in_flight, concurrency) = (view.client, view.in_flight, view.concurrency);
            ProviderRow { client, in_flight, concurrency, calls, errors }
        };
        let call = |view: &chatroom_engine::CallView| CallRow {
            call: view.call,
            caller: view.caller,
            provider: view.provider,
            since_ms: view.since.0,
        };
        Self {
            name: service.name,
            pick: service.pick,
            providers: service.providers.iter().map(provider).collect(),
            waiting: service.waiting,
            calls: counts.map_or(0, |counts| counts.calls),
            errors: counts.map_or(0, |counts| counts.errors),
            p50_ms,
            p99_ms,
            in_flight: service.calls.iter().map(call).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ClientRow<'a> {
    id: ClientId,
    address: String,
    dialect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    since_ms: u64,
    subscriptions: usize,
    topics: Vec<&'a str>,
    services: Vec<&'a str>,
    calls: usize,
    queue_bytes: usize,
    stale_topics: usize,
    received: u64,
    sent: u64,
    sent_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultRow>,
}

#[derive(Serialize)]
struct FaultRow {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
}

impl<'a> ClientRow<'a> {
    pub(crate) fn new(client: ClientView<'a>, member: &Member, received: u64) -> Self {
        let stats = member.outbox.stats();
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let fault = member.faults.state().and_then(|state| match state.frozen_for() {
            Some(time) => Some(FaultRow { kind: "freeze", ms: Some(millis(time)) }),
            None if !state.delay.is_zero() => Some(FaultRow { kind: "delay", ms: Some(millis(state.delay)) }),
            None => None,
        });
        Self {
            id: client.client,
            address: member.address.map_or_else(|| "in process".into(), |address| address.to_string()),
            dialect: client.dialect.name(),
            name: client.name,
            version: client.version,
            since_ms: client.since.0,
            subscriptions: client.subscriptions,
            topics: client.topics,
            services: client.services,
            calls: client.calls,
            queue_bytes: stats.queue_bytes,
            stale_topics: stats.stale_topics,
            received,
            sent: stats.sent,
            sent_bytes: stats.sent_bytes,
            fault,
        }
    }
}

/// How many bytes wait for all clients of a room.
pub(crate) fn queue_bytes<'a>(members: impl Iterator<Item = &'a Member>) -> usize {
    members.map(|member| member.outbox.stats().queue_bytes).sum()
}

/// The names of all topics, in order.
pub(crate) fn topic_names(room: &Room) -> Vec<String> {
    let mut names: Vec<String> = room.topics().map(|topic| topic.name.to_string()).collect();
    names.sort_unstable();
    names
}
