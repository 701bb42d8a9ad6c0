//! Use cases of claims: an operator asks a guarantor, two people state that it has paid, or one withdraws the claim; two people take
//! back what was booked wrongly.

use anyhow::Context as _;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{BookedWrongly, Claim, ClaimRefusal, ClaimStatus, PaidClaim, Paying, Stated, TakingBack, claimable};
use super::posting::{self, ClaimedLoan, Undone};
use super::store::{self, Withdrawal};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{ClaimId, LineId, LoanId};
use crate::base::{BusinessDay, When};
use crate::bill::Parts;
use crate::credit::Line;
use crate::database;
use crate::error::{Fault, Outcome};
use crate::loan::Loan;
use crate::loan::recourse::GivenUp;
use crate::overdue::Stage;
use crate::overdue::told::Unpaid;
use crate::{bill, business_day, credit, ledger, loan, outbox};

type Claiming<T> = Outcome<T, ClaimRefusal>;

/// Asks the guarantor for what is owed today on a loan's installments that have reached their claim day, less what earlier claims
/// cover. Nothing is booked until it is paid.
///
/// # Errors
/// If there is nothing to claim, or another claim on the loan is still to be paid.
pub async fn ask(app: &App, loan_id: LoanId, by: &str) -> Claiming<Claim> {
    let by = named(by)?;
    let mut transaction = database::begin(&app.pool).await?;
    let asked = ask_locked(&mut transaction, app, loan_id, by).await;
    database::end(transaction, asked).await
}

/// Takes one person's statement that the guarantor has paid a claim to the funder, with the funder's bank reference. The first
/// statement is stored; once a second person states the same, the claim is paid and booked today, and the funder is told.
///
/// # Errors
/// If the claim is not open any more, asks for more than may be claimed by now, or the reference was booked before.
pub async fn pay(app: &App, claim_id: ClaimId, word: &Stated) -> Claiming<Paying> {
    let word = Stated { by: named(&word.by)?.to_owned(), bank_reference: word.bank_reference.trim().to_owned() };
    if word.bank_reference.is_empty() {
        return Err(Fault::Refused(ClaimRefusal::ReferenceMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let paid = pay_locked(&mut transaction, app, claim_id, &word).await;
    database::end(transaction, paid).await
}

/// Withdraws a claim that was not paid. The loan may be claimed again.
///
/// # Errors
/// If it was paid or withdrawn before.
pub async fn withdraw(app: &App, claim_id: ClaimId, by: &str, reason: &str) -> Claiming<()> {
    let (by, reason) = (named(by)?, reason.trim());
    if reason.is_empty() {
        return Err(Fault::Refused(ClaimRefusal::ReasonMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let withdrawn = withdraw_locked(&mut transaction, app, claim_id, (by, reason)).await;
    database::end(transaction, withdrawn).await
}

/// Takes one person's statement that a paid claim was booked wrongly, and why. The first statement is stored; once a second person
/// states the same, the payment and what was recovered for it since are reversed today, and the funder is told. The loan may be claimed
/// again, with the same bank reference too.
///
/// # Errors
/// If it was not paid, was taken back before, or another claim on the loan was paid after it.
pub async fn take_back(app: &App, claim_id: ClaimId, word: &BookedWrongly) -> Claiming<TakingBack> {
    let word = BookedWrongly { by: named(&word.by)?.to_owned(), reason: word.reason.trim().to_owned() };
    if word.reason.is_empty() {
        return Err(Fault::Refused(ClaimRefusal::ReasonMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let taken_back = take_back_locked(&mut transaction, app, claim_id, &word).await;
    database::end(transaction, taken_back).await
}

fn named(by: &str) -> Result<&str, Fault<ClaimRefusal>> {
    let by = by.trim();
    if by.is_empty() { Err(Fault::Refused(ClaimRefusal::NameMissing)) } else { Ok(by) }
}

async fn ask_locked(connection: &mut PgConnection, app: &App, loan_id: LoanId, by: &str) -> Claiming<Claim> {
    let found = loan::load_loans(connection, &[loan_id]).await?.pop();
    let line_id = found.ok_or(Fault::Refused(ClaimRefusal::UnknownLoan))?.line_id;
    let (line, today) = lock(connection, line_id).await?;
    let loan = locked_loan(connection, loan_id).await?;
    if let Some(claim_id) = store::find_asked(connection, line_id, loan_id).await? {
        return Err(Fault::Refused(ClaimRefusal::AskedBefore { claim_id }));
    }
    let due = owed(connection, app, &line, loan_id, today).await?;
    if due.is_zero() {
        return Err(Fault::Refused(ClaimRefusal::NotDue));
    }
    let paid = store::sum_paid(connection, line_id, loan_id).await?;
    let asked = claimable(due, paid, loan.claim_left);
    if asked.is_zero() {
        return Err(Fault::Refused(ClaimRefusal::Covered));
    }
    let claim = Claim {
        claim_id: ClaimId::mint(app.clock.now()),
        line_id,
        loan_id,
        funder_id: loan.funder_id,
        asked,
        asked_on: today,
        status: ClaimStatus::Asked,
        stated: None,
    };
    store::insert_claim(connection, &claim, by).await?;
    let detail = json!({ "loan_id": loan_id, "amount_fen": asked.total() });
    audit::record(connection, app, Act::new(Action::ClaimAsked, claim.claim_id, detail)).await?;
    Ok(claim)
}

async fn pay_locked(connection: &mut PgConnection, app: &App, claim_id: ClaimId, word: &Stated) -> Claiming<Paying> {
    let Locked { line, today, claim } = lock_claim(connection, claim_id).await?;
    let loan = locked_loan(connection, claim.loan_id).await?;
    let due = owed(connection, app, &line, claim.loan_id, today).await?;
    let may_claim = (due.total() - loan.claim_left).or_zero();
    let paying = claim.pay(word, may_claim).map_err(Fault::Refused)?;
    let is_done = match paying {
        Paying::Stated => store::state_payment(connection, &claim, word).await?,
        Paying::Booked => {
            if !store::take_bank_reference(connection, &claim, &word.bank_reference).await? {
                return Err(Fault::Refused(ClaimRefusal::ReferenceTaken));
            }
            let is_paid = store::mark_paid(connection, &claim, &word.by, today).await?;
            book(connection, app, Paid { claim: &claim, word, loan: &loan, today }).await?;
            is_paid
        }
    };
    if !is_done {
        return Err(Fault::Refused(ClaimRefusal::ClaimPaid));
    }
    let action = match paying {
        Paying::Stated => Action::ClaimPaymentStated,
        Paying::Booked => Action::ClaimPaid,
    };
    let detail = json!({ "loan_id": claim.loan_id, "amount_fen": claim.asked.total() });
    audit::record(connection, app, Act::new(action, claim_id, detail)).await?;
    Ok(paying)
}

async fn withdraw_locked(
    connection: &mut PgConnection,
    app: &App,
    claim_id: ClaimId,
    (by, reason): (&str, &str),
) -> Claiming<()> {
    let Locked { today, claim, .. } = lock_claim(connection, claim_id).await?;
    claim.check_asked().map_err(Fault::Refused)?;
    if !store::mark_withdrawn(connection, &claim, Withdrawal { by, reason, on: today }).await? {
        return Err(Fault::Refused(ClaimRefusal::ClaimPaid));
    }
    let detail = json!({ "loan_id": claim.loan_id });
    audit::record(connection, app, Act::new(Action::ClaimWithdrawn, claim_id, detail)).await?;
    Ok(())
}

/// A claim that two people stated to be paid.
struct Paid<'a> {
    claim: &'a Claim,
    word: &'a Stated,
    loan: &'a Loan,
    today: BusinessDay,
}

async fn book(connection: &mut PgConnection, app: &App, paid: Paid<'_>) -> anyhow::Result<()> {
    let Paid { claim, word, loan, today } = paid;
    let when = When { business_day: today, at: app.clock.now() };
    let left = loan::add_claim_paid(connection, claim.line_id, claim.loan_id, claim.asked.total()).await?;
    let standing = ClaimedLoan { is_charged_off: loan.charged_off_on.is_some(), left };
    ledger::store::insert_postings(connection, &[posting::claim_paid(claim, standing, when)]).await?;
    let product = app.catalogue.get(connection, loan.product_id, loan.product_version).await?;
    let message = posting::paid_message(&product.terms.funder, claim, word, standing, when);
    Ok(outbox::store::enqueue(connection, &[message]).await?)
}

async fn take_back_locked(
    connection: &mut PgConnection,
    app: &App,
    claim_id: ClaimId,
    word: &BookedWrongly,
) -> Claiming<TakingBack> {
    let Locked { today, claim, .. } = lock_claim(connection, claim_id).await?;
    let loan = locked_loan(connection, claim.loan_id).await?;
    claim.check_paid().map_err(Fault::Refused)?;
    let paid = store::load_paid(connection, claim.line_id, claim_id).await?;
    let taking_back = paid.take_back(word).map_err(Fault::Refused)?;
    let is_done = match taking_back {
        TakingBack::Stated => store::state_taking_back(connection, &claim, word).await?,
        TakingBack::Booked => {
            let is_taken_back = store::mark_taken_back(connection, &claim, &word.by, today).await?;
            book_reversal(connection, app, ToReverse { claim: &claim, paid: &paid, loan: &loan, today }).await?;
            is_taken_back
        }
    };
    if !is_done {
        return Err(Fault::Refused(ClaimRefusal::ClaimTakenBack));
    }
    let action = match taking_back {
        TakingBack::Stated => Action::ClaimTakingBackStated,
        TakingBack::Booked => Action::ClaimTakenBack,
    };
    let detail =
        json!({ "loan_id": claim.loan_id, "amount_fen": claim.asked.total(), "recovered_fen": paid.recovered });
    audit::record(connection, app, Act::new(action, claim_id, detail)).await?;
    Ok(taking_back)
}

/// A claim that two people stated to be booked wrongly.
struct ToReverse<'a> {
    claim: &'a Claim,
    paid: &'a PaidClaim,
    loan: &'a Loan,
    today: BusinessDay,
}

async fn book_reversal(connection: &mut PgConnection, app: &App, reversed: ToReverse<'_>) -> anyhow::Result<()> {
    let ToReverse { claim, paid, loan, today } = reversed;
    let when = When { business_day: today, at: app.clock.now() };
    let source_id = claim.claim_id.uuid();
    let mut booked = ledger::store::find_uncorrected(connection, "claim_paid", source_id, paid.paid_on).await?;
    let booked = booked.pop().context("a claim that was paid is booked")?;
    let standing = loan::load_came_in(connection, claim.line_id, claim.loan_id).await?;
    let came_in = loan::recourse::newest(&standing, paid.recovered);
    loan::give_up_recourse(connection, GivenUp { loan, claim_id: claim.claim_id, business_day: today }, &came_in)
        .await?;
    let left = loan::add_claim_paid(connection, claim.line_id, claim.loan_id, -claim.asked.total()).await?;
    let undone = Undone { booked: &booked, is_charged_off: loan.charged_off_on.is_some(), came_in: &came_in };
    ledger::store::insert_postings(connection, &[posting::claim_reversed(claim, undone, when)]).await?;
    let product = app.catalogue.get(connection, loan.product_id, loan.product_version).await?;
    let message = posting::reversed_message(&product.terms.funder, claim, undone, left, when);
    Ok(outbox::store::enqueue(connection, &[message]).await?)
}

/// Locks the line, then holds the business day: the locking order of every writer.
async fn lock(connection: &mut PgConnection, line_id: LineId) -> Claiming<(Line, BusinessDay)> {
    let line = credit::store::lock_lines(connection, &[line_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    Ok((line, business_day::store::hold_today(connection).await?))
}

/// A claim and its line, both locked.
struct Locked {
    line: Line,
    today: BusinessDay,
    claim: Claim,
}

async fn lock_claim(connection: &mut PgConnection, claim_id: ClaimId) -> Claiming<Locked> {
    let unknown = Fault::Refused(ClaimRefusal::UnknownClaim);
    let Some(line_id) = store::find_line(connection, claim_id).await? else { return Err(unknown) };
    let (line, today) = lock(connection, line_id).await?;
    let claim = store::lock_claim(connection, line_id, claim_id).await?.ok_or(unknown)?;
    Ok(Locked { line, today, claim })
}

async fn locked_loan(connection: &mut PgConnection, loan_id: LoanId) -> Claiming<Loan> {
    Ok(loan::lock_loans(connection, &[loan_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?)
}

/// What is owed `today` on a loan's installments whose claim day, by the terms of its line, has been closed: only then was the funder
/// told that they may be claimed.
async fn owed(
    connection: &mut PgConnection,
    app: &App,
    line: &Line,
    loan_id: LoanId,
    today: BusinessDay,
) -> anyhow::Result<Parts> {
    let of_line = app.catalogue.get(connection, line.product_id, line.product_version).await?;
    let line_ids: [Uuid; 1] = [line.line_id.uuid()];
    let mut owed = Parts::default();
    for billed in bill::store::load_due_installments(connection, &line_ids, today).await? {
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        let grace_days = product.terms.penalty.grace_days;
        if billed.loan_id != loan_id || Stage::Claim.day_of(&of_line.terms, grace_days, billed.due_on()) >= today {
            continue;
        }
        owed += Unpaid::new(billed, &product.terms, today).owed;
    }
    Ok(owed)
}
