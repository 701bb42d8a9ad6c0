//! `GET /metrics` in Prometheus's text form: requests are counted as they come, business figures are read on each scrape.
//!
//! Numbers are floating point because Prometheus's are; no amount is computed from them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::request::Parts;
use chrono::{DateTime, NaiveTime, Utc};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::client_address::is_from_unknown_proxy;
use super::store::{FunderReserve, Waiting};
use super::{Problem, client_address, health, store};
use crate::app::App;
use crate::base::BusinessDay;

const REQUEST_SECONDS: &str = "fenqi_http_request_seconds";
/// The recorder keeps each request's duration until its upkeep sums them up. A scrape does that, but a node may never be scraped.
const REQUESTS_PER_UPKEEP: u64 = 4_096;

/// The recorder of this process, installed on first use.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed; /metrics stays empty");
        }
        handle
    })
}

/// The labels that requests are counted by: method, route and status.
type Way = (&'static str, String, u16);

pub fn count_request(method: &'static str, route: String, status: u16, elapsed: Duration) {
    /// Counters and histograms that are known already: looking one up in the recorder needs the text of all its labels.
    static KNOWN: LazyLock<RwLock<HashMap<Way, (Counter, Histogram)>>> = LazyLock::new(RwLock::default);
    static COUNTED: AtomicU64 = AtomicU64::new(0);
    let recorder = recorder();
    let way = (method, route, status);
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&way).cloned();
    let (requests, seconds) = known.unwrap_or_else(|| {
        let labels = [("method", method.to_owned()), ("route", way.1.clone()), ("status", status.to_string())];
        let found = (counter!("fenqi_http_requests_total", &labels), histogram!(REQUEST_SECONDS, &labels[1..2]));
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(way, found.clone());
        found
    });
    requests.increment(1);
    seconds.record(elapsed);
    if (COUNTED.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(REQUESTS_PER_UPKEEP) {
        recorder.run_upkeep();
    }
}

/// `GET /metrics`. The figures tell how much money there is, so only addresses in `metrics_from` may read them; others get 404.
pub async fn metrics(State(app): State<App>, parts: Parts) -> Result<String, Problem> {
    let may_read = |address| app.metrics_from.iter().any(|range| range.contains(address));
    // A proxy that the configuration does not name is usually in a private network itself, while its clients are not.
    if is_from_unknown_proxy(&app, &parts) || !client_address(&app, &parts).is_some_and(may_read) {
        return Err(Problem::not_found());
    }
    let recorder = recorder();
    let Figures { waiting, reserves, close_began_at } = health::in_time(read_figures(&app)).await?;
    if let Some(today) = waiting.business_day.map(BusinessDay::new) {
        gauge!("fenqi_business_day_timestamp_seconds").set(today.instant(NaiveTime::MIN).timestamp() as f64);
        let last = app.calendar.known_until(today).unwrap_or(today);
        gauge!("fenqi_calendar_ends_timestamp_seconds").set(last.next().instant(NaiveTime::MIN).timestamp() as f64);
    }
    let closing_for = close_began_at.map_or(0, |began_at| (app.clock.now() - began_at).num_seconds());
    gauge!("fenqi_close_running_seconds").set(closing_for as f64);
    gauge!("fenqi_partners_down").set(waiting.partners_down as f64);
    for (status, count) in
        [("ready", waiting.jobs_ready), ("running", waiting.jobs_running), ("dead", waiting.jobs_dead)]
    {
        gauge!("fenqi_jobs", "status" => status).set(count as f64);
    }
    gauge!("fenqi_outbox_pending").set(waiting.outbox_pending as f64);
    gauge!("fenqi_outbox_dead").set(waiting.outbox_dead as f64);
    for (state, count) in [("left_alone", waiting.partners_left_alone), ("paused", waiting.partners_paused)] {
        gauge!("fenqi_outbox_partners", "state" => state).set(count as f64);
    }
    gauge!("fenqi_withholdings_pending").set(waiting.withholdings_pending as f64);
    gauge!("fenqi_payouts_pending").set((waiting.payouts_pending - waiting.payouts_held) as f64);
    gauge!("fenqi_payouts_held").set(waiting.payouts_held as f64);
    for reserve in reserves {
        gauge!("fenqi_reserve_available_fen", "funder" => reserve.code.clone()).set(reserve.available_fen as f64);
        gauge!("fenqi_reserve_held_fen", "funder" => reserve.code).set(reserve.held_fen as f64);
    }
    gauge!("fenqi_database_connections").set(f64::from(app.pool.size()));
    gauge!("fenqi_database_connections_idle").set(app.pool.num_idle() as f64);
    recorder.run_upkeep();
    Ok(recorder.render())
}

struct Figures {
    waiting: Waiting,
    reserves: Vec<FunderReserve>,
    /// When the oldest daily close began that has not finished.
    close_began_at: Option<DateTime<Utc>>,
}

async fn read_figures(app: &App) -> Result<Figures, Problem> {
    let mut connection = app.pool.acquire().await.map_err(health::database_unreachable)?;
    Ok(Figures {
        waiting: store::count_waiting(&mut connection).await?,
        reserves: store::list_reserves(&mut connection).await?,
        close_began_at: store::oldest_unfinished_close(&mut connection).await?,
    })
}
