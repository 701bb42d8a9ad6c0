//! What operators are told of breaks, and of files that do not come.

use serde_json::json;

use super::FileKey;
use crate::base::When;
use crate::notice::Notice;

/// A channel's file of a day differs from our orders in so many places.
pub fn breaks_found(file: FileKey, breaks: u64, when: When) -> Notice {
    let body = json!({ "channel": file.channel.name(), "day": file.day, "breaks": breaks });
    Notice::to_operators("breaks_found", body, when)
}

/// So many of a channel's files, of which this is the first, should have come and been compared by now.
pub fn files_missing(first: FileKey, files: usize, when: When) -> Notice {
    let body = json!({ "channel": first.channel.name(), "first": first.day, "files": files });
    Notice::to_operators("files_missing", body, when)
}
