//! `fenqi line` as operators type it: who changed a line and why is kept, and shown again.

use fenqi::credit::ApplicationState;
use fenqi::credit::actions::apply;
use fenqi::demo::identity;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::{book, house};

const WHO: [&str; 4] = ["--by", "Li Na", "--reason", "a stolen phone"];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_is_frozen_and_unfrozen_for_each_reason_by_itself(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let freeze = [&["line", "freeze", line.as_str()][..], &WHO].concat();
    let unfreeze = [&["line", "unfreeze", line.as_str()][..], &WHO].concat();
    let risk = ["--for", "risk"];
    let frozen = fenqi.done(&freeze);
    assert_eq!(frozen.trim_end(), format!("{line} is frozen (operator): limit 10,000.00 yuan, used 3,000.00"));
    fenqi.done(&freeze);
    assert_eq!(book.fen("select count(*) from line_entry where line_id = $1 and kind = 'freeze'").await, [1]);
    assert!(fenqi.done(&[&freeze[..], &risk].concat()).contains("frozen (risk,operator)"));
    assert!(fenqi.done(&unfreeze).contains("frozen (risk)"));
    assert!(fenqi.done(&[&unfreeze[..], &risk].concat()).contains("is active"));
    let reasons = book.words("select distinct reason from line_entry where line_id = $1 and reason is not null").await;
    assert_eq!(reasons, ["person:Li Na: a stolen phone"]);
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_limit_is_set_within_the_products_and_a_line_in_use_is_not_closed(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let limit = |fen| [&["line", "limit", line.as_str(), "--limit-fen", fen][..], &WHO].concat();
    assert!(fenqi.refused(&limit("20000001")).contains("the product's highest"));
    assert!(fenqi.done(&limit("200000")).contains("is active: limit 2,000.00 yuan, used 3,000.00"));
    let close = [&["line", "close", line.as_str()][..], &WHO].concat();
    assert!(fenqi.refused(&close).contains("the line is in use"));

    let shown = fenqi.done(&["line", "show", &line]);
    assert!(shown.contains("limit 2,000.00 yuan, used 3,000.00, available -1,000.00"), "{shown}");
    assert!(shown.contains("person:Li Na: a stolen phone"), "{shown}");
    let told: Value = serde_json::from_str(&fenqi.done(&["line", "show", &line, "--json"])).unwrap();
    assert_eq!((&told["status"], &told["frozen_for"]), (&json!("active"), &Value::Null));
    assert_eq!((&told["limit_fen"], &told["available_fen"]), (&json!(200_000), &json!(-100_000)));
    assert_eq!((&told["changes"][0]["kind"], &told["changes"][1]["kind"]), (&json!("limit"), &json!("opened")));
    book.assert_whole().await;

    let nowhere = format!("line_{}", "0".repeat(32));
    assert!(fenqi.refused(&["line", "show", &nowhere]).contains("there is no line"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_is_found_by_its_borrowers_mobile_until_it_is_closed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let product = applicant::standard_product(&app).await;
    let borrower_id = applicant::ready(&app, 7).await;
    let request = applicant::request(borrower_id, product, Some(applicant::steady()));
    let applied = apply(&app, request).await.unwrap();
    let ApplicationState::Approved { line_id, .. } = applied.state else { panic!("{applied:?}") };
    let fenqi = Program::on(&pool).await;
    let mobile = identity::mobile(7).reveal().to_owned();
    let shown = fenqi.done(&["line", "show", "--mobile", &mobile]);
    assert!(shown.starts_with(&format!("{line_id} of {borrower_id} is active")), "{shown}");
    let close = [&["line", "close", "--mobile", mobile.as_str()][..], &WHO].concat();
    assert!(fenqi.done(&close).starts_with(&format!("{line_id} is closed")));
    assert!(fenqi.refused(&close).contains("has no open line"));
    assert!(fenqi.done(&["line", "show", &line_id.to_string()]).contains("is closed"));
    assert_eq!(fenqi.done(&["verify"]), "");
}
