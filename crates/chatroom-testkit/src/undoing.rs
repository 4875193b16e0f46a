//! Histories about undo: what is one's own is taken back, and nothing else.

use std::collections::BTreeSet;

use chatroom_protocol::change::{Component, StringChange};
use chatroom_protocol::{Change, Limits, TopicName, TopicType, TopicValue};
use chatroom_replica::Direction;

use crate::generate::{self, MERGING};
use crate::seed::Seed;
use crate::simulation::{Plan, Simulation};

/// Two or three write in one text at once, each in characters of their own; then the first undoes all
/// it did.
///
/// # Errors
/// When a character of the first is left, one of the others is lost, or one that only the first
/// deleted is not back.
pub fn nothing_of_others_is_lost(seed: u64) -> Result<(), String> {
    let mut random = Seed::new(seed);
    let clients = 2 + random.below(2);
    let plan = Plan {
        clients,
        steps: 0,
        refused_percent: 0,
        altered_percent: 0,
        breaks: false,
        history_commits: 1_000,
        kinds: vec![TopicType::String],
    };
    let mut room = Simulation::new(random.clone(), plan);
    room.join_all()?;
    let name = TopicName::parse("string").map_err(|refusal| refusal.to_string())?;
    let mut typed: Vec<BTreeSet<char>> = vec![BTreeSet::new(); clients];
    let mut deleted: Vec<BTreeSet<char>> = vec![BTreeSet::new(); clients];
    let mut next = vec!['\u{4E00}', '\u{AC00}', '\u{10000}'];
    for _ in 0..40 + random.below(80) {
        let at = random.below(clients);
        match random.below(10) {
            0..=3 => {
                let text = room.text_of(at, &name);
                let position = random.below(text.len() + 1);
                let mut components = vec![Component::Retain(position)];
                if random.percent(70) {
                    let mut more = String::new();
                    for _ in 0..=random.below(3) {
                        typed[at].insert(next[at]);
                        more.push(next[at]);
                        next[at] = char::from_u32(u32::from(next[at]) + 1).unwrap_or('?');
                    }
                    components.push(Component::Insert(more));
                }
                if random.percent(45) {
                    let count = random.below(text.len() - position + 1).min(5);
                    deleted[at].extend(&text[position..position + count]);
                    components.push(Component::Delete(count));
                }
                let change = StringChange::edit(components);
                if !change.components().is_empty() {
                    room.make(at, vec![(name.clone(), Change::String(change))])?;
                }
            }
            _ => room.move_something(at)?,
        }
    }
    room.drain()?;
    for _ in 0..400 {
        if !room.can(0, Direction::Undo) {
            break;
        }
        room.ask(0, Direction::Undo)?;
        // The others go on while the first undoes.
        if random.percent(40) {
            room.move_something(random.below(clients))?;
        } else {
            room.drain()?;
        }
    }
    room.drain()?;
    let found = room.text_of(0, &name);
    let left: BTreeSet<char> = found.iter().copied().collect();
    if left.len() != found.len() {
        return Err(format!("seed {seed}: a character stands twice in {found:?}"));
    }
    if let Some(own) = typed[0].intersection(&left).next() {
        return Err(format!("seed {seed}: {own:?} of the first is left in {found:?}"));
    }
    for other in 1..clients {
        let gone_by_others: BTreeSet<char> = deleted[1..].iter().flatten().copied().collect();
        if let Some(lost) = typed[other].iter().find(|&typed| !left.contains(typed) && !gone_by_others.contains(typed))
        {
            return Err(format!("seed {seed}: {lost:?} of client {other} is lost from {found:?}"));
        }
    }
    Ok(())
}

/// One works alone over all types: undo as often as something was done, then redo as often, passes
/// through the very same states.
///
/// # Errors
/// At the first state that is another.
pub fn undo_and_redo_pass_through_the_same_states(seed: u64) -> Result<(), String> {
    let mut random = Seed::new(seed);
    let plan = Plan {
        clients: 1,
        steps: 0,
        refused_percent: 0,
        altered_percent: 0,
        breaks: false,
        history_commits: 1_000,
        kinds: MERGING.to_vec(),
    };
    let mut room = Simulation::new(random.clone(), plan);
    room.join_all()?;
    let mut states = vec![room.state_of(0)];
    for _ in 0..1 + random.below(30) {
        let mut changes = Vec::new();
        for _ in 0..=random.below(3) {
            let kind = *random.pick(MERGING);
            let name = TopicName::parse(kind.name()).map_err(|refusal| refusal.to_string())?;
            let Some(mut value) = room.value_of(0, &name) else { continue };
            for (_, change) in changes.iter().filter(|(other, _)| *other == name) {
                let _ = value.apply(change, &Limits::unlimited());
            }
            changes.push((name, generate::change(&mut random, &value)));
        }
        room.make(0, changes)?;
        // Sometimes several wait; sometimes each has its outcome.
        if random.percent(60) {
            room.drain()?;
        }
        // Far apart, so that each is an entry of its own.
        room.pass_ms(1_000);
        let state = room.state_of(0);
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
    room.drain()?;
    for round in 0..3 {
        for state in states.iter().rev().skip(1) {
            step(&mut room, Direction::Undo)?;
            if random.percent(50) {
                room.drain()?;
            }
            if room.state_of(0) != *state {
                return Err(format!("seed {seed}, round {round}: undone to {} not {state}", room.state_of(0)));
            }
        }
        for state in states.iter().skip(1) {
            step(&mut room, Direction::Redo)?;
            if random.percent(50) {
                room.drain()?;
            }
            if room.state_of(0) != *state {
                return Err(format!("seed {seed}, round {round}: redone to {} not {state}", room.state_of(0)));
            }
        }
        room.drain()?;
    }
    Ok(())
}

/// Undoes or redoes until the state is another: an action that cancelled itself has an entry too.
fn step(room: &mut Simulation, direction: Direction) -> Result<(), String> {
    let before = room.state_of(0);
    while room.state_of(0) == before && room.can(0, direction) {
        room.ask(0, direction)?;
        if room.state_of(0) == before {
            room.drain()?;
        }
    }
    Ok(())
}

/// Liveblocks #900: fifty pairs of undo and redo leave the messages as long as they were.
///
/// # Errors
/// When a pair sends more than the first one did.
pub fn pairs_do_not_grow(seed: u64) -> Result<(), String> {
    let mut random = Seed::new(seed);
    let plan = Plan {
        clients: 1,
        steps: 0,
        refused_percent: 0,
        altered_percent: 0,
        breaks: false,
        history_commits: 1_000,
        kinds: MERGING.to_vec(),
    };
    let mut room = Simulation::new(random.clone(), plan);
    room.join_all()?;
    for kind in MERGING {
        let name = TopicName::parse(kind.name()).map_err(|refusal| refusal.to_string())?;
        let Some(value) = room.value_of(0, &name) else { continue };
        let change = generate::change(&mut random, &value);
        room.make(0, vec![(name, change)])?;
        room.drain()?;
        room.pass_ms(1_000);
    }
    let mut first = None;
    for pair in 0..50 {
        let before = room.bytes_up();
        for direction in [Direction::Undo, Direction::Redo] {
            room.ask(0, direction)?;
            room.drain()?;
        }
        let sent = room.bytes_up() - before;
        let first = *first.get_or_insert(sent);
        // Numbers and sequences grow by a digit now and then.
        if sent > first + 24 {
            return Err(format!("seed {seed}: pair {pair} sent {sent} bytes, the first {first}"));
        }
    }
    Ok(())
}

/// Counters and keys under two users: undo takes back one's own addition, whatever the other did, and
/// leaves a key alone that the other wrote since.
///
/// # Errors
/// When it does not.
pub fn others_writes_prevail(seed: u64) -> Result<(), String> {
    use chatroom_protocol::change::{DictChange, IntChange};
    let mut random = Seed::new(seed);
    let plan = Plan {
        clients: 2,
        steps: 0,
        refused_percent: 0,
        altered_percent: 0,
        breaks: false,
        history_commits: 1_000,
        kinds: vec![TopicType::Int, TopicType::Dict],
    };
    let mut room = Simulation::new(random.clone(), plan);
    room.join_all()?;
    let name = |kind: TopicType| TopicName::parse(kind.name()).map_err(|refusal| refusal.to_string());
    let (int, dict) = (name(TopicType::Int)?, name(TopicType::Dict)?);
    let mut by_other = 0;
    for number in 0..20 {
        let at = random.below(2);
        let amount = i64::try_from(random.below(9)).unwrap_or_default() - 4;
        let key = format!("k{}", random.below(3));
        by_other += if at == 1 { amount } else { 0 };
        let value = serde_json::json!(format!("{at}-{number}"));
        let changes = vec![
            (int.clone(), Change::Int(IntChange::Add(amount))),
            (dict.clone(), Change::Dict(DictChange::Put(key, value))),
        ];
        room.make(at, changes)?;
        if random.percent(50) {
            room.drain()?;
        }
    }
    room.drain()?;
    let before = room.value_of(0, &dict);
    while room.can(0, Direction::Undo) {
        room.ask(0, Direction::Undo)?;
        room.drain()?;
    }
    if room.value_of(0, &int) != Some(TopicValue::Int(by_other)) {
        return Err(format!("seed {seed}: the counter is {:?}, not {by_other}", room.value_of(0, &int)));
    }
    let (Some(TopicValue::Dict(before)), Some(TopicValue::Dict(after))) = (before, room.value_of(0, &dict)) else {
        return Err("no dict".to_owned());
    };
    for (key, value) in before {
        let others = value.as_str().is_some_and(|text| text.starts_with('1'));
        if others && after.get(&key) != Some(&value) {
            return Err(format!("seed {seed}: {key} was {value} of the other, and is {:?}", after.get(&key)));
        }
        if !others && after.get(&key) == Some(&value) {
            return Err(format!("seed {seed}: {key} is still {value}"));
        }
    }
    Ok(())
}
