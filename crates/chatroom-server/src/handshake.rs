//! The opening handshake of a WebSocket, RFC 6455 section 4.2.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::http::refusal;

/// A request that asks for a WebSocket in the right way.
pub(crate) struct Handshake {
    accept: String,
    on_upgrade: OnUpgrade,
}

/// What an upgraded connection is read from and written to.
pub(crate) enum Socket {
    /// The bare socket, which is leaner than what hyper wraps around it, and what was read from it already.
    Tcp(TcpStream, Bytes),
    /// Whatever an embedding program serves on.
    Other(TokioIo<Upgraded>),
}

impl Handshake {
    pub(crate) fn read(request: &mut Request) -> Result<Self, Box<Response<Body>>> {
        let headers = request.headers();
        if !has_token(headers, CONNECTION, "upgrade") {
            return Err(refused(StatusCode::BAD_REQUEST, "the header Connection: upgrade is missing\n"));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(refused(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is spoken here\n"));
        }
        let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
            return Err(refused(StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Key is missing\n"));
        };
        let accept = derive_accept_key(key.as_bytes());
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let on_upgrade =
            on_upgrade.ok_or_else(|| refused(StatusCode::BAD_REQUEST, "this connection cannot be upgraded\n"))?;
        Ok(Self { accept, on_upgrade })
    }

    /// Answers with the upgrade and gives the socket to `run` once it is there.
    pub(crate) fn answer<F>(
        self,
        protocol: Option<&'static str>,
        run: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send,
    {
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => match Upgraded::downcast::<TokioIo<TcpStream>>(upgraded) {
                    Ok(parts) => run(Socket::Tcp(parts.io.into_inner(), parts.read_buf)).await,
                    Err(upgraded) => run(Socket::Other(TokioIo::new(upgraded))).await,
                },
                Err(error) => tracing::debug!(%error, "an upgrade was not finished"),
            }
        });
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = protocol {
            response = response.header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
            .body(Body::empty())
            .unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written\n"))
    }
}

fn refused(status: StatusCode, text: &'static str) -> Box<Response<Body>> {
    Box::new(refusal(status, text))
}

/// The subprotocols that a client offers.
pub(crate) fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    tokens(headers, SEC_WEBSOCKET_PROTOCOL).filter(|token| !token.is_empty()).collect()
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, UPGRADE, "websocket")
}
