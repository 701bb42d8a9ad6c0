//! Live receipts appear as payments happen, from any node and each once, also after the page was disconnected; they end with the
//! session.

use fenqi::base::id::PurchaseId;
use fenqi::merchant::Role;
use fenqi::merchant::staff_actions::{self, StaffChange};
use fenqi::purchase::LiveReceipts;
use fenqi::router::router_with;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::browser::Browser;
use crate::counter::hire;
use crate::house;
use crate::shopper::sign_in_as;
use crate::till::{CASHIER, Till, neighbour};
use crate::town::Town;

const STANDARD: (&str, u16) = ("harbour-standard", 12);

/// A page's connection, event by event.
struct Stream {
    response: reqwest::Response,
    text: String,
    /// The number of the last event that had one.
    last_id: String,
}

impl Stream {
    async fn open(browser: &Browser, query: &str, last_id: Option<&str>) -> Stream {
        let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let client = reqwest::Client::builder().connect_timeout(house::PATIENCE).build().unwrap();
        let mut request = client.get(format!("{}/m/receipts/events{query}", browser.address));
        request = request.header("accept-language", "en").header("cookie", cookies.join("; "));
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let response = request.send().await.unwrap();
        Stream { response, text: String::new(), last_id: last_id.unwrap_or_default().to_owned() }
    }

    /// The next event with its data, other than a sign of life; `None` at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
                };
                if let Some(id) = field("id") {
                    self.last_id = id;
                }
                if let Some(name) = field("event").filter(|name| name != "alive") {
                    return Some((name, field("data").unwrap_or_default()));
                }
            }
            let chunk = tokio::time::timeout(house::PATIENCE, self.response.chunk())
                .await
                .expect("an event in time")
                .unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The rows that are told next.
    async fn rows(&mut self) -> Value {
        let (name, data) = self.next().await.expect("an event");
        assert_eq!(name, "receipts", "{data}");
        serde_json::from_str(&data).unwrap()
    }

    /// Waits for the row of a purchase; what is told twice is passed over, as a page does. Returns the event.
    async fn row_of(&mut self, key: &str) -> Value {
        loop {
            let told = self.rows().await;
            if told["rows"].as_array().unwrap().iter().any(|row| row["key"] == key) {
                return told;
            }
        }
    }
}

fn after(text: &str) -> String {
    let query = text.split("data-events=\"/m/receipts/events").nth(1).unwrap();
    query.split('"').next().unwrap().to_owned()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_day_is_listed_with_its_sums_voids_and_refunds(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let empty = till.browser.get("/m/receipts").await;
    // Also for a tablet that is too old to be told anything by itself.
    empty.shows("Nothing has come in today yet").shows("¥0.00").shows("href=\"/m/receipts\">Look again");
    let yesterday = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    till.browser.get("/m/receipts").await.shows("¥0.00").hides("¥1,200.00");
    let first = till.sell(50_000, STANDARD).await;
    let second = till.sell(8_050, ("harbour-free", 3)).await;
    till.town.void(&second).await;
    till.town.refund(&yesterday, 20_000, "R-1").await;
    let page = till.browser.get("/m/receipts").await;
    page.shows("¥580.50").shows("2 payments").shows("+¥500.00").shows("over 3 months").shows("Payment voided");
    // 80.50 voided and 200.00 refunded.
    page.shows("−¥200.00").shows("¥280.50").shows(&format!("href=\"/m/purchases/{}\"", first.purchase_id));
    page.shows("<noscript><meta http-equiv=\"refresh\"");
    till.browser.get("/m").await.shows("¥580.50").shows("2 payments");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_another_node_authorises_is_told_to_every_open_page(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/receipts").await;
    let mut streams = [
        Stream::open(&till.browser, &after(&page.text), None).await,
        Stream::open(&till.browser, &after(&page.text), None).await,
    ];
    assert_eq!(streams[0].response.headers()["content-type"], "text/event-stream");
    // Each sale has an authoriser of its own, as on another node.
    let receipt = till.sell(50_000, STANDARD).await;
    for stream in &mut streams {
        let told = stream.row_of(&receipt.purchase_id.to_string()).await;
        assert_eq!((&told["amount"], &told["count"]), (&json!("¥500.00"), &json!("1 payment")));
        assert_eq!(told["rows"][0]["said"], "Received ¥500.00");
        let html = told["rows"][0]["html"].as_str().unwrap();
        assert!(html.contains("+¥500.00") && html.contains("over 12 months"), "{html}");
    }
    till.town.void(&receipt).await;
    let told = streams[0].rows().await;
    assert_eq!((&told["undone"], &told["rows"][0]["paid"]), (&json!("¥500.00"), &json!(false)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_that_was_away_is_told_what_it_missed(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    let first = till.sell(50_000, STANDARD).await;
    stream.row_of(&first.purchase_id.to_string()).await;
    let last_id = stream.last_id.clone();
    drop(stream);
    let missed = till.sell(60_000, STANDARD).await;
    // Back at another node, which knows nothing of the first connection.
    let address = house::serve(fenqi::router::router(till.town.app.clone())).await;
    let mut browser = Browser::at(&address);
    browser.cookies.clone_from(&till.browser.cookies);
    let mut stream = Stream::open(&browser, &after(&page.text), Some(&last_id)).await;
    let told = stream.row_of(&missed.purchase_id.to_string()).await;
    assert_eq!(told["amount"], "¥1,100.00");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_new_day_starts_empty_also_where_the_page_stayed_open(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    let yesterday = till.sell(50_000, STANDARD).await.purchase_id.to_string();
    assert_eq!(stream.row_of(&yesterday).await["day"], "2026-03-02");
    till.live_until("2026-03-03").await;
    let told = loop {
        let told = stream.rows().await;
        if told["day"] != "2026-03-02" {
            break told;
        }
    };
    assert_eq!((&told["day"], &told["rows"]), (&json!("2026-03-03"), &json!([])));
    assert_eq!((&told["amount"], &told["count"]), (&json!("¥0.00"), &json!("0 payments")));
    let today = till.sell(8_050, STANDARD).await.purchase_id.to_string();
    let told = stream.row_of(&today).await;
    assert_eq!((&told["amount"], &told["count"]), (&json!("¥80.50"), &json!("1 payment")));
    // Who slept meanwhile begins anew, and is not told of yesterday.
    let mut asleep = Stream::open(&till.browser, &after(&page.text), Some("0")).await;
    assert_eq!(asleep.next().await.unwrap().0, "behind");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_notice_that_is_committed_behind_a_later_one_is_told_all_the_same(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    let insert = "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                  values ('merchant', $1, 'payment_received', $2, '2026-03-02', $3)";
    let body = json!({ "amount_fen": 12_345, "count": 21, "purchases": [] });
    let mut slow = fenqi::database::begin(&till.town.app.pool).await.unwrap();
    let row = sqlx::query(insert).bind(till.town.merchant_id).bind(&body).bind(till.town.app.clock.now());
    row.execute(&mut *slow).await.unwrap();
    let quick = till.sell(50_000, STANDARD).await;
    stream.row_of(&quick.purchase_id.to_string()).await;
    slow.commit().await.unwrap();
    let told = stream.rows().await;
    let row = &told["rows"][0];
    assert!(row["html"].as_str().unwrap().contains("21 more payments"), "{row}");
    assert_eq!(told["count"], "22 payments");
    // Its number is the highest that was told, so that a page that comes back does not go backwards.
    let highest: i64 = till.town.fen("select max(notice_no) from notice").await;
    assert_eq!(stream.last_id, highest.to_string());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_open_page_ends_with_its_session_and_sees_no_other_shop(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let merchant_id = till.town.merchant_id;
    let cashier = hire(&till.town.app, merchant_id, CASHIER, Role::Cashier).await;
    let mut browser = Browser::at(&till.browser.address);
    sign_in_as(&mut browser, &till.town.app, "merchant", cashier.uuid()).await;
    let mut other = neighbour(&till.town, &till.browser.address).await;
    let page = other.get("/m/receipts").await;
    let mut elsewhere = Stream::open(&other, &after(&page.text), None).await;
    let mut stream = Stream::open(&browser, "?after=0", None).await;
    let change = StaffChange { merchant_id, staff_id: cashier, changed_by: "operator:li".into() };
    staff_actions::remove(&till.town.app, &change).await.unwrap();
    // Whatever comes in from now on, they are not told.
    till.sell(50_000, STANDARD).await;
    assert_eq!(stream.next().await.unwrap().0, "ended");
    assert_eq!(stream.next().await, None);
    let nobody = Browser::at(&till.browser.address);
    let mut stream = Stream::open(&nobody, "", None).await;
    assert_eq!(stream.next().await.unwrap().0, "ended");
    // The first that the neighbour's page is told of came in there.
    let neighbours = sqlx::query_scalar("select merchant_id from merchant where merchant_id <> $1").bind(merchant_id);
    let merchant_id = neighbours.fetch_one(&till.town.app.pool).await.unwrap();
    let next_door = Town { merchant_id, ..till.town.clone() };
    let bought = next_door.buy(vec![next_door.wish(till.lines[0], "next-door", 12_300, STANDARD)]).await;
    let told = elsewhere.rows().await;
    let keys: Vec<&str> = told["rows"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [bought[0].purchase_id.to_string()]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn open_pages_are_bounded_and_end_when_the_node_stops(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let live = LiveReceipts::new(till.town.app.clone());
    let address = house::serve(router_with(till.town.app.clone(), live.clone())).await;
    let mut browser = Browser::at(&address);
    browser.cookies.clone_from(&till.browser.cookies);
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(Stream::open(&browser, "", None).await);
    }
    let refused = Stream::open(&browser, "", None).await;
    assert_eq!(
        (refused.response.status().as_u16(), &refused.response.headers()["retry-after"]),
        (503, &"30".parse().unwrap())
    );
    // One closes, and there is room again.
    streams.pop();
    let receipt = till.sell(50_000, STANDARD).await;
    for stream in &mut streams {
        stream.row_of(&receipt.purchase_id.to_string()).await;
    }
    let is_let_in = async || Stream::open(&browser, "", None).await.response.status().is_success();
    house::until("the node hears that one has closed", is_let_in).await;
    live.close();
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_that_missed_too_much_is_loaded_anew(pool: PgPool) {
    let till = Till::open(pool, "2026-03-02").await;
    let insert = "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                  select 'merchant', $1, 'payment_received', jsonb_build_object('amount_fen', 1, 'count', 1, 'purchases',
                         jsonb_build_array($3)), '2026-03-02', $2
                  from generate_series(1, 300)";
    let nothing = PurchaseId::mint(till.town.app.clock.now()).to_string();
    let rows = sqlx::query(insert).bind(till.town.merchant_id).bind(till.town.app.clock.now()).bind(nothing);
    rows.execute(&till.town.app.pool).await.unwrap();
    let mut stream = Stream::open(&till.browser, "?after=0", None).await;
    assert_eq!(stream.next().await.unwrap().0, "behind");
}

/// Tells the shop on a day of payments that were decided together and are not named one by one.
async fn tell(till: &Till, day: &str, body: Value, times: i32) {
    let insert = "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                  select 'merchant', $1, 'payment_received', $2, $3::date, $4 from generate_series(1, $5)";
    let row = sqlx::query(insert).bind(till.town.merchant_id).bind(body).bind(day);
    row.bind(till.town.app.clock.now()).bind(times).execute(&till.town.app.pool).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_that_is_opened_before_the_first_payment_of_a_day_is_told_that_day_alone(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(50_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    let page = till.browser.get("/m/receipts").await;
    page.shows("Nothing has come in today yet");
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    let first = till.sell(8_050, STANDARD).await.purchase_id.to_string();
    let told = stream.rows().await;
    let keys: Vec<&Value> = told["rows"].as_array().unwrap().iter().map(|row| &row["key"]).collect();
    assert_eq!(keys, [&json!(first)]);
    assert_eq!((&told["amount"], &told["count"]), (&json!("¥80.50"), &json!("1 payment")));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_of_a_shop_with_a_long_past_is_not_loaded_anew_before_the_first_payment_of_a_day(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    tell(&till, "2026-03-02", json!({ "amount_fen": 1, "count": 1, "purchases": [] }), 300).await;
    till.live_until("2026-03-03").await;
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    tell(&till, "2026-03-03", json!({ "amount_fen": 12_345, "count": 21, "purchases": [] }), 1).await;
    assert_eq!(stream.rows().await["count"], "21 payments");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_last_seconds_of_a_day_brought_is_no_part_of_the_next(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(50_000, STANDARD).await;
    // The day ends within the seconds in which a notice may still appear late.
    sqlx::query("update business_day set today = '2026-03-03'").execute(&till.town.app.pool).await.unwrap();
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    tell(&till, "2026-03-03", json!({ "amount_fen": 12_345, "count": 21, "purchases": [] }), 1).await;
    let told = stream.rows().await;
    assert_eq!(told["rows"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!((&told["amount"], &told["count"]), (&json!("¥123.45"), &json!("21 payments")));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_whose_session_cannot_be_looked_at_is_not_signed_out_and_comes_back(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/receipts").await;
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    // The database fails for a while.
    sqlx::query("alter table session rename to session_away").execute(&till.town.app.pool).await.unwrap();
    let receipt = till.sell(50_000, STANDARD).await;
    assert_eq!(stream.next().await, None, "it ends without a word, and the browser opens it again");
    let failed = Stream::open(&till.browser, &after(&page.text), None).await;
    assert_eq!(failed.response.status().as_u16(), 500);
    sqlx::query("alter table session_away rename to session").execute(&till.town.app.pool).await.unwrap();
    let mut stream = Stream::open(&till.browser, &after(&page.text), None).await;
    stream.row_of(&receipt.purchase_id.to_string()).await;
}
