//! Lists of the program that end at five hundred rows: where there are more, they say so.

use sqlx::PgPool;

use super::application_command::referred;
use super::house_command::Program;
use crate::{book, house};

/// The text ends with `told`, below five hundred rows that begin with `prefix`; as JSON there is nothing but rows.
fn assert_cut(fenqi: &Program, noun: &str, prefix: &str, told: &str) {
    let text = fenqi.done(&[noun, "list"]);
    assert_eq!(text.lines().filter(|line| line.starts_with(prefix)).count(), 500, "{noun}");
    assert_eq!(text.lines().last(), Some(told), "{noun}");
    let json = fenqi.done(&[noun, "list", "--json"]);
    assert_eq!(json.lines().filter(|line| line.starts_with('{')).count(), 500, "{noun}");
    assert_eq!(json.lines().count(), 500, "{noun}");
}

const OLDER: &str = "there are older ones, which are not listed";

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
    let newer = "there are newer ones, which are listed once these are decided";
    assert_cut(&Program::on(&pool).await, "application", "app_", newer);
}
