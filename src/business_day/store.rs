//! SQL of the current business day.

use sqlx::PgConnection;

use crate::base::BusinessDay;

/// The current business day, without holding it.
///
/// # Errors
/// `RowNotFound` before the house has been opened by [`open`].
pub async fn today(connection: &mut PgConnection) -> sqlx::Result<BusinessDay> {
    sqlx::query_scalar!(r#"select today as "today: BusinessDay" from business_day"#).fetch_one(connection).await
}

/// The current business day, held until the transaction ends: the close cannot advance it meanwhile, so that what is decided
/// now belongs to this day for certain.
pub async fn hold_today(connection: &mut PgConnection) -> sqlx::Result<BusinessDay> {
    sqlx::query_scalar!(r#"select today as "today: BusinessDay" from business_day for share"#)
        .fetch_one(connection)
        .await
}

/// Sets the first business day of a new house; nothing where it is already open.
pub async fn open(connection: &mut PgConnection, first: BusinessDay) -> sqlx::Result<()> {
    sqlx::query!("insert into business_day (today) values ($1) on conflict do nothing", first.date())
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves from `day` to the next; `false` where another close already has.
pub async fn advance(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    let advanced = sqlx::query!("update business_day set today = $2 where today = $1", day.date(), day.next().date())
        .execute(connection)
        .await?;
    Ok(advanced.rows_affected() == 1)
}
