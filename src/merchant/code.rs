//! Codes that borrowers scan: one static code for each merchant, and one code for each order, with its amount and expiry.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use super::emvco::{MerchantPresented, PayloadRefusal};
use super::model::{Category, MerchantStatus};
use crate::base::Fen;
use crate::base::id::{CodeId, MerchantId, PurchaseId};
use crate::error::Refusal;

/// A code and its present status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub code_id: CodeId,
    pub merchant_id: MerchantId,
    pub kind: CodeKind,
    pub status: CodeStatus,
}

/// What a code is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// The borrower types the amount.
    Static,
    /// For one order: of a fixed amount, and paid once, before it expires.
    Order { amount: Fen, reference: String, expires_at: DateTime<Utc> },
}

/// One sale that a merchant's own system wants paid by scanning.
#[derive(Clone, Debug)]
pub struct Order {
    pub merchant_id: MerchantId,
    /// The merchant's own, unique among its orders.
    pub reference: String,
    pub amount: Fen,
    pub expires_at: DateTime<Utc>,
}

/// Whether a code can be paid. A static code stays open however often it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeStatus {
    Open,
    Paid {
        purchase_id: PurchaseId,
    },
    /// The purchase that paid it was voided. To sell again takes a new order.
    Voided {
        purchase_id: PurchaseId,
    },
    Closed,
}

/// Why a code cannot be made or paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefusal {
    #[error("there is no such code")]
    UnknownCode,
    #[error("the code is closed")]
    CodeClosed,
    #[error("the order has expired")]
    OrderExpired,
    #[error("the order was paid before")]
    OrderPaid,
    #[error("the order was paid, and its purchase was voided: open a new order")]
    OrderVoided,
    #[error("the order is for {expected} yuan")]
    OrderAmountDiffers { expected: Fen },
    #[error("the code belongs to another merchant")]
    CodeOfAnotherMerchant,
    #[error("there is no such merchant")]
    UnknownMerchant,
    #[error("the merchant is {}, not active", status.name())]
    MerchantNotActive { status: MerchantStatus },
    #[error("an order's amount is a whole number of fen from 1 to {}", ORDER_AMOUNT_MAX.get())]
    AmountOutOfBounds,
    #[error("no plan is sold at the merchant for this amount, so nobody could pay the order")]
    AmountNotSold,
    #[error("an order's reference has 1 to {ORDER_REFERENCE_CHARS_MAX} letters, digits, - or _")]
    ReferenceMalformed,
    #[error("an order expires later than now, and within {ORDER_DAYS_MAX} days")]
    ExpiryOutOfBounds,
    #[error("the order {reference} was opened before with another amount or expiry")]
    ReferenceTaken { reference: String },
}

/// Fits the reference label of the merchant-presented payload.
const ORDER_REFERENCE_CHARS_MAX: usize = 25;
/// Ten digits of yuan, a point and two decimals: what the merchant-presented payload holds of an amount.
const ORDER_AMOUNT_MAX: Fen = Fen::new(999_999_999_999);
/// An order code is for a sale under way, not a standing invoice.
const ORDER_DAYS_MAX: i64 = 30;

impl Refusal for CodeRefusal {
    fn code(&self) -> &'static str {
        match self {
            CodeRefusal::UnknownCode => "unknown_code",
            CodeRefusal::CodeClosed => "code_closed",
            CodeRefusal::OrderExpired => "order_expired",
            CodeRefusal::OrderPaid => "order_paid",
            CodeRefusal::OrderVoided => "order_voided",
            CodeRefusal::OrderAmountDiffers { .. } => "order_amount_differs",
            CodeRefusal::CodeOfAnotherMerchant => "code_of_another_merchant",
            CodeRefusal::UnknownMerchant => "unknown_merchant",
            CodeRefusal::MerchantNotActive { .. } => "merchant_not_active",
            CodeRefusal::AmountOutOfBounds => "amount_out_of_bounds",
            CodeRefusal::AmountNotSold => "amount_not_sold",
            CodeRefusal::ReferenceMalformed => "order_reference_malformed",
            CodeRefusal::ExpiryOutOfBounds => "order_expiry_out_of_bounds",
            CodeRefusal::ReferenceTaken { .. } => "order_reference_taken",
        }
    }
}

impl Order {
    /// What its code is for.
    ///
    /// # Errors
    /// `AmountOutOfBounds` or `ReferenceMalformed`. The expiry is checked by [`Order::check_expiry`].
    pub fn code_kind(&self) -> Result<CodeKind, CodeRefusal> {
        if !self.amount.is_positive() || self.amount > ORDER_AMOUNT_MAX {
            return Err(CodeRefusal::AmountOutOfBounds);
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let reference = &self.reference;
        if !(1..=ORDER_REFERENCE_CHARS_MAX).contains(&reference.len()) || !reference.bytes().all(is_plain) {
            return Err(CodeRefusal::ReferenceMalformed);
        }
        // The database keeps microseconds; the same order asked for again must compare equal.
        let expires_at = self.expires_at.trunc_subsecs(6);
        Ok(CodeKind::Order { amount: self.amount, reference: reference.clone(), expires_at })
    }

    /// Whether it may be opened now. An order that was opened before is not checked again.
    pub fn check_expiry(&self, now: DateTime<Utc>) -> Result<(), CodeRefusal> {
        let latest = now + TimeDelta::days(ORDER_DAYS_MAX);
        if self.expires_at > now && self.expires_at <= latest { Ok(()) } else { Err(CodeRefusal::ExpiryOutOfBounds) }
    }
}

/// A purchase that wants to pay through a code.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    pub merchant_id: MerchantId,
    pub amount: Fen,
    pub at: DateTime<Utc>,
}

impl Code {
    /// Whether a purchase may pay through this code now.
    pub fn check(&self, purchase: Presented) -> Result<(), CodeRefusal> {
        if self.merchant_id != purchase.merchant_id {
            return Err(CodeRefusal::CodeOfAnotherMerchant);
        }
        match self.status {
            CodeStatus::Open => {}
            CodeStatus::Paid { .. } => return Err(CodeRefusal::OrderPaid),
            CodeStatus::Voided { .. } => return Err(CodeRefusal::OrderVoided),
            CodeStatus::Closed => return Err(CodeRefusal::CodeClosed),
        }
        match &self.kind {
            CodeKind::Static => Ok(()),
            CodeKind::Order { expires_at, .. } if *expires_at <= purchase.at => Err(CodeRefusal::OrderExpired),
            CodeKind::Order { amount, .. } if *amount != purchase.amount => {
                Err(CodeRefusal::OrderAmountDiffers { expected: *amount })
            }
            CodeKind::Order { .. } => Ok(()),
        }
    }

    /// The link in the printed code. Any camera opens it, and the page behind it tells WeChat and other wallets apart.
    pub fn link(&self, base_url: &str) -> String {
        format!("{}/q/{}", base_url.trim_end_matches('/'), token(self.code_id))
    }

    /// The EMVCo merchant-presented form, for wallets that read it.
    pub fn merchant_presented(&self, merchant: &MerchantOnCode) -> Result<String, PayloadRefusal> {
        let (amount, reference) = match &self.kind {
            CodeKind::Static => (None, None),
            CodeKind::Order { amount, reference, .. } => (Some(*amount), Some(reference.clone())),
        };
        MerchantPresented {
            code_token: token(self.code_id),
            mcc: merchant.category.mcc(),
            latin_name: merchant.latin_name.clone(),
            latin_city: merchant.latin_city.clone(),
            chinese_name: merchant.name.clone(),
            amount,
            reference,
        }
        .build()
    }
}

/// What the merchant-presented payload says of the merchant.
#[derive(Clone, Debug)]
pub struct MerchantOnCode {
    pub name: String,
    pub category: Category,
    pub latin_name: String,
    pub latin_city: String,
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^22 is just above 2^128.
const TOKEN_CHARS: usize = 22;

/// The id of a code in a link: 22 letters and digits, of which 74 bits are random and cannot be guessed.
pub fn token(code_id: CodeId) -> String {
    let mut rest = code_id.uuid().as_u128();
    let mut characters = [b'0'; TOKEN_CHARS];
    for character in characters.iter_mut().rev() {
        *character = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    characters.iter().map(|byte| char::from(*byte)).collect()
}

/// The code that a link names; `None` for anything that [`token`] did not make.
pub fn parse_token(text: &str) -> Option<CodeId> {
    if text.len() != TOKEN_CHARS {
        return None;
    }
    let number = text.bytes().try_fold(0u128, |number, byte| {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        number.checked_mul(62)?.checked_add(digit as u128)
    })?;
    Some(CodeId::from_uuid(Uuid::from_u128(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(expires_at: &str) -> Code {
        Code {
            code_id: CodeId::mint(DateTime::UNIX_EPOCH),
            merchant_id: MerchantId::from_uuid(Uuid::from_u128(7)),
            kind: CodeKind::Order {
                amount: Fen::new(9_900),
                reference: "A-1".into(),
                expires_at: expires_at.parse().unwrap(),
            },
            status: CodeStatus::Open,
        }
    }

    fn presented(fen: i64) -> Presented {
        Presented {
            merchant_id: MerchantId::from_uuid(Uuid::from_u128(7)),
            amount: Fen::new(fen),
            at: "2026-03-02T02:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn an_order_is_paid_in_its_amount_before_it_expires() {
        let open = order("2026-03-02T02:00:01Z");
        assert_eq!(open.check(presented(9_900)), Ok(()));
        assert_eq!(open.check(presented(9_901)), Err(CodeRefusal::OrderAmountDiffers { expected: Fen::new(9_900) }));
        assert_eq!(order("2026-03-02T02:00:00Z").check(presented(9_900)), Err(CodeRefusal::OrderExpired));
    }

    #[test]
    fn the_greatest_order_has_its_payload() {
        let merchant = MerchantOnCode {
            name: "老王面馆".into(),
            category: Category::Dining,
            latin_name: "LAO WANG NOODLES".into(),
            latin_city: "SHANGHAI".into(),
        };
        let of = |amount| {
            let kind = CodeKind::Order { amount, reference: "A-1".into(), expires_at: DateTime::UNIX_EPOCH };
            Code { kind, ..order("2026-03-02T02:00:01Z") }.merchant_presented(&merchant)
        };
        assert!(of(ORDER_AMOUNT_MAX).is_ok_and(|payload| payload.contains("54139999999999.99")));
        assert!(of(ORDER_AMOUNT_MAX + Fen::new(1)).is_err());
    }

    #[test]
    fn an_order_is_paid_once() {
        let purchase_id = PurchaseId::mint(DateTime::UNIX_EPOCH);
        let paid = Code { status: CodeStatus::Paid { purchase_id }, ..order("2026-03-02T02:00:01Z") };
        assert_eq!(paid.check(presented(9_900)), Err(CodeRefusal::OrderPaid));
    }

    #[test]
    fn a_token_is_short_and_leads_back_to_its_code() {
        let code_id = CodeId::mint("2026-03-02T02:00:00Z".parse().unwrap());
        assert_eq!(parse_token(&token(code_id)), Some(code_id));
        let largest = CodeId::from_uuid(Uuid::max());
        assert_eq!(parse_token(&token(largest)), Some(largest));
        assert_eq!(parse_token("zzzzzzzzzzzzzzzzzzzzzz"), None, "it would not fit an id");
        assert_eq!(parse_token("../../etc/passwd"), None);
    }
}
