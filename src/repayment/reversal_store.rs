//! SQL of reversals: repayments as they were booked.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::account::{Repayment, RepaymentItem, Source};
use super::withholding::Failure;
use crate::base::id::{FunderId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};
use crate::bill::Parts;
use crate::ledger::Account;

/// Repayments as they were booked. `recovered` is what was booked as recovered on charged-off loans, including what was a guarantor's
/// until its claim was taken back; without what still belongs to guarantors.
macro_rules! select_repayments {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            RepaymentRow,
            r#"select repayment_id as "repayment_id: RepaymentId", funder_id as "funder_id: FunderId", amount_fen as "amount: Fen",
                      loan_ids as "loan_ids: Vec<LoanId>", periods, principal_fen, interest_fen, fee_fen, penalty_fen,
                      excess_fen as "excess: Fen", business_day as "business_day: BusinessDay",
                      value_date(r) as "value_on!: BusinessDay", received_at,
                      (select coalesce(sum(case when leg.debit = $1 then leg.amount_fen else -leg.amount_fen end), 0)::bigint
                       from posting p
                       cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
                       where p.posting_id = r.repayment_id and p.line_id = r.line_id
                         and (leg.debit = $1 and leg.credit = $2 or leg.debit = $2 and leg.credit = $1))
                      - (select coalesce(sum(g.amount_fen), 0)::bigint from recourse g
                         where g.line_id = r.line_id and g.source_id = r.repayment_id and g.is_charged_off
                           and g.claim_id <> '00000000-0000-0000-0000-000000000000')
                          as "recovered!: Fen"
               from repayment r "# + $rest,
            Account::ChargedOff.number(),
            Account::RecoveryIncome.number(),
            $($argument)*
        )
    };
}

/// The repayment that was booked from a source, unless it was reversed.
pub async fn find_receipt(
    connection: &mut PgConnection,
    line_id: LineId,
    source: Source,
) -> sqlx::Result<Option<Repayment>> {
    let row = select_repayments!(
        "where line_id = $3 and source = $4 and source_reference = $5
           and not exists (select from repayment b where b.line_id = r.line_id and b.source = 'reversal'
                             and b.source_reference = r.repayment_id::text)",
        line_id.uuid(),
        source.stored(),
        source.reference()
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| row.into_repayment(line_id, source)))
}

/// The repayment that a transfer was booked as; `source` is the transfer, as the caller has read it.
pub async fn find_transferred(
    connection: &mut PgConnection,
    line_id: LineId,
    repayment_id: RepaymentId,
    source: Source,
) -> sqlx::Result<Option<Repayment>> {
    let row = select_repayments!(
        "where repayment_id = $3 and line_id = $4 and source = 'transfer'",
        repayment_id.uuid(),
        line_id.uuid()
    );
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| row.into_repayment(line_id, source)))
}

/// Marks a succeeded order as failed, because its repayment was reversed.
pub async fn mark_reversed(connection: &mut PgConnection, withholding_id: WithholdingId) -> sqlx::Result<()> {
    sqlx::query!(
        "update withholding set status = 'failed', failure = $2, collected_fen = 0
         where withholding_id = $1 and status = 'succeeded'",
        withholding_id.uuid(),
        Failure::Reversed.stored()
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct RepaymentRow {
    repayment_id: RepaymentId,
    funder_id: FunderId,
    amount: Fen,
    loan_ids: Vec<LoanId>,
    periods: Vec<i16>,
    principal_fen: Vec<i64>,
    interest_fen: Vec<i64>,
    fee_fen: Vec<i64>,
    penalty_fen: Vec<i64>,
    excess: Fen,
    recovered: Fen,
    business_day: BusinessDay,
    value_on: BusinessDay,
    received_at: DateTime<Utc>,
}

impl RepaymentRow {
    fn into_repayment(self, line_id: LineId, source: Source) -> Repayment {
        let item = |k: usize| RepaymentItem {
            loan_id: self.loan_ids[k],
            period: self.periods[k],
            taken: Parts {
                principal: Fen::new(self.principal_fen[k]),
                interest: Fen::new(self.interest_fen[k]),
                fee: Fen::new(self.fee_fen[k]),
                penalty: Fen::new(self.penalty_fen[k]),
            },
        };
        Repayment {
            repayment_id: self.repayment_id,
            line_id,
            funder_id: self.funder_id,
            source,
            amount: self.amount,
            items: (0..self.loan_ids.len()).map(item).collect(),
            excess: self.excess,
            recourse: Vec::new(),
            recovered: self.recovered,
            charged_off_again: Fen::ZERO,
            business_day: self.business_day,
            value_on: self.value_on,
            received_at: self.received_at,
        }
    }
}
