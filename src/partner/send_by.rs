//! The time until which an order that was marked as sent may still go out.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::Clock;

/// The end of the time in which an order may be sent. After it, the partner may already have been asked about the order and have answered
/// that there is none; the order is then sent anew, there or elsewhere. A node that stood still meanwhile must not send it any more.
#[derive(Clone, Copy, Debug)]
pub struct SendBy<'a> {
    clock: &'a Clock,
    until: DateTime<Utc>,
}

impl<'a> SendBy<'a> {
    /// An order that was marked as sent at `marked_at` may go out for as long as `within`.
    pub fn new(clock: &'a Clock, marked_at: DateTime<Utc>, within: TimeDelta) -> SendBy<'a> {
        SendBy { clock, until: marked_at + within }
    }

    pub fn is_over(self) -> bool {
        self.clock.now() > self.until
    }
}
