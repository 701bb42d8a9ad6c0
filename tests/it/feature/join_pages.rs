//! A merchant's onboarding on the pages: every field is checked by its rule, the form can be interrupted and resumed, and an operator
//! decides.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::error::Fault;
use fenqi::merchant::actions::Judgement;
use fenqi::merchant::agreement_actions::AgreementChange;
use fenqi::merchant::join_actions::{self, Applicant};
use fenqi::merchant::{self, Decision, MerchantRefusal};
use fenqi::sandbox::{FaultShares, World};
use sqlx::PgPool;

use crate::browser::{Browser, Shown};
use crate::{counter, hearing, house};

const MOBILE: &str = "13700137000";
const COMPANY: [(&str, &str); 5] = [
    ("legal_name", "上海小李数码有限公司"),
    ("credit_code", "91310000 000000123 w"),
    ("category", "electronics"),
    ("latin_name", "LI DIGITAL"),
    ("latin_city", "SHANGHAI"),
];
const ACCOUNT: [(&str, &str); 3] = [
    ("account_name", "上海小李数码有限公司"),
    ("account_number", "9558 8000 0012 3456 789"),
    ("contact_name", "李小明"),
];

/// Somebody applies for the same company, from nothing to the last button.
async fn apply_as(browser: &mut Browser, world: &Arc<World>, mobile: &str) -> Shown {
    let company = counter::sign_in(browser, world, mobile).await;
    let account = browser.submit(&company, "/m/join/company", &COMPANY).await;
    send(browser, &account).await
}

/// From the second step to the last button.
async fn send(browser: &mut Browser, account: &Shown) -> Shown {
    let submit = browser.submit(account, "/m/join/account", &ACCOUNT).await;
    browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await
}

struct Place {
    app: App,
    world: Arc<World>,
    browser: Browser,
}

async fn open(pool: PgPool) -> Place {
    let (app, world) = house::open_in_world(pool, "2026-03-05").await;
    let browser = Browser::open(&app).await;
    Place { app, world, browser }
}

impl Place {
    async fn sign_in(&mut self) -> Shown {
        counter::sign_in(&mut self.browser, &self.world, MOBILE).await
    }

    /// From nothing to the last button.
    async fn come_to_submit(&mut self) -> Shown {
        let company = self.sign_in().await;
        let account = self.browser.submit(&company, "/m/join/company", &COMPANY).await;
        self.browser.submit(&account, "/m/join/account", &ACCOUNT).await
    }

    async fn apply(&mut self) -> Shown {
        let submit = self.come_to_submit().await;
        self.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await
    }

    async fn decide(&self, decision: Decision, reason: &str) {
        let merchant_id = sqlx::query_scalar("select merchant_id from merchant").fetch_one(&self.app.pool).await;
        let judgement = Judgement {
            merchant_id: merchant_id.unwrap(),
            decision,
            decided_by: "operator:li".into(),
            reason: reason.into(),
        };
        let _ = merchant::decide(&self.app, &judgement).await.unwrap();
    }

    /// Asks as htmx does for the part that updates itself.
    async fn part(&self) -> (u16, String) {
        let cookies: Vec<String> = self.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let client = reqwest::Client::builder().timeout(house::PATIENCE).build().unwrap();
        let request = client.get(format!("{}/m/join/state", self.browser.address)).header("hx-request", "true");
        let request = request.header("accept-language", "en").header("cookie", cookies.join("; "));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn count(&self, table: &str) -> i64 {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")));
        count.fetch_one(&self.app.pool).await.unwrap()
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_newcomer_applies_is_accepted_and_owns_the_merchant(pool: PgPool) {
    let mut place = open(pool).await;
    let company = place.sign_in().await;
    company.is_at("/m/join").shows("Become a merchant").shows("What you sell");
    let account = place.browser.submit(&company, "/m/join/company", &COMPANY).await;
    account.is_at("/m/join").shows("Account and contact").shows("value=\"上海小李数码有限公司\"");
    let submit = place.browser.submit(&account, "/m/join/account", &ACCOUNT).await;
    submit.is_at("/m/join").shows("91310000000000123W").shows("Electronics").shows("···· 6789").shows("0.6%");
    submit.hides("9558800000123456789").shows("137****7000");
    let unticked = place.browser.submit(&submit, "/m/join/submit", &[]).await;
    unticked.has_status(422).shows("Please fill this in");
    let state = place.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await;
    state.is_at("/m/join").shows("Under review").shows("hx-get=\"/m/join/state\"");
    state.shows("href=\"/m/join\">Look again");
    assert_eq!(place.part().await, (204, String::new()), "nothing changes while nobody decides");
    place.browser.get("/m").await.is_at("/m/join").shows("Under review");
    // Sent again, as by a second tap or from another tab, it is the same application.
    place
        .browser
        .submit(&submit, "/m/join/submit", &[("confirm_join", "yes")])
        .await
        .is_at("/m/join")
        .shows("Under review");
    assert_eq!((place.count("merchant").await, place.count("onboarding_draft").await), (1, 0));
    place.decide(Decision::Accept, "papers checked").await;
    let (status, text) = place.part().await;
    assert!(status == 200 && text.contains("Accepted") && !text.contains("hx-get"), "{text}");
    place.browser.get("/m/join").await.shows("Accepted");
    place.browser.get("/m/more").await.is_at("/m/more").shows("李小明").shows("Owner");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nothing_personal_of_a_merchant_and_its_people_is_logged_or_stands_in_an_address(pool: PgPool) {
    hearing::listen();
    let mut place = open(pool).await;
    let company = place.sign_in().await;
    let account = place.browser.submit(&company, "/m/join/company", &COMPANY).await;
    // What goes wrong is told in the log too, and not whose it was.
    let wrong =
        ACCOUNT.map(|(name, value)| (name, if name == "account_number" { "31001550400050654321x" } else { value }));
    place.browser.submit(&account, "/m/join/account", &wrong).await.has_status(422);
    let submit = place.browser.submit(&account, "/m/join/account", &ACCOUNT).await;
    place.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await.shows("Under review");
    place.decide(Decision::Accept, "papers checked").await;
    place.browser.get("/m/join").await.shows("Accepted");
    let form = place.browser.get("/m/staff/new").await;
    let hired = [("staff_name", "陈小妹"), ("mobile", "13900139077"), ("role", "cashier")];
    let at = (&mut place.browser, &place.app, &place.world);
    let listed = counter::confirm(at, &form, ("/m/staff/new", MOBILE), &hired).await;
    listed.is_at("/m/staff").shows("陈小妹");
    let at = (&mut place.browser, &place.app, &place.world);
    let again = [("staff_name", "陈小弟"), ("mobile", "13900139077"), ("role", "cashier")];
    counter::confirm(at, &form, ("/m/staff/new", MOBILE), &again).await.has_status(422);
    let mut cashier = Browser::at(&place.browser.address);
    counter::sign_in(&mut cashier, &place.world, "13900139077").await.is_at("/m");
    let personal = [
        MOBILE,
        "13900139077",
        "13900139078",
        "9558800000123456789",
        "31001550400050654321",
        "李小明",
        "陈小妹",
        "陈小弟",
    ];
    for path in ["/m", "/m/more", "/m/staff", "/m/orders", "/m/purchases", "/m/settlements", "/m/messages", "/m/poster"]
    {
        let shown = place.browser.get(path).await;
        assert!(personal.iter().all(|personal| !shown.at.contains(personal)), "{}", shown.at);
    }
    place.browser.get(&format!("/m/purchases?number={MOBILE}")).await;
    place.browser.post("/m/staff/new", format!("mobile={MOBILE}&staff_name=13900139078")).await.has_status(403);
    place.world.set_faults("sms", FaultShares { timeout_before: 1000, ..FaultShares::default() });
    let mut stranger = Browser::at(&place.browser.address);
    let page = stranger.get("/m/sign-in").await;
    stranger.submit(&page, "/m/sign-in", &[("mobile", "13900139078"), ("do", "send")]).await.has_status(422);
    let log = hearing::heard_without(&personal);
    for route in ["answered", "/m/sign-in", "/m/join/account", "/m/staff/new"] {
        assert!(log.contains(route), "{log}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn errors_stand_beside_their_fields_and_the_input_is_kept(pool: PgPool) {
    let mut place = open(pool).await;
    let company = place.sign_in().await;
    let long = "长".repeat(10_000);
    let cases = [
        ("legal_name", "", "Please fill this in"),
        ("legal_name", long.as_str(), "at most 120 characters"),
        ("credit_code", "91310000000000123X", "One character of the credit code is not right"),
        ("credit_code", "一二三", "18 digits and capital letters"),
        ("category", "casino", "Choose what you sell"),
        ("latin_name", "小李", "Latin alphabet"),
        ("latin_city", "", "Fill in name and city"),
    ];
    for (field, typed, said) in cases {
        let fields = COMPANY.map(|(name, value)| (name, if name == field { typed } else { value }));
        let refused = place.browser.submit(&company, "/m/join/company", &fields).await;
        refused.has_status(422).shows(said).shows(&format!("id=\"{field}-error\""));
        if field != "latin_name" {
            refused.shows("value=\"LI DIGITAL\"");
        }
    }
    let account = place.browser.submit(&company, "/m/join/company", &COMPANY).await;
    for (field, typed, said) in [
        ("account_name", "李小明", "own: its name is the one on the licence"),
        ("account_number", "12", "8 to 32 digits"),
        ("account_number", "1e9999999", "8 to 32 digits"),
        ("contact_name", "😀\u{7}", "1 to 40 characters"),
    ] {
        let fields = ACCOUNT.map(|(name, value)| (name, if name == field { typed } else { value }));
        let refused = place.browser.submit(&account, "/m/join/account", &fields).await;
        refused.has_status(422).shows(said).shows(&format!("id=\"{field}-error\""));
    }
    assert_eq!(place.count("merchant").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_leaves_comes_back_to_the_same_step_from_any_browser(pool: PgPool) {
    let mut place = open(pool).await;
    let company = place.sign_in().await;
    place.browser.submit(&company, "/m/join/company", &COMPANY).await;
    place.app.clock.set(place.app.clock.now() + TimeDelta::days(30));
    place.browser = Browser::open(&place.app).await;
    place.sign_in().await.is_at("/m/join").shows("Account and contact");
    place.browser.get("/m/join?step=company").await.shows("value=\"LI DIGITAL\"").shows("value=\"91310000000000123W\"");
    place.browser.get("/m/join/account").await.is_at("/m/join");
    let sealed: Vec<u8> =
        sqlx::query_scalar("select fields_sealed from onboarding_draft").fetch_one(&place.app.pool).await.unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("LI DIGITAL"));
    place.app.clock.set(place.app.clock.now() + TimeDelta::days(91));
    assert_eq!(merchant::join_actions::sweep(&place.app).await.unwrap(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refusal_is_shown_with_its_reason_corrected_and_sent_again(pool: PgPool) {
    let mut place = open(pool).await;
    place.apply().await.shows("Under review");
    place.decide(Decision::Refuse, "the licence has expired").await;
    let refused = place.browser.get("/m").await;
    refused.is_at("/m/join").shows("Not accepted").shows("the licence has expired");
    let account = place.browser.submit(&refused, "/m/join/again", &[]).await;
    account.is_at("/m/join").shows("Account and contact").shows("value=\"李小明\"").hides("9558800000123456789");
    let submit = place.browser.submit(&account, "/m/join/account", &ACCOUNT).await;
    place.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await.shows("Under review");
    assert_eq!((place.count("merchant").await, place.count("merchant_staff").await), (1, 1));
    place.decide(Decision::Accept, "a new licence").await;
    place.browser.get("/m/more").await.is_at("/m/more");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_that_is_corrected_is_shown_at_the_price_that_it_keeps(pool: PgPool) {
    let mut place = open(pool).await;
    place.apply().await.shows("Under review");
    let merchant_id = sqlx::query_scalar("select merchant_id from merchant").fetch_one(&place.app.pool).await.unwrap();
    for by in ["Li Na", "Wang Wei"] {
        let change = AgreementChange {
            merchant_id,
            discount_rate: "0.0085".parse().unwrap(),
            discount_returned_on_refund: false,
            stated_by: by.into(),
        };
        let _ = merchant::change_agreement(&place.app, &change).await.unwrap();
    }
    place.decide(Decision::Refuse, "the licence has expired").await;
    let refused = place.browser.get("/m").await;
    let account = place.browser.submit(&refused, "/m/join/again", &[]).await;
    let submit = place.browser.submit(&account, "/m/join/account", &ACCOUNT).await;
    submit.shows("0.85%").shows("kept when you refund").hides("0.6%").hides("given back");
    place.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await.shows("Under review");
    place.decide(Decision::Accept, "a new licence").await;
    place.browser.get("/m/more").await.shows("0.85%").shows("it stays when a purchase is refunded");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_applied_is_told_what_was_decided(pool: PgPool) {
    let mut place = open(pool).await;
    place.apply().await;
    place.decide(Decision::Refuse, "the licence has expired").await;
    fenqi::outbox::jobs::deliver_outbox(&place.app).await.unwrap();
    let told = |place: &Place| {
        let book = fenqi::sandbox::world::lock(&place.world.sms);
        let messages = book.messages_to(MOBILE);
        messages
            .iter()
            .map(|message| message.template.clone())
            .filter(|kind| kind.starts_with("merchant_"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&place), ["merchant_refused"]);
    let refused = place.browser.get("/m/join").await;
    refused.shows("the licence has expired");
    let account = place.browser.submit(&refused, "/m/join/again", &[]).await;
    let submit = place.browser.submit(&account, "/m/join/account", &ACCOUNT).await;
    place.browser.submit(&submit, "/m/join/submit", &[("confirm_join", "yes")]).await;
    // The operators too, of each application, though both were sent on one day.
    let applied =
        "select (body ->> 'corrections')::bigint from notice where kind = 'merchant_applied' order by notice_no";
    let applied: Vec<i64> = sqlx::query_scalar(applied).fetch_all(&place.app.pool).await.unwrap();
    assert_eq!(applied, [0, 1]);
    place.decide(Decision::Accept, "a new licence").await;
    // Decided again, as by a second click, nobody is told twice.
    place.decide(Decision::Accept, "a new licence").await;
    fenqi::outbox::jobs::deliver_outbox(&place.app).await.unwrap();
    assert_eq!(told(&place), ["merchant_refused", "merchant_accepted"]);
    let messages = place.browser.get("/m/messages").await;
    messages.shows("Your application was accepted").shows("Your application was not accepted: the licence has expired");
    messages.shows("href=\"/m/join\"");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_company_that_is_there_already_gives_nobody_else_a_way_in(pool: PgPool) {
    let mut place = open(pool).await;
    place.apply().await.shows("Under review");
    place.decide(Decision::Accept, "papers checked").await;
    let mut stranger = Browser::open(&place.app).await;
    let company = counter::sign_in(&mut stranger, &place.world, "13700137001").await;
    let refused = stranger.submit(&company, "/m/join/company", &COMPANY).await;
    refused.has_status(422).shows("has a merchant account already").shows("id=\"credit_code-error\"");
    stranger.get("/m").await.is_at("/m/join");
    assert_eq!(place.count("merchant_staff").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whoever_files_another_companys_code_keeps_it_from_nothing(pool: PgPool) {
    const SQUATTER: &str = "13700137001";
    let mut place = open(pool).await;
    let mut squatter = Browser::open(&place.app).await;
    apply_as(&mut squatter, &place.world, SQUATTER).await.shows("Under review");
    place.decide(Decision::Refuse, "not of this company").await;
    place.apply().await.shows("Under review");
    let own = "select merchant_id from merchant where status = 'submitted'";
    let own = sqlx::query_scalar(own).fetch_one(&place.app.pool).await.unwrap();
    let refused = squatter.get("/m").await;
    refused.is_at("/m/join").shows("Not accepted");
    let account = squatter.submit(&refused, "/m/join/again", &[]).await;
    send(&mut squatter, &account).await.shows("Under review");

    let (decided_by, reason) = ("operator:li".to_owned(), "the company says so".to_owned());
    let judgement = Judgement { merchant_id: own, decision: Decision::Accept, decided_by, reason };
    let _ = merchant::decide(&place.app, &judgement).await.unwrap();
    place.browser.get("/m/join").await.shows("Accepted");
    let passed_over = squatter.get("/m").await;
    passed_over.is_at("/m/join").shows("Not accepted").shows("Another application of this company was accepted");
    let account = squatter.submit(&passed_over, "/m/join/again", &[]).await;
    let taken = send(&mut squatter, &account).await;
    taken.has_status(422).shows("has a merchant account already").shows("id=\"credit_code-error\"");
    let owners = "select count(*) from merchant_staff join merchant using (merchant_id) where status = 'active'";
    let owners: i64 = sqlx::query_scalar(owners).fetch_one(&place.app.pool).await.unwrap();
    assert_eq!(owners, 1);

    let kinds = "select kind from notice where audience = 'merchant' order by kind";
    let kinds: Vec<String> = sqlx::query_scalar(kinds).fetch_all(&place.app.pool).await.unwrap();
    assert_eq!(kinds, ["merchant_accepted", "merchant_passed_over", "merchant_refused"]);
    fenqi::outbox::jobs::deliver_outbox(&place.app).await.unwrap();
    let book = fenqi::sandbox::world::lock(&place.world.sms);
    let told = book.messages_to(SQUATTER).into_iter().filter(|message| message.template == "merchant_refused");
    assert_eq!(told.count(), 2, "by SMS, both times");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_taps_at_the_same_moment_file_one_application(pool: PgPool) {
    let mut place = open(pool).await;
    place.come_to_submit().await;
    let app = &place.app;
    let applicant = Applicant { mobile: MOBILE.parse().unwrap(), refused: None };
    let mut other = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("select 1 from onboarding_draft for update").execute(&mut *other).await.unwrap();
    let tap = async || join_actions::apply(app, &applicant).await.unwrap();
    let (first, second, ()) = tokio::join!(tap(), tap(), async {
        house::until_as_many_wait(&app.pool, 2).await;
        other.rollback().await.unwrap();
    });
    assert_eq!(first, second);
    assert_eq!((place.count("merchant").await, place.count("merchant_staff").await), (1, 1));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_company_that_another_takes_at_the_same_moment_is_refused_when_applied_for_again(pool: PgPool) {
    let mut place = open(pool).await;
    place.apply().await;
    place.decide(Decision::Refuse, "the licence is another company's").await;
    let app = &place.app;
    let mobile = MOBILE.parse().unwrap();
    let refused = merchant::staff_actions::find_by_mobile(app, &mobile).await.unwrap().remove(0);
    join_actions::correct(app, refused.clone()).await.unwrap();
    let applicant = Applicant { mobile, refused: Some(refused) };
    let mut draft = join_actions::load_draft(app, &applicant).await.unwrap();
    let fields = [("credit_code", "91350100M000100Y43"), ("account_number", "9558800000123456789")];
    draft.0.extend(fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
    join_actions::save_draft(app, &applicant, &draft).await.unwrap();
    let filed = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                                       settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
                 select gen_random_uuid(), name, '91350100M000100Y43', category, name, '', '0000', 'submitted', 0.01, true, now()
                 from merchant";
    sqlx::query(filed).execute(&app.pool).await.unwrap();
    let mut other = fenqi::database::begin(&app.pool).await.unwrap();
    let accepted = "update merchant set status = 'active' where credit_code = '91350100M000100Y43'";
    sqlx::query(accepted).execute(&mut *other).await.unwrap();
    let (applied, ()) = tokio::join!(join_actions::apply(app, &applicant), async {
        house::until_as_many_wait(&app.pool, 1).await;
        other.commit().await.unwrap();
    });
    assert!(matches!(applied, Err(Fault::Refused(MerchantRefusal::AlreadyOnboarded))), "{applied:?}");
}
