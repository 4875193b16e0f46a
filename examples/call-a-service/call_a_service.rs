//! A function that one client offers and another calls. `call-a-service` offers math/sum;
//! `call-a-service 1 2 3` calls it.

use std::time::Duration;

use chatroom_client::{Call, Client, ServiceError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CHATROOM_URL").unwrap_or("ws://localhost:8765".into());
    let room = Client::connect(&url).await?;
    let numbers: Vec<i64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;

    if !numbers.is_empty() {
        let sum: i64 = room.call("math/sum", &numbers).timeout(Duration::from_secs(2)).await?;
        println!("{sum}");
        return Ok(());
    }
    let _registration = room
        .provide("math/sum", |call: Call<Vec<i64>>| async move {
            let sum = call.args.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number));
            sum.ok_or(ServiceError::new(1001, "the sum is too large"))
        })
        .concurrency(8)
        .await?;
    println!("math/sum is provided; end with Ctrl-C");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
