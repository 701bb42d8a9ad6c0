//! Whether purchases are being made at present, on whichever node: a lock that every node's authoriser shares while it decides.
//! It lives as long as the connection, so that it dies with whoever holds it.

use sqlx::{Executor, PgConnection};

/// Says that purchases are being made, and plans each statement once: those of a batch are long, and look rows up by key whatever
/// their arguments.
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    let text =
        "set plan_cache_mode = force_generic_plan; select pg_advisory_lock_shared(hashtextextended('trading', 0))";
    connection.execute(text).await.map(drop)
}

/// The other end of [`begin`].
pub(super) async fn end(connection: &mut PgConnection) -> sqlx::Result<()> {
    let text = "reset plan_cache_mode; select pg_advisory_unlock_shared(hashtextextended('trading', 0))";
    connection.execute(text).await.map(drop)
}

/// Plans each statement once on a connection that only reads beside a deciding one, by indexes alone: in a young house a plan is made
/// while tables are empty, and what reads them whole then goes on to do so while they grow.
pub(super) async fn begin_beside(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection.execute("set plan_cache_mode = force_generic_plan; set enable_seqscan = off").await.map(drop)
}

/// The other end of [`begin_beside`].
pub(super) async fn end_beside(connection: &mut PgConnection) -> sqlx::Result<()> {
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
