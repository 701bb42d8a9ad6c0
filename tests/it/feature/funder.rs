//! Funders' reserves: each deposit and withdrawal is booked once, and no balance falls below what the advance allows.

use fenqi::base::id::FunderId;
use fenqi::base::{BusinessDay, Fen};
use fenqi::error::Step;
use fenqi::funder::actions::{BankMovement, OpenFunderRefusal, ReserveTerms};
use fenqi::funder::{self, ReserveRefusal};
use sqlx::PgPool;

use crate::{house, town};

fn movement(funder_id: FunderId, fen: i64, reference: &str) -> BankMovement {
    BankMovement { funder_id, amount: Fen::new(fen), reference: reference.into() }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_deposit_is_booked_once(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let funder_id = funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap();
    assert_eq!(funder::deposit(&app, movement(funder_id, 50_000, "B-1")).await.unwrap(), Step::Applied);
    assert_eq!(funder::deposit(&app, movement(funder_id, 50_000, "B-1")).await.unwrap(), Step::AlreadyApplied);
    let other_amount = town::refused(funder::deposit(&app, movement(funder_id, 60_000, "B-1")).await);
    assert_eq!(
        other_amount,
        ReserveRefusal::ReferenceBookedWithOtherAmount { reference: "B-1".into(), booked: Fen::new(50_000) }
    );
    let mut connection = app.pool.acquire().await.unwrap();
    let reserve = funder::store::find_reserve(&mut connection, funder_id).await.unwrap().unwrap();
    assert_eq!((reserve.available, reserve.last_entry_no), (Fen::new(50_000), 1));
    let postings: i64 =
        sqlx::query_scalar("select count(*) from posting where event = 'deposit'").fetch_one(&app.pool).await.unwrap();
    assert_eq!(postings, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_same_reference_twice_at_once_is_booked_once(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let funder_id = funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap();
    let (first, second) = tokio::join!(
        funder::deposit(&app, movement(funder_id, 50_000, "B-1")),
        funder::deposit(&app, movement(funder_id, 50_000, "B-1")),
    );
    let applied = [first.unwrap(), second.unwrap()].into_iter().filter(|step| *step == Step::Applied).count();
    assert_eq!(applied, 1);
    let available: i64 =
        sqlx::query_scalar("select available_fen from reserve_now").fetch_one(&app.pool).await.unwrap();
    assert_eq!(available, 50_000);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_withdrawal_beyond_what_is_free_is_refused(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let funder_id = funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap();
    let _ = funder::deposit(&app, movement(funder_id, 50_000, "B-1")).await.unwrap();
    let terms = ReserveTerms { advance_limit: Fen::new(10_000), low_water: Fen::new(20_000) };
    assert_eq!(funder::set_reserve_terms(&app, funder_id, terms).await.unwrap(), Step::Applied);
    let too_much = town::refused(funder::withdraw(&app, movement(funder_id, 50_001, "W-1")).await);
    assert_eq!(too_much, ReserveRefusal::NotAvailable { available: Fen::new(50_000) });
    assert_eq!(funder::withdraw(&app, movement(funder_id, 50_000, "W-1")).await.unwrap(), Step::Applied);
    let sum: i64 = sqlx::query_scalar("select sum(f) from posting, unnest(amount_fen) f where event = 'withdrawal'")
        .fetch_one(&app.pool)
        .await
        .map(|sum: rust_decimal::Decimal| i64::try_from(sum).unwrap())
        .unwrap();
    assert_eq!(sum, 2 * 50_000);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_opened_twice_is_one_funder(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let first = funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap();
    assert_eq!(funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap(), first);
    let taken = town::refused(funder::open_funder(&app, "hui-feng", "Another").await);
    assert_eq!(taken, OpenFunderRefusal::CodeTaken { code: "hui-feng".into(), name: "Hui Feng".into() });
    assert_eq!(
        town::refused(funder::open_funder(&app, "Hui Feng", "Hui Feng").await),
        OpenFunderRefusal::CodeMalformed
    );
    for name in ["sms", "wechat", "risk", "payout"] {
        let reserved = town::refused(funder::open_funder(&app, name, "Hui Feng").await);
        assert_eq!(reserved, OpenFunderRefusal::CodeReserved(name.to_owned()), "its events would go to {name}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_reserve_is_used_by_what_was_held_in_the_two_weeks_before_today_less_what_came_back(pool: PgPool) {
    let app = house::open(pool, "2026-03-16").await;
    let funder_id = funder::open_funder(&app, "hui-feng", "Hui Feng").await.unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    let today: BusinessDay = "2026-03-16".parse().unwrap();
    let never = funder::actions::forecast_reserve(&mut connection, &app, funder_id, today).await.unwrap();
    assert_eq!((never.net_use_a_day, never.runs_dry_on), (Fen::ZERO, None));
    let journal = [
        ("deposit", "2026-03-01", 50_000_i64),
        ("hold", "2026-03-01", 7_000),
        ("hold", "2026-03-02", 1_000),
        ("release", "2026-03-02", 100),
        ("clearing", "2026-03-02", 900),
        ("refund", "2026-03-10", 60),
        ("hold", "2026-03-15", 560),
        ("withdrawal", "2026-03-15", 5),
        ("hold", "2026-03-16", 9_999),
    ];
    for (entry_no, (kind, day, fen)) in (1_i64..).zip(journal) {
        let entry = sqlx::query(
            "insert into reserve_entry (funder_id, entry_no, kind, amount_fen, available_after_fen, held_after_fen, source,
                                        business_day, occurred_at)
             values ($1, $2, $3, $4, 0, 0, $3, $5, timestamptz '2026-03-16 02:00:00Z')",
        );
        let entry = entry.bind(funder_id).bind(entry_no).bind(kind).bind(fen).bind(day.parse::<BusinessDay>().unwrap());
        entry.execute(&mut *connection).await.unwrap();
    }
    // 1,000 − 100 − 60 + 560 in fourteen days.
    let forecast = funder::actions::forecast_reserve(&mut connection, &app, funder_id, today).await.unwrap();
    assert_eq!((forecast.net_use_a_day, forecast.runs_dry_on), (Fen::new(100), Some(today)));
}
