//! SQL of health and metrics: figures read on each scrape.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// When the oldest close that has not finished began.
pub async fn oldest_unfinished_close(connection: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select min(started_at) from close_run where finished_at is null").fetch_one(connection).await
}

/// Counts of what waits, each from a partial index, but for the payouts that are held: merchants with such payouts are few.
pub struct Waiting {
    pub business_day: Option<NaiveDate>,
    pub jobs_ready: i64,
    pub jobs_running: i64,
    pub jobs_dead: i64,
    pub outbox_pending: i64,
    /// Given up; part of those that are pending.
    pub outbox_dead: i64,
    pub partners_left_alone: i64,
    pub partners_paused: i64,
    /// Partners that operators were told are down.
    pub partners_down: i64,
    pub withholdings_pending: i64,
    pub payouts_pending: i64,
    /// Part of those that are pending.
    pub payouts_held: i64,
}

pub async fn count_waiting(connection: &mut PgConnection) -> sqlx::Result<Waiting> {
    sqlx::query_as!(
        Waiting,
        r#"select (select today from business_day) as business_day,
                  (select count(*) from job where status = 'ready') as "jobs_ready!",
                  (select count(*) from job where status = 'running') as "jobs_running!",
                  (select count(*) from job where status = 'dead') as "jobs_dead!",
                  (select count(*) from outbox where delivered_at is null) as "outbox_pending!",
                  (select count(*) from outbox where dead_at is not null) as "outbox_dead!",
                  (select count(*) from outbox_partner where failures > 0 and paused_at is null) as "partners_left_alone!",
                  (select count(*) from outbox_partner where paused_at is not null) as "partners_paused!",
                  (select count(*) from partner_outage where told_at is not null) as "partners_down!",
                  (select count(*) from withholding where is_pending) as "withholdings_pending!",
                  (select count(*) from payout where status in ('created', 'submitted', 'unknown')) as "payouts_pending!",
                  (select count(*) from payout_hold h join settlement s on s.merchant_id = h.merchant_id
                   join payout p on p.kind = 'settlement' and p.source_id = s.settlement_id
                   where p.status = 'created') as "payouts_held!""#
    )
    .fetch_one(connection)
    .await
}

pub struct FunderReserve {
    pub code: String,
    pub name: String,
    pub available_fen: i64,
    pub held_fen: i64,
}

pub async fn list_reserves(connection: &mut PgConnection) -> sqlx::Result<Vec<FunderReserve>> {
    sqlx::query_as!(
        FunderReserve,
        r#"select f.code, f.name, r.available_fen as "available_fen!", r.held_fen as "held_fen!"
           from reserve_now r join funder f using (funder_id) order by f.code"#
    )
    .fetch_all(connection)
    .await
}

/// Borrowers with something to look at.
pub struct PeopleToTry {
    pub billed: Option<Uuid>,
    pub late: Option<Uuid>,
    pub idle: Option<Uuid>,
    /// The printed payment code of an active shop, preferably one whose staff have different roles.
    pub code: Option<Uuid>,
    /// That shop.
    pub merchant: Option<Uuid>,
}

pub async fn find_people_to_try(connection: &mut PgConnection) -> sqlx::Result<PeopleToTry> {
    sqlx::query_as!(
        PeopleToTry,
        r#"with shop as (
               select c.code_id, c.merchant_id from merchant_code c join merchant m using (merchant_id)
               where c.is_open_static and m.status = 'active'
               order by (select count(*) from merchant_staff s where s.merchant_id = c.merchant_id and s.removed_at is null) desc,
                        c.created_at, c.code_id limit 1)
           select (select l.borrower_id from bill b join credit_line l using (line_id)
                   where b.status = 'open' and b.due_on >= (select today from business_day) and l.status = 'active'
                   order by b.due_on, b.line_id limit 1) as billed,
                  (select l.borrower_id from bill b join credit_line l using (line_id)
                   where b.status = 'open' and b.due_on < (select today from business_day)
                   order by b.due_on, b.line_id limit 1) as late,
                  (select borrower_id from credit_line where status = 'active' and used_fen = 0
                   order by line_id limit 1) as idle,
                  (select code_id from shop) as code, (select merchant_id from shop) as merchant"#
    )
    .fetch_one(connection)
    .await
}
