//! Sign-in by mobile or inside WeChat leads only into the person's own account, and back to the page they came from.

use chrono::TimeDelta;
use fenqi::base::BusinessDay;
use fenqi::base::id::BorrowerId;
use fenqi::borrower::actions::{self, Consents};
use fenqi::borrower::{BorrowerRefusal, Registration};
use fenqi::demo::identity;
use fenqi::sandbox::{FaultShares, Scripted};
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::newcomer::{ID_NUMBER, MOBILE, Place, open};
use crate::{desk, house, town};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_comes_into_an_account_by_knowing_a_name_and_an_id_number(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    place.browser = Browser::open(&place.app).await;
    let identity = place.sign_in("13900139000").await;
    let refused = place.identify(&identity).await;
    refused.has_status(422).shows("registered with another mobile").shows("id=\"id_number-error\"");
    // Neither whole nor masked; three digits alone stand by chance in the CSRF word.
    refused.hides(MOBILE).hides("138*");
    let fields = [
        ("name", "李四"),
        ("id_number", ID_NUMBER),
        ("agree_personal_information", "yes"),
        ("agree_sensitive_information", "yes"),
    ];
    let other_name = place.browser.submit(&identity, "/apply/identity", &fields).await;
    other_name.has_status(422).shows("do not belong together");
    // Nor finds out by trying who else is registered.
    for _ in 0..8 {
        place.identify(&identity).await.has_status(422);
    }
    let too_often = place.identify(&identity).await;
    too_often.has_status(422).shows("You may try again").hides("registered with another mobile");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_shares_a_telephone_takes_no_account_from_whoever_was_registered_with_it_first(pool: PgPool) {
    let mut place = open(pool).await;
    // Each proves the mobile in a browser of their own.
    let of_other = place.sign_in(MOBILE).await;
    let mut other = Browser::open(&place.app).await;
    std::mem::swap(&mut place.browser, &mut other);
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let identity = place.sign_in(MOBILE).await;
    place.identify(&identity).await;
    let first = place.borrower().await;
    let today = BusinessDay::at(place.app.clock.now());
    let [second, third] = [2, 3].map(|number| identity::registration(number, 30, today));
    let fields = [
        ("name", second.name.reveal()),
        ("id_number", second.resident_id.reveal()),
        ("agree_personal_information", "yes"),
        ("agree_sensitive_information", "yes"),
    ];
    let refused = other.submit(&of_other, "/apply/identity", &fields).await;
    refused.has_status(422).shows("Somebody else has registered with this mobile number");
    let holder = actions::find_by_mobile(&place.app, &MOBILE.parse().unwrap()).await.unwrap();
    assert_eq!(holder, Some(first));

    // Nor where both say at the same moment who they are: each has looked before either writes.
    let third = Registration { mobile: second.mobile.clone(), ..third };
    let mut held_up = fenqi::database::begin(&place.app.pool).await.unwrap();
    sqlx::raw_sql("lock table borrower_by_mobile in exclusive mode").execute(&mut *held_up).await.unwrap();
    let identify = async |registration| actions::identify(&place.app, registration, &Consents::default()).await;
    let (one, two, ()) = tokio::join!(identify(second.clone()), identify(third), async {
        house::until_as_many_wait(&place.app.pool, 2).await;
        held_up.commit().await.unwrap();
    });
    let (winner, loser) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(town::refused(loser), BorrowerRefusal::MobileTaken);
    let holder = actions::find_by_mobile(&place.app, &second.mobile).await.unwrap();
    assert_eq!(holder, Some(winner.unwrap()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobodys_identity_is_kept_without_the_consent_to_that(pool: PgPool) {
    let mut place = open(pool).await;
    let identity = place.sign_in(MOBILE).await;
    // The house fails just as the consents are to be written.
    let full = "alter table consent add constraint full_up check (false) not valid";
    sqlx::raw_sql(full).execute(&place.app.pool).await.unwrap();
    place.identify(&identity).await.has_status(500);
    let kept: i64 = sqlx::query_scalar("select count(*) from borrower").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(kept, 0);
    sqlx::raw_sql("alter table consent drop constraint full_up").execute(&place.app.pool).await.unwrap();
    place.identify(&identity).await;
    let signed: i64 = sqlx::query_scalar("select count(*) from consent").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(signed, 2);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_erased_as_the_code_is_put_in_is_not_signed_in(pool: PgPool) {
    let mut place = open(pool).await;
    let identity = place.sign_in(MOBILE).await;
    place.identify(&identity).await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let mut browser = Browser::at(&place.browser.address);
    let page = browser.get("/sign-in").await;
    let sent = browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    let leaving: uuid::Uuid =
        sqlx::query_scalar("select borrower_id from borrower").fetch_one(&place.app.pool).await.unwrap();
    let mut held_up = fenqi::database::begin(&place.app.pool).await.unwrap();
    sqlx::raw_sql("lock table wechat_identity in exclusive mode").execute(&mut *held_up).await.unwrap();
    let (erased, came, ()) = tokio::join!(
        house::erase(&place.app, BorrowerId::from_uuid(leaving)),
        async {
            house::until_as_many_wait(&place.app.pool, 1).await;
            browser.submit(&sent, "/sign-in", &fields).await
        },
        async {
            house::until_as_many_wait(&place.app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    erased.unwrap();
    assert!(came.status < 500, "{}", came.status);
    let signed_in = sqlx::query_scalar::<_, i64>("select count(*) from session where subject_id is not null");
    assert_eq!(signed_in.fetch_one(&place.app.pool).await.unwrap(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_is_erased_as_they_say_who_they_are_is_not_signed_in(pool: PgPool) {
    let mut place = open(pool).await;
    let app = place.app.clone();
    let identity = place.sign_in(MOBILE).await;
    let mut held_up = fenqi::database::begin(&app.pool).await.unwrap();
    // The session of nobody yet, whose place that of the person takes.
    sqlx::query("select from session for update").execute(&mut *held_up).await.unwrap();
    let (_, erased, ()) = tokio::join!(
        place.identify(&identity),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            let registered = sqlx::query_scalar("select borrower_id from borrower").fetch_one(&app.pool).await.unwrap();
            house::erase(&app, BorrowerId::from_uuid(registered)).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    erased.unwrap();
    let signed_in = sqlx::query_scalar::<_, i64>("select count(*) from session where subject_id is not null");
    assert_eq!(signed_in.fetch_one(&app.pool).await.unwrap(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn signing_in_leads_back_to_where_one_was_and_nowhere_else(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let lead = async |place: &mut Place, next: &str| {
        place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
        place.browser = Browser::open(&place.app).await;
        let page = place.browser.get(next).await;
        let sent = place.browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
        let code = place.code_sent_to(MOBILE);
        let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
        place.browser.submit(&sent, "/sign-in", &fields).await
    };
    lead(&mut place, "/me/cards").await.is_at("/me/cards");
    lead(&mut place, "/sign-in?next=//evil.example/x").await.is_at("/home");
    lead(&mut place, "/sign-in?next=https://evil.example/x").await.is_at("/home");
    // A token that somebody knew before is worth nothing after.
    let mut thief = Browser::at(&place.browser.address);
    let page = thief.get("/sign-in").await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let mut victim = Browser::at(&place.browser.address);
    victim.cookies = thief.cookies.clone();
    let sent = victim.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    victim.submit(&sent, "/sign-in", &fields).await.is_at("/home");
    thief.get("/home").await.is_at("/sign-in");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_sms_partner_and_too_many_codes_are_told_in_words(pool: PgPool) {
    let mut place = open(pool).await;
    place.world.set_faults("sms", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    let page = place.browser.get("/sign-in").await;
    let fields = [("mobile", MOBILE), ("do", "send")];
    let silent = place.browser.submit(&page, "/sign-in", &fields).await;
    silent.has_status(422).shows("Messages cannot be sent at the moment").shows("value=\"13800138000\"");
    place.browser.submit(&page, "/sign-in", &fields).await.has_status(422).shows("Wait a minute");
}

/// A browser with another one's session, that knows no WeChat.
fn like(other: &Browser) -> Browser {
    let mut browser = Browser::at(&other.address);
    browser.cookies = other.cookies.clone();
    browser
}

/// Comes to a page in a telephone's WeChat that nobody has signed in on.
async fn come(place: &mut Place, openid: &str, path: &str) -> Shown {
    place.world.script("wechat", None, vec![Scripted::answer(&format!("openid:{openid}"))]);
    place.browser = Browser::at(&place.browser.address).in_wechat();
    place.browser.get(path).await
}

/// The same, and proves the mobile.
async fn come_and_link(place: &mut Place, openid: &str) {
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let page = come(place, openid, "/home").await;
    let sent = place.browser.submit(page.is_at("/sign-in"), "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    place.browser.submit(&sent, "/sign-in", &fields).await.is_at("/home");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_wechat_that_another_one_followed_or_that_was_unlinked_signs_nobody_in(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    let mut elsewhere = like(&place.browser);
    let sessions = place.browser.get("/me/sessions").await;
    sessions.is_at("/me/sessions").hides("action=\"/me/sessions/unlink-wechat\"");
    come_and_link(&mut place, "o-old").await;
    let mut linked = like(&place.browser);
    come(&mut place, "o-old", "/home").await.is_at("/home");
    let mut known = like(&place.browser);
    come_and_link(&mut place, "o-new").await;
    let mut new = like(&place.browser);
    // The former WeChat is a stranger's again, and what it had signed in is signed out.
    for browser in [&mut linked, &mut known] {
        browser.get("/home").await.is_at("/sign-in");
    }
    come(&mut place, "o-old", "/home").await.is_at("/sign-in").shows("Sign in by mobile");
    come(&mut place, "o-new", "/home").await.is_at("/home");
    // Whoever signed in by the mobile is asked nothing, and lets WeChat go from there.
    let sessions = elsewhere.get("/me/sessions").await;
    sessions.is_at("/me/sessions").shows("Your WeChat has signed you in since");
    let unlinked = elsewhere.submit(&sessions, "/me/sessions/unlink-wechat", &[]).await;
    unlinked.is_at("/me/sessions").shows("WeChat does not sign you in any more").hides("Your WeChat has signed");
    new.get("/home").await.is_at("/sign-in");
    come(&mut place, "o-new", "/home").await.is_at("/sign-in").shows("Sign in by mobile");
    let left = "select (select count(*) from borrower_by_openid) + (select count(*) from wechat_identity)";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(left, 0);
    // Whoever lets it go inside WeChat is signed out there, and proves the mobile next time.
    come_and_link(&mut place, "o-new").await;
    let sessions = place.browser.get("/me/sessions?lang=zh-CN").await;
    sessions.shows("解除微信登录");
    place.browser.submit(&sessions, "/me/sessions/unlink-wechat", &[]).await.is_at("/sign-in").shows("已解除微信登录");
    elsewhere.get("/home").await.is_at("/home");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn inside_wechat_a_person_proves_the_mobile_once_and_is_the_same_account(pool: PgPool) {
    let mut place = open(pool).await;
    place.settle().await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let page = come(&mut place, "o-wang", "/me/cards").await;
    page.is_at("/sign-in").shows("Sign in by mobile");
    let sent = place.browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    let code = place.code_sent_to(MOBILE);
    let fields = [("mobile", MOBILE), ("passcode", code.as_str()), ("do", "sign_in")];
    place.browser.submit(&sent, "/sign-in", &fields).await.is_at("/me/cards").shows("5775");
    come(&mut place, "o-wang", "/me/cards").await.is_at("/me/cards").shows("5775");
    come(&mut place, "o-other", "/me/cards").await.is_at("/sign-in");
    // A way back that another browser began, or that is made up, signs nobody in.
    place.browser = Browser::at(&place.browser.address).in_wechat();
    let forged = place.browser.get("/sign-in/wechat?code=x&state=y&next=/home").await;
    forged.is_at("/sign-in").shows("WeChat does not answer");
    place.world.set_faults("wechat", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    come(&mut place, "o-wang", "/home").await.is_at("/sign-in").shows("Sign in by mobile instead");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn wechat_is_not_asked_for_ever_about_codes_that_somebody_makes_up(pool: PgPool) {
    let place = open(pool).await;
    // By a server that knows where requests come from.
    let address = desk::serve(&place.app).await;
    let mut browser = Browser::at(&address).in_wechat();
    let word = browser.get("/sign-in?by=mobile").await.field("csrf");
    let made_up = format!("/sign-in/wechat?code=made-up&state={word}&next=/home");
    let counted = async |count: i32| {
        let window = "update throttle set count = $1 where kind = 'wechat_code'";
        sqlx::query(window).bind(count).execute(&place.app.pool).await.unwrap();
    };
    browser.get(&made_up).await.is_at("/sign-in").shows("WeChat does not answer");
    counted(297).await;
    for _ in 0..5 {
        browser.get(&made_up).await.is_at("/sign-in").shows("WeChat does not answer");
    }
    place.app.partners.flush_log().await;
    let calls = "select count(*) from partner_call where partner = 'wechat' and operation = 'openid'";
    let asked: i64 = sqlx::query_scalar(calls).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(asked, 4, "the first, and those up to the three hundredth");
    // Until the hour is over whoever comes from there proves the mobile; whom WeChat knows is not counted.
    let mut known = Browser::at(&address).in_wechat();
    known.get("/home").await.is_at("/sign-in").shows("WeChat does not answer");
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(1));
    known.get("/home").await.is_at("/sign-in").hides("WeChat does not answer");
    counted(299).await;
    for _ in 0..2 {
        known.cookies.clear();
        known.get("/home").await.is_at("/sign-in").hides("WeChat does not answer");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_page_is_signed_for_wechats_script(pool: PgPool) {
    let place = open(pool).await;
    let wechat = place.app.partners.wechat().unwrap();
    let signed = wechat.sign_page("https://pay.example/scan#x", "nonce").await.unwrap();
    let expected = fenqi::partner::wechat::client::page_signature(
        "counterfeit-ticket",
        "nonce",
        place.app.clock.now().timestamp(),
        "https://pay.example/scan",
    );
    assert_eq!((signed.signature, signed.app_id.as_str()), (expected, "wx5a4db0x000000001"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_wait_for_a_code_counts_on_after_a_wrong_one(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/sign-in").await;
    let sent = place.browser.submit(&page, "/sign-in", &[("mobile", MOBILE), ("do", "send")]).await;
    sent.shows("data-again=\"60\"").shows("The code has been sent");
    let right = place.code_sent_to(MOBILE);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let fields = [("mobile", MOBILE), ("passcode", wrong), ("do", "sign_in")];
    for (seconds, left) in [(25, Some("data-again=\"35\"")), (40, None)] {
        place.app.clock.set(place.app.clock.now() + TimeDelta::seconds(seconds));
        let refused = place.browser.submit(&sent, "/sign-in", &fields).await;
        refused
            .has_status(422)
            .shows("id=\"passcode-error\"")
            .shows("aria-invalid=\"true\"")
            .hides("The code has been sent");
        match left {
            Some(left) => refused.shows(left),
            None => refused.hides("data-again"),
        };
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_asked_for_too_many_codes_is_told_when_to_ask_again(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/sign-in").await;
    let fields = [("mobile", MOBILE), ("do", "send")];
    for _ in 0..10 {
        place.browser.submit(&page, "/sign-in", &fields).await.has_status(200).shows("The code has been sent");
        place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    }
    let refused = place.browser.submit(&page, "/sign-in", &fields).await;
    refused.has_status(422).shows("Too many codes were asked for. You may ask again tomorrow at 10:00.");
    place.app.clock.set(place.app.clock.now() + TimeDelta::hours(24));
    place.browser.submit(&page, "/sign-in", &fields).await.has_status(200).shows("The code has been sent");
}
