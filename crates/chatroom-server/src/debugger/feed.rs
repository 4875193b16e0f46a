//! What one room collects for the debugger, and how the pages that watch it are kept up to date.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chatroom_engine::{ConnectionId, Observation, Provision, Room, Time};
use chatroom_protocol::{Epoch, RoomName, Sequence};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::entry::{Entry, Log};
use super::hub::{Hub, RoomRow};
use super::preview::Preview;
use super::rows::{ClientRow, LISTED, ServiceCounts, ServiceRow, TopicCounts, TopicRow, queue_bytes, topic_names};
use super::series::{Levels, Sample, Series};
use crate::fault::Fault;
use crate::room_task::Member;

/// How often pages are told what is new.
const FLUSH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// How many rows one message holds, and how many topics a page is shown in all.
const ROWS: usize = 2_000;
const TOPICS: usize = 20_000;
/// How many entries a page gets at first, and in one batch.
const ENTRIES: usize = 500;
/// How many entries one answer to `inspect` and one to `history` have.
const TOPIC_ENTRIES: usize = 100;
const HISTORY: usize = 200;
/// A larger value is not sent to pages.
const VALUE_BYTES: usize = 256 << 10;
/// How many topics and services are counted for their rates.
const COUNTED: usize = 100_000;

/// A page that watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageId(pub(crate) u64);

/// The way to a page. What does not fit waits for the next whole state.
pub(crate) type ToPage = mpsc::Sender<Arc<str>>;

/// What pages ask of a room.
#[derive(Debug)]
pub(crate) enum Wish {
    Watch { page: PageId, to: ToPage },
    Leave { page: PageId },
    Inspect { page: PageId, topic_name: Option<String> },
    History { topic_name: Option<String>, before: Option<u64>, answer: tokio::sync::oneshot::Sender<Box<RawValue>> },
}

struct Page {
    id: PageId,
    to: ToPage,
    /// Something did not fit: the page needs the whole state anew.
    behind: bool,
    inspects: Option<String>,
    /// Topics it has not been told of yet.
    backlog: VecDeque<String>,
}

pub(crate) struct Feed {
    hub: Arc<Hub>,
    name: RoomName,
    log: Log,
    series: Series,
    topics: HashMap<String, TopicCounts>,
    services: HashMap<String, ServiceCounts>,
    /// When calls in flight were made.
    calls: HashMap<u64, Instant>,
    /// When commits that the journal is keeping were made.
    appending: VecDeque<(Sequence, Instant)>,
    received: HashMap<ConnectionId, u64>,
    pages: Vec<Page>,
    told: Told,
    flush_at: Instant,
    second_at: Instant,
    second_began: Instant,
    /// When the room began with its present input.
    began: Instant,
}

/// How far the pages have been told, and what they were not told yet.
#[derive(Default)]
struct Told {
    entry: u64,
    topics: BTreeSet<String>,
    services: BTreeSet<String>,
    clients: BTreeSet<ConnectionId>,
    clients_gone: Vec<chatroom_protocol::ClientId>,
    sample: Option<Sample>,
}

#[derive(Serialize)]
struct Whole<'a> {
    r#type: &'static str,
    room: &'a RoomName,
    epoch: Epoch,
    now_ms: u64,
    sequence: Sequence,
    topics: Vec<TopicRow<'a>>,
    topics_total: usize,
    services: Vec<ServiceRow<'a>>,
    clients: Vec<ClientRow<'a>>,
    clients_total: usize,
    entries: Vec<&'a RawValue>,
    series: Vec<&'a Sample>,
}

#[derive(Serialize)]
struct Batch<'a> {
    r#type: &'static str,
    room: &'a RoomName,
    now_ms: u64,
    sequence: Sequence,
    entries: Vec<&'a RawValue>,
    skipped: u64,
    topics: Vec<TopicRow<'a>>,
    topics_gone: Vec<&'a str>,
    services: Vec<ServiceRow<'a>>,
    services_gone: Vec<&'a str>,
    clients: Vec<ClientRow<'a>>,
    clients_gone: &'a [chatroom_protocol::ClientId],
    samples: &'a [Sample],
}

#[derive(Serialize)]
struct Inspected<'a> {
    r#type: &'static str,
    topic_name: &'a str,
    topic: Option<TopicRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    subscribers: Vec<chatroom_protocol::ClientId>,
    authorities: Vec<chatroom_protocol::ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<&'a RawValue>>,
}

/// What a feed looks at while it writes.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) room: &'a Room,
    pub(crate) members: &'a HashMap<ConnectionId, Member>,
    pub(crate) now: Time,
}

impl Feed {
    pub(crate) fn new(hub: Arc<Hub>, name: RoomName) -> Self {
        let now = Instant::now();
        Self {
            hub,
            name,
            log: Log::default(),
            series: Series::default(),
            topics: HashMap::new(),
            services: HashMap::new(),
            calls: HashMap::new(),
            appending: VecDeque::new(),
            received: HashMap::new(),
            pages: Vec::new(),
            told: Told::default(),
            flush_at: now,
            second_at: now + SECOND,
            second_began: now,
            began: now,
        }
    }

    pub(crate) fn received(&mut self, connection: ConnectionId) {
        self.series.received += 1;
        *self.received.entry(connection).or_default() += 1;
    }

    pub(crate) fn delivered(&mut self, count: u64) {
        self.series.deliveries += count;
    }

    /// An input is about to be handled.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    pub(crate) fn appending(&mut self, sequence: Sequence) {
        self.appending.push_back((sequence, self.began));
    }

    pub(crate) fn inflicted(&mut self, client: chatroom_protocol::ClientId, fault: Fault, now: Time) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).ok();
        let (kind, ms) = match fault {
            Fault::Disconnect => ("disconnect", None),
            Fault::Drop => ("drop", None),
            Fault::Freeze(time) => ("freeze", millis(time)),
            Fault::Delay(time) => ("delay", millis(time)),
        };
        self.log.fault(now.0, client, kind, ms);
    }

    /// Takes one observation in.
    pub(crate) fn observed(&mut self, sight: Sight<'_>, observation: &Observation) {
        let now = Instant::now();
        let t_ms = sight.now.0;
        let mut took = Duration::ZERO;
        match observation {
            Observation::Committed(commit) => {
                // What is not journaled is told within its own input.
                took = now - self.began;
                while let Some((sequence, began)) = self.appending.front().copied()
                    && sequence <= commit.sequence
                {
                    self.appending.pop_front();
                    if sequence == commit.sequence {
                        took = now - began;
                    }
                }
                self.series.committed(took);
                for change in &commit.changes {
                    let name = change.topic_name.as_str();
                    if let Some(counts) = self.topics.get_mut(name) {
                        counts.commits += 1;
                        counts.changed_ms = t_ms;
                    } else if self.topics.len() < COUNTED {
                        self.topics.insert(name.to_owned(), TopicCounts { commits: 1, changed_ms: t_ms });
                    }
                }
            }
            Observation::Refused(_) => self.series.rejects += 1,
            Observation::Called { call } => {
                self.calls.insert(*call, now);
            }
            Observation::Answered(answered) => {
                let since = answered.call.and_then(|call| self.calls.remove(&call)).map(|began| now - began);
                took = since.unwrap_or_default();
                let failed = answered.outcome.is_err();
                self.series.answered(since, failed);
                let name = answered.service_name.as_str();
                if self.services.contains_key(name) || self.services.len() < COUNTED {
                    self.services.entry(name.to_owned()).or_default().answered(answered.provider, since, failed);
                    self.told.services.insert(name.to_owned());
                }
            }
            Observation::Connected { connection, client } => {
                let address = sight.members.get(connection).and_then(|member| member.address);
                let address = address.map_or_else(|| "in process".into(), |address| address.to_string());
                self.log.client(t_ms, *client, "connected", Some(address));
                // It may have been here until now, on another connection.
                self.told.clients_gone.retain(|gone| gone != client);
            }
            Observation::Disconnected { client } => self.told.clients_gone.push(*client),
            Observation::Service { service_name, client, what: Provision::Unregistered | Provision::Lost } => {
                if let Some(counts) = self.services.get_mut(service_name.as_str()) {
                    counts.provider_gone(*client);
                }
            }
            Observation::Service { .. } | Observation::Told { .. } | Observation::Status(_) => {}
        }
        self.log.observed(sight.room, t_ms, took.as_secs_f64() * 1_000.0, observation);
    }

    pub(crate) fn wish(&mut self, sight: Sight<'_>, wish: Wish) {
        match wish {
            Wish::Watch { page, to } => {
                self.pages.retain(|other| other.id != page);
                let page = Page { id: page, to, behind: true, inspects: None, backlog: VecDeque::new() };
                self.pages.push(page);
                self.flush_at = Instant::now();
            }
            Wish::Leave { page } => self.pages.retain(|other| other.id != page),
            Wish::Inspect { page, topic_name } => {
                if let Some(page) = self.pages.iter_mut().find(|other| other.id == page) {
                    page.inspects = topic_name;
                    if let Some(name) = &page.inspects {
                        let entries = self.log.newest(TOPIC_ENTRIES, 0, u64::MAX, Some(name));
                        let message = inspected(sight, &self.topics, name, Some(raw(&entries)));
                        page.behind |= page.to.try_send(message).is_err();
                    }
                }
            }
            Wish::History { topic_name, before, answer } => {
                #[derive(Serialize)]
                struct Found<'a> {
                    entries: Vec<&'a RawValue>,
                }
                let entries = self.log.newest(HISTORY, 0, before.unwrap_or(u64::MAX), topic_name.as_deref());
                let found = serde_json::value::to_raw_value(&Found { entries: raw(&entries) });
                // The page may be gone.
                let _ = answer.send(found.unwrap_or_else(|_| RawValue::NULL.to_owned()));
            }
        }
    }

    /// When [`Feed::flush`] has something to do.
    pub(crate) fn due(&self) -> Instant {
        match self.pages.is_empty() {
            true => self.second_at,
            false => self.flush_at.min(self.second_at),
        }
    }

    /// Tells the pages what is new, and ends the second if it is over.
    pub(crate) fn flush(&mut self, room: &mut Room, members: &HashMap<ConnectionId, Member>, now: Time) {
        let touched = room.take_touched();
        self.told.topics.extend(touched.topics);
        self.told.services.extend(touched.services);
        let sight = Sight { room, members, now };
        let moment = Instant::now();
        if moment >= self.second_at {
            self.end_second(sight, moment);
        }
        if moment < self.flush_at && !self.pages.is_empty() {
            return;
        }
        self.flush_at = moment + FLUSH;
        self.pages.retain(|page| !page.to.is_closed());
        self.batch(sight);
        for page in &mut self.pages {
            let message = if page.behind && page.to.capacity() == page.to.max_capacity() {
                whole(sight, &self.name, &self.log, &self.series, &self.topics, &self.services, page)
            } else if !page.behind && !page.backlog.is_empty() {
                more_topics(sight, &self.name, &self.topics, &mut page.backlog)
            } else {
                continue;
            };
            page.behind = page.to.try_send(message).is_err();
        }
        self.told = Told { entry: self.log.last(), ..Told::default() };
    }

    fn end_second(&mut self, sight: Sight<'_>, moment: Instant) {
        let elapsed = moment - self.second_began;
        let levels = Levels {
            queue_bytes: queue_bytes(sight.members.values()),
            clients: sight.room.counts().clients,
            topics: sight.room.counts().topics,
        };
        let sample = self.series.end_second(sight.now.0, elapsed, levels);
        let counts = sight.room.counts();
        self.hub.put(RoomRow {
            name: self.name.clone(),
            clients: counts.clients,
            topics: counts.topics,
            services: counts.services,
            sequence: sight.room.sequence(),
        });
        self.told.sample = Some(sample);
        self.told.clients = sight.members.keys().copied().take(ROWS).collect();
        self.topics.retain(|name, _| sight.room.topic(name).is_some());
        self.received.retain(|connection, _| sight.members.contains_key(connection));
        // What is gone is remembered for a while: it may come back.
        if self.services.len() > 2 * counts.services + ROWS {
            self.services.retain(|name, _| sight.room.service(name, 0).is_some());
        }
        // Calls of services that are gone leave in other ways than by an answer.
        if self.calls.len() > 2 * counts.calls + LISTED {
            let oldest = moment - Duration::from_secs(900);
            self.calls.retain(|_, began| *began > oldest);
        }
        self.second_began = moment;
        self.second_at = moment + SECOND;
    }

    /// One message for all pages that are up to date.
    fn batch(&mut self, sight: Sight<'_>) {
        if !self.pages.iter().any(|page| !page.behind) {
            return;
        }
        let told = &self.told;
        let entries = self.log.newest(ENTRIES, told.entry, u64::MAX, None);
        let skipped = self.log.last() - told.entry - entries.len() as u64;
        let mut topics = Vec::new();
        let mut topics_gone = Vec::new();
        for name in told.topics.iter().take(ROWS) {
            match sight.room.topic(name) {
                Some(topic) => topics.push(TopicRow::new(&topic, counts(&self.topics, name))),
                None => topics_gone.push(name.as_str()),
            }
        }
        let mut services = Vec::new();
        let mut services_gone = Vec::new();
        for name in told.services.iter().take(ROWS) {
            match sight.room.service(name, LISTED) {
                Some(service) => services.push(ServiceRow::new(&service, self.services.get(name.as_str()))),
                None => services_gone.push(name.as_str()),
            }
        }
        let clients = told.clients.iter().filter_map(|connection| client(sight, &self.received, *connection)).collect();
        let batch = Batch {
            r#type: "batch",
            room: &self.name,
            now_ms: sight.now.0,
            sequence: sight.room.sequence(),
            entries: raw(&entries),
            skipped,
            topics,
            topics_gone,
            services,
            services_gone,
            clients,
            clients_gone: &told.clients_gone,
            samples: told.sample.as_slice(),
        };
        let quiet = batch.entries.is_empty()
            && batch.topics.is_empty()
            && batch.topics_gone.is_empty()
            && batch.services.is_empty()
            && batch.services_gone.is_empty()
            && batch.clients_gone.is_empty()
            && batch.samples.is_empty();
        if quiet {
            return;
        }
        let message = text(&batch);
        // Rows beyond the first come with the next flush.
        let left: BTreeSet<String> = told.topics.iter().skip(ROWS).cloned().collect();
        for page in self.pages.iter_mut().filter(|page| !page.behind) {
            page.behind = page.to.try_send(message.clone()).is_err();
            page.backlog.extend(left.iter().cloned());
            if let Some(name) = page.inspects.as_ref().filter(|name| told.topics.contains(*name)) {
                page.behind |= page.to.try_send(inspected(sight, &self.topics, name, None)).is_err();
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.remove(&self.name);
    }
}

fn whole(
    sight: Sight<'_>,
    name: &RoomName,
    log: &Log,
    series: &Series,
    counted: &HashMap<String, TopicCounts>,
    services: &HashMap<String, ServiceCounts>,
    page: &mut Page,
) -> Arc<str> {
    let names = topic_names(sight.room);
    let topics = rows(sight, counted, names.iter().take(ROWS));
    page.backlog = names.iter().skip(ROWS).take(TOPICS - ROWS).cloned().collect();
    let mut connections: Vec<ConnectionId> = sight.members.keys().copied().collect();
    connections.sort_unstable();
    let none = HashMap::new();
    text(&Whole {
        r#type: "room",
        room: name,
        epoch: sight.room.epoch(),
        now_ms: sight.now.0,
        sequence: sight.room.sequence(),
        topics,
        topics_total: names.len(),
        services: sight
            .room
            .service_names()
            .take(ROWS)
            .filter_map(|name| sight.room.service(name, LISTED))
            .map(|service| ServiceRow::new(&service, services.get(service.name)))
            .collect(),
        clients: connections.iter().take(ROWS).filter_map(|connection| client(sight, &none, *connection)).collect(),
        clients_total: sight.room.counts().clients,
        entries: raw(&log.newest(ENTRIES, 0, u64::MAX, None)),
        series: series.samples().collect(),
    })
}

fn more_topics(
    sight: Sight<'_>,
    name: &RoomName,
    counted: &HashMap<String, TopicCounts>,
    backlog: &mut VecDeque<String>,
) -> Arc<str> {
    let names: Vec<String> = backlog.drain(..backlog.len().min(ROWS)).collect();
    text(&Batch {
        r#type: "batch",
        room: name,
        now_ms: sight.now.0,
        sequence: sight.room.sequence(),
        entries: Vec::new(),
        skipped: 0,
        topics: rows(sight, counted, names.iter()),
        topics_gone: Vec::new(),
        services: Vec::new(),
        services_gone: Vec::new(),
        clients: Vec::new(),
        clients_gone: &[],
        samples: &[],
    })
}

fn inspected(
    sight: Sight<'_>,
    counted: &HashMap<String, TopicCounts>,
    name: &str,
    entries: Option<Vec<&RawValue>>,
) -> Arc<str> {
    let topic = sight.room.topic(name);
    let value = topic.as_ref().and_then(|topic| match Preview::of(topic.value, VALUE_BYTES) {
        Preview::Whole(text) => RawValue::from_string(text).ok(),
        Preview::Cut(_) => None,
    });
    text(&Inspected {
        r#type: "topic",
        topic_name: name,
        topic: topic.map(|topic| TopicRow::new(&topic, counts(counted, name))),
        value,
        subscribers: sight.room.subscribers(name, LISTED),
        authorities: sight.room.authorities(name),
        entries,
    })
}

fn rows<'a>(
    sight: Sight<'a>,
    counted: &HashMap<String, TopicCounts>,
    names: impl Iterator<Item = &'a String>,
) -> Vec<TopicRow<'a>> {
    names.filter_map(|name| sight.room.topic(name).map(|topic| TopicRow::new(&topic, counts(counted, name)))).collect()
}

fn counts(counted: &HashMap<String, TopicCounts>, name: &str) -> TopicCounts {
    counted.get(name).copied().unwrap_or_default()
}

fn client<'a>(
    sight: Sight<'a>,
    received: &HashMap<ConnectionId, u64>,
    connection: ConnectionId,
) -> Option<ClientRow<'a>> {
    let member = sight.members.get(&connection)?;
    let client = sight.room.client(connection, LISTED)?;
    Some(ClientRow::new(client, member, received.get(&connection).copied().unwrap_or_default()))
}

fn raw<'a>(entries: &[&'a Entry]) -> Vec<&'a RawValue> {
    entries.iter().map(|entry| &*entry.json).collect()
}

/// A message as its text.
fn text(message: &impl Serialize) -> Arc<str> {
    serde_json::to_string(message).expect("our own messages have a JSON form").into()
}
