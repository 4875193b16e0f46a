//! A room without sockets: clients are queues, time is a number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chatroom_engine::{ConnectionId, Effect, Input, Keeping, NoAuthority, Observe, Room, RoomConfig, Time};
use chatroom_protocol::{Dialect, Epoch, Limits, Refusal, RoomName};
use serde_json::{Value, json};

use crate::kept::Kept;

/// A room, its clients and its clock, all on this thread.
#[derive(Debug)]
pub struct World {
    room: Room,
    now: Time,
    clients: BTreeMap<ConnectionId, Client>,
    next_connection: u64,
    wake_at: Option<Time>,
    effects: Vec<Effect>,
    kept: Kept,
    /// Whether appended commits are confirmed at once.
    pub journal_answers: bool,
    unanswered: Option<chatroom_protocol::Sequence>,
}

#[derive(Debug, Default)]
struct Client {
    queue: VecDeque<Value>,
    closed: Option<Refusal>,
}

impl Default for World {
    fn default() -> Self {
        Self::new(Limits::default(), NoAuthority::Reject)
    }
}

impl World {
    /// An empty room.
    #[must_use]
    pub fn new(limits: Limits, no_authority: NoAuthority) -> Self {
        let config = RoomConfig {
            name: RoomName::main(),
            epoch: Epoch(1),
            limits: Arc::new(limits),
            no_authority,
            keeping: Keeping::Journal,
            observe: Observe::Nothing,
            rules: None,
        };
        Self {
            room: Room::new(config),
            now: Time(1_000_000),
            clients: BTreeMap::new(),
            next_connection: 0,
            wake_at: None,
            effects: Vec::new(),
            kept: Kept::default(),
            journal_answers: true,
            unanswered: None,
        }
    }

    /// The room itself.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Connects a client and leaves its greeting in its queue.
    pub fn open(&mut self, dialect: Dialect) -> ConnectionId {
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        self.clients.insert(connection, Client::default());
        let secret = u128::from(connection.0).to_be_bytes();
        self.handle(Input::Opened { connection, dialect, secret });
        connection
    }

    /// Connects a client and does the hello; returns its id too.
    pub fn join(&mut self, dialect: Dialect) -> (ConnectionId, u64) {
        let connection = self.open(dialect);
        if dialect == Dialect::V1 {
            self.send(connection, &json!({"type": "hello", "content": {}}));
        }
        let hello = self.next(connection).expect("the server says hello");
        (connection, hello["content"]["id"].as_u64().expect("hello carries an id"))
    }

    /// Sends a message from a client.
    pub fn send(&mut self, connection: ConnectionId, message: &Value) {
        self.send_text(connection, &message.to_string());
    }

    /// Sends any text from a client.
    pub fn send_text(&mut self, connection: ConnectionId, text: &str) {
        self.handle(Input::Received { connection, message: text });
    }

    /// Disconnects a client.
    pub fn close(&mut self, connection: ConnectionId) {
        self.clients.remove(&connection);
        self.handle(Input::Closed { connection });
    }

    /// Lets time pass, waking the room when it asked for it.
    pub fn advance_ms(&mut self, ms: u64) {
        let until = self.now.after_ms(ms);
        while let Some(wake_at) = self.wake_at.filter(|wake_at| *wake_at <= until) {
            self.now = self.now.max(wake_at);
            self.wake_at = None;
            self.handle(Input::Tick);
        }
        self.now = until;
        self.handle(Input::Tick);
    }

    /// Confirms what was appended while [`World::journal_answers`] was false.
    pub fn answer_journal(&mut self) {
        if let Some(sequence) = self.unanswered.take() {
            self.handle(Input::Appended { sequence });
        }
    }

    /// Takes the next message of a client.
    pub fn next(&mut self, connection: ConnectionId) -> Option<Value> {
        self.clients.get_mut(&connection)?.queue.pop_front()
    }

    /// Takes all messages of a client.
    pub fn drain(&mut self, connection: ConnectionId) -> Vec<Value> {
        self.clients.get_mut(&connection).map(|client| client.queue.drain(..).collect()).unwrap_or_default()
    }

    /// Why the room closed a client, if it did.
    #[must_use]
    pub fn closed(&self, connection: ConnectionId) -> Option<&Refusal> {
        self.clients.get(&connection)?.closed.as_ref()
    }

    /// Hands the room any input.
    pub fn handle(&mut self, input: Input<'_>) {
        self.room.handle(self.now, input, &mut self.effects);
        let (mut appended, mut readings) = (None, Vec::new());
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Send { to, frames, .. } => self.deliver(to, &frames),
                Effect::Broadcast { to, skip, seed, v1, .. } => {
                    for (list, frames) in [(&to.seed, seed), (&to.v1, v1)] {
                        let Some(frames) = frames else { continue };
                        for connection in list.iter().filter(|connection| Some(**connection) != skip) {
                            self.deliver(*connection, &frames);
                        }
                    }
                }
                Effect::Append { sequence, record } => {
                    self.kept.append(sequence, record);
                    appended = Some(sequence);
                }
                Effect::Read { reading, before, count, .. } => readings.push((reading, before, count)),
                Effect::Close { connection, refusal } => {
                    if let Some(client) = self.clients.get_mut(&connection) {
                        client.closed = Some(refusal);
                    }
                }
                Effect::Observed(_) => {}
                Effect::WakeAt(time) => self.wake_at = time,
            }
        }
        for (reading, before, count) in readings {
            let kept = std::mem::take(&mut self.kept);
            kept.read_back(before, count, |stretch| {
                self.handle(Input::Read { reading, stretch: Ok(stretch) });
            });
            self.kept = kept;
        }
        if let Some(sequence) = appended {
            self.unanswered = Some(sequence);
            if self.journal_answers {
                self.answer_journal();
            }
        }
    }

    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        if let Some(client) = self.clients.get_mut(&to) {
            client.queue.extend(messages(frames));
        }
    }
}

/// The messages in a server's frames; one that cannot be read as JSON stays text.
///
/// # Panics
/// When the bytes are no whole text frames.
pub fn messages(mut frames: &[u8]) -> impl Iterator<Item = Value> {
    std::iter::from_fn(move || {
        let (header, rest) = frames.split_at_checked(2)?;
        assert_eq!(header[0], 0x81, "a whole text frame");
        let (size_bytes, short) = match header[1] {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        let (size, rest) = rest.split_at(size_bytes);
        let size = size.iter().fold(short, |size, byte| size << 8 | usize::from(*byte));
        let (payload, rest) = rest.split_at(size);
        frames = rest;
        // A refusal gives a change back as it was sent, which may be what no strict reader takes.
        let text = std::str::from_utf8(payload).expect("a text frame is UTF-8");
        Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
    })
}
