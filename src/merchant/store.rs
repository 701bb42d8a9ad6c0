//! SQL of merchants.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::agreement::Agreement;
use super::model::{Decision, MerchantStatus};
use crate::base::Rate;
use crate::base::id::MerchantId;

/// What a purchase must know of its merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantTerms {
    pub merchant_id: MerchantId,
    pub name: String,
    pub status: MerchantStatus,
    /// A [`super::Category`] code, as products list them.
    pub category: String,
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
    /// Whether its own system hears of payments.
    pub is_notified: bool,
}

impl MerchantTerms {
    /// What it agreed to pay for each purchase.
    pub fn agreement(&self) -> Agreement {
        let MerchantTerms { discount_rate, discount_returned_on_refund, .. } = *self;
        Agreement { discount_rate, discount_returned_on_refund }
    }
}

/// Merchants by id, in id order; unknown ids are left out.
pub async fn load_merchants(
    connection: &mut PgConnection,
    merchant_ids: &[MerchantId],
) -> sqlx::Result<Vec<MerchantTerms>> {
    let ids: Vec<Uuid> = merchant_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as!(
        MerchantTerms,
        r#"select merchant_id as "merchant_id: MerchantId", name, status as "status: MerchantStatus", category,
                  discount_rate as "discount_rate: Rate", discount_returned_on_refund,
                  notify_url is not null as "is_notified!"
           from merchant where merchant_id = any($1) order by merchant_id"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

/// A merchant as it applied, personal data sealed.
#[derive(Debug)]
pub struct NewMerchant<'a> {
    pub merchant_id: MerchantId,
    pub name: &'a str,
    pub credit_code: &'a str,
    pub category: &'a str,
    pub contact_mobile_sealed: Vec<u8>,
    pub account_name: &'a str,
    pub account_sealed: Vec<u8>,
    pub account_tail: &'a str,
    pub latin_name: Option<&'a str>,
    pub latin_city: Option<&'a str>,
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
    pub created_at: DateTime<Utc>,
}

/// Writes an application, beside others of its company.
pub async fn insert_merchant(connection: &mut PgConnection, merchant: &NewMerchant<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into merchant (merchant_id, name, credit_code, category, contact_mobile_sealed,
                               settlement_account_name, settlement_account_sealed, settlement_account_tail,
                               latin_name, latin_city, status, discount_rate, discount_returned_on_refund, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'submitted', $11, $12, $13)",
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
        merchant.discount_rate.fraction(),
        merchant.discount_returned_on_refund,
        merchant.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A merchant as an operator sees it; the account number stays sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantRecord {
    pub merchant_id: MerchantId,
    pub name: String,
    pub credit_code: String,
    pub category: String,
    pub status: MerchantStatus,
    pub account_name: String,
    pub account_tail: String,
    pub latin_name: Option<String>,
    pub latin_city: Option<String>,
    pub discount_rate: Decimal,
    pub discount_returned_on_refund: bool,
}

/// A query for merchants; `$rest` goes on from the table.
macro_rules! select_merchants {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            MerchantRecord,
            r#"select merchant_id as "merchant_id: MerchantId", name, credit_code, category,
                      status as "status: MerchantStatus", settlement_account_name as account_name,
                      settlement_account_tail as account_tail, latin_name, latin_city, discount_rate,
                      discount_returned_on_refund
               from merchant "# + $rest,
            $($argument)*
        )
    };
}

/// A merchant as an operator sees it.
pub async fn find_merchant(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<MerchantRecord>> {
    select_merchants!("where merchant_id = $1", merchant_id.uuid()).fetch_optional(connection).await
}

/// The link where the merchant takes payment from other wallets, if it has set one.
pub async fn find_other_link(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<String>> {
    let link = sqlx::query_scalar!("select other_link from merchant where merchant_id = $1", merchant_id.uuid());
    Ok(link.fetch_optional(connection).await?.flatten())
}

/// Sets the link where the merchant takes payment from other wallets; `None` removes it.
pub async fn update_other_link(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    link: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!("update merchant set other_link = $2 where merchant_id = $1", merchant_id.uuid(), link)
        .execute(connection)
        .await?;
    Ok(())
}

/// The one merchant account of a company: the application that was accepted.
pub async fn find_merchant_of_company(
    connection: &mut PgConnection,
    credit_code: &str,
) -> sqlx::Result<Option<MerchantRecord>> {
    select_merchants!("where credit_code = $1 and status in ('active', 'suspended', 'closed')", credit_code)
        .fetch_optional(connection)
        .await
}

/// All applications of a company, and `own`, locked in the order in which they were filed: whoever files or accepts one of
/// the company's at the same moment waits.
pub async fn lock_company(
    connection: &mut PgConnection,
    credit_code: &str,
    own: Option<MerchantId>,
) -> sqlx::Result<Vec<MerchantRecord>> {
    // Whoever this had to wait for may have filed another one, which only a statement that begins afterwards sees.
    lock_filed(connection, credit_code, own).await?;
    lock_filed(connection, credit_code, own).await
}

async fn lock_filed(
    connection: &mut PgConnection,
    credit_code: &str,
    own: Option<MerchantId>,
) -> sqlx::Result<Vec<MerchantRecord>> {
    select_merchants!(
        "where credit_code = $1 or merchant_id = $2 order by merchant_id for no key update",
        credit_code,
        own.map(MerchantId::uuid)
    )
    .fetch_all(connection)
    .await
}

/// The merchant's settlement account, sealed.
///
/// # Errors
/// `RowNotFound` when there is no such merchant.
pub async fn find_sealed_account(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Vec<u8>> {
    sqlx::query_scalar!("select settlement_account_sealed from merchant where merchant_id = $1", merchant_id.uuid())
        .fetch_one(connection)
        .await
}

/// A merchant's status, with the merchant locked; `None` where there is no such merchant.
pub async fn lock_status(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<MerchantStatus>> {
    sqlx::query_scalar!(
        r#"select status as "status: MerchantStatus" from merchant where merchant_id = $1 for no key update"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// One decision about a merchant: who, why, and the statuses on both sides.
#[derive(Debug)]
pub struct DecidedChange<'a> {
    pub merchant_id: MerchantId,
    pub decision: Decision,
    pub before: MerchantStatus,
    pub after: MerchantStatus,
    pub decided_by: &'a str,
    pub reason: &'a str,
    pub at: DateTime<Utc>,
}

/// Changes the status from `before` to `after`, and writes the event; false when it is not `before` any more.
pub async fn update_status(connection: &mut PgConnection, change: &DecidedChange<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with moved as (
             update merchant set status = $3, status_reason = $5, decided_at = $6
             where merchant_id = $1 and status = $2
             returning merchant_id)
         insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at)
         select merchant_id, $7, $4, $5, $6 from moved",
        change.merchant_id.uuid(),
        change.before as MerchantStatus,
        change.after as MerchantStatus,
        change.decided_by,
        change.reason,
        change.at,
        change.decision as Decision,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What somebody has decided about a merchant that leaves its status as it is.
#[derive(Debug)]
pub struct MerchantEvent<'a> {
    pub merchant_id: MerchantId,
    pub decision: &'static str,
    pub decided_by: &'a str,
    pub reason: &'a str,
    pub at: DateTime<Utc>,
}

/// Writes the event of such a decision.
pub async fn insert_event(connection: &mut PgConnection, event: &MerchantEvent<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at) values ($1, $2, $3, $4, $5)",
        event.merchant_id.uuid(),
        event.decision,
        event.decided_by,
        event.reason,
        event.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Refuses applications that still wait, with the events. Their `status_reason` stays empty: by that the pages know that
/// another application of the company was accepted.
pub async fn refuse_others(
    connection: &mut PgConnection,
    merchant_ids: &[MerchantId],
    accepted: &DecidedChange<'_>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = merchant_ids.iter().map(|id| id.uuid()).collect();
    let why = format!("{} of the same company was accepted", accepted.merchant_id);
    sqlx::query!(
        "with moved as (
             update merchant set status = 'refused', status_reason = null, decided_at = $4
             where merchant_id = any($1) and status = 'submitted'
             returning merchant_id)
         insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at)
         select merchant_id, 'refuse', $2, $3, $4 from moved order by merchant_id",
        &ids,
        accepted.decided_by,
        why,
        accepted.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A settlement account: the holder's name, the number sealed, and its last four digits.
#[derive(Debug)]
pub struct SealedAccount<'a> {
    pub name: &'a str,
    pub sealed: Vec<u8>,
    pub tail: &'a str,
}

/// A settlement account that one person has proposed, sealed.
#[derive(Debug)]
pub struct AccountProposal {
    pub sealed: Vec<u8>,
    pub by: String,
}

/// The account that is proposed for a merchant, with the merchant locked; `None` where none is.
pub async fn lock_account_proposal(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<AccountProposal>> {
    let row = sqlx::query!(
        "select account_proposed_sealed, account_proposed_by from merchant where merchant_id = $1 for no key update",
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| Some(AccountProposal { sealed: row.account_proposed_sealed?, by: row.account_proposed_by? })))
}

/// As [`lock_account_proposal`], without the lock.
pub async fn find_account_proposal(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Option<AccountProposal>> {
    let row = sqlx::query!(
        "select account_proposed_sealed, account_proposed_by from merchant where merchant_id = $1",
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| Some(AccountProposal { sealed: row.account_proposed_sealed?, by: row.account_proposed_by? })))
}

/// Stores a proposed account in place of any other.
pub async fn put_account_proposal(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    proposal: &AccountProposal,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update merchant set account_proposed_sealed = $2, account_proposed_by = $3 where merchant_id = $1",
        merchant_id.uuid(),
        proposal.sealed,
        proposal.by,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Replaces the settlement account, removes any proposal, and writes the event; false when there is no such merchant.
pub async fn update_settlement_account(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    account: &SealedAccount<'_>,
    changed_by: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with moved as (
             update merchant set settlement_account_name = $2, settlement_account_sealed = $3,
                                 settlement_account_tail = $4, account_proposed_sealed = null,
                                 account_proposed_by = null
             where merchant_id = $1
             returning merchant_id)
         insert into merchant_event (merchant_id, decision, decided_by, reason, occurred_at)
         select merchant_id, 'account', $5, 'settlement account ends with ' || $4, $6 from moved",
        merchant_id.uuid(),
        account.name,
        account.sealed,
        account.tail,
        changed_by,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
