//! Where the debugger's page is, and who may see it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chatroom_server::DebuggerConfig;
use tokio::net::TcpListener;

use crate::arguments::Failure;
use crate::serve::bind;

const DEFAULT: &str = "localhost:8800";
const TOKEN_BYTES: usize = 16;

/// An address for the debugger's page.
#[derive(Debug, PartialEq)]
pub(crate) struct Debugger {
    address: String,
}

/// The address that the flag or the file names, or what `DEBUG` in the environment asks for.
pub(crate) fn chosen(flag: Option<&str>, file: Option<&str>) -> Option<Debugger> {
    let wanted = std::env::var("DEBUG").is_ok_and(|debug| means_yes(&debug));
    let address = flag.filter(|address| !address.is_empty()).or(file).or(wanted.then_some(DEFAULT))?;
    Some(Debugger { address: address.to_owned() })
}

/// Other programs use `DEBUG` too, with other words.
fn means_yes(debug: &str) -> bool {
    ["true", "1", "yes", "on"].iter().any(|yes| debug.eq_ignore_ascii_case(yes))
}

impl Debugger {
    /// The port, if the address is `localhost`: then both loopback addresses are meant.
    fn localhost_port(&self) -> Option<u16> {
        let (name, port) = self.address.rsplit_once(':')?;
        name.eq_ignore_ascii_case("localhost").then(|| port.parse().ok())?
    }

    fn is_loopback(&self) -> bool {
        self.localhost_port().is_some()
            || self.address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }

    /// Asks for a token where other machines can reach the page.
    pub(crate) fn config(&self) -> Result<DebuggerConfig, Failure> {
        if self.is_loopback() {
            return Ok(DebuggerConfig::default());
        }
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::runtime(format!("cannot make a token for the debugger: {error}")))?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(DebuggerConfig { token: Some(token) })
    }

    pub(crate) async fn bind(&self) -> Result<Vec<TcpListener>, Failure> {
        let Some(port) = self.localhost_port() else {
            return Ok(vec![bind(&self.address).await?]);
        };
        let first = bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()).await?;
        let port = first.local_addr().map_or(port, |address| address.port());
        // Not every machine has IPv6.
        let second = TcpListener::bind((IpAddr::from(Ipv6Addr::LOCALHOST), port)).await;
        Ok([Some(first), second.ok()].into_iter().flatten().collect())
    }

    /// Says where the page is, on standard output so that programs can read it. A token stands behind
    /// the `#`, which browsers keep to themselves.
    pub(crate) fn announce(&self, pages: &[TcpListener], config: Option<&DebuggerConfig>) {
        let Some(address) = pages.first().and_then(|page| page.local_addr().ok()) else {
            return;
        };
        let host = match self.localhost_port() {
            Some(_) => format!("localhost:{}", address.port()),
            None => address.to_string(),
        };
        let token = config.and_then(|config| config.token.as_ref());
        let token = token.map(|token| format!("#token={token}")).unwrap_or_default();
        // A closed standard output is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "The debugger is at http://{host}/{token}");
        tracing::info!(%address, "serving the debugger");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_need_no_token() {
        for (address, loopback) in [
            ("localhost:8800", true),
            ("127.0.0.1:0", true),
            ("[::1]:8800", true),
            ("0.0.0.0:8800", false),
            ("example.org:8800", false),
            ("localhost.example.org:8800", false),
        ] {
            let debugger = Debugger { address: address.to_owned() };
            assert_eq!(debugger.is_loopback(), loopback, "{address}");
            assert_eq!(debugger.config().unwrap().token.is_none(), loopback, "{address}");
        }
    }

    #[test]
    fn the_environment_is_asked_last() {
        assert_eq!(chosen(Some("127.0.0.1:1"), Some("127.0.0.1:2")).unwrap().address, "127.0.0.1:1");
        assert_eq!(chosen(None, Some("127.0.0.1:2")).unwrap().address, "127.0.0.1:2");
        for (debug, yes) in [("true", true), ("TRUE", true), ("1", true), ("", false), ("false", false), ("*", false)] {
            assert_eq!(means_yes(debug), yes, "{debug:?}");
        }
    }
}
