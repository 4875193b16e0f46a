//! The debugger's own port: its page, and the socket behind it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;

use super::hub::PAGES;
use super::page::Page;
use crate::assets;
use crate::handshake::{Handshake, Socket, subprotocols};
use crate::http::refusal;
use crate::origin::AllowedOrigins;
use crate::server::Shared;

const PROTOCOL: &str = "chatroom.debugger.v1";
/// The folder of the page's files among the embedded ones.
const FOLDER: &str = "debugger";

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/socket", get(socket)).fallback(page).with_state(shared)
}

async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if let Err(refused) = check_host(&shared, &request) {
        return *refused;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    assets::response(FOLDER, request.uri().path(), request.headers())
        .unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, "nothing here; the debugger is at /\n"))
}

async fn socket(State(shared): State<Arc<Shared>>, mut request: Request) -> Response<Body> {
    if let Err(refused) = check_host(&shared, &request) {
        return *refused;
    }
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !AllowedOrigins::default().allows(text(ORIGIN), text(HOST)) {
        tracing::warn!(origin = text(ORIGIN), "a page of another origin reached for the debugger");
        return refusal(StatusCode::FORBIDDEN, "only the debugger's own page may connect\n");
    }
    if !subprotocols(request.headers()).contains(&PROTOCOL) {
        return refusal(StatusCode::BAD_REQUEST, format!("ask for the subprotocol {PROTOCOL}\n"));
    }
    let handshake = match Handshake::read(&mut request) {
        Ok(handshake) => handshake,
        Err(refused) => return *refused,
    };
    let Some(place) = shared.hub().place() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, format!("{PAGES} pages are open; close one\n"));
    };
    let alive = shared.alive.one();
    handshake.answer(Some(PROTOCOL), async move |socket| {
        match socket {
            Socket::Tcp(stream, early) => Page::run(shared, stream, early).await,
            Socket::Other(stream) => Page::run(shared, stream, Bytes::new()).await,
        }
        drop((alive, place));
    })
}

/// A page of a foreign name that resolves to this machine must not get in: without a token, only
/// loopback names are answered.
fn check_host(shared: &Shared, request: &Request) -> Result<(), Box<Response<Body>>> {
    let token = shared.config.debugger.as_ref().is_some_and(|debugger| debugger.token.is_some());
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if token || is_loopback(host) {
        return Ok(());
    }
    tracing::warn!(host, "the debugger was reached for under a foreign name");
    Err(Box::new(refusal(StatusCode::FORBIDDEN, "the debugger answers at localhost, 127.0.0.1 and [::1] only\n")))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => name,
        Some((name, port)) if port.starts_with(':') => name,
        Some(_) => return false,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for (host, loopback) in [
            ("localhost:8800", true),
            ("LOCALHOST", true),
            ("127.0.0.1:8800", true),
            ("127.3.2.1", true),
            ("[::1]:8800", true),
            ("[::1]", true),
            ("", false),
            ("localhost.evil.example:8800", false),
            ("127.0.0.1.evil.example", false),
            ("192.168.1.2:8800", false),
            ("[::1].evil.example", false),
            ("[fe80::1]:8800", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host:?}");
        }
    }
}
