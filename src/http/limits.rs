//! Layers around every request: its id, its log line, limits on body size and time, and the handling of panics.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::body::{BodyDataStream, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tracing::Instrument;

use super::client_address::is_from_proxy;
use super::{Problem, api};
use crate::app::{App, Shared};
use crate::base::id::RequestId;

/// Far above any form or message of ours; nobody uploads files.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How much of a body that is too large is read and dropped before it is refused. The proxy of docs/OPERATIONS.md lets as much through.
pub const DROPPED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pages answer in milliseconds; after this long nobody waits any more.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
pub const REQUEST_ID: &str = "x-request-id";
/// Our own pages load nothing from elsewhere and run no inline script.
const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// HSTS: a browser that has been here once uses no plain http for a year, so that nobody in between can answer in our place. Without
/// `includeSubDomains`, because subdomains may belong to others.
const TRANSPORT_POLICY: &str = "max-age=31536000";

/// The id of this request, in its extensions.
#[derive(Clone)]
pub struct ThisRequest(pub String);

/// Gives the request an id, logs how it ended, and sets the headers that every response has.
pub async fn record(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = given_id(&app, &request).unwrap_or_else(|| RequestId::mint(app.clock.now()).to_string());
    request.extensions_mut().insert(ThisRequest(id.clone()));
    // The route, not the path: a path may name a person's objects.
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let method = known_method(request.method());
    let span = tracing::info_span!("request", %id, %method, %route);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, micros = elapsed.as_micros(), "answered"));
    super::metrics::count_request(method, route, status, elapsed);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CONTENT_POLICY));
    if app.site.is_encrypted() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TRANSPORT_POLICY));
    }
    response
}

/// Refuses a request whose `Content-Length` is too large (except on the API, whose gate does that itself and records the call), and ends
/// one that takes too long.
pub async fn limit(request: Request, next: Next) -> Response {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let is_too_large = length.is_some_and(|length| length > BODY_BYTES_MAX as u64);
    if is_too_large && !request.uri().path().starts_with(api::PREFIX) {
        return Problem::body_too_large().into_response();
    }
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out().into_response(),
    }
}

/// Reads a body; `None` as soon as it is too large, or if it breaks off.
pub async fn read_body(pieces: &mut BodyDataStream) -> Option<Bytes> {
    let mut read = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        if read.len() + piece.len() > BODY_BYTES_MAX {
            return None;
        }
        read.extend_from_slice(&piece);
    }
    Some(Bytes::from(read))
}

/// Reads and drops the rest of a body that is refused, up to a limit and for so long. Many programs look for an answer only after they have
/// sent everything; a connection that is closed before that is reset, and the answer is lost with it.
pub async fn drop_rest(pieces: &mut BodyDataStream, patience: Duration) {
    let dropping = async {
        let mut dropped = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            dropped += piece.len();
            if dropped > DROPPED_BYTES_MAX {
                break;
            }
        }
    };
    tokio::time::timeout(patience, dropping).await.ok();
}

/// Turns a panic into a problem; it is logged like any failure.
pub fn recover(panic: Box<dyn Any + Send>) -> Response {
    let reason = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a request panicked: {}", reason.unwrap_or("no reason given"));
    Problem::failed().into_response()
}

/// The method, or `other` if it is not one of HTTP's. Callers can make up methods without end, which must not fill the metrics or the log.
pub(super) fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The request id that a proxy of ours gave, if it is plain enough for the log. Ids of anybody else are ignored: a call could be logged
/// under somebody else's id.
fn given_id(app: &App, request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID).filter(|_| is_from_proxy(app, request.extensions()))?.to_str().ok()?;
    let is_plain =
        (8..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_plain.then(|| id.to_owned())
}
