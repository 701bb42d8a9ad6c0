//! Clients become applicants: each registers, signs, binds a card and applies through the real use cases, in batches.

use super::clients::ClientRecord;
use super::{identity, store};
use crate::app::App;
use crate::base::BusinessDay;
use crate::base::id::{BorrowerId, CardId, LineId};
use crate::borrower::actions::{Signature, register_many, sign_many};
use crate::borrower::agreement::Agreement;
use crate::borrower::card::{CardBinding, CardCode};
use crate::borrower::card_actions::{confirm_binding_many, start_binding_many};
use crate::credit::actions::apply_many;
use crate::credit::model::{ApplicationState, ApplyRequest};
use crate::product::ProductVersion;

/// Applicants of one batch: as many as the risk partner and the signing service take in one call.
pub const BATCH: usize = 200;
/// The sandbox's signing service sends the last digits of the mobile as its code.
const CODE_DIGITS: usize = 6;

/// A client who was given a line.
#[derive(Clone, Debug)]
pub struct Buyer {
    /// The agreement by which the channels know the card that the buyer pays from.
    pub agreement_number: String,
    pub line_id: LineId,
    pub grade: String,
    /// What the client really paid in each of the six months, oldest first.
    pub paid: [crate::base::Fen; 6],
}

/// Takes a batch of clients through registration, consents, card and application; returns those approved.
pub async fn apply(
    app: &App,
    product: &ProductVersion,
    clients: &[ClientRecord],
    today: BusinessDay,
) -> anyhow::Result<Vec<Buyer>> {
    let people: Vec<_> =
        clients.iter().map(|client| identity::registration(client.client, client.age, today)).collect();
    let registered = register_many(app, &people).await?;
    let mut applicants = Vec::with_capacity(clients.len());
    for (client, borrower_id) in clients.iter().zip(registered) {
        applicants.push((client, borrower_id?));
    }
    sign(app, &applicants).await?;
    let cards = bind_cards(app, &applicants).await?;
    let requests: Vec<ApplyRequest> = applicants
        .iter()
        .map(|(client, borrower_id)| ApplyRequest {
            borrower_id: *borrower_id,
            product_id: product.product_id,
            product_version: product.version,
            idempotency_key: format!("demo-{}", client.client),
            limit_requested: None,
            history: Some(client.history.clone()),
        })
        .collect();
    let agreements = store::load_agreement_numbers(&mut *app.pool.acquire().await?, &cards).await?;
    let mut buyers = Vec::new();
    for ((applied, (client, _)), card_id) in apply_many(app, &requests).await?.into_iter().zip(&applicants).zip(cards) {
        if let ApplicationState::Approved { line_id, grade, .. } = applied?.state {
            // The history's newest month comes first.
            let mut paid = client.history.months.map(|month| month.paid_fen);
            paid.reverse();
            let agreement_number = agreements.get(&card_id).cloned().unwrap_or_default();
            buyers.push(Buyer { agreement_number, line_id, grade, paid });
        }
    }
    Ok(buyers)
}

async fn sign(app: &App, applicants: &[(&ClientRecord, BorrowerId)]) -> anyhow::Result<()> {
    let signatures: Vec<Signature> = applicants
        .iter()
        .flat_map(|(_, borrower_id)| {
            Agreement::ALL.map(|agreement| Signature {
                borrower_id: *borrower_id,
                agreement,
                text_sha256: agreement.wording().sha256,
                device: "demo".to_owned(),
            })
        })
        .collect();
    for signed in sign_many(app, &signatures).await? {
        signed?;
    }
    Ok(())
}

async fn bind_cards(app: &App, applicants: &[(&ClientRecord, BorrowerId)]) -> anyhow::Result<Vec<CardId>> {
    let bindings: Vec<CardBinding> = applicants
        .iter()
        .map(|(client, borrower_id)| CardBinding {
            borrower_id: *borrower_id,
            number: identity::card_number(client.client, 0),
            mobile: identity::mobile(client.client),
        })
        .collect();
    let mut codes = Vec::with_capacity(bindings.len());
    for (binding, started) in bindings.iter().zip(start_binding_many(app, &bindings).await?) {
        let mobile = binding.mobile.reveal();
        let code = mobile[mobile.len() - CODE_DIGITS..].to_owned();
        codes.push(CardCode { borrower_id: binding.borrower_id, card_id: started?, code });
    }
    let mut cards = Vec::with_capacity(codes.len());
    for confirmed in confirm_binding_many(app, &codes).await? {
        cards.push(confirmed?);
    }
    Ok(cards)
}
