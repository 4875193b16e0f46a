//! What goes to the server: the pending actions, several in one message (M20, M26).

use chatroom_protocol::change::StringChange;
use chatroom_protocol::{Change, Sequence, TopicName};
use serde::Serialize;

use crate::own::Pending;
use crate::replica::Replica;

#[derive(Serialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
enum Said<'a> {
    Push { number: u64, acknowledged: u64, topics: Vec<PushedTopic<'a>>, actions: Vec<PushedAction<'a>> },
}

#[derive(Serialize)]
struct PushedTopic<'a> {
    topic_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Sequence>,
}

#[derive(Serialize)]
struct PushedAction<'a> {
    changes: Vec<PushedChange<'a>>,
}

#[derive(Serialize)]
struct PushedChange<'a> {
    topic: usize,
    change: &'a Change,
}

/// What a message says besides its actions, at most: its own fields and those of each topic and change.
const ENVELOPE_BYTES: usize = 256;
const PART_BYTES: usize = 64;

/// Whether an action with these changes can go out in one message.
pub(crate) fn fits<'a>(
    changes: impl Iterator<Item = (&'a TopicName, &'a Change)> + Clone,
    message_bytes: usize,
) -> bool {
    let part = |(name, _): (&TopicName, &Change), bytes: usize| name.as_str().len() + PART_BYTES + bytes;
    // Each byte of a text is written as six at most.
    let most: usize = changes.clone().map(|it| part(it, it.1.weight() * 6 + components(it.1) * 24)).sum();
    if ENVELOPE_BYTES + most <= message_bytes {
        return true;
    }
    let written = |change: &Change| serde_json::to_string(change).map_or(usize::MAX / 2, |text| text.len());
    ENVELOPE_BYTES + changes.map(|it| part(it, written(it.1))).sum::<usize>() <= message_bytes
}

fn components(change: &Change) -> usize {
    match change {
        Change::String(StringChange::Edit(components)) => components.len(),
        _ => 1,
    }
}

impl Replica {
    /// The next message with own actions, if one may go out now; they are on their way then.
    pub fn push(&mut self) -> Option<String> {
        if !self.online || self.resuming.is_some() {
            return None;
        }
        let count = self.count_to_push();
        if count == 0 {
            return None;
        }
        let text = self.push_text(self.sent, count);
        for place in self.sent..self.sent + count {
            let named = self.actions.get(place).map(|action| self.named_by(action)).unwrap_or_default();
            if let Some(action) = self.actions.get_mut(place) {
                action.named = Some(named);
            }
        }
        self.sent += count;
        Some(text)
    }

    fn count_to_push(&self) -> usize {
        let (mut count, mut bytes) = (0, ENVELOPE_BYTES);
        for action in self.actions.iter().skip(self.sent).take(self.limits.push_actions) {
            bytes += self.weigh(action);
            // One that is too big alone goes out alone, and the server says so.
            let outdated = |name: &TopicName| {
                self.mirrors.get(name).is_some_and(|mirror| mirror.wanted && mirror.outdated && mirror.is_awaited())
            };
            let too_big = count > 0 && bytes > self.limits.message_bytes;
            if too_big || self.has_to_follow(action) || action.topics.iter().any(outdated) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Whether the action touches a text or list that an action on its way touches.
    fn has_to_follow(&self, action: &Pending) -> bool {
        let positional = |name: &&TopicName| self.mirrors.get(*name).is_some_and(crate::mirror::Mirror::is_positional);
        let touched: Vec<&TopicName> = action.topics.iter().filter(positional).collect();
        !self.pipelined
            && !touched.is_empty()
            && self.actions.iter().take(self.sent).any(|other| other.topics.iter().any(|name| touched.contains(&name)))
    }

    fn weigh(&self, action: &Pending) -> usize {
        self.changes_of(action).map(|(_, name, change)| name.as_str().len() + PART_BYTES + change.weight() * 2).sum()
    }

    fn changes_of<'a>(&'a self, action: &'a Pending) -> impl Iterator<Item = (usize, &'a TopicName, &'a Change)> {
        action.topics.iter().filter_map(|name| Some((name, self.mirrors.get(name)?))).flat_map(|(name, mirror)| {
            let from = mirror.own.partition_point(|own| own.action < action.id);
            let own = mirror.own.range(from..).take_while(|own| own.action == action.id);
            own.filter_map(move |own| Some((own.part, name, own.change.as_ref()?)))
        })
    }

    /// The topics that an action's changes name now, each once.
    fn named_by(&self, action: &Pending) -> Vec<TopicName> {
        let mut changes: Vec<_> = self.changes_of(action).map(|(part, name, _)| (part, name)).collect();
        changes.sort_by_key(|(part, _)| *part);
        let mut named: Vec<TopicName> = Vec::new();
        for (_, name) in changes {
            if !named.contains(name) {
                named.push(name.clone());
            }
        }
        named
    }

    fn push_text(&self, from: usize, count: usize) -> String {
        let mut names: Vec<&TopicName> = Vec::new();
        let actions = self.actions.range(from..from + count);
        let actions = actions
            .map(|action| {
                let mut changes: Vec<_> = self.changes_of(action).collect();
                changes.sort_by_key(|(part, ..)| *part);
                let changes = changes
                    .into_iter()
                    .map(|(_, name, change)| {
                        let topic = names.iter().position(|other| *other == name).unwrap_or_else(|| {
                            names.push(name);
                            names.len() - 1
                        });
                        PushedChange { topic, change }
                    })
                    .collect();
                PushedAction { changes }
            })
            .collect();
        let base =
            |name: &TopicName| self.mirrors.get(name).filter(|mirror| mirror.value.is_some()).map(|it| it.position);
        let topics = names.iter().map(|name| PushedTopic { topic_name: name.as_str(), base: base(name) }).collect();
        let said = Said::Push {
            number: self.acknowledged + 1 + from as u64,
            acknowledged: self.acknowledged,
            topics,
            actions,
        };
        serde_json::to_string(&said).expect("our messages serialize, and a String takes any text")
    }

    /// Whether own actions are on their way.
    #[must_use]
    pub fn is_pushing(&self) -> bool {
        self.sent > 0
    }
}
