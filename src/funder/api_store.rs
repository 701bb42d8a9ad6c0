//! SQL of a reserve's journal as its funder sees it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::base::id::FunderId;
use crate::base::{BusinessDay, Fen};

/// One journal entry of the reserve. Holds of several purchases may be entered as one sum, at the latest at the end of the business day. A business
/// day's `clearing` is entered after the day has ended, possibly behind entries of the next day: the balances at the end of a day are the sums of
/// all entries up to that business day, as in the manifest of its files, and not always those after its last entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReserveEntryView {
    /// Number of the entry within the reserve; higher is later.
    #[schema(example = 1)]
    pub entry_no: i64,
    /// `deposit` and `refund` raise the available balance, `withdrawal` lowers it; `hold` moves it to the held balance for purchases, `release`
    /// moves it back for voided ones; `clearing` pays the held balance out to merchants.
    #[schema(example = "hold")]
    pub kind: String,
    /// Amount moved, in fen, always above 0; `kind` says in which direction.
    pub amount_fen: Fen,
    /// Available balance after the entry, in fen.
    pub available_after_fen: Fen,
    /// Held balance after the entry, in fen.
    pub held_after_fen: Fen,
    /// What caused it, by `kind`: the bank's reference (`deposit`, `withdrawal`), the first of the purchases (`hold`), the voided purchase
    /// (`release`), `clearing of` the business day (`clearing`), or the refund (`refund`).
    #[schema(example = "ICBC-20260302-7781")]
    pub source: String,
    pub business_day: BusinessDay,
    pub occurred_at: DateTime<Utc>,
}

/// What narrows a list of entries down.
#[derive(Clone, Copy, Debug)]
pub struct WantedEntries {
    pub business_day: Option<BusinessDay>,
    /// Only those with greater numbers.
    pub after: Option<i64>,
}

/// Entries of a funder's reserve, the oldest first.
pub async fn list_entries(
    connection: &mut PgConnection,
    funder_id: FunderId,
    wanted: WantedEntries,
    limit: i64,
) -> sqlx::Result<Vec<ReserveEntryView>> {
    sqlx::query_as!(
        ReserveEntryView,
        r#"select entry_no, kind, amount_fen as "amount_fen: Fen", available_after_fen as "available_after_fen: Fen",
                  held_after_fen as "held_after_fen: Fen", source, business_day as "business_day: BusinessDay", occurred_at
           from reserve_entry
           where funder_id = $1 and ($2::date is null or business_day = $2) and ($3::bigint is null or entry_no > $3)
           order by entry_no limit $4"#,
        funder_id.uuid(),
        wanted.business_day.map(BusinessDay::date),
        wanted.after,
        limit,
    )
    .fetch_all(connection)
    .await
}
