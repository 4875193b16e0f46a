//! `chatroom watch`.

use chatroom_client::{Cause, Change, Status, TopicValue, Untyped, Update};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::opening::{Opened, existing, opened};
use super::output::{self, DIM, NAME, VERB};
use super::remote::{connect, tell_state};
use super::table::{shortened, terminal_width};
use crate::arguments::{Failure, Watch};

/// Lines that may wait for a slow terminal; the topics then collapse to their newest value.
const WAITING: usize = 16;
/// How much of a value is shown where there is no terminal to fit.
const WIDTH: usize = 200;

pub(crate) async fn run(watch: &Watch) -> Result<(), Failure> {
    let room = connect(&watch.remote).await?;
    let (lines, mut came) = mpsc::channel(WAITING);
    for name in &watch.topics {
        let kind = match watch.kind {
            Some(kind) => kind,
            None => existing(&room, name).await?,
        };
        // With its type the topic is made anew in a room that has lost it, so the watch goes on.
        let opened = opened(&room, name, kind).await?;
        tokio::spawn(follow(opened, lines.clone(), watch.json));
    }
    drop(lines);
    tokio::spawn(tell_state(room.clone()));
    let mut left = watch.count.unwrap_or(u64::MAX);
    while left > 0
        && let Some(line) = came.recv().await
    {
        match line {
            Ok(line) if output::line(&line) => left -= 1,
            Ok(_) => break,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Turns a topic's updates into lines.
async fn follow(opened: Opened, lines: mpsc::Sender<Result<String, Failure>>, as_json: bool) {
    let name = opened.topic.name().to_owned();
    let mut changes = opened.topic.changes();
    let mut status = opened.topic.watch_status();
    loop {
        tokio::select! {
            update = changes.next() => {
                let Some(update) = update else { return };
                let line = if as_json { json_line(&name, &update) } else { readable(&name, &update) };
                if lines.send(Ok(line)).await.is_err() {
                    return;
                }
            }
            Ok(()) = status.changed() => {
                let ended = match &*status.borrow_and_update() {
                    Status::Removed => Some(format!("topic_deleted: the topic {name} was deleted")),
                    Status::Denied { code, reason } => Some(format!("{}: {reason}", code.name())),
                    _ => None,
                };
                if let Some(reason) = ended {
                    // Nobody reads any more if this fails.
                    let _ = lines.send(Err(Failure::refused(reason))).await;
                    return;
                }
            }
        }
    }
}

fn json_line(name: &str, update: &Update<Untyped>) -> String {
    let meta = update.meta();
    let mut line = json!({
        "topic_name": name,
        "cause": if meta.cause == Cause::Snapshot { "snapshot" } else { "change" },
        "sequence": meta.sequence.0,
        "by": update.changes().first().map(|_| meta.by.0),
        "change": match update.changes() {
            [change] => Some(change_json(change)),
            _ => None,
        },
    });
    if update.changes().len() > 1 {
        line["changes"] = update.changes().iter().map(change_json).collect();
    }
    if !matches!(&**update.snapshot(), TopicValue::Event) {
        line["value"] = update.value().unwrap_or_default();
    }
    line.to_string()
}

/// `score  add 1  by 3  = 5`, shortened to the terminal.
fn readable(name: &str, update: &Update<Untyped>) -> String {
    let meta = update.meta();
    let name = shortened(name, 60);
    let what = match update.changes() {
        [] => "is".to_owned(),
        changes => changes.iter().map(|change| words(&change_json(change))).collect::<Vec<_>>().join(", "),
    };
    let by = update.changes().first().map(|_| format!("by {}", meta.by)).unwrap_or_default();
    let value = match &**update.snapshot() {
        TopicValue::Event => String::new(),
        _ => update.value().unwrap_or_default().to_string(),
    };
    // Half of what is left goes to the change, half to the value.
    let width = terminal_width().unwrap_or(WIDTH).saturating_sub(name.chars().count() + by.len() + 8).max(20);
    let what = shortened(&what, if value.is_empty() { width } else { width / 2 });
    let value = shortened(&value, (width - what.chars().count().min(width)).max(8));
    let equals = if value.is_empty() || what == "is" { "" } else { "= " };
    let parts = [
        format!("{NAME}{name}{NAME:#}"),
        format!("{VERB}{what}{VERB:#}"),
        format!("{DIM}{by}{DIM:#}"),
        format!("{DIM}{equals}{DIM:#}{value}"),
    ];
    let shown = parts.into_iter().zip([true, true, !by.is_empty(), !value.is_empty()]);
    shown.filter(|(_, shown)| *shown).map(|(part, _)| part).collect::<Vec<_>>().join("  ")
}

/// A change as JSON, without the id that only its author needs.
fn change_json(change: &Change) -> Value {
    let id = chatroom_protocol::change::ChangeId::Number(0);
    let written = chatroom_protocol::change::WireChange { change, id: &id };
    let mut written = serde_json::to_value(written).unwrap_or_default();
    if let Some(fields) = written.as_object_mut() {
        fields.remove("id");
    }
    written
}

/// `add 1`, `put "a" 2`, `edit [{"retain":2},{"insert":"x"}]`: the type, then the fields' values.
fn words(change: &Value) -> String {
    let mut words = vec![change["type"].as_str().unwrap_or_default().to_owned()];
    for field in ["position", "from", "to", "key", "value", "item", "args", "insertion", "deletion", "components"] {
        words.extend(change.get(field).map(Value::to_string));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: &Value, expected: &str) {
        assert_eq!(words(change), expected);
    }

    #[test]
    fn changes_read_like_words() {
        check(&json!({"type": "add", "value": 1}), "add 1");
        check(&json!({"type": "put", "key": "a", "value": [1]}), "put \"a\" [1]");
        check(&json!({"type": "insert", "position": 2, "item": {"b": null}}), "insert 2 {\"b\":null}");
        check(&json!({"type": "edit", "components": [{"retain": 2}]}), "edit [{\"retain\":2}]");
    }
}
