//! SQL of a line's journal as its borrower sees it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::line::EntryKind;
use crate::base::Fen;
use crate::base::id::LineId;

/// The most that one page of the journal holds.
const PAGE_MAX: i64 = 50;

/// One change of the line, with what was left after it.
#[derive(Debug)]
pub struct OwnEntry {
    pub entry_no: i64,
    pub kind: EntryKind,
    pub used_change: Fen,
    pub limit_change: Fen,
    pub used_after: Fen,
    pub limit_after: Fen,
    pub occurred_at: DateTime<Utc>,
}

/// A line's journal before entry `before`, newest first.
pub async fn list_entries(
    connection: &mut PgConnection,
    line_id: LineId,
    before: Option<i64>,
) -> sqlx::Result<Vec<OwnEntry>> {
    sqlx::query_as!(
        OwnEntry,
        r#"select entry_no, kind as "kind: EntryKind", used_change_fen as "used_change: Fen", limit_change_fen as "limit_change: Fen",
                  used_after_fen as "used_after: Fen", limit_after_fen as "limit_after: Fen", occurred_at
           from line_entry where line_id = $1 and ($2::bigint is null or entry_no < $2) order by entry_no desc limit $3"#,
        line_id.uuid(),
        before,
        PAGE_MAX,
    )
    .fetch_all(connection)
    .await
}
