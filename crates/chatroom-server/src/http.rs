//! HTTP: the pages, `/healthz`, `/metrics`, and the upgrade to a WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use chatroom_protocol::{Dialect, RoomName, V1_JSON};

use crate::assets;
use crate::connection::Connection;
use crate::handshake::{Handshake, Socket, subprotocols, wants_websocket};
use crate::server::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(main_room))
        .route("/rooms/{name}", get(named_room))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .fallback(asset)
        .with_state(shared)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let mut response = Response::new(Body::from(shared.metrics.text(shared.rooms.journal_stats())));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn asset(request: Request) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    assets::response("", request.uri().path(), request.headers()).unwrap_or_else(|| {
        refusal(
            StatusCode::NOT_FOUND,
            "nothing here; rooms are at / and /rooms/NAME (WebSocket), the rest at /healthz and /metrics\n",
        )
    })
}

async fn main_room(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if wants_websocket(request.headers()) {
        return upgrade(shared, RoomName::main(), request);
    }
    assets::response("", "/", request.headers()).unwrap_or_else(|| refusal(StatusCode::NOT_FOUND, "no page\n"))
}

async fn named_room(State(shared): State<Arc<Shared>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    match RoomName::parse(&name) {
        Ok(_) if !wants_websocket(request.headers()) => {
            refusal(StatusCode::UPGRADE_REQUIRED, "a room is reached by WebSocket: ws://HOST/rooms/NAME\n")
        }
        Ok(name) => upgrade(shared, name, request),
        Err(bad) => refusal(StatusCode::NOT_FOUND, format!("{}\n", bad.reason)),
    }
}

pub(crate) fn refusal(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

/// Hands the socket of an upgrade to a connection.
fn upgrade(shared: Arc<Shared>, room: RoomName, mut request: Request) -> Response<Body> {
    let handshake = match Handshake::read(&mut request) {
        Ok(handshake) => handshake,
        Err(refused) => return *refused,
    };
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !shared.config.allowed_origins.allows(text(ORIGIN), text(HOST)) {
        let origin = text(ORIGIN).unwrap_or_default();
        tracing::info!(origin, "a page of another origin was refused");
        return refusal(
            StatusCode::FORBIDDEN,
            format!("pages of {origin} may not connect; start the server with --allowed-origins {origin}\n"),
        );
    }
    let offered = subprotocols(headers);
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
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address);
    let alive = shared.alive.one();
    let rooms = shared.rooms.clone();
    let connection = Connection::new(shared, room.clone(), dialect, address);
    handshake.answer((dialect == Dialect::V1).then_some(V1_JSON), async move |socket| match socket {
        Socket::Tcp(stream, early) => {
            let run = async move |stream| {
                connection.run_on(stream, early).await;
                drop(alive);
            };
            rooms.workers().join(&room, rooms.clients(&room), stream, run);
        }
        Socket::Other(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            connection.run(reader, writer, Bytes::new()).await;
            drop(alive);
        }
    })
}
