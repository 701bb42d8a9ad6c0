//! Reads a merchant's open day.

use sqlx::PgConnection;

use super::model::CarriedPart;
use super::outlook::OpenDay;
use super::store::{self, CarriedToDay, Whose};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::MerchantId;
use crate::merchant::MerchantDay;

/// A merchant's day that is still open, or has ended and is not settled yet. A day that was settled meanwhile is returned as it was
/// before.
pub async fn open_day(
    connection: &mut PgConnection,
    app: &App,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<OpenDay> {
    let CarriedToDay { day_before_is_settled, parts: mut carried } =
        store::load_carried_to(&mut *connection, merchant_id, day).await?;
    if !day_before_is_settled {
        // What is carried goes into the day before first; this day takes in only what that one carries forward.
        let day_before = MerchantDay { merchant_id, day: day.minus_days(1) };
        carried = as_it_stands(&mut *connection, app, day_before, carried).await?.carries_forward();
    }
    as_it_stands(connection, app, MerchantDay { merchant_id, day }, carried).await
}

async fn as_it_stands(
    connection: &mut PgConnection,
    app: &App,
    of: MerchantDay,
    carried: Vec<CarriedPart>,
) -> sqlx::Result<OpenDay> {
    let MerchantDay { merchant_id, day } = of;
    Ok(OpenDay {
        merchant_id,
        business_day: day,
        pay_on: app.calendar.next_working_day(day).ok(),
        at: app.clock.now(),
        parts: store::sum_day(connection, day, Whose::Of(merchant_id)).await?,
        carried,
    })
}
