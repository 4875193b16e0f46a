//! Whole histories in one thread: the real engine, real replicas, and queues between them that
//! deliver, stall and break as a seed says. After every delivery each replica is held against the
//! room as it was at that place of the order.
//!
//! The properties are those of `docs/merging.md`: P1 convergence, P2 what a client foresaw is what the
//! room did, P3 what was told leads from value to value, P5 one outcome for each action, in order, P6
//! nothing provisional is left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chatroom_engine::{
    ConnectionId, Effect, Input, Keeping, NoAuthority, Observation, Observe, Proposed, Room, RoomConfig, Rules, Time,
};
use chatroom_protocol::{Change, Dialect, Epoch, Frame, Limits, RoomName, Sequence, TopicName, TopicType, TopicValue};
use chatroom_replica::{ActionId, Direction, Outcome, Status};

use crate::generate;
use crate::kept::Kept;
use crate::replica::Mirrored;
use crate::seed::Seed;

mod past;
mod plan;
mod told;

pub use plan::{Done, Plan};

/// Under this the room is asked for its past.
const HISTORIAN: ConnectionId = ConnectionId(u64::MAX);

#[derive(Debug)]
struct Node {
    mirrored: Mirrored,
    connection: Option<ConnectionId>,
    up: VecDeque<String>,
    down: VecDeque<String>,
    /// What functions that follow a topic made of what they were told.
    followed: BTreeMap<TopicName, Option<TopicValue>>,
    /// By how often its program had begun again, and the action.
    outcomes: BTreeMap<(u64, ActionId), Outcome>,
    lives: u64,
    made: u64,
    last_accepted: Sequence,
}

/// A room, its clients, and all that is under way between them.
#[derive(Debug)]
pub struct Simulation {
    room: Room,
    config: RoomConfig,
    /// What of the room survives a crash.
    kept: Kept,
    now: Time,
    nodes: Vec<Node>,
    next_connection: u64,
    names: Vec<(TopicName, TopicType)>,
    /// Each topic's value after each commit, as canonical text.
    truth: BTreeMap<TopicName, BTreeMap<Sequence, String>>,
    shadow: BTreeMap<TopicName, TopicValue>,
    effects: Vec<Effect>,
    /// Stretches of the journal that the room wants.
    readings: VecDeque<(u64, Sequence)>,
    /// What the room said to the one who looks back.
    answers: Vec<serde_json::Value>,
    seed: Seed,
    plan: Plan,
    /// What happened, in words, the last of it.
    log: VecDeque<String>,
    pushed_bytes: u64,
    /// How much was done.
    pub done: Done,
}

/// A number that a change always has, whoever asks.
fn mark(change: &Change) -> u64 {
    let text = serde_json::to_string(change).unwrap_or_default();
    // FNV-1a.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn rules(refused_percent: usize, altered_percent: usize) -> Rules {
    Rules::altering(move |proposed: &Proposed<'_>| {
        let mark = mark(proposed.change);
        if mark % 100 < refused_percent as u64 {
            return Err("the simulation does not want it".to_owned());
        }
        if (mark / 100) % 100 < altered_percent as u64 {
            return Ok(Some(generate::change(&mut Seed::new(mark), proposed.value)));
        }
        Ok(None)
    })
}

impl Simulation {
    /// The room and its clients, all connected.
    #[must_use]
    pub fn new(seed: Seed, plan: Plan) -> Self {
        let limits = Limits {
            history_commits: plan.history_commits,
            history_ms: if plan.history_commits < 100 { 0 } else { 60_000 },
            ..Limits::default()
        };
        let config = RoomConfig {
            name: RoomName::main(),
            epoch: Epoch(1),
            limits: Arc::new(limits),
            no_authority: NoAuthority::Reject,
            keeping: Keeping::Journal,
            observe: Observe::Commits,
            rules: Some(rules(plan.refused_percent, plan.altered_percent)),
        };
        let names = plan.kinds.iter().map(|kind| (TopicName::parse(kind.name()).expect("a name"), *kind)).collect();
        let mut simulation = Self {
            room: Room::new(config.clone()),
            config,
            kept: Kept::default(),
            now: Time(1_000_000),
            nodes: Vec::new(),
            next_connection: 0,
            names,
            truth: BTreeMap::new(),
            shadow: BTreeMap::new(),
            effects: Vec::new(),
            readings: VecDeque::new(),
            answers: Vec::new(),
            seed,
            plan,
            log: VecDeque::new(),
            pushed_bytes: 0,
            done: Done::default(),
        };
        for (name, kind) in simulation.names.clone() {
            let zero = TopicValue::zero(kind);
            simulation.truth.insert(name.clone(), BTreeMap::from([(Sequence(0), canonical(&zero))]));
            simulation.shadow.insert(name, zero);
        }
        for _ in 0..simulation.plan.clients {
            let mut mirrored = Mirrored::default();
            mirrored.replica.pipeline(simulation.seed.percent(30));
            for (name, kind) in &simulation.names {
                mirrored.open(name, *kind).expect("a topic that is not open yet");
            }
            simulation.nodes.push(Node {
                mirrored,
                connection: None,
                up: VecDeque::new(),
                down: VecDeque::new(),
                followed: BTreeMap::new(),
                outcomes: BTreeMap::new(),
                lives: 0,
                made: 0,
                last_accepted: Sequence(0),
            });
        }
        simulation
    }

    /// Lets everything happen, waits for the end, and looks whether all is as it should be.
    ///
    /// # Errors
    /// The first thing that was not, with what led to it.
    pub fn run(&mut self) -> Result<Done, String> {
        let result = (0..self.nodes.len())
            .try_for_each(|at| self.begin(at))
            .and_then(|()| (0..self.plan.steps).try_for_each(|_| self.step()))
            .and_then(|()| self.finish())
            .and_then(|()| self.look_back());
        match result {
            Ok(()) => Ok(self.done),
            Err(why) => {
                let log: Vec<String> = std::mem::take(&mut self.log).into();
                Err(format!("{why}\nwhat led to it:\n{}", log.join("\n")))
            }
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.log.len() >= 400 {
            self.log.pop_front();
        }
        self.log.push_back(format!("| {}", what()));
    }

    /// Most clients are there from the start; the others come when a step connects them.
    fn begin(&mut self, at: usize) -> Result<(), String> {
        if self.seed.percent(15) {
            return Ok(());
        }
        self.connect(at)?;
        self.deliver_up(at)?;
        self.deliver_down(at)?;
        self.flush(at)
    }

    fn step(&mut self) -> Result<(), String> {
        let node = self.seed.below(self.nodes.len());
        match self.seed.below(100) {
            0..=4 => self.type_text(node),
            5..=24 => self.act(node),
            25..=39 => self.flush(node),
            40..=59 => self.deliver_up(node),
            60..=84 => self.deliver_down(node),
            85..=89 => self.undo(node, Direction::Undo),
            90..=92 => self.undo(node, Direction::Redo),
            93..=94 => {
                if self.plan.breaks {
                    self.disconnect(node)
                } else {
                    Ok(())
                }
            }
            95 if self.plan.breaks && self.seed.percent(50) => self.crash(),
            97 if self.plan.breaks && self.seed.percent(30) => self.restart(node),
            96 if self.seed.percent(50) => {
                self.save();
                Ok(())
            }
            95..=97 => {
                let away = self.nodes.iter().position(|node| node.connection.is_none());
                self.connect(away.unwrap_or(node))
            }
            _ => {
                let ms = self.seed.below(700) as u64;
                self.now = self.now.after_ms(ms);
                for node in &mut self.nodes {
                    node.mirrored.now_ms = self.now.0;
                }
                Ok(())
            }
        }
    }

    /// Several edits of one text, one right after the other: they join (M48).
    fn type_text(&mut self, at: usize) -> Result<(), String> {
        let texts: Vec<TopicName> =
            self.names.iter().filter(|(_, kind)| *kind == TopicType::String).map(|(name, _)| name.clone()).collect();
        if texts.is_empty() {
            return self.act(at);
        }
        let name = self.seed.pick(&texts).clone();
        for _ in 0..2 + self.seed.below(4) {
            let replica = &self.nodes[at].mirrored.replica;
            let (Some(value), Status::Live | Status::Stale) = (replica.value(&name), replica.status(&name)) else {
                break;
            };
            let change = generate::change(&mut self.seed, &value);
            if (*value).clone().apply(&change, &Limits::default()).is_ok() {
                self.act_with(at, vec![(name.clone(), change)])?;
            }
        }
        Ok(())
    }

    fn act(&mut self, at: usize) -> Result<(), String> {
        let mut changes = Vec::new();
        let mut values: BTreeMap<TopicName, TopicValue> = BTreeMap::new();
        for _ in 0..=self.seed.below(3) {
            let (name, _) = self.seed.pick(&self.names).clone();
            let Some(value) = self.nodes[at].mirrored.replica.value(&name) else {
                continue;
            };
            if !matches!(self.nodes[at].mirrored.replica.status(&name), Status::Live | Status::Stale) {
                continue;
            }
            let value = values.entry(name.clone()).or_insert_with(|| (*value).clone());
            let change = generate::change(&mut self.seed, value);
            if value.apply(&change, &Limits::default()).is_ok() {
                changes.push((name, change));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.act_with(at, changes)
    }

    fn act_with(&mut self, at: usize, changes: Vec<(TopicName, Change)>) -> Result<(), String> {
        let tracked = self.seed.percent(85);
        self.note(|| format!("{at}: acts {}", shown(&changes)));
        let node = &mut self.nodes[at];
        match node.mirrored.act(changes, tracked, None) {
            Ok(_) => {
                node.made += 1;
                self.done.actions += 1;
            }
            Err(refusal) => return Err(format!("client {at}: its own replica refused {refusal}")),
        }
        self.look(at)
    }

    fn undo(&mut self, at: usize, direction: Direction) -> Result<(), String> {
        self.note(|| format!("{at}: {direction:?}"));
        self.done.undos += 1;
        self.nodes[at].mirrored.take(direction);
        self.look(at)
    }

    fn flush(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        if node.connection.is_some() && node.mirrored.replica.id().is_some() {
            let mut said = node.mirrored.asking();
            let pushes = node.mirrored.pushes();
            if at == 0 {
                self.pushed_bytes += pushes.iter().map(String::len).sum::<usize>() as u64;
            }
            said.extend(pushes);
            for text in said {
                self.note(|| format!("{at}: says {text}"));
                self.nodes[at].up.push_back(text);
            }
        }
        self.look(at)
    }

    fn connect(&mut self, at: usize) -> Result<(), String> {
        if self.nodes[at].connection.is_some() {
            return Ok(());
        }
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        self.note(|| format!("{at}: connects as {}", connection.0));
        let node = &mut self.nodes[at];
        node.connection = Some(connection);
        let hello = node.mirrored.hello();
        node.up.push_back(hello);
        let secret = u128::from(connection.0).to_be_bytes();
        self.handle(Input::Opened { connection, dialect: Dialect::V1, secret });
        Ok(())
    }

    /// The line breaks: what was under way to the room may still arrive there, and its answers are
    /// lost; the room may learn of it late.
    fn disconnect(&mut self, at: usize) -> Result<(), String> {
        let Some(connection) = self.nodes[at].connection.take() else {
            return Ok(());
        };
        self.done.breaks += 1;
        let arrives = if self.seed.percent(50) { self.seed.below(self.nodes[at].up.len() + 1) } else { 0 };
        let late = self.seed.percent(50);
        self.note(|| {
            format!("{at}: breaks, {arrives} more arrive, the room hears {}", if late { "late" } else { "now" })
        });
        let mut up = std::mem::take(&mut self.nodes[at].up);
        for text in up.drain(..arrives) {
            self.handle(Input::Received { connection, message: &text });
        }
        if !late {
            self.handle(Input::Closed { connection });
        }
        let node = &mut self.nodes[at];
        node.down.clear();
        node.mirrored.disconnect();
        self.look(at)
    }

    /// A client's program ends, and begins again with what it saved.
    fn restart(&mut self, at: usize) -> Result<(), String> {
        self.disconnect(at)?;
        self.done.restarts += 1;
        self.note(|| format!("{at}: its program begins again"));
        let node = &mut self.nodes[at];
        let before = node.mirrored.replica.unsaved();
        node.mirrored.restart().map_err(|refusal| refusal.to_string())?;
        // What had joined another action, or waited for a value, has no outcome of its own.
        node.made -= (before - node.mirrored.replica.unsaved()) as u64;
        node.lives += 1;
        node.followed.clear();
        for (name, kind) in self.names.clone() {
            self.nodes[at].mirrored.open(&name, kind).map_err(|refusal| refusal.to_string())?;
        }
        self.look(at)
    }

    /// Some of what changed is saved, and records that are not needed any more go.
    fn save(&mut self) {
        let bytes = 1 + self.seed.below(400);
        if let Some(snapshot) = self.room.snapshot(bytes) {
            self.note(|| format!("parts are saved up to {}", snapshot.covered.0));
            self.kept.save(snapshot);
        }
        if self.seed.percent(50) {
            let left = self.seed.below(8);
            self.kept.trim(left);
        }
    }

    /// The room's process dies, and another one goes on with what was kept.
    fn crash(&mut self) -> Result<(), String> {
        if self.kept.is_empty() {
            // It would be another room, whose truth begins anew.
            return Ok(());
        }
        self.done.crashes += 1;
        self.note(|| "the room crashes".to_owned());
        for node in &mut self.nodes {
            node.up.clear();
            if node.connection.take().is_some() {
                // What was sent may have arrived.
                let arrives = self.seed.below(node.down.len() + 1);
                for text in node.down.drain(..).take(arrives) {
                    node.mirrored.receive(&text).map_err(|refusal| format!("{text}: {refusal}"))?;
                }
                node.mirrored.disconnect();
            }
        }
        (0..self.nodes.len()).try_for_each(|at| self.look(at))?;
        self.now = self.now.after_ms(1);
        self.room = self.kept.restore(self.config.clone(), self.now).map_err(|damage| damage.to_string())?;
        for (name, _) in self.names.iter().filter(|(_, kind)| !kind.is_journaled()) {
            if let Some(value) = self.shadow.get_mut(name) {
                *value = TopicValue::zero(value.kind());
                self.truth.entry(name.clone()).or_default().insert(self.room.sequence(), canonical(value));
            }
        }
        Ok(())
    }

    fn deliver_up(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        if let (Some(connection), Some(text)) = (node.connection, node.up.pop_front()) {
            self.done.messages += 1;
            self.handle(Input::Received { connection, message: &text });
        }
        Ok(())
    }

    fn deliver_down(&mut self, at: usize) -> Result<(), String> {
        let Some(text) = self.nodes[at].down.pop_front() else {
            return Ok(());
        };
        self.note(|| format!("{at}: hears {}", shorten(&text)));
        self.done.messages += 1;
        let node = &mut self.nodes[at];
        node.mirrored.receive(&text).map_err(|refusal| format!("client {at}: {text}: {refusal}"))?;
        self.look(at)
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.room.handle(self.now, input, &mut effects);
        while !effects.is_empty() {
            let mut appended = None;
            for effect in effects.drain(..) {
                appended = self.carry_out(effect).or(appended);
            }
            if let Some(sequence) = appended {
                self.room.handle(self.now, Input::Appended { sequence }, &mut effects);
            }
            while let Some((reading, before)) = self.readings.pop_front() {
                let most = 1 + self.seed.below(4);
                self.kept.read_back(before, most, |stretch| {
                    self.room.handle(self.now, Input::Read { reading, stretch: Ok(stretch) }, &mut effects);
                });
            }
        }
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Sequence> {
        match effect {
            Effect::Send { to, frames, .. } => self.send(to, frames),
            Effect::Broadcast { to, skip, v1, .. } => {
                for connection in to.v1.iter().filter(|connection| Some(**connection) != skip) {
                    if let Some(frames) = &v1 {
                        self.send(*connection, frames.clone());
                    }
                }
            }
            Effect::Append { sequence, record } => {
                self.kept.append(sequence, record);
                return Some(sequence);
            }
            Effect::Read { reading, before, .. } => self.readings.push_back((reading, before)),
            Effect::Close { connection, .. } => {
                if let Some(node) = self.nodes.iter_mut().find(|node| node.connection == Some(connection)) {
                    node.connection = None;
                    node.mirrored.disconnect();
                }
            }
            Effect::Observed(observation) => {
                if let Observation::Committed(commit) = *observation {
                    for part in commit.changes {
                        let Some(value) = self.shadow.get_mut(&part.topic_name) else { continue };
                        let applied = value.apply(&part.change, &Limits::unlimited());
                        assert!(applied.is_ok(), "the room committed what does not apply: {applied:?}");
                        let truth = self.truth.entry(part.topic_name).or_default();
                        truth.insert(commit.sequence, canonical(value));
                    }
                }
            }
            Effect::WakeAt(_) => {}
        }
        None
    }

    fn send(&mut self, to: ConnectionId, frames: bytes::Bytes) {
        if to == HISTORIAN {
            self.answers.extend(Frame::payloads(frames).map(|it| serde_json::from_slice(&it).unwrap_or_default()));
            return;
        }
        if let Some(node) = self.nodes.iter_mut().find(|node| node.connection == Some(to)) {
            node.down.extend(Frame::payloads(frames).map(|payload| String::from_utf8_lossy(&payload).into_owned()));
        }
    }

    /// Holds a replica against the room as it was where the replica stands.
    fn look(&mut self, at: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        if let Some(gap) = node.mirrored.gaps.pop() {
            return Err(format!("client {at}: gap: {gap}"));
        }
        for (action, outcome) in std::mem::take(&mut node.mirrored.settled) {
            match &outcome {
                Outcome::Accepted(accepted) => {
                    // What joined another action has its outcome (M48).
                    if accepted.sequence < node.last_accepted {
                        return Err(format!("client {at}: P5, {action:?} is accepted out of order"));
                    }
                    self.done.joined += u64::from(accepted.sequence == node.last_accepted);
                    node.last_accepted = accepted.sequence;
                    self.done.accepted += 1;
                }
                Outcome::Refused(_) => self.done.refused += 1,
            }
            if node.outcomes.insert((node.lives, action), outcome).is_some() {
                return Err(format!("client {at}: P5, {action:?} has two outcomes"));
            }
        }
        for (name, update) in std::mem::take(&mut node.mirrored.told) {
            let copy = node.followed.entry(name.clone()).or_default();
            match &mut *copy {
                Some(value) if update.meta.cause != chatroom_replica::Cause::Snapshot => {
                    for change in &*update.changes {
                        let applied = value.apply(change, &Limits::unlimited());
                        if let Err(refusal) = applied {
                            return Err(format!("client {at}: P3, {name} was told {}: {refusal}", text(change)));
                        }
                    }
                }
                held => *held = Some((*update.value).clone()),
            }
            if copy.as_ref() != Some(&*update.value) {
                return Err(format!(
                    "client {at}: P3, {name}: told {} of {:?}, comes to {}, is {}",
                    update.changes.iter().map(text).collect::<Vec<_>>().join(" "),
                    update.meta.cause,
                    copy.as_ref().map(canonical).unwrap_or_default(),
                    canonical(&update.value)
                ));
            }
        }
        for (name, kind) in &self.names {
            let replica = &node.mirrored.replica;
            let (Some(confirmed), Some(position)) = (replica.confirmed(name), replica.position(name)) else {
                continue;
            };
            let truth = self.truth.get(name).and_then(|truth| truth.range(..=position).next_back());
            let truth = truth.map(|(_, text)| text.as_str()).unwrap_or_default();
            if *kind != TopicType::Event && canonical(&confirmed) != truth {
                return Err(format!(
                    "client {at}: P1 or P2, {name} at {}: confirmed {}, the room had {truth}",
                    position.0,
                    canonical(&confirmed)
                ));
            }
            if !replica.is_resuming()
                && let (Some(value), Some(copy)) = (replica.value(name), node.followed.get(name))
                && *kind != TopicType::Event
                && copy.as_ref() != Some(&*value)
            {
                return Err(format!(
                    "client {at}: P3, {name}: what was told comes to {}, the value is {}",
                    copy.as_ref().map(canonical).unwrap_or_default(),
                    canonical(&value)
                ));
            }
        }
        Ok(())
    }

    /// Lets everything arrive, then compares all with all.
    fn finish(&mut self) -> Result<(), String> {
        self.note(|| "the end is waited for".to_owned());
        for round in 0.. {
            let mut quiet = true;
            for at in 0..self.nodes.len() {
                self.connect(at)?;
                self.flush(at)?;
                while !self.nodes[at].up.is_empty() {
                    quiet = false;
                    self.deliver_up(at)?;
                }
                while !self.nodes[at].down.is_empty() {
                    quiet = false;
                    self.deliver_down(at)?;
                }
            }
            if quiet {
                break;
            }
            // Etherpad #1652: a transform that never comes to rest.
            if round > 1_000 {
                return Err("messages go on for ever".to_owned());
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let replica = &node.mirrored.replica;
            if replica.unsaved() != 0 {
                return Err(format!("client {at}: P6, {} actions have no outcome", replica.unsaved()));
            }
            let made = node.outcomes.len() as u64;
            if made < node.made {
                return Err(format!("client {at}: P5, {made} outcomes of {} actions", node.made));
            }
            for (name, kind) in &self.names {
                let (Some(value), Some(truth)) = (replica.value(name), self.shadow.get(name)) else {
                    return Err(format!("client {at}: {name} is not loaded"));
                };
                if *kind != TopicType::Event && *value != *truth {
                    return Err(format!(
                        "client {at}: P1, {name} is {} and not {}",
                        canonical(&value),
                        canonical(truth)
                    ));
                }
            }
        }
        Ok(())
    }
}

fn canonical(value: &TopicValue) -> String {
    chatroom_protocol::json::canonical(&serde_json::to_value(value).unwrap_or_default())
}

fn text(change: &Change) -> String {
    serde_json::to_string(change).unwrap_or_default()
}

fn shown(changes: &[(TopicName, Change)]) -> String {
    changes.iter().map(|(name, change)| format!("{name} {}", text(change))).collect::<Vec<_>>().join(", ")
}

fn shorten(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Runs the history of a seed.
///
/// # Errors
/// What went wrong, what led to it, and the command that repeats it.
pub fn history(seed: u64) -> Result<Done, String> {
    let mut random = Seed::new(seed);
    let plan = Plan::random(&mut random);
    Simulation::new(random, plan.clone()).run().map_err(|why| {
        format!(
            "seed {seed}: {why}\n{plan:?}\nrepeat it with: CHATROOM_SEED={seed} cargo nextest run -p chatroom-testkit \
             --no-capture -E 'test(=histories)'"
        )
    })
}
