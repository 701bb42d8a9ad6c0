//! SQL of payouts: writing them, changing their states, marking what they paid, and listing them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::contradiction::{Contradicted, Ending, Proposal};
use super::payout::{ContradictionKind, NewPayout, PayoutFor, PayoutKind, PayoutState, PayoutStatus, Standing};
use crate::base::id::{FunderId, LineId, MerchantId, PayoutId, RepaymentId};
use crate::base::{BusinessDay, Fen};

/// Inserts payouts, except those whose source has a payout already. Returns how many were inserted.
pub async fn insert_payouts(connection: &mut PgConnection, payouts: &[NewPayout]) -> sqlx::Result<u64> {
    if payouts.is_empty() {
        return Ok(0);
    }
    let mut columns = NewColumns::default();
    payouts.iter().for_each(|payout| columns.push(payout));
    let done = sqlx::query!(
        "insert into payout (payout_id, kind, source_id, beneficiary_id, card_id, line_id, funder_id, amount_fen,
                             status, pay_on, created_at)
         select p.payout_id, p.kind, p.source_id, p.beneficiary_id, p.card_id, p.line_id, p.funder_id, p.amount_fen,
                'created', p.pay_on, p.created_at
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[],
                     $9::date[], $10::timestamptz[])
              as p(payout_id, kind, source_id, beneficiary_id, card_id, line_id, funder_id, amount_fen, pay_on, created_at)
         on conflict (kind, source_id) do nothing",
        &columns.payout_id,
        &columns.kind as &[PayoutKind],
        &columns.source_id,
        &columns.beneficiary_id,
        &columns.card_id as &[Option<Uuid>],
        &columns.line_id as &[Option<Uuid>],
        &columns.funder_id as &[Option<Uuid>],
        &columns.amount,
        &columns.pay_on,
        &columns.created_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

#[derive(Default)]
struct NewColumns {
    payout_id: Vec<Uuid>,
    kind: Vec<PayoutKind>,
    source_id: Vec<Uuid>,
    beneficiary_id: Vec<Uuid>,
    card_id: Vec<Option<Uuid>>,
    line_id: Vec<Option<Uuid>>,
    funder_id: Vec<Option<Uuid>>,
    amount: Vec<i64>,
    pay_on: Vec<chrono::NaiveDate>,
    created_at: Vec<DateTime<Utc>>,
}

impl NewColumns {
    fn push(&mut self, payout: &NewPayout) {
        self.payout_id.push(payout.payout_id.uuid());
        self.amount.push(payout.amount.get());
        self.pay_on.push(payout.pay_on.date());
        self.created_at.push(payout.created_at);
        let (kind, source_id, beneficiary_id) = match payout.paid_for {
            PayoutFor::Settlement { settlement_id, merchant_id } => {
                (PayoutKind::Settlement, settlement_id.uuid(), merchant_id.uuid())
            }
            PayoutFor::Remittance { remittance_id, funder_id } => {
                (PayoutKind::Remittance, remittance_id.uuid(), funder_id.uuid())
            }
            PayoutFor::Borrower { source_id, borrower_id, .. } => (PayoutKind::Borrower, source_id, borrower_id.uuid()),
        };
        let (card_id, line_id, funder_id) = match payout.paid_for {
            PayoutFor::Settlement { .. } | PayoutFor::Remittance { .. } => (None, None, None),
            PayoutFor::Borrower { card_id, line_id, funder_id, .. } => {
                (card_id.map(|id| id.uuid()), Some(line_id.uuid()), Some(funder_id.uuid()))
            }
        };
        self.kind.push(kind);
        self.source_id.push(source_id);
        self.beneficiary_id.push(beneficiary_id);
        self.card_id.push(card_id);
        self.line_id.push(line_id);
        self.funder_id.push(funder_id);
    }
}

/// A payout, locked for a change.
#[derive(Clone, Debug)]
pub struct Locked {
    pub payout_id: PayoutId,
    pub kind: PayoutKind,
    pub source_id: Uuid,
    pub beneficiary_id: Uuid,
    pub line_id: Option<LineId>,
    pub funder_id: Option<FunderId>,
    pub amount: Fen,
    pub status: PayoutStatus,
    pub failure: Option<String>,
    pub bank_reference: Option<String>,
    pub attempt_no: i16,
    /// The earlier attempt whose payment is booked, because the channel said later that it was paid and people stated the same.
    pub paid_earlier: Option<i16>,
    /// When the present attempt was last claimed to be sent; only known for payouts to send and contradicted ones.
    pub sent_at: Option<DateTime<Utc>>,
    pub queries: i16,
    pub pay_on: BusinessDay,
    /// The attempt that the channel contradicts itself about, until people have settled it.
    pub contradicted_attempt: Option<i16>,
    pub contradiction: Option<ContradictionKind>,
    pub proposed_reference: Option<String>,
    pub proposed_by: Option<String>,
}

impl Locked {
    /// Whether people have to settle an earlier attempt than the present one.
    pub fn is_earlier_contradicted(&self) -> bool {
        self.contradicted_attempt.is_some_and(|attempt_no| attempt_no < self.attempt_no)
    }

    /// The payout, for people to settle one of its attempts.
    pub fn to_settle(&self, contradicted_attempt: i16) -> Contradicted {
        let proposal = self.proposed_by.clone().map(|by| {
            let paid = self.proposed_reference.clone().map(|bank_reference| Ending::Paid { bank_reference });
            Proposal { ending: paid.unwrap_or(Ending::Failed), by }
        });
        let (status, attempt_no) = (self.status, self.attempt_no);
        Contradicted { status, attempt_no, contradicted_attempt, proposal }
    }

    /// The payout's state. Reference and failure exist whenever the status needs them: constraints of the table guarantee it.
    pub fn standing(&self) -> Standing {
        let state = match self.status {
            PayoutStatus::Created => PayoutState::Created,
            PayoutStatus::Submitted => PayoutState::Submitted,
            PayoutStatus::Unknown => PayoutState::Unknown,
            PayoutStatus::Succeeded => {
                PayoutState::Succeeded { bank_reference: self.bank_reference.clone().unwrap_or_default() }
            }
            PayoutStatus::Failed => PayoutState::Failed { failure: self.failure.clone().unwrap_or_default() },
            PayoutStatus::Cancelled => PayoutState::Cancelled,
        };
        Standing { attempt_no: self.attempt_no, paid_earlier: self.paid_earlier, amount: self.amount, state }
    }
}

/// Locks payouts in id order; unknown ids are left out.
pub async fn lock_payouts(connection: &mut PgConnection, payout_ids: &[PayoutId]) -> sqlx::Result<Vec<Locked>> {
    let ids: Vec<Uuid> = payout_ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as!(
        Locked,
        r#"select payout_id as "payout_id: PayoutId", kind as "kind: PayoutKind", source_id, beneficiary_id,
                  line_id as "line_id: LineId", funder_id as "funder_id: FunderId", amount_fen as "amount: Fen",
                  status as "status: PayoutStatus", failure, bank_reference, attempt_no, queries,
                  pay_on as "pay_on: BusinessDay", contradicted_attempt, contradiction as "contradiction: ContradictionKind",
                  proposed_reference, proposed_by,
                  (select e.attempt_no from payout_event e
                   where e.payout_id = payout.payout_id and e.status = 'contradicted' and e.detail = payout.bank_reference
                     and e.attempt_no < payout.attempt_no order by e.event_no desc limit 1) as "paid_earlier?",
                  case when status = 'created' or contradicted_attempt is not null
                       then (select max(e.occurred_at) from payout_event e
                             where e.payout_id = payout.payout_id and e.attempt_no = payout.attempt_no and e.status = 'submitted')
                       end as "sent_at?"
           from payout where payout_id = any($1) order by payout_id for update"#,
        &ids
    )
    .fetch_all(connection)
    .await
}

/// A change of a payout's status.
#[derive(Clone, Debug)]
pub struct Change {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    pub before: PayoutStatus,
    pub after: PayoutStatus,
    pub failure: Option<String>,
    pub bank_reference: Option<String>,
    pub query_at: Option<DateTime<Utc>>,
    /// Why nothing was sent this time, for a payout that stays unknown; written into its event.
    pub held_up: Option<String>,
}

/// Saves changes with their event rows. When the channel says that the present attempt was paid and only its amount was in dispute, the
/// payout need not be settled any more; if an earlier attempt is in dispute, the channel has now named two payments. Returns how many
/// payouts still had the status that was read.
pub async fn save_changes(connection: &mut PgConnection, changes: &[Change], now: DateTime<Utc>) -> sqlx::Result<u64> {
    let payout_id: Vec<Uuid> = changes.iter().map(|change| change.payout_id.uuid()).collect();
    let attempt_no: Vec<i16> = changes.iter().map(|change| change.attempt_no).collect();
    let before: Vec<PayoutStatus> = changes.iter().map(|change| change.before).collect();
    let after: Vec<PayoutStatus> = changes.iter().map(|change| change.after).collect();
    let failure: Vec<Option<&str>> = changes.iter().map(|change| change.failure.as_deref()).collect();
    let bank_reference: Vec<Option<&str>> = changes.iter().map(|change| change.bank_reference.as_deref()).collect();
    let query_at: Vec<Option<DateTime<Utc>>> = changes.iter().map(|change| change.query_at).collect();
    let held_up: Vec<Option<&str>> = changes.iter().map(|change| change.held_up.as_deref()).collect();
    let done = sqlx::query!(
        "with changed as (
             update payout p set status = c.after, attempt_no = c.attempt_no, failure = c.failure,
                    bank_reference = c.bank_reference, query_at = c.query_at,
                    queries = case when c.after = 'succeeded' or p.attempt_no < c.attempt_no then 0 else p.queries end,
                    final_at = case when c.after in ('succeeded', 'failed', 'cancelled') then $8::timestamptz end,
                    contradicted_attempt = case when c.after <> 'succeeded' or p.contradicted_attempt < c.attempt_no
                                                     or p.contradiction <> 'amount_differs' then p.contradicted_attempt end,
                    contradiction = case when c.after <> 'succeeded' then p.contradiction
                                         when p.contradicted_attempt < c.attempt_no or p.contradiction <> 'amount_differs'
                                              then 'named_twice' end,
                    contradicted_on = case when c.after <> 'succeeded' or p.contradicted_attempt < c.attempt_no
                                                or p.contradiction <> 'amount_differs' then p.contradicted_on end,
                    proposed_reference = case when c.after <> 'succeeded' then p.proposed_reference end,
                    proposed_by = case when c.after <> 'succeeded' then p.proposed_by end
             from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $9::text[])
                  as c(payout_id, attempt_no, before, after, failure, bank_reference, query_at, held_up)
             where p.payout_id = c.payout_id and p.status = c.before
             returning p.payout_id, p.attempt_no, p.status, coalesce(p.failure, p.bank_reference, c.held_up) as detail)
         insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, status, detail, $8 from changed",
        &payout_id,
        &attempt_no,
        &before as &[PayoutStatus],
        &after as &[PayoutStatus],
        &failure as &[Option<&str>],
        &bank_reference as &[Option<&str>],
        &query_at as &[Option<DateTime<Utc>>],
        now,
        &held_up as &[Option<&str>],
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A paid settlement or remittance, and the bank's reference.
#[derive(Clone, Debug)]
pub struct PaidSource {
    pub source_id: Uuid,
    pub bank_reference: String,
}

impl PaidSource {
    /// Ids and references as two parallel columns, for statements.
    pub fn columns(paid: &[PaidSource]) -> (Vec<Uuid>, Vec<&str>) {
        paid.iter().map(|source| (source.source_id, source.bank_reference.as_str())).unzip()
    }
}

/// Marks settlements as paid; returns how many of them were to be paid.
pub async fn mark_settlements_paid(
    connection: &mut PgConnection,
    paid: &[PaidSource],
    today: BusinessDay,
) -> sqlx::Result<u64> {
    let (source_id, bank_reference) = PaidSource::columns(paid);
    let done = sqlx::query!(
        "update settlement s set status = 'paid', paid_on = $3, bank_reference = p.bank_reference
         from unnest($1::uuid[], $2::text[]) as p(settlement_id, bank_reference)
         where s.settlement_id = p.settlement_id and s.status = 'to_pay'",
        &source_id,
        &bank_reference as &[&str],
        today.date(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// One funder's part of a settlement that was paid.
#[derive(Clone, Debug)]
pub struct PaidPart {
    pub settlement_id: Uuid,
    pub merchant_id: MerchantId,
    /// The day that it settles.
    pub business_day: BusinessDay,
    pub funder_id: FunderId,
    pub funder_code: String,
    pub amount: Fen,
}

/// What these settlements paid from each funder's money.
pub async fn load_paid_parts(connection: &mut PgConnection, settlement_ids: &[Uuid]) -> sqlx::Result<Vec<PaidPart>> {
    sqlx::query_as!(
        PaidPart,
        r#"select p.settlement_id, s.merchant_id as "merchant_id: MerchantId", s.business_day as "business_day: BusinessDay",
                  p.funder_id as "funder_id: FunderId", f.code as funder_code,
                  p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen - p.subsidy_fen
                      + p.subsidy_returned_fen + p.carried_in_fen as "amount!: Fen"
           from settlement_part p
           join settlement s on s.settlement_id = p.settlement_id
           join funder f on f.funder_id = p.funder_id
           where p.settlement_id = any($1)
           order by p.settlement_id, p.funder_id"#,
        settlement_ids
    )
    .fetch_all(connection)
    .await
}

/// What a callback about a payout is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub amount: Fen,
    pub status: PayoutStatus,
    /// The present attempt.
    pub attempt_no: i16,
}

/// What a callback about a payout is compared with; `None` if there is no such payout.
pub async fn find_expected(connection: &mut PgConnection, payout_id: PayoutId) -> sqlx::Result<Option<Expected>> {
    sqlx::query_as!(
        Expected,
        r#"select amount_fen as "amount: Fen", status as "status: PayoutStatus", attempt_no from payout where payout_id = $1"#,
        payout_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// The payout of a repayment's excess.
pub async fn find_left_over(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
) -> sqlx::Result<Option<PayoutId>> {
    sqlx::query_scalar!(
        r#"select payout_id as "payout_id: PayoutId" from payout where kind = 'borrower' and source_id = $1"#,
        repayment_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// Whether an attempt of a payout was ever sent.
pub async fn was_sent(connection: &mut PgConnection, payout_id: PayoutId, attempt_no: i16) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from payout_event
                          where payout_id = $1 and attempt_no = $2 and status = 'submitted') as "was_sent!""#,
        payout_id.uuid(),
        attempt_no
    )
    .fetch_one(connection)
    .await
}

/// Writes into the payout's events who asked for a retry.
pub async fn insert_retry_event(
    connection: &mut PgConnection,
    payout_id: PayoutId,
    asked_by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into payout_event (payout_id, attempt_no, status, detail, occurred_at)
         select payout_id, attempt_no, 'retried', 'asked by ' || $2, $3 from payout where payout_id = $1",
        payout_id.uuid(),
        asked_by,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A payout as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub payout_id: PayoutId,
    /// `settlement`, `remittance` or `borrower`.
    pub kind: String,
    /// The payee: a merchant, a funder by its code, or the borrower of a line; the others are `None`.
    pub merchant_id: Option<MerchantId>,
    pub funder: Option<String>,
    pub line_id: Option<LineId>,
    pub amount: Fen,
    /// `created`, `submitted`, `unknown`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    pub failure: Option<String>,
    pub pay_on: BusinessDay,
    pub attempt_no: i16,
    /// Whether it is not sent because its merchant's payouts are held.
    pub is_held: bool,
    /// The attempt that the channel contradicts itself about, until people have settled it; how, and for how many business days.
    pub contradicted_attempt: Option<i16>,
    pub contradiction: Option<ContradictionKind>,
    pub contradicted_days: Option<i32>,
    pub proposed_reference: Option<String>,
    pub proposed_by: Option<String>,
}

/// Filters of the list of payouts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only those that have failed and were not retried.
    pub failed_only: bool,
    /// Only those without an outcome: not sent yet, or sent without an answer that counts.
    pub pending_only: bool,
    /// Only those that people have to settle.
    pub contradicted_only: bool,
    /// Only those that are held with their merchant's.
    pub held_only: bool,
    /// Only those that pay this merchant's settlements.
    pub merchant_id: Option<MerchantId>,
    /// Only those that give money of this line back to its borrower's card.
    pub line_id: Option<LineId>,
    /// Only those that are older than this one.
    pub before: Option<PayoutId>,
}

/// Whether there is such a payout.
pub async fn has_payout(connection: &mut PgConnection, payout_id: PayoutId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from payout where payout_id = $1) as "exists!""#,
        payout_id.uuid()
    );
    found.fetch_one(connection).await
}

/// Payouts, newest first.
pub async fn list_payouts(connection: &mut PgConnection, wanted: Wanted, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select payout_id as "payout_id: PayoutId", kind,
                  case when kind = 'settlement' then beneficiary_id end as "merchant_id?: MerchantId",
                  (select f.code from funder f where kind = 'remittance' and f.funder_id = beneficiary_id) as "funder?",
                  line_id as "line_id: LineId", amount_fen as "amount: Fen", status, failure,
                  pay_on as "pay_on: BusinessDay", attempt_no, held.is_held as "is_held!", contradicted_attempt,
                  contradiction as "contradiction: ContradictionKind",
                  (select today from business_day) - contradicted_on as contradicted_days, proposed_reference, proposed_by
           from payout
           cross join lateral (
               select kind = 'settlement' and status in ('created', 'failed')
                      and beneficiary_id in (select h.merchant_id from payout_hold h) as is_held) held
           where (status = 'failed' or not $1) and (contradicted_attempt is not null or not $2) and (held.is_held or not $8)
             and ($4::uuid is null
                  or kind = 'settlement' and source_id in (select s.settlement_id from settlement s where s.merchant_id = $4))
             and (status in ('created', 'submitted', 'unknown') or not $5)
             and ($6::uuid is null
                  or (created_at, payout_id) < (select b.created_at, b.payout_id from payout b where b.payout_id = $6))
             and ($7::uuid is null or line_id = $7)
           order by created_at desc, payout_id desc limit $3"#,
        wanted.failed_only,
        wanted.contradicted_only,
        limit,
        wanted.merchant_id.map(MerchantId::uuid),
        wanted.pending_only,
        wanted.before.map(PayoutId::uuid),
        wanted.line_id.map(LineId::uuid),
        wanted.held_only,
    )
    .fetch_all(connection)
    .await
}
