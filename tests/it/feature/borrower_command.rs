//! `fenqi borrower` as operators type it: an account is closed for an owner who cannot, by the owner's own rules.

use fenqi::borrower::actions::register;
use fenqi::credit::ApplicationState;
use fenqi::credit::actions::apply;
use fenqi::demo::identity;
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::house;

const WHO: [&str; 4] = ["--by", "Li Na", "--reason", "lost the telephone, asked by letter"];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_is_closed_for_an_owner_who_cannot_unless_something_is_owed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let product = applicant::standard_product(&app).await;
    let borrower_id = applicant::ready(&app, 7).await;
    let request = applicant::request(borrower_id, product, Some(applicant::steady()));
    let applied = apply(&app, request).await.unwrap();
    let ApplicationState::Approved { line_id, .. } = applied.state else { panic!("{applied:?}") };
    let fenqi = Program::on(&pool).await;
    let (id, mobile) = (borrower_id.to_string(), identity::mobile(7).reveal().to_owned());
    let close = [&["borrower", "close", "--mobile", mobile.as_str()][..], &WHO].concat();

    sqlx::query("update credit_line set used_fen = 1").execute(&pool).await.unwrap();
    assert!(fenqi.refused(&close).contains("money owed cannot be closed"));
    assert!(house::did(&pool, "person_erased").await.is_empty(), "what is refused leaves nothing");
    sqlx::query("update credit_line set used_fen = 0").execute(&pool).await.unwrap();

    assert!(fenqi.done(&close).starts_with(&format!("the account of {id} is closed")));
    let shown = fenqi.done(&["line", "show", &line_id.to_string()]);
    assert!(shown.contains("is closed") && shown.contains("person:Li Na: lost the telephone"), "{shown}");
    let left = "select count(person_key_sealed) + count(birth_on) + count(region_code) from borrower";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap(), 0);
    assert!(fenqi.refused(&close).contains("no borrower has this mobile"));
    assert_ne!(register(&app, applicant::registration(&app, 7)).await.unwrap(), borrower_id);

    // Such as of a list of accounts that were closed before a restore, of which some are closed in the dump as well.
    let again = [&["borrower", "close", id.as_str()][..], &WHO].concat();
    assert!(fenqi.done(&again).contains("was closed before"));
    assert_eq!(house::did(&pool, "person_erased").await, ["Li Na"]);
    let listed = fenqi.done(&["audit", "list", "--object", &id]);
    assert!(
        listed.contains(&format!("  person_erased  borrower {id}  by Li Na  {{\"lines\":[\"{line_id}\"]}}")),
        "{listed}"
    );
    let nobody = format!("bor_{}", "0".repeat(32));
    let unknown = [&["borrower", "close", nobody.as_str()][..], &WHO].concat();
    assert!(fenqi.refused(&unknown).contains("there is no such borrower"));
    assert_eq!(fenqi.done(&["verify"]), "");
}
