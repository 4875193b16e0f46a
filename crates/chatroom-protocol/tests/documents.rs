//! The tables of `docs/protocol.md` against the types. `UPDATE_DOCS=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed"
)]

use std::fmt::Write as _;
use std::path::PathBuf;

use chatroom_protocol::message::CATALOG;
use chatroom_protocol::{Code, Limits};

#[track_caller]
fn check(marker: &str, table: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {marker}:begin -->\n"), format!("<!-- {marker}:end -->"));
    let start = text.find(&begin).expect("the begin marker") + begin.len();
    let stop = start + text[start..].find(&end).expect("the end marker");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &text[..start], &text[stop..])).unwrap();
    } else {
        assert_eq!(&text[start..stop], table, "run: UPDATE_DOCS=1 cargo test -p chatroom-protocol -- --test-threads 1");
    }
}

#[test]
fn messages() {
    let mut table = String::from("| message | from | fields |\n| --- | --- | --- |\n");
    for entry in CATALOG {
        let (name, fields) = match (entry.seed, entry.v1) {
            (Some(seed), "") => (format!("`{}`", entry.name), seed.to_owned()),
            (Some(seed), v1) => (format!("`{}`", entry.name), format!("{seed}, *{v1}*")),
            (None, v1) => (format!("*`{}`*", entry.name), format!("*{v1}*")),
        };
        writeln!(table, "| {name} | {} | {fields} |", entry.from).unwrap();
    }
    check("messages", &table);
}

#[test]
fn codes() {
    let mut table = String::from("| code | name | meaning | what to do |\n| --- | --- | --- | --- |\n");
    for code in Code::ALL {
        writeln!(table, "| {} | `{}` | {} | {} |", code.number(), code.name(), code.meaning(), code.advice()).unwrap();
    }
    check("codes", &table);
}

#[test]
fn limits() {
    let mut table = String::from("| limit | default | what |\n| --- | --- | --- |\n");
    for (name, default, what) in Limits::table() {
        writeln!(table, "| `{name}` | {default} | {what} |").unwrap();
    }
    check("limits", &table);
}
