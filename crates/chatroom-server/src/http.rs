//! HTTP: the pages, `/healthz`, `/metrics`, and the upgrade to a WebSocket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use chatroom_protocol::{Dialect, RoomName, V1_JSON};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tungstenite::handshake::derive_accept_key;

use crate::assets;
use crate::connection::Connection;
use crate::server::Shared;

#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    alive: mpsc::Sender<()>,
}

pub(crate) fn router(shared: Arc<Shared>, alive: mpsc::Sender<()>) -> Router {
    Router::new()
        .route("/", get(main_room))
        .route("/rooms/{name}", get(named_room))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .fallback(asset)
        .with_state(Context { shared, alive })
}

async fn metrics(State(context): State<Context>) -> Response<Body> {
    let mut response = Response::new(Body::from(context.shared.metrics.text()));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn asset(request: Request) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    assets::response(request.uri().path(), request.headers()).unwrap_or_else(|| {
        refusal(
            StatusCode::NOT_FOUND,
            "nothing here; rooms are at / and /rooms/NAME (WebSocket), the rest at /healthz and /metrics\n",
        )
    })
}

async fn main_room(State(context): State<Context>, request: Request) -> Response<Body> {
    if wants_websocket(request.headers()) {
        return upgrade(context, RoomName::main(), request);
    }
    assets::response("/", request.headers()).unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, "no page\n"))
}

async fn named_room(State(context): State<Context>, Path(name): Path<String>, request: Request) -> Response<Body> {
    match RoomName::parse(&name) {
        Ok(_) if !wants_websocket(request.headers()) => {
            refusal(StatusCode::UPGRADE_REQUIRED, "a room is reached by WebSocket: ws://HOST/rooms/NAME\n")
        }
        Ok(name) => upgrade(context, name, request),
        Err(bad) => refusal(StatusCode::NOT_FOUND, format!("{}\n", bad.reason)),
    }
}

fn refusal(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
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

fn wants_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, UPGRADE, "websocket")
}

/// Checks the handshake of RFC 6455, section 4.2, and hands the socket to a connection.
fn upgrade(context: Context, room: RoomName, mut request: Request) -> Response<Body> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !has_token(headers, CONNECTION, "upgrade") {
        return refusal(StatusCode::BAD_REQUEST, "the header Connection: upgrade is missing\n");
    }
    if text(SEC_WEBSOCKET_VERSION) != Some("13") {
        return refusal(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13 is spoken here\n");
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return refusal(StatusCode::BAD_REQUEST, "the header Sec-WebSocket-Key is missing\n");
    };
    if !context.shared.config.allowed_origins.allows(text(ORIGIN), text(HOST)) {
        let origin = text(ORIGIN).unwrap_or_default();
        tracing::info!(origin, "a page of another origin was refused");
        return refusal(
            StatusCode::FORBIDDEN,
            format!("pages of {origin} may not connect; start the server with --allowed-origins {origin}\n"),
        );
    }
    let offered: Vec<&str> = tokens(headers, SEC_WEBSOCKET_PROTOCOL).filter(|token| !token.is_empty()).collect();
    let dialect = match offered.as_slice() {
        [] => Dialect::Seed,
        offered if offered.contains(&V1_JSON) => Dialect::V1,
        _ => {
            return refusal(
                StatusCode::BAD_REQUEST,
                format!("no such subprotocol; known is {V1_JSON}, and none at all for the seed dialect\n"),
            );
        }
    };
    let accept = derive_accept_key(key.as_bytes());
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refusal(StatusCode::BAD_REQUEST, "this connection cannot be upgraded\n");
    };
    tokio::spawn(connect(context, room, dialect, on_upgrade));

    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept);
    if dialect == Dialect::V1 {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, V1_JSON);
    }
    response
        .body(Body::empty())
        .unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written\n"))
}

async fn connect(context: Context, room: RoomName, dialect: Dialect, on_upgrade: OnUpgrade) {
    let Context { shared, alive } = context;
    match on_upgrade.await {
        Ok(upgraded) => {
            let (connection, early) = (Connection::new(shared, room, dialect), Bytes::new());
            // The bare socket is leaner than what hyper wraps around it; embedders may have no socket.
            match Upgraded::downcast::<TokioIo<TcpStream>>(upgraded) {
                Ok(parts) => connection.run(parts.io.into_inner(), parts.read_buf).await,
                Err(upgraded) => connection.run(TokioIo::new(upgraded), early).await,
            }
        }
        Err(error) => tracing::debug!(%error, "an upgrade was not finished"),
    }
    drop(alive);
}
