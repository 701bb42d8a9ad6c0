//! Transactions survive a slow or broken connection: a caller that gives up before the server answers leaves nothing behind, one that
//! was answered holds no locks, and a database machine that disappears is noticed.

use std::time::Duration;

use fenqi::database;
use fenqi::database::machine;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

use crate::wire::Wire;
use crate::{house, wire};

/// A pool of one connection whose answers wait while `held` is true.
async fn behind_a_wire(pool: &PgPool) -> (PgPool, watch::Sender<bool>) {
    let socket = wire::socket_of(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (hold, held) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = UnixStream::connect(&socket).await.unwrap();
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let mut held = held.clone();
            tokio::spawn(async move { tokio::io::copy(&mut near_read, &mut far_write).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 8192];
                while let Ok(length @ 1..) = far_read.read(&mut bytes).await {
                    if held.wait_for(|held| !held).await.is_err()
                        || near_write.write_all(&bytes[..length]).await.is_err()
                    {
                        break;
                    }
                }
            });
        }
    });
    let options = wire::options_through(pool, address.port());
    let slow = PgPoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options).await.unwrap();
    (slow, hold)
}

#[sqlx::test(migrations = false)]
async fn a_begin_dropped_half_way_does_not_swallow_the_next_write(pool: PgPool) {
    sqlx::query("create table written (round int)").execute(&pool).await.unwrap();
    let (slow, hold) = behind_a_wire(&pool).await;
    for round in 0..5 {
        hold.send_replace(true);
        let begun = tokio::time::timeout(Duration::from_millis(50), database::begin(&slow)).await;
        assert!(begun.is_err(), "the wire was held, so nothing can have begun");
        hold.send_replace(false);
        sqlx::query("insert into written values ($1)").bind(round).execute(&slow).await.unwrap();
        let seen: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(&pool).await.unwrap();
        assert_eq!(seen, i64::from(round) + 1, "a write that succeeded is seen by everybody");
    }
    slow.close().await;
}

#[sqlx::test(migrations = false)]
async fn a_transaction_dropped_before_its_end_is_rolled_back(pool: PgPool) {
    sqlx::query("create table written (round int)").execute(&pool).await.unwrap();
    let mut transaction = database::begin(&pool).await.unwrap();
    sqlx::query("insert into written values (1)").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    let seen: i64 = sqlx::query_scalar("select count(*) from written").fetch_one(&pool).await.unwrap();
    assert_eq!(seen, 0);
}

#[sqlx::test(migrations = false)]
async fn what_is_refused_is_answered_once_its_locks_are_free(pool: PgPool) {
    sqlx::query("create table written as select 1 as round").execute(&pool).await.unwrap();
    let (slow, hold) = behind_a_wire(&pool).await;
    let mut transaction = database::begin(&slow).await.unwrap();
    sqlx::query("update written set round = 2").execute(&mut *transaction).await.unwrap();
    hold.send_replace(true);
    let refused = Err::<(), sqlx::Error>(sqlx::Error::RowNotFound);
    let ended = tokio::spawn(database::end(transaction, refused));
    let free = async || -> Option<i32> {
        let row = "select round from written for update skip locked";
        sqlx::query_scalar(row).fetch_optional(&pool).await.unwrap()
    };
    house::until("the server has rolled it back", async || free().await == Some(1)).await;
    assert!(!ended.is_finished(), "the server has not said yet that it is rolled back");
    hold.send_replace(false);
    assert!(matches!(ended.await.unwrap(), Err(sqlx::Error::RowNotFound)));
    assert_eq!(free().await, Some(1));
    slow.close().await;
}

#[sqlx::test(migrations = false)]
async fn a_node_that_is_gone_or_stands_still_is_let_go_of(pool: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
    let settings = async |url: &str| -> (i64, String) {
        let ours = database::connect(url, 1).await.unwrap();
        // Keepalives mean nothing on a socket, and are shown there as unset; that we asked for them is shown.
        let asked =
            "select (select count(*) from pg_settings where name like 'tcp\\_keepalives\\_%' and source = 'client'),
                            current_setting('idle_in_transaction_session_timeout')";
        let found = sqlx::query_as(asked).fetch_one(&ours).await.unwrap();
        ours.close().await;
        found
    };
    assert_eq!(settings(&url).await, (3, "2min".to_owned()));
    let sign = if url.contains('?') { '&' } else { '?' };
    let longer = format!("{url}{sign}options=-c%20idle_in_transaction_session_timeout%3D7min");
    assert_eq!(settings(&longer).await, (3, "7min".to_owned()));
}

#[sqlx::test(migrations = false)]
async fn no_statement_is_compiled_whatever_the_server_does_of_itself(pool: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
    let ours = database::connect(&url, 1).await.unwrap();
    let asked = "select setting, source from pg_settings where name = 'jit'";
    let found: (String, String) = sqlx::query_as(asked).fetch_one(&ours).await.unwrap();
    assert_eq!(found, ("off".to_owned(), "client".to_owned()));
    ours.close().await;
}

#[sqlx::test(migrations = false)]
async fn a_role_that_may_make_no_tables_is_told_what_to_type(pool: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
    let sign = if url.contains('?') { '&' } else { '?' };
    let reader = database::connect(&format!("{url}{sign}options=-c%20role%3Dpg_read_all_data"), 1).await.unwrap();
    let told = format!("{:#}", database::migrate(&reader).await.unwrap_err());
    reader.close().await;
    let expected =
        format!("the role pg_read_all_data may not make tables in the schema public of the database {name}; ");
    assert!(told.starts_with(&expected), "{told}");
    let (_, typed) = told.split_once("--command='").unwrap();
    sqlx::query(sqlx::AssertSqlSafe(typed.trim_end_matches('\'').to_owned())).execute(&pool).await.unwrap();
    let may = "select has_schema_privilege('pg_read_all_data', 'public', 'create')";
    assert!(sqlx::query_scalar::<_, bool>(may).fetch_one(&pool).await.unwrap());
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_role_that_may_read_no_tables_is_told_whom_to_name(pool: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
    let sign = if url.contains('?') { '&' } else { '?' };
    let stranger = database::connect(&format!("{url}{sign}options=-c%20role%3Dpg_monitor"), 1).await.unwrap();
    let told = format!("{:#}", database::migrate(&stranger).await.unwrap_err());
    stranger.close().await;
    assert!(told.starts_with("the user in DATABASE_URL may not read the tables of this database; name the"), "{told}");
}

#[sqlx::test(migrations = false)]
async fn a_role_that_may_create_no_database_takes_the_one_that_is_there(pool: PgPool) {
    let as_stranger = |name: &str| {
        let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), name);
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}options=-c%20role%3Dpg_monitor")
    };
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&pool).await.unwrap();
    database::create_if_missing(&as_stranger(&name)).await.unwrap();
    let refused = database::create_if_missing(&as_stranger("fenqi_of_nobody")).await.unwrap_err();
    let told = format!("{refused:#}");
    assert!(
        told.starts_with("the user in DATABASE_URL may not create the database fenqi_of_nobody; have it"),
        "{told}"
    );
    assert!(told.ends_with("createdb --encoding=UTF8 --locale=C --template=template0 fenqi_of_nobody"), "{told}");
}

#[tokio::test]
async fn another_program_than_postgresql_is_told_from_one() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = other.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let (mut call, _) = other.accept().await.unwrap();
        call.read_u64().await.unwrap();
        call.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // It keeps the line until the other side has hung up.
        call.read_to_end(&mut Vec::new()).await.ok();
    });
    let told = format!("{:#}", database::connect(&format!("postgres://fenqi@{place}/fenqi"), 1).await.unwrap_err());
    assert!(told.starts_with(&format!("what answers at {place} does not speak as PostgreSQL does (")), "{told}");
    assert!(told.ends_with("; correct DATABASE_URL, or unset it to use a private one"), "{told}");
    answering.await.unwrap();
}

/// A port of this machine behind which the test's server says that it is of PostgreSQL 14.
async fn as_an_older_server(pool: &PgPool) -> u16 {
    let asked = "select current_setting('server_version_num')::int";
    let number: i32 = sqlx::query_scalar(asked).fetch_one(pool).await.unwrap();
    // As a row of one whole number of four bytes says it.
    let told = |number: i32| [4_i32.to_be_bytes(), number.to_be_bytes()].concat();
    let (own, older) = (told(number), told(140_012));
    let socket = wire::socket_of(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = UnixStream::connect(&socket).await.unwrap().into_split();
            let (own, older) = (own.clone(), older.clone());
            tokio::spawn(async move { tokio::io::copy(&mut near_read, &mut far_write).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 8192];
                while let Ok(length @ 1..) = far_read.read(&mut bytes).await {
                    if let Some(place) = bytes[..length].windows(own.len()).position(|part| part == own.as_slice()) {
                        bytes[place..place + older.len()].copy_from_slice(&older);
                    }
                    if near_write.write_all(&bytes[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[sqlx::test(migrations = false)]
async fn on_a_server_that_is_too_old_no_scratch_database_is_left(pool: PgPool) {
    let (port, server) = (as_an_older_server(&pool).await, pool.connect_options());
    let (user, name) = (server.get_username(), server.get_database().unwrap());
    let url = format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode=disable");
    let refused = database::Scratch::create(&url, "older", 1).await.err().unwrap().to_string();
    assert!(refused.contains("of PostgreSQL 14, which is too old; install 15 or newer"), "{refused}");
    let left = "select count(*) from pg_database where datname like 'fenqi_older_%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap(), 0);
}

/// A wire to the database, and what says that the machine at its end is gone, which watches already.
async fn watched(pool: &PgPool, silence_max: Duration) -> (Wire, tokio::task::JoinHandle<String>) {
    let (wire, options) = Wire::lay(pool).await;
    let through = PgPoolOptions::new().connect_lazy_with(options.application_name("watching"));
    let gone = tokio::spawn(async move { machine::until_gone(&through, silence_max).await.to_string() });
    house::until("it is watched", async || watching(pool).await.is_some()).await;
    (wire, gone)
}

/// The server's process over which the machine is watched, once it was asked there a second time.
async fn watching(pool: &PgPool) -> Option<i32> {
    let asked = "select pid from pg_stat_activity where datname = current_database() and application_name = 'watching'
                 and state_change > backend_start + interval '1 second'";
    sqlx::query_scalar(asked).fetch_optional(pool).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn a_machine_that_falls_silent_is_gone(pool: PgPool) {
    let (wire, gone) = watched(&pool, Duration::from_secs(2)).await;
    wire.fall_silent();
    let gone = tokio::time::timeout(house::PATIENCE, gone).await.expect("it waits for ever").unwrap();
    assert!(gone.contains("it was silent for 2s"), "{gone}");
}

#[sqlx::test(migrations = false)]
async fn a_machine_that_has_another_in_its_place_is_gone_at_once(pool: PgPool) {
    let (wire, gone) = watched(&pool, Duration::from_secs(20)).await;
    wire.fall_silent();
    drop(wire);
    let gone = tokio::time::timeout(house::PATIENCE, gone).await.expect("it waits for ever").unwrap();
    assert!(gone.contains("the one in its place knows nothing of our connections"), "{gone}");
}

#[sqlx::test(migrations = false)]
async fn a_server_that_closes_its_connections_is_not_gone(pool: PgPool) {
    let (wire, gone) = watched(&pool, Duration::from_secs(20)).await;
    let before = watching(&pool).await.unwrap();
    sqlx::query("select pg_terminate_backend($1)").bind(before).execute(&pool).await.unwrap();
    let is_asked_anew = async || watching(&pool).await.is_some_and(|process| process != before);
    house::until("it is watched over another connection", is_asked_anew).await;
    assert!(!gone.is_finished());
    gone.abort();
    drop(wire);
}
