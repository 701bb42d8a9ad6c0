//! SQL of remittances.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::payable::PayableStatus;
use super::payout_store::PaidSource;
use super::posting::RemittanceAmounts;
use super::remittance::{CarriedRemittance, Income, Remittance, RemittedBefore};
use crate::base::id::{FunderId, ProductId, RemittanceId};
use crate::base::{BusinessDay, Fen};

/// Whether the day has remittances already.
pub async fn is_remitted(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from remittance where business_day = $1) as "done!""#, day.date())
        .fetch_one(connection)
        .await
}

/// What each product version brought in on the day.
pub async fn sum_income(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<Vec<Income>> {
    sqlx::query_as!(
        Income,
        r#"with came_in as (
               select l.product_id, l.product_version, p.principal, p.interest, p.fee, p.penalty, 0::bigint as subsidy
               from repayment r
               cross join lateral unnest(r.loan_ids, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                          as p(loan_id, principal, interest, fee, penalty)
               join loan l on l.loan_id = p.loan_id and l.line_id = r.line_id
               where r.business_day = $1
               union all
               select product_id, product_version, 0, 0, 0, 0, subsidy_fen
               from purchase where business_day = $1 and status = 'authorised' and subsidy_fen <> 0
               union all
               select l.product_id, l.product_version, 0, -f.interest_back_fen, -f.fee_back_fen, 0, -f.subsidy_returned_fen
               from refund f join loan l on l.loan_id = f.loan_id and l.line_id = f.line_id
               where f.business_day = $1
                 and (f.subsidy_returned_fen <> 0 or f.interest_back_fen <> 0 or f.fee_back_fen <> 0))
           select o.funder_id as "funder_id!: FunderId", c.product_id as "product_id!: ProductId",
                  c.product_version as "product_version!", sum(c.principal)::bigint as "principal!: Fen",
                  sum(c.interest)::bigint as "interest!: Fen", sum(c.fee)::bigint as "fee!: Fen",
                  sum(c.penalty)::bigint as "penalty!: Fen", sum(c.subsidy)::bigint as "subsidy!: Fen"
           from came_in c join product o on o.product_id = c.product_id
           group by o.funder_id, c.product_id, c.product_version
           order by 1, 2, 3"#,
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// What each product version brought in on the days that are remitted already.
pub async fn sum_before(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<(ProductId, i32), RemittedBefore>> {
    let rows = sqlx::query!(
        r#"select product_id as "product_id: ProductId", product_version, sum(interest_fen)::bigint as "interest!: Fen",
                  sum(fee_fen)::bigint as "fee!: Fen", sum(penalty_fen)::bigint as "penalty!: Fen",
                  sum(subsidy_fen)::bigint as "subsidy!: Fen", sum(share_fen)::bigint as "share!: Fen"
           from remittance_part group by product_id, product_version"#
    )
    .fetch_all(connection)
    .await?;
    let before = rows.into_iter().map(|row| {
        let sums = RemittedBefore {
            interest: row.interest,
            fee: row.fee,
            penalty: row.penalty,
            subsidy: row.subsidy,
            share: row.share,
        };
        ((row.product_id, row.product_version), sums)
    });
    Ok(before.collect())
}

/// Locks the remittances that were carried forward and not taken in yet.
pub async fn lock_carried(connection: &mut PgConnection) -> sqlx::Result<Vec<CarriedRemittance>> {
    sqlx::query_as!(
        CarriedRemittance,
        r#"select remittance_id as "remittance_id: RemittanceId", funder_id as "funder_id: FunderId",
                  payable_fen as "payable: Fen"
           from remittance where status = 'carried' and carried_into is null
           order by remittance_id for update"#
    )
    .fetch_all(connection)
    .await
}

/// Writes the remittances of one day.
pub async fn insert_remittances(connection: &mut PgConnection, remittances: &[Remittance]) -> sqlx::Result<()> {
    let fen = |part: fn(&Remittance) -> Fen| remittances.iter().map(|r| part(r).get()).collect::<Vec<i64>>();
    let remittance_id: Vec<Uuid> = remittances.iter().map(|r| r.remittance_id.uuid()).collect();
    let funder_id: Vec<Uuid> = remittances.iter().map(|r| r.funder_id.uuid()).collect();
    let day: Vec<chrono::NaiveDate> = remittances.iter().map(|r| r.business_day.date()).collect();
    let pay_on: Vec<chrono::NaiveDate> = remittances.iter().map(|r| r.pay_on.date()).collect();
    let status: Vec<PayableStatus> = remittances.iter().map(Remittance::status).collect();
    sqlx::query!(
        "insert into remittance (remittance_id, funder_id, business_day, collected_fen, subsidy_fen, share_fen, net_fen,
                                 carried_in_fen, payable_fen, status, pay_on)
         select * from unnest($1::uuid[], $2::uuid[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[], $10::text[], $11::date[])",
        &remittance_id,
        &funder_id,
        &day,
        &fen(|r| r.amounts().collected),
        &fen(|r| r.amounts().subsidy),
        &fen(|r| r.amounts().share),
        &fen(Remittance::net),
        &fen(|r| r.carried_in),
        &fen(Remittance::payable),
        &status as &[PayableStatus],
        &pay_on,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes their parts by product version.
pub async fn insert_parts(connection: &mut PgConnection, remittances: &[Remittance]) -> sqlx::Result<()> {
    let parts: Vec<_> =
        remittances.iter().flat_map(|r| r.parts.iter().map(move |part| (r.remittance_id, part))).collect();
    let remittance_id: Vec<Uuid> = parts.iter().map(|(id, _)| id.uuid()).collect();
    let product_id: Vec<Uuid> = parts.iter().map(|(_, part)| part.income.product_id.uuid()).collect();
    let product_version: Vec<i32> = parts.iter().map(|(_, part)| part.income.product_version).collect();
    let fen =
        |amount: fn(&Income) -> Fen| parts.iter().map(|(_, part)| amount(&part.income).get()).collect::<Vec<i64>>();
    let share: Vec<i64> = parts.iter().map(|(_, part)| part.share.get()).collect();
    sqlx::query!(
        "insert into remittance_part (remittance_id, product_id, product_version, principal_fen, interest_fen, fee_fen,
                                      penalty_fen, subsidy_fen, share_fen)
         select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[])",
        &remittance_id,
        &product_id,
        &product_version,
        &fen(|income| income.principal),
        &fen(|income| income.interest),
        &fen(|income| income.fee),
        &fen(|income| income.penalty),
        &fen(|income| income.subsidy),
        &share,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks carried remittances as taken into later ones; each can be taken in once.
pub async fn take_in_carried(connection: &mut PgConnection, remittances: &[Remittance]) -> sqlx::Result<u64> {
    let (carried, into): (Vec<Uuid>, Vec<Uuid>) = remittances
        .iter()
        .flat_map(|r| r.carries.iter().map(move |carried| (carried.uuid(), r.remittance_id.uuid())))
        .unzip();
    let done = sqlx::query!(
        "update remittance r set carried_into = t.into_id
         from unnest($1::uuid[], $2::uuid[]) as t(carried_id, into_id)
         where r.remittance_id = t.carried_id and r.status = 'carried' and r.carried_into is null",
        &carried,
        &into,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Marks remittances as paid; returns how many of them were to be paid.
pub async fn mark_paid(connection: &mut PgConnection, paid: &[PaidSource], today: BusinessDay) -> sqlx::Result<u64> {
    let (source_id, bank_reference) = PaidSource::columns(paid);
    let done = sqlx::query!(
        "update remittance r set status = 'paid', paid_on = $3, bank_reference = p.bank_reference
         from unnest($1::uuid[], $2::text[]) as p(remittance_id, bank_reference)
         where r.remittance_id = p.remittance_id and r.status = 'to_pay'",
        &source_id,
        &bank_reference as &[&str],
        today.date(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// The amounts that one payment settles: the remittance's own, and those of everything that was carried into it.
#[derive(Clone, Copy, Debug)]
pub struct PaidChain {
    pub remittance_id: Uuid,
    pub funder_id: FunderId,
    /// The business day of the remittance itself, the last one whose collections are paid.
    pub collected_day: BusinessDay,
    pub collected: Fen,
    pub subsidy: Fen,
    pub share: Fen,
}

impl PaidChain {
    pub fn amounts(&self) -> RemittanceAmounts {
        RemittanceAmounts { collected: self.collected, subsidy: self.subsidy, share: self.share }
    }
}

/// The amounts that the payments of these remittances settle.
pub async fn load_paid_amounts(connection: &mut PgConnection, remittance_ids: &[Uuid]) -> sqlx::Result<Vec<PaidChain>> {
    sqlx::query_as!(
        PaidChain,
        r#"with recursive chain as (
               select remittance_id as paid_id, remittance_id, funder_id, business_day, collected_fen, subsidy_fen, share_fen
               from remittance where remittance_id = any($1)
               union all
               select c.paid_id, r.remittance_id, r.funder_id, r.business_day, r.collected_fen, r.subsidy_fen, r.share_fen
               from chain c join remittance r on r.funder_id = c.funder_id and r.carried_into = c.remittance_id)
           select paid_id as "remittance_id!", funder_id as "funder_id!: FunderId",
                  max(business_day) as "collected_day!: BusinessDay",
                  sum(collected_fen)::bigint as "collected!: Fen", sum(subsidy_fen)::bigint as "subsidy!: Fen",
                  sum(share_fen)::bigint as "share!: Fen"
           from chain group by 1, 2 order by 1"#,
        remittance_ids
    )
    .fetch_all(connection)
    .await
}
