//! Rates: exact decimal fractions, applied to money with one division.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::money::{Fen, round_half_up};

/// A rate as a fraction: `0.14` is fourteen per cent. The field's name says what it is per: year, period or once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Rate(Decimal);

impl Rate {
    pub const ZERO: Rate = Rate(Decimal::ZERO);
    /// More decimals than any contract states, few enough that a product of money, rate and days fits 128 bits.
    pub const DECIMALS_MAX: u32 = 12;

    /// The fraction as a rate; `None` if it is negative, above 10 (1000 %), or finer than [`Rate::DECIMALS_MAX`].
    pub fn from_fraction(fraction: Decimal) -> Option<Rate> {
        let fraction = fraction.normalize();
        let fits = !fraction.is_sign_negative() && fraction <= Decimal::TEN && fraction.scale() <= Self::DECIMALS_MAX;
        (fits || fraction.is_zero()).then_some(Rate(fraction))
    }

    /// As a fraction: 0.144 for 14.4 %.
    pub const fn fraction(self) -> Decimal {
        self.0
    }

    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// `amount × rate × multiplier ÷ divisor`, multiplied first, divided once, rounded half-up to a fen.
    ///
    /// A month's interest at an annual rate is `of(balance, 1, 12)`; a span of days is `of(balance, days, 365)`.
    pub fn of(self, amount: Fen, multiplier: i64, divisor: i64) -> Fen {
        let (mantissa, scale) = self.exact();
        let numerator = i128::from(amount.get()) * mantissa * i128::from(multiplier);
        Fen::new(round_half_up(numerator, scale * i128::from(divisor)))
    }

    /// The rate as an exact quotient of two integers: `(mantissa, power of ten)`.
    pub fn exact(self) -> (i128, i128) {
        (self.0.mantissa(), 10i128.pow(self.0.scale()))
    }
}

/// A text that is not a rate between 0 and 10 with at most [`Rate::DECIMALS_MAX`] decimals.
#[derive(Debug, thiserror::Error)]
#[error("a rate is a fraction from 0 to 10 with at most {} decimals, such as 0.14", Rate::DECIMALS_MAX)]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;
    fn from_str(text: &str) -> Result<Rate, RateError> {
        Decimal::from_str_exact(text).ok().and_then(Rate::from_fraction).ok_or(RateError)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplying_before_dividing_keeps_an_exact_tie() {
        let four_per_cent: Rate = "0.04".parse().unwrap();
        assert_eq!(four_per_cent.of(Fen::new(45_150), 1, 12), Fen::new(151));
    }

    #[test]
    fn a_negative_or_absurd_rate_is_refused() {
        assert!("-0.01".parse::<Rate>().is_err());
        assert!("11".parse::<Rate>().is_err());
        assert!("0.0000000000001".parse::<Rate>().is_err());
    }

    #[test]
    fn the_bounds_of_a_rate_are_rates() {
        for bound in ["0", "10", "10.000", "0.000000000001", "0.0000000000010"] {
            assert!(bound.parse::<Rate>().is_ok(), "{bound}");
        }
        assert!("10.000000000001".parse::<Rate>().is_err());
    }
}
