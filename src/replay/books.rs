//! Looks up the subject of an expectation in the books, and adds amounts that no row contains because they change each day.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::books_store as store;
use super::driver::refusal_as_answer;
use super::expect::Subject;
use super::stage::Stage;
use crate::base::{BusinessDay, Fen};
use crate::bill;
use crate::business_day;
use crate::ledger::Account;
use crate::notice;
use crate::outbox::catalogue::{self, Audience};
use crate::repayment;
use crate::repayment::account::OpenInstallment;

/// The recipient of notices to all operators.
const OPERATOR: &str = "operator";

/// The fields of a subject in the books; `None` if it does not exist.
///
/// # Errors
/// Failures of the database, names that the scenario did not introduce, and kinds of notices that its recipient never gets.
pub async fn look(stage: &Stage, subject: &Subject) -> anyhow::Result<Option<Map<String, Value>>> {
    check_kind(stage, subject)?;
    let row = if has_come_about(stage, subject)? { find_row(stage, subject).await? } else { None };
    Ok(row.and_then(|row| match row {
        Value::Object(fields) => Some(fields),
        _ => None,
    }))
}

async fn find_row(stage: &Stage, subject: &Subject) -> anyhow::Result<Option<Value>> {
    let mut connection = stage.app().pool.acquire().await?;
    let books = &mut *connection;
    let driver = &stage.driver;
    Ok(match subject {
        Subject::Application { borrower } => {
            store::find_application(books, driver.person(borrower)?.borrower_id.uuid()).await?
        }
        Subject::Line { line } => store::find_line(books, stage.line(line)?.line_id.uuid()).await?,
        Subject::Bill { line, due_on } => {
            drop(connection);
            bill_row(stage, line, *due_on).await?
        }
        Subject::Loan { purchase } => store::find_loan(books, driver.bought(purchase)?.loan_id.uuid()).await?,
        Subject::Installment { purchase, period } => {
            let loan_id = driver.bought(purchase)?.loan_id.uuid();
            store::find_installment(books, loan_id, i32::try_from(*period)?).await?
        }
        Subject::Payoff { purchase } => {
            drop(connection);
            payoff(stage, purchase).await?
        }
        Subject::Refund { purchase, nth } => {
            store::find_refund(books, driver.bought(purchase)?.purchase_id.uuid(), *nth).await?
        }
        Subject::Claim { purchase, nth } => {
            store::find_claim(books, driver.bought(purchase)?.loan_id.uuid(), *nth).await?
        }
        Subject::Repayment { line, nth } => {
            store::find_repayment(books, stage.line(line)?.line_id.uuid(), *nth).await?
        }
        Subject::Withholding { line, day, nth } => {
            store::find_withholding(books, stage.line(line)?.line_id.uuid(), day.date(), *nth).await?
        }
        Subject::Break { borrower, nth } => {
            store::find_break(books, driver.person(borrower)?.borrower_id.uuid(), *nth).await?
        }
        Subject::Reserve { funder } => store::find_reserve(books, driver.funder(funder)?.uuid()).await?,
        Subject::Settlement { merchant, day } => {
            store::find_settlement(books, driver.merchant(merchant)?.uuid(), day.date()).await?
        }
        Subject::Remittance { funder, day } => {
            store::find_remittance(books, driver.funder(funder)?.uuid(), day.date()).await?
        }
        Subject::Payout { payee, nth } => store::find_payout(books, stage.somebody(payee)?, *nth).await?,
        Subject::Account { funder, account } => {
            let net = store::sum_account(books, driver.funder(funder)?.uuid(), account.number()).await?;
            Some(json!({ "balance": if is_debit(*account) { net } else { -net } }))
        }
        Subject::Order { name } => store::find_order(books, stage.order_code(name)?.uuid()).await?,
        Subject::Message { funder, kind, nth } => {
            // A funder's partner has the funder's code as its name.
            driver.funder(funder)?;
            store::find_message(books, funder, kind, *nth).await?
        }
        Subject::Card { borrower, nth } => {
            store::find_card(books, driver.person(borrower)?.borrower_id.uuid(), *nth).await?
        }
        Subject::Notice { recipient, kind } => {
            let recipient_id: Option<Uuid> = match recipient.as_str() {
                OPERATOR => None,
                name => Some(stage.somebody(name)?),
            };
            store::count_notices(books, recipient_id, kind).await?
        }
    })
}

/// Checks that the recipient can get this kind of notice or message. Otherwise an expectation of `none` would always hold for a misspelled
/// kind.
fn check_kind(stage: &Stage, subject: &Subject) -> anyhow::Result<()> {
    let (kind, known): (&String, Vec<&str>) = match subject {
        Subject::Message { kind, .. } => (kind, catalogue::of(Audience::Funder).map(|known| known.name).collect()),
        Subject::Notice { recipient, kind } => match kinds_of_notices(stage, recipient) {
            Some(known) => (kind, known),
            // An unknown name is reported when the notices themselves are looked up.
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let is_known = known.contains(&kind.as_str());
    anyhow::ensure!(is_known, "found {kind} where one of these is allowed: {}", known.join(", "));
    Ok(())
}

/// The kinds of notices that a recipient can get; `None` if the scenario has not introduced the name.
fn kinds_of_notices(stage: &Stage, recipient: &str) -> Option<Vec<&'static str>> {
    let driver = &stage.driver;
    if recipient == OPERATOR {
        Some(notice::TO_OPERATORS.to_vec())
    } else if driver.person(recipient).is_ok() {
        Some(notice::TO_BORROWERS.map(|(known, _)| known).to_vec())
    } else if driver.merchant(recipient).is_ok() {
        Some(notice::TO_MERCHANTS.to_vec())
    } else {
        driver.funder(recipient).ok().map(|_| notice::TO_FUNDERS.to_vec())
    }
}

/// Whether the line or loan of a subject exists: there is no line before an approval, and no loan of a purchase that was refused.
fn has_come_about(stage: &Stage, subject: &Subject) -> anyhow::Result<bool> {
    Ok(match subject {
        Subject::Line { line }
        | Subject::Bill { line, .. }
        | Subject::Repayment { line, .. }
        | Subject::Withholding { line, .. } => stage.find_line(line)?.is_some(),
        Subject::Loan { purchase }
        | Subject::Installment { purchase, .. }
        | Subject::Payoff { purchase }
        | Subject::Claim { purchase, .. }
        | Subject::Refund { purchase, .. } => stage.find_bought(purchase)?.is_some(),
        Subject::Application { .. }
        | Subject::Break { .. }
        | Subject::Reserve { .. }
        | Subject::Settlement { .. }
        | Subject::Remittance { .. }
        | Subject::Payout { .. }
        | Subject::Account { .. }
        | Subject::Notice { .. }
        | Subject::Message { .. }
        | Subject::Card { .. }
        | Subject::Order { .. } => true,
    })
}

/// A bill with what is owed now: the unpaid penalty up to today, and the total.
async fn bill_row(stage: &Stage, line: &str, due_on: BusinessDay) -> anyhow::Result<Option<Value>> {
    let mut connection = stage.app().pool.acquire().await?;
    let line_id = stage.line(line)?.line_id;
    let Some(Value::Object(mut fields)) = store::find_bill(&mut connection, line_id.uuid(), due_on.date()).await?
    else {
        return Ok(None);
    };
    let today = business_day::store::today(&mut connection).await?;
    let (mut penalty, mut owed) = (Fen::ZERO, Fen::ZERO);
    for billed in bill::store::load_open_installments(&mut connection, &[line_id.uuid()]).await? {
        if billed.due_on() != due_on {
            continue;
        }
        let product = stage.app().catalogue.get(&mut connection, billed.product_id, billed.product_version).await?;
        let parts = OpenInstallment::new(billed, product).owed_on(today);
        penalty += parts.penalty;
        owed += parts.total();
    }
    fields.insert("penalty".to_owned(), penalty.get().into());
    fields.insert("owed".to_owned(), owed.get().into());
    Ok(Some(Value::Object(fields)))
}

/// The payoff amount of a purchase's loan today; `None` if the loan is not open.
async fn payoff(stage: &Stage, purchase: &str) -> anyhow::Result<Option<Value>> {
    let bought = stage.driver.bought(purchase)?;
    let quote = refusal_as_answer(repayment::payoff_quote(stage.app(), bought.line_id, bought.loan_id).await)?;
    Ok(quote.ok().map(|quote| {
        json!({
            "total": quote.total(),
            "billed": quote.billed_unpaid,
            "principal": quote.principal,
            "interest": quote.interest,
            "period_fee": quote.period_fee,
            "fee": quote.fee,
        })
    }))
}

/// Whether an account's balance is normally a debit: assets and expenses.
fn is_debit(account: Account) -> bool {
    match account {
        Account::Bank
        | Account::ChannelReceivable
        | Account::ChannelCost
        | Account::LoanPrincipal
        | Account::ReserveAtPlatform
        | Account::InterestReceivable
        | Account::FeeReceivable
        | Account::CollectionsInTransit
        | Account::Cash
        | Account::ShareExpense
        | Account::ChargeOffLoss => true,
        Account::ReserveAvailable
        | Account::ReserveHeld
        | Account::MerchantPayable
        | Account::FeeIncome
        | Account::SubsidyPayable
        | Account::CollectionsPayable
        | Account::ShareIncome
        | Account::BorrowerPayable
        | Account::Suspense
        | Account::FundingInTransit
        | Account::InterestIncome
        | Account::FunderFeeIncome
        | Account::PenaltyIncome
        | Account::SubsidyIncome
        | Account::RecoveryIncome
        | Account::GuarantorPayable
        // Stand against assets.
        | Account::ChargedOff
        | Account::ClaimsReceived => false,
    }
}
