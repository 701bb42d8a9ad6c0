//! Locking a reserve with its slices, and leasing slices of it to authorisers.

use sqlx::PgConnection;

use super::reserve::{Occasion, Reserve};
use super::slice::share;
use super::{slice_store, store};
use crate::base::id::FunderId;
use crate::base::{Fen, When};

/// The reserve, locked until the transaction ends, with what its slices have used booked as an entry of `when`. Locked last of
/// all, in funder order where several are needed; the business day has been held before.
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub async fn lock_reserve(connection: &mut PgConnection, funder_id: FunderId, when: When) -> sqlx::Result<Reserve> {
    let mut reserve = store::lock_row(&mut *connection, funder_id).await?;
    let slices = slice_store::lock_slices(&mut *connection, funder_id).await?;
    let used: Fen = slices.iter().map(|slice| slice.used).sum();
    if used.is_positive() {
        let source = slices.into_iter().find_map(|slice| slice.source).unwrap_or_default();
        let entry = reserve.book_use(used, Occasion { source, when });
        slice_store::take_use(&mut *connection, funder_id).await?;
        store::save_reserve(connection, &reserve, &[entry]).await?;
    }
    Ok(reserve)
}

/// Books what slices have used on the business day of `when`, which the transaction has just ended.
pub async fn book_slices(connection: &mut PgConnection, when: When) -> sqlx::Result<()> {
    for funder_id in slice_store::find_used(&mut *connection).await? {
        lock_reserve(&mut *connection, funder_id, when).await?;
    }
    Ok(())
}

/// Leases each slice its share of a reserve that the transaction has locked and saved, after a batch that held `amount`. Returns
/// the share, or `None` where too little is left to share; then, if a low-water mark is near, earlier leases end.
pub async fn lease_slices(connection: &mut PgConnection, reserve: &Reserve, amount: Fen) -> sqlx::Result<Option<Fen>> {
    let Some(share) = share(reserve, amount) else {
        if reserve.next_mark().is_positive() {
            slice_store::lease(connection, reserve.funder_id, Fen::ZERO).await?;
        }
        return Ok(None);
    };
    slice_store::lease(connection, reserve.funder_id, share).await?;
    Ok(Some(share))
}
