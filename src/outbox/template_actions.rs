//! Use cases of templates: save the next version, and try one on a past event without sending anything.

use std::slice;

use serde_json::json;

use super::actions::{EventRefusal, not_found};
use super::carrier::funder::body_of_call;
use super::catalogue::{self, Audience, EventKind};
use super::completion::complete;
use super::event_store;
use super::template::{Telling, Template, TemplateRefusal};
use super::template_store::{self as store, Active, NewVersion, Version};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::FunderId;
use crate::database;
use crate::error::{Attempt, Fault, Outcome};
use crate::heavy_work::HeavyWork;

/// How a kind of event is to be told from now on, and who says so.
#[derive(Clone, Debug)]
pub struct Saving<'a> {
    pub funder_id: FunderId,
    pub kind: &'a str,
    /// The version that the caller has read; 0 where there was none.
    pub after_version: i32,
    pub attempt: Attempt,
    pub telling: &'a Telling,
    pub by: &'a str,
}

/// Saves the next version of how a kind is told, once a template passes its checks; returns the version. Events that wait are
/// told by it too, or end. A repeated request that was carried out succeeds.
pub async fn save(app: &App, saving: Saving<'_>) -> Outcome<i32, EventRefusal> {
    let kind = kind_for_funders(saving.kind).map_err(Fault::Refused)?;
    if let Some(template) = saving.telling.template().cloned() {
        tried_apart(move || template.check(kind)).await?;
    }
    let version = saving.after_version.saturating_add(1);
    let new = NewVersion {
        funder_id: saving.funder_id,
        kind: kind.name,
        version,
        telling: saving.telling,
        saved_by: saving.by,
        saved_at: app.clock.now(),
    };
    let mut transaction = database::begin(&app.pool).await?;
    let newest = store::newest(&mut transaction, saving.funder_id, kind.name).await?;
    let is_saved = |newest: &Version| {
        newest.version == version && newest.telling == *saving.telling && newest.saved_by == saving.by
    };
    if saving.attempt == Attempt::Again && newest.as_ref().is_some_and(is_saved) {
        return Ok(version);
    }
    let is_next = newest.map_or(0, |newest| newest.version) == saving.after_version;
    if !is_next || !store::insert(&mut transaction, &new).await? {
        return Err(Fault::Refused(EventRefusal::Overtaken));
    }
    let text_sha256 = saving.telling.template().map(|template| audit::fingerprint(&template.text));
    let is_told = !saving.telling.is_not_told();
    let detail = json!({ "kind": kind.name, "version": version, "is_told": is_told, "text_sha256": text_sha256 });
    audit::record(&mut transaction, app, Act::new(Action::TemplateSaved, saving.funder_id, detail)).await?;
    transaction.commit().await?;
    Ok(version)
}

/// The kind of that name, if it is one for funders.
///
/// # Errors
/// `UnknownKind`.
pub fn kind_for_funders(name: &str) -> Result<&'static EventKind, EventRefusal> {
    let found = catalogue::find(name).filter(|kind| kind.audience == Audience::Funder);
    found.ok_or(EventRefusal::UnknownKind)
}

/// What a core would be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub kind: String,
    /// The path, below the base URL of the core.
    pub path: String,
    /// The whole body of the call, as JSON text.
    pub body: String,
    /// The version of the saved template that made it; `None` for our form, or a template that is only tried.
    pub template_version: Option<i32>,
}

/// Shows what a past event of a funder looks like by the given template, or else by the saved one, or else in our form.
/// Nothing is sent.
///
/// # Errors
/// `NotTold` for a kind that the core does not want, unless a template is given.
pub async fn preview(
    app: &App,
    funder_code: &str,
    event_no: i64,
    given: Option<&Template>,
) -> Outcome<Preview, EventRefusal> {
    let mut connection = app.pool.acquire().await?;
    let Some(mut message) = event_store::find(&mut connection, funder_code, event_no).await? else {
        return Err(Fault::Refused(not_found(&mut connection, funder_code, event_no).await?));
    };
    complete(&mut connection, slice::from_mut(&mut message)).await?;
    let Active { mut templates, not_told } = store::active(&mut connection, funder_code).await?;
    drop(connection);
    let (template, template_version) = match (given, templates.remove(&message.kind)) {
        (Some(template), _) => (Some(template.clone()), None),
        (None, _) if not_told.contains(&message.kind) => return Err(Fault::Refused(EventRefusal::NotTold)),
        (None, Some(saved)) => (Some(saved.template), Some(saved.version)),
        (None, None) => (None, None),
    };
    // Only a given template is checked. A saved one was checked when it was saved, and may render this event even if it fails
    // for what the catalogue has gained since.
    if let (Some(template), Ok(kind)) = (given.cloned(), kind_for_funders(&message.kind)) {
        tried_apart(move || template.check(kind)).await?;
    }
    let path = template.as_ref().and_then(|template| template.path.clone());
    let kind = message.kind.clone();
    let body = tried_apart(move || body_of_call(&message, template.as_ref())).await?;
    Ok(Preview { kind, path: path.unwrap_or_else(|| "/events".to_owned()), body, template_version })
}

/// Limits how many renderings and checks of templates a node does at once: each may take a whole processor, and purchases go
/// on meanwhile.
pub static RENDERING: HeavyWork = HeavyWork::at_most(2);

/// Runs work with a template within [`RENDERING`].
async fn tried_apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TemplateRefusal> + Send + 'static,
) -> Outcome<T, EventRefusal> {
    RENDERING.run(work).await?.map_err(|refusal| Fault::Refused(refusal.into()))
}
