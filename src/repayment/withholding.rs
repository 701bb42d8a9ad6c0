//! The withholding order, an order to take money from a card: its states, and what a channel's answer does to it.

use crate::base::id::{BorrowerId, CardId, LineId, LoanId, WithholdingId};
use crate::base::{BusinessDay, Fen, words};
use crate::partner::withholding::{Answer, ChannelFailure, ChannelName};

/// One order to take money from a card.
#[derive(Clone, Debug, PartialEq)]
pub struct Withholding {
    pub withholding_id: WithholdingId,
    pub line_id: LineId,
    pub borrower_id: BorrowerId,
    pub purpose: Purpose,
    pub card_id: CardId,
    pub channel: ChannelName,
    pub amount: Fen,
    pub partial_allowed: bool,
    pub attempt_no: i16,
    pub state: State,
    /// The day that the amount was computed for; the value date of what is collected.
    pub business_day: BusinessDay,
}

/// What the money is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// What is due, on the product's timetable.
    Due,
    /// Bills that the borrower pays by the button.
    Button,
    /// The early payoff of one loan, by the button too.
    Payoff(LoanId),
}

words! {
    /// A purpose without the loan, as it is stored.
    pub enum PurposeKind {
        Due = "due",
        Button = "button",
        Payoff = "payoff",
    }
}

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    /// Committed before the channel is called: from here on only the channel knows the outcome.
    Submitted,
    /// The channel did not answer, or not clearly. Pending like `Submitted`, never a failure.
    Unknown,
    Succeeded {
        collected: Fen,
    },
    Failed(Failure),
}

/// Why an order has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    Channel(ChannelFailure),
    /// Never submitted: another payment came first, nothing was owed for its purpose any more, or a scheduled order's card was gone.
    Superseded,
    /// It counted as a success until the channel's file contradicted that, and was taken back by two people.
    Reversed,
}

/// What an answer does to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Move(State),
    AlreadyApplied,
    /// The order is final and the channel now says otherwise, or it reports an impossible amount: nothing changes, and a break is
    /// opened.
    Contradicts(Contradiction),
    /// An answer about an order that was never sent: not believed.
    NotSent,
}

/// How a channel's answer differs from our record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contradiction {
    WeFailedTheySucceeded { theirs: Fen },
    WeSucceededTheyFailed,
    AmountDiffers { theirs: Fen },
}

impl Withholding {
    /// Whether its outcome is not known yet.
    pub fn is_pending(&self) -> bool {
        match self.state {
            State::Created | State::Submitted | State::Unknown => true,
            State::Succeeded { .. } | State::Failed(_) => false,
        }
    }

    /// The amount that was collected.
    pub fn collected(&self) -> Fen {
        match self.state {
            State::Succeeded { collected } => collected,
            State::Created | State::Submitted | State::Unknown | State::Failed(_) => Fen::ZERO,
        }
    }

    /// Whether it was ever sent to a channel.
    pub fn was_sent(&self) -> bool {
        match self.state {
            State::Created | State::Failed(Failure::Superseded) => false,
            State::Submitted | State::Unknown | State::Succeeded { .. } => true,
            State::Failed(Failure::Channel(_) | Failure::Reversed) => true,
        }
    }

    /// What the channel's answer does to this order.
    pub fn receive(&self, answer: &Answer) -> Step {
        match self.state {
            State::Created => Step::NotSent,
            State::Submitted | State::Unknown => self.resolve(answer),
            State::Succeeded { collected: ours } => match answer {
                Answer::Succeeded { collected, .. } if *collected == ours => Step::AlreadyApplied,
                Answer::Succeeded { collected, .. } => {
                    Step::Contradicts(Contradiction::AmountDiffers { theirs: *collected })
                }
                Answer::Failed { .. } | Answer::Rejected { .. } | Answer::Absent { .. } => {
                    Step::Contradicts(Contradiction::WeSucceededTheyFailed)
                }
                // An old answer, from before the order was final.
                Answer::Processing { .. } | Answer::Unclear { .. } => Step::AlreadyApplied,
            },
            State::Failed(Failure::Superseded) => Step::NotSent,
            State::Failed(Failure::Channel(_) | Failure::Reversed) => match answer {
                Answer::Succeeded { collected, .. } => {
                    Step::Contradicts(Contradiction::WeFailedTheySucceeded { theirs: *collected })
                }
                Answer::Failed { .. }
                | Answer::Rejected { .. }
                | Answer::Absent { .. }
                | Answer::Processing { .. }
                | Answer::Unclear { .. } => Step::AlreadyApplied,
            },
        }
    }

    fn resolve(&self, answer: &Answer) -> Step {
        match answer {
            Answer::Succeeded { collected, .. } if self.is_plausible(*collected) => {
                Step::Move(State::Succeeded { collected: *collected })
            }
            // Stays pending until a person or the daily file settles which amount is true.
            Answer::Succeeded { collected, .. } => {
                Step::Contradicts(Contradiction::AmountDiffers { theirs: *collected })
            }
            Answer::Failed { failure, .. } => Step::Move(State::Failed(Failure::Channel(*failure))),
            Answer::Rejected { .. } => Step::Move(State::Failed(Failure::Channel(ChannelFailure::Refused))),
            // The channel never received it: the same as if it had been down.
            Answer::Absent { .. } => Step::Move(State::Failed(Failure::Channel(ChannelFailure::ChannelDown))),
            Answer::Processing { .. } if self.state == State::Submitted => Step::AlreadyApplied,
            Answer::Processing { .. } | Answer::Unclear { .. } => Step::Move(State::Unknown),
        }
    }

    fn is_plausible(&self, collected: Fen) -> bool {
        collected == self.amount || (self.partial_allowed && collected.is_positive() && collected < self.amount)
    }
}

impl Purpose {
    /// The purpose and its loan, as they are stored.
    pub fn stored(self) -> (&'static str, Option<LoanId>) {
        match self {
            Purpose::Due => (PurposeKind::Due.name(), None),
            Purpose::Button => (PurposeKind::Button.name(), None),
            Purpose::Payoff(loan_id) => (PurposeKind::Payoff.name(), Some(loan_id)),
        }
    }

    /// Reads a stored pair; `None` if [`Purpose::stored`] never writes it.
    pub fn from_stored(purpose: &str, loan_id: Option<LoanId>) -> Option<Purpose> {
        match (PurposeKind::from_name(purpose)?, loan_id) {
            (PurposeKind::Due, None) => Some(Purpose::Due),
            (PurposeKind::Button, None) => Some(Purpose::Button),
            (PurposeKind::Payoff, Some(loan_id)) => Some(Purpose::Payoff(loan_id)),
            (PurposeKind::Due | PurposeKind::Button, Some(_)) | (PurposeKind::Payoff, None) => None,
        }
    }
}

impl State {
    pub fn stored(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Submitted => "submitted",
            State::Unknown => "unknown",
            State::Succeeded { .. } => "succeeded",
            State::Failed(_) => "failed",
        }
    }

    /// Reads stored columns; `None` if the model never writes them.
    pub fn from_stored(status: &str, failure: Option<&str>, collected: Fen) -> Option<State> {
        match (status, failure) {
            ("created", None) => Some(State::Created),
            ("submitted", None) => Some(State::Submitted),
            ("unknown", None) => Some(State::Unknown),
            ("succeeded", None) => Some(State::Succeeded { collected }),
            ("failed", Some(failure)) => Failure::from_stored(failure).map(State::Failed),
            (_, _) => None,
        }
    }
}

impl Failure {
    pub const ALL: [Failure; 6] = [
        Failure::Channel(ChannelFailure::InsufficientFunds),
        Failure::Channel(ChannelFailure::CardInvalid),
        Failure::Channel(ChannelFailure::ChannelDown),
        Failure::Channel(ChannelFailure::Refused),
        Failure::Superseded,
        Failure::Reversed,
    ];

    pub fn stored(self) -> &'static str {
        match self {
            Failure::Channel(failure) => failure.name(),
            Failure::Superseded => "superseded",
            Failure::Reversed => "reversed",
        }
    }

    pub fn from_stored(text: &str) -> Option<Failure> {
        Failure::ALL.into_iter().find(|failure| failure.stored() == text)
    }
}

impl Contradiction {
    /// The kind of break that it opens, and the correction that is proposed.
    pub fn stored(self) -> (&'static str, &'static str) {
        match self {
            Contradiction::WeFailedTheySucceeded { .. } => ("we_failed_they_succeeded", "post"),
            Contradiction::WeSucceededTheyFailed => ("we_succeeded_they_failed", "ask_channel"),
            Contradiction::AmountDiffers { .. } => ("amount_differs", "ask_channel"),
        }
    }

    /// The amount that the channel says it collected.
    pub fn theirs(self) -> Fen {
        match self {
            Contradiction::WeFailedTheySucceeded { theirs } | Contradiction::AmountDiffers { theirs } => theirs,
            Contradiction::WeSucceededTheyFailed => Fen::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn order(state: State) -> Withholding {
        let id = Uuid::from_u128(7);
        Withholding {
            withholding_id: WithholdingId::from_uuid(id),
            line_id: LineId::from_uuid(id),
            borrower_id: BorrowerId::from_uuid(id),
            purpose: Purpose::Due,
            card_id: CardId::from_uuid(id),
            channel: ChannelName::Alpha,
            amount: Fen::new(1_000),
            partial_allowed: false,
            attempt_no: 1,
            state,
            business_day: "2026-01-05".parse().unwrap(),
        }
    }

    fn succeeded(fen: i64) -> Answer {
        Answer::Succeeded { collected: Fen::new(fen), reference: "T1".into() }
    }

    fn failed() -> Answer {
        Answer::Failed { failure: ChannelFailure::InsufficientFunds, code: "51".into() }
    }

    #[test]
    fn an_unknown_order_ends_either_way_and_only_by_an_explicit_answer() {
        let unknown = order(State::Unknown);
        let collected = Fen::new(1_000);
        assert_eq!(unknown.receive(&succeeded(1_000)), Step::Move(State::Succeeded { collected }));
        let failure = Failure::Channel(ChannelFailure::InsufficientFunds);
        assert_eq!(unknown.receive(&failed()), Step::Move(State::Failed(failure)));
        assert_eq!(unknown.receive(&Answer::Unclear { code: "99".into() }), Step::Move(State::Unknown));
    }

    #[test]
    fn a_repeated_answer_is_already_applied() {
        assert_eq!(order(State::Succeeded { collected: Fen::new(5) }).receive(&succeeded(5)), Step::AlreadyApplied);
        let failure = Failure::Channel(ChannelFailure::Refused);
        assert_eq!(order(State::Failed(failure)).receive(&failed()), Step::AlreadyApplied);
    }

    #[test]
    fn a_final_order_never_changes_by_an_answer() {
        let paid = order(State::Succeeded { collected: Fen::new(1_000) });
        assert_eq!(paid.receive(&failed()), Step::Contradicts(Contradiction::WeSucceededTheyFailed));
        let theirs = Fen::new(1_000);
        let unpaid = order(State::Failed(Failure::Channel(ChannelFailure::Refused)));
        assert_eq!(
            unpaid.receive(&succeeded(1_000)),
            Step::Contradicts(Contradiction::WeFailedTheySucceeded { theirs })
        );
    }

    #[test]
    fn a_part_is_believed_only_where_it_was_allowed() {
        let theirs = Fen::new(400);
        let whole = order(State::Submitted);
        assert_eq!(whole.receive(&succeeded(400)), Step::Contradicts(Contradiction::AmountDiffers { theirs }));
        let part = Withholding { partial_allowed: true, ..whole };
        assert_eq!(part.receive(&succeeded(400)), Step::Move(State::Succeeded { collected: theirs }));
        let theirs = Fen::new(1_001);
        assert_eq!(part.receive(&succeeded(1_001)), Step::Contradicts(Contradiction::AmountDiffers { theirs }));
        assert_eq!(part.receive(&succeeded(1_000)), Step::Move(State::Succeeded { collected: part.amount }));
        for fen in [0, -1] {
            let theirs = Fen::new(fen);
            let differs = Step::Contradicts(Contradiction::AmountDiffers { theirs });
            assert_eq!(part.receive(&succeeded(fen)), differs, "nothing is no part");
        }
        // A final order does not take another amount than the one booked, either.
        let booked = order(State::Succeeded { collected: Fen::new(400) });
        let theirs = Fen::new(401);
        assert_eq!(booked.receive(&succeeded(401)), Step::Contradicts(Contradiction::AmountDiffers { theirs }));
    }

    #[test]
    fn an_order_that_was_not_sent_has_no_answer() {
        assert_eq!(order(State::Created).receive(&succeeded(1_000)), Step::NotSent);
        assert_eq!(order(State::Failed(Failure::Superseded)).receive(&succeeded(1_000)), Step::NotSent);
    }
}
