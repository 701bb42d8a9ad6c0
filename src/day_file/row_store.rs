//! SQL of each file's rows, streamed in the order of a key.
//!
//! Rows are chosen by their business day from tables that are only added to; from a row that may change, only columns are read that do
//! not. Journals are summed by day instead of read at their end: a step of the close may write an entry of the day after a purchase of
//! the next day has written one.

use chrono::NaiveDate;
use futures_util::stream::BoxStream;
use sqlx::PgConnection;
use uuid::Uuid;

use super::row::{
    AccountName, LedgerRow, LineRow, LoanRow, PlanRow, RefundPartRow, RefundRow, RemittanceRow, RepaymentPartRow,
    RepaymentRow, ReserveRow,
};
use crate::base::id::{
    BorrowerId, FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId, RefundId, RemittanceId, RepaymentId,
    WithholdingId,
};
use crate::base::{BusinessDay, Fen};

/// A stream of rows.
pub(super) type Rows<'c, R> = BoxStream<'c, sqlx::Result<R>>;

/// Whose day the rows are of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    funder_id: Uuid,
    day: NaiveDate,
}

impl Of {
    pub fn new(funder_id: FunderId, day: BusinessDay) -> Of {
        Of { funder_id: funder_id.uuid(), day: day.date() }
    }
}

pub(super) fn lines(connection: &mut PgConnection, of: Of) -> Rows<'_, LineRow> {
    sqlx::query_as!(
        LineRow,
        r#"with changed as (
               select l.line_id, l.borrower_id, l.product_id, l.product_version, e.changes, e.limit_change_fen, e.used_change_fen
               from (select line_id, count(*) as changes, sum(limit_change_fen)::bigint as limit_change_fen,
                            sum(used_change_fen)::bigint as used_change_fen
                     from line_entry where business_day = $2 group by line_id) e
               cross join lateral (select * from credit_line where line_id = e.line_id limit 1) l
               where l.funder_id = $1)
           select c.line_id as "line_id!: LineId", c.borrower_id as "borrower_id!: BorrowerId",
                  c.product_id as "product_id!: ProductId", c.product_version as "product_version!",
                  case when stood.is_closed then 'closed' when stood.freezes > 0 then 'frozen' else 'active' end as "status!",
                  stood.limit_fen as "limit_fen!: Fen", stood.used_fen as "used_fen!: Fen",
                  stood.limit_fen - stood.used_fen as "available_fen!: Fen",
                  c.limit_change_fen as "limit_change_fen!: Fen", c.used_change_fen as "used_change_fen!: Fen",
                  c.changes as "changes!"
           from changed c
           cross join lateral (
               select sum(e.limit_change_fen)::bigint as limit_fen, sum(e.used_change_fen)::bigint as used_fen,
                      -- Each reason for a freeze is journaled once when it comes and once when it goes.
                      count(*) filter (where e.kind = 'freeze') - count(*) filter (where e.kind = 'unfreeze') as freezes,
                      bool_or(e.kind = 'close') as is_closed
               from line_entry e where e.line_id = c.line_id and e.business_day <= $2) stood
           order by c.line_id"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn loans(connection: &mut PgConnection, of: Of) -> Rows<'_, LoanRow> {
    // A purchase is voided on its own business day or never, so this status is final when the day is closed.
    sqlx::query_as!(
        LoanRow,
        r#"with touched as (
               select line_id, loan_id from schedule where business_day = $2
               union
               select r.line_id, part.loan_id
               from repayment r cross join lateral unnest(r.loan_ids) as part(loan_id)
               where r.business_day = $2 and r.funder_id = $1
               union
               select line_id, loan_id from charge_off where business_day = $2 and funder_id = $1),
           moved as (
               select l.*, plan.version as latest, l.status = 'voided' as is_voided, l.made_on = $2 as is_made,
                      paid.today_fen as repaid_today_fen, paid.fen as repaid_so_far_fen,
                      back.today_fen as returned_today_fen, back.fen as returned_so_far_fen
               from touched t
               -- One by one, here and below: joined, every loan or line of the book is read for the few of a day.
               cross join lateral (
                   select * from loan where loan_id = t.loan_id and line_id = t.line_id limit 1) l
               cross join lateral (
                   select max(s.version) as version from schedule s
                   where s.line_id = t.line_id and s.loan_id = t.loan_id and s.business_day <= $2) plan
               cross join lateral (
                   select coalesce(sum(part.fen), 0)::bigint as fen,
                          coalesce(sum(part.fen) filter (where r.business_day = $2), 0)::bigint as today_fen
                   from repayment r cross join lateral unnest(r.loan_ids, r.principal_fen) as part(loan_id, fen)
                   where r.line_id = t.line_id and part.loan_id = t.loan_id and r.business_day <= $2) paid
               cross join lateral (
                   select coalesce(sum(f.principal_fell_fen), 0)::bigint as fen,
                          coalesce(sum(f.principal_fell_fen) filter (where f.business_day = $2), 0)::bigint as today_fen
                   from refund f
                   where f.line_id = t.line_id and f.purchase_id = l.purchase_id and f.business_day <= $2) back
               where l.funder_id = $1)
           select loan_id as "loan_id!: LoanId", line_id as "line_id!: LineId", purchase_id as "purchase_id!: PurchaseId",
                  merchant_id as "merchant_id!: MerchantId", product_id as "product_id!: ProductId",
                  product_version as "product_version!", periods as "periods!", annual_rate as "annual_rate!",
                  made_on as "made_on!: BusinessDay", latest as "schedule_version!", principal_fen as "principal_fen!: Fen",
                  case when is_made then principal_fen else 0 end as "made_fen!: Fen",
                  case when is_made and is_voided then principal_fen else 0 end as "voided_fen!: Fen",
                  repaid_today_fen as "repaid_fen!: Fen", returned_today_fen as "returned_fen!: Fen",
                  case when is_voided then 0
                       else principal_fen - repaid_so_far_fen - returned_so_far_fen end as "outstanding_fen!: Fen",
                  (select c.business_day from charge_off c
                   where c.line_id = moved.line_id and c.loan_id = moved.loan_id and c.business_day <= $2)
                      as "charged_off_on?: BusinessDay"
           from moved order by loan_id"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn plans(connection: &mut PgConnection, of: Of) -> Rows<'_, PlanRow> {
    sqlx::query_as!(
        PlanRow,
        r#"select s.loan_id as "loan_id: LoanId", s.line_id as "line_id: LineId", s.version as "schedule_version", s.reason,
                  row.period as "period!", row.due_on as "due_on!: BusinessDay", row.principal_fen as "principal_fen!: Fen",
                  row.interest_fen as "interest_fen!: Fen", row.fee_fen as "fee_fen!: Fen"
           from schedule s
           cross join lateral (
               select funder_id from loan where loan_id = s.loan_id and line_id = s.line_id limit 1) l
           cross join lateral unnest(s.due_on, s.principal_fen, s.interest_fen, s.fee_fen) with ordinality
                              as row(due_on, principal_fen, interest_fen, fee_fen, period)
           where s.business_day = $2 and l.funder_id = $1
           order by s.loan_id, s.version, row.period"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn repayments(connection: &mut PgConnection, of: Of) -> Rows<'_, RepaymentRow> {
    sqlx::query_as!(
        RepaymentRow,
        r#"select repayment_id as "repayment_id: RepaymentId", line_id as "line_id: LineId", source,
                  case when source in ('withholding', 'channel_file') then source_reference::uuid end
                      as "withholding_id?: WithholdingId",
                  case when source = 'transfer' then source_reference end as bank_reference,
                  case when source = 'reversal' then source_reference::uuid end as "reverses?: RepaymentId",
                  received_at, amount_fen as "amount_fen: Fen",
                  (select coalesce(sum(fen), 0)::bigint from unnest(principal_fen) as fen) as "principal_fen!: Fen",
                  (select coalesce(sum(fen), 0)::bigint from unnest(interest_fen) as fen) as "interest_fen!: Fen",
                  (select coalesce(sum(fen), 0)::bigint from unnest(fee_fen) as fen) as "fee_fen!: Fen",
                  (select coalesce(sum(fen), 0)::bigint from unnest(penalty_fen) as fen) as "penalty_fen!: Fen",
                  excess_fen as "excess_fen: Fen"
           from repayment where business_day = $2 and funder_id = $1
           order by repayment_id"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn repayment_parts(connection: &mut PgConnection, of: Of) -> Rows<'_, RepaymentPartRow> {
    sqlx::query_as!(
        RepaymentPartRow,
        r#"select r.repayment_id as "repayment_id: RepaymentId", part.number as "part!", r.line_id as "line_id: LineId",
                  part.loan_id as "loan_id!: LoanId", part.period as "period!", part.principal_fen as "principal_fen!: Fen",
                  part.interest_fen as "interest_fen!: Fen", part.fee_fen as "fee_fen!: Fen",
                  part.penalty_fen as "penalty_fen!: Fen"
           from repayment r
           cross join lateral unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                              with ordinality
                              as part(loan_id, period, principal_fen, interest_fen, fee_fen, penalty_fen, number)
           where r.business_day = $2 and r.funder_id = $1
           order by r.repayment_id, part.number"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn refunds(connection: &mut PgConnection, of: Of) -> Rows<'_, RefundRow> {
    sqlx::query_as!(
        RefundRow,
        r#"select refund_id as "refund_id: RefundId", line_id as "line_id: LineId", loan_id as "loan_id: LoanId",
                  purchase_id as "purchase_id: PurchaseId", merchant_id as "merchant_id: MerchantId", schedule_version,
                  amount_fen as "amount_fen: Fen", principal_fell_fen as "principal_fell_fen: Fen",
                  owed_back_fen as "owed_back_fen: Fen", interest_waived_fen as "interest_waived_fen: Fen",
                  interest_back_fen as "interest_back_fen: Fen", fee_back_fen as "fee_back_fen: Fen",
                  subsidy_returned_fen as "subsidy_returned_fen: Fen", created_at
           from refund where business_day = $2 and funder_id = $1
           order by refund_id"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn refund_parts(connection: &mut PgConnection, of: Of) -> Rows<'_, RefundPartRow> {
    sqlx::query_as!(
        RefundPartRow,
        r#"select f.refund_id as "refund_id: RefundId", f.line_id as "line_id: LineId", f.loan_id as "loan_id: LoanId",
                  part.period as "period!", part.principal_fen as "principal_fell_fen!: Fen",
                  -- Refunds from before these were kept say nothing of them.
                  coalesce(part.interest_fen, 0) as "interest_fell_fen!: Fen",
                  coalesce(part.fee_fen, 0) as "fee_fell_fen!: Fen",
                  coalesce(part.interest_back_fen, 0) as "interest_back_fen!: Fen",
                  coalesce(part.fee_back_fen, 0) as "fee_back_fen!: Fen"
           from refund f
           cross join lateral unnest(f.fell_periods, f.fell_principal_fen, f.fell_interest_fen, f.fell_fee_fen,
                                     f.back_interest_fen, f.back_fee_fen)
                              as part(period, principal_fen, interest_fen, fee_fen, interest_back_fen, fee_back_fen)
           where f.business_day = $2 and f.funder_id = $1
           order by f.refund_id, part.period"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn reserve(connection: &mut PgConnection, of: Of) -> Rows<'_, ReserveRow> {
    sqlx::query_as!(
        ReserveRow,
        r#"select entry_no, kind, source, amount_fen as "amount_fen: Fen",
                  case when kind in ('deposit', 'release', 'refund') then amount_fen
                       when kind in ('withdrawal', 'hold') then -amount_fen else 0 end as "available_change_fen!: Fen",
                  case when kind = 'hold' then amount_fen
                       when kind in ('release', 'clearing') then -amount_fen else 0 end as "held_change_fen!: Fen",
                  occurred_at
           from reserve_entry where business_day = $2 and funder_id = $1
           order by entry_no"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn remittances(connection: &mut PgConnection, of: Of) -> Rows<'_, RemittanceRow> {
    sqlx::query_as!(
        RemittanceRow,
        r#"select r.remittance_id as "remittance_id: RemittanceId", p.product_id as "product_id: ProductId",
                  p.product_version, r.pay_on as "pay_on: BusinessDay", p.principal_fen as "principal_fen: Fen",
                  p.interest_fen as "interest_fen: Fen", p.fee_fen as "fee_fen: Fen", p.penalty_fen as "penalty_fen: Fen",
                  p.subsidy_fen as "subsidy_fen: Fen", p.share_fen as "share_fen: Fen"
           from remittance r join remittance_part p on p.remittance_id = r.remittance_id
           where r.business_day = $2 and r.funder_id = $1
           order by p.product_id, p.product_version"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}

pub(super) fn ledger(connection: &mut PgConnection, of: Of) -> Rows<'_, LedgerRow> {
    sqlx::query_as!(
        LedgerRow,
        r#"select p.posting_id, leg.number as "leg!", p.event, p.source_id,
                  nullif(p.line_id, '00000000-0000-0000-0000-000000000000') as "line_id?: LineId", p.corrects,
                  leg.debit as "debit_account!: AccountName", leg.credit as "credit_account!: AccountName",
                  leg.amount_fen as "amount_fen!: Fen", p.posted_at
           from posting p
           cross join lateral unnest(p.debit, p.credit, p.amount_fen) with ordinality
                              as leg(debit, credit, amount_fen, number)
           -- The funder's own book; the platform's is the platform's.
           where p.business_day = $2 and p.funder_id = $1 and leg.debit >= 200
           order by p.posting_id, p.line_id, leg.number"#,
        of.funder_id,
        of.day,
    )
    .fetch(connection)
}
