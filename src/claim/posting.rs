//! Ledger postings of claims that were paid or taken back, and the messages to the funder about them.

use serde_json::json;
use uuid::Uuid;

use super::model::{Claim, Stated};
use crate::base::{Fen, When};
use crate::ledger::posting::{Booked, Legs};
use crate::ledger::{Account, Posting};
use crate::loan::recourse::CameIn;
use crate::outbox::Message;

/// The loan of a claim, as it is when the claim is paid.
#[derive(Clone, Copy, Debug)]
pub struct ClaimedLoan {
    pub is_charged_off: bool,
    /// What is still to be recovered for guarantors, this claim included.
    pub left: Fen,
}

/// The funder has the money. The receivables stay as they are; what the guarantor has paid is booked beside them. If the loan was
/// charged off, its loss is recovered by that amount.
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

/// What is reversed when a claim is taken back.
#[derive(Clone, Copy, Debug)]
pub struct Undone<'a> {
    /// The posting of the claim's payment.
    pub booked: &'a Booked,
    /// Whether the claim's loan is charged off by now.
    pub is_charged_off: bool,
    /// What was recovered for the claim, which belongs to the funder now.
    pub came_in: &'a [CameIn],
}

impl Undone<'_> {
    fn had(&self) -> Fen {
        self.came_in.iter().map(|one| one.amount).sum()
    }

    /// For a charged-off loan: what is a loss without the claim, and what is recovered without it. A claim that was paid before the
    /// charge-off had reduced the loss by what was not recovered by then; one that was paid after it was recovery income itself.
    fn of_charged_off(&self, paid: Fen) -> (Fen, Fen) {
        if !self.is_charged_off {
            return (Fen::ZERO, Fen::ZERO);
        }
        let came_after: Fen = self.came_in.iter().filter(|one| one.is_charged_off).map(|one| one.amount).sum();
        let was_recovered = self.booked.legs.iter().any(|leg| leg.debit == Account::ChargedOff);
        if was_recovered { (Fen::ZERO, came_after - paid) } else { (paid - (self.had() - came_after), came_after) }
    }
}

/// The funder never had the money of this claim: cash and receivables become what they were, and what was payable to the guarantor out
/// of later money belongs to the funder. Names the posting that it corrects.
pub fn claim_reversed(claim: &Claim, undone: Undone<'_>, when: When) -> Posting {
    let paid = claim.asked.total();
    let (lost, recovered) = undone.of_charged_off(paid);
    Posting {
        posting_id: Uuid::new_v5(&claim.claim_id.uuid(), b"claim_reversed"),
        line_id: Some(claim.line_id),
        funder_id: claim.funder_id,
        event: "claim_reversed",
        source_id: claim.claim_id.uuid(),
        legs: Legs::new()
            .transfer(Account::ClaimsReceived, Account::Cash, paid)
            .transfer(Account::GuarantorPayable, Account::ClaimsReceived, undone.had())
            .transfer(Account::ChargeOffLoss, Account::ChargedOff, lost)
            .transfer(Account::ChargedOff, Account::RecoveryIncome, recovered)
            .into_vec(),
        corrects: Some(undone.booked.posting_id),
        business_day: when.business_day,
        posted_at: when.at,
    }
}

/// The message to the funder about the reversal of a paid claim; `left` is what is still to be recovered for guarantors of the loan.
pub fn reversed_message(partner: &str, claim: &Claim, undone: Undone<'_>, left: Fen, when: When) -> Message {
    let Claim { claim_id, line_id, loan_id, asked, .. } = claim;
    Message {
        partner: partner.to_owned(),
        kind: "claim_reversed",
        object_id: loan_id.uuid(),
        body: json!({
            "claim_id": claim_id,
            "loan_id": loan_id,
            "line_id": line_id,
            "amount_fen": asked.total(),
            "recovered_fen": undone.had(),
            "left_fen": left,
            "business_day": when.business_day,
        }),
        created_at: when.at,
    }
}

/// The message to the funder about a paid claim.
pub fn paid_message(partner: &str, claim: &Claim, word: &Stated, loan: ClaimedLoan, when: When) -> Message {
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

    fn claim() -> Claim {
        let id = Uuid::from_u128(1);
        let asked = Parts { penalty: Fen::new(20), principal: Fen::new(1_000), ..Parts::default() };
        Claim {
            claim_id: ClaimId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            asked,
            asked_on: "2026-06-13".parse().unwrap(),
            status: ClaimStatus::Asked,
            stated: None,
        }
    }

    fn posted(is_charged_off: bool) -> Posting {
        let claim = claim();
        let when = When { business_day: claim.asked_on, at: chrono::DateTime::UNIX_EPOCH };
        claim_paid(&claim, ClaimedLoan { is_charged_off, left: claim.asked.total() }, when)
    }

    fn legs_of(is_charged_off: bool) -> Vec<Leg> {
        posted(is_charged_off).legs
    }

    /// The reversal of a claim that was booked as `paid`, with money recovered `before` and `after` the loan was charged off.
    fn legs_of_reversal(
        paid: Posting,
        is_charged_off: bool,
        (before, after): (i64, i64),
    ) -> Vec<(Account, Account, i64)> {
        let Posting { posting_id, line_id, funder_id, source_id, legs, .. } = paid;
        let booked = Booked { posting_id, line_id, funder_id, source_id, legs };
        let one = |fen, is_charged_off| CameIn { source_id: Uuid::nil(), amount: Fen::new(fen), is_charged_off };
        let came_in = [one(before, false), one(after, true)];
        let (claim, undone) = (claim(), Undone { booked: &booked, is_charged_off, came_in: &came_in });
        let when = When { business_day: claim.asked_on, at: chrono::DateTime::UNIX_EPOCH };
        let reversal = claim_reversed(&claim, undone, when);
        assert_eq!(reversal.corrects, Some(booked.posting_id));
        reversal.legs.iter().map(|leg| (leg.debit, leg.credit, leg.amount.get())).collect()
    }

    #[test]
    fn taking_a_claim_back_leaves_the_books_as_if_it_had_never_been_paid() {
        let (cash, claims) = (Account::Cash, Account::ClaimsReceived);
        let (back, owed) = ((claims, cash, 1_020), |fen: i64| (Account::GuarantorPayable, claims, fen));
        assert_eq!(legs_of_reversal(posted(false), false, (0, 0)), [back]);
        assert_eq!(legs_of_reversal(posted(false), false, (300, 0)), [back, owed(300)]);
        // Charged off after the claim was paid: the loss was smaller by 720, and what came in afterwards is recovered.
        let lost = (Account::ChargeOffLoss, Account::ChargedOff, 720);
        let recovered = (Account::ChargedOff, Account::RecoveryIncome, 500);
        assert_eq!(legs_of_reversal(posted(false), true, (300, 500)), [back, owed(800), lost, recovered]);
        // Charged off before: all of the claim was recovery income, of which 500 came in after all.
        let recovered_less = (Account::RecoveryIncome, Account::ChargedOff, 520);
        assert_eq!(legs_of_reversal(posted(true), true, (0, 500)), [back, owed(500), recovered_less]);
    }

    #[test]
    fn what_a_guarantor_pays_leaves_the_receivables_and_recovers_what_was_lost() {
        let received = Leg { debit: Account::Cash, credit: Account::ClaimsReceived, amount: Fen::new(1_020) };
        let recovered = Leg { debit: Account::ChargedOff, credit: Account::RecoveryIncome, amount: Fen::new(1_020) };
        assert_eq!(legs_of(false), [received]);
        assert_eq!(legs_of(true), [received, recovered]);
    }
}
