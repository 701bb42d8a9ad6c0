//! A bound of what penalty is reckoned from: as if nothing had been paid until the day up to which it was summed up.

use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_store::find_terms;
use super::{FINDINGS_MAX, Finding};
use crate::product::{self, Catalogue};

/// Installments with more fen-days than all that bears penalty of them could leave behind. Whether interest does so follows from terms,
/// which SQL does not read; where they cannot be read, principal alone counts.
///
/// # Errors
/// Failures of the database.
pub async fn find_too_many_fen_days(
    connection: &mut PgConnection,
    identity: &'static str,
) -> sqlx::Result<Vec<Finding>> {
    let catalogue = Catalogue::default();
    let (mut product_ids, mut versions): (Vec<Uuid>, Vec<i32>) = (Vec::new(), Vec::new());
    for (product_id, version) in product::store::load_all(&mut *connection).await? {
        let product = find_terms(&catalogue, &mut *connection, product_id, version).await?;
        if product.is_some_and(|product| product.terms.penalty.base.has_interest()) {
            product_ids.push(product_id.uuid());
            versions.push(version);
        }
    }
    let rows = sqlx::query!(
        // The whole principal first: few have more, and only of those the loan is looked at.
        r#"select i.line_id || ' loan ' || i.loan_id || ' period ' || i.period as "subject!", most.fen_days as "expected!",
                  i.fen_days as "found!"
           from bill_line i
           left join lateral (select o.product_id from loan l
                              join unnest($1::uuid[], $2::int[]) as o(product_id, version)
                                   on o.product_id = l.product_id and o.version = l.product_version
                              where l.loan_id = i.loan_id and l.line_id = i.line_id limit 1) on_interest on true
           cross join lateral (values ((i.principal_fen + case when on_interest.product_id is null then 0 else i.interest_fen end)
                                       * greatest(i.fen_days_to - i.due_on, 0))) as most(fen_days)
           where i.fen_days > i.principal_fen * greatest(i.fen_days_to - i.due_on, 0) and i.fen_days > most.fen_days
           limit $3"#,
        &product_ids,
        &versions,
        FINDINGS_MAX,
    )
    .fetch_all(connection)
    .await?;
    let finding = |subject, expected, found| Finding { identity, subject, expected, found };
    Ok(rows.into_iter().map(|row| finding(row.subject, row.expected, row.found)).collect())
}
