//! Recorded transfers: from which days one may count, and taking back what was recorded wrongly: one person proposes it, and another
//! one confirms what was shown.

use std::ops::RangeInclusive;

use super::reversal::ReversalRefusal;
use crate::access::is_same_holder;
use crate::base::BusinessDay;
use crate::base::id::PayoutId;
use crate::error::Refusal;

/// How many days before it is recorded a transfer may have come: a month, so that one that is only found when the bank's statement of
/// the month is compared still counts from its own day. An older date is more likely mistyped, and waives penalty on one person's word.
const RECEIVED_DAYS_MAX: u32 = 31;

/// The days on which the bank may have had a transfer that is recorded `today`, for a line that was opened on `opened_on`.
pub fn days_received(opened_on: BusinessDay, today: BusinessDay) -> RangeInclusive<BusinessDay> {
    today.minus_days(RECEIVED_DAYS_MAX).max(opened_on)..=today
}

/// A recorded transfer, as it stands to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    pub bank_reference: String,
    /// `None` if it was not recorded.
    pub recorded_by: Option<String>,
    /// Counts the proposals, so that the second person confirms exactly the one that was shown; 0 before the first.
    pub proposal_no: i32,
    pub proposal: Option<Proposal>,
    pub is_taken_back: bool,
}

/// One person's proposal to take the transfer back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub by: String,
    pub reason: String,
}

/// Why a transfer is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeBackRefusal {
    #[error("no transfer was recorded under this id")]
    UnknownTransfer,
    #[error("the transfer was taken back already")]
    TakenBack,
    #[error("nobody has proposed to take the transfer back")]
    NotProposed,
    #[error("another proposal has taken the place of the one that was shown; look at it first")]
    ProposalChanged,
    #[error("whoever proposed to take the transfer back cannot confirm it")]
    OwnProposal,
    #[error("a name is needed: who does it")]
    NameMissing,
    #[error("a transfer is taken back with a reason")]
    ReasonMissing,
    #[error(
        "what it left over is on its way to the borrower's card as {payout_id}; confirm again once it is known what became of \
         that: what the bank refuses to pay is cancelled, what it pays stays paid"
    )]
    LeftOverUnderWay { payout_id: PayoutId },
    #[error(
        "what it left over was paid to the borrower's card as {payout_id}, so that the transfer stands; agree with the borrower \
         on how that money comes back, and with the funder on what the rest has paid"
    )]
    LeftOverPaid { payout_id: PayoutId },
    #[error("{0}")]
    NotReversed(ReversalRefusal),
}

impl Refusal for TakeBackRefusal {
    fn code(&self) -> &'static str {
        match self {
            TakeBackRefusal::UnknownTransfer => "transfer_unknown",
            TakeBackRefusal::TakenBack => "transfer_taken_back",
            TakeBackRefusal::NotProposed => "not_proposed",
            TakeBackRefusal::ProposalChanged => "proposal_changed",
            TakeBackRefusal::OwnProposal => "own_proposal",
            TakeBackRefusal::NameMissing => "name_missing",
            TakeBackRefusal::ReasonMissing => "reason_missing",
            TakeBackRefusal::LeftOverUnderWay { .. } => "left_over_under_way",
            TakeBackRefusal::LeftOverPaid { .. } => "left_over_paid",
            TakeBackRefusal::NotReversed(refusal) => refusal.code(),
        }
    }
}

impl Proposal {
    /// The proposal with surrounding blanks removed.
    ///
    /// # Errors
    /// If the name or the reason is missing.
    pub fn trimmed(&self) -> Result<Proposal, TakeBackRefusal> {
        let (by, reason) = (self.by.trim(), self.reason.trim());
        match (by.is_empty(), reason.is_empty()) {
            (true, _) => Err(TakeBackRefusal::NameMissing),
            (false, true) => Err(TakeBackRefusal::ReasonMissing),
            (false, false) => Ok(Proposal { by: by.to_owned(), reason: reason.to_owned() }),
        }
    }
}

impl Transferred {
    /// The number of a new proposal, which replaces any earlier one.
    ///
    /// # Errors
    /// If the transfer was taken back already.
    pub fn next_proposal(&self) -> Result<i32, TakeBackRefusal> {
        if self.is_taken_back { Err(TakeBackRefusal::TakenBack) } else { Ok(self.proposal_no + 1) }
    }

    /// Checks whether there is a proposal that can be withdrawn, so that the transfer stands.
    ///
    /// # Errors
    /// If nothing is proposed, or the transfer was taken back already.
    pub fn keep(&self) -> Result<(), TakeBackRefusal> {
        match &self.proposal {
            _ if self.is_taken_back => Err(TakeBackRefusal::TakenBack),
            None => Err(TakeBackRefusal::NotProposed),
            Some(_) => Ok(()),
        }
    }

    /// Checks whether `by` may confirm the proposal that was shown under `proposal_no`.
    ///
    /// # Errors
    /// If the proposal has been replaced or is the person's own, or nothing is proposed, or the transfer was taken back already.
    pub fn confirm(&self, proposal_no: i32, by: &str) -> Result<(), TakeBackRefusal> {
        match &self.proposal {
            _ if self.is_taken_back => Err(TakeBackRefusal::TakenBack),
            None => Err(TakeBackRefusal::NotProposed),
            Some(_) if proposal_no != self.proposal_no => Err(TakeBackRefusal::ProposalChanged),
            Some(proposal) if is_same_holder(&proposal.by, by) => Err(TakeBackRefusal::OwnProposal),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(proposal_no: i32) -> Transferred {
        Transferred {
            bank_reference: "T-1".into(),
            recorded_by: Some("Chen Wei".into()),
            proposal_no,
            proposal: Some(Proposal { by: "Li Na".into(), reason: "another line's".into() }),
            is_taken_back: false,
        }
    }

    #[test]
    fn a_transfer_counts_from_a_day_of_the_last_month_on_which_there_was_a_line() {
        let day = |text: &str| text.parse::<BusinessDay>().unwrap();
        let days = days_received(day("2026-01-01"), day("2026-03-29"));
        assert_eq!((*days.start(), *days.end()), (day("2026-02-26"), day("2026-03-29")));
        assert_eq!(*days_received(day("2026-03-02"), day("2026-03-29")).start(), day("2026-03-02"));
    }

    #[test]
    fn another_person_confirms_what_was_shown() {
        assert_eq!(proposed(1).confirm(1, "Wang Wei"), Ok(()));
        assert_eq!(proposed(1).confirm(1, "li  na"), Err(TakeBackRefusal::OwnProposal));
        assert_eq!(proposed(2).confirm(1, "Wang Wei"), Err(TakeBackRefusal::ProposalChanged));
        let unproposed = Transferred { proposal: None, ..proposed(0) };
        assert_eq!(unproposed.confirm(0, "Wang Wei"), Err(TakeBackRefusal::NotProposed));
    }

    #[test]
    fn only_what_is_proposed_can_be_withdrawn() {
        assert_eq!(proposed(1).keep(), Ok(()));
        let withdrawn = Transferred { proposal: None, ..proposed(1) };
        assert_eq!(withdrawn.keep(), Err(TakeBackRefusal::NotProposed));
        assert_eq!(withdrawn.confirm(1, "Wang Wei"), Err(TakeBackRefusal::NotProposed));
        assert_eq!(withdrawn.next_proposal(), Ok(2), "nobody confirms another one under its number");
    }

    #[test]
    fn what_was_taken_back_is_neither_proposed_nor_confirmed_again() {
        let taken_back = Transferred { is_taken_back: true, ..proposed(1) };
        assert_eq!(taken_back.keep(), Err(TakeBackRefusal::TakenBack));
        assert_eq!(taken_back.confirm(1, "Wang Wei"), Err(TakeBackRefusal::TakenBack));
        assert_eq!(taken_back.next_proposal(), Err(TakeBackRefusal::TakenBack));
        assert_eq!(proposed(1).next_proposal(), Ok(2));
    }

    #[test]
    fn a_proposal_has_a_name_and_a_reason() {
        let proposal = |by: &str, reason: &str| Proposal { by: by.into(), reason: reason.into() }.trimmed();
        assert_eq!(proposal(" Li Na ", "twice\n"), Ok(Proposal { by: "Li Na".into(), reason: "twice".into() }));
        assert_eq!(proposal(" ", "twice"), Err(TakeBackRefusal::NameMissing));
        assert_eq!(proposal("Li Na", " "), Err(TakeBackRefusal::ReasonMissing));
    }
}
