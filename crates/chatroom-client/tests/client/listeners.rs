//! The rules of listening: order, rounds, re-entrancy, panics.

use std::sync::{Arc, Mutex};

use chatroom_client::{Cause, Int, List, Notice};
use chatroom_testkit::TestServer;

use crate::link::{client, until};

type Log = Arc<Mutex<Vec<String>>>;

fn log() -> (Log, impl Fn(&str) + Clone + Send + 'static) {
    let log = Log::default();
    let writing = log.clone();
    (log, move |line: &str| writing.lock().unwrap().push(line.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_called_in_order_and_never_within_each_other() {
    let server = TestServer::default();
    let room = client(&server).await;
    let score = room.topic::<Int>("score").unwrap();
    let (log, write) = log();
    let mut guards = Vec::new();
    for name in ["a", "b", "c"] {
        let (write, topic) = (write.clone(), score.clone());
        guards.push(score.on(move |update| {
            write(&format!("{name}{} begins", update.value().unwrap()));
            // What a listener causes is told when all have heard of this.
            if name == "a" && update.value() == Some(1) {
                topic.add(1);
            }
            write(&format!("{name}{} ends", update.value().unwrap()));
        }));
    }
    score.loaded().await.unwrap();
    until("the value at first", || log.lock().unwrap().len() == 6).await;
    score.add(1).await.unwrap();
    until("both rounds", || log.lock().unwrap().len() == 18).await;
    let expected: Vec<String> = (0..3)
        .flat_map(|n| ["a", "b", "c"].map(|name| [format!("{name}{n} begins"), format!("{name}{n} ends")]))
        .flatten()
        .collect();
    assert_eq!(*log.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_removed_in_a_round_is_not_called_and_one_added_begins_with_the_value() {
    let server = TestServer::default();
    let room = client(&server).await;
    let score = room.topic::<Int>("score").unwrap();
    score.loaded().await.unwrap();
    let (log, write) = log();
    let victim = Arc::new(Mutex::new(None));
    let added = Arc::new(Mutex::new(None));
    let (taking, adding, topic, first) = (victim.clone(), added.clone(), score.clone(), write.clone());
    let _first = score.on(move |update| {
        first(&format!("first {}", update.value().unwrap()));
        if update.value() == Some(1) {
            taking.lock().unwrap().take();
            let second = first.clone();
            *adding.lock().unwrap() = Some(topic.on(move |update| {
                second(&format!("added {} {:?}", update.value().unwrap(), update.meta().cause));
            }));
        }
    });
    let second = write.clone();
    *victim.lock().unwrap() = Some(score.on(move |update| second(&format!("victim {}", update.value().unwrap()))));
    until("the value at first", || log.lock().unwrap().len() == 2).await;
    score.add(1).await.unwrap();
    until("the added one is called", || log.lock().unwrap().len() == 4).await;
    score.add(1).await.unwrap();
    until("the last round", || log.lock().unwrap().len() == 6).await;
    let expected =
        ["first 0", "victim 0", "first 1", "added 1 Snapshot", "first 2", "added 2 Local"].map(str::to_owned);
    assert_eq!(*log.lock().unwrap(), expected);
}

/// Anything may be waited for inside a listener: it runs on no task that others need.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_listener_may_wait_for_anything() {
    let server = TestServer::default();
    let room = client(&server).await;
    let score = room.topic::<Int>("score").unwrap();
    score.loaded().await.unwrap();
    let _echo = room
        .provide("echo", |call: chatroom_client::Call<i64>| async move { Ok::<_, String>(call.args) })
        .await
        .unwrap();
    let (log, write) = log();
    let (inner, own) = (room.clone(), score.clone());
    let _guard = score.on(move |update| {
        if update.value() != Some(1) {
            return;
        }
        let (inner, own) = (inner.clone(), own.clone());
        let waited = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async move {
                let accepted = own.add(10).await.is_ok();
                let echoed = inner.call::<i64>("echo", &7).await;
                let other = inner.topic::<List<i64>>("other").unwrap();
                let pushed = other.push(&1).await.is_ok();
                format!("{accepted} {echoed:?} {pushed} {:?}", own.value())
            })
        });
        write(&waited);
    });
    score.add(1).await.unwrap();
    until("the listener is through", || !log.lock().unwrap().is_empty()).await;
    assert_eq!(*log.lock().unwrap(), ["true Ok(7) true Some(11)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_stops_no_other_listener() {
    let server = TestServer::default();
    let room = client(&server).await;
    let mut notices = room.notices();
    let score = room.topic::<Int>("score").unwrap();
    score.loaded().await.unwrap();
    let (log, write) = log();
    let _bad = score.on(|update| {
        if update.meta().cause != Cause::Snapshot {
            panic!("on purpose");
        }
    });
    let _good = score.on(move |update| write(&update.value().unwrap().to_string()));
    score.add(1).await.unwrap();
    score.add(1).await.unwrap();
    until("the other one hears all", || log.lock().unwrap().last().is_some_and(|last| last == "2")).await;
    let notice = notices.recv().await.unwrap();
    assert_eq!(notice, Notice::ListenerPanicked { topic_name: "score".into(), reason: "on purpose".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_awaits_within_itself_and_ends_with_the_client() {
    let server = TestServer::default();
    let room = client(&server).await;
    let score = room.topic::<Int>("score").unwrap();
    let mut changes = score.changes();
    let own = score.clone();
    let reading = tokio::spawn(async move {
        let mut values = Vec::new();
        while let Some(update) = changes.next().await {
            values.push(update.value().unwrap());
            if values.len() <= 5 {
                own.add(1).await.unwrap();
            } else {
                break;
            }
        }
        (values, changes)
    });
    let (values, mut changes) = reading.await.unwrap();
    assert_eq!(values, [0, 1, 2, 3, 4, 5]);
    let last = tokio::spawn(async move { changes.next().await.is_none() });
    room.close();
    assert!(last.await.unwrap());
}

/// A reader that wants the newest value alone, and one that wants it ten times a second.
#[tokio::test(start_paused = true)]
async fn readers_choose_how_much_they_are_told() {
    let (builder, mut server) = crate::played::played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    let score = room.topic::<Int>("score").unwrap();
    side.subscribed(serde_json::json!(0), 1).await;
    score.loaded().await.unwrap();
    let mut latest = score.changes().latest();
    let mut paced = score.changes().hz(std::num::NonZeroU32::new(10).unwrap());
    assert_eq!(latest.next().await.unwrap().value(), Some(0));
    assert_eq!(paced.next().await.unwrap().value(), Some(0));
    let began = tokio::time::Instant::now();
    for _ in 0..5 {
        score.add(1);
    }
    let update = latest.next().await.unwrap();
    assert_eq!((update.value(), update.meta().skipped), (Some(5), 5));
    assert_eq!(began.elapsed().as_millis(), 0);
    assert_eq!(paced.next().await.unwrap().value(), Some(5));
    assert_eq!(began.elapsed().as_millis(), 100);
    score.add(1);
    assert_eq!(latest.next().await.unwrap().meta().cause, Cause::Local, "one that keeps up misses nothing");
}
