//! The identities themselves: each can be asked, and an empty house satisfies them all.

use fenqi::verify::verify;
use sqlx::PgPool;

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_empty_house_satisfies_every_identity(pool: PgPool) {
    assert_eq!(verify(&pool).await.unwrap(), []);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_line_that_uses_what_no_loan_explains_is_found(pool: PgPool) {
    sqlx::query(
        "insert into credit_line (line_id, borrower_id, funder_id, product_id, product_version, grade, status, limit_fen,
                                  used_fen, statement_day, due_day, expires_on, opened_at)
         values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'A', 'active', 1000, 1, 1, 21,
                 '2030-01-01', now())",
    )
    .execute(&pool)
    .await
    .unwrap();
    let identities: Vec<&str> = verify(&pool).await.unwrap().iter().map(|finding| finding.identity).collect();
    assert_eq!(
        identities,
        ["what a line has used is the unpaid principal of its loans", "a line stands where its journal ends"]
    );
}
