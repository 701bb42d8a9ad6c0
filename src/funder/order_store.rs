//! SQL of orders about reserves.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::order::{ReserveOrder, ReserveOrderKind, ReserveOrderStatus};
use crate::base::Fen;
use crate::base::id::{FunderId, ReserveOrderId};

/// Writes an order; `false` when its reference was noted before.
pub async fn insert_order(connection: &mut PgConnection, order: &ReserveOrder) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into reserve_order (order_id, funder_id, kind, amount_fen, reference, status, noted_by, noted_at, noted_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict do nothing",
        order.order_id.uuid(),
        order.funder_id.uuid(),
        order.kind as ReserveOrderKind,
        order.amount_fen.get(),
        order.reference,
        order.status as ReserveOrderStatus,
        order.noted_by,
        order.noted_at,
        order.noted_key.as_deref(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A query for whole orders; `$rest` goes on from the table.
macro_rules! select_orders {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            ReserveOrder,
            r#"select order_id as "order_id: ReserveOrderId", funder_id as "funder_id: FunderId", kind as "kind: ReserveOrderKind",
                      amount_fen as "amount_fen: Fen", reference, status as "status: ReserveOrderStatus", noted_by, noted_at,
                      noted_key, decided_by, reason, decided_at,
                      (select count(*) from reserve_order_refusal r where r.order_id = o.order_id) as "refused_before!"
               from reserve_order o "# + $rest,
            $($argument)*
        )
    };
}

/// The order of a kind that was noted under a bank's reference.
pub async fn find_order_by_reference(
    connection: &mut PgConnection,
    funder_id: FunderId,
    kind: ReserveOrderKind,
    reference: &str,
) -> sqlx::Result<Option<ReserveOrder>> {
    select_orders!(
        "where funder_id = $1 and kind = $2 and reference = $3",
        funder_id.uuid(),
        kind as ReserveOrderKind,
        reference,
    )
    .fetch_optional(connection)
    .await
}

/// An order by its id.
pub async fn find_order(connection: &mut PgConnection, order_id: ReserveOrderId) -> sqlx::Result<Option<ReserveOrder>> {
    select_orders!("where order_id = $1", order_id.uuid()).fetch_optional(connection).await
}

/// The order, locked until the transaction ends: it is decided once.
pub async fn lock_order(connection: &mut PgConnection, order_id: ReserveOrderId) -> sqlx::Result<Option<ReserveOrder>> {
    select_orders!("where order_id = $1 for update", order_id.uuid()).fetch_optional(connection).await
}

/// What narrows a list of orders down.
#[derive(Clone, Copy, Debug)]
pub struct WantedOrders {
    /// Only those behind this one.
    pub after: Option<ReserveOrderId>,
    /// Only those that were neither booked nor refused.
    pub waiting_only: bool,
}

/// Orders, the oldest first: a funder's, or everyone's.
pub async fn list_orders(
    connection: &mut PgConnection,
    funder_id: Option<FunderId>,
    wanted: WantedOrders,
    limit: i64,
) -> sqlx::Result<Vec<ReserveOrder>> {
    select_orders!(
        "where ($1::uuid is null or funder_id = $1) and ($2::uuid is null or order_id > $2)
               and (not $3 or status = 'noted')
         order by order_id limit $4",
        funder_id.map(FunderId::uuid),
        wanted.after.map(ReserveOrderId::uuid),
        wanted.waiting_only,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// How an order ended.
pub struct Decided<'a> {
    pub order_id: ReserveOrderId,
    pub status: ReserveOrderStatus,
    pub by: &'a str,
    pub reason: Option<&'a str>,
    pub at: DateTime<Utc>,
}

/// Ends an order that the caller has locked and found waiting.
pub async fn decide_order(connection: &mut PgConnection, decided: Decided<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update reserve_order set status = $2, decided_by = $3, reason = $4, decided_at = $5 where order_id = $1",
        decided.order_id.uuid(),
        decided.status as ReserveOrderStatus,
        decided.by,
        decided.reason,
        decided.at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the key under which a waiting order, which the caller has locked, was noted once more.
pub async fn keep_key(connection: &mut PgConnection, order_id: ReserveOrderId, key: &str) -> sqlx::Result<()> {
    sqlx::query!("update reserve_order set noted_key = $2 where order_id = $1", order_id.uuid(), key)
        .execute(connection)
        .await?;
    Ok(())
}

/// An order that is noted again.
pub struct NotedAgain<'a> {
    pub order_id: ReserveOrderId,
    /// The holder of the key that signed it.
    pub by: &'a str,
    /// The idempotency key of that request.
    pub key: &'a str,
    pub at: DateTime<Utc>,
}

/// Opens again a refused order that the caller has locked; its earlier notes and refusals are kept.
pub async fn reopen_order(connection: &mut PgConnection, noted: NotedAgain<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with kept as (
             insert into reserve_order_refusal (order_id, refusal_no, noted_by, noted_at, refused_by, reason, refused_at)
             select order_id, (select count(*)::int + 1 from reserve_order_refusal r where r.order_id = o.order_id),
                    noted_by, noted_at, decided_by, reason, decided_at
             from reserve_order o where order_id = $1 and status = 'refused')
         update reserve_order
         set status = 'noted', noted_by = $2, noted_at = $3, noted_key = $4, decided_by = null, reason = null, decided_at = null
         where order_id = $1 and status = 'refused'",
        noted.order_id.uuid(),
        noted.by,
        noted.at,
        noted.key,
    )
    .execute(connection)
    .await?;
    Ok(())
}
