//! What buyers do in the story: who buys what, where and on which plan, and who changes their mind.

use std::sync::Arc;

use super::applicants::Buyer;
use super::purchases::PurchaseRecord;
use super::shops::Shop;
use crate::product::ProductVersion;
use crate::purchase::PurchaseRequest;

/// One in this many purchases is voided on the same day.
const VOID_EVERY: u64 = 151;
/// One in this many purchases is refunded some days later.
const REFUND_EVERY: u64 = 47;
/// The most days between a purchase and its refund.
const REFUND_DAYS: u64 = 45;

/// What becomes of a purchase after the sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Void,
    /// Given back `days` later: `per_cent` hundredths of the amount.
    Refund {
        days: u32,
        per_cent: i64,
    },
}

/// A pseudo-random number for a choice `what` about the item `number`: the same seed always gives the same story.
pub fn draw(seed: u64, what: &str, number: u64) -> u64 {
    let mut mixed = seed ^ 0x9E37_79B9_7F4A_7C15;
    for byte in what.bytes().chain(number.to_be_bytes()) {
        // FNV-1a, then a final mix, spreads well enough for choices and is the same everywhere.
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    mixed ^= mixed >> 31;
    mixed = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

/// Who may buy, where, and on what.
#[derive(Clone, Copy)]
pub struct Market<'a> {
    pub buyers: &'a [Buyer],
    pub shops: &'a [Shop],
    pub products: &'a [Arc<ProductVersion>],
}

/// The purchase of `record` by one of the buyers at one of the shops, on a product on sale there in as many periods.
pub fn purchase(seed: u64, number: u64, record: &PurchaseRecord, market: Market<'_>) -> Option<PurchaseRequest> {
    let Market { buyers, shops, products } = market;
    if buyers.is_empty() {
        return None;
    }
    let buyer = &buyers[(draw(seed, "buyer", number) % buyers.len() as u64) as usize];
    let shop = &shops[(draw(seed, "shop", number) % shops.len() as u64) as usize];
    let fits = |product: &&Arc<ProductVersion>| {
        let terms = &product.terms;
        terms.purchase.is_sold_at(shop.category.code()) && terms.plan(record.periods, &buyer.grade).is_some()
    };
    let candidates: Vec<_> = products.iter().filter(fits).collect();
    // If no product fits, the first one is requested all the same, and refused with its reason.
    let chosen = (draw(seed, "product", number) % candidates.len().max(1) as u64) as usize;
    let product = candidates.get(chosen).copied().or_else(|| products.first())?;
    Some(PurchaseRequest {
        line_id: buyer.line_id,
        idempotency_key: format!("demo-{}-{}", record.order, record.sequence),
        merchant_id: shop.merchant_id,
        order_code: None,
        product_id: product.product_id,
        product_version: product.version,
        periods: record.periods,
        amount: record.amount,
    })
}

/// What becomes of a purchase after the sale.
pub fn after(seed: u64, number: u64) -> After {
    let chance = draw(seed, "after", number);
    if chance.is_multiple_of(VOID_EVERY) {
        After::Void
    } else if chance.is_multiple_of(REFUND_EVERY) {
        let days = 1 + draw(seed, "refund day", number) % REFUND_DAYS;
        let per_cent = if draw(seed, "refund part", number).is_multiple_of(2) { 100 } else { 40 };
        After::Refund { days: u32::try_from(days).unwrap_or(1), per_cent }
    } else {
        After::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        assert_eq!(draw(1, "buyer", 7), draw(1, "buyer", 7));
        assert_ne!(draw(1, "buyer", 7), draw(2, "buyer", 7));
    }

    #[test]
    fn about_two_in_a_hundred_purchases_come_back() {
        let back = (0..10_000).filter(|number| after(1, *number) != After::Keep).count();
        assert!((200..400).contains(&back), "{back} of 10,000");
    }
}
