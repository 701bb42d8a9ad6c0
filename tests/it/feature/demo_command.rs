//! `fenqi demo --no-serve` as somebody types it: a story on files of one's own, its report, and what stands in its way.

use std::path::{Path, PathBuf};

use sqlx::PgPool;

use super::house_command::Program;

/// Files of one test, removed at the end.
struct Files(PathBuf);

impl Files {
    /// The first rows of the project's own sample, in two files.
    fn new(name: &str, clients: usize, purchases: usize) -> Files {
        let place = std::env::temp_dir().join(format!("fenqi-demo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        for (file, rows) in [("clients.csv", clients), ("purchases.csv", purchases)] {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/sample").join(file);
            let sample = std::fs::read_to_string(sample).unwrap();
            let head: Vec<&str> = sample.lines().take(rows + 1).collect();
            std::fs::write(place.join(file), head.join("\n") + "\n").unwrap();
        }
        Files(place)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }

    fn demo(&self) -> Vec<String> {
        let (clients, purchases) = (self.path("clients.csv"), self.path("purchases.csv"));
        ["demo", "--no-serve", "--days", "4", "--clients", &clients, "--purchases", &purchases]
            .map(str::to_owned)
            .to_vec()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_story_on_files_of_ones_own_is_reported_verified_and_not_told_twice(pool: PgPool) {
    let files = Files::new("whole", 40, 120);
    let fenqi = Program::on(&pool).await;
    let command = files.demo();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = fenqi.done(&command);
    for told in [
        "Applications",
        "Purchases",
        "Reserve",
        "settled to merchants",
        "billed",
        "collected",
        "outstanding",
        "income",
        "unknown results resolved",
        "Unpaid principal by days past due",
        "Breaks found",
        "MiB",
        "verify: every identity holds.",
    ] {
        assert!(said.contains(told), "the report does not tell {told}:\n{said}");
    }
    assert!(!said.contains("Serving on"));
    let complaint = fenqi.refused(&command);
    assert!(
        complaint.contains("already holds a house") && complaint.contains("name another one in DATABASE_URL"),
        "{complaint}"
    );
    sqlx::query("update credit_line set limit_fen = limit_fen + 1").execute(&pool).await.unwrap();
    assert!(fenqi.found(&["verify"]).contains("a line stands where its journal ends"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_bad_row_is_named_or_left_out_and_kept(pool: PgPool) {
    let files = Files::new("bad", 10, 20);
    let purchases = std::fs::read_to_string(files.path("purchases.csv")).unwrap();
    std::fs::write(files.path("purchases.csv"), purchases + "feedfacefeedface,1,three,5000\n").unwrap();
    let fenqi = Program::on(&pool).await;
    let mut command = files.demo();
    let complaint = fenqi.refused(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(complaint.contains("row 22") && complaint.contains("periods"), "{complaint}");
    assert!(!complaint.contains("stack backtrace"), "{complaint}");
    command.push("--skip-bad".to_owned());
    fenqi.done(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = std::fs::read_to_string(files.path("purchases.csv.bad.csv")).unwrap();
    assert!(kept.contains("feedfacefeedface,1,three,5000"), "{kept}");
}
