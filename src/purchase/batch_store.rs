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

/// A decided batch as it is recorded.
pub(super) struct Record<'a> {
    pub written: &'a Written,
    /// The number of each line's last journal row when the batch was decided. Every change of a line writes such a row, so a line whose
    /// number is still the same has not changed since.
    pub seen: &'a HashMap<LineId, i64>,
    /// The lines that it changed, as they are now, in id order.
    pub changed: Vec<&'a Line>,
    pub to_merchants: Vec<Notice>,
    pub of_slice: SliceHolds<'a>,
    pub today: BusinessDay,
    pub now: DateTime<Utc>,
}

/// What is taken from one slice of each reserve, in funder order. Empty where the caller has locked the reserves themselves and
/// saves them.
#[derive(Clone, Copy, Default)]
pub(super) struct SliceHolds<'a> {
    pub slice_no: i16,
    pub holds: &'a [Hold],
}

/// An amount to be held of a reserve.
pub(super) struct Hold {
    pub funder_id: FunderId,
    pub amount: Fen,
    /// The first purchase of the batch that it is held for.
    pub source: String,
}

/// Records a batch in one statement; returns what is left of each slice that it took from, in the order of [`SliceHolds::holds`].
///
/// # Errors
/// A serialization failure (40001), with nothing written, where a line that it changes or the business day is no longer as it was
/// seen, an order that it pays is no longer open, or a slice has less left than is to be held.
pub(super) async fn record(connection: &mut PgConnection, record: &Record<'_>) -> sqlx::Result<Vec<Fen>> {
    let Record { written, seen, changed, to_merchants, of_slice, today, now } = record;
    let SliceHolds { slice_no, holds } = *of_slice;
    let columns = Columns::of(written);
    let messages = &written.messages;
    sqlx::query_file_scalar!(
        "src/purchase/record_batch.sql",
        &columns.purchase_id,
        &columns.line_id,
        &columns.idempotency_key as &[&str],
        &columns.request_sha256 as &[&[u8]],
        &columns.merchant_id,
        &columns.code_id as &[Option<Uuid>],
        &columns.product_id,
        &columns.product_version,
        &columns.periods,
        &columns.amount,
        &columns.refusal as &[Option<&str>],
        &columns.discount_fee,
        &columns.subsidy,
        &columns.loan_id as &[Option<Uuid>],
        &columns.funder_id as &[Option<Uuid>],
        &columns.grade as &[Option<&str>],
        &columns.annual_rate as &[Option<Decimal>],
        &columns.statement_day as &[Option<i16>],
        &columns.first_statement_on as &[Option<NaiveDate>],
        &columns.last_statement_on as &[Option<NaiveDate>],
        &columns.first_due as &[Option<i32>],
        &columns.last_due as &[Option<i32>],
        &columns.posting_id as &[Option<Uuid>],
        &columns.first_leg as &[Option<i32>],
        &columns.last_leg as &[Option<i32>],
        &columns.entry_no as &[Option<i64>],
        &columns.used_after as &[Option<i64>],
        &columns.limit_after as &[Option<i64>],
        today.date(),
        *now,
        &columns.due_on,
        &columns.principal,
        &columns.interest,
        &columns.fee,
        &columns.debit,
        &columns.credit,
        &columns.leg_amount,
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
        slice_no,
        &columns.discount_returned,
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

/// The batch turned into arrays, one for each column, as the statement takes them. First one element for each purchase; then one for
/// each purchase's loan, posting and line entry, `None` where it was refused; last all installments and all ledger legs, one loan after
/// the other.
#[derive(Default)]
struct Columns<'a> {
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
    /// Where the loan's installments begin and end in `due_on` and the arrays beside it, counted from 1.
    first_due: Vec<Option<i32>>,
    last_due: Vec<Option<i32>>,
    posting_id: Vec<Option<Uuid>>,
    /// Where the posting's legs begin and end in `debit` and the arrays beside it, counted from 1.
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
struct Bought<'a> {
    loan: &'a Loan,
    schedule: &'a Schedule,
    posting: &'a Posting,
    entry: &'a LineEntry,
}

impl<'a> Columns<'a> {
    fn of(written: &'a Written) -> Columns<'a> {
        let mut bought = written.loans.iter().zip(&written.schedules).zip(&written.postings).zip(&written.line_entries);
        let mut columns = Columns::default();
        for purchase in &written.purchases {
            let one = match purchase.receipt.decision {
                Decision::Authorised { .. } => bought.next(),
                Decision::Refused(_) => None,
            };
            let one = one.map(|(((loan, schedule), posting), entry)| Bought { loan, schedule, posting, entry });
            columns.push_purchase(purchase);
            columns.push_bought(one);
            if let Some(one) = one {
                columns.push_installments_and_legs(one);
            }
        }
        columns
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

    fn push_bought(&mut self, one: Option<Bought<'a>>) {
        let loan = one.map(|one| one.loan);
        let entry = one.map(|one| one.entry);
        let run = |before: usize, count: usize| (before as i32 + 1, (before + count) as i32);
        let dues = one.map(|one| run(self.due_on.len(), one.schedule.installments.len()));
        let legs = one.map(|one| run(self.debit.len(), one.posting.legs.len()));
        self.loan_id.push(loan.map(|loan| loan.loan_id.uuid()));
        self.funder_id.push(loan.map(|loan| loan.funder_id.uuid()));
        self.grade.push(loan.map(|loan| loan.grade.as_str()));
        self.annual_rate.push(loan.map(|loan| loan.annual_rate.fraction()));
        self.statement_day.push(loan.map(|loan| i16::from(loan.statement_day.get())));
        self.first_statement_on.push(loan.map(|loan| loan.first_statement_on.date()));
        self.last_statement_on.push(loan.map(|loan| loan.last_statement_on.date()));
        self.first_due.push(dues.map(|(first, _)| first));
        self.last_due.push(dues.map(|(_, last)| last));
        self.posting_id.push(one.map(|one| one.posting.posting_id));
        self.first_leg.push(legs.map(|(first, _)| first));
        self.last_leg.push(legs.map(|(_, last)| last));
        self.entry_no.push(entry.map(|entry| entry.entry_no));
        self.used_after.push(entry.map(|entry| entry.used_after.get()));
        self.limit_after.push(entry.map(|entry| entry.limit_after.get()));
    }

    fn push_installments_and_legs(&mut self, one: Bought<'_>) {
        for installment in &one.schedule.installments {
            self.due_on.push(installment.due_on.date());
            self.principal.push(installment.principal.get());
            self.interest.push(installment.interest.get());
            self.fee.push(installment.fee.get());
        }
        for leg in &one.posting.legs {
            self.debit.push(leg.debit.number());
            self.credit.push(leg.credit.number());
            self.leg_amount.push(leg.amount.get());
        }
    }
}
