//! The demo's house while its pages are open: time passes, jobs are done, and the counterfeit banks answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::app::App;
use crate::jobs::{JobKind, dispatch};
use crate::outbox;
use crate::sandbox::{FaultShares, PARTNERS, World};

/// How often the house looks for what is due: a person who has just paid waits about so long for the bank.
const PAUSE: Duration = Duration::from_secs(1);
/// What is due at any time; the rest happens at the close.
const WORK: [JobKind; 4] = [JobKind::DailyClose, JobKind::Withhold, JobKind::AskPartners, JobKind::PayOut];

/// Keeps house until it is dropped. From here on partners make no mistakes but those that somebody asks for.
pub async fn keep_house(app: App, world: Arc<World>) {
    for partner in PARTNERS {
        world.set_faults(partner, FaultShares::default());
    }
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let passed = last.elapsed();
        last += passed;
        // The story's clock goes on from where the story ended, also when somebody moves it.
        app.clock.set(app.clock.now() + TimeDelta::from_std(passed).unwrap_or_default());
        for kind in WORK {
            if let Err(error) = dispatch::run(&app, kind).await {
                tracing::error!(kind = kind.as_str(), "a job failed: {error:#}");
            }
        }
        world.deliver_callbacks().await;
        if let Err(error) = outbox::jobs::deliver_outbox(&app).await {
            tracing::error!("messages could not be delivered: {error:#}");
        }
    }
}
