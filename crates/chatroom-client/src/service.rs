//! Providing services.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::message::{Pick, ServiceError as WireError, ServiceOptions};
use chatroom_protocol::{ClientId, ClientMessage, Code, RequestId, ServiceName};
use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::client::{Notice, Owner};
use crate::core::{Core, Queued, Shared};
use crate::error::{RegisterError, ServiceError};
use crate::listener::panic_text;
use chatroom_replica::ErrorCode;

/// A call of a service that this client provides.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<A> {
    /// What the caller sent.
    pub args: A,
    /// The caller.
    pub by: ClientId,
    /// The server's id of the call.
    pub request_id: RequestId,
    /// When nobody waits for the answer any more.
    pub deadline: Option<Instant>,
    reporter: Reporter,
}

impl<A> Call<A> {
    /// Tells the caller how far the call got. What cannot be sent is left out: progress is no
    /// result.
    pub fn progress(&self, data: &impl Serialize) {
        self.reporter.report(data);
    }

    /// What tells the caller of progress, to be moved elsewhere.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }
}

/// Tells the caller of progress.
#[derive(Clone)]
pub struct Reporter {
    shared: std::sync::Weak<Shared>,
    request_id: RequestId,
    connection: u64,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Tells the caller how far the call got.
    pub fn report(&self, data: &impl Serialize) {
        if let (Some(shared), Ok(data)) = (self.shared.upgrade(), to_raw_value(data)) {
            shared.with(|core| {
                if core.connections == self.connection && core.queue.len() < core.waiting_max {
                    core.say_once(&ClientMessage::Progress { request_id: self.request_id.clone(), data: &data });
                }
            });
        }
    }
}

type Answer = Result<Box<RawValue>, ServiceError>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A handler whose types are hidden.
type Handler = Arc<dyn Fn(Call<Box<RawValue>>) -> Answering + Send + Sync>;

/// A service before it is offered: await it, or set its options first.
#[must_use = "a service is offered when it is awaited or started"]
pub struct Provide {
    owner: Arc<Owner>,
    name: String,
    handler: Handler,
    options: ServiceOptions,
}

impl fmt::Debug for Provide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provide").field("name", &self.name).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Provide {
    pub(crate) fn new<A, R, E, F, Fut>(owner: &Arc<Owner>, name: &str, handler: F) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        E: Into<ServiceError>,
        F: Fn(Call<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
    {
        let handler = Arc::new(move |call: Call<Box<RawValue>>| {
            let Call { args, by, request_id, deadline, reporter } = call;
            let answering = serde_json::from_str(args.get())
                .map_err(|error| ServiceError::from(format!("bad_type: the args are not what was expected: {error}")))
                .map(|args| handler(Call { args, by, request_id, deadline, reporter }));
            Box::pin(async move {
                let value = answering?.await.map_err(Into::into)?;
                to_raw_value(&value).map_err(|error| ServiceError::from(format!("the response: {error}")))
            }) as Answering
        });
        Self { owner: owner.clone(), name: name.to_owned(), handler, options: ServiceOptions::default() }
    }

    /// How the server chooses among several providers.
    pub fn pick(mut self, pick: Pick) -> Self {
        self.options.pick = Some(pick);
        self
    }

    /// How many calls this client takes at a time; 64 by default. More wait at the server.
    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.options.concurrency = concurrency;
        self
    }

    /// Whether a call may be given to another provider when this one is lost.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = idempotent;
        self
    }

    /// Offers the service without waiting for the server's word; see [`Registration::ready`].
    ///
    /// # Errors
    /// A name that is none, or that this client provides already.
    pub fn start(self) -> Result<Registration, RegisterError> {
        let refused =
            |refusal: chatroom_protocol::Refusal| RegisterError::new(refusal.code, refusal.reason, &self.name);
        let name = ServiceName::parse(&self.name).map_err(refused)?;
        let state = watch::Sender::new(RegistrationState::Waiting);
        self.owner
            .shared
            .with(|core| {
                if core.closed {
                    return Err(RegisterError::new(Code::Closed, "the client was closed", &self.name));
                }
                if core.services.contains_key(&name) {
                    let reason = format!("this client provides {name} already");
                    return Err(RegisterError::new(Code::AlreadyRegistered, reason, &self.name));
                }
                let id = core.number();
                let watched = state.subscribe();
                let providing =
                    Providing { id, handler: self.handler, options: self.options, state, running: BTreeMap::new() };
                core.services.insert(name.clone(), providing);
                // Behind the end of an earlier registration of the name, if there was one.
                if core.session.is_some()
                    && let Some(text) = core.registration_text(&name)
                {
                    core.queue.push_back(Queued::Once(text));
                    core.after().wake = true;
                }
                Ok((id, watched))
            })
            .map(|(id, state)| Registration { owner: self.owner.clone(), name, id, state, open: PhantomData })
    }
}

impl IntoFuture for Provide {
    type Output = Result<Registration, RegisterError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let registration = self.start()?;
            registration.ready().await?;
            Ok(registration)
        })
    }
}

/// Where a registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistrationState {
    /// The server has not answered on this connection, or there is none.
    Waiting,
    /// Calls come here.
    Ready,
    /// The server refused; it is asked again after a reconnect.
    Refused {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
    },
}

/// A service that is offered until this is dropped. It survives reconnects.
#[must_use = "the service is offered until the registration is dropped"]
#[derive(Debug)]
pub struct Registration {
    owner: Arc<Owner>,
    name: ServiceName,
    id: i64,
    state: watch::Receiver<RegistrationState>,
    open: PhantomData<()>,
}

impl Registration {
    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where the registration stands.
    #[must_use]
    pub fn state(&self) -> RegistrationState {
        self.state.borrow().clone()
    }

    /// Where the registration stands, now and from now on.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<RegistrationState> {
        self.state.clone()
    }

    /// Waits until calls come here.
    ///
    /// # Errors
    /// What the server said against it.
    pub async fn ready(&self) -> Result<(), RegisterError> {
        let mut state = self.state.clone();
        let closed = || RegisterError::new(Code::Closed, "the client was closed", self.name());
        match &*state.wait_for(|state| *state != RegistrationState::Waiting).await.map_err(|_| closed())? {
            RegistrationState::Refused { code, reason } => Err(RegisterError::new(*code, reason.clone(), self.name())),
            _ => Ok(()),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let gone = self.owner.shared.with(|core| core.unregister(&self.name, self.id));
        // The handler is the application's, and may hold handles of this client.
        drop(gone);
    }
}

/// A service that this client provides.
pub(crate) struct Providing {
    id: i64,
    handler: Handler,
    options: ServiceOptions,
    state: watch::Sender<RegistrationState>,
    running: BTreeMap<RequestId, AbortHandle>,
}

impl fmt::Debug for Providing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providing")
            .field("options", &self.options)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Drop for Providing {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Providing {
    fn abort(&mut self) {
        std::mem::take(&mut self.running).into_values().for_each(|task| task.abort());
    }
}

impl Core {
    pub(crate) fn registration_text(&mut self, name: &ServiceName) -> Option<String> {
        let providing = self.services.get(name)?;
        *self.registering.entry(name.clone()).or_default() += 1;
        Some(ClientMessage::RegisterService { service_name: name.clone(), options: providing.options.clone() }.text())
    }

    /// The server answered a registration.
    pub(crate) fn registered(&mut self, name: &ServiceName, answer: Result<(), (ErrorCode, String)>) {
        // An answer to an earlier registration of the name says nothing of the present one.
        match self.registering.get_mut(name) {
            Some(unanswered) if *unanswered > 1 => {
                *unanswered -= 1;
                return;
            }
            _ => self.registering.remove(name),
        };
        let state = match answer {
            Ok(()) => RegistrationState::Ready,
            Err((code, reason)) => {
                if !self.services.contains_key(name) {
                    return;
                }
                let error = RegisterError::new(code, reason.clone(), name.as_str());
                self.after().notices.push(Notice::RegistrationRefused(error));
                RegistrationState::Refused { code, reason }
            }
        };
        if let Some(providing) = self.services.get(name) {
            providing.state.send_replace(state);
        }
    }

    fn unregister(&mut self, name: &ServiceName, id: i64) -> Option<Providing> {
        if self.services.get(name).is_none_or(|providing| providing.id != id) {
            return None;
        }
        let gone = self.services.remove(name);
        let unsent = self.to_register.iter().any(|waiting| waiting == name);
        self.to_register.retain(|waiting| waiting != name);
        if !unsent && self.session.is_some() {
            self.say_once(&ClientMessage::UnregisterService { service_name: name.clone() });
        }
        gone
    }

    /// Somebody calls a service of this client.
    pub(crate) fn requested(
        &mut self,
        shared: &Arc<Shared>,
        service: &ServiceName,
        args: &RawValue,
        request_id: RequestId,
        timeout_ms: Option<u64>,
        by: ClientId,
    ) {
        let Some(providing) = self.services.get_mut(service) else {
            return self.respond(&request_id, &Err("the service was taken back".into()));
        };
        if providing.running.len() >= providing.options.concurrency as usize {
            return self.respond(&request_id, &Err("this provider has all the calls it takes".into()));
        }
        let connection = self.connections;
        let reporter = Reporter { shared: Arc::downgrade(shared), request_id: request_id.clone(), connection };
        let call = Call {
            args: args.to_owned(),
            by,
            request_id: request_id.clone(),
            deadline: timeout_ms.and_then(|left| Instant::now().checked_add(Duration::from_millis(left))),
            reporter,
        };
        let (handler, name, answered) = (providing.handler.clone(), service.clone(), request_id.clone());
        let memory = Arc::downgrade(shared);
        let task = shared.runtime.spawn(async move {
            let answer = AssertUnwindSafe(async move { handler(call).await }).catch_unwind().await;
            let Some(shared) = memory.upgrade() else {
                return;
            };
            let answer = answer.unwrap_or_else(|panic| {
                let reason = panic_text(&*panic);
                shared.notice(Notice::HandlerPanicked { service_name: name.to_string(), reason: reason.clone() });
                Err(ServiceError::from(format!("the handler panicked: {reason}")))
            });
            shared.with(|core| core.answered(&name, connection, &answered, &answer));
        });
        providing.running.insert(request_id, task.abort_handle());
    }

    fn answered(&mut self, service: &ServiceName, connection: u64, request_id: &RequestId, answer: &Answer) {
        if connection != self.connections {
            return;
        }
        if let Some(providing) = self.services.get_mut(service) {
            providing.running.remove(request_id);
        }
        self.respond(request_id, answer);
    }

    fn respond(&mut self, request_id: &RequestId, answer: &Answer) {
        if self.session.is_none() {
            return;
        }
        let mut text = response(request_id, answer);
        if text.len() > self.limits.message_bytes {
            let reason =
                format!("too_big: the response has {} bytes, at most {} fit", text.len(), self.limits.message_bytes);
            text = response(request_id, &Err(reason.into()));
        }
        self.queue.push_back(Queued::Once(text));
        self.after().wake = true;
    }

    pub(crate) fn request_cancelled(&mut self, request_id: &RequestId) {
        for providing in self.services.values_mut() {
            if let Some(task) = providing.running.remove(request_id) {
                task.abort();
            }
        }
    }

    /// The connection is gone, and with it whoever waits for an answer.
    pub(crate) fn lose_requests(&mut self) {
        for providing in self.services.values_mut() {
            providing.abort();
            providing.state.send_replace(RegistrationState::Waiting);
        }
    }

    pub(crate) fn close_services(&mut self, code: ErrorCode, reason: &str) {
        for providing in self.services.values_mut() {
            providing.abort();
            providing.state.send_replace(RegistrationState::Refused { code, reason: reason.to_owned() });
        }
    }
}

fn response(request_id: &RequestId, answer: &Answer) -> String {
    let data = answer.as_ref().err().and_then(|error| error.data.as_ref()).and_then(|data| to_raw_value(data).ok());
    let result = match answer {
        Ok(value) => Ok(&**value),
        Err(error) => Err(WireError {
            code: error.code.max(Code::APPLICATION_MIN),
            message: error.message.clone(),
            data: data.as_deref(),
        }),
    };
    ClientMessage::Response { request_id: request_id.clone(), result }.text()
}
