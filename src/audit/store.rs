//! SQL of the audit trail.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::entry::{Entry, Link};

/// Locks the head until the transaction ends, so that entries are added one after the other.
///
/// # Errors
/// Where somebody has removed the head: an act that cannot be chained to what came before is not done.
pub async fn lock_head(connection: &mut PgConnection) -> sqlx::Result<Link> {
    let head =
        sqlx::query_as!(Link, "select entry_no, hash from audit_head for update").fetch_optional(connection).await?;
    head.ok_or_else(|| sqlx::Error::Protocol("the head of the audit trail is gone; see `fenqi verify`".to_owned()))
}

/// The place of the last entry, as it is stored beside the trail; `None` if it was removed.
pub async fn find_head(connection: &mut PgConnection) -> sqlx::Result<Option<Link>> {
    sqlx::query_as!(Link, "select entry_no, hash from audit_head").fetch_optional(connection).await
}

/// Adds an entry, and stores it as the head, which the transaction has locked.
pub async fn append(connection: &mut PgConnection, entry: &Entry) -> sqlx::Result<()> {
    sqlx::query!(
        "with appended as (
             insert into audit_entry (entry_no, done_at, done_by, known_by, action, object_kind, object_id, detail, previous_hash, hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9, $10)
             returning entry_no, hash)
         update audit_head h set entry_no = a.entry_no, hash = a.hash from appended a",
        entry.entry_no,
        entry.done_at,
        entry.done_by,
        entry.known_by,
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.detail,
        entry.previous_hash,
        entry.hash,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which entries are looked for; what is `None` may be anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search<'a> {
    /// Only entries with higher numbers; 0 for all.
    pub after_no: i64,
    /// The id of an object, or a kind of objects.
    pub object: Option<&'a str>,
    /// The name, in upper or lower case: `li na` finds `Li Na`.
    pub done_by: Option<&'a str>,
    pub since: Option<DateTime<Utc>>,
}

/// Entries that match, the oldest first, at most `limit`.
pub async fn list(connection: &mut PgConnection, search: Search<'_>, limit: i64) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"select entry_no, done_at, done_by, known_by, action, object_kind, object_id, detail::text as "detail!", previous_hash, hash
           from audit_entry
           where entry_no > $1 and ($2::text is null or object_id = $2 or object_kind = $2)
                 and ($3::text is null or lower(done_by) = lower($3)) and ($4::timestamptz is null or done_at >= $4)
           order by entry_no limit $5"#,
        search.after_no,
        search.object,
        search.done_by,
        search.since,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The place of one entry in the chain.
pub async fn find_link(connection: &mut PgConnection, entry_no: i64) -> sqlx::Result<Option<Link>> {
    sqlx::query_as!(Link, "select entry_no, hash from audit_entry where entry_no = $1", entry_no)
        .fetch_optional(connection)
        .await
}
