//! The channels' client: submits orders, queries what became of them, and fetches daily files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::answer::{Answer, ChannelFailure};
use super::file::{DailyFile, FileError};
use super::wire::{alpha as alpha_wire, beta as beta_wire};
use super::{ChannelName, Order, Said, alpha, beta};
use crate::base::BusinessDay;
use crate::base::id::WithholdingId;
use crate::partner::client::{TIME_LIMIT_BATCH, is_about_content};
use crate::partner::{CallError, Operation, Partners, SendBy};

/// Orders in one call, by both channels' contracts.
pub const ORDERS_MAX: usize = alpha_wire::ORDERS_MAX;

/// Why a daily file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the channel did not hand its daily file over")]
    Call(#[from] CallError),
    #[error("the daily file is not text")]
    NotText(#[from] std::string::FromUtf8Error),
    #[error(transparent)]
    Content(#[from] FileError),
}

/// Submits orders, at most [`ORDERS_MAX`], and returns the channel's answer to each. If no valid answer came, every order is unclear; if
/// the request was certainly not processed, every order failed because the channel was down. One order that the channel refuses must not
/// hold up the others: it is found by halving the batch, as long as `send_by` allows.
pub async fn submit(partners: &Partners, channel: ChannelName, orders: &[Order], send_by: SendBy<'_>) -> Vec<Said> {
    let mut said = Vec::with_capacity(orders.len());
    let mut batches = vec![orders];
    while let Some(batch) = batches.pop() {
        if send_by.is_over() {
            let (partner, reason) = (channel.partner().to_owned(), "its time is over".to_owned());
            said.extend(words(batch, Err(CallError::NotSent { partner, reason })));
            continue;
        }
        match send(partners, channel, batch).await {
            Err(CallError::Rejected { status, .. }) if is_about_content(status) && batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                batches.extend([second, first]);
            }
            answered => said.extend(words(batch, answered)),
        }
    }
    said
}

async fn send(partners: &Partners, channel: ChannelName, batch: &[Order]) -> Result<Vec<Said>, CallError> {
    let key = batch.first().map_or_else(String::new, |first| first.withholding_id.to_string());
    // Not repeated by the client: after a lost answer the channel is queried instead.
    let operation = Operation {
        name: "submit_orders",
        path: "/orders",
        key: &key,
        also: &[],
        safe_to_retry: false,
        time_limit: TIME_LIMIT_BATCH,
    };
    let said = match channel {
        ChannelName::Alpha => call(partners, channel, &operation, &alpha::batch(batch)).await.map(alpha::answers),
        ChannelName::Beta => call(partners, channel, &operation, &beta::batch(batch)).await.map(beta::answers),
    };
    said.map_err(CallError::unknown_without_code)
}

/// What the result of a call means for each of its orders.
fn words(batch: &[Order], answered: Result<Vec<Said>, CallError>) -> Vec<Said> {
    let (said, missing) = match answered {
        Ok(said) => {
            // The order has only just been sent, so "no such order" is not an answer yet.
            let said = said.into_iter().map(|said| Said { answer: said.answer.unless_absent(), ..said });
            (said.collect(), Answer::Unclear { code: "no_result".to_owned() })
        }
        Err(CallError::NotSent { .. }) => (Vec::new(), down("not_sent")),
        Err(CallError::Rejected { status, code, .. }) if is_about_content(status) => {
            (Vec::new(), Answer::Rejected { code })
        }
        Err(CallError::Rejected { code, .. }) => (Vec::new(), down(&code)),
        Err(CallError::Unknown { .. }) => (Vec::new(), Answer::Unclear { code: "no_answer".to_owned() }),
    };
    of_each(batch.iter().map(|order| order.withholding_id), said, &missing)
}

/// Queries what became of orders. An order without an answer, or whose query failed, stays unclear.
pub async fn query(partners: &Partners, channel: ChannelName, withholding_ids: &[WithholdingId]) -> Vec<Said> {
    let key = withholding_ids.first().map_or_else(String::new, ToString::to_string);
    let operation = Operation {
        name: "query_orders",
        path: "/query",
        key: &key,
        also: &[],
        safe_to_retry: true,
        time_limit: TIME_LIMIT_BATCH,
    };
    let numbers: Vec<String> = withholding_ids.iter().map(|id| id.uuid().simple().to_string()).collect();
    let answered = match channel {
        ChannelName::Alpha => {
            let question = alpha_wire::Question { out_order_nos: numbers };
            call(partners, channel, &operation, &question).await.map(alpha::answers)
        }
        ChannelName::Beta => {
            let question = beta_wire::Question { req_sns: numbers };
            call(partners, channel, &operation, &question).await.map(beta::answers)
        }
    };
    let missing = Answer::Unclear { code: "no_answer".to_owned() };
    of_each(withholding_ids.iter().copied(), answered.unwrap_or_default(), &missing)
}

/// Fetches the daily file: the channel's final orders of one day.
///
/// # Errors
/// It could not be fetched, is malformed, or does not add up.
pub async fn daily_file(
    partners: &Partners,
    channel: ChannelName,
    day: BusinessDay,
) -> Result<(Vec<u8>, DailyFile), FetchError> {
    let path = format!("/file?day={day}");
    let operation = Operation {
        name: "daily_file",
        path: &path,
        key: &day.to_string(),
        also: &[],
        safe_to_retry: true,
        time_limit: TIME_LIMIT_BATCH,
    };
    let bytes = partners.client(channel.partner())?.fetch(&operation).await?;
    let text = String::from_utf8(bytes.clone())?;
    let file = match channel {
        ChannelName::Alpha => alpha::daily_file(&text)?,
        ChannelName::Beta => beta::daily_file(&text)?,
    };
    Ok((bytes, file))
}

async fn call<Req: serde::Serialize, Res: serde::de::DeserializeOwned>(
    partners: &Partners,
    channel: ChannelName,
    operation: &Operation<'_>,
    body: &Req,
) -> Result<Res, CallError> {
    partners.client(channel.partner())?.call(operation, body).await
}

fn down(code: &str) -> Answer {
    Answer::Failed { failure: ChannelFailure::ChannelDown, code: code.to_owned() }
}

/// Exactly one answer for each order that was asked about; `missing` if there is none, or two different ones. Others are dropped.
fn of_each(asked: impl Iterator<Item = WithholdingId>, said: Vec<Said>, missing: &Answer) -> Vec<Said> {
    let mut answers: HashMap<Uuid, Answer> = HashMap::with_capacity(said.len());
    for Said { withholding_id, answer } in said {
        match answers.entry(withholding_id.uuid()) {
            Entry::Vacant(none) => {
                none.insert(answer);
            }
            Entry::Occupied(mut first) => {
                if *first.get() != answer {
                    first.insert(Answer::Unclear { code: "contradictory".to_owned() });
                }
            }
        }
    }
    asked
        .map(|withholding_id| {
            let answer = answers.remove(&withholding_id.uuid()).unwrap_or_else(|| missing.clone());
            Said { withholding_id, answer }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Fen;

    fn id(number: u128) -> WithholdingId {
        WithholdingId::from_uuid(Uuid::from_u128(number))
    }

    /// What an answer to a call with the first three orders means for each of them.
    fn meant(answered: Result<Vec<Said>, CallError>) -> Vec<Answer> {
        let batch = [1, 2, 3].map(|number| Order {
            withholding_id: id(number),
            agreement_number: "AG-1".to_owned(),
            amount: Fen::new(7),
            partial_allowed: false,
            business_day: "2026-01-05".parse().unwrap(),
        });
        let said = words(&batch, answered);
        assert_eq!(said.iter().map(|said| said.withholding_id).collect::<Vec<_>>(), [1, 2, 3].map(id));
        said.into_iter().map(|said| said.answer).collect()
    }

    fn unclear(code: &str) -> Answer {
        Answer::Unclear { code: code.to_owned() }
    }

    #[test]
    fn an_order_of_which_nothing_or_two_things_are_said_stays_unknown_and_no_other() {
        let taken = || Answer::Succeeded { collected: Fen::new(7), reference: "T1".into() };
        let said = |number, answer| Said { withholding_id: id(number), answer };
        // The third one twice alike, and one that nobody asked about.
        let all =
            vec![said(3, taken()), said(2, taken()), said(9, taken()), said(2, down("BANK_DOWN")), said(3, taken())];
        assert_eq!(meant(Ok(all)), [unclear("no_result"), unclear("contradictory"), taken()]);
        // It was only just sent.
        let absent = said(1, Answer::Absent { code: "NOT_EXIST".into() });
        assert_eq!(meant(Ok(vec![absent]))[0], unclear("NOT_EXIST"));
    }

    #[test]
    fn only_a_call_that_was_certainly_not_taken_on_goes_to_the_next_channel() {
        let (partner, reason) = (|| "withholding_a".to_owned(), || "x".to_owned());
        let not_sent = CallError::NotSent { partner: partner(), reason: reason() };
        assert_eq!(meant(Err(not_sent)), [down("not_sent"), down("not_sent"), down("not_sent")]);
        let unknown = CallError::Unknown { partner: partner(), reason: reason() };
        assert_eq!(meant(Err(unknown)), [unclear("no_answer"), unclear("no_answer"), unclear("no_answer")]);
        let rejected =
            |status| CallError::Rejected { partner: partner(), status, code: "E".to_owned(), message: reason() };
        for status in [400, 409, 413, 422] {
            assert_eq!(meant(Err(rejected(status)))[0], Answer::Rejected { code: "E".into() }, "{status}");
        }
        for status in [401, 403, 404, 429] {
            assert_eq!(meant(Err(rejected(status)))[0], down("E"), "{status}");
        }
    }
}
