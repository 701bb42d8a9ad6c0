//! Use cases of payouts: book what the channel says, whichever way it says it, and retry a failed payout.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::contradiction_store::{self, Contradiction, KnownAnswer, KnownAnswersOf};
use super::payout::{
    ASK_AGAIN_AFTER, Answer, Cancelling, ContradictionKind, Learned, PayoutKind, PayoutRefusal, PayoutStatus, Word,
    may_arrive,
};
use super::payout_store::{self as store, Change, Locked, PaidSource};
use super::posting::{self, FunderAmount};
use super::{hold_store, notices, remittance_store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{BorrowerId, FunderId, PayoutId, RepaymentId};
use crate::base::{Fen, When};
use crate::borrower;
use crate::business_day;
use crate::database::{self, halves::Halves};
use crate::error::{Fault, Outcome, Step};
use crate::funder::find_code;
use crate::ledger;
use crate::notice::{self, Notice};
use crate::outbox;
use crate::partner::asking::query_delay;

/// What a batch of answers changed, in numbers of payouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub paid: u64,
    pub failed: u64,
    /// Still unknown, or to be sent again.
    pub waiting: u64,
    /// Nothing new, or a contradiction that people must settle.
    pub unchanged: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.paid += other.paid;
        self.failed += other.failed;
        self.waiting += other.waiting;
        self.unchanged += other.unchanged;
    }
}

/// Books what the channel says about payouts, in one transaction unless one of them cannot be booked. The same answer may come any
/// number of times, in response to the call that sent the payout or to a query, or by callback.
///
/// # Errors
/// Failures of the database, and the first payout that could not be booked, after all others were.
pub async fn learn(app: &App, answers: &BTreeMap<PayoutId, Answer>) -> anyhow::Result<Tally> {
    learn_in_time(app, answers, DateTime::<Utc>::MAX_UTC).await
}

/// As [`learn`], for the answers to this node's own calls and queries. From `until` on another node may have sent the payouts again:
/// then only the answer that a payout was paid counts, and everything else is asked for again.
pub async fn learn_in_time(
    app: &App,
    answers: &BTreeMap<PayoutId, Answer>,
    until: DateTime<Utc>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let listed: Vec<(&PayoutId, &Answer)> = answers.iter().collect();
    let mut parts = Halves::of(std::iter::once(listed.as_slice()));
    while let Some(part) = parts.take() {
        let of_part: BTreeMap<PayoutId, Answer> =
            part.iter().map(|(payout_id, answer)| (**payout_id, (*answer).clone())).collect();
        match learn_together(app, &of_part, until).await {
            Ok(learnt) => tally.add(learnt),
            Err(failure) => parts.failed(part, failure, |(payout_id, _)| **payout_id)?,
        }
    }
    parts.end(tally)
}

async fn learn_together(
    app: &App,
    answers: &BTreeMap<PayoutId, Answer>,
    until: DateTime<Utc>,
) -> anyhow::Result<Tally> {
    let now = app.clock.now();
    let ids: Vec<PayoutId> = answers.keys().copied().collect();
    let mut transaction = database::begin(&app.pool).await?;
    let when = When { business_day: business_day::store::hold_today(&mut transaction).await?, at: now };
    let payouts = store::lock_payouts(&mut transaction, &ids).await?;
    // Checked only once they are locked, since this node may have been suspended at any time before.
    let is_late = app.clock.now() >= until;
    let counts = |answer: &&Answer| !is_late || matches!(answer.word, Word::Succeeded { .. });
    let known = load_known(&mut transaction, &payouts, answers).await?;
    let mut round = Round::new(when, hold_store::load_held(&mut transaction, &ids).await?);
    for payout in &payouts {
        let Some(answer) = answers.get(&payout.payout_id).filter(counts) else { continue };
        let this =
            || KnownAnswer { payout_id: payout.payout_id, attempt_no: answer.attempt_no, says: says(payout, answer) };
        if !known.is_empty() && known.contains(&this()) {
            round.tally.unchanged += 1;
        } else {
            round.take(payout, answer);
        }
    }
    let changed = store::save_changes(&mut transaction, &round.changes, now).await?;
    anyhow::ensure!(changed == round.changes.len() as u64, "a locked payout changed its status");
    let opened = contradiction_store::open(&mut transaction, &round.contradictions, when).await?;
    anyhow::ensure!(opened == round.contradictions.len() as u64, "a locked payout changed its status");
    contradiction_store::note_of_cancelled(&mut transaction, &round.of_cancelled, now).await?;
    book_paid(&mut transaction, &round.paid, when).await?;
    notice::raise(&mut transaction, &round.notices).await?;
    transaction.commit().await?;
    Ok(round.tally)
}

/// Answers that are known already and change nothing. For a payment of another amount, those that people have settled since: the
/// callback about such a payment is always refused, so the channel keeps sending it. The same for another payment of the present
/// attempt than the one that people found to be booked: the channel is asked about that attempt for days. For cancelled payouts all
/// answers that operators were told of, and for contradicted payouts all that people still have to settle.
async fn load_known(
    connection: &mut PgConnection,
    payouts: &[Locked],
    answers: &BTreeMap<PayoutId, Answer>,
) -> sqlx::Result<BTreeSet<KnownAnswer>> {
    let may_be_settled = |payout: &&Locked| {
        let answer = answers.get(&payout.payout_id);
        answer.is_some_and(|answer| other_amount(payout, answer).is_some() || is_another_payment(payout, answer))
    };
    let is_cancelled = |payout: &&Locked| payout.status == PayoutStatus::Cancelled;
    let is_contradicted = |payout: &&Locked| payout.contradicted_attempt.is_some();
    let id = |payout: &Locked| payout.payout_id.uuid();
    let of = KnownAnswersOf {
        settled: payouts.iter().filter(may_be_settled).map(id).collect(),
        cancelled: payouts.iter().filter(is_cancelled).map(id).collect(),
        contradicted: payouts.iter().filter(is_contradicted).map(id).collect(),
    };
    if of.settled.is_empty() && of.cancelled.is_empty() && of.contradicted.is_empty() {
        return Ok(BTreeSet::new());
    }
    contradiction_store::load_known_answers(connection, &of).await
}

/// What the answers of one transaction will write.
struct Round {
    when: When,
    /// Payouts that are held with their merchant's, and when each was last claimed to be sent.
    held: BTreeMap<PayoutId, Option<DateTime<Utc>>>,
    changes: Vec<Change>,
    paid: Vec<PaidPayout>,
    contradictions: Vec<Contradiction>,
    /// Contradictions of cancelled payouts, which nobody has to settle.
    of_cancelled: Vec<Contradiction>,
    notices: Vec<Notice>,
    tally: Tally,
}

impl Round {
    fn new(when: When, held: BTreeMap<PayoutId, Option<DateTime<Utc>>>) -> Round {
        Round {
            when,
            held,
            changes: Vec::new(),
            paid: Vec::new(),
            contradictions: Vec::new(),
            of_cancelled: Vec::new(),
            notices: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn take(&mut self, payout: &Locked, answer: &Answer) {
        match payout.standing().learn(answer) {
            Learned::Paid { bank_reference } => {
                self.tally.paid += 1;
                let change = Change {
                    bank_reference: Some(bank_reference.clone()),
                    query_at: Some(self.when.at + ASK_AGAIN_AFTER),
                    ..becomes(payout, PayoutStatus::Succeeded)
                };
                self.changes.push(change);
                self.paid.push(PaidPayout { payout: payout.clone(), bank_reference });
            }
            Learned::Failed { failure } => {
                self.tally.failed += 1;
                self.tell_operators("payout_failed", failure_body(payout, &failure));
                self.notices.extend(notices::delayed(payout, self.when));
                let change = Change { failure: Some(failure), ..becomes(payout, PayoutStatus::Failed) };
                self.changes.push(change);
            }
            Learned::Wait => self.wait(payout, None),
            Learned::HeldUp { why } => self.wait(payout, Some(why)),
            Learned::SendAgain if self.may_arrive_unsent(payout) => self.wait(payout, None),
            Learned::SendAgain => {
                self.tally.waiting += 1;
                self.changes.push(becomes(payout, PayoutStatus::Created));
            }
            Learned::AlreadyApplied => self.tally.unchanged += 1,
            Learned::Contradiction(kind) => {
                self.tally.unchanged += 1;
                self.contradict(payout, answer, kind);
            }
        }
    }

    /// Whether a payout is not sent again, since people have an earlier attempt to settle or hold its merchant's payouts, and its last
    /// request may still arrive, so that it is asked about.
    fn may_arrive_unsent(&self, payout: &Locked) -> bool {
        let contradicted = payout.is_earlier_contradicted().then_some(payout.sent_at);
        let sent_at = self.held.get(&payout.payout_id).copied().or(contradicted);
        sent_at.is_some_and(|sent_at| may_arrive(sent_at, Some(self.when.at)))
    }

    /// Leaves a payout to be asked about later; `held_up` says why nothing was sent this time.
    fn wait(&mut self, payout: &Locked, held_up: Option<String>) {
        self.tally.waiting += 1;
        self.ask_again(payout, held_up);
    }

    fn ask_again(&mut self, payout: &Locked, held_up: Option<String>) {
        // A payout that was just sent is asked about soon, however many queries there were before it was sent again.
        let queries = if payout.status == PayoutStatus::Submitted { 0 } else { payout.queries };
        let query_at = Some(self.when.at + query_delay(queries));
        let change = Change { query_at, held_up, ..becomes(payout, PayoutStatus::Unknown) };
        self.changes.push(change);
    }

    /// Leaves a payout to people, who settle it; what is booked stays booked until then. A cancelled payout is only reported. A denial is not
    /// reported again in other words; but another payment is, of the same attempt as well, and so is an answer about another attempt, because
    /// that may have been paid, too.
    fn contradict(&mut self, payout: &Locked, answer: &Answer, kind: ContradictionKind) {
        let attempt_no = answer.attempt_no;
        let stands = payout.contradicted_attempt == Some(attempt_no) && payout.contradiction == Some(kind);
        if stands && kind == ContradictionKind::WeSucceededTheyFailed {
            return;
        }
        self.tell_operators("payout_contradiction", contradiction_body(payout, answer));
        // The present attempt was to be sent again, as the channel had not received it. Nothing sends it now, but its earlier request
        // may still arrive.
        if payout.status == PayoutStatus::Created && attempt_no != payout.attempt_no && payout.sent_at.is_some() {
            self.ask_again(payout, None);
        }
        let is_cancelled = payout.status == PayoutStatus::Cancelled;
        let found = if is_cancelled { &mut self.of_cancelled } else { &mut self.contradictions };
        found.push(Contradiction { payout_id: payout.payout_id, attempt_no, kind, says: says(payout, answer) });
    }

    fn tell_operators(&mut self, kind: &'static str, body: Value) {
        self.notices.push(Notice::to_operators(kind, body, self.when));
    }
}

/// The change of a locked payout's present attempt to the status `after`.
pub(super) fn becomes(payout: &Locked, after: PayoutStatus) -> Change {
    Change {
        payout_id: payout.payout_id,
        attempt_no: payout.attempt_no,
        before: payout.status,
        after,
        failure: None,
        bank_reference: None,
        query_at: None,
        held_up: None,
    }
}

fn failure_body(payout: &Locked, failure: &str) -> Value {
    json!({
        "payout_id": payout.payout_id,
        "attempt_no": payout.attempt_no,
        "amount_fen": payout.amount,
        "failure": failure,
    })
}

/// The amount that the channel says it paid, if it is not the payout's.
fn other_amount(payout: &Locked, answer: &Answer) -> Option<Fen> {
    answer.amount.filter(|theirs| matches!(answer.word, Word::Succeeded { .. }) && *theirs != payout.amount)
}

/// Whether the channel names another payment of the present attempt than the booked one.
fn is_another_payment(payout: &Locked, answer: &Answer) -> bool {
    let is_booked = payout.status == PayoutStatus::Succeeded && payout.attempt_no == answer.attempt_no;
    let Word::Succeeded { bank_reference } = &answer.word else { return false };
    is_booked && payout.bank_reference.as_ref() != Some(bank_reference)
}

/// The text of an answer that people have to settle.
fn says(payout: &Locked, answer: &Answer) -> String {
    match other_amount(payout, answer) {
        Some(theirs) => format!("{} over {theirs} yuan", words(answer)),
        None => words(answer).to_owned(),
    }
}

fn words(answer: &Answer) -> &str {
    match &answer.word {
        Word::Succeeded { bank_reference } => bank_reference.as_str(),
        Word::Failed { failure } => failure.as_str(),
        Word::Pending => "processing",
        Word::NotReceived => "not_found",
        Word::NotSent => "not_sent",
        Word::HeldUp { why } => why.as_str(),
        Word::Silence => "silence",
    }
}

fn contradiction_body(payout: &Locked, answer: &Answer) -> Value {
    json!({
        "payout_id": payout.payout_id,
        "attempt_no": answer.attempt_no,
        "amount_fen": payout.amount,
        "channel_says": words(answer),
        "channel_amount_fen": answer.amount,
    })
}

/// A payout that was paid, and the bank's reference of the payment.
pub(super) struct PaidPayout {
    pub payout: Locked,
    pub bank_reference: String,
}

/// Books the payments of one transaction: marks their sources as paid, and writes postings, messages and notices.
pub(super) async fn book_paid(connection: &mut PgConnection, paid: &[PaidPayout], when: When) -> anyhow::Result<()> {
    let of_kind = |kind: PayoutKind| -> Vec<PaidSource> {
        let payouts = paid.iter().filter(|PaidPayout { payout, .. }| payout.kind == kind);
        let sources = payouts.map(|PaidPayout { payout, bank_reference }| PaidSource {
            source_id: payout.source_id,
            bank_reference: bank_reference.clone(),
        });
        sources.collect()
    };
    let (mut postings, mut messages) = (Vec::new(), Vec::new());
    let settlements = of_kind(PayoutKind::Settlement);
    if !settlements.is_empty() {
        let marked = store::mark_settlements_paid(&mut *connection, &settlements, when.business_day).await?;
        anyhow::ensure!(marked == settlements.len() as u64, "a settlement was paid that was not to be paid");
        let ids: Vec<Uuid> = settlements.iter().map(|source| source.source_id).collect();
        for part in store::load_paid_parts(&mut *connection, &ids).await? {
            let amount = FunderAmount { funder_id: part.funder_id, amount: part.amount };
            postings.push(posting::settlement_paid(part.settlement_id, amount, when));
            messages.push(notices::settlement_paid(&part, when));
        }
    }
    let remittances = of_kind(PayoutKind::Remittance);
    if !remittances.is_empty() {
        let marked = remittance_store::mark_paid(&mut *connection, &remittances, when.business_day).await?;
        anyhow::ensure!(marked == remittances.len() as u64, "a remittance was paid that was not to be paid");
        let ids: Vec<Uuid> = remittances.iter().map(|source| source.source_id).collect();
        for chain in remittance_store::load_paid_amounts(&mut *connection, &ids).await? {
            postings.push(posting::remittance_paid(chain.remittance_id, chain.funder_id, chain.amounts(), when));
            let by = paid.iter().find(|PaidPayout { payout, .. }| payout.source_id == chain.remittance_id);
            let PaidPayout { payout, bank_reference } = by.context("a remittance was paid by no payout")?;
            let partner = find_code(&mut *connection, FunderId::from_uuid(payout.beneficiary_id)).await?;
            let told = notices::Remitted { partner, payout, bank_reference, collected_day: chain.collected_day };
            messages.push(notices::remittance_paid(told, chain.amounts(), when));
        }
    }
    postings.extend(paid.iter().filter_map(|PaidPayout { payout, .. }| {
        let (line_id, funder_id) = (payout.line_id?, payout.funder_id?);
        let part = FunderAmount { funder_id, amount: payout.amount };
        Some(posting::borrower_paid(payout.payout_id.uuid(), line_id, part, when))
    }));
    ledger::store::insert_postings(&mut *connection, &postings).await?;
    outbox::store::enqueue(&mut *connection, &messages).await?;
    let told = paid.iter().filter_map(|paid| notices::paid(&paid.payout, &paid.bank_reference, when));
    notice::raise(connection, &told.collect::<Vec<_>>()).await?;
    Ok(())
}

/// A channel's answer about one payout.
#[derive(Clone, Debug)]
pub struct PayoutAnswer {
    pub payout_id: PayoutId,
    pub answer: Answer,
}

/// Books a callback whose signature was verified. A repetition is `AlreadyApplied`.
///
/// # Errors
/// `UnknownPayout` if no such attempt was sent, and `AmountDiffers` if the channel names another amount than we asked it to pay.
pub async fn take_callback(app: &App, called_back: PayoutAnswer) -> Outcome<Step, PayoutRefusal> {
    let PayoutAnswer { payout_id, answer } = called_back;
    let mut connection = app.pool.acquire().await?;
    let found = store::find_expected(&mut connection, payout_id).await?;
    let was_sent = store::was_sent(&mut connection, payout_id, answer.attempt_no).await?;
    drop(connection);
    let expected = found.filter(|_| was_sent).ok_or(Fault::Refused(PayoutRefusal::UnknownPayout))?;
    let ours = expected.amount;
    if let Some(theirs) = answer.amount.filter(|theirs| *theirs != ours) {
        // The next query learns it while the attempt is under way; a final attempt is not asked about.
        let is_asked_about = matches!(expected.status, PayoutStatus::Submitted | PayoutStatus::Unknown)
            && answer.attempt_no == expected.attempt_no;
        if !is_asked_about && matches!(answer.word, Word::Succeeded { .. }) {
            learn(app, &BTreeMap::from([(payout_id, answer)])).await?;
        }
        return Err(Fault::Refused(PayoutRefusal::AmountDiffers { ours, theirs }));
    }
    let tally = learn(app, &BTreeMap::from([(payout_id, answer)])).await?;
    Ok(if tally.unchanged == 0 { Step::Applied } else { Step::AlreadyApplied })
}

/// Sends a failed payout again as a new attempt, to the account that the payee has now.
pub async fn retry_payout(app: &App, payout_id: PayoutId, asked_by: &str) -> Outcome<Step, PayoutRefusal> {
    if asked_by.trim().is_empty() {
        return Err(Fault::Refused(PayoutRefusal::NameMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let retried = retry(&mut transaction, app, payout_id, asked_by.trim()).await;
    database::end(transaction, retried).await
}

async fn retry(
    connection: &mut PgConnection,
    app: &App,
    payout_id: PayoutId,
    asked_by: &str,
) -> Outcome<Step, PayoutRefusal> {
    let now = app.clock.now();
    let locked = store::lock_payouts(connection, &[payout_id]).await?;
    let payout = locked.first().ok_or(Fault::Refused(PayoutRefusal::UnknownPayout))?;
    if payout.contradicted_attempt.is_some() {
        return Err(Fault::Refused(PayoutRefusal::Contradicted));
    }
    match payout.status {
        PayoutStatus::Failed => {}
        // Retried already, and not sent yet.
        PayoutStatus::Created if payout.attempt_no > 1 => return Ok(Step::AlreadyApplied),
        status @ (PayoutStatus::Created
        | PayoutStatus::Submitted
        | PayoutStatus::Unknown
        | PayoutStatus::Succeeded
        | PayoutStatus::Cancelled) => {
            return Err(Fault::Refused(PayoutRefusal::NotFailed { status }));
        }
    }
    if is_payee_forgotten(connection, payout).await? {
        return Err(Fault::Refused(PayoutRefusal::PayeeForgotten));
    }
    let attempt_no = payout.attempt_no + 1;
    let change = Change { attempt_no, ..becomes(payout, PayoutStatus::Created) };
    if store::save_changes(connection, &[change], now).await? != 1 {
        return Err(Fault::Failed(anyhow::anyhow!("a locked payout changed its status")));
    }
    store::insert_retry_event(connection, payout_id, asked_by, now).await?;
    let act = Act::new(Action::PayoutRetried, payout_id, json!({ "attempt_no": attempt_no }));
    audit::record(connection, app, act).await?;
    Ok(Step::Applied)
}

/// Whether the payee is a borrower who was erased since, so that no card is known any more. That happens if the channel had answered
/// that it paid, and denied it only after the erasure.
pub(super) async fn is_payee_forgotten(connection: &mut PgConnection, payout: &Locked) -> sqlx::Result<bool> {
    match payout.kind {
        PayoutKind::Borrower => borrower::is_erased(connection, BorrowerId::from_uuid(payout.beneficiary_id)).await,
        PayoutKind::Settlement | PayoutKind::Remittance => Ok(false),
    }
}

/// Cancels the payout of a repayment's excess, in the caller's transaction, if nothing was paid and nothing is under way: it was not
/// sent yet, or the channel refused it and did not contradict that.
pub async fn cancel_left_over(
    connection: &mut PgConnection,
    repayment_id: RepaymentId,
    now: DateTime<Utc>,
) -> anyhow::Result<Cancelling> {
    let payout_id = store::find_left_over(&mut *connection, repayment_id).await?;
    let payout_id = payout_id.with_context(|| format!("{repayment_id} left something over and has no payout"))?;
    let payout = store::lock_payouts(&mut *connection, &[payout_id]).await?.pop();
    let payout = payout.with_context(|| format!("{payout_id} was there a moment ago"))?;
    // If the channel contradicts itself, or one person has stated an outcome, it may have been paid or not, whatever is booked.
    if payout.contradicted_attempt.is_some() || payout.proposed_by.is_some() {
        return Ok(Cancelling::UnderWay { payout_id });
    }
    let is_free = match payout.status {
        PayoutStatus::Cancelled => return Ok(Cancelling::Cancelled),
        PayoutStatus::Succeeded => return Ok(Cancelling::Paid { payout_id }),
        PayoutStatus::Submitted | PayoutStatus::Unknown => false,
        PayoutStatus::Failed => true,
        // What the channel has never received is to be sent again, and an earlier request may still arrive.
        PayoutStatus::Created => !store::was_sent(&mut *connection, payout_id, payout.attempt_no).await?,
    };
    if !is_free {
        return Ok(Cancelling::UnderWay { payout_id });
    }
    let changed = store::save_changes(connection, &[becomes(&payout, PayoutStatus::Cancelled)], now).await?;
    anyhow::ensure!(changed == 1, "a locked payout changed its status");
    Ok(Cancelling::Cancelled)
}
