//! Buckets: how late a debt is, in bands of days past due.

use std::collections::BTreeMap;

use crate::base::{BusinessDay, Fen};

/// A band of days past due, as reports and portfolios count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Nothing is past due.
    Current,
    Days1To30,
    Days31To60,
    Days61To90,
    Days91To180,
    Days181AndMore,
}

/// The open bills of one due day, with the principal that is unpaid of them.
#[derive(Clone, Copy, Debug)]
pub struct UnpaidOf {
    pub due_on: BusinessDay,
    pub bills: i64,
    pub principal: Fen,
}

/// What is unpaid in one band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InBucket {
    pub bucket: Bucket,
    pub bills: i64,
    pub principal: Fen,
}

/// Open bills by how late they are on `today`, the least late first; bands without any are left out.
pub fn by_bucket(unpaid: &[UnpaidOf], today: BusinessDay) -> Vec<InBucket> {
    let mut bands: BTreeMap<Bucket, InBucket> = BTreeMap::new();
    for UnpaidOf { due_on, bills, principal } in unpaid {
        let bucket = Bucket::of_days_past_due(today.days_since(*due_on));
        let band = bands.entry(bucket).or_insert(InBucket { bucket, bills: 0, principal: Fen::ZERO });
        band.bills += bills;
        band.principal += *principal;
    }
    bands.into_values().collect()
}

impl Bucket {
    /// The bucket of a debt whose oldest unpaid due date lies `days` back; not yet due is current.
    pub fn of_days_past_due(days: i64) -> Bucket {
        match days {
            ..=0 => Bucket::Current,
            1..=30 => Bucket::Days1To30,
            31..=60 => Bucket::Days31To60,
            61..=90 => Bucket::Days61To90,
            91..=180 => Bucket::Days91To180,
            181.. => Bucket::Days181AndMore,
        }
    }

    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Bucket::Current => "current",
            Bucket::Days1To30 => "1-30",
            Bucket::Days31To60 => "31-60",
            Bucket::Days61To90 => "61-90",
            Bucket::Days91To180 => "91-180",
            Bucket::Days181AndMore => "181+",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_band_begins_the_day_after_the_one_before_ends() {
        let at = |days| Bucket::of_days_past_due(days).name();
        assert_eq!([at(-5), at(0), at(1), at(30)], ["current", "current", "1-30", "1-30"]);
        assert_eq!([at(31), at(60), at(61), at(90)], ["31-60", "31-60", "61-90", "61-90"]);
        assert_eq!([at(91), at(180), at(181)], ["91-180", "91-180", "181+"]);
    }

    #[test]
    fn due_days_of_one_band_are_counted_together() {
        let unpaid =
            |due_on: &str, bills, fen| UnpaidOf { due_on: due_on.parse().unwrap(), bills, principal: Fen::new(fen) };
        // 32, 31, 30 and 1 days past due, and due today.
        let all = [
            unpaid("2026-02-28", 1, 100),
            unpaid("2026-03-01", 2, 200),
            unpaid("2026-03-02", 3, 400),
            unpaid("2026-03-31", 4, 800),
            unpaid("2026-04-01", 5, 1_600),
        ];
        let bands = by_bucket(&all, "2026-04-01".parse().unwrap());
        let told: Vec<_> = bands.iter().map(|band| (band.bucket.name(), band.bills, band.principal.get())).collect();
        assert_eq!(told, [("current", 5, 1_600), ("1-30", 7, 1_200), ("31-60", 3, 300)]);
    }
}
