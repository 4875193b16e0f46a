//! `chatroom get`.

use serde_json::{Value, json};

use super::output;
use super::remote::{call_failed, connect};
use crate::arguments::{Failure, Get};

pub(crate) async fn run(get: &Get) -> Result<(), Failure> {
    let room = connect(&get.remote).await?;
    let got: Value = room
        .call("_chatroom/get", &json!({"topic_name": get.topic}))
        .await
        .map_err(|error| call_failed(&error, true))?;
    match get.json {
        true => output::line(&got),
        false => output::line(output::value(&got["value"], get.raw)),
    };
    Ok(())
}
