//! Problems as pages: a browser gets a page in words, with a way back; a program gets the problem document.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::back::path_of_ours;
use super::part::is_part;
use super::shell::Page;
use super::visit::{FormsPage, PAGE_STALE, Visit};
use crate::app::Shared;
use crate::http::Problem;
use crate::http::limits::{REQUEST_ID, ThisRequest};

#[derive(Template)]
#[template(path = "page/error.html")]
struct ErrorPage {
    page: Page,
    /// The words' key for what happened.
    words: String,
    /// The page of a form that had expired, to open it again.
    again: Option<String>,
    status: u16,
    request_id: Option<String>,
}

/// Turns a refusal of the web framework itself (a path that is not UTF-8, a query that cannot be parsed), which is plain text, into a
/// problem.
fn with_problem(response: Response) -> Response {
    let is_plain =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !is_plain || response.extensions().get::<Problem>().is_some() {
        return response;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(),
        status => Problem::new(status, "address_malformed", "Something in the address or the query cannot be read."),
    }
    .into_response()
}

/// The layer that turns problems into pages, for requests that accept HTML.
pub async fn show(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = accepted.contains("text/html") && !is_part(&parts.headers);
    let parts_kept = is_page.then(|| parts.clone());
    let response = with_problem(next.run(Request::from_parts(parts, body)).await);
    let Some((problem, parts)) = response.extensions().get::<Problem>().cloned().zip(parts_kept) else {
        return response;
    };
    let again = response.extensions().get::<FormsPage>().filter(|_| problem.code == PAGE_STALE);
    let mut visit = Visit::read(&app, &parts);
    let again = again.map(|FormsPage(address)| path_of_ours(address, visit.home).to_owned());
    if let Some(address) = &again {
        visit.address.clone_from(address);
    }
    let known = ["problem", "refusal"].map(|kind| format!("{kind}-{}", problem.code));
    let words = known.into_iter().find(|key| visit.language.knows(key));
    let page = ErrorPage {
        again,
        words: words.unwrap_or_else(|| "problem-failed".to_owned()),
        status: response.status().as_u16(),
        request_id: given_id(&parts),
        page: Page::of(visit),
    };
    let Ok(text) = page.render() else { return response };
    let mut shown = (response.status(), Html(text)).into_response();
    // Keep the cookies and headers of the original response.
    for (name, value) in response.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name) {
            shown.headers_mut().append(name, value.clone());
        }
    }
    if parts.method != Method::GET {
        shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    shown
}

/// The request id that a proxy gave, if it was accepted: an id that is not in the log would help nobody.
fn given_id(parts: &Parts) -> Option<String> {
    let ThisRequest(id) = parts.extensions.get::<ThisRequest>()?;
    let given = parts.headers.get(REQUEST_ID)?;
    (given.as_bytes() == id.as_bytes()).then(|| id.clone())
}
