//! A channel's answer about one order, as a type of ours.

use crate::base::{Fen, words};

/// One channel's answer about one order. Only `Succeeded`, `Failed` and `Rejected` are final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Succeeded {
        collected: Fen,
        /// The channel's own number of the payment.
        reference: String,
    },
    Failed {
        failure: ChannelFailure,
        /// The channel's code, as it came.
        code: String,
    },
    /// The channel refused the whole call because of this order: neither a retry nor another channel helps; a person must look at it.
    Rejected { code: String },
    /// Accepted and still being worked on.
    Processing { code: String },
    /// A code that is not mapped, an answer that makes no sense, or none at all.
    Unclear { code: String },
    /// The channel has no such order. From when on that is final is in its contract: see `ChannelName::absence_is_final_after`.
    Absent { code: String },
}

impl Answer {
    pub fn is_success(&self) -> bool {
        match self {
            Answer::Succeeded { .. } => true,
            Answer::Failed { .. }
            | Answer::Rejected { .. }
            | Answer::Processing { .. }
            | Answer::Unclear { .. }
            | Answer::Absent { .. } => false,
        }
    }

    /// Why it failed; `None` if the channel does not say that it did.
    pub fn failure(&self) -> Option<ChannelFailure> {
        match self {
            Answer::Failed { failure, .. } => Some(*failure),
            Answer::Rejected { .. } => Some(ChannelFailure::Refused),
            Answer::Succeeded { .. } | Answer::Processing { .. } | Answer::Unclear { .. } | Answer::Absent { .. } => {
                None
            }
        }
    }

    /// Turns `Absent` into `Unclear`, for an answer that may come too early for it: the order may still be on its way.
    #[must_use]
    pub fn unless_absent(self) -> Answer {
        match self {
            Answer::Absent { code } => Answer::Unclear { code },
            Answer::Succeeded { .. }
            | Answer::Failed { .. }
            | Answer::Rejected { .. }
            | Answer::Processing { .. }
            | Answer::Unclear { .. } => self,
        }
    }

    /// The channel's code, as it came; `None` with a success.
    pub fn code(&self) -> Option<&str> {
        match self {
            Answer::Failed { code, .. }
            | Answer::Rejected { code }
            | Answer::Processing { code }
            | Answer::Unclear { code }
            | Answer::Absent { code } => Some(code),
            Answer::Succeeded { .. } => None,
        }
    }
}

words! {
    /// Why a channel did not take the money, and with it what happens next.
    #[derive(Hash)]
    pub enum ChannelFailure {
        /// Tried again as the product's timetable says, on the same channel.
        InsufficientFunds = "insufficient_funds",
        /// The borrower is asked to see to the card.
        CardInvalid = "card_invalid",
        /// The next channel is tried at once.
        ChannelDown = "channel_down",
        /// Neither a retry nor another channel helps.
        Refused = "refused",
    }
}
