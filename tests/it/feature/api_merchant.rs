//! The API for a merchant's cashier: from an order to its settlement, refunds and voids, and nothing of another merchant.

use fenqi::access::PartnerKind;
use fenqi::base::id::CodeId;
use fenqi::partner::key::Algorithm;
use fenqi::purchase::PurchaseRequest;
use fenqi::settlement::{self, HoldStatement};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

pub(super) const WISH: LineWish =
    LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2027-12-31" };

pub(super) async fn open(pool: PgPool) -> (Town, Desk) {
    open_on(pool, "2026-01-05").await
}

async fn open_on(pool: PgPool, day: &str) -> (Town, Desk) {
    let (app, _) = house::open_in_world(pool, day).await;
    let town = town::found(app, 10_000_000).await;
    let desk = desk::of_cashier(&town.app, town.merchant_id).await;
    (town, desk)
}

pub(super) fn order(reference: &str, fen: i64) -> Value {
    json!({ "reference": reference, "amount_fen": fen, "expires_at": "2026-01-05T20:00:00+08:00" })
}

/// The borrower scans the order's code and confirms.
async fn pay(town: &Town, order: &Value, key: &str) {
    let line_id = town.open_lines(1, WISH).await[0];
    let amount = order["amount_fen"].as_i64().unwrap();
    let order_id: CodeId = order["order_id"].as_str().unwrap().parse().unwrap();
    let wish = town.wish(line_id, key, amount, ("harbour-standard", 12));
    town.buy(vec![PurchaseRequest { order_code: Some(order_id), ..wish }]).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_is_made_paid_refunded_and_settled(pool: PgPool) {
    let (town, desk) = open(pool).await;
    assert_eq!(desk.get("/me").await.ok().get("funder"), Some(&Value::Null), "it is told that it is no funder");
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.bytes));
    let made = made.ok();
    assert_eq!((&made["status"], &made["amount_fen"]), (&json!("open"), &json!(128_800)));
    assert!(made["link"].as_str().unwrap().contains("/q/"));
    pay(&town, &made, "p-1").await;
    let paid = desk.get("/merchant/orders/A-1").await.ok();
    assert_eq!(paid["status"], "paid");
    let purchase_id = paid["purchase_id"].as_str().unwrap().to_owned();
    let refunds = format!("/merchant/purchases/{purchase_id}/refunds");
    let early = desk.post(&refunds, "r-0", &json!({ "amount_fen": 1 })).await;
    assert_eq!(early.problem(), (409, "before_cut_off".into()));
    let paid = desk.post("/merchant/orders/A-1/closure", "c-1", &Value::Null).await;
    assert_eq!(paid.problem(), (409, "order_paid".into()));

    town.close_today().await;
    let refund = desk.post(&refunds, "r-1", &json!({ "amount_fen": 28_800 })).await.ok();
    let shown = desk.get(&format!("/merchant/refunds/{}", refund["refund_id"].as_str().unwrap())).await.ok();
    assert_eq!((&shown, &shown["reference"]), (&refund, &json!("A-1")));
    let again = desk.post(&refunds, "r-1", &json!({ "amount_fen": 28_800 })).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.ok(), refund);
    let too_much = desk.post(&refunds, "r-2", &json!({ "amount_fen": 100_001 })).await;
    assert_eq!(too_much.problem(), (422, "refund_exceeds_purchase".into()));
    let purchase = desk.get(&format!("/merchant/purchases/{purchase_id}")).await.ok();
    assert_eq!(purchase["refunded_fen"], 28_800);
    let listed = desk.get("/merchant/purchases?business_day=2026-01-05").await.ok();
    assert_eq!(listed["items"], json!([purchase]));
    assert_eq!(desk.get("/merchant/refunds?business_day=2026-01-06").await.ok()["items"], json!([refund]));

    let settlements = desk.get("/merchant/settlements").await.ok();
    let settlement = &settlements["items"][0];
    assert_eq!((&settlement["gross_fen"], &settlement["business_day"]), (&json!(128_800), &json!("2026-01-05")));
    let id = settlement["settlement_id"].as_str().unwrap();
    assert_eq!(&desk.get(&format!("/merchant/settlements/{id}")).await.ok(), settlement);
    let statement = desk.get(&format!("/merchant/settlements/{id}/statement")).await;
    assert_eq!(statement.header("content-type"), "text/csv; charset=utf-8");
    let text = String::from_utf8(statement.bytes).unwrap();
    let sum = text.lines().last().unwrap().rsplit(',').next().unwrap().to_owned();
    assert_eq!(sum, settlement["net_fen"].to_string(), "{text}");
    let ours = format!("purchase,{purchase_id},{purchase_id},A-1,");
    assert!(text.lines().nth(1).unwrap().starts_with(&ours), "each line bears the merchant's own reference: {text}");
    assert_eq!(purchase["reference"], "A-1");
    town.close_today().await;
    let settlements = desk.get("/merchant/settlements").await.ok();
    let of_day = async |query: &str| desk.get(&format!("/merchant/settlements?business_day={query}")).await.ok();
    for (day, found) in [("2026-01-05", &settlements["items"][0]), ("2026-01-06", &settlements["items"][1])] {
        assert_eq!(of_day(day).await["items"], json!([found]), "of that day alone");
    }
    assert_eq!(of_day("2026-01-07").await["items"], json!([]), "a day that is not settled yet");
    let cursor = desk.get("/merchant/settlements?limit=1").await.ok()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(of_day(&format!("2026-01-05&cursor={cursor}")).await["items"], json!([]), "behind that day");
    let id = settlements["items"][1]["settlement_id"].as_str().unwrap();
    let statement = desk.get(&format!("/merchant/settlements/{id}/statement")).await;
    let text = String::from_utf8(statement.bytes).unwrap();
    let ours = format!("refund,{},{purchase_id},A-1,", refund["refund_id"].as_str().unwrap());
    assert!(text.lines().nth(1).unwrap().starts_with(&ours), "{text}");
    town.assert_whole("after a refund").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_large_merchants_statement_is_whole_signed_and_sent_as_it_is_read(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    town.close_today().await;
    let more = "insert into purchase (purchase_id, line_id, idempotency_key, request_sha256, merchant_id, product_id,
                                      product_version, periods, amount_fen, status, loan_id, discount_fee_fen,
                                      discount_returned_on_refund, business_day, created_at)
                select gen_random_uuid(), line_id, 'more-' || number, request_sha256, merchant_id, product_id,
                       product_version, periods, amount_fen, status, loan_id, discount_fee_fen,
                       discount_returned_on_refund, business_day, created_at
                from purchase cross join generate_series(1, 4499) as number";
    sqlx::query(more).execute(&town.app.pool).await.unwrap();
    let settlement = desk.get("/merchant/settlements").await.ok()["items"][0].clone();
    let path = format!("/merchant/settlements/{}/statement", settlement["settlement_id"].as_str().unwrap());
    let statement = desk.get(&path).await;
    assert_eq!((statement.status, statement.header("content-length")), (200, ""), "nobody holds the whole of it");
    let text = String::from_utf8(statement.bytes).unwrap();
    let mut ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("purchase,")).collect();
    assert!(ids.is_sorted(), "in the order of their ids");
    ids.dedup();
    assert_eq!((ids.len(), text.lines().count()), (4_500, 4_502), "each once, a heading and the sums");
    assert!(text.lines().last().unwrap().starts_with(&format!("sum,,,,,{},", 4_500 * 128_800)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_without_sales_has_no_settlement_and_one_before_a_holiday_is_paid_after_it(pool: PgPool) {
    let (town, desk) = open_on(pool, "2026-02-14").await;
    let order = json!({ "reference": "A-1", "amount_fen": 128_800, "expires_at": "2026-02-14T20:00:00+08:00" });
    let made = desk.post("/merchant/orders", "o-1", &order).await.ok();
    pay(&town, &made, "p-1").await;
    town.close_today().await;
    town.close_today().await;
    let settlements = desk.get("/merchant/settlements").await.ok();
    let settlements = settlements["items"].as_array().unwrap();
    assert_eq!(settlements.len(), 1, "none of the 15th, on which nothing was sold: {settlements:?}");
    let told = ["business_day", "pay_on", "status", "paid_on"].map(|field| &settlements[0][field]);
    assert_eq!(told, [&json!("2026-02-14"), &json!("2026-02-24"), &json!("to_pay"), &Value::Null]);
    for list in ["/merchant/purchases", "/merchant/refunds"] {
        let quiet = desk.get(&format!("{list}?business_day=2026-02-15")).await.ok();
        assert_eq!(quiet["items"], json!([]), "{list}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_settlement_says_that_its_payment_is_held(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    town.close_today().await;
    let is_held = async || desk.get("/merchant/settlements").await.ok()["items"][0]["is_held"].clone();
    assert_eq!(is_held().await, json!(false));
    let stated = HoldStatement {
        merchant_id: town.merchant_id,
        by: "Li Na".to_owned(),
        reason: "the goods never came".to_owned(),
    };
    let _ = settlement::hold_payouts(&town.app, &stated).await.unwrap();
    assert_eq!(is_held().await, json!(true));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn refunds_at_once_give_back_no_more_than_was_paid(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    let purchase_id = desk.get("/merchant/orders/A-1").await.ok()["purchase_id"].as_str().unwrap().to_owned();
    town.close_today().await;
    let path = format!("/merchant/purchases/{purchase_id}/refunds");
    let (keys, body) = ((0..6).map(|number| format!("r-{number}")), json!({ "amount_fen": 50_000 }));
    let answers = futures_util::future::join_all(keys.map(|key| {
        let (desk, path, body) = (&desk, &path, &body);
        async move { desk.post(path, &key, body).await }
    }));
    let mut answers: Vec<u16> = answers.await.iter().map(|answer| answer.status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [201, 201, 422, 422, 422, 422]);
    let refunded = async || desk.get(&format!("/merchant/purchases/{purchase_id}")).await.ok()["refunded_fen"].clone();
    assert_eq!(refunded().await, 100_000);

    // Another system of the same merchant numbers its refunds as the first one does.
    desk::add_partner(&town.app, "wang-office", PartnerKind::Merchant, Some(town.merchant_id.to_string())).await;
    let office = desk.with(desk::add_key(&town.app, "wang-office", "O-1", Algorithm::Sm2Sm3).await);
    let body = json!({ "amount_fen": 10_000 });
    let first = desk.post(&path, "1", &body).await.ok();
    let second = office.post(&path, "1", &body).await.ok();
    assert_ne!(first["refund_id"], second["refund_id"], "the customer is to have both");
    assert_eq!(office.post(&path, "2", &json!({ "amount_fen": 1_000 })).await.status, 201);
    assert_eq!(refunded().await, 121_000);
    assert_eq!(desk.post(&path, "wang-office/2", &json!({ "amount_fen": 1_000 })).await.status, 201);
    assert_eq!(refunded().await, 122_000, "whatever a key looks like, it is its own system's");
    assert_eq!(desk.post(&path, "2026/3", &json!({ "amount_fen": 2_000 })).await.status, 201);
    // A key from before a system had keys of its own, and after its answer was forgotten.
    for before in [
        "delete from api_answer",
        "update refund set idempotency_key = split_part(idempotency_key, '/', 2) where amount_fen = 1000",
        "update refund set idempotency_key = '2026/3' where amount_fen = 2000",
    ] {
        sqlx::query(before).execute(&town.app.pool).await.unwrap();
    }
    assert_eq!(office.post(&path, "1", &body).await.ok(), second);
    assert_eq!(office.post(&path, "2", &json!({ "amount_fen": 1_000 })).await.status, 201);
    assert_eq!(desk.post(&path, "2026/3", &json!({ "amount_fen": 2_000 })).await.status, 201);
    assert_eq!(refunded().await, 124_000, "for ever");
    town.assert_whole("after refunds").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_is_voided_on_its_day_and_an_order_closed_before_it_is_paid(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    let purchase_id = desk.get("/merchant/orders/A-1").await.ok()["purchase_id"].as_str().unwrap().to_owned();
    let void = format!("/merchant/purchases/{purchase_id}/void");
    let in_part = desk.post(&void, "v-1", &json!({ "amount_fen": 1 })).await;
    assert_eq!(in_part.problem(), (400, "body_not_taken".into()), "the whole is voided, or nothing");
    let purchase = desk.get(&format!("/merchant/purchases/{purchase_id}")).await.ok();
    assert_eq!((&purchase["status"], &purchase["discount_fee_fen"]), (&json!("authorised"), &json!(773)));
    let voided = desk.post(&void, "v-1", &Value::Null).await.ok();
    assert_eq!((&voided["status"], &voided["amount_fen"]), (&json!("voided"), &json!(128_800)));
    assert_eq!((&voided["discount_fee_fen"], &voided["subsidy_fen"]), (&json!(0), &json!(0)), "nothing is cleared");
    assert_eq!(desk.post(&void, "v-2", &Value::Null).await.ok()["status"], "voided", "again changes nothing");
    assert_eq!(desk.get("/merchant/orders/A-1").await.ok()["status"], "voided");
    desk.post("/merchant/orders", "o-2", &order("A-2", 5_000)).await.ok();
    let closed = desk.post("/merchant/orders/A-2/closure", "c-2", &Value::Null).await.ok();
    assert_eq!(closed["status"], "closed");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_query_is_not_passed_over_where_none_is_taken(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    let purchase_id = desk.get("/merchant/orders/A-1").await.ok()["purchase_id"].as_str().unwrap().to_owned();
    let path = format!("/merchant/purchases/{purchase_id}");
    let in_part = desk.post(&format!("{path}/void?amount_fen=100"), "v-1", &Value::Null).await;
    assert_eq!(in_part.problem(), (400, "unknown_parameter".into()));
    assert_eq!(in_part.json()["errors"][0]["pointer"], "amount_fen");
    assert_ne!(desk.get(&path).await.ok()["status"], "voided", "the whole is not voided for a part");
    let tried = desk.post("/merchant/orders?dry_run=true", "o-2", &order("A-2", 100)).await;
    assert_eq!(tried.problem(), (400, "unknown_parameter".into()));
    assert_eq!(desk.get("/merchant/orders/A-2").await.problem(), (404, "not_found".into()));
    assert_eq!(desk.post(&format!("{path}/void"), "v-1", &Value::Null).await.ok()["status"], "voided");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_anothers_does_not_exist(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    pay(&town, &made, "p-1").await;
    let purchase_id = desk.get("/merchant/orders/A-1").await.ok()["purchase_id"].as_str().unwrap().to_owned();
    town.close_today().await;
    let refunds = format!("/merchant/purchases/{purchase_id}/refunds");
    let refund_id =
        desk.post(&refunds, "r-1", &json!({ "amount_fen": 100 })).await.ok()["refund_id"].as_str().unwrap().to_owned();
    let settlement_id =
        desk.get("/merchant/settlements").await.ok()["items"][0]["settlement_id"].as_str().unwrap().to_owned();

    let other = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name,
                                       settlement_account_sealed, settlement_account_tail, status, discount_rate,
                                       discount_returned_on_refund, created_at)
                 select gen_random_uuid(), 'Other', 'X', category, 'Other', '', '0000', status, discount_rate, false, now()
                 from merchant returning merchant_id";
    let other: fenqi::base::id::MerchantId = sqlx::query_scalar(other).fetch_one(&town.app.pool).await.unwrap();
    desk::add_partner(&town.app, "other-cashier", PartnerKind::Merchant, Some(other.to_string())).await;
    let theirs = desk.with(desk::add_key(&town.app, "other-cashier", "O-1", Algorithm::Sm2Sm3).await);
    for path in [
        "/merchant/orders/A-1".to_owned(),
        format!("/merchant/purchases/{purchase_id}"),
        format!("/merchant/refunds/{refund_id}"),
        format!("/merchant/settlements/{settlement_id}"),
        format!("/merchant/settlements/{settlement_id}/statement"),
        "/merchant/purchases/pur_x".to_owned(),
    ] {
        let anothers = theirs.get(&path).await;
        assert_eq!(anothers.problem(), (404, "not_found".into()), "{path}");
        let nobodys = theirs.get("/merchant/orders/no-such").await;
        assert_eq!(anothers.without_its_own(), nobodys.without_its_own(), "{path}");
    }
    let closure = "/merchant/orders/A-1/closure".to_owned();
    let void = format!("/merchant/purchases/{purchase_id}/void");
    for (path, nobodys, body) in [
        (&closure, "/merchant/orders/A-2/closure".to_owned(), Value::Null),
        (&void, desk::absent(&void), Value::Null),
        (&refunds, desk::absent(&refunds), json!({ "amount_fen": 100 })),
    ] {
        let key = |whose: &str| format!("{whose}-{}", path.len());
        let anothers = theirs.post(path, &key("anothers"), &body).await;
        assert_eq!(anothers.problem(), (404, "not_found".into()), "{path}");
        let nobodys = theirs.post(&nobodys, &key("nobodys"), &body).await;
        assert_eq!(anothers.without_its_own(), nobodys.without_its_own(), "{path}");
    }
    assert_eq!(theirs.get("/merchant/orders").await.ok()["items"], json!([]));
    assert_eq!(theirs.get("/funder/loans").await.problem(), (403, "scope_missing".into()));
}
