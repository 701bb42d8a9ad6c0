//! Buckets: how late a debt is, in bands of days past due.

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
}
