//! Events to a funder's core: many in one call, or each to the path that its template names.
//!
//! A refusal of a whole call (4xx, signed) is an answer: the batch is cut until the events that the core refuses stand alone, these
//! fail, and all others go on. Where nobody takes events at all (401, 403, 429; at `/events` also 404 and 405) none is to blame,
//! and the core is left alone. At a path of its own 404 and 405 are about that event: the core does not know the loan, or one
//! template names a wrong path, and other kinds have theirs.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::{Batch, Carried, Fate, Fates, Manner, failure, singly};
use crate::app::App;
use crate::outbox::catalogue;
use crate::outbox::store::Waiting;
use crate::outbox::template::{Template, TemplateRefusal, Told};
use crate::outbox::template_store::{self, Active, Saved};
use crate::partner::funder_core::{
    client::{OwnForm, deliver, deliver_one},
    wire::{EventResult, EventVerdict, Outgoing},
};
use crate::partner::mentions::Mentions;
use crate::partner::{CallError, Client};

/// Sends a batch in order, without the kinds that the core is not told of. Objects with an event that goes to a path of its own are
/// sent event by event.
pub async fn carry(app: &App, client: &Client, batch: Batch<'_>, manner: Manner<'_>) -> anyhow::Result<Carried> {
    let Active { templates, not_told } = template_store::active(&mut *app.pool.acquire().await?, batch.partner).await?;
    let (untold, told): (Vec<Waiting>, Vec<Waiting>) =
        batch.messages.iter().cloned().partition(|message| not_told.contains(&message.kind));
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

/// The events of one call. One that its template does not serve is not sent, and holds its object back.
async fn carry_together(client: &Client, templates: &Templates, batch: &[Waiting]) -> Carried {
    let (mut events, mut fates) = (Vec::with_capacity(batch.len()), Fates::new());
    let (mut mapped, mut refused) = (Vec::new(), HashSet::new());
    for message in batch {
        // A template may work hard: others get a turn between two of hundreds.
        tokio::task::yield_now().await;
        let verdict = match event(message, templates.get(&message.kind)) {
            _ if refused.contains(&message.object_id) => Fate::Held,
            Ok(event) => {
                events.push(event);
                mapped.extend(templates.get(&message.kind).map(|_| message));
                continue;
            }
            Err(why) => Fate::Unserved(why),
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

async fn carry_one(client: &Client, templates: &Templates, message: &Waiting) -> Result<Fate, CallError> {
    let saved = templates.get(&message.kind);
    let Some((saved, path)) = saved.and_then(|saved| saved.template.path.as_deref().map(|path| (saved, path))) else {
        // A neighbour of one that goes alone.
        let event = match event(message, saved) {
            Ok(event) => event,
            Err(why) => return Ok(Fate::Unserved(why)),
        };
        let mut results = deliver(client, vec![event], &about(&[message])).await?;
        let result = results.remove(&message.message_no);
        return Ok(result.map_or_else(|| Fate::Refused("the answer does not name it".to_owned()), fate));
    };
    let text = match render(message, &saved.template) {
        Ok(text) => text,
        Err(why) => return Ok(Fate::Unserved(format!("template version {}: {why}", saved.version))),
    };
    let own = OwnForm { path, event_no: message.message_no, about: &about(&[message]), text: &text };
    let answer = match deliver_one(client, own).await {
        Ok(answer) => answer,
        Err(no @ CallError::Rejected { status: 404 | 405, .. }) => return Ok(Fate::Refused(no.to_string())),
        Err(error) => return Err(error),
    };
    Ok(match saved.template.is_taken(&answer) {
        true => Fate::Delivered,
        false => Fate::Refused("taken_when does not hold for the answer".to_owned()),
    })
}

fn event(message: &Waiting, saved: Option<&Saved>) -> Result<Outgoing, String> {
    let body = match saved {
        Some(saved) => {
            let text = render(message, &saved.template);
            let text = text.map_err(|why| format!("template version {}: {why}", saved.version))?;
            // A funder's text may name a field twice: what is sent is what it comes to.
            serde_json::from_str::<Value>(&text).and_then(|body| to_raw_value(&body))
        }
        None => serde_json::from_str(&message.body),
    };
    Ok(Outgoing {
        event_no: message.message_no,
        kind: message.kind.clone(),
        version: version(&message.kind),
        object_id: message.object_id,
        occurred_at: message.created_at,
        body: body.map_err(|error| error.to_string())?,
    })
}

/// What a call is noted to be about beside what it says itself: half of what it can be found by, so that the numbers of its events
/// have their place too.
const ABOUT_MAX: usize = 1_000;

/// What messages are about that are told in the core's own words: their objects first, then whatever our form of them names.
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

/// What a template makes of a message.
pub fn render(message: &Waiting, template: &Template) -> Result<String, TemplateRefusal> {
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    let told = Told {
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
