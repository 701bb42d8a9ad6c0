//! Seeded faults: which call or order goes wrong, and how. The same seed and keys give the same faults in any order.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Processed, but the answer never arrives.
    TimeoutAfter,
    /// Not processed, and not answered.
    TimeoutBefore,
    /// The result is called back twice.
    DuplicateCallback,
    /// The result is called back much later.
    LateAnswer,
    /// The result is never called back.
    LostCallback,
    /// The result is called back before an earlier one.
    Reorder,
    /// Refused this time, although nothing is wrong.
    Refuse,
}

/// How often each fault occurs, in per mille: the first two of calls, the others of orders (or events).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultShares {
    pub timeout_after: u16,
    pub timeout_before: u16,
    pub duplicate_callback: u16,
    pub late_answer: u16,
    pub lost_callback: u16,
    pub reorder: u16,
    pub refuse: u16,
}

impl FaultShares {
    /// Whether neither the sum over calls nor the sum over orders is above 1,000 per mille.
    pub fn are_possible(&self) -> bool {
        let sum = |faults: Vec<(u16, Fault)>| faults.iter().map(|(share, _)| u32::from(*share)).sum::<u32>();
        sum(self.of_calls()) <= 1_000 && sum(self.of_orders()) <= 1_000
    }

    fn of_calls(&self) -> Vec<(u16, Fault)> {
        vec![(self.timeout_after, Fault::TimeoutAfter), (self.timeout_before, Fault::TimeoutBefore)]
    }

    fn of_orders(&self) -> Vec<(u16, Fault)> {
        vec![
            (self.duplicate_callback, Fault::DuplicateCallback),
            (self.late_answer, Fault::LateAnswer),
            (self.lost_callback, Fault::LostCallback),
            (self.reorder, Fault::Reorder),
            (self.refuse, Fault::Refuse),
        ]
    }
}

/// Each partner's shares, and how often a fault was drawn for each key, so that a repeated call may succeed.
pub struct FaultPlan {
    seed: u64,
    shares: HashMap<String, FaultShares>,
    drawn: HashMap<(String, String), u32>,
}

impl FaultPlan {
    pub fn new(seed: u64) -> FaultPlan {
        FaultPlan { seed, shares: HashMap::new(), drawn: HashMap::new() }
    }

    pub fn set(&mut self, partner: &str, shares: FaultShares) {
        self.shares.insert(partner.to_owned(), shares);
    }

    pub fn call(&mut self, partner: &str, key: &str) -> Option<Fault> {
        let faults = self.shares.get(partner)?.of_calls();
        self.draw(&format!("{partner} call"), key, &faults)
    }

    pub fn order(&mut self, partner: &str, key: &str) -> Option<Fault> {
        let faults = self.shares.get(partner)?.of_orders();
        self.draw(&format!("{partner} order"), key, &faults)
    }

    fn draw(&mut self, what: &str, key: &str, faults: &[(u16, Fault)]) -> Option<Fault> {
        // Nothing is remembered for a partner without faults.
        faults.iter().find(|(share, _)| *share > 0)?;
        let times = self.drawn.entry((what.to_owned(), key.to_owned())).or_insert(0);
        *times += 1;
        let digest = Sha256::digest(format!("{}/{what}/{key}/{times}", self.seed));
        let number = digest.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        let mut left = number % 1_000;
        for (share, fault) in faults {
            match left.checked_sub(u64::from(*share)) {
                None => return Some(*fault),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_and_the_same_seed_gives_the_same_faults() {
        let drawn = |seed| {
            let mut plan = FaultPlan::new(seed);
            plan.set("payout", FaultShares { timeout_after: 200, timeout_before: 100, ..FaultShares::default() });
            (0..5_000).map(|key| plan.call("payout", &key.to_string())).collect::<Vec<_>>()
        };
        let first = drawn(7);
        assert_eq!(first, drawn(7));
        let after = first.iter().filter(|fault| **fault == Some(Fault::TimeoutAfter)).count();
        let before = first.iter().filter(|fault| **fault == Some(Fault::TimeoutBefore)).count();
        assert!((850..1_150).contains(&after) && (400..600).contains(&before), "{after} and {before}");
    }

    #[test]
    fn a_partner_without_shares_has_no_faults() {
        let mut plan = FaultPlan::new(1);
        assert_eq!(plan.order("sms", "1"), None);
    }
}
