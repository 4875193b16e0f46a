//! The way to the server, and what its errors mean for the exit code.

use std::path::PathBuf;

use chatroom_client::{CallError, Client, Code, ConnectionError, Connectivity, Rejected, State, TokenError};

use super::output::{self, BAD, DIM, VERB};
use crate::arguments::{Failure, Remote};

/// Connects, or says why not.
pub(crate) async fn connect(remote: &Remote) -> Result<Client, Failure> {
    let mut builder = Client::builder(&remote.url).label("chatroom", env!("CARGO_PKG_VERSION"));
    if let Some(room) = &remote.room {
        builder = builder.room(room);
    }
    if let Some(token) = remote.token.clone() {
        builder = builder.token(move |_| std::future::ready(Ok(token.clone())));
    } else if let Some(file) = remote.token_file.clone() {
        builder = builder.token(move |_| std::future::ready(read_token(&file)));
    }
    builder.connect().await.map_err(|error| unreachable(remote, &error))
}

fn read_token(file: &PathBuf) -> Result<String, TokenError> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| TokenError::Refused(format!("cannot read the token file {shown}: {error}")))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(TokenError::Refused(format!("the token file {shown} is empty"))),
    }
}

fn unreachable(remote: &Remote, error: &ConnectionError) -> Failure {
    if error.code == Code::BadName || error.code == Code::Malformed {
        return Failure::usage(format!("--url {}: {}", remote.url, error.reason));
    }
    if error.code == Code::Unauthenticated {
        return Failure::refused(format!("{}; give a token with --token or --token-file", error.reason));
    }
    Failure::unreachable(format!(
        "cannot connect to {}: {}; start a server with `chatroom`, or name another with --url",
        remote.url, error.reason
    ))
}

/// Says when the connection is lost and when it is back.
pub(crate) async fn tell_state(room: Client) {
    let mut states = room.watch_state();
    let mut lost = false;
    while states.changed().await.is_ok() {
        let State { connectivity, reason, .. } = states.borrow_and_update().clone();
        match connectivity {
            Connectivity::Offline if !lost => {
                lost = true;
                output::note(format!("{BAD}offline{BAD:#} {DIM}{reason}; trying to come back{DIM:#}"));
            }
            Connectivity::Online if lost => {
                lost = false;
                output::note(format!("{VERB}online{VERB:#} {DIM}again{DIM:#}"));
            }
            Connectivity::NeedsAuth => output::note(format!("{BAD}needs_auth{BAD:#} {DIM}{reason}{DIM:#}")),
            _ => {}
        }
    }
}

/// A change that did not go through.
pub(crate) fn rejected(error: &Rejected) -> Failure {
    let message = format!("{}: {}", error.code.name(), error.reason);
    match error.code == Code::ConnectionLost {
        true => Failure::unreachable(message),
        false => Failure::refused(message),
    }
}

/// A call that did not go through: it is the server's answer when `special`, a provider's otherwise.
pub(crate) fn call_failed(error: &CallError, special: bool) -> Failure {
    let data = error.data.as_ref().map(|data| format!(" {data}")).unwrap_or_default();
    let code = match error.code.known() {
        Some(code) => code.name().to_owned(),
        None => format!("error {}", error.code.number()),
    };
    let message = format!("{code}: {}{data}", error.reason);
    if error.code == Code::ConnectionLost {
        Failure::unreachable(message)
    } else if special || (200..1_000).contains(&error.code.number()) {
        Failure::refused(message)
    } else {
        Failure::service(message)
    }
}
