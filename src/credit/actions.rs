//! Applying for a line, and deciding on applications. The application is stored before the risk hook is asked, so that no
//! slow hook, crash or lost answer can lose it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::application_store::{self, ApplicantRow};
use super::decision::{Decider, Decision, Opening, approved_by_person};
use super::facts::Facts;
use super::line::Line;
use super::model::{
    Applicant, Application, ApplicationState, ApplicationStatus, Applied, ApplyRefusal, ApplyRequest, Transition,
    Wanted,
};
use super::risk::{QUESTIONS_MAX, Question};
use super::store;
use super::verdict::Verdict;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{ApplicationId, BorrowerId, LineId, ProductId};
use crate::base::{BusinessDay, Fen, When};
use crate::borrower::Agreement;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::product::{ProductVersion, find_versions};
use crate::{notice, outbox};

/// How often a submission is tried again after losing a race for the same key. The second try finds the winner.
const TRIES_MAX: usize = 3;

type Products = HashMap<(ProductId, i32), Arc<ProductVersion>>;

/// Applies for a line. The same key again gives the same application in its present state.
pub async fn apply(app: &App, request: ApplyRequest) -> Outcome<Applied, ApplyRefusal> {
    let mut applied = apply_many(app, &[request]).await?;
    applied.remove(0).map_err(Fault::Refused)
}

/// As [`apply`], for several requests; the answers are in the same order. After a failure some may be stored and undecided:
/// asking again with the same keys decides them, and so does [`super::jobs::decide_waiting`].
pub async fn apply_many(app: &App, requests: &[ApplyRequest]) -> anyhow::Result<Vec<Result<Applied, ApplyRefusal>>> {
    let submitted = submit(app, requests).await?;
    let undecided: HashMap<ApplicationId, Application> = submitted
        .iter()
        .flatten()
        .filter(|application| application.status == ApplicationStatus::Submitted)
        .map(|application| (application.application_id, application.clone()))
        .collect();
    let undecided: Vec<Application> = undecided.into_values().collect();
    let decided = decide(app, &undecided).await?;
    let answer = |application: Application| {
        let known = Applied { application_id: application.application_id, state: application.state() };
        decided.get(&application.application_id).cloned().unwrap_or(known)
    };
    Ok(submitted.into_iter().map(|application| application.map(answer)).collect())
}

/// Stores the applications that may be made; the others are refused one by one.
async fn submit(app: &App, requests: &[ApplyRequest]) -> anyhow::Result<Vec<Result<Application, ApplyRefusal>>> {
    for _ in 0..TRIES_MAX {
        let mut transaction = database::begin(&app.pool).await?;
        if let Some(answers) = try_submit(&mut transaction, app, requests).await? {
            transaction.commit().await?;
            return Ok(answers);
        }
    }
    anyhow::bail!("the same applications were made elsewhere {TRIES_MAX} times at the same moment")
}

/// `None` when somebody else stored one of the same applications since they were looked up.
async fn try_submit(
    connection: &mut PgConnection,
    app: &App,
    requests: &[ApplyRequest],
) -> anyhow::Result<Option<Vec<Result<Application, ApplyRefusal>>>> {
    let today = business_day::store::hold_today(connection).await?;
    let mut batch = read_batch(connection, app, requests, today).await?;
    let mut new = Vec::new();
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let answer = batch.judge(request, app.clock.now());
        if let Ok(Judged::New(application)) = &answer {
            new.push(application.clone());
        }
        answers.push(answer.map(Judged::into_application));
    }
    let stored = application_store::insert_applications(connection, &new).await?;
    Ok((stored == new.len()).then_some(answers))
}

/// What a batch of applications is judged on.
struct Batch {
    today: BusinessDay,
    earlier: HashMap<(BorrowerId, String), Application>,
    applicants: HashMap<BorrowerId, Applicant>,
    products: Products,
    withdrawn: HashSet<(ProductId, i32)>,
}

/// A request that is not refused: a new application, or one from before.
enum Judged {
    New(Application),
    /// It was made under the same key before.
    Earlier(Application),
}

impl Judged {
    fn into_application(self) -> Application {
        match self {
            Judged::New(application) | Judged::Earlier(application) => application,
        }
    }
}

/// Reads all that a batch is judged on, and holds its people until the transaction ends.
async fn read_batch(
    connection: &mut PgConnection,
    app: &App,
    requests: &[ApplyRequest],
    today: BusinessDay,
) -> anyhow::Result<Batch> {
    let borrower_ids: Vec<BorrowerId> = requests.iter().map(|request| request.borrower_id).collect();
    application_store::hold_applying(connection, &borrower_ids).await?;
    let applicants = application_store::find_applicants(connection, &borrower_ids).await?;
    // Keys are read after applicants: an application that another node stores in between is then found by its key, and not mistaken
    // for a different one that is open.
    let keys: Vec<(BorrowerId, &str)> =
        requests.iter().map(|request| (request.borrower_id, request.idempotency_key.as_str())).collect();
    let earlier = application_store::find_by_keys(connection, &keys).await?;
    let wanted: HashSet<(ProductId, i32)> =
        requests.iter().map(|request| (request.product_id, request.product_version)).collect();
    let wanted: Vec<(ProductId, i32)> = wanted.into_iter().collect();
    let mut products = Products::new();
    let mut withdrawn = HashSet::new();
    for found in find_versions(connection, &wanted).await? {
        let key = (found.product_id, found.version);
        products.insert(key, app.catalogue.get(connection, found.product_id, found.version).await?);
        if !found.is_on_sale {
            withdrawn.insert(key);
        }
    }
    Ok(Batch {
        today,
        earlier: earlier
            .into_iter()
            .map(|application| ((application.borrower_id, application.idempotency_key.clone()), application))
            .collect(),
        applicants: applicants.into_iter().map(|row| (row.borrower_id, applicant(row, today))).collect(),
        products,
        withdrawn,
    })
}

/// The applicant of a stored row, as of `today`.
pub(super) fn applicant(row: ApplicantRow, today: BusinessDay) -> Applicant {
    let is_signed = |agreement: &Agreement| row.signed.iter().any(|hash| *hash == agreement.wording().sha256);
    Applicant {
        age: today.date().years_since(row.birth_on).unwrap_or(0),
        signed: Agreement::ALL.into_iter().filter(is_signed).collect(),
        has_bound_card: row.has_bound_card,
        lines_with: row.lines_with.into_iter().map(crate::base::id::FunderId::from_uuid).collect(),
        open_applications: row.open_applications.into_iter().map(ProductId::from_uuid).collect(),
        refused_on: row.refused_at.map(BusinessDay::at),
    }
}

impl Batch {
    /// Judges one request after all that came before it in the batch.
    fn judge(&mut self, request: &ApplyRequest, now: DateTime<Utc>) -> Result<Judged, ApplyRefusal> {
        let fingerprint = request.fingerprint();
        let key = (request.borrower_id, request.idempotency_key.clone());
        if let Some(earlier) = self.earlier.get(&key) {
            if earlier.request_sha256 == fingerprint {
                return Ok(Judged::Earlier(earlier.clone()));
            }
            return Err(ApplyRefusal::KeyReused);
        }
        let applicant = self.applicants.get_mut(&request.borrower_id).ok_or(ApplyRefusal::BorrowerUnknown)?;
        let version = (request.product_id, request.product_version);
        let product = self.products.get(&version).ok_or(ApplyRefusal::ProductUnknown)?;
        // No approval gives less than the product's minimum or more than was asked for, so a request below the minimum could
        // never be approved.
        let may_ask_for = product.terms.line.limit_min_fen..=Fen::MAX;
        if request.limit_requested.is_some_and(|limit| !may_ask_for.contains(&limit)) {
            return Err(ApplyRefusal::LimitInvalid);
        }
        if self.withdrawn.contains(&version) {
            return Err(ApplyRefusal::ProductNotOnSale);
        }
        applicant.may_apply(Wanted {
            product_id: request.product_id,
            funder_id: product.funder_id,
            terms: &product.terms,
            today: self.today,
        })?;
        applicant.open_applications.push(request.product_id);
        let application = Application {
            application_id: ApplicationId::mint(now),
            borrower_id: request.borrower_id,
            product_id: request.product_id,
            product_version: request.product_version,
            idempotency_key: request.idempotency_key.clone(),
            request_sha256: fingerprint,
            facts: Facts {
                age: applicant.age,
                limit_requested_fen: request.limit_requested,
                history: request.history.clone(),
            },
            status: ApplicationStatus::Submitted,
            referral: None,
            refusal: None,
            score: None,
            grade: None,
            limit: None,
            line_id: None,
            decided_by: None,
            decided_at: None,
            proposal: None,
            review: None,
            asked_partner: None,
            created_at: now,
        };
        self.earlier.insert(key, application.clone());
        Ok(Judged::New(application))
    }
}

/// Asks the risk hook about submitted applications and records what it says, one call after the other.
pub(super) async fn decide(app: &App, applications: &[Application]) -> anyhow::Result<HashMap<ApplicationId, Applied>> {
    let mut decided = HashMap::with_capacity(applications.len());
    for batch in applications.chunks(QUESTIONS_MAX) {
        decided.extend(decide_by_one_call(app, batch.to_vec()).await?);
    }
    Ok(decided)
}

/// As [`decide`], for at most `QUESTIONS_MAX` applications, by one call to the hook. The partner that is asked is stored just
/// before the call, so that a late answer is heard from that partner alone. Applications that have ended by then, such as by a
/// consent taken back, are not put to the hook. No transaction is open during the call.
async fn decide_by_one_call(
    app: &App,
    mut applications: Vec<Application>,
) -> anyhow::Result<HashMap<ApplicationId, Applied>> {
    let mut connection = app.pool.acquire().await?;
    let mut products = Products::new();
    for &Application { product_id, product_version, .. } in &applications {
        let product = app.catalogue.get(&mut connection, product_id, product_version).await?;
        products.insert((product_id, product_version), product);
    }
    let ids: Vec<(BorrowerId, ApplicationId)> =
        applications.iter().map(|application| (application.borrower_id, application.application_id)).collect();
    let waiting: HashSet<ApplicationId> = match app.risk.partner_to_ask(&app.partners) {
        Some(partner) => application_store::note_asked(&mut connection, &ids, partner).await?.into_iter().collect(),
        None => ids.iter().map(|(_, application_id)| *application_id).collect(),
    };
    drop(connection);
    applications.retain(|application| waiting.contains(&application.application_id));
    let mut verdicts = assess(app, &applications, &products).await;

    let mut transaction = database::begin(&app.pool).await?;
    let today = business_day::store::hold_today(&mut transaction).await?;
    let mut applied = Vec::with_capacity(ids.len());
    let mut decisions = Vec::with_capacity(applications.len());
    for application in application_store::lock_applications(&mut transaction, &ids).await? {
        match verdicts.remove(&application.application_id) {
            Some(verdict) => decisions.push(Decision {
                product: product_of(&application, &products).clone(),
                verdict,
                decider: Decider::Hook(app.risk.name()),
                application,
            }),
            None => applied.push(Applied { application_id: application.application_id, state: application.state() }),
        }
    }
    applied.extend(record(&mut transaction, app, decisions, today).await?);
    transaction.commit().await?;
    Ok(applied.into_iter().map(|applied| (applied.application_id, applied)).collect())
}

/// The risk hook's verdict on each, kept within the terms of its product and what was asked for.
async fn assess(app: &App, applications: &[Application], products: &Products) -> HashMap<ApplicationId, Verdict> {
    let questions: Vec<Question<'_>> = applications
        .iter()
        .map(|application| Question {
            application_id: application.application_id,
            borrower_id: application.borrower_id,
            product_code: &product_of(application, products).terms.code,
            facts: &application.facts,
        })
        .collect();
    let verdicts = app.risk.assess(&app.partners, &questions).await;
    let within_bounds = |(application, verdict): (&Application, Verdict)| {
        let terms = &product_of(application, products).terms;
        (application.application_id, verdict.within(terms, application.facts.limit_requested_fen))
    };
    applications.iter().zip(verdicts).map(within_bounds).collect()
}

fn product_of<'a>(application: &Application, products: &'a Products) -> &'a Arc<ProductVersion> {
    &products[&(application.product_id, application.product_version)]
}

/// Writes decisions on locked applications and opens the lines of those approved. An application that has moved on since it
/// was put to the hook is answered as it stands.
pub(super) async fn record(
    connection: &mut PgConnection,
    app: &App,
    decisions: Vec<Decision>,
    today: BusinessDay,
) -> anyhow::Result<Vec<Applied>> {
    let now = app.clock.now();
    let when = When { business_day: today, at: now };
    let mut applied = Vec::with_capacity(decisions.len());
    let mut moving = Vec::with_capacity(decisions.len());
    for decision in decisions {
        match decision.transition() {
            Transition::To(to) => {
                let opening = decision.opening(to, when);
                moving.push(Moving { decision, to, opening });
            }
            Transition::AlreadyApplied | Transition::Illegal => applied.push(Applied {
                application_id: decision.application.application_id,
                state: decision.application.state(),
            }),
        }
    }
    let lines: Vec<_> = moving.iter().filter_map(|moving| Some(moving.opening.as_ref()?.line.clone())).collect();
    let opened: HashSet<LineId> = application_store::insert_lines(connection, &lines, now).await?.into_iter().collect();
    let (mut rows, mut entries, mut messages) = (Vec::with_capacity(moving.len()), Vec::new(), Vec::new());
    let mut told = Vec::with_capacity(moving.len());
    for Moving { decision, to, opening } in moving {
        let (decision, to, line_id) = match opening {
            Some(Opening { line, entry }) if opened.contains(&line.line_id) => {
                messages.push(decision.line_opened(&line, when));
                entries.push(entry);
                (decision, to, Some(line.line_id))
            }
            Some(_) => (decision.refused_for_open_line(), ApplicationStatus::Refused, None),
            None => (decision, to, None),
        };
        rows.push(decision.row(to, line_id, now));
        messages.extend(decision.message(to, when));
        told.push(decision.notice(to, line_id, when));
        applied.push(decision.applied(to, line_id));
    }
    store::insert_line_entries(connection, &entries).await?;
    let updated = application_store::update_applications(connection, &rows, now).await?;
    anyhow::ensure!(updated == rows.len(), "{updated} of {} locked applications were updated", rows.len());
    outbox::store::enqueue(connection, &messages).await?;
    notice::raise(connection, &told).await?;
    Ok(applied)
}

/// A decision to be written: the status that it gives its application, and the line that it opens.
struct Moving {
    decision: Decision,
    to: ApplicationStatus,
    opening: Option<Opening>,
}

/// What a person decides about an application that was referred.
#[derive(Clone, Debug)]
pub struct PersonDecision {
    pub borrower_id: BorrowerId,
    pub application_id: ApplicationId,
    /// Who decides, by name.
    pub person: String,
    /// Why, for the record.
    pub reason: String,
    pub verdict: PersonVerdict,
}

/// A person's verdict on a referred application.
#[derive(Clone, Debug)]
pub enum PersonVerdict {
    Approve {
        grade: String,
        limit: Fen,
    },
    /// The code that the applicant is told, such as `income_not_proven`.
    Refuse {
        code: String,
    },
}

/// As [`record`], for one decision; refused where the application can no longer take it.
pub(super) async fn record_one(
    connection: &mut PgConnection,
    app: &App,
    decision: Decision,
    today: BusinessDay,
) -> Outcome<Applied, ApplyRefusal> {
    if decision.transition() == Transition::Illegal {
        return Err(Fault::Refused(ApplyRefusal::NotReferred));
    }
    Ok(record(connection, app, vec![decision], today).await?.remove(0))
}

/// One application, locked for a decision.
pub(super) async fn lock_application(
    connection: &mut PgConnection,
    ids: (BorrowerId, ApplicationId),
) -> Outcome<Application, ApplyRefusal> {
    let application = application_store::lock_applications(connection, &[ids]).await?.pop();
    application.ok_or(Fault::Refused(ApplyRefusal::ApplicationUnknown))
}

/// Decides a referred application. The same decision of the same person again changes nothing, any other one is refused.
pub async fn decide_referred(app: &App, decision: PersonDecision) -> Outcome<Applied, ApplyRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let applied = decide_as_person(&mut transaction, app, decision).await;
    database::end(transaction, applied).await
}

async fn decide_as_person(
    connection: &mut PgConnection,
    app: &App,
    decision: PersonDecision,
) -> Outcome<Applied, ApplyRefusal> {
    let today = business_day::store::hold_today(connection).await?;
    let application = lock_application(connection, (decision.borrower_id, decision.application_id)).await?;
    let product = app.catalogue.get(connection, application.product_id, application.product_version).await?;
    let verdict = match decision.verdict {
        PersonVerdict::Refuse { code } => Verdict::Refuse { reason: code, score: None },
        PersonVerdict::Approve { grade, limit } => {
            approved_by_person((grade, limit), &application, &product.terms).map_err(Fault::Refused)?
        }
    };
    let is_review = application.review.is_some();
    let decider = Decider::Person { name: decision.person, reason: decision.reason };
    let decision = Decision { application, product, verdict, decider };
    if decision.was_applied() {
        let Decision { application, .. } = decision;
        return Ok(Applied { application_id: application.application_id, state: application.state() });
    }
    // The application has the status that this decision leads to, but by somebody else's word, or with another limit or code.
    if decision.transition() == Transition::AlreadyApplied {
        return Err(Fault::Refused(ApplyRefusal::NotReferred));
    }
    let applied = record_one(connection, app, decision, today).await?;
    audit::record(connection, app, act_of_decision(&applied, is_review)).await?;
    Ok(applied)
}

/// The entry in the audit trail of a person's decision: what it came to, and whether the borrower had asked that a person decides.
fn act_of_decision(applied: &Applied, is_review: bool) -> Act {
    let status = applied.state.status();
    let mut detail = match &applied.state {
        ApplicationState::Approved { line_id, grade, limit } => {
            json!({ "status": status, "line_id": line_id, "grade": grade, "limit_fen": limit })
        }
        ApplicationState::Refused { reason } => json!({ "status": status, "code": reason }),
        ApplicationState::WithFunder | ApplicationState::Submitted | ApplicationState::Referred { .. } => {
            json!({ "status": status })
        }
    };
    if is_review {
        detail["review"] = json!(true);
    }
    Act::new(Action::ApplicationDecided, applied.application_id, detail)
}

/// A borrower's latest application, decided or not.
pub async fn latest_application(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<Application>> {
    Ok(application_store::find_latest(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// A borrower's lines that are not closed, oldest first.
pub async fn open_lines(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Line>> {
    Ok(store::list_open_lines(&mut *app.pool.acquire().await?, borrower_id).await?)
}
