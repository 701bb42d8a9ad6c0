//! List commands that print a limited number of rows say so if there are more.

use sqlx::PgPool;

use super::application_command::referred;
use super::house_command::Program;
use crate::{book, house};

/// The text ends with `told`, below five hundred rows that begin with `prefix`; as JSON there is nothing but rows, and the same is said
/// beside them.
fn assert_cut(fenqi: &Program, noun: &str, prefix: &str, told: &str) {
    let text = fenqi.done(&[noun, "list"]);
    assert_eq!(text.lines().filter(|line| line.starts_with(prefix)).count(), 500, "{noun}");
    assert_eq!(text.lines().last(), Some(told), "{noun}");
    let json = fenqi.done(&[noun, "list", "--json"]);
    assert_eq!(json.lines().filter(|line| line.starts_with('{')).count(), 500, "{noun}");
    assert_eq!(json.lines().count(), 500, "{noun}");
    let remarked = fenqi.remarked(&[noun, "list", "--json"]);
    assert!(remarked.lines().any(|line| line == told), "{noun}: {remarked}");
}

const OLDER: &str = "there are older ones, which are not listed";
const NEWER: &str = "there are newer ones, which are listed once these are decided";

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_more_breaks_and_claims_than_are_listed_it_is_said_that_there_are_older_ones(pool: PgPool) {
    let _house = house::open(pool.clone(), "2026-01-05").await;
    let breaks = "insert into reconciliation_break
                      (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen, proposed, status, owner,
                       proposed_by, opened_on)
                  select gen_random_uuid(), 'alpha', '2026-01-05', 'missing_here', gen_random_uuid(), 0, 100, 'post', 'open',
                         'comparison', 'comparison', '2026-01-05'
                  from generate_series(1, 501)";
    let claims = "insert into claim
                      (line_id, claim_id, loan_id, funder_id, principal_fen, interest_fen, fee_fen, penalty_fen, asked_on,
                       asked_by)
                  select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 100, 0, 0, 0,
                         '2026-01-05', 'Li Na'
                  from generate_series(1, 501)";
    for rows in [breaks, claims] {
        sqlx::query(rows).execute(&pool).await.unwrap();
    }
    let fenqi = Program::on(&pool).await;
    assert_cut(&fenqi, "break", "brk_", OLDER);
    assert_cut(&fenqi, "claim", "claim_", OLDER);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_more_transfers_than_are_listed_it_is_said_that_there_are_older_ones(pool: PgPool) {
    let book = book::keep(house::open(pool.clone(), "2026-02-05").await).await;
    book.live_until("2026-03-02").await;
    let (fenqi, line) = (Program::on(&pool).await, book.line_id.to_string());
    fenqi.done(&["transfer", "record", &line, "--amount-fen", "104200", "--reference", "B-1", "--by", "Li Na"]);
    let more = "insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id, recorded_by)
                select 'C-' || n, line_id, repayment_id, recorded_by
                from transfer_by_bank_reference, generate_series(1, 500) n";
    sqlx::query(more).execute(&pool).await.unwrap();
    assert_cut(&fenqi, "transfer", "rep_", OLDER);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_more_applications_than_are_listed_it_is_said_that_there_are_newer_ones(pool: PgPool) {
    referred(&pool).await;
    let more = "insert into application
                    (borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts, status,
                     referral, created_at)
                select gen_random_uuid(), gen_random_uuid(), product_id, product_version, idempotency_key, request_sha256,
                       facts, status, referral, created_at
                from application, generate_series(1, 500)";
    sqlx::query(more).execute(&pool).await.unwrap();
    assert_cut(&Program::on(&pool).await, "application", "app_", NEWER);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_more_jobs_and_reserve_orders_than_are_listed_it_is_said_that_there_are_more(pool: PgPool) {
    let _house = house::open(pool.clone(), "2026-01-05").await;
    let jobs = "insert into job (job_id, kind, unique_key, status, run_at, created_at)
                select gen_random_uuid(), 'daily_close', 'a-test-' || n, 'ready', now() + interval '1 day', now()
                from generate_series(1, 501) n";
    let orders = "with noting as (insert into funder values (gen_random_uuid(), 'harbour-bank', 'Harbour Bank', now())
                                  returning funder_id)
                  insert into reserve_order (order_id, funder_id, kind, amount_fen, reference, status, noted_by, noted_at)
                  select gen_random_uuid(), funder_id, 'deposit', 100, 'R-' || n, 'noted', 'treasury', now()
                  from noting, generate_series(1, 501) n";
    for rows in [jobs, orders] {
        sqlx::query(rows).execute(&pool).await.unwrap();
    }
    let fenqi = Program::on(&pool).await;
    assert_cut(&fenqi, "jobs", "job_", "there are more, which are not listed");
    assert_cut(&fenqi, "reserve", "ro_", NEWER);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn merchants_are_listed_a_hundred_at_a_time(pool: PgPool) {
    let _house = house::open(pool.clone(), "2026-01-05").await;
    let add = "insert into merchant (merchant_id, name, credit_code, category, settlement_account_name, settlement_account_sealed,
                                     settlement_account_tail, status, discount_rate, discount_returned_on_refund, created_at)
               select gen_random_uuid(), 'Shop', 'C-' || n, 'retail', 'Shop', '', '0000', $3, 0.006, false, now()
               from generate_series($1, $2) n";
    let insert = async |from: i32, to: i32, status: &str| {
        sqlx::query(add).bind(from).bind(to).bind(status).execute(&pool).await.unwrap();
    };
    let fenqi = Program::on(&pool).await;
    insert(1, 100, "submitted").await;
    insert(101, 102, "refused").await;
    let submitted = ["merchant", "list", "--status", "submitted"];
    let all = fenqi.done(&submitted);
    assert!(all.lines().count() == 100 && all.lines().all(|line| line.starts_with("mer_")), "nothing is left: {all}");

    insert(103, 103, "submitted").await;
    let first = fenqi.done(&submitted);
    let (last, told) = (first.lines().nth(99).unwrap(), first.lines().nth(100).unwrap());
    let (merchant_id, _) = last.split_once(' ').unwrap();
    assert_eq!(told, format!("there are more; the same with --after {merchant_id} lists them"));
    assert!(fenqi.remarked(&[&submitted[..], &["--json"]].concat()).lines().any(|line| line == told));
    let rest = fenqi.done(&[&submitted[..], &["--after", merchant_id]].concat());
    assert!(rest.lines().count() == 1 && rest.contains("  submitted  "), "{rest}");
}
