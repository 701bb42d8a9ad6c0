//! The routes of every URL. Start with [`router_with`]; the partner API's operations are in `operations`, the pages in `pages`.

use std::sync::{Arc, LazyLock};

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Redirect;
use axum::routing::{MethodRouter, any, get, post};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::{App, Shared};
use crate::bill::loan_h5;
use crate::borrower::{card_h5, me_h5, message_h5, mobile_h5, pin_h5, sign_in_h5};
use crate::credit::{account_h5, apply_h5, consent_h5, home_h5, line_h5, review_h5};
use crate::http::api::{Document, Gate, Operations, PREFIX, complete, gate};
use crate::http::{Problem, callback, docs, health, limits, metrics, start};
use crate::merchant::{join_h5, order_h5, staff_h5};
use crate::page::{assets, error_page, visit};
use crate::purchase::{Authoriser, LiveReceipts, pay_h5, receipt_h5, refund_h5, result_h5, sale_h5, scan_h5};
use crate::{
    access, bill, claim, credit, day_file, funder, loan, merchant, outbox, product, purchase, repayment, settlement,
};

pub fn router(app: App) -> Router {
    let live = LiveReceipts::new(app.clone());
    router_with(app, live)
}

/// As [`router`], with the live pages of receipts handed in by the caller, who ends them when the node stops.
pub fn router_with(app: App, live: LiveReceipts) -> Router {
    let router = Router::new()
        .merge(pages(&app, live))
        .merge(watched())
        .route("/assets/{name}", get(assets::serve))
        .route("/partner/{partner}", post(callback::take));
    guarded(router.merge(partner_api(&app)), app)
}

/// Health and metrics alone, for a node that serves nothing else.
pub fn health_router(app: App) -> Router {
    guarded(watched(), app)
}

fn watched() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
}

/// Every operation of the partner API. The OpenAPI document is made from these, and from nothing else.
fn operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(access::api::show_myself))
        .routes(routes!(access::api::list_platform_keys))
        .merge(merchant_operations())
        .merge(product_operations())
        .merge(reserve_operations())
        .merge(loan_operations())
        .merge(file_operations())
        .merge(event_operations())
}

fn merchant_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(merchant::api::create_order, merchant::api::list_orders))
        .routes(routes!(merchant::api::show_order))
        .routes(routes!(merchant::api::close_order))
        .routes(routes!(purchase::api::list_purchases))
        .routes(routes!(purchase::api::show_purchase))
        .routes(routes!(purchase::api::void_purchase))
        .routes(routes!(purchase::api::refund_purchase))
        .routes(routes!(purchase::api::list_refunds))
        .routes(routes!(purchase::api::show_refund))
        .routes(routes!(settlement::api::list_settlements))
        .routes(routes!(settlement::api::show_settlement))
        .routes(routes!(settlement::api::download_statement))
        .routes(routes!(merchant::notify_api::show_notify_url, merchant::notify_api::put_notify_url))
        .routes(routes!(merchant::notify_api::list_failed_notifications))
        .routes(routes!(merchant::notify_api::replay_notification))
}

fn product_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(product::api::list_products))
        .routes(routes!(product::api::list_versions))
        .routes(routes!(product::api::show_version))
        .routes(routes!(product::api::check_product))
        .routes(routes!(product::api::simulate))
        .routes(routes!(product::api::submit_draft, product::api::list_drafts))
        .routes(routes!(product::api::show_draft, product::api::edit_draft))
        .routes(routes!(product::api::approve_draft))
        .routes(routes!(product::api::publish_draft))
}

fn reserve_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(funder::api::show_reserve))
        .routes(routes!(funder::api::list_entries))
        .routes(routes!(funder::api::show_forecast))
        .routes(routes!(funder::api::show_low_water_mark, funder::api::set_low_water_mark))
        .routes(routes!(funder::api::note_deposit))
        .routes(routes!(funder::api::note_withdrawal))
        .routes(routes!(funder::api::confirm_withdrawal))
        .routes(routes!(funder::api::list_reserve_orders))
        .routes(routes!(funder::api::show_reserve_order))
        .routes(routes!(settlement::api::list_remittances))
        .routes(routes!(settlement::api::show_remittance))
}

fn loan_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(credit::api::list_applications))
        .routes(routes!(credit::api::show_application))
        .routes(routes!(credit::api::decide_application))
        .routes(routes!(credit::api::decide_late))
        .routes(routes!(purchase::risk_api::decide_purchase_late))
        .routes(routes!(credit::api::list_lines))
        .routes(routes!(credit::api::show_line))
        .routes(routes!(credit::api::list_line_entries))
        .routes(routes!(loan::api::list_loans))
        .routes(routes!(loan::api::show_loan))
        .routes(routes!(loan::api::list_plans))
        .routes(routes!(loan::api::list_installments))
        .routes(routes!(bill::api::list_bills))
        .routes(routes!(repayment::api::list_repayments))
        .routes(routes!(repayment::api::show_repayment))
        .routes(routes!(repayment::api::list_withholdings))
        .routes(routes!(claim::api::list_claims))
        .routes(routes!(repayment::api::show_withholding))
        .routes(routes!(purchase::api::list_loan_refunds))
        .routes(routes!(purchase::api::show_loan_refund))
}

fn file_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(day_file::api::list_days))
        .routes(routes!(day_file::api::show_manifest))
        .routes(routes!(day_file::api::download_file))
}

fn event_operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(outbox::api::list_events))
        .routes(routes!(outbox::api::list_kinds))
        .routes(routes!(outbox::control_api::show_delivery))
        .routes(routes!(outbox::control_api::pause))
        .routes(routes!(outbox::control_api::resume))
        .routes(routes!(outbox::control_api::list_failures))
        .routes(routes!(outbox::control_api::replay))
        .routes(routes!(outbox::control_api::retry))
        .routes(routes!(outbox::control_api::discard))
        .routes(routes!(outbox::template_api::show_template, outbox::template_api::save_template))
        .routes(routes!(outbox::template_api::list_template_versions))
        .routes(routes!(outbox::template_api::preview))
}

/// The OpenAPI document of the partner API, as it is served.
pub fn api_document() -> Document {
    complete(OpenApiRouter::<Shared>::new().nest(PREFIX, operations()).get_openapi())
}

/// The part of the partner API that depends on no app, made once for all routers of a process.
struct PartnerApi {
    routes: Router<Shared>,
    /// The document, and pages to browse it.
    pages: Router<Shared>,
    operations: Arc<Operations>,
}

static PARTNER_API: LazyLock<PartnerApi> = LazyLock::new(|| {
    let (routes, declared) = OpenApiRouter::new().nest(PREFIX, operations()).split_for_parts();
    let document = complete(&declared);
    // By default the page fetches a badge from a public server, which validates the document.
    let config = Config::default().validator_url("none");
    let browsable =
        SwaggerUi::new("/api/docs").config(config).external_url_unchecked("/api/v1/openapi.json", document.json);
    let pages = Router::new()
        .merge(Router::from(browsable))
        .layer(map_response(docs::allow_own_styles))
        .route("/api/docs/problems", get(docs::problems));
    PartnerApi { routes, pages, operations: Arc::new(document.operations) }
});

/// The operations, behind their gate; and the document with the pages to browse it, which need no key.
fn partner_api(app: &App) -> Router<Shared> {
    let PartnerApi { routes, pages, operations } = &*PARTNER_API;
    let state = Gate::new(app.clone(), operations.clone());
    let nothing = || -> MethodRouter<Shared> { any(async || Problem::not_found()) };
    let routes = routes
        .clone()
        .route(PREFIX, nothing())
        .route(&format!("{PREFIX}/"), nothing())
        .route(&format!("{PREFIX}/{{*path}}"), nothing())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(state, gate::gate));
    routes.merge(pages.clone())
}

/// Every page. Posts are refused unless they come from a page of ours.
fn pages(app: &App, live: LiveReceipts) -> Router<Shared> {
    // The node has one authoriser, so that purchases that are confirmed at the same moment are decided together.
    let authoriser = Authoriser::start(app.clone());
    Router::new()
        .merge(money_pages())
        .merge(merchant_pages())
        .merge(sale_pages())
        .layer(Extension(authoriser))
        .layer(Extension(live))
        .route("/sign-in", get(sign_in_h5::show).post(sign_in_h5::sign_in))
        .route("/sign-in/wechat", get(sign_in_h5::from_wechat))
        .route("/sign-out", led("/me").post(sign_in_h5::sign_out))
        .route("/apply", get(apply_h5::show))
        .route("/apply/identity", get(apply_h5::to_step).post(apply_h5::identify))
        .route("/apply/agreement", get(apply_h5::to_step).post(apply_h5::agree))
        .route("/apply/submit", get(apply_h5::to_step).post(apply_h5::submit))
        .route("/apply/state", get(apply_h5::state))
        .route("/apply/review", led("/apply").post(review_h5::ask))
        .route("/home", get(home_h5::home))
        .route("/home/line", get(line_h5::show))
        .route("/me", get(me_h5::me))
        .route("/me/agreements", get(me_h5::agreements))
        .route("/me/agreements/{consent}", get(me_h5::agreement))
        .route("/me/agreements/{consent}/withdraw", led("/me/agreements").post(consent_h5::withdraw))
        .route("/me/messages", get(message_h5::list))
        .route("/me/messages/wechat", led("/me/messages").post(message_h5::allow))
        .route("/me/messages/wechat/stop", led("/me/messages").post(message_h5::stop))
        .route("/me/sessions", get(me_h5::sessions))
        .route("/me/sessions/{session}/end", led("/me/sessions").post(me_h5::end_session))
        .route("/me/sessions/end-others", led("/me/sessions").post(me_h5::end_others))
        .route("/me/sessions/unlink-wechat", led("/me/sessions").post(me_h5::unlink_wechat))
        .route("/me/export", get(me_h5::ask_export).post(me_h5::export))
        .route("/me/close", get(account_h5::ask).post(account_h5::close))
        .route("/me/mobile", get(mobile_h5::show).post(mobile_h5::change))
        .route("/me/pin", get(pin_h5::show).post(pin_h5::set))
        .route("/me/pin/forgotten", get(pin_h5::forgotten).post(pin_h5::reset))
        .route("/me/cards", get(card_h5::list))
        .route("/me/cards/new", get(card_h5::new).post(card_h5::start))
        .route("/me/cards/code", get(card_h5::code).post(card_h5::confirm))
        .route("/me/cards/{card}/default", get(card_h5::ask_default).post(card_h5::set_default))
        .route("/me/cards/{card}/unbind", get(card_h5::ask_unbind).post(card_h5::unbind))
        .layer(from_fn_with_state(health::Door::of(app), health::once_open))
        .route("/", get(start::start))
        .layer(from_fn_with_state(Shared::new(app.clone()), visit::visit))
}

/// For a URL that a form posts to and that has no page of its own: a GET (for example a reload after the form has expired) is redirected
/// to `page`, where the form is.
fn led(page: &'static str) -> MethodRouter<Shared> {
    get(move || async move { Redirect::to(page) })
}

/// Borrowers' pages that move money, or say where it went.
fn money_pages() -> Router<Shared> {
    Router::new()
        .route("/scan", get(scan_h5::show).post(scan_h5::read))
        .route("/q/{code}", get(pay_h5::open))
        .route("/q/{code}/confirm", get(pay_h5::ask).post(pay_h5::confirm))
        .route("/purchases/{purchase}", get(result_h5::result))
        .route("/bills", get(bill::h5::list))
        .route("/bills/pay", get(repayment::h5::ask).post(repayment::h5::pay))
        .route("/bills/{due_on}", get(bill::h5::bill))
        .route("/loans", get(loan_h5::list))
        .route("/loans/{loan}", get(loan_h5::show))
        .route("/loans/{loan}/agreement", get(loan_h5::agreement))
        .route("/loans/{loan}/periods/{period}", get(loan_h5::why))
        .route("/loans/{loan}/payoff", get(repayment::h5::ask_payoff).post(repayment::h5::pay_off))
        .route("/repayments/{order}", get(repayment::h5::order))
}

/// The pages of a merchant's staff.
fn merchant_pages() -> Router<Shared> {
    Router::new()
        .route("/m", get(merchant::h5::home))
        .route("/m/more", get(merchant::h5::more))
        .route("/m/sign-in", get(merchant::sign_in_h5::show).post(merchant::sign_in_h5::sign_in))
        .route("/m/choose", get(merchant::sign_in_h5::ask).post(merchant::sign_in_h5::choose))
        .route("/m/sign-out", led("/m/more").post(merchant::sign_in_h5::sign_out))
        .route("/m/join", get(join_h5::show))
        .route("/m/join/company", get(join_h5::to_step).post(join_h5::company))
        .route("/m/join/account", get(join_h5::to_step).post(join_h5::account))
        .route("/m/join/submit", get(join_h5::to_step).post(join_h5::submit))
        .route("/m/join/again", get(join_h5::to_step).post(join_h5::again))
        .route("/m/join/state", get(join_h5::state))
        .route("/m/orders", get(order_h5::list))
        .route("/m/orders/new", get(order_h5::new).post(order_h5::open))
        .route("/m/orders/{order}", get(order_h5::show))
        .route("/m/orders/{order}/close", led("/m/orders").post(order_h5::close))
        .route("/m/staff", get(staff_h5::list))
        .route("/m/staff/new", get(staff_h5::new).post(staff_h5::hire))
        .route("/m/staff/{staff}", get(staff_h5::show).post(staff_h5::change))
        .route("/m/staff/{staff}/remove", get(staff_h5::ask_remove).post(staff_h5::remove))
}

/// A merchant's sales, refunds and payouts.
fn sale_pages() -> Router<Shared> {
    Router::new()
        .route("/m/receipts", get(receipt_h5::show))
        .route("/m/receipts/events", get(receipt_h5::events))
        .route("/m/purchases", get(sale_h5::list))
        .route("/m/purchases/table", get(sale_h5::table))
        .route("/m/purchases/{purchase}", get(sale_h5::show))
        .route("/m/purchases/{purchase}/void", get(refund_h5::ask_void).post(refund_h5::void))
        .route("/m/purchases/{purchase}/refund", get(refund_h5::ask).post(refund_h5::refund))
        .route("/m/purchases/{purchase}/refunds/{refund}", get(refund_h5::done))
        .route("/m/settlements", get(settlement::h5::list))
        .route("/m/settlements/month/{month}/statement", get(settlement::h5::statement_of_month))
        .route("/m/settlements/{day}", get(settlement::h5::show))
        .route("/m/settlements/{day}/statement", get(settlement::h5::statement_of_day))
        .route("/m/settlements/{day}/{figure}", get(settlement::h5::figure))
        .route("/m/poster", get(merchant::poster_h5::show))
        .route("/m/poster.svg", get(merchant::poster_h5::picture))
        .route("/m/messages", get(merchant::message_h5::messages))
}

/// Compresses everything but daily files: those are compressed already, and their hashes are of the bytes as they are stored.
fn worth_packing() -> impl Predicate {
    DefaultPredicate::new().and(NotForContentType::const_new("application/gzip"))
}

/// The layers around every route, the outermost first. Tests put routes of their own inside.
pub fn guarded(router: Router<Shared>, app: App) -> Router {
    let app = Shared::new(app);
    // As one layer: each layer added to a router by itself is one more box that is cloned for each request.
    let layers = (
        from_fn_with_state(app.clone(), limits::record),
        CompressionLayer::new().compress_when(worth_packing()),
        from_fn_with_state(app.clone(), error_page::show),
        CatchPanicLayer::custom(limits::recover),
        from_fn(limits::limit),
        DefaultBodyLimit::max(limits::BODY_BYTES_MAX),
    );
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(layers)
        .with_state(app)
}
