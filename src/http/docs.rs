//! Pages about the API for people: the list of problems, and the security policy of the browsable OpenAPI document.

use askama::Template;
use askama_web::WebTemplate;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::api::codes::{CODES, Code};
use crate::page::assets;

/// The browsable document needs inline styles and `data:` pictures.
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
