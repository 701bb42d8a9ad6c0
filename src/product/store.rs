//! SQL of products and their versions.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::base::id::{FunderId, ProductId};

/// A product as stored. Its terms are in its versions.
#[derive(Clone, Copy, Debug)]
pub struct ProductRow {
    pub product_id: ProductId,
    pub funder_id: FunderId,
}

/// One version of a product as stored.
#[derive(Clone, Debug)]
pub struct VersionRow {
    pub version: i32,
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// A version that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundVersion {
    pub product_id: ProductId,
    pub version: i32,
    pub is_on_sale: bool,
}

/// Inserts a product unless its code is taken; the caller reads back which product has the code.
pub async fn insert_product(
    connection: &mut PgConnection,
    product_id: ProductId,
    funder_id: FunderId,
    code: &str,
    created_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into product (product_id, funder_id, code, created_at) values ($1, $2, $3, $4)
         on conflict (code) do nothing",
        product_id.uuid(),
        funder_id.uuid(),
        code,
        created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The product, locked until the transaction ends, so that versions are numbered one at a time.
pub async fn lock_product(connection: &mut PgConnection, code: &str) -> sqlx::Result<Option<ProductRow>> {
    sqlx::query_as!(
        ProductRow,
        r#"select product_id as "product_id: ProductId", funder_id as "funder_id: FunderId"
           from product where code = $1 for update"#,
        code
    )
    .fetch_optional(connection)
    .await
}

/// All versions of a product, oldest first.
pub async fn load_versions(connection: &mut PgConnection, product_id: ProductId) -> sqlx::Result<Vec<VersionRow>> {
    sqlx::query_as!(
        VersionRow,
        "select version, withdrawn_at from product_version where product_id = $1 order by version",
        product_id.uuid(),
    )
    .fetch_all(connection)
    .await
}

pub async fn find_version_of_text(
    connection: &mut PgConnection,
    product_id: ProductId,
    terms_sha256: &[u8],
) -> sqlx::Result<Option<VersionRow>> {
    sqlx::query_as!(
        VersionRow,
        "select version, withdrawn_at from product_version where product_id = $1 and terms_sha256 = $2",
        product_id.uuid(),
        terms_sha256,
    )
    .fetch_optional(connection)
    .await
}

/// A version that is published.
#[derive(Clone, Copy, Debug)]
pub struct NewVersion<'a> {
    pub product_id: ProductId,
    pub version: i32,
    pub terms_text: &'a str,
    pub terms_sha256: &'a [u8],
    pub published_at: DateTime<Utc>,
}

/// Publishes a version and takes the ones before it off sale.
pub async fn insert_version(connection: &mut PgConnection, new: NewVersion<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "with superseded as (
             update product_version set withdrawn_at = $5
             where product_id = $1 and version < $2 and withdrawn_at is null
         )
         insert into product_version (product_id, version, terms_text, terms_sha256, published_at)
         values ($1, $2, $3, $4, $5)",
        new.product_id.uuid(),
        new.version,
        new.terms_text,
        new.terms_sha256,
        new.published_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes one version off sale; `false` if it was off sale already.
pub async fn withdraw_version(
    connection: &mut PgConnection,
    product_id: ProductId,
    version: i32,
    withdrawn_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update product_version set withdrawn_at = $3
         where product_id = $1 and version = $2 and withdrawn_at is null",
        product_id.uuid(),
        version,
        withdrawn_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The text of a version with its product's funder.
pub async fn find_terms(
    connection: &mut PgConnection,
    product_id: ProductId,
    version: i32,
) -> sqlx::Result<Option<(FunderId, String)>> {
    let row = sqlx::query!(
        r#"select p.funder_id as "funder_id: FunderId", v.terms_text
           from product_version v join product p using (product_id)
           where v.product_id = $1 and v.version = $2"#,
        product_id.uuid(),
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.funder_id, row.terms_text)))
}

/// The version of a product that is on sale, by the product's code.
pub async fn find_current(connection: &mut PgConnection, code: &str) -> sqlx::Result<Option<(ProductId, i32)>> {
    let row = sqlx::query!(
        r#"select v.product_id as "product_id: ProductId", v.version
           from product_version v join product p using (product_id)
           where p.code = $1 and v.withdrawn_at is null
           order by v.version desc limit 1"#,
        code,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.product_id, row.version)))
}

/// Every version that is on sale, by product code.
pub async fn load_current(connection: &mut PgConnection) -> sqlx::Result<Vec<(ProductId, i32)>> {
    let rows = sqlx::query!(
        r#"select v.product_id as "product_id: ProductId", max(v.version) as "version!"
           from product_version v join product p using (product_id)
           where v.withdrawn_at is null
           group by v.product_id, p.code order by p.code"#,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row.version)).collect())
}

/// Every published version, on sale or not.
pub async fn load_all(connection: &mut PgConnection) -> sqlx::Result<Vec<(ProductId, i32)>> {
    let rows = sqlx::query!(
        r#"select product_id as "product_id: ProductId", version from product_version order by product_id, version"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row.version)).collect())
}

/// Of the versions asked for, those that exist, and whether each is on sale now.
pub async fn find_versions(
    connection: &mut PgConnection,
    versions: &[(ProductId, i32)],
) -> sqlx::Result<Vec<FoundVersion>> {
    sqlx::query_as!(
        FoundVersion,
        r#"select v.product_id as "product_id: ProductId", v.version, v.withdrawn_at is null as "is_on_sale!"
           from unnest($1::uuid[], $2::int[]) as asked(product_id, version)
           join product_version v on v.product_id = asked.product_id and v.version = asked.version"#,
        &versions.iter().map(|(product_id, _)| product_id.uuid()).collect::<Vec<_>>(),
        &versions.iter().map(|(_, version)| *version).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await
}
