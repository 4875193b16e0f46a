//! A room as it was, out of what a journal has of it: saved parts, and the records behind them.

use std::sync::Arc;

use chatroom_protocol::change::RawChange;
use chatroom_protocol::{Change, ClientId, Epoch, Limits, Sequence, TopicName, TopicType, TopicValue};
use serde_json::value::RawValue;

use crate::history::{Kept, KeptPart};
use crate::input::Time;
use crate::keep::{MEMBER, ROOM, ROOM_KEY, TOMBSTONE, TOPIC};
use crate::member::{Member, Taken};
use crate::record::{self, Authorship, Damaged, Entry, Outcome, Reader};
use crate::room::{Room, RoomConfig};
use crate::topic::Topic;

/// What a journal has of a room.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Saved parts by their keys.
    pub parts: &'a [(String, &'a [u8])],
    /// All commits up to this one are in the parts.
    pub covered: Sequence,
    /// Records in their order: all behind `covered`, and perhaps some before, for the room's memory.
    pub records: &'a [(Sequence, &'a [u8])],
    /// The last record's place.
    pub last: Sequence,
    /// Whether this is all that was acknowledged. If not, it is another life of the room: nobody goes on
    /// with a session of the one before.
    pub whole: bool,
}

/// So many commits a room makes in a millisecond at most.
const COMMITS_PER_MS: u64 = 1_000;
/// So many clients may have come whom the journal never knew.
const UNKNOWN_CLIENTS: u64 = 1_000;

impl Room {
    /// Makes a room of what a journal has; an empty one if that is nothing.
    ///
    /// Events and presence take places that no record tells of, so the order goes on at a place that
    /// the room cannot have reached since the last record.
    ///
    /// # Errors
    /// Which part or record cannot be read, and why.
    pub fn restore(mut config: RoomConfig, image: &Image<'_>, now: Time) -> Result<Self, Damaged> {
        if image.parts.is_empty() && image.records.is_empty() {
            return Ok(Self::new(config));
        }
        let mut known = Known::default();
        if let Some((key, bytes)) = image.parts.iter().find(|(key, _)| key == ROOM_KEY) {
            known = read_room(bytes).map_err(|damage| in_part(key, &damage))?;
        }
        let mut entries = Vec::with_capacity(image.records.len());
        for (sequence, bytes) in image.records {
            let entry = record::read(bytes).map_err(|damage| in_record(*sequence, &damage))?;
            if let Entry::Commit { epoch: Some(epoch), .. } = &entry {
                known.epoch = *epoch;
            }
            entries.push((*sequence, entry));
        }
        if image.whole {
            config.epoch = known.epoch;
        }
        let mut room = Self::new(config);
        room.keeper.opened = image.whole;
        room.keeper.recorded = image.last;
        room.now = now;
        for (key, bytes) in image.parts.iter().filter(|(key, _)| key != ROOM_KEY) {
            room.restore_part(key, bytes).map_err(|damage| in_part(key, &damage))?;
        }
        // What is not remembered ends where the records begin.
        let floor = image.records.first().map_or(image.last, |(first, _)| Sequence(first.0.saturating_sub(1)));
        room.topics.values_mut().for_each(|topic| topic.past.begins_behind(floor));
        for (sequence, entry) in entries {
            known.at = known.at.max(entry.at());
            room.replay(sequence, entry, image.covered, floor).map_err(|damage| in_record(sequence, &damage))?;
        }
        let newest = room.members.by_id.keys().map(|client| client.0).max().unwrap_or_default();
        if !image.whole {
            let mut clients: Vec<ClientId> = room.members.by_id.drain().map(|(client, _)| client).collect();
            clients.sort();
            clients.into_iter().for_each(|client| room.unsaved_member(client, image.last.next()));
        }
        let unseen = now.since_ms(known.at).saturating_add(1).saturating_mul(COMMITS_PER_MS);
        room.sequence = Sequence(image.last.max(known.sequence).0.saturating_add(unseen));
        room.next_client = room.next_client.max(newest).max(known.next_client) + UNKNOWN_CLIENTS;
        room.next_change = known.next_change + unseen;
        let mut names: Vec<TopicName> = room.topics.keys().cloned().collect();
        names.sort();
        for name in &names {
            room.topic_touched(name);
            // Those who come back after a restart have the whole time for it.
            room.expire_later(name);
        }
        room.leave_all();
        Ok(room)
    }

    fn restore_part(&mut self, key: &str, bytes: &[u8]) -> Result<(), Damaged> {
        let mut from = Reader(bytes);
        let what = from.head(1)?;
        let name = |key: &str| TopicName::parse(key).map_err(|refusal| Damaged(refusal.to_string()));
        match (what, key.split_once('/')) {
            (TOPIC, Some(("t", key))) => {
                let name = name(key)?;
                let (sequence, made, kind) = (Sequence(from.number()?), Sequence(from.number()?), from.kind()?);
                let weight = usize::try_from(from.number()?).unwrap_or(usize::MAX);
                let ttl_ms = from.optional()?;
                let text = std::str::from_utf8(from.0).map_err(|_| Damaged("its value is no UTF-8".into()))?;
                let value = TopicValue::read(kind, text).map_err(|refusal| Damaged(refusal.to_string()))?;
                let topic =
                    Topic { value, sequence, weight, ttl_ms, recorded: true, ..Topic::new(name.clone(), kind, made) };
                self.weight = self.weight.saturating_add(weight);
                self.topics.insert(name, topic);
            }
            (TOMBSTONE, Some(("t", key))) => {
                let place = (Sequence(from.number()?), Time(from.number()?));
                self.keeper.tombstones.insert(name(key)?, place);
            }
            (MEMBER, Some(("c", key))) => {
                let client = ClientId::parse(key).map_err(|refusal| Damaged(refusal.to_string()))?;
                let (client, member) = (client, restore_member(&mut from)?);
                self.members.by_id.insert(client, member);
            }
            (other, _) => return Err(Damaged(format!("a part of an unknown kind, {other}"))),
        }
        Ok(())
    }

    fn replay(
        &mut self,
        sequence: Sequence,
        entry: Entry<'_>,
        covered: Sequence,
        floor: Sequence,
    ) -> Result<(), Damaged> {
        match entry {
            Entry::Deletion { at, name } => {
                // A topic that was saved behind this is another one of that name.
                if self.topics.get(&name).is_some_and(|topic| topic.made < sequence && topic.sequence < sequence)
                    && let Some(topic) = self.topics.remove(&name)
                {
                    self.weight = self.weight.saturating_sub(topic.weight);
                    self.forget_past(&topic.past);
                }
                if sequence > covered {
                    self.keeper.tombstones.insert(name.clone(), (sequence, at));
                    self.unsaved_topic(name, sequence);
                }
                Ok(())
            }
            Entry::Commit { at, author, made, message, .. } => {
                for made in made.into_iter().filter(|_| sequence > covered) {
                    self.topics.entry(made.name.clone()).or_insert_with(|| {
                        let ttl_ms = made.ttl_ms;
                        let mut topic = Topic { recorded: true, ttl_ms, ..Topic::new(made.name, made.kind, made.at) };
                        topic.past.begins_behind(floor);
                        topic
                    });
                }
                let (action_id, raw) = record::parts_of(message);
                let mut parts = Vec::with_capacity(raw.len());
                for (topic_name, raw, previous) in raw {
                    if let Some(part) = self.replay_part(sequence, author.by, topic_name, raw, previous)? {
                        parts.push(part);
                    }
                }
                for part in &parts {
                    if let Some(topic) = self.topics.get_mut(&part.topic_name).filter(|it| it.sequence < sequence) {
                        topic.sequence = sequence;
                        self.unsaved_topic(part.topic_name.clone(), sequence);
                    }
                }
                if sequence > covered {
                    self.replay_outcomes(sequence, &author, &parts);
                }
                let number = author.outcomes.last().map(|outcome| outcome.number);
                let by = author.by;
                self.next_client = self.next_client.max(by.0);
                self.remember_kept(Kept { sequence, by, number, action_id, parts, at });
                Ok(())
            }
        }
    }

    /// Applies a change, unless the topic's saved value has it already, or the topic is gone.
    fn replay_part(
        &mut self,
        sequence: Sequence,
        by: ClientId,
        topic_name: TopicName,
        raw: &RawValue,
        previous: Sequence,
    ) -> Result<Option<KeptPart>, Damaged> {
        let Some(topic) = self.topics.get_mut(&topic_name).filter(|topic| topic.made < sequence) else {
            return Ok(None);
        };
        let wrong = |refusal: chatroom_protocol::Refusal| Damaged(format!("its change of {topic_name}: {refusal}"));
        let raw = RawChange::parse(raw).map_err(wrong)?;
        let change = raw.decode_committed(topic.value.kind(), by).map_err(wrong)?;
        if topic.sequence < sequence {
            let back = topic.value.apply(&change, &Limits::unlimited()).map_err(wrong)?;
            if let Some(back) = back {
                let before = topic.weight;
                topic.weight = (before + change.weight()).saturating_sub(back.weight());
                self.weight = (self.weight + topic.weight).saturating_sub(before);
            }
        }
        let id = raw.id.unwrap_or(chatroom_protocol::ChangeId::Number(0));
        Ok(Some(KeptPart { topic_name, id, change, previous }))
    }

    fn replay_outcomes(&mut self, sequence: Sequence, author: &Authorship, parts: &[KeptPart]) {
        let Some(last) = author.outcomes.last().map(|outcome| outcome.number) else {
            return;
        };
        if let Some(secret) = &author.secret {
            self.members.by_id.entry(author.by).or_insert_with(|| Member::known(secret.as_str().into()));
        }
        // One that was forgotten stays so.
        let Some(member) = self.members.by_id.get_mut(&author.by) else {
            return;
        };
        member.acknowledge(author.acknowledged);
        let news: Vec<Taken> = author
            .outcomes
            .iter()
            .filter(|outcome| outcome.number > member.last && outcome.number > member.acknowledged)
            .map(|outcome| {
                let own = outcome.altered && outcome.number == last;
                let altered = own.then(|| parts.iter().map(|it| (it.topic_name.clone(), it.change.clone())).collect());
                taken(outcome, altered)
            })
            .collect();
        member.taken.extend(news);
        member.last = member.last.max(last);
        member.recorded = member.last;
        self.unsaved_member(author.by, sequence);
    }
}

fn taken(outcome: &Outcome, altered: Option<Arc<[(TopicName, Change)]>>) -> Taken {
    let Outcome { number, sequence, previous, effect, .. } = outcome.clone();
    Taken { number, sequence, previous, effect, altered }
}

fn restore_member(from: &mut Reader<'_>) -> Result<Member, Damaged> {
    let mut member = Member::known(from.text()?.into());
    member.last = from.number()?;
    member.recorded = member.last;
    member.acknowledged = from.number()?;
    let _saved_at = from.number()?;
    for outcome in from.outcomes()? {
        let count = from.number()?;
        let parts = (0..count)
            .map(|_| {
                let (name, kind) = (from.topic_name()?, from.kind()?);
                Ok((name, read_change(kind, from.text()?)?))
            })
            .collect::<Result<Vec<_>, Damaged>>()?;
        member.taken.push_back(taken(&outcome, outcome.altered.then(|| parts.into())));
    }
    Ok(member)
}

pub(crate) fn read_change(kind: TopicType, text: &str) -> Result<Change, Damaged> {
    let wrong = |refusal: chatroom_protocol::Refusal| Damaged(refusal.to_string());
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| Damaged(error.to_string()))?;
    RawChange::parse(raw).and_then(|raw| raw.decode_committed(kind, ClientId::SERVER)).map_err(wrong)
}

/// What is known of the room besides its topics and clients.
#[derive(Debug, Default)]
struct Known {
    epoch: Epoch,
    /// When the journal was told of something last.
    at: Time,
    sequence: Sequence,
    next_client: u64,
    next_change: u64,
}

fn read_room(bytes: &[u8]) -> Result<Known, Damaged> {
    let mut from = Reader(bytes);
    match from.head(1)? {
        ROOM => Ok(Known {
            epoch: Epoch(from.number()?),
            at: Time(from.number()?),
            sequence: Sequence(from.number()?),
            next_client: from.number()?,
            next_change: from.number()?,
        }),
        other => Err(Damaged(format!("a part of another kind, {other}"))),
    }
}

fn in_part(key: &str, damage: &Damaged) -> Damaged {
    Damaged(format!("the part {key:?} cannot be read: {damage}"))
}

fn in_record(sequence: Sequence, damage: &Damaged) -> Damaged {
    Damaged(format!("the record {} cannot be read: {damage}", sequence.0))
}

/// What a part says, as JSON for a person. Never the secret of a client.
///
/// # Errors
/// What is wrong with it.
pub fn describe_part(key: &str, bytes: &[u8]) -> Result<serde_json::Value, Damaged> {
    let mut from = Reader(bytes);
    Ok(match (from.head(1)?, key) {
        (ROOM, _) => {
            let known = read_room(bytes)?;
            serde_json::json!({"epoch": known.epoch.0, "at_ms": known.at.0, "sequence": known.sequence.0})
        }
        (TOPIC, _) => {
            let (sequence, _made, kind) = (from.number()?, from.number()?, from.kind()?);
            let (_weight, _ttl) = (from.number()?, from.optional()?);
            let value: serde_json::Value =
                serde_json::from_slice(from.0).map_err(|error| Damaged(format!("its value: {error}")))?;
            serde_json::json!({"type": kind.name(), "sequence": sequence, "value": value})
        }
        (TOMBSTONE, _) => serde_json::json!({"deleted_at": from.number()?, "at_ms": from.number()?}),
        (MEMBER, _) => {
            let member = restore_member(&mut from)?;
            serde_json::json!({"last": member.last, "acknowledged": member.acknowledged})
        }
        (other, _) => return Err(Damaged(format!("a part of an unknown kind, {other}"))),
    })
}
