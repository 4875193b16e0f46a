//! One connection: bytes from the socket to the room, frames from the outbox to the socket.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use chatroom_engine::ConnectionId;
use chatroom_protocol::{Code, Dialect, Refusal, RoomName, reply};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::fault::{Delayed, Faults};
use crate::listener::ended;
use crate::outbox::{Next, Outbox};
use crate::rooms::{Inbox, Told};
use crate::server::Shared;
use crate::websocket::{Close, Parsed, Parser, ping};

/// Read from a socket at a time, into the stack: an idle connection holds no buffer.
const READ_BYTES: usize = 16 << 10;
/// Answers to control frames that may wait; a client that floods with pings is not read meanwhile.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// A message over the limit is refused by an answer; one over so many times the limit ends the connection.
const MESSAGE_LIMIT_FACTOR: usize = 4;
/// How long a close may take: our frame out, the client's frame or the end of the stream in.
const CLOSING: Duration = Duration::from_secs(2);

pub(crate) struct Connection {
    shared: Arc<Shared>,
    room: RoomName,
    dialect: Dialect,
    id: ConnectionId,
    address: Option<SocketAddr>,
    outbox: Arc<Outbox>,
    faults: Arc<Faults>,
    /// Made only for a connection that is delayed on purpose.
    delayed: Option<Box<Delayed>>,
    parser: Parser,
    /// Parsed, but the room's inbox was full.
    held: Option<Told>,
    /// Being written.
    writing: Bytes,
    /// Answers to control frames, written before anything else.
    answers: BytesMut,
    wrote_at: Instant,
    heard_at: Instant,
    pinged: bool,
    closing: Option<Closing>,
}

/// The end of a connection, step by step.
#[derive(Debug)]
struct Closing {
    /// When the socket is dropped whatever is left.
    deadline: Instant,
    /// Whether our close frame is in the socket or on its way.
    sent: bool,
    /// Whether the client's close was seen.
    heard: bool,
    /// Whether what the client sends can still be understood. If not it is read and dropped all the
    /// same: closing a socket with unread bytes would reset it and destroy our close frame.
    deaf: bool,
    /// Whether our half of the stream was ended, which tells the client at once.
    ended: bool,
}

/// The half of a socket that is written to, by the connection's task and by its room.
#[derive(Debug)]
pub(crate) struct SharedWriter(Arc<OwnedWriteHalf>);

impl AsyncWrite for SharedWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket: &TcpStream = self.0.as_ref().as_ref();
        loop {
            ready!(socket.poll_write_ready(context))?;
            match socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The outbox has given it up by then; if not, the socket ends with the last who has it.
        match Arc::get_mut(&mut self.0) {
            Some(half) => Pin::new(half).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Connection {
    /// Runs on a socket, to which its room may write too: from this thread, or, where tasks move from
    /// thread to thread, from any.
    pub(crate) async fn run_on(self: Box<Self>, socket: TcpStream, early: Bytes) {
        let (reader, writer) = socket.into_split();
        let writer = Arc::new(writer);
        self.outbox.direct(writer.clone(), self.shared.rooms.workers().thread());
        self.run(reader, SharedWriter(writer), early).await;
    }

    pub(crate) fn new(shared: Arc<Shared>, room: RoomName, dialect: Dialect, address: Option<SocketAddr>) -> Box<Self> {
        let limits = shared.config.limits.clone();
        let now = Instant::now();
        Box::new(Self {
            id: shared.next_connection(),
            address,
            outbox: Arc::new(Outbox::new(limits.clone(), shared.metrics.clone())),
            faults: Arc::default(),
            delayed: None,
            parser: Parser::new(limits.message_bytes.saturating_mul(MESSAGE_LIMIT_FACTOR)),
            shared,
            room,
            dialect,
            held: None,
            writing: Bytes::new(),
            answers: BytesMut::new(),
            wrote_at: now,
            heard_at: now,
            pinged: false,
            closing: None,
        })
    }

    #[tracing::instrument(name = "connection", level = "debug", skip_all, fields(connection = self.id.0, room = %self.room))]
    pub(crate) async fn run(
        // In a box, for a future has room for each value that was ever moved within it.
        mut self: Box<Self>,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
        early: Bytes,
    ) {
        let gauge = self.shared.metrics.connections_of(self.dialect);
        gauge.inc();
        match self.shared.rooms.enter(&self.room) {
            Ok(inbox) => {
                let opened = Told::Opened {
                    connection: self.id,
                    dialect: self.dialect,
                    outbox: self.outbox.clone(),
                    faults: self.faults.clone(),
                    address: self.address,
                };
                // The room takes its inbox for as long as anyone holds a sender of it.
                if inbox.send(opened).await.is_ok() {
                    self.parser.feed(&early);
                    // It stands in the buffer that the request was read into, which would stay.
                    drop(early);
                    if let Err(error) = self.exchange(&mut reader, &mut writer, &inbox).await {
                        tracing::debug!(%error, "the socket failed");
                    }
                    let _ = inbox.send(Told::Closed { connection: self.id }).await;
                }
            }
            Err(refusal) => {
                let close = Close { code: refusal.code.close_code(), reason: refusal.reason.into_owned() };
                let _ = writer.write_all(&close.frame()).await;
            }
        }
        self.outbox.undirect();
        let _ = writer.shutdown().await;
        gauge.dec();
    }

    async fn exchange(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        inbox: &Inbox,
    ) -> io::Result<()> {
        let mut ending = self.shared.ending.subscribe();
        let faults = self.faults.clone();
        let mut timer = pin!(sleep_until(self.timer()));
        let mut changed = pin!(faults.changed());
        self.parse(inbox);
        loop {
            if let Some(state) = faults.state() {
                if state.dropped {
                    return Ok(());
                }
                if let Some(until) = state.frozen_until {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = &mut changed => changed.set(faults.changed()),
                    }
                    continue;
                }
                self.delayed.get_or_insert_default();
                self.release(inbox);
                if self.closing.is_none() {
                    // What was read while the freeze began.
                    self.parse(inbox);
                }
            }
            self.fill(inbox);
            if let Some(closing) = &self.closing
                && self.writing.is_empty()
                && closing.sent
                && closing.heard
            {
                return Ok(());
            }
            if let Some(closing) = &mut self.closing
                && self.writing.is_empty()
                && closing.deaf
                && !closing.ended
            {
                closing.ended = true;
                self.outbox.undirect();
                writer.shutdown().await?;
            }
            // A deadline that moved away is looked at when the timer fires; most never get that far.
            let due = self.timer();
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            let reads = self.held.is_none()
                && self.delayed.as_ref().is_none_or(|delayed| delayed.may_read())
                && self.answers.len() <= ANSWER_BYTES_MAX
                && !self.closing.as_ref().is_some_and(|closing| closing.heard);
            let held = self.held.is_some();
            let writes = !self.writing.is_empty();
            let takes =
                !writes && self.closing.is_none() && self.delayed.as_ref().is_none_or(|delayed| delayed.may_take());
            tokio::select! {
                written = writer.write(&self.writing), if writes => {
                    let count = written?;
                    if count == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    self.shared.metrics.writes.inc();
                    self.shared.metrics.sent_bytes.inc_by(count as u64);
                    self.writing.advance(count);
                    self.wrote_at = Instant::now();
                }
                count = read_into(reader, &mut self.parser), if reads => {
                    match count? {
                        0 => {
                            // Half-closed or gone: what waits may still be wanted, but no message will come.
                            return Ok(());
                        }
                        count => {
                            self.shared.metrics.received_bytes.inc_by(count as u64);
                            self.heard_at = Instant::now();
                            self.pinged = false;
                            match &self.closing {
                                Some(closing) if closing.deaf => self.parser.discard(),
                                None if faults.are_frozen() => {}
                                _ => self.parse(inbox),
                            }
                        }
                    }
                }
                permit = inbox.reserve(), if held => match (permit, self.held.take()) {
                    (Ok(permit), Some(told)) => {
                        permit.send(told);
                        self.parse(inbox);
                    }
                    _ => return Ok(()),
                },
                () = self.outbox.filled(), if takes => {}
                () = ended(&mut ending), if self.closing.is_none() => self.say_goodbye(),
                // While it takes, the outbox wakes it.
                () = &mut changed, if !takes => changed.set(faults.changed()),
                () = &mut timer => {
                    if !self.time_passed() {
                        return Ok(());
                    }
                    timer.as_mut().reset(self.timer());
                }
            }
        }
    }

    /// Hands parsed messages to the room until it is full or there are none.
    fn parse(&mut self, inbox: &Inbox) {
        while self.held.is_none() {
            match self.parser.next() {
                Ok(Some(Parsed::Text(message))) => {
                    if self.closing.is_none() {
                        self.tell(inbox, Told::Received { connection: self.id, message });
                    }
                }
                Ok(Some(Parsed::Closed)) => {
                    let deadline = Instant::now() + CLOSING;
                    let closing = self.closing.get_or_insert(Closing {
                        deadline,
                        sent: false,
                        heard: false,
                        deaf: false,
                        ended: false,
                    });
                    closing.heard = true;
                    if !closing.sent {
                        closing.sent = true;
                        self.answers.unsplit(self.parser.answers());
                    }
                    return;
                }
                Ok(None) => break,
                Err(close) => {
                    tracing::debug!(code = close.code, reason = close.reason, "the client broke the protocol");
                    self.answers.unsplit(self.parser.answers());
                    self.close(&close);
                    if let Some(closing) = &mut self.closing {
                        closing.deaf = true;
                    }
                    self.parser.discard();
                    return;
                }
            }
        }
        let answers = self.parser.answers();
        if self.closing.is_none() && !answers.is_empty() {
            self.answers.unsplit(answers);
        }
    }

    /// Lets go of what was delayed long enough.
    fn release(&mut self, inbox: &Inbox) {
        while self.held.is_none()
            && let Some(told) = self.delayed.as_mut().and_then(|delayed| delayed.received())
        {
            self.send(inbox, told);
        }
    }

    fn delay(&self) -> Duration {
        self.faults.state().map(|state| state.delay).unwrap_or_default()
    }

    fn tell(&mut self, inbox: &Inbox, told: Told) {
        let delay = self.delay();
        let told = match &mut self.delayed {
            Some(delayed) => delayed.receive(delay, told),
            None => Some(told),
        };
        if let Some(told) = told {
            self.send(inbox, told);
        }
    }

    fn send(&mut self, inbox: &Inbox, told: Told) {
        if let Err(mpsc::error::TrySendError::Full(told)) = inbox.try_send(told) {
            self.held = Some(told);
        }
    }

    /// Finds the next bytes to write when the last are out.
    fn fill(&mut self, inbox: &Inbox) {
        if !self.writing.is_empty() {
            return;
        }
        if !self.answers.is_empty() {
            if let Some(before) = self.outbox.hold() {
                self.writing = before;
                self.wrote_at = Instant::now();
                return;
            }
            self.writing = self.answers.split().freeze();
            self.answers = BytesMut::new();
            self.wrote_at = Instant::now();
            return;
        }
        if self.closing.is_some() {
            return;
        }
        if let Some(frames) = self.delayed.as_mut().and_then(|delayed| delayed.frames()) {
            self.writing = frames;
            self.wrote_at = Instant::now();
            return;
        }
        if self.delayed.as_ref().is_some_and(|delayed| !delayed.may_take()) {
            return;
        }
        let may_rest = self.delayed.is_none() && self.held.is_none() && self.faults.state().is_none();
        match self.outbox.next(may_rest) {
            Next::Write(frames) => {
                let delay = self.delay();
                let frames = match &mut self.delayed {
                    Some(delayed) => delayed.send(delay, frames),
                    None => Some(frames),
                };
                match frames {
                    Some(frames) => {
                        self.writing = frames;
                        self.wrote_at = Instant::now();
                    }
                    None => self.fill(inbox),
                }
            }
            Next::Drained(topics) if self.held.is_none() => {
                self.tell(inbox, Told::Drained { connection: self.id, topics });
            }
            // The inbox is full already; the topics wait in the outbox until it is not.
            Next::Drained(topics) => self.outbox.stale_again(topics),
            Next::End(refusal) => {
                // What is delayed goes first; a delay ends with its connection.
                if let Some(delayed) = self.delayed.take() {
                    self.answers.extend(delayed.into_frames());
                }
                let code = if refusal.code == Code::ShuttingDown { 1001 } else { refusal.code.close_code() };
                self.close(&Close { code, reason: refusal.reason.into_owned() });
                self.fill(inbox);
            }
            Next::Nothing => {}
        }
    }

    /// Puts a close frame behind what is being written.
    fn close(&mut self, close: &Close) {
        if self.closing.is_none() {
            self.closing = Some(Closing {
                deadline: Instant::now() + CLOSING,
                sent: true,
                heard: false,
                deaf: false,
                ended: false,
            });
            self.answers.extend_from_slice(&close.frame());
        }
    }

    fn say_goodbye(&mut self) {
        let refusal = Refusal::new(Code::ShuttingDown, "the server is shutting down");
        if self.dialect == Dialect::V1 {
            // Its end, which follows, has it taken from there.
            let _ = self.outbox.push(reply::goodbye(&refusal).bytes().clone(), &chatroom_engine::Delivery::reply());
        }
        self.outbox.end(refusal);
    }

    /// When to look at the clock again.
    fn timer(&self) -> Instant {
        if let Some(closing) = &self.closing {
            return closing.deadline;
        }
        let limits = &self.shared.config.limits;
        let heartbeat = Duration::from_millis(limits.heartbeat_ms);
        let heard = self.heard_at + if self.pinged { 2 * heartbeat } else { heartbeat };
        let heard = self.delayed.as_ref().and_then(|delayed| delayed.next()).map_or(heard, |due| heard.min(due));
        match self.writing.is_empty() {
            true => heard,
            false => heard.min(self.wrote_at + Duration::from_millis(limits.stalled_ms)),
        }
    }

    /// Acts on what is due; false when the connection is to be dropped.
    fn time_passed(&mut self) -> bool {
        let now = Instant::now();
        if let Some(closing) = &self.closing {
            return now < closing.deadline;
        }
        let limits = self.shared.config.limits.clone();
        let heartbeat = Duration::from_millis(limits.heartbeat_ms);
        if !self.writing.is_empty() && now >= self.wrote_at + Duration::from_millis(limits.stalled_ms) {
            // Its socket is full, so no close frame can reach it either.
            self.shared.metrics.slow_consumers.inc();
            tracing::debug!("the client read nothing for too long");
            return false;
        }
        if now >= self.heard_at + 2 * heartbeat {
            self.outbox.end(Refusal::new(Code::HeartbeatMissed, "nothing was heard for two heartbeats"));
            self.heard_at = now;
        } else if now >= self.heard_at + heartbeat && !self.pinged {
            self.pinged = true;
            self.answers.extend_from_slice(&ping());
        }
        true
    }
}

/// Reads what is there into the parser, by way of the stack.
pub(crate) async fn read_into(reader: &mut (impl AsyncRead + Unpin), parser: &mut Parser) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        Pin::new(&mut *reader).poll_read(context, &mut buffer).map_ok(|()| {
            parser.feed(buffer.filled());
            buffer.filled().len()
        })
    })
    .await
}
