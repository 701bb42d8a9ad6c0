//! Use cases of reversing a repayment, for example one that the channel's files contradict: every party is as if it had not come.

use sqlx::PgConnection;

use super::account::{LineAccount, OpenInstallment, OpenLoan, Repayment, Source};
use super::reversal::{ReversalRefusal, TakenBack};
use super::withholding::{State, Withholding};
use super::{notices, posting, reversal_store, store};
use crate::app::App;
use crate::base::id::{BorrowerId, LoanId, RepaymentId};
use crate::base::{BusinessDay, When};
use crate::credit::Line;
use crate::credit::change::lines_changed;
use crate::error::{Fault, Outcome};
use crate::loan::store::{ScheduleReason, ScheduleVersion};
use crate::loan::{Loan, Schedule};
use crate::outbox::Message;
use crate::{bill, business_day, credit, ledger, loan, notice, outbox};

/// A repayment that is to be reversed, when, and by whom.
#[derive(Clone, Copy)]
pub(super) struct ToReverse<'a> {
    pub original: &'a Repayment,
    pub person: &'a str,
    pub when: When,
}

/// What was reversed, and for which borrower.
pub(super) struct Reversed {
    pub reversal: Repayment,
    pub borrower_id: BorrowerId,
}

/// Reverses what was booked for an order, and ends the order as reversed, in the caller's transaction. The caller first books whatever
/// money came instead, and then tells of the stages of lateness that have passed while what is owed again counted as paid.
pub async fn take_back(
    connection: &mut PgConnection,
    app: &App,
    order: &Withholding,
    person: &str,
) -> Outcome<(), ReversalRefusal> {
    let line_id = order.line_id;
    let line = credit::store::lock_lines(connection, &[line_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let today = business_day::store::hold_today(connection).await?;
    bill::store::enter_schedules(connection).await?;
    let source = match order.state {
        State::Succeeded { .. } => Source::Withholding(order.withholding_id),
        // Here the order is failed or pending, so what is reversed is what two people booked for it by the channel's file.
        State::Created | State::Submitted | State::Unknown | State::Failed(_) => {
            Source::ChannelFile(order.withholding_id)
        }
    };
    let original = reversal_store::find_receipt(connection, line_id, source).await?;
    let original = original.ok_or(Fault::Refused(ReversalRefusal::NotBooked))?;
    if original.excess.is_positive() {
        return Err(Fault::Refused(ReversalRefusal::ExcessOwedBack));
    }
    reversal_store::mark_reversed(connection, order.withholding_id).await?;
    let when = When { business_day: today, at: app.clock.now() };
    let reversed = reverse(connection, app, line, ToReverse { original: &original, person, when }).await;
    let reversed = reversed.map_err(|fault| fault.map_refusal(|refusal| refusal.of_order(order.purpose)))?;
    let told = notices::repayment_reversed(reversed.borrower_id, &reversed.reversal);
    Ok(notice::raise(connection, &[told]).await?)
}

/// Reverses a repayment on bills, loans, line and books, in the caller's transaction, which holds the line and the business day. If it
/// was remitted already, it is deducted from the funder's next remittance, with the platform's share of it.
pub(super) async fn reverse(
    connection: &mut PgConnection,
    app: &App,
    line: Line,
    to_reverse: ToReverse<'_>,
) -> Outcome<Reversed, ReversalRefusal> {
    let ToReverse { original, person, when } = to_reverse;
    let (line_id, borrower_id) = (line.line_id, line.borrower_id);
    let of_line = app.catalogue.get(connection, line.product_id, line.product_version).await?;
    let mut account = LineAccount::new(line);
    let wanted: Vec<(LoanId, i16)> = original.items.iter().map(|item| (item.loan_id, item.period)).collect();
    for billed in bill::store::load_billed_installments(connection, line_id, &wanted).await? {
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        account.installments.push(OpenInstallment::new(billed, product));
    }
    if account.gave_penalty_back(original) {
        return Err(Fault::Refused(ReversalRefusal::PenaltyGivenBack));
    }
    let mut loan_ids: Vec<LoanId> = original.items.iter().map(|item| item.loan_id).collect();
    loan_ids.sort_unstable();
    loan_ids.dedup();
    let loans = loan::store::lock_loans(connection, &loan_ids).await?;
    account.loans = loans.into_iter().map(|loan| OpenLoan { loan, touched: false }).collect();
    let partner = of_line.terms.funder.as_str();
    let restored = restore_paid_off(connection, partner, &mut account, to_reverse).await?;
    // A loan that was paid off since would be quoted differently with an earlier installment unpaid. A payoff that was reported after
    // the last statement has no bill line, but has waived charges.
    let has_line = bill::store::has_payoff_line(connection, line_id, &loan_ids).await?;
    if has_line || loan::has_paid_off(connection, line_id, &loan_ids).await? {
        return Err(Fault::Refused(ReversalRefusal::PaidOffSince));
    }
    let recourse = loan::load_recourse(connection, line_id, original.repayment_id.uuid()).await?;
    let reversal_id = RepaymentId::mint(when.at);
    let taken_back = TakenBack { reversal_id, person: person.to_owned(), when };
    let reversal = account.take_back(&Repayment { recourse, ..original.clone() }, taken_back, &of_line.terms);
    let unsaved = Unsaved { account: &account, reversal: &reversal, restored, partner };
    save(connection, unsaved).await?;
    Ok(Reversed { reversal, borrower_id })
}

/// Loans that the money had paid off get their earlier schedule back. Returns the messages to the funder.
async fn restore_paid_off(
    connection: &mut PgConnection,
    partner: &str,
    account: &mut LineAccount,
    ToReverse { original, when, .. }: ToReverse<'_>,
) -> Outcome<Vec<Message>, ReversalRefusal> {
    let mut told = Vec::new();
    for item in &original.items {
        if account.installments.iter().any(|open| open.is_of(item)) {
            continue;
        }
        let open = account.loans.iter_mut().find(|open| open.loan.loan_id == item.loan_id);
        let loan = &mut open.ok_or(sqlx::Error::RowNotFound)?.loan;
        let before = schedule_before(connection, loan, item.period, when.business_day).await?;
        let before = before.ok_or(Fault::Refused(ReversalRefusal::LoanMovedOn))?;
        loan.schedule_version += 1;
        let version = ScheduleVersion {
            loan_id: loan.loan_id,
            line_id: loan.line_id,
            version: loan.schedule_version,
            reason: ScheduleReason::Restored,
            schedule: &before,
            business_day: when.business_day,
        };
        told.push(version.message(partner, when.at));
        loan::store::insert_schedule(connection, version).await?;
        bill::store::delete_payoff_line(connection, loan.line_id, loan.loan_id).await?;
    }
    Ok(told)
}

/// The schedule before the payoff that `period` was made by; `None` if something else has happened to the loan since, or a statement
/// day has passed that would have billed it.
async fn schedule_before(
    connection: &mut PgConnection,
    loan: &Loan,
    period: i16,
    today: BusinessDay,
) -> Outcome<Option<Schedule>, ReversalRefusal> {
    if !loan::store::ends_in_payoff(connection, loan).await? {
        return Ok(None);
    }
    let after = loan::store::current_schedule(connection, loan).await?;
    let earlier = Loan { schedule_version: loan.schedule_version - 1, ..loan.clone() };
    let before = loan::store::current_schedule(connection, &earlier).await?;
    let billed = usize::from(period.unsigned_abs()).saturating_sub(1);
    let due = usize::from(loan.periods_billed_by(today.minus_days(1)));
    // A row that asks for nothing is never billed, so its statement day may have passed.
    let passed = before.installments.get(billed..due);
    let is_none_missed = passed.is_some_and(|rows| rows.iter().all(|row| row.total().is_zero()));
    let same = before.installments[..billed] == after.installments[..billed];
    Ok((is_none_missed && same).then_some(before))
}

/// A reversal that is not written yet.
struct Unsaved<'a> {
    account: &'a LineAccount,
    reversal: &'a Repayment,
    /// Messages to the funder about loans whose schedule was restored.
    restored: Vec<Message>,
    /// The code of the line's funder.
    partner: &'a str,
}

async fn save(connection: &mut PgConnection, unsaved: Unsaved<'_>) -> anyhow::Result<()> {
    let Unsaved { account, reversal, restored, partner } = unsaved;
    let installments: Vec<_> = account.installments.iter().map(|open| &open.billed).collect();
    bill::store::save_installments(connection, &installments).await?;
    let bills: Vec<_> = installments.iter().map(|billed| (billed.line_id, billed.due_on())).collect();
    bill::store::reopen_bills(connection, &bills).await?;
    let loans: Vec<Loan> = account.loans.iter().map(|open| open.loan.clone()).collect();
    loan::store::save_loans(connection, &loans).await?;
    credit::store::save_lines(connection, std::slice::from_ref(&account.line), &account.entries).await?;
    store::insert_repayments(connection, std::slice::from_ref(reversal)).await?;
    loan::insert_recourse(connection, &reversal.booked_recourse().collect::<Vec<_>>()).await?;
    let posting = posting::repayment(reversal.repayment_id.uuid(), reversal);
    ledger::store::insert_postings(connection, &[posting]).await?;
    let mut messages = reversal.messages(partner);
    messages.extend(restored);
    messages.extend(lines_changed(partner, &account.line, &account.entries));
    notice::raise(connection, &account.told()).await?;
    Ok(outbox::store::enqueue(connection, &messages).await?)
}
