//! States, tokens, codes, silence and the end, against a server that the test plays. Time stands
//! still but for what the client waits for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatroom_client::{
    Backoff, Client, Code, Connectivity, Dict, Float, Int, List, Notice, State, Status, Text, TokenError, TokenReason,
};
use chatroom_protocol::Limits;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::played::played;

async fn becomes(room: &Client, connectivity: Connectivity) -> State {
    let mut states = room.watch_state();
    states.wait_for(|state| state.connectivity == connectivity).await.unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn the_hello_names_the_program_and_carries_the_token() {
    let (builder, mut server) = played();
    let room = builder.label("tool", "1.2").token(|_| async { Ok("secret".to_owned()) }).start().unwrap();
    assert_eq!(room.state().connectivity, Connectivity::Connecting);
    let side = server.greet(4).await;
    assert_eq!(side.hello, json!({"token": "secret", "client": {"name": "tool", "version": "1.2"}}));
    room.online().await.unwrap();
    assert_eq!(room.id().unwrap().0, 4);
    assert!(!format!("{room:?}").contains("secret"));
}

/// Close code, what the client does next, and whether a goodbye went before it.
#[tokio::test(start_paused = true)]
async fn codes_say_what_comes_next() {
    use Connectivity::{Closed, NeedsAuth, Offline};
    for (code, goodbye, expected) in [
        (1001, None, Offline),
        (1006, None, Offline),
        (4106, None, Offline),
        (4107, None, Offline),
        (4200, None, Offline),
        (4300, None, Offline),
        (4301, None, NeedsAuth),
        (4400, None, Closed),
        (4499, None, Closed),
        (1001, Some("yes"), Offline),
        (1001, Some("no"), Closed),
        (1001, Some("elsewhere"), Offline),
    ] {
        let (builder, mut server) = played();
        let room = builder.start().unwrap();
        let mut notices = room.notices();
        let mut side = server.greet(1).await;
        room.online().await.unwrap();
        if let Some(reconnect) = goodbye {
            side.say("goodbye", json!({"code": 106, "reason": "so long", "reconnect": reconnect})).await;
        }
        side.close(if code == 1006 { 1000 } else { code }).await;
        let state = becomes(&room, expected).await;
        assert!(state.code.is_some(), "{code}: {state:?}");
        assert_eq!(state.retry_in.is_some(), expected == Offline, "{code}: {state:?}");
        if goodbye.is_some() {
            assert!(matches!(notices.recv().await.unwrap(), Notice::Goodbye { .. }));
        }
        room.close();
        assert!(room.state().is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_has_three_outcomes() {
    let (builder, mut server) = played();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = asked.clone();
    let room = builder
        .token(move |why| {
            let mut asked = asking.lock().unwrap();
            asked.push(why);
            let count = asked.len();
            async move {
                match count {
                    1 => Err(TokenError::Failed("the network".into())),
                    2 => std::future::pending().await,
                    3 => panic!("on purpose"),
                    4 => Err(TokenError::Refused("logged out".into())),
                    count => Ok(format!("token {count}")),
                }
            }
        })
        .start()
        .unwrap();
    let state = becomes(&room, Connectivity::NeedsAuth).await;
    assert_eq!(state.code.unwrap(), Code::Unauthenticated);
    assert!(state.reason.contains("logged out"), "{state:?}");
    assert_eq!(room.online().await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(*asked.lock().unwrap(), [TokenReason::Connecting; 4]);
    // It stays there until the application says so.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(server.is_quiet());
    room.authenticate();
    let side = server.greet(1).await;
    assert_eq!(side.hello["token"], "token 5");
    room.online().await.unwrap();

    // A token that the server does not take is asked for anew once, then the user has to.
    side.close(4301).await;
    let side = server.accept().await;
    assert_eq!(side.hello["token"], "token 6");
    side.close(4301).await;
    becomes(&room, Connectivity::NeedsAuth).await;
    let asked = asked.lock().unwrap();
    assert_eq!(asked[4..], [TokenReason::Asked, TokenReason::Unauthenticated]);
}

/// A server that accepts and drops at once is asked less and less often.
#[tokio::test(start_paused = true)]
async fn a_server_that_drops_at_once_is_not_hammered() {
    let (builder, mut server) = played();
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let room = builder.backoff(backoff).start().unwrap();
    let mut waits = Vec::new();
    for id in 1..=60 {
        let side = server.greet(id).await;
        becomes(&room, Connectivity::Online).await;
        side.close(1001).await;
        let state = becomes(&room, Connectivity::Offline).await;
        waits.push(state.retry_in.unwrap());
    }
    for (index, wait) in waits.iter().enumerate() {
        let bound = Duration::from_millis(100).saturating_mul(1 << index.min(20)).min(Duration::from_secs(10));
        assert!(*wait <= bound, "{index}: {wait:?}");
    }
    let late = waits[10..].iter().sum::<Duration>() / 50;
    assert!((Duration::from_secs(3)..Duration::from_secs(7)).contains(&late), "{late:?} on average");
    // Once it has lasted, the next failure counts as the first.
    let side = server.greet(100).await;
    becomes(&room, Connectivity::Online).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    side.close(1001).await;
    let state = becomes(&room, Connectivity::Offline).await;
    assert!(state.retry_in.unwrap() <= Duration::from_millis(100), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn connect_fails_fast_and_start_keeps_trying() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counting = attempts.clone();
    let connector = move || {
        counting.fetch_add(1, Ordering::SeqCst);
        async { Err::<tokio::net::TcpStream, _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)) }
    };
    let error = Client::builder_with(connector.clone()).connect().await.unwrap_err();
    assert_eq!(error.code, Code::ConnectionLost);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    let room = Client::builder_with(connector).start().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(attempts.load(Ordering::SeqCst) > 5);
    assert_eq!(room.state().connectivity, Connectivity::Offline);
    assert!(Client::connect("wss://localhost").await.is_err());
    assert!(Client::connect("localhost").await.is_err());
}

/// The connection is there, but nothing comes through: a probe, then another connection.
#[tokio::test(start_paused = true)]
async fn silence_is_probed_and_then_given_up() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    room.online().await.unwrap();
    let since = Instant::now();
    let probe = side.hear_of("request").await;
    assert_eq!(probe["service_name"], "_chatroom/time");
    assert_eq!(since.elapsed().as_secs(), 25);
    // An answer is enough.
    side.say("response", json!({"response": {"unix_ms": 1}, "request_id": probe["request_id"]})).await;
    side.hear_of("request").await;
    assert_eq!(since.elapsed().as_secs(), 50);
    // And now none.
    let state = becomes(&room, Connectivity::Offline).await;
    assert_eq!(state.code.unwrap(), Code::HeartbeatMissed);
    assert!((60..61).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    let _side = server.greet(2).await;
    room.online().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_reconnect_everything_is_said_in_order() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    let score = room.topic::<Int>("score").unwrap();
    let me = room.presence::<Value>("who").unwrap();
    side.subscribed(json!(1), 3).await;
    side.subscribed(json!({}), 3).await;
    score.loaded().await.unwrap();
    me.loaded().await.unwrap();
    let service = room.provide("sum", |_: chatroom_client::Call<Value>| async { Ok::<_, String>(1) }).start().unwrap();
    side.hear_of("register_service").await;
    side.say("registered", json!({"service_name": "sum"})).await;
    service.ready().await.unwrap();
    let put = me.put(&json!({"x": 1}));
    let (number, sent) = side.pushed().await;
    assert_eq!(sent[0].1["value"], json!({"x": 1}));
    assert_eq!(me.mine(), Some(json!({"x": 1})), "shown at once");
    side.say("accepted", json!({"id": number, "sequence": 4, "previous": [3]})).await;
    put.await.unwrap();
    let unanswered = score.add(5);
    side.hear_of("push").await;
    side.close(1001).await;
    becomes(&room, Connectivity::Offline).await;
    assert_eq!(score.status(), Status::Stale);
    assert_eq!((score.value(), score.confirmed(), room.unsaved()), (Some(6), Some(1), 1));

    // This server gives no sessions, so nobody knows what became of what was on its way.
    let queued = score.add(7);
    let mut side = server.greet(2).await;
    let lost = unanswered.await.unwrap_err();
    assert_eq!((lost.code, lost.maybe_executed, lost.retryable), (Code::ConnectionLost.into(), true, true));
    assert_eq!(lost.change["value"], 5);
    side.subscribed(json!(2), 9).await;
    side.subscribed(json!({}), 9).await;
    assert_eq!(side.hear_of("register_service").await["service_name"], "sum");
    let (number, sent) = side.pushed().await;
    let sent: Vec<_> = sent.iter().map(|(name, change)| (name.as_str(), change["value"].clone())).collect();
    assert_eq!((number, sent.as_slice()), (1, &[("score", json!(7)), ("who", json!({"x": 1}))][..]));
    side.say("accepted", json!({"id": 1, "sequence": 10, "previous": [9]})).await;
    side.say("accepted", json!({"id": 2, "sequence": 11, "previous": [9]})).await;
    assert_eq!(queued.await.unwrap().sequence.0, 10);
    assert_eq!(score.value(), Some(9));
    assert_eq!(me.mine(), Some(json!({"x": 1})));
}

/// What the server would refuse is refused here, and nothing is sent.
#[tokio::test(start_paused = true)]
async fn limits_and_types_are_checked_before_anything_is_sent() {
    let (builder, mut server) = played();
    let room = builder.queue(30).start().unwrap();
    let limits = Limits { message_bytes: 400, key_bytes: 4, items: 2, action_changes: 2, ..Limits::default() };
    let mut side = server.greet_with(1, limits).await;
    let (dict, list) = (room.topic::<Dict<Value>>("dict").unwrap(), room.topic::<List<i64>>("list").unwrap());
    let (float, int) = (room.topic::<Float>("float").unwrap(), room.topic::<Int>("int").unwrap());
    let text = room.topic::<Text>("text").unwrap();
    for value in [json!({}), json!(0), json!(0), json!([1]), json!("aé😀")] {
        side.subscribed(value, 1).await;
    }
    text.loaded().await.unwrap();
    for (action, code) in [
        (dict.put("too long", &json!(1)), Code::TooBig),
        (dict.put("a", &json!(9_007_199_254_740_993u64)), Code::OutOfRange),
        (dict.put("a", &json!("x".repeat(500))), Code::TooBig),
        (list.set(&[1, 2, 3]), Code::TooBig),
        (list.insert(2, &1), Code::OutOfRange),
        (list.pop(-2), Code::OutOfRange),
        (list.set_item(1, &1), Code::OutOfRange),
        (list.move_item(0, 1), Code::OutOfRange),
        (float.set(f64::NAN), Code::NotFinite),
        (float.add(f64::INFINITY), Code::NotFinite),
        (int.set(i64::MAX), Code::OutOfRange),
        (text.insert(4, "x"), Code::OutOfRange),
        (text.delete(2, 2), Code::OutOfRange),
        (room.action("nothing", |_| {}), Code::BadType),
        (
            room.action("too many", |tx| {
                tx.on(&int).add(1).add(1).add(1);
            }),
            Code::TooBig,
        ),
        (
            room.action("one is wrong", |tx| {
                tx.on(&int).add(1);
                tx.on(&list).pop(7);
            }),
            Code::OutOfRange,
        ),
        (room.untyped("int").unwrap().change(json!({"type": "push"})), Code::UnknownChange),
        (room.untyped("int").unwrap().change(json!(7)), Code::BadType),
    ] {
        let rejected = action.await.unwrap_err();
        assert_eq!(rejected.code, code, "{rejected}");
        assert!(!rejected.maybe_executed);
    }
    assert!(room.topic::<Text>("int").unwrap_err().to_string().contains("int, not string"));
    assert_eq!(room.topic::<Int>("").unwrap_err().code, Code::BadName);
    // The next thing that is sent is what fits.
    let fits = text.insert(3, "!");
    let (number, sent) = side.pushed().await;
    assert_eq!(sent[0].1["components"], json!([{"retain": 3}, {"insert": "!"}]));
    side.say("accepted", json!({"id": number, "sequence": 2, "previous": [1]})).await;
    fits.await.unwrap();
    assert_eq!(text.value().unwrap(), "aé😀!");

    // Offline, what waits is bounded.
    side.close(1001).await;
    becomes(&room, Connectivity::Offline).await;
    let waiting: Vec<_> = (0..30).map(|_| int.add(1)).collect();
    let busy = int.add(1).await.unwrap_err();
    assert_eq!((busy.code, busy.retryable), (Code::Busy.into(), true));
    assert_eq!(room.call::<Value>("x", &()).await.unwrap_err().code, Code::Busy);
    room.close();
    for action in waiting {
        let rejected = action.await.unwrap_err();
        assert_eq!((rejected.code, rejected.maybe_executed), (Code::Closed.into(), false));
    }
}

#[tokio::test(start_paused = true)]
async fn everything_settles_when_the_client_is_closed() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    let score = room.topic::<Int>("score").unwrap();
    side.subscribed(json!(0), 1).await;
    score.loaded().await.unwrap();
    let loading = room.topic::<Int>("loading").unwrap();
    let mut changes = loading.changes();
    let (sent, list) = (score.add(1), room.topic::<List<i64>>("list").unwrap());
    let waits = list.push(&1);
    let registration =
        room.provide("sum", |_: chatroom_client::Call<Value>| async { Ok::<_, String>(1) }).start().unwrap();
    let call = std::future::IntoFuture::into_future(room.call::<Value>("x", &()));
    for kind in ["subscribe", "subscribe", "push", "register_service"] {
        side.hear_of(kind).await;
    }
    room.close();
    assert!(room.state().is_closed());
    assert_eq!(sent.await.unwrap_err().code, Code::Closed);
    assert_eq!(waits.await.unwrap_err().code, Code::Closed);
    assert_eq!(call.await.unwrap_err().code, Code::Closed);
    assert_eq!(registration.ready().await.unwrap_err().code, Code::Closed);
    assert_eq!(loading.loaded().await.unwrap_err().code, Code::Closed);
    assert!(changes.next().await.is_none());
    assert_eq!(room.online().await.unwrap_err().code, Code::Closed);
    assert_eq!(score.add(1).await.unwrap_err().code, Code::Closed);
    assert_eq!(room.call::<Value>("x", &()).await.unwrap_err().code, Code::Closed);
    assert_eq!(room.unsettled(), 0);
    side.closed().await;
    assert!(server.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn deadlines_hold_without_a_connection_and_with_a_silent_server() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let since = Instant::now();
    let timeout = Duration::from_secs(2);
    let error = room.call::<Value>("x", &()).timeout(timeout).await.unwrap_err();
    assert_eq!((error.code, error.maybe_executed, since.elapsed()), (Code::Timeout.into(), false, timeout));
    let mut side = server.greet(1).await;
    room.online().await.unwrap();
    let since = Instant::now();
    let error = room.call::<Value>("x", &()).timeout(timeout).await.unwrap_err();
    assert_eq!((error.code, error.maybe_executed), (Code::Timeout.into(), true));
    assert!((timeout..timeout * 2).contains(&since.elapsed()), "{:?}", since.elapsed());
    // The first one was never sent.
    assert_eq!(side.hear_of("request").await["timeout_ms"], 2000);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_awaits_is_a_notice() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut notices = room.notices();
    let mut side = server.greet(1).await;
    let score = room.topic::<Int>("score").unwrap();
    side.subscribed(json!(0), 1).await;
    score.loaded().await.unwrap();
    // Refused here, and refused there.
    score.set(i64::MAX);
    score.add(1);
    let (number, sent) = side.pushed().await;
    let refusal = json!({
        "topic_name": "score", "change": sent[0].1, "reason": "no", "code": 212, "retryable": false, "action_id": number,
    });
    side.say("reject_update", refusal).await;
    for code in [Code::OutOfRange, Code::Invalid] {
        match notices.recv().await.unwrap() {
            Notice::Rejected(rejected) => assert_eq!(rejected.code, code),
            other => panic!("{other:?}"),
        }
    }
    // A gap, and what no client understands.
    let update = json!({"topic_name": "score", "change": {"type": "add", "value": 1, "id": "x"}, "sequence": 9, "previous": 8, "by": 2});
    side.say("update", update).await;
    side.say_text("what?").await;
    assert!(matches!(notices.recv().await.unwrap(), Notice::Gap { .. }));
    assert!(matches!(notices.recv().await.unwrap(), Notice::Error { .. }));
    side.hear_of("unsubscribe").await;
    side.subscribed(json!(3), 9).await;
    let mut changes = score.changes();
    while changes.next().await.unwrap().value() != Some(3) {}
    assert_eq!(room.gaps(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_is_removed_until_it_is_opened_again() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    let score = room.topic::<Int>("score").unwrap();
    side.subscribed(json!(4), 1).await;
    score.loaded().await.unwrap();
    let gone = json!({"code": 400, "reason": "gone", "in_reply_to": {"type": "subscribe", "topic_name": "score"}});
    side.say("error", gone).await;
    score.watch_status().wait_for(|status| *status == Status::Removed).await.unwrap();
    assert_eq!(score.loaded().await.unwrap_err().code, Code::TopicDeleted);
    // A reconnect does not make it anew.
    side.close(1001).await;
    let mut side = server.greet(2).await;
    let other = room.topic::<Int>("other").unwrap();
    assert_eq!(side.subscribed(json!(0), 1).await["topic_name"], "other");
    other.loaded().await.unwrap();
    let again = room.topic::<Int>("score").unwrap();
    side.subscribed(json!(0), 2).await;
    assert_eq!(again.loaded().await.unwrap(), 0);
    assert_eq!(score.value(), Some(0));
}

/// An answer to an earlier registration of a name says nothing of the present one.
#[tokio::test(start_paused = true)]
async fn each_registration_gets_its_own_answer() {
    let (builder, mut server) = played();
    let room = builder.start().unwrap();
    let mut side = server.greet(1).await;
    room.online().await.unwrap();
    let handler = |_: chatroom_client::Call<Value>| async { Ok::<_, String>(1) };
    let mut notices = room.notices();
    drop(room.provide("sum", handler).start().unwrap());
    let second = room.provide("sum", handler).start().unwrap();
    for kind in ["register_service", "unregister_service", "register_service"] {
        side.hear_of(kind).await;
    }
    let about = json!({"type": "register_service", "service_name": "sum"});
    side.say("error", json!({"code": 218, "reason": "the first", "in_reply_to": about})).await;
    side.say("registered", json!({"service_name": "sum"})).await;
    second.ready().await.unwrap();

    // Refused after a reconnect: the application is told, and asked again the time after.
    side.close(1001).await;
    let mut side = server.greet(2).await;
    side.hear_of("register_service").await;
    side.say("error", json!({"code": 218, "reason": "full", "in_reply_to": about})).await;
    let Notice::RegistrationRefused(told) = notices.recv().await.unwrap() else {
        panic!("another notice");
    };
    assert_eq!(told.reason, "full");
    assert_eq!(second.ready().await.unwrap_err().reason, "full");
    side.close(1001).await;
    let mut side = server.greet(3).await;
    side.hear_of("register_service").await;
    side.say("registered", json!({"service_name": "sum"})).await;
    second.ready().await.unwrap();
}
