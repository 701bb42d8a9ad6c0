//! Applications from the request to the credit line, decided by the scorecard, a risk partner, or a person.

use chrono::TimeDelta;
use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{ApplicationId, BorrowerId, LineId};
use fenqi::borrower::Agreement;
use fenqi::credit::actions::{self, PersonDecision, PersonVerdict};
use fenqi::credit::consent_actions::take_back;
use fenqi::credit::jobs;
use fenqi::credit::line_actions::{ManualChange, change_line};
use fenqi::credit::risk::QUESTIONS_MAX;
use fenqi::credit::word::Said;
use fenqi::credit::word_actions::{FunderDecision, decide_as_funder};
use fenqi::credit::{
    ApplicationState, Applied, ApplyRefusal, ApplyRequest, Change, Freeze, Freezes, Line, LineRefusal, LineStatus,
    RiskHook,
};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Matcher, Scripted};
use sqlx::PgPool;
use std::sync::Arc;

use super::applicant::{late, ready, registered, request, standard_product, steady};
use crate::house::{self, count};
use crate::town::{self, LineWish, refused};

fn approved(applied: &Applied) -> (LineId, String, Fen) {
    match &applied.state {
        ApplicationState::Approved { line_id, grade, limit } => (*line_id, grade.clone(), *limit),
        other => panic!("expected an approval, found {other:?}"),
    }
}

async fn find_line(app: &App, line_id: LineId) -> Line {
    let mut connection = app.pool.acquire().await.unwrap();
    fenqi::credit::store::find_line(&mut connection, line_id).await.unwrap().unwrap()
}

fn with_hook(app: &App, hook: RiskHook) -> App {
    App { risk: Arc::new(hook), ..app.clone() }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_approval_opens_the_line_its_journal_and_the_message_at_once(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;

    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();

    let (line_id, grade, limit) = approved(&applied);
    assert_eq!((grade.as_str(), limit), ("A", Fen::new(20_000_000)));
    let line = find_line(&app, line_id).await;
    assert_eq!((line.borrower_id, line.limit, line.used), (borrower_id, limit, Fen::ZERO));
    assert_eq!((line.status, line.last_entry_no), (LineStatus::Active, 1));
    assert_eq!(
        count(&app, "select limit_after_fen from line_entry where kind = 'opened' and entry_no = 1").await,
        20_000_000
    );
    assert_eq!(
        count(&app, "select count(*) from outbox where kind = 'line_opened' and partner = 'harbour-bank'").await,
        1
    );
    assert_eq!(
        count(&app, "select count(*) from application where status = 'approved' and decided_by = 'scorecard'").await,
        1
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_late_payer_is_refused_and_a_person_without_history_goes_before_a_person(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let (late_payer, newcomer) = (ready(&app, 1).await, ready(&app, 2).await);

    let applied = actions::apply(&app, request(late_payer, product, Some(late()))).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Refused { reason: "score_too_low".into() });
    let applied = actions::apply(&app, request(newcomer, product, None)).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Referred { reason: "no_history".into() });
    assert_eq!(count(&app, "select count(*) from credit_line").await, 0);

    let decision = |verdict| PersonDecision {
        borrower_id: newcomer,
        application_id: applied.application_id,
        person: "wang".into(),
        reason: "salary shown".into(),
        verdict,
    };
    let approve = |limit| PersonVerdict::Approve { grade: "C".into(), limit };
    let too_much = actions::decide_referred(&app, decision(approve(Fen::new(20_000_001)))).await;
    assert_eq!(refused(too_much), ApplyRefusal::LimitOutOfBounds);
    let free = "select count(*) from (select 1 from application where status = 'referred' for update skip locked) free";
    assert_eq!(count(&app, free).await, 1, "it has let go by then");
    let first = actions::decide_referred(&app, decision(approve(Fen::new(500_000)))).await.unwrap();
    let again = actions::decide_referred(&app, decision(approve(Fen::new(500_000)))).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(approved(&first).2, Fen::new(500_000));
    assert_eq!(count(&app, "select count(*) from credit_line").await, 1);
    let refusal = PersonVerdict::Refuse { code: "changed_mind".into() };
    assert_eq!(refused(actions::decide_referred(&app, decision(refusal)).await), ApplyRefusal::NotReferred);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_same_key_is_the_same_application_and_with_another_body_refused(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let request = request(borrower_id, product, Some(steady()));

    let first = actions::apply(&app, request.clone()).await.unwrap();
    assert_eq!(actions::apply(&app, request.clone()).await.unwrap(), first);
    let other = ApplyRequest { limit_requested: Some(Fen::new(100_000)), ..request.clone() };
    assert_eq!(refused(actions::apply(&app, other).await), ApplyRefusal::KeyReused);
    let second = ApplyRequest { idempotency_key: "another".into(), ..request };
    assert_eq!(refused(actions::apply(&app, second).await), ApplyRefusal::LineOpen);
    assert_eq!(count(&app, "select count(*) from application").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn many_at_once_with_the_same_key_open_one_line(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let request = request(borrower_id, product, Some(steady()));

    let attempts = (0..6).map(|_| actions::apply(&app, request.clone()));
    let outcomes = futures_util::future::join_all(attempts).await;

    let first = outcomes[0].as_ref().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().application_id == first.application_id));
    assert_eq!(count(&app, "select count(*) from credit_line").await, 1);
    assert_eq!(count(&app, "select count(*) from line_entry").await, 1);
    assert_eq!(count(&app, "select count(*) from outbox where kind = 'line_opened'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_applies_without_agreements_card_and_age(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let apply = |borrower_id: BorrowerId| actions::apply(&app, request(borrower_id, product, Some(steady())));

    let nobody = BorrowerId::from_uuid(uuid::Uuid::nil());
    assert_eq!(refused(apply(nobody).await), ApplyRefusal::BorrowerUnknown);
    let registration = super::applicant::registration(&app, 1);
    let unsigned = fenqi::borrower::actions::register(&app, registration).await.unwrap();
    assert!(matches!(refused(apply(unsigned).await), ApplyRefusal::AgreementMissing { .. }));
    let cardless = registered(&app, 2).await;
    assert_eq!(refused(apply(cardless).await), ApplyRefusal::CardMissing);
    let today = "2026-01-05".parse().unwrap();
    let child = fenqi::demo::identity::registration(3, 17, today);
    let child = fenqi::borrower::actions::register(&app, child).await.unwrap();
    assert_eq!(refused(apply(child).await), ApplyRefusal::UnderAge);
    let ancient = fenqi::demo::identity::registration(4, 121, today);
    let ancient = fenqi::borrower::actions::register(&app, ancient).await.unwrap();
    assert_eq!(refused(apply(ancient).await), ApplyRefusal::OverAge);
    let too_little = ApplyRequest { limit_requested: Some(Fen::new(49_999)), ..request(cardless, product, None) };
    assert_eq!(refused(actions::apply(&app, too_little).await), ApplyRefusal::LimitInvalid);
    let unknown = ApplyRequest { product_version: 9, ..request(cardless, product, None) };
    assert_eq!(refused(actions::apply(&app, unknown).await), ApplyRefusal::ProductUnknown);
    assert_eq!(count(&app, "select count(*) from application").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_applies_on_a_consent_that_is_being_taken_back(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let agreement = Agreement::PersonalInformation;
    let mut held_up = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("lock table consent in exclusive mode").execute(&mut *held_up).await.unwrap();
    let (taken_back, applied, ()) = tokio::join!(
        take_back(&app, borrower_id, agreement),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            actions::apply(&app, request(borrower_id, product, Some(steady()))).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    taken_back.unwrap();
    assert_eq!(refused(applied), ApplyRefusal::AgreementMissing { agreement });
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_partner_decides_and_its_limit_is_held_within_the_product_and_what_was_asked_for(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let app = with_hook(&app, RiskHook::Partner);
    let product = standard_product(&app).await;
    let (generous, strict, modest) = (ready(&app, 1).await, ready(&app, 2).await, ready(&app, 3).await);
    let outcome = |answer: &str| vec![Scripted::answer(answer).amount(90_000_000)];
    world.script("risk", Some(Matcher::new("borrower", generous.uuid())), outcome("approve"));
    world.script("risk", Some(Matcher::new("borrower", strict.uuid())), outcome("on_a_list"));

    let applied = actions::apply(&app, request(generous, product, Some(steady()))).await.unwrap();
    assert_eq!(approved(&applied).2, Fen::new(20_000_000));
    let applied = actions::apply(&app, request(strict, product, Some(steady()))).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Refused { reason: "on_a_list".into() });
    world.script("risk", Some(Matcher::new("borrower", modest.uuid())), outcome("approve"));
    let asks_for_less = ApplyRequest { limit_requested: Some(Fen::new(1_000_000)), ..request(modest, product, None) };
    let applied = actions::apply(&app, asks_for_less).await.unwrap();
    assert_eq!(approved(&applied).2, Fen::new(1_000_000), "nobody is given more than was asked for");
    assert_eq!(world.scripts_left(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_person_and_no_funder_gives_more_than_was_asked_for(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let apply = async |number: u64| {
        let borrower_id = ready(&app, number).await;
        let modest = ApplyRequest { limit_requested: Some(Fen::new(400_000)), ..request(borrower_id, product, None) };
        (borrower_id, actions::apply(&app, modest).await.unwrap().application_id)
    };
    let as_person = async |(borrower_id, application_id): (BorrowerId, ApplicationId), limit: i64| {
        let (person, reason) = ("wang".into(), "salary shown".into());
        let verdict = PersonVerdict::Approve { grade: "C".into(), limit: Fen::new(limit) };
        let decision = PersonDecision { borrower_id, application_id, person, reason, verdict };
        actions::decide_referred(&app, decision).await
    };
    let as_funder = async |(borrower_id, application_id): (BorrowerId, ApplicationId), limit: i64| {
        let (name, reason) = ("harbour-core: K-1".into(), "salary shown".into());
        let said = Said::Approve { grade: Some("C".into()), limit: Some(Fen::new(limit)) };
        decide_as_funder(&app, FunderDecision { borrower_id, application_id, name, reason, said }).await
    };
    let (first, second) = (apply(1).await, apply(2).await);
    assert_eq!(refused(as_person(first, 400_001).await), ApplyRefusal::LimitOutOfBounds);
    assert_eq!(refused(as_funder(second, 400_001).await), ApplyRefusal::LimitOutOfBounds);
    assert_eq!(approved(&as_person(first, 400_000).await.unwrap()).2, Fen::new(400_000));
    assert_eq!(approved(&as_funder(second, 300_000).await.unwrap()).2, Fen::new(300_000));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_silent_hook_refers_to_a_person_and_loses_nothing(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let app = with_hook(&app, RiskHook::Partner);
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    // The first call and both repetitions.
    world.script("risk", None, vec![Scripted::answer("silent"); 3]);

    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Referred { reason: "risk_hook_silent".into() });
    let unreachable = house::with_partners(&app, &[]);
    let second = ready(&app, 2).await;
    let applied = actions::apply(&unreachable, request(second, product, Some(steady()))).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Referred { reason: "risk_hook_silent".into() });
    assert_eq!(count(&app, "select count(*) from application where status = 'referred'").await, 2);
}

/// A refused application as a crash between storing and deciding leaves it.
const LEFT_BEHIND: &str =
    "update application set status = 'submitted', refusal = null, decided_by = null, decided_at = null, score = null";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_that_a_crash_left_behind_is_decided_later(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let applied = actions::apply(&app, request(borrower_id, product, Some(late()))).await.unwrap();
    sqlx::query(LEFT_BEHIND).execute(&app.pool).await.unwrap();

    assert_eq!(jobs::decide_waiting(&app).await.unwrap(), jobs::Summary::default());
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    let summary = jobs::decide_waiting(&app).await.unwrap();
    assert_eq!(summary, jobs::Summary { refused: 1, ..jobs::Summary::default() });
    let again = actions::apply(&app, request(borrower_id, product, Some(late()))).await.unwrap();
    assert_eq!(again, applied);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_that_waits_for_the_hook_ends_with_its_consent(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    actions::apply(&app, request(borrower_id, product, Some(late()))).await.unwrap();
    sqlx::query(LEFT_BEHIND).execute(&app.pool).await.unwrap();
    take_back(&app, borrower_id, Agreement::SensitiveInformation).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(jobs::decide_waiting(&app).await.unwrap(), jobs::Summary::default());
    let again = actions::apply(&app, request(borrower_id, product, Some(late()))).await.unwrap();
    assert_eq!(again.state, ApplicationState::Refused { reason: "consent_withdrawn".into() });
    // Nobody was asked about it, so it is told to its borrower alone.
    assert_eq!(count(&app, "select count(*) from outbox where kind = 'application_withdrawn'").await, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_partner_is_not_asked_about_what_is_being_taken_back(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    actions::apply(&app, request(borrower_id, product, Some(late()))).await.unwrap();
    sqlx::query(LEFT_BEHIND).execute(&app.pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    let app = with_hook(&app, RiskHook::Partner);
    // The notice is what it writes last.
    let mut held_up = fenqi::database::begin(&app.pool).await.unwrap();
    sqlx::query("lock table notice in exclusive mode").execute(&mut *held_up).await.unwrap();
    let (taken_back, decided, ()) = tokio::join!(
        take_back(&app, borrower_id, Agreement::SensitiveInformation),
        async {
            house::until_as_many_wait(&app.pool, 1).await;
            jobs::decide_waiting(&app).await
        },
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    taken_back.unwrap();
    decided.unwrap();
    assert_eq!(lock(&world.risk).decided(), 0);
    assert_eq!(count(&app, "select count(*) from application where asked_partner is not null").await, 0);
    let ended = "select count(*) from application where refusal = 'consent_withdrawn' and decided_by = 'borrower'";
    assert_eq!(count(&app, ended).await, 1);
}

/// Ends whatever nobody was asked about as soon as somebody is asked about anything.
const END_THE_OTHERS: &str = "create function end_the_others() returns trigger language plpgsql as $$ begin
         update application
         set status = 'refused', refusal = 'consent_withdrawn', decided_by = 'borrower', decided_at = created_at
         where status = 'submitted' and asked_partner is null;
         return null;
     end $$;
     create trigger end_the_others after update on application
         for each statement when (pg_trigger_depth() = 0) execute function end_the_others()";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_call_to_the_partner_is_about_what_waits_just_before_it(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let wish = request(ready(&app, 1).await, product, Some(late()));
    actions::apply(&app, wish.clone()).await.unwrap();
    sqlx::query(LEFT_BEHIND).execute(&app.pool).await.unwrap();
    let as_many = i32::try_from(QUESTIONS_MAX).unwrap();
    let more = "insert into application (borrower_id, application_id, product_id, product_version, idempotency_key,
                                         request_sha256, facts, status, created_at)
                select gen_random_uuid(), gen_random_uuid(), product_id, product_version, idempotency_key,
                       request_sha256, facts, status, created_at
                from application cross join generate_series(1, $1)";
    sqlx::query(more).bind(as_many).execute(&app.pool).await.unwrap();
    sqlx::raw_sql(END_THE_OTHERS).execute(&app.pool).await.unwrap();
    let people: Vec<BorrowerId> =
        sqlx::query_scalar("select borrower_id from application").fetch_all(&app.pool).await.unwrap();
    let again: Vec<ApplyRequest> =
        people.into_iter().map(|borrower_id| ApplyRequest { borrower_id, ..wish.clone() }).collect();
    let answers = actions::apply_many(&with_hook(&app, RiskHook::Partner), &again).await.unwrap();
    assert_eq!(lock(&world.risk).decided(), QUESTIONS_MAX);
    let reason = |answer: Result<Applied, ApplyRefusal>| match answer.unwrap().state {
        ApplicationState::Refused { reason } => reason,
        other => panic!("expected a refusal, found {other:?}"),
    };
    let told: Vec<String> = answers.into_iter().map(reason).collect();
    let ended = told.iter().filter(|reason| *reason == "consent_withdrawn").count();
    assert_eq!((told.len(), ended), (QUESTIONS_MAX + 1, 1), "{told:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_batch_is_answered_one_by_one(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let (good, bad, cardless) = (ready(&app, 1).await, ready(&app, 2).await, registered(&app, 3).await);
    let requests = [
        request(good, product, Some(steady())),
        request(bad, product, Some(late())),
        request(cardless, product, Some(steady())),
        request(good, product, Some(steady())),
        ApplyRequest { idempotency_key: "other".into(), ..request(bad, product, Some(steady())) },
    ];
    let answers = actions::apply_many(&app, &requests).await.unwrap();
    assert!(matches!(answers[0].as_ref().unwrap().state, ApplicationState::Approved { .. }));
    assert!(matches!(answers[1].as_ref().unwrap().state, ApplicationState::Refused { .. }));
    assert_eq!(answers[2], Err(ApplyRefusal::CardMissing));
    assert_eq!(answers[3], answers[0]);
    assert_eq!(answers[4], Err(ApplyRefusal::ApplicationOpen));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_is_frozen_adjusted_and_closed_with_a_journal(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    let (line_id, ..) = approved(&applied);
    let change = |change| {
        change_line(&app, ManualChange { line_id, change, person: "wang".into(), reason: "asked by phone".into() })
    };

    let frozen = change(Change::Freeze(Freeze::Operator)).await.unwrap();
    assert_eq!(frozen.status, LineStatus::Frozen(Freezes::of(Freeze::Operator)));
    assert_eq!(change(Change::Freeze(Freeze::Operator)).await.unwrap().last_entry_no, 2);
    assert_eq!(change(Change::Unfreeze(Freeze::Operator)).await.unwrap().status, LineStatus::Active);
    assert_eq!(change(Change::Limit(Fen::new(1_000_000))).await.unwrap().limit, Fen::new(1_000_000));
    let beyond = change(Change::Limit(Fen::new(20_000_001))).await;
    assert_eq!(refused(beyond), LineRefusal::LimitAboveHighest { highest: Fen::new(20_000_000) });
    sqlx::query("update credit_line set used_fen = 5").execute(&app.pool).await.unwrap();
    assert_eq!(refused(change(Change::Close).await), LineRefusal::LineInUse);
    sqlx::query("update credit_line set used_fen = 0").execute(&app.pool).await.unwrap();
    assert_eq!(change(Change::Close).await.unwrap().status, LineStatus::Closed);
    assert_eq!(refused(change(Change::Limit(Fen::new(1))).await), LineRefusal::LineClosed);

    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from line_entry order by entry_no").fetch_all(&app.pool).await.unwrap();
    assert_eq!(kinds, ["opened", "freeze", "unfreeze", "limit", "close"]);
    assert_eq!(count(&app, "select count(*) from outbox where kind = 'line_changed'").await, 4);
    // A closed line leaves room for a new application.
    let again = ApplyRequest { idempotency_key: "again".into(), ..request(borrower_id, product, Some(steady())) };
    approved(&actions::apply(&app, again).await.unwrap());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_owes_again_on_a_closed_line_gets_no_other_one_of_that_funder(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let close = async |borrower_id: BorrowerId| {
        let line_id = super::applicant::approved(&app, borrower_id, product).await;
        let closed = ManualChange { line_id, change: Change::Close, person: "wang".into(), reason: "asked".into() };
        change_line(&app, closed).await.unwrap();
    };
    // As a payment leaves it that is taken back after the line was closed.
    let owe_again = async |borrower_id: BorrowerId| {
        let owed = "update credit_line set used_fen = 5 where status = 'closed' and borrower_id = $1";
        sqlx::query(owed).bind(borrower_id.uuid()).execute(&app.pool).await.unwrap();
    };
    let again = |borrower_id, history| {
        let wish = ApplyRequest { idempotency_key: "again".into(), ..request(borrower_id, product, history) };
        actions::apply(&app, wish)
    };
    let (before, meanwhile) = (ready(&app, 1).await, ready(&app, 2).await);
    close(before).await;
    owe_again(before).await;
    assert_eq!(refused(again(before, Some(steady())).await), ApplyRefusal::LineOpen);

    close(meanwhile).await;
    let applied = again(meanwhile, None).await.unwrap();
    assert_eq!(applied.state, ApplicationState::Referred { reason: "no_history".into() });
    owe_again(meanwhile).await;
    let decision = PersonDecision {
        borrower_id: meanwhile,
        application_id: applied.application_id,
        person: "wang".into(),
        reason: "salary shown".into(),
        verdict: PersonVerdict::Approve { grade: "C".into(), limit: Fen::new(500_000) },
    };
    let decided = actions::decide_referred(&app, decision).await.unwrap();
    assert_eq!(decided.state, ApplicationState::Refused { reason: "line_open".into() });
    assert_eq!(count(&app, "select count(*) from credit_line where status <> 'closed'").await, 0);
    // That says nothing against the applicant, who need not wait once it is paid.
    sqlx::query("update credit_line set used_fen = 0 where status = 'closed'").execute(&app.pool).await.unwrap();
    let third = ApplyRequest { idempotency_key: "third".into(), ..request(meanwhile, product, Some(steady())) };
    approved(&actions::apply(&app, third).await.unwrap());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_expires_when_nothing_is_owed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let (first, second) = (ready(&app, 1).await, ready(&app, 2).await);
    for borrower_id in [first, second] {
        actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    }
    sqlx::query("update credit_line set used_fen = 5 where borrower_id = $1")
        .bind(second.uuid())
        .execute(&app.pool)
        .await
        .unwrap();
    let expires_on: chrono::NaiveDate =
        sqlx::query_scalar("select max(expires_on) from credit_line").fetch_one(&app.pool).await.unwrap();
    let last_day = fenqi::base::BusinessDay::new(expires_on);
    let run = async |day| {
        let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
        let range = fenqi::base::AccountRange::ALL;
        let rows = fenqi::credit::close::run(&mut transaction, &app, day, range).await.unwrap();
        transaction.commit().await.unwrap();
        rows
    };
    assert_eq!(run(last_day.minus_days(1)).await, 0);
    assert_eq!(run(last_day).await, 1);
    assert_eq!(run(last_day).await, 0);
    assert_eq!(count(&app, "select count(*) from credit_line where status = 'closed' and used_fen = 0").await, 1);
    assert_eq!(count(&app, "select count(*) from line_entry where kind = 'close' and reason = 'expired'").await, 1);
    let closed: LineId = sqlx::query_scalar("select line_id from credit_line where borrower_id = $1")
        .bind(first.uuid())
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let closed = find_line(&app, closed).await;
    let told: serde_json::Value =
        sqlx::query_scalar("select body from outbox where kind = 'line_changed'").fetch_one(&app.pool).await.unwrap();
    let expected = serde_json::json!({
        "line_id": closed.line_id, "change": "close", "status": "closed", "frozen_for": null,
        "limit_fen": closed.limit, "used_fen": 0, "business_day": last_day,
    });
    assert_eq!(told, expected);
    // The borrower hears of it as of every other end of a line.
    assert_eq!(count(&app, "select count(*) from notice where kind = 'line_closed'").await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_whose_loan_still_owes_interest_does_not_expire(pool: PgPool) {
    let town = town::found(house::open(pool, "2026-03-02").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 900_000, statement_day: 10, due_day: 30, expires_on: "2026-03-03" };
    let line = town.open_lines(1, wish).await[0];
    town.buy(vec![town.wish(line, "p-1", 9_000, ("harbour-standard", 3))]).await;
    let principal_paid = "update loan set principal_paid_fen = principal_fen; update credit_line set used_fen = 0";
    sqlx::raw_sql(principal_paid).execute(&town.app.pool).await.unwrap();
    let expire = async || {
        let mut transaction = fenqi::database::begin(&town.app.pool).await.unwrap();
        let (day, range) = ("2026-03-03".parse().unwrap(), fenqi::base::AccountRange::ALL);
        let closed = fenqi::credit::close::run(&mut transaction, &town.app, day, range).await.unwrap();
        transaction.commit().await.unwrap();
        closed
    };
    assert_eq!(expire().await, 0);
    sqlx::query("update loan set status = 'paid', closed_on = '2026-03-03'").execute(&town.app.pool).await.unwrap();
    assert_eq!(expire().await, 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_change_that_waits_for_its_line_does_not_keep_the_day_from_ending(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let product = standard_product(&app).await;
    let borrower_id = ready(&app, 1).await;
    let applied = actions::apply(&app, request(borrower_id, product, Some(steady()))).await.unwrap();
    let (line_id, ..) = approved(&applied);
    let mut holder = fenqi::database::begin(&app.pool).await.unwrap();
    fenqi::credit::store::lock_lines(&mut holder, &[line_id]).await.unwrap();
    let change = Change::Freeze(Freeze::Operator);
    let manual = ManualChange { line_id, change, person: "wang".into(), reason: "asked by phone".into() };
    let (changed, is_free) = tokio::join!(change_line(&app, manual), async {
        house::until_somebody_waits(&app.pool).await;
        // The lock that ends the day.
        let free = "select pg_try_advisory_xact_lock(4240230)";
        let is_free = sqlx::query_scalar::<_, bool>(free).fetch_one(&app.pool).await.unwrap();
        holder.commit().await.unwrap();
        is_free
    });
    assert!(is_free, "the day is held before the line");
    assert_eq!(changed.unwrap().status, LineStatus::Frozen(Freezes::of(Freeze::Operator)));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn all_lines_of_a_borrower_are_found_without_reading_everybodys(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let mut transaction = fenqi::database::begin(&app.pool).await.unwrap();
    // The table is so small that it would be read whole, however it is indexed.
    sqlx::query("set local enable_seqscan = off").execute(&mut *transaction).await.unwrap();
    let query = "explain select line_id from credit_line where borrower_id = '00000000-0000-0000-0000-000000000000'";
    let plan: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *transaction).await.unwrap();
    assert!(plan.iter().any(|step| step.contains("credit_line_by_borrower")), "{plan:#?}");
}
