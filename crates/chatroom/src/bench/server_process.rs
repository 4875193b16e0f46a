//! The server that a workload measures: one of its own, or one that runs already.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::problem::{Outcome, Problem};
use super::{Kept, process};

/// Where a server is, and what is known of its process.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Its process, if it is on this machine and known.
    pub(crate) pid: Option<u32>,
    /// Ends the process with the workload.
    _process: Option<ServerProcess>,
    /// Gone with the workload too.
    _data: Option<TempFolder>,
}

/// A folder that is removed with this value.
#[derive(Debug)]
struct TempFolder(PathBuf);

impl Drop for TempFolder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for what is temporary.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child process that ends with this value.
#[derive(Debug)]
struct ServerProcess(Child);

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already, and it keeps nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Target {
    /// A server that runs already.
    pub(crate) fn running(url: &str, pid: Option<u32>) -> Outcome<Self> {
        let host = url.strip_prefix("ws://").unwrap_or(url).trim_end_matches('/');
        let address = host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.ok_or_else(|| Problem::new(format!("{url} is no address; write ws://HOST:PORT")))?;
        Ok(Self { address, pid, _process: None, _data: None })
    }

    /// Starts a server from this very program, on that core if one is given.
    pub(crate) fn start(core: Option<usize>, kept: Kept) -> Outcome<Self> {
        let program = std::env::current_exe().map_err(|error| Problem::new(format!("who am I? {error}")))?;
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let durability = match kept {
            Kept::Memory => None,
            Kept::Written => Some("written"),
            Kept::Synced => Some("synced"),
        };
        let data = durability.map(|durability| {
            let folder = std::env::temp_dir().join(format!("chatroom-bench-{}", std::process::id()));
            command.args(["--durability", durability]).arg("--data").arg(&folder);
            TempFolder(folder)
        });
        if data.is_none() {
            command.arg("--memory");
        }
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        let child = command.spawn().map_err(|error| Problem::new(format!("the server does not start: {error}")))?;
        let mut process = ServerProcess(child);
        let mut line = String::new();
        if let Some(output) = process.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = address_in(&line).ok_or_else(|| Problem::new("the server did not say where it listens"))?;
        Ok(Self { address, pid: Some(process.0.id()), _process: Some(process), _data: data })
    }

    /// Refuses what does not fit into the limits on open files.
    pub(crate) fn check_open_files(&self, connections: usize) -> Outcome<()> {
        // Besides its connections a process has its standard streams, its poll and the like.
        let needed = connections as u64 + 64;
        for pid in [Some(std::process::id()), self.pid].into_iter().flatten() {
            if let Some(limit) = process::open_files_max(pid).filter(|limit| *limit < needed) {
                return Err(Problem::new(format!(
                    "{connections} connections need {needed} open files in each process, and the limit is {limit}; \
                     run `ulimit -n {needed}` before, or use fewer with --clients"
                )));
            }
        }
        Ok(())
    }
}

/// The address in the server's first line.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_once("http://")?.1.split_once('/')?.0.parse().ok()
}

/// One core for the server and another one for this process, which is bound to it; `None` where
/// there are not two, or no `taskset` to choose with.
pub(crate) fn choose_cores() -> Option<(usize, usize)> {
    let cores = process::cores();
    let (server, own) = (*cores.first()?, *cores.last()?);
    if server == own {
        return None;
    }
    let own_pid = std::process::id().to_string();
    let bound = Command::new("taskset").args(["-c", "-p", &own.to_string(), &own_pid]).output();
    bound.is_ok_and(|output| output.status.success()).then_some((server, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let line = "ChatRoom is at http://127.0.0.1:4567/ (open it in two tabs); rooms are kept in memory\n";
        let expected: SocketAddr = "127.0.0.1:4567".parse().unwrap();
        assert_eq!(address_in(line), Some(expected));
        for url in ["ws://127.0.0.1:4567", "ws://127.0.0.1:4567/", "127.0.0.1:4567"] {
            assert_eq!(Target::running(url, None).unwrap().address, expected);
        }
        assert!(Target::running("ws://127.0.0.1", None).is_err());
    }
}
