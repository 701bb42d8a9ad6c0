//! SQL of the cards that money is taken from.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::withholding::Withholding;
use crate::base::id::{BorrowerId, CardId};

/// The card that each borrower is charged on: the default, or the oldest bound one if there is no default. Borrowers without a bound
/// card are missing.
pub async fn load_cards_to_charge(
    connection: &mut PgConnection,
    borrower_ids: &[Uuid],
) -> sqlx::Result<HashMap<BorrowerId, CardId>> {
    let rows = sqlx::query!(
        r#"select distinct on (borrower_id) borrower_id as "borrower_id: BorrowerId", card_id as "card_id: CardId"
           from bank_card where borrower_id = any($1) and status = 'bound'
           order by borrower_id, is_default desc, card_id"#,
        borrower_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.borrower_id, row.card_id)).collect())
}

/// Takes out of use the cards for which a channel refused these orders for good; they are no longer the default. The borrower has to
/// see to them. A card that was bound anew after its order was sent stays: the order named the agreement before, and may be of another
/// line than the one for which the card was taken out of use first.
pub async fn mark_cards_invalid(connection: &mut PgConnection, refused: &[Withholding]) -> sqlx::Result<()> {
    sqlx::query!(
        "update bank_card set status = 'invalid', is_default = false
         from unnest($1::uuid[], $2::uuid[]) as refused(withholding_id, line_id)
              join withholding w on w.withholding_id = refused.withholding_id and w.line_id = refused.line_id
         where bank_card.borrower_id = w.borrower_id and bank_card.card_id = w.card_id
           and bank_card.status = 'bound' and bank_card.agreement_signed_at <= w.submitted_at",
        &refused.iter().map(|order| order.withholding_id.uuid()).collect::<Vec<Uuid>>(),
        &refused.iter().map(|order| order.line_id.uuid()).collect::<Vec<Uuid>>()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the oldest bound card the default for each of these borrowers that has no default.
pub async fn hand_default_on(connection: &mut PgConnection, borrower_ids: &[BorrowerId]) -> sqlx::Result<()> {
    sqlx::query!(
        "update bank_card set is_default = true
         from (select distinct on (c.borrower_id) c.borrower_id, c.card_id
               from bank_card c
               where c.borrower_id = any($1) and c.status = 'bound'
                 and not exists (select from bank_card d where d.borrower_id = c.borrower_id and d.is_default)
               order by c.borrower_id, c.card_id) as next
         where bank_card.borrower_id = next.borrower_id and bank_card.card_id = next.card_id",
        &borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect::<Vec<Uuid>>()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a card is bound to a borrower.
pub async fn is_card_bound(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    card_id: CardId,
) -> sqlx::Result<bool> {
    let card = sqlx::query_scalar!(
        "select 1 as one from bank_card where borrower_id = $1 and card_id = $2 and status = 'bound'",
        borrower_id.uuid(),
        card_id.uuid()
    );
    Ok(card.fetch_optional(connection).await?.is_some())
}
