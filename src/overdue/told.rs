//! Notices and events about late bills: to borrowers, operators and funders.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use serde_json::json;

use super::penalty::PenaltyRule;
use super::stage::Stage;
use crate::base::id::{BorrowerId, LineId, LoanId};
use crate::base::{BusinessDay, Fen, When};
use crate::bill::{BilledInstallment, Parts};
use crate::notice::Notice;
use crate::outbox::Message;
use crate::product::Terms;

/// A bill that has reached a stage.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub due_on: BusinessDay,
}

/// An installment of a late bill that is not paid in full, and what it owes.
#[derive(Clone, Debug)]
pub struct Unpaid {
    pub billed: BilledInstallment,
    pub owed: Parts,
    /// Those of its own loan.
    pub grace_days: u16,
}

impl Unpaid {
    /// `terms` are those that the installment's own loan was made under: a line carries loans of several products, each with its
    /// own penalty.
    pub fn new(billed: BilledInstallment, terms: &Terms, day: BusinessDay) -> Unpaid {
        let rule = PenaltyRule::new(&terms.penalty, billed.annual_rate);
        let owed = billed.owed_on(&rule, day);
        Unpaid { billed, owed, grace_days: rule.grace_days() }
    }
}

/// Those of `unpaid` that owe anything and reach a stage at the close of one of these days; `terms` are those of their line.
pub(super) fn reaching<'a>(
    stage: Stage,
    terms: &Terms,
    unpaid: impl IntoIterator<Item = &'a Unpaid>,
    days: &impl RangeBounds<BusinessDay>,
) -> Vec<&'a Unpaid> {
    let reaches = |one: &&Unpaid| days.contains(&stage.day_of(terms, one.grace_days, one.billed.due_on()));
    unpaid.into_iter().filter(|one| !one.owed.is_zero()).filter(reaches).collect()
}

/// What is to be told, and which loans are to be charged off, collected first and written together at the end.
#[derive(Debug)]
pub struct Told {
    pub when: When,
    pub notices: Vec<Notice>,
    pub messages: Vec<Message>,
    pub to_charge_off: BTreeMap<LoanId, ToChargeOff>,
}

/// A loan that is to be charged off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToChargeOff {
    pub line_id: LineId,
    /// The code of its funder.
    pub funder: String,
}

impl Told {
    pub fn new(when: When) -> Told {
        Told { when, notices: Vec::new(), messages: Vec::new(), to_charge_off: BTreeMap::new() }
    }

    /// Tells the borrower or the operators of a bill whose `unpaid` installments have reached a stage by now. A freeze is not told
    /// here: the change of the line tells it.
    pub(super) fn tell_people(&mut self, stage: Stage, late: Late, unpaid: &[&Unpaid]) {
        match stage {
            Stage::Overdue => self.tell_borrower(late, unpaid),
            Stage::Freeze => {}
            Stage::Claim => self.tell_operators(late, "claim_due"),
            Stage::ChargeOff => self.tell_operators(late, "charge_off_due"),
        }
    }

    /// Tells the funder of each installment that has reached a stage, or marks its loan for charge-off.
    pub(super) fn tell_funder(&mut self, stage: Stage, funder: &str, unpaid: &[&Unpaid]) {
        match stage {
            Stage::Overdue => self.tell_overdue(funder, unpaid),
            Stage::Freeze => {}
            Stage::Claim => self.tell_claim_due(funder, unpaid),
            Stage::ChargeOff => self.mark_for_charge_off(funder, unpaid),
        }
    }

    /// Penalty goes on running: a message that is read the next day, or sent later, says until which day it counts.
    fn tell_borrower(&mut self, late: Late, unpaid: &[&Unpaid]) {
        let owed: Fen = unpaid.iter().map(|unpaid| unpaid.owed.total()).sum();
        let until_on = self.when.business_day;
        let body = json!({ "line": late.line_id, "due_on": late.due_on, "owed_fen": owed, "until_on": until_on });
        self.notices.push(Notice::to_borrower(late.borrower_id, "overdue", body, self.when));
    }

    /// Tells the funder of each installment that owes more than penalty, even if only interest is unpaid (an interest-first plan bills its
    /// principal last).
    fn tell_overdue(&mut self, funder: &str, unpaid: &[&Unpaid]) {
        let of_loans = unpaid.iter().filter(|unpaid| unpaid.owed.receivable().is_positive());
        self.messages.extend(of_loans.map(|Unpaid { billed, owed, .. }| Message {
            partner: funder.to_owned(),
            kind: "overdue",
            object_id: billed.loan_id.uuid(),
            body: json!({
                "loan_id": billed.loan_id,
                "line_id": billed.line_id,
                "period": billed.period,
                "due_on": billed.due_on(),
                "business_day": self.when.business_day,
                "unpaid_principal_fen": owed.principal,
                "unpaid_interest_fen": owed.interest,
                "unpaid_fee_fen": owed.fee,
            }),
            created_at: self.when.at,
        }));
    }

    /// Tells the funder, of each installment, what the guarantor may be asked for.
    fn tell_claim_due(&mut self, funder: &str, unpaid: &[&Unpaid]) {
        self.messages.extend(unpaid.iter().map(|Unpaid { billed, owed, .. }| Message {
            partner: funder.to_owned(),
            kind: "claim_due",
            object_id: billed.loan_id.uuid(),
            body: json!({
                "loan_id": billed.loan_id,
                "line_id": billed.line_id,
                "period": billed.period,
                "due_on": billed.due_on(),
                "principal_fen": owed.principal,
                "interest_fen": owed.interest,
                "fee_fen": owed.fee,
                "penalty_fen": owed.penalty,
                "business_day": self.when.business_day,
            }),
            created_at: self.when.at,
        }));
    }

    /// Marks every loan in the bill that owes more than penalty for charge-off.
    pub(super) fn mark_for_charge_off(&mut self, funder: &str, unpaid: &[&Unpaid]) {
        let owing = unpaid.iter().filter(|unpaid| unpaid.owed.receivable().is_positive());
        let of_loans = owing.map(|Unpaid { billed, .. }| {
            (billed.loan_id, ToChargeOff { line_id: billed.line_id, funder: funder.to_owned() })
        });
        self.to_charge_off.extend(of_loans);
    }

    fn tell_operators(&mut self, late: Late, kind: &'static str) {
        let body = json!({ "line": late.line_id, "due_on": late.due_on });
        self.notices.push(Notice::to_operators(kind, body, self.when));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::base::Rate;
    use crate::base::id::ProductId;
    use crate::overdue::OverdueSpan;

    fn unpaid(loan: u128, owed: Parts) -> Unpaid {
        let billed = BilledInstallment {
            line_id: LineId::from_uuid(Uuid::from_u128(1)),
            loan_id: LoanId::from_uuid(Uuid::from_u128(loan)),
            period: 1,
            billed: owed,
            paid: Parts::default(),
            returned: Parts::default(),
            span: OverdueSpan::new("2026-03-25".parse().unwrap()),
            product_id: ProductId::from_uuid(Uuid::from_u128(9)),
            product_version: 1,
            annual_rate: Rate::ZERO,
        };
        Unpaid { billed, owed, grace_days: 3 }
    }

    #[test]
    fn a_funder_is_told_of_every_late_installment_that_owes_more_than_penalty() {
        let when = When { business_day: "2026-03-29".parse().unwrap(), at: chrono::DateTime::UNIX_EPOCH };
        let penalty = Parts { penalty: Fen::new(7), ..Parts::default() };
        let interest_alone = Parts { interest: Fen::new(958), ..penalty };
        let principal = Parts { principal: Fen::new(42_933), fee: Fen::new(515), ..penalty };
        let unpaid = [unpaid(2, interest_alone), unpaid(3, penalty), unpaid(4, principal)];
        let late = Late {
            line_id: unpaid[0].billed.line_id,
            borrower_id: BorrowerId::from_uuid(Uuid::from_u128(5)),
            due_on: unpaid[0].billed.due_on(),
        };
        let mut told = Told::new(when);
        told.tell_people(Stage::Overdue, late, &unpaid.each_ref());
        told.tell_funder(Stage::Overdue, "harbour-bank", &unpaid.each_ref());
        let fen = |message: &Message| {
            ["principal", "interest", "fee"].map(|part| message.body[format!("unpaid_{part}_fen")].as_i64().unwrap())
        };
        let messages = told.messages.iter().map(|message| (message.object_id.as_u128(), message.kind, fen(message)));
        assert_eq!(messages.collect::<Vec<_>>(), [(2, "overdue", [0, 958, 0]), (4, "overdue", [42_933, 0, 515])]);
        assert_eq!(told.notices.len(), 1, "the borrower once");
        let owed =
            Parts { principal: Fen::new(42_933), interest: Fen::new(958), fee: Fen::new(515), penalty: Fen::new(21) };
        assert_eq!(told.notices[0].body["owed_fen"], json!(owed.total()));
        assert_eq!(told.notices[0].body["until_on"], "2026-03-29", "until when penalty is counted in it");
    }

    #[test]
    fn each_loan_that_owes_more_than_penalty_is_to_be_charged_off_once() {
        let when = When { business_day: "2026-09-21".parse().unwrap(), at: chrono::DateTime::UNIX_EPOCH };
        let mut told = Told::new(when);
        let penalty = Parts { penalty: Fen::new(7), ..Parts::default() };
        let owing = [unpaid(2, Parts { interest: Fen::new(1), ..penalty }), unpaid(3, penalty)];
        told.tell_funder(Stage::ChargeOff, "harbour-bank", &owing.each_ref());
        told.tell_funder(Stage::ChargeOff, "harbour-bank", &owing.each_ref());
        let due: Vec<_> = told.to_charge_off.into_iter().collect();
        let once = ToChargeOff { line_id: owing[0].billed.line_id, funder: "harbour-bank".to_owned() };
        assert_eq!(due, [(owing[0].billed.loan_id, once)]);
    }

    #[test]
    fn each_installment_reaches_a_stage_on_its_own_day_if_it_owes_anything() {
        let mut terms = crate::product::file::parse(crate::product::file::SHIPPED[0]).unwrap();
        terms.overdue.freeze_day = 4;
        let owes = Parts { principal: Fen::new(100), ..Parts::default() };
        let in_grace = Unpaid { grace_days: 7, ..unpaid(3, owes) };
        let all = [unpaid(2, owes), in_grace, unpaid(4, Parts::default())];
        let day = |text: &str| text.parse::<BusinessDay>().unwrap();
        let reached = |stage, first, last| {
            let reaching = reaching(stage, &terms, &all, &(day(first)..=day(last)));
            reaching.into_iter().map(|one| one.billed.loan_id.uuid().as_u128()).collect::<Vec<_>>()
        };
        for stage in [Stage::Overdue, Stage::Freeze] {
            assert_eq!(reached(stage, "2026-03-29", "2026-03-29"), [2], "{stage:?}");
            assert_eq!(reached(stage, "2026-04-02", "2026-04-02"), [3], "{stage:?}");
            assert_eq!(reached(stage, "2026-03-29", "2026-04-02"), [2, 3], "{stage:?}");
        }
    }
}
