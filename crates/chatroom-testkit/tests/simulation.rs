//! Seeded histories of many clients, see `chatroom_testkit::simulation`.

#![allow(clippy::print_stdout, reason = "how much a history did is part of the report")]

use chatroom_testkit::simulation::{Done, history};
use chatroom_testkit::undoing;

/// `CHATROOM_SEED` runs one history, `CHATROOM_HISTORIES` that many.
#[test]
fn histories() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match (number("CHATROOM_SEED"), number("CHATROOM_HISTORIES")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => {
            let from = number("CHATROOM_FROM").unwrap_or(0);
            from..from + count.unwrap_or(400)
        }
    };
    let (mut done, mut count) = (Done::default(), 0u64);
    for seed in seeds {
        match history(seed) {
            Ok(more) => done += more,
            Err(why) => panic!("{why}"),
        }
        count += 1;
    }
    println!("{count} histories: {done:?}");
    assert!(
        count == 1 || (done.accepted > 0 && done.joined > 0 && done.refused > 0 && done.breaks > 0 && done.looks > 0),
        "nothing was tried"
    );
}

/// `CHATROOM_UNDOS` runs that many histories of each property.
fn undos(property: fn(u64) -> Result<(), String>) {
    let count = std::env::var("CHATROOM_UNDOS").ok().and_then(|value| value.parse().ok()).unwrap_or(300);
    for seed in 0..count {
        if let Err(why) = property(seed) {
            panic!("seed {seed}: {why}");
        }
    }
    println!("{count} histories");
}

/// Firepad #151: an interleaved edit makes undo keep or remove the wrong characters.
#[test]
fn undo_loses_no_character_of_others() {
    undos(undoing::nothing_of_others_is_lost);
}

/// Yjs #241, #736, PR #367: undo and redo over all types, long chains of them, some before their outcome.
#[test]
fn undo_and_redo_pass_through_the_same_states() {
    undos(undoing::undo_and_redo_pass_through_the_same_states);
}

#[test]
fn what_others_wrote_prevails_over_undo() {
    undos(undoing::others_writes_prevail);
}

#[test]
fn pairs_of_undo_and_redo_do_not_grow() {
    undos(undoing::pairs_do_not_grow);
}
