//! One page's connection: its commands in, messages of the room it watches out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatroom_protocol::{Code, Frame, RoomName};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::command::{BadCommand, Command};
use super::feed::{PageId, ToPage, Wish};
use crate::connection::read_into;
use crate::host::{Done, Undone};
use crate::listener::ended;
use crate::rooms::{Inbox, Told};
use crate::server::Shared;
use crate::websocket::{Close, Parsed, Parser};

/// The largest command.
const COMMAND_BYTES: usize = 4 << 20;
/// Messages for a page that reads slowly; what does not fit is made up for by a whole state.
const WAITING: usize = 16;
/// How long a page may read nothing.
const STALLED: Duration = Duration::from_secs(30);
/// Results that a page may wait for.
const RESULTS: usize = 64;
/// How many rooms are listed.
const ROOMS: usize = 1_000;
/// The close code of a page without the token.
const REFUSED: u16 = 4300;

pub(crate) struct Page {
    shared: Arc<Shared>,
    id: PageId,
    /// Whether it may see anything.
    known: bool,
    watched: Option<(RoomName, Inbox)>,
    to: ToPage,
    /// Results on their way, so that a page cannot ask without end.
    results: Arc<tokio::sync::Semaphore>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    Hello {
        version: &'a str,
        /// Where clients connect; nothing for a server that is mounted in another.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        started_ms: u64,
        now_ms: u64,
        rooms: Vec<super::hub::RoomRow>,
        limits: Limits,
    },
    Rooms {
        rooms: Vec<super::hub::RoomRow>,
        now_ms: u64,
    },
    Refused {
        reason: &'a str,
    },
    Goodbye {
        reason: &'a str,
    },
    Result {
        id: Option<i64>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        took_ms: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
}

#[derive(Serialize)]
struct Limits {
    entries: usize,
    topics: usize,
}

#[derive(Serialize)]
struct Failure {
    code: u32,
    name: &'static str,
    reason: String,
}

impl Failure {
    fn new(code: u32, reason: String) -> Self {
        let known = Code::ALL.iter().find(|known| u32::from(known.number()) == code);
        Self { code, name: known.map_or("application", |code| code.name()), reason }
    }
}

impl Page {
    pub(crate) async fn run(shared: Arc<Shared>, mut socket: impl AsyncRead + AsyncWrite + Unpin, early: Bytes) {
        let (to, mut messages) = mpsc::channel(WAITING);
        let id = shared.hub().next_page();
        let known = shared.config.debugger.as_ref().is_some_and(|debugger| debugger.token.is_none());
        let results = Arc::new(tokio::sync::Semaphore::new(RESULTS));
        let mut page = Self { shared, id, known, watched: None, to, results };
        let mut parser = Parser::new(COMMAND_BYTES);
        parser.feed(&early);
        let close = page.exchange(&mut socket, &mut parser, &mut messages).await;
        if let Some((_, inbox)) = page.watched.take() {
            // A room that is gone has no pages.
            let _ = inbox.send(Told::Debug(Wish::Leave { page: page.id })).await;
        }
        if let Ok(Some(close)) = close {
            let _ = socket.write_all(&close.frame()).await;
        }
        let _ = socket.shutdown().await;
    }

    /// Runs until the page is gone or is to be closed.
    async fn exchange(
        &mut self,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
        parser: &mut Parser,
        messages: &mut mpsc::Receiver<Arc<str>>,
    ) -> std::io::Result<Option<Close>> {
        let (mut reader, mut writer) = tokio::io::split(socket);
        let mut ending = self.shared.ending.subscribe();
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut greeted = false;
        loop {
            loop {
                match parser.next() {
                    Ok(Some(Parsed::Text(text))) => match Command::parse(&text) {
                        Ok(command) => {
                            if let Some(message) = self.obey(command, &mut greeted).await {
                                write(&mut writer, message.bytes()).await?;
                            }
                            if !self.known {
                                return Ok(Some(Close { code: REFUSED, reason: "the token is not right".into() }));
                            }
                        }
                        Err(BadCommand { id, reason }) => {
                            let error = Some(Failure::new(Code::Malformed.number().into(), reason));
                            write(&mut writer, result(id, None, None, None, error).bytes()).await?;
                        }
                    },
                    Ok(Some(Parsed::Closed)) => {
                        write(&mut writer, &parser.answers()).await?;
                        return Ok(None);
                    }
                    Ok(None) => break,
                    Err(close) => return Ok(Some(close)),
                }
            }
            let answers = parser.answers();
            write(&mut writer, &answers).await?;
            tokio::select! {
                count = read_into(&mut reader, parser) => if count? == 0 {
                    return Ok(None);
                },
                Some(message) = messages.recv() => {
                    let message = RawValue::from_string(message.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned());
                    write(&mut writer, Frame::json(&message).bytes()).await?;
                }
                _ = second.tick(), if greeted => {
                    let rooms = self.shared.hub().rooms(ROOMS);
                    write(&mut writer, Frame::json(&Message::Rooms { rooms, now_ms: self.shared.now_ms() }).bytes()).await?;
                }
                () = ended(&mut ending) => {
                    let reason = "the server is shutting down";
                    write(&mut writer, Frame::json(&Message::Goodbye { reason }).bytes()).await?;
                    return Ok(Some(Close { code: 1001, reason: reason.into() }));
                }
            }
        }
    }

    /// Carries a command out; what is not answered at once comes through the page's queue.
    async fn obey(&mut self, command: Command, greeted: &mut bool) -> Option<Frame> {
        if !self.known && !matches!(command, Command::Hello { .. }) {
            return Some(Frame::json(&Message::Refused { reason: "say hello with the token first" }));
        }
        match command {
            Command::Hello { token } => {
                self.known = self.shared.config.debugger.as_ref().is_some_and(|debugger| match &debugger.token {
                    Some(wanted) => token.is_some_and(|token| same(&token, wanted)),
                    None => true,
                });
                if !self.known {
                    let reason = match &self.shared.config.debugger {
                        Some(_) => "this debugger asks for a token; open the address that the server printed",
                        None => "this server has no debugger",
                    };
                    return Some(Frame::json(&Message::Refused { reason }));
                }
                *greeted = true;
                Some(Frame::json(&Message::Hello {
                    version: env!("CARGO_PKG_VERSION"),
                    address: self.shared.address.get().map(ToString::to_string),
                    started_ms: self.shared.started_ms(),
                    now_ms: self.shared.now_ms(),
                    rooms: self.shared.hub().rooms(ROOMS),
                    limits: Limits { entries: 2_000, topics: 20_000 },
                }))
            }
            Command::Watch { room } => {
                if let Some((_, inbox)) = self.watched.take() {
                    // A room that is gone has no pages.
                    let _ = inbox.send(Told::Debug(Wish::Leave { page: self.id })).await;
                }
                match self.shared.rooms.enter(&room) {
                    Ok(inbox) => {
                        let watch = Wish::Watch { page: self.id, to: self.to.clone() };
                        if inbox.send(Told::Debug(watch)).await.is_ok() {
                            self.watched = Some((room, inbox));
                        }
                        None
                    }
                    Err(refusal) => {
                        let error = Failure::new(refusal.code.number().into(), refusal.reason.into_owned());
                        Some(result(None, None, None, None, Some(error)))
                    }
                }
            }
            Command::Inspect { topic_name } => {
                if let Some((_, inbox)) = &self.watched {
                    // A room that is gone is watched anew by the page.
                    let _ = inbox.send(Told::Debug(Wish::Inspect { page: self.id, topic_name })).await;
                }
                None
            }
            Command::Ask { id, ask } => {
                let (outcome, answer) = oneshot::channel();
                self.tell(id, Told::Ask { ask, outcome }, async move {
                    answer.await.map(|outcome| outcome.map(|Done { value, sequence }| (value, sequence)))
                })
                .await
            }
            Command::Fault { id, room, client, fault } => {
                let watched = self.watched.as_ref().map(|(room, _)| room.clone());
                let room = room.or(watched).unwrap_or_else(RoomName::main);
                let done = self.shared.rooms.inflict(&room, client, fault).await;
                let error = (!done).then(|| {
                    let reason = format!("there is no client {client} in the room {room}");
                    Failure::new(Code::OutOfRange.number().into(), reason)
                });
                Some(result(Some(id), None, None, None, error))
            }
            Command::History { id, topic_name, before } => {
                let (answer, entries) = oneshot::channel();
                let wish = Told::Debug(Wish::History { topic_name, before, answer });
                self.tell(id, wish, async move { entries.await.map(|entries| Ok((Some(entries), None))) }).await
            }
        }
    }

    /// Asks the watched room for something whose result follows.
    async fn tell(
        &self,
        id: i64,
        told: Told,
        answer: impl Future<
            Output = Result<Result<(Option<Box<RawValue>>, Option<u64>), Undone>, oneshot::error::RecvError>,
        > + Send
        + 'static,
    ) -> Option<Frame> {
        let fail = |code: Code, reason: &str| {
            Some(result(Some(id), None, None, None, Some(Failure::new(code.number().into(), reason.to_owned()))))
        };
        let Some((_, inbox)) = &self.watched else {
            return fail(Code::Precondition, "watch a room first");
        };
        let Ok(permit) = self.results.clone().try_acquire_owned() else {
            return fail(Code::Busy, "too many results are on their way");
        };
        let began = Instant::now();
        if inbox.send(told).await.is_err() {
            return fail(Code::ShuttingDown, "the room is gone");
        }
        let to = self.to.clone();
        tokio::spawn(async move {
            let took_ms = |began: Instant| Some(began.elapsed().as_secs_f64() * 1_000.0);
            let frame = match answer.await {
                Ok(Ok((value, sequence))) => message(Some(id), value, sequence, took_ms(began), None),
                Ok(Err(Undone { code, reason })) => {
                    message(Some(id), None, None, took_ms(began), Some(Failure::new(code, reason)))
                }
                Err(_) => {
                    let error = Failure::new(Code::ShuttingDown.number().into(), "the room is gone".into());
                    message(Some(id), None, None, None, Some(error))
                }
            };
            let text = to_raw_value(&frame).unwrap_or_else(|_| RawValue::NULL.to_owned());
            // The page may be gone.
            let _ = to.send(text.get().into()).await;
            drop(permit);
        });
        None
    }
}

fn message<'a>(
    id: Option<i64>,
    value: Option<Box<RawValue>>,
    sequence: Option<u64>,
    took_ms: Option<f64>,
    error: Option<Failure>,
) -> Message<'a> {
    Message::Result { id, ok: error.is_none(), value, sequence, took_ms, error }
}

fn result(
    id: Option<i64>,
    value: Option<Box<RawValue>>,
    sequence: Option<u64>,
    took_ms: Option<f64>,
    error: Option<Failure>,
) -> Frame {
    Frame::json(&message(id, value, sequence, took_ms, error))
}

/// Writes, or gives up on a page that reads nothing.
async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    timeout(STALLED, writer.write_all(bytes)).await?
}

/// Compares in a time that does not tell where the first difference is.
fn same(given: &str, wanted: &str) -> bool {
    given.len() == wanted.len()
        && given.bytes().zip(wanted.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
