//! The withholding channels (代扣渠道): who takes money from cards for us. Two channels with words of their own.

mod answer;

pub use answer::{Answer, ChannelFailure};

/// A channel by name, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ChannelName {
    Alpha,
    Beta,
}

impl ChannelName {
    pub const ALL: [ChannelName; 2] = [ChannelName::Alpha, ChannelName::Beta];
    /// Where every new order goes first.
    pub const FIRST: ChannelName = ChannelName::Alpha;

    pub const fn stored(self) -> &'static str {
        match self {
            ChannelName::Alpha => "alpha",
            ChannelName::Beta => "beta",
        }
    }

    pub fn from_stored(text: &str) -> Option<ChannelName> {
        ChannelName::ALL.into_iter().find(|name| name.stored() == text)
    }

    /// The channel to try when this one is down; `None` after the last.
    pub fn next(self) -> Option<ChannelName> {
        match self {
            ChannelName::Alpha => Some(ChannelName::Beta),
            ChannelName::Beta => None,
        }
    }

    /// How long after submission the channel's word that it has no such order is final, by its contract; `None`: never.
    pub fn absence_is_final_after(self) -> Option<chrono::TimeDelta> {
        match self {
            ChannelName::Alpha => Some(chrono::TimeDelta::minutes(10)),
            ChannelName::Beta => None,
        }
    }
}
