//! SQL of a batch of purchases.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decision::{NewPurchase, Written};
use super::model::Decision;
use super::weighing::SpentToday;
use crate::base::id::{CodeId, FunderId, LineId, MerchantId};
use crate::base::{BusinessDay, Fen};
use crate::credit::Line;
use crate::credit::line::LineEntry;
use crate::error::Refusal;
use crate::ledger::Posting;
use crate::loan::{Loan, Schedule};
use crate::notice::Notice;

/// A decided batch, with all that came of it.
pub(super) struct Record<'a> {
    pub written: &'a Written,
    /// The number of the last journal row of each line that it was decided on, as it was then: every change of a line has one.
    pub seen: &'a HashMap<LineId, i64>,
    /// The lines that it changed, as they are now, in id order.
    pub changed: Vec<&'a Line>,
    pub to_merchants: Vec<Notice>,
    pub holding: Holding<'a>,
    pub today: BusinessDay,
    pub now: DateTime<Utc>,
}

/// What is taken from a slice of each reserve, in funder order; nothing where the caller has locked the reserves and writes them itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Holding<'a> {
    pub slice_no: i16,
    pub holds: &'a [Hold],
}

/// An amount to be held of a reserve.
pub(super) struct Hold {
    pub funder_id: FunderId,
    pub amount: Fen,
    pub source: String,
}

/// Records a batch in one statement, and says what is left of each slice that it took from.
///
/// # Errors
/// A serialization failure (40001), with nothing written, where a line that it changes or the business day is no longer as it was
/// seen, an order that it pays is no longer open, or a slice has not what is to be held.
pub(super) async fn record(connection: &mut PgConnection, record: &Record<'_>) -> sqlx::Result<Vec<Fen>> {
    let Record { written, seen, changed, to_merchants, holding, today, now } = record;
    let holds = holding.holds;
    let sales = Sales::of(written);
    let messages = &written.messages;
    sqlx::query_file_scalar!(
        "src/purchase/record_batch.sql",
        &sales.purchase_id,
        &sales.line_id,
        &sales.idempotency_key as &[&str],
        &sales.request_sha256 as &[&[u8]],
        &sales.merchant_id,
        &sales.code_id as &[Option<Uuid>],
        &sales.product_id,
        &sales.product_version,
        &sales.periods,
        &sales.amount,
        &sales.refusal as &[Option<&str>],
        &sales.discount_fee,
        &sales.subsidy,
        &sales.loan_id as &[Option<Uuid>],
        &sales.funder_id as &[Option<Uuid>],
        &sales.grade as &[Option<&str>],
        &sales.annual_rate as &[Option<Decimal>],
        &sales.statement_day as &[Option<i16>],
        &sales.first_statement_on as &[Option<NaiveDate>],
        &sales.last_statement_on as &[Option<NaiveDate>],
        &sales.first_due as &[Option<i32>],
        &sales.last_due as &[Option<i32>],
        &sales.posting_id as &[Option<Uuid>],
        &sales.first_leg as &[Option<i32>],
        &sales.last_leg as &[Option<i32>],
        &sales.entry_no as &[Option<i64>],
        &sales.used_after as &[Option<i64>],
        &sales.limit_after as &[Option<i64>],
        today.date(),
        *now,
        &sales.due_on,
        &sales.principal,
        &sales.interest,
        &sales.fee,
        &sales.debit,
        &sales.credit,
        &sales.leg_amount,
        &messages.iter().map(|message| message.partner.as_str()).collect::<Vec<&str>>() as &[&str],
        &messages.iter().map(|message| message.kind).collect::<Vec<&str>>() as &[&str],
        &messages.iter().map(|message| message.object_id).collect::<Vec<Uuid>>(),
        &messages.iter().map(|message| message.body.to_string()).collect::<Vec<String>>(),
        &changed.iter().map(|line| line.line_id.uuid()).collect::<Vec<Uuid>>(),
        &changed.iter().map(|line| line.used.get()).collect::<Vec<i64>>(),
        &changed.iter().map(|line| line.purchases_count).collect::<Vec<i32>>(),
        &changed.iter().map(|line| line.last_entry_no).collect::<Vec<i64>>(),
        &to_merchants.iter().map(|notice| notice.recipient_id).collect::<Vec<Option<Uuid>>>() as &[Option<Uuid>],
        &to_merchants.iter().map(|notice| notice.kind).collect::<Vec<&str>>() as &[&str],
        &to_merchants.iter().map(|notice| notice.body.to_string()).collect::<Vec<String>>(),
        &changed.iter().map(|line| seen[&line.line_id]).collect::<Vec<i64>>(),
        &holds.iter().map(|hold| hold.funder_id.uuid()).collect::<Vec<Uuid>>(),
        &holds.iter().map(|hold| hold.amount.get()).collect::<Vec<i64>>(),
        &holds.iter().map(|hold| hold.source.as_str()).collect::<Vec<&str>>() as &[&str],
        &written.orders_paid.keys().map(|code_id| code_id.uuid()).collect::<Vec<Uuid>>(),
        &written.orders_paid.values().map(|purchase_id| purchase_id.uuid()).collect::<Vec<Uuid>>(),
        holding.slice_no,
        &sales.discount_returned,
    )
    .fetch_all(connection)
    .await
}

/// What each of these lines has spent on a business day.
pub(super) async fn read_spent(
    connection: &mut PgConnection,
    line_ids: &[LineId],
    today: BusinessDay,
) -> sqlx::Result<HashMap<LineId, SpentToday>> {
    let mut spent: HashMap<LineId, SpentToday> =
        line_ids.iter().map(|line_id| (*line_id, SpentToday::default())).collect();
    if spent.is_empty() {
        return Ok(spent);
    }
    let rows = sqlx::query!(
        r#"select line_id as "line_id: LineId", merchant_id as "merchant_id: MerchantId", sum(amount_fen)::bigint as "spent!: Fen"
           from purchase where line_id = any($1) and business_day = $2 and status = 'authorised'
           group by line_id, merchant_id"#,
        &line_ids.iter().map(|line_id| line_id.uuid()).collect::<Vec<Uuid>>(),
        today.date(),
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        spent.entry(row.line_id).or_default().add(row.merchant_id, row.spent);
    }
    Ok(spent)
}

/// Purchases by column, then their loans, `None` for a refused one, then installments and ledger legs in one run each.
#[derive(Default)]
struct Sales<'a> {
    purchase_id: Vec<Uuid>,
    line_id: Vec<Uuid>,
    idempotency_key: Vec<&'a str>,
    request_sha256: Vec<&'a [u8]>,
    merchant_id: Vec<Uuid>,
    code_id: Vec<Option<Uuid>>,
    product_id: Vec<Uuid>,
    product_version: Vec<i32>,
    periods: Vec<i16>,
    amount: Vec<i64>,
    refusal: Vec<Option<&'static str>>,
    discount_fee: Vec<i64>,
    discount_returned: Vec<bool>,
    subsidy: Vec<i64>,

    loan_id: Vec<Option<Uuid>>,
    funder_id: Vec<Option<Uuid>>,
    grade: Vec<Option<&'a str>>,
    annual_rate: Vec<Option<Decimal>>,
    statement_day: Vec<Option<i16>>,
    first_statement_on: Vec<Option<NaiveDate>>,
    last_statement_on: Vec<Option<NaiveDate>>,
    /// One-based bounds of the loan's installments.
    first_due: Vec<Option<i32>>,
    last_due: Vec<Option<i32>>,
    posting_id: Vec<Option<Uuid>>,
    /// One-based bounds of the posting's legs.
    first_leg: Vec<Option<i32>>,
    last_leg: Vec<Option<i32>>,
    entry_no: Vec<Option<i64>>,
    used_after: Vec<Option<i64>>,
    limit_after: Vec<Option<i64>>,

    due_on: Vec<NaiveDate>,
    principal: Vec<i64>,
    interest: Vec<i64>,
    fee: Vec<i64>,
    debit: Vec<i16>,
    credit: Vec<i16>,
    leg_amount: Vec<i64>,
}

/// What an authorised purchase has made.
#[derive(Clone, Copy)]
struct Made<'a> {
    loan: &'a Loan,
    schedule: &'a Schedule,
    posting: &'a Posting,
    entry: &'a LineEntry,
}

impl<'a> Sales<'a> {
    fn of(written: &'a Written) -> Sales<'a> {
        let mut made = written.loans.iter().zip(&written.schedules).zip(&written.postings).zip(&written.line_entries);
        let mut sales = Sales::default();
        for purchase in &written.purchases {
            let made = match purchase.receipt.decision {
                Decision::Authorised { .. } => made.next(),
                Decision::Refused(_) => None,
            };
            let made = made.map(|(((loan, schedule), posting), entry)| Made { loan, schedule, posting, entry });
            sales.push_purchase(purchase);
            sales.push_made(made);
            if let Some(made) = made {
                sales.push_rows(made);
            }
        }
        sales
    }

    fn push_purchase(&mut self, purchase: &'a NewPurchase) {
        let NewPurchase { receipt, request, fingerprint, discount_fee, discount_returned_on_refund, subsidy } =
            purchase;
        let refusal = match &receipt.decision {
            Decision::Authorised { .. } => None,
            Decision::Refused(refusal) => Some(refusal.code()),
        };
        self.purchase_id.push(receipt.purchase_id.uuid());
        self.line_id.push(request.line_id.uuid());
        self.idempotency_key.push(&request.idempotency_key);
        self.request_sha256.push(fingerprint);
        self.merchant_id.push(request.merchant_id.uuid());
        self.code_id.push(request.order_code.map(CodeId::uuid));
        self.product_id.push(request.product_id.uuid());
        self.product_version.push(request.product_version);
        self.periods.push(request.periods as i16);
        self.amount.push(request.amount.get());
        self.refusal.push(refusal);
        self.discount_fee.push(discount_fee.get());
        self.discount_returned.push(*discount_returned_on_refund);
        self.subsidy.push(subsidy.get());
    }

    fn push_made(&mut self, made: Option<Made<'a>>) {
        let loan = made.map(|made| made.loan);
        let entry = made.map(|made| made.entry);
        let run = |before: usize, count: usize| (before as i32 + 1, (before + count) as i32);
        let dues = made.map(|made| run(self.due_on.len(), made.schedule.installments.len()));
        let legs = made.map(|made| run(self.debit.len(), made.posting.legs.len()));
        self.loan_id.push(loan.map(|loan| loan.loan_id.uuid()));
        self.funder_id.push(loan.map(|loan| loan.funder_id.uuid()));
        self.grade.push(loan.map(|loan| loan.grade.as_str()));
        self.annual_rate.push(loan.map(|loan| loan.annual_rate.fraction()));
        self.statement_day.push(loan.map(|loan| i16::from(loan.statement_day.get())));
        self.first_statement_on.push(loan.map(|loan| loan.first_statement_on.date()));
        self.last_statement_on.push(loan.map(|loan| loan.last_statement_on.date()));
        self.first_due.push(dues.map(|(first, _)| first));
        self.last_due.push(dues.map(|(_, last)| last));
        self.posting_id.push(made.map(|made| made.posting.posting_id));
        self.first_leg.push(legs.map(|(first, _)| first));
        self.last_leg.push(legs.map(|(_, last)| last));
        self.entry_no.push(entry.map(|entry| entry.entry_no));
        self.used_after.push(entry.map(|entry| entry.used_after.get()));
        self.limit_after.push(entry.map(|entry| entry.limit_after.get()));
    }

    fn push_rows(&mut self, made: Made<'_>) {
        for installment in &made.schedule.installments {
            self.due_on.push(installment.due_on.date());
            self.principal.push(installment.principal.get());
            self.interest.push(installment.interest.get());
            self.fee.push(installment.fee.get());
        }
        for leg in &made.posting.legs {
            self.debit.push(leg.debit.number());
            self.credit.push(leg.credit.number());
            self.leg_amount.push(leg.amount.get());
        }
    }
}
