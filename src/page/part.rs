//! Parts of pages that htmx asks for again and again, until what they show has changed.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::http::Problem;

/// What a part says of itself when it asks.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Awaited {
    /// How what it shows stood on the page that asks whether it still does.
    pub seen: String,
}

/// Whether a part of a page is asked for, and not the whole one.
pub fn is_part(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// The answer as long as nothing has changed: nothing. What is put in a part's place would take the keyboard's place on it away, and be
/// read out again.
pub fn unchanged() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A part as it reads now.
pub fn changed(part: askama::Result<String>) -> Result<Response, Problem> {
    Ok(Html(part.map_err(anyhow::Error::from)?).into_response())
}
