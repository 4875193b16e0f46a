//! Undo and redo of what this client did, as the application sees it.

use std::sync::Arc;

use chatroom_replica::Direction;
use tokio::sync::watch;

use crate::client::Client;
use crate::core::{Core, Shared};

/// Whether there is something to undo and to redo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// Whether [`Client::undo`] has something to take back.
    pub can_undo: bool,
    /// Whether [`Client::redo`] has something to do again.
    pub can_redo: bool,
}

/// Actions that are undone together, until this is dropped; see [`Client::group`].
#[derive(Debug)]
#[must_use = "the group ends when this is dropped"]
pub struct Group {
    shared: Arc<Shared>,
    group: u64,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.shared.with(|core| {
            if core.group == Some(self.group) {
                core.group = None;
            }
        });
    }
}

impl Client {
    /// Takes back the effect of this client's last action that still has one, and nothing that
    /// others wrote since. It is an action itself: shown at once, and refused like any other.
    ///
    /// Actions on the same topics within half a second are undone together. What stands within a
    /// transaction that is [`untracked`](crate::Transaction::untracked), events and presence are not
    /// taken back.
    pub fn undo(&self) {
        self.owner.shared.with(|core| core.take(Direction::Undo));
    }

    /// Does again what was undone last, unless another action was made since.
    pub fn redo(&self) {
        self.owner.shared.with(|core| core.take(Direction::Redo));
    }

    /// Whether there is something to undo and to redo.
    #[must_use]
    pub fn history(&self) -> History {
        self.owner.shared.with(|core| core.history())
    }

    /// Whether there is something to undo and to redo, now and from now on. What others write over
    /// is noticed when [`Client::history`] is asked.
    #[must_use]
    pub fn watch_history(&self) -> watch::Receiver<History> {
        self.owner.shared.history.subscribe()
    }

    /// Begins a group: the actions made until the result is dropped are undone together, as those
    /// of a drag.
    pub fn group(&self) -> Group {
        let shared = self.owner.shared.clone();
        let group = shared.with(|core| {
            let group = core.number().unsigned_abs();
            core.group = Some(group);
            group
        });
        Group { shared, group }
    }
}

impl Core {
    fn take(&mut self, direction: Direction) {
        if !self.closed {
            self.replica.take(direction);
            self.after().wake = true;
        }
    }

    pub(crate) fn history(&mut self) -> History {
        History { can_undo: self.replica.can(Direction::Undo), can_redo: self.replica.can(Direction::Redo) }
    }
}
