//! The circuit breaker: a partner that keeps failing is not called for a while; then one trial call decides.

use chrono::{DateTime, TimeDelta, Utc};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures_max: u32,
    pub open_for: TimeDelta,
}

impl BreakerSettings {
    /// Ten calls in a row, so that single time-outs, which are normal, never open it.
    pub const DEFAULT: BreakerSettings = BreakerSettings { failures_max: 10, open_for: TimeDelta::seconds(10) };
}

/// A pure state machine; the clock is a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Calls pass; the last `failures` of them failed in a row.
    Closed { failures: u32 },
    /// No call passes before `until`.
    Open { until: DateTime<Utc> },
    /// One call is on its way and decides; if it is never heard of again, another one may go after `until`.
    HalfOpen { until: DateTime<Utc> },
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Breaker {
        Breaker { settings, state: State::Closed { failures: 0 } }
    }

    /// Whether a call may go out now. If the breaker is not closed, a call that may go out is the trial.
    pub fn admit(&mut self, now: DateTime<Utc>) -> bool {
        // A wait longer than `open_for` means that the clock was set back; then it is not waited for.
        let is_waiting = |until: DateTime<Utc>| now < until && until - now <= self.settings.open_for;
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } if is_waiting(until) => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now + self.settings.open_for };
                true
            }
        }
    }

    /// The partner answered, be it with a refusal.
    pub fn answered(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// The partner did not answer, or not sensibly.
    pub fn failed(&mut self, now: DateTime<Utc>) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < self.settings.failures_max => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } | State::HalfOpen { .. } => State::Open { until: now + self.settings.open_for },
            // A call that was already under way when the breaker opened changes nothing.
            State::Open { until } => State::Open { until },
        };
    }

    /// The partner was known to be back at `since` (somebody resumed it, or another node reached it): if the breaker had opened before
    /// that, its trial is due now. A failure after `since` counts as usual, so that one such notice gives one trial.
    pub fn try_again(&mut self, since: DateTime<Utc>) {
        if let State::Open { until } = self.state
            && until - self.settings.open_for <= since
        {
            self.state = State::Open { until: until.min(since) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings { failures_max: 3, open_for: TimeDelta::seconds(10) };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + second, 0).unwrap()
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(SETTINGS);
        (0..3).for_each(|_| breaker.failed(at(0)));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_starts_the_count_again() {
        let mut breaker = Breaker::new(SETTINGS);
        breaker.failed(at(0));
        breaker.failed(at(0));
        breaker.answered();
        breaker.failed(at(1));
        breaker.failed(at(1));
        assert!(breaker.admit(at(1)));
        breaker.failed(at(1));
        assert!(!breaker.admit(at(2)));
    }

    #[test]
    fn after_the_wait_one_trial_passes_and_no_second() {
        let mut breaker = opened();
        assert!(!breaker.admit(at(9)));
        assert!(breaker.admit(at(10)));
        assert!(!breaker.admit(at(10)));
    }

    #[test]
    fn a_trial_that_is_answered_closes_it() {
        let mut breaker = opened();
        assert!(breaker.admit(at(10)));
        breaker.answered();
        assert!(breaker.admit(at(10)) && breaker.admit(at(10)), "beside a trial no second one would pass");
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_the_whole_wait() {
        let mut breaker = opened();
        assert!(breaker.admit(at(10)));
        breaker.failed(at(11));
        assert!(!breaker.admit(at(20)));
        assert!(breaker.admit(at(21)));
    }

    #[test]
    fn a_trial_that_is_never_heard_of_again_does_not_close_the_way_for_good() {
        let mut breaker = opened();
        assert!(breaker.admit(at(10)));
        assert!(breaker.admit(at(20)));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_wait() {
        let day = 24 * 60 * 60;
        let mut breaker = opened();
        assert!(breaker.admit(at(-day)) && !breaker.admit(at(-day)), "one trial, and no more");
        breaker.failed(at(1 - day));
        assert!(!breaker.admit(at(10 - day)));
        assert!(breaker.admit(at(11 - day)));
    }

    #[test]
    fn a_straggler_does_not_prolong_the_wait() {
        let mut breaker = opened();
        breaker.failed(at(5));
        assert!(breaker.admit(at(10)));
    }

    #[test]
    fn a_word_that_the_partner_is_to_be_tried_makes_the_trial_due_once() {
        let mut breaker = opened();
        breaker.try_again(at(4));
        assert!(breaker.admit(at(4)) && !breaker.admit(at(4)), "one trial, and no more");
        breaker.failed(at(5));
        breaker.try_again(at(4));
        assert!(!breaker.admit(at(6)), "the word is older than the failure");
        assert!(breaker.admit(at(15)));
    }

    #[test]
    fn a_word_changes_nothing_for_a_breaker_that_is_closed_or_opened_later() {
        let mut closed = Breaker::new(SETTINGS);
        closed.failed(at(0));
        let before = closed.clone();
        closed.try_again(at(1));
        assert_eq!(closed, before);
        let mut opened = opened();
        opened.try_again(at(-1));
        assert!(!opened.admit(at(9)) && opened.admit(at(10)));
    }
}
