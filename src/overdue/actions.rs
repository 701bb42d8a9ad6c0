//! Makes up for stages of lateness whose day passed while a bill counted as paid.

use sqlx::PgConnection;

use super::charge_off_actions::charge_off;
use super::stage::Stage;
use super::told::{Late, Told, Unpaid};
use crate::app::App;
use crate::base::When;
use crate::base::id::LineId;
use crate::bill::ReopenedBill;
use crate::{bill, business_day, credit, notice, outbox};

/// Makes up for the stages whose day passed while bills of a line counted as paid: tells of them, and writes off loans whose
/// day of charge-off is past. The close cannot do it, as it looks at each stage's own day only. Bills that are settled again by now
/// are not told of. The caller's transaction holds the line.
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
        // Before it was paid, the close has told; today's still does.
        let has_passed = |stage: &Stage| (bill.paid_on..today).contains(&stage.day_of(terms, bill.due_on));
        for stage in Stage::ALL.into_iter().filter(has_passed) {
            told.reached(stage, late, &terms.funder, &unpaid);
        }
    }
    // A loan may owe again its part of a bill that others kept open all along.
    for billed in installments {
        if Stage::ChargeOff.day_of(terms, billed.due_on()) < today {
            let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
            told.charge_off_due(&terms.funder, &[Unpaid::new(billed, &product.terms, today)]);
        }
    }
    charge_off(connection, &mut told).await?;
    notice::raise(connection, &told.notices).await?;
    Ok(outbox::store::enqueue(connection, &told.messages).await?)
}
