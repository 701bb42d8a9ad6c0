//! The pages name the support contact wherever a page cannot help and on the account's pages, and nothing if none is configured.

use fenqi::app::App;
use fenqi::page::Support;
use fenqi::purchase::{Authoriser, Decision};
use fenqi::sandbox::{Fault, Scripted};
use fenqi::{repayment, settlement};
use sqlx::PgPool;

use super::bill_pages::{billed, submit};
use crate::browser::{Browser, Shown};
use crate::newcomer;
use crate::shopper::Shopper;
use crate::till::Till;

/// The same browser before the same house, which has stated whom people call.
async fn answered(app: &App, browser: &Browser) -> Browser {
    let support = Support::at("400-820-8820".parse().unwrap(), Some("09:00-21:00".parse().unwrap()));
    let app = App { site: app.site.clone().answered_by(Some(support)), ..app.clone() };
    let mut answered = Browser::open(&app).await;
    answered.cookies = browser.cookies.clone();
    answered
}

fn names_the_number(page: &Shown) {
    page.shows("href=\"tel:4008208820\"").shows(">400-820-8820<").shows("every day 09:00–21:00");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrower_finds_the_number_under_me_and_on_pages_that_refuse_or_fail(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 2_000_000, ("harbour-standard", 12));
    let receipt = Authoriser::start(shopper.town.app.clone()).authorise(wish).await.unwrap();
    assert!(matches!(receipt.decision, Decision::Refused(_)));
    let refused = format!("/purchases/{}", receipt.purchase_id);
    let mut answered = answered(&shopper.town.app, &shopper.browser).await;
    let own = ["/me", "/me/sessions", "/me/mobile", "/me/pin/forgotten"];
    for path in own.into_iter().chain(["/nowhere", "/q/nothing", refused.as_str()]) {
        let named = answered.get(path).await;
        names_the_number(&named);
        let silent = shopper.browser.get(path).await;
        silent.has_status(named.status).hides("tel:").hides("Customer service");
        assert_eq!(silent.at, named.at);
    }
    for path in ["/home", "/home/line"] {
        answered.get(path).await.is_at(path).hides("tel:");
    }
    let frozen = "update credit_line set status = 'frozen', frozen_for = 'operator'";
    sqlx::query(frozen).execute(&shopper.town.app.pool).await.unwrap();
    for path in ["/home", "/home/line"] {
        names_the_number(&answered.get(path).await);
    }
    answered.language = "zh-CN";
    answered.get("/me").await.shows("客服电话").shows("每天 09:00–21:00");
    // So does whoever can sign in no more.
    answered.cookies.clear();
    answered.get("/sign-in").await.is_at("/sign-in").shows("客服电话");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_of_which_nothing_is_known_names_the_number_and_one_that_is_paid_does_not(pool: PgPool) {
    let (mut shopper, world, _) = billed(pool).await;
    world.script("withholding_a", None, vec![Scripted::answer("success").with(Fault::TimeoutAfter)]);
    let page = shopper.browser.get("/bills/pay").await;
    let ordered = submit(&mut shopper, &page, "/bills/pay", &[("how", "all")]).await;
    let app = shopper.town.app.clone();
    repayment::jobs::submit_withholdings(&app).await.unwrap();
    let mut answered = answered(&app, &shopper.browser).await;
    let unknown = answered.get(&ordered.at).await;
    names_the_number(unknown.shows("The bank has not said yet"));
    shopper.browser.get(&ordered.at).await.shows("The bank has not said yet").hides("tel:");
    app.clock.set(app.clock.now() + chrono::TimeDelta::minutes(2));
    assert_eq!(repayment::jobs::query_unknowns(&app).await.unwrap().succeeded, 1);
    answered.get(&ordered.at).await.shows("Paid").hides("tel:");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_applicant_who_is_refused_finds_the_number(pool: PgPool) {
    let mut place = newcomer::open(pool).await;
    let last = place.come_to_submit().await;
    place.world.script("risk", None, vec![Scripted::answer("late_elsewhere")]);
    place.apply(&last).await.shows("Not this time").hides("tel:");
    let mut answered = answered(&place.app, &place.browser).await;
    names_the_number(answered.get("/apply").await.shows("Not this time"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_finds_the_number_under_more_and_where_nothing_can_be_sold(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let mut answered = answered(&till.town.app, &till.browser).await;
    names_the_number(&answered.get("/m/more").await);
    till.browser.get("/m/more").await.is_at("/m/more").hides("tel:");
    names_the_number(&answered.get("/m/nowhere").await);
    answered.get("/m").await.is_at("/m").hides("tel:");
    sqlx::query("update merchant set status = 'suspended'").execute(&till.town.app.pool).await.unwrap();
    names_the_number(answered.get("/m").await.shows("does not take payments at present"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_whose_money_has_not_come_finds_the_number(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, ("harbour-standard", 12)).await;
    till.live_until("2026-03-03").await;
    let app = till.town.app.clone();
    let mut answered = answered(&app, &till.browser).await;
    let day = "/m/settlements/2026-03-02";
    answered.get(day).await.shows("To be paid").hides("tel:");
    till.world.script("payout", None, vec![Scripted::answer("account_closed")]);
    assert_eq!(settlement::submit_payouts(&app).await.unwrap().failed, 1);
    names_the_number(answered.get(day).await.shows("Payment stuck"));
}
