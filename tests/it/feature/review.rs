//! A borrower whom automation alone refused may ask once for a review by a person: who may ask, and each outcome.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{ApplicationId, BorrowerId, ProductId};
use fenqi::borrower::Agreement;
use fenqi::credit::actions::{self, PersonDecision, PersonVerdict};
use fenqi::credit::consent_actions::take_back;
use fenqi::credit::review_actions::{ask_for_person, review_offer};
use fenqi::credit::{ApplicationState, Applied, ApplyRefusal, ApplyRequest, RiskHook};
use fenqi::error::{Fault, Outcome};
use fenqi::product;
use fenqi::sandbox::Scripted;
use serde_json::json;
use sqlx::PgPool;

use super::api_credit::desk_of;
use super::applicant::{late, ready, request, standard_product};
use super::house_command::Program;
use crate::house::{self, count};
use crate::newcomer::{self, MOBILE};
use crate::town::refused;

const STANDARD: &str = include_str!("../../../products/standard.toml");
const OFFERED: &str = "refused by a computer alone";
const QUESTIONS: &str = "If you have questions about this decision, please contact us";

/// Somebody whom the scorecard has refused on the 5th of January 2026.
async fn refused_by_scorecard(app: &App, number: u64, product: (ProductId, i32)) -> (BorrowerId, ApplicationId) {
    let borrower_id = ready(app, number).await;
    let applied = actions::apply(app, request(borrower_id, product, Some(late()))).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Refused { reason: "score_too_low".into() });
    (borrower_id, applied.application_id)
}

fn decision((borrower_id, application_id): (BorrowerId, ApplicationId), verdict: PersonVerdict) -> PersonDecision {
    let (person, reason) = ("wang".into(), "salary shown".into());
    PersonDecision { borrower_id, application_id, person, reason, verdict }
}

fn approval() -> PersonVerdict {
    PersonVerdict::Approve { grade: "C".into(), limit: Fen::new(500_000) }
}

const UNDER_REVIEW: &str = "select count(*) from notice where kind = 'application_under_review'";
const OPEN: &str = "select count(*) from application where status in ('submitted', 'referred', 'with_funder')";

async fn move_to(app: &App, days: i64, today: &'static str) {
    app.clock.set(app.clock.now() + TimeDelta::days(days));
    let moved = sqlx::query("update business_day set today = $1::text::date").bind(today);
    moved.execute(&app.pool).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn whom_the_scorecard_refuses_a_person_looks_at_once_and_for_good(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-01-05").await;
    let product = standard_product(&app).await;
    let ids = refused_by_scorecard(&app, 1, product).await;
    let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;

    let asked = ask_for_person(&app, ids.0, ids.1).await.unwrap();
    assert_eq!(asked.state, ApplicationState::Referred { reason: "borrower_asked".into() });
    assert_eq!(ask_for_person(&app, ids.0, ids.1).await.unwrap(), asked, "asking twice changes nothing");
    assert_eq!(count(&app, UNDER_REVIEW).await, 1);
    let waiting = funder.get("/funder/applications?status=referred").await.ok();
    assert_eq!(waiting["items"][0]["application_id"], ids.1.to_string());
    assert!(waiting["items"][0]["review_asked_at"].is_string() && waiting["items"][0]["refusal"].is_null());
    let fenqi = Program::on(&pool).await;
    let listed = fenqi.done(&["application", "list"]);
    let said = "asked for a person on 2026-01-05: refused by scorecard on 2026-01-05 for score_too_low";
    assert!(listed.contains(said), "{listed}");
    let told: serde_json::Value = serde_json::from_str(&fenqi.done(&["application", "list", "--json"])).unwrap();
    assert_eq!((&told["review"]["of"], &told["referral"]), (&json!("score_too_low"), &json!("borrower_asked")));
    assert_eq!(told["review"]["refused_by"], "scorecard");

    let refusal = ["--code", "score_too_low", "--by", "Li Na", "--reason", "no statement"];
    let id = ids.1.to_string();
    fenqi.done(&[&["application", "decide", "refuse", id.as_str()][..], &refusal].concat());
    assert_eq!(refused(ask_for_person(&app, ids.0, ids.1).await), ApplyRefusal::ReviewNotOffered);
    let audited =
        "select count(*) from audit_entry where action = 'application_decided' and detail->>'review' = 'true'";
    assert_eq!(count(&app, audited).await, 1);
    let told = "select count(*) from notice where kind = 'application_refused' and body->>'review' = $1";
    for is_reviewed in ["false", "true"] {
        let told: i64 = sqlx::query_scalar(told).bind(is_reviewed).fetch_one(&app.pool).await.unwrap();
        assert_eq!(told, 1, "{is_reviewed}");
    }
    let kept = "select count(*) from application where review_of_by = 'scorecard' and review_of_at <= review_asked_at
                and decided_by = 'person:Li Na' and refusal = 'score_too_low'";
    assert_eq!(count(&app, kept).await, 1, "beside the person's word stays what it was about");
    assert_eq!(fenqi.done(&["verify"]), "");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_funder_keeps_its_final_word(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    standard_product(&app).await;
    let text = format!("{STANDARD}\n[funder_word]\ndeadline_hours = 48\ndefault = \"refuse\"\n");
    let published = product::publish(&app, &text).await.unwrap();
    let ids = refused_by_scorecard(&app, 1, (published.product_id, published.version)).await;
    let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;

    ask_for_person(&app, ids.0, ids.1).await.unwrap();
    let approved = actions::decide_referred(&app, decision(ids, approval())).await.unwrap();
    assert_eq!(approved.state, ApplicationState::WithFunder);
    assert_eq!(count(&app, "select count(*) from outbox where kind = 'application_waiting'").await, 1);
    let path = format!("/funder/applications/{}/decision", ids.1);
    let refusal = json!({ "decision": "refuse", "code": "not_ours", "reason": "our own book" });
    assert_eq!(funder.post(&path, "k-1", &refusal).await.ok()["status"], "refused");
    assert_eq!(refused(ask_for_person(&app, ids.0, ids.1).await), ApplyRefusal::ReviewNotOffered);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_asks_about_anothers_a_withdrawn_ones_or_too_late(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let (own, other) = (refused_by_scorecard(&app, 1, product).await, refused_by_scorecard(&app, 2, product).await);
    assert_eq!(refused(ask_for_person(&app, other.0, own.1).await), ApplyRefusal::ApplicationUnknown);
    take_back(&app, other.0, Agreement::PersonalInformation).await.unwrap();
    let withdrawn = refused(ask_for_person(&app, other.0, other.1).await);
    assert!(matches!(withdrawn, ApplyRefusal::AgreementMissing { .. }), "{withdrawn:?}");
    move_to(&app, 31, "2026-02-05").await;
    assert_eq!(refused(ask_for_person(&app, own.0, own.1).await), ApplyRefusal::ReviewNotOffered);
    assert_eq!(count(&app, OPEN).await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_consent_that_is_taken_back_ends_a_review_before_anybody_has_looked(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let ids = refused_by_scorecard(&app, 1, product).await;
    ask_for_person(&app, ids.0, ids.1).await.unwrap();
    take_back(&app, ids.0, Agreement::SensitiveInformation).await.unwrap();
    let decided = actions::decide_referred(&app, decision(ids, approval())).await;
    assert_eq!(refused(decided), ApplyRefusal::NotReferred);
    let application = actions::latest_application(&app, ids.0).await.unwrap().unwrap();
    assert_eq!(application.state(), ApplicationState::Refused { reason: "consent_withdrawn".into() });
    assert!(!application.is_reviewed());
    let told = "select count(*) from notice where kind = 'application_refused'
                and body->>'reason' = 'consent_withdrawn' and body->>'review' = 'false'";
    assert_eq!(count(&app, told).await, 1);
    assert_eq!(refused(ask_for_person(&app, ids.0, ids.1).await), ApplyRefusal::ReviewNotOffered);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_newer_text_of_an_agreement_takes_nobodys_review_away(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let ids = refused_by_scorecard(&app, 1, product).await;
    let former = "insert into consent_text (sha256, kind, version, body) values (sha256('former'), 'credit', 'former', 'former')";
    sqlx::query(former).execute(&app.pool).await.unwrap();
    let signed = "update consent set text_sha256 = sha256('former') where kind = 'credit'";
    assert_eq!(sqlx::query(signed).execute(&app.pool).await.unwrap().rows_affected(), 1);
    let application = actions::latest_application(&app, ids.0).await.unwrap().unwrap();
    assert_eq!(review_offer(&app, &application).await.unwrap(), Some("2026-02-04".parse().unwrap()));
    ask_for_person(&app, ids.0, ids.1).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_partner_hears_that_it_is_too_late_once_a_person_was_asked_for(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    let product = standard_product(&app).await;
    let risk = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    world.script("risk", None, vec![Scripted::answer("late_elsewhere"), Scripted::answer("identity_mismatch")]);
    let (first, second) = (ready(&app, 1).await, ready(&app, 2).await);
    let applied = actions::apply(&app, request(first, product, None)).await.unwrap();
    let mismatch = actions::apply(&app, request(second, product, None)).await.unwrap();

    ask_for_person(&app, first, applied.application_id).await.unwrap();
    let late = json!({ "application_id": applied.application_id.uuid(), "borrower_id": first.uuid(),
        "decision": "approve", "grade": "B", "limit_fen": 600_000 });
    let answer = risk.post("/risk/decisions", "l-1", &late).await;
    assert_eq!(answer.problem(), (409, "application_not_referred".into()));
    let by_partner = "update application set status = 'refused', refusal = 'late_elsewhere', decided_by = 'partner'
                      where review_asked_at is not null";
    let refused_by_partner = sqlx::query(by_partner).execute(&app.pool).await.unwrap_err().to_string();
    assert!(refused_by_partner.contains("application_review_by_person"), "{refused_by_partner}");
    let asked = ask_for_person(&app, second, mismatch.application_id).await;
    assert_eq!(refused(asked), ApplyRefusal::ReviewNotOffered);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_person_is_offered_to_whoever_has_a_line_with_the_funder_by_then(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let published = product::publish(&app, &STANDARD.replace("harbour-standard", "harbour-second")).await.unwrap();
    let borrower_id = ready(&app, 1).await;
    let referred = actions::apply(&app, request(borrower_id, product, None)).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::seconds(1));
    let second = request(borrower_id, (published.product_id, published.version), Some(late()));
    actions::apply(&app, ApplyRequest { idempotency_key: "second".into(), ..second }).await.unwrap();
    let latest = actions::latest_application(&app, borrower_id).await.unwrap().unwrap();
    assert!(review_offer(&app, &latest).await.unwrap().is_some());

    let approved = actions::decide_referred(&app, decision((borrower_id, referred.application_id), approval())).await;
    assert!(matches!(approved.unwrap().state, ApplicationState::Approved { .. }));
    assert_eq!(review_offer(&app, &latest).await.unwrap(), None);
    let asked = ask_for_person(&app, borrower_id, latest.application_id).await;
    assert_eq!(refused(asked), ApplyRefusal::LineOpen);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_has_asked_for_a_person_waits_for_the_next_application_like_anybody_refused(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let second = product::publish(&app, &STANDARD.replace("harbour-standard", "harbour-second")).await.unwrap();
    let ids = refused_by_scorecard(&app, 1, product).await;
    let other = ApplyRequest {
        idempotency_key: "second".into(),
        ..request(ids.0, (second.product_id, second.version), Some(late()))
    };
    assert_eq!(refused(actions::apply(&app, other.clone()).await), ApplyRefusal::RefusedLately);
    ask_for_person(&app, ids.0, ids.1).await.unwrap();
    assert_eq!(refused(actions::apply(&app, other.clone()).await), ApplyRefusal::RefusedLately);
    let refusal = PersonVerdict::Refuse { code: "income_not_proven".into() };
    actions::decide_referred(&app, decision(ids, refusal)).await.unwrap();
    assert_eq!(refused(actions::apply(&app, other.clone()).await), ApplyRefusal::RefusedLately);
    move_to(&app, 30, "2026-02-04").await;
    actions::apply(&app, other).await.unwrap();
}

fn is_refused<T>(outcome: &Outcome<T, ApplyRefusal>, refusal: &ApplyRefusal) -> bool {
    matches!(outcome, Err(Fault::Refused(found)) if found == refusal)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn asked_many_times_at_once_and_while_it_is_decided_one_person_decides_once(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let ids = refused_by_scorecard(&app, 1, product).await;
    let asked = (0..4).map(|_| ask_for_person(&app, ids.0, ids.1));
    let asked: Vec<Outcome<Applied, ApplyRefusal>> = futures_util::future::join_all(asked).await;
    assert!(asked.iter().all(Result::is_ok), "{asked:?}");
    assert_eq!(count(&app, UNDER_REVIEW).await, 1);

    let (decided, again) =
        tokio::join!(actions::decide_referred(&app, decision(ids, approval())), ask_for_person(&app, ids.0, ids.1));
    assert!(matches!(decided.unwrap().state, ApplicationState::Approved { .. }));
    assert!(again.is_ok() || is_refused(&again, &ApplyRefusal::ReviewNotOffered), "{again:?}");
    let lines = "select count(*) from application where status = 'approved' and decided_by = 'person:wang'";
    assert_eq!((count(&app, lines).await, count(&app, "select count(*) from credit_line").await), (1, 1));
    assert_eq!(count(&app, UNDER_REVIEW).await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_applies_anew_is_decided_on_anew(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let mut refused_before = Vec::new();
    for number in 1..=3 {
        refused_before.push(refused_by_scorecard(&app, number, product).await);
    }
    // The last day of the review is the first one on which an application is taken again.
    move_to(&app, 30, "2026-02-04").await;
    let anew = |borrower_id| ApplyRequest { idempotency_key: "anew".into(), ..request(borrower_id, product, None) };
    let (first, rest) = refused_before.split_first().unwrap();
    actions::apply(&app, anew(first.0)).await.unwrap();
    assert_eq!(refused(ask_for_person(&app, first.0, first.1).await), ApplyRefusal::ReviewNotOffered);
    for ids in rest {
        let (asked, applied) = tokio::join!(ask_for_person(&app, ids.0, ids.1), actions::apply(&app, anew(ids.0)));
        let is_asked = asked.is_ok() && is_refused(&applied, &ApplyRefusal::ApplicationOpen);
        let is_anew = applied.is_ok() && is_refused(&asked, &ApplyRefusal::ReviewNotOffered);
        assert!(is_asked || is_anew, "{asked:?}, {applied:?}");
    }
    assert_eq!(count(&app, OPEN).await, 3, "one for each");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_page_that_tells_a_refusal_offers_a_person_once(pool: PgPool) {
    let mut place = newcomer::open(pool).await;
    let submit = place.come_to_submit().await;
    place.world.script("risk", None, vec![Scripted::answer("late_elsewhere")]);
    let refused = place.apply(&submit).await;
    refused.shows("Not this time").shows(OFFERED).shows("until 4 April 2026").hides(QUESTIONS);
    place.browser.get("/apply?lang=zh-CN").await.shows("申请人工复核").shows("由系统自动审批");
    place.browser.cookies.remove("language");
    // Pressed twice, as from another tab.
    for _ in 0..2 {
        let asked = place.browser.submit(&refused, "/apply/review", &[]).await;
        asked.is_at("/apply").shows("Under review").hides("/apply/review");
    }
    let ids: (uuid::Uuid, uuid::Uuid) =
        sqlx::query_as("select borrower_id, application_id from application").fetch_one(&place.app.pool).await.unwrap();
    let ids = (BorrowerId::from_uuid(ids.0), ApplicationId::from_uuid(ids.1));
    let refusal = PersonVerdict::Refuse { code: "income_not_proven".into() };
    actions::decide_referred(&place.app, decision(ids, refusal)).await.unwrap();
    let decided = place.browser.get("/apply").await;
    decided.shows("A person has looked at your application").hides("/apply/review").hides(QUESTIONS);
    place.browser.get("/me/messages").await.shows("as you asked, a person has looked at your application");
    let late = place.browser.submit(&refused, "/apply/review", &[]).await;
    late.has_status(422).shows("This decision can no longer be reviewed by a person");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_person_is_offered_who_could_not_decide_otherwise_and_one_is_beside_the_next_application(pool: PgPool) {
    let mut place = newcomer::open(pool).await;
    let submit = place.come_to_submit().await;
    place.world.script("risk", None, vec![Scripted::answer("identity_mismatch")]);
    let refused = place.apply(&submit).await;
    // No command opens it again, so nothing is promised.
    refused.shows("Not this time").hides(OFFERED).hides("/apply/review").shows(QUESTIONS).hides("a person to review");
    let changed = "update application set refusal = 'late_elsewhere'";
    sqlx::query(changed).execute(&place.app.pool).await.unwrap();
    place.browser.get("/apply").await.shows(OFFERED);

    move_to(&place.app, 30, "2026-04-04").await;
    place.sign_in(MOBILE).await.is_at("/home");
    let anew = place.browser.get("/apply").await;
    anew.shows("action=\"/apply/submit\"").shows("Your last application was refused by a computer alone");
    move_to(&place.app, 0, "2026-04-05").await;
    place.browser.get("/apply").await.shows("action=\"/apply/submit\"").hides(OFFERED);
    place.browser.submit(&anew, "/apply/review", &[]).await.has_status(422);
    move_to(&place.app, 0, "2026-04-04").await;
    // The day that was told holds, whatever is on sale by then.
    product::withdraw(&place.app, "harbour-standard", 1).await.unwrap();
    let off_sale = place.browser.get("/apply").await;
    off_sale.shows("Not offered now").shows(OFFERED);
    place.browser.submit(&off_sale, "/apply/review", &[]).await.is_at("/apply").shows("Under review");
}
