//! The home page, the counter and the bills describe credit lines correctly: which can be used, why others cannot, and what will be due.

use chrono::TimeDelta;
use fenqi::borrower::{self, Agreement, Signature};
use fenqi::credit::consent_actions::take_back;
use fenqi::purchase::Authoriser;
use sqlx::PgPool;

use crate::house;
use crate::shopper::{PIN, Shopper};
use crate::town::LineWish;

/// The button that leads to paying; the tab of the same address is on every page.
const SCAN: &str = "btn_primary\" href=\"/scan\"";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_that_cannot_be_used_says_so_everywhere(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let pool = shopper.town.app.pool.clone();
    let home = shopper.browser.get("/home").await;
    home.shows("valid until 31 December 2029").shows(SCAN).hides("Your line ended");
    let line = shopper.browser.get("/home/line").await;
    line.shows("available ¥10,000.00").hides("Suspended");
    // As the product says, which the withholding agreement refers to.
    line.shows("on days 1, 2, 3, 5, 7, 10, 14, 21, 28 after it, at 09:00, 15:00, 20:30");
    line.shows("a part of it where the card does not hold enough");
    let frozen = "update credit_line set status = 'frozen', frozen_for = 'operator'";
    sqlx::query(frozen).execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("¥0.00").shows("The line cannot be used; what you borrowed is repaid as before").hides(SCAN);
    home.hides("href=\"/bills\">See my bills");
    let line = shopper.browser.get("/home/line").await;
    line.shows("<p class=\"amount big\">¥0.00</p>").shows("Suspended: available ¥0.00");
    // Nobody types an amount for nothing.
    let refused = shopper.browser.get(&code).await;
    refused.has_status(409).shows("Your credit line cannot be used at the moment").hides("name=\"amount\"");
    let ended =
        "update credit_line set status = 'active', frozen_for = null, expires_on = '2026-03-01', used_fen = 100000";
    sqlx::query(ended).execute(&pool).await.unwrap();
    for path in ["/home", "/home/line"] {
        shopper.browser.get(path).await.shows("Your line ended on 1 March 2026").shows("¥0.00").hides(SCAN);
    }
    shopper.browser.get("/home").await.shows("href=\"/bills\">See my bills").hides("is valid until");
    let line = shopper.browser.get("/home/line").await;
    line.shows("Ended: available ¥0.00").hides("Suspended").shows("href=\"/bills\">See my bills");
    let refused = shopper.browser.get(&code).await;
    refused
        .has_status(409)
        .shows("Your credit line has ended")
        .shows("href=\"/bills\"")
        .hides("If something is overdue");
    shopper.browser.get(&format!("{code}?amount=100")).await.has_status(409).shows("Your credit line has ended");
    // What the authoriser answers is told in the same words.
    let wish = shopper.town.wish(shopper.line_id, "K-1", 60_000, ("harbour-standard", 3));
    let receipt = Authoriser::start(shopper.town.app.clone()).authorise(wish).await.unwrap();
    let result = shopper.browser.get(&format!("/purchases/{}", receipt.purchase_id)).await;
    result.shows("Not paid").shows("Your credit line has ended").hides("If something is overdue");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn home_leads_to_paying_only_with_a_line_that_can_be_used(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let pool = shopper.town.app.pool.clone();
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    shopper.town.buy(vec![wish]).await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&pool).await.unwrap();
    shopper.live_until("2026-04-01").await;
    sqlx::query("update credit_line set status = 'frozen', frozen_for = 'overdue'").execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("A payment is late and the line cannot be used. Once it is paid, it can.").hides(SCAN);
    home.shows("btn_warn\" href=\"/bills/pay\"");
    sqlx::query("update credit_line set frozen_for = 'overdue,operator'").execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("there is another reason beside it").hides("Once it is paid, it can.").hides(SCAN);
    sqlx::query("update credit_line set frozen_for = 'overdue'").execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("None of your bank cards can be charged").shows("href=\"/me/cards/new?next=/home\"");
    sqlx::query("update bank_card set status = 'bound'").execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.is_at("/home").hides("None of your bank cards").hides("/me/cards/new");
    let wish = LineWish { limit_fen: 500_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let funder_id = fenqi::funder::open_funder(&shopper.town.app, "other-bank", "Other Bank").await.unwrap();
    let another = "update credit_line set borrower_id = $1, funder_id = $2 where line_id = $3";
    let another = sqlx::query(another).bind(shopper.borrower_id).bind(funder_id).bind(second);
    another.execute(&pool).await.unwrap();
    // One that can be used comes first, with where its own numbers come from; the other one says why it cannot.
    let home = shopper.browser.get("/home").await;
    home.shows("¥5,000.00").shows(SCAN).shows("Overdue").shows("A payment is late and the line cannot be used.");
    assert!(home.text.find("¥5,000.00").unwrap() < home.text.find("A payment is late").unwrap());
    home.shows(&format!("href=\"/home/line?line={}\"", shopper.line_id));
    let address = format!("/home/line?line={second}");
    home.shows(&format!("href=\"{address}\""));
    shopper.browser.get(&address).await.shows("limit ¥5,000.00 − used ¥0.00 = available ¥5,000.00");
    // One that is closed is neither there nor never was.
    let closed = "update credit_line set status = 'closed', frozen_for = null";
    sqlx::query(closed).execute(&pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    home.shows("Your line is closed").shows("href=\"/apply\">Apply again").hides(SCAN).hides("No line yet");
    home.shows("Overdue").shows("btn_warn\" href=\"/bills/pay\"");
    shopper.browser.get("/home?lang=zh-CN").await.shows("您的额度已经关闭").shows("重新申请").hides(SCAN);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_line_has_its_card_and_the_counter_says_what_one_of_them_allows(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let wish = LineWish { limit_fen: 500_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let funder_id = fenqi::funder::open_funder(&shopper.town.app, "other-bank", "Other Bank").await.unwrap();
    let another = "update credit_line set borrower_id = $1, funder_id = $2 where line_id = $3";
    let another = sqlx::query(another).bind(shopper.borrower_id).bind(funder_id).bind(second);
    another.execute(&shopper.town.app.pool).await.unwrap();
    let home = shopper.browser.get("/home").await;
    for (line_id, limit) in [(shopper.line_id, "¥10,000.00"), (second, "¥5,000.00")] {
        home.shows(&format!("<a class=\"amount\" href=\"/home/line?line={line_id}\">{limit}"));
    }
    assert_eq!(home.text.matches(SCAN).count(), 1);
    // No purchase is split between two lines.
    let code = shopper.poster().await;
    shopper.browser.get(&code).await.shows("¥10,000.00 available").hides("¥15,000.00");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_counter_speaks_only_of_lines_that_can_be_used_there(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let app = shopper.town.app.clone();
    let wish = LineWish { limit_fen: 2_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let funder_id = fenqi::funder::open_funder(&app, "other-bank", "Other Bank").await.unwrap();
    let another = "update credit_line set borrower_id = $1, funder_id = $2 where line_id = $3";
    let another = sqlx::query(another).bind(shopper.borrower_id).bind(funder_id).bind(second);
    another.execute(&app.pool).await.unwrap();
    // Its funder sells nothing here, however much is left on it.
    let code = shopper.poster().await;
    let keypad = shopper.browser.get(&code).await;
    keypad.shows("¥10,000.00 available").hides("¥20,000.00").shows("One purchase: ¥10.00 to ¥50,000.00");
    let text = include_str!("../../../products/standard.toml").replace("harbour-", "other-");
    fenqi::product::publish(&app, &text.replace("max_fen = 5_000_000", "max_fen = 6_000_000")).await.unwrap();
    let keypad = shopper.browser.get(&code).await;
    keypad.shows("¥20,000.00 available").shows("One purchase: ¥10.00 to ¥60,000.00");
    // Too much for what the one line is sold, and for what is left on the other one.
    let refused = shopper.browser.get(&format!("{code}?amount=55000")).await;
    refused.shows("more than you have available").hides("which is ¥60,000.00");
    // Nor may a purchase be as much as it sells, where its line cannot be used.
    let frozen = sqlx::query("update credit_line set status = 'frozen', frozen_for = 'operator' where line_id = $1");
    frozen.bind(second).execute(&app.pool).await.unwrap();
    let keypad = shopper.browser.get(&code).await;
    keypad.shows("¥10,000.00 available").shows("One purchase: ¥10.00 to ¥50,000.00");
    shopper.browser.get(&format!("{code}?amount=55000")).await.shows("which is ¥50,000.00");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_comes_is_foretold_and_days_of_grace_are_no_lateness(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let plan = ("harbour-standard", 12);
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, plan);
    shopper.town.buy(vec![wish]).await;
    let home = shopper.browser.get("/home").await;
    home.shows("¥104.72").shows("Expected to be due on 25 March 2026").hides("There is no bill to pay");
    shopper.browser.get(&home.link("/loans/")).await.shows("¥104.72");
    // Loans of one instant stand in any order.
    shopper.town.app.clock.set(shopper.town.app.clock.now() + TimeDelta::seconds(1));
    let wish = shopper.town.wish(shopper.line_id, "K-2", 60_000, plan);
    shopper.town.buy(vec![wish]).await;
    shopper.browser.get("/home").await.shows("¥104.72 + ¥52.36 = ¥157.08");
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    shopper.live_until("2026-03-06").await;
    shopper.browser.get("/home").await.shows("¥157.08").shows("due 25 March 2026").hides("Expected to be due");
    shopper.live_until("2026-03-28").await;
    let home = shopper.browser.get("/home").await;
    home.shows("The due day has passed").shows("No penalty interest if paid by 28 March 2026").hides("Overdue");
    // The next bill is not cut yet.
    home.shows("Expected to be due on 25 April 2026");
    for path in ["/bills", "/bills/2026-03-25"] {
        let page = shopper.browser.get(path).await;
        page.shows("In grace").shows("No penalty interest if paid by 28 March 2026").hides(">Late<").hides("is late");
    }
    let pay = shopper.browser.get("/bills/pay").await;
    pay.shows("Bind a bank card").shows("href=\"/me/cards/new?next=/bills/pay");
    shopper.live_until("2026-03-29").await;
    shopper.browser.get("/home").await.shows("Overdue").hides("The due day has passed");
    shopper.browser.get("/bills").await.shows(">Late<").hides("In grace");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_journal_that_fills_its_page_leads_to_no_empty_one(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let pool = shopper.town.app.pool.clone();
    let lengthen = "insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                            limit_after_fen, reason, business_day, occurred_at)
                    select line_id, number, 'limit', 0, 0, used_after_fen, limit_after_fen, 'none', business_day,
                           occurred_at
                    from line_entry, generate_series($2::bigint, $3::bigint) as number
                    where line_id = $1 and entry_no = 1";
    for (first, last, is_more) in [(2_i64, 50_i64, false), (51, 51, true)] {
        sqlx::query(lengthen).bind(shopper.line_id).bind(first).bind(last).execute(&pool).await.unwrap();
        let page = shopper.browser.get("/home/line").await;
        assert_eq!(page.text.contains("Earlier changes"), is_more, "{last} entries");
    }
    shopper.browser.get("/home/line?before=2").await.shows("Line opened").hides("Earlier changes");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_goes_on_and_what_is_owed_is_collected_though_consents_are_taken_back(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-03-02").await;
    let mut shopper = Shopper::in_town(app.clone()).await;
    let borrower_id = shopper.borrower_id;
    let signature = |agreement: Agreement| Signature {
        borrower_id,
        agreement,
        text_sha256: agreement.wording().sha256,
        device: "test".into(),
    };
    borrower::sign(&app, &Agreement::ALL.map(signature)).await.unwrap();
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await.shows("Paid");
    for agreement in [Agreement::PersonalInformation, Agreement::SensitiveInformation] {
        take_back(&app, borrower_id, agreement).await.unwrap();
    }
    let asking = shopper.ask(&code, "?amount=600", "harbour-standard", 3).await;
    shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await.shows("Paid");
    shopper.live_until("2026-03-26").await;
    shopper.browser.get("/bills").await.shows("No bill is to be paid").shows("Paid on 25 March 2026");
}
