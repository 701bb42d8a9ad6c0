//! Notices to operators about breaks and overdue files.

use serde_json::json;

use super::FileKey;
use crate::base::When;
use crate::notice::Notice;

/// The notice that the comparison of a channel's file has opened or changed `breaks` breaks.
pub fn breaks_found(file: FileKey, breaks: u64, when: When) -> Notice {
    let body = json!({ "channel": file.channel.name(), "day": file.day, "breaks": breaks });
    Notice::to_operators("breaks_found", body, when)
}

/// The notice that `files` daily files of a channel are overdue, the earliest of which is `first`.
pub fn files_missing(first: FileKey, files: usize, when: When) -> Notice {
    let body = json!({ "channel": first.channel.name(), "first": first.day, "files": files });
    Notice::to_operators("files_missing", body, when)
}
