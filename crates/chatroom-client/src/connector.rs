//! Where bytes come from: TCP, or any stream that a WebSocket can run on.

use std::future::Future;
use std::io;
use std::pin::Pin;

use chatroom_protocol::Code;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::error::ConnectionError;

/// A stream that a WebSocket can run on.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// Opens a stream, once per connection.
pub(crate) type Connector = Box<dyn Fn() -> Connecting + Send + Sync>;

/// Hides the types of a connector.
pub(crate) fn boxed<F, Fut, S>(connector: F) -> Connector
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Box::new(move || {
        let connecting = connector();
        Box::pin(async move { Ok(Box::new(connecting.await?) as Box<dyn Duplex>) })
    })
}

/// An address as it is given: `ws://HOST[:PORT][/PATH]`, or with `http` for `ws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) secure: bool,
    /// With its port.
    pub(crate) authority: String,
    host: String,
    port: u16,
    pub(crate) path: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectionError> {
        let refuse = |why: &str| ConnectionError::new(Code::Malformed, format!("{url:?} {why}"));
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| refuse("is not an address like ws://localhost:8765"))?;
        let secure = match scheme {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(refuse("begins with neither ws:// nor wss://")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(ConnectionError::new(Code::Malformed, "an address has no user and password; use a token"));
        }
        let default = if secure { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            // An IPv6 address without a port ends with a bracket.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| refuse("has a port that is no number up to 65535"))?)
            }
            _ => (authority, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(refuse("has no host"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, authority: authority.to_owned(), host: host.to_owned(), port, path })
    }

    /// The address in the form that the handshake takes.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    pub(crate) fn connector(&self) -> Result<Connector, ConnectionError> {
        let (host, port) = (self.host.clone(), self.port);
        let open = move || {
            let host = host.clone();
            async move {
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                // A change is small, and waits for nothing.
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(stream)
            }
        };
        if !self.secure {
            return Ok(boxed(open));
        }
        Err(ConnectionError::new(
            Code::Unsupported,
            "wss:// and https:// need TLS, which this build does not have; see Client::builder_with",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(bool, &str, u16, &str)>) {
        let found = Address::parse(url);
        let parts = found.as_ref().ok().map(|at| (at.secure, at.host.as_str(), at.port, at.path.as_str()));
        assert_eq!(parts, expected, "{url}: {found:?}");
    }

    #[test]
    fn addresses() {
        check("ws://localhost:8765", Some((false, "localhost", 8765, "/")));
        check("ws://localhost", Some((false, "localhost", 80, "/")));
        check("http://10.0.0.1:80/rooms/a", Some((false, "10.0.0.1", 80, "/rooms/a")));
        check("wss://chat.example/rooms/a", Some((true, "chat.example", 443, "/rooms/a")));
        check("ws://[::1]:8765/", Some((false, "::1", 8765, "/")));
        check("ws://[::1]", Some((false, "::1", 80, "/")));
        check("ws://h?x=1", Some((false, "h", 80, "/?x=1")));
        for bad in ["localhost:8765", "ftp://h", "ws://", "ws://:80", "ws://h:99999", "ws://me:secret@h", ""] {
            check(bad, None);
        }
    }

    #[test]
    fn a_refused_address_is_told_without_its_secret() {
        let error = Address::parse("ws://me:secret@h").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
