//! The close's withholding step: orders to collect tomorrow what is due then, or overdue and on the timetable.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgConnection;

use super::due_actions::{Candidate, create_due_orders};
use super::queue_store::{self, DueDay};
use crate::app::App;
use crate::base::id::ProductId;
use crate::base::{AccountRange, BusinessDay};
use crate::partner::withholding::ChannelName;
use crate::product::ProductVersion;

/// Cuts the lines with open bills that are due by tomorrow into ranges of about `chunk_rows` bills.
pub async fn plan(connection: &mut PgConnection, day: BusinessDay, chunk_rows: i64) -> sqlx::Result<Vec<AccountRange>> {
    let starts = queue_store::cut_due(connection, day.next(), chunk_rows).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// Writes the orders of `range` for the day after `day`; returns how many.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let tomorrow = day.next();
    let timetable = Timetable::load(connection, app, tomorrow).await?;
    let mut candidates = Vec::new();
    for line in queue_store::load_due_lines(connection, &timetable.due_days, range).await? {
        let Some(product) = timetable.products.get(&(line.product_id, line.product_version)) else { continue };
        let terms = &product.terms.withholding;
        let Some(first_time) = terms.times.first() else { continue };
        candidates.push(Candidate {
            line_id: line.line_id,
            borrower_id: line.borrower_id,
            channel: ChannelName::FIRST,
            partial_allowed: terms.partial_allowed,
            attempt_no: 1,
            submit_at: tomorrow.instant(*first_time),
        });
    }
    create_due_orders(connection, app, &candidates, tomorrow).await
}

/// Every version's timetable: which due days it collects on one day.
struct Timetable {
    products: HashMap<(ProductId, i32), Arc<ProductVersion>>,
    due_days: Vec<DueDay>,
}

impl Timetable {
    async fn load(connection: &mut PgConnection, app: &App, day: BusinessDay) -> anyhow::Result<Timetable> {
        let mut timetable = Timetable { products: HashMap::new(), due_days: Vec::new() };
        for product in app.catalogue.load_all(connection).await? {
            let (product_id, product_version) = (product.product_id, product.version);
            for days in &product.terms.withholding.days {
                let due_on = day.minus_days(u32::from(*days));
                timetable.due_days.push(DueDay { product_id, product_version, due_on });
            }
            timetable.products.insert((product_id, product_version), product);
        }
        Ok(timetable)
    }
}
