//! Notices and messages to people and funders about payouts.

use serde_json::{Value, json};

use super::payout::PayoutKind;
use super::payout_store::{Locked, PaidPart};
use super::posting::RemittanceAmounts;
use super::queue_store::Asked;
use crate::base::id::{BorrowerId, FunderId, MerchantId, RemittanceId, SettlementId};
use crate::base::{BusinessDay, When};
use crate::notice::Notice;
use crate::outbox::Message;

/// The notice of a payment: to a merchant about a settlement, to a borrower about money paid back to the card. `None` for a remittance,
/// which the funder is told of by message.
pub fn paid(payout: &Locked, bank_reference: &str, when: When) -> Option<Notice> {
    let body = |source: Value| {
        json!({
            "source": source,
            "amount_fen": payout.amount,
            "bank_reference": bank_reference,
            "paid_on": when.business_day,
        })
    };
    match payout.kind {
        PayoutKind::Settlement => {
            let merchant_id = MerchantId::from_uuid(payout.beneficiary_id);
            let source = json!(SettlementId::from_uuid(payout.source_id));
            Some(Notice::to_merchant(merchant_id, "settlement_paid", body(source), when))
        }
        PayoutKind::Borrower => {
            let borrower_id = BorrowerId::from_uuid(payout.beneficiary_id);
            Some(Notice::to_borrower(borrower_id, "money_returned", body(json!(payout.source_id)), when))
        }
        PayoutKind::Remittance => None,
    }
}

/// The notice that a payment is not made for the time being, because the channel or the bank does not take it: operators see to it, but
/// as a rule it is the payee's account or card that is closed. `None` for a remittance: operators call the funder.
pub fn delayed(payout: &Locked, when: When) -> Option<Notice> {
    let body = |source: Value| json!({ "source": source, "amount_fen": payout.amount });
    match payout.kind {
        PayoutKind::Settlement => {
            let merchant_id = MerchantId::from_uuid(payout.beneficiary_id);
            let source = json!(SettlementId::from_uuid(payout.source_id));
            Some(Notice::to_merchant(merchant_id, "settlement_delayed", body(source), when))
        }
        PayoutKind::Borrower => {
            let borrower_id = BorrowerId::from_uuid(payout.beneficiary_id);
            Some(Notice::to_borrower(borrower_id, "money_delayed", body(json!(payout.source_id)), when))
        }
        PayoutKind::Remittance => None,
    }
}

/// The notice that a payment was not made after all, to whoever had been told of it.
pub fn taken_back(payout: &Locked, when: When) -> Option<Notice> {
    let body = |source: Value| {
        json!({
            "source": source,
            "amount_fen": payout.amount,
            "bank_reference": payout.bank_reference,
        })
    };
    match payout.kind {
        PayoutKind::Settlement => {
            let merchant_id = MerchantId::from_uuid(payout.beneficiary_id);
            let source = json!(SettlementId::from_uuid(payout.source_id));
            Some(Notice::to_merchant(merchant_id, "settlement_reversed", body(source), when))
        }
        PayoutKind::Borrower => {
            let borrower_id = BorrowerId::from_uuid(payout.beneficiary_id);
            Some(Notice::to_borrower(borrower_id, "money_not_returned", body(json!(payout.source_id)), when))
        }
        PayoutKind::Remittance => None,
    }
}

/// Tells a merchant that nothing is paid to it for the time being. Why stays with the operators: the reason may name people.
pub fn payouts_held(merchant_id: MerchantId, when: When) -> Notice {
    Notice::to_merchant(merchant_id, "merchant_payouts_held", json!({}), when)
}

/// Tells a merchant that it is paid again.
pub fn payouts_released(merchant_id: MerchantId, when: When) -> Notice {
    Notice::to_merchant(merchant_id, "merchant_payouts_released", json!({}), when)
}

/// Asks operators to call a channel that has given no outcome of a payout for a long time, or keeps answering that it never received
/// it.
pub fn still_unknown(asked: &Asked, when: When) -> Notice {
    let body = json!({ "payout_id": asked.payout_id, "attempt_no": asked.attempt_no });
    Notice::to_operators("payout_still_unknown", body, when)
}

/// The message to a funder that its part of a settlement was not paid after all.
pub fn settlement_reversed(part: &PaidPart, when: When) -> Message {
    Message {
        partner: part.funder_code.clone(),
        kind: "settlement_reversed",
        object_id: part.settlement_id,
        body: json!({
            "funder_id": part.funder_id,
            "settlement_id": SettlementId::from_uuid(part.settlement_id),
            "merchant_id": part.merchant_id,
            "settled_day": part.business_day,
            "amount_fen": part.amount,
            "business_day": when.business_day,
        }),
        created_at: when.at,
    }
}

/// The payout of a remittance, for the messages to its funder.
pub struct Remitted<'a> {
    /// The funder's code.
    pub partner: String,
    pub payout: &'a Locked,
    /// The bank's reference of the payment.
    pub bank_reference: &'a str,
    /// The business day whose collections it pays.
    pub collected_day: BusinessDay,
}

/// The message to a funder that a remittance was paid to it.
pub fn remittance_paid(told: Remitted<'_>, amounts: RemittanceAmounts, when: When) -> Message {
    let Remitted { partner, payout, bank_reference, collected_day } = told;
    Message {
        partner,
        kind: "remittance_paid",
        object_id: payout.source_id,
        body: json!({
            "funder_id": FunderId::from_uuid(payout.beneficiary_id),
            "remittance_id": RemittanceId::from_uuid(payout.source_id),
            "amount_fen": payout.amount,
            "collected_fen": amounts.collected,
            "subsidy_fen": amounts.subsidy,
            "share_fen": amounts.share,
            "collected_day": collected_day,
            "bank_reference": bank_reference,
            "paid_on": when.business_day,
        }),
        created_at: when.at,
    }
}

/// The message to a funder that a remittance was not paid after all.
pub fn remittance_reversed(told: Remitted<'_>, when: When) -> Message {
    let Remitted { partner, payout, bank_reference, collected_day } = told;
    Message {
        partner,
        kind: "remittance_reversed",
        object_id: payout.source_id,
        body: json!({
            "funder_id": FunderId::from_uuid(payout.beneficiary_id),
            "remittance_id": RemittanceId::from_uuid(payout.source_id),
            "amount_fen": payout.amount,
            "collected_day": collected_day,
            "bank_reference": bank_reference,
            "business_day": when.business_day,
        }),
        created_at: when.at,
    }
}

/// The message to a funder that its part of a settlement was paid from its reserve, or came to zero with the other parts.
pub fn settlement_paid(part: &PaidPart, when: When) -> Message {
    Message {
        partner: part.funder_code.clone(),
        kind: "settlement_paid",
        object_id: part.settlement_id,
        body: json!({
            "funder_id": part.funder_id,
            "settlement_id": SettlementId::from_uuid(part.settlement_id),
            "merchant_id": part.merchant_id,
            "settled_day": part.business_day,
            "amount_fen": part.amount,
            "paid_on": when.business_day,
        }),
        created_at: when.at,
    }
}
