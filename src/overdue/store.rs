//! SQL of lateness: which unpaid bills reach a stage today (bills that reach none are not read), and what is unpaid in all.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bucket::UnpaidOf;
use crate::base::id::{BorrowerId, FunderId, LineId, LoanId, ProductId};
use crate::base::{AccountRange, BusinessDay, Fen};
use crate::bill::BilledInstallment;

/// A due day whose unpaid bills may reach a stage, for the lines of one product version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StageDay {
    pub product_id: ProductId,
    pub product_version: i32,
    pub due_on: BusinessDay,
}

/// An unpaid bill that may reach a stage.
#[derive(Clone, Copy, Debug)]
pub struct LateBill {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub due_on: BusinessDay,
}

impl LateBill {
    /// The bill's key.
    pub fn bill(&self) -> (LineId, BusinessDay) {
        (self.line_id, self.due_on)
    }
}

/// The first line of every chunk but the first, where each chunk holds about `chunk_rows` unpaid bills of these due days, or
/// lines to be looked back at.
pub async fn cut_late(
    connection: &mut PgConnection,
    due_days: &[BusinessDay],
    chunk_rows: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"select distinct line_id as "line_id!" from (
               select line_id, row_number() over (order by line_id) as position
               from (select line_id from bill where status = 'open' and due_on = any($1)
                     union all
                     select line_id from charge_off_look_back) as late) as placed
           where position > 1 and (position - 1) % $2 = 0
           order by 1"#,
        &due_days.iter().map(|day| day.date()).collect::<Vec<NaiveDate>>(),
        chunk_rows.max(1)
    )
    .fetch_all(connection)
    .await
}

/// Records that people are told of the stages of these bills up to `day`. Returns those of which they had not been told so far, each with
/// the last day whose stages they had been told of. The caller holds the lines.
pub async fn mark_people_told(
    connection: &mut PgConnection,
    bills: &[(LineId, BusinessDay)],
    day: BusinessDay,
) -> sqlx::Result<BTreeMap<(LineId, BusinessDay), Option<BusinessDay>>> {
    if bills.is_empty() {
        return Ok(BTreeMap::new());
    }
    let marked = sqlx::query!(
        r#"update bill b set told_until = $3
           from (select b.line_id, b.due_on, b.told_until
                 from unnest($1::uuid[], $2::date[]) as late(line_id, due_on)
                 join bill b on b.line_id = late.line_id and b.due_on = late.due_on
                 where b.told_until is null or b.told_until < $3) as before
           where b.line_id = before.line_id and b.due_on = before.due_on
           returning b.line_id as "line_id!: LineId", b.due_on as "due_on!: BusinessDay",
                     before.told_until as "told_until?: BusinessDay""#,
        &bills.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &bills.iter().map(|(_, due_on)| due_on.date()).collect::<Vec<NaiveDate>>(),
        day.date()
    )
    .fetch_all(connection)
    .await?;
    Ok(marked.into_iter().map(|row| ((row.line_id, row.due_on), row.told_until)).collect())
}

/// Records that the funder is told of the stages of these installments up to `day`. Returns those of which it had not been told so far, by
/// loan and period, each with the last day whose stages it had been told of. The caller holds the lines.
pub async fn mark_funder_told(
    connection: &mut PgConnection,
    installments: &[&BilledInstallment],
    day: BusinessDay,
) -> sqlx::Result<BTreeMap<(LoanId, i16), Option<BusinessDay>>> {
    if installments.is_empty() {
        return Ok(BTreeMap::new());
    }
    let marked = sqlx::query!(
        r#"update bill_line i set told_until = $4
           from (select i.line_id, i.loan_id, i.period, i.told_until
                 from unnest($1::uuid[], $2::uuid[], $3::smallint[]) as late(line_id, loan_id, period)
                 join bill_line i on i.line_id = late.line_id and i.loan_id = late.loan_id and i.period = late.period
                 where i.told_until is null or i.told_until < $4) as before
           where i.line_id = before.line_id and i.loan_id = before.loan_id and i.period = before.period
           returning i.loan_id as "loan_id!: LoanId", i.period as "period!", before.told_until as "told_until?: BusinessDay""#,
        &installments.iter().map(|billed| billed.line_id.uuid()).collect::<Vec<Uuid>>(),
        &installments.iter().map(|billed| billed.loan_id.uuid()).collect::<Vec<Uuid>>(),
        &installments.iter().map(|billed| billed.period).collect::<Vec<i16>>(),
        day.date()
    )
    .fetch_all(connection)
    .await?;
    Ok(marked.into_iter().map(|row| ((row.loan_id, row.period), row.told_until)).collect())
}

/// The unpaid bills of `range` that are due on a stage's due day of their line's version.
pub async fn load_late_bills(
    connection: &mut PgConnection,
    stage_days: &[StageDay],
    range: AccountRange,
) -> sqlx::Result<Vec<LateBill>> {
    sqlx::query_as!(
        LateBill,
        r#"select l.line_id as "line_id: LineId", l.borrower_id as "borrower_id: BorrowerId",
                  l.product_id as "product_id: ProductId", l.product_version, b.due_on as "due_on: BusinessDay"
           from bill b
           -- Looked up one by one: joined, it would be read of every line of the range, late or not.
           cross join lateral (
               select line_id, borrower_id, product_id, product_version from credit_line where line_id = b.line_id limit 1) l
           where b.status = 'open' and b.due_on = any($3) and b.line_id between $4 and $5
             and (l.product_id, l.product_version, b.due_on) in (select * from unnest($1::uuid[], $2::int[], $3::date[]))
           order by l.line_id, b.due_on"#,
        &stage_days.iter().map(|day| day.product_id.uuid()).collect::<Vec<Uuid>>(),
        &stage_days.iter().map(|day| day.product_version).collect::<Vec<i32>>(),
        &stage_days.iter().map(|day| day.due_on.date()).collect::<Vec<NaiveDate>>(),
        range.from,
        range.to
    )
    .fetch_all(connection)
    .await
}

/// The open bills of a funder's lines, or of all, by due day, the oldest first. Reads every open bill: for reports.
pub async fn list_unpaid(connection: &mut PgConnection, funder_id: Option<FunderId>) -> sqlx::Result<Vec<UnpaidOf>> {
    sqlx::query_as!(
        UnpaidOf,
        r#"select b.due_on as "due_on: BusinessDay", count(distinct b.line_id) as "bills!",
                  coalesce(sum(i.principal_fen - i.principal_paid_fen - i.principal_returned_fen), 0)::bigint
                      as "principal!: Fen"
           from bill b join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
           where b.status = 'open'
             and ($1::uuid is null or b.line_id in (select line_id from credit_line where funder_id = $1))
           group by b.due_on order by b.due_on"#,
        funder_id.map(FunderId::uuid)
    )
    .fetch_all(connection)
    .await
}
