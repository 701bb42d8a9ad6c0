//! SQL of the questions that the risk hook is asked about purchases.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::PurchaseRequest;
use super::weighing::{Answer, Facts, Standing};
use crate::base::Fen;
use crate::base::id::{BorrowerId, LineId};

/// What the books know of a purchase before it is decided.
pub struct FactsRow {
    pub borrower_id: BorrowerId,
    pub grade: String,
    pub limit: Fen,
    pub used: Fen,
    pub category: String,
    pub purchases_today: i64,
    pub spent_today: Fen,
    pub spent_today_at_merchant: Fen,
}

/// `None` where line or merchant are unknown. Nothing is locked: what happens on the line at the same moment is not seen. The
/// built-in rules check again when the purchase is decided.
pub async fn find_facts(connection: &mut PgConnection, request: &PurchaseRequest) -> sqlx::Result<Option<FactsRow>> {
    sqlx::query_as!(
        FactsRow,
        r#"select l.borrower_id as "borrower_id: BorrowerId", l.grade, l.limit_fen as "limit: Fen", l.used_fen as "used: Fen",
                  m.category, d.purchases_today as "purchases_today!", d.spent_today as "spent_today!: Fen",
                  d.spent_today_at_merchant as "spent_today_at_merchant!: Fen"
           from credit_line l cross join merchant m
                cross join lateral (
                    select count(*) as purchases_today, coalesce(sum(p.amount_fen), 0)::bigint as spent_today,
                           coalesce(sum(p.amount_fen) filter (where p.merchant_id = $2), 0)::bigint as spent_today_at_merchant
                    from purchase p
                    where p.line_id = $1 and p.status = 'authorised'
                          and p.business_day = (select today from business_day)) d
           where l.line_id = $1 and m.merchant_id = $2"#,
        request.line_id.uuid(),
        request.merchant_id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// A question about to be asked.
pub struct NewQuestion<'a> {
    pub question_id: Uuid,
    pub facts: &'a Facts,
    /// As [`Standing::asked_partner`].
    pub asked_partner: Option<&'a str>,
    pub asked_at: DateTime<Utc>,
}

/// A question as it is stored, answered or not.
pub struct Asked {
    pub question_id: Uuid,
    pub request_sha256: Vec<u8>,
    pub facts: Facts,
    pub standing: Standing,
}

/// Stores a question unless there is one for the purchase's key.
pub async fn insert_question(
    connection: &mut PgConnection,
    request: &PurchaseRequest,
    new: &NewQuestion<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into purchase_question (line_id, idempotency_key, question_id, request_sha256, facts, asked_partner, asked_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        request.line_id.uuid(),
        request.idempotency_key,
        new.question_id,
        &request.fingerprint(),
        Json(new.facts) as Json<&Facts>,
        new.asked_partner,
        new.asked_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The question of a purchase's key.
pub async fn find_question(connection: &mut PgConnection, request: &PurchaseRequest) -> sqlx::Result<Option<Asked>> {
    let row = sqlx::query!(
        r#"select question_id, request_sha256, facts as "facts: Json<Facts>", asked_partner, answer, reason
           from purchase_question where line_id = $1 and idempotency_key = $2"#,
        request.line_id.uuid(),
        request.idempotency_key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Asked {
        question_id: row.question_id,
        request_sha256: row.request_sha256,
        facts: row.facts.0,
        standing: standing(row.asked_partner, row.answer, row.reason),
    }))
}

fn standing(asked_partner: Option<String>, answer: Option<String>, reason: Option<String>) -> Standing {
    Standing { asked_partner, answer: answer.and_then(|answer| Answer::of(&answer, reason)) }
}

/// The key of a question.
#[derive(Clone, Copy, Debug)]
pub struct QuestionName {
    /// The line of the purchase that it is about.
    pub line_id: LineId,
    pub question_id: Uuid,
}

/// Notes the partner that is about to be asked instead, unless the question was answered.
pub async fn change_asked(
    connection: &mut PgConnection,
    named: QuestionName,
    asked_partner: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update purchase_question set asked_partner = $3 where line_id = $1 and question_id = $2 and answer is null",
        named.line_id.uuid(),
        named.question_id,
        asked_partner,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores an answer unless there is one already; [`find_standing`] tells which one counts.
pub async fn save_answer(
    connection: &mut PgConnection,
    named: QuestionName,
    answer: &Answer,
    answered_by: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update purchase_question set answer = $3, reason = $4, answered_by = $5, answered_at = $6
         where line_id = $1 and question_id = $2 and answer is null",
        named.line_id.uuid(),
        named.question_id,
        answer.name(),
        answer.reason(),
        answered_by,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How a question stands, held until the transaction ends; `None` where there is no such question.
pub async fn find_standing(connection: &mut PgConnection, named: QuestionName) -> sqlx::Result<Option<Standing>> {
    let row = sqlx::query!(
        "select asked_partner, answer, reason from purchase_question where line_id = $1 and question_id = $2 for update",
        named.line_id.uuid(),
        named.question_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| standing(row.asked_partner, row.answer, row.reason)))
}

/// Keeps the first answer that came too late, as evidence.
pub async fn note_late(
    connection: &mut PgConnection,
    named: QuestionName,
    answer: &Answer,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update purchase_question set late_answer = $3, late_reason = $4, late_at = $5
         where line_id = $1 and question_id = $2 and late_answer is null",
        named.line_id.uuid(),
        named.question_id,
        answer.name(),
        answer.reason(),
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
