//! A client that decides which changes of a topic are valid: nobody may take a score below zero.

use chatroom_client::{Call, Client, ServiceError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Question {
    change: Value,
    value: i64,
}

#[derive(Serialize)]
struct Verdict {
    valid: bool,
    reason: Option<&'static str>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CHATROOM_URL").unwrap_or("ws://localhost:8765".into());
    let room = Client::connect(&url).await?;
    let _authority = room
        .provide("_chatroom/validate_change/game/score", |call: Call<Question>| async move {
            let Question { change, value } = call.args;
            let operand = change["value"].as_i64().unwrap_or_default();
            let after = if change["type"] == "add" { value.saturating_add(operand) } else { operand };
            let valid = after >= 0;
            Ok::<_, ServiceError>(Verdict { valid, reason: (!valid).then_some("a score is at least 0") })
        })
        .await?;
    println!("deciding about game/score; end with Ctrl-C");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
