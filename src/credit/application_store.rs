//! SQL of applications, and of the lines that they open.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::decision::{BORROWER, DEADLINE, DecidedRow};
use super::facts::Facts;
use super::line::Line;
use super::model::{Application, ApplicationStatus, Proposal, Review};
use super::verdict::OwnReason;
use crate::base::Fen;
use crate::base::id::{ApplicationId, BorrowerId, LineId, ProductId};

/// A query for whole applications; `$rest` goes on from the columns.
macro_rules! select_applications {
    ($rest:tt, $($argument:tt)*) => {
        sqlx::query_as!(
            ApplicationRow,
            r#"select a.application_id as "application_id: ApplicationId", a.borrower_id as "borrower_id: BorrowerId",
                      a.product_id as "product_id: ProductId", a.product_version, a.idempotency_key, a.request_sha256,
                      a.facts as "facts: Json<Facts>", a.status as "status: ApplicationStatus", a.referral, a.refusal, a.score,
                      a.grade, a.limit_fen as "limit: Fen", a.line_id as "line_id: LineId", a.decided_by, a.decided_at, a.proposed_by,
                      a.proposed_limit_fen as "proposed_limit: Fen", a.answer_by, a.review_asked_at, a.review_of, a.review_of_by,
                      a.review_of_at, a.asked_partner, a.created_at "# + $rest,
            $($argument)*
        )
    };
}

/// What is stored about an applicant, from which the model's `Applicant` is made.
pub struct ApplicantRow {
    pub borrower_id: BorrowerId,
    pub birth_on: NaiveDate,
    /// Hashes of the agreement texts signed, and not taken back.
    pub signed: Vec<Vec<u8>>,
    pub has_bound_card: bool,
    /// Funders with whom a line is open, or was closed and owes again because a payment on it was taken back.
    pub lines_with: Vec<Uuid>,
    pub open_applications: Vec<Uuid>,
    /// When the latest application was made that was refused for a reason of the applicant's own. While a person reviews that
    /// refusal, it still counts.
    pub refused_at: Option<DateTime<Utc>>,
}

/// Locks people in id order until the transaction ends, so that nobody is erased or takes a consent back while they apply. This
/// is a statement of its own, because a statement that had to wait for a lock reads other rows as they were before the wait.
pub async fn hold_applying(connection: &mut PgConnection, borrower_ids: &[BorrowerId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect();
    sqlx::query!("select 1 as one from borrower where borrower_id = any($1) order by borrower_id for share", &ids)
        .fetch_all(connection)
        .await?;
    Ok(())
}

/// People who may apply, whom the caller holds; those unknown or erased are missing.
pub async fn find_applicants(
    connection: &mut PgConnection,
    borrower_ids: &[BorrowerId],
) -> sqlx::Result<Vec<ApplicantRow>> {
    let ids: Vec<Uuid> = borrower_ids.iter().map(|borrower_id| borrower_id.uuid()).collect();
    sqlx::query_as!(
        ApplicantRow,
        r#"select b.borrower_id as "borrower_id: BorrowerId", b.birth_on as "birth_on!",
                  array(select c.text_sha256 from consent c
                        where c.borrower_id = b.borrower_id and c.withdrawn_at is null) as "signed!",
                  exists (select from bank_card k
                          where k.borrower_id = b.borrower_id and k.status = 'bound') as "has_bound_card!",
                  array(select l.funder_id from credit_line l
                        where l.borrower_id = b.borrower_id
                              and (l.status <> 'closed' or l.used_fen > 0
                                   or exists (select from schedule s
                                                   join loan o on o.loan_id = s.loan_id and o.line_id = s.line_id
                                              where s.line_id = l.line_id and o.status = 'open'))) as "lines_with!",
                  array(select a.product_id from application a
                        where a.borrower_id = b.borrower_id and a.status in ('submitted', 'referred', 'with_funder'))
                      as "open_applications!",
                  (select max(a.created_at) from application a
                   where a.borrower_id = b.borrower_id
                         and (a.status = 'refused' and a.refusal <> $5 and (a.refusal <> $2 or a.decided_by is distinct from $3)
                                  and (a.decided_by is distinct from $4 or a.review_asked_at is not null)
                              or a.status = 'referred' and a.review_asked_at is not null)) as refused_at
           from borrower b where b.borrower_id = any($1) and b.person_key_sealed is not null"#,
        &ids,
        OwnReason::FunderSilent.code(),
        DEADLINE,
        BORROWER,
        OwnReason::LineOpen.code()
    )
    .fetch_all(connection)
    .await
}

/// Locks a person until the transaction ends, so that no other application of theirs is made meanwhile.
pub async fn hold_applicant(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<()> {
    sqlx::query!("select 1 as one from borrower where borrower_id = $1 for no key update", borrower_id.uuid())
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Applications that were made under these keys before.
pub async fn find_by_keys(
    connection: &mut PgConnection,
    keys: &[(BorrowerId, &str)],
) -> sqlx::Result<Vec<Application>> {
    let borrowers: Vec<Uuid> = keys.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let keys: Vec<&str> = keys.iter().map(|(_, key)| *key).collect();
    let rows = select_applications!(
        "from application a
              join unnest($1::uuid[], $2::text[]) as k(borrower_id, idempotency_key) using (borrower_id, idempotency_key)",
        &borrowers,
        &keys as &[&str]
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ApplicationRow::into_application).collect()
}

/// A borrower's latest application.
pub async fn find_latest(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Option<Application>> {
    let row = select_applications!(
        "from application a where a.borrower_id = $1 order by a.created_at desc, a.application_id desc limit 1",
        borrower_id.uuid()
    )
    .fetch_optional(connection)
    .await?;
    row.map(ApplicationRow::into_application).transpose()
}

/// Stores new applications; returns how many were stored. Fewer than given means that somebody else stored the same key, or
/// another application for the product, at the same moment.
pub async fn insert_applications(connection: &mut PgConnection, applications: &[Application]) -> sqlx::Result<usize> {
    let hashes: Vec<&[u8]> = applications.iter().map(|application| application.request_sha256.as_slice()).collect();
    let facts: Vec<Json<&Facts>> = applications.iter().map(|application| Json(&application.facts)).collect();
    let inserted = sqlx::query!(
        "insert into application (borrower_id, application_id, product_id, product_version, idempotency_key,
                                  request_sha256, facts, status, created_at)
         select a.borrower_id, a.application_id, a.product_id, a.product_version, a.idempotency_key, a.request_sha256,
                a.facts, 'submitted', a.created_at
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::bytea[], $7::jsonb[],
                     $8::timestamptz[])
              as a(borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts,
                   created_at)
         on conflict do nothing",
        &applications.iter().map(|application| application.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &applications.iter().map(|application| application.application_id.uuid()).collect::<Vec<Uuid>>(),
        &applications.iter().map(|application| application.product_id.uuid()).collect::<Vec<Uuid>>(),
        &applications.iter().map(|application| application.product_version).collect::<Vec<i32>>(),
        &applications.iter().map(|application| application.idempotency_key.as_str()).collect::<Vec<&str>>()
            as &[&str],
        &hashes as &[&[u8]],
        &facts as &[Json<&Facts>],
        &applications.iter().map(|application| application.created_at).collect::<Vec<DateTime<Utc>>>(),
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() as usize)
}

/// Notes the partner that is about to be asked about applications, and returns those that are still undecided: only they are put
/// to it. They are locked in id order, as for a decision.
pub async fn note_asked(
    connection: &mut PgConnection,
    ids: &[(BorrowerId, ApplicationId)],
    partner: &str,
) -> sqlx::Result<Vec<ApplicationId>> {
    sqlx::query_scalar!(
        r#"with held as (
               select a.borrower_id, a.application_id from application a
               where (a.borrower_id, a.application_id) in (select * from unnest($1::uuid[], $2::uuid[]))
                     and a.status = 'submitted'
               order by a.application_id for update)
           update application a set asked_partner = $3
           from held h where a.borrower_id = h.borrower_id and a.application_id = h.application_id
           returning a.application_id as "application_id: ApplicationId""#,
        &ids.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &ids.iter().map(|(_, application_id)| application_id.uuid()).collect::<Vec<Uuid>>(),
        partner,
    )
    .fetch_all(connection)
    .await
}

/// Locks applications for a decision, in id order.
pub async fn lock_applications(
    connection: &mut PgConnection,
    ids: &[(BorrowerId, ApplicationId)],
) -> sqlx::Result<Vec<Application>> {
    let borrowers: Vec<Uuid> = ids.iter().map(|(borrower_id, _)| borrower_id.uuid()).collect();
    let applications: Vec<Uuid> = ids.iter().map(|(_, application_id)| application_id.uuid()).collect();
    let rows = select_applications!(
        "from application a
         where (a.borrower_id, a.application_id) in (select * from unnest($1::uuid[], $2::uuid[]))
         order by a.application_id for update",
        &borrowers,
        &applications
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ApplicationRow::into_application).collect()
}

/// Locks a borrower's applications that are not decided, in id order.
pub async fn lock_undecided(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Vec<Application>> {
    let rows = select_applications!(
        "from application a
         where a.borrower_id = $1 and a.status in ('submitted', 'referred', 'with_funder')
         order by a.application_id for update",
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ApplicationRow::into_application).collect()
}

/// Applications that a crash left undecided: submitted before `before`, oldest first.
pub async fn find_waiting(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    count_max: i64,
) -> sqlx::Result<Vec<Application>> {
    let rows = select_applications!(
        "from application a where a.status = 'submitted' and a.created_at < $1
         order by a.created_at limit $2",
        before,
        count_max
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ApplicationRow::into_application).collect()
}

/// Applications that wait for a person, oldest first.
pub async fn list_referred(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Application>> {
    let rows = select_applications!(
        "from application a where a.status = 'referred' order by a.created_at, a.application_id limit $1",
        limit
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ApplicationRow::into_application).collect()
}

/// Whose application it is.
pub async fn find_applicant_of(
    connection: &mut PgConnection,
    application_id: ApplicationId,
) -> sqlx::Result<Option<BorrowerId>> {
    sqlx::query_scalar!(
        r#"select borrower_id as "borrower_id: BorrowerId" from application where application_id = $1"#,
        application_id.uuid()
    )
    .fetch_optional(connection)
    .await
}

/// The ids of applications whose funder has not answered in time, to be locked by the caller; the longest overdue first.
pub async fn find_overdue_words(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    count_max: i64,
) -> sqlx::Result<Vec<(BorrowerId, ApplicationId)>> {
    let rows = sqlx::query!(
        r#"select borrower_id as "borrower_id: BorrowerId", application_id as "application_id: ApplicationId"
           from application where status = 'with_funder' and answer_by < $1 order by answer_by limit $2"#,
        now,
        count_max
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.borrower_id, row.application_id)).collect())
}

/// Opens lines; returns those that were opened. One is missing where its borrower got a line with the funder meanwhile, or owes
/// again on one that was closed.
pub async fn insert_lines(
    connection: &mut PgConnection,
    lines: &[Line],
    opened_at: DateTime<Utc>,
) -> sqlx::Result<Vec<LineId>> {
    sqlx::query_scalar!(
        r#"insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                    statement_day, due_day, expires_on, last_entry_no, opened_at)
           select l.line_id, l.borrower_id, l.funder_id, l.product_id, l.product_version, l.grade, 'active', l.limit_fen,
                  l.statement_day, l.due_day, l.expires_on, l.last_entry_no, $12
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::bigint[], $8::smallint[],
                       $9::smallint[], $10::date[], $11::bigint[])
                as l(line_id, borrower_id, funder_id, product_id, product_version, grade, limit_fen, statement_day, due_day,
                     expires_on, last_entry_no)
           where not exists (select from credit_line c
                             where c.borrower_id = l.borrower_id and c.funder_id = l.funder_id and c.status = 'closed'
                               and (c.used_fen > 0
                                    or exists (select from schedule s
                                                    join loan o on o.loan_id = s.loan_id and o.line_id = s.line_id
                                               where s.line_id = c.line_id and o.status = 'open')))
           on conflict do nothing returning line_id as "line_id: LineId""#,
        &lines.iter().map(|line| line.line_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.funder_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.product_id.uuid()).collect::<Vec<Uuid>>(),
        &lines.iter().map(|line| line.product_version).collect::<Vec<i32>>(),
        &lines.iter().map(|line| line.grade.as_str()).collect::<Vec<&str>>() as &[&str],
        &lines.iter().map(|line| line.limit.get()).collect::<Vec<i64>>(),
        &lines.iter().map(|line| i16::from(line.statement_day.get())).collect::<Vec<i16>>(),
        &lines.iter().map(|line| i16::from(line.due_day.get())).collect::<Vec<i16>>(),
        &lines.iter().map(|line| line.expires_on).collect::<Vec<NaiveDate>>(),
        &lines.iter().map(|line| line.last_entry_no).collect::<Vec<i64>>(),
        opened_at,
    )
    .fetch_all(connection)
    .await
}

/// Writes decisions on applications whose status is still the one that the decision was made on; returns how many were written.
pub async fn update_applications(
    connection: &mut PgConnection,
    decided: &[DecidedRow],
    at: DateTime<Utc>,
) -> sqlx::Result<usize> {
    let text = |pick: fn(&DecidedRow) -> Option<&String>| -> Vec<Option<&str>> {
        decided.iter().map(|row| pick(row).map(String::as_str)).collect()
    };
    let proposed: Vec<Option<&Proposal>> = decided.iter().map(|row| row.proposal.as_ref()).collect();
    let updated = sqlx::query!(
        "update application a
         set status = d.to_status, referral = coalesce(d.referral, a.referral), decided_by = d.decided_by,
             decision_note = d.decision_note, decided_at = case when d.decided_by is not null then $13::timestamptz end,
             refusal = d.refusal, score = coalesce(d.score, a.score), grade = d.grade, limit_fen = d.limit_fen,
             line_id = d.line_id, proposed_by = coalesce(d.proposed_by, a.proposed_by),
             proposed_limit_fen = coalesce(d.proposed_limit_fen, a.proposed_limit_fen),
             answer_by = coalesce(d.answer_by, a.answer_by),
             review_asked_at = case when d.from_status = 'refused' then $13 else a.review_asked_at end,
             review_of = case when d.from_status = 'refused' then a.refusal else a.review_of end,
             review_of_by = case when d.from_status = 'refused' then a.decided_by else a.review_of_by end,
             review_of_at = case when d.from_status = 'refused' then a.decided_at else a.review_of_at end
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::int[], $10::text[], $11::bigint[], $12::uuid[], $14::text[], $15::bigint[], $16::timestamptz[])
              as d(borrower_id, application_id, from_status, to_status, referral, decided_by, decision_note, refusal,
                   score, grade, limit_fen, line_id, proposed_by, proposed_limit_fen, answer_by)
         where a.borrower_id = d.borrower_id and a.application_id = d.application_id and a.status = d.from_status",
        &decided.iter().map(|row| row.borrower_id.uuid()).collect::<Vec<Uuid>>(),
        &decided.iter().map(|row| row.application_id.uuid()).collect::<Vec<Uuid>>(),
        &decided.iter().map(|row| row.from.name()).collect::<Vec<&str>>() as &[&str],
        &decided.iter().map(|row| row.to.name()).collect::<Vec<&str>>() as &[&str],
        &text(|row| row.referral.as_ref()) as &[Option<&str>],
        &text(|row| row.decided_by.as_ref()) as &[Option<&str>],
        &text(|row| row.decision_note.as_ref()) as &[Option<&str>],
        &text(|row| row.refusal.as_ref()) as &[Option<&str>],
        &decided.iter().map(|row| row.score).collect::<Vec<Option<i32>>>() as &[Option<i32>],
        &text(|row| row.grade.as_ref()) as &[Option<&str>],
        &decided.iter().map(|row| row.limit.map(Fen::get)).collect::<Vec<Option<i64>>>() as &[Option<i64>],
        &decided.iter().map(|row| row.line_id.map(LineId::uuid)).collect::<Vec<Option<Uuid>>>() as &[Option<Uuid>],
        at,
        &proposed.iter().map(|proposal| proposal.map(|proposal| proposal.by.as_str())).collect::<Vec<_>>()
            as &[Option<&str>],
        &proposed.iter().map(|proposal| proposal.map(|proposal| proposal.limit.get())).collect::<Vec<_>>()
            as &[Option<i64>],
        &proposed.iter().map(|proposal| proposal.map(|proposal| proposal.answer_by)).collect::<Vec<_>>()
            as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() as usize)
}

struct ApplicationRow {
    application_id: ApplicationId,
    borrower_id: BorrowerId,
    product_id: ProductId,
    product_version: i32,
    idempotency_key: String,
    request_sha256: Vec<u8>,
    facts: Json<Facts>,
    status: ApplicationStatus,
    referral: Option<String>,
    refusal: Option<String>,
    score: Option<i32>,
    grade: Option<String>,
    limit: Option<Fen>,
    line_id: Option<LineId>,
    decided_by: Option<String>,
    decided_at: Option<DateTime<Utc>>,
    proposed_by: Option<String>,
    proposed_limit: Option<Fen>,
    answer_by: Option<DateTime<Utc>>,
    review_asked_at: Option<DateTime<Utc>>,
    review_of: Option<String>,
    review_of_by: Option<String>,
    review_of_at: Option<DateTime<Utc>>,
    asked_partner: Option<String>,
    created_at: DateTime<Utc>,
}

impl ApplicationRow {
    fn into_application(self) -> sqlx::Result<Application> {
        let request_sha256 =
            self.request_sha256.try_into().map_err(|_| sqlx::Error::Decode("a SHA-256 is 32 bytes".into()))?;
        let proposal = match (self.proposed_by, self.proposed_limit, self.answer_by) {
            (Some(by), Some(limit), Some(answer_by)) => Some(Proposal { by, limit, answer_by }),
            (_, _, _) => None,
        };
        let review = match (self.review_asked_at, self.review_of, self.review_of_by, self.review_of_at) {
            (Some(asked_at), Some(of), Some(refused_by), Some(refused_at)) => {
                Some(Review { asked_at, of, refused_by, refused_at })
            }
            (_, _, _, _) => None,
        };
        Ok(Application {
            application_id: self.application_id,
            borrower_id: self.borrower_id,
            product_id: self.product_id,
            product_version: self.product_version,
            idempotency_key: self.idempotency_key,
            request_sha256,
            facts: self.facts.0,
            status: self.status,
            referral: self.referral,
            refusal: self.refusal,
            score: self.score,
            grade: self.grade,
            limit: self.limit,
            line_id: self.line_id,
            decided_by: self.decided_by,
            decided_at: self.decided_at,
            proposal,
            review,
            asked_partner: self.asked_partner,
            created_at: self.created_at,
        })
    }
}
