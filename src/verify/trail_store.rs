//! The audit trail, whose hashes are made by the program, not by SQL.

use sqlx::PgConnection;

use super::Finding;
use crate::audit;

/// The first entry whose hash does not fit, if any.
///
/// # Errors
/// Failures of the database.
pub async fn find_misfit(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let misfit = audit::find_misfit(connection).await?;
    let finding = |misfit: audit::Misfit| Finding { identity, subject: misfit.to_string(), expected: 1, found: 0 };
    Ok(misfit.into_iter().map(finding).collect())
}
