//! What other clients commit, on its way into the topics.

use chatroom_protocol::change::RawChange;
use chatroom_protocol::heard::HeardPart;
use chatroom_protocol::reply::Place;
use chatroom_protocol::{Change, ClientId, Sequence, TopicName};
use serde_json::value::RawValue;

use crate::cursor::Cause;
use crate::replica::{Note, Replica};

impl Replica {
    /// A commit of one change.
    pub fn update(&mut self, name: &TopicName, change: &RawValue, place: Place) {
        self.commit_in(name, &[change], place.previous, place.sequence, place.by);
    }

    /// A commit of several changes: all of it is in place before anybody hears of a part of it.
    pub fn action(&mut self, sequence: Sequence, by: ClientId, parts: &[HeardPart<'_>]) {
        let mut topics: Vec<(&TopicName, Sequence, Vec<&RawValue>)> = Vec::new();
        for HeardPart { topic_name, change, previous } in parts {
            match topics.iter_mut().find(|(name, ..)| *name == topic_name) {
                Some((_, _, changes)) => changes.push(change),
                None => topics.push((topic_name, *previous, vec![change])),
            }
        }
        for (name, previous, changes) in topics {
            self.commit_in(name, &changes, previous, sequence, by);
        }
    }

    fn commit_in(
        &mut self,
        name: &TopicName,
        changes: &[&RawValue],
        previous: Sequence,
        sequence: Sequence,
        by: ClientId,
    ) {
        let last_undo = self.last_undo();
        let Some(mirror) = self.mirrors.get_mut(name).filter(|mirror| mirror.follows()) else {
            return;
        };
        let Some(kind) = mirror.kind.filter(|_| sequence > mirror.position) else {
            return;
        };
        if previous > mirror.position {
            let why = format!("a change after {}, but this client stands at {}", previous.0, mirror.position.0);
            return self.doubt(name, why);
        }
        let decode = |change: &&RawValue| RawChange::parse(change).and_then(|raw| raw.decode_committed(kind, by));
        let mut tape = mirror.tape();
        let done = changes.iter().map(decode).collect::<Result<Vec<Change>, _>>().and_then(|changes| {
            let before = mirror.before(&changes);
            Ok((before, mirror.commit(changes, last_undo.map(|(_, id)| id), &mut tape)?))
        });
        let (before, (effective, carried)) = match done {
            Ok(done) => done,
            Err(refusal) => return self.doubt(name, format!("a change that does not apply: {refusal}")),
        };
        mirror.position = sequence;
        let told = mirror.since(before, carried);
        if !told.is_empty() {
            let meta = mirror.meta(by, false, Cause::Remote);
            mirror.tell(tape, told, meta);
            if mirror.resuming.is_none() {
                self.notes.push(Note::Stepped(name.clone()));
            }
        }
        for effective in &effective {
            self.history.committed(name, effective, last_undo.map(|(direction, _)| direction));
        }
    }
}
