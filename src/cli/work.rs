//! `fenqi work`: background work and the timetable, beside any number of others.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::Clock;
use crate::base::id::JobId;
use crate::cli::typed::listen_address;
use crate::cli::{Sharing, ensure_open, find_database, open_app, set_up, stop_signal};
use crate::database::{self, machine};
use crate::http;
use crate::jobs::worker::run_workers;
use crate::timetable;

/// How long a job, or a run of deliveries, may take to end once we are told to stop. After that it is cut off; a job is repeated
/// when its lease ends.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Where the address to listen on is set, if not on the command line; named in errors.
const LISTEN_SETTING: &str = "FENQI_WORK_LISTEN";

#[derive(clap::Args)]
pub struct Args {
    /// Jobs that this process does at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Where to serve /healthz, /readyz and /metrics, and nothing else, instead of the configured `work_listen`
    #[arg(long, value_parser = listen_address)]
    listen: Option<SocketAddr>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let listener = match (args.listen, config.work_listen) {
        (Some(listen), _) => Some(http::bind(listen, "--listen").await?),
        (None, Some(listen)) => Some(http::bind(listen, LISTEN_SETTING).await?),
        (None, None) => None,
    };
    // The private PostgreSQL, if it is ours, runs as long as this lives.
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    // Every job needs a business day.
    ensure_open(&app).await?;
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping: jobs under way end");
        tell.send(true).ok();
    });
    // A unique name, different even from an earlier node with the same process number.
    let node = JobId::mint(app.clock.now()).to_string();
    let mut stopping = told.clone();
    let working = async {
        // A node without its timetable is useless, so an error of it ends the workers as well.
        tokio::try_join!(timetable::run(&app, told.clone()), async {
            run_workers(&app, &node, usize::from(args.workers), told.clone()).await;
            Ok(())
        })
    };
    let cut = async {
        if stopping.wait_for(|told| *told).await.is_ok() {
            tokio::time::sleep(STOP_LIMIT).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let shown = async {
        match listener {
            Some(listener) => {
                tracing::info!("health and metrics on http://{}", listener.local_addr()?);
                http::serve_health(listener, app.clone()).await
            }
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = working => ended,
        // Health is served until the last job has ended.
        shown = shown => shown.map(|()| ((), ())),
        // End at once: statements that still wait will never be answered, and the jobs are repeated when their leases end.
        gone = machine::until_gone(&app.pool, machine::SILENCE_MAX) => return Err(gone),
        // At once, too: nothing more is done by rules that are no longer those of the books.
        newer = database::until_newer(&app.pool, database::NEWER_LOOK) => return Err(newer),
        () = cut => {
            tracing::warn!("some jobs did not end within {} seconds; they are repeated", STOP_LIMIT.as_secs());
            Ok(((), ()))
        }
    };
    app.partners.flush_log().await;
    app.pool.close().await;
    ended.map(|_| ExitCode::SUCCESS)
}
