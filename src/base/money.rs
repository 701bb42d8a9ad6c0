//! Money: a whole number of fen, and the one place where a fraction of a fen is rounded.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// An amount in fen (one hundredth of a yuan); negative where money moves the other way.
///
/// Arithmetic is checked: an overflow panics, because no amount that passed the edge
/// ([`Fen::MAX`]) can reach it and wrapping would invent money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Fen(i64);

impl Fen {
    pub const ZERO: Fen = Fen(0);
    /// The largest amount accepted from outside: a trillion yuan, far below what `i64` holds.
    pub const MAX: Fen = Fen(100_000_000_000_000);

    pub const fn new(fen: i64) -> Fen {
        Fen(fen)
    }

    /// The amount as a bare number of fen, for SQL arrays and partner messages.
    pub const fn get(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// `None` beyond what 64 bits hold.
    pub fn checked_add(self, other: Fen) -> Option<Fen> {
        self.0.checked_add(other.0).map(Fen)
    }

    /// `None` beyond what 64 bits hold.
    pub fn checked_sub(self, other: Fen) -> Option<Fen> {
        self.0.checked_sub(other.0).map(Fen)
    }

    /// This amount, or zero where it is negative.
    pub fn or_zero(self) -> Fen {
        self.max(Fen::ZERO)
    }

    /// `self × numerator ÷ denominator`, multiplied first, divided once, rounded half-up to a fen.
    ///
    /// # Panics
    /// If `denominator` is not positive, or the result does not fit an amount.
    pub fn share(self, numerator: i64, denominator: i64) -> Fen {
        Fen(round_half_up(i128::from(self.0) * i128::from(numerator), i128::from(denominator)))
    }
}

/// `numerator ÷ denominator`, rounded half-up (a tie goes away from zero) to a whole fen.
///
/// The only rounding of money in Fenqi: callers multiply exactly in `i128` and divide here, once.
///
/// # Panics
/// If `denominator` is not positive, or the result does not fit an `i64`.
pub fn round_half_up(numerator: i128, denominator: i128) -> i64 {
    assert!(denominator > 0, "a rounding needs a positive denominator");
    let quotient = numerator / denominator;
    let remainder = (numerator % denominator).unsigned_abs();
    let away = if remainder * 2 >= denominator.unsigned_abs() { numerator.signum() } else { 0 };
    i64::try_from(quotient + away).expect("an amount of money fits 64 bits")
}

impl utoipa::PartialSchema for Fen {
    fn schema() -> RefOr<Schema> {
        Schema::from(ObjectBuilder::new().schema_type(Type::Integer).examples([128_800])).into()
    }
}

impl utoipa::ToSchema for Fen {}

impl Add for Fen {
    type Output = Fen;
    fn add(self, other: Fen) -> Fen {
        self.checked_add(other).expect("an amount of money fits 64 bits")
    }
}

impl Sub for Fen {
    type Output = Fen;
    fn sub(self, other: Fen) -> Fen {
        self.checked_sub(other).expect("an amount of money fits 64 bits")
    }
}

impl Neg for Fen {
    type Output = Fen;
    fn neg(self) -> Fen {
        Fen::ZERO - self
    }
}

impl AddAssign for Fen {
    fn add_assign(&mut self, other: Fen) {
        *self = *self + other;
    }
}

impl SubAssign for Fen {
    fn sub_assign(&mut self, other: Fen) {
        *self = *self - other;
    }
}

impl Sum for Fen {
    fn sum<I: Iterator<Item = Fen>>(amounts: I) -> Fen {
        amounts.fold(Fen::ZERO, Add::add)
    }
}

/// Yuan with two decimals and grouped thousands: `1,234.50`.
impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let yuan = (magnitude / 100).to_string();
        let mut grouped = String::with_capacity(yuan.len() + yuan.len() / 3);
        for (index, digit) in yuan.chars().enumerate() {
            if index > 0 && (yuan.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{grouped}.{:02}", magnitude % 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_goes_away_from_zero() {
        assert_eq!(round_half_up(5, 2), 3);
        assert_eq!(round_half_up(-5, 2), -3);
        assert_eq!(round_half_up(4, 3), 1);
        assert_eq!(round_half_up(-4, 3), -1);
    }

    #[test]
    fn money_is_shown_in_grouped_yuan() {
        assert_eq!(Fen::new(123_456_789).to_string(), "1,234,567.89");
        assert_eq!(Fen::new(-5).to_string(), "-0.05");
    }

    #[test]
    fn a_share_is_multiplied_first_and_rounded_once() {
        // 7 × 333 ÷ 1,000 = 2.331; a half goes away from zero on either side.
        assert_eq!(Fen::new(7).share(333, 1_000), Fen::new(2));
        assert_eq!((Fen::new(1).share(1, 2), Fen::new(-1).share(1, 2)), (Fen::new(1), Fen::new(-1)));
        assert_eq!(Fen::new(100).share(0, 3), Fen::ZERO);
        // Far beyond 64 bits on the way.
        assert_eq!(Fen::MAX.share(Fen::MAX.get(), Fen::MAX.get()), Fen::MAX);
    }

    #[test]
    fn an_overflow_is_none_and_or_zero_lifts_a_negative_amount_to_zero() {
        assert_eq!(Fen::new(i64::MAX).checked_add(Fen::new(1)), None);
        assert_eq!(Fen::new(i64::MIN).checked_sub(Fen::new(1)), None);
        assert_eq!((Fen::new(-1).or_zero(), Fen::new(1).or_zero()), (Fen::ZERO, Fen::new(1)));
        assert_eq!([Fen::ZERO.is_positive(), Fen::ZERO.is_negative()], [false, false]);
    }
}
