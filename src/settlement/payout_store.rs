//! SQL of payouts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::contradiction::{Contradicted, Ending, Proposal};
use super::payout::{ContradictionKind, NewPayout, PayoutFor, PayoutKind, PayoutState, PayoutStatus, Standing};
use crate::base::id::{FunderId, LineId, MerchantId, PayoutId, RepaymentId};
use crate::base::{BusinessDay, Fen};

/// Writes payouts; one whose source has its payout already is left out. Returns how many were written.
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

/// A payout, locked because something about it may change.
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
    /// The earlier attempt whose payment is booked, since the channel said that it was paid after all and people said the same.
    pub paid_earlier: Option<i16>,
    /// When the present attempt was last taken to be sent; known of what is to be sent, and of what the channel contradicts itself about.
    pub sent_at: Option<DateTime<Utc>>,
    pub queries: i16,
    pub pay_on: BusinessDay,
    /// The attempt that the channel contradicts itself about, until people have settled that.
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

    /// The payout as people are to settle one of its attempts.
    pub fn to_settle(&self, contradicted_attempt: i16) -> Contradicted {
        let proposal = self.proposed_by.clone().map(|by| {
            let paid = self.proposed_reference.clone().map(|bank_reference| Ending::Paid { bank_reference });
            Proposal { ending: paid.unwrap_or(Ending::Failed), by }
        });
        let (status, attempt_no) = (self.status, self.attempt_no);
        Contradicted { status, attempt_no, contradicted_attempt, proposal }
    }

    /// Where the payout stands. Reference and failure are there whenever the status has them: the table's checks guarantee it.
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

/// Payouts by id, locked in id order; unknown ids are left out.
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

/// What a payout becomes.
#[derive(Clone, Debug)]
pub struct Change {
    pub payout_id: PayoutId,
    pub attempt_no: i16,
    pub before: PayoutStatus,
    pub after: PayoutStatus,
    pub failure: Option<String>,
    pub bank_reference: Option<String>,
    pub query_at: Option<DateTime<Utc>>,
    /// Why nothing was sent this time, where the payout stays unknown; written into its event.
    pub held_up: Option<String>,
}

/// Writes changes with their event rows. A payout that the channel now says was paid by its present attempt needs no settling any more,
/// if only the amount of that was; else an earlier attempt was to be settled, and the channel has named two payments. Returns how many
/// payouts were still as they were read.
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

/// A source that was paid: a settlement or remittance, and the bank's reference.
#[derive(Clone, Debug)]
pub struct PaidSource {
    pub source_id: Uuid,
    pub bank_reference: String,
}

impl PaidSource {
    /// Ids and references in parallel, as statements take them.
    pub fn columns(paid: &[PaidSource]) -> (Vec<Uuid>, Vec<&str>) {
        paid.iter().map(|source| (source.source_id, source.bank_reference.as_str())).unzip()
    }
}

/// Marks settlements as paid; returns how many of them were waiting to be paid.
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

/// What these settlements paid of each funder's money.
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
    /// The present one.
    pub attempt_no: i16,
}

/// What is expected of a payout; `None` where there is no such payout.
pub async fn find_expected(connection: &mut PgConnection, payout_id: PayoutId) -> sqlx::Result<Option<Expected>> {
    sqlx::query_as!(
        Expected,
        r#"select amount_fen as "amount: Fen", status as "status: PayoutStatus", attempt_no from payout where payout_id = $1"#,
        payout_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// The payout of what a repayment left over.
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

/// Writes who asked for a retry into the payout's events.
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
    /// Who is paid, one of these: a merchant, a funder by its code, or whose line it is.
    pub merchant_id: Option<MerchantId>,
    pub funder: Option<String>,
    pub line_id: Option<LineId>,
    pub amount: Fen,
    /// `created`, `submitted`, `unknown`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    pub failure: Option<String>,
    pub pay_on: BusinessDay,
    pub attempt_no: i16,
    /// The attempt that the channel contradicts itself about, until people have settled that; how, and for how many business days.
    pub contradicted_attempt: Option<i16>,
    pub contradiction: Option<ContradictionKind>,
    pub contradicted_days: Option<i32>,
    pub proposed_reference: Option<String>,
    pub proposed_by: Option<String>,
}

/// Which payouts are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only those that have failed and were not retried.
    pub failed_only: bool,
    /// Only those without a result: not sent yet, or sent without a word that counts.
    pub pending_only: bool,
    /// Only those that people have to settle.
    pub contradicted_only: bool,
    /// Only those that pay this merchant's settlements.
    pub merchant_id: Option<MerchantId>,
    /// Only those that are older than this one.
    pub before: Option<PayoutId>,
}

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
                  pay_on as "pay_on: BusinessDay", attempt_no, contradicted_attempt,
                  contradiction as "contradiction: ContradictionKind",
                  (select today from business_day) - contradicted_on as contradicted_days, proposed_reference, proposed_by
           from payout where (status = 'failed' or not $1) and (contradicted_attempt is not null or not $2)
             and ($4::uuid is null
                  or kind = 'settlement' and source_id in (select s.settlement_id from settlement s where s.merchant_id = $4))
             and (status in ('created', 'submitted', 'unknown') or not $5)
             and ($6::uuid is null
                  or (created_at, payout_id) < (select b.created_at, b.payout_id from payout b where b.payout_id = $6))
           order by created_at desc, payout_id desc limit $3"#,
        wanted.failed_only,
        wanted.contradicted_only,
        limit,
        wanted.merchant_id.map(MerchantId::uuid),
        wanted.pending_only,
        wanted.before.map(PayoutId::uuid),
    )
    .fetch_all(connection)
    .await
}
