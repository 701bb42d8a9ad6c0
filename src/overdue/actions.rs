//! After a payment was taken back: catches up on the stages of lateness that what it had paid would have reached while that counted
//! as paid.

use std::ops::Bound;

use sqlx::PgConnection;

use super::charge_off_actions::charge_off;
use super::stage::Stage;
use super::store;
use super::told::{Late, Told, Unpaid, reaching};
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{BusinessDay, When};
use crate::bill::BilledInstallment;
use crate::credit::Line;
use crate::product::Terms;
use crate::{bill, business_day, credit, notice, outbox};

/// Catches up on the stages that passed on a line while what owes again counted as paid: tells of them, people of the bills and the
/// funder of the installments, and charges off loans whose day for that has passed. The close cannot do it, because it looks at each
/// stage on the stage's own day only. Where the close of the last of these days has still to come to the line, it finds them told. What
/// is paid again by now is left out. The caller's transaction holds the line.
pub async fn tell_passed(connection: &mut PgConnection, app: &App, line_id: LineId) -> anyhow::Result<()> {
    let line = credit::store::find_line(connection, line_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let today = business_day::store::hold_today(connection).await?;
    let product = app.catalogue.get(connection, line.product_id, line.product_version).await?;
    let terms = &product.terms;
    let mut unpaid = Vec::new();
    for billed in bill::store::load_open_installments(connection, &[line.line_id.uuid()]).await? {
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        unpaid.push(Unpaid::new(billed, &product.terms, today));
    }
    let mut told = Told::new(When { business_day: today, at: app.clock.now() });
    tell_untold(connection, &line, terms, &unpaid, &mut told).await?;
    // Whatever was told of: the day of a loan's charge-off may lie further back.
    told.mark_for_charge_off(&terms.funder, &reaching(Stage::ChargeOff, terms, &unpaid, &(..today)));
    charge_off(connection, &mut told).await?;
    notice::raise(connection, &told.notices).await?;
    Ok(outbox::store::enqueue(connection, &told.messages).await?)
}

/// Tells of the stages before today of which nobody was told.
async fn tell_untold(
    connection: &mut PgConnection,
    line: &Line,
    terms: &Terms,
    unpaid: &[Unpaid],
    told: &mut Told,
) -> anyhow::Result<()> {
    let today = told.when.business_day;
    let since = |told_until: Option<BusinessDay>| {
        (told_until.map_or(Bound::Unbounded, Bound::Excluded), Bound::Excluded(today))
    };
    // The first stage: what has not reached it has reached none.
    let late = reaching(Stage::Overdue, terms, unpaid, &(..today));
    let bills: Vec<(LineId, BusinessDay)> = late.iter().map(|one| (line.line_id, one.billed.due_on())).collect();
    for ((line_id, due_on), told_until) in store::mark_people_told(connection, &bills, today.minus_days(1)).await? {
        let of_bill: Vec<&Unpaid> = unpaid.iter().filter(|one| one.billed.due_on() == due_on).collect();
        for stage in Stage::ALL {
            let by_now = reaching(stage, terms, of_bill.iter().copied(), &(..today));
            if !reaching(stage, terms, of_bill.iter().copied(), &since(told_until)).is_empty() {
                told.tell_people(stage, Late { line_id, borrower_id: line.borrower_id, due_on }, &by_now);
            }
        }
    }
    let installments: Vec<&BilledInstallment> = late.iter().map(|one| &one.billed).collect();
    let marked = store::mark_funder_told(connection, &installments, today.minus_days(1)).await?;
    for one in late {
        let Some(told_until) = marked.get(&(one.billed.loan_id, one.billed.period)) else { continue };
        for stage in Stage::ALL {
            told.tell_funder(stage, &terms.funder, &reaching(stage, terms, [one], &since(*told_until)));
        }
    }
    Ok(())
}
