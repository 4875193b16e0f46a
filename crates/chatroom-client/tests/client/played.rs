//! A server that a test plays message by message, over a pipe in memory.

use std::io;

use chatroom_client::{Builder, Client};
use chatroom_protocol::{Limits, V1_JSON};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// The server's ends of the pipes that a client opens.
pub(crate) struct Played {
    ends: mpsc::UnboundedReceiver<DuplexStream>,
}

/// One connection, seen from the server.
pub(crate) struct Side {
    socket: WebSocketStream<DuplexStream>,
    /// The content of the client's hello.
    pub(crate) hello: Value,
}

/// The options of a client of a played server.
pub(crate) fn played() -> (Builder, Played) {
    let (opened, ends) = mpsc::unbounded_channel();
    let builder = Client::builder_with(move || {
        let opened = opened.clone();
        async move {
            let (near, far) = duplex(1 << 20);
            opened.send(far).map_err(|_| io::Error::other("the test is over"))?;
            Ok(near)
        }
    });
    (builder, Played { ends })
}

impl Played {
    /// Takes the next connection and its hello, and says nothing yet.
    #[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    pub(crate) async fn accept(&mut self) -> Side {
        let end = self.ends.recv().await.unwrap();
        let protocol = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(V1_JSON));
            Ok(response)
        };
        let mut side = Side { socket: accept_hdr_async(end, protocol).await.unwrap(), hello: Value::Null };
        let hello = side.hear().await;
        assert_eq!(hello["type"], "hello");
        side.hello = hello["content"].clone();
        side
    }

    /// Takes the next connection and greets it.
    pub(crate) async fn greet(&mut self, id: u64) -> Side {
        self.greet_with(id, Limits::default()).await
    }

    pub(crate) async fn greet_with(&mut self, id: u64, limits: Limits) -> Side {
        let mut side = self.accept().await;
        side.say(
            "hello",
            json!({
                "id": id, "protocol": V1_JSON, "room": "main", "epoch": 1, "sequence": 0,
                "heartbeat_ms": limits.heartbeat_ms, "limits": limits,
            }),
        )
        .await;
        side
    }

    /// Whether the client has opened nothing since.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.ends.try_recv().is_err()
    }
}

impl Side {
    /// The client's next message.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(text.as_str()).unwrap(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => panic!("the client closed the connection"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The client's next message, of that type.
    pub(crate) async fn hear_of(&mut self, kind: &str) -> Value {
        let message = self.hear().await;
        assert_eq!(message["type"], kind, "{message}");
        message["content"].clone()
    }

    /// The changes of the push that comes next: its number, and each change with its topic's name.
    pub(crate) async fn pushed(&mut self) -> (u64, Vec<(String, Value)>) {
        let push = self.hear_of("push").await;
        let changes =
            push["actions"].as_array().unwrap().iter().flat_map(|action| action["changes"].as_array().unwrap());
        let named = changes.map(|part| {
            let topic = &push["topics"][usize::try_from(part["topic"].as_u64().unwrap()).unwrap()];
            (topic["topic_name"].as_str().unwrap().to_owned(), part["change"].clone())
        });
        (push["number"].as_u64().unwrap(), named.collect())
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    pub(crate) async fn say(&mut self, kind: &str, content: Value) {
        self.say_text(&json!({"type": kind, "content": content}).to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Closes with a code.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "because".into() };
        // The client may be gone already.
        let _ = self.socket.close(Some(frame)).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Answers the subscription that comes next.
    pub(crate) async fn subscribed(&mut self, value: Value, sequence: u64) -> Value {
        let asked = self.hear_of("subscribe").await;
        let answer =
            json!({"topic_name": asked["topic_name"], "type": asked["type"], "value": value, "sequence": sequence});
        self.say("subscribed", answer).await;
        asked
    }
}
