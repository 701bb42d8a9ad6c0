//! A merchant's pages of sales: search, paging, download and the single sale; messages and the printed code.

use fenqi::base::Fen;
use fenqi::merchant::code::token;
use fenqi::merchant::{self, Order, Role};
use fenqi::purchase::{Authoriser, Decision, PurchaseRequest};
use sqlx::PgPool;

use crate::browser::Browser;
use crate::till::{CASHIER, Till, neighbour, sign_in_at};
use crate::town::LineWish;

const STANDARD: (&str, u16) = ("harbour-standard", 12);

/// Sells an order of the shop, and returns the purchase's id.
async fn sell_order(till: &Till, reference: &str, fen: i64) -> String {
    let app = &till.town.app;
    let expires_at = app.clock.now() + chrono::TimeDelta::minutes(10);
    let merchant_id = till.town.merchant_id;
    let order = Order { merchant_id, reference: reference.into(), amount: Fen::new(fen), expires_at };
    let code = app.order_desk.open(order, app.clock.now()).await.unwrap();
    let wish = till.town.wish(till.lines[1], reference, fen, STANDARD);
    let wish = PurchaseRequest { order_code: Some(code.code_id), ..wish };
    let receipt = Authoriser::start(app.clone()).authorise(wish).await.unwrap();
    assert!(matches!(receipt.decision, Decision::Authorised { .. }), "{receipt:?}");
    receipt.purchase_id.to_string()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn purchases_are_found_by_day_amount_state_plan_and_number(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.browser.get("/m/purchases").await.has_status(200).shows("There are no such purchases");
    let first = till.sell(120_000, STANDARD).await;
    let second = till.sell(50_000, ("harbour-free", 3)).await;
    till.live_until("2026-03-04").await;
    let order = sell_order(&till, "A-20260304-7", 88_000).await;
    till.town.refund(&first, 20_000, "R-1").await;

    let all = till.browser.get("/m/purchases").await;
    all.shows("4 March 2026").shows("2 March 2026").shows("¥1,200.00").shows("¥880.00").shows("Partly refunded");
    all.shows("A-20260304-7").shows("12 payments").shows("Download as a table");
    let [one, two] = [&first, &second].map(|receipt| receipt.purchase_id.to_string());
    let searches = [
        ("amount=500", vec![&two], vec![&one, &order]),
        ("periods=12", vec![&one, &order], vec![&two]),
        ("state=part_refunded", vec![&one], vec![&two, &order]),
        ("state=sold&periods=3", vec![&two], vec![&one, &order]),
        ("from=2026-03-03&to=2026-03-04", vec![&order], vec![&one, &two]),
        ("number=A-2026", vec![&order], vec![&one, &two]),
        // A number is found whatever else is chosen.
        (&format!("number={one}&from=2026-03-04&to=2026-03-04&amount=1"), vec![&one], vec![&two, &order]),
        ("number=B-1", vec![], vec![&one, &two, &order]),
        ("amount=3.33", vec![], vec![&one, &two, &order]),
    ];
    for (query, shown, hidden) in searches {
        let page = till.browser.get(&format!("/m/purchases?{query}")).await;
        page.has_status(200);
        for id in shown {
            page.shows(&format!("href=\"/m/purchases/{id}\""));
        }
        for id in hidden {
            page.hides(&format!("href=\"/m/purchases/{id}\""));
        }
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_search_that_is_none_is_refused_beside_its_field_and_kept(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    let long = "7".repeat(10_000);
    let cases = [
        ("amount", "0", "more than 0"),
        ("amount", "0.001", "at most two decimals"),
        ("amount", "1e9", "digits and a point only"),
        ("amount", "abc", "digits and a point only"),
        ("amount", "%F0%9F%92%B0", "digits and a point only"),
        ("amount", &long, "too large"),
        ("from", "2026-02-30", "Choose a day"),
        ("from", "tomorrow", "Choose a day"),
        ("to", "%2B262142-12-31", "Choose a day"),
        ("from", "2024-01-01", "at most a year"),
        ("from", "2026-03-03", "must not be after"),
        ("state", "refused", "Choose one of the list"),
        ("periods", "-1", "Choose one of the list"),
        ("periods", &long, "Choose one of the list"),
    ];
    for (field, value, words) in cases {
        for path in ["/m/purchases", "/m/purchases/table"] {
            let page = till.browser.get(&format!("{path}?{field}={value}")).await;
            page.has_status(422).shows(words).shows(&format!("aria-describedby=\"{field}-error\""));
        }
    }
    for odd in [&long, "%F0%9F%92%B0", "%27%3B%20drop", "%25", "x%00y"] {
        till.browser.get(&format!("/m/purchases?number={odd}")).await.has_status(200).shows("no such purchases");
        till.browser.get(&format!("/m/purchases?after={odd}")).await.has_status(200).shows("¥1,200.00");
    }
}

/// Follows a list to its end, page by page; returns how many purchases it shows, each once, and on how many pages.
async fn follow(till: &mut Till, address: &str) -> (usize, usize) {
    let mut seen = std::collections::BTreeSet::new();
    let mut next = Some(address.to_owned());
    let mut pages = 0;
    while let Some(address) = next {
        let page = till.browser.get(&address).await;
        let ids = page.text.split("href=\"/m/purchases/pur_").skip(1).map(|rest| rest[..32].to_owned());
        for id in ids {
            assert!(seen.insert(id), "{address} shows a purchase again");
        }
        let links = page.text.split("href=\"/m/purchases?").skip(1).map(|rest| rest.split('"').next().unwrap());
        let older = links.filter(|query| query.contains("after=") && !query.contains("lang=")).last();
        next = older.map(|query| format!("/m/purchases?{}", query.replace("&#38;", "&").replace("&amp;", "&")));
        pages += 1;
    }
    (seen.len(), pages)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_long_list_is_read_page_by_page_each_purchase_once(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    for day in ["2026-03-03", "2026-03-04"] {
        let number = |index: usize| format!("{day}-{index}");
        let wishes = (0..60).map(|index| till.town.wish(till.lines[index % 3], &number(index), 10_000, STANDARD));
        till.town.buy(wishes.collect()).await;
        till.live_until(day).await;
    }
    assert_eq!(follow(&mut till, "/m/purchases").await, (120, 3));
    let table = till.browser.get("/m/purchases/table").await;
    assert_eq!(table.text.lines().count(), 1 + 120);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_beginning_of_a_number_finds_every_order_however_many_there_are(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let wish = LineWish { limit_fen: 10_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    // One day allows each of them 50.
    let lines = till.town.open_lines(5, wish).await;
    let mut wishes = Vec::new();
    for index in 0..205 {
        let (app, merchant_id, reference) = (&till.town.app, till.town.merchant_id, format!("B-{index:03}"));
        let expires_at = app.clock.now() + chrono::TimeDelta::minutes(10);
        let order = Order { merchant_id, reference: reference.clone(), amount: Fen::new(10_000), expires_at };
        let code = app.order_desk.open(order, app.clock.now()).await.unwrap();
        let wish = till.town.wish(lines[index % 5], &reference, 10_000, STANDARD);
        wishes.push(PurchaseRequest { order_code: Some(code.code_id), ..wish });
    }
    till.town.buy(wishes).await;
    sell_order(&till, "C-1", 5_000).await;
    assert_eq!(follow(&mut till, "/m/purchases?number=B-").await, (205, 5));
    let table = till.browser.get("/m/purchases/table?number=B-").await;
    assert_eq!(table.text.lines().count(), 1 + 205);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_table_opens_in_excel_and_runs_nothing(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    // A cashier's system may number its orders as it likes; a spreadsheet would count this one.
    sell_order(&till, "-2-3", 5_000).await;
    // Of one as long as most cashiers' it would keep fifteen digits.
    sell_order(&till, "20260302123456789012", 5_000).await;
    let table = till.browser.get("/m/purchases/table").await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(table.headers["content-disposition"], "attachment; filename=\"purchases-2026-01-31-2026-03-02.csv\"");
    let text = table.text.strip_prefix('\u{feff}').expect("Excel's mark");
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows[0].split(',').count(), 12);
    for order in ["'-2-3", "'20260302123456789012"] {
        assert!(rows.iter().any(|row| row.contains(&format!(",{order},2026-03-02,"))), "{text}");
    }
    let number = receipt.purchase_id.to_string();
    let sold = rows.iter().find(|row| row.starts_with(&number)).expect("the sale has its row");
    assert!(sold.ends_with(",Sold,12,1200.00,0.00,7.20,0.00,1192.80"), "{sold}");
    till.browser.language = "zh-CN";
    till.browser.get("/m/purchases/table").await.shows("交易号,订单号").shows("已成交");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_nets_of_a_days_table_are_what_the_day_is_settled_at(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    till.sell(60_000, ("harbour-shared-fee", 6)).await;
    let undone = till.sell(50_000, ("harbour-shared-fee", 6)).await;
    till.town.void(&undone).await;
    till.live_until("2026-03-03").await;
    let table = till.browser.get("/m/purchases/table?from=2026-03-02&to=2026-03-02").await;
    let rows: Vec<Vec<&str>> = table.text.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let voided = rows.iter().find(|row| row[5] == "Voided").expect("what was undone has its row");
    assert_eq!(voided[7..], ["500.00", "0.00", "0.00", "0.00", "0.00"], "{voided:?}");
    let nets: i64 = rows.iter().map(|row| row[11].replace('.', "").parse::<i64>().unwrap()).sum();
    assert_eq!(nets, till.town.fen("select net_fen from settlement where business_day = '2026-03-02'").await);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_person_fetches_so_many_files_in_ten_minutes(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let month = "/m/settlements/month/2026-03/statement";
    for path in ["/m/purchases/table", month].repeat(15) {
        till.browser.get(path).await.has_status(200);
    }
    for path in ["/m/purchases/table", month] {
        let refused = till.browser.get(path).await;
        refused.has_status(429).shows("Try again in ten minutes");
        assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    }
    // What is looked at is looked at as before, and others have fetched nothing yet.
    till.browser.get("/m/purchases").await.has_status(200);
    let mut manager = Browser::at(&till.browser.address);
    sign_in_at(&mut manager, &till.town, (till.town.merchant_id, CASHIER, Role::Manager)).await;
    manager.get(month).await.has_status(200);
    let later = till.town.app.clock.now() + chrono::TimeDelta::minutes(10);
    till.town.app.clock.set(later);
    till.browser.get(month).await.has_status(200);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_tells_its_way_from_gross_to_net(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, ("harbour-shared-fee", 6)).await;
    let address = format!("/m/purchases/{}", receipt.purchase_id);
    let page = till.browser.get(&address).await;
    page.shows("¥1,200.00").shows("−¥7.20").shows("Interest that you pay").shows("Undo this purchase");
    page.shows("Settled when the day ends");
    till.live_until("2026-03-04").await;
    till.town.refund(&receipt, 60_000, "R-1").await;
    let page = till.browser.get(&address).await;
    page.shows("Paid on 3 March 2026").shows("Refund of 4 March").shows("Net after refunds").shows("Partly refunded");
    page.shows("¥600.00 can still be refunded").shows("/m/settlements/2026-03-02");
    let (net, refund) = (
        till.town.fen("select amount_fen - discount_fee_fen - subsidy_fen from purchase").await,
        till.town.fen("select discount_fee_returned_fen + subsidy_returned_fen - amount_fen from refund").await,
    );
    page.shows(&format!("¥{}", Fen::new(net))).shows(&format!("¥{}", Fen::new(net + refund)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_left_for_the_merchant_is_told_only_to_those_who_may_see_settlements(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, ("harbour-shared-fee", 6)).await;
    let address = format!("/m/purchases/{}", receipt.purchase_id);
    till.live_until("2026-03-04").await;
    till.town.refund(&receipt, 60_000, "R-1").await;
    let owners = till.browser.get(&address).await;
    let refund = owners.text.split(&format!("{address}/refunds/")).nth(1).unwrap().split('"').next().unwrap();
    let refund = format!("{address}/refunds/{refund}");
    till.browser.get(&refund).await.shows("Discount fee that comes back").shows("Taken off your settlement");
    till.sign_in(CASHIER, Role::Cashier).await;
    let page = till.browser.get(&address).await;
    page.shows("¥1,200.00").shows("Partly refunded").shows("Refund of 4 March").shows("−¥600.00").shows(&refund);
    for told in ["From gross to net", "7.20", "Interest that you pay", "Net after refunds", "Paid on", "/m/settlements"]
    {
        page.hides(told);
    }
    let done = till.browser.get(&refund).await;
    done.shows("¥600.00").hides("Discount fee").hides("Subsidy that comes back").hides("Taken off your settlement");
    let table = till.browser.get("/m/purchases/table").await;
    let text = table.text.strip_prefix('\u{feff}').expect("Excel's mark");
    for row in text.split("\r\n").filter(|row| !row.is_empty()) {
        assert_eq!(row.split(',').count(), 9, "{row}");
    }
    table.shows("1200.00,600.00").hides("7.20").hides("Net");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_merchants_purchases_are_not_there(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    let order = sell_order(&till, "A-1", 5_000).await;
    let mut other = neighbour(&till.town, &till.browser.address).await;
    other.get("/m/purchases").await.shows("There are no such purchases");
    for number in [receipt.purchase_id.to_string(), order.clone(), "A-1".into()] {
        other.get(&format!("/m/purchases?number={number}")).await.shows("There are no such purchases");
    }
    for path in ["", "/void", "/refund", "/refund?amount=1", "/refunds/ref_0197f3c2a4b07cc39b1c2d3e4f506172"] {
        other.get(&format!("/m/purchases/{}{path}", receipt.purchase_id)).await.has_status(404);
    }
    for wrong in ["pur_1", "%F0%9F%92%B0", "loan_0197f3c2a4b07cc39b1c2d3e4f506172", &"x".repeat(10_000)] {
        till.browser.get(&format!("/m/purchases/{wrong}")).await.has_status(404);
    }
    let word = other.get("/m/more").await.field("csrf");
    for path in ["void", "refund"] {
        let posted = other.post(&format!("/m/purchases/{order}/{path}"), format!("csrf={word}&amount=1")).await;
        posted.has_status(404);
    }
    assert_eq!(till.town.fen("select count(*) from purchase where status = 'authorised'").await, 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn messages_are_worded_for_the_shop_and_read_once_shown(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.browser.get("/m/messages").await.shows("No messages yet");
    let first = till.sell(120_000, STANDARD).await;
    let second = till.sell(50_000, STANDARD).await;
    till.town.void(&second).await;
    till.live_until("2026-03-04").await;
    till.town.refund(&first, 20_000, "R-1").await;
    let page = till.browser.get("/m/messages").await;
    page.shows("Payments received: 1, ¥1,200.00 in all").shows("A purchase of ¥500.00 was undone");
    page.shows("¥200.00 was refunded").shows("was paid to your account on 3 March 2026, bank reference");
    page.shows("New")
        .shows("Messages are kept for 1100 days.")
        .shows(&format!("href=\"/m/purchases/{}\"", first.purchase_id))
        .shows("href=\"/m/settlements/set_");
    till.browser.get("/m/messages").await.is_at("/m/messages").hides("tag warn");
    till.browser.language = "zh-CN";
    let page = till.browser.get("/m/messages?before=abc").await;
    page.shows("收到 1 笔付款，共 ¥1,200.00").shows("已于2026年3月3日打到您的账户");
    till.browser.get("/m/messages?before=1").await.shows("还没有消息");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn messages_of_settlements_are_told_and_kept_unread_for_those_who_may_see_them(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-04").await;
    let mut cashier = Browser::at(&till.browser.address);
    sign_in_at(&mut cashier, &till.town, (till.town.merchant_id, CASHIER, Role::Cashier)).await;
    let page = cashier.get("/m/messages").await;
    page.shows("Payments received: 1").hides("was paid to your account").hides("bank reference").hides("1,192.80");
    let page = till.browser.get("/m/messages").await;
    page.shows("¥1,192.80 was paid to your account");
    assert_eq!(page.text.matches("tag warn").count(), 1, "the payment was read by the cashier, the settlement was not");
}

/// Tells the shop of so many payments.
async fn tell(till: &Till, count: i32) {
    let insert = "insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                  select 'merchant', $1, 'payment_received', jsonb_build_object('amount_fen', 1, 'count', 1), '2026-03-02',
                         $2
                  from generate_series(1, $3)";
    let rows = sqlx::query(insert).bind(till.town.merchant_id).bind(till.town.app.clock.now()).bind(count);
    rows.execute(&till.town.app.pool).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn messages_that_just_fill_a_page_lead_to_no_empty_one(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    tell(&till, 100).await;
    till.browser.get("/m/messages").await.shows("Messages are kept for 1100 days.").hides("/m/messages?before=");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn messages_that_no_page_has_shown_yet_stay_new(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    tell(&till, 130).await;
    let newest = till.browser.get("/m/messages").await;
    assert_eq!(newest.text.matches("tag warn").count(), 100);
    newest.hides("Messages are kept");
    let older = newest.text.split("href=\"/m/messages?before=").nth(1).unwrap().split('"').next().unwrap();
    let older = till.browser.get(&format!("/m/messages?before={older}")).await;
    assert_eq!(older.text.matches("tag warn").count(), 30);
    older.shows("Messages are kept for 1100 days.");
}

/// Every kind of notice that a merchant is told has words of its own.
#[test]
fn every_notice_to_a_merchant_has_its_words() {
    let words = include_str!("../../../web/locales/zh-CN/message.ftl");
    let sources = [
        include_str!("../../../src/purchase/notices.rs"),
        include_str!("../../../src/settlement/notices.rs"),
        include_str!("../../../src/merchant/notices.rs"),
    ];
    let kinds: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.split("Notice::to_merchant(").skip(1))
        .filter_map(|call| call.split('"').nth(1))
        .collect();
    assert!(kinds.len() >= 6, "{kinds:?}");
    for kind in kinds {
        assert!(words.contains(&format!("merchant-notice-{kind} =")), "{kind}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn inside_wechat_a_shop_is_told_where_files_are_kept_and_printed(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    let mut wechat = Browser::at(&till.browser.address).in_wechat();
    wechat.cookies.clone_from(&till.browser.cookies);
    for path in ["/m/poster", "/m/purchases", "/m/settlements", "/m/settlements/2026-03-02"] {
        wechat.get(path).await.has_status(200).shows("open this page in your phone&#39;s browser");
        till.browser.get(path).await.has_status(200).hides("WeChat may not keep files");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_printed_code_is_a_sheet_with_both_languages(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let page = till.browser.get("/m/poster").await;
    page.shows("/m/poster.svg").shows("Download as SVG").shows("上海老王家居有限公司");
    let code = merchant::open_static_code(&till.town.app, till.town.merchant_id).await.unwrap();
    let link = format!("/q/{}", token(code.code_id));
    page.shows(&link);
    let sheet = till.browser.get("/m/poster.svg").await;
    assert_eq!(sheet.headers["content-type"], "image/svg+xml");
    sheet.shows("上海老王家居有限公司").shows("扫码分期付款").shows("Scan to pay in installments").shows(&link);
    // A cashier puts it up as well.
    till.sign_in(CASHIER, Role::Cashier).await;
    till.browser.get("/m/poster").await.has_status(200);
}
