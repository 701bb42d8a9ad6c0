//! The audit trail records every manual command, names nobody who did not act, is one hash chain, and tampering with it is found.

use fenqi::app::App;
use fenqi::audit::{self, Act, Action, Entry, Link, Misfit, Person, Search};
use fenqi::base::Fen;
use fenqi::base::id::JobId;
use fenqi::database;
use fenqi::funder::order::ReserveOrderKind;
use fenqi::funder::order_actions::{Noting, note_order};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, PgPool};

use super::house_command::Program;
use crate::house;
use crate::town::{self, LineWish};

const LI: [&str; 2] = ["--by", "Li Na"];

/// The head as it is printed: the number, and the hash.
fn head(fenqi: &Program) -> (String, String) {
    let told = fenqi.done(&["audit", "head"]);
    let (entry_no, hash) = told.trim_end().split_once(' ').unwrap();
    (entry_no.to_owned(), hash.to_owned())
}

fn check((entry_no, hash): &(String, String)) -> [&str; 6] {
    ["audit", "check", "--entry-no", entry_no, "--hash", hash]
}

/// A house that somebody has opened; its funder, its product and the end of its first day are Li Na's.
fn opened(fenqi: &Program) {
    fenqi.done(&["house", "open", "--date", "2026-03-02"]);
    let bank = ["funder", "open", "harbour-bank", "--name", "Harbour Bank", "--low-water-fen", "5000000"];
    let product = ["product", "publish", "products/standard.toml"];
    for command in [&bank[..], &product] {
        // The second time there is nothing left to do.
        fenqi.done(&[command, &LI].concat());
        fenqi.done(&[command, &LI].concat());
    }
    fenqi.done(&[&["close", "--date", "2026-03-02"][..], &LI].concat());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn who_opens_a_house_is_known_by_name_or_by_the_account_of_the_system(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    let empty = head(&fenqi);
    assert_eq!(empty, ("0".to_owned(), "0".repeat(64)));
    opened(&fenqi);
    for action in ["funder_opened", "reserve_terms_set", "product_published", "day_ended"] {
        assert_eq!(house::did(&pool, action).await, ["Li Na"], "{action}");
    }
    let user = house::did(&pool, "house_opened").await;
    assert!(matches!(&user[..], [user] if !user.is_empty()), "{user:?}");
    let listed = fenqi.done(&["audit", "list"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 5, "{listed}");
    let opened = format!("house_opened  business_day 2026-03-02  by {} (system_user)  {{}}", user[0]);
    assert!(lines[0].starts_with("1  ") && lines[0].ends_with(&opened), "{listed}");
    assert!(lines[4].contains("  day_ended  business_day 2026-03-02  by Li Na  {}"), "{listed}");

    let told = fenqi.done(&["audit", "list", "--object", "funder", "--by", "Li Na", "--since", "2026-03-02", "--json"]);
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["known_by"], &told[0]["detail"]), (&json!("typed"), &json!({ "code": "harbour-bank" })));
    assert_eq!(told[1]["detail"]["low_water_fen"], 5_000_000);
    // As the document says that anybody can.
    for entry in &told {
        let hash = Sha256::digest(entry["text"].as_str().unwrap().as_bytes());
        assert_eq!(entry["hash"].as_str(), Some(&*fenqi::base::hex::hex_encode(&hash)));
    }
    assert_eq!(fenqi.done(&["audit", "list", "--object", told[0]["object_id"].as_str().unwrap()]).lines().count(), 2);
    assert_eq!(fenqi.done(&["audit", "list", "--by", " li na "]).lines().count(), 4, "all but the first");
    assert_eq!(fenqi.done(&["audit", "list", "--by", "Wang Wei"]), "");
    assert_eq!(fenqi.done(&["audit", "list", "--since", "2099-01-01"]), "");

    let kept = head(&fenqi);
    assert_eq!(kept.0, "5");
    let printed: Value = serde_json::from_str(&fenqi.done(&["audit", "head", "--json"])).unwrap();
    assert_eq!(printed, json!({ "entry_no": 5, "hash": kept.1 }));
    for kept in [&kept, &empty] {
        assert!(fenqi.done(&check(kept)).contains("is the one that was kept"));
    }
    let other = (kept.0.clone(), "0".repeat(64));
    assert!(fenqi.refused(&check(&other)).contains("entry 5 of this trail is not the one that was kept"));
    assert!(fenqi.refused(&check(&("6".to_owned(), kept.1.clone()))).contains("an older back-up was restored"));
    assert!(fenqi.misspelt(&check(&("5".to_owned(), "ab".to_owned()))).contains("64 hexadecimal digits"));
    assert_eq!(fenqi.done(&["verify"]), "");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_an_operator_does_to_merchants_orders_and_jobs_is_told_without_naming_anybody_else(pool: PgPool) {
    let town = town::found(house::open(pool.clone(), "2026-01-05").await, 10_000_000).await;
    let wish = LineWish { limit_fen: 1_000_000, statement_day: 5, due_day: 25, expires_on: "2029-01-01" };
    let line = town.open_lines(1, wish).await[0].to_string();
    let noting = |reference: &str| Noting {
        funder_id: town.funder_id,
        kind: ReserveOrderKind::Deposit,
        amount: Fen::new(500_000),
        reference: reference.into(),
        noted_by: "Chen Wei".into(),
        key: format!("harbour-core/{reference}"),
    };
    let [came, missing] = [noting("ICBC-1"), noting("ICBC-2")];
    let came = note_order(&town.app, came).await.unwrap().order_id.to_string();
    let missing = note_order(&town.app, missing).await.unwrap().order_id.to_string();
    let withdrawal = Noting { kind: ReserveOrderKind::Withdrawal, ..noting("ICBC-3") };
    let withdrawal = note_order(&town.app, withdrawal).await.unwrap().order_id.to_string();
    let job = JobId::mint(town.app.clock.now());
    let dead = "insert into job (job_id, kind, unique_key, status, run_at, attempts, created_at)
                values ($1, 'daily_close', 'a-test', 'dead', $2, 9, $2)";
    sqlx::query(dead).bind(job.uuid()).bind(town.app.clock.now()).execute(&pool).await.unwrap();
    assert_eq!(audited(&pool).await, 0, "nobody has typed anything");

    let fenqi = Program::on(&pool).await;
    let (merchant, job) = (town.merchant_id.to_string(), job.to_string());
    let (mobile, account, why) = ("13912345678", "6222021234567890123", "Wang Xiaoming's phone was stolen");
    for command in [
        &["merchant", "set-link", &merchant, "https://pay.example/own/4711"][..],
        &["merchant", "set-account", &merchant, "--number", account],
        &["merchant", "add-owner", &merchant, "--mobile", mobile, "--name", "Zhao Liu"],
        &["merchant", "suspend", &merchant, "--reason", why],
        &["partner", "notify", &merchant, "--url", "https://pay.example/paid"],
        &["line", "freeze", &line, "--reason", why],
        &["reserve", "confirm", &came],
        &["reserve", "refuse", &missing, "--reason", why],
        &["jobs", "retry", &job],
    ] {
        fenqi.done(&[command, &LI].concat());
    }
    // What stands already leaves nothing.
    for command in [
        &["merchant", "set-link", &merchant, "https://pay.example/own/4711"][..],
        &["merchant", "set-account", &merchant, "--number", account],
        &["line", "freeze", &line, "--reason", why],
    ] {
        fenqi.done(&[command, &LI].concat());
    }
    assert_eq!(house::did(&pool, "link_set").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "staff_hired").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "merchant_decided").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "notify_address_set").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "reserve_order_booked").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "reserve_order_refused").await, ["Li Na"]);
    assert_eq!(house::did(&pool, "job_retried").await, ["Li Na"]);
    assert_eq!(audited(&pool).await, 9);
    // What is refused leaves nothing.
    let resume = ["merchant", "resume", "mer_00000000000000000000000000000000", "--reason", why];
    assert!(fenqi.refused(&[&resume[..], &LI].concat()).contains("there is no such merchant"));
    let confirm = ["reserve", "confirm", &missing];
    assert!(fenqi.refused(&[&confirm[..], &LI].concat()).contains("the order was refused"));
    let not_here = fenqi.refused(&[&["reserve", "confirm", &withdrawal][..], &LI].concat());
    assert!(not_here.contains("is a withdrawal: a second holder of the funder's keys confirms it"), "{not_here}");
    assert_eq!(audited(&pool).await, 9);

    let told = fenqi.done(&["audit", "list", "--json"]);
    for personal in [mobile, account, town::SHOP_ACCOUNT, "Zhao Liu", "Xiaoming", "pay.example", "Chen Wei", "ICBC"] {
        assert!(!told.contains(personal), "{personal} stands in {told}");
    }
    assert_eq!(fenqi.done(&["verify"]), "");
}

async fn audited(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from audit_entry").fetch_one(pool).await.unwrap()
}

async fn retry(app: &App, number: usize) {
    let mut transaction = database::begin(&app.pool).await.unwrap();
    let act = Act::new(Action::JobRetried, format!("job_{number}"), json!({}));
    audit::record(&mut transaction, app, act).await.unwrap();
    transaction.commit().await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn many_at_once_follow_one_another_and_what_is_rolled_back_leaves_no_gap(pool: PgPool) {
    let house = house::open(pool.clone(), "2026-03-02").await;
    let app = house::with_connections(&house, 8).await.by(Person::typed("Li Na"));
    let mut given_up = database::begin(&app.pool).await.unwrap();
    audit::record(&mut given_up, &app, Act::new(Action::JobRetried, "job_0", json!({}))).await.unwrap();
    given_up.rollback().await.unwrap();
    futures_util::future::join_all((1..=24).map(|number| retry(&app, number))).await;
    // Where nobody acts by hand there is nothing to tell.
    retry(&house, 25).await;

    let mut connection = app.pool.acquire().await.unwrap();
    let entries = audit::store::list(&mut connection, Search::default(), 100).await.unwrap();
    let numbers: Vec<i64> = entries.iter().map(|entry| entry.entry_no).collect();
    assert_eq!(numbers, (1..=24).collect::<Vec<i64>>());
    assert_eq!(audit::find_misfit(&mut connection).await.unwrap(), None);
    drop(connection);
    app.pool.close().await;
}

/// Does something to the trail that only whoever administers the database can do.
async fn tamper(pool: &PgPool, change: &str) {
    let by_force = format!("set session_replication_role = replica; {change}; reset session_replication_role");
    sqlx::raw_sql(AssertSqlSafe(by_force)).execute(pool).await.unwrap();
}

/// What `fenqi verify` says of the trail.
fn verified(fenqi: &Program) -> String {
    let found = fenqi.found(&["verify"]);
    let said = found.strip_prefix("the audit trail is one chain up to its head: ").unwrap_or(&found);
    said.trim_end().trim_end_matches(": expected 1, found 0").to_owned()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_first_entry_that_does_not_fit_is_told(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    opened(&fenqi);
    let kept = head(&fenqi);
    for refused in ["update audit_entry set done_by = 'nobody'", "delete from audit_entry"] {
        let refused = sqlx::query(refused).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    tamper(&pool, "create table safe as table audit_entry").await;
    for (change, found) in [
        ("update audit_entry set done_by = 'Wang Wei' where entry_no in (2, 4)", Misfit::Changed(2)),
        ("update audit_entry set detail = '{ }' where entry_no = 5", Misfit::Changed(5)),
        ("delete from audit_entry where entry_no = 3", Misfit::Missing(3)),
        ("delete from audit_entry where entry_no = 5", Misfit::OtherHead(4)),
        ("update audit_entry set previous_hash = hash where entry_no = 2", Misfit::Detached(2)),
    ] {
        tamper(&pool, change).await;
        assert_eq!(verified(&fenqi), found.to_string(), "{change}");
        // What was changed is told, or that the head is not there any more.
        let told = fenqi.refused(&check(&kept));
        let is_gone = told.contains("entry 5 of this trail is not the one that was kept");
        assert!(is_gone || told.contains(&found.to_string()), "{change}: {told}");
        tamper(&pool, "delete from audit_entry; insert into audit_entry table safe").await;
        assert_eq!(fenqi.done(&["verify"]), "");
    }
    // What could not be chained to what came before is not done.
    tamper(&pool, "delete from audit_head").await;
    let withdraw = ["product", "withdraw", "harbour-standard"];
    for command in [&withdraw[..], &["audit", "head"]] {
        assert!(fenqi.refused(command).contains("the head of the"), "{command:?}");
    }
    assert!(fenqi.done(&["product", "list"]).starts_with("harbour-standard version 1"));
}

/// A chain that somebody has made anew fits together. Whoever kept a head elsewhere sees that it is another one.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_trail_that_was_written_anew_is_told_by_a_head_that_was_kept(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    opened(&fenqi);
    let kept = head(&fenqi);
    let mut connection = pool.acquire().await.unwrap();
    let entries = audit::store::list(&mut connection, Search::default(), 100).await.unwrap();
    drop(connection);
    tamper(&pool, "delete from audit_entry").await;
    let mut last = Link::beginning();
    for entry in entries {
        let forged = Entry { done_by: "Wang Wei".to_owned(), previous_hash: last.hash.clone(), ..entry };
        let forged = Entry { hash: Sha256::digest(forged.text().as_bytes()).to_vec(), ..forged };
        audit::store::append(&mut pool.acquire().await.unwrap(), &forged).await.unwrap();
        last = last.accept(&forged).unwrap();
    }
    assert_eq!(house::did(&pool, "house_opened").await, ["Wang Wei"]);
    assert_eq!(fenqi.done(&["verify"]), "");
    assert!(fenqi.refused(&check(&kept)).contains("entry 5 of this trail is not the one that was kept"));
}

#[test]
fn everything_that_is_done_by_hand_is_seen_in_the_trail_by_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/feature");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let tests: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let is_seen = |action: &Action| tests.contains(&format!("\"{}\"", action.name()));
    let unseen: Vec<&str> = Action::ALL.iter().filter(|action| !is_seen(action)).map(|action| action.name()).collect();
    assert!(unseen.is_empty(), "{unseen:?} are not looked for after they were done");
}
