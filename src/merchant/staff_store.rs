//! SQL of merchants' staff.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::MerchantStatus;
use super::staff::Role;
use crate::base::id::{MerchantId, StaffId};

/// Somebody at a merchant, name and mobile sealed, with the merchant.
#[derive(Debug)]
pub struct StaffRow {
    pub staff_id: StaffId,
    pub merchant_id: MerchantId,
    pub mobile_sealed: Vec<u8>,
    pub name_sealed: Vec<u8>,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub merchant_name: String,
    pub merchant_status: MerchantStatus,
}

/// A query for staff, each with the merchant; `$rest` says whom.
macro_rules! select_staff {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            StaffRow,
            r#"select s.staff_id as "staff_id: StaffId", s.merchant_id as "merchant_id: MerchantId", s.mobile_sealed, s.name_sealed,
                      s.role as "role: Role", s.created_at, m.name as merchant_name,
                      m.status as "merchant_status: MerchantStatus"
               from merchant_staff s join merchant m using (merchant_id)
               where "# + $rest,
            $($argument)*
        )
    };
}

/// Somebody who works at a merchant, unless they were removed.
pub async fn find_staff(connection: &mut PgConnection, staff_id: Uuid) -> sqlx::Result<Option<StaffRow>> {
    select_staff!("s.staff_id = $1 and s.removed_at is null", staff_id).fetch_optional(connection).await
}

/// Every place where somebody with this mobile works, in the order of being hired.
pub async fn list_by_mobile(connection: &mut PgConnection, mobile_hash: &[u8; 32]) -> sqlx::Result<Vec<StaffRow>> {
    select_staff!("s.mobile_hash = $1 and s.removed_at is null order by s.staff_id", mobile_hash)
        .fetch_all(connection)
        .await
}

/// Everybody at a merchant, in the order of being hired.
pub async fn list_of_merchant(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Vec<StaffRow>> {
    select_staff!("s.merchant_id = $1 and s.removed_at is null order by s.staff_id", merchant_id.uuid())
        .fetch_all(connection)
        .await
}

/// Somebody new.
#[derive(Debug)]
pub struct NewStaff {
    pub staff_id: StaffId,
    pub merchant_id: MerchantId,
    pub mobile_hash: [u8; 32],
    pub mobile_sealed: Vec<u8>,
    pub name_sealed: Vec<u8>,
    pub role: Role,
}

/// Who changes something about staff, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// A staff id, an operator's name, or `applicant`.
    pub name: &'a str,
    pub at: DateTime<Utc>,
}

/// Writes somebody new with the event. That the mobile does not work there yet was checked under the merchant's lock.
pub async fn insert_staff(connection: &mut PgConnection, staff: &NewStaff, by: By<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with hired as (
             insert into merchant_staff (staff_id, merchant_id, mobile_hash, mobile_sealed, name_sealed, role, created_at)
             values ($1, $2, $3, $4, $5, $6, $7) returning staff_id, role)
         insert into merchant_staff_event (staff_id, change, role, changed_by, occurred_at)
         select staff_id, 'hired', role, $8, $7 from hired",
        staff.staff_id.uuid(),
        staff.merchant_id.uuid(),
        &staff.mobile_hash,
        staff.mobile_sealed,
        staff.name_sealed,
        staff.role as Role,
        by.at,
        by.name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A change of somebody's role.
#[derive(Clone, Copy, Debug)]
pub struct RoleChange {
    pub staff_id: StaffId,
    pub before: Role,
    pub after: Role,
}

/// Gives somebody another role, with the event; false when they do not have the one before any more.
pub async fn update_role(connection: &mut PgConnection, change: RoleChange, by: By<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with changed as (
             update merchant_staff set role = $3 where staff_id = $1 and role = $2 and removed_at is null
             returning staff_id, role)
         insert into merchant_staff_event (staff_id, change, role, changed_by, occurred_at)
         select staff_id, 'role_changed', role, $4, $5 from changed",
        change.staff_id.uuid(),
        change.before as Role,
        change.after as Role,
        by.name,
        by.at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes somebody, with the event; false when that was done before.
pub async fn remove_staff(connection: &mut PgConnection, staff_id: StaffId, by: By<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with removed as (
             update merchant_staff set removed_at = $3 where staff_id = $1 and removed_at is null returning staff_id, role)
         insert into merchant_staff_event (staff_id, change, role, changed_by, occurred_at)
         select staff_id, 'removed', role, $2, $3 from removed",
        staff_id.uuid(),
        by.name,
        by.at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
