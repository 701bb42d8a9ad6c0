//! The PIN before what nobody does who only found the phone open: cards, data, the account itself.

use chrono::TimeDelta;
use fenqi::borrower;
use sqlx::PgPool;

use crate::browser::Shown;
use crate::newcomer::{MOBILE, PIN, Place, open};

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
async fn nothing_dangerous_is_done_without_the_right_pin(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    let before = cards(&place).await;
    for step in steps(&card) {
        let missing = take(&mut place, &step, "").await;
        missing.has_status(422).shows("id=\"pin-error\"").shows("Please fill this in");
        let malformed = take(&mut place, &step, "12345").await;
        malformed.has_status(422);
        let wrong = take(&mut place, &step, "314159").await;
        wrong.has_status(422).shows("The PIN is not right").hides("314159").hides(PIN);
        assert_eq!(cards(&place).await, before, "{}", step.0);
        // A right one takes the count of wrong ones back.
        borrower::check_pin(&place.app, owner(&place).await, PIN).await.unwrap();
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
    take(&mut place, &unbind, "314159").await.has_status(422).shows("locked for 3 hours");
    for step in steps(&card) {
        take(&mut place, &step, PIN).await.has_status(422).shows("locked for 3 hours").hides(PIN);
    }
    assert_eq!(cards(&place).await, before);
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(3));
    take(&mut place, &default, PIN).await.is_at("/me/cards").shows("This is now the default card");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_has_no_pin_is_led_to_setting_one_and_back(pool: PgPool) {
    let (mut place, card) = with_two_cards(pool).await;
    sqlx::query("delete from pin").execute(&place.app.pool).await.unwrap();
    let before = cards(&place).await;
    for (address, _) in &steps(&card)[..3] {
        let page = place.browser.get(address).await;
        page.shows("Please set one first").shows(&format!("href=\"/me/pin?next={address}\"")).hides("name=\"pin\"");
        let csrf = page.form(address).split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let forced = place.browser.post(address, format!("csrf={csrf}&pin={PIN}")).await;
        forced.has_status(422).shows("Please set one first");
    }
    assert_eq!(cards(&place).await, before);
    let export = place.browser.get("/me/pin?next=/me/export").await;
    let fields = [("id_last", "31002x"), ("pin_new", PIN), ("pin_again", PIN)];
    place.browser.submit(&export, "/me/pin", &fields).await.is_at("/me/export").shows("The payment PIN is set");
}

async fn owner(place: &Place) -> fenqi::base::id::BorrowerId {
    sqlx::query_scalar("select borrower_id from borrower").fetch_one(&place.app.pool).await.unwrap()
}
