//! SQL of merchants' codes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::code::{Code, CodeKind, CodeStatus};
use super::model::MerchantStatus;
use super::store::MerchantTerms;
use crate::access::FirstAnswer;
use crate::base::id::{CodeId, LineId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen, Rate};

struct CodeRow {
    code_id: CodeId,
    merchant_id: MerchantId,
    amount_fen: Option<i64>,
    order_reference: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    status: String,
    paid_purchase_id: Option<Uuid>,
}

impl From<CodeRow> for Code {
    fn from(row: CodeRow) -> Code {
        // The table's checks make these three appear together.
        let kind = match (row.amount_fen, row.order_reference, row.expires_at) {
            (Some(amount), Some(reference), Some(expires_at)) => {
                CodeKind::Order { amount: Fen::new(amount), reference, expires_at }
            }
            _ => CodeKind::Static,
        };
        let status = code_status(&row.status, row.paid_purchase_id);
        Code { code_id: row.code_id, merchant_id: row.merchant_id, kind, status }
    }
}

/// The status of a row of `merchant_code`.
pub(super) fn code_status(status: &str, paid_purchase_id: Option<Uuid>) -> CodeStatus {
    // The table's checks put a purchase on a paid or voided code alone.
    match (status, paid_purchase_id.map(PurchaseId::from_uuid)) {
        ("voided", Some(purchase_id)) => CodeStatus::Voided { purchase_id },
        (_, Some(purchase_id)) => CodeStatus::Paid { purchase_id },
        ("open", None) => CodeStatus::Open,
        (_, None) => CodeStatus::Closed,
    }
}

/// Writes a code of an active merchant unless it has its static code, or one for this order, already; true when it was written.
pub async fn insert_code(connection: &mut PgConnection, code: &Code, at: DateTime<Utc>) -> sqlx::Result<bool> {
    let (kind, order) = match &code.kind {
        CodeKind::Static => ("static", None),
        CodeKind::Order { amount, reference, expires_at } => ("order", Some((amount.get(), reference, *expires_at))),
    };
    let done = sqlx::query!(
        "insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, created_at)
         select $1, merchant_id, $3, $4, $5, $6, 'open', $7 from merchant where merchant_id = $2 and status = 'active'
         on conflict do nothing",
        code.code_id.uuid(),
        code.merchant_id.uuid(),
        kind,
        order.map(|(amount, ..)| amount),
        order.map(|(_, reference, _)| reference.as_str()),
        order.map(|(.., expires_at)| expires_at),
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An order's code to be written.
#[derive(Clone, Copy)]
pub struct NewOrderCode<'a> {
    pub code: &'a Code,
    pub at: DateTime<Utc>,
    /// Stored as the answer to the request if the code is written.
    pub answer: Option<&'a FirstAnswer>,
    /// The merchant's category, as it was when what is sold there was looked up.
    pub category: &'a str,
}

/// The products on sale and the business day by which it was decided which amounts can be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnSaleSeen {
    /// The version of each product that was on sale.
    pub versions: BTreeMap<ProductId, i32>,
    pub today: BusinessDay,
}

/// Writes the codes of many orders in one statement, each as of its own time and as [`insert_code`] does, and stores the
/// answers under the idempotency keys of those who asked; returns the codes that were written. A key that has an answer keeps
/// it, and a key that belongs to another request by now gets none. With `seen`, nothing is written unless the same product
/// versions are still on sale on the same business day, and no code whose merchant has another category by now.
pub async fn insert_order_codes(
    connection: &mut PgConnection,
    orders: &[NewOrderCode<'_>],
    seen: Option<&OnSaleSeen>,
) -> sqlx::Result<Vec<CodeId>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let OrderColumns { ids, merchant_ids, amounts, references, expiries, times, categories } = OrderColumns::of(orders);
    let AnswerColumns { answered, partner_ids, keys, hashes, statuses, bodies } = AnswerColumns::of(orders);
    let product_ids: Vec<Uuid> = seen.iter().flat_map(|seen| seen.versions.keys()).map(|id| id.uuid()).collect();
    let versions: Vec<i32> = seen.iter().flat_map(|seen| seen.versions.values().copied()).collect();
    sqlx::query_scalar!(
        // Rows are locked in the same order on every node, so that no deadlock arises: codes before answers, and answers in
        // the order in which keys are taken. Columns of a fixed size and without nulls are read by array index: unnesting
        // them costs three times as much per row.
        r#"with on_sale as (
               select array_agg(product_id order by product_id) as product_ids, array_agg(version order by product_id) as versions
               from (select product_id, max(version) as version from product_version where withdrawn_at is null
                     group by product_id) as v),
           as_seen as (
               select not $12::bool or (product_ids = $13 and versions = $14 and today = $15) as is_so
               from on_sale cross join business_day),
           opened as (
               insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, created_at)
               select o.code_id, o.merchant_id, 'order', o.amount_fen, o.reference, o.expires_at, 'open', o.at
               from as_seen
               cross join (select ($1::uuid[])[place] as code_id, ($2::uuid[])[place] as merchant_id, ($3::bigint[])[place] as amount_fen,
                                  reference, ($5::timestamptz[])[place] as expires_at, ($6::timestamptz[])[place] as at, category
                           from unnest((select $4::text[]), $16::text[]) with ordinality as texts(reference, category, place)) as o
               join merchant m on m.merchant_id = o.merchant_id and m.status = 'active'
                                  and (not $12 or m.category = o.category)
               where as_seen.is_so
               order by o.merchant_id, o.reference
               on conflict do nothing
               returning code_id),
           kept as (
               update api_answer a set status = k.status, content_type = 'application/json', body = k.body
               from (select k.partner_id, k.key, k.sha256, k.status, k.body
                     from opened
                     join (select ($7::uuid[])[place] as code_id, ($8::uuid[])[place] as partner_id, key,
                                  ($10::smallint[])[place] as status, body, sha256
                           from unnest((select $9::text[]), $11::bytea[], $17::bytea[]) with ordinality as texts(key, body, sha256, place))
                          as k on k.code_id = opened.code_id
                     order by k.partner_id, k.key) as k
               where a.partner_id = k.partner_id and a.idempotency_key = k.key and a.request_sha256 = k.sha256
                     and a.status is null
               returning 1)
           select code_id as "code_id!: CodeId" from opened"#,
        &ids,
        &merchant_ids,
        &amounts,
        &references as &[&str],
        &expiries,
        &times,
        &answered,
        &partner_ids,
        &keys as &[&str],
        &statuses,
        &bodies as &[&[u8]],
        seen.is_some(),
        &product_ids,
        &versions,
        seen.map(|seen| seen.today.date()),
        &categories as &[&str],
        &hashes as &[&[u8]],
    )
    .fetch_all(connection)
    .await
}

/// Orders' codes by column.
#[derive(Default)]
struct OrderColumns<'a> {
    ids: Vec<Uuid>,
    merchant_ids: Vec<Uuid>,
    amounts: Vec<i64>,
    references: Vec<&'a str>,
    expiries: Vec<DateTime<Utc>>,
    times: Vec<DateTime<Utc>>,
    categories: Vec<&'a str>,
}

impl<'a> OrderColumns<'a> {
    fn of(orders: &[NewOrderCode<'a>]) -> OrderColumns<'a> {
        let mut columns = OrderColumns::default();
        for NewOrderCode { code, at, category, .. } in orders.iter().copied() {
            let CodeKind::Order { amount, reference, expires_at } = &code.kind else { continue };
            columns.ids.push(code.code_id.uuid());
            columns.merchant_ids.push(code.merchant_id.uuid());
            columns.amounts.push(amount.get());
            columns.references.push(reference.as_str());
            columns.expiries.push(*expires_at);
            columns.times.push(at);
            columns.categories.push(category);
        }
        columns
    }
}

/// The answers to those who asked for orders under a key, by column.
#[derive(Default)]
struct AnswerColumns<'a> {
    /// The code of the order.
    answered: Vec<Uuid>,
    partner_ids: Vec<Uuid>,
    keys: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
    statuses: Vec<i16>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> AnswerColumns<'a> {
    fn of(orders: &[NewOrderCode<'a>]) -> AnswerColumns<'a> {
        let mut columns = AnswerColumns::default();
        for NewOrderCode { code, answer, .. } in orders.iter().copied() {
            let Some(FirstAnswer { keyed, status, body }) = answer else { continue };
            columns.answered.push(code.code_id.uuid());
            columns.partner_ids.push(keyed.partner_id);
            columns.keys.push(keyed.key.as_str());
            columns.hashes.push(keyed.request_sha256.as_slice());
            columns.statuses.push(*status);
            columns.bodies.push(body.as_slice());
        }
        columns
    }
}

/// A code by its id.
pub async fn find_code(connection: &mut PgConnection, code_id: CodeId) -> sqlx::Result<Option<Code>> {
    let row = sqlx::query_as!(
        CodeRow,
        r#"select code_id as "code_id: CodeId", merchant_id as "merchant_id: MerchantId", amount_fen, order_reference,
                  expires_at, status, paid_purchase_id
           from merchant_code where code_id = $1"#,
        code_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Code::from))
}

/// The merchant's open static code, or its code for an order.
pub async fn find_code_of(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    order_reference: Option<&str>,
) -> sqlx::Result<Option<Code>> {
    let row = sqlx::query_as!(
        CodeRow,
        r#"select code_id as "code_id: CodeId", merchant_id as "merchant_id: MerchantId", amount_fen, order_reference,
                  expires_at, status, paid_purchase_id
           from merchant_code
           where merchant_id = $1 and (order_reference = $2 or ($2::text is null and is_open_static))"#,
        merchant_id.uuid(),
        order_reference,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Code::from))
}

/// The merchant's orders after `after`, the oldest first.
pub async fn list_orders(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    after: Option<CodeId>,
    limit: i64,
) -> sqlx::Result<Vec<Code>> {
    let rows = sqlx::query_as!(
        CodeRow,
        r#"select code_id as "code_id: CodeId", merchant_id as "merchant_id: MerchantId", amount_fen, order_reference,
                  expires_at, status, paid_purchase_id
           from merchant_code
           where merchant_id = $1 and kind = 'order' and ($2::uuid is null or code_id > $2)
           order by code_id limit $3"#,
        merchant_id.uuid(),
        after.map(CodeId::uuid),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Code::from).collect())
}

/// The merchants and codes that purchases are presented with.
#[derive(Debug)]
pub struct Shops {
    pub merchants: HashMap<MerchantId, MerchantTerms>,
    pub codes: Vec<Code>,
    /// Whether a purchase may be recorded under one of the keys already.
    pub is_asked_again: bool,
}

/// Reads what purchases are presented with, in one round trip: merchants by id, codes by id whichever merchant they belong to, and whether
/// any of the purchases' keys is known on its line. Unknown ids are left out. Nothing is locked: whether a code is still open is checked
/// again when it is paid.
pub async fn load_presented(
    connection: &mut PgConnection,
    merchant_ids: &[MerchantId],
    code_ids: &[CodeId],
    keys: &[(LineId, &str)],
) -> sqlx::Result<Shops> {
    let rows = sqlx::query!(
        // Each key is looked up by itself, so that a cached plan that was made for a small table does not scan a large one.
        r#"select m.merchant_id as "known_id?: MerchantId", m.name as "name?", m.status as "merchant_status?: MerchantStatus",
                  m.category as "category?", m.discount_rate as "discount_rate?: Rate",
                  m.discount_returned_on_refund as "discount_returned_on_refund?", m.notify_url is not null as "is_notified!",
                  c.code_id as "code_id?: CodeId", c.merchant_id as "merchant_id?: MerchantId", c.amount_fen as "amount_fen?",
                  c.order_reference as "order_reference?", c.expires_at as "expires_at?", c.status as "status?",
                  c.paid_purchase_id as "paid_purchase_id?",
                  exists(select from unnest($3::uuid[], $4::text[]) as asked(line_id, idempotency_key)
                         cross join lateral (
                             select from purchase p
                             where p.line_id = asked.line_id and p.idempotency_key = asked.idempotency_key limit 1) as known)
                      as "is_asked_again!"
           from (select * from merchant where merchant_id = any($1)) as m
           full join (select * from merchant_code where code_id = any($2)) as c on c.merchant_id = m.merchant_id"#,
        &merchant_ids.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>(),
        &code_ids.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>(),
        &keys.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &keys.iter().map(|(_, key)| *key).collect::<Vec<&str>>() as &[&str],
    )
    .fetch_all(connection)
    .await?;
    // Without a merchant or a code there is no row: then a key may be known.
    let is_asked_again = rows.first().is_none_or(|row| row.is_asked_again);
    let (mut merchants, mut codes) = (HashMap::new(), Vec::with_capacity(code_ids.len()));
    for row in rows {
        // A merchant is repeated with each of its codes.
        if let Some(merchant_id) = row.known_id
            && let Entry::Vacant(place) = merchants.entry(merchant_id)
            && let (Some(name), Some(status), Some(category)) = (row.name, row.merchant_status, row.category)
            && let (Some(discount_rate), Some(discount_returned_on_refund)) =
                (row.discount_rate, row.discount_returned_on_refund)
        {
            let is_notified = row.is_notified;
            place.insert(MerchantTerms {
                merchant_id,
                name,
                status,
                category,
                discount_rate,
                discount_returned_on_refund,
                is_notified,
            });
        }
        if let (Some(code_id), Some(merchant_id), Some(status)) = (row.code_id, row.merchant_id, row.status) {
            let (amount_fen, order_reference, expires_at) = (row.amount_fen, row.order_reference, row.expires_at);
            let paid_purchase_id = row.paid_purchase_id;
            let code =
                CodeRow { code_id, merchant_id, amount_fen, order_reference, expires_at, status, paid_purchase_id };
            codes.push(Code::from(code));
        }
    }
    Ok(Shops { merchants, codes, is_asked_again })
}

/// Codes by id. Orders' codes are locked in id order, so that an order is paid once however many try. A static code is never
/// used up, so it is read without a lock, and purchases at one shop do not wait for each other.
pub async fn lock_codes(connection: &mut PgConnection, code_ids: &[CodeId]) -> sqlx::Result<Vec<Code>> {
    let ids: Vec<Uuid> = code_ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        CodeRow,
        // Locked rows are read by the locking statement itself, so that one that another purchase has just paid is seen as
        // paid.
        r#"with locked as (
               select * from merchant_code
               where code_id = any($1) and kind = 'order' order by code_id for no key update)
           select code_id as "code_id!: CodeId", merchant_id as "merchant_id!: MerchantId", amount_fen, order_reference,
                  expires_at, status as "status!", paid_purchase_id
           from (select * from locked
                 union all
                 select * from merchant_code where code_id = any($1) and kind = 'static') as code"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Code::from).collect())
}

/// Locks the order code that a purchase has paid, if it paid one.
pub async fn lock_code_of_purchase(connection: &mut PgConnection, purchase_id: PurchaseId) -> sqlx::Result<()> {
    sqlx::query!(
        "select from merchant_code
         where kind = 'order' and code_id = (select code_id from purchase where purchase_id = $1) for no key update",
        purchase_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    Ok(())
}

/// Marks the order code of a voided purchase; changes nothing where the purchase was not paid by that code.
pub async fn mark_voided(connection: &mut PgConnection, code_id: CodeId, purchase_id: PurchaseId) -> sqlx::Result<()> {
    sqlx::query!(
        "update merchant_code set status = 'voided'
         where code_id = $1 and paid_purchase_id = $2 and status = 'paid'",
        code_id.uuid(),
        purchase_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Closes an open code; false when it is not open.
pub async fn close_code(connection: &mut PgConnection, code_id: CodeId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update merchant_code set status = 'closed' where code_id = $1 and status = 'open'",
        code_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
