//! Charging loans off in their funders' books: which loans are due for it, and the booking itself.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::charge_off_store as store;
use super::stage::Stage;
use super::told::{Told, Unpaid, reaching};
use crate::app::App;
use crate::base::id::{LineId, LoanId, ProductId};
use crate::credit::Line;
use crate::{bill, ledger};

/// Charges off the loans that `told` has marked, each once, and adds the messages to their funders to it. The caller's
/// transaction holds the lines. Returns the number of loans.
pub(super) async fn charge_off(connection: &mut PgConnection, told: &mut Told) -> sqlx::Result<u64> {
    let due = std::mem::take(&mut told.to_charge_off);
    if due.is_empty() {
        return Ok(0);
    }
    let loans: Vec<(LineId, LoanId)> = due.iter().map(|(loan_id, to)| (to.line_id, *loan_id)).collect();
    let charge_offs = store::load_receivables(connection, &loans, told.when.business_day).await?;
    store::insert_charge_offs(connection, &charge_offs).await?;
    let postings: Vec<_> = charge_offs.iter().map(|charge_off| charge_off.posting(told.when.at)).collect();
    ledger::store::insert_postings(connection, &postings).await?;
    let now = told.when.at;
    told.messages
        .extend(charge_offs.iter().map(|charge_off| charge_off.message(&due[&charge_off.loan_id].funder, now)));
    Ok(charge_offs.len() as u64)
}

/// Marks the loans of these lines whose day of charge-off has passed, on whatever day that was: for lines that were late before
/// the house charged loans off. The caller holds the lines.
pub(super) async fn look_back(
    connection: &mut PgConnection,
    app: &App,
    lines: &[Line],
    told: &mut Told,
) -> anyhow::Result<()> {
    let product_of: BTreeMap<LineId, (ProductId, i32)> =
        lines.iter().map(|line| (line.line_id, (line.product_id, line.product_version))).collect();
    if product_of.is_empty() {
        return Ok(());
    }
    let line_ids: Vec<Uuid> = product_of.keys().map(|line_id| line_id.uuid()).collect();
    for billed in bill::store::load_open_installments(connection, &line_ids).await? {
        let (product_id, version) = product_of[&billed.line_id];
        let of_line = app.catalogue.get(connection, product_id, version).await?;
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        let day = told.when.business_day;
        let unpaid = Unpaid::new(billed, &product.terms, day);
        let due = reaching(Stage::ChargeOff, &of_line.terms, [&unpaid], &(..=day));
        told.mark_for_charge_off(&of_line.terms.funder, &due);
    }
    Ok(())
}
