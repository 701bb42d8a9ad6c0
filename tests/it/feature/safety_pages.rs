//! Security of the pages: CSRF tokens, the content security policy, cookies, session lifetimes, and safe redirects.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::page::Site;
use reqwest::header::SET_COOKIE;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::crawl::{crawl, posts};
use crate::house;
use crate::newcomer::{MOBILE, Place, open};
use crate::shopper::{Shopper, sign_in};
use crate::till::Till;

/// Holds every page that a visitor can reach to the content policy, and every form on it to the CSRF word.
async fn hold(browser: &mut Browser, from: &[&str]) -> usize {
    let pages = crawl(browser, from).await;
    let stranger = Browser::at(&browser.address).get("/sign-in").await;
    let other_word = posts(&stranger)[0].1.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let mut forms: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for page in &pages {
        is_clean(page);
        forms.extend(posts(page));
    }
    for (action, hidden) in &forms {
        assert!(hidden.iter().any(|(name, _)| name == "csrf"), "the form that posts to {action} lacks the word");
        for word in [None, Some(String::new()), Some("0".repeat(128)), Some(other_word.clone())] {
            let fields = hidden.iter().filter(|(name, _)| name != "csrf").cloned();
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(fields.chain(word.map(|word| ("csrf".to_owned(), word))));
            let refused = browser.post(action, body.finish()).await;
            refused.has_status(403).shows("opened too long ago, or elsewhere").shows("Open it again");
        }
        // The way back leads to the form, or to where it stands.
        let refused = browser.post(action, String::new()).await;
        let again = refused.text.split("btn_primary\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let opened = browser.get(again).await;
        assert!(opened.status == 200, "{action} leads back to {again}, which answers {}", opened.status);
    }
    forms.len()
}

/// # Panics
/// If a page may run or load what is not ours, or may be kept or framed.
fn is_clean(page: &Shown) {
    let header =
        |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default().to_owned();
    let policy = header("content-security-policy");
    for part in
        ["default-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'", "object-src 'none'"]
    {
        assert!(policy.contains(part), "{} has the policy {policy:?}", page.at);
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{} has the policy {policy:?}", page.at);
    assert_eq!(header("cache-control"), "no-store", "{}", page.at);
    assert_eq!(header("referrer-policy"), "no-referrer", "{}", page.at);
    for tag in page.text.split('<').skip(1).filter_map(|piece| piece.split('>').next()) {
        let is_inline = tag.starts_with("script") && !tag.contains("src=\"/assets/");
        let acts = [" style=", " onclick", " onload", " onerror", "href=\"javascript:", " hx-on", "src=\"http"];
        assert!(!is_inline && !tag.starts_with("style"), "{} has an inline <{tag}>", page.at);
        assert!(acts.iter().all(|act| !tag.contains(act)), "{} has <{tag}>", page.at);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_page_of_a_borrower_keeps_to_the_policy_and_every_post_needs_the_word(pool: PgPool) {
    let mut place = open(pool).await;
    hold(&mut place.browser, &["/", "/sign-in"]).await;
    place.settle().await;
    assert!(hold(&mut place.browser, &["/home", "/me", "/scan", "/bills"]).await > 8);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_page_of_a_debt_keeps_to_the_policy_and_every_post_needs_the_word(pool: PgPool) {
    let mut shopper = Shopper::open(pool).await;
    let wish = shopper.town.wish(shopper.line_id, "K-1", 120_000, ("harbour-standard", 3));
    shopper.town.buy(vec![wish]).await;
    shopper.town.live_until("2026-03-06").await;
    sign_in(&mut shopper.browser, &shopper.town.app, shopper.borrower_id).await;
    let code = shopper.poster().await;
    let asking = shopper.ask(&code, "?amount=100", "harbour-standard", 3).await;
    is_clean(&asking);
    assert!(hold(&mut shopper.browser, &["/home", "/bills", "/bills/pay", "/loans", &asking.at]).await > 3);
    assert_eq!(shopper.loans().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_page_of_a_merchant_keeps_to_the_policy_and_every_post_needs_the_word(pool: PgPool) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.sell(120_000, ("harbour-standard", 12)).await;
    let from =
        ["/m", "/m/more", "/m/receipts", "/m/purchases", "/m/settlements", "/m/staff", "/m/poster", "/m/orders/new"];
    assert!(hold(&mut till.browser, &from).await > 5);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_route_that_is_posted_to_refuses_a_post_without_the_word(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-02").await).await;
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/router.rs")).unwrap();
    let pages = source.split_once("fn pages(").unwrap().1;
    let routes: Vec<&str> = pages
        .split(".route(\"")
        .skip(1)
        .filter(|route| route.split(".route").next().unwrap().contains("post("))
        .collect();
    assert!(routes.len() > 30, "{} routes are posted to", routes.len());
    for route in routes {
        let path = route.split('"').next().unwrap().replace(['{', '}'], "");
        browser.post(&path, "amount=1".into()).await.has_status(403).shows("opened too long ago, or elsewhere");
    }
}

/// The cookies that a page sets, by name, with their attributes.
async fn cookies(app: &App, path: &str) -> BTreeMap<String, String> {
    let address = house::serve(fenqi::router::router(app.clone())).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.get(format!("{address}{path}")).header("accept", "text/html").send().await.unwrap();
    let set = answer.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap().to_owned());
    set.map(|cookie| (cookie.split('=').next().unwrap().to_owned(), cookie)).collect()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn cookies_are_for_this_host_alone_and_out_of_reach_of_scripts(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let encrypted = App { site: Site::at("https://pay.example.cn"), ..app.clone() };
    let set = cookies(&encrypted, "/?lang=en").await;
    assert_eq!(set.keys().collect::<Vec<_>>(), ["__Host-fenqi", "language"]);
    for cookie in set.values() {
        for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie} lacks {part}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    // The token goes with the browser; the language is kept for a year.
    assert!(!set["__Host-fenqi"].contains("Max-Age") && !set["__Host-fenqi"].contains("Expires"));
    assert!(set["language"].contains("Max-Age=31536000"), "{}", set["language"]);
    let plain = cookies(&app, "/").await;
    assert!(!plain["fenqi"].contains("Secure") && plain["fenqi"].contains("HttpOnly"), "{plain:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_session_ends_after_a_week_unused_and_after_a_month_however_used(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let later = |place: &Place, days: i64| place.app.clock.set(place.app.clock.now() + TimeDelta::days(days));
    for _ in 0..4 {
        later(&place, 6);
        place.browser.get("/home").await.is_at("/home");
    }
    later(&place, 6);
    place.browser.get("/home").await.is_at("/sign-in");
    place.sign_in(MOBILE).await.is_at("/home");
    later(&place, 7);
    place.browser.get("/home").await.is_at("/sign-in");
    // Whoever signs out has nothing left to be found by.
    place.sign_in(MOBILE).await.is_at("/home");
    let me = place.browser.get("/me").await;
    let kept = place.browser.cookies.clone();
    place.browser.submit(&me, "/sign-out", &[]).await.is_at("/sign-in");
    place.browser.cookies = kept;
    place.browser.get("/home").await.is_at("/sign-in");
}

/// Ways back that lead elsewhere in one browser or another.
const ELSEWHERE: [&str; 12] = [
    "//evil.example/x",
    "/\\evil.example",
    "/%09/evil.example",
    "///evil.example",
    "https:evil.example",
    "https://evil.example/x",
    "http:/evil.example",
    "\\\\evil.example",
    "javascript:alert(1)",
    "evil.example",
    "%2F%2Fevil.example",
    "/\t/evil.example",
];

/// Whether the way that a page's form holds leads to a page of ours. What is encoded in a path stays a path.
fn stays(page: &Shown) -> bool {
    let held = page.text.split("name=\"next\" value=\"").nth(1).map_or("", |rest| rest.split('"').next().unwrap());
    ["/home", "/m", "/me", "/me/cards"].contains(&held) || held.starts_with("/%09/")
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_link_of_a_page_leads_where_its_address_looks_like_another_host(pool: PgPool) {
    let mut browser = Browser::open(&house::open(pool, "2026-03-02").await).await;
    for path in ["//evil.example/x", "///evil.example", "//evil.example/m/more?a=1"] {
        let page = browser.get(path).await;
        page.has_status(404).shows("href=\"/?lang=zh-CN\"").hides("evil.example");
    }
    browser.get("/nowhere?a=1").await.has_status(404).shows("href=\"/nowhere?a=1&#38;lang=zh-CN\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_way_back_leads_elsewhere(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    for way in ELSEWHERE {
        let next: String = form_urlencoded::byte_serialize(way.as_bytes()).collect();
        // Somebody who is signed in is led on at once; who is not, after the code.
        let led = place.browser.get(&format!("/sign-in?next={next}")).await;
        assert!(led.at == "/home" || led.at.starts_with("/%"), "{way} led to {}", led.at);
        for page in ["/me/pin", "/me/cards/new"] {
            let page = place.browser.get(&format!("{page}?next={next}")).await;
            assert!(stays(&page), "{way} on {}", page.at);
        }
        let mut stranger = Browser::at(&place.browser.address);
        for page in ["/sign-in", "/m/sign-in", "/sign-in/wechat", "/m/choose"] {
            let page = stranger.get(&format!("{page}?next={next}&code=x&state=y")).await;
            assert!(stays(&page), "{way} on {}", page.at);
        }
    }
    // What a form was made to hold is looked at again when it comes back.
    let page = place.browser.get("/me/cards/new").await;
    let mut stranger = Browser::at(&place.browser.address);
    let sign_in = stranger.get("/sign-in").await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let sent = stranger.submit(&sign_in, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in"), ("next", "//evil.example")];
    stranger.submit(&sent, "/sign-in", &fields).await.is_at("/home");
    let fields = [
        ("card_number", "6217000000000014"),
        ("card_mobile", MOBILE),
        ("agree_withholding", "yes"),
        ("next", "//evil.example"),
    ];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    let fields = [("card_code", "138000"), ("do", "confirm"), ("next", "https:evil.example")];
    place.browser.submit(&code, "/me/cards/code", &fields).await.is_at("/me/cards");
}
