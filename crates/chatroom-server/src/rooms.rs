//! Which rooms there are, and the way to each.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatroom_engine::{ConnectionId, Counts, Keeping, Observe, RoomConfig};
use chatroom_journal::Stats;
use chatroom_protocol::{ClientId, Code, Dialect, Epoch, Refusal, RoomName, TopicName};
use tokio::sync::{mpsc, oneshot};
use tungstenite::Utf8Bytes;

use crate::builder::Hooks;
use crate::clock::Clock;
use crate::config::Config;
use crate::debugger::{Feed, Hub, Wish};
use crate::fault::{Fault, Faults};
use crate::host::{Ask, Host, Outcome};
use crate::listener::{Alive, Living};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::room_task::{Part, RoomTask, Store};
use crate::workers::Workers;

/// How many inputs may wait for a room before its clients' sockets are no longer read.
const INBOX: usize = 256;

/// What connections tell a room.
#[derive(Debug)]
pub(crate) enum Told {
    Opened {
        connection: ConnectionId,
        dialect: Dialect,
        outbox: Arc<Outbox>,
        faults: Arc<Faults>,
        address: Option<SocketAddr>,
    },
    Received {
        connection: ConnectionId,
        message: Utf8Bytes,
    },
    Drained {
        connection: ConnectionId,
        topics: Vec<TopicName>,
    },
    Closed {
        connection: ConnectionId,
    },
    Count {
        answer: oneshot::Sender<Counts>,
    },
    /// The server ends: the room shall be saved, and go.
    End,
    /// Client 0 has something to say.
    Said {
        message: String,
    },
    /// Something is to be done as client 0.
    Ask {
        ask: Ask,
        outcome: Outcome,
    },
    Debug(Wish),
    Inflict {
        client: ClientId,
        fault: Fault,
        done: oneshot::Sender<bool>,
    },
}

pub(crate) type Inbox = mpsc::Sender<Told>;

/// The rooms in memory.
#[derive(Clone)]
pub(crate) struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    inboxes: Mutex<HashMap<RoomName, Inbox>>,
    config: Config,
    hooks: Hooks,
    hub: Arc<Hub>,
    clock: Clock,
    store: Option<Store>,
    /// The rooms' tasks.
    alive: Alive,
    workers: Workers,
    metrics: Arc<Metrics>,
    next_epoch: AtomicU64,
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("count", &self.len()).finish()
    }
}

impl Rooms {
    pub(crate) fn new(config: Config, hooks: Hooks, clock: Clock, store: Option<Store>, metrics: Arc<Metrics>) -> Self {
        let workers = hooks.workers.clone();
        // Rooms in memory do not outlive the server, so its start tells their lives apart.
        let next_epoch = AtomicU64::new(clock.now().0);
        let shared = Shared {
            inboxes: Mutex::default(),
            config,
            hooks,
            hub: Arc::default(),
            clock,
            store,
            alive: Alive::default(),
            workers,
            metrics,
            next_epoch,
        };
        Self { shared: Arc::new(shared) }
    }

    fn inboxes(&self) -> MutexGuard<'_, HashMap<RoomName, Inbox>> {
        self.shared.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to a room, which is made if it is not there.
    pub(crate) fn enter(&self, name: &RoomName) -> Result<Inbox, Refusal> {
        let mut inboxes = self.inboxes();
        if let Some(inbox) = inboxes.get(name).filter(|inbox| !inbox.is_closed()) {
            return Ok(inbox.clone());
        }
        let limit = self.shared.config.limits.rooms;
        if inboxes.len() >= limit {
            return Err(Refusal::new(Code::LimitReached, format!("the server has its {limit} rooms")));
        }
        let (inbox, told) = mpsc::channel(INBOX);
        inboxes.insert(name.clone(), inbox.clone());
        drop(inboxes);
        let Shared { config, hooks, clock, store, metrics, next_epoch, .. } = &*self.shared;
        let observe = match (&config.debugger, &hooks.on_commit) {
            (Some(_), _) => Observe::Everything,
            (None, Some(_)) => Observe::Commits,
            (None, None) => Observe::Nothing,
        };
        let room = RoomConfig {
            name: name.clone(),
            epoch: Epoch(next_epoch.fetch_add(1, Ordering::Relaxed)),
            limits: config.limits.clone(),
            no_authority: config.no_authority,
            keeping: if store.is_some() { Keeping::Journal } else { Keeping::Memory },
            observe,
            rules: hooks.rules.clone(),
        };
        let hosts = config.debugger.is_some() || !hooks.services.is_empty();
        let host = hosts.then(|| Host::new(name.clone(), hooks.services.clone(), inbox.downgrade()));
        let feed = config.debugger.as_ref().map(|_| Box::new(Feed::new(self.shared.hub.clone(), name.clone())));
        let part = Part { host, feed, on_commit: hooks.on_commit.clone() };
        let task = RoomTask::new(room, part, *clock, store.clone(), metrics.clone());
        let (rooms, living): (Self, Living) = (self.clone(), self.shared.alive.one());
        self.shared.workers.spawn(name, async move {
            task.run(told, rooms).await;
            drop(living);
        });
        Ok(inbox)
    }

    /// Takes a room off the list unless somebody is on the way to it; does `then` before anybody else
    /// can open it again.
    pub(crate) fn leave(&self, name: &RoomName, told: &mpsc::Receiver<Told>, then: impl FnOnce()) -> bool {
        let mut inboxes = self.inboxes();
        // One sender is the one in the map; under its lock nobody can get another.
        let unused = told.is_empty() && told.sender_strong_count() == 1;
        if unused {
            then();
            inboxes.remove(name);
        }
        unused
    }

    /// Takes a room off the list.
    pub(crate) fn remove(&self, name: &RoomName) {
        self.inboxes().remove(name);
    }

    /// Saves all rooms, waits for their end, and closes the journal.
    pub(crate) async fn close(&self) {
        let inboxes: Vec<Inbox> = self.inboxes().values().cloned().collect();
        for inbox in inboxes {
            // One that ended by itself has nothing left to save.
            let _ = inbox.send(Told::End).await;
        }
        self.shared.alive.all_gone().await;
        if let Some(store) = &self.shared.store
            && let Err(error) = store.journal.close().await
        {
            tracing::error!(%error, "the journal could not be closed");
        }
    }

    /// What the journal has done, if there is one that counts.
    pub(crate) fn journal_stats(&self) -> Option<&Stats> {
        self.shared.store.as_ref()?.journal.stats()
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.shared.workers
    }

    /// About how many clients a room has.
    pub(crate) fn clients(&self, name: &RoomName) -> usize {
        // Each of them holds a sender.
        self.inboxes().get(name).map_or(0, |inbox| inbox.strong_count() - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.inboxes().len()
    }

    pub(crate) async fn inflict(&self, name: &RoomName, client: ClientId, fault: Fault) -> bool {
        let Some(inbox) = self.inboxes().get(name).cloned() else {
            return false;
        };
        let (done, answer) = oneshot::channel();
        inbox.send(Told::Inflict { client, fault, done }).await.is_ok() && answer.await.unwrap_or(false)
    }

    pub(crate) async fn counts(&self, name: &RoomName) -> Option<Counts> {
        let inbox = self.inboxes().get(name).cloned()?;
        let (answer, counts) = oneshot::channel();
        inbox.send(Told::Count { answer }).await.ok()?;
        counts.await.ok()
    }
}
