//! The postings of a funder's deposits and withdrawals.

use uuid::Uuid;

use crate::base::id::FunderId;
use crate::base::{Fen, When};
use crate::ledger::posting::Legs;
use crate::ledger::{Account, Posting};

/// Money that moved between a funder's bank and its reserve.
#[derive(Clone, Copy, Debug)]
pub struct Movement {
    pub funder_id: FunderId,
    pub movement_id: Uuid,
    pub amount: Fen,
    pub when: When,
}

/// The funder's money arrived at the platform's bank.
pub fn deposit(movement: Movement) -> Posting {
    house_posting("deposit", movement, movement.amount)
}

/// The exact reverse of a deposit.
pub fn withdrawal(movement: Movement) -> Posting {
    house_posting("withdrawal", movement, -movement.amount)
}

fn house_posting(event: &'static str, movement: Movement, into_reserve: Fen) -> Posting {
    Posting {
        posting_id: movement.movement_id,
        line_id: None,
        funder_id: movement.funder_id,
        event,
        source_id: movement.movement_id,
        legs: Legs::new()
            .transfer(Account::Bank, Account::ReserveAvailable, into_reserve)
            .transfer(Account::ReserveAtPlatform, Account::Cash, into_reserve)
            .into_vec(),
        corrects: None,
        business_day: movement.when.business_day,
        posted_at: movement.when.at,
    }
}
