//! Test helper: an applicant who is registered, has signed the consents and bound a card, by the real use cases.

use fenqi::app::App;
use fenqi::base::Fen;
use fenqi::base::id::{BorrowerId, CardId, LineId, ProductId};
use fenqi::base::person::{CardNumber, Mobile};
use fenqi::borrower::actions::Signature;
use fenqi::borrower::card::{CardBinding, CardCode};
use fenqi::borrower::{Agreement, Registration, actions, card_actions};
use fenqi::credit::{self, ApplicationState, ApplyRequest, CardHistory, CardMonth};
use fenqi::demo::identity;
use fenqi::{funder, product};

/// The registration of the synthetic person `number`, who is 30.
pub fn registration(app: &App, number: u64) -> Registration {
    let today = fenqi::base::BusinessDay::at(app.clock.now());
    identity::registration(number, 30, today)
}

/// Registers the synthetic person and signs every agreement.
pub async fn registered(app: &App, number: u64) -> BorrowerId {
    let borrower_id = actions::register(app, registration(app, number)).await.unwrap();
    let signatures: Vec<Signature> = Agreement::ALL
        .into_iter()
        .map(|agreement| Signature {
            borrower_id,
            agreement,
            text_sha256: agreement.wording().sha256,
            device: "test".into(),
        })
        .collect();
    actions::sign(app, &signatures).await.unwrap();
    borrower_id
}

/// Binds a card whose code is, as the sandbox has it, the last six digits of the mobile.
pub async fn bind(app: &App, borrower_id: BorrowerId, number: CardNumber, mobile: Mobile) -> CardId {
    let code = mobile.reveal()[5..].to_owned();
    let card_id = card_actions::start_binding(app, CardBinding { borrower_id, number, mobile }).await.unwrap();
    card_actions::confirm_binding(app, CardCode { borrower_id, card_id, code }).await.unwrap()
}

/// A person who may apply.
pub async fn ready(app: &App, number: u64) -> BorrowerId {
    let borrower_id = registered(app, number).await;
    bind(app, borrower_id, identity::card_number(number, 0), identity::mobile(number)).await;
    borrower_id
}

/// Opens the funder and publishes the standard product.
pub async fn standard_product(app: &App) -> (ProductId, i32) {
    funder::actions::open_funder(app, "harbour-bank", "Harbour Bank").await.unwrap();
    let published = product::publish(app, include_str!("../../../products/standard.toml")).await.unwrap();
    (published.product_id, published.version)
}

pub fn month(repay_status: i8, bill_yuan: i64, paid_yuan: i64) -> CardMonth {
    CardMonth { repay_status, bill_fen: Fen::new(bill_yuan * 100), paid_fen: Fen::new(paid_yuan * 100) }
}

/// A card of 200,000 yuan, always paid in full: grade A.
pub fn steady() -> CardHistory {
    CardHistory { limit_fen: Fen::new(20_000_000), months: [month(-1, 20_000, 20_000); 6] }
}

/// A card of 20,000 yuan, three months late: refused.
pub fn late() -> CardHistory {
    CardHistory { limit_fen: Fen::new(2_000_000), months: [month(3, 19_000, 0); 6] }
}

pub fn request(borrower_id: BorrowerId, product: (ProductId, i32), history: Option<CardHistory>) -> ApplyRequest {
    ApplyRequest {
        borrower_id,
        product_id: product.0,
        product_version: product.1,
        idempotency_key: format!("apply-{borrower_id}"),
        limit_requested: None,
        history,
    }
}

/// The line of a person with a steady history, whose application is approved.
pub async fn approved(app: &App, borrower_id: BorrowerId, product: (ProductId, i32)) -> LineId {
    let applied = credit::actions::apply(app, request(borrower_id, product, Some(steady()))).await.unwrap();
    let ApplicationState::Approved { line_id, .. } = applied.state else { panic!("{applied:?}") };
    line_id
}
