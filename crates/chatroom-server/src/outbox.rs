//! What waits for one connection's socket. Only this file decides what a slow reader gets.
//!
//! While a connection's task has nothing to write itself, its room writes to the socket directly, at
//! the end of a turn and all that waits at once; the task is woken when the socket is full, and for
//! everything but writing.
//!
//! Updates above a byte limit collapse: they are dropped, their topics are remembered as stale, and
//! the reader gets the topics' values once it has drained what is left. Replies, events and calls
//! each count and have a bound of their own; past it, or where one of them would overtake a change
//! that was dropped, the connection is closed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use bytes::{Bytes, BytesMut};
use chatroom_engine::{Class, Delivery};
use chatroom_protocol::{Code, Limits, Refusal, TopicName};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Frames smaller than this are copied together, larger ones are written as they are.
const COPY_BYTES_MAX: usize = 16 << 10;
/// So much is put together for one write.
const WRITE_BYTES: usize = 64 << 10;
/// An idle connection keeps no longer queue than this.
const IDLE_QUEUE: usize = 8;

#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The socket, if it may be written to from here, and the thread from which it may.
    direct: Option<(Arc<OwnedWriteHalf>, Option<ThreadId>)>,
    /// Whether the connection's task writes nothing now.
    is_idle: bool,
    /// The rest of what was written directly, when the socket was full.
    partial: Bytes,
    queue: VecDeque<(Bytes, Delivery)>,
    update_bytes: usize,
    reply_bytes: usize,
    stale: BTreeSet<TopicName>,
    end: Option<Refusal>,
    sent: u64,
    sent_bytes: u64,
}

/// What an outbox holds and has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) queue_bytes: usize,
    pub(crate) stale_topics: usize,
    /// Frames that were to be sent, in all.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
}

/// What the connection does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write these whole frames.
    Write(Bytes),
    /// Everything was taken; the room shall send the values of these topics.
    Drained(Vec<TopicName>),
    /// Everything was taken; close.
    End(Refusal),
    /// Wait for [`Outbox::filled`].
    Nothing,
}

impl Outbox {
    pub(crate) fn new(limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), limits, metrics }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the room write to the socket: from that thread alone, or from any.
    pub(crate) fn direct(&self, socket: Arc<OwnedWriteHalf>, thread: Option<ThreadId>) {
        self.waiting().direct = Some((socket, thread));
    }

    /// Ends that.
    pub(crate) fn undirect(&self) {
        let mut waiting = self.waiting();
        waiting.direct = None;
        waiting.is_idle = false;
    }

    /// The connection's task is about to write something of its own; gives what it has to write before.
    pub(crate) fn hold(&self) -> Option<Bytes> {
        let mut waiting = self.waiting();
        waiting.is_idle = false;
        Some(std::mem::take(&mut waiting.partial)).filter(|partial| !partial.is_empty())
    }

    /// Writes what waits, if the connection's task is idle; or wakes that for what is left to do.
    pub(crate) fn flush(&self) {
        let mut waiting = self.waiting();
        let Some((socket, _)) = waiting.direct.clone().filter(|_| waiting.is_idle) else {
            return;
        };
        while let Some(frames) = waiting.take() {
            let count = socket.try_write(&frames).unwrap_or(0);
            self.metrics.writes.inc();
            self.metrics.sent_bytes.inc_by(count as u64);
            if count < frames.len() {
                waiting.partial = frames.slice(count..);
                break;
            }
        }
        if waiting.partial.is_empty() && waiting.stale.is_empty() && waiting.end.is_none() {
            return;
        }
        waiting.is_idle = false;
        drop(waiting);
        self.filled.notify_one();
    }

    /// Adds whole frames, or decides otherwise; true if the room has to [`Outbox::flush`].
    #[must_use = "frames that nobody flushes stay"]
    pub(crate) fn push(&self, frames: Bytes, delivery: &Delivery) -> bool {
        let mut waiting = self.waiting();
        if waiting.end.is_some() {
            return false;
        }
        waiting.sent += 1;
        waiting.sent_bytes += frames.len() as u64;
        let was_empty = waiting.queue.is_empty();
        match delivery.class {
            Class::Reply => self.push_reply(&mut waiting, frames, delivery),
            Class::State | Class::Snapshot => self.push_update(&mut waiting, frames, delivery),
        }
        let here = |thread: ThreadId| thread == std::thread::current().id();
        let flushes = waiting.is_idle && waiting.direct.as_ref().is_some_and(|it| it.1.is_none_or(here));
        drop(waiting);
        if was_empty && !flushes {
            self.filled.notify_one();
        }
        was_empty && flushes
    }

    fn push_reply(&self, waiting: &mut Waiting, frames: Bytes, delivery: &Delivery) {
        if waiting.touches_stale(delivery) || waiting.reply_bytes + frames.len() > self.limits.outbox_reply_bytes {
            return self.give_up(waiting);
        }
        waiting.reply_bytes += frames.len();
        waiting.queue.push_back((frames, delivery.clone()));
    }

    fn push_update(&self, waiting: &mut Waiting, frames: Bytes, delivery: &Delivery) {
        if delivery.class == Class::Snapshot {
            for topic in delivery.topics.iter() {
                waiting.stale.remove(topic);
            }
        } else if waiting.touches_stale(delivery) {
            waiting.stale.extend(delivery.topics.iter().cloned());
            return;
        }
        // A single frame over the limit is let through: there is nothing smaller to send instead.
        if waiting.update_bytes > 0 && waiting.update_bytes + frames.len() > self.limits.outbox_bytes {
            if delivery.class == Class::Snapshot {
                // What waits goes first; then it is asked for again. So values that do not fit together
                // come one after the other.
                waiting.stale.extend(delivery.topics.iter().cloned());
                return;
            }
            return self.collapse(waiting, delivery);
        }
        waiting.update_bytes += frames.len();
        waiting.queue.push_back((frames, delivery.clone()));
    }

    fn collapse(&self, waiting: &mut Waiting, delivery: &Delivery) {
        self.metrics.collapses.inc();
        waiting.stale.extend(delivery.topics.iter().cloned());
        // Values stay, or a large one would never arrive while it is being changed.
        let (kept, dropped): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut waiting.queue).into_iter().partition(|(_, delivery)| delivery.class != Class::State);
        waiting.queue = kept;
        waiting.stale.extend(dropped.iter().flat_map(|(_, delivery)| delivery.topics.iter().cloned()));
        waiting.update_bytes -= dropped.iter().map(|(frames, _)| frames.len()).sum::<usize>();
        let overtakes = |(_, delivery): &(Bytes, Delivery)| {
            delivery.class == Class::Reply && delivery.topics.iter().any(|topic| waiting.stale.contains(topic))
        };
        if waiting.queue.iter().any(overtakes) {
            self.give_up(waiting);
        }
    }

    fn give_up(&self, waiting: &mut Waiting) {
        self.metrics.slow_consumers.inc();
        *waiting = Waiting {
            sent: waiting.sent,
            sent_bytes: waiting.sent_bytes,
            direct: waiting.direct.take(),
            partial: std::mem::take(&mut waiting.partial),
            ..Waiting::default()
        };
        waiting.end = Some(Refusal::new(Code::SlowConsumer, "this client does not read what is sent to it"));
        self.filled.notify_one();
    }

    /// Closes the connection after what waits now.
    pub(crate) fn end(&self, refusal: Refusal) {
        let mut waiting = self.waiting();
        waiting.end.get_or_insert(refusal);
        waiting.stale.clear();
        drop(waiting);
        self.filled.notify_one();
    }

    /// Takes the frames of one write. If there is nothing and the task may rest, the room writes from
    /// now on.
    pub(crate) fn next(&self, may_rest: bool) -> Next {
        let mut waiting = self.waiting();
        waiting.is_idle = false;
        if let Some(frames) = waiting.take() {
            return Next::Write(frames);
        }
        if let Some(refusal) = &waiting.end {
            return Next::End(refusal.clone());
        }
        if !waiting.stale.is_empty() {
            return Next::Drained(std::mem::take(&mut waiting.stale).into_iter().collect());
        }
        waiting.is_idle = may_rest;
        Next::Nothing
    }

    pub(crate) fn stats(&self) -> Stats {
        let waiting = self.waiting();
        Stats {
            queue_bytes: waiting.update_bytes + waiting.reply_bytes,
            stale_topics: waiting.stale.len(),
            sent: waiting.sent,
            sent_bytes: waiting.sent_bytes,
        }
    }

    /// Takes back topics that could not be told to the room yet.
    pub(crate) fn stale_again(&self, topics: Vec<TopicName>) {
        self.waiting().stale.extend(topics);
    }

    /// Has the connection's task look around, and write all by itself.
    pub(crate) fn interrupt(&self) {
        self.waiting().is_idle = false;
        self.filled.notify_one();
    }

    /// Waits until there may be something to take.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl Waiting {
    fn touches_stale(&self, delivery: &Delivery) -> bool {
        !self.stale.is_empty() && delivery.topics.iter().any(|topic| self.stale.contains(topic))
    }

    /// The frames of one write: small ones are put together.
    fn take(&mut self) -> Option<Bytes> {
        if !self.partial.is_empty() {
            return Some(std::mem::take(&mut self.partial));
        }
        let (first, delivery) = self.queue.pop_front()?;
        self.took(&first, &delivery);
        let mut write = first;
        let next_is_small = |waiting: &Self, size: usize| {
            waiting
                .queue
                .front()
                .is_some_and(|(frames, _)| frames.len() <= COPY_BYTES_MAX && size + frames.len() <= WRITE_BYTES)
        };
        if write.len() <= COPY_BYTES_MAX && next_is_small(self, write.len()) {
            let mut joined =
                BytesMut::with_capacity(WRITE_BYTES.min(self.update_bytes + self.reply_bytes + write.len()));
            joined.extend_from_slice(&write);
            while next_is_small(self, joined.len()) {
                let Some((frames, delivery)) = self.queue.pop_front() else {
                    break;
                };
                self.took(&frames, &delivery);
                joined.extend_from_slice(&frames);
            }
            write = joined.freeze();
        }
        if self.queue.is_empty() && self.queue.capacity() > IDLE_QUEUE {
            self.queue = VecDeque::new();
        }
        Some(write)
    }

    fn took(&mut self, frames: &Bytes, delivery: &Delivery) {
        let bytes = match delivery.class {
            Class::Reply => &mut self.reply_bytes,
            Class::State | Class::Snapshot => &mut self.update_bytes,
        };
        *bytes -= frames.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        let limits = Limits { outbox_bytes: 100, outbox_reply_bytes: 100, ..Limits::default() };
        Outbox::new(Arc::new(limits), Arc::default())
    }

    fn delivery(class: Class, topics: &[&str]) -> Delivery {
        Delivery { class, topics: topics.iter().map(|name| TopicName::parse(name).unwrap()).collect() }
    }

    fn push(outbox: &Outbox, text: &str, class: Class, topics: &[&str]) {
        assert!(!outbox.push(Bytes::copy_from_slice(text.as_bytes()), &delivery(class, topics)));
    }

    #[track_caller]
    fn check(outbox: &Outbox, expected: &[&str]) {
        let mut found = Vec::new();
        loop {
            match outbox.next(false) {
                Next::Write(bytes) => found.push(String::from_utf8(bytes.to_vec()).unwrap()),
                Next::Drained(topics) => {
                    let names: Vec<_> = topics.iter().map(TopicName::as_str).collect();
                    found.push(format!("drained {}", names.join(" ")));
                }
                Next::End(refusal) => {
                    found.push(format!("end {}", refusal.code.name()));
                    break;
                }
                Next::Nothing => break,
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn what_waits_leaves_in_one_write() {
        let outbox = outbox();
        push(&outbox, "a", Class::State, &["t"]);
        push(&outbox, "b", Class::Reply, &[]);
        push(&outbox, "c", Class::State, &["t"]);
        check(&outbox, &["abc"]);
    }

    #[test]
    fn updates_over_the_limit_become_stale_topics() {
        let outbox = outbox();
        push(&outbox, &"x".repeat(60), Class::State, &["a"]);
        push(&outbox, "reply", Class::Reply, &[]);
        push(&outbox, &"y".repeat(60), Class::State, &["b"]);
        push(&outbox, "z", Class::State, &["a"]);
        push(&outbox, "other", Class::State, &["c"]);
        check(&outbox, &["replyother", "drained a b"]);
        push(&outbox, "value", Class::Snapshot, &["a"]);
        push(&outbox, "z", Class::State, &["a"]);
        check(&outbox, &["valuez"]);
    }

    #[test]
    fn a_new_value_ends_staleness() {
        let outbox = outbox();
        push(&outbox, &"x".repeat(60), Class::State, &["a"]);
        push(&outbox, &"x".repeat(60), Class::State, &["a"]);
        push(&outbox, "value", Class::Snapshot, &["a"]);
        push(&outbox, "z", Class::State, &["a"]);
        check(&outbox, &["valuez"]);
    }

    /// Found by 500 kills: the values of two topics of a megabyte each drove each other out for ever.
    #[test]
    fn values_that_do_not_fit_together_come_one_after_the_other() {
        let outbox = outbox();
        push(&outbox, &"a".repeat(80), Class::Snapshot, &["a"]);
        push(&outbox, &"b".repeat(130), Class::Snapshot, &["b"]);
        push(&outbox, &"c".repeat(80), Class::Snapshot, &["c"]);
        check(&outbox, &[&"a".repeat(80), "drained b c"]);
        push(&outbox, &"b".repeat(130), Class::Snapshot, &["b"]);
        push(&outbox, &"c".repeat(80), Class::Snapshot, &["c"]);
        check(&outbox, &[&"b".repeat(130), "drained c"]);
        push(&outbox, &"c".repeat(80), Class::Snapshot, &["c"]);
        check(&outbox, &[&"c".repeat(80)]);
    }

    /// A value on its way is not driven out by changes that come meanwhile.
    #[test]
    fn a_large_value_arrives_while_it_is_changed() {
        let outbox = outbox();
        push(&outbox, &"a".repeat(130), Class::Snapshot, &["a"]);
        push(&outbox, "change", Class::State, &["a"]);
        push(&outbox, "change", Class::State, &["a"]);
        push(&outbox, "other", Class::State, &["b"]);
        check(&outbox, &[&"a".repeat(130), "drained a b"]);
    }

    #[test]
    fn too_many_replies_end_the_connection() {
        let outbox = outbox();
        push(&outbox, &"x".repeat(60), Class::Reply, &[]);
        push(&outbox, &"x".repeat(60), Class::Reply, &[]);
        push(&outbox, "late", Class::Reply, &[]);
        check(&outbox, &["end slow_consumer"]);
    }

    #[test]
    fn an_echo_never_overtakes_a_dropped_change() {
        let outbox = outbox();
        push(&outbox, &"x".repeat(60), Class::State, &["a"]);
        push(&outbox, "echo", Class::Reply, &["a"]);
        push(&outbox, &"x".repeat(60), Class::State, &["a"]);
        check(&outbox, &["end slow_consumer"]);
    }

    #[test]
    fn the_end_comes_after_what_waits() {
        let outbox = outbox();
        push(&outbox, "goodbye", Class::Reply, &[]);
        outbox.end(Refusal::new(Code::ShuttingDown, "bye"));
        push(&outbox, "late", Class::Reply, &[]);
        check(&outbox, &["goodbye", "end shutting_down"]);
    }
}
