//! Every problem code of the API is provoked by some test; the rare ones are provoked here.

use std::path::Path;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::base::id::{CodeId, LineId, ReserveOrderId};
use fenqi::funder::order_actions::refuse_order;
use fenqi::http::api::codes::{CODES, Code};
use fenqi::merchant::actions::Judgement;
use fenqi::partner::key::Algorithm;
use fenqi::purchase::{Decision, PurchaseRequest, Receipt};
use fenqi::repayment::jobs::{query_unknowns, submit_withholdings};
use fenqi::repayment::{PayoffOrder, early_payoff, payoff_quote};
use fenqi::router::api_document;
use fenqi::sandbox::{Fault, Scripted};
use fenqi::{funder, merchant, product};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::api_funder;
use crate::desk::{self, Answer, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const STANDARD: &str = include_str!("../../../products/standard.toml");
const WISH: LineWish = LineWish { limit_fen: 200_000, statement_day: 10, due_day: 30, expires_on: "2029-03-01" };
const PRICE: i64 = 60_000;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_is_told_what_is_wrong_with_a_key_a_reference_a_simulation_or_a_template(pool: PgPool) {
    let (_town, desk, _) = api_funder::open(pool).await;
    let (deposits, simulations) = ("/funder/reserve/deposits", "/funder/products/simulations");
    let deposit = |reference: &str| json!({ "amount_fen": 100, "reference": reference });
    let simulation = |field: &str, value: Value| {
        let mut asked = json!({
            "terms_text": STANDARD, "amount_fen": 128_800, "periods": 12, "grade": "A", "start_on": "2026-01-05" });
        asked[field] = value;
        asked
    };
    let long = "k".repeat(65);
    let table = [
        (deposits, "a key", deposit("R-1"), 400, "idempotency_key_malformed"),
        (deposits, &*long, deposit("R-1"), 400, "idempotency_key_malformed"),
        (deposits, "d-1", deposit(" "), 422, "reference_malformed"),
        (deposits, "d-2", deposit(&"R".repeat(129)), 422, "reference_malformed"),
        // It would stand over the amount that an operator reads before confirming it.
        (deposits, "d-3", deposit("R-1\r\u{1b}[2KDeposit of 1.00 yuan, R-1"), 422, "reference_malformed"),
        (deposits, "d-4", deposit("R-1\u{202e}"), 422, "reference_malformed"),
        (simulations, "s-1", simulation("start_on", json!("2200-06-01")), 422, "schedule_impossible"),
        (simulations, "s-2", simulation("statement_day", json!(40)), 422, "simulation_malformed"),
        (simulations, "s-3", simulation("amount_fen", json!(999)), 422, "amount_out_of_bounds"),
        (simulations, "s-4", simulation("grade", json!("F")), 422, "grade_not_allowed"),
        (simulations, "s-5", simulation("periods", json!(1)), 422, "periods_not_sold"),
    ];
    for (path, key, body, status, code) in table {
        assert_eq!(desk.post(path, key, &body).await.problem(), (status, code.to_owned()), "{path} {body}");
    }
    let loops = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
    for (key, template, refusal) in [
        ("t-1", json!({ "text": format!("{{\"a\": \"{loops}\"}}") }), (422, "template_too_much")),
        ("t-2", json!({ "text": "{}", "path": "loans" }), (422, "template_path_malformed")),
        ("t-3", json!({ "text": "{}", "path": "/../loans" }), (422, "template_path_malformed")),
    ] {
        let headers = [("idempotency-key", key), ("if-match", "\"0\"")];
        let body = json!({ "template": template }).to_string();
        let refused = desk.send_with("PUT", "/events/templates/loan_made", &headers, &body).await;
        assert_eq!(refused.problem(), (refusal.0, refusal.1.to_owned()), "{template}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_withdrawal_that_was_refused_is_not_confirmed(pool: PgPool) {
    let (town, desk, second) = api_funder::open(pool).await;
    let wanted = json!({ "amount_fen": 100, "reference": "W-1" });
    let noted = desk.post("/funder/reserve/withdrawals", "w-1", &wanted).await.ok();
    let order_id: ReserveOrderId = noted["order_id"].as_str().unwrap().parse().unwrap();
    refuse_order(&town.app, order_id, "operator:li", "not agreed").await.unwrap();
    let confirmation = format!("/funder/reserve/withdrawals/{order_id}/confirmation");
    let refused = second.post(&confirmation, "c-1", &Value::Null).await;
    assert_eq!(refused.problem(), (409, "reserve_order_refused".into()));
    let again = second.post(&confirmation, "c-1", &Value::Null).await;
    assert_eq!((again.header("idempotent-replayed"), again.json()), ("true", refused.json()));
    assert_eq!(again.json()["request_id"], refused.header("x-request-id"), "the one of the request that was refused");
    assert_ne!(again.header("x-request-id"), refused.header("x-request-id"));
    let document = api_document().json;
    let problem = &document["components"]["schemas"]["Problem"]["properties"];
    assert!(problem["request_id"]["description"].as_str().unwrap().ends_with("the id of the first request."));
    assert_eq!(town.fen("select sum(withdrawn_fen)::bigint from reserve").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_draft_goes_no_further_than_its_text_and_its_approval_let_it(pool: PgPool) {
    let (town, desk, second) = api_funder::open(pool).await;
    let drafts = "/funder/product-drafts";
    let text = |from: &str, to: &str| {
        assert!(STANDARD.contains(from), "{from}");
        json!({ "terms_text": STANDARD.replace(from, to) })
    };
    let unproven = desk.post(drafts, "d-1", &text("E = 0.180", "E = 0.225")).await;
    assert_eq!(unproven.problem(), (422, "product_unproven".into()));
    let of_another = text("funder = \"harbour-bank\"", "funder = \"other-bank\"");
    assert_eq!(desk.post(drafts, "d-2", &of_another).await.problem(), (422, "product_of_other_funder".into()));

    let standing = json!({ "terms_text": STANDARD });
    let draft = desk.post(drafts, "d-3", &standing).await.ok();
    let path = format!("{drafts}/{}", draft["draft_id"].as_str().unwrap());
    let read = |key: &'static str| [("idempotency-key", key), ("if-match", "\"1\"")];
    let approved = second.send_with("POST", &format!("{path}/approval"), &read("a-1"), "").await;
    assert_eq!(approved.ok()["status"], "approved");
    let edited = desk.send_with("PUT", &path, &read("e-1"), &standing.to_string()).await;
    assert_eq!(edited.problem(), (409, "draft_approved_before".into()));
    // Codes are of all funders; of a taken one it is said that it is, and not by whom.
    let others = STANDARD.replace("harbour-bank", "other-bank").replace("harbour-standard", "other-standard");
    funder::open_funder(&town.app, "other-bank", "Other Bank").await.unwrap();
    product::actions::publish(&town.app, &others).await.unwrap();
    // And of the others neither takes what is sold today off sale.
    let (code, taken) = ("code = \"harbour-standard\"", "code = \"other-standard\"");
    for (keys, from, to, (status, code)) in [
        (["d-6", "a-4", "p-4"], code, taken, (409, "product_code_taken")),
        (["d-4", "a-2", "p-2"], "valid_from = 2024-01-01", "valid_from = 2030-01-01", (409, "product_valid_later")),
        (["d-5", "a-3", "p-3"], "apr_cap = 0.24", "apr_cap = 0.24\nvalid_until = 2024-12-31", (409, "product_expired")),
    ] {
        let draft = desk.post(drafts, keys[0], &text(from, to)).await.ok();
        let path = format!("{drafts}/{}", draft["draft_id"].as_str().unwrap());
        second.send_with("POST", &format!("{path}/approval"), &read(keys[1]), "").await.ok();
        let published = desk.post(&format!("{path}/publication"), keys[2], &Value::Null).await;
        assert_eq!(published.problem(), (status, code.into()));
        assert!(!published.json()["detail"].to_string().contains("other-bank"), "{}", published.json());
    }
    assert!(product::withdraw(&town.app, "harbour-standard", 1).await.unwrap());
    let published = desk.post(&format!("{path}/publication"), "p-1", &Value::Null).await;
    assert_eq!(published.problem(), (409, "product_text_withdrawn".into()));
}

/// A cashier's desk, and how it asks for a sale to be undone.
struct Shop {
    town: Town,
    desk: Desk,
}

impl Shop {
    async fn sell(&self, key: &str, order_code: Option<CodeId>) -> Receipt {
        let line_id = self.town.open_lines(1, WISH).await[0];
        let wish = self.town.wish(line_id, key, PRICE, ("harbour-standard", 6));
        self.town.buy(vec![PurchaseRequest { order_code, ..wish }]).await[0]
    }

    async fn void(&self, sold: &Receipt, key: &str) -> Answer {
        self.desk.post(&format!("/merchant/purchases/{}/void", sold.purchase_id), key, &Value::Null).await
    }
}

fn order(reference: &str) -> Value {
    json!({ "reference": reference, "amount_fen": PRICE, "expires_at": "2026-03-02T20:00:00+08:00" })
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_is_told_why_a_sale_is_not_undone(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-03-02").await;
    let town = town::found(app, 10_000_000).await;
    desk::add_partner(&town.app, "cashier", PartnerKind::Merchant, Some(town.merchant_id.to_string())).await;
    let identity = desk::add_key(&town.app, "cashier", "C-1", Algorithm::Sm2Sm3).await;
    let desk = Desk::new(&town.app, &desk::serve(&town.app).await, identity).await;
    let shop = Shop { town, desk };
    let (app, desk) = (&shop.town.app, &shop.desk);

    let made = desk.post("/merchant/orders", "o-1", &order("A-1")).await.ok();
    let ordered = shop.sell("p-1", Some(made["order_id"].as_str().unwrap().parse().unwrap())).await;
    assert_eq!(shop.void(&ordered, "v-1").await.ok()["status"], "voided");
    let closed = desk.post("/merchant/orders/A-1/closure", "c-1", &Value::Null).await;
    assert_eq!(closed.problem(), (409, "order_voided".into()));
    let refunds = format!("/merchant/purchases/{}/refunds", ordered.purchase_id);
    let refunded = desk.post(&refunds, "r-1", &json!({ "amount_fen": 100 })).await;
    assert_eq!(refunded.problem(), (409, "purchase_was_voided".into()));

    let sold = shop.sell("p-2", None).await;
    let Decision::Authorised { loan_id } = sold.decision else { panic!("{sold:?}") };
    let line_of = "select line_id from loan where loan_id = $1";
    let line_id: Uuid = sqlx::query_scalar(line_of).bind(loan_id.uuid()).fetch_one(&app.pool).await.unwrap();
    let line_id = LineId::from_uuid(line_id);
    let quoted = payoff_quote(app, line_id, loan_id).await.unwrap().total();
    let payoff = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: "payoff".to_owned() };
    early_payoff(app, &payoff).await.unwrap();
    world.script("withholding_a", None, vec![Scripted::answer("success").with(Fault::TimeoutAfter)]);
    assert_eq!(submit_withholdings(app).await.unwrap().unknown, 1);
    assert_eq!(shop.void(&sold, "v-2").await.problem(), (409, "payoff_in_progress".into()));
    app.clock.set(app.clock.now() + TimeDelta::minutes(2));
    query_unknowns(app).await.unwrap();
    assert_eq!(shop.void(&sold, "v-3").await.problem(), (409, "repaid_before".into()));

    let yesterdays = shop.sell("p-3", None).await;
    shop.town.close_today().await;
    assert_eq!(shop.void(&yesterdays, "v-4").await.problem(), (409, "past_cut_off".into()));
    // What was paid goes back to a card, as long as anybody knows it.
    let erase = "update borrower set person_key_sealed = null, birth_on = null, region_code = null
                 where borrower_id = (select borrower_id from credit_line where line_id = $1)";
    sqlx::query(erase).bind(line_id).execute(&app.pool).await.unwrap();
    let refunds = format!("/merchant/purchases/{}/refunds", sold.purchase_id);
    let refunded = desk.post(&refunds, "r-2", &json!({ "amount_fen": 100 })).await;
    assert_eq!(refunded.problem(), (409, "customer_erased".into()));

    let suspend = Judgement {
        merchant_id: shop.town.merchant_id,
        decision: merchant::Decision::Suspend,
        decided_by: "operator:li".into(),
        reason: "complaints".into(),
    };
    let _ = merchant::decide(app, &suspend).await.unwrap();
    let later = json!({ "reference": "A-2", "amount_fen": PRICE, "expires_at": "2026-03-20T20:00:00+08:00" });
    let refused = desk.post("/merchant/orders", "o-2", &later).await;
    assert_eq!(refused.problem(), (409, "merchant_not_active".into()));
}

/// Every test's text.
fn tests(folder: &Path, texts: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// A test that meets an answer's code names it behind its status.
#[test]
fn every_code_of_the_list_is_provoked_by_a_test() {
    let mut texts = String::new();
    tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"), &mut texts);
    let words: Vec<&str> = texts.split_whitespace().collect();
    let words = words.join(" ");
    let is_provoked = |code: &&Code| {
        let Code { status, code, .. } = code;
        words.contains(&format!("{status}, \"{code}\""))
    };
    let unprovoked: Vec<&str> = CODES.iter().filter(|code| !is_provoked(code)).map(|code| code.code).collect();
    assert!(unprovoked.is_empty(), "listed, and provoked by no test: {unprovoked:?}");
}
