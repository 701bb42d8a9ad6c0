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

/// What the channel answers when a card's signing is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartVerdict {
    /// A code is on its way to the mobile; the challenge names it.
    CodeSent { challenge: String },
    /// The elements do not belong together, or the card cannot be charged.
    Refused { channel_code: String },
}

/// What the channel answers to a code that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeVerdict {
    Signed {
        agreement_number: String,
    },
    CodeWrong,
    /// The challenge is unknown, too old, or was tried too often.
    Ended,
}

/// Asks the channel to send a code for each card; returns its verdict by card. Cards without an answer, or with two that differ, are
/// missing.
///
/// # Errors
/// The first call that fails, as [`CallError`] says. Codes that were sent by then are of no use: the borrower asks for a new one.
pub async fn start(client: &Client, cards: Vec<Elements>) -> Result<HashMap<CardId, StartVerdict>, CallError> {
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
        said.extend(answer.results.into_iter().map(start_verdict));
    }
    Ok(agreed(said))
}

fn start_verdict(result: StartResult) -> (CardId, StartVerdict) {
    let verdict = match result.started {
        Started::CodeSent { challenge } => StartVerdict::CodeSent { challenge },
        Started::Refused { code } => StartVerdict::Refused { channel_code: code },
    };
    (CardId::from_uuid(result.signing_id), verdict)
}

/// A code as it was typed, for a card whose signing was begun; never logged.
#[derive(Clone)]
pub struct TypedCode {
    pub card_id: CardId,
    pub challenge: String,
    pub sms_code: String,
}

/// Has the channel check codes; returns its verdict by challenge. Challenges without an answer, or with two that differ, are missing.
///
/// # Errors
/// The first call that fails, as [`CallError`] says. The same codes may be checked again: a challenge that was signed answers with the same
/// agreement.
pub async fn confirm(client: &Client, codes: Vec<TypedCode>) -> Result<HashMap<String, CodeVerdict>, CallError> {
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
        said.extend(answer.results.into_iter().map(code_verdict));
    }
    Ok(agreed(said))
}

fn code_verdict(result: ConfirmResult) -> (String, CodeVerdict) {
    let verdict = match result.confirmed {
        Confirmed::Signed { agreement_number } => CodeVerdict::Signed { agreement_number },
        Confirmed::CodeWrong => CodeVerdict::CodeWrong,
        Confirmed::ChallengeEnded => CodeVerdict::Ended,
    };
    (result.challenge, verdict)
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
            start_verdict(StartResult { signing_id: Uuid::from_u128(id), started })
        };
        let codes_sent = agreed([sent(1, "a"), sent(2, "b"), sent(1, "c"), sent(2, "b")]);
        assert_eq!(codes_sent.into_keys().collect::<Vec<_>>(), [CardId::from_uuid(Uuid::from_u128(2))]);

        let said =
            |challenge: &str, confirmed| code_verdict(ConfirmResult { challenge: challenge.to_owned(), confirmed });
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
