//! A real server on port 0, on its own thread.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use chatroom_protocol::{ClientId, Dialect, RoomName};
use chatroom_server::{Config, Counts, Fault, Server};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::peer::Peer;

/// How long a test waits for a condition before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its debugger is, if its configuration has one.
    pub debugger: SocketAddr,
    server: Server,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Default for TestServer {
    fn default() -> Self {
        Self::start(Config::default())
    }
}

impl TestServer {
    /// Starts a server.
    ///
    /// # Panics
    /// When the machine refuses a runtime or a port.
    #[must_use]
    pub fn start(config: Config) -> Self {
        Self::serve(Server::new(config))
    }

    /// Starts a server that was put together before.
    ///
    /// # Panics
    /// When the machine refuses a runtime or a port.
    #[must_use]
    pub fn serve(server: Server) -> Self {
        Self::serve_at(server, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Starts a server where another one was.
    ///
    /// # Panics
    /// When the machine refuses a runtime, or somebody else took the port.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Self {
        Self::serve_at(Server::new(Config::default()), address)
    }

    /// Starts a server that was put together before where another one was.
    ///
    /// # Panics
    /// When the machine refuses a runtime, or somebody else took the port.
    #[must_use]
    pub fn serve_where(server: Server, address: SocketAddr) -> Self {
        Self::serve_at(server, address)
    }

    fn serve_at(server: Server, address: SocketAddr) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let serving = server.clone();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            let handle = runtime.handle().clone();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.expect("a free port");
                let page = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let addresses = [&listener, &page].map(|listener| listener.local_addr().expect("an address"));
                ready.send((addresses, handle)).expect("the starter waits");
                let pages = serving.clone();
                tokio::spawn(async move { pages.serve_debugger(page).await });
                let shutdown = async {
                    // A starter that is gone wants the server gone too.
                    let _ = stopped.await;
                };
                serving.serve(listener, shutdown).await;
            });
        });
        let ([address, debugger], runtime) = started.recv().expect("the server starts");
        Self { address, debugger, server, runtime, stop: Some(stop), thread: Some(thread) }
    }

    /// Connects a client to the room `main`.
    #[must_use]
    pub fn connect(&self, dialect: Dialect) -> Peer {
        Peer::connect(self.address, "/", dialect)
    }

    /// Does something bad to a client of the room `main`; false if there is no such client.
    #[must_use]
    pub fn inflict(&self, client: u64, fault: Fault) -> bool {
        self.runtime.block_on(self.server.inflict(&RoomName::main(), ClientId(client), fault))
    }

    /// What the room `main` holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts_of(&RoomName::main()).unwrap_or_default()
    }

    /// What a room holds, if it is in memory.
    #[must_use]
    pub fn counts_of(&self, room: &RoomName) -> Option<Counts> {
        self.runtime.block_on(self.server.counts(room))
    }

    /// How many rooms are in memory.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.server.room_count()
    }

    /// Waits until the room `main` holds what is wanted.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn wait_counts(&self, what: &str, wanted: impl Fn(&Counts) -> bool) {
        wait_until(what, || wanted(&self.counts()));
    }

    /// Asks the server to end and waits until it has.
    ///
    /// # Panics
    /// When the server panicked.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// Polls a condition until it holds.
///
/// # Panics
/// When it does not hold in time.
#[expect(clippy::disallowed_methods, reason = "real sockets live in real time")]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::yield_now();
    }
}
