//! ChatRoom inside another program: mounted in its axum router at /sync, with a service, a validator
//! and a commit hook of the program, and a typed topic that the program itself reads and writes.

use axum::routing::{get, post};
use axum::{Json, Router};
use chatroom_client::{Client, Int};
use chatroom_server::{Call, Server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .service("math/sum", |call: Call<Vec<i64>>| async move { Ok(call.args.iter().sum::<i64>()) })
        .validator("visits", |proposed| match proposed.by.0 {
            // The program connects before anybody else.
            1 => Ok(()),
            _ => Err("visits are counted by the program alone".into()),
        })
        .on_commit(|room, commit| println!("{room} is at {}", commit.sequence.0))
        .build()?;

    // The program is a client of its own server, without a socket in between.
    let inside = server.clone();
    let room = Client::builder_with(move || std::future::ready(Ok(inside.open()))).connect().await?;
    let visits = room.topic::<Int>("visits")?;
    visits.loaded().await?;

    let counted = visits.clone();
    let app = Router::new()
        .route("/visit", post(async move || counted.add(1).await.map(|_| ()).map_err(|error| error.to_string())))
        .route("/visits", get(async move || Json(visits.value())))
        .nest("/sync", server.router());
    let listener = TcpListener::bind(std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".into())).await?;
    println!("http://{}/visits, ws://{}/sync", listener.local_addr()?, listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            // A program that cannot wait for Ctrl-C runs until it is killed.
            if tokio::signal::ctrl_c().await.is_ok() {
                server.close().await;
            }
        })
        .await?;
    Ok(())
}
