//! The applicants of the checks: as different as the contract allows.

use super::Checker;
use crate::base::{Clock, id};
use crate::partner::risk::wire::{Application, CardHistory, CardMonth};

impl Checker {
    /// An application of somebody of whom only the age and the requested limit are known.
    pub fn application(&self) -> Application {
        let now = Clock::System.now();
        Application {
            application_id: id::mint(now),
            borrower_id: id::mint(now),
            product: self.product.clone(),
            age: 34,
            limit_requested_fen: Some(1_000_000),
            card_history: None,
        }
    }

    pub fn application_with_history(&self) -> Application {
        let month = CardMonth { repay_status: 0, bill_fen: 320_000, paid_fen: 120_000 };
        self.application_with(std::array::from_fn(|_| month.clone()))
    }

    /// Every form of application: its description, and an example. Not among them is one without history and requested limit, which an
    /// endpoint may leave out and answer late.
    pub fn applications_of_every_form(&self) -> [(&'static str, Application); 5] {
        let month = |repay_status, bill_fen, paid_fen| CardMonth { repay_status, bill_fen, paid_fen };
        let owed_back = [-1, 0, -1, -1, 0, -1].map(|repay_status| month(repay_status, -5_000, 0));
        let unused = [-2; 6].map(|repay_status| month(repay_status, 0, 0));
        let worse = [8, 3, 2, 1, -1, -2].map(|repay_status| month(repay_status, 320_000, 0));
        let without_limit = Application { limit_requested_fen: None, ..self.application_with_history() };
        [
            ("without card_history", self.application()),
            ("without limit_requested_fen", without_limit),
            ("with a bill_fen below zero", self.application_with(owed_back)),
            ("with a card that was not used", self.application_with(unused)),
            ("with a repay_status of eight months late", self.application_with(worse)),
        ]
    }

    fn application_with(&self, months: [CardMonth; 6]) -> Application {
        let card_history = Some(CardHistory { limit_fen: 2_000_000, months: months.into() });
        Application { card_history, ..self.application() }
    }
}
