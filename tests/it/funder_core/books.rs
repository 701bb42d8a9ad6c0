//! What the house's own books say of a funder's lines and loans.

use std::collections::BTreeSet;

use fenqi::base::BusinessDay;
use fenqi::base::id::{LineId, LoanId, MerchantId, RemittanceId, SettlementId};
use sqlx::PgPool;
use uuid::Uuid;

use super::events::came_in_of;
use super::{Standing, owes, stands};

pub struct House {
    pub today: BusinessDay,
    pub standing: Standing,
    /// What only events tell.
    pub details: Standing,
    /// Lines that tests opened without an event.
    pub untold: BTreeSet<String>,
}

/// Period, due day, what is owed, paid and given back, and whether it is billed.
type Installment = (LoanId, i32, String, Vec<i64>, Vec<i64>, Vec<i64>, bool);

const INSTALLMENTS: &str = "
    select l.loan_id, p.period::int, p.due_on::text,
           array[coalesce(b.principal_fen - b.principal_paid_fen - b.principal_returned_fen, p.principal),
                 coalesce(b.interest_fen - b.interest_paid_fen - b.interest_returned_fen, p.interest),
                 coalesce(b.fee_fen - b.fee_paid_fen - b.fee_returned_fen, p.fee)],
           array[coalesce(b.principal_paid_fen, 0), coalesce(b.interest_paid_fen, 0), coalesce(b.fee_paid_fen, 0),
                 coalesce(b.penalty_paid_fen, 0)],
           array[coalesce(b.interest_back_fen, 0), coalesce(b.fee_back_fen, 0)],
           coalesce(b.origin = 'statement', false)
               and exists (select from application a where a.line_id = l.line_id)
    from loan l
    join schedule s on s.line_id = l.line_id and s.loan_id = l.loan_id and s.version = l.schedule_version
    cross join lateral unnest(s.due_on, s.principal_fen, s.interest_fen, s.fee_fen) with ordinality
                       as p(due_on, principal, interest, fee, period)
    left join bill_line b on b.line_id = l.line_id and b.loan_id = l.loan_id and b.period = p.period
    where l.funder_id = $1 and l.status <> 'voided'";

/// Payments that were made and not reversed, and what came in on each day.
const PAYMENTS: &str = "
    select s.settlement_id, s.merchant_id, s.business_day, part.fen
    from settlement s join settlement_part p on p.settlement_id = s.settlement_id
    cross join lateral (
        select p.gross_fen - p.refunds_fen - p.discount_fee_fen + p.discount_returned_fen - p.subsidy_fen
                   + p.subsidy_returned_fen + p.carried_in_fen as fen) part
    where p.funder_id = $1 and (s.status = 'paid' or s.status = 'nothing' and part.fen <> 0)";
const REMITTANCES: &str = "
    select remittance_id, business_day, collected_fen, subsidy_fen, payable_fen, status = 'paid' from remittance
    where funder_id = $1";

pub async fn read(pool: &PgPool, funder_id: Uuid) -> House {
    let today = sqlx::query_scalar("select today from business_day").fetch_one(pool).await.unwrap();
    let available = sqlx::query_scalar("select available_fen from reserve_now where funder_id = $1");
    let available: i64 = available.bind(funder_id).fetch_one(pool).await.unwrap();
    let standing = Standing::from([("the reserve".to_owned(), format!("has {available}"))]);
    let mut house = House { today, standing, details: Standing::new(), untold: BTreeSet::new() };
    house.read_lines(pool, funder_id).await;
    house.read_loans(pool, funder_id).await;
    house.read_payments(pool, funder_id).await;
    house
}

impl House {
    async fn read_lines(&mut self, pool: &PgPool, funder_id: Uuid) {
        let lines = "select l.line_id, l.limit_fen, l.used_fen, l.status, l.frozen_for,
                            exists (select from application a where a.line_id = l.line_id)
                     from credit_line l where l.funder_id = $1";
        let lines: Vec<(LineId, i64, i64, String, Option<String>, bool)> =
            sqlx::query_as(lines).bind(funder_id).fetch_all(pool).await.unwrap();
        for (line_id, limit, used, status, frozen_for, is_told) in lines {
            if is_told {
                self.standing.insert(line_id.to_string(), format!("{status}, limit {limit}"));
            } else {
                self.untold.insert(line_id.to_string());
            }
            if used != 0 {
                self.standing.insert(format!("{line_id} used"), used.to_string());
            }
            self.details.extend(frozen_for.map(|why| (format!("{line_id} is frozen"), why)));
        }
    }

    async fn read_loans(&mut self, pool: &PgPool, funder_id: Uuid) {
        let loans = "select loan_id, principal_fen - principal_paid_fen - principal_returned_fen, schedule_version::bigint, status,
                            claim_paid_fen - claim_recovered_fen,
                            (select c.business_day::text from charge_off c
                             where c.line_id = loan.line_id and c.loan_id = loan.loan_id)
                     from loan where funder_id = $1";
        let loans: Vec<(LoanId, i64, i64, String, i64, Option<String>)> =
            sqlx::query_as(loans).bind(funder_id).fetch_all(pool).await.unwrap();
        for (loan_id, outstanding, version, status, left, charged_off_on) in loans {
            let outstanding = if status == "voided" { 0 } else { outstanding };
            let owes = owes(outstanding, version, &charged_off_on.unwrap_or_default());
            self.standing.insert(loan_id.to_string(), owes);
            self.details.insert(loan_id.to_string(), format!("{status}, {left} left to guarantors"));
        }
        let installments: Vec<Installment> =
            sqlx::query_as(INSTALLMENTS).bind(funder_id).fetch_all(pool).await.unwrap();
        for (loan_id, period, due_on, owed, paid, back, is_billed) in installments {
            self.standing.insert(format!("{loan_id} {period}"), stands(&due_on, &owed, &paid, &back));
            self.details.extend(is_billed.then(|| (format!("{loan_id} {period}"), "billed".to_owned())));
        }
    }

    async fn read_payments(&mut self, pool: &PgPool, funder_id: Uuid) {
        let payments: Vec<(SettlementId, MerchantId, BusinessDay, i64)> =
            sqlx::query_as(PAYMENTS).bind(funder_id).fetch_all(pool).await.unwrap();
        self.details.extend(payments.into_iter().map(|(settlement_id, merchant_id, day, fen)| {
            (settlement_id.to_string(), format!("{fen} to {merchant_id} for {day}"))
        }));
        let remittances: Vec<(RemittanceId, BusinessDay, i64, i64, i64, bool)> =
            sqlx::query_as(REMITTANCES).bind(funder_id).fetch_all(pool).await.unwrap();
        for (remittance_id, day, collected, subsidy, payable, is_paid) in remittances {
            self.details.extend(is_paid.then(|| (remittance_id.to_string(), format!("{payable} for {day}"))));
            if (collected, subsidy) != (0, 0) {
                self.details.insert(day.to_string(), came_in_of(collected, subsidy));
            }
        }
    }
}
