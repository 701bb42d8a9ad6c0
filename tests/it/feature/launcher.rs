//! The program starts, shares, adopts and stops a private PostgreSQL, and a wrong start ends with one clear sentence.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use fenqi::launcher::{Durability, Options, Server};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use crate::documents::toml_of_operations;
use crate::house;

/// A directory of its own for one test, removed at the end with the server in it.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        Place(house::directory(name))
    }

    /// The program in this directory, with nothing of our own environment but what finds programs.
    pub(super) fn fenqi(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fenqi"));
        command.args(arguments).current_dir(&self.0).env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "FENQI_PG_BIN"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.fenqi(arguments).output().unwrap()
    }

    pub fn postmaster(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.0.join("var/pg/data/postmaster.pid")).ok()?;
        let pid: u32 = pid.lines().next()?.parse().ok()?;
        std::fs::exists(format!("/proc/{pid}")).unwrap().then_some(pid)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.run(&["db", "stop"]);
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub fn said(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

/// Looks again and again until it is so; fails the test where it never is.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < house::PATIENCE, "it never came about: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the program's server answers.
fn until_serving(port: u16, child: &mut Child) {
    until("the program serves", || {
        assert!(child.try_wait().unwrap().is_none(), "the program ended");
        answers(port)
    });
}

/// Whether `GET /healthz` is answered; the port is open before the database is.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// The signal by which a closed terminal stops a program; where our own run ignores it (`nohup`) so does what we start, and another
/// one stands in.
pub(super) fn closed_terminal() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1 { "-TERM" } else { "-HUP" }
}

#[test]
fn a_private_server_starts_is_shared_outlives_a_killed_owner_is_adopted_and_stops() {
    let place = Place::new("life");
    let listen = house::free_address();
    let port: u16 = listen.rsplit_once(':').unwrap().1.parse().unwrap();
    let serve = || place.fenqi(&["serve", "--listen", &listen]).stderr(Stdio::null()).spawn().unwrap();

    let mut owner = serve();
    until_serving(port, &mut owner);
    let shared = place.run(&["migrate"]);
    assert_eq!(said(&shared.stdout), "the database is up to date", "{}", said(&shared.stderr));
    let server = place.postmaster().expect("the server runs");

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(place.postmaster(), Some(server), "the server outlives a killed owner");

    let mut heir = serve();
    until_serving(port, &mut heir);
    assert_eq!(place.postmaster(), Some(server), "the next process adopts it");
    signal(heir.id(), "-INT");
    assert!(heir.wait().unwrap().success());
    assert_eq!(place.postmaster(), None, "whoever adopts a server stops it");
}

#[tokio::test]
async fn a_start_that_is_interrupted_leaves_no_server_behind() {
    let place = Place::new("interrupted-start");
    let home = place.0.join("var/pg");
    let bin = std::env::var_os("FENQI_PG_BIN").map(PathBuf::from);
    let options = Options { home: home.clone(), bin, durability: Durability::None };
    // By then it has been spawned, and has not come as far as its pid file.
    let started = tokio::time::timeout(Duration::ZERO, Server::start(&options)).await;
    assert!(started.is_err(), "it answered at once");
    let log = std::fs::read_to_string(home.join("server.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
    assert_eq!(place.postmaster(), None);
}

#[test]
fn a_command_that_finds_no_house_because_it_is_typed_outside_of_its_shell_says_so() {
    let place = Place::new("no-house");
    assert!(place.run(&["db", "start"]).status.success());
    let lists =
        [&["jobs", "list"][..], &["payout", "list", "--failed"], &["notices"], &["partner", "list"], &["verify"]];
    for list in lists {
        let told = said(&place.run(list).stderr);
        assert!(told.contains("holds no house; type commands in the house's shell"), "{list:?}: {told}");
    }
    // So does one that knows the house's partners, and not its database.
    std::fs::write(place.0.join("partners.toml"), toml_of_operations("[[partner]]")).unwrap();
    let half = place.fenqi(&["jobs", "list"]).env("FENQI_PARTNERS_FILE", "partners.toml").output().unwrap();
    assert!(said(&half.stderr).contains("holds no house"), "{}", said(&half.stderr));
    let opened = place.run(&["house", "open", "--date", "2026-03-02"]);
    assert!(opened.status.success() && !said(&opened.stderr).contains("holds no house"), "{}", said(&opened.stderr));
    for list in lists {
        assert!(!said(&place.run(list).stderr).contains("holds no house"), "{list:?}");
    }
}

#[tokio::test]
async fn a_server_started_by_hand_stays_until_it_is_stopped_by_hand() {
    let place = Place::new("by-hand");
    let url = said(&place.run(&["db", "start"]).stdout);
    assert!(url.starts_with("postgres://fenqi@localhost:5432/fenqi?sslmode=disable&host="), "{url}");
    // It loses nothing that it has said is written, and nobody else comes in.
    let mut server = PgConnection::connect(&url).await.unwrap();
    let told = "select array_agg(current_setting(name) order by name)
                from unnest(array['fsync', 'full_page_writes', 'listen_addresses', 'synchronous_commit',
                                  'unix_socket_permissions']) as name";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_one(&mut server).await.unwrap();
    assert_eq!(told, ["on", "on", "", "on", "0700"]);
    server.close().await.unwrap();
    assert!(place.run(&["migrate"]).status.success());
    assert!(place.postmaster().is_some());
    assert_eq!(said(&place.run(&["db", "url"]).stdout), url);
    assert!(place.run(&["db", "stop"]).status.success());
    assert!(place.postmaster().is_none());
    let refused = place.run(&["db", "url"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused.stderr).contains("is not running"));
}

#[test]
fn a_server_that_was_to_stay_and_ended_is_not_left_behind_by_whoever_starts_it_again() {
    let place = Place::new("kept-once");
    assert!(place.run(&["db", "start"]).status.success());
    signal(place.postmaster().expect("the server runs"), "-INT");
    until("the server ends", || place.postmaster().is_none());
    assert!(place.run(&["migrate"]).status.success());
    assert_eq!(place.postmaster(), None);
    // Why the one before ended can still be read.
    let log = std::fs::read_to_string(place.0.join("var/pg/server.log.1")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
}

#[test]
fn whoever_waits_for_a_server_whose_owner_ends_starts_it() {
    let place = Place::new("owner-ends");
    assert!(place.run(&["migrate"]).status.success());
    let owned = std::fs::File::create(place.0.join("var/pg/owner.lock")).unwrap();
    owned.lock().unwrap();
    let mut waiting = place.fenqi(&["migrate"]).stdout(Stdio::null()).spawn().unwrap();
    // Whoever tries to own the server writes the lock's file anew. Who has tried three times has seen each time that another does.
    for _ in 0..3 {
        owned.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        until("it tries to own the server", || {
            assert!(waiting.try_wait().unwrap().is_none(), "it does not wait for the owner");
            owned.metadata().unwrap().modified().unwrap() != SystemTime::UNIX_EPOCH
        });
    }
    drop(owned);
    let mut ended = None;
    until("it starts the server that nobody owns, and ends", || {
        ended = waiting.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
    assert_eq!(place.postmaster(), None, "whoever starts a server stops it");
}

#[test]
fn a_server_that_ended_with_its_machine_is_not_taken_for_whoever_has_its_number_since() {
    let place = Place::new("power-cut");
    assert!(place.run(&["migrate"]).status.success());
    let home = place.0.join("var/pg");
    let account = std::fs::metadata(home.join("data")).unwrap();
    let mut other = Command::new("sleep").arg("600").uid(account.uid()).gid(account.gid()).spawn().unwrap();
    // It started a second after the year 1970 began.
    let left =
        format!("{}\n{}\n1\n5432\n{}\n\n", other.id(), home.join("data").display(), home.join("socket").display());
    for file in ["data/postmaster.pid", "socket/.s.PGSQL.5432.lock"] {
        std::fs::write(home.join(file), &left).unwrap();
    }
    let again = place.run(&["migrate"]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(said(&again.stdout), "the database is up to date", "{}", said(&again.stderr));
}

#[test]
fn a_postgresql_of_another_cluster_that_has_the_number_of_ours_is_not_taken_for_it() {
    let place = Place::new("another-cluster");
    assert!(place.run(&["migrate"]).status.success());
    let home = place.0.join("var/pg");
    let named = "printf postgres > /proc/$$/comm; read -r never";
    let mut other = Command::new("sh").args(["-c", named]).stdin(Stdio::piped()).spawn().unwrap();
    let comm = format!("/proc/{}/comm", other.id());
    until("the other one has its name", || std::fs::read_to_string(&comm).unwrap() == "postgres\n");
    let left =
        format!("{}\n{}\n1\n5432\n{}\n\n", other.id(), home.join("data").display(), home.join("socket").display());
    for file in ["data/postmaster.pid", "socket/.s.PGSQL.5432.lock"] {
        std::fs::write(home.join(file), &left).unwrap();
    }
    let running = place.run(&["db", "url"]);
    let again = place.run(&["migrate"]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(said(&running.stderr).contains("is not running"), "{}", said(&running.stdout));
    assert_eq!(said(&again.stdout), "the database is up to date", "{}", said(&again.stderr));
}

#[tokio::test]
async fn a_database_of_ours_can_write_every_name_whatever_its_server_makes_by_itself() {
    let place = Place::new("narrow");
    let started = place.run(&["db", "start", "--durability", "none"]);
    let url = said(&started.stdout);
    let mut server = PgConnection::connect(&url).await.unwrap();
    // As where it was set up without a locale.
    let narrow = "update pg_database set encoding = pg_char_to_encoding('SQL_ASCII') where datname = 'template1'";
    sqlx::query(narrow).execute(&mut server).await.unwrap();
    server.close().await.unwrap();
    let url = house::other_database(&url, "of_ours");
    let migrated = place.fenqi(&["migrate", "--create"]).env("DATABASE_URL", &url).output().unwrap();
    assert!(migrated.status.success(), "{}", said(&migrated.stderr));
}

#[test]
fn a_cluster_of_another_version_is_refused_with_what_to_do() {
    let place = Place::new("version");
    assert!(place.run(&["migrate"]).status.success());
    std::fs::write(place.0.join("var/pg/data/PG_VERSION"), "9\n").unwrap();
    let refused = place.run(&["migrate"]);
    assert_eq!(refused.status.code(), Some(1));
    let sentence = said(&refused.stderr);
    assert!(sentence.contains("was made by PostgreSQL 9"), "{sentence}");
    assert!(sentence.contains("the directory of version 9's initdb in FENQI_PG_BIN"), "{sentence}");
}

fn put_program(bin: &Path, name: &str, script: &str) {
    std::fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_newer_version_beside_the_one_that_made_the_cluster_is_passed_over() {
    let place = Place::new("beside");
    assert!(place.run(&["migrate"]).status.success());
    let bin = place.0.join("bin");
    std::fs::create_dir(&bin).unwrap();
    put_program(&bin, "postgres", "echo 'postgres (PostgreSQL) 99.0'");
    put_program(&bin, "initdb", "exit 1");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let again = place.fenqi(&["migrate"]).env("PATH", path).output().unwrap();
    assert_eq!(said(&again.stdout), "the database is up to date", "{}", said(&again.stderr));
}

#[test]
fn programs_of_an_older_version_and_those_that_fail_are_refused_with_the_cause() {
    let place = Place::new("old");
    let bin = place.0.join("bin");
    std::fs::create_dir(&bin).unwrap();
    // Any program that tells a version below ours.
    for name in ["initdb", "postgres"] {
        std::os::unix::fs::symlink("/bin/bash", bin.join(name)).unwrap();
    }
    let refused = place.fenqi(&["migrate"]).env("FENQI_PG_BIN", &bin).output().unwrap();
    let sentence = said(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("is too old; install 15 or newer") && sentence.lines().count() == 1, "{sentence}");
    // A disk that is full when the cluster is to be made.
    let programs = [
        ("postgres", "echo 'postgres (PostgreSQL) 17.0'"),
        (
            "initdb",
            "echo 'initdb: error: No space left on device' >&2; echo 'initdb: removing data directory' >&2; exit 1",
        ),
    ];
    for (name, script) in programs {
        std::fs::remove_file(bin.join(name)).unwrap();
        put_program(&bin, name, script);
    }
    for named in [bin.as_path(), Path::new("bin")] {
        let refused = place.fenqi(&["migrate"]).env("FENQI_PG_BIN", named).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(said(&refused.stderr), "error: initdb failed: initdb: error: No space left on device");
    }
}

#[test]
fn a_deep_directory_still_has_a_socket() {
    let place = Place::new("deep");
    let deep = "a-long-name-of-a-directory/".repeat(5);
    let output = place.fenqi(&["migrate"]).env("FENQI_VAR_DIR", deep).output().unwrap();
    assert!(output.status.success(), "{}", said(&output.stderr));
}

#[test]
fn what_the_environment_says_of_another_server_is_not_taken_for_ours() {
    let place = Place::new("another-server");
    let others = [("PGHOST", "db.example"), ("PGPORT", "6543"), ("PGSSLMODE", "require"), ("PGUSER", "somebody")];
    let output = place.fenqi(&["migrate"]).envs(others).output().unwrap();
    assert!(output.status.success(), "{}", said(&output.stderr));
}

#[test]
fn a_link_that_stands_where_the_socket_goes_is_not_followed() {
    let place = Place::new("linked");
    let deep = "a-long-name-of-a-directory/".repeat(5);
    let (home, elsewhere) = (place.0.join(&deep).join("pg"), place.0.join("elsewhere"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::create_dir_all(&elsewhere).unwrap();
    let hash = Sha256::digest(home.canonicalize().unwrap().as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let socket = std::path::Path::new("/tmp").join(format!("fenqi-{hash}"));
    std::os::unix::fs::symlink(&elsewhere, &socket).unwrap();
    let output = place.fenqi(&["migrate"]).env("FENQI_VAR_DIR", deep).output().unwrap();
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("belongs to somebody else"), "{}", said(&output.stderr));
}

#[test]
fn root_leaves_the_cluster_of_another_user_alone() {
    let place = Place::new("another");
    let home = place.0.join("var/pg");
    std::fs::create_dir_all(&home).unwrap();
    // Root alone can make it somebody else's, and root alone could take it.
    if std::os::unix::fs::chown(&home, Some(12_345), None).is_err() {
        return;
    }
    for command in [["migrate", "--create"], ["db", "url"]] {
        let refused = place.run(&command);
        let sentence = said(&refused.stderr);
        assert_eq!((refused.status.code(), sentence.lines().count()), (Some(1), 1), "{sentence}");
        assert!(sentence.contains("belongs to another user (12345); run as that one"), "{sentence}");
    }
    assert_eq!(std::fs::metadata(&home).unwrap().uid(), 12_345);
}

#[test]
fn a_wrong_start_ends_with_one_sentence_and_exit_code_one() {
    let place = Place::new("wrong");
    // A remark in GBK.
    std::fs::write(place.0.join("narrow.toml"), b"log = 'info'\n# \xba\xa3\n").unwrap();
    let cases: [(&str, &str, &str); 8] = [
        ("FENQI_LISTEN", "nowhere", "`listen` is \"nowhere\" (FENQI_LISTEN)"),
        ("FENQI_LISTN", "127.0.0.1:1", "unknown name FENQI_LISTN"),
        ("FENQI_CONFIG", "missing.toml", "cannot read the configuration file missing.toml"),
        ("FENQI_CONFIG", ".", "cannot read the configuration file .: Is a directory"),
        ("FENQI_CONFIG", "narrow.toml", "line 2 is not text in UTF-8; save the file in UTF-8"),
        ("FENQI_PG_BIN", "/nowhere", "FENQI_PG_BIN is /nowhere"),
        (
            "FENQI_VAR_DIR",
            "/proc/nowhere",
            "cannot create the directory /proc/nowhere/pg; name another in FENQI_VAR_DIR: ",
        ),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none", "no PostgreSQL answers at 127.0.0.1:1"),
    ];
    for (name, value, expected) in cases {
        let output = place.fenqi(&["migrate"]).env(name, value).output().unwrap();
        let sentence = said(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {sentence}");
        assert!(sentence.starts_with("error: ") && sentence.contains(expected), "{name}: {sentence}");
        assert_eq!(sentence.lines().count(), 1, "{name}: {sentence}");
    }
    assert_eq!(place.run(&["no-such-command"]).status.code(), Some(2));
    // A demo begins again in place of a demo, not of a house with partners of its own.
    std::fs::write(place.0.join("partners.toml"), toml_of_operations("[[partner]]")).unwrap();
    let refused = place.fenqi(&["demo", "--fresh"]).env("FENQI_PARTNERS_FILE", "partners.toml").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused.stderr).contains("this house has partners of its own"), "{}", said(&refused.stderr));
}
