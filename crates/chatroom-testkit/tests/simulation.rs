//! Seeded histories of many clients, see `chatroom_testkit::simulation`.

#![allow(clippy::print_stdout, reason = "how much a history did is part of the report")]

use chatroom_testkit::simulation::{Done, history};

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
    assert!(count == 1 || (done.accepted > 0 && done.refused > 0 && done.breaks > 0), "nothing was tried");
}
