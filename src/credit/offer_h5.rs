//! What the house offers to applicants, as the pages of an application show it, and who would lend.

use rust_decimal::Decimal;

use crate::app::App;
use crate::base::id::ProductId;
use crate::base::{BusinessDay, Fen};
use crate::page::Page;
use crate::product::{PriceInquiry, ProductVersion, price_range};
use crate::{business_day, funder};

/// What the product offers: its lender, its highest limit and its range of rates.
pub(super) struct Offer {
    pub product_id: String,
    pub product_version: i32,
    /// Whom an applicant agrees with, and who may ask about them: named before anything is agreed to.
    pub lender: String,
    pub limit_max: Fen,
    /// Simple rates a year of what it is sold for, to any grade by any plan.
    pub rate_min: Decimal,
    pub rate_max: Decimal,
}

/// The offer for an application today; `None` where there is none.
pub(super) async fn find_offer(app: &App) -> anyhow::Result<Option<Offer>> {
    let mut connection = app.pool.acquire().await?;
    let product = app.catalogue.current(&mut connection, app.site.line_product()).await?;
    let today = business_day::store::today(&mut connection).await?;
    let Some(product) = product.filter(|product| product.terms.is_valid_on(today)) else { return Ok(None) };
    let lender = funder::store::find_name(&mut connection, product.funder_id).await?;
    Ok(Some(Offer::of(&product, lender, today)))
}

/// Who would lend today; `None` where nothing is offered.
pub(super) async fn find_lender(app: &App) -> anyhow::Result<Option<String>> {
    Ok(find_offer(app).await?.map(|offer| offer.lender))
}

impl Offer {
    /// What a version that was replaced has offered, at today's prices.
    pub async fn of_version(app: &App, product_id: ProductId, version: i32) -> anyhow::Result<Offer> {
        let mut connection = app.pool.acquire().await?;
        let product = app.catalogue.get(&mut connection, product_id, version).await?;
        let lender = funder::store::find_name(&mut connection, product.funder_id).await?;
        let today = business_day::store::today(&mut connection).await?;
        Ok(Offer::of(&product, lender, today))
    }

    fn of(product: &ProductVersion, lender: String, today: BusinessDay) -> Offer {
        let terms = &product.terms;
        let everybody = PriceInquiry { grades: &terms.purchase.grades, business_day: today, line: None };
        let (rate_min, rate_max) = price_range(terms, everybody).unwrap_or_default();
        Offer {
            product_id: product.product_id.to_string(),
            product_version: product.version,
            lender,
            limit_max: terms.line.limit_max_fen,
            rate_min,
            rate_max,
        }
    }

    /// Whether it costs everybody the same by every plan.
    pub fn has_one_rate(&self) -> bool {
        self.rate_min == self.rate_max
    }

    /// Its rates as they stand in a sentence.
    pub fn rates(&self, page: &Page) -> String {
        let (least, most) = (page.percent(&self.rate_min), page.percent(&self.rate_max));
        if self.has_one_rate() {
            least
        } else {
            page.say("submit-rates").with("least", least).with("most", most).to_string()
        }
    }
}
