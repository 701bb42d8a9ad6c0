//! Recourse (追偿): once a guarantor has paid a claim on a loan, what comes in on the loan belongs to the guarantor until the claim
//! is recovered.

use serde_json::json;
use uuid::Uuid;

use super::Loan;
use crate::base::id::{ClaimId, LineId, LoanId, RefundId, RepaymentId};
use crate::base::{BusinessDay, Fen, When};
use crate::outbox::Message;

/// The guarantor's part of money that came in on a loan; negative where the money is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recourse {
    pub loan_id: LoanId,
    pub amount: Fen,
    /// What is still to be recovered for the guarantor afterwards.
    pub left: Fen,
    /// Whether the loan was charged off when the money came in.
    pub is_charged_off: bool,
}

/// By what event the money came in, or was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameBy {
    Repayment(RepaymentId),
    Refund(RefundId),
}

/// The part of one repayment or refund that is a guarantor's, corrections included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameIn {
    /// The repayment or refund.
    pub source_id: Uuid,
    pub amount: Fen,
    /// Whether the loan was charged off when the money came.
    pub is_charged_off: bool,
}

/// A claim that is taken back: what came in on its loan is no longer the guarantor's.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp<'a> {
    pub loan: &'a Loan,
    pub claim_id: ClaimId,
    pub business_day: BusinessDay,
}

/// The newest parts of `came_in` (given newest first) that make up `amount`. The newest, because the claim that was paid last is
/// recovered last.
pub fn newest(came_in: &[CameIn], amount: Fen) -> Vec<CameIn> {
    let mut left = amount;
    let mut newest = Vec::new();
    for one in came_in {
        let amount = one.amount.min(left);
        if amount.is_positive() {
            left -= amount;
            newest.push(CameIn { amount, ..*one });
        }
    }
    newest
}

/// A recourse with what brought it about.
#[derive(Clone, Copy, Debug)]
pub struct BookedRecourse {
    pub line_id: LineId,
    pub came_by: CameBy,
    pub recourse: Recourse,
    pub business_day: BusinessDay,
}

impl CameBy {
    /// The id of the repayment or refund.
    pub fn source_id(self) -> Uuid {
        match self {
            CameBy::Repayment(id) => id.uuid(),
            CameBy::Refund(id) => id.uuid(),
        }
    }
}

impl Recourse {
    /// The message to the funder, who owes the money to the guarantor.
    pub fn message(&self, partner: &str, line_id: LineId, came_by: CameBy, when: When) -> Message {
        let (repayment_id, refund_id) = match came_by {
            CameBy::Repayment(id) => (Some(id), None),
            CameBy::Refund(id) => (None, Some(id)),
        };
        Message {
            partner: partner.to_owned(),
            kind: "claim_recovered",
            object_id: self.loan_id.uuid(),
            body: json!({
                "loan_id": self.loan_id,
                "line_id": line_id,
                "repayment_id": repayment_id,
                "refund_id": refund_id,
                "amount_fen": self.amount,
                "left_fen": self.left,
                "business_day": when.business_day,
            }),
            created_at: when.at,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{CameIn, newest};
    use crate::base::Fen;
    use crate::base::day::MonthDay;
    use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
    use crate::base::{BusinessDay, Rate};
    use crate::loan::{Loan, LoanStatus};
    use uuid::Uuid;

    pub(in crate::loan) fn claimed(status: LoanStatus, claim_left: i64) -> Loan {
        let id = Uuid::from_u128(7);
        let day: BusinessDay = "2026-01-20".parse().unwrap();
        Loan {
            loan_id: LoanId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            purchase_id: PurchaseId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            merchant_id: MerchantId::from_uuid(id),
            product_id: ProductId::from_uuid(id),
            product_version: 1,
            grade: "A".to_owned(),
            periods: 1,
            annual_rate: Rate::ZERO,
            principal: Fen::new(1_000),
            principal_paid: Fen::ZERO,
            principal_returned: Fen::ZERO,
            status,
            statement_day: MonthDay::new(20).unwrap(),
            first_statement_on: day,
            last_statement_on: day,
            schedule_version: 1,
            made_on: day,
            closed_on: None,
            charged_off_on: None,
            claim_left: Fen::new(claim_left),
        }
    }

    #[test]
    fn what_comes_in_is_the_guarantors_until_what_it_paid_is_recovered() {
        let mut loan = claimed(LoanStatus::Open, 500);
        let mut taken = |fen| loan.take_recourse(Fen::new(fen)).map(|of| (of.amount.get(), of.left.get()));
        assert_eq!([taken(300), taken(0), taken(300), taken(300)], [Some((300, 200)), None, Some((200, 0)), None]);
    }

    #[test]
    fn what_was_claimed_of_a_loan_that_has_ended_goes_back() {
        let mut loan = claimed(LoanStatus::Paid, 500);
        assert_eq!(loan.take_recourse(Fen::new(498)).map(|of| of.amount), Some(Fen::new(500)));
        assert_eq!(loan.claim_left, Fen::ZERO);
    }

    #[test]
    fn what_came_last_is_given_up_first() {
        let one =
            |of, fen, is_charged_off| CameIn { source_id: Uuid::from_u128(of), amount: Fen::new(fen), is_charged_off };
        let came_in = [one(3, 60, true), one(2, 40, false), one(1, 500, false)];
        assert_eq!(newest(&came_in, Fen::ZERO), []);
        assert_eq!(newest(&came_in, Fen::new(70)), [one(3, 60, true), one(2, 10, false)]);
        assert_eq!(newest(&came_in, Fen::new(600)), came_in);
    }

    #[test]
    fn penalty_that_is_given_back_was_the_funders() {
        assert_eq!(claimed(LoanStatus::Open, 500).take_recourse(Fen::new(-20)), None);
    }
}
