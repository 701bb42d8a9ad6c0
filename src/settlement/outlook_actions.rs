//! Looks at a merchant's open day.

use sqlx::PgConnection;

use super::outlook::OpenDay;
use super::store::{self, Whose};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::MerchantId;

/// A merchant's day that is still open.
pub async fn open_day(
    connection: &mut PgConnection,
    app: &App,
    merchant_id: MerchantId,
    today: BusinessDay,
) -> sqlx::Result<OpenDay> {
    Ok(OpenDay {
        merchant_id,
        business_day: today,
        pay_on: app.calendar.next_working_day(today).ok(),
        at: app.clock.now(),
        parts: store::sum_day(&mut *connection, today, Whose::Of(merchant_id)).await?,
        carried: store::load_carried(connection, merchant_id).await?,
    })
}
