//! Pushes: numbered actions that were made on a known state, taken one after the other.

use chatroom_protocol::message::{Push, PushedAction, Requirement};
use chatroom_protocol::{ChangeId, ClientId, Code, Dialect, Refusal, Sequence, TopicName, TopicValue};
use serde_json::value::RawValue;

use crate::action::{Action, Author, Context, Part};
use crate::effect::{Delivery, Effect};
use crate::input::ConnectionId;
use crate::member::{Pushed, Turned};
use crate::room::Room;
use crate::session::About;

/// What became of an action of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    On,
    /// It was refused, or cannot be taken: what is behind it is dropped.
    Stop,
}

impl Room {
    pub(crate) fn push(&mut self, connection: ConnectionId, push: Push<'_>) {
        let Some(client) = self.sessions.get(&connection).map(|session| session.client) else {
            return;
        };
        let Some(member) = self.members.by_id.get_mut(&client) else {
            let refusal = Refusal::new(Code::Unsupported, "only a client that said hello can push");
            return self.complain(connection, &refusal, &About::message("push"));
        };
        // Sent before the client knew of a refusal: it sends these again.
        if member.turned.as_ref().is_some_and(|turned| push.acknowledged < turned.number) {
            return;
        }
        member.acknowledge(push.acknowledged);
        self.transforms_left = self.config.limits.transform_steps;
        let Push { number, topics, actions, .. } = push;
        for (number, action) in (number..).zip(actions) {
            if self.take_pushed(connection, number, &topics, action) == Went::Stop {
                return;
            }
        }
    }

    /// Says the outcome of an action again.
    fn repeat(&mut self, connection: ConnectionId, client: ClientId, number: u64) -> Went {
        let Some(member) = self.members.by_id.get(&client) else {
            return Went::Stop;
        };
        let turned = member.turned.as_ref().filter(|turned| turned.number == number);
        let taken = member.taken.iter().find(|taken| taken.number == number);
        let (frame, went) = match (turned, taken) {
            (Some(turned), _) => (turned.frame(), Went::Stop),
            (None, Some(taken)) => (taken.frame(), Went::On),
            (None, None) => return Went::On,
        };
        self.out.push(Effect::Send { to: connection, frames: frame.bytes().clone(), delivery: Delivery::reply() });
        went
    }

    fn take_pushed(
        &mut self,
        connection: ConnectionId,
        number: u64,
        topics: &[(TopicName, Option<Sequence>)],
        action: PushedAction<'_>,
    ) -> Went {
        let Some((client, since)) = self.sessions.get(&connection).map(|session| (session.client, session.dialect))
        else {
            return Went::Stop;
        };
        debug_assert_eq!(since, Dialect::V1);
        let Some(member) = self.members.by_id.get(&client) else {
            return Went::Stop;
        };
        if number <= member.last {
            return self.repeat(connection, client, number);
        }
        let expected = member.expected();
        if number < expected {
            // It waits for an authority, and its outcome comes when that has answered.
            return Went::On;
        }
        if number > expected {
            let refusal = Refusal::new(
                Code::Precondition,
                format!("the next action of this client has the number {expected}, not {number}"),
            );
            self.complain(connection, &refusal, &About::message("push"));
            return Went::Stop;
        }
        let busy = member.waits || !member.backlog.is_empty();
        let full = member.backlog.len() >= self.config.limits.validation_queue;
        let author = Author { connection: Some(connection), client, dialect: Dialect::V1, pushed: true };
        let mut bases: Vec<(TopicName, Option<Sequence>)> = Vec::new();
        let mut parts = Vec::with_capacity(action.changes.len());
        let mut failed = None;
        for (place, (topic, raw)) in action.changes.into_iter().enumerate() {
            let Some((topic_name, base)) = topics.get(topic) else {
                continue;
            };
            if !bases.iter().any(|(name, _)| name == topic_name) {
                bases.push((topic_name.clone(), *base));
            }
            match self.decode(topic_name, raw, &author) {
                Ok((_, change)) => {
                    let id = pushed_id(client, number, place);
                    parts.push(Part {
                        topic_name: topic_name.clone(),
                        id,
                        change,
                        raw: std::borrow::Cow::Borrowed(raw),
                    });
                }
                Err(refusal) => {
                    failed = Some((topic_name.clone(), raw, refusal));
                    break;
                }
            }
        }
        if failed.is_none() && busy && full {
            let limit = self.config.limits.validation_queue;
            let refusal = Refusal::new(Code::Busy, format!("{limit} actions of this client wait for an authority"));
            let complained = About::message("push");
            self.complain(connection, &refusal, &complained);
            return Went::Stop;
        }
        let pushed = Pushed { number, bases, require: action.require };
        let action = Action {
            author,
            id: None,
            parts,
            submitted_at: self.now,
            validated_by: None,
            context: Context::Pushed(pushed),
        };
        if busy {
            let action = match failed {
                None => action.into_owned(),
                // Refused in its turn.
                Some((topic_name, raw, refusal)) => Action {
                    context: Context::Refused { number, topic_name, raw: raw.to_owned(), refusal },
                    ..action.into_owned()
                },
            };
            if let Some(member) = self.members.by_id.get_mut(&client) {
                member.backlog.push_back(action);
            }
            return Went::On;
        }
        if let Some((topic_name, raw, refusal)) = failed {
            self.turn_down(&author, number, topic_name.as_str(), raw, &refusal, None);
            return Went::Stop;
        }
        self.start(action);
        match self.members.by_id.get(&client) {
            Some(member) if member.last == number && member.turned.as_ref().is_some_and(|it| it.number == number) => {
                Went::Stop
            }
            _ => Went::On,
        }
    }

    /// Lets a pushed action go its way, through the authorities of its topics if there are any.
    fn start(&mut self, action: Action<'_>) {
        if action.parts.iter().any(|part| self.is_guarded(&part.topic_name)) {
            if let Some(member) = self.members.by_id.get_mut(&action.author.client) {
                member.waits = true;
            }
            self.wait_for_authority(action);
        } else {
            self.commit_or_reject(action);
        }
    }

    /// An action of a member that waited has its outcome: those behind it go on.
    pub(crate) fn go_on_pushing(&mut self, client: ClientId) {
        if let Some(member) = self.members.by_id.get_mut(&client) {
            member.waits = false;
        }
        loop {
            let Some(member) = self.members.by_id.get_mut(&client).filter(|member| !member.waits) else {
                return;
            };
            let Some(action) = member.backlog.pop_front() else {
                return;
            };
            self.transforms_left = self.config.limits.transform_steps;
            if let Context::Refused { number, topic_name, raw, refusal } = &action.context {
                self.turn_down(&action.author, *number, topic_name.as_str(), raw, refusal, None);
                return;
            }
            self.start(action);
        }
    }

    pub(crate) fn turn_down(
        &mut self,
        author: &Author,
        number: u64,
        topic_name: &str,
        change: &RawValue,
        refusal: &Refusal,
        validated_by: Option<ClientId>,
    ) {
        self.tally.rejects += 1;
        let id = crate::member::number_id(number);
        self.observe_refusal(author, Some(&id), topic_name, change, refusal, validated_by);
        let turned =
            Turned { number, topic_name: topic_name.to_owned(), change: change.to_owned(), refusal: refusal.clone() };
        self.turned(author.client, turned);
    }

    /// Whether the conditions of an action hold now (M25).
    pub(crate) fn meets(&self, require: &[Requirement]) -> Result<(), (TopicName, Refusal)> {
        for requirement in require {
            let (name, holds) = match requirement {
                Requirement::Unchanged { topic_name, sequence } => {
                    (topic_name, self.topics.get(topic_name).is_none_or(|topic| topic.sequence <= *sequence))
                }
                Requirement::Key { topic_name, key, exists } => {
                    let there = match self.topics.get(topic_name).map(|topic| &topic.value) {
                        Some(TopicValue::Dict(map)) => map.contains_key(key),
                        _ => false,
                    };
                    (topic_name, there == *exists)
                }
                Requirement::Equals { topic_name, key, value } => {
                    let topic = self.topics.get(topic_name).map(|topic| &topic.value);
                    let equal = match (topic, key) {
                        (Some(TopicValue::Dict(map)), Some(key)) => map.get(key) == Some(value),
                        (Some(held), None) => {
                            TopicValue::read(held.kind(), &value.to_string()).is_ok_and(|wanted| wanted == *held)
                        }
                        _ => false,
                    };
                    (topic_name, equal)
                }
            };
            if !holds {
                let reason = format!("{name} is not as the action requires it to be: {}", wanted(requirement));
                return Err((name.clone(), Refusal::new(Code::Precondition, reason)));
            }
        }
        Ok(())
    }
}

/// Parts of a push have no ids of their own; readers of the seed dialect need one.
fn pushed_id(client: ClientId, number: u64, place: usize) -> ChangeId {
    let text = match place {
        0 => format!("{client}-{number}"),
        _ => format!("{client}-{number}-{}", place + 1),
    };
    ChangeId::Text(text.into())
}

fn wanted(requirement: &Requirement) -> String {
    match requirement {
        Requirement::Unchanged { sequence, .. } => format!("unchanged since {}", sequence.0),
        Requirement::Key { key, exists: true, .. } => format!("with the key {key:?}"),
        Requirement::Key { key, exists: false, .. } => format!("without the key {key:?}"),
        Requirement::Equals { key: Some(key), .. } => format!("with that value under {key:?}"),
        Requirement::Equals { key: None, .. } => "of that value".to_owned(),
    }
}
