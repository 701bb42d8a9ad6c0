//! Business days and the days of month that statements and due dates fall on.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// A day of business in Asia/Shanghai. The current one is a stored value that only the daily close advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "NaiveDate", into = "NaiveDate")]
#[sqlx(transparent)]
pub struct BusinessDay(NaiveDate);

/// When something is booked or told: the business day that it counts for, and the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    pub business_day: BusinessDay,
    pub at: DateTime<Utc>,
}

/// A text that is not a day of the years 1 to 9999. Within that bound no term that is counted from a day can reach the end of
/// chrono's calendar, which is what `plus_days` and its like rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written like 2026-03-02, with a year of four digits")]
pub struct DayError;

impl BusinessDay {
    /// Takes any date. Dates from outside are parsed instead, which bounds their year.
    pub const fn new(date: NaiveDate) -> BusinessDay {
        BusinessDay(date)
    }

    pub const fn date(self) -> NaiveDate {
        self.0
    }

    /// The calendar day in Shanghai at an instant.
    pub fn at(instant: DateTime<Utc>) -> BusinessDay {
        BusinessDay(instant.with_timezone(&Shanghai).date_naive())
    }

    /// The instant at which the wall clock in Shanghai shows `time` on this day.
    ///
    /// Shanghai had daylight saving time in some years until 1991. If the clock showed `time` twice, this is the first instant;
    /// if it skipped `time`, this is the instant at which it showed an hour more.
    pub fn instant(self, time: NaiveTime) -> DateTime<Utc> {
        let local = self.0.and_time(time);
        let shown = |local| Shanghai.from_local_datetime(&local).earliest();
        let at = shown(local).or_else(|| shown(local + TimeDelta::hours(1)));
        at.expect("no clock in Shanghai was ever put forward by more than an hour").with_timezone(&Utc)
    }

    pub fn next(self) -> BusinessDay {
        self.plus_days(1)
    }

    /// # Panics
    /// Beyond chrono's calendar, which ends in the year 262142; so do all sums of days or months.
    pub fn plus_days(self, days: u32) -> BusinessDay {
        BusinessDay(self.0.checked_add_days(Days::new(u64::from(days))).expect("dates stay within the calendar"))
    }

    pub fn minus_days(self, days: u32) -> BusinessDay {
        BusinessDay(self.0.checked_sub_days(Days::new(u64::from(days))).expect("dates stay within the calendar"))
    }

    /// The same day of month `months` later, clamped to the month's end.
    pub fn plus_months(self, months: u32) -> BusinessDay {
        BusinessDay(self.0.checked_add_months(Months::new(months)).expect("dates stay within the calendar"))
    }

    /// The same day of month `months` earlier, clamped to the month's end.
    pub fn minus_months(self, months: u32) -> BusinessDay {
        BusinessDay(self.0.checked_sub_months(Months::new(months)).expect("dates stay within the calendar"))
    }

    /// Days from `earlier` to this day; negative where `earlier` is later.
    pub fn days_since(self, earlier: BusinessDay) -> i64 {
        (self.0 - earlier.0).num_days()
    }

    pub fn is_month_end(self) -> bool {
        self.next().0.day() == 1
    }

    /// From 1 to 31.
    pub fn day_of_month(self) -> u8 {
        self.0.day() as u8
    }
}

impl utoipa::PartialSchema for BusinessDay {
    fn schema() -> RefOr<Schema> {
        let date = SchemaFormat::KnownFormat(KnownFormat::Date);
        Schema::from(ObjectBuilder::new().schema_type(Type::String).format(Some(date)).examples(["2026-03-02"])).into()
    }
}

impl utoipa::ToSchema for BusinessDay {}

impl fmt::Display for BusinessDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for BusinessDay {
    type Err = DayError;
    fn from_str(text: &str) -> Result<BusinessDay, DayError> {
        text.parse::<NaiveDate>().map_err(|_| DayError)?.try_into()
    }
}

impl TryFrom<NaiveDate> for BusinessDay {
    type Error = DayError;
    fn try_from(date: NaiveDate) -> Result<BusinessDay, DayError> {
        if (1..=9999).contains(&date.year()) { Ok(BusinessDay(date)) } else { Err(DayError) }
    }
}

impl From<BusinessDay> for NaiveDate {
    fn from(day: BusinessDay) -> NaiveDate {
        day.0
    }
}

/// A day of month from 1 to 31. In a shorter month it falls on the last day, and comes back in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct MonthDay(u8);

impl MonthDay {
    /// `None` outside 1 to 31.
    pub const fn new(day: u8) -> Option<MonthDay> {
        if day >= 1 && day <= 31 { Some(MonthDay(day)) } else { None }
    }

    /// From 1 to 31.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// This day of month in the month of `day`.
    fn in_month_of(self, day: BusinessDay) -> BusinessDay {
        let first = day.date().with_day(1).expect("every month has a first day");
        let last = first.checked_add_months(Months::new(1)).and_then(|next| next.pred_opt());
        let last = last.expect("dates stay within the calendar").day();
        let clamped = first.with_day(u32::from(self.0).min(last)).expect("the day was clamped to the month");
        BusinessDay::new(clamped)
    }

    /// The first time this day of month falls strictly after `day`.
    pub fn next_after(self, day: BusinessDay) -> BusinessDay {
        let this_month = self.in_month_of(day);
        if this_month > day { this_month } else { self.months_after(day, 1) }
    }

    /// This day of month in the month `months` after that of `day`.
    pub fn months_after(self, day: BusinessDay, months: u32) -> BusinessDay {
        let first = BusinessDay::new(day.date().with_day(1).expect("every month has a first day"));
        self.in_month_of(first.plus_months(months))
    }
}

impl TryFrom<u8> for MonthDay {
    type Error = &'static str;
    fn try_from(day: u8) -> Result<MonthDay, &'static str> {
        MonthDay::new(day).ok_or("a day of month is a number from 1 to 31")
    }
}

impl From<MonthDay> for u8 {
    fn from(day: MonthDay) -> u8 {
        day.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    #[test]
    fn a_late_day_of_month_clamps_and_comes_back() {
        let thirty_first = MonthDay::new(31).unwrap();
        assert_eq!(thirty_first.months_after(day("2026-01-31"), 1), day("2026-02-28"));
        assert_eq!(thirty_first.months_after(day("2026-01-31"), 2), day("2026-03-31"));
        assert_eq!(day("2026-03-31").minus_months(1), day("2026-02-28"));
    }

    #[test]
    fn the_next_statement_day_is_strictly_later() {
        let fifth = MonthDay::new(5).unwrap();
        assert_eq!(fifth.next_after(day("2026-01-05")), day("2026-02-05"));
        assert_eq!(fifth.next_after(day("2026-01-04")), day("2026-01-05"));
    }

    #[test]
    fn a_text_that_is_no_day_of_the_years_1_to_9999_is_refused() {
        for wrong in ["+262142-12-31", "-262143-01-01", "+10000-01-01", "0000-01-01", "2026-02-30", "soon", ""] {
            assert_eq!(wrong.parse::<BusinessDay>(), Err(DayError), "{wrong}");
            assert!(serde_json::from_value::<BusinessDay>(wrong.into()).is_err(), "{wrong}");
        }
        let read: BusinessDay = serde_json::from_str("\"2026-03-02\"").unwrap();
        assert_eq!((read, serde_json::to_string(&read).unwrap().as_str()), (day("2026-03-02"), "\"2026-03-02\""));
        assert_eq!(day("9999-12-31").plus_months(1_200).days_since(day("9999-12-31")), 36_525);
    }

    #[test]
    fn a_business_day_begins_at_midnight_in_shanghai() {
        let late_in_utc = "2026-01-04T16:00:00Z".parse().unwrap();
        assert_eq!(BusinessDay::at(late_in_utc), day("2026-01-05"));
        assert_eq!(day("2026-01-05").instant(NaiveTime::MIN), late_in_utc);
    }

    #[test]
    fn a_time_that_daylight_saving_skipped_is_an_instant_too() {
        let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
        let left_out = [
            ("1940-06-01", NaiveTime::MIN, "1940-05-31T16:00:00Z"),
            ("1949-05-01", NaiveTime::MIN, "1949-04-30T16:00:00Z"),
            ("1986-05-04", half_past_two, "1986-05-03T18:30:00Z"),
        ];
        for (on, time, at) in left_out {
            let at: DateTime<Utc> = at.parse().unwrap();
            assert_eq!((day(on).instant(time), BusinessDay::at(at)), (at, day(on)));
        }
        let mut any = day("1900-01-01");
        while any < day("1993-01-01") {
            assert_eq!(BusinessDay::at(any.instant(NaiveTime::MIN)), any);
            any = any.next();
        }
    }

    #[test]
    fn a_late_day_of_month_falls_on_the_last_day_of_a_shorter_one_and_then_not_again() {
        let thirty_first = MonthDay::new(31).unwrap();
        assert_eq!(thirty_first.next_after(day("2026-02-27")), day("2026-02-28"));
        assert_eq!(thirty_first.next_after(day("2026-02-28")), day("2026-03-31"));
        assert_eq!(MonthDay::new(29).unwrap().next_after(day("2028-02-28")), day("2028-02-29"));
        assert_eq!(thirty_first.next_after(day("2026-12-31")), day("2027-01-31"));
        assert_eq!([0, 1, 31, 32].map(|day| MonthDay::new(day).is_some()), [false, true, true, false]);
    }

    #[test]
    fn a_month_ends_on_its_last_day_alone() {
        let ends = ["2026-02-27", "2026-02-28", "2028-02-28", "2028-02-29", "2026-12-30", "2026-12-31"];
        assert_eq!(ends.map(|text| day(text).is_month_end()), [false, true, false, true, false, true]);
    }
}
