//! Clients that misbehave: rubbish, half frames, no reading, no leaving in order. The server stays
//! up, tells them why, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that panics has failed")]

use chatroom_engine::NoAuthority;
use chatroom_server::protocol::{Dialect, Limits, TopicType};
use chatroom_testkit::server::wait_until;
use chatroom_testkit::vectors::{self, Repeat};
use chatroom_testkit::{Peer, TestServer, World};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Malformed {
    id: String,
    text: Option<String>,
    hex: Option<String>,
    repeat: Option<Repeat>,
    dialect: Option<String>,
    close: Option<u16>,
}

impl Malformed {
    fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.hex, &self.repeat) {
            (Some(text), ..) => text.clone().into_bytes(),
            (_, Some(hex), _) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            }
            (.., Some(repeat)) => repeat.text().into_bytes(),
            _ => panic!("{} has nothing to send", self.id),
        }
    }

    /// Sends the case and returns what the offender was told.
    fn run(&self, server: &TestServer, dialect: Dialect) -> Result<(), String> {
        let mut offender = server.connect(dialect);
        if dialect == Dialect::Seed {
            let name = format!("_chatroom/client_message/{}", offender.id);
            offender.send(&json!({"type": "subscribe", "content": {"topic_name": name, "type": "string"}}));
            offender.receive();
        }
        offender.send_bytes(&self.bytes());
        if let Some(expected) = self.close {
            let found = offender.close_code();
            return if found == expected { Ok(()) } else { Err(format!("closed with {found}, expected {expected}")) };
        }
        let told = offender.drain_kinds();
        let answers = ["error", "reject_update", "response", "update"];
        match told.iter().all(|kind| answers.contains(&kind.as_str())) && !told.is_empty() {
            true => Ok(()),
            false => Err(format!("{dialect:?} was told {told:?}")),
        }
    }
}

#[test]
fn malformed_input_harms_nobody() {
    let server = TestServer::default();
    let mut witness = server.connect(Dialect::V1);
    for kind in TopicType::ALL {
        witness
            .send(&json!({"type": "subscribe", "content": {"topic_name": format!("t/{kind}"), "type": kind.name()}}));
        assert_eq!(witness.receive()["type"], "subscribed");
    }
    let cases = vectors::load::<Malformed>("messages/malformed");
    assert!(cases.len() >= 200);
    vectors::run(
        "messages/malformed",
        &cases,
        |case| &case.id,
        |case| {
            for (name, dialect) in [("seed", Dialect::Seed), ("v1", Dialect::V1)] {
                if case.dialect.as_deref().is_none_or(|only| only == name) {
                    case.run(&server, dialect)?;
                }
            }
            Ok(())
        },
    );
    assert_eq!(witness.drain(), Vec::<Value>::new(), "the witness was sent nothing");
    server.wait_counts("all offenders to be gone", |counts| counts.clients == 1);
}

#[test]
fn a_thousand_rounds_leave_nothing_behind() {
    let server = TestServer::default();
    let round = |index: usize| {
        let dialect = if index.is_multiple_of(2) { Dialect::Seed } else { Dialect::V1 };
        let mut peer = server.connect(dialect);
        for (name, kind) in
            [("a", "dict"), ("b", "presence"), ("_chatroom/clients", "dict"), ("_chatroom/server_status", "string")]
        {
            peer.send(&json!({"type": "subscribe", "content": {"topic_name": name, "type": kind}}));
        }
        let change = json!({"type": "put", "value": index, "id": "p"});
        peer.send(&json!({"type": "update", "content": {"topic_name": "b", "change": change}}));
        for name in ["s", "_chatroom/validate_change/a"] {
            peer.send(&json!({"type": "register_service", "content": {"service_name": name}}));
        }
        let request = json!({"service_name": "s", "args": null, "request_id": 1});
        peer.send(&json!({"type": "request", "content": request}));
        peer.barrier();
        // Every third leaves in order, the others just drop their socket.
        if index.is_multiple_of(3) {
            peer.close();
        }
    };
    let empty = || {
        server.wait_counts("nothing to be left", |counts| *counts == chatroom_server::Counts::default());
    };
    (0..100).for_each(round);
    empty();
    let before = resident_bytes();
    (0..1_000).for_each(round);
    empty();
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "memory grew by {grown} bytes");
}

#[test]
fn a_reader_that_never_reads_costs_little_and_slows_nobody() {
    const MESSAGES: usize = 2_000;
    let server = TestServer::default();
    let subscribe = json!({"type": "subscribe", "content": {"topic_name": "t", "type": "string"}});
    let mut stuck = server.connect(Dialect::V1);
    stuck.send(&subscribe);
    stuck.barrier();
    let mut writer = server.connect(Dialect::V1);
    writer.send(&subscribe);
    writer.barrier();
    let before = resident_bytes();
    let mut most = before;
    let value = "x".repeat(100_000);
    for index in 0..MESSAGES {
        let change = json!({"type": "set", "value": format!("{index} {value}"), "id": index});
        writer.send(&json!({"type": "update", "content": {"topic_name": "t", "change": change}}));
        // The writer reads all of its own answers, so nothing but the stuck reader can hold memory.
        assert_eq!(writer.receive_of("accepted")["content"]["id"], index);
        most = most.max(resident_bytes());
    }
    let grown = most - before;
    assert!(grown < 64 << 20, "200 MB published to a stuck reader cost {grown} bytes");
    // Once it reads, it ends on the newest value.
    let newest = format!("{} {value}", MESSAGES - 1);
    loop {
        let message = stuck.receive();
        let content = &message["content"];
        if content["value"] == *newest || content["change"]["value"] == *newest {
            break;
        }
    }
}

#[test]
fn a_commit_is_encoded_once_a_dialect() {
    let mut world = World::new(Limits::default(), NoAuthority::Reject);
    let subscribe = json!({"type": "subscribe", "content": {"topic_name": "t", "type": "string"}});
    let clients: Vec<_> = (0..1_000)
        .map(|index| {
            let (client, _) = world.join(if index % 2 == 0 { Dialect::Seed } else { Dialect::V1 });
            world.send(client, &subscribe);
            world.drain(client);
            client
        })
        .collect();
    for (author, edit) in [(clients[0], false), (clients[1], true)] {
        let before = world.room().tally();
        let change = match edit {
            false => json!({"type": "set", "value": "text", "id": "x"}),
            true => json!({"type": "edit", "components": [{"retain": 1}, {"insert": "é"}], "id": "x"}),
        };
        world.send(author, &json!({"type": "update", "content": {"topic_name": "t", "change": change}}));
        let after = world.room().tally();
        assert_eq!((after.commits - before.commits, after.encodings - before.encodings), (1, 2));
        assert!(clients.iter().all(|client| world.drain(*client).len() == 1), "each got the commit");
    }
}

#[test]
fn nothing_leaves_before_the_journal_has_it() {
    let mut world = World::new(Limits::default(), NoAuthority::Reject);
    let (client, _) = world.join(Dialect::Seed);
    world.send(client, &json!({"type": "subscribe", "content": {"topic_name": "t", "type": "int"}}));
    world.drain(client);
    world.journal_answers = false;
    world.send(
        client,
        &json!({"type": "update", "content": {"topic_name": "t", "change": {"type": "add", "value": 1, "id": "x"}}}),
    );
    let (late, _) = (world.open(Dialect::Seed), ());
    assert_eq!((world.drain(client).len(), world.drain(late).len()), (0, 0));
    world.answer_journal();
    assert_eq!((world.drain(client).len(), world.drain(late).len()), (1, 1));
}

/// The memory that this process has in use.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_half_sent_message_harms_nobody() {
    let server = TestServer::default();
    let mut witness = server.connect(Dialect::Seed);
    for bytes in [&[0x81][..], &[0x81, 0xfe, 0x10], &[0x81, 0x85, 1, 2, 3, 4, b'x'], &[0x01, 0x80, 0, 0, 0, 0]] {
        let mut half = Peer::connect(server.address, "/", Dialect::Seed);
        half.write_raw(bytes).unwrap();
        drop(half);
    }
    wait_until("the halves to be gone", || server.counts().clients == 1);
    assert_eq!(witness.drain(), Vec::<Value>::new());
}
