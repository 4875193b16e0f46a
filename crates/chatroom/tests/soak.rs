//! One server and three clients, one of each language, which edit the same topics at once by a seed and
//! end with the same values.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, and says what it ran")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatroom_client::{Client, Dict, Int, List, Text};
use chatroom_protocol::json;
use chatroom_testkit::TestServer;
use serde_json::{Value, json};

const STEPS: u64 = 300;

struct Choice(u64);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = (self.0 * 1_103_515_245 + 12_345) % 2_147_483_648;
        usize::try_from(self.0 >> 8).unwrap() % bound
    }
}

/// The end of a client in this language.
async fn soak(url: &str, seed: u64) -> String {
    let room = Client::connect(url).await.unwrap();
    let (text, list) = (room.topic::<Text>("text").unwrap(), room.topic::<List<Value>>("list").unwrap());
    let (dict, sum) = (room.topic::<Dict<Value>>("dict").unwrap(), room.topic::<Int>("sum").unwrap());
    let ended = room.topic::<Int>("ended").unwrap();
    text.loaded().await.unwrap();
    list.loaded().await.unwrap();
    dict.loaded().await.unwrap();
    sum.loaded().await.unwrap();
    ended.loaded().await.unwrap();
    let time = || async { room.call::<Value>("_chatroom/time", &()).await.unwrap() };
    let mut choice = Choice(seed);
    for number in 0..STEPS {
        let (length, items) = (text.value().unwrap().chars().count(), list.len().unwrap());
        let (step, place) = (choice.below(8), choice.below(1000));
        let item = json!(format!("r{number}"));
        let at = |bound: usize| i64::try_from(place % bound).unwrap();
        match step {
            0 | 1 => drop(text.insert(place % (length + 1), "😀r")),
            2 if length > 0 => drop(text.delete(place % length, 1)),
            3 => drop(list.insert(at(items + 1), &item)),
            4 if items > 0 => drop(list.pop(at(items))),
            5 if items > 0 => drop(list.move_item(at(items), i64::try_from((place >> 3) % items).unwrap())),
            6 => drop(dict.put(&format!("k{}", place % 5), &item)),
            _ => drop(sum.add(at(9))),
        }
        if number % 7 == 0 {
            time().await;
        }
        if number % 50 == 49 {
            room.undo();
        }
    }
    while room.unsaved() > 0 {
        time().await;
    }
    ended.add(1).await.unwrap();
    while ended.confirmed() != Some(3) {
        time().await;
    }
    json::canonical(&json!({
        "text": text.value().unwrap(), "list": list.value().unwrap(), "dict": dict.value().unwrap(), "sum": sum.value().unwrap(),
    }))
}

fn started(program: &Path, script: &str, url: &str, seed: u64) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(program)
        .arg(root.join(script))
        .args([url, &seed.to_string(), &STEPS.to_string()])
        .env("PYTHONPATH", root.join("clients/python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn three_languages_end_with_the_same_values() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = Some(root.join("target/python/bin/python")).filter(|python| python.exists());
    let python = python.unwrap_or_else(|| "python3".into());
    let has = |program: &Path, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let node = PathBuf::from("node");
    let ready = has(&node, &["--version"]) && root.join("node_modules/ws").is_dir();
    if !ready || !has(&python, &["-c", "import websockets"]) {
        assert!(std::env::var_os("CI").is_none(), "CI needs node, `npm ci` and Python with websockets");
        println!("left out: the soak of three languages needs node, `npm ci` and Python with websockets");
        return;
    }
    for seed in [1, 2, 3] {
        let server = TestServer::default();
        let url = format!("ws://{}", server.address);
        let javascript = started(&node, "clients/javascript/test/soak.mjs", &url, seed * 10 + 1);
        let python = started(&python, "clients/python/tests/soak.py", &url, seed * 10 + 2);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let rust = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), soak(&url, seed * 10)).await })
            .expect("the three come to an end");
        assert_eq!(ended(javascript), rust, "seed {seed}: JavaScript and Rust");
        assert_eq!(ended(python), rust, "seed {seed}: Python and Rust");
        println!("seed {seed}: three clients, {STEPS} steps each, {} bytes of the same values", rust.len());
    }
}
