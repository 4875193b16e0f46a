//! A client over a real socket: it knows frames, and nothing of ChatRoom but the two greetings.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use chatroom_protocol::{Dialect, V1_JSON};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use crate::server::PATIENCE;

/// A connected client.
#[derive(Debug)]
pub struct Peer {
    socket: WebSocket<TcpStream>,
    /// Its id in the room.
    pub id: u64,
    queue: VecDeque<Value>,
    barriers: u64,
}

impl Peer {
    /// Connects and does the hello.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn connect(address: SocketAddr, path: &str, dialect: Dialect) -> Self {
        let mut peer = Self::open(address, path, dialect);
        if dialect == Dialect::V1 {
            peer.send(&json!({"type": "hello", "content": {}}));
        }
        let hello = peer.receive();
        assert_eq!(hello["type"], "hello", "{hello}");
        peer.id = hello["content"]["id"].as_u64().expect("hello carries an id");
        peer
    }

    /// Connects and says nothing.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn open(address: SocketAddr, path: &str, dialect: Dialect) -> Self {
        match dialect {
            Dialect::Seed => Self::open_with(address, path, &[]),
            Dialect::V1 => Self::open_with(address, path, &[("Sec-WebSocket-Protocol", V1_JSON)]),
        }
    }

    /// Connects with further headers and says nothing.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn open_with(address: SocketAddr, path: &str, headers: &[(&'static str, &'static str)]) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes its options");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes its options");
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a good address");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let (socket, _) = tungstenite::client(request, stream).expect("the server upgrades");
        Self { socket, id: 0, queue: VecDeque::new(), barriers: 0 }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends any text.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the socket takes a message");
    }

    /// Sends any bytes in a text frame, UTF-8 or not.
    ///
    /// # Panics
    /// When the socket fails before the server closed it.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let mut frame = vec![0x81];
        match bytes.len() {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap_or_default()),
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves the payload as it is.
        frame.extend([0; 4]);
        frame.extend(bytes);
        // A server that refuses the size may stop reading; its close frame tells.
        let _ = self.socket.get_mut().write_all(&frame);
    }

    /// The types of all that has arrived. An answer may give back what no strict reader takes, so
    /// only its beginning is read.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn drain_kinds(&mut self) -> Vec<String> {
        self.send(&json!({
            "type": "request",
            "content": {"service_name": "_chatroom/time", "args": {}, "request_id": "drain"},
        }));
        let mut kinds = Vec::new();
        loop {
            match self.socket.read().expect("the connection lives") {
                Message::Text(text) if text.contains("\"request_id\":\"drain\"") => return kinds,
                Message::Text(text) => kinds.extend(text.split('"').nth(3).map(str::to_owned)),
                _ => {}
            }
        }
    }

    /// Writes bytes past the WebSocket.
    ///
    /// # Errors
    /// Whatever the socket says.
    pub fn write_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_mut().write_all(bytes)
    }

    /// The socket itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes.
    pub fn receive(&mut self) -> Value {
        self.queue
            .pop_front()
            .unwrap_or_else(|| self.read().unwrap_or_else(|close| panic!("closed by the server: {close:?}")))
    }

    /// The next message of a type; others before it are dropped.
    ///
    /// # Panics
    /// When none comes.
    pub fn receive_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.receive();
            if message["type"] == kind {
                return message;
            }
        }
    }

    fn read(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Ok(serde_json::from_str(text.as_str()).expect("a message is JSON"));
                }
                Ok(Message::Close(frame)) => return Err(frame),
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Err(None),
                Err(error) => panic!("no message came: {error}"),
            }
        }
    }

    /// Waits for the server's close frame; messages before it are dropped.
    ///
    /// # Panics
    /// When the socket ends without one.
    pub fn close_code(&mut self) -> u16 {
        loop {
            match self.read() {
                Ok(_) => {}
                Err(Some(frame)) => return frame.code.into(),
                Err(None) => panic!("the connection was dropped without a close frame"),
            }
        }
    }

    /// Waits until the room has handled all this client sent; what came meanwhile stays to be read.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn barrier(&mut self) {
        self.barriers += 1;
        let id = format!("barrier {}", self.barriers);
        self.send(&json!({
            "type": "request",
            "content": {"service_name": "_chatroom/time", "args": {}, "request_id": id},
        }));
        loop {
            let message = self.read().unwrap_or_else(|close| panic!("closed by the server: {close:?}"));
            if message["content"]["request_id"] == *id {
                return;
            }
            self.queue.push_back(message);
        }
    }

    /// All that has arrived, up to a [`Peer::barrier`].
    pub fn drain(&mut self) -> Vec<Value> {
        self.barrier();
        self.queue.drain(..).collect()
    }

    /// Closes with a close frame and waits for the server's.
    ///
    /// # Panics
    /// When the server does not close.
    pub fn close(mut self) {
        self.socket.close(None).expect("the socket takes a close frame");
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return,
                Err(Error::Io(_) | Error::Protocol(_)) => return,
                Err(error) => panic!("the server did not close: {error}"),
            }
        }
    }
}

/// Sends an HTTP request and returns the whole answer.
///
/// # Panics
/// When the socket fails.
#[must_use]
pub fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes its options");
    stream.write_all(request.as_bytes()).expect("the socket takes a request");
    let mut answer = Vec::new();
    // A server that refuses early may reset the connection after its answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
