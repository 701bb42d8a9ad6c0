//! Binding a card by signing the withholding agreement, and choosing and unbinding cards.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::agreement::Agreement;
use super::card::{
    self, CODE_AGAIN_AFTER, CODE_VALID, CODES_MAX, Card, CardBinding, CardCode, CardRefusal, CardStatus, PER_ADDRESS,
    PER_BORROWER, PER_CARD, PER_CARD_MOBILE, Signing, SigningStatus, Trying, Unbinding,
};
use super::card_store::{self, BindingState, NewSigning, OpenSigning, SignedCard};
use super::store::{self, BlindIndex, SealedPerson};
use crate::app::App;
use crate::base::id::{BorrowerId, CardId};
use crate::base::person::{CardNumber, Mobile};
use crate::database;
use crate::error::{Fault, Outcome};
use crate::partner::card_signing::NAME as CARD_SIGNING;
use crate::partner::card_signing::client::{self as signing_client, CodeVerdict, Elements, StartVerdict, TypedCode};
use crate::passcode::{self, Window};
use crate::vault::{Field, Indexed, PersonKey};

/// Has the channel send its code to the cardholder. The id names the signing, and the card once it is confirmed.
pub async fn start_binding(app: &App, binding: CardBinding) -> Outcome<CardId, CardRefusal> {
    let mut started = start_binding_many(app, &[binding]).await?;
    started.remove(0).map_err(Fault::Refused)
}

/// As [`start_binding`], from a page: requests are limited, and each is counted before the bank is asked. `address` is the
/// browser's network address, where it is known.
pub async fn request_code(app: &App, binding: CardBinding, address: Option<&str>) -> Outcome<CardId, CardRefusal> {
    let (borrower, number) = (binding.borrower_id.to_string(), binding.number.reveal());
    let mobile = binding.mobile.reveal();
    let tries = [
        Some((PER_CARD, format!("{borrower}:{number}"))),
        Some((PER_CARD, format!("{mobile}:{number}"))),
        Some((PER_BORROWER, borrower)),
        Some((PER_CARD_MOBILE, mobile.to_owned())),
        address.map(|address| (PER_ADDRESS, address.to_owned())),
    ];
    let tries: Vec<(Window, String)> = tries.into_iter().flatten().collect();
    match passcode::count_unless_full(app, &tries).await? {
        None => start_binding(app, binding).await,
        Some((full, _)) if full == PER_CARD => Err(Fault::Refused(CardRefusal::CodeTooSoon)),
        Some((_, until)) => Err(Fault::Refused(CardRefusal::TooManyCodes { until })),
    }
}

/// As [`start_binding`], for several cards; the answers are in the same order.
pub async fn start_binding_many(
    app: &App,
    bindings: &[CardBinding],
) -> anyhow::Result<Vec<Result<CardId, CardRefusal>>> {
    let prepared = prepare(app, bindings).await?;
    let elements = prepared.iter().flatten().map(|prepared| prepared.elements.clone()).collect();
    let mut asked = match app.partners.client(CARD_SIGNING) {
        Ok(client) => signing_client::start(client, elements).await,
        Err(error) => Err(error),
    }
    .unwrap_or_else(|error| {
        // Every signing without an answer is told below that the bank is silent.
        tracing::warn!(%error, "cards cannot be signed");
        HashMap::new()
    });
    let mut signings = Vec::with_capacity(asked.len());
    let mut results = Vec::with_capacity(bindings.len());
    for prepared in prepared {
        results.push(match prepared {
            Err(refusal) => Err(refusal),
            Ok(prepared) => match asked.remove(&prepared.signing.card_id) {
                Some(StartVerdict::CodeSent { challenge }) => {
                    let card_id = prepared.signing.card_id;
                    signings.push(NewSigning { challenge, ..prepared.signing });
                    Ok(card_id)
                }
                Some(StartVerdict::Refused { channel_code }) => Err(CardRefusal::RefusedByBank { channel_code }),
                None => Err(CardRefusal::BankSilent),
            },
        });
    }
    save_signings(app, signings).await?;
    Ok(results)
}

/// Stores signings, except those of people who were erased, or took a consent back, while the bank was asked.
async fn save_signings(app: &App, signings: Vec<NewSigning>) -> sqlx::Result<()> {
    let wishes: Vec<(BorrowerId, BlindIndex)> =
        signings.iter().map(|signing| (signing.borrower_id, signing.number_hash)).collect();
    let borrower_ids: Vec<BorrowerId> = signings.iter().map(|signing| signing.borrower_id).collect();
    let mut transaction = database::begin(&app.pool).await?;
    let people = store::hold_people(&mut transaction, &borrower_ids).await?;
    let people: HashSet<BorrowerId> = people.into_iter().map(|person| person.borrower_id).collect();
    let states = find_states(&mut transaction, &wishes).await?;
    let is_kept = |(signing, state): &(NewSigning, BindingState)| {
        people.contains(&signing.borrower_id) && state.agreed && !state.taken_back
    };
    let kept: Vec<NewSigning> = signings.into_iter().zip(states).filter(is_kept).map(|(signing, _)| signing).collect();
    card_store::insert_signings(&mut transaction, &kept).await?;
    transaction.commit().await
}

/// What decides on each pair of borrower and card number, in the given order.
async fn find_states(
    connection: &mut PgConnection,
    wishes: &[(BorrowerId, BlindIndex)],
) -> sqlx::Result<Vec<BindingState>> {
    let may_be_withdrawn = Agreement::ALL.into_iter().filter(|agreement| agreement.may_be_withdrawn());
    let consents: Vec<&str> = may_be_withdrawn.map(Agreement::name).collect();
    card_store::find_binding_states(connection, wishes, &Agreement::Withholding.wording().sha256, &consents).await
}

/// A binding that passed our own checks.
struct Prepared {
    elements: Elements,
    signing: NewSigning,
}

/// Checks each binding and collects the four elements that the bank compares (name, ID number, card, mobile); nothing is
/// written.
async fn prepare(app: &App, bindings: &[CardBinding]) -> anyhow::Result<Vec<Result<Prepared, CardRefusal>>> {
    let borrower_ids: Vec<BorrowerId> = bindings.iter().map(|binding| binding.borrower_id).collect();
    let wishes: Vec<(BorrowerId, BlindIndex)> = bindings
        .iter()
        .map(|binding| (binding.borrower_id, app.vault.index(Indexed::CardNumber, binding.number.reveal())))
        .collect();
    let mut connection = app.pool.acquire().await?;
    let people = store::find_people(&mut connection, &borrower_ids).await?;
    let states = find_states(&mut connection, &wishes).await?;
    drop(connection);
    let people: HashMap<BorrowerId, SealedPerson> =
        people.into_iter().map(|person| (person.borrower_id, person)).collect();
    bindings
        .iter()
        .zip(wishes)
        .zip(states)
        .map(|((binding, (_, number_hash)), state)| {
            let Some(person) = people.get(&binding.borrower_id) else { return Ok(Err(CardRefusal::BorrowerUnknown)) };
            if let Err(refusal) = may_bind(&state) {
                return Ok(Err(refusal));
            }
            let key = app.vault.open_person_key(binding.borrower_id.uuid(), &person.person_key_sealed)?;
            Ok(Ok(prepare_one(app, binding, person, &key, number_hash)?))
        })
        .collect()
}

fn may_bind(state: &BindingState) -> Result<(), CardRefusal> {
    match state.bound_card_id {
        Some(card_id) => Err(CardRefusal::AlreadyBound { card_id }),
        // The bank is told who the person is, which takes their consent.
        None if !state.agreed || state.taken_back => Err(CardRefusal::AgreementMissing),
        None => Ok(()),
    }
}

fn prepare_one(
    app: &App,
    binding: &CardBinding,
    person: &SealedPerson,
    key: &PersonKey,
    number_hash: BlindIndex,
) -> anyhow::Result<Prepared> {
    let now = app.clock.now();
    let card_id = CardId::mint(now);
    let (number, mobile) = (binding.number.reveal(), binding.mobile.reveal());
    let elements = Elements {
        card_id,
        name: key.open(Field::Name, &person.name_sealed)?,
        id_number: key.open(Field::IdNumber, &person.id_number_sealed)?,
        card_number: number.to_owned(),
        mobile: mobile.to_owned(),
    };
    let signing = NewSigning {
        borrower_id: binding.borrower_id,
        card_id,
        number_sealed: key.seal(Field::CardNumber, number),
        number_hash,
        number_tail: binding.number.tail().to_owned(),
        mobile_sealed: key.seal(Field::CardMobile, mobile),
        challenge: String::new(),
        started_at: now,
        expires_at: now + CODE_VALID,
    };
    Ok(Prepared { elements, signing })
}

/// A card whose binding waits for the code that the bank sent.
#[derive(Clone, Debug)]
pub struct Awaiting {
    pub card_id: CardId,
    pub number_tail: String,
    pub mobile: Mobile,
    /// When another code may be asked for.
    pub again_at: DateTime<Utc>,
}

/// The card that a borrower began to bind last, as long as its code can be entered.
pub async fn awaiting_code(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<Awaiting>> {
    let mut connection = app.pool.acquire().await?;
    let Some(signing) = card_store::find_open_signing(&mut connection, borrower_id, app.clock.now()).await? else {
        return Ok(None);
    };
    if signing.codes_tried >= CODES_MAX {
        return Ok(None);
    }
    let mobile = open_signing(app, &mut connection, borrower_id, &signing).await?.1;
    let again_at = signing.started_at + CODE_AGAIN_AFTER;
    Ok(Some(Awaiting { card_id: signing.card_id, number_tail: signing.number_tail, mobile, again_at }))
}

/// Has the bank send another code for that card; this begins a new signing.
pub async fn send_code_again(
    app: &App,
    borrower_id: BorrowerId,
    address: Option<&str>,
) -> Outcome<CardId, CardRefusal> {
    let mut connection = app.pool.acquire().await?;
    let signing = card_store::find_open_signing(&mut connection, borrower_id, app.clock.now()).await?;
    let signing = signing.ok_or(Fault::Refused(CardRefusal::SigningEnded))?;
    if app.clock.now() < signing.started_at + CODE_AGAIN_AFTER {
        return Err(Fault::Refused(CardRefusal::CodeTooSoon));
    }
    let (number, mobile) = open_signing(app, &mut connection, borrower_id, &signing).await?;
    drop(connection);
    request_code(app, CardBinding { borrower_id, number, mobile }, address).await
}

/// The card's number and mobile, opened.
async fn open_signing(
    app: &App,
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    signing: &OpenSigning,
) -> anyhow::Result<(CardNumber, Mobile)> {
    let people = store::find_people(connection, &[borrower_id]).await?;
    let person = people.first().ok_or(CardRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let number = key.open(Field::CardNumber, &signing.number_sealed)?;
    let mobile = key.open(Field::CardMobile, &signing.mobile_sealed)?;
    Ok((number.parse()?, mobile.parse()?))
}

/// Deletes signings that came to nothing a while ago; returns how many.
///
/// # Errors
/// Failures of the database.
pub async fn forget_signings(app: &App) -> anyhow::Result<u64> {
    let before = app.clock.now() - card::ENDED_KEPT;
    Ok(card_store::delete_ended_signings(&mut *app.pool.acquire().await?, before).await?)
}

/// Binds the card if this is the code that the channel sent. Confirming again gives the same card.
pub async fn confirm_binding(app: &App, code: CardCode) -> Outcome<CardId, CardRefusal> {
    let mut confirmed = confirm_binding_many(app, &[code]).await?;
    confirmed.remove(0).map_err(Fault::Refused)
}

/// As [`confirm_binding`], from a page. A code that binds a card no longer counts at the browser's network address `address`,
/// so that people who bind their cards leave room for others who share the address of a school or a carrier.
pub async fn confirm_code(app: &App, code: CardCode, address: Option<&str>) -> Outcome<CardId, CardRefusal> {
    let Confirmed { mut results, signed } = confirm(app, &[code]).await?;
    // Not where the card was bound before: repeating one right code would otherwise allow any number of requests.
    if let Some(address) = address.filter(|_| signed > 0) {
        passcode::take_back(app, PER_ADDRESS, address).await?;
    }
    results.remove(0).map_err(Fault::Refused)
}

/// As [`confirm_binding`], for several codes; the answers are in the same order.
pub async fn confirm_binding_many(app: &App, codes: &[CardCode]) -> anyhow::Result<Vec<Result<CardId, CardRefusal>>> {
    Ok(confirm(app, codes).await?.results)
}

/// The answers to codes, in order.
struct Confirmed {
    results: Vec<Result<CardId, CardRefusal>>,
    /// How many signings became signed just now.
    signed: u64,
}

/// Counts each try before the bank is asked, so that parallel requests get no more tries than successive ones; it is given
/// back where the bank does not answer.
async fn confirm(app: &App, codes: &[CardCode]) -> anyhow::Result<Confirmed> {
    let keys: Vec<(BorrowerId, CardId)> = codes.iter().map(|code| (code.borrower_id, code.card_id)).collect();
    let now = app.clock.now();
    let mut connection = app.pool.acquire().await?;
    let counted = card_store::count_codes(&mut connection, &keys, now).await?;
    let signings = card_store::find_signings(&mut connection, &keys).await?;
    drop(connection);
    let counted: HashSet<CardId> = counted.into_iter().collect();
    let signings: HashMap<CardId, Signing> = signings.into_iter().map(|signing| (signing.card_id, signing)).collect();
    let tried = |code: &CardCode| {
        let signing = signings.get(&code.card_id).ok_or(CardRefusal::CardUnknown)?;
        if counted.contains(&code.card_id) { Ok(Trying::AskChannel) } else { signing.outcome_without_try() }
    };
    let tries: Vec<Result<Trying, CardRefusal>> = codes.iter().map(tried).collect();
    let asked: Vec<TypedCode> = codes
        .iter()
        .zip(&tries)
        .filter(|(_, trying)| **trying == Ok(Trying::AskChannel))
        .map(|(code, _)| TypedCode {
            card_id: code.card_id,
            challenge: signings[&code.card_id].challenge.clone(),
            sms_code: code.code.clone(),
        })
        .collect();
    let answers = ask_channel(app, asked).await;
    let mut ended = Ended::default();
    let mut results = Vec::with_capacity(codes.len());
    for (code, trying) in codes.iter().zip(tries) {
        results.push(match trying {
            Err(refusal) => Err(refusal),
            Ok(Trying::AlreadySigned) => Ok(code.card_id),
            Ok(Trying::AskChannel) => ended.take(code, answers.get(&signings[&code.card_id].challenge), now),
        });
    }
    let Saved { cards, signed } = ended.save(app, &keys).await?;
    let results = results.into_iter().map(|result| result.map(|id| cards.get(&id).copied().unwrap_or(id))).collect();
    Ok(Confirmed { results, signed })
}

async fn ask_channel(app: &App, codes: Vec<TypedCode>) -> HashMap<String, CodeVerdict> {
    let told = match app.partners.client(CARD_SIGNING) {
        Ok(client) => signing_client::confirm(client, codes).await,
        Err(error) => Err(error),
    };
    told.unwrap_or_else(|error| {
        // Every code without an answer is told that the bank is silent, and may be entered again.
        tracing::warn!(%error, "codes cannot be confirmed");
        HashMap::new()
    })
}

/// What the channel's answers do to signings.
#[derive(Default)]
struct Ended {
    signed: Vec<SignedCard>,
    silent: Vec<(BorrowerId, CardId)>,
    refused: Vec<(BorrowerId, CardId)>,
}

impl Ended {
    /// Notes the answer to one code; returns the card, or why it is not bound.
    fn take(
        &mut self,
        code: &CardCode,
        answer: Option<&CodeVerdict>,
        now: DateTime<Utc>,
    ) -> Result<CardId, CardRefusal> {
        let (borrower_id, card_id) = (code.borrower_id, code.card_id);
        match answer {
            Some(CodeVerdict::Signed { agreement_number }) => {
                let agreement_number = agreement_number.clone();
                self.signed.push(SignedCard { borrower_id, card_id, agreement_number, signed_at: now });
                Ok(card_id)
            }
            Some(CodeVerdict::CodeWrong) => Err(CardRefusal::CodeWrong),
            Some(CodeVerdict::Ended) => {
                self.refused.push((borrower_id, card_id));
                Err(CardRefusal::SigningEnded)
            }
            None => {
                self.silent.push((borrower_id, card_id));
                Err(CardRefusal::BankSilent)
            }
        }
    }

    async fn save(mut self, app: &App, keys: &[(BorrowerId, CardId)]) -> sqlx::Result<Saved> {
        let mut transaction = database::begin(&app.pool).await?;
        let mut signed_now = 0;
        if !self.signed.is_empty() {
            let mut borrower_ids: Vec<BorrowerId> = self.signed.iter().map(|card| card.borrower_id).collect();
            borrower_ids.dedup();
            // Locked, so that two first cards at once do not both become the default one. Whoever was erased meanwhile gets
            // no card.
            let people = store::lock_people(&mut transaction, &borrower_ids).await?;
            let people: HashSet<BorrowerId> = people.into_iter().map(|person| person.borrower_id).collect();
            self.signed.retain(|card| people.contains(&card.borrower_id));
            card_store::lock_cards_of(&mut transaction, &borrower_ids).await?;
            let signed: Vec<(BorrowerId, CardId)> =
                self.signed.iter().map(|card| (card.borrower_id, card.card_id)).collect();
            card_store::bind_signed(&mut transaction, &self.signed).await?;
            signed_now = card_store::end_signings(&mut transaction, &signed, SigningStatus::Signed).await?;
        }
        if !self.silent.is_empty() {
            card_store::uncount_codes(&mut transaction, &self.silent).await?;
        }
        if !self.refused.is_empty() {
            card_store::end_signings(&mut transaction, &self.refused, SigningStatus::Refused).await?;
        }
        let cards = card_store::find_signed_cards(&mut transaction, keys).await?;
        transaction.commit().await?;
        Ok(Saved { cards: cards.into_iter().collect(), signed: signed_now })
    }
}

/// What was saved.
struct Saved {
    /// The card that each signing became.
    cards: HashMap<CardId, CardId>,
    /// As in [`Confirmed`].
    signed: u64,
}

/// All cards of a borrower, unbound ones included.
pub async fn cards(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Card>> {
    Ok(card_store::list_cards(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// The card that is charged first: the default, or the oldest bound one if there is no default.
pub async fn card_to_charge(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Option<Card>> {
    let bound = cards(app, borrower_id).await?.into_iter().filter(|card| card.status == CardStatus::Bound);
    Ok(bound.min_by_key(|card| !card.is_default))
}

/// Whether money can be taken from any of a borrower's cards.
pub async fn has_bound_card(app: &App, borrower_id: BorrowerId) -> anyhow::Result<bool> {
    Ok(card_to_charge(app, borrower_id).await?.is_some())
}

/// Makes a bound card the one that is charged first.
pub async fn set_default(app: &App, borrower_id: BorrowerId, card_id: CardId) -> Outcome<(), CardRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let cards = card_store::lock_cards(&mut transaction, borrower_id).await?;
    let card = cards.iter().find(|card| card.card_id == card_id);
    match card.ok_or(Fault::Refused(CardRefusal::CardUnknown))?.status {
        CardStatus::Bound => {}
        CardStatus::Invalid | CardStatus::Unbound => return Err(Fault::Refused(CardRefusal::NotChargeable)),
    }
    card_store::clear_default(&mut transaction, borrower_id).await?;
    card_store::set_default(&mut transaction, borrower_id, card_id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Unbinds a card; the last one stays while money is owed. Unbinding again changes nothing.
pub async fn unbind(app: &App, borrower_id: BorrowerId, card_id: CardId) -> Outcome<(), CardRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let owes = store::hold_debts(&mut transaction, borrower_id).await?;
    let cards = card_store::lock_cards(&mut transaction, borrower_id).await?;
    match card::unbind(&cards, card_id, owes).map_err(Fault::Refused)? {
        Unbinding::AlreadyUnbound => {}
        Unbinding::Unbind { next_default } => {
            card_store::set_card_status(&mut transaction, borrower_id, card_id, CardStatus::Unbound).await?;
            if let Some(next_default) = next_default {
                card_store::set_default(&mut transaction, borrower_id, next_default).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(())
}
