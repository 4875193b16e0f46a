//! One task per room: it runs the engine and carries out its effects.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatroom_engine::{
    ConnectionId, Counts, Delivery, Effect, Input, Observation, Room, RoomConfig, Stretch, Tally, Time,
};
use chatroom_journal::{Journal, JournalError, Page, Record};
use chatroom_protocol::reply::goodbye;
use chatroom_protocol::{ClientId, Code, Dialect, Frame, Refusal, RoomName, Sequence};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::builder::OnCommit;
use crate::clock::Clock;
use crate::config::Keep;
use crate::debugger::{Feed, Sight};
use crate::fault::{Fault, Faults};
use crate::gathered::Gathered;
use crate::host::{Ask, HOST, Host, Undone};
use crate::ledger::{Ledger, Lost, Turn, lost};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::rooms::{Rooms, Told};

/// How many inputs are handled before the journal is given what they committed.
const BATCH: usize = 256;
/// How many sockets are written to before others have a turn.
const WRITES: usize = 256;
/// How long an empty room stays, so that a client that comes back at once finds it.
const EMPTY_FOR: Duration = Duration::from_secs(1);
/// How long those who are on the way to a room that cannot be opened are told so before it is tried
/// again.
const CLOSED_FOR: Duration = Duration::from_millis(200);

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

/// Where a room's commits are kept, and how long.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) keep: Keep,
}

/// Why a room is not served any more.
enum End {
    /// Nobody needs it.
    Left,
    /// Its journal failed; it may be opened again.
    Lost(Lost),
}

pub(crate) struct RoomTask {
    name: RoomName,
    config: RoomConfig,
    room: Room,
    clock: Clock,
    store: Option<Store>,
    ledger: Option<Ledger>,
    /// What is being read for clients, and which question it answers.
    readings: JoinSet<(u64, Result<Page, JournalError>)>,
    /// Whether the server ends.
    ending: bool,
    metrics: Arc<Metrics>,
    host: Option<Host>,
    feed: Option<Box<Feed>>,
    on_commit: Option<OnCommit>,
    members: HashMap<ConnectionId, Member>,
    /// For client 0; what it answers may cause more.
    to_host: VecDeque<Bytes>,
    effects: Vec<Effect>,
    /// The last broadcasts of this turn, if they went to the same clients.
    gathered: Option<Gathered>,
    /// Those that got something in this turn and whose sockets are written to from here.
    to_flush: Vec<Arc<Outbox>>,
    wake_at: Option<Time>,
    empty_since: Option<Instant>,
    counted: (Tally, Counts),
}

impl RoomTask {
    pub(crate) fn new(
        config: RoomConfig,
        part: Part,
        clock: Clock,
        store: Option<Store>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            host: part.host,
            feed: part.feed,
            on_commit: part.on_commit,
            to_host: VecDeque::new(),
            name: config.name.clone(),
            room: Room::new(config.clone()),
            config,
            clock,
            store,
            ledger: None,
            readings: JoinSet::new(),
            ending: false,
            metrics,
            members: HashMap::new(),
            effects: Vec::new(),
            gathered: None,
            to_flush: Vec::new(),
            wake_at: None,
            empty_since: None,
            counted: (Tally::default(), Counts::default()),
        }
    }

    #[tracing::instrument(name = "room", skip_all, fields(room = %self.name))]
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<Told>, rooms: Rooms) {
        self.metrics.rooms.inc();
        let mut full = None;
        loop {
            if let Err(lost) = self.open(full.take()).await {
                self.turn_away(&lost, &mut told, &rooms).await;
                break;
            }
            match self.serve(&mut told, &rooms).await {
                End::Left => break,
                End::Lost(lost) => {
                    tracing::error!(%lost, "the room is loaded again");
                    let refusal = refusal_of(&lost);
                    self.expel_all(&refusal);
                    if let Lost::Full(_) = lost {
                        full = Some(refusal);
                    }
                }
            }
        }
        self.metrics.add_counts(self.counted.1, Counts::default());
        self.metrics.rooms.dec();
        tracing::debug!("room closed");
    }

    /// Makes the room as it was kept. A journal that had no room for changes takes none until it has.
    async fn open(&mut self, full: Option<Refusal>) -> Result<(), Lost> {
        if let Some(Store { journal, keep }) = self.store.clone() {
            let (room, mut ledger) = Ledger::load(journal, keep, self.config.clone(), self.clock.now()).await?;
            self.room = room;
            // It counts from the beginning.
            self.metrics.add_counts(self.counted.1, Counts::default());
            self.counted = Default::default();
            if full.is_some() {
                ledger.probe();
            }
            self.room.refuse_changes(full);
            self.ledger = Some(ledger);
        }
        self.wake_at = None;
        // They were asked for by clients of the room as it was before.
        self.readings = JoinSet::new();
        (self.gathered, self.to_flush) = (None, Vec::new());
        if let Some(host) = &self.host {
            let registrations = host.registrations();
            self.handle(Input::Hosted { connection: HOST });
            for message in &registrations {
                self.handle(Input::Received { connection: HOST, message });
            }
        }
        tracing::debug!("room opened");
        Ok(())
    }

    async fn serve(&mut self, told: &mut mpsc::Receiver<Told>, rooms: &Rooms) -> End {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake_at = self.wake_at.map(|time| self.clock.instant(time));
            let flush_at = self.feed.as_ref().map(|feed| feed.due());
            let leave_at = self.empty_since.map(|since| since + self.stays_for());
            tokio::select! {
                biased;
                turn = turn(&mut self.ledger) => match turn {
                    Ok(turn) => self.turned(&turn),
                    Err(lost) => return End::Lost(lost),
                },
                count = told.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return End::Left;
                    }
                    for item in batch.drain(..) {
                        self.tell(item);
                    }
                }
                Some(Ok((reading, page))) = self.readings.join_next(), if !self.readings.is_empty() => {
                    self.read(reading, page);
                }
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    self.handle(Input::Tick);
                }
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {}
                () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                    if let Err(lost) = self.settle().await {
                        return End::Lost(lost);
                    }
                    if self.leave(told, rooms) {
                        return End::Left;
                    }
                    self.empty_since = Some(Instant::now());
                }
            }
            if let Some(ledger) = &mut self.ledger {
                ledger.go_on(&mut self.room, self.clock.now());
            }
            self.send_out().await;
            self.count();
            self.flush();
            if self.ending {
                if let Err(lost) = self.settle().await {
                    tracing::error!(%lost, "the room could not be saved; its records are read when it is loaded");
                }
                rooms.remove(&self.name);
                return End::Left;
            }
            self.empty_since = match self.is_unused() {
                true => self.empty_since.or_else(|| Some(Instant::now())),
                false => None,
            };
        }
    }

    /// Hands out what was gathered.
    fn send_gathered(&mut self) {
        let deliveries = send_gathered(&mut self.gathered, &self.members, &mut self.to_flush);
        if let Some(feed) = &mut self.feed {
            feed.delivered(deliveries);
        }
        self.metrics.deliveries.inc_by(deliveries);
    }

    /// Writes what this turn had for each client; others have their turn in between if it is much.
    async fn send_out(&mut self) {
        self.send_gathered();
        for (place, outbox) in self.to_flush.drain(..).enumerate() {
            outbox.flush();
            if place % WRITES == WRITES - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether the room could leave memory.
    fn is_unused(&self) -> bool {
        match &self.ledger {
            Some(_) => self.room.counts().clients == 0,
            None => self.room.is_empty(),
        }
    }

    fn stays_for(&self) -> Duration {
        match self.room.is_empty() {
            true => EMPTY_FOR,
            false => Duration::from_millis(self.config.limits.room_idle_ms),
        }
    }

    fn turned(&mut self, turn: &Turn) {
        match turn {
            Turn::Appended(sequence) => self.handle(Input::Appended { sequence: *sequence }),
            Turn::Writable => {
                tracing::info!("the journal has room again; the room takes changes");
                self.room.refuse_changes(None);
            }
            Turn::Look => {}
        }
    }

    /// Sees that everything is saved, so that the room need not replay it when it is loaded.
    async fn settle(&mut self) -> Result<(), Lost> {
        if self.ledger.is_none() {
            return Ok(());
        }
        self.room.prepare_to_leave();
        loop {
            let Some(ledger) = &mut self.ledger else { return Ok(()) };
            ledger.save_all(&self.room);
            ledger.go_on(&mut self.room, self.clock.now());
            if ledger.is_at_rest(&self.room) {
                return Ok(());
            }
            let turn = ledger.turn().await?;
            self.turned(&turn);
        }
    }

    fn leave(&self, told: &mpsc::Receiver<Told>, rooms: &Rooms) -> bool {
        let nothing = self.room.is_empty() && !self.room.remembers_deletions();
        let forget = || {
            if let Some(ledger) = self.ledger.as_ref().filter(|_| nothing) {
                ledger.forget();
            }
        };
        rooms.leave(&self.name, told, forget)
    }

    /// Tells all who are on the way that the room cannot be opened.
    async fn turn_away(&mut self, lost: &Lost, told: &mut mpsc::Receiver<Told>, rooms: &Rooms) {
        tracing::error!(%lost, "the room cannot be opened");
        let refusal = refusal_of(lost);
        loop {
            match tokio::time::timeout(CLOSED_FOR, told.recv()).await {
                Ok(Some(Told::Opened { dialect, outbox, .. })) => farewell(&outbox, dialect, &refusal),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) if rooms.leave(&self.name, told, || {}) => return,
                Err(_) => {}
            }
        }
    }

    fn tell(&mut self, told: Told) {
        if !matches!(told, Told::Received { .. }) {
            self.send_gathered();
        }
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
            Told::End => self.ending = true,
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

    /// Gives the room what the journal had for it.
    fn read(&mut self, reading: u64, page: Result<Page, JournalError>) {
        let page = page.map_err(|error| {
            tracing::error!(%error, "the past of the room cannot be read");
            refusal_of(&lost(error))
        });
        let records: Vec<(Sequence, &[u8])> =
            page.iter().flat_map(|page| &page.records).map(|record| (record.sequence, &record.bytes[..])).collect();
        let stretch = match &page {
            Ok(page) => Ok(Stretch { records: &records, oldest: page.oldest }),
            Err(refusal) => Err(refusal.clone()),
        };
        self.handle(Input::Read { reading, stretch });
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
                    // Its end has it taken from there.
                    let _ = member.outbox.push(goodbye(&refusal).bytes().clone(), &Delivery::reply());
                }
                member.outbox.end(refusal);
            }
            fault => {
                member.faults.inflict(fault);
                member.outbox.interrupt();
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
                    deliveries += send_before(&mut self.gathered, to, &self.members, &mut self.to_flush);
                    if let Some(member) = self.members.get(&to) {
                        if member.outbox.push(frames, &delivery) {
                            self.to_flush.push(member.outbox.clone());
                        }
                        deliveries += 1;
                    }
                }
                Effect::Broadcast { to, skip, seed, v1, delivery } => {
                    if !self.gathered.as_ref().is_some_and(|gathered| gathered.takes(&to, skip, &delivery)) {
                        deliveries += send_gathered(&mut self.gathered, &self.members, &mut self.to_flush);
                        self.gathered = Some(Gathered::new(to, skip, delivery));
                    }
                    if let Some(gathered) = &mut self.gathered {
                        gathered.add(seed, v1);
                    }
                }
                Effect::Append { sequence, record } => {
                    if let Some(feed) = &mut self.feed {
                        feed.appending(sequence);
                    }
                    if let Some(ledger) = &mut self.ledger {
                        ledger.record(Record { sequence, bytes: record }, self.clock.now());
                    }
                }
                Effect::Read { reading, before, count, bytes } => {
                    if let Some(Store { journal, .. }) = &self.store {
                        let page = journal.read_back(&self.name, before, count, bytes);
                        self.readings.spawn(async move { (reading, page.await) });
                    }
                }
                Effect::Close { connection, refusal } => {
                    deliveries += send_before(&mut self.gathered, connection, &self.members, &mut self.to_flush);
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

    fn expel_all(&mut self, refusal: &Refusal) {
        let mut members: Vec<_> = std::mem::take(&mut self.members).into_iter().collect();
        members.sort_by_key(|(connection, _)| *connection);
        for (_, member) in members {
            farewell(&member.outbox, member.dialect, refusal);
        }
    }

    fn count(&mut self) {
        let now = (self.room.tally(), self.room.counts());
        self.metrics.add_tally(self.counted.0, now.0);
        self.metrics.add_counts(self.counted.1, now.1);
        self.counted = now;
    }
}

/// Hands out what was gathered; returns how many frames were delivered.
fn send_gathered(
    gathered: &mut Option<Gathered>,
    members: &HashMap<ConnectionId, Member>,
    to_flush: &mut Vec<Arc<Outbox>>,
) -> u64 {
    let Some(gathered) = gathered.take() else { return 0 };
    gathered.deliver(|connection, frames, delivery| {
        let Some(member) = members.get(&connection) else { return false };
        if member.outbox.push(frames, delivery) {
            to_flush.push(member.outbox.clone());
        }
        true
    })
}

/// Hands out what was gathered if it has something for that client, who is about to get something else.
fn send_before(
    gathered: &mut Option<Gathered>,
    connection: ConnectionId,
    members: &HashMap<ConnectionId, Member>,
    to_flush: &mut Vec<Arc<Outbox>>,
) -> u64 {
    match gathered.as_ref().is_some_and(|gathered| gathered.is_for(connection)) {
        true => send_gathered(gathered, members, to_flush),
        false => 0,
    }
}

/// Waits for the journal; for ever if there is none.
async fn turn(ledger: &mut Option<Ledger>) -> Result<Turn, Lost> {
    match ledger {
        Some(ledger) => ledger.turn().await,
        None => std::future::pending().await,
    }
}

fn farewell(outbox: &Outbox, dialect: Dialect, refusal: &Refusal) {
    if dialect == Dialect::V1 {
        // Its end has it taken from there.
        let _ = outbox.push(goodbye(refusal).bytes().clone(), &Delivery::reply());
    }
    outbox.end(refusal.clone());
}

/// What clients are told of it; the log has the rest.
fn refusal_of(lost: &Lost) -> Refusal {
    match lost {
        Lost::Full(_) => Refusal::new(Code::StorageFull, "the server has no room to keep changes; try again later"),
        Lost::Failed(_) => Refusal::new(Code::Busy, "the server could not reach where it keeps the room; try again"),
        Lost::Damaged(_) => Refusal::new(
            Code::Internal,
            "what is kept of the room cannot be read; its operator finds out more with `chatroom check`",
        ),
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
