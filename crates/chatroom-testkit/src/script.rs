//! Scripts of messages between clients and a room, run on a room or over sockets.

use std::collections::{BTreeMap, BTreeSet};

use chatroom_engine::{ConnectionId, NoAuthority};
use chatroom_protocol::{Code, Dialect, Limits};
use serde::Deserialize;
use serde_json::Value;

use crate::matching::{Bindings, compare, fill};
use crate::{Peer, TestServer, World};

/// A script, as it stands in `conformance/sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its name.
    pub id: String,
    /// The statements of `docs/protocol.md` that it holds.
    pub section: String,
    /// What it shows.
    pub about: String,
    /// Whether time has to pass, which only a fake clock does at once.
    #[serde(default)]
    pub clock: bool,
    /// Its clients and their dialects.
    pub clients: BTreeMap<String, String>,
    /// Limits other than the defaults.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Time passes.
    Advance {
        /// So much.
        advance_ms: u64,
    },
    /// A client sends text that may be no message.
    SendText {
        /// Who.
        client: String,
        /// What.
        send_text: String,
    },
    /// A client receives these messages in any order.
    ExpectAll {
        /// Who.
        client: String,
        /// What.
        expect_all: Vec<Value>,
    },
    /// The server has closed a client.
    ExpectClose {
        /// Who.
        client: String,
        /// The close code.
        expect_close: Value,
    },
    /// A client sends a message.
    Send {
        /// Who.
        client: String,
        /// What.
        send: Value,
    },
    /// A client receives a message.
    Expect {
        /// Who.
        client: String,
        /// What.
        expect: Value,
    },
    /// A client has received nothing more.
    ExpectNothing {
        /// Who.
        client: String,
        /// Always true.
        expect_nothing: bool,
    },
    /// A client connects.
    Connect {
        /// Who.
        client: String,
        /// Always true.
        connect: bool,
    },
    /// A client disconnects.
    Close {
        /// Who.
        client: String,
        /// Always true.
        close: bool,
    },
}

/// What a script runs on.
pub trait Stage {
    /// Connects a client, does its hello and returns its id.
    fn connect(&mut self, name: &str, dialect: Dialect) -> u64;
    /// Connects a client, and no more.
    fn open(&mut self, name: &str, dialect: Dialect);
    /// Sends any text.
    fn send_text(&mut self, name: &str, text: &str);
    /// The close code that the server sent.
    fn close_code(&mut self, name: &str) -> Option<u16>;
    /// The next message of a client, if there is one.
    fn next(&mut self, name: &str) -> Option<Value>;
    /// All messages of a client that have come.
    fn drain(&mut self, name: &str) -> Vec<Value>;
    /// Disconnects a client.
    fn close(&mut self, name: &str);
    /// Lets time pass.
    fn advance_ms(&mut self, ms: u64);
}

impl Script {
    /// Runs the script.
    ///
    /// # Errors
    /// The first step that did not go as written.
    pub fn run(&self, stage: &mut impl Stage) -> Result<(), String> {
        let mut bindings = Bindings::new();
        let later =
            |name: &str| self.steps.iter().any(|step| matches!(step, Step::Connect { client, .. } if client == name));
        for name in self.clients.keys().filter(|name| !later(name)) {
            self.connect(stage, name, &mut bindings)?;
        }
        let mut open: BTreeSet<&str> = self.clients.keys().map(String::as_str).filter(|name| !later(name)).collect();
        for (index, step) in self.steps.iter().enumerate() {
            self.step(stage, step, &mut bindings).map_err(|why| format!("step {index}: {why}"))?;
            match step {
                Step::Connect { client, .. } => {
                    open.insert(client);
                }
                Step::Close { client, .. } | Step::ExpectClose { client, .. } => {
                    open.remove(client.as_str());
                }
                _ => {}
            }
        }
        for name in open {
            let left = stage.drain(name);
            if !left.is_empty() {
                return Err(format!("at the end {name} is left with {}", Value::from(left)));
            }
        }
        Ok(())
    }

    fn dialect(&self, name: &str) -> Result<Dialect, String> {
        match self.clients.get(name).map(String::as_str) {
            Some("seed") => Ok(Dialect::Seed),
            Some("v1") => Ok(Dialect::V1),
            other => Err(format!("client {name} has the dialect {other:?}")),
        }
    }

    fn connect(&self, stage: &mut impl Stage, name: &str, bindings: &mut Bindings) -> Result<(), String> {
        let id = stage.connect(name, self.dialect(name)?);
        bindings.insert(format!("$id:{name}"), id.into());
        Ok(())
    }

    fn step(&self, stage: &mut impl Stage, step: &Step, bindings: &mut Bindings) -> Result<(), String> {
        match step {
            Step::Advance { advance_ms } => stage.advance_ms(*advance_ms),
            Step::Send { client, send } => stage.send_text(client, &fill(send, bindings).to_string()),
            Step::SendText { client, send_text } => stage.send_text(client, send_text),
            Step::ExpectAll { client, expect_all } => {
                let mut left: Vec<Value> = expect_all.iter().map(|expect| fill(expect, bindings)).collect();
                while !left.is_empty() {
                    let found = stage
                        .next(client)
                        .ok_or_else(|| format!("{client} received nothing, expected {}", Value::from(left.clone())))?;
                    let place = left.iter().position(|expect| {
                        let mut tried = bindings.clone();
                        let fits = compare(expect, &found, &mut tried).is_ok();
                        if fits {
                            *bindings = tried;
                        }
                        fits
                    });
                    left.remove(place.ok_or_else(|| {
                        format!("{client} received {found}, expected one of {}", Value::from(left.clone()))
                    })?);
                }
            }
            Step::ExpectClose { client, expect_close } => {
                let found = stage.close_code(client).ok_or_else(|| format!("{client} was not closed"))?;
                let code = match expect_close.as_str().and_then(|code| code.strip_prefix("$code:")) {
                    Some(name) => Code::by_name(name).ok_or_else(|| format!("no code {name}"))?.close_code().into(),
                    None => expect_close.clone(),
                };
                if code != found {
                    return Err(format!("{client} was closed with {found}, expected {code}"));
                }
            }
            Step::Expect { client, expect } => {
                let found =
                    stage.next(client).ok_or_else(|| format!("{client} received nothing, expected {expect}"))?;
                let expect = fill(expect, bindings);
                compare(&expect, &found, bindings)
                    .map_err(|why| format!("{client} {why}\n  expected {expect}\n  found    {found}"))?;
            }
            Step::ExpectNothing { client, .. } => {
                let found = stage.drain(client);
                if !found.is_empty() {
                    return Err(format!("{client} received {}", Value::from(found)));
                }
            }
            Step::Connect { client, .. } => stage.open(client, self.dialect(client)?),
            Step::Close { client, .. } => stage.close(client),
        }
        Ok(())
    }
}

/// Runs scripts on a room without sockets.
#[derive(Debug)]
pub struct EngineStage {
    world: World,
    connections: BTreeMap<String, ConnectionId>,
}

impl EngineStage {
    /// A stage with a script's limits.
    ///
    /// # Panics
    /// When the script names a limit that does not exist.
    #[must_use]
    pub fn new(script: &Script) -> Self {
        let mut limits = Limits::default();
        for (name, value) in &script.limits {
            assert!(limits.set(name, *value), "there is no limit {name}");
        }
        Self { world: World::new(limits, NoAuthority::Reject), connections: BTreeMap::new() }
    }
}

impl Stage for EngineStage {
    fn connect(&mut self, name: &str, dialect: Dialect) -> u64 {
        let (connection, id) = self.world.join(dialect);
        self.connections.insert(name.to_owned(), connection);
        id
    }

    fn open(&mut self, name: &str, dialect: Dialect) {
        let connection = self.world.open(dialect);
        self.connections.insert(name.to_owned(), connection);
    }

    fn send_text(&mut self, name: &str, text: &str) {
        self.world.send_text(self.connections[name], text);
    }

    fn close_code(&mut self, name: &str) -> Option<u16> {
        self.world.closed(self.connections[name]).map(|refusal| refusal.code.close_code())
    }

    fn next(&mut self, name: &str) -> Option<Value> {
        self.world.next(self.connections[name])
    }

    fn drain(&mut self, name: &str) -> Vec<Value> {
        self.world.drain(self.connections[name])
    }

    fn close(&mut self, name: &str) {
        self.world.close(self.connections[name]);
    }

    fn advance_ms(&mut self, ms: u64) {
        self.world.advance_ms(ms);
    }
}

/// Runs scripts over sockets, each in a room of its own that is new.
#[derive(Debug)]
pub struct SocketStage<'a> {
    server: &'a TestServer,
    path: String,
    peers: BTreeMap<String, Peer>,
    /// Clients of v1 that have not said hello.
    mute: BTreeSet<String>,
}

impl<'a> SocketStage<'a> {
    /// A stage in the room of that name.
    #[must_use]
    pub fn new(server: &'a TestServer, room: &str) -> Self {
        Self { server, path: format!("/rooms/{room}"), peers: BTreeMap::new(), mute: BTreeSet::new() }
    }

    fn peer(&mut self, name: &str) -> &mut Peer {
        self.peers.get_mut(name).expect("the script connected this client")
    }
}

impl Stage for SocketStage<'_> {
    fn connect(&mut self, name: &str, dialect: Dialect) -> u64 {
        let peer = Peer::connect(self.server.address, &self.path, dialect);
        let id = peer.id;
        self.peers.insert(name.to_owned(), peer);
        id
    }

    fn open(&mut self, name: &str, dialect: Dialect) {
        let peer = Peer::open(self.server.address, &self.path, dialect);
        self.peers.insert(name.to_owned(), peer);
        if dialect == Dialect::V1 {
            self.mute.insert(name.to_owned());
        }
    }

    fn send_text(&mut self, name: &str, text: &str) {
        self.peer(name).send_text(text);
        if text.contains("\"hello\"") {
            self.mute.remove(name);
        }
        // The order between clients is that of the script.
        if !self.mute.contains(name) {
            self.peer(name).barrier();
        }
    }

    fn close_code(&mut self, name: &str) -> Option<u16> {
        Some(self.peer(name).close_code())
    }

    fn next(&mut self, name: &str) -> Option<Value> {
        Some(self.peer(name).receive())
    }

    fn drain(&mut self, name: &str) -> Vec<Value> {
        // Before its hello a v1 client gets answers alone, and `next` took those.
        if self.mute.contains(name) { Vec::new() } else { self.peer(name).drain() }
    }

    fn close(&mut self, name: &str) {
        let peer = self.peers.remove(name).expect("the script connected this client");
        peer.close();
        let room = chatroom_protocol::RoomName::parse(self.path.trim_start_matches("/rooms/")).expect("a good name");
        let left = self.peers.len();
        crate::server::wait_until("the client to be gone", || {
            self.server.counts_of(&room).is_none_or(|counts| counts.clients == left)
        });
    }

    fn advance_ms(&mut self, _ms: u64) {
        panic!("over sockets time passes by itself; mark the script with \"clock\": true");
    }
}
