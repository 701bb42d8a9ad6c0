//! `fenqi work`: background work and the timetable, beside any number of others.

use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::id::JobId;
use crate::cli::{ensure_open, open_house, stop_signal};
use crate::jobs::worker::run_workers;
use crate::timetable;

/// How long a job may take to end once we are told to stop; cut, it is repeated when its lease ends.
const STOP_LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
    /// Jobs that this process does at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The private PostgreSQL, if it is ours, runs as long as `_database` lives.
    let (app, _database) = open_house().await?;
    // Every job asks which day it is.
    ensure_open(&app).await?;
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping: jobs under way end");
        tell.send(true).ok();
    });
    // Differs from the name of every other node, also of one that had our process number before.
    let node = JobId::mint(app.clock.now()).to_string();
    let mut stopping = told.clone();
    let working = async {
        // Without its timetable a node is of no use, so an error ends the workers as well.
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
    let ended = tokio::select! {
        ended = working => ended,
        () = cut => {
            tracing::warn!("some jobs did not end within {} seconds; they are repeated", STOP_LIMIT.as_secs());
            Ok(((), ()))
        }
    };
    app.partners.flush_log().await;
    app.pool.close().await;
    ended.map(|_| ExitCode::SUCCESS)
}
