//! SQL of when jobs may next find work.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::next_work::NextWork;

/// When each kind of job may next find something. Each part repeats the job's own query with fewer conditions, so that it finds everything
/// that the job finds, or more; for work without a time of its own it returns `now`. If you make a job look for more, widen its part here.
/// What a clock running ahead has put off is not considered, because a story's clock is never set back.
pub async fn load_next_work(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<NextWork> {
    sqlx::query_as!(
        NextWork,
        "select least((select min(run_at) from job where status in ('ready', 'running')),
                      (select min(created_at) from outbox where delivered_at is null)) as settle_at,
                least((select min(submit_at) from withholding where is_pending and status = 'created'),
                      (select $1::timestamptz from bill where status = 'open' and due_on <= today limit 1)) as withhold_at,
                (select $1::timestamptz from payout where status = 'created' and pay_on <= today limit 1) as pay_out_at,
                least((select min(query_at) from withholding
                       where is_pending and status in ('submitted', 'unknown') and submit_at <= $1),
                      (select min(query_at) from payout where status in ('submitted', 'unknown')),
                      (select min(query_at) from payout where status = 'succeeded'),
                      (select min(created_at) from application where status = 'submitted'),
                      (select min(answer_by) from application where status = 'with_funder')) as ask_at,
                (select $1::timestamptz from reserve_now
                 where available_fen < low_water_fen or low_water_noticed_on is not null limit 1) as watch_at,
                (select $1::timestamptz
                 from generate_series(today - 30, today - 1, interval '1 day') as day
                 join (select channel, min(business_day) as since from withholding group by channel) asked
                      on asked.since <= day::date
                 where not exists (select from channel_file f where f.channel = asked.channel and f.business_day = day::date
                                   and f.compared_at is not null)
                 limit 1) as compare_at,
                (select $1::timestamptz from funder_day where made_at is null limit 1) as make_files_at
         from business_day",
        now
    )
    .fetch_one(connection)
    .await
}
