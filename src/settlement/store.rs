//! SQL of settlements.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{CarriedPart, DayPart, Settlement, SettlementRecord};
use super::payable::PayableStatus;
use crate::base::id::{FunderId, MerchantId, SettlementId};
use crate::base::{BusinessDay, Fen};

/// Whether the day has settlements already.
pub async fn is_settled(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from settlement where business_day = $1) as "settled!""#, day.date())
        .fetch_one(connection)
        .await
}

/// Whose purchases and refunds are summed.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Everybodys,
    Of(MerchantId),
}

impl Whose {
    fn merchant_id(self) -> Option<Uuid> {
        match self {
            Whose::Everybodys => None,
            Whose::Of(merchant_id) => Some(merchant_id.uuid()),
        }
    }
}

/// Each merchant's purchases and refunds of the day, by funder, in (merchant, funder) order.
pub async fn sum_day(connection: &mut PgConnection, day: BusinessDay, whose: Whose) -> sqlx::Result<Vec<DayPart>> {
    sqlx::query_as!(
        DayPart,
        r#"with sold as (
               select p.merchant_id, o.funder_id, sum(p.amount_fen)::bigint as gross,
                      sum(p.discount_fee_fen)::bigint as fee, sum(p.subsidy_fen)::bigint as subsidy
               from purchase p join product o on o.product_id = p.product_id
               where p.business_day = $1 and p.status = 'authorised' and ($2::uuid is null or p.merchant_id = $2)
               group by 1, 2),
           returned as (
               select merchant_id, funder_id, sum(amount_fen)::bigint as refunds,
                      sum(discount_fee_returned_fen)::bigint as fee, sum(subsidy_returned_fen)::bigint as subsidy
               from refund where business_day = $1 and ($2::uuid is null or merchant_id = $2)
               group by 1, 2)
           select merchant_id as "merchant_id!: MerchantId", funder_id as "funder_id!: FunderId",
                  coalesce(s.gross, 0) as "gross!: Fen", coalesce(r.refunds, 0) as "refunds!: Fen",
                  coalesce(s.fee, 0) as "discount_fee!: Fen", coalesce(r.fee, 0) as "discount_returned!: Fen",
                  coalesce(s.subsidy, 0) as "subsidy!: Fen", coalesce(r.subsidy, 0) as "subsidy_returned!: Fen"
           from sold s full join returned r using (merchant_id, funder_id)
           order by 1, 2"#,
        day.date(),
        whose.merchant_id(),
    )
    .fetch_all(connection)
    .await
}

/// Locks what these merchants' settlements that were carried forward and not taken in yet still owe, by funder.
pub async fn lock_carried(
    connection: &mut PgConnection,
    merchant_ids: &[MerchantId],
) -> sqlx::Result<Vec<CarriedPart>> {
    let ids: Vec<Uuid> = merchant_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as!(
        CarriedPart,
        r#"select s.settlement_id as "settlement_id: SettlementId", s.merchant_id as "merchant_id: MerchantId",
                  p.funder_id as "funder_id: FunderId",
                  p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen
                      - p.subsidy_fen + p.subsidy_returned_fen + p.carried_in_fen as "amount!: Fen"
           from settlement s join settlement_part p on p.settlement_id = s.settlement_id
           where s.status = 'carried' and s.carried_into is null and s.merchant_id = any($1)
           order by s.settlement_id, p.funder_id
           for update of s"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

/// What a merchant owes for a negative settlement, until a later one deducts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    pub amount: Fen,
    /// The day of that settlement. The amount includes what was carried into it.
    pub business_day: BusinessDay,
}

/// What a merchant owes; `None` if nothing. Each settlement takes in everything owed before it, so at most one is owed.
pub async fn find_owed(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<Option<Owed>> {
    sqlx::query_as!(
        Owed,
        r#"select -payable_fen as "amount!: Fen", business_day as "business_day: BusinessDay" from settlement
           where merchant_id = $1 and status = 'carried' and carried_into is null"#,
        merchant_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// What a merchant's settlements of earlier days carry forward to a day.
pub struct CarriedToDay {
    /// Whether the day before is settled already, so that `parts` include what it carries forward.
    pub day_before_is_settled: bool,
    pub parts: Vec<CarriedPart>,
}

/// What was carried forward to a merchant's `day`, whether or not it has been taken in since; for readers, so nothing is locked. A
/// single statement, so that a settlement that is being made is seen with all its parts or not at all.
pub async fn load_carried_to(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<CarriedToDay> {
    let rows = sqlx::query!(
        r#"select exists (select from settlement where merchant_id = $1 and business_day = $2::date - 1)
                      as "day_before_is_settled!",
                  c.settlement_id as "settlement_id?: SettlementId", c.funder_id as "funder_id?: FunderId",
                  c.amount as "amount?: Fen"
           from (select) as once
           left join (select s.settlement_id, p.funder_id,
                             p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen
                                 - p.subsidy_fen + p.subsidy_returned_fen + p.carried_in_fen as amount
                      from settlement s join settlement_part p on p.settlement_id = s.settlement_id
                      where s.status = 'carried' and s.merchant_id = $1 and s.business_day < $2
                        and not exists (select from settlement i
                                        where i.settlement_id = s.carried_into and i.business_day < $2)) as c on true
           order by c.settlement_id, c.funder_id"#,
        merchant_id.uuid(),
        day.date(),
    )
    .fetch_all(connection)
    .await?;
    let day_before_is_settled = rows.iter().any(|row| row.day_before_is_settled);
    let parts = rows.into_iter().filter_map(|row| {
        let (settlement_id, funder_id, amount) = (row.settlement_id?, row.funder_id?, row.amount?);
        Some(CarriedPart { settlement_id, merchant_id, funder_id, amount })
    });
    Ok(CarriedToDay { day_before_is_settled, parts: parts.collect() })
}

/// Writes the settlements of one day.
pub async fn insert_settlements(connection: &mut PgConnection, settlements: &[Settlement]) -> sqlx::Result<()> {
    let fen = |part: fn(&Settlement) -> Fen| settlements.iter().map(|s| part(s).get()).collect::<Vec<i64>>();
    let settlement_id: Vec<Uuid> = settlements.iter().map(|s| s.settlement_id.uuid()).collect();
    let merchant_id: Vec<Uuid> = settlements.iter().map(|s| s.merchant_id.uuid()).collect();
    let day: Vec<chrono::NaiveDate> = settlements.iter().map(|s| s.business_day.date()).collect();
    let pay_on: Vec<chrono::NaiveDate> = settlements.iter().map(|s| s.pay_on.date()).collect();
    let status: Vec<PayableStatus> = settlements.iter().map(Settlement::status).collect();
    sqlx::query!(
        "insert into settlement (settlement_id, merchant_id, business_day, gross_fen, refunds_fen, discount_fee_fen,
                                 subsidy_fen, net_fen, carried_in_fen, payable_fen, status, pay_on)
         select * from unnest($1::uuid[], $2::uuid[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::date[])",
        &settlement_id,
        &merchant_id,
        &day,
        &fen(|s| s.sum(|part| part.day.gross)),
        &fen(|s| s.sum(|part| part.day.refunds)),
        &fen(|s| s.sum(|part| part.day.net_discount_fee())),
        &fen(|s| s.sum(|part| part.day.net_subsidy())),
        &fen(Settlement::net),
        &fen(|s| s.sum(|part| part.carried_in)),
        &fen(Settlement::payable),
        &status as &[PayableStatus],
        &pay_on,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes their parts by funder.
pub async fn insert_parts(connection: &mut PgConnection, settlements: &[Settlement]) -> sqlx::Result<()> {
    let parts: Vec<_> =
        settlements.iter().flat_map(|s| s.parts.iter().map(move |part| (s.settlement_id, part))).collect();
    let settlement_id: Vec<Uuid> = parts.iter().map(|(id, _)| id.uuid()).collect();
    let funder_id: Vec<Uuid> = parts.iter().map(|(_, part)| part.day.funder_id.uuid()).collect();
    let fen = |amount: fn(&DayPart) -> Fen| parts.iter().map(|(_, part)| amount(&part.day).get()).collect::<Vec<i64>>();
    let carried_in: Vec<i64> = parts.iter().map(|(_, part)| part.carried_in.get()).collect();
    sqlx::query!(
        "insert into settlement_part (settlement_id, funder_id, gross_fen, refunds_fen, discount_fee_fen,
                                      discount_returned_fen, subsidy_fen, subsidy_returned_fen, carried_in_fen)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[])",
        &settlement_id,
        &funder_id,
        &fen(|part| part.gross),
        &fen(|part| part.refunds),
        &fen(|part| part.discount_fee),
        &fen(|part| part.discount_returned),
        &fen(|part| part.subsidy),
        &fen(|part| part.subsidy_returned),
        &carried_in,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks carried settlements as taken into later ones; each can be taken in once.
pub async fn take_in_carried(connection: &mut PgConnection, settlements: &[Settlement]) -> sqlx::Result<u64> {
    let taken: Vec<(Uuid, Uuid)> = settlements
        .iter()
        .flat_map(|s| s.carries.iter().map(move |carried| (carried.uuid(), s.settlement_id.uuid())))
        .collect();
    let (carried, into): (Vec<Uuid>, Vec<Uuid>) = taken.into_iter().unzip();
    let done = sqlx::query!(
        "update settlement s set carried_into = t.into_id
         from unnest($1::uuid[], $2::uuid[]) as t(carried_id, into_id)
         where s.settlement_id = t.carried_id and s.status = 'carried' and s.carried_into is null",
        &carried,
        &into,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A merchant's settlement of a day.
pub async fn find_settlement(
    connection: &mut PgConnection,
    merchant_id: MerchantId,
    day: BusinessDay,
) -> sqlx::Result<Option<SettlementRecord>> {
    sqlx::query_as!(
        SettlementRecord,
        r#"select settlement_id as "settlement_id: SettlementId", business_day as "business_day: BusinessDay",
                  gross_fen as "gross: Fen", refunds_fen as "refunds: Fen", discount_fee_fen as "discount_fee: Fen",
                  subsidy_fen as "subsidy: Fen", net_fen as "net: Fen", carried_in_fen as "carried_in: Fen",
                  payable_fen as "payable: Fen", status as "status: PayableStatus",
                  pay_on as "pay_on: BusinessDay", paid_on as "paid_on: BusinessDay", bank_reference
           from settlement where merchant_id = $1 and business_day = $2"#,
        merchant_id.uuid(),
        day.date(),
    )
    .fetch_optional(connection)
    .await
}
