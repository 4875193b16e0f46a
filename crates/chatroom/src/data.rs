//! The commands on a data folder that no server has open: check, export, import.

use std::cell::RefCell;
use std::io::{self, BufRead, Write};
use std::path::Path;

use chatroom_protocol::{RoomName, Sequence};
use chatroom_server::journal::disk::{Report, Walked, import as fill, walk};
use chatroom_server::journal::{DiskConfig, Part, Record};
use chatroom_server::{describe_part, describe_record};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::arguments::{Check, Export, Failure, Import};
use crate::store::refused;

/// Reads everything; fails if something cannot be read.
pub(crate) fn check(check: &Check) -> Result<(), Failure> {
    there(&check.folder)?;
    let (mut room, mut unread) = (None, Vec::new());
    let report = walk(&DiskConfig::new(&check.folder), |walked| {
        let found = match &walked {
            Walked::Room { room: name, .. } => {
                room = Some(name.clone());
                Ok(())
            }
            Walked::Part(part) => described(part).map(drop).map_err(|why| format!("the part {:?}: {why}", part.key)),
            Walked::Record(record) => describe_record(&record.bytes)
                .map(drop)
                .map_err(|why| format!("the record {}: {why}", record.sequence.0)),
        };
        if let Err(what) = found {
            unread.push(line(room.as_ref(), &what));
        }
        Ok(())
    });
    let report = report.map_err(|error| refused(&check.folder, &error))?;
    let problems: Vec<String> =
        report.problems.iter().map(|it| line(it.room.as_ref(), &it.what)).chain(unread).collect();
    let mut out = io::stdout().lock();
    let told = writeln!(out, "{}", counted(&report))
        .and_then(|()| problems.iter().try_for_each(|problem| writeln!(out, "{problem}")));
    told.map_err(|error| Failure::runtime(format!("standard output: {error}")))?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::runtime(format!(
        "{} of this cannot be read; `chatroom export {}` writes out all the rest, `chatroom import` makes a new folder of it",
        problems.len(),
        check.folder.display()
    )))
}

fn line(room: Option<&RoomName>, what: &str) -> String {
    match room {
        Some(room) => format!("room {room}: {what}"),
        None => what.to_owned(),
    }
}

fn counted(report: &Report) -> String {
    let Report { rooms, parts, records, bytes, .. } = report;
    format!("{rooms} rooms, {parts} parts, {records} records, {bytes} bytes")
}

fn described(part: &Part) -> Result<Value, String> {
    describe_part(&part.key, part.bytes.as_deref().unwrap_or_default()).map_err(|damage| damage.to_string())
}

/// Writes a line of JSON for each room, part and record; what is damaged is told on standard error.
#[expect(clippy::print_stderr, reason = "standard output is the export")]
pub(crate) fn export(export: &Export) -> Result<(), Failure> {
    there(&export.folder)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut shown = true;
    let report = walk(&DiskConfig::new(&export.folder), |walked| {
        if let Walked::Room { room, .. } = &walked {
            shown = export.room.as_deref().is_none_or(|wanted| wanted == room.as_str());
        }
        if !shown {
            return Ok(());
        }
        match &walked {
            Walked::Room { room, last, covered } => {
                writeln!(out, "{}", json!({"room": room.as_str(), "last": last.0, "covered": covered.0}))
            }
            Walked::Part(part) => {
                let bytes = part.bytes.as_deref().unwrap_or_default();
                let (key, says) = (json!(part.key), described(part).unwrap_or_default());
                writeln!(out, "{{\"part\":{key},\"says\":{says},\"bytes\":\"{}\"}}", BASE64.encode(bytes))
            }
            Walked::Record(Record { sequence, bytes }) => {
                let says = describe_record(bytes).unwrap_or_default();
                writeln!(out, "{{\"record\":{},\"says\":{says},\"bytes\":\"{}\"}}", sequence.0, BASE64.encode(bytes))
            }
        }
    });
    let report = report.map_err(|error| refused(&export.folder, &error))?;
    out.flush().map_err(|error| Failure::runtime(format!("standard output: {error}")))?;
    for problem in &report.problems {
        eprintln!("left out: {}", line(problem.room.as_ref(), &problem.what));
    }
    Ok(())
}

/// Reads what [`export`] wrote.
pub(crate) fn import(import: &Import) -> Result<(), Failure> {
    let mut lines = io::stdin().lock().lines();
    let number = RefCell::new(0u64);
    let next = || {
        let Some(text) = lines.next().transpose()? else {
            return Ok(None);
        };
        *number.borrow_mut() += 1;
        read(&text).map(Some).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    };
    let report = fill(&DiskConfig::new(&import.folder), next).map_err(|error| match error {
        chatroom_server::journal::OpenError::Io { error, .. } if error.kind() == io::ErrorKind::InvalidData => {
            Failure::usage(format!(
                "line {} of standard input: {error}; give it what `chatroom export` wrote",
                number.borrow()
            ))
        }
        error => refused(&import.folder, &error),
    })?;
    if let Some(problem) = report.problems.first() {
        return Err(Failure::usage(format!("standard input: {}", problem.what)));
    }
    writeln!(io::stdout(), "{}", counted(&report))
        .map_err(|error| Failure::runtime(format!("standard output: {error}")))
}

fn read(text: &str) -> Result<Walked, String> {
    let line: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let number = |field: &str| line[field].as_u64().map(Sequence).ok_or(format!("{field} must be a number"));
    let bytes = || {
        let text = line["bytes"].as_str().ok_or("bytes must be a text")?;
        BASE64.decode(text.as_bytes()).map(bytes::Bytes::from).map_err(|error| format!("bytes: {error}"))
    };
    if let Some(room) = line["room"].as_str() {
        let room = RoomName::parse(room).map_err(|refusal| refusal.to_string())?;
        return Ok(Walked::Room { room, last: number("last")?, covered: number("covered")? });
    }
    if let Some(key) = line["part"].as_str() {
        return Ok(Walked::Part(Part { key: key.to_owned(), bytes: Some(bytes()?) }));
    }
    Ok(Walked::Record(Record { sequence: number("record")?, bytes: bytes()? }))
}

/// A folder that is only looked at is not made.
fn there(folder: &Path) -> Result<(), Failure> {
    match folder.join("chatroom-data").is_file() {
        true => Ok(()),
        false => Err(Failure::usage(format!("{} is no data folder of ChatRoom", folder.display()))),
    }
}
