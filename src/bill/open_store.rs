//! SQL of open bills for whoever reads their loans as well, so that no loan is looked up twice.

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{BilledInstallment, Parts};
use crate::base::id::{LineId, LoanId};
use crate::base::{BusinessDay, Fen};
use crate::loan::Loan;
use crate::overdue::OverdueSpan;

/// An installment of an open bill, without the terms that stand on its loan.
#[derive(Clone, Copy, Debug)]
pub struct OpenRow {
    pub line_id: LineId,
    pub loan_id: LoanId,
    period: i16,
    due_on: BusinessDay,
    principal: Fen,
    interest: Fen,
    fee: Fen,
    principal_paid: Fen,
    interest_paid: Fen,
    fee_paid: Fen,
    penalty_paid: Fen,
    principal_returned: Fen,
    interest_returned: Fen,
    fee_returned: Fen,
    fen_days: i64,
    fen_days_to: Option<BusinessDay>,
}

/// As [`super::load_open_installments`], each to be given its loan.
pub async fn load_open_rows(connection: &mut PgConnection, line_ids: &[Uuid]) -> sqlx::Result<Vec<OpenRow>> {
    sqlx::query_as!(
        OpenRow,
        r#"select i.line_id as "line_id!: LineId", i.loan_id as "loan_id!: LoanId", i.period as "period!",
                  i.due_on as "due_on!: BusinessDay", i.principal_fen as "principal!: Fen",
                  i.interest_fen as "interest!: Fen", i.fee_fen as "fee!: Fen",
                  i.principal_paid_fen as "principal_paid!: Fen", i.interest_paid_fen as "interest_paid!: Fen",
                  i.fee_paid_fen as "fee_paid!: Fen", i.penalty_paid_fen as "penalty_paid!: Fen",
                  i.principal_returned_fen as "principal_returned!: Fen",
                  i.interest_returned_fen as "interest_returned!: Fen", i.fee_returned_fen as "fee_returned!: Fen",
                  i.fen_days as "fen_days!", i.fen_days_to as "fen_days_to?: BusinessDay"
           from unnest($1::uuid[]) as wanted(line_id)
           cross join lateral (
               select due_on, status from bill where line_id = wanted.line_id offset 0) b
           cross join lateral (
               select * from bill_line
               where line_id = wanted.line_id and due_on = b.due_on and origin = 'statement' offset 0) i
           where b.status = 'open'
           order by i.line_id, i.due_on, i.loan_id, i.period"#,
        line_ids
    )
    .fetch_all(connection)
    .await
}

impl OpenRow {
    /// The whole installment; `loan` is its own.
    pub fn with_terms_of(self, loan: &Loan) -> BilledInstallment {
        BilledInstallment {
            line_id: self.line_id,
            loan_id: self.loan_id,
            period: self.period,
            billed: Parts { principal: self.principal, interest: self.interest, fee: self.fee, penalty: Fen::ZERO },
            paid: Parts {
                principal: self.principal_paid,
                interest: self.interest_paid,
                fee: self.fee_paid,
                penalty: self.penalty_paid,
            },
            returned: Parts {
                principal: self.principal_returned,
                interest: self.interest_returned,
                fee: self.fee_returned,
                penalty: Fen::ZERO,
            },
            span: OverdueSpan { due_on: self.due_on, fen_days: self.fen_days, fen_days_to: self.fen_days_to },
            product_id: loan.product_id,
            product_version: loan.product_version,
            annual_rate: loan.annual_rate,
        }
    }
}
