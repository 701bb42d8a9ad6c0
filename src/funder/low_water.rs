//! Low-water marks: the amounts below which a funder is told that its reserve runs low.

use super::reserve::{LowWaterMarks, Reserve, ReserveRefusal};
use crate::base::{BusinessDay, Fen};

impl Reserve {
    /// Sets the marks. Changes nothing when it refuses.
    pub fn set_marks(&mut self, marks: LowWaterMarks) -> Result<(), ReserveRefusal> {
        marks.check()?;
        if self.marks() != marks {
            LowWaterMarks { first: self.low_water, lower: self.lower_marks } = marks;
            self.low_water_version += 1;
        }
        Ok(())
    }

    pub fn marks(&self) -> LowWaterMarks {
        LowWaterMarks { first: self.low_water, lower: self.lower_marks.clone() }
    }

    fn each_mark(&self) -> impl Iterator<Item = Fen> {
        std::iter::once(self.low_water).chain(self.lower_marks.iter().copied())
    }

    /// The highest mark that available has not fallen below; zero where there is none.
    pub fn next_mark(&self) -> Fen {
        self.each_mark().find(|mark| *mark <= self.available).unwrap_or_default()
    }

    /// How much may be used before a mark is crossed or nothing is available; negative while an advance is in use.
    pub fn above_next_mark(&self) -> Fen {
        self.available - self.next_mark()
    }

    /// The lowest mark that available has fallen below.
    fn crossed_mark(&self) -> Option<Fen> {
        self.each_mark().take_while(|mark| self.available < *mark).min()
    }

    /// The lowest mark that available has fallen below, if the funder is to be told of it: when it was crossed since the last
    /// notice, and once on each further day.
    pub fn newly_crossed(&self, today: BusinessDay) -> Option<Fen> {
        let told = self.low_water_told.unwrap_or(self.low_water);
        self.crossed_mark().filter(|mark| self.low_water_noticed_on != Some(today) || *mark < told)
    }

    /// The mark to tell the funder of on `today`; remembers that it was told.
    pub fn note_low_water(&mut self, today: BusinessDay) -> Option<Fen> {
        let tell = self.newly_crossed(today);
        self.low_water_told = self.crossed_mark();
        self.low_water_noticed_on = self.low_water_told.map(|_| today);
        tell
    }

    /// To be called when available has changed: forgets the notices of marks that it is above again, so that they are told anew
    /// when they are crossed again.
    pub(super) fn forget_marks_below(&mut self) {
        match self.crossed_mark() {
            None => (self.low_water_told, self.low_water_noticed_on) = (None, None),
            Some(mark) if self.low_water_told.is_some_and(|told| told < mark) => self.low_water_told = Some(mark),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funder::reserve::tests::{day, on, reserve};

    fn marks(fen: &[i64]) -> LowWaterMarks {
        let fen: Vec<Fen> = fen.iter().map(|fen| Fen::new(*fen)).collect();
        LowWaterMarks { first: fen[0], lower: fen[1..].to_vec() }
    }

    #[test]
    fn low_water_is_told_once_for_each_crossing_and_day() {
        let mut reserve = reserve(100, 0);
        reserve.set_terms(Fen::ZERO, Fen::new(60).into()).unwrap();
        assert_eq!(reserve.note_low_water(day("2026-03-02")), None);
        reserve.hold(Fen::new(40), day("2026-03-02")).unwrap();
        assert_eq!(reserve.newly_crossed(day("2026-03-02")), None, "at the mark is not below it");
        reserve.hold(Fen::new(1), day("2026-03-02")).unwrap();
        assert_eq!(reserve.newly_crossed(day("2026-03-02")), Some(Fen::new(60)));
        assert_eq!(reserve.note_low_water(day("2026-03-02")), Some(Fen::new(60)));
        assert_eq!(reserve.newly_crossed(day("2026-03-02")), None);
        assert_eq!(reserve.note_low_water(day("2026-03-02")), None);
        assert_eq!(reserve.note_low_water(day("2026-03-03")), Some(Fen::new(60)));
        reserve.deposit(Fen::new(41), on("2026-03-03")).unwrap();
        assert_eq!(reserve.note_low_water(day("2026-03-03")), None);
        reserve.hold(Fen::new(41), day("2026-03-03")).unwrap();
        assert_eq!(reserve.note_low_water(day("2026-03-03")), Some(Fen::new(60)), "a second crossing is told again");
    }

    #[test]
    fn each_mark_is_told_when_it_is_crossed_and_of_several_at_once_the_lowest() {
        let (mut reserve, today) = (reserve(100, 0), day("2026-03-02"));
        reserve.set_marks(marks(&[80, 60, 40, 20])).unwrap();
        let mut after = |fen: i64| {
            reserve.hold(Fen::new(fen), today).unwrap();
            reserve.note_low_water(today).map(Fen::get)
        };
        assert_eq!([after(21), after(10), after(10), after(20), after(1)], [Some(80), None, Some(60), Some(40), None]);
        reserve.deposit(Fen::new(12), on("2026-03-02")).unwrap();
        assert_eq!(reserve.note_low_water(today), None, "what it is still below was told");
        reserve.hold(Fen::new(11), today).unwrap();
        assert_eq!(reserve.note_low_water(today), Some(Fen::new(40)), "a lower mark is crossed again by itself");
        reserve.hold(Fen::new(30), today).unwrap();
        assert_eq!(reserve.note_low_water(today), Some(Fen::new(20)));
        assert_eq!(
            reserve.note_low_water(day("2026-03-03")),
            Some(Fen::new(20)),
            "on the next day once, and the lowest"
        );
    }

    #[test]
    fn a_mark_is_told_again_though_nobody_looked_while_available_was_above_it() {
        let (mut reserve, today) = (reserve(100, 0), day("2026-03-02"));
        reserve.set_marks(marks(&[80, 40])).unwrap();
        reserve.hold(Fen::new(70), today).unwrap();
        assert_eq!(reserve.note_low_water(today), Some(Fen::new(40)));
        reserve.deposit(Fen::new(20), on("2026-03-02")).unwrap();
        assert_eq!(reserve.newly_crossed(today), None, "it is still below the other one");
        reserve.hold(Fen::new(20), today).unwrap();
        assert_eq!(reserve.note_low_water(today), Some(Fen::new(40)));
        reserve.release(Fen::new(50), on("2026-03-02"));
        reserve.hold(Fen::new(10), today).unwrap();
        assert_eq!(reserve.note_low_water(today), Some(Fen::new(80)));
    }

    #[test]
    fn marks_fall_from_one_to_the_next() {
        let mut reserve = reserve(100, 0);
        let many: Vec<i64> = (1..=9).rev().collect();
        for wrong in [&[50, 50][..], &[50, 60], &[50, 20, 30], &[50, 0], &[0, 1], &[50, -1], &many[..]] {
            assert_eq!(reserve.set_marks(marks(wrong)), Err(ReserveRefusal::MarksNotFalling), "{wrong:?}");
        }
        assert_eq!(reserve.set_marks(marks(&[-1])), Err(ReserveRefusal::LowWaterNegative));
        assert_eq!((reserve.marks(), reserve.low_water_version), (marks(&[0]), 1));
        reserve.set_marks(marks(&many[1..])).unwrap();
        reserve.set_marks(marks(&many[1..])).unwrap();
        assert_eq!((reserve.marks(), reserve.low_water_version), (marks(&many[1..]), 2));
        let too_low = reserve.set_terms(Fen::new(5), marks(&[7, 7]));
        assert_eq!((too_low, reserve.advance_limit), (Err(ReserveRefusal::MarksNotFalling), Fen::ZERO));
    }
}
