//! The loan (借据): what was agreed at purchase, and how much of its principal is still owed.

use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::recourse::Recourse;
use super::schedule::Schedule;
use crate::base::day::MonthDay;
use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen, Rate, When, words};
use crate::outbox::Message;

/// One loan: what was agreed, which never changes, and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Loan {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    pub funder_id: FunderId,
    pub merchant_id: MerchantId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub grade: String,
    pub periods: u16,
    /// The contract rate a year, by which penalty and early payoff are computed.
    pub annual_rate: Rate,
    pub principal: Fen,
    pub principal_paid: Fen,
    /// Taken off by refunds.
    pub principal_returned: Fen,
    pub status: LoanStatus,
    pub statement_day: MonthDay,
    /// Period k is billed on the k-th statement day from here.
    pub first_statement_on: BusinessDay,
    pub last_statement_on: BusinessDay,
    pub schedule_version: i32,
    pub made_on: BusinessDay,
    pub closed_on: Option<BusinessDay>,
    /// The day on which its funder's book wrote it off; it is owed and collected as before.
    pub charged_off_on: Option<BusinessDay>,
    /// What guarantors paid on claims and has not been recovered for them since.
    pub claim_left: Fen,
}

words! {
    /// `open`: being repaid. `paid`: repaid in full. `refunded`: ended by refunds alone. `voided`: its purchase was cancelled on its own business
    /// day.
    #[derive(Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum LoanStatus {
        Open = "open",
        Paid = "paid",
        Refunded = "refunded",
        Voided = "voided",
    }
}

impl Loan {
    /// Principal that is neither paid nor taken off by refunds.
    pub fn outstanding(&self) -> Fen {
        self.principal - self.principal_paid - self.principal_returned
    }

    /// Takes the guarantor's part of money that has just come in: all of it, until what the guarantor paid is recovered. Once the
    /// loan has ended, all that is left of the claim goes back, because what was claimed beyond the debt was never owed. `None`
    /// where nothing is the guarantor's.
    pub fn take_recourse(&mut self, came_in: Fen) -> Option<Recourse> {
        let amount = match self.status {
            LoanStatus::Open => came_in.min(self.claim_left),
            LoanStatus::Paid | LoanStatus::Refunded | LoanStatus::Voided => self.claim_left,
        };
        if !amount.is_positive() {
            return None;
        }
        self.claim_left -= amount;
        let is_charged_off = self.charged_off_on.is_some();
        Some(Recourse { loan_id: self.loan_id, amount, left: self.claim_left, is_charged_off })
    }

    /// How many periods have been billed once the close of `closed_day` is done: those whose statement day has passed.
    pub fn periods_billed_by(&self, closed_day: BusinessDay) -> u16 {
        let is_billed = |period: &u16| self.statement_on(*period) <= closed_day;
        u16::try_from((1..=self.periods).take_while(is_billed).count()).unwrap_or(self.periods)
    }

    /// How many periods count as billed before `day`: all whose statement day lies before it. `periods_cut` says how many
    /// statements have been cut; while the close has not come to the last one, that is one less. A row that asks for nothing is
    /// never billed, nor is any row of a loan that has ended.
    pub fn periods_billed_before(&self, day: BusinessDay, periods_cut: u16, schedule: &Schedule) -> u16 {
        if self.status != LoanStatus::Open {
            return periods_cut;
        }
        let due = self.periods_billed_by(day.minus_days(1));
        let row = |period: u16| schedule.installments.get(usize::from(period) - 1);
        let asks = |period: u16| row(period).is_some_and(|row| !row.total().is_zero());
        (1..=due).rev().find(|period| *period <= periods_cut || asks(*period)).unwrap_or_default()
    }

    /// The message to the funder's core that the loan has ended: only the house knows for certain that no penalty is owed on it either.
    pub fn ended_message(&self, partner: &str, when: When) -> Message {
        Message {
            partner: partner.to_owned(),
            kind: "loan_ended",
            object_id: self.loan_id.uuid(),
            body: json!({
                "loan_id": self.loan_id,
                "line_id": self.line_id,
                "status": self.status.name(),
                "business_day": when.business_day,
            }),
            created_at: when.at,
        }
    }

    /// The statement day on which a period (from 1) is billed.
    pub fn statement_on(&self, period: u16) -> BusinessDay {
        self.statement_day.months_after(self.first_statement_on, u32::from(period.max(1)) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loan::recourse::tests::claimed;
    use crate::loan::schedule::Installment;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    /// Three periods, with statements on the last days of January, February and March.
    fn loan(status: LoanStatus) -> Loan {
        let first_statement_on = day("2026-01-31");
        Loan { statement_day: MonthDay::new(31).unwrap(), first_statement_on, periods: 3, ..claimed(status, 0) }
    }

    fn asking(amounts: [i64; 3]) -> Schedule {
        let row = |fen| Installment {
            due_on: day("2026-02-20"),
            principal: Fen::new(fen),
            interest: Fen::ZERO,
            fee: Fen::ZERO,
        };
        Schedule { installments: amounts.map(row).to_vec() }
    }

    #[test]
    fn a_period_is_billed_once_the_close_of_its_statement_day_is_done() {
        let by = |text| loan(LoanStatus::Open).periods_billed_by(day(text));
        assert_eq!([by("2026-01-30"), by("2026-01-31"), by("2026-02-27"), by("2026-02-28")], [0, 1, 1, 2]);
        assert_eq!([by("2026-03-30"), by("2026-03-31"), by("2027-01-31")], [2, 3, 3]);
    }

    #[test]
    fn the_statement_of_the_day_before_counts_though_it_is_not_cut_and_that_of_the_day_itself_does_not() {
        let schedule = asking([10, 10, 10]);
        let before = |text, cut| loan(LoanStatus::Open).periods_billed_before(day(text), cut, &schedule);
        assert_eq!([before("2026-01-31", 0), before("2026-02-01", 0), before("2026-02-01", 1)], [0, 1, 1]);
        assert_eq!([before("2026-02-28", 1), before("2026-02-28", 2), before("2026-03-01", 1)], [1, 1, 2]);
    }

    #[test]
    fn a_row_that_asks_for_nothing_is_not_billed_nor_is_any_of_a_loan_that_has_ended() {
        let schedule = asking([10, 0, 10]);
        let before = |status, text| loan(status).periods_billed_before(day(text), 1, &schedule);
        assert_eq!(before(LoanStatus::Open, "2026-03-01"), 1);
        assert_eq!(before(LoanStatus::Open, "2026-04-01"), 3);
        assert_eq!(before(LoanStatus::Refunded, "2026-04-01"), 1);
    }
}
