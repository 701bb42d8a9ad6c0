//! How a claim that was paid stands in its funder's book, and what the funder is told of it.

use serde_json::json;
use uuid::Uuid;

use super::model::{Claim, Stated};
use crate::base::{Fen, When};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};
use crate::outbox::Message;

/// How the loan of a claim stands.
#[derive(Clone, Copy, Debug)]
pub struct ClaimedLoan {
    pub is_charged_off: bool,
    /// What is to come in for guarantors with this claim.
    pub left: Fen,
}

/// The funder has the money; the receivables stay what they are, with what the guarantor has paid of them beside them. Of a loan that
/// was charged off, that much was lost before.
pub fn claim_paid(claim: &Claim, loan: ClaimedLoan, when: When) -> Posting {
    let paid = claim.asked.total();
    let recovered = if loan.is_charged_off { paid } else { Fen::ZERO };
    Posting {
        posting_id: Uuid::new_v5(&claim.claim_id.uuid(), b"claim_paid"),
        line_id: Some(claim.line_id),
        funder_id: claim.funder_id,
        event: "claim_paid",
        source_id: claim.claim_id.uuid(),
        legs: Legs::new()
            .transfer(Account::Cash, Account::ClaimsReceived, paid)
            .transfer(Account::ChargedOff, Account::RecoveryIncome, recovered)
            .into_vec(),
        corrects: None,
        business_day: when.business_day,
        posted_at: when.at,
    }
}

/// What the funder is told.
pub fn told(partner: &str, claim: &Claim, word: &Stated, loan: ClaimedLoan, when: When) -> Message {
    let Claim { claim_id, line_id, loan_id, asked, .. } = claim;
    Message {
        partner: partner.to_owned(),
        kind: "claim_paid",
        object_id: loan_id.uuid(),
        body: json!({
            "claim_id": claim_id,
            "loan_id": loan_id,
            "line_id": line_id,
            "principal_fen": asked.principal,
            "interest_fen": asked.interest,
            "fee_fen": asked.fee,
            "penalty_fen": asked.penalty,
            "amount_fen": asked.total(),
            "left_fen": loan.left,
            "bank_reference": word.bank_reference,
            "business_day": when.business_day,
        }),
        created_at: when.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{ClaimId, FunderId, LineId, LoanId};
    use crate::bill::Parts;
    use crate::claim::ClaimStatus;
    use crate::ledger::Leg;

    fn legs_of(is_charged_off: bool) -> Vec<Leg> {
        let id = Uuid::from_u128(1);
        let asked = Parts { penalty: Fen::new(20), principal: Fen::new(1_000), ..Parts::default() };
        let claim = Claim {
            claim_id: ClaimId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            asked,
            asked_on: "2026-06-13".parse().unwrap(),
            status: ClaimStatus::Asked,
            stated: None,
        };
        let when = When { business_day: claim.asked_on, at: chrono::DateTime::UNIX_EPOCH };
        claim_paid(&claim, ClaimedLoan { is_charged_off, left: asked.total() }, when).legs
    }

    #[test]
    fn what_a_guarantor_pays_leaves_the_receivables_and_recovers_what_was_lost() {
        let received = Leg { debit: Account::Cash, credit: Account::ClaimsReceived, amount: Fen::new(1_020) };
        let recovered = Leg { debit: Account::ChargedOff, credit: Account::RecoveryIncome, amount: Fen::new(1_020) };
        assert_eq!(legs_of(false), [received]);
        assert_eq!(legs_of(true), [received, recovered]);
    }
}
