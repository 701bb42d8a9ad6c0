//! Use cases of the product factory: check a text, publish it as a version, take a version off sale.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use chrono::NaiveDate;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::counted;
use crate::base::id::ProductId;
use crate::business_day;
use crate::database;
use crate::error::{Fault, Outcome, Refusal};
use crate::funder;
use crate::heavy_work::HeavyWork;

use super::proof::{self, Proof, ProofProblem};
use super::reader::Problem;
use super::store::{self, NewVersion, VersionRow};
use super::{Terms, file};

/// Why a product is not published or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum ProductRefusal {
    #[error("the product file has {}; the first: {}", counted(.0.len(), "problem"), .0[0])]
    Invalid(Vec<Problem>),
    #[error("the product does not pass its proof in {}; the first: {}", counted(.0.len(), "case"), .0[0])]
    Unproven(Vec<ProofProblem>),
    #[error("there is no funder with the code {0:?}: open it with `fenqi funder open`, then publish its products")]
    UnknownFunder(String),
    /// Codes are unique among all funders. The refusal tells that the code is taken, but not by whom.
    #[error("the code {code:?} is taken by a product that is not of {funder:?}: choose another code")]
    CodeTaken { code: String, funder: String },
    #[error("this text was version {0}, which is off sale: change it (a comment is enough) to publish it anew")]
    TextWithdrawn(i32),
    #[error("the terms are valid from {from} on, and {code:?} would be off sale until then: publish them on that day")]
    ValidLater { code: String, from: NaiveDate },
    #[error(
        "the terms were valid until {until}, and {code:?} would be off sale: leave valid_until out, or set a later one"
    )]
    Expired { code: String, until: NaiveDate },
    #[error("there is no product with the code {0:?}")]
    UnknownProduct(String),
    #[error("the product {code:?} has no version {version}")]
    UnknownVersion { code: String, version: i32 },
}

impl Refusal for ProductRefusal {
    fn code(&self) -> &'static str {
        match self {
            ProductRefusal::Invalid(_) => "product_invalid",
            ProductRefusal::Unproven(_) => "product_unproven",
            ProductRefusal::UnknownFunder(_) => "funder_unknown",
            ProductRefusal::CodeTaken { .. } => "product_code_taken",
            ProductRefusal::TextWithdrawn(_) => "product_text_withdrawn",
            ProductRefusal::ValidLater { .. } => "product_valid_later",
            ProductRefusal::Expired { .. } => "product_expired",
            ProductRefusal::UnknownProduct(_) => "product_unknown",
            ProductRefusal::UnknownVersion { .. } => "product_version_unknown",
        }
    }
}

/// A version that is on sale now.
#[derive(Clone, Debug)]
pub struct PublishedVersion {
    pub product_id: ProductId,
    pub code: String,
    pub version: i32,
    /// Whether the same text was on sale already; then nothing was written.
    pub already_published: bool,
    pub proof: Proof,
}

/// Parses and proves a product text without a database.
pub fn check(text: &str) -> Result<(Terms, Proof), ProductRefusal> {
    let terms = file::parse(text).map_err(ProductRefusal::Invalid)?;
    let proof = proof::prove(&terms).map_err(ProductRefusal::Unproven)?;
    Ok((terms, proof))
}

/// Proofs that a node computes at once. Each keeps a processor busy, and purchases must go on meanwhile.
static PROVING: HeavyWork = HeavyWork::at_most(2);

/// Proven texts that a node caches, the one first that was asked for last: the same draft is proven again and again, when it is checked,
/// submitted, edited, approved and published.
const PROVEN_MAX: usize = 32;
static PROVEN: Mutex<VecDeque<Proven>> = Mutex::new(VecDeque::new());

/// The terms and the proof of a text, which depend on nothing but the text.
#[derive(Clone)]
struct Proven {
    sha256: [u8; 32],
    terms: Terms,
    proof: Proof,
}

/// As [`check`], with a cache of the texts that were proven last.
fn check_cached(text: &str) -> Result<(Terms, Proof), ProductRefusal> {
    let sha256: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let before = recall(&mut proven(), sha256);
    if let Some(Proven { terms, proof, .. }) = before {
        return Ok((terms, proof));
    }
    let (terms, proof) = check(text)?;
    remember(&mut proven(), Proven { sha256, terms: terms.clone(), proof: proof.clone() });
    Ok((terms, proof))
}

/// What is known of a text, which is then the last that was asked for.
fn recall(proven: &mut VecDeque<Proven>, sha256: [u8; 32]) -> Option<Proven> {
    let place = proven.iter().position(|known| known.sha256 == sha256)?;
    let found = proven.remove(place)?;
    proven.push_front(found.clone());
    Some(found)
}

/// Keeps a proof once, whoever has computed the same meanwhile, and forgets what nobody has asked for the longest.
fn remember(proven: &mut VecDeque<Proven>, new: Proven) {
    proven.retain(|known| known.sha256 != new.sha256);
    proven.truncate(PROVEN_MAX - 1);
    proven.push_front(new);
}

fn proven() -> MutexGuard<'static, VecDeque<Proven>> {
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`check`], on a blocking thread and no more at a time than [`PROVING`] allows, so that requests are still answered. A proof that has
/// begun runs to its end even if its caller is dropped.
///
/// # Errors
/// The proof panicked, or the program is shutting down.
pub async fn check_apart(text: String) -> anyhow::Result<Result<(Terms, Proof), ProductRefusal>> {
    PROVING.run(move || check_cached(&text)).await
}

/// Publishes a text as the next version of its product and takes the version before it off sale.
///
/// Publishing the same text again returns the same version. Loans and lines keep the version that they were made under. Terms that are not
/// valid today are refused while another version is on sale.
pub async fn publish(app: &App, text: &str) -> Outcome<PublishedVersion, ProductRefusal> {
    let published = publish_all(app, &[text]).await.map_err(|fault| fault.map_refusal(|(_, refusal)| refusal))?;
    Ok(published.into_iter().next().context("one text gives one version")?)
}

/// As [`publish`], for several texts: all of them or none. The versions are in the order of the texts; a refusal has its text's index.
pub async fn publish_all(app: &App, texts: &[&str]) -> Outcome<Vec<PublishedVersion>, (usize, ProductRefusal)> {
    let mut checked = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let proven = check_apart((*text).to_owned()).await?;
        checked.push((place, proven.map_err(|refusal| Fault::Refused((place, refusal)))?));
    }
    // Products are locked in the order of their codes, so that two callers with the same products cannot deadlock.
    checked.sort_by(|(_, (one, _)), (_, (other, _))| one.code.cmp(&other.code));
    let mut transaction = database::begin(&app.pool).await?;
    let mut published = Vec::with_capacity(texts.len());
    for (place, (terms, proof)) in checked {
        let proven = ProvenText { text: texts[place], terms, proof };
        let version = publish_one(&mut transaction, app, proven).await;
        published.push((place, version.map_err(|fault| fault.map_refusal(|refusal| (place, refusal)))?));
    }
    for (place, version) in published.iter().filter(|(_, version)| !version.already_published) {
        let PublishedVersion { product_id, code, version, .. } = version;
        let detail = json!({ "code": code, "version": version, "text_sha256": audit::fingerprint(texts[*place]) });
        audit::record(&mut transaction, app, Act::new(Action::ProductPublished, product_id, detail)).await?;
    }
    transaction.commit().await?;
    published.sort_by_key(|(place, _)| *place);
    Ok(published.into_iter().map(|(_, version)| version).collect())
}

/// A text that has passed [`check`], with its terms and proof.
pub(super) struct ProvenText<'a> {
    pub text: &'a str,
    pub terms: Terms,
    pub proof: Proof,
}

/// Publishes a proven text in the caller's transaction.
pub(super) async fn publish_one(
    connection: &mut PgConnection,
    app: &App,
    proven: ProvenText<'_>,
) -> Outcome<PublishedVersion, ProductRefusal> {
    let ProvenText { text, terms, proof } = proven;
    let sha256 = Sha256::digest(text.as_bytes());
    let now = app.clock.now();
    let Some(funder) = funder::store::find_funder_by_code(connection, &terms.funder).await? else {
        return Err(Fault::Refused(ProductRefusal::UnknownFunder(terms.funder)));
    };
    store::insert_product(connection, ProductId::mint(now), funder.funder_id, &terms.code, now).await?;
    let product = store::lock_product(connection, &terms.code).await?;
    let product = product.ok_or_else(|| anyhow::anyhow!("the product {} vanished while publishing", terms.code))?;
    if product.funder_id != funder.funder_id {
        return Err(Fault::Refused(ProductRefusal::CodeTaken { code: terms.code, funder: terms.funder }));
    }
    let product_id = product.product_id;
    let (version, already_published) = match store::find_version_of_text(connection, product_id, &sha256).await? {
        Some(VersionRow { version, withdrawn_at: Some(_) }) => {
            return Err(Fault::Refused(ProductRefusal::TextWithdrawn(version)));
        }
        Some(VersionRow { version, withdrawn_at: None }) => (version, true),
        None => {
            refuse_gap(connection, app, &terms).await?;
            let versions = store::load_versions(connection, product_id).await?;
            let version = versions.last().map_or(1, |last| last.version + 1);
            let new = NewVersion { product_id, version, terms_text: text, terms_sha256: &sha256, published_at: now };
            store::insert_version(connection, new).await?;
            (version, false)
        }
    };
    Ok(PublishedVersion { product_id, code: terms.code, version, already_published, proof })
}

/// Refuses terms that are not valid today while another version is on sale: publishing them would end that one, and nothing would be sold
/// until their first day, or ever.
async fn refuse_gap(connection: &mut PgConnection, app: &App, terms: &Terms) -> Outcome<(), ProductRefusal> {
    let today = business_day::store::find_today(connection).await?;
    let Some(today) = today.filter(|today| !terms.is_valid_on(*today)) else { return Ok(()) };
    let current = app.catalogue.current(connection, &terms.code).await?;
    if current.is_some_and(|current| current.terms.is_valid_on(today)) {
        let code = terms.code.clone();
        return Err(Fault::Refused(match terms.valid_until.filter(|until| *until < today.date()) {
            Some(until) => ProductRefusal::Expired { code, until },
            None => ProductRefusal::ValidLater { code, from: terms.valid_from },
        }));
    }
    Ok(())
}

/// Takes one version off sale. `true` if it was on sale until now; otherwise nothing changes.
pub async fn withdraw(app: &App, code: &str, version: i32) -> Outcome<bool, ProductRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let Some(product) = store::lock_product(&mut transaction, code).await? else {
        return Err(Fault::Refused(ProductRefusal::UnknownProduct(code.to_owned())));
    };
    let versions = store::load_versions(&mut transaction, product.product_id).await?;
    if !versions.iter().any(|known| known.version == version) {
        return Err(Fault::Refused(ProductRefusal::UnknownVersion { code: code.to_owned(), version }));
    }
    let changed = store::withdraw_version(&mut transaction, product.product_id, version, app.clock.now()).await?;
    if changed {
        let act = Act::new(Action::ProductWithdrawn, product.product_id, json!({ "code": code, "version": version }));
        audit::record(&mut transaction, app, act).await?;
    }
    transaction.commit().await?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_what_is_wrong() {
        let problem =
            |line| Problem { line, field: "name".to_owned(), found: "1".to_owned(), allowed: "a text".to_owned() };
        let told = |problems| ProductRefusal::Invalid(problems).to_string();
        let first = "the first: line 3: name: found 1, allowed: a text";
        assert_eq!(told(vec![problem(3)]), format!("the product file has 1 problem; {first}"));
        assert_eq!(told(vec![problem(3), problem(4)]), format!("the product file has 2 problems; {first}"));
    }

    #[test]
    fn a_text_that_is_asked_for_again_is_remembered_however_many_others_come() {
        let (terms, proof) = check(include_str!("../../products/pay-next-bill.toml")).unwrap();
        let numbered = |number: u8| Proven { sha256: [number; 32], terms: terms.clone(), proof: proof.clone() };
        let mut proven = VecDeque::new();
        for number in 0..=u8::try_from(PROVEN_MAX).unwrap() {
            remember(&mut proven, numbered(number));
            remember(&mut proven, numbered(number));
            assert!(recall(&mut proven, [0; 32]).is_some(), "forgotten when {number} came");
        }
        assert_eq!(proven.len(), PROVEN_MAX);
        assert!(recall(&mut proven, [1; 32]).is_none(), "nobody has asked for it since the most came");
    }
}
