//! Navigation of the pages: out of WeChat's sign-in, back to an interrupted action, and on from an unknown address.

use chrono::TimeDelta;
use fenqi::base::id::MerchantId;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::newcomer::{CARD, ID_NUMBER, MOBILE, open};
use crate::shopper::{PIN, Shopper, sign_in};
use crate::till::Till;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn inside_wechat_no_form_leads_to_wechats_own_sign_in(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let cookies = place.browser.cookies.clone();
    place.browser = Browser::at(&place.browser.address).in_wechat();
    place.browser.cookies = cookies;
    let page = place.browser.get("/me").await;
    let out = place.browser.submit(&page, "/sign-out", &[]).await;
    assert_eq!(out.shows("You have signed out").at, "/sign-in?by=mobile");
    // Whoever was signed out while a form was open is led there from the form.
    let csrf = out.field("csrf");
    let ended = place.browser.post("/apply/identity", format!("csrf={csrf}&id_number={ID_NUMBER}")).await;
    assert_eq!(ended.has_status(200).at, "/sign-in?by=mobile&next=/apply");
    // So is whoever chose an amount or a plan: a page of ours leads on, and no redirect does.
    let shop = sqlx::query_scalar::<_, MerchantId>("select merchant_id from merchant");
    let merchant_id = shop.fetch_one(&place.app.pool).await.unwrap();
    let code = fenqi::merchant::open_static_code(&place.app, merchant_id).await.unwrap();
    let code = format!("/q/{}", fenqi::merchant::code::token(code.code_id));
    for path in [format!("{code}?key=&amount=100"), format!("{code}/confirm?key=&amount=100&plan=x")] {
        let page = place.browser.get(&path).await;
        page.has_status(200).is_at("/sign-in").shows("http-equiv=\"refresh\"").hides("name=\"mobile\"");
        let on = page.link("http").replace("&#38;", "&");
        assert!(on.contains("next%3D"), "{on} does not come back");
        // WeChat's person is known to nobody here, and proves a mobile on the way to the same purchase.
        let back = place.browser.get(&on).await;
        assert!(back.is_at("/sign-in").form("/sign-in").contains("name=\"next\" value=\"/q/"));
        place.browser.cookies.remove("fenqi");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_part_of_a_page_leads_the_page_itself_to_the_sign_in(pool: PgPool) {
    let till = Till::open(pool, "2026-03-02").await;
    let address = &till.browser.address;
    let asked = async |path: &str| {
        let client = fenqi::partner::client::build_http().unwrap();
        let request = client.get(format!("{address}{path}")).header("hx-request", "true");
        let answer = request.header("hx-current-url", format!("{address}/apply?lang=en")).send().await.unwrap();
        let to = answer.headers().get("hx-redirect").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default(), answer.text().await.unwrap())
    };
    let next = "next=%2Fapply%3Flang%3Den";
    assert_eq!(asked("/apply/state").await, (200, format!("/sign-in?{next}"), String::new()));
    let order = fenqi::base::id::CodeId::mint(till.town.app.clock.now());
    assert_eq!(asked(&format!("/m/orders/{order}")).await, (200, format!("/m/sign-in?{next}"), String::new()));
    assert_eq!(asked("/m/join/state").await.1, "/m/join");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_address_that_cannot_be_read_is_told_so_in_words(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let twice = format!("{code}?amount=1&amount=2");
    for odd in ["/me/messages?before=abc", "/home/line?before=x", "/home/line?line=x", &twice, "/q/%FF"] {
        let page = shopper.browser.get(odd).await;
        page.has_status(400).shows("Something went wrong").shows("This address is not right").hides("deserialize");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{odd}");
    }
    // A program reads the same as a document.
    let answer = reqwest::get(format!("{}/q/%FF", shopper.browser.address)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (400, &"application/problem+json".parse().unwrap())
    );
    assert!(answer.text().await.unwrap().contains("\"address_malformed\""));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn setting_a_pin_at_the_counter_comes_back_to_the_same_purchase(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let forgotten = shopper.browser.get(&asking.link("/me/pin/forgotten?next=")).await;
    assert!(forgotten.form("/me/pin/forgotten").contains(&format!("name=\"next\" value=\"{code}/confirm?key=")));
    sqlx::query("delete from pin").execute(&shopper.town.app.pool).await.unwrap();
    let without = shopper.browser.get(&asking.at).await;
    without.shows("Please set one first").hides("name=\"pin\"");
    let page = shopper.browser.get(&without.link("/me/pin?next=")).await;
    // A PIN that is too simple is refused beside its field, and the way back is kept.
    let simple = [("id_last", "31002X"), ("pin_new", "123456"), ("pin_again", "123456")];
    let refused = shopper.browser.submit(&page, "/me/pin", &simple).await;
    refused.has_status(422).shows("id=\"pin_new-error\"").shows("too easy to guess");
    let good = [("id_last", "31002X"), ("pin_new", PIN), ("pin_again", PIN)];
    let back = shopper.browser.submit(&refused, "/me/pin", &good).await;
    assert_eq!(back.shows("The payment PIN is set").shows("¥100.00").at, asking.at);
    shopper.browser.submit(&back, &format!("{code}/confirm"), &[("pin", PIN)]).await.shows("Paid");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn going_back_from_a_pin_or_a_card_leads_to_the_same_purchase(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let next: String = form_urlencoded::byte_serialize(asking.at.as_bytes()).collect();
    for (path, own) in [("/me/pin", "/me"), ("/me/pin/forgotten", "/me/pin"), ("/me/cards/new", "/me/cards")] {
        let page = shopper.browser.get(&format!("{path}?next={next}")).await;
        // What was typed wrong changes nothing about the way.
        let refused = shopper.browser.submit(&page, path, &[]).await;
        for page in [&page, refused.has_status(422)] {
            let back = page.link("/q/").replace("&#38;", "&");
            assert_eq!(back, asking.at, "{path}");
            shopper.browser.get(&back).await.has_status(200).shows("¥100.00").shows("name=\"pin\"");
        }
        for elsewhere in ["", "//evil.example", "https:evil.example"] {
            let page = shopper.browser.get(&format!("{path}?next={elsewhere}")).await;
            page.shows(&format!("class=\"back\" href=\"{own}\""));
        }
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn going_back_from_the_plans_keeps_what_was_typed_and_from_an_order_leads_home(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    for (typed, kept) in [("100", "100"), ("1,234.5", "1234.50")] {
        let plans = shopper.browser.get(&format!("{code}?amount={typed}")).await;
        let back = plans.shows("Choose a plan").link(&code).replace("&#38;", "&");
        let keypad = shopper.browser.get(&back).await;
        keypad.has_status(200).shows("See plans").shows(&format!("value=\"{kept}\" required"));
    }
    let order = shopper.order(88_000, "A-1").await;
    shopper.browser.get(&order).await.shows("Choose a plan").shows("class=\"back\" href=\"/home\"");
}

/// Follows the switch to the other language.
async fn switch(browser: &mut Browser, page: &Shown) -> Shown {
    let rest = page.text.split("class=\"switch\" href=\"").nth(1).unwrap();
    browser.get(&rest.split('"').next().unwrap().replace("&#38;", "&")).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_form_keeps_its_way_back_when_the_language_is_switched_after_a_post(pool: PgPool) {
    let mut place = open(pool).await;
    let keeps = async |browser: &mut Browser, refused: &Shown, action: &str| {
        let page = switch(browser, refused.has_status(422)).await;
        let form = page.has_status(200).form(action);
        assert!(form.contains("name=\"next\" value=\"/bills/pay?line=x\""), "{action}: {form}");
    };
    let empty = async |browser: &mut Browser, path: &str| {
        let page = browser.get(&format!("{path}?next=/bills/pay%3Fline%3Dx")).await;
        browser.submit(&page, path, &[]).await
    };
    for path in ["/sign-in", "/m/sign-in"] {
        let refused = empty(&mut place.browser, path).await;
        keeps(&mut place.browser, &refused, path).await;
    }
    place.browser.cookies.remove("language");
    place.settle().await;
    for path in ["/me/pin", "/me/pin/forgotten", "/me/cards/new"] {
        let refused = empty(&mut place.browser, path).await;
        keeps(&mut place.browser, &refused, path).await;
    }
    let page = place.browser.get("/me/cards/new?next=/bills/pay%3Fline%3Dx").await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    let wrong = place.browser.submit(&code, "/me/cards/code", &[("card_code", "000000"), ("do", "confirm")]).await;
    keeps(&mut place.browser, &wrong, "/me/cards/code").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_payment_is_the_same_one_when_the_language_is_switched_after_a_wrong_pin(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let refused = shopper.browser.submit(&asking, &action, &[("pin", "314159")]).await;
    let switched = switch(&mut shopper.browser, refused.has_status(422)).await;
    for name in ["key", "plan", "amount"] {
        assert_eq!(switched.field_of(&action, name), asking.field_of(&action, name), "{name}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_signed_out_before_confirming_comes_back_to_the_same_payment(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let pool = shopper.town.app.pool.clone();
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    sqlx::query("delete from session").execute(&pool).await.unwrap();
    let out = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await;
    let form = out.is_at("/sign-in").form("/sign-in");
    assert!(form.contains(&format!("name=\"next\" value=\"{}\"", asking.at.replace('&', "&#38;"))), "{form}");
    assert_eq!(shopper.loans().await, 0);
    // A form that says it stood elsewhere comes back to its own address.
    for elsewhere in ["/home", "//evil.example/x", "https://evil.example"] {
        let forged = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("here", elsewhere)]).await;
        assert!(forged.form("/sign-in").contains(&format!("name=\"next\" value=\"{code}/confirm\"")));
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_form_that_is_too_old_leads_to_the_same_payment_again(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=1200", "harbour-standard", 12).await;
    // Another tab has signed in since: the word of this one is nobody's any more.
    shopper.browser.cookies.remove("fenqi");
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let stale = shopper.browser.submit(&asking, &format!("{code}/confirm"), &[("pin", PIN)]).await;
    stale.has_status(403).shows("opened too long ago");
    let again = stale.text.split("btn_primary\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let again = again.replace("&#38;", "&");
    shopper.browser.get(&again).await.has_status(200).shows("¥1,200.00").shows("12 payments").shows("name=\"pin\"");
    assert_eq!(shopper.loans().await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refund_is_of_the_same_amount_when_the_language_is_switched_after_it_was_refused(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    let receipt = till.sell(120_000, ("harbour-standard", 12)).await;
    till.live_until("2026-03-03").await;
    let preview = till.preview(&receipt, "500").await;
    till.town.refund(&receipt, 10_000, "R-1").await;
    let changed = till.confirm(&preview).await;
    let switched = switch(&mut till.browser, changed.has_status(409)).await;
    switched.has_status(200).shows("name=\"amount\" value=\"500.00\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bill_is_the_same_lines_when_the_language_is_switched_after_a_refused_payment(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let pool = shopper.town.app.pool.clone();
    let wish = crate::town::LineWish { limit_fen: 1_000_000, statement_day: 5, due_day: 25, expires_on: "2029-12-31" };
    let second = shopper.town.open_lines(1, wish).await.pop().unwrap();
    let wishes = [(shopper.line_id, "K-1", 120_000), (second, "K-2", 60_000)]
        .map(|(line_id, key, fen)| shopper.town.wish(line_id, key, fen, ("harbour-standard", 12)));
    shopper.town.buy(wishes.into()).await;
    shopper.live_until("2026-03-06").await;
    // A line that is closed owes what was bought on it, beside the one that came after it.
    let both = "update credit_line set borrower_id = $1, status = 'closed' where line_id = $2";
    sqlx::query(both).bind(shopper.borrower_id).bind(second).execute(&pool).await.unwrap();
    let page = shopper.browser.get(&format!("/bills/pay?line={second}")).await;
    page.shows("<a class=\"amount\" href=\"/bills\">¥52.36");
    let card = page.field_of("/bills/pay", "card");
    for fields in [[("card", card.as_str()), ("pin", "314159")], [("card", card.as_str()), ("pin", "")]] {
        let refused = shopper.browser.submit(&page, "/bills/pay", &fields).await;
        let switched = switch(&mut shopper.browser, refused.has_status(422)).await;
        assert_eq!(switched.has_status(200).at.split('&').next().unwrap(), format!("/bills/pay?line={second}"));
        assert_eq!(switched.field_of("/bills/pay", "line"), second.to_string());
        switched.shows("<a class=\"amount\" href=\"/bills\">¥52.36");
        shopper.browser.cookies.remove("language");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn binding_a_card_comes_back_to_the_bill(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let page = place.browser.get("/me/cards/new?next=/bills/pay").await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    code.is_at("/me/cards/code").shows("href=\"/me/cards/new?next=/bills/pay\"").hides(CARD);
    code.shows("class=\"back\" href=\"/bills/pay\"");
    let wrong = place.browser.submit(&code, "/me/cards/code", &[("card_code", "000000"), ("do", "confirm")]).await;
    wrong.has_status(422).shows("id=\"card_code-error\"");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let again = place.browser.submit(&wrong, "/me/cards/code", &[("do", "send")]).await;
    again.is_at("/me/cards/code");
    let bound = place.browser.submit(&again, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    bound.is_at("/bills/pay").shows("The card is bound");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_key_is_one_payments_and_an_earlier_result_says_when_it_was(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let code = shopper.poster().await;
    let action = format!("{code}/confirm");
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    let used = asking.field("key");
    let paid = shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await;
    paid.shows("Paid").hides("nothing was paid just now");
    // Back to the plans, for a second thing: another key, and so another payment.
    let plans = shopper.browser.get(&format!("{code}?amount=100&key={used}")).await;
    assert_ne!(plans.has_status(200).field("key"), used);
    let other = asking.at.replace("amount=100.00", "amount=200");
    assert_ne!(other, asking.at);
    let second = shopper.browser.get(&other).await;
    second.is_at(&action).shows("¥200.00");
    assert_ne!(second.field("key"), used);
    // The same key with another amount, however it came to be sent, buys nothing and says so.
    let refused = shopper.browser.submit(&asking, &action, &[("pin", PIN), ("amount", "200")]).await;
    refused.has_status(422).shows("used for another payment").shows("¥200.00").hides(PIN);
    assert_eq!(shopper.loans().await, 1);
    shopper.browser.submit(&refused, &action, &[("pin", PIN)]).await.shows("Paid").shows("¥200.00");
    assert_eq!(shopper.loans().await, 2);
    // The way back to what was paid says that it was paid before, and later when.
    let back = shopper.browser.get(&asking.at).await;
    assert_eq!(back.shows("nothing was paid just now").at, paid.at);
    shopper.town.app.clock.set(shopper.town.app.clock.now() + TimeDelta::minutes(2));
    shopper.browser.get(&paid.at).await.shows("Paid on 2 March 2026");
}
