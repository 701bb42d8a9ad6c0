//! The annualised cost of a schedule: the internal rate of return of its real cash flows, in whole numbers.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::base::{BusinessDay, Fen, Rate};

use super::schedule::Schedule;

/// Decimals of a stated annual rate: `0.14000000` is fourteen per cent.
pub const PRICE_DECIMALS: u32 = 8;
/// Decimals of one as people are shown it: `0.1234` is 12.34 %.
const SHOWN_DECIMALS: u32 = 4;

/// The annualised cost, both ways, as fractions with [`PRICE_DECIMALS`] places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The monthly root × 12 (单利).
    pub nominal: Decimal,
    /// (1 + monthly root)¹² − 1 (复利, IRR).
    pub effective: Decimal,
}

/// One payment on a date: positive towards the borrower, negative from the borrower, or the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedFlow {
    pub on: BusinessDay,
    pub amount: Fen,
}

/// One payment, `units` of time after the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub units: u32,
    pub amount: Fen,
}

impl Price {
    /// The cost of receiving `principal` and paying the rows of `schedule` one by one, a month apart.
    ///
    /// `None` when the payments are less than the principal or cost more than about a thousand times it a year.
    pub fn of(principal: Fen, schedule: &Schedule) -> Option<Price> {
        let payments: Vec<Fen> = schedule.installments.iter().map(|row| row.total()).collect();
        Price::of_payments(principal, &payments)
    }

    /// The cost of receiving `principal` and paying `payments`, none negative, a month apart.
    pub fn of_payments(principal: Fen, payments: &[Fen]) -> Option<Price> {
        let growth = monthly_growth(principal, payments)?;
        let nominal = (growth - ONE).checked_mul(12)?;
        let squared = multiply(growth, growth)?;
        let fourth = multiply(squared, squared)?;
        let effective = multiply(multiply(fourth, fourth)?, fourth)? - ONE;
        Some(Price { nominal: to_decimal(nominal)?, effective: to_decimal(effective)? })
    }

    /// The price with as many decimals as people are shown.
    pub fn shown(&self) -> Price {
        let round = |rate: Decimal| rate.round_dp_with_strategy(SHOWN_DECIMALS, RoundingStrategy::MidpointAwayFromZero);
        Price { nominal: round(self.nominal), effective: round(self.effective) }
    }

    /// The one of the two that a cap is compared with.
    pub fn higher(&self) -> Decimal {
        self.nominal.max(self.effective)
    }

    /// Whether the higher of the two figures is at most `cap`.
    pub fn is_within(&self, cap: Rate) -> bool {
        self.higher() <= cap.fraction()
    }
}

/// The yearly rate of dated payments, actual days over 365, compounded; what spreadsheets call XIRR.
///
/// Where the payments change direction more than once there may be several such rates, and the one nearest to ten per
/// cent is given. `None` when all payments go one way or no rate between −99.9 % and about 1,000 % a day fits.
pub fn dated_rate(flows: &[DatedFlow]) -> Option<Decimal> {
    let first = flows.iter().map(|flow| flow.on).min()?;
    let flows: Vec<Flow> = flows
        .iter()
        .map(|flow| Flow { units: u32::try_from(flow.on.days_since(first)).unwrap_or(u32::MAX), amount: flow.amount })
        .collect();
    yearly_rate(&flows, 365)
}

/// The compounded yearly rate of payments at whole units of a year, by the same rules as [`dated_rate`].
pub fn yearly_rate(flows: &[Flow], units_a_year: u32) -> Option<Decimal> {
    let growth = divide(ONE, unit_discount(flows, units_a_year)?)?;
    to_decimal(power(ONE, growth, units_a_year)? - ONE)
}

/// A fraction in per cent with `decimals` decimals, rounded half-up: written with fewer than it has, a `Decimal` is cut off.
pub fn in_percent(fraction: Decimal, decimals: u32) -> String {
    let percent = fraction * Decimal::ONE_HUNDRED;
    let rounded = percent.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
    let places = decimals as usize;
    format!("{rounded:.places$} %")
}

// Fixed point with 56 binary places, about 17 decimals: products of two numbers below 2¹⁵ fit an i128.
const PLACES: u32 = 56;
const ONE: i128 = 1 << PLACES;

/// 1 + the monthly root, by Newton's method on the discount factor v in Σ paymentₖ·vᵏ = principal.
///
/// The sum is increasing and convex in v, and v = 1 lies on or above the root, so each step comes closer from above
/// and never passes it; the search ends when a step no longer moves.
fn monthly_growth(principal: Fen, payments: &[Fen]) -> Option<i128> {
    if !principal.is_positive() || payments.iter().any(|payment| payment.is_negative()) {
        return None;
    }
    if payments.iter().copied().sum::<Fen>() < principal {
        return None;
    }
    let principal = i128::from(principal.get());
    let weights: Vec<i128> = payments.iter().map(|payment| (i128::from(payment.get()) << PLACES) / principal).collect();
    let mut discount = ONE;
    for _ in 0..NEWTON_STEPS_MAX {
        let (mut value, mut slope) = (0i128, 0i128);
        for weight in weights.iter().rev() {
            slope = multiply_widely(slope, discount)? + value;
            value = multiply(value, discount)? + weight;
        }
        // `value` is Σ paymentₖ·vᵏ⁻¹ and `slope` its derivative; the equation is v·value − 1 = 0.
        let excess = multiply(value, discount)? - ONE;
        let step = divide(excess, multiply_widely(slope, discount)? + value)?;
        if step <= 0 {
            return divide(ONE, discount);
        }
        discount -= step;
    }
    None
}

/// From v = 1 the search for any price below 1,000 % a year takes less than 20 steps.
const NEWTON_STEPS_MAX: usize = 200;

/// The discount factor per unit at which `flows` sum to zero, the one whose yearly rate is nearest to ten per cent.
fn unit_discount(flows: &[Flow], units_a_year: u32) -> Option<i128> {
    let scale = flows.iter().map(|flow| i128::from(flow.amount.get()).abs()).max()?;
    let weights: Vec<(u32, i128)> = flows
        .iter()
        .filter(|flow| !flow.amount.is_zero())
        .map(|flow| (flow.units, (i128::from(flow.amount.get()) << PLACES) / scale))
        .collect();
    if !weights.iter().any(|flow| flow.1 > 0) || !weights.iter().any(|flow| flow.1 < 0) {
        return None;
    }
    let value = |discount: i128| -> Option<i128> {
        weights.iter().try_fold(0i128, |sum, (units, weight)| sum.checked_add(power(*weight, discount, *units)?))
    };
    let (mut low, mut high) = bracket(&value, units_a_year)?;
    let low_sign = value(low)?.signum();
    if low_sign == 0 {
        return Some(low);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if value(middle)?.signum() == low_sign {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

/// Two discount factors between which `value` changes its sign, searched outwards from ten per cent a year in
/// steps that widen as they go.
fn bracket(value: &impl Fn(i128) -> Option<i128>, units_a_year: u32) -> Option<(i128, i128)> {
    let units = i128::from(units_a_year);
    let start = ONE - ONE / (11 * units);
    let (mut low, mut high) = (start, start);
    let start_sign = value(start)?.signum();
    if start_sign == 0 {
        return Some((start, start));
    }
    let mut step = ONE / (200 * units);
    for _ in 0..BRACKET_STEPS_MAX {
        let lower = low - step;
        if lower > 0 {
            if value(lower)?.signum() != start_sign {
                return Some((lower, low));
            }
            low = lower;
        }
        // A negative rate discounts by more than one; the powers of a large one overflow and end the search there.
        let higher = high + step;
        if let Some(found) = value(higher) {
            if found.signum() != start_sign {
                return Some((high, higher));
            }
            high = higher;
        }
        step += step / 8;
    }
    None
}

/// The widening steps reach from ten per cent a year to every factor that fixed point can hold.
const BRACKET_STEPS_MAX: usize = 120;

fn multiply(left: i128, right: i128) -> Option<i128> {
    left.checked_mul(right).map(|product| product >> PLACES)
}

/// As [`multiply`], with half the places where the product is too large. Enough for the slope of many dear payments far from their root,
/// which only says how far the next step goes.
fn multiply_widely(left: i128, right: i128) -> Option<i128> {
    let half = PLACES / 2;
    multiply(left, right).or_else(|| (left >> half).checked_mul(right).map(|product| product >> half))
}

fn divide(numerator: i128, denominator: i128) -> Option<i128> {
    numerator.checked_mul(ONE)?.checked_div(denominator)
}

/// `start × base ^ exponent`.
fn power(start: i128, base: i128, exponent: u32) -> Option<i128> {
    let (mut result, mut square, mut rest) = (start, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = multiply(result, square)?;
        }
        rest >>= 1;
        if rest > 0 {
            square = multiply(square, square)?;
        }
    }
    Some(result)
}

/// A fixed-point number as a decimal, rounded half-up to [`PRICE_DECIMALS`].
fn to_decimal(fixed: i128) -> Option<Decimal> {
    let scaled = fixed.checked_mul(10i128.pow(PRICE_DECIMALS))?;
    let rounded = (scaled.abs() + ONE / 2) >> PLACES;
    Decimal::try_from_i128_with_scale(rounded * scaled.signum(), PRICE_DECIMALS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payments(each: i64, count: usize) -> Vec<Fen> {
        vec![Fen::new(each); count]
    }

    #[test]
    fn paying_back_what_was_lent_costs_nothing() {
        let price = Price::of_payments(Fen::new(1200), &payments(100, 12)).unwrap();
        assert_eq!((price.nominal, price.effective), (Decimal::new(0, 8), Decimal::new(0, 8)));
    }

    #[test]
    fn one_per_cent_a_month_is_twelve_nominal() {
        let price = Price::of_payments(Fen::new(10_000), &[Fen::new(10_100)]).unwrap();
        assert_eq!(price.nominal.to_string(), "0.12000000");
        assert_eq!(price.effective.to_string(), "0.12682503");
    }

    #[test]
    fn fifty_years_of_the_highest_rate_have_a_price() {
        // Of 1,200 fen 1,000 a month are 10 ÷ 12, and the 1,200 come back at the end: 10 a year, (1 + 10 ÷ 12)¹² − 1 compounded.
        let mut monthly = payments(1_000, 599);
        monthly.push(Fen::new(2_200));
        let price = Price::of_payments(Fen::new(1_200), &monthly).unwrap();
        assert_eq!(price.nominal.to_string(), "10.00000000");
        assert_eq!(price.effective.to_string(), "1440.77409235");
    }

    #[test]
    fn a_rate_is_written_rounded_and_not_cut_off() {
        assert_eq!(in_percent(Decimal::new(23_996_000, 8), 2), "24.00 %");
        assert_eq!(in_percent(Decimal::new(12_345_678, 8), 4), "12.3457 %");
        assert_eq!(in_percent(Decimal::new(5, 2), 4), "5.0000 %");
    }

    #[test]
    fn paying_back_less_has_no_price() {
        assert_eq!(Price::of_payments(Fen::new(1200), &payments(99, 12)), None);
        assert_eq!(Price::of_payments(Fen::ZERO, &payments(100, 12)), None);
        // They are 200 in all, but one of them goes the other way.
        assert_eq!(Price::of_payments(Fen::new(100), &[Fen::new(-100), Fen::new(300)]), None);
    }

    #[test]
    fn a_price_of_just_the_cap_is_within_it() {
        let price = Price::of_payments(Fen::new(10_000), &[Fen::new(10_100)]).unwrap();
        assert!(price.is_within("0.12682503".parse().unwrap()));
        // Above the nominal rate, and below the effective one.
        assert!(!price.is_within("0.12682502".parse().unwrap()));
        assert_eq!((price.shown().nominal, price.shown().effective), (Decimal::new(12, 2), Decimal::new(1_268, 4)));
    }
}
