//! `fenqi demo --no-serve`: it plays its story, also on the user's own files, prints the report, and refuses what it cannot use.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenqi::base::{Fen, WorkingCalendar};
use fenqi::credit::RiskHook;
use fenqi::database::{self, Migrated};
use fenqi::demo::input::{self, Input};
use fenqi::demo::report::Report;
use fenqi::demo::story::{self, Script};
use fenqi::page::Site;
use fenqi::replay::house::{House, HouseSettings};
use fenqi::sandbox::FaultShares;
use fenqi::vault::Vault;
use fenqi::verify::verify;
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::house_command::Program;
use super::launcher::{Place, closed_terminal, said, signal};
use crate::{golden, house};

/// Files of one test, removed at the end.
struct Files(PathBuf);

impl Files {
    /// The first rows of the project's own sample, in two files.
    fn new(name: &str, clients: usize, purchases: usize) -> Files {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample");
        Files::of(name, [(sample.join("clients.csv"), clients), (sample.join("purchases.csv"), purchases)])
    }

    /// The first rows of a file of clients and one of purchases.
    fn of(name: &str, [clients, purchases]: [(PathBuf, usize); 2]) -> Files {
        let place = house::directory(&format!("demo-{name}"));
        for (file, (whole, rows)) in [("clients.csv", clients), ("purchases.csv", purchases)] {
            let whole = std::fs::read_to_string(whole).unwrap();
            let head: Vec<&str> = whole.lines().take(rows + 1).collect();
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

/// Lines of the report, and where else in the books the same amount is found than where the report reads it.
const TOLD: [(&str, &str); 8] = [
    ("settled to merchants", "select sum(amount_fen) from payout where kind = 'settlement' and status = 'succeeded'"),
    (
        "to be settled to merchants",
        "select sum(amount_fen) from payout where kind = 'settlement' and status <> 'succeeded'",
    ),
    ("billed", "select sum(principal_fen + interest_fen + fee_fen) from bill_line where origin = 'statement'"),
    (
        "collected",
        "select sum(principal_paid_fen + interest_paid_fen + fee_paid_fen + penalty_paid_fen) from bill_line",
    ),
    ("remitted to funders", "select sum(amount_fen) from payout where kind = 'remittance' and status = 'succeeded'"),
    (
        "principal outstanding",
        "select sum(principal_fen - principal_paid_fen - principal_returned_fen) from loan where status <> 'voided'",
    ),
    (
        "interest and fees accrued",
        "select sum(case when leg.debit in (204, 206) then leg.fen else -leg.fen end)
         from posting cross join lateral unnest(debit, credit, amount_fen) as leg(debit, credit, fen)
         where event = 'interest'",
    ),
    ("discount fees (platform's income)", "select sum(discount_fee_fen - discount_returned_fen) from settlement_part"),
];

/// Parts of the report, and rows that must stand there by other tables than the report reads, or by their reasons.
const COUNTED: [(&str, &str); 3] = [
    (
        "Applications",
        "select 'approved grade ' || grade, count(*), sum(limit_fen)::bigint from credit_line group by grade",
    ),
    (
        "Applications",
        "select 'refused: ' || refusal, count(*), 0::bigint from application where status = 'refused' group by refusal",
    ),
    (
        "Unpaid principal by days past due",
        "select case when late < 1 then 'current' when late < 31 then '1-30' when late < 61 then '31-60' else '61-90' end,
                count(*), coalesce(sum(unpaid), 0)::bigint
         from (select d.today - b.due_on as late,
                      (select sum(i.principal_fen - i.principal_paid_fen - i.principal_returned_fen) from bill_line i
                       where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement') as unpaid
               from bill b cross join business_day d where b.status = 'open') open_bill
         group by 1",
    ),
];

/// What the report tells under a title.
fn part<'a>(said: &'a str, title: &str) -> &'a str {
    said.split_once(&format!("\n{title}\n")).and_then(|(_, after)| after.split("\n\n").next()).unwrap()
}

/// The report says what the books say, of money, of lines, of what is late and of each reason for which somebody was refused.
async fn assert_told(said: &str, pool: &PgPool) {
    let tells = |line: &str| said.lines().any(|told| told.trim_end() == line.trim_end());
    for (name, query) in TOLD {
        let query = format!("select coalesce(({query}), 0)::bigint");
        let fen: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(pool).await.unwrap();
        let line = format!("  {name:<38} {:>20}", Fen::new(fen));
        assert!(tells(&line), "the report does not tell {line}:\n{said}");
    }
    let paid =
        "select count(*), sum(amount_fen)::bigint from payout where kind = 'settlement' and bank_reference is not null";
    let (count, fen): (i64, i64) = sqlx::query_as(paid).fetch_one(pool).await.unwrap();
    let line = format!("  {:<38} {count:>10} {:>20}", "settlement: succeeded", Fen::new(fen));
    assert!(tells(&line), "the report does not tell {line}:\n{said}");
    let refused: Vec<(String, i64, i64)> = sqlx::query_as(
        "select refusal, count(*), sum(amount_fen)::bigint from purchase where status = 'refused' group by refusal",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let purchases = part(said, "Purchases");
    for (reason, count, fen) in &refused {
        let name = format!("refused: {reason}");
        let line = format!("  {name:<38} {count:>10} {:>20}", Fen::new(*fen));
        assert!(purchases.lines().any(|told| told == line), "the report does not tell {line}:\n{said}");
    }
    assert_eq!(purchases.lines().filter(|line| line.starts_with("  refused: ")).count(), refused.len(), "{said}");
    for (title, query) in COUNTED {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(query).fetch_all(pool).await.unwrap();
        for (name, count, fen) in rows {
            let amount = if fen == 0 { String::new() } else { Fen::new(fen).to_string() };
            let line = format!("  {name:<38} {count:>10} {amount:>20}");
            let is_told = part(said, title).lines().any(|told| told.trim_end() == line.trim_end());
            assert!(is_told, "the report does not tell {line}:\n{said}");
        }
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
        "verify: every identity holds.",
    ] {
        assert!(said.contains(told), "the report does not tell {told}:\n{said}");
    }
    assert!(!said.contains("Serving on"));
    // What it cost is told once the books are verified, which is part of it.
    let (_, cost) = said.split_once("\nThe story took ").unwrap();
    let (story, rest) = cost.split_once(" s, the run until its books were verified ").unwrap();
    let (whole, rest) = rest.split_once(" s; at most ").unwrap();
    let mebibytes = rest.split(' ').next().unwrap();
    let [story, whole, mebibytes] = [story, whole, mebibytes].map(|told| told.parse::<Decimal>().unwrap());
    assert!(whole >= story && mebibytes.is_sign_positive() && !mebibytes.is_zero(), "{cost}");
    assert_told(&said, &pool).await;
    assert_eq!(fenqi.done(&["jobs", "list"]), "", "the story leaves nothing undone");
    let warned = "select count(*) from notice where kind = 'reserve_low'";
    let warned: i64 = sqlx::query_scalar(warned).fetch_one(&pool).await.unwrap();
    assert!(warned > 0, "the story's reserve is below its mark all the time");
    let complaint = fenqi.refused(&command);
    assert!(
        complaint.contains("already holds a house") && complaint.contains("name another one in DATABASE_URL"),
        "{complaint}"
    );
    sqlx::query("update credit_line set limit_fen = limit_fen + 1").execute(&pool).await.unwrap();
    assert!(fenqi.found(&["verify"]).contains("a line stands where its journal ends"));
    // Nor is the house of an older program brought up to this one's migrations on the way.
    let forget = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    sqlx::query(forget).execute(&pool).await.unwrap();
    assert!(fenqi.refused(&command).contains("already holds a house"));
    assert_eq!(database::migrated(&pool).await.unwrap(), Migrated::Partly);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_real_client_and_purchase_can_be_used_and_the_first_of_them_live_through_the_story(pool: PgPool) {
    let data = golden::shared().join("data");
    let [clients, purchases] = ["credit_clients.csv", "installment_purchases.csv"].map(|file| data.join(file));
    let whole = input::Files { clients: Some(clients.clone()), purchases: Some(purchases.clone()), skip_bad: false };
    let read = Input::read(&whole).unwrap();
    assert_eq!((read.clients.len(), read.purchases.len()), (30_000, 76_795));
    let most = read.purchases.iter().map(|purchase| purchase.periods).max();
    assert_eq!(most, Some(24));

    let files = Files::of("real", [(clients, 60), (purchases, 240)]);
    let fenqi = Program::on(&pool).await;
    let command = files.demo_of("60");
    let said = fenqi.done(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert_told(&said, &pool).await;
    // Some of what was really bought is sold by no product, and some of these people really paid nothing in their second month.
    for happened in [
        "select count(*) from purchase where status = 'refused'",
        "select count(*) from withholding where status = 'succeeded'",
        "select count(*) from withholding where failure = 'insufficient_funds'",
    ] {
        let count: i64 = sqlx::query_scalar(happened).fetch_one(&pool).await.unwrap();
        assert!(count > 0, "{happened}: none\n{said}");
    }
}

/// Orders to withhold with how often their result was called back and believed, and how often after it was known already.
const CALLED_BACK: &str = "
    select w.withholding_id, count(*) as times, count(*) filter (where c.called_at > w.final_at) as late,
           (select count(*) from repayment r where r.line_id = w.line_id and r.source_reference = w.withholding_id::text) as booked
    from withholding w join partner_call c on right(c.call_key, 32) = replace(w.withholding_id::text, '-', '')
    where c.direction = 'in' and c.operation = 'callback' and c.outcome = 'ok'
    group by w.withholding_id, w.line_id, w.final_at";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn answers_that_come_late_or_twice_are_resolved_and_booked_once(pool: PgPool) {
    let files = Files::new("faults", 60, 240);
    let read = |file: &str| Some(files.0.join(file));
    let files = input::Files { clients: read("clients.csv"), purchases: read("purchases.csv"), skip_bad: false };
    let Input { clients, purchases } = Input::read(&files).unwrap();
    let first_day = "2026-01-05".parse().unwrap();
    let settings = HouseSettings {
        pool: pool.clone(),
        vault: Arc::new(Vault::with_master([7; 32])),
        calendar: WorkingCalendar::shipped(),
        risk: Arc::new(RiskHook::shipped()),
        today: first_day,
        seed: 1,
        site: Site::at("http://127.0.0.1"),
    };
    let house = House::open(settings).await.unwrap();
    story::set_faults(&house.world);
    // What every story has, of so many more orders that this short one has some of each.
    let channel = FaultShares {
        timeout_after: 20,
        timeout_before: 20,
        duplicate_callback: 300,
        late_answer: 500,
        ..FaultShares::default()
    };
    house.world.set_faults("withholding_a", channel);
    house.world.set_faults("withholding_b", channel);
    house.world.set_faults("payout", FaultShares { timeout_after: 500, ..FaultShares::default() });
    let script = Script { clients, purchases, first_day, days: 60, seed: 1 };
    story::live(&house.app, &house.world, &script).await.unwrap();
    let report = Report::gather(&house.app).await.unwrap();
    assert_eq!(verify(&house.app.pool).await.unwrap(), []);
    house.shut().await;

    let said = report.to_string();
    assert_told(&said, &pool).await;
    let asked: i64 =
        sqlx::query_scalar("select count(*) from withholding where queries > 0 and status in ('succeeded', 'failed')")
            .fetch_one(&pool)
            .await
            .unwrap();
    let withheld = report.unknown_withholdings;
    assert!(asked > 0 && withheld.resolved >= asked, "{asked} were asked about:\n{said}");
    // Every other call to pay out goes unanswered, and what became of it is asked the same morning.
    let unheard = "select count(distinct payout_id) from payout_event where status = 'unknown'";
    let unheard: i64 = sqlx::query_scalar(unheard).fetch_one(&pool).await.unwrap();
    let paid = report.unknown_payouts;
    assert!(unheard > 0 && (paid.resolved, paid.open) == (unheard, 0), "{unheard} were unknown:\n{said}");
    let heard = format!(
        "select count(*) filter (where times > 1), count(*) filter (where late > 0), count(*) filter (where booked = 1),
                count(*) filter (where booked > 1) from ({CALLED_BACK}) heard"
    );
    let heard: (i64, i64, i64, i64) = sqlx::query_as(AssertSqlSafe(heard)).fetch_one(&pool).await.unwrap();
    let (twice, late, booked, booked_twice) = heard;
    assert!(twice > 0 && late > 0 && booked > 0 && booked_twice == 0, "{heard:?}");
    let refused: i64 =
        sqlx::query_scalar("select count(*) from purchase where status = 'refused'").fetch_one(&pool).await.unwrap();
    assert!(refused > 0, "nothing was refused in two months:\n{said}");
    let late = part(&said, "Unpaid principal by days past due");
    assert!(late.lines().any(|line| line.starts_with("  1-30 ")), "nothing is late after two months:\n{said}");
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
    assert_eq!(complaint.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    command.push("--skip-bad".to_owned());
    fenqi.done(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = std::fs::read_to_string(files.path("purchases.csv.bad.csv")).unwrap();
    assert!(kept.contains("feedfacefeedface,1,three,5000"), "{kept}");

    // What is wrong with other arguments is said by what is allowed, too.
    let folder = files.path("");
    let unread = fenqi.refused(&["demo", "--no-serve", "--clients", &folder]);
    assert!(unread.contains(&format!("cannot read {folder}: Is a directory")), "{unread}");
    for (arguments, allowed) in [
        (&["demo", "--days", "-1"][..], "-1 is not in 1..=360"),
        (&["demo", "--days", "0"][..], "0 is not in 1..=360"),
        (&["demo", "--days", "100000"][..], "100000 is not in 1..=360"),
        (&["demo", "--from", "2026-13-01"][..], "a day is written like 2026-03-02"),
        (&["funder", "open", "bank", "--name", "Bank", "--low-water-fen", "-1"][..], "-1 is not in 0..="),
        (&["demo", "--client", "people.csv"][..], "--clients"),
    ] {
        let misspelt = fenqi.misspelt(arguments);
        assert!(misspelt.contains(allowed), "{misspelt}");
    }
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
async fn a_story_that_is_interrupted_leaves_nothing_running_is_begun_again_and_served() {
    let (place, files) = (Place::new("interrupted"), Files::new("interrupted", 40, 120));
    // As much as nobody waits for.
    let command = files.demo_of("360");
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut living = place.fenqi(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while lived_until(&place).await.is_none_or(|day| day.as_str() < "2026-01-07") {
        assert!(living.try_wait().unwrap().is_none(), "the story is over");
        assert!(started.elapsed() < house::PATIENCE * 5, "the story does not go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nobody else lives in the same data meanwhile.
    let second = place.run(&["demo", "--no-serve", "--days", "1"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second.stderr).contains("another fenqi is running with the database in"), "{}", said(&second.stderr));
    signal(living.id(), closed_terminal());
    assert_eq!(living.wait().unwrap().code(), Some(130));
    assert_eq!(place.postmaster(), None, "its PostgreSQL still runs");

    // What was lived is whole, and is not gone on with.
    let verified = place.run(&["verify"]);
    assert!(verified.status.success(), "{}{}", said(&verified.stdout), said(&verified.stderr));
    let again = place.run(&command);
    assert_eq!(again.status.code(), Some(1));
    let complaint = said(&again.stderr);
    assert!(complaint.contains("already holds a house (its business day is 2026-"), "{complaint}");
    let fenqi = env!("CARGO_BIN_EXE_fenqi");
    for command in [format!("`{fenqi} demo --fresh`"), format!("`{fenqi} serve`")] {
        assert!(complaint.contains(&command), "{complaint}");
    }
    // Begun again it comes to its end, serves, and leaves nothing running when it is told to stop.
    let fresh = files.demo().into_iter().filter(|word| word != "--no-serve").chain(["--fresh".to_owned()]);
    let fresh: Vec<String> = fresh.collect();
    let mut command = place.fenqi(&fresh.iter().map(String::as_str).collect::<Vec<_>>());
    let log = place.0.join("log");
    command.env("FENQI_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    let mut serving = command.spawn().unwrap();
    let mut told = BufReader::new(serving.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line == "verify: every identity holds."));
    let served = told.next().unwrap();
    let address = served.strip_prefix("Serving on ").and_then(|rest| rest.strip_suffix(" until Ctrl-C.")).unwrap();
    let client = reqwest::Client::builder().build().unwrap();
    let shown =
        [("/", "Harbour Bank"), ("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "fenqi_reserve_held_fen")];
    for (path, shown) in shown {
        let answer = client.get(format!("{address}{path}")).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success() && text.contains(shown), "{path}: {status} {text}");
    }
    signal(serving.id(), "-INT");
    assert_eq!(serving.wait().unwrap().code(), Some(130));
    assert_eq!(place.postmaster(), None);
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(!logged.contains("a job failed"), "{logged}");
}
