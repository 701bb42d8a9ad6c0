//! `fenqi serve`: every page and API over HTTP.

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::base::Clock;
use crate::business_day;
use crate::cli::typed::listen_address;
use crate::cli::{LISTEN_SETTING, Sharing, find_database, open_app, set_up, stop_signal};
use crate::close::CloseError;
use crate::database::{self, machine};
use crate::http;

#[derive(clap::Args)]
pub struct Args {
    /// Where to listen, instead of the configured `listen`
    #[arg(long, value_parser = listen_address)]
    listen: Option<SocketAddr>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = set_up()?;
    let listener = match args.listen {
        Some(listen) => http::bind(listen, "--listen").await?,
        None => http::bind(config.listen, LISTEN_SETTING).await?,
    };
    let database = find_database(&config, Sharing::Shared).await?;
    let app = open_app(&config, &database, Clock::System).await?;
    if business_day::store::find_today(&mut *app.pool.acquire().await?).await?.is_none() {
        tracing::warn!("{}; until then pages and /readyz answer with 503", CloseError::NoHouse);
    }
    tracing::info!("serving on http://{}", listener.local_addr()?);
    tokio::select! {
        served = http::serve(listener, app.clone(), stop_signal()) => served?,
        // End at once: statements that still wait will never be answered.
        gone = machine::until_gone(&app.pool, machine::SILENCE_MAX) => return Err(gone),
        // At once, too: nothing more is decided by rules that are no longer those of the books.
        newer = database::until_newer(&app.pool, database::NEWER_LOOK) => return Err(newer),
    }
    app.partners.flush_log().await;
    app.pool.close().await;
    Ok(ExitCode::SUCCESS)
}
