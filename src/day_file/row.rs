//! The rows of each file: their columns in order, and which sums are made of them.
//!
//! A row is written as it is declared here, in CSV and in JSON lines. Columns whose name ends in `_fen` are amounts, and each is
//! summed. No column may hold a value that a later day changes: the files of a day are the same bytes whenever they are made.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::model::Table;
use crate::base::id::{
    BorrowerId, LineId, LoanId, MerchantId, ProductId, PurchaseId, RefundId, RemittanceId, RepaymentId, WithholdingId,
};
use crate::base::{BusinessDay, Fen};
use crate::ledger::Account;

/// Sums by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Sums(pub BTreeMap<Cow<'static, str>, Fen>);

impl Sums {
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, amount: Fen) {
        *self.0.entry(name.into()).or_default() += amount;
    }
}

/// A row of a file.
pub trait Row: Serialize + Send + Sync + 'static {
    const TABLE: Table;
    const COLUMNS: &'static [&'static str];
    fn add_to(&self, sums: &mut Sums);
}

/// The value of a column; only amounts are summed.
trait Cell {
    fn fen(&self) -> Option<Fen> {
        None
    }
}

impl Cell for Fen {
    fn fen(&self) -> Option<Fen> {
        Some(*self)
    }
}

macro_rules! not_amounts {
    ($($kind:ty,)*) => { $(impl Cell for $kind {} impl Cell for Option<$kind> {})* };
}

not_amounts! {
    BorrowerId, LineId, LoanId, MerchantId, ProductId, PurchaseId, RefundId, RemittanceId, RepaymentId, WithholdingId, Uuid,
    BusinessDay, DateTime<Utc>, Decimal, String, i16, i32, i64, AccountName,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $row:ident $table:ident { $($(#[$column_doc:meta])* $column:ident: $kind:ty,)* } $(=> $more:ident)?)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        pub struct $row {
            $($(#[$column_doc])* pub $column: $kind,)*
        }

        impl Row for $row {
            const TABLE: Table = Table::$table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column),)*];

            fn add_to(&self, sums: &mut Sums) {
                $(if let Some(amount) = self.$column.fen() {
                    sums.add(stringify!($column), amount);
                })*
                $($more(self, sums);)?
            }
        }
    )*

        /// The columns of a file, in order.
        pub fn columns(table: Table) -> &'static [&'static str] {
            match table {
                $(Table::$table => $row::COLUMNS,)*
            }
        }
    };
}

rows! {
    /// A line that changed on the day.
    LineRow Lines {
        line_id: LineId,
        borrower_id: BorrowerId,
        product_id: ProductId,
        product_version: i32,
        /// `active`, `frozen` or `closed` at the end of the day.
        status: String,
        limit_fen: Fen,
        used_fen: Fen,
        available_fen: Fen,
        limit_change_fen: Fen,
        used_change_fen: Fen,
        /// Entries of its journal on the day.
        changes: i64,
    }

    /// A loan on which something happened on the day.
    LoanRow Loans {
        loan_id: LoanId,
        line_id: LineId,
        purchase_id: PurchaseId,
        merchant_id: MerchantId,
        product_id: ProductId,
        product_version: i32,
        periods: i16,
        annual_rate: Decimal,
        made_on: BusinessDay,
        schedule_version: i32,
        principal_fen: Fen,
        /// The principal if it was made on the day, or zero.
        made_fen: Fen,
        voided_fen: Fen,
        repaid_fen: Fen,
        returned_fen: Fen,
        /// Unpaid principal at the end of the day.
        outstanding_fen: Fen,
        /// The day of its charge-off, if it was charged off by the end of the day.
        charged_off_on: Option<BusinessDay>,
    }

    /// An installment of a schedule that was written on the day.
    PlanRow Plans {
        loan_id: LoanId,
        line_id: LineId,
        schedule_version: i32,
        reason: String,
        period: i64,
        due_on: BusinessDay,
        principal_fen: Fen,
        interest_fen: Fen,
        fee_fen: Fen,
    } => sum_plan_by_reason

    /// Money received; negative where a repayment was taken back.
    RepaymentRow Repayments {
        repayment_id: RepaymentId,
        line_id: LineId,
        source: String,
        withholding_id: Option<WithholdingId>,
        bank_reference: Option<String>,
        reverses: Option<RepaymentId>,
        received_at: DateTime<Utc>,
        amount_fen: Fen,
        principal_fen: Fen,
        interest_fen: Fen,
        fee_fen: Fen,
        penalty_fen: Fen,
        excess_fen: Fen,
    }

    /// What one installment received of a repayment.
    RepaymentPartRow RepaymentParts {
        repayment_id: RepaymentId,
        part: i64,
        line_id: LineId,
        loan_id: LoanId,
        period: i16,
        principal_fen: Fen,
        interest_fen: Fen,
        fee_fen: Fen,
        penalty_fen: Fen,
    }

    RefundRow Refunds {
        refund_id: RefundId,
        line_id: LineId,
        loan_id: LoanId,
        purchase_id: PurchaseId,
        merchant_id: MerchantId,
        schedule_version: i32,
        amount_fen: Fen,
        principal_fell_fen: Fen,
        owed_back_fen: Fen,
        interest_waived_fen: Fen,
        interest_back_fen: Fen,
        fee_back_fen: Fen,
        subsidy_returned_fen: Fen,
        created_at: DateTime<Utc>,
    }

    /// What a refund took off one billed installment.
    RefundPartRow RefundParts {
        refund_id: RefundId,
        line_id: LineId,
        loan_id: LoanId,
        period: i16,
        /// Unpaid, and no longer owed.
        principal_fell_fen: Fen,
        interest_fell_fen: Fen,
        fee_fell_fen: Fen,
        /// Paid, and paid back to the card.
        interest_back_fen: Fen,
        fee_back_fen: Fen,
    }

    /// An entry of the reserve's journal.
    ReserveRow Reserve {
        entry_no: i64,
        kind: String,
        source: String,
        amount_fen: Fen,
        available_change_fen: Fen,
        held_change_fen: Fen,
        occurred_at: DateTime<Utc>,
    }

    /// A part of the day's remittance.
    RemittanceRow Remittances {
        remittance_id: RemittanceId,
        product_id: ProductId,
        product_version: i32,
        pay_on: BusinessDay,
        principal_fen: Fen,
        interest_fen: Fen,
        fee_fen: Fen,
        penalty_fen: Fen,
        subsidy_fen: Fen,
        share_fen: Fen,
    }

    /// A leg of a posting in the funder's own book.
    LedgerRow Ledger {
        posting_id: Uuid,
        leg: i64,
        event: String,
        source_id: Uuid,
        line_id: Option<LineId>,
        corrects: Option<Uuid>,
        debit_account: AccountName,
        credit_account: AccountName,
        amount_fen: Fen,
        posted_at: DateTime<Utc>,
    } => sum_leg_by_account
}

/// Sums the principal of first versions of schedules separately: it is the principal that was lent.
fn sum_plan_by_reason(row: &PlanRow, sums: &mut Sums) {
    sums.add(format!("principal_fen.{}", row.reason), row.principal_fen);
}

/// Sums each account's debits and credits, in total and by event.
fn sum_leg_by_account(row: &LedgerRow, sums: &mut Sums) {
    for (side, account) in [("debit_fen", row.debit_account), ("credit_fen", row.credit_account)] {
        let account = account.name();
        sums.add(format!("{side}.{account}"), row.amount_fen);
        sums.add(format!("{side}.{account}.{}", row.event), row.amount_fen);
    }
}

/// An account, stored by its number and written by its name.
#[derive(Clone, Copy, Debug, sqlx::Type)]
#[sqlx(transparent)]
pub struct AccountName(i16);

impl AccountName {
    fn name(self) -> &'static str {
        Account::from_number(self.0).map_or("unknown", Account::name)
    }
}

impl Serialize for AccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
