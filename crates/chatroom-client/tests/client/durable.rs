//! What a journal keeps outlives the server.

use std::sync::Arc;

use chatroom_client::{Call, Code, Dict, Event, Int, ServiceError, Text, TopicOptions, TopicType, Which};
use chatroom_server::Server;
use chatroom_server::journal::MemoryJournal;
use chatroom_testkit::TestServer;
use chatroom_testkit::failing_journal::{FailingJournal, Mode};

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

/// A program ends while the outcomes of its actions are not known, and begins again with what it saved:
/// each of them counts once, and the values are there before there is a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_begins_again() {
    let journal = Arc::new(FailingJournal::default());
    let running = failing(&journal);
    let link = Link::new(&running);
    let room = link.builder().connect().await.unwrap();
    let (score, text) = (room.topic::<Int>("score").unwrap(), room.topic::<Text>("text").unwrap());
    score.loaded().await.unwrap();
    text.insert(0, "ab").await.unwrap();
    let id = room.id();
    // The room takes what follows, and nobody is told.
    journal.set(Mode::Delays);
    let actions = [score.add(1), score.add(10), text.insert(2, "c"), text.insert(3, "d")];
    until("some are on their way", || journal.delayed() > 0).await;
    let saved = serde_json::to_string(&room.save()).unwrap();
    drop((actions, score, text));
    room.close();
    journal.set(Mode::Works);

    let saved = serde_json::from_str(&saved).unwrap();
    link.shut(true);
    let again = link.builder().saved(saved).start().unwrap();
    let (score, text) = (again.topic::<Int>("score").unwrap(), again.topic::<Text>("text").unwrap());
    assert_eq!((score.value(), text.value().as_deref()), (Some(11), Some("abcd")), "without a connection");
    assert!(again.unsaved() > 0);
    link.shut(false);
    until("all have their outcome", || again.unsaved() == 0).await;
    assert_eq!(again.id(), id, "it is who it was");
    let late = client(&running).await;
    assert_eq!(late.topic::<Int>("score").unwrap().loaded().await.unwrap(), 11);
    assert_eq!(late.topic::<Text>("text").unwrap().loaded().await.unwrap(), "abcd");
    drop((score, text));
    until("nothing is held", || again.holdings().topics == 0).await;
}

/// Topics that are not kept, and topics that go when nobody is subscribed, over a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_with_options() {
    let journal = Arc::new(MemoryJournal::default());
    let mut running = TestServer::serve(server(&journal));
    let link = Link::new(&running);
    let room = link.builder().connect().await.unwrap();
    let fleeting = TopicOptions { persist: Some(false), ..TopicOptions::default() };
    let brief = TopicOptions { ttl_ms: Some(20), ..TopicOptions::default() };
    let (cursor, draft) =
        (room.topic_with::<Int>("cursor", fleeting).unwrap(), room.topic_with::<Int>("draft", brief).unwrap());
    let kept = room.topic::<Int>("kept").unwrap();
    room.action("all", |tx| {
        tx.on(&cursor).add(1);
        tx.on(&draft).add(2);
        tx.on(&kept).add(3);
    })
    .await
    .unwrap();
    let address = running.address;
    tokio::task::block_in_place(|| running.stop());
    running = TestServer::serve_where(server(&journal), address);
    until("it is back", || room.connections() == 2 && kept.confirmed() == Some(3)).await;
    until("what was not kept begins anew", || cursor.confirmed() == Some(0)).await;
    assert_eq!(draft.confirmed(), Some(2), "it was subscribed to before and after");
    drop(draft);
    let late = client(&running).await;
    let gone = || async {
        let args = serde_json::json!({"topic_name": "draft"});
        late.call::<serde_json::Value>("_chatroom/get", &args)
            .await
            .is_err_and(|error| error.code == Code::UnknownTopic)
    };
    while !gone().await {
        tokio::task::yield_now().await;
    }
    cursor.add(5).await.unwrap();
    let commits = late.commits(&Which { topic_name: Some("cursor".into()), ..Which::default() }).await.unwrap();
    assert!(commits.commits.is_empty(), "it is made with its options again: {commits:?}");
}

/// Commits and values of the past, and one that is restored.
#[tokio::test]
async fn the_past() {
    let journal = Arc::new(MemoryJournal::default());
    let running = TestServer::serve(server(&journal));
    let room = client(&running).await;
    let (score, text) = (room.topic::<Int>("score").unwrap(), room.topic::<Text>("text").unwrap());
    score.loaded().await.unwrap();
    text.loaded().await.unwrap();
    let mut written = Vec::new();
    for (end, word) in [(0, "one"), (3, " two"), (7, " three")] {
        written.push(text.insert(end, word).await.unwrap().sequence);
        score.add(1).await.unwrap();
    }
    text.set("").await.unwrap();
    let which = Which { topic_name: Some("text".into()), limit: Some(2), ..Which::default() };
    let page = room.commits(&which).await.unwrap();
    assert_eq!(page.commits.iter().map(|it| it.sequence).collect::<Vec<_>>(), [written[2].0 + 2, written[2].0]);
    let rest = room.commits(&Which { before: page.next, ..which }).await.unwrap();
    assert_eq!(rest.commits.iter().map(|it| it.sequence).collect::<Vec<_>>(), [written[1].0, written[0].0]);
    assert_eq!((rest.next, rest.commits[0].by), (None, room.id().unwrap().0));
    assert!(rest.commits[0].changes[0].read(TopicType::String).is_ok());
    assert_eq!(room.commits(&Which::default()).await.unwrap().commits.len(), 7);
    for (at, value) in written.iter().zip(["one", "one two", "one two three"]) {
        assert_eq!(room.value_at(&text, *at).await.unwrap(), value);
    }
    assert_eq!(room.value_at(&score, written[1]).await.unwrap(), 1);
    text.set(&room.value_at(&text, written[1]).await.unwrap()).await.unwrap();
    assert_eq!(text.value().as_deref(), Some("one two"));
}

fn failing(journal: &Arc<FailingJournal>) -> TestServer {
    TestServer::serve(Server::builder().journal(journal.clone()).build().unwrap())
}

/// Without room nothing is taken that would have to be kept; all else goes on, and so does writing as
/// soon as there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_changes_and_nothing_else() {
    let journal = Arc::new(FailingJournal::default());
    let running = failing(&journal);
    let link = Link::new(&running);
    let room = link.builder().connect().await.unwrap();
    let score = room.topic::<Int>("score").unwrap();
    for _ in 0..5 {
        score.add(1).await.unwrap();
    }
    let id = room.id();
    journal.set(Mode::Full);
    // The first that finds no room brings the room back to what is kept; it is asked for again then.
    let refused = score.add(100).await.unwrap_err();
    assert_eq!(refused.code, Code::StorageFull);
    assert!(refused.retryable && !refused.maybe_executed, "{refused}");
    assert_eq!(score.value(), Some(5), "it was taken back");
    assert_eq!(score.add(100).await.unwrap_err().code, Code::StorageFull);
    // Reads, events, presence and services go on.
    let late = client(&running).await;
    let seen = late.topic::<Int>("score").unwrap();
    seen.loaded().await.unwrap();
    assert_eq!(seen.value(), Some(5));
    let ring = room.topic::<Event<i64>>("ring").unwrap();
    ring.loaded().await.unwrap();
    ring.emit(&1).await.unwrap();
    room.presence::<String>("who").unwrap().put(&"me".to_owned()).await.unwrap();
    let _registration = late.provide("one", |_: Call<()>| async { Ok::<_, ServiceError>(1) }).await.unwrap();
    assert_eq!(room.call::<i64>("one", &()).await.unwrap(), 1);

    journal.set(Mode::Works);
    let mut tries = 0;
    while let Err(refused) = score.add(1).await {
        assert_eq!(refused.code, Code::StorageFull);
        tries += 1;
        assert!(tries < 10_000, "writing does not resume");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    until("all see it", || seen.value() == Some(6)).await;
    assert_eq!(room.id(), id, "it is who it was");
    assert_eq!(room.gaps(), 0);
}

/// Whether an append was kept cannot be told: the room is loaded again, and the client asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_found_out() {
    for mode in [Mode::TearsKept, Mode::TearsLost, Mode::Fails] {
        let journal = Arc::new(FailingJournal::default());
        let running = failing(&journal);
        let room = Link::new(&running).builder().connect().await.unwrap();
        let score = room.topic::<Int>("score").unwrap();
        score.add(1).await.unwrap();
        journal.set(mode);
        let action = tokio::spawn(score.add(10).into_future());
        until("it failed", || journal.failed() > 0).await;
        journal.set(Mode::Works);
        action.await.unwrap().unwrap();
        assert_eq!(score.value(), Some(11), "{mode:?}");
        score.add(100).await.unwrap();
        assert_eq!(client(&running).await.topic::<Int>("score").unwrap().loaded().await.unwrap(), 111, "{mode:?}");
    }
}

/// A journal that fails by a seed, under load: every action that was acknowledged counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_under_load() {
    let journal = Arc::new(FailingJournal::seeded(7));
    let running = failing(&journal);
    let link = Link::new(&running);
    let mut clients = Vec::new();
    for _ in 0..8 {
        // The first connection may meet a failing journal, which `connect` would hand to its caller.
        let room = link.builder().start().unwrap();
        clients.push(tokio::spawn(async move {
            let (score, text) = (room.topic::<Int>("score").unwrap(), room.topic::<Text>("text").unwrap());
            score.loaded().await.unwrap();
            text.loaded().await.unwrap();
            let mut counted = (0, 0);
            for _ in 0..60 {
                let (add, insert) = (score.add(1), text.insert(0, "x"));
                counted.0 += i64::from(add.await.is_ok());
                counted.1 += usize::from(insert.await.is_ok());
            }
            (counted, room)
        }));
    }
    let (mut sum, mut length) = (0, 0);
    let mut rooms = Vec::new();
    for client in clients {
        let ((score, text), room) = client.await.unwrap();
        sum += score;
        length += text;
        rooms.push(room);
    }
    journal.heal();
    let late = client(&running).await;
    let (score, text) = (late.topic::<Int>("score").unwrap(), late.topic::<Text>("text").unwrap());
    score.loaded().await.unwrap();
    text.loaded().await.unwrap();
    println!("{} appends failed; {sum} and {length} of 480 accepted", journal.failed());
    assert!(journal.failed() > 5);
    assert_eq!((score.value(), text.value().map(|text| text.len())), (Some(sum), Some(length)));
}
