//! What operators are told of breaks, and of files that do not come.

use serde_json::json;

use super::FileKey;
use crate::base::When;
use crate::notice::Notice;

/// Tells operators that a channel's file of a day differs from our orders in `breaks` places.
pub fn breaks_found(file: FileKey, breaks: u64, when: When) -> Notice {
    let body = json!({ "channel": file.channel.name(), "day": file.day, "breaks": breaks });
    Notice::to_operators("breaks_found", body, when)
}

/// Tells operators that `files` of a channel's daily files, the earliest of which is `first`, are overdue.
pub fn files_missing(first: FileKey, files: usize, when: When) -> Notice {
    let body = json!({ "channel": first.channel.name(), "first": first.day, "files": files });
    Notice::to_operators("files_missing", body, when)
}
