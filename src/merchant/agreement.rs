//! What a merchant agreed to pay the platform: the discount fee (收单手续费), and whether a refund gives it back.

use rust_decimal::Decimal;

use super::model::MerchantRefusal;
use crate::base::{Fen, Rate};

/// What a merchant agreed to pay for each purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Of each purchase's amount, once.
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
}

impl Agreement {
    /// Ten per cent: far above any discount fee, low enough to catch a percentage typed as a fraction.
    pub const DISCOUNT_RATE_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

    pub fn new(discount_rate: Rate, discount_returned_on_refund: bool) -> Result<Agreement, MerchantRefusal> {
        if discount_rate.fraction() > Self::DISCOUNT_RATE_MAX {
            return Err(MerchantRefusal::DiscountRateOutOfBounds);
        }
        Ok(Agreement { discount_rate, discount_returned_on_refund })
    }

    /// What everybody pays who applies on the pages: six in a thousand, given back on a refund.
    pub fn standard() -> Agreement {
        const RATE: Decimal = Decimal::from_parts(6, 0, 0, false, 3);
        Agreement { discount_rate: Rate::from_fraction(RATE).unwrap_or(Rate::ZERO), discount_returned_on_refund: true }
    }

    /// The fee of one purchase, rounded once.
    pub fn discount_fee(&self, amount: Fen) -> Fen {
        self.discount_rate.of(amount, 1, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_is_rounded_once_per_purchase() {
        let agreement = Agreement::new("0.006".parse().unwrap(), true).unwrap();
        assert_eq!(agreement.discount_fee(Fen::new(8_250)), Fen::new(50));
    }

    #[test]
    fn the_standard_price_is_six_in_a_thousand() {
        assert_eq!(Agreement::standard().discount_fee(Fen::new(100_000)), Fen::new(600));
    }

    #[test]
    fn a_rate_above_a_tenth_is_refused() {
        assert!(Agreement::new("0.11".parse().unwrap(), false).is_err());
        assert!(Agreement::new("0.1".parse().unwrap(), false).is_ok());
    }
}
