//! Fen-days, from which penalty is computed: never more than if nothing had been paid up to the day of their last sum; and exactly what
//! repayments and refunds left unpaid, if all money was booked on its own day.

use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_store::find_terms;
use super::{FINDINGS_MAX, Finding};
use crate::product::{self, Catalogue};

/// Installments with more fen-days than their whole penalty base could have. Whether interest is part of that base depends on terms,
/// which SQL cannot read; if they cannot be read, only principal counts.
///
/// # Errors
/// Failures of the database.
pub async fn find_too_many_fen_days(
    connection: &mut PgConnection,
    identity: &'static str,
) -> sqlx::Result<Vec<Finding>> {
    let PenaltyByVersion { product_ids, versions, on_interest, .. } = load_penalty(&mut *connection).await?;
    let rows = sqlx::query!(
        // Compared with the whole principal first: few have more, and only their loans are looked up.
        r#"select i.line_id || ' loan ' || i.loan_id || ' period ' || i.period as "subject!", most.fen_days as "expected!",
                  i.fen_days as "found!"
           from bill_line i
           left join lateral (select o.product_id from loan l
                              join unnest($1::uuid[], $2::int[], $3::boolean[]) as o(product_id, version, on_interest)
                                   on o.product_id = l.product_id and o.version = l.product_version and o.on_interest
                              where l.loan_id = i.loan_id and l.line_id = i.line_id limit 1) on_interest on true
           cross join lateral (values ((i.principal_fen + case when on_interest.product_id is null then 0 else i.interest_fen end)
                                       * greatest(i.fen_days_to - i.due_on, 0))) as most(fen_days)
           where i.fen_days > i.principal_fen * greatest(i.fen_days_to - i.due_on, 0) and i.fen_days > most.fen_days
           limit $4"#,
        &product_ids,
        &versions,
        &on_interest,
        FINDINGS_MAX,
    )
    .fetch_all(connection)
    .await?;
    let finding = |subject, expected, found| Finding { identity, subject, expected, found };
    Ok(rows.into_iter().map(|row| finding(row.subject, row.expected, row.found)).collect())
}

/// Installments whose fen-days differ from what ran on each fen until it was paid or fell, or until the last such change. Left out are
/// lines with back-dated or reversed money, since that takes fen-days off; installments with charges that a payoff waived; and terms
/// that cannot be read.
///
/// # Errors
/// Failures of the database.
pub async fn find_other_fen_days(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let PenaltyByVersion { product_ids, versions, grace_days, on_interest } = load_penalty(&mut *connection).await?;
    let rows = sqlx::query!(
        // Whether money was back-dated is looked up only for lines with a difference, of which there are hardly any.
        r#"with late as (
               select i.line_id, i.loan_id, i.period, i.due_on, i.fen_days, i.principal_returned_fen, i.interest_returned_fen,
                      o.grace_days, o.on_interest,
                      (i.principal_fen - i.principal_paid_fen - i.principal_returned_fen
                       + case when o.on_interest then i.interest_fen - i.interest_paid_fen - i.interest_returned_fen else 0 end)
                      * (i.fen_days_to - i.due_on) as of_unpaid
               from bill_line i
               join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
               join unnest($1::uuid[], $2::int[], $3::int[], $4::boolean[]) as o(product_id, version, grace_days, on_interest)
                    on o.product_id = l.product_id and o.version = l.product_version
               where i.origin = 'statement' and i.fen_days_to is not null),
           gone as (
               select r.line_id, a.loan_id, a.period, a.principal, a.interest, r.business_day as day, false as is_fallen
               from repayment r
               cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen)
                          as a(loan_id, period, principal, interest)
               where r.line_id in (select line_id from late)
               union all
               select f.line_id, f.loan_id, a.period, a.principal, coalesce(a.interest, 0), a.fell_on, true
               from refund f
               cross join lateral unnest(f.fell_periods, f.fell_principal_fen, f.fell_interest_fen, f.fell_on)
                          as a(period, principal, interest, fell_on)
               where f.line_id in (select line_id from late)),
           ran as (
               select i.line_id, i.loan_id, i.period, i.fen_days, i.principal_returned_fen, i.interest_returned_fen,
                      i.of_unpaid
                      + coalesce(sum((g.principal + case when i.on_interest then g.interest else 0 end)
                                     * case when g.day - i.due_on > i.grace_days then g.day - i.due_on else 0 end), 0)::bigint
                          as fen_days_ran,
                      coalesce(sum(case when g.is_fallen then g.principal end), 0)::bigint as principal_fell,
                      coalesce(sum(case when g.is_fallen then g.interest end), 0)::bigint as interest_fell
               from late i
               left join gone g on g.line_id = i.line_id and g.loan_id = i.loan_id and g.period = i.period
               group by i.line_id, i.loan_id, i.period, i.fen_days, i.principal_returned_fen, i.interest_returned_fen, i.of_unpaid)
           select i.line_id || ' loan ' || i.loan_id || ' period ' || i.period as "subject!", i.fen_days_ran as "expected!",
                  i.fen_days as "found!"
           from ran i
           where i.fen_days <> i.fen_days_ran
             and i.principal_returned_fen = i.principal_fell and i.interest_returned_fen = i.interest_fell
             and (select count(*) from repayment r
                  where r.line_id = i.line_id and (r.source = 'reversal' or value_date(r) < r.business_day)) = 0
           order by 1 limit $5"#,
        &product_ids,
        &versions,
        &grace_days,
        &on_interest,
        FINDINGS_MAX,
    )
    .fetch_all(connection)
    .await?;
    let finding = |subject, expected, found| Finding { identity, subject, expected, found };
    Ok(rows.into_iter().map(|row| finding(row.subject, row.expected, row.found)).collect())
}

/// The terms that decide about fen-days, in parallel lists with one element for each product version.
#[derive(Default)]
struct PenaltyByVersion {
    product_ids: Vec<Uuid>,
    versions: Vec<i32>,
    grace_days: Vec<i32>,
    on_interest: Vec<bool>,
}

/// Reads the penalty terms of all versions that can be read.
async fn load_penalty(connection: &mut PgConnection) -> sqlx::Result<PenaltyByVersion> {
    let catalogue = Catalogue::default();
    let mut all = PenaltyByVersion::default();
    for (product_id, version) in product::store::load_all(&mut *connection).await? {
        let product = find_terms(&catalogue, &mut *connection, product_id, version).await?;
        let Some(product) = product else { continue };
        let penalty = &product.terms.penalty;
        all.product_ids.push(product_id.uuid());
        all.versions.push(version);
        all.grace_days.push(i32::from(penalty.grace_days));
        all.on_interest.push(penalty.base.has_interest());
    }
    Ok(all)
}
