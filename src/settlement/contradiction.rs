//! When a channel contradicts itself about a payout, two people settle it: one states what became of it, and a second one states the
//! same. A failed payout whose payee was erased can only be paid by hand, and is settled in the same way.

use super::payout::{ContradictionKind, PayoutRefusal, PayoutStatus};
use crate::access::is_same_holder;

/// What became of a payout, as people found out outside the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Paid {
        bank_reference: String,
    },
    /// No attempt was paid: a booked payment is reversed, and the payout can be retried.
    Failed,
}

/// One person's statement, until a second person states the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub ending: Ending,
    pub by: String,
}

/// A payout that people have to settle, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradicted {
    pub status: PayoutStatus,
    pub attempt_no: i16,
    /// The attempt to be settled: the one that the channel contradicts itself about, the present or an earlier one; for a failed payout
    /// whose payee was erased, the present one.
    pub contradicted_attempt: i16,
    pub proposal: Option<Proposal>,
}

/// What a person's statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It is the first such statement, and replaces any other proposal.
    Proposed,
    /// A second person stated the same: the payout ends that way.
    Confirmed { proposed_by: String },
}

impl ContradictionKind {
    /// The suggested correction, until a person proposes one: the ending that is right if the channel's last answer is true.
    pub const fn proposed(self) -> &'static str {
        match self {
            ContradictionKind::WeFailedTheySucceeded => "paid",
            ContradictionKind::WeSucceededTheyFailed => "failed",
            ContradictionKind::AmountDiffers | ContradictionKind::NamedTwice => "ask_channel",
        }
    }
}

impl Ending {
    /// The ending as text, for the payout's events.
    pub fn words(&self) -> String {
        match self {
            Ending::Paid { bank_reference } => format!("paid under {bank_reference}"),
            Ending::Failed => "failed".to_owned(),
        }
    }
}

impl Contradicted {
    /// What the statement of `by` does.
    ///
    /// # Errors
    /// `UnderWay` while a later attempt may still be paid, `OwnProposal` if `by` stated the same before, and `NotContradicted` if the
    /// payout was cancelled.
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
    fn the_same_statement_of_a_second_person_ends_it() {
        let failed = contradicted(PayoutStatus::Failed, 1);
        assert_eq!(failed.settle(&Ending::Failed, "li  na"), Err(PayoutRefusal::OwnProposal));
        let confirmed = Settling::Confirmed { proposed_by: "Li Na".into() };
        assert_eq!(failed.settle(&Ending::Failed, "Wang Wei"), Ok(confirmed));
    }

    #[test]
    fn another_statement_replaces_the_first() {
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
