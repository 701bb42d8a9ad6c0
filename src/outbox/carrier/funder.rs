//! Events to a funder's core: many in one call, or each to the path that its template names.
//!
//! If the core refuses a whole call (4xx, signed), the batch is cut until the events that it refuses stand alone; these fail,
//! and all others go on. If nobody takes events at all (401, 403 or 429; at `/events` also 404 and 405), no event is to
//! blame, and the core is left alone for a while. At a template's own path 404 and 405 are about that event: the core does
//! not know the loan, or the path is wrong, and other kinds have other paths.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{Batch, Carried, Fate, Fates, Manner, failure, singly};
use crate::app::App;
use crate::outbox::catalogue;
use crate::outbox::completion::complete;
use crate::outbox::store::Waiting;
use crate::outbox::template::{Template, TemplateEvent, TemplateRefusal};
use crate::outbox::template_store::{self, Active, Saved};
use crate::partner::funder_core::{
    client::{OwnForm, deliver, deliver_one},
    wire::{EventResult, EventVerdict, EventsRequest, Outgoing},
};
use crate::partner::mentions::Mentions;
use crate::partner::{CallError, Client};

/// Sends a batch in order, without the kinds that the core does not want. An object with an event that goes to a path of its
/// own has all its events sent one by one.
pub async fn carry(app: &App, client: &Client, batch: Batch<'_>, manner: Manner<'_>) -> anyhow::Result<Carried> {
    let mut connection = app.pool.acquire().await?;
    let Active { templates, not_told } = template_store::active(&mut connection, batch.partner).await?;
    let (untold, mut told): (Vec<Waiting>, Vec<Waiting>) =
        batch.messages.iter().cloned().partition(|message| not_told.contains(&message.kind));
    complete(&mut connection, &mut told).await?;
    drop(connection);
    let has_path = |message: &&Waiting| templates.get(&message.kind).is_some_and(|saved| saved.template.path.is_some());
    let alone: HashSet<Uuid> = told.iter().filter(has_path).map(|message| message.object_id).collect();
    let (single, together): (Vec<Waiting>, Vec<Waiting>) =
        told.into_iter().partition(|message| alone.contains(&message.object_id));
    let mut carried = carry_together(client, &templates, &together).await;
    carried.fates.extend(untold.into_iter().map(|message| (message.message_no, Fate::NotTold)));
    if carried.broken.is_some() {
        return Ok(carried);
    }
    let call = |message| carry_one(client, &templates, message);
    let singly = singly::carry(&single, manner, failure, call).await;
    carried.fates.extend(singly.fates);
    carried.broken = singly.broken;
    Ok(carried)
}

type Templates = HashMap<String, Saved>;

/// The most bytes in a call to `/events`: many gateways take a megabyte and no more.
const CALL_BYTES_MAX: usize = 900_000;
/// More than what stands around a body.
const AROUND_BYTES_MAX: usize = 300;

/// Sends events in one call, as many as there is room for. One that its template cannot render is not sent, and the later ones
/// of its object are held back.
async fn carry_together(client: &Client, templates: &Templates, batch: &[Waiting]) -> Carried {
    let (mut events, mut fates) = (Vec::with_capacity(batch.len()), Fates::new());
    let (mut mapped, mut refused, mut room) = (Vec::new(), HashSet::new(), CALL_BYTES_MAX);
    for (place, message) in batch.iter().enumerate() {
        // Rendering may take long: other tasks get a turn between two of hundreds.
        tokio::task::yield_now().await;
        let saved = templates.get(&message.kind);
        let verdict = match event(message, saved.map(|saved| &saved.template)) {
            _ if refused.contains(&message.object_id) => Fate::Held,
            Ok(event) => {
                let bytes = event.body.get().len() + AROUND_BYTES_MAX;
                if bytes > room && !events.is_empty() {
                    fates.extend(batch[place..].iter().map(|message| (message.message_no, Fate::Left)));
                    break;
                }
                room = room.saturating_sub(bytes);
                events.push(event);
                mapped.extend(saved.map(|_| message));
                continue;
            }
            Err(why) => unserved(saved, &why),
        };
        refused.insert(message.object_id);
        fates.insert(message.message_no, verdict);
    }
    if events.is_empty() {
        return Carried::all(fates);
    }
    match deliver(client, events, &about(&mapped)).await {
        Ok(results) => {
            fates.extend(results.into_iter().map(|(message_no, result)| (message_no, fate(result))));
            Carried::all(fates)
        }
        Err(error) => Carried { fates, ..error.into() },
    }
}

/// Sends one event in a call of its own.
async fn carry_one(client: &Client, templates: &Templates, message: &Waiting) -> Result<Fate, CallError> {
    let saved = templates.get(&message.kind);
    let template = saved.map(|saved| &saved.template);
    let Some((template, path)) = template.and_then(|template| Some((template, template.path.as_deref()?))) else {
        // It has no path of its own, but another event of its object has.
        let event = match event(message, template) {
            Ok(event) => event,
            Err(why) => return Ok(unserved(saved, &why)),
        };
        let mut results = deliver(client, vec![event], &about(&[message])).await?;
        let result = results.remove(&message.message_no);
        return Ok(result.map_or_else(|| Fate::Refused("the answer does not name it".to_owned()), fate));
    };
    let text = match render(message, template) {
        Ok(text) => text,
        Err(why) => return Ok(unserved(saved, &why)),
    };
    let own = OwnForm { path, event_no: message.message_no, about: &about(&[message]), text: &text };
    let answer = match deliver_one(client, own).await {
        Ok(answer) => answer,
        Err(no @ CallError::Rejected { status: 404 | 405, .. }) => return Ok(Fate::Refused(no.to_string())),
        Err(error) => return Err(error),
    };
    Ok(match template.is_taken(&answer) {
        true => Fate::Delivered,
        false => Fate::Refused("taken_when does not hold for the answer".to_owned()),
    })
}

/// An event as it is sent to `/events`, in our form or as its template renders it.
///
/// # Errors
/// Why the template cannot render it.
fn event(message: &Waiting, template: Option<&Template>) -> Result<Outgoing, TemplateRefusal> {
    let body = body_of_event(message, template)?;
    Ok(Outgoing {
        event_no: message.message_no,
        kind: message.kind.clone(),
        version: version(&message.kind),
        object_id: message.object_id,
        occurred_at: message.created_at,
        body,
    })
}

/// An event's body, in our form or as its template renders it.
///
/// # Errors
/// Why the template cannot render it.
pub fn body_of_event(message: &Waiting, template: Option<&Template>) -> Result<Box<RawValue>, TemplateRefusal> {
    Ok(match template {
        // A funder's template may write a field twice: what is told is the JSON that it parses to.
        Some(template) => to_raw_value(&serde_json::from_str::<Value>(&render(message, template)?)?)?,
        None => serde_json::from_str(&message.body)?,
    })
}

/// The whole body, as the text that is sent, of a call with this event alone.
///
/// # Errors
/// Why the template cannot render it.
pub fn body_of_call(message: &Waiting, template: Option<&Template>) -> Result<String, TemplateRefusal> {
    match template {
        Some(own) if own.path.is_some() => render(message, own),
        _ => Ok(serde_json::to_string(&EventsRequest { events: vec![event(message, template)?] })?),
    }
}

/// The fate of an event that its template cannot render.
fn unserved(saved: Option<&Saved>, why: &TemplateRefusal) -> Fate {
    Fate::Unserved(match saved {
        Some(saved) => format!("template version {}: {why}", saved.version),
        None => why.to_string(),
    })
}

/// How many objects are logged with a call beside those that its body names: half of what the call log keeps, so that the
/// numbers of its events have room too.
const ABOUT_MAX: usize = 1_000;

/// What the call log names for messages in the core's own form, whose bodies may name nothing in our words: first their
/// objects, then whatever our form of them names.
fn about(messages: &[&Waiting]) -> Vec<String> {
    let objects = messages.iter().map(|message| message.object_id.to_string());
    let named = messages.iter().flat_map(|message| {
        let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let mut mentions = Mentions::default();
        mentions.read_request(&body);
        mentions.objects
    });
    objects.chain(named).take(ABOUT_MAX).collect()
}

/// Renders a message with a template.
fn render(message: &Waiting, template: &Template) -> Result<String, TemplateRefusal> {
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    let told = TemplateEvent {
        event_no: message.message_no,
        kind: &message.kind,
        version: version(&message.kind),
        object_id: message.object_id,
        occurred_at: message.created_at,
        body: &body,
    };
    template.render(&told)
}

/// The version of a kind's body; a kind that is not in the catalogue has had none.
pub fn version(kind: &str) -> u16 {
    catalogue::find(kind).map_or(1, |kind| kind.version)
}

fn fate(result: EventResult) -> Fate {
    match result.result {
        EventVerdict::Accepted | EventVerdict::Duplicate => Fate::Delivered,
        EventVerdict::Held => Fate::Held,
        EventVerdict::Refused => Fate::Refused(result.code.unwrap_or_else(|| "no code".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn what_is_shown_of_a_call_is_the_text_that_is_sent() {
        let message = Waiting {
            message_no: 41,
            kind: "loan_made".to_owned(),
            object_id: Uuid::nil(),
            body: r#"{"periods": 3, "loan_id": "loan_1"}"#.to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            attempts: 0,
            next_attempt_at: DateTime::UNIX_EPOCH,
        };
        let around = |body: &str| {
            let head = r#"{"events":[{"event_no":41,"kind":"loan_made","version":1,"object_id":"#;
            format!(
                r#"{head}"00000000-0000-0000-0000-000000000000","occurred_at":"1970-01-01T00:00:00Z","body":{body}}}]}}"#
            )
        };
        assert_eq!(body_of_call(&message, None), Ok(around(&message.body)));
        let text = r#"{"loan": {{ body.loan_id }}, "loan": 7}"#.to_owned();
        let own = Template { path: None, text, taken_when: None };
        assert_eq!(body_of_call(&message, Some(&own)), Ok(around(r#"{"loan":7}"#)));
        let alone = Template { path: Some("/loan".to_owned()), ..own };
        assert_eq!(body_of_call(&message, Some(&alone)), Ok(r#"{"loan": "loan_1", "loan": 7}"#.to_owned()));
    }
}
