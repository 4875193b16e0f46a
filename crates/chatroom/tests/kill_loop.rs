//! The server is killed again and again while clients work. Afterwards every action that was
//! acknowledged is in the journal once, every other one at most once, each client's in their order, and
//! all replicas are what the journal says.
//!
//! `CHATROOM_KILLS` sets the rounds (20), `CHATROOM_SEED` the choices.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, and says what it ran")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chatroom_client::{Backoff, Client, Code, Dict, Int, List, Rejected, Text};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const CLIENTS: usize = 50;
/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Seed(u64);

impl Seed {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path, address: &str) -> Self {
        let config = folder.join("limits.toml");
        // A line that is dead is noticed soon, and many rounds fill long topics.
        let limits =
            "[limits]\nheartbeat_ms = 400\nitems = 10000000\ntext_scalars = 100000000\nvalue_bytes = 1000000000\n";
        std::fs::write(&config, limits).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatroom"))
            .args(["serve", "--listen", address, "--keep", "1000000,1GiB"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--config")
            .arg(&config)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { child, address }
    }

    /// Asks it to end, as an operator does, and waits until it has.
    fn stop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "it ends with {ended}");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Accepted,
    Refused,
}

#[derive(Default)]
struct Tally {
    made: AtomicU64,
    accepted: AtomicU64,
    stopping: AtomicBool,
    /// Each action's mark and outcome.
    outcomes: Mutex<BTreeMap<String, Became>>,
}

/// One client's work: a dict's keys, a list's end and a text's, or several topics at once.
async fn work(room: Client, index: usize, tally: Arc<Tally>) -> Client {
    let (log, order) = (room.topic::<Dict<String>>("log").unwrap(), room.topic::<List<String>>("order").unwrap());
    let (sum, text) = (room.topic::<Int>("sum").unwrap(), room.topic::<Text>("text").unwrap());
    log.loaded().await.unwrap();
    order.loaded().await.unwrap();
    text.loaded().await.unwrap();
    sum.loaded().await.unwrap();
    let mut number = 0;
    while !tally.stopping.load(Ordering::Relaxed) {
        let mut actions = Vec::new();
        for _ in 0..4 {
            number += 1;
            let mark = format!("{index}:{number};");
            let action = match index % 3 {
                0 => log.put(&mark, &mark),
                1 => order.push(&mark),
                _ => {
                    let end = text.value().map_or(0, |text| text.chars().count());
                    room.action("all", |tx| {
                        tx.on(&log).put(&mark, &mark);
                        tx.on(&sum).add(1);
                        tx.on(&text).insert(end, &mark);
                    })
                }
            };
            tally.made.fetch_add(1, Ordering::Relaxed);
            actions.push((mark, action));
        }
        for (mark, action) in actions {
            let became = match action.await {
                Ok(_) => Became::Accepted,
                Err(rejected) => {
                    check_refusal(&rejected);
                    Became::Refused
                }
            };
            tally.outcomes.lock().unwrap().insert(mark, became);
            if became == Became::Accepted {
                tally.accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    room
}

/// A client that comes back as somebody else is told so; nothing else may be refused.
fn check_refusal(rejected: &Rejected) {
    let known = [Code::ConnectionLost, Code::StaleBase];
    assert!(known.iter().any(|code| rejected.code == *code), "{rejected}");
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

/// How a line misbehaves.
#[derive(Clone, Copy, Debug)]
enum Line {
    Good,
    Slow(Duration),
    /// Cut after so many bytes.
    Cut(u64),
    /// Nothing comes back any more after so many bytes.
    HalfOpen(u64),
    /// Nothing passes any more after so many bytes.
    BlackHole(u64),
}

/// Lines to a server, each of which may misbehave.
async fn proxy(target: watch::Receiver<SocketAddr>, mut seed: Seed, good: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let bytes = 2_000 + seed.below(60_000);
            let line = match seed.below(8) {
                _ if good.load(Ordering::Relaxed) => Line::Good,
                0 | 1 => Line::Good,
                2 => Line::Slow(Duration::from_millis(1 + seed.below(20))),
                3..=5 => Line::Cut(bytes),
                6 => Line::HalfOpen(bytes),
                _ => Line::BlackHole(bytes),
            };
            let target = *target.borrow();
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(target).await else { return };
                carry(near, far, line).await;
            });
        }
    });
    address
}

async fn carry(near: TcpStream, far: TcpStream, line: Line) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let passed = Arc::new(AtomicU64::new(0));
    let seen = passed.clone();
    let up = async move {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = near_read.read(&mut bytes).await {
            if matches!(line, Line::BlackHole(limit) if seen.load(Ordering::Relaxed) > limit) {
                std::future::pending::<()>().await;
            }
            if far_write.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    let down = async move {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = far_read.read(&mut bytes).await {
            let all = passed.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            match line {
                Line::Cut(limit) if all > limit => break,
                Line::HalfOpen(limit) | Line::BlackHole(limit) if all > limit => std::future::pending::<()>().await,
                Line::Slow(delay) => tokio::time::sleep(delay).await,
                _ => {}
            }
            if near_write.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// What a run is made of.
struct Plan {
    rounds: u64,
    kills: bool,
    faults: bool,
}

#[expect(clippy::disallowed_methods, reason = "how soon writing resumes is measured")]
async fn run(plan: Plan) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let mut seed = Seed(number("CHATROOM_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15));
    let rounds = number("CHATROOM_KILLS").unwrap_or(plan.rounds);
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "127.0.0.1:0");
    let (target, targets) = watch::channel(server.address);
    let good = Arc::new(AtomicBool::new(!plan.faults));
    let proxy = proxy(targets, seed, good.clone()).await;
    let tally = Arc::new(Tally::default());
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let builder = Client::builder(&format!("ws://{proxy}"));
        let builder = builder.backoff(Backoff::new(Duration::from_millis(5), Duration::from_millis(100)));
        let room = builder.start().unwrap();
        clients.push(tokio::spawn(work(room, index, tally.clone())));
    }
    let mut resumed = Vec::new();
    for _ in 0..rounds {
        // Many rounds fill the topics no more than a few do.
        let wanted = tally.accepted.load(Ordering::Relaxed) + 10 + seed.below(30_000 / rounds.max(20));
        until("actions are accepted", || tally.accepted.load(Ordering::Relaxed) >= wanted).await;
        if plan.kills {
            server.kill();
            let before = tally.accepted.load(Ordering::Relaxed);
            let began = Instant::now();
            server = Server::start(folder.path(), "127.0.0.1:0");
            target.send_replace(server.address);
            until("writing resumes", || tally.accepted.load(Ordering::Relaxed) > before).await;
            resumed.push(began.elapsed());
        }
    }
    good.store(true, Ordering::Relaxed);
    tally.stopping.store(true, Ordering::Relaxed);
    let mut rooms = Vec::new();
    for client in clients {
        rooms.push(tokio::time::timeout(PATIENCE, client).await.expect("no outcome is left out").unwrap());
    }
    let replicas = replicas(&rooms).await;
    for room in rooms {
        room.close();
    }
    server.kill();
    let outcomes = tally.outcomes.lock().unwrap().clone();
    let made = tally.made.load(Ordering::Relaxed);
    assert_eq!(outcomes.len() as u64, made, "every action has one outcome");
    let accepted = outcomes.values().filter(|became| **became == Became::Accepted).count();
    check_journal(&folder.path().join("data"), &outcomes, &replicas);
    resumed.sort();
    let median = resumed.get(resumed.len() / 2);
    println!(
        "{rounds} rounds: {made} actions, {accepted} accepted, {} refused; writing resumed within {median:?} (median), {:?} (longest)",
        made - accepted as u64,
        resumed.last(),
    );
}

/// The value that all clients end with.
async fn replicas(rooms: &[Client]) -> Value {
    until("all outcomes are there", || rooms.iter().all(|room| room.unsaved() == 0)).await;
    let mut all = Vec::new();
    for room in rooms {
        let (log, order) = (room.topic::<Dict<String>>("log").unwrap(), room.topic::<List<String>>("order").unwrap());
        let (sum, text) = (room.topic::<Int>("sum").unwrap(), room.topic::<Text>("text").unwrap());
        let value = move || serde_json::json!({"log": log.value(), "order": order.value(), "sum": sum.value(), "text": text.value()});
        all.push(value);
    }
    let differs = || {
        let values: Vec<Value> = all.iter().map(|value| value()).collect();
        let keys = ["log", "order", "sum", "text"].into_iter();
        let pairs = keys.flat_map(|key| (0..values.len()).map(move |index| (key, index)));
        pairs.into_iter().find(|(key, index)| values[*index][key] != values[0][key]).map(|(key, index)| {
            let size = |index: usize| values[index][key].to_string().len();
            let (state, first) = (rooms[index].state(), rooms[0].state());
            format!(
                "{key} of client {index} ({} bytes, {state:?}) is not that of 0 ({} bytes, {first:?})",
                size(index),
                size(0)
            )
        })
    };
    let waiting = async {
        while differs().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{}", differs().unwrap_or_default());
    }
    all[0]()
}

/// Reads the journal itself.
fn check_journal(data: &Path, outcomes: &BTreeMap<String, Became>, replicas: &Value) {
    let checked = Command::new(env!("CARGO_BIN_EXE_chatroom")).arg("check").arg(data).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let output = Command::new(env!("CARGO_BIN_EXE_chatroom")).arg("export").arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut marks, mut order): (Vec<String>, Vec<String>) = Default::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let content = &line["says"]["message"]["content"];
        let changes = match content["changes"].as_array() {
            Some(parts) => parts.iter().map(|part| &part["change"]).collect(),
            None => vec![&content["change"]],
        };
        let mark = changes.iter().find_map(|change| change["key"].as_str().or_else(|| change["item"].as_str()));
        marks.extend(mark.map(str::to_owned));
        for change in changes.iter().filter(|change| change["type"] == "insert") {
            let place = usize::try_from(change["position"].as_u64().unwrap()).unwrap();
            order.insert(place, change["item"].as_str().unwrap().to_owned());
        }
        if line.get("record").is_some() {
            assert!(mark.is_some(), "a record of nothing: {line}");
        }
    }
    let kept: BTreeSet<&String> = marks.iter().collect();
    assert_eq!(kept.len(), marks.len(), "no action is kept twice");
    for (mark, became) in outcomes {
        match became {
            Became::Accepted => assert!(kept.contains(mark), "{mark} was acknowledged and is not kept"),
            // Its client does not know; it may have been kept, but not twice.
            Became::Refused => {}
        }
    }
    assert!(marks.iter().all(|mark| outcomes.contains_key(mark)), "nothing is kept that nobody made");
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for mark in &marks {
        let (client, number) = mark.trim_end_matches(';').split_once(':').unwrap();
        let number: u64 = number.parse().unwrap();
        let before = last.insert(client, number).unwrap_or_default();
        assert!(number > before, "client {client}: {number} after {before}");
    }
    let of = |class: usize| {
        marks.iter().filter(move |mark| mark.split(':').next().unwrap().parse::<usize>().unwrap() % 3 == class)
    };
    assert_eq!(order.len(), of(1).count());
    assert!(replicas["order"] == serde_json::json!(order), "the list is as the journal has it");
    assert_eq!(replicas["sum"], serde_json::json!(of(2).count()), "a part of an action never goes alone");
    let log: BTreeMap<&String, &String> = of(0).chain(of(2)).map(|mark| (mark, mark)).collect();
    assert!(replicas["log"] == serde_json::json!(log), "the dict is as the journal has it");
    let mut typed: Vec<&str> = replicas["text"].as_str().unwrap_or_default().split_inclusive(';').collect();
    typed.sort_unstable();
    let mut wanted: Vec<&str> = of(2).map(String::as_str).collect();
    wanted.sort_unstable();
    assert!(typed == wanted, "what was typed is there once, and whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load() {
    run(Plan { rounds: 20, kills: true, faults: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_lines_under_load() {
    run(Plan { rounds: 6, kills: false, faults: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_behind_bad_lines() {
    run(Plan { rounds: 8, kills: true, faults: true }).await;
}

/// A rolling restart with a thousand clients: all come back by themselves, spread over time, and every
/// action they made counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "how long it takes until all are back is measured")]
async fn restarted_under_a_thousand_clients() {
    const MANY: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "127.0.0.1:0");
    let address = server.address.to_string();
    let tally = Arc::new(Tally::default());
    let (mut rooms, mut working) = (Vec::new(), Vec::new());
    for index in 0..MANY {
        let room = Client::builder(&format!("ws://{address}")).start().unwrap();
        let (sum, tally) = (room.topic::<Int>(&format!("sum/{}", index % 50)).unwrap(), tally.clone());
        rooms.push(room);
        working.push(tokio::spawn(async move {
            while !tally.stopping.load(Ordering::Relaxed) {
                tally.made.fetch_add(1, Ordering::Relaxed);
                // Whatever happens to the server, no action is refused.
                sum.add(1).await.unwrap();
                tally.accepted.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for round in 1..=3 {
        until("all have connected", || rooms.iter().all(|room| room.connections() >= round)).await;
        let wanted = tally.accepted.load(Ordering::Relaxed) + 1_000;
        until("actions are accepted", || tally.accepted.load(Ordering::Relaxed) >= wanted).await;
        server.stop();
        server = Server::start(folder.path(), &address);
        let began = Instant::now();
        let mut back = Vec::new();
        until("all are back", || {
            let count = rooms.iter().filter(|room| room.connections() > round).count();
            back.resize(back.len().max(count), began.elapsed());
            count == MANY
        })
        .await;
        println!("round {round}: half are back after {:?}, all after {:?}", back[MANY / 2], back[MANY - 1]);
    }
    tally.stopping.store(true, Ordering::Relaxed);
    for work in working {
        tokio::time::timeout(PATIENCE, work).await.expect("no outcome is left out").unwrap();
    }
    let accepted = tally.accepted.load(Ordering::Relaxed);
    assert_eq!(accepted, tally.made.load(Ordering::Relaxed));
    let late = Client::connect(&format!("ws://{address}")).await.unwrap();
    let mut sum = 0;
    for index in 0..50 {
        sum += late.topic::<Int>(&format!("sum/{index}")).unwrap().loaded().await.unwrap();
    }
    println!("{MANY} clients, 3 restarts: {accepted} actions accepted, {sum} counted");
    assert_eq!(sum, i64::try_from(accepted).unwrap(), "each counts once");
    assert_eq!(rooms.iter().map(Client::gaps).sum::<u64>(), 0);
}
