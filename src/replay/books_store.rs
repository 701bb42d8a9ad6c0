//! SQL for the expectations of scenarios: each function returns one row as JSON, amounts in fen; its columns are the fields in `expect.rs`.

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A row; `None` if there is none.
type Row = sqlx::Result<Option<Value>>;

/// The borrower's latest application.
pub async fn find_application(connection: &mut PgConnection, borrower_id: Uuid) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select application_id, status, grade, limit_fen as limit, refusal, referral, decided_by, line_id
             from application where borrower_id = $1 order by created_at desc, application_id desc limit 1) x",
        borrower_id
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

pub async fn find_line(connection: &mut PgConnection, line_id: Uuid) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select limit_fen as limit, used_fen as used, limit_fen - used_fen as available, status, frozen_for, grade,
                    statement_day, due_day, last_entry_no as entries
             from credit_line where line_id = $1) x",
        line_id
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// A bill without the amounts that change each day, which `books.rs` adds.
pub async fn find_bill(connection: &mut PgConnection, line_id: Uuid, due_on: NaiveDate) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select b.principal_fen + b.interest_fen + b.fee_fen as total, b.principal_fen as principal,
                    b.interest_fen as interest, b.fee_fen as fee, b.status, b.statement_on, b.paid_on,
                    sum(i.principal_paid_fen + i.interest_paid_fen + i.fee_paid_fen)::bigint as paid,
                    sum(i.principal_returned_fen + i.interest_returned_fen + i.fee_returned_fen)::bigint as returned,
                    sum(i.penalty_paid_fen)::bigint as penalty_paid
             from bill b
             left join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
             where b.line_id = $1 and b.due_on = $2
             group by b.line_id, b.due_on) x",
        line_id,
        due_on
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

pub async fn find_loan(connection: &mut PgConnection, loan_id: Uuid) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select status, principal_fen as principal, principal_fen - principal_paid_fen - principal_returned_fen as outstanding,
                    principal_paid_fen as paid, principal_returned_fen as returned, schedule_version as version, closed_on,
                    (select c.business_day from charge_off c where c.line_id = loan.line_id and c.loan_id = loan.loan_id)
                        as charged_off_on
             from loan where loan_id = $1) x",
        loan_id
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// A period (from 1) of the loan's schedule as it stands now.
pub async fn find_installment(connection: &mut PgConnection, loan_id: Uuid, period: i32) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select s.due_on[$2] as due_on, s.principal_fen[$2] as principal, s.interest_fen[$2] as interest,
                    s.fee_fen[$2] as fee, s.principal_fen[$2] + s.interest_fen[$2] + s.fee_fen[$2] as total
             from loan l
             join schedule s on s.loan_id = l.loan_id and s.line_id = l.line_id and s.version = l.schedule_version
             where l.loan_id = $1 and s.due_on[$2] is not null) x",
        loan_id,
        period
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The purchase's `nth` refund, from 1.
pub async fn find_refund(connection: &mut PgConnection, purchase_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select amount_fen as amount, principal_fell_fen as principal_fell, owed_back_fen as owed_back,
                    interest_waived_fen as interest_waived, interest_back_fen + fee_back_fen as interest_back,
                    discount_fee_returned_fen as fee_returned, subsidy_returned_fen as subsidy_returned
             from refund where purchase_id = $1 order by created_at, refund_id offset $2::bigint - 1 limit 1) x",
        purchase_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The loan's `nth` claim, from 1.
pub async fn find_claim(connection: &mut PgConnection, loan_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select claim_id, principal_fen as principal, interest_fen as interest, fee_fen as fee, penalty_fen as penalty,
                    status, asked_on, paid_on, taken_back_on, claim_recovered(c) as recovered
             from claim c where loan_id = $1 order by claim_id offset $2::bigint - 1 limit 1) x",
        loan_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The loan's latest claim, of which there may be none.
pub async fn find_latest_claim(connection: &mut PgConnection, loan_id: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!("select claim_id from claim where loan_id = $1 order by claim_id desc limit 1", loan_id)
        .fetch_optional(connection)
        .await
}

/// The amount of a purchase that was not refunded, in fen.
pub async fn find_refundable(connection: &mut PgConnection, purchase_id: Uuid) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"select amount_fen - refunded_fen as "left!" from purchase where purchase_id = $1"#,
        purchase_id
    )
    .fetch_optional(connection)
    .await
}

/// The line's `nth` repayment, from 1.
pub async fn find_repayment(connection: &mut PgConnection, line_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select r.repayment_id, r.amount_fen as amount, coalesce(sum(a.principal), 0)::bigint as principal,
                    coalesce(sum(a.interest), 0)::bigint as interest, coalesce(sum(a.fee), 0)::bigint as fee,
                    coalesce(sum(a.penalty), 0)::bigint as penalty, r.excess_fen as excess, r.source, r.business_day as day
             from (select * from repayment where line_id = $1 order by received_at, repayment_id offset $2::bigint - 1 limit 1) r
             left join lateral unnest(r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                  as a(principal, interest, fee, penalty) on true
             group by r.repayment_id, r.amount_fen, r.excess_fen, r.source, r.business_day) x",
        line_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The line's `nth` order of a day, from 1.
pub async fn find_withholding(connection: &mut PgConnection, line_id: Uuid, day: NaiveDate, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select status, purpose, channel, amount_fen as amount, collected_fen as collected, failure,
                    attempt_no as attempt
             from withholding where line_id = $1 and business_day = $2
             order by created_at, attempt_no, withholding_id offset $3::bigint - 1 limit 1) x",
        line_id,
        day,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The `nth` break over the borrower's orders, from 1.
pub async fn find_break(connection: &mut PgConnection, borrower_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select b.break_id, b.kind, b.our_fen as ours, b.their_fen as theirs, b.proposed, b.proposal_no, b.status,
                    b.business_day as day
             from reconciliation_break b join withholding w on w.withholding_id = b.withholding_id
             where w.borrower_id = $1 order by b.opened_on, b.break_id offset $2::bigint - 1 limit 1) x",
        borrower_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

pub async fn find_reserve(connection: &mut PgConnection, funder_id: Uuid) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select available_fen as available, held_fen as held, deposited_fen as deposited, withdrawn_fen as withdrawn,
                    paid_out_fen as paid_out, returned_fen as returned, advance_limit_fen as advance_limit, advance_since,
                    case when advance_overdue then 'yes' else 'no' end as advance_overdue
             from reserve_now where funder_id = $1) x",
        funder_id
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

pub async fn find_settlement(connection: &mut PgConnection, merchant_id: Uuid, day: NaiveDate) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select gross_fen as gross, refunds_fen as refunds, discount_fee_fen as fee, subsidy_fen as subsidy,
                    net_fen as net, carried_in_fen as carried_in, payable_fen as payable, status, pay_on, paid_on
             from settlement where merchant_id = $1 and business_day = $2) x",
        merchant_id,
        day
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

pub async fn find_remittance(connection: &mut PgConnection, funder_id: Uuid, day: NaiveDate) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select collected_fen as collected, subsidy_fen as subsidy, share_fen as share, net_fen as net,
                    carried_in_fen as carried_in, payable_fen as payable, status, pay_on, paid_on
             from remittance where funder_id = $1 and business_day = $2) x",
        funder_id,
        day
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The `nth` payment to a merchant, funder or borrower, from 1.
pub async fn find_payout(connection: &mut PgConnection, beneficiary_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select payout_id, kind, amount_fen as amount, status, failure, attempt_no as attempt, pay_on,
                    contradiction
             from payout where beneficiary_id = $1 order by created_at, payout_id offset $2::bigint - 1 limit 1) x",
        beneficiary_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// Debits minus credits of one account of a funder's books, in fen.
pub async fn sum_account(connection: &mut PgConnection, funder_id: Uuid, account: i16) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(case when leg.debit = $2 then leg.amount_fen else 0 end
                             - case when leg.credit = $2 then leg.amount_fen else 0 end), 0)::bigint as "net!"
           from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
           where p.funder_id = $1"#,
        funder_id,
        account
    )
    .fetch_one(connection)
    .await
}

pub async fn find_order(connection: &mut PgConnection, code_id: Uuid) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (select status, amount_fen as amount from merchant_code where code_id = $1) x",
        code_id
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// How many notices of a kind a recipient (`None`: the operators) got, and the amounts in the last one.
pub async fn count_notices(connection: &mut PgConnection, recipient_id: Option<Uuid>, kind: &str) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select count(*) as count, min(business_day) as first_on, max(business_day) as last_on,
                    (array_agg(body -> 'amount_fen' order by notice_no desc))[1] as amount,
                    (array_agg(body -> 'owed_fen' order by notice_no desc))[1] as owed
             from notice where recipient_id is not distinct from $1 and kind = $2 having count(*) > 0) x",
        recipient_id,
        kind
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The `nth` message of a kind to a funder's core, from 1.
pub async fn find_message(connection: &mut PgConnection, partner: &str, kind: &str, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        "select to_jsonb(x) from (
             select body -> 'business_day' as day, body -> 'due_on' as due_on, body -> 'amount_fen' as amount,
                    body -> 'principal_fen' as principal, body -> 'interest_fen' as interest, body -> 'fee_fen' as fee,
                    body -> 'penalty_fen' as penalty, body -> 'interest_back_fen' as interest_back,
                    body -> 'interest_back_recovered_fen' as interest_back_recovered, body -> 'recovered_fen' as recovered,
                    body -> 'left_fen' as left, body -> 'covered_fen' as covered
             from outbox where partner = $1 and kind = $2 order by message_no offset $3::bigint - 1 limit 1) x",
        partner,
        kind,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// The `nth` card that a borrower bound, from 1.
pub async fn find_card(connection: &mut PgConnection, borrower_id: Uuid, nth: i64) -> Row {
    let row = sqlx::query_scalar!(
        r#"select to_jsonb(x) from (
             select status, case when is_default then 'yes' else 'no' end as "default"
             from bank_card where borrower_id = $1 order by card_id offset $2::bigint - 1 limit 1) x"#,
        borrower_id,
        nth
    );
    Ok(row.fetch_optional(connection).await?.flatten())
}

/// What is not done: orders to collect, payouts, messages, jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    pub withholdings: i64,
    pub payouts: i64,
    pub messages: i64,
    pub jobs: i64,
}

/// Without the messages to people of these kinds, which wait for the morning.
pub async fn count_undone(connection: &mut PgConnection, until_morning: &[&str]) -> sqlx::Result<Undone> {
    sqlx::query_as!(
        Undone,
        r#"select (select count(*) from withholding where is_pending) as "withholdings!",
                  (select count(*) from payout where status in ('created', 'submitted', 'unknown')) as "payouts!",
                  (select count(*) from outbox
                   where delivered_at is null and not (partner in ('sms', 'wechat') and kind = any($1))) as "messages!",
                  (select count(*) from job where status <> 'done') as "jobs!""#,
        until_morning as &[&str]
    )
    .fetch_one(connection)
    .await
}
