//! SQL of partners' access: partners, their keys, our own keys, and the admission of requests.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::answer_store::Wanted;
use super::model::PartnerKind;
use crate::base::id::{FunderId, MerchantId};
use crate::partner::key::Algorithm;

/// A partner as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerRow {
    pub partner_id: Uuid,
    pub code: String,
    pub kind: PartnerKind,
    pub funder_id: Option<FunderId>,
    pub merchant_id: Option<MerchantId>,
    pub scopes: Vec<String>,
    pub addresses: Vec<String>,
    pub rate_per_minute: i32,
    pub version: i32,
    pub disabled_at: Option<DateTime<Utc>>,
}

pub async fn find_partner(connection: &mut PgConnection, code: &str) -> sqlx::Result<Option<PartnerRow>> {
    sqlx::query_as!(
        PartnerRow,
        r#"select partner_id, code, kind as "kind: PartnerKind", funder_id as "funder_id: FunderId",
                  merchant_id as "merchant_id: MerchantId", scopes, addresses, rate_per_minute, version, disabled_at
           from api_partner where code = $1"#,
        code
    )
    .fetch_optional(connection)
    .await
}

pub async fn list_partners(connection: &mut PgConnection) -> sqlx::Result<Vec<PartnerRow>> {
    sqlx::query_as!(
        PartnerRow,
        r#"select partner_id, code, kind as "kind: PartnerKind", funder_id as "funder_id: FunderId",
                  merchant_id as "merchant_id: MerchantId", scopes, addresses, rate_per_minute, version, disabled_at
           from api_partner order by code"#
    )
    .fetch_all(connection)
    .await
}

/// Writes a partner; `false` when the code is taken.
pub async fn insert_partner(
    connection: &mut PgConnection,
    partner: &PartnerRow,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into api_partner (partner_id, code, kind, funder_id, merchant_id, scopes, addresses, rate_per_minute,
                                  created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (code) do nothing",
        partner.partner_id,
        partner.code,
        partner.kind as PartnerKind,
        partner.funder_id.map(FunderId::uuid),
        partner.merchant_id.map(MerchantId::uuid),
        &partner.scopes,
        &partner.addresses,
        partner.rate_per_minute,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what may change of a partner, and increments its version.
pub async fn update_partner(connection: &mut PgConnection, partner: &PartnerRow) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_partner set scopes = $2, addresses = $3, rate_per_minute = $4, disabled_at = $5, version = version + 1
         where partner_id = $1",
        partner.partner_id,
        &partner.scopes,
        &partner.addresses,
        partner.rate_per_minute,
        partner.disabled_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A partner's public key as stored.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub partner_id: Uuid,
    pub serial_no: String,
    pub algorithm: Algorithm,
    pub public_key: Vec<u8>,
    pub holder: String,
    pub added_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

pub async fn list_keys(connection: &mut PgConnection, partner_id: Uuid) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"select partner_id, serial_no, algorithm as "algorithm: Algorithm", public_key, holder, added_at, expires_at,
                  revoked_at
           from api_key where partner_id = $1 order by added_at, serial_no"#,
        partner_id
    )
    .fetch_all(connection)
    .await
}

/// The name of a key: its partner's code and its serial number.
pub struct KeyNameRow {
    pub code: String,
    pub serial_no: String,
}

/// Every key that was not revoked, of every partner that is not switched off.
pub async fn list_key_names(connection: &mut PgConnection) -> sqlx::Result<Vec<KeyNameRow>> {
    sqlx::query_as!(
        KeyNameRow,
        "select p.code, k.serial_no from api_key k join api_partner p using (partner_id)
         where k.revoked_at is null and p.disabled_at is null"
    )
    .fetch_all(connection)
    .await
}

/// Keeps others from adding or revoking keys until the transaction ends; reading goes on.
pub async fn lock_keys(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table api_key in share row exclusive mode").execute(connection).await?;
    Ok(())
}

/// The holders of this public key at other partners, revoked or not.
pub async fn list_other_holders(
    connection: &mut PgConnection,
    partner_id: Uuid,
    public_key: &[u8],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select holder from api_key where public_key = $1 and partner_id <> $2",
        public_key,
        partner_id,
    )
    .fetch_all(connection)
    .await
}

/// Writes a key; `false` if the partner has it already, or another with that serial number, revoked or not.
pub async fn insert_key(connection: &mut PgConnection, key: &KeyRow) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with counted as (update api_partner set version = version + 1 where partner_id = $1)
         insert into api_key (partner_id, serial_no, algorithm, public_key, holder, added_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict do nothing",
        key.partner_id,
        key.serial_no,
        key.algorithm as Algorithm,
        key.public_key,
        key.holder,
        key.added_at,
        key.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Revokes a key for ever; `false` if there is none that is not revoked.
pub async fn revoke_key(
    connection: &mut PgConnection,
    partner_id: Uuid,
    serial_no: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "with counted as (update api_partner set version = version + 1 where partner_id = $1)
         update api_key set revoked_at = $3 where partner_id = $1 and serial_no = $2 and revoked_at is null",
        partner_id,
        serial_no,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One of our own keys as stored.
#[derive(Clone)]
pub struct PlatformKeyRow {
    pub serial_no: String,
    pub algorithm: Algorithm,
    pub private_key_sealed: Vec<u8>,
    pub public_key: Vec<u8>,
    pub created_at: DateTime<Utc>,
    pub retired_at: Option<DateTime<Utc>>,
}

impl PlatformKeyRow {
    /// Whether it may sign. If several of one algorithm may, the oldest signs until its end, then the next one.
    pub fn may_sign(&self, now: DateTime<Utc>) -> bool {
        self.retired_at.is_none_or(|end| now < end)
    }
}

/// Keeps others from making or changing our keys until the transaction ends; reading goes on.
pub async fn lock_platform_keys(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table platform_key in share row exclusive mode").execute(connection).await?;
    Ok(())
}

/// Our keys, the newest first.
pub async fn list_platform_keys(connection: &mut PgConnection) -> sqlx::Result<Vec<PlatformKeyRow>> {
    sqlx::query_as!(
        PlatformKeyRow,
        r#"select serial_no, algorithm as "algorithm: Algorithm", private_key_sealed, public_key, created_at, retired_at
           from platform_key order by created_at desc, serial_no desc"#
    )
    .fetch_all(connection)
    .await
}

/// Some of our keys, the newest first; those after the given key, if there is one.
pub async fn page_platform_keys(
    connection: &mut PgConnection,
    after: Option<(DateTime<Utc>, String)>,
    limit: i64,
) -> sqlx::Result<Vec<PlatformKeyRow>> {
    let (created_at, serial_no) = after.unzip();
    sqlx::query_as!(
        PlatformKeyRow,
        r#"select serial_no, algorithm as "algorithm: Algorithm", private_key_sealed, public_key, created_at, retired_at
           from platform_key where $1::timestamptz is null or (created_at, serial_no) < ($1, $2)
           order by created_at desc, serial_no desc limit $3"#,
        created_at,
        serial_no,
        limit,
    )
    .fetch_all(connection)
    .await
}

pub async fn insert_platform_key(connection: &mut PgConnection, key: &PlatformKeyRow) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into platform_key (serial_no, algorithm, private_key_sealed, public_key, created_at)
         values ($1, $2, $3, $4, $5)",
        key.serial_no,
        key.algorithm as Algorithm,
        key.private_key_sealed,
        key.public_key,
        key.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the end of our other keys of an algorithm, for those that would sign longer; returns how many.
pub async fn retire_platform_keys(
    connection: &mut PgConnection,
    algorithm: Algorithm,
    but: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update platform_key set retired_at = $3
         where algorithm = $1 and serial_no <> $2 and (retired_at is null or retired_at > $3)",
        algorithm as Algorithm,
        but,
        at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// A request to be admitted.
pub struct Asking<'a> {
    pub partner_id: Uuid,
    pub signer: &'a str,
    pub nonce: &'a str,
    /// The version of the partner by which it was authenticated.
    pub version: i32,
    /// The key that it takes once it is let in.
    pub wanted: Option<&'a Wanted>,
}

/// The database's answer to it.
pub struct Said {
    /// The request's place in the slice.
    pub place: i32,
    /// Whether the nonce was not used before.
    pub is_fresh: bool,
    /// The partner's calls in this minute, including all fresh ones of this slice; without meaning if this one is not fresh.
    pub calls: i32,
    /// The partner's present version, which shows whether the cache is outdated.
    pub version: i32,
    pub rate_per_minute: i32,
    /// Whether an earlier request had the key that it took, which may have done the work; `None` if it took no key.
    pub is_taken_over: Option<bool>,
}

/// Stores nonces, counts calls, and takes idempotency keys, for all requests in one statement. In the slice, each pair of signer and nonce
/// and each wanted key occurs once.
///
/// Keys are taken as in [`super::answer_store::claim_keys`], but only if it is certain that the request will be admitted: not if the slice
/// as a whole exceeds the partner's rate, and not if the partner has been changed since. A repeated nonce does not count against the rate.
///
/// The commit does not wait for the disk. A crash may lose the last nonces, but not that of a request that has changed something: the
/// commit of the change came later and waited for the disk, which takes everything written before with it. Idempotency keys would not stop
/// a replay instead, because headers are not signed and can be changed.
pub async fn admit_requests(
    connection: &mut PgConnection,
    asking: &[Asking<'_>],
    minute: DateTime<Utc>,
    nonces_expire_at: DateTime<Utc>,
) -> sqlx::Result<Vec<Said>> {
    let partner_ids: Vec<Uuid> = asking.iter().map(|one| one.partner_id).collect();
    let signers: Vec<&str> = asking.iter().map(|one| one.signer).collect();
    let nonces: Vec<&str> = asking.iter().map(|one| one.nonce).collect();
    let versions: Vec<i32> = asking.iter().map(|one| one.version).collect();
    let wanted = || asking.iter().map(|one| one.wanted);
    let keys: Vec<Option<&str>> = wanted().map(|wanted| Some(wanted?.keyed.key.as_str())).collect();
    let hashes: Vec<Option<&[u8]>> = wanted().map(|wanted| Some(wanted?.keyed.request_sha256.as_slice())).collect();
    let ats: Vec<Option<DateTime<Utc>>> = wanted().map(|wanted| Some(wanted?.at)).collect();
    let abandoned_before = wanted().flatten().map(|wanted| wanted.abandoned_before).min();
    sqlx::query_as!(
        Said,
        r#"with quick as (select set_config('synchronous_commit', 'off', true)),
                asked as (
                    select partner_id, signer, nonce, version, key, sha256, begun_at, (place - 1)::int as place
                    from unnest((select $1::uuid[]), $2::text[], $3::text[], $6::int[], $7::text[], $8::bytea[], $9::timestamptz[])
                         with ordinality as a(partner_id, signer, nonce, version, key, sha256, begun_at, place)),
                fresh as (
                    insert into nonce (signer, nonce, expires_at)
                    select signer, nonce, $5 from asked, quick order by signer, nonce
                    on conflict do nothing returning signer, nonce),
                counted as (
                    insert into api_rate (partner_id, minute, calls)
                    select partner_id, $4, count(*)::int from asked join fresh using (signer, nonce)
                    group by partner_id order by partner_id
                    on conflict (partner_id, minute) do update set calls = api_rate.calls + excluded.calls
                    returning partner_id, calls),
                met as (
                    select a.place, a.partner_id, a.key, a.sha256, a.begun_at, f.nonce is not null as is_fresh,
                           coalesce(c.calls, 0) as calls, p.version, p.rate_per_minute,
                           f.nonce is not null and c.calls <= p.rate_per_minute and p.version = a.version as is_let_in
                    from asked a
                    join api_partner p using (partner_id)
                    left join counted c using (partner_id)
                    left join fresh f on f.signer = a.signer and f.nonce = a.nonce),
                taken as (
                    insert into api_answer (partner_id, idempotency_key, request_sha256, started_at)
                    select partner_id, key, sha256, begun_at from met where is_let_in and key is not null
                    order by partner_id, key
                    on conflict (partner_id, idempotency_key)
                    do update set started_at = excluded.started_at, request_sha256 = excluded.request_sha256, failed_at = null
                    where api_answer.status is null
                          and (api_answer.failed_at is not null
                               or (api_answer.started_at < $10 and api_answer.request_sha256 = excluded.request_sha256))
                    returning partner_id, idempotency_key, xmax <> 0 as is_taken_over)
           select m.place as "place!", m.is_fresh as "is_fresh!", m.calls as "calls!", m.version as "version!",
                  m.rate_per_minute as "rate_per_minute!", t.is_taken_over as "is_taken_over?"
           from met m
           left join taken t on t.partner_id = m.partner_id and t.idempotency_key = m.key"#,
        &partner_ids,
        &signers as &[&str],
        &nonces as &[&str],
        minute,
        nonces_expire_at,
        &versions,
        &keys as &[Option<&str>],
        &hashes as &[Option<&[u8]>],
        &ats as &[Option<DateTime<Utc>>],
        abandoned_before,
    )
    .fetch_all(connection)
    .await
}

/// Deletes the counts of minutes before `before`.
pub async fn prune_rates(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from api_rate where minute < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}

pub async fn find_funder(connection: &mut PgConnection, code: &str) -> sqlx::Result<Option<FunderId>> {
    sqlx::query_scalar!(r#"select funder_id as "funder_id: FunderId" from funder where code = $1"#, code)
        .fetch_optional(connection)
        .await
}

/// The code of a funder.
///
/// # Errors
/// `RowNotFound` when there is no such funder.
pub async fn find_funder_code(connection: &mut PgConnection, funder_id: FunderId) -> sqlx::Result<String> {
    sqlx::query_scalar!("select code from funder where funder_id = $1", funder_id.uuid()).fetch_one(connection).await
}

pub async fn has_merchant(connection: &mut PgConnection, merchant_id: MerchantId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from merchant where merchant_id = $1) as "exists!""#,
        merchant_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// A funder or merchant that a partner may be added for.
pub struct OwnerRow {
    pub kind: PartnerKind,
    /// What `--owner` takes: a funder's code, a merchant's id.
    pub funder_code: Option<String>,
    pub merchant_id: Option<MerchantId>,
    pub name: String,
}

/// Funders, then active merchants, at most `limit` of each.
pub async fn list_owners(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<OwnerRow>> {
    sqlx::query_as!(
        OwnerRow,
        r#"(select 'funder' as "kind!: PartnerKind", code as "funder_code", null::uuid as "merchant_id: MerchantId",
                   name as "name!"
            from funder order by code limit $1)
           union all
           (select 'merchant', null, merchant_id, name from merchant where status = 'active' order by merchant_id limit $1)"#,
        limit
    )
    .fetch_all(connection)
    .await
}
