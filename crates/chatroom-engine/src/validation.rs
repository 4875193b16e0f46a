//! Authorities: clients that decide whether a topic's changes are valid.
//!
//! A guarded topic has a queue of actions. An action that touches several guarded topics stands in
//! all their queues, put there at once, so the oldest one is always first in each of its queues and
//! nothing can wait in a circle.

use std::collections::{BTreeMap, VecDeque};

use chatroom_protocol::change::{Step, StringChange, WireChange};
use chatroom_protocol::message::ServiceError;
use chatroom_protocol::reply::UpdateChange;
use chatroom_protocol::{Change, ClientId, Code, Dialect, Refusal, ServiceName, TopicName, TopicValue};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::action::{Action, Author, Failure, Moved};
use crate::input::ConnectionId;
use crate::room::{NoAuthority, Room};
use crate::service::Caller;

const PREFIX: &str = "_chatroom/validate_change/";

/// The guard of one topic.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// The authority, then its standbys.
    authorities: VecDeque<ConnectionId>,
    /// An authority was lost, and none came after it.
    orphaned: bool,
    queue: VecDeque<ActionKey>,
}

/// The number of a waiting action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ActionKey(u64);

/// An action that waits for authorities.
#[derive(Debug)]
pub(crate) struct Waiting {
    action: Action<'static>,
    topics: Vec<TopicName>,
    /// The part that is being asked about; those before it were found valid.
    part: usize,
    /// How many authorities were silent about this part.
    silent: usize,
    /// Whether a question is out.
    asked: bool,
}

/// What an authority was asked: about which part of which action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    key: ActionKey,
    part: usize,
}

/// What an authority gets to see.
#[derive(Serialize)]
struct Args<'a> {
    change: UpdateChange<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_name: Option<&'a TopicName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a TopicValue>,
}

#[derive(Debug, Default)]
pub(crate) struct Validation {
    guards: BTreeMap<TopicName, Guard>,
    waiting: BTreeMap<ActionKey, Waiting>,
    next_key: u64,
}

impl Validation {
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn guards(&self) -> usize {
        self.guards.len()
    }
}

fn guarded_topic(name: &ServiceName) -> Result<TopicName, Refusal> {
    let topic = name.as_str().strip_prefix(PREFIX).ok_or_else(|| {
        Refusal::new(
            Code::Forbidden,
            format!("services under _chatroom/ belong to the server; clients may provide {PREFIX}TOPIC alone"),
        )
    })?;
    let topic = TopicName::parse(topic)?;
    if topic.is_reserved() {
        return Err(Refusal::new(Code::Forbidden, format!("{topic} is written by the server alone")));
    }
    Ok(topic)
}

impl Room {
    /// The clients that decide about a topic, the first of them the one that is asked.
    #[must_use]
    pub fn authorities(&self, topic: &str) -> Vec<ClientId> {
        let guard = self.validation.guards.get(topic);
        guard
            .into_iter()
            .flat_map(|guard| &guard.authorities)
            .filter_map(|connection| self.client_of(*connection))
            .collect()
    }

    pub(crate) fn is_guarded(&self, topic: &TopicName) -> bool {
        self.validation.guards.contains_key(topic)
    }

    pub(crate) fn validation_waits(&self, topic: &TopicName) -> bool {
        self.validation.guards.get(topic).is_some_and(|guard| !guard.queue.is_empty())
    }

    pub(crate) fn register_authority(&mut self, connection: ConnectionId, name: &ServiceName) -> Result<(), Refusal> {
        let guard = self.validation.guards.entry(guarded_topic(name)?).or_default();
        guard.authorities.push_back(connection);
        guard.orphaned = false;
        Ok(())
    }

    /// An authority left: on purpose, which may end the guard, or by being lost, which may not.
    pub(crate) fn authority_gone(&mut self, connection: ConnectionId, name: &ServiceName, on_purpose: bool) {
        let Ok(topic) = guarded_topic(name) else {
            return;
        };
        let Some(guard) = self.validation.guards.get_mut(&topic) else {
            return;
        };
        guard.authorities.retain(|authority| *authority != connection);
        if !guard.authorities.is_empty() {
            return;
        }
        let protects = self.topics.contains_key(&topic) && !on_purpose;
        guard.orphaned = protects;
        // A question that is out comes back through `ask_again`, which goes on with the queue.
        if !protects && guard.queue.is_empty() {
            self.validation.guards.remove(&topic);
        }
    }

    /// The topic is gone; its guard stays only for authorities that wait for it to come again.
    pub(crate) fn guard_forgotten(&mut self, topic: &TopicName) {
        if self.validation.guards.get(topic).is_some_and(|guard| guard.authorities.is_empty() && guard.queue.is_empty())
        {
            self.validation.guards.remove(topic);
        }
    }

    pub(crate) fn wait_for_authority(&mut self, action: Action<'_>) {
        let mut topics: Vec<TopicName> = Vec::new();
        for (index, part) in action.parts.iter().enumerate() {
            let Some(guard) = self.validation.guards.get(&part.topic_name) else {
                continue;
            };
            if guard.queue.len() >= self.config.limits.validation_queue {
                let refusal = Refusal::new(
                    Code::Busy,
                    format!("{} changes of {} wait for its authority already", guard.queue.len(), part.topic_name),
                );
                self.reject_part(&action, &Failure { part: index, topic_name: None, refusal });
                return self.decided(&action.author);
            }
            if !topics.contains(&part.topic_name) {
                topics.push(part.topic_name.clone());
            }
        }
        self.validation.next_key += 1;
        let key = ActionKey(self.validation.next_key);
        for topic in &topics {
            if let Some(guard) = self.validation.guards.get_mut(topic) {
                guard.queue.push_back(key);
            }
        }
        let action = action.into_owned();
        self.validation.waiting.insert(key, Waiting { action, topics, part: 0, silent: 0, asked: false });
        self.go_on(key);
    }

    /// Works off everything that can go on now, beginning with one action.
    fn go_on(&mut self, first: ActionKey) {
        let mut ready = VecDeque::from([first]);
        while let Some(key) = ready.pop_front() {
            if !self.is_first_everywhere(key) {
                continue;
            }
            if let Some((topics, author)) = self.decide(key) {
                for topic in &topics {
                    let Some(guard) = self.validation.guards.get_mut(topic) else {
                        continue;
                    };
                    guard.queue.pop_front();
                    match guard.queue.front() {
                        Some(next) => ready.push_back(*next),
                        None if guard.authorities.is_empty() && !guard.orphaned => {
                            self.validation.guards.remove(topic);
                        }
                        None => self.forget_if_empty(topic),
                    }
                }
                self.decided(&author);
            }
        }
    }

    /// An action has its outcome: what its author pushed behind it goes on, once this is done. Not here,
    /// where one action that goes on would let the next go on inside it.
    fn decided(&mut self, author: &Author) {
        if author.pushed {
            if let Some(member) = self.members.by_id.get_mut(&author.client) {
                member.waits = false;
            }
            self.unblocked.push_back(author.client);
        }
    }

    fn is_first_everywhere(&self, key: ActionKey) -> bool {
        self.validation.waiting.get(&key).is_some_and(|waiting| {
            !waiting.asked
                && waiting.topics.iter().all(|topic| {
                    self.validation.guards.get(topic).is_some_and(|guard| guard.queue.front() == Some(&key))
                })
        })
    }

    /// Asks the next question about an action, or ends its wait by committing or rejecting it; then
    /// the topics whose queues it leaves are returned.
    fn decide(&mut self, key: ActionKey) -> Option<(Vec<TopicName>, Author)> {
        let mut waiting = self.validation.waiting.remove(&key)?;
        let author = waiting.action.author;
        self.transforms_left = self.config.limits.transform_steps;
        if waiting.part == 0 && waiting.silent == 0 {
            // What could not be applied anyway is not worth a question.
            match self.apply(&waiting.action) {
                Ok(applied) => self.take_back(&waiting.action, applied),
                Err(failure) => {
                    self.reject_part(&waiting.action, &failure);
                    return Some((waiting.topics, author));
                }
            }
        }
        while let Some(part) = waiting.action.parts.get(waiting.part) {
            let guard = self.validation.guards.get(&part.topic_name);
            match guard.and_then(|guard| guard.authorities.front().copied()) {
                Some(authority) => {
                    let question = Question { key, part: waiting.part };
                    let change = match self.as_of_now(&waiting.action, waiting.part) {
                        Moved::AsItIs => part.change.clone(),
                        Moved::To(change) => change,
                        // Nothing is left to decide about.
                        Moved::Nothing => {
                            (waiting.part, waiting.silent) = (waiting.part + 1, 0);
                            continue;
                        }
                    };
                    self.ask_authority(authority, &waiting, question, &change);
                    waiting.asked = true;
                    self.validation.waiting.insert(key, waiting);
                    return None;
                }
                None if guard.is_some_and(|guard| guard.orphaned)
                    && self.config.no_authority == NoAuthority::Reject =>
                {
                    let refusal = Refusal::new(
                        Code::NoAuthority,
                        format!("the authority of {} was lost; try again when it is back", part.topic_name),
                    );
                    let failure = Failure { part: waiting.part, topic_name: None, refusal };
                    self.reject_part(&waiting.action, &failure);
                    return Some((waiting.topics, author));
                }
                None => {}
            }
            waiting.part += 1;
            waiting.silent = 0;
        }
        self.transforms_left = self.config.limits.transform_steps;
        self.commit_or_reject(waiting.action);
        Some((waiting.topics, author))
    }

    fn ask_authority(&mut self, authority: ConnectionId, waiting: &Waiting, question: Question, change: &Change) {
        let part = &waiting.action.parts[question.part];
        let v1 = self.sessions.get(&authority).is_some_and(|session| session.dialect == Dialect::V1);
        let known = if v1 { None } else { self.seed_form(&part.topic_name, change) };
        let args = Args {
            change: match &known {
                Some(step) => UpdateChange::Step { step, id: &part.id },
                None => UpdateChange::Change(WireChange { change, id: &part.id }),
            },
            topic_name: v1.then_some(&part.topic_name),
            value: self.topics.get(&part.topic_name).map(|topic| &topic.value).filter(|_| v1),
        };
        let args = to_raw_value(&args).expect("changes and values have a JSON form");
        let name =
            ServiceName::parse(&format!("{PREFIX}{}", part.topic_name)).expect("the authority registered this name");
        let deadline = self.now.after_ms(self.config.limits.validation_timeout_ms);
        let id = self.open_call(Caller::Room(question), &name, args, deadline);
        self.ask(id, authority);
    }

    /// A text edit in the one change of the seed dialect that does the same.
    fn seed_form(&self, topic_name: &TopicName, whole: &Change) -> Option<Step> {
        let (Change::String(change), Some(TopicValue::String(text))) =
            (whole, self.topics.get(topic_name).map(|topic| &topic.value))
        else {
            return None;
        };
        if matches!(change, StringChange::Set(_)) {
            return None;
        }
        let mut after = TopicValue::String(text.clone());
        let Ok(inverse) = after.apply(whole, &self.config.limits) else {
            return None;
        };
        let inverse = match &inverse {
            Some(Change::String(inverse)) => Some(inverse),
            _ => None,
        };
        let mut steps = change.steps(inverse);
        match (steps.len(), after) {
            (1, _) => steps.pop(),
            (_, TopicValue::String(after)) => Some(Step::Set { value: after.to_string() }),
            _ => None,
        }
    }

    /// The action of a question, if it still waits for just that answer.
    fn asked_action(&mut self, question: Question) -> Option<&mut Waiting> {
        let waiting = self.validation.waiting.get_mut(&question.key)?;
        (waiting.asked && waiting.part == question.part).then_some(waiting)
    }

    pub(crate) fn authority_answered(
        &mut self,
        question: Question,
        authority: ConnectionId,
        result: Result<&RawValue, ServiceError<'_>>,
    ) {
        let verdict = verdict(result);
        let authority = self.client_of(authority);
        let Some(waiting) = self.asked_action(question) else {
            return;
        };
        waiting.action.validated_by = authority;
        waiting.asked = false;
        match verdict {
            Ok(()) => {
                waiting.part += 1;
                waiting.silent = 0;
                self.go_on(question.key);
            }
            Err(refusal) => self.end_wait(question, refusal),
        }
    }

    /// The authority that was asked is gone: the next one is asked.
    pub(crate) fn ask_again(&mut self, question: Question) {
        if let Some(waiting) = self.asked_action(question) {
            waiting.asked = false;
            self.go_on(question.key);
        }
    }

    /// The authority did not answer in time: it goes to the end of the line and the next is asked.
    pub(crate) fn authority_silent(&mut self, question: Question) {
        let Some(waiting) = self.asked_action(question) else {
            return;
        };
        waiting.asked = false;
        waiting.silent += 1;
        let silent = waiting.silent;
        let Some(topic) = waiting.action.parts.get(question.part).map(|part| part.topic_name.clone()) else {
            return;
        };
        let Some(guard) = self.validation.guards.get_mut(&topic) else {
            return;
        };
        guard.authorities.rotate_left(usize::from(!guard.authorities.is_empty()));
        if silent >= guard.authorities.len() {
            let refusal = Refusal::new(Code::Timeout, format!("the authority of {topic} did not answer in time"));
            self.end_wait(question, refusal);
        } else {
            self.go_on(question.key);
        }
    }

    /// Rejects the action of a question and lets the ones behind it go on.
    fn end_wait(&mut self, question: Question, refusal: Refusal) {
        let Some(waiting) = self.validation.waiting.remove(&question.key) else {
            return;
        };
        self.reject_part(&waiting.action, &Failure { part: question.part, topic_name: None, refusal });
        self.leave_queues(question.key, &waiting.topics);
        self.decided(&waiting.action.author);
    }

    fn leave_queues(&mut self, key: ActionKey, topics: &[TopicName]) {
        let mut next = Vec::new();
        for topic in topics {
            let Some(guard) = self.validation.guards.get_mut(topic) else {
                continue;
            };
            guard.queue.retain(|waiting| *waiting != key);
            match guard.queue.front() {
                Some(first) => next.push(*first),
                None => {
                    if guard.authorities.is_empty() && !guard.orphaned {
                        self.validation.guards.remove(topic);
                    }
                    self.forget_if_empty(topic);
                }
            }
        }
        for key in next {
            self.go_on(key);
        }
    }

    /// Rejects everything that waits for a topic.
    pub(crate) fn refuse_waiting(&mut self, topic: &TopicName, refusal: &Refusal) {
        let Some(guard) = self.validation.guards.get(topic) else {
            return;
        };
        for key in guard.queue.clone() {
            let Some(waiting) = self.validation.waiting.remove(&key) else {
                continue;
            };
            let part = waiting.action.parts.iter().position(|part| part.topic_name == *topic).unwrap_or_default();
            self.reject_part(&waiting.action, &Failure { part, topic_name: None, refusal: refusal.clone() });
            self.leave_queues(key, &waiting.topics);
            self.decided(&waiting.action.author);
        }
    }
}

/// What an authority's answer means.
fn verdict(result: Result<&RawValue, ServiceError<'_>>) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    struct Verdict {
        valid: bool,
        reason: Option<String>,
    }

    match result.map(|response| serde_json::from_str::<Verdict>(response.get())) {
        Ok(Ok(Verdict { valid: true, .. })) => Ok(()),
        Ok(Ok(Verdict { reason, .. })) => {
            Err(Refusal::new(Code::Invalid, reason.unwrap_or_else(|| "refused by the topic's authority".into())))
        }
        Ok(Err(_)) => Err(Refusal::new(
            Code::Invalid,
            "the topic's authority answered something else than {\"valid\": true or false, \"reason\": text}",
        )),
        Err(error) => Err(Refusal::new(Code::Invalid, format!("the topic's authority failed: {}", error.message))),
    }
}
