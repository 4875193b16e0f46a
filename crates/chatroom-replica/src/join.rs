//! Edits of a text that were not sent yet become one action (M48): what meets others after a time
//! offline is then as many edits as there were pauses, not as there were keystrokes.

use chatroom_protocol::change::StringChange;
use chatroom_protocol::{Change, Limits, TopicName};

use crate::own::{ActionId, Nature, Pending};
use crate::replica::Replica;
use crate::undo::GROUP_MS;

/// So many components a joined edit has at most; each further keystroke walks over them.
const COMPONENTS_MAX: usize = 256;

impl Replica {
    /// Joins an action that was just performed to the youngest pending one, if the two may be one.
    /// Says whether that was so.
    pub(crate) fn join(&mut self, id: ActionId, topics: &[TopicName], nature: Nature, limits: &Limits) -> bool {
        let [name] = topics else { return false };
        if self.actions.len() <= self.sent || self.history.is_asked() {
            return false;
        }
        let (Some(youngest), Some(mirror)) = (self.actions.back_mut(), self.mirrors.get_mut(name)) else {
            return false;
        };
        if youngest.topics != topics || !may_join(youngest, nature) {
            return false;
        }
        let mut own = mirror.own.iter().rev();
        let (Some(last), Some(before)) = (own.next(), own.next()) else {
            return false;
        };
        let alone = own.next().is_none_or(|other| other.action != before.action);
        if !alone
            || last.action != id
            || before.action != youngest.id
            || before.lost
            || !(last.applied && before.applied)
        {
            return false;
        }
        // An edit without a way back has no effect, and is none.
        let joined = compose(before.change.as_ref(), last.change.as_ref());
        let (Some(joined), Some(back)) = (joined, compose(last.back.as_ref(), before.back.as_ref())) else {
            return false;
        };
        if weight(&joined) > COMPONENTS_MAX
            || !crate::push::fits(std::iter::once((name, &joined)), limits.message_bytes)
        {
            return false;
        }
        mirror.own.pop_back();
        if let Some(before) = mirror.own.back_mut() {
            let something = weight(&joined) > 0;
            (before.change, before.back) = (something.then_some(joined), something.then_some(back));
        }
        youngest.nature = nature;
        youngest.joined.push(id);
        self.joined += 1;
        true
    }
}

/// Whether an action of that nature may join one: both made by the application, with the same fate
/// in undo, and within the time that undo takes them back together.
fn may_join(youngest: &Pending, nature: Nature) -> bool {
    let (
        Nature::Made { tracked, group, at_ms },
        Nature::Made { tracked: own_tracked, group: own_group, at_ms: own_at_ms },
    ) = (youngest.nature, nature)
    else {
        return false;
    };
    youngest.named.is_none()
        && tracked == own_tracked
        && group == own_group
        && (group.is_some() || own_at_ms.saturating_sub(at_ms) <= GROUP_MS)
}

fn compose(first: Option<&Change>, next: Option<&Change>) -> Option<Change> {
    match (first?, next?) {
        (Change::String(first), Change::String(next)) => Some(Change::String(first.compose(next)?)),
        _ => None,
    }
}

fn weight(change: &Change) -> usize {
    match change {
        Change::String(StringChange::Edit(components)) => components.len(),
        _ => 0,
    }
}
