//! Rates of loans compared with the terms under which they were made, which SQL cannot read.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{FINDINGS_MAX, Finding};
use crate::base::id::ProductId;
use crate::base::{Rate, counted};
use crate::product::{Catalogue, ProductVersion, annual_rate};

/// Loans of one product version, grade, number of periods and rate, and how many there are.
struct Sold {
    product_id: ProductId,
    product_version: i32,
    grade: String,
    periods: i16,
    annual_rate: Rate,
    loans: i64,
}

/// Kinds of loans whose rate is not that of their plan: penalty and early payoff are computed from it. Also those whose terms are
/// missing or cannot be read.
///
/// # Errors
/// Failures of the database.
pub async fn find_other_rates(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let catalogue = Catalogue::default();
    let mut findings = Vec::new();
    for sold in list_sold(&mut *connection).await? {
        let product = find_terms(&catalogue, &mut *connection, sold.product_id, sold.product_version).await?;
        let named = product.and_then(|product| annual_rate(&product.terms, sold.periods.unsigned_abs(), &sold.grade));
        if named != Some(sold.annual_rate) {
            let Sold { product_id, product_version, grade, periods, annual_rate, loans } = sold;
            findings.push(Finding {
                identity,
                subject: format!(
                    "{} version {product_version} grade {grade} in {} at {}",
                    product_id.uuid(),
                    counted(periods, "period"),
                    annual_rate.fraction()
                ),
                expected: 0,
                found: loans,
            });
        }
    }
    findings.truncate(FINDINGS_MAX as usize);
    Ok(findings)
}

/// A product version; `None` if it is missing or its text cannot be read, so that everything else is still checked.
///
/// # Errors
/// Failures of the database.
pub(super) async fn find_terms(
    catalogue: &Catalogue,
    connection: &mut PgConnection,
    product_id: ProductId,
    version: i32,
) -> sqlx::Result<Option<Arc<ProductVersion>>> {
    match catalogue.get(connection, product_id, version).await {
        Ok(product) => Ok(Some(product)),
        Err(error) => error.downcast::<sqlx::Error>().map_or(Ok(None), Err),
    }
}

async fn list_sold(connection: &mut PgConnection) -> sqlx::Result<Vec<Sold>> {
    sqlx::query_as!(
        Sold,
        r#"select product_id as "product_id: ProductId", product_version, grade, periods, annual_rate as "annual_rate: Rate",
                  count(*) as "loans!"
           from loan group by product_id, product_version, grade, periods, annual_rate
           order by product_id, product_version, grade, periods, annual_rate"#
    )
    .fetch_all(connection)
    .await
}
