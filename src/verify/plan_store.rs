//! First plans of loans compared with the terms under which they were made, which SQL cannot read. If one borrower is asked for too
//! much and another one for too little, every sum is still right.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_store::find_terms;
use super::{FINDINGS_MAX, Finding};
use crate::base::day::MonthDay;
use crate::base::id::{LoanId, ProductId};
use crate::base::{BusinessDay, Fen};
use crate::loan::Installment;
use crate::product::{Catalogue, ProductVersion, QuoteRequest, Terms, quote};

/// Loans read at once, so that memory never holds a whole book.
const PAGE_ROWS: i64 = 20_000;

/// A loan, what its first plan was computed from, and that plan as it is stored.
struct Made {
    loan_id: LoanId,
    product_id: ProductId,
    product_version: i32,
    grade: String,
    periods: i16,
    principal: Fen,
    made_on: BusinessDay,
    statement_day: i16,
    first_statement_on: BusinessDay,
    last_statement_on: BusinessDay,
    due_day: i16,
    due_on: Vec<BusinessDay>,
    principal_fen: Vec<i64>,
    interest_fen: Vec<i64>,
    fee_fen: Vec<i64>,
    /// The merchant's part of the interest; `None` if the purchase is missing.
    subsidy: Option<Fen>,
}

/// A difference between a plan and its terms: in which part, what the terms ask, and what is stored.
struct Difference {
    part: String,
    expected: Fen,
    found: Fen,
}

/// Loans whose first plan, statement days or merchant's part differ from what was quoted. A loan whose terms are missing or cannot be
/// read is skipped: the identity of loans' rates finds it.
///
/// # Errors
/// Failures of the database.
pub async fn find_other_plans(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let catalogue = Catalogue::default();
    // Missing versions are remembered too, so that they are not looked up again for each loan.
    let mut read: HashMap<(ProductId, i32), Option<Arc<ProductVersion>>> = HashMap::new();
    let (mut findings, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let page = list_made(&mut *connection, after).await?;
        let Some(last) = page.last() else { return Ok(findings) };
        after = last.loan_id.uuid();
        for made in &page {
            let key @ (product_id, version) = (made.product_id, made.product_version);
            let product = match read.get(&key) {
                Some(product) => product.clone(),
                None => {
                    let product = find_terms(&catalogue, &mut *connection, product_id, version).await?;
                    read.insert(key, product.clone());
                    product
                }
            };
            let Some(Difference { part, expected, found }) = product.and_then(|product| made.differs(&product.terms))
            else {
                continue;
            };
            let subject = format!("{} {part}", made.loan_id.uuid());
            findings.push(Finding { identity, subject, expected: expected.get(), found: found.get() });
            if findings.len() >= FINDINGS_MAX as usize {
                return Ok(findings);
            }
        }
    }
}

impl Made {
    fn differs(&self, terms: &Terms) -> Option<Difference> {
        let month_day = |day: i16| u8::try_from(day).ok().and_then(MonthDay::new);
        let (statement_day, due_day) = month_day(self.statement_day).zip(month_day(self.due_day))?;
        let request = QuoteRequest {
            grade: &self.grade,
            periods: self.periods.unsigned_abs(),
            amount: self.principal,
            business_day: self.made_on,
            statement_day,
            due_day,
        };
        let Ok(quoted) = quote(terms, &request) else {
            return Some(Difference { part: "is not sold".to_owned(), expected: Fen::ZERO, found: self.principal });
        };
        if let Some(found) = self.subsidy.filter(|subsidy| *subsidy != quoted.subsidy) {
            return Some(Difference { part: "subsidy".to_owned(), expected: quoted.subsidy, found });
        }
        // It is billed on these days, whatever due days its rows have.
        let statements = (self.first_statement_on, self.last_statement_on);
        if statements != (quoted.first_statement_on, quoted.last_statement_on) {
            let part = "is billed from another day, or to another one".to_owned();
            return Some(Difference { part, expected: self.principal, found: Fen::ZERO });
        }
        let (asked, stands) = (&quoted.schedule.installments, self.installments());
        if *asked == stands {
            return None;
        }
        let mut rows = asked.iter().zip(&stands).enumerate();
        let differing = rows.find(|(_, (asked, stands))| asked != stands);
        Some(match differing {
            Some((index, (asked, stands))) if asked.total() != stands.total() => {
                Difference { part: format!("period {}", index + 1), expected: asked.total(), found: stands.total() }
            }
            Some((index, (asked, stands))) => Difference {
                part: format!("principal, or the due day, of period {}", index + 1),
                expected: asked.principal,
                found: stands.principal,
            },
            None => Difference { part: "periods".to_owned(), expected: self.principal, found: Fen::ZERO },
        })
    }

    fn installments(&self) -> Vec<Installment> {
        let amounts = self.principal_fen.iter().zip(&self.interest_fen).zip(&self.fee_fen);
        let rows = self.due_on.iter().zip(amounts).map(|(due_on, ((principal, interest), fee))| Installment {
            due_on: *due_on,
            principal: Fen::new(*principal),
            interest: Fen::new(*interest),
            fee: Fen::new(*fee),
        });
        rows.collect()
    }
}

/// A page of loans by their ids, those after `after`.
async fn list_made(connection: &mut PgConnection, after: Uuid) -> sqlx::Result<Vec<Made>> {
    sqlx::query_as!(
        Made,
        r#"select l.loan_id as "loan_id!: LoanId", l.product_id as "product_id!: ProductId",
                  l.product_version as "product_version!", l.grade as "grade!", l.periods as "periods!",
                  l.principal_fen as "principal!: Fen", l.made_on as "made_on!: BusinessDay", l.statement_day as "statement_day!",
                  l.first_statement_on as "first_statement_on!: BusinessDay", l.last_statement_on as "last_statement_on!: BusinessDay",
                  c.due_day as "due_day!", s.due_on as "due_on!: Vec<BusinessDay>", s.principal_fen as "principal_fen!",
                  s.interest_fen as "interest_fen!", s.fee_fen as "fee_fen!", p.subsidy_fen as "subsidy?: Fen"
           from loan l
           join credit_line c on c.line_id = l.line_id
           join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = 1
           left join purchase p on p.purchase_id = l.purchase_id and p.line_id = l.line_id
           where l.loan_id > $1
           order by l.loan_id limit $2"#,
        after,
        PAGE_ROWS,
    )
    .fetch_all(connection)
    .await
}
