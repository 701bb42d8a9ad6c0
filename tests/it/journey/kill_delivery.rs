//! Delivery survives a hundred SIGKILLs of `fenqi work` while half of the core's calls fail: every event arrives, through the core's
//! templates, and none before an earlier one of its loan.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::{Duration, Instant};

use chrono::DateTime;
use chrono_tz::Asia::Shanghai;
use fenqi::base::id::LineId;
use fenqi::base::{BusinessDay, Clock, Fen};
use fenqi::error::Attempt;
use fenqi::outbox::catalogue;
use fenqi::outbox::template::{Telling, Template};
use fenqi::outbox::template_actions::{Saving, save};
use fenqi::sandbox::world::lock;
use fenqi::sandbox::{FaultShares, Silence, World};
use fenqi::verify::verify;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::worker;
use crate::house;
use crate::town::{self, LineWish, Town};

const KILLS: usize = 100;
/// How many calls the core hears of a node at most before it is killed, but for those that are under way at that moment.
const CALLS_MAX: usize = 12;
/// As many events of loans wait at least where a node starts. Each takes a call of its own, so that the calls of a node, and those under
/// way when it is killed, are far from all.
const WAITING_MIN: i64 = 100;
const LINES: usize = 40;
/// A purchase on the first of these days is billed, due and past its grace before the last.
const DAYS: u32 = 34;
const PLAN: (&str, u16) = ("harbour-standard", 3);
/// All of it, with the answers that never come.
const END_LIMIT: Duration = Duration::from_secs(600);

/// How the core wants to be told of a loan: each kind on a path of its own, and of some what else it has.
fn template(kind: &str) -> Template {
    let more = match kind {
        "loan_made" => {
            r#", "loanAmt": {{ body.principal_fen | yuan }}, "terms": {{ body.periods }},
               "plan": [{% for row in body.installments %}
                   { "due": {{ row.due_on | day("%Y%m%d") }}, "prin": {{ row.principal_fen | yuan }} }
                   {%- if not loop.last %},{% endif %}{% endfor %}]"#
        }
        "repayment" => {
            r#", "amt": {{ body.amount_fen | yuan }}, "chan": {{ body.source | code({"withholding": "01"}, other="99") }},
               "rows": [{% for row in body.installments %}
                   { "no": {{ row.period }}, "prin": {{ row.principal_fen | yuan }}, "int": {{ row.interest_fen | yuan }} }
                   {%- if not loop.last %},{% endif %}{% endfor %}]"#
        }
        "overdue" => r#", "dueDate": {{ body.due_on | day("%Y%m%d") }}"#,
        _ => "",
    };
    Template {
        path: Some(format!("/loan/v2/{kind}")),
        text: format!(
            r#"{{ "txnId": {{{{ event.no }}}}, "txnTime": {{{{ event.occurred_at | time("%Y%m%d%H%M%S") }}}},
                 "loanNo": {{{{ body.loan_id | replace("loan_", "L") }}}} {more} }}"#
        ),
        taken_when: Some(r#"answer.retCode == "0000""#.to_owned()),
    }
}

/// The core has a template for each kind of event of a loan; the rest comes in our own form.
async fn map_fields(town: &Town) {
    for kind in catalogue::of(catalogue::Audience::Funder).filter(|kind| kind.object == "loan") {
        let telling = Telling::By(template(kind.name));
        let funder_id = town.funder_id;
        let attempt = Attempt::First;
        let saving = Saving { funder_id, kind: kind.name, after_version: 0, attempt, telling: &telling, by: "core" };
        save(&town.app, saving).await.unwrap();
    }
}

/// A month of a town in which everybody buys, some give back, most are withheld from and some are late; nobody is told yet.
/// Returns the lines that still buy.
async fn live(town: &Town, world: &World, today: BusinessDay) -> Vec<LineId> {
    let first = today.minus_days(DAYS);
    let day_of_month = |after: u32| i16::from(first.plus_days(after).day_of_month().min(28));
    let wish = LineWish {
        limit_fen: 2_000_000,
        statement_day: day_of_month(5),
        due_day: day_of_month(22),
        expires_on: "2099-01-05",
    };
    let lines = town.open_lines(LINES, wish).await;
    for poor in lines.iter().step_by(4) {
        lock(&world.withholding).set_balance(&format!("AG-{}", poor.uuid()), Fen::new(10_000));
    }
    let sofas = buy(town, &lines, "sofa", 60_000).await;
    let lamps = buy(town, &lines, "lamp", 60_000).await;
    for lamp in lamps.iter().step_by(5) {
        town.void(lamp).await;
    }
    town.live_until(&first.plus_days(10).to_string()).await;
    for sofa in sofas.iter().skip(1).step_by(5) {
        town.refund(sofa, 20_000, "back").await;
    }
    buy(town, &lines, "vase", 60_000).await;
    town.live_until(&today.to_string()).await;
    // The late ones are frozen.
    lines.into_iter().enumerate().filter(|(place, _)| place % 4 != 0).map(|(_, line_id)| line_id).collect()
}

async fn buy(town: &Town, lines: &[LineId], key: &str, fen: i64) -> Vec<fenqi::purchase::Receipt> {
    town.buy(lines.iter().map(|line_id| town.wish(*line_id, key, fen, PLAN)).collect()).await
}

/// A node, which does not outlive the test, also where that fails.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The program as an operator starts it, but in more of a hurry: what a day of trouble does is to be seen in a minute.
fn start(database_url: &str, world_at: &str) -> Node {
    let mut command = worker(database_url, world_at);
    command.args(["--workers", "1"]).env("FENQI_DATABASE_CONNECTIONS", "4");
    command.env("FENQI_DELIVERY_PAUSE_MS", "10").env("FENQI_DELIVERY_RETRY_MS", "10");
    Node(command.spawn().unwrap())
}

async fn waiting(pool: &PgPool) -> i64 {
    let waiting = "select count(*) from outbox where delivered_at is null and partner = 'harbour-bank'";
    sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap()
}

/// Of these the events of loans, each of which takes a call of its own.
async fn loans_waiting(pool: &PgPool) -> i64 {
    let waiting = "select count(*) from outbox
                   where delivered_at is null and partner = 'harbour-bank' and object_id in (select loan_id from loan)";
    sqlx::query_scalar(waiting).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_event_arrives_in_order_though_the_deliverer_is_killed_a_hundred_times(pool: PgPool) {
    // The program's own clock is the system's, so that this house lives until today.
    let today = house::today_for_long().await;
    let first = today.minus_days(DAYS).to_string();
    let (app, world, world_at) = house::open_in_world_that(pool, &first, Silence::Drop).await;
    let town = town::found(app, 100_000_000).await;
    map_fields(&town).await;
    let lines = live(&town, &world, today).await;
    town.app.clock.set(Clock::System.now());
    // Half of the calls go unheard or unanswered after they were processed, and of the others some events are refused.
    let failing = FaultShares { timeout_after: 250, timeout_before: 250, refuse: 30, ..FaultShares::default() };
    world.set_faults("funder_core", failing);
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &town.database_name().await);
    let (mut chairs, mut left) = (0, loans_waiting(&town.app.pool).await);
    for kill in 0..KILLS {
        // Purchases come while it is told of earlier ones. They are small, so that the lines have enough for a round before each kill.
        while chairs < (kill + 15) / 25 || left < WAITING_MIN {
            buy(&town, &lines, &format!("chair-{chairs}"), 10_000).await;
            chairs += 1;
            left = loans_waiting(&town.app.pool).await;
        }
        left = deliver_and_die(&town, &world, &url, &world_at, kill).await;
        assert!(left > 0, "node {kill} was killed with nothing left to deliver");
    }
    let last = start(&url, &world_at);
    let began = Instant::now();
    while waiting(&town.app.pool).await > 0 {
        assert!(began.elapsed() < END_LIMIT, "{} messages still wait", waiting(&town.app.pool).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(last);

    heard_in_order(&town, &world).await;
    assert_eq!(verify(&town.app.pool).await.unwrap(), []);
}

/// Starts a node and kills it in another moment of its work each time: after the first call, or the next ones. How many events of
/// loans are left to deliver.
async fn deliver_and_die(town: &Town, world: &World, url: &str, world_at: &str, kill: usize) -> i64 {
    let pool = &town.app.pool;
    // A dozen failures in a row happen among so many, and after them a core is left alone for longer than this test waits: an
    // operator sees that it is there.
    let hasten = "update outbox_partner set failures = 5, next_attempt_at = now() where failures > 5";
    sqlx::query(hasten).execute(pool).await.unwrap();
    let wanted = lock(&world.funder_core).calls() + 1 + (kill % CALLS_MAX) as u64;
    let mut node = start(url, world_at);
    let began = Instant::now();
    // Nothing is asked of the database meanwhile: where that takes its time, the core would hear of far more than is wanted.
    while lock(&world.funder_core).calls() < wanted {
        // A node that delivers nothing is not a node killed during delivery.
        assert!(began.elapsed() < house::PATIENCE, "node {kill} delivers nothing");
        assert!(node.0.try_wait().unwrap().is_none(), "node {kill} ended by itself");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(node);
    loans_waiting(pool).await
}

/// The core has every event of a loan that was written, in its own form, and no other; the first time that it hears of each of
/// them, it has heard of all the earlier ones of that loan.
async fn heard_in_order(town: &Town, world: &World) {
    let pool = &town.app.pool;
    let written: Vec<(i64, Uuid, String, DateTime<chrono::Utc>)> = sqlx::query_as(
        "select message_no, object_id, kind, created_at from outbox
         where partner = 'harbour-bank' and object_id in (select loan_id from loan) order by message_no",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let calls = lock(&world.funder_core).own_calls().to_vec();
    let mut heard: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    let mut forms: BTreeMap<i64, &(String, Value)> = BTreeMap::new();
    for call in &calls {
        let event_no = call.1["txnId"].as_i64().unwrap();
        let loan_id = call.1["loanNo"].as_str().unwrap().strip_prefix('L').unwrap().parse().unwrap();
        if let Some(first) = forms.insert(event_no, call) {
            assert_eq!(first, call, "told again as it was told before");
        } else {
            heard.entry(loan_id).or_default().push(event_no);
        }
    }
    let mut expected: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for (event_no, loan_id, kind, at) in &written {
        expected.entry(*loan_id).or_default().push(*event_no);
        let (path, body) = forms[event_no];
        assert_eq!(*path, format!("/loan/v2/{kind}"));
        assert_eq!(body["txnTime"], at.with_timezone(&Shanghai).format("%Y%m%d%H%M%S").to_string());
    }
    assert_eq!(heard, expected, "every event of each loan, in order, and nothing else");
    let kinds: BTreeSet<&str> = written.iter().map(|(_, _, kind, _)| kind.as_str()).collect();
    assert!(
        ["loan_made", "loan_voided", "refund", "repayment", "overdue"].iter().all(|kind| kinds.contains(kind)),
        "{kinds:?}"
    );
    let book = lock(&world.funder_core);
    assert!(calls.len() > written.len() && book.refused() > 0, "{} calls, {} refused", calls.len(), book.refused());
    assert_eq!(book.out_of_order(), [0i64; 0]);
}
