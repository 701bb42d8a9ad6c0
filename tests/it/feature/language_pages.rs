//! Every page is complete in Chinese and in English, and contains nothing of the other language except names and agreements.

use chrono::TimeDelta;
use fenqi::merchant::Role;
use fenqi::merchant::join_actions;
use fenqi::page::Language;
use fenqi::repayment;
use fenqi::sandbox::{Fault, Scripted};
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::counter;
use crate::crawl::{crawl, posts};
use crate::newcomer::{self, CARD, ID_NUMBER, MOBILE, NAME, PIN};
use crate::shopper::Shopper;
use crate::till::Till;

/// What people are called, and call themselves: it stands as they gave it.
const NAMES: [&str; 7] =
    ["Harbour Bank", "上海老王家居有限公司", "上海小李数码有限公司", "王老板", "李小明", "王小明", "王**"];
/// Words of Latin letters that Chinese pages have as Chinese speakers do.
const KNOWN: [&str; 15] = [
    "SVG", "IRR", "PIN", "CSV", "JSON", "Wi", "Fi", "Android", "iPhone", "iPad", "Mac", "Windows", "Linux", "https",
    "Excel",
];
/// Posts that end something, so that a walk through all pages leaves them alone.
const ENDS: [&str; 6] = ["/sign-out", "/end", "/end-others", "/unlink-wechat", "/stop", "/again"];

fn is_chinese(letter: char) -> bool {
    matches!(letter, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ff5e}')
}

/// A page without what is marked as being in the other language, and without what stands for itself: codes and names.
fn own_words(page: &Shown, other: &str) -> String {
    let mut text = page.text.clone();
    for mark in [
        format!("lang=\"{other}\""),
        "class=\"face\"".to_owned(),
        "code\"".to_owned(),
        "class=\"code".to_owned(),
        "<code".to_owned(),
        "<svg".to_owned(),
    ] {
        let mut from = 0;
        while let Some(place) = text[from..].find(&mark).map(|place| place + from) {
            let Some(opening) = text[..=place].rfind('<') else { break };
            let tag: String = text[opening + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
            let end = text[place..].find(&format!("</{tag}>")).map(|end| end + place);
            // The page's own `<html lang>`, and fields, hold more than they say.
            match end.filter(|_| tag != "html" && tag != "input") {
                Some(end) => text.replace_range(opening..end, ""),
                None => from = place + mark.len(),
            }
        }
    }
    NAMES.iter().fold(text, |text, name| text.replace(name, ""))
}

/// What a page shows between its tags, with the texts that are read aloud.
fn words_of(html: &str) -> String {
    let body = html.split_once("<title>").map_or(html, |(_, rest)| rest);
    let mut words = String::new();
    for piece in body.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        for name in ["aria-label=\"", "placeholder=\"", "alt=\"", "title=\""] {
            words.extend(tag.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
            words.push(' ');
        }
        words.push_str(text);
        words.push(' ');
    }
    words
}

/// The addresses that a text spells out belong to no language.
fn without_links(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "/:._-".contains(letter);
    let mut pieces = text.split("http");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start_matches(is_part))
}

/// # Panics
/// If a page speaks another language than it says.
fn speaks(page: &Shown, language: Language) {
    match language {
        Language::English => {
            let text = own_words(page, "zh-CN");
            if let Some(place) = text.find(is_chinese) {
                let around: String = text[place..].chars().take(40).collect();
                panic!("{} is in English and says {around:?}", page.at);
            }
        }
        Language::Chinese => {
            let text = without_links(&words_of(&own_words(page, "en")));
            let words = text.split(|letter: char| !letter.is_ascii_alphabetic());
            let english: Vec<&str> = words.filter(|word| word.len() > 1 && !KNOWN.contains(word)).collect();
            assert!(english.is_empty(), "{} is in Chinese and says {english:?}", page.at);
        }
    }
}

/// Opens everything that these pages lead to, and sends each form empty: what that is answered with is a page too.
async fn walk(browser: &mut Browser, language: Language, from: &[&str]) -> usize {
    let pages = crawl(browser, from).await;
    for page in &pages {
        speaks(page, language);
        for (action, hidden) in posts(page) {
            if ENDS.iter().any(|end| action.ends_with(end)) {
                continue;
            }
            let mut body = form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(hidden);
            speaks(&browser.post(&action, body.finish()).await, language);
        }
    }
    pages.len()
}

async fn a_newcomer(pool: PgPool, language: Language) {
    let mut place = newcomer::open(pool).await;
    place.browser.language = language.tag();
    walk(&mut place.browser, language, &["/", "/sign-in"]).await;
    let mut seen = Vec::new();
    let page = place.browser.get("/sign-in").await;
    seen.push(place.browser.submit(&page, "/sign-in", &[("mobile", "1380"), ("do", "send")]).await);
    let sent = place.browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    seen.push(place.browser.submit(&sent, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await);
    let fields = [("mobile", MOBILE), ("passcode", "000000"), ("do", "sign_in")];
    seen.push(place.browser.submit(&sent, "/sign-in", &fields).await);
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    let identity = place.browser.submit(&sent, "/sign-in", &fields).await;
    let wrong = [("name", "x1"), ("id_number", "110105194912310021")];
    seen.push(place.browser.submit(&identity, "/apply/identity", &wrong).await);
    let card = place.identify(&identity).await;
    let wrong = [("card_number", "6217006343925776"), ("card_mobile", "1")];
    seen.push(place.browser.submit(&card, "/me/cards/new", &wrong).await);
    let fields = [("card_number", CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&card, "/me/cards/new", &fields).await;
    seen.push(place.browser.submit(&code, "/me/cards/code", &[("card_code", "1"), ("do", "confirm")]).await);
    let credit = place.browser.submit(&code, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    let report = place.agree(&credit, "credit").await;
    let submit = place.agree(&report, "credit_report").await;
    let state = place.apply(&submit).await;
    let pin = place.browser.get("/me/pin").await;
    let simple = [("id_last", "31002x"), ("pin_new", "123456"), ("pin_again", "123456")];
    seen.push(place.browser.submit(&pin, "/me/pin", &simple).await);
    let good = [("id_last", "31002x"), ("pin_new", PIN), ("pin_again", PIN)];
    let set = place.browser.submit(&pin, "/me/pin", &good).await;
    seen.extend([page, sent, identity, card, code, credit, report, submit, state, pin, set]);
    seen.iter().for_each(|page| speaks(page, language));
    seen.push(place.browser.get("/nowhere").await);
    assert!(walk(&mut place.browser, language, &["/home", "/me", "/scan"]).await > 15);
    // Nothing of the person stands in an address.
    let personal = [MOBILE, NAME, ID_NUMBER, CARD, PIN];
    assert!(seen.iter().all(|page| personal.iter().all(|known| !page.at.contains(known))));
}

async fn a_borrower(pool: PgPool, language: Language) {
    let (mut shopper, world) = Shopper::open_in_world(pool).await;
    shopper.browser.language = language.tag();
    let code = shopper.poster().await;
    let order = shopper.order(88_000, "A-1").await;
    for query in ["", "?amount=0.001", "?amount=5", "?amount=60000", "?amount=20000", "?amount=1200"] {
        speaks(&shopper.browser.get(&format!("{code}{query}")).await, language);
    }
    for product in ["harbour-standard", "harbour-free", "harbour-shared-fee"] {
        let product = shopper.town.product(product);
        let plan = format!("{}.{}.3", product.product_id, product.version);
        let asking = shopper.browser.get(&format!("{code}/confirm?amount=300&plan={plan}")).await;
        speaks(&asking, language);
        let action = format!("{code}/confirm");
        speaks(&shopper.browser.submit(&asking, &action, &[("pin", "314159")]).await, language);
        speaks(&shopper.browser.submit(&asking, &action, &[("pin", PIN)]).await, language);
    }
    speaks(&shopper.browser.get(&order).await, language);
    shopper.town.app.clock.set(shopper.town.app.clock.now() + TimeDelta::minutes(11));
    speaks(&shopper.browser.get(&order).await, language);
    speaks(&shopper.browser.get("/q/nothing").await, language);
    let from = ["/home", "/home/line", "/bills", "/loans", "/bills/pay"];
    walk(&mut shopper.browser, language, &from).await;
    shopper.live_until("2026-03-06").await;
    world.script("withholding_a", None, vec![Scripted::answer("success").with(Fault::TimeoutAfter)]);
    let page = shopper.browser.get("/bills/pay").await;
    let card = page.field("card");
    let fields = [("card", card.as_str()), ("pin", PIN), ("how", "part"), ("amount", "50")];
    let ordered = shopper.browser.submit(&page, "/bills/pay", &fields).await;
    speaks(&ordered, language);
    repayment::jobs::submit_withholdings(&shopper.town.app).await.unwrap();
    speaks(&shopper.browser.get(&ordered.at).await, language);
    assert!(walk(&mut shopper.browser, language, &from).await > 15);
    sqlx::query("update bank_card set status = 'invalid'").execute(&shopper.town.app.pool).await.unwrap();
    shopper.live_until("2026-04-06").await;
    assert!(walk(&mut shopper.browser, language, &[&from[..], &[ordered.at.as_str(), "/me"]].concat()).await > 20);
}

async fn a_merchant(pool: PgPool, language: Language) {
    let mut till = Till::open(pool, "2026-03-02").await;
    till.browser.language = language.tag();
    let first = till.sell(120_000, ("harbour-standard", 12)).await;
    let second = till.sell(60_000, ("harbour-shared-fee", 6)).await;
    till.town.void(&second).await;
    let preview = till.preview(&first, "100").await;
    speaks(&preview, language);
    speaks(&till.preview(&first, "0.001").await, language);
    speaks(&till.confirm(&preview).await, language);
    till.live_until("2026-03-05").await;
    let from =
        ["/m", "/m/more", "/m/receipts", "/m/purchases", "/m/settlements", "/m/staff", "/m/poster", "/m/orders/new"];
    assert!(walk(&mut till.browser, language, &from).await > 15);
    // Somebody with fewer rights, and somebody who applies.
    till.sign_in(crate::till::CASHIER, Role::Cashier).await;
    walk(&mut till.browser, language, &["/m"]).await;
    speaks(&till.browser.get("/m/staff").await, language);
    let mut stranger = Browser::at(&till.browser.address);
    stranger.language = language.tag();
    let page = stranger.get("/m/sign-in").await;
    let sent = stranger.submit(&page, "/m/sign-in", &[("mobile", "13700137000"), ("do", "send")]).await;
    let code = counter::code_sent_to(&till.world, "13700137000");
    let fields = [("mobile", "13700137000"), ("passcode", code.as_str()), ("do", "sign_in")];
    let company = stranger.submit(&sent, "/m/sign-in", &fields).await;
    [&page, &sent, &company].into_iter().for_each(|page| speaks(page, language));
    let fields =
        [("legal_name", "上海小李数码有限公司"), ("credit_code", "91310000000000123W"), ("category", "electronics")];
    let account = stranger.submit(&company, "/m/join/company", &fields).await;
    let wrong = [("account_name", "李小明"), ("account_number", "12"), ("contact_name", "李小明")];
    speaks(&stranger.submit(&account, "/m/join/account", &wrong).await, language);
    let fields = [
        ("account_name", "上海小李数码有限公司"),
        ("account_number", "9558800000001234567"),
        ("contact_name", "李小明"),
    ];
    let submit = stranger.submit(&account, "/m/join/account", &fields).await;
    speaks(&account, language);
    speaks(&submit, language);
    speaks(&stranger.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await, language);
    assert_eq!(join_actions::sweep(&till.town.app).await.unwrap(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_newcomers_pages_are_wholly_in_english(pool: PgPool) {
    a_newcomer(pool, Language::English).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_newcomers_pages_are_wholly_in_chinese(pool: PgPool) {
    a_newcomer(pool, Language::Chinese).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrowers_pages_are_wholly_in_english(pool: PgPool) {
    a_borrower(pool, Language::English).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_borrowers_pages_are_wholly_in_chinese(pool: PgPool) {
    a_borrower(pool, Language::Chinese).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchants_pages_are_wholly_in_english(pool: PgPool) {
    a_merchant(pool, Language::English).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchants_pages_are_wholly_in_chinese(pool: PgPool) {
    a_merchant(pool, Language::Chinese).await;
}
