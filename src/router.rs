//! Every URL.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::access;
use crate::app::App;
use crate::http::api::{Document, Gate, PREFIX, complete, gate};
use crate::http::{Problem, callback, docs, health, limits, metrics, start};
use crate::page::{assets, error_page, visit};

pub fn router(app: App) -> Router {
    let router = Router::new()
        .merge(pages(app.clone()))
        .route("/assets/{name}", get(assets::serve))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/partner/{partner}", post(callback::take));
    guarded(router.merge(partner_api(&app)), app)
}

/// Every operation of the partner API. What stands here is in the document, and nothing else is.
fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(access::api::show_myself)).routes(routes!(access::api::list_platform_keys))
}

/// The document of the partner API, as it is served.
pub fn api_document() -> Document {
    complete(OpenApiRouter::<App>::new().nest(PREFIX, operations()).get_openapi())
}

/// The operations behind their gate, and before it the document with a page to browse it.
fn partner_api(app: &App) -> Router<App> {
    let document = api_document();
    let state = Gate { app: app.clone(), operations: Arc::new(document.operations) };
    let (routes, _) = OpenApiRouter::new().nest(PREFIX, operations()).split_for_parts();
    let routes = routes
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(state, gate::gate));
    let browsable = SwaggerUi::new("/api/docs").external_url_unchecked("/api/v1/openapi.json", document.json);
    let pages = Router::new()
        .merge(Router::from(browsable))
        .layer(map_response(docs::allow_own_styles))
        .route("/api/docs/problems", get(docs::problems));
    routes.merge(pages)
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
