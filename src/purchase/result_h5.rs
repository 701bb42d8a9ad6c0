//! The result page of a purchase, which can be opened at any time.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;

use super::closed_h5::said;
use super::counter_actions as counter;
use super::model::PurchaseRefusal;
use super::own_store::{OwnPurchase, OwnRefund};
use crate::app::App;
use crate::base::id::PurchaseId;
use crate::error::Refusal;
use crate::http::Problem;
use crate::merchant::code::token;
use crate::page::session::SignedIn;
use crate::page::{Page, Said};

/// For this long after a payment its page says that it has just been made; later, it says when.
const FRESH: TimeDelta = TimeDelta::minutes(1);

#[derive(Template, WebTemplate)]
#[template(path = "purchase/result.html")]
pub struct ResultPage {
    page: Page,
    purchase: OwnPurchase,
    refunds: Vec<OwnRefund>,
    is_fresh: bool,
    /// Why it was refused.
    why: Option<Said>,
    again: Option<String>,
}

/// `GET /purchases/{purchase}`
pub async fn result(
    State(app): State<App>,
    page: Page,
    Path(purchase): Path<String>,
    SignedIn(borrower_id): SignedIn,
) -> Result<ResultPage, Problem> {
    let purchase_id: PurchaseId = purchase.parse().map_err(|_| Problem::not_found())?;
    let found = counter::find_own(&app, borrower_id, purchase_id).await?;
    let purchase = found.ok_or_else(Problem::not_found)?;
    let refunds = counter::refunds(&app, &purchase).await?;
    let again = purchase.order_code.or(purchase.static_code).map(|code_id| format!("/q/{}", token(code_id)));
    let is_fresh = app.clock.now() - purchase.created_at < FRESH;
    let why = match &purchase.refusal {
        Some(code) => Some(said(&page, code, Some(counter::bounds_asked(&app, &purchase).await?))),
        None => None,
    };
    Ok(ResultPage { page, purchase, refunds, is_fresh, why, again })
}

impl ResultPage {
    /// Where a card is bound first, with the way back to the counter; `None` where that was not the reason.
    fn card_first(&self) -> Option<String> {
        let is_for_card = self.purchase.refusal.as_deref() == Some(PurchaseRefusal::NoCard.code());
        is_for_card.then(|| self.page.way("/me/cards/new", self.again.as_deref().unwrap_or("/home")))
    }

    /// Where what goes back to the card is, with its amount as `{ $amount }`; `None` where nothing does.
    fn back(&self, refund: &OwnRefund) -> Option<Said> {
        let said = match (refund.status.as_deref()?, refund.sent_at) {
            ("succeeded", Some(at)) => self.page.say("result-back-sent").with("time", self.page.time(&at)),
            ("failed", _) => self.page.say("result-back-failed"),
            _ => self.page.say("result-back-under-way"),
        };
        Some(said.with("amount", self.page.yuan(&refund.to_card)))
    }
}

impl OwnRefund {
    /// Whether the bank has refused to send it back to the card, which may need another card.
    fn is_stuck(&self) -> bool {
        self.status.as_deref() == Some("failed")
    }
}

pub(super) fn to_result(purchase_id: PurchaseId) -> Response {
    Redirect::to(&format!("/purchases/{purchase_id}")).into_response()
}

/// As [`to_result`], for somebody who had paid before: the page says so.
pub(super) fn to_earlier_result(page: &Page, purchase_id: PurchaseId) -> Response {
    page.visit.flash("flash-paid-before");
    to_result(purchase_id)
}
