//! Applying money to a line: which installments it pays, what that changes on loans and line, and the receipt of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::allocation::{InstallmentDue, allocate, order_on};
use super::unpaid::{Idle, PaidSince, Unpaid};
use crate::base::id::{FunderId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen, When};
use crate::bill::{BilledInstallment, Parts, Payment};
use crate::credit::change::{Change, Note, told};
use crate::credit::line::LineChange;
use crate::credit::{EntryKind, Freeze, Line, LineEntry};
use crate::loan::recourse::CameBy;
use crate::loan::{BookedRecourse, Loan, LoanStatus, Recourse};
use crate::notice::Notice;
use crate::overdue::PenaltyRule;
use crate::product::ProductVersion;

/// A line, locked, with everything that a payment may change.
#[derive(Clone, Debug)]
pub struct LineAccount {
    pub line: Line,
    /// The installments of its open bills, oldest due first.
    pub installments: Vec<OpenInstallment>,
    /// The loans of those installments.
    pub loans: Vec<OpenLoan>,
    /// For back-dated money: what has changed since its value date. Empty for other money.
    pub since: Since,
    /// New entries of the line's journal, to be saved.
    pub entries: Vec<LineEntry>,
}

/// A loan and whether it changed and must be saved.
#[derive(Clone, Debug)]
pub struct OpenLoan {
    pub loan: Loan,
    pub touched: bool,
}

/// An installment with the terms that its loan was made under.
#[derive(Clone, Debug)]
pub struct OpenInstallment {
    pub billed: BilledInstallment,
    pub product: Arc<ProductVersion>,
    pub rule: PenaltyRule,
    /// How much of its penalty base was unpaid on each day; `None` unless that changed since the value date of back-dated money.
    pub unpaid: Option<Unpaid>,
    /// Whether it changed and must be saved.
    pub touched: bool,
}

/// What has changed on a line since the value date of back-dated money, as far as it changed the base of penalty.
#[derive(Clone, Debug, Default)]
pub struct Since {
    pub paid: Vec<PaidSince>,
    /// The changed installments whose bills are settled by now.
    pub settled: Vec<OpenInstallment>,
    /// Other back-dated money, for the days on which it paid nothing.
    pub idle: Vec<Idle>,
}

/// Money that has arrived.
#[derive(Clone, Debug)]
pub struct Money {
    pub repayment_id: RepaymentId,
    pub source: Source,
    pub amount: Fen,
    /// Its value date: no penalty runs on what it pays from that day on. Before `today` for back-dated money.
    pub value_on: BusinessDay,
    pub today: BusinessDay,
    pub at: DateTime<Utc>,
}

/// Money that no installment has taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOver {
    pub amount: Fen,
    /// The loan that the money was collected to pay off, if any.
    pub pays_off: Option<LoanId>,
}

/// Where money came from. On one line each source is booked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Withholding(WithholdingId),
    /// A transfer to the platform's account, recorded by an operator.
    Transfer {
        bank_reference: String,
        operator: String,
    },
    /// A collection that only the channel's daily file reported.
    ChannelFile(WithholdingId),
    /// A repayment that is taken back, because its money never came or it was recorded wrongly; all amounts are negative.
    Reversal {
        of: RepaymentId,
        /// The source of the repayment `of`.
        taken_from: Box<Source>,
        person: String,
    },
}

/// One receipt of money and where it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Repayment {
    pub repayment_id: RepaymentId,
    pub line_id: LineId,
    pub funder_id: FunderId,
    pub source: Source,
    pub amount: Fen,
    /// The installments that it paid, each once.
    pub items: Vec<RepaymentItem>,
    /// What no installment could take; it is paid back to the borrower.
    pub excess: Fen,
    /// The guarantors' parts: they have paid claims on the loans that the money came in on. Negative in a reversal.
    pub recourse: Vec<Recourse>,
    /// What it paid on charged-off loans, without penalty and without the guarantors' parts. Negative in a reversal, and if penalty
    /// goes to a guarantor.
    pub recovered: Fen,
    /// In a reversal: what was paid on loans before they were charged off, which is a loss now.
    pub charged_off_again: Fen,
    /// The day on which it is booked.
    pub business_day: BusinessDay,
    /// The day that it counts from; before `business_day` if the money was back-dated.
    pub value_on: BusinessDay,
    pub received_at: DateTime<Utc>,
}

/// What one installment received of a repayment; negative in a reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepaymentItem {
    pub loan_id: LoanId,
    pub period: i16,
    pub taken: Parts,
}

impl OpenInstallment {
    pub fn new(billed: BilledInstallment, product: Arc<ProductVersion>) -> OpenInstallment {
        let rule = PenaltyRule::new(&product.terms.penalty, billed.annual_rate);
        OpenInstallment { billed, product, rule, unpaid: None, touched: false }
    }

    /// Whether it is the installment that `item` paid.
    pub(super) fn is_of(&self, item: &RepaymentItem) -> bool {
        (self.billed.loan_id, self.billed.period) == (item.loan_id, item.period)
    }

    /// What it owes on `day`, with the penalty that has run until then.
    pub fn owed_on(&self, day: BusinessDay) -> Parts {
        self.billed.owed_on(&self.rule, day)
    }

    /// Counts `taken` as paid on `day`; no penalty runs on it from then on.
    pub fn pay(&mut self, taken: Parts, day: BusinessDay) {
        let payment = self.count_as_paid(taken, day);
        self.billed.pay(&self.rule, payment);
        self.touched = true;
    }

    /// Waives all unpaid charges as of `day`, except what the installment `bears`, so that no penalty has run on them since. Returns
    /// what was waived.
    pub(super) fn waive_charges(&mut self, bears: Parts, day: BusinessDay) -> Parts {
        let fell = self.billed.charges_beyond(bears);
        let waived = self.count_as_paid(fell, day);
        self.billed.waive(&self.rule, waived);
        self.touched = true;
        fell
    }

    fn count_as_paid(&mut self, taken: Parts, day: BusinessDay) -> Payment {
        let (base, from) = (self.rule.base_of(taken), self.runs_until(day));
        let fen_days = match &mut self.unpaid {
            Some(unpaid) => unpaid.count_as_paid(base, from),
            None => self.billed.span.summed_within_grace(&self.rule, base, day),
        };
        Payment { taken, day, fen_days }
    }

    /// The day from which no penalty runs on what is paid on `day`.
    pub(super) fn runs_until(&self, day: BusinessDay) -> BusinessDay {
        self.rule.runs_until(self.billed.due_on(), day)
    }
}

impl LineAccount {
    pub fn new(line: Line) -> LineAccount {
        let since = Since::default();
        LineAccount { line, installments: Vec::new(), loans: Vec::new(), since, entries: Vec::new() }
    }

    /// What the line owes on `day` on all bills that were cut, with penalty.
    pub fn owed_in_all(&self, day: BusinessDay) -> Fen {
        self.installments.iter().map(|open| open.owed_on(day).total()).sum()
    }

    /// Allocates money over the open installments, oldest due first; what none can take is excess. For back-dated money, penalty that
    /// was paid but, given its value date, was never due, is allocated too or becomes excess.
    pub fn receive(&mut self, money: Money) -> Repayment {
        self.look_back(money.value_on);
        let (mut items, mut left) = (Vec::new(), money.amount);
        // If anything has changed since the value date, first pays what was owed on that day.
        if self.installments.iter().any(|open| open.unpaid.is_some()) {
            (items, left) = self.pay_installments(left, money.value_on, OpenInstallment::owed_then);
        }
        let (now, left) = self.pay_installments(left, money.value_on, OpenInstallment::owed_on);
        now.into_iter().for_each(|item| add(&mut items, item));
        let excess = self.give_back_undue(&money, &mut items, LeftOver { amount: left, pays_off: None });
        self.book(money, items, excess)
    }

    /// Books money that pays nothing and is all paid back. On the days that it was here it could have paid what was owed: penalty that
    /// ran on that, and was paid, pays what is owed now or is paid back too.
    pub fn give_back(&mut self, money: Money) -> Repayment {
        self.look_back(money.value_on);
        let mut items = Vec::new();
        let excess = self.give_back_undue(&money, &mut items, LeftOver { amount: money.amount, pays_off: None });
        self.book(money, items, excess)
    }

    /// Pays installments from `amount`, oldest due first, each what `owed` returns for it. Returns what each was given, and what is
    /// left.
    pub(super) fn pay_installments(
        &mut self,
        amount: Fen,
        value_on: BusinessDay,
        owed: fn(&OpenInstallment, BusinessDay) -> Parts,
    ) -> (Vec<RepaymentItem>, Fen) {
        let dues: Vec<InstallmentDue> = self
            .installments
            .iter()
            .map(|open| InstallmentDue {
                due: owed(open, value_on),
                order: order_on(&open.product.terms.allocation, value_on.days_since(open.billed.due_on())),
            })
            .collect();
        let allocation = allocate(amount, &dues);
        let mut items = Vec::new();
        for (open, taken) in self.installments.iter_mut().zip(allocation.taken) {
            if !taken.is_zero() {
                open.pay(taken, value_on);
                items.push(RepaymentItem { loan_id: open.billed.loan_id, period: open.billed.period, taken });
            }
        }
        (items, allocation.left)
    }

    /// Updates loans and line for what their installments were paid, and makes the receipt.
    pub(super) fn book(&mut self, money: Money, items: Vec<RepaymentItem>, excess: Fen) -> Repayment {
        let when = When { business_day: money.today, at: money.at };
        let mut principal = Fen::ZERO;
        for item in &items {
            principal += item.taken.principal;
            if let Some(open) = self.loans.iter_mut().find(|open| open.loan.loan_id == item.loan_id) {
                open.loan.principal_paid += item.taken.principal;
                open.touched = true;
            }
        }
        self.close_paid_loans(&money);
        let recourse = self.take_recourse(&items);
        let recovered = self.of_charged_off(&items, &recourse);
        if principal.is_positive() {
            let mut change = LineChange::used(EntryKind::Repayment, -principal, money.repayment_id.uuid());
            change.reason = money.source.recorded_by();
            self.entries.push(self.line.change(change, when));
        }
        let cured_by =
            Note { reason: "nothing is overdue".to_owned(), source_id: Some(money.repayment_id.uuid()), when };
        self.unfreeze_if_cured(cured_by);
        Repayment {
            repayment_id: money.repayment_id,
            line_id: self.line.line_id,
            funder_id: self.line.funder_id,
            source: money.source,
            amount: money.amount,
            items,
            excess,
            recourse,
            recovered,
            charged_off_again: Fen::ZERO,
            business_day: money.today,
            value_on: money.value_on,
            received_at: money.at,
        }
    }

    /// The guarantors' parts of these items, of the loans on which one has paid a claim that is not recovered yet.
    fn take_recourse(&mut self, items: &[RepaymentItem]) -> Vec<Recourse> {
        let claimed = self.loans.iter_mut().filter(|open| open.loan.claim_left.is_positive());
        let of_loan = |open: &mut OpenLoan| {
            let items = items.iter().filter(|item| item.loan_id == open.loan.loan_id);
            let came_in = items.map(|item| item.taken.total()).sum();
            open.loan.take_recourse(came_in)
        };
        claimed.filter_map(of_loan).collect()
    }

    /// What these items paid of the receivables of charged-off loans, less the guarantors' parts.
    pub(super) fn of_charged_off(&self, items: &[RepaymentItem], recourse: &[Recourse]) -> Fen {
        let is_charged_off = |loan_id: LoanId| {
            let open = self.loans.iter().find(|open| open.loan.loan_id == loan_id);
            open.is_some_and(|open| open.loan.charged_off_on.is_some())
        };
        let lost = items.iter().filter(|item| is_charged_off(item.loan_id));
        let guarantors = recourse.iter().filter(|recourse| is_charged_off(recourse.loan_id));
        lost.map(|item| item.taken.receivable()).sum::<Fen>() - guarantors.map(|recourse| recourse.amount).sum::<Fen>()
    }

    /// Closes loans that owe nothing today. The value date would not do: it may lie within grace, while penalty has run since on other
    /// principal that was paid late. So the result does not depend on when the channel reported the money.
    fn close_paid_loans(&mut self, money: &Money) {
        for OpenLoan { loan, .. } in self.loans.iter_mut().filter(|open| open.touched) {
            let owes =
                |open: &OpenInstallment| open.billed.loan_id == loan.loan_id && !open.owed_on(money.today).is_zero();
            if loan.status == LoanStatus::Open && loan.outstanding().is_zero() && !self.installments.iter().any(owes) {
                loan.status = LoanStatus::Paid;
                loan.closed_on = Some(money.today);
            }
        }
    }

    /// Lifts the freeze for lateness once nothing past its grace owes on the day of `note`, which names the cause. Other freezes stay.
    pub fn unfreeze_if_cured(&mut self, note: Note) {
        let day = note.when.business_day;
        let late = |one: &OpenInstallment| one.rule.is_overdue(one.billed.due_on(), day) && !one.owed_on(day).is_zero();
        if !self.line.status.is_frozen_for(Freeze::Overdue) || self.installments.iter().any(late) {
            return;
        }
        // Cannot be refused: only a closed line refuses it, and a closed line is not frozen.
        if let Ok(Some(entry)) = self.line.apply(Change::Unfreeze(Freeze::Overdue), note) {
            self.entries.push(entry);
        }
    }

    /// Notices to the borrower about the line: that it is frozen, or no longer.
    pub fn told(&self) -> Vec<Notice> {
        self.entries.iter().flat_map(|entry| told(&self.line, entry)).collect()
    }

    /// Bills that this account's payments have settled in full, including penalty until `today`.
    pub fn settled_bills(&self, today: BusinessDay) -> Vec<(LineId, BusinessDay)> {
        let mut settled = Vec::new();
        for bill in self.installments.chunk_by(|one, next| one.billed.due_on() == next.billed.due_on()) {
            let owes = bill.iter().any(|open| !open.owed_on(today).is_zero());
            if !owes && bill.iter().any(|open| open.touched) {
                settled.push((self.line.line_id, bill[0].billed.due_on()));
            }
        }
        settled
    }
}

impl Repayment {
    /// When it is booked.
    pub fn when(&self) -> When {
        When { business_day: self.business_day, at: self.received_at }
    }

    /// What it paid, summed over its installments; without the excess.
    pub fn taken(&self) -> Parts {
        self.items.iter().map(|item| item.taken).sum()
    }

    /// The guarantors' parts, as they are stored.
    pub(super) fn booked_recourse(&self) -> impl Iterator<Item = BookedRecourse> {
        self.recourse.iter().map(|recourse| BookedRecourse {
            line_id: self.line_id,
            came_by: CameBy::Repayment(self.repayment_id),
            recourse: *recourse,
            business_day: self.business_day,
        })
    }
}

impl Source {
    pub fn stored(&self) -> &'static str {
        match self {
            Source::Withholding(_) => "withholding",
            Source::Transfer { .. } => "transfer",
            Source::ChannelFile(_) => "channel_file",
            Source::Reversal { .. } => "reversal",
        }
    }

    /// The person who recorded it, if one did.
    pub(super) fn recorded_by(&self) -> Option<String> {
        match self {
            Source::Withholding(_) | Source::ChannelFile(_) => None,
            Source::Transfer { operator: person, .. } | Source::Reversal { person, .. } => Some(person.clone()),
        }
    }

    /// The external reference of the money: our order's id, the bank's reference, or the id of the repayment that is reversed.
    pub fn reference(&self) -> String {
        match self {
            Source::Withholding(id) | Source::ChannelFile(id) => id.uuid().to_string(),
            Source::Transfer { bank_reference, .. } => bank_reference.clone(),
            Source::Reversal { of, .. } => of.uuid().to_string(),
        }
    }
}

/// Adds an item, or adds its amounts to the item of the same installment.
pub(super) fn add(items: &mut Vec<RepaymentItem>, item: RepaymentItem) {
    match items.iter_mut().find(|earlier| (earlier.loan_id, earlier.period) == (item.loan_id, item.period)) {
        Some(earlier) => earlier.taken += item.taken,
        None => items.push(item),
    }
}
