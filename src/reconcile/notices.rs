//! What operators are told of breaks, and of files that do not come.

use serde_json::json;

use crate::base::{BusinessDay, When};
use crate::notice::Notice;
use crate::partner::withholding::ChannelName;

/// A channel's file of a day differs from our orders in so many places.
pub fn breaks_found((channel, file_of): (ChannelName, BusinessDay), breaks: u64, when: When) -> Notice {
    let body = json!({ "channel": channel.name(), "day": file_of, "breaks": breaks });
    Notice::to_operators("breaks_found", body, when)
}

/// So many of a channel's files, of which the first is of this day, should have come and been compared by now.
pub fn files_missing((channel, first, files): (ChannelName, BusinessDay, usize), when: When) -> Notice {
    let body = json!({ "channel": channel.name(), "first": first, "files": files });
    Notice::to_operators("files_missing", body, when)
}
