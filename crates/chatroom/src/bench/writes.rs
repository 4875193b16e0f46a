//! Clients that write to one topic, each its next change when the last one was accepted: what keeping
//! costs. One more client follows.

use std::rc::Rc;

use super::client::{Client, connect_all};
use super::fan_out::{bystander, check_accepted, put_update, subscriber};
use super::load::{Clients, Tally, measure};
use super::problem::Outcome;
use super::report::Figures;
use super::server_process::Target;
use super::value::Value;
use super::workload::Plan;

async fn write(tally: Rc<Tally>, payload: usize, mut client: Client) -> Outcome<()> {
    let mut frames = Vec::new();
    for serial in 1.. {
        if tally.ending() {
            break;
        }
        let value = Value::new(serial, payload);
        frames.clear();
        put_update(&mut frames, &value);
        tally.sent();
        client.writer.write(&frames).await?;
        let mut accepted = false;
        while !accepted {
            client
                .read(|message, now| {
                    accepted = true;
                    tally.took(value.sent_at, now);
                    check_accepted(message, serial)
                })
                .await?;
        }
        tally.completed();
    }
    std::future::pending().await
}

async fn follow(tally: Rc<Tally>, mut client: Client) -> Outcome<()> {
    loop {
        client
            .read(|_, _| {
                tally.delivered();
                Ok(())
            })
            .await?;
    }
}

/// Runs the workload with so many writers.
pub(crate) async fn run(target: &Target, plan: &Plan, writers: usize) -> Outcome<Figures> {
    target.check_open_files(writers + 1)?;
    let room = plan.room();
    let tally = Rc::new(Tally::default());
    let mut tasks = Clients::new();
    for client in connect_all(target.address, vec![subscriber(room.clone())]).await? {
        tasks.spawn_local(follow(tally.clone(), client));
    }
    for client in connect_all(target.address, vec![bystander(room); writers]).await? {
        tasks.spawn_local(write(tally.clone(), plan.payload, client));
    }
    let mut figures = Figures { clients: writers + 1, in_flight: Some(writers as u64), ..Figures::default() };
    measure(target, &tally, &mut tasks, plan.time, &mut figures).await?;
    Ok(figures)
}
