//! How changes merge: the vectors of `docs/merging.md`, its properties, and the vectors that are made
//! from a seed for the other languages.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "a test that panics has failed, and how much it ran is part of the report"
)]

use chatroom_protocol::change::{RawChange, Side, rectangle};
use chatroom_protocol::{Change, ClientId, Limits, TopicType, TopicValue};
use chatroom_testkit::generate::{self, MERGING};
use chatroom_testkit::seed::Seed;
use chatroom_testkit::vectors;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// A field that is there, `null` or not.
fn some<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(source).map(Some)
}

fn read(kind: TopicType, change: &RawValue) -> Result<Change, String> {
    let by = ClientId(1);
    let parsed = RawChange::parse(change).and_then(|raw| raw.decode_committed(kind, by));
    parsed.map_err(|refusal| format!("{change}: {refusal}"))
}

fn read_all(kind: TopicType, changes: &[Box<RawValue>]) -> Result<Vec<Change>, String> {
    changes.iter().map(|change| read(kind, change)).collect()
}

fn shown(changes: &[Change]) -> String {
    serde_json::to_string(changes).unwrap()
}

/// As JSON: what the vectors compare.
fn same(found: &[Change], expected: &[Change]) -> Result<(), String> {
    let (found, expected) = (shown(found), shown(expected));
    match found == expected {
        true => Ok(()),
        false => Err(format!("expected {expected}, found {found}")),
    }
}

/// Applies what can be applied: a change that is refused counts as nothing.
fn fold(value: &TopicValue, changes: &[Change]) -> TopicValue {
    let mut value = value.clone();
    for change in changes {
        let _ = value.apply(change, &Limits::unlimited());
    }
    value
}

#[derive(Deserialize, Serialize)]
struct Transforming {
    id: String,
    section: String,
    r#type: String,
    a: Box<RawValue>,
    b: Box<RawValue>,
    side: String,
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize, Serialize)]
struct Crossing {
    id: String,
    section: String,
    r#type: String,
    a: Vec<Box<RawValue>>,
    b: Vec<Box<RawValue>>,
    a_result: Vec<Box<RawValue>>,
    b_result: Vec<Box<RawValue>>,
}

#[derive(Deserialize, Serialize)]
struct Inverting {
    id: String,
    section: String,
    r#type: String,
    state: Box<RawValue>,
    change: Box<RawValue>,
    inverse: Vec<Box<RawValue>>,
}

#[derive(Deserialize, Serialize)]
struct Applying {
    id: String,
    section: String,
    r#type: String,
    state: Box<RawValue>,
    change: Box<RawValue>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Transforming {
    fn check(&self) -> Result<(), String> {
        let kind = TopicType::parse(&self.r#type).map_err(|refusal| refusal.to_string())?;
        let side = match self.side.as_str() {
            "later" => Side::Later,
            "first" => Side::First,
            other => return Err(format!("no side {other:?}")),
        };
        let (a, b) = (read(kind, &self.a)?, read(kind, &self.b)?);
        let expected = self.result.as_ref().map(|result| read(kind, result)).transpose()?;
        let expected: Vec<Change> = expected.into_iter().collect();
        same(&a.transform(&b, side).into_iter().collect::<Vec<_>>(), &expected)
    }
}

impl Crossing {
    fn check(&self) -> Result<(), String> {
        let kind = TopicType::parse(&self.r#type).map_err(|refusal| refusal.to_string())?;
        let (a, b) = rectangle(read_all(kind, &self.a)?, read_all(kind, &self.b)?);
        same(&a, &read_all(kind, &self.a_result)?)?;
        same(&b, &read_all(kind, &self.b_result)?)
    }
}

impl Inverting {
    fn check(&self) -> Result<(), String> {
        let kind = TopicType::parse(&self.r#type).map_err(|refusal| refusal.to_string())?;
        let before = TopicValue::read(kind, self.state.get()).map_err(|refusal| refusal.to_string())?;
        let change = read(kind, &self.change)?;
        let inverse = change.invert(&before);
        same(&inverse, &read_all(kind, &self.inverse)?)?;
        let mut value = before.clone();
        value.apply(&change, &Limits::unlimited()).map_err(|refusal| refusal.to_string())?;
        match fold(&value, &inverse) == before {
            true => Ok(()),
            false => Err("the inverse does not lead back".into()),
        }
    }
}

impl Applying {
    fn check(&self) -> Result<(), String> {
        let kind = TopicType::parse(&self.r#type).map_err(|refusal| refusal.to_string())?;
        let mut value = TopicValue::read(kind, self.state.get()).map_err(|refusal| refusal.to_string())?;
        let found = value.apply(&read(kind, &self.change)?, &Limits::default());
        let found = found.map(|_| raw(&value).to_string()).map_err(|refusal| refusal.code.name().to_owned());
        match (&found, &self.result, &self.code) {
            (Ok(found), Some(result), None) if found == result.get() => Ok(()),
            (Err(found), None, Some(code)) if found == code => Ok(()),
            _ => Err(format!("found {found:?}")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Indexing {
    id: String,
    #[serde(rename = "section")]
    _section: String,
    text: String,
    positions: Vec<[usize; 3]>,
    #[serde(default)]
    inside: Vec<[usize; 2]>,
}

impl Indexing {
    /// Positions are native to each language; here they are scalar values on the wire and bytes in memory.
    fn check(&self) -> Result<(), String> {
        let text = chatroom_protocol::text::Text::from(self.text.clone());
        let expected: Vec<[usize; 3]> = (0..=text.scalars())
            .map(|scalar| {
                let before = text.slice(0, scalar).map_err(|refusal| refusal.to_string())?;
                Ok([scalar, before.encode_utf16().count(), before.len()])
            })
            .collect::<Result<_, String>>()?;
        if expected != self.positions {
            return Err(format!("found {expected:?}"));
        }
        let starts: Vec<[usize; 2]> = expected
            .windows(2)
            .filter(|pair| pair[1][1] - pair[0][1] == 2)
            .map(|pair| [pair[0][1] + 1, pair[0][0]])
            .collect();
        if starts == self.inside { Ok(()) } else { Err(format!("inside: found {starts:?}")) }
    }
}

macro_rules! vectors_of {
    ($($test:ident: $name:literal, $case:ty;)*) => {$(
        #[test]
        fn $test() {
            vectors::run($name, &vectors::load::<$case>($name), |case| &case.id, <$case>::check);
        }
    )*};
}

vectors_of! {
    transform: "transform", Transforming;
    rectangles: "rectangle", Crossing;
    invert: "invert", Inverting;
    index: "index", Indexing;
    generated_transform: "generated/transform", Transforming;
    generated_rectangle: "generated/rectangle", Crossing;
    generated_invert: "generated/invert", Inverting;
    generated_apply: "generated/apply", Applying;
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

fn raws(changes: &[Change]) -> Vec<Box<RawValue>> {
    changes.iter().map(raw).collect()
}

/// So many changes, each made on what those before it left.
fn run_of(seed: &mut Seed, value: &TopicValue, count: usize) -> Vec<Change> {
    let mut value = value.clone();
    (0..count)
        .map(|_| {
            let change = generate::change(seed, &value);
            value.apply(&change, &Limits::unlimited()).unwrap();
            change
        })
        .collect()
}

/// One case a line, so that a difference can be read.
fn write<T: Serialize>(name: &str, cases: &[T]) {
    let lines: Vec<String> = cases.iter().map(|case| format!("  {}", serde_json::to_string(case).unwrap())).collect();
    let path = vectors::folder("conformance/generated").join(name).with_extension("json");
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    } else {
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{} is not what the seed gives: UPDATE_VECTORS=1 writes it", path.display());
    }
}

/// 5,000 cases: 2,000 pairs, 1,000 rectangles, 1,000 inverses, 1,000 applications.
#[test]
fn generated_files_are_what_their_seed_gives() {
    let mut seed = Seed::new(4);
    let section = |kind: TopicType| {
        let section = match kind {
            TopicType::Generic | TopicType::Bool => "M1",
            TopicType::Int | TopicType::Float => "M2",
            TopicType::String => "M3",
            TopicType::List => "M4",
            TopicType::Set => "M6",
            _ => "M7",
        };
        section.to_owned()
    };
    // Registers have little to say; texts, lists and dicts have the more.
    let kinds: Vec<TopicType> = MERGING
        .iter()
        .copied()
        .chain([TopicType::String, TopicType::String, TopicType::List, TopicType::List, TopicType::Dict])
        .collect();
    let (mut transforms, mut crossings, mut inverses, mut applied) = (vec![], vec![], vec![], vec![]);
    for number in 0..1_000 {
        let kind = kinds[number % kinds.len()];
        let (id, r#type) = (format!("generated/{number}"), kind.name().to_owned());
        let value = generate::value(&mut seed, kind);
        let (a, b) = (generate::change(&mut seed, &value), generate::change(&mut seed, &value));
        for (side, name) in [(Side::Later, "later"), (Side::First, "first")] {
            transforms.push(Transforming {
                id: format!("{id}/{name}"),
                section: section(kind),
                r#type: r#type.clone(),
                a: raw(&a),
                b: raw(&b),
                side: name.to_owned(),
                result: a.transform(&b, side).map(|result| raw(&result)),
            });
        }
        let (length, other) = (1 + seed.below(4), 1 + seed.below(4));
        let (later, first) = (run_of(&mut seed, &value, length), run_of(&mut seed, &value, other));
        let (a_result, b_result) = rectangle(later.clone(), first.clone());
        crossings.push(Crossing {
            id: id.clone(),
            section: "M8".into(),
            r#type: r#type.clone(),
            a: raws(&later),
            b: raws(&first),
            a_result: raws(&a_result),
            b_result: raws(&b_result),
        });
        inverses.push(Inverting {
            id: id.clone(),
            section: "M10".into(),
            r#type: r#type.clone(),
            state: raw(&value),
            change: raw(&a),
            inverse: raws(&a.invert(&value)),
        });
        // Half of them fit the value; the others were made for another one, and may be refused.
        let other = generate::value(&mut seed, kind);
        let on = if number % 2 == 0 { &value } else { &other };
        let mut after = on.clone();
        let outcome = after.apply(&b, &Limits::default());
        applied.push(Applying {
            id,
            section: section(kind),
            r#type,
            state: raw(on),
            change: raw(&b),
            result: outcome.is_ok().then(|| raw(&after)),
            code: outcome.err().map(|refusal| refusal.code.name().to_owned()),
        });
    }
    write("transform", &transforms);
    write("rectangle", &crossings);
    write("invert", &inverses);
    write("apply", &applied);
}

/// How many random cases; `CHATROOM_CASES` asks for more.
fn cases() -> u64 {
    std::env::var("CHATROOM_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

/// TP1, the inverse, and arguments that stay as they are, for pairs of changes made on one value.
#[test]
fn two_changes_lead_to_one_value_in_either_order() {
    for number in 0..cases() {
        let mut seed = Seed::new(number);
        let kind = *seed.pick(MERGING);
        let value = generate::value(&mut seed, kind);
        let (first, later) = (generate::change(&mut seed, &value), generate::change(&mut seed, &value));
        let before = (first.clone(), later.clone());
        let behind: Vec<Change> = later.transform(&first, Side::Later).into_iter().collect();
        let carried: Vec<Change> = first.transform(&later, Side::First).into_iter().collect();
        // An `ensure` of a key that is there has no effect; `transform` cannot see that.
        let one = fold(&fold(&value, std::slice::from_ref(&first)), &behind);
        let other = fold(&fold(&value, std::slice::from_ref(&later)), &carried);
        assert!(
            one == other || is_known_ensure(&first, &later, &value),
            "seed {number}, {kind}: {} then {}, {} then {} on {}",
            shown(&[first]),
            shown(&behind),
            shown(&[later]),
            shown(&carried),
            raw(&value)
        );
        assert!(before == (first, later), "seed {number}: an argument was altered");
    }
    println!("{} pairs", cases());
}

fn is_known_ensure(first: &Change, later: &Change, value: &TopicValue) -> bool {
    use chatroom_protocol::change::DictChange::Ensure;
    match (first, later, value) {
        (Change::Dict(Ensure(key, _)), Change::Dict(Ensure(other, _)), TopicValue::Dict(map)) => {
            key == other && map.contains_key(key)
        }
        _ => false,
    }
}

#[test]
fn an_inverse_leads_back() {
    for number in 0..cases() {
        let mut seed = Seed::new(number);
        let kind = *seed.pick(MERGING);
        let before = generate::value(&mut seed, kind);
        let change = generate::change(&mut seed, &before);
        let inverse = change.invert(&before);
        let mut after = before.clone();
        let exact = after.apply(&change, &Limits::unlimited()).unwrap();
        // An edit that inserts just what it deletes, or a move among equal items, is taken back too.
        if !matches!(kind, TopicType::String | TopicType::List) || after != before {
            assert_eq!(exact.is_some(), after != before, "seed {number}: {}", shown(&[change]));
            assert_eq!(inverse.is_empty(), after == before, "seed {number}: {}", shown(&[change]));
        }
        assert!(fold(&after, &inverse) == before, "seed {number}: {} back by {}", shown(&[change]), shown(&inverse));
        if let Some(exact) = &exact {
            assert_eq!(shown(&change.invert_with(exact)), shown(&inverse), "seed {number}");
        }
        let exact: Vec<Change> = exact.into_iter().collect();
        assert!(fold(&after, &exact) == before, "seed {number}: {} back by {}", shown(&[change]), shown(&exact));
    }
    println!("{} changes", cases());
}

/// Lists of changes through the rectangle. Dicts are left out: a key that is claimed or popped
/// may be refused in one order and not in the other, which the room's one order decides.
#[test]
fn two_lists_of_changes_lead_to_one_value_in_either_order() {
    let kinds: Vec<TopicType> = MERGING.iter().copied().filter(|kind| *kind != TopicType::Dict).collect();
    for number in 0..cases() {
        let mut seed = Seed::new(number);
        let kind = *seed.pick(&kinds);
        let value = generate::value(&mut seed, kind);
        let (length, other) = (1 + seed.below(4), 1 + seed.below(4));
        let (later, first) = (run_of(&mut seed, &value, length), run_of(&mut seed, &value, other));
        let (behind, carried) = rectangle(later.clone(), first.clone());
        let one = fold(&fold(&value, &first), &behind);
        let other = fold(&fold(&value, &later), &carried);
        assert!(
            one == other,
            "seed {number}: {} behind {} on {}: {} or {}",
            shown(&later),
            shown(&first),
            raw(&value),
            raw(&one),
            raw(&other)
        );
    }
    println!("{} rectangles", cases());
}

#[test]
fn replica_scripts() {
    use chatroom_testkit::replica::ReplicaScript;
    vectors::run("replica", &vectors::load::<ReplicaScript>("replica"), |script| &script.id, ReplicaScript::check);
}

/// The rules of `docs/merging.md` with one of them broken.
type Broken = fn(&Change, &Change, Side) -> Option<Change>;

/// The checker is checked: each of these rules, broken, is found by a few random histories of two.
#[test]
fn a_broken_rule_is_found() {
    use chatroom_protocol::change::ListChange::{Insert, Move, Pop, SetItem};
    let broken: [(&str, TopicType, Broken); 5] = [
        ("both pop one item", TopicType::List, |a, b, side| match (a, b) {
            (Change::List(Pop { position }), Change::List(Pop { position: other })) if position == other => {
                Some(a.clone())
            }
            _ => a.transform(b, side),
        }),
        ("the same side at a tie on both", TopicType::String, |a, b, _| a.transform(b, Side::Later)),
        ("the same side at a tie of moves", TopicType::List, |a, b, side| match (a, b) {
            (Change::List(Move { .. }), Change::List(Move { from, .. })) if !matches!(a, Change::List(Move { from: own, .. }) if own == from) => {
                a.transform(b, Side::Later)
            }
            _ => a.transform(b, side),
        }),
        ("a gap that is off by one", TopicType::List, |a, b, side| match (a.transform(b, side), b) {
            (Some(Change::List(Insert { position, item })), Change::List(Pop { .. })) => {
                Some(Change::List(Insert { position: position + 1, item }))
            }
            (moved, _) => moved,
        }),
        ("set_item does not follow a move", TopicType::List, |a, b, side| match (a, b) {
            (Change::List(SetItem { .. }), Change::List(Move { .. })) => Some(a.clone()),
            _ => a.transform(b, side),
        }),
    ];
    for (rule, kind, transform) in broken {
        let holds = |number: u64| {
            let mut seed = Seed::new(number);
            let value = generate::value(&mut seed, kind);
            let (length, other) = (1 + seed.below(3), 1 + seed.below(3));
            let (later, first) = (run_of(&mut seed, &value, length), run_of(&mut seed, &value, other));
            let (mut behind, mut carried) = (Vec::new(), first.clone());
            for change in &later {
                let mut own = Some(change.clone());
                carried.retain_mut(|other| {
                    let Some(change) = own.take() else { return true };
                    own = transform(&change, other, Side::Later);
                    let moved = transform(other, &change, Side::First);
                    let kept = moved.is_some();
                    *other = moved.unwrap_or(change);
                    kept
                });
                behind.extend(own);
            }
            // Nobody is refused in a text or list because somebody else was faster.
            let applies = |mut value: TopicValue, changes: &[Change]| {
                changes.iter().all(|change| value.apply(change, &Limits::unlimited()).is_ok())
            };
            let (one, other) = (fold(&value, &first), fold(&value, &later));
            applies(one.clone(), &behind)
                && applies(other.clone(), &carried)
                && fold(&one, &behind) == fold(&other, &carried)
        };
        let found = (0..2_000).find(|number| !holds(*number));
        println!("{rule}: found by history {found:?}");
        assert!(found.is_some(), "{rule}: 2,000 histories do not show it");
    }
}
