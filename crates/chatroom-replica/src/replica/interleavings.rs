//! Every order in which a topic can be opened, released, opened again, changed, deleted and cut off
//! while messages are under way, up to a depth, against a model of the room.
//!
//! This is where clients of this field have failed: an answer to an earlier subscription that is
//! taken for the present one, a change counted twice after a reconnect, a subscription that nobody
//! holds any more.

#![allow(clippy::needless_pass_by_value, reason = "messages are handed over")]

use std::collections::{BTreeMap, VecDeque};

use chatroom_protocol::change::FloatChange;
use chatroom_protocol::change::IntChange;
use chatroom_protocol::reply::Place;
use serde_json::value::RawValue;

use super::*;
use crate::own::{How, Intent};

/// Where the exploring begins, and how many steps are then tried in every order.
const BEGINNINGS: [(&[Step], usize); 3] = [
    (&[], 9),
    (&[Step::OpenInt, Step::Connect, Step::Write, Step::Take, Step::Hear], 8),
    (&[Step::OpenInt, Step::Connect, Step::Write, Step::Take, Step::OtherAdds, Step::Release, Step::Write], 7),
];

const ME: ClientId = ClientId(7);
const OTHER: ClientId = ClientId(9);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The application opens the topic as an int.
    OpenInt,
    /// The application opens the topic as a float.
    OpenFloat,
    Release,
    /// The application adds 1.
    Add,
    /// The client writes what it has to say.
    Write,
    /// The room takes the client's next message.
    Take,
    /// The client hears the room's next message.
    Hear,
    /// Another client adds 10.
    OtherAdds,
    /// What another client did is lost on its way, which no socket does.
    Lose,
    Delete,
    Drop,
    Connect,
}

const STEPS: [Step; 12] = [
    Step::OpenInt,
    Step::OpenFloat,
    Step::Release,
    Step::Add,
    Step::Write,
    Step::Take,
    Step::Hear,
    Step::OtherAdds,
    Step::Lose,
    Step::Delete,
    Step::Drop,
    Step::Connect,
];

#[derive(Clone, Debug)]
enum Up {
    Asking(Asking),
    /// So many additions, numbered from there.
    Push(u64, u64),
}

#[derive(Clone, Debug)]
enum Down {
    Subscribed(TopicType, i64, Sequence),
    Refused(Code),
    Update(Place),
    Accepted(u64, Sequence, Sequence),
    Rejected(u64),
}

/// The topic as the room has it.
#[derive(Clone, Debug)]
struct There {
    kind: TopicType,
    value: i64,
    last: Sequence,
}

#[derive(Clone, Debug, Default)]
struct World {
    replica: Replica,
    // The room.
    there: Option<There>,
    subscribed: bool,
    sequence: u64,
    /// The topic's value after each commit.
    history: BTreeMap<Sequence, i64>,
    // The socket.
    online: bool,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    // The application.
    held: Option<TopicType>,
    cursor: Option<CursorId>,
    read: Sequence,
    /// Where the topic was made last.
    epoch_begins: Sequence,
    adds: i64,
    /// What the room drops until the client knows of a refusal.
    stopped: u64,
    lost: bool,
}

fn name() -> TopicName {
    TopicName::parse("t").unwrap()
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

impl World {
    fn is_possible(&self, step: Step) -> bool {
        match step {
            Step::OpenInt | Step::OpenFloat => self.held.is_none(),
            // A topic outlives its handles until its changes are answered.
            Step::Release => self.held.is_some() && self.replica.unsaved() == 0,
            Step::Add => self.held.is_some() && self.adds < 2 && !self.lost,
            Step::Write => self.online,
            Step::Take => !self.up.is_empty(),
            Step::Hear => !self.down.is_empty(),
            Step::OtherAdds => self.there.is_some() && self.sequence < 4,
            Step::Lose => !self.lost && matches!(self.down.front(), Some(Down::Update(_))),
            Step::Delete => self.there.is_some(),
            Step::Drop => self.online,
            Step::Connect => !self.online,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::OpenInt => self.open(TopicType::Int),
            Step::OpenFloat => self.open(TopicType::Float),
            Step::Release => {
                self.held = None;
                self.cursor = None;
                self.replica.release(&name());
            }
            Step::Add => {
                self.adds += 1;
                let change = match self.held {
                    Some(TopicType::Float) => Change::Float(FloatChange::Add(1.0)),
                    _ => Change::Int(IntChange::Add(1)),
                };
                let how = How { tracked: true, group: None, now_ms: 0 };
                let made = self.replica.act(vec![(name(), Intent::Change(change))], how, &Limits::default());
                let refused = matches!(self.replica.status(&name()), Status::Denied { .. } | Status::Removed);
                assert_eq!(made.is_err(), refused, "{made:?}");
            }
            Step::Write => {
                self.up.extend(self.replica.asking().into_iter().map(Up::Asking));
                while let Some(push) = self.replica.push() {
                    let push: Value = serde_json::from_str(&push).unwrap();
                    let count = push["content"]["actions"].as_array().unwrap().len() as u64;
                    assert!(push["content"]["acknowledged"].as_u64().unwrap() >= self.stopped);
                    self.up.push_back(Up::Push(push["content"]["number"].as_u64().unwrap(), count));
                }
            }
            Step::Take => {
                if let Some(message) = self.up.pop_front() {
                    self.room(message);
                }
            }
            Step::Hear => {
                if let Some(message) = self.down.pop_front() {
                    self.hear(message);
                }
            }
            Step::OtherAdds => self.commit(OTHER, 10),
            Step::Lose => {
                self.down.pop_front();
                self.lost = true;
            }
            Step::Delete => {
                self.there = None;
                self.epoch_begins = Sequence(self.sequence + 1);
                if std::mem::take(&mut self.subscribed) {
                    self.down.push_back(Down::Refused(Code::TopicDeleted));
                }
            }
            Step::Drop => {
                self.online = false;
                self.up.clear();
                self.down.clear();
                self.subscribed = false;
                self.forget();
                self.stopped = 0;
                self.replica.disconnected();
            }
            Step::Connect => {
                self.online = true;
                let limits = Limits::default();
                self.replica.connected(Greeting { id: ME, session: None, goes_on: false, limits });
            }
        }
        self.replica.notes();
        self.read();
    }

    fn open(&mut self, kind: TopicType) {
        self.replica.open(&name(), Some(kind)).expect("nobody holds it under another type");
        self.held = Some(kind);
        self.cursor = Some(self.replica.follow(&name()));
    }

    fn room(&mut self, message: Up) {
        match message {
            Up::Asking(Asking::Subscribe(_, kind)) => {
                let kind = kind.expect("the handles have types");
                let there = self.there.get_or_insert_with(|| There { kind, value: 0, last: Sequence::default() });
                if there.kind != kind {
                    return self.down.push_back(Down::Refused(Code::TypeMismatch));
                }
                self.subscribed = true;
                self.down.push_back(Down::Subscribed(kind, there.value, Sequence(self.sequence)));
            }
            Up::Asking(Asking::Unsubscribe(_)) => {
                self.subscribed = false;
                self.forget();
            }
            Up::Push(number, count) => {
                for number in number..number + count {
                    let Some(there) = &self.there else {
                        return self.down.push_back(Down::Rejected(number));
                    };
                    let previous = there.last;
                    self.commit(ME, 1);
                    self.down.push_back(Down::Accepted(number, Sequence(self.sequence), previous));
                }
            }
        }
    }

    fn commit(&mut self, by: ClientId, amount: i64) {
        let Some(there) = &mut self.there else {
            return;
        };
        self.sequence += 1;
        there.value += amount;
        let previous = std::mem::replace(&mut there.last, Sequence(self.sequence));
        self.history.insert(there.last, there.value);
        if by != ME && self.subscribed {
            self.down.push_back(Down::Update(Place { sequence: there.last, previous, by }));
        }
    }

    /// A topic that was never changed goes with its last subscriber.
    fn forget(&mut self) {
        if self.there.as_ref().is_some_and(|there| there.last == Sequence::default()) {
            self.there = None;
        }
    }

    fn hear(&mut self, message: Down) {
        match message {
            Down::Subscribed(kind, value, sequence) => {
                self.replica.subscribed(&name(), kind, &raw(&value.to_string()), sequence);
            }
            Down::Refused(code) => self.replica.refused(&name(), code.into(), "because"),
            Down::Update(place) => {
                self.replica.update(&name(), &raw(r#"{"type":"add","value":10,"id":"o"}"#), place);
            }
            Down::Accepted(number, sequence, previous) => {
                self.replica.accepted(number, sequence, &[previous], true, None);
            }
            Down::Rejected(number) => {
                let refused = crate::own::refused(Code::UnknownTopic, "gone".into(), "t".into(), Value::Null);
                self.replica.rejected(number, refused);
            }
        }
    }

    /// Reads all there is to read; the last update's value must be the topic's, and the confirmed one
    /// what the room had at that place.
    fn read(&mut self) {
        let Some(cursor) = self.cursor else {
            return;
        };
        let mut last = None;
        while let Some(update) = self.replica.next(&name(), cursor) {
            let place = update.meta.sequence;
            assert!(place >= self.read, "{place:?} was told after {:?}", self.read);
            self.read = place;
            last = Some(update);
        }
        let number = |value: &TopicValue| serde_json::to_value(value).unwrap().as_i64().expect("an integral number");
        if let Some(update) = last {
            assert_eq!(Some(&*update.value), self.replica.value(&name()).as_deref());
        }
        if let (Status::Live, Some(confirmed), Some(place)) =
            (self.replica.status(&name()), self.replica.confirmed(&name()), self.replica.position(&name()))
            && let Some((_, there)) = self.history.range(..=place).next_back()
            && self.epoch_begins <= place
        {
            assert_eq!(number(&confirmed), *there, "the confirmed value at {place:?}");
        }
    }

    /// Lets everything happen that is under way.
    fn settle(&mut self) {
        if !self.online {
            self.take(Step::Connect);
        }
        for round in 0..100 {
            self.take(Step::Write);
            if round == 5 && self.lost {
                // What was lost is found out with the next change.
                self.commit(OTHER, 10);
            }
            let quiet = self.up.is_empty() && self.down.is_empty();
            while !self.up.is_empty() {
                self.take(Step::Take);
            }
            while !self.down.is_empty() {
                self.take(Step::Hear);
            }
            if quiet && (round > 5 || !self.lost) {
                return;
            }
        }
        panic!("it never settles");
    }

    fn check(&self) {
        assert!(self.replica.gaps <= u64::from(self.lost), "a gap where nothing was lost");
        assert_eq!(self.replica.unsaved(), 0, "every own change has an outcome");
        let Some(kind) = self.held else {
            assert!(!self.subscribed, "nobody holds the topic");
            assert_eq!(self.replica.len(), 0, "nobody holds the topic");
            return;
        };
        match (self.replica.status(&name()), &self.there) {
            (Status::Live, Some(there)) => {
                assert!(self.subscribed);
                assert_eq!(there.kind, kind);
                let value = serde_json::to_value(&*self.replica.value(&name()).unwrap()).unwrap();
                assert_eq!(value, serde_json::json!(there.value));
            }
            (Status::Removed, _) => assert!(!self.subscribed),
            // The topic may be gone since it was denied.
            (Status::Denied { code, .. }, there) => {
                assert_eq!(code, Code::TypeMismatch);
                assert_ne!(there.as_ref().map(|there| there.kind), Some(kind));
                assert!(!self.subscribed);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Tries every order from here; returns how many there were.
fn explore(world: &World, depth: usize, path: &mut Vec<Step>) -> u64 {
    if depth == 0 {
        let mut world = world.clone();
        let path = path.clone();
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            world.settle();
            world.check();
        }));
        assert!(checked.is_ok(), "after {path:?}");
        return 1;
    }
    let mut count = 0;
    for step in STEPS.into_iter().filter(|step| world.is_possible(*step)) {
        let mut next = world.clone();
        path.push(step);
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next.take(step)));
        assert!(stepped.is_ok(), "in {path:?}");
        count += explore(&next, depth - 1, path);
        path.pop();
    }
    count
}

#[test]
fn every_interleaving_ends_in_agreement() {
    for (beginning, depth) in BEGINNINGS {
        let mut world = World::default();
        beginning.iter().for_each(|step| world.take(*step));
        let count = explore(&world, depth, &mut beginning.to_vec());
        assert!(count > 100_000, "{count}");
    }
}
