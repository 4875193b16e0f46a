//! Another's commit, put below the own pending changes of a text or list without stepping back from
//! them: what it is behind them is applied to the value, and each of them knows the way back from
//! there.

use chatroom_protocol::change::{Component, ListChange, StringChange};
use chatroom_protocol::{Change, Limits, TopicValue};

use crate::mirror::{Mirror, Own, Tape};
use crate::own::ActionId;

impl Mirror {
    /// What the commit is behind the own changes, and behind those of actions up to `undos`. `None`,
    /// and nothing was done, if it takes stepping back.
    pub(crate) fn slide(
        &mut self,
        change: &Change,
        undos: Option<ActionId>,
        tape: &mut Tape,
    ) -> Option<(Vec<Change>, Vec<Change>)> {
        if self.own.is_empty() || !self.lies_within(change)? {
            return None;
        }
        let carried = self.carry(vec![change.clone()], 0, undos);
        if !self.own.iter().all(is_known) {
            // Both deleted the same: what is deleted by now only the text can tell.
            self.rewind(0, tape);
            let applied = self.apply(change, &Limits::unlimited(), tape);
            debug_assert!(applied.is_ok(), "it lies within the confirmed value");
            self.replay(0, tape);
            return Some(carried);
        }
        for own in &mut self.own {
            let is_kept = match (&own.change, &mut own.back) {
                (Some(Change::String(change)), Some(Change::String(back))) => {
                    let followed = change.follow(back);
                    debug_assert!(followed, "it deletes what it deleted before");
                    followed
                }
                (Some(Change::List(change)), Some(Change::List(back))) => follow(change, back),
                (change, _) => change.is_some(),
            };
            if !is_kept {
                own.back = None;
            }
        }
        for change in &carried.0 {
            let applied = self.apply(change, &Limits::unlimited(), tape);
            debug_assert!(applied.is_ok(), "what is carried over the own changes applies");
        }
        Some(carried)
    }

    /// Whether a change can be applied to the confirmed value; `None` if it, or an own one, is of a
    /// kind that has to be stepped back from.
    fn lies_within(&self, change: &Change) -> Option<bool> {
        match (change, self.value.as_deref()) {
            (Change::String(StringChange::Edit(below)), Some(TopicValue::String(text))) => {
                if inserted(below) == 0 && deleted(below) == 0 {
                    return None;
                }
                let scalars =
                    self.own.iter().try_fold(text.scalars(), |scalars, own| match (&own.change, &own.back) {
                        (None, None) => Some(scalars),
                        (
                            Some(Change::String(StringChange::Edit(_))),
                            Some(Change::String(StringChange::Edit(back))),
                        ) if !own.lost && own.applied => (scalars + inserted(back)).checked_sub(deleted(back)),
                        _ => None,
                    })?;
                Some(walked(below) <= scalars)
            }
            (Change::List(below), Some(TopicValue::List(items))) => {
                let length = self.own.iter().try_fold(items.len(), |length, own| match (&own.change, &own.back) {
                    (None, None) => Some(length),
                    (Some(Change::List(_)), Some(Change::List(back))) if !own.lost && own.applied => match back {
                        ListChange::Insert { .. } => Some(length + 1),
                        ListChange::Pop { .. } => length.checked_sub(1),
                        ListChange::SetItem { .. } | ListChange::Move { .. } => Some(length),
                        ListChange::Set(_) => None,
                    },
                    _ => None,
                })?;
                match below {
                    ListChange::Insert { position, .. } => Some(*position <= length),
                    ListChange::Pop { position } => Some(*position < length),
                    // The item that an own change took away or replaced may be another one now.
                    ListChange::Set(_) | ListChange::SetItem { .. } => None,
                    ListChange::Move { from, to } => (from != to).then_some((*from).max(*to) < length),
                }
            }
            _ => None,
        }
    }
}

/// Whether the way back of an own change that was moved can be told without the text.
fn is_known(own: &Own) -> bool {
    match (&own.change, &own.back) {
        (None, None) | (Some(Change::List(_)), Some(_)) => true,
        (Some(Change::String(StringChange::Edit(now))), Some(Change::String(StringChange::Edit(back)))) => {
            deleted(now) == inserted(back)
        }
        // What others popped as well needs no way back any more.
        (None, Some(back)) => matches!(back, Change::List(_)),
        _ => false,
    }
}

/// Makes the way back of a list's change that of the same change where it is now; `false` if it does
/// nothing any more.
fn follow(change: &ListChange, back: &mut ListChange) -> bool {
    match (change, back) {
        (ListChange::Insert { position: now, .. }, ListChange::Pop { position })
        | (ListChange::Pop { position: now }, ListChange::Insert { position, .. })
        | (ListChange::SetItem { position: now, .. }, ListChange::SetItem { position, .. }) => *position = *now,
        (ListChange::Move { from: now_from, to: now_to }, ListChange::Move { from, to }) => {
            (*from, *to) = (*now_to, *now_from);
            return from != to;
        }
        (_, back) => debug_assert!(false, "{back:?} is no way back of {change:?}"),
    }
    true
}

fn deleted(components: &[Component]) -> usize {
    components.iter().map(|part| if let Component::Delete(count) = part { *count } else { 0 }).sum()
}

fn inserted(components: &[Component]) -> usize {
    components.iter().map(|part| if let Component::Insert(text) = part { text.chars().count() } else { 0 }).sum()
}

/// How far an edit reaches into the text.
fn walked(components: &[Component]) -> usize {
    let reach = components.iter().map(|part| match part {
        Component::Retain(count) | Component::Delete(count) => *count,
        Component::Insert(_) => 0,
    });
    reach.fold(0, usize::saturating_add)
}
