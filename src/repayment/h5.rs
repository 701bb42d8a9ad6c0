//! Pages of the borrower's button: paying bills, ending loans early, and how an order stands.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::actions::{RepayRefusal, payoff_quote};
use super::button_actions::{self as button, ButtonPurpose, ButtonRefusal, ButtonRequest, SettledItem};
use super::own_store::OwnOrder;
use super::withholding::Failure;
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, CardId, LineId, LoanId, WithholdingId};
use crate::base::typed::typed_amount;
use crate::bill::own_actions::{self, LoanStory};
use crate::bill::{OwnPending, find_story};
use crate::borrower;
use crate::borrower::card::Card;
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::ledger::store::Entry;
use crate::loan::payoff::PayoffQuote;
use crate::loan::words;
use crate::page::part::{self, Awaited};
use crate::page::session::SignedIn;
use crate::page::{Form, Page, key_or_new, new_key, unprocessable};
use crate::product::ShownCharges;

/// The code of the message beside the cards if the chosen one was unbound, or refused by its bank, meanwhile. If no other card is left,
/// the page says so.
const CARD_GONE: &str = "card_not_chargeable";

#[derive(Template, WebTemplate)]
#[template(path = "repayment/pay.html")]
pub struct PayPage {
    page: Page,
    form: Form,
    owed: Fen,
    line_id: Option<LineId>,
    /// The borrower's other lines that owe something.
    others: Vec<(LineId, Fen)>,
    cards: Vec<Card>,
    pending: Option<OwnPending>,
    has_pin: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "repayment/payoff.html")]
pub struct PayoffPage {
    page: Page,
    form: Form,
    story: LoanStory,
    quote: Option<PayoffQuote>,
    /// The quote's interest and period fees.
    charges: ShownCharges,
    interest_why: Vec<String>,
    guarantee_why: String,
    fee_why: String,
    cards: Vec<Card>,
    pending: Option<OwnPending>,
    has_pin: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "repayment/order.html", blocks = ["state"])]
pub struct OrderPage {
    page: Page,
    order: OwnOrder,
    /// What the money settled, and the ledger entries for it; empty before it came.
    items: Vec<SettledItem>,
    entries: Vec<Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    line: String,
    key: String,
}

/// `GET /bills/pay`
pub async fn ask(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let mut form = Form::filled([("line", asked.line), ("key", key_or_new(&app, &asked.key))]);
    let owing = own_actions::owed_by_line(&app, borrower_id).await?;
    // If no owing line is named, the first one is taken: nothing is ordered yet, and the page shows what it owes.
    if let (None, Some((first, _))) = (chosen_line(&owing, &form), owing.first()) {
        form.fill("line", &first.to_string());
    }
    Ok(pay_page(&app, page, borrower_id, form, owing).await?.into_response())
}

/// `POST /bills/pay`: orders the money, only once however often the form is sent, and only for the line that was shown.
pub async fn pay(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let key = key_or_new(&app, form.value("key"));
    if let Some(earlier) = button::find_by_key(&app, borrower_id, &key).await? {
        if is_for_bills(&earlier, &form) {
            return Ok(to_order(earlier.withholding_id));
        }
        refuse_used_key(&app, &mut form);
        let owing = own_actions::owed_by_line(&app, borrower_id).await?;
        return Ok(unprocessable(pay_page(&app, page, borrower_id, form, owing).await?));
    }
    let owing = own_actions::owed_by_line(&app, borrower_id).await?;
    let Some((line_id, owed)) = chosen_line(&owing, &form) else {
        form.refuse(&RepayRefusal::NothingDue);
        form.forget("pin");
        return Ok(unprocessable(pay_page(&app, page, borrower_id, form, owing).await?));
    };
    let amount = match (form.value("how"), form.value("amount").is_empty()) {
        ("part", _) => form.read("amount", typed_amount),
        (_, true) => all_of(&mut form, owed),
        (_, false) => {
            // Old browsers show the amount field beside either choice: somebody who typed an amount is not charged everything.
            form.fill("how", "part");
            form.refuse_field("amount", "amount_or_all");
            None
        }
    };
    let pin = form.read("pin", |pin| Ok(pin.to_owned()));
    form.forget("pin");
    let card_id = card(&mut form);
    if let (Some(amount), Some(pin), false) = (amount, pin, form.is_refused()) {
        let purpose = ButtonPurpose::Bills { amount };
        let request = ButtonRequest { borrower_id, line_id, purpose, card_id, key, pin };
        match button::order_by_button(&app, &request).await {
            Ok(withholding_id) => return Ok(to_order(withholding_id)),
            Err(Fault::Refused(ButtonRefusal::Pin(refusal))) => borrower::refuse_pin(&mut form, "pin", refusal),
            Err(Fault::Refused(ButtonRefusal::Repay(refusal))) => refuse(&mut form, refusal),
            Err(failed) => return Err(failed.into()),
        }
    }
    // Read again: a payment made elsewhere meanwhile may be why this one was refused.
    let owing = own_actions::owed_by_line(&app, borrower_id).await?;
    Ok(unprocessable(pay_page(&app, page, borrower_id, form, owing).await?))
}

/// Whether an order that was made under the form's key is the payment that the form asks for.
fn is_for_bills(earlier: &OwnOrder, form: &Form) -> bool {
    let amount = match form.value("how") {
        "part" => typed_amount(form.value("amount")).ok(),
        _ => form.value("owed").parse().ok().map(Fen::new),
    };
    form.value("line").parse::<LineId>().ok() == Some(earlier.line_id) && amount == Some(earlier.amount)
}

/// Whether an order that was made under the form's key is the payoff that the form asks for.
fn is_for_payoff(earlier: &OwnOrder, loan: &str, form: &Form) -> bool {
    let is_of_loan = loan.parse::<LoanId>().is_ok_and(|loan_id| earlier.loan_id == Some(loan_id));
    is_of_loan && form.value("quoted").parse().ok().map(Fen::new) == Some(earlier.amount)
}

/// Refuses a key that made another order; the page is shown again with a new key.
fn refuse_used_key(app: &App, form: &mut Form) {
    form.refuse(&RepayRefusal::KeyReused);
    form.forget("pin");
    form.fill("key", &new_key(app));
}

/// All that is owed, if it is what the page showed. A day's penalty or a new bill may have come since: the old sum would leave a rest,
/// and nobody agreed to the new one yet.
fn all_of(form: &mut Form, owed: Fen) -> Option<Fen> {
    let is_shown = form.value("owed").parse::<i64>() == Ok(owed.get());
    if !is_shown {
        form.refuse(&RepayRefusal::QuoteChanged { now: owed });
    }
    is_shown.then_some(owed)
}

/// Shows a refusal where it can be corrected: beside the amount that was typed, or beside the cards if the chosen card is gone. If all
/// was to be paid, the amount is not lowered, but shown again.
fn refuse(form: &mut Form, refusal: RepayRefusal) {
    match refusal {
        RepayRefusal::MoreThanOwed { .. } if form.value("how") == "part" => {
            form.refuse_field("amount", refusal.code());
        }
        RepayRefusal::MoreThanOwed { owed } => form.refuse(&RepayRefusal::QuoteChanged { now: owed }),
        RepayRefusal::NoCard => form.refuse_field("card", CARD_GONE),
        refusal => form.refuse(&refusal),
    }
}

async fn pay_page(
    app: &App,
    page: Page,
    borrower_id: BorrowerId,
    form: Form,
    owing: Vec<(LineId, Fen)>,
) -> Result<PayPage, Problem> {
    let chosen = chosen_line(&owing, &form);
    let others = owing.into_iter().filter(|(line_id, _)| Some(*line_id) != chosen.map(|(chosen, _)| chosen));
    let mut shown = PayPage {
        page,
        owed: chosen.map_or(Fen::ZERO, |(_, owed)| owed),
        line_id: chosen.map(|(line_id, _)| line_id),
        others: others.collect(),
        cards: button::chargeable_cards(app, borrower_id).await?,
        pending: button::find_pending(app, borrower_id, chosen.map(|(line_id, _)| line_id)).await?,
        has_pin: borrower::has_pin(app, borrower_id).await?,
        form,
    };
    // After a POST too, whose address names no line, so that the language switch shows the same line.
    shown.page.visit.address = shown.here();
    Ok(shown)
}

impl PayPage {
    /// The address of this page, to return to after setting a PIN or binding a card.
    fn here(&self) -> String {
        self.line_id.map_or("/bills/pay".to_owned(), |line_id| format!("/bills/pay?line={line_id}"))
    }
}

/// The line that the form names, if it owes anything.
fn chosen_line(owing: &[(LineId, Fen)], form: &Form) -> Option<(LineId, Fen)> {
    let named = form.value("line").parse::<LineId>().ok();
    owing.iter().find(|(line_id, _)| Some(*line_id) == named).copied()
}

/// `GET /loans/{loan}/payoff`: the quote with its arithmetic.
pub async fn ask_payoff(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    Query(asked): Query<Asked>,
    SignedIn(borrower_id): SignedIn,
) -> Result<Response, Problem> {
    let story = find_story(&app, borrower_id, &loan).await?;
    let form = Form::filled([("key", key_or_new(&app, &asked.key))]);
    Ok(payoff_page(&app, page, borrower_id, story, form).await?.into_response())
}

/// `POST /loans/{loan}/payoff`
pub async fn pay_off(
    State(app): State<App>,
    page: Page,
    Path(loan): Path<String>,
    SignedIn(borrower_id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let key = key_or_new(&app, form.value("key"));
    if let Some(earlier) = button::find_by_key(&app, borrower_id, &key).await? {
        if is_for_payoff(&earlier, &loan, &form) {
            return Ok(to_order(earlier.withholding_id));
        }
        refuse_used_key(&app, &mut form);
        let story = find_story(&app, borrower_id, &loan).await?;
        return Ok(unprocessable(payoff_page(&app, page, borrower_id, story, form).await?));
    }
    let story = find_story(&app, borrower_id, &loan).await?;
    let quoted = form.value("quoted").parse().map(Fen::new).unwrap_or_default();
    let pin = form.read("pin", |pin| Ok(pin.to_owned()));
    form.forget("pin");
    let card_id = card(&mut form);
    if let (Some(pin), false) = (pin, form.is_refused()) {
        let purpose = ButtonPurpose::Payoff { loan_id: story.loan.loan_id, quoted };
        let request = ButtonRequest { borrower_id, line_id: story.loan.line_id, purpose, card_id, key, pin };
        match button::order_by_button(&app, &request).await {
            Ok(withholding_id) => return Ok(to_order(withholding_id)),
            Err(Fault::Refused(ButtonRefusal::Pin(refusal))) => borrower::refuse_pin(&mut form, "pin", refusal),
            Err(Fault::Refused(ButtonRefusal::Repay(refusal))) => refuse(&mut form, refusal),
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(unprocessable(payoff_page(&app, page, borrower_id, story, form).await?))
}

async fn payoff_page(
    app: &App,
    page: Page,
    borrower_id: BorrowerId,
    mut story: LoanStory,
    form: Form,
) -> Result<PayoffPage, Problem> {
    let quote = match payoff_quote(app, story.loan.line_id, story.loan.loan_id).await {
        Ok(quote) => Some(quote),
        // The loan has ended, perhaps by a payment in another tab since it was read; the page says so.
        Err(Fault::Refused(_)) => {
            story = find_story(app, borrower_id, &story.loan.loan_id.to_string()).await?;
            None
        }
        Err(failed) => return Err(failed.map_refusal(ButtonRefusal::Repay).into()),
    };
    let shown = |quote: &PayoffQuote| ShownCharges::of(story.plan(), quote.interest, quote.period_fee);
    let charges = quote.as_ref().map(shown).unwrap_or_default();
    Ok(PayoffPage {
        charges,
        interest_why: quote.as_ref().map(|quote| words::payoff_interest(&page, quote, charges)).unwrap_or_default(),
        guarantee_why: quote.as_ref().map(|quote| words::payoff_guarantee(&page, quote)).unwrap_or_default(),
        fee_why: quote.as_ref().map(|quote| words::payoff_fee(&page, quote)).unwrap_or_default(),
        cards: button::chargeable_cards(app, borrower_id).await?,
        pending: button::find_pending(app, borrower_id, Some(story.loan.line_id)).await?,
        has_pin: borrower::has_pin(app, borrower_id).await?,
        page,
        form,
        story,
        quote,
    })
}

impl PayoffPage {
    /// What is left of each billed installment, including those that count as billed because their statement is being cut.
    fn billed(&self) -> Vec<Fen> {
        let billed = self.story.installments.iter().map(|one| one.owed.total());
        let rows = &self.story.current().schedule.installments;
        let being_cut = rows.get(self.periods_cut()..self.periods_billed()).unwrap_or_default();
        billed.chain(being_cut.iter().map(|row| row.total())).filter(|owed| owed.is_positive()).collect()
    }

    /// The principal of each unbilled period.
    fn unbilled(&self) -> Vec<Fen> {
        let rows = self.story.current().schedule.installments.iter().skip(self.periods_billed());
        rows.map(|row| row.principal).collect()
    }

    fn billed_why(&self) -> String {
        let left = self.story.installments.iter().find(|one| one.owed.total().is_positive());
        let left = left.and_then(|one| usize::try_from(one.own.billed.period).ok());
        let being_cut = Some(self.periods_cut() + 1).filter(|next| *next <= self.periods_billed());
        self.period(left.or(being_cut))
    }

    fn unbilled_why(&self) -> String {
        let next = self.periods_billed() + 1;
        self.period(Some(next).filter(|next| *next <= self.story.current().schedule.installments.len()))
    }

    /// How many periods the quote counts as billed.
    fn periods_billed(&self) -> usize {
        self.quote.as_ref().map_or_else(|| self.periods_cut(), |quote| usize::from(quote.periods_billed))
    }

    fn periods_cut(&self) -> usize {
        let billed = self.story.installments.iter().map(|one| one.own.billed.period).max().unwrap_or_default();
        usize::try_from(billed).unwrap_or_default()
    }

    /// The link to a period of the loan, or to the loan if no period is given.
    fn period(&self, period: Option<usize>) -> String {
        let loan = format!("/loans/{}", self.story.loan.loan_id);
        period.map_or(loan.clone(), |period| format!("{loan}/periods/{period}"))
    }
}

/// `GET /repayments/{order}`: how the order stands. The part that may change refreshes itself.
pub async fn order(
    State(app): State<App>,
    page: Page,
    Path(order): Path<String>,
    SignedIn(borrower_id): SignedIn,
    Query(awaited): Query<Awaited>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let withholding_id: WithholdingId = order.parse().map_err(|_| Problem::not_found())?;
    let found = button::find_own(&app, borrower_id, withholding_id).await?;
    let order = found.ok_or_else(Problem::not_found)?;
    let is_part = part::is_part(&headers);
    if is_part && order.withholding_id == withholding_id && order.status == awaited.seen {
        return Ok(part::unchanged());
    }
    let (items, entries) = button::settled(&app, &order).await?;
    let shown = OrderPage { page, order, items, entries };
    if is_part {
        return part::changed(shown.as_state().render());
    }
    Ok(shown.into_response())
}

impl OrderPage {
    fn is_pending(&self) -> bool {
        matches!(self.order.status.as_str(), "created" | "submitted" | "unknown")
    }

    /// The last part of the message keys for the order's state: its status, unless what was booked says otherwise.
    fn stands(&self) -> &str {
        match self.order.failure.as_deref() {
            // The bank's daily file reported money, though its answer had not.
            Some(_) if self.order.booked.is_positive() => "found",
            Some(failure) if failure == Failure::Reversed.stored() => "reversed",
            _ => &self.order.status,
        }
    }

    fn has_come(&self) -> bool {
        self.order.booked.is_positive()
    }

    /// What has come; before that, what was ordered.
    fn amount(&self) -> Fen {
        if self.has_come() { self.order.booked } else { self.order.amount }
    }

    fn settled(&self) -> Vec<Fen> {
        self.items.iter().map(SettledItem::total).collect()
    }

    /// The guarantee charges that were paid; `None` if no loan that was paid has such a charge.
    fn guarantee(&self) -> Option<Fen> {
        self.items.iter().filter_map(|item| item.charges.guarantee).reduce(|sum, charge| sum + charge)
    }

    /// The last part of the message key for the name of that charge.
    fn guarantee_name(&self) -> &'static str {
        let names = self.items.iter().filter(|item| item.charges.guarantee.is_some()).map(|item| item.guarantee_name);
        names.max().unwrap_or("guarantee")
    }

    fn interest(&self) -> Fen {
        self.order.interest - self.guarantee().unwrap_or_default()
    }

    /// The parts that add up to what came.
    fn parts(&self) -> [Fen; 5] {
        let OwnOrder { principal, penalty, excess, .. } = self.order;
        [principal, self.interest(), self.guarantee().unwrap_or_default(), penalty, excess]
    }
}

/// The chosen card; `None` means the default card. An unreadable choice is never replaced by another card.
fn card(form: &mut Form) -> Option<CardId> {
    let card_id = form.value("card").parse().ok();
    if card_id.is_none() && !form.value("card").is_empty() {
        form.refuse_field("card", CARD_GONE);
    }
    card_id
}

fn to_order(withholding_id: WithholdingId) -> Response {
    Redirect::to(&format!("/repayments/{withholding_id}")).into_response()
}
