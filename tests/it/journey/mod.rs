//! Journeys: a house runs for weeks with counterfeit partners, and must end clean, whatever crosses and whichever process is killed.

mod life;
mod crossing;
mod passed_over;
mod kill_close;
mod kill_authorise;
mod kill_work;
mod kill_delivery;
mod kill_postgres;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fenqi::base::{BusinessDay, Fen};
use fenqi::credit::{ApplicationState, CardHistory, CardMonth, RiskHook};
use fenqi::ledger::Account;
use fenqi::outbox::completion::complete;
use fenqi::outbox::event_store::SCAN_MAX;
use fenqi::outbox::model::Stretch;
use fenqi::outbox::store::Waiting;
use fenqi::outbox::{catalogue, event_store};
use fenqi::replay::driver::{Driver, MerchantTerms, NamedPurchase};
use fenqi::replay::house::{House, HouseSettings};
use fenqi::vault::Vault;
use fenqi::verify::verify;
use sqlx::PgPool;

use crate::house;

pub fn day(text: &str) -> BusinessDay {
    text.parse().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The program on this database, as an operator starts it where nothing of the project lies.
fn program(database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fenqi"));
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command.env("DATABASE_URL", database_url).env("FENQI_MASTER_KEY", house::MASTER_KEY);
    command
}

/// A node that works by the system's clock and calls the partners of this test's world. Nobody reads what it says.
fn worker(database_url: &str, world_at: &str) -> Command {
    let mut command = program(database_url);
    command.arg("work").stdout(Stdio::null()).stderr(Stdio::null());
    command.env("FENQI_CALENDAR_FILE", house::CALENDAR_FILE);
    command.env("FENQI_SANDBOX_URL", world_at).env("FENQI_SANDBOX_SEED", house::SEED.to_string());
    command
}

/// A street with one funder whose reserve holds a million yuan, the products named, one shop, and Wang with a line.
pub async fn street(pool: PgPool, today: &str, products: &[&str]) -> Driver {
    let settings = HouseSettings {
        site: fenqi::page::Site::at("http://127.0.0.1"),
        pool,
        vault: Arc::new(Vault::with_master([7; 32])),
        calendar: fenqi::base::WorkingCalendar::shipped(),
        risk: Arc::new(RiskHook::shipped()),
        today: day(today),
        seed: 7,
    };
    let mut driver = Driver::new(House::open(settings).await.unwrap());
    driver.open_funder("harbour-bank").await.unwrap();
    driver.deposit("harbour-bank", Fen::new(100_000_000), "D-1").await.unwrap().unwrap();
    let terms = MerchantTerms {
        category: "home".into(),
        discount_rate: "0.006".parse().unwrap(),
        discount_returned_on_refund: true,
    };
    driver.onboard("上海老王家居有限公司", "91350100M000100Y43", terms).await.unwrap();
    driver.sign_up("Wang", 1, 35).await.unwrap();
    for text in products {
        let code = driver.publish(text).await.unwrap().code;
        let state = driver.apply("Wang", &code, Some(good_history()), None).await.unwrap().unwrap();
        assert!(matches!(state, ApplicationState::Approved { .. }), "{state:?}");
    }
    driver
}

/// Somebody who always paid in full.
fn good_history() -> CardHistory {
    let month = CardMonth { repay_status: -1, bill_fen: Fen::new(300_000), paid_fen: Fen::new(300_000) };
    CardHistory { limit_fen: Fen::new(20_000_000), months: [month; 6] }
}

pub fn wish(name: &str, product: &str, fen: i64, periods: u16) -> NamedPurchase {
    NamedPurchase {
        name: name.into(),
        merchant: "上海老王家居有限公司".into(),
        product: product.into(),
        amount: Fen::new(fen),
        periods,
    }
}

/// Every event to a core or a cashier that is kept, in the order of the numbers, as it is told.
pub async fn told_to(pool: &PgPool, partner: &str) -> Vec<Waiting> {
    let mut connection = pool.acquire().await.unwrap();
    let up_to_no = event_store::last_no(&mut connection).await.unwrap();
    let (mut told, mut after_no) = (Vec::new(), 0);
    while after_no < up_to_no {
        let stretch = Stretch { after_no, up_to_no };
        told.extend(event_store::list(&mut connection, partner, stretch, SCAN_MAX).await.unwrap());
        after_no += SCAN_MAX;
    }
    complete(&mut connection, &mut told).await.unwrap();
    told
}

/// Every event to a core or cashier is of a kind and shape that the catalogue has, and is told to a partner of its own.
pub async fn told_as_documented(pool: &PgPool) {
    let partners: Vec<String> =
        sqlx::query_scalar("select distinct partner from outbox where partner not in ('sms', 'wechat')")
            .fetch_all(pool)
            .await
            .unwrap();
    assert!(!partners.is_empty(), "nothing was told");
    for partner in partners {
        assert_ne!(partner, "funder_core");
        for Waiting { kind, body, .. } in told_to(pool, &partner).await {
            let known = catalogue::find(&kind).unwrap_or_else(|| panic!("{kind} is in no catalogue"));
            assert_eq!(known.differences(&serde_json::from_str(&body).unwrap()), [""; 0], "{kind} {body}");
            let is_merchant = partner.starts_with("merchant:");
            assert_eq!(is_merchant, known.audience == catalogue::Audience::Merchant, "{partner} {kind}");
        }
    }
}

/// Every leg that was booked stands in the row of its event in docs/BOOKS.md, on the sides that are written there.
pub async fn booked_as_documented(pool: &PgPool) {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/BOOKS.md")).unwrap();
    let documented = documented_legs(&text);
    let booked: Vec<(String, i16, i16)> = sqlx::query_as(
        "select distinct event, leg.debit, leg.credit from posting cross join lateral unnest(debit, credit) as leg(debit, credit)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(!booked.is_empty() && !documented.is_empty(), "nothing is booked, or nothing documented");
    let name = |number| Account::from_number(number).map_or("none", Account::name);
    let legs = booked.into_iter().map(|(event, debit, credit)| format!("{event}: {} / {}", name(debit), name(credit)));
    let missing: Vec<String> = legs.filter(|leg| !documented.contains(leg)).collect();
    assert!(missing.is_empty(), "docs/BOOKS.md lacks\n{}", missing.join("\n"));
}

/// The legs in the rows of events, each as `event: debit / credit`; one that may turn round stands both ways.
fn documented_legs(text: &str) -> BTreeSet<String> {
    let mut documented: BTreeSet<String> = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let pieces: Vec<&str> = row.split('`').collect();
        for pair in pieces.windows(3) {
            let either_way = pair[1] == " ⇄ ";
            if either_way || pair[1] == " / " {
                documented.insert(format!("{}: {} / {}", pieces[1], pair[0], pair[2]));
            }
            if either_way {
                documented.insert(format!("{}: {} / {}", pieces[1], pair[2], pair[0]));
            }
        }
    }
    documented
}

#[test]
fn a_leg_is_documented_on_the_sides_on_which_it_stands() {
    let row = "| `payout` | one | `merchant_payable` / `bank`, `cash` ⇄ `charged_off` | |";
    let legs = ["cash / charged_off", "charged_off / cash", "merchant_payable / bank"];
    assert_eq!(documented_legs(row), BTreeSet::from(legs.map(|leg| format!("payout: {leg}"))));
}

/// Every identity holds, every message was delivered, nobody waits for anything, and every script was played.
pub async fn ends_clean(driver: Driver) {
    driver.settle().await.unwrap();
    let app = driver.app();
    assert_eq!(verify(&app.pool).await.unwrap(), []);
    let waiting: i64 = sqlx::query_scalar("select count(*) from outbox where delivered_at is null")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(waiting, 0, "messages wait");
    told_as_documented(&app.pool).await;
    booked_as_documented(&app.pool).await;
    let world = &driver.house.world;
    assert_eq!((world.scripts_left(), world.callbacks_pending()), (0, 0), "scripts left, callbacks pending");
    assert!(fenqi::sandbox::world::lock(&world.funder_core).out_of_order().is_empty());
    driver.house.shut().await;
}
