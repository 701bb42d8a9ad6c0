//! Use cases of holds on merchants' payouts: one person holds, two people release.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::hold::{HoldRefusal, HoldStatement, Holding, Releasing};
use super::payout::PayoutStatus;
use super::payout_actions::becomes;
use super::payout_store::{self, Change};
use super::{hold_store as store, notices};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::When;
use crate::base::id::MerchantId;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::merchant::{self, MerchantEvent};
use crate::notice;

/// Holds a merchant's payouts: from now on nothing is sent to it, whatever its settlements come to, and whether it was tried before or
/// not. What may have reached the channel before is asked about until there is an answer, and booked. The merchant is told.
pub async fn hold_payouts(app: &App, stated: &HoldStatement) -> Outcome<Holding, HoldRefusal> {
    let stated = stated.checked().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let held = hold(&mut transaction, app, &stated).await;
    database::end(transaction, held).await
}

async fn hold(connection: &mut PgConnection, app: &App, stated: &HoldStatement) -> Outcome<Holding, HoldRefusal> {
    let when = lock_merchant(connection, app, stated.merchant_id).await?;
    let holding = match store::find_hold(connection, stated.merchant_id).await? {
        Some(hold) => {
            let holding = Holding::AlreadyHeld { held_by: hold.held_by };
            if hold.release_stated_by.is_none() {
                return Ok(holding);
            }
            store::put_release(connection, stated.merchant_id, None).await?;
            holding
        }
        None => {
            store::insert_hold(connection, stated, when.at).await?;
            notice::raise(connection, &[notices::payouts_held(stated.merchant_id, when)]).await?;
            Holding::Held { on_their_way: follow_up(connection, stated.merchant_id, when.at).await? }
        }
    };
    write_down(connection, stated, "hold_payouts", when).await?;
    audit::record(connection, app, Act::new(Action::PayoutsHeld, stated.merchant_id, json!({}))).await?;
    Ok(holding)
}

/// Locks a merchant against whoever holds or releases its payouts at the same moment.
async fn lock_merchant(
    connection: &mut PgConnection,
    app: &App,
    merchant_id: MerchantId,
) -> Outcome<When, HoldRefusal> {
    let found = merchant::lock_status(connection, merchant_id).await?;
    found.ok_or(Fault::Refused(HoldRefusal::UnknownMerchant))?;
    Ok(When { business_day: business_day::store::today(connection).await?, at: app.clock.now() })
}

/// Has the channel asked about payouts that it did not receive and that would have been sent again, since the earlier request may still
/// arrive. Returns how many payouts are on their way.
async fn follow_up(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let pending = store::list_pending(connection, merchant_id).await?;
    let locked = payout_store::lock_payouts(connection, &pending).await?;
    let sent_before = locked.iter().filter(|payout| payout.status == PayoutStatus::Created && payout.sent_at.is_some());
    let changes: Vec<Change> =
        sent_before.map(|payout| Change { query_at: Some(now), ..becomes(payout, PayoutStatus::Unknown) }).collect();
    let changed = payout_store::save_changes(connection, &changes, now).await?;
    anyhow::ensure!(changed == changes.len() as u64, "a locked payout changed its status");
    let is_under_way = |status: PayoutStatus| matches!(status, PayoutStatus::Submitted | PayoutStatus::Unknown);
    Ok(locked.iter().filter(|payout| is_under_way(payout.status)).count() + changes.len())
}

/// Takes a person's statement that a merchant's payouts be released. With that of a second person, what was held leaves with the next
/// payouts, and the merchant is told.
///
/// # Errors
/// `NotHeld` where no hold stands.
pub async fn release_payouts(app: &App, stated: &HoldStatement) -> Outcome<Releasing, HoldRefusal> {
    let stated = stated.checked().map_err(Fault::Refused)?;
    let mut transaction = database::begin(&app.pool).await?;
    let released = release(&mut transaction, app, &stated).await;
    database::end(transaction, released).await
}

async fn release(connection: &mut PgConnection, app: &App, stated: &HoldStatement) -> Outcome<Releasing, HoldRefusal> {
    let merchant_id = stated.merchant_id;
    let when = lock_merchant(connection, app, merchant_id).await?;
    let hold = store::find_hold(connection, merchant_id).await?.ok_or(Fault::Refused(HoldRefusal::NotHeld))?;
    let releasing = hold.release(&stated.by);
    let (decision, action) = match &releasing {
        // The same person has stated it again, which changes nothing.
        Releasing::Stated if hold.release_stated_by.is_some() => return Ok(Releasing::Stated),
        Releasing::Stated => {
            store::put_release(connection, merchant_id, Some(&stated.by)).await?;
            ("state_release", Action::ReleaseStated)
        }
        Releasing::Released { .. } => {
            store::delete_hold(connection, merchant_id).await?;
            notice::raise(connection, &[notices::payouts_released(merchant_id, when)]).await?;
            ("release_payouts", Action::PayoutsReleased)
        }
    };
    write_down(connection, stated, decision, when).await?;
    audit::record(connection, app, Act::new(action, merchant_id, json!({}))).await?;
    Ok(releasing)
}

async fn write_down(
    connection: &mut PgConnection,
    stated: &HoldStatement,
    decision: &'static str,
    when: When,
) -> sqlx::Result<()> {
    let event = MerchantEvent {
        merchant_id: stated.merchant_id,
        decision,
        decided_by: &stated.by,
        reason: &stated.reason,
        at: when.at,
    };
    merchant::insert_event(connection, &event).await
}
