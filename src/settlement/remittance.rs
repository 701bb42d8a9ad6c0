//! Remittance (回款): what is passed on to a funder for one business day, and the platform's share of its income.

use std::collections::BTreeMap;

use super::payable::{ClosedDay, PayableStatus};
use super::payout::{NewPayout, PayoutFor};
use super::posting::RemittanceAmounts;
use crate::base::id::{FunderId, ProductId, RemittanceId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::product::terms::ProfitShare;

/// What one product version brought in on one day: what borrowers repaid, without excess, and the subsidies of merchants, less what
/// refunds gave back of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Income {
    pub funder_id: FunderId,
    pub product_id: ProductId,
    pub product_version: i32,
    pub principal: Fen,
    pub interest: Fen,
    pub fee: Fen,
    pub penalty: Fen,
    pub subsidy: Fen,
}

impl Income {
    /// What borrowers paid, less what refunds gave back of it; without the subsidy. Of either sign.
    pub fn collected(&self) -> Fen {
        self.principal + self.interest + self.fee + self.penalty
    }

    /// The platform's share: the share of all that came in until this day, less what was kept before. So giving back an amount in any
    /// number of parts gives back exactly the share that it brought. Negative if more was given back than came in.
    pub fn share(&self, before: &RemittedBefore, profit_share: &ProfitShare) -> Fen {
        let of = |rate: Rate, day: Fen, before: Fen| rate.of(before + day, 1, 1);
        of(profit_share.interest, self.interest, before.interest)
            + of(profit_share.fee, self.fee, before.fee)
            + of(profit_share.penalty, self.penalty, before.penalty)
            + of(profit_share.subsidy, self.subsidy, before.subsidy)
            - before.share
    }
}

/// What a product version brought in on all earlier remitted days, and the platform's share of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemittedBefore {
    pub interest: Fen,
    pub fee: Fen,
    pub penalty: Fen,
    pub subsidy: Fen,
    pub share: Fen,
}

/// One product version's part of a remittance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemittancePart {
    pub income: Income,
    pub share: Fen,
}

/// A negative remittance that is not taken into a later one yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedRemittance {
    pub remittance_id: RemittanceId,
    pub funder_id: FunderId,
    /// Negative.
    pub payable: Fen,
}

/// What is passed on to one funder for one business day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remittance {
    pub remittance_id: RemittanceId,
    pub funder_id: FunderId,
    pub business_day: BusinessDay,
    pub pay_on: BusinessDay,
    pub parts: Vec<RemittancePart>,
    /// Zero or negative.
    pub carried_in: Fen,
    /// The remittances whose negative amounts are taken into this one.
    pub carries: Vec<RemittanceId>,
}

impl Remittance {
    /// The day's own amounts, summed over the parts; without what was carried in.
    pub fn amounts(&self) -> RemittanceAmounts {
        RemittanceAmounts {
            collected: self.parts.iter().map(|part| part.income.collected()).sum(),
            subsidy: self.parts.iter().map(|part| part.income.subsidy).sum(),
            share: self.parts.iter().map(|part| part.share).sum(),
        }
    }

    /// Collected and subsidy, less the platform's share; of either sign.
    pub fn net(&self) -> Fen {
        let RemittanceAmounts { collected, subsidy, share } = self.amounts();
        collected + subsidy - share
    }

    /// Paid if positive, carried into the funder's next remittance if negative.
    pub fn payable(&self) -> Fen {
        self.net() + self.carried_in
    }

    /// The initial status.
    pub fn status(&self) -> PayableStatus {
        PayableStatus::of(self.payable())
    }

    /// The payment to make; `None` if nothing is payable.
    pub fn payout(&self, closed: ClosedDay) -> Option<NewPayout> {
        let paid_for = PayoutFor::Remittance { remittance_id: self.remittance_id, funder_id: self.funder_id };
        NewPayout::of_day(closed, paid_for, self.payable())
    }
}

/// Makes one remittance for each funder that has income on the day, and takes in what was carried forward for it.
pub fn remit(parts: &[RemittancePart], carried: &[CarriedRemittance], closed: ClosedDay) -> Vec<Remittance> {
    let mut funders: BTreeMap<FunderId, Vec<RemittancePart>> = BTreeMap::new();
    for part in parts {
        funders.entry(part.income.funder_id).or_default().push(*part);
    }
    funders
        .into_iter()
        .map(|(funder_id, parts)| {
            let carried = || carried.iter().filter(|carried| carried.funder_id == funder_id);
            Remittance {
                remittance_id: RemittanceId::mint(closed.at),
                funder_id,
                business_day: closed.business_day,
                pay_on: closed.pay_on,
                parts,
                carried_in: carried().map(|carried| carried.payable).sum(),
                carries: carried().map(|carried| carried.remittance_id).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use uuid::Uuid;

    const HUI_FENG: FunderId = FunderId::from_uuid(Uuid::from_u128(11));

    fn income(interest: i64, subsidy: i64) -> Income {
        Income {
            funder_id: HUI_FENG,
            product_id: ProductId::from_uuid(Uuid::from_u128(21)),
            product_version: 1,
            principal: Fen::new(10_000),
            interest: Fen::new(interest),
            fee: Fen::ZERO,
            penalty: Fen::ZERO,
            subsidy: Fen::new(subsidy),
        }
    }

    fn profit_share() -> ProfitShare {
        let rate = |text: &str| text.parse().unwrap();
        ProfitShare { interest: rate("0.3"), fee: rate("0"), penalty: rate("0"), subsidy: rate("0.25") }
    }

    fn closed() -> ClosedDay {
        ClosedDay {
            business_day: "2026-03-02".parse().unwrap(),
            pay_on: "2026-03-03".parse().unwrap(),
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_kind_of_income_is_rounded_once() {
        // 0.3 × 105 = 31.5 and 0.25 × 102 = 25.5, each away from zero.
        assert_eq!(income(105, 102).share(&RemittedBefore::default(), &profit_share()), Fen::new(32 + 26));
    }

    #[test]
    fn a_subsidy_given_back_in_parts_reverses_its_share_exactly() {
        let mut before = RemittedBefore::default();
        let shares = [102, -34, -34, -34].map(|subsidy| {
            let share = income(0, subsidy).share(&before, &profit_share());
            before.subsidy += Fen::new(subsidy);
            before.share += share;
            share.get()
        });
        // A quarter of 102, of 68, of 34 and of nothing: 26, 17, 9, 0.
        assert_eq!(shares, [26, -9, -8, -9]);
    }

    #[test]
    fn what_rounding_left_of_one_day_is_made_up_on_the_next() {
        let mut before = RemittedBefore::default();
        let shares = [1, 1, 1, 1].map(|interest| {
            let share = income(interest, 0).share(&before, &profit_share());
            before.interest += Fen::new(interest);
            before.share += share;
            share.get()
        });
        // In total until each day: 0.3, 0.6, 0.9 and 1.2.
        assert_eq!(shares, [0, 1, 0, 0]);
    }

    #[test]
    fn what_was_carried_is_taken_off_the_next_remittance() {
        let part = RemittancePart { income: income(100, 0), share: Fen::new(30) };
        let remittance_id = RemittanceId::mint(DateTime::UNIX_EPOCH);
        let carried = CarriedRemittance { remittance_id, funder_id: HUI_FENG, payable: Fen::new(-70) };
        let remittances = remit(&[part], &[carried], closed());
        assert_eq!(remittances[0].net(), Fen::new(10_070));
        assert_eq!(remittances[0].payable(), Fen::new(10_000));
        assert_eq!(remittances[0].carries, [remittance_id]);
    }

    #[test]
    fn each_kind_of_income_is_shared_at_its_own_rate_and_principal_not_at_all() {
        let rate = |text: &str| text.parse().unwrap();
        let profit_share =
            ProfitShare { interest: rate("0.3"), fee: rate("0.5"), penalty: rate("0.02"), subsidy: rate("0.25") };
        let income = Income { fee: Fen::new(2_000), penalty: Fen::new(300), ..income(100, 40) };
        assert_eq!(income.collected(), Fen::new(10_000 + 100 + 2_000 + 300), "the merchant's subsidy is apart");
        assert_eq!(income.share(&RemittedBefore::default(), &profit_share), Fen::new(30 + 1_000 + 6 + 10));
        // Of what came in before, everything but one fen of each kind was kept.
        let [interest, fee, penalty, subsidy] = [1_000, 200, 50, 8].map(Fen::new);
        let before = RemittedBefore { interest, fee, penalty, subsidy, share: Fen::new(300 + 100 + 1 + 2 - 4) };
        assert_eq!(income.share(&before, &profit_share), Fen::new(30 + 1_000 + 6 + 10 + 4));
    }

    #[test]
    fn what_one_funder_owes_is_not_taken_off_another_and_a_subsidy_is_passed_on() {
        let other = FunderId::from_uuid(Uuid::from_u128(12));
        let part = RemittancePart { income: income(100, 40), share: Fen::new(35) };
        let of_other = Income { funder_id: other, principal: Fen::ZERO, ..income(0, -20) };
        let of_other = RemittancePart { income: of_other, share: Fen::new(-5) };
        let remittance_id = RemittanceId::mint(DateTime::UNIX_EPOCH);
        let carried = CarriedRemittance { remittance_id, funder_id: other, payable: Fen::new(-70) };
        let remittances = remit(&[part, of_other, part], &[carried], closed());
        let told = remittances.iter().map(|one| (one.funder_id, one.net().get(), one.payable().get(), one.status()));
        let expected = [
            (HUI_FENG, 2 * (10_100 + 40 - 35), 2 * 10_105, PayableStatus::ToPay),
            (other, -15, -85, PayableStatus::Carried),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert_eq!(remittances[0].payout(closed()).map(|payout| payout.amount), Some(Fen::new(20_210)));
        assert_eq!(remittances[1].payout(closed()), None);
    }
}
