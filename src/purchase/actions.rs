//! Use cases after the sale: void before the cut-off, refund after it.

use serde_json::json;
use sqlx::PgConnection;

use super::after_sale_actions::{AfterSale, LockedSale, RefundPlan, lock_sale};
use super::model::{AfterSaleRefusal, is_idempotency_key};
use super::posting;
use super::refund::Effect;
use super::store::{self, PurchaseStatus, Refund};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{PurchaseId, RefundId};
use crate::credit::line::EntryKind;
use crate::database;
use crate::error::{Fault, Outcome, Refusal, Step};
use crate::funder::{lock_reserve, save_reserve};
use crate::loan::LoanStatus;
use crate::outbox;
use crate::settlement::{self, Outlook};
use crate::{bill, ledger, loan, merchant, notice};

/// Undoes a purchase on the business day on which it was made, as if the loan had never been. Asking again changes nothing.
pub async fn void(app: &App, purchase_id: PurchaseId) -> AfterSale<Step> {
    let mut transaction = database::begin(&app.pool).await?;
    let mut sale = lock_sale(&mut transaction, app, purchase_id).await?;
    match sale.purchase.status {
        PurchaseStatus::Voided => return Ok(Step::AlreadyApplied),
        PurchaseStatus::Refused => return Err(Fault::Refused(AfterSaleRefusal::NeverAuthorised)),
        PurchaseStatus::Authorised => {}
    }
    if sale.purchase.business_day != sale.today {
        return Err(Fault::Refused(AfterSaleRefusal::PastCutOff));
    }
    // A voided loan counts as never made, so nothing can have been paid on it. Once something was paid, only a refund gives the
    // money back.
    if sale.loan.status != LoanStatus::Open || sale.loan.principal_paid.is_positive() {
        return Err(Fault::Refused(AfterSaleRefusal::RepaidBefore));
    }
    sale.check_no_payoff_pending(&mut transaction).await?;
    if !store::mark_voided(&mut transaction, &sale.purchase).await? {
        return Err(Fault::Refused(AfterSaleRefusal::RefundedBefore));
    }
    if let Some(code_id) = sale.purchase.order_code {
        merchant::code_store::mark_voided(&mut transaction, code_id, purchase_id).await?;
    }
    let amount = sale.purchase.amount;
    let event = sale.event(purchase_id.uuid());
    sale.loan.status = LoanStatus::Voided;
    sale.loan.closed_on = Some(sale.today);
    loan::store::save_loans(&mut transaction, std::slice::from_ref(&sale.loan)).await?;
    sale.line.count_purchase(sale.today, -1);
    sale.restore_line(&mut transaction, EntryKind::Void, amount, purchase_id.uuid()).await?;
    ledger::store::insert_postings(&mut transaction, &[posting::void(event, amount)]).await?;
    let voided = json!({
        "loan_id": sale.loan.loan_id, "purchase_id": purchase_id, "line_id": sale.line.line_id,
        "amount_fen": amount, "business_day": sale.today });
    let told = sale.message("loan_voided", voided);
    outbox::store::enqueue(&mut transaction, &[told]).await?;
    let particulars = json!({ "amount_fen": amount, "business_day": sale.today });
    sale.notify_merchant(&mut transaction, "purchase_voided", particulars).await?;
    notice::raise(&mut transaction, &sale.undone().voided(amount)).await?;
    // Done last, because it locks the reserve, and purchases out of it wait from then on.
    let mut reserve = lock_reserve(&mut transaction, sale.loan.funder_id, sale.when()).await?;
    let entry = reserve.release(amount, sale.occasion(purchase_id.to_string()));
    save_reserve(&mut transaction, &reserve, &[entry]).await?;
    transaction.commit().await?;
    Ok(Step::Applied)
}

/// A merchant's wish to give back part or all of a purchase.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    pub purchase_id: PurchaseId,
    pub amount: Fen,
    /// One key, one refund.
    pub idempotency_key: String,
}

/// Refunds part or all of a purchase, any number of times up to its amount. Loan, line, reserve, books, merchant and borrower
/// change in one transaction.
pub async fn refund(app: &App, request: RefundRequest) -> AfterSale<RefundId> {
    check_form(&request).map_err(Fault::Refused)?;
    refund_if(app, Asked { request, former_key: None }, accept_any_effect).await
}

/// As [`refund`], for one of the merchant's own systems, given by its name, which has no slash. Each system has its own
/// idempotency keys: two systems that use the same key make two refunds. A key that was recorded before systems had keys of
/// their own is found for every system.
pub async fn refund_for(app: &App, request: RefundRequest, system: &str) -> AfterSale<RefundId> {
    check_form(&request).map_err(Fault::Refused)?;
    let key = request.idempotency_key;
    let request = RefundRequest { idempotency_key: format!("{system}/{key}"), ..request };
    // One that begins with a system's name and a slash would be found as the key of that system.
    let is_of_system = match key.split_once('/') {
        Some((name, _)) => app.access.is_partner(name).await?,
        None => false,
    };
    let former_key = (!is_of_system).then_some(key.as_str());
    refund_if(app, Asked { request, former_key }, accept_any_effect).await
}

/// The check of a refund whose effect nobody was shown before: any effect will do.
fn accept_any_effect(_: &Effect) -> Result<(), AfterSaleRefusal> {
    Ok(())
}

/// Why a refund whose effect was shown before is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeenRefusal {
    #[error(transparent)]
    AfterSale(#[from] AfterSaleRefusal),
    #[error("the refund would do something else by now than what was shown; look again")]
    EffectChanged,
}

impl Refusal for SeenRefusal {
    fn code(&self) -> &'static str {
        match self {
            SeenRefusal::AfterSale(refusal) => refusal.code(),
            SeenRefusal::EffectChanged => "effect_changed",
        }
    }
}

/// Refunds only if the effect is still exactly what [`preview`] has shown; `seal` is the [`Effect::seal`] of that. A key that was
/// used for this refund already gets the same answer again.
pub async fn refund_as_seen(app: &App, request: RefundRequest, seal: &str) -> Outcome<RefundId, SeenRefusal> {
    let as_seen = |effect: &Effect| if effect.seal() == seal { Ok(()) } else { Err(SeenRefusal::EffectChanged) };
    check_form(&request).map_err(|refusal| Fault::Refused(SeenRefusal::AfterSale(refusal)))?;
    refund_if(app, Asked { request, former_key: None }, as_seen).await
}

/// A refund that is asked for.
struct Asked<'a> {
    request: RefundRequest,
    /// The key as it was recorded before each system had keys of its own.
    former_key: Option<&'a str>,
}

/// Makes a refund whose effect passes `check`; a repeated key gets its earlier refund without a check.
async fn refund_if<R: From<AfterSaleRefusal>>(
    app: &App,
    asked: Asked<'_>,
    check: impl FnOnce(&Effect) -> Result<(), R>,
) -> Outcome<RefundId, R> {
    let Asked { request, former_key } = asked;
    let mut transaction = database::begin(&app.pool).await?;
    let mut sale = lock_sale(&mut transaction, app, request.purchase_id).await.map_err(passed_on)?;
    let keys = [Some(request.idempotency_key.as_str()), former_key];
    if let Some((refund_id, amount)) = store::find_refund(&mut transaction, &sale.purchase, &keys).await? {
        let same = amount == request.amount;
        return if same { Ok(refund_id) } else { Err(refused(AfterSaleRefusal::KeyReused)) };
    }
    bill::store::enter_schedules(&mut transaction).await?;
    let plan = sale.plan_refund(&mut transaction, app, request.amount).await.map_err(passed_on)?;
    check(&plan.effect).map_err(Fault::Refused)?;
    let refund_id = apply(&mut transaction, &mut sale, plan, request.idempotency_key).await.map_err(passed_on)?;
    transaction.commit().await?;
    Ok(refund_id)
}

fn refused<R: From<AfterSaleRefusal>>(refusal: AfterSaleRefusal) -> Fault<R> {
    Fault::Refused(R::from(refusal))
}

fn passed_on<R: From<AfterSaleRefusal>>(fault: Fault<AfterSaleRefusal>) -> Fault<R> {
    fault.map_refusal(R::from)
}

/// Writes a planned refund: the loan, the refund itself, the books, the line, whom to tell, and last the reserve.
async fn apply(
    connection: &mut PgConnection,
    sale: &mut LockedSale,
    plan: RefundPlan,
    idempotency_key: String,
) -> AfterSale<RefundId> {
    let RefundPlan { effect, reduced } = plan;
    let refund_id = RefundId::mint(sale.now);
    let has_ended = sale.save_loan(connection, &reduced).await?;
    let recorded = Refund {
        refund_id,
        line_id: sale.line.line_id,
        purchase_id: sale.purchase.purchase_id,
        loan_id: sale.loan.loan_id,
        merchant_id: sale.purchase.merchant_id,
        funder_id: sale.loan.funder_id,
        idempotency_key,
        parts: effect.parts,
        interest_waived: effect.interest_waived,
        charges_back: reduced.charges.back,
        charges_back_recovered: reduced.charges.recovered,
        installments: reduced.installments,
        schedule_version: sale.loan.schedule_version,
        business_day: sale.today,
        created_at: sale.now,
    };
    if !store::add_refunded(connection, &sale.purchase, effect.parts.amount).await? {
        return Err(Fault::Refused(AfterSaleRefusal::MoreThanLeft { left: sale.refundable().left() }));
    }
    store::insert_refund(connection, &recorded).await?;
    sale.book_refund(connection, &recorded, &reduced.charges).await?;
    if has_ended {
        sale.tell_end(connection).await?;
    }
    sale.cure(connection, reduced.account, refund_id).await?;
    let particulars =
        json!({ "refund_id": refund_id, "amount_fen": recorded.parts.amount, "business_day": sale.today });
    sale.notify_merchant(connection, "refund_succeeded", particulars).await?;
    notice::raise(connection, &sale.undone().refunded(refund_id, &recorded.parts, recorded.to_card())).await?;
    sale.return_to_reserve(connection, &recorded).await?;
    Ok(refund_id)
}

fn check_form(request: &RefundRequest) -> Result<(), AfterSaleRefusal> {
    if !is_idempotency_key(&request.idempotency_key) {
        return Err(AfterSaleRefusal::KeyMalformed);
    }
    check_amount(request.amount)
}

fn check_amount(amount: Fen) -> Result<(), AfterSaleRefusal> {
    if amount.is_positive() { Ok(()) } else { Err(AfterSaleRefusal::AmountMalformed) }
}

/// What a refund would do, to the customer and to the merchant's next settlement.
#[derive(Clone, Debug)]
pub struct Preview {
    pub effect: Effect,
    /// What could still be refunded afterwards.
    pub left_after: Fen,
    /// The merchant's next settlement as it stands, and with the refund.
    pub before: Outlook,
    pub after: Outlook,
}

/// Plans a refund exactly as [`refund`] does, and rolls back.
pub async fn preview(app: &App, purchase_id: PurchaseId, amount: Fen) -> AfterSale<Preview> {
    check_amount(amount).map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let sale = lock_sale(&mut transaction, app, purchase_id).await?;
    let RefundPlan { effect, .. } = sale.plan_refund(&mut transaction, app, amount).await?;
    let day = settlement::open_day(&mut transaction, app, sale.purchase.merchant_id, sale.today).await?;
    let refund = settlement::model::DayPart {
        refunds: amount,
        discount_returned: effect.parts.discount_fee_returned,
        subsidy_returned: effect.parts.subsidy_returned,
        ..settlement::model::DayPart::empty(sale.purchase.merchant_id, sale.loan.funder_id)
    };
    transaction.rollback().await?;
    let left_after = sale.refundable().left() - amount;
    Ok(Preview { effect, left_after, before: day.outlook(), after: day.with(&refund).outlook() })
}
