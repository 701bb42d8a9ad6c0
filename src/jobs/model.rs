//! What a job is, and when one that failed is tried again.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::words;

words! {
    /// Every kind of background work. `dispatch.rs` says what each kind does, `timetable.rs` when.
    pub enum JobKind {
        /// Ends every business day that the calendar has left behind.
        DailyClose = "daily_close",
        /// Removes what is older than it is kept: records of jobs, calls, messages, notices, sessions and the like.
        PruneJobs = "prune_jobs",
        /// Sends the withholding orders whose time has come, and makes new ones for those that may be tried again.
        Withhold = "withhold",
        /// Sends the payouts whose day has come.
        PayOut = "pay_out",
        /// Asks partners what became of whatever is unknown, and decides applications that wait, or whose funder's time is over.
        AskPartners = "ask_partners",
        /// Tells funders whose reserve is low.
        WatchReserves = "watch_reserves",
        /// Compares the withholding channels' daily files with our orders.
        CompareFiles = "compare_files",
        /// Makes the daily files of days that are closed.
        MakeFiles = "make_files",
    }
}

/// A job to be done once, as soon as a worker is free: a pair of kind and key is never enqueued twice. A job has no other input, because it
/// does all the work of its kind that is due.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub kind: JobKind,
    /// Tells jobs of one kind apart: a day, a day and time, or an object's id.
    pub unique_key: String,
    pub created_at: DateTime<Utc>,
}

/// Attempts after which a job is dead: with the delays below, about thirty hours.
pub const ATTEMPTS_MAX: i16 = 40;

const DELAY_FIRST: TimeDelta = TimeDelta::seconds(5);
/// The longest pause between two attempts. Somebody waits for the work, so it is tried at least every hour.
pub const DELAY_MAX: TimeDelta = TimeDelta::hours(1);

/// How long a job waits after its `attempts`-th attempt failed.
pub fn delay_after(attempts: i16) -> TimeDelta {
    // Ten doublings already give more than an hour; the clamp keeps the shift from overflowing.
    let doublings = attempts.clamp(1, 11) - 1;
    (DELAY_FIRST * (1 << doublings)).min(DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::model::FAILURES_TOLD;

    #[test]
    fn delays_grow_up_to_an_hour() {
        assert_eq!(delay_after(1), TimeDelta::seconds(5));
        assert_eq!(delay_after(3), TimeDelta::seconds(20));
        assert_eq!(delay_after(i16::MAX), TimeDelta::hours(1));
    }

    #[test]
    fn what_fails_is_tried_nine_times_more_within_the_hour_and_given_up_on_the_day_after() {
        let waited = |attempts: i16| (1..attempts).map(delay_after).sum::<TimeDelta>();
        assert!(waited(10) < TimeDelta::hours(1) && waited(11) > TimeDelta::hours(1));
        assert!(waited(ATTEMPTS_MAX) > TimeDelta::days(1) && waited(ATTEMPTS_MAX) < TimeDelta::days(2));
        // Operators hear of it after three quarters of an hour.
        assert!((40..50).contains(&waited(FAILURES_TOLD).num_minutes()));
    }
}
