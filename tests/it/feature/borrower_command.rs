//! `fenqi borrower`: operators change the mobile of an account, or close it, for an owner who cannot, under the same rules as the owner.

use fenqi::borrower::actions::{Consents, find_by_mobile, identify, register};
use fenqi::borrower::mobile_actions::{NewMobile, StatedBy, change_mobile};
use fenqi::borrower::{BorrowerRefusal, Registration};
use fenqi::demo::identity;
use fenqi::outbox::jobs::deliver_outbox;
use fenqi::sandbox::world::lock;
use sqlx::PgPool;

use super::applicant;
use super::house_command::Program;
use crate::house;
use crate::town::refused;

const WHO: [&str; 4] = ["--by", "Li Na", "--reason", "lost the telephone, asked by letter"];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_is_closed_for_an_owner_who_cannot_unless_something_is_owed(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let product = applicant::standard_product(&app).await;
    let borrower_id = applicant::ready(&app, 7).await;
    let line_id = applicant::approved(&app, borrower_id, product).await;
    let fenqi = Program::on(&pool).await;
    let (id, mobile) = (borrower_id.to_string(), identity::mobile(7).reveal().to_owned());
    let close = [&["borrower", "close", "--mobile", mobile.as_str()][..], &WHO].concat();

    sqlx::query("update credit_line set used_fen = 1").execute(&pool).await.unwrap();
    let owing = format!("money owed cannot be closed: 0.01 yuan owed; see `fenqi line show {line_id}`");
    assert!(fenqi.refused(&close).contains(&owing), "{}", fenqi.refused(&close));
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

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_is_given_another_mobile_for_an_owner_who_has_lost_the_former_one_and_the_pin(pool: PgPool) {
    let (app, world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let borrower_id = applicant::ready(&app, 7).await;
    applicant::registered(&app, 8).await;
    house::link_openid(&app, borrower_id, "o-thief").await.unwrap();
    let session = "insert into session (token_hash, kind, session_id, subject_id, device, created_at, last_seen_at, expires_at)
                   values (sha256('a token'), 'borrower', gen_random_uuid(), $1, 'test', $2, $2, $2::timestamptz + interval '1 day')";
    sqlx::query(session).bind(borrower_id.uuid()).bind(app.clock.now()).execute(&pool).await.unwrap();
    let fenqi = Program::on(&pool).await;
    let (id, former, new) = (borrower_id.to_string(), identity::mobile(7), identity::mobile(77));
    let change = |named: &[&str], to: u64| -> Vec<String> {
        let to = identity::mobile(to);
        let words = [&["borrower", "change-mobile"][..], named, &["--to", to.reveal()], &WHO].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let by_mobile = ["--mobile", former.reveal()];

    let taken = change(&by_mobile, 8);
    assert!(fenqi.refused(&as_words(&taken)).contains("another account has this mobile"));
    assert!(house::did(&pool, "mobile_changed").await.is_empty(), "what is refused leaves nothing");

    let right = change(&by_mobile, 77);
    let done = fenqi.done(&as_words(&right));
    assert!(done.starts_with(&format!("{id} signs in by 139****0077 from now on")), "{done}");
    assert!(fenqi.refused(&as_words(&right)).contains("no borrower has this mobile"));
    let again = change(&[id.as_str()], 77);
    assert!(fenqi.done(&as_words(&again)).contains("signs in by 139****0077 already"));
    assert_eq!(house::did(&pool, "mobile_changed").await, ["Li Na"], "once");
    assert_eq!(find_by_mobile(&app, &former).await.unwrap(), None);
    assert_eq!(find_by_mobile(&app, &new).await.unwrap(), Some(borrower_id));
    let left = "select (select count(*) from session) + (select count(*) from borrower_by_openid)
                       + (select count(*) from wechat_identity)";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap(), 0, "nobody stays signed in");
    let kept: Vec<(String, String)> =
        sqlx::query_as("select changed_by, reason from mobile_change").fetch_all(&pool).await.unwrap();
    assert_eq!(kept, [("person:Li Na".to_owned(), WHO[3].to_owned())]);
    assert_eq!(fenqi.done(&["verify"]), "");

    deliver_outbox(&app).await.unwrap();
    let last = |mobile: &str| lock(&world.sms).messages_to(mobile).last().map(|message| message.template.clone());
    assert_eq!(last(former.reveal()).as_deref(), Some("mobile_given_up"));
    assert_eq!(last(new.reveal()).as_deref(), Some("mobile_changed"));
    // Of somebody who is erased before it went out, nothing can be opened any more.
    change_mobile(&app, borrower_id, &stated(78)).await.unwrap();
    // Whoever is told at the former mobile, and asked for nothing, knows no other name of the account.
    let asked_on = |day| ["borrower", "former", "--mobile", new.reveal(), "--day", day];
    let found = fenqi.done(&asked_on("2026-03-02"));
    assert!(
        found.starts_with(&format!("{id} had it until 2026-03-02 ")) && found.contains("by person:Li Na"),
        "{found}"
    );
    assert!(fenqi.refused(&asked_on("2026-03-01")).contains("no account gave this mobile up on 2026-03-01"));
    house::erase(&app, borrower_id).await.unwrap();
    assert!(fenqi.refused(&asked_on("2026-03-02")).contains("no account gave this mobile up"));
    let before = lock(&world.sms).sent();
    assert_eq!(deliver_outbox(&app).await.unwrap().failed, 0);
    assert_eq!(lock(&world.sms).sent(), before);
}

fn as_words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn stated(mobile: u64) -> NewMobile {
    let [_, person, _, reason] = WHO;
    let stated_by = StatedBy::Operator { person: person.to_owned(), reason: reason.to_owned() };
    NewMobile { mobile: identity::mobile(mobile), stated_by }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_account_is_found_by_the_id_number_of_somebody_who_does_not_know_its_mobile(pool: PgPool) {
    let (app, _world) = house::open_in_world(pool.clone(), "2026-03-02").await;
    let person = applicant::registration(&app, 7);
    // A stranger knew the name and the ID number, and was here first.
    let stranger = Registration { mobile: identity::mobile(8), ..person.clone() };
    let taken = register(&app, stranger).await.unwrap();
    let elsewhere = identify(&app, person.clone(), &Consents::default()).await;
    assert_eq!(refused(elsewhere), BorrowerRefusal::RegisteredElsewhere);
    let fenqi = Program::on(&pool).await;
    let by_number = ["--id-number", person.resident_id.reveal()];
    let close = [&["borrower", "close"][..], &by_number, &WHO].concat();
    assert!(fenqi.done(&close).starts_with(&format!("the account of {taken} is closed")));
    assert!(fenqi.refused(&close).contains("no borrower is registered with this ID number"));
    let own = identify(&app, person.clone(), &Consents::default()).await.unwrap();
    // Or it is the owner's, who has forgotten which mobile it was.
    let change = [&["borrower", "change-mobile"][..], &by_number, &["--to", "13900000077"], &WHO].concat();
    assert!(fenqi.done(&change).starts_with(&format!("{own} signs in by 139****0077 from now on")));
    let wrong = [&["borrower", "close", "--id-number", "11010519491231002"][..], &WHO].concat();
    assert!(fenqi.refused(&wrong).contains("17 digits and a check character"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_two_accounts_that_are_given_one_mobile_at_the_same_moment_one_has_it(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    let (one, two) = (applicant::registered(&app, 1).await, applicant::registered(&app, 2).await);
    let new = stated(77);
    let (first, second) = tokio::join!(change_mobile(&app, one, &new), change_mobile(&app, two, &new));
    let (winner, loser, refusal) = if first.is_ok() { (one, two, second) } else { (two, one, first) };
    assert_eq!(refused(refusal), BorrowerRefusal::MobileOfAnother);
    assert_eq!(find_by_mobile(&app, &new.mobile).await.unwrap(), Some(winner));
    // Who was refused keeps the former one.
    let number = if loser == one { 1 } else { 2 };
    assert_eq!(find_by_mobile(&app, &identity::mobile(number)).await.unwrap(), Some(loser));
}
