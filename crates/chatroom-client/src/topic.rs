//! Handles to topics.

use std::marker::PhantomData;
use std::sync::Arc;

use chatroom_protocol::{TopicName, TopicType, TopicValue};
use tokio::sync::watch;

use crate::action::{Action, Draft};
use crate::client::Owner;
use crate::core::Shared;
use crate::error::{ShapeError, TopicError};
use crate::kind::Kind;
use crate::listener::{Changes, Listening, Update};
use chatroom_replica::Status;

/// A topic of the room. Cheap to clone; handles of one topic share one subscription, which ends
/// shortly after the last of them was dropped. A handle stays valid across reconnects.
///
/// ```no_run
/// # use chatroom_client::{Client, Int};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let room = Client::connect("ws://localhost:8765").await?;
/// let score = room.topic::<Int>("game/score")?;
/// score.add(1).await?;
/// println!("{:?}", score.value());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Topic<K> {
    pub(crate) held: Arc<Held>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Topic<K> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), kind: PhantomData }
    }
}

/// What keeps a topic subscribed.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) owner: Arc<Owner>,
    pub(crate) name: TopicName,
}

impl Held {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared().with(|core| {
            if let Some(entry) = core.topics.get_mut(&self.name) {
                entry.handles = entry.handles.saturating_sub(1);
                core.let_go(&self.name);
            }
        });
    }
}

impl<K: Kind> Topic<K> {
    pub(crate) fn open(owner: &Arc<Owner>, name: &str) -> Result<Self, TopicError> {
        let refused = |refusal| TopicError::refused(refusal, name);
        let topic = TopicName::parse(name).map_err(refused)?;
        owner
            .shared
            .with(|core| {
                // Within its grace a topic may get another type.
                let alone = core.topics.get(&topic).is_none_or(|entry| entry.handles == 0 && entry.pins == 0);
                if alone && K::TYPE.is_some_and(|kind| core.replica.kind(&topic).is_some_and(|known| known != kind)) {
                    core.release(&topic);
                }
                core.replica.open(&topic, K::TYPE)?;
                core.hold(&topic).handles += 1;
                Ok(())
            })
            .map_err(refused)?;
        Ok(Self { held: Arc::new(Held { owner: owner.clone(), name: topic }), kind: PhantomData })
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.held.name.as_str()
    }

    pub(crate) fn topic_name(&self) -> &TopicName {
        &self.held.name
    }

    /// The topic's type: the handle's, or what the room says of an
    /// [`Untyped`](crate::Untyped) one; `None` before that is known.
    #[must_use]
    pub fn topic_type(&self) -> Option<TopicType> {
        K::TYPE.or_else(|| self.held.shared().with(|core| core.replica.kind(&self.held.name)))
    }

    /// Where the topic stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.held.shared().with(|core| core.replica.status(&self.held.name))
    }

    /// Where the topic stands, now and from now on.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.held.shared().with(|core| core.hold(&self.held.name).status.subscribe())
    }

    /// The value, with this client's own changes in it from the moment they are made; `None` before
    /// the topic is loaded, and for a value that does not have the shape of the handle's type (see
    /// [`Topic::try_value`]).
    #[must_use]
    pub fn value(&self) -> Option<K::Value> {
        self.try_value().ok().flatten()
    }

    /// The value that the room confirmed last, without own changes that have no outcome yet; `None`
    /// before the topic is loaded, and for a value of another shape than the handle's type.
    #[must_use]
    pub fn confirmed(&self) -> Option<K::Value> {
        let value = self.held.shared().with(|core| core.replica.confirmed(&self.held.name))?;
        K::read(&value).ok()
    }

    /// The value, as [`Topic::value`] gives it.
    ///
    /// # Errors
    /// When the value does not have the shape of the handle's type: the room checks the type of a
    /// topic, not what its items are.
    pub fn try_value(&self) -> Result<Option<K::Value>, ShapeError> {
        self.snapshot().map(|value| K::read(&value)).transpose()
    }

    /// The value as the protocol holds it, without reading it into
    /// the handle's type. While it is kept, the topic's next change has to copy it.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<TopicValue>> {
        self.held.shared().with(|core| core.replica.value(&self.held.name))
    }

    pub(crate) fn part<T>(&self, read: impl FnOnce(&TopicValue) -> Option<T>) -> Option<T> {
        read(&*self.snapshot()?)
    }

    /// Waits for the value.
    ///
    /// # Errors
    /// Why there is none: denied, removed, closed, or of another shape.
    pub async fn loaded(&self) -> Result<K::Value, TopicError> {
        let name = self.name();
        self.settled().await?;
        match self.try_value() {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(TopicError::new(chatroom_protocol::Code::Internal, "the value is gone", name)),
            Err(error) => Err(TopicError::new(chatroom_protocol::Code::BadType, error.to_string(), name)),
        }
    }

    /// Waits until the topic is no longer loading.
    async fn settled(&self) -> Result<(), TopicError> {
        let mut status = self.watch_status();
        let mut state = self.held.shared().state.subscribe();
        loop {
            match &*status.borrow_and_update() {
                Status::Loading => {}
                Status::Live | Status::Stale => return Ok(()),
                Status::Denied { code, reason } => return Err(TopicError::new(*code, reason.clone(), self.name())),
                Status::Removed => {
                    let code = chatroom_protocol::Code::TopicDeleted;
                    return Err(TopicError::new(code, "the topic was deleted", self.name()));
                }
            }
            tokio::select! {
                // The sender lives as long as this handle.
                _ = status.changed() => {}
                closed = state.wait_for(crate::State::is_closed) => {
                    let why = closed.map(|state| (state.code, state.reason.clone())).unwrap_or_default();
                    let code = why.0.unwrap_or(chatroom_protocol::Code::Closed.into());
                    return Err(TopicError::new(code, why.1, self.name()));
                }
            }
        }
    }

    /// The value, and from now on every change in its order, as a stream.
    ///
    /// A reader that falls far behind is given the value anew, and told in
    /// [`Meta::skipped`](crate::Meta::skipped) how many updates that stands for.
    #[must_use]
    pub fn changes(&self) -> Changes<K> {
        Changes::new(self.held.clone())
    }

    /// Calls a function with the value, and from now on with every change, until the guard is
    /// dropped.
    ///
    /// All functions of a client are called one after the other, by a task of their own, never
    /// within each other: what one causes is told when it has returned. A panic in one stops
    /// no other and goes to [`Client::notices`](crate::Client::notices). A function that blocks
    /// holds up the other functions, and nothing else.
    #[must_use = "the function is called until the guard is dropped"]
    pub fn on(&self, mut listener: impl FnMut(&Update<K>) + Send + 'static) -> Listening {
        Listening::new(self.held.clone(), Box::new(move |raw| listener(&Update::new(raw))))
    }

    pub(crate) fn draft(&self, draft: Draft) -> Action {
        self.held.shared().act(vec![(self.held.name.clone(), draft)], true)
    }
}
