//! Scheduled retries: for which of the day's times the timetable makes the next order of a line, and on which channel.

use chrono::{DateTime, Utc};

use super::withholding::{Failure, State};
use crate::partner::withholding::{ChannelFailure, ChannelName};

/// The last order that the timetable made for a line on a day.
#[derive(Clone, Copy, Debug)]
pub struct LastAttempt {
    pub state: State,
    pub channel: ChannelName,
    /// Counts the day's attempts, from 1.
    pub attempt_no: i16,
    /// The time of the timetable that it was made for.
    pub submit_at: DateTime<Utc>,
}

/// The order to make now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAttempt {
    pub channel: ChannelName,
    pub attempt_no: i16,
    pub submit_at: DateTime<Utc>,
}

/// The next attempt on a line that owes something and has no pending order; `times` are the day's. `None` before the next time comes,
/// and for the rest of the day after a failure that a retry cannot cure.
pub fn next_attempt(last: Option<LastAttempt>, times: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<NextAttempt> {
    let come = times.iter().copied().filter(|time| *time <= now).max()?;
    let Some(last) = last else {
        return Some(NextAttempt { channel: ChannelName::FIRST, attempt_no: 1, submit_at: come });
    };
    let (channel, is_open) = match last.state {
        // It was never sent: another payment replaced it, or its card was unbound. What is still owed is asked for at the same time.
        State::Failed(Failure::Superseded) => (last.channel, come >= last.submit_at),
        State::Failed(Failure::Channel(ChannelFailure::InsufficientFunds) | Failure::Reversed) => {
            (last.channel, come > last.submit_at)
        }
        State::Failed(Failure::Channel(ChannelFailure::ChannelDown)) => (ChannelName::FIRST, come > last.submit_at),
        State::Failed(Failure::Channel(ChannelFailure::CardInvalid | ChannelFailure::Refused)) => return None,
        // Only a part was collected, so the card is empty: the rest is left to the timetable's next day.
        State::Succeeded { .. } => return None,
        State::Created | State::Submitted | State::Unknown => return None,
    };
    is_open.then_some(NextAttempt { channel, attempt_no: last.attempt_no + 1, submit_at: come })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Fen;

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-03-25T{time}:00Z").parse().unwrap()
    }

    fn next(state: State, made_for: &str, now: &str) -> Option<String> {
        let last = LastAttempt { state, channel: ChannelName::Beta, attempt_no: 1, submit_at: at(made_for) };
        let next = next_attempt(Some(last), &[at("09:00"), at("15:00")], at(now))?;
        Some(format!("{} {} {}", next.channel.name(), next.attempt_no, next.submit_at.format("%H:%M")))
    }

    #[test]
    fn a_superseded_order_is_replaced_at_its_own_time() {
        let superseded = State::Failed(Failure::Superseded);
        assert_eq!(next(superseded, "09:00", "08:59"), None);
        assert_eq!(next(superseded, "09:00", "09:00").as_deref(), Some("beta 2 09:00"));
        assert_eq!(next(superseded, "09:00", "16:00").as_deref(), Some("beta 2 15:00"));
    }

    #[test]
    fn a_temporary_failure_is_retried_at_the_next_time_and_another_one_not_at_all() {
        let failed = |failure| State::Failed(Failure::Channel(failure));
        assert_eq!(next(failed(ChannelFailure::InsufficientFunds), "09:00", "14:59"), None);
        assert_eq!(next(failed(ChannelFailure::InsufficientFunds), "09:00", "15:00").as_deref(), Some("beta 2 15:00"));
        assert_eq!(next(failed(ChannelFailure::ChannelDown), "09:00", "15:00").as_deref(), Some("alpha 2 15:00"));
        let reversed = State::Failed(Failure::Reversed);
        assert_eq!(next(reversed, "09:00", "14:59"), None);
        assert_eq!(next(reversed, "09:00", "15:00").as_deref(), Some("beta 2 15:00"));
        assert_eq!(next(failed(ChannelFailure::ChannelDown), "09:00", "14:59"), None);
        assert_eq!(next(failed(ChannelFailure::CardInvalid), "09:00", "15:00"), None);
        assert_eq!(next(failed(ChannelFailure::Refused), "09:00", "15:00"), None);
        for pending in [State::Created, State::Submitted, State::Unknown] {
            assert_eq!(next(pending, "09:00", "15:00"), None);
        }
    }

    #[test]
    fn after_a_part_was_collected_nothing_more_is_asked_for_that_day() {
        let collected = Fen::new(1);
        assert_eq!(next(State::Succeeded { collected }, "09:00", "15:00"), None);
    }

    #[test]
    fn a_line_without_an_order_is_asked_at_the_latest_time_that_has_come() {
        let times = [at("09:00"), at("15:00")];
        assert_eq!(next_attempt(None, &times, at("08:00")), None);
        let next = next_attempt(None, &times, at("16:00")).unwrap();
        assert_eq!((next.attempt_no, next.submit_at), (1, at("15:00")));
    }
}
