//! What a history is made of, and how much it did.

use chatroom_protocol::TopicType;

use crate::generate::MERGING;
use crate::seed::Seed;

/// What a history is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many clients.
    pub clients: usize,
    /// How many things happen before the end is waited for.
    pub steps: usize,
    /// Of a hundred changes, how many the room's rules refuse.
    pub refused_percent: usize,
    /// Of a hundred changes, how many the room's rules alter.
    pub altered_percent: usize,
    /// Whether connections break.
    pub breaks: bool,
    /// How many commits of a topic the room remembers at least; few make clients start anew.
    pub history_commits: usize,
    /// Which topics there are.
    pub kinds: Vec<TopicType>,
}

impl Plan {
    /// A plan that a seed chooses: 3 to 6 clients, all types, 5 to 30 % refused, connections that break.
    #[must_use]
    pub fn random(seed: &mut Seed) -> Self {
        let mut kinds: Vec<TopicType> = MERGING.to_vec();
        kinds.push(TopicType::Event);
        // Sometimes only a few topics, so that changes meet.
        while seed.percent(50) && kinds.len() > 1 {
            let place = seed.below(kinds.len());
            kinds.remove(place);
        }
        Self {
            clients: 3 + seed.below(4),
            steps: 60 + seed.below(200),
            refused_percent: 5 + seed.below(26),
            altered_percent: if seed.percent(30) { seed.below(15) } else { 0 },
            breaks: seed.percent(70),
            history_commits: if seed.percent(30) { seed.below(8) } else { 1_000 },
            kinds,
        }
    }
}

/// How much a history did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Actions made.
    pub actions: u64,
    /// Actions accepted.
    pub accepted: u64,
    /// Actions refused.
    pub refused: u64,
    /// Actions accepted as part of the one that they had joined.
    pub joined: u64,
    /// Undos and redos asked for.
    pub undos: u64,
    /// Connections broken.
    pub breaks: u64,
    /// Programs that began again with what they had saved.
    pub restarts: u64,
    /// Rooms lost and restored.
    pub crashes: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Values and commits of the past that were asked for.
    pub looks: u64,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.actions += other.actions;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.joined += other.joined;
        self.undos += other.undos;
        self.breaks += other.breaks;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.messages += other.messages;
        self.looks += other.looks;
    }
}
