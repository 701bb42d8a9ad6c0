//! The deadline until which an order that was marked as sent may still be sent.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::Clock;

/// The deadline for sending an order. After it, another node may have asked the partner, heard that there is no such order, and sent it
/// again, there or elsewhere; a node that was paused meanwhile must then not send it as well.
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
