//! Breaks: the differences between a channel's daily file and our books, and the corrections that can be proposed for them.

use crate::base::id::{BreakId, WithholdingId};
use crate::base::{BusinessDay, Fen, words};
use crate::partner::withholding::ChannelName;

/// One difference in its present state.
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
    /// The number of the present proposal, counted up by each new one; a confirmation names it, so that it confirms what was shown.
    pub proposal_no: i32,
    pub status: BreakStatus,
    /// `comparison` or `callback`, whichever found the break, or the person who changed the proposal.
    pub proposed_by: String,
    /// Who is responsible for it: whoever proposed the present correction, until somebody else takes the break.
    pub owner: String,
    pub opened_on: BusinessDay,
}

/// A difference that a comparison has found for one order.
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
        /// Our order succeeded, but no file named it within a day; or people booked money for it on the channel's word, and the channel has
        /// paid none of it.
        MissingThere = "missing_there",
        AmountDiffers = "amount_differs",
        WeFailedTheySucceeded = "we_failed_they_succeeded",
        WeSucceededTheyFailed = "we_succeeded_they_failed",
        /// The channel's files name a success more than once, or once although it was paid by hand already, and the sum is more than was
        /// booked for it.
        NamedTwice = "named_twice",
        /// The file gives the same payment reference for this order and another one, so one of them may not have been paid.
        SharedReference = "shared_reference",
    }
}

impl BreakKind {
    /// The correction that the comparison proposes: the one that is right if the file is true, or to ask the channel if that is not clear.
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
        /// Book what the channel took as a repayment of what is still owed; the rest is owed back. An order that is pending because the
        /// channel named an impossible amount ends as succeeded.
        Post = "post",
        /// Book what the channel took, and pay all of it back to the card, whatever is owed.
        Refund = "refund",
        /// A person settles it with the channel; confirming records that this was done. An order that is pending because the channel
        /// named an impossible amount ends as failed.
        #[value(alias = "ask-channel")]
        AskChannel = "ask_channel",
        /// Reverse a booked success; what the channel's files pay for it beyond what is booked then counts as returned to the channel.
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

/// One funder's share of a channel's daily file: `amount` is what the channel took, `cost` what it keeps of that for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelShare {
    pub funder_id: crate::base::id::FunderId,
    pub amount: Fen,
    pub cost: Fen,
}
