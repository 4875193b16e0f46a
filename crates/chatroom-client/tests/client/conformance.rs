//! The messages of `conformance/`, read and written again; and all that a server says, read back.

use chatroom_protocol::envelope::Envelope;
use chatroom_protocol::heard::Reconnect;
use chatroom_protocol::{Dialect, Heard, Limits};
use chatroom_testkit::vectors::{self, Repeat};
use serde::Deserialize;

#[test]
fn messages_in_both_directions() {
    #[derive(Deserialize)]
    struct Case {
        id: String,
        text: Option<String>,
        repeat: Option<Repeat>,
        r#type: Option<String>,
        code: Option<String>,
    }
    let limits = Limits::default();
    let cases = vectors::load::<Case>("messages/v1");
    let read = |text: &str| -> Result<(String, String), String> {
        let envelope = Envelope::parse(text).map_err(|refusal| refusal.code.name().to_owned())?;
        let message = envelope.message(Dialect::V1, &limits).map_err(|refusal| refusal.code.name().to_owned())?;
        Ok((message.text(), format!("{message:?}")))
    };
    vectors::run(
        "messages/v1 (both directions)",
        &cases,
        |case| &case.id,
        |case| {
            let text = case.text.clone().or_else(|| case.repeat.as_ref().map(Repeat::text)).ok_or("no text")?;
            match (read(&text), &case.r#type, &case.code) {
                (Ok((written, message)), Some(kind), None) => {
                    let (again, same) = read(&written).map_err(|code| format!("{written} is refused: {code}"))?;
                    let starts = written.starts_with(&format!("{{\"type\":\"{kind}\""));
                    match starts && again == written && same == message {
                        true => Ok(()),
                        false => Err(format!("{message} was written as {written}, which reads as {same}")),
                    }
                }
                (Err(found), _, Some(code)) if found == *code => Ok(()),
                (found, ..) => Err(format!("expected {:?} or {:?}, found {found:?}", case.r#type, case.code)),
            }
        },
    );
}

/// A client passes over what a newer server adds, and takes nothing that is wrong.
#[test]
fn what_a_server_says() {
    let check = |text: &str, expected: Result<&str, &str>| {
        let found = Heard::parse(text);
        let debug = found.as_ref().map(|heard| format!("{heard:?}")).map_err(|refusal| refusal.code.name());
        match (debug, expected) {
            (Ok(debug), Ok(kind)) => assert!(debug.starts_with(kind), "{text}: {debug}"),
            (Err(code), Err(expected)) => assert_eq!(code, expected, "{text}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    };
    check(r#"{"type":"weather","content":{"sun":true}}"#, Ok("Unknown"));
    check(r#"{"type":"accepted","content":{"id":"a","sequence":3,"more":[1]}}"#, Ok("Accepted"));
    check(r#"{"type":"accepted","content":{"id":"a"}}"#, Err("bad_type"));
    check(r#"{"type":"accepted","content":{"id":[],"sequence":3}}"#, Err("bad_type"));
    check(r#"{"type":"accepted","content":{"id":"a","sequence":-1}}"#, Err("out_of_range"));
    check(r#"{"type":"accepted"}"#, Err("malformed"));
    check(
        r#"{"type":"subscribed","content":{"topic_name":"t","type":"int","value":1,"sequence":0}}"#,
        Ok("Subscribed"),
    );
    check(
        r#"{"type":"subscribed","content":{"topic_name":"t","type":"intt","value":1,"sequence":0}}"#,
        Err("bad_type"),
    );
    check(
        r#"{"type":"update","content":{"topic_name":"t","change":{},"sequence":1,"previous":0,"by":2}}"#,
        Ok("Update"),
    );
    check(r#"{"type":"update","content":{"topic_name":"t","change":{},"sequence":1,"by":2}}"#, Err("bad_type"));
    check(
        r#"{"type":"action","content":{"action_id":1,"sequence":1,"by":2,"changes":[{"topic_name":"t","change":{},"previous":0}]}}"#,
        Ok("Action"),
    );
    check(r#"{"type":"action","content":{"action_id":1,"sequence":1,"by":2,"changes":{}}}"#, Err("bad_type"));
    check(
        r#"{"type":"reject_update","content":{"topic_name":"t","change":{"x":1},"reason":"r","code":206,"retryable":false}}"#,
        Ok("RejectUpdate"),
    );
    check(
        r#"{"type":"response","content":{"request_id":1,"response":null,"error":{"code":102,"message":"m"},"maybe_executed":true}}"#,
        Ok("Response { request_id: Number(1), result: Err"),
    );
    check(
        r#"{"type":"response","content":{"request_id":1,"response":null}}"#,
        Ok("Response { request_id: Number(1), result: Ok"),
    );
    check(r#"{"type":"error","content":{"code":9999,"reason":"r"}}"#, Ok("Error"));
    check("not json", Err("malformed"));
    match Heard::parse(r#"{"type":"goodbye","content":{"code":106,"reason":"r","reconnect":"elsewhere"}}"#).unwrap() {
        Heard::Goodbye { reconnect, .. } => assert_eq!(reconnect, Reconnect::Elsewhere),
        other => panic!("{other:?}"),
    }
}

/// Whatever bytes arrive, the reader gives a message or a code.
#[test]
fn reading_is_total() {
    let text = r#"{"type":"hello","content":{"id":1,"protocol":"chatroom.v1.json","room":"main","epoch":1,"sequence":0,"limits":{"message_bytes":9},"heartbeat_ms":25000}}"#;
    assert!(matches!(Heard::parse(text), Ok(Heard::Hello(hello)) if hello.limits.message_bytes == 9));
    let mut read = 0;
    for cut in 0..text.len() {
        for replacement in ["", "\"", "}", "[", "-", "9", "\\u", "null"] {
            let broken = format!("{}{replacement}{}", &text[..cut], &text[cut + 1..]);
            read += usize::from(Heard::parse(&broken).is_ok());
        }
    }
    assert!(read > 0);
}
