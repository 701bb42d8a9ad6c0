//! Postings of what a channel settles by its daily file or by hand.

use uuid::Uuid;

use super::model::{Break, ChannelShare};
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen, When};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};
use crate::partner::withholding::ChannelName;

/// The nil id, which stands for the house itself: money that belongs to no funder is booked under it.
pub const HOUSE: FunderId = FunderId::from_uuid(Uuid::nil());

/// The channel pays what it took, less its cost. There is one posting for each channel, day and funder. Its id is derived from the three,
/// so that a file cannot be booked twice.
pub fn channel_settles(channel: ChannelName, file_of: BusinessDay, share: &ChannelShare, when: When) -> Posting {
    let posting_id = settles_id(channel, file_of, share.funder_id);
    // Money for orders that are not ours goes to suspense, so that it does not offset what the channel owes us.
    let owed = if share.funder_id == HOUSE { Account::Suspense } else { Account::ChannelReceivable };
    Posting {
        posting_id,
        line_id: None,
        funder_id: share.funder_id,
        event: "channel_settles",
        source_id: posting_id,
        legs: Legs::new()
            .transfer(Account::Bank, owed, share.amount - share.cost)
            .transfer(Account::ChannelCost, owed, share.cost)
            .into_vec(),
        corrects: None,
        business_day: when.business_day,
        posted_at: when.at,
    }
}

fn settles_id(channel: ChannelName, file_of: BusinessDay, funder_id: FunderId) -> Uuid {
    let name = format!("channel {} {file_of}", channel.name());
    Uuid::new_v5(&funder_id.uuid(), name.as_bytes())
}

/// A difference was settled with the channel by hand: it paid `open`, or, if `open` is negative, got back what it had paid too much.
pub fn settled_by_hand(found: &Break, funder_id: FunderId, open: Fen, when: When) -> Posting {
    Posting {
        posting_id: found.break_id.uuid(),
        line_id: None,
        funder_id,
        event: "break_settled",
        source_id: found.withholding_id.uuid(),
        legs: Legs::new().transfer(Account::Bank, Account::ChannelReceivable, open).into_vec(),
        corrects: None,
        business_day: when.business_day,
        posted_at: when.at,
    }
}

/// Money for an order that is not ours was returned to the channel.
pub fn suspense_returned(found: &Break, when: When) -> Posting {
    Posting {
        posting_id: found.break_id.uuid(),
        line_id: None,
        funder_id: HOUSE,
        event: "suspense_returned",
        source_id: found.withholding_id.uuid(),
        legs: Legs::new().transfer(Account::Suspense, Account::Bank, found.theirs).into_vec(),
        corrects: Some(settles_id(found.channel, found.business_day, HOUSE)),
        business_day: when.business_day,
        posted_at: when.at,
    }
}
