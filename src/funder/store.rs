//! SQL of funders and their reserves.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::forecast::NetUse;
use super::reserve::{Reserve, ReserveEntry, ReserveEntryKind};
use super::slice::SLICES;
use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen};

/// A funder as others name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funder {
    pub funder_id: FunderId,
    /// Stable, `a-z0-9-`; products name their funder by it.
    pub code: String,
    pub name: String,
}

/// Writes the funder unless its code is taken; true when it was written.
pub async fn insert_funder(
    connection: &mut PgConnection,
    funder: &Funder,
    created_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with opened as (
             insert into funder (funder_id, code, name, created_at) values ($1, $2, $3, $4)
             on conflict (code) do nothing
             returning funder_id),
         reserved as (insert into reserve (funder_id) select funder_id from opened)
         insert into reserve_slice (funder_id, slice_no) select funder_id, generate_series(0, $5 - 1) from opened",
        funder.funder_id.uuid(),
        funder.code,
        funder.name,
        created_at,
        i32::from(SLICES),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The funder with a code, if there is one.
pub async fn find_funder_by_code(connection: &mut PgConnection, code: &str) -> sqlx::Result<Option<Funder>> {
    sqlx::query_as!(
        Funder,
        r#"select funder_id as "funder_id: FunderId", code, name from funder where code = $1"#,
        code
    )
    .fetch_optional(connection)
    .await
}

/// The funder's code, by which products and messages name it.
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub async fn find_code(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<String> {
    sqlx::query_scalar!("select code from funder where funder_id = $1", funder_id.uuid()).fetch_one(connection).await
}

/// What people call the funder.
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub async fn find_name(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<String> {
    sqlx::query_scalar!("select name from funder where funder_id = $1", funder_id.uuid()).fetch_one(connection).await
}

/// All funders, in the order of their codes.
pub async fn load_funders(connection: &mut PgConnection) -> sqlx::Result<Vec<Funder>> {
    sqlx::query_as!(Funder, r#"select funder_id as "funder_id: FunderId", code, name from funder order by code"#)
        .fetch_all(connection)
        .await
}

/// The reserve's own row, locked until the transaction ends. What slices have used and is not booked is missing from it: callers
/// want [`super::lock_reserve`].
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub(super) async fn lock_row(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<Reserve> {
    sqlx::query_as!(
        Reserve,
        r#"select funder_id as "funder_id: FunderId", available_fen as "available: Fen", held_fen as "held: Fen",
                  deposited_fen as "deposited: Fen", withdrawn_fen as "withdrawn: Fen",
                  paid_out_fen as "paid_out: Fen", returned_fen as "returned: Fen",
                  advance_limit_fen as "advance_limit: Fen", low_water_fen as "low_water: Fen",
                  low_water_noticed_on as "low_water_noticed_on: BusinessDay",
                  advance_since as "advance_since: BusinessDay", advance_overdue, last_entry_no,
                  low_water_version, lower_marks_fen as "lower_marks: Vec<Fen>",
                  low_water_told_fen as "low_water_told: Fen"
           from reserve where funder_id = $1 for no key update"#,
        funder_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// The reserve as last committed, with what its slices have used, for readers that decide nothing.
pub async fn find_reserve(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<Option<Reserve>> {
    sqlx::query_as!(
        Reserve,
        r#"select funder_id as "funder_id!: FunderId", available_fen as "available!: Fen", held_fen as "held!: Fen",
                  deposited_fen as "deposited!: Fen", withdrawn_fen as "withdrawn!: Fen",
                  paid_out_fen as "paid_out!: Fen", returned_fen as "returned!: Fen",
                  advance_limit_fen as "advance_limit!: Fen", low_water_fen as "low_water!: Fen",
                  low_water_noticed_on as "low_water_noticed_on: BusinessDay",
                  advance_since as "advance_since: BusinessDay", advance_overdue as "advance_overdue!",
                  last_entry_no as "last_entry_no!", low_water_version as "low_water_version!",
                  lower_marks_fen as "lower_marks!: Vec<Fen>", low_water_told_fen as "low_water_told: Fen"
           from reserve_now where funder_id = $1"#,
        funder_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Writes back a reserve that this transaction locked, with its new journal rows, in one round trip. Where more is leased to
/// slices than is left above the next low-water mark, their leases end: a mark is only crossed by a transaction that has locked
/// the reserve.
pub async fn save_reserve(
    connection: &mut PgConnection,
    reserve: &Reserve,
    entries: &[ReserveEntry],
) -> sqlx::Result<()> {
    let entry_no: Vec<i64> = entries.iter().map(|entry| entry.entry_no).collect();
    let kind: Vec<ReserveEntryKind> = entries.iter().map(|entry| entry.kind).collect();
    let amount: Vec<i64> = entries.iter().map(|entry| entry.amount.get()).collect();
    let available: Vec<i64> = entries.iter().map(|entry| entry.available_after.get()).collect();
    let held: Vec<i64> = entries.iter().map(|entry| entry.held_after.get()).collect();
    let source: Vec<&str> = entries.iter().map(|entry| entry.source.as_str()).collect();
    let day: Vec<chrono::NaiveDate> = entries.iter().map(|entry| entry.business_day.date()).collect();
    let occurred_at: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.occurred_at).collect();
    let lower_marks: Vec<i64> = reserve.lower_marks.iter().map(|mark| mark.get()).collect();
    sqlx::query!(
        "with saved as (
             update reserve set available_fen = $2, held_fen = $3, deposited_fen = $4, withdrawn_fen = $5,
                    paid_out_fen = $6, returned_fen = $7, advance_limit_fen = $8, low_water_fen = $9,
                    low_water_noticed_on = $10, advance_since = $11, advance_overdue = $12, last_entry_no = $13,
                    low_water_version = $22, lower_marks_fen = $23, low_water_told_fen = $24
             where funder_id = $1
             returning funder_id),
         ended as (
             update reserve_slice set leased_fen = 0
             where funder_id = $1 and $25::bigint < (select sum(leased_fen) from reserve_slice where funder_id = $1))
         insert into reserve_entry (funder_id, entry_no, kind, amount_fen, available_after_fen, held_after_fen,
                                    source, business_day, occurred_at)
         select saved.funder_id, e.entry_no, e.kind, e.amount, e.available, e.held, e.source, e.day, e.at
         from saved, unnest($14::bigint[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::text[],
                            $20::date[], $21::timestamptz[])
                     as e(entry_no, kind, amount, available, held, source, day, at)",
        reserve.funder_id.uuid(),
        reserve.available.get(),
        reserve.held.get(),
        reserve.deposited.get(),
        reserve.withdrawn.get(),
        reserve.paid_out.get(),
        reserve.returned.get(),
        reserve.advance_limit.get(),
        reserve.low_water.get(),
        reserve.low_water_noticed_on as Option<BusinessDay>,
        reserve.advance_since as Option<BusinessDay>,
        reserve.advance_overdue,
        reserve.last_entry_no,
        &entry_no,
        &kind as &[ReserveEntryKind],
        &amount,
        &available,
        &held,
        &source as &[&str],
        &day,
        &occurred_at,
        reserve.low_water_version,
        &lower_marks,
        reserve.low_water_told.map(Fen::get),
        reserve.above_next_mark().get(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a bank reference was booked with before, as this kind of movement.
pub async fn find_booked_amount(
    connection: &mut PgConnection,
    funder_id: FunderId,
    kind: ReserveEntryKind,
    reference: &str,
) -> sqlx::Result<Option<Fen>> {
    sqlx::query_scalar!(
        r#"select amount_fen as "amount: Fen" from reserve_entry
           where funder_id = $1 and kind = $2 and kind in ('deposit', 'withdrawal') and source = $3"#,
        funder_id.uuid(),
        kind as ReserveEntryKind,
        reference,
    )
    .fetch_optional(connection)
    .await
}

/// Funders whose advance is running and not known to be overdue, in id order.
pub async fn find_advancing(connection: &mut PgConnection) -> sqlx::Result<Vec<FunderId>> {
    sqlx::query_scalar!(
        r#"select funder_id as "funder_id: FunderId" from reserve
           where advance_since is not null and not advance_overdue order by funder_id"#
    )
    .fetch_all(connection)
    .await
}

/// Funders to be told today that their reserve is low, and funders that were told and whose reserve is above that mark again; in
/// id order.
pub async fn find_crossing_low_water(connection: &mut PgConnection, today: BusinessDay) -> sqlx::Result<Vec<FunderId>> {
    sqlx::query_scalar!(
        r#"select funder_id as "funder_id!: FunderId" from reserve_now
           cross join lateral (select min(mark) as crossed_fen from unnest(array[low_water_fen] || lower_marks_fen) as mark
                               where available_fen < mark) lowest
           where case when crossed_fen is null then low_water_noticed_on is not null
                      else low_water_noticed_on is distinct from $1
                           or crossed_fen <> coalesce(low_water_told_fen, low_water_fen) end
           order by funder_id"#,
        today.date()
    )
    .fetch_all(connection)
    .await
}

/// How a reserve was used on the business days from `from` to the day before `to`. Where it never was used, `since` is `to`.
pub async fn sum_net_use(
    connection: &mut PgConnection,
    funder_id: FunderId,
    from: BusinessDay,
    to: BusinessDay,
) -> sqlx::Result<NetUse> {
    sqlx::query_as!(
        NetUse,
        r#"select coalesce(sum(case when kind = 'hold' then amount_fen else -amount_fen end), 0)::bigint as "net!: Fen",
                  coalesce((select f.business_day from reserve_entry f
                            where f.funder_id = $1 and f.kind = 'hold' order by f.entry_no limit 1), $3::date)
                      as "since!: BusinessDay"
           from reserve_entry
           where funder_id = $1 and business_day >= $2 and business_day < $3 and kind in ('hold', 'release', 'refund')"#,
        funder_id.uuid(),
        from.date(),
        to.date(),
    )
    .fetch_one(connection)
    .await
}
