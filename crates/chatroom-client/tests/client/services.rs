//! Services: calls, their ends, and the errors of both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatroom_client::{Call, Code, Notice, RegistrationState, ServiceError};
use chatroom_testkit::TestServer;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::link::{Link, client, counts, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_and_its_errors() {
    let server = TestServer::default();
    let (provider, caller) = (client(&server).await, client(&server).await);
    let mut notices = provider.notices();
    let registration = provider
        .provide("divide", |call: Call<(i64, i64)>| async move {
            match call.args {
                (_, 0) => Err(ServiceError::new(1007, "by zero").with_data(json!({"tip": "no"}))),
                (_, 13) => panic!("bad luck"),
                (a, b) => Ok(a / b),
            }
        })
        .await
        .unwrap();
    assert_eq!(registration.state(), RegistrationState::Ready);
    assert_eq!(caller.call::<i64>("divide", &(12, 4)).await.unwrap(), 3);

    let error = caller.call::<i64>("divide", &(1, 0)).await.unwrap_err();
    assert_eq!((error.code.number(), error.reason.as_str()), (1007, "by zero"));
    assert_eq!(error.data, Some(json!({"tip": "no"})));
    assert!(!error.retryable);

    let error = caller.call::<i64>("divide", "what").await.unwrap_err();
    assert_eq!(error.code.number(), 1000);
    assert!(error.reason.contains("args"), "{error}");

    let error = caller.call::<i64>("divide", &(1, 13)).await.unwrap_err();
    assert!(error.reason.contains("bad luck"), "{error}");
    let notice = notices.recv().await.unwrap();
    assert_eq!(notice, Notice::HandlerPanicked { service_name: "divide".into(), reason: "bad luck".into() });

    let error = caller.call::<String>("divide", &(4, 2)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_executed), (Code::BadType.into(), true));

    let error = caller.call::<Value>("nobody", &()).await.unwrap_err();
    assert_eq!(error.code, Code::NoProvider);
    assert!(error.retryable && !error.maybe_executed);

    let error = caller.call::<Value>(" bad name", &()).await.unwrap_err();
    assert_eq!(error.code, Code::BadName);

    drop(registration);
    counts(&server, "the service is taken back", |counts| counts.services == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_once_per_client() {
    let server = TestServer::default();
    let room = client(&server).await;
    let handler = |_: Call<Value>| async { Ok::<_, String>(1) };
    let first = room.provide("one", handler).await.unwrap();
    let error = room.provide("one", handler).await.unwrap_err();
    assert_eq!(error.code, Code::AlreadyRegistered);
    assert!(error.to_string().contains("one"), "{error}");
    drop(first);
    // Taken back and offered again before the server has answered anything.
    let second = room.provide("one", handler).await.unwrap();
    assert_eq!(room.call::<i64>("one", &()).await.unwrap(), 1);
    drop(second);

    let error = room.provide("_chatroom/mine", handler).await.unwrap_err();
    assert_eq!(error.code, Code::Forbidden);
}

/// A client may call its own service, also from within a handler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_call_itself() {
    let server = TestServer::default();
    let room = client(&server).await;
    let inner = room.clone();
    let _registration = room
        .provide("factorial", move |call: Call<u64>| {
            let room = inner.clone();
            async move {
                if call.args == 0 {
                    return Ok(1);
                }
                let rest: u64 = room.call("factorial", &(call.args - 1)).await.map_err(|error| error.to_string())?;
                Ok::<_, String>(call.args * rest)
            }
        })
        .await
        .unwrap();
    assert_eq!(room.call::<u64>("factorial", &10).await.unwrap(), 3_628_800);
    room.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_comes_in_order_before_the_answer() {
    let server = TestServer::default();
    let (provider, caller) = (client(&server).await, client(&server).await);
    let _registration = provider
        .provide("count", |call: Call<u64>| async move {
            for n in 0..call.args {
                call.progress(&n);
            }
            Ok::<_, String>("done")
        })
        .await
        .unwrap();
    let (told, mut reports) = mpsc::unbounded_channel();
    let answer: String = caller.call("count", &20).progress(move |n: u64| told.send(n).unwrap()).await.unwrap();
    assert_eq!(answer, "done");
    let mut all = Vec::new();
    while let Some(n) = reports.recv().await {
        all.push(n);
    }
    assert_eq!(all, (0..20).collect::<Vec<_>>());
}

/// Counts the handlers that run, however they end.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_is_cancelled_and_its_handler_dropped() {
    let server = TestServer::default();
    let (provider, caller) = (client(&server).await, client(&server).await);
    let running = Arc::new(AtomicUsize::new(0));
    let counting = running.clone();
    let _registration = provider
        .provide("wait", move |_: Call<Value>| {
            let running = Running::new(&counting);
            async move {
                let _running = running;
                std::future::pending::<Result<(), String>>().await
            }
        })
        .await
        .unwrap();
    let call = tokio::spawn(std::future::IntoFuture::into_future(caller.call::<Value>("wait", &())));
    until("the handler runs", || running.load(Ordering::SeqCst) == 1).await;
    call.abort();
    until("the handler is dropped", || running.load(Ordering::SeqCst) == 0).await;
    counts(&server, "the call is gone", |counts| counts.calls == 0);
    assert_eq!(caller.unsettled(), 0);

    let error = caller.call::<Value>("wait", &()).timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_executed), (Code::Timeout.into(), true));
    until("the handler is dropped", || running.load(Ordering::SeqCst) == 0).await;

    // The provider goes, and with it the call.
    let call = tokio::spawn(std::future::IntoFuture::into_future(caller.call::<Value>("wait", &())));
    until("the handler runs", || running.load(Ordering::SeqCst) == 1).await;
    provider.close();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code, error.maybe_executed), (Code::ProviderLost.into(), true));
    until("the handler is dropped", || running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_flight_is_told_that_the_connection_was_lost() {
    let server = TestServer::default();
    let link = Link::new(&server);
    let (provider, caller) = (client(&server).await, link.builder().connect().await.unwrap());
    let asked = Arc::new(Notify::new());
    let telling = asked.clone();
    let _registration = provider
        .provide("wait", move |_: Call<Value>| {
            telling.notify_one();
            std::future::pending::<Result<(), String>>()
        })
        .await
        .unwrap();
    let call = tokio::spawn(std::future::IntoFuture::into_future(caller.call::<Value>("wait", &())));
    asked.notified().await;
    link.cut();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code, error.maybe_executed), (Code::ConnectionLost.into(), true));
    assert!(error.retryable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_this_process_needs_no_port() {
    use chatroom_client::{Client, Int};
    // The same client over a pipe in memory: what is on the other end is the connector's business.
    let server = TestServer::default();
    let link = Link::new(&server);
    let (one, two) = (link.builder().room("other").connect().await.unwrap(), client(&server).await);
    one.topic::<Int>("score").unwrap().add(1).await.unwrap();
    assert_eq!(two.topic::<Int>("score").unwrap().loaded().await.unwrap(), 0);
    let there = Client::connect(&format!("http://{}/rooms/other", server.address)).await.unwrap();
    assert_eq!(there.topic::<Int>("score").unwrap().loaded().await.unwrap(), 1);
}
