//! From gross to net: what a merchant is owed for one business day, by funder and in sum.

use std::collections::BTreeMap;

use super::payable::{ClosedDay, PayableStatus};
use super::payout::{NewPayout, PayoutFor};
use crate::base::id::{FunderId, MerchantId, SettlementId};
use crate::base::{BusinessDay, Fen};

/// What a merchant sold and took back on one day, of one funder's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPart {
    pub merchant_id: MerchantId,
    pub funder_id: FunderId,
    /// Authorised purchases of the day.
    pub gross: Fen,
    /// Refunds made on the day, whenever their purchases were.
    pub refunds: Fen,
    /// Rounded per purchase, summed.
    pub discount_fee: Fen,
    pub discount_returned: Fen,
    pub subsidy: Fen,
    pub subsidy_returned: Fen,
}

impl DayPart {
    /// A day on which nothing was sold or taken back.
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

    /// Adds more of the same merchant, funder and day.
    pub fn add(&mut self, more: &DayPart) {
        self.gross += more.gross;
        self.refunds += more.refunds;
        self.discount_fee += more.discount_fee;
        self.discount_returned += more.discount_returned;
        self.subsidy += more.subsidy;
        self.subsidy_returned += more.subsidy_returned;
    }

    /// Gross less refunds, discount fee and subsidy, the latter two less what refunds give back of them; of either sign.
    pub fn net(&self) -> Fen {
        self.gross - self.refunds - self.net_discount_fee() - self.net_subsidy()
    }

    /// The discount fee less what refunds give back of it; negative where they give back more.
    pub fn net_discount_fee(&self) -> Fen {
        self.discount_fee - self.discount_returned
    }

    /// The subsidy less what refunds give back of it; negative where they give back more.
    pub fn net_subsidy(&self) -> Fen {
        self.subsidy - self.subsidy_returned
    }
}

/// What one funder's part of a settlement that was carried forward still owes.
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
    /// What settlements that were carried forward bring along; of either sign.
    pub carried_in: Fen,
}

impl Part {
    /// What the merchant is owed of this funder's money; negative where refunds and what was carried exceed the day's sales.
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
    /// One figure of every part, summed.
    pub fn sum(&self, part: impl Fn(&Part) -> Fen) -> Fen {
        self.parts.iter().map(part).sum()
    }

    /// The day alone, without what was carried into it; of either sign.
    pub fn net(&self) -> Fen {
        self.sum(|part| part.day.net())
    }

    /// What is paid if it is positive, and carried into the merchant's next settlement if it is negative.
    pub fn payable(&self) -> Fen {
        self.sum(Part::payable)
    }

    /// The status with which it begins.
    pub fn status(&self) -> PayableStatus {
        PayableStatus::of(self.payable())
    }

    /// The payment that it asks for, if any.
    pub fn payout(&self, closed: ClosedDay) -> Option<NewPayout> {
        let paid_for = PayoutFor::Settlement { settlement_id: self.settlement_id, merchant_id: self.merchant_id };
        NewPayout::of_day(closed, paid_for, self.payable())
    }
}

/// A settlement as the merchant and the operator see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRecord {
    pub settlement_id: SettlementId,
    pub business_day: BusinessDay,
    pub gross: Fen,
    pub refunds: Fen,
    /// Less what refunds gave back.
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

/// Makes one settlement of each merchant that sold or took back anything on the day. What was carried forward is taken
/// in wherever there is a settlement; the rest of it waits for the merchant's next one.
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

/// What each funder's reserve has paid out by clearing the day: gross, since refunds come back to it by themselves.
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
    fn a_merchant_that_did_nothing_keeps_what_it_owes() {
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
    fn each_merchant_has_a_settlement_of_its_own_and_pays_what_it_owes_alone() {
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
