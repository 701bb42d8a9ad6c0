//! Signing withholding agreements, in our words.

use std::collections::HashMap;

use super::wire::{
    CardToSign, CodeToConfirm, ConfirmAnswer, ConfirmRequest, ConfirmResult, Confirmed, SIGNINGS_MAX, StartAnswer,
    StartRequest, StartResult, Started,
};
use crate::base::id::CardId;
use crate::partner::agreed::agreed;
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// The four elements of a card, in clear; never logged.
#[derive(Clone)]
pub struct Elements {
    pub card_id: CardId,
    pub name: String,
    pub id_number: String,
    pub card_number: String,
    pub mobile: String,
}

/// What the channel says to a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A code is on its way to the mobile; the challenge names it.
    CodeSent { challenge: String },
    /// The elements do not belong together, or the card cannot be charged.
    Refused { channel_code: String },
}

/// What the channel says to a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Signed {
        agreement_number: String,
    },
    CodeWrong,
    /// The challenge is unknown, too old, or was tried too often.
    Ended,
}

/// Asks for a code for each card; those without an answer, or with two that differ, are missing.
///
/// # Errors
/// As [`CallError`] says, at the first call that fails; a code that was sent all the same is good for nothing, and a new one is
/// asked for.
pub async fn start(client: &Client, cards: Vec<Elements>) -> Result<HashMap<CardId, Asked>, CallError> {
    let mut said = Vec::with_capacity(cards.len());
    for batch in cards.chunks(SIGNINGS_MAX) {
        let key = batch[0].card_id.to_string();
        let operation = Operation {
            name: "start_signing",
            path: "/signings",
            key: &key,
            also: &[],
            // The channel recognises each signing by its id and sends one code.
            safe_to_retry: true,
            time_limit: TIME_LIMIT_PERSON,
        };
        let request = StartRequest { cards: batch.iter().cloned().map(card).collect() };
        let answer: StartAnswer = client.call(&operation, &request).await?;
        said.extend(answer.results.into_iter().map(asked));
    }
    Ok(agreed(said))
}

fn asked(result: StartResult) -> (CardId, Asked) {
    let asked = match result.started {
        Started::CodeSent { challenge } => Asked::CodeSent { challenge },
        Started::Refused { code } => Asked::Refused { channel_code: code },
    };
    (CardId::from_uuid(result.signing_id), asked)
}

/// A code as it was typed, for a card whose signing was begun; never logged.
#[derive(Clone)]
pub struct TypedCode {
    pub card_id: CardId,
    pub challenge: String,
    pub sms_code: String,
}

/// Puts codes to the channel; returns what it says by challenge. Those without an answer, or with two that differ, are missing.
///
/// # Errors
/// As [`CallError`] says, at the first call that fails; the same code may be put again, and a signed challenge answers with the
/// same agreement.
pub async fn confirm(client: &Client, codes: Vec<TypedCode>) -> Result<HashMap<String, Told>, CallError> {
    let mut said = Vec::with_capacity(codes.len());
    for batch in codes.chunks(SIGNINGS_MAX) {
        // The channel knows the challenges alone.
        let cards: Vec<String> = batch.iter().map(|code| code.card_id.to_string()).collect();
        let operation = Operation {
            name: "confirm_signing",
            path: "/confirmations",
            key: &cards[0],
            also: &cards,
            safe_to_retry: true,
            time_limit: TIME_LIMIT_PERSON,
        };
        let code = |code: TypedCode| CodeToConfirm { challenge: code.challenge, sms_code: code.sms_code };
        let request = ConfirmRequest { codes: batch.iter().cloned().map(code).collect() };
        let answer: ConfirmAnswer = client.call(&operation, &request).await?;
        said.extend(answer.results.into_iter().map(told));
    }
    Ok(agreed(said))
}

fn told(result: ConfirmResult) -> (String, Told) {
    let told = match result.confirmed {
        Confirmed::Signed { agreement_number } => Told::Signed { agreement_number },
        Confirmed::CodeWrong => Told::CodeWrong,
        Confirmed::ChallengeEnded => Told::Ended,
    };
    (result.challenge, told)
}

fn card(elements: Elements) -> CardToSign {
    CardToSign {
        signing_id: elements.card_id.uuid(),
        name: elements.name,
        id_number: elements.id_number,
        card_number: elements.card_number,
        mobile: elements.mobile,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_card_or_a_code_of_which_two_things_are_said_has_no_answer() {
        let sent = |id, challenge: &str| {
            let started = Started::CodeSent { challenge: challenge.to_owned() };
            asked(StartResult { signing_id: Uuid::from_u128(id), started })
        };
        let codes_sent = agreed([sent(1, "a"), sent(2, "b"), sent(1, "c"), sent(2, "b")]);
        assert_eq!(codes_sent.into_keys().collect::<Vec<_>>(), [CardId::from_uuid(Uuid::from_u128(2))]);

        let said = |challenge: &str, confirmed| told(ConfirmResult { challenge: challenge.to_owned(), confirmed });
        let signed = || Confirmed::Signed { agreement_number: "AG-1".to_owned() };
        let confirmed = agreed([
            said("a", Confirmed::ChallengeEnded),
            said("b", signed()),
            said("a", signed()),
            said("b", signed()),
        ]);
        assert_eq!(confirmed.into_keys().collect::<Vec<_>>(), ["b"]);
    }
}
