//! SQL that fills a scratch database with a book to measure on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::id::{FunderId, LineId, MerchantId, ProductId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// What every line of a benchmark's book shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookOf {
    pub funder_id: FunderId,
    pub product_id: ProductId,
    pub day: BusinessDay,
    pub at: DateTime<Utc>,
}

/// Opens `count` lines of `limit_fen` with their first journal entry.
pub(super) async fn insert_lines(
    connection: &mut PgConnection,
    book: BookOf,
    count: i32,
    limit_fen: i64,
) -> sqlx::Result<Vec<LineId>> {
    sqlx::query_scalar!(
        r#"with opened as (
               insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                        statement_day, due_day, expires_on, last_entry_no, opened_at)
               select gen_random_uuid(), gen_random_uuid(), $1, $2, 1, 'A', 'active', $4, 1 + number % 28, 1 + (number + 20) % 28,
                      $5::date + 720, 1, $6
               from generate_series(1, $3) as number
               returning line_id, limit_fen
           ), journaled as (
               insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                       limit_after_fen, business_day, occurred_at)
               select line_id, 1, 'opened', 0, limit_fen, 0, limit_fen, $5, $6 from opened
           )
           select line_id as "line_id: LineId" from opened"#,
        book.funder_id.uuid(),
        book.product_id.uuid(),
        count,
        limit_fen,
        book.day.date(),
        book.at,
    )
    .fetch_all(connection)
    .await
}

/// Accepts `count` merchants whose credit codes begin with the number of their book.
pub(super) async fn insert_merchants(
    connection: &mut PgConnection,
    count: i32,
    book_number: i32,
    at: DateTime<Utc>,
) -> sqlx::Result<Vec<MerchantId>> {
    sqlx::query_scalar!(
        r#"insert into merchant (merchant_id, name, credit_code, category, settlement_account_name,
                                 settlement_account_sealed, settlement_account_tail, status, discount_rate,
                                 discount_returned_on_refund, created_at, decided_at)
           select gen_random_uuid(), 'Merchant ' || number, 'BENCH' || $3::int || '-' || number, 'electronics', 'Merchant ' || number, '\x00', '0000',
                  'active', 0.006, true, $2, $2
           from generate_series(1, $1) as number
           returning merchant_id as "merchant_id: MerchantId""#,
        count,
        at,
        book_number,
    )
    .fetch_all(connection)
    .await
}

/// Signs the borrowers of lines in, each under the SHA-256 of the token that stands at the line's place, with a card to pay by.
pub(super) async fn sign_in(
    connection: &mut PgConnection,
    lines: &[LineId],
    token_hashes: &[Vec<u8>],
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let line_ids: Vec<Uuid> = lines.iter().map(|line_id| line_id.uuid()).collect();
    sqlx::query!(
        "with person as (
             select l.borrower_id, m.token_hash
             from unnest($1::uuid[], $2::bytea[]) as m(line_id, token_hash) join credit_line l on l.line_id = m.line_id
         ), card as (
             insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                    agreement_number, agreement_signed_at, status, is_default)
             select borrower_id, gen_random_uuid(), '\\x00', token_hash, '0000', '\\x00', 'bench', $3, 'bound', true from person
         )
         insert into session (token_hash, kind, session_id, subject_id, device, created_at, last_seen_at, expires_at)
         select token_hash, 'borrower', gen_random_uuid(), borrower_id, 'bench', $3, $3, $3 + interval '7 days' from person",
        &line_ids,
        token_hashes,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Leaves a bulk load as a running house would find it: vacuumed, with statistics, its log written.
pub(super) async fn settle_down(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("vacuum analyze").execute(&mut *connection).await?;
    sqlx::query!("checkpoint").execute(connection).await?;
    Ok(())
}

/// Loans that a close is to bill.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoansDue {
    pub loans: i64,
    pub loans_per_line: i32,
    /// The statement day on which their first installment is billed.
    pub statement_on: BusinessDay,
    /// One line in so many owes an installment of the month before, billed and overdue.
    pub overdue_every: i64,
}

// `bench_line` is a temporary table that no migration knows, so these statements are checked when they run.

/// Opens lines with two loans of twelve installments each. What they owe is what their schedules say; overdue lines carry
/// an open bill of the month before. Line ids are random, so that ranges of accounts are of equal size.
pub(super) async fn insert_loans_due(connection: &mut PgConnection, book: BookOf, due: LoansDue) -> sqlx::Result<()> {
    sqlx::query("create temporary table if not exists bench_line (line_id uuid, number bigint, is_overdue boolean)")
        .execute(&mut *connection)
        .await?;
    sqlx::query("truncate bench_line").execute(&mut *connection).await?;
    sqlx::query(
        "insert into bench_line
         select gen_random_uuid(), number, number % $2 = 0 from generate_series(1, $1::bigint / $3) as number",
    )
    .bind(due.loans)
    .bind(due.overdue_every)
    .bind(i64::from(due.loans_per_line))
    .execute(&mut *connection)
    .await?;
    insert_lines_of_bench(connection, book, due).await?;
    insert_loans_of_bench(connection, book, due).await?;
    insert_schedules_of_bench(connection, due).await?;
    insert_overdue_bills(connection, due).await
}

async fn insert_lines_of_bench(connection: &mut PgConnection, book: BookOf, due: LoansDue) -> sqlx::Result<()> {
    let used_fen = i64::from(due.loans_per_line) * 120_000;
    sqlx::query(
        "with opened as (
             insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                      used_fen, statement_day, due_day, expires_on, last_entry_no, opened_at)
             select line_id, line_id, $1, $2, 1, 'A', 'active', 2000000, $5, extract(day from $3::date)::smallint,
                    extract(day from $3::date + 20)::smallint, $3::date + 700, 1, $4
             from bench_line order by line_id
             returning line_id)
         insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                agreement_number, agreement_signed_at, status, is_default)
         select line_id, gen_random_uuid(), '\\x00', decode(replace(line_id::text, '-', ''), 'hex'), '0000', '\\x00',
                'AG-' || line_id, $4, 'bound', true
         from opened",
    )
    .bind(book.funder_id)
    .bind(book.product_id)
    .bind(due.statement_on)
    .bind(book.at)
    .bind(used_fen)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen, limit_after_fen,
                                 business_day, occurred_at)
         select line_id, 1, 'opened', $3, 2000000, $3, 2000000, $1, $2 from bench_line",
    )
    .bind(book.day)
    .bind(book.at)
    .bind(used_fen)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_loans_of_bench(connection: &mut PgConnection, book: BookOf, due: LoansDue) -> sqlx::Result<()> {
    sqlx::query(
        "insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade, periods,
                           annual_rate, principal_fen, status, statement_day, first_statement_on, last_statement_on, made_on)
         select gen_random_uuid(), line_id, gen_random_uuid(), $1, $1, $2, 1, 'A', 12, 0.086, 120000, 'open',
                extract(day from $3::date)::smallint, first.statement_on, (first.statement_on + interval '11 months')::date,
                first.statement_on - 10
         from bench_line
         cross join generate_series(1, $4) as nth
         cross join lateral (select case when is_overdue then ($3::date - interval '1 month')::date else $3::date end
                             as statement_on) as first
         order by line_id",
    )
    .bind(book.funder_id)
    .bind(book.product_id)
    .bind(due.statement_on)
    .bind(due.loans_per_line)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_schedules_of_bench(connection: &mut PgConnection, due: LoansDue) -> sqlx::Result<()> {
    sqlx::query(
        "insert into schedule (loan_id, line_id, version, reason, due_on, principal_fen, interest_fen, fee_fen, business_day)
         select l.loan_id, l.line_id, 1, 'made',
                (select array_agg((l.first_statement_on + 20 + make_interval(months => k))::date order by k)
                 from generate_series(0, 11) as k),
                array_fill(10000::bigint, array[12]), array_fill(450::bigint, array[12]), array_fill(0::bigint, array[12]),
                $1::date - 400
         from bench_line b join loan l on l.line_id = b.line_id",
    )
    .bind(due.statement_on)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_overdue_bills(connection: &mut PgConnection, due: LoansDue) -> sqlx::Result<()> {
    sqlx::query(
        "with cut as (
             insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
             select l.line_id, l.loan_id, 1, l.first_statement_on + 20, 10000, 450, 0
             from bench_line b join loan l on l.line_id = b.line_id
             where b.is_overdue and l.first_statement_on < $1
             returning line_id, due_on, principal_fen, interest_fen)
         insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status)
         select line_id, due_on, due_on - 20, sum(principal_fen), sum(interest_fen), 0, 'open' from cut group by line_id, due_on",
    )
    .bind(due.statement_on)
    .execute(connection)
    .await?;
    Ok(())
}

/// Rows of the tables that a close writes for a day.
pub(super) async fn count_written(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select (select count(*) from bill where statement_on = $1)
                + (select count(*) from bill_line i join bill b on b.line_id = i.line_id and b.due_on = i.due_on
                   where b.statement_on = $1)
                + (select count(*) from withholding where business_day = $1::date + 1)
                + (select count(*) from notice where business_day = $1)
                + (select count(*) from outbox where partner = 'sms'
                   and created_at >= (select min(created_at) from notice where business_day = $1)) as "rows!""#,
        day.date()
    )
    .fetch_one(connection)
    .await
}

/// Copies the rows of `day` into tables of the same shape and indexes, by plain `insert … select` in key order on one
/// connection; returns how many. The tables must be new: see [`make_copies`].
pub(super) async fn copy_written(connection: &mut PgConnection, day: BusinessDay) -> anyhow::Result<u64> {
    let mut rows = 0;
    for statement in [
        "insert into copy_of_bill select * from bill where statement_on = $1 order by line_id",
        "insert into copy_of_bill_line select i.* from bill_line i
         join bill b on b.line_id = i.line_id and b.due_on = i.due_on where b.statement_on = $1 order by i.line_id, i.loan_id",
        "insert into copy_of_withholding select * from withholding where business_day = $1::date + 1 order by line_id",
        "insert into copy_of_notice overriding system value
         select * from notice where business_day = $1 order by notice_no",
        "insert into copy_of_outbox overriding system value
         select * from outbox where partner = 'sms' and created_at >= (select min(created_at) from notice where business_day = $1)
         order by message_no",
    ] {
        rows += sqlx::query(statement).bind(day).execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}

pub(super) async fn make_copies(connection: &mut PgConnection) -> sqlx::Result<()> {
    for statement in [
        "drop table if exists copy_of_bill, copy_of_bill_line, copy_of_withholding, copy_of_notice, copy_of_outbox",
        "create table copy_of_bill (like bill including all)",
        "create table copy_of_bill_line (like bill_line including all)",
        "create table copy_of_withholding (like withholding including all)",
        "create table copy_of_notice (like notice including all)",
        "create table copy_of_outbox (like outbox including all)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// An order that the channel is about to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingOrder {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub amount: Fen,
}

/// Marks every order as sent, as the job does before it calls the channel.
pub(super) async fn submit_orders(connection: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<Vec<PendingOrder>> {
    sqlx::query_as!(
        PendingOrder,
        r#"update withholding set status = 'submitted', submitted_at = $1, query_at = $1 where status = 'created'
           returning withholding_id as "withholding_id: WithholdingId", line_id as "line_id: LineId",
                     amount_fen as "amount: Fen""#,
        at
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn count_repayments(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from repayment"#).fetch_one(connection).await
}

/// Copies the rows that receipts made into tables of the same shape and indexes; returns how many.
pub(super) async fn copy_receipts(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let mut rows = 0;
    for statement in [
        "insert into copy_of_repayment select * from repayment order by line_id",
        "insert into copy_of_posting select * from posting where event = 'repayment' order by line_id",
        "insert into copy_of_line_entry select * from line_entry where kind = 'repayment' order by line_id",
        "insert into copy_of_outbox overriding system value select * from outbox where kind = 'repayment' order by message_no",
        "insert into copy_of_notice overriding system value select * from notice where kind = 'withheld' order by notice_no",
    ] {
        rows += sqlx::query(statement).execute(&mut *connection).await?.rows_affected();
    }
    Ok(rows)
}

pub(super) async fn make_receipt_copies(connection: &mut PgConnection) -> sqlx::Result<()> {
    for statement in [
        "create table copy_of_repayment (like repayment including all)",
        "create table copy_of_posting (like posting including all)",
        "create table copy_of_line_entry (like line_entry including all)",
        "create table copy_of_outbox (like outbox including all)",
        "create table copy_of_notice (like notice including all)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}
