//! What every journal promises, as one function that its author calls from a test.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

use crate::{Journal, JournalError, Record};

/// Checks a journal; `open` makes an empty one.
///
/// # Panics
/// When the journal breaks a promise, naming it.
pub fn check<J: Journal>(open: impl Fn() -> J) {
    keeps_what_was_appended_in_order(&open());
    appends_at_the_expected_place_alone(&open());
    trims_and_still_knows_where_it_stands(&open());
    keeps_rooms_apart(&open());
}

fn keeps_what_was_appended_in_order(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.load(&room)), Ok(vec![]), "a new room has no records");
    assert_eq!(wait(journal.append(&room, Sequence(0), vec![record(1), record(2)])), Ok(Sequence(2)));
    assert_eq!(wait(journal.append(&room, Sequence(2), vec![record(7)])), Ok(Sequence(7)), "sequences may have gaps");
    assert_eq!(wait(journal.load(&room)), Ok(vec![record(1), record(2), record(7)]));
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
    assert_eq!(wait(journal.load(&room)), Ok(vec![record(3)]), "a refused append leaves nothing");
    assert_eq!(wait(journal.append(&room, Sequence(3), vec![])), Ok(Sequence(3)), "an empty append is no append");
}

fn trims_and_still_knows_where_it_stands(journal: &impl Journal) {
    let room = room("a");
    assert_eq!(wait(journal.append(&room, Sequence(0), (1..=5).map(record).collect())), Ok(Sequence(5)));
    assert_eq!(wait(journal.trim(&room, Sequence(3))), Ok(()));
    assert_eq!(wait(journal.load(&room)), Ok(vec![record(4), record(5)]));
    assert_eq!(wait(journal.trim(&room, Sequence(5))), Ok(()));
    assert_eq!(wait(journal.append(&room, Sequence(5), vec![record(6)])), Ok(Sequence(6)));
    assert_eq!(wait(journal.load(&room)), Ok(vec![record(6)]));
}

fn keeps_rooms_apart(journal: &impl Journal) {
    assert_eq!(wait(journal.append(&room("a"), Sequence(0), vec![record(1)])), Ok(Sequence(1)));
    assert_eq!(wait(journal.append(&room("b"), Sequence(0), vec![record(2)])), Ok(Sequence(2)));
    assert_eq!(wait(journal.forget(&room("a"))), Ok(()));
    assert_eq!(wait(journal.load(&room("a"))), Ok(vec![]));
    assert_eq!(wait(journal.load(&room("b"))), Ok(vec![record(2)]));
    assert_eq!(
        wait(journal.append(&room("a"), Sequence(0), vec![record(1)])),
        Ok(Sequence(1)),
        "a forgotten room begins anew"
    );
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good name")
}

fn record(sequence: u64) -> Record {
    Record { sequence: Sequence(sequence), bytes: Bytes::from(format!("record {sequence}")) }
}

/// Runs a future on this thread, so that the contract needs no runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
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
