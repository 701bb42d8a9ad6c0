//! SQL of lateness: which unpaid bills reach a stage today (bills that reach none are not read), and what is unpaid in all.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bucket::UnpaidOf;
use crate::base::id::{BorrowerId, FunderId, LineId, ProductId};
use crate::base::{AccountRange, BusinessDay, Fen};

/// A due day whose unpaid bills reach a stage, for the lines of one product version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StageDay {
    pub product_id: ProductId,
    pub product_version: i32,
    pub due_on: BusinessDay,
}

/// An unpaid bill that reaches a stage.
#[derive(Clone, Copy, Debug)]
pub struct LateBill {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub due_on: BusinessDay,
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

/// The last day whose late bills the close has looked for among those of a line, or is looking for; the line and `today` are held. A
/// close that has not come so far waits there, or leaves the line's chunk for later, until the transaction ends, and then finds what
/// it has left unpaid.
pub async fn hold_looked_for(
    connection: &mut PgConnection,
    line_id: LineId,
    today: BusinessDay,
) -> sqlx::Result<BusinessDay> {
    // The close plans each of its steps while it has this row locked.
    let running = sqlx::query_scalar!(
        r#"select business_day as "day: BusinessDay" from close_run where finished_at is null
           order by business_day limit 1 for share"#
    );
    let yesterday = today.minus_days(1);
    let Some(day) = running.fetch_optional(&mut *connection).await? else { return Ok(yesterday) };
    // A statement of its own: one that had to wait for the row would not see what was planned meanwhile.
    let is_planned = sqlx::query_scalar!(
        r#"select exists (select from close_chunk where business_day = $1 and step = 'overdue') as "is_planned!""#,
        day.date()
    );
    if !is_planned.fetch_one(&mut *connection).await? {
        return Ok(day.minus_days(1));
    }
    // A chunk in work is passed over: its worker may be waiting for the line.
    let waiting = sqlx::query_scalar!(
        "select chunk_no from close_chunk
         where business_day = $1 and step = 'overdue' and $2 between line_from and line_to and done_at is null
         for share skip locked",
        day.date(),
        line_id.uuid()
    );
    Ok(if waiting.fetch_optional(connection).await?.is_some() { day.minus_days(1) } else { yesterday })
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
