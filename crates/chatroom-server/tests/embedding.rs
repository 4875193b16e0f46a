//! A server inside another program: its services, validators and hooks, mounted or on its own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::mpsc;
use std::time::Duration;

use chatroom_server::protocol::change::IntChange;
use chatroom_server::protocol::{Change, Dialect, TopicValue};
use chatroom_server::{Call, Fault, Proposed, Server, ServiceError, Workers};
use chatroom_testkit::{Peer, TestServer};
use serde_json::{Value, json};

fn call(peer: &mut Peer, service: &str, args: &Value) -> Value {
    peer.send(&json!({"type": "request", "content": {"service_name": service, "args": args, "request_id": "r"}}));
    peer.receive_of("response")["content"].clone()
}

fn update(peer: &mut Peer, topic: &str, change: &Value) -> Value {
    peer.send(&json!({"type": "update", "content": {"topic_name": topic, "change": change}}));
    loop {
        let message = peer.receive();
        if ["accepted", "reject_update"].contains(&message["type"].as_str().unwrap()) {
            return message;
        }
    }
}

fn subscribe(peer: &mut Peer, topic: &str, kind: &str) {
    peer.send(&json!({"type": "subscribe", "content": {"topic_name": topic, "type": kind}}));
    peer.receive_of("subscribed");
}

#[test]
fn services_answer_in_every_room() {
    let server = Server::builder()
        .service("sum", |call: Call<Vec<f64>>| async move { Ok(call.args.iter().sum::<f64>()) })
        .service("who", |call: Call<Value>| async move { Ok(json!([call.room.as_str(), call.by.0])) })
        .service("fail", |_: Call<Value>| async move {
            Err::<(), _>(ServiceError::new(1007, "out of paper").with_data(json!({"tray": 2})))
        })
        .service("panic", |call: Call<bool>| async move {
            assert!(call.args, "on purpose");
            Ok(())
        })
        .service("slow", |call: Call<Value>| async move {
            call.progress("half").await;
            std::future::pending::<()>().await;
            Ok(())
        })
        .build()
        .unwrap();
    let server = TestServer::serve(server);
    let mut peer = server.connect(Dialect::V1);
    assert_eq!(call(&mut peer, "sum", &json!([1, 2, 3.5]))["response"], 6.5);
    assert_eq!(
        call(&mut peer, "fail", &json!(null))["error"],
        json!({"code": 1007, "message": "out of paper", "data": {"tray": 2}})
    );
    let bad = call(&mut peer, "sum", &json!({"a": 1}));
    assert_eq!(bad["error"]["code"], 1000, "{bad}");
    assert!(bad["error"]["message"].as_str().unwrap().contains("expected a sequence"), "{bad}");
    assert_eq!(call(&mut peer, "panic", &json!(false))["error"]["message"], "the service failed");
    peer.send(&json!({"type": "request", "content": {"service_name": "slow", "args": null, "request_id": "s"}}));
    assert_eq!(peer.receive_of("progress")["content"], json!({"request_id": "s", "data": "half"}));
    peer.send(&json!({"type": "cancel", "content": {"request_id": "s"}}));
    assert_eq!(peer.receive_of("response")["content"]["error"]["code"], 105);

    let mut other = Peer::connect(server.address, "/rooms/other", Dialect::V1);
    assert_eq!(call(&mut other, "who", &json!(null))["response"], json!(["other", 1]));
    // The server is no client, and keeps no room in memory.
    let clients = call(&mut other, "_chatroom/get", &json!({"topic_name": "_chatroom/clients"}));
    assert_eq!(clients["response"]["value"].as_object().unwrap().len(), 1, "{clients}");
    peer.close();
    other.close();
    chatroom_testkit::server::wait_until("all rooms are forgotten", || server.room_count() == 0);
}

/// A map of 0 to 100, on which nobody stands outside.
fn clamp(proposed: &Proposed<'_>) -> Result<Option<Change>, String> {
    match (proposed.value, proposed.change) {
        (TopicValue::Int(now), Change::Int(IntChange::Add(step))) if !(0..=100).contains(&(now + step)) => {
            Ok(Some(Change::Int(IntChange::Set((now + step).clamp(0, 100)))))
        }
        (TopicValue::Int(_), _) => Ok(None),
        _ => Err("a position is an int".into()),
    }
}

#[test]
fn rules_put_another_change_in_the_place_of_the_proposed_one() {
    let server = TestServer::serve(Server::builder().rule("x/*", clamp).build().unwrap());
    let (mut author, mut reader) = (server.connect(Dialect::V1), server.connect(Dialect::V1));
    subscribe(&mut reader, "x/1", "int");
    let push = json!({"number": 1, "acknowledged": 0, "topics": [{"topic_name": "x/1"}], "actions": [
        {"changes": [{"topic": 0, "change": {"type": "add", "value": 60}}]},
        {"changes": [{"topic": 0, "change": {"type": "add", "value": 60}}]},
    ]});
    author.send(&json!({"type": "push", "content": push}));
    assert_eq!(author.receive()["content"], json!({"id": 1, "sequence": 1, "previous": [0]}));
    let set = json!([{"topic_name": "x/1", "change": {"type": "set", "value": 100}}]);
    assert_eq!(author.receive()["content"], json!({"id": 2, "sequence": 2, "previous": [1], "changes": set}));
    assert_eq!(reader.receive()["content"]["change"]["type"], "add");
    assert_eq!(reader.receive()["content"]["change"], json!({"type": "set", "value": 100, "id": "1-2"}));
    let accepted = update(&mut author, "x/1", &json!({"type": "add", "value": -300, "id": "u"}));
    assert_eq!(accepted["content"]["sequence"], 3);
    assert_eq!(reader.receive()["content"]["change"], json!({"type": "set", "value": 0, "id": "u"}));
}

#[test]
fn validators_decide_by_pattern() {
    let server = Server::builder()
        .validator("score/*", |proposed| {
            let mut after = proposed.value.clone();
            after
                .apply(proposed.change, &chatroom_server::protocol::Limits::default())
                .map_err(|bad| bad.to_string())?;
            match after {
                TopicValue::Int(value) if value > 10 => Err("a score is at most 10".into()),
                _ => Ok(()),
            }
        })
        .validator("score/ann", |proposed| match proposed.by.0 {
            1 => Ok(()),
            _ => Err("Ann's score is changed by the first client alone".into()),
        })
        .build()
        .unwrap();
    let server = TestServer::serve(server);
    let (mut first, mut second) = (server.connect(Dialect::V1), server.connect(Dialect::V1));
    for topic in ["score/ann", "score/bob", "other"] {
        subscribe(&mut first, topic, "int");
        subscribe(&mut second, topic, "int");
    }
    let set = |value: i64| json!({"type": "set", "value": value});
    assert_eq!(update(&mut first, "score/ann", &set(10))["type"], "accepted");
    let refused = update(&mut first, "score/ann", &set(11));
    assert_eq!(
        (&refused["content"]["code"], &refused["content"]["reason"]),
        (&json!(212), &json!("a score is at most 10"))
    );
    assert_eq!(update(&mut second, "score/ann", &set(1))["type"], "reject_update");
    assert_eq!(update(&mut second, "score/bob", &set(1))["type"], "accepted");
    assert_eq!(update(&mut second, "other", &set(1_000))["type"], "accepted");
}

#[test]
fn the_hook_is_told_of_every_commit_in_order() {
    let (told, commits) = mpsc::channel();
    let server = Server::builder()
        .on_commit(move |room, commit| {
            let topics: Vec<String> = commit.changes.iter().map(|change| change.topic_name.to_string()).collect();
            told.send((room.to_string(), commit.sequence.0, commit.by.0, topics)).unwrap();
        })
        .build()
        .unwrap();
    let server = TestServer::serve(server);
    let mut peer = server.connect(Dialect::V1);
    subscribe(&mut peer, "a", "int");
    subscribe(&mut peer, "b", "int");
    for value in 1..=3 {
        update(&mut peer, "a", &json!({"type": "set", "value": value}));
    }
    update(&mut peer, "a", &json!({"type": "pop"}));
    let both = json!([{"topic_name": "a", "change": {"type": "set", "value": 1}}, {"topic_name": "b", "change": {"type": "set", "value": 1}}]);
    peer.send(&json!({"type": "action", "content": {"action_id": "k", "changes": both}}));
    peer.receive_of("accepted");
    // The author's answer leaves before the hook runs.
    let first = std::iter::from_fn(|| commits.recv_timeout(Duration::from_secs(10)).ok()).take(4);
    let seen: Vec<_> = first.chain(commits.try_iter()).collect();
    let expected: Vec<_> = [(1, vec!["a"]), (2, vec!["a"]), (3, vec!["a"]), (4, vec!["a", "b"])]
        .into_iter()
        .map(|(sequence, topics)| {
            ("main".into(), sequence, 1, topics.into_iter().map(String::from).collect::<Vec<String>>())
        })
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_panics_on_the_programs_side_stays_there() {
    let server = Server::builder()
        .validator("bad", |_| panic!("on purpose"))
        .on_commit(|_, _| panic!("on purpose"))
        .build()
        .unwrap();
    let server = TestServer::serve(server);
    let mut peer = server.connect(Dialect::V1);
    subscribe(&mut peer, "bad", "int");
    subscribe(&mut peer, "good", "int");
    let refused = update(&mut peer, "bad", &json!({"type": "set", "value": 1}));
    assert_eq!(
        (&refused["content"]["code"], &refused["content"]["reason"]),
        (&json!(212), &json!("the validator failed"))
    );
    assert_eq!(update(&mut peer, "good", &json!({"type": "set", "value": 1}))["type"], "accepted");
    assert_eq!(update(&mut peer, "good", &json!({"type": "set", "value": 2}))["type"], "accepted");
}

#[test]
fn names_are_checked_when_it_is_built() {
    let handler = |_: Call<Value>| async move { Ok(()) };
    assert!(Server::builder().service("", handler).build().unwrap_err().reason.contains("empty"));
    assert!(Server::builder().service("_chatroom/mine", handler).build().is_err());
    assert!(Server::builder().validator("", |_| Ok(())).build().is_err());
    assert!(Server::builder().validator("*", |_| Ok(())).build().is_ok());
}

#[test]
fn it_can_be_mounted_in_an_axum_router() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::builder().build().unwrap();
    let router = axum::Router::new()
        .route("/", axum::routing::get(|| async { "the program's own page" }))
        .nest("/sync", server.router());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    let page = |path: &str| {
        chatroom_testkit::peer::http(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    };
    assert!(page("/").contains("the program's own page"));
    assert!(page("/sync/healthz").ends_with("ok\n"));
    for path in ["/sync", "/sync/rooms/a"] {
        let mut peer = Peer::connect(address, path, Dialect::V1);
        subscribe(&mut peer, "a", "int");
    }
    let mut peer = Peer::connect(address, "/sync", Dialect::V1);
    std::thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(server.close()));
        assert_eq!(peer.receive_of("goodbye")["content"]["reconnect"], "yes");
        assert_eq!(peer.close_code(), 1001);
    });
}

#[test]
fn a_connection_needs_no_socket() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Server::builder().build().unwrap();
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut pipe = server.open();
        pipe.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        pipe.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    });
}

#[test]
fn one_clients_faults_are_its_own() {
    let server = TestServer::default();
    let (mut victim, mut other) = (server.connect(Dialect::V1), server.connect(Dialect::V1));
    for peer in [&mut victim, &mut other] {
        subscribe(peer, "n", "int");
    }
    // Frozen: its message waits until it thaws, the other's does not.
    assert!(server.inflict(victim.id, Fault::Freeze(Duration::from_mins(10))));
    victim.send(&json!({"type": "update", "content": {"topic_name": "n", "change": {"type": "add", "value": 1}}}));
    assert_eq!(update(&mut other, "n", &json!({"type": "add", "value": 10}))["type"], "accepted");
    assert!(other.drain().is_empty(), "the frozen client's change came through");
    assert!(server.inflict(victim.id, Fault::Freeze(Duration::ZERO)));
    assert_eq!(victim.receive()["type"], "update");
    assert_eq!(victim.receive()["type"], "accepted");
    assert_eq!(other.receive()["content"]["change"]["value"], 1);

    // Delayed: everything comes, in order.
    assert!(server.inflict(victim.id, Fault::Delay(Duration::from_millis(5))));
    for value in 0..50 {
        victim.send(&json!({"type": "update", "content": {"topic_name": "n", "change": {"type": "set", "value": value, "id": value}}}));
    }
    for value in 0..50 {
        assert_eq!(victim.receive()["content"]["id"], value);
        assert_eq!(other.receive()["content"]["change"]["value"], value);
    }
    assert!(server.inflict(victim.id, Fault::Delay(Duration::ZERO)));

    // Dropped: gone without a word.
    assert!(server.inflict(victim.id, Fault::Drop));
    server.wait_counts("the dropped client is gone", |counts| counts.clients == 1);
    assert!(!server.inflict(victim.id, Fault::Drop), "it is gone");
    assert_eq!(update(&mut other, "n", &json!({"type": "add", "value": 1}))["type"], "accepted");
}

/// Rooms and connections on three threads: small rooms whole on one of them, and one that is too large
/// for that.
#[test]
fn rooms_are_spread_over_threads() {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::builder().workers(Workers::start(3).unwrap()).build().unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            server.serve(listener, shutdown).await;
        });
    });
    let address = told.recv().unwrap();
    let rooms = (0..12).map(|room| (format!("/rooms/small-{room}"), 3)).chain([("/rooms/large".into(), 100)]);
    let mut all = Vec::new();
    for (path, size) in rooms {
        let mut peers: Vec<Peer> = (0..size).map(|_| Peer::connect(address, &path, Dialect::V1)).collect();
        peers.iter_mut().for_each(|peer| subscribe(peer, "n", "int"));
        all.push(peers);
    }
    for peers in &mut all {
        let (author, others) = peers.split_first_mut().unwrap();
        for turn in 1..=5 {
            let accepted = update(author, "n", &json!({"type": "add", "value": 1, "id": turn}));
            assert_eq!(accepted["content"]["sequence"], turn);
        }
        for other in others {
            let heard: Vec<Value> = (0..5).map(|_| other.receive_of("update")["content"]["sequence"].clone()).collect();
            assert_eq!(heard, [1, 2, 3, 4, 5]);
        }
    }
    drop(all);
    stop.send(()).unwrap();
    serving.join().unwrap();
}
