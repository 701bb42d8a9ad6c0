//! Workers: each claims a job, runs it while sending heartbeats, and records how it ended.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dispatch;
use super::model::{ATTEMPTS_MAX, JobKind, delay_after};
use super::store::{self, Claimed, Failure, Lease};
use crate::app::App;

/// How long a job stays with a worker that sends no heartbeat, before another takes it over.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Well within the lease, so that one lost heartbeat does no harm.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a worker without work waits before it looks again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest error text that is kept.
const ERROR_CHARS_MAX: usize = 2_000;

/// Runs `count` workers until `stop` says true; each ends what it is doing first.
pub async fn run_workers(app: &App, node: &str, count: usize, stop: watch::Receiver<bool>) {
    let mut workers = JoinSet::new();
    for number in 1..=count {
        let worker = Worker { app: app.clone(), name: format!("{node}/{number}").into() };
        let stop = stop.clone();
        workers.spawn(async move { worker.work(stop).await });
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker ended unexpectedly");
        }
    }
}

/// Does every job that is ready now, one after another, and returns how many; what fails waits for its next time.
///
/// # Errors
/// Failures of the database outside any job.
pub async fn run_ready(app: &App, name: &str) -> anyhow::Result<u64> {
    let worker = Worker { app: app.clone(), name: name.into() };
    let mut done = 0;
    while let Some(job) = worker.claim().await? {
        worker.perform(job).await?;
        done += 1;
    }
    Ok(done)
}

#[derive(Clone)]
struct Worker {
    app: App,
    name: Arc<str>,
}

impl Worker {
    async fn work(self, mut stop: watch::Receiver<bool>) {
        // A dropped sender counts as a stop too.
        while !*stop.borrow() && stop.has_changed().is_ok() {
            let worked = match self.claim().await {
                Ok(Some(job)) => self.perform(job).await.map(|()| true),
                Ok(None) => Ok(false),
                Err(error) => Err(error),
            };
            match worked {
                Ok(true) => {}
                Ok(false) => self.pause(&mut stop).await,
                Err(error) => {
                    tracing::error!(worker = %self.name, "{error:#}");
                    self.pause(&mut stop).await;
                }
            }
        }
    }

    async fn pause(&self, stop: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => {}
        }
    }

    fn lease(&self) -> Lease<'_> {
        let now = self.app.clock.now();
        Lease { worker: &self.name, now, until: now + LEASE }
    }

    async fn claim(&self) -> anyhow::Result<Option<Claimed>> {
        let mut connection = self.app.pool.acquire().await?;
        Ok(store::claim(&mut connection, &JobKind::ALL, self.lease()).await?)
    }

    /// Runs one job to its end, or aborts it once another worker has taken it over.
    async fn perform(&self, job: Claimed) -> anyhow::Result<()> {
        let outcome = if job.attempts > ATTEMPTS_MAX {
            Err(anyhow!("every worker that took it died of it"))
        } else {
            // A task of its own, so that a panic ends the job and not the worker.
            let (app, kind) = (self.app.clone(), job.kind.clone());
            let mut running = tokio::spawn(async move { dispatch::run_named(&app, &kind).await });
            loop {
                tokio::select! {
                    ended = &mut running => break ended.unwrap_or_else(|error| Err(anyhow!("it panicked: {error}"))),
                    () = tokio::time::sleep(HEARTBEAT) => {}
                }
                if !self.heartbeat(&job).await {
                    running.abort();
                    tracing::warn!(job = %job.job_id, kind = job.kind, "lost to another worker");
                    return Ok(());
                }
            }
        };
        let mut connection = self.app.pool.acquire().await?;
        let now = self.app.clock.now();
        match outcome {
            Ok(()) => {
                store::finish(&mut connection, job.job_id, &self.name, now).await?;
            }
            Err(error) => {
                let again_at = (job.attempts < ATTEMPTS_MAX).then(|| now + delay_after(job.attempts));
                let text: String = format!("{error:#}").chars().take(ERROR_CHARS_MAX).collect();
                tracing::error!(job = %job.job_id, kind = job.kind, key = job.unique_key, dead = again_at.is_none(), "{text}");
                let failure = Failure { error: &text, at: now, again_at };
                store::fail(&mut connection, job.job_id, &self.name, failure).await?;
            }
        }
        Ok(())
    }

    /// Prolongs the lease; `false` if another worker has the job by now. A failed heartbeat counts as success.
    async fn heartbeat(&self, job: &Claimed) -> bool {
        let beat = async {
            let mut connection = self.app.pool.acquire().await?;
            store::heartbeat(&mut connection, job.job_id, self.lease()).await
        };
        beat.await.unwrap_or_else(|error| {
            // The lease lasts for several heartbeats.
            tracing::warn!(%error, job = %job.job_id, "a heartbeat failed");
            true
        })
    }
}
