//! SQL that compares money which people booked on a channel's word with what the channel has paid of it.

use sqlx::PgConnection;

use super::model::{Break, BreakKind, Difference};
use super::store::FileKey;
use crate::base::id::WithholdingId;
use crate::base::{BusinessDay, Fen};

/// Finds final orders through which people booked money on the channel's word, and for which the channel has paid less than is booked;
/// what it paid is the sum over its compared files and its payments by hand. An order is checked with each file that names it, and with
/// the file of the day after the money was booked, even if an earlier file named it. A partial payment is reported only once: not if a
/// break of the same two amounts exists already.
pub async fn find_unpaid(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"with looked_at as (
               select k.withholding_id
               from reconciliation_break k
               join channel_file_line f on f.channel = k.channel and f.withholding_id = k.withholding_id
               where k.channel = $1 and k.status = 'corrected' and k.proposed <> 'ask_channel'
                 and f.business_day = $2 and f.succeeded
               union
               select case when r.source = 'channel_file' then r.source_reference::uuid end
               from repayment r
               where r.source = 'channel_file' and r.business_day between $2::date - 3 and $2::date + 3
                 and r.received_at >= ($2::date - 1)::timestamp at time zone 'Asia/Shanghai'
                 and r.received_at < $2::date::timestamp at time zone 'Asia/Shanghai'),
           sides as (
               select w.withholding_id,
                      coalesce((select b.booked_fen from withholding_booked b
                                where b.line_id = w.line_id and b.withholding_id = w.withholding_id::text), 0) as booked_fen,
                      ((select coalesce(sum(l.amount_fen), 0) from channel_file_line l
                        join channel_file c on c.channel = l.channel and c.business_day = l.business_day
                        where l.channel = $1 and l.withholding_id = w.withholding_id and l.succeeded
                          and c.compared_at is not null)
                       + (select coalesce(sum(s.settled_fen), 0) from reconciliation_break s
                          where s.withholding_id = w.withholding_id))::bigint as paid_fen
               from withholding w
               where w.channel = $1 and w.status in ('succeeded', 'failed')
                 and w.withholding_id in (select withholding_id from looked_at))
           select case s.paid_fen when 0 then 'missing_there' else 'amount_differs' end as "kind!: BreakKind",
                  s.withholding_id as "withholding_id!: WithholdingId", s.booked_fen as "ours!: Fen", s.paid_fen as "theirs!: Fen"
           from sides s
           where s.booked_fen > s.paid_fen
             and (s.paid_fen = 0
                  or not exists (select from reconciliation_break k
                                 where k.withholding_id = s.withholding_id and k.our_fen = s.booked_fen
                                   and k.their_fen = s.paid_fen))"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// Opens a break over `rest`: money that is still booked through an order and unpaid by the channel, after the break `taken_back_by` has
/// reversed what the order itself had collected. Does nothing if another break of the order is open, because that one covers it.
pub async fn insert_rest(
    connection: &mut PgConnection,
    taken_back_by: &Break,
    rest: Fen,
    today: BusinessDay,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                           proposed, proposed_by, owner, status, opened_on)
         select gen_random_uuid(), w.channel, $2::date, case b.booked_fen when $3 then 'missing_there' else 'amount_differs' end,
                w.withholding_id, b.booked_fen, b.booked_fen - $3, 'ask_channel', 'comparison', 'comparison', 'open', $4::date
         from withholding w
         join withholding_booked b on b.line_id = w.line_id and b.withholding_id = w.withholding_id::text
         where w.withholding_id = $1
           and not exists (select from reconciliation_break k where k.withholding_id = w.withholding_id and k.status = 'open')
         on conflict do nothing",
        taken_back_by.withholding_id.uuid(),
        taken_back_by.business_day.date(),
        rest.get(),
        today.date()
    )
    .execute(connection)
    .await?;
    Ok(())
}
