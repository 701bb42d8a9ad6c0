//! The merchant's pages: sign-in, the choice between merchants, and rights.

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::id::MerchantId;
use fenqi::merchant::actions::AccountChange;
use fenqi::merchant::agreement_actions::AgreementChange;
use fenqi::merchant::h5::MerchantSignedIn;
use fenqi::merchant::{self, Decision, MerchantStatus, Right, Role};
use fenqi::sandbox::World;
use sqlx::PgPool;

use crate::browser::Browser;
use crate::counter::{self, OWNER, hire, hire_owner};
use crate::{house, town};

struct Place {
    app: App,
    world: Arc<World>,
    browser: Browser,
    merchant_id: MerchantId,
}

async fn open(pool: PgPool) -> Place {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let town = town::found(app.clone(), 100_000_000).await;
    hire_owner(&app, town.merchant_id).await;
    let browser = Browser::open(&app).await;
    Place { app, world, browser, merchant_id: town.merchant_id }
}

/// A second merchant, accepted.
async fn second(app: &App) -> MerchantId {
    let merchant_id = town::neighbour_applies(app).await;
    town::judge(app, merchant_id, Decision::Accept).await;
    merchant_id
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_owner_signs_in_comes_back_to_the_page_asked_for_and_signs_out(pool: PgPool) {
    let mut place = open(pool).await;
    let shown = counter::sign_in_from(&mut place.browser, &place.world, OWNER, "/m/more").await;
    shown
        .is_at("/m/more")
        .shows("王老板")
        .shows("139****9000")
        .shows("Owner")
        .shows("上海老王家居有限公司")
        .hides(OWNER);
    place.browser.get("/m/sign-in?next=/m").await.is_at("/m");
    let out = place.browser.submit(&shown, "/m/sign-out", &[]).await;
    out.is_at("/m/sign-in").shows("signed out");
    place.browser.get("/m").await.is_at("/m/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn sign_in_leads_nowhere_else_and_a_wrong_code_does_not_sign_in(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/m/sign-in?next=https://evil.example/").await;
    assert!(page.form("/m/sign-in").contains("name=\"next\" value=\"/m\""));
    let sent = place.browser.submit(&page, "/m/sign-in", &[("mobile", OWNER), ("do", "send")]).await;
    let code = counter::code_sent_to(&place.world, OWNER);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let fields = [("mobile", OWNER), ("passcode", wrong), ("next", "//evil.example"), ("do", "sign_in")];
    let refused = place.browser.submit(&sent, "/m/sign-in", &fields).await;
    refused.has_status(422).shows("The code is not right").shows(OWNER);
    let fields = [("mobile", OWNER), ("passcode", code.as_str()), ("next", "//evil.example"), ("do", "sign_in")];
    place.browser.submit(&refused, "/m/sign-in", &fields).await.is_at("/m");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whether_a_mobile_is_known_is_not_told_and_codes_are_throttled(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/m/sign-in").await;
    let texts = |text: &str, mobile: &str| {
        let main = text.split_once("<main").unwrap().1.replace(mobile, "");
        main.split("value=\"").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest)).collect::<String>()
    };
    let known = place.browser.submit(&page, "/m/sign-in", &[("mobile", OWNER), ("do", "send")]).await;
    let unknown = place.browser.submit(&page, "/m/sign-in", &[("mobile", "13700137000"), ("do", "send")]).await;
    assert_eq!((known.status, unknown.status), (200, 200));
    assert_eq!(texts(&known.text, OWNER), texts(&unknown.text, "13700137000"));
    let again = place.browser.submit(&known, "/m/sign-in", &[("mobile", OWNER), ("do", "send")]).await;
    again.has_status(422).shows("Wait a minute");
    for field in ["", "12345", "手机", &"9".repeat(10_000)] {
        let refused = place.browser.submit(&page, "/m/sign-in", &[("mobile", field), ("do", "send")]).await;
        refused.has_status(422).shows("aria-invalid=\"true\"");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn somebody_at_two_merchants_chooses_and_changes_over(pool: PgPool) {
    let mut place = open(pool).await;
    let other = second(&place.app).await;
    hire(&place.app, other, OWNER, Role::Cashier).await;
    let stranger = hire(&place.app, other, "13700137000", Role::Owner).await;
    let choice = counter::sign_in_from(&mut place.browser, &place.world, OWNER, "/m/more").await;
    choice.is_at("/m/choose").shows("上海老王家居有限公司").shows("上海小李数码有限公司").shows("Cashier");
    let staff = |name: &str| {
        let before = choice.text.split(name).next().unwrap();
        before.rsplit("value=\"").next().unwrap().split('"').next().unwrap().to_owned()
    };
    let (first, second) = (staff("上海老王家居有限公司"), staff("上海小李数码有限公司"));
    place.browser.submit(&choice, "/m/choose", &[("staff", &stranger.to_string())]).await.has_status(404);
    let shown = place.browser.submit(&choice, "/m/choose", &[("staff", &second)]).await;
    shown.is_at("/m/more").shows("上海小李数码有限公司").shows("Cashier");
    let choice = place.browser.get("/m/choose").await;
    place.browser.submit(&choice, "/m/choose", &[("staff", &first)]).await.is_at("/m").shows("上海老王家居有限公司");
    // Whoever has begun one more application finds the way back.
    let company = place.browser.submit(&choice, "/m/choose", &[("staff", "another")]).await;
    company.shows("Become a merchant").shows("href=\"/m/choose\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_works_at_no_merchant_is_told_where_to_turn(pool: PgPool) {
    let mut place = open(pool).await;
    let shown = counter::sign_in(&mut place.browser, &place.world, "13700137000").await;
    shown.is_at("/m/join").has_status(200).shows("Become a merchant").shows("its owner adds you");
    shown.hides("href=\"/m/choose\"");
    place.browser.get("/m").await.is_at("/m/join");
    // As soon as somebody is added, the same session leads in.
    hire(&place.app, place.merchant_id, "13700137000", Role::Cashier).await;
    place.browser.get("/m/join").await.is_at("/m/choose").shows("Cashier");
    Browser::open(&place.app).await.get("/m/join").await.is_at("/m/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_that_is_not_accepted_sees_where_its_application_stands(pool: PgPool) {
    let mut place = open(pool).await;
    let waiting = town::neighbour_applies(&place.app).await;
    hire(&place.app, waiting, "13700137000", Role::Owner).await;
    let shown = counter::sign_in_from(&mut place.browser, &place.world, "13700137000", "/m/purchases").await;
    shown.is_at("/m/join").has_status(200).shows("上海小李数码有限公司").shows("Under review");
    town::judge(&place.app, waiting, Decision::Refuse).await;
    place.browser.get("/m").await.is_at("/m/join").shows("Not accepted").shows("papers checked");
    let out = place.browser.get("/m/join").await;
    place.browser.submit(&out, "/m/sign-out", &[]).await.is_at("/m/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_right_that_is_missing_ends_in_a_page_that_says_whom_to_ask(pool: PgPool) {
    let place = open(pool).await;
    let cashier = hire(&place.app, place.merchant_id, "13700137000", Role::Cashier).await;
    let at = merchant::staff_actions::find_staff(&place.app, cashier.uuid()).await.unwrap().unwrap();
    let signed_in = MerchantSignedIn {
        merchant_id: place.merchant_id,
        merchant_name: at.merchant_name,
        status: MerchantStatus::Active,
        rights: at.staff.role,
        staff: at.staff,
    };
    let problem = signed_in.require(Right::Refund).unwrap_err();
    assert_eq!((problem.status, problem.code), (StatusCode::FORBIDDEN, "right_missing"));
    assert!(signed_in.require(Right::MakeOrders).is_ok());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_session_ends_by_time_and_a_borrower_is_nobody_here(pool: PgPool) {
    let mut place = open(pool).await;
    counter::sign_in(&mut place.browser, &place.world, OWNER).await.is_at("/m");
    place.browser.get("/home").await.is_at("/sign-in");
    place.app.clock.set(place.app.clock.now() + TimeDelta::days(8));
    place.browser.get("/m").await.is_at("/m/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_owner_sees_what_was_agreed_and_a_cashier_does_not(pool: PgPool) {
    let mut place = open(pool).await;
    counter::sign_in(&mut place.browser, &place.world, OWNER).await.is_at("/m");
    place.browser.get("/m/more").await.shows("0.6%").shows("it comes back when a purchase is refunded");
    for by in ["Li Na", "Wang Wei"] {
        let change = AgreementChange {
            merchant_id: place.merchant_id,
            discount_rate: "0.0045".parse().unwrap(),
            discount_returned_on_refund: false,
            stated_by: by.into(),
        };
        let _ = merchant::change_agreement(&place.app, &change).await.unwrap();
    }
    place.browser.get("/m/more").await.shows("0.45%").shows("it stays when a purchase is refunded").hides("0.6%");
    hire(&place.app, place.merchant_id, "13700137000", Role::Cashier).await;
    let mut cashier = Browser::open(&place.app).await;
    counter::sign_in(&mut cashier, &place.world, "13700137000").await.is_at("/m");
    cashier.get("/m/more").await.has_status(200).hides("0.45%").hides("Discount fee").hides("Settlement account");
    let told = place.browser.get("/m/messages").await;
    told.shows("the discount fee is 0.45%, and stays when a purchase is refunded").shows("<a href=\"/m/more\">See</a>");
    cashier.get("/m/messages").await.has_status(200).hides("0.45%");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_is_told_of_another_account_on_its_pages_and_by_sms(pool: PgPool) {
    let mut place = open(pool).await;
    counter::sign_in(&mut place.browser, &place.world, OWNER).await.is_at("/m");
    let state = async |by: &str| {
        let (merchant_id, account_number) = (place.merchant_id, "6222021234567890123".to_owned());
        let change = AccountChange { merchant_id, account_number, changed_by: by.to_owned() };
        let _ = merchant::change_settlement_account(&place.app, &change).await.unwrap();
        fenqi::outbox::jobs::deliver_outbox(&place.app).await.unwrap();
        let book = fenqi::sandbox::world::lock(&place.world.sms);
        let messages = book.messages_to("13800138000").into_iter();
        messages.filter(|message| message.template == "merchant_account_changed").count()
    };
    assert_eq!(state("Li Na").await, 0, "one person's word changes nothing");
    assert_eq!(state("Wang Wei").await, 1);
    let told = place.browser.get("/m/messages").await;
    told.shows("which ends in 0123").shows("call customer service at once").shows("<a href=\"/m/more\">See</a>");
    place.browser.get("/m/more").await.shows("Settlement account").shows("···· 0123");
}
