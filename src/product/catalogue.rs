//! The catalogue: a cache of published versions, parsed once for each node. It never becomes outdated, because a version never changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use sqlx::PgConnection;

use crate::base::id::{FunderId, ProductId};

use super::terms::Terms;
use super::{file, store};

/// One published version. Whether it is still on sale is not kept here, because that changes: see
/// [`Catalogue::load_on_sale`] and [`Catalogue::current`].
#[derive(Clone, Debug)]
pub struct ProductVersion {
    pub product_id: ProductId,
    pub version: i32,
    pub funder_id: FunderId,
    pub terms: Terms,
}

/// Cheap to clone; clones share what was read.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    versions: Arc<RwLock<Versions>>,
}

type Versions = HashMap<(ProductId, i32), Arc<ProductVersion>>;

impl Catalogue {
    /// A version that a line, purchase or loan names. It is a failure if it does not exist.
    pub async fn get(
        &self,
        connection: &mut PgConnection,
        product_id: ProductId,
        version: i32,
    ) -> anyhow::Result<Arc<ProductVersion>> {
        if let Some(known) = self.cached(product_id, version) {
            return Ok(known);
        }
        let found = store::find_terms(connection, product_id, version).await?;
        let (funder_id, text) = found.with_context(|| format!("{product_id} has no version {version}"))?;
        let terms = file::parse_published(&text).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            anyhow::anyhow!("the published text of {product_id} version {version} is broken: {first}")
        })?;
        let read = Arc::new(ProductVersion { product_id, version, funder_id, terms });
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        Ok(versions.entry((product_id, version)).or_insert(read).clone())
    }

    /// Replaces a version in the cache, for as long as this process lives; for a benchmark, which sells more on one line than a product
    /// may.
    pub fn put(&self, version: ProductVersion) {
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        versions.insert((version.product_id, version.version), Arc::new(version));
    }

    /// A version, if it is in the cache already; does not ask the database.
    pub fn cached(&self, product_id: ProductId, version: i32) -> Option<Arc<ProductVersion>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.get(&(product_id, version)).cloned()
    }

    /// The version of a product that is on sale; `None` when there is none.
    pub async fn current(
        &self,
        connection: &mut PgConnection,
        code: &str,
    ) -> anyhow::Result<Option<Arc<ProductVersion>>> {
        match store::find_current(connection, code).await? {
            Some((product_id, version)) => self.get(connection, product_id, version).await.map(Some),
            None => Ok(None),
        }
    }

    /// Every version that is on sale, by product code.
    pub async fn load_on_sale(&self, connection: &mut PgConnection) -> anyhow::Result<Vec<Arc<ProductVersion>>> {
        let mut versions = Vec::new();
        for (product_id, version) in store::load_current(connection).await? {
            versions.push(self.get(connection, product_id, version).await?);
        }
        Ok(versions)
    }

    /// Every version that was ever published, because lines and loans keep the one that they were made under.
    pub async fn load_all(&self, connection: &mut PgConnection) -> anyhow::Result<Vec<Arc<ProductVersion>>> {
        let mut versions = Vec::new();
        for (product_id, version) in store::load_all(connection).await? {
            versions.push(self.get(connection, product_id, version).await?);
        }
        Ok(versions)
    }
}
