//! SQL that lends a large book in a few statements: lines, loans, schedules, purchases, postings, and bills of the past.
//!
//! `bench_line` is a temporary table that no migration knows, so the statements that read it are checked only when they run.

use sqlx::PgConnection;

use super::store::BookOf;
use crate::base::id::{LineId, MerchantId};
use crate::base::{BusinessDay, Fen};

/// The periods of every loan. `PRINCIPAL` is a loan's principal; the installment amounts are those of each period.
const PERIODS: u32 = 12;
pub(super) const PRINCIPAL: Fen = Fen::new(120_000);
const INSTALLMENT_PRINCIPAL_FEN: i64 = 10_000;
const INSTALLMENT_INTEREST_FEN: i64 = 450;
/// 0.6 % of the principal.
const DISCOUNT_FEE_FEN: i64 = 720;
const LIMIT_FEN: i64 = 2_000_000;

/// Lines of one kind, with loans that are made on the book's day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub lines: i64,
    pub loans_per_line: i32,
    pub first_statement_on: BusinessDay,
    pub first_due_on: BusinessDay,
    /// Whether the first installment was billed already; nothing of it is paid.
    pub is_billed: bool,
}

impl Part {
    pub(super) fn loans(&self) -> i64 {
        self.lines * i64::from(self.loans_per_line)
    }
}

/// Lends the loans of `parts` on the book's day, from a funder that has lent nothing before. What lines owe is the sum of their
/// schedules. Line ids are random, so that ranges of accounts have equal sizes and the parts are mixed.
pub(super) async fn insert_loans(
    connection: &mut PgConnection,
    book: BookOf,
    merchant_id: MerchantId,
    parts: &[Part],
) -> sqlx::Result<()> {
    insert_bench_lines(connection, parts).await?;
    insert_lines(connection, book).await?;
    insert_agreements(connection, book, merchant_id).await?;
    insert_schedules(connection, book).await?;
    insert_purchases(connection, book).await?;
    insert_postings(connection, book).await?;
    insert_bills_of_before(connection).await
}

async fn insert_bench_lines(connection: &mut PgConnection, parts: &[Part]) -> sqlx::Result<()> {
    sqlx::query(
        "create temporary table if not exists bench_line (
             line_id uuid primary key, loans int, first_statement_on date, due_on date[], is_billed boolean)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("truncate bench_line").execute(&mut *connection).await?;
    for part in parts {
        let due_on: Vec<_> = (0..PERIODS).map(|period| part.first_due_on.plus_months(period).date()).collect();
        sqlx::query("insert into bench_line select gen_random_uuid(), $2, $3, $4, $5 from generate_series(1, $1)")
            .bind(part.lines)
            .bind(part.loans_per_line)
            .bind(part.first_statement_on)
            .bind(due_on)
            .bind(part.is_billed)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("analyze bench_line").execute(connection).await?;
    Ok(())
}

/// Inserts active lines with a card to withhold from. Their journals open with what they owe.
async fn insert_lines(connection: &mut PgConnection, book: BookOf) -> sqlx::Result<()> {
    sqlx::query(
        "with opened as (
             insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                      used_fen, statement_day, due_day, expires_on, last_entry_no, opened_at)
             select line_id, line_id, $1, $2, 1, 'A', 'active', $4, loans * $5, extract(day from first_statement_on)::smallint,
                    extract(day from due_on[1])::smallint, first_statement_on + 700, 1, $3
             from bench_line order by line_id
             returning line_id)
         insert into bank_card (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                agreement_number, agreement_signed_at, status, is_default)
         select line_id, gen_random_uuid(), '\\x00', decode(replace(line_id::text, '-', ''), 'hex'), '0000', '\\x00',
                'AG-' || line_id, $3, 'bound', true
         from opened",
    )
    .bind(book.funder_id)
    .bind(book.product_id)
    .bind(book.at)
    .bind(LIMIT_FEN)
    .bind(PRINCIPAL)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen, limit_after_fen,
                                 business_day, occurred_at)
         select line_id, 1, 'opened', loans * $3, $4, loans * $3, $4, $1, $2 from bench_line order by line_id",
    )
    .bind(book.day)
    .bind(book.at)
    .bind(PRINCIPAL)
    .bind(LIMIT_FEN)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_agreements(connection: &mut PgConnection, book: BookOf, merchant_id: MerchantId) -> sqlx::Result<()> {
    sqlx::query(
        "insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade, periods,
                           annual_rate, principal_fen, status, statement_day, first_statement_on, last_statement_on, made_on)
         select gen_random_uuid(), line_id, gen_random_uuid(), $1, $2, $3, 1, 'A', $4, 0.086, $5, 'open',
                extract(day from first_statement_on)::smallint, first_statement_on,
                (first_statement_on + make_interval(months => $4::int - 1))::date,
                case when is_billed then first_statement_on - 10 else $6 end
         from bench_line cross join lateral generate_series(1, loans)
         order by line_id",
    )
    .bind(book.funder_id)
    .bind(merchant_id)
    .bind(book.product_id)
    .bind(PERIODS as i16)
    .bind(PRINCIPAL)
    .bind(book.day)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_schedules(connection: &mut PgConnection, book: BookOf) -> sqlx::Result<()> {
    sqlx::query(
        "insert into schedule (loan_id, line_id, version, reason, due_on, principal_fen, interest_fen, fee_fen, business_day)
         select l.loan_id, l.line_id, 1, 'made', b.due_on, array_fill($3::bigint, array[$5::int]),
                array_fill($4::bigint, array[$5::int]), array_fill(0::bigint, array[$5::int]), $2
         from loan l join bench_line b on b.line_id = l.line_id
         where l.funder_id = $1",
    )
    .bind(book.funder_id)
    .bind(book.day)
    .bind(INSTALLMENT_PRINCIPAL_FEN)
    .bind(INSTALLMENT_INTEREST_FEN)
    .bind(PERIODS as i32)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_purchases(connection: &mut PgConnection, book: BookOf) -> sqlx::Result<()> {
    sqlx::query!(
        r"insert into purchase (purchase_id, line_id, idempotency_key, request_sha256, merchant_id, product_id,
                                product_version, periods, amount_fen, status, loan_id, discount_fee_fen,
                                discount_returned_on_refund, business_day, created_at)
          select purchase_id, line_id, loan_id::text, '\x00', merchant_id, product_id, product_version, periods, principal_fen,
                 'authorised', loan_id, $2, true, $3, $4
          from loan where funder_id = $1",
        book.funder_id.uuid(),
        DISCOUNT_FEE_FEN,
        book.day.date(),
        book.at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts what [`crate::purchase::posting::purchase`] would post for each.
async fn insert_postings(connection: &mut PgConnection, book: BookOf) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into posting (posting_id, line_id, funder_id, event, source_id, debit, credit, amount_fen, business_day, posted_at)
         select gen_random_uuid(), line_id, funder_id, 'purchase', purchase_id, array[102, 201]::smallint[],
                array[103, 202]::smallint[], array[principal_fen, principal_fen], $2, $3
         from loan where funder_id = $1",
        book.funder_id.uuid(),
        book.day.date(),
        book.at
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_bills_of_before(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "with cut as (
             insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
             select l.line_id, l.loan_id, 1, b.due_on[1], $1, $2, 0
             from bench_line b join loan l on l.line_id = b.line_id
             where b.is_billed
             returning line_id, due_on, principal_fen, interest_fen)
         insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status)
         select cut.line_id, cut.due_on, b.first_statement_on, sum(cut.principal_fen), sum(cut.interest_fen), 0, 'open'
         from cut join bench_line b on b.line_id = cut.line_id
         group by cut.line_id, cut.due_on, b.first_statement_on",
    )
    .bind(INSTALLMENT_PRINCIPAL_FEN)
    .bind(INSTALLMENT_INTEREST_FEN)
    .execute(connection)
    .await?;
    Ok(())
}

/// An open bill and its amount.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenBill {
    pub line_id: LineId,
    pub amount: Fen,
}

/// Some of the unpaid bills that are due on a day.
pub(super) async fn list_open_bills(
    connection: &mut PgConnection,
    due_on: BusinessDay,
    count_max: i64,
) -> sqlx::Result<Vec<OpenBill>> {
    sqlx::query_as!(
        OpenBill,
        r#"select line_id as "line_id: LineId", principal_fen + interest_fen + fee_fen as "amount!: Fen"
           from bill where status = 'open' and due_on = $1 order by line_id limit $2"#,
        due_on.date(),
        count_max
    )
    .fetch_all(connection)
    .await
}
