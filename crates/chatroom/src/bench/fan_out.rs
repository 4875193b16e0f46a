//! One topic, one writer, many subscribers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::client::{Client, Reader, Seat, Writer, connect_all};
use super::frame::put_text;
use super::load::{Clients, Tally, measure};
use super::problem::{Outcome, Problem};
use super::report::Figures;
use super::server_process::Target;
use super::value::{Value, number_after};
use super::workload::Plan;

/// A seat at the topic that the workloads with updates use.
pub(crate) fn subscriber(room: String) -> Seat {
    let first = r#"{"type":"subscribe","content":{"topic_name":"bench","type":"dict"}}"#.into();
    Seat { room, first: vec![first], answer: r#"{"type":"subscribed""# }
}

/// A seat of a client that subscribes to nothing.
pub(crate) fn bystander(room: String) -> Seat {
    Seat { room, first: Vec::new(), answer: r#"{"type":"hello""# }
}

/// Appends the frame of an update to the topic.
pub(crate) fn put_update(frames: &mut Vec<u8>, value: &Value) {
    let Value { serial, text, .. } = value;
    put_text(
        frames,
        &format!(
            r#"{{"type":"update","content":{{"topic_name":"bench","change":{{"type":"put","id":{serial},"key":"k","value":"{text}"}}}}}}"#
        ),
    );
}

/// Checks that a message is the update with that value.
pub(crate) fn check_update(message: &[u8], value: &Value) -> Outcome<()> {
    if message.starts_with(br#"{"type":"update""#) && value.is_in(message) {
        return Ok(());
    }
    Err(Problem::unexpected(&format!("the update with number {}", value.serial), message))
}

/// Checks that a message accepts the update with that number.
pub(crate) fn check_accepted(message: &[u8], serial: u64) -> Outcome<()> {
    if message.starts_with(br#"{"type":"accepted""#) && number_after(message, "id") == Some(serial) {
        return Ok(());
    }
    Err(Problem::unexpected(&format!("the acceptance of number {serial}"), message))
}

/// What is on its way to the subscribers, in order.
struct Topic {
    tally: Tally,
    /// How many have to hear of each update: the subscribers and the author.
    hearers: usize,
    window: u64,
    payload: usize,
    /// Updates that not all have heard of, and how many have not.
    under_way: RefCell<VecDeque<(Value, usize)>>,
    /// The number of the first of them.
    first: Cell<u64>,
    freed: Notify,
}

impl Topic {
    /// One of the hearers got its next message.
    fn heard(&self, serial: u64, check: impl FnOnce(&Value) -> Outcome<()>) -> Outcome<()> {
        let mut under_way = self.under_way.borrow_mut();
        let index = serial.checked_sub(self.first.get()).and_then(|index| usize::try_from(index).ok());
        let entry = index.and_then(|index| under_way.get_mut(index));
        let Some((value, missing)) = entry else {
            return check(&Value { serial, ..Value::default() });
        };
        check(value)?;
        *missing -= 1;
        while under_way.front().is_some_and(|(_, missing)| *missing == 0) {
            under_way.pop_front();
            self.first.set(self.first.get() + 1);
            self.tally.completed();
            self.freed.notify_one();
        }
        Ok(())
    }

    async fn subscriber(self: Rc<Self>, mut client: Client) -> Outcome<()> {
        let mut next = 1;
        loop {
            client
                .read(|message, now| {
                    self.heard(next, |value| {
                        check_update(message, value)?;
                        self.tally.delivered();
                        self.tally.took(value.sent_at, now);
                        Ok(())
                    })?;
                    next += 1;
                    Ok(())
                })
                .await?;
        }
    }

    async fn author(self: Rc<Self>, mut reader: Reader) -> Outcome<()> {
        let mut next = 1;
        loop {
            reader
                .read(|message, _| {
                    self.heard(next, |_| check_accepted(message, next))?;
                    next += 1;
                    Ok(())
                })
                .await?;
        }
    }

    async fn write(self: Rc<Self>, mut writer: Writer) -> Outcome<()> {
        let mut serial = 0;
        let mut frames = Vec::new();
        loop {
            frames.clear();
            while self.tally.in_flight() < self.window && !self.tally.ending() {
                serial += 1;
                let value = Value::new(serial, self.payload);
                put_update(&mut frames, &value);
                self.under_way.borrow_mut().push_back((value, self.hearers));
                self.tally.sent();
            }
            writer.write(&frames).await?;
            self.freed.notified().await;
        }
    }
}

/// Runs the workload with so many updates in flight.
pub(crate) async fn run(target: &Target, plan: &Plan, in_flight: u64) -> Outcome<Figures> {
    let subscribers = plan.clients;
    target.check_open_files(subscribers + 1)?;
    let room = plan.room();
    let clients = connect_all(target.address, vec![subscriber(room.clone()); subscribers]).await?;
    let author = connect_all(target.address, vec![bystander(room)]).await?;

    let topic = Rc::new(Topic {
        tally: Tally::default(),
        hearers: subscribers + 1,
        window: in_flight,
        payload: plan.payload,
        under_way: RefCell::default(),
        first: Cell::new(1),
        freed: Notify::new(),
    });
    let mut tasks = Clients::new();
    for client in clients {
        tasks.spawn_local(topic.clone().subscriber(client));
    }
    for Client { reader, writer } in author {
        tasks.spawn_local(topic.clone().author(reader));
        tasks.spawn_local(topic.clone().write(writer));
    }
    let mut figures = Figures { clients: subscribers + 1, in_flight: Some(in_flight), ..Figures::default() };
    measure(target, &topic.tally, &mut tasks, plan.time, &mut figures).await?;
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(hearers: usize, serials: u64) -> Topic {
        let topic = Topic {
            tally: Tally::default(),
            hearers,
            window: serials,
            payload: 50,
            under_way: RefCell::default(),
            first: Cell::new(1),
            freed: Notify::new(),
        };
        for serial in 1..=serials {
            topic.under_way.borrow_mut().push_back((Value::new(serial, 50), hearers));
            topic.tally.sent();
        }
        topic
    }

    fn update(value: &Value) -> String {
        format!(r#"{{"type":"update","content":{{"change":{{"key":"k","value":"{}"}}}}}}"#, value.text)
    }

    #[test]
    fn an_update_is_complete_when_all_have_heard_of_it() {
        let topic = topic(2, 2);
        for (serial, in_flight) in [(1, 2), (2, 2), (1, 1), (2, 0)] {
            topic.heard(serial, |value| check_update(update(value).as_bytes(), value)).unwrap();
            assert_eq!(topic.tally.in_flight(), in_flight);
        }
    }

    #[test]
    fn what_is_wrong_or_too_much_is_a_problem() {
        let topic = topic(1, 2);
        let second = update(&topic.under_way.borrow()[1].0);
        let check = |value: &Value| check_update(second.as_bytes(), value);
        assert!(topic.heard(1, check).unwrap_err().to_string().contains("number 1"));
        topic.heard(1, |_| Ok(())).unwrap();
        topic.heard(2, check).unwrap();
        assert!(topic.heard(3, check).unwrap_err().to_string().contains("number 3"));
        let rejected = br#"{"type":"reject_update","content":{"change":{"id":1}}}"#;
        assert!(check_accepted(rejected, 1).is_err());
        assert!(check_accepted(br#"{"type":"accepted","content":{"id":1,"sequence":9}}"#, 1).is_ok());
    }
}
