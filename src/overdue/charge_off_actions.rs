//! Writing loans off in their funders' books.

use sqlx::PgConnection;

use super::charge_off_store as store;
use super::told::Told;
use crate::base::id::{LineId, LoanId};
use crate::ledger;

/// Charges off the loans of which it was said that they are to be, each once, in the caller's transaction, which holds their lines;
/// adds what their funders are told. Returns the number of loans.
pub(super) async fn charge_off(connection: &mut PgConnection, told: &mut Told) -> sqlx::Result<u64> {
    let due = std::mem::take(&mut told.to_charge_off);
    if due.is_empty() {
        return Ok(0);
    }
    let loans: Vec<(LineId, LoanId)> = due.iter().map(|(loan_id, (line_id, _))| (*line_id, *loan_id)).collect();
    let charge_offs = store::load_receivables(connection, &loans, told.day).await?;
    store::insert_charge_offs(connection, &charge_offs).await?;
    let postings: Vec<_> = charge_offs.iter().map(|charge_off| charge_off.posting(told.now)).collect();
    ledger::store::insert_postings(connection, &postings).await?;
    let now = told.now;
    told.messages.extend(charge_offs.iter().map(|charge_off| charge_off.message(&due[&charge_off.loan_id].1, now)));
    Ok(charge_offs.len() as u64)
}
