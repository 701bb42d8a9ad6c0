//! Use cases of drafts: submit, edit, approve by a second key, publish.

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::actions::{self, ProductRefusal, ProvenText, PublishedVersion};
use super::draft::{Draft, DraftRefusal, DraftStatus};
use super::draft_store::{self, Submission};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::Wanted;
use crate::base::id::{FunderId, ProductDraftId};
use crate::database;
use crate::error::{Attempt, Fault, Outcome};
use crate::funder;

/// Who makes a request about drafts: the funder, its system, and the holder of the key that signed; with the request's idempotency key, and
/// whether it may be a repetition.
#[derive(Clone, Debug)]
pub struct Signatory {
    pub funder_id: FunderId,
    pub partner_id: Uuid,
    pub holder: String,
    pub idempotency_key: String,
    pub attempt: Attempt,
}

/// The draft and the edit of it that somebody has read who now edits or approves it.
#[derive(Clone, Copy, Debug)]
pub struct DraftRead {
    pub draft_id: ProductDraftId,
    /// Counts its edits, from 1.
    pub edit_no: i32,
}

/// Proves a text and stores it as a draft. Repeated under the same idempotency key, it returns the same draft.
pub async fn submit(app: &App, by: &Signatory, text: String) -> Outcome<Draft, DraftRefusal> {
    let code = prove(app, by.funder_id, &text).await?;
    let now = app.clock.now();
    let draft = Draft {
        draft_id: ProductDraftId::mint(now),
        funder_id: by.funder_id,
        code,
        terms_text: text,
        edit_no: 1,
        status: DraftStatus::Submitted,
        submitted_by: by.holder.clone(),
        submitted_at: now,
        approved_by: None,
        approved_at: None,
        published_version: None,
    };
    let text_sha256 = Sha256::digest(&draft.terms_text).into();
    let submission = Submission { partner_id: by.partner_id, idempotency_key: &by.idempotency_key, text_sha256 };
    let mut transaction = database::begin(&app.pool).await?;
    if draft_store::insert_draft(&mut transaction, &draft, &submission).await? {
        audit::record(&mut transaction, app, act(Action::DraftSubmitted, &draft)).await?;
        transaction.commit().await?;
        return Ok(draft);
    }
    let made = draft_store::find_submitted(&mut transaction, &submission).await?;
    transaction.rollback().await?;
    find(app, by.funder_id, made).await
}

/// Replaces the text of a draft that was not approved yet. A repeated request changes nothing.
pub async fn edit(app: &App, by: &Signatory, read: DraftRead, text: String) -> Outcome<Draft, DraftRefusal> {
    let mut draft = find(app, by.funder_id, read.draft_id).await?;
    if by.attempt == Attempt::Again && draft.has_taken(read.edit_no, &text, &by.holder) {
        return Ok(draft);
    }
    draft.check_editable().map_err(Fault::Refused)?;
    draft.code = prove(app, by.funder_id, &text).await?;
    draft.terms_text = text;
    draft.submitted_by.clone_from(&by.holder);
    draft.submitted_at = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    if !draft_store::edit_draft(&mut transaction, &draft, read.edit_no).await? {
        return Err(Fault::Refused(DraftRefusal::EditedSince));
    }
    audit::record(&mut transaction, app, act(Action::DraftEdited, &draft)).await?;
    transaction.commit().await?;
    find(app, by.funder_id, read.draft_id).await
}

/// Approves the edit that was read, by a key with another holder than the submitter's. A repeated request changes nothing.
pub async fn approve(app: &App, by: &Signatory, read: DraftRead) -> Outcome<Draft, DraftRefusal> {
    let DraftRead { draft_id, edit_no } = read;
    let draft = find(app, by.funder_id, draft_id).await?;
    draft.check_approval(&by.holder, edit_no).map_err(Fault::Refused)?;
    if draft.status != DraftStatus::Submitted {
        return Ok(draft);
    }
    let mut transaction = database::begin(&app.pool).await?;
    let now = app.clock.now();
    // The draft may have been edited since it was read here, even by the approver: the statement checks edit and submitter again.
    if !draft_store::approve_draft(&mut transaction, draft_id, edit_no, &by.holder, now).await? {
        return Err(Fault::Refused(DraftRefusal::EditedSince));
    }
    audit::record(&mut transaction, app, act(Action::DraftApproved, &draft)).await?;
    transaction.commit().await?;
    find(app, by.funder_id, draft_id).await
}

/// Publishes an approved draft as its product's next version. A repeated request returns the same version.
pub async fn publish(app: &App, by: &Signatory, draft_id: ProductDraftId) -> Outcome<Draft, DraftRefusal> {
    let draft = find(app, by.funder_id, draft_id).await?;
    match draft.status {
        DraftStatus::Submitted => return Err(Fault::Refused(DraftRefusal::NotApproved)),
        DraftStatus::Published => return Ok(draft),
        DraftStatus::Approved => {}
    }
    let checked = actions::check_apart(draft.terms_text.clone()).await?;
    let (terms, proof) = checked.map_err(|refusal| Fault::Refused(DraftRefusal::Product(refusal)))?;
    let proven = ProvenText { text: &draft.terms_text, terms, proof };
    // In one transaction: a repeated request must find which version the draft has become, even after that was taken off sale.
    let mut transaction = database::begin(&app.pool).await?;
    let published = actions::publish_one(&mut transaction, app, proven).await;
    let published = published.map_err(|fault| fault.map_refusal(DraftRefusal::Product))?;
    let PublishedVersion { product_id, version, .. } = published;
    if draft_store::mark_published(&mut transaction, draft_id, version).await? {
        let text_sha256 = audit::fingerprint(&draft.terms_text);
        let detail =
            json!({ "draft_id": draft_id, "code": draft.code, "version": version, "text_sha256": text_sha256 });
        audit::record(&mut transaction, app, Act::new(Action::ProductPublished, product_id, detail)).await?;
    }
    transaction.commit().await?;
    find(app, by.funder_id, draft_id).await
}

/// The audit trail's entry for an action on a draft.
fn act(action: Action, draft: &Draft) -> Act {
    let Draft { draft_id, code, terms_text, .. } = draft;
    Act::new(action, draft_id, json!({ "code": code, "text_sha256": audit::fingerprint(terms_text) }))
}

/// The product's code, if the text passes the proof and names this funder.
async fn prove(app: &App, funder_id: FunderId, text: &str) -> Outcome<String, DraftRefusal> {
    let checked = actions::check_apart(text.to_owned()).await?;
    let (terms, _) = checked.map_err(|refusal: ProductRefusal| Fault::Refused(DraftRefusal::Product(refusal)))?;
    let mut connection = app.pool.acquire().await?;
    let funder = funder::store::find_funder_by_code(&mut connection, &terms.funder).await?;
    match funder {
        Some(funder) if funder.funder_id == funder_id => Ok(terms.code),
        _ => Err(Fault::Refused(DraftRefusal::OfAnotherFunder(terms.funder))),
    }
}

async fn find(app: &App, funder_id: FunderId, draft_id: ProductDraftId) -> Outcome<Draft, DraftRefusal> {
    let mut connection = app.pool.acquire().await?;
    let mut found = draft_store::list_drafts(&mut connection, funder_id, Wanted::One(draft_id), 1).await?;
    found.pop().ok_or(Fault::Refused(DraftRefusal::UnknownDraft))
}
