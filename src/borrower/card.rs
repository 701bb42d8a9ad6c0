//! A bank card: bound by signing the withholding agreement with the channel's code, unbound by rules.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::id::{BorrowerId, CardId};
use crate::base::person::{CardNumber, Mobile};
use crate::error::Refusal;
use crate::passcode::Window;

/// How long a code that the channel sent is good for.
pub const CODE_VALID: TimeDelta = TimeDelta::minutes(10);
/// Wrong codes after which a signing ends and a new code must be asked for.
pub const CODES_MAX: i16 = 5;
/// How long a signing that came to nothing is kept after its end: the card may be somebody else's, or mistyped, and nobody
/// needs its number.
pub const ENDED_KEPT: TimeDelta = TimeDelta::days(1);

/// How long a borrower must wait before the next code.
pub const CODE_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(60);
/// How often the bank is asked for a code, so that no telephone is flooded and nobody finds out by trying whose card is
/// whose. A code for another card may be asked for at once.
pub const PER_CARD: Window = Window { kind: "card_code_card", length: CODE_AGAIN_AFTER, count_max: 1 };
pub const PER_BORROWER: Window = Window { kind: "card_code_borrower", length: TimeDelta::hours(24), count_max: 10 };
pub const PER_CARD_MOBILE: Window = Window { kind: "card_code_mobile", length: TimeDelta::hours(24), count_max: 10 };
/// A code by which a card is bound is not counted, because many people may share an address, such as a school's.
pub const PER_ADDRESS: Window = Window { kind: "card_code_address", length: TimeDelta::hours(1), count_max: 60 };

/// A request to bind a card.
#[derive(Clone, Debug)]
pub struct CardBinding {
    pub borrower_id: BorrowerId,
    pub number: CardNumber,
    pub mobile: Mobile,
}

/// The code that the cardholder received.
#[derive(Clone)]
pub struct CardCode {
    pub borrower_id: BorrowerId,
    pub card_id: CardId,
    pub code: String,
}

/// Leaves out the code.
impl fmt::Debug for CardCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CardCode")
            .field("borrower_id", &self.borrower_id)
            .field("card_id", &self.card_id)
            .finish_non_exhaustive()
    }
}

/// A card as listed to its borrower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub card_id: CardId,
    pub number_tail: String,
    pub agreement_number: String,
    pub status: CardStatus,
    pub is_default: bool,
}

/// Whether a card can be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum CardStatus {
    Bound,
    /// The channel said that it can no longer be charged.
    Invalid,
    Unbound,
}

/// How far a signing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SigningStatus {
    Started,
    Signed,
    Refused,
}

/// A signing of the withholding agreement for one card: the channel sends the cardholder a code, which is then confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    pub card_id: CardId,
    pub challenge: String,
    pub status: SigningStatus,
}

/// What is done with a code that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trying {
    AskChannel,
    AlreadySigned,
}

impl Signing {
    /// The answer to a code that may not be sent to the channel any more, because the signing has expired, was tried too
    /// often, or has ended.
    pub fn outcome_without_try(&self) -> Result<Trying, CardRefusal> {
        match self.status {
            SigningStatus::Signed => Ok(Trying::AlreadySigned),
            SigningStatus::Refused | SigningStatus::Started => Err(CardRefusal::SigningEnded),
        }
    }
}

/// What unbinding one of a borrower's cards does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbinding {
    AlreadyUnbound,
    /// `next_default` takes over where the unbound card was the default.
    Unbind {
        next_default: Option<CardId>,
    },
}

/// Decides on unbinding one of a borrower's cards: while something is owed, a bound card must remain.
pub fn unbind(cards: &[Card], card_id: CardId, owes: Owes) -> Result<Unbinding, CardRefusal> {
    let card = cards.iter().find(|card| card.card_id == card_id).ok_or(CardRefusal::CardUnknown)?;
    match card.status {
        CardStatus::Unbound => return Ok(Unbinding::AlreadyUnbound),
        CardStatus::Bound | CardStatus::Invalid => {}
    }
    let other = cards.iter().find(|other| other.card_id != card_id && other.status == CardStatus::Bound);
    match (other, owes) {
        (None, Owes::Something) => Err(CardRefusal::LastCardWhileOwing),
        (other, _) => {
            Ok(Unbinding::Unbind { next_default: other.filter(|_| card.is_default).map(|card| card.card_id) })
        }
    }
}

/// Whether a borrower has unpaid debts on any line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owes {
    Nothing,
    Something,
}

/// Why something about a card is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardRefusal {
    #[error("there is no such borrower")]
    BorrowerUnknown,
    #[error("there is no such card")]
    CardUnknown,
    #[error("the withholding agreement must be read and agreed to before a card is bound")]
    AgreementMissing,
    #[error("this card is bound already")]
    AlreadyBound { card_id: CardId },
    #[error("the bank did not accept name, ID number, card and mobile together ({channel_code})")]
    RefusedByBank { channel_code: String },
    #[error("the code is wrong")]
    CodeWrong,
    #[error("the bank was asked for a code less than a minute ago")]
    CodeTooSoon,
    /// With the instant from which on it may be asked again.
    #[error("the bank was asked for too many codes: try again later")]
    TooManyCodes { until: DateTime<Utc> },
    #[error("the code has expired or was wrong too often: ask for a new one")]
    SigningEnded,
    #[error("the bank does not answer at the moment: please try again in a while")]
    BankSilent,
    #[error("money is owed and this is the only card: bind another one first")]
    LastCardWhileOwing,
    #[error("this card cannot be charged and cannot be the default")]
    NotChargeable,
}

impl Refusal for CardRefusal {
    fn code(&self) -> &'static str {
        match self {
            CardRefusal::BorrowerUnknown => "borrower_unknown",
            CardRefusal::CardUnknown => "card_unknown",
            CardRefusal::AgreementMissing => "agreement_missing",
            CardRefusal::AlreadyBound { .. } => "card_already_bound",
            CardRefusal::RefusedByBank { .. } => "card_refused_by_bank",
            CardRefusal::CodeWrong => "card_code_wrong",
            CardRefusal::CodeTooSoon => "card_code_too_soon",
            CardRefusal::TooManyCodes { .. } => "card_code_too_many",
            CardRefusal::SigningEnded => "card_signing_ended",
            CardRefusal::BankSilent => "bank_silent",
            CardRefusal::LastCardWhileOwing => "last_card_while_owing",
            CardRefusal::NotChargeable => "card_not_chargeable",
        }
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        if let CardRefusal::TooManyCodes { until } = self { Some(*until) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn card(number: u128, status: CardStatus, is_default: bool) -> Card {
        Card {
            card_id: CardId::from_uuid(Uuid::from_u128(number)),
            number_tail: "0001".into(),
            agreement_number: "A1".into(),
            status,
            is_default,
        }
    }

    #[test]
    fn the_last_card_stays_while_something_is_owed() {
        let only = card(1, CardStatus::Bound, true);
        let id = only.card_id;
        let invalid = card(2, CardStatus::Invalid, false);
        let cards = [only, invalid];
        assert_eq!(unbind(&cards, id, Owes::Something), Err(CardRefusal::LastCardWhileOwing));
        assert_eq!(unbind(&cards, id, Owes::Nothing), Ok(Unbinding::Unbind { next_default: None }));
    }

    #[test]
    fn another_bound_card_takes_over_as_default() {
        let (first, second) = (card(1, CardStatus::Bound, true), card(2, CardStatus::Bound, false));
        let (id, next) = (first.card_id, second.card_id);
        let cards = [first, second];
        assert_eq!(unbind(&cards, id, Owes::Something), Ok(Unbinding::Unbind { next_default: Some(next) }));
        assert_eq!(unbind(&cards, next, Owes::Something), Ok(Unbinding::Unbind { next_default: None }));
    }

    #[test]
    fn a_late_code_finds_a_signed_card_signed_and_any_other_signing_ended() {
        let card_id = CardId::mint(DateTime::UNIX_EPOCH);
        let signing = |status| Signing { card_id, challenge: "c".into(), status };
        assert_eq!(signing(SigningStatus::Signed).outcome_without_try(), Ok(Trying::AlreadySigned));
        for status in [SigningStatus::Started, SigningStatus::Refused] {
            assert_eq!(signing(status).outcome_without_try(), Err(CardRefusal::SigningEnded));
        }
    }
}
