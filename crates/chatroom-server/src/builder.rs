//! Putting a server together: limits, services, rules and hooks of the embedding program.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chatroom_engine::{Commit, NoAuthority, Proposed, Rules};
use chatroom_journal::Journal;
use chatroom_protocol::{Change, Limits, Refusal, RoomName, ServiceName, TopicName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{Config, DebuggerConfig, Keep};
use crate::origin::AllowedOrigins;
use crate::server::Server;
use crate::service::{Call, ServiceError, Services};
use crate::workers::Workers;

/// What an embedding program adds to the rooms.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) services: Arc<Services>,
    pub(crate) rules: Option<Rules>,
    pub(crate) on_commit: Option<OnCommit>,
    pub(crate) journal: Option<Arc<dyn Journal>>,
    pub(crate) workers: Workers,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// A hook that is told of every commit.
#[derive(Clone)]
pub(crate) struct OnCommit(Arc<CommitHook>);

type CommitHook = dyn Fn(&RoomName, &Commit) + Send + Sync;

impl OnCommit {
    pub(crate) fn call(&self, room: &RoomName, commit: &Commit) {
        if catch_unwind(AssertUnwindSafe(|| (self.0)(room, commit))).is_err() {
            tracing::error!(%room, sequence = commit.sequence.0, "the commit hook panicked");
        }
    }
}

impl fmt::Debug for OnCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnCommit")
    }
}

/// Puts a [`Server`] together.
///
/// ```
/// use chatroom_server::{Call, Server};
///
/// let server = Server::builder()
///     .service("math/sum", |call: Call<Vec<f64>>| async move { Ok(call.args.iter().sum::<f64>()) })
///     .validator("score/*", |proposed| match &proposed.value {
///         chatroom_server::protocol::TopicValue::Int(_) => Ok(()),
///         _ => Err("a score is an int topic".into()),
///     })
///     .on_commit(|room, commit| println!("{room} is at {}", commit.sequence.0))
///     .build()
///     .expect("the names are right");
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    config: Config,
    services: Services,
    validators: Vec<(Pattern, Validator)>,
    on_commit: Option<OnCommit>,
    journal: Option<Arc<dyn Journal>>,
    workers: Workers,
    problem: Option<Refusal>,
}

struct Validator(Box<Check>);

type Check = dyn Fn(&Proposed<'_>) -> Result<Option<Change>, String> + Send + Sync;

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Validator")
    }
}

/// A topic's name, or with `*` at its end all names that begin so.
#[derive(Debug)]
enum Pattern {
    Name(TopicName),
    Prefix(String),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.strip_suffix('*') {
            Some(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            None => TopicName::parse(text).map(Self::Name),
        }
    }

    fn matches(&self, name: &TopicName) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Prefix(prefix) => name.as_str().starts_with(prefix),
        }
    }
}

impl Builder {
    /// What clients may ask for.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = Arc::new(limits);
        self
    }

    /// Which web pages may connect, besides those the server itself delivers.
    #[must_use]
    pub fn allowed_origins(mut self, origins: AllowedOrigins) -> Self {
        self.config.allowed_origins = origins;
        self
    }

    /// What happens to changes whose authority was lost.
    #[must_use]
    pub fn no_authority(mut self, policy: NoAuthority) -> Self {
        self.config.no_authority = policy;
        self
    }

    /// Collects what the debugger shows; [`Server::serve_debugger`] serves its page.
    #[must_use]
    pub fn debugger(mut self, debugger: DebuggerConfig) -> Self {
        self.config.debugger = Some(debugger);
        self
    }

    /// Keeps the rooms in a journal, so that they outlive the server. Without one they are in memory.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Spreads rooms and connections over threads of their own. Without, everything runs on the runtime
    /// that calls [`Server::serve`].
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// How much of the past the journal keeps.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.config.keep = keep;
        self
    }

    /// Takes all that a [`Config`] holds.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Offers a service in every room: clients call it as they call each other's.
    ///
    /// The handler runs as a task of its own and is cancelled with its call. `A` is what it takes; a
    /// call with other arguments is answered by an error. A later service of the same name replaces
    /// the earlier one.
    #[must_use]
    pub fn service<A, R, F>(mut self, name: &str, handler: impl Fn(Call<A>) -> F + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Future<Output = Result<R, ServiceError>> + Send + 'static,
    {
        match ServiceName::parse(name) {
            Ok(name) if name.is_reserved() => self.refuse(Refusal::new(
                chatroom_protocol::Code::Forbidden,
                format!("{name}: names under _chatroom/ belong to the server; use validator() to decide about changes"),
            )),
            Ok(name) => self.services.insert(name, handler),
            Err(refusal) => self.refuse(refusal),
        }
        self
    }

    /// Decides about every change of the topics that `pattern` names: one name, or with `*` at its
    /// end all names that begin so. The text of an `Err` is the reason that the author is given.
    ///
    /// It runs inside the room, sees the value at that place of the order, and holds up the room while
    /// it thinks: it must not wait. It may be asked twice about one change.
    #[must_use]
    pub fn validator(
        self,
        pattern: &str,
        check: impl Fn(&Proposed<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.rule(pattern, move |proposed| check(proposed).map(|()| None))
    }

    /// Decides as a [`validator`](Self::validator) does, and may put another change in the place of the
    /// proposed one: a position that is clamped to the map, say. It has to be a change of the topic's
    /// type. Its author is told what became of its action; the rules behind see the change as it is by
    /// then.
    #[must_use]
    pub fn rule(
        mut self,
        pattern: &str,
        rule: impl Fn(&Proposed<'_>) -> Result<Option<Change>, String> + Send + Sync + 'static,
    ) -> Self {
        match Pattern::parse(pattern) {
            Ok(pattern) => self.validators.push((pattern, Validator(Box::new(rule)))),
            Err(refusal) => self.refuse(refusal),
        }
        self
    }

    /// Is told of every commit once it is kept, in the order of each room. It runs inside the room and
    /// holds it up while it works: it must not wait, but may hand the commit to a channel.
    #[must_use]
    pub fn on_commit(mut self, hook: impl Fn(&RoomName, &Commit) + Send + Sync + 'static) -> Self {
        self.on_commit = Some(OnCommit(Arc::new(hook)));
        self
    }

    /// Makes the server.
    ///
    /// # Errors
    /// The first name or pattern that no topic or service can have.
    pub fn build(self) -> Result<Server, Refusal> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let validators = self.validators;
        let rules = (!validators.is_empty()).then(|| {
            Rules::altering(move |proposed| {
                let check = || {
                    let mut altered = None;
                    for (_, validator) in validators.iter().filter(|(pattern, _)| pattern.matches(proposed.topic_name))
                    {
                        let change = altered.as_ref().unwrap_or(proposed.change);
                        if let Some(instead) = (validator.0)(&Proposed { change, ..*proposed })? {
                            altered = Some(instead);
                        }
                    }
                    Ok(altered)
                };
                // A room outlives the mistakes of the program around it.
                catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| Err("the validator failed".into()))
            })
        });
        let hooks = Hooks {
            services: Arc::new(self.services),
            rules,
            on_commit: self.on_commit,
            journal: self.journal,
            workers: self.workers,
        };
        Ok(Server::with_hooks(self.config, hooks))
    }

    /// The first mistake is the one that is told.
    fn refuse(&mut self, refusal: Refusal) {
        self.problem.get_or_insert(refusal);
    }
}
