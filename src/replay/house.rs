//! Opens a house in a counterfeit world: the app, every partner over HTTP, and our own server, which they call back.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::NaiveTime;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::access::Directory;
use crate::access::address::AddressList;
use crate::app::{App, Kept};
use crate::base::{BusinessDay, Clock, WorkingCalendar};
use crate::business_day;
use crate::credit::RiskHook;
use crate::day_file;
use crate::merchant::OrderDesk;
use crate::outbox::DeliverySettings;
use crate::page::Site;
use crate::partner::Partners;
use crate::product::Catalogue;
use crate::router::router;
use crate::sandbox::{self, Silence, World, WorldSettings};
use crate::vault::Vault;

/// The time at which a day with a moved clock begins: merchants are open, and the withholding of noon has not run yet.
pub const MORNING: NaiveTime = NaiveTime::from_hms_opt(10, 0, 0).expect("ten o'clock is a time");

/// The app and the counterfeit world, which share a moved clock. Dropping it ends their servers.
pub struct House {
    pub app: App,
    pub world: Arc<World>,
    servers: JoinSet<()>,
}

/// What a house is opened with.
pub struct HouseSettings {
    /// A migrated database: one in which no business day was opened yet, or that of the same house from before.
    pub pool: PgPool,
    pub vault: Arc<Vault>,
    pub calendar: WorkingCalendar,
    pub risk: Arc<RiskHook>,
    pub today: BusinessDay,
    /// The seed of the partners' keys and faults.
    pub seed: u64,
    /// Where people reach the pages, if they do.
    pub site: Site,
}

impl House {
    /// Opens the house on the morning of `today`. Partners keep silent by breaking the connection, which costs no time.
    ///
    /// # Errors
    /// Failures of the database or of the local network.
    pub async fn open(settings: HouseSettings) -> anyhow::Result<House> {
        let HouseSettings { pool, vault, calendar, risk, today, seed, site } = settings;
        business_day::store::open(&mut *pool.acquire().await?, today).await?;
        let clock = Clock::moved(today.instant(MORNING));
        let partners_at = listen().await?;
        let pages_at = listen().await?;
        let base_url = format!("http://{}", partners_at.local_addr()?);
        let partner_settings = sandbox::partner_settings(&base_url, seed);
        // Both sides sign with the system's time, because a moved clock jumps further than two signers' clocks may differ.
        let partners = Partners::new(&partner_settings, pool.clone(), clock.clone())?
            .with_wechat(sandbox::wechat_settings(&base_url))?
            .in_trial()?;
        let world = World::new(WorldSettings {
            seed,
            clock: clock.clone(),
            wire_clock: Clock::System,
            silence: Silence::Drop,
            callback_base: Some(format!("http://{}/partner", pages_at.local_addr()?)),
        })?;
        let catalogue = Catalogue::default();
        let app = App {
            order_desk: OrderDesk::start(pool.clone(), catalogue.clone()),
            access: Arc::new(Directory::new(pool.clone(), vault.clone(), Clock::System)),
            pool,
            clock,
            calendar,
            vault,
            catalogue,
            partners: Arc::new(partners),
            risk,
            day_files: day_file::Rules::SHIPPED,
            // Kept long enough for a scenario or a demo to look at its first year.
            kept: Kept { messages_days: u16::MAX, notices_days: u16::MAX, ..Kept::SHIPPED },
            metrics_from: AddressList::near().0.into(),
            delivery: DeliverySettings::default(),
            site: site.in_sandbox(&base_url),
            person: None,
        };
        let mut servers = JoinSet::new();
        let (pages, partners) = (axum::serve(pages_at, router(app.clone())), sandbox::router(world.clone()));
        servers.spawn(async move {
            if let Err(error) = pages.await {
                tracing::error!(%error, "the pages are not served any more");
            }
        });
        servers.spawn(async move {
            if let Err(error) = axum::serve(partners_at, partners).await {
                tracing::error!(%error, "the sandbox is not served any more");
            }
        });
        Ok(House { app, world, servers })
    }

    /// Ends the servers, after all calls to partners have been written to the log.
    pub async fn shut(mut self) {
        self.app.partners.flush_log().await;
        self.servers.shutdown().await;
    }
}

async fn listen() -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port of this machine can be listened on")
}
