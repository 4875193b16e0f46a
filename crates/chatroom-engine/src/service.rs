//! Services: which clients provide them, which one is asked, and how each call ends.

use std::collections::{BTreeSet, VecDeque};

use chatroom_protocol::message::{Pick, ServiceError, ServiceOptions};
use chatroom_protocol::{ClientId, Code, Dialect, Refusal, RequestId, ServerMessage, ServiceName};
use serde_json::value::RawValue;

use crate::input::{ConnectionId, Time};
use crate::observe::{Answered, CallFailure, Observation, Provision};
use crate::room::Room;
use crate::session::About;
use crate::validation::Question;

/// The server's number of a call, which is its `request_id` towards the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallId(pub(crate) u64);

/// A service and its providers in the order of their registration.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) pick: Pick,
    pub(crate) providers: Vec<Provider>,
    pub(crate) waiting: VecDeque<CallId>,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) connection: ConnectionId,
    concurrency: u32,
    idempotent: bool,
    pub(crate) in_flight: u32,
    /// When it was last asked, counted in calls: breaks ties and makes turns.
    last_asked: u64,
}

/// A call that has not ended.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    service_name: ServiceName,
    args: Box<RawValue>,
    opened_at: Time,
    deadline: Time,
    /// Who has it now; `None` while it waits for a free provider.
    pub(crate) provider: Option<ConnectionId>,
    maybe_executed: bool,
}

/// A call to one of the server's own services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) service_name: &'a ServiceName,
    pub(crate) args: &'a RawValue,
    pub(crate) request_id: &'a RequestId,
    pub(crate) deadline: Time,
}

/// Who wants the answer.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A client, under its own id of the call.
    Client(ConnectionId, RequestId),
    /// The room itself, which asks an authority about a change.
    Room(Question),
}

impl Provider {
    pub(crate) fn concurrency(&self) -> u32 {
        self.concurrency
    }
}

impl Call {
    pub(crate) fn service_name(&self) -> &ServiceName {
        &self.service_name
    }

    pub(crate) fn opened_at(&self) -> Time {
        self.opened_at
    }
}

impl Service {
    fn choose(&mut self) -> Option<&mut Provider> {
        let pick = self.pick;
        let free = self.providers.iter_mut().filter(|provider| provider.in_flight < provider.concurrency);
        match pick {
            Pick::First => { free }.next(),
            Pick::RoundRobin => free.min_by_key(|provider| provider.last_asked),
            Pick::LeastBusy => free.min_by_key(|provider| (provider.in_flight, provider.last_asked)),
        }
    }
}

impl Room {
    pub(crate) fn register(
        &mut self,
        connection: ConnectionId,
        name: &ServiceName,
        options: &ServiceOptions,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&connection) else {
            return Ok(());
        };
        if session.services.contains(name) {
            return Err(Refusal::new(Code::AlreadyRegistered, format!("this client provides {name} already")));
        }
        if session.services.len() >= self.config.limits.services_per_client && !session.client.is_server() {
            return Err(Refusal::new(
                Code::LimitReached,
                format!("a client has at most {} registrations", self.config.limits.services_per_client),
            ));
        }
        if name.is_reserved() {
            self.register_authority(connection, name)?;
        } else {
            let service = self.services.entry(name.clone()).or_insert_with(|| Service {
                pick: options.pick.unwrap_or_default(),
                providers: Vec::new(),
                waiting: VecDeque::new(),
            });
            if let Some(pick) = options.pick.filter(|pick| *pick != service.pick) {
                return Err(Refusal::new(
                    Code::AlreadyRegistered,
                    format!(
                        "{name} picks its providers by {:?}, not {:?}; leave pick out",
                        service.pick.name(),
                        pick.name()
                    ),
                ));
            }
            service.providers.push(Provider {
                connection,
                concurrency: options.concurrency,
                idempotent: options.idempotent,
                in_flight: 0,
                last_asked: 0,
            });
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.services.insert(name.clone());
            // Before the first call that it may be given.
            if session.dialect == Dialect::V1 {
                self.reply(connection, &ServerMessage::Registered { service_name: name.as_str() });
            }
        }
        self.provision(connection, name, Provision::Registered);
        self.service_touched(name);
        self.set_status(format!("service {name} registered"));
        self.serve_waiting(name);
        Ok(())
    }

    pub(crate) fn unregister(&mut self, connection: ConnectionId, name: &ServiceName) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        if !session.services.remove(name) {
            return Err(Refusal::new(Code::NotRegistered, format!("this client does not provide {name}")));
        }
        let answering = session.answering.clone();
        self.provision(connection, name, Provision::Unregistered);
        if name.is_reserved() {
            self.authority_gone(connection, name, true);
        } else {
            self.leave_service(connection, name);
        }
        self.lose_calls(
            answering
                .into_iter()
                .filter(|id| self.calls.get(id).is_some_and(|call| call.service_name == *name))
                .collect(),
        );
        self.set_status(format!("service {name} unregistered"));
        self.end_service_if_unprovided(name);
        Ok(())
    }

    /// Removes a lost client from all it provided, and ends or moves the calls it had.
    pub(crate) fn provider_gone(
        &mut self,
        connection: ConnectionId,
        client: ClientId,
        services: &BTreeSet<ServiceName>,
        answering: &BTreeSet<CallId>,
    ) {
        for name in services {
            self.observe(|_| Observation::Service { service_name: name.clone(), client, what: Provision::Lost });
            if name.is_reserved() {
                self.authority_gone(connection, name, false);
            } else {
                self.leave_service(connection, name);
            }
        }
        self.lose_calls(answering.iter().copied().collect());
        for name in services {
            self.end_service_if_unprovided(name);
        }
    }

    fn provision(&mut self, connection: ConnectionId, name: &ServiceName, what: Provision) {
        self.observe(|room| Observation::Service {
            service_name: name.clone(),
            client: room.client_of(connection).unwrap_or(ClientId::SERVER),
            what,
        });
    }

    fn leave_service(&mut self, connection: ConnectionId, name: &ServiceName) {
        if let Some(service) = self.services.get_mut(name) {
            let retries =
                service.providers.iter().any(|provider| provider.connection == connection && provider.idempotent);
            service.providers.retain(|provider| provider.connection != connection);
            if retries {
                self.retrying.insert(name.clone());
            }
            self.service_touched(name);
        }
    }

    fn lose_calls(&mut self, lost: Vec<CallId>) {
        for id in lost {
            let Some(call) = self.calls.get_mut(&id) else {
                continue;
            };
            if let Some(provider) = call.provider.take()
                && let Some(session) = self.sessions.get_mut(&provider)
            {
                session.answering.remove(&id);
            }
            let name = call.service_name.clone();
            if let Caller::Room(question) = call.caller {
                self.remove_call(id);
                self.ask_again(question);
            } else if self.retrying.contains(&name)
                && let Some(service) = self.services.get_mut(&name).filter(|service| !service.providers.is_empty())
            {
                service.waiting.push_front(id);
                self.serve_waiting(&name);
            } else {
                let refusal = Refusal::new(Code::ProviderLost, format!("the provider of {name} left during the call"));
                self.fail_call(id, &refusal);
            }
        }
        self.retrying.clear();
    }

    fn end_service_if_unprovided(&mut self, name: &ServiceName) {
        if self.services.get(name).is_some_and(|service| service.providers.is_empty())
            && let Some(service) = self.services.remove(name)
        {
            let refusal = Refusal::new(Code::NoProvider, format!("nobody provides {name} any more"));
            for id in service.waiting {
                self.fail_call(id, &refusal);
            }
            self.service_touched(name);
        }
    }

    pub(crate) fn request(
        &mut self,
        connection: ConnectionId,
        name: &ServiceName,
        args: &RawValue,
        request_id: RequestId,
        timeout_ms: Option<u64>,
    ) {
        let Some(session) = self.sessions.get(&connection) else {
            return;
        };
        let limits = self.config.limits.clone();
        if session.calls.contains_key(&request_id) {
            // Not a response: that would end the call which has the id.
            let refusal = Refusal::new(
                Code::DuplicateRequest,
                format!("the request {request_id} is still in flight; take another id"),
            );
            return self.complain(connection, &refusal, &About::call(name, &request_id));
        }
        let refusal = if session.calls.len() >= limits.calls_per_client && !session.client.is_server() {
            Refusal::new(
                Code::LimitReached,
                format!("a client has at most {} calls in flight", limits.calls_per_client),
            )
        } else if name.is_reserved() {
            let deadline = self.deadline(timeout_ms);
            return self.call_special(&Asked {
                connection,
                service_name: name,
                args,
                request_id: &request_id,
                deadline,
            });
        } else if let Some(service) = self.services.get(name) {
            let full = service.providers.iter().all(|provider| provider.in_flight >= provider.concurrency);
            if !full || service.waiting.len() < limits.waiting_calls {
                let deadline = self.deadline(timeout_ms);
                let id =
                    self.open_call(Caller::Client(connection, request_id.clone()), name, args.to_owned(), deadline);
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.calls.insert(request_id, id);
                }
                if let Some(service) = self.services.get_mut(name) {
                    service.waiting.push_back(id);
                }
                self.serve_waiting(name);
                return;
            }
            Refusal::new(
                Code::Busy,
                format!("all providers of {name} are busy and {} calls wait", service.waiting.len()),
            )
        } else {
            Refusal::new(Code::NoProvider, format!("nobody provides {name}"))
        };
        self.observe(|room| {
            Observation::Answered(Answered {
                call: None,
                service_name: name.clone(),
                caller: room.client_of(connection).unwrap_or(ClientId::SERVER),
                provider: None,
                args: args.to_owned(),
                outcome: Err((&refusal).into()),
                maybe_executed: false,
            })
        });
        self.respond_refusal(connection, &request_id, &refusal, false);
    }

    fn deadline(&self, timeout_ms: Option<u64>) -> Time {
        let limits = &self.config.limits;
        self.now.after_ms(timeout_ms.unwrap_or(limits.call_timeout_ms).min(limits.call_timeout_ms_max))
    }

    /// Ends a call that the room itself works on.
    pub(crate) fn answer_own(&mut self, id: CallId, result: Result<&RawValue, &Refusal>) {
        match result {
            Err(refusal) => self.fail_call(id, refusal),
            Ok(response) => {
                let Some(call) = self.remove_call(id) else { return };
                if let Caller::Client(caller, request_id) = &call.caller {
                    self.observe_answer(id, &call, None, || Ok(response.to_owned()));
                    self.respond(*caller, request_id, Ok(response));
                }
            }
        }
    }

    pub(crate) fn open_call(
        &mut self,
        caller: Caller,
        name: &ServiceName,
        args: Box<RawValue>,
        deadline: Time,
    ) -> CallId {
        self.next_call += 1;
        self.tally.calls += 1;
        let id = CallId(self.next_call);
        let observed = matches!(caller, Caller::Client(..));
        let opened_at = self.now;
        let call = Call {
            caller,
            service_name: name.clone(),
            args,
            opened_at,
            deadline,
            provider: None,
            maybe_executed: false,
        };
        self.calls.insert(id, call);
        if observed {
            self.observe(|_| Observation::Called { call: id.0 });
        }
        self.call_deadlines.insert((deadline, id));
        id
    }

    /// Gives waiting calls to providers that have room.
    fn serve_waiting(&mut self, name: &ServiceName) {
        loop {
            let Some(service) = self.services.get_mut(name) else {
                return;
            };
            if service.waiting.is_empty() {
                break;
            }
            let Some(provider) = service.choose() else {
                break;
            };
            provider.in_flight += 1;
            self.next_asked += 1;
            provider.last_asked = self.next_asked;
            let connection = provider.connection;
            let Some(id) = service.waiting.pop_front() else {
                break;
            };
            self.ask(id, connection);
        }
        self.service_touched(name);
    }

    /// Sends a call to a provider.
    pub(crate) fn ask(&mut self, id: CallId, provider: ConnectionId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&provider) else {
            return;
        };
        call.provider = Some(provider);
        call.maybe_executed = true;
        session.answering.insert(id);
        let dialect = session.dialect;
        let by = match &call.caller {
            Caller::Client(connection, _) => self.sessions.get(connection).map(|session| session.client),
            Caller::Room(_) => Some(chatroom_protocol::ClientId::SERVER),
        };
        let (timeout_ms, by) = match dialect {
            Dialect::Seed => (None, None),
            Dialect::V1 => (Some(call.deadline.since_ms(self.now)), by),
        };
        let request = ServerMessage::Request {
            service_name: call.service_name.as_str(),
            args: &call.args,
            request_id: id.0,
            timeout_ms,
            by,
        };
        let frames = request.frame().bytes().clone();
        let delivery = crate::effect::Delivery::reply();
        self.out.push(crate::effect::Effect::Send { to: provider, frames, delivery });
    }

    /// The call that this client was asked to answer under that id.
    fn asked(&self, connection: ConnectionId, request_id: &RequestId) -> Result<CallId, Refusal> {
        let id = match request_id {
            RequestId::Number(number) => u64::try_from(*number).ok().map(CallId),
            RequestId::Text(_) => None,
        };
        id.filter(|id| self.calls.get(id).is_some_and(|call| call.provider == Some(connection))).ok_or_else(|| {
            Refusal::new(Code::UnknownRequest, format!("no request {request_id} waits for this client's answer"))
        })
    }

    pub(crate) fn answer(
        &mut self,
        connection: ConnectionId,
        request_id: &RequestId,
        result: Result<&RawValue, ServiceError<'_>>,
    ) -> Result<(), Refusal> {
        let id = self.asked(connection, request_id)?;
        let Some(call) = self.remove_call(id) else {
            return Ok(());
        };
        match call.caller {
            Caller::Room(question) => self.authority_answered(question, connection, result),
            Caller::Client(caller, ref request_id) => {
                self.observe_answer(id, &call, Some(connection), || match &result {
                    Ok(response) => Ok((*response).to_owned()),
                    Err(error) => Err(CallFailure { code: error.code, reason: error.message.to_string() }),
                });
                self.respond(caller, request_id, result);
            }
        }
        Ok(())
    }

    fn respond(&mut self, caller: ConnectionId, request_id: &RequestId, result: Result<&RawValue, ServiceError<'_>>) {
        let Some(session) = self.sessions.get(&caller) else {
            return;
        };
        let dialect = session.dialect;
        let response = match result {
            Ok(response) => ServerMessage::Response { response, request_id, error: None, maybe_executed: None },
            Err(error) => {
                if dialect == Dialect::Seed {
                    self.tell_client(caller, format!("error {}: {} (request {request_id})", error.code, error.message));
                }
                let error = (dialect == Dialect::V1).then_some(error);
                ServerMessage::Response { response: RawValue::NULL, request_id, error, maybe_executed: None }
            }
        };
        self.reply(caller, &response);
    }

    pub(crate) fn progress(
        &mut self,
        connection: ConnectionId,
        request_id: &RequestId,
        data: &RawValue,
    ) -> Result<(), Refusal> {
        let id = self.asked(connection, request_id)?;
        let Some(Call { caller: Caller::Client(caller, request_id), .. }) = self.calls.get(&id) else {
            return Ok(());
        };
        if self.sessions.get(caller).is_some_and(|session| session.dialect == Dialect::V1) {
            let (caller, frames) = (*caller, ServerMessage::Progress { request_id, data }.frame().bytes().clone());
            let delivery = crate::effect::Delivery::reply();
            self.out.push(crate::effect::Effect::Send { to: caller, frames, delivery });
        }
        Ok(())
    }

    pub(crate) fn cancel(&mut self, connection: ConnectionId, request_id: &RequestId) -> Result<(), Refusal> {
        let id = self.sessions.get(&connection).and_then(|session| session.calls.get(request_id)).copied().ok_or_else(
            || Refusal::new(Code::UnknownRequest, format!("this client has no request {request_id} in flight")),
        )?;
        self.withdraw(id);
        self.fail_call(id, &Refusal::new(Code::Cancelled, "the caller cancelled the call"));
        Ok(())
    }

    pub(crate) fn caller_gone(&mut self, calls: impl Iterator<Item = CallId>) {
        for id in calls {
            self.withdraw(id);
            if let Some(call) = self.remove_call(id) {
                let gone = Refusal::new(Code::Cancelled, "the caller left during the call");
                self.observe_answer(id, &call, call.provider, || Err((&gone).into()));
            }
        }
    }

    fn observe_answer(
        &mut self,
        id: CallId,
        call: &Call,
        provider: Option<ConnectionId>,
        outcome: impl FnOnce() -> Result<Box<RawValue>, CallFailure>,
    ) {
        let Caller::Client(caller, _) = &call.caller else {
            return;
        };
        self.observe(|room| {
            let outcome = outcome();
            Observation::Answered(Answered {
                call: Some(id.0),
                service_name: call.service_name.clone(),
                caller: room.client_of(*caller).unwrap_or(ClientId::SERVER),
                provider: provider.and_then(|provider| room.client_of(provider)),
                args: call.args.clone(),
                maybe_executed: outcome.is_err() && call.maybe_executed,
                outcome,
            })
        });
    }

    /// Ends every call whose deadline has passed.
    pub(crate) fn expire_calls(&mut self) {
        while let Some((deadline, id)) =
            self.call_deadlines.first().copied().filter(|(deadline, _)| *deadline <= self.now)
        {
            self.call_deadlines.remove(&(deadline, id));
            self.withdraw(id);
            let Some(call) = self.calls.get(&id) else {
                continue;
            };
            if let Caller::Room(question) = call.caller {
                self.remove_call(id);
                self.authority_silent(question);
            } else {
                let name = call.service_name.clone();
                self.fail_call(id, &Refusal::new(Code::Timeout, format!("{name} did not answer within the deadline")));
            }
        }
    }

    /// Tells a v1 provider that nobody waits for its answer any more.
    fn withdraw(&mut self, id: CallId) {
        let Some(provider) = self.calls.get(&id).and_then(|call| call.provider) else {
            return;
        };
        if self.sessions.get(&provider).is_some_and(|session| session.dialect == Dialect::V1) {
            self.reply(provider, &ServerMessage::Cancel { request_id: id.0 });
        }
    }

    fn fail_call(&mut self, id: CallId, refusal: &Refusal) {
        if let Some(call) = self.remove_call(id)
            && let Caller::Client(caller, ref request_id) = call.caller
        {
            self.observe_answer(id, &call, call.provider, || Err(refusal.into()));
            self.respond_refusal(caller, request_id, refusal, call.maybe_executed);
        }
    }

    /// Takes a call out of every list it stands in, and gives its place to the next one.
    fn remove_call(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.archive.forget(id);
        self.call_deadlines.remove(&(call.deadline, id));
        if let Caller::Client(caller, request_id) = &call.caller
            && let Some(session) = self.sessions.get_mut(caller)
        {
            session.calls.remove(request_id);
        }
        if let Some(connection) = call.provider
            && let Some(session) = self.sessions.get_mut(&connection)
        {
            session.answering.remove(&id);
        }
        if let Some(service) = self.services.get_mut(&call.service_name) {
            match call.provider {
                Some(connection) => {
                    let asked = service.providers.iter_mut().find(|provider| provider.connection == connection);
                    if let Some(provider) = asked {
                        provider.in_flight = provider.in_flight.saturating_sub(1);
                    }
                }
                None => service.waiting.retain(|waiting| *waiting != id),
            }
            let name = call.service_name.clone();
            self.serve_waiting(&name);
        }
        Some(call)
    }
}
