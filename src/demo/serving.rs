//! Keeps the demo's house running while its pages are open: time passes, jobs are done, and the counterfeit banks answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::app::App;
use crate::error::Fault;
use crate::funder::actions::BankMovement;
use crate::funder::{deposit, store};
use crate::jobs::worker::run_ready;
use crate::jobs::{JobKind, dispatch};
use crate::outbox;
use crate::sandbox::{FaultShares, PARTNERS, World};

/// How often due work is done. A person who has just paid waits about this long for the bank.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until it is dropped. From here on partners have no random faults, only those that somebody asks for.
pub async fn keep_house(app: App, world: Arc<World>) {
    for partner in PARTNERS {
        world.set_faults(partner, FaultShares::default());
    }
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let passed = last.elapsed();
        last += passed;
        // The clock goes on from where the story ended, or to where somebody has moved it.
        app.clock.set(app.clock.now() + TimeDelta::from_std(passed).unwrap_or_default());
        // Every kind of job each time: one that is not due finds nothing to do.
        for kind in JobKind::ALL {
            if let Err(error) = dispatch::run(&app, kind).await {
                tracing::error!(kind = kind.name(), "a job failed: {error:#}");
            }
        }
        // What a purchase asks for at once is done above already; that it was done is written down here.
        if let Err(error) = run_ready(&app, "demo").await {
            tracing::error!("what was asked for at once could not be done: {error:#}");
        }
        if let Err(error) = fill_reserves(&app).await {
            tracing::error!("the reserves could not be filled: {error:#}");
        }
        world.deliver_callbacks().await;
        if let Err(error) = outbox::jobs::deliver_outbox(&app).await {
            tracing::error!("messages could not be delivered: {error:#}");
        }
    }
}

/// Plays funders that watch their reserve: one below its low-water mark is filled up at once to twice the mark.
async fn fill_reserves(app: &App) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    for funder in store::load_funders(&mut connection).await? {
        let Some(reserve) = store::find_reserve(&mut connection, funder.funder_id).await? else { continue };
        if reserve.available < reserve.low_water {
            let movement = BankMovement {
                funder_id: funder.funder_id,
                amount: reserve.low_water + reserve.low_water - reserve.available,
                reference: format!("deposit {}", app.clock.now().to_rfc3339()),
            };
            let _step = deposit(app, movement).await.map_err(Fault::into_error)?;
        }
    }
    Ok(())
}
