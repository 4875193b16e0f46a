//! Histories that are told step by step, where a seed does not choose what comes next.

use chatroom_protocol::{Change, TopicName, TopicValue};
use chatroom_replica::Direction;

use super::{Simulation, canonical, shown};

impl Simulation {
    /// All clients connect and load every topic.
    pub(crate) fn join_all(&mut self) -> Result<(), String> {
        (0..self.nodes.len()).try_for_each(|at| self.connect(at))?;
        self.drain()
    }

    pub(crate) fn make(&mut self, at: usize, changes: Vec<(TopicName, Change)>) -> Result<(), String> {
        self.note(|| format!("{at}: acts {}", shown(&changes)));
        let node = &mut self.nodes[at];
        node.mirrored.act(changes, true, None).map_err(|refusal| format!("client {at}: {refusal}"))?;
        node.made += 1;
        self.look(at)
    }

    pub(crate) fn ask(&mut self, at: usize, direction: Direction) -> Result<(), String> {
        self.undo(at, direction)
    }

    pub(crate) fn can(&mut self, at: usize, direction: Direction) -> bool {
        self.nodes[at].mirrored.replica.can(direction)
    }

    /// One message goes on its way, or arrives.
    pub(crate) fn move_something(&mut self, at: usize) -> Result<(), String> {
        match self.seed.below(3) {
            0 => self.flush(at),
            1 => self.deliver_up(at),
            _ => self.deliver_down(at),
        }
    }

    /// Everything arrives, and all clients agree with the room.
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        self.finish()
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.after_ms(ms);
        for node in &mut self.nodes {
            node.mirrored.now_ms = self.now.0;
        }
    }

    pub(crate) fn value_of(&self, at: usize, name: &TopicName) -> Option<TopicValue> {
        self.nodes[at].mirrored.replica.value(name).map(|value| (*value).clone())
    }

    pub(crate) fn text_of(&self, at: usize, name: &TopicName) -> Vec<char> {
        match self.value_of(at, name) {
            Some(TopicValue::String(text)) => text.to_string().chars().collect(),
            _ => Vec::new(),
        }
    }

    /// All values of a client, as text.
    pub(crate) fn state_of(&self, at: usize) -> String {
        let values = self.names.iter().filter_map(|(name, _)| Some((name, self.value_of(at, name)?)));
        values.map(|(name, value)| format!("{name} {}", canonical(&value))).collect::<Vec<_>>().join("; ")
    }

    /// How many bytes the first client has pushed.
    pub(crate) fn bytes_up(&self) -> u64 {
        self.pushed_bytes
    }
}
