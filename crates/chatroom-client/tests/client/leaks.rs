//! Nothing stays behind.

use chatroom_client::{Call, Client, Int, ServiceError};
use chatroom_testkit::TestServer;

use crate::link::{client, counts, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_opens_and_drops_leave_nothing() {
    let server = TestServer::default();
    let room = client(&server).await;
    for round in 0..1_000 {
        let topic = room.topic::<Int>(&format!("topic {}", round % 10)).unwrap();
        let _stream = topic.changes();
        let _listening = topic.on(|_| {});
        if round % 100 == 0 {
            topic.loaded().await.unwrap();
        }
    }
    let topic = room.topic::<Int>("topic").unwrap();
    for _ in 0..1_000 {
        let _stream = topic.changes();
        let _listening = topic.on(|_| {});
    }
    assert_eq!((room.holdings().readers, room.holdings().listeners), (0, 0));
    drop(topic);
    until("nothing is held", || room.holdings() == Default::default()).await;
    counts(&server, "nothing is subscribed", |counts| counts.subscriptions == 0 && counts.topics == 0);
}

#[test]
fn a_dropped_client_leaves_no_task_and_no_connection() {
    let server = TestServer::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("ws://{}", server.address);
        for _ in 0..20 {
            let room = Client::connect(&url).await.unwrap();
            let score = room.topic::<Int>("score").unwrap();
            score.add(1).await.unwrap();
            let _service = room.provide("service", |_: Call<()>| async { Ok::<_, ServiceError>(()) }).await.unwrap();
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        until("no tasks are left", || metrics.num_alive_tasks() == 0).await;
    });
    server.wait_counts("no client is left", |counts| counts.clients == 0 && counts.subscriptions == 0);
}

/// A view that is unmounted and mounted again at once costs no message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_opened_again_at_once_stays_loaded() {
    let server = TestServer::default();
    let room = client(&server).await;
    let topic = room.topic::<Int>("score").unwrap();
    topic.add(1).await.unwrap();
    drop(topic);
    let topic = room.topic::<Int>("score").unwrap();
    assert_eq!(topic.value(), Some(1));
    drop(topic);
    // Within the grace another type may be asked for: the room says what it thinks of that.
    let other = room.topic::<chatroom_client::Text>("score").unwrap();
    assert_eq!(other.loaded().await.unwrap_err().code, chatroom_client::Code::TypeMismatch);
    drop(other);
    assert_eq!(room.topic::<Int>("score").unwrap().loaded().await.unwrap(), 1);
}
