//! SQL of lines and their journal.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::line::{Line, LineEntry, LineStatus};
use crate::base::day::MonthDay;
use crate::base::id::{BorrowerId, FunderId, LineId, ProductId};
use crate::base::{AccountRange, BusinessDay, Fen};
use crate::product::FoundVersion;

/// A query for whole lines, each row for `line_of`; `$rest` goes on from the table, `$more` are columns beside those of a line.
macro_rules! select_lines {
    ($rest:tt, $($argument:tt)*) => {
        select_lines!(and "", $rest, $($argument)*)
    };
    (and $more:tt, $rest:tt, $($argument:tt)*) => {
        sqlx::query!(
            r#"select line_id as "line_id: LineId", borrower_id as "borrower_id: BorrowerId",
                      funder_id as "funder_id: FunderId", product_id as "product_id: ProductId", product_version, grade, status,
                      frozen_for, limit_fen as "limit: Fen", used_fen as "used: Fen", statement_day, due_day, expires_on,
                      purchases_on, purchases_count, last_entry_no "# + $more + " from credit_line " + $rest,
            $($argument)*
        )
    };
}

/// The line in a row of `select_lines`.
macro_rules! line_of {
    ($row:ident) => {
        Ok(Line {
            line_id: $row.line_id,
            borrower_id: $row.borrower_id,
            funder_id: $row.funder_id,
            product_id: $row.product_id,
            product_version: $row.product_version,
            status: stored_status($row.line_id, &$row.status, $row.frozen_for.as_deref())?,
            grade: $row.grade,
            limit: $row.limit,
            used: $row.used,
            statement_day: month_day($row.statement_day)?,
            due_day: month_day($row.due_day)?,
            expires_on: $row.expires_on,
            purchases_on: $row.purchases_on,
            purchases_count: $row.purchases_count,
            last_entry_no: $row.last_entry_no,
        })
    };
}

/// Lines, the business day, and the product versions that were asked for, all as of one instant.
#[derive(Debug)]
pub struct LinesToday {
    pub today: BusinessDay,
    pub lines: Vec<Line>,
    /// Those of the lines whose borrower has a card to withhold from.
    pub chargeable: HashSet<LineId>,
    /// Each with whether it is on sale.
    pub versions: Vec<FoundVersion>,
}

/// Locks lines for a change, in id order so that two batches never wait for each other in a circle.
/// Lines that do not exist are missing from the answer.
pub async fn lock_lines(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Vec<Line>> {
    let line_ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    let rows =
        select_lines!("where line_id = any($1) order by line_id for update", &line_ids).fetch_all(connection).await?;
    rows.into_iter().map(|row| line_of!(row)).collect()
}

/// Locks all lines of a person, closed ones too.
pub async fn lock_lines_of(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Line>> {
    let rows = select_lines!("where borrower_id = $1 order by line_id for update", borrower_id.uuid())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(|row| line_of!(row)).collect()
}

/// Reads a line without locking it.
pub async fn find_line(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<Option<Line>> {
    let row = select_lines!("where line_id = $1", line_id.uuid()).fetch_optional(connection).await?;
    row.map(|row| line_of!(row)).transpose()
}

/// Reads lines, the business day and product versions as of one instant, without locking them. Lines and versions that do not
/// exist are missing from the answer; it is `None` where no line exists.
pub async fn find_lines_today(
    connection: &mut PgConnection,
    line_ids: &[LineId],
    versions: &[(ProductId, i32)],
) -> sqlx::Result<Option<LinesToday>> {
    let rows = select_lines!(
        // What does not depend on the line is the same in every row; the database looks it up once.
        and r#", exists (select from bank_card k
                         where k.borrower_id = credit_line.borrower_id and k.status = 'bound') as "is_chargeable!",
                 (select today from business_day) as "today!: BusinessDay",
                 array(select (select v.withdrawn_at is null from product_version v
                               where v.product_id = asked.product_id and v.version = asked.version)
                       from unnest($2::uuid[], $3::int[]) with ordinality as asked(product_id, version, place)
                       order by asked.place) as "are_on_sale!: Vec<Option<bool>>""#,
        "where line_id = any($1)",
        &line_ids.iter().map(|line_id| line_id.uuid()).collect::<Vec<Uuid>>(),
        &versions.iter().map(|(product_id, _)| product_id.uuid()).collect::<Vec<Uuid>>(),
        &versions.iter().map(|(_, version)| *version).collect::<Vec<i32>>(),
    )
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let today = first.today;
    let asked = versions.iter().zip(&first.are_on_sale);
    let found = asked.filter_map(|((product_id, version), is_on_sale)| {
        Some(FoundVersion { product_id: *product_id, version: *version, is_on_sale: (*is_on_sale)? })
    });
    let versions = found.collect();
    let chargeable = rows.iter().filter(|row| row.is_chargeable).map(|row| row.line_id).collect();
    let lines: sqlx::Result<Vec<Line>> = rows.into_iter().map(|row| line_of!(row)).collect();
    Ok(Some(LinesToday { today, lines: lines?, chargeable, versions }))
}

/// Those of these lines whose borrower has a card to withhold from.
pub async fn find_chargeable(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Vec<LineId>> {
    let line_ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    sqlx::query_scalar!(
        r#"select line_id as "line_id: LineId" from credit_line
           where line_id = any($1)
             and exists (select from bank_card k where k.borrower_id = credit_line.borrower_id and k.status = 'bound')"#,
        &line_ids
    )
    .fetch_all(connection)
    .await
}

/// What is used of all lines of a funder: the unpaid principal of its loans. Reads every line: for reports.
pub async fn sum_used(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(used_fen), 0)::bigint as "used!: Fen" from credit_line where funder_id = $1"#,
        funder_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// A line that can pay an amount.
pub struct Payer {
    pub line_id: LineId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub grade: String,
}

/// A few active lines with room for `amount` and a card to withhold from, or those of the borrower who is named, card or not.
pub async fn list_payers(
    connection: &mut PgConnection,
    amount: Fen,
    borrower_id: Option<BorrowerId>,
) -> sqlx::Result<Vec<Payer>> {
    sqlx::query_as!(
        Payer,
        r#"select line_id as "line_id: LineId", product_id as "product_id: ProductId", product_version, grade
           from credit_line
           where status = 'active' and limit_fen - used_fen >= $1 and (borrower_id = $2 or $2::uuid is null
                 and exists (select from bank_card k where k.borrower_id = credit_line.borrower_id and k.status = 'bound'))
           order by line_id limit 20"#,
        amount.get(),
        borrower_id.map(BorrowerId::uuid),
    )
    .fetch_all(connection)
    .await
}

/// The unpaid principal of all lines of a borrower, closed ones too: what was paid on them may be owed again.
pub async fn sum_used_by(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(used_fen), 0)::bigint as "used!: Fen" from credit_line where borrower_id = $1"#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// A borrower's lines that are not closed, oldest first.
pub async fn list_open_lines(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Line>> {
    let rows =
        select_lines!("where borrower_id = $1 and status <> 'closed' order by opened_at, line_id", borrower_id.uuid())
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(|row| line_of!(row)).collect()
}

/// Lines whose last day is `day` or earlier, that are not closed and have no unpaid principal.
pub async fn find_expired(
    connection: &mut PgConnection,
    day: BusinessDay,
    range: AccountRange,
) -> sqlx::Result<Vec<LineId>> {
    sqlx::query_scalar!(
        r#"select line_id as "line_id: LineId" from credit_line
           where expires_on <= $1 and status <> 'closed' and used_fen = 0 and line_id between $2 and $3
           order by line_id"#,
        day.date(),
        range.from,
        range.to
    )
    .fetch_all(connection)
    .await
}

/// Which of these lines have a loan that is not at its end: interest or penalty may be left when all principal is paid.
pub async fn find_owing(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Vec<LineId>> {
    let line_ids: Vec<Uuid> = line_ids.iter().map(|line_id| line_id.uuid()).collect();
    sqlx::query_scalar!(
        r#"select distinct s.line_id as "line_id: LineId"
           from schedule s join loan o on o.loan_id = s.loan_id and o.line_id = s.line_id
           where s.line_id = any($1) and o.status = 'open'"#,
        &line_ids
    )
    .fetch_all(connection)
    .await
}

/// A change of a line's limit or state, with who or which rule made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub entry_no: i64,
    pub kind: String,
    pub limit_after_fen: Fen,
    pub reason: Option<String>,
    pub business_day: BusinessDay,
    pub occurred_at: DateTime<Utc>,
}

/// Changes of a line otherwise than by purchases and payments, newest first.
pub async fn list_changes(connection: &mut PgConnection, line_id: LineId, limit: i64) -> sqlx::Result<Vec<Changed>> {
    sqlx::query_as!(
        Changed,
        r#"select entry_no, kind, limit_after_fen as "limit_after_fen: Fen", reason,
                  business_day as "business_day: BusinessDay", occurred_at
           from line_entry where line_id = $1 and kind in ('opened', 'limit', 'freeze', 'unfreeze', 'close')
           order by entry_no desc limit $2"#,
        line_id.uuid(),
        limit
    )
    .fetch_all(connection)
    .await
}

/// Saves locked lines and the journal entries of their changes, in one round trip. The key (line, entry number) refuses a
/// change made on a stale line.
pub async fn save_lines(connection: &mut PgConnection, lines: &[Line], entries: &[LineEntry]) -> sqlx::Result<()> {
    let (statuses, frozen_for): (Vec<&str>, Vec<Option<String>>) =
        lines.iter().map(|line| line.status.stored()).unzip();
    let entries = EntryColumns::of(entries);
    sqlx::query!(
        // Columns of fixed size without nulls are read by index: unnesting them, too, would cost three times as much per row.
        "with saved as (
             update credit_line set limit_fen = ($2::bigint[])[changed.place], used_fen = ($3::bigint[])[changed.place],
                    status = changed.status, frozen_for = changed.frozen_for, purchases_on = changed.purchases_on,
                    purchases_count = ($7::int[])[changed.place], last_entry_no = ($8::bigint[])[changed.place]
             from unnest($1::uuid[], $4::text[], $5::text[], $6::date[]) with ordinality
                  as changed(line_id, status, frozen_for, purchases_on, place)
             where credit_line.line_id = changed.line_id)
         insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                 limit_after_fen, source_id, reason, business_day, occurred_at)
         select ($9::uuid[])[e.place], ($10::bigint[])[e.place], e.kind, ($12::bigint[])[e.place], ($13::bigint[])[e.place],
                ($14::bigint[])[e.place], ($15::bigint[])[e.place], e.source_id, e.reason, ($18::date[])[e.place],
                ($19::timestamptz[])[e.place]
         from unnest($11::text[], $16::uuid[], $17::text[]) with ordinality as e(kind, source_id, reason, place)",
        &lines.iter().map(|line| line.line_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.limit.get()).collect::<Vec<i64>>(),
        &lines.iter().map(|line| line.used.get()).collect::<Vec<i64>>(),
        &statuses as &[&str],
        &frozen_for as &[Option<String>],
        &lines.iter().map(|line| line.purchases_on).collect::<Vec<Option<NaiveDate>>>() as &[Option<NaiveDate>],
        &lines.iter().map(|line| line.purchases_count).collect::<Vec<i32>>(),
        &lines.iter().map(|line| line.last_entry_no).collect::<Vec<i64>>(),
        &entries.line_id,
        &entries.entry_no,
        &entries.kind as &[&str],
        &entries.used_change,
        &entries.limit_change,
        &entries.used_after,
        &entries.limit_after,
        &entries.source_id as &[Option<Uuid>],
        &entries.reason as &[Option<&str>],
        &entries.business_day,
        &entries.occurred_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends to the journal of lines that are new.
pub async fn insert_line_entries(connection: &mut PgConnection, entries: &[LineEntry]) -> sqlx::Result<()> {
    let entries = EntryColumns::of(entries);
    sqlx::query!(
        "insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen,
                                 limit_after_fen, source_id, reason, business_day, occurred_at)
         select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::uuid[], $9::text[], $10::date[], $11::timestamptz[])",
        &entries.line_id,
        &entries.entry_no,
        &entries.kind as &[&str],
        &entries.used_change,
        &entries.limit_change,
        &entries.used_after,
        &entries.limit_after,
        &entries.source_id as &[Option<Uuid>],
        &entries.reason as &[Option<&str>],
        &entries.business_day,
        &entries.occurred_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Journal entries by column.
#[derive(Default)]
struct EntryColumns<'a> {
    line_id: Vec<Uuid>,
    entry_no: Vec<i64>,
    kind: Vec<&'static str>,
    used_change: Vec<i64>,
    limit_change: Vec<i64>,
    used_after: Vec<i64>,
    limit_after: Vec<i64>,
    source_id: Vec<Option<Uuid>>,
    reason: Vec<Option<&'a str>>,
    business_day: Vec<NaiveDate>,
    occurred_at: Vec<DateTime<Utc>>,
}

impl EntryColumns<'_> {
    fn of(entries: &[LineEntry]) -> EntryColumns<'_> {
        let mut columns = EntryColumns::default();
        for entry in entries {
            columns.line_id.push(entry.line_id.uuid());
            columns.entry_no.push(entry.entry_no);
            columns.kind.push(entry.kind.name());
            columns.used_change.push(entry.used_change.get());
            columns.limit_change.push(entry.limit_change.get());
            columns.used_after.push(entry.used_after.get());
            columns.limit_after.push(entry.limit_after.get());
            columns.source_id.push(entry.source_id);
            columns.reason.push(entry.reason.as_deref());
            columns.business_day.push(entry.business_day.date());
            columns.occurred_at.push(entry.occurred_at);
        }
        columns
    }
}

fn stored_status(line_id: LineId, status: &str, frozen_for: Option<&str>) -> sqlx::Result<LineStatus> {
    LineStatus::from_stored(status, frozen_for)
        .ok_or_else(|| sqlx::Error::Decode(format!("line {line_id} has status {status:?}").into()))
}

fn month_day(stored: i16) -> sqlx::Result<MonthDay> {
    u8::try_from(stored)
        .ok()
        .and_then(MonthDay::new)
        .ok_or_else(|| sqlx::Error::Decode(format!("{stored} is not a day of month").into()))
}
