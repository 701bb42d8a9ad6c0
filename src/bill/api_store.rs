//! SQL of bills as their funder sees them.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::base::id::{FunderId, LineId};
use crate::base::{BusinessDay, Fen};

/// A monthly bill of a credit line: all installments of its loans that fall due on one day, with the amounts as they were billed.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillView {
    pub line_id: LineId,
    /// Due date.
    pub due_on: BusinessDay,
    /// Statement date: the business day for which the bill was issued.
    pub statement_on: BusinessDay,
    /// Principal billed, in fen.
    pub principal_fen: Fen,
    /// Interest billed, in fen.
    pub interest_fen: Fen,
    /// Fees billed, in fen: period fees of `flat_fee` plans and guarantee charges.
    pub fee_fen: Fen,
    /// `open`, or `paid` once nothing of it is owed any more, penalty interest included, by repayments or refunds.
    #[schema(example = "open")]
    pub status: String,
    /// The business day on which it became `paid`; null while it is open.
    pub paid_on: Option<BusinessDay>,
}

/// Which of a line's bills are read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub line_id: LineId,
    /// Only bills that are due after this day.
    pub after: Option<BusinessDay>,
}

/// A line's bills, the oldest first; none where the line is another funder's.
pub async fn list_bills(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted,
    limit: i64,
) -> sqlx::Result<Vec<BillView>> {
    sqlx::query_as!(
        BillView,
        r#"select b.line_id as "line_id: LineId", b.due_on as "due_on: BusinessDay",
                  b.statement_on as "statement_on: BusinessDay", b.principal_fen as "principal_fen: Fen",
                  b.interest_fen as "interest_fen: Fen", b.fee_fen as "fee_fen: Fen", b.status,
                  b.paid_on as "paid_on: BusinessDay"
           from bill b join credit_line l using (line_id)
           where b.line_id = $2 and l.funder_id = $1 and ($3::date is null or b.due_on > $3)
           order by b.due_on limit $4"#,
        funder_id.uuid(),
        wanted.line_id.uuid(),
        wanted.after.map(BusinessDay::date),
        limit,
    )
    .fetch_all(connection)
    .await
}
