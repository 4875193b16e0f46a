//! A client that comes back: its session goes on, and it is told what it missed (M30 to M33).

use std::collections::BTreeMap;
use std::sync::Arc;

use chatroom_protocol::change::WireChange;
use chatroom_protocol::heard::Resumption;
use chatroom_protocol::message::{HeldTopic, Session as Claim, TopicOptions};
use chatroom_protocol::reply::{ActionPart, Place, UpdateChange};
use chatroom_protocol::{ClientId, Code, Frame, Refusal, Sequence, ServerMessage, TopicName, TopicType};

use crate::effect::{Class, Delivery, Effect};
use crate::history::{Kept, KeptPart};
use crate::input::ConnectionId;
use crate::room::Room;
use crate::session::About;

/// What a returning client gets for a topic it holds.
#[derive(Debug, Default)]
struct Due {
    missed: BTreeMap<Sequence, Arc<Kept>>,
    /// Topics whose missed commits reach the client one by one.
    told: Vec<(TopicName, Sequence)>,
    whole: Vec<TopicName>,
    resynced: bool,
    /// About how many bytes are told.
    bytes: usize,
}

impl Room {
    /// Goes on with a session, if the connection is whose it says it is; the old connection is cut.
    pub(crate) fn take_over(&mut self, connection: ConnectionId, claim: &Claim) -> bool {
        let Some(member) = self.recognise(claim) else {
            return false;
        };
        if let Some(old) = member.connection.filter(|old| *old != connection) {
            self.expel(old, Refusal::new(Code::Replaced, "this session goes on over another connection"));
        }
        self.welcome_back(claim.id, connection);
        self.members.by_id.contains_key(&claim.id)
    }

    /// What the client holds is its again; says what it gets.
    pub(crate) fn resume(&mut self, connection: ConnectionId, held: Vec<HeldTopic>) -> Resuming {
        let mut due = Due::default();
        let (mut refused, mut special) = (Vec::new(), Vec::new());
        for HeldTopic { topic_name, topic_type, options, sequence } in held {
            // These tell their value when they are subscribed, which has to be behind the hello.
            if topic_name.is_reserved() {
                special.push((topic_name, topic_type));
                continue;
            }
            if self.is_buried(&topic_name, sequence) {
                let reason = format!("the topic {topic_name} was deleted");
                refused.push((topic_name, Refusal::new(Code::TopicDeleted, reason)));
                continue;
            }
            match self.attach(connection, &topic_name, topic_type, options) {
                Ok(true) => self.due(&topic_name, sequence, &mut due),
                Ok(false) => {}
                Err(refusal) => refused.push((topic_name, refusal)),
            }
        }
        Resuming { due, refused, special }
    }

    fn due(&self, name: &TopicName, known: Sequence, due: &mut Due) {
        let Some(topic) = self.topics.get(name) else {
            return;
        };
        let kept = topic.value.kind() != TopicType::Presence;
        let same = known >= topic.made && known <= self.sequence;
        // More than that would overflow the client's outbox, which then wants the values all the same.
        let bytes = topic.past.bytes_since(known);
        let fits = bytes == 0 || due.bytes + bytes <= self.config.limits.outbox_bytes / 2;
        match topic.past.since(known).filter(|_| kept && same && fits) {
            Some(commits) => {
                due.bytes += bytes;
                due.missed.extend(commits.map(|commit| (commit.sequence, commit.clone())));
                due.told.push((name.clone(), known));
            }
            None => {
                due.resynced |= kept;
                due.whole.push(name.clone());
            }
        }
    }

    /// Says everything that the client missed, behind the hello.
    pub(crate) fn tell_missed(
        &mut self,
        connection: ConnectionId,
        client: ClientId,
        acknowledged: u64,
        resuming: Resuming,
    ) {
        let Resuming { due, mut refused, special } = resuming;
        let Due { missed, told, whole, .. } = due;
        if let Some(member) = self.members.by_id.get_mut(&client) {
            member.acknowledge(acknowledged);
            // It knows of outcomes that a restored room does not: of refusals, and of what is not kept.
            member.last = member.last.max(acknowledged);
        }
        let member = self.members.by_id.get(&client);
        let mut own: BTreeMap<Sequence, Frame> =
            member.into_iter().flat_map(|member| &member.taken).map(|taken| (taken.sequence, taken.frame())).collect();
        let turned = member.and_then(|member| member.turned.as_ref());
        let turned = turned.filter(|turned| turned.number > acknowledged).map(|turned| turned.frame());
        for (sequence, kept) in missed {
            while let Some(entry) = own.first_entry().filter(|entry| *entry.key() <= sequence) {
                let frames = entry.remove().bytes().clone();
                self.out.push(Effect::Send { to: connection, frames, delivery: Delivery::reply() });
            }
            if kept.by == client && kept.number.is_some() {
                continue;
            }
            let seen =
                |part: &&KeptPart| told.iter().any(|(name, known)| *name == part.topic_name && *known < sequence);
            let parts: Vec<&KeptPart> = kept.parts.iter().filter(seen).collect();
            self.tell_kept(connection, &kept, &parts);
        }
        for frame in own.into_values() {
            let frames = frame.bytes().clone();
            self.out.push(Effect::Send { to: connection, frames, delivery: Delivery::reply() });
        }
        for name in &whole {
            self.send_value(connection, name);
        }
        for (name, kind) in special {
            if let Err(refusal) = self.attach(connection, &name, kind, TopicOptions::default()) {
                refused.push((name, refusal));
            }
        }
        for (name, refusal) in refused {
            self.complain(connection, &refusal, &About::subscription(&name));
        }
        if let Some(frame) = turned {
            let frames = frame.bytes().clone();
            self.out.push(Effect::Send { to: connection, frames, delivery: Delivery::reply() });
        }
        self.reply(connection, &ServerMessage::Resumed { sequence: self.sequence });
    }

    fn tell_kept(&mut self, connection: ConnectionId, kept: &Kept, parts: &[&KeptPart]) {
        let (sequence, by) = (kept.sequence, kept.by);
        let frame = match (parts, &kept.action_id) {
            ([], _) => return,
            ([part], None) => {
                let place = Place { sequence, previous: part.previous, by };
                ServerMessage::Update {
                    topic_name: part.topic_name.as_str(),
                    change: UpdateChange::Change(WireChange { change: &part.change, id: &part.id }),
                    place: Some(place),
                }
                .frame()
            }
            (parts, action_id) => {
                let Some(action_id) = action_id else { return };
                let changes = parts
                    .iter()
                    .map(|part| ActionPart {
                        topic_name: part.topic_name.as_str(),
                        change: WireChange { change: &part.change, id: &part.id },
                        previous: part.previous,
                    })
                    .collect();
                ServerMessage::Action { action_id, sequence, by, changes }.frame()
            }
        };
        self.tally.encodings += 1;
        let event = parts.iter().any(|part| matches!(part.change, chatroom_protocol::Change::Event(_)));
        let class = if event { Class::Reply } else { Class::State };
        let topics = parts.iter().map(|part| part.topic_name.clone()).collect();
        let delivery = Delivery { class, topics };
        self.out.push(Effect::Send { to: connection, frames: frame.bytes().clone(), delivery });
    }
}

/// What is to be said to a client that came back.
#[derive(Debug)]
pub(crate) struct Resuming {
    due: Due,
    refused: Vec<(TopicName, Refusal)>,
    special: Vec<(TopicName, Option<TopicType>)>,
}

impl Resuming {
    pub(crate) fn outcome(&self) -> Resumption {
        match self.due.resynced {
            true => Resumption::Resynced,
            false => Resumption::Resumed,
        }
    }
}
