//! The check of late answers about purchases: the endpoint does not answer the call, and sends the answer while the purchase still waits.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::heard::{self, Heard, believed, in_form, same_again, strictly};
use super::purchases::{self, TIME_LIMIT};
use super::{Came, Checked, Checker, Fault, Report, check_reason, shown};
use crate::base::Clock;
use crate::partner::risk::purchase_wire::{Purchase, PurchaseDecision};
use crate::partner::signature::Stamp;

pub const PATH: &str = "/api/v1/risk/purchase-decisions";
/// Long enough to see that an answer that was refused is not sent again.
const REPEATED_WITHIN: Duration = Duration::from_secs(5);

/// Two purchases of an amount about which the endpoint calls back.
pub struct Asked {
    pub waiting: Purchase,
    /// Its answer the house refuses.
    pub too_late: Purchase,
}

impl Asked {
    pub fn new(checker: &Checker, amount_fen: i64) -> Asked {
        let purchase = || purchases::purchase(checker, amount_fen);
        Asked { waiting: purchase(), too_late: purchase() }
    }
}

/// Every check, in order.
pub async fn check(checker: &Checker, asked: &Asked, heard: &mut mpsc::Receiver<Heard>, report: &mut Report) {
    let came = ask(checker, &asked.waiting, heard).await;
    let again = match &came {
        Ok(first) => check_no_answer(checker, first, asked.waiting.question_id, heard).await,
        Err(why) => Err(why.clone()),
    };
    let judged = |judge: &dyn Fn(&Heard) -> Result<(), String>| came.as_ref().map_err(Clone::clone).and_then(judge);
    let read = came.as_ref().map_err(Clone::clone).and_then(|heard| usable(heard, &asked.waiting));
    let results: [Checked; 5] = [
        (
            "a purchase of the amount given is left open, and its late answer comes by itself within three seconds",
            came.as_ref().map_err(Clone::clone).map(|_| ()),
        ),
        ("the late answer about a purchase bears your signature", judged(&|heard| believed(checker, heard))),
        ("the late answer about a purchase is JSON under an Idempotency-Key", judged(&in_form)),
        (
            "it names the question and its line, and says allow, or refuse with a reason",
            read.as_ref().map_err(Clone::clone).map(|_| ()),
        ),
        (
            "where the house gave a late answer about a purchase no answer, it comes again as it was, under the same key",
            again,
        ),
    ];
    results.into_iter().for_each(|checked| report.push(checked));
    report.push((
        "the same question after a late answer is answered at once as late",
        match &read {
            Ok(decision) => check_again(checker, &asked.waiting, decision).await,
            Err(why) => Err(why.clone()),
        },
    ));
    report.push((
        "a late answer that is refused with 409 is not sent again",
        check_too_late(checker, &asked.too_late, heard).await,
    ));
}

/// Asks as the house does, and waits as long as any product does. Returns what came by a callback meanwhile.
async fn ask(checker: &Checker, asked: &Purchase, heard: &mut mpsc::Receiver<Heard>) -> Result<Heard, String> {
    let body = purchases::body_of(asked)?;
    let authorization = checker.authorization(purchases::PATH, &Stamp::fresh(Clock::System.now()), &body);
    let call = async {
        let answer = checker.post_within(TIME_LIMIT, purchases::PATH, Some(&authorization), body).await;
        (answer, Instant::now())
    };
    let ((answer, ended), came) = tokio::join!(call, wait_for(heard, asked.question_id, TIME_LIMIT));
    let Some(came) = came else { return Err(why_nothing_came(answer)) };
    match answer {
        // A direct answer counts as well as the callback, and must say the same; the question is asked again to check that.
        Ok(answer) if answer.status == 200 => Ok(came),
        Ok(answer) if ended < came.at => {
            Err(format!("the call had ended with status {}, which the house takes for silence", answer.status))
        }
        Err(why) if ended < came.at => Err(format!("the call had ended, which the house takes for silence: {why}")),
        Ok(_) | Err(_) => Ok(came),
    }
}

fn why_nothing_came(answer: Result<Came, String>) -> String {
    match answer {
        Ok(answer) if answer.status == 200 => {
            "it was answered at once; name an amount about which your endpoint calls back".to_owned()
        }
        Ok(answer) => format!("status {} with {}", answer.status, shown(&answer.body)),
        Err(why) => format!("{why}, and nothing came to {PATH}"),
    }
}

/// The next answer to that question, or one that cannot be read. Late answers to other questions are ignored.
async fn wait_for(heard: &mut mpsc::Receiver<Heard>, question_id: Uuid, limit: Duration) -> Option<Heard> {
    let about_it = async {
        loop {
            let came = heard.recv().await?;
            let body: Value = serde_json::from_slice(&came.body).unwrap_or_default();
            let named = body["question_id"].as_str().and_then(|text| text.parse::<Uuid>().ok());
            if named.is_none_or(|named| named == question_id) {
                return Some(came);
            }
        }
    };
    tokio::time::timeout(limit, about_it).await.ok().flatten()
}

/// As `POST /risk/purchase-decisions` takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LateAnswer {
    question_id: Uuid,
    line_id: Uuid,
    decision: String,
    reason: Option<String>,
}

fn usable(heard: &Heard, asked: &Purchase) -> Result<PurchaseDecision, String> {
    let answer: LateAnswer = strictly(heard)?;
    if (answer.question_id, answer.line_id) != (asked.question_id, asked.line_id) {
        return Err(format!("{} of {} was asked about", asked.question_id, asked.line_id));
    }
    match (answer.decision.as_str(), answer.reason) {
        ("allow", None) => Ok(PurchaseDecision::Allow),
        ("refuse", Some(reason)) => {
            check_reason(&reason).map_err(|fault| format!("it has {fault}"))?;
            Ok(PurchaseDecision::Refuse { reason })
        }
        (decision, _) => Err(format!("{decision:?} is not usable: a refusal has a reason, and nothing else has one")),
    }
}

/// Checks that a callback is repeated if the house's response to the first one is lost.
async fn check_no_answer(
    checker: &Checker,
    first: &Heard,
    question_id: Uuid,
    heard: &mut mpsc::Receiver<Heard>,
) -> Result<(), String> {
    match wait_for(heard, question_id, heard::TIME_LIMIT).await {
        Some(again) => same_again(checker, first, &again),
        None => Err(format!("nothing more came to {PATH}")),
    }
}

async fn check_again(checker: &Checker, asked: &Purchase, late: &PurchaseDecision) -> Result<(), String> {
    let came = purchases::send(checker, asked, Fault::None).await?;
    let again = purchases::read_believed(&came, asked)?;
    match again == *late {
        true => Ok(()),
        false => Err(format!("it was {late:?}, then {again:?}")),
    }
}

async fn check_too_late(checker: &Checker, asked: &Purchase, heard: &mut mpsc::Receiver<Heard>) -> Result<(), String> {
    ask(checker, asked, heard).await?;
    match wait_for(heard, asked.question_id, REPEATED_WITHIN).await {
        Some(_) => Err("it came again".to_owned()),
        None => Ok(()),
    }
}
