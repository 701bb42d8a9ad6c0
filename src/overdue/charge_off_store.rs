//! SQL of charge-offs: what a funder's book holds as receivable of a loan, and the one row that records its charge-off.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::charge_off::ChargeOff;
use crate::base::id::{FunderId, LineId, LoanId};
use crate::base::{AccountRange, BusinessDay, Fen};

/// What the funders' books hold of these loans (each named by its line, too) on `day`, in the order of lines; without those that
/// are not open or were charged off before. The caller holds the lines' locks.
///
/// Interest and fee of a row are earned in full by its due day. Charges that a payoff waived after they were billed count as
/// returned on the bill line and have left the schedule, too; they are deducted only once.
pub async fn load_receivables(
    connection: &mut PgConnection,
    loans: &[(LineId, LoanId)],
    day: BusinessDay,
) -> sqlx::Result<Vec<ChargeOff>> {
    let (line_ids, loan_ids): (Vec<Uuid>, Vec<Uuid>) =
        loans.iter().map(|(line_id, loan_id)| (line_id.uuid(), loan_id.uuid())).unzip();
    sqlx::query_as!(
        ChargeOff,
        r#"select l.loan_id as "loan_id!: LoanId", l.line_id as "line_id!: LineId", l.funder_id as "funder_id!: FunderId",
                  $3::date as "business_day!: BusinessDay", l.schedule_version as "schedule_version!",
                  l.principal_fen - l.principal_paid_fen - l.principal_returned_fen as "principal!: Fen",
                  earned.interest - settled.interest as "interest!: Fen", earned.fee - settled.fee as "fee!: Fen",
                  l.claim_paid_fen - l.claim_recovered_fen as "covered!: Fen"
           from unnest($1::uuid[], $2::uuid[]) as late(line_id, loan_id)
           join loan l on l.loan_id = late.loan_id and l.line_id = late.line_id
           join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
           cross join lateral (
               select coalesce(sum(a.interest_fen), 0)::bigint as interest, coalesce(sum(a.fee_fen), 0)::bigint as fee
               from unnest(s.due_on, s.interest_fen, s.fee_fen) as a(due_on, interest_fen, fee_fen)
               where a.due_on <= $3) earned
           cross join lateral (
               select coalesce(sum(i.interest_paid_fen + i.interest_returned_fen
                                   - i.interest_fen + s.interest_fen[i.period]), 0)::bigint as interest,
                      coalesce(sum(i.fee_paid_fen + i.fee_returned_fen - i.fee_fen + s.fee_fen[i.period]), 0)::bigint as fee
               from bill_line i where i.line_id = l.line_id and i.loan_id = l.loan_id) settled
           where l.status = 'open'
             and not exists (select from charge_off c where c.line_id = l.line_id and c.loan_id = l.loan_id)
           order by l.line_id, l.loan_id"#,
        &line_ids,
        &loan_ids,
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// Removes the lines of `range` from the list of those to be looked back at, and returns them. The list holds, once, the lines
/// that were late before the house charged loans off.
pub async fn take_look_back(connection: &mut PgConnection, range: AccountRange) -> sqlx::Result<BTreeSet<LineId>> {
    let taken = sqlx::query_scalar!(
        r#"delete from charge_off_look_back where line_id between $1 and $2 returning line_id as "line_id: LineId""#,
        range.from,
        range.to
    )
    .fetch_all(connection)
    .await?;
    Ok(taken.into_iter().collect())
}

/// Records charge-offs, one row for each loan.
pub async fn insert_charge_offs(connection: &mut PgConnection, charge_offs: &[ChargeOff]) -> sqlx::Result<()> {
    if charge_offs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into charge_off (line_id, loan_id, funder_id, business_day, schedule_version, principal_fen, interest_fen,
                                 fee_fen, posting_id, covered_fen)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::int[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::uuid[], $10::bigint[])",
        &charge_offs.iter().map(|one| one.line_id.uuid()).collect::<Vec<Uuid>>(),
        &charge_offs.iter().map(|one| one.loan_id.uuid()).collect::<Vec<Uuid>>(),
        &charge_offs.iter().map(|one| one.funder_id.uuid()).collect::<Vec<Uuid>>(),
        &charge_offs.iter().map(|one| one.business_day.date()).collect::<Vec<NaiveDate>>(),
        &charge_offs.iter().map(|one| one.schedule_version).collect::<Vec<i32>>(),
        &charge_offs.iter().map(|one| one.principal.get()).collect::<Vec<i64>>(),
        &charge_offs.iter().map(|one| one.interest.get()).collect::<Vec<i64>>(),
        &charge_offs.iter().map(|one| one.fee.get()).collect::<Vec<i64>>(),
        &charge_offs.iter().map(|one| one.posting_id()).collect::<Vec<Uuid>>(),
        &charge_offs.iter().map(|one| one.covered.get()).collect::<Vec<i64>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
