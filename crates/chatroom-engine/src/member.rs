//! What the room remembers of a client between its connections: who it is, what it pushed, and what
//! became of it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chatroom_protocol::change::{ChangeId, carry_tagged};
use chatroom_protocol::limits::MAX_UNACKNOWLEDGED;
use chatroom_protocol::message::{Requirement, Session as Claim};
use chatroom_protocol::reply::{AcceptedDetail, AlteredPart, RejectV1};
use chatroom_protocol::{Change, ClientId, Code, Frame, Refusal, Sequence, ServerMessage, TopicName};
use serde_json::value::RawValue;

use crate::action::Action;
use crate::effect::{Delivery, Effect};
use crate::input::{ConnectionId, Time};
use crate::room::Room;

/// What others committed, in the context of a client's own actions that it may not know the outcome of.
///
/// The bridge of Jupiter (Nichols, Curtis, Dixon, Lamping 1995), kept for each topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flight {
    pub(crate) bridge: Vec<(Sequence, Change)>,
    /// The last commit that was looked at.
    pub(crate) seen: Sequence,
    /// The last own action on the topic.
    pub(crate) number: u64,
}

/// The outcome of an accepted action that its author may not know yet.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) number: u64,
    pub(crate) sequence: Sequence,
    pub(crate) previous: Vec<Sequence>,
    pub(crate) effect: bool,
    pub(crate) altered: Option<Arc<[(TopicName, Change)]>>,
}

impl Taken {
    pub(crate) fn frame(&self) -> Frame {
        let id = number_id(self.number);
        let altered = self.altered.as_ref().map(|parts| {
            parts.iter().map(|(name, change)| AlteredPart { topic_name: name.as_str(), change }).collect()
        });
        let detail = AcceptedDetail {
            previous: Some(self.previous.clone()),
            effect: (!self.effect).then_some(false),
            changes: altered,
        };
        ServerMessage::Accepted { id: &id, sequence: self.sequence, detail }.frame()
    }
}

/// The last refusal.
#[derive(Clone, Debug)]
pub(crate) struct Turned {
    pub(crate) number: u64,
    pub(crate) topic_name: String,
    pub(crate) change: Box<RawValue>,
    pub(crate) refusal: Refusal,
}

impl Turned {
    pub(crate) fn frame(&self) -> Frame {
        let id = number_id(self.number);
        let code = self.refusal.code;
        let v1 = RejectV1 { code: code.number(), retryable: code.retryable(), action_id: Some(&id) };
        let (topic_name, change, reason) = (self.topic_name.as_str(), &*self.change, &*self.refusal.reason);
        ServerMessage::RejectUpdate { topic_name, change, reason, v1: Some(v1) }.frame()
    }
}

pub(crate) fn number_id(number: u64) -> ChangeId {
    ChangeId::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Where a pushed action comes from.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) number: u64,
    /// Up to which number its author knew the outcomes when it was sent.
    pub(crate) acknowledged: u64,
    /// The topics it touches, in the order in which it names them, and the states they were in.
    pub(crate) bases: Vec<(TopicName, Option<Sequence>)>,
    pub(crate) require: Vec<Requirement>,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) secret: Box<str>,
    pub(crate) connection: Option<ConnectionId>,
    left_at: Time,
    /// The number of the last action that has its outcome.
    pub(crate) last: u64,
    pub(crate) turned: Option<Turned>,
    /// Up to which number the client has taken in the outcomes, as far as it said.
    pub(crate) acknowledged: u64,
    /// The last number whose outcome is in the journal.
    pub(crate) recorded: u64,
    /// Whether the journal knows it.
    pub(crate) is_known: bool,
    /// Accepted, and perhaps not known to the client.
    pub(crate) taken: VecDeque<Taken>,
    pub(crate) flights: HashMap<TopicName, Flight>,
    /// Up to this number flights were ended.
    landed: u64,
    /// Whether an action waits for an authority.
    pub(crate) waits: bool,
    /// Actions behind one that waits for an authority.
    pub(crate) backlog: VecDeque<Action<'static>>,
}

impl Member {
    fn new(secret: Box<str>, connection: ConnectionId) -> Self {
        Self {
            secret,
            connection: Some(connection),
            left_at: Time::default(),
            last: 0,
            turned: None,
            acknowledged: 0,
            recorded: 0,
            is_known: false,
            taken: VecDeque::new(),
            flights: HashMap::new(),
            landed: 0,
            waits: false,
            backlog: VecDeque::new(),
        }
    }

    /// One that the journal knows; nobody is connected as it.
    pub(crate) fn known(secret: Box<str>) -> Self {
        Self { connection: None, is_known: true, ..Self::new(secret, ConnectionId(0)) }
    }

    /// The number that the next action must have.
    pub(crate) fn expected(&self) -> u64 {
        self.last + 1 + u64::from(self.waits) + self.backlog.len() as u64
    }

    /// The client has taken in all outcomes up to this one.
    pub(crate) fn acknowledge(&mut self, number: u64) {
        self.acknowledged = self.acknowledged.max(number);
        while self.taken.front().is_some_and(|taken| taken.number <= number) {
            self.taken.pop_front();
        }
    }

    /// What was sent when that number was acknowledged stands on nothing that was on its way up to it.
    /// Called when an action has its turn: those before it may stand on more.
    pub(crate) fn land(&mut self, acknowledged: u64) {
        if acknowledged > self.landed {
            self.landed = acknowledged;
            self.flights.retain(|_, flight| flight.number > acknowledged);
        }
    }

    /// Whether so many outcomes wait to be acknowledged that no more can be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.taken.len() >= MAX_UNACKNOWLEDGED
    }
}

/// The members, and in which order those that left are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) by_id: HashMap<ClientId, Member>,
    away: BTreeSet<(Time, ClientId)>,
    /// When the last one left that held a topic or had pushed.
    missed_at: Option<Time>,
}

impl Room {
    /// A client without a session said hello.
    pub(crate) fn enlist(&mut self, client: ClientId, secret: Box<str>, connection: ConnectionId) {
        self.members.by_id.insert(client, Member::new(secret, connection));
    }

    /// Finds the client that a connection says it is, if it proves it.
    pub(crate) fn recognise(&self, claim: &Claim) -> Option<&Member> {
        let member = self.members.by_id.get(&claim.id)?;
        if member.secret.bytes().all(|byte| byte == b'0') {
            return None;
        }
        // Compared without an early end, so that time tells nothing about the secret.
        let differs = member.secret.len() != claim.secret.len()
            || member.secret.bytes().zip(claim.secret.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) != 0;
        (!differs).then_some(member)
    }

    /// A member is back on another connection.
    pub(crate) fn welcome_back(&mut self, client: ClientId, connection: ConnectionId) {
        if let Some(member) = self.members.by_id.get_mut(&client) {
            self.members.away.remove(&(member.left_at, client));
            member.connection = Some(connection);
        }
    }

    /// A member's connection ended; what it had not sent on is not waited for.
    pub(crate) fn part_from(&mut self, client: ClientId, connection: ConnectionId, held_topics: bool) {
        let Some(member) = self.members.by_id.get_mut(&client).filter(|member| member.connection == Some(connection))
        else {
            return;
        };
        member.connection = None;
        member.left_at = self.now;
        if held_topics || member.last > 0 {
            self.members.missed_at = Some(self.now);
        }
        member.backlog.clear();
        self.members.away.insert((self.now, client));
        while self.members.away.len() > self.config.limits.sessions_kept {
            self.forget_oldest();
        }
    }

    /// Nobody is connected: all members may come back from now on.
    pub(crate) fn leave_all(&mut self) {
        self.members.by_id.values_mut().for_each(|member| (member.connection, member.left_at) = (None, self.now));
        self.members.away = self.members.by_id.keys().map(|client| (self.now, *client)).collect();
        while self.members.away.len() > self.config.limits.sessions_kept {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, client)) = self.members.away.pop_first()
            && self.members.by_id.remove(&client).is_some_and(|member| member.is_known)
        {
            self.member_changed(client);
        }
    }

    pub(crate) fn expire_members(&mut self) {
        while self.member_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.forget_oldest();
        }
    }

    pub(crate) fn member_deadline(&self) -> Option<Time> {
        self.members.away.first().map(|(left_at, _)| left_at.after_ms(self.config.limits.session_ttl_ms))
    }

    /// Until when a room that holds nothing else is kept for clients that may come back: what they have
    /// on its way is worth more than the room.
    pub(crate) fn awaits_until(&self) -> Option<Time> {
        let limits = &self.config.limits;
        let left_at = self.members.missed_at.filter(|_| self.clients() == 0 && self.topics.is_empty())?;
        Some(left_at.after_ms(limits.history_ms.min(limits.session_ttl_ms))).filter(|until| *until > self.now)
    }

    /// The connection to answer on, for an author that may have come back on another one.
    pub(crate) fn connection_of_member(&self, client: ClientId) -> Option<ConnectionId> {
        self.members.by_id.get(&client)?.connection.filter(|connection| self.sessions.contains_key(connection))
    }

    /// Notes an accepted action and tells its author.
    pub(crate) fn took(&mut self, client: ClientId, taken: Taken, flights: Vec<(TopicName, Flight)>) {
        let connection = self.connection_of_member(client);
        let Some(member) = self.members.by_id.get_mut(&client) else {
            return;
        };
        member.last = taken.number;
        for (name, flight) in flights {
            member.flights.insert(name, Flight { seen: taken.sequence, number: taken.number, ..flight });
        }
        let frames = taken.frame().bytes().clone();
        member.taken.push_back(taken);
        if let Some(to) = connection {
            self.out.push(Effect::Send { to, frames, delivery: Delivery::reply() });
        }
    }

    /// Notes a refused action and tells its author; what was sent behind it is dropped.
    pub(crate) fn turned(&mut self, client: ClientId, turned: Turned) {
        let connection = self.connection_of_member(client);
        let Some(member) = self.members.by_id.get_mut(&client) else {
            return;
        };
        member.last = turned.number;
        member.backlog.clear();
        // What it sends next was made when it knew of this, and so of all that was on its way before.
        member.flights.clear();
        let frames = turned.frame().bytes().clone();
        member.turned = Some(turned);
        if let Some(to) = connection {
            self.out.push(Effect::Send { to, frames, delivery: Delivery::reply() });
        }
    }

    /// What others committed to a topic, as a member's next change on it has to be moved behind it.
    /// `acknowledged` is the last of its own actions that it knew the outcome of; `None` counts its own
    /// as those of others.
    pub(crate) fn flight(
        &self,
        client: ClientId,
        name: &TopicName,
        base: Sequence,
        acknowledged: Option<u64>,
    ) -> Result<Flight, Refusal> {
        if base > self.sequence {
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("base lies ahead of the room, which stands at {}", self.sequence.0),
            ));
        }
        let Some(topic) = self.topics.get(name) else {
            return Err(Refusal::new(Code::UnknownTopic, format!("there is no topic {name}; subscribe to create it")));
        };
        let stale = || {
            Refusal::new(
                Code::StaleBase,
                format!("what happened to {name} since {} is not remembered any more; take its value anew", base.0),
            )
        };
        let known = self
            .members
            .by_id
            .get(&client)
            .and_then(|member| member.flights.get(name))
            .filter(|_| acknowledged.is_some());
        let mut flight = match known {
            Some(flight) => {
                let bridge = flight.bridge.iter().filter(|(sequence, _)| *sequence > base).cloned().collect();
                Flight { bridge, ..*flight }
            }
            // A topic that was made anew since has nothing to do with what the client knew.
            None if base < topic.made => return Err(stale()),
            None => Flight { seen: base, ..Flight::default() },
        };
        let follows_on = known.is_some();
        for kept in topic.past.since(flight.seen).ok_or_else(stale)? {
            let changes = kept.parts.iter().filter(|part| part.topic_name == *name).map(|part| &part.change);
            match (acknowledged, kept.number.filter(|_| kept.by == client)) {
                // Its author has it on top of the base: sent without one, before the topic was loaded.
                (Some(acknowledged), Some(number)) if number > acknowledged && !follows_on => {
                    for change in changes {
                        // Committed already; only what it does to the bridge is wanted.
                        let _committed = carry_tagged(change.clone(), &mut flight.bridge);
                    }
                }
                (Some(_), Some(_)) => {}
                _ => flight.bridge.extend(changes.map(|change| (kept.sequence, change.clone()))),
            }
        }
        flight.seen = self.sequence;
        Ok(flight)
    }
}
