//! A merchant's next settlement while its day is still open, computed by the same rule that will settle it.

use chrono::{DateTime, Utc};

use super::model::{CarriedPart, DayPart, Part, Settlement, settle};
use super::payable::{ClosedDay, PayableStatus};
use crate::base::id::MerchantId;
use crate::base::{BusinessDay, Fen};

/// A merchant's open day: its purchases and refunds so far, and what waits to be taken in.
#[derive(Clone, Debug)]
pub struct OpenDay {
    pub merchant_id: MerchantId,
    pub business_day: BusinessDay,
    /// The next working day; `None` if the calendar does not reach that far.
    pub pay_on: Option<BusinessDay>,
    pub at: DateTime<Utc>,
    pub parts: Vec<DayPart>,
    pub carried: Vec<CarriedPart>,
}

/// What the settlement would be if the day ended now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub business_day: BusinessDay,
    pub pay_on: Option<BusinessDay>,
    pub gross: Fen,
    pub refunds: Fen,
    pub discount_fee: Fen,
    pub subsidy: Fen,
    pub net: Fen,
    /// Zero or negative. Stays zero while nothing has happened on the day, because then nothing is taken in.
    pub carried_in: Fen,
    pub payable: Fen,
    pub status: PayableStatus,
}

impl OpenDay {
    /// The day with more purchases or refunds added.
    #[must_use]
    pub fn with(mut self, more: &DayPart) -> OpenDay {
        match self.parts.iter_mut().find(|part| part.funder_id == more.funder_id) {
            Some(part) => part.add(more),
            None => self.parts.push(*more),
        }
        self
    }

    /// `None` if nothing has happened on the day.
    fn settlement(&self) -> Option<Settlement> {
        let pay_on = self.pay_on.unwrap_or(self.business_day);
        let closed = ClosedDay { business_day: self.business_day, pay_on, at: self.at };
        settle(&self.parts, &self.carried, closed).pop()
    }

    /// What the day would carry forward to the next one if it ended now.
    pub fn carries_forward(&self) -> Vec<CarriedPart> {
        let Some(settlement) = self.settlement() else { return self.carried.clone() };
        if settlement.status() != PayableStatus::Carried {
            return Vec::new();
        }
        let carried = settlement.parts.iter().map(|part| CarriedPart {
            settlement_id: settlement.settlement_id,
            merchant_id: settlement.merchant_id,
            funder_id: part.day.funder_id,
            amount: part.payable(),
        });
        carried.collect()
    }

    /// The figures of the settlement as of now; all zero if nothing has happened on the day.
    pub fn outlook(&self) -> Outlook {
        let settlement = self.settlement();
        let sum = |amount: fn(&Part) -> Fen| settlement.as_ref().map_or(Fen::ZERO, |settlement| settlement.sum(amount));
        let payable = sum(Part::payable);
        Outlook {
            business_day: self.business_day,
            pay_on: self.pay_on,
            gross: sum(|part| part.day.gross),
            refunds: sum(|part| part.day.refunds),
            discount_fee: sum(|part| part.day.net_discount_fee()),
            subsidy: sum(|part| part.day.net_subsidy()),
            net: sum(|part| part.day.net()),
            carried_in: sum(|part| part.carried_in),
            payable,
            status: PayableStatus::of(payable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{FunderId, SettlementId};
    use uuid::Uuid;

    const SHOP: MerchantId = MerchantId::from_uuid(Uuid::from_u128(1));
    const BANK: FunderId = FunderId::from_uuid(Uuid::from_u128(2));

    fn open(parts: Vec<DayPart>, carried: i64) -> OpenDay {
        let settlement_id = SettlementId::from_uuid(Uuid::from_u128(3));
        let owed = CarriedPart { settlement_id, merchant_id: SHOP, funder_id: BANK, amount: Fen::new(carried) };
        OpenDay {
            merchant_id: SHOP,
            business_day: "2026-03-02".parse().unwrap(),
            pay_on: Some("2026-03-03".parse().unwrap()),
            at: DateTime::UNIX_EPOCH,
            parts,
            carried: if carried == 0 { vec![] } else { vec![owed] },
        }
    }

    fn refund(amount: i64, fee: i64) -> DayPart {
        DayPart { refunds: Fen::new(amount), discount_returned: Fen::new(fee), ..DayPart::empty(SHOP, BANK) }
    }

    #[test]
    fn a_refund_beyond_the_days_sales_is_carried_forward() {
        let sold = DayPart { gross: Fen::new(1_000), discount_fee: Fen::new(6), ..DayPart::empty(SHOP, BANK) };
        let day = open(vec![sold], 0);
        assert_eq!((day.outlook().payable, day.outlook().status), (Fen::new(994), PayableStatus::ToPay));
        let after = day.with(&refund(1_500, 9)).outlook();
        assert_eq!((after.net, after.payable, after.status), (Fen::new(-497), Fen::new(-497), PayableStatus::Carried));
    }

    #[test]
    fn what_was_carried_is_taken_in_only_by_a_day_on_which_something_happens() {
        assert_eq!(open(vec![], -700).outlook().payable, Fen::ZERO);
        let after = open(vec![], -700).with(&refund(100, 0)).outlook();
        assert_eq!((after.carried_in, after.payable), (Fen::new(-700), Fen::new(-800)));
    }

    #[test]
    fn what_was_carried_is_carried_forward_unchanged_by_a_quiet_day_alone() {
        let amounts = |day: OpenDay| day.carries_forward().iter().map(|part| part.amount.get()).collect::<Vec<i64>>();
        let sold = DayPart { gross: Fen::new(1_000), discount_fee: Fen::new(6), ..DayPart::empty(SHOP, BANK) };
        assert_eq!(amounts(open(vec![], -700)), [-700]);
        assert!(amounts(open(vec![sold], -700)).is_empty());
        assert_eq!(amounts(open(vec![sold], -1_700)), [-706]);
    }
}
