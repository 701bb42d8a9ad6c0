//! The withholding channels (代扣渠道), which take money from cards for us: two channels, each with a protocol of its own.

pub mod wire;
mod answer;
mod alpha;
mod beta;
mod file;
mod client;

use crate::base::id::WithholdingId;
use crate::base::{BusinessDay, Fen, words};

pub use answer::{Answer, ChannelFailure};
pub use client::{FetchError, ORDERS_MAX, daily_file, query, submit};
pub use file::{DailyFile, FileError, FileLine};

/// An order to be sent to a channel.
#[derive(Clone, Debug)]
pub struct Order {
    pub withholding_id: WithholdingId,
    /// The number of the agreement by which the card's owner lets us withhold.
    pub agreement_number: String,
    pub amount: Fen,
    pub partial_allowed: bool,
    pub business_day: BusinessDay,
}

/// A channel's answer about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub withholding_id: WithholdingId,
    pub answer: Answer,
}

/// The content of a callback; it counts only if all of it matches the order that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Our id at the channel.
    pub merchant_id: String,
    pub withholding_id: WithholdingId,
    /// The amount of the order, not the amount taken.
    pub amount: Fen,
    pub answer: Answer,
}

/// Reads a callback's body; `None` if it is not in the channel's format.
pub fn read_callback(channel: ChannelName, body: &[u8]) -> Option<Heard> {
    match channel {
        ChannelName::Alpha => alpha::callback(body),
        ChannelName::Beta => beta::callback(body),
    }
}

/// Our order numbers are the id's 32 hexadecimal digits.
fn parse_order_no(text: &str) -> Option<WithholdingId> {
    uuid::Uuid::try_parse(text).ok().map(WithholdingId::from_uuid)
}

words! {
    /// A channel by name, in the order in which they are tried.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum ChannelName {
        Alpha = "alpha",
        Beta = "beta",
    }
}

impl ChannelName {
    /// Where every new order goes first.
    pub const FIRST: ChannelName = ChannelName::Alpha;

    /// The name under which it is configured.
    pub const fn partner(self) -> &'static str {
        match self {
            ChannelName::Alpha => wire::alpha::NAME,
            ChannelName::Beta => wire::beta::NAME,
        }
    }

    pub fn from_partner(name: &str) -> Option<ChannelName> {
        ChannelName::ALL.into_iter().find(|channel| channel.partner() == name)
    }

    /// The channel to try when this one is down; `None` after the last.
    pub fn next(self) -> Option<ChannelName> {
        match self {
            ChannelName::Alpha => Some(ChannelName::Beta),
            ChannelName::Beta => None,
        }
    }

    /// How long after submission the channel's answer that it has no such order is final, by its contract; `None`: never.
    pub fn absence_is_final_after(self) -> Option<chrono::TimeDelta> {
        match self {
            ChannelName::Alpha => Some(chrono::TimeDelta::minutes(10)),
            ChannelName::Beta => None,
        }
    }
}
