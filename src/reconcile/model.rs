//! Breaks: what a difference between a channel's file and our books is, and what would correct it.

use serde::Serialize;

use crate::base::id::{BreakId, WithholdingId};
use crate::base::{BusinessDay, Fen};
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
    /// Who found it: the comparison or a callback, or the person who changed the proposal.
    pub owner: String,
    pub opened_on: BusinessDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BreakKind {
    /// The file has an order that we never made, or never sent to this channel.
    MissingHere,
    /// We hold a success that no file told of within a day, or have booked what a channel said of an order that failed.
    MissingThere,
    AmountDiffers,
    WeFailedTheySucceeded,
    WeSucceededTheyFailed,
    /// The channel's files name a success more than once, or once when it was paid by hand already, and took more by that than was
    /// booked for it.
    NamedTwice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, sqlx::Type, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Correction {
    /// Book what the channel took as far as it is still owed; the rest is owed back. An order that is pending, because its channel
    /// named an amount that cannot be, ends as succeeded.
    Post,
    /// Nothing of it is owed any more: all of it goes back to the card.
    Refund,
    /// A person settles it with the channel; confirming records that this was done. An order that is pending ends as failed.
    #[value(alias = "ask-channel")]
    AskChannel,
    /// Take a booked success back.
    Reverse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BreakStatus {
    Open,
    Corrected,
    Dismissed,
}

impl BreakKind {
    /// The stored word.
    pub const fn name(self) -> &'static str {
        match self {
            BreakKind::MissingHere => "missing_here",
            BreakKind::MissingThere => "missing_there",
            BreakKind::AmountDiffers => "amount_differs",
            BreakKind::WeFailedTheySucceeded => "we_failed_they_succeeded",
            BreakKind::WeSucceededTheyFailed => "we_succeeded_they_failed",
            BreakKind::NamedTwice => "named_twice",
        }
    }
}

impl Correction {
    /// The stored word.
    pub const fn name(self) -> &'static str {
        match self {
            Correction::Post => "post",
            Correction::Refund => "refund",
            Correction::AskChannel => "ask_channel",
            Correction::Reverse => "reverse",
        }
    }
}

impl BreakStatus {
    /// The stored word.
    pub const fn name(self) -> &'static str {
        match self {
            BreakStatus::Open => "open",
            BreakStatus::Corrected => "corrected",
            BreakStatus::Dismissed => "dismissed",
        }
    }
}

/// What a channel keeps and what it owes us of one day, for one funder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelShare {
    pub funder_id: crate::base::id::FunderId,
    pub amount: Fen,
    pub cost: Fen,
}
