//! Which messages a borrower wants in WeChat, and how many more WeChat lets us send.

use std::collections::{BTreeMap, HashMap};

use super::store;
use super::subscription_store::{self, Subscription, Wanting};
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::database;
use crate::notice::WECHAT_MESSAGES;
use crate::vault::Field;

/// A kind of message that WeChat can carry, and what the borrower has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub kind: &'static str,
    /// The template by which WeChat asks for consent.
    pub template: String,
    pub wanted: bool,
    /// How many more messages WeChat will take, as far as we know.
    pub allowed: i16,
}

/// The kinds that can be chosen; empty where WeChat is not configured or has no template.
pub async fn choices(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Choice>> {
    let Some(wechat) = app.partners.wechat() else { return Ok(Vec::new()) };
    let chosen = subscription_store::list(&mut *app.pool.acquire().await?, borrower_id).await?;
    let choice = |kind: &'static str| -> Option<Choice> {
        let template = wechat.template(kind)?.id.clone();
        let is_it = |subscription: &&Subscription| subscription.kind == kind;
        let (wanted, allowed) = chosen.iter().find(is_it).map_or((false, 0), |found| (found.wanted, found.allowed));
        Some(Choice { kind, template, wanted, allowed })
    };
    Ok(WECHAT_MESSAGES.into_iter().filter_map(choice).collect())
}

/// Adds one consent for each template that WeChat's page reported; ids that are no template of ours are ignored.
pub async fn allow(app: &App, borrower_id: BorrowerId, templates: &[&str]) -> anyhow::Result<()> {
    let choices = choices(app, borrower_id).await?;
    let is_named = |choice: &&Choice| templates.contains(&choice.template.as_str());
    let kinds: Vec<&str> = choices.iter().filter(is_named).map(|choice| choice.kind).collect();
    let mut transaction = database::begin(&app.pool).await?;
    if !store::hold_people(&mut transaction, &[borrower_id]).await?.is_empty() {
        subscription_store::allow(&mut transaction, borrower_id, &kinds, app.clock.now()).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Sends the borrower no more messages in WeChat.
pub async fn stop(app: &App, borrower_id: BorrowerId) -> anyhow::Result<()> {
    Ok(subscription_store::stop(&mut *app.pool.acquire().await?, borrower_id, app.clock.now()).await?)
}

/// The WeChat identities to send messages to, by borrower and kind of notice; those who do not want them are missing, and so
/// are identities that cannot be opened with the configured master keys: the short message still goes out.
pub async fn find_wanting(
    app: &App,
    borrower_ids: &[BorrowerId],
) -> anyhow::Result<HashMap<(BorrowerId, String), String>> {
    let wanting = subscription_store::find_wanting(&mut *app.pool.acquire().await?, borrower_ids).await?;
    let open = |wanting: Wanting| -> anyhow::Result<((BorrowerId, String), String)> {
        let key = app.vault.open_person_key(wanting.borrower_id.uuid(), &wanting.person_key_sealed)?;
        let openid = key.open(Field::OpenId, &wanting.openid_sealed)?;
        Ok(((wanting.borrower_id, wanting.kind), openid))
    };
    Ok(wanting.into_iter().filter_map(|wanting| open(wanting).ok()).collect())
}

/// Counts consents down after messages: by one for each that was sent, and to zero for each that WeChat refused because no
/// consent was left.
pub async fn spend(app: &App, sent: &[(BorrowerId, &str)], refused: &[(BorrowerId, &str)]) -> anyhow::Result<()> {
    let mut took: BTreeMap<(BorrowerId, &str), i16> = BTreeMap::new();
    for (one, count) in sent.iter().map(|one| (one, 1)).chain(refused.iter().map(|one| (one, i16::MAX))) {
        let all = took.entry(*one).or_default();
        *all = all.saturating_add(count);
    }
    if took.is_empty() {
        return Ok(());
    }
    let mut connection = app.pool.acquire().await?;
    for (one, count) in took {
        subscription_store::spend(&mut connection, one, count, app.clock.now()).await?;
    }
    Ok(())
}
