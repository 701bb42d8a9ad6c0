//! What the close does to reserves: money held becomes money paid out, and advances that were not repaid become overdue.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::json;
use sqlx::PgConnection;

use super::reserve::{Occasion, Reserve};
use super::slice_actions::lock_reserve;
use super::store;
use crate::app::App;
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen, When};
use crate::business_day;
use crate::notice::{self, Notice};
use crate::outbox::{self, Message};

/// Clears each funder's `gross` of `day` out of its reserve, and marks advances that were due at the end of `day` and
/// are not repaid. Reserves are locked in funder order, as everyone does. Returns the journal rows and marks written.
pub async fn close_reserves(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    gross: &BTreeMap<FunderId, Fen>,
) -> anyhow::Result<u64> {
    let now = app.clock.now();
    let today = business_day::store::hold_today(&mut *connection).await?;
    let advancing = store::find_advancing(&mut *connection).await?;
    let funder_ids: BTreeSet<FunderId> = gross.keys().copied().chain(advancing).collect();
    let mut rows = 0;
    for funder_id in funder_ids {
        let mut reserve = lock_reserve(&mut *connection, funder_id, When { business_day: today, at: now }).await?;
        let mut entries = Vec::new();
        if let Some(amount) = gross.get(&funder_id) {
            let source = format!("clearing of {day}");
            entries.push(reserve.clear(*amount, Occasion { source, when: When { business_day: day, at: now } }));
        }
        let due_on = match reserve.advance_since {
            Some(since) => Some(app.calendar.next_working_day(since).context("an advance cannot be given a due day")?),
            None => None,
        };
        let newly_overdue = due_on.is_some_and(|due_on| reserve.age_advance(due_on, day));
        store::save_reserve(&mut *connection, &reserve, &entries).await?;
        if newly_overdue {
            tell_overdue(&mut *connection, app, day, &reserve).await?;
        }
        rows += entries.len() as u64 + u64::from(newly_overdue);
    }
    Ok(rows)
}

async fn tell_overdue(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    reserve: &Reserve,
) -> sqlx::Result<()> {
    let when = When { business_day: day, at: app.clock.now() };
    let body = json!({
        "funder_id": reserve.funder_id,
        "advance_fen": -reserve.available,
        "advance_since": reserve.advance_since,
        "business_day": day,
    });
    let to_funder = Notice::to_funder(reserve.funder_id, "advance_overdue", body.clone(), when);
    let to_operators = Notice::to_operators("advance_overdue", body.clone(), when);
    notice::raise(&mut *connection, &[to_funder, to_operators]).await?;
    let message = Message {
        partner: store::find_code(&mut *connection, reserve.funder_id).await?,
        kind: "advance_overdue",
        object_id: reserve.funder_id.uuid(),
        body,
        created_at: when.at,
    };
    outbox::store::enqueue(connection, &[message]).await
}
