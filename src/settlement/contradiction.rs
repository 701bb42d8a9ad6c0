//! A payout whose channel contradicts itself is a break: one person says what became of it, and a second one says the same. A failed
//! payout whose payee was erased, and which can only be paid by hand, is settled in the same way.

use super::payout::{ContradictionKind, PayoutRefusal, PayoutStatus};
use crate::access::is_same_holder;

/// What became of a payout, as people learnt it outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Paid {
        bank_reference: String,
    },
    /// No attempt was paid: what is booked is taken back, and it can be retried.
    Failed,
}

/// What one person says, until a second one says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub ending: Ending,
    pub by: String,
}

/// Where a payout stands that people have to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradicted {
    pub status: PayoutStatus,
    pub attempt_no: i16,
    /// The attempt that the channel contradicts itself about: the present one or an earlier one. Where it failed for good, the present one.
    pub contradicted_attempt: i16,
    pub proposal: Option<Proposal>,
}

/// What a person's word does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It is the first such word, and stands in the place of any other.
    Proposed,
    /// A second person said the same: the payout ends so.
    Confirmed { proposed_by: String },
}

impl ContradictionKind {
    /// The ending that would correct it if the channel's last word is true, until a person proposes one.
    pub const fn proposed(self) -> &'static str {
        match self {
            ContradictionKind::WeFailedTheySucceeded => "paid",
            ContradictionKind::WeSucceededTheyFailed => "failed",
            ContradictionKind::AmountDiffers | ContradictionKind::NamedTwice => "ask_channel",
        }
    }
}

impl Ending {
    /// As the payout's events tell it.
    pub fn words(&self) -> String {
        match self {
            Ending::Paid { bank_reference } => format!("paid under {bank_reference}"),
            Ending::Failed => "failed".to_owned(),
        }
    }
}

impl Contradicted {
    /// What the word of `by` does.
    ///
    /// # Errors
    /// While a later attempt is under way, since it may be paid still, and where `by` said the same before.
    pub fn settle(&self, ending: &Ending, by: &str) -> Result<Settling, PayoutRefusal> {
        match self.status {
            PayoutStatus::Submitted | PayoutStatus::Unknown if self.contradicted_attempt != self.attempt_no => {
                return Err(PayoutRefusal::UnderWay { attempt_no: self.attempt_no });
            }
            PayoutStatus::Cancelled => return Err(PayoutRefusal::NotContradicted),
            PayoutStatus::Created
            | PayoutStatus::Submitted
            | PayoutStatus::Unknown
            | PayoutStatus::Succeeded
            | PayoutStatus::Failed => {}
        }
        match &self.proposal {
            Some(proposal) if proposal.ending == *ending && is_same_holder(&proposal.by, by) => {
                Err(PayoutRefusal::OwnProposal)
            }
            Some(proposal) if proposal.ending == *ending => {
                Ok(Settling::Confirmed { proposed_by: proposal.by.clone() })
            }
            Some(_) | None => Ok(Settling::Proposed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contradicted(status: PayoutStatus, attempt_no: i16) -> Contradicted {
        let proposal = Some(Proposal { ending: Ending::Failed, by: "Li Na".into() });
        Contradicted { status, attempt_no, contradicted_attempt: 1, proposal }
    }

    #[test]
    fn the_same_word_of_a_second_person_ends_it() {
        let failed = contradicted(PayoutStatus::Failed, 1);
        assert_eq!(failed.settle(&Ending::Failed, "li  na"), Err(PayoutRefusal::OwnProposal));
        let confirmed = Settling::Confirmed { proposed_by: "Li Na".into() };
        assert_eq!(failed.settle(&Ending::Failed, "Wang Wei"), Ok(confirmed));
    }

    #[test]
    fn another_word_stands_in_the_place_of_the_first() {
        let paid = Ending::Paid { bank_reference: "B1".into() };
        let failed = contradicted(PayoutStatus::Failed, 1);
        assert_eq!(failed.settle(&paid, "Wang Wei"), Ok(Settling::Proposed));
        assert_eq!(failed.settle(&paid, "Li Na"), Ok(Settling::Proposed));
    }

    #[test]
    fn nothing_is_settled_while_a_later_attempt_is_under_way() {
        let under_way = Err(PayoutRefusal::UnderWay { attempt_no: 2 });
        assert_eq!(contradicted(PayoutStatus::Unknown, 2).settle(&Ending::Failed, "Wang Wei"), under_way);
        assert!(contradicted(PayoutStatus::Created, 2).settle(&Ending::Failed, "Wang Wei").is_ok());
        assert!(contradicted(PayoutStatus::Unknown, 1).settle(&Ending::Failed, "Wang Wei").is_ok());
        assert!(contradicted(PayoutStatus::Succeeded, 2).settle(&Ending::Failed, "Wang Wei").is_ok());
    }
}
