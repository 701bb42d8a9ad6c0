//! The lending life: bought, billed, withheld; voided, refunded, paid off; and what an unknown answer does.

use fenqi::base::Fen;
use fenqi::credit;
use fenqi::sandbox::{Fault, Scripted};
use sqlx::PgPool;

use super::{day, ends_clean, street, wish};
use fenqi::replay::Driver;

const STANDARD: &str = include_str!("../../../products/standard.toml");

async fn used(driver: &Driver) -> Fen {
    let line_id = driver.line("Wang", "harbour-standard").unwrap();
    let mut connection = driver.app().pool.acquire().await.unwrap();
    credit::store::find_line(&mut connection, line_id).await.unwrap().unwrap().used
}

async fn statuses(driver: &Driver, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(&driver.app().pool).await.unwrap()
}

const BILLS: &str = "select status from bill order by due_on";
const WITHHOLDINGS: &str = "select status from withholding order by created_at, withholding_id";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_is_settled_billed_and_withheld_to_its_end(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 3)).await.unwrap().unwrap();
    assert_eq!(used(&driver).await, Fen::new(120_000));
    driver.advance_to(day("2026-03-04")).await.unwrap();
    assert_eq!(statuses(&driver, "select status from settlement where payable_fen > 0").await, ["paid"]);
    driver.advance_to(day("2026-07-15")).await.unwrap();
    assert_eq!(statuses(&driver, BILLS).await, ["paid", "paid", "paid"]);
    assert_eq!(used(&driver).await, Fen::ZERO);
    assert_eq!(statuses(&driver, "select status from loan").await, ["paid"]);
    ends_clean(driver).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_voided_before_the_cut_off_never_was(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 3)).await.unwrap().unwrap();
    driver.void("sofa").await.unwrap().unwrap();
    assert_eq!(used(&driver).await, Fen::ZERO);
    driver.advance_to(day("2026-03-04")).await.unwrap();
    assert!(statuses(&driver, "select status from settlement where payable_fen > 0").await.is_empty());
    ends_clean(driver).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refund_after_settlement_moves_every_party(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 3)).await.unwrap().unwrap();
    driver.advance_to(day("2026-03-05")).await.unwrap();
    driver.refund("sofa", Fen::new(40_000), "r1").await.unwrap().unwrap();
    assert_eq!(used(&driver).await, Fen::new(80_000));
    driver.purchase(&wish("lamp", "harbour-standard", 90_000, 3)).await.unwrap().unwrap();
    driver.advance_to(day("2026-07-15")).await.unwrap();
    assert_eq!(used(&driver).await, Fen::ZERO);
    ends_clean(driver).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_loan_is_paid_off_early_for_what_was_quoted(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 12)).await.unwrap().unwrap();
    driver.advance_to(day("2026-03-20")).await.unwrap();
    let paid = driver.pay_off("sofa").await.unwrap().unwrap();
    assert!(paid >= Fen::new(120_000), "{paid}");
    driver.advance_to(day("2026-03-22")).await.unwrap();
    assert_eq!(used(&driver).await, Fen::ZERO);
    ends_clean(driver).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_that_never_arrives_is_asked_for_and_taken_once(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    let lost = vec![Scripted::answer("success").with(Fault::TimeoutAfter)];
    driver.answer_card("withholding_a", "Wang", lost).unwrap();
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 2)).await.unwrap().unwrap();
    driver.advance_to(day("2026-06-15")).await.unwrap();
    assert_eq!(statuses(&driver, WITHHOLDINGS).await, ["succeeded", "succeeded"]);
    assert_eq!(used(&driver).await, Fen::ZERO);
    ends_clean(driver).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn too_little_money_is_tried_again_and_a_lost_callback_does_no_harm(pool: PgPool) {
    let mut driver = street(pool, "2026-03-02", &[STANDARD]).await;
    let poor = vec![Scripted::answer("insufficient_funds"), Scripted::answer("success").with(Fault::LostCallback)];
    driver.answer_card("withholding_a", "Wang", poor).unwrap();
    driver.purchase(&wish("sofa", "harbour-standard", 120_000, 2)).await.unwrap().unwrap();
    driver.advance_to(day("2026-06-15")).await.unwrap();
    assert_eq!(statuses(&driver, WITHHOLDINGS).await, ["failed", "succeeded", "succeeded"]);
    assert_eq!(statuses(&driver, BILLS).await, ["paid", "paid"]);
    ends_clean(driver).await;
}
