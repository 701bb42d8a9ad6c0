//! A borrower's account pages: cards, PIN, agreements, sessions, stored data, and the account itself.

use chrono::TimeDelta;
use fenqi::base::id::BorrowerId;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::newcomer::{CARD, ID_NUMBER, MOBILE, NAME, PIN, Place, open};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn cards_are_chosen_and_unbound_by_their_rules(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let page = place.browser.get("/me/cards/new").await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    code.is_at("/me/cards/code");
    let resend = place.browser.submit(&code, "/me/cards/code", &[("do", "send")]).await;
    resend.has_status(422).shows("Wait a minute");
    let cards = place.browser.submit(&code, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    cards.is_at("/me/cards").shows("0014").shows("5775");
    // Whoever hears the links one by one hears which card they are of.
    for tail in ["0014", "5775"] {
        cards.shows(&format!("Remove<span class=\"only-read\"> Debit card ending in {tail}</span>"));
    }
    let action =
        cards.text.split("href=\"").find(|rest| rest.contains("/default\"")).unwrap().split('"').next().unwrap();
    let asked = place.browser.get(action).await;
    let chosen = place.browser.submit(&asked, action, &[("pin", PIN)]).await;
    chosen.is_at("/me/cards").shows("This is now the default card");
    let first = chosen.text.find("0014").unwrap();
    assert!(first < chosen.text.find("5775").unwrap(), "the default card comes first");
    let unbind = action.replace("/default", "/unbind");
    let asked = place.browser.get(&unbind).await;
    asked.shows("ending in 0014");
    place.browser.submit(&asked, &unbind, &[("pin", PIN)]).await.is_at("/me/cards").hides("0014");
    place.browser.get(&unbind).await.has_status(404);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_that_two_taps_have_sent_waits_for_its_code(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let page = place.browser.get("/me/cards/new").await;
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    for _ in 0..2 {
        let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
        code.is_at("/me/cards/code").shows("the card ending in 0014");
    }
    // With another mobile it is no second tap.
    let other = [fields[0], ("card_mobile", "13900139000"), fields[2]];
    place.browser.submit(&page, "/me/cards/new", &other).await.has_status(422).shows("Wait a minute");
}

/// Has the bank send its code for a card.
async fn begin(place: &mut Place, number: &str) -> Shown {
    let page = place.browser.get("/me/cards/new").await;
    let fields = [("card_number", number), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let code = place.browser.submit(&page, "/me/cards/new", &fields).await;
    code.is_at("/me/cards/code");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(1));
    code
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_that_is_sent_again_because_its_answer_was_lost_finds_the_card_bound(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let code = begin(&mut place, "6217000000000014").await;
    let put = [("card_code", "138000"), ("do", "confirm")];
    for _ in 0..2 {
        let bound = place.browser.submit(&code, "/me/cards/code", &put).await;
        bound.is_at("/me/cards").shows("The card is bound").shows("0014");
    }
    // The form of a card that was removed since says nothing of the kind.
    let remove = "update bank_card set status = 'unbound', is_default = false where number_tail = '0014'";
    sqlx::query(remove).execute(&place.app.pool).await.unwrap();
    let late = place.browser.submit(&code, "/me/cards/code", &put).await;
    late.has_status(422).shows("This attempt has expired").hides("The card is bound");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_tabs_that_bind_a_card_each_put_each_code_to_its_own(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let tabs = [begin(&mut place, "6217000000000022").await, begin(&mut place, "6217000000000030").await];
    for (code, tail) in tabs.iter().zip(["0022", "0030"]) {
        let put = [("card_code", "138000"), ("do", "confirm")];
        place.browser.submit(code, "/me/cards/code", &put).await.is_at("/me/cards").shows(tail);
    }
    let wrong: i64 = sqlx::query_scalar("select count(*) from card_signing where status <> 'signed'")
        .fetch_one(&place.app.pool)
        .await
        .unwrap();
    assert_eq!(wrong, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_last_card_stays_while_money_is_owed_and_the_page_says_so(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    sqlx::query("update credit_line set used_fen = 12345").execute(&place.app.pool).await.unwrap();
    let cards = place.browser.get("/me/cards").await;
    let action = cards.text.split("href=\"").find(|rest| rest.contains("/unbind\"")).unwrap();
    let action = action.split('"').next().unwrap();
    let asked = place.browser.get(action).await;
    let refused = place.browser.submit(&asked, action, &[("pin", PIN)]).await;
    refused.has_status(422).shows("At least one card must stay while money is owed").hides(PIN);
    place.browser.get("/me/cards").await.shows("5775");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_session_is_ended_and_anothers_never(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let person = place.borrower().await;
    let other = BorrowerId::mint(place.app.clock.now());
    let [mut second, mut stranger] = [(); 2].map(|()| Browser::at(&place.browser.address));
    crate::shopper::sign_in(&mut second, &place.app, person).await;
    crate::shopper::sign_in(&mut stranger, &place.app, other).await;
    let sessions = place.browser.get("/me/sessions").await;
    let theirs: uuid::Uuid = sqlx::query_scalar("select session_id from session where subject_id = $1")
        .bind(other)
        .fetch_one(&place.app.pool)
        .await
        .unwrap();
    assert!(!sessions.text.contains(&theirs.to_string()));
    let csrf = sessions.field("csrf");
    let end = format!("/me/sessions/{theirs}/end");
    place.browser.post(&end, format!("csrf={csrf}")).await.is_at("/me/sessions");
    stranger.get("/me/sessions").await.is_at("/me/sessions").shows("This device");
    let mut actions = sessions.text.split("action=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let own = actions.find(|action| action.ends_with("/end")).unwrap();
    second.get("/home").await.is_at("/home");
    place.browser.submit(&sessions, own, &[]).await.is_at("/me/sessions").shows("It is signed out there");
    second.get("/home").await.is_at("/sign-in");
    place.browser.get("/home").await.is_at("/home");
    stranger.get("/me/sessions").await.is_at("/me/sessions");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_pin_is_changed_locked_and_set_anew(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let page = place.browser.get("/me/pin").await;
    let change = async |place: &mut Place, former: &str, new: &str, again: &str| {
        let fields = [("pin_former", former), ("pin_new", new), ("pin_again", again)];
        place.browser.submit(&page, "/me/pin", &fields).await
    };
    change(&mut place, PIN, "123456", "123456").await.has_status(422).shows("too easy to guess").hides(PIN);
    change(&mut place, PIN, "161803", "161804").await.has_status(422).shows("The two PINs differ");
    change(&mut place, PIN, "161803", "161803").await.is_at("/me").shows("The payment PIN is set");
    for _ in 0..4 {
        change(&mut place, PIN, "141421", "141421").await.has_status(422);
    }
    change(&mut place, PIN, "141421", "141421").await.has_status(422).shows("You may try again today at 13:00,");
    let page = place.browser.get("/me/pin/forgotten").await;
    // Whoever asked for none is not told that one was sent.
    let fields = [("passcode", ""), ("id_last", "31002X"), ("pin_new", PIN), ("pin_again", PIN), ("do", "set")];
    let without = place.browser.submit(&page, "/me/pin/forgotten", &fields).await;
    without.has_status(422).shows("id=\"passcode-error\"").shows("The code goes to 138****8000").hides("was sent to");
    let sent = place.browser.submit(&page, "/me/pin/forgotten", &[("do", "send")]).await;
    sent.shows("sent to 138****8000");
    // Nor is it forgotten that one was, as by the switch of the language.
    place.browser.get("/me/pin/forgotten").await.shows("was sent to 138****8000").shows("Send again");
    let code = place.code_sent_to(MOBILE);
    let fields = |id_last: &'static str| {
        [("passcode", code.as_str()), ("id_last", id_last), ("pin_new", PIN), ("pin_again", PIN), ("do", "set")]
    };
    let wrong = place.browser.submit(&sent, "/me/pin/forgotten", &fields("310021")).await;
    wrong.has_status(422).shows("not how your ID number ends");
    let simple = [
        ("passcode", code.as_str()),
        ("id_last", "31002X"),
        ("pin_new", "123456"),
        ("pin_again", "123456"),
        ("do", "set"),
    ];
    let simple = place.browser.submit(&sent, "/me/pin/forgotten", &simple).await;
    simple.has_status(422).shows("too easy to guess").shows("was sent to 138****8000");
    let set = place.browser.submit(&sent, "/me/pin/forgotten", &fields("31002X")).await;
    set.is_at("/me").shows("The payment PIN is set");
    fenqi::borrower::check_pin(&place.app, place.borrower().await, PIN).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_pin_ends_sessions_elsewhere_and_is_told(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let elsewhere = async |place: &mut Place| {
        place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
        let mut other = std::mem::replace(&mut place.browser, Browser::open(&place.app).await);
        place.sign_in(MOBILE).await.is_at("/home");
        std::mem::swap(&mut other, &mut place.browser);
        other.get("/home").await.is_at("/home");
        other
    };
    let mut other = elsewhere(&mut place).await;
    place.browser.get("/me/messages").await.is_at("/me/messages").hides("your payment PIN was changed");
    let page = place.browser.get("/me/pin").await;
    let fields = [("pin_former", "000000"), ("pin_new", "161803"), ("pin_again", "161803")];
    place.browser.submit(&page, "/me/pin", &fields).await.has_status(422);
    other.get("/home").await.is_at("/home");
    let fields = [("pin_former", PIN), ("pin_new", "161803"), ("pin_again", "161803")];
    place.browser.submit(&page, "/me/pin", &fields).await.is_at("/me").shows("The payment PIN is set");
    other.get("/home").await.is_at("/sign-in");
    place.browser.get("/home").await.is_at("/home");
    let messages = place.browser.get("/me/messages").await;
    messages.shows("your payment PIN was changed").shows("href=\"/me/sessions\"");
    messages.shows("Messages are kept for 1100 days.");
    // Set anew by a code, it is the same.
    let mut other = elsewhere(&mut place).await;
    let page = place.browser.get("/me/pin/forgotten").await;
    let sent = place.browser.submit(&page, "/me/pin/forgotten", &[("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields =
        [("passcode", code.as_str()), ("id_last", "31002X"), ("pin_new", PIN), ("pin_again", PIN), ("do", "set")];
    place.browser.submit(&sent, "/me/pin/forgotten", &fields).await.is_at("/me");
    other.get("/home").await.is_at("/sign-in");
    let told = "select kind from notice where audience = 'borrower' and kind like 'pin_%' order by notice_no";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&place.app.pool).await.unwrap();
    assert_eq!(told, ["pin_changed", "pin_reset"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn agreements_sessions_and_data_are_ones_own(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let agreements = place.browser.get("/me/agreements").await;
    let link = agreements.text.split("href=\"/me/agreements/").nth(1).unwrap().split('"').next().unwrap();
    place.browser.get(&format!("/me/agreements/{link}")).await.shows("版本：2027-02").shows("Signed 5 March 2026");
    place.browser.get("/me/messages").await.is_at("/me/messages");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let first = std::mem::replace(&mut place.browser, Browser::open(&place.app).await);
    place.sign_in(MOBILE).await.is_at("/home");
    let sessions = place.browser.get("/me/sessions").await;
    sessions.shows("This device").shows("Sign out all other devices");
    let ended = place.browser.submit(&sessions, "/me/sessions/end-others", &[]).await;
    ended.is_at("/me/sessions").shows("This device").hides("Sign out all other devices");
    let mut first = first;
    first.get("/home").await.is_at("/sign-in");
    let export = place.browser.get("/me/export").await;
    place
        .browser
        .submit(&export, "/me/export", &[("pin", "314159")])
        .await
        .has_status(422)
        .shows("The PIN is not right");
    let mut wechat = Browser::at(&place.browser.address).in_wechat();
    wechat.cookies.clone_from(&place.browser.cookies);
    wechat.get("/me/export").await.shows("WeChat may not keep files");
    export.hides("WeChat may not keep files");
    let file = place.browser.submit(&export, "/me/export", &[("pin", PIN)]).await;
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("attachment"));
    let document: serde_json::Value = serde_json::from_str(&file.text).unwrap();
    assert_eq!((&document["person"]["name"], &document["person"]["id_number"]), (&NAME.into(), &ID_NUMBER.into()));
    assert_eq!(document["agreements"].as_array().unwrap().len(), 5);
    assert_eq!(document["lines"].as_array().unwrap().len(), 1);
    let card = &document["cards"][0];
    assert_eq!((&card["number"], &card["mobile"]), (&CARD.into(), &MOBILE.into()));
}

/// Tables that know a borrower or a line, and under what name the export has them.
const EXPORTED: [(&str, &str); 23] = [
    ("borrower", "person"),
    ("mobile_change", "mobile_changes"),
    ("bank_card", "cards"),
    ("card_signing", "card_signings"),
    ("consent", "agreements"),
    ("data_export", "exports"),
    ("application", "applications"),
    ("credit_line", "lines"),
    ("line_entry", "line_entries"),
    ("purchase", "purchases"),
    ("purchase_question", "purchase_questions"),
    ("refund", "refunds"),
    ("loan", "loans"),
    ("schedule", "schedules"),
    ("bill", "bills"),
    ("bill_line", "bill_lines"),
    ("withholding", "withholdings"),
    ("repayment", "repayments"),
    ("payout", "paid_back"),
    ("posting", "ledger_entries"),
    ("wechat_subscription", "wechat_messages"),
    ("wechat_identity", "wechat_linked_at"),
    ("pin", "pin_set_at"),
];
/// Tables that do too, and hold nothing that is not in those: ways to find somebody, and what is done about partners and funders.
const WITHOUT: [&str; 14] = [
    "borrower_by_id_number",
    "borrower_by_mobile",
    "borrower_by_openid",
    "channel_file_line",
    "charge_off",
    "charge_off_look_back",
    "claim",
    "claim_by_bank_reference",
    "reconciliation_break",
    "recourse",
    "remittance_part",
    "settlement_part",
    "interest_span",
    "transfer_by_bank_reference",
];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_export_leaves_out_nothing_that_is_kept_about_a_person(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let knowing: Vec<String> = sqlx::query_scalar(
        "select distinct c.table_name::text
         from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
         where t.table_type = 'BASE TABLE' and table_schema = 'public' and column_name in ('borrower_id', 'line_id') order by 1",
    )
    .fetch_all(&place.app.pool)
    .await
    .unwrap();
    let is_known = |table: &&String| {
        EXPORTED.iter().any(|(known, _)| *known == table.as_str()) || WITHOUT.contains(&table.as_str())
    };
    let unknown: Vec<&String> = knowing.iter().filter(|table| !is_known(table)).collect();
    assert!(unknown.is_empty(), "say whether the export has these, and under what name: {unknown:?}");
    let export = place.browser.get("/me/export").await;
    let file = place.browser.submit(&export, "/me/export", &[("pin", PIN)]).await;
    let document: serde_json::Value = serde_json::from_str(&file.text).unwrap();
    for (table, name) in EXPORTED {
        assert!(document.get(name).is_some(), "{table} is not in the export as {name}");
    }
    for (name, count) in [("messages", 1), ("sessions", 1), ("exports", 1), ("card_signings", 1), ("line_entries", 1)] {
        assert_eq!(document[name].as_array().map(Vec::len), Some(count), "{name}");
    }
    assert!(document["pin_set_at"].is_string());
    // Nothing that is sealed or hashed is handed out as it lies.
    for word in ["sealed", "hash", "sha256"] {
        assert!(!file.text.contains(word), "the export says {word}");
    }
}

/// Where the separate consent is taken back, and the page that offers it.
async fn of_sensitive_information(place: &mut Place) -> (String, Shown) {
    let list = place.browser.get("/me/agreements").await;
    let links = list.text.split("href=\"/me/agreements/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut withdrawable = Vec::new();
    for link in links {
        let page = place.browser.get(&format!("/me/agreements/{link}")).await;
        if page.text.contains("/withdraw\"") {
            withdrawable.push((format!("/me/agreements/{link}/withdraw"), page));
        }
    }
    assert_eq!(withdrawable.len(), 2, "contracts are not taken back");
    withdrawable.into_iter().find(|(_, page)| page.text.contains("敏感个人信息处理单独同意书")).unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_has_taken_a_consent_back_gives_it_again_with_another_card(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let before = place.browser.get("/me/cards/new").await;
    before.hides("agree_sensitive_information");
    let (action, page) = of_sensitive_information(&mut place).await;
    page.shows("no new card is bound");
    place.browser.submit(&page, &action, &[]).await;
    place.browser.get("/me/cards/new").await.shows("name=\"agree_sensitive_information\"");
    // A form from before asks for it as well, and the bank is told nothing.
    let fields = [("card_number", "6217000000000014"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let asked = place.browser.submit(&before, "/me/cards/new", &fields).await;
    asked.has_status(422).shows("name=\"agree_sensitive_information\"").hides("agree_personal_information");
    let signing = "select count(*) from card_signing where status = 'started'";
    let signing: i64 = sqlx::query_scalar(signing).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(signing, 0);
    let [number, mobile, withholding] = fields;
    let fields = [number, mobile, withholding, ("agree_sensitive_information", "yes")];
    place.browser.submit(&asked, "/me/cards/new", &fields).await.is_at("/me/cards/code");
    place.browser.get("/me/cards/new").await.hides("agree_sensitive_information");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_consent_that_is_taken_back_stops_new_applications_until_it_is_given_again(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    let (action, page) = of_sensitive_information(&mut place).await;
    page.shows("no new application of yours is taken");
    for _ in 0..2 {
        let done = place.browser.submit(&page, &action, &[]).await;
        done.shows("You took this consent back on").hides(&format!("action=\"{action}\""));
    }
    // The step that is missing is shown at once, with the reason.
    let missing = place.browser.submit(&submit, "/apply/submit", &[]).await;
    missing
        .has_status(422)
        .shows("An agreement has not been accepted yet")
        .shows("name=\"agree_sensitive_information\"");
    let applied: i64 = sqlx::query_scalar("select count(*) from application").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(applied, 0);
    let again = place.browser.get("/apply").await;
    let submit = place.agree(&again, "sensitive_information").await;
    // An old page that is sent once more does not take the new consent back.
    place.browser.submit(&page, &action, &[]).await.shows("You took this consent back on");
    place.apply(&submit).await.shows("Your line is open");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_is_closed_unless_something_is_owed(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let owe = async |fen: i64| {
        sqlx::query("update credit_line set used_fen = $1").bind(fen).execute(&place.app.pool).await.unwrap();
    };
    owe(12_345).await;
    place
        .browser
        .get("/me/close")
        .await
        .shows("¥123.45 is still unpaid, interest and penalty included")
        .hides("action=\"/me/close\"");
    owe(0).await;
    let page = place.browser.get("/me/close").await;
    // The button that sends a code loads the page anew, without a PIN that was typed before.
    let [passcode, pin] = ["passcode", "pin"].map(|name| page.text.find(&format!("name=\"{name}\"")).unwrap());
    assert!(passcode < pin, "the PIN is typed last");
    let sent = place.browser.submit(&page, "/me/close", &[("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("pin", PIN), ("passcode", code.as_str()), ("do", "close")];
    let closed = place.browser.submit(&sent, "/me/close", &fields).await;
    closed.is_at("/sign-in").shows("Your account has been closed");
    assert_eq!(closed.at, "/sign-in?by=mobile");
    place.browser.get("/home").await.is_at("/sign-in");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    place.sign_in(MOBILE).await.is_at("/apply").shows("First, who you are");
    for table in ["pin", "borrower_by_mobile", "borrower_by_id_number"] {
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&place.app.pool)
            .await
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_had_the_bank_send_too_many_codes_is_told_when_to_ask_again(pool: PgPool) {
    let mut place = open(pool).await;
    let identity = place.sign_in(MOBILE).await;
    let card = place.identify(&identity).await;
    let fields = [("card_number", CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    for _ in 0..10 {
        place.browser.submit(&card, "/me/cards/new", &fields).await.shows("the card ending in 5775");
        place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    }
    let refused = place.browser.submit(&card, "/me/cards/new", &fields).await;
    refused.has_status(422).shows("The bank was asked for too many codes. You may ask again tomorrow at 10:00.");
}
