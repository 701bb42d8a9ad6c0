//! SQL that fills a scratch database with a book to measure on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::base::BusinessDay;
use crate::base::id::{FunderId, LineId, MerchantId, ProductId};

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

/// Brings statistics up to date after a bulk load, as autovacuum would within a minute.
pub(super) async fn analyse(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("analyze").execute(connection).await?;
    Ok(())
}
