//! The close's remittance: sums what a day brought in for each funder and orders its payment.

use anyhow::Context;
use sqlx::PgConnection;
use uuid::Uuid;

use super::payable::{ClosedDay, PayableStatus};
use super::posting;
use super::remittance::{self, Remittance, RemittancePart};
use super::{payout_store, remittance_store as store};
use crate::app::App;
use crate::base::{AccountRange, BusinessDay, When};
use crate::ledger;

/// Makes one remittance for each funder that has income on the day, to be paid on the next working day. Returns the rows written.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    if store::is_remitted(&mut *connection, day).await? {
        return Ok(0);
    }
    let pay_on = app.calendar.next_working_day(day).context("funders cannot be given a day of payment")?;
    let closed = ClosedDay { business_day: day, pay_on, at: app.clock.now() };
    let before = store::sum_before(&mut *connection).await?;
    let mut parts = Vec::new();
    for income in store::sum_income(&mut *connection, day).await? {
        let version = app.catalogue.get(&mut *connection, income.product_id, income.product_version).await?;
        let before = before.get(&(income.product_id, income.product_version)).copied().unwrap_or_default();
        parts.push(RemittancePart { income, share: income.share(&before, &version.terms.profit_share) });
    }
    let carried = store::lock_carried(&mut *connection).await?;
    let remittances = remittance::remit(&parts, &carried, closed);
    store::insert_remittances(&mut *connection, &remittances).await?;
    store::insert_parts(&mut *connection, &remittances).await?;
    store::take_in_carried(&mut *connection, &remittances).await?;
    let payouts: Vec<_> = remittances.iter().filter_map(|remittance| remittance.payout(closed)).collect();
    payout_store::insert_payouts(&mut *connection, &payouts).await?;
    book_zero_remittances(&mut *connection, &remittances, When { business_day: day, at: closed.at }).await?;
    Ok((remittances.len() + payouts.len()) as u64)
}

/// Books remittances that come to exactly zero, with everything that was carried into them, since no payout will book them.
async fn book_zero_remittances(
    connection: &mut PgConnection,
    remittances: &[Remittance],
    when: When,
) -> anyhow::Result<()> {
    let zero = remittances.iter().filter(|remittance| remittance.status() == PayableStatus::Nothing);
    let ids: Vec<Uuid> = zero.map(|remittance| remittance.remittance_id.uuid()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let chains = store::load_paid_amounts(&mut *connection, &ids).await?;
    let postings: Vec<_> = chains
        .iter()
        .map(|chain| posting::remittance_paid(chain.remittance_id, chain.funder_id, chain.amounts(), when))
        .collect();
    ledger::store::insert_postings(connection, &postings).await?;
    Ok(())
}
