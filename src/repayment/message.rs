//! What the funder's core is told of a repayment and of its reversal.

use super::account::{Repayment, RepaymentItem, Source};
use crate::base::Fen;
use crate::loan::recourse::CameBy;
use crate::outbox::Message;

impl Repayment {
    /// Messages to the funder's core: one for each loan, because their order is kept by loan.
    pub fn messages(&self, partner: &str) -> Vec<Message> {
        // Money for several bills pays a loan once in each, and not always the oldest first.
        let mut items = self.items.clone();
        items.sort_by_key(|item| (item.loan_id, item.period));
        let paid = items.chunk_by(|one, next| one.loan_id == next.loan_id).map(|items| self.message(partner, items));
        let (came_by, when) = (CameBy::Repayment(self.repayment_id), self.when());
        let recovered = self.recourse.iter().map(|of| of.message(partner, self.line_id, came_by, when));
        paid.chain(recovered).collect()
    }

    fn message(&self, partner: &str, items: &[RepaymentItem]) -> Message {
        let mut body = serde_json::json!({
            "repayment_id": self.repayment_id,
            "line_id": self.line_id,
            "loan_id": items[0].loan_id,
            "source": self.source.stored(),
            "amount_fen": items.iter().map(|item| item.taken.total()).sum::<Fen>(),
            "business_day": self.business_day,
            "value_on": self.value_on,
            "installments": items.iter().map(RepaymentItem::message_body).collect::<Vec<_>>(),
        });
        let kind = match &self.source {
            Source::Reversal { of, .. } => {
                body["reverses"] = serde_json::json!(of);
                "repayment_reversed"
            }
            Source::Withholding(_) | Source::Transfer { .. } | Source::ChannelFile(_) => "repayment",
        };
        let object_id = items[0].loan_id.uuid();
        Message { partner: partner.to_owned(), kind, object_id, body, created_at: self.received_at }
    }
}

impl RepaymentItem {
    fn message_body(&self) -> serde_json::Value {
        serde_json::json!({
            "period": self.period,
            "principal_fen": self.taken.principal,
            "interest_fen": self.taken.interest,
            "fee_fen": self.taken.fee,
            "penalty_fen": self.taken.penalty,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::base::id::{FunderId, LineId, LoanId, RepaymentId};
    use crate::bill::Parts;

    #[test]
    fn a_funder_is_told_once_of_each_loan_that_money_for_several_bills_paid() {
        let (one, other) = (LoanId::from_uuid(Uuid::from_u128(1)), LoanId::from_uuid(Uuid::from_u128(2)));
        let item = |loan_id, period, fen| RepaymentItem {
            loan_id,
            period,
            taken: Parts { principal: Fen::new(fen), ..Parts::default() },
        };
        let at = DateTime::UNIX_EPOCH;
        let repayment = Repayment {
            repayment_id: RepaymentId::mint(at),
            line_id: LineId::mint(at),
            funder_id: FunderId::mint(at),
            source: Source::Transfer { bank_reference: "B1".into(), operator: "Li".into() },
            amount: Fen::new(1_111),
            items: vec![item(one, 2, 10), item(other, 1, 100), item(one, 1, 1_000), item(other, 2, 1)],
            excess: Fen::ZERO,
            recourse: Vec::new(),
            recovered: Fen::ZERO,
            charged_off_again: Fen::ZERO,
            business_day: "2026-05-01".parse().unwrap(),
            value_on: "2026-04-29".parse().unwrap(),
            received_at: at,
        };
        let told = repayment.messages("bank");
        let summed: Vec<_> =
            told.iter().map(|message| (message.object_id, message.body["amount_fen"].as_i64())).collect();
        assert_eq!(summed, [(one.uuid(), Some(1_010)), (other.uuid(), Some(101))]);
        let period = |told: &serde_json::Value| told["period"].as_i64();
        let periods =
            |message: &Message| message.body["installments"].as_array().unwrap().iter().map(period).collect::<Vec<_>>();
        assert_eq!(told.iter().map(periods).collect::<Vec<_>>(), [[Some(1), Some(2)], [Some(1), Some(2)]]);
        assert!(told.iter().all(|message| message.kind == "repayment" && message.body["reverses"].is_null()));
        // It is booked on one day, and counts from another.
        let days = |message: &Message| ["business_day", "value_on"].map(|day| message.body[day].clone());
        assert!(told.iter().all(|message| days(message) == ["2026-05-01", "2026-04-29"]));

        let source = Source::Reversal {
            of: repayment.repayment_id,
            taken_from: Box::new(repayment.source),
            person: "Li".into(),
        };
        let back = Repayment { repayment_id: RepaymentId::mint(at), source, ..repayment };
        let reverses = |message: &Message| (message.kind, message.body["reverses"].clone());
        let expected = ("repayment_reversed", serde_json::json!(repayment.repayment_id));
        assert_eq!(back.messages("bank").iter().map(reverses).collect::<Vec<_>>(), [expected.clone(), expected]);
    }
}
