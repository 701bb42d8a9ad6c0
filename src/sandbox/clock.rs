//! The counterfeit world's time: shared with the program in the demo and in tests, else the system's with a shift.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::Clock;

pub struct WorldClock {
    base: Clock,
    /// Added to a base that cannot be moved.
    shift_micros: AtomicI64,
}

impl WorldClock {
    pub fn new(base: Clock) -> WorldClock {
        WorldClock { base, shift_micros: AtomicI64::new(0) }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.base.now() + TimeDelta::microseconds(self.shift_micros.load(Ordering::Relaxed))
    }

    /// Moves the world to `at`. A shared clock moves for everybody who shares it; the system's clock is shifted for this world only.
    pub fn set(&self, at: DateTime<Utc>) {
        if !self.base.set(at) {
            self.shift_micros.store((at - self.base.now()).num_microseconds().unwrap_or(0), Ordering::Relaxed);
        }
    }
}
