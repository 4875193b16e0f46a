//! Callers and providers of one service.

use std::rc::Rc;

use super::client::{Client, Seat, connect_all};
use super::fan_out::bystander;
use super::frame::put_text;
use super::load::{Clients, Tally, measure};
use super::problem::{Outcome, Problem};
use super::report::Figures;
use super::server_process::Target;
use super::value::{Value, number_after, serial_of, value_in};
use super::workload::Plan;

/// Calls that each caller has in flight.
const IN_FLIGHT: usize = 8;
/// Callers for each provider.
const CALLERS: usize = 10;
/// As many as a server allows, so that no call waits for a provider: least busy comes first anyway.
const CONCURRENCY: usize = 10_000;

async fn call(tally: Rc<Tally>, payload: usize, mut client: Client) -> Outcome<()> {
    let mut serial = 0;
    let mut open: Vec<Value> = Vec::with_capacity(IN_FLIGHT);
    let mut frames = Vec::new();
    loop {
        frames.clear();
        while open.len() < IN_FLIGHT && !tally.ending() {
            serial += 1;
            let value = Value::new(serial, payload);
            put_text(
                &mut frames,
                &format!(
                    r#"{{"type":"request","content":{{"service_name":"echo","args":"{}","request_id":{serial}}}}}"#,
                    value.text
                ),
            );
            open.push(value);
            tally.sent();
        }
        client.writer.write(&frames).await?;
        client
            .read(|message, now| {
                let serial = value_in(message).and_then(serial_of);
                let index = open.iter().position(|value| Some(value.serial) == serial);
                let is_answer = message.starts_with(br#"{"type":"response""#)
                    && number_after(message, "request_id") == serial
                    && index.is_some_and(|index| open[index].is_in(message));
                let Some(index) = index.filter(|_| is_answer) else {
                    return Err(Problem::unexpected("the response to a call in flight", message));
                };
                let value = open.swap_remove(index);
                tally.delivered();
                tally.took(value.sent_at, now);
                tally.completed();
                Ok(())
            })
            .await?;
    }
}

async fn provide(tally: Rc<Tally>, mut client: Client) -> Outcome<()> {
    let mut frames = Vec::new();
    loop {
        frames.clear();
        client
            .read(|message, _| {
                let value = value_in(message).and_then(|value| std::str::from_utf8(value).ok());
                let (Some(value), Some(id)) = (value, number_after(message, "request_id")) else {
                    return Err(Problem::unexpected("a call", message));
                };
                tally.delivered();
                put_text(
                    &mut frames,
                    &format!(r#"{{"type":"response","content":{{"response":"{value}","request_id":{id}}}}}"#),
                );
                Ok(())
            })
            .await?;
        client.writer.write(&frames).await?;
    }
}

fn provider(room: String) -> Seat {
    let register = format!(
        r#"{{"type":"register_service","content":{{"service_name":"echo","options":{{"concurrency":{CONCURRENCY}}}}}}}"#
    );
    Seat { room, first: vec![register], answer: r#"{"type":"registered""# }
}

/// Runs the workload.
pub(crate) async fn run(target: &Target, plan: &Plan) -> Outcome<Figures> {
    let callers = plan.clients;
    let providers = callers.div_ceil(CALLERS);
    target.check_open_files(callers + providers)?;
    let room = plan.room();
    let provider_clients = connect_all(target.address, vec![provider(room.clone()); providers]).await?;
    let caller_clients = connect_all(target.address, vec![bystander(room); callers]).await?;

    let tally = Rc::new(Tally::default());
    let mut tasks = Clients::new();
    for client in provider_clients {
        tasks.spawn_local(provide(tally.clone(), client));
    }
    for client in caller_clients {
        tasks.spawn_local(call(tally.clone(), plan.payload, client));
    }
    let in_flight = Some((callers * IN_FLIGHT) as u64);
    let mut figures = Figures { clients: callers + providers, in_flight, ..Figures::default() };
    measure(target, &tally, &mut tasks, plan.time, &mut figures).await?;
    Ok(figures)
}
