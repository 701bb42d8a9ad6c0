//! SQL of lines and applications as their funder sees them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::model::ApplicationStatus;
use crate::base::id::{ApplicationId, BorrowerId, FunderId, LineId, ProductId};
use crate::base::{BusinessDay, Fen, Wanted};

/// A credit line of one borrower with you.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineView {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    /// Version of the product's terms under which it was opened.
    #[schema(example = 1)]
    pub product_version: i32,
    /// The borrower's grade, which sets the price.
    #[schema(example = "A")]
    pub grade: String,
    /// `active`, `frozen` (no new purchases; its loans are repaid as before) or `closed`.
    #[schema(example = "active")]
    pub status: String,
    /// Why it is frozen: `overdue`, `risk` or `operator`, several separated by commas; null unless it is frozen.
    #[schema(example = "overdue")]
    pub frozen_for: Option<String>,
    /// Credit limit, in fen.
    pub limit_fen: Fen,
    /// Used part of the limit, in fen: the outstanding principal of all its loans.
    pub used_fen: Fen,
    /// Day of the month on which bills are issued, 1 to 28.
    #[schema(example = 5)]
    pub statement_day: i16,
    /// Day of the month on which bills are due, 1 to 31; in a shorter month its last day.
    #[schema(example = 25)]
    pub due_day: i16,
    /// Last day on which purchases can be made on it; its loans are repaid as before afterwards.
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

/// One journal entry of a credit line: a change of its limit, used amount or status.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineEntryView {
    /// Number of the entry within the line; higher is later.
    #[schema(example = 2)]
    pub entry_no: i64,
    /// What changed the line: `opened`, `purchase`, `void`, `refund`, `repayment`, `limit`, `freeze`, `unfreeze` or `close`.
    #[schema(example = "purchase")]
    pub kind: String,
    /// Change of the used amount, in fen; negative if it fell.
    pub used_change_fen: Fen,
    /// Change of the credit limit, in fen; negative if it was lowered.
    pub limit_change_fen: Fen,
    /// Used amount after the entry, in fen.
    pub used_after_fen: Fen,
    /// Credit limit after the entry, in fen.
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

/// A borrower's application for a credit line under one of your products.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApplicationView {
    pub application_id: ApplicationId,
    pub borrower_id: BorrowerId,
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    /// `submitted` (not decided yet), `referred` (a person decides), `with_funder` (waits for your final decision), `approved` or `refused`.
    #[schema(example = "approved")]
    pub status: String,
    /// Who decided: `scorecard`, `partner` (the risk partner), `person:NAME` (at the platform), `funder:SYSTEM: HOLDER` (one of your keys),
    /// `deadline` (your product's default decision) or `borrower` (who withdrew a consent); null while it is not decided.
    #[schema(example = "scorecard")]
    pub decided_by: Option<String>,
    /// Credit limit that the borrower asked for, in fen, which no approval may exceed; null if none was named.
    pub limit_requested_fen: Option<Fen>,
    /// Who approved it before it was put to you for your final decision, in the words of `decided_by`; null if the product needs none.
    #[schema(example = "scorecard")]
    pub proposed_by: Option<String>,
    /// Credit limit of that approval, in fen; you may lower it. Null if there is no such approval.
    pub proposed_limit_fen: Option<Fen>,
    /// Until when you may decide; then the product's default decision applies. Null if your final decision is not asked for.
    pub answer_by: Option<DateTime<Utc>>,
    /// When the borrower asked for a person's review of an automated refusal; null if no review was asked for.
    pub review_asked_at: Option<DateTime<Utc>>,
    /// Code of the reason for a refusal: one of yours, of the risk partner, or of the platform, such as `score_too_low`, `grade_not_offered`,
    /// `limit_below_minimum`, `line_open`, `funder_silent` or `consent_withdrawn`; null if it was not refused.
    #[schema(example = "score_too_low")]
    pub refusal: Option<String>,
    /// Score of the scorecard or the risk partner; null if there is none.
    #[schema(example = 712)]
    pub score: Option<i32>,
    /// Grade that was approved or proposed; null if there is none.
    #[schema(example = "A")]
    pub grade: Option<String>,
    /// Credit limit that was approved or proposed, in fen; null if there is none.
    pub limit_fen: Option<Fen>,
    /// The credit line that the approval opened; null unless the application is `approved`.
    pub line_id: Option<LineId>,
    pub created_at: DateTime<Utc>,
    /// When it was decided; null while it is not.
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
