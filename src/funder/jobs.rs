//! Background work on reserves: tell funders that theirs is low.

use serde_json::json;
use sqlx::PgConnection;

use super::actions::forecast_reserve;
use super::reserve::Reserve;
use super::slice_actions::lock_reserve;
use super::store;
use crate::app::App;
use crate::base::When;
use crate::base::id::FunderId;
use crate::business_day;
use crate::database;
use crate::jobs::{self, JobKind, NewJob};
use crate::notice::{self, Notice};
use crate::outbox::{self, Message};

/// Tells every funder whose reserve is below a low-water mark, once for each crossing and day, and with a forecast.
/// Returns how many were told.
pub async fn watch_reserves(app: &App) -> anyhow::Result<u64> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let crossing = store::find_crossing_low_water(&mut connection, today).await?;
    drop(connection);
    let mut told = 0;
    for funder_id in crossing {
        told += u64::from(watch(app, funder_id).await?);
    }
    Ok(told)
}

/// Enqueues the watch at once where a locked reserve stands below a mark of which its funder was not told today: by the timetable
/// alone it could come after the first purchase that is refused. At most once a minute for each mark.
pub async fn watch_soon(connection: &mut PgConnection, reserve: &Reserve, when: When) -> sqlx::Result<()> {
    if let Some(mark) = reserve.newly_crossed(when.business_day) {
        let job = NewJob {
            kind: JobKind::WatchReserves,
            unique_key: format!("{} {} {}", reserve.funder_id, mark.get(), when.at.format("%Y-%m-%d %H:%M")),
            created_at: when.at,
        };
        jobs::store::enqueue(connection, &job).await?;
    }
    Ok(())
}

async fn watch(app: &App, funder_id: FunderId) -> anyhow::Result<bool> {
    let mut transaction = database::begin(&app.pool).await?;
    let today = business_day::store::hold_today(&mut transaction).await?;
    let when = When { business_day: today, at: app.clock.now() };
    // Summed before the lock, so that purchases do not wait for it.
    let forecast = forecast_reserve(&mut transaction, app, funder_id, today).await?;
    let mut reserve = lock_reserve(&mut transaction, funder_id, when).await?;
    let tell = reserve.note_low_water(today);
    store::save_reserve(&mut transaction, &reserve, &[]).await?;
    if let Some(mark) = tell {
        let body = json!({
            "funder_id": funder_id,
            "available_fen": reserve.available,
            "low_water_fen": mark,
            "runs_dry_on": forecast.runs_dry_on,
            "business_day": today,
        });
        let told = Notice::to_funder(funder_id, "reserve_low", body.clone(), when);
        notice::raise(&mut transaction, &[told]).await?;
        let message = Message {
            partner: store::find_code(&mut transaction, funder_id).await?,
            kind: "reserve_low",
            object_id: funder_id.uuid(),
            body,
            created_at: when.at,
        };
        outbox::store::enqueue(&mut transaction, &[message]).await?;
    }
    transaction.commit().await?;
    Ok(tell.is_some())
}
