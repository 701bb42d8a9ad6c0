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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_day() {
        assert_eq!(delay_after(1), TimeDelta::seconds(5));
        assert_eq!(delay_after(2), TimeDelta::seconds(10));
        assert_eq!(delay_after(40), TimeDelta::days(1));
    }
}
