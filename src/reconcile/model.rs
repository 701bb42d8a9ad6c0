//! Breaks: what a difference between a channel's file and our books is, and what would correct it.

use crate::base::id::{BreakId, WithholdingId};
use crate::base::{BusinessDay, Fen, words};
use crate::partner::withholding::ChannelName;

/// One difference, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Break {
    pub break_id: BreakId,
    pub channel: ChannelName,
    /// The day of the file, or of the order whose channel contradicted itself.
    pub business_day: BusinessDay,
    pub kind: BreakKind,
    pub withholding_id: WithholdingId,
    pub ours: Fen,
    pub theirs: Fen,
    pub proposed: Correction,
    /// Counts the proposals, so that the second person confirms the one that was shown.
    pub proposal_no: i32,
    pub status: BreakStatus,
    /// Who found it, the comparison or a callback, or the person who changed the proposal.
    pub proposed_by: String,
    /// Who looks after it: whoever proposed its correction, until somebody else takes it.
    pub owner: String,
    pub opened_on: BusinessDay,
}

/// What a comparison has found of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: BreakKind,
    pub withholding_id: WithholdingId,
    pub ours: Fen,
    pub theirs: Fen,
}

words! {
    #[derive(Hash)]
    pub enum BreakKind {
        /// The file has an order that we never made, or never sent to this channel.
        MissingHere = "missing_here",
        /// We hold a success that no file told of within a day, or have booked what a channel said of an order that failed.
        MissingThere = "missing_there",
        AmountDiffers = "amount_differs",
        WeFailedTheySucceeded = "we_failed_they_succeeded",
        WeSucceededTheyFailed = "we_succeeded_they_failed",
        /// The channel's files name a success more than once, or once when it was paid by hand already, and took more by that than was
        /// booked for it.
        NamedTwice = "named_twice",
        /// The file names one payment for this order and for another one, so that one of them may not have been paid.
        SharedReference = "shared_reference",
    }
}

impl BreakKind {
    /// What the comparison proposes: what follows from the file if it is true, and where that is not clear, to ask the channel.
    pub fn first_proposal(self) -> Correction {
        match self {
            BreakKind::WeFailedTheySucceeded => Correction::Post,
            BreakKind::WeSucceededTheyFailed => Correction::Reverse,
            BreakKind::MissingHere
            | BreakKind::MissingThere
            | BreakKind::AmountDiffers
            | BreakKind::NamedTwice
            | BreakKind::SharedReference => Correction::AskChannel,
        }
    }
}

words! {
    #[derive(Hash, clap::ValueEnum)]
    #[value(rename_all = "snake_case")]
    pub enum Correction {
        /// Book what the channel took as far as it is still owed; the rest is owed back. An order that is pending, because its channel
        /// named an amount that cannot be, ends as succeeded.
        Post = "post",
        /// Book what the channel took; all of it goes back to the card, whatever is owed.
        Refund = "refund",
        /// A person settles it with the channel; confirming records that this was done. An order that waits because its channel named
        /// an amount that cannot be ends as failed.
        #[value(alias = "ask-channel")]
        AskChannel = "ask_channel",
        /// Take a booked success back; what the channel's files pay for it beyond what is booked then has gone back to the channel.
        Reverse = "reverse",
    }
}

words! {
    pub enum BreakStatus {
        Open = "open",
        Corrected = "corrected",
        Dismissed = "dismissed",
    }
}

/// What a channel keeps and what it owes us of one day, for one funder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelShare {
    pub funder_id: crate::base::id::FunderId,
    pub amount: Fen,
    pub cost: Fen,
}
