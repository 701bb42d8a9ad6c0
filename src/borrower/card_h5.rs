//! Cards: the list, binding one with the bank's code, choosing and unbinding. Applying uses the same forms.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::actions::{self, Signature};
use super::card::{Card, CardBinding, CardCode, CardStatus};
use super::card_actions::{self, Awaiting};
use super::pin_actions::has_pin;
use super::{Agreement, CardRefusal, pin_h5};
use crate::app::App;
use crate::base::id::{BorrowerId, CardId};
use crate::base::person::Mobile;
use crate::base::typed::{typed_card_number, typed_code, typed_mobile};
use crate::error::{Fault, Refusal};
use crate::http::Problem;
use crate::page::back::{interrupted, path_of_ours, with_next};
use crate::page::session::SignedIn;
use crate::page::texts::AgreementText;
use crate::page::visit::ClientAddress;
use crate::page::{Form, Page, unprocessable};

/// Where the forms lead that no other page asked for.
const LIST: &str = "/me/cards";
const APPLY: &str = "/apply";

#[derive(Template, WebTemplate)]
#[template(path = "borrower/cards.html")]
pub struct CardsPage {
    page: Page,
    cards: Vec<Card>,
}

/// The form for a card, as a page of its own or as a step of an application.
#[derive(Template, WebTemplate)]
#[template(path = "borrower/card_new.html")]
pub struct CardPage {
    page: Page,
    form: Form,
    withholding: AgreementText,
    /// Withdrawn consents that must be given again, since the bank is told who the person is.
    taken_back: Vec<AgreementText>,
}

/// The form for the bank's code.
#[derive(Template, WebTemplate)]
#[template(path = "borrower/card_code.html")]
pub struct CodePage {
    page: Page,
    form: Form,
    card_id: CardId,
    number_tail: String,
    mobile: Mobile,
    /// Seconds until another code may be asked for.
    wait_seconds: i64,
}

impl CardPage {
    fn is_applying(&self) -> bool {
        self.form.value("next") == APPLY
    }

    fn interrupted(&self) -> Option<&str> {
        interrupted(self.form.value("next"), LIST)
    }

    /// The empty form, which leads to `next` once the card is bound.
    pub async fn of(app: &App, page: Page, borrower_id: BorrowerId, next: &str) -> anyhow::Result<CardPage> {
        let taken_back = taken_back(app, borrower_id).await?;
        Ok(CardPage::again(page, Form::filled([("next", next.to_owned())]), &taken_back))
    }

    fn again(page: Page, form: Form, taken_back: &[Agreement]) -> CardPage {
        let taken_back = taken_back.iter().copied().map(AgreementText::of).collect();
        CardPage { page, form, withholding: AgreementText::of(Agreement::Withholding), taken_back }
    }
}

impl CodePage {
    fn is_applying(&self) -> bool {
        self.form.value("next") == APPLY
    }

    fn interrupted(&self) -> Option<&str> {
        interrupted(self.form.value("next"), LIST)
    }

    /// The empty form for the code, which leads to `next` once the card is bound.
    pub fn of(page: Page, awaiting: Awaiting, next: &str, now: DateTime<Utc>) -> CodePage {
        CodePage::again(page, Form::filled([("next", next.to_owned())]), awaiting, now)
    }

    fn again(page: Page, form: Form, awaiting: Awaiting, now: DateTime<Utc>) -> CodePage {
        let wait_seconds = (awaiting.again_at - now).num_seconds().max(0);
        let Awaiting { card_id, number_tail, mobile, .. } = awaiting;
        CodePage { page, form, card_id, number_tail, mobile, wait_seconds }
    }
}

/// `GET /me/cards`
pub async fn list(State(app): State<App>, page: Page, SignedIn(id): SignedIn) -> Result<CardsPage, Problem> {
    let mut cards = card_actions::cards(&app, id).await?;
    cards.retain(|card| card.status != CardStatus::Unbound);
    cards.sort_by_key(|card| !card.is_default);
    Ok(CardsPage { page, cards })
}

/// Where to go once the card is bound.
#[derive(Deserialize)]
pub struct Coming {
    #[serde(default)]
    next: String,
}

/// `GET /me/cards/new`
pub async fn new(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Query(coming): Query<Coming>,
) -> Result<CardPage, Problem> {
    Ok(CardPage::of(&app, page, borrower_id, path_of_ours(&coming.next, LIST)).await?)
}

/// `POST /me/cards/new`: signs the withholding agreement and each consent that was withdrawn, and has the bank send its code.
pub async fn start(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    ClientAddress(address): ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let number = form.read("card_number", typed_card_number);
    let mobile = form.read("card_mobile", typed_mobile);
    let taken_back = taken_back(&app, borrower_id).await?;
    let mut signatures = Vec::new();
    let mut has_agreed = true;
    for agreement in std::iter::once(Agreement::Withholding).chain(taken_back.iter().copied()) {
        match AgreementText::posted(&mut form, agreement) {
            Some(text_sha256) => {
                let device = page.visit.device.clone();
                signatures.push(Signature { borrower_id, agreement, text_sha256, device });
            }
            // Read on, so that every box without a tick shows its error.
            None => has_agreed = false,
        }
    }
    let (Some(number), Some(mobile), true) = (number, mobile, has_agreed) else {
        return Ok(unprocessable(CardPage::again(page, form, &taken_back)));
    };
    let once_more = |page, form| unprocessable(CardPage::again(page, form, &taken_back));
    match actions::sign(&app, &signatures).await {
        Ok(()) => {}
        Err(fault) => return refused(fault, form, |form| once_more(page, form)),
    }
    let binding = CardBinding { borrower_id, number, mobile };
    let asked = card_actions::request_code(&app, binding.clone(), address.as_deref()).await;
    let is_too_soon = matches!(asked, Err(Fault::Refused(CardRefusal::CodeTooSoon)));
    let is_again = is_too_soon && is_awaited(&app, &binding).await?;
    match asked {
        Ok(_) => Ok(to_code(&form)),
        // The same form again, by a second tap: the bank's code is on its way.
        Err(_) if is_again => Ok(to_code(&form)),
        Err(Fault::Refused(refusal @ CardRefusal::AlreadyBound { .. })) => {
            form.refuse_field("card_number", refusal.code());
            Ok(once_more(page, form))
        }
        Err(fault) => refused(fault, form, |form| once_more(page, form)),
    }
}

/// The consents that a person has withdrawn and must give again with a card, because the bank is told who they are.
async fn taken_back(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Agreement>> {
    let mut taken_back = actions::taken_back(&mut *app.pool.acquire().await?, borrower_id).await?;
    taken_back.retain(|agreement| agreement.may_be_withdrawn());
    Ok(taken_back)
}

/// Whether the code that is awaited belongs to this card.
async fn is_awaited(app: &App, binding: &CardBinding) -> anyhow::Result<bool> {
    let awaiting = card_actions::awaiting_code(app, binding.borrower_id).await?;
    Ok(awaiting.is_some_and(|latest| latest.number_tail == binding.number.tail() && latest.mobile == binding.mobile))
}

fn to_code(form: &Form) -> Response {
    Redirect::to(&code_address(path_of_ours(form.value("next"), LIST))).into_response()
}

/// `GET /me/cards/code`
pub async fn code(
    State(app): State<App>,
    page: Page,
    SignedIn(id): SignedIn,
    Query(coming): Query<Coming>,
) -> Result<Response, Problem> {
    let next = path_of_ours(&coming.next, LIST);
    match card_actions::awaiting_code(&app, id).await? {
        Some(awaiting) => Ok(CodePage::of(page, awaiting, next, app.clock.now()).into_response()),
        None => Ok(Redirect::to(&with_next("/me/cards/new", next)).into_response()),
    }
}

/// `POST /me/cards/code`: the field `do` says whether the code was entered, or another one is to be sent.
pub async fn confirm(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    ClientAddress(address): ClientAddress,
    mut form: Form,
) -> Result<Response, Problem> {
    let next = path_of_ours(form.value("next"), LIST).to_owned();
    let awaiting = card_actions::awaiting_code(&app, borrower_id).await?;
    let Some(card_id) = meant(&form, awaiting.as_ref()) else { return ended(&app, borrower_id, page, form).await };
    if form.value("do") == "send" {
        let Some(awaiting) = awaiting else { return ended(&app, borrower_id, page, form).await };
        return match card_actions::send_code_again(&app, borrower_id, address.as_deref()).await {
            Ok(_) => Ok(Redirect::to(&code_address(&next)).into_response()),
            Err(fault) => again(&app, page, form, awaiting, fault),
        };
    }
    let code = form.read("card_code", typed_code);
    form.forget("card_code");
    if let Some(code) = code {
        let code = CardCode { borrower_id, card_id, code };
        match card_actions::confirm_code(&app, code, address.as_deref()).await {
            Ok(card_id) => {
                if !is_bound(&app, borrower_id, card_id).await? {
                    return ended(&app, borrower_id, page, form).await;
                }
                page.visit.flash("flash-card-bound");
                return Ok(Redirect::to(&next).into_response());
            }
            Err(Fault::Refused(CardRefusal::CodeWrong)) => {
                form.refuse_field("card_code", CardRefusal::CodeWrong.code());
            }
            Err(Fault::Refused(refusal)) => form.refuse(&refusal),
            Err(failed) => return Err(failed.into()),
        }
    }
    match awaiting {
        Some(awaiting) => Ok(unprocessable(CodePage::again(page, form, awaiting, app.clock.now()))),
        None => ended(&app, borrower_id, page, form).await,
    }
}

/// The card that an entered code is for: the one that awaits its code, unless the page names another one, which a second tab
/// has left behind, or which was bound while the answer got lost.
fn meant(form: &Form, awaiting: Option<&Awaiting>) -> Option<CardId> {
    let is_of = |latest: &&Awaiting| form.value("card").is_empty() || form.value("tail") == latest.number_tail;
    awaiting.filter(is_of).map(|latest| latest.card_id).or_else(|| form.value("card").parse().ok())
}

/// Whether the card is bound at present: the form may be an old one, and its card unbound since.
async fn is_bound(app: &App, borrower_id: BorrowerId, card_id: CardId) -> anyhow::Result<bool> {
    let cards = card_actions::cards(app, borrower_id).await?;
    Ok(cards.iter().any(|card| card.card_id == card_id && card.status == CardStatus::Bound))
}

/// The empty card form, with the refusal that the signing has ended.
async fn ended(app: &App, borrower_id: BorrowerId, page: Page, mut form: Form) -> Result<Response, Problem> {
    form.refuse(&CardRefusal::SigningEnded);
    let taken_back = taken_back(app, borrower_id).await?;
    Ok(unprocessable(CardPage::again(page, form, &taken_back)))
}

fn again(
    app: &App,
    page: Page,
    form: Form,
    awaiting: Awaiting,
    fault: Fault<CardRefusal>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    refused(fault, form, |form| unprocessable(CodePage::again(page, form, awaiting, now)))
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/card_default.html")]
pub struct DefaultPage {
    page: Page,
    form: Form,
    card: Card,
    has_pin: bool,
}

/// `GET /me/cards/{card}/default`: asks for the PIN.
pub async fn ask_default(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Path(card_id): Path<String>,
) -> Result<DefaultPage, Problem> {
    let card = find(&app, borrower_id, &card_id).await?;
    Ok(DefaultPage { page, form: Form::default(), card, has_pin: has_pin(&app, borrower_id).await? })
}

/// `POST /me/cards/{card}/default`: what is due is taken from this card first, after the PIN. Again it changes nothing.
pub async fn set_default(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Path(card_id): Path<String>,
    mut form: Form,
) -> Result<Response, Problem> {
    let card = find(&app, borrower_id, &card_id).await?;
    let has_pin = has_pin(&app, borrower_id).await?;
    if !card.is_default {
        if !pin_h5::is_confirmed(&app, borrower_id, &mut form).await? {
            return Ok(unprocessable(DefaultPage { page, form, card, has_pin }));
        }
        if let Err(fault) = card_actions::set_default(&app, borrower_id, card.card_id).await {
            return refused(fault, form, |form| unprocessable(DefaultPage { page, form, card, has_pin }));
        }
    }
    page.visit.flash("flash-card-default");
    Ok(Redirect::to(LIST).into_response())
}

#[derive(Template, WebTemplate)]
#[template(path = "borrower/card_unbind.html")]
pub struct UnbindPage {
    page: Page,
    form: Form,
    card: Card,
    has_pin: bool,
}

/// `GET /me/cards/{card}/unbind`: asks once more, and for the PIN.
pub async fn ask_unbind(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Path(card_id): Path<String>,
) -> Result<UnbindPage, Problem> {
    let card = find(&app, borrower_id, &card_id).await?;
    Ok(UnbindPage { page, form: Form::default(), card, has_pin: has_pin(&app, borrower_id).await? })
}

/// `POST /me/cards/{card}/unbind`: after the PIN. Again, as by a second tap, it changes nothing.
pub async fn unbind(
    State(app): State<App>,
    page: Page,
    SignedIn(borrower_id): SignedIn,
    Path(card_id): Path<String>,
    mut form: Form,
) -> Result<Response, Problem> {
    let card = find_ever(&app, borrower_id, &card_id).await?;
    if card.status != CardStatus::Unbound {
        let has_pin = has_pin(&app, borrower_id).await?;
        if !pin_h5::is_confirmed(&app, borrower_id, &mut form).await? {
            return Ok(unprocessable(UnbindPage { page, form, card, has_pin }));
        }
        if let Err(fault) = card_actions::unbind(&app, borrower_id, card.card_id).await {
            return refused(fault, form, |form| unprocessable(UnbindPage { page, form, card, has_pin }));
        }
    }
    page.visit.flash("flash-card-unbound");
    Ok(Redirect::to(LIST).into_response())
}

/// A card of the borrower that is not unbound.
async fn find(app: &App, borrower_id: BorrowerId, card_id: &str) -> Result<Card, Problem> {
    let card = find_ever(app, borrower_id, card_id).await?;
    Some(card).filter(|card| card.status != CardStatus::Unbound).ok_or_else(Problem::not_found)
}

/// A card of the borrower, whether or not it was unbound.
async fn find_ever(app: &App, borrower_id: BorrowerId, card_id: &str) -> Result<Card, Problem> {
    let card_id: CardId = card_id.parse().map_err(|_| Problem::not_found())?;
    let cards = card_actions::cards(app, borrower_id).await?;
    cards.into_iter().find(|card| card.card_id == card_id).ok_or_else(Problem::not_found)
}

/// Where the bank's code is entered; during an application this is a step of it.
fn code_address(next: &str) -> String {
    if next == APPLY { APPLY.to_owned() } else { with_next("/me/cards/code", next) }
}

/// Shows a refusal on the page that `show` makes of the form; a failure is passed on.
fn refused<R: Refusal>(
    fault: Fault<R>,
    mut form: Form,
    show: impl FnOnce(Form) -> Response,
) -> Result<Response, Problem> {
    match fault {
        Fault::Refused(refusal) => {
            form.refuse(&refusal);
            Ok(show(form))
        }
        failed => Err(failed.into()),
    }
}
