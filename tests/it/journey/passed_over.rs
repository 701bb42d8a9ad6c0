//! A moved clock may skip the ticks at which nothing is due: run all the same, they change nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use fenqi::base::Fen;
use fenqi::credit::ApplicationState;
use fenqi::funder;
use fenqi::funder::actions::ReserveTerms;
use fenqi::jobs::dispatch;
use fenqi::replay::Driver;
use fenqi::replay::house::MORNING;
use fenqi::replay::next_work::NextWork;
use fenqi::replay::next_work_store::load_next_work;
use fenqi::sandbox::{Fault, Scripted};
use fenqi::timetable;
use sqlx::{AssertSqlSafe, PgPool};

use super::{day, ends_clean, good_history, street, wish};
use crate::tables::LIST_TABLES;

const STANDARD: &str = include_str!("../../../products/standard.toml");

/// Statements on the 3rd, due on the 8th.
fn due_soon() -> String {
    let days = |line: &str| match line.split_once(" = ") {
        Some(("statement_days", _)) => "statement_days = [3]".to_owned(),
        Some(("due_days_after", _)) => "due_days_after = 5".to_owned(),
        _ => line.to_owned(),
    };
    STANDARD.lines().map(days).collect::<Vec<_>>().join("\n")
}

/// What may be found next, as it was known when the books were looked at.
struct Known {
    next: NextWork,
    /// By table, what its rows come to.
    books: BTreeMap<String, Option<String>>,
}

impl Known {
    async fn now(driver: &Driver) -> Known {
        let app = driver.app();
        let mut connection = app.pool.acquire().await.unwrap();
        let next = load_next_work(&mut connection, app.clock.now()).await.unwrap();
        Known { next, books: books(&app.pool).await }
    }
}

async fn books(pool: &PgPool) -> BTreeMap<String, Option<String>> {
    let tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(pool).await.unwrap();
    // The log of calls is written behind what is done.
    let tables = tables.iter().filter(|table| *table != "partner_call");
    let sums = tables
        .map(|table| format!("select '{table}'::text, md5(string_agg(t::text, ' ' order by t::text)) from {table} t"));
    let sums = sums.collect::<Vec<_>>().join(" union all ");
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(AssertSqlSafe(sums)).fetch_all(pool).await.unwrap();
    rows.into_iter().collect()
}

/// The kinds of work that ticks asked for.
#[derive(Default)]
struct Ticked {
    may_find: BTreeSet<&'static str>,
    passed_over: BTreeSet<&'static str>,
}

impl Ticked {
    /// As [`Driver::advance_to`], but that every tick is done; no table differs after one that would have been passed over.
    async fn advance_to(&mut self, driver: &Driver, to: &str) {
        let (app, world) = (driver.app(), &driver.house.world);
        let mut known = Known::now(driver).await;
        for (at, kind) in timetable::ticks(app.clock.now(), day(to).instant(MORNING), driver.apart).unwrap() {
            app.clock.set(at);
            if known.next.may_settle(at) || world.callbacks_pending() > 0 {
                driver.settle().await.unwrap();
                known = Known::now(driver).await;
            }
            dispatch::run(app, kind).await.unwrap();
            driver.settle().await.unwrap();
            if known.next.may_find(kind, at) {
                self.may_find.insert(kind.name());
                known = Known::now(driver).await;
                continue;
            }
            self.passed_over.insert(kind.name());
            let mut books = books(&app.pool).await;
            books.retain(|table, sum| known.books[table] != *sum);
            assert!(books.is_empty(), "{} at {at} is passed over, and would change {:?}", kind.name(), books.keys());
        }
        driver.advance_to(day(to)).await.unwrap();
    }
}

/// Every kind of work is there to be done and not to be done: a reserve that is low until money comes, an application that a funder
/// leaves to the product's default, a payout whose answer is lost, a card that is short of money, and then an answer that is lost.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_passed_over_changes_nothing(pool: PgPool) {
    let product = due_soon();
    let mut driver = street(pool, "2026-03-02", &[product.as_str()]).await;
    driver.apart = TimeDelta::hours(6);
    let terms = ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(99_950_000) };
    let _ = funder::set_reserve_terms(driver.app(), driver.funder("harbour-bank").unwrap(), terms).await.unwrap();
    let line_id = driver.line("Wang", "harbour-standard").unwrap();
    driver.purchase(line_id, &wish("sofa", "harbour-standard", 120_000, 3), None).await.unwrap().unwrap();
    let asks = product.replace("harbour-standard", "harbour-asks");
    driver.publish(&format!("{asks}\n[funder_word]\ndeadline_hours = 1\ndefault = \"approve\"\n")).await.unwrap();
    driver.sign_up("Li", 2, 35).await.unwrap();
    let state = driver.apply("Li", "harbour-asks", Some(good_history()), None).await.unwrap().unwrap();
    assert_eq!(state, ApplicationState::WithFunder);
    let lost = |answer| Scripted::answer(answer).with(Fault::TimeoutAfter);
    driver.house.world.script("payout", None, vec![lost("paid")]);
    driver.answer_card("withholding_a", "Wang", vec![Scripted::answer("insufficient_funds"), lost("success")]).unwrap();

    let mut ticked = Ticked::default();
    ticked.advance_to(&driver, "2026-03-04").await;
    driver.deposit("harbour-bank", Fen::new(1_000_000), "D-2").await.unwrap().unwrap();
    driver.advance_to(day("2026-03-07")).await.unwrap();
    ticked.advance_to(&driver, "2026-03-10").await;

    let by_time = ["ask_partners", "compare_files", "make_files", "pay_out", "watch_reserves", "withhold"];
    assert_eq!(ticked.passed_over, BTreeSet::from(by_time));
    assert!(ticked.may_find.is_superset(&ticked.passed_over), "{:?}", ticked.may_find);
    let withheld: Vec<String> = sqlx::query_scalar("select status from withholding order by created_at")
        .fetch_all(&driver.app().pool)
        .await
        .unwrap();
    assert_eq!(withheld, ["failed", "succeeded"]);
    ends_clean(driver).await;
}
