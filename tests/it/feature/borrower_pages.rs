//! A borrower applies on the pages: the form, its errors, and each answer to the application.

use chrono::TimeDelta;
use fenqi::base::Fen;
use fenqi::base::id::{ApplicationId, BorrowerId};
use fenqi::credit::actions::{PersonDecision, PersonVerdict};
use fenqi::product::{ProductVersion, Terms};
use fenqi::sandbox::{FaultShares, Matcher, Scripted};
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::hearing;
use crate::newcomer::{CARD, ID_NUMBER, MOBILE, NAME, PIN, Place, open};

/// A card that the bank refuses.
const OTHER_CARD: &str = "6217000000000014";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_newcomer_signs_in_applies_and_has_a_line(pool: PgPool) {
    let mut place = open(pool).await;
    place.browser.get("/home").await.is_at("/sign-in");
    let identity = place.sign_in(MOBILE).await;
    identity.is_at("/apply").shows("138****8000").shows("个人信息处理授权书");
    let card = place.identify(&identity).await;
    card.is_at("/apply").shows("Bind a bank card").shows("委托扣款协议");
    let credit = place.bind_card(&card).await;
    credit.is_at("/apply").shows("The card is bound").shows("个人消费信贷额度协议");
    let report = place.agree(&credit, "credit").await;
    report.is_at("/apply").shows("信用报告查询");
    let submit = place.agree(&report, "credit_report").await;
    submit.is_at("/apply").shows("王**").shows("110105************").shows("¥200,000.00").hides(ID_NUMBER);
    let state = place.apply(&submit).await;
    state.is_at("/apply").shows("¥8,000.00").shows("13.5%");
    place.browser.get("/home").await.is_at("/home").shows("¥8,000.00").shows("There is no bill to pay");
    let line = place.browser.get("/home/line").await;
    line.shows("limit ¥8,000.00 − used ¥0.00 = available ¥8,000.00").shows("Line opened");
    place.browser.get("/me").await.shows("王**").shows("Not set");
    // Sent again, as by a second tap, it is the same application.
    let again = place.apply(&submit).await;
    again.is_at("/apply").shows("Your line is open");
    // The limit may have changed since.
    sqlx::query("update credit_line set limit_fen = 600000").execute(&place.app.pool).await.unwrap();
    place.browser.get("/apply").await.is_at("/apply").shows("¥6,000.00").hides("¥8,000.00");
    // So may what is sold on it.
    let dearer = include_str!("../../../products/standard.toml").replace("C = 0.135", "C = 0.141");
    fenqi::product::publish(&place.app, &dearer).await.unwrap();
    place.browser.get("/apply").await.is_at("/apply").shows("14.1%").hides("13.5%");
    // A line that cannot be used any more is not praised as open.
    let frozen = "update credit_line set status = 'frozen', frozen_for = 'operator'";
    sqlx::query(frozen).execute(&place.app.pool).await.unwrap();
    place.browser.get("/apply").await.is_at("/home").shows("The line cannot be used");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_personal_is_logged_or_stands_in_an_address(pool: PgPool) {
    hearing::listen();
    let mut place = open(pool).await;
    place.settle().await;
    for path in
        ["/home", "/me", "/me/cards", "/me/messages", "/me/agreements", "/me/sessions", "/bills", "/loans", "/scan"]
    {
        let shown = place.browser.get(path).await;
        assert!(
            [MOBILE, ID_NUMBER, NAME, CARD, PIN].iter().all(|personal| !shown.at.contains(personal)),
            "{}",
            shown.at
        );
    }
    // What goes wrong is told in the log too, and not whose it was.
    place.world.script("card_signing", None, vec![Scripted::answer("refused")]);
    let page = place.browser.get("/me/cards/new").await;
    let fields = [("card_number", OTHER_CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    place.browser.submit(&page, "/me/cards/new", &fields).await.has_status(422);
    let page = place.browser.get("/me/export").await;
    place.browser.submit(&page, "/me/export", &[("pin", "314159")]).await.has_status(422);
    place.browser.post("/me/export", format!("pin={PIN}&name={NAME}&mobile={MOBILE}")).await.has_status(403);
    place.browser.get(&format!("/scan?mobile={MOBILE}&card={CARD}")).await;
    place.browser.get(&format!("/nowhere/{ID_NUMBER}")).await.has_status(404);
    place.world.set_faults("sms", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    let mut stranger = Browser::at(&place.browser.address);
    let page = stranger.get("/sign-in").await;
    stranger.submit(&page, "/sign-in", &[("mobile", "13900139000"), ("do", "send")]).await.has_status(422);
    let personal = [MOBILE, ID_NUMBER, NAME, CARD, PIN, OTHER_CARD, "13900139000", "314159"];
    let log = hearing::heard_without(&personal);
    assert!(log.contains("answered") && log.contains("/me/cards/code"), "{log}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_leaves_comes_back_to_the_same_step_from_any_browser(pool: PgPool) {
    let mut place = open(pool).await;
    let identity = place.sign_in(MOBILE).await;
    let card = place.identify(&identity).await;
    let fields = [("card_number", CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    place.browser.submit(&card, "/me/cards/new", &fields).await.shows("the card ending in 5775");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    place.browser = Browser::open(&place.app).await;
    place.sign_in(MOBILE).await.is_at("/home");
    let code = place.browser.get("/apply").await;
    code.shows("the card ending in 5775").shows("5775");
    let wrong = place.browser.submit(&code, "/me/cards/code", &[("card_code", "000000"), ("do", "confirm")]).await;
    wrong.has_status(422).shows("The code is not right");
    let credit = place.browser.submit(&wrong, "/me/cards/code", &[("card_code", "138000"), ("do", "confirm")]).await;
    credit.is_at("/apply").shows("Consumer credit line agreement");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn errors_stand_beside_their_fields_and_the_input_is_kept(pool: PgPool) {
    let mut place = open(pool).await;
    let page = place.browser.get("/sign-in").await;
    let wrong = place.browser.submit(&page, "/sign-in", &[("mobile", "1380013"), ("do", "send")]).await;
    wrong.has_status(422).shows("11 digits").shows("value=\"1380013\"").shows("aria-invalid=\"true\"");
    let emoji = "😀".repeat(2_500);
    let wrong = place.browser.submit(&page, "/sign-in", &[("mobile", emoji.as_str()), ("do", "send")]).await;
    wrong.has_status(422).shows("11 digits");
    let grouped = [("mobile", "+86 138-0013-8000"), ("do", "send")];
    place.browser.submit(&page, "/sign-in", &grouped).await.has_status(200).shows("value=\"+86 138-0013-8000\"");
    place.app.clock.set(place.app.clock.now() + TimeDelta::minutes(2));
    let identity = place.sign_in(MOBILE).await;
    let fields = [("name", "<b>王</b>"), ("id_number", "110105194912310021"), ("agree_personal_information", "yes")];
    let wrong = place.browser.submit(&identity, "/apply/identity", &fields).await;
    wrong.has_status(422).shows("2 to 50 letters").shows("One character of the ID number is not right");
    // The hint is read out with the error: it says how the number is written.
    wrong.shows("aria-describedby=\"id_number-hint id_number-error\"").shows("aria-describedby=\"name-error\"");
    wrong.shows("Read the text and tick the box").shows("&#60;b&#62;王").hides("<b>王");
    let outdated = [
        ("name", NAME),
        ("id_number", ID_NUMBER),
        ("agree_personal_information", "yes"),
        ("agree_sensitive_information", "yes"),
        ("text_sensitive_information", "00"),
    ];
    place.browser.submit(&identity, "/apply/identity", &outdated).await.has_status(422).shows("just been changed");
    // Eighteen tomorrow: told before anything is kept, and not after everything was asked for.
    let minor = [("name", NAME), ("id_number", "110105200803060015"), outdated[2], outdated[3]];
    let refused = place.browser.submit(&identity, "/apply/identity", &minor).await;
    refused.has_status(422).shows("You must be at least 18 years old").shows("id=\"id_number-error\"");
    refused.shows("value=\"110105200803060015\"");
    // Born in 1880, with a check character that fits.
    let ancient = [minor[0], ("id_number", "440524188001010014"), minor[2], minor[3]];
    let refused = place.browser.submit(&identity, "/apply/identity", &ancient).await;
    refused.has_status(422).shows("older than 120").shows("id=\"id_number-error\"");
    let registered: i64 = sqlx::query_scalar("select count(*) from borrower").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(registered, 0);
    let card = place.identify(&identity).await;
    let fields = [("card_number", "6217006343925776"), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    place.browser.submit(&card, "/me/cards/new", &fields).await.has_status(422).shows("One digit of the card number");
    place.world.script("card_signing", Some(Matcher::new("card", CARD)), vec![Scripted::answer("refused")]);
    let fields = [("card_number", CARD), ("card_mobile", MOBILE), ("agree_withholding", "yes")];
    let refused = place.browser.submit(&card, "/me/cards/new", &fields).await;
    refused.has_status(422).shows("The bank did not accept this card").shows(CARD);
    let soon = TimeDelta::minutes(2);
    place.app.clock.set(place.app.clock.now() + soon);
    place.bind_card(&card).await.is_at("/apply");
    place.app.clock.set(place.app.clock.now() + soon);
    let page = place.browser.get("/me/cards/new").await;
    let again = place.browser.submit(&page, "/me/cards/new", &fields).await;
    again.has_status(422).shows("This bank card is bound already").shows("id=\"card_number-error\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn english_pages_say_beside_every_agreement_that_the_chinese_text_binds(pool: PgPool) {
    let mut place = open(pool).await;
    let words = "The text is in Chinese, and that text is the one that binds.";
    let identity = place.sign_in(MOBILE).await;
    assert_eq!(identity.text.matches(words).count(), 2, "one for each of two texts");
    let card = place.identify(&identity).await;
    let credit = place.bind_card(card.shows(words)).await;
    place.browser.get("/apply?lang=zh-CN").await.is_at("/apply").hides(words).hides("协议为中文文本");
    place.browser.cookies.remove("language");
    let report = place.agree(credit.shows(words), "credit").await;
    report.shows(words);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_lender_is_named_beside_the_consents_and_the_texts_about_credit(pool: PgPool) {
    let mut place = open(pool).await;
    let named = "<dt>Lender</dt><dd>Harbour Bank</dd>";
    let identity = place.sign_in(MOBILE).await;
    let wrong = place.browser.submit(&identity, "/apply/identity", &[("name", NAME)]).await;
    wrong.has_status(422).shows(named);
    let card = place.identify(identity.shows(named)).await;
    let credit = place.bind_card(&card).await;
    let unticked = place.browser.submit(&credit, "/apply/agreement", &[]).await;
    unticked.has_status(422).shows(named);
    let report = place.agree(credit.shows(named), "credit").await;
    let submit = place.agree(report.shows(named), "credit_report").await;
    submit.shows(named);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_may_be_refused_reviewed_or_decided_late(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    place.world.script("risk", None, vec![Scripted::answer("late_elsewhere")]);
    let refused = place.apply(&submit).await;
    refused.shows("You are late with a payment elsewhere").shows("from 4 April 2026 on");
    let key = "key=0123456789abcdef0123456789abcdef";
    let body = |page: &Shown| {
        let value = |name: &str| page.field_of("/apply/submit", name);
        format!("{key}&csrf={}&product={}&version={}", value("csrf"), value("product"), value("version"))
    };
    place.browser.post("/apply/submit", body(&submit)).await.has_status(422).shows("30 days");
    place.app.clock.set(place.app.clock.now() + TimeDelta::days(30));
    place.sign_in(MOBILE).await.is_at("/home");
    // A day begins when the one before it is closed, and not at midnight: nobody is shown a form that is refused.
    place.browser.get("/apply").await.shows("Not this time").shows("from 4 April 2026 on");
    sqlx::query("update business_day set today = '2026-04-04'").execute(&place.app.pool).await.unwrap();
    let submit = place.browser.get("/apply").await;
    place.world.script("risk", None, vec![Scripted::answer("refer")]);
    let review = place.apply(&submit).await;
    review.shows("Under review");
    place.browser.get("/home").await.shows("See your application");
    sqlx::query("update application set status = 'submitted', referral = null where status = 'referred'")
        .execute(&place.app.pool)
        .await
        .unwrap();
    place
        .browser
        .get("/apply")
        .await
        .shows("Being decided")
        .shows("href=\"/apply\">Look again")
        .shows("hx-get=\"/apply/state\"")
        .shows("http-equiv=\"refresh\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_part_that_updates_itself_turns_from_waiting_to_decided(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    place.world.script("risk", None, vec![Scripted::answer("refer")]);
    place.apply(&submit).await.shows("Under review");
    sqlx::query("update application set status = 'submitted', referral = null where status = 'referred'")
        .execute(&place.app.pool)
        .await
        .unwrap();
    let state = async |browser: &Browser, seen: &str| {
        let client = fenqi::partner::client::build_http().unwrap();
        let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let asked = client.get(format!("{}/apply/state?seen={seen}", browser.address)).header("hx-request", "true");
        let asked = asked.header("accept-language", "en").header("cookie", cookies.join("; "));
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // Nothing is put in the place of what is there already: it would take the keyboard's place on it away.
    assert_eq!(state(&place.browser, "waiting").await, (204, String::new()));
    let (status, waiting) = state(&place.browser, "under_review").await;
    assert_eq!(status, 200);
    assert!(waiting.contains("Being decided") && waiting.contains("hx-get=\"/apply/state\""), "{waiting}");
    assert!(!waiting.contains("<html"), "only the part is sent: {waiting}");
    let referred = "update application set status = 'referred', referral = 'scripted' where status = 'submitted'
                    returning borrower_id, application_id";
    let (borrower_id, application_id) =
        sqlx::query_as::<_, (uuid::Uuid, uuid::Uuid)>(referred).fetch_one(&place.app.pool).await.unwrap();
    let decision = PersonDecision {
        borrower_id: BorrowerId::from_uuid(borrower_id),
        application_id: ApplicationId::from_uuid(application_id),
        person: "wang".into(),
        reason: "papers checked".into(),
        verdict: PersonVerdict::Approve { grade: "B".into(), limit: Fen::new(800_000) },
    };
    fenqi::credit::actions::decide_referred(&place.app, decision).await.unwrap();
    let (status, decided) = state(&place.browser, "waiting").await;
    assert_eq!(status, 200);
    assert!(decided.contains("Your line is open") && !decided.contains("hx-get"), "{decided}");
}

/// Applies in two tabs, and is shown the same in both.
async fn apply_twice(place: &mut Place, words: &str) {
    let first = place.come_to_submit().await;
    let second = place.browser.get("/apply").await;
    place.apply(&first).await.is_at("/apply").shows(words);
    place.apply(&second).await.is_at("/apply").shows(words);
    let applied: i64 = sqlx::query_scalar("select count(*) from application").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(applied, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_second_tab_that_applies_too_is_shown_the_line_that_the_first_one_got(pool: PgPool) {
    apply_twice(&mut open(pool).await, "Your line is open").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_second_tab_that_applies_too_is_shown_that_the_first_ones_application_is_under_review(pool: PgPool) {
    let mut place = open(pool).await;
    place.world.script("risk", None, vec![Scripted::answer("refer")]);
    apply_twice(&mut place, "Under review").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_on_terms_that_have_changed_is_shown_what_changed_and_sent_again(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    let dearer = include_str!("../../../products/standard.toml")
        .replace("limit_max_fen = 20_000_000", "limit_max_fen = 15_000_000")
        .replace("A = 0.086", "A = 0.096");
    fenqi::product::publish(&place.app, &dearer).await.unwrap();
    let stale = place.browser.submit(&submit, "/apply/submit", &[]).await;
    stale.has_status(422).shows("have just changed, and you have not applied yet");
    stale.shows("It was: a limit of up to ¥200,000.00, 8.6% to 18% a year (simple)");
    stale.shows("It is: a limit of up to ¥150,000.00, 9.6% to 18% a year (simple)");
    let applied: i64 = sqlx::query_scalar("select count(*) from application").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(applied, 0);
    place.apply(&stale).await.is_at("/apply").shows("Your line is open");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_rate_for_everybody_is_no_range(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    submit.shows("<dd class=\"amount\">8.6% – 18%</dd>");
    let prices = "prices = { A = 0.086, B = 0.108, C = 0.135, D = 0.162, E = 0.180 }";
    let same = "prices = { A = 0.086, B = 0.086, C = 0.086, D = 0.086, E = 0.086 }";
    let standard = include_str!("../../../products/standard.toml");
    assert!(standard.contains(prices));
    fenqi::product::publish(&place.app, &standard.replace(prices, same)).await.unwrap();
    let stale = place.browser.submit(&submit, "/apply/submit", &[]).await;
    stale.has_status(422).shows("It was: a limit of up to ¥200,000.00, 8.6% to 18% a year (simple)");
    stale.shows("It is: a limit of up to ¥200,000.00, 8.6% a year (simple)");
    stale.shows("<dd class=\"amount\">8.6%</dd>").hides("8.6% – 8.6%");
}

/// The terms of the lines that are applied for, changed under their number.
async fn change_terms(place: &Place, change: impl FnOnce(&mut Terms)) {
    let mut connection = place.app.pool.acquire().await.unwrap();
    let current = place.app.catalogue.current(&mut connection, "harbour-standard").await.unwrap().unwrap();
    let mut changed = ProductVersion::clone(&current);
    change(&mut changed.terms);
    place.app.catalogue.put(changed);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_past_its_last_day_is_not_offered_and_not_called_changed(pool: PgPool) {
    let mut place = open(pool).await;
    let submit = place.come_to_submit().await;
    change_terms(&place, |terms| terms.valid_until = Some("2026-03-04".parse().unwrap())).await;
    let refused = place.browser.submit(&submit, "/apply/submit", &[]).await;
    refused.has_status(422).shows("not available at the moment").hides("have just changed").hides("It was:");
    let page = place.browser.get("/apply").await;
    page.has_status(200).shows("not available at the moment").hides(">Apply</button>");
    change_terms(&place, |terms| terms.valid_until = None).await;
    let page = place.browser.get("/apply").await;
    page.shows(">Apply</button>").hides("not available at the moment");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_withdrawn_product_is_not_offered_now_and_nothing_that_was_given_is_lost(pool: PgPool) {
    let mut place = open(pool).await;
    let offer = async |place: &Place, words: &str| {
        let anew = format!("{}\n# {words}\n", include_str!("../../../products/standard.toml"));
        fenqi::product::publish(&place.app, &anew).await.unwrap();
    };
    fenqi::product::withdraw(&place.app, "harbour-standard", 1).await.unwrap();
    // Whoever could not apply is not asked who they are.
    let too_early = place.sign_in(MOBILE).await;
    too_early.is_at("/apply").shows("Not offered now").hides("id_number").hides("btn_primary\" href=\"/home\"");
    offer(&place, "Offered anew.").await;
    let identity = place.browser.get("/apply").await;
    let card = place.identify(&identity).await;
    let credit = place.bind_card(&card).await;
    let report = place.agree(&credit, "credit").await;
    let submit = place.agree(&report, "credit_report").await;
    fenqi::product::withdraw(&place.app, "harbour-standard", 2).await.unwrap();
    let refused = place.browser.submit(&submit, "/apply/submit", &[]).await;
    refused.has_status(422).shows("Not offered now").shows("come back later").hides("action=\"/apply/submit\"");
    let page = place.browser.get("/apply").await;
    page.has_status(200).shows("Not offered now").shows("all that you have filled in is kept");
    page.shows("btn_primary\" href=\"/home\"");
    place.browser.get("/apply?lang=zh-CN").await.has_status(200).shows("暂时不开放申请").shows("填写过的内容都已保存");
    place.browser.cookies.remove("language");
    let applied: i64 = sqlx::query_scalar("select count(*) from application").fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(applied, 0);
    offer(&place, "And once more.").await;
    let submit = place.browser.get("/apply").await;
    submit.shows("王**").shows("5775").hides("Not offered now");
    place.apply(&submit).await.shows("Your line is open");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_of_flat_fees_alone_says_what_it_costs_a_year_before_and_after_it_is_decided(pool: PgPool) {
    let mut place = open(pool).await;
    let mut connection = place.app.pool.acquire().await.unwrap();
    let shared = place.app.catalogue.current(&mut connection, "harbour-shared-fee").await.unwrap().unwrap();
    drop(connection);
    change_terms(&place, |terms| terms.plans = shared.terms.plans.clone()).await;
    let submit = place.come_to_submit().await;
    submit.shows("<dd class=\"amount\">5.39% – 8.41%</dd>");
    let state = place.apply(&submit).await;
    state.shows("Your line is open").shows("Annual rate (simple)").hides("<dd>0%</dd>");
    let grade: String = sqlx::query_scalar("select grade from credit_line").fetch_one(&place.app.pool).await.unwrap();
    let business_day = "2026-03-05".parse().unwrap();
    let asked = fenqi::product::PriceInquiry { grades: &[grade], business_day, line: None };
    let expected = fenqi::product::price_range(&shared.terms, asked).unwrap();
    let percent = |rate: Decimal| format!("{}%", (rate * Decimal::ONE_HUNDRED).normalize());
    assert!(expected.0 < expected.1);
    state.shows(&format!("<dd>{} – {}</dd>", percent(expected.0), percent(expected.1)));
}
