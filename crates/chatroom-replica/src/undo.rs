//! Undo and redo of this client's own actions (section 6 of `docs/merging.md`).
//!
//! Two stacks of entries, each the changes that perform it. Entries are kept on the confirmed value
//! by carrying every commit down the stacks, so an undo takes back what is left of an action and
//! nothing that others wrote since.

use std::collections::VecDeque;

use chatroom_protocol::change::{BoolChange, DictChange, FloatChange, GenericChange, IntChange, ListChange, Side};
use chatroom_protocol::{Change, Code, Limits, TopicName};

use crate::cursor::Cause;
use crate::mirror::{Effective, Own};
use crate::outcome::Outcome;
use crate::own::{ActionId, Nature, Pending};
use crate::replica::Replica;

/// How many entries a stack has at most, and how much they may weigh as JSON text.
const ENTRIES_MAX: usize = 200;
const BYTES_MAX: usize = 1 << 20;
/// So many commits wait with an entry at most.
const DUE_MAX: usize = 8_192;
/// Actions within this time are undone together.
pub(crate) const GROUP_MS: u64 = 500;

/// Undo or redo; also the stack that it takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Takes back what was done.
    Undo,
    /// Does again what was taken back.
    Redo,
}

#[derive(Clone, Debug)]
struct Entry {
    /// In the order in which to perform them. Of a pending entry they are with their topics.
    changes: VecDeque<(TopicName, Change)>,
    topics: Vec<TopicName>,
    pending: Option<ActionId>,
    /// Whether it is defined on the value instead of the confirmed one: it was never sent.
    ahead: bool,
    group: Option<u64>,
    at_ms: u64,
    /// Whether somebody else wrote to its topics since.
    sealed: bool,
    /// Whether a tracked action was made while its undo was pending: that cannot be redone then.
    is_final: bool,
    bytes: usize,
    /// Commits that are still to be carried down from here. They wait until somebody undoes: most
    /// entries are never looked at again.
    due: Vec<(TopicName, Change)>,
}

/// What can be undone and redone.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    done: Vec<Entry>,
    undone: Vec<Entry>,
    /// What the application asked for and could not be done yet.
    asked: VecDeque<Direction>,
    /// Whether undo or redo came after the last entry.
    broken: bool,
    pub(crate) touched: bool,
}

impl History {
    fn stack(&mut self, direction: Direction) -> &mut Vec<Entry> {
        match direction {
            Direction::Undo => &mut self.done,
            Direction::Redo => &mut self.undone,
        }
    }

    /// Whether an undo or redo waits.
    pub(crate) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.touched |= !(self.done.is_empty() && self.undone.is_empty());
        self.done.clear();
        self.undone.clear();
        self.asked.clear();
    }

    /// A tracked action was made: what was undone before it cannot be redone.
    pub(crate) fn acted(&mut self) {
        self.touched = true;
        // A redo on its way still happens, and can be undone then.
        self.undone.retain(|entry| entry.pending.is_some());
        for entry in &mut self.done {
            entry.is_final |= entry.pending.is_some();
        }
    }

    /// A tracked action was accepted (M51, M53).
    pub(crate) fn done(
        &mut self,
        mut topics: Vec<TopicName>,
        mut inverse: Vec<(TopicName, Change)>,
        group: Option<u64>,
        at_ms: u64,
        changes_max: usize,
    ) {
        if inverse.is_empty() {
            return;
        }
        self.touched = true;
        topics.sort();
        let broken = std::mem::take(&mut self.broken);
        let together =
            self.done.last().filter(|top| top.pending.is_none()).is_some_and(|top| match (group, top.group) {
                (Some(own), Some(other)) => own == other,
                (None, None) => {
                    !broken && !top.sealed && top.topics == topics && at_ms.saturating_sub(top.at_ms) <= GROUP_MS
                }
                _ => false,
            });
        if let Some(place) = self.done.len().checked_sub(1).filter(|_| together) {
            // What waits with the entry came before what joins it now.
            settle(&mut self.done, place);
            let top = &mut self.done[place];
            let kept = |(name, change): &(TopicName, Change)| {
                !top.changes.iter().any(|(other, later)| name == other && overwrites(later, change))
            };
            // What would make the entry too large begins another.
            if inverse.iter().filter(|part| kept(part)).count() + top.changes.len() <= changes_max {
                inverse.retain(kept);
                top.bytes += weight(&inverse);
                inverse.into_iter().rev().for_each(|part| top.changes.push_front(part));
                for topic in topics {
                    if let Err(place) = top.topics.binary_search(&topic) {
                        top.topics.insert(place, topic);
                    }
                }
                top.at_ms = at_ms;
                return self.bound(Direction::Undo);
            }
        }
        let bytes = weight(&inverse);
        let entry = Entry {
            changes: inverse.into(),
            topics,
            pending: None,
            ahead: false,
            group,
            at_ms,
            sealed: false,
            is_final: false,
            bytes,
            due: Vec::new(),
        };
        self.done.push(entry);
        self.bound(Direction::Undo);
    }

    fn bound(&mut self, direction: Direction) {
        let stack = self.stack(direction);
        let mut bytes = 0;
        let kept = stack.iter().rev().take(ENTRIES_MAX).take_while(|entry| {
            bytes += entry.bytes;
            bytes <= BYTES_MAX
        });
        let gone = stack.len() - kept.count();
        stack.drain(..gone);
    }

    /// A commit of somebody else had an effect (M52).
    pub(crate) fn committed(&mut self, name: &TopicName, commit: &Effective, undos: Option<Direction>) {
        for direction in [Direction::Undo, Direction::Redo] {
            let below = match undos == Some(direction) {
                true => commit.behind_undos.clone(),
                false => vec![commit.confirmed.clone()],
            };
            let stack = self.stack(direction);
            if !stack.iter().any(|entry| entry.topics.contains(name)) {
                continue;
            }
            if let Some(top) = stack.last_mut().filter(|top| top.topics.contains(name)) {
                top.sealed = true;
            }
            walk(stack.iter_mut().rev().filter(|entry| entry.ahead), name, commit.behind_all.clone());
            let top = stack.iter().rposition(|entry| entry.pending.is_none() && !entry.ahead);
            wait_with(stack, top, name, below);
        }
    }

    /// An own action that undo does not track was accepted.
    pub(crate) fn shift(&mut self, name: &TopicName, change: &Change) {
        for stack in [&mut self.done, &mut self.undone] {
            if stack.iter().any(|entry| entry.topics.contains(name)) {
                let top = stack.iter().rposition(|entry| !entry.ahead);
                wait_with(stack, top, name, vec![change.clone()]);
            }
        }
    }

    /// Something happened to the value alone.
    pub(crate) fn shift_ahead(&mut self, name: &TopicName, changes: &[Change]) {
        walk(self.undone.iter_mut().rev().filter(|entry| entry.ahead), name, changes.to_vec());
    }

    /// A pending undo or redo was refused (M55): what is below its entry does without it.
    pub(crate) fn dropped(&mut self, direction: Direction, action: ActionId, name: &TopicName, back: &[Change]) {
        let stack = self.stack(direction);
        if let Some(place) = stack.iter().position(|entry| entry.pending == Some(action)) {
            wait_with(stack, place.checked_sub(1), name, back.to_vec());
        }
    }

    fn remove(&mut self, direction: Direction, action: ActionId) -> Option<Entry> {
        self.touched = true;
        let stack = self.stack(direction);
        let place = stack.iter().position(|entry| entry.pending == Some(action))?;
        Some(stack.remove(place))
    }

    /// A pending undo or redo was accepted (M55).
    pub(crate) fn taken(
        &mut self,
        direction: Direction,
        action: ActionId,
        topics: Vec<TopicName>,
        inverse: Vec<(TopicName, Change)>,
    ) {
        let Some(entry) = self.remove(direction, action) else {
            return;
        };
        if inverse.is_empty() || entry.is_final {
            return;
        }
        let other = match direction {
            Direction::Undo => Direction::Redo,
            Direction::Redo => Direction::Undo,
        };
        let bytes = weight(&inverse);
        let mut topics = topics;
        topics.sort();
        let entry = Entry {
            changes: inverse.into(),
            topics,
            pending: None,
            ahead: false,
            sealed: true,
            bytes,
            due: Vec::new(),
            ..entry
        };
        self.stack(other).push(entry);
        self.bound(other);
    }

    /// A topic's history is not known without a gap any more (M56).
    pub(crate) fn forget(&mut self, name: &TopicName) {
        let touches = self.done.iter().chain(&self.undone).any(|entry| entry.topics.contains(name));
        if touches {
            self.clear();
        }
    }

    fn has(&mut self, direction: Direction) -> bool {
        let stack = self.stack(direction);
        (0..stack.len()).rev().any(|place| {
            settle(stack, place);
            stack[place].pending.is_none() && !stack[place].changes.is_empty()
        })
    }
}

/// Lets commits wait with the entry from which they have to be carried down.
fn wait_with(stack: &mut [Entry], top: Option<usize>, name: &TopicName, changes: Vec<Change>) {
    if let Some(place) = top {
        stack[place].due.extend(changes.into_iter().map(|change| (name.clone(), change)));
        if stack[place].due.len() > DUE_MAX {
            settle(stack, place);
        }
    }
}

/// Carries what waits with an entry over it, to wait with the entry below.
fn settle(stack: &mut [Entry], place: usize) {
    let due = std::mem::take(&mut stack[place].due);
    for (name, change) in due {
        let mut carried = vec![change];
        if stack[place].topics.contains(&name) {
            carried = walk(std::iter::once(&mut stack[place]), &name, carried);
        }
        wait_with(stack, place.checked_sub(1), &name, carried);
    }
}

/// Carries changes down entries, the top one first; returns what they are below the last.
fn walk<'e>(entries: impl Iterator<Item = &'e mut Entry>, name: &TopicName, mut carried: Vec<Change>) -> Vec<Change> {
    for entry in entries.filter(|entry| entry.pending.is_none()) {
        if carried.is_empty() {
            break;
        }
        if !entry.topics.contains(name) {
            continue;
        }
        for (topic, change) in std::mem::take(&mut entry.changes) {
            let kept = match topic == *name {
                true => cross(change, &mut carried),
                false => Some(change),
            };
            entry.changes.extend(kept.map(|change| (topic, change)));
        }
    }
    carried
}

/// Puts a commit below what would take something back: what others wrote since stays.
fn cross(entry: Change, carried: &mut Vec<Change>) -> Option<Change> {
    let mut own = Some(entry);
    let mut behind = Vec::with_capacity(carried.len());
    for change in carried.drain(..) {
        let Some(entry) = own.take() else {
            behind.push(change);
            continue;
        };
        if let Some(instead) = prevails(&change, &entry) {
            behind.push(instead);
            continue;
        }
        behind.extend(change.transform(&entry, Side::Later));
        own = entry.transform(&change, Side::First);
    }
    *carried = behind;
    own
}

/// Where another's write ends an entry: the write as it is for the entries below, which were made
/// to stand behind this one.
fn prevails(change: &Change, entry: &Change) -> Option<Change> {
    match (change, entry) {
        (Change::Dict(change), Change::Dict(entry)) if change.key().is_some() && change.key() == entry.key() => {
            Some(Change::Dict(match change {
                DictChange::Add(key, value)
                | DictChange::Put(key, value)
                | DictChange::Ensure(key, value)
                | DictChange::ChangeValue(key, value) => DictChange::Put(key.clone(), value.clone()),
                other => other.clone(),
            }))
        }
        (Change::List(ListChange::SetItem { position, item }), Change::List(ListChange::Pop { position: own }))
            if position == own =>
        {
            Some(Change::List(ListChange::Insert { position: *position, item: item.clone() }))
        }
        _ => None,
    }
}

/// Whether nothing is left of `earlier` once `later` was performed.
fn overwrites(later: &Change, earlier: &Change) -> bool {
    match (later, earlier) {
        (Change::Generic(GenericChange::Set(_)), Change::Generic(GenericChange::Set(_)))
        | (Change::Bool(BoolChange::Set(_)), Change::Bool(BoolChange::Set(_)))
        | (Change::Int(IntChange::Set(_)), Change::Int(IntChange::Set(_)))
        | (Change::Float(FloatChange::Set(_)), Change::Float(FloatChange::Set(_))) => true,
        (Change::Dict(DictChange::ChangeValue(key, _)), Change::Dict(DictChange::ChangeValue(other, _))) => {
            key == other
        }
        _ => false,
    }
}

fn weight(changes: &[(TopicName, Change)]) -> usize {
    changes.iter().map(|(_, change)| serde_json::to_string(change).map_or(0, |text| text.len())).sum()
}

impl Replica {
    /// Undoes this client's last tracked action that still has an effect, or redoes the last undone
    /// one; as soon as what is on its way allows it (M54).
    pub fn take(&mut self, direction: Direction) {
        self.history.broken = true;
        self.history.asked.push_back(direction);
        self.go_on_undoing();
    }

    /// Whether there is something to undo, or to redo. What others wrote since is looked at here.
    pub fn can(&mut self, direction: Direction) -> bool {
        let on_its_way = |action: &Pending| match (direction, action.nature) {
            (Direction::Undo, Nature::Made { tracked, .. }) => tracked,
            (Direction::Undo, Nature::TakenFrom(from)) => from == Direction::Redo,
            (Direction::Redo, Nature::TakenFrom(from)) => from == Direction::Undo,
            (Direction::Redo, Nature::Made { .. }) => false,
        };
        self.actions.iter().any(on_its_way) || self.history.has(direction)
    }

    pub(crate) fn go_on_undoing(&mut self) {
        while self.resuming.is_none()
            && let Some(direction) = self.history.asked.front().copied()
            && self.try_taking(direction)
        {
            self.history.asked.pop_front();
        }
    }

    /// Does what was asked for, or finds that there is nothing to do; false if it has to wait.
    fn try_taking(&mut self, direction: Direction) -> bool {
        if direction == Direction::Redo && self.history.undone.last().is_some_and(|entry| entry.ahead) {
            self.make_again();
            return true;
        }
        let same = |action: &Pending| action.nature == Nature::TakenFrom(direction);
        if self.actions.iter().all(same) {
            if direction == Direction::Undo && self.history.undone.iter().any(|entry| entry.ahead) {
                // The inverse of this undo will stand above these: they have to be on the confirmed value.
                if !self.actions.is_empty() {
                    return false;
                }
                self.history.undone.iter_mut().for_each(|entry| entry.ahead = false);
            }
            self.submit(direction);
            return true;
        }
        let Some(youngest) = self.actions.back().filter(|_| self.actions.len() > self.sent).cloned() else {
            return false;
        };
        match (youngest.nature, direction) {
            (Nature::TakenFrom(other), _) if other != direction => self.call_back(&youngest, other),
            (Nature::Made { tracked: true, .. }, Direction::Undo) => self.cancel(&youngest),
            (Nature::Made { tracked: true, .. }, Direction::Redo) => {}
            _ => return false,
        }
        true
    }

    fn next_id(&mut self) -> ActionId {
        self.next_action += 1;
        ActionId(self.next_action)
    }

    /// Makes an action of the top entry that is not one yet.
    fn submit(&mut self, direction: Direction) {
        let id = self.next_id();
        let stack = self.history.stack(direction);
        while let Some(place) = stack.iter().rposition(|entry| entry.pending.is_none()) {
            settle(stack, place);
            if stack[place].changes.is_empty() {
                stack.remove(place);
                continue;
            }
            stack[place].pending = Some(id);
            let mut changes = std::mem::take(&mut stack[place].changes);
            self.history.touched = true;
            self.show_taken(id, changes.make_contiguous(), Nature::TakenFrom(direction));
            return;
        }
        self.next_action -= 1;
    }

    /// Makes an action again that was cancelled before it was sent.
    fn make_again(&mut self) {
        let Some(mut entry) = self.history.undone.pop() else {
            return;
        };
        self.history.touched = true;
        if entry.changes.is_empty() {
            return;
        }
        let id = self.next_id();
        let nature = Nature::Made { tracked: true, group: entry.group, at_ms: entry.at_ms };
        self.show_taken(id, entry.changes.make_contiguous(), nature);
    }

    fn show_taken(&mut self, id: ActionId, changes: &[(TopicName, Change)], nature: Nature) {
        let mut topics: Vec<TopicName> = Vec::new();
        for (name, _) in changes {
            if !topics.contains(name) {
                topics.push(name.clone());
            }
        }
        for name in &topics {
            let Some(mirror) = self.mirrors.get_mut(name) else {
                continue;
            };
            let mut tape = mirror.tape();
            let mut shown = Vec::new();
            for (part, (_, change)) in changes.iter().enumerate().filter(|(_, (other, _))| other == name) {
                let done = mirror.apply(change, &Limits::unlimited(), &mut tape);
                let applied = done.is_ok() && mirror.value.is_some();
                let back = done.ok().flatten();
                if back.is_some() {
                    shown.push(change.clone());
                }
                mirror.own.push_back(Own {
                    action: id,
                    part,
                    change: Some(change.clone()),
                    back,
                    applied,
                    lost: false,
                });
            }
            self.show_own(name, tape, shown, Cause::Local);
        }
        self.actions.push_back(Pending { id, nature, topics, named: None, joined: Vec::new() });
    }

    /// What is left of a pending action's changes, in their order.
    fn left_of(&self, action: &Pending) -> Vec<(TopicName, Change)> {
        let mut left: Vec<(usize, TopicName, Change)> = Vec::new();
        for name in &action.topics {
            let own = self.mirrors.get(name).into_iter().flat_map(|mirror| &mirror.own);
            let own = own.filter(|own| own.action == action.id);
            left.extend(own.filter_map(|own| Some((own.part, name.clone(), own.change.clone()?))));
        }
        left.sort_by_key(|(part, ..)| *part);
        left.into_iter().map(|(_, name, change)| (name, change)).collect()
    }

    /// Takes back an undo or redo that was not sent: its entry can be taken again.
    fn call_back(&mut self, action: &Pending, from: Direction) {
        let left = self.left_of(action);
        self.actions.pop_back();
        self.take_out(action, Cause::Local);
        self.history.touched = true;
        let stack = self.history.stack(from);
        if let Some(entry) = stack.iter_mut().find(|entry| entry.pending == Some(action.id)) {
            (entry.pending, entry.changes) = (None, left.into());
        }
        self.settle_cancelled(action);
    }

    /// Takes back an action that was not sent, so that it can be redone.
    fn cancel(&mut self, action: &Pending) {
        let left = self.left_of(action);
        self.actions.pop_back();
        self.take_out(action, Cause::Local);
        self.history.touched = true;
        let (group, at_ms) = match action.nature {
            Nature::Made { group, at_ms, .. } => (group, at_ms),
            Nature::TakenFrom(_) => (None, 0),
        };
        let bytes = weight(&left);
        let mut topics = action.topics.clone();
        topics.sort();
        let entry = Entry {
            changes: left.into(),
            topics,
            pending: None,
            ahead: true,
            group,
            at_ms,
            sealed: true,
            is_final: false,
            bytes,
            due: Vec::new(),
        };
        self.history.undone.push(entry);
        self.history.bound(Direction::Redo);
        self.settle_cancelled(action);
    }

    fn settle_cancelled(&mut self, action: &Pending) {
        let topic_name = action.topics.first().map(ToString::to_string).unwrap_or_default();
        let reason = "it was undone before it was sent".to_owned();
        let refused = crate::own::refused(Code::Cancelled, reason, topic_name, serde_json::Value::Null);
        self.settle_all(action, &Outcome::Refused(refused));
    }
}

impl History {
    /// An action was refused: what was defined on the value with it moves (M44, M55).
    pub(crate) fn refused(&mut self, action: &Pending, name: &TopicName, below_undos: &[Change], below_all: &[Change]) {
        self.shift_ahead(name, below_all);
        if let Nature::TakenFrom(direction) = action.nature {
            self.dropped(direction, action.id, name, below_undos);
        }
    }

    pub(crate) fn drop_entry(&mut self, action: &Pending) {
        if let Nature::TakenFrom(direction) = action.nature {
            self.remove(direction, action.id);
        }
    }
}
