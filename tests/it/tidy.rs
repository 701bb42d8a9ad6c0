//! Reads the sources and checks the house's rules: which module may know which, where SQL stands, and how long files and
//! functions are.

mod features;

use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
/// A journey is told from its begin to its end, with the world that it needs.
const TEST_FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const BANNED_FILE_NAMES: [&str; 7] = ["mgr", "info", "data", "util", "utils", "helper", "helpers"];

/// The top of the house: nothing below may know them.
const TOP: [&str; 6] = ["cli", "demo", "bench", "replay", "router", "timetable"];
/// Folders of the top that are programs of their own: they know everything, and talk to whoever started them.
const PROGRAMS: [&str; 4] = ["cli", "demo", "bench", "replay"];

/// One source file.
struct Source {
    /// From `src/`, such as `loan/store.rs`.
    path: String,
    text: String,
    /// Line by line, without comments, up to the first `#[cfg(test)]`. Texts in quotes are kept, because codes are looked for
    /// in them.
    code: Vec<String>,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split_once('/').map_or("", |(folder, _)| folder)
    }

    fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().unwrap().to_str().unwrap()
    }

    fn is_feature(&self) -> bool {
        features::ORDER.contains(&self.folder())
    }

    fn role(&self) -> Role {
        let stem = self.stem();
        let is = |role: &str| {
            stem == role || stem.ends_with(&format!("_{role}")) || self.path.contains(&format!("/{role}/"))
        };
        if is("store") {
            Role::Store
        } else if is("actions") || ACTORS.contains(&self.path.as_str()) {
            Role::Actions
        } else if ["close", "jobs", "h5", "api", "console"].iter().any(|role| is(role)) {
            Role::Face
        } else if stem == "mod" {
            Role::Front
        } else {
            Role::Pure
        }
    }

    /// Every `crate::…` path in the code, groups in braces written out.
    fn references(&self) -> Vec<String> {
        let code = self.code.join("\n");
        let mut found = Vec::new();
        for (place, _) in code.match_indices("crate::") {
            if code[..place].ends_with("$") || code[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let mut written_out = Vec::new();
            expand(&code[place..], "", &mut written_out);
            let after_crate = |path: &String| path.trim_start_matches("crate::").trim_end_matches("::self").to_owned();
            found.extend(written_out.iter().map(after_crate));
        }
        found
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Rules without I/O, clock or SQL.
    Pure,
    Store,
    Actions,
    Face,
    Front,
}

/// Files that act, under a name of their own: they load, ask the rules and save, as `actions.rs` does.
const ACTORS: &[&str] = &[
    "access/admission.rs",
    "access/answers.rs",
    "access/directory.rs",
    "credit/risk.rs",
    "product/catalogue.rs",
    "purchase/authoriser.rs",
    "purchase/live_receipts.rs",
];

#[test]
fn files_are_short_open_with_a_sentence_and_are_named_in_full_words() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{} has {lines} lines, allowed are {FILE_LINES_MAX}", source.path));
        }
        if !source.text.starts_with("//! ") {
            wrong.push(format!("{} does not open with a //! sentence", source.path));
        }
        if BANNED_FILE_NAMES.contains(&source.stem()) {
            wrong.push(format!("{} is named {}", source.path, source.stem()));
        }
    }
    for test in test_sources() {
        let lines = test.text.lines().count();
        if lines > TEST_FILE_LINES_MAX {
            wrong.push(format!("tests/it/{} has {lines} lines, allowed are {TEST_FILE_LINES_MAX}", test.path));
        }
        if !test.text.starts_with("//! ") {
            wrong.push(format!("tests/it/{} does not open with a //! sentence", test.path));
        }
    }
    none(wrong);
}

/// The checks read a file up to its tests: whatever came after these would not be checked.
#[test]
fn tests_end_the_file_that_they_stand_in() {
    let mut wrong = Vec::new();
    for (root, sources) in [("src", sources()), ("tests/it", test_sources())] {
        for Source { path, text, code } in &sources {
            let mut rest = text.lines().skip(code.len()).skip_while(|line| line.trim() == "#[cfg(test)]");
            let opens = rest.next().is_none_or(|line| line.ends_with("mod tests {"));
            let after = rest.skip_while(|line| *line != "}").nth(1);
            if !opens || after.is_some() {
                wrong.push(format!("{root}/{path} has something but its tests at `#[cfg(test)]` or after them"));
            }
        }
    }
    none(wrong);
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    for (root, sources) in [("src", sources()), ("tests/it", test_sources())] {
        for source in &sources {
            for (number, line) in source.code.iter().enumerate() {
                let declared = line.trim_start();
                if !opens_function(declared) || line.ends_with(';') || line.ends_with('}') {
                    continue;
                }
                let end = format!("{}}}", " ".repeat(line.len() - declared.len()));
                let length = source.code[number..].iter().position(|line| *line == end).map(|rows| rows + 1);
                if length.is_none_or(|length| length > FUNCTION_LINES_MAX) {
                    let length = length.map_or("no end".to_owned(), |length| format!("{length} lines"));
                    let place = format!("{root}/{}:{}", source.path, number + 1);
                    wrong.push(format!("{place} has {length}, allowed are {FUNCTION_LINES_MAX} lines"));
                }
            }
        }
    }
    none(wrong);
}

/// Whether a line declares a function, whoever may see it and of whatever kind it is.
fn opens_function(declared: &str) -> bool {
    let mut rest = match declared.strip_prefix("pub(") {
        Some(seen_by) => seen_by.split_once(") ").map_or("", |(_, rest)| rest),
        None => declared.strip_prefix("pub ").unwrap_or(declared),
    };
    for kind in ["const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(kind).unwrap_or(rest);
    }
    rest.starts_with("fn ")
}

#[test]
fn every_way_to_open_a_function_is_known() {
    for seen_by in ["", "pub ", "pub(super) ", "pub(crate) ", "pub(in crate::loan) "] {
        for kind in ["", "const ", "async ", "unsafe ", "const unsafe ", "async unsafe "] {
            assert!(opens_function(&format!("{seen_by}{kind}fn price(")), "{seen_by}{kind}");
        }
    }
    assert!(!opens_function("pub(super) struct Price {"));
    assert!(!opens_function("fnord()"));
}

#[test]
fn nothing_panics_by_convenience_or_counts_money_in_floats() {
    let mut wrong = Vec::new();
    for source in sources() {
        // Prometheus knows no other number; strict reading looks at floats to refuse them; timings are not money.
        let may_float = ["http/metrics.rs", "http/api/strict.rs"].contains(&source.path.as_str())
            || source.path.starts_with("cli/bench");
        for (number, line) in source.code.iter().enumerate() {
            let banned =
                [".unwrap()", "todo!(", "unimplemented!(", "dbg!("].into_iter().find(|word| line.contains(word));
            let float = ["f64", "f32"].into_iter().find(|word| !may_float && has_word(line, word));
            if let Some(word) = banned.or(float) {
                wrong.push(format!("{}:{} has {word}", source.path, number + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn sql_stands_in_stores() {
    let mut wrong = Vec::new();
    for source in sources() {
        let may = source.role() == Role::Store || source.path == "database.rs";
        for (number, line) in source.code.iter().enumerate() {
            let has_sql =
                ["sqlx::query", "sqlx::raw_sql", "QueryBuilder", "copy_in_raw"].iter().any(|word| line.contains(word));
            if has_sql && !may {
                wrong.push(format!("{}:{} has SQL", source.path, number + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn rules_are_pure() {
    let mut wrong = Vec::new();
    let banned = ["crate::app", "PgConnection", "PgPool", ".await", "Clock", "::store", "::actions"];
    for source in sources().iter().filter(|source| source.is_feature() && source.role() == Role::Pure) {
        for (number, line) in source.code.iter().enumerate() {
            if let Some(word) = banned.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{} is a rule and knows {word}", source.path, number + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn stores_take_a_connection_and_never_commit() {
    let mut wrong = Vec::new();
    let banned = ["crate::app", "PgPool", "::begin(", ".begin()", ".commit()", "::actions", "super::actions"];
    for source in sources().iter().filter(|source| source.role() == Role::Store && source.is_feature()) {
        for (number, line) in source.code.iter().enumerate() {
            if let Some(word) = banned.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{}:{} is a store and knows {word}", source.path, number + 1));
            }
        }
        let own = format!("{}::", source.folder());
        for reference in source.references() {
            if reference.contains("::store") && !reference.starts_with(&own) {
                wrong.push(format!("{} reaches into another store: {reference}", source.path));
            }
        }
    }
    none(wrong);
}

#[test]
fn knowledge_flows_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let folder = source.folder();
        for reference in source.references() {
            let target = reference.split("::").next().unwrap_or_default();
            let refused = match (folder, source.path.as_str()) {
                ("base", _) => target != "base",
                (_, "error.rs") => target != "base" && target != "error",
                ("ledger" | "notice", _) => features::ORDER.contains(&target) || TOP.contains(&target),
                // The sandbox speaks the partners' words, and signs with the same pen.
                ("sandbox", _) => {
                    !["base", "sandbox", "partner"].contains(&target)
                        || (reference.matches("::").count() > 1
                            && reference.contains("::client::")
                            && !reference.starts_with("partner::client"))
                }
                (_, "main.rs" | "router.rs" | "timetable.rs" | "lib.rs") => false,
                _ if PROGRAMS.contains(&folder) => false,
                (_, "http/server.rs") => target == "cli",
                _ => TOP.contains(&target),
            };
            if refused {
                wrong.push(format!("{} may not know crate::{reference}", source.path));
            }
        }
    }
    none(wrong);
}

#[test]
fn partners_words_stay_with_partners_and_faces_stay_out_of_actions() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.is_feature()) {
        for reference in source.references() {
            // Whoever calls a partner fills in its messages; rules, SQL and pages speak our words only.
            let may_call = source.role() == Role::Actions || source.stem() == "jobs";
            let is_wire = reference.starts_with("partner::") && reference.contains("::wire") && !may_call;
            let is_face = matches!(source.role(), Role::Actions | Role::Store | Role::Pure)
                && ["h5", "console", "api"].iter().any(|face| reference.split("::").nth(1) == Some(*face));
            if is_wire || is_face {
                wrong.push(format!("{} may not know crate::{reference}", source.path));
            }
        }
    }
    none(wrong);
}

#[test]
fn no_partner_is_called_inside_a_transaction() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut is_open = false;
        for (number, line) in source.code.iter().enumerate() {
            is_open |= line.contains("database::begin(") || line.contains(".begin().await");
            let calls = ["_client::", " client::", ".partners"].iter().any(|word| line.contains(word));
            if is_open && calls {
                wrong.push(format!("{}:{} calls a partner before the transaction has ended", source.path, number + 1));
            }
            // A transaction begins and ends in one function.
            is_open &= !line.contains(".commit()") && !line.contains(".rollback()") && !line.starts_with('}');
        }
    }
    none(wrong);
}

#[test]
fn every_listed_code_of_the_api_is_answered_somewhere() {
    let lists = ["http/api/codes.rs", "http/api/problems.rs"];
    let elsewhere = sources().into_iter().filter(|source| !lists.contains(&source.path.as_str()));
    let code: String = elsewhere.map(|source| source.code.join("\n")).collect();
    // What an operation says that it answers is no answer yet.
    let parts = code.split("\"x-problems\" = json!([");
    let code: String = parts
        .enumerate()
        .map(|(number, part)| if number == 0 { part } else { part.split_once("])").map_or("", |(_, rest)| rest) })
        .collect();
    let listed = fenqi::http::api::codes::CODES.iter().map(|known| known.code);
    // Alone, or before what a reader of a field says of it.
    let unanswered = listed
        .filter(|listed| !code.contains(&format!("\"{listed}\"")) && !code.contains(&format!("\"{listed}: ")))
        .map(|listed| format!("{listed} is listed, and nothing answers it"));
    none(unanswered.collect());
}

#[test]
fn every_file_of_known_answers_is_read_by_a_test() {
    let tests: String = test_sources().into_iter().map(|source| source.text).collect();
    let files = std::fs::read_dir(crate::golden::shared().join("golden")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let answers: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
    assert!(answers.len() >= 15, "{answers:?}");
    let unread = answers.into_iter().filter(|name| !tests.contains(&format!("\"{name}\"")));
    none(unread.map(|name| format!("golden/{name} is read by no test")).collect());
}

#[test]
fn only_programs_print() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !PROGRAMS.contains(&source.folder())) {
        for (number, line) in source.code.iter().enumerate() {
            if line.contains("println!(") || line.contains("print!(") {
                wrong.push(format!("{}:{} prints", source.path, number + 1));
            }
        }
    }
    none(wrong);
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn sources() -> Vec<Source> {
    sources_under("src")
}

fn test_sources() -> Vec<Source> {
    sources_under("tests/it")
}

fn sources_under(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 50, "the source was not found");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = code_of(&text);
        Source { path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text, code }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code before the tests, with comments cut off. Good enough for formatted code: a `//` inside a text on one line
/// is told apart by the quotes before it.
fn code_of(text: &str) -> Vec<String> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let without_comment = |line: &str| {
        let comment = line.match_indices("//").map(|(place, _)| place);
        let comment = comment.into_iter().find(|place| line[..*place].matches('"').count().is_multiple_of(2));
        comment.map_or(line, |place| &line[..place]).trim_end().to_owned()
    };
    code.map(without_comment).collect()
}

/// Writes out `a::{b, c::d}` as `a::b` and `a::c::d`; stops where the path does. Returns what is left.
fn expand<'a>(mut rest: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let mut path = prefix.to_owned();
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push_str(&rest[..end]);
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix("::") else {
            found.push(path);
            return without_alias(rest);
        };
        path.push_str("::");
        rest = after;
        let Some(mut inside) = rest.strip_prefix('{') else { continue };
        loop {
            inside = inside.trim_start();
            if let Some(after) = inside.strip_prefix('}') {
                return after;
            }
            let before = inside.len();
            inside = expand(inside, &path, found).trim_start();
            inside = inside.strip_prefix(',').unwrap_or(inside);
            if inside.len() == before {
                // Not a list of names after all.
                return inside;
            }
        }
    }
}

/// What follows after the other name that a path is given, if it is.
fn without_alias(rest: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    rest.strip_prefix(" as ").map_or(rest, |named| named.trim_start_matches(is_name))
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(place, _)| {
        !is_part(line[..place].chars().next_back()) && !is_part(line[place + word.len()..].chars().next())
    })
}

#[test]
fn groups_of_names_are_written_out() {
    let mut found = Vec::new();
    expand("base::{Fen, id::{LineId, LoanId}, day};", "", &mut found);
    assert_eq!(found, ["base::Fen", "base::id::LineId", "base::id::LoanId", "base::day"]);
    found.clear();
    expand("crate::{bill, credit::{self as lines, store}};", "", &mut found);
    assert_eq!(found, ["crate::bill", "crate::credit::self", "crate::credit::store"]);
}
