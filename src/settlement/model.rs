//! Settlements, from gross to net: what a merchant is owed for one business day, by funder and in total.

use std::collections::BTreeMap;

use super::payable::{ClosedDay, PayableStatus};
use super::payout::{NewPayout, PayoutFor};
use crate::base::id::{FunderId, MerchantId, SettlementId};
use crate::base::{BusinessDay, Fen};

/// A merchant's purchases and refunds of one day that one funder financed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPart {
    pub merchant_id: MerchantId,
    pub funder_id: FunderId,
    /// Authorised purchases of the day.
    pub gross: Fen,
    /// Refunds made on the day, whenever their purchases were.
    pub refunds: Fen,
    /// Rounded for each purchase, then summed.
    pub discount_fee: Fen,
    pub discount_returned: Fen,
    pub subsidy: Fen,
    pub subsidy_returned: Fen,
}

impl DayPart {
    /// A day without purchases and refunds.
    pub fn empty(merchant_id: MerchantId, funder_id: FunderId) -> DayPart {
        let zero = Fen::ZERO;
        DayPart {
            merchant_id,
            funder_id,
            gross: zero,
            refunds: zero,
            discount_fee: zero,
            discount_returned: zero,
            subsidy: zero,
            subsidy_returned: zero,
        }
    }

    /// Adds amounts of the same merchant, funder and day.
    pub fn add(&mut self, more: &DayPart) {
        self.gross += more.gross;
        self.refunds += more.refunds;
        self.discount_fee += more.discount_fee;
        self.discount_returned += more.discount_returned;
        self.subsidy += more.subsidy;
        self.subsidy_returned += more.subsidy_returned;
    }

    /// Gross less refunds, net discount fee and net subsidy; of either sign.
    pub fn net(&self) -> Fen {
        self.gross - self.refunds - self.net_discount_fee() - self.net_subsidy()
    }

    /// The discount fee less what refunds gave back of it; negative if they gave back more.
    pub fn net_discount_fee(&self) -> Fen {
        self.discount_fee - self.discount_returned
    }

    /// The subsidy less what refunds gave back of it; negative if they gave back more.
    pub fn net_subsidy(&self) -> Fen {
        self.subsidy - self.subsidy_returned
    }
}

/// What is still owed of one funder's part of a settlement that was carried forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedPart {
    pub settlement_id: SettlementId,
    pub merchant_id: MerchantId,
    pub funder_id: FunderId,
    pub amount: Fen,
}

/// One funder's part of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub day: DayPart,
    /// Taken in from settlements that were carried forward; of either sign.
    pub carried_in: Fen,
}

impl Part {
    /// What the merchant is owed of this funder's money; negative if refunds and what was carried in exceed the day's purchases.
    pub fn payable(&self) -> Fen {
        self.day.net() + self.carried_in
    }
}

/// What one merchant is owed for one business day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub settlement_id: SettlementId,
    pub merchant_id: MerchantId,
    pub business_day: BusinessDay,
    pub pay_on: BusinessDay,
    /// In funder order.
    pub parts: Vec<Part>,
    /// The settlements whose negative amounts are taken into this one.
    pub carries: Vec<SettlementId>,
}

impl Settlement {
    /// The sum of one figure over all parts.
    pub fn sum(&self, part: impl Fn(&Part) -> Fen) -> Fen {
        self.parts.iter().map(part).sum()
    }

    /// The day's own net, without what was carried in; of either sign.
    pub fn net(&self) -> Fen {
        self.sum(|part| part.day.net())
    }

    /// Paid if positive, carried into the merchant's next settlement if negative.
    pub fn payable(&self) -> Fen {
        self.sum(Part::payable)
    }

    /// The initial status.
    pub fn status(&self) -> PayableStatus {
        PayableStatus::of(self.payable())
    }

    /// The payment to make; `None` if nothing is payable.
    pub fn payout(&self, closed: ClosedDay) -> Option<NewPayout> {
        let paid_for = PayoutFor::Settlement { settlement_id: self.settlement_id, merchant_id: self.merchant_id };
        NewPayout::of_day(closed, paid_for, self.payable())
    }
}

/// A settlement as the merchant and operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRecord {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    pub gross: Fen,
    pub refunds: Fen,
    /// Net of what refunds gave back.
    pub discount_fee: Fen,
    pub subsidy: Fen,
    pub net: Fen,
    pub carried_in: Fen,
    pub payable: Fen,
    pub status: PayableStatus,
    pub pay_on: BusinessDay,
    pub paid_on: Option<BusinessDay>,
    pub bank_reference: Option<String>,
}

/// Makes one settlement for each merchant with purchases or refunds on the day, and takes in what was carried forward for it. What is
/// carried for other merchants waits for their next settlement.
pub fn settle(day_parts: &[DayPart], carried: &[CarriedPart], closed: ClosedDay) -> Vec<Settlement> {
    let mut merchants: BTreeMap<MerchantId, BTreeMap<FunderId, Part>> = BTreeMap::new();
    for part in day_parts {
        let parts = merchants.entry(part.merchant_id).or_default();
        parts.insert(part.funder_id, Part { day: *part, carried_in: Fen::ZERO });
    }
    let mut carries: BTreeMap<MerchantId, Vec<SettlementId>> = BTreeMap::new();
    for owed in carried {
        let Some(parts) = merchants.get_mut(&owed.merchant_id) else { continue };
        let empty = Part { day: DayPart::empty(owed.merchant_id, owed.funder_id), carried_in: Fen::ZERO };
        parts.entry(owed.funder_id).or_insert(empty).carried_in += owed.amount;
        let taken = carries.entry(owed.merchant_id).or_default();
        if !taken.contains(&owed.settlement_id) {
            taken.push(owed.settlement_id);
        }
    }
    merchants
        .into_iter()
        .map(|(merchant_id, parts)| Settlement {
            settlement_id: SettlementId::mint(closed.at),
            merchant_id,
            business_day: closed.business_day,
            pay_on: closed.pay_on,
            parts: parts.into_values().collect(),
            carries: carries.remove(&merchant_id).unwrap_or_default(),
        })
        .collect()
}

/// What each funder's reserve has paid out by clearing the day. It is gross, since refunds return to the reserve on their own.
pub fn gross_by_funder(day_parts: &[DayPart]) -> BTreeMap<FunderId, Fen> {
    let mut gross = BTreeMap::new();
    for part in day_parts.iter().filter(|part| part.gross.is_positive()) {
        *gross.entry(part.funder_id).or_insert(Fen::ZERO) += part.gross;
    }
    gross
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use uuid::Uuid;

    const SHOP: MerchantId = MerchantId::from_uuid(Uuid::from_u128(1));
    const HUI_FENG: FunderId = FunderId::from_uuid(Uuid::from_u128(11));
    const TIAN_HE: FunderId = FunderId::from_uuid(Uuid::from_u128(12));

    fn closed() -> ClosedDay {
        ClosedDay {
            business_day: "2026-03-02".parse().unwrap(),
            pay_on: "2026-03-03".parse().unwrap(),
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn sold(funder_id: FunderId, gross: i64, discount_fee: i64) -> DayPart {
        DayPart { gross: Fen::new(gross), discount_fee: Fen::new(discount_fee), ..DayPart::empty(SHOP, funder_id) }
    }

    #[test]
    fn net_is_gross_less_refunds_fee_and_subsidy_with_what_refunds_give_back() {
        let part = DayPart {
            refunds: Fen::new(3_000),
            discount_returned: Fen::new(18),
            subsidy: Fen::new(200),
            subsidy_returned: Fen::new(50),
            ..sold(HUI_FENG, 10_000, 60)
        };
        assert_eq!(part.net(), Fen::new(10_000 - 3_000 - 60 + 18 - 200 + 50));
    }

    #[test]
    fn what_was_carried_is_taken_off_by_funder_and_named() {
        let settlement_id = SettlementId::mint(DateTime::UNIX_EPOCH);
        let owed =
            |funder_id, amount| CarriedPart { settlement_id, merchant_id: SHOP, funder_id, amount: Fen::new(amount) };
        let carried = [owed(HUI_FENG, -700), owed(TIAN_HE, 200)];
        let settlements = settle(&[sold(HUI_FENG, 1_000, 6)], &carried, closed());
        let [settlement] = settlements.as_slice() else { panic!("one merchant, one settlement") };
        assert_eq!(settlement.parts.len(), 2);
        assert_eq!(settlement.payable(), Fen::new(1_000 - 6 - 700 + 200));
        assert_eq!(settlement.carries, [settlement_id]);
        assert_eq!(settlement.status(), PayableStatus::ToPay);
    }

    #[test]
    fn a_merchant_without_sales_keeps_owing_what_was_carried() {
        let owed = CarriedPart {
            settlement_id: SettlementId::mint(DateTime::UNIX_EPOCH),
            merchant_id: SHOP,
            funder_id: HUI_FENG,
            amount: Fen::new(-1),
        };
        assert!(settle(&[], &[owed], closed()).is_empty());
    }

    #[test]
    fn the_reserve_pays_gross() {
        let parts = [sold(HUI_FENG, 1_000, 6), DayPart { refunds: Fen::new(5), ..DayPart::empty(SHOP, TIAN_HE) }];
        assert_eq!(gross_by_funder(&parts).into_iter().collect::<Vec<_>>(), [(HUI_FENG, Fen::new(1_000))]);
    }

    #[test]
    fn each_merchant_has_its_own_settlement_and_owes_only_its_own_debt() {
        let other = MerchantId::from_uuid(Uuid::from_u128(2));
        let of_other = DayPart { merchant_id: other, ..sold(HUI_FENG, 500, 3) };
        let parts = [sold(HUI_FENG, 1_000, 6), of_other];
        let owed = |number, amount| CarriedPart {
            settlement_id: SettlementId::from_uuid(Uuid::from_u128(number)),
            merchant_id: other,
            funder_id: HUI_FENG,
            amount: Fen::new(amount),
        };
        let settlements = settle(&parts, &[owed(7, -400), owed(8, -100)], closed());
        let told: Vec<_> = settlements.iter().map(|one| (one.net().get(), one.payable().get(), one.status())).collect();
        assert_eq!(told, [(994, 994, PayableStatus::ToPay), (497, -3, PayableStatus::Carried)]);
        assert_eq!(settlements[1].carries, [7, 8].map(|number| SettlementId::from_uuid(Uuid::from_u128(number))));
        assert_eq!(settlements[0].payout(closed()).map(|payout| payout.amount), Some(Fen::new(994)));
        assert_eq!(settlements[1].payout(closed()), None);
        assert_eq!(gross_by_funder(&parts).into_iter().collect::<Vec<_>>(), [(HUI_FENG, Fen::new(1_500))]);
    }
}
