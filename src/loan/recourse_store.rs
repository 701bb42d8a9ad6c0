//! SQL of recourse: what guarantors paid on a loan, what was recovered for them, and the journal of both.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::recourse::{BookedRecourse, CameIn, GivenUp, Recourse};
use crate::base::Fen;
use crate::base::id::{LineId, LoanId};

/// Adds what a guarantor has paid on a loan, whose line the caller has locked; negative where a claim is taken back. Returns what
/// is still to be recovered for guarantors.
pub async fn add_claim_paid(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
    amount: Fen,
) -> sqlx::Result<Fen> {
    sqlx::query_scalar!(
        r#"update loan set claim_paid_fen = claim_paid_fen + $3 where loan_id = $1 and line_id = $2
           returning claim_paid_fen - claim_recovered_fen as "left!: Fen""#,
        loan_id.uuid(),
        line_id.uuid(),
        amount.get()
    )
    .fetch_one(connection)
    .await
}

/// Records guarantors' parts of money that came in, and adds them to what is recovered on the loans. The caller has locked the
/// lines.
pub async fn insert_recourse(connection: &mut PgConnection, booked: &[BookedRecourse]) -> sqlx::Result<()> {
    if booked.is_empty() {
        return Ok(());
    }
    let line_ids: Vec<Uuid> = booked.iter().map(|one| one.line_id.uuid()).collect();
    let loan_ids: Vec<Uuid> = booked.iter().map(|one| one.recourse.loan_id.uuid()).collect();
    let amounts: Vec<i64> = booked.iter().map(|one| one.recourse.amount.get()).collect();
    sqlx::query!(
        "insert into recourse (line_id, source_id, loan_id, amount_fen, is_charged_off, business_day)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bool[], $6::date[])",
        &line_ids,
        &booked.iter().map(|one| one.came_by.source_id()).collect::<Vec<Uuid>>(),
        &loan_ids,
        &amounts,
        &booked.iter().map(|one| one.recourse.is_charged_off).collect::<Vec<bool>>(),
        &booked.iter().map(|one| one.business_day.date()).collect::<Vec<NaiveDate>>(),
    )
    .execute(&mut *connection)
    .await?;
    add_recovered(connection, &line_ids, &loan_ids, &amounts).await
}

/// Adds amounts to what is recovered on loans. A loan may be in the list more than once.
async fn add_recovered(
    connection: &mut PgConnection,
    line_ids: &[Uuid],
    loan_ids: &[Uuid],
    amounts: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update loan set claim_recovered_fen = claim_recovered_fen + came.fen
         from (select line_id, loan_id, sum(fen)::bigint as fen
               from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as one(line_id, loan_id, fen) group by 1, 2) came
         where loan.loan_id = came.loan_id and loan.line_id = came.line_id",
        line_ids,
        loan_ids,
        amounts
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The guarantors' part of one repayment or refund, loan by loan, less what was given up with claims that were taken back. `left`
/// is not known afterwards, and is zero.
pub async fn load_recourse(
    connection: &mut PgConnection,
    line_id: LineId,
    source_id: Uuid,
) -> sqlx::Result<Vec<Recourse>> {
    let rows = sqlx::query!(
        r#"select loan_id as "loan_id!: LoanId", sum(amount_fen)::bigint as "amount!: Fen", bool_and(is_charged_off) as "is_charged_off!"
           from recourse where line_id = $1 and source_id = $2 group by loan_id having sum(amount_fen) <> 0 order by loan_id"#,
        line_id.uuid(),
        source_id
    )
    .fetch_all(connection)
    .await?;
    let recourse = rows.into_iter().map(|row| Recourse {
        loan_id: row.loan_id,
        amount: row.amount,
        left: Fen::ZERO,
        is_charged_off: row.is_charged_off,
    });
    Ok(recourse.collect())
}

/// The guarantor's part of each repayment and refund on a loan, the newest first, without those taken back and less what was
/// given up with claims.
pub async fn load_came_in(
    connection: &mut PgConnection,
    line_id: LineId,
    loan_id: LoanId,
) -> sqlx::Result<Vec<CameIn>> {
    sqlx::query_as!(
        CameIn,
        r#"select g.source_id as "source_id!", sum(g.amount_fen)::bigint as "amount!: Fen", bool_and(g.is_charged_off) as "is_charged_off!"
           from recourse g
           where g.line_id = $1 and g.loan_id = $2
             and not exists (select from repayment r
                             where r.line_id = g.line_id and r.source = 'reversal'
                               and (r.repayment_id = g.source_id or r.source_reference = g.source_id::text))
           group by g.source_id having sum(g.amount_fen) > 0
           order by max(g.business_day) desc, g.source_id desc"#,
        line_id.uuid(),
        loan_id.uuid()
    )
    .fetch_all(connection)
    .await
}

/// Records that `came_in` is no longer the guarantor's, and takes it off what is recovered on the loan. The caller has locked the
/// line.
pub async fn give_up_recourse(
    connection: &mut PgConnection,
    given_up: GivenUp<'_>,
    came_in: &[CameIn],
) -> sqlx::Result<()> {
    let GivenUp { loan, claim_id, business_day } = given_up;
    let (line_id, loan_id) = (loan.line_id.uuid(), loan.loan_id.uuid());
    sqlx::query!(
        "insert into recourse (line_id, source_id, loan_id, claim_id, amount_fen, is_charged_off, business_day)
         select $1::uuid, one.source_id, $2::uuid, $3::uuid, -one.fen, one.is_charged_off, $4::date
         from unnest($5::uuid[], $6::bigint[], $7::bool[]) as one(source_id, fen, is_charged_off)",
        line_id,
        loan_id,
        claim_id.uuid(),
        business_day.date(),
        &came_in.iter().map(|one| one.source_id).collect::<Vec<Uuid>>(),
        &came_in.iter().map(|one| one.amount.get()).collect::<Vec<i64>>(),
        &came_in.iter().map(|one| one.is_charged_off).collect::<Vec<bool>>(),
    )
    .execute(&mut *connection)
    .await?;
    let amount: Fen = came_in.iter().map(|one| one.amount).sum();
    add_recovered(connection, &[line_id], &[loan_id], &[-amount.get()]).await
}
