//! Funders and their reserves: money is booked once, nothing goes below what the advance allows.

use fenqi::base::Fen;
use fenqi::base::id::FunderId;
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
