//! The time until which an order that was marked as sent may still go out.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::Clock;

/// A question that is asked later may find that the partner has nothing of the order, and the order is then sent anew, there or
/// elsewhere. So a node that stood still in between must not send it any more.
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
