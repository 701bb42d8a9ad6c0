//! An operator opens a new house by commands, from an empty database to the end of its first day.

use std::process::{Command, Output, Stdio};

use fenqi::borrower::actions::register;
use fenqi::cli::refuse_new_key;
use fenqi::close::Step;
use fenqi::config::Config;
use fenqi::demo::identity::registration;
use fenqi::jobs::{JobKind, dispatch};
use fenqi::verify::verify;
use sqlx::PgPool;

use crate::house;

/// The program on the test's database.
pub struct Program {
    url: String,
    settings: Vec<(&'static str, String)>,
}

impl Program {
    pub async fn on(pool: &PgPool) -> Program {
        let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(pool).await.unwrap();
        let url = house::other_database(&std::env::var("DATABASE_URL").unwrap(), &name);
        Program { url, settings: Vec::new() }
    }

    /// The same, with one more setting in its environment.
    pub fn with(mut self, name: &'static str, value: &str) -> Program {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn output(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_fenqi"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("DATABASE_URL", &self.url)
            .env("FENQI_MASTER_KEY", house::MASTER_KEY)
            .env("FENQI_DATABASE_CONNECTIONS", "4")
            .envs(self.settings.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What the command prints, which must end well.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same of a command that must not tell of an error on its way either.
    pub fn done_without_error(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("ERROR"), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says beside what it prints; it must end well.
    pub fn remarked(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {told}");
        told
    }

    /// What the command prints of what it found, for which it ends with 1.
    pub fn found(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says on standard error, which must fail.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// What is said of a command that is not complete, which ends with 2.
    pub fn misspelt(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_house_is_opened_by_commands_and_lives_through_its_first_day(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    assert!(fenqi.refused(&["close", "--date", "2026-03-02"]).contains("fenqi house open"));
    assert!(fenqi.refused(&["work"]).contains("fenqi house open"));
    assert!(fenqi.refused(&["funder", "open", "harbour-bank", "--name", "Harbour Bank"]).contains("fenqi house open"));
    assert!(fenqi.done(&["funder", "list"]).contains("no funder is open"));
    let product = ["product", "publish", "products/standard.toml"];
    assert!(fenqi.refused(&product).contains("fenqi funder open"));

    let mistyped = fenqi.refused(&["house", "open", "--date", "2062-03-02"]);
    assert!(mistyped.contains("2062-03-03 is outside the working-day table"), "{mistyped}");
    fenqi.done(&["house", "open", "--date", "2026-03-02"]);
    assert!(fenqi.refused(&["house", "open", "--date", "2026-03-03"]).contains("its business day is 2026-03-02"));
    let bank = ["funder", "open", "harbour-bank", "--name", "Harbour Bank"];
    fenqi.done(&[&bank[..], &["--advance-fen", "1000000", "--low-water-fen", "5000000"]].concat());
    // What a second call leaves out stays as it is.
    let again = fenqi.done(&[&bank[..], &["--low-water-fen", "6000000"]].concat());
    assert!(again.contains("up to 10,000.00 yuan, warned below 60,000.00 yuan"), "{again}");
    fenqi.done(&[&bank[..], &["--lower-marks-fen", "3000000,1000000"]].concat());
    let alone = fenqi.refused(&[&bank[..], &["--low-water-fen", "3000000"]].concat());
    assert!(alone.contains("warned below 60,000.00 and 30,000.00 and 10,000.00 yuan; give"), "{alone}");
    let both = fenqi.done(&[&bank[..], &["--low-water-fen", "3000000", "--lower-marks-fen", "2000000"]].concat());
    assert!(both.contains("up to 10,000.00 yuan, warned below 30,000.00 and 20,000.00 yuan"), "{both}");
    let wrong = fenqi.misspelt(&[&bank[..], &["--lower-marks-fen", "2000000,0"]].concat());
    assert!(wrong.contains("say whole fen with commas between"), "{wrong}");
    let first = fenqi.done(&[&bank[..], &["--low-water-fen", "0", "--lower-marks-fen", "none"]].concat());
    assert!(first.contains("up to 10,000.00 yuan, warned below 0.00 yuan"), "{first}");
    let listed = fenqi.done(&["funder", "list"]);
    assert!(listed.starts_with("harbour-bank") && listed.contains("advance up to 10,000.00 yuan"), "{listed}");
    assert!(fenqi.refused(&["funder", "open", "harbour-bank", "--name", "Another"]).contains("Harbour Bank"));

    fenqi.done(&product);
    let closed = fenqi.done(&["close", "--date", "2026-03-02", "--json"]);
    let closed: serde_json::Value = serde_json::from_str(&closed).unwrap();
    let first = &closed["steps"][0];
    assert!(closed["day"] == "2026-03-02" && first["step"] == "clearing" && first["rows"].is_u64(), "{closed}");
    assert_eq!(closed["steps"].as_array().unwrap().len(), Step::ALL.len());
    assert!(fenqi.done(&["close", "--date", "2026-03-02"]).ends_with("2026-03-02 is closed\n"), "it was closed before");
    assert!(fenqi.refused(&["house", "open", "--date", "2026-03-02"]).contains("its business day is 2026-03-03"));
    assert_eq!(fenqi.done(&["verify"]), "");
    assert!(verify(&pool).await.unwrap().is_empty());

    // The day that it is on the system's clock as well has not come to its end.
    let present = house::today_for_long().await;
    sqlx::query("update business_day set today = $1").bind(present.date()).execute(&pool).await.unwrap();
    let refused = fenqi.refused(&["close", "--date", &present.to_string()]);
    assert!(refused.contains(&format!("{present} lasts until midnight in Shanghai")), "{refused}");
}

/// A command that cannot begin says one sentence of why and what to do, and nothing of the program's inside.
fn assert_one_sentence(complaint: &str, expected: &str) {
    let last = complaint.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && last.contains(expected), "{complaint}");
    assert!(!complaint.contains("panicked") && !complaint.contains("stack backtrace"), "{complaint}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_keeps_a_command_from_beginning_is_one_sentence_with_what_to_do(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = address.rsplit_once(':').unwrap().1;
    let in_use = format!("port {port} of 127.0.0.1 is in use by another program; stop that one or set");
    assert_one_sentence(&fenqi.refused(&["serve", "--listen", &address]), &format!("{in_use} --listen"));
    assert_one_sentence(&fenqi.refused(&["work", "--listen", &address]), &format!("{in_use} --listen"));
    let working = Program::on(&pool).await.with("FENQI_WORK_LISTEN", &address);
    assert_one_sentence(&working.refused(&["work"]), &format!("{in_use} FENQI_WORK_LISTEN"));
    assert_one_sentence(&fenqi.refused(&["sandbox", "--port", port]), &format!("{in_use} --port"));
    // Before anything is lived through.
    let demo = Program::on(&pool).await.with("FENQI_LISTEN", &address);
    assert_one_sentence(&demo.refused(&["demo", "--days", "1"]), &format!("{in_use} FENQI_LISTEN"));

    let missing = house::other_database(&std::env::var("DATABASE_URL").unwrap(), "no_such_database");
    let missing = Program::on(&pool).await.with("DATABASE_URL", &missing);
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9000, 'from the future', true, '\\x00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    for command in [
        &["migrate"][..],
        &["verify"],
        &["work"],
        &["close", "--date", "2026-03-02"],
        &["demo", "--no-serve", "--days", "1"],
    ] {
        assert_one_sentence(&fenqi.refused(command), "this database was migrated by a newer fenqi");
        let of_none = missing.refused(command);
        assert_one_sentence(&of_none, "the database no_such_database does not exist");
        assert_one_sentence(
            &of_none,
            "create it with: createdb --encoding=UTF8 --locale=C --template=template0 no_such_database",
        );
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn of_several_products_none_is_published_unless_all_can_be(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    fenqi.done(&["house", "open", "--date", "2026-03-02"]);
    fenqi.done(&["funder", "open", "harbour-bank", "--name", "Harbour Bank"]);
    let path = std::env::temp_dir().join(format!("fenqi-of-nobody-{}.toml", std::process::id()));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/products/pay-next-bill.toml")).unwrap();
    std::fs::write(&path, text.replace("funder = \"harbour-bank\"", "funder = \"nobodys-bank\"")).unwrap();
    let nobodys = path.to_str().unwrap();
    for both in [["products/standard.toml", nobodys], [nobodys, "products/standard.toml"]] {
        let refused = fenqi.refused(&[&["product", "publish"][..], &both].concat());
        assert!(refused.contains("nothing was published") && refused.contains(nobodys), "{refused}");
        assert!(refused.contains("fenqi funder open"), "{refused}");
        assert_eq!(fenqi.done(&["product", "list"]), "");
    }
    std::fs::remove_file(&path).unwrap();
    let both = ["product", "publish", "products/standard.toml", "products/equal-principal.toml"];
    let done = fenqi.done(&both);
    let done: Vec<&str> = done.lines().collect();
    assert!(done[0].starts_with("products/standard.toml: harbour-standard published as version 1"), "{done:?}");
    assert!(done[1].starts_with("products/equal-principal.toml: harbour-principal published as"), "{done:?}");
    let withdraw = ["product", "withdraw", "harbour-principal", "--by", "Li Na"];
    assert_eq!(fenqi.done(&withdraw), "harbour-principal version 1 is off sale\n");
    assert_eq!(fenqi.done(&[&withdraw[..], &["1"]].concat()), "harbour-principal version 1 was off sale already\n");
    assert_eq!(house::did(&pool, "product_withdrawn").await, ["Li Na"]);
    assert!(fenqi.refused(&withdraw).contains("no version of harbour-principal is on sale"));
    assert!(fenqi.refused(&[&withdraw[..], &["2"]].concat()).contains("has no version 2"));
    assert!(fenqi.refused(&["product", "withdraw", "harbour", "1"]).contains("no product with the code"));
    let listed = fenqi.done(&["product", "list"]);
    assert!(listed.starts_with("harbour-standard version 1") && !listed.contains("harbour-principal"), "{listed}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_product_that_its_dates_take_off_sale_is_listed_with_them(pool: PgPool) {
    let fenqi = Program::on(&pool).await;
    fenqi.done(&["house", "open", "--date", "2026-03-02"]);
    fenqi.done(&["funder", "open", "harbour-bank", "--name", "Harbour Bank"]);
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/products/pay-next-bill.toml")).unwrap();
    let path = std::env::temp_dir().join(format!("fenqi-dated-{}.toml", std::process::id()));
    for (code, days, told) in [
        ("always", "valid_from = 2026-03-02", ""),
        ("later", "valid_from = 2026-03-03", ", on sale from 2026-03-03 on"),
        ("over", "valid_from = 2024-01-01\nvalid_until = 2026-03-01", ", off sale since its last day, 2026-03-01"),
        ("spring", "valid_from = 2026-03-03\nvalid_until = 2026-05-31", ", on sale from 2026-03-03 to 2026-05-31"),
        ("today", "valid_from = 2024-01-01\nvalid_until = 2026-03-02", ", on sale until 2026-03-02"),
    ] {
        let dated = text.replace("\"harbour-next-bill\"", &format!("\"{code}\""));
        std::fs::write(&path, dated.replace("valid_from = 2024-01-01", days)).unwrap();
        fenqi.done(&["product", "publish", path.to_str().unwrap(), "--by", "Li Na"]);
        let listed = fenqi.done(&["product", "list"]);
        let line = listed.lines().find(|line| line.starts_with(code)).unwrap();
        assert!(line.ends_with(&format!(", of harbour-bank{told}")), "{line}");
    }
    std::fs::remove_file(&path).unwrap();
    let as_json: serde_json::Value = serde_json::from_str(&fenqi.done(&["product", "list", "--json"])).unwrap();
    let days =
        |place: usize| [&as_json[place]["valid_from"], &as_json[place]["valid_until"]].map(serde_json::Value::as_str);
    assert_eq!(days(0), [Some("2026-03-02"), None]);
    assert_eq!(days(2), [Some("2024-01-01"), Some("2026-03-01")]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn no_new_master_key_is_made_for_data_sealed_under_another(pool: PgPool) {
    let nowhere = std::env::temp_dir().join("fenqi-without-a-master-key").to_str().unwrap().to_owned();
    let read = |more: &[(&str, &str)]| {
        let all = [&[("FENQI_VAR_DIR", nowhere.as_str())][..], more].concat();
        let all: Vec<(String, String)> = all.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Config::read(None, all.into_iter()).unwrap()
    };
    refuse_new_key(&read(&[]), &pool).await.unwrap();
    sqlx::query("insert into platform_key values ('K-1', 'sm2_sm3', '\\x00', '\\x00', now())")
        .execute(&pool)
        .await
        .unwrap();
    let refused = refuse_new_key(&read(&[]), &pool).await.unwrap_err().to_string();
    assert!(refused.contains("master.key") && refused.contains("FENQI_MASTER_KEY"), "{refused}");
    refuse_new_key(&read(&[("FENQI_MASTER_KEY", house::MASTER_KEY)]), &pool).await.unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn another_master_key_or_index_key_than_the_houses_is_refused(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-03-02").await;
    let registration = registration(7, 30, "2026-03-02".parse().unwrap());
    let borrower_id = register(&app, registration).await.unwrap();
    let fenqi = Program::on(&pool).await;
    fenqi.done(&["notices"]);
    let refused = Program::on(&pool).await.with("FENQI_MASTER_KEY", &"08".repeat(32)).refused(&["notices"]);
    assert!(refused.contains("is not the one that the data of this database is sealed under"), "{refused}");
    let refused = Program::on(&pool).await.with("FENQI_INDEX_KEY", &"09".repeat(32)).refused(&["notices"]);
    assert!(refused.contains("set FENQI_INDEX_KEY to the one in force"), "{refused}");
    // Of somebody who was erased nothing is left to hold a key against.
    house::erase(&app, borrower_id).await.unwrap();
    Program::on(&pool).await.with("FENQI_MASTER_KEY", &"08".repeat(32)).done(&["notices"]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn the_daily_close_has_nothing_to_do_in_a_house_that_is_not_open(pool: PgPool) {
    let app = house::open(pool, "2026-03-02").await;
    sqlx::query("delete from business_day").execute(&app.pool).await.unwrap();
    dispatch::run(&app, JobKind::DailyClose).await.unwrap();
    let closes: i64 = sqlx::query_scalar("select count(*) from close_run").fetch_one(&app.pool).await.unwrap();
    assert_eq!(closes, 0);
}
