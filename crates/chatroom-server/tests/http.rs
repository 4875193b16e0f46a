//! HTTP: pages, health, metrics, and every way an upgrade can be refused.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use chatroom_server::journal::{DiskConfig, DiskJournal};
use chatroom_server::protocol::{Dialect, Limits};
use chatroom_server::{AllowedOrigins, Config, Server};
use chatroom_testkit::peer::http;
use chatroom_testkit::{Peer, TestServer};

const UPGRADE: &[&str] = &[
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[track_caller]
fn check(server: &TestServer, path: &str, headers: &[&str], status: u16, says: &str) {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    // An upgraded connection stays open, so its answer is read through a client instead.
    assert_ne!(status, 101);
    let answer = http(
        server.address,
        &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", server.address),
    );
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    assert!(answer.contains(says), "{path}: {answer}");
}

#[test]
fn pages_and_health() {
    let server = TestServer::default();
    check(&server, "/healthz", &[], 200, "ok\n");
    check(&server, "/metrics", &[], 200, "chatroom_rooms");
    check(&server, "/", &[], 200, "content-security-policy");
    check(&server, "/chatroom.js", &[], 200, "text/javascript");
    check(&server, "/nothing", &[], 404, "/rooms/NAME");
    check(&server, "/../Cargo.toml", &[], 404, "");
    check(&server, "/%2e%2e/Cargo.toml", &[], 404, "");
    check(&server, "/rooms/a", &[], 426, "WebSocket");
    check(&server, "/rooms/a%20b", UPGRADE, 404, "room name");
}

#[test]
fn an_etag_saves_a_page() {
    let server = TestServer::default();
    let answer = http(server.address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let etag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an etag");
    check(&server, "/", &[&format!("If-None-Match: {etag}")], 304, "");
}

#[test]
fn upgrades_that_are_refused() {
    let server = TestServer::default();
    let without = |missing: &str| -> Vec<&str> {
        UPGRADE.iter().copied().filter(|header| !header.starts_with(missing)).collect()
    };
    check(&server, "/", &without("Sec-WebSocket-Key"), 400, "Sec-WebSocket-Key");
    check(&server, "/", &without("Sec-WebSocket-Version"), 426, "version 13");
    check(&server, "/", &without("Connection"), 400, "Connection");
    check(&server, "/", &[UPGRADE, &["Sec-WebSocket-Protocol: other.v9"]].concat(), 400, "chatroom.v1.json");
    check(
        &server,
        "/",
        &[UPGRADE, &["Origin: https://evil.example"]].concat(),
        403,
        "--allowed-origins https://evil.example",
    );
    check(&server, "/", &[UPGRADE, &["Origin: null"]].concat(), 403, "--allowed-origins");
}

#[test]
fn a_listed_origin_is_upgraded() {
    let config =
        Config { allowed_origins: AllowedOrigins::parse(["https://example.org"]).unwrap(), ..Config::default() };
    let server = TestServer::start(config);
    let mut peer = Peer::open_with(server.address, "/", &[("Origin", "https://example.org")]);
    assert_eq!(peer.receive()["type"], "hello");
}

#[test]
fn rooms_are_worlds_of_their_own_and_are_forgotten() {
    let server = TestServer::default();
    let mut main = Peer::connect(server.address, "/", Dialect::Seed);
    let mut a = Peer::connect(server.address, "/rooms/a", Dialect::Seed);
    let b = Peer::connect(server.address, "/rooms/b", Dialect::V1);
    assert_eq!((main.id, a.id, b.id), (1, 1, 1));
    for peer in [&mut main, &mut a] {
        peer.send(&serde_json::json!({"type": "subscribe", "content": {"topic_name": "t", "type": "int"}}));
        peer.receive_of("update");
    }
    a.send(&serde_json::json!({"type": "update", "content": {"topic_name": "t", "change": {"type": "add", "value": 1, "id": "x"}}}));
    a.receive_of("update");
    assert_eq!(main.drain(), Vec::<serde_json::Value>::new());
    assert_eq!(server.room_count(), 3);
    b.close();
    chatroom_testkit::server::wait_until("the empty room to be forgotten", || server.room_count() == 2);
    a.close();
    // Room a holds a changed topic, which its clients may come back for.
    let mut again = Peer::connect(server.address, "/rooms/a", Dialect::Seed);
    again.send(&serde_json::json!({"type": "subscribe", "content": {"topic_name": "t", "type": "int"}}));
    assert_eq!(again.receive_of("update")["content"]["change"]["value"], 1);
}

#[test]
fn a_v1_client_that_says_nothing_is_closed() {
    let limits = Limits { hello_timeout_ms: 50, ..Limits::default() };
    let server = TestServer::start(Config { limits: Arc::new(limits), ..Config::default() });
    let mut peer = Peer::open(server.address, "/", Dialect::V1);
    let goodbye = peer.receive();
    assert_eq!((&goodbye["type"], &goodbye["content"]["code"]), (&"goodbye".into(), &219.into()));
    assert_eq!(peer.close_code(), 4219);
}

#[test]
fn a_silent_connection_is_closed_after_two_heartbeats() {
    let limits = Limits { heartbeat_ms: 50, ..Limits::default() };
    let server = TestServer::start(Config { limits: Arc::new(limits), ..Config::default() });
    // This client answers no ping: it reads the socket past its WebSocket.
    let mut mute = Peer::connect(server.address, "/", Dialect::Seed);
    server.wait_counts("the mute client to be expelled", |counts| counts.clients == 0);
    assert_eq!(mute.close_code(), 4108);
}

#[test]
fn shutdown_says_goodbye_and_ends() {
    let mut server = TestServer::default();
    let mut v1 = server.connect(Dialect::V1);
    let mut seed = server.connect(Dialect::Seed);
    let readers = std::thread::spawn(move || {
        let goodbye = v1.receive_of("goodbye");
        assert_eq!((&goodbye["content"]["code"], &goodbye["content"]["reconnect"]), (&106.into(), &"yes".into()));
        (v1.close_code(), seed.close_code())
    });
    server.stop();
    assert_eq!(readers.join().unwrap(), (1001, 1001));
}

#[test]
fn what_the_journal_did_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let journal = DiskJournal::open(DiskConfig::new(folder.path())).unwrap();
    let server = TestServer::serve(Server::builder().journal(Arc::new(journal)).build().unwrap());
    check(&server, "/metrics", &[], 200, "chatroom_journal_appends_total 0");
    let mut peer = Peer::connect(server.address, "/", Dialect::V1);
    peer.send(&serde_json::json!({"type": "subscribe", "content": {"topic_name": "n", "type": "int"}}));
    peer.send(&serde_json::json!({"type": "update",
        "content": {"topic_name": "n", "change": {"type": "add", "value": 1, "id": "x"}}}));
    peer.receive_of("accepted");
    check(&server, "/metrics", &[], 200, "chatroom_journal_appends_total 1");
    check(&server, "/metrics", &[], 200, "chatroom_journal_longest_batch_microseconds ");
}
