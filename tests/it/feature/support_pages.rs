//! The pages name the support contact wherever a page cannot help and on the account's pages, and nothing if none is configured.

use fenqi::app::App;
use fenqi::page::Support;
use fenqi::purchase::{Authoriser, Decision};
use fenqi::sandbox::{Fault, Scripted};
use fenqi::{repayment, settlement};
use sqlx::PgPool;

use super::bill_pages::{billed, submit};
use crate::browser::{Browser, Shown};
use crate::shopper::Shopper;
use crate::till::Till;
use crate::{counter, newcomer};

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
async fn a_borrower_finds_the_number_where_paying_alone_does_not_help(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let app = shopper.town.app.clone();
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    shopper.town.buy(vec![wish]).await;
    sqlx::query("update bank_card set status = 'invalid'").execute(&app.pool).await.unwrap();
    shopper.live_until("2026-04-01").await;
    sqlx::query("update credit_line set status = 'frozen', frozen_for = 'overdue'").execute(&app.pool).await.unwrap();
    let mut answered = answered(&app, &shopper.browser).await;
    answered.get("/home").await.shows("Once it is paid, it can.").hides("tel:");
    for frozen_for in ["overdue,operator", "operator"] {
        let frozen = sqlx::query("update credit_line set frozen_for = $1").bind(frozen_for);
        frozen.execute(&app.pool).await.unwrap();
        names_the_number(answered.get("/home").await.shows("Overdue").hides("Once it is paid, it can."));
    }
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
async fn a_refund_that_no_card_took_leads_to_the_cards_and_to_the_number(pool: PgPool) {
    let (mut shopper, _world) = Shopper::open_in_world(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 12));
    let receipt = shopper.town.buy(vec![wish]).await.remove(0);
    let Decision::Authorised { loan_id } = receipt.decision else { panic!("{receipt:?}") };
    shopper.live_until("2026-03-03").await;
    let payoff = format!("/loans/{loan_id}/payoff");
    let page = shopper.browser.get(&payoff).await;
    submit(&mut shopper, &page, &payoff, &[]).await;
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    shopper.town.refund(&receipt, 110_000, "R-1").await;
    let app = shopper.town.app.clone();
    let mut answered = answered(&app, &shopper.browser).await;
    let bought = format!("/purchases/{}", receipt.purchase_id);
    answered.get(&bought).await.shows("is on its way back to your card").hides("/me/cards").hides("tel:");
    let failed = "update payout set status = 'failed', failure = 'account_closed' where kind = 'borrower'";
    sqlx::query(failed).execute(&app.pool).await.unwrap();
    let stuck = answered.get(&bought).await;
    stuck.shows("could not be sent back to your card yet").shows("<a href=\"/me/cards\">Bank cards</a>");
    names_the_number(&stuck);
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
async fn whoever_comes_no_further_with_an_application_finds_the_number(pool: PgPool) {
    let mut place = newcomer::open(pool).await;
    place.browser = answered(&place.app, &place.browser).await;
    let identity = place.sign_in(newcomer::MOBILE).await;
    names_the_number(identity.shows("First, who you are"));
    let card = place.identify(&identity).await;
    card.shows("Bind a bank card").hides("tel:");
    place.world.script("card_signing", None, vec![Scripted::answer("refused")]);
    let fields = [("card_number", newcomer::CARD), ("card_mobile", newcomer::MOBILE), ("agree_withholding", "yes")];
    let refused = place.browser.submit(&card, "/me/cards/new", &fields).await;
    names_the_number(refused.has_status(422).shows("The bank did not accept this card"));
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
    for path in ["/m", "/m/orders", "/m/orders/new"] {
        names_the_number(answered.get(path).await.shows("does not take payments at present"));
    }
    // So does whoever cannot sign in, or works for nobody here.
    answered.cookies.clear();
    names_the_number(answered.get("/m/sign-in").await.is_at("/m/sign-in"));
    let company = counter::sign_in(&mut answered, &till.world, "13700137000").await;
    names_the_number(company.is_at("/m/join").shows("Is the company with us already?"));
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
