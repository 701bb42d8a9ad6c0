//! SQL of the story and its report.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::Fen;
use crate::base::id::CardId;
use crate::ledger::Account;

/// How many of a kind, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub name: String,
    pub count: i64,
    pub amount: Fen,
}

/// Sums over the whole book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    pub settled: Fen,
    pub to_settle: Fen,
    pub discount_fees: Fen,
    pub subsidies: Fen,
    pub billed: Fen,
    pub collected: Fen,
    pub outstanding: Fen,
    pub interest_accrued: Fen,
    pub penalty_collected: Fen,
    /// What was written off of loans, and what was collected on them afterwards.
    pub charged_off: Fen,
    pub recovered: Fen,
    pub remitted: Fen,
    pub platform_share: Fen,
}

impl Money {
    pub fn rows(&self) -> [(&'static str, Fen); 13] {
        [
            ("settled to merchants", self.settled),
            ("to be settled to merchants", self.to_settle),
            ("discount fees (platform's income)", self.discount_fees),
            ("subsidies paid by merchants", self.subsidies),
            ("billed", self.billed),
            ("collected", self.collected),
            ("remitted to funders", self.remitted),
            ("platform's share of income", self.platform_share),
            ("principal outstanding", self.outstanding),
            ("interest and fees accrued", self.interest_accrued),
            ("penalty collected", self.penalty_collected),
            ("charged off", self.charged_off),
            ("recovered of it", self.recovered),
        ]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveStanding {
    pub funder: String,
    pub deposited: Fen,
    pub withdrawn: Fen,
    pub available: Fen,
    pub held: Fen,
}

impl ReserveStanding {
    pub fn used(&self) -> Fen {
        self.deposited - self.withdrawn - self.available
    }

    pub fn used_per_cent(&self) -> i64 {
        let whole = self.deposited.get().max(1);
        Fen::new(100).share(self.used().get(), whole).get()
    }
}

pub async fn count_applications(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select status || coalesce(': ' || refusal, case when grade is null then '' else ' grade ' || grade end) as "name!", count(*) as "count!",
                  coalesce(sum(limit_fen), 0)::bigint as "amount!: Fen"
           from application group by 1 order by 1"#
    )
    .fetch_all(connection)
    .await
}

pub async fn count_purchases(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select status || coalesce(': ' || refusal, '') as "name!", count(*) as "count!",
                  coalesce(sum(amount_fen), 0)::bigint as "amount!: Fen"
           from purchase group by 1 order by 1"#
    )
    .fetch_all(connection)
    .await
}

pub async fn count_refunds(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select 'refunds' as "name!", count(*) as "count!", coalesce(sum(amount_fen), 0)::bigint as "amount!: Fen" from refund
           union all
           select 'of which paid back to cards', count(*), coalesce(sum(owed_back_fen + interest_back_fen + fee_back_fen), 0)::bigint
           from refund where owed_back_fen + interest_back_fen + fee_back_fen > 0"#
    )
    .fetch_all(connection)
    .await
}

pub async fn count_withholdings(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select status || coalesce(': ' || failure, '') as "name!", count(*) as "count!",
                  coalesce(sum(collected_fen), 0)::bigint as "amount!: Fen"
           from withholding group by 1 order by 1"#
    )
    .fetch_all(connection)
    .await
}

pub async fn count_payouts(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select kind || ': ' || status as "name!", count(*) as "count!", coalesce(sum(amount_fen), 0)::bigint as "amount!: Fen"
           from payout group by 1 order by 1"#
    )
    .fetch_all(connection)
    .await
}

/// Withholdings or payouts whose outcome the channel did not tell at once.
#[derive(Clone, Copy, Debug)]
pub struct Unknowns {
    /// Those whose outcome is known by now, from a query or a callback.
    pub resolved: i64,
    pub open: i64,
}

pub async fn count_unknown_withholdings(connection: &mut PgConnection) -> sqlx::Result<Unknowns> {
    sqlx::query_as!(
        Unknowns,
        r#"select count(*) filter (where (was_unknown or queries > 0) and status in ('succeeded', 'failed')) as "resolved!",
                  count(*) filter (where status = 'unknown') as "open!"
           from withholding"#
    )
    .fetch_one(connection)
    .await
}

pub async fn count_unknown_payouts(connection: &mut PgConnection) -> sqlx::Result<Unknowns> {
    sqlx::query_as!(
        Unknowns,
        r#"select count(*) filter (where p.status in ('succeeded', 'failed')) as "resolved!",
                  count(*) filter (where p.status = 'unknown') as "open!"
           from payout p
           where exists (select from payout_event e where e.payout_id = p.payout_id and e.status = 'unknown')"#
    )
    .fetch_one(connection)
    .await
}

pub async fn count_breaks(connection: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"select kind || ', ' || status as "name!", count(*) as "count!", coalesce(sum(their_fen - our_fen), 0)::bigint as "amount!: Fen"
           from reconciliation_break group by 1 order by 1"#
    )
    .fetch_all(connection)
    .await
}

pub async fn load_reserves(connection: &mut PgConnection) -> sqlx::Result<Vec<ReserveStanding>> {
    sqlx::query_as!(
        ReserveStanding,
        r#"select f.name as funder, r.deposited_fen as "deposited!: Fen", r.withdrawn_fen as "withdrawn!: Fen",
                  r.available_fen as "available!: Fen", r.held_fen as "held!: Fen"
           from reserve_now r join funder f on f.funder_id = r.funder_id order by f.code"#
    )
    .fetch_all(connection)
    .await
}

pub async fn sum_money(connection: &mut PgConnection) -> sqlx::Result<Money> {
    let recovery_income = Account::RecoveryIncome.number();
    sqlx::query_as!(
        Money,
        r#"select
             (select coalesce(sum(payable_fen), 0)::bigint from settlement where status = 'paid') as "settled!: Fen",
             (select coalesce(sum(payable_fen), 0)::bigint from settlement where status = 'to_pay') as "to_settle!: Fen",
             (select coalesce(sum(discount_fee_fen), 0)::bigint from settlement) as "discount_fees!: Fen",
             (select coalesce(sum(subsidy_fen), 0)::bigint from settlement) as "subsidies!: Fen",
             (select coalesce(sum(principal_fen + interest_fen + fee_fen), 0)::bigint from bill) as "billed!: Fen",
             (select coalesce(sum(amount_fen - excess_fen), 0)::bigint from repayment) as "collected!: Fen",
             (select coalesce(sum(used_fen), 0)::bigint from credit_line) as "outstanding!: Fen",
             (select coalesce(sum(accrued_fen), 0)::bigint from interest_span where charge in ('interest', 'fee'))
                 as "interest_accrued!: Fen",
             (select coalesce(sum(penalty_paid_fen), 0)::bigint from bill_line) as "penalty_collected!: Fen",
             (select coalesce(sum(principal_fen + interest_fen + fee_fen), 0)::bigint from charge_off) as "charged_off!: Fen",
             (select coalesce(sum(case when leg.credit = $1 then leg.amount_fen else -leg.amount_fen end), 0)::bigint
              from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
              where leg.credit = $1 or leg.debit = $1) as "recovered!: Fen",
             (select coalesce(sum(payable_fen), 0)::bigint from remittance where status = 'paid') as "remitted!: Fen",
             (select coalesce(sum(share_fen), 0)::bigint from remittance) as "platform_share!: Fen""#,
        recovery_income
    )
    .fetch_one(connection)
    .await
}

/// The withholding agreements of cards.
pub async fn load_agreement_numbers(
    connection: &mut PgConnection,
    card_ids: &[CardId],
) -> sqlx::Result<HashMap<CardId, String>> {
    let rows = sqlx::query!(
        r#"select card_id as "card_id: CardId", agreement_number from bank_card where card_id = any($1)"#,
        &card_ids.iter().map(|card_id| card_id.uuid()).collect::<Vec<Uuid>>()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.card_id, row.agreement_number)).collect())
}
