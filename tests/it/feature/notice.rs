//! Notices reach their recipients: they are listed and marked as read, and sent by SMS where that is right.

use chrono::TimeDelta;
use fenqi::base::When;
use fenqi::base::id::BorrowerId;
use fenqi::jobs::{JobKind, dispatch};
use fenqi::notice::{self, Audience, Notice};
use fenqi::outbox::jobs::{Summary, deliver_outbox};
use fenqi::partner::store::{CallSearch, search_calls};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{Matcher, Scripted};
use serde_json::json;
use sqlx::PgPool;

use crate::house;
use crate::town::{self, LineWish};

const WISH: LineWish = LineWish { limit_fen: 500_000, statement_day: 10, due_day: 28, expires_on: "2028-01-05" };

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_notice_is_listed_and_read_and_sent_by_sms_where_that_is_right(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 1_000_000).await;
    let _line = town.open_lines(1, WISH).await;
    assert_eq!(deliver_outbox(&app).await.unwrap().delivered, 1, "the founding deposit is told to the funder");
    let borrower_id: BorrowerId =
        sqlx::query_scalar("select borrower_id from borrower").fetch_one(&app.pool).await.unwrap();
    let when = When { business_day: town.today().await, at: app.clock.now() };
    let body = json!({
        "line": "line_1",
        "due_on": "2026-01-28",
        "total_fen": 123_456,
        "owed_fen": 123_456,
        "amount_fen": 123_456,
        "withholding": "wh_1",
    });
    let notices =
        ["bill_issued", "withheld", "overdue"].map(|kind| Notice::to_borrower(borrower_id, kind, body.clone(), when));
    let mut connection = app.pool.acquire().await.unwrap();
    notice::raise(&mut connection, &notices).await.unwrap();

    let whose = (Audience::Borrower, Some(borrower_id.uuid()));
    let (listed, _) = notice::store::list(&mut connection, whose.0, whose.1, &[], None).await.unwrap();
    assert_eq!(
        listed.iter().map(|raised| raised.kind.as_str()).collect::<Vec<_>>(),
        ["overdue", "withheld", "bill_issued"]
    );
    assert_eq!(listed[0].body, body);
    assert_eq!(notice::store::count_unread(&mut connection, whose.0, whose.1).await.unwrap(), 3);
    let seen = listed[1].notice_no;
    assert_eq!(notice::store::mark_read(&mut connection, whose.0, whose.1, seen, app.clock.now()).await.unwrap(), 2);
    assert_eq!(notice::store::count_unread(&mut connection, whose.0, whose.1).await.unwrap(), 1);

    // Of the three, two go out by SMS; the partner does not take the second, and it is not tried for ever.
    let overdue = Matcher::new("template", "overdue");
    world.script("sms", Some(overdue), vec![Scripted::answer("refused")]);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary { delivered: 2, failed: 0, died: 0 });
    {
        let book = lock(&world.sms);
        let sent = book.messages_to("13800138000");
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].template, "bill_issued");
        assert_eq!(
            (sent[0].parameters["total"].as_str(), sent[0].parameters["due_on"].as_str()),
            ("1,234.56", "2026-01-28")
        );
    }
    let left: Vec<String> = sqlx::query_scalar("select last_error from outbox where last_error is not null")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(left, ["not deliverable: mobile_blocked"]);
    assert_eq!(deliver_outbox(&app).await.unwrap(), Summary::default());
    // The partner knows the message by a number of its own, but the call is found by whom it concerns and by ours.
    app.partners.flush_log().await;
    let number = "select max(message_no)::text from outbox where partner = 'sms'";
    let number: String = sqlx::query_scalar(number).fetch_one(&app.pool).await.unwrap();
    for key in [borrower_id.to_string(), number] {
        let wanted = CallSearch { partner: Some("sms".to_owned()), key: Some(key), limit: 9, ..CallSearch::default() };
        let found = search_calls(&mut connection, &wanted).await.unwrap();
        assert_eq!(found.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["send_messages"]);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_person_who_was_erased_is_not_written_to(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = BorrowerId::mint(app.clock.now());
    let when = When { business_day: "2026-01-05".parse().unwrap(), at: app.clock.now() };
    let body = json!({ "due_on": "2026-01-28", "total_fen": 123_456 });
    let told = Notice::to_borrower(borrower_id, "bill_issued", body, when);
    notice::raise(&mut app.pool.acquire().await.unwrap(), &[told]).await.unwrap();
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 0);
    assert_eq!(lock(&world.sms).sent(), 0);
    let waiting: i64 = sqlx::query_scalar("select count(*) from outbox where delivered_at is null")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(waiting, 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_was_paid_while_messages_waited_is_not_asked_for_any_more(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 1_000_000).await;
    let line_id = town.open_lines(1, WISH).await[0];
    let bills =
        "insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status, paid_on)
         select line_id, date '2026-01-28', date '2026-01-10', 3000, 0, 0, 'paid', date '2026-01-12' from credit_line
         union all
         select line_id, date '2026-02-28', date '2026-02-10', 3000, 0, 0, 'open', null from credit_line";
    sqlx::query(bills).execute(&app.pool).await.unwrap();
    let borrower_id: BorrowerId =
        sqlx::query_scalar("select borrower_id from borrower").fetch_one(&app.pool).await.unwrap();
    let when = When { business_day: town.today().await, at: app.clock.now() };
    let told = |(kind, due_on): (&'static str, &str)| {
        let body = json!({ "line": line_id, "due_on": due_on, "total_fen": 3_000, "owed_fen": 3_000 });
        Notice::to_borrower(borrower_id, kind, body, when)
    };
    let kinds = ["bill_issued", "due_soon", "overdue"];
    let notices: Vec<Notice> =
        ["2026-01-28", "2026-02-28"].into_iter().flat_map(|day| kinds.map(|kind| told((kind, day)))).collect();
    notice::raise(&mut app.pool.acquire().await.unwrap(), &notices).await.unwrap();
    // The partner takes messages again on the day after the second bill was due.
    app.clock.set(when.business_day.plus_days(55).instant("10:00:00".parse().unwrap()));
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 0);
    let sent: Vec<String> =
        lock(&world.sms).messages_to("13800138000").iter().map(|message| message.template.clone()).collect();
    assert_eq!(sent, ["bill_issued", "overdue"], "of the bill that is still open");
    let why =
        "select concat(last_error, ', ', count(*)) from outbox where ending is not null group by last_error order by 1";
    let why: Vec<String> = sqlx::query_scalar(why).fetch_all(&app.pool).await.unwrap();
    assert_eq!(why, ["not deliverable: the bill is paid, 3", "not deliverable: the due day has passed, 1"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_is_late_is_told_in_daytime_and_nothing_else_waits_for_it(pool: PgPool) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app.clone(), 1_000_000).await;
    let line_id = town.open_lines(1, WISH).await[0];
    deliver_outbox(&app).await.unwrap();
    let borrower_id: BorrowerId =
        sqlx::query_scalar("select borrower_id from borrower").fetch_one(&app.pool).await.unwrap();
    let day = town.today().await;
    town.set_time(day.next(), "00:06:00");
    let when = When { business_day: day, at: app.clock.now() };
    let overdue = json!({ "line": line_id, "due_on": "2025-12-28", "owed_fen": 3_000 });
    let notices = [("overdue", overdue), ("pin_reset", json!({ "mobile_on": "2026-01-06" }))];
    let notices = notices.map(|(kind, body)| Notice::to_borrower(borrower_id, kind, body, when));
    notice::raise(&mut app.pool.acquire().await.unwrap(), &notices).await.unwrap();
    for (time, told) in [("00:06:00", vec!["pin_reset"]), ("07:59:00", vec![]), ("08:00:00", vec!["overdue"])] {
        town.set_time(day.next(), time);
        let before = lock(&world.sms).sent();
        deliver_outbox(&app).await.unwrap();
        let sent: Vec<String> =
            lock(&world.sms).messages_to("13800138000").iter().map(|message| message.template.clone()).collect();
        assert_eq!(sent[before..], told, "{time}");
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_notice_is_removed_when_it_is_older_than_the_rule(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = BorrowerId::mint(app.clock.now());
    for day in ["2026-01-05", "2026-01-06"] {
        let body = json!({ "due_on": "2026-01-28", "total_fen": 123_456 });
        let when = When { business_day: day.parse().unwrap(), at: app.clock.now() };
        let told = Notice::to_borrower(borrower_id, "bill_issued", body, when);
        notice::raise(&mut app.pool.acquire().await.unwrap(), &[told]).await.unwrap();
    }
    let days = async || -> Vec<String> {
        let mut connection = app.pool.acquire().await.unwrap();
        let whose = (Audience::Borrower, Some(borrower_id.uuid()));
        let (listed, _) = notice::store::list(&mut connection, whose.0, whose.1, &[], None).await.unwrap();
        listed.iter().map(|raised| raised.business_day.to_string()).collect()
    };
    app.clock.set(app.clock.now() + TimeDelta::days(1_100));
    // As the timetable does every night.
    dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    assert_eq!(days().await, ["2026-01-06", "2026-01-05"]);
    app.clock.set(app.clock.now() + TimeDelta::days(1));
    dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    assert_eq!(days().await, ["2026-01-06"]);
    app.clock.set(app.clock.now() + TimeDelta::days(100));
    dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    assert_eq!(days().await, [""; 0]);
    let waiting: i64 = sqlx::query_scalar("select count(*) from outbox where delivered_at is null")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(waiting, 2, "nobody delivered their short messages: they are kept");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_being_read_is_passed_over_and_removed_the_next_time(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool, "2026-01-05").await;
    let borrower_id = BorrowerId::mint(app.clock.now());
    let whose = (Audience::Borrower, Some(borrower_id.uuid()));
    let when = When { business_day: "2026-01-05".parse().unwrap(), at: app.clock.now() };
    let body = json!({ "due_on": "2026-01-28", "total_fen": 123_456 });
    let told = [(); 2].map(|()| Notice::to_borrower(borrower_id, "bill_issued", body.clone(), when));
    notice::raise(&mut app.pool.acquire().await.unwrap(), &told).await.unwrap();
    let left = async || -> Vec<i64> {
        let mut connection = app.pool.acquire().await.unwrap();
        let (listed, _) = notice::store::list(&mut connection, whose.0, whose.1, &[], None).await.unwrap();
        listed.iter().map(|raised| raised.notice_no).collect()
    };
    let first = left().await[1];
    let mut reading = fenqi::database::begin(&app.pool).await.unwrap();
    notice::store::mark_read(&mut reading, whose.0, whose.1, first, app.clock.now()).await.unwrap();
    app.clock.set(app.clock.now() + TimeDelta::days(2_000));
    // It waits for nobody.
    let pruned = tokio::time::timeout(house::PATIENCE, dispatch::run(&app, JobKind::PruneJobs)).await;
    pruned.expect("nothing waits for whoever reads").unwrap();
    assert_eq!(left().await, [first]);
    reading.commit().await.unwrap();
    dispatch::run(&app, JobKind::PruneJobs).await.unwrap();
    assert_eq!(left().await, [0; 0]);
}
