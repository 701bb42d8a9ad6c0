//! SQL of breaks as operators see them.

use serde::Serialize;
use sqlx::PgConnection;

use super::model::{BreakKind, BreakStatus, Correction};
use crate::base::id::{BreakId, LineId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// A break, with our order that it is over as that stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub break_id: BreakId,
    pub kind: BreakKind,
    pub status: BreakStatus,
    /// Business days from its opening until today, or until its end.
    pub age_days: i32,
    pub channel: String,
    /// The day of the file, or of the order whose channel contradicted itself.
    pub business_day: BusinessDay,
    pub withholding_id: WithholdingId,
    /// `None`, as the next, where the order is not ours.
    pub line_id: Option<LineId>,
    pub order_status: Option<String>,
    pub our_fen: Fen,
    pub their_fen: Fen,
    pub proposed: Correction,
    /// Counts the proposals; whoever confirms one names it.
    pub proposal_no: i32,
    /// `comparison`, `callback`, or a person.
    pub proposed_by: String,
    /// Who looks after it: whoever proposed its correction, until somebody else takes it.
    pub owner: String,
    pub confirmed_by: Option<String>,
    pub note: Option<String>,
    /// What the channel paid by hand to settle it; less than zero where it got that back.
    pub settled_fen: Fen,
    pub opened_on: BusinessDay,
    pub closed_on: Option<BusinessDay>,
}

/// What narrows a list down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub break_id: Option<BreakId>,
    pub open_only: bool,
}

/// Breaks, newest first.
pub async fn list_breaks(connection: &mut PgConnection, wanted: Wanted, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select b.break_id as "break_id: BreakId", b.kind as "kind: BreakKind", b.status as "status: BreakStatus",
                  coalesce(b.closed_on, (select today from business_day), b.opened_on) - b.opened_on as "age_days!",
                  b.channel, b.business_day as "business_day: BusinessDay",
                  b.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id?: LineId",
                  w.status as "order_status?", b.our_fen as "our_fen: Fen", b.their_fen as "their_fen: Fen",
                  b.proposed as "proposed: Correction", b.proposal_no, b.proposed_by, b.owner, b.confirmed_by, b.note,
                  b.settled_fen as "settled_fen: Fen", b.opened_on as "opened_on: BusinessDay",
                  b.closed_on as "closed_on: BusinessDay"
           from reconciliation_break b left join withholding w on w.withholding_id = b.withholding_id
           where ($1::uuid is null or b.break_id = $1) and (b.status = 'open' or not $2)
           order by b.opened_on desc, b.break_id desc limit $3"#,
        wanted.break_id.map(BreakId::uuid),
        wanted.open_only,
        limit,
    )
    .fetch_all(connection)
    .await
}
