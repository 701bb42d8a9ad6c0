//! The API for a merchant's orders: each is made once, then paid, closed or expired; repeated requests and every kind of bad input.

use fenqi::access::answer_store::{KeptAnswer, keep_answers, release_key};
use fenqi::access::{FirstAnswer, Keyed};
use fenqi::base::Fen;
use fenqi::merchant::Order;
use fenqi::purchase::authoriser::decide_one;
use fenqi::purchase::{Decision, PurchaseRefusal, PurchaseRequest};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::api_merchant::{WISH, open, order};

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
async fn an_order_that_nobody_paid_in_time_is_expired_and_may_be_closed(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let made = desk.post("/merchant/orders", "o-1", &order("A-1", 128_800)).await.ok();
    town.app.clock.set("2026-01-05T12:00:00Z".parse().unwrap());
    let expired = desk.get("/merchant/orders/A-1").await.ok();
    assert_eq!((&expired["status"], &expired["purchase_id"]), (&json!("expired"), &Value::Null));
    let again = desk.post("/merchant/orders", "o-2", &order("A-1", 128_800)).await;
    assert_eq!((again.status, again.ok()), (201, expired), "who lost the first answer learns what became of it");
    for (key, late) in [("o-3", order("A-1", 128_900)), ("o-4", order("A-2", 128_800))] {
        let refused = desk.post("/merchant/orders", key, &late).await;
        assert_eq!(refused.problem(), (422, "order_expiry_out_of_bounds".into()));
    }
    let line_id = town.open_lines(1, WISH).await[0];
    let wish = town.wish(line_id, "p-1", 128_800, ("harbour-standard", 12));
    let order_code = Some(made["order_id"].as_str().unwrap().parse().unwrap());
    let bought = decide_one(&town.app, PurchaseRequest { order_code, ..wish }).await.unwrap();
    assert_eq!(bought.decision, Decision::Refused(PurchaseRefusal::OrderNotPayable));
    assert_eq!(desk.post("/merchant/orders/A-1/closure", "c-1", &Value::Null).await.ok()["status"], "closed");
    assert_eq!(desk.post("/merchant/orders/A-1/closure", "c-2", &Value::Null).await.ok()["status"], "closed", "again");
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
async fn an_order_and_its_answer_are_kept_together_or_not_at_all(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let never = "alter table api_answer add constraint never_answered check (status is null)";
    sqlx::query(never).execute(&town.app.pool).await.unwrap();
    let body = order("A-1", 10_000);
    let failed = desk.post("/merchant/orders", "o-1", &body).await;
    assert_eq!(failed.problem(), (500, "failed".into()));
    assert_eq!(town.fen("select count(*) from merchant_code").await, 0, "no order whose answer is not kept");
    let again = "alter table api_answer drop constraint never_answered";
    sqlx::query(again).execute(&town.app.pool).await.unwrap();
    let first = desk.post("/merchant/orders", "o-1", &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    assert_eq!(first.header("content-type"), "application/json");
    let again = desk.post("/merchant/orders", "o-1", &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.bytes), (201, "true", &first.bytes));
    assert_eq!(again.header("content-type"), "application/json");
    // The same order under another key is answered as it stands, and that answer is kept under that key.
    for replayed in ["", "true"] {
        let other = desk.post("/merchant/orders", "o-2", &body).await;
        assert_eq!((other.status, other.header("idempotent-replayed")), (201, replayed));
        assert_eq!(other.ok(), first.ok());
    }
    assert_eq!(town.fen("select count(*) from api_answer where status = 201").await, 2);
    assert_eq!(town.fen("select count(*) from merchant_code").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn under_a_key_that_another_request_has_by_now_nothing_is_kept_or_given_back(pool: PgPool) {
    let (town, desk) = open(pool).await;
    desk.post("/merchant/orders", "o-1", &order("A-1", 10_000)).await.ok();
    // Its request failed while the database still wrote, and the key was taken for another one, which runs.
    let taken =
        "update api_answer set status = null, content_type = null, body = null, request_sha256 = sha256('other')
         where idempotency_key = 'o-1' returning partner_id";
    let partner_id: Uuid = sqlx::query_scalar(taken).fetch_one(&town.app.pool).await.unwrap();
    let keyed = Keyed { partner_id, key: "o-1".to_owned(), request_sha256: [1; 32] };
    let answer = FirstAnswer { keyed: keyed.clone(), status: 201, body: b"{}".to_vec() };
    let (merchant_id, now) = (town.merchant_id, town.app.clock.now());
    let expires_at = now + chrono::TimeDelta::hours(1);
    let late = Order { merchant_id, reference: "A-2".to_owned(), amount: Fen::new(10_000), expires_at };
    town.app.order_desk.open_answered(late, now, |_| Some(answer)).await.unwrap();
    let mut connection = town.app.pool.acquire().await.unwrap();
    let kept = KeptAnswer { status: 201, content_type: None, location: None, etag: None, body: b"{}".to_vec() };
    keep_answers(&mut connection, &[(keyed.clone(), kept)]).await.unwrap();
    release_key(&mut connection, &keyed).await.unwrap();
    drop(connection);
    assert_eq!(town.fen("select count(*) from api_answer where idempotency_key = 'o-1' and status is null").await, 1);
    assert_eq!(town.fen("select count(*) from merchant_code").await, 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_nothing_stands_in_the_way_of_any_more_is_asked_for_again(pool: PgPool) {
    let (town, desk) = open(pool).await;
    // As if its merchant was suspended when it was to be written, and resumed before that was looked at.
    let written_by_none = "create function nothing() returns trigger language plpgsql as 'begin return null; end';
                           create trigger nothing before insert on merchant_code for each row execute function nothing()";
    sqlx::raw_sql(written_by_none).execute(&town.app.pool).await.unwrap();
    let failed = desk.post("/merchant/orders", "o-1", &order("A-1", 10_000)).await;
    assert_eq!(failed.problem(), (500, "failed".into()), "nobody has its reference");
    sqlx::raw_sql("drop trigger nothing on merchant_code").execute(&town.app.pool).await.unwrap();
    assert_eq!(desk.post("/merchant/orders", "o-1", &order("A-1", 10_000)).await.status, 201);
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
    let (town, desk) = open(pool).await;
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
        // What comes between two pages stands on a later one, and moves none that was read.
        town.app.clock.set(town.app.clock.now() + chrono::TimeDelta::seconds(1));
        let between = format!("B-{}", seen.len());
        if seen.len() <= 4 {
            desk.post("/merchant/orders", &between, &order(&between, 10_000)).await.ok();
        }
    }
    // Within one millisecond there is no order.
    seen.sort();
    assert_eq!(seen, ["A-0", "A-1", "A-2", "A-3", "A-4", "B-2", "B-4"]);
    for (query, status, code) in [
        ("limit=0", 400, "parameter_malformed"),
        ("limit=-1", 400, "parameter_malformed"),
        ("limit=201", 400, "parameter_malformed"),
        ("limit=1.0", 400, "parameter_malformed"),
        ("limit=", 400, "parameter_malformed"),
        ("limit=x", 400, "parameter_malformed"),
        ("cursor=zzz", 400, "cursor_malformed"),
        ("cursor=", 400, "cursor_malformed"),
        // That of a purchase.
        ("cursor=InB1cl8wMTk3ZjNjMmE0YjA3Y2MzOWIxYzJkM2U0ZjUwNjE3MiI", 400, "cursor_malformed"),
        ("page=2", 400, "unknown_parameter"),
        ("limit=1&limit=2", 400, "duplicate_parameter"),
        ("cursor=%00", 400, "parameter_malformed"),
    ] {
        let refused = desk.get(&format!("/merchant/orders?{query}")).await;
        assert_eq!(refused.problem(), (status, code.into()), "{query}");
    }
    assert_eq!(desk.get("/merchant/purchases").await.problem(), (400, "missing_parameter".into()));
    for day in ["2026-02-30", "9999-12-31", "2026-1-5", "2026-01-05T00:00:00Z", "20260105", ""] {
        let refused = desk.get(&format!("/merchant/purchases?business_day={day}")).await;
        assert_eq!(refused.problem(), (400, "parameter_malformed".into()), "{day:?}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_kind_of_bad_input_has_its_code(pool: PgPool) {
    let (town, desk) = open(pool).await;
    let with = |change: &str| order("A-1", 100).to_string().replacen("\"amount_fen\":100", change, 1);
    let deep = format!("{{\"reference\":{}1{}}}", "[".repeat(50), "]".repeat(50));
    let cases = [
        (with("\"amount_fen\":1.5"), 400, "fen_not_integer"),
        (with("\"amount_fen\":1e3"), 400, "fen_not_integer"),
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
