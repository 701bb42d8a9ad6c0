//! Use cases of reconciliation: takes in a channel's daily file, and corrects a break once a second person has confirmed the proposal.

use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Break, BreakKind, BreakStatus, Correction, Difference};
use super::store::{self, Comparison, FileKey};
use super::{notices, open_store, posted_store, posting, shared_store};
use crate::access::is_same_holder;
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::When;
use crate::base::id::{BreakId, LineId, WithholdingId};
use crate::database;
use crate::error::{Fault, Outcome, Refusal, Step};
use crate::partner::withholding::{self as channels, Answer, ChannelFailure, ChannelName, DailyFile};
use crate::repayment::{self, ChannelResult, Posted, ReversalRefusal};
use crate::{borrower, business_day, credit, ledger, notice, overdue};

/// Why a break was not corrected or changed as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BreakRefusal {
    #[error("there is no such break")]
    Unknown,
    #[error("the break is not open any more")]
    NotOpen,
    #[error("another proposal has taken the place of the one that was shown; look at it first")]
    ProposalChanged,
    #[error("whoever proposed the correction can neither confirm it nor dismiss the break")]
    OwnProposal,
    #[error("a name is needed: who does it")]
    NameMissing,
    #[error("a break is dismissed with a reason")]
    ReasonMissing,
    #[error(
        "this correction does not fit: the order is not ours, is still pending, or brought this money already; look at it, then propose another one or dismiss the break"
    )]
    DoesNotFit,
    #[error("money that only the channel told of was booked for this order before; settle this one with the channel")]
    BookedBefore,
    #[error("the borrower's account is closed: have the channel give the money back, and propose ask_channel")]
    BorrowerErased,
    #[error("{0}")]
    NotReversed(ReversalRefusal),
}

impl Refusal for BreakRefusal {
    fn code(&self) -> &'static str {
        match self {
            BreakRefusal::Unknown => "break_unknown",
            BreakRefusal::NotOpen => "break_not_open",
            BreakRefusal::ProposalChanged => "proposal_changed",
            BreakRefusal::OwnProposal => "own_proposal",
            BreakRefusal::NameMissing => "name_missing",
            BreakRefusal::ReasonMissing => "reason_missing",
            BreakRefusal::DoesNotFit => "correction_does_not_fit",
            BreakRefusal::BookedBefore => "booked_before",
            BreakRefusal::BorrowerErased => "borrower_erased",
            BreakRefusal::NotReversed(refusal) => refusal.code(),
        }
    }
}

/// The result of taking in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub lines: u64,
    /// Pending orders that the file has ended.
    pub resolved: Posted,
    /// Breaks that were opened, or whose amount was changed.
    pub breaks: u64,
}

/// Takes in a channel's file of a day: stores it, ends our pending orders that are final in it, opens a break for each difference, and
/// books what the channel settles. Until a file has been compared, the channel may replace it by another one, and the last one counts.
/// Taking in a file again that was compared before books nothing twice.
///
/// # Errors
/// If a file with other bytes was compared before, and failures of the database.
pub async fn take_in(app: &App, key: FileKey, bytes: &[u8], file: &DailyFile) -> anyhow::Result<Compared> {
    let mut transaction = database::begin(&app.pool).await?;
    store_file(&mut transaction, key, bytes, file).await?;
    transaction.commit().await?;
    // The file is an explicit answer of the channel. If the process is killed after this, the next run finds fewer pending orders.
    let resolved = resolve_pending(app, key).await?;
    let are_shared_lawfully = app.partners.has_batch_references(key.channel);
    let mut transaction = database::begin(&app.pool).await?;
    let now = app.clock.now();
    shared_store::lock_channel(&mut transaction, key.channel).await?;
    // Before anything is compared, so that no other file replaces this one meanwhile.
    let is_first = store::mark_compared(&mut transaction, key, now).await?;
    open_store::lock_breaks_named_paid(&mut transaction, key).await?;
    let today = business_day::store::hold_today(&mut transaction).await?;
    let when = When { business_day: today, at: now };
    open_store::close_breaks_named_paid(&mut transaction, key, today).await?;
    let taken_over = if is_first { open_store::take_over_amounts(&mut transaction, key).await? } else { 0 };
    let mut found = find_differing(&mut transaction, key).await?;
    found.extend(shared_store::find_named_twice(&mut transaction, key).await?);
    if !are_shared_lawfully {
        found.extend(shared_store::find_shared(&mut transaction, key).await?);
    }
    let comparison = Comparison { today, is_first };
    let mut breaks = taken_over + store::insert_breaks(&mut transaction, key, &found, comparison).await?;
    if is_first {
        // A callback may have opened a break meanwhile, so that the file's own was not opened.
        breaks += open_store::take_over_amounts(&mut transaction, key).await?;
    }
    if breaks > 0 {
        let told = notices::breaks_found(key, breaks, when);
        notice::raise(&mut transaction, &[told]).await?;
    }
    if is_first {
        let shares = store::sum_by_funder(&mut transaction, key).await?;
        let postings: Vec<_> =
            shares.iter().map(|share| posting::channel_settles(key.channel, key.day, share, when)).collect();
        ledger::store::insert_postings(&mut transaction, &postings).await?;
    }
    transaction.commit().await?;
    Ok(Compared { lines: file.lines.len() as u64, resolved, breaks })
}

/// The differences between a file and our orders. If people booked money through an order on the channel's word, all that is booked is
/// compared, instead of what the order itself collected.
async fn find_differing(connection: &mut PgConnection, key: FileKey) -> sqlx::Result<Vec<Difference>> {
    let unpaid = posted_store::find_unpaid(&mut *connection, key).await?;
    let mut found = store::find_differing(connection, key).await?;
    found.retain(|other| {
        let is_of_it = unpaid.iter().any(|unpaid| unpaid.withholding_id == other.withholding_id);
        !is_of_it || other.kind == BreakKind::WeSucceededTheyFailed
    });
    found.extend(unpaid);
    Ok(found)
}

async fn store_file(connection: &mut PgConnection, key: FileKey, bytes: &[u8], file: &DailyFile) -> anyhow::Result<()> {
    let sha256 = Sha256::digest(bytes);
    if store::keep_file(connection, key, &sha256, file).await? {
        store::delete_file_lines(connection, key).await?;
        store::insert_file_lines(connection, key, file).await?;
        return Ok(());
    }
    anyhow::ensure!(
        store::has_bytes(connection, key, &sha256).await?,
        "the file of {} of {} was compared before with other bytes; ask the channel what it has changed",
        key.channel.name(),
        key.day
    );
    Ok(())
}

async fn resolve_pending(app: &App, key: FileKey) -> anyhow::Result<Posted> {
    let mut connection = app.pool.acquire().await?;
    let pending = store::load_pending(&mut connection, key).await?;
    let absent = store::load_absent(&mut connection, key).await?;
    drop(connection);
    let results: Vec<ChannelResult> = pending
        .into_iter()
        .map(|found| ChannelResult {
            withholding_id: found.withholding_id,
            line_id: found.line_id,
            answer: match found.failure {
                Some(failure) => Answer::Failed { failure, code: found.code.unwrap_or_default() },
                None => Answer::Succeeded { collected: found.amount, reference: found.channel_reference },
            },
        })
        .chain(ask_about_absent(app, key.channel, &absent).await)
        .collect();
    repayment::post_results(app, &results).await
}

/// Queries a channel once more about orders that none of its files names. Its files name every order that it accepted, so if it still
/// answers that it has no such order, nothing was collected, and another channel may be tried. Without an answer, the order is queried
/// again when the next file comes. If a later file names the order after all, that opens a break.
async fn ask_about_absent(app: &App, channel: ChannelName, absent: &[(WithholdingId, LineId)]) -> Vec<ChannelResult> {
    let mut results = Vec::with_capacity(absent.len());
    for batch in absent.chunks(channels::ORDERS_MAX) {
        let ids: Vec<WithholdingId> = batch.iter().map(|(withholding_id, _)| *withholding_id).collect();
        let said = channels::query(&app.partners, channel, &ids).await;
        results.extend(said.into_iter().zip(batch).map(|(said, (withholding_id, line_id))| ChannelResult {
            withholding_id: *withholding_id,
            line_id: *line_id,
            answer: in_no_file(said.answer),
        }));
    }
    results
}

/// What the channel's answer means for an order that no file names: if the channel has no such order, it never accepted it, and the order
/// has failed.
fn in_no_file(answer: Answer) -> Answer {
    match answer {
        Answer::Absent { .. } => Answer::Failed { failure: ChannelFailure::ChannelDown, code: "in_no_file".to_owned() },
        Answer::Succeeded { .. }
        | Answer::Failed { .. }
        | Answer::Rejected { .. }
        | Answer::Processing { .. }
        | Answer::Unclear { .. } => answer,
    }
}

/// Makes `person` the owner of an open break. The proposal stays, and with it who may confirm it.
pub async fn take_break(app: &App, break_id: BreakId, person: &str) -> Outcome<Step, BreakRefusal> {
    let person = required_name(person)?;
    let mut transaction = database::begin(&app.pool).await?;
    let taken = take(&mut transaction, app, break_id, person).await;
    database::end(transaction, taken).await
}

async fn take(
    connection: &mut PgConnection,
    app: &App,
    break_id: BreakId,
    person: &str,
) -> Outcome<Step, BreakRefusal> {
    let found = open_break(connection, break_id).await?;
    if is_same_holder(&found.owner, person) {
        return Ok(Step::AlreadyApplied);
    }
    if !store::take(connection, break_id, person).await? {
        return Err(Fault::Refused(BreakRefusal::NotOpen));
    }
    audit::record(connection, app, Act::new(Action::BreakTaken, break_id, json!({}))).await?;
    Ok(Step::Applied)
}

/// Changes the correction that is proposed for a break. `person` becomes its owner, too, and cannot confirm the proposal. Returns the
/// proposal's number.
pub async fn propose_correction(
    app: &App,
    break_id: BreakId,
    proposed: Correction,
    person: &str,
) -> Outcome<i32, BreakRefusal> {
    let person = required_name(person)?;
    let mut transaction = database::begin(&app.pool).await?;
    open_break(&mut transaction, break_id).await?;
    let proposal_no = store::propose(&mut transaction, break_id, proposed, person).await?;
    let proposal_no = proposal_no.ok_or(Fault::Refused(BreakRefusal::NotOpen))?;
    let detail = json!({ "proposal_no": proposal_no, "correction": proposed });
    audit::record(&mut transaction, app, Act::new(Action::CorrectionProposed, break_id, detail)).await?;
    transaction.commit().await?;
    Ok(proposal_no)
}

/// Carries out the proposed correction and closes the break. `person` must be another person than the one who proposed it, and names the
/// proposal that they have seen.
pub async fn confirm_break(app: &App, break_id: BreakId, proposal_no: i32, person: &str) -> Outcome<(), BreakRefusal> {
    let person = required_name(person)?;
    let mut transaction = database::begin(&app.pool).await?;
    let corrected = correct(&mut transaction, app, Confirmation { break_id, proposal_no, person }).await;
    database::end(transaction, corrected).await
}

/// A second person's confirmation of a proposal.
struct Confirmation<'a> {
    break_id: BreakId,
    proposal_no: i32,
    person: &'a str,
}

async fn correct(
    connection: &mut PgConnection,
    app: &App,
    confirmation: Confirmation<'_>,
) -> Outcome<(), BreakRefusal> {
    let Confirmation { break_id, proposal_no, person } = confirmation;
    let found = break_of_another(connection, break_id, person).await?;
    if found.proposal_no != proposal_no {
        return Err(Fault::Refused(BreakRefusal::ProposalChanged));
    }
    match found.proposed {
        // `Post` pays what is still owed and owes the rest back; `Refund` pays all of it back.
        Correction::Post | Correction::Refund => book_missing(connection, app, &found).await?,
        // The channel did take what its file names, so no money moves. Anything else that is open for the order has its own break.
        Correction::AskChannel if found.kind == BreakKind::SharedReference => {}
        Correction::AskChannel => settle_by_hand(connection, app, &found).await?,
        Correction::Reverse => {
            reverse(connection, app, &found, person).await?;
            // If the channel's files pay more for the order than is booked now, the surplus has gone back to the channel.
            if store::sum_open(connection, found.withholding_id).await?.is_negative() {
                settle_by_hand(connection, app, &found).await?;
            }
        }
    }
    close(connection, &found, BreakStatus::Corrected, person, None).await?;
    if found.proposed == Correction::Reverse && found.theirs.is_zero() {
        open_break_over_rest(connection, &found).await?;
    }
    let detail = json!({ "proposal_no": proposal_no, "correction": found.proposed });
    audit::record(connection, app, Act::new(Action::BreakCorrected, break_id, detail)).await?;
    Ok(())
}

/// Closes a break without a correction. The reason is required.
pub async fn dismiss_break(app: &App, break_id: BreakId, person: &str, reason: &str) -> Outcome<(), BreakRefusal> {
    let (person, reason) = (required_name(person)?, reason.trim());
    if reason.is_empty() {
        return Err(Fault::Refused(BreakRefusal::ReasonMissing));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let found = break_of_another(&mut transaction, break_id, person).await?;
    close(&mut transaction, &found, BreakStatus::Dismissed, person, Some(reason)).await?;
    audit::record(&mut transaction, app, Act::new(Action::BreakDismissed, break_id, json!({}))).await?;
    transaction.commit().await?;
    Ok(())
}

fn required_name(person: &str) -> Result<&str, Fault<BreakRefusal>> {
    let person = person.trim();
    if person.is_empty() { Err(Fault::Refused(BreakRefusal::NameMissing)) } else { Ok(person) }
}

/// An open break, locked, whose present correction was proposed by somebody other than `person`.
async fn break_of_another(
    connection: &mut PgConnection,
    break_id: BreakId,
    person: &str,
) -> Outcome<Break, BreakRefusal> {
    let found = open_break(connection, break_id).await?;
    if is_same_holder(&found.proposed_by, person) { Err(Fault::Refused(BreakRefusal::OwnProposal)) } else { Ok(found) }
}

async fn open_break(connection: &mut PgConnection, break_id: BreakId) -> Outcome<Break, BreakRefusal> {
    match store::lock_break(connection, break_id).await? {
        None => Err(Fault::Refused(BreakRefusal::Unknown)),
        Some(found) if found.status != BreakStatus::Open => Err(Fault::Refused(BreakRefusal::NotOpen)),
        Some(found) => Ok(found),
    }
}

async fn close(
    connection: &mut PgConnection,
    found: &Break,
    status: BreakStatus,
    person: &str,
    note: Option<&str>,
) -> Outcome<(), BreakRefusal> {
    let today = business_day::store::today(connection).await?;
    let closing = store::Closing { status, person, note, today };
    if store::close_break(connection, found.break_id, &closing).await? {
        Ok(())
    } else {
        Err(Fault::Refused(BreakRefusal::NotOpen))
    }
}

/// Locks the line of the order that a break is about, and loads both under the lock: the present state of the order counts, not its state
/// when the break was opened. `None` if the order is not ours or was sent to another channel; money that one channel has for another
/// channel's order is in suspense, too.
async fn lock_order(
    connection: &mut PgConnection,
    found: &Break,
) -> sqlx::Result<Option<(repayment::Withholding, credit::Line)>> {
    let ids: [Uuid; 1] = [found.withholding_id.uuid()];
    let order = repayment::store::load_withholdings(connection, &ids).await?.pop();
    let Some(order) = order.filter(|order| order.channel == found.channel) else { return Ok(None) };
    let line = credit::store::lock_lines(connection, &[order.line_id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let order = repayment::store::load_withholdings(connection, &ids).await?.pop();
    Ok(order.map(|order| (order, line)))
}

/// Records that people have settled with the channel what its files leave open, so that neither side owes anything for the order any
/// more. An order that was pending because of its amount ends as failed: nothing was collected.
async fn settle_by_hand(connection: &mut PgConnection, app: &App, found: &Break) -> Outcome<(), BreakRefusal> {
    let locked = lock_order(connection, found).await?;
    let when = When { business_day: business_day::store::hold_today(connection).await?, at: app.clock.now() };
    let posting = match locked {
        None => posting::suspense_returned(found, when),
        // A pending order may still be collected. Only if it is pending because of its amount, people say how it ends.
        Some((order, _)) if order.is_pending() && found.kind != BreakKind::AmountDiffers => {
            return Err(Fault::Refused(BreakRefusal::DoesNotFit));
        }
        Some((order, line)) => {
            let open = store::sum_open(connection, found.withholding_id).await?;
            store::save_settled(connection, found.break_id, open).await?;
            if order.is_pending() && found.kind == BreakKind::AmountDiffers {
                let answer = Answer::Failed { failure: ChannelFailure::Refused, code: "settled_by_hand".to_owned() };
                if !end_order(connection, app, &order, answer).await? {
                    return Err(Fault::Refused(BreakRefusal::NotOpen));
                }
            }
            posting::settled_by_hand(found, line.funder_id, open, when)
        }
    };
    Ok(ledger::store::insert_postings(connection, &[posting]).await?)
}

/// Ends a pending order with the answer that two people have confirmed; `false` if the channel has ended it meanwhile.
async fn end_order(
    connection: &mut PgConnection,
    app: &App,
    order: &repayment::Withholding,
    answer: Answer,
) -> anyhow::Result<bool> {
    let result = ChannelResult { withholding_id: order.withholding_id, line_id: order.line_id, answer };
    repayment::post_confirmed(connection, app, &result).await
}

/// Reverses what the order had collected, and books what the channel says that it took, if anything.
async fn reverse(connection: &mut PgConnection, app: &App, found: &Break, person: &str) -> Outcome<(), BreakRefusal> {
    let locked = lock_order(connection, found).await?;
    let (order, line) = locked.ok_or(Fault::Refused(BreakRefusal::DoesNotFit))?;
    // After the reversal the booked amount is owed again, and as much of the channel's money pays it. Any surplus would have to be paid
    // back to a card, and the cards of an erased borrower are not known any more.
    if found.theirs > order.collected() && borrower::is_erased(connection, line.borrower_id).await? {
        return Err(Fault::Refused(BreakRefusal::BorrowerErased));
    }
    let taken_back = repayment::take_back(connection, app, &order, person).await;
    taken_back.map_err(|fault| fault.map_refusal(BreakRefusal::NotReversed))?;
    if found.theirs.is_positive() && !repayment::receive_from_file(connection, app, &order, found.theirs).await? {
        return Err(Fault::Refused(BreakRefusal::BookedBefore));
    }
    // Last, because only now it is known what the channel's money leaves unpaid.
    Ok(overdue::tell_passed(connection, app, order.line_id).await?)
}

/// Opens a separate break over what people had booked beyond the order's success, once that success is reversed: it is a separate receipt,
/// and may have been paid back to the card already.
async fn open_break_over_rest(connection: &mut PgConnection, found: &Break) -> Outcome<(), BreakRefusal> {
    let rest = store::sum_open(connection, found.withholding_id).await?;
    if rest.is_positive() {
        let today = business_day::store::today(connection).await?;
        posted_store::insert_rest(connection, found, rest, today).await?;
    }
    Ok(())
}

/// Books money that the channel took and that is not booked yet.
async fn book_missing(connection: &mut PgConnection, app: &App, found: &Break) -> Outcome<(), BreakRefusal> {
    let locked = lock_order(connection, found).await?;
    let (order, line) = locked.ok_or(Fault::Refused(BreakRefusal::DoesNotFit))?;
    // The order may have ended since the break was opened: what it collected is not missing, nor is what an earlier break has booked, or
    // what was returned to the channel by hand.
    let missing = found.theirs - store::sum_accounted(connection, found).await?;
    if !missing.is_positive() {
        return Err(Fault::Refused(BreakRefusal::DoesNotFit));
    }
    // Only borrowers who owe nothing are erased, so all of it would have to be paid back to a card, which is not known any more.
    if borrower::is_erased(connection, line.borrower_id).await? {
        return Err(Fault::Refused(BreakRefusal::BorrowerErased));
    }
    let is_over_amount = found.kind == BreakKind::AmountDiffers && found.proposed == Correction::Post;
    let booked = match order.is_pending() {
        false if found.proposed == Correction::Refund => {
            repayment::give_back_from_file(connection, app, &order, missing).await?
        }
        false => repayment::receive_from_file(connection, app, &order, missing).await?,
        true if is_over_amount => end_paid(connection, app, found, &order).await?,
        // Any other pending order gets its result from the channel, not by a correction.
        true => return Err(Fault::Refused(BreakRefusal::DoesNotFit)),
    };
    if booked { Ok(()) } else { Err(Fault::Refused(BreakRefusal::BookedBefore)) }
}

/// Ends a pending order with what its channel took. Anything beyond the order's amount is booked as money that only the channel reported.
/// `false` if the order ended meanwhile, or such money was booked for it before.
async fn end_paid(
    connection: &mut PgConnection,
    app: &App,
    found: &Break,
    order: &repayment::Withholding,
) -> anyhow::Result<bool> {
    let collected = found.theirs.min(order.amount);
    let answer = Answer::Succeeded { collected, reference: found.break_id.to_string() };
    if !end_order(connection, app, order, answer).await? {
        return Ok(false);
    }
    let beyond = found.theirs - collected;
    Ok(!beyond.is_positive() || repayment::receive_from_file(connection, app, order, beyond).await?)
}
