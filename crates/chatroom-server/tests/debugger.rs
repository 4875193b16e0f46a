//! The debugger's socket: who gets in, and what it tells and does.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::VecDeque;

use chatroom_server::protocol::Dialect;
use chatroom_server::{Config, DebuggerConfig};
use chatroom_testkit::peer::http;
use chatroom_testkit::{Peer, TestServer};
use serde_json::{Value, json};

const PROTOCOL: (&str, &str) = ("Sec-WebSocket-Protocol", "chatroom.debugger.v1");

fn server() -> TestServer {
    TestServer::start(Config { debugger: Some(DebuggerConfig::default()), ..Config::default() })
}

/// A page, and what came while it waited for something else.
struct Page {
    peer: Peer,
    waiting: VecDeque<Value>,
    seconds: u32,
}

impl Page {
    fn send(&mut self, message: &Value) {
        self.peer.send(message);
    }

    fn receive_of(&mut self, kind: &str) -> Value {
        if let Some(place) = self.waiting.iter().position(|message| message["type"] == kind) {
            return self.waiting.remove(place).unwrap();
        }
        loop {
            let message = self.peer.receive();
            if message["type"] == kind {
                return message;
            }
            // One comes each second, so nothing is waited for without end.
            self.seconds += u32::from(message["type"] == "rooms");
            assert!(self.seconds < 20, "waited in vain for {kind}; came: {:?}", self.waiting);
            self.waiting.push_back(message);
        }
    }
}

/// A page that has said hello and watches the room `main`.
fn page(server: &TestServer) -> Page {
    let mut page = Peer::open_with(server.debugger, "/socket", &[PROTOCOL]);
    page.send(&json!({"type": "hello"}));
    let hello = page.receive_of("hello");
    assert_eq!(hello["limits"]["entries"], 2000, "{hello}");
    assert_eq!(hello["address"], server.address.to_string(), "{hello}");
    page.send(&json!({"type": "watch", "room": "main"}));
    let room = page.receive_of("room");
    assert_eq!(room["room"], "main", "{room}");
    Page { peer: page, waiting: VecDeque::new(), seconds: 0 }
}

/// Reads batches until an item of one of their lists is the wanted one.
fn wait_for(page: &mut Page, list: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let batch = page.receive_of("batch");
        if let Some(found) = batch[list].as_array().unwrap().iter().find(|item| wanted(item)) {
            return found.clone();
        }
    }
}

fn result(page: &mut Page, command: &Value) -> Value {
    page.send(command);
    let result = page.receive_of("result");
    assert_eq!(result["id"], command["id"], "{result}");
    result
}

fn update(peer: &mut Peer, topic: &str, change: &Value) {
    peer.send(&json!({"type": "update", "content": {"topic_name": topic, "change": change}}));
}

fn subscribe(peer: &mut Peer, topic: &str, kind: &str) {
    peer.send(&json!({"type": "subscribe", "content": {"topic_name": topic, "type": kind}}));
    peer.receive_of("subscribed");
}

#[track_caller]
fn check_refused(server: &TestServer, path: &str, host: &str, headers: &str, status: u16) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    let answer = http(server.debugger, &request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} at {host}: {answer}");
}

#[test]
fn only_its_own_page_gets_in() {
    let server = server();
    let own = server.debugger.to_string();
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chatroom.debugger.v1\r\n";
    check_refused(&server, "/", "evil.example", "", 403);
    check_refused(&server, "/socket", "evil.example", upgrade, 403);
    check_refused(&server, "/socket", &own, &format!("{upgrade}Origin: http://evil.example\r\n"), 403);
    check_refused(&server, "/socket", &own, &upgrade.replace("chatroom.debugger.v1", "chat"), 400);
    check_refused(&server, "/socket", &own, "", 400);
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/..%2fstyle.css", "/../welcome/main.js", "/etc/passwd"] {
        check_refused(&server, path, &own, "", 404);
    }
    // The page is not to be had at the rooms' port.
    let answer = http(server.address, "GET /debugger/index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn a_token_is_asked_for() {
    let config = DebuggerConfig { token: Some("secret".into()) };
    let server = TestServer::start(Config { debugger: Some(config), ..Config::default() });
    for hello in [
        json!({"type": "hello"}),
        json!({"type": "hello", "token": "secreT"}),
        json!({"type": "watch", "room": "main"}),
    ] {
        let mut page = Peer::open_with(server.debugger, "/socket", &[PROTOCOL]);
        page.send(&hello);
        assert!(page.receive_of("refused")["reason"].as_str().unwrap().contains("token"));
        assert_eq!(page.close_code(), 4300);
    }
    let mut page = Peer::open_with(server.debugger, "/socket", &[PROTOCOL]);
    page.send(&json!({"type": "hello", "token": "secret"}));
    page.receive_of("hello");
}

#[test]
fn commits_and_rejections_are_told_with_all_that_belongs_to_them() {
    let server = server();
    let mut page = page(&server);
    let mut author = server.connect(Dialect::V1);
    let mut reader = server.connect(Dialect::Seed);
    let connected = wait_for(&mut page, "entries", |entry| entry["kind"] == "client");
    assert!(connected["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{connected}");

    subscribe(&mut author, "score", "int");
    reader.send(&json!({"type": "subscribe", "content": {"topic_name": "score", "type": "int"}}));
    reader.receive_of("update");
    update(&mut author, "score", &json!({"type": "add", "value": 2, "id": "c1"}));
    let commit = wait_for(&mut page, "entries", |entry| entry["kind"] == "commit");
    assert_eq!(commit["by"], author.id);
    assert_eq!(commit["id"], "c1");
    assert_eq!(commit["changes"][0]["topic_name"], "score");
    assert_eq!(commit["changes"][0]["change"], json!({"type": "add", "value": 2, "id": "c1"}));
    assert_eq!(commit["received_by"], json!([reader.id]), "{commit}");
    assert_eq!(commit["received_count"], 1);
    assert!(commit["took_ms"].as_f64().unwrap() > 0.0, "{commit}");

    update(&mut author, "score", &json!({"type": "add", "value": 0.5, "id": "c2"}));
    let reject = wait_for(&mut page, "entries", |entry| entry["kind"] == "reject");
    assert_eq!((reject["name"].as_str(), reject["by"].as_u64()), (Some("bad_type"), Some(author.id)), "{reject}");
    assert!(!reject["reason"].as_str().unwrap().is_empty());

    update(&mut author, "score", &json!({"type": "add", "value": 1, "id": "c3"}));
    let topic = wait_for(&mut page, "topics", |topic| topic["preview"] == "3");
    assert_eq!((topic["type"].as_str(), topic["subscribers"].as_u64()), (Some("int"), Some(2)), "{topic}");
    assert_eq!(topic["commits"], 2);
}

#[test]
fn an_authority_is_named() {
    let server = server();
    let mut page = page(&server);
    let mut authority = server.connect(Dialect::V1);
    let mut author = server.connect(Dialect::V1);
    authority.send(&json!({"type": "register_service", "content": {"service_name": "_chatroom/validate_change/n"}}));
    authority.receive_of("registered");
    subscribe(&mut author, "n", "int");
    for (valid, kind) in [(true, "commit"), (false, "reject")] {
        update(&mut author, "n", &json!({"type": "set", "value": 1}));
        let request = authority.receive_of("request");
        authority.send(&json!({"type": "response", "content": {
            "request_id": request["content"]["request_id"], "response": {"valid": valid, "reason": "no"}}}));
        let entry = wait_for(&mut page, "entries", |entry| entry["kind"] == kind);
        assert_eq!(entry["validated_by"], authority.id, "{entry}");
    }
    page.send(&json!({"type": "inspect", "topic_name": "n"}));
    assert_eq!(page.receive_of("topic")["authorities"], json!([authority.id]));
}

#[test]
fn a_topic_is_inspected_and_edited() {
    let server = server();
    let mut page = page(&server);
    let mut client = server.connect(Dialect::V1);
    let made = result(
        &mut page,
        &json!({
        "type": "create", "id": 1, "topic_name": "cards", "topic_type": "list", "value": ["a"]}),
    );
    assert_eq!(made["ok"], true, "{made}");
    let again = json!({"type": "create", "id": 8, "topic_name": "cards", "topic_type": "list"});
    assert_eq!(result(&mut page, &again)["error"]["name"], "precondition", "its value would be lost");
    subscribe(&mut client, "cards", "list");
    page.send(&json!({"type": "inspect", "topic_name": "cards"}));
    let topic = page.receive_of("topic");
    assert_eq!(topic["value"], json!(["a"]));
    assert_eq!(topic["entries"][0]["kind"], "commit", "{topic}");

    let change = json!({"type": "insert", "position": 1, "item": "b"});
    let done = result(&mut page, &json!({"type": "update", "id": 2, "topic_name": "cards", "change": change}));
    assert_eq!((done["ok"].as_bool(), done["sequence"].as_u64()), (Some(true), Some(2)), "{done}");
    let seen = client.receive_of("update");
    assert_eq!((&seen["content"]["change"]["item"], &seen["content"]["by"]), (&json!("b"), &json!(0)), "{seen}");
    assert_eq!(page.receive_of("topic")["value"], json!(["a", "b"]));

    let change = json!({"type": "pop", "position": 9});
    let refused = result(&mut page, &json!({"type": "update", "id": 3, "topic_name": "cards", "change": change}));
    assert_eq!(refused["error"]["name"], "out_of_range", "{refused}");
    let found = result(&mut page, &json!({"type": "history", "id": 4, "topic_name": "cards"}));
    let kinds: Vec<&str> =
        found["value"]["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["commit", "commit", "reject"]);

    assert_eq!(result(&mut page, &json!({"type": "delete", "id": 5, "topic_name": "cards"}))["ok"], true);
    assert_eq!(client.receive_of("error")["content"]["code"], 400);
    let again = result(&mut page, &json!({"type": "delete", "id": 6, "topic_name": "cards"}));
    assert_eq!(again["error"]["name"], "unknown_topic", "{again}");
    let event = result(&mut page, &json!({"type": "create", "id": 7, "topic_name": "e", "topic_type": "event"}));
    assert_eq!(event["error"]["name"], "unsupported", "{event}");
}

#[test]
fn a_service_is_called_and_counted() {
    let server = server();
    let mut page = page(&server);
    let mut provider = server.connect(Dialect::V1);
    provider.send(&json!({"type": "register_service", "content": {"service_name": "sum"}}));
    provider.receive_of("registered");
    page.send(&json!({"type": "call", "id": 1, "service_name": "sum", "args": [1, 2], "timeout_ms": 60000}));
    let request = provider.receive_of("request");
    assert_eq!((&request["content"]["args"], &request["content"]["by"]), (&json!([1, 2]), &json!(0)));
    provider.send(&json!({"type": "response", "content": {
        "request_id": request["content"]["request_id"], "response": 3}}));
    let result_of = page.receive_of("result");
    assert_eq!((result_of["ok"].as_bool(), &result_of["value"]), (Some(true), &json!(3)), "{result_of}");
    assert!(result_of["took_ms"].as_f64().unwrap() > 0.0);
    let entry = wait_for(&mut page, "entries", |entry| entry["kind"] == "call");
    assert_eq!((entry["ok"].as_bool(), entry["provider"].as_u64()), (Some(true), Some(provider.id)), "{entry}");
    let refused = result(&mut page, &json!({"type": "call", "id": 2, "service_name": "nobody", "args": null}));
    assert_eq!(refused["error"]["name"], "no_provider", "{refused}");
    // A page that begins to watch is told all of it.
    page.send(&json!({"type": "watch", "room": "main"}));
    let service = page.receive_of("room")["services"][0].clone();
    assert_eq!((service["name"].as_str(), service["calls"].as_u64()), (Some("sum"), Some(1)), "{service}");
    assert_eq!(service["providers"][0]["client"], provider.id, "{service}");
}

#[test]
fn clients_are_listed_and_disconnected() {
    let server = server();
    let mut page = page(&server);
    let mut client = server.connect(Dialect::V1);
    subscribe(&mut client, "a", "int");
    let row = wait_for(&mut page, "clients", |row| row["id"] == client.id && row["subscriptions"] == 1);
    assert_eq!((row["dialect"].as_str(), &row["topics"]), (Some("v1"), &json!(["a"])), "{row}");
    let done = result(&mut page, &json!({"type": "fault", "id": 1, "client": client.id, "kind": "disconnect"}));
    assert_eq!(done["ok"], true, "{done}");
    assert_eq!(client.receive_of("goodbye")["content"]["reconnect"], "yes");
    assert_eq!(client.close_code(), 4110);
    loop {
        let batch = page.receive_of("batch");
        if batch["clients_gone"].as_array().unwrap().contains(&json!(client.id)) {
            break;
        }
    }
    let gone = result(&mut page, &json!({"type": "fault", "id": 2, "client": client.id, "kind": "drop"}));
    assert_eq!(gone["ok"], false, "{gone}");
}

#[test]
fn rubbish_is_answered_and_the_page_lives_on() {
    let server = server();
    let mut page = page(&server);
    for rubbish in ["", "[]", "{}", r#"{"type":"dance"}"#, r#"{"type":"update","id":1}"#, r#"{"type":"watch"}"#] {
        page.peer.send_text(rubbish);
        let answer = page.receive_of("result");
        assert_eq!((answer["ok"].as_bool(), &answer["error"]["name"]), (Some(false), &json!("malformed")), "{answer}");
    }
    page.send(&json!({"type": "watch", "room": "other"}));
    assert_eq!(page.receive_of("room")["room"], "other");
}

#[test]
fn nothing_is_collected_without_a_debugger() {
    let server = TestServer::default();
    let mut page = Peer::open_with(server.debugger, "/socket", &[PROTOCOL]);
    page.send(&json!({"type": "hello"}));
    assert_eq!(page.receive_of("refused")["type"], "refused");
}
