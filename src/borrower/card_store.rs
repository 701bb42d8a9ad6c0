//! SQL of bank cards and their signing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::card::{CODES_MAX, Card, CardStatus, Signing, SigningStatus};
use super::store::BlindIndex;
use crate::base::id::{BorrowerId, CardId};

/// A signing to store, with the card's sealed numbers.
pub struct NewSigning {
    pub borrower_id: BorrowerId,
    pub card_id: CardId,
    pub number_sealed: Vec<u8>,
    pub number_hash: BlindIndex,
    pub number_tail: String,
    pub mobile_sealed: Vec<u8>,
    pub challenge: String,
    pub started_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// A signing that the channel confirmed.
pub struct SignedCard {
    pub borrower_id: BorrowerId,
    pub card_id: CardId,
    pub agreement_number: String,
    pub signed_at: DateTime<Utc>,
}

/// What decides whether a borrower may bind a card.
pub struct BindingState {
    /// Whether the borrower has agreed to the current text of the withholding agreement, and not taken that back.
    pub agreed: bool,
    /// Whether a consent that is needed to tell the bank was withdrawn, and not given again.
    pub taken_back: bool,
    /// The id of this very card, if the borrower has bound it already.
    pub bound_card_id: Option<CardId>,
}

/// The state of each pair of borrower and card number, in the given order; that of an unknown borrower has `agreed: false`.
/// `consents` are the kinds of consents that may be withdrawn.
pub async fn find_binding_states(
    connection: &mut PgConnection,
    wishes: &[(BorrowerId, BlindIndex)],
    agreement_sha256: &BlindIndex,
    consents: &[&str],
) -> sqlx::Result<Vec<BindingState>> {
    let ids: Vec<Uuid> = wishes.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let hashes: Vec<&[u8]> = wishes.iter().map(|(_, hash)| hash.as_slice()).collect();
    sqlx::query_as!(
        BindingState,
        r#"select exists (select from consent c
                          where c.borrower_id = w.borrower_id and c.text_sha256 = $3 and c.withdrawn_at is null) as "agreed!",
                  exists (select c.kind from consent c where c.borrower_id = w.borrower_id and c.kind = any($4)
                          group by c.kind having bool_and(c.withdrawn_at is not null)) as "taken_back!",
                  (select k.card_id from bank_card k
                   where k.borrower_id = w.borrower_id and k.number_hash = w.number_hash
                         and k.status = 'bound') as "bound_card_id: CardId"
           from unnest($1::uuid[], $2::bytea[]) with ordinality as w(borrower_id, number_hash, place)
           order by w.place"#,
        &ids,
        &hashes as &[&[u8]],
        agreement_sha256,
        consents as &[&str]
    )
    .fetch_all(connection)
    .await
}

/// Stores signings that the channel has started.
pub async fn insert_signings(connection: &mut PgConnection, signings: &[NewSigning]) -> sqlx::Result<()> {
    let numbers: Vec<&[u8]> = signings.iter().map(|signing| signing.number_sealed.as_slice()).collect();
    let hashes: Vec<&[u8]> = signings.iter().map(|signing| signing.number_hash.as_slice()).collect();
    let mobiles: Vec<&[u8]> = signings.iter().map(|signing| signing.mobile_sealed.as_slice()).collect();
    sqlx::query!(
        "insert into card_signing (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                   challenge, status, started_at, expires_at)
         select s.borrower_id, s.card_id, s.number_sealed, s.number_hash, s.number_tail, s.mobile_sealed, s.challenge,
                'started', s.started_at, s.expires_at
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::text[],
                     $8::timestamptz[], $9::timestamptz[])
              as s(borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed, challenge, started_at,
                   expires_at)",
        &signings.iter().map(|signing| signing.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &signings.iter().map(|signing| signing.card_id.uuid()).collect::<Vec<Uuid>>(),
        &numbers as &[&[u8]],
        &hashes as &[&[u8]],
        &signings.iter().map(|signing| signing.number_tail.as_str()).collect::<Vec<&str>>() as &[&str],
        &mobiles as &[&[u8]],
        &signings.iter().map(|signing| signing.challenge.as_str()).collect::<Vec<&str>>() as &[&str],
        &signings.iter().map(|signing| signing.started_at).collect::<Vec<DateTime<Utc>>>(),
        &signings.iter().map(|signing| signing.expires_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Signings by borrower and card id; unknown ones are missing.
pub async fn find_signings(connection: &mut PgConnection, keys: &[(BorrowerId, CardId)]) -> sqlx::Result<Vec<Signing>> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = keys.iter().map(|(_, card_id)| card_id.uuid()).collect();
    sqlx::query_as!(
        Signing,
        r#"select s.card_id as "card_id: CardId", s.challenge, s.status as "status: SigningStatus"
           from card_signing s join unnest($1::uuid[], $2::uuid[]) as k(borrower_id, card_id) using (borrower_id, card_id)"#,
        &borrowers,
        &cards
    )
    .fetch_all(connection)
    .await
}

/// A signing under way, as its borrower sees it.
pub struct OpenSigning {
    pub card_id: CardId,
    pub number_tail: String,
    pub number_sealed: Vec<u8>,
    pub mobile_sealed: Vec<u8>,
    pub started_at: DateTime<Utc>,
    pub codes_tried: i16,
}

/// The latest signing of a borrower that is under way and has not expired.
pub async fn find_open_signing(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<OpenSigning>> {
    sqlx::query_as!(
        OpenSigning,
        r#"select card_id as "card_id: CardId", number_tail, number_sealed, mobile_sealed, started_at, codes_tried
           from card_signing where borrower_id = $1 and status = 'started' and expires_at > $2
           order by started_at desc, card_id desc limit 1"#,
        borrower_id.uuid(),
        now
    )
    .fetch_optional(connection)
    .await
}

/// Counts a code against each signing that may still be tried, and returns those.
pub async fn count_codes(
    connection: &mut PgConnection,
    keys: &[(BorrowerId, CardId)],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<CardId>> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = keys.iter().map(|(_, card_id)| card_id.uuid()).collect();
    sqlx::query_scalar!(
        r#"update card_signing s set codes_tried = s.codes_tried + 1
           from unnest($1::uuid[], $2::uuid[]) as k(borrower_id, card_id)
           where s.borrower_id = k.borrower_id and s.card_id = k.card_id and s.status = 'started'
                 and s.codes_tried < $3 and s.expires_at > $4
           returning s.card_id as "card_id: CardId""#,
        &borrowers,
        &cards,
        CODES_MAX,
        now
    )
    .fetch_all(connection)
    .await
}

/// Takes back the count of a code that the channel did not answer.
pub async fn uncount_codes(connection: &mut PgConnection, keys: &[(BorrowerId, CardId)]) -> sqlx::Result<()> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = keys.iter().map(|(_, card_id)| card_id.uuid()).collect();
    sqlx::query!(
        "update card_signing s set codes_tried = s.codes_tried - 1
         from unnest($1::uuid[], $2::uuid[]) as k(borrower_id, card_id)
         where s.borrower_id = k.borrower_id and s.card_id = k.card_id and s.status = 'started' and s.codes_tried > 0",
        &borrowers,
        &cards
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Turns signings into cards. A borrower's first card is the default one. A card that exists already (an invalid one, or one
/// of two signings of the same number at once) takes the new agreement and keeps its id.
pub async fn bind_signed(connection: &mut PgConnection, signed: &[SignedCard]) -> sqlx::Result<()> {
    let borrowers: Vec<Uuid> = signed.iter().map(|card| card.borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = signed.iter().map(|card| card.card_id.uuid()).collect();
    sqlx::query!(
        "insert into bank_card as bound (borrower_id, card_id, number_sealed, number_hash, number_tail, mobile_sealed,
                                         agreement_number, agreement_signed_at, status, is_default)
         select one.borrower_id, one.card_id, one.number_sealed, one.number_hash, one.number_tail, one.mobile_sealed,
                one.agreement_number, one.signed_at, 'bound',
                row_number() over (partition by one.borrower_id order by one.card_id) = 1
                and not exists (select from bank_card b where b.borrower_id = one.borrower_id and b.is_default)
         from (select distinct on (s.borrower_id, s.number_hash) s.*, k.agreement_number, k.signed_at
               from card_signing s
                    join unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[])
                         as k(borrower_id, card_id, agreement_number, signed_at) using (borrower_id, card_id)
               where s.status = 'started'
               order by s.borrower_id, s.number_hash, s.card_id) one
         on conflict (borrower_id, number_hash) where status <> 'unbound'
         do update set agreement_number = excluded.agreement_number, agreement_signed_at = excluded.agreement_signed_at,
                       mobile_sealed = excluded.mobile_sealed, number_sealed = excluded.number_sealed, status = 'bound',
                       is_default = bound.is_default or excluded.is_default",
        &borrowers,
        &cards,
        &signed.iter().map(|card| card.agreement_number.as_str()).collect::<Vec<&str>>() as &[&str],
        &signed.iter().map(|card| card.signed_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends signings that are under way, as signed or refused; returns how many there were.
pub async fn end_signings(
    connection: &mut PgConnection,
    keys: &[(BorrowerId, CardId)],
    status: SigningStatus,
) -> sqlx::Result<u64> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = keys.iter().map(|(_, card_id)| card_id.uuid()).collect();
    let ended = sqlx::query!(
        "update card_signing s set status = $3
         from unnest($1::uuid[], $2::uuid[]) as k(borrower_id, card_id)
         where s.borrower_id = k.borrower_id and s.card_id = k.card_id and s.status = 'started'",
        &borrowers,
        &cards,
        status as SigningStatus
    )
    .execute(connection)
    .await?;
    Ok(ended.rows_affected())
}

/// Ends the signings of a borrower that are under way, as refused.
pub async fn end_signings_of(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!(
        "update card_signing set status = 'refused' where borrower_id = $1 and status = 'started'",
        borrower_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes signings that were refused or came to nothing and expired before then; skips those that are locked at this moment.
/// Returns how many.
pub async fn delete_ended_signings(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "delete from card_signing where (borrower_id, card_id) in (
             select borrower_id, card_id from card_signing where status <> 'signed' and expires_at <= $1
             for update skip locked)",
        before
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// The card that each signed signing became: its own, or the older one of the same number.
pub async fn find_signed_cards(
    connection: &mut PgConnection,
    keys: &[(BorrowerId, CardId)],
) -> sqlx::Result<Vec<(CardId, CardId)>> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let cards: Vec<Uuid> = keys.iter().map(|(_, card_id)| card_id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select s.card_id as "signing: CardId", b.card_id as "card: CardId"
           from unnest($1::uuid[], $2::uuid[]) as k(borrower_id, card_id)
                join card_signing s using (borrower_id, card_id)
                join bank_card b on b.borrower_id = s.borrower_id and b.number_hash = s.number_hash
                                    and b.status <> 'unbound'
           where s.status = 'signed'"#,
        &borrowers,
        &cards
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.signing, row.card)).collect())
}

/// All cards of a borrower, locked for a change.
pub async fn lock_cards(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Card>> {
    // Read by a statement of its own: one that had to wait for the locks does not see the card that was bound meanwhile.
    lock_cards_of(connection, &[borrower_id]).await?;
    list_cards(connection, borrower_id).await
}

/// Lets nobody find a borrower by a card number again, or charge a card: the blind index of each number is overwritten with the card's
/// id, each card is unbound, and signings are deleted.
pub async fn erase_cards(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("delete from card_signing where borrower_id = $1", borrower_id.uuid())
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "update bank_card set number_hash = uuid_send(card_id), status = 'unbound', is_default = false where borrower_id = $1",
        borrower_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks all cards of some borrowers, in the same order everywhere.
pub async fn lock_cards_of(connection: &mut PgConnection, borrower_ids: &[BorrowerId]) -> sqlx::Result<()> {
    let locked = sqlx::query_scalar!(
        "select 1 as one from bank_card where borrower_id = any($1) order by borrower_id, card_id for update",
        &borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect::<Vec<Uuid>>()
    );
    locked.fetch_all(connection).await?;
    Ok(())
}

/// All cards of a borrower.
pub async fn list_cards(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Card>> {
    sqlx::query_as!(
        Card,
        r#"select card_id as "card_id: CardId", number_tail, agreement_number, status as "status: CardStatus", is_default
           from bank_card where borrower_id = $1 order by card_id"#,
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Sets a card's status; one that is not bound is not the default either.
pub async fn set_card_status(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    card_id: CardId,
    status: CardStatus,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update bank_card set status = $3, is_default = is_default and $3 = 'bound'
         where borrower_id = $1 and card_id = $2",
        borrower_id.uuid(),
        card_id.uuid(),
        status as CardStatus
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the default from every card of the borrower.
pub async fn clear_default(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("update bank_card set is_default = false where borrower_id = $1 and is_default", borrower_id.uuid())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes a bound card the default one.
pub async fn set_default(connection: &mut PgConnection, borrower_id: BorrowerId, card_id: CardId) -> sqlx::Result<()> {
    sqlx::query!(
        "update bank_card set is_default = true where borrower_id = $1 and card_id = $2 and status = 'bound'",
        borrower_id.uuid(),
        card_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}
