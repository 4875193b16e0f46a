//! A list of cards that several people edit. `shared-list buy milk` puts a card on it; without words
//! it shows the list whenever it changes.

use chatroom_client::{Client, List};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
struct Card {
    title: String,
    done: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CHATROOM_URL").unwrap_or("ws://localhost:8765".into());
    let room = Client::connect(&url).await?;
    let cards = room.topic::<List<Card>>("cards")?;
    cards.loaded().await?;

    let title = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    if !title.is_empty() {
        cards.push(&Card { title, done: false }).await?;
        return Ok(());
    }
    let mut changes = cards.changes();
    while let Some(update) = changes.next().await {
        let titles: Vec<String> = update.try_value()?.into_iter().map(|card| card.title).collect();
        println!("{}", titles.join(", "));
    }
    Ok(())
}
