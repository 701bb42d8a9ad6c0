//! A merchant takes a sale back: the effect of a refund is shown before it is made, and a sale of today is voided instead.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::actions::{self, Preview, RefundRequest, SeenRefusal};
use super::model::AfterSaleRefusal;
use super::pay_h5::AMOUNT_CHARS_MAX;
use super::sale::{Sale, SaleRefund, WayBack};
use super::sale_actions::SaleStory;
use super::sale_h5::find;
use crate::app::App;
use crate::base::id::RefundId;
use crate::base::typed::{plain_amount, typed_amount};
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::merchant::{MerchantSignedIn, Right};
use crate::page::{Form, Page, known_key, new_key, unprocessable};

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    /// In yuan, as it was typed.
    amount: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/refund_amount.html")]
pub struct AmountPage {
    page: Page,
    form: Form,
    sale: Sale,
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/refund_preview.html")]
pub struct PreviewPage {
    page: Page,
    sale: Sale,
    preview: Preview,
    plain_amount: String,
    key: String,
    /// The effect is not the one that the merchant was shown before.
    has_changed: bool,
}

/// `GET /m/purchases/{purchase}/refund`: asks how much; with an amount it shows what that would do.
pub async fn ask(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(purchase): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    signed_in.require(Right::Refund)?;
    let story = find(&app, &signed_in, &purchase).await?;
    let left = match story.sale.way_back(story.today) {
        WayBack::Refund { left } => left,
        WayBack::Void => return Ok(Redirect::to(&format!("{}/void", address(&story.sale))).into_response()),
        WayBack::Nothing => return Ok(Redirect::to(&address(&story.sale)).into_response()),
    };
    let desk = Desk { app: &app, page, sale: story.sale };
    let Some(typed) = asked.amount else {
        let form = Form::filled([("amount", plain_amount(left))]);
        return Ok(desk.amount(form).into_response());
    };
    let mut form = Form::filled([("amount", typed.trim().chars().take(AMOUNT_CHARS_MAX).collect())]);
    let Some(amount) = form.read("amount", typed_amount) else { return Ok(unprocessable(desk.amount(form))) };
    match actions::preview(&app, desk.sale.purchase_id, amount).await {
        Ok(preview) => {
            let key = new_key(&app);
            Ok(desk.preview(preview, key).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            refuse(&mut form, &refusal);
            Ok(unprocessable(desk.amount(form)))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Shows a refusal that goes away with another amount beside the amount, and any other one above the form.
fn refuse(form: &mut Form, refusal: &AfterSaleRefusal) {
    match refusal {
        AfterSaleRefusal::MoreThanLeft { .. } => form.refuse_field("amount", refusal.code()),
        refusal => form.refuse(refusal),
    }
}

/// Somebody who takes one sale back.
struct Desk<'a> {
    app: &'a App,
    page: Page,
    sale: Sale,
}

impl Desk<'_> {
    fn amount(self, form: Form) -> AmountPage {
        AmountPage { page: self.page, form, sale: self.sale }
    }

    fn preview(self, preview: Preview, key: String) -> PreviewPage {
        PreviewPage {
            page: self.page,
            sale: self.sale,
            plain_amount: plain_amount(preview.effect.parts.amount),
            preview,
            key,
            has_changed: false,
        }
    }

    /// The preview with present figures; where the refund would be refused, the form again with the reason.
    async fn look_again(self, request: RefundRequest) -> Result<Response, Problem> {
        match actions::preview(self.app, request.purchase_id, request.amount).await {
            Ok(preview) => {
                let shown = PreviewPage { has_changed: true, ..self.preview(preview, request.idempotency_key) };
                Ok((StatusCode::CONFLICT, shown).into_response())
            }
            Err(Fault::Refused(refusal)) => Ok(self.ask_again(&request, &refusal)),
            Err(failed) => Err(failed.into()),
        }
    }

    fn ask_again(self, request: &RefundRequest, refusal: &AfterSaleRefusal) -> Response {
        let mut form = Form::filled([("amount", plain_amount(request.amount))]);
        refuse(&mut form, refusal);
        (StatusCode::CONFLICT, self.amount(form)).into_response()
    }
}

/// `POST /m/purchases/{purchase}/refund`: refunds what was shown, once however often it is sent.
pub async fn refund(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(purchase): Path<String>,
    form: Form,
) -> Result<Response, Problem> {
    signed_in.require(Right::Refund)?;
    let SaleStory { sale, .. } = find(&app, &signed_in, &purchase).await?;
    let posted = (known_key(form.value("key")), typed_amount(form.value("amount")));
    let (Some(key), Ok(amount)) = posted else {
        return Ok(Redirect::to(&format!("{}/refund", address(&sale))).into_response());
    };
    let request = RefundRequest { purchase_id: sale.purchase_id, amount, idempotency_key: key };
    let desk = Desk { app: &app, page, sale };
    match actions::refund_as_seen(&app, request.clone(), form.value("seal")).await {
        Ok(refund_id) => Ok(Redirect::to(&format!("{}/refunds/{refund_id}", address(&desk.sale))).into_response()),
        Err(Fault::Refused(SeenRefusal::EffectChanged)) => desk.look_again(request).await,
        // The key has refunded another amount: this page is an old one.
        Err(Fault::Refused(SeenRefusal::AfterSale(refusal))) => Ok(desk.ask_again(&request, &refusal)),
        Err(failed) => Err(failed.into()),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/refund_done.html")]
pub struct DonePage {
    page: Page,
    signed_in: MerchantSignedIn,
    sale: Sale,
    refund: SaleRefund,
}

/// `GET /m/purchases/{purchase}/refunds/{refund}`: what came of it, whenever it is asked for.
pub async fn done(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path((purchase, refund)): Path<(String, String)>,
) -> Result<DonePage, Problem> {
    let story = find(&app, &signed_in, &purchase).await?;
    let refund_id: RefundId = refund.parse().map_err(|_| Problem::not_found())?;
    let refund = story.refunds.into_iter().find(|refund| refund.refund_id == refund_id);
    let refund = refund.ok_or_else(Problem::not_found)?;
    Ok(DonePage { page, signed_in, sale: story.sale, refund })
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/void.html")]
pub struct VoidPage {
    page: Page,
    form: Form,
    sale: Sale,
}

/// `GET /m/purchases/{purchase}/void`
pub async fn ask_void(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(purchase): Path<String>,
) -> Result<Response, Problem> {
    signed_in.require(Right::Refund)?;
    let SaleStory { sale, today, .. } = find(&app, &signed_in, &purchase).await?;
    Ok(match sale.way_back(today) {
        WayBack::Void => VoidPage { page, form: Form::default(), sale }.into_response(),
        WayBack::Refund { .. } => Redirect::to(&format!("{}/refund", address(&sale))).into_response(),
        WayBack::Nothing => Redirect::to(&address(&sale)).into_response(),
    })
}

/// `POST /m/purchases/{purchase}/void`: undoes it, or says why not; the day may have ended since the page was opened.
pub async fn void(
    State(app): State<App>,
    page: Page,
    signed_in: MerchantSignedIn,
    Path(purchase): Path<String>,
    mut form: Form,
) -> Result<Response, Problem> {
    signed_in.require(Right::Refund)?;
    let SaleStory { sale, .. } = find(&app, &signed_in, &purchase).await?;
    match actions::void(&app, sale.purchase_id).await {
        Ok(_) => {
            page.visit.flash("flash-sale-voided");
            Ok(Redirect::to(&address(&sale)).into_response())
        }
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok((StatusCode::CONFLICT, VoidPage { page, form, sale }).into_response())
        }
        Err(failed) => Err(failed.into()),
    }
}

impl VoidPage {
    /// The day is over: there is another way.
    fn is_too_late(&self) -> bool {
        self.form.refusal() == Some(AfterSaleRefusal::PastCutOff.code())
    }
}

fn address(sale: &Sale) -> String {
    format!("/m/purchases/{}", sale.purchase_id)
}
