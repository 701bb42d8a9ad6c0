//! A merchant's cashier over the API: orders, purchases, refunds, settlements; first answers again; bad input of every kind.

use fenqi::access::PartnerKind;
use fenqi::base::id::CodeId;
use fenqi::partner::key::Algorithm;
use fenqi::purchase::authoriser::decide_one;
use fenqi::purchase::{Decision, PurchaseRefusal, PurchaseRequest};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::desk::{self, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2027-12-31" };

async fn open(pool: PgPool) -> (Town, Desk) {
    open_on(pool, "2026-01-05").await
}

async fn open_on(pool: PgPool, day: &str) -> (Town, Desk) {
    let (app, _) = house::open_in_world(pool, day).await;
    let town = town::found(app, 10_000_000).await;
    let owner = Some(town.merchant_id.to_string());
    desk::add_partner(&town.app, "wang-cashier", PartnerKind::Merchant, owner).await;
    let identity = desk::add_key(&town.app, "wang-cashier", "W-1", Algorithm::RsaSha256).await;
    let address = desk::serve(&town.app).await;
    let desk = Desk::new(&town.app, &address, identity).await;
    (town, desk)
}

fn order(reference: &str, fen: i64) -> Value {
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
                                      business_day, created_at)
                select gen_random_uuid(), line_id, 'more-' || number, request_sha256, merchant_id, product_id,
                       product_version, periods, amount_fen, status, loan_id, discount_fee_fen, business_day, created_at
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
async fn an_order_that_is_closed_while_it_is_paid_is_one_or_the_other(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let lines = town.open_lines(8, WISH).await;
    for (number, line_id) in lines.into_iter().enumerate() {
        let reference = format!("A-{number}");
        let made = desk.post("/merchant/orders", &format!("o-{number}"), &order(&reference, 128_800)).await.ok();
        let wish = town.wish(line_id, &format!("p-{number}"), 128_800, ("harbour-standard", 12));
        let order_code = Some(made["order_id"].as_str().unwrap().parse().unwrap());
        let wish = PurchaseRequest { order_code, ..wish };
        let (path, key) = (format!("/merchant/orders/{reference}/closure"), format!("c-{number}"));
        let (bought, closed) = tokio::join!(decide_one(&town.app, wish), desk.post(&path, &key, &Value::Null));
        let stands = desk.get(&format!("/merchant/orders/{reference}")).await.ok();
        match bought.unwrap().decision {
            Decision::Authorised { .. } => {
                assert_eq!(closed.problem(), (409, "order_paid".into()));
                assert_eq!(stands["status"], "paid");
            }
            Decision::Refused(refusal) => {
                assert_eq!(refusal, PurchaseRefusal::OrderNotPayable);
                assert_eq!((&closed.ok()["status"], &stands["status"]), (&json!("closed"), &json!("closed")));
            }
        }
    }
    town.assert_whole("after closures").await;
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
    // A key from before a system had keys of its own, and after its answer was forgotten.
    for before in [
        "delete from api_answer",
        "update refund set idempotency_key = split_part(idempotency_key, '/', 2) where amount_fen = 1000",
    ] {
        sqlx::query(before).execute(&town.app.pool).await.unwrap();
    }
    assert_eq!(office.post(&path, "1", &body).await.ok(), second);
    assert_eq!(office.post(&path, "2", &json!({ "amount_fen": 1_000 })).await.status, 201);
    assert_eq!(refunded().await, 121_000, "for ever");
    town.assert_whole("after refunds").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_nobody_paid_in_time_is_expired_and_may_be_closed(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    town.app.clock.set("2026-01-05T12:00:00Z".parse().unwrap());
    let expired = desk.get("/merchant/orders/A-1").await.ok();
    assert_eq!((&expired["status"], &expired["purchase_id"]), (&json!("expired"), &Value::Null));
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = town.wish(line_id, "p-1", 128_800, ("harbour-standard", 12));
    let order_code = Some(made["order_id"].as_str().unwrap().parse().unwrap());
    let bought = decide_one(&town.app, PurchaseRequest { order_code, ..wish }).await.unwrap();
    assert_eq!(bought.decision, Decision::Refused(PurchaseRefusal::OrderNotPayable));
    assert_eq!(desk.post("/merchant/orders/A-1/closure", "c-1", &Value::Null).await.ok()["status"], "closed");
    assert_eq!(desk.post("/merchant/orders/A-1/closure", "c-2", &Value::Null).await.ok()["status"], "closed", "again");
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
    assert_eq!(desk.get(&format!("/merchant/purchases/{purchase_id}")).await.ok()["status"], "authorised");
    assert_eq!(desk.post(&void, "v-1", &Value::Null).await.ok()["status"], "voided");
    assert_eq!(desk.post(&void, "v-2", &Value::Null).await.ok()["status"], "voided", "again changes nothing");
    assert_eq!(desk.get("/merchant/orders/A-1").await.ok()["status"], "voided");
    desk.post("/merchant/orders", "o-2", &order("A-2", 5_000)).await.ok();
    let closed = desk.post("/merchant/orders/A-2/closure", "c-2", &Value::Null).await.ok();
    assert_eq!(closed["status"], "closed");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_key_has_one_outcome(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let first = desk.post("/merchant/orders", "o-1", &order("A-1", 10_000)).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    let again = desk.post("/merchant/orders", "o-1", &order("A-1", 10_000)).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.bytes, first.bytes);
    let other = desk.post("/merchant/orders", "o-1", &order("A-1", 10_100)).await;
    assert_eq!(other.problem(), (409, "idempotency_key_reused".into()));
    let elsewhere = desk.post("/merchant/orders/A-1/closure", "o-1", &Value::Null).await;
    assert_eq!(elsewhere.problem(), (409, "idempotency_key_reused".into()));
    let without = desk.send("POST", "/merchant/orders", None, &order("A-9", 1).to_string()).await;
    assert_eq!(without.problem(), (400, "idempotency_key_missing".into()));
    let two = [("idempotency-key", "o-1"), ("idempotency-key", "o-2")];
    let under_two = desk.send_with("POST", "/merchant/orders", &two, &order("A-1", 100).to_string()).await;
    assert_eq!(under_two.problem(), (400, "idempotency_key_malformed".into()));
    let refused = desk.post("/merchant/orders", "o-3", &order("A-1", 999)).await;
    assert_eq!(refused.problem(), (409, "order_reference_taken".into()));
    let refused_again = desk.post("/merchant/orders", "o-3", &order("A-1", 999)).await;
    assert_eq!(refused_again.header("idempotent-replayed"), "true", "a refusal is an answer too");
    assert_eq!(refused_again.bytes, refused.bytes);

    let running = "insert into api_answer (partner_id, idempotency_key, request_sha256, started_at)
                   select partner_id, 'o-4', request_sha256, now() from api_answer where idempotency_key = 'o-1'";
    sqlx::query(running).execute(&town.app.pool).await.unwrap();
    let body = order("A-1", 10_000);
    let running = desk.post("/merchant/orders", "o-4", &body).await;
    assert_eq!(running.problem(), (409, "idempotency_in_progress".into()));
    assert_eq!(running.header("retry-after"), "1");
    let abandoned = "update api_answer set started_at = now() - interval '1 hour' where idempotency_key = 'o-4'";
    sqlx::query(abandoned).execute(&town.app.pool).await.unwrap();
    assert_eq!(desk.post("/merchant/orders", "o-4", &body).await.status, 201, "its node died; it is taken over");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_same_order_at_once_is_one_order(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let body = order("A-1", 10_000);
    let asked = (0..20).map(|_| desk.post("/merchant/orders", "o-1", &body));
    let answers = futures_util::future::join_all(asked).await;
    for answer in &answers {
        assert!(answer.status == 201 || answer.problem().1 == "idempotency_in_progress", "{answer:?}");
    }
    assert_eq!(town.fen("select count(*) from merchant_code").await, 1);
    // Different ones at once: each is answered for itself, whatever becomes of those beside it.
    let mut bodies: Vec<Value> = (0..12).map(|number| order(&format!("B-{number}"), 10_000 + number)).collect();
    let odd = [("C-1", 500), ("C-2", 20_000), ("C-2", 20_000), ("A-1", 10_100), ("C-3", 30_000), ("C-3", 30_100)];
    bodies.extend(odd.map(|(reference, fen)| order(reference, fen)));
    let desk = &desk;
    let asked = bodies.iter().enumerate().map(|(number, body)| async move {
        let answer = desk.post("/merchant/orders", &format!("m-{number}"), body).await;
        (body["reference"].as_str().unwrap(), body["amount_fen"].clone(), answer)
    });
    let answers = futures_util::future::join_all(asked).await;
    let of = |wanted: &str| answers.iter().filter(|(reference, ..)| *reference == wanted).collect::<Vec<_>>();
    for (reference, fen, answer) in answers.iter().filter(|(_, _, answer)| answer.status == 201) {
        let made = answer.ok();
        assert_eq!((made["reference"].as_str(), &made["amount_fen"]), (Some(*reference), fen));
    }
    assert!((0..12).all(|number| of(&format!("B-{number}"))[0].2.status == 201));
    assert_eq!(of("C-1")[0].2.problem(), (422, "amount_not_sold".into()));
    assert_eq!(of("C-2")[0].2.ok(), of("C-2")[1].2.ok(), "two the same are one order");
    let taken = (409, "order_reference_taken".to_owned());
    assert_eq!(of("A-1")[0].2.problem(), taken);
    let made = of("C-3").into_iter().filter(|(.., answer)| answer.status == 201 || answer.problem() != taken);
    assert_eq!(made.count(), 1, "of two with one reference one is made");
    assert_eq!(town.fen("select count(*) from merchant_code").await, 1 + 12 + 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_no_plan_is_for_is_refused_and_one_that_was_opened_before_is_not(pool: PgPool) {
    let (town, desk) = open(pool).await;
    for (number, fen) in [1, 500, 6_000_000].into_iter().enumerate() {
        let refused = desk.post("/merchant/orders", &format!("o-{number}"), &order("A-1", fen)).await;
        assert_eq!(refused.problem(), (422, "amount_not_sold".into()), "{fen}");
    }
    let large = desk.post("/merchant/orders", "o-9", &order("A-1", 1_000_000_000_000)).await;
    assert_eq!(large.problem(), (422, "amount_out_of_bounds".into()));
    assert_eq!(town.fen("select count(*) from merchant_code").await, 0);
    let made = desk.post("/merchant/orders", "o-10", &order("A-1", 10_000)).await.ok();
    for product in ["harbour-standard", "harbour-free", "harbour-shared-fee"] {
        fenqi::product::withdraw(&town.app, product, 1).await.unwrap();
    }
    let again = desk.post("/merchant/orders", "o-11", &order("A-1", 10_000)).await;
    assert_eq!((again.status, again.ok()), (201, made));
    let late = desk.post("/merchant/orders", "o-12", &order("A-2", 10_000)).await;
    assert_eq!(late.problem(), (422, "amount_not_sold".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn orders_come_in_pages(pool: PgPool) {
    let (_, desk) = open(pool).await;
    for number in 0..5 {
        desk.post("/merchant/orders", &format!("o-{number}"), &order(&format!("A-{number}"), 10_000)).await.ok();
    }
    let (mut seen, mut path) = (Vec::new(), "/merchant/orders?limit=2".to_owned());
    loop {
        let page = desk.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|order| order["reference"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/merchant/orders?limit=2&cursor={cursor}");
    }
    // Within one millisecond there is no order.
    seen.sort();
    assert_eq!(seen, ["A-0", "A-1", "A-2", "A-3", "A-4"]);
    for (query, status, code) in [
        ("limit=0", 400, "parameter_malformed"),
        ("limit=x", 400, "parameter_malformed"),
        ("cursor=zzz", 400, "cursor_malformed"),
        ("page=2", 400, "unknown_parameter"),
        ("limit=1&limit=2", 400, "duplicate_parameter"),
        ("cursor=%00", 400, "parameter_malformed"),
    ] {
        let refused = desk.get(&format!("/merchant/orders?{query}")).await;
        assert_eq!(refused.problem(), (status, code.into()), "{query}");
    }
    assert_eq!(desk.get("/merchant/purchases").await.problem(), (400, "missing_parameter".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_kind_of_bad_input_has_its_code(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let with = |change: &str| order("A-1", 100).to_string().replacen("\"amount_fen\":100", change, 1);
    let deep = format!("{{\"reference\":{}1{}}}", "[".repeat(50), "]".repeat(50));
    let cases = [
        (with("\"amount_fen\":1.5"), 400, "fen_not_integer"),
        (with("\"amount_fen\":100.0"), 400, "fen_not_integer"),
        (with("\"amount_fen\":\"100\""), 400, "wrong_type"),
        (with("\"amount_fen\":-1"), 400, "number_out_of_range"),
        (with("\"amount_fen\":0"), 400, "number_out_of_range"),
        (with("\"amount_fen\":100000000000001"), 400, "number_out_of_range"),
        (with(&format!("\"amount_fen\":{}", "9".repeat(400))), 400, "number_out_of_range"),
        (with("\"amount_fen\":1e30"), 400, "number_out_of_range"),
        (with("\"amount_fen\":100,\"amount\":1"), 400, "unknown_field"),
        (with("\"amount_fen\":100,\"amount_fen\":100"), 400, "duplicate_key"),
        (with("\"amount\":null"), 400, "unknown_field"),
        (order("A-1", 100).to_string().replace("2026-01-05T20:00:00+08:00", "tomorrow"), 400, "value_not_allowed"),
        (order("A-1", 100).to_string().replace("20:00:00+08:00", "20:00:00"), 400, "value_not_allowed"),
        (order("A-1", 100).to_string().replace("2026-01-05T20", "2026-1-5T20"), 400, "value_not_allowed"),
        (
            order("A-1", 100).to_string().replace("2026-01-05T20:00:00+08:00", "2020-01-01T00:00:00Z"),
            422,
            "order_expiry_out_of_bounds",
        ),
        (order("A 1", 100).to_string(), 422, "order_reference_malformed"),
        (order("A\u{0}", 100).to_string(), 400, "value_not_allowed"),
        ("{\"reference\":\"A-1\"}".to_owned(), 400, "missing_field"),
        ("[]".to_owned(), 400, "wrong_type"),
        ("{".to_owned(), 400, "body_not_json"),
        (String::new(), 400, "body_not_json"),
        (deep, 400, "nested_too_deep"),
        ("x".repeat(300_000), 413, "body_too_large"),
        ("x".repeat(10 * 1024 * 1024), 413, "body_too_large"),
    ];
    for (number, (body, status, code)) in cases.into_iter().enumerate() {
        let stamp = fenqi::partner::signature::Stamp::fresh(fenqi::base::Clock::System.now());
        let key = format!("k-{number}");
        let headers = [("idempotency-key", key.as_str())];
        let refused = desk.send_stamped("POST", "/merchant/orders", &stamp, &headers, &body).await;
        assert_eq!(refused.problem(), (status, code.into()), "{}", refused.json());
    }
    town.app.partners.flush_log().await;
    let too_large = "select count(*) from partner_call where http_status = 413";
    assert_eq!(town.fen(too_large).await, 2, "what is too large is written down too");
    let stamp = fenqi::partner::signature::Stamp::fresh(fenqi::base::Clock::System.now());
    let path = "/api/v1/merchant/orders";
    let bytes = b"{\"reference\":\"\xff\"}".to_vec();
    let authorization = desk.identity.authorization("POST", path, &stamp, &bytes);
    let refused = desk.send_raw("POST", path, &authorization, &[("idempotency-key", "u-1")], bytes).await;
    assert_eq!(refused.problem(), (400, "body_not_utf8".into()));
    let body = order("A-1", 100).to_string();
    let stamp = fenqi::partner::signature::Stamp::fresh(fenqi::base::Clock::System.now());
    let authorization = desk.identity.authorization("POST", path, &stamp, body.as_bytes());
    let changed = order("A-1", 101).to_string().into_bytes();
    let refused = desk.send_raw("POST", path, &authorization, &[("idempotency-key", "b-1")], changed).await;
    assert_eq!(refused.problem(), (401, "signature_wrong".into()), "a changed body");
    let as_form = [("idempotency-key", "m-1"), ("content-type", "application/x-www-form-urlencoded")];
    let refused = desk.send_with("POST", "/merchant/orders", &as_form, &body).await;
    assert_eq!(refused.problem(), (415, "media_type_not_supported".into()));
    for (content_type, status) in [("application/json; charset=gbk", 415), ("Application/JSON;charset=\"UTF-8\"", 422)]
    {
        let headers = [("idempotency-key", if status == 415 { "m-2" } else { "m-3" }), ("content-type", content_type)];
        let refused = desk.send_with("POST", "/merchant/orders", &headers, &order("A 1", 100).to_string()).await;
        assert_eq!(refused.status, status, "{content_type}");
    }
    let deleted = desk.send("DELETE", "/merchant/orders", Some("d-1"), "").await;
    assert_eq!((deleted.status, deleted.header("allow")), (405, "GET, POST"));
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
