//! In a trial house with a moved clock, commands store the house's time and not the system's.

use chrono::{DateTime, TimeDelta, Utc};
use fenqi::base::id::JobId;
use fenqi::base::{BusinessDay, Fen, counted};
use fenqi::funder::order::ReserveOrderKind;
use fenqi::funder::order_actions::{Noting, note_order};
use fenqi::outbox::{Message, store};
use fenqi::partner::signature::Identity;
use serde_json::json;
use sqlx::PgPool;

use super::application_command::referred;
use super::break_command::with_a_break;
use super::house_command::Program;
use crate::town::LineWish;
use crate::{house, town};

/// A file that states one partner, at whose address nobody is; removed when it is dropped.
struct PartnersFile {
    path: std::path::PathBuf,
}

impl PartnersFile {
    fn of(partner: &str) -> PartnersFile {
        let path = std::env::temp_dir().join(format!("fenqi-trial-{}.toml", uuid::Uuid::new_v4().simple()));
        let (ours, theirs) = (Identity::from_seed("our-house", 1), Identity::from_seed("my-core", 1));
        let text = format!(
            "[[partner]]\nname = \"{partner}\"\nbase_url = \"http://127.0.0.1:1\"\nmchid = \"our-house\"\n\
             serial_no = \"{}\"\nprivate_key = \"\"\"\n{}\"\"\"\npartner_mchid = \"my-core\"\n\n\
             [[partner.partner_keys]]\nserial_no = \"{}\"\npublic_key = \"\"\"\n{}\"\"\"\n",
            ours.serial_no,
            ours.private_key(),
            theirs.serial_no,
            theirs.public_key(),
        );
        std::fs::write(&path, text).unwrap();
        PartnersFile { path }
    }
}

impl Drop for PartnersFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

async fn times(pool: &PgPool, select: &'static str) -> Vec<DateTime<Utc>> {
    sqlx::query_scalar(select).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_an_operator_confirms_in_a_trial_house_bears_its_time(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    // The house goes on beside the command, later than noon.
    let now = town.app.clock.now() + TimeDelta::hours(5);
    town.app.clock.set(now);
    town.deposit(1_000_000, "D-2").await;
    let noting = Noting {
        funder_id: town.funder_id,
        kind: ReserveOrderKind::Deposit,
        amount: Fen::new(500_000),
        reference: "ICBC-1".into(),
        noted_by: "Chen Wei".into(),
        key: "harbour-core/d-1".into(),
    };
    let order = note_order(&town.app, noting).await.unwrap();
    let fenqi = Program::on(&pool).await;
    fenqi.done(&["reserve", "confirm", &order.order_id.to_string(), "--by", "Li Na"]);
    let written = times(&pool, "select created_at from outbox order by message_no").await;
    assert!(written.len() >= 3 && written.is_sorted(), "{written:?}");
    assert_eq!(written.last(), Some(&now), "the command's own message");
    assert_eq!(times(&pool, "select decided_at from reserve_order").await, [now]);
    let (from, to) = ("2026-01-05T14:59:00+08:00", "2026-01-05T15:01:00+08:00");
    let replay = ["outbox", "replay", "--partner", "harbour-bank", "--from", from, "--to", to, "--by", "Li Na"];
    sqlx::query("update outbox set attempts = 1").execute(&pool).await.unwrap();
    let of_three = written.iter().filter(|at| **at == now).count();
    assert_eq!(
        fenqi.done(&replay),
        format!("delivered again: {}\n", counted(of_three, "message")),
        "of three o'clock, no others"
    );
    assert_eq!(times(&pool, "select done_at from outbox_action").await, [now]);
    town.assert_whole("after commands beside a moved clock").await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_delivery_to_one_partner_leaves_the_others_as_they_are(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    let now = town.app.clock.now();
    let other = Message {
        partner: "other-bank".into(),
        kind: "reserve_deposited",
        object_id: uuid::Uuid::new_v4(),
        body: json!({}),
        created_at: now,
    };
    store::enqueue(&mut pool.acquire().await.unwrap(), &[other]).await.unwrap();
    let partners = PartnersFile::of("harbour-bank");
    let fenqi = Program::on(&pool).await.with("FENQI_PARTNERS_FILE", partners.path.to_str().unwrap());
    let deliver = ["outbox", "deliver", "--trial", "--partner"];
    let unknown = fenqi.refused(&[&deliver[..], &["other-bank"]].concat());
    assert!(unknown.contains("no partner is configured by that name"), "{unknown}");
    assert!(fenqi.misspelt(&deliver[..3]).contains("--partner"));
    fenqi.done(&[&deliver[..], &["harbour-bank"]].concat());
    let left_alone: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("select partner, next_attempt_at from outbox_partner").fetch_all(&pool).await.unwrap();
    let [(partner, until)] = &left_alone[..] else { panic!("{left_alone:?}") };
    assert_eq!(partner, "harbour-bank");
    assert!(now < *until && *until < now + TimeDelta::hours(1), "in the house's time: {until}");
    let tried = times(&pool, "select called_at from partner_call where direction = 'out'").await;
    assert!(!tried.is_empty() && tried.iter().all(|at| *at == now), "{tried:?}");
}

/// That everything which commands may have written bears the house's day, and that each of the selects finds something.
async fn assert_on(pool: &PgPool, today: &str, selects: &[&'static str]) {
    let today: BusinessDay = today.parse().unwrap();
    for &select in selects {
        let at = times(pool, select).await;
        assert!(!at.is_empty() && at.iter().all(|at| BusinessDay::at(*at) == today), "{select}: {at:?}");
    }
    let beyond = times(pool, "select created_at from outbox").await;
    assert!(beyond.iter().all(|at| BusinessDay::at(*at) <= today), "{beyond:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_a_merchant_a_funder_and_a_job_change_at_the_houses_time(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 5, due_day: 25, expires_on: "2029-01-01" };
    let line = town.open_lines(1, wish).await[0].to_string();
    let now = town.app.clock.now() + TimeDelta::hours(5);
    town.app.clock.set(now);
    town.deposit(1_000_000, "D-2").await;
    let job = JobId::mint(now);
    let dead = "insert into job (job_id, kind, unique_key, status, run_at, attempts, created_at)
                values ($1, 'daily_close', 'a-test', 'dead', $2, 9, $2)";
    sqlx::query(dead).bind(job.uuid()).bind(now - TimeDelta::hours(1)).execute(&pool).await.unwrap();

    let fenqi = Program::on(&pool).await;
    let who = ["--by", "Li Na", "--reason", "a stolen phone"];
    fenqi.done(&[&["line", "freeze", line.as_str()][..], &who].concat());
    fenqi.done(&[&["merchant", "suspend", town.merchant_id.to_string().as_str()][..], &who].concat());
    fenqi.done(&["funder", "open", "second-bank", "--name", "Second Bank"]);
    let listed = fenqi.done(&["jobs", "list", "--json"]);
    assert!(listed.contains(&format!(r#""job_id":"{job}""#)), "by the id that retry takes: {listed}");
    fenqi.done(&["jobs", "retry", &job.to_string()]);
    for select in [
        "select occurred_at from line_entry where kind = 'freeze'",
        "select occurred_at from merchant_event where decision = 'suspend'",
        "select created_at from funder where code = 'second-bank'",
        "select run_at from job where unique_key = 'a-test'",
        "select distinct done_at from audit_entry",
    ] {
        assert_eq!(times(&pool, select).await, [now], "{select}");
    }
    assert_on(&pool, "2026-01-05", &[]).await;
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_transfer_and_a_break_are_booked_at_the_houses_time(pool: PgPool) {
    let (book, id) = with_a_break(pool.clone()).await;
    let fenqi = Program::on(&pool).await;
    let line = book.line_id.to_string();
    fenqi.done(&["transfer", "record", &line, "--amount-fen", "1000", "--reference", "B-1", "--by", "Li Na"]);
    fenqi.done(&["break", "confirm", &id, "--proposal", "1", "--by", "Wang Wei"]);
    assert_on(&pool, "2026-02-26", &["select received_at from repayment where source = 'transfer'"]).await;
    let postings = times(&pool, "select posted_at from posting where business_day = '2026-02-26'").await;
    assert!(
        !postings.is_empty() && postings.iter().all(|at| *at < book.app.clock.now() + TimeDelta::days(1)),
        "{postings:?}"
    );
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_application_is_decided_at_the_houses_time(pool: PgPool) {
    let id = referred(&pool).await.to_string();
    let fenqi = Program::on(&pool).await;
    let refuse = ["application", "decide", "refuse", id.as_str(), "--code", "income_not_proven", "--by", "Li Na"];
    fenqi.done(&[&refuse[..], &["--reason", "no salary shown"]].concat());
    assert_on(&pool, "2026-03-02", &["select decided_at from application"]).await;
}
