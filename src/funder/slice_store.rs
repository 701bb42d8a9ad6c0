//! SQL of the slices of reserves.

use sqlx::PgConnection;

use super::slice::Slice;
use crate::base::Fen;
use crate::base::id::FunderId;

/// The slices of a reserve that the transaction has locked, in order, locked until it ends.
pub(super) async fn lock_slices(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<Vec<Slice>> {
    sqlx::query_as!(
        Slice,
        r#"select slice_no, used_fen as "used: Fen", source from reserve_slice
           where funder_id = $1 order by slice_no for no key update"#,
        funder_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Resets the use of locked slices, which has been booked, to zero, and lowers their leases by it.
pub(super) async fn take_use(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<()> {
    sqlx::query!(
        "update reserve_slice set leased_fen = leased_fen - used_fen, used_fen = 0, source = null
         where funder_id = $1 and used_fen > 0",
        funder_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the lease of each slice of a locked reserve to `share`, whatever it was before.
pub(super) async fn lease(connection: &mut PgConnection, funder_id: FunderId, share: Fen) -> sqlx::Result<()> {
    sqlx::query!("update reserve_slice set leased_fen = $2 where funder_id = $1", funder_id.uuid(), share.get())
        .execute(connection)
        .await?;
    Ok(())
}

/// Funders with slices whose use is not booked yet, in id order.
pub(super) async fn find_used(connection: &mut PgConnection) -> sqlx::Result<Vec<FunderId>> {
    sqlx::query_scalar!(
        r#"select distinct funder_id as "funder_id: FunderId" from reserve_slice where used_fen > 0 order by 1"#
    )
    .fetch_all(connection)
    .await
}
