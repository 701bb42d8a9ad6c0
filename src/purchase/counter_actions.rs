//! At the counter: a code is opened, plans are offered for an amount, and one is confirmed with the PIN.

use std::sync::Arc;

use super::authoriser::Authoriser;
use super::model::{Decision, PurchaseRefusal, PurchaseRequest, Receipt, RequestRefusal};
use super::offer::{self, Counter, PlanName, PlanOffer};
use super::own_store::{self, OwnPurchase};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{BorrowerId, LineId, MerchantId, PurchaseId};
use crate::borrower::{self, PinRefusal};
use crate::credit::Line;
use crate::error::{Fault, Outcome, Refusal};
use crate::merchant::code::{Presented, parse_token};
use crate::merchant::{self, Code, CodeKind, CodeRefusal, MerchantStatus, MerchantTerms};
use crate::product::ProductVersion;
use crate::{business_day, credit};

/// A code that may be paid through, and whose it is.
#[derive(Clone, Debug)]
pub struct Shop {
    pub code: Code,
    pub merchant: MerchantTerms,
}

impl Shop {
    /// The order's amount; `None` where the borrower types it.
    pub fn amount(&self) -> Option<Fen> {
        match self.code.kind {
            CodeKind::Static => None,
            CodeKind::Order { amount, .. } => Some(amount),
        }
    }
}

/// Finds what a link's token names. Whether it can be paid now is [`check_payable`]'s to say.
pub async fn find_shop(app: &App, token: &str) -> Outcome<Shop, CodeRefusal> {
    let code_id = parse_token(token).ok_or(Fault::Refused(CodeRefusal::UnknownCode))?;
    let mut connection = app.pool.acquire().await?;
    let code = merchant::code_store::find_code(&mut connection, code_id).await?;
    let code = code.ok_or(Fault::Refused(CodeRefusal::UnknownCode))?;
    let merchant = merchant::load_merchants(&mut connection, &[code.merchant_id]).await?.pop();
    let merchant = merchant.ok_or(Fault::Refused(CodeRefusal::UnknownMerchant))?;
    Ok(Shop { code, merchant })
}

/// Where the merchant takes payment from other wallets, if it has said so.
pub async fn other_link(app: &App, merchant_id: MerchantId) -> anyhow::Result<Option<String>> {
    Ok(merchant::store::find_other_link(&mut *app.pool.acquire().await?, merchant_id).await?)
}

/// Why a code cannot be paid now.
pub fn check_payable(app: &App, shop: &Shop) -> Result<(), CodeRefusal> {
    if shop.merchant.status != MerchantStatus::Active {
        return Err(CodeRefusal::MerchantNotActive { status: shop.merchant.status });
    }
    shop.code.check(Presented {
        merchant_id: shop.code.merchant_id,
        amount: shop.amount().unwrap_or_default(),
        at: app.clock.now(),
    })
}

/// Every plan that one of the borrower's lines may choose here, or why there is none.
pub async fn offer_plans(
    app: &App,
    lines: &[Line],
    shop: &Shop,
    amount: Fen,
) -> Outcome<Vec<PlanOffer>, PurchaseRefusal> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let products = app.catalogue.load_on_sale(&mut connection).await?;
    let counter = Counter { category: &shop.merchant.category, amount, today };
    let mut refused = None;
    let mut plans = Vec::new();
    for line in lines {
        match offer::offers(line, &products, counter) {
            Ok(offered) => plans.extend(offered),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    if plans.is_empty() { Err(Fault::Refused(refused.unwrap_or(PurchaseRefusal::LineNotActive))) } else { Ok(plans) }
}

/// A plan as it was when an earlier version of its product was on sale; `None` where there never was one.
pub async fn former_plan(
    app: &App,
    lines: &[Line],
    shop: &Shop,
    (amount, name): (Fen, PlanName),
) -> anyhow::Result<Option<PlanOffer>> {
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let on_sale = app.catalogue.load_on_sale(&mut connection).await?;
    // The name comes from outside: only versions are looked up that surely were.
    let was = |product: &Arc<ProductVersion>| {
        product.product_id == name.product_id && (1..product.version).contains(&name.version)
    };
    if !on_sale.iter().any(was) {
        return Ok(None);
    }
    let product = app.catalogue.get(&mut connection, name.product_id, name.version).await?;
    let counter = Counter { category: &shop.merchant.category, amount, today };
    let line = lines.iter().find(|line| line.funder_id == product.funder_id);
    Ok(line.and_then(|line| offer::offer(&product, line, counter, name.periods)))
}

/// A borrower's lines that are open.
pub async fn lines(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Vec<Line>> {
    credit::actions::open_lines(app, borrower_id).await
}

/// What was answered under a key before, on any of these lines.
pub async fn find_earlier(app: &App, lines: &[Line], key: &str) -> anyhow::Result<Option<Receipt>> {
    let keys: Vec<(LineId, &str)> = lines.iter().map(|line| (line.line_id, key)).collect();
    let mut connection = app.pool.acquire().await?;
    let earlier = super::store::find_earlier(&mut connection, &keys).await?;
    Ok(earlier.into_values().map(|earlier| earlier.receipt).next())
}

/// One confirmed plan.
#[derive(Clone, Debug)]
pub struct Confirmation {
    pub borrower_id: BorrowerId,
    /// As it was typed.
    pub pin: String,
    pub key: String,
    pub amount: Fen,
    pub plan: PlanName,
}

/// Why a confirmation came to no answer; nothing is recorded under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmRefusal {
    #[error(transparent)]
    Pin(PinRefusal),
    #[error(transparent)]
    Request(RequestRefusal),
    #[error("the plan is not sold so any more")]
    PlanChanged,
    #[error(transparent)]
    NotOffered(PurchaseRefusal),
}

impl Refusal for ConfirmRefusal {
    fn code(&self) -> &'static str {
        match self {
            ConfirmRefusal::Pin(refusal) => refusal.code(),
            ConfirmRefusal::Request(refusal) => refusal.code(),
            ConfirmRefusal::PlanChanged => "plan_changed",
            ConfirmRefusal::NotOffered(refusal) => refusal.code(),
        }
    }
}

/// Buys: the PIN is checked, then the authoriser decides. The same key is answered as it was the first time, without the PIN,
/// because nothing new happens.
pub async fn confirm(
    app: &App,
    authoriser: &Authoriser,
    shop: &Shop,
    confirmation: &Confirmation,
) -> Outcome<PurchaseId, ConfirmRefusal> {
    let lines = lines(app, confirmation.borrower_id).await?;
    if let Some(earlier) = find_earlier(app, &lines, &confirmation.key).await? {
        return Ok(earlier.purchase_id);
    }
    let plans = offer_plans(app, &lines, shop, confirmation.amount).await;
    let plans = plans.map_err(|fault| fault.map_refusal(ConfirmRefusal::NotOffered))?;
    let chosen = plans.into_iter().find(|plan| plan.name == confirmation.plan);
    let chosen = chosen.ok_or(Fault::Refused(ConfirmRefusal::PlanChanged))?;
    let checked = borrower::check_pin(app, confirmation.borrower_id, &confirmation.pin).await;
    checked.map_err(|fault| fault.map_refusal(ConfirmRefusal::Pin))?;
    let order_code = shop.amount().map(|_| shop.code.code_id);
    let request = PurchaseRequest {
        line_id: chosen.line_id,
        idempotency_key: confirmation.key.clone(),
        merchant_id: shop.merchant.merchant_id,
        order_code,
        product_id: chosen.name.product_id,
        product_version: chosen.name.version,
        periods: chosen.name.periods,
        amount: confirmation.amount,
    };
    let answer = authoriser.authorise(request).await;
    let receipt = answer.map_err(|fault| fault.map_refusal(ConfirmRefusal::Request))?;
    Ok(receipt.purchase_id)
}

/// A purchase as its borrower sees it; `None` where it is somebody else's, or none.
pub async fn find_own(
    app: &App,
    borrower_id: BorrowerId,
    purchase_id: PurchaseId,
) -> anyhow::Result<Option<OwnPurchase>> {
    Ok(own_store::find(&mut *app.pool.acquire().await?, borrower_id, purchase_id).await?)
}

/// Whether a receipt stands for money that moved.
pub fn is_bought(receipt: &Receipt) -> bool {
    matches!(receipt.decision, Decision::Authorised { .. })
}
