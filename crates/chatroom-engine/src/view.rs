//! What an observer may look at: read-only views of a room's tables, and which rows changed.

use std::collections::BTreeSet;

use chatroom_protocol::{ClientId, Dialect, Epoch, Sequence, TopicName, TopicType, TopicValue};

use crate::input::{ConnectionId, Time};
use crate::room::Room;
use crate::service::Caller;

/// The rows that changed since they were last asked for, by the names of their tables' keys.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Names of topics.
    pub topics: BTreeSet<String>,
    /// Names of services.
    pub services: BTreeSet<String>,
}

/// A topic.
#[derive(Clone, Copy, Debug)]
pub struct TopicView<'a> {
    /// Its name.
    pub name: &'a TopicName,
    /// Its type.
    pub kind: TopicType,
    /// Its value.
    pub value: &'a TopicValue,
    /// How many follow it.
    pub subscribers: usize,
    /// About how many bytes its value takes.
    pub bytes: usize,
    /// Its last commit.
    pub sequence: Sequence,
    /// Whether an authority decides about its changes.
    pub guarded: bool,
}

/// A service.
#[derive(Clone, Debug)]
pub struct ServiceView<'a> {
    /// How a provider is picked.
    pub pick: &'static str,
    /// Its providers, in order of registration.
    pub providers: Vec<ProviderView>,
    /// Calls that wait for a free provider.
    pub waiting: usize,
    /// Calls that have not ended, oldest first; at most as many as were asked for.
    pub calls: Vec<CallView>,
    /// Its name.
    pub name: &'a str,
}

/// A provider of a service.
#[derive(Clone, Copy, Debug)]
pub struct ProviderView {
    /// The client.
    pub client: ClientId,
    /// Calls it has.
    pub in_flight: u32,
    /// Calls it takes at a time.
    pub concurrency: u32,
}

/// A call that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct CallView {
    /// The room's number of it.
    pub call: u64,
    /// Who called.
    pub caller: ClientId,
    /// Who was asked; `None` while it waits.
    pub provider: Option<ClientId>,
    /// When it was made.
    pub since: Time,
}

/// A client.
#[derive(Clone, Debug)]
pub struct ClientView<'a> {
    /// Its id.
    pub client: ClientId,
    /// Its connection.
    pub connection: ConnectionId,
    /// How it speaks.
    pub dialect: Dialect,
    /// What it calls itself.
    pub name: Option<&'a str>,
    /// The version it gives.
    pub version: Option<&'a str>,
    /// When it connected.
    pub since: Time,
    /// How many topics it follows, and the first of them.
    pub subscriptions: usize,
    /// The first topics it follows.
    pub topics: Vec<&'a str>,
    /// The first services it provides.
    pub services: Vec<&'a str>,
    /// Its calls in flight.
    pub calls: usize,
}

impl Room {
    /// The life of the room's history.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.config.epoch
    }

    /// Where the room's order stands.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Which rows changed since this was last called; nothing unless everything is observed.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// All topics, in no order.
    pub fn topics(&self) -> impl Iterator<Item = TopicView<'_>> {
        self.topics.keys().filter_map(|name| self.topic(name.as_str()))
    }

    /// One topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicView<'_>> {
        let (name, topic) = self.topics.get_key_value(name)?;
        Some(TopicView {
            name,
            kind: topic.value.kind(),
            value: &topic.value,
            subscribers: topic.subscribers.len(),
            bytes: topic.weight,
            sequence: topic.sequence,
            guarded: self.is_guarded(name),
        })
    }

    /// The first `count` clients that follow a topic.
    #[must_use]
    pub fn subscribers(&self, name: &str, count: usize) -> Vec<ClientId> {
        let topic = self.topics.get(name);
        topic
            .into_iter()
            .flat_map(|topic| topic.subscribers.all())
            .filter_map(|connection| self.client_of(connection))
            .take(count)
            .collect()
    }

    /// The names of all services.
    pub fn service_names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(|name| name.as_str())
    }

    /// One service with at most `count` of its calls.
    #[must_use]
    pub fn service(&self, name: &str, count: usize) -> Option<ServiceView<'_>> {
        let (name, service) = self.services.get_key_value(name)?;
        let client = |connection| self.client_of(connection).unwrap_or(ClientId::SERVER);
        let providers = service
            .providers
            .iter()
            .map(|provider| ProviderView {
                client: client(provider.connection),
                in_flight: provider.in_flight,
                concurrency: provider.concurrency(),
            })
            .collect();
        let busy = !service.waiting.is_empty() || service.providers.iter().any(|provider| provider.in_flight > 0);
        let calls = busy
            .then(|| self.calls.iter())
            .into_iter()
            .flatten()
            .filter(|(_, call)| call.service_name() == name)
            .take(count)
            .map(|(id, call)| CallView {
                call: id.0,
                caller: match &call.caller {
                    Caller::Client(connection, _) => client(*connection),
                    Caller::Room(_) => ClientId::SERVER,
                },
                provider: call.provider.map(client),
                since: call.opened_at(),
            })
            .collect();
        Some(ServiceView {
            pick: service.pick.name(),
            providers,
            waiting: service.waiting.len(),
            calls,
            name: name.as_str(),
        })
    }

    /// One client with at most `count` names of each kind.
    #[must_use]
    pub fn client(&self, connection: ConnectionId, count: usize) -> Option<ClientView<'_>> {
        let session = self.sessions.get(&connection).filter(|session| session.is_client())?;
        Some(ClientView {
            client: session.client,
            connection,
            dialect: session.dialect,
            name: session.label.name.as_deref(),
            version: session.label.version.as_deref(),
            since: session.since,
            subscriptions: session.subscriptions.len(),
            topics: session.subscriptions.iter().take(count).map(TopicName::as_str).collect(),
            services: session.services.iter().take(count).map(|name| name.as_str()).collect(),
            calls: session.calls.len(),
        })
    }

    /// The connection of a client.
    #[must_use]
    pub fn connection_of(&self, client: ClientId) -> Option<ConnectionId> {
        // Both are given out in one order, but not in step: a room's clients are some of a server's connections.
        self.sessions
            .iter()
            .find(|(_, session)| session.greeted && session.client == client)
            .map(|(connection, _)| *connection)
    }
}
