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

/// The current business day, held until the transaction ends: the close cannot advance it meanwhile, so that whatever the
/// transaction decides belongs to this day for certain.
///
/// # Errors
/// `RowNotFound` before the house has been opened by [`open`].
pub async fn hold_today(connection: &mut PgConnection) -> sqlx::Result<BusinessDay> {
    sqlx::query_scalar!(r#"select hold_business_day() as "today: BusinessDay""#)
        .fetch_one(connection)
        .await?
        .ok_or(sqlx::Error::RowNotFound)
}

/// Sets the first business day of a new house; `false`, and nothing is done, where it is already open.
pub async fn open(connection: &mut PgConnection, first: BusinessDay) -> sqlx::Result<bool> {
    let opened = sqlx::query!("insert into business_day (today) values ($1) on conflict do nothing", first.date())
        .execute(connection)
        .await?;
    Ok(opened.rows_affected() == 1)
}

/// The current business day, or `None` before the house has been opened.
///
/// # Errors
/// Failures of the database.
pub async fn find_today(connection: &mut PgConnection) -> sqlx::Result<Option<BusinessDay>> {
    match today(connection).await {
        Err(sqlx::Error::RowNotFound) => Ok(None),
        found => found.map(Some),
    }
}

/// Advances the business day from `day` to the next; `false` where another close already has.
pub async fn advance(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select advance_business_day($1) as "advanced!""#, day.date()).fetch_one(connection).await
}
