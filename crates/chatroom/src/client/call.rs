//! `chatroom call`.

use std::time::Duration;

use serde_json::Value;

use super::output::{self, DIM};
use super::remote::{call_failed, connect};
use crate::arguments::{Call, Failure};

pub(crate) async fn run(call: &Call) -> Result<(), Failure> {
    let args = output::json(&output::input(&call.args)?, "the argument")?;
    let room = connect(&call.remote).await?;
    let special = call.service.starts_with("_chatroom/");
    let answer: Value = room
        .call(&call.service, &args)
        .timeout(Duration::from_millis(call.timeout_ms))
        .progress(|data: Value| output::note(format!("{DIM}{data}{DIM:#}")))
        .await
        .map_err(|error| call_failed(&error, special))?;
    output::line(output::value(&answer, call.raw));
    Ok(())
}
