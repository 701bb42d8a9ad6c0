//! The API for applications: a funder decides those that wait for a person, and a risk partner may answer late.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::BorrowerId;
use fenqi::credit::actions::{PersonDecision, PersonVerdict};
use fenqi::credit::{ApplicationState, Applied, ApplyRequest, RiskHook, actions, jobs};
use fenqi::partner::key::Algorithm;
use fenqi::sandbox::{self, Scripted, Silence};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::applicant::{ready, request, standard_product, steady};
use crate::desk::{self, Desk};
use crate::house;

pub(super) async fn desk_of(app: &App, code: &str, kind: PartnerKind, owner: Option<&str>) -> Desk {
    desk::add_partner(app, code, kind, owner.map(str::to_owned)).await;
    let identity = desk::add_key(app, code, "K-1", Algorithm::Sm2Sm3).await;
    Desk::new(app, &desk::serve(app).await, identity).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_decides_what_waits_for_a_person(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;
    let applied = actions::apply(&app, request(ready(&app, 1).await, product, None)).await.unwrap();
    let waiting = funder.get("/funder/applications?status=referred").await.ok();
    assert_eq!(waiting["items"][0]["application_id"], applied.application_id.to_string());
    let path = format!("/funder/applications/{}/decision", applied.application_id);
    let halved = json!({ "decision": "approve", "grade": "C", "reason": "papers" });
    assert_eq!(funder.post(&path, "a-0", &halved).await.problem(), (422, "decision_malformed".into()));
    let in_an_object =
        json!({ "decision": { "approve": null }, "grade": "C", "limit_fen": 500_000, "reason": "papers" });
    assert_eq!(funder.post(&path, "w-0", &in_an_object).await.problem(), (400, "wrong_type".into()));
    let graded = json!({ "decision": "approve", "grade": "Z", "limit_fen": 500_000, "reason": "papers" });
    assert_eq!(funder.post(&path, "g-0", &graded).await.problem(), (422, "grade_unknown".into()));
    let over = "papers\u{1b}[2K checked".to_owned();
    for (key, reason) in [("r-0", String::new()), ("r-1", "  ".to_owned()), ("r-2", "备".repeat(501)), ("r-3", over)] {
        let body = json!({ "decision": "approve", "grade": "C", "limit_fen": 500_000, "reason": reason });
        let refused = funder.post(&path, key, &body).await;
        assert_eq!(refused.problem(), (422, "decision_malformed".into()), "{reason:?}");
    }
    let approval = json!({ "decision": "approve", "grade": "C", "limit_fen": 500_000, "reason": " papers " });
    let decided = funder.post(&path, "a-1", &approval).await.ok();
    assert_eq!((&decided["status"], &decided["limit_fen"]), (&json!("approved"), &json!(500_000)));
    assert!(decided["decided_by"].as_str().unwrap().contains("holder of K-1"));
    let note = "select decision_note from application where application_id = $1";
    let note = sqlx::query_scalar::<_, String>(note).bind(applied.application_id.uuid()).fetch_one(&app.pool).await;
    assert_eq!(note.unwrap(), "papers");
    let refusal = json!({ "decision": "refuse", "code": "changed_mind", "reason": "late" });
    assert_eq!(funder.post(&path, "a-2", &refusal).await.problem(), (409, "application_not_referred".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_funder_reads_what_was_asked_for_and_gives_no_more(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let funder = desk_of(&app, "harbour-core", PartnerKind::Funder, Some("harbour-bank")).await;
    let any_limit = request(ready(&app, 1).await, product, None);
    actions::apply(&app, any_limit).await.unwrap();
    let modest = request(ready(&app, 2).await, product, None);
    let modest = ApplyRequest { limit_requested: Some(Fen::new(400_000)), ..modest };
    let applied = actions::apply(&app, modest).await.unwrap();
    let waiting = funder.get("/funder/applications?status=referred").await.ok();
    let mut asked: Vec<Option<i64>> =
        waiting["items"].as_array().unwrap().iter().map(|one| one["limit_requested_fen"].as_i64()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [None, Some(400_000)]);
    let path = format!("/funder/applications/{}/decision", applied.application_id);
    let approval = |fen: i64| json!({ "decision": "approve", "grade": "C", "limit_fen": fen, "reason": "papers" });
    assert_eq!(funder.post(&path, "a-0", &approval(400_001)).await.problem(), (422, "limit_out_of_bounds".into()));
    let decided = funder.post(&path, "a-1", &approval(400_000)).await.ok();
    assert_eq!((&decided["limit_fen"], &decided["limit_requested_fen"]), (&json!(400_000), &json!(400_000)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_late_answer_counts_while_nobody_has_decided(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    let product = standard_product(&app).await;
    let risk = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    // The first call and both repetitions.
    world.script("risk", None, vec![Scripted::answer("silent"); 3]);
    let borrower_id = ready(&app, 1).await;
    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    assert!(matches!(applied.state, ApplicationState::Referred { .. }));
    let named = |decision: serde_json::Value| {
        let mut body = json!({ "application_id": applied.application_id.uuid(), "borrower_id": borrower_id.uuid() });
        body.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
        body
    };
    let approval = named(json!({ "decision": "approve", "grade": "B", "limit_fen": 600_000, "score": 591 }));
    assert_eq!(risk.post("/risk/decisions", "l-1", &approval).await.ok()["status"], "approved");
    assert_eq!(
        risk.post("/risk/decisions", "l-2", &approval).await.ok()["status"],
        "approved",
        "again changes nothing"
    );
    let refusal = named(json!({ "decision": "refuse", "reason": "score_too_low" }));
    assert_eq!(risk.post("/risk/decisions", "l-3", &refusal).await.problem(), (409, "application_not_referred".into()));
    let higher = named(json!({ "decision": "approve", "grade": "B", "limit_fen": 700_000 }));
    let refused = risk.post("/risk/decisions", "l-5", &higher).await;
    assert_eq!(refused.problem(), (409, "application_not_referred".into()), "nobody has a limit of 7,000 yuan");

    // Without a history a person was asked by the hook itself; its late change of mind does not count.
    world.script("risk", None, vec![Scripted::answer("refer")]);
    let second = ready(&app, 2).await;
    let referred = actions::apply(&app, request(second, product, Some(steady()))).await.unwrap();
    assert!(matches!(referred.state, ApplicationState::Referred { .. }), "{referred:?}");
    let late = json!({ "application_id": referred.application_id.uuid(), "borrower_id": second.uuid(),
        "decision": "refuse", "reason": "score_too_low" });
    assert_eq!(risk.post("/risk/decisions", "l-4", &late).await.problem().1, "application_not_referred");
    // What a person has decided is that person's decision, though the partner would have said the same.
    let by_person = PersonDecision {
        borrower_id: second,
        application_id: referred.application_id,
        person: "wang".into(),
        reason: "papers checked".into(),
        verdict: PersonVerdict::Approve { grade: "B".into(), limit: Fen::new(600_000) },
    };
    actions::decide_referred(&app, by_person).await.unwrap();
    let late = json!({ "application_id": referred.application_id.uuid(), "borrower_id": second.uuid(),
        "decision": "approve", "grade": "B", "limit_fen": 600_000 });
    assert_eq!(risk.post("/risk/decisions", "l-6", &late).await.problem().1, "application_not_referred");
}

/// The same house, asking the same counterfeit risk partner under another name.
fn asking_as(app: &App, world_at: &str, name: &str) -> App {
    let mut settings = sandbox::partner_settings(world_at, house::SEED);
    for partner in settings.iter_mut().filter(|partner| partner.name == "risk") {
        partner.partner_mchid = name.to_owned();
    }
    house::with_partners(app, &settings)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn only_the_risk_partner_that_was_asked_answers_an_application_late(pool: PgPool) {
    let (app, world, world_at) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    let product = standard_product(&app).await;
    let asked = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    let other = desk_of(&app, "other-risk", PartnerKind::Risk, None).await;
    let unanswered = async |app: &App, number: u64| {
        // The first call and both repetitions.
        world.script("risk", None, vec![Scripted::answer("silent"); 3]);
        let borrower_id = ready(app, number).await;
        (borrower_id, actions::apply(app, request(borrower_id, product, Some(steady()))).await.unwrap())
    };
    let approval = |(borrower_id, applied): &(BorrowerId, Applied)| {
        json!({ "application_id": applied.application_id.uuid(), "borrower_id": borrower_id.uuid(),
            "decision": "approve", "grade": "B", "limit_fen": 600_000 })
    };
    let unknown = (404, "application_unknown".to_owned());
    let first = unanswered(&app, 1).await;
    let mut nobodys = approval(&first);
    nobodys["application_id"] = json!(Uuid::nil());
    assert_eq!(other.post("/risk/decisions", "o-0", &nobodys).await.problem(), unknown);
    assert_eq!(other.post("/risk/decisions", "o-1", &approval(&first)).await.problem(), unknown, "as if it were none");

    // Another partner is configured meanwhile: each answers what it was asked.
    let changed = asking_as(&app, &world_at, "other-risk");
    let address = desk::serve(&changed).await;
    let (asked, other) = (asked.at(address.clone()), other.at(address));
    let second = unanswered(&changed, 2).await;
    assert_eq!(asked.post("/risk/decisions", "l-2", &approval(&second)).await.problem(), unknown);
    assert_eq!(other.post("/risk/decisions", "o-2", &approval(&second)).await.ok()["status"], "approved");
    assert_eq!(other.post("/risk/decisions", "o-3", &approval(&first)).await.problem(), unknown);
    assert_eq!(asked.post("/risk/decisions", "l-3", &approval(&first)).await.ok()["status"], "approved");

    // What a crash left undecided is put to whoever is configured then, and only that partner's answer is awaited.
    let third = unanswered(&app, 3).await;
    let left = "update application set status = 'submitted', referral = null where borrower_id = $1";
    sqlx::query(left).bind(third.0.uuid()).execute(&app.pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    world.script("risk", None, vec![Scripted::answer("silent"); 3]);
    let summary = jobs::decide_waiting(&changed).await.unwrap();
    assert_eq!(summary, jobs::Summary { referred: 1, ..jobs::Summary::default() });
    assert_eq!(asked.post("/risk/decisions", "l-4", &approval(&third)).await.problem(), unknown);
    assert_eq!(other.post("/risk/decisions", "o-4", &approval(&third)).await.ok()["status"], "approved");

    // Where no partner was asked, none answers.
    let scored = App { risk: Arc::new(RiskHook::shipped()), ..app };
    let fourth = ready(&scored, 4).await;
    let referred = actions::apply(&scored, request(fourth, product, None)).await.unwrap();
    assert!(matches!(referred.state, ApplicationState::Referred { .. }));
    let late = approval(&(fourth, referred));
    assert_eq!(asked.post("/risk/decisions", "l-5", &late).await.problem(), unknown);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_the_partner_leaves_to_a_person_late_it_decides_no_more(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let app = App { risk: Arc::new(RiskHook::Partner), ..app };
    let product = standard_product(&app).await;
    let risk = desk_of(&app, "risk", PartnerKind::Risk, None).await;
    // The first call and both repetitions.
    world.script("risk", None, vec![Scripted::answer("silent"); 3]);
    let borrower_id = ready(&app, 1).await;
    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    let ids = (applied.application_id.uuid(), borrower_id.uuid());
    let referral =
        json!({ "application_id": ids.0, "borrower_id": ids.1, "decision": "refer", "reason": "income_unclear" });
    for key in ["l-1", "l-2"] {
        assert_eq!(risk.post("/risk/decisions", key, &referral).await.ok()["status"], "referred");
    }
    let approval = json!({ "application_id": ids.0, "borrower_id": ids.1,
        "decision": "approve", "grade": "B", "limit_fen": 600_000 });
    let changed = risk.post("/risk/decisions", "l-3", &approval).await;
    assert_eq!(changed.problem(), (409, "application_not_referred".into()));
    let application = actions::latest_application(&app, borrower_id).await.unwrap().unwrap();
    assert_eq!(application.state(), ApplicationState::Referred { reason: "income_unclear".into() });
    let told = "select count(*) from notice where kind = 'application_under_review'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&app.pool).await.unwrap(), 1, "once");
}
