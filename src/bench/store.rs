//! SQL that fills a scratch database with a book to measure on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::id::{FunderId, LineId, MerchantId, ProductId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// What all lines of a benchmark's book have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookOf {
    pub funder_id: FunderId,
    pub product_id: ProductId,
    pub day: BusinessDay,
    pub at: DateTime<Utc>,
}

/// Lines to open that owe nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdleLines {
    pub count: i32,
    pub limit: Fen,
    pub expires_on: BusinessDay,
}

/// Opens lines with their first journal entries, each with a card to withhold from.
pub(super) async fn insert_lines(
    connection: &mut PgConnection,
    book: BookOf,
    idle: IdleLines,
) -> sqlx::Result<Vec<LineId>> {
    sqlx::query_scalar!(
        r#"with opened as (
               insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                        statement_day, due_day, expires_on, last_entry_no, opened_at)
               select gen_random_uuid(), gen_random_uuid(), $1, $2, 1, 'A', 'active', $4, 1 + number % 28, 1 + (number + 20) % 28,
                      $7, 1, $6
               from generate_series(1, $3) as number
               returning line_id, borrower_id, limit_fen
           ), card as (
               insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                      agreement_number, agreement_signed_at, status, is_default)
               select borrower_id, gen_random_uuid(), '\x00', '\x00', '0000', '\x00', 'bench', $6, 'bound', true from opened
           ), journaled as (
               insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                       limit_after_fen, business_day, occurred_at)
               select line_id, 1, 'opened', 0, limit_fen, 0, limit_fen, $5, $6 from opened
           )
           select line_id as "line_id: LineId" from opened"#,
        book.funder_id.uuid(),
        book.product_id.uuid(),
        idle.count,
        idle.limit.get(),
        book.day.date(),
        book.at,
        idle.expires_on.date(),
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

/// Signs the borrowers of lines in. The session of a line is stored under the SHA-256 of the token at the line's place.
pub(super) async fn sign_in(
    connection: &mut PgConnection,
    lines: &[LineId],
    token_hashes: &[Vec<u8>],
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let line_ids: Vec<Uuid> = lines.iter().map(|line_id| line_id.uuid()).collect();
    sqlx::query!(
        "insert into session (token_hash, kind, session_id, subject_id, device, created_at, last_seen_at, expires_at)
         select m.token_hash, 'borrower', gen_random_uuid(), l.borrower_id, 'bench', $3::timestamptz, $3, $3 + interval '7 days'
         from unnest($1::uuid[], $2::bytea[]) as m(line_id, token_hash) join credit_line l on l.line_id = m.line_id",
        &line_ids,
        token_hashes,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Leaves a bulk load as a running house would find it: vacuumed, with statistics, and after a checkpoint.
pub(super) async fn settle_down(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("vacuum analyze").execute(&mut *connection).await?;
    sqlx::query!("checkpoint").execute(connection).await?;
    Ok(())
}

/// A line: what it has used, and the sum of its loans.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineNow {
    pub limit: Fen,
    pub used: Fen,
    pub lent: Fen,
}

pub(super) async fn load_line(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<LineNow> {
    sqlx::query_as!(
        LineNow,
        r#"select limit_fen as "limit: Fen", used_fen as "used: Fen",
                  (select coalesce(sum(principal_fen), 0)::bigint from loan where loan.line_id = l.line_id) as "lent!: Fen"
           from credit_line l where line_id = $1"#,
        line_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// What was billed on one statement day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Billed {
    pub bills: i64,
    /// The lines of these bills, and how many loans they belong to.
    pub bill_lines: i64,
    pub loans: i64,
}

pub(super) async fn count_billed(
    connection: &mut PgConnection,
    funder_id: FunderId,
    statement_on: BusinessDay,
) -> sqlx::Result<Billed> {
    sqlx::query_as!(
        Billed,
        r#"select count(distinct b.line_id) as "bills!", count(*) as "bill_lines!", count(distinct i.loan_id) as "loans!"
           from credit_line l join bill b on b.line_id = l.line_id and b.statement_on = $2
               join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on
           where l.funder_id = $1"#,
        funder_id.uuid(),
        statement_on.date()
    )
    .fetch_one(connection)
    .await
}

/// An order that waits for the channel's answer.
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
        r#"update withholding set status = 'submitted', submitted_at = $1, query_at = $1
           where is_pending and status = 'created'
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

/// Counts the lines whose books differ from the channel's answer: a success must have one repayment of that amount, completely
/// allocated, and one journal entry that restores the line by its principal; a failure must have neither.
pub(super) async fn count_differing(
    connection: &mut PgConnection,
    line_ids: &[Uuid],
    collected_fen: &[i64],
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from (select line_id, sum(fen)::bigint as fen from unnest($1::uuid[], $2::bigint[]) as said(line_id, fen)
                 group by line_id) said
           left join (select line_id, count(*) as times, sum(amount_fen)::bigint as fen, sum(excess_fen)::bigint as excess_fen,
                             sum((select sum(part) from unnest(principal_fen) as part))::bigint as principal_fen
                      from repayment group by line_id) got on got.line_id = said.line_id
           left join (select line_id, count(*) as times, -sum(used_change_fen)::bigint as fen
                      from line_entry where kind = 'repayment' group by line_id) restored on restored.line_id = said.line_id
           where coalesce(got.fen, 0) <> said.fen or coalesce(got.times, 0) <> case when said.fen > 0 then 1 else 0 end
              or coalesce(got.excess_fen, 0) <> 0 or coalesce(got.principal_fen, 0) <> coalesce(restored.fen, 0)
              or coalesce(restored.times, 0) <> case when coalesce(got.principal_fen, 0) > 0 then 1 else 0 end"#,
        line_ids,
        collected_fen
    )
    .fetch_one(connection)
    .await
}

/// Copies the rows that receipts have made into tables of the same shape and with the same indexes; returns how many.
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
