//! Merchants are onboarded by the real check rules, and paid through codes that cannot be guessed, altered or paid twice.

use fenqi::app::App;
use fenqi::base::id::MerchantId;
use fenqi::base::{BusinessDay, Fen};
use fenqi::close::close_day;
use fenqi::error::Step;
use fenqi::merchant::actions::{AccountChange, Judgement, LatinLabel, Onboarding};
use fenqi::merchant::code::{MerchantOnCode, Presented};
use fenqi::merchant::emvco::{Payload, crc16};
use fenqi::merchant::{
    self, AccountStep, Category, CodeRefusal, Decision, MerchantRefusal, MerchantStatus, Order, OrderDesk, Role,
    code_store, store,
};
use fenqi::product::{self, Catalogue};
use fenqi::vault::Field;
use sqlx::{AssertSqlSafe, PgPool};

use super::applicant::standard_product;
use super::house_command::Program;
use crate::counter::hire;
use crate::golden::golden;
use crate::{house, town};

const STANDARD: &str = include_str!("../../../products/standard.toml");

fn onboarding() -> Onboarding {
    Onboarding {
        name: "上海老王餐饮有限公司".into(),
        credit_code: "91350100M000100Y43".into(),
        category: "dining".into(),
        account_name: "上海老王餐饮有限公司".into(),
        account_number: "31001 5004 0005 0123 456".into(),
        contact_mobile: "13800138000".into(),
        latin: Some(LatinLabel { name: "LAO WANG NOODLES".into(), city: "SHANGHAI".into() }),
        discount_rate: "0.006".parse().unwrap(),
        discount_returned_on_refund: true,
    }
}

#[test]
fn what_a_merchant_states_does_not_show_its_account_and_whose_mobile_it_is() {
    let shown = format!("{:?}", onboarding());
    assert!(shown.contains("91350100M000100Y43"), "{shown}");
    assert!(!shown.contains("31001 5004") && !shown.contains("13800138000"), "{shown}");
}

fn judgement(merchant_id: MerchantId, decision: Decision) -> Judgement {
    Judgement { merchant_id, decision, decided_by: "operator:li".into(), reason: "papers checked".into() }
}

async fn active(app: &App) -> MerchantId {
    let merchant_id = merchant::onboard(app, &onboarding()).await.unwrap();
    assert_eq!(merchant::decide(app, &judgement(merchant_id, Decision::Accept)).await.unwrap(), Step::Applied);
    merchant_id
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_is_checked_filed_once_and_decided(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = merchant::onboard(&app, &onboarding()).await.unwrap();
    assert_eq!(merchant::onboard(&app, &onboarding()).await.unwrap(), merchant_id);
    assert_eq!(merchant::decide(&app, &judgement(merchant_id, Decision::Accept)).await.unwrap(), Step::Applied);
    assert_eq!(merchant::onboard(&app, &onboarding()).await.unwrap(), merchant_id);
    let other = Onboarding { category: "travel".into(), ..onboarding() };
    assert_eq!(town::refused(merchant::onboard(&app, &other).await), MerchantRefusal::AlreadyOnboarded);
    // Nor another account that ends with the same digits.
    let elsewhere = Onboarding { account_number: "31001 5004 0005 9993 456".into(), ..onboarding() };
    assert_eq!(town::refused(merchant::onboard(&app, &elsewhere).await), MerchantRefusal::AlreadyOnboarded);
    // Nor another contact or name on the code, which whoever sends them would take for written down.
    let called = Onboarding { contact_mobile: "13900139000".into(), ..onboarding() };
    assert_eq!(town::refused(merchant::onboard(&app, &called).await), MerchantRefusal::AlreadyOnboarded);
    let unnamed = Onboarding { latin: None, ..onboarding() };
    assert_eq!(town::refused(merchant::onboard(&app, &unnamed).await), MerchantRefusal::AlreadyOnboarded);

    assert_eq!(merchant::decide(&app, &judgement(merchant_id, Decision::Accept)).await.unwrap(), Step::AlreadyApplied);
    assert_eq!(merchant::decide(&app, &judgement(merchant_id, Decision::Suspend)).await.unwrap(), Step::Applied);
    let refused = town::refused(merchant::decide(&app, &judgement(merchant_id, Decision::Refuse)).await);
    assert_eq!(refused, MerchantRefusal::NotPossibleNow { status: MerchantStatus::Suspended });
    assert_eq!(merchant::decide(&app, &judgement(merchant_id, Decision::Close)).await.unwrap(), Step::Applied);

    let events: i64 = sqlx::query_scalar("select count(*) from merchant_event").fetch_one(&app.pool).await.unwrap();
    assert_eq!(events, 3);
    let told = "select kind from notice where audience = 'merchant' order by notice_no";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&app.pool).await.unwrap();
    assert_eq!(told, ["merchant_suspended", "merchant_closed"], "each once; nobody has applied on the pages");
    let mut connection = app.pool.acquire().await.unwrap();
    let terms = merchant::load_merchants(&mut connection, &[merchant_id]).await.unwrap();
    assert_eq!((terms[0].status, terms[0].category.as_str()), (MerchantStatus::Closed, "dining"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_several_applications_for_one_company_one_is_accepted_and_what_waits_is_refused_with_it(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let file = async |category: &str| {
        merchant::onboard(&app, &Onboarding { category: category.into(), ..onboarding() }).await.unwrap()
    };
    let refused = file("dining").await;
    assert_eq!(merchant::decide(&app, &judgement(refused, Decision::Refuse)).await.unwrap(), Step::Applied);
    let again = file("dining").await;
    assert_ne!(again, refused, "what was refused is filed anew");
    let (travel, leisure) = (file("travel").await, file("leisure").await);
    // Two operators at once accept one each.
    let (travel, leisure) = (judgement(travel, Decision::Accept), judgement(leisure, Decision::Accept));
    let (first, second) = tokio::join!(merchant::decide(&app, &travel), merchant::decide(&app, &leisure));
    let (accepted, other) = if first.is_ok() { (travel, second) } else { (leisure, first) };
    let too_late = MerchantRefusal::NotPossibleNow { status: MerchantStatus::Refused };
    assert_eq!(town::refused(other), too_late);
    let count = async |of: &'static str| -> i64 { sqlx::query_scalar(of).fetch_one(&pool).await.unwrap() };
    assert_eq!(count("select count(*) from merchant where status = 'active'").await, 1);
    assert_eq!(count("select count(*) from merchant where status = 'refused'").await, 3);
    let passed_over =
        "select count(*) from merchant_event where reason like 'mer\\_% of the same company was accepted'";
    assert_eq!(count(passed_over).await, 2);
    let fenqi = Program::on(&pool).await;
    let shown = fenqi.done(&["merchant", "show", &accepted.merchant_id.to_string()]);
    for other in [refused, again] {
        assert!(shown.contains(&format!("filed for this credit code too: {other}, which is refused")), "{shown}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_filed_while_an_acceptance_waits_is_refused_with_it(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let merchant_id = merchant::onboard(&app, &onboarding()).await.unwrap();
    let mut other = fenqi::database::begin(&pool).await.unwrap();
    sqlx::query("select from merchant for no key update").execute(&mut *other).await.unwrap();
    let filed = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                                       settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
                 select gen_random_uuid(), name, credit_code, category, name, '', '0000', 'submitted', 0.01, true, now()
                 from merchant";
    sqlx::query(filed).execute(&mut *other).await.unwrap();
    let accepting = judgement(merchant_id, Decision::Accept);
    let (accepted, ()) = tokio::join!(merchant::decide(&app, &accepting), async {
        house::until_somebody_waits(&pool).await;
        other.commit().await.unwrap();
    });
    assert_eq!(accepted.unwrap(), Step::Applied);
    let statuses = "select status from merchant order by status";
    let statuses: Vec<String> = sqlx::query_scalar(statuses).fetch_all(&pool).await.unwrap();
    assert_eq!(statuses, ["active", "refused"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_that_is_corrected_to_another_company_at_this_moment_is_not_accepted(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let merchant_id = merchant::onboard(&app, &onboarding()).await.unwrap();
    // The other company has its one merchant account already.
    let filed = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                                       settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
                 select gen_random_uuid(), name, '91310000MA1FL4B27H', category, name, '', '0000', 'active', 0.01, true, now()
                 from merchant";
    sqlx::query(filed).execute(&pool).await.unwrap();
    let mut other = fenqi::database::begin(&pool).await.unwrap();
    let corrected = "update merchant set credit_code = '91310000MA1FL4B27H' where status = 'submitted'";
    sqlx::query(corrected).execute(&mut *other).await.unwrap();
    let accepting = judgement(merchant_id, Decision::Accept);
    let (accepted, ()) = tokio::join!(merchant::decide(&app, &accepting), async {
        house::until_somebody_waits(&pool).await;
        other.commit().await.unwrap();
    });
    assert_eq!(town::refused(accepted), MerchantRefusal::CompanyCorrected);
    // Looked at again, it is refused for what it is now.
    let again = merchant::decide(&app, &accepting).await;
    assert_eq!(town::refused(again), MerchantRefusal::AlreadyOnboarded);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn somebody_whose_name_or_mobile_does_not_open_hides_nothing_else_of_a_merchant(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    for (mobile, role) in [("13900139001", Role::Owner), ("13900139002", Role::Cashier), ("13900139003", Role::Manager)]
    {
        hire(&app, merchant_id, mobile, role).await;
    }
    for (field, role) in [("name", "cashier"), ("mobile", "manager")] {
        let cut_short = format!(
            "update merchant_staff set {field}_sealed = substr({field}_sealed, 1, 9) where role = '{role}' returning 1"
        );
        let _: i32 = sqlx::query_scalar(AssertSqlSafe(cut_short)).fetch_one(&app.pool).await.unwrap();
    }
    let fenqi = Program::on(&app.pool).await;
    let merchant_id = merchant_id.to_string();
    let show = ["merchant", "show", &merchant_id];
    let shown = fenqi.done(&show);
    for line in [
        "    owner 王老板 139****9001 since ",
        "    cashier (a name that does not open) 139****9002 since ",
        "    manager 王老板 (a mobile that does not open) since ",
        " by operator:li: papers checked\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let shown: serde_json::Value = serde_json::from_str(&fenqi.done(&[&show[..], &["--json"]].concat())).unwrap();
    let people = shown["staff"].as_array().unwrap();
    let mut people: Vec<_> = people.iter().map(|staff| (staff["name"].as_str(), staff["mobile"].as_str())).collect();
    people.sort_unstable();
    let opened = (Some("王老板"), Some("139****9001"));
    assert_eq!(people, [(None, Some("139****9002")), (Some("王老板"), None), opened]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn wrong_particulars_are_refused_by_name(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let wrong = [
        (Onboarding { credit_code: "91350100M000100Y44".into(), ..onboarding() }, "credit_code_wrong"),
        (Onboarding { category: "casino".into(), ..onboarding() }, "unknown_category"),
        (Onboarding { account_number: "12".into(), ..onboarding() }, "settlement_account_malformed"),
        (Onboarding { account_name: "王小明".into(), ..onboarding() }, "settlement_account_of_another"),
        (Onboarding { contact_mobile: "12345".into(), ..onboarding() }, "contact_mobile_wrong"),
        (Onboarding { discount_rate: "0.6".parse().unwrap(), ..onboarding() }, "discount_rate_out_of_bounds"),
        (Onboarding { name: " ".into(), ..onboarding() }, "name_malformed"),
        (
            Onboarding { latin: Some(LatinLabel { name: " ".into(), city: "X".into() }), ..onboarding() },
            "latin_name_malformed",
        ),
    ];
    for (onboarding, code) in wrong {
        let refused = town::refused(merchant::onboard(&app, &onboarding).await);
        assert_eq!(fenqi::error::Refusal::code(&refused), code);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_settlement_account_is_sealed_and_changed_by_two_people(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    let state = async |account_number: &str, changed_by: &str| {
        let (account_number, changed_by) = (account_number.to_owned(), changed_by.to_owned());
        merchant::change_settlement_account(&app, &AccountChange { merchant_id, account_number, changed_by })
            .await
            .unwrap()
    };
    assert_eq!(state("6222 0212 3456 7890 123", "Li Na").await, AccountStep::Proposed);
    // Nobody confirms what they proposed, and nobody what was replaced since.
    assert_eq!(state("6222021234567890123", "li  na").await, AccountStep::Proposed);
    assert_eq!(state("6222021234567890999", "Wang Wei").await, AccountStep::Proposed);
    assert_eq!(state("6222021234567890123", "Li Na").await, AccountStep::Proposed);
    let tail: String =
        sqlx::query_scalar("select settlement_account_tail from merchant").fetch_one(&app.pool).await.unwrap();
    assert_eq!(tail, "3456", "one person has changed where the money goes");
    let changed = AccountStep::Changed { proposed_by: "Li Na".into() };
    assert_eq!(state("6222021234567890123", "Wang Wei").await, changed);
    assert_eq!(
        state("6222021234567890123", "Wang Wei").await,
        AccountStep::Proposed,
        "what was confirmed is done with"
    );
    let events: Vec<String> = sqlx::query_scalar("select decided_by from merchant_event where decision = 'account'")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(events, ["Li Na and Wang Wei"]);
    let sealed: Vec<u8> =
        sqlx::query_scalar("select settlement_account_sealed from merchant").fetch_one(&app.pool).await.unwrap();
    let opened = app.vault.open_for(merchant_id.uuid(), Field::SettlementAccount, &sealed).unwrap();
    assert_eq!(opened, "6222021234567890123");
    let mut connection = app.pool.acquire().await.unwrap();
    let record = store::find_merchant(&mut connection, merchant_id).await.unwrap().unwrap();
    assert_eq!(record.account_tail, "0123");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_merchant_has_one_static_code(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    let code = merchant::open_static_code(&app, merchant_id).await.unwrap();
    assert_eq!(merchant::open_static_code(&app, merchant_id).await.unwrap(), code);
    assert_eq!(merchant::close_code(&app, code.code_id).await.unwrap(), Step::Applied);
    assert_eq!(merchant::close_code(&app, code.code_id).await.unwrap(), Step::AlreadyApplied);
    assert_ne!(merchant::open_static_code(&app, merchant_id).await.unwrap().code_id, code.code_id);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_code_is_opened_once(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    standard_product(&app).await;
    let now = app.clock.now();
    let order = Order {
        merchant_id,
        reference: "A-1".into(),
        amount: Fen::new(12_805),
        expires_at: now + chrono::TimeDelta::minutes(15),
    };
    let open = async |order: &Order| app.order_desk.open(order.clone(), now).await;
    let code = open(&order).await.unwrap();
    assert_eq!(open(&order).await.unwrap(), code);
    let other = Order { amount: Fen::new(1), ..order.clone() };
    let taken = town::refused(open(&other).await);
    assert_eq!(taken, CodeRefusal::ReferenceTaken { reference: "A-1".into() });
    // More than a payload of EMVCo holds could never be drawn.
    let large = Order { reference: "A-2".into(), amount: Fen::new(1_000_000_000_000), ..order };
    assert_eq!(town::refused(open(&large).await), CodeRefusal::AmountOutOfBounds);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_was_opened_is_answered_again_after_its_time_and_when_its_merchant_is_suspended(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    standard_product(&app).await;
    let expires_at = app.clock.now() + chrono::TimeDelta::minutes(1);
    let order = Order { merchant_id, reference: "A-1".into(), amount: Fen::new(12_805), expires_at };
    let open = async |order: &Order| app.order_desk.open(order.clone(), app.clock.now()).await;
    let code = open(&order).await.unwrap();
    // Whoever has lost the answer asks again, and hears what became of the order, not that there is none.
    app.clock.set(expires_at);
    assert_eq!(open(&order).await.unwrap(), code);
    for other in [
        Order { reference: "A-2".into(), ..order.clone() },
        Order { amount: Fen::new(12_806), ..order.clone() },
        Order { expires_at: expires_at - chrono::TimeDelta::seconds(1), ..order.clone() },
    ] {
        assert_eq!(town::refused(open(&other).await), CodeRefusal::ExpiryOutOfBounds);
    }
    let later = Order { reference: "A-3".into(), expires_at: expires_at + chrono::TimeDelta::minutes(1), ..order };
    let code = open(&later).await.unwrap();
    assert_eq!(merchant::decide(&app, &judgement(merchant_id, Decision::Suspend)).await.unwrap(), Step::Applied);
    assert_eq!(open(&later).await.unwrap(), code);
    let not_active = CodeRefusal::MerchantNotActive { status: MerchantStatus::Suspended };
    assert_eq!(town::refused(open(&Order { reference: "A-4".into(), ..later }).await), not_active);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_node_opens_orders_by_what_is_sold_now_whatever_it_remembers(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let merchant_id = active(&app).await;
    standard_product(&app).await;
    let nodes = [app.order_desk.clone(), OrderDesk::start(pool, Catalogue::default())];
    let expires_at = app.clock.now() + chrono::TimeDelta::hours(1);
    let open = async |node: usize, reference: &str, fen: i64| {
        let order = Order { merchant_id, reference: format!("{reference}-{node}"), amount: Fen::new(fen), expires_at };
        nodes[node].open(order, app.clock.now()).await
    };
    for node in [0, 1] {
        open(node, "first", 1_000).await.unwrap();
    }
    let dearer = STANDARD.replace("amount_min_fen = 1_000", "amount_min_fen = 2_000");
    product::publish(&app, &dearer).await.unwrap();
    for node in [0, 1] {
        assert_eq!(town::refused(open(node, "cheap", 1_000).await), CodeRefusal::AmountNotSold);
        open(node, "dearer", 2_000).await.unwrap();
    }
    let elsewhere = STANDARD.replace("merchant_categories = []", "merchant_categories = [\"travel\"]");
    product::publish(&app, &elsewhere).await.unwrap();
    let become_one_of = async |category: &str| {
        sqlx::query("update merchant set category = $1").bind(category).execute(&app.pool).await.unwrap();
    };
    for node in [0, 1] {
        assert_eq!(town::refused(open(node, "dining", 2_000).await), CodeRefusal::AmountNotSold);
        become_one_of("travel").await;
        open(node, "travel", 2_000).await.unwrap();
        become_one_of("dining").await;
        assert_eq!(town::refused(open(node, "dining", 2_000).await), CodeRefusal::AmountNotSold);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_order_that_nobody_paid_in_time_has_expired_before_and_after_the_close(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    standard_product(&app).await;
    let expires_at = app.clock.now() + chrono::TimeDelta::minutes(15);
    let order = Order { merchant_id, reference: "A-1".into(), amount: Fen::new(1_000), expires_at };
    let code = app.order_desk.open(order.clone(), app.clock.now()).await.unwrap();
    let refused = async || {
        let mut connection = app.pool.acquire().await.unwrap();
        let code = code_store::find_code(&mut connection, code.code_id).await.unwrap().unwrap();
        code.check(Presented { merchant_id, amount: order.amount, at: app.clock.now() })
    };
    assert_eq!(refused().await, Ok(()));
    app.clock.set(expires_at);
    assert_eq!(refused().await, Err(CodeRefusal::OrderExpired));
    let day: BusinessDay = "2026-03-02".parse().unwrap();
    app.clock.set(day.next().instant("00:05:00".parse().unwrap()));
    close_day(&app, day).await.unwrap();
    assert_eq!(refused().await, Err(CodeRefusal::OrderExpired), "and not closed, which somebody does");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_suspended_merchant_opens_no_code(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = merchant::onboard(&app, &onboarding()).await.unwrap();
    let refused = town::refused(merchant::open_static_code(&app, merchant_id).await);
    assert_eq!(refused, CodeRefusal::MerchantNotActive { status: MerchantStatus::Submitted });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_has_a_link_a_payload_and_a_picture(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let merchant_id = active(&app).await;
    let code = merchant::open_static_code(&app, merchant_id).await.unwrap();
    let link = code.link("https://pay.example/");
    assert_eq!(link.len(), "https://pay.example/q/".len() + 22);
    assert!(merchant::picture::svg(&link).unwrap().starts_with("<svg"));
    let on_code = MerchantOnCode {
        name: "上海老王餐饮有限公司".into(),
        category: Category::Dining,
        latin_name: "LAO WANG NOODLES".into(),
        latin_city: "SHANGHAI".into(),
    };
    let payload = Payload::parse(&code.merchant_presented(&on_code).unwrap()).unwrap();
    assert_eq!(payload.value(1), Some("11"));
    assert_eq!(payload.template(26).unwrap()[1].value, merchant::code::token(code.code_id));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_code_is_printed_and_drawn_in_both_forms_by_command(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let merchant_id = active(&app).await;
    standard_product(&app).await;
    let expires_at = app.clock.now() + chrono::TimeDelta::minutes(15);
    let order = Order { merchant_id, reference: "A-1".into(), amount: Fen::new(12_805), expires_at };
    let code = app.order_desk.open(order, app.clock.now()).await.unwrap();
    let fenqi = Program::on(&pool).await;
    let id = merchant_id.to_string();

    let told = fenqi.done(&["merchant", "code", &id]);
    let (link, payload) = told.trim_end().split_once('\n').unwrap();
    assert!(link.contains("/q/") && payload.starts_with("000201010211"), "{told}");
    assert_eq!(fenqi.done(&["merchant", "code", &id]), told, "the printed code stays");

    let picture = std::env::temp_dir().join(format!("fenqi-code-{}.svg", std::process::id()));
    let drawn = picture.to_str().unwrap();
    let told = fenqi.done(&["merchant", "code", &id, "--order", "A-1", "--svg", drawn, "--emvco", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let payload = told["emvco"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(&picture).unwrap(), merchant::picture::svg(payload).unwrap());
    std::fs::remove_file(&picture).unwrap();
    let payload = Payload::parse(payload).unwrap();
    assert_eq!((payload.value(1), payload.value(54)), (Some("12"), Some("128.05")));
    assert_eq!(payload.template(26).unwrap()[1].value, merchant::code::token(code.code_id));

    assert!(fenqi.refused(&["merchant", "code", &id, "--order", "A-2"]).contains("there is no such code"));
    sqlx::query("update merchant set latin_name = null, latin_city = null").execute(&pool).await.unwrap();
    assert!(fenqi.done(&["merchant", "code", &id]).contains("stated no name and city in Latin letters"));
}

#[test]
fn every_golden_payload_is_read_or_refused_as_published() {
    let file = golden("emvco_qr_crc16.json");
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 18);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let text = case["payload"].as_str().unwrap();
        let covered = &text[..text.len() - 4];
        let computed = format!("{:04X}", crc16(covered.as_bytes()));
        if let Some(expected) = case["crc_computed_here"].as_str() {
            assert_eq!(computed, expected, "{id}");
        }
        match case["valid"].as_bool() {
            Some(true) => {
                let payload = Payload::parse(text).unwrap_or_else(|refused| panic!("{id}: {refused}"));
                let fields = case["fields"].as_array().unwrap();
                assert_eq!(payload.objects.len(), fields.len(), "{id}");
                for (object, field) in payload.objects.iter().zip(fields) {
                    assert_eq!(format!("{:02}", object.id), field["id"].as_str().unwrap(), "{id}");
                    assert_eq!(object.value, field["value"].as_str().unwrap(), "{id}");
                }
                assert_eq!(Payload::build(&payload.objects).unwrap(), text, "{id} built again");
            }
            Some(false) => assert!(Payload::parse(text).is_err(), "{id} must be refused"),
            // Published without a verdict; its CRC is compared above.
            None => assert!(text.ends_with(&computed), "{id}"),
        }
    }
}

#[test]
fn the_full_check_asks_for_what_the_specification_makes_mandatory() {
    let file = golden("emvco_qr_crc16.json");
    let valid: Vec<_> = file["cases"].as_array().unwrap().iter().filter(|case| case["valid"] == true).collect();
    assert_eq!(valid.len(), 13);
    for case in valid {
        let id = case["id"].as_str().unwrap();
        let complete = Payload::parse(case["payload"].as_str().unwrap()).unwrap().validate();
        // EMV-5 and EMV-6 lack category, name and city; EMV-3 names a city of 16 characters.
        let lacks_parts = matches!(id, "EMV-3" | "EMV-5" | "EMV-6");
        assert_eq!(complete.is_err(), lacks_parts, "{id}: {complete:?}");
    }
}
