//! The close's clearing: turns a day's purchases and refunds into settlements, payouts, postings and reserve movements.

use anyhow::Context;
use sqlx::PgConnection;

use super::model::{self, Part, Settlement, SettlementStatus, Settling};
use super::payout::{NewPayout, PayoutFor};
use super::posting::{self, Booking, FunderAmount};
use super::{payout_store, store};
use crate::app::App;
use crate::base::id::PayoutId;
use crate::base::{AccountRange, BusinessDay};
use crate::funder;
use crate::ledger;

/// One chunk: the day's purchases are summed by merchant before anything is written, and merchants are few.
pub async fn plan(_: &mut PgConnection, _: BusinessDay, _: i64) -> sqlx::Result<Vec<AccountRange>> {
    Ok(vec![AccountRange::ALL])
}

/// Clears `day`: one settlement a merchant, its payout on the next working day, one posting a merchant and funder, one
/// journal row a reserve. Then ages the funders' advances.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    if store::is_settled(&mut *connection, day).await? {
        return Ok(0);
    }
    let pay_on = app.calendar.next_working_day(day).context("merchants cannot be given a day of payment")?;
    let settling = Settling { business_day: day, pay_on, at: app.clock.now() };
    let day_parts = store::sum_day(&mut *connection, day, store::Whose::Everybodys).await?;
    let merchant_ids: Vec<_> = day_parts.iter().map(|part| part.merchant_id).collect();
    let carried = store::lock_carried(&mut *connection, &merchant_ids).await?;
    let settlements = model::settle(&day_parts, &carried, settling);

    store::insert_settlements(&mut *connection, &settlements).await?;
    store::insert_parts(&mut *connection, &settlements).await?;
    store::take_in_carried(&mut *connection, &settlements).await?;
    let payouts = payouts(&settlements, settling);
    payout_store::insert_payouts(&mut *connection, &payouts).await?;
    let postings = postings(&settlements, Booking { business_day: day, at: settling.at });
    ledger::store::insert_postings(&mut *connection, &postings).await?;
    // The reserves last: purchases wait for them.
    let moved = funder::close_reserves(connection, app, day, &model::gross_by_funder(&day_parts)).await?;
    Ok((settlements.len() + payouts.len() + postings.len()) as u64 + moved)
}

fn payouts(settlements: &[Settlement], settling: Settling) -> Vec<NewPayout> {
    let to_pay = settlements.iter().filter(|settlement| settlement.status() == SettlementStatus::ToPay);
    to_pay
        .map(|settlement| NewPayout {
            payout_id: PayoutId::mint(settling.at),
            paid_for: PayoutFor::Settlement {
                settlement_id: settlement.settlement_id,
                merchant_id: settlement.merchant_id,
            },
            amount: settlement.payable(),
            pay_on: settling.pay_on,
            created_at: settling.at,
        })
        .collect()
}

/// The clearing of every part; and where a settlement comes to nothing, the parts that cancel each other at once, since
/// no payout will ever book them.
fn postings(settlements: &[Settlement], booking: Booking) -> Vec<ledger::Posting> {
    let cleared = |settlement: &Settlement, part: &Part| posting::clearing(settlement, part, booking);
    let cancelled = |settlement: &Settlement, part: &Part| {
        let part = FunderAmount { funder_id: part.day.funder_id, amount: part.payable() };
        posting::settlement_paid(settlement.settlement_id.uuid(), part, booking)
    };
    let mut postings = Vec::new();
    for settlement in settlements {
        postings.extend(settlement.parts.iter().map(|part| cleared(settlement, part)));
        if settlement.status() == SettlementStatus::Nothing {
            postings.extend(settlement.parts.iter().map(|part| cancelled(settlement, part)));
        }
    }
    postings
}
