//! The pages state the price of a loan correctly before and after it is agreed: plans with different payments, annual rates, the order of
//! payments, and the signed text.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::browser::Shown;
use crate::shopper::{PIN, Shopper};

/// A shopper in a town where these products are sold too.
async fn shopper_where(pool: PgPool, more: &[&str]) -> Shopper {
    let mut shopper = Shopper::open(pool).await;
    for text in more {
        fenqi::product::publish(&shopper.town.app, text).await.unwrap();
    }
    let app = shopper.town.app.clone();
    shopper.town.products = app.catalogue.load_on_sale(&mut app.pool.acquire().await.unwrap()).await.unwrap();
    shopper
}

/// Interest first, sold at this shop.
fn interest_first() -> String {
    include_str!("../../../products/interest-first.toml").replace("\"education\"", "\"home\"")
}

/// Buys by the pages; returns the page that asked for the PIN, and the loan's address.
async fn buy(shopper: &mut Shopper, amount: &str, (product, periods): (&str, u16)) -> (Shown, String) {
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, &format!("?amount={amount}"), product, periods).await;
    let result = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await;
    let loan = result.shows("Paid").text.split("href=\"/loans/").nth(1).unwrap();
    let loan = format!("/loans/{}", loan.split(['"', '/']).next().unwrap());
    (asking, loan)
}

/// The figure beside a label.
fn figure<'a>(page: &'a Shown, label: &str) -> &'a str {
    let rest = page.shows(label).text.split(&format!("<dt>{label}</dt><dd class=\"amount\">")).nth(1).unwrap();
    rest.split('<').next().unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_plan_whose_payments_differ_says_the_first_and_the_last(pool: PgPool) {
    let principal = include_str!("../../../products/equal-principal.toml");
    let mut shopper = shopper_where(pool, &[&interest_first(), principal]).await;
    let code = shopper.poster().await;
    let plans = shopper.browser.get(&format!("{code}?amount=1000")).await;
    plans.shows("¥7.50 first, ¥1,007.50 last, 3 payments").hides("¥7.50 × 3");
    // A level plan is one amount, and the fen that rounding leaves to its last payment are no matter.
    plans.shows("¥87.27 × 12 payments");
    let plans = shopper.browser.get(&format!("{code}?amount=1200")).await;
    plans.shows("¥205.90 first, ¥201.32 last, 6 payments").hides("¥205.90 × 6");
    let asking = shopper.ask(&code, "?amount=1000", "harbour-interest-first", 3).await;
    asking.shows("<dt>First payment</dt>").shows("the last one ¥1,007.50").hides("Each payment");
    // What became of such a plan says both too.
    fenqi::product::publish(&shopper.town.app, &interest_first().replace("A = 0.090", "A = 0.096")).await.unwrap();
    let stale = shopper.browser.get(&asking.at).await;
    stale.has_status(409).shows("were ¥7.50 at first and ¥1,007.50 at the end at 9% a year (simple)");
    stale.shows("are ¥8.00 at first and ¥1,008.00 at the end at 9.6% now");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_loan_and_its_contract_say_what_it_costs_a_year(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    for product in [("harbour-shared-fee", 6), ("harbour-standard", 12), ("harbour-free", 3)] {
        let (asking, loan) = buy(&mut shopper, "600", product).await;
        let shown = shopper.browser.get(&loan).await;
        let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
        for label in ["Annual rate (simple)", "Annual rate (compound, IRR)"] {
            let agreed = figure(&asking, label);
            assert_eq!((figure(&shown, label), figure(&contract, label)), (agreed, agreed), "{product:?}");
            assert_eq!(agreed == "0%", product.0 == "harbour-free", "{product:?} costs {agreed}");
        }
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_payment_settles_first_is_said_before_and_after_it_is_agreed_to(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let (asking, loan) = buy(&mut shopper, "600", ("harbour-standard", 12)).await;
    let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
    for page in [&asking, &contract] {
        page.shows("Interest each time → Penalty interest → Interest → Principal");
        page.shows("more than 90 days overdue").shows("Principal → Interest → Interest each time → Penalty interest");
    }
    let mut chinese = contract.at.clone();
    chinese.push_str("?lang=zh-CN");
    shopper.browser.get(&chinese).await.shows("一期逾期超过 90 天后的还款顺序").shows("本金 → 利息 → 每期利息 → 罚息");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_contract_shows_the_text_that_was_signed_when_the_loan_was_made(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let now = shopper.town.app.clock.now();
    sign(&shopper, "2025-09", "最早的额度协议原文", now - TimeDelta::days(2)).await;
    sign(&shopper, "2025-12", "签过的额度协议原文", now - TimeDelta::days(1)).await;
    let (_, loan) = buy(&mut shopper, "600", ("harbour-standard", 12)).await;
    sign(&shopper, "2026-02", "后来的额度协议原文", now + TimeDelta::days(1)).await;
    shopper.town.app.clock.set(now + TimeDelta::days(2));
    let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
    contract.shows("签过的额度协议原文").hides("最早的额度协议原文").hides("后来的额度协议原文").hides("版本：2026-01");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_lender_is_named_before_and_after_it_is_agreed_to(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let (asking, loan) = buy(&mut shopper, "600", ("harbour-standard", 12)).await;
    let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
    for page in [&asking, &contract] {
        page.shows("<dt>Lender</dt><dd>Harbour Bank</dd>");
    }
    shopper.browser.get("/home/line").await.shows("Lender Harbour Bank");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_paying_late_or_early_costs_is_said_before_and_after_it_is_agreed_to(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let (asking, loan) = buy(&mut shopper, "600", ("harbour-standard", 12)).await;
    let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
    for page in [&asking, &contract] {
        page.shows("1.3 times the contract rate a year, counted over 360 days").shows("3 days");
        page.shows("interest to the day of the payoff");
    }
    asking.shows("no other charges if you pay as planned");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_guarantee_charge_is_told_by_its_name_before_and_after_it_is_agreed_to(pool: PgPool) {
    let mut shopper = shopper_where(pool, &[include_str!("../../scenarios/guaranteed.toml")]).await;
    let code = shopper.poster().await;
    // Grade A: 10.00, 6.67 and 3.33 of interest, and 0.3 % of 1,200.00 three times.
    let plans = shopper.browser.get(&format!("{code}?amount=1200")).await;
    plans.shows("Interest ¥20.00 in all · guarantee charge ¥10.80 in all").hides("Interest ¥30.80");
    let (asking, loan) = buy(&mut shopper, "1200", ("harbour-guaranteed", 3)).await;
    assert_eq!(figure(&asking, "Interest in all"), "¥20.00");
    assert_eq!(figure(&asking, "Guarantee charge in all"), "¥10.80");
    assert_eq!(figure(&asking, "To repay in all"), "¥1,230.80");
    asking.shows("principal ¥1,200.00 × 0.3% a period for the guarantor = ¥3.60");
    let contract = shopper.browser.get(&format!("{loan}/agreement")).await;
    let shown = shopper.browser.get(&loan).await;
    for page in [&asking, &contract, &shown] {
        page.shows("<dt>Guarantee charge</dt><dd>0.3% of the amount bought, each payment");
    }
    for page in [&asking, &contract] {
        page.shows("Guarantee charge → Penalty interest → Interest → Principal").hides("Interest each time");
    }
    // Elsewhere there is none.
    let (asking, other) = buy(&mut shopper, "600", ("harbour-standard", 12)).await;
    asking.hides("uarantee charge");
    let contract = shopper.browser.get(&format!("{other}/agreement")).await;
    contract.shows("<dt>Lender</dt><dd>Harbour Bank</dd>").hides("<dt>Guarantee charge</dt>");
    let chinese = shopper.browser.get(&format!("{loan}/agreement?lang=zh-CN")).await;
    chinese.shows("<dt>担保费</dt>").shows("担保费 → 罚息 → 利息 → 本金");
}

/// The borrower agreed to a wording of the credit agreement.
async fn sign(shopper: &Shopper, version: &str, body: &str, at: DateTime<Utc>) {
    let pool = &shopper.town.app.pool;
    let text = "insert into consent_text (sha256, kind, version, body) values (sha256(convert_to($2, 'UTF8')), 'credit', $1, $2)";
    sqlx::query(text).bind(version).bind(body).execute(pool).await.unwrap();
    let consent = "insert into consent (borrower_id, consent_id, kind, text_sha256, device, agreed_at)
                   values ($1, gen_random_uuid(), 'credit', sha256(convert_to($2, 'UTF8')), 'test', $3)";
    sqlx::query(consent).bind(shopper.borrower_id).bind(body).bind(at).execute(pool).await.unwrap();
}
