//! What is booked on each account of each funder, summed once for all identities that compare it, because postings are the largest
//! table.

use sqlx::PgConnection;
use uuid::Uuid;

/// Debits less credits by funder and account, in parallel lists.
#[derive(Debug, Default)]
pub struct Booked {
    pub funder_ids: Vec<Uuid>,
    pub accounts: Vec<i16>,
    pub fen: Vec<i64>,
}

/// Sums all postings.
///
/// # Errors
/// Failures of the database.
pub async fn sum_booked(connection: &mut PgConnection) -> sqlx::Result<Booked> {
    let rows = sqlx::query!(
        r#"select moved.funder_id as "funder_id!", side.account as "account!", coalesce(sum(side.fen), 0)::bigint as "fen!"
           from (select p.funder_id, leg.debit, leg.credit, sum(leg.amount_fen) as fen
                 from posting p cross join lateral unnest(p.debit, p.credit, p.amount_fen) as leg(debit, credit, amount_fen)
                 group by p.funder_id, leg.debit, leg.credit) moved
           cross join lateral (values (moved.debit, moved.fen), (moved.credit, -moved.fen)) as side(account, fen)
           where side.account is not null
           group by moved.funder_id, side.account"#
    )
    .fetch_all(connection)
    .await?;
    let mut booked = Booked::default();
    for row in rows {
        booked.funder_ids.push(row.funder_id);
        booked.accounts.push(row.account);
        booked.fen.push(row.fen);
    }
    Ok(booked)
}
