//! Whether purchases are being made at present, on whichever node: a lock that every node's authoriser shares while it decides.
//! It lives as long as the connection, so that it dies with whoever holds it.

use sqlx::{Executor, PgConnection};

/// Says that purchases are being made, on a connection that [looks rows up by key](look_up_by_key).
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    look_up_by_key(connection).await?;
    connection.execute("select pg_advisory_lock_shared(hashtextextended('trading', 0))").await.map(drop)
}

/// The other end of [`begin`].
pub(super) async fn end(connection: &mut PgConnection) -> sqlx::Result<()> {
    look_up_as_before(connection).await?;
    connection.execute("select pg_advisory_unlock_shared(hashtextextended('trading', 0))").await.map(drop)
}

/// Plans each statement of a connection once and by indexes alone: those of a batch are long, and look rows up by key whatever their
/// arguments. In a young house a plan is made while tables are empty, and one that reads them whole would go on to do so while they grow.
pub(super) async fn look_up_by_key(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("set plan_cache_mode = force_generic_plan; set enable_seqscan = off").await.map(drop)
}

/// The other end of [`look_up_by_key`].
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
