//! SQL of bills and their lines.

use chrono::{Datelike, NaiveDate};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{BilledInstallment, Parts};
use crate::base::id::{LineId, LoanId, ProductId};
use crate::base::{AccountRange, BusinessDay, Fen, Rate, When};
use crate::overdue::OverdueSpan;

/// The first line of every chunk but the first, where each chunk holds about `chunk_rows` open loans of these days of month.
///
/// Walks through each day's loans in the order of lines, one chunk per step: numbering them all would sort and keep them before
/// any worker can begin. Lines have statement days from 1 to 28, so that of the days at a month's end only one has loans, and the
/// starts of two days never mix.
pub async fn cut_agenda(
    connection: &mut PgConnection,
    statement_days: &[i16],
    chunk_rows: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"select distinct beginning.line_id as "line_id!"
           from unnest($1::smallint[]) as agenda(of_day)
           cross join lateral (
               with recursive walk as (
                   (select line_id from loan where status = 'open' and statement_day = agenda.of_day
                    order by line_id offset $2::bigint limit 1)
                   union all
                   select ahead.line_id
                   from walk
                   cross join lateral (
                       select line_id from loan
                       where status = 'open' and statement_day = agenda.of_day and line_id > walk.line_id
                       order by line_id offset $2::bigint - 1 limit 1) ahead)
               select line_id from walk) beginning
           order by 1"#,
        statement_days,
        chunk_rows.max(1)
    )
    .fetch_all(connection)
    .await
}

/// How many open loans have these statement days; counted up to `counted_max` only.
pub async fn count_agenda(
    connection: &mut PgConnection,
    statement_days: &[i16],
    counted_max: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from (select 1 as one from loan where status = 'open' and statement_day = any($1) limit $2) agenda"#,
        statement_days,
        counted_max
    )
    .fetch_one(connection)
    .await
}

/// The one SQL statement that cuts a range's bills; `$if_there` says what becomes of rows that are there already.
///
/// Period k is billed on the k-th statement day from the loan's first. A row that asks for nothing is not billed. Bills are made
/// from the bill lines that were really inserted, so that they agree even where a second run or a payoff came first. Each
/// schedule is looked up by its key (`limit 1` keeps the planner to it): a hash join would read all schedules for every range.
/// Each bill is told to its borrower, as a notice, by SMS, and in WeChat where the borrower allowed it.
macro_rules! cut_statements {
    ($if_there:tt, $($argument:tt)*) => {
        sqlx::query_scalar!(
            r#"with due as materialized (
                   select l.line_id, l.loan_id, l.schedule_version,
                          $6::int + 1 - (extract(year from l.first_statement_on) * 12
                                         + extract(month from l.first_statement_on))::int as period
                   from loan l
                   where l.status = 'open' and l.statement_day = any($2) and l.line_id between $3 and $4
                     and l.first_statement_on <= $1::date and l.last_statement_on >= $1
               ), cut as (
                   insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
                   select due.line_id, due.loan_id, due.period, s.due_on, s.principal_fen, s.interest_fen, s.fee_fen
                   from due
                   cross join lateral (
                       select s.due_on[due.period] as due_on, s.principal_fen[due.period] as principal_fen,
                              s.interest_fen[due.period] as interest_fen, s.fee_fen[due.period] as fee_fen
                       from schedule s
                       where s.loan_id = due.loan_id and s.line_id = due.line_id and s.version = due.schedule_version
                       limit 1) s
                   where s.principal_fen + s.interest_fen + s.fee_fen > 0
                   order by due.line_id
                   "# + $if_there + r#"
                   returning line_id, due_on, principal_fen, interest_fen, fee_fen
               ), billed as (
                   insert into bill (line_id, due_on, statement_on, principal_fen, interest_fen, fee_fen, status)
                   select line_id, due_on, $1, fen_sum(principal_fen), fen_sum(interest_fen), fen_sum(fee_fen), 'open'
                   from cut group by line_id, due_on order by line_id
                   "# + $if_there + r#"
                   returning line_id, due_on, principal_fen + interest_fen + fee_fen as total_fen
               ), told as (
                   insert into notice (audience, recipient_id, kind, body, business_day, created_at)
                   select 'borrower', l.borrower_id, 'bill_issued',
                          jsonb_build_object('line', 'line_' || encode(uuid_send(b.line_id), 'hex'),
                                             'due_on', b.due_on, 'total_fen', b.total_fen), $1, $5
                   from billed b
                   cross join lateral (select borrower_id from credit_line where line_id = b.line_id limit 1) l
                   returning recipient_id, kind, body
               ), sent as (
                   insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
                   select 'sms', kind, recipient_id, body, $5, $5 from told
                   union all
                   select 'wechat', t.kind, t.recipient_id, t.body, $5, $5
                   from told t join wechat_subscription s on s.borrower_id = t.recipient_id and s.kind = t.kind
                   where s.wanted and s.allowed > 0
                   returning 1
               )
               select (select count(*) from cut) + (select count(*) from billed) + (select count(*) from told)
                      + (select count(*) from sent) as "rows!""#,
            $($argument)*
        )
    };
}

/// Writes the bill lines and bills whose statement is cut on the day, and tells of them; returns the rows written.
///
/// # Errors
/// A unique violation where one of them is there already. Then nothing is written; [`cut_rest_of_statements`] writes the rest.
pub async fn cut_statements(
    connection: &mut PgConnection,
    statement_days: &[i16],
    range: AccountRange,
    when: When,
) -> sqlx::Result<u64> {
    let When { business_day: day, at } = when;
    let written = cut_statements!("", day.date(), statement_days, range.from, range.to, at, month_number(day));
    Ok(written.fetch_one(connection).await?.unsigned_abs())
}

/// As [`cut_statements`], but leaves out rows that are there already. Used only where that has failed: the check makes every row
/// cost half as much again.
pub async fn cut_rest_of_statements(
    connection: &mut PgConnection,
    statement_days: &[i16],
    range: AccountRange,
    when: When,
) -> sqlx::Result<u64> {
    let When { business_day: day, at } = when;
    let written = cut_statements!(
        "on conflict do nothing",
        day.date(),
        statement_days,
        range.from,
        range.to,
        at,
        month_number(day)
    );
    Ok(written.fetch_one(connection).await?.unsigned_abs())
}

/// Months counted across years. Computed here for the day, so that the database computes it only for each loan's first statement.
fn month_number(day: BusinessDay) -> i32 {
    day.date().year() * 12 + day.date().month().cast_signed()
}

/// Tells borrowers what they still owe on bills that are due on `due_on`, as notices, by SMS, and in WeChat where they allowed it; returns
/// the rows written.
pub async fn remind(
    connection: &mut PgConnection,
    due_on: BusinessDay,
    range: AccountRange,
    when: When,
) -> sqlx::Result<u64> {
    let written = sqlx::query_scalar!(
        r#"with told as (
               insert into notice (audience, recipient_id, kind, body, business_day, created_at)
               select 'borrower', l.borrower_id, 'due_soon',
                      jsonb_build_object('line', 'line_' || encode(uuid_send(b.line_id), 'hex'),
                                         'due_on', b.due_on, 'owed_fen', owed.fen), $1, $5
               from bill b
               cross join lateral (select borrower_id from credit_line where line_id = b.line_id limit 1) l
               cross join lateral (
                   select sum(i.principal_fen - i.principal_paid_fen - i.principal_returned_fen
                              + i.interest_fen - i.interest_paid_fen - i.interest_returned_fen
                              + i.fee_fen - i.fee_paid_fen - i.fee_returned_fen)::bigint as fen
                   from bill_line i
                   where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement') owed
               where b.status = 'open' and b.due_on = $2 and b.line_id between $3 and $4 and owed.fen > 0
               order by b.line_id
               returning recipient_id, kind, body
           ), sent as (
               insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
               select 'sms', kind, recipient_id, body, $5, $5 from told
               union all
               select 'wechat', t.kind, t.recipient_id, t.body, $5, $5
               from told t join wechat_subscription s on s.borrower_id = t.recipient_id and s.kind = t.kind
               where s.wanted and s.allowed > 0
               returning 1
           )
           select (select count(*) from told) + (select count(*) from sent) as "rows!""#,
        when.business_day.date(),
        due_on.date(),
        range.from,
        range.to,
        when.at,
    )
    .fetch_one(connection)
    .await?;
    Ok(written.unsigned_abs())
}

/// Keeps refunds and payoffs from writing new schedule versions until the transaction ends, because statements are being cut: a chunk must
/// not bill an old version beside a new one. Several chunks hold this lock at once, and so do several changes of schedules, but chunks and
/// changes wait for each other.
pub async fn hold_schedules(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table schedule_gate in share mode").execute(connection).await?;
    Ok(())
}

/// Keeps statements from being cut until the transaction ends, because a new schedule version is about to be written: the counterpart of
/// [`hold_schedules`].
pub async fn enter_schedules(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table schedule_gate in row exclusive mode").execute(connection).await?;
    Ok(())
}

/// Every installment of the lines' open bills, by line, oldest due first, ready for allocation.
pub async fn load_open_installments(
    connection: &mut PgConnection,
    line_ids: &[Uuid],
) -> sqlx::Result<Vec<BilledInstallment>> {
    load_installments(connection, line_ids, None).await
}

/// As [`load_open_installments`], of bills that are due by a day.
pub async fn load_due_installments(
    connection: &mut PgConnection,
    line_ids: &[Uuid],
    due_by: BusinessDay,
) -> sqlx::Result<Vec<BilledInstallment>> {
    load_installments(connection, line_ids, Some(due_by)).await
}

/// Installments of the lines' open bills, of all or of those that are due by a day. A caller that means to change them holds the locks of
/// the lines. Each step is a look-up by key (`offset 0` keeps the planner to it), so that bills and loans that were paid long ago cost
/// nothing. Whether a bill is open is asked of the rows that were found, not of the index of open bills: just after bills were cut, the
/// planner's statistics do not know them yet, and it would walk through that index for each line.
async fn load_installments(
    connection: &mut PgConnection,
    line_ids: &[Uuid],
    due_by: Option<BusinessDay>,
) -> sqlx::Result<Vec<BilledInstallment>> {
    let rows = sqlx::query_as!(
        InstallmentRow,
        r#"select i.line_id as "line_id!: LineId", i.loan_id as "loan_id!: LoanId", i.period as "period!",
                  i.due_on as "due_on!: BusinessDay", i.principal_fen as "principal_fen!",
                  i.interest_fen as "interest_fen!", i.fee_fen as "fee_fen!",
                  i.principal_paid_fen as "principal_paid_fen!", i.interest_paid_fen as "interest_paid_fen!",
                  i.fee_paid_fen as "fee_paid_fen!", i.penalty_paid_fen as "penalty_paid_fen!",
                  i.principal_returned_fen as "principal_returned_fen!",
                  i.interest_returned_fen as "interest_returned_fen!", i.fee_returned_fen as "fee_returned_fen!",
                  i.fen_days as "fen_days!", i.fen_days_to as "fen_days_to?: BusinessDay",
                  l.product_id as "product_id!: ProductId", l.product_version as "product_version!",
                  l.annual_rate as "annual_rate!: Rate"
           from unnest($1::uuid[]) as wanted(line_id)
           cross join lateral (
               select due_on, status from bill
               where line_id = wanted.line_id and ($2::date is null or due_on <= $2) offset 0) b
           cross join lateral (
               select * from bill_line
               where line_id = wanted.line_id and due_on = b.due_on and origin = 'statement' offset 0) i
           cross join lateral (
               select product_id, product_version, annual_rate from loan
               where loan_id = i.loan_id and line_id = i.line_id limit 1) l
           where b.status = 'open'
           order by i.line_id, i.due_on, i.loan_id, i.period"#,
        line_ids,
        due_by.map(BusinessDay::date)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(InstallmentRow::into_installment).collect())
}

/// Saves what payments changed on bill lines.
pub async fn save_installments(connection: &mut PgConnection, installments: &[&BilledInstallment]) -> sqlx::Result<()> {
    if installments.is_empty() {
        return Ok(());
    }
    let fen = |get: fn(&BilledInstallment) -> Fen| -> Vec<i64> {
        installments.iter().map(|installment| get(installment).get()).collect()
    };
    sqlx::query!(
        // Columns of fixed size without nulls are read by index: unnesting them, too, would cost three times as much per row.
        "update bill_line set principal_paid_fen = ($4::bigint[])[p.place], interest_paid_fen = ($5::bigint[])[p.place],
                fee_paid_fen = ($6::bigint[])[p.place], penalty_paid_fen = ($7::bigint[])[p.place],
                principal_returned_fen = ($8::bigint[])[p.place], interest_returned_fen = ($9::bigint[])[p.place],
                fee_returned_fen = ($10::bigint[])[p.place], fen_days = ($11::bigint[])[p.place], fen_days_to = p.fen_days_to
         from unnest($1::uuid[], $12::date[]) with ordinality as p(line_id, fen_days_to, place)
         where bill_line.line_id = p.line_id and bill_line.loan_id = ($2::uuid[])[p.place]
           and bill_line.period = ($3::smallint[])[p.place]",
        &installments.iter().map(|installment| installment.line_id.uuid()).collect::<Vec<Uuid>>(),
        &installments.iter().map(|installment| installment.loan_id.uuid()).collect::<Vec<Uuid>>(),
        &installments.iter().map(|installment| installment.period).collect::<Vec<i16>>(),
        &fen(|installment| installment.paid.principal),
        &fen(|installment| installment.paid.interest),
        &fen(|installment| installment.paid.fee),
        &fen(|installment| installment.paid.penalty),
        &fen(|installment| installment.returned.principal),
        &fen(|installment| installment.returned.interest),
        &fen(|installment| installment.returned.fee),
        &installments.iter().map(|installment| installment.span.fen_days).collect::<Vec<i64>>(),
        &installments.iter().map(|installment| installment.span.fen_days_to.map(BusinessDay::date)).collect::<Vec<_>>()
            as &[Option<NaiveDate>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks bills as paid in full.
pub async fn mark_bills_paid(
    connection: &mut PgConnection,
    bills: &[(LineId, BusinessDay)],
    paid_on: BusinessDay,
) -> sqlx::Result<()> {
    if bills.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update bill set status = 'paid', paid_on = $3
         from unnest($1::uuid[], $2::date[]) as paid(line_id, due_on)
         where bill.line_id = paid.line_id and bill.due_on = paid.due_on and bill.status = 'open'",
        &bills.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &bills.iter().map(|(_, due_on)| due_on.date()).collect::<Vec<NaiveDate>>(),
        paid_on.date()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Opens bills again of which a payment was taken back, where they had been paid in full.
pub async fn reopen_bills(connection: &mut PgConnection, bills: &[(LineId, BusinessDay)]) -> sqlx::Result<()> {
    sqlx::query!(
        "update bill b set status = 'open', paid_on = null
         from unnest($1::uuid[], $2::date[]) as again(line_id, due_on)
         where b.line_id = again.line_id and b.due_on = again.due_on and b.status = 'paid'",
        &bills.iter().map(|(line_id, _)| line_id.uuid()).collect::<Vec<Uuid>>(),
        &bills.iter().map(|(_, due_on)| due_on.date()).collect::<Vec<NaiveDate>>()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Installments of a line that statements have billed, paid or not, by loan and period.
pub async fn load_billed_installments(
    connection: &mut PgConnection,
    line_id: LineId,
    wanted: &[(LoanId, i16)],
) -> sqlx::Result<Vec<BilledInstallment>> {
    let (loan_ids, periods): (Vec<Uuid>, Vec<i16>) =
        wanted.iter().map(|(loan_id, period)| (loan_id.uuid(), *period)).unzip();
    let rows = sqlx::query_as!(
        InstallmentRow,
        r#"select i.line_id as "line_id: LineId", i.loan_id as "loan_id: LoanId", i.period, i.due_on as "due_on: BusinessDay",
                  i.principal_fen, i.interest_fen, i.fee_fen, i.principal_paid_fen, i.interest_paid_fen, i.fee_paid_fen,
                  i.penalty_paid_fen, i.principal_returned_fen, i.interest_returned_fen, i.fee_returned_fen, i.fen_days,
                  i.fen_days_to as "fen_days_to: BusinessDay", l.product_id as "product_id: ProductId", l.product_version,
                  l.annual_rate as "annual_rate: Rate"
           from unnest($2::uuid[], $3::smallint[]) as wanted(loan_id, period)
           join bill_line i on i.line_id = $1 and i.loan_id = wanted.loan_id and i.period = wanted.period
           join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
           where i.origin = 'statement'
           order by i.due_on, i.loan_id, i.period"#,
        line_id.uuid(),
        &loan_ids,
        &periods
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(InstallmentRow::into_installment).collect())
}

/// Removes the bill line of a payoff that was taken back: statements bill its periods again.
pub async fn delete_payoff_line(connection: &mut PgConnection, line_id: LineId, loan_id: LoanId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from bill_line where line_id = $1 and loan_id = $2 and origin = 'payoff'",
        line_id.uuid(),
        loan_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether one of these loans of a line has been paid off early.
pub async fn has_payoff_line(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_ids: &[LoanId],
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from bill_line where line_id = $1 and loan_id = any($2) and origin = 'payoff') as "has!""#,
        line_id.uuid(),
        &loan_ids.iter().map(|loan_id| loan_id.uuid()).collect::<Vec<Uuid>>()
    )
    .fetch_one(connection)
    .await
}

/// The one line of an early payoff, paid as it is written; it belongs to no bill.
pub async fn insert_payoff_line(connection: &mut PgConnection, installment: &BilledInstallment) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into bill_line (line_id, loan_id, period, due_on, origin, principal_fen, interest_fen, fee_fen,
                                principal_paid_fen, interest_paid_fen, fee_paid_fen)
         values ($1, $2, $3, $4, 'payoff', $5, $6, $7, $8, $9, $10)",
        installment.line_id.uuid(),
        installment.loan_id.uuid(),
        installment.period,
        installment.due_on().date(),
        installment.billed.principal.get(),
        installment.billed.interest.get(),
        installment.billed.fee.get(),
        installment.paid.principal.get(),
        installment.paid.interest.get(),
        installment.paid.fee.get(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The last period of a loan that has been billed by statements; 0 before the first.
pub async fn last_period_billed(connection: &mut PgConnection, line_id: LineId, loan_id: LoanId) -> sqlx::Result<i16> {
    sqlx::query_scalar!(
        r#"select coalesce(max(period), 0)::smallint as "period!" from bill_line
           where line_id = $1 and loan_id = $2 and origin = 'statement'"#,
        line_id.uuid(),
        loan_id.uuid()
    )
    .fetch_one(connection)
    .await
}

struct InstallmentRow {
    line_id: LineId,
    loan_id: LoanId,
    period: i16,
    due_on: BusinessDay,
    principal_fen: i64,
    interest_fen: i64,
    fee_fen: i64,
    principal_paid_fen: i64,
    interest_paid_fen: i64,
    fee_paid_fen: i64,
    penalty_paid_fen: i64,
    principal_returned_fen: i64,
    interest_returned_fen: i64,
    fee_returned_fen: i64,
    fen_days: i64,
    fen_days_to: Option<BusinessDay>,
    product_id: ProductId,
    product_version: i32,
    annual_rate: Rate,
}

impl InstallmentRow {
    fn into_installment(self) -> BilledInstallment {
        let parts = |principal: i64, interest: i64, fee: i64, penalty: i64| Parts {
            principal: Fen::new(principal),
            interest: Fen::new(interest),
            fee: Fen::new(fee),
            penalty: Fen::new(penalty),
        };
        BilledInstallment {
            line_id: self.line_id,
            loan_id: self.loan_id,
            period: self.period,
            billed: parts(self.principal_fen, self.interest_fen, self.fee_fen, 0),
            paid: parts(self.principal_paid_fen, self.interest_paid_fen, self.fee_paid_fen, self.penalty_paid_fen),
            returned: parts(self.principal_returned_fen, self.interest_returned_fen, self.fee_returned_fen, 0),
            span: OverdueSpan { due_on: self.due_on, fen_days: self.fen_days, fen_days_to: self.fen_days_to },
            product_id: self.product_id,
            product_version: self.product_version,
            annual_rate: self.annual_rate,
        }
    }
}
