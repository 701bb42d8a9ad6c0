//! SQL of lines and their journal.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::line::{Line, LineEntry, LineStatus};
use crate::base::Fen;
use crate::base::day::MonthDay;
use crate::base::id::{BorrowerId, FunderId, LineId, ProductId};

/// Locks lines for a change, in id order so that two batches never wait for each other in a circle.
/// Lines that do not exist are missing from the answer.
pub async fn lock_lines(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Vec<Line>> {
    let line_ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    let rows = sqlx::query_as!(
        LineRow,
        r#"select line_id as "line_id: LineId", borrower_id as "borrower_id: BorrowerId", funder_id as "funder_id: FunderId",
                  product_id as "product_id: ProductId", product_version, grade, status, frozen_for, limit_fen as "limit: Fen", used_fen as "used: Fen",
                  statement_day, due_day, expires_on, purchases_on, purchases_count, last_entry_no
           from credit_line where line_id = any($1) order by line_id for update"#,
        &line_ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(LineRow::into_line).collect()
}

/// Reads a line without locking it.
pub async fn find_line(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<Option<Line>> {
    let row = sqlx::query_as!(
        LineRow,
        r#"select line_id as "line_id: LineId", borrower_id as "borrower_id: BorrowerId", funder_id as "funder_id: FunderId",
                  product_id as "product_id: ProductId", product_version, grade, status, frozen_for, limit_fen as "limit: Fen", used_fen as "used: Fen",
                  statement_day, due_day, expires_on, purchases_on, purchases_count, last_entry_no
           from credit_line where line_id = $1"#,
        line_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    row.map(LineRow::into_line).transpose()
}

/// Saves locked lines and the journal entries of their changes: one statement for each table.
pub async fn save_lines(connection: &mut PgConnection, lines: &[Line], entries: &[LineEntry]) -> sqlx::Result<()> {
    update_lines(connection, lines).await?;
    insert_line_entries(connection, entries).await
}

async fn update_lines(connection: &mut PgConnection, lines: &[Line]) -> sqlx::Result<()> {
    let (statuses, frozen_for): (Vec<&str>, Vec<Option<String>>) =
        lines.iter().map(|line| line.status.stored()).unzip();
    sqlx::query!(
        "update credit_line set limit_fen = changed.limit_fen, used_fen = changed.used_fen, status = changed.status,
                frozen_for = changed.frozen_for, purchases_on = changed.purchases_on,
                purchases_count = changed.purchases_count, last_entry_no = changed.last_entry_no
         from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::date[], $7::int[], $8::bigint[])
              as changed(line_id, limit_fen, used_fen, status, frozen_for, purchases_on, purchases_count, last_entry_no)
         where credit_line.line_id = changed.line_id",
        &lines.iter().map(|line| line.line_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.limit.get()).collect::<Vec<i64>>(),
        &lines.iter().map(|line| line.used.get()).collect::<Vec<i64>>(),
        &statuses as &[&str],
        &frozen_for as &[Option<String>],
        &lines.iter().map(|line| line.purchases_on).collect::<Vec<Option<NaiveDate>>>() as &[Option<NaiveDate>],
        &lines.iter().map(|line| line.purchases_count).collect::<Vec<i32>>(),
        &lines.iter().map(|line| line.last_entry_no).collect::<Vec<i64>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends to the journal; the key (line, entry number) refuses a change made on a stale line.
pub async fn insert_line_entries(connection: &mut PgConnection, entries: &[LineEntry]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                 limit_after_fen, source_id, reason, business_day, occurred_at)
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::uuid[], $9::text[], $10::date[], $11::timestamptz[])",
        &entries.iter().map(|entry| entry.line_id.uuid()).collect::<Vec<Uuid>>(),
        &entries.iter().map(|entry| entry.entry_no).collect::<Vec<i64>>(),
        &entries.iter().map(|entry| entry.kind.stored()).collect::<Vec<&str>>() as &[&str],
        &entries.iter().map(|entry| entry.used_change.get()).collect::<Vec<i64>>(),
        &entries.iter().map(|entry| entry.limit_change.get()).collect::<Vec<i64>>(),
        &entries.iter().map(|entry| entry.used_after.get()).collect::<Vec<i64>>(),
        &entries.iter().map(|entry| entry.limit_after.get()).collect::<Vec<i64>>(),
        &entries.iter().map(|entry| entry.source_id).collect::<Vec<Option<Uuid>>>() as &[Option<Uuid>],
        &entries.iter().map(|entry| entry.reason.as_deref()).collect::<Vec<Option<&str>>>() as &[Option<&str>],
        &entries.iter().map(|entry| entry.business_day.date()).collect::<Vec<NaiveDate>>(),
        &entries.iter().map(|entry| entry.occurred_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct LineRow {
    line_id: LineId,
    borrower_id: BorrowerId,
    funder_id: FunderId,
    product_id: ProductId,
    product_version: i32,
    grade: String,
    status: String,
    frozen_for: Option<String>,
    limit: Fen,
    used: Fen,
    statement_day: i16,
    due_day: i16,
    expires_on: NaiveDate,
    purchases_on: Option<NaiveDate>,
    purchases_count: i32,
    last_entry_no: i64,
}

impl LineRow {
    fn into_line(self) -> sqlx::Result<Line> {
        let status = LineStatus::from_stored(&self.status, self.frozen_for.as_deref())
            .ok_or_else(|| sqlx::Error::Decode(format!("line {} has status {:?}", self.line_id, self.status).into()))?;
        Ok(Line {
            line_id: self.line_id,
            borrower_id: self.borrower_id,
            funder_id: self.funder_id,
            product_id: self.product_id,
            product_version: self.product_version,
            grade: self.grade,
            status,
            limit: self.limit,
            used: self.used,
            statement_day: month_day(self.statement_day)?,
            due_day: month_day(self.due_day)?,
            expires_on: self.expires_on,
            purchases_on: self.purchases_on,
            purchases_count: self.purchases_count,
            last_entry_no: self.last_entry_no,
        })
    }
}

fn month_day(stored: i16) -> sqlx::Result<MonthDay> {
    u8::try_from(stored)
        .ok()
        .and_then(MonthDay::new)
        .ok_or_else(|| sqlx::Error::Decode(format!("{stored} is not a day of month").into()))
}
