//! Services of the embedding program: async functions that every room offers under a name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chatroom_protocol::{ClientId, Code, RoomName, ServiceName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;

use crate::rooms::Told;

/// A call of a service of the embedding program.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<A> {
    /// What the caller gave.
    pub args: A,
    /// Who calls.
    pub by: ClientId,
    /// The room it calls in.
    pub room: RoomName,
    /// How long the caller waits.
    pub timeout: Duration,
    pub(crate) request_id: u64,
    pub(crate) room_inbox: mpsc::Sender<Told>,
}

impl<A> Call<A> {
    /// Tells the caller how far the work got. Waits while the room has much to do.
    pub async fn progress(&self, data: impl Serialize) {
        let content = serde_json::json!({"request_id": self.request_id, "data": serde_json::to_value(data).ok()});
        let message = serde_json::json!({"type": "progress", "content": content}).to_string();
        // A room that is gone has no caller.
        let _ = self.room_inbox.send(Told::Said { message }).await;
    }
}

/// Why a call failed, as the caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceError {
    code: u32,
    message: String,
    data: Option<serde_json::Value>,
}

impl ServiceError {
    /// An error with a code of the application, 1000 or more; a lower one becomes 1000.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code: code.max(Code::APPLICATION_MIN), message: message.into(), data: None }
    }

    /// Gives it something for programs to read.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    fn plain(message: impl Into<String>) -> Self {
        Self::new(Code::APPLICATION_MIN, message)
    }

    pub(crate) fn content(&self) -> serde_json::Value {
        let mut content = serde_json::json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            content["data"] = data.clone();
        }
        content
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ServiceError {}

type Answer = Pin<Box<dyn Future<Output = Result<Box<RawValue>, ServiceError>> + Send>>;
type Handler = dyn Fn(Call<Box<RawValue>>) -> Answer + Send + Sync;

/// All services of the embedding program, by name.
#[derive(Clone, Default)]
pub(crate) struct Services(BTreeMap<ServiceName, Arc<Handler>>);

impl Services {
    pub(crate) fn insert<A, R, F>(&mut self, name: ServiceName, handler: impl Fn(Call<A>) -> F + Send + Sync + 'static)
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Future<Output = Result<R, ServiceError>> + Send + 'static,
    {
        let handler = move |call: Call<Box<RawValue>>| -> Answer {
            let Call { args, by, room, timeout, request_id, room_inbox } = call;
            match serde_json::from_str(args.get()) {
                Ok(args) => {
                    let answer = handler(Call { args, by, room, timeout, request_id, room_inbox });
                    Box::pin(async move {
                        to_raw_value(&answer.await?)
                            .map_err(|error| ServiceError::plain(format!("the answer has no JSON form: {error}")))
                    })
                }
                Err(error) => Box::pin(std::future::ready(Err(ServiceError::plain(format!(
                    "the arguments are not what the service takes: {error}"
                ))))),
            }
        };
        self.0.insert(name, Arc::new(handler));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Handler>> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.keys()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
