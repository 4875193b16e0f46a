//! The threads that do the work: each has a runtime of its own, and what belongs together stays on
//! one thread.
//!
//! A room is pinned to a thread by its name. A connection begins on any of them and moves to its
//! room's as long as the room is small, so that nothing of a small room crosses threads; those of a
//! large room stay where they are and share its sending out among all threads.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

use chatroom_protocol::RoomName;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A room with more clients is served by all threads.
const SMALL_ROOM: usize = 64;

/// Threads for a server. The default is none: everything runs on the runtime that calls.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    threads: Arc<[Worker]>,
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Worker {
    thread: ThreadId,
    handle: Handle,
    /// Ends the thread when it is dropped.
    _stop: Option<oneshot::Sender<()>>,
}

impl Workers {
    /// So many threads, of which the one that calls is the first: its runtime has to be one of a
    /// single thread.
    ///
    /// # Errors
    /// When the system refuses a thread or what a runtime needs.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut threads = vec![Worker { thread: std::thread::current().id(), handle: Handle::current(), _stop: None }];
        for number in 1..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
            let run = move || {
                // It is stopped by the end of its sender.
                let _ = runtime.block_on(stopped);
            };
            let thread = std::thread::Builder::new().name(format!("worker {number}")).spawn(run)?;
            threads.push(Worker { thread: thread.thread().id(), handle, _stop: Some(stop) });
        }
        Ok(Self { threads: threads.into(), next: Arc::default() })
    }

    /// Runs what serves a new connection, on each thread in turn.
    pub(crate) fn accept<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        match self.threads.get(turn % self.threads.len().max(1)) {
            Some(worker) => worker.run(stream, serve),
            None => drop(tokio::spawn(serve(stream))),
        }
    }

    /// Runs a room where rooms of that name run.
    pub(crate) fn spawn(&self, room: &RoomName, task: impl Future<Output = ()> + Send + 'static) {
        match self.home(room) {
            Some(worker) => drop(worker.handle.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }

    /// Runs a connection where its room is, unless that has many clients; as a task of its own, which
    /// holds nothing of what led to it.
    pub(crate) fn join<F: Future<Output = ()> + Send + 'static>(
        &self,
        room: &RoomName,
        clients: usize,
        stream: TcpStream,
        run: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let here = std::thread::current().id();
        match self.home(room).filter(|worker| worker.thread != here && clients <= SMALL_ROOM) {
            Some(worker) => worker.run(stream, run),
            None => drop(tokio::spawn(run(stream))),
        }
    }

    /// The thread that calls, if it is one that keeps its tasks.
    pub(crate) fn thread(&self) -> Option<ThreadId> {
        (!self.threads.is_empty()).then(|| std::thread::current().id())
    }

    fn home(&self, room: &RoomName) -> Option<&Worker> {
        let mut hasher = DefaultHasher::new();
        room.as_str().hash(&mut hasher);
        let place = hasher.finish() % self.threads.len().max(1) as u64;
        self.threads.get(usize::try_from(place).unwrap_or_default())
    }
}

impl Worker {
    /// Takes a stream over from another runtime.
    fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        if self.thread == std::thread::current().id() {
            self.handle.spawn(serve(stream));
            return;
        }
        self.handle.spawn(async move {
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection could not be moved to its thread"),
            }
        });
    }
}
