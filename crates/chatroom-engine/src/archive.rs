//! What clients ask of the past: pages of commits, and the value that a topic had.
//!
//! The journal is read from a place back, a stretch at a time, and the room goes on in between. Each
//! part of a commit names its topic's commit before, so that the way back passes over what other
//! topics did; and each record has what takes its parts back, so that a value of the past is the
//! value of now with the changes since taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use chatroom_protocol::change::WireChange;
use chatroom_protocol::envelope::Fields;
use chatroom_protocol::limits::MAX_HISTORY_COMMITS;
use chatroom_protocol::{Change, ClientId, Code, Limits, Refusal, Sequence, TopicName};
use chatroom_protocol::{ChangeId, TopicValue};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::effect::Effect;
use crate::history::Kept;
use crate::input::Stretch;
use crate::keep::Keeping;
use crate::record::{self, Damaged, Entry, parts_of};
use crate::restore::read_change;
use crate::room::Room;
use crate::service::{Asked, CallId, Caller};
use crate::system::{Got, json_text};

/// Commits of a page whose caller names no number.
const PAGE_COMMITS: usize = 100;
/// A page ends with the commit that makes it so large.
const PAGE_BYTES: usize = 512 << 10;
/// So much is read at a time.
const STRETCH_COMMITS: usize = 500;
const STRETCH_BYTES: usize = 1 << 20;
/// So often a page is read on for commits of one topic; then it tells what it found.
const PAGE_STRETCHES: usize = 20;

/// The questions that wait for the journal.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    readings: BTreeMap<CallId, Reading>,
}

impl Archive {
    /// Nobody waits for it any more.
    pub(crate) fn forget(&mut self, id: CallId) {
        self.readings.remove(&id);
    }
}

#[derive(Debug)]
enum Reading {
    Page(Page),
    Value(Past),
}

/// Commits before a place, the newest first.
#[derive(Debug)]
struct Page {
    topic_name: Option<TopicName>,
    limit: usize,
    commits: Vec<Box<RawValue>>,
    bytes: usize,
    stretches: usize,
}

/// A topic's value, on its way back.
#[derive(Debug)]
struct Past {
    topic_name: TopicName,
    at: Sequence,
    value: TopicValue,
    /// The commit that gave it this value.
    sequence: Sequence,
}

/// What is left to do after a stretch.
enum Step {
    ReadOn { before: Sequence },
    Answered(Box<RawValue>),
}

#[derive(Serialize)]
struct CommitText<'a> {
    sequence: Sequence,
    at_ms: u64,
    by: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<&'a ChangeId>,
    changes: Vec<ChangeText<'a>>,
}

#[derive(Serialize)]
struct ChangeText<'a> {
    topic_name: &'a TopicName,
    change: ChangeForm<'a>,
    previous: Sequence,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ChangeForm<'a> {
    Kept(&'a RawValue),
    Remembered(WireChange<'a>),
}

#[derive(Serialize)]
struct DeletionText<'a> {
    sequence: Sequence,
    at_ms: u64,
    deleted: &'a TopicName,
}

#[derive(Serialize)]
struct PageText<'a> {
    commits: &'a [Box<RawValue>],
    /// What to ask for next as `before`; `null` behind the last page.
    next: Option<Sequence>,
}

impl Page {
    fn parse(args: &RawValue) -> Result<(Self, Option<Sequence>), Refusal> {
        let must = "args must be {\"topic_name\"?: name, \"before\"?: sequence, \"limit\"?: number}";
        let fields = Fields::parse(args.get(), must)?;
        let topic_name = fields.text("topic_name")?.map(|name| TopicName::parse(&name)).transpose()?;
        let limit = fields.count("limit")?.map_or(PAGE_COMMITS, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !(1..=MAX_HISTORY_COMMITS).contains(&limit) {
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("limit must be from 1 to {MAX_HISTORY_COMMITS}, not {limit}"),
            ));
        }
        let before = fields.count("before")?.map(Sequence);
        Ok((Self { topic_name, limit, commits: Vec::new(), bytes: 0, stretches: 0 }, before))
    }

    fn push(&mut self, commit: &impl Serialize) {
        let text = json_text(commit);
        self.bytes += text.get().len();
        self.commits.push(text);
    }

    fn is_full(&self) -> bool {
        self.commits.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn answer(&self, next: Option<Sequence>) -> Box<RawValue> {
        json_text(&PageText { commits: &self.commits, next })
    }

    fn read(&mut self, stretch: &Stretch<'_>) -> Result<Step, Damaged> {
        self.stretches += 1;
        let mut left = None;
        for (sequence, bytes) in stretch.records.iter().rev() {
            let previous = self.take(*sequence, record::read(bytes)?);
            left = Some(previous.map_or(*sequence, |previous| previous.next()));
            if self.is_full() {
                break;
            }
        }
        // A topic that was deleted and made again has other commits before its first.
        let more = left.filter(|left| stretch.oldest.is_some_and(|oldest| oldest < *left));
        Ok(match more {
            Some(before) if !self.is_full() && self.stretches < PAGE_STRETCHES => Step::ReadOn { before },
            more => Step::Answered(self.answer(more)),
        })
    }

    /// Adds a record's commit; returns where the commit before it is, if that is known.
    fn take(&mut self, sequence: Sequence, entry: Entry<'_>) -> Option<Sequence> {
        let is_wanted = |page: &Self, name: &TopicName| page.topic_name.as_ref().is_none_or(|wanted| wanted == name);
        match entry {
            Entry::Deletion { at, name } => {
                if is_wanted(self, &name) {
                    self.push(&DeletionText { sequence, at_ms: at.0, deleted: &name });
                }
                None
            }
            Entry::Commit { at, author, message, .. } => {
                let (action_id, parts) = parts_of(message);
                let previous = parts
                    .iter()
                    .find(|part| self.topic_name.as_ref() == Some(&part.0))
                    .map(|(_, _, previous)| *previous);
                if parts.iter().any(|(name, _, _)| is_wanted(self, name)) {
                    let changes = parts.iter().map(|(topic_name, change, previous)| ChangeText {
                        topic_name,
                        change: ChangeForm::Kept(change),
                        previous: *previous,
                    });
                    self.push(&CommitText {
                        sequence,
                        at_ms: at.0,
                        by: author.by,
                        number: author.outcomes.last().map(|outcome| outcome.number),
                        action_id: action_id.as_ref(),
                        changes: changes.collect(),
                    });
                }
                // Behind a first commit nothing is known: a topic of that name may have been before.
                previous.filter(|previous| *previous > Sequence::default())
            }
        }
    }
}

impl Past {
    fn read(&mut self, stretch: &Stretch<'_>) -> Result<Result<Step, Refusal>, Damaged> {
        for (sequence, bytes) in stretch.records.iter().rev() {
            // What lies between two commits of the topic is of others.
            if *sequence > self.sequence {
                continue;
            }
            match record::read(bytes)? {
                Entry::Deletion { name, .. } if name == self.topic_name => break,
                Entry::Deletion { .. } => {}
                Entry::Commit { inverses, message, .. } => {
                    let (_, parts) = parts_of(message);
                    if parts.len() != inverses.len() {
                        return Err(Damaged("it does not say how to take each change back".into()));
                    }
                    for ((name, _, previous), inverse) in parts.into_iter().zip(inverses).rev() {
                        if name != self.topic_name {
                            continue;
                        }
                        self.sequence = previous;
                        if inverse.is_empty() {
                            continue;
                        }
                        let inverse = read_change(self.value.kind(), inverse)?;
                        let done = self.value.apply(&inverse, &Limits::unlimited());
                        done.map_err(|refusal| Damaged(format!("its inverse at {}: {refusal}", sequence.0)))?;
                    }
                }
            }
            if self.sequence <= self.at {
                return Ok(Ok(Step::Answered(self.answer())));
            }
        }
        let first = stretch.records.first().map(|(first, _)| *first);
        match first.zip(stretch.oldest) {
            Some((first, oldest)) if oldest < first && oldest <= self.sequence => {
                Ok(Ok(Step::ReadOn { before: first.min(self.sequence.next()) }))
            }
            _ => Ok(Err(Refusal::new(
                Code::OutOfRange,
                format!("{} is known from {} on; what it was before is not kept", self.topic_name, self.sequence.0),
            ))),
        }
    }

    fn answer(&self) -> Box<RawValue> {
        json_text(&Got { r#type: self.value.kind(), value: &self.value, sequence: self.sequence })
    }
}

impl Room {
    /// Answers `_chatroom/history`, at once or when the journal has been read.
    pub(crate) fn past_commits(&mut self, asked: &Asked<'_>) -> Result<Option<Box<RawValue>>, Refusal> {
        let (page, before) = Page::parse(asked.args)?;
        if self.keeper.keeping == Keeping::Memory {
            return Ok(Some(self.remembered(page, before)));
        }
        let newest = page.topic_name.as_ref().and_then(|name| self.topics.get(name)).map(|topic| topic.sequence.next());
        let before = before.unwrap_or(Sequence(u64::MAX)).min(newest.unwrap_or(Sequence(u64::MAX)));
        self.read_past(asked, before, Reading::Page(page));
        Ok(None)
    }

    /// Answers `_chatroom/get` for a place of the past.
    pub(crate) fn past_value(
        &mut self,
        asked: &Asked<'_>,
        topic_name: TopicName,
        at: Sequence,
    ) -> Result<Option<Box<RawValue>>, Refusal> {
        let topic =
            self.topics.get(&topic_name).filter(|topic| topic.is_kept()).ok_or_else(|| {
                Refusal::new(Code::UnknownTopic, format!("there is no topic {topic_name} with a past"))
            })?;
        let past = Past { at, sequence: topic.sequence, value: topic.value.clone(), topic_name };
        if at < topic.made {
            let why = format!("{} was made at {}, behind {}", past.topic_name, topic.made.0, at.0);
            return Err(Refusal::new(Code::UnknownTopic, why));
        }
        if past.sequence <= at {
            return Ok(Some(past.answer()));
        }
        if self.keeper.keeping == Keeping::Memory {
            return Err(Refusal::new(
                Code::Unsupported,
                "this server keeps rooms in memory, and no values of the past; start it with --data",
            ));
        }
        let before = past.sequence.next();
        self.read_past(asked, before, Reading::Value(past));
        Ok(None)
    }

    fn read_past(&mut self, asked: &Asked<'_>, before: Sequence, reading: Reading) {
        let Asked { connection, service_name, args, request_id, deadline } = *asked;
        let caller = Caller::Client(connection, request_id.clone());
        let id = self.open_call(caller, service_name, args.to_owned(), deadline);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.calls.insert(request_id.clone(), id);
        }
        self.archive.readings.insert(id, reading);
        self.wish_stretch(id, before);
    }

    /// Behind all that waits for the journal, so that it has what the room shows.
    fn wish_stretch(&mut self, id: CallId, before: Sequence) {
        self.out.push(Effect::Read { reading: id.0, before, count: STRETCH_COMMITS, bytes: STRETCH_BYTES });
    }

    /// Takes a stretch of the journal that was asked for.
    pub(crate) fn read(&mut self, reading: u64, stretch: Result<Stretch<'_>, Refusal>) {
        let id = CallId(reading);
        let Some(reading) = self.archive.readings.get_mut(&id) else {
            return;
        };
        let step = stretch.and_then(|stretch| {
            let step = match reading {
                Reading::Page(page) => page.read(&stretch).map(Ok),
                Reading::Value(past) => past.read(&stretch),
            };
            step.unwrap_or_else(|damage| {
                Err(Refusal::new(Code::Internal, format!("a record of the past cannot be read: {damage}")))
            })
        });
        match step {
            Ok(Step::ReadOn { before }) => self.wish_stretch(id, before),
            Ok(Step::Answered(answer)) => self.answer_own(id, Ok(&answer)),
            Err(refusal) => self.answer_own(id, Err(&refusal)),
        }
    }

    /// A page of what is in memory.
    fn remembered(&self, mut page: Page, before: Option<Sequence>) -> Box<RawValue> {
        let wanted = page.topic_name.clone();
        let topics = self.topics.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == *name));
        let commits: BTreeMap<Sequence, &Arc<Kept>> = topics
            .flat_map(|(_, topic)| topic.past.all())
            .filter(|kept| before.is_none_or(|before| kept.sequence < before))
            .filter(|kept| kept.parts.iter().any(|part| is_history(&part.change)))
            .map(|kept| (kept.sequence, kept))
            .collect();
        let mut next = None;
        for kept in commits.into_values().rev() {
            if page.is_full() {
                return page.answer(next);
            }
            let changes = kept.parts.iter().filter(|part| is_history(&part.change)).map(|part| ChangeText {
                topic_name: &part.topic_name,
                change: ChangeForm::Remembered(WireChange { change: &part.change, id: &part.id }),
                previous: part.previous,
            });
            page.push(&CommitText {
                sequence: kept.sequence,
                at_ms: kept.at.0,
                by: kept.by,
                number: kept.number,
                action_id: kept.action_id.as_ref(),
                changes: changes.collect(),
            });
            next = Some(kept.sequence);
        }
        page.answer(None)
    }
}

fn is_history(change: &Change) -> bool {
    !matches!(change, Change::Event(_) | Change::Presence(_))
}
