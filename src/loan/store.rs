//! SQL of loans and their schedules.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::accrual::{Charge, Span};
use super::model::{Loan, LoanStatus};
use super::schedule::{Installment, Schedule};
use crate::base::day::MonthDay;
use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen, Rate, words};
use crate::outbox::Message;

/// A later version of a loan's schedule, to be written. The first one is written with its loan.
#[derive(Clone, Debug)]
pub struct ScheduleVersion<'a> {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub version: i32,
    pub reason: ScheduleReason,
    pub schedule: &'a Schedule,
    pub business_day: BusinessDay,
}

impl ScheduleVersion<'_> {
    /// The message to the funder's core: the whole plan from its first period on.
    pub fn message(&self, partner: &str, at: DateTime<Utc>) -> Message {
        Message {
            partner: partner.to_owned(),
            kind: "plan_changed",
            object_id: self.loan_id.uuid(),
            body: json!({
                "loan_id": self.loan_id,
                "line_id": self.line_id,
                "schedule_version": self.version,
                "reason": self.reason.name(),
                "installments": self.schedule.told(),
                "business_day": self.business_day,
            }),
            created_at: at,
        }
    }
}

words! {
    /// Why a schedule version exists.
    pub enum ScheduleReason {
        Refund = "refund",
        Payoff = "payoff",
        /// The schedule before a payoff that was taken back because its money had not come.
        Restored = "restored",
    }
}

/// Writes a later version of a loan's schedule.
pub async fn insert_schedule(connection: &mut PgConnection, version: ScheduleVersion<'_>) -> sqlx::Result<()> {
    let installments = &version.schedule.installments;
    sqlx::query!(
        "insert into schedule (loan_id, line_id, version, reason, due_on, principal_fen, interest_fen, fee_fen, business_day)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        version.loan_id.uuid(),
        version.line_id.uuid(),
        version.version,
        version.reason.name(),
        &installments.iter().map(|installment| installment.due_on.date()).collect::<Vec<NaiveDate>>(),
        &installments.iter().map(|installment| installment.principal.get()).collect::<Vec<i64>>(),
        &installments.iter().map(|installment| installment.interest.get()).collect::<Vec<i64>>(),
        &installments.iter().map(|installment| installment.fee.get()).collect::<Vec<i64>>(),
        version.business_day.date(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A query for whole loans; `$rest` goes on from the table.
macro_rules! select_loans {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            LoanRow,
            r#"select loan_id as "loan_id: LoanId", line_id as "line_id: LineId", purchase_id as "purchase_id: PurchaseId",
                      funder_id as "funder_id: FunderId", merchant_id as "merchant_id: MerchantId",
                      product_id as "product_id: ProductId", product_version, grade, periods, annual_rate as "annual_rate: Rate",
                      principal_fen as "principal: Fen", principal_paid_fen as "principal_paid: Fen",
                      principal_returned_fen as "principal_returned: Fen", status as "status: LoanStatus", statement_day,
                      first_statement_on as "first_statement_on: BusinessDay",
                      last_statement_on as "last_statement_on: BusinessDay", schedule_version, made_on as "made_on: BusinessDay",
                      closed_on as "closed_on: BusinessDay",
                      (select c.business_day from charge_off c where c.line_id = loan.line_id and c.loan_id = loan.loan_id)
                          as "charged_off_on?: BusinessDay",
                      claim_paid_fen - claim_recovered_fen as "claim_left!: Fen"
               from loan "# + $rest,
            $($argument)*
        )
    };
}

/// Loans by id, locked for a change (after their lines). Missing ones are missing from the answer.
pub async fn lock_loans(connection: &mut PgConnection, loan_ids: &[LoanId]) -> sqlx::Result<Vec<Loan>> {
    let loan_ids: Vec<Uuid> = loan_ids.iter().map(|loan_id| loan_id.uuid()).collect();
    let rows =
        select_loans!("where loan_id = any($1) order by loan_id for update", &loan_ids).fetch_all(connection).await?;
    rows.into_iter().map(LoanRow::into_loan).collect()
}

/// Loans by id; unknown ids are left out. They may be changed although they are not locked, by a caller that holds the locks of their
/// lines: everybody who changes a loan holds that lock, and thousands of further row locks would only fill the write-ahead log.
pub async fn load_loans(connection: &mut PgConnection, loan_ids: &[LoanId]) -> sqlx::Result<Vec<Loan>> {
    let loan_ids: Vec<Uuid> = loan_ids.iter().map(|loan_id| loan_id.uuid()).collect();
    let rows = select_loans!("where loan_id = any($1)", &loan_ids).fetch_all(connection).await?;
    rows.into_iter().map(LoanRow::into_loan).collect()
}

/// Saves what may change on loans whose lines are locked: what was paid and returned, the status, the schedule's version and end.
pub async fn save_loans(connection: &mut PgConnection, loans: &[Loan]) -> sqlx::Result<()> {
    sqlx::query!(
        // Columns of fixed size without nulls are read by index: unnesting them, too, would cost three times as much per row.
        "update loan set principal_paid_fen = ($3::bigint[])[changed.place],
                principal_returned_fen = ($4::bigint[])[changed.place], status = changed.status,
                last_statement_on = ($6::date[])[changed.place], schedule_version = ($7::int[])[changed.place],
                closed_on = changed.closed_on
         from unnest($1::uuid[], $5::text[], $8::date[]) with ordinality as changed(loan_id, status, closed_on, place)
         where loan.loan_id = changed.loan_id and loan.line_id = ($2::uuid[])[changed.place]",
        &loans.iter().map(|loan| loan.loan_id.uuid()).collect::<Vec<Uuid>>(),
        &loans.iter().map(|loan| loan.line_id.uuid()).collect::<Vec<Uuid>>(),
        &loans.iter().map(|loan| loan.principal_paid.get()).collect::<Vec<i64>>(),
        &loans.iter().map(|loan| loan.principal_returned.get()).collect::<Vec<i64>>(),
        &loans.iter().map(|loan| loan.status.name()).collect::<Vec<&str>>() as &[&str],
        &loans.iter().map(|loan| loan.last_statement_on.date()).collect::<Vec<NaiveDate>>(),
        &loans.iter().map(|loan| loan.schedule_version).collect::<Vec<i32>>(),
        &loans.iter().map(|loan| loan.closed_on.map(BusinessDay::date)).collect::<Vec<_>>() as &[Option<NaiveDate>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A loan's current schedule.
pub async fn current_schedule(connection: &mut PgConnection, loan: &Loan) -> sqlx::Result<Schedule> {
    let row = sqlx::query!(
        r#"select due_on as "due_on: Vec<BusinessDay>", principal_fen, interest_fen, fee_fen
           from schedule where loan_id = $1 and line_id = $2 and version = $3"#,
        loan.loan_id.uuid(),
        loan.line_id.uuid(),
        loan.schedule_version
    )
    .fetch_one(connection)
    .await?;
    Ok(schedule(&row.due_on, [&row.principal_fen, &row.interest_fen, &row.fee_fen]))
}

/// The first schedules of loans, by the loan; without those that are not there. They are never changed.
pub async fn first_schedules(
    connection: &mut PgConnection,
    loans: &[(LineId, LoanId)],
) -> sqlx::Result<HashMap<LoanId, Schedule>> {
    let (line_ids, loan_ids): (Vec<Uuid>, Vec<Uuid>) =
        loans.iter().map(|(line_id, loan_id)| (line_id.uuid(), loan_id.uuid())).unzip();
    let rows = sqlx::query!(
        r#"select s.loan_id as "loan_id!: LoanId", s.due_on as "due_on!: Vec<BusinessDay>", s.principal_fen as "principal_fen!",
                  s.interest_fen as "interest_fen!", s.fee_fen as "fee_fen!"
           from unnest($1::uuid[], $2::uuid[]) as made(line_id, loan_id)
           cross join lateral (
               select loan_id, due_on, principal_fen, interest_fen, fee_fen from schedule
               where line_id = made.line_id and loan_id = made.loan_id and version = 1 limit 1) s"#,
        &line_ids,
        &loan_ids
    )
    .fetch_all(connection)
    .await?;
    let found = rows
        .into_iter()
        .map(|row| (row.loan_id, schedule(&row.due_on, [&row.principal_fen, &row.interest_fen, &row.fee_fen])));
    Ok(found.collect())
}

/// A schedule from its columns: due days, then principal, interest and fee of each row.
fn schedule(due_on: &[BusinessDay], [principal, interest, fee]: [&[i64]; 3]) -> Schedule {
    let amounts = principal.iter().zip(interest).zip(fee);
    let installments = due_on
        .iter()
        .zip(amounts)
        .map(|(due_on, ((principal, interest), fee))| Installment {
            due_on: *due_on,
            principal: Fen::new(*principal),
            interest: Fen::new(*interest),
            fee: Fen::new(*fee),
        })
        .collect();
    Schedule { installments }
}

/// Whether the loan's current schedule was written by a payoff.
pub async fn ends_in_payoff(connection: &mut PgConnection, loan: &Loan) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from schedule where loan_id = $1 and line_id = $2 and version = $3 and reason = 'payoff')
                  as "ends!""#,
        loan.loan_id.uuid(),
        loan.line_id.uuid(),
        loan.schedule_version
    )
    .fetch_one(connection)
    .await
}

/// Whether a payoff has changed the schedule of one of these loans of a line, and was not taken back.
pub async fn has_paid_off(connection: &mut PgConnection, line_id: LineId, loan_ids: &[LoanId]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from (select distinct on (loan_id) reason from schedule
                            where line_id = $1 and loan_id = any($2) and reason in ('payoff', 'restored')
                            order by loan_id, version desc) latest
               where reason = 'payoff') as "has!""#,
        line_id.uuid(),
        &loan_ids.iter().map(|loan_id| loan_id.uuid()).collect::<Vec<Uuid>>()
    )
    .fetch_one(connection)
    .await
}

/// Adds the interest and fees of the schedules written on `day` to their products' spans, and takes off those of the version that
/// each replaces. Voided loans are left out. The last charges of a loan that was paid off early are earned by the day of the
/// payoff, however late the row that carries them falls due. Returns the number of spans touched.
///
/// For a loan that is charged off on `day`, the rows that fall due later become suspended; so do all changes by versions written
/// after the charge-off.
///
/// Nearly all versions of a day are first ones, which replace none and end in no payoff: for them only the loan and its
/// charge-off are looked up. Interest and fees are summed side by side and become rows of their own only as sums.
pub async fn gather_interest_spans(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<u64> {
    let touched = sqlx::query!(
        r#"with written as (
             select s.loan_id, s.line_id, s.version, s.due_on, s.principal_fen, s.interest_fen, s.fee_fen,
                    l.funder_id, l.product_id, l.made_on, coalesce(s.version > c.schedule_version, false) as is_suspended
             from schedule s join loan l on l.loan_id = s.loan_id and l.line_id = s.line_id
             left join charge_off c on c.line_id = s.line_id and c.loan_id = s.loan_id
             where s.business_day = $1 and l.status <> 'voided'
           ), signed as (
             select w.funder_id, w.product_id, w.made_on, w.is_suspended, side.sign, side.due_on, side.interest_fen, side.fee_fen,
                    ended.paid_off_on,
                    case when ended.paid_off_on is not null
                         then (select max(k) from generate_subscripts(side.due_on, 1) as k
                               where side.principal_fen[k] + side.interest_fen[k] + side.fee_fen[k] > 0) end as last_k
             from written w
             cross join lateral (
                 select w.version, 1 as sign, w.due_on, w.principal_fen, w.interest_fen, w.fee_fen
                 union all
                 select b.version, -1, b.due_on, b.principal_fen, b.interest_fen, b.fee_fen
                 from schedule b
                 where w.version > 1 and b.loan_id = w.loan_id and b.line_id = w.line_id and b.version = w.version - 1) as side
             left join lateral (
                 select case when p.reason = 'payoff' then p.business_day end as paid_off_on from schedule p
                 where side.version > 1 and p.loan_id = w.loan_id and p.line_id = w.line_id and p.version <= side.version
                   and p.reason in ('payoff', 'restored')
                 order by p.version desc limit 1) ended on true
           ), rows as (
             select g.funder_id, g.product_id, g.is_suspended, coalesce(g.due_on[p.k - 1], g.made_on) as from_on, p.due_on,
                    g.sign * g.interest_fen[p.k] as interest_fen, g.sign * g.fee_fen[p.k] as fee_fen,
                    case when p.k = g.last_k then g.paid_off_on end as paid_off_on
             from signed g
             cross join lateral unnest(g.due_on) with ordinality as p(due_on, k)
             union all
             select l.funder_id, l.product_id, side.is_suspended, coalesce(s.due_on[p.k - 1], l.made_on), p.due_on,
                    side.sign * s.interest_fen[p.k], side.sign * s.fee_fen[p.k], null
             from charge_off c
             join loan l on l.loan_id = c.loan_id and l.line_id = c.line_id
             join schedule s on s.line_id = c.line_id and s.loan_id = c.loan_id and s.version = c.schedule_version
             cross join lateral unnest(s.due_on) with ordinality as p(due_on, k)
             cross join (values (false, -1), (true, 1)) as side(is_suspended, sign)
             where c.business_day = $1 and p.due_on > c.business_day
           ), run as (
             select funder_id, product_id, is_suspended, interest_fen, fee_fen, least(due_on, paid_off_on) as to_on,
                    case when paid_off_on is null then from_on else least(from_on, due_on - 1, paid_off_on - 1) end as from_on
             from rows
           ), spans as (
             select funder_id, product_id, is_suspended, from_on, greatest(to_on, from_on + 1) as to_on,
                    fen_sum(interest_fen) as interest_fen, fen_sum(fee_fen) as fee_fen
             from run group by 1, 2, 3, 4, 5
           )
           insert into interest_span (funder_id, product_id, charge, from_on, to_on, amount_fen)
           select s.funder_id, s.product_id, case when s.is_suspended then 'suspended_' else '' end || charge.name,
                  s.from_on, s.to_on, charge.amount
           from spans s
           cross join lateral (values ('interest', s.interest_fen), ('fee', s.fee_fen)) as charge(name, amount)
           where charge.amount <> 0
           on conflict (funder_id, product_id, charge, from_on, to_on)
           do update set amount_fen = interest_span.amount_fen + excluded.amount_fen"#,
        day.date()
    )
    .execute(connection)
    .await?;
    Ok(touched.rows_affected())
}

/// Spans that began before `day` and run beyond it, or are not posted in full; locked. A span is taken even if all of it is
/// posted before its end: a refund may have made it smaller, and by its days less has been earned.
pub async fn lock_running_spans(connection: &mut PgConnection, day: BusinessDay) -> sqlx::Result<Vec<Span>> {
    sqlx::query_as!(
        Span,
        r#"select funder_id as "funder_id: FunderId", product_id as "product_id: ProductId", charge as "charge: Charge",
                  from_on as "from_on: BusinessDay", to_on as "to_on: BusinessDay", amount_fen as "amount: Fen",
                  accrued_fen as "accrued: Fen"
           from interest_span where from_on < $1 and (to_on > $1 or is_open)
           order by funder_id, product_id, charge, from_on, to_on for update"#,
        day.date()
    )
    .fetch_all(connection)
    .await
}

/// Records what has been posted of each span: its `accrued`.
pub async fn save_accrued(connection: &mut PgConnection, moved: &[Span]) -> sqlx::Result<()> {
    sqlx::query!(
        "update interest_span set accrued_fen = moved.accrued_fen
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::date[], $5::date[], $6::bigint[])
              as moved(funder_id, product_id, charge, from_on, to_on, accrued_fen)
         where interest_span.funder_id = moved.funder_id and interest_span.product_id = moved.product_id
           and interest_span.charge = moved.charge and interest_span.from_on = moved.from_on
           and interest_span.to_on = moved.to_on",
        &moved.iter().map(|span| span.funder_id.uuid()).collect::<Vec<Uuid>>(),
        &moved.iter().map(|span| span.product_id.uuid()).collect::<Vec<Uuid>>(),
        &moved.iter().map(|span| span.charge.name()).collect::<Vec<&str>>() as &[&str],
        &moved.iter().map(|span| span.from_on.date()).collect::<Vec<NaiveDate>>(),
        &moved.iter().map(|span| span.to_on.date()).collect::<Vec<NaiveDate>>(),
        &moved.iter().map(|span| span.accrued.get()).collect::<Vec<i64>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct LoanRow {
    loan_id: LoanId,
    line_id: LineId,
    purchase_id: PurchaseId,
    funder_id: FunderId,
    merchant_id: MerchantId,
    product_id: ProductId,
    product_version: i32,
    grade: String,
    periods: i16,
    annual_rate: Rate,
    principal: Fen,
    principal_paid: Fen,
    principal_returned: Fen,
    status: LoanStatus,
    statement_day: i16,
    first_statement_on: BusinessDay,
    last_statement_on: BusinessDay,
    schedule_version: i32,
    made_on: BusinessDay,
    closed_on: Option<BusinessDay>,
    charged_off_on: Option<BusinessDay>,
    claim_left: Fen,
}

impl LoanRow {
    fn into_loan(self) -> sqlx::Result<Loan> {
        let statement_day = u8::try_from(self.statement_day).ok().and_then(MonthDay::new);
        Ok(Loan {
            loan_id: self.loan_id,
            line_id: self.line_id,
            purchase_id: self.purchase_id,
            funder_id: self.funder_id,
            merchant_id: self.merchant_id,
            product_id: self.product_id,
            product_version: self.product_version,
            grade: self.grade,
            periods: u16::try_from(self.periods).unwrap_or(0),
            annual_rate: self.annual_rate,
            principal: self.principal,
            principal_paid: self.principal_paid,
            principal_returned: self.principal_returned,
            status: self.status,
            statement_day: statement_day.ok_or_else(|| sqlx::Error::Decode("not a day of month".into()))?,
            first_statement_on: self.first_statement_on,
            last_statement_on: self.last_statement_on,
            schedule_version: self.schedule_version,
            made_on: self.made_on,
            closed_on: self.closed_on,
            charged_off_on: self.charged_off_on,
            claim_left: self.claim_left,
        })
    }
}
