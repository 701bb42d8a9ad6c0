//! Background jobs of payouts: send those whose day has come, and ask about those that are not final.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, TimeDelta, Utc};

use super::hold_store;
use super::notices;
use super::payout::{ASK_AGAIN_TIMES, Answer, PayoutKind, Word, may_arrive};
use super::payout_actions::{self, PayoutAnswer, Tally};
use super::queue_store::{self as store, Asked, Claim, Claimed};
use crate::app::App;
use crate::base::When;
use crate::base::id::PayoutId;
use crate::business_day;
use crate::database;
use crate::notice;
use crate::partner::asking::{FIRST_QUERY_AFTER, QUERIES_BEFORE_NOTICE};
use crate::partner::client::is_about_content;
use crate::partner::payout;
use crate::partner::payout::client::{self, Heard, PAYMENTS_MAX, PayTo, Payment, Saying};
use crate::partner::{CallError, SendBy};
use crate::vault::Field;

/// How long after payouts were claimed a call with them may still begin. It has then ended before anybody asks about them, and before
/// failed ones can be attempted again.
const SEND_WITHIN: TimeDelta = TimeDelta::seconds(30);
/// How long after the query its answer counts (that a payout was paid always counts); longer than a query may last. If this node was
/// suspended meanwhile, another one may have sent the payout again.
const HEARD_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// The most rounds of one run of a job. The next run does the rest, so that one job cannot occupy its worker for ever.
const ROUNDS_MAX: usize = 1_000;

/// Sends every payout whose day has come, in batches, but those of merchants whose payouts are held. Each is marked before the call, so
/// that after a crash it is asked about, and never sent as if it were new.
pub async fn submit_payouts(app: &App) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for _ in 0..ROUNDS_MAX {
        let begun_at = app.clock.now();
        let send_by = SendBy::new(&app.clock, begun_at, SEND_WITHIN);
        let claimed = claim(app).await?;
        if claimed.is_empty() {
            break;
        }
        let answers = submit(app, &claimed, send_by).await;
        tally.add(payout_actions::learn_in_time(app, &answers, begun_at + FIRST_QUERY_AFTER).await?);
        // A channel that takes nothing would be called again at once, endlessly.
        if answers.values().all(|answer| matches!(answer.word, Word::NotSent | Word::NotReceived)) {
            break;
        }
    }
    Ok(tally)
}

/// Asks the channel about every payout that is not final and due to be asked about. Then asks about payouts that are booked as paid,
/// whether they still are.
pub async fn query_payouts(app: &App) -> anyhow::Result<Tally> {
    let (now, limit) = (app.clock.now(), PAYMENTS_MAX as i64);
    let mut tally = Tally::default();
    for _ in 0..ROUNDS_MAX {
        let asked_at = app.clock.now();
        let asked = claim_questions(app, now).await?;
        if asked.is_empty() {
            break;
        }
        let answers = ask(app, &asked).await;
        tally.add(payout_actions::learn_in_time(app, &answers, asked_at + HEARD_WITHIN).await?);
    }
    for _ in 0..ROUNDS_MAX {
        let mut connection = app.pool.acquire().await?;
        let asked = store::claim_to_ask_again(&mut connection, now, limit, ASK_AGAIN_TIMES).await?;
        drop(connection);
        if asked.is_empty() {
            break;
        }
        let mut answers = ask(app, &asked).await;
        // Only an explicit answer contradicts a booked payment: a channel may have forgotten what it paid days ago.
        answers.retain(|_, answer| answer.word != Word::NotReceived);
        payout_actions::learn(app, &answers).await?;
    }
    Ok(tally)
}

/// Claims payouts that are due to be asked about. Operators are told once of each that has been unknown for long.
async fn claim_questions(app: &App, now: DateTime<Utc>) -> anyhow::Result<Vec<Asked>> {
    let mut transaction = database::begin(&app.pool).await?;
    let asked = store::claim_to_query(&mut transaction, now, PAYMENTS_MAX as i64).await?;
    let long_unknown: Vec<&Asked> = asked.iter().filter(|asked| asked.queries == QUERIES_BEFORE_NOTICE).collect();
    if !long_unknown.is_empty() {
        let when = When { business_day: business_day::store::today(&mut transaction).await?, at: now };
        let told: Vec<_> = long_unknown.into_iter().map(|asked| notices::still_unknown(asked, when)).collect();
        notice::raise(&mut transaction, &told).await?;
    }
    transaction.commit().await?;
    Ok(asked)
}

/// Asks the channel about these payouts. Without an answer, a payout stays as it is and is asked about again later.
async fn ask(app: &App, asked: &[Asked]) -> BTreeMap<PayoutId, Answer> {
    let keys = asked.iter().map(|asked| order_key(asked.payout_id, asked.attempt_no)).collect();
    let heard = match app.partners.client(payout::NAME) {
        Ok(channel) => client::query(channel, keys).await,
        Err(unreachable) => Err(unreachable),
    };
    let silence = |asked: &Asked| Answer { attempt_no: asked.attempt_no, amount: None, word: Word::Silence };
    let mut answers = asked.iter().map(|asked| (asked.payout_id, silence(asked))).collect();
    fill_in(&mut answers, &heard.unwrap_or_default());
    answers
}

async fn claim(app: &App) -> anyhow::Result<Vec<Claimed>> {
    let now = app.clock.now();
    let mut transaction = database::begin(&app.pool).await?;
    let today = business_day::store::today(&mut transaction).await?;
    let claim = Claim { today, now, query_at: now + FIRST_QUERY_AFTER, limit: PAYMENTS_MAX as i64 };
    hold_store::keep_holds_out(&mut transaction).await?;
    let claimed = store::claim_to_submit(&mut transaction, claim).await?;
    transaction.commit().await?;
    Ok(claimed)
}

/// Sends one batch and returns an answer for each of its payouts. For what could not be sent in time the answer is silence, so that it
/// is asked about.
async fn submit(app: &App, claimed: &[Claimed], send_by: SendBy<'_>) -> BTreeMap<PayoutId, Answer> {
    let mut answers = BTreeMap::new();
    let mut payments = Vec::with_capacity(claimed.len());
    for payout in claimed {
        let word = match pay_to(app, payout) {
            Some(pay_to) => {
                let key = order_key(payout.payout_id, payout.attempt_no);
                payments.push(Payment { key, amount: payout.amount, pay_to, remark: remark(payout) });
                Word::Silence
            }
            None => not_paid(payout, "payee_missing".to_owned()),
        };
        answers.insert(payout.payout_id, Answer { attempt_no: payout.attempt_no, amount: None, word });
    }
    if payments.is_empty() {
        return answers;
    }
    let mut batches = vec![payments];
    while let Some(mut batch) = batches.pop() {
        if send_by.is_over() {
            break;
        }
        let sent = match app.partners.client(payout::NAME) {
            Ok(channel) => client::pay(channel, batch.clone()).await,
            Err(unreachable) => Err(unreachable),
        };
        match sent {
            Ok(heard) => fill_in(&mut answers, &heard),
            // One payment that the channel rejects must not hold up the others: halve the batch until it is alone.
            Err(CallError::Rejected { status, .. }) if is_about_content(status) && batch.len() > 1 => {
                batches.push(batch.split_off(batch.len() / 2));
                batches.push(batch);
            }
            Err(CallError::Rejected { status, code, .. }) if is_about_content(status) => {
                let is_it = |payout: &&Claimed| {
                    batch.iter().any(|payment| payment.key == order_key(payout.payout_id, payout.attempt_no))
                };
                for payout in claimed.iter().filter(is_it) {
                    answer_all(&mut answers, &batch, &not_paid(payout, format!("rejected: {code}")));
                }
            }
            Err(CallError::NotSent { .. } | CallError::Rejected { .. }) => {
                answer_all(&mut answers, &batch, &Word::NotSent);
            }
            Err(CallError::Unknown { .. }) => {}
        }
    }
    answers
}

/// Our own answer for a payout that was not sent, or that the channel rejected. It counts as finally failed, unless the same attempt
/// was sent before: that may still be paid, so it must not be given up or sent under another key.
fn not_paid(payout: &Claimed, why: String) -> Word {
    if may_arrive(payout.sent_at, payout.denied_at) { Word::HeldUp { why } } else { Word::Failed { failure: why } }
}

fn answer_all(answers: &mut BTreeMap<PayoutId, Answer>, batch: &[Payment], word: &Word) {
    for payment in batch {
        let Some((payout_id, _)) = parse_order_key(&payment.key) else { continue };
        if let Some(answer) = answers.get_mut(&payout_id) {
            answer.word = word.clone();
        }
    }
}

/// Replaces silence by what the channel said. An answer about a payment that we did not ask about is ignored, and two different answers
/// about one payment count as silence.
fn fill_in(answers: &mut BTreeMap<PayoutId, Answer>, heard: &[Heard]) {
    let mut said: BTreeMap<PayoutId, Answer> = BTreeMap::new();
    for PayoutAnswer { payout_id, answer } in heard.iter().filter_map(read_answer) {
        if answers.get(&payout_id).is_none_or(|asked| asked.attempt_no != answer.attempt_no) {
            continue;
        }
        match said.entry(payout_id) {
            Entry::Vacant(none) => {
                none.insert(answer);
            }
            Entry::Occupied(mut first) => {
                if *first.get() != answer {
                    first.insert(Answer { amount: None, word: Word::Silence, ..answer });
                }
            }
        }
    }
    answers.extend(said);
}

fn word(saying: &Saying) -> Word {
    match saying {
        Saying::Paid { bank_reference } => Word::Succeeded { bank_reference: bank_reference.clone() },
        Saying::Failed { code } => Word::Failed { failure: code.clone() },
        Saying::Processing => Word::Pending,
        Saying::NeverReceived => Word::NotReceived,
        Saying::Unclear => Word::Silence,
    }
}

/// The payout that the channel's answer is about, and the answer; `None` if the key is not ours.
pub fn read_answer(heard: &Heard) -> Option<PayoutAnswer> {
    let (payout_id, attempt_no) = parse_order_key(&heard.key)?;
    Some(PayoutAnswer { payout_id, answer: Answer { attempt_no, amount: heard.amount, word: word(&heard.saying) } })
}

fn order_key(payout_id: PayoutId, attempt_no: i16) -> String {
    format!("{payout_id}-{attempt_no}")
}

fn parse_order_key(key: &str) -> Option<(PayoutId, i16)> {
    let (payout_id, attempt_no) = key.rsplit_once('-')?;
    Some((payout_id.parse().ok()?, attempt_no.parse().ok()?))
}

/// What the payee reads beside the payment: also which day it is for, because after days off several days are paid on one.
fn remark(payout: &Claimed) -> String {
    let kind = match payout.kind {
        PayoutKind::Settlement => "settlement",
        PayoutKind::Remittance => "remittance",
        PayoutKind::Borrower => "refund",
    };
    payout.business_day.map_or_else(|| kind.to_owned(), |day| format!("{kind} {day}"))
}

/// The payee; `None` if there is none: no bound card, or sealed data that cannot be opened.
fn pay_to(app: &App, payout: &Claimed) -> Option<PayTo> {
    match payout.kind {
        PayoutKind::Settlement => {
            let sealed = payout.number_sealed.as_deref()?;
            let number = app.vault.open_for(payout.beneficiary_id, Field::SettlementAccount, sealed).ok()?;
            Some(PayTo::Account { name: payout.payee_name.clone()?, number })
        }
        PayoutKind::Remittance => Some(PayTo::Registered { code: payout.payee_name.clone()? }),
        PayoutKind::Borrower => {
            let key = app.vault.open_person_key(payout.beneficiary_id, payout.person_key_sealed.as_deref()?).ok()?;
            let name = key.open(Field::Name, payout.name_sealed.as_deref()?).ok()?;
            let number = key.open(Field::CardNumber, payout.number_sealed.as_deref()?).ok()?;
            Some(PayTo::Card { name, number })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Fen;

    fn paid(payout_id: PayoutId, attempt_no: i16, reference: &str) -> Heard {
        let saying = Saying::Paid { bank_reference: reference.to_owned() };
        Heard { key: order_key(payout_id, attempt_no), amount: Some(Fen::new(994)), saying }
    }

    #[test]
    fn two_different_answers_about_one_payment_in_one_response_count_as_silence() {
        let payout_id = PayoutId::mint(DateTime::UNIX_EPOCH);
        let failed = Heard { saying: Saying::Failed { code: "refused".to_owned() }, ..paid(payout_id, 1, "B1") };
        let learnt = |heard: &[Heard]| {
            let silence = Answer { attempt_no: 1, amount: None, word: Word::Silence };
            let mut answers = BTreeMap::from([(payout_id, silence)]);
            fill_in(&mut answers, heard);
            answers.remove(&payout_id).unwrap().word
        };
        let booked = Word::Succeeded { bank_reference: "B1".to_owned() };
        let said = || paid(payout_id, 1, "B1");
        assert_eq!(learnt(&[said(), said()]), booked);
        assert_eq!(learnt(&[paid(payout_id, 2, "B2"), said()]), booked, "another attempt was not asked about");
        assert_eq!(learnt(&[said(), failed.clone()]), Word::Silence);
        assert_eq!(learnt(&[failed.clone(), said()]), Word::Silence);
        assert_eq!(learnt(&[said(), failed, said()]), Word::Silence);
        assert_eq!(learnt(&[said(), paid(payout_id, 1, "B2")]), Word::Silence, "of two payments one is in doubt");
    }
}
