//! Pushes: numbered actions that were made on a known state, taken one after the other.

use chatroom_protocol::envelope::Fields;
use chatroom_protocol::message::{Push, PushedAction, Requirement};
use chatroom_protocol::{ChangeId, ClientId, Code, Dialect, Refusal, Sequence, TopicName, TopicValue};
use serde_json::value::RawValue;

use crate::action::{Action, Author, Context, Part};
use crate::effect::{Delivery, Effect};
use crate::input::ConnectionId;
use crate::member::{Member, Pushed, Turned};
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
        let before = |turned: &Turned| push.acknowledged < turned.number && turned.number < push.number;
        if member.turned.as_ref().is_some_and(before) {
            return;
        }
        member.acknowledge(push.acknowledged);
        self.transforms_left = self.config.limits.transform_steps;
        let Push { number, acknowledged, topics, actions } = push;
        for (number, action) in (number..).zip(actions) {
            if self.take_pushed(connection, number, acknowledged, &topics, action) == Went::Stop {
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
        acknowledged: u64,
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
        if member.backlog.back().is_some_and(|last| matches!(last.context, Context::Refused { .. })) {
            // It stands behind one that will be refused, and goes with it.
            return Went::Stop;
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
        let queue_most = self.config.limits.validation_queue;
        let full = if member.backlog.len() >= queue_most {
            Some(format!("{queue_most} actions of this client wait behind one that waits for its authority"))
        } else if member.is_full() {
            Some("too many outcomes of this client's actions are not acknowledged".to_owned())
        } else {
            None
        };
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
                    failed = Some((topic_name.to_string(), raw.to_owned(), refusal));
                    break;
                }
            }
        }
        if let Some(why) = full {
            let first = parts.first();
            let name = first.map(|part| part.topic_name.to_string()).unwrap_or_default();
            let raw = first.map_or(RawValue::NULL, |part| &*part.raw);
            failed = Some((name, raw.to_owned(), Refusal::new(Code::Busy, why)));
        }
        let pushed = Pushed { number, acknowledged, bases, require: action.require };
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
                Some((topic_name, raw, refusal)) => {
                    Action { context: Context::Refused { number, topic_name, raw, refusal }, ..action.into_owned() }
                }
            };
            if let Some(member) = self.members.by_id.get_mut(&client) {
                member.backlog.push_back(action);
            }
            return Went::On;
        }
        if let Some((topic_name, raw, refusal)) = failed {
            self.turn_down(&author, number, &topic_name, &raw, &refusal, None);
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
        if let (Context::Pushed(pushed), Some(member)) =
            (&action.context, self.members.by_id.get_mut(&action.author.client))
        {
            member.land(pushed.acknowledged);
        }
        if action.parts.iter().any(|part| self.is_guarded(&part.topic_name)) {
            if let Some(member) = self.members.by_id.get_mut(&action.author.client) {
                member.waits = true;
            }
            self.wait_for_authority(action);
        } else {
            self.commit_or_reject(action);
        }
    }

    /// Lets the actions go on that stood behind one that has its outcome now.
    pub(crate) fn go_on_pushing(&mut self) {
        while let Some(client) = self.unblocked.pop_front() {
            while let Some(member) = self.members.by_id.get_mut(&client).filter(|member| !member.waits)
                && let Some(action) = member.backlog.pop_front()
            {
                self.transforms_left = self.config.limits.transform_steps;
                match &action.context {
                    Context::Refused { number, topic_name, raw, refusal } => {
                        self.turn_down(&action.author, *number, topic_name, raw, refusal, None);
                    }
                    _ => self.start(action),
                }
            }
        }
    }

    /// Refuses the first action of a push that cannot be read, so that its author hears of it in its
    /// place; false if it is not the one whose turn it is.
    pub(crate) fn turn_down_unread(
        &mut self,
        connection: ConnectionId,
        fields: &Fields<'_>,
        refusal: &Refusal,
    ) -> bool {
        let count = |name| fields.count(name).ok().flatten();
        let (Some(number), acknowledged) = (count("number"), count("acknowledged").unwrap_or_default()) else {
            return false;
        };
        let Some(client) = self.client_of(connection) else {
            return false;
        };
        let next = |member: &&Member| {
            let knows = member.turned.as_ref().is_none_or(|turned| turned.number <= acknowledged);
            knows && !member.waits && member.backlog.is_empty() && member.expected() == number
        };
        if self.members.by_id.get(&client).filter(next).is_none() {
            return false;
        }
        let author = Author { connection: Some(connection), client, dialect: Dialect::V1, pushed: true };
        self.turn_down(&author, number, "", RawValue::NULL, refusal, None);
        true
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
