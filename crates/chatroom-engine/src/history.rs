//! What was committed lately: what changes made on an older state are moved behind, and what a
//! client that comes back has missed.

use std::collections::VecDeque;
use std::sync::Arc;

use chatroom_protocol::change::ChangeId;
use chatroom_protocol::{Change, ClientId, Limits, Sequence, TopicName};

use crate::action::Committed;
use crate::input::Time;
use crate::room::Room;

/// What a commit weighs besides its changes.
const COMMIT_BYTES: usize = 96;

/// A commit as it is remembered, shared by the topics it touched.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) sequence: Sequence,
    pub(crate) by: ClientId,
    /// Its number among its author's pushes, if it came by one.
    pub(crate) number: Option<u64>,
    /// How it is told when it has several parts.
    pub(crate) action_id: Option<ChangeId>,
    pub(crate) parts: Vec<KeptPart>,
    at: Time,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct KeptPart {
    pub(crate) topic_name: TopicName,
    pub(crate) id: ChangeId,
    pub(crate) change: Change,
    pub(crate) previous: Sequence,
}

/// The commits of one topic that are remembered, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Past {
    commits: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// The last one that is not remembered any more.
    floor: Sequence,
}

impl Past {
    /// The commits after `base`; `None` if some of them are not remembered.
    pub(crate) fn since(&self, base: Sequence) -> Option<impl Iterator<Item = &Arc<Kept>>> {
        let from = self.commits.partition_point(|kept| kept.sequence <= base);
        (base >= self.floor).then(|| self.commits.range(from..))
    }

    fn keep(&mut self, kept: &Arc<Kept>, now: Time, limits: &Limits) -> usize {
        if self.commits.back().is_some_and(|last| last.sequence == kept.sequence) {
            return 0;
        }
        self.commits.push_back(kept.clone());
        self.bytes += kept.bytes;
        let mut freed = 0;
        while let Some(oldest) = self.commits.front() {
            let many = self.commits.len() > limits.history_commits && now.since_ms(oldest.at) > limits.history_ms;
            if !many && self.bytes <= limits.history_bytes {
                break;
            }
            freed += self.drop_oldest();
        }
        freed
    }

    fn drop_oldest(&mut self) -> usize {
        let Some(oldest) = self.commits.pop_front() else {
            return 0;
        };
        self.bytes -= oldest.bytes;
        self.floor = oldest.sequence;
        oldest.bytes
    }
}

/// Which topic's commits are the oldest of the room, for the bound on all of them.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    order: VecDeque<(Sequence, TopicName)>,
    bytes: usize,
}

impl Room {
    /// Remembers a commit with the topics it touched.
    pub(crate) fn remember(
        &mut self,
        sequence: Sequence,
        by: ClientId,
        number: Option<u64>,
        action_id: Option<ChangeId>,
        parts: Vec<Committed>,
    ) {
        let kept = |part: &Committed| !matches!(part.change, Change::Presence(_));
        let parts: Vec<KeptPart> = parts
            .into_iter()
            .filter(kept)
            .map(|Committed { topic_name, id, change, previous, .. }| KeptPart { topic_name, id, change, previous })
            .collect();
        if parts.is_empty() {
            return;
        }
        let bytes = COMMIT_BYTES + parts.iter().map(|part| part.change.weight() + COMMIT_BYTES).sum::<usize>();
        let kept = Arc::new(Kept { sequence, by, number, action_id, parts, at: self.now, bytes });
        let limits = self.config.limits.clone();
        for part in &kept.parts {
            let Some(topic) = self.topics.get_mut(&part.topic_name) else {
                continue;
            };
            let before = topic.past.bytes;
            topic.past.keep(&kept, self.now, &limits);
            self.ages.bytes = (self.ages.bytes + topic.past.bytes).saturating_sub(before);
            self.ages.order.push_back((sequence, part.topic_name.clone()));
        }
        while self.ages.bytes > limits.room_history_bytes
            && let Some((sequence, name)) = self.ages.order.pop_front()
        {
            if let Some(topic) = self.topics.get_mut(&name)
                && topic.past.commits.front().is_some_and(|oldest| oldest.sequence == sequence)
            {
                let freed = topic.past.drop_oldest();
                self.ages.bytes = self.ages.bytes.saturating_sub(freed);
            }
        }
        // What was dropped by its topic's own bounds goes here now and then.
        if self.ages.order.len() > 4096 && self.ages.order.len().is_power_of_two() {
            let topics = &self.topics;
            self.ages.order.retain(|(sequence, name)| {
                topics.get(name).is_some_and(|topic| *sequence > topic.past.floor && *sequence > topic.made)
            });
        }
    }

    /// A topic is gone, and what was remembered of it.
    pub(crate) fn forget_past(&mut self, past: &Past) {
        self.ages.bytes = self.ages.bytes.saturating_sub(past.bytes);
    }
}
