//! SQL of purchases and refunds.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Decision, PurchaseRefusal, Receipt};
use super::refund::{ReducedInstallment, RefundParts};
use crate::base::id::{CodeId, FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId, RefundId};
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;

/// The earlier answer to a key of a line, with the fingerprint of the request that it answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Earlier {
    pub receipt: Receipt,
    pub fingerprint: [u8; 32],
}

/// Finds earlier answers for pairs of line and key.
pub async fn find_earlier(
    connection: &mut PgConnection,
    keys: &[(LineId, &str)],
) -> sqlx::Result<HashMap<(LineId, String), Earlier>> {
    let rows = sqlx::query!(
        r#"select p.line_id as "line_id: LineId", p.idempotency_key, p.request_sha256, p.purchase_id as "purchase_id: PurchaseId",
                  p.amount_fen as "amount: Fen", p.refusal, p.loan_id as "loan_id: LoanId"
           from unnest($1::uuid[], $2::text[]) as asked(line_id, idempotency_key)
           join purchase p on p.line_id = asked.line_id and p.idempotency_key = asked.idempotency_key"#,
        &keys.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &keys.iter().map(|(_, key)| *key).collect::<Vec<&str>>() as &[&str],
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let decision = stored_decision(row.loan_id, row.refusal.as_deref())?;
            let fingerprint = row.request_sha256.try_into().map_err(|_| decode("a fingerprint has 32 bytes"))?;
            let receipt = Receipt { purchase_id: row.purchase_id, amount: row.amount, decision };
            Ok(((row.line_id, row.idempotency_key), Earlier { receipt, fingerprint }))
        })
        .collect()
}

fn stored_decision(loan_id: Option<LoanId>, refusal: Option<&str>) -> sqlx::Result<Decision> {
    match (loan_id, refusal) {
        (Some(loan_id), None) => Ok(Decision::Authorised { loan_id }),
        (None, Some(code)) => PurchaseRefusal::from_code(code)
            .map(Decision::Refused)
            .ok_or_else(|| decode(&format!("{code:?} is not a refusal of a purchase"))),
        (_, _) => Err(decode("a purchase has either a loan or a refusal")),
    }
}

fn decode(message: &str) -> sqlx::Error {
    sqlx::Error::Decode(message.into())
}

/// A recorded purchase, for a void or a refund.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    pub purchase_id: PurchaseId,
    pub line_id: LineId,
    pub merchant_id: MerchantId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub order_code: Option<CodeId>,
    pub amount: Fen,
    pub status: PurchaseStatus,
    pub loan_id: Option<LoanId>,
    pub discount_fee: Fen,
    /// Whether a refund gives the discount fee back, as the merchant's agreement said at the purchase.
    pub discount_returned_on_refund: bool,
    pub subsidy: Fen,
    pub refunded: Fen,
    pub business_day: BusinessDay,
}

/// How a recorded purchase stands. A refused one has no loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PurchaseStatus {
    Authorised,
    Refused,
    Voided,
}

/// The line that a purchase belongs to: what must be locked before it.
pub async fn find_line_of(connection: &mut PgConnection, purchase_id: PurchaseId) -> sqlx::Result<Option<LineId>> {
    sqlx::query_scalar!(
        r#"select line_id as "line_id: LineId" from purchase where purchase_id = $1"#,
        purchase_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// A purchase, locked until the transaction ends.
pub async fn lock_purchase(connection: &mut PgConnection, purchase_id: PurchaseId) -> sqlx::Result<Purchase> {
    sqlx::query_as!(
        Purchase,
        r#"select purchase_id as "purchase_id: PurchaseId", line_id as "line_id: LineId", merchant_id as "merchant_id: MerchantId",
                  product_id as "product_id: ProductId", product_version, code_id as "order_code: CodeId",
                  amount_fen as "amount: Fen", status as "status: PurchaseStatus", loan_id as "loan_id: LoanId",
                  discount_fee_fen as "discount_fee: Fen", subsidy_fen as "subsidy: Fen", refunded_fen as "refunded: Fen",
                  business_day as "business_day: BusinessDay",
                  -- A purchase from before purchases kept it has what its merchant's agreement said until then.
                  coalesce(discount_returned_on_refund,
                           (select m.discount_returned_before from merchant m where m.merchant_id = purchase.merchant_id))
                      as "discount_returned_on_refund!"
           from purchase where purchase_id = $1 for update"#,
        purchase_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// Marks an authorised purchase as voided; `false` where it is not authorised any more.
pub async fn mark_voided(connection: &mut PgConnection, purchase: &Purchase) -> sqlx::Result<bool> {
    let marked = sqlx::query!(
        "update purchase set status = 'voided' where purchase_id = $1 and line_id = $2 and status = 'authorised' and refunded_fen = 0",
        purchase.purchase_id.uuid(),
        purchase.line_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// A refund as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    pub refund_id: RefundId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    pub loan_id: LoanId,
    pub merchant_id: MerchantId,
    pub funder_id: FunderId,
    pub idempotency_key: String,
    pub parts: RefundParts,
    pub interest_waived: Fen,
    /// Interest and fees that were paid and go back to the card.
    pub charges_back: Parts,
    /// The part of them that had been recovered after the loan was charged off.
    pub charges_back_recovered: Parts,
    pub installments: Vec<ReducedInstallment>,
    pub schedule_version: i32,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
}

impl Refund {
    /// All that is paid to the borrower's card: the merchant's part and the funder's.
    pub fn to_card(&self) -> Fen {
        self.parts.owed_back + self.charges_back.total()
    }
}

/// The earlier refund of a purchase under the first of some keys that has one: its id and amount.
pub async fn find_refund(
    connection: &mut PgConnection,
    purchase: &Purchase,
    idempotency_keys: &[Option<&str>],
) -> sqlx::Result<Option<(RefundId, Fen)>> {
    let row = sqlx::query!(
        r#"select refund_id as "refund_id: RefundId", amount_fen as "amount: Fen" from refund
           where line_id = $1 and purchase_id = $2 and idempotency_key = any($3::text[])
           order by array_position($3::text[], idempotency_key) limit 1"#,
        purchase.line_id.uuid(),
        purchase.purchase_id.uuid(),
        idempotency_keys as &[Option<&str>],
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.refund_id, row.amount)))
}

/// Records a refund.
pub async fn insert_refund(connection: &mut PgConnection, refund: &Refund) -> sqlx::Result<()> {
    let fen =
        |of: fn(&ReducedInstallment) -> Fen| refund.installments.iter().map(|one| of(one).get()).collect::<Vec<i64>>();
    sqlx::query!(
        "insert into refund (refund_id, line_id, purchase_id, loan_id, merchant_id, funder_id, idempotency_key, amount_fen,
                             principal_fell_fen, owed_back_fen, interest_waived_fen, discount_fee_returned_fen,
                             subsidy_returned_fen, schedule_version, business_day, created_at, interest_back_fen, fee_back_fen,
                             interest_back_recovered_fen, fee_back_recovered_fen, fell_periods, fell_principal_fen, fell_on,
                             fell_interest_fen, fell_fee_fen, back_interest_fen, back_fee_fen)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                 $26, $27)",
        refund.refund_id.uuid(),
        refund.line_id.uuid(),
        refund.purchase_id.uuid(),
        refund.loan_id.uuid(),
        refund.merchant_id.uuid(),
        refund.funder_id.uuid(),
        refund.idempotency_key,
        refund.parts.amount.get(),
        refund.parts.principal_fell.get(),
        refund.parts.owed_back.get(),
        refund.interest_waived.get(),
        refund.parts.discount_fee_returned.get(),
        refund.parts.subsidy_returned.get(),
        refund.schedule_version,
        refund.business_day.date(),
        refund.created_at,
        refund.charges_back.interest.get(),
        refund.charges_back.fee.get(),
        refund.charges_back_recovered.interest.get(),
        refund.charges_back_recovered.fee.get(),
        &refund.installments.iter().map(|one| one.period).collect::<Vec<i16>>(),
        &fen(|one| one.fell.principal),
        &refund.installments.iter().map(|one| one.fell_on.date()).collect::<Vec<NaiveDate>>(),
        &fen(|one| one.fell.interest),
        &fen(|one| one.fell.fee),
        &fen(|one| one.back.interest),
        &fen(|one| one.back.fee),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many refunds a purchase has.
pub async fn count_refunds(connection: &mut PgConnection, purchase: &Purchase) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from refund where line_id = $1 and purchase_id = $2"#,
        purchase.line_id.uuid(),
        purchase.purchase_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// Adds a refund to its purchase; `false` where it would exceed the amount.
pub async fn add_refunded(connection: &mut PgConnection, purchase: &Purchase, amount: Fen) -> sqlx::Result<bool> {
    let added = sqlx::query!(
        "update purchase set refunded_fen = refunded_fen + $3
         where purchase_id = $1 and line_id = $2 and status = 'authorised' and refunded_fen + $3 <= amount_fen",
        purchase.purchase_id.uuid(),
        purchase.line_id.uuid(),
        amount.get()
    )
    .execute(connection)
    .await?;
    Ok(added.rows_affected() == 1)
}
