//! What every journal promises, as one function that its author calls from a test.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

use crate::{Journal, JournalError, Loaded, Page, Part, Record};

/// Checks a journal; `open` makes an empty one.
///
/// # Panics
/// When the journal breaks a promise, naming it.
pub fn check<J: Journal>(open: impl Fn() -> J) {
    keeps_what_was_appended_in_order(&open());
    appends_at_the_expected_place_alone(&open());
    begins_when_it_is_called(&open());
    keeps_parts_and_what_they_cover(&open());
    trims_and_still_knows_where_it_stands(&open());
    never_trims_what_no_part_covers(&open());
    reads_page_by_page(&open());
    reads_back_page_by_page(&open());
    keeps_rooms_apart(&open());
    names_its_rooms(&open());
}

fn records(journal: &impl Journal, room: &RoomName) -> Vec<Record> {
    wait(journal.load(room, usize::MAX)).expect("a room is loaded").records
}

fn keeps_what_was_appended_in_order(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.load(&room, 10)), Ok(Loaded::default()), "a new room has nothing");
    assert_eq!(wait(journal.append(&room, Sequence(0), vec![record(1), record(2)])), Ok(Sequence(2)));
    assert_eq!(wait(journal.append(&room, Sequence(2), vec![record(7)])), Ok(Sequence(7)), "sequences may have gaps");
    let loaded = Loaded { records: vec![record(1), record(2), record(7)], last: Sequence(7), ..Loaded::default() };
    assert_eq!(wait(journal.load(&room, 0)), Ok(loaded));
}

fn appends_at_the_expected_place_alone(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.append(&room, Sequence(0), vec![record(3)])), Ok(Sequence(3)));
    for wrong in [0, 2, 4] {
        assert_eq!(
            wait(journal.append(&room, Sequence(wrong), vec![record(9), record(10)])),
            Err(JournalError::Conflict { expected: Sequence(wrong), found: Sequence(3) })
        );
    }
    assert_eq!(records(journal, &room), vec![record(3)], "a refused append leaves nothing");
    assert_eq!(wait(journal.append(&room, Sequence(3), vec![])), Ok(Sequence(3)), "an empty append is no append");
}

fn begins_when_it_is_called(journal: &impl Journal) {
    let room = room("a");
    let first = journal.append(&room, Sequence(0), vec![record(1)]);
    let second = journal.append(&room, Sequence(1), vec![record(2)]);
    drop(journal.append(&room, Sequence(2), vec![record(3)]));
    assert_eq!(wait(second), Ok(Sequence(2)), "works take effect in the order of the calls");
    assert_eq!(wait(first), Ok(Sequence(1)));
    assert_eq!(records(journal, &room), vec![record(1), record(2), record(3)], "nobody has to wait for it");
}

fn keeps_parts_and_what_they_cover(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=5).map(record).collect())), Ok(Sequence(5)));
    assert_eq!(
        wait(journal.save(&room, vec![part("t/b", Some("1")), part("t/a", Some("2"))], Sequence(3), Sequence(5))),
        Ok(())
    );
    let loaded = Loaded {
        parts: vec![part("t/a", Some("2")), part("t/b", Some("1"))],
        covered: Sequence(3),
        records: vec![record(4), record(5)],
        last: Sequence(5),
    };
    assert_eq!(wait(journal.load(&room, 0)), Ok(loaded.clone()));
    let records = vec![record(2), record(3), record(4), record(5)];
    assert_eq!(wait(journal.load(&room, 2)), Ok(Loaded { records, ..loaded }));
    assert_eq!(
        wait(journal.save(&room, vec![part("t/b", None), part("c", Some(""))], Sequence(5), Sequence(5))),
        Ok(())
    );
    let loaded = Loaded {
        parts: vec![part("c", Some("")), part("t/a", Some("2"))],
        covered: Sequence(5),
        records: vec![],
        last: Sequence(5),
    };
    assert_eq!(wait(journal.load(&room, 0)), Ok(loaded));
    assert_eq!(wait(journal.save(&room, vec![], Sequence(2), Sequence(2))), Ok(()));
    assert_eq!(wait(journal.load(&room, 0)).map(|it| it.covered), Ok(Sequence(5)), "what is covered stays so");
    assert_eq!(
        wait(journal.save(&room, vec![part("c", Some("6"))], Sequence(5), Sequence(6))),
        Err(JournalError::Conflict { expected: Sequence(6), found: Sequence(5) }),
        "parts with a commit that is not kept"
    );
    assert_eq!(wait(journal.load(&room, 0)).map(|it| it.parts[0].clone()), Ok(part("c", Some(""))));
}

fn trims_and_still_knows_where_it_stands(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=5).map(record).collect())), Ok(Sequence(5)));
    assert_eq!(wait(journal.save(&room, vec![part("t", Some("x"))], Sequence(5), Sequence(5))), Ok(()));
    assert_eq!(wait(journal.trim(&room, Sequence(3))), Ok(()));
    assert_eq!(records(journal, &room), vec![record(4), record(5)]);
    assert_eq!(wait(journal.trim(&room, Sequence(5))), Ok(()));
    assert_eq!(wait(journal.load(&room, 9)).map(|it| (it.records, it.last)), Ok((vec![], Sequence(5))));
    assert_eq!(wait(journal.append(&room, Sequence(5), vec![record(6)])), Ok(Sequence(6)));
    assert_eq!(records(journal, &room), vec![record(6)]);
}

fn never_trims_what_no_part_covers(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=5).map(record).collect())), Ok(Sequence(5)));
    assert_eq!(wait(journal.trim(&room, Sequence(4))), Ok(()));
    assert_eq!(records(journal, &room).len(), 5);
    assert_eq!(wait(journal.save(&room, vec![], Sequence(2), Sequence(2))), Ok(()));
    assert_eq!(wait(journal.trim(&room, Sequence(4))), Ok(()));
    assert_eq!(records(journal, &room), vec![record(3), record(4), record(5)]);
}

fn reads_page_by_page(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.read(&room, Sequence(0), 10, 1000)), Ok(Page::default()));
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=9).map(record).collect())), Ok(Sequence(9)));
    let page = |records: Vec<Record>| Ok(Page { records, oldest: Some(Sequence(1)), last: Sequence(9) });
    assert_eq!(wait(journal.read(&room, Sequence(0), 2, 1000)), page(vec![record(1), record(2)]));
    assert_eq!(wait(journal.read(&room, Sequence(7), 10, 1000)), page(vec![record(8), record(9)]));
    assert_eq!(wait(journal.read(&room, Sequence(9), 10, 1000)), page(vec![]));
    let two = record(1).bytes.len() * 2;
    assert_eq!(wait(journal.read(&room, Sequence(3), 10, two)), page(vec![record(4), record(5)]), "as many as fit");
    assert_eq!(wait(journal.read(&room, Sequence(3), 10, 1)), page(vec![record(4)]), "at least one");
}

fn reads_back_page_by_page(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.read_back(&room, Sequence(9), 10, 1000)), Ok(Page::default()));
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=9).map(record).collect())), Ok(Sequence(9)));
    let page = |records: Vec<Record>| Ok(Page { records, oldest: Some(Sequence(1)), last: Sequence(9) });
    assert_eq!(wait(journal.read_back(&room, Sequence(u64::MAX), 2, 1000)), page(vec![record(8), record(9)]));
    assert_eq!(wait(journal.read_back(&room, Sequence(3), 10, 1000)), page(vec![record(1), record(2)]));
    assert_eq!(wait(journal.read_back(&room, Sequence(1), 10, 1000)), page(vec![]));
    assert_eq!(wait(journal.read_back(&room, Sequence(0), 10, 1000)), page(vec![]));
    let two = record(1).bytes.len() * 2;
    assert_eq!(
        wait(journal.read_back(&room, Sequence(9), 10, two)),
        page(vec![record(7), record(8)]),
        "as many as fit"
    );
    assert_eq!(wait(journal.read_back(&room, Sequence(9), 10, 1)), page(vec![record(8)]), "at least one");
    assert_eq!(wait(journal.save(&room, vec![part("t", Some("x"))], Sequence(5), Sequence(9))), Ok(()));
    assert_eq!(wait(journal.trim(&room, Sequence(3))), Ok(()));
    let left = Page { records: vec![record(4)], oldest: Some(Sequence(4)), last: Sequence(9) };
    assert_eq!(wait(journal.read_back(&room, Sequence(5), 10, 1000)), Ok(left), "what was trimmed is gone");
}

fn keeps_rooms_apart(journal: &impl Journal) {
    assert_eq!(wait(journal.append(&room("a"), Sequence(0), vec![record(1)])), Ok(Sequence(1)));
    assert_eq!(wait(journal.append(&room("b"), Sequence(0), vec![record(2)])), Ok(Sequence(2)));
    assert_eq!(wait(journal.save(&room("a"), vec![part("t", Some("a"))], Sequence(1), Sequence(1))), Ok(()));
    assert_eq!(wait(journal.save(&room("b"), vec![part("t", Some("b"))], Sequence(0), Sequence(0))), Ok(()));
    assert_eq!(wait(journal.forget(&room("a"))), Ok(()));
    assert_eq!(wait(journal.load(&room("a"), 9)), Ok(Loaded::default()));
    let other =
        Loaded { parts: vec![part("t", Some("b"))], records: vec![record(2)], last: Sequence(2), ..Loaded::default() };
    assert_eq!(wait(journal.load(&room("b"), 9)), Ok(other));
    assert_eq!(
        wait(journal.append(&room("a"), Sequence(0), vec![record(1)])),
        Ok(Sequence(1)),
        "a forgotten room begins anew"
    );
}

fn names_its_rooms(journal: &impl Journal) {
    assert_eq!(wait(journal.rooms(None, 10)), Ok(vec![]));
    for name in ["b", "a", "a.b", "a-b"] {
        assert_eq!(wait(journal.append(&room(name), Sequence(0), vec![record(1)])), Ok(Sequence(1)));
    }
    let names = |list: &[&str]| Ok(list.iter().map(|name| room(name)).collect::<Vec<_>>());
    assert_eq!(wait(journal.rooms(None, 10)), names(&["a", "a-b", "a.b", "b"]));
    assert_eq!(wait(journal.rooms(Some(&room("a")), 2)), names(&["a-b", "a.b"]));
    assert_eq!(wait(journal.forget(&room("a-b"))), Ok(()));
    assert_eq!(wait(journal.rooms(Some(&room("a")), 1)), names(&["a.b"]));
}

fn part(key: &str, bytes: Option<&'static str>) -> Part {
    Part { key: key.to_owned(), bytes: bytes.map(|text| Bytes::from_static(text.as_bytes())) }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good name")
}

fn record(sequence: u64) -> Record {
    Record { sequence: Sequence(sequence), bytes: Bytes::from(format!("record {sequence}")) }
}

/// Runs a future on this thread, so that the contract needs no runtime.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
