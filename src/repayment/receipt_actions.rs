//! A batch of receipts in one transaction: lines are locked and loaded together, decided one by one, and written table by table.

use std::collections::BTreeMap;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{LineAccount, Money, OpenInstallment, OpenLoan, Repayment, Since};
use super::back_dated::BackDated;
use super::payoff::{PayoffDone, PayoffLoan};
use super::{posting, store};
use crate::app::App;
use crate::base::id::{CardId, LineId, LoanId};
use crate::base::{BusinessDay, Fen, When};
use crate::credit::Line;
use crate::credit::change::lines_changed;
use crate::loan::store::{ScheduleReason, ScheduleVersion};
use crate::loan::{Loan, LoanStatus};
use crate::settlement::{self, NewPayout, PaidBack, PayoutFor};
use crate::{bill, business_day, credit, ledger, loan, notice, outbox};

/// Lines that are locked for receipts, and what will be written.
pub struct Batch {
    pub today: BusinessDay,
    pub now: DateTime<Utc>,
    accounts: BTreeMap<LineId, LineAccount>,
    repayments: Vec<Repayment>,
    payoffs: Vec<PaidOff>,
    messages: Vec<outbox::Message>,
    settled_bills: Vec<(LineId, BusinessDay)>,
    owed_back: Vec<OwedBack>,
}

/// The excess of a repayment, to be paid back; it gets its number when it is written.
struct OwedBack {
    line_id: LineId,
    paid_for: PayoutFor,
    amount: Fen,
}

/// A loan that was paid off.
struct PaidOff {
    line_id: LineId,
    loan_id: LoanId,
    done: PayoffDone,
    /// The version of its schedule from now on.
    version: i32,
}

impl PaidOff {
    /// The schedule that the payoff leaves, if it changed anything.
    fn new_schedule(&self, today: BusinessDay) -> Option<ScheduleVersion<'_>> {
        let schedule = self.done.schedule.as_ref()?;
        Some(ScheduleVersion {
            loan_id: self.loan_id,
            line_id: self.line_id,
            version: self.version,
            reason: ScheduleReason::Payoff,
            schedule,
            business_day: today,
        })
    }
}

impl Batch {
    /// When its receipts are booked.
    pub fn when(&self) -> When {
        When { business_day: self.today, at: self.now }
    }

    /// Locks the lines in id order, then holds the business day: the locking order of every writer.
    pub async fn lock(connection: &mut PgConnection, app: &App, line_ids: &[LineId]) -> anyhow::Result<Batch> {
        let lines = credit::store::lock_lines(&mut *connection, line_ids).await?;
        let today = business_day::store::hold_today(connection).await?;
        let account = |line: Line| (line.line_id, LineAccount::new(line));
        Ok(Batch {
            today,
            now: app.clock.now(),
            accounts: lines.into_iter().map(account).collect(),
            repayments: Vec::new(),
            payoffs: Vec::new(),
            messages: Vec::new(),
            settled_bills: Vec::new(),
            owed_back: Vec::new(),
        })
    }

    /// Loads what money for these lines may touch: open installments with their terms, and their loans.
    pub async fn load(&mut self, connection: &mut PgConnection, app: &App, line_ids: &[Uuid]) -> anyhow::Result<()> {
        // No line is given if all orders failed: failures change no account.
        if line_ids.is_empty() {
            return Ok(());
        }
        let installments = bill::store::load_open_installments(&mut *connection, line_ids).await?;
        let mut loan_ids: Vec<LoanId> = installments.iter().map(|billed| billed.loan_id).collect();
        loan_ids.sort_unstable();
        loan_ids.dedup();
        let loans = loan::store::load_loans(&mut *connection, &loan_ids).await?;
        for billed in installments {
            let product = app.catalogue.get(&mut *connection, billed.product_id, billed.product_version).await?;
            if let Some(account) = self.accounts.get_mut(&billed.line_id) {
                account.installments.push(OpenInstallment::new(billed, product));
            }
        }
        for loan in loans {
            if let Some(account) = self.accounts.get_mut(&loan.line_id) {
                account.loans.push(OpenLoan { loan, touched: false });
            }
        }
        Ok(())
    }

    /// The account of a locked line.
    ///
    /// # Errors
    /// If the line was not locked, because it does not exist.
    pub fn account(&self, line_id: LineId) -> anyhow::Result<&LineAccount> {
        self.accounts.get(&line_id).with_context(|| format!("{line_id} does not exist"))
    }

    /// Loads what has changed on the lines of back-dated money, since its value date. Usually nothing has, which a single query tells.
    pub async fn load_since(
        &mut self,
        connection: &mut PgConnection,
        app: &App,
        late: &[BackDated],
    ) -> anyhow::Result<()> {
        let changed = store::list_changed_since(&mut *connection, late).await?;
        for money in late {
            let line_id = money.line_id;
            if !changed.contains(&line_id) {
                continue;
            }
            let paid = store::load_paid_since(&mut *connection, money).await?;
            let open = &self.account(line_id)?.installments;
            let is_open = |(loan_id, period): (LoanId, i16)| {
                open.iter().any(|open| open.billed.loan_id == loan_id && open.billed.period == period)
            };
            let mut wanted: Vec<(LoanId, i16)> = paid.iter().map(|later| (later.loan_id, later.period)).collect();
            wanted.retain(|wanted| !is_open(*wanted));
            wanted.sort_unstable();
            wanted.dedup();
            let mut settled = Vec::with_capacity(wanted.len());
            for billed in bill::store::load_billed_installments(&mut *connection, line_id, &wanted).await? {
                let product = app.catalogue.get(&mut *connection, billed.product_id, billed.product_version).await?;
                let open = OpenInstallment::new(billed, product);
                if paid.iter().any(|later| open.is_changed_by(later)) {
                    settled.push(open);
                }
            }
            let idle = store::load_idle(&mut *connection, line_id, money.value_on).await?;
            let account = account_mut(&mut self.accounts, line_id)?;
            account.since = Since { paid, settled, idle };
        }
        Ok(())
    }

    /// Allocates money on a line. An excess is paid back to `card_id`; `None` means the default card at that time.
    pub fn receive(&mut self, line_id: LineId, money: Money, card_id: Option<CardId>) -> anyhow::Result<Repayment> {
        self.book(line_id, card_id, |account| account.receive(money))
    }

    /// Books money that is all paid back to `card_id`, whatever the line owes.
    pub fn give_back(&mut self, line_id: LineId, money: Money, card_id: Option<CardId>) -> anyhow::Result<Repayment> {
        self.book(line_id, card_id, |account| account.give_back(money))
    }

    fn book(
        &mut self,
        line_id: LineId,
        card_id: Option<CardId>,
        receive: impl FnOnce(&mut LineAccount) -> Repayment,
    ) -> anyhow::Result<Repayment> {
        let account = account_mut(&mut self.accounts, line_id)?;
        let (entries_before, open_before) = (account.entries.len(), open_loans(account));
        let repayment = receive(account);
        if let Some(open) = account.installments.iter().chain(&account.since.settled).next() {
            let partner = &open.product.terms.funder;
            self.messages.extend(repayment.messages(partner));
            self.messages.extend(ended(account, &open_before, partner, repayment.when()));
            self.messages.extend(lines_changed(partner, &account.line, &account.entries[entries_before..]));
        }
        self.note(line_id, &repayment, card_id)?;
        Ok(repayment)
    }

    /// Ends one loan with the money that was quoted for it; `false` if it did not suffice and was allocated like any other money.
    pub async fn receive_payoff(
        &mut self,
        connection: &mut PgConnection,
        app: &App,
        payoff: &PayoffLoan,
        money: Money,
        card_id: Option<CardId>,
    ) -> anyhow::Result<bool> {
        let line_id = payoff.loan.line_id;
        let product = app.catalogue.get(connection, payoff.loan.product_id, payoff.loan.product_version).await?;
        let account = account_mut(&mut self.accounts, line_id)?;
        let (loan_id, entries_before) = (payoff.loan.loan_id, account.entries.len());
        let mut open_before = open_loans(account);
        // Nothing of it may be billed yet: then it is not among them.
        open_before.extend((payoff.loan.status == LoanStatus::Open).then_some(loan_id));
        let (repayment, done) = account.receive_payoff(money, payoff, &product);
        let sufficed = !done.fell_short;
        let version = match done.schedule {
            Some(_) => next_version(account, loan_id)?,
            None => payoff.loan.schedule_version,
        };
        let paid_off = PaidOff { line_id, loan_id, done, version };
        let partner = product.terms.funder.as_str();
        // The schedule comes first: the money pays what the new one asks for, which may be more than the earlier one did.
        let schedule = paid_off.new_schedule(self.today);
        self.messages.extend(schedule.map(|schedule| schedule.message(partner, self.now)));
        self.messages.extend(repayment.messages(partner));
        self.messages.extend(ended(account, &open_before, partner, repayment.when()));
        self.messages.extend(lines_changed(partner, &account.line, &account.entries[entries_before..]));
        self.payoffs.push(paid_off);
        self.note(line_id, &repayment, card_id)?;
        Ok(sufficed)
    }

    /// Keeps a repayment to be written, with the bills that it settled and its excess.
    fn note(&mut self, line_id: LineId, repayment: &Repayment, card_id: Option<CardId>) -> anyhow::Result<()> {
        let account = self.account(line_id)?;
        let settled = account.settled_bills(self.today);
        let borrower_id = account.line.borrower_id;
        self.settled_bills.extend(settled);
        if repayment.excess.is_positive() {
            let paid_for = PayoutFor::Borrower {
                source_id: repayment.repayment_id.uuid(),
                line_id,
                funder_id: repayment.funder_id,
                borrower_id,
                card_id,
            };
            self.owed_back.push(OwedBack { line_id, paid_for, amount: repayment.excess });
        }
        self.repayments.push(repayment.clone());
        Ok(())
    }

    /// Writes everything that was received, one statement for each table. Returns the repayments.
    pub async fn save(self, connection: &mut PgConnection) -> anyhow::Result<Vec<Repayment>> {
        if self.repayments.is_empty() {
            return Ok(self.repayments);
        }
        self.save_payoffs(&mut *connection).await?;
        let all = self.accounts.values().flat_map(|account| account.installments.iter().chain(&account.since.settled));
        let touched: Vec<_> = all.filter(|open| open.touched).map(|open| &open.billed).collect();
        bill::store::save_installments(&mut *connection, &touched).await?;
        bill::store::mark_bills_paid(&mut *connection, &self.settled_bills, self.today).await?;
        let loans = self.accounts.values().flat_map(|account| &account.loans).filter(|open| open.touched);
        let loans: Vec<Loan> = loans.map(|open| open.loan.clone()).collect();
        loan::store::save_loans(&mut *connection, &loans).await?;
        let changed = self.accounts.values().filter(|account| !account.entries.is_empty());
        let (lines, entries): (Vec<Line>, Vec<_>) =
            changed.map(|account| (account.line.clone(), account.entries.clone())).unzip();
        credit::store::save_lines(&mut *connection, &lines, &entries.concat()).await?;
        let payouts = self.number_owed_back(&mut *connection).await?;
        store::insert_repayments(&mut *connection, &self.repayments).await?;
        let recourse: Vec<_> = self.repayments.iter().flat_map(Repayment::booked_recourse).collect();
        loan::insert_recourse(&mut *connection, &recourse).await?;
        let postings: Vec<_> = self
            .repayments
            .iter()
            .map(|repayment| posting::repayment(repayment.repayment_id.uuid(), repayment))
            .collect();
        ledger::store::insert_postings(&mut *connection, &postings).await?;
        settlement::insert_payouts(&mut *connection, &payouts).await?;
        let told: Vec<_> = self.accounts.values().flat_map(LineAccount::told).collect();
        notice::raise(&mut *connection, &told).await?;
        outbox::store::enqueue(connection, &self.messages).await?;
        Ok(self.repayments)
    }

    /// The payouts of the excesses, each numbered among those of its line. Must be called before the repayments are written, since it
    /// counts the ones that are.
    async fn number_owed_back(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<NewPayout>> {
        if self.owed_back.is_empty() {
            return Ok(Vec::new());
        }
        let line_ids: Vec<Uuid> = self.owed_back.iter().map(|owed| owed.line_id.uuid()).collect();
        let mut counts = store::count_left_over(connection, &line_ids).await?;
        let payouts = self.owed_back.iter().map(|owed| {
            let number = counts.entry(owed.line_id).or_insert(0);
            *number += 1;
            NewPayout {
                payout_id: PaidBack::Excess { line_id: owed.line_id, number: *number }.payout_id(),
                paid_for: owed.paid_for,
                amount: owed.amount,
                pay_on: self.today,
                created_at: self.now,
            }
        });
        Ok(payouts.collect())
    }

    async fn save_payoffs(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        for paid_off in &self.payoffs {
            if let Some(schedule) = paid_off.new_schedule(self.today) {
                loan::store::insert_schedule(&mut *connection, schedule).await?;
            }
            if let Some(bill_line) = &paid_off.done.bill_line {
                bill::store::insert_payoff_line(&mut *connection, bill_line).await?;
            }
        }
        Ok(())
    }
}

fn open_loans(account: &LineAccount) -> Vec<LoanId> {
    let open = account.loans.iter().filter(|open| open.loan.status == LoanStatus::Open);
    open.map(|open| open.loan.loan_id).collect()
}

/// The messages about loans that were open before a repayment and have ended by it. Money that counts from an earlier day may end one
/// that it does not pay: less penalty has run on it then.
fn ended(account: &LineAccount, open_before: &[LoanId], partner: &str, when: When) -> Vec<outbox::Message> {
    let loans = account.loans.iter().map(|open| &open.loan);
    let ended = loans.filter(|loan| loan.status != LoanStatus::Open && open_before.contains(&loan.loan_id));
    ended.map(|loan| loan.ended_message(partner, when)).collect()
}

/// Counts a loan's schedule one version further.
fn next_version(account: &mut LineAccount, loan_id: LoanId) -> anyhow::Result<i32> {
    let loan = account.loans.iter_mut().find(|open| open.loan.loan_id == loan_id);
    let loan = &mut loan.with_context(|| format!("{loan_id} was not loaded"))?.loan;
    loan.schedule_version += 1;
    Ok(loan.schedule_version)
}

fn account_mut(accounts: &mut BTreeMap<LineId, LineAccount>, line_id: LineId) -> anyhow::Result<&mut LineAccount> {
    accounts.get_mut(&line_id).with_context(|| format!("{line_id} does not exist"))
}

/// Locks the loan that a payoff is to end, and reads its schedule and what has been billed of it.
pub async fn load_payoff_loan(connection: &mut PgConnection, loan_id: LoanId) -> anyhow::Result<PayoffLoan> {
    let loan = loan::store::lock_loans(&mut *connection, &[loan_id]).await?.pop();
    read_payoff_loan(connection, loan.with_context(|| format!("{loan_id} does not exist"))?).await
}

/// The schedule, and what has been billed, of a loan that was read already. Locks nothing.
pub async fn read_payoff_loan(connection: &mut PgConnection, loan: Loan) -> anyhow::Result<PayoffLoan> {
    let schedule = loan::store::current_schedule(&mut *connection, &loan).await?;
    let last_billed = bill::store::last_period_billed(connection, loan.line_id, loan.loan_id).await?;
    Ok(PayoffLoan { loan, schedule, last_billed: u16::try_from(last_billed)? })
}
