//! Changes of `string` topics: a hard `set`, or an edit in retain, insert and delete.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::limits::Limits;
use crate::text::Text;
use crate::value::TopicType;

/// A change of a string topic.
#[derive(Clone, Debug, PartialEq)]
pub enum StringChange {
    /// Replaces the text, whatever others typed meanwhile.
    Set(String),
    /// Walks over the text; what follows the last component is kept.
    Edit(Vec<Component>),
    /// Removes text that must be there: the seed's `delete`.
    Delete {
        /// Where the text stands.
        position: usize,
        /// The text.
        deletion: String,
    },
}

/// A step of an edit. Counts are Unicode scalar values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// Keeps so many.
    Retain(usize),
    /// Puts text here.
    Insert(String),
    /// Removes so many.
    Delete(usize),
}

impl StringChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>, limits: &Limits) -> Result<Self, Refusal> {
        match kind {
            "set" => fields.require_text("value").map(Self::Set),
            "edit" => components(fields.require("components")?, limits).map(Self::Edit),
            "insert" => {
                let position = fields.require_position("position")?;
                let text = fields.require_text("insertion")?;
                Ok(Self::Edit(canonical([Component::Retain(position), Component::Insert(text)])))
            }
            "delete" => Ok(Self::Delete {
                position: fields.require_position("position")?,
                deletion: fields.require_text("deletion")?,
            }),
            _ => Err(unknown(TopicType::String, kind, "set, edit, insert and delete")),
        }
    }

    pub(super) fn apply(&self, text: &mut Text, limits: &Limits) -> Result<Option<Self>, Refusal> {
        match self {
            Self::Set(new) => {
                let new = Text::from(new.clone());
                fits(new.scalars(), limits)?;
                let changed = new != *text;
                let old = std::mem::replace(text, new);
                Ok(changed.then(|| Self::Set(old.as_str().to_owned())))
            }
            Self::Edit(components) => edit(components, text, limits),
            Self::Delete { position, deletion } => {
                let count = deletion.chars().count();
                let there = text.slice(*position, count)?;
                if there != deletion {
                    return Err(Refusal::new(
                        Code::Precondition,
                        format!("at position {position} stands {:?}, not {:?}", excerpt(there), excerpt(deletion)),
                    ));
                }
                edit(&self.components(), text, limits)
            }
        }
    }

    /// The edit as components; a `set` has none.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        match self {
            Self::Set(_) => Vec::new(),
            Self::Edit(components) => components.clone(),
            Self::Delete { position, deletion } => {
                canonical([Component::Retain(*position), Component::Delete(deletion.chars().count())])
            }
        }
    }

    /// The edit as the seed dialect knows it: inserts and deletes, one after the other.
    ///
    /// `inverse` is what `apply` returned; it holds the texts that were deleted. A `set`
    /// has no such form.
    #[must_use]
    pub fn steps(&self, inverse: Option<&Self>) -> Vec<Step> {
        let mut removed =
            inverse.map(Self::components).unwrap_or_default().into_iter().filter_map(|component| match component {
                Component::Insert(text) => Some(text),
                _ => None,
            });
        let mut position = 0;
        let mut steps = Vec::new();
        for component in self.components() {
            match component {
                Component::Retain(count) => position += count,
                Component::Insert(insertion) => {
                    let length = insertion.chars().count();
                    steps.push(Step::Insert { position, insertion });
                    position += length;
                }
                Component::Delete(_) => {
                    steps.push(Step::Delete { position, deletion: removed.next().unwrap_or_default() });
                }
            }
        }
        if steps.is_empty() {
            steps.push(Step::Insert { position: 0, insertion: String::new() });
        }
        steps
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Set(text) => text.len(),
            Self::Edit(components) => components
                .iter()
                .map(|component| match component {
                    Component::Insert(text) => text.len(),
                    _ => 0,
                })
                .sum(),
            Self::Delete { .. } => 0,
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Set(text) => {
                map.serialize_entry("type", "set")?;
                map.serialize_entry("value", text)
            }
            Self::Edit(_) | Self::Delete { .. } => {
                let mut components = self.components();
                trim(&mut components);
                map.serialize_entry("type", "edit")?;
                map.serialize_entry("components", &components)
            }
        }
    }
}

/// One change of an edit in the seed dialect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Step {
    /// Replaces the text.
    Set {
        /// The new text.
        value: String,
    },
    /// Puts text at a position.
    Insert {
        /// Where, counted in the text as the steps before left it.
        position: usize,
        /// The text.
        insertion: String,
    },
    /// Removes text at a position.
    Delete {
        /// Where, counted in the text as the steps before left it.
        position: usize,
        /// The text that stood there.
        deletion: String,
    },
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Retain(count) => map.serialize_entry("retain", count)?,
            Self::Insert(text) => map.serialize_entry("insert", text)?,
            Self::Delete(count) => map.serialize_entry("delete", count)?,
        }
        map.end()
    }
}

fn components(raw: &RawValue, limits: &Limits) -> Result<Vec<Component>, Refusal> {
    let list =
        Fields::list(raw, "components must be an array of {\"retain\": n}, {\"insert\": text} and {\"delete\": n}")?;
    if list.len() > limits.edit_components {
        return Err(Refusal::new(
            Code::TooBig,
            format!("an edit has at most {} components, this one has {}", limits.edit_components, list.len()),
        ));
    }
    let component = |fields: &Fields<'_>| {
        let count = |name| match fields.require_position(name)? {
            0 => Err(Refusal::new(Code::OutOfRange, format!("{name} must be at least 1"))),
            count => Ok(count),
        };
        match (fields.raw("retain"), fields.raw("insert"), fields.raw("delete")) {
            (Some(_), None, None) => count("retain").map(Component::Retain),
            (None, Some(_), None) => fields.require_text("insert").map(Component::Insert),
            (None, None, Some(_)) => count("delete").map(Component::Delete),
            _ => Err(Refusal::new(
                Code::BadType,
                "a component is one of {\"retain\": n}, {\"insert\": text}, {\"delete\": n}",
            )),
        }
    };
    let list = list.iter().map(component).collect::<Result<Vec<_>, _>>()?;
    Ok(canonical(list))
}

/// Merges neighbours, puts inserts before deletes at one place and drops what does nothing.
///
/// A last retain stays, so that [`StringChange::apply`] checks its range.
fn canonical(list: impl IntoIterator<Item = Component>) -> Vec<Component> {
    let mut result: Vec<Component> = Vec::new();
    for component in list {
        match component {
            Component::Retain(0) | Component::Delete(0) => {}
            Component::Insert(text) if text.is_empty() => {}
            Component::Retain(more) => match result.last_mut() {
                Some(Component::Retain(count)) => *count = count.saturating_add(more),
                _ => result.push(Component::Retain(more)),
            },
            Component::Delete(more) => match result.last_mut() {
                Some(Component::Delete(count)) => *count = count.saturating_add(more),
                _ => result.push(Component::Delete(more)),
            },
            Component::Insert(more) => {
                let place = match result.last() {
                    Some(Component::Delete(_)) => result.len() - 1,
                    _ => result.len(),
                };
                match place.checked_sub(1).and_then(|before| result.get_mut(before)) {
                    Some(Component::Insert(text)) => text.push_str(&more),
                    _ => result.insert(place, Component::Insert(more)),
                }
            }
        }
    }
    result
}

/// Drops a last retain, which says nothing once its range was checked.
fn trim(components: &mut Vec<Component>) {
    if matches!(components.last(), Some(Component::Retain(_))) {
        components.pop();
    }
}

fn edit(components: &[Component], text: &mut Text, limits: &Limits) -> Result<Option<StringChange>, Refusal> {
    let (mut walked, mut inserted, mut deleted) = (0usize, 0usize, 0usize);
    for component in components {
        match component {
            Component::Retain(count) => walked = walked.saturating_add(*count),
            Component::Insert(more) => inserted += more.chars().count(),
            Component::Delete(count) => {
                walked = walked.saturating_add(*count);
                deleted = deleted.saturating_add(*count);
            }
        }
    }
    // Checked before the first splice, so that a refused edit leaves the text whole.
    text.slice(walked, 0)?;
    fits(text.scalars() - deleted + inserted, limits)?;

    let mut position = 0;
    let mut inverse = Vec::new();
    for component in components {
        match component {
            Component::Retain(count) => {
                position += count;
                inverse.push(Component::Retain(*count));
            }
            Component::Insert(more) => {
                text.splice(position, 0, more)?;
                let count = more.chars().count();
                position += count;
                inverse.push(Component::Delete(count));
            }
            Component::Delete(count) => inverse.push(Component::Insert(text.splice(position, *count, "")?)),
        }
    }
    let mut inverse = canonical(inverse);
    trim(&mut inverse);
    Ok((!inverse.is_empty()).then_some(StringChange::Edit(inverse)))
}

fn fits(scalars: usize, limits: &Limits) -> Result<(), Refusal> {
    if scalars > limits.text_scalars {
        return Err(Refusal::new(
            Code::TooBig,
            format!("a text has at most {} scalar values, this would have {scalars}", limits.text_scalars),
        ));
    }
    Ok(())
}

fn excerpt(text: &str) -> String {
    text.chars().take(20).collect()
}
