//! SQL of changes of a borrower's mobile.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::id::BorrowerId;

/// A change to record.
pub struct NewChange<'a> {
    pub borrower_id: BorrowerId,
    pub change_id: Uuid,
    /// The former mobile, sealed under the person's key.
    pub former_sealed: &'a [u8],
    /// `borrower`, or `person:<name>`.
    pub changed_by: &'a str,
    /// An operator's reason; the borrower states none.
    pub reason: Option<&'a str>,
    pub changed_at: DateTime<Utc>,
}

/// A change as stored.
pub struct StoredChange {
    pub former_sealed: Vec<u8>,
    pub changed_by: String,
    pub reason: Option<String>,
    pub changed_at: DateTime<Utc>,
}

/// A former mobile, and the key under which it is sealed.
pub struct SealedFormer {
    pub borrower_id: BorrowerId,
    pub change_id: Uuid,
    pub person_key_sealed: Vec<u8>,
    pub former_sealed: Vec<u8>,
}

/// A mobile that was given up, with how that came about.
pub struct GivenUp {
    pub borrower_id: BorrowerId,
    pub person_key_sealed: Vec<u8>,
    pub former_sealed: Vec<u8>,
    pub changed_by: String,
    pub changed_at: DateTime<Utc>,
}

/// Records a change of a borrower's mobile.
pub async fn insert_change(connection: &mut PgConnection, change: &NewChange<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into mobile_change (borrower_id, change_id, former_sealed, changed_by, reason, changed_at)
         values ($1, $2, $3, $4, $5, $6)",
        change.borrower_id.uuid(),
        change.change_id,
        change.former_sealed,
        change.changed_by,
        change.reason,
        change.changed_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All changes of a borrower's mobile, oldest first.
pub async fn list_changes(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<StoredChange>> {
    sqlx::query_as!(
        StoredChange,
        "select former_sealed, changed_by, reason, changed_at from mobile_change
         where borrower_id = $1 order by changed_at, change_id",
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// The mobiles that borrowers had before these changes; those of erased people are missing.
pub async fn find_formers(
    connection: &mut PgConnection,
    changes: &[(BorrowerId, Uuid)],
) -> sqlx::Result<Vec<SealedFormer>> {
    sqlx::query_as!(
        SealedFormer,
        r#"select c.borrower_id as "borrower_id: BorrowerId", c.change_id, b.person_key_sealed as "person_key_sealed!",
                  c.former_sealed
           from unnest($1::uuid[], $2::uuid[]) as wanted(borrower_id, change_id)
           join mobile_change c using (borrower_id, change_id)
           join borrower b using (borrower_id)
           where b.person_key_sealed is not null"#,
        &changes.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &changes.iter().map(|(_, change_id)| *change_id).collect::<Vec<Uuid>>()
    )
    .fetch_all(connection)
    .await
}

/// The mobiles given up at `from` or later and before `before`, oldest first; those of erased people are missing.
pub async fn list_given_up(
    connection: &mut PgConnection,
    from: DateTime<Utc>,
    before: DateTime<Utc>,
) -> sqlx::Result<Vec<GivenUp>> {
    sqlx::query_as!(
        GivenUp,
        r#"select c.borrower_id as "borrower_id: BorrowerId", b.person_key_sealed as "person_key_sealed!", c.former_sealed,
                  c.changed_by, c.changed_at
           from mobile_change c join borrower b using (borrower_id)
           where c.changed_at >= $1 and c.changed_at < $2 and b.person_key_sealed is not null
           order by c.changed_at, c.change_id"#,
        from,
        before
    )
    .fetch_all(connection)
    .await
}
