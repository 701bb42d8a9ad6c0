//! Ending one loan early with money that has arrived: what was quoted is settled, the rest of the schedule collapses.

use super::account::{LineAccount, Money, OpenLoan, Repayment, RepaymentItem};
use crate::base::{BusinessDay, Fen};
use crate::bill::{BilledInstallment, Parts};
use crate::loan::payoff::{PayoffQuote, PayoffRequest, collapse, quote};
use crate::loan::schedule::Installment;
use crate::loan::{Loan, LoanStatus, Schedule};
use crate::overdue::OverdueSpan;
use crate::product::ProductVersion;

/// The loan that a payoff ends, as locked.
#[derive(Clone, Debug)]
pub struct PayoffLoan {
    pub loan: Loan,
    pub schedule: Schedule,
    /// The last period that a statement has billed; 0 before the first.
    pub last_billed: u16,
}

/// What a payoff writes besides the repayment.
#[derive(Clone, Debug)]
pub struct PayoffDone {
    /// The next version of the schedule; `None` where every period was billed already.
    pub schedule: Option<Schedule>,
    /// The one bill line of what was not billed, paid as it is written.
    pub bill_line: Option<BilledInstallment>,
}

impl PayoffLoan {
    /// What ends the loan on `day`, counting what was to be billed before that day and no more: so that the same figures come out
    /// when the channel's answer arrives after another statement was cut, and also while the close of the day before is still
    /// about to cut its own.
    pub fn quote_on(&self, account: &LineAccount, product: &ProductVersion, day: BusinessDay) -> PayoffQuote {
        let of_loan = account.installments.iter().filter(|open| open.billed.loan_id == self.loan.loan_id);
        let plan = product.terms.plan(self.loan.periods, &self.loan.grade).map(|(plan, _)| plan);
        let billed_then = of_loan.filter(|open| !self.is_billed_since(open.billed.period, day));
        quote(&PayoffRequest {
            schedule: &self.schedule,
            periods_billed: self.periods_billed_before(day),
            billed_unpaid: billed_then.map(|open| open.owed_on(day).total()).sum::<Fen>()
                + self.being_billed(day).iter().map(Installment::total).sum::<Fen>(),
            annual_rate: self.loan.annual_rate,
            free_periods: plan.map_or(0, |plan| plan.free_periods),
            is_subsidised: plan.is_some_and(|plan| !plan.subsidy_share.is_zero()),
            made_on: self.loan.made_on,
            terms: &product.terms.early_payoff,
            day,
        })
    }

    /// The schedule after the payoff, and the bill line of what was not billed yet; none where everything was. What was
    /// billed after the quote keeps its principal alone; what the quote counted as billed before it was keeps its charges.
    fn end(&self, quote: PayoffQuote, day: BusinessDay) -> (Schedule, Option<BilledInstallment>) {
        let mut ended = self.schedule.clone();
        let last_billed = usize::from(self.last_billed);
        let billed_then = usize::from(self.periods_billed_before(day)).min(last_billed);
        for row in &mut ended.installments[billed_then..last_billed] {
            (row.interest, row.fee) = (Fen::ZERO, Fen::ZERO);
        }
        let principal = ended.installments[last_billed..].iter().map(|row| row.principal).sum();
        let interest = quote.interest + self.being_billed(day).iter().map(|row| row.interest).sum::<Fen>();
        let period_fee = quote.period_fee + self.being_billed(day).iter().map(|row| row.fee).sum::<Fen>();
        match collapse(&ended, self.last_billed, &PayoffQuote { principal, interest, period_fee, ..quote }) {
            Some((collapsed, period)) => {
                let bill_line = paid_line(self, &collapsed, period);
                (collapsed, Some(bill_line))
            }
            None => (ended, None),
        }
    }

    /// Rows whose statement the close of the day before `day` has not come to yet.
    fn being_billed(&self, day: BusinessDay) -> &[Installment] {
        let billed = usize::from(self.last_billed);
        self.schedule.installments.get(billed..usize::from(self.periods_billed_before(day))).unwrap_or_default()
    }

    /// How many periods the statements before `day` bill, whether all of them are cut or the last is being cut. A row that asks
    /// for nothing is never billed.
    fn periods_billed_before(&self, day: BusinessDay) -> u16 {
        let due = self.loan.periods_billed_by(day.minus_days(1));
        let row = |period: u16| self.schedule.installments.get(usize::from(period) - 1);
        let asks = |period: u16| row(period).is_some_and(|row| !row.total().is_zero());
        (1..=due).rev().find(|period| *period <= self.last_billed || asks(*period)).unwrap_or_default()
    }

    fn is_billed_since(&self, period: i16, day: BusinessDay) -> bool {
        u16::try_from(period).is_ok_and(|period| period > self.periods_billed_before(day))
    }
}

impl LineAccount {
    /// Settles a payoff with the money that was quoted for it. Money that does not suffice (it always does, unless the loan
    /// grew meanwhile) is allocated as any other.
    pub fn receive_payoff(
        &mut self,
        money: Money,
        payoff: &PayoffLoan,
        product: &ProductVersion,
    ) -> (Repayment, PayoffDone) {
        let nothing_ended = PayoffDone { schedule: None, bill_line: None };
        // The purchase was voided while the channel had the order: the loan never was, and the money goes back.
        if payoff.loan.status == LoanStatus::Voided {
            let excess = money.amount;
            return (self.book(money, Vec::new(), excess), nothing_ended);
        }
        self.look_back(money.value_on);
        let quote = payoff.quote_on(self, product, money.value_on);
        if money.amount < quote.total() {
            return (self.receive(money), nothing_ended);
        }
        let loan_id = payoff.loan.loan_id;
        if !self.loans.iter().any(|open| open.loan.loan_id == loan_id) {
            self.loans.push(OpenLoan { loan: payoff.loan.clone(), touched: false });
        }
        let mut items = self.settle_billed(payoff, &money);
        let (schedule, bill_line) = payoff.end(quote, money.value_on);
        if let Some(bill_line) = &bill_line {
            items.push(RepaymentItem { loan_id, period: bill_line.period, taken: bill_line.paid });
        }
        // What was quoted and nothing is left to take (a refund came first) is owed back.
        let left = money.amount - items.iter().map(|item| item.taken.total()).sum();
        let excess = self.give_back_undue(&money, &mut items, left);
        let schedule = Some(schedule).filter(|schedule| *schedule != payoff.schedule);
        (self.book(money, items, excess), PayoffDone { schedule, bill_line })
    }

    /// Pays what was billed when the quote was made in full, and of what was billed since the principal alone.
    fn settle_billed(&mut self, payoff: &PayoffLoan, money: &Money) -> Vec<RepaymentItem> {
        let loan_id = payoff.loan.loan_id;
        let mut items = Vec::new();
        for open in self.installments.iter_mut().filter(|open| open.billed.loan_id == loan_id) {
            let mut taken = open.owed_on(money.value_on);
            if payoff.is_billed_since(open.billed.period, money.value_on) {
                taken = Parts { principal: taken.principal, ..Parts::default() };
                open.billed.waive_charges();
                open.touched = true;
            }
            if !taken.is_zero() {
                open.pay(taken, money.value_on);
                items.push(RepaymentItem { loan_id, period: open.billed.period, taken });
            }
        }
        items
    }
}

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
