//! The platform's share of what was remitted, compared with the product's terms, which SQL cannot read.

use sqlx::PgConnection;

use super::rate_store::find_terms;
use super::{FINDINGS_MAX, Finding};
use crate::base::Fen;
use crate::base::id::{FunderId, ProductId};
use crate::product::Catalogue;
use crate::settlement::remittance::{Income, RemittedBefore};

/// Product versions for which, over all days together, another share was kept than their profit share names. If terms are missing or
/// cannot be read, the identity of loans' rates finds them.
///
/// # Errors
/// Failures of the database.
pub async fn find_other_shares(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let catalogue = Catalogue::default();
    let mut findings = Vec::new();
    for (income, kept) in list_remitted(&mut *connection).await? {
        let Income { product_id, product_version, .. } = income;
        let Some(product) = find_terms(&catalogue, &mut *connection, product_id, product_version).await? else {
            continue;
        };
        let named = income.share(&RemittedBefore::default(), &product.terms.profit_share);
        if named != kept {
            let subject = format!("{} version {product_version}", product_id.uuid());
            findings.push(Finding { identity, subject, expected: named.get(), found: kept.get() });
        }
    }
    findings.truncate(FINDINGS_MAX as usize);
    Ok(findings)
}

/// Everything that was remitted of each product version, and the share that the platform kept.
async fn list_remitted(connection: &mut PgConnection) -> sqlx::Result<Vec<(Income, Fen)>> {
    let rows = sqlx::query!(
        r#"select r.funder_id as "funder_id: FunderId", p.product_id as "product_id: ProductId", p.product_version,
                  sum(p.principal_fen)::bigint as "principal!: Fen", sum(p.interest_fen)::bigint as "interest!: Fen",
                  sum(p.fee_fen)::bigint as "fee!: Fen", sum(p.penalty_fen)::bigint as "penalty!: Fen",
                  sum(p.subsidy_fen)::bigint as "subsidy!: Fen", sum(p.share_fen)::bigint as "share!: Fen"
           from remittance_part p join remittance r on r.remittance_id = p.remittance_id
           group by r.funder_id, p.product_id, p.product_version
           order by p.product_id, p.product_version"#
    )
    .fetch_all(connection)
    .await?;
    let remitted = rows.into_iter().map(|row| {
        let income = Income {
            funder_id: row.funder_id,
            product_id: row.product_id,
            product_version: row.product_version,
            principal: row.principal,
            interest: row.interest,
            fee: row.fee,
            penalty: row.penalty,
            subsidy: row.subsidy,
        };
        (income, row.share)
    });
    Ok(remitted.collect())
}
