//! The server as an embedding program sees it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chatroom_engine::{ConnectionId, Counts};
use chatroom_journal::{Journal, MemoryJournal};
use chatroom_protocol::RoomName;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::listener;
use crate::metrics::Metrics;
use crate::rooms::Rooms;

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
    /// Becomes true when the server is to end.
    pub(crate) ending: watch::Sender<bool>,
    next_connection: AtomicU64,
}

impl Server {
    /// Makes a server that keeps its rooms in memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_journal(config, Arc::new(MemoryJournal::default()))
    }

    fn with_journal(config: Config, journal: Arc<dyn Journal>) -> Self {
        let metrics = Arc::new(Metrics::default());
        let rooms = Rooms::new(config.clone(), Clock::start(), journal, metrics.clone());
        let shared =
            Shared { config, metrics, rooms, ending: watch::Sender::new(false), next_connection: AtomicU64::new(1) };
        Self { shared: Arc::new(shared) }
    }

    /// Serves connections of `listener` until `shutdown` is ready, then says goodbye to all clients
    /// and returns when they are gone.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        listener::serve(self.shared.clone(), listener, shutdown).await;
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
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }
}
