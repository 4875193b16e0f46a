//! Own changes on their way: queued, sent, and settled exactly once.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use chatroom_protocol::change::{Component, RawChange, StringChange};
use chatroom_protocol::{Change, ClientId, Code, Limits, Refusal, TopicName, TopicType, TopicValue};
use chatroom_replica::{Accepted, ActionId, How, Intent, Outcome, Refused};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::client::Notice;
use crate::core::{Core, Shared};
use crate::error::Rejected;
use crate::kind::Kind;
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
    pub(crate) fn new(to: oneshot::Sender<Result<Accepted, Rejected>>, outcome: Result<Accepted, Rejected>) -> Self {
        Self { to, outcome }
    }

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
    /// The change itself, where nothing of it has to be read: a keystroke costs no JSON.
    pub(crate) ready: Option<Change>,
}

/// The place after the last item.
pub(crate) const END: i64 = i64::MAX;

impl Draft {
    pub(crate) fn new(kind: &str) -> Self {
        let mut body = Map::new();
        body.insert("type".into(), kind.into());
        Self { body: Ok(body), from_end: Vec::new(), ready: None }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { body: Err(refusal), from_end: Vec::new(), ready: None }
    }

    /// An edit of a text.
    pub(crate) fn edit(components: &[Component]) -> Self {
        let change = Change::String(StringChange::edit(components.iter().cloned()));
        Self { body: Ok(Map::new()), from_end: Vec::new(), ready: Some(change) }
    }

    /// A whole change as JSON; its id is replaced.
    pub(crate) fn json(change: Value) -> Self {
        match change {
            Value::Object(body) => Self { body: Ok(body), from_end: Vec::new(), ready: None },
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

    /// What the replica is asked for: a change where everything for it is known.
    fn intent(self, kind: Option<TopicType>, author: ClientId, limits: &Arc<Limits>) -> Result<Intent, Refusal> {
        let Self { body, from_end, ready } = self;
        if let Some(change) = ready {
            return match &change {
                Change::String(StringChange::Edit(components)) if components.len() > limits.edit_components => {
                    let most = limits.edit_components;
                    let found = components.len();
                    Err(Refusal::new(
                        Code::TooBig,
                        format!("an edit has at most {most} components, this one has {found}"),
                    ))
                }
                _ => Ok(Intent::Change(change)),
            };
        }
        let body = body?;
        let limits = limits.clone();
        let relative = !from_end.is_empty();
        let make = move |kind: TopicType, value: Option<&TopicValue>| {
            let mut body = body.clone();
            resolve(&mut body, &from_end, value)?;
            body.remove("id");
            let raw = serde_json::value::to_raw_value(&body)
                .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
            RawChange::parse(&raw)?.decode(kind, author, &limits)
        };
        match kind {
            Some(kind) if !relative => make(kind, None).map(Intent::Change),
            _ if relative => Ok(Intent::Made(Arc::new(make))),
            _ => Ok(Intent::Typed(Arc::new(make))),
        }
    }

    fn shown(&self) -> Value {
        if self.ready.is_some() {
            // Made when it is refused, which is seldom.
            return Value::Null;
        }
        self.body.as_ref().map_or(Value::Null, |body| Value::Object(body.clone()))
    }
}

/// Counts positions from the end, now that the length is known.
fn resolve(
    body: &mut Map<String, Value>,
    from_end: &[(&'static str, i64)],
    value: Option<&TopicValue>,
) -> Result<(), Refusal> {
    let length = match value {
        Some(TopicValue::List(items)) => items.len(),
        Some(TopicValue::String(text)) => text.scalars(),
        _ => 0,
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    for (name, position) in from_end {
        let place = if *position == END { length } else { length.saturating_add(*position) };
        if place < 0 {
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("{name} {position} is before the beginning of a list of {length}"),
            ));
        }
        body.insert((*name).to_owned(), place.into());
    }
    Ok(())
}

/// An own action that has no outcome yet.
#[derive(Debug)]
pub(crate) struct Acting {
    to: Option<oneshot::Sender<Result<Accepted, Rejected>>>,
    topics: Vec<TopicName>,
    shown: Vec<(TopicName, Value)>,
}

impl Shared {
    /// Makes one change, or several together.
    pub(crate) fn act(self: &Arc<Self>, parts: Vec<(TopicName, Draft)>, tracked: bool) -> Action {
        let (to, outcome) = oneshot::channel();
        self.with(|core| core.act(Some(to), parts, tracked));
        Action { outcome: ActionFuture { outcome, shared: Arc::downgrade(self), taken: false } }
    }
}

type To = oneshot::Sender<Result<Accepted, Rejected>>;

impl Core {
    pub(crate) fn act(&mut self, to: Option<To>, parts: Vec<(TopicName, Draft)>, tracked: bool) {
        let shown: Vec<_> = parts.iter().map(|(topic, draft)| (topic.clone(), draft.shown())).collect();
        let topics: Vec<TopicName> = parts.iter().map(|(topic, _)| topic.clone()).collect();
        let acting = Acting { to, topics, shown };
        if self.closed {
            return self.refuse(acting, 0, &Refusal::new(Code::Closed, "the client was closed"));
        }
        if self.replica.unsaved() >= self.waiting_max {
            let most = self.waiting_max;
            let refusal =
                Refusal::new(Code::Busy, format!("{most} messages wait to be sent already; wait for some of them"));
            return self.refuse(acting, 0, &refusal);
        }
        let (author, limits) = (self.me().unwrap_or(ClientId::SERVER), Arc::new(self.limits.clone()));
        let mut intents = Vec::with_capacity(parts.len());
        for (index, (topic, draft)) in parts.into_iter().enumerate() {
            let kind = self.replica.kind(&topic);
            match draft.intent(kind, author, &limits) {
                Ok(intent) => intents.push((topic, intent)),
                Err(refusal) => return self.refuse(acting, index, &refusal),
            }
        }
        let how = How { tracked, group: self.group, now_ms: self.now_ms() };
        match self.replica.act(intents, how, &limits) {
            Ok(id) => {
                self.remember_presence(&acting.topics);
                self.keep(id, acting);
            }
            Err((index, refusal)) => self.refuse(acting, index, &refusal),
        }
    }

    /// Waits for the outcome of an action that was made.
    fn keep(&mut self, id: ActionId, acting: Acting) {
        for topic in &acting.topics {
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.pins += 1;
            }
        }
        self.actions.insert(id, acting);
        self.after().wake = true;
    }

    fn refuse(&mut self, acting: Acting, part: usize, refusal: &Refusal) {
        let (topic, change) = acting
            .shown
            .get(part)
            .map_or_else(|| (String::new(), Value::Null), |(topic, change)| (topic.to_string(), change.clone()));
        if let Some(to) = acting.to {
            let rejected = rejection(refusal.code, &refusal.reason, &topic, change);
            self.after().settled.push(Settled::new(to, Err(rejected)));
        }
    }

    /// An action has its outcome.
    pub(crate) fn settled(&mut self, id: ActionId, outcome: Outcome) {
        let Some(acting) = self.actions.remove(&id) else {
            // An undo or redo, which nobody awaits.
            if let Outcome::Refused(refused) = outcome
                && refused.code != Code::Cancelled
            {
                self.after().notices.push(Notice::Rejected(refused.into()));
            }
            return;
        };
        for topic in &acting.topics {
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.pins = entry.pins.saturating_sub(1);
                self.let_go(topic);
            }
        }
        let outcome = match outcome {
            Outcome::Accepted(accepted) => Ok(accepted),
            Outcome::Refused(refused) => {
                self.presence_refused(&acting.topics);
                let mut rejected = Rejected::from(refused);
                let part = acting.shown.iter().find(|(topic, _)| topic.as_str() == rejected.topic_name);
                if let Some((topic, change)) = part.or(acting.shown.first()) {
                    if rejected.topic_name.is_empty() {
                        rejected.topic_name = topic.to_string();
                    }
                    if rejected.change.is_null() {
                        rejected.change = change.clone();
                    }
                }
                Err(rejected)
            }
        };
        if let Some(to) = acting.to {
            self.after().settled.push(Settled::new(to, outcome));
        }
    }
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        let Refused { code, reason, topic_name, change, retryable, maybe_executed } = refused;
        Self { code, reason, topic_name, change, retryable, maybe_executed }
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
    pub(crate) untracked: bool,
}

impl Transaction {
    /// Leaves this action out of what [`Client::undo`](crate::Client::undo) takes back.
    pub fn untracked(&mut self) -> &mut Self {
        self.untracked = true;
        self
    }

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
