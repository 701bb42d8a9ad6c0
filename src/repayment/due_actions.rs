//! Making withholding orders for what is due: at the close for the next day, and again at later times of the day.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{LineAccount, OpenInstallment};
use super::attempt::NextAttempt;
use super::card_store;
use super::queue_store::{DueDay, DueLine};
use super::receipt_actions::read_payoff_loan;
use super::store::{self, NewWithholding};
use super::withholding::{Purpose, State, Withholding};
use crate::app::App;
use crate::base::id::{BorrowerId, CardId, LineId, LoanId, ProductId, WithholdingId};
use crate::base::{BusinessDay, Fen, When};
use crate::bill::{self, BilledInstallment};
use crate::credit;
use crate::loan::{self, LoanStatus};
use crate::product::ProductVersion;

/// How many lines have their installments in memory at once.
const BATCH_LINES: usize = 1_000;

/// A line from which money is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub partial_allowed: bool,
    pub next: NextAttempt,
}

/// What became of candidates. Those that owe nothing, or have a pending order, are not counted.
#[derive(Clone, Debug, Default)]
pub struct Created {
    pub orders: u64,
    /// Lines that owe something but have no card.
    pub without_card: Vec<WithoutCard>,
}

/// A line that owes something that cannot be collected.
#[derive(Clone, Copy, Debug)]
pub struct WithoutCard {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub owed: Fen,
}

/// The timetables of all product versions for one day: bills of which due days are collected on it.
pub struct Timetable {
    products: HashMap<(ProductId, i32), Arc<ProductVersion>>,
    pub due_days: Vec<DueDay>,
}

impl Timetable {
    /// # Errors
    /// Failures of the database.
    pub async fn load(connection: &mut PgConnection, app: &App, day: BusinessDay) -> anyhow::Result<Timetable> {
        let mut timetable = Timetable { products: HashMap::new(), due_days: Vec::new() };
        for product in app.catalogue.load_all(connection).await? {
            let (product_id, product_version) = (product.product_id, product.version);
            for days in &product.terms.withholding.days {
                let due_on = day.minus_days(u32::from(*days));
                timetable.due_days.push(DueDay { product_id, product_version, due_on });
            }
            timetable.products.insert((product_id, product_version), product);
        }
        Ok(timetable)
    }

    /// The product version that a line was opened under.
    pub fn product(&self, line: &DueLine) -> Option<&ProductVersion> {
        self.products.get(&(line.product_id, line.product_version)).map(Arc::as_ref)
    }
}

/// Writes one order for each line, over everything that is due on it by `day`, with penalty of that day. A line that owes nothing, has
/// a pending order, or has no card gets none.
pub async fn create_due_orders(
    connection: &mut PgConnection,
    app: &App,
    candidates: &[Candidate],
    day: BusinessDay,
) -> anyhow::Result<Created> {
    let when = When { business_day: day, at: app.clock.now() };
    let mut created = Created::default();
    let ids = WithholdingId::mint_ascending(when.at, candidates.len());
    for (batch, ids) in candidates.chunks(BATCH_LINES).zip(ids.chunks(BATCH_LINES)) {
        let line_ids: Vec<Uuid> = batch.iter().map(|candidate| candidate.line_id.uuid()).collect();
        let owed = owed_by_line(connection, app, &line_ids, day).await?;
        let borrower_ids: Vec<Uuid> = batch.iter().map(|candidate| candidate.borrower_id.uuid()).collect();
        let cards = card_store::load_cards_to_charge(connection, &borrower_ids).await?;
        let mut orders = Vec::with_capacity(batch.len());
        for (candidate, withholding_id) in batch.iter().zip(ids) {
            let Some(amount) = owed.get(&candidate.line_id).copied().filter(|owed| owed.is_positive()) else {
                continue;
            };
            match cards.get(&candidate.borrower_id) {
                Some(card_id) => orders.push(candidate.order(*withholding_id, *card_id, amount, when)),
                None => created.without_card.push(candidate.without_card(amount)),
            }
        }
        created.orders += store::insert_withholdings(connection, &orders).await?;
    }
    Ok(created)
}

/// What each line owes on `day` on bills that are due by then, with penalty.
pub async fn owed_by_line(
    connection: &mut PgConnection,
    app: &App,
    line_ids: &[Uuid],
    day: BusinessDay,
) -> anyhow::Result<HashMap<LineId, Fen>> {
    let due = bill::store::load_due_installments(connection, line_ids, day).await?;
    sum_by_line(connection, app, due, day).await
}

/// As [`owed_by_line`], but on all bills that were cut, due or not.
pub async fn owed_in_all_by_line(
    connection: &mut PgConnection,
    app: &App,
    line_ids: &[Uuid],
    day: BusinessDay,
) -> anyhow::Result<HashMap<LineId, Fen>> {
    let open = bill::store::load_open_installments(connection, line_ids).await?;
    sum_by_line(connection, app, open, day).await
}

/// What it takes to end a loan by an order with value date `day`, as the loan is now; zero once it has ended. Nothing is locked: later
/// changes are handled when the money comes.
pub async fn owed_for_payoff(
    connection: &mut PgConnection,
    app: &App,
    loan_id: LoanId,
    day: BusinessDay,
) -> anyhow::Result<Fen> {
    let found = loan::load_loans(connection, &[loan_id]).await?.pop();
    let Some(open) = found.filter(|loan| loan.status == LoanStatus::Open) else { return Ok(Fen::ZERO) };
    let line = credit::find_line(connection, open.line_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let mut payoff = read_payoff_loan(connection, open).await?;
    let mut account = LineAccount::new(line);
    for billed in bill::store::load_open_installments(connection, &[account.line.line_id.uuid()]).await? {
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        account.installments.push(OpenInstallment::new(billed, product));
    }
    payoff.catch_up(&account);
    let product = app.catalogue.get(connection, payoff.loan.product_id, payoff.loan.product_version).await?;
    Ok(payoff.quote_on(&account, &product, day).total())
}

async fn sum_by_line(
    connection: &mut PgConnection,
    app: &App,
    installments: Vec<BilledInstallment>,
    day: BusinessDay,
) -> anyhow::Result<HashMap<LineId, Fen>> {
    let mut owed: HashMap<LineId, Fen> = HashMap::with_capacity(installments.len());
    for billed in installments {
        let line_id = billed.line_id;
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        *owed.entry(line_id).or_default() += OpenInstallment::new(billed, product).owed_on(day).total();
    }
    Ok(owed)
}

impl Candidate {
    pub fn new(line: &DueLine, product: &ProductVersion, next: NextAttempt) -> Candidate {
        let partial_allowed = product.terms.withholding.partial_allowed;
        Candidate { line_id: line.line_id, borrower_id: line.borrower_id, partial_allowed, next }
    }

    fn without_card(&self, owed: Fen) -> WithoutCard {
        WithoutCard { line_id: self.line_id, borrower_id: self.borrower_id, owed }
    }

    fn order(&self, withholding_id: WithholdingId, card_id: CardId, amount: Fen, when: When) -> NewWithholding {
        NewWithholding {
            order: Withholding {
                withholding_id,
                line_id: self.line_id,
                borrower_id: self.borrower_id,
                purpose: Purpose::Due,
                card_id,
                channel: self.next.channel,
                amount,
                partial_allowed: self.partial_allowed,
                attempt_no: self.next.attempt_no,
                state: State::Created,
                business_day: when.business_day,
            },
            idempotency_key: format!("due/{}/{}", when.business_day, self.next.attempt_no),
            created_at: when.at,
            submit_at: self.next.submit_at,
        }
    }
}
