//! A purchase as it is asked for and answered, and the reasons why it, a void or a refund is refused.

use sha2::{Digest, Sha256};

use crate::base::Fen;
use crate::base::id::{CodeId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::error::Refusal;

/// A confirmed wish to buy, as it arrives from the borrower's page or API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseRequest {
    pub line_id: LineId,
    /// One key, one outcome: the same key with the same wish gives the same answer.
    pub idempotency_key: String,
    pub merchant_id: MerchantId,
    /// The order code that was scanned; none for a merchant's static code.
    pub order_code: Option<CodeId>,
    pub product_id: ProductId,
    /// The version whose price the borrower saw.
    pub product_version: i32,
    pub periods: u16,
    pub amount: Fen,
}

/// Longest idempotency key accepted: room for a UUID with a prefix, no room for a document.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;

/// Whether a purchase or a refund may be asked for under a key: printable ASCII characters, one at least.
pub fn is_idempotency_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

impl PurchaseRequest {
    /// SHA-256 over everything that is asked, except the key.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.line_id.uuid().as_bytes());
        hasher.update(self.merchant_id.uuid().as_bytes());
        hasher.update(self.order_code.map(|code| code.uuid()).unwrap_or_default().as_bytes());
        hasher.update(self.product_id.uuid().as_bytes());
        hasher.update(self.product_version.to_be_bytes());
        hasher.update(self.periods.to_be_bytes());
        hasher.update(self.amount.get().to_be_bytes());
        hasher.finalize().into()
    }
}

/// The answer to a purchase. A refusal is recorded too, and is the answer for its key from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub purchase_id: PurchaseId,
    pub amount: Fen,
    pub decision: Decision,
}

/// What was decided about a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Authorised { loan_id: LoanId },
    Refused(PurchaseRefusal),
}

/// Why a purchase is refused, in the order of the checks. The refusal is recorded as the answer to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum PurchaseRefusal {
    #[error("the merchant does not take payments at present")]
    MerchantNotActive,
    #[error("this order can no longer be paid")]
    OrderNotPayable,
    #[error("this product is not on sale")]
    ProductNotOnSale,
    #[error("this product cannot be used at this merchant")]
    ProductNotForMerchant,
    #[error("this plan is not offered to you")]
    PlanNotOffered,
    #[error("the amount is below the smallest that can be paid in installments")]
    AmountBelowMinimum,
    #[error("the amount is above the largest that can be paid in installments")]
    AmountAboveMaximum,
    #[error("the last day of the credit line has passed")]
    LineEnded,
    #[error("the credit line is not active")]
    LineNotActive,
    #[error("the borrower has no bank card that can be charged")]
    NoCard,
    #[error("too many purchases today")]
    TooManyPurchases,
    #[error("the risk check refused this purchase")]
    RefusedByRisk,
    #[error("the risk check gave no answer in time")]
    RiskSilent,
    #[error("the available credit does not cover this amount")]
    LineExceeded,
    #[error("the funder lends no more at present")]
    ReserveExhausted,
    #[error("the funder's advance must be repaid first")]
    AdvanceOverdue,
}

impl PurchaseRefusal {
    pub const ALL: [PurchaseRefusal; 16] = [
        PurchaseRefusal::MerchantNotActive,
        PurchaseRefusal::OrderNotPayable,
        PurchaseRefusal::ProductNotOnSale,
        PurchaseRefusal::ProductNotForMerchant,
        PurchaseRefusal::PlanNotOffered,
        PurchaseRefusal::AmountBelowMinimum,
        PurchaseRefusal::AmountAboveMaximum,
        PurchaseRefusal::LineEnded,
        PurchaseRefusal::LineNotActive,
        PurchaseRefusal::NoCard,
        PurchaseRefusal::TooManyPurchases,
        PurchaseRefusal::RefusedByRisk,
        PurchaseRefusal::RiskSilent,
        PurchaseRefusal::LineExceeded,
        PurchaseRefusal::ReserveExhausted,
        PurchaseRefusal::AdvanceOverdue,
    ];

    pub fn from_code(code: &str) -> Option<PurchaseRefusal> {
        PurchaseRefusal::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}

impl Refusal for PurchaseRefusal {
    fn code(&self) -> &'static str {
        match self {
            PurchaseRefusal::MerchantNotActive => "merchant_not_active",
            PurchaseRefusal::OrderNotPayable => "order_not_payable",
            PurchaseRefusal::ProductNotOnSale => "product_not_on_sale",
            PurchaseRefusal::ProductNotForMerchant => "product_not_for_merchant",
            PurchaseRefusal::PlanNotOffered => "plan_not_offered",
            PurchaseRefusal::AmountBelowMinimum => "amount_below_minimum",
            PurchaseRefusal::AmountAboveMaximum => "amount_above_maximum",
            PurchaseRefusal::LineEnded => "line_ended",
            PurchaseRefusal::LineNotActive => "line_not_active",
            PurchaseRefusal::NoCard => "no_card",
            PurchaseRefusal::TooManyPurchases => "too_many_purchases",
            PurchaseRefusal::RefusedByRisk => "refused_by_risk",
            PurchaseRefusal::RiskSilent => "risk_silent",
            PurchaseRefusal::LineExceeded => "line_exceeded",
            PurchaseRefusal::ReserveExhausted => "reserve_exhausted",
            PurchaseRefusal::AdvanceOverdue => "advance_overdue",
        }
    }
}

/// Why a request is not even decided: nothing is recorded under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    #[error("there is no such credit line")]
    UnknownLine,
    #[error("there is no such merchant")]
    UnknownMerchant,
    #[error("there is no such product version")]
    UnknownProduct,
    #[error("this idempotency key was used for another purchase")]
    KeyReused,
    #[error("an idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters")]
    KeyMalformed,
    #[error("an amount is a whole number of fen above zero")]
    AmountMalformed,
    #[error("too many purchases are waiting; try again with the same key")]
    Busy,
    #[error("the business day on which the plan was shown has ended; look at the plan again")]
    ScheduleChanged,
}

impl RequestRefusal {
    /// One of each, in the order of their declaration.
    pub const ALL: [RequestRefusal; 8] = [
        RequestRefusal::UnknownLine,
        RequestRefusal::UnknownMerchant,
        RequestRefusal::UnknownProduct,
        RequestRefusal::KeyReused,
        RequestRefusal::KeyMalformed,
        RequestRefusal::AmountMalformed,
        RequestRefusal::Busy,
        RequestRefusal::ScheduleChanged,
    ];
}

impl Refusal for RequestRefusal {
    fn code(&self) -> &'static str {
        match self {
            RequestRefusal::UnknownLine => "unknown_line",
            RequestRefusal::UnknownMerchant => "unknown_merchant",
            RequestRefusal::UnknownProduct => "unknown_product",
            RequestRefusal::KeyReused => "idempotency_key_reused",
            RequestRefusal::KeyMalformed => "idempotency_key_malformed",
            RequestRefusal::AmountMalformed => "amount_malformed",
            RequestRefusal::Busy => "busy",
            RequestRefusal::ScheduleChanged => "schedule_changed",
        }
    }
}

impl PurchaseRequest {
    /// Checks what needs no database.
    pub fn check_form(&self) -> Result<(), RequestRefusal> {
        if !is_idempotency_key(&self.idempotency_key) {
            return Err(RequestRefusal::KeyMalformed);
        }
        if !self.amount.is_positive() || self.amount > Fen::MAX {
            return Err(RequestRefusal::AmountMalformed);
        }
        Ok(())
    }
}

/// Why a purchase is not voided or refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AfterSaleRefusal {
    #[error("there is no such purchase")]
    UnknownPurchase,
    #[error("the purchase was refused, so there is nothing to give back")]
    NeverAuthorised,
    #[error("the purchase was voided")]
    Voided,
    #[error("the business day of the purchase is over; refund it instead")]
    PastCutOff,
    #[error("the business day of the purchase is not over; void it instead, or refund it from tomorrow on")]
    BeforeCutOff,
    #[error("part of the purchase was refunded before")]
    RefundedBefore,
    #[error("money was paid on this purchase's loan already; refund it from tomorrow on")]
    RepaidBefore,
    #[error("the loan is being paid off; wait until the bank has said what became of it")]
    PayoffInProgress,
    #[error("only {left} yuan of the purchase can still be refunded")]
    MoreThanLeft { left: Fen },
    #[error("the customer's account is closed and the card forgotten; give the money back to the customer directly")]
    CustomerErased,
    #[error("this idempotency key was used for a refund of another amount")]
    KeyReused,
    #[error("an idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters")]
    KeyMalformed,
    #[error("an amount is a whole number of fen above zero")]
    AmountMalformed,
}

impl AfterSaleRefusal {
    /// One of each, in the order of their declaration.
    pub const ALL: [AfterSaleRefusal; 13] = [
        AfterSaleRefusal::UnknownPurchase,
        AfterSaleRefusal::NeverAuthorised,
        AfterSaleRefusal::Voided,
        AfterSaleRefusal::PastCutOff,
        AfterSaleRefusal::BeforeCutOff,
        AfterSaleRefusal::RefundedBefore,
        AfterSaleRefusal::RepaidBefore,
        AfterSaleRefusal::PayoffInProgress,
        AfterSaleRefusal::MoreThanLeft { left: Fen::ZERO },
        AfterSaleRefusal::CustomerErased,
        AfterSaleRefusal::KeyReused,
        AfterSaleRefusal::KeyMalformed,
        AfterSaleRefusal::AmountMalformed,
    ];
}

impl Refusal for AfterSaleRefusal {
    fn code(&self) -> &'static str {
        match self {
            AfterSaleRefusal::UnknownPurchase => "unknown_purchase",
            AfterSaleRefusal::NeverAuthorised => "purchase_was_refused",
            AfterSaleRefusal::Voided => "purchase_was_voided",
            AfterSaleRefusal::PastCutOff => "past_cut_off",
            AfterSaleRefusal::BeforeCutOff => "before_cut_off",
            AfterSaleRefusal::RefundedBefore => "refunded_before",
            AfterSaleRefusal::RepaidBefore => "repaid_before",
            AfterSaleRefusal::PayoffInProgress => "payoff_in_progress",
            AfterSaleRefusal::MoreThanLeft { .. } => "refund_exceeds_purchase",
            AfterSaleRefusal::CustomerErased => "customer_erased",
            AfterSaleRefusal::KeyReused => "idempotency_key_reused",
            AfterSaleRefusal::KeyMalformed => "idempotency_key_malformed",
            AfterSaleRefusal::AmountMalformed => "amount_malformed",
        }
    }
}
