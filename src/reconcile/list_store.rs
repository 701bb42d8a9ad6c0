//! SQL that lists breaks for operators.

use serde::Serialize;
use sqlx::PgConnection;

use super::model::{BreakKind, BreakStatus, Correction};
use crate::base::id::{BreakId, LineId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// A break, with the present state of our order that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub break_id: BreakId,
    pub kind: BreakKind,
    pub status: BreakStatus,
    /// Calendar days from its opening until today, or until it was closed.
    pub age_days: i32,
    pub channel: String,
    /// The day of the file, or of the order whose channel contradicted itself.
    pub business_day: BusinessDay,
    pub withholding_id: WithholdingId,
    /// `None` if the order is not ours; so is `order_status`.
    pub line_id: Option<LineId>,
    pub order_status: Option<String>,
    pub our_fen: Fen,
    pub their_fen: Fen,
    pub proposed: Correction,
    /// The number of the present proposal, which a confirmation has to name.
    pub proposal_no: i32,
    /// `comparison`, `callback`, or a person.
    pub proposed_by: String,
    /// Who is responsible for it: whoever proposed the present correction, until somebody else takes the break.
    pub owner: String,
    pub confirmed_by: Option<String>,
    pub note: Option<String>,
    /// What the channel paid by hand to settle it; negative if money went back to the channel.
    pub settled_fen: Fen,
    pub opened_on: BusinessDay,
    pub closed_on: Option<BusinessDay>,
}

/// Filters of a list of breaks.
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
