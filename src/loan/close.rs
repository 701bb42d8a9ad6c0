//! The close's interest steps: gather the day's new schedules into spans, then post each product's interest of the day.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::accrual::{self, ProductAccrual, Span};
use super::store;
use crate::app::App;
use crate::base::{AccountRange, BusinessDay, When};
use crate::ledger;

/// Adds the interest and fees of schedules written on `day` to their spans (and takes off those of the versions they replace),
/// computes what every running span has accrued by the end of `day`, and posts the difference: one posting per funder and
/// product. Rows of loans charged off on `day` that fall due later move to suspended spans, whose interest is no income. Returns
/// the rows written.
pub async fn run(connection: &mut PgConnection, app: &App, day: BusinessDay, _: AccountRange) -> anyhow::Result<u64> {
    let gathered = store::gather_interest_spans(&mut *connection, day).await?;
    let spans = store::lock_running_spans(&mut *connection, day).await?;
    let when = When { business_day: day, at: app.clock.now() };
    let mut moved: Vec<Span> = Vec::with_capacity(spans.len());
    let mut products: BTreeMap<(Uuid, Uuid), ProductAccrual> = BTreeMap::new();
    for span in spans {
        let accrued = span.accrued_by(day);
        let change = accrued - span.accrued;
        if change.is_zero() {
            continue;
        }
        let key = (span.funder_id.uuid(), span.product_id.uuid());
        products.entry(key).or_insert_with(|| ProductAccrual::of(&span)).add(span.charge, change);
        moved.push(Span { accrued, ..span });
    }
    store::save_accrued(&mut *connection, &moved).await?;
    let postings: Vec<_> = products.into_values().map(|product| accrual::posting(product, when)).collect();
    ledger::store::insert_postings(connection, &postings).await?;
    Ok(gathered + (moved.len() + postings.len()) as u64)
}
