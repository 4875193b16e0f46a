//! One task per room: it runs the engine and carries out its effects.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatroom_engine::{ConnectionId, Counts, Delivery, Effect, Input, Observation, Room, RoomConfig, Tally, Time};
use chatroom_journal::{Journal, JournalError, Pending, Record};
use chatroom_protocol::reply::goodbye;
use chatroom_protocol::{ClientId, Code, Dialect, Frame, Refusal, RoomName, Sequence};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::builder::OnCommit;
use crate::clock::Clock;
use crate::debugger::{Feed, Sight};
use crate::fault::{Fault, Faults};
use crate::host::{Ask, HOST, Host, Undone};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::rooms::{Rooms, Told};

/// How many inputs are handled before the journal is given what they committed.
const BATCH: usize = 256;
/// How many records a journal in memory keeps of a room.
const RECORDS_KEPT: usize = 1_000;
/// And no more than so many bytes of them.
const RECORD_BYTES_KEPT: usize = 1 << 20;
/// How long an empty room stays, so that a client that comes back at once finds it.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// What takes part in a room besides its clients.
pub(crate) struct Part {
    pub(crate) host: Option<Host>,
    pub(crate) feed: Option<Box<Feed>>,
    pub(crate) on_commit: Option<OnCommit>,
}

/// A connection as its room sees it.
pub(crate) struct Member {
    pub(crate) outbox: Arc<Outbox>,
    dialect: Dialect,
    pub(crate) faults: Arc<Faults>,
    pub(crate) address: Option<SocketAddr>,
}

pub(crate) struct RoomTask {
    name: RoomName,
    room: Room,
    clock: Clock,
    journal: Arc<dyn Journal>,
    metrics: Arc<Metrics>,
    host: Option<Host>,
    feed: Option<Box<Feed>>,
    on_commit: Option<OnCommit>,
    members: HashMap<ConnectionId, Member>,
    /// For client 0; what it answers may cause more.
    to_host: VecDeque<Bytes>,
    effects: Vec<Effect>,
    /// Committed, and not yet given to the journal.
    records: Vec<Record>,
    /// Where the journal stands, and what it is doing.
    appended: Sequence,
    appending: Option<Pending<Sequence>>,
    kept: VecDeque<(Sequence, usize)>,
    kept_bytes: usize,
    wake_at: Option<Time>,
    empty_since: Option<Instant>,
    counted: (Tally, Counts),
}

impl RoomTask {
    pub(crate) fn new(
        config: RoomConfig,
        part: Part,
        clock: Clock,
        journal: Arc<dyn Journal>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            host: part.host,
            feed: part.feed,
            on_commit: part.on_commit,
            to_host: VecDeque::new(),
            name: config.name.clone(),
            room: Room::new(config),
            clock,
            journal,
            metrics,
            members: HashMap::new(),
            effects: Vec::new(),
            records: Vec::new(),
            appended: Sequence::default(),
            appending: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            wake_at: None,
            empty_since: None,
            counted: (Tally::default(), Counts::default()),
        }
    }

    #[tracing::instrument(name = "room", skip_all, fields(room = %self.name))]
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<Told>, rooms: Rooms) {
        self.metrics.rooms.inc();
        tracing::debug!("room opened");
        let mut batch = Vec::with_capacity(BATCH);
        if let Some(host) = &self.host {
            let registrations = host.registrations();
            self.handle(Input::Hosted { connection: HOST });
            for message in &registrations {
                self.handle(Input::Received { connection: HOST, message });
            }
        }
        loop {
            let wake_at = self.wake_at.map(|time| self.clock.instant(time));
            let flush_at = self.feed.as_ref().map(|feed| feed.due());
            let leave_at = self.empty_since.map(|since| since + EMPTY_FOR);
            tokio::select! {
                biased;
                done = wait_append(&mut self.appending) => {
                    if let Err(error) = self.appended(done) {
                        tracing::error!(%error, "the journal failed; the room closes");
                        self.expel_all();
                        break;
                    }
                }
                count = told.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    for item in batch.drain(..) {
                        self.tell(item);
                    }
                }
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    self.handle(Input::Tick);
                }
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {}
                () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                    if rooms.leave(&self.name, &told) {
                        break;
                    }
                    self.empty_since = Some(Instant::now());
                }
            }
            self.append();
            self.count();
            self.flush();
            self.empty_since = match self.room.is_empty() {
                true => self.empty_since.or_else(|| Some(Instant::now())),
                false => None,
            };
        }
        self.metrics.add_counts(self.counted.1, Counts::default());
        self.metrics.rooms.dec();
        // A journal that cannot forget now may do so when the room begins anew.
        let _ = self.journal.forget(&self.name).await;
        tracing::debug!("room closed");
    }

    fn tell(&mut self, told: Told) {
        match told {
            Told::Opened { connection, dialect, outbox, faults, address } => {
                self.members.insert(connection, Member { outbox, dialect, faults, address });
                self.handle(Input::Opened { connection, dialect, secret: secret() });
            }
            Told::Received { connection, message } => {
                if let Some(feed) = &mut self.feed {
                    feed.received(connection);
                }
                self.handle(Input::Received { connection, message: message.as_str() });
            }
            Told::Drained { connection, topics } => self.handle(Input::Drained { connection, topics }),
            Told::Closed { connection } => {
                self.members.remove(&connection);
                self.handle(Input::Closed { connection });
            }
            Told::Count { answer } => {
                // Nobody waits any more if this fails.
                let _ = answer.send(self.room.counts());
            }
            Told::Said { message } => self.handle(Input::Received { connection: HOST, message: &message }),
            Told::Ask { ask: Ask::Create { topic_name, .. }, outcome } if self.room.topic(&topic_name).is_some() => {
                let reason = format!("there is a topic {topic_name} already");
                // Whoever asked may be gone.
                let _ = outcome.send(Err(Undone { code: Code::Precondition.number().into(), reason }));
            }
            Told::Ask { ask, outcome } => {
                if let Some(message) = self.host.as_mut().and_then(|host| host.ask(ask, outcome)) {
                    self.handle(Input::Received { connection: HOST, message: &message });
                }
            }
            Told::Debug(wish) => {
                if let Some(feed) = &mut self.feed {
                    let sight = Sight { room: &self.room, members: &self.members, now: self.clock.now() };
                    feed.wish(sight, wish);
                }
            }
            Told::Inflict { client, fault, done } => {
                // Nobody waits any more if this fails.
                let _ = done.send(self.inflict(client, fault));
            }
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        if let Some(feed) = &mut self.feed {
            feed.begin();
        }
        self.room.handle(self.clock.now(), input, &mut self.effects);
        self.carry_out();
        while let Some(message) = self.to_host.pop_front() {
            for said in self.host.as_mut().map(|host| host.hear(&message)).unwrap_or_default() {
                self.room.handle(
                    self.clock.now(),
                    Input::Received { connection: HOST, message: &said },
                    &mut self.effects,
                );
                self.carry_out();
            }
        }
    }

    fn inflict(&mut self, client: ClientId, fault: Fault) -> bool {
        let member = self.room.connection_of(client).and_then(|connection| self.members.get(&connection));
        let Some(member) = member else {
            return false;
        };
        match fault {
            Fault::Disconnect => {
                let refusal = Refusal::new(Code::ConnectionLost, "disconnected on purpose; connect again");
                if member.dialect == Dialect::V1 {
                    member.outbox.push(goodbye(&refusal).bytes().clone(), &Delivery::reply());
                }
                member.outbox.end(refusal);
            }
            fault => {
                member.faults.inflict(fault);
                member.outbox.wake();
            }
        }
        if let Some(feed) = &mut self.feed {
            feed.inflicted(client, fault, self.clock.now());
        }
        true
    }

    fn flush(&mut self) {
        if let Some(feed) = &mut self.feed
            && feed.due() <= Instant::now()
        {
            feed.flush(&mut self.room, &self.members, self.clock.now());
        }
    }

    fn carry_out(&mut self) {
        let mut deliveries = 0;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to: HOST, frames, .. } => self.to_host.extend(Frame::payloads(frames)),
                Effect::Send { to, frames, delivery } => {
                    if let Some(member) = self.members.get(&to) {
                        member.outbox.push(frames, &delivery);
                        deliveries += 1;
                    }
                }
                Effect::Broadcast { to, skip, seed, v1, delivery } => {
                    for (list, frames) in [(&to.seed, seed), (&to.v1, v1)] {
                        let Some(frames) = frames else { continue };
                        for connection in list.iter().filter(|connection| Some(**connection) != skip) {
                            if let Some(member) = self.members.get(connection) {
                                member.outbox.push(frames.clone(), &delivery);
                                deliveries += 1;
                            }
                        }
                    }
                }
                Effect::Append { sequence, record } => {
                    if let Some(feed) = &mut self.feed {
                        feed.appending(sequence);
                    }
                    self.records.push(Record { sequence, bytes: record });
                }
                Effect::Close { connection, refusal } => {
                    if let Some(member) = self.members.get(&connection) {
                        member.outbox.end(refusal);
                    }
                }
                Effect::Observed(observation) => {
                    if let (Some(hook), Observation::Committed(commit)) = (&self.on_commit, &*observation) {
                        hook.call(&self.name, commit);
                    }
                    if let Some(feed) = &mut self.feed {
                        let sight = Sight { room: &self.room, members: &self.members, now: self.clock.now() };
                        feed.observed(sight, &observation);
                    }
                }
                Effect::WakeAt(time) => self.wake_at = time,
            }
        }
        if let Some(feed) = &mut self.feed {
            feed.delivered(deliveries);
        }
        self.metrics.deliveries.inc_by(deliveries);
    }

    /// Gives the journal what was committed, one batch at a time: what is committed while a batch
    /// is being kept goes with the next one.
    fn append(&mut self) {
        if self.appending.is_none() && !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.kept.extend(records.iter().map(|record| (record.sequence, record.bytes.len())));
            self.kept_bytes += records.iter().map(|record| record.bytes.len()).sum::<usize>();
            self.appending = Some(self.journal.append(&self.name, self.appended, records));
        }
    }

    fn appended(&mut self, done: Result<Sequence, JournalError>) -> Result<(), JournalError> {
        self.appending = None;
        self.appended = done?;
        self.handle(Input::Appended { sequence: self.appended });
        // Trimmed by halves, so that it is not asked for after each commit.
        if self.kept.len() >= 2 * RECORDS_KEPT || self.kept_bytes >= 2 * RECORD_BYTES_KEPT {
            let mut through = Sequence::default();
            while self.kept.len() > RECORDS_KEPT || self.kept_bytes > RECORD_BYTES_KEPT {
                let Some((sequence, bytes)) = self.kept.pop_front() else { break };
                through = sequence;
                self.kept_bytes -= bytes;
            }
            // A room in memory is its own snapshot.
            tokio::spawn(self.journal.save(&self.name, Vec::new(), through));
            tokio::spawn(self.journal.trim(&self.name, through));
        }
        Ok(())
    }

    fn expel_all(&self) {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(connection, _)| **connection);
        for (_, member) in members {
            member.outbox.end(Refusal::new(Code::Internal, "the room's journal failed"));
        }
    }

    fn count(&mut self) {
        let now = (self.room.tally(), self.room.counts());
        self.metrics.add_tally(self.counted.0, now.0);
        self.metrics.add_counts(self.counted.1, now.1);
        self.counted = now;
    }
}

/// Waits for an append in flight; for ever if there is none.
async fn wait_append(appending: &mut Option<Pending<Sequence>>) -> Result<Sequence, JournalError> {
    match appending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// What a client proves itself with later.
fn secret() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness there is no secret, and nobody can come back: never one that can be guessed.
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the machine has no randomness; clients cannot resume their sessions");
    }
    bytes
}
