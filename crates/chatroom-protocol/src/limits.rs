//! Every limit of ChatRoom, with its default, in one place.

use serde::Serialize;

macro_rules! limits {
    ($($name:ident: $kind:ty = $default:expr, $what:literal;)*) => {
        /// The limits of a server. All are announced in `hello` and can be configured.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Limits {
            $(#[doc = $what] pub $name: $kind,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Limits {
            /// No limits: for what a server has accepted already.
            #[must_use]
            pub fn unlimited() -> Self {
                Self { $($name: <$kind>::MAX,)* }
            }

            /// Name, default and meaning of each limit, for the documents and the configuration.
            #[must_use]
            pub fn table() -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), $default as u64, $what),)*]
            }

            /// Sets the limit of that name; false if there is none or the number does not fit.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => <$kind>::try_from(value).map(|value| self.$name = value).is_ok(),)*
                    _ => false,
                }
            }
        }
    };
}

limits! {
    message_bytes: usize = 1 << 20, "one message from a client; a larger one is refused, one over four times this closes the connection (1009)";
    depth: usize = MAX_DEPTH, "nesting of a JSON value";
    name_bytes: usize = MAX_NAME_BYTES, "a topic or service name, in UTF-8";
    id_bytes: usize = MAX_ID_BYTES, "a change, action or request id";
    text_scalars: usize = 1 << 20, "a string topic, in Unicode scalar values";
    items: usize = 100_000, "entries of a list, set or dict topic";
    key_bytes: usize = 1024, "a dict key, in UTF-8";
    value_bytes: usize = 16 << 20, "a topic's value, as JSON text";
    presence_bytes: usize = 16 << 10, "one client's entry in a presence topic, as JSON text";
    edit_components: usize = 10_000, "components of one text edit";
    action_changes: usize = 1_000, "changes of one action";
    push_actions: usize = 256, "actions of one push";
    history_commits: usize = 1_000, "commits of a topic that are remembered at least, to merge with and to resume from";
    history_ms: u64 = 60_000, "how long a commit is remembered at least";
    history_bytes: usize = 4 << 20, "what is remembered of a topic's commits at most";
    room_history_bytes: usize = 64 << 20, "what is remembered of a room's commits at most";
    transform_steps: usize = 200_000, "how often changes are moved behind each other for one push";
    session_ttl_ms: u64 = 86_400_000, "how long a client may come back as who it was";
    sessions_kept: usize = 10_000, "sessions of a room that wait for their client";
    room_idle_ms: u64 = 30_000, "how long a room that is kept on disk stays in memory without clients";
    room_bytes: usize = 1 << 30, "all values of a room, as JSON text";
    rooms: usize = 100_000, "rooms of the server";
    clients_per_room: usize = 100_000, "clients of a room";
    topics_per_room: usize = 100_000, "topics of a room";
    subscriptions_per_client: usize = 10_000, "subscriptions of a client";
    services_per_client: usize = 1_000, "registrations of a client";
    calls_per_client: usize = 1_000, "calls of a client in flight";
    provider_concurrency: u32 = 10_000, "the largest `concurrency` of a registration";
    waiting_calls: usize = 1_000, "calls that wait for a provider of one service";
    call_timeout_ms: u64 = 30_000, "a call's deadline when the caller names none";
    call_timeout_ms_max: u64 = 600_000, "the longest deadline of a call";
    validation_queue: usize = 1_000, "changes of one topic that wait for its authority";
    validation_timeout_ms: u64 = 5_000, "how long an authority may think";
    hello_timeout_ms: u64 = 10_000, "how long a v1 client may wait with its hello";
    heartbeat_ms: u64 = 25_000, "between two pings of the server";
    outbox_bytes: usize = 1 << 20, "unsent updates per client, above which they are replaced by a snapshot";
    outbox_reply_bytes: usize = 4 << 20, "unsent replies, events and calls per client, above which it is closed";
    stalled_ms: u64 = 30_000, "how long a client may read nothing while something waits for it";
}

/// The deepest nesting of any JSON value.
pub const MAX_DEPTH: usize = 64;
/// The longest topic or service name in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest id of a change, action or request in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// The longest room name in bytes.
pub const MAX_ROOM_NAME_BYTES: usize = 128;
/// The most fields that one JSON object of a message may have.
pub const MAX_FIELDS: usize = 64;
/// The largest integer that every language's numbers hold exactly: 2^53 - 1.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;
/// The most outcomes of one client's actions that are kept until it has acknowledged them.
pub const MAX_UNACKNOWLEDGED: usize = 10_000;
/// The most commits of one page of history.
pub const MAX_HISTORY_COMMITS: usize = 1_000;
/// The longest `name` or `version` that a client may give of itself, in bytes.
pub const MAX_CLIENT_LABEL_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_set_by_its_name() {
        let mut limits = Limits::default();
        for (name, default, _) in Limits::table() {
            assert!(limits.set(name, default), "{name}");
        }
        assert_eq!(limits, Limits::default());
        assert!(!limits.set("no_such_limit", 1));
        assert!(!limits.set("provider_concurrency", u64::MAX));
    }
}
