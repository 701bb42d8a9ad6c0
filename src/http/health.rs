//! `GET /healthz` (this process answers) and `GET /readyz` (it can do its work, else 503 with the reason). Also the check that answers
//! pages and the partner API with 503 before the house has been opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sqlx::{PgConnection, PgPool};

use super::{Problem, store};
use crate::app::App;
use crate::business_day;
use crate::database::{self, Migrated};
use crate::watch::model::CLOSE_TIME_MAX;

/// How long we wait for the database: less than the caller (a load balancer, Prometheus) waits for us.
const DATABASE_TIME_MAX: Duration = Duration::from_secs(2);
const NOT_OPEN: &str = "house_not_open";
const READY: &str = "ready\n";
/// Answered with 200, because purchases and repayments go on meanwhile. It is the same on every node, so with a 503 the load balancer would
/// have no node left.
const CLOSE_STUCK: &str = "ready, but close_stuck: a daily close began more than an hour ago and has not finished\n";

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    in_time(check_ready(&app)).await
}

async fn check_ready(app: &App) -> Result<&'static str, Problem> {
    match database::migrated(&app.pool).await {
        Err(error) => return Err(database_unreachable(error)),
        Ok(Migrated::Fully) => {}
        Ok(_) => {
            return Err(not_ready("database_not_migrated", "The database is not at this program's migrations."));
        }
    }
    let mut connection = app.pool.acquire().await.map_err(database_unreachable)?;
    if !is_open(&mut connection).await? {
        return Err(not_ready(
            NOT_OPEN,
            "No business day has been opened in this database; `fenqi house open --date DAY` opens the first.",
        ));
    }
    match store::oldest_unfinished_close(&mut connection).await? {
        Some(started_at) if app.clock.now() - started_at > CLOSE_TIME_MAX => Ok(CLOSE_STUCK),
        _ => Ok(READY),
    }
}

/// Whether the house has been opened. Asks the database each time until it has, and remembers it then.
#[derive(Clone)]
pub struct Door {
    pool: PgPool,
    is_open: Arc<AtomicBool>,
}

impl Door {
    pub fn of(app: &App) -> Door {
        Door { pool: app.pool.clone(), is_open: Arc::default() }
    }

    /// Lets a request through once the house is open.
    ///
    /// # Errors
    /// 503 before the first business day was opened.
    pub async fn try_open(&self) -> Result<(), Problem> {
        if self.is_open.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !is_open(&mut *self.pool.acquire().await?).await? {
            return Err(not_ready(NOT_OPEN, "The house has not opened its first business day yet; ask again later."));
        }
        self.is_open.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The layer before pages that need a business day.
pub async fn once_open(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.try_open().await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn is_open(connection: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(business_day::store::find_today(connection).await?.is_some())
}

/// Waits at most `DATABASE_TIME_MAX` for an answer that is read from the database.
///
/// # Errors
/// Those of the answer, and 503 `database_unreachable` if it takes longer.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::time::timeout(DATABASE_TIME_MAX, answer).await.unwrap_or_else(|late| Err(database_unreachable(late)))
}

/// The 503 of a database that does not answer; the cause is only logged.
pub(super) fn database_unreachable(cause: impl Into<anyhow::Error>) -> Problem {
    let cause: anyhow::Error = cause.into();
    tracing::warn!("the database does not answer: {cause:#}");
    not_ready("database_unreachable", "The database does not answer, or every connection to it is taken.")
}

fn not_ready(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
}
