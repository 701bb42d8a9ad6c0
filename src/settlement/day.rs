//! A merchant's day as its pages tell it: the figures of its settlement, what stands behind each, and where the money is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::payable::PayableStatus;
use super::payout::PayoutStatus;
use crate::base::id::{PurchaseId, SettlementId};
use crate::base::{BusinessDay, Fen, words};

/// A settlement with what became of its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledDay {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    pub gross: Fen,
    pub refunds: Fen,
    /// Less what refunds gave back.
    pub discount_fee: Fen,
    pub subsidy: Fen,
    pub net: Fen,
    /// Not positive.
    pub carried_in: Fen,
    pub payable: Fen,
    pub status: PayableStatus,
    pub pay_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
    pub bank_reference: Option<String>,
    /// Where its payout stands; none where nothing is paid.
    pub payout: Option<PayoutStatus>,
    /// The day into whose settlement a negative amount was taken.
    pub carried_into_day: Option<BusinessDay>,
}

/// Where the money is, as a merchant wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyState {
    /// Its day has not come.
    ToPay,
    /// Sent to the bank, which has not said that it was paid.
    AtBank,
    /// The bank has refused it; somebody here looks into it.
    Stuck,
    Paid,
    /// Negative, waits for the next settlement.
    Waiting,
    /// Negative, and taken off a later settlement.
    TakenOff,
    Nothing,
}

impl SettledDay {
    /// Where the money is, by the settlement's status and that of its payout.
    pub fn money(&self) -> MoneyState {
        match (self.status, self.payout) {
            (PayableStatus::Paid, _) => MoneyState::Paid,
            (PayableStatus::Nothing, _) => MoneyState::Nothing,
            (PayableStatus::Carried, _) if self.carried_into_day.is_some() => MoneyState::TakenOff,
            (PayableStatus::Carried, _) => MoneyState::Waiting,
            (PayableStatus::ToPay, Some(PayoutStatus::Submitted | PayoutStatus::Unknown)) => MoneyState::AtBank,
            (PayableStatus::ToPay, Some(PayoutStatus::Failed)) => MoneyState::Stuck,
            // A settlement's payout is never cancelled.
            (
                PayableStatus::ToPay,
                Some(PayoutStatus::Created | PayoutStatus::Succeeded | PayoutStatus::Cancelled) | None,
            ) => MoneyState::ToPay,
        }
    }
}

impl MoneyState {
    pub fn name(self) -> &'static str {
        match self {
            MoneyState::ToPay => "to_pay",
            MoneyState::AtBank => "at_bank",
            MoneyState::Stuck => "stuck",
            MoneyState::Paid => "paid",
            MoneyState::Waiting => "waiting",
            MoneyState::TakenOff => "taken_off",
            MoneyState::Nothing => "nothing",
        }
    }

    // For templates, which compare no enums.
    pub fn is_good(self) -> bool {
        self == MoneyState::Paid
    }

    pub fn is_bad(self) -> bool {
        self == MoneyState::Stuck
    }
}

words! {
    /// A figure of the story that can be opened.
    pub enum Figure {
        Gross = "gross",
        Refunds = "refunds",
        Fee = "fee",
        Subsidy = "subsidy",
        /// Everything of the day.
        Net = "net",
    }
}

impl Figure {
    /// What a line adds to the figure.
    pub fn of(self, line: &DayLine) -> Fen {
        match self {
            Figure::Gross | Figure::Refunds => line.amount,
            Figure::Fee => line.discount_fee,
            Figure::Subsidy => line.subsidy,
            Figure::Net => line.net(),
        }
    }
}

/// A purchase or a refund of the day, with signs as they count for the merchant.
#[derive(Clone, Debug, PartialEq)]
pub struct DayLine {
    /// The purchase's or refund's.
    pub line_id: Uuid,
    pub purchase_id: PurchaseId,
    pub is_refund: bool,
    pub order_reference: Option<String>,
    pub created_at: DateTime<Utc>,
    pub amount: Fen,
    pub discount_fee: Fen,
    pub subsidy: Fen,
}

impl DayLine {
    /// What it adds to the merchant's day; negative for a refund.
    pub fn net(&self) -> Fen {
        self.amount + self.discount_fee + self.subsidy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(status: PayableStatus, payout: Option<PayoutStatus>) -> SettledDay {
        SettledDay {
            settlement_id: SettlementId::from_uuid(Uuid::nil()),
            business_day: "2026-03-02".parse().unwrap(),
            gross: Fen::ZERO,
            refunds: Fen::ZERO,
            discount_fee: Fen::ZERO,
            subsidy: Fen::ZERO,
            net: Fen::ZERO,
            carried_in: Fen::ZERO,
            payable: Fen::ZERO,
            status,
            pay_on: "2026-03-03".parse().unwrap(),
            paid_on: None,
            bank_reference: None,
            payout,
            carried_into_day: None,
        }
    }

    #[test]
    fn where_the_money_is_follows_the_payout_until_it_is_paid() {
        let to_pay = |payout| day(PayableStatus::ToPay, Some(payout)).money();
        assert_eq!(to_pay(PayoutStatus::Created), MoneyState::ToPay);
        assert_eq!(to_pay(PayoutStatus::Unknown), MoneyState::AtBank);
        assert_eq!(to_pay(PayoutStatus::Failed), MoneyState::Stuck);
        assert_eq!(day(PayableStatus::Paid, Some(PayoutStatus::Succeeded)).money(), MoneyState::Paid);
        let carried = day(PayableStatus::Carried, None);
        assert_eq!(carried.money(), MoneyState::Waiting);
        let taken = SettledDay { carried_into_day: Some("2026-03-04".parse().unwrap()), ..carried };
        assert_eq!(taken.money(), MoneyState::TakenOff);
    }
}
