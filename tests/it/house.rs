//! Test helper: a house to test in, which is an app on an empty database, opened on a chosen business day, with a clock that can be
//! moved.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{NaiveTime, TimeDelta};
use fenqi::access::Directory;
use fenqi::access::address::AddressList;
use fenqi::app::{App, Kept};
use fenqi::base::id::BorrowerId;
use fenqi::base::{BusinessDay, Clock, WorkingCalendar};
use fenqi::borrower::{self, BorrowerRefusal};
use fenqi::credit::RiskHook;
use fenqi::error::Outcome;
use fenqi::merchant::OrderDesk;
use fenqi::outbox::DeliverySettings;
use fenqi::page::Site;
use fenqi::partner::signature::Identity;
use fenqi::partner::{PartnerKey, PartnerSettings, Partners};
use fenqi::product::Catalogue;
use fenqi::sandbox::{self, Silence, World, WorldSettings};
use fenqi::vault::Vault;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};

/// The seed of the keys and faults of every test's world.
pub const SEED: u64 = 20_260_105;
/// The master key of every test's house, as a program is given it.
pub const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
/// How long to wait for something at most: far longer than anything takes that happens at all, however busy the machine is. A
/// test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Working days of later years than those that ship, for houses that live today; a program is given it as
/// `FENQI_CALENDAR_FILE`.
pub const CALENDAR_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/years_to_come.toml");

/// The app on the morning (10:00 in Shanghai) of `today`, without any partner. The one place in the tests that builds an [`App`].
pub async fn open(pool: PgPool, today: &str) -> App {
    let today: BusinessDay = today.parse().unwrap();
    let mut connection = pool.acquire().await.unwrap();
    fenqi::business_day::store::open(&mut connection, today).await.unwrap();
    drop(connection);
    let clock = Clock::moved(today.instant("10:00:00".parse().unwrap()));
    let partners = Partners::new(&[], pool.clone(), clock.clone()).unwrap();
    let vault = Arc::new(Vault::with_master([7; 32]));
    let risk = Arc::new(RiskHook::shipped());
    let catalogue = Catalogue::default();
    App {
        access: Arc::new(Directory::new(pool.clone(), vault.clone(), Clock::System)),
        order_desk: OrderDesk::start(pool.clone(), catalogue.clone()),
        pool,
        clock,
        calendar: WorkingCalendar::shipped().with_years(include_str!("years_to_come.toml")).unwrap(),
        vault,
        catalogue,
        partners: Arc::new(partners),
        risk,
        day_files: fenqi::day_file::Rules::SHIPPED,
        kept: Kept::SHIPPED,
        metrics_from: AddressList::near().0.into(),
        delivery: DeliverySettings::default(),
        site: Site::at(crate::browser::PUBLIC),
        person: None,
    }
}

/// As [`open`], with a counterfeit world of its own, which shares the app's clock and keeps silent by breaking connections.
pub async fn open_in_world(pool: PgPool, today: &str) -> (App, Arc<World>) {
    let (app, world, _) = open_in_world_that(pool, today, Silence::Drop).await;
    (app, world)
}

/// As [`open_in_world`], with a world that keeps silent in the given way; also returns its address, for other processes.
pub async fn open_in_world_that(pool: PgPool, today: &str, silence: Silence) -> (App, Arc<World>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let app = open(pool, today).await;
    let partners = Partners::new(&sandbox::partner_settings(&base_url, SEED), app.pool.clone(), app.clock.clone());
    let partners = partners.unwrap().with_wechat(sandbox::wechat_settings(&base_url)).unwrap();
    let partners = partners.in_trial().unwrap();
    let app = App { partners: Arc::new(partners), ..app };
    let settings =
        WorldSettings { seed: SEED, clock: app.clock.clone(), wire_clock: Clock::System, silence, callback_base: None };
    let world = World::new(settings).unwrap();
    tokio::spawn(sandbox::serve(listener, world.clone()));
    (app, world, base_url)
}

/// The same house through a pool of its own with so many connections. Close that pool before the test ends.
pub async fn with_connections(app: &App, connections: u32) -> App {
    let options = app.pool.connect_options().as_ref().clone();
    let pool = PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap();
    App { pool, ..app.clone() }
}

/// The number that a query returns.
pub async fn count(app: &App, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&app.pool).await.unwrap()
}

/// The same app, calling other partners.
pub fn with_partners(app: &App, partners: &[PartnerSettings]) -> App {
    let partners = Partners::new(partners, app.pool.clone(), app.clock.clone()).unwrap();
    App { partners: Arc::new(partners), ..app.clone() }
}

/// The settings of a partner, for a house that signs as `ours` and a partner that signs as `theirs`.
pub fn partner_at(name: &str, base_url: String, (ours, theirs): (&Identity, &Identity)) -> PartnerSettings {
    PartnerSettings {
        name: name.to_owned(),
        base_url,
        mchid: ours.mchid.clone(),
        serial_no: ours.serial_no.clone(),
        private_key: ours.private_key(),
        partner_mchid: theirs.mchid.clone(),
        partner_keys: vec![PartnerKey { serial_no: theirs.serial_no.clone(), public_key: theirs.public_key() }],
        references_name_batches: false,
        direct: false,
    }
}

/// Serves on a free port; returns the address.
pub async fn serve(router: axum::Router) -> String {
    let listener = fenqi::http::bind("127.0.0.1:0".parse().unwrap(), "FENQI_LISTEN").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Waits until `is_so` holds; fails the test after [`PATIENCE`].
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it never came about: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Today by the system's clock. Near midnight it waits for the next day first, so that the day is longer than any test.
pub async fn today_for_long() -> BusinessDay {
    const NEAR: TimeDelta = TimeDelta::minutes(15);
    let now = Clock::System.now();
    let left = BusinessDay::at(now).next().instant(NaiveTime::MIN) - now;
    if left < NEAR {
        tokio::time::sleep(left.to_std().unwrap() + Duration::from_secs(1)).await;
    }
    BusinessDay::at(Clock::System.now())
}

/// An address on this machine where nobody listens, for a program that the test starts. Its port is none of those that the
/// system gives to whoever asks for any, and no other test of this process gets it.
pub fn free_address() -> String {
    /// Below the ports that Linux gives away.
    const PORTS: std::ops::Range<u32> = 12_000..32_000;
    /// Each process begins at another place.
    const APART: u32 = 64;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = std::process::id() * APART + GIVEN.fetch_add(1, Ordering::Relaxed);
        let address = format!("127.0.0.1:{}", PORTS.start + place % (PORTS.end - PORTS.start));
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// An empty directory for the one test that uses this name; what a killed test has left there is removed.
pub fn directory(name: &str) -> PathBuf {
    // Not inside the project: the account to which a server drops its rights may be unable to read there.
    let directory = std::env::temp_dir().join(format!("fenqi-test-{name}-{}", std::process::id()));
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Whether anybody waits for a lock on a table of this database.
pub async fn somebody_waits(connection: &mut PgConnection) -> bool {
    let waiting = "select exists (select from pg_locks where not granted and relation is not null and database =
                                      (select oid from pg_database where datname = current_database()))";
    sqlx::query_scalar(waiting).fetch_one(connection).await.unwrap()
}

/// Waits until anybody waits for a lock of any kind in this database.
pub async fn until_somebody_waits(pool: &PgPool) {
    until_as_many_wait(pool, 1).await;
}

/// Waits until `many` connections wait for a lock of any kind in this database.
pub async fn until_as_many_wait(pool: &PgPool, many: i64) {
    until("as many wait for a lock", async || waiting(pool).await >= many).await;
}

/// How many connections wait for a lock of any kind in this database.
pub async fn waiting(pool: &PgPool) -> i64 {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap()
}

/// The same server with another database in the address.
pub fn other_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let server = address.rsplit_once('/').unwrap().0;
    format!("{server}/{name}?{query}")
}

/// Who did this action by hand, by the audit trail, in order.
pub async fn did(pool: &PgPool, action: &str) -> Vec<String> {
    let told = "select done_by from audit_entry where action = $1 order by entry_no";
    sqlx::query_scalar(told).bind(action).fetch_all(pool).await.unwrap()
}

/// Erases a person in a transaction of its own.
pub async fn erase(app: &App, borrower_id: BorrowerId) -> Outcome<(), BorrowerRefusal> {
    let mut transaction = fenqi::database::begin(&app.pool).await?;
    let erased = borrower::erase(&mut transaction, app, borrower_id).await;
    fenqi::database::end(transaction, erased).await
}

/// Links a WeChat identity to a borrower in a transaction of its own.
pub async fn link_openid(app: &App, borrower_id: BorrowerId, openid: &str) -> Outcome<(), BorrowerRefusal> {
    let mut transaction = fenqi::database::begin(&app.pool).await?;
    let linked = borrower::openid_actions::link_openid(&mut transaction, app, borrower_id, openid).await;
    fenqi::database::end(transaction, linked).await
}
