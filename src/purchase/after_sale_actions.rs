//! The parts of which voids and refunds are made: the sale, locked, and the steps that undo it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::AfterSaleRefusal;
use super::notices::Undone;
use super::posting::{self, Event, InBooks};
use super::refund::{BilledCharges, Effect, ReducedInstallment, Refundable, billed_of, of_recovered};
use super::store::{self, Purchase, PurchaseStatus, Refund};
use crate::app::App;
use crate::base::id::{LoanId, PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen, When};
use crate::bill::Parts;
use crate::bill::given_back_store;
use crate::credit::change::Note;
use crate::credit::line::{EntryKind, Line, LineChange};
use crate::error::{Fault, Outcome};
use crate::funder::reserve::Occasion;
use crate::funder::{lock_reserve, save_reserve};
use crate::loan::recourse::CameBy;
use crate::loan::reduction::{self, Amounts, Billed, BilledFall, Fall, Reduction, Standing};
use crate::loan::store::{ScheduleReason, ScheduleVersion};
use crate::loan::{BookedRecourse, Installment, Loan, LoanStatus, Recourse, Schedule};
use crate::merchant::Payment;
use crate::outbox::{self, Message};
use crate::product::ProductVersion;
use crate::repayment::account::{LineAccount, OpenInstallment};
use crate::repayment::withholding::Purpose;
use crate::settlement::{NewPayout, PaidBack, PayoutFor, insert_payouts};
use crate::{bill, borrower, business_day, credit, ledger, loan, merchant, notice, repayment};

pub(super) type AfterSale<T> = Outcome<T, AfterSaleRefusal>;

/// An authorised purchase with everything that a void or refund of it moves, locked in the house's order.
pub(super) struct LockedSale {
    pub(super) today: BusinessDay,
    pub(super) now: DateTime<Utc>,
    pub(super) line: Line,
    pub(super) purchase: Purchase,
    pub(super) loan: Loan,
    product: std::sync::Arc<ProductVersion>,
}

/// A loan after principal fell off it.
pub(super) struct Reduced {
    pub(super) reduction: Reduction,
    /// The line's open installments, those that fell marked as touched.
    pub(super) account: LineAccount,
    pub(super) charges: BilledCharges,
    /// The billed installments that it reduced.
    pub(super) installments: Vec<ReducedInstallment>,
    /// Whether periods that are not billed yet still ask for something.
    unbilled_owes: bool,
}

/// A refund that is decided and not written yet.
pub(super) struct RefundPlan {
    pub(super) effect: Effect,
    pub(super) reduced: Reduced,
}

/// Locks line, order code, business day, purchase and loan, in this order.
pub(super) async fn lock_sale(
    connection: &mut PgConnection,
    app: &App,
    purchase_id: PurchaseId,
) -> AfterSale<LockedSale> {
    let line_id = store::find_line_of(connection, purchase_id).await?;
    let line_id = line_id.ok_or(Fault::Refused(AfterSaleRefusal::UnknownPurchase))?;
    let mut lines = credit::store::lock_lines(connection, &[line_id]).await?;
    let line = lines.pop().ok_or(sqlx::Error::RowNotFound)?;
    merchant::code_store::lock_code_of_purchase(connection, purchase_id).await?;
    let today = business_day::store::hold_today(connection).await?;
    let purchase = store::lock_purchase(connection, purchase_id).await?;
    let loan_id: LoanId = purchase.loan_id.ok_or(Fault::Refused(AfterSaleRefusal::NeverAuthorised))?;
    let loan = loan::store::lock_loans(connection, &[loan_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let product = app.catalogue.get(connection, purchase.product_id, purchase.product_version).await?;
    Ok(LockedSale { today, now: app.clock.now(), line, purchase, loan, product })
}

impl LockedSale {
    /// When the sale is undone.
    pub(super) fn when(&self) -> When {
        When { business_day: self.today, at: self.now }
    }

    pub(super) fn event(&self, source_id: uuid::Uuid) -> Event {
        Event { line_id: self.line.line_id, funder_id: self.loan.funder_id, source_id, when: self.when() }
    }

    pub(super) fn occasion(&self, source: String) -> Occasion {
        Occasion { source, when: self.when() }
    }

    pub(super) fn message(&self, kind: &'static str, body: serde_json::Value) -> Message {
        Message {
            partner: self.product.terms.funder.clone(),
            kind,
            object_id: self.loan.loan_id.uuid(),
            body,
            created_at: self.now,
        }
    }

    /// Tells the merchant's own system, if the merchant has given an address for notifications.
    pub(super) async fn notify_merchant(
        &self,
        connection: &mut PgConnection,
        kind: &'static str,
        particulars: serde_json::Value,
    ) -> sqlx::Result<()> {
        let (merchant_id, purchase_id) = (self.purchase.merchant_id, self.purchase.purchase_id);
        if !merchant::load_merchants(connection, &[merchant_id]).await?.iter().any(|merchant| merchant.is_notified) {
            return Ok(());
        }
        let code = match self.purchase.order_code {
            Some(code_id) => merchant::code_store::find_code(connection, code_id).await?,
            None => None,
        };
        let payment = Payment::of(merchant_id, purchase_id, code.as_ref());
        outbox::store::enqueue(connection, &[payment.message(kind, particulars, self.now)]).await
    }

    pub(super) fn undone(&self) -> Undone {
        Undone {
            purchase_id: self.purchase.purchase_id,
            borrower_id: self.line.borrower_id,
            merchant_id: self.purchase.merchant_id,
            when: self.when(),
        }
    }

    pub(super) fn refundable(&self) -> Refundable {
        let Purchase { amount, refunded, discount_fee, discount_returned_on_refund, subsidy, .. } = self.purchase;
        Refundable { amount, refunded, discount_fee, discount_returned_on_refund, subsidy }
    }

    /// Refuses while a payoff of this loan is under way: its money would arrive for a loan that no longer exists.
    pub(super) async fn check_no_payoff_pending(&self, connection: &mut PgConnection) -> AfterSale<()> {
        let pending = repayment::store::find_pending(connection, self.line.line_id).await?;
        match pending.map(|order| order.purpose) {
            Some(Purpose::Payoff(loan_id)) if loan_id == self.loan.loan_id => {
                Err(Fault::Refused(AfterSaleRefusal::PayoffInProgress))
            }
            Some(Purpose::Payoff(_) | Purpose::Due | Purpose::Button) | None => Ok(()),
        }
    }

    fn check_refundable(&self, amount: Fen) -> Result<(), AfterSaleRefusal> {
        match self.purchase.status {
            PurchaseStatus::Authorised => {}
            PurchaseStatus::Voided => return Err(AfterSaleRefusal::Voided),
            PurchaseStatus::Refused => return Err(AfterSaleRefusal::NeverAuthorised),
        }
        if self.purchase.business_day == self.today {
            return Err(AfterSaleRefusal::BeforeCutOff);
        }
        let left = self.refundable().left();
        if amount > left {
            return Err(AfterSaleRefusal::MoreThanLeft { left });
        }
        Ok(())
    }

    /// What a refund of an amount would do; nothing is written.
    pub(super) async fn plan_refund(
        &self,
        connection: &mut PgConnection,
        app: &App,
        amount: Fen,
    ) -> AfterSale<RefundPlan> {
        self.check_refundable(amount).map_err(Fault::Refused)?;
        let reduced = self.reduce(connection, app, amount).await?;
        let effect = Effect {
            day: self.today,
            refunded_before: self.purchase.refunded,
            parts: self.refundable().split(amount, reduced.reduction.principal_fell),
            interest_waived: reduced.reduction.interest_waived,
            interest_back: reduced.charges.back.total(),
        };
        let to_card = effect.parts.owed_back + effect.interest_back;
        if to_card.is_positive() && borrower::is_erased(connection, self.line.borrower_id).await? {
            return Err(Fault::Refused(AfterSaleRefusal::CustomerErased));
        }
        Ok(RefundPlan { effect, reduced })
    }

    pub(super) async fn restore_line(
        &mut self,
        connection: &mut PgConnection,
        kind: EntryKind,
        principal: Fen,
        source_id: uuid::Uuid,
    ) -> sqlx::Result<()> {
        let when = self.when();
        let entry = self.line.change(LineChange::used(kind, -principal, source_id), when);
        credit::store::save_lines(connection, std::slice::from_ref(&self.line), &[entry]).await
    }

    /// Lets principal fall off the loan, in memory.
    async fn reduce(&self, connection: &mut PgConnection, app: &App, amount: Fen) -> anyhow::Result<Reduced> {
        let versions = bill::list_schedules(connection, self.line.line_id, self.loan.loan_id).await?;
        let schedule = &versions.last().ok_or(sqlx::Error::RowNotFound)?.schedule;
        let periods_billed = self.bill_ended_day(connection, schedule).await?;
        let mut account = LineAccount::new(self.line.clone());
        for billed in bill::store::load_open_installments(connection, &[self.line.line_id.uuid()]).await? {
            let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
            account.installments.push(OpenInstallment::new(billed, product));
        }
        let billed = given_back_store::load_billed_parts(connection, self.line.line_id, self.loan.loan_id).await?;
        let billed: Vec<Billed> = billed.iter().map(|row| billed_of(row, schedule)).collect();
        let statements = self.loan.periods_billed_by(self.today.minus_days(1));
        let standing = Standing {
            schedule,
            earlier: &bill::earlier_versions(&versions),
            periods_billed,
            billed_on: (statements > 0).then(|| self.loan.statement_on(statements)),
            billed: &billed,
            made_on: self.loan.made_on,
            principal: self.loan.principal,
            refunded: self.purchase.refunded,
        };
        let refund = &self.product.terms.refund;
        let falls = amount.min(self.loan.outstanding());
        let fall = Fall {
            amount: falls,
            owed_back: amount - falls,
            order: refund.order,
            returns_billed_interest: refund.returns_billed_interest,
            day: self.today,
        };
        let reduction = reduction::reduce(&standing, fall);
        let unbilled = reduction.schedule.installments.iter().skip(usize::from(standing.periods_billed));
        let unbilled_owes = unbilled.map(Installment::total).any(|total| !total.is_zero());
        let falls_on = self.billed_falls_on(connection).await?;
        let installments = self.take_off(&mut account, &reduction.billed, falls_on);
        let charges = BilledCharges {
            fell: reduction.billed.iter().map(|leaving| charges_of(&leaving.fell)).sum(),
            back: reduction.billed.iter().map(|leaving| charges_of(&leaving.back)).sum(),
            recovered: self.recovered_of(connection, &reduction.billed, &billed).await?,
        };
        Ok(Reduced { reduction, account, charges, installments, unbilled_owes })
    }

    /// Cuts the line's statement of the day that has ended if the close has not cut it yet, so that a refund has the same effect
    /// just before and just after that. Returns how many periods are billed.
    async fn bill_ended_day(&self, connection: &mut PgConnection, schedule: &Schedule) -> sqlx::Result<u16> {
        let (line_id, loan_id) = (self.line.line_id, self.loan.loan_id);
        let cut = bill::store::last_period_billed(connection, line_id, loan_id).await?.unsigned_abs();
        if self.loan.periods_billed_before(self.today, cut, schedule) <= cut {
            return Ok(cut);
        }
        // Even a mere preview waits for the chunks of statements that are being cut: both might cut the same one.
        bill::store::enter_schedules(connection).await?;
        let ended = When { business_day: self.today.minus_days(1), at: self.now };
        bill::cut_of_line(connection, line_id, ended).await?;
        Ok(bill::store::last_period_billed(connection, line_id, loan_id).await?.unsigned_abs())
    }

    /// Takes what falls off the open installments, in memory; returns the billed installments that were reduced, open or not.
    fn take_off(
        &self,
        account: &mut LineAccount,
        leaving: &[BilledFall],
        falls_on: BusinessDay,
    ) -> Vec<ReducedInstallment> {
        let mut installments = Vec::new();
        for one in leaving {
            let (period, fell, back) = (one.period.cast_signed(), parts_of(&one.fell), charges_of(&one.back));
            let mut reduced = ReducedInstallment { period, fell: Parts::default(), back, fell_on: falls_on };
            let is_leaving = |open: &&mut OpenInstallment| self.is_ours(open) && open.billed.period == period;
            if !fell.is_zero()
                && let Some(open) = account.installments.iter_mut().find(is_leaving)
            {
                open.billed.give_back(&open.rule, fell, falls_on);
                open.touched = true;
                reduced.fell = fell;
                reduced.fell_on = open.billed.span.fen_days_to.map_or(falls_on, |to| to.max(falls_on));
            }
            installments.push(reduced);
        }
        installments.retain(|reduced| !reduced.fell.is_zero() || !reduced.back.is_zero());
        installments
    }

    /// How much of the charges that go back had been recovered after the loan was charged off.
    async fn recovered_of(
        &self,
        connection: &mut PgConnection,
        leaving: &[BilledFall],
        billed: &[Billed],
    ) -> sqlx::Result<Parts> {
        if self.loan.charged_off_on.is_none() || leaving.iter().all(|one| charges_of(&one.back).is_zero()) {
            return Ok(Parts::default());
        }
        let recovered = given_back_store::load_recovered(connection, self.line.line_id, self.loan.loan_id).await?;
        let of_one = |one: &BilledFall| {
            let billed = billed.iter().find(|billed| billed.period == one.period)?;
            let (_, recovered) = recovered.iter().find(|(period, _)| period.unsigned_abs() == one.period)?;
            Some(of_recovered(charges_of(&billed.kept()), *recovered, charges_of(&one.back)))
        };
        Ok(leaving.iter().filter_map(of_one).sum())
    }

    /// The day from which principal that falls off billed installments counts as fallen: today, or the day of a pending
    /// withholding, so that no penalty runs after that day on what the withholding was to pay. If the withholding fails, no
    /// penalty is charged for those days. Fen-days that were summed since, because of another change of the principal, stay until
    /// the money comes and takes them off.
    async fn billed_falls_on(&self, connection: &mut PgConnection) -> sqlx::Result<BusinessDay> {
        let pending = repayment::store::find_pending(connection, self.line.line_id).await?;
        Ok(pending.map_or(self.today, |order| order.business_day.min(self.today)))
    }

    /// Lifts the freeze for lateness if nothing is late any more after the refund.
    pub(super) async fn cure(
        &mut self,
        connection: &mut PgConnection,
        mut account: LineAccount,
        refund_id: RefundId,
    ) -> sqlx::Result<()> {
        account.line = self.line.clone();
        let cured_by =
            Note { reason: "nothing is overdue".to_owned(), source_id: Some(refund_id.uuid()), when: self.when() };
        account.unfreeze_if_cured(cured_by);
        if !account.entries.is_empty() {
            credit::store::save_lines(connection, std::slice::from_ref(&account.line), &account.entries).await?;
            let told = credit::change::lines_changed(&self.product.terms.funder, &account.line, &account.entries);
            outbox::store::enqueue(connection, &told).await?;
            notice::raise(connection, &account.told()).await?;
        }
        self.line = account.line;
        Ok(())
    }

    fn is_ours(&self, open: &OpenInstallment) -> bool {
        open.billed.loan_id == self.loan.loan_id
    }

    /// Writes the next schedule version, the billed installments that changed, and the loan. Returns whether that has ended the loan.
    pub(super) async fn save_loan(&mut self, connection: &mut PgConnection, reduced: &Reduced) -> sqlx::Result<bool> {
        let was_open = self.loan.status == LoanStatus::Open;
        let account = &reduced.account;
        let changed: Vec<_> =
            account.installments.iter().filter(|open| open.touched).map(|open| &open.billed).collect();
        bill::store::save_installments(connection, &changed).await?;
        let given_back = reduced.reduction.billed.iter().filter(|leaving| !leaving.back.is_zero());
        let given_back: Vec<(u16, Parts)> =
            given_back.map(|leaving| (leaving.period, parts_of(&leaving.back))).collect();
        given_back_store::add_given_back(connection, self.line.line_id, self.loan.loan_id, &given_back).await?;
        bill::store::mark_bills_paid(connection, &account.settled_bills(self.today), self.today).await?;
        self.loan.principal_returned += reduced.reduction.principal_fell;
        self.loan.schedule_version += 1;
        let billed_owes =
            account.installments.iter().any(|open| self.is_ours(open) && !open.owed_on(self.today).is_zero());
        if self.loan.outstanding().is_zero() && !billed_owes && !reduced.unbilled_owes {
            let was_paid = self.loan.principal_paid.is_positive();
            self.loan.status = if was_paid { LoanStatus::Paid } else { LoanStatus::Refunded };
            // A loan that was paid off before keeps the day on which it was closed.
            self.loan.closed_on.get_or_insert(self.today);
        }
        let version = ScheduleVersion {
            loan_id: self.loan.loan_id,
            line_id: self.loan.line_id,
            version: self.loan.schedule_version,
            reason: ScheduleReason::Refund,
            schedule: &reduced.reduction.schedule,
            business_day: self.today,
        };
        let told = version.message(&self.product.terms.funder, self.now);
        loan::store::insert_schedule(connection, version).await?;
        outbox::store::enqueue(connection, &[told]).await?;
        loan::store::save_loans(connection, std::slice::from_ref(&self.loan)).await?;
        Ok(was_open && self.loan.status != LoanStatus::Open)
    }

    /// Tells the funder that the loan has ended.
    pub(super) async fn tell_end(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let told = self.loan.ended_message(&self.product.terms.funder, self.when());
        outbox::store::enqueue(connection, &[told]).await
    }

    /// Pays the borrower what the refund owes back, books the refund, tells the funder, and restores the line. The refund itself is
    /// recorded already.
    pub(super) async fn book_refund(
        &mut self,
        connection: &mut PgConnection,
        refund: &Refund,
        charges: &BilledCharges,
    ) -> AfterSale<()> {
        let parts = &refund.parts;
        let source_id = refund.refund_id.uuid();
        if refund.to_card().is_positive() {
            let paid_for = PayoutFor::Borrower {
                source_id,
                line_id: self.line.line_id,
                funder_id: self.loan.funder_id,
                borrower_id: self.line.borrower_id,
                card_id: None,
            };
            // This refund is recorded already, so the count includes it.
            let number = store::count_refunds(connection, &self.purchase).await?;
            let payout_id = PaidBack::Refund { purchase_id: refund.purchase_id, number }.payout_id();
            let amount = refund.to_card();
            let owed = NewPayout { payout_id, paid_for, amount, pay_on: self.today, created_at: self.now };
            insert_payouts(connection, &[owed]).await?;
        }
        let event = self.event(source_id);
        // If the refund has ended the loan, all that a guarantor paid on it goes back: nobody owes it any more.
        let recourse = self.loan.take_recourse(parts.principal_fell);
        let in_books = InBooks {
            is_charged_off: self.loan.charged_off_on.is_some(),
            recourse: recourse.map_or(Fen::ZERO, |recourse| recourse.amount),
        };
        ledger::store::insert_postings(connection, &[posting::refund(event, parts, charges, in_books)]).await?;
        let body = serde_json::json!({
            "loan_id": refund.loan_id,
            "purchase_id": refund.purchase_id,
            "refund_id": refund.refund_id,
            "line_id": refund.line_id,
            "amount_fen": parts.amount,
            "principal_fell_fen": parts.principal_fell,
            "owed_back_fen": parts.owed_back,
            "subsidy_returned_fen": parts.subsidy_returned,
            "interest_waived_fen": refund.interest_waived,
            "interest_back_fen": refund.charges_back.interest,
            "interest_back_recovered_fen": refund.charges_back_recovered.interest,
            "fee_back_fen": refund.charges_back.fee,
            "fee_back_recovered_fen": refund.charges_back_recovered.fee,
            "schedule_version": refund.schedule_version,
            "installments": refund.installments.iter().map(ReducedInstallment::message_body).collect::<Vec<_>>(),
            "business_day": refund.business_day,
        });
        outbox::store::enqueue(connection, &[self.message("refund", body)]).await?;
        self.book_recourse(connection, refund, recourse).await?;
        if parts.principal_fell.is_positive() {
            self.restore_line(connection, EntryKind::Refund, parts.principal_fell, source_id).await?;
        }
        Ok(())
    }

    /// Gives the reserve back what fell off the loan. Done last, because it locks the reserve, and purchases out of it wait from then on.
    pub(super) async fn return_to_reserve(&self, connection: &mut PgConnection, refund: &Refund) -> sqlx::Result<()> {
        let fell = refund.parts.principal_fell;
        if !fell.is_positive() {
            return Ok(());
        }
        let mut reserve = lock_reserve(connection, self.loan.funder_id, self.when()).await?;
        let entry = reserve.take_back(fell, self.occasion(refund.refund_id.to_string()));
        save_reserve(connection, &reserve, &[entry]).await
    }

    /// Records the guarantor's part of a refund, and tells the funder, who has to pass it on.
    async fn book_recourse(
        &self,
        connection: &mut PgConnection,
        refund: &Refund,
        recourse: Option<Recourse>,
    ) -> sqlx::Result<()> {
        let Some(recourse) = recourse else { return Ok(()) };
        let (line_id, came_by) = (refund.line_id, CameBy::Refund(refund.refund_id));
        let booked = BookedRecourse { line_id, came_by, recourse, business_day: refund.business_day };
        loan::insert_recourse(connection, &[booked]).await?;
        let told = recourse.message(&self.product.terms.funder, line_id, came_by, self.when());
        outbox::store::enqueue(connection, &[told]).await
    }
}

fn parts_of(amounts: &Amounts) -> Parts {
    Parts { principal: amounts.principal, ..charges_of(amounts) }
}

fn charges_of(amounts: &Amounts) -> Parts {
    Parts { interest: amounts.interest, fee: amounts.fee, ..Parts::default() }
}
