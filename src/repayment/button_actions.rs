//! The borrower's button: orders money, confirmed with the PIN, and shows how the order stands until the bank has answered.

use sqlx::PgConnection;

use super::actions::{PayoffOrder, RepayRefusal, RepayRequest, order_payoff, order_repayment};
use super::own_store::{self, OwnItem, OwnOrder};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, CardId, LineId, LoanId, WithholdingId};
use crate::bill::OwnPending;
use crate::borrower::PinRefusal;
use crate::borrower::card::{Card, CardStatus};
use crate::database;
use crate::error::{Outcome, Refusal};
use crate::jobs::{self, JobKind, NewJob};
use crate::ledger::store::Entry;
use crate::product::ShownCharges;
use crate::product::shown::guarantee_name;
use crate::{bill, borrower, ledger};

/// What the money is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ButtonPurpose {
    /// Money towards bills that were cut.
    Bills { amount: Fen },
    /// The end of one loan, for what was quoted.
    Payoff { loan_id: LoanId, quoted: Fen },
}

/// A request to order money, confirmed with the PIN. Never logged, because it holds the PIN.
#[derive(Clone)]
pub struct ButtonRequest {
    pub borrower_id: BorrowerId,
    pub line_id: LineId,
    pub purpose: ButtonPurpose,
    pub card_id: Option<CardId>,
    /// The idempotency key: one key makes one order.
    pub key: String,
    /// As it was typed.
    pub pin: String,
}

/// Why nothing was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ButtonRefusal {
    #[error(transparent)]
    Pin(PinRefusal),
    #[error(transparent)]
    Repay(RepayRefusal),
}

impl Refusal for ButtonRefusal {
    fn code(&self) -> &'static str {
        match self {
            ButtonRefusal::Pin(refusal) => refusal.code(),
            ButtonRefusal::Repay(refusal) => refusal.code(),
        }
    }
}

/// Orders the money and has it sent at once. Repeating the key returns the same order, without checking the PIN.
pub async fn order_by_button(app: &App, request: &ButtonRequest) -> Outcome<WithholdingId, ButtonRefusal> {
    if let Some(earlier) = find_by_key(app, request.borrower_id, &request.key).await? {
        return Ok(earlier.withholding_id);
    }
    let checked = borrower::check_pin(app, request.borrower_id, &request.pin).await;
    checked.map_err(|fault| fault.map_refusal(ButtonRefusal::Pin))?;
    let mut transaction = database::begin(&app.pool).await?;
    let ordered = order(&mut transaction, app, request).await;
    let ordered = database::end(transaction, ordered).await;
    ordered.map_err(|fault| fault.map_refusal(ButtonRefusal::Repay))
}

/// Orders the money, and enqueues a job that sends it: the borrower is waiting, and the next scheduled run is minutes away.
async fn order(
    connection: &mut PgConnection,
    app: &App,
    request: &ButtonRequest,
) -> Outcome<WithholdingId, RepayRefusal> {
    let (line_id, card_id, idempotency_key) = (request.line_id, request.card_id, request.key.clone());
    let order = match request.purpose {
        ButtonPurpose::Bills { amount } => {
            order_repayment(connection, app, &RepayRequest { line_id, amount, card_id, idempotency_key }).await?
        }
        ButtonPurpose::Payoff { loan_id, quoted } => {
            order_payoff(connection, app, &PayoffOrder { loan_id, line_id, quoted, card_id, idempotency_key }).await?
        }
    };
    let unique_key = order.withholding_id.to_string();
    let job = NewJob { kind: JobKind::Withhold, unique_key, created_at: app.clock.now() };
    jobs::store::enqueue(connection, &job).await?;
    Ok(order.withholding_id)
}

/// A borrower's own order by its idempotency key.
pub async fn find_by_key(app: &App, borrower_id: BorrowerId, key: &str) -> anyhow::Result<Option<OwnOrder>> {
    Ok(own_store::find_by_key(&mut *app.pool.acquire().await?, borrower_id, key).await?)
}

/// A borrower's own order; `None` if there is none, or it is somebody else's.
pub async fn find_own(app: &App, borrower_id: BorrowerId, id: WithholdingId) -> anyhow::Result<Option<OwnOrder>> {
    Ok(own_store::find(&mut *app.pool.acquire().await?, borrower_id, id).await?)
}

/// What a payment settled of one installment, as its borrower sees it.
pub struct SettledItem {
    pub own: OwnItem,
    pub charges: ShownCharges,
    /// The last part of the message key for the name of a guarantee charge.
    pub guarantee_name: &'static str,
}

impl SettledItem {
    pub fn total(&self) -> Fen {
        self.own.principal + self.charges.total() + self.own.penalty
    }

    /// The parts that add up to the total.
    pub fn parts(&self) -> [Fen; 4] {
        let ShownCharges { interest, guarantee } = self.charges;
        [self.own.penalty, interest, guarantee.unwrap_or_default(), self.own.principal]
    }
}

/// What the money of an order settled, and the ledger entries for it.
pub async fn settled(app: &App, order: &OwnOrder) -> anyhow::Result<(Vec<SettledItem>, Vec<Entry>)> {
    let mut connection = app.pool.acquire().await?;
    let items = own_store::list_items(&mut connection, order.line_id, order.withholding_id).await?;
    // More than one if the bank's daily file reported more than its answer had.
    let mut booked: Vec<_> = items.iter().map(|item| (item.repayment_id.uuid(), item.business_day)).collect();
    booked.dedup();
    let (sources, days): (Vec<_>, Vec<_>) = booked.into_iter().unzip();
    let entries = ledger::store::list_entries(&mut connection, order.line_id, &sources, &days).await?;
    let mut settled = Vec::with_capacity(items.len());
    for own in items {
        let product = app.catalogue.get(&mut connection, own.product_id, own.product_version).await?;
        let plan = product.terms.plan_in(u16::try_from(own.loan_periods).unwrap_or_default());
        let charges = ShownCharges::of(plan, own.interest, own.fee);
        let guarantee_name = guarantee_name(&product.terms, own.is_payoff);
        settled.push(SettledItem { own, charges, guarantee_name });
    }
    Ok((settled, entries))
}

/// The pending order that blocks the button on a line; if no line is named, on any line of the borrower.
pub async fn find_pending(
    app: &App,
    borrower_id: BorrowerId,
    line_id: Option<LineId>,
) -> anyhow::Result<Option<OwnPending>> {
    let mut connection = app.pool.acquire().await?;
    let line_ids = match line_id {
        Some(line_id) => vec![line_id],
        None => bill::list_lines(&mut connection, borrower_id).await?,
    };
    Ok(bill::list_pending(&mut connection, &line_ids).await?.pop())
}

/// The borrower's bound cards, the default one first.
pub async fn chargeable_cards(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Card>> {
    let cards = borrower::card_actions::cards(app, borrower_id).await?;
    let mut bound: Vec<Card> = cards.into_iter().filter(|card| card.status == CardStatus::Bound).collect();
    bound.sort_by_key(|card| !card.is_default);
    Ok(bound)
}
