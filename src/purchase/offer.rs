//! What a borrower may choose at a counter: every plan that is sold there for an amount, with its schedule and price.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::decision::check_line;
use super::model::PurchaseRefusal;
use crate::base::hex::hex_encode;
use crate::base::id::{LineId, ProductId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::credit::Line;
use crate::loan::{Price, ScheduleRequest};
use crate::product::quote::schedule_request;
use crate::product::terms::{Method, Plan};
use crate::product::{ProductVersion, Quote, QuoteRequest, ShownCharges, quote};

/// The name of a plan in addresses and forms: the product version whose price was seen, and the number of periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanName {
    pub product_id: ProductId,
    pub version: i32,
    pub periods: u16,
}

/// A plan with everything that a borrower is shown before agreeing.
#[derive(Clone, Debug)]
pub struct PlanOffer {
    pub name: PlanName,
    pub line_id: LineId,
    pub product: Arc<ProductVersion>,
    pub quote: Quote,
    /// What the schedule was computed from, before any subsidy.
    pub request: ScheduleRequest,
    pub price: Option<Price>,
}

/// A merchant's counter on a business day, which decides what products are sold there.
#[derive(Clone, Copy, Debug)]
pub struct Counter<'a> {
    /// The merchant's category.
    pub category: &'a str,
    pub today: BusinessDay,
}

/// An amount that is to be paid at a counter.
#[derive(Clone, Copy, Debug)]
pub struct CounterAmount<'a> {
    pub counter: Counter<'a>,
    pub amount: Fen,
}

/// Every plan that a line may choose: those that cost the borrower nothing first, then by product and periods.
///
/// # Errors
/// Why there is no plan: the line cannot be used, nothing is sold to it here, or the amount is too small or too large.
pub fn offers(
    line: &Line,
    products: &[Arc<ProductVersion>],
    asked: CounterAmount<'_>,
) -> Result<Vec<PlanOffer>, PurchaseRefusal> {
    let CounterAmount { counter, amount } = asked;
    check_line(line, counter.today)?;
    let sold_here: Vec<&Arc<ProductVersion>> =
        products.iter().filter(|product| is_sold_here(product, line, counter)).collect();
    let amounts = sold_here.iter().map(|product| product.terms.purchase.bounds());
    let Some((least, most)) = amounts.reduce(wider) else {
        let is_sold_elsewhere = products.iter().any(|product| is_sold_to(product, line, counter.today));
        return Err(if is_sold_elsewhere {
            PurchaseRefusal::ProductNotForMerchant
        } else {
            PurchaseRefusal::ProductNotOnSale
        });
    };
    if amount < least {
        return Err(PurchaseRefusal::AmountBelowMinimum);
    }
    if amount > most {
        return Err(PurchaseRefusal::AmountAboveMaximum);
    }
    if amount > line.available() {
        return Err(PurchaseRefusal::LineExceeded);
    }
    let mut plans: Vec<PlanOffer> = sold_here.into_iter().flat_map(|product| plans_of(product, line, asked)).collect();
    plans.sort_by_key(|plan| (plan.costs_borrower(), plan.name.product_id, plan.name.periods));
    if plans.is_empty() { Err(PurchaseRefusal::PlanNotOffered) } else { Ok(plans) }
}

/// The least and the greatest amount of one purchase at a counter, over everything that is sold there on those of these lines that
/// can be used; `None` where nothing is.
pub fn bounds(lines: &[Line], products: &[Arc<ProductVersion>], counter: Counter<'_>) -> Option<(Fen, Fen)> {
    let takes = |product: &ProductVersion, line: &Line| {
        check_line(line, counter.today).is_ok() && is_sold_here(product, line, counter)
    };
    let sold = products.iter().filter(|product| lines.iter().any(|line| takes(product, line)));
    sold.map(|product| product.terms.purchase.bounds()).reduce(wider)
}

/// The most that is left for one purchase at a counter on a line on which anything is sold there; zero where nothing is. A purchase
/// is made on one line and never split between two.
pub fn usable(lines: &[Line], products: &[Arc<ProductVersion>], counter: Counter<'_>) -> Fen {
    let sold_on = lines.iter().filter(|line| products.iter().any(|product| is_sold_here(product, line, counter)));
    sold_on.map(|line| line.usable_on(counter.today)).max().unwrap_or_default()
}

fn wider((least, most): (Fen, Fen), (low, high): (Fen, Fen)) -> (Fen, Fen) {
    (least.min(low), most.max(high))
}

fn is_sold_here(product: &ProductVersion, line: &Line, counter: Counter<'_>) -> bool {
    is_sold_to(product, line, counter.today) && product.terms.purchase.is_sold_at(counter.category)
}

/// Whether a line may buy this product, at whatever merchant.
fn is_sold_to(product: &ProductVersion, line: &Line, today: BusinessDay) -> bool {
    let grades = &product.terms.purchase.grades;
    product.funder_id == line.funder_id && product.terms.is_valid_on(today) && grades.contains(&line.grade)
}

fn plans_of(product: &Arc<ProductVersion>, line: &Line, asked: CounterAmount<'_>) -> Vec<PlanOffer> {
    let periods = product.terms.plans.iter().flat_map(|plan| plan.periods.iter().copied());
    periods.filter_map(|periods| offer(product, line, asked, periods)).collect()
}

/// One plan of a product, whether the product is on sale or not; `None` where it has no such plan.
pub fn offer(product: &Arc<ProductVersion>, line: &Line, asked: CounterAmount<'_>, periods: u16) -> Option<PlanOffer> {
    let request = QuoteRequest {
        grade: &line.grade,
        periods,
        amount: asked.amount,
        business_day: asked.counter.today,
        statement_day: line.statement_day,
        due_day: line.due_day,
    };
    let (plan, rate) = product.terms.plan(periods, &line.grade)?;
    let quote = quote(&product.terms, &request).ok()?;
    Some(PlanOffer {
        name: PlanName { product_id: product.product_id, version: product.version, periods },
        line_id: line.line_id,
        product: Arc::clone(product),
        request: schedule_request(plan, rate, &request),
        price: quote.price(),
        quote,
    })
}

impl PlanOffer {
    /// The plan as the product's terms state it.
    pub fn plan(&self) -> Option<&Plan> {
        self.product.terms.plan_in(self.name.periods)
    }

    fn charges(&self) -> ShownCharges {
        let rows = &self.quote.schedule.installments;
        let (interest, fee) = (rows.iter().map(|row| row.interest).sum(), rows.iter().map(|row| row.fee).sum());
        ShownCharges::of(self.plan(), interest, fee)
    }

    /// Interest that the borrower pays in all; a flat fee a period is interest by another name, and shown as interest.
    pub fn interest(&self) -> Fen {
        self.charges().interest
    }

    /// What the borrower pays for a guarantor in all; `None` under a plan without such a charge.
    pub fn guarantee(&self) -> Option<Fen> {
        self.charges().guarantee
    }

    /// What falls due first, interest and fee included.
    pub fn first_payment(&self) -> Fen {
        self.quote.schedule.installments.first().map_or(Fen::ZERO, |row| row.total())
    }

    /// What falls due last, interest and fee included.
    pub fn last_payment(&self) -> Fen {
        self.quote.schedule.installments.last().map_or(Fen::ZERO, |row| row.total())
    }

    /// Whether one amount describes all payments: all are the same but the last one, which differs only by rounding, at most one
    /// fen for each period.
    pub fn is_level(&self) -> bool {
        let rows = &self.quote.schedule.installments;
        let (first, last) = (self.first_payment(), self.last_payment());
        let apart = if last > first { last - first } else { first - last };
        let are_same = rows.iter().take(rows.len().saturating_sub(1)).all(|row| row.total() == first);
        are_same && apart <= Fen::new(i64::from(self.name.periods))
    }

    /// Whether the borrower pays any interest or fee: not where the merchant pays all of it, nor where there is none.
    pub fn costs_borrower(&self) -> bool {
        self.charges().total().is_positive()
    }

    /// A hash of the schedule, which a page shows and its form sends back, so that a borrower agrees to what was shown and to nothing
    /// else: if the business day ends between the page and the PIN, due days and interest may change.
    pub fn schedule_hash(&self) -> String {
        let mut hash = Sha256::new();
        for row in &self.quote.schedule.installments {
            hash.update(format!("{} {} {}\n", row.due_on, row.principal.get(), row.total().get()));
        }
        hex_encode(&hash.finalize())
    }

    pub fn method(&self) -> Method {
        self.request.method
    }

    /// The contract rate a year, or for a flat fee the rate of each period.
    pub fn rate(&self) -> Rate {
        match self.request.method {
            Method::FlatFee => self.request.fee_rate_per_period,
            Method::EqualInstallment | Method::EqualPrincipal | Method::InterestFirst | Method::InterestFree => {
                self.request.annual_rate
            }
        }
    }

    /// The monthly root × 12 (单利).
    pub fn nominal(&self) -> Decimal {
        self.price.map(|price| price.shown().nominal).unwrap_or_default()
    }

    /// Compounded (复利, IRR).
    pub fn effective(&self) -> Decimal {
        self.price.map(|price| price.shown().effective).unwrap_or_default()
    }
}

impl PlanName {
    /// The same plan in a later version of its product.
    pub fn is_successor(&self, former: &PlanName) -> bool {
        (self.product_id, self.periods) == (former.product_id, former.periods) && self.version > former.version
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.product_id, self.version, self.periods)
    }
}

/// A text that names no plan.
#[derive(Debug)]
pub struct NoPlan;

impl FromStr for PlanName {
    type Err = NoPlan;
    fn from_str(text: &str) -> Result<PlanName, NoPlan> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(NoPlan);
        let name = PlanName {
            product_id: next()?.parse().map_err(|_| NoPlan)?,
            version: next()?.parse().map_err(|_| NoPlan)?,
            periods: next()?.parse().map_err(|_| NoPlan)?,
        };
        if parts.next().is_some() { Err(NoPlan) } else { Ok(name) }
    }
}
