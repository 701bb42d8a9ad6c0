//! Ending a loan early with money that has arrived: the quoted amount is settled, and the rest of the schedule collapses into one row.

use super::account::{LeftOver, LineAccount, Money, OpenLoan, Repayment, RepaymentItem};
use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledInstallment, Parts};
use crate::loan::payoff::{PayoffQuote, PayoffRequest, collapse, quote};
use crate::loan::schedule::Installment;
use crate::loan::{Loan, LoanStatus, Schedule};
use crate::overdue::OverdueSpan;
use crate::product::ProductVersion;

/// The loan that a payoff ends; locked, except where it is only quoted.
#[derive(Clone, Debug)]
pub struct PayoffLoan {
    pub loan: Loan,
    pub schedule: Schedule,
    /// The last period that a statement has billed; 0 before the first.
    pub last_billed: u16,
}

/// What a payoff changes besides the repayment.
#[derive(Clone, Debug, Default)]
pub struct PayoffDone {
    /// The next version of the schedule; `None` where every period was billed already.
    pub schedule: Option<Schedule>,
    /// One bill line for everything that was not billed yet, paid from the start; `None` if nothing was left to bill.
    pub bill_line: Option<BilledInstallment>,
    /// Whether the money was less than the payoff takes, so that it was allocated like any other money.
    pub fell_short: bool,
}

/// Charges of a billed period that a payoff waives.
struct Waived {
    period: i16,
    charges: Parts,
}

impl PayoffLoan {
    /// What it takes to end the loan on `day`. Only periods whose statement day is before `day` count as billed. So the figures depend
    /// neither on whether the close of the day before has cut its statements yet, nor on statements that are cut before the channel
    /// answers.
    pub fn quote_on(&self, account: &LineAccount, product: &ProductVersion, day: BusinessDay) -> PayoffQuote {
        let of_loan = account.installments.iter().filter(|open| open.billed.loan_id == self.loan.loan_id);
        let plan = product.terms.plan(self.loan.periods, &self.loan.grade).map(|(plan, _)| plan);
        let billed_then = of_loan.filter(|open| !self.is_billed_since(open.billed.period, day));
        quote(&PayoffRequest {
            schedule: &self.schedule,
            periods_billed: self.periods_billed_before(day),
            billed_unpaid: billed_then.map(|open| open.owed_without_later_penalty(day).total()).sum::<Fen>()
                + self.being_billed(day).iter().map(Installment::total).sum::<Fen>(),
            annual_rate: self.loan.annual_rate,
            free_periods: plan.map_or(0, |plan| plan.free_periods),
            is_subsidised: plan.is_some_and(|plan| !plan.subsidy_share.is_zero()),
            made_on: self.loan.made_on,
            terms: &product.terms.early_payoff,
            day,
        })
    }

    /// Notices a statement that was cut after this loan was read and before the account was. A quote does not hold statements back, and
    /// would otherwise count such an installment twice: as billed, and as being billed.
    pub fn catch_up(&mut self, account: &LineAccount) {
        let of_loan = account.installments.iter().filter(|open| open.billed.loan_id == self.loan.loan_id);
        let billed = of_loan.map(|open| open.billed.period.unsigned_abs()).max().unwrap_or_default();
        self.last_billed = self.last_billed.max(billed);
    }

    /// The schedule after the payoff, and the bill line for everything that was not billed yet; `None` if everything was billed, or if
    /// a refund has emptied the rest. Rows that were billed after the quote lose the charges that were `waived`. Rows whose statement
    /// was just being cut, which the quote counted as billed, keep theirs.
    fn end(&self, quote: PayoffQuote, day: BusinessDay, waived: &[Waived]) -> (Schedule, Option<BilledInstallment>) {
        let mut ended = self.schedule.clone();
        let last_billed = usize::from(self.last_billed);
        for Waived { period, charges } in waived {
            if let Some(row) = ended.installments.get_mut(usize::from(period.unsigned_abs()) - 1) {
                row.interest -= charges.interest;
                row.fee -= charges.fee;
            }
        }
        let principal = ended.installments[last_billed..].iter().map(|row| row.principal).sum();
        let interest = quote.interest + self.being_billed(day).iter().map(|row| row.interest).sum::<Fen>();
        let period_fee = quote.period_fee + self.being_billed(day).iter().map(|row| row.fee).sum::<Fen>();
        let left = self.has_row_left().then_some(PayoffQuote { principal, interest, period_fee, ..quote });
        match left.and_then(|left| collapse(&ended, self.last_billed, &left)) {
            Some((collapsed, period)) => {
                let bill_line = paid_line(self, &collapsed, period);
                (collapsed, Some(bill_line))
            }
            None => (ended, None),
        }
    }

    /// Rows whose statement the close of the day before `day` has not cut yet.
    fn being_billed(&self, day: BusinessDay) -> &[Installment] {
        let billed = usize::from(self.last_billed);
        self.schedule.installments.get(billed..usize::from(self.periods_billed_before(day))).unwrap_or_default()
    }

    /// How many periods have a statement day before `day`, whether or not the last statement is cut already.
    fn periods_billed_before(&self, day: BusinessDay) -> u16 {
        self.loan.periods_billed_before(day, self.last_billed, &self.schedule)
    }

    /// Whether any unbilled row asks for a positive amount.
    fn has_row_left(&self) -> bool {
        self.schedule.installments.iter().skip(usize::from(self.last_billed)).any(|row| !row.total().is_zero())
    }

    fn is_billed_since(&self, period: i16, day: BusinessDay) -> bool {
        u16::try_from(period).is_ok_and(|period| period > self.periods_billed_before(day))
    }
}

impl LineAccount {
    /// Settles a payoff with the money that was quoted for it. If the loan has grown meanwhile so that the money is too little, it is
    /// allocated like any other money.
    pub fn receive_payoff(
        &mut self,
        money: Money,
        payoff: &PayoffLoan,
        product: &ProductVersion,
    ) -> (Repayment, PayoffDone) {
        self.look_back(money.value_on);
        let loan_id = payoff.loan.loan_id;
        // The purchase was voided or refunded while the channel had the order: the loan has ended without this money, which is paid
        // back. Like all money left over, it could have paid meanwhile what other money paid later.
        if payoff.loan.status != LoanStatus::Open {
            let mut items = Vec::new();
            let left = LeftOver { amount: money.amount, pays_off: Some(loan_id) };
            let excess = self.give_back_undue(&money, &mut items, left);
            return (self.book(money, items, excess), PayoffDone::default());
        }
        let quote = payoff.quote_on(self, product, money.value_on);
        if money.amount < quote.total() {
            return (self.receive(money), PayoffDone { fell_short: true, ..PayoffDone::default() });
        }
        if !self.loans.iter().any(|open| open.loan.loan_id == loan_id) {
            self.loans.push(OpenLoan { loan: payoff.loan.clone(), touched: false });
        }
        let (mut items, waived) = self.settle_billed(payoff, &quote, &money);
        let (schedule, bill_line) = payoff.end(quote, money.value_on, &waived);
        if let Some(bill_line) = &bill_line {
            items.push(RepaymentItem { loan_id, period: bill_line.period, taken: bill_line.paid });
        }
        // Part of the quote may find nothing left to pay: a refund came first, or no row is left to bear the fee. It is paid back.
        let amount = money.amount - items.iter().map(|item| item.taken.total()).sum();
        let excess = self.give_back_undue(&money, &mut items, LeftOver { amount, pays_off: Some(loan_id) });
        let schedule = Some(schedule).filter(|schedule| *schedule != payoff.schedule);
        (self.book(money, items, excess), PayoffDone { schedule, bill_line, fell_short: false })
    }

    /// Pays in full what was billed when the quote was made. Of what was billed since, it pays only the principal, and waives the
    /// charges. But if no unbilled row asks for anything any more, the rows billed since bear the quote's interest and period fee, up
    /// to what they ask for; never the fee for paying off early, since a statement never asks for more than when it was cut. Returns
    /// what was paid, and the waived charges.
    fn settle_billed(
        &mut self,
        payoff: &PayoffLoan,
        quote: &PayoffQuote,
        money: &Money,
    ) -> (Vec<RepaymentItem>, Vec<Waived>) {
        let loan_id = payoff.loan.loan_id;
        let (mut items, mut waived) = (Vec::new(), Vec::new());
        let mut charges = if payoff.has_row_left() {
            Parts::default()
        } else {
            Parts { interest: quote.interest, fee: quote.period_fee, ..Parts::default() }
        };
        for open in self.installments.iter_mut().filter(|open| open.billed.loan_id == loan_id) {
            let mut taken = open.owed_without_later_penalty(money.value_on);
            if payoff.is_billed_since(open.billed.period, money.value_on) {
                let (interest, fee) = (taken.interest.min(charges.interest), taken.fee.min(charges.fee));
                let bears = Parts { interest, fee, ..Parts::default() };
                charges += -bears;
                taken = Parts { principal: taken.principal, ..bears };
                let period = open.billed.period;
                waived.push(Waived { period, charges: open.waive_charges(bears, money.value_on) });
            }
            if !taken.is_zero() {
                open.pay(taken, money.value_on);
                items.push(RepaymentItem { loan_id, period: open.billed.period, taken });
            }
        }
        (items, waived)
    }
}

/// The bill line of a row that is paid in full from the start.
fn paid_line(payoff: &PayoffLoan, schedule: &Schedule, period: u16) -> BilledInstallment {
    let row = &schedule.installments[usize::from(period) - 1];
    let whole = Parts { principal: row.principal, interest: row.interest, fee: row.fee, penalty: Fen::ZERO };
    BilledInstallment {
        line_id: payoff.loan.line_id,
        loan_id: payoff.loan.loan_id,
        period: period as i16,
        billed: whole,
        paid: whole,
        returned: Parts::default(),
        span: OverdueSpan::new(row.due_on),
        product_id: payoff.loan.product_id,
        product_version: payoff.loan.product_version,
        annual_rate: payoff.loan.annual_rate,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::account::{OpenInstallment, Source};
    use super::super::unpaid::PaidSince;
    use super::*;
    use crate::base::Rate;
    use crate::base::day::MonthDay;
    use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId, RepaymentId, WithholdingId};
    use crate::credit::LineStatus;
    use crate::credit::line::tests::line;
    use crate::overdue::PenaltyRule;
    use crate::product::file;
    use crate::product::terms::{PenaltyBase, PenaltyRate, PenaltyTerms};

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    /// A late payment of an installment's principal.
    struct Late {
        grace_days: u16,
        paid: i64,
        paid_on: &'static str,
    }

    /// The only period of a loan: 100,000 fen, with penalty of 0.001 a day after the days of grace.
    fn installment(loan: u128, due_on: &str, late: Late) -> OpenInstallment {
        let Late { grace_days, paid, paid_on } = late;
        let mut terms = file::parse(file::SHIPPED[0]).unwrap();
        terms.penalty.rate = PenaltyRate::Daily("0.001".parse().unwrap());
        terms.penalty.grace_days = grace_days;
        let (due_on, paid_on) = (day(due_on), day(paid_on));
        let principal = |fen| Parts { principal: Fen::new(fen), ..Parts::default() };
        let id = Uuid::from_u128(7);
        let billed = BilledInstallment {
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(Uuid::from_u128(loan)),
            period: 1,
            billed: principal(100_000),
            paid: principal(paid),
            returned: Parts::default(),
            span: OverdueSpan { due_on, fen_days: 100_000 * paid_on.days_since(due_on), fen_days_to: Some(paid_on) },
            product_id: ProductId::from_uuid(id),
            product_version: 1,
            annual_rate: Rate::ZERO,
        };
        let (product_id, funder_id) = (billed.product_id, FunderId::from_uuid(id));
        OpenInstallment::new(billed, Arc::new(ProductVersion { product_id, version: 1, funder_id, terms }))
    }

    /// The late payment, as a change since the value date.
    fn paid_since(open: &OpenInstallment) -> PaidSince {
        let billed = &open.billed;
        let (loan_id, period, principal) = (billed.loan_id, billed.period, billed.paid.principal);
        let (value_on, interest) = (billed.span.fen_days_to.unwrap(), Fen::ZERO);
        PaidSince { loan_id, period, value_on, principal, interest, is_own: false }
    }

    fn payoff_of(open: &OpenInstallment) -> PayoffLoan {
        let BilledInstallment { loan_id, line_id, product_id, billed, paid, span, .. } = open.billed;
        let id = Uuid::from_u128(7);
        let statement_on = day("2025-12-20");
        let row = Installment { due_on: span.due_on, principal: billed.principal, interest: Fen::ZERO, fee: Fen::ZERO };
        let loan = Loan {
            loan_id,
            line_id,
            purchase_id: PurchaseId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            merchant_id: MerchantId::from_uuid(id),
            product_id,
            product_version: 1,
            grade: "A".to_owned(),
            periods: 1,
            annual_rate: Rate::ZERO,
            principal: billed.principal,
            principal_paid: paid.principal,
            principal_returned: Fen::ZERO,
            status: LoanStatus::Open,
            statement_day: MonthDay::new(20).unwrap(),
            first_statement_on: statement_on,
            last_statement_on: statement_on,
            schedule_version: 1,
            made_on: day("2025-12-01"),
            closed_on: None,
            charged_off_on: None,
            claim_left: Fen::ZERO,
        };
        PayoffLoan { loan, schedule: Schedule { installments: vec![row] }, last_billed: 1 }
    }

    /// Money for a payoff that was ordered on the 12th and reported on `today`.
    fn told_on(today: &str, fen: i64) -> Money {
        let at = DateTime::UNIX_EPOCH;
        Money {
            repayment_id: RepaymentId::mint(at),
            source: Source::Withholding(WithholdingId::mint(at)),
            amount: Fen::new(fen),
            value_on: day("2026-01-12"),
            today: day(today),
            at,
        }
    }

    #[test]
    fn a_payoff_that_is_reported_late_ends_the_loan_whatever_penalty_has_run_since_it_was_quoted() {
        let open = installment(1, "2026-01-10", Late { grace_days: 0, paid: 1, paid_on: "2026-01-20" });
        let (payoff, product) = (payoff_of(&open), Arc::clone(&open.product));
        let mut account = LineAccount::new(line(LineStatus::Active, 99_999));
        account.since.paid = vec![paid_since(&open)];
        account.installments = vec![open];
        // 100,000 and two days of penalty. What was paid on the 20th was too much, and no penalty had run on it since the 12th.
        let (repayment, _) = account.receive_payoff(told_on("2026-01-22", 100_200), &payoff, &product);
        let taken = repayment.taken();
        assert_eq!((taken.principal, taken.penalty, repayment.excess), (Fen::new(99_999), Fen::new(200), Fen::new(1)));
        assert_eq!(account.loans[0].loan.status, LoanStatus::Paid);
    }

    #[test]
    fn what_a_payoff_leaves_over_counts_for_its_own_loan_before_any_older_bill() {
        // On the 16th, other money paid all of an older bill, with penalty, and 40,000 of the loan that was being paid off.
        let mut older = installment(2, "2026-01-05", Late { grace_days: 3, paid: 100_000, paid_on: "2026-01-16" });
        older.billed.paid.penalty = Fen::new(1_100);
        let open = installment(1, "2026-01-10", Late { grace_days: 3, paid: 40_000, paid_on: "2026-01-16" });
        let (payoff, product) = (payoff_of(&open), Arc::clone(&open.product));
        let mut account = LineAccount::new(line(LineStatus::Active, 60_000));
        account.since.paid = vec![paid_since(&older), paid_since(&open)];
        account.since.settled = vec![older];
        account.installments = vec![open];
        let (repayment, _) = account.receive_payoff(told_on("2026-01-20", 100_000), &payoff, &product);
        // As if the channel had reported it on the 12th: the 40,000 of the 16th were too much.
        let taken = repayment.taken();
        assert_eq!((taken.principal, taken.penalty, repayment.excess), (Fen::new(60_000), Fen::ZERO, Fen::new(40_000)));
        assert_eq!(account.loans[0].loan.status, LoanStatus::Paid);
        assert_eq!(account.since.settled[0].billed.span.fen_days, 1_100_000);
    }

    #[test]
    fn a_statement_that_is_cut_while_a_quote_is_read_is_counted_once() {
        let open = installment(1, "2026-01-10", Late { grace_days: 3, paid: 0, paid_on: "2026-01-10" });
        let (mut payoff, product) = (payoff_of(&open), Arc::clone(&open.product));
        payoff.last_billed = 0;
        let mut account = LineAccount::new(line(LineStatus::Active, 100_000));
        account.installments = vec![open];
        payoff.catch_up(&account);
        assert_eq!(payoff.quote_on(&account, &product, day("2026-01-12")).total(), Fen::new(100_000));
    }

    #[test]
    fn charges_that_were_paid_before_the_rest_was_waived_stay_in_the_schedule() {
        let mut open = installment(1, "2026-02-10", Late { grace_days: 3, paid: 0, paid_on: "2026-02-10" });
        let mut payoff = payoff_of(&open);
        // Billed after the quote of the 12th, and paid in part by other money before the channel reported the payoff.
        (open.billed.billed.interest, open.billed.paid.interest) = (Fen::new(500), Fen::new(200));
        (payoff.loan.first_statement_on, payoff.loan.last_statement_on) = (day("2026-01-20"), day("2026-01-20"));
        payoff.schedule.installments[0].interest = Fen::new(500);
        let product = Arc::clone(&open.product);
        let mut account = LineAccount::new(line(LineStatus::Active, 100_000));
        account.installments = vec![open];
        let (repayment, done) = account.receive_payoff(told_on("2026-01-22", 100_000), &payoff, &product);
        assert_eq!((repayment.taken().principal, repayment.taken().interest), (Fen::new(100_000), Fen::ZERO));
        assert_eq!(account.installments[0].billed.returned.interest, Fen::new(300));
        assert_eq!(done.schedule.unwrap().installments[0].interest, Fen::new(200));
    }

    #[test]
    fn waived_interest_bore_no_penalty_though_it_was_late_when_the_payoff_was_reported() {
        let mut open = installment(1, "2026-02-10", Late { grace_days: 3, paid: 40_000, paid_on: "2026-02-16" });
        let on_interest =
            PenaltyTerms { base: PenaltyBase::PrincipalAndInterest, ..open.product.terms.penalty.clone() };
        open.rule = PenaltyRule::new(&on_interest, Rate::ZERO);
        let mut payoff = payoff_of(&open);
        // Billed after the quote of the 12th: 100,500 ran for six days, until other money paid 40,000 of principal.
        open.billed.billed.interest = Fen::new(500);
        open.billed.span.fen_days = 603_000;
        (payoff.loan.first_statement_on, payoff.loan.last_statement_on) = (day("2026-01-20"), day("2026-01-20"));
        payoff.schedule.installments[0].interest = Fen::new(500);
        let product = Arc::clone(&open.product);
        let mut account = LineAccount::new(line(LineStatus::Active, 60_000));
        account.since.paid = vec![paid_since(&open)];
        account.installments = vec![open];
        let (repayment, _) = account.receive_payoff(told_on("2026-02-20", 100_000), &payoff, &product);
        assert_eq!((repayment.taken().principal, repayment.excess), (Fen::new(60_000), Fen::new(40_000)));
        // Taken off: 3,000 for the interest, 360,000 for what the payoff paid, and 240,000 for what it could have paid.
        let billed = &account.installments[0].billed;
        assert_eq!((billed.returned.interest, billed.span.fen_days), (Fen::new(500), 0));
        assert_eq!(account.loans[0].loan.status, LoanStatus::Paid);
    }

    #[test]
    fn rows_that_a_refund_has_emptied_are_not_paid_off() {
        let open = installment(1, "2026-01-10", Late { grace_days: 3, paid: 0, paid_on: "2026-01-10" });
        let (mut payoff, product) = (payoff_of(&open), Arc::clone(&open.product));
        let emptied =
            Installment { due_on: day("2026-02-10"), principal: Fen::ZERO, ..payoff.schedule.installments[0] };
        payoff.schedule.installments.push(emptied);
        let mut account = LineAccount::new(line(LineStatus::Active, 100_000));
        account.installments = vec![open];
        let (repayment, done) = account.receive_payoff(told_on("2026-01-12", 100_000), &payoff, &product);
        // The bill is paid, the schedule stays, and no empty item is reported.
        assert_eq!((repayment.items.len(), repayment.taken().principal), (1, Fen::new(100_000)));
        assert!(done.schedule.is_none() && done.bill_line.is_none());
        assert_eq!(account.loans[0].loan.status, LoanStatus::Paid);
    }

    #[test]
    fn money_for_a_voided_purchase_counts_for_an_older_bill_until_it_is_paid_back() {
        let mut older = installment(2, "2026-01-05", Late { grace_days: 3, paid: 100_000, paid_on: "2026-01-16" });
        older.billed.paid.penalty = Fen::new(1_100);
        let voided = installment(1, "2026-02-10", Late { grace_days: 3, paid: 0, paid_on: "2026-02-10" });
        let (mut payoff, product) = (payoff_of(&voided), Arc::clone(&voided.product));
        payoff.loan.status = LoanStatus::Voided;
        let mut account = LineAccount::new(line(LineStatus::Active, 0));
        account.since.paid = vec![paid_since(&older)];
        account.since.settled = vec![older];
        let (repayment, done) = account.receive_payoff(told_on("2026-01-20", 30_000), &payoff, &product);
        // 30,000 for four days, and for as long the 120 that this takes off the penalty.
        assert_eq!((repayment.taken().penalty, repayment.excess), (Fen::new(-120), Fen::new(30_120)));
        assert_eq!(account.since.settled[0].billed.span.fen_days, 1_100_000 - 4 * 30_120);
        assert!(done.schedule.is_none() && done.bill_line.is_none() && !done.fell_short);
    }
}
