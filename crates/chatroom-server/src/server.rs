//! The server as an embedding program sees it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use chatroom_engine::{ConnectionId, Counts, Time};
use chatroom_protocol::{ClientId, RoomName};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::builder::{Builder, Hooks};
use crate::clock::Clock;
use crate::config::Config;
use crate::debugger::{self, Hub};
use crate::fault::Fault;
use crate::http;
use crate::listener::{self, Alive};
use crate::metrics::Metrics;
use crate::room_task::Store;
use crate::rooms::Rooms;

/// What a connection inside the process holds in each direction before its writer waits.
const PIPE_BYTES: usize = 64 << 10;

/// A ChatRoom server. Cheap to clone: clones are handles to one server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rooms: Rooms,
    clock: Clock,
    started: Time,
    /// Becomes true when the server is to end.
    pub(crate) ending: watch::Sender<bool>,
    pub(crate) alive: Alive,
    /// The first address it serves at.
    pub(crate) address: OnceLock<SocketAddr>,
    next_connection: AtomicU64,
}

impl Server {
    /// Makes a server that keeps its rooms in memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_hooks(config, Hooks::default())
    }

    /// Puts a server together step by step: with services, validators and hooks of its own.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn with_hooks(config: Config, hooks: Hooks) -> Self {
        let store = hooks.journal.clone().map(|journal| Store { journal, keep: config.keep });
        let metrics = Arc::new(Metrics::default());
        let clock = Clock::start();
        let rooms = Rooms::new(config.clone(), hooks, clock, store, metrics.clone());
        let shared = Shared {
            config,
            metrics,
            rooms,
            clock,
            started: clock.now(),
            ending: watch::Sender::new(false),
            alive: Alive::default(),
            address: OnceLock::new(),
            next_connection: AtomicU64::new(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves connections of `listener` until `shutdown` is ready, then says goodbye to all clients
    /// and returns when they are gone.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        if let Ok(address) = listener.local_addr() {
            // A second listener is one more way to the same rooms.
            let _ = self.shared.address.set(address);
        }
        listener::serve(self.shared.clone(), listener, shutdown).await;
    }

    /// Serves the debugger's page at `listener` until the server ends. It shows something only if the
    /// configuration has a debugger. For several addresses, call it for each.
    pub async fn serve_debugger(&self, listener: TcpListener) {
        let router = debugger::router(self.shared.clone());
        let mut ending = self.shared.ending.subscribe();
        listener::accept(&self.shared, &listener, &router, listener::ended(&mut ending)).await;
    }

    /// All that the server answers over HTTP, to be mounted in another axum router: the rooms at `/`
    /// and `/rooms/NAME`, the pages, `/healthz` and `/metrics`. [`Server::close`] ends its connections.
    pub fn router(&self) -> Router {
        http::router(self.shared.clone())
    }

    /// Says goodbye to all clients and returns when they are gone. [`Server::serve`] does so by itself.
    pub async fn close(&self) {
        listener::close(&self.shared).await;
    }

    /// Opens a connection inside the process: what is written to it is read as if it had come to a
    /// listener. A client library takes it in place of a socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn open(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let router = http::router(self.shared.clone());
        tokio::spawn(listener::serve_http(self.shared.clone(), ours, None, router));
        theirs
    }

    /// Does something bad to one client's connection, as networks do; false if there is no such client.
    pub async fn inflict(&self, room: &RoomName, client: ClientId, fault: Fault) -> bool {
        self.shared.rooms.inflict(room, client, fault).await
    }

    /// What a room holds; `None` if it is not in memory.
    pub async fn counts(&self, room: &RoomName) -> Option<Counts> {
        self.shared.rooms.counts(room).await
    }

    /// How many rooms are in memory.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.shared.rooms.len()
    }
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now().0
    }

    pub(crate) fn started_ms(&self) -> u64 {
        self.started.0
    }

    pub(crate) fn hub(&self) -> &Hub {
        self.rooms.hub()
    }

    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}
