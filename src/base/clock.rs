//! The clock: handed to all code that needs the time, so that tests and the demo can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// More than the clocks of two nodes differ by: a time further ahead than that was stored by a clock that ran ahead.
pub const CLOCKS_APART_MAX: TimeDelta = TimeDelta::minutes(10);

/// A source of the present instant: the system's, or one that demo and tests move.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Stands at the stored instant (microseconds since 1970) until it is moved.
    Moved(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`, for tests and the demo.
    pub fn moved(at: DateTime<Utc>) -> Clock {
        Clock::Moved(Arc::new(AtomicI64::new(at.timestamp_micros())))
    }

    // The one place that asks the system; everything else is handed a clock.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Clock::System => Utc::now(),
            Clock::Moved(at) => DateTime::from_timestamp_micros(at.load(Ordering::Relaxed))
                .expect("a moved clock is set from a real instant"),
        }
    }

    /// Moves the clock to `at`; the system's clock stays as it is and `false` is returned.
    pub fn set(&self, at: DateTime<Utc>) -> bool {
        match self {
            Clock::System => false,
            Clock::Moved(cell) => {
                cell.store(at.timestamp_micros(), Ordering::Relaxed);
                true
            }
        }
    }
}
