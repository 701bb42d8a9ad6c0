//! SQL of receipts: they are read from a merchant's notices, by number, so that the hot path of purchases writes nothing more for
//! them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::receipt::Takings;
use crate::base::id::{MerchantId, PurchaseId};
use crate::base::{BusinessDay, Fen};

/// The notices that are receipts.
pub const KINDS: [&str; 3] = ["payment_received", "purchase_voided", "refund"];

/// A notice of money that came in or went back.
#[derive(Debug)]
pub struct TellingRow {
    pub merchant_id: MerchantId,
    pub notice_no: i64,
    pub kind: String,
    pub body: Value,
    pub created_at: DateTime<Utc>,
}

/// Notices of a business day and later: of each merchant, in order, up to `limit` above its number.
pub async fn list_after(
    connection: &mut PgConnection,
    wanted: &[(MerchantId, i64)],
    day: BusinessDay,
    limit: i64,
) -> sqlx::Result<Vec<TellingRow>> {
    let merchants: Vec<Uuid> = wanted.iter().map(|(merchant_id, _)| merchant_id.uuid()).collect();
    let numbers: Vec<i64> = wanted.iter().map(|(_, number)| *number).collect();
    sqlx::query_as!(
        TellingRow,
        r#"select w.merchant_id as "merchant_id!: MerchantId", n.notice_no, n.kind, n.body, n.created_at
           from unnest($1::uuid[], $2::bigint[]) as w (merchant_id, after_no)
           cross join lateral (
               select notice_no, kind, body, created_at from notice
               where recipient_id = w.merchant_id and notice_no > w.after_no and kind = any($3) and business_day >= $4
               order by notice_no limit $5) n
           order by n.notice_no"#,
        &merchants,
        &numbers,
        &KINDS as &[&str],
        day.date(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// What a merchant was told on a business day, the newest first.
pub async fn list_of_day(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
    limit: i64,
) -> sqlx::Result<Vec<TellingRow>> {
    sqlx::query_as!(
        TellingRow,
        // No further back than the newest receipt of an earlier day: days do not mix, since purchases hold the day's lock.
        r#"select recipient_id as "merchant_id!: MerchantId", notice_no, kind, body, created_at from notice
         where recipient_id = $1 and business_day = $2 and kind = any($3)
               and notice_no > coalesce((select e.notice_no from notice e
                                         where e.recipient_id = $1 and e.business_day < $2 and e.kind = any($3)
                                         order by e.notice_no desc limit 1), 0)
         order by notice_no desc limit $4"#,
        merchant_id.uuid(),
        day.date(),
        &KINDS as &[&str],
        limit,
    )
    .fetch_all(connection)
    .await
}

/// How late a receipt may appear.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    pub now: DateTime<Utc>,
    /// How long after its own time.
    pub seconds_max: i32,
}

/// The number up to which nothing can appear that was not visible when `number` was (or is not now, where it is `None`): that of
/// the newest receipt which is older by `late.seconds_max`; zero where there is none.
pub async fn find_floor(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    number: Option<i64>,
    late: Lateness,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce((
               select e.notice_no from notice e
               where e.recipient_id = $1 and e.notice_no <= coalesce($2, 9223372036854775807)
                     and e.created_at < coalesce((select n.created_at from notice n
                                                  where n.recipient_id = $1 and n.notice_no = $2), $3)
                                        - make_interval(secs => $4::int)
               order by e.notice_no desc limit 1), 0) as "floor!""#,
        merchant_id.uuid(),
        number,
        late.now,
        late.seconds_max,
    )
    .fetch_one(connection)
    .await
}

/// What a page shows of a purchase that a notice names.
#[derive(Debug)]
pub struct PaidRow {
    pub purchase_id: PurchaseId,
    pub amount: Fen,
    pub periods: i16,
    pub description: Option<String>,
}

/// Those of these purchases that are a merchant's, with what a page shows of them.
pub async fn load_paid(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    purchase_ids: &[PurchaseId],
) -> sqlx::Result<Vec<PaidRow>> {
    let ids: Vec<Uuid> = purchase_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as!(
        PaidRow,
        r#"select p.purchase_id as "purchase_id: PurchaseId", p.amount_fen as "amount: Fen", p.periods,
                  h.description as "description?"
           from purchase p left join hand_order h on h.merchant_id = p.merchant_id and h.code_id = p.code_id
           where p.purchase_id = any($2) and p.merchant_id = $1"#,
        merchant_id.uuid(),
        &ids,
    )
    .fetch_all(connection)
    .await
}

/// What a business day has brought so far, from that day's notices alone.
pub async fn sum_takings(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<Takings> {
    sqlx::query_as!(
        Takings,
        r#"select coalesce(sum((body->>'count')::bigint) filter (where kind = 'payment_received'), 0)::bigint as "count!",
                  coalesce(sum((body->>'amount_fen')::bigint) filter (where kind = 'payment_received'), 0)::bigint
                      as "amount!: Fen",
                  coalesce(sum((body->>'amount_fen')::bigint) filter (where kind <> 'payment_received'), 0)::bigint
                      as "undone!: Fen"
           from notice
           where recipient_id = $1 and business_day = $2 and kind = any($3)
                 and notice_no > coalesce((select e.notice_no from notice e
                                           where e.recipient_id = $1 and e.business_day < $2 and e.kind = any($3)
                                           order by e.notice_no desc limit 1), 0)"#,
        merchant_id.uuid(),
        day.date(),
        &KINDS as &[&str],
    )
    .fetch_one(connection)
    .await
}
