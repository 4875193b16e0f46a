//! What people really typed, through real clients and a real server, to the text they ended with.
//!
//! The traces are those of `josephg/editing-traces` (CC BY 4.0). They stay outside the repository:
//! `CHATROOM_TRACES` names their folder, else `../shared/traces` beside it is taken. Where neither is,
//! the tests say so and try nothing; a folder that was named and is not there is a failure.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;

use chatroom_client::{Cause, Changes, Client, Component, Text};
use chatroom_testkit::TestServer;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::io::duplex;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::link::{client, until};

const V1: &str = "chatroom.v1.json";

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "startContent", default)]
    start: String,
    #[serde(rename = "endContent")]
    end: String,
    #[serde(rename = "numAgents", default = "one")]
    agents: usize,
    txns: Vec<Txn>,
}

#[derive(Deserialize)]
struct Txn {
    #[serde(default)]
    parents: Vec<usize>,
    #[serde(default)]
    agent: usize,
    patches: Vec<(usize, usize, String)>,
}

fn one() -> usize {
    1
}

/// A trace by its name; `None`, said loudly, where there are no traces.
fn trace(name: &str) -> Option<Trace> {
    let named = std::env::var_os("CHATROOM_TRACES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let file = named.clone().unwrap_or(beside).join(name).with_extension("json.gz");
    if !file.exists() {
        assert!(named.is_none(), "there is no {}", file.display());
        println!("NOTHING WAS TRIED: there is no {}; CHATROOM_TRACES names the folder", file.display());
        return None;
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
    assert!(unpacked.status.success());
    Some(serde_json::from_slice(&unpacked.stdout).unwrap())
}

impl Txn {
    /// Its patches as edits, each on what those before it left.
    fn edits(&self) -> Vec<Vec<Component>> {
        let edit = |(position, deleted, inserted): &(usize, usize, String)| {
            let mut components = vec![Component::Retain(*position)];
            if !inserted.is_empty() {
                components.push(Component::Insert(inserted.clone()));
            }
            components.push(Component::Delete(*deleted));
            components
        };
        self.patches.iter().map(edit).collect()
    }
}

fn write(room: &Client, text: &chatroom_client::Topic<Text>, txn: &Txn) {
    let edits = txn.edits();
    // Nobody awaits it: a refusal would show in the text.
    let _action = room.action("type", |tx| {
        let mut text = tx.on(text);
        for edit in &edits {
            text.edit(edit);
        }
    });
}

/// So many transactions of a long trace are tried in a build without optimisation.
const IN_DEBUG: usize = 30_000;

/// What transactions make of a text, one splice after the other.
fn written(start: &str, txns: &[Txn]) -> String {
    let mut text: Vec<char> = start.chars().collect();
    for (position, deleted, inserted) in txns.iter().flat_map(|txn| &txn.patches) {
        text.splice(*position..position + deleted, inserted.chars());
    }
    text.into_iter().collect()
}

/// One author, whose client sends as it sees fit; a second client follows.
async fn by_one_author(name: &str) {
    let Some(trace) = trace(name) else { return };
    let server = TestServer::default();
    let (author, reader) = (client(&server).await, client(&server).await);
    let (text, seen) = (author.topic::<Text>("text").unwrap(), reader.topic::<Text>("text").unwrap());
    text.loaded().await.unwrap();
    seen.loaded().await.unwrap();
    if !trace.start.is_empty() {
        text.set(&trace.start).await.unwrap();
    }
    let (mut txns, mut end) = (trace.txns.as_slice(), trace.end.clone());
    // Without optimisation the whole of a long one takes minutes: its beginning is tried.
    if cfg!(debug_assertions) && txns.len() > IN_DEBUG {
        txns = &txns[..IN_DEBUG];
        end = written(&trace.start, txns);
    }
    let began = Instant::now();
    for (number, txn) in txns.iter().enumerate() {
        write(&author, &text, txn);
        if number % 1_000 == 999 {
            until("room for more", || author.unsaved() < 8_000).await;
        }
    }
    assert!(text.value().unwrap() == end, "{name}: the author sees another text");
    until("all is saved", || author.unsaved() == 0).await;
    until("the reader has it all", || seen.snapshot() == text.snapshot()).await;
    assert!(text.confirmed().unwrap() == end && seen.value().unwrap() == end, "{name}: another text");
    assert_eq!((author.gaps(), reader.gaps()), (0, 0));
    println!("{name}: {} of {} transactions by one author in {:?}", txns.len(), trace.txns.len(), began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn automerge_paper() {
    by_one_author("automerge-paper").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_crdt_patch() {
    by_one_author("json-crdt-patch").await;
}

/// A line on which each message waits until the test lets it pass.
struct Gate {
    from_client: mpsc::UnboundedReceiver<String>,
    to_client: mpsc::UnboundedSender<String>,
    from_server: mpsc::UnboundedReceiver<String>,
    to_server: mpsc::UnboundedSender<String>,
}

impl Gate {
    /// A client whose messages go through a gate.
    async fn client(server: &TestServer) -> (Client, Self) {
        let (up, from_client) = mpsc::unbounded_channel();
        let (to_client, down) = mpsc::unbounded_channel();
        let (received, from_server) = mpsc::unbounded_channel();
        let (to_server, sending) = mpsc::unbounded_channel();
        let address = server.address;
        let ends = std::sync::Mutex::new(Some((up, down, received, sending)));
        let room = Client::builder_with(move || {
            let ends = ends.lock().unwrap().take();
            async move {
                let Some((up, down, received, sending)) = ends else {
                    return Err(std::io::Error::other("the line is used up"));
                };
                let (near, far) = duplex(1 << 20);
                tokio::spawn(async move {
                    #[expect(clippy::result_large_err, reason = "the shape that the library asks for")]
                    let protocol = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                        response.headers_mut().insert("Sec-WebSocket-Protocol", V1.parse().unwrap());
                        Ok(response)
                    };
                    let socket = tokio_tungstenite::accept_hdr_async(far, protocol).await.unwrap();
                    pass(socket, up, down).await;
                });
                let stream = TcpStream::connect(address).await?;
                let mut request = format!("ws://{address}/").into_client_request().unwrap();
                request.headers_mut().insert("Sec-WebSocket-Protocol", V1.parse().unwrap());
                let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
                tokio::spawn(pass(socket, received, sending));
                Ok(near)
            }
        })
        .pipelined(true)
        .start()
        .unwrap();
        (room, Self { from_client, to_client, from_server, to_server })
    }

    /// Lets everything pass until a condition holds.
    async fn open_until(&mut self, condition: impl Fn() -> bool) {
        while !condition() {
            tokio::select! {
                Some(text) = self.from_client.recv() => self.to_server.send(text).unwrap(),
                Some(text) = self.from_server.recv() => self.to_client.send(text).unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// The client's next push goes to the server.
    async fn push(&mut self) {
        loop {
            let text = self.from_client.recv().await.unwrap();
            let is_push = text.starts_with(r#"{"type":"push""#);
            self.to_server.send(text).unwrap();
            if is_push {
                return;
            }
        }
    }
}

/// Moves text between a socket and two queues.
async fn pass<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    socket: tokio_tungstenite::WebSocketStream<S>,
    out: mpsc::UnboundedSender<String>,
    mut coming: mpsc::UnboundedReceiver<String>,
) {
    let (mut writer, mut reader) = socket.split();
    loop {
        tokio::select! {
            message = reader.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if out.send(text.as_str().to_owned()).is_err() { return }
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            text = coming.recv() => match text {
                Some(text) => if writer.send(Message::text(text)).await.is_err() { return },
                None => return,
            },
        }
    }
}

/// An author of a concurrent trace.
struct Author {
    room: Client,
    text: chatroom_client::Topic<Text>,
    changes: Changes<Text>,
    gate: Gate,
    /// What the server said and the client has not heard yet; true for others' commits.
    waiting: VecDeque<(String, bool)>,
    /// How many commits of others the client has heard.
    heard: usize,
    written: usize,
}

impl Author {
    /// Takes what the server has said, until so many commits have been told of.
    async fn listen(&mut self, commits: usize, told: &mut usize) {
        while *told < commits {
            let text = self.gate.from_server.recv().await.unwrap();
            let of_others = text.starts_with(r#"{"type":"update""#) || text.starts_with(r#"{"type":"action""#);
            *told += usize::from(of_others || text.starts_with(r#"{"type":"accepted""#));
            assert!(!text.starts_with(r#"{"type":"reject"#), "{text}");
            self.waiting.push_back((text, of_others));
        }
    }

    /// Lets the client hear of so many commits of others, and of its own among them.
    async fn hear(&mut self, of_others: usize) {
        while self.heard < of_others {
            let (text, is_others) = self.waiting.pop_front().expect("it was committed before");
            self.gate.to_client.send(text).unwrap();
            if is_others {
                self.heard += 1;
                while self.changes.next().await.unwrap().meta().cause != Cause::Remote {}
            }
        }
    }
}

/// Two authors whose clients know of each other exactly what the trace says they knew: the server takes
/// the transactions in their order, and each client hears of the other's as late as its author did.
async fn by_two_authors(name: &str) {
    let Some(trace) = trace(name) else { return };
    assert_eq!(trace.agents, 2, "{name}");
    let server = TestServer::default();
    let mut authors = Vec::new();
    for _ in 0..trace.agents {
        let (room, mut gate) = Gate::client(&server).await;
        let text = room.topic::<Text>("text").unwrap();
        gate.open_until(|| text.snapshot().is_some()).await;
        let mut changes = text.changes();
        changes.next().await.unwrap();
        authors.push((Author { room, text, changes, gate, waiting: VecDeque::new(), heard: 0, written: 0 }, 0));
    }
    let began = Instant::now();
    // How many transactions of each author each transaction knows of.
    let mut known: Vec<[usize; 2]> = Vec::with_capacity(trace.txns.len());
    for (number, txn) in trace.txns.iter().enumerate() {
        let mut knows = [0, 0];
        for parent in &txn.parents {
            knows = [knows[0].max(known[*parent][0]), knows[1].max(known[*parent][1])];
        }
        let (author, told) = &mut authors[txn.agent];
        assert_eq!(knows[txn.agent], author.written, "an author knows what it wrote");
        author.hear(knows[1 - txn.agent]).await;
        write(&author.room, &author.text, txn);
        author.written += 1;
        author.gate.push().await;
        let _ = told;
        for (author, told) in &mut authors {
            author.listen(number + 1, told).await;
        }
        knows[txn.agent] += 1;
        known.push(knows);
    }
    for (author, _) in &mut authors {
        let all = author.waiting.iter().filter(|(_, of_others)| *of_others).count() + author.heard;
        author.hear(all).await;
        for (text, _) in author.waiting.drain(..) {
            author.gate.to_client.send(text).unwrap();
        }
        until("all is saved", || author.room.unsaved() == 0).await;
        assert!(author.text.value().unwrap() == trace.end, "{name}: another text than was published");
        assert_eq!(author.room.gaps(), 0);
    }
    println!("{name}: {} transactions by two authors in {:?}", trace.txns.len(), began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friendsforever() {
    by_two_authors("friendsforever").await;
}
