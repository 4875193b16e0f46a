//! Effects on their way out; those that tell of a commit wait here until the journal has it.

use std::collections::VecDeque;

use bytes::Bytes;
use chatroom_protocol::Sequence;

use crate::effect::Effect;

/// Everything behind an append waits for it, whatever it is: nobody may see a state that a crash
/// could take back, and the order of effects is the room's order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) ready: Vec<Effect>,
    held: VecDeque<(Sequence, Effect)>,
    requested: Sequence,
    appended: Sequence,
}

impl Outgoing {
    pub(crate) fn push(&mut self, effect: Effect) {
        if self.appended < self.requested {
            self.held.push_back((self.requested, effect));
        } else {
            self.ready.push(effect);
        }
    }

    /// Asks for an append at once, also behind others: the journal batches them.
    pub(crate) fn append(&mut self, sequence: Sequence, record: Bytes) {
        self.requested = sequence;
        self.ready.push(Effect::Append { sequence, record });
    }

    pub(crate) fn appended(&mut self, sequence: Sequence) {
        self.appended = self.appended.max(sequence);
        while self.held.front().is_some_and(|(needs, _)| *needs <= self.appended) {
            self.ready.extend(self.held.pop_front().map(|(_, effect)| effect));
        }
    }
}
