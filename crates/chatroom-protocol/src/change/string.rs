//! Changes of `string` topics: a hard `set`, or an edit in retain, insert and delete.

use serde::ser::SerializeMap;

use super::edit::{self, Component, canonical, trim};
use super::transform::Side;
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

impl StringChange {
    /// An edit in canonical form: neighbours joined, no retain at the end, nothing empty.
    #[must_use]
    pub fn edit(components: impl IntoIterator<Item = Component>) -> Self {
        let mut components = canonical(components);
        trim(&mut components);
        Self::Edit(components)
    }

    pub(super) fn decode(kind: &str, fields: &Fields<'_>, limits: &Limits) -> Result<Self, Refusal> {
        match kind {
            "set" => fields.require_text("value").map(Self::Set),
            "edit" => edit::components(fields.require("components")?, limits).map(Self::Edit),
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
                Ok(changed.then(|| Self::Set(old.to_string())))
            }
            Self::Edit(components) => Ok(edit::walk(components, text, limits)?.map(Self::Edit)),
            Self::Delete { position, deletion } => {
                let count = deletion.chars().count();
                let there = text.slice(*position, count)?;
                if there != deletion.as_str() {
                    return Err(Refusal::new(
                        Code::Precondition,
                        format!("at position {position} stands {:?}, not {:?}", excerpt(&there), excerpt(deletion)),
                    ));
                }
                Ok(edit::walk(&self.components(), text, limits)?.map(Self::Edit))
            }
        }
    }

    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        match (self, over) {
            (Self::Set(_), Self::Set(_)) => (side == Side::Later).then(|| self.clone()),
            (Self::Set(_), _) => Some(self.clone()),
            (_, Self::Set(_)) => None,
            _ => {
                let result = match (self, over) {
                    (Self::Edit(own), Self::Edit(over)) => edit::transform(own, over, side),
                    _ => edit::transform(&self.components(), &over.components(), side),
                };
                (!result.is_empty()).then_some(Self::Edit(result))
            }
        }
    }

    /// Makes `back`, which took this edit back before it was moved, what takes it back now, without
    /// the text. `false`, and nothing was done, if only the text can tell.
    #[must_use]
    pub fn follow(&self, back: &mut Self) -> bool {
        match (self, back) {
            (Self::Edit(components), Self::Edit(back)) => edit::follow(components, back),
            _ => false,
        }
    }

    /// The way back: an edit, so that what others type later survives it.
    pub(super) fn invert(&self, before: &Text) -> Option<Self> {
        let back = match self {
            Self::Set(new) if *before == **new => return None,
            Self::Set(new) => {
                let mut back =
                    canonical([Component::Insert(before.to_string()), Component::Delete(new.chars().count())]);
                trim(&mut back);
                back
            }
            Self::Edit(components) => edit::back(components, before),
            Self::Delete { .. } => edit::back(&self.components(), before),
        };
        (!back.is_empty()).then_some(Self::Edit(back))
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

pub(super) fn fits(scalars: usize, limits: &Limits) -> Result<(), Refusal> {
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
