//! `chatroom serve`.

use std::io::{ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use chatroom_server::{AllowedOrigins, Config, Server, Workers};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Failure, Serve};
use crate::config_file::{self, ConfigFile};
use crate::debugger;
use crate::store::{self, Store};

pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8765";

pub(crate) fn run(serve: &Serve) -> Result<(), Failure> {
    let file = match &serve.config {
        Some(path) => config_file::read(path)?,
        None => ConfigFile::default(),
    };
    let listen = serve.listen.clone().or_else(|| file.listen.clone()).unwrap_or_else(|| DEFAULT_LISTEN.into());
    let store = Store::chosen(serve, &file)?;
    let keep = serve.keep.as_deref().or(file.keep.as_deref()).unwrap_or_default();
    let keep = store::keep(keep).map_err(|why| Failure::usage(format!("--keep: {why}")))?;
    let debugger = debugger::chosen(serve.debugger.as_deref(), file.debugger.as_deref());
    let origins = serve.allowed_origins.clone().or(file.allowed_origins).unwrap_or_default();
    let origins = origins.iter().filter(|origin| !origin.trim().is_empty());
    let config = Config {
        limits: Arc::new(file.limits),
        allowed_origins: AllowedOrigins::parse(origins)
            .map_err(|bad| Failure::usage(format!("--allowed-origins: {bad}")))?,
        no_authority: file.no_authority,
        keep,
        debugger: debugger.as_ref().map(|debugger| debugger.config()).transpose()?,
    };
    start_log();
    let workers = match serve.workers.or(file.workers) {
        None | Some(0) => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Some(workers) => workers,
    };
    // Work that belongs together stays on one thread, which a runtime that steals work does not know.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let listener = bind(&listen).await?;
        let address =
            listener.local_addr().map_err(|error| Failure::runtime(format!("cannot read the address: {error}")))?;
        let pages = match &debugger {
            Some(debugger) => debugger.bind().await?,
            None => Vec::new(),
        };
        let workers = Workers::start(workers)
            .map_err(|error| Failure::runtime(format!("cannot start {workers} worker threads: {error}")))?;
        let mut builder = Server::builder().config(config.clone()).workers(workers);
        if let Some(journal) = store.open()? {
            builder = builder.journal(journal);
        }
        let server = builder.build().map_err(|refusal| Failure::usage(refusal.to_string()))?;
        announce(address, &store);
        if let Some(debugger) = &debugger {
            debugger.announce(&pages, config.debugger.as_ref());
        }
        for page in pages {
            let server = server.clone();
            tokio::spawn(async move { server.serve_debugger(page).await });
        }
        server.serve(listener, signalled()).await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Logs to standard error, `info` and above unless `RUST_LOG` says otherwise; never values or tokens.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,fjall=warn,lsm_tree=warn"));
    // An embedding test may have set a subscriber already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

pub(crate) async fn bind(listen: &str) -> Result<TcpListener, Failure> {
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host(listen).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(Failure::usage(format!(
                "cannot listen on {listen:?} ({error}); write --listen as ADDRESS:PORT, such as {DEFAULT_LISTEN} or 0.0.0.0:8765"
            )));
        }
    };
    TcpListener::bind(addresses.as_slice()).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::runtime(format!(
            "{listen} is taken by another program; stop that one, or choose another port with --listen 127.0.0.1:0"
        )),
        ErrorKind::PermissionDenied => Failure::runtime(format!(
            "{listen} is not open to this user; choose a port above 1023 with --listen 127.0.0.1:8765"
        )),
        ErrorKind::AddrNotAvailable => Failure::runtime(format!(
            "{listen} is no address of this machine; 127.0.0.1:PORT and 0.0.0.0:PORT always are"
        )),
        _ => Failure::runtime(format!("cannot listen on {listen}: {error}; choose another address with --listen")),
    })
}

/// Says where the server is, on standard output so that programs can read it.
fn announce(address: SocketAddr, store: &Store) {
    // A closed standard output is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "ChatRoom is at http://{address}/ (open it in two tabs); {}", store.told());
    tracing::info!(%address, "serving");
    if !address.ip().is_loopback() {
        tracing::warn!("reachable from other machines, and there is no authentication yet");
    }
}

/// Ready when the process is asked to end.
async fn signalled() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = terminated => {}
        result = tokio::signal::ctrl_c() => {
            if result.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
