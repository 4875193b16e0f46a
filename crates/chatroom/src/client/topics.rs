//! `chatroom topics`.

use serde_json::{Map, Value, json};

use super::output;
use super::remote::{call_failed, connect};
use super::table::{self, Column};
use crate::arguments::{Failure, Topics};

pub(crate) async fn run(topics: &Topics) -> Result<(), Failure> {
    let room = connect(&topics.remote).await?;
    let got: Value = room
        .call("_chatroom/get", &json!({"topic_name": "_chatroom/topics"}))
        .await
        .map_err(|error| call_failed(&error, true))?;
    let none = Map::new();
    let found = got["value"].as_object().unwrap_or(&none);
    let found = found.iter().filter(|(name, _)| name.starts_with(&topics.prefix));
    if topics.json {
        for (name, entry) in found {
            let mut line = json!({ "name": name });
            for field in ["type", "subscribers", "sequence"] {
                line[field] = entry[field].clone();
            }
            if !output::line(line) {
                return Ok(());
            }
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .map(|(name, entry)| {
            let kind = entry["type"].as_str().unwrap_or_default().to_owned();
            vec![name.clone(), kind, entry["subscribers"].to_string(), entry["sequence"].to_string()]
        })
        .collect();
    if rows.is_empty() {
        output::note(format!(
            "no topics{}; a topic comes into being with `chatroom set NAME VALUE`, or with its first subscriber",
            if topics.prefix.is_empty() { String::new() } else { format!(" that begin with {:?}", topics.prefix) }
        ));
        return Ok(());
    }
    let headings =
        [("NAME", Column::Left), ("TYPE", Column::Left), ("SUBSCRIBERS", Column::Right), ("SEQUENCE", Column::Right)];
    for line in table::lines(&headings, &rows, table::terminal_width()) {
        if !output::line(line) {
            break;
        }
    }
    Ok(())
}
