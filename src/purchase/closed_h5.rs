//! The page instead of a counter: why nothing can be bought there now, and where something can be done about it.

use askama::Template;
use askama_web::WebTemplate;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::counter_actions::{LineRefusal, Shop};
use super::model::PurchaseRefusal;
use crate::base::Fen;
use crate::error::Refusal;
use crate::merchant::CodeRefusal;
use crate::page::{Page, Said};

#[derive(Template, WebTemplate)]
#[template(path = "purchase/closed.html")]
pub struct ClosedPage {
    page: Page,
    why: Said,
    merchant_name: Option<String>,
    amount: Option<Fen>,
    /// Where something can be done about it, as words and a path.
    way_on: Option<(&'static str, &'static str)>,
}

/// The page that says why a code cannot be paid, and whose code it is where its shop is known.
pub(super) fn closed(page: Page, refusal: &impl Refusal, shop: Option<&Shop>) -> Response {
    closed_within(page, refusal, shop, None)
}

/// As [`closed`], also with the least and the greatest amount of one purchase there, as `bounds`.
pub(super) fn closed_within(
    page: Page,
    refusal: &impl Refusal,
    shop: Option<&Shop>,
    bounds: Option<(Fen, Fen)>,
) -> Response {
    let code = refusal.code();
    let status = if code == CodeRefusal::UnknownCode.code() { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
    let of_line = [PurchaseRefusal::LineEnded, PurchaseRefusal::LineNotActive, PurchaseRefusal::LineExceeded];
    let way_on = if of_line.iter().any(|refusal| refusal.code() == code) {
        Some(("pay-to-bills", "/bills"))
    } else if code == LineRefusal::Missing.code() {
        Some(("pay-to-apply", "/apply"))
    } else {
        None
    };
    let merchant_name = shop.map(|shop| shop.merchant.name.clone());
    let amount = shop.and_then(Shop::amount);
    let why = said(&page, code, bounds);
    (status, ClosedPage { page, why, merchant_name, amount, way_on }).into_response()
}

/// Why nothing is bought, with the bound that an amount is on the wrong side of.
pub(super) fn said(page: &Page, code: &str, bounds: Option<(Fen, Fen)>) -> Said {
    match bounds {
        Some((least, _)) if code == PurchaseRefusal::AmountBelowMinimum.code() => {
            page.say("pay-below-least").with("least", page.yuan(&least))
        }
        Some((_, most)) if code == PurchaseRefusal::AmountAboveMaximum.code() => {
            page.say("pay-above-most").with("most", page.yuan(&most))
        }
        _ => page.say_of("refusal", code),
    }
}
