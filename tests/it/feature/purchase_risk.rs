//! Purchase risk checks: every answer of the partner, its silence, crashes, callbacks, the order of checks, and built-in rules.

use std::sync::Arc;

use chrono::TimeDelta;
use fenqi::access::PartnerKind;
use fenqi::base::Fen;
use fenqi::base::id::{LineId, PurchaseId};
use fenqi::credit::Change;
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::merchant::Order;
use fenqi::partner::key::Algorithm;
use fenqi::product;
use fenqi::purchase::authoriser::decide_one;
use fenqi::purchase::{Authoriser, Decision, PurchaseRefusal, PurchaseRequest, Receipt};
use fenqi::sandbox::{self, FaultShares, Matcher, Scripted, Silence, World};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::house_command::Program;
use crate::desk::{self, Answer, Desk};
use crate::house;
use crate::town::{self, LineWish, Town};

const STANDARD: &str = include_str!("../../../products/standard.toml");
const WISH: LineWish = LineWish { limit_fen: 500_000, statement_day: 10, due_day: 25, expires_on: "2027-12-31" };
/// Up to 500 yuan a silent partner allows. It has all the time that there may be, as the machine may be busy.
const PARTNER: &str = "[purchase_risk]\nask = \"partner\"\ntime_limit_ms = 3000\nsilence_allows_fen = 50000\n";

struct Place {
    town: Town,
    world: Arc<World>,
    world_at: String,
    line_id: LineId,
}

impl Place {
    async fn open(pool: PgPool, section: &str) -> Place {
        let (app, world, world_at) = house::open_in_world_that(pool, "2026-01-05", Silence::Drop).await;
        let town = town::found(app, 1_000_000).await;
        product::publish(&town.app, &format!("{STANDARD}\n{section}")).await.unwrap();
        let line_id = town.open_lines(1, WISH).await[0];
        let town = town::find(town.app).await;
        Place { town, world, world_at, line_id }
    }

    fn wish(&self, key: &str, fen: i64) -> PurchaseRequest {
        self.town.wish(self.line_id, key, fen, ("harbour-standard", 3))
    }

    async fn buy(&self, key: &str, fen: i64) -> Receipt {
        decide_one(&self.town.app, self.wish(key, fen)).await.unwrap()
    }

    async fn refused(&self, key: &str, fen: i64) -> PurchaseRefusal {
        match self.buy(key, fen).await.decision {
            Decision::Refused(refusal) => refusal,
            Decision::Authorised { .. } => panic!("{key} was authorised"),
        }
    }

    async fn bought(&self, key: &str, fen: i64) -> PurchaseId {
        let receipt = self.buy(key, fen).await;
        assert!(matches!(receipt.decision, Decision::Authorised { .. }), "{key}: {receipt:?}");
        receipt.purchase_id
    }

    fn script(&self, answers: &[&str]) {
        let answers = answers.iter().map(|answer| Scripted::answer(answer)).collect();
        self.world.script("risk", Some(Matcher::new("line", self.line_id.uuid())), answers);
    }

    fn asked(&self) -> usize {
        fenqi::sandbox::world::lock(&self.world.risk).purchases_asked()
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.town.app.pool).await.unwrap();
    }

    /// Question, answer and who answered.
    async fn question(&self, key: &str) -> (Uuid, Option<String>, Option<String>) {
        let found = "select question_id, answer, answered_by from purchase_question where idempotency_key = $1";
        sqlx::query_as(found).bind(key).fetch_one(&self.town.app.pool).await.unwrap()
    }

    async fn risk_desk(&self, code: &str) -> Desk {
        let app = &self.town.app;
        desk::add_partner(app, code, PartnerKind::Risk, None).await;
        let identity = desk::add_key(app, code, "K-1", Algorithm::Sm2Sm3).await;
        Desk::new(app, &desk::serve(app).await, identity).await
    }

    async fn call_back(&self, desk: &Desk, key: &str, question_id: Uuid, said: Value) -> Answer {
        let mut body = json!({ "question_id": question_id, "line_id": self.line_id.uuid() });
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        desk.post("/risk/purchase-decisions", key, &body).await
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_partner_allows_or_refuses_and_a_retry_gets_the_same_without_asking(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    place.script(&["allow", "velocity"]);
    let first = place.bought("p-1", 120_000).await;
    assert_eq!(place.refused("p-2", 90_000).await, PurchaseRefusal::RefusedByRisk);
    assert_eq!(place.asked(), 2);
    assert_eq!(place.bought("p-1", 120_000).await, first);
    assert_eq!(place.refused("p-2", 90_000).await, PurchaseRefusal::RefusedByRisk);
    assert_eq!(place.asked(), 2, "decided is decided");
    assert_eq!(place.question("p-2").await.1.as_deref(), Some("refuse"));
    let facts: Value = sqlx::query_scalar("select facts from purchase_question where idempotency_key = 'p-2'")
        .fetch_one(&place.town.app.pool)
        .await
        .unwrap();
    assert_eq!((&facts["spent_today_fen"], &facts["purchases_today"]), (&json!(120_000), &json!(1)));
    assert_eq!((&facts["used_fen"], &facts["amount_fen"]), (&json!(120_000), &json!(90_000)));
    let recorded: String = sqlx::query_scalar("select refusal from purchase where idempotency_key = 'p-2'")
        .fetch_one(&place.town.app.pool)
        .await
        .unwrap();
    assert_eq!(recorded, "refused_by_risk");
    // Through the queue as well.
    let authoriser = Authoriser::start(place.town.app.clone());
    place.script(&["velocity"]);
    let refused = authoriser.authorise(place.wish("p-3", 20_000)).await.unwrap();
    assert_eq!(refused.decision, Decision::Refused(PurchaseRefusal::RefusedByRisk));
    let other_body = decide_one(&place.town.app, place.wish("p-3", 20_001)).await;
    assert!(format!("{other_body:?}").contains("KeyReused"), "{other_body:?}");
    place.town.assert_whole("after purchases with risk").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_slow_or_garbled_partner_allows_up_to_the_products_amount(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    for (number, answer) in ["silent", "slow:20000", "malformed", "other"].into_iter().enumerate() {
        place.script(&[answer, answer]);
        place.bought(&format!("small-{number}"), 50_000).await;
        assert_eq!(place.refused(&format!("large-{number}"), 50_001).await, PurchaseRefusal::RiskSilent, "{answer}");
        assert_eq!(place.question(&format!("large-{number}")).await.1.as_deref(), Some("silent"));
    }
    let asked = place.asked();
    assert_eq!(asked, 8, "nobody at a till waits for repetitions");
    assert_eq!(place.refused("large-0", 50_001).await, PurchaseRefusal::RiskSilent);
    assert_eq!(place.asked(), asked, "the retry is answered as before");
    // The counterfeit has answered, and the answer was lost on the way.
    place.bought("closes", 60_000).await;
    place.world.set_faults("risk", FaultShares { timeout_after: 1_000, ..FaultShares::default() });
    assert_eq!(place.refused("lost", 60_000).await, PurchaseRefusal::RiskSilent);
    let unreachable = house::with_partners(&place.town.app, &[]);
    let refused = decide_one(&unreachable, place.wish("nobody", 60_000)).await.unwrap();
    assert_eq!(refused.decision, Decision::Refused(PurchaseRefusal::RiskSilent));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refusal_counts_whatever_letters_its_reason_has(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    let long = "x".repeat(3_000);
    for (key, said, kept) in [("nul", "velo\u{0}city", "velocity"), ("long", long.as_str(), &long[..64])] {
        place.script(&[said]);
        assert_eq!(place.refused(key, 40_000).await, PurchaseRefusal::RefusedByRisk, "{key}");
        let reason: String = sqlx::query_scalar("select reason from purchase_question where idempotency_key = $1")
            .bind(key)
            .fetch_one(&place.town.app.pool)
            .await
            .unwrap();
        assert_eq!(reason, kept);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_that_keeps_failing_is_left_alone(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    place.script(&["silent"; 10]);
    for number in 0..12 {
        assert_eq!(place.refused(&format!("p-{number}"), 60_000).await, PurchaseRefusal::RiskSilent);
    }
    assert_eq!(place.asked(), 10, "the breaker is open");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_crash_asks_again_under_the_same_id_or_decides_on_the_answer_that_was_stored(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    place.script(&["velocity", "velocity"]);
    place.refused("asked", 60_000).await;
    place.refused("answered", 60_000).await;
    let (before, ..) = place.question("asked").await;
    // As a crash before the answer, and one between answer and decision, leave them.
    place.execute("delete from purchase").await;
    place
        .execute("update purchase_question set answer = null, reason = null, answered_by = null, answered_at = null where idempotency_key = 'asked'")
        .await;
    place
        .execute("update purchase_question set answer = 'allow', reason = null where idempotency_key = 'answered'")
        .await;
    assert_eq!(place.refused("asked", 60_000).await, PurchaseRefusal::RefusedByRisk, "as it said before");
    assert_eq!(place.question("asked").await.0, before);
    assert_eq!(place.asked(), 3);
    place.bought("answered", 60_000).await;
    assert_eq!(place.asked(), 3, "the stored answer is decided on");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_callback_counts_while_the_question_is_open_and_is_noted_afterwards(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    let desk = place.risk_desk("risk").await;
    place.script(&["slow:20000"]);
    let app = place.town.app.clone();
    let buyer = house::with_connections(&app, 3).await;
    let buying = tokio::spawn(decide_one_owned(buyer.clone(), place.wish("p-1", 40_000)));
    let mut open: Option<Uuid> = None;
    house::until("the partner is asked", async || {
        let asked = sqlx::query_scalar("select question_id from purchase_question");
        open = asked.fetch_optional(&app.pool).await.unwrap();
        open.is_some()
    })
    .await;
    let question_id = open.unwrap();
    // Without a connection nobody notes that the partner was silent, however long its callback takes.
    let held = tokio::try_join!(buyer.pool.acquire(), buyer.pool.acquire(), buyer.pool.acquire()).unwrap();
    let refusal = json!({ "decision": "refuse", "reason": "stolen_phone" });
    assert_eq!(place.call_back(&desk, "c-1", question_id, refusal.clone()).await.ok()["status"], "heard");
    drop(held);
    let receipt = buying.await.unwrap().unwrap();
    buyer.pool.close().await;
    assert_eq!(receipt.decision, Decision::Refused(PurchaseRefusal::RefusedByRisk), "though silence would allow it");
    assert_eq!(place.question("p-1").await.2.as_deref(), Some("callback"));
    assert_eq!(place.call_back(&desk, "c-2", question_id, refusal.clone()).await.ok()["status"], "heard");
    let changed = place.call_back(&desk, "c-3", question_id, json!({ "decision": "allow" })).await;
    assert_eq!(changed.problem(), (409, "answer_too_late".into()));

    place.script(&["silent"]);
    let allowed = place.bought("p-2", 40_000).await;
    let (silent, ..) = place.question("p-2").await;
    let late = place.call_back(&desk, "c-4", silent, refusal.clone()).await;
    assert_eq!(late.problem(), (409, "answer_too_late".into()));
    assert_eq!(place.bought("p-2", 40_000).await, allowed, "what was decided stands");
    let noted: (String, String) = sqlx::query_as(
        "select late_answer, late_reason from purchase_question where idempotency_key = 'p-2' and answer = 'silent'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(noted, ("refuse".into(), "stolen_phone".into()));
    let unknown = place.call_back(&desk, "c-5", Uuid::nil(), refusal).await;
    assert_eq!(unknown.problem(), (404, "question_unknown".into()));
    let malformed = place.call_back(&desk, "c-6", silent, json!({ "decision": "allow", "reason": "x" })).await;
    assert_eq!(malformed.problem(), (422, "decision_malformed".into()));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn only_the_partner_that_was_asked_about_a_purchase_answers_late(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    let (asked, other) = (place.risk_desk("risk").await, place.risk_desk("other-risk").await);
    let refusal = json!({ "decision": "refuse", "reason": "stolen_phone" });
    let (unknown, too_late) = ((404, "question_unknown".to_owned()), (409, "answer_too_late".to_owned()));
    place.script(&["silent"]);
    place.refused("p-1", 60_000).await;
    let (question_id, ..) = place.question("p-1").await;
    assert_eq!(place.call_back(&other, "o-0", Uuid::nil(), refusal.clone()).await.problem(), unknown);
    let strange = place.call_back(&other, "o-1", question_id, refusal.clone()).await;
    assert_eq!(strange.problem(), unknown, "as if it were none");
    let noted = async || -> i64 {
        let noted = "select count(*) from purchase_question where late_answer is not null";
        sqlx::query_scalar(noted).fetch_one(&place.town.app.pool).await.unwrap()
    };
    assert_eq!(noted().await, 0, "nobody's word is no evidence");
    assert_eq!(place.call_back(&asked, "l-1", question_id, refusal.clone()).await.problem(), too_late);
    assert_eq!(noted().await, 1);

    // A crash leaves the question open, and somebody else is configured when it is asked again: nobody is there to answer.
    place.execute("delete from purchase").await;
    place
        .execute("update purchase_question set answer = null, answered_by = null, answered_at = null, late_answer = null, late_reason = null, late_at = null")
        .await;
    let mut settings = sandbox::partner_settings("http://127.0.0.1:9", house::SEED);
    settings.retain(|partner| partner.name == "risk");
    settings[0].partner_mchid = "other-risk".to_owned();
    let changed = house::with_partners(&place.town.app, &settings);
    decide_one(&changed, place.wish("p-1", 60_000)).await.unwrap();
    assert_eq!(place.call_back(&asked, "l-2", question_id, refusal.clone()).await.problem(), unknown);
    assert_eq!(place.call_back(&other, "o-2", question_id, refusal).await.problem(), too_late);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_partner_answers_what_the_built_in_rules_were_asked(pool: PgPool) {
    let place = Place::open(pool, "[purchase_risk]\nask = \"rules\"\namount_per_day_max_fen = 200000\n").await;
    let desk = place.risk_desk("risk").await;
    place.bought("p-1", 100_000).await;
    let (question_id, ..) = place.question("p-1").await;
    let answer = place.call_back(&desk, "l-1", question_id, json!({ "decision": "allow" })).await;
    assert_eq!(answer.problem(), (404, "question_unknown".into()));
}

async fn decide_one_owned(
    app: fenqi::app::App,
    wish: PurchaseRequest,
) -> fenqi::error::Outcome<Receipt, fenqi::purchase::model::RequestRefusal> {
    decide_one(&app, wish).await
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn risk_is_looked_at_after_the_line_and_before_what_is_available(pool: PgPool) {
    let place = Place::open(pool, PARTNER).await;
    let refuses = || place.script(&["velocity"]);
    refuses();
    place.execute("update merchant set status = 'suspended'").await;
    assert_eq!(place.refused("merchant", 60_000).await, PurchaseRefusal::MerchantNotActive);
    place.execute("update merchant set status = 'active'").await;
    refuses();
    assert_eq!(place.refused("terms", 1).await, PurchaseRefusal::AmountBelowMinimum);
    refuses();
    place.execute("update credit_line set expires_on = '2026-01-04'").await;
    assert_eq!(place.refused("ended", 60_000).await, PurchaseRefusal::LineEnded);
    place.execute("update credit_line set expires_on = '2027-12-31'").await;
    refuses();
    place.execute("update credit_line set status = 'frozen', frozen_for = 'operator'").await;
    assert_eq!(place.refused("line", 60_000).await, PurchaseRefusal::LineNotActive);
    place.execute("update credit_line set status = 'active', frozen_for = null").await;
    refuses();
    assert_eq!(place.refused("risk", 600_000).await, PurchaseRefusal::RefusedByRisk);
    assert_eq!(place.refused("available", 600_000).await, PurchaseRefusal::LineExceeded);
    let change = Change::Limit(Fen::new(2_000_000));
    let raised =
        ManualChange { line_id: place.line_id, change, person: "wang".into(), reason: "asked by phone".into() };
    change_line(&place.town.app, raised).await.unwrap();
    refuses();
    assert_eq!(place.refused("risk-again", 1_500_000).await, PurchaseRefusal::RefusedByRisk);
    assert_eq!(place.refused("reserve", 1_500_000).await, PurchaseRefusal::ReserveExhausted);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn built_in_rules_bound_a_lines_day_without_a_partner(pool: PgPool) {
    let rules =
        "[purchase_risk]\nask = \"rules\"\namount_per_day_max_fen = 200000\nmerchant_per_day_max_fen = 150000\n";
    let place = Place::open(pool, rules).await;
    place.bought("p-1", 100_000).await;
    assert_eq!(place.refused("p-2", 50_001).await, PurchaseRefusal::RefusedByRisk);
    place.bought("p-3", 50_000).await;
    assert_eq!(place.question("p-2").await.2.as_deref(), Some("rules"));
    assert_eq!(place.asked(), 0);
    let reason: String = sqlx::query_scalar("select reason from purchase_question where idempotency_key = 'p-2'")
        .fetch_one(&place.town.app.pool)
        .await
        .unwrap();
    assert_eq!(reason, "merchant_per_day");
    place.town.close_today().await;
    place.bought("p-4", 100_000).await;

    // Of two that were weighed before either was bought, one is beyond the bound.
    let app = &place.town.app;
    let authoriser = Authoriser::start(app.clone());
    let mut held = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("select from credit_line for update").execute(&mut *held).await.unwrap();
    let both_weighed = async {
        let weighed =
            "select count(*) from purchase_question where idempotency_key in ('p-5', 'p-6') and answer = 'allow'";
        house::until("both are weighed", async || {
            sqlx::query_scalar::<_, i64>(weighed).fetch_one(&mut *held).await.unwrap() == 2
        })
        .await;
        held.commit().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(
        authoriser.authorise(place.wish("p-5", 50_000)),
        authoriser.authorise(place.wish("p-6", 50_000)),
        both_weighed
    );
    let decisions = [one.unwrap().decision, other.unwrap().decision];
    let refused = Decision::Refused(PurchaseRefusal::RefusedByRisk);
    assert_eq!(decisions.iter().filter(|decision| **decision == refused).count(), 1, "{decisions:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_that_asks_nobody_asks_nobody(pool: PgPool) {
    let place = Place::open(pool, "[purchase_risk]\nask = \"none\"\n").await;
    place.script(&["velocity"]);
    place.bought("p-1", 100_000).await;
    let questions: i64 =
        sqlx::query_scalar("select count(*) from purchase_question").fetch_one(&place.town.app.pool).await.unwrap();
    assert_eq!((place.asked(), questions), (0, 0));
    assert_eq!(place.town.used().await, 100_000);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_pays_an_order_on_trial_finds_the_question_among_the_calls(pool: PgPool) {
    let place = Place::open(pool.clone(), PARTNER).await;
    place.execute("update credit_line set product_version = 2").await;
    let app = &place.town.app;
    let (merchant_id, expires_at) = (place.town.merchant_id, app.clock.now() + TimeDelta::hours(2));
    let order = Order { merchant_id, reference: "A-1".to_owned(), amount: Fen::new(50_000), expires_at };
    app.order_desk.open(order, app.clock.now()).await.unwrap();
    let seed = house::SEED.to_string();
    let fenqi = Program::on(&pool).await.with("FENQI_SANDBOX_URL", &place.world_at).with("FENQI_SANDBOX_SEED", &seed);
    // The counterfeit partner answers meanwhile.
    let pay = move || fenqi.done(&["partner", "pay-order", &merchant_id.to_string(), "A-1"]);
    let told = tokio::task::spawn_blocking(pay).await.unwrap();
    assert!(told.contains(" paid "), "{told}");
    assert_eq!(place.town.fen("select count(*) from partner_call where operation = 'decide_purchase'").await, 1);
}
