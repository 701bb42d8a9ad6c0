//! Operators are notified, unasked, of partners that are down, of keys and calendars that end soon, and of work that is left lying.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use fenqi::app::App;
use fenqi::base::WorkingCalendar;
use fenqi::partner::{CallError, Operation};
use fenqi::sandbox::FaultShares;
use fenqi::sandbox::world::lock;
use fenqi::watch::jobs::watch;
use fenqi::watch::model::Outage;
use fenqi::watch::store;
use sqlx::PgPool;

use super::house_command::Program;
use super::partner::{DELIVER, call};
use crate::house;

async fn is_answered(app: &App) -> bool {
    let called = call(app, &DELIVER).await;
    app.partners.flush_log().await;
    called.is_ok()
}

/// What operators are told by two looks, of whom or what.
async fn told(app: &App) -> Vec<String> {
    watch(app).await.unwrap();
    watch(app).await.unwrap();
    let told = "select concat_ws(' ', kind, body ->> 'partner', body ->> 'serial_no', body ->> 'last',
                                  body ->> 'day')
                from notice where audience = 'operator' order by notice_no";
    sqlx::query_scalar(told).fetch_all(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_once_of_a_partner_that_is_down_and_once_that_it_is_back(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let pass = |minutes| app.clock.set(app.clock.now() + TimeDelta::minutes(minutes));
    assert!(is_answered(&app).await);
    assert!(told(&app).await.is_empty());

    let silent = FaultShares { timeout_after: 1_000, ..FaultShares::default() };
    world.set_faults("funder_core", silent);
    for _ in 0..2 {
        pass(30);
        assert!(!is_answered(&app).await);
        assert!(told(&app).await.is_empty(), "it may be over soon");
    }
    pass(30);
    assert!(!is_answered(&app).await);
    assert_eq!(told(&app).await, ["partner_down funder_core"]);
    pass(24 * 60);
    assert!(!is_answered(&app).await);
    assert_eq!(told(&app).await, ["partner_down funder_core"], "of one outage they hear once");

    world.set_faults("funder_core", FaultShares::default());
    pass(30);
    assert!(is_answered(&app).await);
    assert_eq!(told(&app).await, ["partner_down funder_core", "partner_back funder_core"]);
    let known: i64 = sqlx::query_scalar("select count(*) from partner_outage").fetch_one(&app.pool).await.unwrap();
    assert_eq!(known, 0);
}

/// As delivery understands it: nothing is sent there any more, and no message is to blame that somebody would find.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_at_whose_address_nobody_takes_events_is_down(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    for (status, is_down) in [(422, false), (404, false), (405, true)] {
        lock(&world.funder_core).reject("/events", Some(status));
        assert!(!is_answered(&app).await);
        let expected: &[&str] = if is_down { &["partner_down funder_core"] } else { &[] };
        assert_eq!(told(&app).await, expected, "{status}");
        app.clock.set(app.clock.now() + TimeDelta::hours(1));
    }
    // On a path of the core's own it is said of a loan.
    let own = Operation { name: "deliver_event", path: "/loan/made", ..DELIVER };
    lock(&world.funder_core).reject("/loan/made", Some(404));
    let core = app.partners.client("funder_core").unwrap();
    assert!(matches!(core.post(&own, "{}").await, Err(CallError::Rejected { status: 404, .. })));
    app.partners.flush_log().await;
    assert_eq!(told(&app).await, ["partner_down funder_core", "partner_back funder_core"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn one_call_in_vain_beside_one_that_was_answered_is_no_outage(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let began = app.clock.now();
    // They are written down as they end: the first one began before the second, and was waited for in vain for longer.
    for (outcome, seconds) in [("ok", 10), ("unknown", 0), ("unknown", 3_600)] {
        called(&app, "funder_core", (outcome, ""), began + TimeDelta::seconds(seconds)).await;
    }
    assert!(told(&app).await.is_empty());
    let since: Vec<DateTime<Utc>> =
        sqlx::query_scalar("select since from partner_outage").fetch_all(&app.pool).await.unwrap();
    assert_eq!(since, [began + TimeDelta::hours(1)]);
}

/// Writes down a call of ours, how it ended, and a code of the answer's beside.
async fn called(app: &App, partner: &str, (outcome, code): (&str, &str), at: DateTime<Utc>) {
    let call = "insert into partner_call (partner, direction, operation, call_key, request_sha256, outcome, http_status,
                                          duration_micros, request_masked, response_masked, codes, called_at)
                values ($1, 'out', 'openid', 'k1', '', $2, case when $2 <> 'unknown' then 200 end, 1, '', '', array[$3], $4)";
    sqlx::query(call).bind(partner).bind(outcome).bind(code).bind(at).execute(&app.pool).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn wechat_is_down_for_a_house_whose_secret_it_does_not_take(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let began = app.clock.now();
    // Somebody's code was not good any more: an answer like any other.
    called(&app, "wechat", ("rejected", "40029"), began).await;
    for minutes in [10, 60] {
        assert!(told(&app).await.is_empty());
        called(&app, "wechat", ("rejected", "40125"), began + TimeDelta::minutes(minutes)).await;
    }
    assert_eq!(told(&app).await, ["partner_down wechat"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_outage_ends_with_whether_it_was_told_and_with_its_partner(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let outage = Outage { partner: "payout", since: app.clock.now() };
    let mut connection = app.pool.acquire().await.unwrap();
    store::note_outage(&mut connection, outage, outage.since).await.unwrap();
    // Another node tells of it after this one has looked.
    assert!(store::mark_told(&mut connection, outage, outage.since).await.unwrap());
    assert_eq!(store::end_outage(&mut connection, outage).await.unwrap(), Some(true));
    assert_eq!(store::end_outage(&mut connection, outage).await.unwrap(), None);
    // Who is taken out of every node's configuration is down for nobody after a day.
    assert!(store::mark_told(&mut connection, outage, outage.since).await.unwrap());
    for (hours, known) in [(24, 1), (1, 0)] {
        app.clock.set(app.clock.now() + TimeDelta::hours(hours));
        assert!(told(&app).await.is_empty());
        let count: i64 = sqlx::query_scalar("select count(*) from partner_outage").fetch_one(&app.pool).await.unwrap();
        assert_eq!(count, known);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_that_calls_other_partners_leaves_an_outage_as_it_is(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let other = house::with_partners(&app, &[]);
    for minutes in [0, 60] {
        called(&app, "funder_core", ("unknown", ""), app.clock.now() + TimeDelta::minutes(minutes)).await;
        told(&app).await;
    }
    let pass = |hours| app.clock.set(app.clock.now() + TimeDelta::hours(hours));
    // It lasts for longer than a day, and one node or the other looks.
    for _ in 0..3 {
        assert_eq!(told(&other).await, ["partner_down funder_core"]);
        pass(20);
        assert_eq!(told(&app).await, ["partner_down funder_core"]);
    }
    called(&app, "funder_core", ("ok", ""), app.clock.now()).await;
    assert_eq!(told(&other).await, ["partner_down funder_core"]);
    assert_eq!(told(&app).await, ["partner_down funder_core", "partner_back funder_core"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_that_the_table_of_working_days_ends_until_a_year_is_added(pool: PgPool) {
    // Houses of tests know years to come.
    let calendar = WorkingCalendar::shipped();
    let last = calendar.known_until("2026-01-05".parse().unwrap()).unwrap();
    let app = App { calendar, ..house::open(pool, &last.minus_days(49).to_string()).await };
    let year = last.next().date().year();
    let next_year = format!("[[year]]\nyear = {year}\nsource = 'a notice'\nmake_up_days = []\nholidays = []");
    let calendar = app.calendar.with_years(&next_year).unwrap();
    assert!(told(&App { calendar, ..app.clone() }).await.is_empty());
    assert_eq!(told(&app).await, [format!("calendar_ends {last}")]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_of_a_partners_key_that_ends_and_that_nothing_replaces(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let partner = "insert into api_partner (partner_id, code, kind, scopes, addresses, rate_per_minute, created_at)
                   values ('00000000-0000-0000-0000-000000000001', 'our-risk', 'risk', '{}', '{}', 60, now())";
    sqlx::query(partner).execute(&app.pool).await.unwrap();
    for (serial_no, holder, days) in
        [("R-1", "Li Na", 7), ("R-2", "Li Na", 365), ("R-3", "Wang Wei", 7), ("R-4", "Chen", 90)]
    {
        let key = "insert into api_key (partner_id, serial_no, algorithm, public_key, holder, added_at, expires_at)
                   values ('00000000-0000-0000-0000-000000000001', $1, 'sm2_sm3', convert_to($1, 'UTF8'), $2, now(), $3)";
        let expires_at = app.clock.now() + TimeDelta::days(days);
        sqlx::query(key).bind(serial_no).bind(holder).bind(expires_at).execute(&app.pool).await.unwrap();
    }
    assert_eq!(told(&app).await, ["key_ends our-risk R-3"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_each_day_of_what_lies_there_until_somebody_looks(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let ages = |hours: i64| app.clock.now() - TimeDelta::hours(hours);
    for (hours, is_told) in [(0, false), (25, true)] {
        let lies_there = "
            with moment as (select $1::timestamptz as instant),
            left_job as (
                insert into job (job_id, kind, unique_key, status, run_at, created_at)
                select gen_random_uuid(), 'pay_out', 'one', 'dead', instant, instant from moment where $2),
            failing_job as (
                insert into job (job_id, kind, unique_key, status, attempts, run_at, created_at)
                select gen_random_uuid(), 'withhold', 'two ' || $2, 'ready', case when $2 then 10 else 9 end, instant, instant
                from moment),
            letter as (
                insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at, dead_at)
                select partner, 'loan_made', gen_random_uuid(), '{}', instant, instant, instant
                from moment, unnest(array['harbour-bank', 'merchant:mer_1', 'merchant:mer_2']) as partner where $2),
            unpaid as (
                insert into payout (payout_id, kind, source_id, beneficiary_id, amount_fen, status, pay_on, created_at)
                select gen_random_uuid(), 'settlement', gen_random_uuid(), gen_random_uuid(), 1, 'created',
                       (instant at time zone 'Asia/Shanghai')::date, instant from moment where $2),
            uncollected as (
                insert into withholding (withholding_id, line_id, borrower_id, purpose, idempotency_key, card_id, channel,
                                         amount_fen, partial_allowed, attempt_no, status, business_day, created_at, submit_at)
                select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'due', 'one', gen_random_uuid(), 'beta',
                       1, false, 1, 'created', (instant at time zone 'Asia/Shanghai')::date, instant, instant
                from moment where $2),
            closing as (
                insert into close_run (business_day, started_at)
                select (instant at time zone 'Asia/Shanghai')::date, instant from moment)
            insert into application (borrower_id, application_id, product_id, product_version, idempotency_key,
                                     request_sha256, facts, status, referral, created_at)
            select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'one', sha256('wish'), '{}', 'referred',
                   'thin file', instant from moment";
        sqlx::query(lies_there).bind(ages(hours)).bind(is_told).execute(&app.pool).await.unwrap();
        let wanted = [
            "job_failing",
            "job_dead",
            "job_waits",
            "messages_dead harbour-bank",
            "messages_dead merchant",
            "close_stuck 2026-01-04",
            "application_waits",
            "partner_missing withholding_b",
            "partner_missing payout",
        ];
        assert_eq!(told(&app).await, if is_told { wanted.to_vec() } else { Vec::new() });
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn while_no_day_can_be_closed_operators_hear_of_it_each_day_of_the_calendar(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-01-05").await;
    let stuck = "insert into close_run (business_day, started_at) values ('2026-01-04', $1)";
    sqlx::query(stuck).bind(app.clock.now() - TimeDelta::hours(2)).execute(&app.pool).await.unwrap();
    assert_eq!(told(&app).await, ["close_stuck 2026-01-04"]);
    app.clock.set(app.clock.now() + TimeDelta::days(2));
    assert_eq!(told(&app).await, ["close_stuck 2026-01-04"; 2]);
    // What else is told meanwhile bears the business day, which stands still.
    let other = "insert into notice (audience, kind, body, business_day, created_at)
                 values ('operator', 'payout_failed', '{}', '2026-01-05', $1)";
    sqlx::query(other).bind(app.clock.now()).execute(&app.pool).await.unwrap();
    let fenqi = Program::on(&pool).await;
    let since = |day: &str| fenqi.done(&["notices", "--since", day]).lines().count();
    assert_eq!([since("2026-01-05"), since("2026-01-07"), since("2026-01-08")], [3, 2, 0]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn operators_hear_of_jobs_that_nobody_takes_or_that_come_to_no_end(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let now = app.clock.now();
    for (kind, status, minutes) in [
        ("ask_partners", "running", 61),
        ("pay_out", "ready", 61),
        ("withhold", "ready", 59),
        ("prune_jobs", "done", 61),
        ("of_a_newer_program", "ready", 61),
    ] {
        let job = "insert into job (job_id, kind, unique_key, status, run_at, locked_until, created_at)
                   values (gen_random_uuid(), $1, 'one', $2, $3, $4, $3)";
        let due_at = now - TimeDelta::minutes(minutes);
        sqlx::query(job).bind(kind).bind(status).bind(due_at).bind(now).execute(&app.pool).await.unwrap();
    }
    assert_eq!(told(&app).await, ["job_waits"; 2]);
    let kinds = "select body ->> 'kind' from notice order by notice_no";
    let kinds: Vec<String> = sqlx::query_scalar(kinds).fetch_all(&app.pool).await.unwrap();
    assert_eq!(kinds, ["ask_partners", "pay_out"]);
}
