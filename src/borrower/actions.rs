//! Registering people, recording the agreements they sign, and erasing people.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::agreement::Agreement;
use super::card::Owes;
use super::model::{BorrowerRefusal, Person, Profile, Registering, Registration, SignedAgreement, register as decide};
use super::store::{self, BlindIndex, NewConsent, NewPerson, SealedPerson};
use super::{card_store, openid_store, pin_store, subscription_store};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::{BorrowerId, ConsentId};
use crate::base::person::{Mobile, ResidentId};
use crate::database;
use crate::error::{Fault, Outcome};
use crate::page::session;
use crate::page::subject::Subject;
use crate::vault::{Field, Indexed, Vault};

/// How often a registration is tried that lost a race for an ID number, or met a deadlock with one that takes the same
/// mobiles. A second try finds what the other one wrote.
const TRIES_MAX: usize = 3;

/// Registers one person. The same person again is the same account, which takes the new mobile if it is another one.
pub async fn register(app: &App, registration: Registration) -> Outcome<BorrowerId, BorrowerRefusal> {
    let mut registered = register_many(app, &[registration]).await?;
    registered.remove(0).map_err(Fault::Refused)
}

/// As [`register`], for several people; the answers are in the same order. If it fails, nobody is registered.
pub async fn register_many(
    app: &App,
    registrations: &[Registration],
) -> anyhow::Result<Vec<Result<BorrowerId, BorrowerRefusal>>> {
    register_all(app, registrations, How { other_mobile: OtherMobile::Accept, consents: &Consents::default() }).await
}

/// Registers a person who signed in with a mobile and now says who they are. Whoever knows only a name and an ID number must
/// not get into that person's account, so an ID number that is registered with another mobile is refused. The mobile may have
/// been proved weeks ago: it is not taken from somebody who was registered with it meanwhile, and who could then not sign in
/// any more. What the person agrees to is signed at the same time: nobody's identity is kept without it.
pub async fn identify(
    app: &App,
    registration: Registration,
    consents: &Consents,
) -> Outcome<BorrowerId, BorrowerRefusal> {
    let how = How { other_mobile: OtherMobile::Refuse, consents };
    let mut registered = register_all(app, &[registration], how).await?;
    registered.remove(0).map_err(Fault::Refused)
}

/// What a person agrees to while saying who they are.
#[derive(Clone, Debug, Default)]
pub struct Consents {
    /// Each with the SHA-256 of the text that was shown.
    pub texts: Vec<(Agreement, [u8; 32])>,
    /// The device, as its browser names itself.
    pub device: String,
}

/// How people are registered.
#[derive(Clone, Copy)]
struct How<'a> {
    other_mobile: OtherMobile,
    /// What each of them signs at the same time.
    consents: &'a Consents,
}

/// What to do where an ID number is registered with another mobile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OtherMobile {
    /// Take the new one: the person has changed it, and whoever had it before has it no more.
    Accept,
    /// Register nothing: whoever asks may be somebody else. A mobile is not taken from another person either.
    Refuse,
}

async fn register_all(
    app: &App,
    registrations: &[Registration],
    how: How<'_>,
) -> anyhow::Result<Vec<Result<BorrowerId, BorrowerRefusal>>> {
    for _ in 0..TRIES_MAX {
        let mut transaction = database::begin(&app.pool).await?;
        match try_register(&mut transaction, app, registrations, how.other_mobile).await {
            Ok(Some(answers)) => {
                if let Err(refusal) = sign_registered(&mut transaction, app, &answers, how.consents).await? {
                    return Ok(vec![Err(refusal); answers.len()]);
                }
                transaction.commit().await?;
                return Ok(answers);
            }
            Ok(None) => {}
            Err(failure) if database::is_deadlock(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    anyhow::bail!("the same ID numbers or mobiles were registered elsewhere {TRIES_MAX} times at the same moment")
}

/// Has everybody who was registered sign what they agree to; the first refusal is the answer, and then nothing of this transaction may be
/// kept.
async fn sign_registered(
    connection: &mut PgConnection,
    app: &App,
    registered: &[Result<BorrowerId, BorrowerRefusal>],
    consents: &Consents,
) -> sqlx::Result<Result<(), BorrowerRefusal>> {
    let signed_by = |borrower_id: &BorrowerId| {
        let (borrower_id, device) = (*borrower_id, &consents.device);
        let texts = consents.texts.iter();
        texts.map(move |&(agreement, text_sha256)| Signature {
            borrower_id,
            agreement,
            text_sha256,
            device: device.clone(),
        })
    };
    let signatures: Vec<Signature> = registered.iter().flatten().flat_map(signed_by).collect();
    if signatures.is_empty() {
        return Ok(Ok(()));
    }
    Ok(sign_within(connection, app, &signatures).await?.into_iter().collect())
}

/// Answers each registration in order; `None` if another transaction has taken one of the ID numbers or mobiles since they
/// were looked up. Then nothing of this transaction may be kept.
async fn try_register(
    connection: &mut PgConnection,
    app: &App,
    registrations: &[Registration],
    other_mobile: OtherMobile,
) -> anyhow::Result<Option<Vec<Result<BorrowerId, BorrowerRefusal>>>> {
    let hashes: Vec<BlindIndex> = registrations.iter().map(|one| id_number_index(&app.vault, one)).collect();
    let mut known: HashMap<BlindIndex, Person> = HashMap::new();
    for found in store::find_by_id_numbers(connection, &hashes).await? {
        let hash = found.id_number_hash.try_into().map_err(|_| anyhow::anyhow!("a blind index is 32 bytes"))?;
        known.insert(hash, open_person(&app.vault, &found.person)?);
    }
    let mut changes = Changes::default();
    let mut answers = Vec::with_capacity(registrations.len());
    for (registration, hash) in registrations.iter().zip(hashes) {
        let is_taken =
            other_mobile == OtherMobile::Refuse && find_holder(connection, app, &registration.mobile).await?.is_some();
        let answer = decide(known.get(&hash), registration);
        answers.push(match answer {
            Err(refusal) => Err(refusal),
            Ok(Registering::Known(borrower_id)) => Ok(borrower_id),
            Ok(Registering::New) if is_taken => Err(BorrowerRefusal::MobileTaken),
            Ok(Registering::New) => {
                let borrower_id = BorrowerId::mint(app.clock.now());
                changes.add(app, borrower_id, hash, registration);
                Ok(borrower_id)
            }
            // Even where the person was registered with the other mobile only a moment ago.
            Ok(Registering::Moved(_)) if other_mobile == OtherMobile::Refuse => {
                Err(BorrowerRefusal::RegisteredElsewhere)
            }
            Ok(Registering::Moved(borrower_id)) => {
                let former = mobile_index(&app.vault, known[&hash].mobile.reveal());
                // A former mobile that was taken earlier in this batch belongs to nobody after it.
                if changes.pointed.get(&former) == Some(&borrower_id) {
                    changes.pointed.remove(&former);
                }
                changes.released.push((former, borrower_id));
                changes.pointed.insert(mobile_index(&app.vault, registration.mobile.reveal()), borrower_id);
                changes.moved.push((borrower_id, registration.mobile.reveal().to_owned()));
                Ok(borrower_id)
            }
        });
        // A person may occur twice in one batch: the second registration is decided on what the first one leaves.
        if let Ok(borrower_id) = answers[answers.len() - 1] {
            let Registration { name, mobile, .. } = registration.clone();
            known.insert(hash, Person { borrower_id, name, mobile });
        }
    }
    Ok(changes.save(connection, app, other_mobile).await?.then_some(answers))
}

type SealedMobiles = Vec<(BorrowerId, Vec<u8>)>;

/// What a batch of registrations writes.
#[derive(Default)]
struct Changes {
    /// ID numbers of new people.
    claims: Vec<(BlindIndex, BorrowerId)>,
    people: Vec<NewPerson>,
    /// Mobiles that their people have given up.
    released: Vec<(BlindIndex, BorrowerId)>,
    /// Mobiles with their new holders.
    pointed: HashMap<BlindIndex, BorrowerId>,
    /// People with another mobile, which is to be sealed.
    moved: Vec<(BorrowerId, String)>,
}

impl Changes {
    /// Adds a new person.
    fn add(&mut self, app: &App, borrower_id: BorrowerId, hash: BlindIndex, registration: &Registration) {
        let (key, person_key_sealed) = app.vault.new_person_key(borrower_id.uuid());
        self.claims.push((hash, borrower_id));
        self.pointed.insert(mobile_index(&app.vault, registration.mobile.reveal()), borrower_id);
        self.people.push(NewPerson {
            person: SealedPerson {
                borrower_id,
                person_key_sealed,
                name_sealed: key.seal(Field::Name, registration.name.reveal()),
                id_number_sealed: key.seal(Field::IdNumber, registration.resident_id.reveal()),
                mobile_sealed: key.seal(Field::Mobile, registration.mobile.reveal()),
            },
            birth_on: registration.resident_id.birth_on(),
            region_code: registration.resident_id.region_code().to_owned(),
            created_at: app.clock.now(),
        });
    }

    /// Writes everything. `false` if meanwhile an ID number was taken, or a mobile that may not be taken from anybody, or
    /// somebody was erased; then nothing of this transaction may be kept.
    async fn save(
        mut self,
        connection: &mut PgConnection,
        app: &App,
        other_mobile: OtherMobile,
    ) -> anyhow::Result<bool> {
        // In the same order everywhere, so that two batches with the same people never deadlock.
        self.claims.sort_unstable();
        if !self.claims.is_empty() {
            if store::claim_id_numbers(connection, &self.claims).await? < self.claims.len() {
                return Ok(false);
            }
            store::insert_people(connection, &self.people).await?;
        }
        if !self.moved.is_empty() {
            let Some(sealed) = self.seal_moved(connection, app).await? else { return Ok(false) };
            store::update_mobiles(connection, &sealed).await?;
            store::release_mobiles(connection, &self.released).await?;
        }
        if !self.pointed.is_empty() {
            let mut pointed: Vec<(BlindIndex, BorrowerId)> = self.pointed.into_iter().collect();
            pointed.sort_unstable();
            if other_mobile == OtherMobile::Accept {
                store::point_mobiles(connection, &pointed).await?;
            } else if store::claim_mobiles(connection, &pointed).await? < pointed.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Locks the people whose mobiles change, and seals the new ones; `None` if one of them was erased meanwhile.
    async fn seal_moved(&self, connection: &mut PgConnection, app: &App) -> anyhow::Result<Option<SealedMobiles>> {
        let mobiles: HashMap<BorrowerId, &String> = self.moved.iter().map(|(id, mobile)| (*id, mobile)).collect();
        let ids: Vec<BorrowerId> = mobiles.keys().copied().collect();
        let mut sealed = Vec::with_capacity(ids.len());
        for person in store::lock_people(connection, &ids).await? {
            let key = app.vault.open_person_key(person.borrower_id.uuid(), &person.person_key_sealed)?;
            sealed.push((person.borrower_id, key.seal(Field::Mobile, mobiles[&person.borrower_id])));
        }
        Ok((sealed.len() == ids.len()).then_some(sealed))
    }
}

/// An agreement to be signed, with the text that the borrower was shown.
#[derive(Clone, Debug)]
pub struct Signature {
    pub borrower_id: BorrowerId,
    pub agreement: Agreement,
    /// SHA-256 of the text that was shown.
    pub text_sha256: [u8; 32],
    /// The device, as its browser names itself.
    pub device: String,
}

/// Records signatures; the first refusal is the answer.
pub async fn sign(app: &App, signatures: &[Signature]) -> Outcome<(), BorrowerRefusal> {
    let signed = sign_many(app, signatures).await?;
    signed.into_iter().collect::<Result<(), BorrowerRefusal>>().map_err(Fault::Refused)
}

/// Records signatures; the answers are in the same order. Refused are those whose text is not the present one. Signing the
/// same text again changes nothing.
pub async fn sign_many(app: &App, signatures: &[Signature]) -> anyhow::Result<Vec<Result<(), BorrowerRefusal>>> {
    let mut transaction = database::begin(&app.pool).await?;
    let answers = sign_within(&mut transaction, app, signatures).await?;
    transaction.commit().await?;
    Ok(answers)
}

/// As [`sign_many`], in the caller's transaction.
async fn sign_within(
    connection: &mut PgConnection,
    app: &App,
    signatures: &[Signature],
) -> sqlx::Result<Vec<Result<(), BorrowerRefusal>>> {
    let mut borrower_ids: Vec<BorrowerId> = signatures.iter().map(|signature| signature.borrower_id).collect();
    borrower_ids.dedup();
    // Locked, so that of two requests by a second tap the later one finds the agreement signed.
    let held = store::lock_people(connection, &borrower_ids).await?;
    let existing: std::collections::HashSet<BorrowerId> = held.into_iter().map(|person| person.borrower_id).collect();
    let now = app.clock.now();
    let mut consents: Vec<NewConsent> = Vec::with_capacity(signatures.len());
    let answer = |signature: &Signature| {
        if !existing.contains(&signature.borrower_id) {
            return Err(BorrowerRefusal::BorrowerUnknown);
        }
        if signature.text_sha256 != signature.agreement.wording().sha256 {
            return Err(BorrowerRefusal::AgreementOutdated);
        }
        consents.push(NewConsent {
            consent_id: ConsentId::mint(now),
            borrower_id: signature.borrower_id,
            kind: signature.agreement.name(),
            text_sha256: signature.text_sha256,
            device: signature.device.clone(),
            agreed_at: now,
        });
        Ok(())
    };
    let answers = signatures.iter().map(answer).collect();
    let wordings = Agreement::ALL.map(|agreement| (agreement.name(), agreement.wording()));
    store::keep_wordings(connection, &wordings).await?;
    store::insert_consents(connection, &consents).await?;
    Ok(answers)
}

/// The agreements that a person signed, newest first.
pub async fn signed_agreements(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<SignedAgreement>> {
    Ok(store::list_consents(&mut *app.pool.acquire().await?, borrower_id).await?)
}

/// The exact text that a person signed.
pub async fn signed_text(app: &App, borrower_id: BorrowerId, consent_id: ConsentId) -> anyhow::Result<Option<String>> {
    Ok(store::find_consent_text(&mut *app.pool.acquire().await?, borrower_id, consent_id).await?)
}

/// The text of an agreement that a person had signed last by some moment, whether or not they have withdrawn it since.
pub async fn signed_text_at(
    app: &App,
    borrower_id: BorrowerId,
    agreement: Agreement,
    at: DateTime<Utc>,
) -> anyhow::Result<Option<String>> {
    let mut connection = app.pool.acquire().await?;
    Ok(store::find_consent_text_at(&mut connection, borrower_id, agreement.name(), at).await?)
}

/// The agreements of which a person has signed the present text.
pub async fn presently_signed(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Agreement>> {
    let hashes = store::list_consent_hashes(&mut *app.pool.acquire().await?, borrower_id).await?;
    let is_signed = |agreement: &Agreement| hashes.iter().any(|hash| *hash == agreement.wording().sha256);
    Ok(Agreement::ALL.into_iter().filter(is_signed).collect())
}

/// The agreements that a person has signed, in whichever text, and has withdrawn.
pub async fn taken_back(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Agreement>> {
    let kinds = store::list_taken_back(connection, borrower_id).await?;
    Ok(kinds.iter().filter_map(|kind| Agreement::from_name(kind)).collect())
}

/// Withdraws a person's consents of one kind; changes nothing where there are none. A card that could not be bound without it is not
/// bound by a code that is on its way either. The caller holds the person.
pub async fn withdraw(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    agreement: Agreement,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    store::withdraw_consents(&mut *connection, borrower_id, agreement.name(), now).await?;
    if agreement == Agreement::Withholding || agreement.may_be_withdrawn() {
        card_store::end_signings_of(connection, borrower_id).await?;
    }
    Ok(())
}

/// A person as shown to themselves.
pub async fn profile(app: &App, borrower_id: BorrowerId) -> Outcome<Profile, BorrowerRefusal> {
    let people = store::find_people(&mut *app.pool.acquire().await?, &[borrower_id]).await?;
    let sealed = people.first().ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    let person = open_person(&app.vault, sealed)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &sealed.person_key_sealed).map_err(anyhow::Error::from)?;
    let number = key.open(Field::IdNumber, &sealed.id_number_sealed).map_err(anyhow::Error::from)?;
    // Any day from the birth on will do: whoever is registered was born before today.
    let resident_id = ResidentId::parse(&number, BusinessDay::at(app.clock.now())).map_err(anyhow::Error::from)?;
    Ok(Profile { name: person.name, resident_id, mobile: person.mobile })
}

/// Whether a person owes anything, be it only interest that was not billed yet.
pub async fn owes(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Owes> {
    let mut transaction = database::begin(&app.pool).await?;
    let owes = store::hold_debts(&mut transaction, borrower_id).await?;
    transaction.rollback().await?;
    Ok(owes)
}

/// Erases a person: the key is deleted, so that nothing sealed under it can be read again, and nobody finds them by ID
/// number, mobile or card any more. Their cards are unbound: whatever is found to be owed later, nobody could be told that one was
/// charged. All their sessions end. Lines, loans and books stay, without a name. A caller that holds the business day must have locked
/// the person's lines before it.
pub async fn erase(connection: &mut PgConnection, app: &App, borrower_id: BorrowerId) -> Outcome<(), BorrowerRefusal> {
    let owes = store::hold_debts(connection, borrower_id).await?;
    // Persons are locked after lines and the business day: whoever applies holds the day while they wait for the person.
    let people = store::lock_people(connection, &[borrower_id]).await?;
    let person = people.first().ok_or(Fault::Refused(BorrowerRefusal::BorrowerUnknown))?;
    let open = store::load_open_business(connection, borrower_id).await?;
    if owes == Owes::Something || open.has_line {
        return Err(Fault::Refused(BorrowerRefusal::StillOwing));
    }
    // Money that is owed back could not be paid any more: the card's number is not readable after this.
    if store::sum_in_transit(connection, borrower_id).await?.is_some() {
        return Err(Fault::Refused(BorrowerRefusal::MoneyInTransit));
    }
    // An erased person could not be told the decision.
    if open.is_applying {
        return Err(Fault::Refused(BorrowerRefusal::ApplicationOpen));
    }
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed).map_err(anyhow::Error::from)?;
    let id_number = key.open(Field::IdNumber, &person.id_number_sealed).map_err(anyhow::Error::from)?;
    let mobile = key.open(Field::Mobile, &person.mobile_sealed).map_err(anyhow::Error::from)?;
    store::release_id_number(connection, &app.vault.index(Indexed::IdNumber, &id_number)).await?;
    store::release_mobiles(connection, &[(mobile_index(&app.vault, &mobile), borrower_id)]).await?;
    pin_store::delete(connection, borrower_id).await?;
    openid_store::release(connection, borrower_id).await?;
    openid_store::delete(connection, borrower_id).await?;
    subscription_store::delete(connection, borrower_id).await?;
    card_store::erase_cards(connection, borrower_id).await?;
    session::end_all(connection, Subject::borrower(borrower_id)).await?;
    store::delete_person_key(connection, borrower_id).await?;
    Ok(())
}

/// The borrower who holds a mobile now.
pub async fn find_by_mobile(app: &App, mobile: &Mobile) -> anyhow::Result<Option<BorrowerId>> {
    Ok(find_holder(&mut *app.pool.acquire().await?, app, mobile).await?)
}

/// The borrower who is registered with an ID number.
pub async fn find_by_id_number(app: &App, number: &ResidentId) -> anyhow::Result<Option<BorrowerId>> {
    let hash = app.vault.index(Indexed::IdNumber, number.reveal());
    let found = store::find_by_id_numbers(&mut *app.pool.acquire().await?, &[hash]).await?;
    Ok(found.first().map(|found| found.person.borrower_id))
}

/// As [`find_by_mobile`], in the caller's transaction.
pub(super) async fn find_holder(
    connection: &mut PgConnection,
    app: &App,
    mobile: &Mobile,
) -> sqlx::Result<Option<BorrowerId>> {
    store::find_by_mobile(connection, &mobile_index(&app.vault, mobile.reveal())).await
}

/// How a person is reached by short message.
#[derive(Clone, Debug)]
pub enum Reach {
    Mobile(Mobile),
    /// The stored mobile cannot be opened with the configured master keys.
    Sealed,
}

/// The mobiles of people, for a partner that writes to them; those erased are missing.
///
/// # Errors
/// Failures of the database.
pub async fn reach(app: &App, borrower_ids: &[BorrowerId]) -> anyhow::Result<HashMap<BorrowerId, Reach>> {
    let people = store::find_people(&mut *app.pool.acquire().await?, borrower_ids).await?;
    let open = |sealed: &SealedPerson| -> anyhow::Result<Mobile> {
        let key = app.vault.open_person_key(sealed.borrower_id.uuid(), &sealed.person_key_sealed)?;
        Ok(key.open(Field::Mobile, &sealed.mobile_sealed)?.parse()?)
    };
    Ok(people.iter().map(|sealed| (sealed.borrower_id, open(sealed).map_or(Reach::Sealed, Reach::Mobile))).collect())
}

pub(super) fn open_person(vault: &Vault, sealed: &SealedPerson) -> anyhow::Result<Person> {
    let key = vault.open_person_key(sealed.borrower_id.uuid(), &sealed.person_key_sealed)?;
    Ok(Person {
        borrower_id: sealed.borrower_id,
        name: key.open(Field::Name, &sealed.name_sealed)?.parse()?,
        mobile: key.open(Field::Mobile, &sealed.mobile_sealed)?.parse()?,
    })
}

fn id_number_index(vault: &Vault, registration: &Registration) -> BlindIndex {
    vault.index(Indexed::IdNumber, registration.resident_id.reveal())
}

pub(super) fn mobile_index(vault: &Vault, mobile: &str) -> BlindIndex {
    vault.index(Indexed::Mobile, mobile)
}
