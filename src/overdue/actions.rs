//! After a payment was taken back: catches up on the stages of lateness that its bills would have reached while they counted as
//! paid.

use sqlx::PgConnection;

use super::charge_off_actions::charge_off;
use super::stage::Stage;
use super::store;
use super::told::{Late, Told, Unpaid};
use crate::app::App;
use crate::base::When;
use crate::base::id::LineId;
use crate::bill::ReopenedBill;
use crate::{bill, business_day, credit, notice, outbox};

/// Catches up on the stages whose day passed while the `reopened` bills of a line counted as paid: tells of them, and charges off
/// loans whose day for that has passed. The close cannot do it, because it looks at each stage on the stage's own day only. Where the
/// close of the last of these days has still to come to the line, it finds them told. Bills that are paid again by now are left out. The
/// caller's transaction holds the line.
pub async fn tell_passed(
    connection: &mut PgConnection,
    app: &App,
    line_id: LineId,
    reopened: &[ReopenedBill],
) -> anyhow::Result<()> {
    let line = credit::store::find_line(connection, line_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let today = business_day::store::hold_today(connection).await?;
    let product = app.catalogue.get(connection, line.product_id, line.product_version).await?;
    let terms = &product.terms;
    let installments = bill::store::load_open_installments(connection, &[line.line_id.uuid()]).await?;
    let mut told = Told::new(When { business_day: today, at: app.clock.now() });
    let (yesterday, mut caught_up) = (today.minus_days(1), Vec::new());
    for bill in reopened {
        let mut unpaid = Vec::new();
        for billed in installments.iter().filter(|billed| billed.due_on() == bill.due_on) {
            let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
            unpaid.push(Unpaid::new(billed.clone(), &product.terms, today));
        }
        if unpaid.is_empty() {
            continue;
        }
        let late = Late { line_id: line.line_id, borrower_id: line.borrower_id, due_on: bill.due_on };
        for stage in Stage::ALL {
            let day = stage.day_of(terms, bill.due_on);
            if day <= yesterday && bill.told_until.is_none_or(|told_until| told_until < day) {
                told.reached(stage, late, &terms.funder, &unpaid);
                caught_up.push((line.line_id, bill.due_on));
            }
        }
    }
    store::mark_told(connection, &caught_up, yesterday).await?;
    // All open bills, not only the reopened ones: a bill that other loans kept open all along may hold a loan that owes again.
    for billed in installments {
        if Stage::ChargeOff.day_of(terms, billed.due_on()) < today {
            let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
            told.mark_for_charge_off(&terms.funder, &[Unpaid::new(billed, &product.terms, today)]);
        }
    }
    charge_off(connection, &mut told).await?;
    notice::raise(connection, &told.notices).await?;
    Ok(outbox::store::enqueue(connection, &told.messages).await?)
}
