//! Until when what was marked as sent may still be sent.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::Clock;

/// Whoever asks later about what was marked is told that the partner has nothing of it, and may have it sent anew, there or elsewhere.
/// So a node that stood still meanwhile sends none of it.
#[derive(Clone, Copy, Debug)]
pub struct SendBy<'a> {
    clock: &'a Clock,
    until: DateTime<Utc>,
}

impl<'a> SendBy<'a> {
    pub fn new(clock: &'a Clock, marked_at: DateTime<Utc>, within: TimeDelta) -> SendBy<'a> {
        SendBy { clock, until: marked_at + within }
    }

    pub fn is_over(self) -> bool {
        self.clock.now() > self.until
    }
}
