//! SQL of borrowers, of how they are found, and of the agreements they signed.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::agreement::Wording;
use super::card::Owes;
use super::model::SignedAgreement;
use crate::base::Fen;
use crate::base::id::{BorrowerId, ConsentId};

/// A keyed hash by which an ID number, mobile, card number or WeChat identity is found.
pub type BlindIndex = [u8; 32];

/// A person as stored, each field sealed under the person's own key, and that key under the master key.
pub struct SealedPerson {
    pub borrower_id: BorrowerId,
    pub person_key_sealed: Vec<u8>,
    pub name_sealed: Vec<u8>,
    pub id_number_sealed: Vec<u8>,
    pub mobile_sealed: Vec<u8>,
}

/// A person found by ID number.
pub struct FoundPerson {
    pub id_number_hash: Vec<u8>,
    pub person: SealedPerson,
}

/// A new person to store.
pub struct NewPerson {
    pub person: SealedPerson,
    pub birth_on: NaiveDate,
    pub region_code: String,
    pub created_at: DateTime<Utc>,
}

/// A signed agreement to store.
pub struct NewConsent {
    pub consent_id: ConsentId,
    pub borrower_id: BorrowerId,
    pub kind: &'static str,
    pub text_sha256: BlindIndex,
    pub device: String,
    pub agreed_at: DateTime<Utc>,
}

/// The people with these ID numbers; those erased are missing.
pub async fn find_by_id_numbers(
    connection: &mut PgConnection,
    hashes: &[BlindIndex],
) -> sqlx::Result<Vec<FoundPerson>> {
    let hashes: Vec<&[u8]> = hashes.iter().map(BlindIndex::as_slice).collect();
    let rows = sqlx::query!(
        r#"select i.id_number_hash, b.borrower_id as "borrower_id: BorrowerId", b.person_key_sealed as "person_key_sealed!",
                  b.name_sealed, b.id_number_sealed, b.mobile_sealed
           from borrower_by_id_number i join borrower b using (borrower_id)
           where i.id_number_hash = any($1) and b.person_key_sealed is not null"#,
        &hashes as &[&[u8]]
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| FoundPerson {
            id_number_hash: row.id_number_hash,
            person: SealedPerson {
                borrower_id: row.borrower_id,
                person_key_sealed: row.person_key_sealed,
                name_sealed: row.name_sealed,
                id_number_sealed: row.id_number_sealed,
                mobile_sealed: row.mobile_sealed,
            },
        })
        .collect())
}

/// A query for people by id, without those erased; `$locked` is the rest of the statement, which orders and locks them.
macro_rules! select_people {
    ($borrower_ids:ident, $locked:tt) => {
        sqlx::query_as!(
            SealedPerson,
            r#"select borrower_id as "borrower_id: BorrowerId", person_key_sealed as "person_key_sealed!", name_sealed,
                      id_number_sealed, mobile_sealed
               from borrower where borrower_id = any($1) and person_key_sealed is not null "#
                + $locked,
            &$borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect::<Vec<Uuid>>()
        )
    };
}

/// People by id; those erased are missing.
pub async fn find_people(
    connection: &mut PgConnection,
    borrower_ids: &[BorrowerId],
) -> sqlx::Result<Vec<SealedPerson>> {
    select_people!(borrower_ids, "").fetch_all(connection).await
}

/// As [`find_people`], share-locked in id order, so that nobody erases them before the transaction ends.
pub async fn hold_people(
    connection: &mut PgConnection,
    borrower_ids: &[BorrowerId],
) -> sqlx::Result<Vec<SealedPerson>> {
    select_people!(borrower_ids, "order by borrower_id for share").fetch_all(connection).await
}

/// As [`find_people`], locked in id order to be changed or erased; waits for share locks to end.
pub async fn lock_people(
    connection: &mut PgConnection,
    borrower_ids: &[BorrowerId],
) -> sqlx::Result<Vec<SealedPerson>> {
    select_people!(borrower_ids, "order by borrower_id for update").fetch_all(connection).await
}

/// The borrower who holds a mobile now.
pub async fn find_by_mobile(connection: &mut PgConnection, hash: &BlindIndex) -> sqlx::Result<Option<BorrowerId>> {
    sqlx::query_scalar!(
        r#"select borrower_id as "borrower_id: BorrowerId" from borrower_by_mobile where mobile_hash = $1"#,
        hash
    )
    .fetch_optional(connection)
    .await
}

/// Claims ID numbers for new people, in the given order; returns how many were still free. A concurrent claim of the same
/// number waits here.
pub async fn claim_id_numbers(
    connection: &mut PgConnection,
    claims: &[(BlindIndex, BorrowerId)],
) -> sqlx::Result<usize> {
    let hashes: Vec<&[u8]> = claims.iter().map(|(hash, _)| hash.as_slice()).collect();
    let ids: Vec<Uuid> = claims.iter().map(|(_, borrower_id)| borrower_id.uuid()).collect();
    let claimed = sqlx::query!(
        "insert into borrower_by_id_number (id_number_hash, borrower_id)
         select * from unnest($1::bytea[], $2::uuid[]) on conflict do nothing",
        &hashes as &[&[u8]],
        &ids
    )
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() as usize)
}

/// Stores new people, whose ID numbers were claimed before.
pub async fn insert_people(connection: &mut PgConnection, people: &[NewPerson]) -> sqlx::Result<()> {
    let keys: Vec<&[u8]> = people.iter().map(|new| new.person.person_key_sealed.as_slice()).collect();
    let names: Vec<&[u8]> = people.iter().map(|new| new.person.name_sealed.as_slice()).collect();
    let id_numbers: Vec<&[u8]> = people.iter().map(|new| new.person.id_number_sealed.as_slice()).collect();
    let mobiles: Vec<&[u8]> = people.iter().map(|new| new.person.mobile_sealed.as_slice()).collect();
    sqlx::query!(
        "insert into borrower (borrower_id, person_key_sealed, name_sealed, id_number_sealed, mobile_sealed, birth_on,
                               region_code, created_at)
         select * from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::date[], $7::text[],
                              $8::timestamptz[])",
        &people.iter().map(|new| new.person.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &keys as &[&[u8]],
        &names as &[&[u8]],
        &id_numbers as &[&[u8]],
        &mobiles as &[&[u8]],
        &people.iter().map(|new| new.birth_on).collect::<Vec<NaiveDate>>(),
        &people.iter().map(|new| new.region_code.as_str()).collect::<Vec<&str>>() as &[&str],
        &people.iter().map(|new| new.created_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims mobiles that nobody holds for these borrowers, in the given order; returns how many were still free. A concurrent
/// claim of the same mobile waits here.
pub async fn claim_mobiles(connection: &mut PgConnection, owners: &[(BlindIndex, BorrowerId)]) -> sqlx::Result<usize> {
    let hashes: Vec<&[u8]> = owners.iter().map(|(hash, _)| hash.as_slice()).collect();
    let ids: Vec<Uuid> = owners.iter().map(|(_, borrower_id)| borrower_id.uuid()).collect();
    let claimed = sqlx::query!(
        "insert into borrower_by_mobile (mobile_hash, borrower_id)
         select * from unnest($1::bytea[], $2::uuid[]) on conflict do nothing",
        &hashes as &[&[u8]],
        &ids
    )
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() as usize)
}

/// Gives mobiles to these borrowers, even from others who held them; no mobile may occur twice in one call.
pub async fn point_mobiles(connection: &mut PgConnection, owners: &[(BlindIndex, BorrowerId)]) -> sqlx::Result<()> {
    let hashes: Vec<&[u8]> = owners.iter().map(|(hash, _)| hash.as_slice()).collect();
    let ids: Vec<Uuid> = owners.iter().map(|(_, borrower_id)| borrower_id.uuid()).collect();
    sqlx::query!(
        "insert into borrower_by_mobile (mobile_hash, borrower_id) select * from unnest($1::bytea[], $2::uuid[])
         on conflict (mobile_hash) do update set borrower_id = excluded.borrower_id",
        &hashes as &[&[u8]],
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Frees mobiles that these borrowers no longer hold; one that was given to somebody else since stays theirs.
pub async fn release_mobiles(connection: &mut PgConnection, owners: &[(BlindIndex, BorrowerId)]) -> sqlx::Result<()> {
    let hashes: Vec<&[u8]> = owners.iter().map(|(hash, _)| hash.as_slice()).collect();
    let ids: Vec<Uuid> = owners.iter().map(|(_, borrower_id)| borrower_id.uuid()).collect();
    sqlx::query!(
        "delete from borrower_by_mobile m using unnest($1::bytea[], $2::uuid[]) as gone(mobile_hash, borrower_id)
         where m.mobile_hash = gone.mobile_hash and m.borrower_id = gone.borrower_id",
        &hashes as &[&[u8]],
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the sealed new mobiles of borrowers.
pub async fn update_mobiles(connection: &mut PgConnection, mobiles: &[(BorrowerId, Vec<u8>)]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = mobiles.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let sealed: Vec<&[u8]> = mobiles.iter().map(|(_, sealed)| sealed.as_slice()).collect();
    sqlx::query!(
        "update borrower set mobile_sealed = moved.mobile_sealed
         from unnest($1::uuid[], $2::bytea[]) as moved(borrower_id, mobile_sealed)
         where borrower.borrower_id = moved.borrower_id",
        &ids,
        &sealed as &[&[u8]]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the wording of agreements where it is not stored yet.
pub async fn keep_wordings(connection: &mut PgConnection, wordings: &[(&str, &Wording)]) -> sqlx::Result<()> {
    let hashes: Vec<&[u8]> = wordings.iter().map(|(_, wording)| wording.sha256.as_slice()).collect();
    sqlx::query!(
        "insert into consent_text (sha256, kind, version, body)
         select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) on conflict (sha256) do nothing",
        &hashes as &[&[u8]],
        &wordings.iter().map(|(kind, _)| *kind).collect::<Vec<&str>>() as &[&str],
        &wordings.iter().map(|(_, wording)| wording.version).collect::<Vec<&str>>() as &[&str],
        &wordings.iter().map(|(_, wording)| wording.body).collect::<Vec<&str>>() as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records consents, except where the borrower has given the same one before and not withdrawn it.
pub async fn insert_consents(connection: &mut PgConnection, consents: &[NewConsent]) -> sqlx::Result<()> {
    let hashes: Vec<&[u8]> = consents.iter().map(|consent| consent.text_sha256.as_slice()).collect();
    sqlx::query!(
        "insert into consent (borrower_id, consent_id, kind, text_sha256, device, agreed_at)
         select new.* from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[])
                           as new(borrower_id, consent_id, kind, text_sha256, device, agreed_at)
         where not exists (select from consent c
                           where c.borrower_id = new.borrower_id and c.text_sha256 = new.text_sha256
                             and c.withdrawn_at is null)",
        &consents.iter().map(|consent| consent.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &consents.iter().map(|consent| consent.consent_id.uuid()).collect::<Vec<Uuid>>(),
        &consents.iter().map(|consent| consent.kind).collect::<Vec<&str>>() as &[&str],
        &hashes as &[&[u8]],
        &consents.iter().map(|consent| consent.device.as_str()).collect::<Vec<&str>>() as &[&str],
        &consents.iter().map(|consent| consent.agreed_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a borrower agreed to, newest first.
pub async fn list_consents(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
) -> sqlx::Result<Vec<SignedAgreement>> {
    sqlx::query_as!(
        SignedAgreement,
        r#"select c.consent_id as "consent_id: ConsentId", c.kind, t.version, c.agreed_at, c.withdrawn_at
           from consent c join consent_text t on t.sha256 = c.text_sha256
           where c.borrower_id = $1 order by c.agreed_at desc, c.consent_id desc"#,
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// The text under one consent of a borrower.
pub async fn find_consent_text(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    consent_id: ConsentId,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select t.body from consent c join consent_text t on t.sha256 = c.text_sha256
         where c.borrower_id = $1 and c.consent_id = $2",
        borrower_id.uuid(),
        consent_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// The text of the latest consent of a kind that a borrower had given by `at`.
pub async fn find_consent_text_at(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    kind: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select t.body from consent c join consent_text t on t.sha256 = c.text_sha256
         where c.borrower_id = $1 and c.kind = $2 and c.agreed_at <= $3
         order by c.agreed_at desc, c.consent_id desc limit 1",
        borrower_id.uuid(),
        kind,
        at
    )
    .fetch_optional(connection)
    .await
}

/// The hashes of all texts that a borrower has signed and not withdrawn.
pub async fn list_consent_hashes(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!(
        "select text_sha256 from consent where borrower_id = $1 and withdrawn_at is null",
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// The kinds of agreements that a borrower has signed, in whichever text, and has withdrawn.
pub async fn list_taken_back(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select kind as "kind!" from consent where borrower_id = $1
           group by kind having bool_and(withdrawn_at is not null) order by kind"#,
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Withdraws every consent of a kind that a borrower has given and not withdrawn before.
pub async fn withdraw_consents(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
    kind: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update consent set withdrawn_at = $3 where borrower_id = $1 and kind = $2 and withdrawn_at is null",
        borrower_id.uuid(),
        kind,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks a borrower's lines and says whether anything is owed on them. Until the transaction ends, no purchase or repayment can change
/// the answer.
pub async fn hold_debts(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Owes> {
    let used = sqlx::query_scalar!(
        "select used_fen from credit_line where borrower_id = $1 order by line_id for update",
        borrower_id.uuid()
    )
    .fetch_all(&mut *connection)
    .await?;
    // All principal may be repaid while interest or penalty is still owed; the loan stays open for these. The loans of a line are found
    // through their schedules, whose key begins with the line; that of loans does not.
    let has_open_loan = sqlx::query_scalar!(
        r#"select exists (select from credit_line l join schedule s on s.line_id = l.line_id
                               join loan o on o.loan_id = s.loan_id and o.line_id = s.line_id
                          where l.borrower_id = $1 and o.status = 'open') as "open!""#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await?;
    let owes = has_open_loan || used.iter().any(|used| *used > 0);
    Ok(if owes { Owes::Something } else { Owes::Nothing })
}

/// What keeps a borrower's account from being closed, beside debts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBusiness {
    /// A line that is not closed.
    pub has_line: bool,
    /// An application that is not decided.
    pub is_applying: bool,
}

/// Whether a borrower has an open line or an undecided application.
pub async fn load_open_business(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<OpenBusiness> {
    sqlx::query_as!(
        OpenBusiness,
        r#"select exists (select from credit_line where borrower_id = $1 and status <> 'closed') as "has_line!",
                  exists (select from application where borrower_id = $1 and status in ('submitted', 'referred', 'with_funder'))
                      as "is_applying!""#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// Money on its way from a borrower's cards, or back to them, or of which people have still to settle whose it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InTransit {
    /// Being collected, with a result that is not known yet, or that the channel contradicts: until people have settled that, it may be
    /// owed again, or owed back. An order of the timetable that was not sent yet is left out: it is only sent for what is owed by then.
    pub in_flight: Fen,
    /// Owed back to the borrower and not paid yet, including payouts that the channel has denied after we booked them.
    pub owed_back: Fen,
    /// Came by transfers that somebody has proposed to take back: until that is confirmed or withdrawn, it may be owed again.
    pub in_question: Fen,
}

impl InTransit {
    /// Whether there is any such money.
    pub fn is_some(&self) -> bool {
        self.in_flight.is_positive() || self.owed_back.is_positive() || self.in_question.is_positive()
    }
}

/// Sums a borrower's money in transit, in fen.
pub async fn sum_in_transit(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<InTransit> {
    sqlx::query_as!(
        InTransit,
        r#"select (select coalesce(sum(w.amount_fen), 0)::bigint
                   from credit_line l join withholding w on w.line_id = l.line_id
                   where l.borrower_id = $1 and w.is_pending
                     and not (w.status = 'created' and w.purpose = 'due'))
                  -- The same amount is said where it is not sure which of two orders it was paid for.
                  + (select coalesce(sum(case b.our_fen - b.their_fen when 0 then b.our_fen
                                              else abs(b.our_fen - b.their_fen) end), 0)::bigint
                     from credit_line l join withholding w on w.line_id = l.line_id
                          join reconciliation_break b on b.withholding_id = w.withholding_id
                     where l.borrower_id = $1 and b.status = 'open' and not w.is_pending) as "in_flight!: Fen",
                  (select coalesce(sum(amount_fen), 0)::bigint
                    from payout
                    where kind = 'borrower' and beneficiary_id = $1
                      and (status not in ('succeeded', 'cancelled') or contradicted_attempt is not null)) as "owed_back!: Fen",
                  (select coalesce(sum(r.amount_fen), 0)::bigint
                    from credit_line l join repayment r on r.line_id = l.line_id and r.source = 'transfer'
                         join transfer_by_bank_reference t on t.repayment_id = r.repayment_id
                    where l.borrower_id = $1 and t.proposed_by is not null and t.reversal_id is null) as "in_question!: Fen""#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// Whether the borrower was erased, and can be paid or told nothing any more. Whoever erases locks the lines first, so a
/// caller that has locked one gets an answer that holds.
pub async fn is_erased(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from borrower where borrower_id = $1 and person_key_sealed is null) as "is_erased!""#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// Deletes the person's key, so that nothing sealed under it in this database can be read again, and the date of birth and
/// region, which make up most of the ID number.
pub async fn delete_person_key(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!(
        "update borrower set person_key_sealed = null, birth_on = null, region_code = null where borrower_id = $1",
        borrower_id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Frees an ID number, so that it can be registered again.
pub async fn release_id_number(connection: &mut PgConnection, hash: &BlindIndex) -> sqlx::Result<()> {
    sqlx::query!("delete from borrower_by_id_number where id_number_hash = $1", hash).execute(connection).await?;
    Ok(())
}
