//! `fenqi line`: each change of a line is stored with its author and reason, and can be listed.

use fenqi::demo::identity;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::town::{self, LineWish};
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
    assert_eq!(house::did(&pool, "line_changed").await, ["Li Na"; 4], "one of five changed nothing");
    book.assert_whole().await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_limit_is_set_within_the_products_and_a_line_in_use_is_not_closed(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    let limit = |fen| [&["line", "limit", line.as_str(), "--limit-fen", fen][..], &WHO].concat();
    assert!(fenqi.refused(&limit("20000001")).contains("the product's highest, 200,000.00 yuan"));
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
    let line_id = applicant::approved(&app, borrower_id, product).await;
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_loan_is_shown_with_what_each_of_its_figures_comes_from(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-03-02").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 500_000, statement_day: 5, due_day: 25, expires_on: "2029-01-01" };
    let line_id = town.open_lines(1, wish).await[0];
    let bought = town.buy(vec![town.wish(line_id, "sofa", 120_000, ("harbour-standard", 3))]).await;
    // The close of the 5th cuts the first statement.
    for _ in 0..4 {
        town.close_today().await;
    }
    town.refund(&bought[0], 60_000, "half").await;
    let fenqi = Program::on(&pool).await;
    let line: Value = serde_json::from_str(&fenqi.done(&["line", "show", &line_id.to_string(), "--json"])).unwrap();
    let loan = &line["loans"][0];
    assert_eq!((&loan["status"], &loan["outstanding_fen"]), (&json!("open"), &json!(60_000)));
    let loan = loan["loan_id"].as_str().unwrap();
    let shown = fenqi.done(&["line", "show", &line_id.to_string()]);
    assert!(shown.contains(&format!("2026-03-02  {loan}  1,200.00 yuan in 3 periods")), "{shown}");

    let shown = fenqi.done(&["line", "loan", loan]);
    assert!(shown.contains("under harbour-standard version 1, grade A"), "{shown}");
    assert!(shown.contains("open, principal left: ¥1,200.00 − ¥600.00 = ¥600.00"), "{shown}");
    // 1,200.00 × 8.6 % ÷ 12; the rest falls due as it was agreed until the refund takes it from the last period backwards.
    assert!(shown.contains("balance ¥1,200.00 × 8.6% a year ÷ 12 = ¥8.60"), "{shown}");
    for told in ["period 1, due 2026-03-25", "period 3, due 2026-05-25", "billed, and as it stands on 2026-03-06"] {
        assert!(shown.lines().any(|line| line.trim() == told), "{told} is not in {shown}");
    }
    assert_eq!(shown.matches("changed on 2026-03-06: refund").count(), 2, "{shown}");
    let ledger = shown.split_once("\nledger\n").unwrap().1;
    let of_purchase = |line: &str| {
        line.split_whitespace().eq([
            "2026-03-02",
            "purchase",
            "debit",
            "loan_principal",
            "credit",
            "funding_in_transit",
            "1,200.00",
        ])
    };
    assert!(ledger.lines().any(of_purchase) && ledger.contains("2026-03-06  refund"), "{ledger}");
    let chinese = fenqi.done(&["line", "loan", loan, "--lang", "zh-CN"]);
    assert!(chinese.contains("剩余本金 ¥1,200.00 × 年利率 8.6% ÷ 12 = ¥8.60"), "{chinese}");

    assert!(fenqi.misspelt(&["line", "loan", loan, "--lang", "fr"]).contains("say en or zh-CN"));
    let nowhere = format!("loan_{}", "0".repeat(32));
    assert!(fenqi.refused(&["line", "loan", &nowhere]).contains("`fenqi line show` lists those of a line"));
}
