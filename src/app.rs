//! What every use case is handed: the database, the clock, and the things that are read all the time.

use sqlx::PgPool;

use crate::base::Clock;

/// Cheap to clone; a node holds no other state.
#[derive(Clone)]
pub struct App {
    pub pool: PgPool,
    pub clock: Clock,
}
