//! The close's clearing: turns a day's purchases and refunds into settlements, payouts, postings and reserve movements.

use anyhow::Context;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{self, Part, Settlement};
use super::payable::{ClosedDay, PayableStatus};
use super::posting::{self, FunderAmount};
use super::{notices, payout_store, store};
use crate::app::App;
use crate::base::{AccountRange, BusinessDay, When};
use crate::{funder, ledger, outbox};

/// Clears `day`: writes one settlement for each merchant with its payout on the next working day, one posting for each merchant and
/// funder, and one journal row for each reserve. Then ages the funders' advances. Returns the rows written; zero if the day is settled
/// already.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    if store::is_settled(&mut *connection, day).await? {
        return Ok(0);
    }
    let pay_on = app.calendar.next_working_day(day).context("merchants cannot be given a day of payment")?;
    let closed = ClosedDay { business_day: day, pay_on, at: app.clock.now() };
    let day_parts = store::sum_day(&mut *connection, day, store::Whose::Everybodys).await?;
    let merchant_ids: Vec<_> = day_parts.iter().map(|part| part.merchant_id).collect();
    let carried = store::lock_carried(&mut *connection, &merchant_ids).await?;
    let settlements = model::settle(&day_parts, &carried, closed);

    store::insert_settlements(&mut *connection, &settlements).await?;
    store::insert_parts(&mut *connection, &settlements).await?;
    store::take_in_carried(&mut *connection, &settlements).await?;
    let payouts: Vec<_> = settlements.iter().filter_map(|settlement| settlement.payout(closed)).collect();
    payout_store::insert_payouts(&mut *connection, &payouts).await?;
    let when = When { business_day: day, at: closed.at };
    let postings = postings(&settlements, when);
    ledger::store::insert_postings(&mut *connection, &postings).await?;
    tell_cancelled(&mut *connection, &settlements, when).await?;
    // The reserves come last, because purchases wait for their locks.
    let moved = funder::close_reserves(connection, app, day, &model::gross_by_funder(&day_parts)).await?;
    Ok((settlements.len() + payouts.len() + postings.len()) as u64 + moved)
}

/// The clearing posting of every part. If a settlement comes to zero, its parts cancel each other and are booked as paid at once, since
/// no payout will book them.
fn postings(settlements: &[Settlement], when: When) -> Vec<ledger::Posting> {
    let cleared = |settlement: &Settlement, part: &Part| posting::clearing(settlement, part, when);
    let cancelled = |settlement: &Settlement, part: &Part| {
        let part = FunderAmount { funder_id: part.day.funder_id, amount: part.payable() };
        posting::settlement_paid(settlement.settlement_id.uuid(), part, when)
    };
    let mut postings = Vec::new();
    for settlement in settlements {
        postings.extend(settlement.parts.iter().map(|part| cleared(settlement, part)));
        if settlement.status() == PayableStatus::Nothing {
            postings.extend(settlement.parts.iter().map(|part| cancelled(settlement, part)));
        }
    }
    postings
}

/// Tells funders of their parts of settlements that come to zero, since there is no payout that would tell them. A part that is zero
/// itself moves nothing and is not told.
async fn tell_cancelled(connection: &mut PgConnection, settlements: &[Settlement], when: When) -> sqlx::Result<()> {
    let zero = settlements.iter().filter(|settlement| settlement.status() == PayableStatus::Nothing);
    let ids: Vec<Uuid> = zero.map(|settlement| settlement.settlement_id.uuid()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let parts = payout_store::load_paid_parts(&mut *connection, &ids).await?;
    let moved = parts.iter().filter(|part| !part.amount.is_zero());
    let messages: Vec<_> = moved.map(|part| notices::settlement_paid(part, when)).collect();
    outbox::store::enqueue(connection, &messages).await
}
