//! Pushes and resuming against a room, where a script would be too long or has to count. Most are
//! failures that other systems had: the doc comment names the story.

use chatroom_engine::{ConnectionId, NoAuthority};
use chatroom_protocol::{Dialect, Limits};
use chatroom_testkit::World;
use serde_json::{Value, json};

/// A client that says its messages by hand.
#[derive(Clone, Debug)]
struct Hand {
    connection: ConnectionId,
    session: Value,
    id: u64,
}

fn hello(world: &mut World, content: &Value) -> (Hand, Value) {
    let connection = world.open(Dialect::V1);
    world.send(connection, &json!({"type": "hello", "content": content}));
    let said = world.next(connection).expect("the server says hello")["content"].clone();
    (Hand { connection, session: said["session"].clone(), id: said["id"].as_u64().unwrap() }, said)
}

fn join(world: &mut World) -> Hand {
    hello(world, &json!({})).0
}

/// Comes back with what is known: `(topic, type, sequence)`.
fn resume(world: &mut World, old: &Hand, acknowledged: u64, held: &[(&str, &str, u64)]) -> (Hand, Value, Vec<Value>) {
    let held: Vec<Value> =
        held.iter().map(|(name, kind, at)| json!({"topic_name": name, "type": kind, "sequence": at})).collect();
    let content = json!({"session": old.session, "acknowledged": acknowledged, "resume": held});
    let (hand, said) = hello(world, &content);
    let told = world.drain(hand.connection);
    (hand, said["resumed"].clone(), told)
}

fn subscribe(world: &mut World, hand: &Hand, name: &str, kind: &str) -> (Value, u64) {
    world.drain(hand.connection);
    world.send(hand.connection, &json!({"type": "subscribe", "content": {"topic_name": name, "type": kind}}));
    let said = world.next(hand.connection).expect("an answer");
    assert_eq!(said["type"], "subscribed", "{said}");
    (said["content"]["value"].clone(), said["content"]["sequence"].as_u64().unwrap())
}

/// Sends one push whose actions each have these changes on the one topic.
fn push(world: &mut World, hand: &Hand, (number, acknowledged): (u64, u64), topic: &Value, actions: &[Value]) {
    let actions: Vec<Value> = actions
        .iter()
        .map(|changes| {
            let changes = changes.as_array().cloned().unwrap_or_else(|| vec![changes.clone()]);
            json!({"changes": changes.iter().map(|change| json!({"topic": 0, "change": change})).collect::<Vec<_>>()})
        })
        .collect();
    let content = json!({"number": number, "acknowledged": acknowledged, "topics": [topic], "actions": actions});
    world.send(hand.connection, &json!({"type": "push", "content": content}));
}

fn at(name: &str, base: u64) -> Value {
    json!({"topic_name": name, "base": base})
}

fn update(world: &mut World, hand: &Hand, name: &str, mut change: Value) {
    change["id"] = json!("u");
    world.send(hand.connection, &json!({"type": "update", "content": {"topic_name": name, "change": change}}));
}

fn value(world: &World, name: &str) -> Value {
    serde_json::to_value(world.room().topic(name).expect("the topic").value).unwrap()
}

/// The types of messages, and of outcomes the number: `accepted 1`, `reject_update 2 stale_base`.
fn told(messages: &[Value]) -> Vec<String> {
    let word = |message: &Value| {
        let (kind, content) = (message["type"].as_str().unwrap_or_default(), &message["content"]);
        let code = |content: &Value| {
            let number = content["code"].as_u64().and_then(|code| u32::try_from(code).ok()).unwrap_or_default();
            chatroom_protocol::Code::by_number(number).map_or("?", chatroom_protocol::Code::name)
        };
        match kind {
            "accepted" if content["effect"] == json!(false) => format!("accepted {} without effect", content["id"]),
            "accepted" => format!("accepted {}", content["id"]),
            "reject_update" => format!("refused {} {}", content["action_id"], code(content)),
            "error" => format!("error {}", code(content)),
            "update" => format!("update {}", content["sequence"]),
            other => other.to_owned(),
        }
    };
    messages.iter().map(word).collect()
}

#[track_caller]
fn heard(world: &mut World, hand: &Hand, expected: &[&str]) {
    let messages = world.drain(hand.connection);
    assert_eq!(told(&messages), expected, "{messages:?}");
}

/// An own change that went out before its topic was loaded is under what is made on the loaded value.
#[test]
fn what_is_made_on_top_of_a_blind_push_stays_on_top_of_it() {
    let mut world = World::default();
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &other, "d", "dict");
    update(&mut world, &other, "d", json!({"type": "put", "key": "k", "value": 0}));
    let (_, base) = subscribe(&mut world, &me, "d", "dict");
    update(&mut world, &other, "d", json!({"type": "pop", "key": "k"}));
    // The value is on its way to the client when it sends this.
    push(&mut world, &me, (1, 0), &json!({"topic_name": "d"}), &[json!({"type": "put", "key": "k", "value": 1})]);
    // On the value that came and its own put, `k` is there, whatever the other's pop did between.
    push(&mut world, &me, (2, 0), &at("d", base), &[json!({"type": "change_value", "key": "k", "value": 5})]);
    assert_eq!(value(&world, "d"), json!({"k": 5}));
    heard(&mut world, &me, &["update 2", "accepted 1", "accepted 2"]);
}

/// An action that waits behind another stands on what its author had on its way when it sent it,
/// although a later push says that the outcome is known by then.
#[test]
fn an_action_in_line_stands_on_what_it_was_made_on() {
    let mut world = World::default();
    let (me, other, authority) = (join(&mut world), join(&mut world), join(&mut world));
    subscribe(&mut world, &other, "d", "dict");
    update(&mut world, &other, "d", json!({"type": "put", "key": "k", "value": 0}));
    let (_, base) = subscribe(&mut world, &me, "d", "dict");
    subscribe(&mut world, &me, "g", "int");
    let service = json!({"service_name": "_chatroom/validate_change/g"});
    world.send(authority.connection, &json!({"type": "register_service", "content": service}));
    update(&mut world, &other, "d", json!({"type": "pop", "key": "k"}));
    push(&mut world, &me, (1, 0), &at("d", base), &[json!({"type": "put", "key": "k", "value": 1})]);
    push(&mut world, &me, (2, 0), &at("g", base), &[json!({"type": "add", "value": 1})]);
    push(&mut world, &me, (3, 0), &at("d", base), &[json!({"type": "change_value", "key": "k", "value": 5})]);
    push(&mut world, &me, (4, 1), &at("d", 3), &[json!({"type": "put", "key": "m", "value": 1})]);
    let question = world.drain(authority.connection).pop().expect("a question");
    let content = json!({"request_id": question["content"]["request_id"], "response": {"valid": true}});
    world.send(authority.connection, &json!({"type": "response", "content": content}));
    heard(&mut world, &me, &["update 2", "accepted 1", "accepted 2", "accepted 3", "accepted 4"]);
    assert_eq!(value(&world, "d"), json!({"k": 5, "m": 1}));
}

/// A topic that was deleted and made anew while nothing else happened is another one for who comes back.
#[test]
fn a_topic_made_anew_is_not_gone_on_with() {
    let mut world = World::default();
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &me, "n", "int");
    subscribe(&mut world, &other, "n", "int");
    update(&mut world, &other, "n", json!({"type": "set", "value": 7}));
    world.close(me.connection);
    let request = json!({"service_name": "_chatroom/delete_topic", "args": {"topic_name": "n"}, "request_id": 1});
    world.send(other.connection, &json!({"type": "request", "content": request}));
    world.drain(other.connection);
    subscribe(&mut world, &other, "n", "int");
    let (_, how, messages) = resume(&mut world, &me, 0, &[("n", "int", 1)]);
    assert_eq!((how, told(&messages)), (json!("resynced"), vec!["subscribed".into(), "resumed".into()]));
    assert_eq!(messages[0]["content"]["value"], json!(0));
}

/// More missed than an outbox takes: it would be dropped there, and the values sent after all.
#[test]
fn who_missed_very_much_gets_the_value() {
    let limits = Limits { outbox_bytes: 4_000, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let (me, other) = (join(&mut world), join(&mut world));
    for hand in [&me, &other] {
        subscribe(&mut world, hand, "t", "generic");
        subscribe(&mut world, hand, "n", "int");
    }
    world.close(me.connection);
    for _ in 0..3 {
        update(&mut world, &other, "t", json!({"type": "set", "value": "x".repeat(1_000)}));
        update(&mut world, &other, "n", json!({"type": "add", "value": 1}));
    }
    let (_, how, messages) = resume(&mut world, &me, 0, &[("n", "int", 0), ("t", "generic", 0)]);
    assert_eq!(how, json!("resynced"));
    assert_eq!(told(&messages), ["update 2", "update 4", "update 6", "subscribed", "resumed"]);
}

/// Bounds count what is there: one action over many topics is not the history of each of them.
#[test]
fn one_large_action_over_many_topics_does_not_end_all_history() {
    let limits = Limits { room_history_bytes: 200_000, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &me, "quiet", "int");
    update(&mut world, &other, "quiet", json!({"type": "set", "value": 7}));
    let names: Vec<String> = (0..50).map(|index| format!("t{index}")).collect();
    for name in &names {
        subscribe(&mut world, &other, name, "generic");
    }
    let change = json!({"type": "set", "value": "x".repeat(1_000), "id": 1});
    let changes: Vec<Value> = names.iter().map(|name| json!({"topic_name": name, "change": change})).collect();
    world.send(other.connection, &json!({"type": "action", "content": {"action_id": 1, "changes": changes}}));
    assert!(world.room().history_bytes() < 100_000, "{}", world.room().history_bytes());
    world.drain(me.connection);
    push(&mut world, &me, (1, 0), &at("quiet", 0), &[json!({"type": "add", "value": 1})]);
    heard(&mut world, &me, &["accepted 1"]);
}

/// Events are remembered for who comes back, and weigh what they carry.
#[test]
fn events_have_a_weight_in_the_history() {
    let limits = Limits { history_bytes: 10_000, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &me, "e", "event");
    subscribe(&mut world, &other, "e", "event");
    for _ in 0..50 {
        update(&mut world, &other, "e", json!({"type": "emit", "args": "x".repeat(1_000)}));
    }
    world.close(me.connection);
    let (me, how, messages) = resume(&mut world, &me, 0, &[("e", "event", 48)]);
    assert_eq!(
        (how, told(&messages)),
        (json!("resumed"), vec!["update 49".into(), "update 50".into(), "resumed".into()])
    );
    world.close(me.connection);
    let (_, how, messages) = resume(&mut world, &me, 0, &[("e", "event", 30)]);
    assert_eq!((how, told(&messages)), (json!("resynced"), vec!["subscribed".into(), "resumed".into()]));
}

/// A client is never left without an outcome, whatever it sent.
#[test]
fn a_push_that_cannot_be_read_is_refused_in_its_place() {
    let limits = Limits { message_bytes: 2_000, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let me = join(&mut world);
    subscribe(&mut world, &me, "t", "generic");
    let large = json!({"type": "set", "value": "x".repeat(3_000)});
    push(&mut world, &me, (1, 0), &at("t", 0), &[large]);
    heard(&mut world, &me, &["refused 1 too_big"]);
    let wrong = json!({"number": 2, "acknowledged": 1, "topics": [], "actions": [{"changes": [{"topic": 0}]}]});
    world.send(me.connection, &json!({"type": "push", "content": wrong}));
    heard(&mut world, &me, &["refused 2 out_of_range"]);
    // Not its turn: nothing to refuse.
    let early = json!({"number": 9, "acknowledged": 2, "topics": 1, "actions": []});
    world.send(me.connection, &json!({"type": "push", "content": early}));
    heard(&mut world, &me, &["error bad_type"]);
    push(&mut world, &me, (3, 2), &at("t", 0), &[json!({"type": "set", "value": 1})]);
    heard(&mut world, &me, &["accepted 3"]);
}

/// What waits behind an authority is bounded; the one too many is refused in its turn, with all behind it.
#[test]
fn a_line_behind_an_authority_is_bounded() {
    let limits = Limits { validation_queue: 3, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let (me, authority) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &me, "g", "int");
    subscribe(&mut world, &me, "n", "int");
    let service = json!({"service_name": "_chatroom/validate_change/g"});
    world.send(authority.connection, &json!({"type": "register_service", "content": service}));
    push(&mut world, &me, (1, 0), &at("g", 0), &[json!({"type": "add", "value": 1})]);
    for number in 2..=9 {
        push(&mut world, &me, (number, 0), &at("n", 0), &[json!({"type": "add", "value": 1})]);
    }
    heard(&mut world, &me, &[]);
    let question = world.drain(authority.connection).pop().expect("a question");
    let content = json!({"request_id": question["content"]["request_id"], "response": {"valid": true}});
    world.send(authority.connection, &json!({"type": "response", "content": content}));
    heard(&mut world, &me, &["accepted 1", "accepted 2", "accepted 3", "accepted 4", "refused 5 busy"]);
    // What was behind the refusal comes again.
    push(&mut world, &me, (6, 5), &at("n", 0), &[json!({"type": "add", "value": 1})]);
    heard(&mut world, &me, &["accepted 6"]);
    assert_eq!(value(&world, "n"), json!(4));
}

/// The room goes on with a long line in steps, not one inside the other: 1,000 topics whose authorities
/// were lost, with a line over all of them, was once as many calls deep.
#[test]
fn a_long_line_over_many_guarded_topics_goes_on_without_depth() {
    let mut world = World::new(Limits::default(), NoAuthority::Accept);
    let (me, lost, authority) = (join(&mut world), join(&mut world), join(&mut world));
    let names: Vec<String> = (0..900).map(|index| format!("g{index}")).collect();
    for name in &names {
        subscribe(&mut world, &me, name, "int");
        let service = json!({"service_name": format!("_chatroom/validate_change/{name}")});
        let by = if name == "g0" { &authority } else { &lost };
        world.send(by.connection, &json!({"type": "register_service", "content": service}));
    }
    world.close(lost.connection);
    for (index, name) in names.iter().enumerate() {
        push(&mut world, &me, (index as u64 + 1, 0), &at(name, 0), &[json!({"type": "add", "value": 1})]);
    }
    let question = world.drain(authority.connection).pop().expect("a question");
    let content = json!({"request_id": question["content"]["request_id"], "response": {"valid": true}});
    // As much stack as a thread of the server has, and less.
    std::thread::Builder::new()
        .stack_size(512 << 10)
        .spawn(move || {
            world.send(authority.connection, &json!({"type": "response", "content": content}));
            assert_eq!(world.drain(me.connection).len(), 900);
        })
        .unwrap()
        .join()
        .unwrap();
}

/// ShareDB PR #327: an operation on its way was changed and sent again under its number, and the two
/// sides went apart without a word. A number means the first thing that was said under it.
#[test]
fn a_number_is_carried_out_once() {
    let mut world = World::default();
    let me = join(&mut world);
    subscribe(&mut world, &me, "n", "int");
    push(&mut world, &me, (1, 0), &at("n", 0), &[json!({"type": "add", "value": 1})]);
    let first = world.drain(me.connection);
    push(
        &mut world,
        &me,
        (1, 0),
        &at("n", 0),
        &[json!({"type": "add", "value": 100}), json!({"type": "add", "value": 2})],
    );
    let again = world.drain(me.connection);
    assert_eq!(told(&again), ["accepted 1", "accepted 2"]);
    assert_eq!((&again[0], value(&world, "n")), (&first[0], json!(3)));
    // A refusal too: the same again, until it is acknowledged.
    for _ in 0..2 {
        push(&mut world, &me, (3, 2), &at("n", 2), &[json!({"type": "set", "value": "no"})]);
        heard(&mut world, &me, &["refused 3 bad_type"]);
    }
    push(&mut world, &me, (4, 2), &at("n", 2), &[json!({"type": "add", "value": 1})]);
    heard(&mut world, &me, &[]);
    push(&mut world, &me, (4, 3), &at("n", 2), &[json!({"type": "add", "value": 1})]);
    heard(&mut world, &me, &["accepted 4"]);
}

/// planx-new PR #6762: missed operations were read from one place too late. A client any number of
/// commits behind lands where it would have, and one more than the window is told so.
#[test]
fn any_number_of_commits_behind() {
    const WINDOW: u64 = 6;
    for behind in 0..=WINDOW + 1 {
        let limits = Limits { history_commits: usize::try_from(WINDOW).unwrap(), history_ms: 0, ..Limits::default() };
        let mut world = World::new(limits, NoAuthority::Reject);
        let (me, other) = (join(&mut world), join(&mut world));
        subscribe(&mut world, &me, "t", "string");
        for _ in 0..WINDOW + 1 {
            world.advance_ms(10);
            let edit = json!([{"insert": "x"}]);
            update(&mut world, &other, "t", json!({"type": "edit", "components": edit}));
        }
        world.drain(me.connection);
        let known = WINDOW + 1 - behind;
        let edit = match known {
            0 => json!([{"insert": "me"}]),
            known => json!([{"retain": known}, {"insert": "me"}]),
        };
        push(&mut world, &me, (1, 0), &at("t", known), &[json!({"type": "edit", "components": edit})]);
        if behind > WINDOW {
            heard(&mut world, &me, &["refused 1 stale_base"]);
        } else {
            heard(&mut world, &me, &["accepted 1"]);
            assert_eq!(value(&world, "t"), json!("xxxxxxxme"), "{behind} behind");
        }
    }
}

/// ShareDB #355: the log was trimmed while a client was away, and everything it had was thrown away.
/// Only what has a place in a text or list is refused, and what was not sent yet can be sent.
#[test]
fn long_away_with_a_short_history() {
    let limits = Limits { history_commits: 4, history_ms: 0, ..Limits::default() };
    let mut world = World::new(limits, NoAuthority::Reject);
    let (me, other) = (join(&mut world), join(&mut world));
    for hand in [&me, &other] {
        subscribe(&mut world, hand, "t", "string");
        subscribe(&mut world, hand, "d", "dict");
    }
    world.close(me.connection);
    for _ in 0..9 {
        world.advance_ms(10);
        update(&mut world, &other, "t", json!({"type": "edit", "components": [{"insert": "x"}]}));
    }
    update(&mut world, &other, "d", json!({"type": "put", "key": "k", "value": 1}));
    let (me, how, messages) = resume(&mut world, &me, 0, &[("t", "string", 0), ("d", "dict", 0)]);
    assert_eq!(how, json!("resynced"));
    assert_eq!(told(&messages), ["update 10", "subscribed", "resumed"]);
    assert_eq!(messages[1]["content"]["value"], json!("xxxxxxxxx"));
    push(&mut world, &me, (1, 0), &at("t", 0), &[json!({"type": "edit", "components": [{"insert": "me"}]})]);
    push(&mut world, &me, (2, 1), &at("d", 10), &[json!({"type": "put", "key": "m", "value": 2})]);
    heard(&mut world, &me, &["refused 1 stale_base", "accepted 2"]);
    assert_eq!(value(&world, "d"), json!({"k": 1, "m": 2}));
}

/// ShareDB #343, Etherpad #3988: the server began anew behind its clients. Another life of a room does
/// not know the session, whatever it says, and nobody goes on with a shorter past.
#[test]
fn a_room_that_began_anew_knows_nobody() {
    let mut before = World::default();
    let me = join(&mut before);
    let mut after = World::default();
    // The first client of each has the same id; of these worlds' secrets it is the connection's number.
    after.open(Dialect::Seed);
    let (again, how, messages) = resume(&mut after, &me, 7, &[("n", "int", 40)]);
    assert_eq!((how, messages.len()), (json!("reset"), 0));
    assert_ne!(again.session, me.session);
    // A base from the other life is ahead of this one.
    subscribe(&mut after, &again, "n", "int");
    push(&mut after, &again, (1, 0), &at("n", 40), &[json!({"type": "add", "value": 1})]);
    heard(&mut after, &again, &["refused 1 out_of_range"]);
}

/// ShareDB PR #682: as many clients as like make the same change at once, and each is moved behind
/// what was before it once, not again and again.
#[test]
fn two_hundred_clients_make_the_same_change() {
    const CLIENTS: u64 = 200;
    let mut world = World::default();
    let hands: Vec<Hand> = (0..CLIENTS).map(|_| join(&mut world)).collect();
    for hand in &hands {
        subscribe(&mut world, hand, "t", "string");
    }
    for hand in &hands {
        push(&mut world, hand, (1, 0), &at("t", 0), &[json!({"type": "edit", "components": [{"insert": "a"}]})]);
    }
    assert_eq!(value(&world, "t"), json!("a".repeat(200)));
    assert!(world.room().tally().transforms <= CLIENTS * CLIENTS / 2, "{}", world.room().tally().transforms);
    // The second round knows the first, so nothing is moved at all.
    let before = world.room().tally().transforms;
    for (hand, known) in hands.iter().zip(CLIENTS..) {
        push(&mut world, hand, (2, 1), &at("t", known), &[json!({"type": "edit", "components": [{"insert": "b"}]})]);
    }
    assert_eq!(world.room().tally().transforms, before);
}

/// json0's README, Fluid PR #16277: going over a history that was put together into one operation ends
/// elsewhere than going over it one by one, and only the latter is what every client does.
#[test]
fn history_is_gone_over_one_by_one() {
    let mut world = World::default();
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &other, "t", "string");
    update(&mut world, &other, "t", json!({"type": "set", "value": "abc"}));
    let (_, base) = subscribe(&mut world, &me, "t", "string");
    // Together these are one replacement of "b" by "X", before which an insert at 2 would land.
    let delete = json!([{"retain": 1}, {"delete": 1}]);
    update(&mut world, &other, "t", json!({"type": "edit", "components": delete}));
    let insert = json!([{"retain": 1}, {"insert": "X"}]);
    update(&mut world, &other, "t", json!({"type": "edit", "components": insert}));
    let mine = json!([{"retain": 2}, {"insert": "me"}]);
    push(&mut world, &me, (1, 0), &at("t", base), &[json!({"type": "edit", "components": mine})]);
    // After the deletion both stand at 1, and there the later one ends left.
    assert_eq!(value(&world, "t"), json!("ameXc"));
}

/// Etherpad #4040: who joins a busy pad got a text and a first change that did not fit it. The value and
/// the changes behind it follow from each other, also while the journal is slow.
#[test]
fn joining_in_the_middle_of_a_burst() {
    let mut world = World::default();
    let other = join(&mut world);
    subscribe(&mut world, &other, "l", "list");
    world.journal_answers = false;
    let append = |world: &mut World, item: u64| {
        update(world, &other, "l", json!({"type": "insert", "position": 0, "item": item}));
    };
    let joined: Vec<Hand> = (0..20)
        .map(|item| {
            append(&mut world, item);
            let connection = world.open(Dialect::V1);
            world.send(connection, &json!({"type": "hello", "content": {}}));
            world.send(connection, &json!({"type": "subscribe", "content": {"topic_name": "l"}}));
            append(&mut world, 100 + item);
            world.answer_journal();
            Hand { connection, session: Value::Null, id: 0 }
        })
        .collect();
    let end = value(&world, "l");
    for hand in joined {
        let mut list: Vec<Value> = Vec::new();
        let mut place = 0;
        for message in world.drain(hand.connection) {
            let content = &message["content"];
            match message["type"].as_str().unwrap() {
                "subscribed" => {
                    list = content["value"].as_array().unwrap().clone();
                    place = content["sequence"].as_u64().unwrap();
                }
                "update" => {
                    assert_eq!(content["previous"].as_u64(), Some(place));
                    place = content["sequence"].as_u64().unwrap();
                    list.insert(0, content["change"]["item"].clone());
                }
                _ => {}
            }
        }
        assert_eq!(Value::from(list), end);
    }
}

/// Etherpad #5108: edits that were on their way when the connection broke stayed unsaved until the next
/// key was pressed. What comes again after a resume is answered at once, and happens once.
#[test]
fn what_was_on_its_way_is_saved_without_another_key() {
    let mut world = World::default();
    let me = join(&mut world);
    subscribe(&mut world, &me, "t", "string");
    let insert = |text: &str| json!({"type": "edit", "components": [{"insert": text}]});
    // The first arrived and its answer was lost; the second never arrived.
    push(&mut world, &me, (1, 0), &at("t", 0), &[insert("a")]);
    world.close(me.connection);
    let (me, how, messages) = resume(&mut world, &me, 0, &[("t", "string", 0)]);
    assert_eq!((how, told(&messages)), (json!("resumed"), vec!["accepted 1".into(), "resumed".into()]));
    push(&mut world, &me, (2, 1), &at("t", 1), &[insert("b")]);
    heard(&mut world, &me, &["accepted 2"]);
    assert_eq!(value(&world, "t"), json!("ba"));
}

/// y-crdt #231: bytes, UTF-16 units and characters were taken for each other. At every place of a text
/// of mixed widths a late insert lands at that place.
#[test]
fn late_inserts_into_text_of_every_width() {
    let text = "aé😀e\u{301}👨‍👩‍👧z";
    let count = text.chars().count();
    for place in 0..=count {
        let mut world = World::default();
        let (me, other) = (join(&mut world), join(&mut world));
        subscribe(&mut world, &me, "t", "string");
        update(&mut world, &other, "t", json!({"type": "set", "value": text}));
        update(&mut world, &other, "t", json!({"type": "edit", "components": [{"insert": "😀"}]}));
        world.drain(me.connection);
        let mine = match place {
            0 => json!([{"insert": "!"}]),
            place => json!([{"retain": place}, {"insert": "!"}]),
        };
        push(&mut world, &me, (1, 0), &at("t", 1), &[json!({"type": "edit", "components": mine})]);
        let (before, after): (String, String) =
            (text.chars().take(place).collect(), text.chars().skip(place).collect());
        let expected = match place {
            0 => format!("!😀{text}"),
            _ => format!("😀{before}!{after}"),
        };
        assert_eq!(value(&world, "t"), json!(expected), "at {place}");
    }
}

/// Colyseus schema #94, #108: several operations on one list in one patch were put together by their
/// indexes. Each change of an action stands on the one before it, also when all are moved.
#[test]
fn several_changes_of_a_list_in_one_action() {
    let mut world = World::default();
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &other, "l", "list");
    update(&mut world, &other, "l", json!({"type": "set", "value": ["a", "b", "c"]}));
    let (_, base) = subscribe(&mut world, &me, "l", "list");
    let mut copy = vec![json!("a"), json!("b"), json!("c")];
    update(&mut world, &other, "l", json!({"type": "pop", "position": 0}));
    world.drain(other.connection);
    let shift_and_more = json!([
        {"type": "insert", "position": 0, "item": "new"},
        {"type": "pop", "position": 1},
        {"type": "insert", "position": 3, "item": "end"},
        {"type": "set_item", "position": 0, "item": "newer"},
        {"type": "move", "from": 3, "to": 1},
    ]);
    push(&mut world, &me, (1, 0), &at("l", base), &[shift_and_more]);
    // What others are told, change by change, gives what the room has.
    copy.remove(0);
    let told = world.drain(other.connection);
    for part in told[0]["content"]["changes"].as_array().unwrap() {
        let change = &part["change"];
        let at = |name: &str| usize::try_from(change[name].as_u64().unwrap()).unwrap();
        match change["type"].as_str().unwrap() {
            "insert" => copy.insert(at("position"), change["item"].clone()),
            "pop" => {
                copy.remove(at("position"));
            }
            "set_item" => copy[at("position")] = change["item"].clone(),
            "move" => {
                let item = copy.remove(at("from"));
                copy.insert(at("to"), item);
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(Value::from(copy), value(&world, "l"));
    // Its own pop of "a" came to nothing, since somebody else was faster.
    assert_eq!(value(&world, "l"), json!(["newer", "end", "b", "c"]));
}

/// CryptPad #544: a checkpoint and a part of the history made a fork. Who comes back from any place has
/// what all others have.
#[test]
fn coming_back_from_every_place_ends_in_one_value() {
    let mut world = World::default();
    let (me, other) = (join(&mut world), join(&mut world));
    subscribe(&mut world, &me, "d", "dict");
    let mut hands = vec![me];
    for step in 0..12_u64 {
        let change = match step % 4 {
            3 => json!({"type": "pop", "key": format!("k{}", step - 1)}),
            _ => json!({"type": "put", "key": format!("k{step}"), "value": step}),
        };
        update(&mut world, &other, "d", change);
        hands.push(join(&mut world));
    }
    let end = value(&world, "d");
    for (known, hand) in (0..).zip(hands) {
        // The value at that place, as the first commits make it.
        let mut map = serde_json::Map::new();
        let apply = |map: &mut serde_json::Map<String, Value>, change: &Value| {
            let key = change["key"].as_str().unwrap();
            match change["type"].as_str().unwrap() {
                "put" => map.insert(key.to_owned(), change["value"].clone()),
                _ => map.remove(key),
            };
        };
        for step in 0..known {
            match step % 4 {
                3 => map.remove(&format!("k{}", step - 1)),
                _ => map.insert(format!("k{step}"), json!(step)),
            };
        }
        world.close(hand.connection);
        let (_, how, messages) = resume(&mut world, &hand, 0, &[("d", "dict", known)]);
        assert_eq!(how, json!("resumed"), "from {known}");
        for message in messages.iter().filter(|message| message["type"] == "update") {
            apply(&mut map, &message["content"]["change"]);
        }
        assert_eq!(Value::from(map), end, "from {known}");
    }
}

/// A room that holds nothing is there for a while for clients that lost their connection: the first
/// words of the first client may be on their way.
#[test]
fn an_empty_room_waits_for_who_may_come_back() {
    let mut world = World::default();
    let me = join(&mut world);
    subscribe(&mut world, &me, "t", "string");
    world.close(me.connection);
    assert!(!world.room().is_empty());
    world.advance_ms(59_999);
    let (me, how, _) = resume(&mut world, &me, 0, &[("t", "string", 0)]);
    assert_eq!(how, json!("resumed"));
    assert_eq!(me.id, 1);
    world.close(me.connection);
    world.advance_ms(60_000);
    assert!(world.room().is_empty());
}
