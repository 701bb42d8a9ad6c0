//! SQL of lateness: which unpaid bills reach a stage today. Bills that reach none are not read.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::id::{BorrowerId, LineId, ProductId};
use crate::base::{AccountRange, BusinessDay};

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

/// The first line of every chunk but the first, over the unpaid bills of these due days and the lines that are to be looked at
/// once as a whole.
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
