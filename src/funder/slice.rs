//! Slices of a reserve: each is leased a part of it, which one lane of an authoriser uses without locking the reserve itself.

use super::reserve::Reserve;
use crate::base::Fen;

/// Slices that each reserve has, numbered from 0: enough for four nodes of two lanes.
pub const SLICES: i16 = 8;
/// A slice is worth leasing if it lasts for this many batches like the one just decided.
const BATCHES_MIN: i64 = 4;

/// One slice, inside the transaction that locked its reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub slice_no: i16,
    pub used: Fen,
    /// The first purchase that used it since its use was last booked.
    pub source: Option<String>,
}

/// What each slice is to be leased after a batch that held `amount`; `None` where that would be too little to be worth it. Then
/// batches are decided on the locked reserve, and nobody is refused while it still has enough. An advance is never leased, nor is
/// what lies below the next low-water mark: a mark is only crossed by a transaction that has locked the reserve, and so notices
/// it.
pub fn share(reserve: &Reserve, amount: Fen) -> Option<Fen> {
    let share = Fen::new(reserve.above_next_mark().get() / i64::from(SLICES));
    (amount.is_positive() && share.get() / BATCHES_MIN >= amount.get()).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funder::reserve::tests::reserve;

    #[test]
    fn all_shares_together_are_no_more_than_what_is_available() {
        for available in [8_000, 8_007, 999_999] {
            let reserve = reserve(available, 500);
            let share = share(&reserve, Fen::new(100)).unwrap();
            assert!(share.get() * i64::from(SLICES) <= available);
        }
    }

    #[test]
    fn nothing_below_a_low_water_mark_is_shared_before_it_is_crossed() {
        let mut reserve = reserve(9_000, 0);
        reserve.low_water = Fen::new(1_000);
        assert_eq!(share(&reserve, Fen::new(100)), Some(Fen::new(1_000)));
        reserve.low_water = Fen::new(9_000);
        assert_eq!(share(&reserve, Fen::new(100)), None);
        reserve.low_water = Fen::new(9_001);
        assert_eq!(share(&reserve, Fen::new(100)), Some(Fen::new(1_125)));
        reserve.lower_marks = vec![Fen::new(5_000), Fen::new(1_000)];
        assert_eq!(share(&reserve, Fen::new(100)), Some(Fen::new(500)), "the next mark counts");
    }

    #[test]
    fn a_scarce_reserve_and_an_advance_are_not_shared() {
        assert_eq!(share(&reserve(3_199, 0), Fen::new(100)), None);
        assert_eq!(share(&reserve(3_200, 0), Fen::new(100)), Some(Fen::new(400)));
        assert_eq!(share(&reserve(0, 1_000_000), Fen::new(1)), None);
    }
}
