//! The close's step for lateness: whom to tell, which lines to freeze and which loans to write off, for the bills that reach a
//! stage on the day.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::charge_off_actions::{charge_off, look_back};
use super::charge_off_store::take_look_back;
use super::stage::Stage;
use super::store::{self, LateBill, StageDay};
use super::told::{Late, Told, Unpaid, reaching};
use crate::app::App;
use crate::base::id::LineId;
use crate::base::{AccountRange, BusinessDay, When};
use crate::bill::BilledInstallment;
use crate::credit::change::{Change, Note, line_changed};
use crate::credit::{self, Freeze, Line};
use crate::product::ProductVersion;
use crate::{bill, notice, outbox};

/// For each due day and product version: the stages that its unpaid bills may reach at the end of the day being closed.
type Stages = HashMap<StageDay, Vec<(Stage, Arc<ProductVersion>)>>;

/// A bill that reaches a stage to tell of at the end of the day being closed.
struct Reached<'a> {
    stage: Stage,
    late: &'a LateBill,
    /// Of its line.
    product: &'a ProductVersion,
    of_bill: &'a [Unpaid],
    /// Those of the bill that reach the stage.
    unpaid: Vec<&'a Unpaid>,
}

/// A late bill is told to its borrower and funder, and its line is locked, changed and journalled: as much work as billing this
/// many loans. In chunks of full size the late bills of a day would often be one chunk, and all workers but one idle.
const LOANS_PER_LATE_BILL: i64 = 10;
/// Bills of a chunk at most. Its lines are locked until it commits, and who buys on one of them waits with all of their batch: it is to
/// be over in about a tenth of a second.
const LATE_BILLS_MAX: i64 = 500;

/// Cuts the lines with bills that reach a stage into ranges of as much work as about `chunk_rows` loans that are billed, or less.
pub async fn plan(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    chunk_rows: i64,
) -> anyhow::Result<Vec<AccountRange>> {
    let stages = load_stages(connection, app, day).await?;
    let due_days: BTreeSet<BusinessDay> = stages.keys().map(|stage_day| stage_day.due_on).collect();
    let due_days: Vec<BusinessDay> = due_days.into_iter().collect();
    let bills = (chunk_rows / LOANS_PER_LATE_BILL).min(LATE_BILLS_MAX);
    let starts = store::cut_late(connection, &due_days, bills).await?;
    Ok(AccountRange::cut_at(&starts))
}

/// Does what the stages ask for at the end of `day`. Only bills that may reach a stage on that day are read, so that the work does
/// not grow with the number of loans; and, once, those of lines that were late before the house charged loans off.
pub async fn run(
    connection: &mut PgConnection,
    app: &App,
    day: BusinessDay,
    range: AccountRange,
) -> anyhow::Result<u64> {
    let stages = load_stages(connection, app, day).await?;
    let stage_days: Vec<StageDay> = stages.keys().copied().collect();
    let bills = store::load_late_bills(connection, &stage_days, range).await?;
    let to_look_back = take_look_back(connection, range).await?;
    let late_lines: BTreeSet<LineId> =
        bills.iter().map(|late| late.line_id).chain(to_look_back.iter().copied()).collect();
    let late_lines: Vec<LineId> = late_lines.into_iter().collect();
    // Every payment locks the line: one that came before this is seen below, and a later one waits until all this is written.
    let lines = credit::store::lock_lines(connection, &late_lines).await?;
    let to_look_back: Vec<Line> = lines.iter().filter(|line| to_look_back.contains(&line.line_id)).cloned().collect();
    let mut told = Told::new(When { business_day: day, at: app.clock.now() });
    let mut to_freeze = HashMap::new();
    let installments = unpaid_by_bill(connection, app, &bills, day).await?;
    let mut reached = Vec::new();
    for late in &bills {
        let Some(of_bill) = installments.get(&late.bill()) else { continue };
        for (stage, product) in stages_of(&stages, late) {
            let unpaid = reaching(*stage, &product.terms, of_bill, &(day..=day));
            if unpaid.is_empty() {
                continue;
            }
            match stage {
                Stage::Freeze => {
                    to_freeze.insert(late.line_id, product.clone());
                }
                Stage::Overdue | Stage::Claim | Stage::ChargeOff => {
                    reached.push(Reached { stage: *stage, late, product, of_bill, unpaid });
                }
            }
        }
    }
    tell(connection, &reached, &mut told).await?;
    let frozen = freeze(connection, lines, &to_freeze, &mut told).await?;
    look_back(connection, app, &to_look_back, &mut told).await?;
    let charged_off = charge_off(connection, &mut told).await?;
    notice::raise(connection, &told.notices).await?;
    outbox::store::enqueue(connection, &told.messages).await?;
    Ok(frozen + charged_off + (told.notices.len() + told.messages.len()) as u64)
}

/// The due days whose unpaid bills may reach a stage at the end of `day`: a line's terms say when, but a loan on it may have been made
/// under any others, with more days of grace.
async fn load_stages(connection: &mut PgConnection, app: &App, day: BusinessDay) -> anyhow::Result<Stages> {
    let products = app.catalogue.load_all(connection).await?;
    let graces: BTreeSet<u16> = products.iter().map(|product| product.terms.penalty.grace_days).collect();
    let mut stages = Stages::new();
    for product in products {
        for stage in Stage::ALL {
            let due_days: BTreeSet<BusinessDay> =
                graces.iter().map(|grace_days| stage.due_on(&product.terms, *grace_days, day)).collect();
            for due_on in due_days {
                let stage_day = StageDay { product_id: product.product_id, product_version: product.version, due_on };
                stages.entry(stage_day).or_default().push((stage, product.clone()));
            }
        }
    }
    Ok(stages)
}

/// The stages that a bill may reach.
fn stages_of<'a>(stages: &'a Stages, late: &LateBill) -> &'a [(Stage, Arc<ProductVersion>)] {
    let LateBill { product_id, product_version, due_on, .. } = *late;
    stages.get(&StageDay { product_id, product_version, due_on }).map_or(&[], Vec::as_slice)
}

/// Tells of the stages that are reached. What was told already is left out: a payment was taken back since the day has ended, and whoever
/// did that has told of it.
async fn tell(connection: &mut PgConnection, reached: &[Reached<'_>], told: &mut Told) -> anyhow::Result<()> {
    let day = told.when.business_day;
    let bills: Vec<(LineId, BusinessDay)> = reached.iter().map(|one| one.late.bill()).collect();
    let of_people = store::mark_people_told(connection, &bills, day).await?;
    let installments: Vec<&BilledInstallment> =
        reached.iter().flat_map(|one| &one.unpaid).map(|unpaid| &unpaid.billed).collect();
    let of_funder = store::mark_funder_told(connection, &installments, day).await?;
    for Reached { stage, late, product, of_bill, unpaid } in reached {
        if of_people.contains_key(&late.bill()) {
            let late = Late { line_id: late.line_id, borrower_id: late.borrower_id, due_on: late.due_on };
            told.tell_people(*stage, late, &reaching(*stage, &product.terms, *of_bill, &(..=day)));
        }
        let is_untold = |one: &&Unpaid| of_funder.contains_key(&(one.billed.loan_id, one.billed.period));
        let untold: Vec<&Unpaid> = unpaid.iter().copied().filter(is_untold).collect();
        told.tell_funder(*stage, &product.terms.funder, &untold);
    }
    Ok(())
}

/// Freezes those of the locked lines that are `late`, in addition to any freeze for another reason. Returns how many.
async fn freeze(
    connection: &mut PgConnection,
    locked: Vec<Line>,
    late: &HashMap<LineId, Arc<ProductVersion>>,
    told: &mut Told,
) -> anyhow::Result<u64> {
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    for mut line in locked {
        let Some(product) = late.get(&line.line_id) else { continue };
        let note = Note { reason: "overdue".to_owned(), source_id: None, when: told.when };
        // A closed line owes nothing, and is not frozen.
        if let Ok(Some(entry)) = line.apply(Change::Freeze(Freeze::Overdue), note) {
            told.messages.push(line_changed(&product.terms.funder, &line, &entry));
            told.notices.extend(credit::change::told(&line, &entry));
            lines.push(line);
            entries.push(entry);
        }
    }
    if !lines.is_empty() {
        credit::store::save_lines(connection, &lines, &entries).await?;
    }
    Ok(lines.len() as u64)
}

/// The unpaid installments of the bills' lines that are due by `day`, by line and due day.
async fn unpaid_by_bill(
    connection: &mut PgConnection,
    app: &App,
    bills: &[LateBill],
    day: BusinessDay,
) -> anyhow::Result<HashMap<(LineId, BusinessDay), Vec<Unpaid>>> {
    let mut line_ids: Vec<Uuid> = bills.iter().map(|late| late.line_id.uuid()).collect();
    line_ids.dedup();
    let mut by_bill: HashMap<(LineId, BusinessDay), Vec<Unpaid>> = HashMap::new();
    for billed in bill::store::load_due_installments(connection, &line_ids, day).await? {
        let product = app.catalogue.get(connection, billed.product_id, billed.product_version).await?;
        let of_bill = by_bill.entry((billed.line_id, billed.due_on())).or_default();
        of_bill.push(Unpaid::new(billed, &product.terms, day));
    }
    Ok(by_bill)
}
