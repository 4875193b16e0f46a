//! How merging has failed in other systems, each as a test that would have caught it. Those that
//! concern the server alone are in `pushes.rs`, those about undo and about what never comes to rest
//! in `simulation.rs`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use chatroom_engine::{ConnectionId, NoAuthority};
use chatroom_protocol::change::{Component, Side, StringChange};
use chatroom_protocol::{Change, Dialect, Limits, TopicName, TopicType};
use chatroom_replica::{Cause, Direction, Outcome};
use chatroom_testkit::World;
use chatroom_testkit::generate::{self, MERGING};
use chatroom_testkit::replica::Mirrored;
use chatroom_testkit::seed::Seed;
use serde_json::{Value, json};

/// Replicas on a room; what is under way moves when the test says so.
struct Stage {
    world: World,
    clients: Vec<(ConnectionId, Mirrored)>,
}

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

impl Stage {
    fn new(clients: usize, topics: &[(&str, TopicType)]) -> Self {
        let mut stage = Self { world: World::new(Limits::default(), NoAuthority::Reject), clients: Vec::new() };
        for _ in 0..clients {
            let mut mirrored = Mirrored::default();
            for (topic, kind) in topics {
                mirrored.open(&name(topic), *kind).unwrap();
            }
            stage.clients.push((ConnectionId(0), mirrored));
        }
        (0..clients).for_each(|at| stage.connect(at));
        stage.settle();
        stage
    }

    fn connect(&mut self, at: usize) {
        let connection = self.world.open(Dialect::V1);
        let (held, mirrored) = &mut self.clients[at];
        *held = connection;
        let hello = mirrored.hello();
        self.world.send_text(connection, &hello);
    }

    fn cut(&mut self, at: usize) {
        let (connection, mirrored) = &mut self.clients[at];
        self.world.close(*connection);
        mirrored.disconnect();
    }

    fn act(&mut self, at: usize, changes: &[(&str, Value)]) {
        let mirrored = &mut self.clients[at].1;
        let changes =
            changes.iter().map(|(topic, change)| (name(topic), mirrored.read(&name(topic), change).unwrap())).collect();
        mirrored.act(changes, true, None).unwrap();
    }

    /// A client says what it has to say.
    fn say(&mut self, at: usize) {
        let (connection, mirrored) = &mut self.clients[at];
        let said: Vec<String> = mirrored.asking().into_iter().chain(mirrored.pushes()).collect();
        for text in said {
            self.world.send_text(*connection, &text);
        }
    }

    /// A client hears all that was said to it.
    fn hear(&mut self, at: usize) -> usize {
        let (connection, mirrored) = &mut self.clients[at];
        let mut heard = 0;
        while let Some(message) = self.world.next(*connection) {
            mirrored.receive(&message.to_string()).unwrap();
            heard += 1;
        }
        heard
    }

    fn settle(&mut self) {
        while (0..self.clients.len())
            .map(|at| {
                self.say(at);
                self.hear(at)
            })
            .sum::<usize>()
            > 0
        {}
        for (_, mirrored) in &self.clients {
            assert_eq!(mirrored.gaps, Vec::<String>::new());
        }
    }

    fn value(&self, at: usize, topic: &str) -> Value {
        serde_json::to_value(&*self.clients[at].1.replica.value(&name(topic)).unwrap()).unwrap()
    }

    #[track_caller]
    fn all_are(&self, topic: &str, expected: &Value) {
        for at in 0..self.clients.len() {
            assert_eq!(self.value(at, topic), *expected, "client {at}");
            let replica = &self.clients[at].1.replica;
            assert_eq!(replica.value(&name(topic)), replica.confirmed(&name(topic)), "client {at}");
        }
    }
}

fn insert(position: usize, text: &str) -> Value {
    match position {
        0 => json!({"type": "edit", "components": [{"insert": text}]}),
        _ => json!({"type": "edit", "components": [{"retain": position}, {"insert": text}]}),
    }
}

fn delete(position: usize, count: usize) -> Value {
    match position {
        0 => json!({"type": "edit", "components": [{"delete": count}]}),
        _ => json!({"type": "edit", "components": [{"retain": position}, {"delete": count}]}),
    }
}

/// ShareDB #672: what is sent was altered by being applied.
#[test]
fn sharedb_672_nothing_alters_a_change_but_its_owner() {
    for number in 0..2_000 {
        let mut seed = Seed::new(number);
        let kind = *seed.pick(MERGING);
        let mut value = generate::value(&mut seed, kind);
        let (first, later) = (generate::change(&mut seed, &value), generate::change(&mut seed, &value));
        let before = serde_json::to_string(&[&first, &later]).unwrap();
        let _ = later.transform(&first, Side::Later);
        let _ = first.invert(&value);
        value.apply(&first, &Limits::default()).unwrap();
        value.apply(&later, &Limits::default()).ok();
        assert_eq!(serde_json::to_string(&[&first, &later]).unwrap(), before, "{number}");
    }
}

/// ShareDB #717: an outcome with two alterations put the wrong one of several pending changes in place.
#[test]
fn sharedb_717_two_alterations_and_three_pending() {
    let mut stage = Stage::new(1, &[("s", TopicType::String)]);
    stage.act(0, &[("s", insert(0, "abc"))]);
    stage.settle();
    let replica = &mut stage.clients[0].1;
    let edit = |components| (name("s"), Change::String(StringChange::edit(components)));
    let retain = Component::Retain;
    replica
        .act(
            vec![edit(vec![Component::Insert("1".into())]), edit(vec![retain(4), Component::Insert("2".into())])],
            true,
            None,
        )
        .unwrap();
    for text in ["x", "y", "z"] {
        replica.act(vec![edit(vec![retain(2), Component::Insert(text.into())])], true, None).unwrap();
    }
    assert_eq!(stage.value(0, "s"), "1azyxbc2");
    let replica = &mut stage.clients[0].1;
    let pushed: Value = serde_json::from_str(&replica.pushes()[0]).unwrap();
    let (number, base) = (&pushed["content"]["number"], &pushed["content"]["topics"][0]["base"]);
    // The rules make capitals of both.
    let changes = json!([
        {"topic_name": "s", "change": {"type": "edit", "components": [{"insert": "ONE"}]}},
        {"topic_name": "s", "change": {"type": "edit", "components": [{"retain": 6}, {"insert": "TWO"}]}},
    ]);
    let accepted = json!({"type": "accepted", "content": {
        "id": number, "sequence": base.as_u64().unwrap() + 1, "previous": [base], "changes": changes}});
    replica.receive(&accepted.to_string()).unwrap();
    assert_eq!(stage.value(0, "s"), "ONEazyxbcTWO");
    assert_eq!(serde_json::to_value(&*stage.clients[0].1.replica.confirmed(&name("s")).unwrap()).unwrap(), "ONEabcTWO");
}

/// ShareDB #266: a slow store lets an outcome overtake the commits before it.
#[test]
fn sharedb_266_an_outcome_waits_behind_the_commits_before_it() {
    let mut stage = Stage::new(2, &[("s", TopicType::String)]);
    stage.world.journal_answers = false;
    stage.act(0, &[("s", insert(0, "a"))]);
    stage.act(1, &[("s", insert(0, "b"))]);
    stage.say(0);
    stage.say(1);
    assert_eq!((stage.hear(0), stage.hear(1)), (0, 0), "nothing is told before it is kept");
    assert_eq!((stage.value(0, "s"), stage.value(1, "s")), (json!("a"), json!("b")));
    stage.world.journal_answers = true;
    stage.world.answer_journal();
    stage.settle();
    stage.all_are("s", &json!("ba"));
    assert!(stage.clients.iter().all(|(_, mirrored)| mirrored.settled.len() == 1));
}

/// Fluid #8739, PR #9776: after a reconnect the change went out as it was made, not as it had become.
#[test]
fn fluid_8739_what_waited_is_moved_before_it_is_sent_again() {
    let mut stage = Stage::new(2, &[("s", TopicType::String)]);
    stage.act(0, &[("s", insert(0, "abcdef"))]);
    stage.settle();
    stage.act(0, &[("s", insert(6, "!"))]);
    // Sent into a line that is cut.
    stage.clients[0].1.pushes();
    stage.cut(0);
    stage.act(1, &[("s", delete(0, 3))]);
    stage.settle();
    stage.connect(0);
    stage.settle();
    stage.all_are("s", &json!("def!"));
    assert_eq!(stage.clients[0].1.replica.unsaved(), 0);
}

/// Fluid #3964: two delete the same word, both undo, and the word is there twice.
#[test]
fn fluid_3964_both_delete_and_both_undo() {
    let mut stage = Stage::new(2, &[("s", TopicType::String)]);
    stage.act(0, &[("s", insert(0, "one two three"))]);
    stage.settle();
    stage.clients[0].1.now_ms += 1_000;
    stage.act(0, &[("s", delete(4, 4))]);
    stage.act(1, &[("s", delete(4, 4))]);
    stage.settle();
    stage.all_are("s", &json!("one three"));
    stage.clients[0].1.take(Direction::Undo);
    stage.clients[1].1.take(Direction::Undo);
    stage.settle();
    stage.all_are("s", &json!("one two three"));
}

/// Yjs #724: own writes that undo does not track corrupted the stack.
#[test]
fn yjs_724_untracked_writes_between() {
    let mut stage = Stage::new(1, &[("l", TopicType::List)]);
    stage.act(0, &[("l", json!({"type": "insert", "position": 0, "item": "a"}))]);
    stage.settle();
    let untracked = |stage: &mut Stage, change: Value| {
        let mirrored = &mut stage.clients[0].1;
        let change = mirrored.read(&name("l"), &change).unwrap();
        mirrored.act(vec![(name("l"), change)], false, None).unwrap();
        stage.settle();
    };
    untracked(&mut stage, json!({"type": "insert", "position": 0, "item": "x"}));
    stage.clients[0].1.now_ms += 1_000;
    stage.act(0, &[("l", json!({"type": "insert", "position": 2, "item": "b"}))]);
    untracked(&mut stage, json!({"type": "insert", "position": 0, "item": "y"}));
    stage.all_are("l", &json!(["y", "x", "a", "b"]));
    for expected in [json!(["y", "x", "a"]), json!(["y", "x"])] {
        stage.clients[0].1.take(Direction::Undo);
        stage.settle();
        stage.all_are("l", &expected);
    }
    for _ in 0..2 {
        stage.clients[0].1.take(Direction::Redo);
        stage.settle();
    }
    stage.all_are("l", &json!(["y", "x", "a", "b"]));
}

/// Liveblocks #628: undo before the outcome showed set, delete and insert one after the other.
#[test]
fn liveblocks_628_undo_before_the_outcome_is_one_change() {
    let mut stage = Stage::new(1, &[("d", TopicType::Dict)]);
    stage.act(0, &[("d", json!({"type": "put", "key": "k", "value": 1}))]);
    stage.settle();
    stage.clients[0].1.now_ms += 1_000;
    stage.clients[0].1.told.clear();
    stage.act(0, &[("d", json!({"type": "put", "key": "k", "value": 2}))]);
    stage.say(0);
    stage.clients[0].1.take(Direction::Undo);
    stage.settle();
    let told: Vec<_> =
        stage.clients[0].1.told.iter().map(|(_, update)| (update.meta.cause, update.changes.len())).collect();
    assert_eq!(told, [(Cause::Local, 1), (Cause::Local, 1)], "the write, and its undoing");
    stage.all_are("d", &json!({"k": 1}));
}

/// Liveblocks #1371, #1518: an item moved fast between two lists flickers, or stays in both.
#[test]
fn liveblocks_1371_an_item_moves_to_and_fro() {
    let mut stage = Stage::new(2, &[("a", TopicType::List), ("b", TopicType::List)]);
    stage.act(0, &[("a", json!({"type": "insert", "position": 0, "item": "card"}))]);
    stage.settle();
    let mut seed = Seed::new(1371);
    for _ in 0..200 {
        let at = seed.below(2);
        let (from, to) = if stage.value(at, "a") == json!(["card"]) { ("a", "b") } else { ("b", "a") };
        if stage.value(at, from) == json!(["card"]) {
            let (pop, put) =
                (json!({"type": "pop", "position": 0}), json!({"type": "insert", "position": 0, "item": "card"}));
            stage.act(at, &[(from, pop), (to, put)]);
        }
        let count = |list: Value| list.as_array().unwrap().len();
        assert!(count(stage.value(at, "a")) + count(stage.value(at, "b")) >= 1, "never none");
        match seed.below(3) {
            0 => stage.say(at),
            1 => {
                stage.hear(at);
            }
            _ => {}
        }
    }
    stage.settle();
    assert_eq!((stage.value(0, "a"), stage.value(0, "b")), (stage.value(1, "a"), stage.value(1, "b")));
}

/// CodeMirror #868: one group of own typing spans another's insert, and undoing it takes that away.
#[test]
fn codemirror_868_a_group_never_spans_what_others_wrote() {
    let mut stage = Stage::new(2, &[("s", TopicType::String)]);
    stage.act(0, &[("s", insert(0, "ab"))]);
    stage.settle();
    stage.act(1, &[("s", insert(1, "XY"))]);
    stage.settle();
    stage.act(0, &[("s", insert(4, "cd"))]);
    stage.settle();
    stage.all_are("s", &json!("aXYbcd"));
    for expected in ["aXYb", "XY"] {
        stage.clients[0].1.take(Direction::Undo);
        stage.settle();
        stage.all_are("s", &json!(expected));
    }
}

/// Firepad #272, #194, Etherpad #2037, #2455: a change that does not fit the text surfaces late, loops,
/// or takes the server down.
#[test]
fn firepad_272_what_does_not_fit_is_refused_and_nobody_else_notices() {
    let mut stage = Stage::new(2, &[("s", TopicType::String)]);
    stage.act(0, &[("s", insert(0, "abc"))]);
    stage.settle();
    for change in [insert(9, "x"), delete(1, 9), json!({"type": "edit", "components": [{"retain": -1}]}), json!(7)] {
        let rogue = stage.world.open(Dialect::V1);
        stage.world.send(rogue, &json!({"type": "hello", "content": {}}));
        stage.world.next(rogue).unwrap();
        let actions = json!([{"changes": [{"topic": 0, "change": change}]}]);
        let push =
            json!({"number": 1, "acknowledged": 0, "topics": [{"topic_name": "s", "base": 1}], "actions": actions});
        stage.world.send(rogue, &json!({"type": "push", "content": push}));
        let answer = stage.world.next(rogue).unwrap();
        assert_eq!(answer["type"], "reject_update", "{answer}");
        assert_eq!(answer["content"]["action_id"], 1, "{answer}");
    }
    assert_eq!((stage.hear(0), stage.hear(1)), (0, 0));
    // And a replica refuses its own at once.
    let mirrored = &mut stage.clients[0].1;
    let change = mirrored.read(&name("s"), &insert(9, "x")).unwrap();
    assert!(mirrored.act(vec![(name("s"), change)], true, None).is_err());
}

/// Hocuspocus #84, #344, #509, #592, #725, siphonophore #10: a document that was made anew is merged
/// with what a client kept of the old one, and all is there twice.
#[test]
fn hocuspocus_84_a_topic_made_anew_is_not_merged_with_the_old_one() {
    let mut stage = Stage::new(2, &[("s", TopicType::String), ("other", TopicType::Int)]);
    stage.act(0, &[("s", insert(0, "kept"))]);
    stage.settle();
    stage.cut(0);
    stage.act(0, &[("s", insert(4, " by one"))]);
    let request = json!({"service_name": "_chatroom/delete_topic", "args": {"topic_name": "s"}, "request_id": 1});
    let connection = stage.clients[1].0;
    stage.world.send(connection, &json!({"type": "request", "content": request}));
    stage.settle();
    stage.clients[1].1.release(&name("s"));
    stage.clients[1].1.open(&name("s"), TopicType::String).unwrap();
    stage.settle();
    stage.act(1, &[("s", insert(0, "new"))]);
    stage.settle();
    stage.connect(0);
    stage.settle();
    stage.all_are("s", &json!("new"));
    let refused =
        stage.clients[0].1.settled.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Refused(_))).count();
    assert_eq!(refused, 1, "what stood on the old text is handed back");
}
