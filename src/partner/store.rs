//! SQL of the interface log (calls to and from partners) and of nonces.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::call_record::CallRecord;
use super::mentions::object_name;
use super::{funder_core, risk};
use crate::base::id::MerchantId;
use crate::merchant::notification::merchant_of;

/// Writes calls in one statement, without waiting for the disk. A crash of the database may lose the calls of the last moments, just as a
/// crash of the node loses those that were not written yet.
pub async fn insert_calls(connection: &mut PgConnection, calls: &[CallRecord]) -> sqlx::Result<()> {
    let partner: Vec<&str> = calls.iter().map(|call| call.partner.as_str()).collect();
    let direction: Vec<&str> = calls.iter().map(|call| call.direction).collect();
    let operation: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    let call_key: Vec<&str> = calls.iter().map(|call| call.call_key.as_str()).collect();
    let request_sha256: Vec<&[u8]> = calls.iter().map(|call| call.request_sha256.as_slice()).collect();
    let outcome: Vec<&str> = calls.iter().map(|call| call.outcome).collect();
    let http_status: Vec<Option<i16>> = calls.iter().map(|call| call.http_status).collect();
    let duration_micros: Vec<i64> = calls.iter().map(|call| call.duration_micros).collect();
    let request_masked: Vec<&str> = calls.iter().map(|call| call.request_masked.as_str()).collect();
    let response_masked: Vec<&str> = calls.iter().map(|call| call.response_masked.as_str()).collect();
    let called_at: Vec<DateTime<Utc>> = calls.iter().map(|call| call.called_at).collect();
    // Joined to texts, because the inner arrays of a two-dimensional array must have equal lengths. No name or code has a line break.
    let objects: Vec<String> = calls.iter().map(|call| call.objects.join("\n")).collect();
    let codes: Vec<String> = calls.iter().map(|call| call.codes.join("\n")).collect();
    sqlx::query!(
        r"insert into partner_call (partner, direction, operation, call_key, request_sha256, outcome, http_status,
                                    duration_micros, request_masked, response_masked, called_at, objects, codes)
          select partner, direction, operation, call_key, request_sha256, outcome, http_status, duration_micros,
                 request_masked, response_masked, called_at, string_to_array(objects, e'\n'), string_to_array(codes, e'\n')
          from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::smallint[],
                      $8::bigint[], $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::text[])
               as call(partner, direction, operation, call_key, request_sha256, outcome, http_status, duration_micros,
                       request_masked, response_masked, called_at, objects, codes),
               (select set_config('synchronous_commit', 'off', true)) as quick",
        &partner as &[&str],
        &direction as &[&str],
        &operation as &[&str],
        &call_key as &[&str],
        &request_sha256 as &[&[u8]],
        &outcome as &[&str],
        &http_status as &[Option<i16>],
        &duration_micros,
        &request_masked as &[&str],
        &response_masked as &[&str],
        &called_at,
        &objects,
        &codes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// When the newest call within a time began, of the last few that were recorded.
pub async fn last_call_within(
    connection: &mut PgConnection,
    during: Range<DateTime<Utc>>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select max(called_at) from (select called_at from partner_call order by call_no desc limit 1000) as newest
         where called_at >= $1 and called_at < $2",
        during.start,
        during.end,
    )
    .fetch_one(connection)
    .await
}

/// A search in the interface log; a criterion that is `None` matches every call.
#[derive(Clone, Debug, Default)]
pub struct CallSearch {
    /// Any of the partner's names; calls under all of its names are found.
    pub partner: Option<String>,
    /// The object or message that a call was about.
    pub key: Option<String>,
    /// How it ended: an outcome such as `unknown`, a status such as `409`, or a code of the answer.
    pub code: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// The configured code of the risk partner that we ask. Our calls to it are recorded under its role only.
    pub risk_code: Option<String>,
    /// Only calls with lower numbers, for the next page.
    pub before_no: Option<i64>,
    pub limit: i64,
}

/// The codes of nearly all calls. The index of codes leaves out calls that have only these, so a search for another code can use it.
const PLAIN_CODES: [&str; 3] = ["ok", "200", "201"];

/// A call as the interface log has it.
#[derive(Debug, serde::Serialize)]
pub struct FoundCall {
    pub call_no: i64,
    pub partner: String,
    pub direction: String,
    pub operation: String,
    pub call_key: String,
    pub outcome: String,
    pub http_status: Option<i16>,
    pub duration_micros: i64,
    /// Of the masked request, whole, in hexadecimal digits: calls with the same one asked for the same.
    pub request_sha256: String,
    pub request_masked: String,
    pub response_masked: String,
    pub called_at: DateTime<Utc>,
    /// The outcome, the status, and each code of the answer.
    pub codes: Vec<String>,
}

/// Calls in and out, the newest first.
pub async fn search_calls(connection: &mut PgConnection, search: &CallSearch) -> sqlx::Result<Vec<FoundCall>> {
    let partners = match &search.partner {
        Some(name) => find_names(connection, name, search.risk_code.as_deref()).await?,
        None => Vec::new(),
    };
    sqlx::query_as!(
        FoundCall,
        r#"select call_no, partner, direction, operation, call_key, outcome, http_status, duration_micros,
                  encode(request_sha256, 'hex') as "request_sha256!", request_masked, response_masked, called_at, codes
           from partner_call
           where (cardinality($1::text[]) = 0 or partner = any($1)) and ($2::text is null or objects @> array[$2])
                 and ($3::text is null or codes @> array[$3])
                 and (not $8::bool or not (codes <@ array['ok', '200', '201']))
                 and ($4::timestamptz is null or called_at >= $4) and ($5::timestamptz is null or called_at < $5)
                 and ($6::bigint is null or call_no < $6)
           order by call_no desc limit $7"#,
        &partners,
        // A text that cannot be a name becomes empty, which matches no call.
        search.key.as_deref().map(|key| object_name(key).unwrap_or_default()),
        search.code,
        search.from,
        search.until,
        search.before_no,
        search.limit,
        search.code.as_deref().is_some_and(|code| !PLAIN_CODES.contains(&code)),
    )
    .fetch_all(connection)
    .await
}

/// All names under which the log has calls of the partner called `name`.
///
/// Calls to us are recorded under the code of the calling system, of which an owner may have several. Calls of ours are recorded under a
/// funder's code (in a trial house, the one core that plays all funders), a merchant's id, or the role `risk`. Risk partners have no owner:
/// each has the calls of its own system, and ours belong to the configured one, or to the only one. The role has the calls of all.
async fn find_names(connection: &mut PgConnection, name: &str, risk_code: Option<&str>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"with owner as (
               select kind, funder_id, merchant_id from api_partner where code = $1 and kind <> 'risk'
               union select 'funder', funder_id, null from funder where code = $1
               union select 'merchant', null, $2::uuid where $2::uuid is not null)
           select $1::text as "name!"
           union select p.code from api_partner p
                 join owner o on p.kind = o.kind and p.funder_id is not distinct from o.funder_id
                                 and p.merchant_id is not distinct from o.merchant_id
           union select f.code from owner join funder f using (funder_id)
           union select $4::text from owner where kind = 'funder'
           union select 'merchant:mer_' || replace(merchant_id::text, '-', '') from owner where kind = 'merchant'
           union select code from api_partner where kind = 'risk' and $1 = $3::text
           union select $3::text from api_partner p
                 where p.kind = 'risk' and p.code = $1
                       and p.code = coalesce($5::text, (select min(code) from api_partner
                                                        where kind = 'risk' having count(*) = 1))"#,
        name,
        merchant_of(name).or_else(|| name.parse().ok()).map(MerchantId::uuid),
        risk::NAME,
        funder_core::NAME,
        risk_code,
    )
    .fetch_all(connection)
    .await
}

/// The lowest number, from `from_no` on, of a call that is not dated after `now`.
pub async fn first_call_no(
    connection: &mut PgConnection,
    from_no: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select min(call_no) from partner_call where call_no >= $1 and called_at <= $2", from_no, now)
        .fetch_one(connection)
        .await
}

/// Deletes calls made before `before` that have one of the numbers; returns how many. By number, because numbers nearly ascend with time
/// and are found at once. Rows are not found at once by age, since new rows are written into the space of deleted ones.
pub async fn prune_calls(
    connection: &mut PgConnection,
    numbers: Range<i64>,
    before: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from partner_call where call_no >= $1 and call_no < $2 and called_at < $3",
        numbers.start,
        numbers.end,
        before
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Stores a nonce; `false` if that signer used it before. The commit does not wait for the disk: a crash may lose the last nonces, but not
/// that of a callback that was booked, because that commit came later and waited for the disk, which takes everything before with it.
pub async fn remember_nonce(
    connection: &mut PgConnection,
    signer: &str,
    nonce: &str,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into nonce (signer, nonce, expires_at)
         select $1, $2, $3 from (select set_config('synchronous_commit', 'off', true)) as quick
         on conflict do nothing",
        signer,
        nonce,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes nonces whose signatures are too old to be accepted anyway; returns how many.
pub async fn prune_nonces(connection: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from nonce where expires_at < $1", before).execute(connection).await?;
    Ok(done.rows_affected())
}
