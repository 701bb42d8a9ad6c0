//! Ranges of line ids: how work on all lines is cut into chunks.

use uuid::Uuid;

/// Lines from `from` to `to`, both included. Chunks of one step never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRange {
    pub from: Uuid,
    pub to: Uuid,
}

impl AccountRange {
    /// All lines.
    pub const ALL: AccountRange = AccountRange { from: Uuid::nil(), to: Uuid::max() };

    /// Cuts all lines into ranges at `starts`: the first id of every chunk but the first, ascending.
    pub fn cut_at(starts: &[Uuid]) -> Vec<AccountRange> {
        let mut ranges = Vec::with_capacity(starts.len() + 1);
        let mut from = Uuid::nil();
        for start in starts {
            let before = Uuid::from_u128(start.as_u128() - 1);
            ranges.push(AccountRange { from, to: before });
            from = *start;
        }
        ranges.push(AccountRange { from, to: Uuid::max() });
        ranges
    }
}
