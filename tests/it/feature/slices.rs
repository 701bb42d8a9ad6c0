//! Purchases that are held from slices of a reserve are booked together; they never exceed the reserve, and use all of it before any is
//! refused.

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::base::{BusinessDay, Fen};
use fenqi::close::engine::cut_off;
use fenqi::error::Attempt;
use fenqi::funder;
use fenqi::funder::actions::{LowWaterChange, change_low_water};
use fenqi::funder::reserve::LowWaterMarks;
use fenqi::jobs::worker::run_ready;
use fenqi::partner::key::Algorithm;
use fenqi::purchase::{Authoriser, Decision, PurchaseRefusal};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const RESERVE_FEN: i64 = 1_000_000;
const WISH: LineWish = LineWish { limit_fen: 900_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
const HELD_IN_THE_JOURNAL: &str = "select coalesce(sum(amount_fen), 0)::bigint from reserve_entry where kind = 'hold'";

async fn shopping(pool: PgPool) -> Town {
    town::found(house::open(pool, "2026-03-02").await, RESERVE_FEN).await
}

/// One purchase after another, each of its own batch.
async fn buy(town: &Town, authoriser: &Authoriser, key: &str, fens: &[i64]) -> Vec<Decision> {
    let line = town.open_lines(1, WISH).await[0];
    let mut decisions = Vec::new();
    for (number, fen) in fens.iter().enumerate() {
        let wish = town.wish(line, &format!("{key}-{number}"), *fen, ("harbour-standard", 3));
        decisions.push(authoriser.authorise(wish).await.unwrap().decision);
    }
    decisions
}

fn authorised(decisions: &[Decision]) -> usize {
    decisions.iter().filter(|decision| matches!(decision, Decision::Authorised { .. })).count()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_slices_have_used_is_booked_by_whoever_locks_the_reserve(pool: PgPool) {
    let town = shopping(pool).await;
    let authoriser = Authoriser::start(town.app.clone());
    assert_eq!(authorised(&buy(&town, &authoriser, "p", &[10_000, 20_000, 30_000]).await), 3);
    assert_eq!(town.fen("select available_fen from reserve_now").await, RESERVE_FEN - 60_000);
    assert_eq!(town.fen("select held_fen from reserve_now").await, 60_000);
    assert_eq!(town.fen(HELD_IN_THE_JOURNAL).await, 10_000, "the first batch locked the reserve, the others a slice");
    town.assert_whole("with purchases that are not in the journal yet").await;
    let terms = funder::actions::ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(1_000) };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    assert_eq!(town.fen(HELD_IN_THE_JOURNAL).await, 60_000);
    assert_eq!(town.fen("select sum(used_fen)::bigint from reserve_slice").await, 0);
    assert_eq!(authorised(&buy(&town, &authoriser, "q", &[5_000, 4_000]).await), 2);
    assert_eq!(
        town.fen(HELD_IN_THE_JOURNAL).await,
        65_000,
        "other terms end leases: the first of them locked the reserve"
    );
    funder::actions::bring_journal_up_to_date(&town.app, town.funder_id).await.unwrap();
    assert_eq!(town.fen(HELD_IN_THE_JOURNAL).await, 69_000);
    assert_eq!(authorised(&buy(&town, &authoriser, "r", &[3_000]).await), 1);
    assert_eq!(town.fen(HELD_IN_THE_JOURNAL).await, 69_000, "leases that were not revoked go on");
    town.assert_whole("with all purchases in the journal").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_undoes_a_sale_has_the_reserve_for_the_last_moment_only(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-02").await;
    let town = town::found(app, RESERVE_FEN).await;
    let lines = town.open_lines(2, WISH).await;
    let buy = async |line: usize, key: &str| {
        let wish = town.wish(lines[line], key, 10_000, ("harbour-standard", 3));
        let bought = tokio::time::timeout(house::PATIENCE, town.buy(vec![wish])).await;
        bought.expect("a purchase is kept waiting")[0]
    };
    let old = buy(0, "old").await;
    town.close_today().await;
    let fresh = buy(0, "fresh").await;
    for (key, is_void) in [("beside-refund", false), ("beside-void", true)] {
        // What the borrower is told is looked up there, when nearly all is done.
        let mut held_up = fenqi::database::begin(&town.app.pool).await.unwrap();
        let lock = "lock table wechat_subscription in access exclusive mode";
        sqlx::raw_sql(lock).execute(&mut *held_up).await.unwrap();
        let undoing = tokio::spawn({
            let town = town.clone();
            async move { if is_void { town.void(&fresh).await } else { town.refund(&old, 5_000, "r").await } }
        });
        house::until_somebody_waits(&town.app.pool).await;
        buy(1, key).await;
        assert!(!undoing.is_finished());
        held_up.rollback().await.unwrap();
        undoing.await.unwrap();
    }
    town.assert_whole("after both").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_slices_have_used_belongs_to_the_day_that_ends(pool: PgPool) {
    let town = shopping(pool).await;
    let authoriser = Authoriser::start(town.app.clone());
    assert_eq!(authorised(&buy(&town, &authoriser, "p", &[10_000, 20_000]).await), 2);
    let day: BusinessDay = "2026-03-02".parse().unwrap();
    let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
    assert!(cut_off(&mut transaction, day, town.app.clock.now()).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(authorised(&buy(&town, &authoriser, "q", &[7_000]).await), 1);
    funder::actions::bring_journal_up_to_date(&town.app, town.funder_id).await.unwrap();
    let held = async |day: &str| {
        let of_day = format!("{HELD_IN_THE_JOURNAL} and business_day = '{day}'");
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(of_day)).fetch_one(&town.app.pool).await.unwrap()
    };
    assert_eq!((held("2026-03-02").await, held("2026-03-03").await), (30_000, 7_000));
    town.assert_whole("on the next morning").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_journal_comes_to_its_end_though_purchases_are_made_while_it_is_read(pool: PgPool) {
    let town = shopping(pool).await;
    desk::add_partner(&town.app, "harbour-core", PartnerKind::Funder, Some("harbour-bank".into())).await;
    let identity = desk::add_key(&town.app, "harbour-core", "H-1", Algorithm::Sm2Sm3).await;
    let core = Desk::new(&town.app, &desk::serve(&town.app).await, identity).await;
    let authoriser = Authoriser::start(town.app.clone());
    let (mut held, mut pages, mut path) = (0, 0, "/funder/reserve/entries?limit=1".to_owned());
    loop {
        assert_eq!(authorised(&buy(&town, &authoriser, &format!("p{pages}"), &[2_000, 2_000]).await), 2);
        let page = core.get(&path).await.ok();
        let entry = &page["items"][0];
        held += if entry["kind"] == "hold" { entry["amount_fen"].as_i64().unwrap() } else { 0 };
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert!(pages < 20, "what was bought since the list began is another list's");
        path = format!("/funder/reserve/entries?limit=1&cursor={cursor}");
    }
    assert!(held >= 4_000, "what was used before the first page is in it: {held}");
    town.assert_whole("with purchases that are not in the journal yet").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_dry_slice_takes_from_the_others_before_anything_is_refused(pool: PgPool) {
    let town = shopping(pool).await;
    let nodes = [Authoriser::start(town.app.clone()), Authoriser::start(town.app.clone())];
    // Far more than a slice has, on one node, while the other node has leases too.
    let first = buy(&town, &nodes[0], "a", &[50_000; 9]).await;
    let second = buy(&town, &nodes[1], "b", &[50_000; 10]).await;
    assert_eq!((authorised(&first), authorised(&second)), (9, 10));
    let last = buy(&town, &nodes[0], "c", &[50_001, 50_000, 10_000]).await;
    let exhausted = Decision::Refused(PurchaseRefusal::ReserveExhausted);
    assert_eq!((last[0], last[2]), (exhausted, exhausted));
    assert!(matches!(last[1], Decision::Authorised { .. }));
    assert_eq!(town.fen("select available_fen from reserve_now").await, 0);
    town.assert_whole("with an empty reserve").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_is_told_that_its_reserve_is_low_by_the_purchase_that_takes_it_there(pool: PgPool) {
    let town = shopping(pool).await;
    let terms = funder::actions::ReserveTerms { advance_limit: Fen::ZERO, low_water: Fen::new(900_000) };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    let authoriser = Authoriser::start(town.app.clone());
    let watches = || town.fen("select count(*) from job where kind = 'watch_reserves'");
    for key in ["a", "b"] {
        assert_eq!(authorised(&buy(&town, &authoriser, key, &[2_000; 25]).await), 25);
    }
    assert_eq!(town.fen("select available_fen from reserve_now").await, 900_000);
    assert_eq!(watches().await, 0, "at the mark is not below it");
    assert_eq!(authorised(&buy(&town, &authoriser, "c", &[2_000, 2_000]).await), 2);
    assert_eq!(watches().await, 1);
    assert_eq!(run_ready(&town.app, "test").await.unwrap(), 1);
    assert_eq!(town.fen("select count(*) from outbox where kind = 'reserve_low'").await, 1);
    town.app.clock.set(town.app.clock.now() + TimeDelta::minutes(2));
    assert_eq!(authorised(&buy(&town, &authoriser, "d", &[2_000]).await), 1);
    assert_eq!(watches().await, 1, "told once a day");
    // Another mark below: what is shared ends above it, and it is told by itself on the same day.
    let marks = LowWaterMarks { first: Fen::new(900_000), lower: vec![Fen::new(890_000), Fen::new(100_000)] };
    let change = LowWaterChange { version: 2, marks, attempt: Attempt::First };
    change_low_water(&town.app, town.funder_id, change).await.unwrap();
    assert_eq!(authorised(&buy(&town, &authoriser, "e", &[1_000; 4]).await), 4);
    assert_eq!((town.fen("select available_fen from reserve_now").await, watches().await), (890_000, 1));
    assert_eq!(authorised(&buy(&town, &authoriser, "f", &[1_000, 1_000]).await), 2);
    assert_eq!(watches().await, 2);
    assert_eq!(run_ready(&town.app, "test").await.unwrap(), 1);
    let told = "select sum((body ->> 'low_water_fen')::bigint)::bigint from outbox where kind = 'reserve_low'";
    assert_eq!(town.fen(told).await, 900_000 + 890_000, "each mark once");
    assert_eq!(funder::jobs::watch_reserves(&town.app).await.unwrap(), 0);
    // Nor does what is leased reach below a highest mark that is set by hand.
    let leased = "select sum(leased_fen)::bigint from reserve_slice";
    assert!(town.fen(leased).await > 0);
    let terms = funder::actions::ReserveTerms { low_water: Fen::new(895_000), ..terms };
    let _ = funder::set_reserve_terms(&town.app, town.funder_id, terms).await.unwrap();
    assert_eq!(town.fen(leased).await, 0);
    // Nor after a withdrawal, which brings what is left nearer to the next mark.
    assert_eq!(authorised(&buy(&town, &authoriser, "g", &[1_000]).await), 1);
    assert!(town.fen(leased).await > 0);
    let (amount, reference) = (Fen::new(50_000), "W-1".to_owned());
    let withdrawal = funder::actions::BankMovement { funder_id: town.funder_id, amount, reference };
    let _ = funder::withdraw(&town.app, withdrawal).await.unwrap();
    assert_eq!(town.fen(leased).await, 0);
    // Nor after a deposit, which lifts what is left above marks that may be crossed again.
    assert_eq!(authorised(&buy(&town, &authoriser, "h", &[1_000]).await), 1);
    assert!(town.fen(leased).await > 0);
    let (amount, reference) = (Fen::new(100_000), "D-2".to_owned());
    let deposit = funder::actions::BankMovement { funder_id: town.funder_id, amount, reference };
    let _ = funder::deposit(&town.app, deposit).await.unwrap();
    assert_eq!(town.fen(leased).await, 0);
    town.assert_whole("below the low-water mark").await;
}
