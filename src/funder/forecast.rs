//! When a reserve will be used up, if purchases go on as in the last days.

use super::reserve::Reserve;
use crate::base::{BusinessDay, Fen, WorkingCalendar};

/// Business days over which the average is taken, or fewer where the reserve is younger: two weeks hold two weekends.
pub const DAYS: u32 = 14;

/// What the last [`DAYS`] business days let one expect, or those since the reserve was first used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Held less released and returned, on an average day; not positive when the reserve is not drawn down.
    pub net_use_a_day: Fen,
    /// The first day whose purchases would not all be covered; `None` while it is not drawn down.
    pub runs_dry_on: Option<BusinessDay>,
}

/// How a reserve was used.
#[derive(Clone, Copy, Debug)]
pub struct NetUse {
    /// Held less released and returned by refunds.
    pub net: Fen,
    /// The first day of all on which purchases held any of it.
    pub since: BusinessDay,
}

/// Forecasts a reserve as it stands on `today`; `used` is over the last [`DAYS`] business days before it. Days before the reserve
/// was first used are not counted. No deposit is expected, so an advance carries purchases only until it has to be repaid, at the
/// end of the working day after its first one; where `calendar` does not know that day, no advance is counted on.
pub fn forecast(reserve: &Reserve, used: NetUse, today: BusinessDay, calendar: &WorkingCalendar) -> Forecast {
    let days = today.days_since(used.since).clamp(1, i64::from(DAYS));
    let first_beyond = |usable: Fen| {
        // How many whole days are covered; multiplied first, so that no rounded average is divided by.
        let covered = i128::from(usable.or_zero().get()) * i128::from(days) / i128::from(used.net.get());
        today.plus_days(u32::try_from(covered).unwrap_or(u32::MAX).min(COVERED_DAYS_MAX))
    };
    let runs_dry_on = used.net.is_positive().then(|| {
        let advance_since = reserve.advance_since.unwrap_or_else(|| first_beyond(reserve.available));
        let stopped_on = calendar.next_working_day(advance_since).map_or(advance_since, BusinessDay::next);
        first_beyond(reserve.usable()).min(stopped_on).max(today)
    });
    Forecast { net_use_a_day: used.net.share(1, days), runs_dry_on }
}

/// Beyond ten years a forecast says nothing.
const COVERED_DAYS_MAX: u32 = 3_650;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funder::reserve::tests::{day, reserve};

    /// Of a reserve without an advance.
    fn forecast(available: Fen, used: NetUse, today: BusinessDay) -> Forecast {
        super::forecast(&reserve(available.get(), 0), used, today, &WorkingCalendar::shipped())
    }

    fn used_since(since: &str, net: i64) -> NetUse {
        NetUse { net: Fen::new(net), since: day(since) }
    }

    #[test]
    fn it_runs_dry_after_the_days_that_are_covered() {
        // 100 a day; 250 last today and tomorrow, and not the day after.
        let forecast = forecast(Fen::new(250), used_since("2026-01-05", 1_400), day("2026-03-02"));
        assert_eq!(forecast.net_use_a_day, Fen::new(100));
        assert_eq!(forecast.runs_dry_on, Some(day("2026-03-04")));
    }

    #[test]
    fn a_reserve_that_is_young_is_averaged_over_the_days_of_its_use() {
        // 700 in the two days since it was first used are 350 a day, and not 50.
        let young = forecast(Fen::new(800), used_since("2026-02-28", 700), day("2026-03-02"));
        assert_eq!((young.net_use_a_day, young.runs_dry_on), (Fen::new(350), Some(day("2026-03-04"))));
        let first_day = forecast(Fen::new(800), used_since("2026-03-02", 700), day("2026-03-02"));
        assert_eq!(first_day.net_use_a_day, Fen::new(700));
    }

    #[test]
    fn a_reserve_that_is_not_drawn_down_never_runs_dry() {
        for net in [0, -5] {
            let forecast = forecast(Fen::new(1), used_since("2026-01-05", net), day("2026-03-02"));
            assert_eq!(forecast.runs_dry_on, None, "{net}");
        }
    }

    #[test]
    fn an_empty_reserve_is_dry_today() {
        let forecast = forecast(Fen::ZERO, used_since("2026-01-05", 14), day("2026-03-02"));
        assert_eq!(forecast.runs_dry_on, Some(day("2026-03-02")));
    }

    #[test]
    fn what_covers_exactly_so_many_days_runs_dry_on_the_next_one_and_a_fen_less_on_the_last() {
        let dry_on = |usable| {
            let forecast = forecast(Fen::new(usable), used_since("2026-01-05", 1_400), day("2026-03-02"));
            forecast.runs_dry_on.unwrap().to_string()
        };
        assert_eq!(
            [dry_on(200), dry_on(199), dry_on(100), dry_on(99)],
            ["2026-03-04", "2026-03-03", "2026-03-03", "2026-03-02"]
        );
        // A negative reserve counts as empty, and no forecast looks further than ten years.
        assert_eq!(dry_on(-500), "2026-03-02");
        assert_eq!(dry_on(Fen::MAX.get()), day("2026-03-02").plus_days(3_650).to_string());
    }

    #[test]
    fn no_more_than_two_weeks_are_averaged() {
        let average = |since| forecast(Fen::ZERO, used_since(since, 1_400), day("2026-03-16")).net_use_a_day.get();
        // Fifteen, fourteen and thirteen days.
        assert_eq!([average("2026-03-01"), average("2026-03-02"), average("2026-03-03")], [100, 100, 108]);
    }

    #[test]
    fn an_advance_that_nobody_repays_carries_purchases_until_it_is_due_and_no_further() {
        let dry_on = |reserve: &Reserve, today: &str| {
            let forecast =
                super::forecast(reserve, used_since("2026-01-05", 1_400), day(today), &WorkingCalendar::shipped());
            forecast.runs_dry_on.unwrap().to_string()
        };
        // 100 a day: Monday and half of Tuesday out of its own money. The advance of Tuesday is due at the end of Wednesday.
        let mut reserve = reserve(150, 100_000);
        assert_eq!(dry_on(&reserve, "2026-03-02"), "2026-03-05");
        reserve.advance_limit = Fen::new(49);
        assert_eq!(dry_on(&reserve, "2026-03-02"), "2026-03-03", "what it reaches to comes first");
        // One of Friday is due at the end of Monday.
        reserve.advance_limit = Fen::new(100_000);
        reserve.hold(Fen::new(151), day("2026-03-06")).unwrap();
        assert_eq!([dry_on(&reserve, "2026-03-06"), dry_on(&reserve, "2026-03-09")], ["2026-03-10", "2026-03-10"]);
        assert!(reserve.age_advance(day("2026-03-09"), day("2026-03-09")));
        assert_eq!([dry_on(&reserve, "2026-03-10"), dry_on(&reserve, "2026-03-12")], ["2026-03-10", "2026-03-12"]);
    }

    #[test]
    fn no_advance_is_counted_on_where_the_day_on_which_it_is_due_is_not_known() {
        let dry_on = |available: i64| {
            let used = used_since("2026-01-05", 1_400);
            let forecast =
                super::forecast(&reserve(available, 1_000), used, day("2026-03-02"), &WorkingCalendar::shipped());
            forecast.runs_dry_on.unwrap()
        };
        let beyond = day("2026-03-02").plus_days(1_000);
        assert_eq!((dry_on(100_000), dry_on(99_900)), (beyond, beyond.minus_days(1)));
    }
}
