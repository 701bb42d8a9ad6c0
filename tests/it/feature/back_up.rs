//! The commands for back-up and restore in the operations manual work as they are printed there.

use std::process::{Command, Stdio};

use super::launcher::Place;

/// What stands between ``` in the section, in order.
fn shown() -> Vec<String> {
    let document = std::fs::read_to_string(format!("{}/docs/OPERATIONS.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, section) = document.split_once("## Back-up and restore\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.split("```").skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn a_house_is_restored_from_its_back_up_by_the_commands_of_the_document() {
    let [dump, restore, copy] = shown().try_into().expect("three blocks of commands");
    let place = Place::new("back-up");
    let script = format!(
        r#"set -euo pipefail
        PATH="${{FENQI_PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}}:$PATH"
        fenqi() {{ "$PROGRAM" "$@"; }}
        fenqi db start >/dev/null
        fenqi migrate
        fenqi house open --date 2026-03-02
        fenqi funder open harbour-bank --name "Harbour Bank"
        mv var/master.key kept.key
        {dump}
        cp kept.key var/master.key
        fenqi funder open later-bank --name "Opened after the back-up"
        rm var/master.key
        {restore}
        fenqi db start >/dev/null
        {copy}
        test -s base/PG_VERSION
        test "$(psql -At "$(fenqi db url)" -c 'select last_value > 1000000000 from outbox_message_no_seq')" = t
        cmp kept.key var/master.key
        echo "funders after the restore:"
        fenqi funder list
        fenqi db stop"#,
        restore = restore.replace("/where/you/keep/master.key", "kept.key"),
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&place.0)
        .env("PROGRAM", env!("CARGO_BIN_EXE_fenqi"))
        .env_remove("DATABASE_URL")
        .env_remove("FENQI_DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complaint}");
    let (_, funders) = said.split_once("funders after the restore:").unwrap();
    assert!(funders.contains("harbour-bank") && !funders.contains("later-bank"), "{said}");
}
