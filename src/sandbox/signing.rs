//! The layer before every counterfeit partner: it verifies requests, signs answers, and does not answer if a fault says so.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::refusal;
use super::world::{Silence, Silent, World};
use crate::partner::signature::{Received, Stamp};

/// The largest request that is read, and the largest answer that is signed.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

pub async fn signed(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let partner = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    let Some(identity) = world.identity(&partner) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let received = Received {
        method: parts.method.as_str(),
        url: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        authorization: parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()),
        body: &body,
    };
    let response = match world.verifier.request(world.wire_clock.now(), received) {
        Ok(_) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => refusal(401, error.code(), &error.to_string()),
    };
    if response.extensions().get::<Silent>().is_some() {
        if let Silence::Hold(time) = world.silence {
            tokio::time::sleep(time).await;
        }
        return broken();
    }
    let (mut parts, body) = response.into_parts();
    let body: Bytes = match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(_) => return broken(),
    };
    for (name, value) in identity.response_headers(&Stamp::fresh(world.wire_clock.now()), &body) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            parts.headers.insert(name, value);
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// An answer whose body fails at once, on which the server breaks the connection.
fn broken() -> Response {
    let failure = stream::once(async { Err::<Bytes, _>(std::io::Error::other("the sandbox keeps silent")) });
    Response::new(Body::from_stream(failure))
}
