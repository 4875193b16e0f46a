//! A real server for the tests of programs that use ChatRoom: in one line, on a port of its own, with
//! faults for one client at a time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use chatroom_server::testing::TestServer;
//!
//! let server = TestServer::start().await;
//! assert!(server.url().starts_with("ws://127.0.0.1:"));
//! // A client that connected and was given the id 1 would be frozen by
//! // server.client(1).freeze(Duration::from_secs(2)).await;
//! server.stop().await;
//! # }
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use chatroom_protocol::{ClientId, RoomName};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::fault::Fault;
use crate::server::Server;

/// A server that ends with the test that holds it.
#[derive(Debug)]
pub struct TestServer {
    server: Server,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// One client of a [`TestServer`], to which bad things can be done.
#[derive(Debug)]
pub struct TestClient<'a> {
    server: &'a Server,
    room: RoomName,
    id: ClientId,
}

impl TestServer {
    /// Starts a server with the default configuration on a free port.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start() -> Self {
        Self::serve(Server::new(Config::default())).await
    }

    /// Starts a server that was put together with [`Server::builder`].
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn serve(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel();
        let serving = server.clone();
        let task = tokio::spawn(async move {
            let shutdown = async {
                // A test that dropped its server wants it gone too.
                let _ = stopped.await;
            };
            serving.serve(listener, shutdown).await;
        });
        Self { server, address, stop, task }
    }

    /// Where clients of the room `main` connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Where clients of any other room connect.
    #[must_use]
    pub fn room_url(&self, room: &str) -> String {
        format!("ws://{}/rooms/{room}", self.address)
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A client of the room `main`, by the id that the server gave it.
    #[must_use]
    pub fn client(&self, id: u64) -> TestClient<'_> {
        TestClient { server: &self.server, room: RoomName::main(), id: ClientId(id) }
    }

    /// A client of any room.
    ///
    /// # Panics
    /// When the name is none.
    #[must_use]
    pub fn client_in(&self, room: &str, id: u64) -> TestClient<'_> {
        let room = RoomName::parse(room).unwrap_or_else(|bad| panic!("{bad}"));
        TestClient { server: &self.server, room, id: ClientId(id) }
    }

    /// Ends the server as a shutdown does: clients are told goodbye.
    ///
    /// # Panics
    /// When the server panicked.
    pub async fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.task.await.expect("the server did not panic");
    }
}

impl TestClient<'_> {
    /// The server neither reads nor writes this client's socket for so long.
    ///
    /// # Panics
    /// When there is no such client.
    pub async fn freeze(&self, time: Duration) {
        self.inflict(Fault::Freeze(time)).await;
    }

    /// Ends a [`freeze`](Self::freeze) before its time.
    ///
    /// # Panics
    /// When there is no such client.
    pub async fn thaw(&self) {
        self.inflict(Fault::Freeze(Duration::ZERO)).await;
    }

    /// Every message of either direction waits so long; zero ends it.
    ///
    /// # Panics
    /// When there is no such client.
    pub async fn delay(&self, time: Duration) {
        self.inflict(Fault::Delay(time)).await;
    }

    /// The client's socket is cut without a word.
    ///
    /// # Panics
    /// When there is no such client.
    pub async fn drop(&self) {
        self.inflict(Fault::Drop).await;
    }

    /// The server says goodbye to the client and closes.
    ///
    /// # Panics
    /// When there is no such client.
    pub async fn disconnect(&self) {
        self.inflict(Fault::Disconnect).await;
    }

    async fn inflict(&self, fault: Fault) {
        let there = self.server.inflict(&self.room, self.id, fault).await;
        assert!(there, "there is no client {} in the room {}", self.id, self.room);
    }
}
