//! The thresholds from which on operators are told, and what is to be done about a partner's outage.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::BusinessDay;

/// A partner that has not answered for this long is down, and not only slow or restarting.
const DOWN_AFTER: TimeDelta = TimeDelta::minutes(45);
/// More than two maintained clocks differ by, and well within what signatures allow for.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);
/// How long an outage is remembered once no node is configured for the partner any more, since nobody calls it then. Longer
/// than a house is stopped to be moved or repaired, so that it is still told that a partner is back.
pub const UNSEEN_MAX: TimeDelta = TimeDelta::days(1);
/// How many days before its last day operators are first told that the table of working days ends, and from then on every seventh day. The
/// State Council's notice for the next year comes in November.
pub const CALENDAR_DAYS_BEFORE: i64 = 49;
/// How many days before its last day operators are first told that a partner's key ends, and from then on every seventh day.
pub const KEY_DAYS_BEFORE: i64 = 28;
/// For how many of its last days operators are told each day that either ends.
const LAST_DAYS: i64 = 7;

/// How many failures of a job are told. It has then failed for three quarters of an hour, and is tried for more than another
/// day; to tell only after that would be late.
pub const FAILURES_TOLD: i16 = 10;
/// How long a job may be due without having ended. All take seconds or minutes: one that takes an hour waits for something that does not
/// come, or no worker takes it because all of them do.
pub const JOB_TIME_MAX: TimeDelta = TimeDelta::hours(1);
/// The close of a million loans takes seconds; one that takes an hour needs a person.
pub const CLOSE_TIME_MAX: TimeDelta = TimeDelta::hours(1);
/// How long an applicant waits for a person's decision before operators are told.
pub const APPLICATION_WAIT_MAX: TimeDelta = TimeDelta::days(1);

/// What the call log says of a partner: its outage, and its last calls that were answered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHistory {
    pub partner: String,
    /// When the noted outage began.
    pub outage_since: Option<DateTime<Utc>>,
    /// When operators were told of it.
    pub told_at: Option<DateTime<Utc>>,
    /// When the last answered call began.
    pub answered_at: Option<DateTime<Utc>>,
    /// When the first and the last of the calls began that were not answered since then.
    pub silent_since: Option<DateTime<Utc>>,
    pub silent_until: Option<DateTime<Utc>>,
}

/// An outage: a time in which a partner answers nothing.
#[derive(Clone, Copy, Debug)]
pub struct Outage<'a> {
    pub partner: &'a str,
    pub since: DateTime<Utc>,
}

/// What is to be done about a partner after a look at its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Nothing,
    /// A call was not answered: the outage is to be noted, so that the next looks know when it began.
    Begun {
        since: DateTime<Utc>,
    },
    /// It has lasted long: operators are to be told.
    Down {
        since: DateTime<Utc>,
    },
    /// The partner has answered again: operators are told if they were told of the outage.
    Over {
        since: DateTime<Utc>,
        at: DateTime<Utc>,
    },
}

impl CallHistory {
    /// What follows from the calls that were found.
    pub fn finding(&self) -> Finding {
        if let (Some(since), Some(at)) = (self.outage_since, self.answered_at)
            && at > since
        {
            return Finding::Over { since, at };
        }
        let Some((first, last)) = self.silent_since.zip(self.silent_until) else { return Finding::Nothing };
        let since = self.outage_since.unwrap_or(first);
        if self.told_at.is_none() && last - since >= DOWN_AFTER {
            Finding::Down { since }
        } else if self.outage_since.is_none() {
            Finding::Begun { since }
        } else {
            Finding::Nothing
        }
    }
}

/// Whether operators are told today of something whose last day is `last`: weekly from `days_before` days before on, and
/// daily in the last week.
pub fn is_end_told(today: BusinessDay, last: BusinessDay, days_before: i64) -> bool {
    let left = last.days_since(today);
    left <= LAST_DAYS || (left <= days_before && left % LAST_DAYS == 0)
}

/// Whether this machine's clock is `ahead` of the database's, or `behind` it; `None` where they agree.
pub fn clock_off(machine: DateTime<Utc>, database: DateTime<Utc>) -> Option<&'static str> {
    if machine - database > CLOCKS_APART {
        Some("ahead")
    } else if database - machine > CLOCKS_APART {
        Some("behind")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + 60 * minute, 0).unwrap()
    }

    /// Calls at these minutes came to nothing after one that was answered at minute 0.
    fn silent(from: i64, until: i64) -> CallHistory {
        CallHistory {
            partner: "payout".to_owned(),
            outage_since: None,
            told_at: None,
            answered_at: Some(at(0)),
            silent_since: Some(at(from)),
            silent_until: Some(at(until)),
        }
    }

    #[test]
    fn a_partner_that_answers_nothing_is_told_of_once_it_has_for_long() {
        assert_eq!(silent(10, 10).finding(), Finding::Begun { since: at(10) });
        assert_eq!(silent(10, 55).finding(), Finding::Down { since: at(10) });
        let known = |until| CallHistory { outage_since: Some(at(10)), ..silent(10, until) };
        assert_eq!(known(54).finding(), Finding::Nothing);
        assert_eq!(known(55).finding(), Finding::Down { since: at(10) });
        let told = CallHistory { told_at: Some(at(60)), ..known(300) };
        assert_eq!(told.finding(), Finding::Nothing);
        // Whoever was never heard of is down as well, and who has not been called is not.
        assert_eq!(CallHistory { answered_at: None, ..silent(10, 55) }.finding(), Finding::Down { since: at(10) });
        let uncalled = CallHistory { silent_since: None, silent_until: None, ..silent(0, 0) };
        assert_eq!(uncalled.finding(), Finding::Nothing);
    }

    #[test]
    fn an_outage_whose_first_calls_are_out_of_sight_began_when_it_was_found() {
        let late = CallHistory { answered_at: None, outage_since: Some(at(10)), ..silent(50, 56) };
        assert_eq!(late.finding(), Finding::Down { since: at(10) });
    }

    #[test]
    fn an_answer_ends_an_outage_whether_it_was_told_or_not() {
        let over = CallHistory { outage_since: Some(at(10)), answered_at: Some(at(90)), ..silent(91, 91) };
        assert_eq!(over.finding(), Finding::Over { since: at(10), at: at(90) });
        let told = CallHistory { told_at: Some(at(60)), ..over };
        assert_eq!(told.finding(), Finding::Over { since: at(10), at: at(90) });
    }

    #[test]
    fn what_ends_is_told_once_a_week_and_each_day_of_the_last() {
        let last: BusinessDay = "2026-12-31".parse().unwrap();
        let told: Vec<i64> = (-1..=60)
            .filter(|left| {
                let today = if *left < 0 { last.next() } else { last.minus_days(u32::try_from(*left).unwrap()) };
                is_end_told(today, last, CALENDAR_DAYS_BEFORE)
            })
            .collect();
        assert_eq!(told, [-1, 0, 1, 2, 3, 4, 5, 6, 7, 14, 21, 28, 35, 42, 49]);
    }

    #[test]
    fn clocks_that_are_a_minute_apart_agree() {
        assert_eq!(clock_off(at(1), at(0)), None);
        assert_eq!(clock_off(at(0), at(1)), None);
        assert_eq!(clock_off(at(2), at(0)), Some("ahead"));
        assert_eq!(clock_off(at(0), at(2)), Some("behind"));
    }
}
