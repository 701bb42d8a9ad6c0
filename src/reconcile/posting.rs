//! How a channel's settlement of a day stands in the books.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::ChannelShare;
use crate::base::BusinessDay;
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};
use crate::partner::withholding::ChannelName;

/// The channel pays what it took, less what it keeps. One posting for each channel, day and funder, whose id follows from
/// the three, so that a file cannot be booked twice.
pub fn channel_settles(
    channel: ChannelName,
    today: BusinessDay,
    file_of: BusinessDay,
    share: &ChannelShare,
    at: DateTime<Utc>,
) -> Posting {
    let name = format!("channel {} {file_of}", channel.stored());
    let posting_id = Uuid::new_v5(&share.funder_id.uuid(), name.as_bytes());
    Posting {
        posting_id,
        line_id: None,
        funder_id: share.funder_id,
        event: "channel_settles",
        source_id: posting_id,
        legs: Legs::new()
            .transfer(Account::Bank, Account::ChannelReceivable, share.amount - share.cost)
            .transfer(Account::ChannelCost, Account::ChannelReceivable, share.cost)
            .into_vec(),
        corrects: None,
        business_day: today,
        posted_at: at,
    }
}
