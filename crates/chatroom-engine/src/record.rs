//! A commit as the journal keeps it: a short head, and the message that subscribers get.
//!
//! The head holds what the message does not: when it was, what its author's push comes to, the types
//! of topics that were not in the journal before, and, for each part of the message, the change that
//! takes it back: from a topic's value of now they lead to any that it had. Numbers are LEB128. A
//! record says nothing of events and presence, which are not kept.

use bytes::Bytes;
use chatroom_protocol::heard::Heard;
use chatroom_protocol::{Change, ChangeId, ClientId, Epoch, Sequence, TopicName, TopicType};
use serde_json::value::RawValue;

use crate::input::Time;
use crate::member::Taken;

/// The first byte of every record; another form gets another number.
const FORM: u8 = 1;
const COMMIT: u8 = 1;
const DELETION: u8 = 2;

const EFFECT: u8 = 1;
const ALTERED: u8 = 2;

/// What is wrong with bytes from a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged(pub String);

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damaged {}

/// The author of a commit and what its push comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Authorship {
    pub(crate) by: ClientId,
    /// By which the author proves who it is, if the journal does not know it yet.
    pub(crate) secret: Option<String>,
    /// Up to which number it knew the outcomes.
    pub(crate) acknowledged: u64,
    /// This outcome, behind those since the author's last record that have none of their own.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What became of a pushed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) number: u64,
    pub(crate) sequence: Sequence,
    pub(crate) previous: Vec<Sequence>,
    pub(crate) effect: bool,
    /// Whether a rule altered it: it became what the record's message says.
    pub(crate) altered: bool,
}

impl From<&Taken> for Outcome {
    fn from(taken: &Taken) -> Self {
        Self {
            number: taken.number,
            sequence: taken.sequence,
            previous: taken.previous.clone(),
            effect: taken.effect,
            altered: taken.altered.is_some(),
        }
    }
}

/// A topic that is in the journal from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) name: TopicName,
    pub(crate) kind: TopicType,
    pub(crate) at: Sequence,
    pub(crate) ttl_ms: Option<u64>,
}

/// A record, read.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Entry<'a> {
    Commit {
        at: Time,
        epoch: Option<Epoch>,
        author: Authorship,
        made: Vec<Made>,
        /// What takes each part back; nothing for a part that changed nothing.
        inverses: Vec<&'a str>,
        /// `Update` or `Action`.
        message: Heard<'a>,
    },
    Deletion {
        at: Time,
        name: TopicName,
    },
}

/// A change of a record: its topic, what it is, and the topic's commit before.
pub(crate) type RecordedPart<'a> = (TopicName, &'a RawValue, Sequence);

/// The id that an action was given, if it is one, and the changes of a record's message.
pub(crate) fn parts_of(message: Heard<'_>) -> (Option<ChangeId>, Vec<RecordedPart<'_>>) {
    match message {
        Heard::Update { topic_name, change, place } => (None, vec![(topic_name, change, place.previous)]),
        Heard::Action { action_id, changes, .. } => {
            let parts = changes.into_iter().map(|part| (part.topic_name, part.change, part.previous));
            (Some(action_id), parts.collect())
        }
        // [`read`] lets nothing else through.
        _ => (None, Vec::new()),
    }
}

pub(crate) fn commit<'a>(
    at: Time,
    epoch: Option<Epoch>,
    author: &Authorship,
    made: &[Made],
    inverses: impl ExactSizeIterator<Item = Option<&'a Change>>,
    message: &[u8],
) -> Bytes {
    let mut out = Writer::new(FORM, COMMIT, 2 * message.len() + 64);
    out.number(at.0);
    out.number(epoch.map_or(0, |epoch| epoch.0));
    out.number(author.by.0);
    out.text(author.secret.as_deref().unwrap_or_default());
    out.number(author.acknowledged);
    out.outcomes(&author.outcomes);
    out.number(made.len() as u64);
    for Made { name, kind, at, ttl_ms } in made {
        out.text(name.as_str());
        out.kind(*kind);
        out.number(at.0);
        out.optional(*ttl_ms);
    }
    out.number(inverses.len() as u64);
    for inverse in inverses {
        out.change(inverse);
    }
    out.0.extend_from_slice(message);
    out.0.into()
}

pub(crate) fn deletion(at: Time, name: &TopicName) -> Bytes {
    let mut out = Writer::new(FORM, DELETION, name.as_str().len() + 16);
    out.number(at.0);
    out.text(name.as_str());
    out.0.into()
}

pub(crate) fn read(bytes: &[u8]) -> Result<Entry<'_>, Damaged> {
    let mut from = Reader(bytes);
    let what = from.head(FORM)?;
    let at = Time(from.number()?);
    match what {
        COMMIT => {
            let epoch = Some(from.number()?).filter(|epoch| *epoch > 0).map(Epoch);
            let by = ClientId(from.number()?);
            let secret = Some(from.text()?.to_owned()).filter(|secret| !secret.is_empty());
            let acknowledged = from.number()?;
            let outcomes = from.outcomes()?;
            let count = from.number()?;
            let made = (0..count).map(|_| from.made()).collect::<Result<Vec<_>, _>>()?;
            let count = from.number()?;
            let inverses = (0..count).map(|_| from.text()).collect::<Result<Vec<_>, _>>()?;
            let text = std::str::from_utf8(from.0).map_err(|_| Damaged("its message is no UTF-8".into()))?;
            let message = Heard::parse(text).map_err(|refusal| Damaged(format!("its message: {refusal}")))?;
            if !matches!(message, Heard::Update { .. } | Heard::Action { .. }) {
                return Err(Damaged("its message is neither update nor action".into()));
            }
            let author = Authorship { by, secret, acknowledged, outcomes };
            Ok(Entry::Commit { at, epoch, author, made, inverses, message })
        }
        DELETION => Ok(Entry::Deletion { at, name: from.topic_name()? }),
        other => Err(Damaged(format!("a record of an unknown kind, {other}"))),
    }
}

/// Writes numbers and texts of records and parts.
#[derive(Debug)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Entry<'_> {
    pub(crate) fn at(&self) -> Time {
        match self {
            Self::Commit { at, .. } | Self::Deletion { at, .. } => *at,
        }
    }
}

impl Writer {
    pub(crate) fn new(form: u8, what: u8, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room);
        bytes.extend([form, what]);
        Self(bytes)
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7f) as u8);
    }

    /// Nothing is 0, and a number one more than it is.
    pub(crate) fn optional(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |number| number.saturating_add(1)));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn kind(&mut self, kind: TopicType) {
        self.text(kind.name());
    }

    /// A change as JSON behind its length; nothing for none.
    fn change(&mut self, change: Option<&Change>) {
        let Some(change) = change else {
            return self.number(0);
        };
        let text = serde_json::to_vec(change).expect("our own changes have a JSON form");
        self.number(text.len() as u64);
        self.0.extend_from_slice(&text);
    }

    pub(crate) fn outcomes(&mut self, outcomes: &[Outcome]) {
        self.number(outcomes.len() as u64);
        for outcome in outcomes {
            self.number(outcome.number);
            self.number(outcome.sequence.0);
            self.0.push((u8::from(outcome.effect) * EFFECT) | (u8::from(outcome.altered) * ALTERED));
            self.number(outcome.previous.len() as u64);
            outcome.previous.iter().for_each(|sequence| self.number(sequence.0));
        }
    }
}

/// Reads them back; whatever the bytes, it only fails.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn head(&mut self, form: u8) -> Result<u8, Damaged> {
        match self.byte()? {
            found if found == form => self.byte(),
            found => Err(Damaged(format!("written in form {found}; this version reads form {form}"))),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or_else(ends)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged("a number without an end".into()))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<u64>, Damaged> {
        Ok(self.number()?.checked_sub(1))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| ends())?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(ends)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Damaged("a text that is no UTF-8".into()))
    }

    pub(crate) fn topic_name(&mut self) -> Result<TopicName, Damaged> {
        TopicName::parse(self.text()?).map_err(|refusal| Damaged(refusal.to_string()))
    }

    pub(crate) fn kind(&mut self) -> Result<TopicType, Damaged> {
        TopicType::parse(self.text()?).map_err(|refusal| Damaged(refusal.to_string()))
    }

    fn made(&mut self) -> Result<Made, Damaged> {
        let (name, kind, at) = (self.topic_name()?, self.kind()?, Sequence(self.number()?));
        Ok(Made { name, kind, at, ttl_ms: self.optional()? })
    }

    pub(crate) fn outcomes(&mut self) -> Result<Vec<Outcome>, Damaged> {
        let count = self.number()?;
        (0..count)
            .map(|_| {
                let (number, sequence, flags) = (self.number()?, Sequence(self.number()?), self.byte()?);
                let count = self.number()?;
                let previous = (0..count).map(|_| self.number().map(Sequence)).collect::<Result<_, _>>()?;
                let (effect, altered) = (flags & EFFECT > 0, flags & ALTERED > 0);
                Ok(Outcome { number, sequence, previous, effect, altered })
            })
            .collect()
    }
}

fn ends() -> Damaged {
    Damaged("it ends too early".into())
}

/// What a record says, as JSON for a person: when it was, by whom, and what changed.
///
/// # Errors
/// What is wrong with it.
pub fn describe_record(bytes: &[u8]) -> Result<serde_json::Value, Damaged> {
    Ok(match read(bytes)? {
        Entry::Deletion { at, name } => serde_json::json!({"at_ms": at.0, "deleted": name.as_str()}),
        Entry::Commit { at, author, made, .. } => {
            let made: serde_json::Map<String, serde_json::Value> =
                made.iter().map(|made| (made.name.to_string(), made.kind.name().into())).collect();
            let mut said = serde_json::json!({"at_ms": at.0, "by": author.by.0, "message": message_of(bytes)?});
            if !made.is_empty() {
                said["made"] = made.into();
            }
            if let Some(outcome) = author.outcomes.last() {
                said["number"] = outcome.number.into();
            }
            said
        }
    })
}

/// The message at the end of a commit's record.
fn message_of(bytes: &[u8]) -> Result<serde_json::Value, Damaged> {
    let mut from = Reader(bytes);
    from.head(FORM)?;
    for _ in 0..3 {
        from.number()?;
    }
    from.text()?;
    from.number()?;
    from.outcomes()?;
    for _ in 0..from.number()? {
        from.made()?;
    }
    for _ in 0..from.number()? {
        from.text()?;
    }
    serde_json::from_slice(from.0).map_err(|error| Damaged(error.to_string()))
}
