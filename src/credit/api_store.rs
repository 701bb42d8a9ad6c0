//! SQL of lines and applications as their funder sees them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::ApplicationStatus;
use crate::base::id::{ApplicationId, BorrowerId, FunderId, LineId, ProductId};
use crate::base::{BusinessDay, Fen, Wanted};

/// A credit line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    #[schema(example = "A")]
    pub grade: String,
    /// `active`, `frozen` or `closed`.
    #[schema(example = "active")]
    pub status: String,
    /// Every reason for which it is frozen, with commas; null while it is not.
    #[schema(example = "overdue")]
    pub frozen_for: Option<String>,
    pub limit_fen: Fen,
    /// Unpaid principal of all its loans.
    pub used_fen: Fen,
    #[schema(example = 5)]
    pub statement_day: i16,
    #[schema(example = 25)]
    pub due_day: i16,
    pub expires_on: BusinessDay,
    pub opened_at: DateTime<Utc>,
}

/// A funder's lines, the oldest first.
pub async fn list_lines(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted<LineId>,
    limit: i64,
) -> sqlx::Result<Vec<LineView>> {
    sqlx::query_as!(
        LineView,
        r#"select line_id as "line_id: LineId", borrower_id as "borrower_id: BorrowerId",
                  product_id as "product_id: ProductId", product_version, grade, status, frozen_for,
                  limit_fen as "limit_fen: Fen", used_fen as "used_fen: Fen", statement_day, due_day,
                  expires_on as "expires_on: BusinessDay", opened_at
           from credit_line
           where funder_id = $1 and ($2::uuid is null or line_id = $2) and ($3::uuid is null or line_id > $3)
           order by line_id limit $4"#,
        funder_id.uuid(),
        wanted.id().map(LineId::uuid),
        wanted.after().map(LineId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// One change of a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineEntryView {
    #[schema(example = 2)]
    pub entry_no: i64,
    /// `opened`, `purchase`, `void`, `refund`, `repayment`, `limit`, `freeze`, `unfreeze` or `close`.
    #[schema(example = "purchase")]
    pub kind: String,
    pub used_change_fen: Fen,
    pub limit_change_fen: Fen,
    pub used_after_fen: Fen,
    pub limit_after_fen: Fen,
    pub business_day: BusinessDay,
    pub occurred_at: DateTime<Utc>,
}

/// A line's journal after entry `after`.
pub async fn list_line_entries(
    connection: &mut PgConnection,
    line_id: LineId,
    after: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<LineEntryView>> {
    sqlx::query_as!(
        LineEntryView,
        r#"select entry_no, kind, used_change_fen as "used_change_fen: Fen", limit_change_fen as "limit_change_fen: Fen",
                  used_after_fen as "used_after_fen: Fen", limit_after_fen as "limit_after_fen: Fen",
                  business_day as "business_day: BusinessDay", occurred_at
           from line_entry where line_id = $1 and ($2::bigint is null or entry_no > $2) order by entry_no limit $3"#,
        line_id.uuid(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// An application for a line under one of the funder's products.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApplicationView {
    pub application_id: ApplicationId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    /// `submitted`, `referred` to a person, `with_funder` where your word is final, `approved` or `refused`.
    #[schema(example = "approved")]
    pub status: String,
    /// Whose decision it was: `scorecard`, `partner` (the risk partner), `person:NAME` of the house, `funder:SYSTEM: HOLDER` of yours,
    /// `deadline` where your product's default was taken, `borrower` where a consent was taken back; null until there is one.
    #[schema(example = "scorecard")]
    pub decided_by: Option<String>,
    /// The limit that was asked for, above which nobody goes; null where none was named.
    pub limit_requested_fen: Option<Fen>,
    /// Whose approval was put to you, where your word is final; null where the product does not ask for it.
    #[schema(example = "scorecard")]
    pub proposed_by: Option<String>,
    /// The limit that was put to you: you may lower it.
    pub proposed_limit_fen: Option<Fen>,
    /// Until when you may answer; then the product's default applies.
    pub answer_by: Option<DateTime<Utc>>,
    /// When its borrower asked that a person looks at what automation alone had refused; null where that was not asked.
    pub review_asked_at: Option<DateTime<Utc>>,
    /// Why it was refused, in the code of whoever refused it: yours, the risk partner's, or the house's own, such as `score_too_low`,
    /// `grade_not_offered`, `limit_below_minimum`, `line_open`, `funder_silent` or `consent_withdrawn`; null otherwise.
    #[schema(example = "score_too_low")]
    pub refusal: Option<String>,
    #[schema(example = 712)]
    pub score: Option<i32>,
    #[schema(example = "A")]
    pub grade: Option<String>,
    pub limit_fen: Option<Fen>,
    /// The line that an approval opened.
    pub line_id: Option<LineId>,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// What narrows a list of applications down.
#[derive(Clone, Debug, Default)]
pub struct WantedApplications {
    pub application_id: Option<ApplicationId>,
    pub status: Option<ApplicationStatus>,
    pub after: Option<ApplicationId>,
}

/// Applications for a funder's products, the oldest first.
pub async fn list_applications(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: &WantedApplications,
    limit: i64,
) -> sqlx::Result<Vec<ApplicationView>> {
    sqlx::query_as!(
        ApplicationView,
        r#"select a.application_id as "application_id: ApplicationId", a.borrower_id as "borrower_id: BorrowerId",
                  a.product_id as "product_id: ProductId", a.product_version, a.status, a.decided_by,
                  (a.facts->>'limit_requested_fen')::bigint as "limit_requested_fen: Fen", a.proposed_by,
                  a.proposed_limit_fen as "proposed_limit_fen: Fen", a.answer_by, a.review_asked_at, a.refusal, a.score,
                  a.grade, a.limit_fen as "limit_fen: Fen", a.line_id as "line_id: LineId", a.created_at, a.decided_at
           from application a join product p using (product_id)
           where p.funder_id = $1 and ($2::uuid is null or a.application_id = $2) and ($3::text is null or a.status = $3)
                 and ($4::uuid is null or a.application_id > $4)
           order by a.application_id limit $5"#,
        funder_id.uuid(),
        wanted.application_id.map(ApplicationId::uuid),
        wanted.status as Option<ApplicationStatus>,
        wanted.after.map(ApplicationId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}
