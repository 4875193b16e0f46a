//! From a commit to frames: each form is encoded once, whoever many subscribers there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chatroom_protocol::change::{ChangeId, StringChange, WireChange};
use chatroom_protocol::reply::{AcceptedDetail, ActionPart, Place, UpdateChange};
use chatroom_protocol::{Change, ClientId, Dialect, Frame, Sequence, ServerMessage, TopicName};

use crate::action::{Answer, Author, Committed};
use crate::effect::{Class, Delivery, Effect};
use crate::input::ConnectionId;
use crate::keep::Keeping;
use crate::observe::Observe;
use crate::room::Room;

/// The connections that follow a topic, by dialect and in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribers {
    /// Those of the seed dialect.
    pub seed: Vec<ConnectionId>,
    /// Those of v1.
    pub v1: Vec<ConnectionId>,
}

impl Subscribers {
    pub(crate) fn insert(&mut self, connection: ConnectionId, dialect: Dialect) {
        let list = match dialect {
            Dialect::Seed => &mut self.seed,
            Dialect::V1 => &mut self.v1,
        };
        if let Err(place) = list.binary_search(&connection) {
            list.insert(place, connection);
        }
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        for list in [&mut self.seed, &mut self.v1] {
            if let Ok(place) = list.binary_search(&connection) {
                list.remove(place);
            }
        }
    }

    /// Whether nobody follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seed.is_empty() && self.v1.is_empty()
    }

    /// How many follow.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seed.len() + self.v1.len()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = ConnectionId> {
        self.seed.iter().chain(&self.v1).copied()
    }

    /// Whether anyone but `author` is in that list.
    fn others(list: &[ConnectionId], author: Option<ConnectionId>) -> bool {
        list.iter().any(|connection| Some(*connection) != author)
    }
}

impl Room {
    /// Writes a commit to the journal, to its author and to all subscribers; returns the subscribers
    /// if somebody observes.
    pub(crate) fn publish(
        &mut self,
        author: &Author,
        action_id: Option<&ChangeId>,
        sequence: Sequence,
        parts: &[Committed],
        answer: Answer,
    ) -> Vec<Arc<Subscribers>> {
        let audience = match self.observes(Observe::Everything) {
            true => self.audience(parts),
            false => Vec::new(),
        };
        match (parts, action_id) {
            ([part], None) => self.publish_update(author, sequence, part, answer),
            ([], _) => self.answer_author(author, sequence, None, &Delivery::reply().topics, answer),
            (_, Some(action_id)) => self.publish_action(author, action_id, sequence, parts, answer),
            (_, None) => {}
        }
        audience
    }

    fn audience(&self, parts: &[Committed]) -> Vec<Arc<Subscribers>> {
        let topics = parts.iter().filter_map(|part| self.topics.get(&part.topic_name));
        topics.map(|topic| topic.subscribers.clone()).collect()
    }

    fn publish_update(&mut self, author: &Author, sequence: Sequence, part: &Committed, answer: Answer) {
        let Some(topic) = self.topics.get(&part.topic_name) else {
            return;
        };
        let subscribers = topic.subscribers.clone();
        let class = if matches!(part.change, Change::Event(_)) { Class::Reply } else { Class::State };
        let delivery = Delivery { class, topics: topic.names.clone() };
        let journaled = topic.is_kept();

        let place = Place { sequence, previous: part.previous, by: author.client };
        let recorded = journaled && self.keeper.keeping == Keeping::Journal;
        let v1 = (recorded || Subscribers::others(&subscribers.v1, author.connection))
            .then(|| self.encode_update(part, place));
        if recorded && let Some(frame) = &v1 {
            self.record(author, sequence, std::slice::from_ref(part), &answer, frame);
        }
        let echoes = author.connection.is_some() && author.dialect == Dialect::Seed;
        let seed =
            (echoes || Subscribers::others(&subscribers.seed, author.connection)).then(|| self.encode_seed(part));

        self.answer_author(author, sequence, seed.clone(), &delivery.topics, answer);
        if Subscribers::others(&subscribers.seed, author.connection)
            || Subscribers::others(&subscribers.v1, author.connection)
        {
            let v1 = v1.map(|frame| frame.bytes().clone());
            self.out.push(Effect::Broadcast { to: subscribers, skip: author.connection, seed, v1, delivery });
        }
    }

    fn publish_action(
        &mut self,
        author: &Author,
        action_id: &ChangeId,
        sequence: Sequence,
        parts: &[Committed],
        answer: Answer,
    ) {
        let all: Vec<usize> = (0..parts.len()).collect();
        let journaled: Vec<usize> =
            all.iter().copied().filter(|index| self.is_kept(&parts[*index].topic_name)).collect();
        let mut whole = None;
        if !journaled.is_empty() && self.keeper.keeping == Keeping::Journal {
            let frame = self.encode_action(action_id, sequence, author.client, parts, &journaled);
            self.record(author, sequence, parts, &answer, &frame);
            whole = (journaled == all).then_some(frame);
        }
        self.answer_author(author, sequence, None, &Delivery::reply().topics, answer);

        // Subscribers that see the same parts share one frame.
        let mut groups: BTreeMap<Vec<usize>, Subscribers> = BTreeMap::new();
        let mut seen: BTreeMap<ConnectionId, (Dialect, Vec<usize>)> = BTreeMap::new();
        for (index, part) in parts.iter().enumerate() {
            let Some(topic) = self.topics.get(&part.topic_name) else {
                continue;
            };
            for (list, dialect) in [(&topic.subscribers.seed, Dialect::Seed), (&topic.subscribers.v1, Dialect::V1)] {
                for connection in list.iter().filter(|connection| Some(**connection) != author.connection) {
                    seen.entry(*connection).or_insert((dialect, Vec::new())).1.push(index);
                }
            }
        }
        for (connection, (dialect, indexes)) in seen {
            groups.entry(indexes).or_default().insert(connection, dialect);
        }
        for (indexes, subscribers) in groups {
            let v1 = (!subscribers.v1.is_empty()).then(|| match &whole {
                Some(frame) if indexes == all => frame.bytes().clone(),
                _ => self.encode_action(action_id, sequence, author.client, parts, &indexes).bytes().clone(),
            });
            let seed = (!subscribers.seed.is_empty()).then(|| {
                let frames: Vec<Bytes> = indexes.iter().map(|index| self.encode_seed(&parts[*index])).collect();
                Bytes::from(frames.concat())
            });
            let events = indexes.iter().any(|index| matches!(parts[*index].change, Change::Event(_)));
            let topics: Arc<[TopicName]> = indexes.iter().map(|index| parts[*index].topic_name.clone()).collect();
            let delivery = Delivery { class: if events { Class::Reply } else { Class::State }, topics };
            self.out.push(Effect::Broadcast { to: Arc::new(subscribers), skip: None, seed, v1, delivery });
        }
    }

    /// The author's one answer, in the place of the commit in its own stream.
    fn answer_author(
        &mut self,
        author: &Author,
        sequence: Sequence,
        echo: Option<Bytes>,
        topics: &Arc<[TopicName]>,
        answer: Answer,
    ) {
        if let Some(taken) = answer.taken {
            return self.took(author.client, taken, answer.flights);
        }
        let Some(connection) = author.connection.filter(|connection| self.sessions.contains_key(connection)) else {
            return;
        };
        let (frames, delivery) = match (author.dialect, echo, &answer.id) {
            // An echo tells of its topic too: the outbox may not put it behind a missed change.
            (Dialect::Seed, Some(echo), _) => (echo, Delivery { class: Class::Reply, topics: topics.clone() }),
            (_, _, Some(id)) => {
                let detail = AcceptedDetail { effect: answer.effect, ..AcceptedDetail::default() };
                let frame = ServerMessage::Accepted { id, sequence, detail }.frame();
                (frame.bytes().clone(), Delivery::reply())
            }
            (_, _, None) => return,
        };
        self.out.push(Effect::Send { to: connection, frames, delivery });
    }

    fn encode_update(&mut self, part: &Committed, place: Place) -> Frame {
        self.tally.encodings += 1;
        ServerMessage::Update {
            topic_name: part.topic_name.as_str(),
            change: UpdateChange::Change(WireChange { change: &part.change, id: &part.id }),
            place: Some(place),
        }
        .frame()
    }

    fn encode_action(
        &mut self,
        action_id: &ChangeId,
        sequence: Sequence,
        by: ClientId,
        parts: &[Committed],
        indexes: &[usize],
    ) -> Frame {
        self.tally.encodings += 1;
        let changes = indexes
            .iter()
            .map(|index| &parts[*index])
            .map(|part| ActionPart {
                topic_name: part.topic_name.as_str(),
                change: WireChange { change: &part.change, id: &part.id },
                previous: part.previous,
            })
            .collect();
        ServerMessage::Action { action_id, sequence, by, changes }.frame()
    }

    /// A change as the seed dialect writes it: text edits in steps, the last with the author's id.
    fn encode_seed(&mut self, part: &Committed) -> Bytes {
        self.tally.encodings += 1;
        let topic_name = part.topic_name.as_str();
        let change = match &part.change {
            Change::String(change @ (StringChange::Edit(_) | StringChange::Delete { .. })) => change,
            change => {
                let change = UpdateChange::Change(WireChange { change, id: &part.id });
                return ServerMessage::Update { topic_name, change, place: None }.frame().bytes().clone();
            }
        };
        let inverse = match &part.inverse {
            Some(Change::String(inverse)) => Some(inverse),
            _ => None,
        };
        let steps = change.steps(inverse);
        let frames: Vec<Frame> = steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let last = index + 1 == steps.len();
                let id =
                    if last { part.id.clone() } else { ChangeId::Text(format!("{}/{}", part.id, index + 1).into()) };
                ServerMessage::Update { topic_name, change: UpdateChange::Step { step, id: &id }, place: None }.frame()
            })
            .collect();
        match frames.as_slice() {
            [frame] => frame.bytes().clone(),
            frames => Frame::concat(frames),
        }
    }
}
