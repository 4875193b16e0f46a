//! The test server as its users hold it, with the client library on the other end.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed, and it measures time"
)]

use std::time::{Duration, Instant};

use chatroom_client::{Client, Int};
use chatroom_server::Server;
use chatroom_server::testing::TestServer;

async fn id(room: &Client) -> u64 {
    room.online().await.unwrap();
    room.id().unwrap().0
}

#[tokio::test]
async fn one_client_is_frozen_dropped_and_delayed() {
    let server = TestServer::start().await;
    let (room, other) = (Client::connect(&server.url()).await.unwrap(), Client::connect(&server.url()).await.unwrap());
    let (score, seen) = (room.topic::<Int>("score").unwrap(), other.topic::<Int>("score").unwrap());
    score.loaded().await.unwrap();

    // Frozen: its change waits, the other's does not.
    let victim = server.client(id(&room).await);
    victim.freeze(Duration::from_mins(10)).await;
    let waiting = tokio::spawn(score.add(1).into_future());
    assert_eq!(seen.add(10).await.unwrap().sequence.0, 1);
    assert!(!waiting.is_finished());
    victim.thaw().await;
    assert_eq!(waiting.await.unwrap().unwrap().sequence.0, 2);

    // Delayed: a round trip takes twice as long as a message.
    victim.delay(Duration::from_millis(50)).await;
    let began = Instant::now();
    score.add(1).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    victim.delay(Duration::ZERO).await;

    // Dropped and disconnected: it comes back by itself, as who it was.
    let mut states = room.watch_state();
    for fault in ["drop", "disconnect"] {
        let before = id(&room).await;
        let victim = server.client(before);
        states.mark_unchanged();
        match fault {
            "drop" => victim.drop().await,
            _ => victim.disconnect().await,
        }
        states.wait_for(|state| !state.is_online()).await.unwrap();
        assert_eq!(id(&room).await, before, "{fault}");
        score.add(1).await.unwrap();
    }
    assert_eq!(score.loaded().await.unwrap(), 14);
    server.stop().await;
}

#[tokio::test]
async fn a_server_of_ones_own_is_tested() {
    let server = Server::builder().validator("score", |_| Err("not today".into())).build().unwrap();
    let server = TestServer::serve(server).await;
    let room = Client::connect(&server.room_url("arena")).await.unwrap();
    let refused = room.topic::<Int>("score").unwrap().set(1).await.unwrap_err();
    assert_eq!(refused.reason, "not today");
    server.client_in("arena", id(&room).await).disconnect().await;
    server.stop().await;
}

#[tokio::test]
#[should_panic(expected = "there is no client 7 in the room main")]
async fn nobody_cannot_be_frozen() {
    TestServer::start().await.client(7).freeze(Duration::ZERO).await;
}
