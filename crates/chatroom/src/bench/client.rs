//! A v1 client that costs little: it connects, sends text and hands on what comes.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use chatroom_server::protocol::V1_JSON;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;

use super::frame::{Incoming, PONG_FRAME, put_text};
use super::problem::{Outcome, Problem};
use super::stopwatch::now_ns;

/// Read at a time. The room is on the stack, where it stays in the processor's cache for all clients.
const READ_BYTES: usize = 64 << 10;
/// The key of RFC 6455's own example and its answer. A server must not care, and no proxy is between.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// So many connections are opened side by side.
const OPENING: usize = 64;
/// How long one may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

/// What a client reads.
#[derive(Debug)]
pub(crate) struct Reader {
    half: OwnedReadHalf,
    incoming: Incoming,
}

/// Where a client writes.
#[derive(Debug)]
pub(crate) struct Writer {
    half: OwnedWriteHalf,
}

/// Which room a client enters and how it begins there.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// The room's name.
    pub(crate) room: String,
    /// What it sends after its hello.
    pub(crate) first: Vec<String>,
    /// How the one answer to that begins, or to the hello if there is none.
    pub(crate) answer: &'static str,
}

impl Reader {
    /// Waits for bytes, hands on each message in them with the time it was read at, and says how
    /// many pings came.
    pub(crate) async fn read(&mut self, mut each: impl FnMut(&[u8], u64) -> Outcome<()>) -> Outcome<usize> {
        poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.half).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(Problem::new("the server ended a connection")));
            }
            let now = now_ns();
            Poll::Ready(self.incoming.take(buffer.filled(), |message| each(message, now)))
        })
        .await
    }
}

impl Writer {
    /// Writes whole frames.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> Outcome<()> {
        Ok(self.half.write_all(frames).await?)
    }
}

impl Client {
    /// [`Reader::read`] that answers pings.
    pub(crate) async fn read(&mut self, each: impl FnMut(&[u8], u64) -> Outcome<()>) -> Outcome<()> {
        for _ in 0..self.reader.read(each).await? {
            self.writer.write(&PONG_FRAME).await?;
        }
        Ok(())
    }

    /// Connects, says hello and takes its seat.
    async fn connect(address: SocketAddr, seat: &Seat) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /rooms/{} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: {V1_JSON}\r\n\r\n",
            seat.room
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(512);
        // The server of this dialect speaks second, so nothing can follow its head.
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(Problem::new(format!("no upgrade: {}", String::from_utf8_lossy(&head))));
            }
        }
        let head = String::from_utf8_lossy(&head);
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
            return Err(Problem::new(format!("no upgrade: {head}")));
        }
        let (reader, half) = stream.into_split();
        let mut client =
            Self { reader: Reader { half: reader, incoming: Incoming::default() }, writer: Writer { half } };
        let mut hello = Vec::new();
        put_text(&mut hello, r#"{"type":"hello","content":{}}"#);
        seat.first.iter().for_each(|message| put_text(&mut hello, message));
        client.writer.write(&hello).await?;
        let mut seated = false;
        while !seated {
            client
                .read(|message, _| {
                    seated |= message.starts_with(seat.answer.as_bytes());
                    match seated || message.starts_with(br#"{"type":"hello""#) {
                        true => Ok(()),
                        false => Err(Problem::unexpected(seat.answer, message)),
                    }
                })
                .await?;
        }
        Ok(client)
    }
}

/// Connects a client for each seat, many at a time, and gives them in the order of the seats.
pub(crate) async fn connect_all(address: SocketAddr, seats: Vec<Seat>) -> Outcome<Vec<Client>> {
    let count = seats.len();
    let (seats, next) = (Rc::new(seats), Rc::new(Cell::new(0)));
    let mut openers = JoinSet::new();
    for _ in 0..OPENING.min(count) {
        let (seats, next) = (seats.clone(), next.clone());
        openers.spawn_local(async move {
            let mut clients = Vec::new();
            while let Some(seat) = seats.get(next.get()) {
                let index = next.replace(next.get() + 1);
                let client = tokio::time::timeout(PATIENCE, Client::connect(address, seat)).await;
                let client = client.map_err(|_| Problem::new("a connection took over 30 s to open"))??;
                clients.push((index, client));
            }
            Ok::<_, Problem>(clients)
        });
    }
    let mut clients = Vec::with_capacity(count);
    while let Some(opened) = openers.join_next().await {
        clients.extend(opened??);
    }
    clients.sort_unstable_by_key(|(index, _)| *index);
    Ok(clients.into_iter().map(|(_, client)| client).collect())
}
