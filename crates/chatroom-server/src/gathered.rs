//! Broadcasts of one turn to the same clients, put together: each of them is handed one piece, however
//! many commits it tells of.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chatroom_engine::{ConnectionId, Delivery, Subscribers};
use chatroom_protocol::Dialect;

/// So much is put together at most: a piece that a slow reader is given or refused as a whole.
const BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Gathered {
    to: Arc<Subscribers>,
    skip: Option<ConnectionId>,
    delivery: Delivery,
    seed: Joined,
    v1: Joined,
    broadcasts: u64,
}

/// Frames in a row; only a second one is copied.
#[derive(Debug, Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    fn add(&mut self, frames: Option<Bytes>) {
        let Some(frames) = frames else { return };
        if self.len() == 0 {
            self.first = frames;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.first.len() + 7 * frames.len());
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&frames);
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

impl Gathered {
    pub(crate) fn new(to: Arc<Subscribers>, skip: Option<ConnectionId>, delivery: Delivery) -> Self {
        Self { to, skip, delivery, seed: Joined::default(), v1: Joined::default(), broadcasts: 0 }
    }

    /// Whether another broadcast goes to the same clients, as the same kind of thing, and has room.
    pub(crate) fn takes(&self, to: &Arc<Subscribers>, skip: Option<ConnectionId>, delivery: &Delivery) -> bool {
        Arc::ptr_eq(&self.to, to)
            && self.skip == skip
            && self.delivery.class == delivery.class
            && Arc::ptr_eq(&self.delivery.topics, &delivery.topics)
            && self.v1.len().max(self.seed.len()) < BYTES
    }

    pub(crate) fn add(&mut self, seed: Option<Bytes>, v1: Option<Bytes>) {
        self.seed.add(seed);
        self.v1.add(v1);
        self.broadcasts += 1;
    }

    /// Whether a client is among those that get it.
    pub(crate) fn is_for(&self, connection: ConnectionId) -> bool {
        let listed = |list: &[ConnectionId]| list.binary_search(&connection).is_ok();
        self.skip != Some(connection) && (listed(&self.to.v1) || listed(&self.to.seed))
    }

    /// Hands each client its piece; returns how many frames were delivered.
    pub(crate) fn deliver(self, mut hand: impl FnMut(ConnectionId, Bytes, &Delivery) -> bool) -> u64 {
        let Self { to, skip, delivery, seed, v1, broadcasts } = self;
        let mut deliveries = 0;
        for (dialect, joined) in [(Dialect::Seed, seed), (Dialect::V1, v1)] {
            let frames = joined.into_bytes();
            if frames.is_empty() {
                continue;
            }
            let list = if dialect == Dialect::Seed { &to.seed } else { &to.v1 };
            for connection in list.iter().filter(|connection| Some(**connection) != skip) {
                deliveries += u64::from(hand(*connection, frames.clone(), &delivery)) * broadcasts;
            }
        }
        deliveries
    }
}

#[cfg(test)]
mod tests {
    use chatroom_engine::Class;
    use chatroom_protocol::TopicName;

    use super::*;

    fn delivery() -> Delivery {
        Delivery { class: Class::State, topics: Arc::new([TopicName::parse("t").unwrap()]) }
    }

    /// Three broadcasts to 1 to 4, of which 2 is the author and 4 speaks the seed dialect.
    #[test]
    fn what_goes_to_the_same_is_one_piece() {
        let to = Arc::new(Subscribers { seed: vec![ConnectionId(4)], v1: (1..=3).map(ConnectionId).collect() });
        let (skip, what) = (Some(ConnectionId(2)), delivery());
        let mut gathered = Gathered::new(to.clone(), skip, what.clone());
        for (seed, v1) in [("a", "A"), ("b", "B"), ("c", "C")] {
            assert!(gathered.takes(&to, skip, &what));
            gathered.add(Some(Bytes::from_static(seed.as_bytes())), Some(Bytes::from_static(v1.as_bytes())));
        }
        assert!(!gathered.takes(&to, None, &what) && !gathered.takes(&to, skip, &delivery()));
        assert_eq!([1, 2, 3, 4, 5].map(|id| gathered.is_for(ConnectionId(id))), [true, false, true, true, false]);
        let mut handed = Vec::new();
        let deliveries = gathered.deliver(|to, frames, _| {
            handed.push(format!("{} {}", to.0, String::from_utf8_lossy(&frames)));
            to != ConnectionId(3)
        });
        assert_eq!(handed, ["4 abc", "1 ABC", "3 ABC"]);
        assert_eq!(deliveries, 6);
    }

    #[test]
    fn a_piece_is_not_larger_than_a_slow_reader_can_miss() {
        let (to, what) = (Arc::new(Subscribers::default()), delivery());
        let mut gathered = Gathered::new(to.clone(), None, what.clone());
        gathered.add(None, Some(Bytes::from(vec![0; BYTES])));
        assert!(!gathered.takes(&to, None, &what));
    }
}
