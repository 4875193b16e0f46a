//! The client's memory: everything it holds, behind one lock that is never held across an await
//! nor while code of the application runs.
//!
//! Handles write here and wake the connection; the connection puts here what it hears and writes
//! what is due. What has to be told to the application is gathered in [`After`] and told when the
//! lock is free.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use chatroom_protocol::heard::{About, Reconnect, Resumption};
use chatroom_protocol::message::{HeldTopic, TopicOptions};
use chatroom_protocol::say::Known;
use chatroom_protocol::{
    ChangeId, ClientId, ClientMessage, Code, Heard, Limits, RequestId, ServiceName, TopicName, heard::Hello,
};
use chatroom_replica::{ActionId, Asking, CursorId, ErrorCode, Greeting, Note, Refused, Replica, Status};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use crate::action::{Acting, Settled};
use crate::call::Calling;
use crate::client::Notice;
use crate::listener::Listeners;
use crate::service::Providing;
use crate::state::{Connectivity, State};
use crate::undo::History;

/// How long a topic that nobody holds stays subscribed, in case somebody opens it again.
const GRACE: Duration = Duration::from_millis(50);
/// So much is put together for one write.
const BATCH_BYTES: usize = 64 << 10;
/// The service that answers a probe.
const TIME: &str = "_chatroom/time";

/// What all handles of one client share.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Something is to be written, or the clock has something new to wait for.
    pub(crate) wake: Notify,
    pub(crate) timer: Notify,
    /// Nothing was heard for too long.
    pub(crate) silence: Notify,
    /// Listeners have something to hear.
    pub(crate) dispatch: Notify,
    /// The application wants the connection to do something: close, authenticate, reconnect.
    pub(crate) control: Notify,
    pub(crate) state: watch::Sender<State>,
    pub(crate) history: watch::Sender<History>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) runtime: Handle,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) replica: Replica,
    pub(crate) topics: BTreeMap<TopicName, Entry>,
    /// What the application decided of topics that it may make.
    pub(crate) options: BTreeMap<TopicName, TopicOptions>,
    pub(crate) actions: BTreeMap<ActionId, Acting>,
    pub(crate) calls: BTreeMap<i64, Calling>,
    pub(crate) deadlines: BTreeSet<(Instant, i64)>,
    pub(crate) services: BTreeMap<ServiceName, Providing>,
    /// Registrations that the server has not answered on this connection.
    pub(crate) registering: BTreeMap<ServiceName, u32>,
    pub(crate) to_register: VecDeque<ServiceName>,
    pub(crate) queue: VecDeque<Queued>,
    /// Calls among [`Core::queue`].
    pub(crate) waiting: usize,
    pub(crate) waiting_max: usize,
    /// Own presence entries to be written again on this connection.
    pub(crate) to_restore: VecDeque<TopicName>,
    releases: VecDeque<TopicName>,
    /// Topics of a saved session, kept until what was saved with them has its outcome.
    restored: Vec<TopicName>,
    pub(crate) session: Option<Session>,
    /// Counts connections: what belonged to one is not said on another.
    pub(crate) connections: u64,
    pub(crate) limits: Limits,
    /// Where topics' tokens wait for the dispatcher, in the order of the updates.
    pub(crate) tokens: VecDeque<(TopicName, CursorId)>,
    pub(crate) next_number: i64,
    /// The group that actions are made in.
    pub(crate) group: Option<u64>,
    began: Instant,
    pub(crate) closed: bool,
    pub(crate) authenticate: bool,
    pub(crate) reconnect: bool,
    /// Whether this connection has to end and the next one go on with the session.
    pub(crate) resync: bool,
    after: After,
}

/// A connection after its hello.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) hello: Hello,
    pub(crate) heard_at: Instant,
    pub(crate) probed: bool,
    pub(crate) goodbye: Option<(ErrorCode, String, Reconnect)>,
}

/// Something to say, in order.
#[derive(Debug)]
pub(crate) enum Queued {
    /// An own call; it survives a reconnect.
    Call(i64),
    /// A message that makes sense on this connection only.
    Once(String),
}

/// A topic that somebody holds.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) handles: usize,
    /// Own actions under way: a topic outlives its handles until they are answered.
    pub(crate) pins: usize,
    released_at: Option<Instant>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) streams: BTreeMap<CursorId, Option<Waker>>,
    pub(crate) listeners: Option<Listeners>,
    /// This client's entry of a presence topic, to be put there again after a reconnect.
    pub(crate) mine: Option<Value>,
}

/// What is to be done once the lock is free.
#[derive(Debug, Default)]
pub(crate) struct After {
    pub(crate) settled: Vec<Settled>,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) wake: bool,
    pub(crate) timer: bool,
    pub(crate) dispatch: bool,
    /// Whether there may be something else to undo.
    history: bool,
}

impl Shared {
    pub(crate) fn new(runtime: Handle, waiting_max: usize) -> Arc<Self> {
        let core = Core {
            replica: Replica::default(),
            topics: BTreeMap::new(),
            options: BTreeMap::new(),
            actions: BTreeMap::new(),
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            services: BTreeMap::new(),
            registering: BTreeMap::new(),
            to_register: VecDeque::new(),
            queue: VecDeque::new(),
            waiting: 0,
            waiting_max,
            to_restore: VecDeque::new(),
            releases: VecDeque::new(),
            restored: Vec::new(),
            session: None,
            connections: 0,
            // What the server takes is known after its hello only.
            limits: Limits::unlimited(),
            tokens: VecDeque::new(),
            next_number: 0,
            group: None,
            began: Instant::now(),
            closed: false,
            authenticate: false,
            reconnect: false,
            resync: false,
            after: After::default(),
        };
        Arc::new(Self {
            core: Mutex::new(core),
            wake: Notify::new(),
            timer: Notify::new(),
            silence: Notify::new(),
            dispatch: Notify::new(),
            control: Notify::new(),
            state: watch::Sender::new(State::new(Connectivity::Connecting)),
            history: watch::Sender::new(History::default()),
            notices: broadcast::Sender::new(256),
            runtime,
        })
    }

    /// Works on the memory, then tells what came of it.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let result = work(&mut core);
        core.take_notes();
        if std::mem::take(&mut core.after.history) {
            let history = core.history();
            self.history.send_if_modified(|held| std::mem::replace(held, history) != history);
        }
        let after = std::mem::take(&mut core.after);
        drop(core);
        for settled in after.settled {
            settled.tell(self);
        }
        after.wakers.into_iter().for_each(Waker::wake);
        for notice in after.notices {
            self.notice(notice);
        }
        if after.wake {
            self.wake.notify_one();
        }
        if after.timer {
            self.timer.notify_one();
        }
        if after.dispatch {
            self.dispatch.notify_one();
        }
        result
    }

    pub(crate) fn notice(&self, notice: Notice) {
        // Nobody has to listen.
        let _ = self.notices.send(notice);
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything: whatever waits is settled, and the connection goes.
    pub(crate) fn close(&self, state: State) {
        let first = self.with(|core| core.close(&state));
        if first {
            self.state.send_replace(state);
        }
        self.control.notify_one();
        self.dispatch.notify_one();
    }

    /// Sets the state, unless the client was closed meanwhile.
    pub(crate) fn become_state(&self, state: State) {
        let core = self.lock();
        if !core.closed {
            self.state.send_replace(state);
        }
    }
}

impl Core {
    pub(crate) fn after(&mut self) -> &mut After {
        &mut self.after
    }

    /// Milliseconds since the client began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn number(&mut self) -> i64 {
        self.next_number += 1;
        self.next_number
    }

    /// Adds something that makes sense on this connection only.
    pub(crate) fn say_once(&mut self, message: &ClientMessage<'_>) {
        if self.session.is_some() {
            self.queue.push_back(Queued::Once(message.text()));
            self.after.wake = true;
        }
    }

    fn take_notes(&mut self) {
        let notes = self.replica.notes();
        for note in notes {
            match note {
                Note::Stepped(name) => {
                    if let Some(entry) = self.topics.get_mut(&name) {
                        self.after.wakers.extend(entry.streams.values_mut().filter_map(Option::take));
                        if let Some(listeners) = &mut entry.listeners
                            && let Some(cursor) = listeners.token()
                        {
                            self.tokens.push_back((name, cursor));
                            self.after.dispatch = true;
                        }
                    }
                }
                Note::Status(name) => {
                    let status = self.replica.status(&name);
                    if let Some(entry) = self.topics.get_mut(&name) {
                        entry.status.send_replace(status);
                        self.after.wakers.extend(entry.streams.values_mut().filter_map(Option::take));
                    }
                    self.after.wake = true;
                }
                Note::Settled(action, outcome) => {
                    self.settled(action, outcome);
                    (self.after.wake, self.after.history) = (true, true);
                }
                Note::History => self.after.history = true,
                Note::Gap(topic, reason) => {
                    self.after.wake = true;
                    self.after.notices.push(Notice::Gap { topic_name: topic.to_string(), reason });
                }
            }
        }
    }
}

/// Topics.
impl Core {
    pub(crate) fn hold(&mut self, name: &TopicName) -> &mut Entry {
        let status = self.replica.status(name);
        let entry = self.topics.entry(name.clone()).or_insert_with(|| Entry {
            handles: 0,
            pins: 0,
            released_at: None,
            status: watch::Sender::new(status),
            streams: BTreeMap::new(),
            listeners: None,
            mine: None,
        });
        self.after.wake = true;
        entry
    }

    /// Goes on with what was saved of another client.
    pub(crate) fn restore(&mut self, replica: Replica) {
        self.restored = replica.names().cloned().collect();
        self.replica = replica;
        for name in self.restored.clone() {
            self.hold(&name).pins += 1;
        }
    }

    /// Lets go of topics of a saved session that nothing is pending on, once what was missed is there.
    fn let_restored_go(&mut self) {
        if self.restored.is_empty() || self.replica.is_resuming() || self.replica.id().is_none() {
            return;
        }
        let (pending, done) =
            std::mem::take(&mut self.restored).into_iter().partition(|name| self.replica.has_pending(name));
        self.restored = pending;
        let done: Vec<TopicName> = done;
        for name in done {
            if let Some(entry) = self.topics.get_mut(&name) {
                entry.pins = entry.pins.saturating_sub(1);
            }
            self.let_go(&name);
        }
    }

    /// A handle or a pin was given back.
    pub(crate) fn let_go(&mut self, name: &TopicName) {
        let Some(entry) = self.topics.get_mut(name) else {
            return;
        };
        if entry.handles > 0 || entry.pins > 0 {
            return;
        }
        let queued = entry.released_at.replace(Instant::now() + GRACE).is_some();
        if !queued {
            self.releases.push_back(name.clone());
            self.after.timer = true;
        }
    }

    /// Ends the subscription of a topic now, if nobody holds it.
    pub(crate) fn release(&mut self, name: &TopicName) {
        let Some(entry) = self.topics.get(name) else {
            return;
        };
        if entry.handles > 0 || entry.pins > 0 {
            return;
        }
        let present = entry.mine.is_some();
        self.topics.remove(name);
        self.options.remove(name);
        if present {
            // Whoever does not hold the topic is not present in it.
            self.clear_presence(name);
        }
        self.replica.release(name);
        self.after.wake = true;
    }

    /// Ends what was released long enough ago; returns when to look again.
    pub(crate) fn release_due(&mut self, now: Instant) -> Option<Instant> {
        for _ in 0..self.releases.len() {
            let Some(name) = self.releases.front() else {
                break;
            };
            let at = self.topics.get(name).and_then(|entry| entry.released_at);
            let held = self.topics.get(name).is_some_and(|entry| entry.handles > 0 || entry.pins > 0);
            match at {
                Some(at) if at > now && !held => return Some(at),
                _ => {
                    let Some(name) = self.releases.pop_front() else {
                        break;
                    };
                    if let Some(entry) = self.topics.get_mut(&name) {
                        entry.released_at = None;
                    }
                    self.release(&name);
                }
            }
        }
        None
    }
}

/// The connection.
impl Core {
    pub(crate) fn connected(&mut self, hello: Hello) {
        self.connections += 1;
        self.limits = hello.limits.clone();
        let goes_on = matches!(hello.resumed, Some(Resumption::Resumed | Resumption::Resynced));
        let (id, session, limits) = (hello.id, hello.session.clone(), hello.limits.clone());
        self.replica.connected(Greeting { id, session, goes_on, limits });
        self.to_register = self.services.keys().cloned().collect();
        self.registering.clear();
        self.to_restore =
            self.topics.iter().filter(|(_, entry)| entry.mine.is_some()).map(|(name, _)| name.clone()).collect();
        self.session = Some(Session { hello, heard_at: Instant::now(), probed: false, goodbye: None });
        self.after.wake = true;
        self.after.timer = true;
    }

    /// What to say in a hello, to go on with the session there was.
    pub(crate) fn known(&mut self) -> (Option<chatroom_protocol::message::Session>, Known) {
        let Some(resume) = self.replica.resume() else {
            return (None, Known::default());
        };
        let held = |(topic_name, kind, sequence)| {
            let options = self.options.get(&topic_name).copied().unwrap_or_default();
            HeldTopic { topic_name, topic_type: Some(kind), options, sequence }
        };
        let topics = resume.topics.into_iter().map(held).collect();
        (Some(resume.session), Known { acknowledged: resume.acknowledged, topics })
    }

    /// The connection is gone: what belonged to it ends, the rest waits for the next.
    pub(crate) fn disconnected(&mut self) -> Option<Session> {
        let session = self.session.take();
        self.replica.disconnected();
        self.queue.retain(|queued| !matches!(queued, Queued::Once(_)));
        self.to_register.clear();
        self.to_restore.clear();
        self.registering.clear();
        self.lose_calls();
        self.lose_requests();
        session
    }

    /// The next messages to write; empty when there is nothing to say.
    pub(crate) fn batch(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        if self.session.is_none() {
            return texts;
        }
        for asking in self.replica.asking() {
            texts.push(match asking {
                Asking::Subscribe(topic_name, topic_type) => {
                    let options = self.options.get(&topic_name).copied().unwrap_or_default();
                    ClientMessage::Subscribe { topic_name, topic_type, options }.text()
                }
                Asking::Unsubscribe(topic_name) => ClientMessage::Unsubscribe { topic_name }.text(),
            });
        }
        while let Some(name) = self.to_register.pop_front() {
            texts.extend(self.registration_text(&name));
        }
        while !self.replica.is_resuming()
            && let Some(name) = self.to_restore.pop_front()
        {
            self.restore_presence(&name);
        }
        while let Some(push) = self.replica.push() {
            texts.push(push);
        }
        self.let_restored_go();
        let mut bytes = texts.iter().map(String::len).sum::<usize>();
        while bytes < BATCH_BYTES
            && let Some(queued) = self.queue.pop_front()
        {
            let text = match queued {
                Queued::Once(text) => Some(text),
                Queued::Call(number) => {
                    self.waiting -= 1;
                    self.call_text(number)
                }
            };
            bytes += text.as_ref().map_or(0, String::len);
            texts.extend(text);
        }
        texts
    }

    pub(crate) fn probe(&mut self) {
        if let (Ok(service_name), Some(session)) = (ServiceName::parse(TIME), &mut self.session) {
            session.probed = true;
            let probe = ClientMessage::Request {
                service_name,
                args: RawValue::NULL,
                request_id: RequestId::Text("probe".into()),
                timeout_ms: None,
            };
            // Not behind a change that waits for its topic.
            self.queue.push_front(Queued::Once(probe.text()));
            self.after.wake = true;
        }
    }

    pub(crate) fn heard_something(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.heard_at = now;
            session.probed = false;
        }
    }

    /// One message of the server.
    pub(crate) fn heard(&mut self, shared: &Arc<Shared>, message: Heard<'_>) {
        if self.closed {
            return;
        }
        match message {
            Heard::Subscribed { topic_name, topic_type, value, sequence } => {
                self.replica.subscribed(&topic_name, topic_type, value, sequence);
                // Whether or not it became live, what waited for the answer may go on.
                self.after.wake = true;
            }
            Heard::Update { topic_name, change, place } => self.replica.update(&topic_name, change, place),
            Heard::Action { sequence, by, changes, .. } => self.replica.action(sequence, by, &changes),
            Heard::Accepted { id: ChangeId::Number(number), sequence, previous, effect, changes } => {
                self.replica.accepted(number.unsigned_abs(), sequence, &previous, effect, changes.as_deref());
                self.after.wake = true;
            }
            Heard::RejectUpdate {
                topic_name,
                change,
                reason,
                code,
                retryable,
                action_id: Some(ChangeId::Number(number)),
            } => {
                let change = serde_json::from_str(change.get()).unwrap_or_default();
                let code = ErrorCode::new(code);
                let refused = Refused { code, reason, topic_name, change, retryable, maybe_executed: false };
                self.replica.rejected(number.unsigned_abs(), refused);
                self.after.wake = true;
            }
            Heard::Resumed { .. } => {
                self.replica.resumed();
                self.after.wake = true;
            }
            // Answers to what this client does not send.
            Heard::Accepted { .. } | Heard::RejectUpdate { .. } => {}
            Heard::Registered { service_name } => self.registered(&service_name, Ok(())),
            Heard::Request { service_name, args, request_id, timeout_ms, by } => {
                self.requested(shared, &service_name, args, request_id, timeout_ms, by);
            }
            Heard::Response { request_id: RequestId::Number(number), result, maybe_executed } => {
                self.responded(number, result, maybe_executed);
            }
            Heard::Progress { request_id: RequestId::Number(number), data } => self.progressed(number, data),
            // The answer to a probe.
            Heard::Response { .. } | Heard::Progress { .. } => {}
            Heard::Cancel { request_id } => self.request_cancelled(&request_id),
            Heard::Error { code, reason, about } => self.error(ErrorCode::new(code), reason, about),
            Heard::Goodbye { code, reason, reconnect } => {
                let code = ErrorCode::new(code);
                self.after.notices.push(Notice::Goodbye { code, reason: reason.clone() });
                if let Some(session) = &mut self.session {
                    session.goodbye = Some((code, reason, reconnect));
                }
            }
            Heard::Hello(_) | Heard::Unknown { .. } => {}
        }
    }

    fn error(&mut self, code: ErrorCode, reason: String, about: About) {
        let topic = about.topic_name.as_deref().and_then(|name| TopicName::parse(name).ok());
        let service = about.service_name.as_deref().and_then(|name| ServiceName::parse(name).ok());
        match (about.kind.as_deref(), topic, service, &about.request_id) {
            (Some("subscribe"), Some(topic), ..) => self.replica.refused(&topic, code, &reason),
            (Some("register_service"), _, Some(service), _) => self.registered(&service, Err((code, reason))),
            // What was pushed was not understood: only a new beginning can tell what became of it.
            (Some("push"), ..) => {
                self.after.notices.push(Notice::Error { code, reason, about });
                self.resync = true;
                self.after.wake = true;
            }
            (Some("request"), _, _, Some(RequestId::Number(number))) => {
                let error =
                    chatroom_protocol::message::ServiceError { code: code.number(), message: reason, data: None };
                self.responded(*number, Err(error), false);
            }
            // Answers that crossed with the end of what they were about.
            (Some("cancel" | "response" | "progress"), ..) if code == Code::UnknownRequest => {}
            (Some("unregister_service"), ..) if code == Code::NotRegistered => {}
            _ => self.after.notices.push(Notice::Error { code, reason, about }),
        }
    }

    fn close(&mut self, state: &State) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return false;
        }
        let code = state.code.unwrap_or(Code::Closed.into());
        self.replica.close(code.known().unwrap_or(Code::Closed), &state.reason);
        self.close_calls(code, &state.reason);
        self.close_services(code, &state.reason);
        self.queue.clear();
        self.waiting = 0;
        for entry in self.topics.values_mut() {
            self.after.wakers.extend(entry.streams.values_mut().filter_map(Option::take));
        }
        true
    }

    pub(crate) fn me(&self) -> Option<ClientId> {
        self.replica.id()
    }
}
