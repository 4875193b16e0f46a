//! The connection: one task that opens a socket, says hello, moves messages both ways, notices
//! silence, and begins again with backoff. No code of the application runs on it.

use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::heard::Reconnect;
use chatroom_protocol::message::ClientLabel;
use chatroom_protocol::{Code, Heard, V1_JSON, say};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::backoff::{Backoff, random};
use crate::client::Notice;
use crate::connector::{Connector, Duplex};
use crate::core::{Session, Shared};
use crate::error::ConnectionError;
use crate::state::{Connectivity, State};
use crate::token::{TokenError, TokenProvider, TokenReason};
use chatroom_replica::ErrorCode;

/// So long a connection has to last before the next failure counts as the first.
const STEADY: Duration = Duration::from_secs(5);
/// How long a close may take.
const CLOSING: Duration = Duration::from_secs(1);
/// The largest message that is read: a topic's value may be much larger than a client's message.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

type Socket = WebSocketStream<Box<dyn Duplex>>;
type Writer = SplitSink<Socket, Message>;
type Reader = SplitStream<Socket>;

/// How connections are made.
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) connector: Connector,
    pub(crate) token: Option<Arc<TokenProvider>>,
    pub(crate) label: ClientLabel,
    pub(crate) backoff: Backoff,
    pub(crate) connect_timeout: Duration,
}

/// Why a connection ended, or was not made.
#[derive(Debug)]
struct Ending {
    next: Next,
    code: ErrorCode,
    reason: String,
}

/// What comes after the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another, after a while.
    Retry,
    /// Another, with a new token.
    Token,
    /// None, until the application says so.
    NeedsAuth,
    /// None at all.
    Close,
}

impl Ending {
    fn new(next: Next, code: impl Into<ErrorCode>, reason: impl Into<String>) -> Self {
        Self { next, code: code.into(), reason: reason.into() }
    }

    fn retry(reason: impl Into<String>) -> Self {
        Self::new(Next::Retry, Code::ConnectionLost, reason)
    }

    /// What the server's close frame or goodbye asks for.
    fn told(code: ErrorCode, reason: impl Into<String>) -> Self {
        let next = match code.number() {
            301 => Next::Token,
            400..500 => Next::Close,
            _ => Next::Retry,
        };
        Self::new(next, code, reason)
    }
}

/// Keeps a client connected until it is closed.
pub(crate) async fn run(shared: Arc<Shared>, plan: Plan) {
    tokio::select! {
        () = keep_connected(&shared, &plan) => {}
        () = clock(&shared) => {}
    }
}

async fn keep_connected(shared: &Arc<Shared>, plan: &Plan) {
    let mut failures = 0u32;
    let mut why = TokenReason::Connecting;
    loop {
        let ending = match closing(shared, open(shared, plan, why)).await {
            None => return,
            Some(Err(ending)) => ending,
            Some(Ok((socket, hello))) => {
                why = TokenReason::Connecting;
                let since = Instant::now();
                shared.with(|core| core.connected(hello));
                shared.become_state(State::new(Connectivity::Online));
                let ending = exchange(shared, socket).await;
                let session = shared.with(|core| core.disconnected());
                if since.elapsed() >= STEADY {
                    failures = 0;
                }
                match ending {
                    None => return,
                    Some(ending) => after_goodbye(ending, session),
                }
            }
        };
        match ending.next {
            Next::Close => {
                let state = State::because(Connectivity::Closed, ending.code, ending.reason);
                return shared.close(state);
            }
            // A token that the server does not take is asked for anew once.
            Next::Token if plan.token.is_some() && why != TokenReason::Unauthenticated => {
                why = TokenReason::Unauthenticated;
                shared.become_state(State::because(Connectivity::Connecting, ending.code, ending.reason));
            }
            Next::Token | Next::NeedsAuth => {
                shared.become_state(State::because(Connectivity::NeedsAuth, ending.code, ending.reason));
                if wait(shared, |core| std::mem::take(&mut core.authenticate)).await.is_none() {
                    return;
                }
                why = TokenReason::Asked;
                failures = 0;
                shared.become_state(State::new(Connectivity::Connecting));
            }
            Next::Retry => {
                failures = failures.saturating_add(1);
                let pause = plan.backoff.wait(failures, random());
                let mut state = State::because(Connectivity::Offline, ending.code, ending.reason);
                state.retry_in = Some(pause);
                shared.become_state(state);
                let asked = |core: &mut crate::core::Core| {
                    std::mem::take(&mut core.reconnect) || std::mem::take(&mut core.authenticate)
                };
                tokio::select! {
                    () = sleep(pause) => {}
                    asked = wait(shared, asked) => {
                        if asked.is_none() {
                            return;
                        }
                    }
                }
                shared.become_state(State::new(Connectivity::Connecting));
            }
        }
    }
}

/// What the server said last decides, before the way in which the socket ended.
fn after_goodbye(ending: Ending, session: Option<Session>) -> Ending {
    match session.and_then(|session| session.goodbye) {
        Some((code, reason, Reconnect::No)) if code != Code::Unauthenticated => Ending::new(Next::Close, code, reason),
        Some((code, reason, _)) => Ending::told(code, reason),
        None => ending,
    }
}

/// Waits until the application wants something; `None` when it wants the end.
async fn wait(shared: &Shared, wanted: impl Fn(&mut crate::core::Core) -> bool) -> Option<()> {
    loop {
        let (wanted, closed) = shared.with(|core| (wanted(core), core.closed));
        if closed {
            return None;
        }
        if wanted {
            return Some(());
        }
        shared.control.notified().await;
    }
}

/// Works on something until the client is closed.
async fn closing<T>(shared: &Shared, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // The application's word comes first.
        biased;
        _ = wait(shared, |_| false) => None,
        done = work => Some(done),
    }
}

async fn open(
    shared: &Shared,
    plan: &Plan,
    why: TokenReason,
) -> Result<(Socket, chatroom_protocol::heard::Hello), Ending> {
    let token = match &plan.token {
        Some(provider) => Some(token(provider.clone(), why, plan.connect_timeout).await?),
        None => None,
    };
    match timeout(plan.connect_timeout, greet(shared, plan, token.as_deref())).await {
        Ok(greeted) => greeted,
        Err(_) => Err(Ending::new(Next::Retry, Code::Timeout, "the server did not answer in time")),
    }
}

async fn token(provider: Arc<TokenProvider>, why: TokenReason, patience: Duration) -> Result<String, Ending> {
    // On a task of its own: it is the application's, and may block or panic.
    let task = tokio::spawn(async move { provider(why).await });
    let abort = task.abort_handle();
    let failed = |reason: String| Ending::new(Next::Retry, Code::Unauthenticated, reason);
    match timeout(patience, task).await {
        Ok(Ok(Ok(token))) => Ok(token),
        Ok(Ok(Err(TokenError::Refused(reason)))) => {
            Err(Ending::new(Next::NeedsAuth, Code::Unauthenticated, format!("no token: {reason}")))
        }
        Ok(Ok(Err(TokenError::Failed(reason)))) => Err(failed(format!("no token yet: {reason}"))),
        Ok(Err(_)) => Err(failed("no token yet: the provider panicked".into())),
        Err(_) => {
            abort.abort();
            Err(failed("no token yet: the provider took too long".into()))
        }
    }
}

async fn greet(
    shared: &Shared,
    plan: &Plan,
    token: Option<&str>,
) -> Result<(Socket, chatroom_protocol::heard::Hello), Ending> {
    let stream = (plan.connector)().await.map_err(|error| Ending::retry(format!("no connection: {error}")))?;
    let mut request = plan
        .url
        .as_str()
        .into_client_request()
        .map_err(|error| Ending::new(Next::Close, Code::Malformed, format!("not an address: {error}")))?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(V1_JSON));
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(16 << 10)
        .write_buffer_size(64 << 10);
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.map_err(
        |error| match error {
            SocketError::Http(response) if response.status().as_u16() == 401 => {
                Ending::new(Next::Token, Code::Unauthenticated, "the server answered HTTP 401")
            }
            SocketError::Http(response) => Ending::retry(format!("the server answered HTTP {}", response.status())),
            error => Ending::retry(format!("no WebSocket: {error}")),
        },
    )?;
    let (session, known) = shared.with(|core| core.known());
    let hello = say::hello(token, &plan.label, session.as_ref(), &known);
    socket.send(Message::text(hello)).await.map_err(|error| Ending::retry(error.to_string()))?;
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(closed_by(frame)),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(Ending::retry(error.to_string())),
            None => return Err(Ending::retry("the server closed the connection")),
        };
        match Heard::parse(text.as_str()) {
            Ok(Heard::Hello(hello)) if hello.protocol == V1_JSON => return Ok((socket, *hello)),
            Ok(Heard::Hello(hello)) => {
                let reason = format!("the server speaks {:?}, this client {V1_JSON}", hello.protocol);
                return Err(Ending::new(Next::Close, Code::Unsupported, reason));
            }
            Ok(Heard::Goodbye { code, reason, reconnect }) => {
                let told = Ending::told(ErrorCode::new(code), reason);
                return Err(match reconnect {
                    Reconnect::No if told.next == Next::Retry => Ending { next: Next::Close, ..told },
                    _ => told,
                });
            }
            Ok(Heard::Error { code, reason, .. }) => return Err(Ending::told(ErrorCode::new(code), reason)),
            Ok(_) => {}
            Err(refusal) => return Err(Ending::retry(format!("not a hello: {refusal}"))),
        }
    }
}

/// What a close frame says.
fn closed_by(frame: Option<CloseFrame>) -> Ending {
    match frame {
        Some(frame) => match u16::from(frame.code) {
            code @ 4000..=4999 => Ending::told(ErrorCode::new(u32::from(code) - 4000), frame.reason.to_string()),
            code => Ending::retry(format!("the server closed the connection with {code} {}", frame.reason)),
        },
        None => Ending::retry("the server closed the connection"),
    }
}

/// Moves messages until the connection ends; `None` when the application closed the client.
async fn exchange(shared: &Arc<Shared>, socket: Socket) -> Option<Ending> {
    let (mut writer, reader) = socket.split();
    let ending = tokio::select! {
        biased;
        // To connect again is no wish of a client that is connected.
        _ = wait(shared, |core| {
            (core.authenticate, core.reconnect) = (false, false);
            false
        }) => None,
        ending = read(shared, reader) => Some(ending),
        ending = write(shared, &mut writer) => Some(ending),
        ending = silence(shared) => Some(ending),
    };
    // A close frame tells the server at once; one that does not take it hears nothing anyway.
    let _ = timeout(CLOSING, writer.close()).await;
    ending
}

async fn read(shared: &Arc<Shared>, mut reader: Reader) -> Ending {
    loop {
        let message = reader.next().await;
        let now = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => {
                let message = Heard::parse(text.as_str());
                let (malformed, resync) = shared.with(|core| {
                    core.heard_something(now);
                    (message.map(|message| core.heard(shared, message)).err(), std::mem::take(&mut core.resync))
                });
                if resync {
                    return Ending::retry("the server did not understand a push");
                }
                if let Some(refusal) = malformed {
                    let reason = format!("a message of the server was not understood: {}", refusal.reason);
                    shared.notice(Notice::Error { code: refusal.code.into(), reason, about: Default::default() });
                }
            }
            Some(Ok(Message::Close(frame))) => return closed_by(frame),
            Some(Ok(_)) => shared.with(|core| core.heard_something(now)),
            Some(Err(error)) => return Ending::retry(format!("the connection failed: {error}")),
            None => return Ending::retry("the server closed the connection"),
        }
    }
}

async fn write(shared: &Arc<Shared>, writer: &mut Writer) -> Ending {
    loop {
        let batch = shared.with(|core| core.batch());
        if batch.is_empty() {
            shared.wake.notified().await;
            continue;
        }
        for text in batch {
            if let Err(error) = writer.feed(Message::text(text)).await {
                return Ending::retry(format!("the connection failed: {error}"));
            }
        }
        if let Err(error) = writer.flush().await {
            return Ending::retry(format!("the connection failed: {error}"));
        }
    }
}

/// Does what is due at a time, with a connection and without: deadlines of calls, ends of grace,
/// and the watch on silence. Never ends.
async fn clock(shared: &Shared) {
    loop {
        let now = Instant::now();
        let (next, silent) = shared.with(|core| {
            let due = [core.calls_due(now), core.release_due(now)];
            let (silence, silent) = core.silence(now);
            (due.into_iter().flatten().chain([silence]).min(), silent)
        });
        if silent {
            shared.silence.notify_one();
        }
        tokio::select! {
            () = shared.timer.notified() => {}
            () = sleep_until(next.unwrap_or(now + STEADY)) => {}
        }
    }
}

/// Waits until nothing was heard for too long.
async fn silence(shared: &Shared) -> Ending {
    while !shared.with(|core| core.silence(Instant::now()).1) {
        shared.silence.notified().await;
    }
    Ending::new(Next::Retry, Code::HeartbeatMissed, "nothing was heard from the server for too long")
}

impl crate::core::Core {
    /// When to look at the silence again, and whether it has lasted too long.
    fn silence(&mut self, now: Instant) -> (Instant, bool) {
        let Some(session) = &self.session else {
            return (now + STEADY, false);
        };
        let heartbeat = Duration::from_millis(session.hello.heartbeat_ms.max(1));
        let patience = (heartbeat / 2).clamp(Duration::from_secs(1), Duration::from_secs(10));
        let (probe_at, give_up_at) = (session.heard_at + heartbeat, session.heard_at + heartbeat + patience);
        if now >= give_up_at && session.probed {
            return (now + STEADY, true);
        }
        if now >= probe_at {
            if !session.probed {
                self.probe();
            }
            return (give_up_at.max(now + Duration::from_millis(1)), false);
        }
        (probe_at, false)
    }
}

/// The first outcome of a client that was just started.
pub(crate) async fn first(shared: &Shared) -> Result<(), ConnectionError> {
    let mut states = shared.state.subscribe();
    let settled = |state: &State| state.connectivity != Connectivity::Connecting;
    let state = states.wait_for(settled).await.map(|state| state.clone()).unwrap_or_else(|_| State::closed());
    match state.is_online() {
        true => Ok(()),
        false => Err(ConnectionError::new(state.code.unwrap_or(Code::Closed.into()), state.reason)),
    }
}
