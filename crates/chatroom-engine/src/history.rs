//! What was committed lately: what changes made on an older state are moved behind, and what a
//! client that comes back has missed.

use std::collections::VecDeque;
use std::sync::Arc;

use chatroom_protocol::change::{ChangeId, EventChange, StringChange};
use chatroom_protocol::{Change, ClientId, Limits, Sequence, TopicName, json};

use crate::action::Committed;
use crate::input::Time;
use crate::room::Room;

/// What a remembered change takes besides its own text: its part, the commit that it is in, its places
/// in the lists, and what the allocator adds.
const CHANGE_BYTES: usize = 320;
/// What a component of a text edit takes besides its text.
const COMPONENT_BYTES: usize = 32;

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
    pub(crate) at: Time,
}

impl Kept {
    /// About how many bytes a topic's part of it takes.
    fn bytes_of(&self, name: &TopicName) -> usize {
        self.parts.iter().filter(|part| part.topic_name == *name).map(|part| bytes(&part.change)).sum()
    }
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
    commits: VecDeque<(Arc<Kept>, usize)>,
    bytes: usize,
    /// The last one that is not remembered any more.
    floor: Sequence,
}

impl Past {
    /// The commits after `base`; `None` if some of them are not remembered.
    pub(crate) fn since(&self, base: Sequence) -> Option<impl Iterator<Item = &Arc<Kept>>> {
        let from = self.commits.partition_point(|(kept, _)| kept.sequence <= base);
        (base >= self.floor).then(|| self.commits.range(from..).map(|(kept, _)| kept))
    }

    /// All that are remembered.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.commits.iter().map(|(kept, _)| kept)
    }

    /// About how many bytes the commits after `base` take.
    pub(crate) fn bytes_since(&self, base: Sequence) -> usize {
        let from = self.commits.partition_point(|(kept, _)| kept.sequence <= base);
        self.commits.range(from..).map(|(_, bytes)| bytes).sum()
    }

    /// Nothing is remembered up to that place.
    pub(crate) fn begins_behind(&mut self, floor: Sequence) {
        self.floor = floor;
    }

    fn oldest(&self) -> Option<Sequence> {
        self.commits.front().map(|(kept, _)| kept.sequence)
    }

    fn keep(&mut self, kept: &Arc<Kept>, bytes: usize) {
        self.commits.push_back((kept.clone(), bytes));
        self.bytes += bytes;
    }

    /// Whether the oldest commit is more than has to be remembered, or more than may be.
    fn is_full(&self, now: Time, limits: &Limits) -> bool {
        let Some((oldest, _)) = self.commits.front() else {
            return false;
        };
        let many = self.commits.len() > limits.history_commits && now.since_ms(oldest.at) > limits.history_ms;
        many || self.bytes > limits.history_bytes
    }

    fn drop_oldest(&mut self) -> usize {
        let Some((oldest, bytes)) = self.commits.pop_front() else {
            return 0;
        };
        self.bytes -= bytes;
        self.floor = oldest.sequence;
        bytes
    }
}

/// Which topic's commits are the oldest of the room, for the bound on all of them.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    order: VecDeque<(Sequence, TopicName)>,
    commits: usize,
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
        // A vector of its own: one that is collected in place keeps the room of what it was made of.
        let mut kept = Vec::with_capacity(parts.len());
        for Committed { topic_name, id, change, previous, .. } in parts {
            if !matches!(change, Change::Presence(_)) {
                kept.push(KeptPart { topic_name, id, change, previous });
            }
        }
        let parts = kept;
        self.remember_kept(Kept { sequence, by, number, action_id, parts, at: self.now });
    }

    pub(crate) fn remember_kept(&mut self, kept: Kept) {
        if kept.parts.is_empty() {
            return;
        }
        let (sequence, kept) = (kept.sequence, Arc::new(kept));
        for (index, part) in kept.parts.iter().enumerate() {
            let again = kept.parts.iter().take(index).any(|other| other.topic_name == part.topic_name);
            let Some(topic) = self.topics.get_mut(&part.topic_name).filter(|_| !again) else {
                continue;
            };
            let bytes = kept.bytes_of(&part.topic_name);
            topic.past.keep(&kept, bytes);
            self.ages.bytes += bytes;
            self.ages.commits += 1;
            while topic.past.is_full(self.now, &self.config.limits) {
                self.ages.bytes -= topic.past.drop_oldest();
                self.ages.commits -= 1;
            }
            self.ages.order.push_back((sequence, part.topic_name.clone()));
        }
        self.drop_over_limit();
    }

    fn drop_over_limit(&mut self) {
        while self.ages.bytes > self.config.limits.room_history_bytes
            && let Some((sequence, name)) = self.ages.order.pop_front()
        {
            if let Some(topic) = self.topics.get_mut(&name).filter(|topic| topic.past.oldest() == Some(sequence)) {
                self.ages.bytes -= topic.past.drop_oldest();
                self.ages.commits -= 1;
            }
        }
        // One old commit of a quiet topic would keep the places of all that a busy one dropped.
        if self.ages.order.len() > 2 * self.ages.commits + 64 {
            let topics = &self.topics;
            self.ages.order.retain(|(sequence, name)| {
                topics.get(name).is_some_and(|topic| topic.past.oldest().is_some_and(|oldest| oldest <= *sequence))
            });
        }
    }

    /// A topic is gone, and what was remembered of it.
    pub(crate) fn forget_past(&mut self, past: &Past) {
        self.ages.bytes -= past.bytes;
        self.ages.commits -= past.commits.len();
    }

    /// About how many bytes of the past the room remembers.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.ages.bytes
    }
}

/// About how many bytes a change takes while it is remembered.
fn bytes(change: &Change) -> usize {
    let own = match change {
        Change::Event(EventChange::Emit(args)) => json::weight(args),
        Change::String(StringChange::Edit(components)) => change.weight() + components.len() * COMPONENT_BYTES,
        change => change.weight(),
    };
    own + CHANGE_BYTES
}

#[cfg(test)]
mod tests {
    use chatroom_protocol::change::IntChange;

    use super::*;

    fn kept(sequence: u64) -> Arc<Kept> {
        let (topic_name, change) = (TopicName::parse("t").unwrap(), Change::Int(IntChange::Add(1)));
        let part = KeptPart { topic_name, id: ChangeId::Number(0), change, previous: Sequence(sequence - 1) };
        let at = Time(sequence);
        Arc::new(Kept {
            sequence: Sequence(sequence),
            by: ClientId(1),
            number: None,
            action_id: None,
            parts: vec![part],
            at,
        })
    }

    /// Commits 1 to 10, one a millisecond, each of 100 bytes: which are left at that time?
    #[track_caller]
    fn check((history_commits, history_ms, history_bytes): (usize, u64, usize), now: u64, left: &[u64]) {
        let limits = Limits { history_commits, history_ms, history_bytes, ..Limits::default() };
        let mut past = Past::default();
        for sequence in 1..=10 {
            past.keep(&kept(sequence), 100);
        }
        while past.is_full(Time(now), &limits) {
            past.drop_oldest();
        }
        let floor = past.floor;
        let found: Vec<u64> = past.since(floor).unwrap().map(|kept| kept.sequence.0).collect();
        assert_eq!(found, left);
        assert_eq!((past.bytes, past.bytes_since(floor)), (100 * left.len(), 100 * left.len()));
        // One place before the floor something is missing.
        assert_eq!(floor.0 + 1, left.first().copied().unwrap_or(11));
        assert!(floor.0 == 0 || past.since(Sequence(floor.0 - 1)).is_none());
    }

    #[test]
    fn the_last_commits_and_milliseconds_are_kept_and_no_more_bytes_than_that() {
        check((3, 0, 10_000), 11, &[8, 9, 10]);
        check((3, 5, 10_000), 10, &[5, 6, 7, 8, 9, 10]);
        check((3, 5, 10_000), 1_000, &[8, 9, 10]);
        check((8, 5, 10_000), 10, &[3, 4, 5, 6, 7, 8, 9, 10]);
        check((8, 1_000, 250), 10, &[9, 10]);
        check((8, 1_000, 99), 10, &[]);
    }

    /// planx-new PR #6762: missed changes were read from the base on instead of after it.
    #[test]
    fn what_is_after_a_place_does_not_include_it() {
        let mut past = Past::default();
        for sequence in [2, 3, 7] {
            past.keep(&kept(sequence), 10);
        }
        let since = |base| past.since(Sequence(base)).unwrap().map(|kept| kept.sequence.0).collect::<Vec<_>>();
        assert_eq!(since(0), [2, 3, 7]);
        assert_eq!(since(2), [3, 7]);
        assert_eq!(since(3), [7]);
        assert_eq!(since(5), [7]);
        assert!(since(7).is_empty());
    }
}
