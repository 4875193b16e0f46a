//! The load of `benches/peers`: the same closed loops for ChatRoom and for its peers, over plain sockets
//! and one thread. `bench_peers SYSTEM ADDRESS WORKLOAD SECONDS [PID]` prints a line of JSON;
//! `bench_peers floor-server` is the machine's own limit: bare frames, written as they come.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    reason = "a benchmark reads the clock, and its protocols are written out"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncRead as _, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::LocalSet;

type Failed = Box<dyn std::error::Error>;

const PAYLOAD: usize = 100;
const FLOOR_FRAME: usize = 104;

/// Whom the load is for; each is spoken to in its own protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    ChatRoom,
    /// A WebSocket server that hands on what it gets to all of a topic: uWebSockets or ws.
    Relay,
    SocketIo,
    Nats,
    Redis,
    Floor,
}

impl System {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "chatroom" => Self::ChatRoom,
            "uwebsockets" | "ws" => Self::Relay,
            "socketio" => Self::SocketIo,
            "nats" => Self::Nats,
            "redis" => Self::Redis,
            "floor" => Self::Floor,
            _ => return None,
        })
    }

    fn speaks_websocket(self) -> bool {
        !matches!(self, Self::Redis | Self::Floor)
    }

    fn path(self, room: &str) -> String {
        match self {
            Self::ChatRoom => format!("/rooms/{room}"),
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket".into(),
            _ => "/".into(),
        }
    }

    /// What a client says when it has connected, and how many messages have to answer each before the next.
    fn greets(self, topic: Option<&str>) -> Vec<(String, usize)> {
        let chatroom = |kind: &str| format!(r#"{{"type":"{kind}","content":{{"topic_name":"bench","type":"dict"}}}}"#);
        match (self, topic) {
            (Self::ChatRoom, Some(_)) => {
                vec![(r#"{"type":"hello","content":{}}"#.into(), 1), (chatroom("subscribe"), 1)]
            }
            (Self::ChatRoom, None) => vec![(r#"{"type":"hello","content":{}}"#.into(), 1)],
            (Self::Relay, Some(topic)) => vec![(format!("S{topic}"), 1)],
            (Self::SocketIo, Some(topic)) => vec![("40".into(), 2), (format!(r#"42["sub","{topic}"]"#), 1)],
            (Self::SocketIo, None) => vec![("40".into(), 2)],
            (Self::Nats, topic) => {
                let hello = r#"CONNECT {"verbose":false,"pedantic":false,"echo":true,"protocol":1}"#;
                let subscribe = topic.map(|topic| format!("SUB {topic} 1\r\n")).unwrap_or_default();
                vec![(format!("{hello}\r\n{subscribe}PING\r\n"), 2)]
            }
            (Self::Redis, Some(topic)) => vec![(resp(&["SUBSCRIBE", topic]), 1)],
            (Self::Redis | Self::Relay, None) => vec![],
            (Self::Floor, topic) => vec![(if topic.is_some() { "S" } else { "P" }.into(), 0)],
        }
    }

    /// Appends what publishes a value.
    fn put(self, out: &mut Vec<u8>, topic: &str, key: u64, serial: u64) {
        let value = format!("{serial:0>PAYLOAD$}");
        match self {
            Self::ChatRoom => put_frame(
                out,
                1,
                format!(
                    r#"{{"type":"update","content":{{"topic_name":"bench","change":{{"type":"put","id":{serial},"key":"k{}","value":"{value}"}}}}}}"#,
                    key % 10_000
                )
                .as_bytes(),
            ),
            Self::Relay => put_frame(out, 1, format!("P{topic} {value}").as_bytes()),
            Self::SocketIo => put_frame(out, 1, format!(r#"42["pub","{topic}","{value}"]"#).as_bytes()),
            Self::Nats => put_frame(out, 2, format!("PUB {topic} {PAYLOAD}\r\n{value}\r\n").as_bytes()),
            Self::Redis => out.extend_from_slice(resp(&["PUBLISH", topic, &value]).as_bytes()),
            Self::Floor => out.push(b'x'),
        }
    }

    /// Whether a message is a value that somebody published.
    fn delivers(self, message: &[u8]) -> bool {
        match self {
            Self::ChatRoom => message.starts_with(br#"{"type":"update""#),
            Self::Relay => message.first() == Some(&b'P'),
            Self::SocketIo => message.starts_with(b"42"),
            Self::Nats => message.starts_with(b"MSG "),
            Self::Redis => message.starts_with(b"*3\r\n$7\r\nmessage\r\n"),
            Self::Floor => true,
        }
    }

    /// Whether the author gets what it published back; otherwise an answer says that it was taken.
    fn echoes(self) -> bool {
        self != Self::ChatRoom
    }

    fn accepts(self, message: &[u8]) -> bool {
        match self {
            Self::ChatRoom => message.starts_with(br#"{"type":"accepted""#),
            _ => self.delivers(message),
        }
    }
}

fn resp(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text
}

/// A client's frame whose mask is zero.
fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match u8::try_from(payload.len()) {
        Ok(small) if small < 126 => out.push(0x80 | small),
        _ => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Cuts what a server sends into messages.
struct Cutter {
    system: System,
    rest: Vec<u8>,
}

impl Cutter {
    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        let joined;
        let all = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            &joined[..]
        };
        let mut used = 0;
        while let Some((from, to)) = self.next(&all[used..]) {
            let message = &all[used + from..used + to];
            match self.system {
                // A frame of NATS may hold several of its messages.
                System::Nats => cut_nats(message, each),
                _ => each(message),
            }
            used += to;
        }
        if used < all.len() {
            self.rest = all[used..].to_vec();
        }
    }

    /// Where the first whole message lies.
    fn next(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        match self.system {
            System::Floor => (bytes.len() >= FLOOR_FRAME).then_some((0, FLOOR_FRAME)),
            System::Redis => resp_end(bytes).map(|end| (0, end)),
            _ => {
                let (header, length) = match *bytes.get(1)? {
                    126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
                    127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
                    small => (2, usize::from(small)),
                };
                (bytes.len() >= header + length).then_some((header, header + length))
            }
        }
    }
}

fn resp_end(bytes: &[u8]) -> Option<usize> {
    let line = |from: usize| bytes.get(from..)?.windows(2).position(|two| two == b"\r\n").map(|at| from + at + 2);
    let end = line(0)?;
    let number = |from: usize, to: usize| std::str::from_utf8(&bytes[from..to]).ok()?.trim().parse::<usize>().ok();
    match bytes[0] {
        b'$' => Some(end + number(1, end)? + 2).filter(|end| bytes.len() >= *end),
        b'*' => {
            let mut at = end;
            for _ in 0..number(1, end)? {
                at += resp_end(bytes.get(at..)?)?;
            }
            Some(at)
        }
        _ => Some(end),
    }
}

fn cut_nats(mut bytes: &[u8], each: &mut impl FnMut(&[u8])) {
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n").map(|at| at + 2) {
        let line = &bytes[..end];
        let mut size = end;
        if line.starts_with(b"MSG ") {
            let length = std::str::from_utf8(line).ok().and_then(|line| line.trim().rsplit(' ').next()?.parse().ok());
            size += length.unwrap_or(0) + 2;
        }
        each(bytes.get(..size).unwrap_or(bytes));
        bytes = bytes.get(size..).unwrap_or_default();
    }
}

struct Line {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    cutter: Cutter,
}

impl Line {
    async fn open(system: System, address: &str, room: &str, topic: Option<&str>) -> Result<Self, Failed> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if system.speaks_websocket() {
            let protocol = if system == System::ChatRoom { "Sec-WebSocket-Protocol: chatroom.v1.json\r\n" } else { "" };
            let head = format!(
                "GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n",
                system.path(room)
            );
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await?);
            }
            if !answer.starts_with(b"HTTP/1.1 101") {
                return Err(String::from_utf8_lossy(&answer).into_owned().into());
            }
        }
        let (reader, writer) = stream.into_split();
        let mut line = Self { reader, writer, cutter: Cutter { system, rest: Vec::new() } };
        for (text, mut answers) in system.greets(topic) {
            let mut out = Vec::new();
            match system {
                System::Redis | System::Floor => out.extend_from_slice(text.as_bytes()),
                System::Nats => put_frame(&mut out, 2, text.as_bytes()),
                _ => put_frame(&mut out, 1, text.as_bytes()),
            }
            line.writer.write_all(&out).await?;
            while answers > 0 {
                line.read(|_| answers = answers.saturating_sub(1)).await?;
            }
        }
        Ok(line)
    }

    async fn read(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), Failed> {
        match read(&mut self.reader, |bytes| self.cutter.take(bytes, &mut each)).await? {
            0 => Err("the server ended a connection".into()),
            _ => Ok(()),
        }
    }
}

/// Reads what is there by way of the stack, where the room for it stays in the processor's cache.
async fn read(reader: &mut OwnedReadHalf, mut take: impl FnMut(&[u8])) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; 64 << 10];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *reader).poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

#[derive(Default)]
struct Tally {
    operations: Cell<u64>,
    deliveries: Cell<u64>,
    took: RefCell<Vec<u32>>,
    counting: Cell<bool>,
}

impl Tally {
    fn done(&self, sent: Instant) {
        if self.counting.get() {
            self.operations.set(self.operations.get() + 1);
            self.took.borrow_mut().push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }

    fn delivered(&self) {
        self.deliveries.set(self.deliveries.get() + u64::from(self.counting.get()));
    }
}

/// One topic with subscribers who do not publish, and one publisher with so many under way.
struct FanOut {
    tally: Rc<Tally>,
    under_way: RefCell<VecDeque<(usize, Instant)>>,
    first: Cell<u64>,
    freed: tokio::sync::Notify,
}

async fn fan_out(
    system: System,
    address: &str,
    subscribers: usize,
    window: usize,
    tally: &Rc<Tally>,
) -> Result<(), Failed> {
    let shared = Rc::new(FanOut {
        tally: tally.clone(),
        under_way: RefCell::default(),
        first: Cell::new(0),
        freed: tokio::sync::Notify::new(),
    });
    for _ in 0..subscribers {
        let mut line = Line::open(system, address, "bench", Some("bench")).await?;
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            let mut next = 0;
            loop {
                let read = line.read(|message| {
                    if !system.delivers(message) {
                        return;
                    }
                    let mut under_way = shared.under_way.borrow_mut();
                    let place = (next - shared.first.get()) as usize;
                    next += 1;
                    shared.tally.delivered();
                    under_way[place].0 -= 1;
                    while under_way.front().is_some_and(|(missing, _)| *missing == 0) {
                        let sent = under_way.pop_front().map(|(_, sent)| sent);
                        shared.first.set(shared.first.get() + 1);
                        sent.into_iter().for_each(|sent| shared.tally.done(sent));
                        shared.freed.notify_one();
                    }
                });
                read.await.expect("the server goes on");
            }
        });
    }
    let publisher = Line::open(system, address, "bench", None).await?;
    let (mut reader, mut writer) = (publisher.reader, publisher.writer);
    // What it is answered is of no interest, but has to be read.
    tokio::task::spawn_local(async move { while read(&mut reader, |_| {}).await.is_ok_and(|count| count > 0) {} });
    tokio::task::spawn_local(async move {
        let (mut out, mut serial) = (Vec::new(), 0);
        loop {
            out.clear();
            while shared.under_way.borrow().len() < window {
                serial += 1;
                system.put(&mut out, "bench", 0, serial);
                shared.under_way.borrow_mut().push_back((subscribers, Instant::now()));
            }
            writer.write_all(&out).await.expect("the server goes on");
            shared.freed.notified().await;
        }
    });
    Ok(())
}

/// Groups whose members publish in turn: the next when all others have the one before.
async fn groups(system: System, address: &str, count: usize, size: usize, tally: &Rc<Tally>) -> Result<(), Failed> {
    let begins = Rc::new(tokio::sync::Notify::new());
    for group in 0..count {
        let name = format!("g{group}");
        let mut writers = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..size {
            let line = Line::open(system, address, &name, Some(&name)).await?;
            readers.push((line.reader, line.cutter));
            writers.push(line.writer);
        }
        if system == System::Redis {
            // A connection that subscribes cannot publish there.
            let line = Line::open(system, address, &name, None).await?;
            let mut reader = line.reader;
            tokio::task::spawn_local(
                async move { while read(&mut reader, |_| {}).await.is_ok_and(|count| count > 0) {} },
            );
            // They stay open.
            writers.drain(..).for_each(std::mem::forget);
            writers.push(line.writer);
        }
        // An author that is told of its own counts too: the next goes out when everything has come.
        let expected = if system.echoes() { size } else { size - 1 };
        let left = Rc::new(Cell::new(0usize));
        let next = Rc::new(tokio::sync::Notify::new());
        for (mut reader, mut cutter) in readers {
            let (left, next, tally) = (left.clone(), next.clone(), tally.clone());
            tokio::task::spawn_local(async move {
                let mut each = |message: &[u8]| {
                    if system.delivers(message) {
                        tally.delivered();
                        left.set(left.get() - 1);
                        if left.get() == 0 {
                            next.notify_one();
                        }
                    }
                };
                while let Ok(1..) = read(&mut reader, |bytes| cutter.take(bytes, &mut each)).await {}
            });
        }
        let (tally, begins) = (tally.clone(), begins.clone());
        tokio::task::spawn_local(async move {
            let mut out = Vec::new();
            begins.notified().await;
            for serial in 1.. {
                out.clear();
                system.put(&mut out, &name, 0, serial);
                left.set(expected);
                let (sent, place) = (Instant::now(), serial as usize % writers.len());
                writers[place].write_all(&out).await.expect("the server goes on");
                next.notified().await;
                tally.done(sent);
            }
        });
    }
    // Nobody begins before all are there.
    tokio::task::yield_now().await;
    begins.notify_waiters();
    Ok(())
}

/// Subscribers of one topic who all write, each its next change when the last was taken.
async fn writers(system: System, address: &str, count: usize, tally: &Rc<Tally>) -> Result<(), Failed> {
    let lines: Vec<_> = {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(Line::open(system, address, "bench", Some("bench")).await?);
        }
        lines
    };
    if system == System::ChatRoom {
        fill(system, address).await?;
    }
    for (index, mut line) in lines.into_iter().enumerate() {
        let tally = tally.clone();
        if system == System::Redis {
            // A connection that subscribes cannot publish there.
            let other = Line::open(system, address, "bench", None).await?;
            std::mem::forget(std::mem::replace(&mut line.writer, other.writer));
            let mut reader = other.reader;
            tokio::task::spawn_local(
                async move { while read(&mut reader, |_| {}).await.is_ok_and(|count| count > 0) {} },
            );
        }
        tokio::task::spawn_local(async move {
            let mut out = Vec::new();
            for turn in 0u64.. {
                let serial = turn * count as u64 + index as u64;
                out.clear();
                system.put(&mut out, "bench", serial, serial);
                let sent = Instant::now();
                line.writer.write_all(&out).await.expect("the server goes on");
                let mark = format!("{serial:0>PAYLOAD$}");
                let mut taken = false;
                while !taken {
                    let read = line.read(|message| {
                        if system.delivers(message) {
                            tally.delivered();
                        }
                        // Of those that come back, the own one is meant.
                        taken |= system.accepts(message)
                            && (!system.echoes() || message.windows(PAYLOAD).any(|found| found == mark.as_bytes()));
                    });
                    read.await.expect("the server goes on");
                }
                tally.done(sent);
            }
        });
    }
    Ok(())
}

/// Puts 10,000 keys into the topic.
async fn fill(system: System, address: &str) -> Result<(), Failed> {
    let mut line = Line::open(system, address, "bench", None).await?;
    let mut taken = 0;
    for batch in 0..100u64 {
        let mut out = Vec::new();
        (0..100).for_each(|key| system.put(&mut out, "bench", batch * 100 + key, batch * 100 + key));
        line.writer.write_all(&out).await?;
        while taken < (batch + 1) * 100 {
            line.read(|message| taken += u64::from(system.accepts(message))).await?;
        }
    }
    Ok(())
}

/// Subscribers get every byte of the publisher as a frame, as many in a write as came in a read.
fn floor_server() -> Result<(), Failed> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let mut subscribers = Vec::new();
    let mut publisher = loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        match kind {
            [b'S'] => subscribers.push(stream),
            _ => break stream,
        }
    };
    let frames = vec![b'x'; FLOOR_FRAME * 64];
    let mut asked = [0; 64];
    loop {
        let count = publisher.read(&mut asked)?;
        if count == 0 {
            return Ok(());
        }
        for subscriber in &mut subscribers {
            subscriber.write_all(&frames[..FLOOR_FRAME * count])?;
        }
    }
}

/// Seconds of processor time that a process has used.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "floor-server") {
        return floor_server();
    }
    let [name, address, workload, seconds, pid] = words.as_slice() else {
        return Err("which system, where, which workload, how long, which process?".into());
    };
    let system = System::named(name).ok_or("no such system")?;
    let time = Duration::from_secs(seconds.parse()?);
    let tally = Rc::new(Tally::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut cpu, mut own) = (0.0, 0.0);
    LocalSet::new().block_on(&runtime, async {
        match workload.as_str() {
            "fan-out-1" => fan_out(system, address, 1_000, 1, &tally).await?,
            "fan-out-32" => fan_out(system, address, 1_000, 32, &tally).await?,
            "rooms" => groups(system, address, 500, 4, &tally).await?,
            "writers" => writers(system, address, 10, &tally).await?,
            other => return Err(format!("no workload {other}").into()),
        }
        tokio::time::sleep(time / 4).await;
        tally.counting.set(true);
        let me = std::process::id().to_string();
        let before = (cpu_seconds(pid), cpu_seconds(&me));
        tokio::time::sleep(time).await;
        tally.counting.set(false);
        (cpu, own) = (cpu_seconds(pid) - before.0, cpu_seconds(&me) - before.1);
        Ok::<(), Failed>(())
    })?;
    let mut took = tally.took.borrow_mut();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1_000).copied().map_or(0.0, f64::from) / 1_000.0;
    let seconds = time.as_secs_f64();
    let line = json!({
        "operations_per_s": tally.operations.get() as f64 / seconds,
        "deliveries_per_s": tally.deliveries.get() as f64 / seconds,
        "p50": at(500),
        "p99": at(990),
        "server_core": cpu / seconds,
        "generator_core": own / seconds,
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
