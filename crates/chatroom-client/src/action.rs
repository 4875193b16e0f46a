//! Own changes on their way: queued, sent, and settled exactly once.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use chatroom_protocol::change::RawChange;
use chatroom_protocol::{ChangeId, ClientMessage, Code, Refusal, Sequence, TopicName};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::client::Notice;
use crate::core::{Core, NotYet, Queued, Shared};
use crate::error::{ErrorCode, Rejected};
use crate::kind::Kind;
use crate::replica::{Part, Status};
use crate::topic::Topic;

/// The outcome of a change or an action, to be awaited or not.
///
/// It is on its way already. Awaiting tells whether the room took it; a refusal that nobody awaits
/// goes to [`Client::notices`](crate::Client::notices).
#[derive(Debug)]
pub struct Action {
    outcome: ActionFuture,
}

/// What [`Action`] turns into when it is awaited.
#[derive(Debug)]
pub struct ActionFuture {
    outcome: oneshot::Receiver<Result<Accepted, Rejected>>,
    shared: Weak<Shared>,
    taken: bool,
}

/// The room took the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Its place in the room's order.
    pub sequence: Sequence,
}

impl IntoFuture for Action {
    type Output = Result<Accepted, Rejected>;
    type IntoFuture = ActionFuture;

    fn into_future(self) -> ActionFuture {
        self.outcome
    }
}

impl Future for ActionFuture {
    type Output = Result<Accepted, Rejected>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        self.taken = true;
        Poll::Ready(outcome.unwrap_or_else(|_| Err(rejection(Code::Closed, "the client was closed", "", Value::Null))))
    }
}

impl Drop for ActionFuture {
    fn drop(&mut self) {
        // From here on the other side keeps what it cannot deliver.
        self.outcome.close();
        if !self.taken
            && let Ok(Err(rejected)) = self.outcome.try_recv()
            && let Some(shared) = self.shared.upgrade()
        {
            shared.notice(Notice::Rejected(rejected));
        }
    }
}

/// An outcome on its way to whoever awaits it.
#[derive(Debug)]
pub(crate) struct Settled {
    to: oneshot::Sender<Result<Accepted, Rejected>>,
    outcome: Result<Accepted, Rejected>,
}

impl Settled {
    pub(crate) fn tell(self, shared: &Shared) {
        if let Err(Err(rejected)) = self.to.send(self.outcome) {
            shared.notice(Notice::Rejected(rejected));
        }
    }
}

/// A change before it has an id, and perhaps before its positions are known.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) body: Result<Map<String, Value>, Refusal>,
    /// Fields to be counted from the end: -1 is the last item, [`END`] the place after it.
    pub(crate) from_end: Vec<(&'static str, i64)>,
}

/// The place after the last item.
pub(crate) const END: i64 = i64::MAX;

impl Draft {
    pub(crate) fn new(kind: &str) -> Self {
        let mut body = Map::new();
        body.insert("type".into(), kind.into());
        Self { body: Ok(body), from_end: Vec::new() }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { body: Err(refusal), from_end: Vec::new() }
    }

    /// A whole change as JSON; its id is replaced.
    pub(crate) fn json(change: Value) -> Self {
        match change {
            Value::Object(body) => Self { body: Ok(body), from_end: Vec::new() },
            _ => Self::refused(Refusal::new(Code::BadType, "a change is an object {\"type\": ...}")),
        }
    }

    pub(crate) fn field(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(body) = &mut self.body {
            match serde_json::to_value(value) {
                Ok(value) => {
                    body.insert(name.to_owned(), value);
                }
                Err(error) => self.body = Err(Refusal::new(Code::BadType, format!("{name}: {error}"))),
            }
        }
        self
    }

    /// A number; JSON would quietly write `null` for one that is not finite.
    pub(crate) fn finite(self, name: &str, value: f64) -> Self {
        match value.is_finite() {
            true => self.field(name, value),
            false => Self::refused(Refusal::new(Code::NotFinite, format!("{name} is not a finite number"))),
        }
    }

    /// A position; a negative one counts from the end.
    pub(crate) fn position(mut self, name: &'static str, position: i64) -> Self {
        if (0..END).contains(&position) {
            return self.field(name, position);
        }
        self.from_end.push((name, position));
        self
    }

    /// Counts positions from the end, now that the length is known.
    fn resolve(&mut self, length: usize) -> Result<(), Refusal> {
        let body = self.body.as_mut().map_err(|refusal| refusal.clone())?;
        for (name, position) in self.from_end.drain(..) {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let place = if position == END { length } else { length.saturating_add(position) };
            if place < 0 {
                return Err(Refusal::new(
                    Code::OutOfRange,
                    format!("{name} {position} is before the beginning of a list of {length}"),
                ));
            }
            body.insert(name.to_owned(), place.into());
        }
        Ok(())
    }

    fn shown(&self) -> Value {
        self.body.as_ref().map_or(Value::Null, |body| Value::Object(body.clone()))
    }
}

/// An own action that has no outcome yet.
#[derive(Debug)]
pub(crate) struct Acting {
    to: Option<oneshot::Sender<Result<Accepted, Rejected>>>,
    topics: Vec<TopicName>,
    /// Parts whose positions wait for their topics' values.
    drafts: Option<Vec<(TopicName, Draft)>>,
    text: String,
    shown: Vec<(TopicName, Value)>,
    grouped: bool,
    sent: bool,
}

impl Shared {
    /// Sends one change, or several together.
    pub(crate) fn act(self: &Arc<Self>, parts: Vec<(TopicName, Draft)>, grouped: bool) -> Action {
        let (to, outcome) = oneshot::channel();
        self.with(|core| core.act(to, parts, grouped));
        Action { outcome: ActionFuture { outcome, shared: Arc::downgrade(self), taken: false } }
    }
}

type To = oneshot::Sender<Result<Accepted, Rejected>>;

impl Core {
    fn act(&mut self, to: To, parts: Vec<(TopicName, Draft)>, grouped: bool) {
        let shown = parts.iter().map(|(topic, draft)| (topic.clone(), draft.shown())).collect();
        let id = self.change_id();
        let mut acting = Acting {
            to: Some(to),
            topics: parts.iter().map(|(topic, _)| topic.clone()).collect(),
            drafts: None,
            text: String::new(),
            shown,
            grouped,
            sent: false,
        };
        let refusal = if self.closed {
            Some(Refusal::new(Code::Closed, "the client was closed"))
        } else if self.waiting >= self.waiting_max {
            Some(Refusal::new(
                Code::Busy,
                format!("{} messages wait to be sent already; wait for some of them", self.waiting_max),
            ))
        } else if parts.is_empty() {
            Some(Refusal::new(Code::BadType, "an action has at least one change"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.settle(acting, Err((refusal.code.into(), refusal.reason.into_owned(), 0)));
        }
        for topic in &acting.topics {
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.pins += 1;
            }
        }
        acting.drafts = Some(parts);
        self.actions.insert(id.clone(), acting);
        self.waiting += 1;
        self.queue.push_back(Queued::Action(id.clone()));
        // Drafts before this one may still wait for their values, and come first.
        self.try_draft(&id);
        if !self.actions.contains_key(&id) {
            self.queue.pop_back();
            self.waiting -= 1;
        }
        self.after().wake = true;
    }

    pub(crate) fn change_id(&mut self) -> ChangeId {
        let number = self.number();
        ChangeId::Text(format!("{}-{number}", self.id_prefix).into())
    }

    /// Gives drafts their positions in the order in which they were made.
    pub(crate) fn settle_drafts(&mut self) {
        for id in std::mem::take(&mut self.undrafted) {
            self.try_draft(&id);
        }
    }

    /// Checks an action and writes its text, once everything for it is known.
    fn try_draft(&mut self, id: &ChangeId) {
        let Some(mut drafts) = self.actions.get_mut(id).and_then(|acting| acting.drafts.take()) else {
            return;
        };
        let needs =
            |(topic, draft): &(TopicName, Draft)| !draft.from_end.is_empty() && self.replica.length(topic).is_none();
        if let Some((topic, _)) = drafts.iter().find(|part| needs(part)) {
            match self.replica.status(topic) {
                Status::Loading | Status::Stale | Status::Live => {
                    if let Some(acting) = self.actions.get_mut(id) {
                        acting.drafts = Some(drafts);
                        self.undrafted.push_back(id.clone());
                    }
                }
                Status::Denied { code, reason } => self.finish(id, Err((code, reason, 0))),
                Status::Removed => {
                    let code = Code::TopicDeleted.into();
                    self.finish(id, Err((code, "the topic was deleted".into(), 0)));
                }
            }
            return;
        }
        let Some(acting) = self.actions.get(id) else {
            return;
        };
        let mut parts = Vec::with_capacity(drafts.len());
        let mut failed = None;
        for (index, (topic, draft)) in drafts.iter_mut().enumerate() {
            let length = self.replica.length(topic);
            let resolved = draft.resolve(length.unwrap_or_default()).and_then(|()| {
                let mut body = draft.body.clone()?;
                if acting.grouped {
                    body.remove("id");
                } else {
                    body.insert("id".into(), json!(id));
                }
                let raw = serde_json::value::to_raw_value(&body)
                    .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
                self.replica.check(topic, &raw, &self.limits)?;
                Ok(raw)
            });
            match resolved {
                Ok(change) => parts.push(Part { topic: topic.clone(), change }),
                Err(refusal) => {
                    failed = Some((refusal, index));
                    break;
                }
            }
        }
        if let Some((refusal, index)) = failed {
            return self.finish(id, Err((refusal.code.into(), refusal.reason.into_owned(), index)));
        }
        let text = match (acting.grouped, parts.as_slice()) {
            (false, [part]) => {
                ClientMessage::Update { topic_name: part.topic.clone(), change: &part.change, base: None }.text()
            }
            _ => ClientMessage::Action {
                action_id: id.clone(),
                changes: parts.iter().map(|part| (part.topic.clone(), &*part.change)).collect(),
                base: None,
            }
            .text(),
        };
        self.replica.begin(id, parts);
        if let Some(acting) = self.actions.get_mut(id) {
            acting.text = text;
        }
    }

    /// The text of an action whose turn it is; `None` if it ended meanwhile.
    pub(crate) fn action_text(&mut self, id: &ChangeId) -> Result<Option<String>, NotYet> {
        let limits = (self.limits.message_bytes, self.limits.action_changes);
        let Some(acting) = self.actions.get_mut(id) else {
            return Ok(None);
        };
        if acting.drafts.is_some() {
            return Err(NotYet);
        }
        let refusal = if acting.text.len() > limits.0 {
            Some(format!("a message has at most {} bytes, this one has {}", limits.0, acting.text.len()))
        } else if acting.topics.len() > limits.1 {
            Some(format!("an action has at most {} changes, this one has {}", limits.1, acting.topics.len()))
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.finish(id, Err((Code::TooBig.into(), reason, 0)));
            return Ok(None);
        }
        acting.sent = true;
        let text = std::mem::take(&mut acting.text);
        let topics = acting.topics.clone();
        self.remember_presence(id, &topics);
        Ok(Some(text))
    }

    pub(crate) fn action_accepted(&mut self, id: &ChangeId, sequence: Sequence) {
        self.finish(id, Ok(Accepted { sequence }));
    }

    pub(crate) fn action_rejected(
        &mut self,
        action_id: Option<ChangeId>,
        topic_name: &str,
        change: &RawValue,
        code: ErrorCode,
        reason: String,
        retryable: bool,
    ) {
        let id = action_id.or_else(|| RawChange::parse(change).ok().and_then(|change| change.id));
        let Some(id) = id else {
            return;
        };
        let Some(mut acting) = self.actions.remove(&id) else {
            return;
        };
        self.forget_action(&id, &acting);
        self.presence_refused(&acting.topics);
        if let Some(to) = acting.to.take() {
            let part = acting.shown.iter().find(|(topic, _)| topic.as_str() == topic_name).or(acting.shown.first());
            let topic_name = part.map_or(topic_name, |(topic, _)| topic.as_str()).to_owned();
            let change = serde_json::from_str(change.get()).unwrap_or_default();
            let rejected = Rejected { code, reason, topic_name, change, retryable, maybe_executed: false };
            self.after().settled.push(Settled { to, outcome: Err(rejected) });
        }
    }

    /// Settles what had been sent when the connection went: nobody knows its outcome.
    pub(crate) fn lose_actions(&mut self) {
        let sent: Vec<ChangeId> =
            self.actions.iter().filter(|(_, acting)| acting.sent).map(|(id, _)| id.clone()).collect();
        for id in sent {
            let Some(mut acting) = self.actions.remove(&id) else {
                continue;
            };
            self.forget_action(&id, &acting);
            if let Some(to) = acting.to.take() {
                let (topic, change) = acting.first();
                let reason = "the connection was lost before the outcome was known";
                let rejected =
                    Rejected { maybe_executed: true, ..rejection(Code::ConnectionLost, reason, &topic, change) };
                self.after().settled.push(Settled { to, outcome: Err(rejected) });
            }
        }
    }

    pub(crate) fn close_actions(&mut self, code: ErrorCode, reason: &str) {
        let ids: Vec<ChangeId> = self.actions.keys().cloned().collect();
        for id in ids {
            let sent = self.actions.get(&id).is_some_and(|acting| acting.sent);
            let Some(mut acting) = self.actions.remove(&id) else {
                continue;
            };
            self.forget_action(&id, &acting);
            if let Some(to) = acting.to.take() {
                let (topic_name, change) = acting.first();
                let rejected = Rejected {
                    code,
                    reason: reason.to_owned(),
                    topic_name,
                    change,
                    retryable: false,
                    maybe_executed: sent,
                };
                self.after().settled.push(Settled { to, outcome: Err(rejected) });
            }
        }
    }

    fn finish(&mut self, id: &ChangeId, outcome: Result<Accepted, (ErrorCode, String, usize)>) {
        if let Some(acting) = self.actions.remove(id) {
            self.forget_action(id, &acting);
            self.settle(acting, outcome);
        }
    }

    fn settle(&mut self, mut acting: Acting, outcome: Result<Accepted, (ErrorCode, String, usize)>) {
        let Some(to) = acting.to.take() else {
            return;
        };
        let outcome = outcome.map_err(|(code, reason, part)| {
            let (topic_name, change) = match acting.shown.get(part) {
                Some((topic, change)) => (topic.to_string(), change.clone()),
                None => acting.first(),
            };
            Rejected { code, reason, topic_name, change, retryable: code.is_retryable(), maybe_executed: false }
        });
        self.after().settled.push(Settled { to, outcome });
    }

    fn forget_action(&mut self, id: &ChangeId, acting: &Acting) {
        self.replica.forget(id);
        for topic in &acting.topics {
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.pins = entry.pins.saturating_sub(1);
                self.let_go(topic);
            }
        }
    }
}

impl Acting {
    fn first(&self) -> (String, Value) {
        self.shown.first().map_or_else(Default::default, |(topic, change)| (topic.to_string(), change.clone()))
    }

    /// Something sent that nobody awaits.
    pub(crate) fn unattended() -> Self {
        Self {
            to: None,
            topics: Vec::new(),
            drafts: None,
            text: String::new(),
            shown: Vec::new(),
            grouped: false,
            sent: true,
        }
    }
}

fn rejection(code: Code, reason: &str, topic_name: &str, change: Value) -> Rejected {
    Rejected {
        code: code.into(),
        reason: reason.to_owned(),
        topic_name: topic_name.to_owned(),
        change,
        retryable: code.retryable(),
        maybe_executed: false,
    }
}

/// Gathers the changes of one action; see [`Client::action`](crate::Client::action).
#[derive(Debug, Default)]
pub struct Transaction {
    pub(crate) parts: Vec<(TopicName, Draft)>,
}

impl Transaction {
    /// The changes of a topic, as a part of this action.
    pub fn on<'t, K: Kind>(&'t mut self, topic: &Topic<K>) -> Editing<'t, K> {
        Editing { transaction: self, topic: topic.topic_name().clone(), kind: std::marker::PhantomData }
    }
}

/// A topic within a [`Transaction`]: it has the changes of the topic's kind.
#[derive(Debug)]
pub struct Editing<'t, K> {
    transaction: &'t mut Transaction,
    topic: TopicName,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K> Editing<'_, K> {
    pub(crate) fn draft(&mut self, draft: Draft) -> &mut Self {
        self.transaction.parts.push((self.topic.clone(), draft));
        self
    }
}
