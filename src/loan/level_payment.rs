//! The level payment (等额): the equal amount per period that repays a debt, rounded exactly once, correctly even at a tie.

use num_bigint::BigUint;

use crate::base::Fen;

/// The level payment for `principal` under one rate per period, each `rates[k] ÷ denominator`, rounded half-up.
///
/// Closed form: A = P ÷ Σₖ Πⱼ≤ₖ 1/(1+rⱼ), which is P·r·(1+r)ⁿ/((1+r)ⁿ−1) when all rates are equal. `denominator` must be
/// below 2⁶⁰ and each rate below 2⁶³, which every [`crate::base::Rate`] with its days and basis is.
pub fn level_payment(principal: Fen, rates: impl Iterator<Item = u128> + Clone, denominator: u128) -> Fen {
    let principal = u128::from(principal.get().unsigned_abs());
    // Fixed point with 64 binary places, every division rounded down: the true sum of the discount factors lies
    // between `low` and `low` + 1 + 2 + … + n units, because an error in a factor is carried into those after it.
    let (mut factor, mut low, mut width) = (1u128 << 64, 0u128, 0u128);
    for (rate, number) in rates.clone().zip(1u128..) {
        factor = factor * denominator / (denominator + rate);
        low += factor;
        width += number;
    }
    let least = round_half_up(principal << 64, low + width);
    let most = round_half_up(principal << 64, low);
    let payment = if least == most { least } else { level_payment_exact(principal, rates, denominator) };
    Fen::new(i64::try_from(payment).expect("a level payment is never above principal and interest"))
}

/// As [`level_payment`], but exact, by whole numbers of any size; needed only within about 10⁻¹⁷ of a tie.
///
/// With q the denominator and mₖ the rates, A = P·Π(q+mₖ) ÷ Σₖ qᵏ·Πⱼ>ₖ(q+mⱼ).
fn level_payment_exact(principal: u128, rates: impl Iterator<Item = u128>, denominator: u128) -> u128 {
    let (mut product, mut sum, mut power) = (BigUint::from(1u8), BigUint::ZERO, BigUint::from(1u8));
    for rate in rates {
        let growth = denominator + rate;
        power *= denominator;
        sum = sum * growth + &power;
        product *= growth;
    }
    let numerator = product * principal;
    let rounded = (numerator * 2u8 + &sum) / (sum * 2u8);
    u128::try_from(rounded).expect("a level payment is never above principal and interest")
}

fn round_half_up(numerator: u128, denominator: u128) -> u128 {
    (numerator + denominator / 2) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_tie_goes_up() {
        assert_eq!(level_payment(Fen::new(5), [0, 0].into_iter(), 1), Fen::new(3));
        // 3 fen at a rate of 1/2 for one period are exactly 4.5 fen.
        assert_eq!(level_payment(Fen::new(3), [1].into_iter(), 2), Fen::new(5));
    }

    #[test]
    fn the_fast_and_the_exact_way_agree() {
        for principal in [1u32, 99, 12_345, 999_983, 12_861_502] {
            for (rate, denominator) in [(146u128, 12_000u128), (7, 600), (1, 3), (0, 1), (35_990, 1_200_000)] {
                for periods in [1usize, 2, 12, 60, 240] {
                    let rates = std::iter::repeat_n(rate, periods);
                    let exact = level_payment_exact(u128::from(principal), rates.clone(), denominator);
                    let fast = level_payment(Fen::new(i64::from(principal)), rates, denominator);
                    assert_eq!(fast.get() as u128, exact);
                }
            }
        }
    }
}
