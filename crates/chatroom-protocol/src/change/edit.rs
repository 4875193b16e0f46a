//! The walk over a text that an edit is: its components, their canonical form, and how two walks
//! over one text are put behind each other.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::transform::Side;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::limits::Limits;
use crate::text::Text;

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

pub(super) fn components(raw: &RawValue, limits: &Limits) -> Result<Vec<Component>, Refusal> {
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
pub(super) fn canonical(list: impl IntoIterator<Item = Component>) -> Vec<Component> {
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
pub(super) fn trim(components: &mut Vec<Component>) {
    if matches!(components.last(), Some(Component::Retain(_))) {
        components.pop();
    }
}

/// Walks over the text; returns the walk back, or nothing if the text is as it was.
pub(super) fn walk(
    components: &[Component],
    text: &mut Text,
    limits: &Limits,
) -> Result<Option<Vec<Component>>, Refusal> {
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
    super::string::fits(text.scalars() - deleted + inserted, limits)?;

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
    Ok((!inverse.is_empty()).then_some(inverse))
}

/// The walk back from what `components` make of `text`.
pub(super) fn back(components: &[Component], text: &Text) -> Vec<Component> {
    let mut position = 0;
    let mut inverse = Vec::with_capacity(components.len());
    for component in components {
        match component {
            Component::Retain(count) => {
                position += count;
                inverse.push(Component::Retain(*count));
            }
            Component::Insert(more) => inverse.push(Component::Delete(more.chars().count())),
            Component::Delete(count) => {
                inverse.push(Component::Insert(text.slice(position, *count).unwrap_or_default().into_owned()));
                position += count;
            }
        }
    }
    let mut inverse = canonical(inverse);
    trim(&mut inverse);
    inverse
}

/// The walk `a` over a text that was walked by `b` already (M3).
///
/// Of two inserts at one place the later one ends left. An insert within what the other deletes is
/// kept, and what both delete is deleted once.
pub(super) fn transform(a: &[Component], b: &[Component], side: Side) -> Vec<Component> {
    let (mut a, mut b) = (Walk::new(a), Walk::new(b));
    let mut result = Vec::with_capacity(a.rest.len() + 1);
    while let Some(own) = a.peek() {
        let other = b.peek();
        match (own, other) {
            (Component::Insert(text), Some(Component::Insert(_))) if side == Side::Later => {
                result.push(Component::Insert(text.clone()));
                a.next();
            }
            (_, Some(Component::Insert(text))) => {
                result.push(Component::Retain(text.chars().count()));
                b.next();
            }
            (Component::Insert(text), _) => {
                result.push(Component::Insert(text.clone()));
                a.next();
            }
            (Component::Retain(_) | Component::Delete(_), _) => {
                let count = a.left().min(b.left());
                match (own, other) {
                    (_, Some(Component::Delete(_))) => {}
                    (Component::Delete(_), _) => result.push(Component::Delete(count)),
                    _ => result.push(Component::Retain(count)),
                }
                a.advance(count);
                b.advance(count);
            }
        }
    }
    let mut result = canonical(result);
    trim(&mut result);
    result
}

/// Where an edit of one insert or deletion is: most are a keystroke.
fn place(components: &[Component]) -> Option<usize> {
    match components {
        [Component::Retain(place), last] if *place > 0 && is_step(last) => Some(*place),
        [only] if is_step(only) => Some(0),
        _ => None,
    }
}

fn is_step(component: &Component) -> bool {
    match component {
        Component::Insert(text) => !text.is_empty(),
        Component::Delete(count) => *count > 0,
        Component::Retain(_) => false,
    }
}

fn put(components: &mut Vec<Component>, before: usize, after: usize) {
    match (before, after) {
        _ if before == after => {}
        (0, _) => components.insert(0, Component::Retain(after)),
        (_, 0) => drop(components.remove(0)),
        _ => components[0] = Component::Retain(after),
    }
}

/// Puts a later edit and an earlier one behind each other, both in place, if each is one insert or
/// deletion and all that becomes of them is another place. Says whether that was so.
pub(super) fn slide(later: &mut Vec<Component>, first: &mut Vec<Component>) -> bool {
    let (Some(own), Some(other)) = (place(later), place(first)) else {
        return false;
    };
    let (own_after, other_after) = match (later.last(), first.last()) {
        (Some(Component::Insert(text)), Some(Component::Insert(over))) => match own <= other {
            // Of two at one place the later one ends left.
            true => (own, other + text.chars().count()),
            false => (own + over.chars().count(), other),
        },
        (Some(Component::Insert(text)), Some(Component::Delete(gone))) => {
            if own <= other {
                (own, other + text.chars().count())
            } else if own >= other + gone {
                (own - gone, other)
            } else {
                return false;
            }
        }
        (Some(Component::Delete(gone)), Some(Component::Insert(text))) => {
            if other <= own {
                (own + text.chars().count(), other)
            } else if other >= own + gone {
                (own, other - gone)
            } else {
                return false;
            }
        }
        (Some(Component::Delete(gone)), Some(Component::Delete(over))) => {
            if own + gone <= other {
                (own, other - gone)
            } else if other + over <= own {
                (own - over, other)
            } else {
                return false;
            }
        }
        _ => return false,
    };
    put(later, own, own_after);
    put(first, other, other_after);
    true
}

/// What takes an edit back that was moved, made of what took it back before; `false` if the edit
/// deletes something else now, which only the text can tell.
pub(super) fn follow(components: &[Component], back: &mut Vec<Component>) -> bool {
    // A keystroke stays one.
    if let ([.., Component::Insert(_)], [.., Component::Delete(_)])
    | ([.., Component::Delete(_)], [.., Component::Insert(_)]) = (components, back.as_slice())
        && let (Some(now), Some(before)) = (place(components), place(back))
    {
        let same = match (components.last(), back.last()) {
            (Some(Component::Delete(count)), Some(Component::Insert(text))) => *count == text.chars().count(),
            _ => true,
        };
        if same {
            put(back, before, now);
        }
        return same;
    }
    let gone: String = back
        .iter()
        .filter_map(|part| if let Component::Insert(text) = part { Some(text.as_str()) } else { None })
        .collect();
    let mut gone = gone.chars();
    let mut moved = Vec::with_capacity(components.len());
    for component in components {
        moved.push(match component {
            Component::Retain(count) => Component::Retain(*count),
            Component::Insert(text) => Component::Delete(text.chars().count()),
            Component::Delete(count) => {
                let text: String = gone.by_ref().take(*count).collect();
                Component::Insert(text)
            }
        });
    }
    let deleted: usize =
        components.iter().map(|part| if let Component::Delete(count) = part { *count } else { 0 }).sum();
    let known: usize =
        back.iter().map(|part| if let Component::Insert(text) = part { text.chars().count() } else { 0 }).sum();
    if deleted != known {
        return false;
    }
    let mut moved = canonical(moved);
    trim(&mut moved);
    *back = moved;
    true
}

/// A place in a walk; behind the last component the text is kept.
struct Walk<'c> {
    rest: &'c [Component],
    /// How much of the first component is done.
    done: usize,
}

impl<'c> Walk<'c> {
    fn new(components: &'c [Component]) -> Self {
        Self { rest: components, done: 0 }
    }

    fn peek(&self) -> Option<&'c Component> {
        self.rest.first()
    }

    fn next(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.done = 0;
    }

    /// How far the first component, a retain or a delete, still goes.
    fn left(&self) -> usize {
        match self.peek() {
            Some(Component::Retain(count) | Component::Delete(count)) => count - self.done,
            _ => usize::MAX,
        }
    }

    fn advance(&mut self, count: usize) {
        if self.rest.is_empty() {
            return;
        }
        self.done += count;
        if self.left() == 0 {
            self.next();
        }
    }
}
