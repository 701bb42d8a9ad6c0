//! `fenqi application`: applications that wait for a person are listed with their facts, and each is decided only once.

use fenqi::base::id::ApplicationId;
use fenqi::credit::ApplicationState;
use fenqi::credit::actions::apply;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::house;

const WHO: [&str; 4] = ["--by", "Li Na", "--reason", "salary shown"];

/// An application that the scorecard has left to a person.
pub(super) async fn referred(pool: &PgPool) -> ApplicationId {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let product = applicant::standard_product(&app).await;
    let borrower_id = applicant::ready(&app, 7).await;
    let applied = apply(&app, applicant::request(borrower_id, product, None)).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Referred { reason: "no_history".into() });
    applied.application_id
}

async fn decided(pool: &PgPool) -> (String, Option<String>) {
    sqlx::query_as("select decided_by, decision_note from application").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_waits_for_a_person_is_listed_and_approved_once(pool: PgPool) {
    let id = referred(&pool).await.to_string();
    let fenqi = Program::on(&pool).await;
    let listed = fenqi.done(&["application", "list"]);
    assert!(listed.starts_with(&id) && listed.contains("2026-03-02: no_history"), "{listed}");
    assert!(listed.contains("age 30, asks for any limit") && listed.contains("no card"), "{listed}");
    assert!(listed.contains("500.00 to 200,000.00 yuan"), "{listed}");
    let told: Value = serde_json::from_str(&fenqi.done(&["application", "list", "--json"])).unwrap();
    assert_eq!((&told["application_id"], &told["referral"]), (&json!(id), &json!("no_history")));
    assert_eq!((&told["facts"]["age"], &told["limit_max_fen"]), (&json!(30), &json!(20_000_000)));

    let approve = |grade, fen| {
        let decision = ["application", "decide", "approve", id.as_str(), "--grade", grade, "--limit-fen", fen];
        [&decision[..], &WHO].concat()
    };
    assert!(fenqi.refused(&approve("Z", "500000")).contains("no price for this grade"));
    assert!(fenqi.refused(&approve("C", "20000001")).contains("within the product's bounds"));
    let approved = fenqi.done(&approve("C", "500000"));
    assert!(approved.contains("is approved: line_") && approved.contains("grade C, 5,000.00 yuan"), "{approved}");
    assert_eq!(fenqi.done(&approve("C", "500000")), approved);
    // Nobody is left to believe that another line was opened, or theirs the word that counts.
    assert!(fenqi.refused(&approve("A", "900000")).contains("does not wait for this decision"));
    let another = ["--by", "Wang Fang", "--reason", "salary shown"];
    let of_another = [&approve("C", "500000")[..8], &another[..]].concat();
    assert!(fenqi.refused(&of_another).contains("does not wait for this decision"));
    assert_eq!(decided(&pool).await, ("person:Li Na".to_owned(), Some("salary shown".to_owned())));
    assert_eq!(house::did(&pool, "application_decided").await, ["Li Na"]);
    assert_eq!(fenqi.done(&["application", "list"]), "");
    assert_eq!(fenqi.done(&["verify"]), "");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_person_refused_is_not_approved_afterwards(pool: PgPool) {
    let id = referred(&pool).await.to_string();
    let fenqi = Program::on(&pool).await;
    let refuse = ["application", "decide", "refuse", id.as_str(), "--code", "income_not_proven"];
    let refused = fenqi.done(&[&refuse[..], &WHO].concat());
    assert_eq!(refused.trim_end(), format!("{id} is refused: income_not_proven"));
    assert_eq!(fenqi.done(&[&refuse[..], &WHO].concat()), refused, "again");
    let other_code = ["application", "decide", "refuse", id.as_str(), "--code", "late_elsewhere"];
    assert!(fenqi.refused(&[&other_code[..], &WHO].concat()).contains("does not wait for this decision"));
    let approve = ["application", "decide", "approve", id.as_str(), "--grade", "C", "--limit-fen", "500000"];
    assert!(fenqi.refused(&[&approve[..], &WHO].concat()).contains("does not wait for this decision"));
    let nowhere = format!("app_{}", "0".repeat(32));
    let unknown = ["application", "decide", "refuse", nowhere.as_str(), "--code", "income_not_proven"];
    assert!(fenqi.refused(&[&unknown[..], &WHO].concat()).contains("there is no application"));
}
