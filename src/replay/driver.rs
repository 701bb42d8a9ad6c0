//! Does what people do in a house, under the names of a story, and lets the days in between pass with all their jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, TimeDelta, Utc};

use super::house::{House, MORNING};
use super::next_work::NextWork;
use super::next_work_store::load_next_work;
use crate::app::App;
use crate::base::id::{BorrowerId, CodeId, FunderId, LineId, LoanId, MerchantId, PurchaseId};
use crate::base::person::CardNumber;
use crate::base::{BusinessDay, Fen, Rate};
use crate::borrower::actions::{self as borrower_actions, Signature};
use crate::borrower::card::{CardBinding, CardCode, CardRefusal};
use crate::borrower::{Agreement, Registration, card_actions};
use crate::credit::{self, ApplicationState, ApplyRequest, CardHistory};
use crate::demo::identity;
use crate::error::{Fault, Outcome, Refusal};
use crate::funder::{self, actions::BankMovement};
use crate::jobs::worker::run_ready;
use crate::jobs::{JobKind, dispatch};
use crate::merchant::actions::{Judgement, Onboarding};
use crate::product::actions::PublishedVersion;
use crate::purchase::actions::{self as after_sale, RefundRequest};
use crate::purchase::authoriser::decide_one;
use crate::purchase::{Decision, PurchaseRequest};
use crate::repayment::{self, PayoffOrder, RepayRequest};
use crate::sandbox::{Matcher, Scripted};
use crate::settlement::{self, HoldStatement};
use crate::{merchant, outbox, product, timetable};

/// What a refused use case says: its stable code.
pub type Refused = &'static str;

/// A borrower of a story.
#[derive(Clone, Debug)]
pub struct Person {
    pub borrower_id: BorrowerId,
    /// The number from which identity and cards were made.
    pub number: u64,
    /// The card that was bound last.
    pub card_number: CardNumber,
    /// The number of that card's withholding agreement, by which the channels know the card.
    pub agreement_number: String,
    /// The lines that approvals have opened, by product code.
    pub lines: BTreeMap<String, LineId>,
}

/// An authorised purchase.
#[derive(Clone, Copy, Debug)]
pub struct Bought {
    pub purchase_id: PurchaseId,
    pub loan_id: LoanId,
    pub line_id: LineId,
}

/// A purchase that somebody wants to make, by the names of a story.
#[derive(Clone, Debug)]
pub struct NamedPurchase {
    /// Names the purchase, and is its idempotency key.
    pub name: String,
    pub merchant: String,
    pub product: String,
    pub amount: Fen,
    pub periods: u16,
}

/// Drives a house: does what people do, and runs the timetable's jobs as time passes.
pub struct Driver {
    pub house: House,
    /// The least time between two runs of a repeated job: what the timetable repeats more often is run once in this time.
    pub apart: TimeDelta,
    pub funders: BTreeMap<String, FunderId>,
    pub products: BTreeMap<String, PublishedVersion>,
    pub merchants: BTreeMap<String, MerchantId>,
    pub people: BTreeMap<String, Person>,
    pub purchases: BTreeMap<String, Bought>,
    keys_made: AtomicU64,
}

impl Driver {
    pub fn new(house: House) -> Driver {
        Driver {
            house,
            apart: TimeDelta::hours(1),
            funders: BTreeMap::new(),
            products: BTreeMap::new(),
            merchants: BTreeMap::new(),
            people: BTreeMap::new(),
            purchases: BTreeMap::new(),
            keys_made: AtomicU64::new(0),
        }
    }

    pub fn app(&self) -> &App {
        &self.house.app
    }

    /// Moves time to the morning of `day`, and runs every job at its time, including the close of every day that ends.
    ///
    /// # Errors
    /// Whatever keeps a job from being done.
    pub async fn advance_to(&self, day: BusinessDay) -> anyhow::Result<()> {
        self.live_until(day.instant(MORNING)).await
    }

    /// As [`Driver::advance_to`], to an instant; if it has passed, nothing happens. The clock stops only at times at which jobs may find
    /// something to do.
    ///
    /// # Errors
    /// Whatever keeps a job from being done.
    pub async fn live_until(&self, to: DateTime<Utc>) -> anyhow::Result<()> {
        let clock = &self.app().clock;
        if to <= clock.now() {
            return Ok(());
        }
        // `next` stays valid until a job has done something; whatever was done is settled before time goes on.
        let (mut next, mut unsettled_at) = (None::<NextWork>, None::<DateTime<Utc>>);
        for (at, kind) in timetable::ticks(clock.now(), to, self.apart)? {
            if unsettled_at.is_some_and(|before| before < at) {
                self.settle().await?;
                (next, unsettled_at) = (None, None);
            }
            let known = match next {
                Some(known) => known,
                None => *next.insert(self.look_ahead().await?),
            };
            if known.may_settle(at) || self.house.world.callbacks_pending() > 0 {
                clock.set(at);
                unsettled_at = Some(at);
            }
            if known.may_find(kind, at) {
                clock.set(at);
                dispatch::run(self.app(), kind).await.with_context(|| format!("{} at {at}", kind.name()))?;
                (next, unsettled_at) = (None, Some(at));
            }
        }
        clock.set(to);
        self.settle().await
    }

    async fn look_ahead(&self) -> sqlx::Result<NextWork> {
        let app = self.app();
        load_next_work(&mut *app.pool.acquire().await?, app.clock.now()).await
    }

    /// Lets everything under way arrive: partners' callbacks, enqueued jobs, and our messages.
    ///
    /// # Errors
    /// Failures of the database.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.house.world.deliver_callbacks().await;
        run_ready(self.app(), "replay").await?;
        outbox::jobs::deliver_outbox(self.app()).await?;
        Ok(())
    }

    /// Opens a funder under its code.
    ///
    /// # Errors
    /// A failure, or a refusal: no story expects one here.
    pub async fn open_funder(&mut self, code: &str) -> anyhow::Result<FunderId> {
        let funder_id = refusal_as_error(funder::open_funder(self.app(), code, code).await)?;
        self.funders.insert(code.to_owned(), funder_id);
        Ok(funder_id)
    }

    /// Publishes a product text; purchases and applications name it by its code.
    ///
    /// # Errors
    /// A failure, or what is wrong with the text.
    pub async fn publish(&mut self, text: &str) -> anyhow::Result<PublishedVersion> {
        let published = refusal_as_error(product::publish(self.app(), text).await)?;
        self.products.insert(published.code.clone(), published.clone());
        Ok(published)
    }

    /// A deposit of the funder arrives at the bank.
    ///
    /// # Errors
    /// A failure, or a name that the story did not introduce.
    pub async fn deposit(&self, funder: &str, amount: Fen, reference: &str) -> anyhow::Result<Result<(), Refused>> {
        let movement = BankMovement { funder_id: self.funder(funder)?, amount, reference: reference.to_owned() };
        Ok(refusal_as_answer(funder::deposit(self.app(), movement).await)?.map(|_| ()))
    }

    /// A merchant applies and is accepted.
    ///
    /// # Errors
    /// A failure, or a refusal: no story expects one here.
    pub async fn onboard(&mut self, name: &str, credit_code: &str, terms: MerchantTerms) -> anyhow::Result<MerchantId> {
        let onboarding = Onboarding {
            name: name.to_owned(),
            credit_code: credit_code.to_owned(),
            category: terms.category,
            account_name: name.to_owned(),
            account_number: "6225880212345678".to_owned(),
            contact_mobile: "13900000000".to_owned(),
            latin: None,
            discount_rate: terms.discount_rate,
            discount_returned_on_refund: terms.discount_returned_on_refund,
        };
        let merchant_id = refusal_as_error(merchant::onboard(self.app(), &onboarding).await)?;
        let judgement = Judgement {
            merchant_id,
            decision: merchant::Decision::Accept,
            decided_by: "operator".to_owned(),
            reason: "complete".to_owned(),
        };
        let _ = refusal_as_error(merchant::decide(self.app(), &judgement).await)?;
        self.merchants.insert(name.to_owned(), merchant_id);
        Ok(merchant_id)
    }

    /// Somebody signs up: identity, agreements, and a card with its signed withholding agreement. The identity is made from `number`.
    ///
    /// # Errors
    /// A failure, or a refusal: no story expects one here.
    pub async fn sign_up(&mut self, name: &str, number: u64, age: u32) -> anyhow::Result<Person> {
        let today = BusinessDay::at(self.app().clock.now());
        let registration: Registration = identity::registration(number, age, today);
        let borrower_id = refusal_as_error(borrower_actions::register(self.app(), registration).await)?;
        let signatures = Agreement::ALL.map(|agreement| Signature {
            borrower_id,
            agreement,
            text_sha256: agreement.wording().sha256,
            device: "story".to_owned(),
        });
        refusal_as_error(borrower_actions::sign(self.app(), &signatures).await)?;
        let (card_number, agreement_number) = refusal_as_error(self.sign_card(borrower_id, number, 0).await)?;
        let person = Person { borrower_id, number, card_number, agreement_number, lines: BTreeMap::new() };
        self.people.insert(name.to_owned(), person.clone());
        Ok(person)
    }

    /// Somebody binds another card; from then on prescribed answers are for that one.
    ///
    /// # Errors
    /// A failure, or a name that the story did not introduce; so below.
    pub async fn bind_card(&mut self, borrower: &str) -> anyhow::Result<Result<(), Refused>> {
        let Person { borrower_id, number, .. } = *self.person(borrower)?;
        let nth = u8::try_from(card_actions::cards(self.app(), borrower_id).await?.len())?;
        let signed = refusal_as_answer(self.sign_card(borrower_id, number, nth).await)?;
        let person = self.people.get_mut(borrower).context("the borrower was found before")?;
        Ok(signed.map(|(card_number, agreement_number)| {
            (person.card_number, person.agreement_number) = (card_number, agreement_number);
        }))
    }

    /// Somebody unbinds a card, the `nth` that was bound, from 1.
    pub async fn unbind_card(&self, borrower: &str, nth: i64) -> anyhow::Result<Result<(), Refused>> {
        let borrower_id = self.person(borrower)?.borrower_id;
        let cards = card_actions::cards(self.app(), borrower_id).await?;
        let card = cards.get(usize::try_from(nth - 1)?).ok_or_else(|| unknown("card", &format!("{borrower} {nth}")))?;
        refusal_as_answer(card_actions::unbind(self.app(), borrower_id, card.card_id).await)
    }

    /// Has the bank sign for the `nth` card of a person, from 0; returns its number and that of its agreement.
    async fn sign_card(
        &self,
        borrower_id: BorrowerId,
        number: u64,
        nth: u8,
    ) -> Outcome<(CardNumber, String), CardRefusal> {
        let (card_number, mobile) = (identity::card_number(number, nth), identity::mobile(number));
        // The sandbox's code is the mobile's last six digits.
        let code = mobile.reveal()[5..].to_owned();
        let binding = CardBinding { borrower_id, number: card_number.clone(), mobile };
        let card_id = card_actions::start_binding(self.app(), binding).await?;
        let card_id = card_actions::confirm_binding(self.app(), CardCode { borrower_id, card_id, code }).await?;
        let cards = card_actions::cards(self.app(), borrower_id).await?;
        let bound = cards.into_iter().find(|card| card.card_id == card_id).context("a bound card is listed")?;
        Ok((card_number, bound.agreement_number))
    }

    /// Somebody applies for a product's line; an approval is remembered under the product.
    ///
    /// # Errors
    /// A failure, or a name that the story did not introduce.
    pub async fn apply(
        &mut self,
        borrower: &str,
        product: &str,
        history: Option<CardHistory>,
        limit_requested: Option<Fen>,
    ) -> anyhow::Result<Result<ApplicationState, Refused>> {
        let version = self.product(product)?;
        let request = ApplyRequest {
            borrower_id: self.person(borrower)?.borrower_id,
            product_id: version.product_id,
            product_version: version.version,
            idempotency_key: self.key(&format!("{borrower}/{product}")),
            limit_requested,
            history,
        };
        let applied = refusal_as_answer(credit::actions::apply(self.app(), request).await)?;
        let state = applied.map(|applied| applied.state);
        if let Ok(ApplicationState::Approved { line_id, .. }) = &state {
            let person = self.people.get_mut(borrower).context("the borrower was found before")?;
            person.lines.insert(product.to_owned(), *line_id);
        }
        Ok(state)
    }

    /// Somebody scans a code and buys on a line, perhaps for a merchant's order. An authorised purchase is remembered under its name.
    ///
    /// # Errors
    /// A failure, or a name that the story did not introduce.
    pub async fn purchase(
        &mut self,
        line_id: LineId,
        wanted: &NamedPurchase,
        order_code: Option<CodeId>,
    ) -> anyhow::Result<Result<Bought, Refused>> {
        let version = self.product(&wanted.product)?;
        let request = PurchaseRequest {
            line_id,
            idempotency_key: wanted.name.clone(),
            merchant_id: self.merchant(&wanted.merchant)?,
            order_code,
            product_id: version.product_id,
            product_version: version.version,
            periods: wanted.periods,
            amount: wanted.amount,
        };
        let answer = decide_one(self.app(), request).await;
        let receipt = refusal_as_answer(answer)?;
        Ok(receipt.and_then(|receipt| match receipt.decision {
            Decision::Authorised { loan_id } => {
                let bought = Bought { purchase_id: receipt.purchase_id, loan_id, line_id };
                self.purchases.insert(wanted.name.clone(), bought);
                Ok(bought)
            }
            Decision::Refused(refusal) => Err(refusal.code()),
        }))
    }

    /// The merchant undoes a purchase of today.
    ///
    /// # Errors
    /// A failure, or a name that the story did not introduce; so with the verbs below.
    pub async fn void(&self, purchase: &str) -> anyhow::Result<Result<(), Refused>> {
        let bought = self.bought(purchase)?;
        Ok(refusal_as_answer(after_sale::void(self.app(), bought.purchase_id).await)?.map(|_| ()))
    }

    /// The merchant refunds part or all of a purchase; `key` is the idempotency key.
    pub async fn refund(&self, purchase: &str, amount: Fen, key: &str) -> anyhow::Result<Result<(), Refused>> {
        let purchase_id = self.bought(purchase)?.purchase_id;
        let request = RefundRequest { purchase_id, amount, idempotency_key: key.to_owned() };
        Ok(refusal_as_answer(after_sale::refund(self.app(), request).await)?.map(|_| ()))
    }

    /// A person holds a merchant's payouts.
    pub async fn hold_payouts(&self, merchant: &str, by: &str) -> anyhow::Result<Result<(), Refused>> {
        let stated = self.of_payouts(merchant, by)?;
        Ok(refusal_as_answer(settlement::hold_payouts(self.app(), &stated).await)?.map(|_| ()))
    }

    /// Two people release them.
    pub async fn release_payouts(&self, merchant: &str, both: [&str; 2]) -> anyhow::Result<Result<(), Refused>> {
        let mut done = Ok(());
        for by in both {
            let stated = self.of_payouts(merchant, by)?;
            done = refusal_as_answer(settlement::release_payouts(self.app(), &stated).await)?.map(|_| ());
        }
        Ok(done)
    }

    fn of_payouts(&self, merchant: &str, by: &str) -> anyhow::Result<HoldStatement> {
        let merchant_id = self.merchant(merchant)?;
        Ok(HoldStatement { merchant_id, by: by.to_owned(), reason: "scenario".to_owned() })
    }

    /// The borrower presses the button; the channel is asked at once.
    pub async fn repay(&self, borrower: &str, product: &str, amount: Fen) -> anyhow::Result<Result<(), Refused>> {
        let line_id = self.line(borrower, product)?;
        let request = RepayRequest { line_id, amount, card_id: None, idempotency_key: self.key(borrower) };
        let ordered = refusal_as_answer(repayment::repay(self.app(), &request).await)?;
        self.collect().await?;
        Ok(ordered.map(|_| ()))
    }

    /// The borrower pays the loan of a purchase off early. Returns the amount, which is quoted now.
    pub async fn pay_off(&self, purchase: &str) -> anyhow::Result<Result<Fen, Refused>> {
        let Bought { loan_id, line_id, .. } = self.bought(purchase)?;
        let quoted = match refusal_as_answer(repayment::payoff_quote(self.app(), line_id, loan_id).await)? {
            Ok(quote) => quote.total(),
            Err(refused) => return Ok(Err(refused)),
        };
        let order = PayoffOrder { loan_id, line_id, quoted, card_id: None, idempotency_key: self.key(purchase) };
        let ordered = refusal_as_answer(repayment::early_payoff(self.app(), &order).await)?;
        self.collect().await?;
        Ok(ordered.map(|_| quoted))
    }

    /// Prescribes how `partner` answers the next requests about the borrower's card.
    pub fn answer_card(&self, partner: &str, borrower: &str, outcomes: Vec<Scripted>) -> anyhow::Result<()> {
        let matcher = Matcher::new("card", &self.person(borrower)?.agreement_number);
        self.house.world.script(partner, Some(matcher), outcomes);
        Ok(())
    }

    /// Sends what was just ordered, and lets the answer arrive.
    async fn collect(&self) -> anyhow::Result<()> {
        dispatch::run(self.app(), JobKind::Withhold).await?;
        self.settle().await
    }

    /// A new idempotency key for each action, from a counter: the moved clock may stand still between two actions.
    fn key(&self, what: &str) -> String {
        format!("{what}/{}", self.keys_made.fetch_add(1, Ordering::Relaxed))
    }

    /// The purchase of a name. This and the five look-ups below fail where the story did not introduce the name.
    ///
    /// # Errors
    /// If the story did not introduce the name.
    pub fn bought(&self, name: &str) -> anyhow::Result<Bought> {
        self.purchases.get(name).copied().ok_or_else(|| unknown("purchase", name))
    }

    pub fn funder(&self, name: &str) -> anyhow::Result<FunderId> {
        self.funders.get(name).copied().ok_or_else(|| unknown("funder", name))
    }

    pub fn product(&self, name: &str) -> anyhow::Result<&PublishedVersion> {
        self.products.get(name).ok_or_else(|| unknown("product", name))
    }

    pub fn merchant(&self, name: &str) -> anyhow::Result<MerchantId> {
        self.merchants.get(name).copied().ok_or_else(|| unknown("merchant", name))
    }

    pub fn person(&self, name: &str) -> anyhow::Result<&Person> {
        self.people.get(name).ok_or_else(|| unknown("borrower", name))
    }

    pub fn line(&self, borrower: &str, product: &str) -> anyhow::Result<LineId> {
        self.person(borrower)?
            .lines
            .get(product)
            .copied()
            .ok_or_else(|| unknown("line", &format!("{borrower}/{product}")))
    }
}

/// The terms on which a merchant takes part.
#[derive(Clone, Debug)]
pub struct MerchantTerms {
    pub category: String,
    pub discount_rate: Rate,
    pub discount_returned_on_refund: bool,
}

/// The outcome of a use case that a story may expect to be refused: a refusal becomes an answer with its code.
///
/// # Errors
/// A failure.
pub fn refusal_as_answer<T, R: Refusal>(outcome: Outcome<T, R>) -> anyhow::Result<Result<T, Refused>> {
    match outcome {
        Ok(done) => Ok(Ok(done)),
        Err(Fault::Refused(refusal)) => Ok(Err(refusal.code())),
        Err(Fault::Failed(failure)) => Err(failure),
    }
}

/// The outcome of a use case that no story expects to be refused: a refusal becomes an error.
fn refusal_as_error<T, R: Refusal>(outcome: Outcome<T, R>) -> anyhow::Result<T> {
    outcome.map_err(|fault| match fault {
        Fault::Refused(refusal) => anyhow!("{} ({})", refusal, refusal.code()),
        Fault::Failed(failure) => failure,
    })
}

fn unknown(what: &str, name: &str) -> anyhow::Error {
    anyhow!("the story knows no {what} {name:?} yet")
}
