//! What a journal keeps outlives the server.

use std::sync::Arc;

use chatroom_client::{Dict, Int, Text};
use chatroom_server::Server;
use chatroom_server::journal::MemoryJournal;
use chatroom_testkit::TestServer;

use crate::link::{Link, client, until};

fn server(journal: &Arc<MemoryJournal>) -> Server {
    Server::builder().journal(journal.clone()).build().unwrap()
}

/// The server is stopped and started ten times while clients work: what they hold stays, they are who
/// they were, and every action counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_come_and_go() {
    let journal = Arc::new(MemoryJournal::default());
    let mut running = TestServer::serve(server(&journal));
    let link = Link::new(&running);
    let room = link.builder().connect().await.unwrap();
    let other = link.builder().connect().await.unwrap();
    let (score, text) = (room.topic::<Int>("score").unwrap(), room.topic::<Text>("text").unwrap());
    let names = other.topic::<Dict<i64>>("names").unwrap();
    score.loaded().await.unwrap();
    text.loaded().await.unwrap();
    names.loaded().await.unwrap();
    let id = room.id();
    let mut actions = Vec::new();
    for round in 0..10 {
        for n in 0..20 {
            actions.push(tokio::spawn(score.add(1).into_future()));
            actions.push(tokio::spawn(text.insert(0, "x").into_future()));
            actions.push(tokio::spawn(names.put(&format!("{round}/{n}"), &n).into_future()));
        }
        if round % 2 == 0 {
            until("all outcomes", || room.unsettled() + other.unsettled() == 0).await;
        }
        let address = running.address;
        tokio::task::block_in_place(|| running.stop());
        running = TestServer::serve_where(server(&journal), address);
    }
    for action in actions {
        action.await.unwrap().unwrap();
    }
    assert_eq!(room.id(), id, "it is who it was");
    assert_eq!(score.value(), Some(200));
    assert_eq!(text.value().map(|text| text.len()), Some(200));
    assert_eq!(names.value().map(|names| names.len()), Some(200));
    assert_eq!(room.gaps() + other.gaps(), 0);
    let late = client(&running).await;
    let (seen, read) = (late.topic::<Int>("score").unwrap(), late.topic::<Text>("text").unwrap());
    seen.loaded().await.unwrap();
    read.loaded().await.unwrap();
    assert_eq!((seen.value(), read.value().map(|text| text.len())), (Some(200), Some(200)));
}
