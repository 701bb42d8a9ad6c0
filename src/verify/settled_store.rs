//! Open bills that are settled to the last fen of penalty. Penalty follows from the terms of products, which SQL does not read: a
//! query finds the bills that owe penalty at most, and the rule by which it is collected says whether they do.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{FINDINGS_MAX, Finding};
use crate::base::id::LineId;
use crate::base::{BusinessDay, Fen};
use crate::product::Catalogue;
use crate::repayment::account::OpenInstallment;
use crate::{bill, business_day};

/// Open bills of which nothing is owed though late principal has left its fen-days behind.
///
/// # Errors
/// Failures of the database, and a published product text that cannot be read.
pub async fn find_settled(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let bills = list_owing_penalty_at_most(&mut *connection).await?;
    if bills.is_empty() {
        return Ok(Vec::new());
    }
    let today = business_day::store::today(&mut *connection).await?;
    let mut line_ids: Vec<Uuid> = bills.iter().map(|(line_id, _)| line_id.uuid()).collect();
    line_ids.dedup();
    let mut owed: BTreeMap<(LineId, BusinessDay), Fen> = bills.into_iter().map(|bill| (bill, Fen::ZERO)).collect();
    let catalogue = Catalogue::default();
    for billed in bill::store::load_open_installments(&mut *connection, &line_ids).await? {
        let Some(owed) = owed.get_mut(&(billed.line_id, billed.due_on())) else { continue };
        let product = catalogue.get(&mut *connection, billed.product_id, billed.product_version).await;
        let product = product.map_err(|error| sqlx::Error::Decode(error.into()))?;
        *owed += OpenInstallment::new(billed, product).owed_on(today).total();
    }
    let settled = owed.into_iter().filter(|(_, fen)| fen.is_zero()).map(|((line_id, due_on), _)| Finding {
        identity,
        subject: format!("{} due {due_on} open", line_id.uuid()),
        expected: 1,
        found: 0,
    });
    Ok(settled.take(FINDINGS_MAX as usize).collect())
}

/// In the order of lines.
async fn list_owing_penalty_at_most(connection: &mut PgConnection) -> sqlx::Result<Vec<(LineId, BusinessDay)>> {
    let rows = sqlx::query!(
        r#"select b.line_id as "line_id: LineId", b.due_on as "due_on: BusinessDay"
           from bill b
           where b.status = 'open'
             and exists (select from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
                         where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement' and i.fen_days > 0)
             and not exists (select from bill_line i
                             where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
                               and (i.principal_fen > i.principal_paid_fen + i.principal_returned_fen
                                 or i.interest_fen > i.interest_paid_fen + i.interest_returned_fen
                                 or i.fee_fen > i.fee_paid_fen + i.fee_returned_fen))
           order by b.line_id, b.due_on"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_id, row.due_on)).collect())
}
