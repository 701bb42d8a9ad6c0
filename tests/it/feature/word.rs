//! The funder's final decision on an approved application: what the funder is shown, what it may answer, and the default if it is silent.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{BorrowerId, ProductId};
use fenqi::borrower::{self, Agreement, Signature};
use fenqi::credit::actions::{self, PersonDecision, PersonVerdict};
use fenqi::credit::consent_actions::take_back;
use fenqi::credit::{ApplicationState, Applied, ApplyRefusal, ApplyRequest, RiskHook};
use fenqi::jobs::{JobKind, dispatch};
use fenqi::product;
use fenqi::sandbox::{Scripted, World};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::api_credit::desk_of;
use super::applicant::{ready, request, standard_product, steady};
use crate::browser::Browser;
use crate::desk::Desk;
use crate::{house, shopper, town};

const STANDARD: &str = include_str!("../../../products/standard.toml");

struct Place {
    app: App,
    world: Arc<World>,
    product: (ProductId, i32),
    funder: Desk,
}

impl Place {
    async fn open(pool: PgPool, default: &str) -> Place {
        let (app, world) = house::open_in_world(pool, "2026-01-05").await;
        standard_product(&app).await;
        let text = format!("{STANDARD}\n[funder_word]\ndeadline_hours = 48\ndefault = \"{default}\"\n");
        let published = product::publish(&app, &text).await.unwrap();
        let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;
        Place { app, world, product: (published.product_id, published.version), funder }
    }

    async fn apply(&self, number: u64) -> (BorrowerId, Applied) {
        let borrower_id = ready(&self.app, number).await;
        let wish = request(borrower_id, self.product, Some(steady()));
        (borrower_id, actions::apply(&self.app, wish).await.unwrap())
    }

    async fn pass(&self, hours: i64) {
        self.app.clock.set(self.app.clock.now() + TimeDelta::hours(hours));
        dispatch::run(&self.app, JobKind::AskPartners).await.unwrap();
    }

    async fn find(&self, applied: &Applied) -> Value {
        self.funder.get(&format!("/funder/applications/{}", applied.application_id)).await.ok()
    }

    async fn messages(&self, kind: &str) -> Vec<Value> {
        let bodies =
            sqlx::query_scalar("select body from outbox where kind = $1 and partner = 'harbour-bank' order by 1");
        bodies.bind(kind).fetch_all(&self.app.pool).await.unwrap()
    }
}

fn decision_path(applied: &Applied) -> String {
    format!("/funder/applications/{}/decision", applied.application_id)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_approved_waits_for_the_funder_which_may_lower_it(pool: PgPool) {
    let place = Place::open(pool, "refuse").await;
    let (borrower_id, applied) = place.apply(1).await;
    assert_eq!(applied.state, ApplicationState::WithFunder);
    assert_eq!(place.apply(2).await.1.state, ApplicationState::WithFunder);
    let mut browser = Browser::open(&place.app).await;
    shopper::sign_in(&mut browser, &place.app, borrower_id).await;
    let waiting = browser.get("/apply").await;
    waiting.shows("Under review by the lender").shows("gives it on 7 January 2026 at 10:00 at the latest");
    waiting.hides("A person takes another look");
    let told = place.messages("application_waiting").await;
    assert_eq!(told.len(), 2);
    let own = told.iter().find(|body| body["application_id"] == applied.application_id.to_string()).unwrap();
    assert_eq!(
        (&own["limit_fen"], &own["grade"], &own["default"]),
        (&json!(20_000_000), &json!("A"), &json!("refuse"))
    );
    assert_eq!(own["answer_by"], "2026-01-07T02:00:00Z");

    let waiting = place.funder.get("/funder/applications?status=with_funder").await.ok();
    assert_eq!(waiting["items"].as_array().unwrap().len(), 2);
    let path = decision_path(&applied);
    let approve = |limit: i64| json!({ "decision": "approve", "limit_fen": limit, "reason": "our own book" });
    let post = async |key: &str, body: &Value| place.funder.post(&path, key, body).await;
    assert_eq!(post("k-1", &approve(20_000_001)).await.problem(), (422, "limit_above_proposal".into()));
    assert_eq!(post("k-2", &approve(1)).await.problem(), (422, "limit_out_of_bounds".into()));
    let other_grade = json!({ "decision": "approve", "grade": "B", "reason": "x" });
    assert_eq!(post("k-3", &other_grade).await.problem(), (422, "grade_differs".into()));
    let malformed = json!({ "decision": "refuse", "limit_fen": 5, "code": "no", "reason": "x" });
    assert_eq!(post("k-4", &malformed).await.problem(), (422, "decision_malformed".into()));

    let decided = post("k-5", &approve(5_000_000)).await.ok();
    assert_eq!((&decided["status"], &decided["limit_fen"]), (&json!("approved"), &json!(5_000_000)));
    assert_eq!(decided["proposed_limit_fen"], 20_000_000);
    assert_eq!((&decided["proposed_by"], &decided["grade"]), (&json!("scorecard"), &json!("A")));
    assert_eq!(decided["decided_by"], "funder:harbour-core: holder of K-1");
    let again = place.funder.post(&path, "k-5", &approve(5_000_000)).await;
    assert_eq!((again.ok(), again.header("idempotent-replayed")), (decided.clone(), "true"));
    assert_eq!(post("k-6", &approve(5_000_000)).await.ok(), decided, "the same under another key changes nothing");
    assert_eq!(post("k-7", &approve(4_000_000)).await.problem(), (409, "application_not_referred".into()));
    let refusal = json!({ "decision": "refuse", "code": "changed_mind", "reason": "x" });
    assert_eq!(post("k-8", &refusal).await.problem(), (409, "application_not_referred".into()));
    let lines: i64 = sqlx::query_scalar("select count(*) from credit_line where limit_fen = 5000000")
        .fetch_one(&place.app.pool)
        .await
        .unwrap();
    assert_eq!((lines, place.messages("line_opened").await.len()), (1, 1));
    place.pass(100).await;
    assert_eq!(place.find(&applied).await["status"], "approved", "what was decided in time stands");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_funder_is_taken_to_refuse_and_its_late_answer_has_its_own_code(pool: PgPool) {
    let place = Place::open(pool, "refuse").await;
    let (borrower_id, applied) = place.apply(1).await;
    place.pass(48).await;
    assert_eq!(place.find(&applied).await["status"], "with_funder", "the last instant is in time");
    // Past the deadline, and before the job has come by.
    place.app.clock.set(place.app.clock.now() + TimeDelta::seconds(1));
    let approve = json!({ "decision": "approve", "reason": "x" });
    let late = place.funder.post(&decision_path(&applied), "k-1", &approve).await;
    assert_eq!(late.problem(), (409, "decision_too_late".into()));
    place.pass(0).await;
    let found = place.find(&applied).await;
    assert_eq!((&found["status"], &found["refusal"]), (&json!("refused"), &json!("funder_silent")));
    assert_eq!(found["decided_by"], "deadline");
    let late = place.funder.post(&decision_path(&applied), "k-2", &approve).await;
    assert_eq!(late.problem(), (409, "decision_too_late".into()));
    let told = place.messages("application_defaulted").await;
    assert_eq!((told.len(), &told[0]["decision"]), (1, &json!("refuse")));
    place.pass(1).await;
    assert_eq!(place.messages("application_defaulted").await.len(), 1, "once");
    crate::journey::told_as_documented(&place.app.pool).await;
    let mut browser = Browser::open(&place.app).await;
    shopper::sign_in(&mut browser, &place.app, borrower_id).await;
    browser.get("/apply").await.shows("The lender has not approved the application in time.");
    // That says nothing about the applicant, who need not wait for it as for another refusal.
    browser.get("/apply").await.shows("You may apply again from 8 January 2026 on.");
    sqlx::query("update business_day set today = '2026-01-08'").execute(&place.app.pool).await.unwrap();
    let anew = browser.get("/apply").await;
    anew.shows("Check and apply").hides("The lender has not approved the application in time.");
    let again = ApplyRequest { idempotency_key: "again".into(), ..request(borrower_id, place.product, Some(steady())) };
    assert_eq!(actions::apply(&place.app, again).await.unwrap().state, ApplicationState::WithFunder);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_that_says_it_was_silent_has_refused_like_any_other(pool: PgPool) {
    let place = Place::open(pool, "refuse").await;
    let (borrower_id, applied) = place.apply(1).await;
    let refuse = json!({ "decision": "refuse", "code": "funder_silent", "reason": "x" });
    assert_eq!(place.funder.post(&decision_path(&applied), "k-1", &refuse).await.ok()["status"], "refused");
    let mut browser = Browser::open(&place.app).await;
    shopper::sign_in(&mut browser, &place.app, borrower_id).await;
    sqlx::query("update business_day set today = '2026-01-08'").execute(&place.app.pool).await.unwrap();
    browser.get("/apply").await.shows("You may apply again from 4 February 2026 on.");
    let again = ApplyRequest { idempotency_key: "again".into(), ..request(borrower_id, place.product, Some(steady())) };
    assert_eq!(town::refused(actions::apply(&place.app, again).await), ApplyRefusal::RefusedLately);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_funder_is_taken_to_approve_where_its_product_says_so(pool: PgPool) {
    let place = Place::open(pool, "approve").await;
    let (_, applied) = place.apply(1).await;
    place.pass(49).await;
    let found = place.find(&applied).await;
    assert_eq!((&found["status"], &found["limit_fen"]), (&json!("approved"), &json!(20_000_000)));
    assert_eq!(
        (place.messages("line_opened").await.len(), place.messages("application_defaulted").await.len()),
        (1, 1)
    );
    let refuse = json!({ "decision": "refuse", "code": "own_list", "reason": "x" });
    let late = place.funder.post(&decision_path(&applied), "k-1", &refuse).await;
    assert_eq!(late.problem(), (409, "decision_too_late".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_person_or_a_late_hook_proposes_and_the_funder_decides(pool: PgPool) {
    let place = Place::open(pool, "refuse").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..place.app.clone() };
    place.world.script("risk", None, vec![Scripted::answer("silent"); 6]);
    let apply = async |number| {
        let borrower_id = ready(&app, number).await;
        (borrower_id, actions::apply(&app, request(borrower_id, place.product, Some(steady()))).await.unwrap())
    };
    let (first, by_person) = apply(1).await;
    let (second, by_hook) = apply(2).await;
    assert!(matches!(by_person.state, ApplicationState::Referred { .. }));
    let decision = PersonDecision {
        borrower_id: first,
        application_id: by_person.application_id,
        person: "wang".into(),
        reason: "papers checked".into(),
        verdict: PersonVerdict::Approve { grade: "B".into(), limit: Fen::new(800_000) },
    };
    let proposed = actions::decide_referred(&app, decision.clone()).await.unwrap();
    assert_eq!(proposed.state, ApplicationState::WithFunder);
    assert_eq!(actions::decide_referred(&app, decision).await.unwrap().state, ApplicationState::WithFunder, "again");
    let risk = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    let late = json!({ "application_id": by_hook.application_id.uuid(), "borrower_id": second.uuid(),
        "decision": "approve", "grade": "C", "limit_fen": 600_000 });
    assert_eq!(risk.post("/risk/decisions", "l-1", &late).await.ok()["status"], "with_funder");
    assert_eq!(risk.post("/risk/decisions", "l-2", &late).await.ok()["status"], "with_funder");
    assert_eq!(place.find(&by_hook).await["proposed_by"], "partner");

    let approve = json!({ "decision": "approve", "reason": "fine" });
    let decided = place.funder.post(&decision_path(&by_person), "k-1", &approve).await.ok();
    assert_eq!((&decided["status"], &decided["limit_fen"]), (&json!("approved"), &json!(800_000)));
    assert_eq!(decided["proposed_by"], "person:wang");
    let refuse = json!({ "decision": "refuse", "code": "own_list", "reason": "x" });
    let decided = place.funder.post(&decision_path(&by_hook), "k-2", &refuse).await.ok();
    assert_eq!((&decided["status"], &decided["refusal"]), (&json!("refused"), &json!("own_list")));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_approval_that_another_line_has_overtaken_is_heard_again_and_told_as_what_it_came_to(pool: PgPool) {
    let place = Place::open(pool, "approve").await;
    let text = format!("{STANDARD}\n[funder_word]\ndeadline_hours = 48\ndefault = \"approve\"\n");
    let published = product::publish(&place.app, &text.replace("harbour-standard", "harbour-second")).await.unwrap();
    let second = (published.product_id, published.version);
    let apply_for_both = async |number| {
        let (borrower_id, first) = place.apply(number).await;
        // The page shows the later one.
        place.app.clock.set(place.app.clock.now() + TimeDelta::seconds(1));
        let wish = ApplyRequest { idempotency_key: "second".into(), ..request(borrower_id, second, Some(steady())) };
        (first, actions::apply(&place.app, wish).await.unwrap())
    };
    let approve = json!({ "decision": "approve", "reason": "x" });
    let post = async |applied: &Applied, key: &str| place.funder.post(&decision_path(applied), key, &approve).await;

    let (first, overtaken) = apply_for_both(1).await;
    assert_eq!(post(&first, "k-1").await.ok()["status"], "approved");
    let decided = post(&overtaken, "k-2").await.ok();
    assert_eq!((&decided["status"], &decided["refusal"]), (&json!("refused"), &json!("line_open")));
    assert_eq!(post(&overtaken, "k-3").await.ok(), decided, "the same under another key changes nothing");
    // Whoever has a line is not told from when on another one may be asked for.
    let mut browser = Browser::open(&place.app).await;
    let borrower_id: BorrowerId = decided["borrower_id"].as_str().unwrap().parse().unwrap();
    shopper::sign_in(&mut browser, &place.app, borrower_id).await;
    let page = browser.get("/apply").await;
    page.shows("You have a credit line with this lender already")
        .hides("You may apply again")
        .hides("questions about this decision");

    let (first, unanswered) = apply_for_both(2).await;
    assert_eq!(post(&first, "k-4").await.ok()["status"], "approved");
    place.pass(49).await;
    assert_eq!(place.find(&unanswered).await["refusal"], "line_open");
    let told = place.messages("application_defaulted").await;
    assert_eq!((told.len(), &told[0]["decision"]), (1, &json!("refuse")));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_consent_that_is_taken_back_ends_what_waits_for_the_funder(pool: PgPool) {
    let place = Place::open(pool, "approve").await;
    let (borrower_id, applied) = place.apply(1).await;
    let (_, other) = place.apply(2).await;
    for _ in 0..2 {
        take_back(&place.app, borrower_id, Agreement::PersonalInformation).await.unwrap();
    }
    let found = place.find(&applied).await;
    assert_eq!((&found["status"], &found["refusal"]), (&json!("refused"), &json!("consent_withdrawn")));
    assert_eq!(found["decided_by"], "borrower");
    let told = place.messages("application_withdrawn").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["application_id"], applied.application_id.to_string());
    let approve = json!({ "decision": "approve", "reason": "x" });
    let late = place.funder.post(&decision_path(&applied), "k-1", &approve).await;
    assert_eq!(late.problem(), (409, "application_not_referred".into()));
    place.pass(49).await;
    assert_eq!(place.find(&applied).await, found, "the default does not bring it back");
    assert_eq!(place.find(&other).await["status"], "approved");
    assert_eq!(place.messages("application_defaulted").await.len(), 1);
    crate::journey::told_as_documented(&place.app.pool).await;
    let mut browser = Browser::open(&place.app).await;
    shopper::sign_in(&mut browser, &place.app, borrower_id).await;
    let ended = browser.get("/apply").await;
    ended.shows("A consent that your application needs was taken back.").hides("questions about this decision");
    ended.shows("You may apply again from 6 January 2026 on.");
    browser.get("/me/messages").await.shows("A consent that your application needs was taken back.");
    // Whoever agrees again need not wait.
    let again = ApplyRequest { idempotency_key: "again".into(), ..request(borrower_id, place.product, Some(steady())) };
    let without = town::refused(actions::apply(&place.app, again.clone()).await);
    let agreement = Agreement::PersonalInformation;
    assert_eq!(without, ApplyRefusal::AgreementMissing { agreement });
    let signature =
        Signature { borrower_id, agreement, text_sha256: agreement.wording().sha256, device: "test".into() };
    borrower::sign(&place.app, &[signature]).await.unwrap();
    assert_eq!(actions::apply(&place.app, again).await.unwrap().state, ApplicationState::WithFunder);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_funders_application_does_not_exist(pool: PgPool) {
    let place = Place::open(pool, "refuse").await;
    let (_, applied) = place.apply(1).await;
    fenqi::funder::open_funder(&place.app, "other-bank", "Other Bank").await.unwrap();
    let other = desk_of(&place.app, "other-core", PartnerKind::Funder, Some("other-bank")).await;
    let approve = json!({ "decision": "approve", "reason": "x" });
    assert_eq!(other.post(&decision_path(&applied), "k-1", &approve).await.problem(), (404, "not_found".into()));
}
