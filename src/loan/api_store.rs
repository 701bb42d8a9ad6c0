//! SQL of loans, their plans and installments as their funder sees them.

use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::LoanStatus;
use crate::base::id::{FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen};

/// A loan.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoanView {
    pub loan_id: LoanId,
    pub line_id: LineId,
    pub purchase_id: PurchaseId,
    pub merchant_id: MerchantId,
    pub product_id: ProductId,
    #[schema(example = 1)]
    pub product_version: i32,
    #[schema(example = "A")]
    pub grade: String,
    #[schema(example = 12)]
    pub periods: i16,
    /// The contract rate a year as a fraction; zero for a flat fee and interest-free. A guarantee charge is not in it.
    #[schema(value_type = String, example = "0.14")]
    pub annual_rate: Decimal,
    pub principal_fen: Fen,
    pub principal_paid_fen: Fen,
    /// Principal that fell by refunds.
    pub principal_returned_fen: Fen,
    /// `open`, `paid`, `refunded` where refunds ended it, or `voided` where its purchase was undone.
    #[schema(example = "open")]
    pub status: String,
    /// The newest plan.
    #[schema(example = 1)]
    pub schedule_version: i32,
    pub made_on: BusinessDay,
    pub closed_on: Option<BusinessDay>,
    /// The day on which it was charged off in your book; it is owed and collected as before.
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
                      principal_returned_fen as "principal_returned_fen: Fen", status, schedule_version,
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

/// One version of a loan's plan, whole; element k of each list is period k.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    #[schema(example = 1)]
    pub version: i32,
    /// `made`, `refund`, `payoff`, or `restored` where a payoff was taken back.
    #[schema(example = "made")]
    pub reason: String,
    pub due_on: Vec<BusinessDay>,
    pub principal_fen: Vec<Fen>,
    pub interest_fen: Vec<Fen>,
    /// A fee a period: the price of `flat_fee`, or a guarantee charge beside interest; and what an early payoff cost.
    pub fee_fen: Vec<Fen>,
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

/// One period of the newest plan, and what became of it since it was billed or paid off.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstallmentView {
    #[schema(example = 1)]
    pub period: i32,
    pub due_on: BusinessDay,
    pub principal_fen: Fen,
    pub interest_fen: Fen,
    /// A fee a period: the price of `flat_fee`, or a guarantee charge beside interest; and what an early payoff cost.
    pub fee_fen: Fen,
    /// Whether it stands on a bill; what an early payoff collected stands on none.
    pub is_billed: bool,
    pub principal_paid_fen: Fen,
    pub interest_paid_fen: Fen,
    pub fee_paid_fen: Fen,
    pub penalty_paid_fen: Fen,
    /// Of what was billed, taken off by refunds before it was paid, or waived by a payoff: it is owed no more.
    pub principal_returned_fen: Fen,
    pub interest_returned_fen: Fen,
    pub fee_returned_fen: Fen,
    /// Of what was paid, given back to the card by refunds.
    pub interest_back_fen: Fen,
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
