//! Accepting TCP connections, and ending them all at shutdown.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

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
    let mut shutdown = pin!(shutdown);
    // Every connection holds a sender; when the last is dropped, all are gone.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let router = http::router(shared.clone(), alive.clone());
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.metrics.accepted.inc();
                    tokio::spawn(serve_http(shared.clone(), stream, router.clone(), alive.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    tracing::info!("shutting down");
    drop((listener, alive, router));
    shared.ending.send_replace(true);
    if tokio::time::timeout(FAREWELL, all_gone.recv()).await.is_err() {
        tracing::warn!("some connections did not take their goodbye in time");
    }
}

async fn serve_http(shared: Arc<Shared>, stream: TcpStream, router: axum::Router, alive: mpsc::Sender<()>) {
    // Small frames shall leave at once; a socket that refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .max_buf_size(REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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
    drop(alive);
}

/// Waits for the shutdown.
pub(crate) async fn ended(ending: &mut watch::Receiver<bool>) {
    if ending.wait_for(|ending| *ending).await.is_err() {
        std::future::pending::<()>().await;
    }
}
