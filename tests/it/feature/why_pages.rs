//! "Why this number": every amount on the borrower's pages links to its arithmetic, and the arithmetic is right.

use fenqi::base::day::MonthDay;
use fenqi::base::{Fen, Rate};
use fenqi::loan::rescaling::{Borne, Rescaling};
use fenqi::loan::{DueDates, ScheduleRequest, schedule, words};
use fenqi::page::{Language, Page, Visit};
use fenqi::product;
use fenqi::product::terms::{DayCount, Level, Method};
use fenqi::repayment;
use sqlx::PgPool;

use super::bill_pages;
use crate::browser::Shown;
use crate::shopper::{Shopper, sign_in};
use crate::{house, reckoning};

const PAGES: [&str; 5] = ["/home", "/home/line", "/bills", "/bills/pay", "/loans"];

/// What a borrower buys: a product, its periods, and so many fen.
type Buys<'a> = &'a [(&'a str, u16, i64)];

/// Buys, and lives until a day.
async fn live(shopper: &mut Shopper, buys: Buys<'_>, until: &str) -> Vec<fenqi::purchase::Receipt> {
    let wish = |(number, (product, periods, fen)): (usize, &(&str, u16, i64))| {
        shopper.town.wish(shopper.line_id, &format!("K-{number}"), *fen, (product, *periods))
    };
    let receipts = shopper.town.buy(buys.iter().enumerate().map(wish).collect()).await;
    until_day(shopper, until).await;
    receipts
}

/// Puts a product with a guarantee charge, and a fee for paying off early, on sale.
async fn sell_guaranteed(shopper: &mut Shopper) {
    product::publish(&shopper.town.app, include_str!("../../scenarios/guaranteed.toml")).await.unwrap();
    let on_sale = shopper.town.app.catalogue.load_on_sale(&mut shopper.town.app.pool.acquire().await.unwrap()).await;
    shopper.town.products = on_sale.unwrap();
}

async fn until_day(shopper: &mut Shopper, until: &str) {
    shopper.town.live_until(until).await;
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
}

async fn hold(shopper: &mut Shopper) -> usize {
    reckoning::hold(&mut shopper.browser, &PAGES).await
}

async fn pay(shopper: &mut Shopper, address: &str, fields: &[(&str, &str)]) -> Shown {
    let page = shopper.browser.get(address).await;
    bill_pages::submit(shopper, &page, address, fields).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_amount_of_a_life_leads_to_arithmetic_that_is_true(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    assert!(hold(&mut shopper).await > 3, "before anything was bought");
    let buys = [
        ("harbour-standard", 12, 120_000),
        ("harbour-standard", 3, 99_999),
        ("harbour-free", 3, 30_001),
        ("harbour-shared-fee", 6, 66_667),
    ];
    let receipts = live(&mut shopper, &buys, "2026-03-02").await;
    assert!(hold(&mut shopper).await > 100, "before the first bill");
    until_day(&mut shopper, "2026-03-06").await;
    assert!(hold(&mut shopper).await > 200, "with a bill");
    let second = |receipt| format!("/loans/{}/periods/2", loan_of(receipt));
    shopper.browser.get(&second(&receipts[0])).await.shows("balance: principal ¥1,200.00 − ");
    // A flat fee is of the whole principal, and nothing is charged without interest.
    for receipt in &receipts[2..] {
        shopper.browser.get(&second(receipt)).await.shows("Where these numbers come from").hides("balance: principal");
    }
    let ordered = pay(&mut shopper, "/bills/pay", &[("how", "part"), ("amount", "50")]).await;
    reckoning::hold(&mut shopper.browser, &["/bills/pay", &ordered.at]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    reckoning::hold(&mut shopper.browser, &["/home", &ordered.at]).await;
    shopper.browser.get(&ordered.at).await.shows("What the money settled");
    shopper.town.refund(&receipts[0], 20_000, "R-1").await;
    shopper.town.refund(&receipts[1], 99_999, "R-2").await;
    hold(&mut shopper).await;
    until_day(&mut shopper, "2026-04-06").await;
    hold(&mut shopper).await;
    let loan: String = loan_of(&receipts[3]);
    let payoff = format!("/loans/{loan}/payoff");
    reckoning::hold(&mut shopper.browser, &[&payoff]).await;
    let ended = pay(&mut shopper, &payoff, &[]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    reckoning::hold(&mut shopper.browser, &["/home", &ended.at, &format!("/loans/{loan}")]).await;
    hold(&mut shopper).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn penalty_is_followed_day_by_day_and_part_by_part(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    live(&mut shopper, &[("harbour-standard", 12, 120_000), ("harbour-shared-fee", 6, 60_000)], "2026-03-06").await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    until_day(&mut shopper, "2026-04-01").await;
    hold(&mut shopper).await;
    // A part that is paid while it is late leaves what ran until then, and less to run on.
    sqlx::query("update bank_card set status = 'bound'").execute(&shopper.town.app.pool).await.unwrap();
    pay(&mut shopper, "/bills/pay", &[("how", "part"), ("amount", "60")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    until_day(&mut shopper, "2026-04-08").await;
    hold(&mut shopper).await;
    let late = shopper.browser.get("/bills").await;
    late.shows("of it is late");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn penalty_on_interest_is_said_with_what_bears_it(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    product::publish(&shopper.town.app, include_str!("../../scenarios/penalty-on-interest.toml")).await.unwrap();
    let on_sale = shopper.town.app.catalogue.load_on_sale(&mut shopper.town.app.pool.acquire().await.unwrap()).await;
    shopper.town.products = on_sale.unwrap();
    let receipts = live(&mut shopper, &[("harbour-on-interest", 3, 120_000)], "2026-03-06").await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    until_day(&mut shopper, "2026-04-01").await;
    hold(&mut shopper).await;
    let loan = loan_of(&receipts[0]);
    let why = shopper.browser.get(&format!("/loans/{loan}/periods/1")).await;
    let sums = reckoning::sums(&why);
    let says = |start: &str| sums.iter().any(|line| line.starts_with(start));
    assert!(says("overdue principal and interest: ¥"), "{sums:?}");
    assert!(says("overdue principal and interest ¥"), "{sums:?}");
    shopper.browser.get(&format!("/loans/{loan}/agreement")).await.shows(", on unpaid principal and interest");
    let chinese = format!("/loans/{loan}/periods/1?lang=zh-CN");
    shopper.browser.get(&chinese).await.shows("逾期本金和利息：¥").shows("逾期本金和利息 ¥");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_way_to_reckon_is_said_in_arithmetic(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    for text in [
        include_str!("../../../products/equal-principal.toml"),
        include_str!("../../../products/interest-first.toml"),
        include_str!("../../../products/first-months-free.toml"),
        include_str!("../../../products/pay-next-bill.toml"),
        include_str!("../../scenarios/guaranteed.toml"),
    ] {
        // Sold everywhere, the shop of this town included.
        let (before, rest) = text.split_once("merchant_categories = [").unwrap();
        let everywhere = format!("{before}merchant_categories = [{}", &rest[rest.find(']').unwrap()..]);
        product::publish(&shopper.town.app, &everywhere).await.unwrap();
    }
    let on_sale = shopper.town.app.catalogue.load_on_sale(&mut shopper.town.app.pool.acquire().await.unwrap()).await;
    shopper.town.products = on_sale.unwrap();
    let others: Vec<(String, u16)> = shopper
        .town
        .products
        .iter()
        .map(|product| (product.terms.code.clone(), product.terms.plans[0].periods[0]))
        .collect();
    let buys: Vec<(&str, u16, i64)> = others.iter().map(|(code, periods)| (code.as_str(), *periods, 121_003)).collect();
    assert_eq!(buys.len(), 8);
    let receipts = live(&mut shopper, &buys, "2026-04-06").await;
    assert!(hold(&mut shopper).await > 200);
    for receipt in &receipts {
        let loan = loan_of(receipt);
        let payoff = format!("/loans/{loan}/payoff");
        if shopper.browser.get(&format!("/loans/{loan}")).await.text.contains(&payoff) {
            reckoning::hold(&mut shopper.browser, &[&payoff]).await;
        }
    }
    let by_days = others.iter().position(|(code, _)| code == "harbour-first-free").unwrap();
    let agreement = shopper.browser.get(&format!("/loans/{}/agreement", loan_of(&receipts[by_days]))).await;
    agreement.shows("by the days of each period, a year counted as 360; no interest in the first payment");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_guarantee_charge_has_arithmetic_of_its_own(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    sell_guaranteed(&mut shopper).await;
    let buys = [("harbour-guaranteed", 3, 120_007), ("harbour-guaranteed", 6, 66_667)];
    let receipts = live(&mut shopper, &buys, "2026-03-06").await;
    assert!(hold(&mut shopper).await > 50);
    let ordered = pay(&mut shopper, "/bills/pay", &[("how", "part"), ("amount", "10")]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    reckoning::hold(&mut shopper.browser, &["/home", &ordered.at]).await;
    let paid = shopper.browser.get(&ordered.at).await;
    paid.shows("<dt>Guarantee charge</dt>").shows("Principal + interest + guarantee charge + penalty");
    // What was not billed becomes smaller: interest by its days, the charge by the principal.
    shopper.town.refund(&receipts[0], 50_000, "R-1").await;
    hold(&mut shopper).await;
    let changed = shopper.browser.get(&format!("/loans/{}/periods/2", loan_of(&receipts[0]))).await;
    changed.shows("interest before ¥").shows("guarantee charge before ¥3.60 × principal not billed");
    // After one more, from what was agreed, and from what the charge was before both.
    shopper.town.refund(&receipts[0], 10_000, "R-2").await;
    hold(&mut shopper).await;
    let changed = shopper.browser.get(&format!("/loans/{}/periods/2", loan_of(&receipts[0]))).await;
    changed.shows("interest as agreed ¥").shows("guarantee charge before the refunds ¥3.60 × principal not billed");
    let loan = loan_of(&receipts[1]);
    let payoff = format!("/loans/{loan}/payoff");
    until_day(&mut shopper, "2026-03-26").await;
    let quoted = shopper.browser.get(&payoff).await;
    quoted.shows("× 1 day since 25 March 2026").shows("¥2.00 × 1 day so far ÷ 31 days = ¥0.06");
    until_day(&mut shopper, "2026-03-29").await;
    hold(&mut shopper).await;
    // Four of 31 days of the second period's 2.00.
    reckoning::hold(&mut shopper.browser, &[&payoff]).await;
    let quoted = shopper.browser.get(&payoff).await;
    quoted.shows("Guarantee charge not billed yet").shows("¥2.00 × 4 days so far ÷ 31 days = ¥0.26");
    let ended = pay(&mut shopper, &payoff, &[]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    reckoning::hold(&mut shopper.browser, &["/home", &ended.at, &format!("/loans/{loan}")]).await;
    shopper.browser.get(&ended.at).await.shows("Guarantee charge, and for paying off early");
    // The row that took all of it has that fee, and none that it has emptied.
    let row = |period: u8| format!("/loans/{loan}/periods/{period}");
    shopper.browser.get(&row(2)).await.shows("Guarantee charge, and for paying off early");
    shopper.browser.get(&row(3)).await.shows("<dt>Guarantee charge <b").hides("and for paying off early");
    hold(&mut shopper).await;
}

/// The last statement is cut before the money comes: it asks for no such fee, and what was taken for that goes back to the card.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_fee_for_paying_off_early_that_went_back_is_not_named_among_what_was_paid(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    sell_guaranteed(&mut shopper).await;
    let receipts = live(&mut shopper, &[("harbour-guaranteed", 3, 120_000)], "2026-05-05").await;
    let ended = pay(&mut shopper, &format!("/loans/{}/payoff", loan_of(&receipts[0])), &[]).await;
    shopper.town.close_today().await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let paid = shopper.browser.get(&ended.at).await;
    paid.shows("<dt>Guarantee charge</dt>").shows("Left over, goes back to the card").hides("and for paying off early");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_purchase_that_was_undone_leaves_nothing_to_repay(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let receipts = live(&mut shopper, &[("harbour-standard", 12, 120_000)], "2026-03-02").await;
    shopper.town.void(&receipts[0]).await;
    let loan = shopper.browser.get(&format!("/loans/{}", loan_of(&receipts[0]))).await;
    loan.shows("Undone").shows("nothing is to be repaid").shows("<p class=\"amount big\">¥0.00</p>");
    hold(&mut shopper).await;
}

fn loan_of(receipt: &fenqi::purchase::Receipt) -> String {
    let fenqi::purchase::Decision::Authorised { loan_id } = receipt.decision else { panic!("{receipt:?}") };
    loan_id.to_string()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_day_and_one_period_are_not_spoken_of_as_many(pool: PgPool) {
    let page = Page::of(Visit::of_nobody(&house::open(pool, "2026-03-02").await, Language::English));
    let request = ScheduleRequest {
        method: Method::EqualInstallment,
        day_count: DayCount::Act365,
        level: Level::Actual,
        principal: Fen::new(1_000_000),
        periods: 1,
        annual_rate: "0.18".parse().unwrap(),
        fee_rate_per_period: "0.005".parse().unwrap(),
        free_periods: 0,
        start_on: "2026-03-02".parse().unwrap(),
        due: DueDates::From { first: "2026-03-03".parse().unwrap(), day: MonthDay::new(3).unwrap() },
    };
    let row =
        |request: &ScheduleRequest| words::rows(&page, request, &schedule::build(request).unwrap(), &[]).pop().unwrap();
    let guaranteed = row(&request);
    assert_eq!(guaranteed.interest_why, ["balance ¥10,000.00 × 18% a year × 1 day ÷ 365 = ¥4.93"]);
    assert!(
        guaranteed.guarantee_why.contains(" × 0.5% × 1 period for the guarantor = "),
        "{}",
        guaranteed.guarantee_why
    );
    let payment = words::level_payment(&page, &request).unwrap();
    assert!(payment.contains(" in 1 payment at 18% a year"), "{payment}");
    let flat = row(&ScheduleRequest { method: Method::FlatFee, annual_rate: Rate::ZERO, ..request });
    assert!(flat.interest_why[0].contains(" × 0.5% × 1 period = "), "{:?}", flat.interest_why);
    let scaled = Rescaling::Interest {
        old: Fen::new(900),
        balance_before: Fen::new(60_000),
        balance_after: Fen::new(30_000),
        days: 2,
        days_before: 1,
        new: Fen::new(675),
    };
    let rescaled = words::rescaled(&page, &scaled);
    assert!(rescaled.contains(" × 1 day before the refund + ¥300.00 × 1 day after) ÷ "), "{rescaled}");
    assert!(rescaled.ends_with(" × 2 days) = ¥6.75"), "{rescaled}");
    let borne = [(120_000, 1), (60_000, 22)].map(|(fen, days)| Borne { balance: Fen::new(fen), days });
    let (agreed, balance, new) = (Fen::new(1_080), Fen::new(120_000), Fen::new(563));
    let again = Rescaling::InterestAgain { agreed, balance, days: 23, borne: borne.to_vec(), new };
    assert_eq!(
        words::rescaled(&page, &again),
        "interest as agreed ¥10.80 × (balance ¥1,200.00 × 1 day + balance ¥600.00 × 22 days) ÷ (¥1,200.00 × 23 days) = ¥5.63"
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_level_payment_after_free_months_is_not_said_to_be_by_days(pool: PgPool) {
    let page = Page::of(Visit::of_nobody(&house::open(pool, "2026-03-02").await, Language::English));
    let request = |day_count, level, free_periods| ScheduleRequest {
        method: Method::EqualInstallment,
        day_count,
        level,
        principal: Fen::new(1_000_000),
        periods: 12,
        annual_rate: "0.18".parse().unwrap(),
        fee_rate_per_period: Rate::ZERO,
        free_periods,
        start_on: "2026-03-02".parse().unwrap(),
        due: DueDates::FromStart,
    };
    let monthly = words::level_payment(&page, &request(DayCount::Monthly, Level::Actual, 1)).unwrap();
    let by_months = "if the first period bears no interest, and each later one 18% a year ÷ 12";
    assert!(monthly.starts_with("payment ¥") && monthly.ends_with(by_months), "{monthly}");
    // The interest runs by days, but not what the payment is found by.
    let drifting = words::level_payment(&page, &request(DayCount::Act365, Level::Monthly, 2)).unwrap();
    assert!(drifting.ends_with("if the first 2 periods bear no interest, and each later one 18% a year ÷ 12"));
    let by_days = words::level_payment(&page, &request(DayCount::Act365, Level::Actual, 1)).unwrap();
    assert!(by_days.ends_with("in 12 payments at 18% a year over the days that bear interest"), "{by_days}");
}
