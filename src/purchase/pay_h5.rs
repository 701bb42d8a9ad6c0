//! Paying by a merchant's code: the amount, the plans, the PIN, and what came of it.

use askama::Template;
use askama_web::WebTemplate;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::authoriser::Authoriser;
use super::closed_h5::{closed, closed_within, said};
use super::counter_actions::{self as counter, AtCounter, ConfirmRefusal, Confirmation, Shop};
use super::elsewhere_h5;
use super::model::PurchaseRefusal;
use super::offer::{PlanName, PlanOffer};
use super::plans_h5::PlansPage;
use super::result_h5::{to_earlier_result, to_result};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::BorrowerId;
use crate::base::typed::{after_key, plain_amount, typed_amount};
use crate::borrower;
use crate::credit::{Line, open_lines};
use crate::error::{Fault, Refusal};
use crate::funder;
use crate::http::Problem;
use crate::loan::words::{self, RowWords};
use crate::merchant::{CodeKind, CodeStatus};
use crate::page::session::SignedIn;
use crate::page::{Form, Page, Said, key_or_new, known_key, new_key, unprocessable};

/// Longer than any amount; more of what was typed is not shown again.
pub(super) const AMOUNT_CHARS_MAX: usize = 24;

/// The refusals that go away with another amount.
const OF_AMOUNT: [PurchaseRefusal; 3] =
    [PurchaseRefusal::AmountBelowMinimum, PurchaseRefusal::AmountAboveMaximum, PurchaseRefusal::LineExceeded];

/// The query of the address.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    /// In yuan, as it was typed.
    amount: Option<String>,
    /// The key of the keypad that was pressed, where no script presses it.
    press: Option<String>,
    /// The idempotency key of this visit to the counter.
    key: String,
    plan: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/keypad.html")]
pub struct KeypadPage {
    page: Page,
    form: Form,
    token: String,
    merchant_name: String,
    key: String,
    /// The most that is left for one purchase here.
    usable: Fen,
    /// The least and the greatest amount of one purchase; `None` where nothing is sold.
    bounds: Option<(Fen, Fen)>,
}

impl KeypadPage {
    /// Why nothing is bought here, whatever the amount; shown above the form.
    fn refusal(&self) -> Option<Said> {
        self.form.refusal().filter(|code| !is_of_amount(code)).map(|code| said(&self.page, code, self.bounds))
    }

    /// Why this amount cannot be paid; shown beside it.
    fn amount_refusal(&self) -> Option<Said> {
        self.form.refusal().filter(|code| is_of_amount(code)).map(|code| said(&self.page, code, self.bounds))
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "purchase/confirm.html")]
pub struct ConfirmPage {
    page: Page,
    form: Form,
    token: String,
    merchant_name: String,
    key: String,
    amount: Fen,
    plain_amount: String,
    expires_at: Option<DateTime<Utc>>,
    plan: PlanOffer,
    lender: String,
    /// Where the level payment comes from that the rows are computed by.
    payment_why: Option<String>,
    rows: Vec<RowWords>,
    has_pin: bool,
    /// The last digits of the card that it is repaid from; `None` where one must be bound first.
    card_tail: Option<String>,
}

impl ConfirmPage {
    /// The address of this page, to come back to after setting a PIN.
    fn here(&self) -> String {
        let ConfirmPage { token, key, plain_amount, plan, .. } = self;
        format!("/q/{token}/confirm?key={key}&amount={plain_amount}&plan={}", plan.name)
    }

    fn orders(&self) -> Vec<(String, String)> {
        words::orders(&self.page, &self.plan.product.terms.allocation, self.plan.plan())
    }
}

fn is_of_amount(code: &str) -> bool {
    OF_AMOUNT.iter().any(|refusal| refusal.code() == code)
}

/// `GET /q/{code}`: where a code leads, in whatever browser it is opened.
pub async fn open(
    State(app): State<App>,
    page: Page,
    Path(token): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    signed_in: Result<SignedIn, Response>,
) -> Result<Response, Problem> {
    let shop = match find_shop(&app, &page, &token).await? {
        Ok(shop) => shop,
        Err(no_shop) => return Ok(no_shop),
    };
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    if let Some(elsewhere) = elsewhere_h5::answer(&app, &page, &shop, agent).await? {
        return Ok(elsewhere);
    }
    let borrower_id = match signed_in {
        Ok(SignedIn(borrower_id)) => borrower_id,
        Err(to_sign_in) => return Ok(to_sign_in),
    };
    let lines = open_lines(&app, borrower_id).await?;
    let mut visit = Visit { app: &app, page, shop, borrower_id, lines, token, key: new_key(&app) };
    if let Some(refused) = visit.refused().await? {
        return Ok(refused);
    }
    // A key is for one payment: a second payment gets another one.
    if let Some(key) = known_key(&asked.key)
        && counter::find_earlier(&app, &visit.lines, &key).await?.is_none()
    {
        visit.key = key;
    }
    match visit.shop.amount() {
        Some(amount) => visit.plans(amount, Chosen::Nothing).await,
        None => visit.with_typed(asked).await,
    }
}

/// The shop that a code belongs to, or the page that says why there is none.
async fn find_shop(app: &App, page: &Page, token: &str) -> Result<Result<Shop, Response>, Problem> {
    match counter::find_shop(app, token).await {
        Ok(shop) => Ok(Ok(shop)),
        Err(Fault::Refused(refusal)) => Ok(Err(closed(page.clone(), &refusal, None))),
        Err(failed) => Err(failed.into()),
    }
}

/// What was chosen before the plans are shown.
enum Chosen {
    Nothing,
    /// By its name, as the address brings it along.
    Plan(String),
    /// A plan of terms that have changed since its page was made.
    Outdated(PlanName),
}

/// Somebody at a counter.
struct Visit<'a> {
    app: &'a App,
    page: Page,
    shop: Shop,
    borrower_id: BorrowerId,
    lines: Vec<Line>,
    token: String,
    key: String,
}

impl Visit<'_> {
    fn at(&self) -> AtCounter<'_> {
        AtCounter { lines: &self.lines, shop: &self.shop }
    }

    /// The page that is shown instead of the counter, where the code cannot be paid or none of the borrower's lines can be used;
    /// `None` where both are fine. Somebody who opens an order that they paid themselves is led to its result.
    async fn refused(&self) -> Result<Option<Response>, Problem> {
        let Visit { app, page, shop, borrower_id, lines, .. } = self;
        let Err(refusal) = counter::check_payable(app, shop) else {
            return match counter::check_lines(app, lines).await {
                Ok(()) => Ok(None),
                Err(Fault::Refused(refusal)) => Ok(Some(closed(page.clone(), &refusal, Some(shop)))),
                Err(failed) => Err(failed.into()),
            };
        };
        if let CodeStatus::Paid { purchase_id } | CodeStatus::Voided { purchase_id } = shop.code.status
            && counter::find_own(app, *borrower_id, purchase_id).await?.is_some()
        {
            return Ok(Some(to_earlier_result(page, purchase_id)));
        }
        Ok(Some(closed(page.clone(), &refusal, Some(shop))))
    }

    /// The keypad until there is an amount, then the plans for it.
    async fn with_typed(self, asked: Asked) -> Result<Response, Problem> {
        let Some(typed) = asked.amount else { return self.blank().await };
        let typed: String = typed.chars().take(AMOUNT_CHARS_MAX).collect();
        if let Some(pressed) = asked.press {
            let form = Form::filled([("amount", after_key(&typed, &pressed))]);
            return Ok(self.keypad(form).await?.into_response());
        }
        let mut form = Form::filled([("amount", typed.trim().to_owned())]);
        match form.read("amount", typed_amount) {
            Some(amount) => self.plans(amount, Chosen::Plan(asked.plan)).await,
            None => Ok(unprocessable(self.keypad(form).await?)),
        }
    }

    /// The keypad with nothing typed yet; where nothing is sold, whatever the amount, a page that says so before anybody types.
    async fn blank(self) -> Result<Response, Problem> {
        if counter::bounds(self.app, self.at()).await?.is_none() {
            match counter::offer_plans(self.app, self.at(), Fen::ZERO).await {
                Ok(_) => {}
                Err(Fault::Refused(refusal)) => return self.closed(refusal).await,
                Err(failed) => return Err(failed.into()),
            }
        }
        Ok(self.keypad(Form::default()).await?.into_response())
    }

    async fn keypad(self, form: Form) -> anyhow::Result<KeypadPage> {
        Ok(KeypadPage {
            form,
            usable: counter::usable(self.app, self.at()).await?,
            bounds: counter::bounds(self.app, self.at()).await?,
            merchant_name: self.shop.merchant.name,
            page: self.page,
            token: self.token,
            key: self.key,
        })
    }

    /// The plans for an amount. Where there are none, the keypad again with the reason; for an order, whose amount is given, a page that
    /// says the reason. If the plan that was chosen is outdated, the page says what has changed, and its successor is chosen already.
    async fn plans(self, amount: Fen, chosen: Chosen) -> Result<Response, Problem> {
        let (is_outdated, former) = match &chosen {
            Chosen::Outdated(name) => (true, counter::former_plan(self.app, self.at(), amount, *name).await?),
            Chosen::Nothing | Chosen::Plan(_) => (false, None),
        };
        match counter::offer_plans(self.app, self.at(), amount).await {
            Ok(plans) => {
                let status = if is_outdated { StatusCode::CONFLICT } else { StatusCode::OK };
                let chosen = match chosen {
                    Chosen::Nothing => None,
                    Chosen::Plan(name) => Some(name),
                    Chosen::Outdated(name) => {
                        let successor = plans.iter().find(|plan| plan.name.is_successor(&name));
                        successor.map(|plan| plan.name.to_string())
                    }
                };
                let mut page = self.page;
                if is_outdated {
                    // The page answers a POST, whose address cannot be opened again; this one can.
                    page.visit.address = format!("/q/{}?amount={}&key={}", self.token, plain_amount(amount), self.key);
                }
                let shown = PlansPage {
                    expires_at: expiry(&self.shop),
                    merchant_name: self.shop.merchant.name,
                    page,
                    token: self.token,
                    key: self.key,
                    amount,
                    plain_amount: plain_amount(amount),
                    has_changed: is_outdated,
                    chosen: chosen.unwrap_or_default(),
                    former,
                    plans,
                };
                Ok((status, shown).into_response())
            }
            Err(Fault::Refused(refusal)) if self.shop.amount().is_none() => {
                let mut form = Form::filled([("amount", plain_amount(amount))]);
                form.refuse(&refusal);
                Ok(unprocessable(self.keypad(form).await?))
            }
            Err(Fault::Refused(refusal)) => self.closed(refusal).await,
            Err(failed) => Err(failed.into()),
        }
    }

    async fn closed(self, refusal: PurchaseRefusal) -> Result<Response, Problem> {
        let bounds = counter::bounds(self.app, self.at()).await?;
        Ok(closed_within(self.page, &refusal, Some(&self.shop), bounds))
    }
}

/// `GET /q/{code}/confirm`: one plan in full, and the PIN. A key that bought this very thing already leads to what it bought; one
/// that was used for anything else is not used again.
pub async fn ask(
    State(app): State<App>,
    page: Page,
    Path(token): Path<String>,
    Query(asked): Query<Asked>,
    SignedIn(borrower_id): SignedIn,
) -> Result<Response, Problem> {
    let lines = open_lines(&app, borrower_id).await?;
    let shop = match find_shop(&app, &page, &token).await? {
        Ok(shop) => shop,
        Err(no_shop) => return Ok(no_shop),
    };
    let typed = asked.amount.as_deref().and_then(|typed| typed_amount(typed).ok());
    let wish = shop.amount().or(typed).zip(asked.plan.parse::<PlanName>().ok());
    let key = key_or_new(&app, &asked.key);
    let mut visit = Visit { app: &app, page, shop, borrower_id, lines, token, key };
    if let Some(earlier) = counter::find_earlier(&app, &visit.lines, &visit.key).await? {
        if earlier.is_bought() && wish.is_some_and(|(amount, plan)| earlier.is_of(&visit.shop, amount, plan)) {
            return Ok(to_earlier_result(&visit.page, earlier.purchase_id()));
        }
        visit.key = new_key(&app);
    }
    if let Some(refused) = visit.refused().await? {
        return Ok(refused);
    }
    let Some((amount, plan)) = wish else { return Ok(to_counter(&visit.token, &asked.amount.unwrap_or_default())) };
    visit.confirm(amount, plan, Form::default()).await
}

impl Visit<'_> {
    /// The page that asks for the PIN; the plans again where this one is not sold any more, or not on the same terms.
    async fn confirm(self, amount: Fen, name: PlanName, form: Form) -> Result<Response, Problem> {
        let plans = match counter::offer_plans(self.app, self.at(), amount).await {
            Ok(plans) => plans,
            Err(Fault::Refused(refusal)) => return self.closed(refusal).await,
            Err(failed) => return Err(failed.into()),
        };
        let Some(plan) = plans.into_iter().find(|plan| plan.name == name) else {
            return self.plans(amount, Chosen::Outdated(name)).await;
        };
        let status = form.status();
        let lender = funder::store::find_name(&mut *self.app.pool.acquire().await?, plan.product.funder_id).await?;
        let mut shown = ConfirmPage {
            payment_why: words::level_payment(&self.page, &plan.request).filter(|_| plan.name.periods > 1),
            rows: words::rows(&self.page, &plan.request, &plan.quote.gross_schedule(), &plan.quote.subsidies),
            has_pin: borrower::has_pin(self.app, self.borrower_id).await?,
            card_tail: borrower::card_to_charge(self.app, self.borrower_id).await?.map(|card| card.number_tail),
            expires_at: expiry(&self.shop),
            merchant_name: self.shop.merchant.name,
            page: self.page,
            form,
            token: self.token,
            key: self.key,
            amount,
            plain_amount: plain_amount(amount),
            plan,
            lender,
        };
        // Also after a POST, so that the language switch leads to the same payment.
        shown.page.visit.address = shown.here();
        Ok((status, shown).into_response())
    }
}

/// `POST /q/{code}/confirm`: buys once, however often the form is sent. A key that was used for anything else buys nothing.
pub async fn confirm(
    State(app): State<App>,
    Extension(authoriser): Extension<Authoriser>,
    page: Page,
    Path(token): Path<String>,
    SignedIn(borrower_id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let lines = open_lines(&app, borrower_id).await?;
    let posted = (known_key(form.value("key")), form.value("plan").parse::<PlanName>());
    let (Some(key), Ok(plan)) = posted else { return Ok(to_counter(&token, form.value("amount"))) };
    let shop = match find_shop(&app, &page, &token).await? {
        Ok(shop) => shop,
        Err(no_shop) => return Ok(no_shop),
    };
    let Some(amount) = shop.amount().or_else(|| typed_amount(form.value("amount")).ok()) else {
        return Ok(to_counter(&token, form.value("amount")));
    };
    let mut visit = Visit { app: &app, page, shop, borrower_id, lines, token, key };
    let earlier = counter::find_earlier(&app, &visit.lines, &visit.key).await?;
    if let Some(same) = earlier.as_ref().filter(|earlier| earlier.is_of(&visit.shop, amount, plan)) {
        return Ok(to_result(same.purchase_id()));
    }
    if let Some(refused) = visit.refused().await? {
        return Ok(refused);
    }
    let pin = form.read("pin", |pin| Ok(pin.to_owned()));
    form.forget("pin");
    if earlier.is_some() {
        form.refuse(&ConfirmRefusal::PaidAnother);
        visit.key = new_key(&app);
        return visit.confirm(amount, plan, form).await;
    }
    let Some(pin) = pin else { return visit.confirm(amount, plan, form).await };
    let schedule = form.value("schedule").to_owned();
    let confirmation = Confirmation { borrower_id, pin, key: visit.key.clone(), amount, plan, schedule };
    match counter::confirm(&app, &authoriser, visit.at(), &confirmation).await {
        Ok(purchase_id) => Ok(to_result(purchase_id)),
        Err(Fault::Refused(ConfirmRefusal::PlanChanged)) => visit.plans(amount, Chosen::Outdated(plan)).await,
        Err(Fault::Refused(refusal)) => {
            match refusal {
                ConfirmRefusal::Pin(refusal) => borrower::refuse_pin(&mut form, "pin", refusal),
                ConfirmRefusal::PaidAnother => {
                    form.refuse(&refusal);
                    visit.key = new_key(&app);
                }
                ConfirmRefusal::Request(_)
                | ConfirmRefusal::PlanChanged
                | ConfirmRefusal::ScheduleChanged
                | ConfirmRefusal::NotOffered(_) => form.refuse(&refusal),
            }
            visit.confirm(amount, plan, form).await
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Back to the counter with the amount that was typed there: it shows all plans again, or what is wrong with the amount.
fn to_counter(token: &str, typed: &str) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("amount", typed).finish();
    let query = if typed.is_empty() { String::new() } else { format!("?{query}") };
    Redirect::to(&format!("/q/{token}{query}")).into_response()
}

fn expiry(shop: &Shop) -> Option<DateTime<Utc>> {
    match shop.code.kind {
        CodeKind::Static => None,
        CodeKind::Order { expires_at, .. } => Some(expires_at),
    }
}
