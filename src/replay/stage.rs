//! The stage of a scenario: its names, its files, and what each event does in the house. Start with [`Stage::happen`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail, ensure};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use super::books_store as store;
use super::driver::{Bought, Driver, MerchantTerms, NamedPurchase, Refused, refusal_as_answer};
use super::event::{ClaimStep, Event, Purchase, Verdict, with_statement_day};
use crate::app::App;
use crate::base::Fen;
use crate::base::id::{ApplicationId, BreakId, ClaimId, CodeId, LineId, PayoutId, RepaymentId};
use crate::base::person::CreditCode;
use crate::claim::model::{BookedWrongly, Stated};
use crate::credit::actions::{PersonDecision, PersonVerdict};
use crate::credit::line_actions::{ManualChange, change_line};
use crate::credit::{self, Change, Freeze};
use crate::demo::identity;
use crate::error::{Outcome, Refusal};
use crate::funder::actions::{BankMovement, TermsChange};
use crate::merchant::Order;
use crate::merchant::actions::{AccountChange, Judgement};
use crate::partner::client::ATTEMPTS_MAX;
use crate::partner::withholding::ChannelName;
use crate::reconcile::Correction;
use crate::repayment::{Proposal, Transfer};
use crate::sandbox::{Matcher, Scripted, payout, risk};
use crate::settlement::Ending;
use crate::{claim, funder, merchant, product, reconcile, repayment, settlement, text_file};

/// Everybody's age in a scenario; nothing depends on it.
const AGE: u32 = 30;
/// The operator who does what is done by hand; scenarios do not name operators.
const OPERATOR: &str = "operator";
/// The operator who confirms what the first one proposes.
const SECOND_OPERATOR: &str = "second-operator";

/// The outcome of an event: done, or refused with a code.
pub type Done = anyhow::Result<Result<(), Refused>>;

/// A house with a scenario's names in it.
pub struct Stage {
    pub driver: Driver,
    /// The directory with the scenario's own files.
    pub folder: PathBuf,
    orders: BTreeMap<String, CodeId>,
    /// Names of all purchases that somebody wanted to make, including refused ones.
    wanted_purchases: BTreeSet<String>,
    /// The bank account of each merchant.
    accounts: BTreeMap<String, String>,
}

/// One borrower's line.
#[derive(Clone, Debug)]
pub struct NamedLine {
    pub borrower: String,
    /// The product that it was opened under.
    pub product: String,
    pub line_id: LineId,
}

impl Stage {
    pub fn new(driver: Driver, folder: PathBuf) -> Stage {
        Stage { driver, folder, orders: BTreeMap::new(), wanted_purchases: BTreeSet::new(), accounts: BTreeMap::new() }
    }

    pub fn app(&self) -> &App {
        self.driver.app()
    }

    /// The line that `borrower`, or `borrower/product`, names.
    ///
    /// # Errors
    /// If there is none, or if there are several.
    pub fn line(&self, name: &str) -> anyhow::Result<NamedLine> {
        self.find_line(name)?.with_context(|| format!("{name} has no line yet"))
    }

    /// As [`Stage::line`], but `None` if the borrower has no line so far.
    ///
    /// # Errors
    /// Names that the scenario did not introduce, or if there are several.
    pub fn find_line(&self, name: &str) -> anyhow::Result<Option<NamedLine>> {
        let (borrower, product) = name.split_once('/').map_or((name, None), |(name, code)| (name, Some(code)));
        let lines = &self.driver.person(borrower)?.lines;
        let named = |(product, line_id): (&String, &LineId)| NamedLine {
            borrower: borrower.to_owned(),
            product: product.clone(),
            line_id: *line_id,
        };
        match product {
            Some(product) => {
                self.driver.product(product)?;
                Ok(lines.get_key_value(product).map(named))
            }
            None if lines.len() > 1 => bail!("{borrower} has several lines; write {borrower}/PRODUCT"),
            None => Ok(lines.iter().next().map(named)),
        }
    }

    /// The purchase with that name; `None` if it was refused.
    ///
    /// # Errors
    /// If nobody wanted to buy anything under that name.
    pub fn find_bought(&self, name: &str) -> anyhow::Result<Option<Bought>> {
        match self.driver.bought(name) {
            Err(_) if self.wanted_purchases.contains(name) => Ok(None),
            bought => bought.map(Some),
        }
    }

    /// The id of the borrower, merchant or funder with that name.
    ///
    /// # Errors
    /// If nobody was introduced by that name.
    pub fn somebody(&self, name: &str) -> anyhow::Result<Uuid> {
        let driver = &self.driver;
        let person = driver.person(name).map(|person| person.borrower_id.uuid());
        let merchant = person.or_else(|_| driver.merchant(name).map(|merchant_id| merchant_id.uuid()));
        let funder = merchant.or_else(|_| driver.funder(name).map(|funder_id| funder_id.uuid()));
        funder.map_err(|_| anyhow!("the scenario knows no borrower, merchant or funder {name} yet"))
    }

    /// The code of the order with that name.
    ///
    /// # Errors
    /// If no order was opened by that name.
    pub fn order_code(&self, name: &str) -> anyhow::Result<CodeId> {
        self.orders.get(name).copied().with_context(|| format!("the scenario knows no order {name} yet"))
    }

    /// Makes an event happen. `line_number` is used for references that must be unique.
    ///
    /// # Errors
    /// Failures, and names that the scenario did not introduce. A refusal is an outcome, not an error.
    pub async fn happen(&mut self, event: &Event, line_number: usize) -> Done {
        let reference = format!("line-{line_number}");
        match event {
            Event::Funder { code, advance, low_water } => self.open_funder(code, *advance, *low_water).await,
            Event::Deposit { funder, amount } => self.driver.deposit(funder, *amount, &reference).await,
            Event::Withdraw { funder, amount } => self.withdraw(funder, *amount, reference).await,
            Event::Product { source, statement_day } => self.publish(source, *statement_day).await,
            Event::TakeOffSale { product } => {
                let published = self.driver.product(product)?.clone();
                done_or_refused(product::withdraw(self.app(), &published.code, published.version).await)
            }
            Event::Merchant { name, category, discount, discount_returned } => {
                let terms = MerchantTerms {
                    category: category.clone(),
                    discount_rate: *discount,
                    discount_returned_on_refund: *discount_returned,
                };
                self.onboard(name, terms).await
            }
            Event::Suspend { merchant } => self.judge(merchant, merchant::Decision::Suspend).await,
            Event::Resume { merchant } => self.judge(merchant, merchant::Decision::Resume).await,
            Event::HoldPayouts { merchant } => self.driver.hold_payouts(merchant, OPERATOR).await,
            Event::ReleasePayouts { merchant } => {
                self.driver.release_payouts(merchant, [OPERATOR, SECOND_OPERATOR]).await
            }
            Event::Apply { borrower, product, risk } => self.apply(borrower, product, risk.as_ref()).await,
            Event::Decide { borrower, verdict } => self.decide(borrower, verdict).await,
            Event::Review { borrower } => self.review(borrower).await,
            Event::Freeze { line } => self.change(line, Change::Freeze(Freeze::Operator)).await,
            Event::Unfreeze { line } => self.change(line, Change::Unfreeze(Freeze::Operator)).await,
            Event::Limit { line, limit } => self.change(line, Change::Limit(*limit)).await,
            Event::Order { name, merchant, amount, minutes } => self.order(name, merchant, *amount, *minutes).await,
            Event::Purchase(purchase) => self.purchase(purchase).await,
            Event::Void { purchase } => self.driver.void(purchase).await,
            Event::Refund { purchase, amount } => self.refund(purchase, *amount, &reference).await,
            Event::Repay { line, amount } => {
                let NamedLine { borrower, product, .. } = self.line(line)?;
                self.driver.repay(&borrower, &product, *amount).await
            }
            Event::PayOff { purchase } => Ok(self.driver.pay_off(purchase).await?.map(|_| ())),
            Event::Transfer { line, amount, reference: given, received_on } => {
                let (line_id, bank_reference) = (self.line(line)?.line_id, given.clone().unwrap_or(reference));
                let (amount, received_on, operator) = (*amount, *received_on, "operator".to_owned());
                let transfer = Transfer { line_id, amount, bank_reference, received_on, operator };
                done_or_refused(repayment::record_transfer(self.app(), &transfer).await)
            }
            Event::TakeBack { line, nth } => self.take_back(line, *nth).await,
            Event::Claim { purchase, step } => self.claim(purchase, step, &reference).await,
            Event::BindCard { borrower } => self.driver.bind_card(borrower).await,
            Event::UnbindCard { borrower, nth } => self.driver.unbind_card(borrower, *nth).await,
            Event::ChannelAnswers { borrower, on_second, answers } => {
                let channel = if *on_second { ChannelName::Beta } else { ChannelName::Alpha };
                self.driver.answer_card(channel.partner(), borrower, answers.clone())?;
                Ok(Ok(()))
            }
            Event::PayoutAnswers { payee, answers } => self.answer_payouts(payee, answers.clone()),
            Event::RiskAnswers { line, answers } => {
                // Matched by line, so that it is not used for an application.
                let matcher = Matcher::new("line", self.line(line)?.line_id.uuid());
                self.driver.house.world.script(risk::NAME, Some(matcher), answers.clone());
                Ok(Ok(()))
            }
            Event::RetryPayout { payee, nth } => self.retry_payout(payee, *nth).await,
            Event::SettlePayout { payee, nth, paid } => self.settle_payout(payee, *nth, paid.as_ref()).await,
            Event::Correct { borrower, nth, by } => self.correct(borrower, *nth, *by).await,
        }
    }

    async fn open_funder(&mut self, code: &str, advance: Option<Fen>, low_water: Option<Fen>) -> Done {
        let funder_id = self.driver.open_funder(code).await?;
        let change = TermsChange { advance_limit: advance, low_water, lower_marks: None };
        done_or_refused(funder::change_reserve_terms(self.app(), funder_id, change).await)
    }

    async fn withdraw(&self, funder: &str, amount: Fen, reference: String) -> Done {
        let movement = BankMovement { funder_id: self.driver.funder(funder)?, amount, reference };
        done_or_refused(funder::withdraw(self.app(), movement).await)
    }

    /// Publishes a shipped product by its code, or a file beside the scenario.
    async fn publish(&mut self, source: &str, statement_day: Option<u16>) -> Done {
        let code = format!("code = \"{source}\"");
        let mut text = match product::file::SHIPPED.into_iter().find(|text| text.lines().any(|line| line == code)) {
            Some(shipped) => shipped.to_owned(),
            None => {
                let path = self.folder.join(source);
                text_file::read(&path)
                    .with_context(|| format!("{source} is no shipped product, and {} cannot be read", path.display()))?
            }
        };
        if let Some(day) = statement_day {
            text = with_statement_day(&text, day);
        }
        self.driver.publish(&text).await?;
        Ok(Ok(()))
    }

    async fn onboard(&mut self, name: &str, terms: MerchantTerms) -> Done {
        // Names must be unique: the credit code comes from the merchant's number, and later events find it by its name.
        ensure!(!self.driver.merchants.contains_key(name), "there is a merchant {name} already");
        let number = self.driver.merchants.len() + 1;
        let merchant_id = self.driver.onboard(name, credit_code(number).as_str(), terms).await?;
        // An account of its own, by which the payout channel's answers are prescribed.
        let account_number = format!("622588{number:010}");
        self.accounts.insert(name.to_owned(), account_number.clone());
        let mut change = AccountChange { merchant_id, account_number, changed_by: OPERATOR.to_owned() };
        done_or_refused(merchant::actions::change_settlement_account(self.app(), &change).await)?.ok();
        change.changed_by = SECOND_OPERATOR.to_owned();
        done_or_refused(merchant::actions::change_settlement_account(self.app(), &change).await)
    }

    async fn judge(&self, merchant: &str, decision: merchant::Decision) -> Done {
        let judgement = Judgement {
            merchant_id: self.driver.merchant(merchant)?,
            decision,
            decided_by: OPERATOR.to_owned(),
            reason: "scenario".to_owned(),
        };
        done_or_refused(merchant::decide(self.app(), &judgement).await)
    }

    async fn apply(&mut self, borrower: &str, product: &str, risk: Option<&Verdict>) -> Done {
        if self.driver.person(borrower).is_err() {
            let number = u64::try_from(self.driver.people.len())? + 1;
            self.driver.sign_up(borrower, number, AGE).await?;
        }
        let answers = match risk {
            Some(Verdict::Approved { grade, limit }) => {
                vec![Scripted::answer(&format!("approve:{grade}")).amount(limit.get())]
            }
            Some(Verdict::Refused { code }) => vec![Scripted::answer(code)],
            // Silent for every repetition of the call, too.
            None => (0..ATTEMPTS_MAX).map(|_| Scripted::answer("silent")).collect(),
        };
        let matcher = Matcher::new("borrower", self.driver.person(borrower)?.borrower_id.uuid());
        self.driver.house.world.script(risk::NAME, Some(matcher), answers);
        Ok(self.driver.apply(borrower, product, None, None).await?.map(|_| ()))
    }

    /// Decides the borrower's latest application.
    async fn decide(&mut self, borrower: &str, verdict: &Verdict) -> Done {
        let verdict = match verdict {
            Verdict::Approved { grade, limit } => PersonVerdict::Approve { grade: grade.clone(), limit: *limit },
            Verdict::Refused { code } => PersonVerdict::Refuse { code: code.clone() },
        };
        let borrower_id = self.driver.person(borrower)?.borrower_id;
        let application = self.latest_application(borrower).await?;
        let decision = PersonDecision {
            borrower_id,
            application_id: ApplicationId::from_uuid(id_in(&application, "application_id")?),
            person: OPERATOR.to_owned(),
            reason: "scenario".to_owned(),
            verdict,
        };
        let decided = refusal_as_answer(credit::actions::decide_referred(self.app(), decision).await)?;
        let decided = decided.map(|applied| applied.state);
        if let Ok(credit::ApplicationState::Approved { line_id, .. }) = decided {
            let line = credit::store::find_line(&mut *self.app().pool.acquire().await?, line_id).await?;
            let product_id = line.context("an approval opened a line")?.product_id;
            let product = self.driver.products.values().find(|product| product.product_id == product_id);
            let code = product.context("the scenario published the line's product")?.code.clone();
            let person = self.driver.people.get_mut(borrower).context("the borrower was found before")?;
            person.lines.insert(code, line_id);
        }
        Ok(decided.map(|_| ()))
    }

    async fn review(&self, borrower: &str) -> Done {
        let borrower_id = self.driver.person(borrower)?.borrower_id;
        let application = self.latest_application(borrower).await?;
        let application_id = ApplicationId::from_uuid(id_in(&application, "application_id")?);
        let asked = credit::review_actions::ask_for_person(self.app(), borrower_id, application_id).await;
        Ok(refusal_as_answer(asked)?.map(|_| ()))
    }

    async fn latest_application(&self, borrower: &str) -> anyhow::Result<Value> {
        let borrower_id = self.driver.person(borrower)?.borrower_id.uuid();
        let found = store::find_application(&mut *self.app().pool.acquire().await?, borrower_id).await?;
        found.with_context(|| format!("{borrower} has not applied yet"))
    }

    async fn change(&self, line: &str, change: Change) -> Done {
        let manual = ManualChange {
            line_id: self.line(line)?.line_id,
            change,
            person: OPERATOR.to_owned(),
            reason: "scenario".to_owned(),
        };
        done_or_refused(change_line(self.app(), manual).await)
    }

    async fn order(&mut self, name: &str, merchant: &str, amount: Fen, minutes: u16) -> Done {
        let order = Order {
            merchant_id: self.driver.merchant(merchant)?,
            reference: name.to_owned(),
            amount,
            expires_at: self.app().clock.now() + TimeDelta::minutes(i64::from(minutes)),
        };
        let app = self.app();
        let opened = refusal_as_answer(app.order_desk.open(order, app.clock.now()).await)?;
        Ok(opened.map(|code| {
            self.orders.insert(name.to_owned(), code.code_id);
        }))
    }

    async fn purchase(&mut self, purchase: &Purchase) -> Done {
        let Purchase { name, borrower, merchant, product, periods, amount, order } = purchase;
        // One line serves every product of its funder.
        let line = self.line(&format!("{borrower}/{product}")).or_else(|_| self.line(borrower))?;
        let order_code = order.as_deref().map(|order| self.order_code(order)).transpose()?;
        let wanted = NamedPurchase {
            name: name.clone(),
            merchant: merchant.clone(),
            product: product.clone(),
            amount: *amount,
            periods: *periods,
        };
        self.wanted_purchases.insert(name.clone());
        Ok(self.driver.purchase(line.line_id, &wanted, order_code).await?.map(|_| ()))
    }

    async fn refund(&self, purchase: &str, amount: Option<Fen>, key: &str) -> Done {
        let amount = match amount {
            Some(amount) => amount,
            None => {
                let purchase_id = self.driver.bought(purchase)?.purchase_id.uuid();
                let left = store::find_refundable(&mut *self.app().pool.acquire().await?, purchase_id).await?;
                Fen::new(left.context("an authorised purchase is recorded")?)
            }
        };
        self.driver.refund(purchase, amount, key).await
    }

    fn answer_payouts(&self, payee: &str, answers: Vec<Scripted>) -> Done {
        let account = match (self.accounts.get(payee), self.driver.person(payee)) {
            (Some(account), _) => account.clone(),
            (None, Ok(person)) => person.card_number.reveal().to_owned(),
            // A funder is paid by its code.
            (None, Err(_)) => self.driver.funder(payee).map(|_| payee.to_owned())?,
        };
        self.driver.house.world.script(payout::NAME, Some(Matcher::new("account", account)), answers);
        Ok(Ok(()))
    }

    async fn payout(&self, payee: &str, nth: i64) -> anyhow::Result<PayoutId> {
        let beneficiary_id = self.somebody(payee)?;
        let found = store::find_payout(&mut *self.app().pool.acquire().await?, beneficiary_id, nth).await?;
        let found = found.with_context(|| format!("{payee} has no payout {nth} yet"))?;
        Ok(PayoutId::from_uuid(id_in(&found, "payout_id")?))
    }

    async fn retry_payout(&self, payee: &str, nth: i64) -> Done {
        let payout_id = self.payout(payee, nth).await?;
        done_or_refused(settlement::retry_payout(self.app(), payout_id, OPERATOR).await)
    }

    async fn settle_payout(&self, payee: &str, nth: i64, paid: Option<&String>) -> Done {
        let payout_id = self.payout(payee, nth).await?;
        let ending = paid.map_or(Ending::Failed, |reference| Ending::Paid { bank_reference: reference.clone() });
        if let Err(refused) =
            done_or_refused(settlement::settle_payout(self.app(), payout_id, ending.clone(), OPERATOR).await)?
        {
            return Ok(Err(refused));
        }
        done_or_refused(settlement::settle_payout(self.app(), payout_id, ending, SECOND_OPERATOR).await)
    }

    async fn correct(&self, borrower: &str, nth: i64, by: Option<Correction>) -> Done {
        let borrower_id = self.driver.person(borrower)?.borrower_id.uuid();
        let found = store::find_break(&mut *self.app().pool.acquire().await?, borrower_id, nth).await?;
        let found = found.with_context(|| format!("{borrower} has no break {nth} yet"))?;
        let break_id = BreakId::from_uuid(id_in(&found, "break_id")?);
        let proposal_no = match by {
            Some(correction) => {
                let proposed = reconcile::propose_correction(self.app(), break_id, correction, OPERATOR).await;
                match refusal_as_answer(proposed)? {
                    Ok(proposal_no) => proposal_no,
                    Err(refused) => return Ok(Err(refused)),
                }
            }
            None => i32::try_from(found["proposal_no"].as_i64().context("a break has its proposal's number")?)?,
        };
        done_or_refused(reconcile::actions::confirm_break(self.app(), break_id, proposal_no, SECOND_OPERATOR).await)
    }

    async fn claim(&self, purchase: &str, step: &ClaimStep, reference: &str) -> Done {
        let loan_id = self.driver.bought(purchase)?.loan_id;
        if *step == ClaimStep::Asked {
            return done_or_refused(claim::ask(self.app(), loan_id, OPERATOR).await);
        }
        let found = store::find_latest_claim(&mut *self.app().pool.acquire().await?, loan_id.uuid()).await?;
        let claim_id = ClaimId::from_uuid(found.with_context(|| format!("{purchase} has no claim yet"))?);
        let given = match step {
            ClaimStep::Paid { reference } => reference,
            ClaimStep::TakenBack => return self.take_claim_back(claim_id).await,
            ClaimStep::Asked | ClaimStep::Withdrawn => {
                return done_or_refused(claim::withdraw(self.app(), claim_id, OPERATOR, "scenario").await);
            }
        };
        let bank_reference = given.clone().unwrap_or_else(|| reference.to_owned());
        let mut word = Stated { by: OPERATOR.to_owned(), bank_reference };
        if let Err(refused) = done_or_refused(claim::pay(self.app(), claim_id, &word).await)? {
            return Ok(Err(refused));
        }
        word.by = SECOND_OPERATOR.to_owned();
        done_or_refused(claim::pay(self.app(), claim_id, &word).await)
    }

    async fn take_claim_back(&self, claim_id: ClaimId) -> Done {
        let mut word = BookedWrongly { by: OPERATOR.to_owned(), reason: "scenario".to_owned() };
        if let Err(refused) = done_or_refused(claim::take_back(self.app(), claim_id, &word).await)? {
            return Ok(Err(refused));
        }
        word.by = SECOND_OPERATOR.to_owned();
        done_or_refused(claim::take_back(self.app(), claim_id, &word).await)
    }

    async fn take_back(&self, line: &str, nth: i64) -> Done {
        let line_id = self.line(line)?.line_id.uuid();
        let found = store::find_repayment(&mut *self.app().pool.acquire().await?, line_id, nth).await?;
        let found = found.with_context(|| format!("{line} has no repayment {nth} yet"))?;
        let repayment_id = RepaymentId::from_uuid(id_in(&found, "repayment_id")?);
        let proposal = Proposal { by: OPERATOR.to_owned(), reason: "scenario".to_owned() };
        match refusal_as_answer(repayment::propose_taking_back(self.app(), repayment_id, &proposal).await)? {
            Ok(proposal_no) => {
                let taken_back = repayment::confirm_taking_back(self.app(), repayment_id, proposal_no, SECOND_OPERATOR);
                done_or_refused(taken_back.await)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }
}

fn id_in(row: &Value, key: &str) -> anyhow::Result<Uuid> {
    let text = row[key].as_str().with_context(|| format!("a row has its {key}"))?;
    Ok(text.parse()?)
}

/// What a use case came to, without what it returned.
fn done_or_refused<T, R: Refusal>(outcome: Outcome<T, R>) -> Done {
    Ok(refusal_as_answer(outcome)?.map(|_| ()))
}

/// The unified social credit code of the scenario's `number`th merchant.
fn credit_code(number: usize) -> CreditCode {
    identity::credit_code(&format!("91350100M{:07}", number % 10_000_000))
}
