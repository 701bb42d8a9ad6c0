//! `GET /healthz` (this process answers) and `GET /readyz` (it can do its work, else 503 with the reason).

use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;

use super::{Problem, store};
use crate::app::App;
use crate::database::{self, Migrated};

/// The close of a million loans takes seconds; one that takes an hour needs a person.
const CLOSE_TIME_MAX: TimeDelta = TimeDelta::hours(1);

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    let not_ready = |code, detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    match database::migrated(&app.pool).await {
        Err(_) => return Err(not_ready("database_unreachable", "The database does not answer.")),
        Ok(Migrated::Fully) => {}
        Ok(_) => return Err(not_ready("database_not_migrated", "The database is not at this program's migrations.")),
    }
    let mut connection = app.pool.acquire().await?;
    match store::oldest_unfinished_close(&mut connection).await? {
        Some(started_at) if app.clock.now() - started_at > CLOSE_TIME_MAX => {
            Err(not_ready("close_stuck", "A daily close began more than an hour ago and has not finished."))
        }
        _ => Ok("ready\n"),
    }
}
