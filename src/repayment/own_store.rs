//! SQL of withholding orders as their borrower sees them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::base::id::{BorrowerId, LineId, LoanId, ProductId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};

/// One order to take money from a card, and what its money settled.
#[derive(Clone, Debug)]
pub struct OwnOrder {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    /// `due`, `button` or `payoff`.
    pub purpose: String,
    pub loan_id: Option<LoanId>,
    pub amount: Fen,
    /// `created`, `submitted`, `unknown`, `succeeded` or `failed`.
    pub status: String,
    pub failure: Option<String>,
    pub card_tail: Option<String>,
    pub created_at: DateTime<Utc>,
    pub final_at: Option<DateTime<Utc>>,
    /// What it collected and was not reversed: by the bank's answer, or by its daily file if that reports more than the answer.
    pub booked: Fen,
    /// The principal that was paid with it.
    pub principal: Fen,
    /// Interest and all period fees.
    pub interest: Fen,
    pub penalty: Fen,
    /// What no installment could take; it is paid back to the card.
    pub excess: Fen,
}

/// Which of a borrower's orders; `None` does not filter.
#[derive(Default)]
struct Which<'a> {
    withholding_id: Option<WithholdingId>,
    key: Option<&'a str>,
}

/// An order by its id, or the order that it was rerouted as: if a channel is down, the next one takes the money by an order of its own.
pub async fn find(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    withholding_id: WithholdingId,
) -> sqlx::Result<Option<OwnOrder>> {
    select(connection, borrower_id, Which { withholding_id: Some(withholding_id), ..Which::default() }).await
}

/// An order by its idempotency key, or the order that it was rerouted as.
pub async fn find_by_key(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    key: &str,
) -> sqlx::Result<Option<OwnOrder>> {
    select(connection, borrower_id, Which { key: Some(key), ..Which::default() }).await
}

/// Starts from the borrower's lines, because the indexes of orders start with the line. Of a rerouted order, whose key names the first
/// one, the last one is returned.
async fn select(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    which: Which<'_>,
) -> sqlx::Result<Option<OwnOrder>> {
    sqlx::query_as!(
        OwnOrder,
        r#"with recursive sent_on as (
               select w.line_id, w.withholding_id, 0 as times
               from credit_line l
               join withholding w on w.line_id = l.line_id
               where l.borrower_id = $1 and ($2::uuid is null or w.withholding_id = $2)
                 and ($3::text is null or w.idempotency_key = $3)
               union all
               select w.line_id, w.withholding_id, earlier.times + 1
               from sent_on earlier
               join withholding w on w.line_id = earlier.line_id
                    and starts_with(w.idempotency_key, 'wh_' || replace(earlier.withholding_id::text, '-', '') || '/'))
           select w.withholding_id as "withholding_id: WithholdingId", w.line_id as "line_id: LineId", w.purpose,
                  w.loan_id as "loan_id: LoanId", w.amount_fen as "amount: Fen", w.status, w.failure,
                  c.number_tail as "card_tail?", w.created_at, w.final_at, came.booked_fen as "booked!: Fen",
                  came.principal_fen as "principal!: Fen", came.interest_fen as "interest!: Fen",
                  came.penalty_fen as "penalty!: Fen", came.excess_fen as "excess!: Fen"
           from sent_on
           join withholding w on w.line_id = sent_on.line_id and w.withholding_id = sent_on.withholding_id
           left join bank_card c on c.borrower_id = w.borrower_id and c.card_id = w.card_id
           cross join lateral (
               select coalesce(sum(r.amount_fen), 0)::bigint as booked_fen,
                      coalesce(sum((select sum(part) from unnest(r.principal_fen) as part)), 0)::bigint as principal_fen,
                      coalesce(sum((select sum(part) from unnest(r.interest_fen || r.fee_fen) as part)), 0)::bigint as interest_fen,
                      coalesce(sum((select sum(part) from unnest(r.penalty_fen) as part)), 0)::bigint as penalty_fen,
                      coalesce(sum(r.excess_fen), 0)::bigint as excess_fen
               from repayment r
               where r.line_id = w.line_id and r.source in ('withholding', 'channel_file')
                 and r.source_reference = w.withholding_id::text
                 and not exists (select from repayment b where b.line_id = r.line_id and b.source = 'reversal'
                                 and b.source_reference = r.repayment_id::text)) came
           order by w.created_at desc, sent_on.times desc limit 1"#,
        borrower_id.uuid(),
        which.withholding_id.map(WithholdingId::uuid),
        which.key,
    )
    .fetch_optional(connection)
    .await
}

/// What a payment settled of one installment.
#[derive(Clone, Debug)]
pub struct OwnItem {
    pub repayment_id: RepaymentId,
    pub business_day: BusinessDay,
    pub loan_id: LoanId,
    /// From 1.
    pub period: i16,
    /// Whether it is the row that an early payoff made, the only one with the fee for paying off early.
    pub is_payoff: bool,
    pub merchant_name: String,
    /// The product version that the loan was made under.
    pub product_id: ProductId,
    pub product_version: i32,
    /// How many periods the loan has.
    pub loan_periods: i16,
    pub principal: Fen,
    pub interest: Fen,
    pub fee: Fen,
    pub penalty: Fen,
}

/// What the money of an order settled, in the order of allocation; empty before it came, and after it was reversed.
pub async fn list_items(
    connection: &mut PgConnection,
    line_id: LineId,
    withholding_id: WithholdingId,
) -> sqlx::Result<Vec<OwnItem>> {
    sqlx::query_as!(
        OwnItem,
        r#"select r.repayment_id as "repayment_id: RepaymentId", r.business_day as "business_day: BusinessDay",
                  item.loan_id as "loan_id!: LoanId", item.period as "period!",
                  exists (select from bill_line i where i.line_id = r.line_id and i.loan_id = item.loan_id
                          and i.period = item.period and i.origin = 'payoff') as "is_payoff!", m.name as merchant_name,
                  l.product_id as "product_id: ProductId", l.product_version, l.periods as loan_periods,
                  item.principal_fen as "principal!: Fen", item.interest_fen as "interest!: Fen",
                  item.fee_fen as "fee!: Fen", item.penalty_fen as "penalty!: Fen"
           from repayment r
           cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                with ordinality as item(loan_id, period, principal_fen, interest_fen, fee_fen, penalty_fen, place)
           join loan l on l.loan_id = item.loan_id and l.line_id = r.line_id
           join merchant m on m.merchant_id = l.merchant_id
           where r.line_id = $1 and r.source in ('withholding', 'channel_file') and r.source_reference = $2
             and not exists (select from repayment b where b.line_id = r.line_id and b.source = 'reversal'
                             and b.source_reference = r.repayment_id::text)
           order by r.received_at, r.repayment_id, item.place"#,
        line_id.uuid(),
        withholding_id.uuid().to_string(),
    )
    .fetch_all(connection)
    .await
}
