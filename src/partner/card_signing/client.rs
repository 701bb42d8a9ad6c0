//! Signing withholding agreements, in our words.

use std::collections::HashMap;

use super::wire::{
    CardToSign, CodeToConfirm, ConfirmAnswer, ConfirmRequest, Confirmed, SIGNINGS_MAX, StartAnswer, StartRequest,
    Started,
};
use crate::base::id::CardId;
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

/// Asks for a code for each card; those without an answer are missing.
///
/// # Errors
/// As [`CallError`] says, at the first call that fails; a code that was sent all the same is good for nothing, and a new one is
/// asked for.
pub async fn start(client: &Client, cards: Vec<Elements>) -> Result<HashMap<CardId, Asked>, CallError> {
    let mut asked = HashMap::with_capacity(cards.len());
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
        asked.extend(answer.results.into_iter().map(|result| {
            let said = match result.started {
                Started::CodeSent { challenge } => Asked::CodeSent { challenge },
                Started::Refused { code } => Asked::Refused { channel_code: code },
            };
            (CardId::from_uuid(result.signing_id), said)
        }));
    }
    Ok(asked)
}

/// A code as it was typed, for a card whose signing was begun; never logged.
#[derive(Clone)]
pub struct TypedCode {
    pub card_id: CardId,
    pub challenge: String,
    pub sms_code: String,
}

/// Puts codes to the channel; returns what it says by challenge.
///
/// # Errors
/// As [`CallError`] says, at the first call that fails; the same code may be put again, and a signed challenge answers with the
/// same agreement.
pub async fn confirm(client: &Client, codes: Vec<TypedCode>) -> Result<HashMap<String, Told>, CallError> {
    let mut told = HashMap::with_capacity(codes.len());
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
        told.extend(answer.results.into_iter().map(|result| {
            let said = match result.confirmed {
                Confirmed::Signed { agreement_number } => Told::Signed { agreement_number },
                Confirmed::CodeWrong => Told::CodeWrong,
                Confirmed::ChallengeEnded => Told::Ended,
            };
            (result.challenge, said)
        }));
    }
    Ok(told)
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
