//! Adds one to a score that everybody shares.

use chatroom_client::{Client, Int};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CHATROOM_URL").unwrap_or("ws://localhost:8765".into());
    let room = Client::connect(&url).await?;
    let score = room.topic::<Int>("game/score")?;
    score.add(1).await?;
    println!("the score is {}", score.loaded().await?);
    Ok(())
}
