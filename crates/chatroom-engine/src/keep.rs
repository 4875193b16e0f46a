//! What a room gives its journal: a record for each commit, and, now and then, the parts of its state
//! that changed since they were given last, so that the records before can go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use chatroom_protocol::{Change, ClientId, Epoch, Frame, Refusal, Sequence, TopicName, TopicType};

use crate::action::{Answer, Author, Committed};
use crate::input::Time;
use crate::record::{self, Authorship, Made, Outcome, Writer};
use crate::room::Room;
use crate::topic::Topic;

/// Whether a room's commits outlive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// They are in memory alone: the room asks for no append and waits for none.
    #[default]
    Memory,
    /// A journal keeps them.
    Journal,
}

/// The first byte of every part; another form gets another number.
const FORM: u8 = 1;
pub(crate) const TOPIC: u8 = 1;
pub(crate) const TOMBSTONE: u8 = 2;
pub(crate) const MEMBER: u8 = 3;
pub(crate) const ROOM: u8 = 4;

/// The key of the part that is of the room itself.
pub(crate) const ROOM_KEY: &str = "r";

/// Parts of a room's state, to be saved together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Keys and what they are now; `None` where a part is gone.
    pub parts: Vec<(String, Option<Bytes>)>,
    /// Once these are saved, all commits up to this one are in saved parts.
    pub covered: Sequence,
    /// The last record whose commit is in them: they may be saved only behind it.
    pub at: Sequence,
}

/// What changed since it was saved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaved {
    Topic(TopicName),
    Member(ClientId),
}

/// What the journal was given.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    pub(crate) keeping: Keeping,
    /// The last record.
    pub(crate) recorded: Sequence,
    /// Whether the journal knows of the room's epoch.
    pub(crate) opened: bool,
    /// In the order of the first commit that is not saved.
    order: VecDeque<(Sequence, Unsaved)>,
    waiting: BTreeSet<Unsaved>,
    /// Why changes are refused now.
    refusing: Option<Refusal>,
    /// Topics that were deleted, so that nobody who held one brings it back.
    pub(crate) tombstones: BTreeMap<TopicName, (Sequence, Time)>,
}

impl Keeper {
    pub(crate) fn new(keeping: Keeping) -> Self {
        Self { keeping, ..Self::default() }
    }

    fn changed(&mut self, what: Unsaved, at: Sequence) {
        if self.keeping == Keeping::Journal && self.waiting.insert(what.clone()) {
            self.order.push_back((at, what));
        }
    }
}

impl Room {
    /// Asks the journal to keep a commit, whose message to subscribers that is.
    pub(crate) fn record(
        &mut self,
        author: &Author,
        sequence: Sequence,
        parts: &[Committed],
        answer: &Answer,
        message: &Frame,
    ) {
        if self.keeper.keeping == Keeping::Memory {
            return;
        }
        let authorship = self.authorship(author, answer);
        let mut made = Vec::new();
        for part in parts {
            if let Some(topic) = self.topics.get_mut(&part.topic_name).filter(|topic| topic.is_kept()) {
                if !std::mem::replace(&mut topic.recorded, true) {
                    made.push(Made {
                        name: part.topic_name.clone(),
                        kind: topic.value.kind(),
                        at: topic.made,
                        ttl_ms: topic.ttl_ms,
                    });
                }
                self.keeper.changed(Unsaved::Topic(part.topic_name.clone()), sequence);
            }
        }
        let epoch: Option<Epoch> = (!std::mem::replace(&mut self.keeper.opened, true)).then_some(self.config.epoch);
        self.keeper.recorded = sequence;
        let kept: Vec<Option<&Change>> =
            parts.iter().filter(|part| self.is_kept(&part.topic_name)).map(|part| part.inverse.as_ref()).collect();
        let bytes = record::commit(self.now, epoch, &authorship, &made, kept.into_iter(), &message.payload());
        self.out.append(sequence, bytes);
    }

    /// Whether commits to a topic are kept.
    pub(crate) fn is_kept(&self, name: &TopicName) -> bool {
        self.topics.get(name).is_some_and(Topic::is_kept)
    }

    fn authorship(&mut self, author: &Author, answer: &Answer) -> Authorship {
        let by = author.client;
        let (Some(taken), Some(member)) = (&answer.taken, self.members.by_id.get_mut(&by)) else {
            return Authorship { by, ..Authorship::default() };
        };
        let before = member.taken.iter().filter(|other| other.number > member.recorded);
        let outcomes: Vec<Outcome> = before.chain([taken]).map(Outcome::from).collect();
        let secret = (!std::mem::replace(&mut member.is_known, true)).then(|| member.secret.to_string());
        member.recorded = taken.number;
        let acknowledged = member.acknowledged;
        self.keeper.changed(Unsaved::Member(by), self.sequence);
        Authorship { by, secret, acknowledged, outcomes }
    }

    /// A topic was deleted.
    pub(crate) fn bury(&mut self, name: &TopicName, was_recorded: bool) {
        let now = self.now;
        if was_recorded {
            self.sequence = self.sequence.next();
        }
        let sequence = self.sequence;
        self.keeper.tombstones.insert(name.clone(), (sequence, now));
        if was_recorded {
            self.keeper.recorded = sequence;
            self.keeper.changed(Unsaved::Topic(name.clone()), sequence);
            self.out.append(sequence, record::deletion(now, name));
        }
        while self.keeper.tombstones.len() > self.config.limits.topics_per_room {
            let oldest = self.keeper.tombstones.iter().min_by_key(|(_, place)| **place).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.drop_tombstone(&oldest);
            }
        }
    }

    /// Whether somebody who knew a topic up to that commit has to be told that it was deleted since.
    pub(crate) fn is_buried(&self, name: &TopicName, known: Sequence) -> bool {
        !self.topics.contains_key(name) && self.keeper.tombstones.get(name).is_some_and(|(at, _)| known <= *at)
    }

    fn drop_tombstone(&mut self, name: &TopicName) {
        if self.keeper.tombstones.remove(name).is_some() {
            // No commit: whatever is covered stays so.
            let at = self.keeper.recorded.next();
            self.keeper.changed(Unsaved::Topic(name.clone()), at);
        }
    }

    /// Nobody's session is older than that.
    pub(crate) fn expire_tombstones(&mut self) {
        let ttl = self.config.limits.session_ttl_ms;
        let old: Vec<TopicName> = self
            .keeper
            .tombstones
            .iter()
            .filter(|(_, (_, at))| self.now.since_ms(*at) > ttl)
            .map(|(name, _)| name.clone())
            .collect();
        old.iter().for_each(|name| self.drop_tombstone(name));
    }

    pub(crate) fn unsaved_topic(&mut self, name: TopicName, at: Sequence) {
        self.keeper.changed(Unsaved::Topic(name), at);
    }

    pub(crate) fn unsaved_member(&mut self, client: ClientId, at: Sequence) {
        self.keeper.changed(Unsaved::Member(client), at);
    }

    /// The room will be left for a while: those who come back then are known, also if they never
    /// changed anything.
    pub fn prepare_to_leave(&mut self) {
        if !self.keeper.opened {
            return;
        }
        let members = self.members.by_id.iter_mut().filter(|(_, member)| !member.secret.bytes().all(|it| it == b'0'));
        let clients: Vec<ClientId> = members
            .map(|(client, member)| {
                member.is_known = true;
                *client
            })
            .collect();
        let at = self.keeper.recorded.next();
        clients.into_iter().for_each(|client| self.unsaved_member(client, at));
    }

    /// What is known of a client that the journal knows is another than was saved.
    pub(crate) fn member_changed(&mut self, client: ClientId) {
        let at = self.keeper.recorded.next();
        self.keeper.changed(Unsaved::Member(client), at);
    }

    /// Refuses every change that a journal would have to keep, from now on; `None` takes them again.
    pub fn refuse_changes(&mut self, why: Option<Refusal>) {
        self.keeper.refusing = why;
    }

    /// Why a change of a topic cannot be taken now.
    pub(crate) fn refuses(&self, name: &TopicName) -> Result<(), Refusal> {
        match &self.keeper.refusing {
            Some(why) if self.topics.get(name).is_some_and(Topic::is_kept) => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Whether somebody may still have to be told that a topic was deleted.
    #[must_use]
    pub fn remembers_deletions(&self) -> bool {
        !self.keeper.tombstones.is_empty()
    }

    /// Whether something changed since it was saved.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        !self.keeper.order.is_empty()
    }

    /// About how many bytes the unsaved topics' values take.
    #[must_use]
    pub fn unsaved_bytes(&self) -> usize {
        let topics = self.keeper.waiting.iter().filter_map(|what| match what {
            Unsaved::Topic(name) => self.topics.get(name),
            Unsaved::Member(_) => None,
        });
        topics.map(|topic| topic.weight).sum()
    }

    /// Takes the parts that wait longest to be saved, up to so many bytes but at least one; `None` if
    /// all is saved. What it returns has to be saved before another one is taken.
    pub fn snapshot(&mut self, bytes: usize) -> Option<Snapshot> {
        self.expire_tombstones();
        self.keeper.order.front()?;
        let (mut parts, mut taken) = (Vec::new(), 0);
        while taken < bytes
            && let Some((_, what)) = self.keeper.order.pop_front()
        {
            self.keeper.waiting.remove(&what);
            let part = match &what {
                Unsaved::Topic(name) => (format!("t/{name}"), self.topic_part(name)),
                Unsaved::Member(client) => (format!("c/{client}"), self.member_part(*client)),
            };
            taken += part.0.len() + part.1.as_ref().map_or(0, Bytes::len);
            parts.push(part);
        }
        parts.push((ROOM_KEY.to_owned(), Some(self.room_part())));
        let at = self.keeper.recorded;
        let covered = self.keeper.order.front().map_or(at, |(first, _)| Sequence(first.0.saturating_sub(1)));
        Some(Snapshot { parts, covered: covered.min(at), at })
    }

    fn topic_part(&self, name: &TopicName) -> Option<Bytes> {
        if let Some(topic) = self.topics.get(name).filter(|topic| topic.recorded) {
            let value = serde_json::to_vec(&topic.value).expect("our own values have a JSON form");
            let mut out = Writer::new(FORM, TOPIC, value.len() + 32);
            out.number(topic.sequence.0);
            out.number(topic.made.0);
            out.kind(topic.value.kind());
            out.number(topic.weight as u64);
            out.optional(topic.ttl_ms);
            out.0.extend(value);
            return Some(out.0.into());
        }
        let (sequence, at) = self.keeper.tombstones.get(name)?;
        let mut out = Writer::new(FORM, TOMBSTONE, 16);
        out.number(sequence.0);
        out.number(at.0);
        Some(out.0.into())
    }

    fn member_part(&self, client: ClientId) -> Option<Bytes> {
        let member = self.members.by_id.get(&client)?;
        let mut out = Writer::new(FORM, MEMBER, 128);
        out.text(&member.secret);
        // A refusal is not kept: if its author did not hear of it, it asks again, and is answered anew.
        let is_refused = member.turned.as_ref().is_some_and(|turned| turned.number == member.last);
        out.number(member.last - u64::from(is_refused));
        out.number(member.acknowledged);
        out.number(self.now.0);
        let outcomes: Vec<Outcome> = member.taken.iter().map(Outcome::from).collect();
        out.outcomes(&outcomes);
        for taken in &member.taken {
            let parts = taken.altered.as_deref().unwrap_or_default();
            out.number(parts.len() as u64);
            for (name, change) in parts {
                out.text(name.as_str());
                out.kind(kind_of(change));
                out.text(&serde_json::to_string(change).expect("our own changes have a JSON form"));
            }
        }
        Some(out.0.into())
    }

    fn room_part(&self) -> Bytes {
        let mut out = Writer::new(FORM, ROOM, 64);
        out.number(self.config.epoch.0);
        out.number(self.now.0);
        out.number(self.sequence.0);
        out.number(self.next_client);
        out.number(self.next_change);
        out.0.into()
    }
}

fn kind_of(change: &Change) -> TopicType {
    match change {
        Change::Generic(_) => TopicType::Generic,
        Change::String(_) => TopicType::String,
        Change::Int(_) => TopicType::Int,
        Change::Float(_) => TopicType::Float,
        Change::Bool(_) => TopicType::Bool,
        Change::List(_) => TopicType::List,
        Change::Set(_) => TopicType::Set,
        Change::Dict(_) => TopicType::Dict,
        Change::Event(_) => TopicType::Event,
        Change::Presence(_) => TopicType::Presence,
    }
}
