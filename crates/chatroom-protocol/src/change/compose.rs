//! Two edits of a text, one made behind the other, as one.

use super::edit::{Component, canonical, trim};
use super::string::StringChange;

impl StringChange {
    /// The edit that does at once what this one and then `next` do, in canonical form; without
    /// components if nothing is left. `None` if one of them is no edit.
    ///
    /// For edits that nobody else has seen yet: a composed change transforms otherwise than its parts.
    #[must_use]
    pub fn compose(&self, next: &Self) -> Option<Self> {
        match (self, next) {
            (Self::Edit(first), Self::Edit(next)) => Some(Self::Edit(compose(first, next))),
            _ => None,
        }
    }
}

fn compose(first: &[Component], next: &[Component]) -> Vec<Component> {
    let (mut first, mut next) = (Walk::new(first), Walk::new(next));
    let mut both = Vec::with_capacity(first.rest.len() + 2);
    loop {
        match (first.peek(), next.peek()) {
            (None, None) => break,
            // What is gone before `next` is no place in its text.
            (Some(Part::Delete(count)), _) => {
                both.push(Component::Delete(count));
                first.pass(count);
            }
            (_, Some(Part::Insert(text))) => {
                both.push(Component::Insert(text.to_owned()));
                next.pass(0);
            }
            (here, over) => {
                let count = here.map_or(usize::MAX, Part::scalars).min(over.map_or(usize::MAX, Part::scalars));
                match (here, over) {
                    (Some(Part::Insert(_)), Some(Part::Delete(_))) => {}
                    (Some(Part::Insert(text)), _) => both.push(Component::Insert(head(text, count).to_owned())),
                    (_, Some(Part::Delete(_))) => both.push(Component::Delete(count)),
                    _ => both.push(Component::Retain(count)),
                }
                first.pass(count);
                next.pass(count);
            }
        }
    }
    let mut both = canonical(both);
    trim(&mut both);
    both
}

/// What is left of a component.
#[derive(Clone, Copy)]
enum Part<'c> {
    Retain(usize),
    Insert(&'c str),
    Delete(usize),
}

impl Part<'_> {
    fn scalars(self) -> usize {
        match self {
            Self::Retain(count) | Self::Delete(count) => count,
            Self::Insert(text) => text.chars().count(),
        }
    }
}

/// The first scalar values of a text.
fn head(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// A place in an edit; behind the last component the text is kept.
struct Walk<'c> {
    rest: &'c [Component],
    /// How much of the first component is done: scalar values, and of an insert bytes.
    done: usize,
}

impl<'c> Walk<'c> {
    fn new(rest: &'c [Component]) -> Self {
        Self { rest, done: 0 }
    }

    fn peek(&self) -> Option<Part<'c>> {
        Some(match self.rest.first()? {
            Component::Retain(count) => Part::Retain(count - self.done),
            Component::Delete(count) => Part::Delete(count - self.done),
            Component::Insert(text) => Part::Insert(&text[self.done..]),
        })
    }

    /// Goes on by so many scalar values; 0 passes the whole component.
    fn pass(&mut self, count: usize) {
        let Some(part) = self.peek() else { return };
        if count == 0 || count >= part.scalars() {
            self.rest = &self.rest[1..];
            self.done = 0;
            return;
        }
        self.done += match part {
            Part::Insert(text) => head(text, count).len(),
            Part::Retain(_) | Part::Delete(_) => count,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::text::Text;

    /// A row of numbers that looks random: xorshift.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % end as u64).unwrap()
        }
    }

    fn edit(numbers: &mut Numbers, text: &str) -> StringChange {
        let mut left = text.chars().count();
        let mut components = Vec::new();
        for _ in 0..numbers.below(6) {
            let count = 1 + numbers.below(4);
            components.push(match numbers.below(3) {
                0 => Component::Insert("a😀é".chars().cycle().skip(numbers.below(3)).take(count).collect()),
                _ if left == 0 => continue,
                kind => {
                    let count = count.min(left);
                    left -= count;
                    if kind == 1 { Component::Retain(count) } else { Component::Delete(count) }
                }
            });
        }
        StringChange::edit(components)
    }

    fn applied(change: &StringChange, text: &str) -> String {
        let mut text = Text::from(text.to_owned());
        change.apply(&mut text, &Limits::unlimited()).unwrap();
        text.to_string()
    }

    #[test]
    fn does_what_both_do_in_canonical_form() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for round in 0..20_000 {
            let text: String = "x😀yz".chars().cycle().take(numbers.below(12)).collect();
            let first = edit(&mut numbers, &text);
            let between = applied(&first, &text);
            let next = edit(&mut numbers, &between);
            let both = first.compose(&next).unwrap();
            assert_eq!(
                applied(&both, &text),
                applied(&next, &between),
                "round {round}: {first:?}, {next:?} gave {both:?}"
            );
            let StringChange::Edit(components) = &both else { panic!("no edit") };
            assert_eq!(StringChange::edit(components.clone()), both, "round {round}: canonical");
        }
    }

    #[test]
    fn what_was_typed_and_deleted_again_leaves_nothing() {
        let typed = StringChange::edit([Component::Retain(3), Component::Insert("ab".into())]);
        let deleted = StringChange::edit([Component::Retain(3), Component::Delete(2)]);
        assert_eq!(typed.compose(&deleted), Some(StringChange::Edit(Vec::new())));
        assert_eq!(typed.compose(&StringChange::Set(String::new())), None);
    }
}
