//! Style sheets, scripts and pictures: built from `web/` into `web/dist`, embedded in the binary, read from disk in debug builds.
//!
//! Each file's name contains a hash of its content, so that browsers may cache it for ever; `assets.json` maps plain names to hashed ones.
//! Beside each file that compresses well there are a `.br` and a `.gz` form.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::http::Problem;

// Absent until the assets are built, so that the code compiles without Node.
#[derive(RustEmbed)]
#[folder = "web/dist/"]
#[allow_missing = true]
struct Dist;

const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The address of an asset by its plain name, such as `app.css`.
pub fn address(name: &str) -> String {
    let hashed = if cfg!(debug_assertions) { manifest().get(name).cloned() } else { shipped().get(name).cloned() };
    format!("/assets/{}", hashed.as_deref().unwrap_or(name))
}

/// `GET /assets/{name}`: the smallest form that the browser accepts.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name.contains("..") || name.ends_with(".br") || name.ends_with(".gz") || name == MANIFEST {
        return Problem::not_found().into_response();
    }
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let forms = [("br", ".br"), ("gzip", ".gz")].into_iter().filter(|(encoding, _)| accepts(accepted, encoding));
    let found = forms
        .filter_map(|(encoding, ending)| Some((Some(encoding), Dist::get(&format!("{name}{ending}"))?.data)))
        .next()
        .or_else(|| Some((None, Dist::get(&name)?.data)));
    let Some((encoding, body)) = found else { return Problem::not_found().into_response() };
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let mut response = match body {
        Cow::Borrowed(body) => body.into_response(),
        Cow::Owned(body) => body.into_response(),
    };
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, KEPT);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

const MANIFEST: &str = "assets.json";

fn manifest() -> HashMap<String, String> {
    Dist::get(MANIFEST).and_then(|file| serde_json::from_slice(&file.data).ok()).unwrap_or_default()
}

fn shipped() -> &'static HashMap<String, String> {
    static SHIPPED: OnceLock<HashMap<String, String>> = OnceLock::new();
    SHIPPED.get_or_init(manifest)
}

fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|range| {
        let (name, weight) = range.split_once(';').unwrap_or((range, ""));
        name.trim() == encoding && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}
