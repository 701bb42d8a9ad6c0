//! A borrower's own bills and loans, with what they owe today.

use std::sync::Arc;

use sqlx::PgConnection;

use super::model::{BilledInstallment, Parts};
use super::own_store::{self, Loans, OwnBill, OwnInstallment, OwnLoan, OwnPayment, OwnPending, OwnSchedule, Which};
use crate::app::App;
use crate::base::id::{BorrowerId, LineId, LoanId};
use crate::base::{BusinessDay, Fen};
use crate::credit::Line;
use crate::ledger::store::Entry;
use crate::overdue::PenaltyRule;
use crate::product::shown::guarantee_name;
use crate::product::terms::Plan;
use crate::product::{ProductVersion, ShownCharges};
use crate::{business_day, credit, ledger};

/// A billed installment, with what it owes today.
#[derive(Clone, Debug)]
pub struct InstallmentToday {
    pub own: OwnInstallment,
    /// The version that its loan was made under.
    pub product: Arc<ProductVersion>,
    pub rule: PenaltyRule,
    pub owed: Parts,
    pub today: BusinessDay,
}

impl InstallmentToday {
    /// All that it asks for as of today, paid or not: with the penalty so far, and less what refunds took off.
    pub fn due(&self) -> Fen {
        self.owed.total() + self.own.billed.paid.total()
    }

    /// Whether its days of grace are over and it still owes something.
    pub fn is_late(&self) -> bool {
        self.rule.is_overdue(self.own.billed.due_on(), self.today) && self.owed.total().is_positive()
    }

    /// The last day on which it can be paid without penalty; `None` unless it still owes something and today is in its days of grace.
    pub fn grace_until(&self) -> Option<BusinessDay> {
        let due_on = self.own.billed.due_on();
        let is_in_grace = due_on < self.today && !self.rule.is_overdue(due_on, self.today);
        (is_in_grace && self.owed.total().is_positive()).then(|| self.rule.grace_until(due_on))
    }

    /// Billed interest and fees as their borrower reads them, less what refunds took off.
    fn charges(&self) -> ShownCharges {
        let BilledInstallment { billed, returned, .. } = &self.own.billed;
        self.shown(billed.interest - returned.interest, billed.fee - returned.fee)
    }

    fn shown(&self, interest: Fen, fee: Fen) -> ShownCharges {
        let periods = u16::try_from(self.own.periods).unwrap_or_default();
        ShownCharges::of(self.product.terms.plan_in(periods), interest, fee)
    }

    /// Billed interest less what refunds took off; a flat fee for each period is interest here.
    pub fn interest(&self) -> Fen {
        self.charges().interest
    }

    /// The billed guarantee charge, less what refunds took off; `None` under a plan without one.
    pub fn guarantee(&self) -> Option<Fen> {
        self.charges().guarantee
    }

    /// The name of the guarantee charge, as the end of the key of its words.
    pub fn guarantee_name(&self) -> &'static str {
        guarantee_name(&self.product.terms, self.own.is_payoff)
    }

    /// The parts that add up to [`InstallmentToday::due`].
    pub fn parts(&self) -> [Fen; 4] {
        [self.principal(), self.interest(), self.guarantee().unwrap_or_default(), self.penalty()]
    }

    /// The parts that add up to what it owes today: those of [`InstallmentToday::parts`], less what was paid.
    pub fn parts_left(&self) -> [Fen; 5] {
        let [principal, interest, guarantee, penalty] = self.parts();
        [principal, interest, guarantee, penalty, -self.own.billed.paid.total()]
    }

    /// What it asked for when its bill was cut, as parts of a sum.
    pub fn billed_parts(&self) -> [Fen; 3] {
        let billed = self.own.billed.billed;
        let shown = self.shown(billed.interest, billed.fee);
        [billed.principal, shown.interest, shown.guarantee.unwrap_or_default()]
    }

    /// Billed principal, less what refunds took off.
    pub fn principal(&self) -> Fen {
        self.own.billed.billed.principal - self.own.billed.returned.principal
    }

    /// Penalty that has run until today, paid or not.
    pub fn penalty(&self) -> Fen {
        self.owed.penalty + self.own.billed.paid.penalty
    }
}

/// What falls due on one day, on whichever of the borrower's lines, with what is left of it today.
#[derive(Clone, Debug)]
pub struct Bill {
    pub due_on: BusinessDay,
    /// All that it asks for as of today, paid or not: with the penalty so far, and less what refunds took off.
    pub asked: Fen,
    /// When the last of it was paid; `None` while any is not.
    pub paid_on: Option<BusinessDay>,
    pub owed: Fen,
    /// The part of `owed` whose days of grace are over.
    pub late: Fen,
    /// The earliest day on which the grace of an installment ends; `None` where something is late already, or nothing is in grace.
    pub grace_until: Option<BusinessDay>,
    pub installments: usize,
}

impl Bill {
    /// `cut` are the lines' bills that fall due on the day, and `inside` the installments in them.
    fn of(due_on: BusinessDay, cut: &[OwnBill], inside: &[&InstallmentToday]) -> Bill {
        let late: Fen = inside.iter().filter(|one| one.is_late()).map(|one| one.owed.total()).sum();
        let grace_until = inside.iter().filter_map(|one| one.grace_until()).min();
        let paid_on: Option<Vec<BusinessDay>> = cut.iter().map(|bill| bill.paid_on).collect();
        Bill {
            due_on,
            asked: inside.iter().map(|one| one.due()).sum(),
            paid_on: paid_on.and_then(|days| days.into_iter().max()),
            owed: inside.iter().map(|one| one.owed.total()).sum(),
            late,
            grace_until: grace_until.filter(|_| !late.is_positive()),
            installments: inside.len(),
        }
    }
}

/// What a borrower's bills come to.
#[derive(Clone, Debug)]
pub struct Bills {
    pub today: BusinessDay,
    /// Not paid in full, oldest due first; one for each due day.
    pub open: Vec<Bill>,
    /// Paid in full, the latest first.
    pub past: Vec<Bill>,
    /// Money that is being taken from a card; it counts as owed until it has come.
    pub pending: Vec<OwnPending>,
    pub owed: Fen,
    pub late: Fen,
    /// When the next bill is cut.
    pub next_statement_on: Option<BusinessDay>,
}

/// How many months back paid bills are shown.
const PAID_MONTHS: u32 = 120;

/// A borrower's bills: every one that is open, and what was paid in ten years.
pub async fn bills(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Bills> {
    let mut connection = app.pool.acquire().await?;
    let (line_ids, today) = lines_and_today(&mut connection, borrower_id).await?;
    let cut = own_store::list_bills(&mut connection, &line_ids, today.minus_months(PAID_MONTHS)).await?;
    let pending = own_store::list_pending(&mut connection, &line_ids).await?;
    let installments = installments(&mut connection, app, &line_ids, Which::default(), today).await?;
    let (mut open, mut past): (Vec<Bill>, Vec<Bill>) = (Vec::new(), Vec::new());
    for cut in cut.chunk_by(|one, next| one.due_on == next.due_on) {
        let due_on = cut[0].due_on;
        let inside: Vec<&InstallmentToday> =
            installments.iter().filter(|one| one.own.billed.due_on() == due_on).collect();
        let bill = Bill::of(due_on, cut, &inside);
        if bill.owed.is_positive() { open.push(bill) } else { past.push(bill) }
    }
    open.reverse();
    let next_statement_on = own_store::find_next_statement(&mut connection, &line_ids).await?;
    Ok(Bills {
        owed: open.iter().map(|bill| bill.owed).sum(),
        late: open.iter().map(|bill| bill.late).sum(),
        // A day that has just ended, where its statements are being cut.
        next_statement_on: next_statement_on.map(|day| day.max(today)),
        today,
        open,
        past,
        pending,
    })
}

/// The installments that fall due on a day, of all lines of a borrower.
pub async fn bill(app: &App, borrower_id: BorrowerId, due_on: BusinessDay) -> anyhow::Result<Vec<InstallmentToday>> {
    installments_of(app, borrower_id, Which { due_on: Some(due_on), loan_id: None }).await
}

/// What each of a borrower's lines owes today on bills that were cut; lines that owe nothing are left out.
pub async fn owed_by_line(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<(LineId, Fen)>> {
    let mut connection = app.pool.acquire().await?;
    let (line_ids, today) = lines_and_today(&mut connection, borrower_id).await?;
    let installments = installments(&mut connection, app, &line_ids, Which::default(), today).await?;
    let owed = |line_id: LineId| {
        let of_line = installments.iter().filter(|one| one.own.billed.line_id == line_id);
        of_line.map(|one| one.owed.total()).sum::<Fen>()
    };
    Ok(line_ids.into_iter().map(|id| (id, owed(id))).filter(|(_, owed)| owed.is_positive()).collect())
}

/// Everything that statements billed a borrower, paid or not, as of today.
pub async fn all_installments(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<InstallmentToday>> {
    installments_of(app, borrower_id, Which::default()).await
}

async fn installments_of(app: &App, borrower_id: BorrowerId, which: Which) -> anyhow::Result<Vec<InstallmentToday>> {
    let mut connection = app.pool.acquire().await?;
    let (line_ids, today) = lines_and_today(&mut connection, borrower_id).await?;
    installments(&mut connection, app, &line_ids, which, today).await
}

/// A borrower's lines, and the day as of which they are shown.
async fn lines_and_today(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
) -> sqlx::Result<(Vec<LineId>, BusinessDay)> {
    let line_ids = own_store::list_lines(connection, borrower_id).await?;
    Ok((line_ids, business_day::store::today(connection).await?))
}

async fn installments(
    connection: &mut PgConnection,
    app: &App,
    line_ids: &[LineId],
    which: Which,
    today: BusinessDay,
) -> anyhow::Result<Vec<InstallmentToday>> {
    let mut found = Vec::new();
    for own in own_store::list_installments(connection, line_ids, which).await? {
        let billed = &own.billed;
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        let rule = PenaltyRule::new(&product.terms.penalty, billed.annual_rate);
        found.push(InstallmentToday { owed: billed.owed_on(&rule, today), rule, own, product, today });
    }
    Ok(found)
}

/// Up to `limit` of a borrower's loans, the latest first; those before `before`, if it is given.
pub async fn loans(
    app: &App,
    borrower_id: BorrowerId,
    before: Option<LoanId>,
    limit: i64,
) -> anyhow::Result<Vec<OwnLoan>> {
    let mut connection = app.pool.acquire().await?;
    let line_ids = own_store::list_lines(&mut connection, borrower_id).await?;
    Ok(own_store::list_loans(&mut connection, &line_ids, Loans::Before(before), limit).await?)
}

/// One loan with everything that explains it.
#[derive(Clone, Debug)]
pub struct LoanStory {
    pub loan: OwnLoan,
    pub line: Line,
    pub product: Arc<ProductVersion>,
    /// Every version of its schedule; there is at least one.
    pub versions: Vec<OwnSchedule>,
    /// What was billed of it.
    pub installments: Vec<InstallmentToday>,
    pub today: BusinessDay,
}

impl LoanStory {
    /// The newest version of the schedule.
    pub fn current(&self) -> &OwnSchedule {
        self.versions.last().expect("a loan is written with its schedule")
    }

    /// The plan that was chosen.
    pub fn plan(&self) -> Option<&Plan> {
        self.product.terms.plan_in(u16::try_from(self.loan.periods).ok()?)
    }

    /// The installment of a period (from 1); `None` until it is billed.
    pub fn billed(&self, period: usize) -> Option<&InstallmentToday> {
        self.installments.iter().find(|one| usize::try_from(one.own.billed.period) == Ok(period))
    }
}

/// A borrower's own loan; `None` where it is somebody else's, or does not exist.
pub async fn loan(app: &App, borrower_id: BorrowerId, loan_id: LoanId) -> anyhow::Result<Option<LoanStory>> {
    let line_ids = own_store::list_lines(&mut *app.pool.acquire().await?, borrower_id).await?;
    story(app, &line_ids, loan_id).await
}

/// Anybody's loan, for operators; `None` where it does not exist.
pub async fn any_loan(app: &App, loan_id: LoanId) -> anyhow::Result<Option<LoanStory>> {
    let line_id = own_store::find_line_of(&mut *app.pool.acquire().await?, loan_id).await?;
    match line_id {
        Some(line_id) => story(app, &[line_id], loan_id).await,
        None => Ok(None),
    }
}

async fn story(app: &App, line_ids: &[LineId], loan_id: LoanId) -> anyhow::Result<Option<LoanStory>> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let found = own_store::list_loans(&mut connection, line_ids, Loans::One(loan_id), 1).await?.pop();
    let Some(loan) = found else { return Ok(None) };
    let line = credit::store::find_line(&mut connection, loan.line_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let product = app.catalogue.get(&mut connection, loan.product_id, loan.product_version).await?;
    let versions = own_store::list_schedules(&mut connection, loan.line_id, loan_id).await?;
    let which = Which { due_on: None, loan_id: Some(loan_id) };
    let installments = installments(&mut connection, app, &[loan.line_id], which, today).await?;
    Ok(Some(LoanStory { loan, line, product, versions, installments, today }))
}

/// The ledger entries behind a loan, or behind one period of it, in order of time.
pub async fn entries(app: &App, loan: &OwnLoan, period: Option<i16>) -> anyhow::Result<Vec<Entry>> {
    let mut connection = app.pool.acquire().await?;
    let movements = own_store::list_movements(&mut connection, loan, period).await?;
    let (sources, days): (Vec<_>, Vec<_>) =
        movements.into_iter().map(|movement| (movement.source_id, movement.business_day)).unzip();
    Ok(ledger::store::list_entries(&mut connection, loan.line_id, &sources, &days).await?)
}

/// What was paid of one period (from 1) of a loan, in order of time.
pub async fn payments(app: &App, loan: &OwnLoan, period: usize) -> anyhow::Result<Vec<OwnPayment>> {
    let Ok(period) = i16::try_from(period) else { return Ok(Vec::new()) };
    Ok(own_store::list_payments(&mut *app.pool.acquire().await?, loan, period).await?)
}
