//! Connections that a test can cut or deafen.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatroom_client::{Backoff, Builder, Client};
use chatroom_server::Counts;
use chatroom_testkit::TestServer;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long a test waits for a condition before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn client(server: &TestServer) -> Client {
    Client::connect(&format!("ws://{}", server.address)).await.unwrap()
}

/// Waits for a condition, looking again whenever other tasks had their turn.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for: {what}"));
}

/// Waits until the server's main room holds what is wanted.
pub(crate) fn counts(server: &TestServer, what: &str, wanted: impl Fn(&Counts) -> bool) {
    tokio::task::block_in_place(|| server.wait_counts(what, wanted));
}

/// A line to the server with a hand on it.
#[derive(Clone)]
pub(crate) struct Link {
    address: SocketAddr,
    copying: Arc<Mutex<Vec<AbortHandle>>>,
    deaf: watch::Sender<bool>,
    shut: watch::Sender<bool>,
}

impl Link {
    pub(crate) fn new(server: &TestServer) -> Self {
        Self {
            address: server.address,
            copying: Arc::default(),
            deaf: watch::Sender::new(false),
            shut: watch::Sender::new(false),
        }
    }

    pub(crate) fn builder(&self) -> Builder {
        let link = self.clone();
        Client::builder_with(move || link.clone().open())
            .backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(20)))
    }

    async fn open(self) -> io::Result<DuplexStream> {
        if *self.shut.borrow() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut server = TcpStream::connect(self.address).await?;
        let (near, mut far) = duplex(64 << 10);
        let mut deaf = self.deaf.subscribe();
        let task = tokio::spawn(async move {
            let deafened = async move { deaf.wait_for(|deaf| *deaf).await.is_ok() };
            tokio::select! {
                _ = copy_bidirectional(&mut server, &mut far) => return,
                _ = deafened => {}
            }
            // Nothing passes any more, and nobody is told: both ends stay open.
            std::future::pending::<()>().await;
        });
        self.copying.lock().unwrap().push(task.abort_handle());
        Ok(near)
    }

    /// Cuts the connection.
    pub(crate) fn cut(&self) {
        self.copying.lock().unwrap().drain(..).for_each(|task| task.abort());
    }

    /// Refuses new connections, or takes them again.
    pub(crate) fn shut(&self, shut: bool) {
        self.shut.send_replace(shut);
    }

    /// Lets nothing through any more, in silence; or lets new connections through again.
    pub(crate) fn deafen(&self, deaf: bool) {
        self.deaf.send_replace(deaf);
    }
}
