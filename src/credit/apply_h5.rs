//! Applying for a line, step by step: each visit shows the person's next step, so that anybody may leave and come back.

use std::time::Duration;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::actions;
use super::line::Line;
use super::line_h5::why_unusable;
use super::model::{Application, ApplicationState, ApplyRefusal, ApplyRequest, check_age};
use super::offer_h5::{Offer, find_lender, find_offer};
use super::review_h5::ReviewOffer;
use crate::app::App;
use crate::base::id::{BorrowerId, ProductId};
use crate::base::person::{Mobile, ResidentId};
use crate::base::typed::typed_resident_id;
use crate::base::{BusinessDay, Fen};
use crate::borrower::actions::{self as borrower_actions, Consents, Signature};
use crate::borrower::card::Card;
use crate::borrower::card_h5::{CardPage, CodePage};
use crate::borrower::model::Profile;
use crate::borrower::sign_in_h5::BY_MOBILE;
use crate::borrower::{self, Agreement, BorrowerRefusal, Identified, PersonName, Registration, card_actions};
use crate::business_day;
use crate::error::{Fault, Outcome, Refusal};
use crate::http::Problem;
use crate::page::part::{self, Awaited};
use crate::page::session::{self, Proved, Session, SignedIn};
use crate::page::texts::AgreementText;
use crate::page::{Form, Page, SessionKind, Visit, new_key, unprocessable};
use crate::passcode::{self, Window};
use crate::product::{PriceInquiry, price_range};

const APPLY: &str = "/apply";
/// How often somebody with one mobile may enter an identity that is refused.
const IDENTITY_TRIES: Window = Window { kind: "identity", length: TimeDelta::hours(24), count_max: 10 };
/// How long the submitting request waits for the decision before the waiting page is shown; the decision goes on in the
/// background.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The agreements that have a step of their own; the others are signed on the page that they are about.
const ONE_BY_ONE: [Agreement; 2] = [Agreement::Credit, Agreement::CreditReport];

#[derive(Template, WebTemplate)]
#[template(path = "credit/identity.html")]
pub struct IdentityPage {
    page: Page,
    form: Form,
    mobile: Mobile,
    personal: AgreementText,
    sensitive: AgreementText,
    /// Who would lend; `None` where nothing is offered any more.
    lender: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "credit/agreement.html")]
pub struct AgreementPage {
    page: Page,
    form: Form,
    text: AgreementText,
    /// As on the page before.
    lender: Option<String>,
}

#[derive(Template, WebTemplate)]
#[template(path = "credit/submit.html")]
pub struct SubmitPage {
    page: Page,
    form: Form,
    profile: Profile,
    card: Card,
    offer: Offer,
    /// What the borrower was shown before, where the terms have changed since.
    former: Option<Offer>,
    /// The offer that a person reviews the last application, where it still stands.
    review: Option<ReviewOffer>,
}

/// No line is offered today: the product is off sale, or past its last day. What the person has entered so far is kept, and
/// nothing more is asked for.
#[derive(Template, WebTemplate)]
#[template(path = "credit/not_offered.html")]
pub struct NotOfferedPage {
    page: Page,
    /// Whether the visitor is registered, and so has a home page.
    is_known: bool,
    /// The offer that a person reviews the last application, where it still stands.
    review: Option<ReviewOffer>,
}

/// The state of the application; the block `state` updates itself.
#[derive(Template, WebTemplate)]
#[template(path = "credit/state.html", blocks = ["state"])]
pub struct StatePage {
    page: Page,
    standing: Standing,
}

/// An application as its applicant sees it.
enum Standing {
    Waiting,
    /// A person looks at it.
    UnderReview,
    /// The funder has the last word, and may say it until `answer_by`.
    WithLender {
        answer_by: Option<DateTime<Utc>>,
    },
    /// `rates` are the least and the greatest simple rate a year of what is sold on the line.
    Approved {
        limit: Fen,
        rates: Option<(Decimal, Decimal)>,
        statement_day: u8,
        due_day: u8,
        has_pin: bool,
        /// Whether anything can be bought on the line now.
        is_usable: bool,
    },
    Refused {
        reason: String,
        /// The day from which another application is taken; `None` if the refusal was for a line that the person has, and so
        /// needs no other one.
        again_on: Option<BusinessDay>,
        review: Option<ReviewOffer>,
        /// Whether a person has looked at it on the applicant's own wish.
        is_reviewed: bool,
        /// Whether the applicant has ended it, who then has no decision to object to.
        is_withdrawn: bool,
    },
}

impl StatePage {
    /// Until it is decided: the name of its state, and after how many seconds the page asks whether that has changed.
    fn asks(&self) -> Option<(&'static str, u8)> {
        match self.standing {
            Standing::Waiting => Some(("waiting", 2)),
            Standing::UnderReview => Some(("under_review", 10)),
            Standing::WithLender { .. } => Some(("with_lender", 10)),
            Standing::Approved { .. } | Standing::Refused { .. } => None,
        }
    }
}

/// `GET /apply`: the visitor's next step.
pub async fn show(State(app): State<App>, page: Page) -> Result<Response, Problem> {
    let Some(Session { proved, .. }) = session::find(&app, &page.visit, SessionKind::Borrower).await? else {
        return Ok(Redirect::to("/sign-in?next=/apply").into_response());
    };
    match proved {
        Proved { subject_id: Some(borrower_id), .. } => step(&app, page, BorrowerId::from_uuid(borrower_id)).await,
        Proved { mobile: Some(mobile), .. } => Ok(match find_offer(&app).await? {
            Some(offer) => IdentityPage::of(page, Form::default(), mobile, Some(offer.lender)).into_response(),
            None => NotOfferedPage { page, is_known: false, review: None }.into_response(),
        }),
        Proved { .. } => Ok(Redirect::to("/sign-in?next=/apply").into_response()),
    }
}

/// The steps have no pages of their own: a GET of one (by the language switch or a reload) leads to the next step.
pub async fn to_step() -> Redirect {
    Redirect::to(APPLY)
}

async fn step(app: &App, page: Page, borrower_id: BorrowerId) -> Result<Response, Problem> {
    let latest = actions::latest_application(app, borrower_id).await?;
    if let Some(application) = &latest
        && let Some(standing) = find_standing(app, application).await?
    {
        if matches!(standing, Standing::Approved { is_usable: false, .. }) {
            // Home says why nothing can be bought now, and what to do.
            return Ok(Redirect::to("/home").into_response());
        }
        return Ok(StatePage { page, standing }.into_response());
    }
    let card = borrower::card_to_charge(app, borrower_id).await?;
    if card.is_none()
        && let Some(awaiting) = card_actions::awaiting_code(app, borrower_id).await?
    {
        return Ok(CodePage::of(page, awaiting, APPLY, app.clock.now()).into_response());
    }
    let review = match &latest {
        Some(application) => ReviewOffer::of(app, application).await?,
        None => None,
    };
    let Some(offer) = find_offer(app).await? else {
        return Ok(NotOfferedPage { page, is_known: true, review }.into_response());
    };
    let Some(card) = card else { return Ok(CardPage::of(app, page, borrower_id, APPLY).await?.into_response()) };
    let signed = borrower_actions::presently_signed(app, borrower_id).await?;
    // Those beside a form are asked for again only when their text has changed.
    let unsigned = ONE_BY_ONE.into_iter().chain(Agreement::ALL).find(|agreement| !signed.contains(agreement));
    if let Some(agreement) = unsigned {
        return Ok(AgreementPage::of(page, Form::default(), agreement, Some(offer.lender)).into_response());
    }
    let (form, profile) = (Form::filled([("key", new_key(app))]), borrower_actions::profile(app, borrower_id).await?);
    Ok(SubmitPage { page, form, profile, card, offer, former: None, review }.into_response())
}

/// Whether somebody has an application because of which no other one may be made now.
pub(super) async fn has_standing(app: &App, borrower_id: BorrowerId) -> anyhow::Result<bool> {
    Ok(match actions::latest_application(app, borrower_id).await? {
        Some(application) => find_standing(app, &application).await?.is_some(),
        None => false,
    })
}

/// The state of an application as its applicant sees it; `None` where another one may be made.
async fn find_standing(app: &App, application: &Application) -> anyhow::Result<Option<Standing>> {
    Ok(match application.state() {
        ApplicationState::Submitted => Some(Standing::Waiting),
        ApplicationState::Referred { .. } => Some(Standing::UnderReview),
        ApplicationState::WithFunder => {
            Some(Standing::WithLender { answer_by: application.proposal.as_ref().map(|proposal| proposal.answer_by) })
        }
        ApplicationState::Approved { line_id, grade, .. } => {
            let lines = actions::open_lines(app, application.borrower_id).await?;
            match lines.iter().find(|line| line.line_id == line_id) {
                Some(line) => Some(approved(app, line, grade).await?),
                None => None,
            }
        }
        ApplicationState::Refused { reason } => refused(app, application, reason).await?,
    })
}

/// The state of an approval whose line is open: its limit as it is now, and whether it can be used now.
async fn approved(app: &App, line: &Line, grade: String) -> anyhow::Result<Standing> {
    let mut connection = app.pool.acquire().await?;
    let product = app.catalogue.get(&mut connection, line.product_id, line.product_version).await?;
    // Terms that were published since are what is sold on it, and a product that was withdrawn is not sold at all.
    let sold = app.catalogue.current(&mut connection, &product.terms.code).await?;
    let today = business_day::store::today(&mut connection).await?;
    drop(connection);
    let sold = sold.filter(|sold| sold.terms.is_valid_on(today));
    let days = Some((line.statement_day, line.due_day));
    let asked = PriceInquiry { grades: &[grade], business_day: today, line: days };
    Ok(Standing::Approved {
        limit: line.limit,
        rates: sold.and_then(|sold| price_range(&sold.terms, asked)),
        statement_day: line.statement_day.get(),
        due_day: line.due_day.get(),
        has_pin: borrower::has_pin(app, line.borrower_id).await?,
        is_usable: why_unusable(line, today).is_none(),
    })
}

/// The state of a refusal until the day from which another application is taken; `None` from then on.
async fn refused(app: &App, application: &Application, reason: String) -> anyhow::Result<Option<Standing>> {
    let again_on = application.again_on();
    // The business day, on which applications are taken: it ends with its close, and not at midnight.
    let today = business_day::store::today(&mut *app.pool.acquire().await?).await?;
    let has_line = application.is_overtaken() && !actions::open_lines(app, application.borrower_id).await?.is_empty();
    // Whoever has that line would only be refused again, and is told so for as long as of any refusal.
    let shown_until = if has_line { application.bars_until() } else { again_on };
    if today >= shown_until {
        return Ok(None);
    }
    let again_on = Some(again_on).filter(|_| !has_line);
    let review = ReviewOffer::of(app, application).await?;
    let (is_reviewed, is_withdrawn) = (application.is_reviewed(), application.is_withdrawn());
    Ok(Some(Standing::Refused { reason, again_on, review, is_reviewed, is_withdrawn }))
}

/// `GET /apply/state`: the part that updates itself.
pub async fn state(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Query(awaited): Query<Awaited>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !part::is_part(&headers) {
        return Ok(Redirect::to(APPLY).into_response());
    }
    let latest = actions::latest_application(&app, borrower_id).await?;
    let latest = latest.ok_or_else(Problem::not_found)?;
    let standing = find_standing(&app, &latest).await?.ok_or_else(Problem::not_found)?;
    let shown = StatePage { page, standing };
    if shown.asks().is_some_and(|(standing, _)| standing == awaited.seen) {
        return Ok(part::unchanged());
    }
    part::changed(shown.as_state().render())
}

/// `POST /apply/identity`: who the person is, with consent to the processing of it.
pub async fn identify(State(app): State<App>, page: Page, mut form: Form) -> Result<Response, Problem> {
    let session = session::find(&app, &page.visit, SessionKind::Borrower).await?;
    let (mobile, openid) = match session.map(|session| session.proved) {
        Some(Proved { subject_id: None, mobile: Some(mobile), openid }) => (mobile, openid),
        Some(Proved { subject_id: Some(_), .. }) => return Ok(Redirect::to(APPLY).into_response()),
        _ => return Ok(Redirect::to(&format!("{BY_MOBILE}&next={APPLY}")).into_response()),
    };
    let lender = find_lender(&app).await?;
    let today = BusinessDay::at(app.clock.now());
    let name = form.read("name", |text| text.parse::<PersonName>().map_err(|_| "name_format"));
    let resident_id = form.read("id_number", |text| of_age(text, today));
    let consents = [Agreement::PersonalInformation, Agreement::SensitiveInformation]
        .map(|agreement| AgreementText::posted(&mut form, agreement).map(|text_sha256| (agreement, text_sha256)));
    let (Some(name), Some(resident_id), [Some(personal), Some(sensitive)]) = (name, resident_id, consents) else {
        return Ok(unprocessable(IdentityPage::of(page, form, mobile, lender)));
    };
    if [personal, sensitive].iter().any(|(agreement, text_sha256)| *text_sha256 != agreement.wording().sha256) {
        // The text that was shown has been replaced since: nobody is registered under a text that they have not seen.
        form.refuse(&BorrowerRefusal::AgreementOutdated);
        return Ok(unprocessable(IdentityPage::of(page, form, mobile, lender)));
    }
    // The tries of a mobile are limited, so that nobody finds out by trying who is registered here, and under which name. Each is counted
    // before it is known whether it is right.
    if let Some(until) = passcode::full_until(&app, IDENTITY_TRIES, mobile.reveal()).await? {
        form.refuse_field("id_number", "id_number_too_often");
        form.note_until(until);
        return Ok(unprocessable(IdentityPage::of(page, form, mobile, lender)));
    }
    let registration = Registration { name, resident_id, mobile: mobile.clone() };
    match enter(&app, &page.visit, Entering { registration, consents: [personal, sensitive], openid }).await {
        Ok(()) => Ok(Redirect::to(APPLY).into_response()),
        Err(Fault::Refused(refusal)) => {
            match refusal {
                BorrowerRefusal::RegisteredElsewhere => form.refuse_field("id_number", refusal.code()),
                refusal => form.refuse(&refusal),
            }
            Ok(unprocessable(IdentityPage::of(page, form, mobile, lender)))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Somebody who says who they are, and under which texts.
struct Entering {
    registration: Registration,
    consents: [(Agreement, [u8; 32]); 2],
    openid: Option<String>,
}

/// Registers a person with what was agreed to, and signs the browser in.
async fn enter(app: &App, visit: &Visit, entering: Entering) -> Outcome<(), BorrowerRefusal> {
    let Entering { registration, consents, openid } = entering;
    let mobile = registration.mobile.clone();
    let consents = Consents { texts: consents.to_vec(), device: visit.device.clone() };
    let borrower_id = borrower_actions::identify(app, registration, &consents).await?;
    passcode::take_back(app, IDENTITY_TRIES, mobile.reveal()).await?;
    borrower::sign_in_identified(app, visit, Identified { borrower_id, mobile, openid }).await
}

/// `POST /apply/agreement`: one agreement, under the text that was shown.
pub async fn agree(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    mut form: Form,
) -> Result<Response, Problem> {
    let agreement = Agreement::from_name(form.value("agreement")).ok_or_else(Problem::not_found)?;
    let Some(text_sha256) = AgreementText::posted(&mut form, agreement) else {
        return Ok(unprocessable(AgreementPage::of(page, form, agreement, find_lender(&app).await?)));
    };
    let device = page.visit.device.clone();
    match borrower_actions::sign(&app, &[Signature { borrower_id, agreement, text_sha256, device }]).await {
        Ok(()) => Ok(Redirect::to(APPLY).into_response()),
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(unprocessable(AgreementPage::of(page, form, agreement, find_lender(&app).await?)))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// `POST /apply/submit`: the application is stored at once; the decision may take longer than anybody waits.
pub async fn submit(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    form: Form,
) -> Result<Response, Problem> {
    let product_id: ProductId = form.value("product").parse().map_err(|_| Problem::not_found())?;
    let product_version = form.value("version").parse().map_err(|_| Problem::not_found())?;
    let key = Uuid::try_parse(form.value("key")).map_err(|_| Problem::not_found())?;
    let idempotency_key = format!("page-{}", key.simple());
    let request = ApplyRequest {
        borrower_id,
        product_id,
        product_version,
        idempotency_key,
        limit_requested: None,
        history: None,
    };
    let deciding = {
        let app = app.clone();
        tokio::spawn(async move { actions::apply(&app, request).await })
    };
    match tokio::time::timeout(PATIENCE, deciding).await.map(|decided| decided.map_err(anyhow::Error::from)) {
        Err(_) | Ok(Ok(Ok(_))) => Ok(Redirect::to(APPLY).into_response()),
        Ok(Err(failed)) => Err(failed.into()),
        // Another tab has taken a consent back, or its text is newer: that step is shown again, and not the last one without it.
        Ok(Ok(Err(Fault::Refused(ApplyRefusal::AgreementMissing { agreement })))) => {
            let mut form = Form::default();
            form.refuse(&ApplyRefusal::AgreementMissing { agreement });
            Ok(unprocessable(AgreementPage::of(page, form, agreement, find_lender(&app).await?)))
        }
        Ok(Ok(Err(Fault::Refused(refusal)))) => {
            let has_applied = matches!(refusal, ApplyRefusal::ApplicationOpen | ApplyRefusal::LineOpen);
            if has_applied && has_standing(&app, borrower_id).await? {
                // The person has applied in another tab: that application is shown.
                return Ok(Redirect::to(APPLY).into_response());
            }
            let Some(card) = borrower::card_to_charge(&app, borrower_id).await? else {
                return Ok(Redirect::to(APPLY).into_response());
            };
            let Some(offer) = find_offer(&app).await? else {
                return Ok(unprocessable(NotOfferedPage { page, is_known: true, review: None }));
            };
            let profile = borrower_actions::profile(&app, borrower_id).await?;
            let is_newer = offer.product_id == product_id.to_string() && offer.product_version != product_version;
            let mut shown = SubmitPage { page, form, profile, card, offer, former: None, review: None };
            if refusal == ApplyRefusal::ProductNotOnSale && is_newer {
                // The terms changed while the page was open: it says what they were and what they are.
                shown.former = Some(Offer::of_version(&app, product_id, product_version).await?);
                shown.form.refuse(&ApplyRefusal::OfferChanged);
            } else {
                shown.form.refuse(&refusal);
            }
            Ok(unprocessable(shown))
        }
        Ok(Ok(Err(failed))) => Err(failed.into()),
    }
}

/// The ID number of somebody who is of the age to apply. Others are told before anything more is asked for or stored.
fn of_age(text: &str, today: BusinessDay) -> Result<ResidentId, &'static str> {
    let number = typed_resident_id(text, today)?;
    check_age(number.age_on(today)).map(|()| number).map_err(|refusal| refusal.code())
}

impl IdentityPage {
    fn of(page: Page, form: Form, mobile: Mobile, lender: Option<String>) -> IdentityPage {
        let personal = AgreementText::of(Agreement::PersonalInformation);
        let sensitive = AgreementText::of(Agreement::SensitiveInformation);
        IdentityPage { page, form, mobile, personal, sensitive, lender }
    }
}

impl AgreementPage {
    fn of(page: Page, form: Form, agreement: Agreement, lender: Option<String>) -> AgreementPage {
        AgreementPage { page, form, text: AgreementText::of(agreement), lender }
    }
}
