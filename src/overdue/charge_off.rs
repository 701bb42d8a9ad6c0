//! Charge-off (核销): a loan so late that its payment is no longer expected leaves its funder's assets. The borrower owes it as
//! before.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::base::id::{FunderId, LineId, LoanId};
use crate::base::{BusinessDay, Fen};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};
use crate::outbox::Message;

/// What a funder's book holds as receivable of a loan on the day on which it writes it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargeOff {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub funder_id: FunderId,
    pub business_day: BusinessDay,
    /// The current version of its schedule.
    pub schedule_version: i32,
    /// Unpaid, whether it is due or not.
    pub principal: Fen,
    /// Of rows that have fallen due, less what was collected. What has accrued on later rows is no loss: its accrual is reversed.
    pub interest: Fen,
    pub fee: Fen,
    /// What guarantors paid on claims and have not recovered: it is no loss. Where it exceeds the three amounts above, penalty
    /// was claimed, too, and the loss is negative.
    pub covered: Fen,
}

impl ChargeOff {
    /// The same for one loan whenever it is asked for: a loan is charged off once.
    pub fn posting_id(&self) -> Uuid {
        Uuid::new_v5(&self.loan_id.uuid(), b"charge_off")
    }

    /// The receivables stay in the book, and `ChargedOff` stands against them. The loss is the funder's, less what guarantors
    /// have paid.
    pub fn posting(&self, at: DateTime<Utc>) -> Posting {
        let lost = self.principal + self.interest + self.fee - self.covered;
        Posting {
            posting_id: self.posting_id(),
            line_id: Some(self.line_id),
            funder_id: self.funder_id,
            event: "charge_off",
            source_id: self.loan_id.uuid(),
            legs: Legs::new().transfer(Account::ChargeOffLoss, Account::ChargedOff, lost).into_vec(),
            corrects: None,
            business_day: self.business_day,
            posted_at: at,
        }
    }

    /// What its funder is told.
    pub fn message(&self, partner: &str, at: DateTime<Utc>) -> Message {
        Message {
            partner: partner.to_owned(),
            kind: "charge_off",
            object_id: self.loan_id.uuid(),
            body: json!({
                "loan_id": self.loan_id,
                "line_id": self.line_id,
                "principal_fen": self.principal,
                "interest_fen": self.interest,
                "fee_fen": self.fee,
                "covered_fen": self.covered,
                "business_day": self.business_day,
            }),
            created_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Leg;

    fn charge_off(loan: u128) -> ChargeOff {
        ChargeOff {
            loan_id: LoanId::from_uuid(Uuid::from_u128(loan)),
            line_id: LineId::from_uuid(Uuid::from_u128(2)),
            funder_id: FunderId::from_uuid(Uuid::from_u128(3)),
            business_day: "2026-09-21".parse().unwrap(),
            schedule_version: 1,
            principal: Fen::new(120_000),
            interest: Fen::new(2_166),
            fee: Fen::new(5),
            covered: Fen::ZERO,
        }
    }

    #[test]
    fn all_receivables_of_a_loan_are_a_loss_with_a_contra_account_against_them() {
        let posting = charge_off(1).posting(DateTime::UNIX_EPOCH);
        let lost = Leg { debit: Account::ChargeOffLoss, credit: Account::ChargedOff, amount: Fen::new(122_171) };
        assert_eq!(posting.legs, [lost]);
        assert_eq!((posting.event, posting.source_id), ("charge_off", Uuid::from_u128(1)));
    }

    #[test]
    fn what_a_guarantor_has_paid_is_no_loss() {
        let claimed = ChargeOff { covered: Fen::new(42_171), ..charge_off(1) };
        let legs = claimed.posting(DateTime::UNIX_EPOCH).legs;
        let lost = Leg { debit: Account::ChargeOffLoss, credit: Account::ChargedOff, amount: Fen::new(80_000) };
        assert_eq!(legs, [lost]);
    }

    #[test]
    fn a_loan_has_one_posting_however_often_it_is_asked_for() {
        assert_eq!(charge_off(1).posting_id(), charge_off(1).posting(DateTime::UNIX_EPOCH).posting_id);
        assert_ne!(charge_off(1).posting_id(), charge_off(4).posting_id());
    }
}
