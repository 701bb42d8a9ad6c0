//! The close's step for lateness: whom to tell and which lines to freeze, for the bills that reach a stage on the day.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::penalty::PenaltyRule;
use super::stage::Stage;
use super::store::{self, LateBill, StageDay};
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{AccountRange, BusinessDay, Fen};
use crate::bill::{self, BilledInstallment};
use crate::credit::change::{Change, Note, line_changed};
use crate::credit::{self, Freeze};
use crate::notice::{self, Audience, Notice};
use crate::outbox::{self, Message};
use crate::product::ProductVersion;

/// Cuts the lines with bills past due into ranges of about `chunk_rows` bills.
pub async fn plan(connection: &mut PgConnection, day: BusinessDay, chunk_rows: i64) -> sqlx::Result<Vec<AccountRange>> {
    let starts = store::cut_late(connection, day, chunk_rows).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// Does what the stages ask for at the end of `day`. Only bills that reach a stage on that day are touched, so that the work
/// does not grow with the book.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let mut stage_days = Vec::new();
    let mut stages: HashMap<StageDay, Vec<(Stage, Arc<ProductVersion>)>> = HashMap::new();
    for product in app.catalogue.load_all(connection).await? {
        for stage in Stage::ALL {
            let due_on = stage.due_on(&product.terms, day);
            let stage_day = StageDay { product_id: product.product_id, product_version: product.version, due_on };
            stage_days.push(stage_day);
            stages.entry(stage_day).or_default().push((stage, product.clone()));
        }
    }
    let bills = store::load_late_bills(connection, &stage_days, range).await?;
    // Whoever pays has the line locked: what is paid until here is seen below, and the rest waits until all this is written.
    let mut late_lines: Vec<LineId> = bills.iter().map(|late| late.line_id).collect();
    late_lines.dedup();
    credit::store::lock_lines(connection, &late_lines).await?;
    let mut told = Told { day, now: app.clock.now(), notices: Vec::new(), messages: Vec::new() };
    let mut to_freeze = Vec::new();
    let installments = unpaid_by_bill(connection, &bills).await?;
    for late in &bills {
        let stage_day =
            StageDay { product_id: late.product_id, product_version: late.product_version, due_on: late.due_on };
        let Some(unpaid) = installments.get(&(late.line_id, late.due_on)) else { continue };
        for (stage, product) in stages.get(&stage_day).into_iter().flatten() {
            match stage {
                Stage::Overdue => told.overdue(late, product, unpaid),
                Stage::Freeze => to_freeze.push((late.line_id, product.clone())),
                Stage::Claim => {
                    told.operator(late, "claim_due");
                    told.claim_due(product, unpaid);
                }
                Stage::ChargeOff => told.operator(late, "charge_off_due"),
            }
        }
    }
    let frozen = freeze(connection, &to_freeze, &mut told).await?;
    notice::raise(connection, &told.notices).await?;
    outbox::store::enqueue(connection, &told.messages).await?;
    Ok(frozen + (told.notices.len() + told.messages.len()) as u64)
}

/// Freezes lines for lateness, beside whatever else has stopped them.
async fn freeze(
    connection: &mut PgConnection,
    late: &[(LineId, Arc<ProductVersion>)],
    told: &mut Told,
) -> anyhow::Result<u64> {
    let line_ids: Vec<LineId> = late.iter().map(|(line_id, _)| *line_id).collect();
    let product_of: HashMap<LineId, &ProductVersion> =
        late.iter().map(|(line_id, product)| (*line_id, &**product)).collect();
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    for mut line in credit::store::lock_lines(connection, &line_ids).await? {
        let note = Note { reason: "overdue".to_owned(), source_id: None, day: told.day, at: told.now };
        // A closed line owes nothing, and is not frozen.
        if let Ok(Some(entry)) = line.apply(Change::Freeze(Freeze::Overdue), note) {
            lines.push(line);
            entries.push(entry);
        }
    }
    credit::store::save_lines(connection, &lines, &entries).await?;
    for (line, entry) in lines.iter().zip(&entries) {
        let funder_code = &product_of[&line.line_id].terms.funder;
        told.messages.push(line_changed(funder_code, line, entry));
        told.notices.extend(credit::change::told(line, entry));
    }
    Ok(lines.len() as u64)
}

async fn unpaid_by_bill(
    connection: &mut PgConnection,
    bills: &[LateBill],
) -> sqlx::Result<HashMap<(LineId, BusinessDay), Vec<BilledInstallment>>> {
    let mut line_ids: Vec<Uuid> = bills.iter().map(|late| late.line_id.uuid()).collect();
    line_ids.dedup();
    let mut by_bill: HashMap<(LineId, BusinessDay), Vec<BilledInstallment>> = HashMap::new();
    for installment in bill::store::load_open_installments(connection, &line_ids).await? {
        by_bill.entry((installment.line_id, installment.due_on())).or_default().push(installment);
    }
    Ok(by_bill)
}

/// What is said of one day's late bills.
struct Told {
    day: BusinessDay,
    now: DateTime<Utc>,
    notices: Vec<Notice>,
    messages: Vec<Message>,
}

impl Told {
    /// The borrower once a bill, the funder once a loan in it.
    fn overdue(&mut self, late: &LateBill, product: &ProductVersion, unpaid: &[BilledInstallment]) {
        let owed = |installment: &BilledInstallment| {
            let rule = PenaltyRule::new(&product.terms.penalty, installment.annual_rate);
            installment.owed_on(&rule, self.day).total()
        };
        let owed: Fen = unpaid.iter().map(owed).sum();
        let body = json!({ "line": late.line_id, "due_on": late.due_on, "owed_fen": owed });
        self.notices.push(Notice::to_borrower(late.borrower_id, "overdue", body, self.day, self.now));
        let of_loans = unpaid.iter().filter(|installment| installment.unpaid_principal().is_positive());
        self.messages.extend(of_loans.map(|installment| Message {
            partner: product.terms.funder.clone(),
            kind: "overdue",
            object_id: installment.loan_id.uuid(),
            body: json!({
                "loan_id": installment.loan_id,
                "line_id": installment.line_id,
                "period": installment.period,
                "due_on": installment.due_on(),
                "business_day": self.day,
                "unpaid_principal_fen": installment.unpaid_principal(),
            }),
            created_at: self.now,
        }));
    }

    /// What the guarantor may be asked for, once a loan in the bill.
    fn claim_due(&mut self, product: &ProductVersion, unpaid: &[BilledInstallment]) {
        self.messages.extend(unpaid.iter().map(|installment| {
            let rule = PenaltyRule::new(&product.terms.penalty, installment.annual_rate);
            let owed = installment.owed_on(&rule, self.day);
            Message {
                partner: product.terms.funder.clone(),
                kind: "claim_due",
                object_id: installment.loan_id.uuid(),
                body: json!({
                    "loan_id": installment.loan_id,
                    "line_id": installment.line_id,
                    "period": installment.period,
                    "due_on": installment.due_on(),
                    "principal_fen": owed.principal,
                    "interest_fen": owed.interest,
                    "fee_fen": owed.fee,
                    "penalty_fen": owed.penalty,
                    "business_day": self.day,
                }),
                created_at: self.now,
            }
        }));
    }

    fn operator(&mut self, late: &LateBill, kind: &'static str) {
        self.notices.push(Notice {
            audience: Audience::Operator,
            recipient_id: None,
            kind,
            body: json!({ "line": late.line_id, "due_on": late.due_on }),
            business_day: self.day,
            created_at: self.now,
        });
    }
}
