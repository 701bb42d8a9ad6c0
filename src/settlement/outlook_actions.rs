//! Looks at a merchant's open day.

use sqlx::PgConnection;

use super::day_store;
use super::model::CarriedPart;
use super::outlook::OpenDay;
use super::store::{self, Whose};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::MerchantId;

/// A merchant's day that is still open, or has ended and is being settled.
pub async fn open_day(
    connection: &mut PgConnection,
    app: &App,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<OpenDay> {
    let before = day.minus_days(1);
    let is_settled = !day_store::list_days(&mut *connection, merchant_id, (before, before)).await?.is_empty();
    let mut carried = store::load_carried(&mut *connection, merchant_id).await?;
    if !is_settled {
        // Where that day is being settled, what is carried is taken off it first, and only what it leaves off this one.
        carried = as_it_stands(&mut *connection, app, (merchant_id, before), carried).await?.left();
    }
    as_it_stands(connection, app, (merchant_id, day), carried).await
}

async fn as_it_stands(
    connection: &mut PgConnection,
    app: &App,
    (merchant_id, day): (MerchantId, BusinessDay),
    carried: Vec<CarriedPart>,
) -> sqlx::Result<OpenDay> {
    Ok(OpenDay {
        merchant_id,
        business_day: day,
        pay_on: app.calendar.next_working_day(day).ok(),
        at: app.clock.now(),
        parts: store::sum_day(connection, day, Whose::Of(merchant_id)).await?,
        carried,
    })
}
