//! A merchant's settlements on its pages: months, days from gross to paid, the lines of each figure, and statements.

use fenqi::base::Fen;
use fenqi::close::close_day;
use fenqi::sandbox::script::Matcher;
use fenqi::sandbox::{Fault, Scripted};
use sqlx::PgPool;

use super::close::cut_off_today;
use crate::till::{Till, neighbour};
use crate::town::SHOP_ACCOUNT;

const STANDARD: (&str, u16) = ("harbour-standard", 12);
const SUBSIDISED: (&str, u16) = ("harbour-shared-fee", 6);

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_is_told_from_gross_to_paid_and_each_figure_opens(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-05").await;
    let first = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-06").await; // a Friday
    let second = till.sell(60_000, SUBSIDISED).await;
    till.town.refund(&first, 20_000, "R-1").await;
    // Still open: what it would come to now, and why the money comes on Monday.
    let open = till.browser.get("/m/settlements/2026-03-06").await;
    open.shows("Today, still open").shows("9 March 2026").shows("7 March to 8 March is the weekend");
    till.live_until("2026-03-10").await;

    let page = till.browser.get("/m/settlements/2026-03-06").await;
    let row: (i64, i64, i64, i64, i64, String) = sqlx::query_as(
        "select gross_fen, refunds_fen, discount_fee_fen, subsidy_fen, payable_fen, bank_reference
         from settlement where business_day = '2026-03-06'",
    )
    .fetch_one(&till.town.app.pool)
    .await
    .unwrap();
    assert_eq!((row.0, row.1), (60_000, 20_000));
    page.shows("¥600.00")
        .shows("−¥200.00")
        .shows(&format!("−¥{}", Fen::new(row.2)))
        .shows(&format!("−¥{}", Fen::new(row.3)));
    page.shows(&format!("¥{}", Fen::new(row.4))).shows(&row.5).shows("Paid on").shows("9 March 2026");
    page.shows("7 March to 8 March is the weekend").hides("Later than expected");
    open.shows(&format!("¥{}", Fen::new(row.4)));

    let [one, two] = [&first, &second].map(|receipt| receipt.purchase_id.to_string());
    let figures = [
        ("gross", vec![&two], vec![&one], "¥600.00"),
        ("refunds", vec![&one], vec![&two], "−¥200.00"),
        // The refund gives fee back, of a purchase without subsidy.
        ("fee", vec![&one, &two], vec![], "¥1.20"),
        ("subsidy", vec![&two], vec![&one], "−¥"),
        ("net", vec![&one, &two], vec![], "¥"),
    ];
    for (figure, shown, hidden, words) in figures {
        page.shows(&format!("/m/settlements/2026-03-06/{figure}\""));
        let lines = till.browser.get(&format!("/m/settlements/2026-03-06/{figure}")).await;
        lines.has_status(200).shows(words);
        for id in shown {
            lines.shows(&format!("/m/purchases/{id}\""));
        }
        for id in hidden {
            lines.hides(&format!("/m/purchases/{id}\""));
        }
    }
    till.browser.get("/m/settlements").await.shows("Paid so far").shows("/m/settlements/2026-03-06");
    // The id that messages name leads to the day.
    let id: uuid::Uuid = sqlx::query_scalar("select settlement_id from settlement where business_day = '2026-03-06'")
        .fetch_one(&till.town.app.pool)
        .await
        .unwrap();
    till.browser.get(&format!("/m/settlements/set_{}", id.simple())).await.is_at("/m/settlements/2026-03-06");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_holiday_that_moves_the_payment_is_named(pool: PgPool) {
    let mut till = Till::open(pool, "2026-02-14").await;
    till.sell(120_000, STANDARD).await;
    let page = till.browser.get("/m/settlements/2026-02-14").await;
    page.shows("24 February 2026").shows("15 February to 23 February is the Spring Festival");
    till.browser.language = "zh-CN";
    till.browser
        .get("/m/settlements/2026-02-14")
        .await
        .shows("2026年2月24日")
        .shows("2月15日至2月23日是春节，银行不打款");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_negative_day_says_where_it_was_taken_off(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    till.town.refund(&receipt, 120_000, "R-1").await;
    till.live_until("2026-03-04").await;
    let waiting = till.browser.get("/m/settlements/2026-03-03").await;
    waiting.shows("Carried forward").shows("−¥1,192.80").shows("taken off your next settlements").hides("Expected on");
    // A day on which nothing happens takes nothing in.
    till.browser.get("/m/settlements/2026-03-04").await.shows("¥0.00").hides("Carried forward from earlier");
    till.sell(200_000, STANDARD).await;
    till.browser.get("/m/settlements/2026-03-04").await.shows("Carried forward from earlier").shows("¥795.20");
    // Until the close has come to the settlements of the day that has ended, what was carried is theirs, and not the next day's too.
    let day = cut_off_today(&till.town).await;
    till.sell(10_000, STANDARD).await;
    till.browser.get("/m/settlements/2026-03-04").await.shows("Being settled").shows("¥795.20");
    till.browser.get("/m/settlements/2026-03-05").await.shows("¥99.40").hides("Carried forward from earlier");
    close_day(&till.town.app, day).await.unwrap();
    let taken = till.browser.get("/m/settlements/2026-03-04").await;
    taken.shows("Carried forward from 3 March 2026").shows("−¥1,192.80").shows("¥795.20");
    let past = till.browser.get("/m/settlements/2026-03-03").await;
    past.shows("was taken off a later settlement").shows("/m/settlements/2026-03-04");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_of_sales_that_is_still_negative_is_told_why(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    till.town.refund(&receipt, 120_000, "R-1").await;
    till.live_until("2026-03-04").await;
    till.sell(10_000, STANDARD).await;
    till.live_until("2026-03-05").await;
    let page = till.browser.get("/m/settlements/2026-03-04").await;
    page.shows("−¥1,093.40").shows("with what was carried forward").hides("Nothing was sold or refunded");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn where_the_money_is_is_worded_honestly(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    till.browser.get("/m/settlements/2026-03-02").await.shows("To be paid").shows("Expected on");
    let silent = Scripted::answer("success").with(Fault::TimeoutAfter);
    till.world.script("payout", Some(Matcher::new("account", SHOP_ACCOUNT)), vec![silent]);
    fenqi::settlement::submit_payouts(&till.town.app).await.unwrap();
    let page = till.browser.get("/m/settlements/2026-03-02").await;
    page.shows("With the bank").shows("never pay twice").hides("Later than expected");
    sqlx::query("update payout set status = 'failed', failure = 'account closed'")
        .execute(&till.town.app.pool)
        .await
        .unwrap();
    let page = till.browser.get("/m/settlements/2026-03-02").await;
    page.shows("Payment stuck").shows("check your settlement account").hides("account closed");
    page.shows("<a href=\"/m/more\">See your settlement account</a>");
    till.browser.get("/m/more").await.shows("···· 3456");
    sqlx::query("update business_day set today = '2026-03-04'").execute(&till.town.app.pool).await.unwrap();
    till.browser.get("/m/settlements/2026-03-02").await.shows("Later than expected");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn money_that_came_late_is_not_said_to_be_awaited(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-03").await;
    sqlx::query("update business_day set today = '2026-03-04'").execute(&till.town.app.pool).await.unwrap();
    let late = till.browser.get("/m/settlements/2026-03-02").await;
    late.shows("We are on it with the bank").hides("It was paid later than expected");
    assert_eq!(fenqi::settlement::submit_payouts(&till.town.app).await.unwrap().paid, 1);
    let paid = till.browser.get("/m/settlements/2026-03-02").await;
    paid.shows("It was paid later than expected").hides("We are on it with the bank");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn statements_of_a_day_and_of_a_month_add_up(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-05").await;
    let first = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-06").await;
    till.sell(60_000, SUBSIDISED).await;
    till.town.refund(&first, 20_000, "R-1").await;
    till.live_until("2026-03-10").await;
    let day = till.browser.get("/m/settlements/2026-03-06/statement").await;
    assert_eq!(day.headers["content-disposition"], "attachment; filename=\"statement-2026-03-06.csv\"");
    let rows = |text: &str| {
        let text = text.strip_prefix('\u{feff}').expect("Excel's mark").to_owned();
        text.split("\r\n")
            .filter(|row| !row.is_empty())
            .map(|row| row.split(',').map(str::to_owned).collect())
            .collect()
    };
    let day_rows: Vec<Vec<String>> = rows(&day.text);
    assert_eq!(day_rows.len(), 4);
    assert_eq!(day_rows[3][1], "Settlement");
    let fen = |text: &String| text.replace('.', "").parse::<i64>().unwrap();
    let sum: i64 = day_rows[1..3].iter().map(|row| fen(&row[9])).sum();
    let net = till.town.fen("select net_fen from settlement where business_day = '2026-03-06'").await;
    assert_eq!((sum, fen(&day_rows[3][9])), (net, net));
    let month = till.browser.get("/m/settlements/month/2026-03/statement").await;
    let month_rows: Vec<Vec<String>> = rows(&month.text);
    for row in day_rows.iter().chain(&month_rows) {
        assert_eq!(row.len(), day_rows[0].len(), "a row has a cell under every heading: {row:?}");
    }
    assert_eq!(month_rows.len(), 1 + 2 + 3);
    assert_eq!((month_rows[1][0].as_str(), month_rows[5][0].as_str()), ("2026-03-05", "2026-03-06"));
    let empty = till.browser.get("/m/settlements/month/2026-02/statement").await;
    assert_eq!(empty.text.lines().count(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn days_and_months_that_are_none_are_not_found_and_another_merchant_sees_nothing(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-05").await;
    let receipt = till.sell(120_000, STANDARD).await;
    till.live_until("2026-03-10").await;
    let long = "9".repeat(10_000);
    for wrong in ["2026-03-11", "2026-02-30", "%2B262142-12-31", "-262143-01-01", "today", "%F0%9F%92%B0", &long] {
        till.browser.get(&format!("/m/settlements/{wrong}")).await.has_status(404);
        till.browser.get(&format!("/m/settlements/{wrong}/statement")).await.has_status(404);
        till.browser.get(&format!("/m/settlements/{wrong}/gross")).await.has_status(404);
        // Of a month that is none, this one is shown.
        till.browser.get(&format!("/m/settlements?month={wrong}")).await.has_status(200).shows("March 2026");
    }
    till.browser.get("/m/settlements/2026-03-05/profit").await.has_status(404);
    till.browser.get("/m/settlements/month/2026-13/statement").await.has_status(404);
    till.browser.get("/m/settlements/2026-03-06").await.has_status(200).shows("Nothing was sold or refunded");
    till.browser.get("/m/settlements/2026-03-06/statement").await.has_status(404);
    till.browser.get("/m/settlements?month=2020-01").await.shows("There are no settlements in this month");
    let id: uuid::Uuid =
        sqlx::query_scalar("select settlement_id from settlement").fetch_one(&till.town.app.pool).await.unwrap();

    let mut other = neighbour(&till.town, &till.browser.address).await;
    let month = other.get("/m/settlements?month=2026-03").await;
    month.is_at("/m/settlements").hides("¥1,200.00").hides("2026-03-05");
    other.get("/m/settlements/2026-03-05").await.shows("Nothing was sold or refunded");
    let behind = other.get("/m/settlements/2026-03-05/gross").await;
    behind.shows("There is nothing behind this figure").hides(&receipt.purchase_id.to_string());
    other.get("/m/settlements/2026-03-05/statement").await.has_status(404);
    other.get(&format!("/m/settlements/set_{}", id.simple())).await.has_status(404);
    assert_eq!(other.get("/m/settlements/month/2026-03/statement").await.text.lines().count(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_that_has_ended_is_not_called_empty_while_it_is_being_settled(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-03").await;
    let receipt = till.sell(120_000, STANDARD).await;
    // The day has ended, and the close has not come to its settlements.
    sqlx::query("update business_day set today = '2026-03-04'").execute(&till.town.app.pool).await.unwrap();
    let day = till.browser.get("/m/settlements/2026-03-03").await;
    day.shows("Being settled")
        .shows("¥1,192.80")
        .shows("4 March 2026")
        .hides("Nothing was sold")
        .hides("Today, still open");
    till.browser.get("/m/settlements/2026-03-03/gross").await.shows("¥1,200.00").hides("¥0.00");
    till.browser.get("/m/settlements/2026-03-03/statement").await.has_status(404);
    let month = till.browser.get("/m/settlements").await;
    month.shows("href=\"/m/settlements/2026-03-03\"").shows("Being settled").shows("Today, still open");
    let sale = till.browser.get(&format!("/m/purchases/{}", receipt.purchase_id)).await;
    sale.shows("has ended and is being settled").hides("Settled when the day ends");
    till.browser.get("/m/settlements/2026-03-02").await.shows("Nothing was sold").hides("Being settled");
}
