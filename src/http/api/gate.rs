//! The gate before every operation of the partner API. In this order: refuses an address that failed too often, reads the body, checks
//! signature, nonce, rate and scope, takes the idempotency key or repeats the answer that was given under it, runs the handler, signs the
//! answer, and records the call. Start with [`gate`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::PREFIX;
use super::answer::{denied_response, finish_problem, signed, whole, with_rate};
use super::arrived::Arrived;
use super::caller::Caller;
use super::document::{Operation, Operations};
use super::idempotency::{self, AnswerKept, Claim, KeyState};
use crate::access::{Admitted, Believed, Denial, address};
use crate::app::{App, Shared};
use crate::error::{Attempt, Fault, Outcome, Refusal as _};
use crate::http::header::sole;
use crate::http::health::Door;
use crate::http::limits::{REQUEST_TIME_MAX, ThisRequest, drop_rest, known_method, read_body, recover};
use crate::http::problem::FieldProblem;
use crate::http::{Problem, client_address};
use crate::partner::call_record::Ended;
use crate::partner::signature::Received;

/// A little shorter than the limit for every request, so that a call that takes too long is still answered, signed and logged here.
const ANSWER_TIME_MAX: Duration = REQUEST_TIME_MAX.saturating_sub(Duration::from_secs(2));
/// How much longer an answer may take to be signed and logged, still within the limit for every request.
const SIGNING_TIME_MAX: Duration = Duration::from_secs(1);

/// What the gate needs: the app, and what the OpenAPI document says of each operation.
#[derive(Clone)]
pub struct Gate {
    pub app: Shared,
    pub operations: Arc<Operations>,
    pub door: Door,
    /// How long a caller waits for the answer, counted from the arrival of the request.
    pub patience: Duration,
}

impl Gate {
    pub fn new(app: App, operations: impl Into<Arc<Operations>>) -> Gate {
        let door = Door::of(&app);
        Gate { app: Shared::new(app), operations: operations.into(), door, patience: ANSWER_TIME_MAX }
    }
}

/// A request that was let in, on its way to its answer.
pub struct Call {
    pub gate: Gate,
    pub arrived: Arrived,
    pub admitted: Admitted,
}

/// Whose call is recorded in the call log.
#[derive(Clone, Copy, Debug)]
pub enum CalledBy<'a> {
    Partner(&'a str),
    /// A caller that could not be authenticated, and why. Its request is not kept, so that strangers can neither fill the log nor appear in
    /// it under somebody else's objects.
    Nobody {
        why: &'static str,
    },
}

pub async fn gate(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let address = client_address(&gate.app, &parts).unwrap_or(address::NOWHERE);
    if let Err(denied) = gate.app.access.look(address, authorization_of(&parts.headers)).await {
        // The body is not read and the call is not recorded: an address that failed so often must cost us nothing more.
        return finish_problem(denied_response(denied), &request_id(&parts));
    }
    match arrive(&gate, Request::from_parts(parts, body)).await {
        Ok((arrived, request)) => handle_in_time(gate, arrived, request, next).await,
        Err((arrived, problem)) => {
            gate.app.access.count_failure(address, authorization_of(&arrived.headers));
            let why = problem.code;
            let told = match gate.app.access.check_not_blocked(address, None) {
                Ok(()) => problem.into_response(),
                Err(waits) => denied_response(Fault::Refused(waits)),
            };
            let response = finish_problem(told, &arrived.request_id);
            write_down(&gate.app, &arrived, CalledBy::Nobody { why }, response).await
        }
    }
}

/// Handles a request in a task of its own. Whatever becomes of that task, the caller gets an answer in the API's form; one that could not
/// be authenticated in time gets it without a signature, while its request runs on.
async fn handle_in_time(gate: Gate, arrived: Arrived, request: Request, next: Next) -> Response {
    let request_id = arrived.request_id.clone();
    let patience = (gate.patience + SIGNING_TIME_MAX).saturating_sub(arrived.started.elapsed());
    let handled = tokio::time::timeout(patience, run_in_own_task(handle(gate, arrived, request, next))).await;
    finish_problem(handled.unwrap_or_else(|_| Problem::timed_out().into_response()), &request_id)
}

/// Handles a request whose body has been read: admits it or turns it away, signs the answer and records the call.
async fn handle(gate: Gate, arrived: Arrived, request: Request, next: Next) -> Response {
    let admitted = match admit(&gate, &arrived).await {
        Ok(admitted) => admitted,
        Err(denied) => return turn_away(&gate.app, &arrived, denied).await,
    };
    let call = Arc::new(Call { gate, arrived, admitted });
    let response = answer_in_time(&call, request, next).await;
    let response = sign_answer(&call, response).await;
    let Call { gate, arrived, admitted } = &*call;
    write_down(&gate.app, arrived, CalledBy::Partner(&admitted.known.code), response).await
}

/// Answers in a task of its own, which runs to its end even if the caller hangs up. Otherwise it would be dropped half-way with the
/// connection: an idempotency key would stay taken without an answer, or work would be done without its answer being kept, and would be
/// done again on a retry.
pub async fn run_in_own_task(answering: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(answering.in_current_span()).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call was not answered");
        Problem::failed().into_response()
    })
}

/// The answer with our signature. If the answer's body cannot be read to its end, or not in time, a problem is signed instead; if we
/// cannot sign at all, the problem goes out without a signature.
async fn sign_answer(call: &Call, response: Response) -> Response {
    let Call { gate, arrived, admitted } = call;
    let told = |problem: Problem| {
        let response = finish_problem(problem.into_response(), &arrived.request_id);
        with_rate(response, admitted.rate)
    };
    let patience = gate.patience.saturating_sub(arrived.started.elapsed());
    let signing = signed(&gate.app, response, admitted.algorithm, &arrived.method);
    let problem = match tokio::time::timeout(patience, signing).await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(problem)) => problem,
        Err(_) => Problem::timed_out(),
    };
    // A problem is short, so that signing it takes no time.
    let signing = signed(&gate.app, told(problem), admitted.algorithm, &arrived.method);
    signing.await.unwrap_or_else(told)
}

async fn admit(gate: &Gate, arrived: &Arrived) -> Outcome<Admitted, Denial> {
    let received = Received {
        method: arrived.method.as_str(),
        url: &arrived.url,
        authorization: authorization_of(&arrived.headers),
        body: &arrived.body,
    };
    let requested = || {
        let sound = arrived.operation.filter(|operation| find_unread_input(*operation, arrived).is_none());
        sound.and_then(|operation| idempotency::requested_key(operation, arrived))
    };
    gate.app.access.admit(received, arrived.address, requested).await
}

/// Answers why a request is not let in. The answer is signed only if the request's own signature was right: signing costs more than
/// sending a request, so strangers must not be able to make us sign.
async fn turn_away(app: &App, arrived: &Arrived, denied: Fault<Denial>) -> Response {
    let believed = match &denied {
        Fault::Refused(denial) => denial.believed().cloned(),
        Fault::Failed(_) => None,
    };
    let why = code_of(&denied);
    let told = denied.map_refusal(|denial| app.access.refusal_to_show(denial, arrived.address));
    let response = finish_problem(denied_response(told), &arrived.request_id);
    let Some(Believed { partner, algorithm }) = believed else {
        return write_down(app, arrived, CalledBy::Nobody { why }, response).await;
    };
    let response = match signed(app, response, algorithm, &arrived.method).await {
        Ok(response) => response,
        Err(problem) => finish_problem(problem.into_response(), &arrived.request_id),
    };
    write_down(app, arrived, CalledBy::Partner(&partner), response).await
}

/// Reads a request's body; returns what the gate knows of the request, and the request as it goes on to the handler.
///
/// # Errors
/// The body is too large or did not arrive in time: the request without its body, and the problem.
pub async fn arrive(gate: &Gate, request: Request) -> Result<(Arrived, Request), (Arrived, Problem)> {
    let app = &gate.app;
    let (started, called_at) = (Instant::now(), app.clock.now());
    let (parts, body) = request.into_parts();
    let mut pieces = body.into_data_stream();
    let read = tokio::time::timeout(gate.patience, read_body(&mut pieces)).await;
    let read = read.map_err(|_| Problem::timed_out()).and_then(|read| read.ok_or_else(Problem::body_too_large));
    if read.is_err() {
        drop_rest(&mut pieces, gate.patience.saturating_sub(started.elapsed())).await;
    }
    let route = parts.extensions.get::<MatchedPath>().map_or(String::new(), |path| path.as_str().to_owned());
    let arrived = Arrived {
        method: parts.method.clone(),
        url: original_url(&parts),
        operation: gate.operations.find(&parts.method, &route),
        route,
        headers: parts.headers.clone(),
        address: client_address(app, &parts).unwrap_or(address::NOWHERE),
        request_id: request_id(&parts),
        body: read.as_ref().ok().cloned().unwrap_or_default(),
        started,
        called_at,
    };
    match read {
        Ok(body) => Ok((arrived, Request::from_parts(parts, Body::from(body)))),
        Err(problem) => Err((arrived, problem)),
    }
}

/// The answer to a request that was admitted, with rate limit headers. If it takes too long, the caller gets `timed_out`; a request that
/// changes something still runs on, and its answer can be fetched by the same idempotency key.
pub async fn answer_in_time(call: &Arc<Call>, request: Request, next: Next) -> Response {
    let mut answering = Box::pin(answer(call.clone(), request, next));
    let patience = call.gate.patience.saturating_sub(call.arrived.started.elapsed());
    let response = match tokio::time::timeout(patience, &mut answering).await {
        Ok(response) => response,
        Err(_) => {
            if call.arrived.operation.is_some_and(|operation| !operation.is_reading) {
                tokio::spawn(answering.in_current_span());
            }
            Problem::timed_out().into_response()
        }
    };
    check_listed(call, &response);
    let response = finish_problem(response, &call.arrived.request_id);
    with_rate(response, call.admitted.rate)
}

/// Records the call with its answer in the call log, and returns the answer.
pub async fn write_down(app: &App, arrived: &Arrived, by: CalledBy<'_>, response: Response) -> Response {
    let (response, answered) = whole(response).await;
    let (partner, outcome, objects, (request_body, response_body)) = match by {
        CalledBy::Partner(partner) => {
            (partner, outcome_of(response.status()), arrived.objects(), (&arrived.body[..], &answered[..]))
        }
        CalledBy::Nobody { why } => ("(not believed)", why, vec![arrived.request_id.clone()], Default::default()),
    };
    let route = arrived.route.strip_prefix(PREFIX).unwrap_or("?");
    app.partners
        .record(&Ended {
            partner,
            direction: "in",
            operation: &format!("{} {route}", known_method(&arrived.method)),
            call_key: objects.first().map_or("", String::as_str),
            also: &objects,
            request: request_body,
            response: response_body,
            outcome,
            http_status: Some(response.status().as_u16()),
            duration: arrived.started.elapsed(),
            called_at: arrived.called_at,
        })
        .await;
    response
}

fn authorization_of(headers: &HeaderMap) -> Option<&str> {
    sole(headers, header::AUTHORIZATION).and_then(|value| value.to_str().ok())
}

fn request_id(parts: &axum::http::request::Parts) -> String {
    parts.extensions.get::<ThisRequest>().map_or(String::new(), |this| this.0.clone())
}

fn original_url(parts: &axum::http::request::Parts) -> String {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()
}

fn outcome_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        500.. => "failed",
        400..=499 => "refused",
        _ => "ok",
    }
}

fn code_of(denied: &Fault<Denial>) -> &'static str {
    match denied {
        Fault::Refused(denial) => denial.code(),
        Fault::Failed(_) => "failed",
    }
}

/// The operation's answer, or the one that was given before under the same idempotency key. Checks on the way: that the operation exists,
/// its scope, that it reads all of the input, and the idempotency key.
async fn answer(call: Arc<Call>, mut request: Request, next: Next) -> Response {
    let Call { gate, arrived, admitted } = &*call;
    let Some(operation) = arrived.operation else {
        // An authenticated caller may learn that. The router is not asked: what is not in the document is not served, such as HEAD, which
        // the router would serve by itself.
        return gate.operations.refuse(&arrived.route);
    };
    if let Some(scope) = operation.scope
        && !admitted.known.scopes.contains(&scope)
    {
        let detail = format!("This operation needs the scope {scope}, which was not granted to you.");
        return Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail).into_response();
    }
    if let Some(problem) = find_unread_input(operation, arrived) {
        return problem.into_response();
    }
    if operation.is_reading {
        request.extensions_mut().insert(Caller::new(admitted, None, Attempt::First));
        return run(gate, next, request).await;
    }
    let (claim, state) = match admitted.taken.clone() {
        Some((keyed, attempt)) => (Claim::of(keyed), Ok(KeyState::Unanswered(attempt))),
        None => {
            let key = match idempotency::key_of(&arrived.headers) {
                Ok(key) => key,
                Err(problem) => return problem.into_response(),
            };
            let claim = Claim::new(admitted.known.partner_id, key, arrived);
            let state = claim.take_or_find(&gate.app).await;
            (claim, state)
        }
    };
    let attempt = match state {
        Ok(KeyState::Unanswered(attempt)) => attempt,
        Ok(KeyState::Answered(kept)) => return idempotency::replayed_response(kept),
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(Caller::new(admitted, Some(claim.keyed().clone()), attempt));
    let mut response = claim.hold(&gate.app, run(gate, next, request)).await;
    if response.extensions_mut().remove::<AnswerKept>().is_some() {
        return response;
    }
    check_listed(&call, &response);
    let response = finish_problem(response, &arrived.request_id);
    let (response, body) = whole(response).await;
    if idempotency::is_kept(response.status()) {
        claim.keep(&gate.app, idempotency::kept_of(&response, &body)).await;
    } else {
        claim.release(&gate.app, response.status()).await;
    }
    response
}

/// The problem with a body or a parameter that the operation does not read; `None` if there is none. Such input is refused, not ignored:
/// otherwise a void that is sent with an amount, for example, would void the whole purchase.
fn find_unread_input(operation: Operation, arrived: &Arrived) -> Option<Problem> {
    if !operation.takes_body && !arrived.body.is_empty() {
        let detail = "This operation takes no request body, but one was sent; leave it out.";
        return Some(Problem::new(StatusCode::BAD_REQUEST, "body_not_taken", detail));
    }
    let query = arrived.url.split_once('?').map_or("", |(_, query)| query);
    let (name, _) = form_urlencoded::parse(query.as_bytes()).next().filter(|_| !operation.takes_parameters)?;
    let detail = "this operation takes no query parameter".to_owned();
    let problem = FieldProblem { pointer: name.into_owned(), code: "unknown_parameter", detail };
    Some(Problem::of_field(StatusCode::BAD_REQUEST, problem))
}

/// Runs the handler, if the house is open. A panic becomes a 500 like any other failure, so that it is signed and recorded and its
/// idempotency key released.
async fn run(gate: &Gate, next: Next, request: Request) -> Response {
    if let Err(problem) = gate.door.try_open().await {
        return problem.into_response();
    }
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(recover)
}

/// Checks that the document lists the answered problem code for this operation.
fn check_listed(call: &Call, response: &Response) {
    let Arrived { method, route, operation, .. } = &call.arrived;
    let Some(problem) = response.extensions().get::<Problem>() else { return };
    if operation.is_some() && !call.gate.operations.lists(method, route, problem.code) {
        tracing::error!(code = problem.code, %method, route, "a problem's code is not listed for its operation");
        debug_assert!(false, "{method} {route} answers {}, which is not listed for it", problem.code);
    }
}
