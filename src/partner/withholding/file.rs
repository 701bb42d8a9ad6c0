//! A channel's daily file, as a type of ours. It is used only if its lines add up to its own trailer.

use super::answer::Answer;
use crate::base::Fen;
use crate::base::id::WithholdingId;

/// A day's orders, as the channel states them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DailyFile {
    pub lines: Vec<FileLine>,
    /// The sum that was taken from cards.
    pub amount: Fen,
    /// The channel's fees, which it keeps of it.
    pub cost: Fen,
    /// The sums that the trailer states, to which the lines must add up.
    trailer: Option<Totals>,
}

/// Number of lines and sums of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Totals {
    lines: i64,
    amount_fen: i64,
    cost_fen: i64,
}

/// One order that is final for the channel, if its code is one that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLine {
    pub withholding_id: WithholdingId,
    pub channel_reference: String,
    /// What the code means: only an explicit success or failure ends an order.
    pub answer: Answer,
    /// What was taken; zero where the answer is no success.
    pub amount: Fen,
    pub cost: Fen,
}

/// Why a daily file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("line {0} of the daily file cannot be read")]
    Row(usize),
    #[error("the daily file has no trailer: it was cut off")]
    NoTrailer,
    #[error("the daily file's lines do not add up to its trailer")]
    DoesNotFoot,
    #[error(
        "the daily file says that money was taken for {0}, in a code that is no success; ask the channel which is true"
    )]
    TakenWithoutSuccess(WithholdingId),
}

impl DailyFile {
    /// Sets the trailer. If one of its fields is not a number, the file counts as without a trailer.
    pub(super) fn end(&mut self, lines: Option<i64>, amount_fen: Option<i64>, cost_fen: Option<i64>) {
        let numbers = lines.zip(amount_fen).zip(cost_fen);
        self.trailer = numbers.map(|((lines, amount_fen), cost_fen)| Totals { lines, amount_fen, cost_fen });
    }

    /// Checks the lines against the trailer, and fills in the sums.
    ///
    /// # Errors
    /// Why the file is not used.
    pub(super) fn foots(mut self) -> Result<DailyFile, FileError> {
        self.amount = sum(self.lines.iter().map(|line| line.amount))?;
        self.cost = sum(self.lines.iter().map(|line| line.cost))?;
        let lines = self.lines.len() as i64;
        let found = Totals { lines, amount_fen: self.amount.get(), cost_fen: self.cost.get() };
        match self.trailer {
            None => return Err(FileError::NoTrailer),
            Some(trailer) if trailer != found => return Err(FileError::DoesNotFoot),
            Some(_) => {}
        }
        // An amount without a success: the channel would pay it, but we book amounts of successes only.
        match self.lines.iter().find(|line| line.amount.is_positive() && !line.answer.is_success()) {
            Some(line) => Err(FileError::TakenWithoutSuccess(line.withholding_id)),
            None => Ok(self),
        }
    }
}

/// Refuses a text with a NUL, which PostgreSQL cannot store: the file is damaged.
pub(super) fn check_text(text: &str) -> Result<(), FileError> {
    match text.lines().position(|row| row.contains('\0')) {
        Some(index) => Err(FileError::Row(index + 1)),
        None => Ok(()),
    }
}

/// The sum, if it is within what an amount can be.
fn sum(mut amounts: impl Iterator<Item = Fen>) -> Result<Fen, FileError> {
    let sum = amounts.try_fold(Fen::ZERO, Fen::checked_add);
    sum.filter(|sum| *sum <= Fen::MAX).ok_or(FileError::DoesNotFoot)
}

/// A whole number that is not negative.
pub(super) fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
