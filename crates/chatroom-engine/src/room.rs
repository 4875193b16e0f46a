//! The room: one order, one state machine.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chatroom_protocol::{ClientId, Code, Epoch, Limits, Refusal, RoomName, Sequence, ServiceName, TopicName};

use crate::archive::Archive;
use crate::effect::Effect;
use crate::history::Ages;
use crate::input::{ConnectionId, Input, Time};
use crate::keep::{Keeper, Keeping};
use crate::member::Members;
use crate::observe::{Observe, Rules};
use crate::outgoing::Outgoing;
use crate::service::{Call, CallId, Service};
use crate::session::Session;
use crate::system::System;
use crate::topic::Topic;
use crate::validation::Validation;
use crate::view::Touched;

/// What a room is made with.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// Its name.
    pub name: RoomName,
    /// The life of its history; another one than that of any earlier room of the name.
    pub epoch: Epoch,
    /// Its limits.
    pub limits: Arc<Limits>,
    /// What happens to changes whose authority was lost.
    pub no_authority: NoAuthority,
    /// Whether a journal keeps its commits.
    pub keeping: Keeping,
    /// How much the room tells of itself.
    pub observe: Observe,
    /// The embedding program's own rules.
    pub rules: Option<Rules>,
}

/// What happens to changes of a topic whose authority was lost with no standby.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoAuthority {
    /// They are refused until an authority is back.
    #[default]
    Reject,
    /// They are accepted unseen.
    Accept,
}

/// What a room has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages received.
    pub messages: u64,
    /// Actions committed.
    pub commits: u64,
    /// Actions refused.
    pub rejects: u64,
    /// Messages that were not understood or not allowed.
    pub complaints: u64,
    /// Calls opened.
    pub calls: u64,
    /// Frames written for commits: at most one a dialect and commit, however many read them.
    pub encodings: u64,
    /// How often a change was moved behind another.
    pub transforms: u64,
}

/// What a room holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients.
    pub clients: usize,
    /// Topics, special ones not counted.
    pub topics: usize,
    /// Subscriptions of all clients.
    pub subscriptions: usize,
    /// Services with a provider.
    pub services: usize,
    /// Calls in flight or waiting.
    pub calls: usize,
    /// Topics with an authority.
    pub guards: usize,
    /// Actions that wait for an authority.
    pub waiting: usize,
}

/// One room: its topics, services, clients and their one order.
#[derive(Debug)]
pub struct Room {
    pub(crate) config: Arc<RoomConfig>,
    pub(crate) now: Time,
    pub(crate) sequence: Sequence,
    pub(crate) out: Outgoing,
    pub(crate) sessions: BTreeMap<ConnectionId, Session>,
    pub(crate) hello_deadlines: BTreeSet<(Time, ConnectionId)>,
    pub(crate) topics: HashMap<TopicName, Topic>,
    /// About how many bytes all values take.
    pub(crate) weight: usize,
    pub(crate) services: BTreeMap<ServiceName, Service>,
    /// Services whose lost calls are given to another provider, while one is being lost.
    pub(crate) retrying: BTreeSet<ServiceName>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) call_deadlines: BTreeSet<(Time, CallId)>,
    /// Topics that nobody is subscribed to, by when they are deleted.
    pub(crate) expiries: BTreeSet<(Time, TopicName)>,
    pub(crate) validation: Validation,
    pub(crate) system: System,
    pub(crate) tally: Tally,
    /// The embedding server's own session, if it takes part.
    pub(crate) host: Option<ConnectionId>,
    pub(crate) touched: Touched,
    /// Of all clients, kept as a number so that counting costs nothing.
    pub(crate) subscriptions: usize,
    pub(crate) members: Members,
    pub(crate) ages: Ages,
    pub(crate) keeper: Keeper,
    pub(crate) archive: Archive,
    /// Clients whose pushed actions have their turn again.
    pub(crate) unblocked: VecDeque<ClientId>,
    /// Where the order stood when a topic was deleted last.
    pub(crate) deleted_at: Option<Sequence>,
    /// How often changes may still be moved behind each other for the push at hand.
    pub(crate) transforms_left: usize,
    pub(crate) next_client: u64,
    pub(crate) next_change: u64,
    pub(crate) next_call: u64,
    pub(crate) next_asked: u64,
    wake_at: Option<Time>,
}

impl Room {
    /// Makes an empty room.
    #[must_use]
    pub fn new(config: RoomConfig) -> Self {
        let keeper = Keeper::new(config.keeping);
        Self {
            config: Arc::new(config),
            now: Time::default(),
            sequence: Sequence::default(),
            out: Outgoing::default(),
            sessions: BTreeMap::new(),
            hello_deadlines: BTreeSet::new(),
            topics: HashMap::new(),
            weight: 0,
            services: BTreeMap::new(),
            retrying: BTreeSet::new(),
            calls: BTreeMap::new(),
            call_deadlines: BTreeSet::new(),
            expiries: BTreeSet::new(),
            validation: Validation::default(),
            system: System::default(),
            tally: Tally::default(),
            host: None,
            touched: Touched::default(),
            subscriptions: 0,
            members: Members::default(),
            ages: Ages::default(),
            keeper,
            archive: Archive::default(),
            unblocked: VecDeque::new(),
            deleted_at: None,
            transforms_left: 0,
            next_client: 0,
            next_change: 0,
            next_call: 0,
            next_asked: 0,
            wake_at: None,
        }
    }

    /// Takes one input at a time and appends what shall be done to `effects`.
    pub fn handle(&mut self, now: Time, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out.ready, effects);
        match input {
            Input::Opened { connection, dialect, secret } => self.open(connection, dialect, secret),
            Input::Hosted { connection } => self.host(connection),
            Input::Received { connection, message } => self.receive(connection, message),
            Input::Drained { connection, topics } => self.drained(connection, topics),
            Input::Closed { connection } => self.close(connection),
            Input::Appended { sequence } => self.out.appended(sequence),
            Input::Read { reading, stretch } => self.read(reading, stretch),
            Input::Tick => {}
        }
        self.expire_calls();
        self.expire_hellos();
        self.go_on_pushing();
        self.expire_members();
        self.expire_topics();
        self.flush_listings();
        self.wish_wake();
        std::mem::swap(&mut self.out.ready, effects);
    }

    fn expire_hellos(&mut self) {
        while let Some((_, connection)) =
            self.hello_deadlines.first().copied().filter(|(deadline, _)| *deadline <= self.now)
        {
            let limit = self.config.limits.hello_timeout_ms;
            self.expel(connection, Refusal::new(Code::HelloExpected, format!("no hello within {limit} ms")));
        }
    }

    fn wish_wake(&mut self) {
        let wishes = [
            self.call_deadlines.first().map(|(deadline, _)| *deadline),
            self.hello_deadlines.first().map(|(deadline, _)| *deadline),
            self.system.flush_at,
            self.member_deadline(),
            self.awaits_until(),
            self.expiries.first().map(|(at, _)| *at),
        ];
        let wake_at = wishes.into_iter().flatten().min();
        if self.wake_at != wake_at {
            self.wake_at = wake_at;
            self.out.ready.push(Effect::WakeAt(wake_at));
        }
    }

    /// What the room has counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What the room holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            clients: self.clients(),
            topics: self.topics.len(),
            subscriptions: self.subscriptions,
            services: self.services.len(),
            calls: self.calls.len(),
            guards: self.validation.guards(),
            waiting: self.validation.waiting(),
        }
    }

    /// How many clients there are; the server is none.
    pub(crate) fn clients(&self) -> usize {
        self.sessions.len() - usize::from(self.host.is_some())
    }

    /// Whether nothing would be lost if the room were forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients() == 0 && self.topics.is_empty() && self.awaits_until().is_none()
    }
}
