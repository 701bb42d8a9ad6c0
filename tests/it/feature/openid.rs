//! WeChat identities and accounts: who is signed in if two are linked, or one is linked to another account, at the same moment.

use chrono::TimeDelta;
use fenqi::borrower::openid_actions;
use fenqi::page::{Language, Visit};
use sqlx::PgPool;

use super::applicant::registered;
use super::borrower::{holding_up, led_to_by};
use crate::house::{self, count};

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_two_identities_in_wechat_at_once_the_last_one_alone_signs_in(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let borrower_id = registered(&app, 1).await;
    let held_up = holding_up(&app, "wechat_identity").await;
    let (one, other, ()) = tokio::join!(
        house::link_openid(&app, borrower_id, "openid-1"),
        house::link_openid(&app, borrower_id, "openid-2"),
        async {
            house::until_as_many_wait(&app.pool, 2).await;
            held_up.commit().await.unwrap();
        }
    );
    one.unwrap();
    other.unwrap();
    let led_to = [led_to_by(&app, "openid-1").await, led_to_by(&app, "openid-2").await];
    assert_eq!(led_to.into_iter().flatten().collect::<Vec<_>>(), [borrower_id]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn nobody_signs_in_by_an_identity_that_is_being_led_on_twice(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let mut people = Vec::new();
    for number in 1..=3 {
        // One after the other, and so are their ids, in whose order they are locked.
        app.clock.set(app.clock.now() + TimeDelta::minutes(1));
        people.push(registered(&app, number).await);
    }
    let [last, former, between] = people.try_into().unwrap();
    house::link_openid(&app, former, "openid-1").await.unwrap();
    let mut held = fenqi::database::begin(&app.pool).await.unwrap();
    let lock = "select from borrower where borrower_id = $1 for update";
    sqlx::query(lock).bind(last).execute(&mut *held).await.unwrap();
    let led_on = tokio::spawn({
        let app = app.clone();
        async move { house::link_openid(&app, last, "openid-1").await }
    });
    house::until_as_many_wait(&app.pool, 1).await;
    house::link_openid(&app, between, "openid-1").await.unwrap();
    let held_up = holding_up(&app, "borrower_by_openid").await;
    held.commit().await.unwrap();
    house::until("the identity is about to be led on", async || {
        let waiting = "select count(*) from pg_locks where not granted and relation = 'borrower_by_openid'::regclass
                       and database = (select oid from pg_database where datname = current_database())";
        count(&app, waiting).await == 1
    })
    .await;
    let visit = Visit::of_nobody(&app, Language::English);
    let came = tokio::spawn({
        let app = app.clone();
        async move { openid_actions::sign_in(&app, &visit, "openid-1".to_owned()).await }
    });
    let both_wait = async || {
        assert!(!came.is_finished(), "nothing keeps whoever comes waiting");
        house::waiting(&app.pool).await == 2
    };
    house::until("whoever comes waits as well", both_wait).await;
    held_up.commit().await.unwrap();
    assert_eq!(came.await.unwrap().unwrap(), None);
    led_on.await.unwrap().unwrap();
    assert_eq!(led_to_by(&app, "openid-1").await, Some(last));
    let signed_in = sqlx::query_scalar::<_, i64>("select count(*) from session where subject_id = $1").bind(between);
    assert_eq!(signed_in.fetch_one(&app.pool).await.unwrap(), 0);
}
