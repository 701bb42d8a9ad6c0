//! The PIN is required before anything that a stranger with the unlocked phone must not do: cards, personal data, the account itself.

use chrono::{DateTime, TimeDelta, Utc};
use fenqi::base::BusinessDay;
use fenqi::borrower;
use sqlx::PgPool;

use crate::browser::Shown;
use crate::newcomer::{CARD, ID_NUMBER, MOBILE, PIN, Place, open};

/// A settled borrower with a second card; returns the address of that card, without what is done to it.
async fn with_two_cards(pool: PgPool) -> (Place, String) {
    let mut place = open(pool).await;
    place.settle().await;
    let page = place.browser.get("/me/cards/new").await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    let cards = place.browser.submit(&code, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    let second = cards.text.split("href=\"").find(|rest| rest.contains("/default\"")).unwrap();
    let card = second.split("/default\"").next().unwrap().to_owned();
    (place, card)
}

/// Every step that takes the PIN, with what else its form holds.
fn steps(card: &str) -> [(String, Vec<(&'static str, &'static str)>); 4] {
    [
        (format!("{card}/default"), Vec::new()),
        (format!("{card}/unbind"), Vec::new()),
        ("/me/export".to_owned(), Vec::new()),
        ("/me/close".to_owned(), vec![("passcode", "000000"), ("do", "close")]),
    ]
}

async fn take(place: &mut Place, step: &(String, Vec<(&'static str, &'static str)>), pin: &str) -> Shown {
    let page = place.browser.get(&step.0).await;
    let mut fields = step.1.clone();
    fields.push(("pin", pin));
    place.browser.submit(&page, &step.0, &fields).await
}

async fn cards(place: &Place) -> Vec<(String, String, bool)> {
    let cards = sqlx::query_as("select number_tail, status, is_default from bank_card order by card_id");
    cards.fetch_all(&place.app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn codes_and_the_end_of_an_id_number_are_taken_in_digits_of_either_width(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/sign-in").await;
    let sent = place.browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let wide = |digit: char| char::from_u32(u32::from(digit) - u32::from('0') + u32::from('０')).unwrap();
    let code: String = place.code_sent_to(MOBILE).chars().map(wide).collect();
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    let identity = place.browser.submit(&sent, "/sign-in", &fields).await;
    let card = place.identify(&identity).await;
    let fields = [("card_number", CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let asked = place.browser.submit(&card, "/me/cards/new", &fields).await;
    let fields = [("card_code", "１３８０００"), ("do", "confirm")];
    place.browser.submit(&asked, "/me/cards/code", &fields).await.shows("Consumer credit line agreement");
    let page = place.browser.get("/me/pin").await;
    let fields = [("id_last", "３１００２x"), ("pin_new", PIN), ("pin_again", PIN)];
    place.browser.submit(&page, "/me/pin", &fields).await.is_at("/me").shows("The payment PIN is set");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_dangerous_is_done_without_the_right_pin(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    let before = cards(&place).await;
    for step in steps(&card) {
        let missing = take(&mut place, &step, "").await;
        missing.has_status(422).shows("id=\"pin-error\"").shows("Please fill this in");
        let malformed = take(&mut place, &step, "12345").await;
        malformed.has_status(422).shows("A payment PIN has 6 digits");
        let wrong = take(&mut place, &step, "314159").await;
        wrong.has_status(422).shows("The PIN is not right").hides("314159").hides(PIN);
        assert_eq!(cards(&place).await, before, "{}", step.0);
        // A right one takes the count of wrong ones back.
        borrower::check_pin(&place.app, place.borrower().await, PIN).await.unwrap();
    }
    place.browser.get("/me").await.is_at("/me");
    let [default, unbind, export, _] = steps(&card);
    take(&mut place, &default, PIN).await.is_at("/me/cards").shows("This is now the default card");
    let file = take(&mut place, &export, PIN).await;
    assert_eq!(file.headers["content-type"], "application/json; charset=utf-8");
    let page = place.browser.get(&unbind.0).await;
    place.browser.submit(&page, &unbind.0, &[("pin", PIN)]).await.is_at("/me/cards").shows("The card was removed");
    // The same form again, as by a second tap, finds it done.
    place.browser.submit(&page, &unbind.0, &[("pin", PIN)]).await.is_at("/me/cards").hides("0014");
    let left: Vec<bool> = cards(&place).await.into_iter().filter(|card| card.1 == "bound").map(|card| card.2).collect();
    assert_eq!(left, [true], "the card that is left is the default one");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn five_wrong_pins_lock_every_step_for_three_hours(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    let before = cards(&place).await;
    let [default, unbind, export, close] = steps(&card);
    // Tries are counted together, wherever they are made.
    for step in [&default, &unbind, &export] {
        take(&mut place, step, "314159").await.has_status(422).shows("The PIN is not right");
    }
    take(&mut place, &close, "314159").await.has_status(422).shows("One more wrong one locks it");
    take(&mut place, &unbind, "314159").await.has_status(422).shows("locked. You may try again today at 13:00,");
    for step in steps(&card) {
        take(&mut place, &step, PIN).await.has_status(422).shows("You may try again today at 13:00,").hides(PIN);
    }
    assert_eq!(cards(&place).await, before);
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(3));
    take(&mut place, &default, PIN).await.is_at("/me/cards").shows("This is now the default card");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn how_an_id_number_ends_which_sets_a_pin_is_not_to_be_read_on_a_page(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    submit.shows("ID number").shows(&ID_NUMBER[..6]);
    for from in 7..ID_NUMBER.len() {
        submit.hides(&format!("*{}", &ID_NUMBER[from..]));
    }
}

/// An instant of Shanghai's clocks.
fn at(day: &str, time: &str) -> DateTime<Utc> {
    day.parse::<BusinessDay>().unwrap().instant(time.parse().unwrap())
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_locked_pin_says_by_the_clock_when_it_may_be_tried_again(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    let [_, unbind, ..] = steps(&card);
    place.app.clock.set(at("2026-03-05", "22:30:01"));
    for _ in 0..4 {
        take(&mut place, &unbind, "314159").await.has_status(422).shows("The PIN is not right");
    }
    // Three hours later is the next day; the minute that has begun by then is not over.
    let locked = take(&mut place, &unbind, "314159").await;
    locked.has_status(422).shows("You may try again tomorrow at 01:31, or set it anew");
    place.browser.language = "zh-CN";
    take(&mut place, &unbind, PIN).await.has_status(422).shows("支付密码已锁定。明天 01:31 以后可以再试");
    place.app.clock.set(at("2026-03-06", "00:10:00"));
    take(&mut place, &unbind, PIN).await.has_status(422).shows("今天 01:31 以后可以再试");
    place.app.clock.set(at("2026-03-06", "01:31:00"));
    take(&mut place, &unbind, PIN).await.is_at("/me/cards").shows("银行卡已解绑");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_id_number_tried_too_often_says_by_the_clock_when_it_may_be_tried_again(pool: PgPool) {
    let (mut place, _) = with_two_cards(pool).await;
    sqlx::raw_sql("delete from pin; delete from throttle").execute(&place.app.pool).await.unwrap();
    let set = async |place: &mut Place, id_last: &str| {
        let page = place.browser.get("/me/pin").await;
        let fields = [("id_last", id_last), ("pin_new", PIN), ("pin_again", PIN)];
        place.browser.submit(&page, "/me/pin", &fields).await
    };
    place.app.clock.set(at("2026-03-05", "14:04:30"));
    for _ in 0..10 {
        set(&mut place, "310021").await.has_status(422).shows("not how your ID number ends");
    }
    place.app.clock.set(at("2026-03-05", "20:00:00"));
    set(&mut place, "31002X").await.has_status(422).shows("You may try again tomorrow at 14:05.");
    place.browser.language = "zh-CN";
    set(&mut place, "31002X").await.has_status(422).shows("暂时不能再试。明天 14:05 以后可以再试。");
    place.app.clock.set(at("2026-03-06", "09:00:00"));
    set(&mut place, "31002X").await.has_status(422).shows("今天 14:05 以后可以再试。");
    place.app.clock.set(at("2026-03-06", "14:05:00"));
    set(&mut place, "31002X").await.is_at("/me").shows("支付密码已设置");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_has_no_pin_is_led_to_setting_one_and_back(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    sqlx::query("delete from pin").execute(&place.app.pool).await.unwrap();
    let before = cards(&place).await;
    for (address, _) in &steps(&card)[..3] {
        let page = place.browser.get(address).await;
        page.shows("Please set one first").shows(&format!("href=\"/me/pin?next={address}\"")).hides("name=\"pin\"");
        let csrf = page.field_of(address, "csrf");
        let forced = place.browser.post(address, format!("csrf={csrf}&pin={PIN}")).await;
        forced.has_status(422).shows("Please set one first");
    }
    assert_eq!(cards(&place).await, before);
    let export = place.browser.get("/me/pin?next=/me/export").await;
    let fields = [("id_last", "31002x"), ("pin_new", PIN), ("pin_again", PIN)];
    place.browser.submit(&export, "/me/pin", &fields).await.is_at("/me/export").shows("The payment PIN is set");
    // The same form again, as by a second tap, finds it set; another PIN takes the one that stands.
    place.browser.submit(&export, "/me/pin", &fields).await.is_at("/me/export").shows("The payment PIN is set");
    let other = [("id_last", "31002x"), ("pin_new", "161803"), ("pin_again", "161803")];
    place.browser.submit(&export, "/me/pin", &other).await.has_status(422);
    borrower::check_pin(&place.app, place.borrower().await, PIN).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_end_of_an_id_number_is_tried_ten_times_and_right_ones_do_not_count(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let set = async |place: &mut Place, id_last: &str| {
        sqlx::query("delete from pin").execute(&place.app.pool).await.unwrap();
        let page = place.browser.get("/me/pin").await;
        let fields = [("id_last", id_last), ("pin_new", PIN), ("pin_again", PIN)];
        place.browser.submit(&page, "/me/pin", &fields).await
    };
    for _ in 0..11 {
        set(&mut place, "31002X").await.is_at("/me").shows("The payment PIN is set");
    }
    for _ in 0..10 {
        let wrong = set(&mut place, "310021").await;
        wrong.has_status(422).shows("not how your ID number ends").hides("too often");
    }
    set(&mut place, "31002X").await.has_status(422).shows("You may try again tomorrow at 10:00.");
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(24));
    set(&mut place, "31002X").await.is_at("/me").shows("The payment PIN is set");
}
