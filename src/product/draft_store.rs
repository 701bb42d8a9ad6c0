//! SQL of drafts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::draft::{Draft, DraftStatus};
use crate::base::Wanted;
use crate::base::id::{FunderId, ProductDraftId};

/// The request that submitted a draft.
pub struct Submission<'a> {
    pub partner_id: Uuid,
    pub idempotency_key: &'a str,
    pub text_sha256: [u8; 32],
}

/// Writes a draft; `false` if the same request has made one before.
pub async fn insert_draft(
    connection: &mut PgConnection,
    draft: &Draft,
    submission: &Submission<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into product_draft (draft_id, funder_id, code, terms_text, status, submitted_by, submitted_at, partner_id,
                                    idempotency_key, submitted_sha256)
         values ($1, $2, $3, $4, 'submitted', $5, $6, $7, $8, $9)
         on conflict on constraint product_draft_is_submitted_once do nothing",
        draft.draft_id.uuid(),
        draft.funder_id.uuid(),
        draft.code,
        draft.terms_text,
        draft.submitted_by,
        draft.submitted_at,
        submission.partner_id,
        submission.idempotency_key,
        submission.text_sha256.as_slice(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The draft that a request has made.
pub async fn find_submitted(
    connection: &mut PgConnection,
    submission: &Submission<'_>,
) -> sqlx::Result<ProductDraftId> {
    sqlx::query_scalar!(
        r#"select draft_id as "draft_id: ProductDraftId" from product_draft
           where partner_id = $1 and idempotency_key = $2 and submitted_sha256 = $3"#,
        submission.partner_id,
        submission.idempotency_key,
        submission.text_sha256.as_slice(),
    )
    .fetch_one(connection)
    .await
}

/// A funder's drafts, the oldest first.
pub async fn list_drafts(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: Wanted<ProductDraftId>,
    limit: i64,
) -> sqlx::Result<Vec<Draft>> {
    sqlx::query_as!(
        Draft,
        r#"select draft_id as "draft_id: ProductDraftId", funder_id as "funder_id: FunderId", code, terms_text, edit_no,
                  status as "status: DraftStatus", submitted_by, submitted_at, approved_by, approved_at, published_version
           from product_draft
           where funder_id = $1 and ($2::uuid is null or draft_id = $2) and ($3::uuid is null or draft_id > $3)
           order by draft_id limit $4"#,
        funder_id.uuid(),
        wanted.id().map(ProductDraftId::uuid),
        wanted.after().map(ProductDraftId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Replaces the text of a draft that waits for approval; `false` if it does not, or was edited since.
pub async fn edit_draft(connection: &mut PgConnection, draft: &Draft, edit_no: i32) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update product_draft set code = $3, terms_text = $4, submitted_by = $5, submitted_at = $6, edit_no = edit_no + 1
         where draft_id = $1 and edit_no = $2 and status = 'submitted'",
        draft.draft_id.uuid(),
        edit_no,
        draft.code,
        draft.terms_text,
        draft.submitted_by,
        draft.submitted_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Approves an edit that waits for approval; `false` if it does not, was edited since, or was submitted by the approver.
pub async fn approve_draft(
    connection: &mut PgConnection,
    draft_id: ProductDraftId,
    edit_no: i32,
    by: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update product_draft set status = 'approved', approved_by = $3, approved_at = $4
         where draft_id = $1 and edit_no = $2 and status = 'submitted' and lower(submitted_by) <> lower($3)",
        draft_id.uuid(),
        edit_no,
        by,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records the version that an approved draft became; `false` if another request has just done so.
pub async fn mark_published(
    connection: &mut PgConnection,
    draft_id: ProductDraftId,
    version: i32,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update product_draft set status = 'published', published_version = $2 where draft_id = $1 and status = 'approved'",
        draft_id.uuid(),
        version,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
