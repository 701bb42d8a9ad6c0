//! What a message is, and when one that failed is tried again.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// One thing that happened, as a partner is told it. Messages about one object arrive in the order they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The partner's configured name, such as `funder_core`.
    pub partner: String,
    /// What happened, such as `loan_made`; part of the partner's protocol.
    pub kind: &'static str,
    /// What keeps its order: the line or loan that it is about.
    pub object_id: Uuid,
    pub body: serde_json::Value,
    pub created_at: DateTime<Utc>,
}

/// Attempts after which a message is a dead letter: with the delays below, about four days.
pub const ATTEMPTS_MAX: i16 = 18;

/// The first delay after a failure; each further one is twice as long, up to [`DELAY_MAX`].
const DELAY_FIRST: TimeDelta = TimeDelta::seconds(5);
const DELAY_MAX: TimeDelta = TimeDelta::days(1);

/// How long to wait after the `failures`-th failure in a row.
pub fn delay_after(failures: i16) -> TimeDelta {
    // Twenty doublings are far beyond a day already, and fit.
    let doublings = failures.clamp(1, 21) - 1;
    (DELAY_FIRST * (1 << doublings)).min(DELAY_MAX)
}

/// The most messages in one call.
const BATCH_MAX: usize = 500;
/// A batch that failed as a whole is cut to a quarter until the message that spoils it stands alone.
const SHRINK: usize = 4;
/// Lone messages that fail in a row before the partner itself is held to be down.
const SINGLES_MAX: u32 = 3;

/// How many messages go into the next call, by how the last ones went.
#[derive(Debug, PartialEq)]
pub struct Pace {
    size: usize,
    singles_failed: u32,
}

/// What to do after a call of which nothing is known, or that was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Send fewer from the same place.
    SendFewer,
    /// The call held one message: it fails, the others go on.
    BlameMessage,
    /// The partner is down.
    LeaveAlone,
}

impl Pace {
    pub fn new() -> Pace {
        Pace { size: BATCH_MAX, singles_failed: 0 }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn succeeded(&mut self) {
        self.size = (self.size * SHRINK).min(BATCH_MAX);
        self.singles_failed = 0;
    }

    /// `sent` is the number of messages in the call that failed.
    pub fn failed(&mut self, sent: usize) -> AfterFailure {
        if sent > 1 {
            self.size = (sent / SHRINK).max(1);
            return AfterFailure::SendFewer;
        }
        self.singles_failed += 1;
        if self.singles_failed < SINGLES_MAX { AfterFailure::BlameMessage } else { AfterFailure::LeaveAlone }
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_day() {
        assert_eq!(delay_after(1), TimeDelta::seconds(5));
        assert_eq!(delay_after(2), TimeDelta::seconds(10));
        assert_eq!(delay_after(40), TimeDelta::days(1));
    }

    #[test]
    fn a_batch_that_fails_shrinks_to_the_message_that_spoils_it() {
        let mut pace = Pace::new();
        let mut sizes = vec![pace.size()];
        while pace.failed(pace.size()) == AfterFailure::SendFewer {
            sizes.push(pace.size());
        }
        assert_eq!(sizes, [500, 125, 31, 7, 1]);
        pace.succeeded();
        assert_eq!(pace.size(), 4);
    }

    #[test]
    fn lone_messages_that_fail_in_a_row_mean_that_the_partner_is_down() {
        let mut pace = Pace::new();
        assert_eq!(pace.failed(1), AfterFailure::BlameMessage);
        assert_eq!(pace.failed(1), AfterFailure::BlameMessage);
        assert_eq!(pace.failed(1), AfterFailure::LeaveAlone);
    }
}
