//! Parts of pages that update themselves: htmx polls for them until what they show has changed.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::http::Problem;

/// The query with which a part polls whether it is still up to date.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Awaited {
    /// The state that the part shows at present.
    pub seen: String,
}

/// Whether a part of a page is asked for (by htmx), and not the whole page.
pub fn is_part(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// The answer while nothing has changed: 204, which leaves the part as it is. If it were replaced by an equal one, the keyboard focus would
/// be lost, and screen readers would read it out again.
pub fn unchanged() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The answer once something has changed: the part, rendered anew.
pub fn changed(part: askama::Result<String>) -> Result<Response, Problem> {
    Ok(Html(part.map_err(anyhow::Error::from)?).into_response())
}
