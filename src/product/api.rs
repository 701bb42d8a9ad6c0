//! Products for their funder's system: what is on sale, checks, simulations, drafts that two people publish.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actions::{self, ProductRefusal};
use super::api_store::{self, ProductView, VersionView, WantedVersions};
use super::draft::Draft;
use super::draft_actions::{self, DraftRead, Signatory};
use super::inquiry::{Inquiry, InquiryError, Row};
use super::proof::{Proof, ProofProblem};
use super::reader::Problem as FileFault;
use super::{draft_store, file};
use crate::app::App;
use crate::audit::Person;
use crate::base::id::ProductDraftId;
use crate::base::{BusinessDay, Fen, Wanted};
use crate::error::Refusal as _;
use crate::http::Problem;
use crate::http::api::{
    AmountFen, Body, Caller, Day, FunderCaller, IfMatch, KeyText, Listed, Named, NamedWithin, Page, PageParams, Params,
    etag,
};

/// List your products by code
#[utoipa::path(get, path = "/funder/products", tag = "products", params(PageParams<Listed<ProductView, KeyText>>),
    responses((status = 200, body = Page<ProductView>)), security(("signature" = ["products:read"])))]
pub async fn list_products(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<Listed<ProductView, KeyText>>>,
) -> Result<Json<Page<ProductView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let after = params.cursor.as_ref().map(|cursor| cursor.0.0.0.as_str());
    let limit = params.limit.0;
    let rows = api_store::list_products(&mut connection, caller.funder_id, after, limit + 1).await?;
    Ok(Json(Page::of_listed(rows, limit, |product: &ProductView| product.code.clone())))
}

/// List a product's versions, the first one first
#[utoipa::path(get, path = "/funder/products/{code}/versions", tag = "products",
    params(("code" = String, Path, example = "harbour-standard"), PageParams<Listed<VersionView, i32>>),
    responses((status = 200, body = Page<VersionView>)), security(("signature" = ["products:read"])))]
pub async fn list_versions(
    State(app): State<App>,
    caller: FunderCaller,
    Named(code): Named<String>,
    Params(params): Params<PageParams<Listed<VersionView, i32>>>,
) -> Result<Json<Page<VersionView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let (after, limit) = (params.cursor.map(|cursor| cursor.0.0), params.limit.0);
    let wanted = WantedVersions { funder_id: caller.funder_id, code: &code, after };
    let rows = api_store::list_versions(&mut connection, wanted, limit + 1).await?;
    if rows.is_empty() && after.is_none() {
        return Err(Problem::not_found());
    }
    Ok(Json(Page::of_listed(rows, limit, |version: &VersionView| version.version)))
}

/// Query a version of a product
///
/// As loans, lines and events name it: by the product's code and the version's number.
#[utoipa::path(get, path = "/funder/products/{code}/versions/{version}", tag = "products",
    params(("code" = String, Path, example = "harbour-standard"), ("version" = i32, Path, example = 1)),
    responses((status = 200, body = VersionView)), security(("signature" = ["products:read"])))]
pub async fn show_version(
    State(app): State<App>,
    caller: FunderCaller,
    NamedWithin(code, version): NamedWithin<String, i32>,
) -> Result<Json<VersionView>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = WantedVersions { funder_id: caller.funder_id, code: &code, after: version.checked_sub(1) };
    let mut rows = api_store::list_versions(&mut connection, wanted, 1).await?;
    rows.pop().filter(|found| found.version == version).map(Json).ok_or_else(Problem::not_found)
}

/// A product file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductText {
    /// TOML, as `docs/PRODUCTS.md` describes it.
    #[schema(example = "code = \"harbour-standard\"\n…", max_length = 262_144)]
    pub terms_text: String,
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckResult {
    pub passed: bool,
    /// The file's faults; empty where it has none.
    #[schema(example = json!([]))]
    pub problems: Vec<FileFault>,
    /// Amounts, periods and days for which the schedules do not hold.
    #[schema(example = json!([]))]
    pub cases: Vec<ProofProblem>,
    /// What was proven; null where the check did not pass.
    pub proof: Option<Proof>,
}

/// Check a product file
///
/// Reads and proves it as publishing would; nothing is kept.
#[utoipa::path(post, path = "/funder/products/checks", tag = "products", request_body = ProductText,
    responses((status = 200, body = CheckResult)), security(("signature" = ["products:write"])),
    extensions(("x-reads-only" = json!(true))))]
pub async fn check_product(_caller: FunderCaller, Body(text): Body<ProductText>) -> Result<Json<CheckResult>, Problem> {
    let nothing = CheckResult { passed: false, problems: Vec::new(), cases: Vec::new(), proof: None };
    let result = match actions::check_apart(text.terms_text).await? {
        Ok((_, proof)) => CheckResult { passed: true, proof: Some(proof), ..nothing },
        Err(ProductRefusal::Invalid(problems)) => CheckResult { problems, ..nothing },
        Err(ProductRefusal::Unproven(cases)) => CheckResult { cases, ..nothing },
        Err(other) => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, other.code(), other.to_string())),
    };
    Ok(Json(result))
}

/// A purchase to be priced under a product file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    #[schema(example = "code = \"harbour-standard\"\n…", max_length = 262_144)]
    pub terms_text: String,
    pub amount_fen: AmountFen,
    #[schema(example = 12, minimum = 1)]
    pub periods: u16,
    #[schema(example = "A")]
    pub grade: String,
    /// The business day of the purchase.
    pub start_on: Day,
    /// The product's first if left out.
    #[schema(example = 5, minimum = 1, maximum = 28)]
    pub statement_day: Option<u8>,
    #[schema(example = 25, minimum = 1, maximum = 31)]
    pub due_day: Option<u8>,
}

/// A purchase as it would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimulationResult {
    /// One for each period.
    pub rows: Vec<Row>,
    pub total_fen: Fen,
    /// Twelve times the rate of a month, as a fraction, a guarantee charge counted as interest is; null where the payments have no rate.
    #[schema(value_type = Option<String>, example = "0.13996415")]
    pub apr_nominal: Option<Decimal>,
    /// The rate of a month compounded over twelve, likewise.
    #[schema(value_type = Option<String>, example = "0.14929417")]
    pub apr_effective: Option<Decimal>,
    pub first_statement_on: BusinessDay,
    /// What the merchant pays at clearing, of interest or a flat fee; of a guarantee charge nothing.
    pub subsidy_fen: Fen,
    /// The higher rate when the subsidy is counted as cost too.
    #[schema(value_type = Option<String>, example = "0.14929417")]
    pub apr_with_subsidy: Option<Decimal>,
    /// The compounded rate of a year on the real dates, actual days over 365.
    #[schema(value_type = Option<String>, example = "0.14918826")]
    pub apr_by_date: Option<Decimal>,
}

/// Simulate a purchase
///
/// The whole schedule, its true yearly cost with guarantee charges, and how each row was computed; nothing is kept.
#[utoipa::path(post, path = "/funder/products/simulations", tag = "products", request_body = Simulation,
    responses((status = 200, body = SimulationResult)),
    security(("signature" = ["products:write"])),
    extensions(("x-reads-only" = json!(true)), ("x-problems" = json!([
        "product_invalid", "amount_out_of_bounds", "grade_not_allowed", "periods_not_sold", "schedule_impossible",
        "simulation_malformed"
    ]))))]
pub async fn simulate(_caller: FunderCaller, Body(asked): Body<Simulation>) -> Result<Json<SimulationResult>, Problem> {
    let terms = file::parse(&asked.terms_text).map_err(|problems| {
        let refusal = ProductRefusal::Invalid(problems);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code(), refusal.to_string())
    })?;
    let inquiry = Inquiry {
        principal_fen: Some(asked.amount_fen.0.get()),
        periods: Some(asked.periods.into()),
        start: Some(asked.start_on.0),
        grade: Some(asked.grade),
        statement_day: asked.statement_day,
        due_day: asked.due_day,
        ..Inquiry::default()
    };
    let mut answer = inquiry.answer(Some(&terms)).map_err(|error| {
        let code = match &error {
            InquiryError::Quote(refusal) => refusal.code(),
            InquiryError::Schedule(_) => "schedule_impossible",
            InquiryError::Missing(_) | InquiryError::Misplaced { .. } | InquiryError::Word { .. } => {
                "simulation_malformed"
            }
        };
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string())
    })?;
    answer.add_detail();
    let without = || anyhow::anyhow!("what was asked under a product was answered without it");
    let purchase = answer.purchase.ok_or_else(without)?;
    Ok(Json(SimulationResult {
        rows: answer.rows,
        total_fen: answer.total_fen,
        apr_nominal: answer.apr_nominal,
        apr_effective: answer.apr_effective,
        first_statement_on: purchase.first_statement_on,
        subsidy_fen: purchase.subsidy_fen,
        apr_with_subsidy: purchase.apr_with_subsidy,
        apr_by_date: answer.apr_by_date,
    }))
}

fn signatory(caller: FunderCaller) -> Signatory {
    let idempotency_key = caller.caller.key().to_owned();
    let Caller { known, holder, attempt, .. } = caller.caller;
    Signatory { funder_id: caller.funder_id, partner_id: known.partner_id, holder, idempotency_key, attempt }
}

fn tagged(draft: Draft) -> impl IntoResponse + use<> {
    ([(header::ETAG, etag(draft.edit_no))], Json(draft))
}

/// Submit a draft
///
/// It is read and proven first; a file that does not hold is refused.
#[utoipa::path(post, path = "/funder/product-drafts", tag = "products", request_body = ProductText,
    responses((status = 201, body = Draft,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["products:write"])),
    extensions(("x-problems" = json!(["product_invalid", "product_unproven", "product_of_other_funder"]))))]
pub async fn submit_draft(
    State(app): State<App>,
    caller: FunderCaller,
    Body(text): Body<ProductText>,
) -> Result<impl IntoResponse, Problem> {
    let by = signatory(caller);
    let draft = draft_actions::submit(&app.by(Person::key_holder(&by.holder)), &by, text.terms_text).await?;
    Ok((StatusCode::CREATED, tagged(draft)))
}

/// List drafts, the oldest first
#[utoipa::path(get, path = "/funder/product-drafts", tag = "products", params(PageParams<ProductDraftId>),
    responses((status = 200, body = Page<Draft>)), security(("signature" = ["products:read"])))]
pub async fn list_drafts(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<ProductDraftId>>,
) -> Result<Json<Page<Draft>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = Wanted::After(params.cursor.map(|cursor| cursor.0));
    let limit = params.limit.0;
    let rows = draft_store::list_drafts(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |draft: &Draft| draft.draft_id)))
}

/// Query a draft
#[utoipa::path(get, path = "/funder/product-drafts/{draft_id}", tag = "products",
    params(("draft_id" = ProductDraftId, Path)),
    responses((status = 200, body = Draft,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["products:read"])))]
pub async fn show_draft(
    State(app): State<App>,
    caller: FunderCaller,
    Named(draft_id): Named<ProductDraftId>,
) -> Result<impl IntoResponse, Problem> {
    let mut connection = app.pool.acquire().await?;
    let mut rows = draft_store::list_drafts(&mut connection, caller.funder_id, Wanted::One(draft_id), 1).await?;
    rows.pop().map(tagged).ok_or_else(Problem::not_found)
}

/// Edit a draft that was not approved yet
#[utoipa::path(put, path = "/funder/product-drafts/{draft_id}", tag = "products", request_body = ProductText,
    params(("draft_id" = ProductDraftId, Path),
        ("If-Match" = String, Header, description = "The ETag that was read.", example = "\"1\"")),
    responses((status = 200, body = Draft,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["products:write"])),
    extensions(("x-problems" = json!([
        "product_invalid", "product_unproven", "product_of_other_funder", "draft_approved_before"
    ]))))]
pub async fn edit_draft(
    State(app): State<App>,
    caller: FunderCaller,
    Named(draft_id): Named<ProductDraftId>,
    if_match: IfMatch,
    Body(text): Body<ProductText>,
) -> Result<impl IntoResponse, Problem> {
    let read = DraftRead { draft_id, edit_no: if_match.number()? };
    let by = signatory(caller);
    let app = app.by(Person::key_holder(&by.holder));
    Ok(tagged(draft_actions::edit(&app, &by, read, text.terms_text).await?))
}

/// Approve a draft by a second key
///
/// The key's holder must be another than the submitter.
#[utoipa::path(post, path = "/funder/product-drafts/{draft_id}/approval", tag = "products",
    params(("draft_id" = ProductDraftId, Path),
        ("If-Match" = String, Header, description = "The ETag that was read.", example = "\"1\"")),
    responses((status = 200, body = Draft,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["products:approve"])),
    extensions(("x-problems" = json!(["same_holder"]))))]
pub async fn approve_draft(
    State(app): State<App>,
    caller: FunderCaller,
    Named(draft_id): Named<ProductDraftId>,
    if_match: IfMatch,
) -> Result<impl IntoResponse, Problem> {
    let read = DraftRead { draft_id, edit_no: if_match.number()? };
    let by = signatory(caller);
    Ok(tagged(draft_actions::approve(&app.by(Person::key_holder(&by.holder)), &by, read).await?))
}

/// Publish an approved draft
///
/// It becomes the product's next version; the one before goes off sale, and loans keep theirs.
#[utoipa::path(post, path = "/funder/product-drafts/{draft_id}/publication", tag = "products",
    params(("draft_id" = ProductDraftId, Path)),
    responses((status = 200, body = Draft,
        headers(("ETag" = String, description = "The version that `If-Match` of a change names.")))),
    security(("signature" = ["products:approve"])),
    extensions(("x-problems" = json!([
        "draft_not_approved", "product_invalid", "product_unproven", "product_code_taken",
        "product_text_withdrawn", "product_valid_later", "product_expired"
    ]))))]
pub async fn publish_draft(
    State(app): State<App>,
    caller: FunderCaller,
    Named(draft_id): Named<ProductDraftId>,
) -> Result<impl IntoResponse, Problem> {
    let by = signatory(caller);
    Ok(tagged(draft_actions::publish(&app.by(Person::key_holder(&by.holder)), &by, draft_id).await?))
}
