//! Accepting TCP connections, and ending them all at shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::http;
use crate::server::Shared;

/// How long the head of an HTTP request may take.
const REQUEST_HEAD: Duration = Duration::from_secs(10);
const REQUEST_HEAD_BYTES: usize = 16 << 10;
/// How long clients get to take their goodbye.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let router = http::router(shared.clone());
    accept(&shared, &listener, &router, shutdown).await;
    tracing::info!("shutting down");
    drop((listener, router));
    close(&shared).await;
}

/// Accepts connections until `shutdown` is ready.
pub(crate) async fn accept(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    router: &Router,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    shared.metrics.accepted.inc();
                    // Small frames shall leave at once; a socket that refuses the option works all the same.
                    let _ = stream.set_nodelay(true);
                    let (server, router) = (shared.clone(), router.clone());
                    shared.rooms.workers().accept(stream, move |stream| serve_http(server, stream, Some(address), router));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Says goodbye to all clients and waits until they are gone.
pub(crate) async fn close(shared: &Shared) {
    shared.ending.send_replace(true);
    if tokio::time::timeout(FAREWELL, shared.alive.all_gone()).await.is_err() {
        tracing::warn!("some connections did not take their goodbye in time");
    }
    shared.rooms.close().await;
}

/// How many connections there are, so that a shutdown can wait for their end.
#[derive(Debug)]
pub(crate) struct Alive(watch::Sender<usize>);

/// One of the connections that are counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Living(watch::Sender<usize>);

impl Default for Alive {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Alive {
    pub(crate) fn one(&self) -> Living {
        self.0.send_modify(|count| *count += 1);
        Living(self.0.clone())
    }

    pub(crate) async fn all_gone(&self) {
        // The sender is here, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Speaks HTTP on one stream until it ends or is upgraded.
pub(crate) async fn serve_http(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: Option<SocketAddr>,
    router: Router,
) {
    let _alive = shared.alive.one();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(address) = address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .max_buf_size(REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut ending = shared.ending.subscribe();
    let result = tokio::select! {
        result = &mut connection => result,
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

/// Waits for the shutdown.
pub(crate) async fn ended(ending: &mut watch::Receiver<bool>) {
    if ending.wait_for(|ending| *ending).await.is_err() {
        std::future::pending::<()>().await;
    }
}
