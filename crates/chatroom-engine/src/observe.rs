//! What a room tells of itself to an observer: the hook of an embedding program, or the debugger.
//!
//! A room that nobody observes makes none of this. Observations leave as effects, behind the journal
//! like everything that tells of a commit, so an observer never sees what a crash could take back.

use std::sync::Arc;

use chatroom_protocol::change::ChangeId;
use chatroom_protocol::{Change, ClientId, Code, Refusal, Sequence, ServiceName, TopicName, TopicType, TopicValue};
use serde_json::value::RawValue;

use crate::action::Author;
use crate::effect::Effect;
use crate::fanout::Subscribers;
use crate::input::{ConnectionId, Time};
use crate::room::Room;

/// How much a room tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observe {
    /// Nothing.
    #[default]
    Nothing,
    /// [`Observation::Committed`] alone.
    Commits,
    /// Everything.
    Everything,
}

/// Something that happened in a room.
#[derive(Debug)]
pub enum Observation {
    /// An action took its place in the order.
    Committed(Commit),
    /// A change or action was refused.
    Refused(Refused),
    /// A client calls a service.
    Called {
        /// The room's number of the call.
        call: u64,
    },
    /// A call ended.
    Answered(Answered),
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
        /// Its id.
        client: ClientId,
    },
    /// A client is gone.
    Disconnected {
        /// Its id.
        client: ClientId,
    },
    /// The providers of a service changed.
    Service {
        /// The service.
        service_name: ServiceName,
        /// The provider that came or went.
        client: ClientId,
        /// What it did.
        what: Provision,
    },
    /// What a client was told on its `_chatroom/client_message` topic.
    Told {
        /// The client.
        client: ClientId,
        /// What it was told.
        text: String,
    },
    /// The room's nearest event, as on `_chatroom/server_status`.
    Status(String),
}

/// What a provider did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// It registered.
    Registered,
    /// It took its registration back.
    Unregistered,
    /// It was lost.
    Lost,
}

impl Provision {
    /// Its name on the wire of the debugger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Unregistered => "unregistered",
            Self::Lost => "lost",
        }
    }
}

/// An action that was committed.
#[derive(Debug)]
pub struct Commit {
    /// Its place.
    pub sequence: Sequence,
    /// Its author; 0 is the server.
    pub by: ClientId,
    /// The id its author gave to an action of several changes.
    pub action_id: Option<ChangeId>,
    /// Its changes, in order.
    pub changes: Vec<CommittedChange>,
    /// The authority that found it valid, if one was asked.
    pub validated_by: Option<ClientId>,
    /// When the room took it.
    pub submitted_at: Time,
    /// Who it was sent to, by topic; empty unless everything is observed.
    pub audience: Vec<Arc<Subscribers>>,
    /// The connection of its author, which is answered apart.
    pub author: Option<ConnectionId>,
}

/// One change of a commit.
#[derive(Debug)]
pub struct CommittedChange {
    /// The topic.
    pub topic_name: TopicName,
    /// Its type.
    pub topic_type: TopicType,
    /// The id its author gave.
    pub id: ChangeId,
    /// The change.
    pub change: Change,
    /// The topic's commit before this one, 0 if none.
    pub previous: Sequence,
}

/// A change or action that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Its author.
    pub by: ClientId,
    /// The action it was part of.
    pub action_id: Option<ChangeId>,
    /// The topic.
    pub topic_name: String,
    /// The change as it was sent.
    pub change: Box<RawValue>,
    /// Why.
    pub refusal: Refusal,
    /// The authority that decided, if one did.
    pub validated_by: Option<ClientId>,
}

/// A call that ended.
#[derive(Debug)]
pub struct Answered {
    /// The room's number of the call; `None` if it was refused at once.
    pub call: Option<u64>,
    /// The service.
    pub service_name: ServiceName,
    /// Who called.
    pub caller: ClientId,
    /// Who was asked, if anyone.
    pub provider: Option<ClientId>,
    /// The argument.
    pub args: Box<RawValue>,
    /// The response, or what went wrong.
    pub outcome: Result<Box<RawValue>, CallFailure>,
    /// Whether a provider may have done the work although the call failed.
    pub maybe_executed: bool,
}

/// How a call failed.
#[derive(Debug)]
pub struct CallFailure {
    /// Its code: one of [`Code`], or an application's.
    pub code: u32,
    /// Why, for a person.
    pub reason: String,
}

impl From<&Refusal> for CallFailure {
    fn from(refusal: &Refusal) -> Self {
        Self { code: refusal.code.number().into(), reason: refusal.reason.clone().into_owned() }
    }
}

/// A change before it is applied, for the embedding program's own rules.
#[derive(Debug)]
pub struct Proposed<'a> {
    /// The topic.
    pub topic_name: &'a TopicName,
    /// Its value before the change.
    pub value: &'a TopicValue,
    /// The change.
    pub change: &'a Change,
    /// Its author.
    pub by: ClientId,
}

/// The embedding program's own rules, asked about every change before it is applied.
///
/// They see the room as it is at that place of the order, and answer at once. They may be asked
/// twice about one change, so they decide by what they are shown alone.
#[derive(Clone)]
pub struct Rules(Arc<Check>);

type Check = dyn Fn(&Proposed<'_>) -> Result<Option<Change>, String> + Send + Sync;

impl Rules {
    /// Rules that refuse with a reason.
    pub fn new(check: impl Fn(&Proposed<'_>) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self::altering(move |proposed| check(proposed).map(|()| None))
    }

    /// Rules that refuse with a reason, or put another change of the topic in the place of the
    /// proposed one: a position that is clamped to the map, say. The author is told what its action
    /// became.
    pub fn altering(check: impl Fn(&Proposed<'_>) -> Result<Option<Change>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    pub(crate) fn check(&self, proposed: &Proposed<'_>) -> Result<Option<Change>, Refusal> {
        (self.0)(proposed).map_err(|reason| Refusal::new(Code::Invalid, reason))
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rules")
    }
}

impl Room {
    pub(crate) fn observes(&self, level: Observe) -> bool {
        self.config.observe >= level
    }

    /// Tells an observer of everything; what is told is made only if there is one.
    pub(crate) fn observe(&mut self, observation: impl FnOnce(&Self) -> Observation) {
        if self.observes(Observe::Everything) {
            let observation = observation(self);
            self.out.push(Effect::Observed(Box::new(observation)));
        }
    }

    pub(crate) fn observe_refusal(
        &mut self,
        author: &Author,
        action_id: Option<&ChangeId>,
        topic_name: &str,
        change: &RawValue,
        refusal: &Refusal,
        validated_by: Option<ClientId>,
    ) {
        self.observe(|_| {
            Observation::Refused(Refused {
                by: author.client,
                action_id: action_id.cloned(),
                topic_name: topic_name.to_owned(),
                change: change.to_owned(),
                refusal: refusal.clone(),
                validated_by,
            })
        });
    }

    /// The client of a connection.
    #[must_use]
    pub fn client_of(&self, connection: ConnectionId) -> Option<ClientId> {
        self.sessions.get(&connection).map(|session| session.client)
    }
}
