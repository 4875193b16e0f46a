//! Who is here: each client has an entry that goes with it, however its connection ends.

use chatroom_client::Client;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
struct Person {
    name: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CHATROOM_URL").unwrap_or("ws://localhost:8765".into());
    let name = std::env::args().nth(1).unwrap_or("somebody".into());
    let room = Client::connect(&url).await?;
    let people = room.presence::<Person>("people")?;
    people.put(&Person { name });

    let mut changes = people.changes();
    while let Some(update) = changes.next().await {
        let names: Vec<String> = update.try_value()?.into_values().map(|person| person.name).collect();
        println!("here: {}", names.join(", "));
    }
    Ok(())
}
