//! Lines and applications for a funder's core, and late answers of the risk partner.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::api_store::{self, ApplicationView, LineEntryView, LineView, WantedApplications};
use super::late_actions::{self, LateAnswer};
use super::model::ApplicationStatus;
use super::verdict::Verdict;
use super::word::Said;
use super::word_actions::{self, FunderDecision};
use crate::app::App;
use crate::base::Wanted;
use crate::base::id::{ApplicationId, BorrowerId, FunderId, LineId};
use crate::base::typed::is_one_line;
use crate::http::Problem;
use crate::http::api::{
    AmountFen, Body, Caller, Cursor, FunderCaller, Limit, Listed, Named, Page, PageParams, Params, word,
};
use crate::partner::risk::is_reason;

/// A reason is kept for the record and read by people: some sentences.
const REASON_CHARS_MAX: usize = 500;

/// List your credit lines, the oldest first
#[utoipa::path(get, path = "/funder/lines", tag = "funder", params(PageParams<LineId>),
    responses((status = 200, description = "A page of your credit lines.", body = Page<LineView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_lines(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<LineId>>,
) -> Result<Json<Page<LineView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = Wanted::After(params.cursor.map(|cursor| cursor.0));
    let limit = params.limit.0;
    let rows = api_store::list_lines(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |line: &LineView| line.line_id)))
}

/// Query a credit line
#[utoipa::path(get, path = "/funder/lines/{line_id}", tag = "funder", params(("line_id" = LineId, Path)),
    responses((status = 200, description = "The credit line.", body = LineView)), security(("signature" = ["loans:read"])))]
pub async fn show_line(
    State(app): State<App>,
    caller: FunderCaller,
    Named(line_id): Named<LineId>,
) -> Result<Json<LineView>, Problem> {
    find_line(&app, caller.funder_id, line_id).await.map(Json)
}

async fn find_line(app: &App, funder_id: FunderId, line_id: LineId) -> Result<LineView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = api_store::list_lines(&mut connection, funder_id, Wanted::One(line_id), 1).await?;
    rows.pop().ok_or_else(Problem::not_found)
}

/// List the journal of a credit line, the oldest entry first
///
/// Every change of the line's limit, used amount or status, with the amounts after it.
#[utoipa::path(get, path = "/funder/lines/{line_id}/entries", tag = "funder",
    params(("line_id" = LineId, Path), PageParams<Listed<LineEntryView, i64>>),
    responses((status = 200, description = "A page of the credit line's journal.", body = Page<LineEntryView>)),
    security(("signature" = ["loans:read"])))]
pub async fn list_line_entries(
    State(app): State<App>,
    caller: FunderCaller,
    Named(line_id): Named<LineId>,
    Params(params): Params<PageParams<Listed<LineEntryView, i64>>>,
) -> Result<Json<Page<LineEntryView>>, Problem> {
    find_line(&app, caller.funder_id, line_id).await?;
    let mut connection = app.pool.acquire().await?;
    let after = params.cursor.map(|cursor| cursor.0.0);
    let limit = params.limit.0;
    let rows = api_store::list_line_entries(&mut connection, line_id, after, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |entry: &LineEntryView| entry.entry_no)))
}

/// Which applications.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplicationParams {
    /// Only applications with this status.
    #[param(inline)]
    status: Option<ApplicationStatus>,
    /// Most rows in a page, from 1 to 200; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// `next_cursor` of the page before; left out for the first page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<ApplicationId>>,
}

/// List applications for your products, the oldest first
#[utoipa::path(get, path = "/funder/applications", tag = "funder", params(ApplicationParams),
    responses((status = 200, description = "A page of applications for your products.", body = Page<ApplicationView>)),
    security(("signature" = ["applications:read"])))]
pub async fn list_applications(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<ApplicationParams>,
) -> Result<Json<Page<ApplicationView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted =
        WantedApplications { application_id: None, status: params.status, after: params.cursor.map(|cursor| cursor.0) };
    let limit = params.limit.0;
    let rows = api_store::list_applications(&mut connection, caller.funder_id, &wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |application: &ApplicationView| application.application_id)))
}

/// Query an application
#[utoipa::path(get, path = "/funder/applications/{application_id}", tag = "funder",
    params(("application_id" = ApplicationId, Path)),
    responses((status = 200, description = "The application.", body = ApplicationView)), security(("signature" = ["applications:read"])))]
pub async fn show_application(
    State(app): State<App>,
    caller: FunderCaller,
    Named(application_id): Named<ApplicationId>,
) -> Result<Json<ApplicationView>, Problem> {
    find_application(&app, caller.funder_id, application_id).await.map(Json)
}

async fn find_application(app: &App, funder_id: FunderId, id: ApplicationId) -> Result<ApplicationView, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedApplications { application_id: Some(id), ..Default::default() };
    let mut rows = api_store::list_applications(&mut connection, funder_id, &wanted, 1).await?;
    rows.pop().ok_or_else(Problem::not_found)
}

/// A funder's decision on an application.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Approve,
    Refuse,
}

/// A funder's decision on an application that is `with_funder` or `referred`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FunderDecision, example = json!({
    "decision": "approve", "grade": "A", "limit_fen": 1_500_000, "reason": "Papers checked" }))]
pub struct DecisionBody {
    #[serde(deserialize_with = "word")]
    pub decision: Word,
    /// Approving a `referred` application: required, one of the product's grades. Approving one that is `with_funder`: leave it out, or repeat
    /// the proposed grade. Refusing: leave it out.
    #[schema(example = "A", max_length = 16)]
    pub grade: Option<String>,
    /// Credit limit, in fen. Approving a `referred` application: required, within the product's bounds and not above `limit_requested_fen`.
    /// Approving one that is `with_funder`: at most `proposed_limit_fen`, which applies if it is left out. Refusing: leave it out.
    pub limit_fen: Option<AmountFen>,
    /// Refusing: required, the code by which the applicant is told why, in lower-case letters and `_`. Approving: leave it out.
    #[schema(example = "income_not_proven", max_length = 64)]
    pub code: Option<String>,
    /// Why it was decided so, for the record: 1 to 500 characters on one line.
    #[schema(example = "Papers checked", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Decide an application
///
/// Approves or refuses an application that waits for your final decision (`with_funder`) or for a person's review (`referred`). An approval
/// opens the credit line; if the borrower has another line with you by then, or owes again on a closed one, the application is refused with
/// `line_open`. The same decision again changes nothing; a different one is refused with `application_not_referred`. After `answer_by` the
/// product's default decision applies, and yours is refused with `decision_too_late`.
#[utoipa::path(post, path = "/funder/applications/{application_id}/decision", tag = "funder",
    request_body = DecisionBody, params(("application_id" = ApplicationId, Path)),
    responses((status = 200, description = "The application after your decision.", body = ApplicationView)),
    security(("signature" = ["applications:decide"])),
    extensions(("x-problems" = json!([
        "decision_malformed", "application_not_referred", "grade_unknown", "limit_out_of_bounds",
        "limit_above_proposal", "grade_differs", "decision_too_late"
    ]))))]
pub async fn decide_application(
    State(app): State<App>,
    caller: FunderCaller,
    Named(application_id): Named<ApplicationId>,
    Body(decision): Body<DecisionBody>,
) -> Result<Json<ApplicationView>, Problem> {
    let application = find_application(&app, caller.funder_id, application_id).await?;
    let said = match (decision.decision, decision.grade, decision.limit_fen, decision.code) {
        (Word::Approve, grade, limit, None) => Said::Approve { grade, limit: limit.map(|limit| limit.0) },
        (Word::Refuse, None, None, Some(code)) if is_reason(&code) => Said::Refuse { code },
        _ => {
            return Err(malformed(
                "an approval takes no code; a refusal needs a code in lower-case letters, and no grade or limit_fen",
            ));
        }
    };
    let reason = decision.reason.trim();
    // People read it beside the decision, also in a terminal.
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) || !is_one_line(reason) {
        return Err(malformed("a reason has 1 to 500 characters on one line"));
    }
    let by = FunderDecision {
        borrower_id: application.borrower_id,
        application_id,
        name: format!("{}: {}", caller.caller.known.code, caller.caller.holder),
        reason: reason.to_owned(),
        said,
    };
    word_actions::decide_as_funder(&app, by).await?;
    find_application(&app, caller.funder_id, application_id).await.map(Json)
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "decision_malformed", detail)
}

/// A risk partner's decision on an application; `refer` passes it to a person.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateWord {
    Approve,
    Refuse,
    Refer,
}

/// A risk partner's answer about an application, sent after the time limit of the request to decide.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "application_id": "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172", "borrower_id": "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506173",
    "decision": "approve", "grade": "B", "limit_fen": 600_000, "score": 591 }))]
pub struct LateDecision {
    /// `application_id` of the request to decide.
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub application_id: Uuid,
    /// `borrower_id` of the request to decide.
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub borrower_id: Uuid,
    #[serde(deserialize_with = "word")]
    pub decision: LateWord,
    /// One of the product's grades, which sets the price; required with `approve`, and not allowed otherwise.
    #[schema(example = "B", max_length = 16)]
    pub grade: Option<String>,
    /// Credit limit, in fen; required with `approve`, and not allowed otherwise.
    pub limit_fen: Option<AmountFen>,
    /// Why it is refused or referred, as a code of 1 to 64 lower-case letters and `_`; required with `refuse` and `refer`, and not allowed with
    /// `approve`.
    #[schema(example = "score_too_low", max_length = 64)]
    pub reason: Option<String>,
    /// Your score of the applicant, for the record; may be left out.
    #[schema(example = 591)]
    pub score: Option<i32>,
}

/// The application's status after the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct LateResult {
    #[schema(example = "0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172")]
    pub application_id: Uuid,
    /// `approved`, `refused`, `referred` (a person decides), or `with_funder` (the funder decides finally).
    #[schema(example = "approved")]
    pub status: &'static str,
}

/// Send a late decision on an application
///
/// For a decision that you could not give within the time limit of the request to decide. It counts as long as nobody else has decided;
/// afterwards it is refused with `application_not_referred`. Only applications that were put to you can be answered
/// (`application_unknown`). The same answer again changes nothing.
#[utoipa::path(post, path = "/risk/decisions", tag = "risk", request_body = LateDecision,
    responses((status = 200, description = "Your decision counts; `status` is the application's status after it.", body = LateResult)),
    security(("signature" = ["decisions:write"])),
    extensions(("x-problems" = json!(["decision_malformed", "application_unknown", "application_not_referred"]))))]
pub async fn decide_late(
    State(app): State<App>,
    caller: Caller,
    Body(late): Body<LateDecision>,
) -> Result<Json<LateResult>, Problem> {
    let application_id = late.application_id;
    let verdict = match (late.decision, late.grade, late.limit_fen, late.reason) {
        (LateWord::Approve, Some(grade), Some(limit), None) => {
            Verdict::Approve { grade, limit: limit.0, score: late.score }
        }
        (LateWord::Refuse, None, None, Some(reason)) if is_reason(&reason) => {
            Verdict::Refuse { reason, score: late.score }
        }
        (LateWord::Refer, None, None, Some(reason)) if is_reason(&reason) => Verdict::Refer { reason },
        _ => {
            return Err(malformed(
                "an approval needs grade and limit_fen and no reason; any other decision needs only a reason in lower-case letters",
            ));
        }
    };
    let answer = LateAnswer {
        partner: caller.known.code.clone(),
        borrower_id: BorrowerId::from_uuid(late.borrower_id),
        application_id: ApplicationId::from_uuid(application_id),
        verdict,
    };
    let applied = late_actions::take_late_answer(&app, answer).await?;
    Ok(Json(LateResult { application_id, status: applied.state.status().name() }))
}
