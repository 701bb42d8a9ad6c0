//! Open bills that owe nothing any more, paid bills that still owe penalty, and penalty that was collected but never due. Penalty
//! depends on the terms of products, which SQL cannot read: a query finds candidates, and the rule that collects penalty decides.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_store::find_terms;
use super::{FINDINGS_MAX, Finding};
use crate::base::id::{LineId, LoanId, ProductId};
use crate::base::{BusinessDay, Fen, Rate};
use crate::bill::Parts;
use crate::overdue::{OverdueSpan, PenaltyRule};
use crate::product::Catalogue;
use crate::repayment::account::OpenInstallment;
use crate::{bill, business_day};

/// Installments read at once, so that memory never holds a whole book.
const PAGE_ROWS: i64 = 100_000;

/// Open bills that owe nothing, although a late payment has left fen-days on them.
///
/// # Errors
/// Failures of the database.
pub async fn find_settled(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let bills = list_owing_penalty_at_most(&mut *connection).await?;
    if bills.is_empty() {
        return Ok(Vec::new());
    }
    let today = business_day::store::today(&mut *connection).await?;
    let mut line_ids: Vec<Uuid> = bills.iter().map(|(line_id, _)| line_id.uuid()).collect();
    line_ids.dedup();
    let mut owed: BTreeMap<(LineId, BusinessDay), Fen> = bills.into_iter().map(|bill| (bill, Fen::ZERO)).collect();
    let catalogue = Catalogue::default();
    for billed in bill::store::load_open_installments(&mut *connection, &line_ids).await? {
        let key = (billed.line_id, billed.due_on());
        if !owed.contains_key(&key) {
            continue;
        }
        let (product_id, version) = (billed.product_id, billed.product_version);
        let Some(product) = find_terms(&catalogue, &mut *connection, product_id, version).await? else {
            // What it owes is unknown. The identity of loans' rates finds missing terms.
            owed.remove(&key);
            continue;
        };
        let left = OpenInstallment::new(billed, product).owed_on(today).total();
        if let Some(owed) = owed.get_mut(&key) {
            *owed += left;
        }
    }
    let settled = owed.into_iter().filter(|(_, fen)| fen.is_zero()).map(|((line_id, due_on), _)| Finding {
        identity,
        subject: format!("{} due {due_on} open", line_id.uuid()),
        expected: 1,
        found: 0,
    });
    Ok(settled.take(FINDINGS_MAX as usize).collect())
}

/// Open bills that owe nothing but penalty, if anything, sorted by line.
async fn list_owing_penalty_at_most(connection: &mut PgConnection) -> sqlx::Result<Vec<(LineId, BusinessDay)>> {
    let rows = sqlx::query!(
        r#"select b.line_id as "line_id: LineId", b.due_on as "due_on: BusinessDay"
           from bill b
           where b.status = 'open'
             and exists (select from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
                         where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement' and i.fen_days > 0)
             and not exists (select from bill_line i
                             where i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
                               and (i.principal_fen > i.principal_paid_fen + i.principal_returned_fen
                                 or i.interest_fen > i.interest_paid_fen + i.interest_returned_fen
                                 or i.fee_fen > i.fee_paid_fen + i.fee_returned_fen))
           order by b.line_id, b.due_on"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.line_id, row.due_on)).collect())
}

/// An installment that was late, with everything that its penalty is computed from.
struct LateInstallment {
    line_id: LineId,
    loan_id: LoanId,
    period: i16,
    due_on: BusinessDay,
    penalty_paid: Fen,
    /// Penalty still runs on this.
    unpaid_principal: Fen,
    /// Penalty runs on this too, if the terms say so.
    unpaid_interest: Fen,
    fen_days: i64,
    fen_days_to: Option<BusinessDay>,
    product_id: ProductId,
    product_version: i32,
    annual_rate: Rate,
    /// The day to which penalty is counted.
    counted_to: BusinessDay,
}

/// The key of an installment; pages are sorted by it.
#[derive(Clone, Copy)]
struct Key {
    line_id: Uuid,
    loan_id: Uuid,
    period: i16,
}

/// Walks over late installments page by page and collects those whose penalty is wrong.
struct Walk {
    identity: &'static str,
    /// Given what was collected and what is due.
    is_wrong: fn(Fen, Fen) -> bool,
    catalogue: Catalogue,
    /// The last installment that was checked.
    after: Key,
    findings: Vec<Finding>,
    is_over: bool,
}

impl Walk {
    fn begin(identity: &'static str, is_wrong: fn(Fen, Fen) -> bool) -> Walk {
        Walk {
            identity,
            is_wrong,
            catalogue: Catalogue::default(),
            after: Key { line_id: Uuid::nil(), loan_id: Uuid::nil(), period: i16::MIN },
            findings: Vec::new(),
            is_over: false,
        }
    }

    async fn look_at(&mut self, connection: &mut PgConnection, page: &[LateInstallment]) -> sqlx::Result<()> {
        for late in page {
            self.after = Key { line_id: late.line_id.uuid(), loan_id: late.loan_id.uuid(), period: late.period };
            let (product_id, version) = (late.product_id, late.product_version);
            let product = find_terms(&self.catalogue, &mut *connection, product_id, version).await?;
            let Some(product) = product else { continue };
            let rule = PenaltyRule::new(&product.terms.penalty, late.annual_rate);
            let due = late.span().penalty_on(&rule, rule.base_of(late.unpaid()), late.counted_to);
            if (self.is_wrong)(late.penalty_paid, due) {
                self.findings.push(Finding {
                    identity: self.identity,
                    subject: format!("{} due {} loan {}", late.line_id.uuid(), late.due_on, late.loan_id.uuid()),
                    expected: due.get(),
                    found: late.penalty_paid.get(),
                });
            }
            if self.findings.len() >= FINDINGS_MAX as usize {
                self.is_over = true;
                return Ok(());
            }
        }
        self.is_over = page.is_empty();
        Ok(())
    }
}

impl LateInstallment {
    fn span(&self) -> OverdueSpan {
        OverdueSpan { due_on: self.due_on, fen_days: self.fen_days, fen_days_to: self.fen_days_to }
    }

    fn unpaid(&self) -> Parts {
        Parts { principal: self.unpaid_principal, interest: self.unpaid_interest, ..Parts::default() }
    }
}

/// Installments of paid bills that left penalty unpaid, as of the day on which the bill was settled: no penalty runs on a paid bill.
///
/// # Errors
/// Failures of the database.
pub async fn find_unpaid_penalty(connection: &mut PgConnection, identity: &'static str) -> sqlx::Result<Vec<Finding>> {
    let mut walk = Walk::begin(identity, |collected, due| collected < due);
    while !walk.is_over {
        let page = list_paid_late(&mut *connection, walk.after).await?;
        walk.look_at(&mut *connection, &page).await?;
    }
    Ok(walk.findings)
}

/// A page of installments by their keys, those after `after`, each counted to the day on which its bill was settled.
async fn list_paid_late(connection: &mut PgConnection, after: Key) -> sqlx::Result<Vec<LateInstallment>> {
    sqlx::query_as!(
        LateInstallment,
        r#"select i.line_id as "line_id: LineId", i.loan_id as "loan_id: LoanId", i.period, i.due_on as "due_on: BusinessDay",
                  i.penalty_paid_fen as "penalty_paid: Fen", 0::bigint as "unpaid_principal!: Fen",
                  0::bigint as "unpaid_interest!: Fen", i.fen_days, i.fen_days_to as "fen_days_to: BusinessDay",
                  l.product_id as "product_id: ProductId", l.product_version, l.annual_rate as "annual_rate: Rate",
                  coalesce(b.paid_on, i.due_on) as "counted_to!: BusinessDay"
           from bill b
           join bill_line i on i.line_id = b.line_id and i.due_on = b.due_on and i.origin = 'statement'
           join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
           where b.status = 'paid' and i.fen_days > 0
             and (i.line_id, i.loan_id, i.period) > ($1::uuid, $2::uuid, $3::smallint)
           order by i.line_id, i.loan_id, i.period limit $4"#,
        after.line_id,
        after.loan_id,
        after.period,
        PAGE_ROWS,
    )
    .fetch_all(connection)
    .await
}

/// Installments for which more penalty was collected than has run by today.
///
/// # Errors
/// Failures of the database.
pub async fn find_overpaid_penalty(
    connection: &mut PgConnection,
    identity: &'static str,
) -> sqlx::Result<Vec<Finding>> {
    let today = business_day::store::find_today(&mut *connection).await?;
    let Some(today) = today else { return Ok(Vec::new()) };
    let mut walk = Walk::begin(identity, |collected, due| collected > due);
    while !walk.is_over {
        let page = list_penalised(&mut *connection, today, walk.after).await?;
        walk.look_at(&mut *connection, &page).await?;
    }
    Ok(walk.findings)
}

/// A page of installments by their keys, those after `after`, each counted to `today`.
async fn list_penalised(
    connection: &mut PgConnection,
    today: BusinessDay,
    after: Key,
) -> sqlx::Result<Vec<LateInstallment>> {
    sqlx::query_as!(
        LateInstallment,
        r#"select i.line_id as "line_id: LineId", i.loan_id as "loan_id: LoanId", i.period, i.due_on as "due_on: BusinessDay",
                  i.penalty_paid_fen as "penalty_paid: Fen",
                  i.principal_fen - i.principal_paid_fen - i.principal_returned_fen as "unpaid_principal!: Fen",
                  i.interest_fen - i.interest_paid_fen - i.interest_returned_fen as "unpaid_interest!: Fen", i.fen_days,
                  i.fen_days_to as "fen_days_to: BusinessDay", l.product_id as "product_id: ProductId", l.product_version,
                  l.annual_rate as "annual_rate: Rate", $5::date as "counted_to!: BusinessDay"
           from bill_line i join loan l on l.loan_id = i.loan_id and l.line_id = i.line_id
           where i.penalty_paid_fen > 0 and (i.line_id, i.loan_id, i.period) > ($1::uuid, $2::uuid, $3::smallint)
           order by i.line_id, i.loan_id, i.period limit $4"#,
        after.line_id,
        after.loan_id,
        after.period,
        PAGE_ROWS,
        today.date(),
    )
    .fetch_all(connection)
    .await
}
