//! Topics against a real server.

use chatroom_client::{Code, Dict, Event, Int, List, Status, Text, Untyped};
use chatroom_testkit::TestServer;
use serde_json::json;

use crate::link::{PATIENCE, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_accepted_and_seen_by_all() {
    let server = TestServer::default();
    let (one, two) = (client(&server).await, client(&server).await);
    let (mine, theirs) = (one.topic::<Int>("score").unwrap(), two.topic::<Int>("score").unwrap());
    assert_eq!(theirs.loaded().await.unwrap(), 0);
    let mut changes = theirs.changes();
    assert_eq!(changes.next().await.unwrap().value(), Some(0));
    let accepted = mine.add(3).await.unwrap();
    assert_eq!(mine.value(), Some(3));
    let update = changes.next().await.unwrap();
    assert_eq!(update.value(), Some(3));
    assert_eq!(update.meta().sequence, accepted.sequence);
    assert_eq!(Some(update.meta().by), one.id());
    assert!(!update.meta().mine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_before_the_value_is_known_keep_their_order() {
    let server = TestServer::default();
    let room = client(&server).await;
    let list = room.topic::<List<i64>>("list").unwrap();
    let actions: Vec<_> = (0..10).map(|n| list.push(&n)).collect();
    list.pop(-1);
    for action in actions {
        action.await.unwrap();
    }
    list.push(&99).await.unwrap();
    assert_eq!(list.value().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 99]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_is_gone_leaves_its_change() {
    let server = TestServer::default();
    let room = client(&server).await;
    room.topic::<Text>("text").unwrap().set("hello").await.unwrap();
    let text = room.topic::<Text>("text").unwrap();
    assert_eq!(text.loaded().await.unwrap(), "hello");
    text.insert(5, " world").await.unwrap();
    text.delete(0, 6).await.unwrap();
    assert_eq!(text.value().unwrap(), "world");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untyped_handle_reads_and_changes_anything() {
    let server = TestServer::default();
    let room = client(&server).await;
    let dict = room.topic::<Dict<i64>>("dict").unwrap();
    dict.put("a", &1).await.unwrap();
    let tool = client(&server).await;
    let any = tool.untyped("dict").unwrap();
    assert_eq!(any.loaded().await.unwrap(), json!({"a": 1}));
    assert_eq!(any.topic_type().unwrap().name(), "dict");
    any.change(json!({"type": "put", "key": "b", "value": 2})).await.unwrap();
    assert_eq!(any.value().unwrap(), json!({"a": 1, "b": 2}));
    let error = any.change(json!({"type": "add", "key": "a", "value": 2})).await.unwrap_err();
    assert_eq!(error.code, Code::KeyExists);
    let missing = tool.topic::<Untyped>("missing").unwrap();
    assert_eq!(missing.loaded().await.unwrap_err().code, Code::UnknownTopic);
    assert!(matches!(missing.status(), Status::Denied { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_actions() {
    let server = TestServer::default();
    let (one, two) = (client(&server).await, client(&server).await);
    let bell = two.topic::<Event<String>>("bell").unwrap();
    bell.loaded().await.unwrap();
    let mut rings = bell.changes();
    let score = two.topic::<Int>("score").unwrap();
    score.loaded().await.unwrap();
    let (a, b) = (one.topic::<Event<String>>("bell").unwrap(), one.topic::<Int>("score").unwrap());
    one.action("ring and count", |tx| {
        tx.on(&a).emit(&"ding".to_owned());
        tx.on(&b).add(1).add(1);
    })
    .await
    .unwrap();
    assert_eq!(rings.next().await.unwrap().args().unwrap(), "ding");
    assert_eq!(score.value(), Some(2));
    assert_eq!(b.value(), Some(2));
}

/// Values that together are more than may wait for a client all arrive, also while they are changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_large_values_arrive() {
    let running = TestServer::default();
    let (writer, reader) = (client(&running).await, client(&running).await);
    let text = "x".repeat(700_000);
    let names = ["a", "b", "c"];
    for name in names {
        writer.topic::<Text>(name).unwrap().set(&text).await.unwrap();
    }
    let busy = writer.topic::<Text>("a").unwrap();
    busy.loaded().await.unwrap();
    let writing = tokio::spawn(async move {
        loop {
            busy.insert(0, "y").await.unwrap();
        }
    });
    let topics = names.map(|name| reader.topic::<Text>(name).unwrap());
    for topic in &topics {
        assert!(tokio::time::timeout(PATIENCE, topic.loaded()).await.unwrap().unwrap().len() >= 700_000);
    }
    writing.abort();
}
