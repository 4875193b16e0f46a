//! Every example, started against a real server and held to what it says it does.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use chatroom_testkit::TestServer;
use chatroom_testkit::peer::http;

/// A program that runs until the test is over, and what it prints.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    #[track_caller]
    fn prints(&mut self, expected: &str) {
        assert_eq!(self.lines.next().unwrap().unwrap(), expected);
    }

    /// Reads lines until one is the expected one.
    #[track_caller]
    fn comes_to(&mut self, expected: &str) {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("ended before {expected:?}: {seen:?}")).unwrap();
            if line == expected {
                return;
            }
            seen.push(line);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the JavaScript half can run here; CI has to have it.
fn javascript_runs() -> bool {
    let there = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules/@chatroom/client").exists();
    let node = Command::new("node").arg("--version").output().is_ok();
    assert!(there && node || std::env::var_os("CI").is_none(), "CI needs node and `npm ci`");
    there && node
}

/// The Rust and the JavaScript program of an example; both do the same.
fn programs(server: &TestServer, rust: &str, javascript: &str) -> [impl Fn(&[&str]) -> Command; 2] {
    let url = format!("ws://{}", server.address);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let words = [vec![rust.to_owned()], vec!["node".into(), format!("{folder}{javascript}")]];
    words.map(|words| {
        let url = url.clone();
        move |arguments: &[&str]| {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).args(arguments).env("CHATROOM_URL", &url);
            command
        }
    })
}

#[track_caller]
fn prints(mut command: Command, expected: &str) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn hello_topic() {
    if !javascript_runs() {
        return;
    }
    let server = TestServer::default();
    let [add, watch] = programs(&server, env!("CARGO_BIN_EXE_hello-topic"), "hello-topic/hello-topic.mjs");
    let mut watching = Running::start(&mut watch(&[]));
    watching.prints("the score is 0");
    prints(add(&[]), "the score is 1\n");
    watching.prints("the score is 1");
    prints(add(&[]), "the score is 2\n");
    watching.prints("the score is 2");
}

#[test]
fn shared_list() {
    if !javascript_runs() {
        return;
    }
    let server = TestServer::default();
    let [rust, javascript] = programs(&server, env!("CARGO_BIN_EXE_shared-list"), "shared-list/shared-list.mjs");
    let mut watching = [Running::start(&mut rust(&[])), Running::start(&mut javascript(&[]))];
    watching.iter_mut().for_each(|program| program.prints(""));
    prints(rust(&["buy", "milk"]), "");
    watching.iter_mut().for_each(|program| program.prints("buy milk"));
    prints(javascript(&["write", "home"]), "");
    watching.iter_mut().for_each(|program| program.prints("buy milk, write home"));
}

#[test]
fn presence() {
    if !javascript_runs() {
        return;
    }
    let server = TestServer::default();
    let [rust, javascript] = programs(&server, env!("CARGO_BIN_EXE_presence"), "presence/presence.mjs");
    let mut ann = Running::start(&mut rust(&["Ann"]));
    ann.comes_to("here: Ann");
    let mut bob = Running::start(&mut javascript(&["Bob"]));
    bob.comes_to("here: Ann, Bob");
    ann.comes_to("here: Ann, Bob");
    drop(bob);
    ann.comes_to("here: Ann");
}

#[test]
fn call_a_service() {
    if !javascript_runs() {
        return;
    }
    let server = TestServer::default();
    let programs = programs(&server, env!("CARGO_BIN_EXE_call-a-service"), "call-a-service/call-a-service.mjs");
    for provide in &programs {
        let mut provider = Running::start(&mut provide(&[]));
        provider.prints("math/sum is provided; end with Ctrl-C");
        for call in &programs {
            prints(call(&["1", "2", "39"]), "42\n");
        }
        drop(provider);
        server.wait_counts("the provider is gone", |counts| counts.services == 0);
    }
    for call in &programs {
        let output = call(&["1"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("nobody provides math/sum"), "{told}");
    }
}

#[test]
fn validator() {
    if !javascript_runs() {
        return;
    }
    let server = TestServer::default();
    let programs = programs(&server, env!("CARGO_BIN_EXE_validator"), "validator/validator.mjs");
    for validate in &programs {
        let mut authority = Running::start(&mut validate(&[]));
        authority.prints("deciding about game/score; end with Ctrl-C");
        let mut peer = server.connect(chatroom_server::protocol::Dialect::V1);
        let mut update = |kind: &str, value: i64| {
            let change = serde_json::json!({"type": kind, "value": value});
            let content = serde_json::json!({"topic_name": "game/score", "change": change});
            peer.send(
                &serde_json::json!({"type": "subscribe", "content": {"topic_name": "game/score", "type": "int"}}),
            );
            peer.send(&serde_json::json!({"type": "update", "content": content}));
            loop {
                let answer = peer.receive();
                match answer["type"].as_str().unwrap() {
                    "accepted" => return "accepted".to_owned(),
                    "reject_update" => return answer["content"]["reason"].as_str().unwrap().to_owned(),
                    _ => {}
                }
            }
        };
        assert_eq!(update("set", 3), "accepted");
        assert_eq!(update("add", -4), "a score is at least 0");
        assert_eq!(update("set", -1), "a score is at least 0");
        assert_eq!(update("add", -3), "accepted");
        drop(authority);
        server.wait_counts("the authority is gone", |counts| counts.clients == 1);
    }
}

#[test]
fn embed_in_axum() {
    let mut program = Running::start(Command::new(env!("CARGO_BIN_EXE_embed-in-axum")).env("LISTEN", "127.0.0.1:0"));
    let line = program.lines.next().unwrap().unwrap();
    let address = line.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap();
    let ask = |line: &str| {
        http(address, &format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask("GET /visits").ends_with("\r\n0"));
    assert!(ask("POST /visit").starts_with("HTTP/1.1 200"));
    program.prints("main is at 1");
    assert!(ask("GET /visits").ends_with("\r\n1"));

    let mut peer = chatroom_testkit::Peer::connect(address, "/sync", chatroom_server::protocol::Dialect::V1);
    peer.send(&serde_json::json!({"type": "request", "content": {"service_name": "math/sum", "args": [1, 2], "request_id": 1}}));
    assert_eq!(peer.receive_of("response")["content"]["response"], 3);
    peer.send(&serde_json::json!({"type": "update", "content": {"topic_name": "visits", "change": {"type": "add", "value": 1}}}));
    assert_eq!(peer.receive_of("reject_update")["content"]["reason"], "visits are counted by the program alone");
}
