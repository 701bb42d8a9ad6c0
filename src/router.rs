//! Every URL.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::http::{Problem, callback, health, limits, metrics, start};
use crate::page::{assets, error_page, visit};

pub fn router(app: App) -> Router {
    let router = Router::new()
        .merge(pages(app.clone()))
        .route("/assets/{name}", get(assets::serve))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/partner/{partner}", post(callback::take));
    guarded(router, app)
}

/// Every page. Posts are refused unless they come from a page of ours.
fn pages(app: App) -> Router<App> {
    Router::new().route("/", get(start::start)).layer(from_fn_with_state(app, visit::visit))
}

/// The layers around every route, the outermost last. Tests put routes of their own inside.
pub fn guarded(router: Router<App>, app: App) -> Router {
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .layer(from_fn(limits::limit))
        .layer(CatchPanicLayer::custom(limits::recover))
        .layer(from_fn_with_state(app.clone(), error_page::show))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(app.clone(), limits::record))
        .with_state(app)
}
