//! The checks of a risk partner's answers about purchases.

use std::time::Duration;

use super::{
    Came, Checker, Fault, HUNG_UP_AFTER, Report, answered, believed, check_reason, refused, shown, with_more_fields,
};
use crate::base::{Clock, id};
use crate::merchant::Category;
use crate::partner::risk::purchase_wire::{Purchase, PurchaseAnswer, PurchaseDecision, PurchaseRequest};
use crate::partner::signature::Stamp;

pub const PATH: &str = "/purchases";
/// The longest that any product waits.
pub const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Every check, in order.
pub async fn check(checker: &Checker, report: &mut Report) {
    let asked = purchase(checker, 120_000);
    let first = send(checker, &asked, Fault::None).await;
    let in_time = answered(&first).and_then(|()| match &first {
        Ok(came) if came.took > TIME_LIMIT => Err(format!("it took {} ms", came.took.as_millis())),
        Ok(_) | Err(_) => Ok(()),
    });
    report.push(("a purchase is answered within three seconds, with status 200", in_time));
    report.push((
        "the answer about a purchase bears your signature",
        first.as_ref().map_err(Clone::clone).and_then(believed),
    ));
    let read = first.as_ref().map_err(Clone::clone).and_then(|came| read(came, &asked));
    report.push((
        "it names the question and says allow, or refuse with a reason",
        read.as_ref().map_err(Clone::clone).map(|_| ()),
    ));
    let again = send(checker, &asked, Fault::None).await.and_then(|came| read_believed(&came, &asked));
    report.push((
        "the same question again is answered as before",
        match (&read, again) {
            (Ok(before), Ok(after)) if *before == after => Ok(()),
            (Ok(before), Ok(after)) => Err(format!("it was {before:?}, then {after:?}")),
            (Err(why), _) => Err(why.clone()),
            (_, Err(why)) => Err(why),
        },
    ));
    report.push(("purchases of every form that the contract allows are answered", check_every_form(checker).await));
    report.push((
        "a question whose answer the house did not wait for is answered when it comes again",
        check_hung_up(checker).await,
    ));
    report.push(("twenty purchases at once are answered in time", check_many(checker).await));
    report.push(("fields that are added to a purchase later are ignored", check_more_fields(checker).await));
    report.push(("a contract version that you do not know is refused with 400", check_version(checker).await));
    for (what, fault) in [
        ("a purchase without a signature is refused with 401", Fault::Unsigned),
        ("a purchase signed by a key that you do not know is refused with 401", Fault::Stranger),
        ("a purchase whose body was changed is refused with 401", Fault::OtherBody),
        ("a purchase signed for another address is refused with 401", Fault::OtherPath),
        ("a purchase signed ten minutes ago is refused with 401", Fault::Stale),
        ("a purchase signed ten minutes ahead is refused with 401", Fault::Ahead),
    ] {
        report.push((what, refused(send(checker, &asked, fault).await)));
    }
    report.push(("a purchase under a used nonce is refused with 401", check_nonce(checker, &asked).await));
}

pub fn purchase(checker: &Checker, amount_fen: i64) -> Purchase {
    let now = Clock::System.now();
    Purchase {
        question_id: id::mint(now),
        line_id: id::mint(now),
        borrower_id: id::mint(now),
        grade: "B".to_owned(),
        merchant_id: id::mint(now),
        merchant_category: "electronics".to_owned(),
        product: checker.product.clone(),
        periods: 6,
        amount_fen,
        has_order: true,
        limit_fen: 2_000_000,
        used_fen: 350_000,
        purchases_today: 1,
        spent_today_fen: 50_000,
        spent_today_at_merchant_fen: 0,
    }
}

pub fn body_of(purchase: &Purchase) -> Result<Vec<u8>, String> {
    serde_json::to_vec(&PurchaseRequest::new(purchase.clone())).map_err(|error| error.to_string())
}

pub async fn send(checker: &Checker, asked: &Purchase, fault: Fault) -> Result<Came, String> {
    let other = Purchase { amount_fen: asked.amount_fen + 1, ..asked.clone() };
    checker.send_body(PATH, body_of(asked)?, body_of(&other)?, fault).await
}

fn read(came: &Came, asked: &Purchase) -> Result<PurchaseDecision, String> {
    if came.status != 200 {
        return Err(format!("status {} with {}", came.status, shown(&came.body)));
    }
    let answer: PurchaseAnswer = serde_json::from_slice(&came.body)
        .map_err(|error| format!("the answer cannot be read: {error}, in {}", shown(&came.body)))?;
    if answer.question_id != asked.question_id {
        return Err(format!("{} was asked, {} is answered", asked.question_id, answer.question_id));
    }
    match answer.decision {
        PurchaseDecision::Allow => Ok(PurchaseDecision::Allow),
        PurchaseDecision::Refuse { reason } => {
            check_reason(&reason).map_err(|fault| format!("the refusal has {fault}"))?;
            Ok(PurchaseDecision::Refuse { reason })
        }
    }
}

/// As `read`, and checks the answer's signature as a house does.
pub fn read_believed(came: &Came, asked: &Purchase) -> Result<PurchaseDecision, String> {
    let decision = read(came, asked)?;
    believed(came).map(|()| decision)
}

/// Every form of purchase (each category; the first of the day on an unused line; with an order and without), each in a request of its own,
/// so that the failing one is known.
async fn check_every_form(checker: &Checker) -> Result<(), String> {
    for (category, has_order) in Category::ALL.iter().zip([true, false].into_iter().cycle()) {
        let asked = Purchase {
            merchant_category: category.code().to_owned(),
            has_order,
            used_fen: 0,
            purchases_today: 0,
            spent_today_fen: 0,
            ..purchase(checker, 120_000)
        };
        let came = send(checker, &asked, Fault::None).await.and_then(|came| read_believed(&came, &asked));
        came.map_err(|why| {
            let order = if has_order { "with an order" } else { "without an order" };
            format!("{} {order}: {why}", category.code())
        })?;
    }
    Ok(())
}

/// Cuts a call off, as the house does when the product's time is over, and asks again, as it does after a crash.
async fn check_hung_up(checker: &Checker) -> Result<(), String> {
    let asked = purchase(checker, 120_000);
    let body = body_of(&asked)?;
    let authorization = checker.authorization(PATH, &Stamp::fresh(Clock::System.now()), &body);
    let mut said = Vec::new();
    // A very quick endpoint has answered in time.
    if let Ok(came) = checker.post_within(HUNG_UP_AFTER, PATH, Some(&authorization), body).await {
        said.push(read_believed(&came, &asked)?);
    }
    for _ in 0..2 {
        said.push(read_believed(&send(checker, &asked, Fault::None).await?, &asked)?);
    }
    match said.iter().all(|one| *one == said[0]) {
        true => Ok(()),
        false => Err(format!("it was answered {said:?}")),
    }
}

async fn check_more_fields(checker: &Checker) -> Result<(), String> {
    let asked = purchase(checker, 120_000);
    let body = with_more_fields(&PurchaseRequest::new(asked.clone()))?;
    read_believed(&checker.send_body(PATH, body.clone(), body, Fault::None).await?, &asked).map(|_| ())
}

async fn check_many(checker: &Checker) -> Result<(), String> {
    let asked: Vec<Purchase> = (0..20).map(|number| purchase(checker, 10_000 + number)).collect();
    let sent = asked.iter().map(|one| send(checker, one, Fault::None));
    for (one, came) in asked.iter().zip(futures_util::future::join_all(sent).await) {
        let came = came?;
        read_believed(&came, one)?;
        if came.took > TIME_LIMIT {
            return Err(format!("one took {} ms", came.took.as_millis()));
        }
    }
    Ok(())
}

async fn check_version(checker: &Checker) -> Result<(), String> {
    let unknown = PurchaseRequest { version: 999, purchase: purchase(checker, 120_000) };
    let body = serde_json::to_vec(&unknown).map_err(|error| error.to_string())?;
    match checker.send_body(PATH, body.clone(), body, Fault::None).await?.status {
        400 => Ok(()),
        status => Err(format!("status {status}")),
    }
}

async fn check_nonce(checker: &Checker, asked: &Purchase) -> Result<(), String> {
    let stamp = Stamp::fresh(Clock::System.now());
    let body = body_of(asked)?;
    let authorization = checker.authorization(PATH, &stamp, &body);
    let once = checker.post(PATH, Some(&authorization), body.clone()).await;
    answered(&once)?;
    refused(checker.post(PATH, Some(&authorization), body).await)
}
