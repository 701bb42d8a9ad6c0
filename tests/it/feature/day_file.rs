//! Daily files are reproducible to the byte, and their sums foot to the ledger, for each day and over all days.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::task::Poll;

use fenqi::app::App;
use fenqi::base::hex::hex_encode;
use fenqi::base::id::{FunderId, LineId, LoanId, RepaymentId};
use fenqi::base::{BusinessDay, Fen};
use fenqi::day_file::actions::{Making, check_day, make_day, make_day_in_pieces};
use fenqi::day_file::row::RepaymentPartRow;
use fenqi::day_file::writer::FileWriter;
use fenqi::day_file::{DayKey, FileName, Form, jobs, store};
use fenqi::purchase::Receipt;
use fenqi::sandbox::World;
use flate2::read::GzDecoder;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use super::house_command::Program;
use crate::house;
use crate::town::{self, LineWish, Town};

const WISH: LineWish = LineWish { limit_fen: 3_000_000, statement_day: 10, due_day: 25, expires_on: "2026-02-20" };

/// The morning after the first two days, for whoever asks for nothing that takes longer.
pub const SOON: &str = "2026-01-07";
/// The morning after the first due day.
const AFTER_DUE: &str = "2026-01-26";
/// The due day's bill of the second line was paid in part, and the line is frozen for the rest.
pub const LATE: &str = "2026-02-05";

/// Two months in which everything happens that a day's files tell: loans are made, voided, repaid, refunded and paid late; a
/// line is frozen, released and closed; money comes and goes.
pub async fn lived_in(pool: PgPool) -> Town {
    let (town, world, lines, bought) = begin(pool, LATE).await;
    let agreement = format!("AG-{}", lines[1].uuid());
    fenqi::sandbox::world::lock(&world.withholding).set_balance(&agreement, Fen::new(10_000_000));
    town.refund(&bought[0], 100_000, "r-1").await;
    town.live_until("2026-03-03").await;
    jobs::make_files(&town.app).await.unwrap();
    town.assert_whole("before the files").await;
    town
}

/// The first of these weeks, for whoever looks at one of their days, until [`SOON`] or the morning of a later day that is
/// not after [`LATE`].
pub async fn begun(pool: PgPool, until: &str) -> Town {
    let (town, ..) = begin(pool, until).await;
    jobs::make_files(&town.app).await.unwrap();
    town
}

/// The same, with the world around it, its lines, and what was bought first.
async fn begin(pool: PgPool, until: &str) -> (Town, Arc<World>, Vec<LineId>, Vec<Receipt>) {
    let (app, world) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    let lines = town.open_lines(4, WISH).await;
    let wishes = vec![
        town.wish(lines[0], "p-0", 120_000, ("harbour-standard", 3)),
        town.wish(lines[1], "p-1", 90_000, ("harbour-free", 3)),
        town.wish(lines[2], "p-2", 60_000, ("harbour-shared-fee", 6)),
        town.wish(lines[0], "p-3", 50_000, ("harbour-standard", 6)),
    ];
    let bought = town.buy(wishes).await;
    let _ = fenqi::purchase::actions::void(&town.app, bought[3].purchase_id).await.unwrap();
    town.live_until(SOON).await;
    town.refund(&bought[2], 20_000, "r-0").await;
    town.buy(vec![town.wish(lines[0], "p-4", 80_000, ("harbour-standard", 12))]).await;
    let agreement = format!("AG-{}", lines[1].uuid());
    fenqi::sandbox::world::lock(&world.withholding).set_balance(&agreement, Fen::new(10_000));
    town.live_until(until).await;
    (town, world, lines, bought)
}

fn key(town: &Town, day: BusinessDay) -> DayKey {
    DayKey { funder_id: town.funder_id, funder_code: "harbour-bank".to_owned(), day }
}

async fn days(town: &Town) -> Vec<BusinessDay> {
    sqlx::query_scalar("select business_day from funder_day order by business_day")
        .fetch_all(&town.app.pool)
        .await
        .unwrap()
}

/// Every file of a day by its name, as its bytes.
async fn bytes(app: &App, funder_id: FunderId, day: BusinessDay) -> BTreeMap<String, Vec<u8>> {
    let chunks: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "select name, content from funder_day_chunk where funder_id = $1 and business_day = $2 order by name, chunk_no",
    )
    .bind(funder_id)
    .bind(day)
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, content) in chunks {
        files.entry(name).or_default().extend(content);
    }
    files
}

async fn manifest(town: &Town, day: BusinessDay) -> Value {
    let made = store::find_day(&mut town.app.pool.acquire().await.unwrap(), town.funder_id, day).await.unwrap();
    serde_json::from_str(&made.unwrap().manifest.unwrap()).unwrap()
}

/// As if none had been made of any day.
async fn forget_files(town: &Town) {
    for table in ["funder_day", "funder_day_file", "funder_day_chunk"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("truncate {table}"))).execute(&town.app.pool).await.unwrap();
    }
}

pub fn unpack(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// The rows of a file as name and value, both as text.
pub fn rows(name: FileName, bytes: &[u8]) -> Vec<Vec<(String, String)>> {
    let text = unpack(bytes);
    match name.form {
        Form::Csv => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let heading = reader.headers().unwrap().clone();
            let named =
                |row: csv::StringRecord| heading.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect();
            reader.records().map(|row| named(row.unwrap())).collect()
        }
        Form::JsonLines => text
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                let shown = |value: &Value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                // In the order of the columns as the line has them.
                let mut fields: Vec<(String, String)> =
                    row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), shown(value))).collect();
                fields.sort_by_key(|(name, _)| line.find(&format!("\"{name}\":")).unwrap());
                fields
            })
            .collect(),
    }
}

async fn files_are_the_same_bytes_whenever_and_wherever_they_are_made(town: &Town) {
    let days = days(town).await;
    assert_eq!(days.len(), 57);
    let mut first = Vec::new();
    for day in &days {
        first.push((bytes(&town.app, town.funder_id, *day).await, manifest(town, *day).await));
        assert_eq!(make_day(&town.app, &key(town, *day)).await.unwrap(), Making::There);
    }
    // As they were made on their mornings; now all at once, by a node of its own, with weeks lived since.
    forget_files(town).await;
    let node = house::with_partners(&town.app, &[]);
    let mut told = 0;
    for (day, (files, told_before)) in days.iter().zip(&first) {
        assert_eq!(make_day(&node, &key(town, *day)).await.unwrap(), Making::Made);
        let again = bytes(&node, town.funder_id, *day).await;
        assert_eq!((again.len(), again == *files), (20, true), "{day}");
        assert_eq!(manifest(town, *day).await, *told_before, "{day}");
        assert!(check_day(&node, &key(town, *day)).await.unwrap().is_empty(), "{day}");
        told += files.values().map(Vec::len).sum::<usize>();
    }
    assert!(told > 0);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_is_made_once_and_in_the_end_whoever_is_dropped_or_makes_it_too(pool: PgPool) {
    let town = begun(pool, AFTER_DUE).await;
    two_nodes_make_a_day_once(&town).await;
    a_making_stands_by_for_rows_that_are_long_in_coming(&town).await;
    a_day_that_is_dropped_anywhere_is_made_in_the_end(&town).await;
}

async fn two_nodes_make_a_day_once(town: &Town) {
    let day: BusinessDay = "2026-01-25".parse().unwrap();
    let files = bytes(&town.app, town.funder_id, day).await;
    forget_files(town).await;
    let (node, key) = (house::with_partners(&town.app, &[]), key(town, day));
    let (one, other) = tokio::join!(make_day(&town.app, &key), make_day(&node, &key));
    let ways = [one.unwrap(), other.unwrap()];
    assert!(ways.contains(&Making::Made), "{ways:?}");
    assert_eq!(bytes(&town.app, town.funder_id, day).await, files);
}

async fn a_day_that_is_dropped_anywhere_is_made_in_the_end(town: &Town) {
    let day: BusinessDay = "2026-01-25".parse().unwrap();
    let (files, told) = (bytes(&town.app, town.funder_id, day).await, manifest(town, day).await);
    forget_files(town).await;
    // Each try gets a little further before it is dropped, as a process that dies does; what a table wrote stays whole.
    let key = key(town, day);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut making = Box::pin(make_day_in_pieces(&town.app, &key, 1));
        let mut polls = 0;
        let ended = std::future::poll_fn(|context| {
            polls += 1;
            match making.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done.unwrap())),
                Poll::Pending if polls > tries * 2 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match ended.await {
            // What was dropped last may not have let go yet.
            None | Some(Making::Elsewhere) => {}
            // All is there where it was dropped between its last commit and its answer.
            Some(Making::Made | Making::There) => break,
        }
    }
    assert!(tries > 3, "it was dropped {tries} times");
    assert_eq!(bytes(&town.app, town.funder_id, day).await, files);
    assert_eq!(manifest(town, day).await, told);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_files_of_all_days_are_what_the_house_has_lived_and_the_same_whoever_makes_them(pool: PgPool) {
    let town = lived_in(pool).await;
    every_day_foots_to_the_ledger_and_all_days_are_the_books(&town).await;
    lines_and_loans_stand_in_the_files_as_they_stood_that_evening(&town).await;
    files_are_the_same_bytes_whenever_and_wherever_they_are_made(&town).await;
}

async fn every_day_foots_to_the_ledger_and_all_days_are_the_books(town: &Town) {
    let mut over_all: BTreeMap<String, i64> = BTreeMap::new();
    let mut closing: BTreeMap<String, i64> = BTreeMap::new();
    let days = days(town).await;
    assert_eq!(days.len(), 57);
    for day in days {
        let (files, told) = (bytes(&town.app, town.funder_id, day).await, manifest(town, day).await);
        let figures = told["figures"].as_object().unwrap();
        for name in FileName::all() {
            let rows = rows(name, &files[&name.to_string()]);
            let entry = told["files"].as_array().unwrap().iter().find(|file| file["name"] == name.to_string()).unwrap();
            assert_eq!(entry["rows"], rows.len(), "{day} {name}");
            let columns: Vec<&str> =
                entry["columns"].as_array().unwrap().iter().map(|column| column.as_str().unwrap()).collect();
            let table = name.table.name();
            let mut sums: BTreeMap<String, i64> = BTreeMap::new();
            for row in &rows {
                assert!(row.iter().map(|(column, _)| column.as_str()).eq(columns.iter().copied()), "{name} {row:?}");
                for (column, value) in row.iter().filter(|(column, _)| column.ends_with("_fen")) {
                    *sums.entry(format!("{table}.{column}")).or_default() += value.parse::<i64>().unwrap();
                }
            }
            for (figure, sum) in sums {
                assert_eq!(figures[&figure], sum, "{day} {figure}");
                if name.form == Form::Csv {
                    *over_all.entry(figure).or_default() += sum;
                }
            }
        }
        let footings = told["footings"].as_array().unwrap();
        assert!(!footings.is_empty(), "{day} foots to nothing");
        // Nobody has claimed on a guarantor: the day is what it was before the books knew of claims.
        assert!(!told.to_string().contains("claims_received"), "{day}");
        for footing in footings {
            assert_eq!(footing["left_fen"], footing["right_fen"], "{day} {footing}");
        }
        for (figure, fen) in figures.iter().filter(|(figure, _)| figure.ends_with(".opening_fen")) {
            let account = figure.trim_end_matches(".opening_fen");
            assert_eq!(closing.get(account).copied().unwrap_or_default(), fen.as_i64().unwrap(), "{day} {account}");
            closing.insert(account.to_owned(), figures[&format!("{account}.closing_fen")].as_i64().unwrap());
        }
    }
    // Nothing was posted since the last close.
    let all = |figure: &str| over_all.get(figure).copied().unwrap_or_default();
    let stands = async |query: &'static str| town.fen(query).await;
    let outstanding =
        all("loans.made_fen") - all("loans.voided_fen") - all("loans.repaid_fen") - all("loans.returned_fen");
    let owed = "select coalesce(sum(principal_fen - principal_paid_fen - principal_returned_fen), 0)::bigint from loan
                where status <> 'voided'";
    assert_eq!(outstanding, stands(owed).await);
    assert_eq!(closing["book.loan_principal"], outstanding);
    assert_eq!(all("lines.used_change_fen"), stands("select sum(used_fen)::bigint from credit_line").await);
    assert_eq!(all("lines.limit_change_fen"), stands("select sum(limit_fen)::bigint from credit_line").await);
    assert_eq!(all("repayments.amount_fen"), stands("select sum(amount_fen)::bigint from repayment").await);
    assert_eq!(all("refunds.amount_fen"), stands("select sum(amount_fen)::bigint from refund").await);
    assert_eq!(all("reserve.available_change_fen"), stands("select available_fen from reserve").await);
    assert_eq!(all("reserve.held_change_fen"), stands("select held_fen from reserve").await);
    let remitted = "select sum(collected_fen + subsidy_fen)::bigint from remittance";
    let parts =
        ["principal", "interest", "fee", "penalty", "subsidy"].map(|part| all(&format!("remittances.{part}_fen")));
    assert_eq!(parts.iter().sum::<i64>(), stands(remitted).await);
    assert!(all("loans.voided_fen") > 0 && all("loans.returned_fen") > 0 && all("repayments.penalty_fen") > 0);
}

async fn lines_and_loans_stand_in_the_files_as_they_stood_that_evening(town: &Town) {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    let mut statuses = Vec::new();
    let mut loans: BTreeMap<String, i64> = BTreeMap::new();
    for day in days(town).await {
        let files = bytes(&town.app, town.funder_id, day).await;
        let read = |name: &str| rows(name.parse().unwrap(), &files[name]);
        for row in read("lines.jsonl.gz") {
            let field = |name: &str| row.iter().find(|(column, _)| column == name).unwrap().1.clone();
            statuses.push(field("status"));
            lines.insert(field("line_id"), format!("{} {} {}", field("status"), field("limit_fen"), field("used_fen")));
        }
        for row in read("loans.csv.gz") {
            let field = |name: &str| row.iter().find(|(column, _)| column == name).unwrap().1.clone();
            let before = loans.get(&field("loan_id")).copied().unwrap_or_default();
            let fen = |name: &str| field(name).parse::<i64>().unwrap();
            let moved = fen("made_fen") - fen("voided_fen") - fen("repaid_fen") - fen("returned_fen");
            assert_eq!(fen("outstanding_fen"), before + moved, "{day} {row:?}");
            loans.insert(field("loan_id"), fen("outstanding_fen"));
        }
    }
    assert!(["active", "frozen", "closed"].iter().all(|status| statuses.iter().any(|found| found == status)));
    let stand: Vec<(fenqi::base::id::LineId, String)> = sqlx::query_as(
        "select line_id, status || ' ' || limit_fen || ' ' || used_fen from credit_line order by line_id",
    )
    .fetch_all(&town.app.pool)
    .await
    .unwrap();
    let stand: BTreeMap<String, String> = stand.into_iter().map(|(id, text)| (id.to_string(), text)).collect();
    assert_eq!(lines, stand);
    assert_eq!(loans.values().sum::<i64>(), town.fen("select sum(used_fen)::bigint from credit_line").await);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_stays_as_it_was_signed_and_what_was_tampered_with_is_found(pool: PgPool) {
    let town = begun(pool, AFTER_DUE).await;
    a_day_that_was_signed_before_a_table_was_told_stays_as_it_was(&town).await;
    forget_files(&town).await;
    assert_eq!(make_day(&town.app, &key(&town, "2026-01-25".parse().unwrap())).await.unwrap(), Making::Made);
    what_was_tampered_with_is_found(&town).await;
}

async fn what_was_tampered_with_is_found(town: &Town) {
    let key = key(town, "2026-01-25".parse().unwrap());
    let check = async || check_day(&town.app, &key).await.unwrap();
    let run = async |statement: &'static str| {
        assert_eq!(sqlx::query(statement).execute(&town.app.pool).await.unwrap().rows_affected(), 1, "{statement}");
    };
    assert!(check().await.is_empty());
    run("update funder_day_chunk set content = set_byte(content, 30, 255 - get_byte(content, 30))
         where business_day = '2026-01-25' and name = 'repayments.csv.gz'")
    .await;
    assert_eq!(check().await, ["the bytes of repayments.csv.gz are not those that were signed"]);
    // Bytes that are gone are made again, and are the same.
    sqlx::query("delete from funder_day_chunk where business_day = '2026-01-25'")
        .execute(&town.app.pool)
        .await
        .unwrap();
    assert_eq!(make_day(&town.app, &key).await.unwrap(), Making::Made);
    assert!(check().await.is_empty());
    // A row of the books that is changed behind everybody's back.
    run("update repayment set excess_fen = excess_fen + 1, amount_fen = amount_fen + 1
         where repayment_id = (select min(repayment_id::text)::uuid from repayment where business_day = '2026-01-25')")
    .await;
    let wrong = check().await;
    assert_eq!(wrong.len(), 2, "both forms of one table: {wrong:?}");
    run("update repayment set excess_fen = excess_fen - 1, amount_fen = amount_fen - 1
         where repayment_id = (select min(repayment_id::text)::uuid from repayment where business_day = '2026-01-25')")
    .await;
    // A manifest that says something else is seen by whoever verifies the house.
    run("update funder_day set manifest = replace(manifest, '\"repayments.amount_fen\":', '\"repayments.amount_fen\":1')
         where business_day = '2026-01-25'")
    .await;
    let found = fenqi::verify::verify(&town.app.pool).await.unwrap();
    assert!(found.iter().any(|finding| finding.identity.contains("manifest")), "{found:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_wrong_with_the_files_of_one_funder_is_told_as_its_own_and_keeps_no_other_waiting(pool: PgPool) {
    let (app, _) = house::open_in_world(pool, "2026-01-05").await;
    let town = town::found(app, 10_000_000).await;
    town.close_today().await;
    jobs::make_files(&town.app).await.unwrap();
    // It was not there on that day.
    fenqi::funder::open_funder(&town.app, "a-bank", "A Bank").await.unwrap();
    let fenqi = Program::on(&town.app.pool).await;
    let told = fenqi.found(&["files", "check", "--day", "2026-01-05"]);
    assert_eq!(
        told,
        "a-bank 2026-01-05: not checked: the files of this day are not made yet\nharbour-bank 2026-01-05: the same bytes\n"
    );
    for damage in [
        "update funder_day_file set rows = rows + 1 where name = 'loans.csv.gz'",
        "delete from funder_day_chunk where name = 'loans.csv.gz'",
        "update funder_day set made_at = null, manifest = null, manifest_sha256 = null, signatures = null",
    ] {
        assert_eq!(sqlx::query(damage).execute(&town.app.pool).await.unwrap().rows_affected(), 1, "{damage}");
    }
    let failed = jobs::make_files(&town.app).await.unwrap_err();
    let why = "loans.csv.gz of 2026-01-05 is not what it was when it was signed";
    assert_eq!(format!("{failed:#}"), format!("the files of 2026-01-05 for harbour-bank cannot be made: {why}"));
    let told = fenqi.found(&["files", "make", "--day", "2026-01-05"]);
    assert_eq!(told, format!("a-bank 2026-01-05: made\nharbour-bank 2026-01-05: not made: {why}\n"));
}

async fn a_day_that_was_signed_before_a_table_was_told_stays_as_it_was(town: &Town) {
    let key = key(town, "2026-01-25".parse().unwrap());
    let run = async |statement: &'static str| {
        assert!(sqlx::query(statement).execute(&town.app.pool).await.unwrap().rows_affected() > 0, "{statement}");
    };
    run("delete from funder_day_chunk where business_day = '2026-01-25' and name like 'refund_parts.%'").await;
    run("delete from funder_day_file where business_day = '2026-01-25' and name like 'refund_parts.%'").await;
    run(r#"update funder_day
           set manifest = regexp_replace(
               regexp_replace(
                   replace(manifest, '"manifest_version":3', '"manifest_version":2'), '\{"name":"refund_parts\.[^}]*\},', '', 'g'),
               '"refund_parts\.[a-z_]+":-?[0-9]+,', '', 'g')
           where business_day = '2026-01-25'"#)
    .await;
    assert!(check_day(&town.app, &key).await.unwrap().is_empty());
    assert_eq!(make_day(&town.app, &key).await.unwrap(), Making::There);
    run("delete from funder_day_chunk where business_day = '2026-01-25'").await;
    assert_eq!(make_day(&town.app, &key).await.unwrap(), Making::Made);
    assert_eq!(bytes(&town.app, town.funder_id, key.day).await.len(), 18);
    assert!(check_day(&town.app, &key).await.unwrap().is_empty());
}

async fn a_making_stands_by_for_rows_that_are_long_in_coming(town: &Town) {
    let key = key(town, "2026-01-25".parse().unwrap());
    sqlx::query("delete from funder_day_chunk where business_day = '2026-01-25'")
        .execute(&town.app.pool)
        .await
        .unwrap();
    let options = PgConnectOptions::clone(&town.app.pool.connect_options());
    let options = options.options([("idle_in_transaction_session_timeout", "1s")]);
    let impatient = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let app = App { pool: impatient.clone(), ..town.app.clone() };
    let mut held = fenqi::database::begin(&town.app.pool).await.unwrap();
    sqlx::query("lock table loan in access exclusive mode").execute(&mut *held).await.unwrap();
    let holder: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *held).await.unwrap();
    let making = tokio::spawn(async move { make_day(&app, &key).await });
    let idle = "select exists (select from pg_stat_activity where datname = current_database() and pid <> $1
                               and state = 'idle in transaction'
                               and state_change < clock_timestamp() - interval '1500 milliseconds')";
    house::until("a making has waited for longer than others may", async || {
        assert!(!making.is_finished(), "it waits for its rows");
        sqlx::query_scalar::<_, bool>(idle).bind(holder).fetch_one(&town.app.pool).await.unwrap()
    })
    .await;
    held.rollback().await.unwrap();
    assert_eq!(making.await.unwrap().unwrap(), Making::Made);
    impatient.close().await;
}

/// What packs must give the same bytes with every build: another packer, or other instructions of a processor, would not.
#[test]
fn packed_bytes_are_those_of_our_packer() {
    let mut writer = FileWriter::new::<RepaymentPartRow>(Form::Csv).unwrap();
    for number in 0..5_000_u32 {
        let id = Uuid::from_u128(u128::from(number).pow(4) * 0x0197_f3c2_a4b0_7cc3);
        let row = RepaymentPartRow {
            repayment_id: RepaymentId::from_uuid(id),
            part: i64::from(number % 12),
            line_id: LineId::from_uuid(id),
            loan_id: LoanId::from_uuid(id),
            period: 1,
            principal_fen: Fen::new(i64::from(number) * 977),
            interest_fen: Fen::new(-5),
            fee_fen: Fen::ZERO,
            penalty_fen: Fen::ZERO,
        };
        writer.write(&row).unwrap();
    }
    let (_, digests) = writer.finish().unwrap();
    let packed = hex_encode(&digests.packed.sha256);
    let pinned = "3d0b5881370a3e372aa82697259ba757c8ce3192bc70e9cedc3e41f5f4bd415d";
    assert_eq!((digests.content.bytes, digests.packed.bytes, packed.as_str()), (659_778, 139_723, pinned));
}
