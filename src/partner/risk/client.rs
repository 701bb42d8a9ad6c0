//! Asking the risk partner.

use std::collections::HashMap;

use uuid::Uuid;

use super::wire::{Application, DecideAnswer, DecideRequest, Decision};
use crate::partner::client::TIME_LIMIT_PERSON;
use crate::partner::{CallError, Client, Operation};

/// Asks for decisions and returns them by application; an application without an answer is missing.
///
/// # Errors
/// As [`CallError`] says; nothing is decided then.
pub async fn decide(client: &Client, applications: Vec<Application>) -> Result<HashMap<Uuid, Decision>, CallError> {
    let key = applications.first().map_or_else(String::new, |first| first.application_id.to_string());
    let operation = Operation {
        name: "decide_applications",
        path: "/applications",
        key: &key,
        // The partner recognises each application by its id and answers as it did before.
        safe_to_retry: true,
        time_limit: TIME_LIMIT_PERSON,
    };
    let answer: DecideAnswer = client.call(&operation, &DecideRequest { applications }).await?;
    Ok(answer.answers.into_iter().map(|answer| (answer.application_id, answer.decision)).collect())
}
