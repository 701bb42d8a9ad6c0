//! SQL of what refunds find on the installments of a loan, and give back of what was paid.

use sqlx::PgConnection;

use super::model::Parts;
use crate::base::Fen;
use crate::base::id::{LineId, LoanId};

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
    /// Of what was paid, given back to the card.
    pub back: Parts,
}

/// What was billed of a loan, paid or not, by period.
pub async fn load_billed_parts(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<BilledParts>> {
    let rows = sqlx::query!(
        r#"select period, origin = 'payoff' as "is_payoff!", principal_fen as "principal: Fen", interest_fen as "interest: Fen",
                  fee_fen as "fee: Fen", principal_paid_fen as "principal_paid: Fen", interest_paid_fen as "interest_paid: Fen",
                  fee_paid_fen as "fee_paid: Fen", principal_returned_fen as "principal_returned: Fen",
                  interest_returned_fen as "interest_returned: Fen", fee_returned_fen as "fee_returned: Fen",
                  principal_back_fen as "principal_back: Fen", interest_back_fen as "interest_back: Fen",
                  fee_back_fen as "fee_back: Fen"
           from bill_line where line_id = $1 and loan_id = $2 order by period"#,
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
    });
    Ok(billed.collect())
}

/// Adds what a refund gives back of what was paid, by period; penalty is not given back.
pub async fn add_given_back(
    connection: &mut PgConnection,
    (line_id, loan_id): (LineId, LoanId),
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
