//! The check of a risk partner's late answers: the house's side is played at an address, to which the partner must send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::heard::{Heard, TIME_LIMIT, believed, in_form, same_again, strictly};
use super::late_purchases::{self, Asked};
use super::{Checked, Checker, Fault, Report, check_reason, read, shown};
use crate::base::{Clock, Fen};
use crate::partner::risk::wire::Application;
use crate::partner::signature::{Identity, Stamp};

const PATH: &str = "/api/v1/risk/decisions";
/// Answers that may wait to be checked; more are dropped.
const HEARD_MAX: usize = 100;

#[derive(Clone)]
struct House {
    applications: mpsc::Sender<Heard>,
    purchases: mpsc::Sender<Heard>,
    /// Whether the next answer about an application is taken but its connection is broken off.
    breaks_off: Arc<AtomicBool>,
    /// The same for the purchase that is being asked about.
    breaks_off_purchase: Arc<AtomicBool>,
    waiting: Option<Uuid>,
    /// The question about a purchase that was decided without its answer.
    too_late: Option<Uuid>,
    identity: Identity,
}

/// The address at which late answers are waited for.
pub struct Desk {
    listener: TcpListener,
}

impl Desk {
    /// # Errors
    /// If nobody can listen there.
    pub async fn open(address: &str) -> anyhow::Result<Desk> {
        let listener = TcpListener::bind(address).await;
        Ok(Desk { listener: listener.with_context(|| format!("cannot listen at {address}"))? })
    }

    /// Runs every check, in order; those of purchases only if `purchase_fen` is given, an amount about which the endpoint calls back.
    pub async fn check(self, checker: &Checker, purchase_fen: Option<i64>, report: &mut Report) {
        let (applications, mut heard) = mpsc::channel(HEARD_MAX);
        let (purchases, mut heard_of_purchases) = mpsc::channel(HEARD_MAX);
        let asked = purchase_fen.map(|amount_fen| Asked::new(checker, amount_fen));
        let waiting = asked.as_ref().map(|asked| asked.waiting.question_id);
        let too_late = asked.as_ref().map(|asked| asked.too_late.question_id);
        let house = House {
            applications,
            purchases,
            breaks_off: Arc::new(AtomicBool::new(true)),
            breaks_off_purchase: Arc::new(AtomicBool::new(true)),
            waiting,
            too_late,
            identity: checker.identity.clone(),
        };
        let router = Router::new()
            .route(PATH, post(hear_of_application))
            .route(late_purchases::PATH, post(hear_of_purchase))
            .with_state(house);
        let serving = tokio::spawn(async move { axum::serve(self.listener, router).await });
        check_application(checker, &mut heard).await.into_iter().for_each(|checked| report.push(checked));
        if let Some(asked) = asked {
            late_purchases::check(checker, &asked, &mut heard_of_purchases, report).await;
        }
        serving.abort();
    }
}

async fn check_application(checker: &Checker, heard: &mut mpsc::Receiver<Heard>) -> [Checked; 6] {
    // Nothing is known of the applicant, so no rule can give an answer at once.
    let asked = Application { limit_requested_fen: None, ..checker.application() };
    let left_out = leaves_out(checker, &asked).await;
    let came = match &left_out {
        Ok(()) => wait_for(heard).await,
        Err(why) => Err(why.clone()),
    };
    let again = match &came {
        Ok(first) => wait_for(heard).await.and_then(|again| same_again(checker, first, &again)),
        Err(why) => Err(why.clone()),
    };
    let judged = |judge: &dyn Fn(&Heard) -> Result<(), String>| came.as_ref().map_err(Clone::clone).and_then(judge);
    [
        ("an application of which nothing is known may be left out", left_out),
        ("its late answer comes by itself within thirty seconds", came.as_ref().map_err(Clone::clone).map(|_| ())),
        ("the late answer bears your signature", judged(&|heard| believed(checker, heard))),
        ("it is JSON under an Idempotency-Key", judged(&in_form)),
        (
            "it names the application and its borrower, with a decision that can be used",
            judged(&|heard| usable(heard, &asked)),
        ),
        ("where the house gave it no answer, it comes again as it was, under the same key", again),
    ]
}

async fn leaves_out(checker: &Checker, asked: &Application) -> Result<(), String> {
    let came = checker.send(std::slice::from_ref(asked), Fault::None).await?;
    match came.status {
        200 if read(&came)?.is_empty() => Ok(()),
        200 => Err("it was answered at once; leave it out, so that there is something to answer late".to_owned()),
        status => Err(format!("status {status} with {}", shown(&came.body))),
    }
}

async fn wait_for(heard: &mut mpsc::Receiver<Heard>) -> Result<Heard, String> {
    let came = tokio::time::timeout(TIME_LIMIT, heard.recv()).await;
    came.ok().flatten().ok_or_else(|| format!("nothing came to {PATH}"))
}

/// Takes an answer about an application as the house does, and signs the response; the connection of the first is broken off.
async fn hear_of_application(State(house): State<House>, headers: HeaderMap, body: Bytes) -> Response {
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let status = match said["decision"].as_str() {
        Some("approve") => "approved",
        Some("refuse") => "refused",
        _ => "referred",
    };
    // The check may have ended.
    let _ = house.applications.try_send(Heard::new(PATH, headers, body));
    if house.breaks_off.swap(false, Ordering::Relaxed) {
        return broken_off();
    }
    let answer = json!({ "application_id": said["application_id"], "status": status });
    house.answer(StatusCode::OK, "application/json", &answer)
}

/// A body that fails at once, on which the server breaks the connection.
fn broken_off() -> Response {
    let failure = stream::once(async { Err::<Bytes, _>(std::io::Error::other("no answer is given")) });
    Response::new(Body::from_stream(failure))
}

/// As [`hear_of_application`], for an answer about a purchase.
async fn hear_of_purchase(State(house): State<House>, headers: HeaderMap, body: Bytes) -> Response {
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let question_id = said["question_id"].as_str().and_then(|text| text.parse::<Uuid>().ok());
    let _ = house.purchases.try_send(Heard::new(late_purchases::PATH, headers, body));
    if question_id.is_some() && question_id == house.too_late {
        let problem = json!({
            "type": "/api/docs/problems#answer_too_late", "title": "Conflict", "status": 409, "code": "answer_too_late",
            "detail": "the purchase was decided without this answer, or on another one" });
        return house.answer(StatusCode::CONFLICT, "application/problem+json", &problem);
    }
    // An unreadable answer may be about the purchase that is waited for.
    let is_waited_for = question_id.is_none() || question_id == house.waiting;
    if is_waited_for && house.breaks_off_purchase.swap(false, Ordering::Relaxed) {
        return broken_off();
    }
    let answer = json!({ "question_id": said["question_id"], "status": "heard" });
    house.answer(StatusCode::OK, "application/json", &answer)
}

impl House {
    fn answer(&self, status: StatusCode, media_type: &'static str, answer: &Value) -> Response {
        let text = answer.to_string();
        let signature = self.identity.response_headers(&Stamp::fresh(Clock::System.now()), text.as_bytes());
        let mut response = (status, [(header::CONTENT_TYPE, media_type)], text).into_response();
        for (name, value) in signature {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// As `POST /risk/decisions` takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LateAnswer {
    application_id: Uuid,
    borrower_id: Uuid,
    decision: String,
    grade: Option<String>,
    limit_fen: Option<i64>,
    reason: Option<String>,
    #[serde(rename = "score")]
    _score: Option<i32>,
}

fn usable(heard: &Heard, asked: &Application) -> Result<(), String> {
    let answer: LateAnswer = strictly(heard)?;
    if (answer.application_id, answer.borrower_id) != (asked.application_id, asked.borrower_id) {
        return Err(format!("{} of {} was asked about", asked.application_id, asked.borrower_id));
    }
    match (answer.decision.as_str(), answer.grade, answer.limit_fen, answer.reason) {
        ("approve", Some(grade), Some(limit), None) if !grade.is_empty() && (1..=Fen::MAX.get()).contains(&limit) => {
            Ok(())
        }
        ("refuse" | "refer", None, None, Some(reason)) => {
            check_reason(&reason).map_err(|fault| format!("it has {fault}"))
        }
        (decision, ..) => Err(format!(
            "{decision:?} is not usable: an approval has grade and limit_fen, a refusal or referral a reason, and nothing else"
        )),
    }
}
