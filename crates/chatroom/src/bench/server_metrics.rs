//! What the server counts of itself, from its `/metrics`.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::problem::{Outcome, Problem};

/// Counters of a server; only their growth means something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ServerMetrics {
    /// Writes to sockets.
    pub(crate) writes: f64,
    /// Frames handed to connections.
    pub(crate) deliveries: f64,
}

impl ServerMetrics {
    /// Asks a server.
    pub(crate) async fn of(address: SocketAddr) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Self::parse(&answer).ok_or_else(|| Problem::new("the server's /metrics lacks its writes or deliveries"))
    }

    fn parse(text: &str) -> Option<Self> {
        let counter = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok())
        };
        Some(Self { writes: counter("chatroom_writes_total")?, deliveries: counter("chatroom_deliveries_total")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let text = "# TYPE chatroom_writes counter\nchatroom_writes_total 7\nchatroom_deliveries_total 12\n# EOF\n";
        assert_eq!(ServerMetrics::parse(text), Some(ServerMetrics { writes: 7.0, deliveries: 12.0 }));
        assert_eq!(ServerMetrics::parse("chatroom_writes_total 7\n"), None);
    }
}
