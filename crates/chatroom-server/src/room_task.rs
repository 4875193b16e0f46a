//! One task per room: it runs the engine and carries out its effects.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chatroom_engine::{ConnectionId, Counts, Effect, Input, Room, RoomConfig, Tally, Time};
use chatroom_journal::{Journal, JournalError, Pending, Record};
use chatroom_protocol::{Code, Dialect, Refusal, RoomName, Sequence};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
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

pub(crate) struct RoomTask {
    name: RoomName,
    room: Room,
    clock: Clock,
    journal: Arc<dyn Journal>,
    metrics: Arc<Metrics>,
    outboxes: HashMap<ConnectionId, (Arc<Outbox>, Dialect)>,
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
    pub(crate) fn new(config: RoomConfig, clock: Clock, journal: Arc<dyn Journal>, metrics: Arc<Metrics>) -> Self {
        Self {
            name: config.name.clone(),
            room: Room::new(config),
            clock,
            journal,
            metrics,
            outboxes: HashMap::new(),
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
        loop {
            let wake_at = self.wake_at.map(|time| self.clock.instant(time));
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
                () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                    if rooms.leave(&self.name, &told) {
                        break;
                    }
                    self.empty_since = Some(Instant::now());
                }
            }
            self.append();
            self.count();
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
            Told::Opened { connection, dialect, outbox } => {
                self.outboxes.insert(connection, (outbox, dialect));
                self.handle(Input::Opened { connection, dialect });
            }
            Told::Received { connection, message } => {
                self.handle(Input::Received { connection, message: message.as_str() });
            }
            Told::Drained { connection, topics } => self.handle(Input::Drained { connection, topics }),
            Told::Closed { connection } => {
                self.outboxes.remove(&connection);
                self.handle(Input::Closed { connection });
            }
            Told::Count { answer } => {
                // Nobody waits any more if this fails.
                let _ = answer.send(self.room.counts());
            }
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.room.handle(self.clock.now(), input, &mut self.effects);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let mut deliveries = 0;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Send { to, frames, delivery } => {
                    if let Some((outbox, _)) = self.outboxes.get(&to) {
                        outbox.push(frames, &delivery);
                        deliveries += 1;
                    }
                }
                Effect::Broadcast { to, skip, seed, v1, delivery } => {
                    for (list, frames) in [(&to.seed, seed), (&to.v1, v1)] {
                        let Some(frames) = frames else { continue };
                        for connection in list.iter().filter(|connection| Some(**connection) != skip) {
                            if let Some((outbox, _)) = self.outboxes.get(connection) {
                                outbox.push(frames.clone(), &delivery);
                                deliveries += 1;
                            }
                        }
                    }
                }
                Effect::Append { sequence, record } => self.records.push(Record { sequence, bytes: record }),
                Effect::Close { connection, refusal } => {
                    if let Some((outbox, _)) = self.outboxes.get(&connection) {
                        outbox.end(refusal);
                    }
                }
                Effect::WakeAt(time) => self.wake_at = time,
            }
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
            tokio::spawn(self.journal.trim(&self.name, through));
        }
        Ok(())
    }

    fn expel_all(&self) {
        let mut outboxes: Vec<_> = self.outboxes.iter().collect();
        outboxes.sort_by_key(|(connection, _)| **connection);
        for (_, (outbox, _)) in outboxes {
            outbox.end(Refusal::new(Code::Internal, "the room's journal failed"));
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
