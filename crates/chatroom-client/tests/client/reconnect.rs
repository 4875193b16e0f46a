//! Everything comes back after a reconnect, by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chatroom_client::{Call, Code, Int, Limits, ServiceError, State, Status};
use chatroom_server::Config;
use chatroom_testkit::TestServer;

use crate::link::{Link, client, counts, until};

/// The connection is cut a hundred times while changes and calls are under way: what the
/// application holds stays, and every accepted change counts exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_cuts_under_load() {
    let server = TestServer::default();
    let link = Link::new(&server);
    let room = link.builder().connect().await.unwrap();
    let watcher = client(&server).await;

    let score = room.topic::<Int>("score").unwrap();
    let seen = watcher.topic::<Int>("score").unwrap();
    score.loaded().await.unwrap();
    let heard = Arc::new(AtomicI64::new(0));
    let hearing = heard.clone();
    let _listening = score.on(move |update| hearing.store(update.value().unwrap(), Ordering::SeqCst));
    let mut changes = score.changes();
    let _registration =
        room.provide("double", |call: Call<i64>| async move { Ok::<_, ServiceError>(call.args * 2) }).await.unwrap();
    let me = room.presence::<String>("who").unwrap();
    me.put(&"me".to_owned()).await.unwrap();
    let id = room.id();
    let holdings = room.holdings();
    assert_eq!((holdings.topics, holdings.listeners, holdings.services), (2, 2, 1));

    let accepted = Arc::new(AtomicU64::new(0));
    let mut cuts = 0;
    let mut tasks = Vec::new();
    while cuts < 100 {
        for _ in 0..5 {
            let (action, accepted) = (score.add(1), accepted.clone());
            tasks.push(tokio::spawn(async move {
                action.await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst)
            }));
        }
        // Every other time nothing is under way.
        if cuts % 2 == 0 {
            until("all outcomes", || room.unsettled() == 0).await;
        }
        let before = room.connections();
        link.cut();
        cuts += 1;
        until("another connection", || room.connections() > before).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (accepted, value) = (accepted.load(Ordering::SeqCst), score.value().unwrap());
    println!("{cuts} cuts: {accepted} accepted, the score is {value}");
    assert_eq!((accepted, value), (500, 500));
    // The own presence entry is written again after each cut, perhaps just now.
    until("nothing is left", || room.unsaved() == 0).await;
    assert_eq!(room.id(), id, "it is who it was");

    let after = room.holdings();
    assert_eq!((after.topics, after.listeners, after.services), (2, 2, 1));
    until("the others agree", || seen.value() == Some(value)).await;
    until("the listener agrees", || heard.load(Ordering::SeqCst) == value).await;
    let mut last = None;
    while let Some(update) = changes.try_next() {
        last = update.value();
    }
    assert_eq!(last, Some(value));
    assert_eq!(watcher.call::<i64>("double", &21).await.unwrap(), 42);
    let others = watcher.presence::<String>("who").unwrap();
    others.loaded().await.unwrap();
    until("one presence entry", || others.others().values().eq(["me"])).await;
    assert_eq!(room.gaps(), 0);
    counts(&server, "the old connections are gone", |counts| counts.clients == 2 && counts.services == 1);
    counts(&server, "each topic has its subscriptions", |counts| counts.subscriptions == 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_offline_waits_in_order() {
    let server = TestServer::default();
    let link = Link::new(&server);
    let room = link.builder().start().unwrap();
    // Not connected yet, or just about to.
    let list = room.topic::<chatroom_client::List<i64>>("list").unwrap();
    let actions: Vec<_> = (0..20).map(|n| list.push(&n)).collect();
    let call = tokio::spawn(std::future::IntoFuture::into_future(
        room.call::<serde_json::Value>("_chatroom/get", &serde_json::json!({"topic_name": "list"})),
    ));
    for action in actions {
        action.await.unwrap();
    }
    assert_eq!(list.value().unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(call.await.unwrap().unwrap()["type"], "list");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_goes_stale_and_live_again() {
    let server = TestServer::default();
    let link = Link::new(&server);
    let room = link.builder().connect().await.unwrap();
    let score = room.topic::<Int>("score").unwrap();
    score.add(5).await.unwrap();
    let mut statuses = score.watch_status();
    link.shut(true);
    link.cut();
    statuses.wait_for(|status| *status == Status::Stale).await.unwrap();
    assert_eq!(score.value(), Some(5));
    link.shut(false);
    statuses.wait_for(|status| *status == Status::Live).await.unwrap();
    assert_eq!(score.value(), Some(5));
}

/// Nothing passes and nobody is told: the client finds out by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_gone_dead_is_replaced() {
    let limits = Arc::new(Limits { heartbeat_ms: 200, ..Limits::default() });
    let server = TestServer::start(Config { limits, ..Config::default() });
    let link = Link::new(&server);
    let room = link.builder().connect().await.unwrap();
    let score = room.topic::<Int>("score").unwrap();
    score.add(1).await.unwrap();
    let mut states = room.watch_state();
    link.shut(true);
    link.deafen(true);
    let (since, connections) = (room.id(), room.connections());
    let given_up = |state: &State| state.code == Some(Code::HeartbeatMissed.into());
    states.wait_for(|state| !state.is_online()).await.unwrap();
    assert!(given_up(&room.state()) || room.state().code == Some(Code::ConnectionLost.into()), "{:?}", room.state());
    link.deafen(false);
    link.shut(false);
    room.online().await.unwrap();
    assert_eq!((room.id(), room.connections()), (since, connections + 1));
    score.add(1).await.unwrap();
    assert_eq!(score.value(), Some(2));
}
