//! Which web pages may open a connection.

use std::fmt;

/// Origins that may connect besides the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    origins: Vec<String>,
    any: bool,
}

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrigin(String);

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin; write it as https://example.org or http://localhost:3000, or * for any", self.0)
    }
}

impl std::error::Error for BadOrigin {}

impl AllowedOrigins {
    /// Reads a list of origins; `*` allows any.
    ///
    /// # Errors
    /// The first text that is no origin.
    pub fn parse(origins: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BadOrigin> {
        let mut allowed = Self::default();
        for origin in origins {
            let origin = origin.as_ref().trim();
            if origin == "*" {
                allowed.any = true;
            } else {
                allowed.origins.push(normal(origin).ok_or_else(|| BadOrigin(origin.to_owned()))?);
            }
        }
        Ok(allowed)
    }

    /// Whether a page of that `Origin` may connect to a server that was reached as `host`.
    pub(crate) fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        // Only browsers send an Origin; other programs are not lured anywhere by a page.
        let Some(origin) = origin else { return true };
        if self.any {
            return true;
        }
        let Some(origin) = normal(origin) else {
            return false;
        };
        let own = host.and_then(|host| {
            let scheme = origin.split("://").next()?;
            normal(&format!("{scheme}://{host}"))
        });
        own.as_deref() == Some(&*origin) || self.origins.contains(&origin)
    }
}

/// `scheme://host:port` in lower case and always with the port.
fn normal(origin: &str) -> Option<String> {
    let (scheme, rest) = origin.split_once("://")?;
    let default_port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
        return None;
    }
    let has_port = rest.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let host = rest.to_ascii_lowercase();
    Some(if has_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{default_port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &[&str], origin: Option<&str>, host: &str, expected: bool) {
        let allowed = AllowedOrigins::parse(allowed).unwrap();
        assert_eq!(allowed.allows(origin, Some(host)), expected, "{origin:?} at {host}");
    }

    #[test]
    fn the_same_host_is_allowed() {
        check(&[], None, "localhost:8765", true);
        check(&[], Some("http://localhost:8765"), "localhost:8765", true);
        check(&[], Some("http://LOCALHOST:8765"), "localhost:8765", true);
        check(&[], Some("https://example.org"), "example.org", true);
        check(&[], Some("https://example.org"), "example.org:443", true);
        check(&[], Some("http://[::1]:8765"), "[::1]:8765", true);
    }

    #[test]
    fn other_hosts_need_to_be_listed() {
        check(&[], Some("http://localhost:3000"), "localhost:8765", false);
        check(&[], Some("https://evil.example"), "localhost:8765", false);
        check(&[], Some("null"), "localhost:8765", false);
        check(&[], Some("http://localhost:8765.evil.example"), "localhost:8765", false);
        check(&["http://localhost:3000"], Some("http://localhost:3000"), "localhost:8765", true);
        check(&["https://example.org/"], Some("https://example.org"), "api.example.org", true);
        check(&["*"], Some("https://anything.example"), "localhost:8765", true);
    }

    #[test]
    fn a_bad_origin_is_named() {
        for bad in ["example.org", "ftp://example.org", "https://", "https://a/b"] {
            assert!(AllowedOrigins::parse([bad]).is_err(), "{bad}");
        }
    }
}
