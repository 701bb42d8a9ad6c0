//! SQL of products as their funder sees them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::base::id::{FunderId, ProductId};

/// A product, and which of its versions is on sale.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductView {
    pub product_id: ProductId,
    /// The product's code, as in its product file.
    #[schema(example = "harbour-standard")]
    pub code: String,
    /// Number of the version that is on sale today; null if none is, or if its first day is to come or its last day has passed.
    #[schema(example = 2)]
    pub version_on_sale: Option<i32>,
    pub created_at: DateTime<Utc>,
}

/// A funder's products after the code `after`, by code. A version counts as on sale that was not withdrawn, whatever its days.
pub async fn list_products(
    connection: &mut PgConnection,
    funder_id: FunderId,
    after: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<ProductView>> {
    sqlx::query_as!(
        ProductView,
        r#"select product_id as "product_id: ProductId", code, created_at,
                  (select max(version) from product_version v
                   where v.product_id = p.product_id and withdrawn_at is null) as version_on_sale
           from product p where funder_id = $1 and ($2::text is null or code > $2) order by code limit $3"#,
        funder_id.uuid(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A published version of a product. Its terms never change.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    pub product_id: ProductId,
    /// Counted from 1.
    #[schema(example = 1)]
    pub version: i32,
    /// The product file as it was published.
    #[schema(example = "code = \"harbour-standard\"\n…")]
    pub terms_text: String,
    pub published_at: DateTime<Utc>,
    /// When it was taken off sale; null if it was not. It is on sale only on the days that its terms name.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// A query for versions of a product.
#[derive(Clone, Copy, Debug)]
pub struct WantedVersions<'a> {
    pub funder_id: FunderId,
    pub code: &'a str,
    /// Only those with greater numbers.
    pub after: Option<i32>,
}

/// The versions of a funder's product, the first one first.
pub async fn list_versions(
    connection: &mut PgConnection,
    wanted: WantedVersions<'_>,
    limit: i64,
) -> sqlx::Result<Vec<VersionView>> {
    sqlx::query_as!(
        VersionView,
        r#"select v.product_id as "product_id: ProductId", v.version, v.terms_text, v.published_at, v.withdrawn_at
           from product_version v join product p using (product_id)
           where p.funder_id = $1 and p.code = $2 and ($3::int is null or v.version > $3)
           order by v.version limit $4"#,
        wanted.funder_id.uuid(),
        wanted.code,
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}
