//! `chatroom provide`: a shell command answers calls.

use std::process::Stdio;

use chatroom_client::{Call, Code, ServiceError};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::Instant;

use super::output::{self, BAD, DIM, NAME, VERB};
use super::remote::{connect, tell_state};
use crate::arguments::{Failure, Provide};

/// The longest answer that is read from a command.
const ANSWER_BYTES: u64 = 1 << 20;
/// How much of its standard error is told to the caller.
const ERROR_BYTES: u64 = 4 << 10;

pub(crate) async fn run(provide: &Provide) -> Result<(), Failure> {
    let room = connect(&provide.remote).await?;
    let (service, words) = (provide.service.clone(), provide.command.clone());
    let handler = move |call: Call<Value>| {
        let (service, words) = (service.clone(), words.clone());
        async move {
            let by = call.by;
            let answer = answer(&service, &words, call).await;
            match &answer {
                Ok(_) => output::note(format!("{NAME}{service}{NAME:#}  {DIM}by {by}{DIM:#}  {VERB}answered{VERB:#}")),
                Err(error) => {
                    let why = &error.message;
                    output::note(format!("{NAME}{service}{NAME:#}  {DIM}by {by}{DIM:#}  {BAD}failed{BAD:#}  {why}"));
                }
            }
            answer
        }
    };
    let _registration = room
        .provide(&provide.service, handler)
        .concurrency(provide.concurrency)
        .idempotent(provide.idempotent)
        .await
        .map_err(|error| Failure::refused(format!("{}: {}", error.code.name(), error.reason)))?;
    output::note(format!("{DIM}providing{DIM:#} {NAME}{}{NAME:#}{DIM}; end with Ctrl-C{DIM:#}", provide.service));
    tokio::spawn(tell_state(room.clone()));
    let mut states = room.watch_state();
    tokio::select! {
        result = tokio::signal::ctrl_c() => {
            result.map_err(|error| Failure::runtime(format!("cannot wait for Ctrl-C: {error}")))
        }
        // The client itself is among those that hold the sender.
        Ok(state) = states.wait_for(|state| state.is_closed()) => Err(Failure::unreachable(state.reason.clone())),
    }
}

/// Runs the command once.
async fn answer(service: &str, words: &[String], call: Call<Value>) -> Result<Value, ServiceError> {
    let failed = |what: String| ServiceError::new(Code::APPLICATION_MIN, what);
    let mut command = match words {
        [line] => {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]);
            shell
        }
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        [] => return Err(failed("there is no command".into())),
    };
    let mut child = command
        .env("CHATROOM_SERVICE", service)
        .env("CHATROOM_BY", call.by.to_string())
        .env("CHATROOM_TIMEOUT_MS", timeout_ms(&call).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A call that is cancelled drops this future, and with it the command.
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("cannot run {}: {error}", words[0])))?;
    let (Some(mut input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed("the command has no standard input or output".into()));
    };
    let args = call.args.to_string();
    let give = async move {
        // A command that does not read its input may still answer.
        let _ = input.write_all(args.as_bytes()).await;
        drop(input);
    };
    let ((), answer, complaint) = tokio::join!(give, read(output, ANSWER_BYTES), read(errors, ERROR_BYTES));
    let status = child.wait().await.map_err(|error| failed(format!("the command was lost: {error}")))?;
    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
    if !status.success() {
        let exit = status.code().and_then(|code| u32::try_from(code).ok());
        let code = Code::APPLICATION_MIN + exit.unwrap_or(0);
        let message = if complaint.is_empty() { format!("the command ended with {status}") } else { complaint };
        return Err(ServiceError::new(code, message).with_data(json!({ "exit": exit })));
    }
    if answer.len() as u64 >= ANSWER_BYTES {
        return Err(failed(format!("the command wrote more than {ANSWER_BYTES} bytes")));
    }
    match serde_json::from_slice(&answer) {
        Ok(value) => Ok(value),
        Err(_) => match String::from_utf8(answer) {
            Ok(text) => Ok(Value::String(text.trim_end_matches('\n').to_owned())),
            Err(_) => Err(failed("the command wrote something that is no text".into())),
        },
    }
}

fn timeout_ms(call: &Call<Value>) -> u128 {
    call.deadline.map_or(0, |deadline| deadline.saturating_duration_since(Instant::now()).as_millis())
}

/// The first bytes of a pipe; the rest is read and dropped, so that the command is not stuck.
async fn read(mut pipe: impl AsyncRead + Unpin, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A pipe that breaks has ended.
    let _ = (&mut pipe).take(bytes_max).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    bytes
}
