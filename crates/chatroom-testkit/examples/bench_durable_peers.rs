//! The load of `benches/durable` on its peers: closed loops that add to one stream, over plain sockets.
//! `bench_durable_peers redis|nats ADDRESS WRITERS SECONDS BYTES` prints a line of JSON.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

type Failed = Box<dyn std::error::Error>;
type Line = BufReader<TcpStream>;

#[derive(Clone, Copy)]
enum Peer {
    Redis,
    Nats,
}

impl Peer {
    async fn connect(self, address: &str, index: usize) -> Result<Line, Failed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut line = BufReader::new(stream);
        if let Self::Nats = self {
            read_line(&mut line).await?;
            let hello = format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1,\"headers\":true}}\r\nSUB _INBOX.{index} 1\r\nPING\r\n"
            );
            line.get_mut().write_all(hello.as_bytes()).await?;
            while !read_line(&mut line).await?.starts_with("PONG") {}
        }
        Ok(line)
    }

    async fn prepare(self, line: &mut Line) -> Result<(), Failed> {
        match self {
            Self::Redis => {
                line.get_mut().write_all(b"*2\r\n$3\r\nDEL\r\n$5\r\nbench\r\n").await?;
                read_line(line).await?;
            }
            Self::Nats => {
                let stream = r#"{"name":"bench","subjects":["bench.>"],"storage":"file","num_replicas":1,"max_msgs_per_subject":-1}"#;
                request(line, "$JS.API.STREAM.CREATE.bench", 0, stream.as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// Adds one entry and waits until it is kept.
    async fn add(self, line: &mut Line, index: usize, value: &[u8]) -> Result<(), Failed> {
        match self {
            Self::Redis => {
                let mut frame =
                    format!("*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nk\r\n${}\r\n", value.len())
                        .into_bytes();
                frame.extend_from_slice(value);
                frame.extend_from_slice(b"\r\n");
                line.get_mut().write_all(&frame).await?;
                let head = read_line(line).await?;
                if !head.starts_with('$') {
                    return Err(head.into());
                }
                read_line(line).await?;
            }
            Self::Nats => {
                let answer = request(line, "bench.k", index, value).await?;
                if !answer.contains("\"seq\"") {
                    return Err(answer.into());
                }
            }
        }
        Ok(())
    }
}

async fn read_line(line: &mut Line) -> Result<String, Failed> {
    let mut text = String::new();
    if line.read_line(&mut text).await? == 0 {
        return Err("the peer ended the connection".into());
    }
    Ok(text)
}

async fn request(line: &mut Line, subject: &str, index: usize, body: &[u8]) -> Result<String, Failed> {
    let mut frame = format!("PUB {subject} _INBOX.{index} {}\r\n", body.len()).into_bytes();
    frame.extend_from_slice(body);
    frame.extend_from_slice(b"\r\n");
    line.get_mut().write_all(&frame).await?;
    loop {
        let head = read_line(line).await?;
        if head.starts_with("PING") {
            line.get_mut().write_all(b"PONG\r\n").await?;
        } else if let Some(rest) = head.strip_prefix("MSG ") {
            let length: usize = rest.trim().rsplit(' ').next().unwrap_or_default().parse()?;
            let mut body = vec![0; length + 2];
            line.read_exact(&mut body).await?;
            return Ok(String::from_utf8_lossy(&body).into_owned());
        } else if head.starts_with("-ERR") {
            return Err(head.into());
        }
    }
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, address, writers, seconds, bytes] = words.as_slice() else {
        return Err("which peer, where, how many, how long, how large?".into());
    };
    let peer = if name == "nats" { Peer::Nats } else { Peer::Redis };
    let (writers, seconds): (usize, u64) = (writers.parse()?, seconds.parse()?);
    let value = vec![b'x'; bytes.parse()?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let took = Rc::new(RefCell::new(Vec::<u64>::new()));
    LocalSet::new().block_on(&runtime, async {
        peer.prepare(&mut peer.connect(address, 0).await?).await?;
        let begins = Instant::now() + Duration::from_millis(500);
        let ends = begins + Duration::from_secs(seconds);
        let mut tasks = Vec::new();
        for index in 1..=writers {
            let mut line = peer.connect(address, index).await?;
            let (value, took) = (value.clone(), took.clone());
            tasks.push(tokio::task::spawn_local(async move {
                loop {
                    let sent = Instant::now();
                    if sent >= ends {
                        return Ok::<(), String>(());
                    }
                    peer.add(&mut line, index, &value).await.map_err(|error| error.to_string())?;
                    if sent >= begins {
                        took.borrow_mut().push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
                    }
                }
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok::<(), Failed>(())
    })?;
    let mut took = took.borrow_mut();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1_000).copied().unwrap_or_default() as f64 / 1_000.0;
    let line = json!({"operations_per_s": took.len() as f64 / seconds as f64, "p50": at(500), "p99": at(990)});
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
