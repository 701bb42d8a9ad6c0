//! SQL of PINs.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::pin::Tries;
use crate::base::id::{BorrowerId, LineId};

/// A PIN as stored.
pub struct StoredPin {
    pub hash: String,
    pub failures: i16,
    pub locked_until: Option<DateTime<Utc>>,
}

/// The PIN of a borrower, locked; `None` where none is set.
pub async fn lock(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Option<StoredPin>> {
    sqlx::query_as!(
        StoredPin,
        "select hash, failures, locked_until from pin where borrower_id = $1 for update",
        borrower_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Stores the count of tries and the lock.
pub async fn save_tries(connection: &mut PgConnection, borrower_id: BorrowerId, tries: Tries) -> sqlx::Result<()> {
    sqlx::query!(
        "update pin set failures = $2, locked_until = $3 where borrower_id = $1",
        borrower_id.uuid(),
        tries.failures,
        tries.locked_until
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the count of tries back to zero, unless another PIN was set meanwhile.
pub async fn clear_tries(connection: &mut PgConnection, borrower_id: BorrowerId, hash: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update pin set failures = 0, locked_until = null where borrower_id = $1 and hash = $2",
        borrower_id.uuid(),
        hash
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the visit to a counter for which the PIN was last given, and the line. `false`, without a change, where that was
/// the same visit and another line.
pub async fn keep_visit(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    key: &str,
    line_id: LineId,
) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "update pin set visit_key = $2, visit_line_id = $3
         where borrower_id = $1 and (visit_key is distinct from $2 or visit_line_id = $3)",
        borrower_id.uuid(),
        key,
        line_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// A PIN to store.
pub struct NewHash<'a> {
    pub hash: &'a str,
    pub set_at: DateTime<Utc>,
    /// When it is set without the former one; `None` for one that takes the place of a former one that was given.
    pub reset_at: Option<DateTime<Utc>>,
}

/// Stores a PIN in place of any other, without tries or a lock. When one was last set without a former one stays known.
pub async fn put(connection: &mut PgConnection, borrower_id: BorrowerId, new: &NewHash<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into pin (borrower_id, hash, set_at, reset_at) values ($1, $2, $3, $4)
         on conflict (borrower_id)
         do update set hash = excluded.hash, failures = 0, locked_until = null, set_at = excluded.set_at,
                       reset_at = coalesce(excluded.reset_at, pin.reset_at)",
        borrower_id.uuid(),
        new.hash,
        new.set_at,
        new.reset_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// When a borrower's PIN was last set without a former one; `None` where there is none, or that was not kept.
pub async fn find_reset(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Option<DateTime<Utc>>> {
    let reset_at = sqlx::query_scalar!("select reset_at from pin where borrower_id = $1", borrower_id.uuid());
    Ok(reset_at.fetch_optional(connection).await?.flatten())
}

/// Whether a borrower has a PIN.
pub async fn is_set(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from pin where borrower_id = $1) as "set!""#, borrower_id.uuid())
        .fetch_one(connection)
        .await
}

/// Deletes a borrower's PIN, if there is one.
pub async fn delete(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("delete from pin where borrower_id = $1", borrower_id.uuid()).execute(connection).await?;
    Ok(())
}

/// When a person was born, unless they are unknown or erased.
pub async fn find_birth(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!(
        r#"select birth_on as "birth_on!" from borrower where borrower_id = $1 and person_key_sealed is not null"#,
        borrower_id.uuid()
    )
    .fetch_optional(connection)
    .await
}
