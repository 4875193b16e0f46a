//! The client: what ties everything together.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::heard::About;
use chatroom_protocol::message::{ClientLabel, TopicOptions};
use chatroom_protocol::{ClientId, Limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use crate::action::{Action, Transaction};
use crate::backoff::Backoff;
use crate::call::Request;
use crate::connection::{self, Plan};
use crate::connector::{Address, Connector, boxed};
use crate::core::Shared;
use crate::error::{ConnectionError, RegisterError, Rejected, ServiceError, TopicError};
use crate::kind::{Kind, Presence, Untyped};
use crate::listener::dispatch;
use crate::service::{Call, Provide};
use crate::state::State;
use crate::token::{TokenError, TokenProvider, TokenReason};
use crate::topic::Topic;
use chatroom_replica::{ErrorCode, Replica, Saved};

/// A client of one room. Cheap to clone; clones are handles to one connection, which ends with
/// [`Client::close`] or with the last handle of any kind.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) owner: Arc<Owner>,
}

/// Ends the client when nobody is left to use it.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close(State::closed());
    }
}

/// Something that no other call tells; see [`Client::notices`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A change was refused and nobody awaited its outcome.
    Rejected(Rejected),
    /// The server complained about something that nobody waits for.
    Error {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
        /// About which message.
        about: About,
    },
    /// The server refused a registration, perhaps after a reconnect.
    RegistrationRefused(RegisterError),
    /// A function of [`Topic::on`] panicked; it stays.
    ListenerPanicked {
        /// The topic.
        topic_name: String,
        /// The panic's message.
        reason: String,
    },
    /// A handler panicked; its caller was told.
    HandlerPanicked {
        /// The service.
        service_name: String,
        /// The panic's message.
        reason: String,
    },
    /// Changes of a topic were missed; its value was asked for again.
    Gap {
        /// The topic.
        topic_name: String,
        /// What did not fit.
        reason: String,
    },
    /// The server is about to close the connection.
    Goodbye {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
    },
}

impl Client {
    /// Connects to a room: `ws://HOST:PORT/` is the room `main`, `ws://HOST:PORT/rooms/NAME` any
    /// other. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the first attempt fails. A client that is to keep trying comes from
    /// [`Builder::start`].
    pub async fn connect(url: &str) -> Result<Self, ConnectionError> {
        Self::builder(url).connect().await
    }

    /// A client with options.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url, None)
    }

    /// A client on streams that a function opens, once per connection: an in-memory pipe to an
    /// embedded server, a TLS stream, a Unix socket. The WebSocket handshake runs over them.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use chatroom_client::Client;
    /// let room = Client::builder_with(|| tokio::net::TcpStream::connect("localhost:8765")).connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder_with<F, Fut, S>(connector: F) -> Builder
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Builder::new("ws://localhost/", Some(boxed(connector)))
    }

    /// Opens a topic. It is created with the kind's type if the room does not have it.
    ///
    /// # Errors
    /// A name that is none, or that this client has open with another type. What the room says of
    /// the topic, [`Topic::loaded`] and [`Topic::status`] tell.
    pub fn topic<K: Kind>(&self, name: &str) -> Result<Topic<K>, TopicError> {
        Topic::open(&self.owner, name)
    }

    /// Opens a topic with options, which count if the room does not have it yet.
    ///
    /// # Errors
    /// As [`Client::topic`].
    pub fn topic_with<K: Kind>(&self, name: &str, options: TopicOptions) -> Result<Topic<K>, TopicError> {
        let topic = self.topic(name)?;
        self.owner.shared.with(|core| core.options.insert(topic.topic_name().clone(), options));
        Ok(topic)
    }

    /// Opens a topic that exists, whatever its type.
    ///
    /// # Errors
    /// A name that is none.
    pub fn untyped(&self, name: &str) -> Result<Topic<Untyped>, TopicError> {
        self.topic(name)
    }

    /// Opens a presence topic: [`Topic::put`], [`Topic::clear`], [`Topic::mine`] and
    /// [`Topic::others`].
    ///
    /// # Errors
    /// As [`Client::topic`].
    pub fn presence<T>(&self, name: &str) -> Result<Topic<Presence<T>>, TopicError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.topic(name)
    }

    /// Sends changes of several topics that are carried out together or not at all. `name` is for
    /// whoever reads the program.
    ///
    /// ```no_run
    /// # use chatroom_client::{Client, Int, List};
    /// # async fn example(room: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let score = room.topic::<Int>("score")?;
    /// let cards = room.topic::<List<String>>("cards")?;
    /// room.action("take a card", |tx| {
    ///     tx.on(&score).add(1);
    ///     tx.on(&cards).pop(-1);
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    pub fn action(&self, name: &str, changes: impl FnOnce(&mut Transaction)) -> Action {
        let _ = name;
        let mut transaction = Transaction::default();
        changes(&mut transaction);
        self.owner.shared.act(transaction.parts, !transaction.untracked)
    }

    /// What this client is made of, for [`Builder::saved`] in the next run of the program: the session,
    /// the values of its topics and its actions that have no outcome. Actions that wait for a value,
    /// and what can be undone, are not in it.
    #[must_use]
    pub fn save(&self) -> Saved {
        self.owner.shared.with(|core| core.replica.save())
    }

    /// Calls a service. The call is made when the result is awaited, and cancelled when it is
    /// dropped.
    pub fn call<R: DeserializeOwned>(&self, service: &str, args: &(impl Serialize + ?Sized)) -> Request<R> {
        Request::new(&self.owner, service, &args)
    }

    /// Offers a service for as long as the result of awaiting this is kept.
    ///
    /// Each call runs on a task of its own, which is dropped when nobody waits for the answer any
    /// more.
    ///
    /// ```no_run
    /// # use chatroom_client::{Call, Client, ServiceError};
    /// # async fn example(room: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum = |call: Call<Vec<i64>>| async move { Ok::<_, ServiceError>(call.args.iter().sum::<i64>()) };
    /// let registration = room.provide("math/sum", sum).concurrency(8).await?;
    /// # Ok(()) }
    /// ```
    pub fn provide<A, R, E, F, Fut>(&self, service: &str, handler: F) -> Provide
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        E: Into<ServiceError>,
        F: Fn(Call<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
    {
        Provide::new(&self.owner, service, handler)
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.owner.shared.state.borrow().clone()
    }

    /// The state of the connection, now and from now on.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.owner.shared.state.subscribe()
    }

    /// Waits until the client is online.
    ///
    /// # Errors
    /// When it will not come to that by itself: it needs a token, or is closed.
    pub async fn online(&self) -> Result<(), ConnectionError> {
        use crate::state::Connectivity::{Closed, NeedsAuth, Online};
        let mut states = self.watch_state();
        let settled = |state: &State| matches!(state.connectivity, Online | NeedsAuth | Closed);
        let state = states.wait_for(settled).await.map(|state| state.clone()).unwrap_or_else(|_| State::closed());
        match (state.is_online(), state.code) {
            (true, _) => Ok(()),
            (false, code) => {
                Err(ConnectionError::new(code.unwrap_or(chatroom_protocol::Code::Closed.into()), state.reason))
            }
        }
    }

    /// What no other call tells: refusals that nobody awaited, complaints of the server, panics.
    /// A receiver that falls behind loses the oldest and is told how many.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.owner.shared.notices.subscribe()
    }

    /// This client's id in the room, while it is online. Each connection has another.
    #[must_use]
    pub fn id(&self) -> Option<ClientId> {
        self.owner.shared.with(|core| core.me())
    }

    /// The limits that the server announced; `None` before the first connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.owner.shared.with(|core| (core.connections > 0).then(|| core.limits.clone()))
    }

    /// How often changes of a topic were missed and its value asked for again.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.owner.shared.with(|core| core.replica.gaps())
    }

    /// How many own actions have no outcome yet: what would be lost if the program ended now.
    #[must_use]
    pub fn unsaved(&self) -> usize {
        self.owner.shared.with(|core| core.replica.unsaved())
    }

    /// How many changes, actions and calls have no outcome yet.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.owner.shared.with(|core| core.actions.len() + core.calls.len())
    }

    /// How often a connection was made, this one included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.owner.shared.with(|core| core.connections)
    }

    /// What this client holds, for tests and debuggers.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        self.owner.shared.with(|core| Holdings {
            topics: core.topics.len().max(core.replica.len()),
            listeners: core
                .topics
                .values()
                .map(|entry| entry.streams.len() + entry.listeners.as_ref().map_or(0, |listeners| listeners.len()))
                .sum(),
            readers: core.replica.readers(),
            services: core.services.len(),
            queued: core.queue.len() + core.replica.unsaved(),
        })
    }

    /// Asks for a token again, now that the user has logged in.
    pub fn authenticate(&self) {
        self.owner.shared.with(|core| core.authenticate = true);
        self.owner.shared.control.notify_one();
    }

    /// Tries to connect now, if the client is offline.
    pub fn reconnect(&self) {
        self.owner.shared.with(|core| core.reconnect = true);
        self.owner.shared.control.notify_one();
    }

    /// Ends the client for ever. Whatever waits is settled with the code `closed`; handles stay
    /// and do nothing more.
    pub fn close(&self) {
        self.owner.shared.close(State::closed());
    }
}

/// What a client holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holdings {
    /// Topics that are subscribed or to be subscribed.
    pub topics: usize,
    /// Streams and functions that follow topics.
    pub listeners: usize,
    /// Places in topics' histories: one per stream, and one per topic for all functions.
    pub readers: usize,
    /// Services that are offered.
    pub services: usize,
    /// Messages that wait to be sent.
    pub queued: usize,
}

/// The options of a client.
#[must_use = "a client is made by connect or start"]
pub struct Builder {
    url: String,
    connector: Option<Connector>,
    token: Option<TokenProvider>,
    label: ClientLabel,
    backoff: Backoff,
    connect_timeout: Duration,
    queue: usize,
    pipelined: bool,
    saved: Option<Saved>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Builder {
    fn new(url: &str, connector: Option<Connector>) -> Self {
        let label = ClientLabel {
            name: Some(env!("CARGO_PKG_NAME").to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        Self {
            url: url.to_owned(),
            connector,
            token: None,
            label,
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(10),
            queue: 10_000,
            pipelined: false,
            saved: None,
        }
    }

    /// Who this client is, asked before every connection. The function may hang or panic: it is
    /// given up after the connect timeout and asked again.
    pub fn token<F, Fut>(mut self, provider: F) -> Self
    where
        F: Fn(TokenReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token = Some(Box::new(move |why| Box::pin(provider(why))));
        self
    }

    /// What the handshake names as the server, for a client of [`Client::builder_with`]: a proxy
    /// or a TLS stream may need it. `wss://` is fine here, since the connector brings the TLS.
    pub fn address(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// The path of the room, for a client of [`Client::builder_with`]: `/rooms/NAME`.
    pub fn room(mut self, name: &str) -> Self {
        self.url = match self.url.split_once("://").map(|(scheme, rest)| (scheme, rest.split('/').next())) {
            Some((scheme, Some(host))) => format!("{scheme}://{host}/rooms/{name}"),
            _ => self.url,
        };
        self
    }

    /// What the program is called in the server's lists.
    pub fn label(mut self, name: &str, version: &str) -> Self {
        self.label = ClientLabel { name: Some(name.to_owned()), version: Some(version.to_owned()) };
        self
    }

    /// How long to wait between attempts.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// How long one attempt may take, and a token.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// How many changes and calls may wait to be sent; 10,000 by default. Further ones are refused
    /// with `busy`.
    pub fn queue(self, messages: usize) -> Self {
        Self { queue: messages, ..self }
    }

    /// Sends every change at once, also on a text or list while another change of it is on its way:
    /// others see it sooner, for more and smaller messages. Otherwise changes of one text or list go
    /// out together, one message at a time.
    pub fn pipelined(self, pipelined: bool) -> Self {
        Self { pipelined, ..self }
    }

    /// Goes on as the client that [`Client::save`] was called on, in a program that ran before: with
    /// its id, its values, and its actions without an outcome, which are sent again under the same
    /// numbers and count once. Refusals of those come as [`Notice::Rejected`]. That client may not
    /// be connected any more; if it is, it is closed with `replaced`.
    pub fn saved(self, saved: Saved) -> Self {
        Self { saved: Some(saved), ..self }
    }

    /// Starts the client, which keeps trying to connect. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address that is none, or a saved session that cannot be read.
    pub fn start(self) -> Result<Client, ConnectionError> {
        let connector = match self.connector {
            Some(connector) => connector,
            None => Address::parse(&self.url)?.connector()?,
        };
        let plan = Plan {
            url: Address::parse(&self.url)?.url(),
            connector,
            token: self.token.map(Arc::new),
            label: self.label,
            backoff: self.backoff,
            connect_timeout: self.connect_timeout,
        };
        let restored = self.saved.as_ref().map(Replica::restore).transpose();
        let restored = restored.map_err(|refusal| ConnectionError::new(refusal.code, refusal.reason))?;
        let runtime = Handle::current();
        let shared = Shared::new(runtime.clone(), self.queue);
        shared.with(|core| {
            if let Some(replica) = restored {
                core.restore(replica);
            }
            core.replica.pipeline(self.pipelined);
        });
        runtime.spawn(connection::run(shared.clone(), plan));
        runtime.spawn(dispatch(shared.clone()));
        Ok(Client { owner: Arc::new(Owner { shared }) })
    }

    /// Starts the client and waits for its first attempt. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Why the first attempt failed; then the client is closed.
    pub async fn connect(self) -> Result<Client, ConnectionError> {
        let client = self.start()?;
        connection::first(&client.owner.shared).await?;
        Ok(client)
    }
}
