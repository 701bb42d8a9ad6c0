//! SQL that finds samples of sealed data, by which a command checks that its keys are those of the database.

use sqlx::postgres::PgPool;
use uuid::Uuid;

/// Whether this migrated database holds anything that was sealed under a master key.
///
/// # Errors
/// Failures of the database.
pub async fn holds_sealed_data(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from borrower) or exists (select from merchant) or exists (select from platform_key)",
    )
    .fetch_one(pool)
    .await
}

/// A person who can be found by an ID number, as stored: sealed, and with the blind index.
#[derive(sqlx::FromRow)]
pub struct IndexedPerson {
    pub borrower_id: Uuid,
    /// Under the master key.
    pub person_key_sealed: Vec<u8>,
    /// Under the person's key.
    pub id_number_sealed: Vec<u8>,
    /// The blind index (keyed hash) by which the number is found.
    pub id_number_hash: Vec<u8>,
}

/// Some people who were registered last in this migrated database, each with the key that is sealed under the master key.
///
/// # Errors
/// Failures of the database.
pub async fn load_last_person_keys(pool: &PgPool) -> sqlx::Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query_as(
        "select borrower_id, person_key_sealed from borrower where person_key_sealed is not null
         order by borrower_id desc limit 3",
    )
    .fetch_all(pool)
    .await
}

/// Some people who can be found by their ID number.
///
/// # Errors
/// Failures of the database.
pub async fn load_indexed_people(pool: &PgPool) -> sqlx::Result<Vec<IndexedPerson>> {
    sqlx::query_as(
        "select b.borrower_id, b.person_key_sealed, b.id_number_sealed, i.id_number_hash
         from (select id_number_hash, borrower_id from borrower_by_id_number limit 3) i
         join borrower b on b.borrower_id = i.borrower_id and b.person_key_sealed is not null",
    )
    .fetch_all(pool)
    .await
}
