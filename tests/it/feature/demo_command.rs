//! `fenqi demo --no-serve` as somebody types it: a story on files of one's own, its report, and what stands in its way.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, PgPool};

use super::house_command::Program;
use super::launcher::{Place, said, signal};

/// Files of one test, removed at the end.
struct Files(PathBuf);

impl Files {
    /// The first rows of the project's own sample, in two files.
    fn new(name: &str, clients: usize, purchases: usize) -> Files {
        let place = std::env::temp_dir().join(format!("fenqi-demo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        for (file, rows) in [("clients.csv", clients), ("purchases.csv", purchases)] {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample").join(file);
            let sample = std::fs::read_to_string(sample).unwrap();
            let head: Vec<&str> = sample.lines().take(rows + 1).collect();
            std::fs::write(place.join(file), head.join("\n") + "\n").unwrap();
        }
        Files(place)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }

    fn demo(&self) -> Vec<String> {
        self.demo_of("4")
    }

    /// A story of so many days.
    fn demo_of(&self, days: &str) -> Vec<String> {
        let (clients, purchases) = (self.path("clients.csv"), self.path("purchases.csv"));
        ["demo", "--no-serve", "--days", days, "--clients", &clients, "--purchases", &purchases]
            .map(str::to_owned)
            .to_vec()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_story_on_files_of_ones_own_is_reported_verified_and_not_told_twice(pool: PgPool) {
    let files = Files::new("whole", 40, 120);
    let fenqi = Program::on(&pool).await;
    let command = files.demo();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = fenqi.done(&command);
    for told in [
        "Applications",
        "Purchases",
        "Reserve",
        "settled to merchants",
        "billed",
        "collected",
        "outstanding",
        "income",
        "unknown results resolved",
        "Unpaid principal by days past due",
        "Breaks found",
        "MiB",
        "verify: every identity holds.",
    ] {
        assert!(said.contains(told), "the report does not tell {told}:\n{said}");
    }
    assert!(!said.contains("Serving on"));
    let complaint = fenqi.refused(&command);
    assert!(
        complaint.contains("already holds a house") && complaint.contains("name another one in DATABASE_URL"),
        "{complaint}"
    );
    sqlx::query("update credit_line set limit_fen = limit_fen + 1").execute(&pool).await.unwrap();
    assert!(fenqi.found(&["verify"]).contains("a line stands where its journal ends"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bad_row_is_named_or_left_out_and_kept(pool: PgPool) {
    let files = Files::new("bad", 10, 20);
    let purchases = std::fs::read_to_string(files.path("purchases.csv")).unwrap();
    std::fs::write(files.path("purchases.csv"), purchases + "feedfacefeedface,1,three,5000\n").unwrap();
    let fenqi = Program::on(&pool).await;
    let mut command = files.demo();
    let complaint = fenqi.refused(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(complaint.contains("row 22") && complaint.contains("periods"), "{complaint}");
    assert!(!complaint.contains("stack backtrace"), "{complaint}");
    command.push("--skip-bad".to_owned());
    fenqi.done(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = std::fs::read_to_string(files.path("purchases.csv.bad.csv")).unwrap();
    assert!(kept.contains("feedfacefeedface,1,three,5000"), "{kept}");
}

/// From now on every settlement that is paid is booked a fen too high.
const SPOILED: &str = "
    create function spoil() returns trigger language plpgsql as $$
    begin
        new.amount_fen := array[new.amount_fen[1] + 1] || new.amount_fen[2:];
        return new;
    end $$;
    create trigger spoiled before insert on posting
        for each row when (new.event = 'settlement_paid') execute function spoil()";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_story_whose_books_do_not_foot_ends_with_one_and_what_was_found(pool: PgPool) {
    let files = Files::new("spoiled", 40, 120);
    sqlx::raw_sql(SPOILED).execute(&pool).await.unwrap();
    let fenqi = Program::on(&pool).await;
    let command = files.demo();
    let said = fenqi.found(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let finding = "what merchants are owed out of a funder's book is its part of what was cleared and not paid: ";
    assert!(said.contains("settled to merchants") && said.contains(finding), "{said}");
    assert!(!said.contains("every identity holds"), "{said}");
    // The same as anybody finds who asks later.
    assert!(said.contains(fenqi.found(&["verify"]).trim_end()), "{said}");
}

/// The business day that the story in this place has come to, once there is one.
async fn lived_until(place: &Place) -> Option<String> {
    let running = place.run(&["db", "url"]);
    if !running.status.success() {
        return None;
    }
    let mut connection = PgConnection::connect(&said(&running.stdout)).await.ok()?;
    let today = sqlx::query_scalar("select today::text from business_day");
    today.fetch_optional(&mut connection).await.ok().flatten()
}

#[tokio::test]
async fn a_story_that_is_interrupted_leaves_nothing_running_and_is_begun_again() {
    let (place, files) = (Place::new("interrupted"), Files::new("interrupted", 40, 120));
    // As much as nobody waits for.
    let command = files.demo_of("360");
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut living = place.fenqi(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while lived_until(&place).await.is_none_or(|day| day.as_str() < "2026-01-07") {
        assert!(living.try_wait().unwrap().is_none(), "the story is over");
        assert!(started.elapsed() < Duration::from_secs(300), "the story does not go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    signal(living.id(), "-INT");
    assert_eq!(living.wait().unwrap().code(), Some(130));
    assert_eq!(place.postmaster(), None, "its PostgreSQL still runs");

    // What was lived is whole, and is not gone on with.
    let verified = place.run(&["verify"]);
    assert!(verified.status.success(), "{}{}", said(&verified.stdout), said(&verified.stderr));
    let again = place.run(&command);
    assert_eq!(again.status.code(), Some(1));
    let complaint = said(&again.stderr);
    assert!(complaint.contains("already holds a house (its business day is 2026-"), "{complaint}");
    assert!(complaint.contains("fenqi demo --fresh") && complaint.contains("fenqi serve"), "{complaint}");
    let fresh = files.demo();
    let fresh = fresh.iter().map(String::as_str).chain(["--fresh"]).collect::<Vec<_>>();
    let fresh = place.run(&fresh);
    assert!(fresh.status.success(), "{}", said(&fresh.stderr));
    assert!(said(&fresh.stdout).contains("verify: every identity holds."), "{}", said(&fresh.stdout));
    assert_eq!(place.postmaster(), None);
}
