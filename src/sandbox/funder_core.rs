//! A counterfeit funder core: takes each event once, checks the order of each object, and refuses a share if told to.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fault::Fault;
use super::world::{World, lock};
use crate::partner::funder_core::wire::{EVENTS_MAX, Event, EventResult, EventVerdict, EventsAnswer, EventsRequest};

pub use crate::partner::funder_core::NAME;

/// Events that are kept as a whole for inspection; of older ones only number, kind and object are kept.
const EVENTS_KEPT: usize = 10_000;

/// What the core has been told.
#[derive(Default)]
pub struct Book {
    numbers: HashSet<i64>,
    last_of_object: HashMap<Uuid, i64>,
    count_of_kind: BTreeMap<String, u64>,
    latest: VecDeque<Event>,
    /// All calls that came, also refused ones.
    calls: u64,
    duplicates: u64,
    refused: u64,
    /// Calls to the core's own paths: path and body.
    own_calls: Vec<(String, Value)>,
    /// Events that came after a later one of the same object; there must never be any.
    out_of_order: Vec<i64>,
    /// Whole calls that are refused: the path or a text in the body, and the status.
    rejections: BTreeMap<String, u16>,
}

impl Book {
    /// From now on refuses every whole call to a path, or with a text in it such as an object's id, with a status; `None` ends that.
    pub fn reject(&mut self, path_or_text: &str, status: Option<u16>) {
        match status {
            Some(status) => self.rejections.insert(path_or_text.to_owned(), status),
            None => self.rejections.remove(path_or_text),
        };
    }

    pub fn accepted(&self) -> usize {
        self.numbers.len()
    }

    pub fn out_of_order(&self) -> &[i64] {
        &self.out_of_order
    }

    /// The latest calls to paths of the core's own.
    pub fn own_calls(&self) -> &[(String, Value)] {
        &self.own_calls
    }

    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The latest events about an object, oldest first.
    pub fn events_of(&self, object_id: Uuid) -> Vec<&Event> {
        self.latest.iter().filter(|event| event.object_id == object_id).collect()
    }

    pub fn summary(&self) -> Value {
        json!({
            "accepted": self.numbers.len(),
            "by_kind": self.count_of_kind,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "out_of_order": self.out_of_order,
        })
    }

    fn rejection(&self, path: &str, body: &impl Serialize) -> Option<Response> {
        if self.rejections.is_empty() {
            return None;
        }
        let text = serde_json::to_string(body).unwrap_or_default();
        let (_, status) = self.rejections.iter().find(|(named, _)| path == named.as_str() || text.contains(*named))?;
        Some(super::refusal(*status, "not_taken", "the core takes no such call"))
    }

    fn take_own(&mut self, path: String, body: Value) {
        if self.own_calls.len() == EVENTS_KEPT {
            self.own_calls.remove(0);
        }
        self.own_calls.push((path, body));
    }

    fn take(&mut self, event: Event) -> EventVerdict {
        if !self.numbers.insert(event.event_no) {
            self.duplicates += 1;
            return EventVerdict::Duplicate;
        }
        let last = self.last_of_object.entry(event.object_id).or_insert(event.event_no);
        if *last > event.event_no {
            self.out_of_order.push(event.event_no);
        }
        *last = event.event_no.max(*last);
        *self.count_of_kind.entry(event.kind.clone()).or_insert(0) += 1;
        if self.latest.len() == EVENTS_KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(event);
        EventVerdict::Accepted
    }
}

pub fn router() -> Router<Arc<World>> {
    Router::new().route("/events", post(take_events)).route("/loan/{*path}", post(take_own))
}

/// The core's own interface, below `/loan`: takes any JSON, and answers with a code of its own. A call that is lost or refused by a fault
/// is not taken.
async fn take_own(State(world): State<Arc<World>>, Path(path): Path<String>, Json(body): Json<Value>) -> Response {
    let path = format!("/loan/{path}");
    lock(&world.funder_core).calls += 1;
    if let Some(rejection) = lock(&world.funder_core).rejection(&path, &body) {
        return rejection;
    }
    let key = format!("{path} {body}");
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    if world.order_fault(NAME, &key) == Some(Fault::Refuse) {
        lock(&world.funder_core).refused += 1;
        return Json(json!({ "retCode": "9999" })).into_response();
    }
    let code = world.scripted(NAME, &[("path", &path)]).map_or_else(|| "0000".to_owned(), |scripted| scripted.answer);
    lock(&world.funder_core).take_own(path, body);
    if fault == Some(Fault::TimeoutAfter) {
        return world.silence();
    }
    Json(json!({ "retCode": code })).into_response()
}

async fn take_events(State(world): State<Arc<World>>, Json(request): Json<EventsRequest>) -> Response {
    if request.events.len() > EVENTS_MAX {
        return super::refusal(400, "too_many_events", "at most 500 events a call");
    }
    lock(&world.funder_core).calls += 1;
    if let Some(rejection) = lock(&world.funder_core).rejection("/events", &request) {
        return rejection;
    }
    let key = request.events.first().map_or_else(String::new, |first| first.event_no.to_string());
    let fault = world.call_fault(NAME, &key);
    if fault == Some(Fault::TimeoutBefore) {
        return world.silence();
    }
    let results = verdicts(&world, request.events);
    if fault == Some(Fault::TimeoutAfter) {
        return world.silence();
    }
    Json(EventsAnswer { results }).into_response()
}

fn verdicts(world: &World, events: Vec<Event>) -> Vec<EventResult> {
    let mut refused = HashSet::new();
    let mut book = lock(&world.funder_core);
    let mut results = Vec::with_capacity(events.len());
    for event in events {
        let (event_no, object_id) = (event.event_no, event.object_id);
        let object = object_id.to_string();
        let known = book.numbers.contains(&event_no);
        let scripted = || world.scripted(NAME, &[("object", &object), ("kind", &event.kind)]);
        let verdict = if !known && refused.contains(&object_id) {
            EventVerdict::Held
        } else if !known
            && (scripted().is_some_and(|scripted| scripted.answer == "refused")
                || world.order_fault(NAME, &event_no.to_string()) == Some(Fault::Refuse))
        {
            book.refused += 1;
            refused.insert(object_id);
            EventVerdict::Refused
        } else {
            book.take(event)
        };
        let code = (verdict == EventVerdict::Refused).then(|| "not_now".to_owned());
        results.push(EventResult { event_no, result: verdict, code });
    }
    results
}
