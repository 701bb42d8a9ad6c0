//! A borrower changes the account's mobile on its page: which proof is needed, which is not enough, and who can sign in afterwards.

use chrono::TimeDelta;
use fenqi::borrower::BorrowerRefusal;
use fenqi::borrower::mobile_actions::{NewMobile, OwnWeChat, StatedBy, change_mobile};
use fenqi::outbox::jobs::deliver_outbox;
use fenqi::sandbox::Scripted;
use fenqi::sandbox::world::lock;
use sqlx::PgPool;

use super::applicant;
use crate::browser::{Browser, Shown};
use crate::house;
use crate::newcomer::{MOBILE, PIN, Place, open};
use crate::town::refused;

const NEW: &str = "13900139000";

/// A borrower with a line and a PIN, which was set the day before.
async fn settled(pool: PgPool) -> Place {
    let mut place = open(pool).await;
    place.settle().await;
    let the_day_before = "update pin set reset_at = reset_at - interval '1 day'";
    sqlx::query(the_day_before).execute(&place.app.pool).await.unwrap();
    place
}

/// Has a code sent to another mobile.
async fn ask(place: &mut Place, mobile: &str) -> Shown {
    let page = place.browser.get("/me/mobile").await;
    let sent = place.browser.submit(&page, "/me/mobile", &[("mobile_new", mobile), ("do", "send")]).await;
    sent.has_status(200).shows("The code has been sent");
    sent
}

/// The same, and puts in the code that came.
async fn change(place: &mut Place, mobile: &str) -> Shown {
    let sent = ask(place, mobile).await;
    let code = place.code_sent_to(mobile);
    let fields = [("mobile_new", mobile), ("passcode", code.as_str()), ("pin", PIN), ("do", "change")];
    place.browser.submit(&sent, "/me/mobile", &fields).await
}

fn templates_sent_to(place: &Place, mobile: &str) -> Vec<String> {
    let book = lock(&place.world.sms);
    let messages = book.messages_to(mobile).into_iter();
    messages.filter(|message| message.template != "passcode").map(|message| message.template.clone()).collect()
}

/// The mobiles of cards, sealed, and how often the borrower's own was changed.
async fn kept(place: &Place) -> (Vec<Vec<u8>>, i64) {
    let cards = sqlx::query_scalar("select mobile_sealed from bank_card order by card_id");
    (cards.fetch_all(&place.app.pool).await.unwrap(), kept_changes(place).await)
}

async fn kept_changes(place: &Place) -> i64 {
    sqlx::query_scalar("select count(*) from mobile_change").fetch_one(&place.app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_new_mobile_opens_the_account_and_whoever_holds_the_former_one_is_somebody_new(pool: PgPool) {
    let mut place = settled(pool).await;
    let (cards, _) = kept(&place).await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let own = std::mem::replace(&mut place.browser, Browser::open(&place.app).await);
    place.sign_in(MOBILE).await.is_at("/home");
    let mut elsewhere = std::mem::replace(&mut place.browser, own);
    deliver_outbox(&place.app).await.unwrap();

    let sent = ask(&mut place, NEW).await;
    let code = place.code_sent_to(NEW);
    let fields = |pin| [("mobile_new", NEW), ("passcode", code.as_str()), ("pin", pin), ("do", "change")];
    let wrong = place.browser.submit(&sent, "/me/mobile", &fields("314159")).await;
    wrong.has_status(422).shows("The PIN is not right").hides("314159").shows(NEW);
    elsewhere.get("/home").await.is_at("/home");
    // The code was not used up by that.
    let done = place.browser.submit(&sent, "/me/mobile", &fields(PIN)).await;
    done.is_at("/me").shows("You sign in by the new number from now on").shows("139****9000").hides("138****8000");
    // The same form again, as by a second tap, finds it done.
    place.browser.submit(&sent, "/me/mobile", &fields(PIN)).await.is_at("/me");
    elsewhere.get("/home").await.is_at("/sign-in");
    place.browser.get("/me/messages").await.shows("you sign in by another mobile number");
    assert_eq!(kept(&place).await, (cards, 1), "cards keep the mobiles that their banks know");
    assert!(house::did(&place.app.pool, "mobile_changed").await.is_empty(), "a borrower's own is no act by hand");

    let before = templates_sent_to(&place, MOBILE).len();
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!(templates_sent_to(&place, MOBILE)[before..], ["mobile_given_up"]);
    assert_eq!(templates_sent_to(&place, NEW), ["mobile_changed"]);
    let told = lock(&place.world.sms).messages_to(MOBILE).last().unwrap().parameters.clone();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [("changed_on".to_owned(), "2026-03-05".to_owned())]);
    let export = place.browser.get("/me/export").await;
    let file = place.browser.submit(&export, "/me/export", &[("pin", PIN)]).await;
    let document: serde_json::Value = serde_json::from_str(&file.text).unwrap();
    assert_eq!((&document["person"]["mobile"], &document["cards"][0]["mobile"]), (&NEW.into(), &MOBILE.into()));
    let changes = document["mobile_changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!((&changes[0]["former_mobile"], &changes[0]["changed_by"]), (&MOBILE.into(), &"borrower".into()));

    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    place.browser = Browser::open(&place.app).await;
    let stranger = place.sign_in(MOBILE).await;
    stranger.is_at("/apply").shows("First, who you are");
    // Not even with the borrower's name and ID number.
    place.identify(&stranger).await.has_status(422).shows("registered with another mobile number");
    place.browser = Browser::open(&place.app).await;
    place.sign_in(NEW).await.is_at("/home");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_does_not_prove_the_new_mobile_or_is_of_another_account_changes_nothing(pool: PgPool) {
    let mut place = settled(pool).await;
    let (cards, _) = kept(&place).await;
    let taken = applicant::registration(&place.app, 7).mobile;
    applicant::registered(&place.app, 7).await;

    let page = place.browser.get("/me/pin/forgotten").await;
    place.browser.submit(&page, "/me/pin/forgotten", &[("do", "send")]).await;
    let sent = ask(&mut place, NEW).await;
    let (of_old, of_new) = (place.code_sent_to(MOBILE), place.code_sent_to(NEW));
    let fields = |mobile, code| [("mobile_new", mobile), ("passcode", code), ("pin", PIN), ("do", "change")];
    let old = place.browser.submit(&sent, "/me/mobile", &fields(NEW, of_old.as_str())).await;
    old.has_status(422).shows("The code is not right").hides(&of_old);
    let other = place.browser.submit(&sent, "/me/mobile", &fields("13900139001", of_new.as_str())).await;
    other.has_status(422).shows("The code is no longer valid");
    let without = [("mobile_new", NEW), ("passcode", of_new.as_str()), ("do", "change")];
    place.browser.submit(&sent, "/me/mobile", &without).await.has_status(422).shows("id=\"pin-error\"");
    let own = place.browser.submit(&sent, "/me/mobile", &[("mobile_new", MOBILE), ("do", "send")]).await;
    own.has_status(422).shows("You sign in by this number already");
    let malformed = place.browser.submit(&sent, "/me/mobile", &[("mobile_new", "1390013"), ("do", "send")]).await;
    malformed.has_status(422).shows("mobile number of 11 digits");

    // That another account has it is told to whoever holds it, and to nobody before.
    ask(&mut place, taken.reveal()).await.hides("signs in to another account");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    change(&mut place, taken.reveal()).await.has_status(422).shows("This mobile number signs in to another account");
    place.browser.get("/me").await.shows("138****8000");
    assert_eq!(kept(&place).await, (cards, 0));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrower_has_ten_codes_a_day_sent_to_whatever_mobiles(pool: PgPool) {
    let mut place = settled(pool).await;
    for number in 0..10 {
        let mobile = format!("137000000{number:02}");
        let sent = ask(&mut place, &mobile).await;
        // What is refused is not counted.
        let again = place.browser.submit(&sent, "/me/mobile", &[("mobile_new", mobile.as_str()), ("do", "send")]).await;
        again.has_status(422);
    }
    let page = place.browser.get("/me/mobile").await;
    let refused = place.browser.submit(&page, "/me/mobile", &[("mobile_new", NEW), ("do", "send")]).await;
    refused.has_status(422).shows("Too many codes were asked for").shows("tomorrow at");
    assert!(lock(&place.world.sms).messages_to(NEW).is_empty());
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(24));
    change(&mut place, NEW).await.is_at("/me").shows("139****9000");
}

/// Sets another PIN by a code to the present mobile and the end of the ID number.
async fn reset_pin(place: &mut Place, pin: &str) {
    let page = place.browser.get("/me/pin/forgotten").await;
    let sent = place.browser.submit(&page, "/me/pin/forgotten", &[("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields =
        [("passcode", code.as_str()), ("id_last", "31002X"), ("pin_new", pin), ("pin_again", pin), ("do", "set")];
    place.browser.submit(&sent, "/me/pin/forgotten", &fields).await.is_at("/me").shows("The payment PIN is set");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_set_the_pin_anew_by_a_code_waits_a_day_to_change_the_mobile(pool: PgPool) {
    let mut place = settled(pool).await;
    let sent = ask(&mut place, NEW).await;
    let of_new = place.code_sent_to(NEW);
    reset_pin(&mut place, "161803").await;
    let fields = [("mobile_new", NEW), ("passcode", of_new.as_str()), ("pin", "161803"), ("do", "change")];
    let kept = place.browser.submit(&sent, "/me/mobile", &fields).await;
    kept.has_status(422).shows("you may change the mobile number tomorrow at 10:00.").hides("name=\"mobile_new\"");
    let messages = place.browser.get("/me/messages").await;
    messages.shows("The mobile number cannot be changed here before 6 March 2026.").shows("href=\"/me/sessions\"");
    deliver_outbox(&place.app).await.unwrap();
    assert_eq!(templates_sent_to(&place, MOBILE).last().map(String::as_str), Some("pin_reset"));

    // That whoever knows it chooses another PIN shortens nothing.
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(13));
    let page = place.browser.get("/me/pin").await;
    let fields = [("pin_former", "161803"), ("pin_new", PIN), ("pin_again", PIN)];
    place.browser.submit(&page, "/me/pin", &fields).await.is_at("/me");
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(10));
    place.browser.language = "zh-CN";
    let kept = place.browser.get("/me/mobile").await;
    kept.has_status(200).shows("今天 10:00 以后可以更换手机号").hides("name=\"pin\"").hides("value=\"send\"");
    place.browser.get("/me/messages").await.shows("2026年3月6日之前不能自行更换手机号");
    place.browser.language = "en";
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(1));
    change(&mut place, NEW).await.is_at("/me").shows("139****9000");
    assert_eq!(kept_changes(&place).await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_set_the_first_pin_waits_a_day_to_change_the_mobile(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let kept = place.browser.get("/me/mobile").await;
    kept.has_status(200).shows("you may change the mobile number tomorrow at 10:00.").hides("name=\"mobile_new\"");
    let own = NewMobile {
        mobile: NEW.parse().unwrap(),
        stated_by: StatedBy::Borrower { token_hash: [0; 32], wechat: OwnWeChat::Proved },
    };
    let until = place.app.clock.now() + TimeDelta::hours(24);
    let changed = change_mobile(&place.app, place.borrower().await, &own).await;
    assert_eq!(refused(changed), BorrowerRefusal::PinResetLately { until });
    let told = "select count(*) from notice where kind in ('pin_reset', 'pin_changed')";
    let told: i64 = sqlx::query_scalar(told).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(told, 0, "there was none before");
    place.app.clock.set(until);
    change(&mut place, NEW).await.is_at("/me").shows("139****9000");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_operator_gives_another_mobile_at_once_though_the_pin_was_just_set_anew(pool: PgPool) {
    let mut place = settled(pool).await;
    reset_pin(&mut place, "161803").await;
    let borrower_id = place.borrower().await;
    let state = async |stated_by| {
        change_mobile(&place.app, borrower_id, &NewMobile { mobile: NEW.parse().unwrap(), stated_by }).await
    };
    let own = state(StatedBy::Borrower { token_hash: [0; 32], wechat: OwnWeChat::Proved }).await;
    let until = place.app.clock.now() + TimeDelta::hours(24);
    assert_eq!(refused(own), BorrowerRefusal::PinResetLately { until });
    let (person, reason) = ("Li Na".to_owned(), "came with the ID card".to_owned());
    state(StatedBy::Operator { person, reason }).await.unwrap();
    assert_eq!(kept_changes(&place).await, 1);
}

/// Comes to the home page in the WeChat of `openid`.
async fn come(place: &mut Place, openid: &str) -> Shown {
    place.world.script("wechat", None, vec![Scripted::answer(&format!("openid:{openid}"))]);
    place.browser = Browser::at(&place.browser.address).in_wechat();
    place.browser.get("/home").await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_wechat_that_whoever_holds_the_former_mobile_has_linked_opens_the_account_no_more(pool: PgPool) {
    let mut place = settled(pool).await;
    let borrower_id = place.borrower().await;
    house::link_openid(&place.app, borrower_id, "o-stranger").await.unwrap();
    change(&mut place, NEW).await.is_at("/me");
    come(&mut place, "o-stranger").await.is_at("/sign-in");
    // Whoever comes by WeChat keeps it.
    house::link_openid(&place.app, borrower_id, "o-wang").await.unwrap();
    come(&mut place, "o-wang").await.is_at("/home");
    change(&mut place, "13900139001").await.is_at("/me").shows("139****9001");
    come(&mut place, "o-wang").await.is_at("/home");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_has_no_pin_sets_one_before_another_mobile(pool: PgPool) {
    let mut place = settled(pool).await;
    sqlx::query("delete from pin").execute(&place.app.pool).await.unwrap();
    let page = place.browser.get("/me/mobile").await;
    page.shows("Please set one first").shows("href=\"/me/pin?next=/me/mobile\"").hides("name=\"pin\"");
    let csrf = page.field("csrf");
    let forced = place.browser.post("/me/mobile", format!("csrf={csrf}&mobile_new={NEW}&pin={PIN}&do=change")).await;
    forced.has_status(422).shows("Please set one first");
    assert_eq!(kept(&place).await.1, 0);
}
