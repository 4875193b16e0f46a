//! Calling services.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chatroom_protocol::message::ServiceError;
use chatroom_protocol::{ClientMessage, Code, RequestId, ServiceName};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::Owner;
use crate::core::{Core, Queued};
use crate::error::CallError;
use chatroom_replica::ErrorCode;

/// How long after the deadline the server's own word is waited for.
const GRACE: Duration = Duration::from_millis(500);
/// How many reports of progress may wait for a caller that does not look.
const PROGRESS_MAX: usize = 64;

/// A call before it is made: await it, or set its options first.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(room: chatroom_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let total: i64 = room.call("math/sum", &[1, 2]).timeout(Duration::from_secs(2)).await?;
/// # Ok(()) }
/// ```
#[must_use = "a call is made when it is awaited"]
pub struct Request<R> {
    owner: Arc<Owner>,
    service: Result<ServiceName, CallError>,
    args: Result<Box<RawValue>, CallError>,
    timeout: Option<Duration>,
    progress: Option<Progress>,
    value: PhantomData<fn() -> R>,
}

type Progress = Box<dyn FnMut(&RawValue) + Send>;

impl<R> fmt::Debug for Request<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("service", &self.service)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Request<R> {
    pub(crate) fn new(owner: &Arc<Owner>, service: &str, args: &impl serde::Serialize) -> Self {
        let refused = |refusal: chatroom_protocol::Refusal| CallError::new(refusal.code, refusal.reason.into_owned());
        let args = serde_json::value::to_raw_value(args)
            .map_err(|error| CallError::new(Code::BadType, format!("args: {error}")))
            .and_then(|args| chatroom_protocol::json::parse(args.get()).map(|_| args).map_err(refused));
        Self {
            owner: owner.clone(),
            service: ServiceName::parse(service).map_err(refused),
            args,
            timeout: None,
            progress: None,
            value: PhantomData,
        }
    }

    /// How long the call may take, the wait for a connection included. The server's default is 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Calls a function with what the provider tells before its answer. It runs where the call is
    /// awaited. Of a long burst the first 64 reports are told; one of another shape than `P` is
    /// left out.
    pub fn progress<P: DeserializeOwned>(self, mut progress: impl FnMut(P) + Send + 'static) -> Self {
        let told = move |data: &RawValue| {
            if let Ok(data) = serde_json::from_str(data.get()) {
                progress(data);
            }
        };
        Self { progress: Some(Box::new(told)), ..self }
    }
}

impl<R: DeserializeOwned> IntoFuture for Request<R> {
    type Output = Result<R, CallError>;
    type IntoFuture = CallFuture<R>;

    fn into_future(self) -> CallFuture<R> {
        let shared = self.owner.shared.clone();
        let (done, outcome) = oneshot::channel();
        let (report, progress) = mpsc::channel(PROGRESS_MAX);
        let number = match (self.service, self.args) {
            (Ok(service), Ok(args)) => {
                let call = Calling {
                    service,
                    args,
                    timeout: self.timeout,
                    deadline: Instant::now(),
                    sent: false,
                    done,
                    progress: self.progress.is_some().then_some(report),
                };
                shared.with(|core| core.call(call))
            }
            (Err(error), _) | (_, Err(error)) => {
                // The receiver is right here.
                let _ = done.send(Err(error));
                0
            }
        };
        CallFuture {
            owner: self.owner,
            number,
            outcome,
            progress: self.progress.map(|told| (progress, told)),
            done: false,
            value: PhantomData,
        }
    }
}

/// A call under way. Dropping it cancels the call.
pub struct CallFuture<R> {
    owner: Arc<Owner>,
    number: i64,
    outcome: oneshot::Receiver<Outcome>,
    progress: Option<(mpsc::Receiver<Box<RawValue>>, Progress)>,
    done: bool,
    value: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for CallFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").field("number", &self.number).field("done", &self.done).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Future for CallFuture<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        // Reports come before the answer, so all that belong to it are there when it is.
        let outcome = Pin::new(&mut call.outcome).poll(context);
        if let Some((reports, told)) = &mut call.progress {
            while let Poll::Ready(Some(report)) = reports.poll_recv(context) {
                told(&report);
            }
        }
        let Poll::Ready(outcome) = outcome else {
            return Poll::Pending;
        };
        call.done = true;
        let value = outcome.unwrap_or_else(|_| Err(CallError::new(Code::Closed, "the client was closed")))?;
        Poll::Ready(serde_json::from_str(value.get()).map_err(|error| {
            let reason = format!("the response does not have the shape that was asked for: {error}");
            CallError::new(Code::BadType, reason).maybe_executed(true)
        }))
    }
}

impl<R> Drop for CallFuture<R> {
    fn drop(&mut self) {
        if !self.done {
            self.owner.shared.with(|core| core.call_dropped(self.number));
        }
    }
}

type Outcome = Result<Box<RawValue>, CallError>;

/// An own call that has no outcome yet.
#[derive(Debug)]
pub(crate) struct Calling {
    service: ServiceName,
    args: Box<RawValue>,
    timeout: Option<Duration>,
    deadline: Instant,
    sent: bool,
    done: oneshot::Sender<Outcome>,
    progress: Option<mpsc::Sender<Box<RawValue>>>,
}

impl Calling {
    fn end(self, outcome: Outcome) {
        // A caller that is gone wants no answer.
        let _ = self.done.send(outcome);
    }
}

impl Core {
    fn call(&mut self, mut call: Calling) -> i64 {
        let number = self.number();
        if self.closed {
            call.end(Err(CallError::new(Code::Closed, "the client was closed")));
            return number;
        }
        if self.waiting + self.replica.unsaved() >= self.waiting_max {
            let reason = format!("{} messages wait to be sent already; wait for some of them", self.waiting_max);
            call.end(Err(CallError::new(Code::Busy, reason)));
            return number;
        }
        let default = match self.limits.call_timeout_ms {
            u64::MAX => chatroom_protocol::Limits::default().call_timeout_ms,
            announced => announced,
        };
        let timeout = call.timeout.unwrap_or(Duration::from_millis(default));
        let now = Instant::now();
        call.deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        self.deadlines.insert((call.deadline, number));
        self.calls.insert(number, call);
        self.waiting += 1;
        self.queue.push_back(Queued::Call(number));
        self.after().wake = true;
        self.after().timer = true;
        number
    }

    /// The text of a call whose turn it is; `None` if it ended meanwhile.
    pub(crate) fn call_text(&mut self, number: i64) -> Option<String> {
        let call = self.calls.get_mut(&number)?;
        let left = call.deadline.saturating_duration_since(Instant::now()).as_millis();
        let text = ClientMessage::Request {
            service_name: call.service.clone(),
            args: &call.args,
            request_id: RequestId::Number(number),
            timeout_ms: call
                .timeout
                .map(|_| u64::try_from(left).unwrap_or(u64::MAX).clamp(1, self.limits.call_timeout_ms_max)),
        }
        .text();
        if text.len() > self.limits.message_bytes {
            let reason =
                format!("a message has at most {} bytes, this one has {}", self.limits.message_bytes, text.len());
            self.end_call(number, Err(CallError::new(Code::TooBig, reason)));
            return None;
        }
        call.sent = true;
        Some(text)
    }

    fn end_call(&mut self, number: i64, outcome: Outcome) {
        if let Some(call) = self.calls.remove(&number) {
            self.deadlines.remove(&(call.deadline, number));
            self.deadlines.remove(&(call.deadline + GRACE, number));
            call.end(outcome);
        }
    }

    fn call_dropped(&mut self, number: i64) {
        let sent = self.calls.get(&number).is_some_and(|call| call.sent);
        self.end_call(number, Err(CallError::new(Code::Cancelled, "the caller cancelled the call")));
        if sent {
            self.say_once(&ClientMessage::Cancel { request_id: RequestId::Number(number) });
        }
    }

    pub(crate) fn responded(&mut self, number: i64, result: Result<&RawValue, ServiceError<'_>>, maybe_executed: bool) {
        let outcome = result.map(RawValue::to_owned).map_err(|error| {
            let code = ErrorCode::new(error.code);
            let data = error.data.and_then(|data| serde_json::from_str(data.get()).ok());
            CallError { code, reason: error.message, data, maybe_executed, retryable: code.is_retryable() }
        });
        self.end_call(number, outcome);
    }

    pub(crate) fn progressed(&mut self, number: i64, data: &RawValue) {
        if let Some(progress) = self.calls.get(&number).and_then(|call| call.progress.as_ref()) {
            // Full: the caller is not looking, and what it misses is no result.
            let _ = progress.try_send(data.to_owned());
        }
    }

    /// Ends calls whose deadline passed; returns when to look again.
    pub(crate) fn calls_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, number)) = self.deadlines.first().copied() {
            if at > now {
                return Some(at);
            }
            self.deadlines.pop_first();
            let Some(call) = self.calls.get(&number) else {
                continue;
            };
            // One that was sent gets the server's answer, which knows whether a provider had it.
            if call.sent && at == call.deadline {
                self.deadlines.insert((at + GRACE, number));
                continue;
            }
            let sent = call.sent;
            let error = CallError::new(Code::Timeout, "the deadline passed").maybe_executed(sent);
            self.end_call(number, Err(error));
        }
        None
    }

    /// Ends what had been sent when the connection went: nobody knows its outcome.
    pub(crate) fn lose_calls(&mut self) {
        let sent: Vec<i64> = self.calls.iter().filter(|(_, call)| call.sent).map(|(number, _)| *number).collect();
        for number in sent {
            let error = CallError::new(Code::ConnectionLost, "the connection was lost before the outcome was known");
            self.end_call(number, Err(error.maybe_executed(true)));
        }
    }

    pub(crate) fn close_calls(&mut self, code: ErrorCode, reason: &str) {
        for (_, call) in std::mem::take(&mut self.calls) {
            let error =
                CallError { code, reason: reason.to_owned(), data: None, maybe_executed: call.sent, retryable: false };
            call.end(Err(error));
        }
        self.deadlines.clear();
    }
}
