//! SQL of bills, loans and what moved on them, as their borrower sees them.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{BilledInstallment, Parts};
use crate::base::id::{BorrowerId, LineId, LoanId, ProductId, PurchaseId, WithholdingId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::loan::rescaling::Earlier;
use crate::loan::{Installment, LoanStatus, Schedule, ScheduleReason};
use crate::overdue::OverdueSpan;

/// All lines of a borrower, closed ones too: they may still owe.
pub async fn list_lines(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<LineId>> {
    sqlx::query_scalar!(
        r#"select line_id as "line_id: LineId" from credit_line where borrower_id = $1 order by opened_at, line_id"#,
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// A withholding order whose result the bank has not told yet.
#[derive(Clone, Copy, Debug)]
pub struct OwnPending {
    pub withholding_id: WithholdingId,
    pub amount: Fen,
}

/// The withholding orders of lines that are under way, the oldest first. An order of the timetable that was not sent yet is left
/// out, because it gives way when the borrower pays.
pub async fn list_pending(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Vec<OwnPending>> {
    sqlx::query_as!(
        OwnPending,
        r#"select withholding_id as "withholding_id: WithholdingId", amount_fen as "amount: Fen"
           from withholding
           where line_id = any($1) and is_pending
             and not (status = 'created' and purpose = 'due')
           order by created_at, withholding_id"#,
        &uuids(line_ids),
    )
    .fetch_all(connection)
    .await
}

/// One bill of a line.
#[derive(Clone, Debug)]
pub struct OwnBill {
    pub due_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
}

/// The bills of lines that are open, and all that fell due since a day, the latest first.
pub async fn list_bills(
    connection: &mut PgConnection,
    line_ids: &[LineId],
    since: BusinessDay,
) -> sqlx::Result<Vec<OwnBill>> {
    sqlx::query_as!(
        OwnBill,
        r#"select due_on as "due_on: BusinessDay", paid_on as "paid_on: BusinessDay"
           from bill where line_id = any($1) and (status = 'open' or due_on >= $2) order by due_on desc, line_id"#,
        &uuids(line_ids),
        since.date()
    )
    .fetch_all(connection)
    .await
}

/// One billed installment with the purchase behind it.
#[derive(Clone, Debug)]
pub struct OwnInstallment {
    pub billed: BilledInstallment,
    /// How many periods its loan has.
    pub periods: i16,
    pub merchant_name: String,
    /// Collected by an early payoff, which no bill asked for.
    pub is_payoff: bool,
}

/// Which installments [`list_installments`] lists: those of one due day, of one loan, or all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    pub due_on: Option<BusinessDay>,
    pub loan_id: Option<LoanId>,
}

/// Billed installments of lines, oldest due first.
pub async fn list_installments(
    connection: &mut PgConnection,
    line_ids: &[LineId],
    which: Which,
) -> sqlx::Result<Vec<OwnInstallment>> {
    let rows = sqlx::query!(
        r#"select i.line_id as "line_id: LineId", i.loan_id as "loan_id: LoanId", i.period, i.due_on as "due_on: BusinessDay",
                  i.origin = 'payoff' as "is_payoff!", i.principal_fen as "principal: Fen", i.interest_fen as "interest: Fen",
                  i.fee_fen as "fee: Fen", i.principal_paid_fen as "principal_paid: Fen",
                  i.interest_paid_fen as "interest_paid: Fen", i.fee_paid_fen as "fee_paid: Fen",
                  i.penalty_paid_fen as "penalty_paid: Fen", i.principal_returned_fen as "principal_returned: Fen",
                  i.interest_returned_fen as "interest_returned: Fen", i.fee_returned_fen as "fee_returned: Fen",
                  i.fen_days, i.fen_days_to as "fen_days_to: BusinessDay", l.product_id as "product_id: ProductId",
                  l.product_version, l.annual_rate as "annual_rate: Rate", l.periods, m.name as merchant_name
           from bill_line i
           join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
           join merchant m on m.merchant_id = l.merchant_id
           where i.line_id = any($1) and ($2::date is null or i.due_on = $2) and ($3::uuid is null or i.loan_id = $3)
             and (i.origin = 'statement' or $3 is not null)
           order by i.due_on, i.loan_id, i.period"#,
        &uuids(line_ids),
        which.due_on.map(BusinessDay::date),
        which.loan_id.map(LoanId::uuid),
    )
    .fetch_all(connection)
    .await?;
    let installments = rows.into_iter().map(|row| OwnInstallment {
        periods: row.periods,
        merchant_name: row.merchant_name,
        is_payoff: row.is_payoff,
        billed: BilledInstallment {
            line_id: row.line_id,
            loan_id: row.loan_id,
            period: row.period,
            billed: Parts { principal: row.principal, interest: row.interest, fee: row.fee, penalty: Fen::ZERO },
            paid: Parts {
                principal: row.principal_paid,
                interest: row.interest_paid,
                fee: row.fee_paid,
                penalty: row.penalty_paid,
            },
            returned: Parts {
                principal: row.principal_returned,
                interest: row.interest_returned,
                fee: row.fee_returned,
                penalty: Fen::ZERO,
            },
            span: OverdueSpan { due_on: row.due_on, fen_days: row.fen_days, fen_days_to: row.fen_days_to },
            product_id: row.product_id,
            product_version: row.product_version,
            annual_rate: row.annual_rate,
        },
    });
    Ok(installments.collect())
}

/// A loan with the purchase that made it.
#[derive(Clone, Debug)]
pub struct OwnLoan {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    pub merchant_name: String,
    pub product_id: ProductId,
    pub product_version: i32,
    pub grade: String,
    pub periods: i16,
    pub annual_rate: Rate,
    pub principal: Fen,
    pub principal_paid: Fen,
    pub principal_returned: Fen,
    pub status: LoanStatus,
    pub schedule_version: i32,
    pub made_on: BusinessDay,
    pub closed_on: Option<BusinessDay>,
    pub bought_at: DateTime<Utc>,
}

impl OwnLoan {
    /// Principal that is still owed; a loan whose purchase was undone never was.
    pub fn outstanding(&self) -> Fen {
        if self.status == LoanStatus::Voided {
            return Fen::ZERO;
        }
        self.principal - self.principal_paid - self.principal_returned
    }
}

/// Which of a borrower's loans are read.
#[derive(Clone, Copy, Debug)]
pub enum Loans {
    One(LoanId),
    /// Those before the given loan; all of them where none is given.
    Before(Option<LoanId>),
}

/// Up to `limit` loans of lines, the latest first. They are found through their purchases, whose primary key begins with the
/// line.
pub async fn list_loans(
    connection: &mut PgConnection,
    line_ids: &[LineId],
    loans: Loans,
    limit: i64,
) -> sqlx::Result<Vec<OwnLoan>> {
    let (loan_id, before) = match loans {
        Loans::One(loan_id) => (Some(loan_id), None),
        Loans::Before(before) => (None, before),
    };
    sqlx::query_as!(
        OwnLoan,
        r#"select l.loan_id as "loan_id: LoanId", l.line_id as "line_id: LineId", l.purchase_id as "purchase_id: PurchaseId",
                  m.name as merchant_name, l.product_id as "product_id: ProductId", l.product_version, l.grade, l.periods,
                  l.annual_rate as "annual_rate: Rate", l.principal_fen as "principal: Fen",
                  l.principal_paid_fen as "principal_paid: Fen", l.principal_returned_fen as "principal_returned: Fen",
                  l.status as "status: LoanStatus", l.schedule_version, l.made_on as "made_on: BusinessDay",
                  l.closed_on as "closed_on: BusinessDay", p.created_at as bought_at
           from purchase p
           join loan l on l.loan_id = p.loan_id and l.line_id = p.line_id
           join merchant m on m.merchant_id = l.merchant_id
           where p.line_id = any($1) and ($2::uuid is null or l.loan_id = $2) and ($3::uuid is null or l.loan_id < $3)
           order by l.loan_id desc limit $4"#,
        &uuids(line_ids),
        loan_id.map(LoanId::uuid),
        before.map(LoanId::uuid),
        limit
    )
    .fetch_all(connection)
    .await
}

/// The line that a loan is of.
pub async fn find_line_of(connection: &mut PgConnection, loan_id: LoanId) -> sqlx::Result<Option<LineId>> {
    sqlx::query_scalar!(r#"select line_id as "line_id: LineId" from loan where loan_id = $1"#, loan_id.uuid())
        .fetch_optional(connection)
        .await
}

/// The principal left of every loan of a line that has any, the latest first.
pub async fn list_outstanding(connection: &mut PgConnection, line_id: LineId) -> sqlx::Result<Vec<Fen>> {
    sqlx::query_scalar!(
        r#"select l.principal_fen - l.principal_paid_fen - l.principal_returned_fen as "left!: Fen"
           from purchase p
           join loan l on l.loan_id = p.loan_id and l.line_id = p.line_id
           where p.line_id = $1 and l.status <> 'voided'
             and l.principal_fen > l.principal_paid_fen + l.principal_returned_fen
           order by l.loan_id desc"#,
        line_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// One version of a loan's schedule, and why it exists: `made`, `refund`, `payoff` or `restored`.
#[derive(Clone, Debug)]
pub struct OwnSchedule {
    pub reason: String,
    pub business_day: BusinessDay,
    pub schedule: Schedule,
}

/// Every version of a loan's schedule, the first one first.
pub async fn list_schedules(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<OwnSchedule>> {
    let rows = sqlx::query!(
        r#"select reason, business_day as "business_day: BusinessDay", due_on as "due_on: Vec<BusinessDay>",
                  principal_fen as "principal: Vec<Fen>", interest_fen as "interest: Vec<Fen>", fee_fen as "fee: Vec<Fen>"
           from schedule where line_id = $1 and loan_id = $2 order by version"#,
        line_id.uuid(),
        loan_id.uuid()
    )
    .fetch_all(connection)
    .await?;
    let versions = rows.into_iter().map(|row| {
        let amounts = row.principal.iter().zip(&row.interest).zip(&row.fee);
        let rows = row.due_on.iter().zip(amounts).map(|(due_on, ((principal, interest), fee))| Installment {
            due_on: *due_on,
            principal: *principal,
            interest: *interest,
            fee: *fee,
        });
        OwnSchedule {
            reason: row.reason,
            business_day: row.business_day,
            schedule: Schedule { installments: rows.collect() },
        }
    });
    Ok(versions.collect())
}

/// The versions that refunds replaced, each with the day of its refund. A payoff that was taken back changed nothing in between: the
/// schedule from before it stands again.
pub fn earlier_versions(versions: &[OwnSchedule]) -> Vec<Earlier<'_>> {
    let refunds = versions.windows(2).filter(|step| step[1].reason == ScheduleReason::Refund.name());
    refunds.map(|step| Earlier { schedule: &step[0].schedule, until: step[1].business_day }).collect()
}

/// An event on a loan: the source and the day by which its ledger entries are found.
#[derive(Clone, Debug)]
pub struct Movement {
    pub source_id: Uuid,
    pub business_day: BusinessDay,
}

/// The events on a loan: its purchase, its refunds, and the repayments that settled part of it (or of one period).
pub async fn list_movements(
    connection: &mut PgConnection,
    loan: &OwnLoan,
    period: Option<i16>,
) -> sqlx::Result<Vec<Movement>> {
    sqlx::query_as!(
        Movement,
        r#"select purchase_id as "source_id!", business_day as "business_day!: BusinessDay" from purchase
           where purchase_id = $3 and line_id = $1
           union all
           select repayment_id, business_day from repayment
           where line_id = $1 and $2 = any(loan_ids)
             and ($4::smallint is null or exists (
                 select from unnest(loan_ids, periods) as item(loan_id, period)
                 where item.loan_id = $2 and item.period = $4))
           union all
           select refund_id, business_day from refund where line_id = $1 and purchase_id = $3"#,
        loan.line_id.uuid(),
        loan.loan_id.uuid(),
        loan.purchase_id.uuid(),
        period,
    )
    .fetch_all(connection)
    .await
}

/// What one payment settled of an installment; negative where it was taken back.
#[derive(Clone, Debug)]
pub struct OwnPayment {
    /// `withholding`, `transfer`, `channel_file` or `reversal`.
    pub source: String,
    /// The order that collected it.
    pub withholding_id: Option<WithholdingId>,
    pub amount: Fen,
    pub business_day: BusinessDay,
    /// The day that it counts from.
    pub value_on: BusinessDay,
}

impl OwnPayment {
    /// The day that it counts from, if that is before the one on which it was booked.
    pub fn counts_from(&self) -> Option<BusinessDay> {
        (self.value_on < self.business_day).then_some(self.value_on)
    }
}

/// What payments settled of one period of a loan, in order of time.
pub async fn list_payments(
    connection: &mut PgConnection,
    loan: &OwnLoan,
    period: i16,
) -> sqlx::Result<Vec<OwnPayment>> {
    sqlx::query_as!(
        OwnPayment,
        r#"select r.source, (case when r.source in ('withholding', 'channel_file') then r.source_reference::uuid end) as "withholding_id?: WithholdingId",
                  item.fen as "amount!: Fen", r.business_day as "business_day: BusinessDay",
                  value_date(r) as "value_on!: BusinessDay"
           from repayment r
           cross join lateral (
               select sum(principal_fen + interest_fen + fee_fen + penalty_fen)::bigint as fen
               from unnest(r.loan_ids, r.periods, r.principal_fen, r.interest_fen, r.fee_fen, r.penalty_fen)
                    as part(loan_id, period, principal_fen, interest_fen, fee_fen, penalty_fen)
               where part.loan_id = $2 and part.period = $3) item
           where r.line_id = $1 and $2 = any(r.loan_ids) and item.fen is not null
           order by r.received_at, r.repayment_id"#,
        loan.line_id.uuid(),
        loan.loan_id.uuid(),
        period,
    )
    .fetch_all(connection)
    .await
}

/// What falls due on the next due day that is not billed yet, by the current schedules.
#[derive(Clone, Debug, PartialEq)]
pub struct Coming {
    pub due_on: BusinessDay,
    /// One for each loan; there is at least one.
    pub rows: Vec<ComingRow>,
}

/// What falls due of one loan, not billed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ComingRow {
    pub due_on: BusinessDay,
    pub loan_id: LoanId,
    /// From 1.
    pub period: i64,
    pub amount: Fen,
}

impl Coming {
    /// What falls due of each loan, in the order of `rows`.
    pub fn parts(&self) -> Vec<Fen> {
        self.rows.iter().map(|row| row.amount).collect()
    }

    pub fn total(&self) -> Fen {
        self.rows.iter().map(|row| row.amount).sum()
    }
}

/// Those of these bills of which nothing is owed any more.
pub async fn find_paid(
    connection: &mut PgConnection,
    bills: &[(LineId, BusinessDay)],
) -> sqlx::Result<Vec<(LineId, BusinessDay)>> {
    let rows = sqlx::query!(
        r#"select b.line_id as "line_id!: LineId", b.due_on as "due_on!: BusinessDay"
           from unnest($1::uuid[], $2::date[]) as told(line_id, due_on)
           join bill b on b.line_id = told.line_id and b.due_on = told.due_on
           where b.status = 'paid'"#,
        &bills.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &bills.iter().map(|(_, due_on)| due_on.date()).collect::<Vec<NaiveDate>>(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_id, row.due_on)).collect())
}

/// The first due day of open loans that is not billed, with what falls due on it.
pub async fn find_coming(connection: &mut PgConnection, line_ids: &[LineId]) -> sqlx::Result<Option<Coming>> {
    let rows = sqlx::query_as!(
        ComingRow,
        // Through purchases, whose key begins with the line; each schedule is looked up by its key.
        r#"select due_on as "due_on!: BusinessDay", loan_id as "loan_id!: LoanId", period as "period!", fen as "amount!: Fen"
           from (select row.due_on, l.loan_id, row.period, row.principal_fen + row.interest_fen + row.fee_fen as fen,
                        rank() over (order by row.due_on) as place
                 from purchase p
                 join loan l on l.loan_id = p.loan_id and l.line_id = p.line_id and l.status = 'open'
                 join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
                 cross join lateral unnest(s.due_on, s.principal_fen, s.interest_fen, s.fee_fen) with ordinality
                       as row(due_on, principal_fen, interest_fen, fee_fen, period)
                 where p.line_id = any($1) and row.principal_fen + row.interest_fen + row.fee_fen > 0
                       and not exists (select from bill_line b where b.line_id = l.line_id and b.loan_id = l.loan_id
                                                                 and b.period = row.period)) as coming
           where place = 1 order by loan_id"#,
        &uuids(line_ids)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.first().map(|first| first.due_on).map(|due_on| Coming { due_on, rows }))
}

/// The first statement day of open loans on which something will be billed, by the current schedules; it has passed where that
/// statement is just being cut. `None` where nothing is left to bill.
pub async fn find_next_statement(
    connection: &mut PgConnection,
    line_ids: &[LineId],
) -> sqlx::Result<Option<BusinessDay>> {
    sqlx::query_scalar!(
        // Period k is billed on the k-th statement day from the loan's first; no statement day is later than the 28th.
        r#"select min((l.first_statement_on + make_interval(months => row.period::int - 1))::date) as "day?: BusinessDay"
           from purchase p
           join loan l on l.loan_id = p.loan_id and l.line_id = p.line_id and l.status = 'open'
           join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
           cross join lateral unnest(s.principal_fen, s.interest_fen, s.fee_fen) with ordinality
                as row(principal_fen, interest_fen, fee_fen, period)
           where p.line_id = any($1) and row.principal_fen + row.interest_fen + row.fee_fen > 0
             and not exists (select from bill_line b where b.line_id = l.line_id and b.loan_id = l.loan_id
                             and b.period = row.period)"#,
        &uuids(line_ids)
    )
    .fetch_one(connection)
    .await
}

fn uuids(line_ids: &[LineId]) -> Vec<Uuid> {
    line_ids.iter().map(|line_id| line_id.uuid()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refund_leaves_an_earlier_version_and_no_payoff_that_was_taken_back() {
        let version = |reason: &str, day: &str, principal| {
            let business_day: BusinessDay = day.parse().unwrap();
            let (principal, zero) = (Fen::new(principal), Fen::ZERO);
            let row = Installment { due_on: business_day, principal, interest: zero, fee: zero };
            OwnSchedule { reason: reason.to_owned(), business_day, schedule: Schedule { installments: vec![row] } }
        };
        let versions = [
            version("made", "2026-03-01", 900),
            version("payoff", "2026-03-02", 0),
            version("restored", "2026-03-03", 900),
            version("refund", "2026-03-04", 700),
            version("payoff", "2026-03-05", 0),
            version("restored", "2026-03-06", 700),
            version("refund", "2026-03-07", 600),
        ];
        let replaced = |versions: &[OwnSchedule]| {
            let earlier = earlier_versions(versions).into_iter();
            earlier.map(|one| (one.schedule.principal().get(), one.until.to_string())).collect::<Vec<_>>()
        };
        let (first, second) = ((900, "2026-03-04".to_owned()), (700, "2026-03-07".to_owned()));
        // What comes next is the first refund, the second one, the third one.
        assert!(replaced(&versions[..3]).is_empty());
        assert_eq!(replaced(&versions[..6]), std::slice::from_ref(&first));
        assert_eq!(replaced(&versions), [first, second]);
    }
}
