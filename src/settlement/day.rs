//! A merchant's day as its pages show it: the figures of its settlement, the lines behind each figure, and where the money is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::payable::PayableStatus;
use super::payout::PayoutStatus;
use crate::base::id::{PurchaseId, SettlementId};
use crate::base::{BusinessDay, Fen, words};

/// A settlement and the state of its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledDay {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    pub gross: Fen,
    pub refunds: Fen,
    /// Net of what refunds gave back.
    pub discount_fee: Fen,
    pub subsidy: Fen,
    pub net: Fen,
    /// Zero or negative.
    pub carried_in: Fen,
    pub payable: Fen,
    pub status: PayableStatus,
    pub pay_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
    pub bank_reference: Option<String>,
    /// The state of its payout; `None` if nothing is paid.
    pub payout: Option<PayoutStatus>,
    /// Whether the merchant's payouts are held.
    pub is_held: bool,
    /// The day whose settlement took in a negative amount of this one.
    pub carried_into_day: Option<BusinessDay>,
}

/// Where the money is, in a merchant's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyState {
    /// Its day of payment has not come.
    ToPay,
    /// Sent to the bank, which has not confirmed the payment.
    AtBank,
    /// Refused by the bank; the platform's operators look into it.
    Stuck,
    /// Not sent, since the platform holds the merchant's payouts.
    Held,
    Paid,
    /// Negative; waits for the next settlement.
    Waiting,
    /// Negative; deducted from a later settlement.
    TakenOff,
    Nothing,
}

impl SettledDay {
    /// Where the money is, from the settlement's status and its payout's.
    pub fn money(&self) -> MoneyState {
        match (self.status, self.payout) {
            (PayableStatus::Paid, _) => MoneyState::Paid,
            (PayableStatus::Nothing, _) => MoneyState::Nothing,
            (PayableStatus::Carried, _) if self.carried_into_day.is_some() => MoneyState::TakenOff,
            (PayableStatus::Carried, _) => MoneyState::Waiting,
            (PayableStatus::ToPay, Some(PayoutStatus::Submitted | PayoutStatus::Unknown)) => MoneyState::AtBank,
            (PayableStatus::ToPay, Some(PayoutStatus::Created | PayoutStatus::Failed)) if self.is_held => {
                MoneyState::Held
            }
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
            MoneyState::Held => "held",
            MoneyState::Paid => "paid",
            MoneyState::Waiting => "waiting",
            MoneyState::TakenOff => "taken_off",
            MoneyState::Nothing => "nothing",
        }
    }

    // Templates cannot compare enums.
    pub fn is_good(self) -> bool {
        self == MoneyState::Paid
    }

    pub fn is_bad(self) -> bool {
        matches!(self, MoneyState::Stuck | MoneyState::Held)
    }

    pub fn is_stuck(self) -> bool {
        self == MoneyState::Stuck
    }
}

words! {
    /// A figure of the day whose lines can be listed.
    pub enum Figure {
        Gross = "gross",
        Refunds = "refunds",
        Fee = "fee",
        Subsidy = "subsidy",
        /// The net of all lines.
        Net = "net",
    }
}

impl Figure {
    /// What a line contributes to the figure.
    pub fn of(self, line: &DayLine) -> Fen {
        match self {
            Figure::Gross | Figure::Refunds => line.amount,
            Figure::Fee => line.discount_fee,
            Figure::Subsidy => line.subsidy,
            Figure::Net => line.net(),
        }
    }
}

/// A purchase or a refund of the day; the signs are the merchant's view.
#[derive(Clone, Debug, PartialEq)]
pub struct DayLine {
    /// The id of the purchase or refund.
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
    /// What it contributes to the merchant's day; negative for a refund.
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
            is_held: false,
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

    #[test]
    fn a_hold_keeps_back_what_is_not_on_its_way() {
        let held = |payout| SettledDay { is_held: true, ..day(PayableStatus::ToPay, Some(payout)) }.money();
        assert_eq!(held(PayoutStatus::Created), MoneyState::Held);
        assert_eq!(held(PayoutStatus::Failed), MoneyState::Held);
        assert_eq!(held(PayoutStatus::Submitted), MoneyState::AtBank);
        let paid = SettledDay { is_held: true, ..day(PayableStatus::Paid, Some(PayoutStatus::Succeeded)) };
        assert_eq!(paid.money(), MoneyState::Paid);
    }
}
