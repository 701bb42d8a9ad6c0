//! The decision on a batch of purchases: a pure function over what was read for it, locked or not. `Batch::decide` takes one
//! purchase; its checks are in `check_and_hold`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::model::{Decision, PurchaseRefusal, PurchaseRequest, Receipt};
use super::posting::{self, Event};
use super::weighing::{Rules, SpentToday, Weighed};
use crate::base::id::{CodeId, FunderId, LineId, LoanId, MerchantId, ProductId, PurchaseId};
use crate::base::{BusinessDay, Fen, When};
use crate::credit::line::{EntryKind, Line, LineChange, LineEntry, LineStatus};
use crate::funder::{Reserve, ReserveRefusal};
use crate::ledger::Posting;
use crate::loan::{Loan, LoanStatus, Schedule};
use crate::merchant::code::{Code, CodeKind, CodeStatus, Presented};
use crate::merchant::{MerchantStatus, MerchantTerms, Payment};
use crate::outbox::Message;
use crate::product::ProductVersion;
use crate::product::quote::{Quote, QuoteRefusal, QuoteRequest, quote};

/// A batch: everything that it is decided on, as it was read, and what is to be written.
#[derive(Debug)]
pub struct Batch {
    pub today: BusinessDay,
    pub now: DateTime<Utc>,
    pub lines: HashMap<LineId, Line>,
    /// The lines whose borrower has a card to withhold from.
    pub chargeable: HashSet<LineId>,
    pub reserves: HashMap<FunderId, Reserve>,
    pub merchants: HashMap<MerchantId, MerchantTerms>,
    pub products: HashMap<(ProductId, i32), Listing>,
    /// The codes that are presented, as far as they were found.
    pub codes: HashMap<CodeId, Code>,
    /// What lines have spent today, for those whose product has rules about that.
    pub spent: HashMap<LineId, SpentToday>,
    pub written: Written,
}

/// A product version, and whether it is on sale now.
#[derive(Clone, Debug)]
pub struct Listing {
    pub product: Arc<ProductVersion>,
    pub is_on_sale: bool,
}

/// What the batch writes, in order of arrival.
#[derive(Debug, Default)]
pub struct Written {
    pub purchases: Vec<NewPurchase>,
    pub loans: Vec<Loan>,
    /// This list and the next two have one element for each of `loans`, in the same order.
    pub schedules: Vec<Schedule>,
    pub line_entries: Vec<LineEntry>,
    pub postings: Vec<Posting>,
    pub messages: Vec<Message>,
    /// What each funder's reserve holds for this batch, in the order in which reserves are locked.
    pub held: BTreeMap<FunderId, Held>,
    /// In id order, in which they are locked.
    pub lines_changed: BTreeSet<LineId>,
    /// In id order, in which they are locked.
    pub orders_paid: BTreeMap<CodeId, PurchaseId>,
}

/// What a batch holds of one reserve.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The first purchase of the batch that it is held for.
    pub first: PurchaseId,
    pub amount: Fen,
}

/// One purchase as it is recorded, authorised or refused.
#[derive(Debug)]
pub struct NewPurchase {
    pub receipt: Receipt,
    pub request: PurchaseRequest,
    pub fingerprint: [u8; 32],
    pub discount_fee: Fen,
    /// By the merchant's agreement on the day of the purchase, which also holds for later refunds.
    pub discount_returned_on_refund: bool,
    pub subsidy: Fen,
}

impl Batch {
    /// Decides one request whose line, merchant and product are known, after all that were decided before it.
    pub fn decide(&mut self, weighed: Weighed, fingerprint: [u8; 32]) -> Receipt {
        let purchase_id = PurchaseId::mint(self.now);
        let agreement = self.merchants[&weighed.merchant_id].agreement();
        let (decision, discount_fee, subsidy) = match self.check_and_hold(&weighed) {
            Ok(quote) => {
                let discount_fee = agreement.discount_fee(weighed.amount);
                let subsidy = quote.subsidy;
                let loan_id = self.commit_to(purchase_id, &weighed, quote);
                (Decision::Authorised { loan_id }, discount_fee, subsidy)
            }
            Err(refusal) => (Decision::Refused(refusal), Fen::ZERO, Fen::ZERO),
        };
        let request = weighed.request;
        let receipt = Receipt { purchase_id, amount: request.amount, decision };
        self.written.purchases.push(NewPurchase {
            receipt,
            request,
            fingerprint,
            discount_fee,
            discount_returned_on_refund: agreement.discount_returned_on_refund,
            subsidy,
        });
        receipt
    }

    /// Makes the checks in their order. The last of them holds the amount in the funder's reserve, so that nothing is held for a
    /// purchase that is refused.
    ///
    /// # Errors
    /// The first check that fails; then nothing has changed.
    fn check_and_hold(&mut self, request: &Weighed) -> Result<Quote, PurchaseRefusal> {
        let merchant = &self.merchants[&request.merchant_id];
        let listing = &self.products[&(request.product_id, request.product_version)];
        let line = &self.lines[&request.line_id];

        if merchant.status != MerchantStatus::Active {
            return Err(PurchaseRefusal::MerchantNotActive);
        }
        if let Some(order_code) = request.order_code {
            let presented = Presented { merchant_id: request.merchant_id, amount: request.amount, at: self.now };
            let code = self.codes.get(&order_code).ok_or(PurchaseRefusal::OrderNotPayable)?;
            code.check(presented).map_err(|_| PurchaseRefusal::OrderNotPayable)?;
        }
        let quote = self.check_product(request, listing, merchant, line)?;
        check_line(line, self.today)?;
        if !self.chargeable.contains(&request.line_id) {
            return Err(PurchaseRefusal::NoCard);
        }
        if line.purchases_made_on(self.today) >= listing.product.terms.purchase.per_day_max {
            return Err(PurchaseRefusal::TooManyPurchases);
        }
        let risk = listing.product.terms.purchase_risk;
        request.word.check(risk, request.amount)?;
        if let (Some(rules), Some(spent)) = (risk.and_then(Rules::of), self.spent.get(&request.line_id)) {
            rules.check(spent, request.merchant_id, request.amount)?;
        }
        if request.amount > line.available() {
            return Err(PurchaseRefusal::LineExceeded);
        }
        let reserve = self.reserves.get_mut(&listing.product.funder_id).ok_or(PurchaseRefusal::ReserveExhausted)?;
        reserve.hold(request.amount, self.today).map_err(|refusal| match refusal {
            ReserveRefusal::AdvanceOverdue => PurchaseRefusal::AdvanceOverdue,
            _ => PurchaseRefusal::ReserveExhausted,
        })?;
        Ok(quote)
    }

    /// Checks that the product version may be bought under by this line at this merchant, and quotes the plan.
    fn check_product(
        &self,
        request: &PurchaseRequest,
        listing: &Listing,
        merchant: &MerchantTerms,
        line: &Line,
    ) -> Result<Quote, PurchaseRefusal> {
        let product = &listing.product;
        if !listing.is_on_sale || !product.terms.is_valid_on(self.today) || product.funder_id != line.funder_id {
            return Err(PurchaseRefusal::ProductNotOnSale);
        }
        if !product.terms.purchase.is_sold_at(&merchant.category) {
            return Err(PurchaseRefusal::ProductNotForMerchant);
        }
        let wish = QuoteRequest {
            grade: &line.grade,
            periods: request.periods,
            amount: request.amount,
            business_day: self.today,
            statement_day: line.statement_day,
            due_day: line.due_day,
        };
        quote(&product.terms, &wish).map_err(|refusal| match refusal {
            QuoteRefusal::AmountOutOfBounds { least, .. } if request.amount < least => {
                PurchaseRefusal::AmountBelowMinimum
            }
            QuoteRefusal::AmountOutOfBounds { .. } => PurchaseRefusal::AmountAboveMaximum,
            QuoteRefusal::GradeNotAllowed { .. } | QuoteRefusal::PeriodsNotSold { .. } | QuoteRefusal::Schedule(_) => {
                PurchaseRefusal::PlanNotOffered
            }
        })
    }

    /// Makes the loan, uses the line, and adds what is to be written to `written`. The reserve already holds the amount.
    fn commit_to(&mut self, purchase_id: PurchaseId, request: &PurchaseRequest, quote: Quote) -> LoanId {
        let product = Arc::clone(&self.products[&(request.product_id, request.product_version)].product);
        let line = self.lines.get_mut(&request.line_id).expect("the line was found before the decision");
        let loan_id = LoanId::mint(self.now);
        let event = Event {
            line_id: request.line_id,
            funder_id: line.funder_id,
            source_id: purchase_id.uuid(),
            when: When { business_day: self.today, at: self.now },
        };

        line.count_purchase(self.today, 1);
        let change = LineChange::used(EntryKind::Purchase, request.amount, purchase_id.uuid());
        self.written.line_entries.push(line.change(change, event.when));
        self.written.lines_changed.insert(request.line_id);
        if let Some(spent) = self.spent.get_mut(&request.line_id) {
            spent.add(request.merchant_id, request.amount);
        }
        self.written.postings.push(posting::purchase(event, request.amount));
        self.written.messages.push(loan_made(&product, NewLoan { loan_id, request, subsidy: quote.subsidy, event }));
        if self.merchants[&request.merchant_id].is_notified {
            let code = request.order_code.and_then(|order_code| self.codes.get(&order_code));
            self.written.messages.push(payment_succeeded(purchase_id, request, code, event));
        }
        let held = self.written.held.entry(line.funder_id).or_insert(Held { first: purchase_id, amount: Fen::ZERO });
        held.amount += request.amount;
        if let Some(code) = request.order_code.and_then(|order_code| self.codes.get_mut(&order_code))
            // A static code is never used up.
            && matches!(code.kind, CodeKind::Order { .. })
        {
            code.status = CodeStatus::Paid { purchase_id };
            self.written.orders_paid.insert(code.code_id, purchase_id);
        }
        self.written.loans.push(Loan {
            loan_id,
            line_id: request.line_id,
            purchase_id,
            funder_id: line.funder_id,
            merchant_id: request.merchant_id,
            product_id: request.product_id,
            product_version: request.product_version,
            grade: line.grade.clone(),
            periods: request.periods,
            annual_rate: quote.annual_rate,
            principal: request.amount,
            principal_paid: Fen::ZERO,
            principal_returned: Fen::ZERO,
            status: LoanStatus::Open,
            statement_day: line.statement_day,
            first_statement_on: quote.first_statement_on,
            last_statement_on: quote.last_statement_on,
            schedule_version: 1,
            made_on: self.today,
            closed_on: None,
            charged_off_on: None,
            claim_left: Fen::ZERO,
        });
        self.written.schedules.push(quote.schedule);
        loan_id
    }
}

/// Whether anything can be bought on a line today. A line whose last day has passed is refused as ended even if it is frozen or
/// closed as well: paying what is overdue, or lifting the freeze, would not make it usable again.
pub fn check_line(line: &Line, today: BusinessDay) -> Result<(), PurchaseRefusal> {
    match line.status {
        _ if line.has_expired_on(today) => Err(PurchaseRefusal::LineEnded),
        LineStatus::Active => Ok(()),
        LineStatus::Frozen(_) | LineStatus::Closed => Err(PurchaseRefusal::LineNotActive),
    }
}

/// The message to the merchant's own system about a payment.
fn payment_succeeded(purchase_id: PurchaseId, request: &PurchaseRequest, code: Option<&Code>, event: Event) -> Message {
    let particulars = serde_json::json!({
        "amount_fen": request.amount, "periods": request.periods, "business_day": event.when.business_day });
    Payment::of(request.merchant_id, purchase_id, code).message("payment_succeeded", particulars, event.when.at)
}

/// A new loan, and what it was made for.
struct NewLoan<'a> {
    loan_id: LoanId,
    request: &'a PurchaseRequest,
    /// What the merchant pays of its interest.
    subsidy: Fen,
    event: Event,
}

/// The message to the funder's core about a new loan. It leaves out the schedule, which is added when it is told.
fn loan_made(product: &ProductVersion, new: NewLoan<'_>) -> Message {
    let NewLoan { loan_id, request, subsidy, event } = new;
    Message {
        partner: product.terms.funder.clone(),
        kind: "loan_made",
        object_id: loan_id.uuid(),
        body: serde_json::json!({
            "loan_id": loan_id,
            "purchase_id": PurchaseId::from_uuid(event.source_id),
            "line_id": request.line_id,
            "merchant_id": request.merchant_id,
            "product": product.terms.code,
            "product_version": request.product_version,
            "periods": request.periods,
            "principal_fen": request.amount,
            "subsidy_fen": subsidy,
            "business_day": event.when.business_day,
        }),
        created_at: event.when.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::line::{self, Freeze, Freezes};

    fn line(status: LineStatus) -> Line {
        Line { expires_on: "2026-03-31".parse().unwrap(), ..line::tests::line(status, 0) }
    }

    #[test]
    fn a_line_is_usable_on_its_last_day_and_has_ended_on_the_next() {
        let (last, next) = ("2026-03-31".parse().unwrap(), "2026-04-01".parse().unwrap());
        assert_eq!(check_line(&line(LineStatus::Active), last), Ok(()));
        assert_eq!(check_line(&line(LineStatus::Active), next), Err(PurchaseRefusal::LineEnded));
    }

    #[test]
    fn a_line_that_has_ended_says_so_whatever_else_is_against_it() {
        let (last, next) = ("2026-03-31".parse().unwrap(), "2026-04-01".parse().unwrap());
        let frozen = Freeze::ALL.map(|why| LineStatus::Frozen(Freezes::of(why)));
        for status in frozen.into_iter().chain([LineStatus::Closed]) {
            assert_eq!(check_line(&line(status), last), Err(PurchaseRefusal::LineNotActive), "{status:?}");
            assert_eq!(check_line(&line(status), next), Err(PurchaseRefusal::LineEnded), "{status:?}");
        }
    }
}
