//! The Rust side of `benches/merging`: replicas and a room of the engine, one thread, no network.
//! Reads a workload's file, prints a line of JSON.

#![allow(
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a benchmark reads the clock, and changes are handed over"
)]

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use chatroom_engine::{ConnectionId, Effect, Input, Keeping, NoAuthority, Observe, Room, RoomConfig, Time};
use chatroom_protocol::change::{Component, DictChange, ListChange, StringChange};
use chatroom_protocol::{Change, Dialect, Epoch, Frame, Limits, RoomName, TopicName, TopicType, TopicValue};
use chatroom_replica::Outcome;
use chatroom_testkit::replica::Mirrored;
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error>;

struct Client {
    mirrored: Mirrored,
    down: VecDeque<String>,
    /// Whether it reads what the room says.
    hears: bool,
    told: usize,
    made: u64,
}

struct World {
    room: Room,
    now: u64,
    clients: Vec<Client>,
    effects: Vec<Effect>,
    bytes: usize,
    name: TopicName,
}

impl World {
    fn new(kind: TopicType, initial: &str, clients: usize) -> Result<Self, Failed> {
        let room = Room::new(RoomConfig {
            name: RoomName::main(),
            epoch: Epoch(1),
            limits: Arc::new(Limits::default()),
            no_authority: NoAuthority::Reject,
            keeping: Keeping::Memory,
            observe: Observe::default(),
            rules: None,
        });
        let name = TopicName::parse("t")?;
        let mut world = Self { room, now: 1_000_000, clients: Vec::new(), effects: Vec::new(), bytes: 0, name };
        for at in 0..clients {
            let mut mirrored = Mirrored::default();
            mirrored.open(&world.name, kind)?;
            let hello = mirrored.hello();
            world.clients.push(Client { mirrored, down: VecDeque::new(), hears: true, told: 0, made: 0 });
            let connection = ConnectionId(at as u64);
            let secret = (at as u128 + 1).to_be_bytes();
            world.handle(Input::Opened { connection, dialect: Dialect::V1, secret });
            world.handle(Input::Received { connection, message: &hello });
            world.receive(at)?;
            world.flush(at);
            world.receive(at)?;
            if at == 0 && !initial.is_empty() {
                let change = StringChange::edit([Component::Insert(initial.to_owned())]);
                world.act(0, vec![Change::String(change)])?;
                world.flush(0);
                world.receive(0)?;
            }
        }
        world.bytes = 0;
        Ok(world)
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.room.handle(Time(self.now), input, &mut effects);
        while !effects.is_empty() {
            let mut appended = None;
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { to, frames, .. } => self.send(to, frames),
                    Effect::Broadcast { to, skip, v1: Some(frames), .. } => {
                        for connection in to.v1.iter().filter(|connection| Some(**connection) != skip) {
                            self.send(*connection, frames.clone());
                        }
                    }
                    Effect::Append { sequence, .. } => appended = Some(sequence),
                    _ => {}
                }
            }
            if let Some(sequence) = appended {
                self.room.handle(Time(self.now), Input::Appended { sequence }, &mut effects);
            }
        }
        self.effects = effects;
    }

    fn send(&mut self, to: ConnectionId, frames: bytes::Bytes) {
        if let Some(client) = usize::try_from(to.0).ok().and_then(|at| self.clients.get_mut(at))
            && client.hears
        {
            client.down.extend(Frame::payloads(frames).map(|payload| String::from_utf8_lossy(&payload).into_owned()));
        }
    }

    /// Somebody types, and stops for a moment after each sentence: so undo gets entries of that size.
    fn act(&mut self, at: usize, changes: Vec<Change>) -> Result<(), Failed> {
        let client = &mut self.clients[at];
        client.made += 1;
        self.now += if client.made.is_multiple_of(40) { 1_000 } else { 150 };
        client.mirrored.now_ms = self.now;
        let most = Limits::default().action_changes;
        for changes in changes.chunks(most) {
            let changes = changes.iter().map(|change| (self.name.clone(), change.clone())).collect();
            client.mirrored.act(changes, true, None)?;
        }
        client.look()
    }

    fn flush(&mut self, at: usize) {
        let mut said = self.clients[at].mirrored.asking();
        said.extend(self.clients[at].mirrored.pushes());
        for text in said {
            self.bytes += text.len();
            self.handle(Input::Received { connection: ConnectionId(at as u64), message: &text });
        }
    }

    fn receive(&mut self, at: usize) -> Result<(), Failed> {
        let client = &mut self.clients[at];
        while let Some(text) = client.down.pop_front() {
            self.bytes += text.len();
            client.mirrored.receive(&text).map_err(|refusal| format!("{refusal}: {text}"))?;
            client.look()?;
        }
        Ok(())
    }

    fn unsaved(&self) -> bool {
        self.clients.iter().any(|client| client.mirrored.replica.unsaved() > 0)
    }

    fn live(&mut self, ops: &[Value]) -> Result<(), Failed> {
        for op in ops {
            self.act(0, changes_of(op)?)?;
            while self.clients[0].mirrored.replica.unsaved() > 0 {
                self.flush(0);
                self.receive(1)?;
                self.receive(0)?;
            }
        }
        Ok(())
    }

    fn exchange(&mut self, all: &[Vec<Value>]) -> Result<(), Failed> {
        for (at, ops) in all.iter().enumerate() {
            for op in ops {
                self.act(at, changes_of(op)?)?;
            }
        }
        while self.unsaved() {
            for at in 0..self.clients.len() {
                self.flush(at);
                for other in 0..self.clients.len() {
                    self.receive(other)?;
                }
            }
        }
        Ok(())
    }

    /// All write at once; the first one follows.
    fn many(&mut self, all: &[Vec<Value>]) -> Result<(), Failed> {
        for (at, ops) in all.iter().enumerate() {
            self.act(at, changes_of(&ops[0])?)?;
        }
        for client in &mut self.clients[1..] {
            client.hears = false;
        }
        for at in 0..self.clients.len() {
            self.flush(at);
            self.receive(0)?;
        }
        Ok(())
    }

    fn value(&self, at: usize) -> Result<Arc<TopicValue>, Failed> {
        Ok(self.clients[at].mirrored.replica.value(&self.name).ok_or("no value")?)
    }
}

impl Client {
    fn look(&mut self) -> Result<(), Failed> {
        if let Some(gap) = self.mirrored.gaps.pop() {
            return Err(gap.into());
        }
        for (_, outcome) in self.mirrored.settled.drain(..) {
            if let Outcome::Refused(refused) = outcome {
                return Err(refused.reason.into());
            }
        }
        self.told += self.mirrored.told.drain(..).map(|(_, update)| update.changes.len()).sum::<usize>();
        Ok(())
    }
}

fn number(op: &Value, at: usize) -> usize {
    op[at].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

fn changes_of(op: &Value) -> Result<Vec<Change>, Failed> {
    Ok(match op[0].as_str().ok_or("an operation has a name")? {
        "put" => {
            vec![Change::Dict(DictChange::Put(op[1].as_str().ok_or("a key")?.to_owned(), op[2].clone()))]
        }
        "list" => {
            let position = number(op, 1);
            let pops = (0..number(op, 2)).map(|_| Change::List(ListChange::Pop { position }));
            let items = op[3].as_array().ok_or("items")?.iter().enumerate();
            let inserts = items.map(|(offset, item)| {
                Change::List(ListChange::Insert { position: position + offset, item: item.clone() })
            });
            pops.chain(inserts).collect()
        }
        _ => {
            let insert = op[3].as_str().ok_or("a text")?.to_owned();
            let components =
                [Component::Retain(number(op, 1)), Component::Insert(insert), Component::Delete(number(op, 2))];
            vec![Change::String(StringChange::edit(components))]
        }
    })
}

fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or_default() * 1024
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn main() -> Result<(), Failed> {
    let path = std::env::args().nth(1).ok_or("which workload?")?;
    let mut workload: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(path)?)?;
    let kind = match workload["kind"].as_str() {
        Some("text") => TopicType::String,
        Some("list") => TopicType::List,
        _ => TopicType::Dict,
    };
    let mode = workload["mode"].as_str().unwrap_or_default().to_owned();
    let initial = workload["initial"].as_str().unwrap_or_default().to_owned();
    let ops: Vec<Vec<Value>> = serde_json::from_value(workload.remove("ops").ok_or("no operations")?)?;
    let mut world = World::new(kind, &initial, if mode == "many" { ops.len() } else { 2 })?;
    let before = resident();
    let began = Instant::now();
    match mode.as_str() {
        "live" => world.live(&ops[0])?,
        "exchange" => world.exchange(&ops)?,
        _ => world.many(&ops)?,
    }
    let ms = began.elapsed().as_secs_f64() * 1e3;
    let after = resident();
    let value = world.value(0)?;
    if mode != "many" && value != world.value(1)? {
        return Err("they are not the same in the end".into());
    }
    if world.clients.iter().all(|client| client.told == 0) {
        return Err("nobody was told".into());
    }
    // What a joiner gets.
    let connection = ConnectionId(world.clients.len() as u64);
    let mut mirrored = Mirrored::default();
    mirrored.open(&world.name, kind)?;
    let hello = mirrored.hello();
    world.clients.push(Client { mirrored, down: VecDeque::new(), hears: true, told: 0, made: 0 });
    let joiner = world.clients.len() - 1;
    world.handle(Input::Opened { connection, dialect: Dialect::V1, secret: [9; 16] });
    world.handle(Input::Received { connection, message: &hello });
    world.receive(joiner)?;
    world.flush(joiner);
    let rest: usize = world.clients[joiner].down.iter().map(String::len).sum();
    world.receive(joiner)?;
    if world.value(joiner)? != value {
        return Err("the room has another value".into());
    }
    let text = serde_json::to_string(&*value)?;
    let line = json!({ "ms": ms, "bytes": world.bytes, "rss": after - before, "rest": rest, "size": text.len(), "hash": hash(&text) });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
