//! SQL of daily files, of their comparison with our orders, and of breaks. One statement compares a whole file.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Break, BreakKind, BreakStatus, ChannelShare, Correction, Difference};
use crate::base::id::{BreakId, FunderId, LineId, WithholdingId};
use crate::base::{BusinessDay, Fen};
use crate::partner::withholding::{ChannelFailure, ChannelName, DailyFile};
use crate::repayment::withholding::Failure;

/// One of our pending orders, and its result in the file.
#[derive(Clone, Debug)]
pub struct PendingInFile {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    /// `None` if it succeeded.
    pub failure: Option<ChannelFailure>,
    /// The channel's code; `None` if it succeeded.
    pub code: Option<String>,
    pub amount: Fen,
    pub channel_reference: String,
}

/// How a break is closed, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    pub status: BreakStatus,
    pub person: &'a str,
    pub note: Option<&'a str>,
    pub today: BusinessDay,
}

/// The circumstances of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub today: BusinessDay,
    /// Whether the file is compared for the first time.
    pub is_first: bool,
}

/// What identifies a daily file.
#[derive(Clone, Copy, Debug)]
pub struct FileKey {
    pub channel: ChannelName,
    pub day: BusinessDay,
}

/// Stores a file's sums and hash; they replace those of another file of that day that was not compared yet. `false` if a file with the same
/// bytes is stored already, or one with other bytes was compared already.
pub async fn keep_file(
    connection: &mut PgConnection,
    key: FileKey,
    sha256: &[u8],
    file: &DailyFile,
) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "insert into channel_file as kept (channel, business_day, sha256, lines, amount_fen, cost_fen)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (channel, business_day) do update
         set sha256 = excluded.sha256, lines = excluded.lines, amount_fen = excluded.amount_fen, cost_fen = excluded.cost_fen
         where kept.compared_at is null and kept.sha256 <> excluded.sha256",
        key.channel.name(),
        key.day.date(),
        sha256,
        file.lines.len() as i32,
        file.amount.get(),
        file.cost.get()
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Whether the stored file of that day has these bytes.
pub async fn has_bytes(connection: &mut PgConnection, key: FileKey, sha256: &[u8]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select sha256 = $3 as "is_same!" from channel_file where channel = $1 and business_day = $2"#,
        key.channel.name(),
        key.day.date(),
        sha256
    )
    .fetch_one(connection)
    .await
}

/// Deletes the lines of a file that is replaced by another one.
pub async fn delete_file_lines(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from channel_file_line where channel = $1 and business_day = $2",
        key.channel.name(),
        key.day.date()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn insert_file_lines(connection: &mut PgConnection, key: FileKey, file: &DailyFile) -> sqlx::Result<()> {
    let failure = |failure| Failure::Channel(failure).stored();
    let failures: Vec<Option<&str>> = file.lines.iter().map(|line| line.answer.failure().map(failure)).collect();
    let codes: Vec<Option<&str>> = file.lines.iter().map(|line| line.answer.code()).collect();
    sqlx::query!(
        "insert into channel_file_line (channel, business_day, line_no, withholding_id, channel_reference, succeeded,
                                        failure, code, amount_fen, cost_fen)
         select $1, $2, l.line_no, l.withholding_id, l.channel_reference, l.succeeded, l.failure, l.code, l.amount_fen,
                l.cost_fen
         from unnest($3::uuid[], $4::text[], $5::bool[], $6::text[], $7::text[], $8::bigint[], $9::bigint[]) with ordinality
              as l(withholding_id, channel_reference, succeeded, failure, code, amount_fen, cost_fen, line_no)",
        key.channel.name(),
        key.day.date(),
        &file.lines.iter().map(|line| line.withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &file.lines.iter().map(|line| line.channel_reference.clone()).collect::<Vec<String>>(),
        &file.lines.iter().map(|line| line.answer.is_success()).collect::<Vec<bool>>(),
        &failures as &[Option<&str>],
        &codes as &[Option<&str>],
        &file.lines.iter().map(|line| line.amount.get()).collect::<Vec<i64>>(),
        &file.lines.iter().map(|line| line.cost.get()).collect::<Vec<i64>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The days from `from` until the day before `today` whose file of this channel has not been compared; days before the channel's first
/// order are left out.
pub async fn days_without_file(
    connection: &mut PgConnection,
    channel: ChannelName,
    from: BusinessDay,
    today: BusinessDay,
) -> sqlx::Result<Vec<BusinessDay>> {
    sqlx::query_scalar!(
        r#"select day::date as "day!: BusinessDay"
           from generate_series($2::date, $3::date - 1, interval '1 day') as day
           where not exists (select from channel_file f where f.channel = $1 and f.business_day = day::date
                             and f.compared_at is not null)
             and exists (select from withholding w where w.business_day <= day::date and w.channel = $1)
           order by 1"#,
        channel.name(),
        from.date(),
        today.date()
    )
    .fetch_all(connection)
    .await
}

/// Orders that are pending here and explicitly final in the file, each once. If the file names an order as both succeeded and failed, the
/// success counts, so that the money is not collected again; the comparison opens a break for the other line.
pub async fn load_pending(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<PendingInFile>> {
    sqlx::query_as!(
        PendingInFile,
        r#"select distinct on (w.withholding_id)
                  w.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id: LineId",
                  f.failure as "failure: ChannelFailure", f.code, f.amount_fen as "amount: Fen", f.channel_reference
           from channel_file_line f join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
           where f.channel = $1 and f.business_day = $2 and w.status in ('submitted', 'unknown')
             and (f.succeeded or f.failure is not null)
           order by w.withholding_id, f.succeeded desc, f.line_no"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// Orders sent on an earlier day that are still pending although no file names them, so the channel probably never accepted them. The file
/// of the day they were sent and that of the next day must both be stored, because an order that is sent late in the evening may be in
/// the next day's file; a file of a later day does not replace a missing one.
pub async fn load_absent(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<(WithholdingId, LineId)>> {
    let rows = sqlx::query!(
        r#"select w.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id: LineId"
           from withholding w
           where w.is_pending and w.channel = $1 and w.status in ('submitted', 'unknown')
             and (w.submitted_at at time zone 'Asia/Shanghai')::date < $2
             and exists (select from channel_file f where f.channel = $1
                           and f.business_day = (w.submitted_at at time zone 'Asia/Shanghai')::date)
             and exists (select from channel_file f where f.channel = $1
                           and f.business_day = (w.submitted_at at time zone 'Asia/Shanghai')::date + 1)
             and not exists (select from channel_file_line l where l.channel = $1 and l.withholding_id = w.withholding_id)"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.withholding_id, row.line_id)).collect())
}

/// Compares a file with our orders. These are differences:
///
/// - a line that differs from our final order;
/// - a line that names an order that we do not have, or that belongs to another channel, as succeeded;
/// - a line that names an order as succeeded that we have yet to send, as after a restore from a back-up;
/// - a line that names an order as succeeded that is still pending: it would have ended the order if its amount were possible;
/// - an order that became final as succeeded on the day before the file's, and that no file names, from the day on which it was sent to
///   the file's day. (The order's own day may be earlier: a rerouted order keeps it.)
///
/// A line whose code means neither success nor failure is ignored.
pub async fn find_differing(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"with compared as (
               select f.withholding_id, coalesce(w.collected_fen, 0) as our_fen,
                      case when w.withholding_id is null
                           then (select coalesce(sum(t.amount_fen), 0)::bigint from channel_file_line t
                                 where t.channel = $1 and t.business_day = $2 and t.withholding_id = f.withholding_id
                                   and t.succeeded)
                           when f.succeeded then f.amount_fen else 0 end as their_fen,
                      case when w.withholding_id is null and not f.succeeded then null
                           when w.withholding_id is null then 'missing_here'
                           when w.status in ('created', 'failed') and f.succeeded then 'we_failed_they_succeeded'
                           when w.status = 'succeeded' and f.failure is not null then 'we_succeeded_they_failed'
                           when w.status = 'succeeded' and f.succeeded and w.collected_fen <> f.amount_fen
                                then 'amount_differs'
                           when w.status in ('submitted', 'unknown') and f.succeeded then 'amount_differs' end as kind
               from channel_file_line f
               left join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
               where f.channel = $1 and f.business_day = $2
               union all
               select w.withholding_id, w.collected_fen, 0, 'missing_there'
               from withholding w
               where w.channel = $1 and w.status = 'succeeded'
                 and w.final_at >= ($2::date - 1)::timestamp at time zone 'Asia/Shanghai'
                 and w.final_at < $2::date::timestamp at time zone 'Asia/Shanghai'
                 and not exists (select from channel_file_line f
                                 where f.channel = $1 and f.withholding_id = w.withholding_id
                                   and (f.succeeded or f.failure is not null)
                                   and f.business_day between (w.submitted_at at time zone 'Asia/Shanghai')::date and $2))
           select kind as "kind!: BreakKind", withholding_id as "withholding_id!: WithholdingId", our_fen as "ours!: Fen",
                  their_fen as "theirs!: Fen"
           from compared where kind is not null"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// Opens a break for each difference that has none yet, and returns how many were opened.
///
/// A callback may have opened a break before the file came, and people may have closed it. It does not prevent a new break if its amount
/// was another one. When the file is compared for the first time, it does not prevent one either if people dismissed it, settled it with
/// the channel without any money, or have since reversed what they booked.
///
/// For differences between the channel's result and our order's, the day does not matter: the existing break may have the order's day
/// instead of the file's. That the channel names an order in several files is a separate break.
pub async fn insert_breaks(
    connection: &mut PgConnection,
    key: FileKey,
    found: &[Difference],
    comparison: Comparison,
) -> sqlx::Result<u64> {
    let kinds: Vec<BreakKind> = found.iter().map(|found| found.kind).collect();
    let proposed: Vec<Correction> = found.iter().map(|found| found.kind.first_proposal()).collect();
    let opened = sqlx::query!(
        "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen,
                                           proposed, proposed_by, owner, status, opened_on)
         select gen_random_uuid(), $1, $2::date, f.kind, f.withholding_id, f.our_fen, f.their_fen, f.proposed, 'comparison',
                'comparison', 'open', $8::date
         from unnest($3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[])
              as f(kind, withholding_id, our_fen, their_fen, proposed)
         where not exists (select from reconciliation_break b
                           where b.channel = $1 and b.withholding_id = f.withholding_id and b.kind = f.kind and b.their_fen = f.their_fen
                             and (b.business_day = $2::date
                                  or f.kind in ('amount_differs', 'we_failed_they_succeeded', 'we_succeeded_they_failed'))
                             and not ($9::bool and b.status <> 'open' and b.settled_fen = 0
                                      and (b.status = 'dismissed' or b.proposed = 'ask_channel'
                                           or not exists (select from withholding w
                                                          join withholding_booked k on k.line_id = w.line_id
                                                               and k.withholding_id = w.withholding_id::text
                                                          where w.withholding_id = f.withholding_id and k.booked_fen > 0))))
         on conflict do nothing",
        key.channel.name(),
        key.day.date(),
        &kinds as &[BreakKind],
        &found.iter().map(|found| found.withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &found.iter().map(|found| found.ours.get()).collect::<Vec<i64>>(),
        &found.iter().map(|found| found.theirs.get()).collect::<Vec<i64>>(),
        &proposed as &[Correction],
        comparison.today.date(),
        comparison.is_first
    )
    .execute(connection)
    .await?;
    Ok(opened.rows_affected())
}

/// What the channel still owes us for an order; negative if we owe the channel. It is what was booked as collected through the order, less
/// what the channel's compared files and settlements by hand have paid.
pub async fn sum_open(connection: &mut PgConnection, withholding_id: WithholdingId) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"select (coalesce((select b.booked_fen from withholding_booked b
                             where b.line_id = (select line_id from withholding where withholding_id = $1)
                               and b.withholding_id = ($1::uuid)::text), 0)
                   - (select coalesce(sum(f.amount_fen), 0) from channel_file_line f
                      join channel_file c on c.channel = f.channel and c.business_day = f.business_day
                      join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
                      where f.withholding_id = $1 and f.succeeded and c.compared_at is not null)
                   - (select coalesce(sum(settled_fen), 0) from reconciliation_break where withholding_id = $1)
                  )::bigint as "open!: Fen""#,
        withholding_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// How much of the money that a channel took for a break's order is accounted for: what is booked as collected through the order, and what
/// was returned to the channel by hand. What the channel paid by hand is the money that is booked already, so it is left out; only for
/// `named_twice` it is deducted, because there all that the channel paid is compared.
pub async fn sum_accounted(connection: &mut PgConnection, found: &Break) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"select (coalesce((select b.booked_fen from withholding_booked b
                             where b.line_id = (select line_id from withholding where withholding_id = $1)
                               and b.withholding_id = ($1::uuid)::text), 0)
                   - case when $2::text = 'named_twice' then by_hand.fen else least(by_hand.fen, 0) end
                  )::bigint as "accounted!: Fen"
           from (select coalesce(sum(settled_fen), 0) as fen from reconciliation_break where withholding_id = $1) by_hand"#,
        found.withholding_id.uuid(),
        found.kind as BreakKind
    )
    .fetch_one(connection)
    .await
}

/// Stores the amount that was settled by hand.
pub async fn save_settled(connection: &mut PgConnection, break_id: BreakId, settled: Fen) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliation_break set settled_fen = $2 where break_id = $1",
        break_id.uuid(),
        settled.get()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sums a file by the funder whose lines were collected from: what the channel took, and its cost. An order that is named twice counts
/// twice, because the money of both is at the bank: the surplus is set against what the channel owes us until its break is closed. There
/// may be a cost for failed orders, too. Orders that are not ours belong to no funder and have the nil id, which is the house's.
pub async fn sum_by_funder(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<ChannelShare>> {
    sqlx::query_as!(
        ChannelShare,
        r#"select coalesce(l.funder_id, '00000000-0000-0000-0000-000000000000') as "funder_id!: FunderId",
                  coalesce(sum(f.amount_fen) filter (where f.succeeded), 0)::bigint as "amount!: Fen",
                  sum(f.cost_fen)::bigint as "cost!: Fen"
           from channel_file_line f
           left join withholding w on w.withholding_id = f.withholding_id and w.channel = f.channel
           left join credit_line l on l.line_id = w.line_id
           where f.channel = $1 and f.business_day = $2 and (f.succeeded or f.cost_fen > 0)
           group by l.funder_id order by l.funder_id"#,
        key.channel.name(),
        key.day.date()
    )
    .fetch_all(connection)
    .await
}

/// Marks a file as compared; `false` if it was compared, and therefore booked, before.
pub async fn mark_compared(connection: &mut PgConnection, key: FileKey, at: DateTime<Utc>) -> sqlx::Result<bool> {
    let marked = sqlx::query!(
        "update channel_file set compared_at = $3 where channel = $1 and business_day = $2 and compared_at is null",
        key.channel.name(),
        key.day.date(),
        at
    )
    .execute(connection)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// Loads a break and locks it; `None` if there is none with this id.
pub async fn lock_break(connection: &mut PgConnection, break_id: BreakId) -> sqlx::Result<Option<Break>> {
    let row = sqlx::query!(
        r#"select channel, business_day as "business_day: BusinessDay", kind as "kind: BreakKind",
                  withholding_id as "withholding_id: WithholdingId", our_fen as "ours: Fen", their_fen as "theirs: Fen",
                  proposed as "proposed: Correction", proposal_no, proposed_by, owner,
                  status as "status: BreakStatus", opened_on as "opened_on: BusinessDay"
           from reconciliation_break where break_id = $1 for update"#,
        break_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let channel = ChannelName::from_name(&row.channel);
        Ok(Break {
            break_id,
            channel: channel.ok_or_else(|| sqlx::Error::Decode(format!("{} is no channel", row.channel).into()))?,
            business_day: row.business_day,
            kind: row.kind,
            withholding_id: row.withholding_id,
            ours: row.ours,
            theirs: row.theirs,
            proposed: row.proposed,
            proposal_no: row.proposal_no,
            status: row.status,
            proposed_by: row.proposed_by,
            owner: row.owner,
            opened_on: row.opened_on,
        })
    })
    .transpose()
}

/// Closes an open break; `false` if it is not open. A constraint of the table refuses a person who confirms their own proposal.
pub async fn close_break(
    connection: &mut PgConnection,
    break_id: BreakId,
    closing: &Closing<'_>,
) -> sqlx::Result<bool> {
    let closed = sqlx::query!(
        "update reconciliation_break set status = $2, confirmed_by = $3, note = $4, closed_on = $5
         where break_id = $1 and status = 'open'",
        break_id.uuid(),
        closing.status as BreakStatus,
        closing.person,
        closing.note,
        closing.today.date()
    )
    .execute(connection)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Changes the proposed correction; `person` becomes the break's owner, too, and cannot confirm it. Returns the proposal's number, or
/// `None` if the break is closed.
pub async fn propose(
    connection: &mut PgConnection,
    break_id: BreakId,
    proposed: Correction,
    person: &str,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        "update reconciliation_break set proposed = $2, proposed_by = $3, owner = $3, proposal_no = proposal_no + 1
         where break_id = $1 and status = 'open' returning proposal_no",
        break_id.uuid(),
        proposed as Correction,
        person
    )
    .fetch_optional(connection)
    .await
}

/// Changes the owner of an open break; `false` if it is not open.
pub async fn take(connection: &mut PgConnection, break_id: BreakId, owner: &str) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "update reconciliation_break set owner = $2 where break_id = $1 and status = 'open'",
        break_id.uuid(),
        owner
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}
