//! When jobs may next find work, so that a moved clock can skip the times at which there can be none.

use chrono::{DateTime, Utc};

use crate::jobs::JobKind;

/// From when on each kind of job may find something to do, if nothing else is done before; `None` if never. It may be too early but never
/// too late: a job that finds nothing does no harm.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextWork {
    /// Enqueued jobs, and messages. Not partners' callbacks, of which the sandbox knows.
    pub settle_at: Option<DateTime<Utc>>,
    pub withhold_at: Option<DateTime<Utc>>,
    pub pay_out_at: Option<DateTime<Utc>>,
    pub ask_at: Option<DateTime<Utc>>,
    pub watch_at: Option<DateTime<Utc>>,
    pub compare_at: Option<DateTime<Utc>>,
    pub make_files_at: Option<DateTime<Utc>>,
}

impl NextWork {
    /// Whether anything may be under way at a time.
    pub fn may_settle(&self, at: DateTime<Utc>) -> bool {
        self.settle_at.is_some_and(|from| from <= at)
    }

    /// Whether a kind of job may find anything to do at a time.
    pub fn may_find(&self, kind: JobKind, at: DateTime<Utc>) -> bool {
        let from = match kind {
            // They run once a day, so there is no need to skip them.
            JobKind::DailyClose | JobKind::PruneJobs => return true,
            JobKind::Withhold => self.withhold_at,
            JobKind::PayOut => self.pay_out_at,
            JobKind::AskPartners => self.ask_at,
            JobKind::WatchReserves => self.watch_at,
            JobKind::CompareFiles => self.compare_at,
            JobKind::MakeFiles => self.make_files_at,
        };
        from.is_some_and(|from| from <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_left_out_only_before_its_time_has_come() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let (before, then) = (at("2026-03-25T00:59:59Z"), at("2026-03-25T01:00:00Z"));
        let found = |next: NextWork, at| -> Vec<JobKind> {
            JobKind::ALL.into_iter().filter(|kind| next.may_find(*kind, at)).collect()
        };
        let always = [JobKind::DailyClose, JobKind::PruneJobs];
        assert_eq!(found(NextWork::default(), then), always);
        let ahead = Some(then);
        let all = NextWork {
            settle_at: ahead,
            withhold_at: ahead,
            pay_out_at: ahead,
            ask_at: ahead,
            watch_at: ahead,
            compare_at: ahead,
            make_files_at: ahead,
        };
        assert_eq!(found(all, before), always);
        assert_eq!(found(all, then), JobKind::ALL);
        assert_eq!([before, then].map(|at| all.may_settle(at)), [false, true]);
    }
}
