//! SQL of passcodes, and of the counters of windows (table `throttle`).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::model::{Passcode, Purpose};

/// A code to store in place of an earlier one.
pub struct NewPasscode {
    pub mobile_hash: [u8; 32],
    pub purpose: Purpose,
    pub code_hash: [u8; 32],
    pub sent_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The code of a mobile and purpose, locked.
pub async fn lock(
    connection: &mut PgConnection,
    mobile_hash: &[u8; 32],
    purpose: Purpose,
) -> sqlx::Result<Option<Passcode>> {
    sqlx::query_as!(
        Passcode,
        "select code_hash, codes_tried, sent_at, expires_at from passcode
         where mobile_hash = $1 and purpose = $2 for update",
        mobile_hash,
        purpose as Purpose
    )
    .fetch_optional(connection)
    .await
}

/// As [`lock`], without the lock: for a page that only shows the state of the code.
pub async fn find(
    connection: &mut PgConnection,
    mobile_hash: &[u8; 32],
    purpose: Purpose,
) -> sqlx::Result<Option<Passcode>> {
    sqlx::query_as!(
        Passcode,
        "select code_hash, codes_tried, sent_at, expires_at from passcode where mobile_hash = $1 and purpose = $2",
        mobile_hash,
        purpose as Purpose
    )
    .fetch_optional(connection)
    .await
}

/// Stores a code in place of an earlier one. Of two at the same moment the second waits, and replaces the first.
pub async fn put(connection: &mut PgConnection, passcode: &NewPasscode) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into passcode (mobile_hash, purpose, code_hash, sent_at, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (mobile_hash, purpose)
         do update set code_hash = excluded.code_hash, codes_tried = 0, sent_at = excluded.sent_at,
                       expires_at = excluded.expires_at",
        &passcode.mobile_hash,
        passcode.purpose as Purpose,
        &passcode.code_hash,
        passcode.sent_at,
        passcode.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a wrong code against a passcode.
pub async fn count_wrong_code(
    connection: &mut PgConnection,
    mobile_hash: &[u8; 32],
    purpose: Purpose,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update passcode set codes_tried = codes_tried + 1 where mobile_hash = $1 and purpose = $2",
        mobile_hash,
        purpose as Purpose
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the code of a mobile and purpose.
pub async fn delete(connection: &mut PgConnection, mobile_hash: &[u8; 32], purpose: Purpose) -> sqlx::Result<()> {
    sqlx::query!("delete from passcode where mobile_hash = $1 and purpose = $2", mobile_hash, purpose as Purpose)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes expired codes, but not those that are locked at this moment; returns how many.
pub async fn delete_expired(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "delete from passcode where (mobile_hash, purpose) in (
             select mobile_hash, purpose from passcode where expires_at <= $1 for update skip locked)",
        now
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// The counter of a window, and when the window began.
pub struct Counted {
    pub count: i32,
    pub started_at: DateTime<Utc>,
}

/// Counts one more in the window of a key, or begins a new window where the former is over; returns the counter after that.
pub async fn count(
    connection: &mut PgConnection,
    kind: &str,
    key_hash: &[u8; 32],
    now: DateTime<Utc>,
    length: TimeDelta,
) -> sqlx::Result<Counted> {
    sqlx::query_as!(
        Counted,
        "insert into throttle as t (kind, key_hash, started_at, count) values ($1, $2, $3, 1)
         on conflict (kind, key_hash)
         do update set count = case when t.started_at <= $4 then 1 else t.count + 1 end,
                       started_at = case when t.started_at <= $4 then $3 else t.started_at end
         returning count, started_at",
        kind,
        key_hash,
        now,
        now - length
    )
    .fetch_one(connection)
    .await
}

/// Takes one off the counter of a key.
pub async fn uncount(connection: &mut PgConnection, kind: &str, key_hash: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query!(
        "update throttle set count = count - 1 where kind = $1 and key_hash = $2 and count > 0",
        kind,
        key_hash
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes windows that began before then, but not those that are locked at this moment: a request that counts in several
/// windows could otherwise deadlock with this. Returns how many.
pub async fn delete_throttles(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "delete from throttle where (kind, key_hash) in (
             select kind, key_hash from throttle where started_at <= $1 for update skip locked)",
        before
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
