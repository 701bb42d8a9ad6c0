//! The identities that must always hold, checked over the whole database in one snapshot; `fenqi verify` lists where one does not.
//! Start with `store`, which has every identity's sentence; most queries are in the other stores, by subject.

pub mod store;
mod balance_store;
mod billed_store;
mod booked_store;
mod channel_store;
mod event_store;
mod fen_days_store;
mod income_store;
mod line_store;
mod part_store;
mod plan_store;
mod rate_store;
mod settled_store;
mod share_store;
mod told_store;
mod trail_store;
mod waiting_store;

use sqlx::PgPool;

use crate::database;

/// A place where an identity does not hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The identity's sentence.
    pub identity: &'static str,
    /// The line, loan, funder or the like where it fails.
    pub subject: String,
    pub expected: i64,
    pub found: i64,
}

/// The most findings listed for one identity. Whoever has corrected the first ones verifies again to see the rest.
pub const FINDINGS_MAX: i64 = 20;

/// Checks every identity in one snapshot of the database, so that concurrent work cannot look like a fault. Empty if all hold.
pub async fn verify(pool: &PgPool) -> sqlx::Result<Vec<Finding>> {
    verify_telling(pool, |_| ()).await
}

/// As [`verify`], and calls `told` with the sentence of each identity before checking it.
pub async fn verify_telling(pool: &PgPool, told: impl Fn(&'static str)) -> sqlx::Result<Vec<Finding>> {
    let mut transaction = database::begin(pool).await?;
    store::begin_snapshot(&mut transaction).await?;
    let (mut findings, mut booked) = (Vec::new(), None);
    for identity in store::IDENTITIES {
        told(identity.sentence);
        findings.extend(store::check(&mut transaction, identity, &mut booked).await?);
    }
    Ok(findings)
}
