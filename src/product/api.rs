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
use crate::business_day;
use crate::error::Refusal as _;
use crate::http::Problem;
use crate::http::api::{
    AmountFen, Body, Caller, Day, FunderCaller, IfMatch, KeyText, Listed, Named, NamedWithin, Page, PageParams, Params,
    etag, limit_by_bytes,
};

/// List your products, in the order of their codes
#[utoipa::path(get, path = "/funder/products", tag = "products", params(PageParams<Listed<ProductView, KeyText>>),
    responses((status = 200, description = "A page of your products.", body = Page<ProductView>)),
    security(("signature" = ["products:read"])))]
pub async fn list_products(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<Listed<ProductView, KeyText>>>,
) -> Result<Json<Page<ProductView>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let after = params.cursor.as_ref().map(|cursor| cursor.0.0.0.as_str());
    let limit = params.limit.0;
    let mut rows = api_store::list_products(&mut connection, caller.funder_id, after, limit + 1).await?;
    let today = business_day::store::find_today(&mut connection).await?;
    for product in &mut rows {
        let (Some(version), Some(today)) = (product.version_on_sale, today) else { continue };
        let found = app.catalogue.get(&mut connection, product.product_id, version).await?;
        product.version_on_sale = Some(version).filter(|_| found.terms.is_valid_on(today));
    }
    Ok(Json(Page::of_listed(rows, limit, |product: &ProductView| product.code.clone())))
}

/// List the published versions of a product, the first version first
#[utoipa::path(get, path = "/funder/products/{code}/versions", tag = "products",
    params(("code" = String, Path, description = "The product's code.", example = "harbour-standard"), PageParams<Listed<VersionView, i32>>),
    responses((status = 200, description = "A page of the published versions of the product.", body = Page<VersionView>)),
    security(("signature" = ["products:read"])))]
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
    let limit = limit_by_bytes(&rows, limit);
    Ok(Json(Page::of_listed(rows, limit, |version: &VersionView| version.version)))
}

/// Query a version of a product
///
/// Answers with the terms as they were published; they never change. Loans and credit lines name the version under which they were made.
#[utoipa::path(get, path = "/funder/products/{code}/versions/{version}", tag = "products",
    params(("code" = String, Path, description = "The product's code.", example = "harbour-standard"), ("version" = i32, Path, description = "The version's number.", example = 1)),
    responses((status = 200, description = "The version, with its terms as published.", body = VersionView)),
    security(("signature" = ["products:read"])))]
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

/// The text of a product file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductText {
    /// The whole product file, in TOML as `docs/PRODUCTS.md` describes it; at most 256 KiB.
    #[schema(example = "code = \"harbour-standard\"\n…", max_length = 262_144)]
    pub terms_text: String,
}

/// The result of a check.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckResult {
    /// Whether the file could be submitted and published.
    pub passed: bool,
    /// Errors in the file; empty if it has none.
    #[schema(example = json!([]))]
    pub problems: Vec<FileFault>,
    /// Cases (amount, number of installments, grade, day) whose repayment schedule fails the checks; empty if there are none.
    #[schema(example = json!([]))]
    pub cases: Vec<ProofProblem>,
    /// What was checked, with the highest rates found; null if the check did not pass.
    pub proof: Option<Proof>,
}

/// Check a product file without saving it
///
/// Makes the same checks as publishing: the file is read, and the repayment schedules of all its plans and grades are computed for many amounts
/// and days. A file that fails is answered with 200 and `passed` false. It needs no `Idempotency-Key`.
#[utoipa::path(post, path = "/funder/products/checks", tag = "products", request_body = ProductText,
    responses((status = 200, description = "The result of the check, whether the file passed or not.", body = CheckResult)),
    security(("signature" = ["products:write"])),
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

/// A purchase whose repayment schedule is simulated under a product file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// The whole product file, in TOML as `docs/PRODUCTS.md` describes it; at most 256 KiB.
    #[schema(example = "code = \"harbour-standard\"\n…", max_length = 262_144)]
    pub terms_text: String,
    /// Amount of the purchase, in fen.
    pub amount_fen: AmountFen,
    /// Number of installments, one that the product offers.
    #[schema(example = 12, minimum = 1)]
    pub periods: u16,
    /// The borrower's grade, one that the product offers.
    #[schema(example = "A")]
    pub grade: String,
    /// The business day of the purchase.
    pub start_on: Day,
    /// Day of the month on which bills are issued, 1 to 28; the product's first statement day if left out.
    #[schema(example = 5, minimum = 1, maximum = 28)]
    pub statement_day: Option<u8>,
    /// Day of the month on which bills are due, 1 to 31; as the product sets it if left out.
    #[schema(example = 25, minimum = 1, maximum = 31)]
    pub due_day: Option<u8>,
}

/// The repayment schedule and the true cost of the simulated purchase.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimulationResult {
    /// The installments, in the order of their periods.
    pub rows: Vec<Row>,
    /// All that the borrower pays, in fen.
    pub total_fen: Fen,
    /// Nominal annual percentage rate: twelve times the monthly rate, as a fraction. Interest, fees and any guarantee charge are counted. Null
    /// if the payments have no rate.
    #[schema(value_type = Option<String>, example = "0.13996415")]
    pub apr_nominal: Option<Decimal>,
    /// Effective annual percentage rate: the same monthly rate compounded over twelve months, as a fraction; null if the payments
    /// have no rate.
    #[schema(value_type = Option<String>, example = "0.14929417")]
    pub apr_effective: Option<Decimal>,
    /// Statement date of the first installment.
    pub first_statement_on: BusinessDay,
    /// Interest or flat fee that the merchant pays instead of the borrower, in fen; a guarantee charge is never part of it.
    pub subsidy_fen: Fen,
    /// The higher of both rates if the subsidy is counted as a cost as well, as a fraction; null if the payments have no rate.
    #[schema(value_type = Option<String>, example = "0.14929417")]
    pub apr_with_subsidy: Option<Decimal>,
    /// Effective annual percentage rate on the actual due dates (actual/365), as a fraction; null if the payments have no rate.
    #[schema(value_type = Option<String>, example = "0.14918826")]
    pub apr_by_date: Option<Decimal>,
}

/// Simulate a purchase under a product file
///
/// Answers with the whole repayment schedule, its annual percentage rates and the arithmetic of each installment. Nothing is saved, and no
/// `Idempotency-Key` is needed.
#[utoipa::path(post, path = "/funder/products/simulations", tag = "products", request_body = Simulation,
    responses((status = 200, description = "The repayment schedule and the true cost of the purchase.", body = SimulationResult)),
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

/// Submit a product file as a draft
///
/// The first of three steps to a new product or version: submit, approve, publish. The file must pass the same checks as in
/// `/funder/products/checks` and name you as its funder.
#[utoipa::path(post, path = "/funder/product-drafts", tag = "products", request_body = ProductText,
    responses((status = 201, description = "The draft, which waits for approval.", body = Draft,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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

/// List your drafts, the oldest first
#[utoipa::path(get, path = "/funder/product-drafts", tag = "products", params(PageParams<ProductDraftId>),
    responses((status = 200, description = "A page of your drafts.", body = Page<Draft>)), security(("signature" = ["products:read"])))]
pub async fn list_drafts(
    State(app): State<App>,
    caller: FunderCaller,
    Params(params): Params<PageParams<ProductDraftId>>,
) -> Result<Json<Page<Draft>>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let wanted = Wanted::After(params.cursor.map(|cursor| cursor.0));
    let limit = params.limit.0;
    let rows = draft_store::list_drafts(&mut connection, caller.funder_id, wanted, limit + 1).await?;
    let limit = limit_by_bytes(&rows, limit);
    Ok(Json(Page::of(rows, limit, |draft: &Draft| draft.draft_id)))
}

/// Query a draft
#[utoipa::path(get, path = "/funder/product-drafts/{draft_id}", tag = "products",
    params(("draft_id" = ProductDraftId, Path)),
    responses((status = 200, description = "The draft.", body = Draft,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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

/// Replace the text of a draft
///
/// Possible until the draft is approved (`draft_approved_before`). The new text must pass the same checks as a new draft, and whoever sends it
/// becomes the submitter.
#[utoipa::path(put, path = "/funder/product-drafts/{draft_id}", tag = "products", request_body = ProductText,
    params(("draft_id" = ProductDraftId, Path),
        ("If-Match" = String, Header, description = "The `ETag` that you read; 412 if the object was changed since.", example = "\"1\"")),
    responses((status = 200, description = "The draft with its new text.", body = Draft,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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

/// Approve a draft with a second key
///
/// The key's holder must be another person than the submitter (`same_holder`). `If-Match` names the edit that was read: if the draft was
/// edited since, the request is refused with 412. Approving an approved draft again changes nothing.
#[utoipa::path(post, path = "/funder/product-drafts/{draft_id}/approval", tag = "products",
    params(("draft_id" = ProductDraftId, Path),
        ("If-Match" = String, Header, description = "The `ETag` that you read; 412 if the object was changed since.", example = "\"1\"")),
    responses((status = 200, description = "The draft, which is approved.", body = Draft,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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
/// The draft becomes the product's next version and is on sale; the version before is taken off sale. Existing loans and credit lines keep their
/// version. Publishing a published draft again changes nothing.
#[utoipa::path(post, path = "/funder/product-drafts/{draft_id}/publication", tag = "products",
    params(("draft_id" = ProductDraftId, Path)),
    responses((status = 200, description = "The draft, which is published.", body = Draft,
        headers(("ETag" = String, description = "The current version; send it as `If-Match` to change the object.")))),
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
