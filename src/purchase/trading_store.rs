//! Whether purchases are being made at present, on whichever node: a lock that every node's authoriser shares while it decides.
//! It lives as long as the connection, so that it dies with whoever holds it.

use sqlx::{Executor, PgConnection};

/// Signals that purchases are being made, until [`end`]; the connection also [looks rows up by key](look_up_by_key) from now on.
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    look_up_by_key(connection).await?;
    connection.execute("select pg_advisory_lock_shared(hashtextextended('trading', 0))").await.map(drop)
}

/// Undoes [`begin`].
pub(super) async fn end(connection: &mut PgConnection) -> sqlx::Result<()> {
    look_up_as_before(connection).await?;
    connection.execute("select pg_advisory_unlock_shared(hashtextextended('trading', 0))").await.map(drop)
}

/// Makes the connection plan each statement once, and by indexes alone: a batch's statements are long, and look rows up by key
/// whatever their arguments. Without this, a plan made while tables are almost empty would scan them whole, and go on doing so
/// while they grow.
pub(super) async fn look_up_by_key(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("set plan_cache_mode = force_generic_plan; set enable_seqscan = off").await.map(drop)
}

/// Undoes [`look_up_by_key`].
pub(super) async fn look_up_as_before(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("reset plan_cache_mode; reset enable_seqscan").await.map(drop)
}

/// Whether any node decides purchases, or did so just now. Work that can wait leaves them a core.
///
/// # Errors
/// Failures of the database.
pub async fn is_going_on(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select not pg_try_advisory_xact_lock(hashtextextended('trading', 0)) as "is_going_on!""#)
        .fetch_one(connection)
        .await
}
