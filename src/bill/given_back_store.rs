//! SQL for refunds: what they find on the billed installments of a loan, and what they give back of what was paid.

use sqlx::PgConnection;

use super::model::Parts;
use crate::base::Fen;
use crate::base::id::{LineId, LoanId};
use crate::ledger::Account;

/// One installment as billed, or the line of an early payoff; no penalty in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BilledParts {
    /// From 1.
    pub period: i16,
    pub is_payoff: bool,
    pub asked: Parts,
    pub paid: Parts,
    /// Taken off before it was paid.
    pub fallen: Parts,
    /// The part of what was paid that was given back to the card.
    pub back: Parts,
    /// What had been refunded of the loan in all when this installment's statement was cut; zero for an early payoff.
    pub refunded_before: Fen,
}

/// What was billed of a loan, paid or not, by period.
pub async fn load_billed_parts(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<BilledParts>> {
    let rows = sqlx::query!(
        r#"select i.period, i.origin = 'payoff' as "is_payoff!", i.principal_fen as "principal: Fen", i.interest_fen as "interest: Fen",
                  i.fee_fen as "fee: Fen", i.principal_paid_fen as "principal_paid: Fen", i.interest_paid_fen as "interest_paid: Fen",
                  i.fee_paid_fen as "fee_paid: Fen", i.principal_returned_fen as "principal_returned: Fen",
                  i.interest_returned_fen as "interest_returned: Fen", i.fee_returned_fen as "fee_returned: Fen",
                  i.principal_back_fen as "principal_back: Fen", i.interest_back_fen as "interest_back: Fen",
                  i.fee_back_fen as "fee_back: Fen",
                  (select coalesce(sum(f.amount_fen), 0)::bigint
                   from bill b
                   join refund f on f.line_id = b.line_id and f.loan_id = i.loan_id and f.business_day <= b.statement_on
                   where b.line_id = i.line_id and b.due_on = i.due_on and i.origin = 'statement') as "refunded_before!: Fen"
           from bill_line i where i.line_id = $1 and i.loan_id = $2 order by i.period"#,
        line_id.uuid(),
        loan_id.uuid(),
    )
    .fetch_all(connection)
    .await?;
    let parts = |principal, interest, fee| Parts { principal, interest, fee, penalty: Fen::ZERO };
    let billed = rows.into_iter().map(|row| BilledParts {
        period: row.period,
        is_payoff: row.is_payoff,
        asked: parts(row.principal, row.interest, row.fee),
        paid: parts(row.principal_paid, row.interest_paid, row.fee_paid),
        fallen: parts(row.principal_returned, row.interest_returned, row.fee_returned),
        back: parts(row.principal_back, row.interest_back, row.fee_back),
        refunded_before: row.refunded_before,
    });
    Ok(billed.collect())
}

/// Interest and fees of a loan, by period (from 1), that were paid after its charge-off and not taken back.
///
/// On the business day of the charge-off or the next one, days do not tell whether the payment or the charge-off came first. The
/// payment's own posting does: what it booked as recovered, together with the guarantors' parts, must cover all that it paid on
/// this loan and on loans charged off before it.
pub async fn load_recovered(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<(i16, Parts)>> {
    let rows = sqlx::query!(
        r#"select a.period as "period!", sum(a.interest)::bigint as "interest!: Fen", sum(a.fee)::bigint as "fee!: Fen"
           from charge_off c
           join repayment r on r.line_id = c.line_id and r.business_day >= c.business_day and r.source <> 'reversal'
           cross join lateral unnest(r.loan_ids, r.periods, r.interest_fen, r.fee_fen) as a(loan_id, period, interest, fee)
           where c.line_id = $1 and c.loan_id = $2 and a.loan_id = c.loan_id
             and not exists (select from repayment b where b.line_id = r.line_id and b.source = 'reversal'
                               and b.source_reference = r.repayment_id::text)
             and (select coalesce(sum(case when leg.debit = $3 then leg.amount_fen else -leg.amount_fen end), 0) from posting p
                  cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
                  where p.posting_id = r.repayment_id and p.line_id = r.line_id
                    and (leg.debit = $3 and leg.credit = $4 or leg.debit = $4 and leg.credit = $3))
                 + (select coalesce(sum(g.amount_fen), 0) from recourse g
                    where g.line_id = r.line_id and g.source_id = r.repayment_id and g.is_charged_off
                      -- As the payment was booked, whatever became of claims since.
                      and g.claim_id = '00000000-0000-0000-0000-000000000000')
                 >= (select sum(taken.principal + taken.interest + taken.fee)
                     from unnest(r.loan_ids, r.principal_fen, r.interest_fen, r.fee_fen) as taken(loan_id, principal, interest, fee)
                     join charge_off e on e.line_id = r.line_id and e.loan_id = taken.loan_id
                     where e.loan_id = c.loan_id or e.business_day < greatest(c.business_day, r.business_day - 1))
           group by a.period"#,
        line_id.uuid(),
        loan_id.uuid(),
        Account::ChargedOff.number(),
        Account::RecoveryIncome.number(),
    )
    .fetch_all(connection)
    .await?;
    let parts = |interest, fee| Parts { interest, fee, ..Parts::default() };
    Ok(rows.into_iter().map(|row| (row.period, parts(row.interest, row.fee))).collect())
}

/// Adds what a refund gives back of what was paid, by period; penalty is not given back.
pub async fn add_given_back(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
    given_back: &[(u16, Parts)],
) -> sqlx::Result<()> {
    if given_back.is_empty() {
        return Ok(());
    }
    let periods: Vec<i32> = given_back.iter().map(|(period, _)| i32::from(*period)).collect();
    let fen = |get: fn(&Parts) -> Fen| given_back.iter().map(|(_, parts)| get(parts).get()).collect::<Vec<i64>>();
    sqlx::query!(
        "update bill_line i set principal_back_fen = i.principal_back_fen + b.principal,
                interest_back_fen = i.interest_back_fen + b.interest, fee_back_fen = i.fee_back_fen + b.fee
         from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[]) as b(period, principal, interest, fee)
         where i.line_id = $1 and i.loan_id = $2 and i.period = b.period",
        line_id.uuid(),
        loan_id.uuid(),
        &periods,
        &fen(|parts| parts.principal),
        &fen(|parts| parts.interest),
        &fen(|parts| parts.fee),
    )
    .execute(connection)
    .await?;
    Ok(())
}
