//! Orders that are opened by hand on the merchant's pages: shown as a code, paid, closed, expired; bad input and double taps.

use fenqi::base::id::CodeId;
use fenqi::merchant::{self, Decision, Role};
use fenqi::purchase::PurchaseRequest;
use sqlx::PgPool;

use crate::house;
use crate::till::{CASHIER, Till, neighbour};

const STANDARD: (&str, u16) = ("harbour-standard", 12);

async fn open_order(till: &mut Till, amount: &str) -> String {
    let form = till.browser.get("/m/orders/new").await;
    let fields = [("amount", amount), ("description", "三人沙发"), ("waits", "30m")];
    let shown = till.browser.submit(&form, "/m/orders/new", &fields).await;
    shown
        .has_status(200)
        .shows("Let the customer scan")
        .shows("三人沙发")
        .shows("<svg")
        .shows("Can be paid until 2 March 2026");
    shown.shows("hx-trigger=\"every 2s\"").shows(&format!("href=\"{}\">Look again", shown.at));
    shown.at.clone()
}

/// Asks as htmx does for the part that updates itself.
async fn part(till: &Till, address: &str) -> (u16, String) {
    let cookies: Vec<String> = till.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let client = reqwest::Client::builder().timeout(house::PATIENCE).build().unwrap();
    let request = client.get(format!("{}{address}", till.browser.address)).header("hx-request", "true");
    let response = request.header("accept-language", "en").header("cookie", cookies.join("; ")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_cashier_opens_an_order_and_sees_it_paid(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sign_in(CASHIER, Role::Cashier).await;
    till.browser.get("/m/orders").await.shows("No order has been opened");
    let address = open_order(&mut till, "1,299.50").await;
    let seen_open = format!("{address}?seen=open");
    assert_eq!(part(&till, &seen_open).await, (204, String::new()), "nothing changes while nobody pays");
    let code_id: CodeId = address.rsplit('/').next().unwrap().parse().unwrap();
    let wish = PurchaseRequest { order_code: Some(code_id), ..till.town.wish(till.lines[0], "O-1", 129_950, STANDARD) };
    let receipt = till.town.buy(vec![wish]).await.pop().unwrap();
    let (status, text) = part(&till, &seen_open).await;
    assert!(status == 200 && text.contains("Paid") && !text.contains("hx-get"), "{text}");
    till.browser.get(&address).await.shows(&format!("/m/purchases/{}", receipt.purchase_id)).hides("<svg class");
    till.browser.get("/m/orders").await.shows("¥1,299.50").shows("Paid").shows("三人沙发");
    // What stood on it is with the purchase from then on, wherever that is looked at.
    for path in ["/m/purchases", "/m/purchases?number=沙发", &format!("/m/purchases/{}", receipt.purchase_id)] {
        till.browser.get(path).await.has_status(200).shows("三人沙发").shows("¥1,299.50");
    }
    till.browser.get("/m/purchases?number=木床").await.is_at("/m/purchases").hides("三人沙发");
    till.browser.get("/m/purchases/table").await.shows("三人沙发");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_expires_by_itself_and_can_be_closed(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let address = open_order(&mut till, "10").await;
    let shown = till.browser.get(&address).await;
    let closed = till.browser.submit(&shown, &format!("{address}/close"), &[]).await;
    closed.is_at(&address).shows("The order is closed").shows("Nothing was paid");
    // The page from before is stale; closing again changes nothing.
    till.browser.submit(&shown, &format!("{address}/close"), &[]).await.is_at(&address);
    let other = open_order(&mut till, "10").await;
    till.town.app.clock.set(till.town.app.clock.now() + chrono::TimeDelta::minutes(30));
    assert!(part(&till, &other).await.1.contains("Nobody paid in time"));
    till.browser.get("/m/orders").await.shows("Expired").shows("Closed");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_was_paid_in_the_last_instant_is_not_left_expired_before_the_cashier(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let address = open_order(&mut till, "100").await;
    let code_id: CodeId = address.rsplit('/').next().unwrap().parse().unwrap();
    let ends_at = till.town.app.clock.now() + chrono::TimeDelta::minutes(30);
    till.town.app.clock.set(ends_at);
    let (status, text) = part(&till, &format!("{address}?seen=open")).await;
    let asks = format!("hx-get=\"{address}\" hx-vals='{{\"seen\":\"expired\"}}'");
    assert!(status == 200 && text.contains("Nobody paid in time") && text.contains(&asks), "{text}");
    let seen = format!("{address}?seen=expired");
    assert_eq!(part(&till, &seen).await, (204, String::new()));
    // It was decided on before the end, and is written only now.
    till.town.app.clock.set(ends_at - chrono::TimeDelta::milliseconds(1));
    let wish = PurchaseRequest { order_code: Some(code_id), ..till.town.wish(till.lines[0], "O-1", 10_000, STANDARD) };
    till.town.buy(vec![wish]).await;
    till.town.app.clock.set(ends_at);
    let (status, text) = part(&till, &seen).await;
    assert!(status == 200 && text.contains("The customer has paid") && !text.contains("hx-get"), "{text}");
    // Whoever was not paid by then is not asked about for ever.
    let other = open_order(&mut till, "100").await;
    till.town.app.clock.set(ends_at + chrono::TimeDelta::minutes(35));
    let (status, text) = part(&till, &format!("{other}?seen=expired")).await;
    assert!(status == 200 && text.contains("Nobody paid in time") && !text.contains("hx-get"), "{text}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn bad_input_is_refused_beside_its_field_and_kept(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let form = till.browser.get("/m/orders/new").await;
    form.shows("One purchase: ¥10.00 to ¥50,000.00");
    let long = "长".repeat(10_000);
    let cases = [
        ("amount", "", "Please fill this in"),
        ("amount", "0", "more than 0"),
        ("amount", "0.001", "at most two decimals"),
        ("amount", "1e9", "digits and a point only"),
        ("amount", "abc", "digits and a point only"),
        ("amount", "💰", "digits and a point only"),
        ("amount", "99999999999", "too large"),
        ("amount", "9.99", "No plan is for this amount"),
        ("amount", "50000.01", "No plan is for this amount"),
        ("description", long.as_str(), "At most 40 characters"),
        ("waits", "forever", "Choose how long"),
    ];
    for (field, typed, said) in cases {
        let fields = [("amount", "10"), ("description", "三人沙发"), ("waits", "30m")]
            .map(|(name, value)| (name, if name == field { typed } else { value }));
        let refused = till.browser.submit(&form, "/m/orders/new", &fields).await;
        refused.has_status(422).shows(said).shows(&format!("id=\"{field}-error\""));
        if field != "description" {
            refused.shows("三人沙发");
        }
    }
    assert_eq!(till.town.fen("select count(*) from merchant_code where kind = 'order'").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_shop_for_which_nothing_is_on_sale_is_told_so_before_anybody_types(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let nothing = "No installment plan is on sale for this shop";
    let form = till.browser.get("/m/orders/new").await;
    form.shows("One purchase: ").hides(nothing);
    for code in ["harbour-standard", "harbour-free", "harbour-shared-fee"] {
        fenqi::product::withdraw(&till.town.app, code, 1).await.unwrap();
    }
    till.browser.get("/m/orders/new").await.shows(nothing).hides("One purchase: ");
    let fields = [("amount", "10"), ("description", ""), ("waits", "30m")];
    let refused = till.browser.submit(&form, "/m/orders/new", &fields).await;
    refused.has_status(422).shows(nothing).shows("No plan is for this amount");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_form_sent_twice_is_one_order_and_another_order_is_opened_only_when_it_is_asked_for_again(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let form = till.browser.get("/m/orders/new").await;
    let fields = |amount| [("amount", amount), ("description", ""), ("waits", "5m")];
    let first = till.browser.submit(&form, "/m/orders/new", &fields("10")).await;
    let second = till.browser.submit(&form, "/m/orders/new", &fields("10")).await;
    assert_eq!(first.at, second.at);
    let refused = till.browser.submit(&form, "/m/orders/new", &fields("11")).await;
    refused.has_status(422).shows("has opened an order already").shows("value=\"11\"");
    let orders = "select count(*) from merchant_code where kind = 'order'";
    assert_eq!(till.town.fen(orders).await, 1);
    let third = till.browser.submit(&refused, "/m/orders/new", &fields("11")).await;
    third.has_status(200).shows("¥11.00").hides("¥10.00");
    assert_eq!((third.at == first.at, till.town.fen(orders).await), (false, 2));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_is_its_merchants_own_and_a_suspended_merchant_opens_none(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let address = open_order(&mut till, "10").await;
    let mut other = neighbour(&till.town, &till.browser.address).await;
    other.get(&address).await.has_status(404);
    let csrf = other.get("/m/more").await.field("csrf");
    other.post(&format!("{address}/close"), format!("csrf={csrf}")).await.has_status(404);
    till.browser.get(&address).await.shows("Let the customer scan");
    let form = till.browser.get("/m/orders/new").await;
    let suspend = merchant::actions::Judgement {
        merchant_id: till.town.merchant_id,
        decision: Decision::Suspend,
        decided_by: "operator:li".into(),
        reason: "complaints".into(),
    };
    let _ = merchant::decide(&till.town.app, &suspend).await.unwrap();
    let fields = [("amount", "10"), ("description", ""), ("waits", "5m")];
    till.browser.submit(&form, "/m/orders/new", &fields).await.has_status(422).shows("cannot take payments");
    // Nobody is led to what cannot be done now, and whoever comes is told before typing.
    for path in ["/m", "/m/orders"] {
        till.browser.get(path).await.shows("does not take payments at present").hides("href=\"/m/orders/new\"");
    }
    till.browser.get("/m/more").await.is_at("/m/more").hides("href=\"/m/poster\"");
    for path in ["/m/orders/new", address.as_str()] {
        till.browser.get(path).await.has_status(200).shows("does not take payments at present");
    }
}
