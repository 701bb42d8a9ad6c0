//! What is made of a funder's day: its files, and the movements of its accounts.

use sqlx::types::Json;

use super::row::Sums;
use super::writer::FileDigests;
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen};

/// One business day of one funder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayKey {
    pub funder_id: FunderId,
    pub funder_code: String,
    pub day: BusinessDay,
}

/// A file that was made. `content_…` is about the file unpacked, the others about the packed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFile {
    pub name: String,
    pub table_name: String,
    pub rows: i64,
    pub bytes: i64,
    pub sha256: Vec<u8>,
    pub sm3: Vec<u8>,
    pub content_bytes: i64,
    pub content_sha256: Vec<u8>,
    pub content_sm3: Vec<u8>,
    pub sums: Json<Sums>,
}

impl MadeFile {
    pub fn new(name: String, table_name: &str, rows: i64, digests: FileDigests, sums: &Sums) -> MadeFile {
        let FileDigests { packed, content } = digests;
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        MadeFile {
            name,
            table_name: table_name.to_owned(),
            rows,
            bytes: size(packed.bytes),
            sha256: packed.sha256,
            sm3: packed.sm3,
            content_bytes: size(content.bytes),
            content_sha256: content.sha256,
            content_sm3: content.sm3,
            sums: Json(sums.clone()),
        }
    }
}

/// The balance of one of the funder's accounts before a closed day, and what the day posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountDay {
    pub account: i16,
    /// Debits less credits before the day.
    pub opening: Fen,
    pub debit: Fen,
    pub credit: Fen,
}
