//! Use cases of collection: the borrower's button, early payoff, transfers that an operator records, and money that only a channel's
//! daily file reports.

use chrono::NaiveDate;
use serde_json::json;
use sqlx::PgConnection;

use super::account::{Money, Repayment, Source};
use super::back_dated::BackDated;
use super::receipt_actions::{Batch, load_payoff_loan};
use super::store::{self, NewWithholding};
use super::transfer::days_received;
use super::transfer_store::NewTransfer;
use super::withholding::{Failure, Purpose, State, Withholding};
use super::{card_store, notices, transfer_store};
use crate::app::App;
use crate::audit::{self, Act, Action};
use crate::base::id::{CardId, LineId, LoanId, RepaymentId, WithholdingId};
use crate::base::{BusinessDay, Fen};
use crate::borrower;
use crate::database;
use crate::error::{Fault, Outcome, Refusal};
use crate::loan::payoff::PayoffQuote;
use crate::loan::{self, LoanStatus};
use crate::notice;
use crate::partner::withholding::ChannelName;

/// Why money is not collected as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepayRefusal {
    #[error("money is being collected from this line already; wait until the bank has said what became of it")]
    CollectionInProgress,
    #[error("nothing is due")]
    NothingDue,
    #[error("only {owed} yuan is due")]
    MoreThanOwed { owed: Fen },
    #[error("the amount must be more than nothing")]
    NoAmount,
    #[error("the loan is not open")]
    LoanNotOpen,
    #[error("paying off now takes {now} yuan; the amount asked for was quoted before something changed")]
    QuoteChanged { now: Fen },
    #[error("no such card is bound")]
    NoCard,
    #[error(
        "the borrower's account is closed and the card forgotten: send what is not owed back to where it came from"
    )]
    BorrowerErased,
    #[error("the key was used for another request")]
    KeyReused,
    #[error("a transfer that is recorded now was received between {first} and {last}")]
    NotReceivedThen { first: BusinessDay, last: BusinessDay },
}

impl RepayRefusal {
    /// One value of each variant, in the order of declaration.
    pub const ALL: [RepayRefusal; 10] = [
        RepayRefusal::CollectionInProgress,
        RepayRefusal::NothingDue,
        RepayRefusal::MoreThanOwed { owed: Fen::ZERO },
        RepayRefusal::NoAmount,
        RepayRefusal::LoanNotOpen,
        RepayRefusal::QuoteChanged { now: Fen::ZERO },
        RepayRefusal::NoCard,
        RepayRefusal::BorrowerErased,
        RepayRefusal::KeyReused,
        RepayRefusal::NotReceivedThen {
            first: BusinessDay::new(NaiveDate::MIN),
            last: BusinessDay::new(NaiveDate::MAX),
        },
    ];
}

impl Refusal for RepayRefusal {
    fn code(&self) -> &'static str {
        match self {
            RepayRefusal::CollectionInProgress => "collection_in_progress",
            RepayRefusal::NothingDue => "nothing_due",
            RepayRefusal::MoreThanOwed { .. } => "more_than_owed",
            RepayRefusal::NoAmount => "no_amount",
            RepayRefusal::LoanNotOpen => "loan_not_open",
            RepayRefusal::QuoteChanged { .. } => "quote_changed",
            RepayRefusal::NoCard => "no_card",
            RepayRefusal::BorrowerErased => "borrower_erased",
            RepayRefusal::KeyReused => "key_reused",
            RepayRefusal::NotReceivedThen { .. } => "not_received_then",
        }
    }
}

/// A request of the borrower's button to pay towards bills that were cut.
#[derive(Clone, Debug)]
pub struct RepayRequest {
    pub line_id: LineId,
    /// At most what is owed on bills that were cut, with today's penalty.
    pub amount: Fen,
    /// `None`: the default card, or the oldest bound one.
    pub card_id: Option<CardId>,
    pub idempotency_key: String,
}

/// A request of the borrower's button to pay off one loan early.
#[derive(Clone, Debug)]
pub struct PayoffOrder {
    pub loan_id: LoanId,
    pub line_id: LineId,
    /// The total of today's [`payoff_quote`].
    pub quoted: Fen,
    pub card_id: Option<CardId>,
    pub idempotency_key: String,
}

/// A bank transfer that reached the platform's account, as an operator records it.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub line_id: LineId,
    pub amount: Fen,
    /// Each reference is booked once, whichever line it is recorded for.
    pub bank_reference: String,
    /// The day on which the bank had the money: its value date. `None`: today.
    pub received_on: Option<BusinessDay>,
    pub operator: String,
}

/// Orders a withholding by the borrower's button, to be sent by the next run of [`super::jobs::submit_withholdings`]. Repeating the key
/// returns the same order.
pub async fn repay(app: &App, request: &RepayRequest) -> Outcome<Withholding, RepayRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let ordered = order_repayment(&mut transaction, app, request).await;
    database::end(transaction, ordered).await
}

/// As [`repay`], in the caller's transaction.
pub(super) async fn order_repayment(
    connection: &mut PgConnection,
    app: &App,
    request: &RepayRequest,
) -> Outcome<Withholding, RepayRefusal> {
    let mut batch = Batch::lock(connection, app, &[request.line_id]).await?;
    let asked = Asked {
        line_id: request.line_id,
        purpose: Purpose::Button,
        amount: request.amount,
        card_id: request.card_id,
        key: &request.idempotency_key,
    };
    if let Some(earlier) = earlier_order(connection, &asked).await? {
        return Ok(earlier);
    }
    if !request.amount.is_positive() {
        return Err(Fault::Refused(RepayRefusal::NoAmount));
    }
    make_way(connection, app, request.line_id).await?;
    batch.load(connection, app, &[request.line_id.uuid()]).await?;
    let owed = batch.account(request.line_id)?.owed_in_all(batch.today);
    if owed.is_zero() {
        return Err(Fault::Refused(RepayRefusal::NothingDue));
    }
    if request.amount > owed {
        return Err(Fault::Refused(RepayRefusal::MoreThanOwed { owed }));
    }
    order(connection, app, &batch, &asked).await
}

/// Quotes what it takes to end a loan today; the quote holds until the business day ends.
///
/// # Errors
/// `LoanNotOpen` where the loan has ended or is of another line.
pub async fn payoff_quote(app: &App, line_id: LineId, loan_id: LoanId) -> Outcome<PayoffQuote, RepayRefusal> {
    // Takes locks only to read consistent figures; nothing is written.
    let mut transaction = database::begin(&app.pool).await?;
    let mut batch = Batch::lock(&mut transaction, app, &[line_id]).await?;
    let quote = quote_locked(&mut transaction, app, &mut batch, line_id, loan_id).await?;
    transaction.rollback().await?;
    Ok(quote)
}

/// Orders the withholding that ends one loan early, for exactly what was quoted today.
pub async fn early_payoff(app: &App, request: &PayoffOrder) -> Outcome<Withholding, RepayRefusal> {
    let mut transaction = database::begin(&app.pool).await?;
    let ordered = order_payoff(&mut transaction, app, request).await;
    database::end(transaction, ordered).await
}

/// As [`early_payoff`], in the caller's transaction.
pub(super) async fn order_payoff(
    connection: &mut PgConnection,
    app: &App,
    request: &PayoffOrder,
) -> Outcome<Withholding, RepayRefusal> {
    let mut batch = Batch::lock(connection, app, &[request.line_id]).await?;
    let asked = Asked {
        line_id: request.line_id,
        purpose: Purpose::Payoff(request.loan_id),
        amount: request.quoted,
        card_id: request.card_id,
        key: &request.idempotency_key,
    };
    if let Some(earlier) = earlier_order(connection, &asked).await? {
        return Ok(earlier);
    }
    make_way(connection, app, request.line_id).await?;
    let quote = quote_locked(connection, app, &mut batch, request.line_id, request.loan_id).await?;
    if quote.total() != request.quoted {
        return Err(Fault::Refused(RepayRefusal::QuoteChanged { now: quote.total() }));
    }
    order(connection, app, &batch, &asked).await
}

/// Books a transfer that reached the platform's account; what no installment can take is paid back. It is booked today, and no penalty
/// runs on what it pays from the day on which the bank had it. A bank reference is booked only once, over all lines.
pub async fn record_transfer(app: &App, transfer: &Transfer) -> Outcome<Repayment, RepayRefusal> {
    if !transfer.amount.is_positive() {
        return Err(Fault::Refused(RepayRefusal::NoAmount));
    }
    let mut transaction = database::begin(&app.pool).await?;
    let line_id = transfer.line_id;
    let mut batch = Batch::lock(&mut transaction, app, &[line_id]).await?;
    let value_on = value_date(&mut transaction, transfer, batch.today).await?;
    let repayment_id = RepaymentId::mint(batch.now);
    let new = NewTransfer {
        bank_reference: &transfer.bank_reference,
        line_id,
        repayment_id,
        recorded_by: &transfer.operator,
        received_on: transfer.received_on,
    };
    if !transfer_store::claim_bank_reference(&mut transaction, &new).await? {
        return Err(Fault::Refused(RepayRefusal::KeyReused));
    }
    make_way(&mut transaction, app, line_id).await?;
    batch.load(&mut transaction, app, &[line_id.uuid()]).await?;
    let source =
        Source::Transfer { bank_reference: transfer.bank_reference.clone(), operator: transfer.operator.clone() };
    if value_on < batch.today {
        let back_dated = BackDated { line_id, value_on, source: source.clone() };
        batch.load_since(&mut transaction, app, &[back_dated]).await?;
    }
    let (amount, today, at) = (transfer.amount, batch.today, batch.now);
    let money = Money { repayment_id, source, amount, value_on, today, at };
    let borrower_id = batch.account(line_id)?.line.borrower_id;
    let card_id = card_store::load_cards_to_charge(&mut transaction, &[borrower_id.uuid()]).await?.remove(&borrower_id);
    let repayment = batch.receive(line_id, money, card_id)?;
    if repayment.excess.is_positive() && borrower::is_erased(&mut transaction, borrower_id).await? {
        return database::end(transaction, Err(Fault::Refused(RepayRefusal::BorrowerErased))).await;
    }
    batch.save(&mut transaction).await?;
    notice::raise(&mut transaction, &[notices::transfer_received(borrower_id, &repayment)]).await?;
    let detail = json!({ "line_id": line_id, "amount_fen": transfer.amount, "value_on": value_on });
    audit::record(&mut transaction, app, Act::new(Action::TransferRecorded, repayment_id, detail)).await?;
    transaction.commit().await?;
    Ok(repayment)
}

/// The day that a transfer counts from.
async fn value_date(
    connection: &mut PgConnection,
    transfer: &Transfer,
    today: BusinessDay,
) -> Outcome<BusinessDay, RepayRefusal> {
    let Some(received_on) = transfer.received_on else { return Ok(today) };
    let days = days_received(transfer_store::find_opened_on(connection, transfer.line_id).await?, today);
    if days.contains(&received_on) {
        Ok(received_on)
    } else {
        Err(Fault::Refused(RepayRefusal::NotReceivedThen { first: *days.start(), last: *days.end() }))
    }
}

/// Books money that only a channel's daily file reported, in the caller's transaction. It pays what is still owed; the rest is paid
/// back, with penalty that was paid only because the money was reported late. Money that was to pay off a loan which has ended since is
/// paid back whole. `false` if it was booked before.
pub async fn receive_from_file(
    connection: &mut PgConnection,
    app: &App,
    order: &Withholding,
    amount: Fen,
) -> anyhow::Result<bool> {
    book_from_file(connection, app, order, FromFile::PaysWhatIsOwed(amount)).await
}

/// As [`receive_from_file`], but all of the money is paid back to the order's card, whatever is owed.
pub async fn give_back_from_file(
    connection: &mut PgConnection,
    app: &App,
    order: &Withholding,
    amount: Fen,
) -> anyhow::Result<bool> {
    book_from_file(connection, app, order, FromFile::GoesBack(amount)).await
}

/// What to do with money that only a channel's daily file reported.
#[derive(Clone, Copy)]
enum FromFile {
    PaysWhatIsOwed(Fen),
    GoesBack(Fen),
}

async fn book_from_file(
    connection: &mut PgConnection,
    app: &App,
    order: &Withholding,
    found: FromFile,
) -> anyhow::Result<bool> {
    let (FromFile::PaysWhatIsOwed(amount) | FromFile::GoesBack(amount)) = found;
    let line_id = order.line_id;
    let mut batch = Batch::lock(connection, app, &[line_id]).await?;
    let source = Source::ChannelFile(order.withholding_id);
    if store::has_repayment(connection, line_id, &source).await? {
        return Ok(false);
    }
    batch.load(connection, app, &[line_id.uuid()]).await?;
    batch.load_since(connection, app, &[BackDated::of_order(order)]).await?;
    let money = Money {
        repayment_id: RepaymentId::mint(batch.now),
        source,
        amount,
        value_on: order.business_day,
        today: batch.today,
        at: batch.now,
    };
    let goes_back = match found {
        FromFile::PaysWhatIsOwed(_) => is_for_ended_loan(connection, order.purpose).await?,
        FromFile::GoesBack(_) => true,
    };
    if goes_back {
        batch.give_back(line_id, money, Some(order.card_id))?;
    } else {
        batch.receive(line_id, money, Some(order.card_id))?;
        // Until now the borrower was told at most that the order had failed.
        notice::raise(connection, &[notices::withheld(order, amount, batch.when())]).await?;
    }
    batch.save(connection).await?;
    Ok(true)
}

/// Whether the money was to pay off a loan that has ended. It then pays no other loan, just as when the channel reports it in time.
async fn is_for_ended_loan(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<bool> {
    let Purpose::Payoff(loan_id) = purpose else { return Ok(false) };
    let loans = loan::load_loans(connection, &[loan_id]).await?;
    Ok(loans.iter().any(|loan| loan.status != LoanStatus::Open))
}

/// What is asked for under an idempotency key.
struct Asked<'a> {
    line_id: LineId,
    purpose: Purpose,
    amount: Fen,
    /// `None`: the default card, or the oldest bound one.
    card_id: Option<CardId>,
    key: &'a str,
}

impl Asked<'_> {
    fn is_for(&self, order: &Withholding) -> bool {
        order.purpose == self.purpose
            && order.amount == self.amount
            && self.card_id.is_none_or(|card_id| order.card_id == card_id)
    }
}

/// The order that was made under this key before; `None` if there is none.
///
/// # Errors
/// `KeyReused` if something else was asked for under the key.
async fn earlier_order(connection: &mut PgConnection, asked: &Asked<'_>) -> Outcome<Option<Withholding>, RepayRefusal> {
    match store::find_by_key(connection, asked.line_id, asked.key).await? {
        Some(earlier) if asked.is_for(&earlier) => Ok(Some(earlier)),
        Some(_) => Err(Fault::Refused(RepayRefusal::KeyReused)),
        None => Ok(None),
    }
}

/// Ends a pending order of the timetable that was not sent yet, so that another order can be made for the line.
///
/// # Errors
/// `CollectionInProgress` if anything else is pending on the line.
async fn make_way(connection: &mut PgConnection, app: &App, line_id: LineId) -> Outcome<(), RepayRefusal> {
    let Some(pending) = store::find_pending(connection, line_id).await? else { return Ok(()) };
    if pending.state == State::Created && pending.purpose == Purpose::Due {
        let ids = [pending.withholding_id.uuid()];
        let ended = store::end_created(connection, &ids, Failure::Superseded, app.clock.now()).await?;
        // It is not ended if it was sent just now.
        if ended == 1 {
            return Ok(());
        }
    }
    Err(Fault::Refused(RepayRefusal::CollectionInProgress))
}

async fn quote_locked(
    connection: &mut PgConnection,
    app: &App,
    batch: &mut Batch,
    line_id: LineId,
    loan_id: LoanId,
) -> Outcome<PayoffQuote, RepayRefusal> {
    let mut payoff = load_payoff_loan(connection, loan_id).await?;
    if payoff.loan.line_id != line_id || payoff.loan.status != LoanStatus::Open {
        return Err(Fault::Refused(RepayRefusal::LoanNotOpen));
    }
    batch.load(connection, app, &[line_id.uuid()]).await?;
    let product = app.catalogue.get(connection, payoff.loan.product_id, payoff.loan.product_version).await?;
    let account = batch.account(line_id)?;
    payoff.catch_up(account);
    Ok(payoff.quote_on(account, &product, batch.today))
}

/// Makes the order that is asked for; the next run sends it.
async fn order(
    connection: &mut PgConnection,
    app: &App,
    batch: &Batch,
    asked: &Asked<'_>,
) -> Outcome<Withholding, RepayRefusal> {
    let line_id = asked.line_id;
    let borrower_id = batch.account(line_id)?.line.borrower_id;
    let card_id = match asked.card_id {
        Some(card_id) if card_store::is_card_bound(connection, borrower_id, card_id).await? => Some(card_id),
        Some(_) => None,
        None => card_store::load_cards_to_charge(connection, &[borrower_id.uuid()]).await?.remove(&borrower_id),
    };
    let Some(card_id) = card_id else { return Err(Fault::Refused(RepayRefusal::NoCard)) };
    let order = Withholding {
        withholding_id: WithholdingId::mint(batch.now),
        line_id,
        borrower_id,
        purpose: asked.purpose,
        card_id,
        channel: ChannelName::FIRST,
        amount: asked.amount,
        partial_allowed: false,
        attempt_no: 1,
        state: State::Created,
        business_day: batch.today,
    };
    let new = [NewWithholding {
        order: order.clone(),
        idempotency_key: asked.key.to_owned(),
        created_at: batch.now,
        submit_at: batch.now,
    }];
    if store::insert_withholdings(connection, &new).await? == 1 {
        return Ok(order);
    }
    // The timetable does not lock lines, so it may have made an order since `make_way` looked. Try once more; if yet another order
    // comes, collection is in progress.
    make_way(connection, app, line_id).await?;
    match store::insert_withholdings(connection, &new).await? {
        0 => Err(Fault::Refused(RepayRefusal::CollectionInProgress)),
        _ => Ok(order),
    }
}
