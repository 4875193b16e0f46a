//! Many rooms of a few clients each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::client::{Client, connect_all};
use super::fan_out::{check_accepted, check_update, put_update, subscriber};
use super::load::{Clients, Tally, measure};
use super::problem::{Outcome, Problem};
use super::report::Figures;
use super::server_process::Target;
use super::value::Value;
use super::workload::Plan;

/// Clients of a room: one that writes, and those that read.
const CLIENTS: usize = 4;

struct Room {
    tally: Rc<Tally>,
    payload: usize,
    /// The one update under way, and how many have not read it.
    value: RefCell<Value>,
    missing: Cell<usize>,
    all_have: Notify,
}

impl Room {
    async fn read(self: Rc<Self>, mut client: Client) -> Outcome<()> {
        let mut seen = 0;
        loop {
            client
                .read(|message, now| {
                    let value = self.value.borrow();
                    if value.serial == seen {
                        return Err(Problem::unexpected("nothing", message));
                    }
                    check_update(message, &value)?;
                    seen = value.serial;
                    self.tally.delivered();
                    self.tally.took(value.sent_at, now);
                    self.missing.set(self.missing.get() - 1);
                    if self.missing.get() == 0 {
                        self.all_have.notify_one();
                    }
                    Ok(())
                })
                .await?;
        }
    }

    async fn write(self: Rc<Self>, mut client: Client) -> Outcome<()> {
        let mut frames = Vec::new();
        for serial in 1.. {
            if self.tally.ending() {
                break;
            }
            let value = Value::new(serial, self.payload);
            frames.clear();
            put_update(&mut frames, &value);
            self.value.replace(value);
            self.missing.set(CLIENTS - 1);
            self.tally.sent();
            client.writer.write(&frames).await?;
            let mut accepted = false;
            while !accepted {
                client
                    .read(|message, _| {
                        accepted = true;
                        check_accepted(message, serial)
                    })
                    .await?;
            }
            self.all_have.notified().await;
            self.tally.completed();
        }
        // The others still read, in case that more comes than was sent.
        std::future::pending().await
    }
}

/// Runs the workload.
pub(crate) async fn run(target: &Target, plan: &Plan) -> Outcome<Figures> {
    let count = (plan.clients / CLIENTS).max(1);
    target.check_open_files(count * CLIENTS)?;
    let name = plan.room();
    let seats = (0..count).flat_map(|room| vec![subscriber(format!("{name}-{room}")); CLIENTS]).collect();
    let mut clients = connect_all(target.address, seats).await?.into_iter();

    let tally = Rc::new(Tally::default());
    let mut tasks = Clients::new();
    for _ in 0..count {
        let room = Rc::new(Room {
            tally: tally.clone(),
            payload: plan.payload,
            value: RefCell::default(),
            missing: Cell::new(0),
            all_have: Notify::new(),
        });
        for client in clients.by_ref().take(CLIENTS - 1) {
            tasks.spawn_local(room.clone().read(client));
        }
        if let Some(client) = clients.next() {
            tasks.spawn_local(room.write(client));
        }
    }
    let in_flight = Some(count as u64);
    let mut figures = Figures { clients: count * CLIENTS, in_flight, ..Figures::default() };
    measure(target, &tally, &mut tasks, plan.time, &mut figures).await?;
    Ok(figures)
}
