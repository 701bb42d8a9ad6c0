//! SQL of loans, their plans and installments as their funder sees them.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::LoanStatus;
use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen};

/// A loan, made by one purchase.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoanView {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    pub merchant_id: MerchantId,
    pub product_id: ProductId,
    /// Version of the product's terms under which it was made.
    #[schema(example = 1)]
    pub product_version: i32,
    /// The borrower's grade, which sets the price.
    #[schema(example = "A")]
    pub grade: String,
    /// Number of installments.
    #[schema(example = 12)]
    pub periods: i16,
    /// Contract interest rate a year, as a fraction; 0 for flat-fee and interest-free plans. Without any guarantee charge.
    #[schema(value_type = String, example = "0.14")]
    pub annual_rate: Decimal,
    /// Principal lent, in fen.
    pub principal_fen: Fen,
    /// Principal repaid so far, in fen.
    pub principal_paid_fen: Fen,
    /// Principal taken off by refunds so far, in fen.
    pub principal_returned_fen: Fen,
    /// Outstanding principal, in fen: `principal_fen` less `principal_paid_fen` and `principal_returned_fen`, and 0 of a voided loan. Over all
    /// loans it is what your book has as loan principal.
    pub outstanding_fen: Fen,
    /// Interest or fees that the merchant pays you instead of the customer, in fen, as in `loan_made`; what refunds returned of it is in their
    /// `subsidy_returned_fen`. 0 of a voided loan.
    pub subsidy_fen: Fen,
    /// Due date of the oldest billed installment of which principal, interest or a fee is not paid, which may be a day to come; null if there is
    /// none. The loan is late from the next day on.
    pub oldest_unpaid_due_on: Option<BusinessDay>,
    /// `open`, `paid`, `refunded` if refunds alone ended it, or `voided` if its purchase was cancelled on its own business day.
    #[schema(example = "open")]
    pub status: String,
    /// Number of the current version of its repayment schedule.
    #[schema(example = 1)]
    pub schedule_version: i32,
    /// The business day on which it was made.
    pub made_on: BusinessDay,
    /// The business day on which it ended; null while it is open.
    pub closed_on: Option<BusinessDay>,
    /// The business day on which it was charged off in your book; null if it was not. A charged-off loan is owed and collected as before.
    pub charged_off_on: Option<BusinessDay>,
}

/// What narrows a list of loans down.
#[derive(Clone, Debug, Default)]
pub struct WantedLoans {
    pub line_id: Option<Uuid>,
    pub status: Option<LoanStatus>,
    pub after: Option<Uuid>,
}

/// A query for loans; `$rest` goes on from the table.
macro_rules! select_loans {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            LoanView,
            r#"select loan_id as "loan_id: LoanId", line_id as "line_id: LineId", purchase_id as "purchase_id: PurchaseId",
                      merchant_id as "merchant_id: MerchantId", product_id as "product_id: ProductId", product_version, grade,
                      periods, annual_rate, principal_fen as "principal_fen: Fen",
                      principal_paid_fen as "principal_paid_fen: Fen",
                      principal_returned_fen as "principal_returned_fen: Fen",
                      case when status = 'voided' then 0
                           else principal_fen - principal_paid_fen - principal_returned_fen end as "outstanding_fen!: Fen",
                      (select coalesce(sum(p.subsidy_fen), 0)::bigint from purchase p
                       where p.purchase_id = loan.purchase_id and p.line_id = loan.line_id and p.status <> 'voided')
                          as "subsidy_fen!: Fen",
                      (select min(i.due_on) from bill_line i
                       where i.line_id = loan.line_id and i.loan_id = loan.loan_id
                             and i.principal_paid_fen + i.principal_returned_fen + i.interest_paid_fen
                                 + i.interest_returned_fen + i.fee_paid_fen + i.fee_returned_fen
                                 < i.principal_fen + i.interest_fen + i.fee_fen)
                          as "oldest_unpaid_due_on?: BusinessDay",
                      status, schedule_version,
                      made_on as "made_on: BusinessDay", closed_on as "closed_on: BusinessDay",
                      (select c.business_day from charge_off c where c.line_id = loan.line_id and c.loan_id = loan.loan_id)
                          as "charged_off_on?: BusinessDay"
               from loan "# + $rest,
            $($argument)*
        )
    };
}

/// A funder's loans after `wanted.after`, the oldest first.
pub async fn list_loans(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: &WantedLoans,
    limit: i64,
) -> sqlx::Result<Vec<LoanView>> {
    select_loans!(
        "where funder_id = $1 and ($2::uuid is null or line_id = $2) and ($3::text is null or status = $3)
               and ($4::uuid is null or loan_id > $4)
         order by loan_id limit $5",
        funder_id.uuid(),
        wanted.line_id,
        wanted.status.map(LoanStatus::name),
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Which late loans.
#[derive(Clone, Copy, Debug)]
pub struct WantedLate<'a> {
    pub wanted: &'a WantedLoans,
    /// Only those with an installment that was due before this day and is not paid.
    pub due_before: BusinessDay,
}

/// A funder's late loans after `wanted.after`, the oldest first. They are found by the open bills of those days, because the loans that
/// are not late are many.
pub async fn list_late_loans(
    connection: &mut PgConnection,
    funder_id: FunderId,
    WantedLate { wanted, due_before }: WantedLate<'_>,
    limit: i64,
) -> sqlx::Result<Vec<LoanView>> {
    select_loans!(
        "where funder_id = $1 and ($2::uuid is null or line_id = $2) and ($3::text is null or status = $3)
               and ($4::uuid is null or loan_id > $4)
               and loan_id in (
                   select i.loan_id from bill b join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on
                   where b.status = 'open' and b.due_on < $5
                         and i.principal_paid_fen + i.principal_returned_fen + i.interest_paid_fen
                             + i.interest_returned_fen + i.fee_paid_fen + i.fee_returned_fen
                             < i.principal_fen + i.interest_fen + i.fee_fen)
         order by loan_id limit $6",
        funder_id.uuid(),
        wanted.line_id,
        wanted.status.map(LoanStatus::name),
        wanted.after,
        due_before.date(),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// One loan by its key: the same however large the book is.
pub async fn find_loan(
    connection: &mut PgConnection,
    funder_id: FunderId,
    loan_id: LoanId,
) -> sqlx::Result<Option<LoanView>> {
    select_loans!("where loan_id = $1 and funder_id = $2", loan_id.uuid(), funder_id.uuid())
        .fetch_optional(connection)
        .await
}

/// One version of a loan's repayment schedule. The lists have one element for each installment, in the order of their periods.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// Counted from 1.
    #[schema(example = 1)]
    pub version: i32,
    /// Why it was written: `made` (with the loan), `refund`, `payoff` (early payoff), or `restored` (an early payoff was reversed).
    #[schema(example = "made")]
    pub reason: String,
    /// Due date of each installment.
    pub due_on: Vec<BusinessDay>,
    /// Principal of each installment, in fen.
    pub principal_fen: Vec<Fen>,
    /// Interest of each installment, in fen.
    pub interest_fen: Vec<Fen>,
    /// Fee of each installment, in fen: the period fee of a `flat_fee` plan or the guarantee charge beside interest; the fee of an early payoff
    /// is in the installment that the payoff leaves.
    pub fee_fen: Vec<Fen>,
    /// The business day on which this version was written.
    pub business_day: BusinessDay,
}

/// Which loan's plans.
#[derive(Clone, Copy, Debug)]
pub struct WantedPlans {
    pub line_id: LineId,
    pub loan_id: LoanId,
    /// Only later versions than this one.
    pub after: Option<i32>,
}

/// The versions of a loan's plan after `wanted.after`, the first one first.
pub async fn list_plans(connection: &mut PgConnection, wanted: WantedPlans, limit: i64) -> sqlx::Result<Vec<PlanView>> {
    sqlx::query_as!(
        PlanView,
        r#"select version, reason, due_on as "due_on: Vec<BusinessDay>", principal_fen as "principal_fen: Vec<Fen>",
                  interest_fen as "interest_fen: Vec<Fen>", fee_fen as "fee_fen: Vec<Fen>",
                  business_day as "business_day: BusinessDay"
           from schedule where line_id = $1 and loan_id = $2 and ($3::int is null or version > $3)
           order by version limit $4"#,
        wanted.line_id.uuid(),
        wanted.loan_id.uuid(),
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// One installment of a loan's current repayment schedule, and what was repaid or refunded of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstallmentView {
    /// Number of the installment, from 1.
    #[schema(example = 1)]
    pub period: i32,
    /// Due date.
    pub due_on: BusinessDay,
    /// Principal, in fen: as billed, or as scheduled while it is not billed.
    pub principal_fen: Fen,
    /// Interest, in fen: as billed, or as scheduled while it is not billed.
    pub interest_fen: Fen,
    /// Fee, in fen, as billed or scheduled: the period fee of a `flat_fee` plan or the guarantee charge beside interest; the fee of an early
    /// payoff is in the installment that the payoff leaves.
    pub fee_fen: Fen,
    /// Whether it is on a bill. What an early payoff collects is never billed.
    pub is_billed: bool,
    /// Principal repaid, in fen.
    pub principal_paid_fen: Fen,
    /// Interest repaid, in fen.
    pub interest_paid_fen: Fen,
    /// Fee repaid, in fen.
    pub fee_paid_fen: Fen,
    /// Penalty interest repaid, in fen.
    pub penalty_paid_fen: Fen,
    /// Billed principal, not yet repaid, that a refund took off, in fen. It is no longer owed.
    pub principal_returned_fen: Fen,
    /// Billed interest, not yet repaid, that a refund took off or an early payoff waived, in fen. It is no longer owed.
    pub interest_returned_fen: Fen,
    /// Billed fee, not yet repaid, that a refund took off or an early payoff waived, in fen. It is no longer owed.
    pub fee_returned_fen: Fen,
    /// Part of `interest_paid_fen` that refunds paid back to the borrower's card, in fen.
    pub interest_back_fen: Fen,
    /// Part of `fee_paid_fen` that refunds paid back to the borrower's card, in fen.
    pub fee_back_fen: Fen,
}

/// Every period of a loan's newest plan, with what was billed and paid of it.
pub async fn list_installments(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<InstallmentView>> {
    sqlx::query_as!(
        InstallmentView,
        r#"select p.period::int as "period!", p.due_on as "due_on!: BusinessDay",
                  coalesce(b.principal_fen, p.principal_fen) as "principal_fen!: Fen",
                  coalesce(b.interest_fen, p.interest_fen) as "interest_fen!: Fen",
                  coalesce(b.fee_fen, p.fee_fen) as "fee_fen!: Fen", coalesce(b.origin = 'statement', false) as "is_billed!",
                  coalesce(b.principal_paid_fen, 0) as "principal_paid_fen!: Fen",
                  coalesce(b.interest_paid_fen, 0) as "interest_paid_fen!: Fen",
                  coalesce(b.fee_paid_fen, 0) as "fee_paid_fen!: Fen",
                  coalesce(b.penalty_paid_fen, 0) as "penalty_paid_fen!: Fen",
                  coalesce(b.principal_returned_fen, 0) as "principal_returned_fen!: Fen",
                  coalesce(b.interest_returned_fen, 0) as "interest_returned_fen!: Fen",
                  coalesce(b.fee_returned_fen, 0) as "fee_returned_fen!: Fen",
                  coalesce(b.interest_back_fen, 0) as "interest_back_fen!: Fen",
                  coalesce(b.fee_back_fen, 0) as "fee_back_fen!: Fen"
           from (select * from schedule where line_id = $1 and loan_id = $2 order by version desc limit 1) s
           cross join unnest(s.due_on, s.principal_fen, s.interest_fen, s.fee_fen)
                      with ordinality as p(due_on, principal_fen, interest_fen, fee_fen, period)
           left join bill_line b on b.line_id = s.line_id and b.loan_id = s.loan_id and b.period = p.period
           order by p.period"#,
        line_id.uuid(),
        loan_id.uuid(),
    )
    .fetch_all(connection)
    .await
}
