//! Which topics are wanted, what was asked of the server about them, and what it answered.
//!
//! Per topic and connection at most one `subscribe` is unanswered, so an answer always belongs to
//! the flow that asked, whatever was released and opened again meanwhile.

use std::sync::Arc;

use chatroom_protocol::{ClientId, Code, Refusal, Sequence, TopicName, TopicType, TopicValue};
use serde_json::value::RawValue;

use crate::code::ErrorCode;
use crate::cursor::Cause;
use crate::mirror::{Status, Tape, Wire};
use crate::own::ActionId;
use crate::replica::{Asking, Note, Replica};

/// Opening and releasing.
impl Replica {
    /// Wants a topic; `kind` is `None` for whatever type it has.
    ///
    /// # Errors
    /// `type_mismatch` if this client knows it under another type.
    pub fn open(&mut self, name: &TopicName, kind: Option<TopicType>) -> Result<(), Refusal> {
        let mirror = self.mirror(name);
        let mut forgotten = false;
        let mut again = false;
        match (kind, mirror.kind) {
            (Some(asked), Some(known)) if asked != known && mirror.wanted => {
                return Err(Refusal::new(
                    Code::TypeMismatch,
                    format!("this client has the topic {name} open with the type {known}, not {asked}"),
                ));
            }
            // The flow under the other type ends first.
            (Some(asked), Some(known)) if asked != known => {
                (mirror.declared, mirror.kind, mirror.value) = (kind, kind, None);
                mirror.doubted = true;
                mirror.status = Status::Loading;
                (forgotten, again) = (true, true);
            }
            (Some(_), _) => (mirror.declared, mirror.kind) = (kind, kind),
            (None, _) => {}
        }
        mirror.wanted = true;
        if matches!(mirror.wire, Wire::Refused(_) | Wire::Gone) {
            mirror.wire = Wire::Absent;
            mirror.status = Status::Loading;
            mirror.value = None;
            (forgotten, again) = (true, true);
        }
        if again {
            self.notes.push(Note::Status(name.clone()));
        }
        if forgotten {
            self.forget_value(name);
        }
        self.dirty.insert(name.clone());
        Ok(())
    }

    /// The value of a topic is gone: own changes have nothing to stand on, and cannot be undone.
    fn forget_value(&mut self, name: &TopicName) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            for own in &mut mirror.own {
                (own.back, own.applied) = (None, false);
            }
            mirror.resuming = None;
        }
        self.history.forget(name);
    }

    /// Wants a topic no more.
    pub fn release(&mut self, name: &TopicName) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.wanted = false;
            mirror.declared = None;
            mirror.cursors.clear();
            self.dirty.insert(name.clone());
            self.history.forget(name);
        }
        if !self.online {
            self.asking();
        }
    }

    /// What has to be sent, once there is a connection; a topic that nobody wants is forgotten here.
    pub fn asking(&mut self) -> Vec<Asking> {
        if self.resuming.is_some() && self.online {
            return Vec::new();
        }
        let mut asking: Vec<_> = std::mem::take(&mut self.unreadable).into_iter().map(Asking::Unsubscribe).collect();
        for name in std::mem::take(&mut self.dirty) {
            let Some(mirror) = self.mirrors.get_mut(&name) else {
                continue;
            };
            let online = self.online;
            let retyped = matches!(mirror.wire, Wire::Refused(asked) if asked != mirror.declared);
            match mirror.wire {
                Wire::Live if online && (!mirror.wanted || mirror.doubted) => {
                    asking.push(Asking::Unsubscribe(name.clone()));
                    mirror.wire = Wire::Absent;
                }
                Wire::Refused(_) if retyped => mirror.wire = Wire::Absent,
                _ => {}
            }
            if mirror.wanted && mirror.wire == Wire::Absent && online {
                mirror.doubted = false;
                mirror.wire = Wire::Asked(mirror.declared);
                asking.push(Asking::Subscribe(name.clone(), mirror.declared));
            }
            let unused = !mirror.wanted && mirror.own.is_empty();
            if unused && !matches!(mirror.wire, Wire::Live | Wire::Asked(_)) {
                self.mirrors.remove(&name);
            }
        }
        asking
    }
}

/// What the server says.
impl Replica {
    /// A topic's value as a whole.
    pub fn subscribed(&mut self, name: &TopicName, kind: TopicType, value: &RawValue, sequence: Sequence) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let mismatch = mirror.declared.is_some_and(|declared| declared != kind);
        match mirror.wire {
            // What the subscription before this one still had to say.
            Wire::Asked(asked) if mismatch && asked == mirror.declared => return,
            Wire::Asked(_) | Wire::Live => mirror.wire = Wire::Live,
            _ => return,
        }
        self.dirty.insert(name.clone());
        mirror.doubted = mismatch;
        if mismatch {
            return;
        }
        let value = match TopicValue::read(kind, value.get()) {
            Ok(value) => value,
            Err(refusal) => {
                self.unreadable.push(name.clone());
                return self.deny(name, refusal.code.into(), &refusal.reason);
            }
        };
        self.replace(name, kind, value, sequence);
        self.settle_waiting();
        self.go_on_undoing();
    }

    fn replace(&mut self, name: &TopicName, kind: TopicType, value: TopicValue, sequence: Sequence) {
        let sent = self.actions.get(self.sent).map(|action| action.id);
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let known = mirror.value.is_some();
        mirror.kind = Some(kind);
        mirror.position = sequence;
        mirror.outdated = false;
        let resuming = mirror.resuming.is_some();
        if mirror.status != Status::Live && !resuming {
            mirror.status = Status::Live;
            self.notes.push(Note::Status(name.clone()));
        }
        // A copy, but of what is given up: readers may still have to see it.
        let before = mirror.value.replace(Arc::new(value));
        for own in &mut mirror.own {
            (own.back, own.applied) = (None, false);
        }
        if let Some(resuming) = &mut mirror.resuming {
            resuming.replaced = true;
        }
        let mut lost: Vec<ActionId> = Vec::new();
        if known && resuming && mirror.is_positional() {
            // What became of it is told before the end of what was missed.
            mirror.own.iter_mut().for_each(|own| own.lost = true);
        } else if known && mirror.is_positional() {
            // What is on its way is placed by the room; where it stands now cannot be known here.
            for own in &mut mirror.own {
                match sent {
                    Some(first) if own.action >= first => lost.push(own.action),
                    _ => own.lost = true,
                }
            }
            mirror.clouded = mirror.own.iter().any(|own| own.lost);
        }
        mirror.replay(0, &mut Tape::default());
        if known {
            self.history.forget(name);
        }
        let mirror = self.mirrors.get_mut(name).filter(|mirror| !resuming && before != mirror.value);
        if let Some(mirror) = mirror {
            if kind != TopicType::Event {
                let meta = mirror.meta(ClientId::SERVER, false, Cause::Snapshot);
                mirror.tell_replaced(before, Vec::new(), meta);
            }
            self.notes.push(Note::Stepped(name.clone()));
        }
        // What is taken back is taken from the new value.
        self.lose(&lost);
    }

    /// The server refused a subscription, or ended one.
    pub fn refused(&mut self, name: &TopicName, code: ErrorCode, reason: &str) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let deleted = code == Code::TopicDeleted;
        match mirror.wire {
            // The answer to an earlier life: a `subscribe` is never refused with this code.
            Wire::Asked(_) if deleted => {}
            Wire::Live if deleted => {
                mirror.wire = Wire::Gone;
                mirror.status = Status::Removed;
                self.notes.push(Note::Status(name.clone()));
                self.dirty.insert(name.clone());
                self.forget_value(name);
                self.settle_waiting();
            }
            Wire::Asked(asked) if asked != mirror.declared || !mirror.wanted => {
                mirror.wire = Wire::Absent;
                self.dirty.insert(name.clone());
            }
            Wire::Asked(_) | Wire::Live => self.deny(name, code, reason),
            _ => {}
        }
    }

    fn deny(&mut self, name: &TopicName, code: ErrorCode, reason: &str) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.wire = Wire::Refused(mirror.declared);
            mirror.status = Status::Denied { code, reason: reason.to_owned() };
            self.notes.push(Note::Status(name.clone()));
            self.dirty.insert(name.clone());
            self.settle_waiting();
        }
    }
}
