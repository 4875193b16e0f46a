//! Many clients that do nothing but wait, and one broadcast that wakes them all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::client::{Client, connect_all};
use super::fan_out::{bystander, check_accepted, check_update, put_update, subscriber};
use super::load::{Clients, Moment, Tally, settle, work};
use super::problem::{Outcome, Problem};
use super::process;
use super::report::Figures;
use super::server_process::Target;
use super::value::Value;
use super::workload::Plan;

/// How long a server may clean up after the connecting before its memory is looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// The one update.
struct Broadcast {
    tally: Tally,
    value: RefCell<Option<Value>>,
    missing: Cell<usize>,
    go: Notify,
}

impl Broadcast {
    fn heard(&self) {
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0 {
            self.tally.completed();
        }
    }

    async fn listen(self: Rc<Self>, mut client: Client) -> Outcome<()> {
        let mut has_it = false;
        loop {
            client
                .read(|message, now| {
                    let value = self.value.borrow();
                    let Some(value) = value.as_ref().filter(|_| !has_it) else {
                        return Err(Problem::unexpected("nothing", message));
                    };
                    check_update(message, value)?;
                    has_it = true;
                    self.tally.took(value.sent_at, now);
                    self.heard();
                    Ok(())
                })
                .await?;
        }
    }

    /// The author waits like all others, answering pings, until it is its turn.
    async fn send(self: Rc<Self>, mut author: Client, payload: usize) -> Outcome<()> {
        loop {
            let heard = author.read(|message, _| {
                check_accepted(message, 1)?;
                self.heard();
                Ok(())
            });
            tokio::select! {
                done = heard => done?,
                () = self.go.notified() => {
                    let value = Value::new(1, payload);
                    let mut frames = Vec::new();
                    put_update(&mut frames, &value);
                    self.value.replace(Some(value));
                    author.writer.write(&frames).await?;
                }
            }
        }
    }
}

/// Runs the workload.
pub(crate) async fn run(target: &Target, plan: &Plan) -> Outcome<Figures> {
    let count = plan.clients;
    target.check_open_files(count + 1)?;
    let room = plan.room();
    let author = connect_all(target.address, vec![bystander(room.clone())]).await?;

    let memory_before = target.pid.and_then(process::memory_bytes);
    let before = Moment::now(target);
    let clients = connect_all(target.address, vec![subscriber(room); count]).await?;
    let connected = Moment::now(target);

    let broadcast = Rc::new(Broadcast {
        tally: Tally::default(),
        value: RefCell::default(),
        missing: Cell::new(count + 1),
        go: Notify::new(),
    });
    let mut tasks = Clients::new();
    for client in clients {
        tasks.spawn_local(broadcast.clone().listen(client));
    }
    for author in author {
        tasks.spawn_local(broadcast.clone().send(author, plan.payload));
    }
    work(&mut tasks, PAUSE).await?;
    let memory = target.pid.and_then(process::memory_bytes);
    let quiet = Moment::now(target);
    work(&mut tasks, plan.time).await?;
    let end = Moment::now(target);

    broadcast.tally.sent();
    broadcast.go.notify_one();
    settle(&broadcast.tally, &mut tasks).await?;
    let latency = broadcast.tally.latency();

    let per_connection = |sum: f64| sum / count as f64;
    let mut figures = Figures {
        clients: count + 1,
        latency,
        connections_per_second: Some(count as f64 / before.seconds_to(connected)),
        server_us_per_connection: before.server_cpu_to(connected).map(|used| per_connection(used * 1e6)),
        bytes_per_connection: memory
            .zip(memory_before)
            .map(|(after, before)| per_connection(after as f64 - before as f64)),
        server_memory_bytes: memory,
        ..Figures::default()
    };
    quiet.fill(end, &mut figures);
    Ok(figures)
}
