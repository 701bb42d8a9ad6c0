//! SQL of applications: drafts, what an applicant or an operator sees of one, applying again.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::MerchantStatus;
use super::store::NewMerchant;
use crate::base::id::MerchantId;

/// A draft as stored.
pub struct DraftRow {
    pub draft_id: Uuid,
    /// The refused application that it corrects.
    pub corrects: Option<MerchantId>,
    pub fields_sealed: Vec<u8>,
}

/// The draft of a mobile.
pub async fn find_draft(connection: &mut PgConnection, mobile_hash: &[u8; 32]) -> sqlx::Result<Option<DraftRow>> {
    sqlx::query_as!(
        DraftRow,
        r#"select draft_id, merchant_id as "corrects: MerchantId", fields_sealed from onboarding_draft where mobile_hash = $1"#,
        mobile_hash
    )
    .fetch_optional(connection)
    .await
}

/// Stores the draft of a mobile in place of its former one.
pub async fn put_draft(
    connection: &mut PgConnection,
    mobile_hash: &[u8; 32],
    draft: &DraftRow,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into onboarding_draft (mobile_hash, draft_id, merchant_id, fields_sealed, updated_at)
         values ($1, $2, $3, $4, $5)
         on conflict (mobile_hash)
         do update set draft_id = excluded.draft_id, merchant_id = excluded.merchant_id,
                       fields_sealed = excluded.fields_sealed, updated_at = excluded.updated_at",
        mobile_hash,
        draft.draft_id,
        draft.corrects.map(MerchantId::uuid),
        draft.fields_sealed,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the draft of a mobile, if there is one.
pub async fn delete_draft(connection: &mut PgConnection, mobile_hash: &[u8; 32]) -> sqlx::Result<()> {
    sqlx::query!("delete from onboarding_draft where mobile_hash = $1", mobile_hash).execute(connection).await?;
    Ok(())
}

/// Deletes drafts last changed before then; returns how many.
pub async fn delete_old_drafts(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from onboarding_draft where updated_at < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Replaces a refused application by a corrected one, which waits for a decision again, and writes the event; false when it
/// is not refused.
pub async fn resubmit(
    connection: &mut PgConnection,
    merchant: &NewMerchant<'_>,
    changed_by: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with moved as (
             update merchant
             set name = $2, credit_code = $3, category = $4, contact_mobile_sealed = $5, settlement_account_name = $6,
                 settlement_account_sealed = $7, settlement_account_tail = $8, latin_name = $9, latin_city = $10,
                 status = 'submitted', status_reason = null, decided_at = null
             where merchant_id = $1 and status = 'refused'
             returning merchant_id)
         insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at)
         select merchant_id, 'resubmit', $11, 'applied again', $12 from moved",
        merchant.merchant_id.uuid(),
        merchant.name,
        merchant.credit_code,
        merchant.category,
        merchant.contact_mobile_sealed,
        merchant.account_name,
        merchant.account_sealed,
        merchant.account_tail,
        merchant.latin_name,
        merchant.latin_city,
        changed_by,
        merchant.created_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How often an application was corrected after a refusal and sent again.
pub async fn count_corrections(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from merchant_event where merchant_id = $1 and decision = 'resubmit'"#,
        merchant_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// An application as its applicant and operators see it.
#[derive(Clone, Debug)]
pub struct ApplicationRow {
    pub merchant_id: MerchantId,
    pub name: String,
    pub credit_code: String,
    pub category: String,
    pub status: MerchantStatus,
    pub status_reason: Option<String>,
    pub account_name: String,
    pub account_tail: String,
    pub latin_name: Option<String>,
    pub latin_city: Option<String>,
    pub discount_rate: Decimal,
    pub discount_returned_on_refund: bool,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// The application of one merchant.
pub async fn find_application(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<ApplicationRow>> {
    let wanted = Wanted { merchant_id: Some(merchant_id), ..Wanted::default() };
    Ok(list_applications(connection, wanted, 1).await?.pop())
}

/// Filters of the list of merchants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only this one.
    pub merchant_id: Option<MerchantId>,
    pub status: Option<MerchantStatus>,
    /// Only those of which one person has stated another account or agreement, or the release of payouts, and a second one has not.
    pub proposed_only: bool,
    /// Only those whose payouts are held.
    pub held_only: bool,
    /// Only those that applied later than this one.
    pub after: Option<MerchantId>,
}

/// Merchants in the order of their applications.
pub async fn list_applications(
    connection: &mut PgConnection,
    wanted: Wanted,
    limit: i64,
) -> sqlx::Result<Vec<ApplicationRow>> {
    sqlx::query_as!(
        ApplicationRow,
        r#"select merchant_id as "merchant_id: MerchantId", name, credit_code, category,
                  status as "status: MerchantStatus", status_reason, settlement_account_name as account_name,
                  settlement_account_tail as account_tail, latin_name, latin_city, discount_rate,
                  discount_returned_on_refund, created_at, decided_at
           from merchant
           where ($1::uuid is null or merchant_id = $1) and ($2::text is null or status = $2)
                 and ($3::uuid is null or merchant_id > $3)
                 and (account_proposed_by is not null or agreement_proposed_by is not null
                      or merchant_id in (select h.merchant_id from payout_hold h where h.release_stated_by is not null) or not $5)
                 and (merchant_id in (select h.merchant_id from payout_hold h) or not $6)
           order by merchant_id limit $4"#,
        wanted.merchant_id.map(MerchantId::uuid),
        wanted.status as Option<MerchantStatus>,
        wanted.after.map(MerchantId::uuid),
        limit,
        wanted.proposed_only,
        wanted.held_only,
    )
    .fetch_all(connection)
    .await
}

/// What else was filed for the company of an application, in the order of filing.
pub async fn list_same_company(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Vec<(MerchantId, MerchantStatus)>> {
    let rows = sqlx::query!(
        r#"select o.merchant_id as "merchant_id: MerchantId", o.status as "status: MerchantStatus"
           from merchant m join merchant o on o.credit_code = m.credit_code and o.merchant_id <> m.merchant_id
           where m.merchant_id = $1 order by o.merchant_id"#,
        merchant_id.uuid()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.merchant_id, row.status)).collect())
}

/// One decision about a merchant, as it was taken.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub decision: String,
    pub decided_by: String,
    pub reason: String,
    pub occurred_at: DateTime<Utc>,
}

/// The decisions about a merchant, the oldest first.
pub async fn list_events(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as!(
        EventRow,
        "select decision, decided_by, reason, occurred_at from merchant_event where merchant_id = $1 order by event_no",
        merchant_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// The sealed mobiles of merchants' contacts; merchants without one are missing.
pub async fn list_contact_mobiles(
    connection: &mut PgConnection,
    merchant_ids: &[MerchantId],
) -> sqlx::Result<Vec<(MerchantId, Vec<u8>)>> {
    let ids: Vec<uuid::Uuid> = merchant_ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select merchant_id as "merchant_id: MerchantId", contact_mobile_sealed from merchant where merchant_id = any($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.merchant_id, row.contact_mobile_sealed?))).collect())
}
