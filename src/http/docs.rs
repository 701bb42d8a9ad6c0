//! Pages about the API for people: what each problem means, and what the browsable document is allowed to load.

use askama::Template;
use askama_web::WebTemplate;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::api::codes::{CODES, Code};
use crate::page::assets;

/// The browsable document sets styles and shows pictures of its own.
const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'; object-src 'none'";

pub async fn allow_own_styles(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    response
}

#[derive(Template, WebTemplate)]
#[template(path = "problems.html")]
pub struct ProblemsPage {
    style: String,
    codes: &'static [Code],
}

pub async fn problems() -> ProblemsPage {
    ProblemsPage { style: assets::address("app.css"), codes: CODES }
}
