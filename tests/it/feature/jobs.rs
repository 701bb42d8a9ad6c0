//! The job engine runs each job in one worker at a time, retries it if its worker dies, and enqueues it only once.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fenqi::app::App;
use fenqi::base::BusinessDay;
use fenqi::jobs::store::{self, Failure, Lease};
use fenqi::jobs::worker::{LEASE, run_ready, run_workers};
use fenqi::jobs::{JobKind, NewJob};
use fenqi::timetable;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::house;

async fn enqueue(app: &App, kind: JobKind, key: &str) -> bool {
    let now = app.clock.now();
    let job = NewJob { kind, unique_key: key.to_owned(), created_at: now };
    store::enqueue(&mut app.pool.acquire().await.unwrap(), &job).await.unwrap()
}

async fn claim(app: &App, worker: &str) -> Option<store::Claimed> {
    let now = app.clock.now();
    let lease = Lease { worker, now, until: now + LEASE };
    store::claim(&mut app.pool.acquire().await.unwrap(), &JobKind::ALL, lease).await.unwrap()
}

fn failed(app: &App, again_at: Option<DateTime<Utc>>) -> Failure<'static> {
    Failure { error: "no", at: app.clock.now(), again_at }
}

async fn statuses(app: &App) -> Vec<(String, String)> {
    sqlx::query_as("select unique_key, status from job order by unique_key").fetch_all(&app.pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn concurrent_workers_claim_each_job_once(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    for key in 0..40 {
        assert!(enqueue(&app, JobKind::PruneJobs, &key.to_string()).await);
    }
    // Each finds a connection at once, so that none has all the jobs before another one asks.
    drop(tokio::try_join!(app.pool.acquire(), app.pool.acquire(), app.pool.acquire()).unwrap());
    house::until("three connections rest", async || app.pool.num_idle() >= 3).await;
    let workers = ["w0", "w1", "w2"].map(async |worker| {
        let mut claimed = Vec::new();
        while let Some(job) = claim(&app, worker).await {
            claimed.push(job.job_id);
        }
        claimed
    });
    let claimed = futures_util::future::join_all(workers).await;
    assert!(claimed.iter().filter(|claimed| !claimed.is_empty()).count() > 1, "they claimed one after the other");
    let claimed: Vec<_> = claimed.into_iter().flatten().collect();
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (40, 40));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_job_whose_worker_died_is_taken_over_when_its_lease_ends(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    enqueue(&app, JobKind::PruneJobs, "1").await;
    let first = claim(&app, "dead").await.unwrap();
    assert!(claim(&app, "other").await.is_none());
    app.clock.set(app.clock.now() + LEASE + TimeDelta::seconds(1));
    let second = claim(&app, "other").await.unwrap();
    assert_eq!((second.job_id, second.attempts), (first.job_id, 2));
    // The one believed dead comes back too late to say anything.
    let mut connection = app.pool.acquire().await.unwrap();
    assert!(!store::finish(&mut connection, first.job_id, "dead", app.clock.now()).await.unwrap());
    assert!(store::finish(&mut connection, first.job_id, "other", app.clock.now()).await.unwrap());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn workers_end_where_nobody_can_stop_them_any_more(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let (_, told) = watch::channel(false);
    tokio::time::timeout(house::PATIENCE, run_workers(&app, "node", 2, told))
        .await
        .expect("they look for work for ever");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_same_key_is_enqueued_once(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    assert!(enqueue(&app, JobKind::PruneJobs, "2026-01-05").await);
    assert!(!enqueue(&app, JobKind::PruneJobs, "2026-01-05").await);
    assert!(enqueue(&app, JobKind::PruneJobs, "2026-01-06").await);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_node_that_was_down_or_not_heard_makes_up_for_the_last_time_of_each_entry_once(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    timetable::catch_up(&app).await.unwrap();
    timetable::catch_up(&app).await.unwrap();
    let enqueued =
        async || -> i64 { sqlx::query_scalar("select count(*) from job").fetch_one(&app.pool).await.unwrap() };
    let entries = timetable::TIMETABLE.len() as i64;
    assert_eq!(enqueued().await, entries);

    // A node that was up while the database took nothing makes up for it with the next tick of whatever entry.
    app.clock.set(app.clock.now() + TimeDelta::days(1));
    let (missed, close) = (AtomicBool::new(false), timetable::TIMETABLE[0]);
    let often = timetable::TIMETABLE.iter().find(|entry| entry.kind == JobKind::AskPartners).unwrap();
    assert_eq!(close.kind, JobKind::DailyClose);
    sqlx::query("alter table job rename to job_away").execute(&app.pool).await.unwrap();
    let failed = format!("{:#}", timetable::tick(&app, close, &missed).await.unwrap_err());
    assert!(failed.contains("\"job\" does not exist"), "{failed}");
    sqlx::query("alter table job_away rename to job").execute(&app.pool).await.unwrap();
    timetable::tick(&app, *often, &missed).await.unwrap();
    assert_eq!(enqueued().await, 2 * entries);
    // From then on each speaks for itself again.
    app.clock.set(app.clock.now() + TimeDelta::days(1));
    timetable::tick(&app, *often, &missed).await.unwrap();
    assert_eq!(enqueued().await, 2 * entries + 1);
}

/// Claims what is ready, and returns its kinds and how often each was tried; the close fails, and the worker dies of the rest.
async fn try_all(app: &App, worker: &str) -> Vec<(String, i16)> {
    let mut tried = Vec::new();
    let mut connection = app.pool.acquire().await.unwrap();
    while let Some(job) = claim(app, worker).await {
        if job.kind == JobKind::DailyClose.name() {
            let soon = failed(app, Some(app.clock.now() + TimeDelta::seconds(5)));
            assert!(store::fail(&mut connection, job.job_id, worker, soon).await.unwrap());
        }
        tried.push((job.kind, job.attempts));
    }
    tried
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_a_clock_that_ran_ahead_has_asked_for_is_done_at_its_time(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let next_day: BusinessDay = "2026-01-06".parse().unwrap();
    let is_set_to = async |time: &str, worker: &str| {
        app.clock.set(next_day.instant(time.parse().unwrap()));
        timetable::catch_up(&app).await.unwrap();
        try_all(&app, worker).await
    };
    assert_eq!(is_set_to("14:00:00", "ahead").await.len(), timetable::TIMETABLE.len());
    let first = |kind: JobKind| (kind.name().to_owned(), 1);
    // Set right again: the close of the night does not wait until the clock says again what it said when it failed.
    assert!(is_set_to("00:05:00", "night").await.contains(&first(JobKind::DailyClose)));
    // Nor does what a worker had in its hands that died meanwhile.
    let noon = is_set_to("12:15:00", "noon").await;
    assert!(noon.contains(&first(JobKind::MakeFiles)), "{noon:?}");
    // What waits because it failed is not hurried.
    let close = (JobKind::DailyClose.name().to_owned(), 2);
    assert!(noon.contains(&close) && is_set_to("12:15:04", "noon").await.is_empty(), "{noon:?}");
    // What the dead worker held is done at its time also where its lease ends only a little later. Whatever else there is of the kind was
    // tried before.
    let afternoon = is_set_to("13:45:00", "afternoon").await;
    assert!(afternoon.contains(&first(JobKind::CompareFiles)), "{afternoon:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_while_a_clock_ran_ahead_or_died_with_its_worker_is_not_put_off_as_far(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let now = app.clock.now();
    timetable::catch_up(&app).await.unwrap();
    app.clock.set(now + TimeDelta::days(1));
    assert_eq!(try_all(&app, "ahead").await.len(), timetable::TIMETABLE.len());
    app.clock.set(now + TimeDelta::minutes(1));
    timetable::catch_up(&app).await.unwrap();
    let tried = try_all(&app, "right").await;
    for kind in [JobKind::DailyClose, JobKind::MakeFiles] {
        assert!(tried.contains(&(kind.name().to_owned(), 1)), "{tried:?}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_done_while_a_clock_ran_ahead_is_done_again_at_its_time(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let (today, next_day): (BusinessDay, BusinessDay) = ("2026-01-05".parse().unwrap(), "2026-01-06".parse().unwrap());
    let done_at = async |day: BusinessDay, time: &str| {
        app.clock.set(day.instant(time.parse().unwrap()));
        timetable::catch_up(&app).await.unwrap();
        let mut done = Vec::new();
        while let Some(job) = claim(&app, "worker").await {
            let mut connection = app.pool.acquire().await.unwrap();
            assert!(store::finish(&mut connection, job.job_id, "worker", app.clock.now()).await.unwrap());
            done.push(job.kind);
        }
        done.sort_unstable();
        done
    };
    let often = ["ask_partners", "pay_out", "watch_reserves", "withhold"];
    // The clock is a day ahead.
    assert_eq!(done_at(next_day, "10:00:00").await.len(), timetable::TIMETABLE.len());
    assert_eq!(done_at(next_day, "10:10:00").await, often);
    // It is set right. What it has asked for is forgotten as soon as the present times are enqueued.
    assert_eq!(done_at(today, "11:00:00").await.len(), timetable::TIMETABLE.len());
    assert!(done_at(today, "11:00:30").await.is_empty());
    assert_eq!(done_at(next_day, "10:00:00").await.len(), timetable::TIMETABLE.len());
    assert_eq!(done_at(next_day, "10:10:00").await, often);
    // What was done at its time is done once, and so is a job of another key.
    assert!(enqueue(&app, JobKind::Withhold, "wh_1").await);
    assert_eq!(done_at(next_day, "10:10:30").await, ["withhold"]);
    assert!(done_at(next_day, "10:10:40").await.is_empty());
    assert!(!enqueue(&app, JobKind::Withhold, "wh_1").await);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_no_tick_has_asked_for_is_asked_for_a_little_later(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let keeping = {
        let app = app.clone();
        tokio::spawn(async move { timetable::catch_up_repeatedly(&app, Duration::from_millis(20)).await })
    };
    for days in 1..=2 {
        house::until("every entry is enqueued", async || {
            let enqueued: i64 = sqlx::query_scalar("select count(*) from job").fetch_one(&app.pool).await.unwrap();
            enqueued == days * timetable::TIMETABLE.len() as i64
        })
        .await;
        app.clock.set(app.clock.now() + TimeDelta::days(1));
    }
    keeping.abort();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn ready_jobs_are_done_and_failed_ones_wait_longer_and_longer(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    enqueue(&app, JobKind::PruneJobs, "1").await;
    assert_eq!(run_ready(&app, "test").await.unwrap(), 1);
    assert_eq!(statuses(&app).await, [("1".to_owned(), "done".to_owned())]);

    enqueue(&app, JobKind::PruneJobs, "2").await;
    let claimed = claim(&app, "w").await.unwrap();
    let mut connection = app.pool.acquire().await.unwrap();
    let later = app.clock.now() + TimeDelta::seconds(5);
    assert!(store::fail(&mut connection, claimed.job_id, "w", failed(&app, Some(later))).await.unwrap());
    assert!(claim(&app, "w").await.is_none());
    app.clock.set(later);
    assert!(claim(&app, "w").await.is_some());
    assert!(store::fail(&mut connection, claimed.job_id, "w", failed(&app, None)).await.unwrap());
    let open = store::list_open(&mut connection, 10).await.unwrap();
    assert_eq!((open[0].status.as_str(), open[0].last_error.as_deref()), ("dead", Some("no")));
    assert!(store::retry(&mut connection, claimed.job_id, app.clock.now()).await.unwrap());
    assert_eq!(run_ready(&app, "test").await.unwrap(), 1);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_given_up_is_made_up_for_by_the_next_of_its_kind(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let mut connection = app.pool.acquire().await.unwrap();
    for (kind, key) in [(JobKind::PruneJobs, "1"), (JobKind::MakeFiles, "2")] {
        enqueue(&app, kind, key).await;
        let claimed = claim(&app, "w").await.unwrap();
        assert!(store::fail(&mut connection, claimed.job_id, "w", failed(&app, None)).await.unwrap());
    }
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    enqueue(&app, JobKind::PruneJobs, "3").await;
    let later = claim(&app, "w").await.unwrap();
    // Not before that has come to its end.
    assert_eq!(statuses(&app).await[0], ("1".to_owned(), "dead".to_owned()));
    assert!(store::finish(&mut connection, later.job_id, "w", app.clock.now()).await.unwrap());
    let ended = [("1", "done"), ("2", "dead"), ("3", "done")];
    assert_eq!(statuses(&app).await, ended.map(|(key, status)| (key.to_owned(), status.to_owned())));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_failed_and_waits_is_made_up_for_by_a_later_one_of_its_kind(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let mut connection = app.pool.acquire().await.unwrap();
    let again_at = app.clock.now() + TimeDelta::hours(1);
    for (kind, key) in [(JobKind::AskPartners, "1"), (JobKind::AskPartners, "2"), (JobKind::MakeFiles, "3")] {
        enqueue(&app, kind, key).await;
        let claimed = claim(&app, "w").await.unwrap();
        assert!(store::fail(&mut connection, claimed.job_id, "w", failed(&app, Some(again_at))).await.unwrap());
    }
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    enqueue(&app, JobKind::AskPartners, "4").await;
    let later = claim(&app, "w").await.unwrap();
    // One that nobody has tried yet is tried.
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    enqueue(&app, JobKind::AskPartners, "5").await;
    assert!(store::finish(&mut connection, later.job_id, "w", app.clock.now()).await.unwrap());
    let ended = [("1", "done"), ("2", "done"), ("3", "ready"), ("4", "done"), ("5", "ready")];
    assert_eq!(statuses(&app).await, ended.map(|(key, status)| (key.to_owned(), status.to_owned())));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_the_jobs_of_a_kind_and_day_that_fail_the_first_alone_is_tried_again(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let mut connection = app.pool.acquire().await.unwrap();
    sqlx::query("alter table session rename to session_away").execute(&app.pool).await.unwrap();
    for minute in 0..60 {
        enqueue(&app, JobKind::PruneJobs, &format!("{minute}")).await;
        run_ready(&app, "test").await.unwrap();
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    }
    let open = store::list_open(&mut connection, 10).await.unwrap();
    let open: Vec<_> = open.iter().map(|job| (job.unique_key.as_str(), job.status.as_str())).collect();
    assert_eq!(open, [("0", "ready")]);
    let runs =
        "select sum(attempts), count(*) filter (where finished_at is not null and last_error is not null) from job";
    let (runs, ended): (i64, i64) = sqlx::query_as(runs).fetch_one(&app.pool).await.unwrap();
    assert_eq!(ended, 59);
    assert!(runs < 60 + 15, "{runs} runs in an hour");

    // The day after, the one from before has little time left.
    app.clock.set(app.clock.now() + TimeDelta::days(1));
    enqueue(&app, JobKind::PruneJobs, "next day").await;
    run_ready(&app, "test").await.unwrap();
    assert_eq!(store::list_open(&mut connection, 10).await.unwrap().len(), 2);
    sqlx::query("alter table session_away rename to session").execute(&app.pool).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::hours(2));
    run_ready(&app, "test").await.unwrap();
    assert_eq!(store::list_open(&mut connection, 10).await.unwrap().len(), 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_cannot_be_forgotten_keeps_nothing_else(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let code = "insert into passcode (mobile_hash, purpose, code_hash, sent_at, expires_at)
                values ('a', 'borrower_sign_in', 'b', '2025-12-31', '2026-01-01')";
    sqlx::query(code).execute(&app.pool).await.unwrap();
    sqlx::query("alter table session rename to session_away").execute(&app.pool).await.unwrap();
    let failed = fenqi::jobs::dispatch::run(&app, JobKind::PruneJobs).await.unwrap_err();
    assert!(format!("{failed:#}").contains("session"), "{failed:#}");
    let kept: i64 = sqlx::query_scalar("select count(*) from passcode").fetch_one(&app.pool).await.unwrap();
    assert_eq!(kept, 0, "the code is not forgotten");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_card_whose_signing_came_to_nothing_is_forgotten_a_day_later(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let signings = r"insert into card_signing (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed, challenge,
                                               status, started_at, expires_at)
                     select gen_random_uuid(), gen_random_uuid(), '\x00'::bytea, '\x00'::bytea, '1234', '\x00'::bytea, challenge, status,
                            $1::timestamptz - age - interval '10 minutes', $1::timestamptz - age
                     from (values ('left', 'started', interval '25 hours'), ('refused', 'refused', '25 hours'),
                                  ('signed', 'signed', '25 hours'), ('today', 'started', '23 hours')) as s(challenge, status, age)";
    sqlx::query(signings).bind(app.clock.now()).execute(&app.pool).await.unwrap();
    fenqi::jobs::dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    let kept = "select challenge from card_signing order by challenge";
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&app.pool).await.unwrap();
    assert_eq!(kept, ["signed", "today"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_interrupted_close_is_ended_before_the_next_day_is_closed(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    // Killed right after the cut-off.
    let begun = "select advance_business_day('2026-01-05');
                 insert into close_run (business_day, started_at) values ('2026-01-05', now())";
    sqlx::raw_sql(begun).execute(&app.pool).await.unwrap();
    let next = fenqi::close::close_day(&app, "2026-01-06".parse().unwrap()).await;
    assert!(matches!(next, Err(fenqi::close::CloseError::Unfinished { .. })), "{next:?}");

    app.clock.set("2026-01-06".parse::<BusinessDay>().unwrap().instant("00:10:00".parse().unwrap()));
    fenqi::jobs::dispatch::run(&app, JobKind::DailyClose).await.unwrap();
    let closed = "select business_day, finished_at is not null from close_run";
    let closed: Vec<(BusinessDay, bool)> = sqlx::query_as(closed).fetch_all(&app.pool).await.unwrap();
    assert_eq!(closed, [("2026-01-05".parse::<BusinessDay>().unwrap(), true)]);
    let today = fenqi::business_day::store::today(&mut app.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(today, "2026-01-06".parse().unwrap());
}
