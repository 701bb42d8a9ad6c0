//! A claim on a guarantor: its amount, its states, and when it may be asked for, paid, withdrawn or taken back.

use crate::access::is_same_holder;
use crate::base::id::{ClaimId, FunderId, LineId, LoanId};
use crate::base::{BusinessDay, Fen, words};
use crate::bill::Parts;
use crate::error::Refusal;
use crate::product::terms::Part;

words! {
    pub enum ClaimStatus {
        Asked = "asked",
        /// The guarantor has paid the funder.
        Paid = "paid",
        Withdrawn = "withdrawn",
        /// It was booked as paid by mistake, and reversed.
        TakenBack = "taken_back",
    }
}

/// A claim on the guarantor of one loan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub claim_id: ClaimId,
    pub line_id: LineId,
    pub loan_id: LoanId,
    pub funder_id: FunderId,
    /// The amount that the guarantor is asked to pay, by part.
    pub asked: Parts,
    pub asked_on: BusinessDay,
    pub status: ClaimStatus,
    /// One person's statement that it has been paid.
    pub stated: Option<Stated>,
}

/// A person's statement that the guarantor has paid the funder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    pub by: String,
    /// The funder's bank reference of the payment.
    pub bank_reference: String,
}

/// The result of a statement about the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paying {
    /// Stored until a second person states the same.
    Stated,
    /// The claim is paid and booked.
    Booked,
}

/// A paid claim, for taking it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidClaim {
    pub paid_on: BusinessDay,
    /// What has been recovered for it since.
    pub recovered: Fen,
    /// Another claim on the same loan that was paid after it and was not taken back.
    pub paid_after: Option<ClaimId>,
    /// One person's statement that it was booked wrongly.
    pub stated: Option<BookedWrongly>,
}

/// A person's statement that a claim was booked wrongly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedWrongly {
    pub by: String,
    pub reason: String,
}

/// The result of a statement that a claim was booked wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakingBack {
    /// Stored until a second person states the same.
    Stated,
    /// The claim is taken back, and the reversal is booked.
    Booked,
}

/// Why a claim is not asked for, paid, withdrawn or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefusal {
    #[error("there is no such loan; `fenqi line show` lists those of a line")]
    UnknownLoan,
    #[error("no unpaid installment of this loan has reached its claim day; wait until `claim_due` is told of it")]
    NotDue,
    #[error("claims that were paid cover all that may be claimed of this loan today")]
    Covered,
    #[error("{claim_id} asks for this loan already; have it paid, or withdraw it first")]
    AskedBefore { claim_id: ClaimId },
    #[error("there is no such claim")]
    UnknownClaim,
    #[error("the claim was paid")]
    ClaimPaid,
    #[error("the claim was withdrawn; ask anew")]
    ClaimWithdrawn,
    #[error("the claim was taken back; ask anew")]
    ClaimTakenBack,
    #[error("the claim was not paid, so that nothing is booked that could be taken back; withdraw it")]
    NotPaid,
    #[error("{claim_id} was paid after it, for what this one had left to claim: take that one back first")]
    PaidAfter { claim_id: ClaimId },
    #[error("whoever has said that it was booked wrongly cannot confirm it; a second person has to say the same")]
    OwnTakingBack,
    #[error(
        "{may_claim} yuan may be claimed of this loan by now, which is less than was asked for: withdraw the claim, and ask anew"
    )]
    OwesLess { may_claim: Fen },
    #[error("whoever has said that it was paid cannot confirm it; a second person has to say the same")]
    OwnWord,
    #[error("a claim was booked with this reference of the bank before; look for the payment that is meant")]
    ReferenceTaken,
    #[error("a name is needed: who does it")]
    NameMissing,
    #[error("a reference of the bank is needed")]
    ReferenceMissing,
    #[error("a claim is withdrawn or taken back with a reason")]
    ReasonMissing,
}

impl Refusal for ClaimRefusal {
    fn code(&self) -> &'static str {
        match self {
            ClaimRefusal::UnknownLoan => "loan_unknown",
            ClaimRefusal::NotDue => "claim_not_due",
            ClaimRefusal::Covered => "claim_covered",
            ClaimRefusal::AskedBefore { .. } => "claim_asked_before",
            ClaimRefusal::UnknownClaim => "claim_unknown",
            ClaimRefusal::ClaimPaid => "claim_paid",
            ClaimRefusal::ClaimWithdrawn => "claim_withdrawn",
            ClaimRefusal::ClaimTakenBack => "claim_taken_back",
            ClaimRefusal::NotPaid => "claim_not_paid",
            ClaimRefusal::PaidAfter { .. } => "claim_paid_after",
            ClaimRefusal::OwnTakingBack => "own_taking_back",
            ClaimRefusal::OwesLess { .. } => "owes_less",
            ClaimRefusal::OwnWord => "own_word",
            ClaimRefusal::ReferenceTaken => "reference_taken",
            ClaimRefusal::NameMissing => "name_missing",
            ClaimRefusal::ReferenceMissing => "reference_missing",
            ClaimRefusal::ReasonMissing => "reason_missing",
        }
    }
}

/// What may be claimed of what is `owed`. Guarantors have paid the parts `paid` of earlier claims, and `covered` of that is not
/// recovered yet. The covered amount is deducted first from the parts that were paid, so that a guarantor is not asked for the same
/// interest twice, and then from the rest, in the order principal, interest, fees, penalty.
pub fn claimable(owed: Parts, paid: Parts, covered: Fen) -> Parts {
    let (mut beyond, mut left) = (owed, covered);
    for up_to in [paid, owed] {
        for part in [Part::Principal, Part::Interest, Part::Fee, Part::Penalty] {
            let taken = beyond.get(part).min(up_to.get(part)).min(left);
            *beyond.get_mut(part) -= taken;
            left -= taken;
        }
    }
    beyond
}

impl Claim {
    /// Checks that it is still to be paid.
    ///
    /// # Errors
    /// If it was paid, withdrawn or taken back.
    pub fn check_asked(&self) -> Result<(), ClaimRefusal> {
        match self.status {
            ClaimStatus::Asked => Ok(()),
            ClaimStatus::Paid => Err(ClaimRefusal::ClaimPaid),
            ClaimStatus::Withdrawn => Err(ClaimRefusal::ClaimWithdrawn),
            ClaimStatus::TakenBack => Err(ClaimRefusal::ClaimTakenBack),
        }
    }

    /// Checks that it was paid and not taken back.
    ///
    /// # Errors
    /// If it was not paid, or was taken back.
    pub fn check_paid(&self) -> Result<(), ClaimRefusal> {
        match self.status {
            ClaimStatus::Paid => Ok(()),
            ClaimStatus::Asked | ClaimStatus::Withdrawn => Err(ClaimRefusal::NotPaid),
            ClaimStatus::TakenBack => Err(ClaimRefusal::ClaimTakenBack),
        }
    }

    /// What the statement `word` leads to, if `may_claim` may be claimed of the loan by now. A statement with another reference
    /// replaces the earlier one.
    ///
    /// # Errors
    /// If the claim is not open any more, asks for more than may be claimed, or the same person has stated it before.
    pub fn pay(&self, word: &Stated, may_claim: Fen) -> Result<Paying, ClaimRefusal> {
        self.check_asked()?;
        if may_claim < self.asked.total() {
            return Err(ClaimRefusal::OwesLess { may_claim });
        }
        match &self.stated {
            Some(stated) if stated.bank_reference != word.bank_reference => Ok(Paying::Stated),
            Some(stated) if is_same_holder(&stated.by, &word.by) => Err(ClaimRefusal::OwnWord),
            Some(_) => Ok(Paying::Booked),
            None => Ok(Paying::Stated),
        }
    }
}

impl PaidClaim {
    /// What the statement `word` leads to. A statement with another reason replaces the earlier one.
    ///
    /// # Errors
    /// If another claim was paid after this one, or the same person has stated it before.
    pub fn take_back(&self, word: &BookedWrongly) -> Result<TakingBack, ClaimRefusal> {
        if let Some(claim_id) = self.paid_after {
            return Err(ClaimRefusal::PaidAfter { claim_id });
        }
        match &self.stated {
            Some(stated) if stated.reason != word.reason => Ok(TakingBack::Stated),
            Some(stated) if is_same_holder(&stated.by, &word.by) => Err(ClaimRefusal::OwnTakingBack),
            Some(_) => Ok(TakingBack::Booked),
            None => Ok(TakingBack::Stated),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const OWED: Parts =
        Parts { fee: Fen::new(3), penalty: Fen::new(20), interest: Fen::new(100), principal: Fen::new(1_000) };

    fn asked(stated: Option<Stated>) -> Claim {
        let id = Uuid::from_u128(1);
        Claim {
            claim_id: ClaimId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(id),
            funder_id: FunderId::from_uuid(id),
            asked: OWED,
            asked_on: "2026-06-13".parse().unwrap(),
            status: ClaimStatus::Asked,
            stated,
        }
    }

    fn word(by: &str, bank_reference: &str) -> Stated {
        Stated { by: by.into(), bank_reference: bank_reference.into() }
    }

    #[test]
    fn what_earlier_claims_cover_is_not_claimed_again() {
        assert_eq!(claimable(OWED, Parts::default(), Fen::ZERO), OWED);
        let beyond = claimable(OWED, Parts::default(), Fen::new(1_050));
        assert_eq!(beyond, Parts { principal: Fen::ZERO, interest: Fen::new(50), ..OWED });
        assert!(claimable(OWED, OWED, Fen::new(2_000)).is_zero());
    }

    #[test]
    fn a_claim_on_a_second_installment_leaves_out_parts_that_were_paid_for_the_first() {
        let next = Parts { fee: Fen::new(4), penalty: Fen::new(5), interest: Fen::new(90), principal: Fen::new(1_010) };
        let both: Parts = [OWED, next].into_iter().sum();
        assert_eq!(claimable(both, OWED, OWED.total()), next);
        // Of the 1,123 that guarantors paid, 123 are recovered: the borrower has paid them, so they are no longer owed.
        let left = Parts { interest: Fen::new(90), penalty: Fen::new(5), fee: Fen::new(4), principal: Fen::new(2_010) };
        assert_eq!(claimable(left, OWED, Fen::new(1_000)), next);
    }

    #[test]
    fn a_payment_is_booked_once_a_second_person_states_the_same() {
        let all = OWED.total();
        assert_eq!(asked(None).pay(&word("Li Na", "G-1"), all), Ok(Paying::Stated));
        let stated = asked(Some(word("Li Na", "G-1")));
        assert_eq!(stated.pay(&word("li  na", "G-1"), all), Err(ClaimRefusal::OwnWord));
        assert_eq!(stated.pay(&word("Wang Wei", "G-2"), all), Ok(Paying::Stated));
        assert_eq!(stated.pay(&word("Wang Wei", "G-1"), all), Ok(Paying::Booked));
    }

    #[test]
    fn a_claim_is_paid_once_and_only_while_as_much_is_owed() {
        let stated = asked(Some(word("Li Na", "G-1")));
        let may_claim = OWED.total() - Fen::new(1);
        assert_eq!(stated.pay(&word("Wang Wei", "G-1"), may_claim), Err(ClaimRefusal::OwesLess { may_claim }));
        let paid = Claim { status: ClaimStatus::Paid, ..stated.clone() };
        assert_eq!(paid.pay(&word("Wang Wei", "G-1"), OWED.total()), Err(ClaimRefusal::ClaimPaid));
        let withdrawn = Claim { status: ClaimStatus::Withdrawn, ..stated };
        assert_eq!(withdrawn.check_asked(), Err(ClaimRefusal::ClaimWithdrawn));
    }

    #[test]
    fn a_claim_is_taken_back_once_after_it_was_paid() {
        let of = |status| Claim { status, ..asked(None) }.check_paid();
        assert_eq!(of(ClaimStatus::Paid), Ok(()));
        assert_eq!(of(ClaimStatus::Asked), Err(ClaimRefusal::NotPaid));
        assert_eq!(of(ClaimStatus::Withdrawn), Err(ClaimRefusal::NotPaid));
        assert_eq!(of(ClaimStatus::TakenBack), Err(ClaimRefusal::ClaimTakenBack));
    }

    #[test]
    fn a_claim_is_taken_back_once_a_second_person_states_the_same() {
        let word = |by: &str, reason: &str| BookedWrongly { by: by.into(), reason: reason.into() };
        let paid = |stated, paid_after| PaidClaim {
            paid_on: "2026-06-14".parse().unwrap(),
            recovered: Fen::ZERO,
            paid_after,
            stated,
        };
        assert_eq!(paid(None, None).take_back(&word("Li Na", "another loan's")), Ok(TakingBack::Stated));
        let stated = paid(Some(word("Li Na", "another loan's")), None);
        assert_eq!(stated.take_back(&word("li  na", "another loan's")), Err(ClaimRefusal::OwnTakingBack));
        assert_eq!(stated.take_back(&word("Wang Wei", "twice")), Ok(TakingBack::Stated));
        assert_eq!(stated.take_back(&word("Wang Wei", "another loan's")), Ok(TakingBack::Booked));
        let claim_id = ClaimId::from_uuid(Uuid::from_u128(2));
        let before = paid(None, Some(claim_id)).take_back(&word("Li Na", "twice"));
        assert_eq!(before, Err(ClaimRefusal::PaidAfter { claim_id }));
    }
}
