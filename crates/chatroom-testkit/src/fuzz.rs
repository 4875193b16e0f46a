//! What the fuzz targets run. Their corpora run through the same functions as plain tests.

use chatroom_engine::NoAuthority;
use chatroom_protocol::change::RawChange;
use chatroom_protocol::{ClientId, Dialect, Limits, TopicType, TopicValue};
use serde_json::value::RawValue;

use crate::world::World;

/// Any bytes as a message of each dialect: an answer may come, a panic may not, and other clients
/// see nothing unless it was a good message.
pub fn decode(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for dialect in [Dialect::Seed, Dialect::V1] {
        let mut world = World::new(Limits::default(), NoAuthority::Reject);
        let (client, _) = world.join(dialect);
        world.send_text(client, text);
        world.close(client);
        assert_eq!(world.room().counts().clients, 0);
    }
}

/// A topic type on the first line and a change on each further one: each applies or is refused,
/// a refused one leaves the value as it was, and each inverse takes its change back exactly.
///
/// # Panics
/// When one of these does not hold.
pub fn apply(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let limits = Limits { text_scalars: 200, items: 50, ..Limits::default() };
    let mut lines = text.lines();
    let Some(kind) = lines.next().and_then(|line| TopicType::parse(line).ok()) else {
        return;
    };
    let mut value = TopicValue::zero(kind);
    for line in lines {
        let Ok(raw) = serde_json::from_str::<&RawValue>(line) else {
            continue;
        };
        let decoded = RawChange::parse(raw).and_then(|raw| raw.decode(kind, ClientId(7), &limits));
        let Ok(change) = decoded else { continue };
        let before = value.clone();
        match value.apply(&change, &limits) {
            Ok(Some(inverse)) => {
                let after = value.clone();
                value.apply(&inverse, &limits).expect("an inverse applies to the value it was made on");
                assert_eq!(value, before, "{inverse:?} takes {change:?} back");
                value = after;
            }
            Ok(None) | Err(_) => assert_eq!(value, before, "{change:?} has no effect"),
        }
        assert_eq!(value.kind(), kind);
    }
}
