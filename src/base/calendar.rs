//! Working days by the State Council's yearly notices, make-up weekends included. The notices are data (`working_days.toml`); a
//! day of a year that has none is an error, never a guess.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, Weekday};
use serde::Deserialize;

use super::BusinessDay;
use super::syntax::describe_toml_error;

/// The years that ship with the program; `with_years` adds those of a file.
const SHIPPED: &str = include_str!("working_days.toml");

/// Which days are working days (工作日): the days on which money is paid at T+1. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkingCalendar {
    years: Arc<BTreeMap<i32, Year>>,
}

/// The days of one year that differ from the week.
type Year = BTreeMap<NaiveDate, Exception>;

#[derive(Clone, Debug)]
enum Exception {
    /// A Saturday or Sunday on which people work (调休上班).
    MakeUp,
    /// A public holiday, by its name in the State Council's notice.
    Holiday(Arc<str>),
}

/// Why nobody works on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayOff {
    Weekend,
    Holiday(Arc<str>),
}

/// Days off in a row that have the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaysOff {
    pub first: BusinessDay,
    pub last: BusinessDay,
    pub why: DayOff,
}

/// Why the calendar has no answer, or why a table was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error(
        "{day} is outside the working-day table ({first} to {last}); add the State Council's notice for {} to the calendar file",
        day.date().year()
    )]
    OutsideTable { day: BusinessDay, first: i32, last: i32 },
    #[error("the working-day table cannot be read: {0}")]
    Unreadable(String),
    #[error("the working-day table of {year} is wrong: {reason}")]
    Wrong { year: i32, reason: String },
}

impl WorkingCalendar {
    /// The years that ship with the program.
    pub fn shipped() -> WorkingCalendar {
        WorkingCalendar { years: Arc::new(parse(SHIPPED).expect("the shipped table is proven by a test")) }
    }

    /// This calendar with the years of a table in the shape of `src/base/working_days.toml`; a year given again replaces ours.
    pub fn with_years(&self, table: &str) -> Result<WorkingCalendar, CalendarError> {
        let mut years = self.years.as_ref().clone();
        years.extend(parse(table)?);
        Ok(WorkingCalendar { years: Arc::new(years) })
    }

    /// # Errors
    /// `OutsideTable` where the table lacks the day's year.
    pub fn is_working_day(&self, day: BusinessDay) -> Result<bool, CalendarError> {
        Ok(self.day_off(day)?.is_none())
    }

    /// The days off strictly between two days, in order: why something waits from one until the other.
    ///
    /// # Errors
    /// As [`WorkingCalendar::is_working_day`], for any day in between.
    pub fn days_off(&self, after: BusinessDay, before: BusinessDay) -> Result<Vec<DaysOff>, CalendarError> {
        let mut found: Vec<DaysOff> = Vec::new();
        let mut day = after.next();
        while day < before {
            if let Some(why) = self.day_off(day)? {
                match found.last_mut() {
                    Some(row) if row.why == why && row.last.next() == day => row.last = day,
                    _ => found.push(DaysOff { first: day, last: day, why }),
                }
            }
            day = day.next();
        }
        Ok(found)
    }

    /// The first working day strictly after `day`, which itself need not be in the table.
    ///
    /// # Errors
    /// As [`WorkingCalendar::is_working_day`], for any day that is looked at.
    pub fn next_working_day(&self, day: BusinessDay) -> Result<BusinessDay, CalendarError> {
        let mut next = day.next();
        while !self.is_working_day(next)? {
            next = next.next();
        }
        Ok(next)
    }

    /// The last day up to which the table has every day from `day` on; `None` where it does not have `day`.
    pub fn known_until(&self, day: BusinessDay) -> Option<BusinessDay> {
        let last = (day.date().year()..).take_while(|year| self.years.contains_key(year)).last()?;
        NaiveDate::from_ymd_opt(last, 12, 31).map(BusinessDay::new)
    }

    /// Why a day is not a working day; `None` where it is one.
    fn day_off(&self, day: BusinessDay) -> Result<Option<DayOff>, CalendarError> {
        let year = self.years.get(&day.date().year()).ok_or_else(|| self.outside(day))?;
        Ok(match year.get(&day.date()) {
            Some(Exception::MakeUp) => None,
            Some(Exception::Holiday(name)) => Some(DayOff::Holiday(Arc::clone(name))),
            None => is_weekend(day.date()).then_some(DayOff::Weekend),
        })
    }

    fn outside(&self, day: BusinessDay) -> CalendarError {
        let first = self.years.keys().next().copied().unwrap_or_default();
        let last = self.years.keys().next_back().copied().unwrap_or_default();
        CalendarError::OutsideTable { day, first, last }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    year: Vec<YearTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct YearTable {
    year: i32,
    /// The notice that the days were read from; kept for whoever checks the table.
    #[serde(rename = "source")]
    _source: String,
    holidays: Vec<Holiday>,
    make_up_days: Vec<NaiveDate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holiday {
    name: String,
    first: NaiveDate,
    last: NaiveDate,
}

fn parse(table: &str) -> Result<BTreeMap<i32, Year>, CalendarError> {
    let table: Table =
        toml::from_str(table).map_err(|error| CalendarError::Unreadable(describe_toml_error(table, &error)))?;
    let mut years = BTreeMap::new();
    for year in table.year {
        let number = year.year;
        let days = days_of(year).map_err(|reason| CalendarError::Wrong { year: number, reason })?;
        if years.insert(number, days).is_some() {
            return Err(CalendarError::Wrong { year: number, reason: "the year is listed twice".to_owned() });
        }
    }
    Ok(years)
}

/// The exceptions of a year, or the sentence that says which of its entries contradicts the rest.
fn days_of(table: YearTable) -> Result<Year, String> {
    let mut days = Year::new();
    for Holiday { name, first, last } in table.holidays {
        if first > last || first.year() != table.year || last.year() != table.year {
            return Err(format!("{name} runs from {first} to {last}"));
        }
        let name: Arc<str> = name.into();
        let days_off = first.iter_days().take_while(|day| *day <= last);
        days.extend(days_off.map(|day| (day, Exception::Holiday(Arc::clone(&name)))));
    }
    for day in table.make_up_days {
        if day.year() != table.year || !is_weekend(day) {
            return Err(format!("the make-up day {day} is no Saturday or Sunday of the year"));
        }
        if days.insert(day, Exception::MakeUp).is_some() {
            return Err(format!("{day} is both a holiday and a make-up day"));
        }
    }
    Ok(days)
}

fn is_weekend(date: NaiveDate) -> bool {
    matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> BusinessDay {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_outside_the_table_is_an_error_that_names_the_notice_to_add() {
        let calendar = WorkingCalendar::shipped();
        let error = calendar.next_working_day(day("2026-12-31")).unwrap_err();
        assert_eq!(error, CalendarError::OutsideTable { day: day("2027-01-01"), first: 2025, last: 2026 });
        assert!(error.to_string().contains("notice for 2027"), "{error}");
        assert!(calendar.is_working_day(day("2024-12-31")).is_err());
    }

    #[test]
    fn the_days_off_between_two_days_say_why() {
        let calendar = WorkingCalendar::shipped();
        let off = |after, before| calendar.days_off(day(after), day(before)).unwrap();
        let row = |first, last, why| DaysOff { first: day(first), last: day(last), why };
        assert_eq!(off("2026-03-06", "2026-03-09"), [row("2026-03-07", "2026-03-08", DayOff::Weekend)]);
        // Saturday the 14th is a make-up day; the holiday swallows the weekends in it.
        let spring = DayOff::Holiday("春节".into());
        assert_eq!(off("2026-02-14", "2026-02-24"), [row("2026-02-15", "2026-02-23", spring)]);
        let national = DayOff::Holiday("国庆节".into());
        assert_eq!(off("2026-09-30", "2026-10-08"), [row("2026-10-01", "2026-10-07", national)]);
        assert_eq!(off("2026-03-02", "2026-03-03"), []);
        assert!(calendar.days_off(day("2026-12-31"), day("2027-01-05")).is_err());
    }

    #[test]
    fn a_file_adds_a_year() {
        let file = "[[year]]\nyear = 2027\nsource = 'a notice'\nmake_up_days = ['2027-01-03']\n\
                    holidays = [{ name = '元旦', first = '2027-01-01', last = '2027-01-02' }]";
        let calendar = WorkingCalendar::shipped().with_years(file).unwrap();
        assert_eq!(calendar.next_working_day(day("2026-12-31")).unwrap(), day("2027-01-03"));
        assert!(calendar.is_working_day(day("2025-01-26")).unwrap());
        assert_eq!(calendar.known_until(day("2026-03-02")), Some(day("2027-12-31")));
    }

    #[test]
    fn the_table_is_known_up_to_the_first_year_that_it_lacks() {
        let calendar = WorkingCalendar::shipped();
        assert_eq!(calendar.known_until(day("2025-12-31")), Some(day("2026-12-31")));
        assert_eq!(calendar.known_until(day("2027-01-01")), None);
        let later = "[[year]]\nyear = 2028\nsource = 'a notice'\nmake_up_days = []\nholidays = []";
        assert_eq!(calendar.with_years(later).unwrap().known_until(day("2026-03-02")), Some(day("2026-12-31")));
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let year = "[[year]]\nyear = 2027\nsource = ''\nholidays = []\n";
        for wrong in ["make_up_days = ['2027-01-04']", "make_up_days = ['2026-01-04']", "make_up_days = ['soon']"] {
            assert!(WorkingCalendar::shipped().with_years(&format!("{year}{wrong}")).is_err(), "{wrong}");
        }
        let new_year =
            "[[year]]\nyear = 2027\nsource = ''\nmake_up_days = ['2027-01-03']\nholidays = [{ name = '元旦', first = ";
        for (days, is_right) in [
            ("'2027-01-01', last = '2027-01-02'", true),
            ("'2027-01-01', last = '2027-01-03'", false),
            ("'2027-01-02', last = '2027-01-01'", false),
            ("'2026-12-31', last = '2027-01-01'", false),
            ("'2027-12-31', last = '2028-01-01'", false),
        ] {
            let table = format!("{new_year}{days} }}]");
            assert_eq!(WorkingCalendar::shipped().with_years(&table).is_ok(), is_right, "{days}");
        }
        let twice = format!("{year}make_up_days = []\n\n{year}make_up_days = []");
        assert!(WorkingCalendar::shipped().with_years(&twice).is_err(), "a year is listed once");
        let unread = WorkingCalendar::shipped().with_years("[[year]]\nyear = soon\n").unwrap_err().to_string();
        assert!(unread.starts_with("the working-day table cannot be read: line 2: "), "{unread}");
        assert_eq!(unread.lines().count(), 1, "{unread}");
    }
}
