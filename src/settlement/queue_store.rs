//! SQL of the queues of payouts: those to send, and those to ask about.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::payout::PayoutKind;
use crate::base::id::PayoutId;
use crate::base::{BusinessDay, Fen};

/// A payout that this node has claimed to send, with the payee's sealed data.
#[derive(Debug)]
pub struct Claimed {
    pub payout_id: PayoutId,
    pub kind: PayoutKind,
    pub beneficiary_id: Uuid,
    pub attempt_no: i16,
    pub amount: Fen,
    /// The day that a settlement or a remittance is for.
    pub business_day: Option<BusinessDay>,
    /// A merchant's account name, or a funder's code.
    pub payee_name: Option<String>,
    /// A merchant's account, or a borrower's card.
    pub number_sealed: Option<Vec<u8>>,
    /// A borrower's name and key.
    pub name_sealed: Option<Vec<u8>>,
    pub person_key_sealed: Option<Vec<u8>>,
    /// When this attempt was last sent before, and when the channel last said that it never received it.
    pub sent_at: Option<DateTime<Utc>>,
    pub denied_at: Option<DateTime<Utc>>,
}

/// For which day, when, and how many payouts are claimed at once.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub today: BusinessDay,
    pub now: DateTime<Utc>,
    /// When the channel is asked about those that it has not answered about by then.
    pub query_at: DateTime<Utc>,
    pub limit: i64,
}

/// Marks payouts whose day has come as submitted, before they are sent, and returns them with their payees. Payouts that the channel
/// contradicts itself about are left out, since they may have been paid, and so are those of merchants whose payouts are held; for these
/// [`keep_holds_out`](super::hold_store::keep_holds_out) comes first. A payout that is sent again under its key keeps its number of queries.
pub async fn claim_to_submit(connection: &mut PgConnection, claim: Claim) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"with due as (
               select payout_id from payout
               where status = 'created' and pay_on <= $1 and contradicted_attempt is null
                 and not exists (select from payout_hold h where kind = 'settlement' and h.merchant_id = beneficiary_id)
               order by pay_on, payout_id limit $2 for update skip locked),
           claimed as (
               update payout p set status = 'submitted', query_at = $3
               from due where p.payout_id = due.payout_id
               returning p.*),
           told as (
               insert into payout_event (payout_id, attempt_no, status, occurred_at)
               select payout_id, attempt_no, status, $4 from claimed)
           select c.payout_id as "payout_id: PayoutId", c.kind as "kind: PayoutKind", c.beneficiary_id, c.attempt_no,
                  c.amount_fen as "amount: Fen", coalesce(s.business_day, r.business_day) as "business_day?: BusinessDay",
                  coalesce(m.settlement_account_name, f.code) as payee_name,
                  coalesce(m.settlement_account_sealed, card.number_sealed) as number_sealed,
                  b.name_sealed as "name_sealed?", b.person_key_sealed, earlier.sent_at as "sent_at?",
                  earlier.denied_at as "denied_at?"
           from claimed c
           left join settlement s on c.kind = 'settlement' and s.settlement_id = c.source_id
           left join remittance r on c.kind = 'remittance' and r.remittance_id = c.source_id
           left join merchant m on c.kind = 'settlement' and m.merchant_id = c.beneficiary_id
           left join funder f on c.kind = 'remittance' and f.funder_id = c.beneficiary_id
           left join borrower b on c.kind = 'borrower' and b.borrower_id = c.beneficiary_id
           left join lateral (
               select number_sealed from bank_card k
               where k.borrower_id = b.borrower_id and k.status = 'bound'
               order by k.card_id = c.card_id desc nulls last, k.is_default desc limit 1) card on true
           left join lateral (
               select max(occurred_at) filter (where status = 'submitted' and was_held_up is not true) as sent_at,
                      max(occurred_at) filter (where status = 'created') as denied_at
               from (select status, occurred_at,
                            lead(status = 'unknown' and detail is not null) over (order by event_no) as was_held_up
                     from payout_event e where e.payout_id = c.payout_id and e.attempt_no = c.attempt_no) event) earlier on true
           order by c.payout_id"#,
        claim.today.date(),
        claim.limit,
        claim.query_at,
        claim.now,
    )
    .fetch_all(connection)
    .await
}

/// A payout to ask about.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    pub queries: i16,
}

/// Claims payouts that are due to be asked about, and sets when they are asked about next: 1, 2, 4 … 60 minutes later. One whose time
/// is further away was postponed by a clock that ran ahead, and is claimed too.
pub async fn claim_to_query(connection: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Asked>> {
    sqlx::query_as!(
        Asked,
        r#"with due as (
               select payout_id from payout
               where status in ('submitted', 'unknown') and (query_at <= $1 or query_at > $1 + interval '2 hours')
               order by query_at, payout_id limit $2 for update skip locked)
           update payout p set queries = least(p.queries + 1, 32000),
                  query_at = $1 + make_interval(mins => least(2 ^ least(p.queries, 6), 60)::int)
           from due where p.payout_id = due.payout_id
           returning p.payout_id as "payout_id: PayoutId", p.attempt_no, p.queries"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Claims payouts that are booked as paid and due to be asked about again, and sets the next time, a day later, until each was asked
/// about `times_max` times. One whose time is more than a day away was postponed by a clock that ran ahead, and is claimed too. Payouts
/// that the channel contradicts itself about are left out: people settle those.
///
/// Both ends of the index are searched separately: a single search would walk over all payouts of three days in between, every minute.
pub async fn claim_to_ask_again(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
    times_max: i16,
) -> sqlx::Result<Vec<Asked>> {
    sqlx::query_as!(
        Asked,
        r#"with due as (
               select payout_id from payout
               where status = 'succeeded' and query_at <= $1 and contradicted_attempt is null
               order by query_at, payout_id limit $2 for update skip locked),
           put_off as (
               select payout_id from payout
               where status = 'succeeded' and query_at > $1 + interval '26 hours' and contradicted_attempt is null
               order by query_at, payout_id limit $2 - (select count(*) from due) for update skip locked)
           update payout p set queries = p.queries + 1,
                  query_at = case when p.queries + 1 < $3 then $1 + interval '1 day' end
           from (select payout_id from due union all select payout_id from put_off) as asked
           where p.payout_id = asked.payout_id
           returning p.payout_id as "payout_id: PayoutId", p.attempt_no, p.queries"#,
        now,
        limit,
        i32::from(times_max),
    )
    .fetch_all(connection)
    .await
}
