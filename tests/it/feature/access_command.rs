//! `fenqi partner`: every grant and removal of access is stored with its author, and its history remains.

use fenqi::partner::key::{Algorithm, PrivateKey, pem_encode};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::house_command::Program;
use crate::house;

/// A file with a new public key, removed when it is dropped.
struct KeyFile {
    path: std::path::PathBuf,
}

impl KeyFile {
    fn new() -> KeyFile {
        let path = std::env::temp_dir().join(format!("fenqi-access-{}.pub", uuid::Uuid::new_v4().simple()));
        let public = PrivateKey::generate(Algorithm::Sm2Sm3).unwrap().public_der().unwrap();
        std::fs::write(&path, pem_encode("PUBLIC KEY", &public)).unwrap();
        KeyFile { path }
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn history(fenqi: &Program, partner: &str) -> Vec<Value> {
    serde_json::from_str(&fenqi.done(&["partner", "history", partner, "--json"])).unwrap()
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn every_change_of_access_is_written_down_with_who_made_it(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let fenqi = Program::on(&pool).await;
    let key = KeyFile::new();
    let public_key = key.path.to_str().unwrap();
    let (owner, li, wang) = (["--owner", "harbour-bank"], ["--by", " Li Na "], ["--by", "Wang Wei"]);
    fenqi.done(&[&["partner", "add", "harbour-core", "--kind", "funder"][..], &owner, &li].concat());
    let key_add = ["partner", "key", "add", "harbour-core", "--serial", "H-1", "--public-key", public_key];
    let key_add = [&key_add[..], &["--holder", "Chen Wei"], &wang].concat();
    fenqi.done(&key_add);
    // The same again changes nothing, and is nothing to tell of.
    fenqi.done(&key_add);
    let grant = ["partner", "grant", "harbour-core", "--take-back", "loans:read", "--rate-per-minute", "60"];
    assert_eq!(fenqi.done(&[&grant[..], &wang].concat()), "partner harbour-core is changed\n");
    let again = fenqi.done(&[&grant[..], &li].concat());
    assert_eq!(again, "partner harbour-core stood so already; nothing changed\n");
    let revoke = |by: &[&str]| fenqi.done(&[&["partner", "key", "revoke", "harbour-core", "H-1"][..], by].concat());
    assert_eq!(revoke(&li), "key H-1 of harbour-core is revoked\n");
    assert_eq!(revoke(&wang), "key H-1 of harbour-core was revoked already\n");

    let told = history(&fenqi, "harbour-core");
    let of = |name: &str| told.iter().map(|event| event[name].clone()).collect::<Vec<Value>>();
    assert_eq!(of("what"), ["partner_added", "key_added", "grant_changed", "key_revoked"].map(Value::from));
    assert_eq!(of("changed_by"), ["Li Na", "Wang Wei", "Wang Wei", "Li Na"].map(Value::from));
    assert_eq!(of("serial_no"), [Value::Null, json!("H-1"), Value::Null, json!("H-1")]);
    let [added, key_added, granted, revoked] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&added["before"], &added["after"]), (&Value::Null, &granted["before"]));
    let rate = |side: &str| granted[side]["rate_per_minute"].clone();
    assert_eq!((rate("before"), rate("after")), (json!(6_000), json!(60)));
    let may_read = |partner: &Value| partner["scopes"].as_array().unwrap().contains(&json!("loans:read"));
    assert!(may_read(&granted["before"]) && !may_read(&granted["after"]), "{granted}");
    assert_eq!((&key_added["after"], &key_added["after"]["holder"]), (&revoked["before"], &json!("Chen Wei")));
    assert!(revoked["before"]["revoked_at"].is_null() && revoked["after"]["revoked_at"].is_string(), "{revoked}");
    assert_eq!(house::did(&pool, "access_changed").await, ["Li Na", "Wang Wei", "Wang Wei", "Li Na"]);
    assert!(!fenqi.done(&["audit", "list"]).contains("Chen Wei"), "who holds a key is a person");
    let shown = fenqi.done(&["partner", "history", "harbour-core"]);
    assert!(shown.contains("key_added  H-1  by Wang Wei"), "{shown}");

    for statement in ["update api_access_event set changed_by = 'nobody'", "delete from api_access_event"] {
        let refused = sqlx::query(statement).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    assert_eq!(history(&fenqi, "harbour-core").len(), 4);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_new_key_of_ours_is_written_down_under_our_name(pool: PgPool) {
    let _app = house::open(pool.clone(), "2026-01-05").await;
    let fenqi = Program::on(&pool).await;
    for by in ["Li Na", "Wang Wei"] {
        fenqi.done(&["partner", "platform-key", "rotate", "--algorithm", "sm2", "--by", by]);
    }
    let told = history(&fenqi, "fenqi");
    let [first, second] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&first["what"], &first["changed_by"]), (&json!("platform_key_rotated"), &json!("Li Na")));
    assert_eq!(first["after"], json!({ "signs": [first["serial_no"]] }));
    assert_eq!((&second["before"], &second["changed_by"]), (&first["after"], &json!("Wang Wei")));
    assert!(!second.to_string().contains("private"), "{second}");
    let announce = ["partner", "platform-key", "rotate", "--algorithm", "sm2", "--by", "Li Na"];
    let said = fenqi.done(&[&announce[..], &["--signs-from", "2099-01-01T00:00:00+08:00"]].concat());
    assert!(said.contains(" signs from 2098-12-31T16:00:00+00:00 on"), "{said}");
    let third = history(&fenqi, "fenqi").pop().unwrap();
    let (signs, next) = (&second["serial_no"], &third["serial_no"]);
    assert_eq!(third["after"], json!({ "signs": [signs], "next": [next], "from": "2098-12-31T16:00:00Z" }));
    let listed = fenqi.done(&["partner", "platform-key", "list"]);
    for (key, state) in [(&third, "next"), (second, "signs"), (first, "retired")] {
        let line = format!("{} (sm2_sm3) {state}\n", key["serial_no"].as_str().unwrap());
        assert!(listed.contains(&line), "{line}: {listed}");
    }
    let listed: Vec<Value> = serde_json::from_str(&fenqi.done(&["partner", "platform-key", "list", "--json"])).unwrap();
    let of_sm2 = listed.iter().filter(|key| key["algorithm"] == "sm2_sm3");
    let found: Vec<(&Value, &Value)> = of_sm2.map(|key| (&key["serial_no"], &key["state"])).collect();
    let [next, signs, retired] = ["next", "signs", "retired"].map(Value::from);
    let by_age = [(&third, &next), (second, &signs), (first, &retired)].map(|(key, state)| (&key["serial_no"], state));
    assert_eq!(found, by_age, "the newest first");
    assert!(listed.iter().all(|key| key["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----")));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn what_is_there_already_is_not_added_again_and_no_key_is_written_over(pool: PgPool) {
    let app = house::open(pool.clone(), "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let fenqi = Program::on(&pool).await;
    let owners = fenqi.done(&["partner", "owners", "--kind", "funder", "--json"]);
    let harbour = json!([{ "owner": "harbour-bank", "kind": "funder", "name": "Harbour Bank" }]);
    assert_eq!(serde_json::from_str::<Value>(&owners).unwrap(), harbour);
    let add = ["partner", "add", "my-core", "--kind", "funder", "--owner", "harbour-bank", "--by", "Li Na"];
    assert!(fenqi.done(&add).contains("is added"));
    assert_eq!(fenqi.done(&add), "partner my-core was there already\n");
    for other in [["--rate-per-minute", "60"], ["--scopes", "loans:read"], ["--addresses", "192.0.2.1"]] {
        let refused = fenqi.refused(&[&add[..], &other].concat());
        assert!(refused.contains("there is a partner my-core already"), "{other:?}: {refused}");
    }
    assert!(fenqi.refused(&["partner", "add", "my-core", "--kind", "risk", "--by", "Li Na"]).contains("already"));
    for owner in [&["--kind", "risk", "--owner", "harbour-bank"][..], &["--kind", "merchant"], &["--kind", "funder"]] {
        let refused = fenqi.refused(&[&["partner", "add", "my-risk", "--by", "Li Na"][..], owner].concat());
        assert!(
            refused.contains("a merchant's with the merchant's id, a risk partner without"),
            "{owner:?}: {refused}"
        );
    }
    assert_eq!(history(&fenqi, "my-core").len(), 1);

    let key = KeyFile::new();
    let (path, public) = (key.path.to_str().unwrap(), std::fs::read(&key.path).unwrap());
    let generate = |algorithm| ["partner", "key", "generate", "--algorithm", algorithm, "--out", path];
    assert!(fenqi.refused(&generate("sm2")).contains("is no such key"), "a public key is none");
    assert_eq!(std::fs::read(&key.path).unwrap(), public);
    std::fs::remove_file(&key.path).unwrap();
    let made = fenqi.done(&generate("sm2"));
    let private = std::fs::read(&key.path).unwrap();
    assert_eq!(fenqi.done(&generate("sm2")), made, "the public half of the key that is there");
    assert!(fenqi.refused(&generate("rsa")).contains("is no such key"));
    assert_eq!(std::fs::read(&key.path).unwrap(), private);

    // A key in its binary form is no key in PEM, and no text in another encoding.
    std::fs::write(&key.path, PrivateKey::generate(Algorithm::Sm2Sm3).unwrap().public_der().unwrap()).unwrap();
    assert!(fenqi.refused(&generate("sm2")).contains("is no such key; name another file"));
    let signed =
        ["sign", "GET", "http://127.0.0.1:8080/api/v1/me", "--partner", "my-core", "--serial", "MY-1", "--key"];
    let refused = fenqi.refused(&[&signed[..], &[path]].concat());
    assert!(refused.contains("holds no private key in PEM"), "{refused}");
    let added =
        ["partner", "key", "add", "my-core", "--serial", "MY-1", "--holder", "Li Na", "--by", "Li Na", "--public-key"];
    let refused = fenqi.refused(&[&added[..], &[path]].concat());
    assert!(!refused.contains("UTF-8") && refused.contains("PEM"), "{refused}");
}

#[test]
fn a_new_key_is_there_whole_or_not_at_all_and_needs_no_database() {
    let place = house::directory("new-key");
    let path = place.join("key.pem");
    let generate = |limited: &str| {
        let script = format!("{limited} exec \"$0\" partner key generate --algorithm sm2 --out \"$1\"");
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &script, env!("CARGO_BIN_EXE_fenqi")]).arg(&path);
        bash.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none").output().unwrap()
    };
    // As on a disk that is full: not one byte can be written to a file.
    let full = generate("trap '' XFSZ; ulimit -f 0;");
    let told = String::from_utf8_lossy(&full.stderr);
    assert!(full.status.code() == Some(1) && told.contains("error: cannot write "), "{told}");
    assert!(!path.exists(), "half a key would stand in the way of the next");
    let made = generate("");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(PrivateKey::from_text(&std::fs::read_to_string(&path).unwrap()).is_some());
    assert!(String::from_utf8_lossy(&made.stdout).starts_with("-----BEGIN PUBLIC KEY-----"));
    std::fs::remove_dir_all(&place).unwrap();
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn access_is_not_changed_by_nobody(pool: PgPool) {
    let _app = house::open(pool.clone(), "2026-01-05").await;
    let fenqi = Program::on(&pool).await;
    let add = ["partner", "add", "our-risk", "--kind", "risk", "--by"];
    assert!(fenqi.refused(&[&add[..], &[" "]].concat()).contains("is named in 1 to 64 characters"));
    assert!(fenqi.misspelt(&[&add[..], &["Chen\nWei"]].concat()).contains("it must stand on one line"));
    assert!(fenqi.refused(&["partner", "history", "our-risk"]).contains("there is no partner our-risk"));
    fenqi.done(&[&add[..], &["Li Na"]].concat());
    // Whoever has mistyped a name at night is told where the right ones stand.
    let revoke = |partner| ["partner", "key", "revoke", partner, "R-1", "--by", "Li Na"];
    for refused in [fenqi.refused(&revoke("my-risk")), fenqi.refused(&revoke("our-risk"))] {
        assert!(refused.contains("`fenqi partner list` shows"), "{refused}");
    }
    for command in [
        &["partner", "add", "other-risk", "--kind", "risk"][..],
        &["partner", "key", "add", "our-risk", "--serial", "R-1", "--public-key", "-", "--holder", "Chen"],
        &["partner", "key", "revoke", "our-risk", "R-1"],
        &["partner", "grant", "our-risk", "--disable"],
        &["partner", "platform-key", "rotate", "--algorithm", "sm2"],
    ] {
        assert!(fenqi.misspelt(command).contains("--by"), "{command:?}");
    }
    let nothing = fenqi.misspelt(&["partner", "grant", "our-risk", "--by", "Li Na"]);
    assert!(nothing.contains("--take-back"), "{nothing}");
    assert_eq!(history(&fenqi, "our-risk").len(), 1);
}
