//! Putting a change behind another one: what both sides of the wire do with concurrent changes.
//!
//! The rules are section 1 of `docs/merging.md`; each type's stand in its file.

use super::{Change, DictChange, StringChange, edit};

/// Where a change stands in the room's order, against the one it is put behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before it, although it is applied after it here.
    First,
    /// Behind it.
    Later,
}

impl Change {
    /// This change as it is after `over`; both were made on one value. `None` if nothing is left.
    ///
    /// Total: what does not belong together (changes of two types) is left as it is.
    #[must_use]
    pub fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        match (self, over) {
            (Self::Generic(own), Self::Generic(over)) => own.transform(over, side).map(Self::Generic),
            (Self::String(own), Self::String(over)) => own.transform(over, side).map(Self::String),
            (Self::Int(own), Self::Int(over)) => own.transform(over, side).map(Self::Int),
            (Self::Float(own), Self::Float(over)) => own.transform(over, side).map(Self::Float),
            (Self::Bool(own), Self::Bool(over)) => own.transform(over, side).map(Self::Bool),
            (Self::List(own), Self::List(over)) => own.transform(over, side).map(Self::List),
            (Self::Set(own), Self::Set(over)) => own.transform(over, side).map(Self::Set),
            (Self::Dict(own), Self::Dict(over)) => own.transform(over, side).map(Self::Dict),
            (Self::Presence(own), Self::Presence(over)) => own.transform(over, side).map(Self::Presence),
            _ => Some(self.clone()),
        }
    }

    /// Whether neither change alters the other, so that both can be kept without looking closer.
    fn is_apart(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dict(own), Self::Dict(other)) => {
                matches!((DictChange::key(own), DictChange::key(other)), (Some(own), Some(other)) if own != other)
            }
            (Self::Presence(own), Self::Presence(other)) => own.owner() != other.owner(),
            (Self::Event(_), Self::Event(_)) => true,
            _ => false,
        }
    }
}

/// Puts one change, the later one, behind a list, and the list behind the change (M8).
///
/// `over` is left without what came to nothing.
#[must_use]
pub fn carry(change: Change, over: &mut Vec<Change>) -> Option<Change> {
    carry_by(change, over, |other| other)
}

/// The same with a list whose changes have something else with them that stays as it is.
#[must_use]
pub fn carry_tagged<Tag>(change: Change, over: &mut Vec<(Tag, Change)>) -> Option<Change> {
    carry_by(change, over, |(_, other)| other)
}

fn carry_by<T>(change: Change, over: &mut Vec<T>, inner: impl Fn(&mut T) -> &mut Change) -> Option<Change> {
    let mut own = Some(change);
    over.retain_mut(|other| {
        let (Some(mut change), other) = (own.take(), inner(other)) else {
            return true;
        };
        if change.is_apart(other) {
            own = Some(change);
            return true;
        }
        let slid = match (&mut change, &mut *other) {
            (Change::String(StringChange::Edit(later)), Change::String(StringChange::Edit(first))) => {
                edit::slide(later, first)
            }
            (Change::List(later), Change::List(first)) => later.slide(first),
            _ => false,
        };
        if slid {
            own = Some(change);
            return true;
        }
        own = change.transform(other, Side::Later);
        match other.transform(&change, Side::First) {
            Some(moved) => {
                *other = moved;
                true
            }
            None => false,
        }
    });
    own
}

/// Puts two lists of changes that were made on one value behind each other; `later` stands behind
/// `first` in the order (M8).
#[must_use]
pub fn rectangle(later: Vec<Change>, mut first: Vec<Change>) -> (Vec<Change>, Vec<Change>) {
    let later = later.into_iter().filter_map(|change| carry(change, &mut first)).collect();
    (later, first)
}
