//! SQL of purchases as their borrower sees them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::base::id::{BorrowerId, CodeId, LineId, LoanId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen};

/// One purchase, authorised or refused, with what its result page says.
#[derive(Clone, Debug)]
pub struct OwnPurchase {
    pub purchase_id: PurchaseId,
    pub line_id: LineId,
    pub merchant_name: String,
    /// The code that it was paid through, an order's alone.
    pub order_code: Option<CodeId>,
    pub product_id: ProductId,
    pub product_version: i32,
    pub periods: i16,
    pub amount: Fen,
    pub refunded: Fen,
    pub subsidy: Fen,
    /// `authorised`, `refused` or `voided`.
    pub status: String,
    pub refusal: Option<String>,
    pub loan_id: Option<LoanId>,
    pub business_day: BusinessDay,
    pub created_at: DateTime<Utc>,
    /// When and how much the first period of its loan asks for, less what refunds took off; `None` where that is nothing.
    pub first_due_on: Option<BusinessDay>,
    pub first_payment: Option<Fen>,
    /// The merchant's static code that is open now, to try again by.
    pub static_code: Option<CodeId>,
}

/// A borrower's own purchase.
pub async fn find(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    purchase_id: PurchaseId,
) -> sqlx::Result<Option<OwnPurchase>> {
    sqlx::query_as!(
        OwnPurchase,
        r#"select p.purchase_id as "purchase_id: PurchaseId", p.line_id as "line_id: LineId", m.name as merchant_name,
                  p.code_id as "order_code: CodeId", p.product_id as "product_id: ProductId", p.product_version, p.periods,
                  p.amount_fen as "amount: Fen", p.refunded_fen as "refunded: Fen", p.subsidy_fen as "subsidy: Fen", p.status,
                  p.refusal, p.loan_id as "loan_id: LoanId", p.business_day as "business_day: BusinessDay", p.created_at,
                  s.due_on as "first_due_on?: BusinessDay", s.payment_fen as "first_payment?: Fen",
                  (select c.code_id from merchant_code c
                   where c.merchant_id = p.merchant_id and c.is_open_static limit 1) as "static_code: CodeId"
           from purchase p
           join credit_line l on l.line_id = p.line_id and l.borrower_id = $2
           join merchant m on m.merchant_id = p.merchant_id
           left join loan n on n.line_id = p.line_id and n.loan_id = p.loan_id
           left join lateral (
               select s.due_on[1] as due_on,
                      coalesce(i.principal_fen + i.interest_fen + i.fee_fen
                               - i.principal_returned_fen - i.interest_returned_fen - i.fee_returned_fen,
                               s.principal_fen[1] + s.interest_fen[1] + s.fee_fen[1]) as payment_fen
               from schedule s
               left join bill_line i on i.line_id = s.line_id and i.loan_id = s.loan_id and i.period = 1
               where s.line_id = n.line_id and s.loan_id = n.loan_id and s.version = n.schedule_version) s
             on s.payment_fen > 0
           where p.purchase_id = $1"#,
        purchase_id.uuid(),
        borrower_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// One refund of a purchase as its borrower sees it.
#[derive(Clone, Debug)]
pub struct OwnRefund {
    pub amount: Fen,
    /// What it took off what is owed.
    pub fell: Fen,
    /// What goes back to the card, interest that was paid included.
    pub to_card: Fen,
    /// The status of its payment to the card; `None` where nothing goes back. A payment that the channel later denied is under
    /// way again.
    pub status: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub business_day: BusinessDay,
}

/// The refunds of a purchase, the oldest first.
pub async fn list_refunds(
    connection: &mut PgConnection,
    line_id: LineId,
    purchase_id: PurchaseId,
) -> sqlx::Result<Vec<OwnRefund>> {
    sqlx::query_as!(
        OwnRefund,
        r#"select r.amount_fen as "amount: Fen", r.principal_fell_fen as "fell: Fen",
                  r.owed_back_fen + r.interest_back_fen + r.fee_back_fen as "to_card!: Fen",
                  case when p.contradicted_attempt is null then p.status else 'unknown' end as "status?",
                  p.final_at as "sent_at?", r.business_day as "business_day: BusinessDay"
           from refund r
           left join payout p on p.kind = 'borrower' and p.source_id = r.refund_id
           where r.line_id = $1 and r.purchase_id = $2
           order by r.refund_id"#,
        line_id.uuid(),
        purchase_id.uuid()
    )
    .fetch_all(connection)
    .await
}
