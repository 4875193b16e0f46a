//! The pages that the server itself delivers, embedded into it.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Response, StatusCode};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Folders that only one of the ports delivers.
const OWN_FOLDERS: &[&str] = &["debugger/"];

/// Answers with an embedded file below `folder`, or `None` if there is none of that path.
pub(crate) fn response(folder: &str, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let path = match path.trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    if OWN_FOLDERS.iter().any(|own| path.starts_with(own)) {
        return None;
    }
    let path = &*match folder {
        "" => path.to_owned(),
        folder => format!("{folder}/{path}"),
    };
    let kind = match path.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    };
    let file = Web::get(path)?;
    let hash: String = file.metadata.sha256_hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let mut response = Response::builder();
    if path == "chatroom.js" || path.starts_with("client/") {
        // Pages of any origin may load the library; whether they may connect is asked when they do.
        response = response.header(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    let response = response
        .header(CONTENT_TYPE, kind)
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "no-referrer")
        .header(CACHE_CONTROL, "no-cache")
        .header(ETAG, &etag);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == etag.as_bytes());
    let response = match known {
        true => response.status(StatusCode::NOT_MODIFIED).body(Body::empty()),
        false => response.body(Body::from(file.data)),
    };
    response.ok()
}
