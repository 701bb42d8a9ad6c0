//! At the counter: a code is opened, plans are offered for an amount, and one is confirmed with the PIN.

use super::authoriser::Authoriser;
use super::decision::check_line;
use super::model::{Decision, PurchaseRefusal, PurchaseRequest, Receipt, RequestRefusal};
use super::offer::{self, Counter, CounterAmount, PlanName, PlanOffer};
use super::own_store::{self, OwnPurchase, OwnRefund};
use super::store::Earlier;
use crate::app::App;
use crate::base::id::{BorrowerId, LineId, MerchantId, PurchaseId};
use crate::base::{BusinessDay, Fen};
use crate::borrower::{self, PinRefusal};
use crate::credit::Line;
use crate::error::{Fault, Outcome, Refusal};
use crate::merchant::code::{Presented, parse_token};
use crate::merchant::{self, Code, CodeKind, CodeRefusal, MerchantStatus, MerchantTerms};
use crate::{business_day, product};

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

    fn counter_on(&self, today: BusinessDay) -> Counter<'_> {
        Counter { category: &self.merchant.category, today }
    }
}

/// A borrower's lines at a shop's counter.
#[derive(Clone, Copy)]
pub struct AtCounter<'a> {
    pub lines: &'a [Line],
    pub shop: &'a Shop,
}

/// Finds the code that a link's token names, and its merchant. [`check_payable`] tells whether it can be paid now.
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

/// Whether a code can be paid now.
///
/// # Errors
/// Why not.
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
pub async fn offer_plans(app: &App, at: AtCounter<'_>, amount: Fen) -> Outcome<Vec<PlanOffer>, PurchaseRefusal> {
    let AtCounter { lines, shop } = at;
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let products = app.catalogue.load_on_sale(&mut connection).await?;
    let asked = CounterAmount { counter: shop.counter_on(today), amount };
    let mut refused: Option<PurchaseRefusal> = None;
    let mut plans = Vec::new();
    for line in lines {
        match offer::offers(line, &products, asked) {
            Ok(offered) => plans.extend(offered),
            Err(refusal) => refused = Some(refused.map_or(refusal, |former| closer(former, refusal))),
        }
    }
    let refusal = refused.unwrap_or(PurchaseRefusal::LineNotActive);
    if plans.is_empty() { Err(Fault::Refused(refusal)) } else { Ok(plans) }
}

/// Which of two lines' refusals is told. An amount that is too little for the one and too much for the other lies between what they are
/// sold for, and within the bounds that a refusal names.
fn closer(former: PurchaseRefusal, refusal: PurchaseRefusal) -> PurchaseRefusal {
    match (former, refusal) {
        (PurchaseRefusal::AmountBelowMinimum, PurchaseRefusal::AmountAboveMaximum)
        | (PurchaseRefusal::AmountAboveMaximum, PurchaseRefusal::AmountBelowMinimum) => PurchaseRefusal::PlanNotOffered,
        _ if weight(refusal) > weight(former) => refusal,
        _ => former,
    }
}

/// How much the refusal of one line says to somebody with several lines. That a line cannot be used at all is told only if there is
/// no other reason from another line, and that an amount is out of bounds only if it is within those of no other line.
fn weight(refusal: PurchaseRefusal) -> u8 {
    match refusal {
        PurchaseRefusal::LineEnded | PurchaseRefusal::LineNotActive => 0,
        PurchaseRefusal::ProductNotOnSale | PurchaseRefusal::ProductNotForMerchant => 1,
        PurchaseRefusal::AmountBelowMinimum | PurchaseRefusal::AmountAboveMaximum => 2,
        _ => 3,
    }
}

/// The least and the greatest amount of one purchase here; `None` where nothing is sold on those of these lines that can be used.
pub async fn bounds(app: &App, at: AtCounter<'_>) -> anyhow::Result<Option<(Fen, Fen)>> {
    let AtCounter { lines, shop } = at;
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let products = app.catalogue.load_on_sale(&mut connection).await?;
    Ok(offer::bounds(lines, &products, shop.counter_on(today)))
}

/// A plan as it was sold under a product version that is no longer on sale; `None` where the version is still on sale, or never
/// had such a plan.
pub async fn former_plan(
    app: &App,
    at: AtCounter<'_>,
    amount: Fen,
    name: PlanName,
) -> anyhow::Result<Option<PlanOffer>> {
    let AtCounter { lines, shop } = at;
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    // The name comes from outside: the catalogue is only asked for versions that exist.
    let known = product::store::find_versions(&mut connection, &[(name.product_id, name.version)]).await?;
    let Some(known) = known.first() else { return Ok(None) };
    let product = app.catalogue.get(&mut connection, name.product_id, name.version).await?;
    if known.is_on_sale && product.terms.is_valid_on(today) {
        return Ok(None);
    }
    let asked = CounterAmount { counter: shop.counter_on(today), amount };
    let line = lines.iter().find(|line| line.funder_id == product.funder_id);
    Ok(line.and_then(|line| offer::offer(&product, line, asked, name.periods)))
}

/// Why a borrower can buy nothing at all at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineRefusal {
    #[error("there is no credit line")]
    Missing,
    #[error("the last day of the credit line has passed")]
    Ended,
    #[error("the credit line is not active")]
    NotActive,
}

impl Refusal for LineRefusal {
    fn code(&self) -> &'static str {
        match self {
            LineRefusal::Missing => "no_line",
            LineRefusal::Ended => PurchaseRefusal::LineEnded.code(),
            LineRefusal::NotActive => PurchaseRefusal::LineNotActive.code(),
        }
    }
}

/// Checks that any of these lines can be used at all.
///
/// # Errors
/// `Ended` only where all of them have ended, which is final; `NotActive` where one is merely frozen or closed.
pub async fn check_lines(app: &App, lines: &[Line]) -> Outcome<(), LineRefusal> {
    if lines.is_empty() {
        return Err(Fault::Refused(LineRefusal::Missing));
    }
    let today = business_day::store::today(&mut *app.pool.acquire().await?).await?;
    if lines.iter().any(|line| check_line(line, today).is_ok()) {
        return Ok(());
    }
    let have_ended = lines.iter().all(|line| line.has_expired_on(today));
    Err(Fault::Refused(if have_ended { LineRefusal::Ended } else { LineRefusal::NotActive }))
}

/// The most that is left for one purchase here on one of these lines; zero where nothing is sold on them.
pub async fn usable(app: &App, at: AtCounter<'_>) -> anyhow::Result<Fen> {
    let AtCounter { lines, shop } = at;
    let mut connection = app.pool.acquire().await?;
    let today = business_day::store::today(&mut connection).await?;
    let products = app.catalogue.load_on_sale(&mut connection).await?;
    Ok(offer::usable(lines, &products, shop.counter_on(today)))
}

/// An earlier answer to a key.
#[derive(Clone, Debug)]
pub struct Answered {
    line_id: LineId,
    receipt: Receipt,
    /// The fingerprint of the request.
    fingerprint: [u8; 32],
}

impl Answered {
    pub fn purchase_id(&self) -> PurchaseId {
        self.receipt.purchase_id
    }

    /// Whether money moved.
    pub fn is_bought(&self) -> bool {
        matches!(self.receipt.decision, Decision::Authorised { .. })
    }

    /// Whether the same was asked for: the same amount at the same counter under the same plan.
    pub fn is_of(&self, shop: &Shop, amount: Fen, plan: PlanName) -> bool {
        request(shop, amount, plan, LineKey { line_id: self.line_id, key: "" }).fingerprint() == self.fingerprint
    }
}

/// The line that a purchase is asked for on, and its key there.
struct LineKey<'a> {
    line_id: LineId,
    key: &'a str,
}

/// The request to the authoriser for a plan at a counter.
fn request(shop: &Shop, amount: Fen, plan: PlanName, on: LineKey<'_>) -> PurchaseRequest {
    PurchaseRequest {
        line_id: on.line_id,
        idempotency_key: on.key.to_owned(),
        merchant_id: shop.merchant.merchant_id,
        order_code: shop.amount().map(|_| shop.code.code_id),
        product_id: plan.product_id,
        product_version: plan.version,
        periods: plan.periods,
        amount,
    }
}

/// What was answered under a key before, on any of these lines.
pub async fn find_earlier(app: &App, lines: &[Line], key: &str) -> anyhow::Result<Option<Answered>> {
    let keys: Vec<(LineId, &str)> = lines.iter().map(|line| (line.line_id, key)).collect();
    let mut connection = app.pool.acquire().await?;
    let earlier = super::store::find_earlier(&mut connection, &keys).await?;
    let answered = |((line_id, _), Earlier { receipt, fingerprint })| Answered { line_id, receipt, fingerprint };
    Ok(earlier.into_iter().next().map(answered))
}

/// One confirmed plan.
#[derive(Clone)]
pub struct Confirmation {
    pub borrower_id: BorrowerId,
    /// As it was typed.
    pub pin: String,
    pub key: String,
    pub amount: Fen,
    pub plan: PlanName,
    /// The schedule that the page showed, by its hash.
    pub schedule: String,
}

/// Without the PIN.
impl std::fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confirmation")
            .field("borrower_id", &self.borrower_id)
            .field("key", &self.key)
            .field("amount", &self.amount)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// Why a confirmation got no decision; nothing is recorded under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmRefusal {
    #[error(transparent)]
    Pin(PinRefusal),
    #[error(transparent)]
    Request(RequestRefusal),
    #[error("the plan is not sold so any more")]
    PlanChanged,
    #[error("the plan's schedule is not the one that was shown")]
    ScheduleChanged,
    #[error("something else was asked for under this key")]
    PaidAnother,
    #[error(transparent)]
    NotOffered(PurchaseRefusal),
}

impl Refusal for ConfirmRefusal {
    fn code(&self) -> &'static str {
        match self {
            ConfirmRefusal::Pin(refusal) => refusal.code(),
            ConfirmRefusal::Request(refusal) => refusal.code(),
            ConfirmRefusal::PlanChanged => "plan_changed",
            ConfirmRefusal::ScheduleChanged => "schedule_changed",
            ConfirmRefusal::PaidAnother => "paid_another",
            ConfirmRefusal::NotOffered(refusal) => refusal.code(),
        }
    }
}

/// Buys on one of the borrower's lines: the PIN is checked, then the authoriser decides. The same key is answered as it was the first
/// time, without the PIN, because nothing new happens. Without a card that can be charged nothing is asked, for the authoriser would refuse
/// under the key for good, and the same page is to buy once a card is bound.
pub async fn confirm(
    app: &App,
    authoriser: &Authoriser,
    at: AtCounter<'_>,
    confirmation: &Confirmation,
) -> Outcome<PurchaseId, ConfirmRefusal> {
    if let Some(earlier) = find_earlier(app, at.lines, &confirmation.key).await? {
        let is_same = earlier.is_of(at.shop, confirmation.amount, confirmation.plan);
        return if is_same { Ok(earlier.purchase_id()) } else { Err(Fault::Refused(ConfirmRefusal::PaidAnother)) };
    }
    let chosen = find_shown(app, at, confirmation).await?;
    if !borrower::has_bound_card(app, confirmation.borrower_id).await? {
        return Err(Fault::Refused(ConfirmRefusal::NotOffered(PurchaseRefusal::NoCard)));
    }
    let checked = borrower::check_pin(app, confirmation.borrower_id, &confirmation.pin).await;
    checked.map_err(|fault| fault.map_refusal(ConfirmRefusal::Pin))?;
    // One line decides once what is asked of it under a key. Of several, the one that was asked first alone decides, though it may take its
    // time.
    let Confirmation { borrower_id, key, .. } = confirmation;
    if at.lines.len() > 1 && !borrower::keep_visit(app, *borrower_id, key, chosen.line_id).await? {
        return Err(Fault::Refused(ConfirmRefusal::PaidAnother));
    }
    let answer = match buy(authoriser, at.shop, confirmation, &chosen).await {
        // The business day ended in between. If the schedule is the same on the new day, it is still the one that was agreed to.
        Err(Fault::Refused(RequestRefusal::ScheduleChanged)) => {
            let chosen = find_shown(app, at, confirmation).await?;
            buy(authoriser, at.shop, confirmation, &chosen).await
        }
        answer => answer,
    };
    let receipt = answer.map_err(|fault| fault.map_refusal(undecided))?;
    Ok(receipt.purchase_id)
}

/// Why the authoriser decided nothing. The key may be another wish's though nothing is recorded under it: one that purchase risk was asked
/// about, and that was not decided then.
fn undecided(refusal: RequestRefusal) -> ConfirmRefusal {
    match refusal {
        RequestRefusal::KeyReused => ConfirmRefusal::PaidAnother,
        refusal => ConfirmRefusal::Request(refusal),
    }
}

async fn buy(
    authoriser: &Authoriser,
    shop: &Shop,
    confirmation: &Confirmation,
    chosen: &PlanOffer,
) -> Outcome<Receipt, RequestRefusal> {
    let on = LineKey { line_id: chosen.line_id, key: &confirmation.key };
    let request = request(shop, confirmation.amount, chosen.name, on);
    authoriser.authorise_as_shown(request, chosen.request.start_on).await
}

/// The plan that is confirmed, if it is offered today with the schedule that the page showed.
async fn find_shown(app: &App, at: AtCounter<'_>, confirmation: &Confirmation) -> Outcome<PlanOffer, ConfirmRefusal> {
    let plans = offer_plans(app, at, confirmation.amount).await;
    let plans = plans.map_err(|fault| fault.map_refusal(ConfirmRefusal::NotOffered))?;
    let chosen = plans.into_iter().find(|plan| plan.name == confirmation.plan);
    let chosen = chosen.ok_or(Fault::Refused(ConfirmRefusal::PlanChanged))?;
    if chosen.schedule_hash() != confirmation.schedule {
        return Err(Fault::Refused(ConfirmRefusal::ScheduleChanged));
    }
    Ok(chosen)
}

/// A purchase as its borrower sees it; `None` where it is somebody else's, or none.
pub async fn find_own(
    app: &App,
    borrower_id: BorrowerId,
    purchase_id: PurchaseId,
) -> anyhow::Result<Option<OwnPurchase>> {
    Ok(own_store::find(&mut *app.pool.acquire().await?, borrower_id, purchase_id).await?)
}

/// The refunds of a purchase, and how their payments to the card stand.
pub async fn refunds(app: &App, purchase: &OwnPurchase) -> anyhow::Result<Vec<OwnRefund>> {
    let mut connection = app.pool.acquire().await?;
    Ok(own_store::list_refunds(&mut connection, purchase.line_id, purchase.purchase_id).await?)
}

/// The least and the greatest amount of the terms under which a purchase was asked for.
pub async fn bounds_asked(app: &App, purchase: &OwnPurchase) -> anyhow::Result<(Fen, Fen)> {
    let mut connection = app.pool.acquire().await?;
    let product = app.catalogue.get(&mut connection, purchase.product_id, purchase.product_version).await?;
    Ok(product.terms.purchase.bounds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_lines_the_one_that_comes_closest_to_an_amount_says_why_it_is_refused() {
        use PurchaseRefusal::{
            AmountAboveMaximum, AmountBelowMinimum, LineExceeded, LineNotActive, PlanNotOffered, ProductNotOnSale,
        };
        let cases = [
            (LineNotActive, ProductNotOnSale, ProductNotOnSale),
            (ProductNotOnSale, AmountBelowMinimum, AmountBelowMinimum),
            (AmountAboveMaximum, LineExceeded, LineExceeded),
            // Too much for the one, too little for the other: it is no more than the most of both, nor less than the least.
            (AmountAboveMaximum, AmountBelowMinimum, PlanNotOffered),
        ];
        for (one, other, told) in cases {
            assert_eq!((closer(one, other), closer(other, one)), (told, told), "{one:?} and {other:?}");
        }
    }
}
