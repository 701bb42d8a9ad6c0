//! Every scenario file runs as a test of its own name, in an empty database, and ends clean.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fenqi::base::WorkingCalendar;
use fenqi::error::Refusal;
use fenqi::purchase::PurchaseRefusal;
use fenqi::replay::event::Event;
use fenqi::replay::expect::SUBJECTS;
use fenqi::replay::play::{Failure, play};
use fenqi::replay::script::{Command, Script};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::funder_core::assert_cores_know_their_books;
use crate::journey::{booked_as_documented, told_as_documented};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

async fn passes(pool: PgPool, name: &str) {
    let path = folder().join(format!("{name}.fenqi"));
    let text = std::fs::read_to_string(&path).unwrap();
    let script = Script::parse(&text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
    // Connected as `fenqi replay` is, which does not ask each time whether the connection is there.
    let options = PgPoolOptions::new().max_connections(5).test_before_acquire(false);
    let own = options.connect_with(pool.connect_options().as_ref().clone()).await.unwrap();
    let played = play(own.clone(), &script, folder()).await.unwrap();
    if let Some(Failure { line, text, expected, found }) = played.failure {
        panic!("{}:{line}: {text}\n  expected: {expected}\n  found:    {found}", path.display());
    }
    assert!(played.met > 0, "{name} expects nothing");
    told_as_documented(&own).await;
    booked_as_documented(&own).await;
    assert_cores_know_their_books(&own).await;
    own.close().await;
}

macro_rules! scenarios {
    ($($test:ident $name:literal,)*) => {
        $(
            #[sqlx::test(migrator = "fenqi::MIGRATOR")]
            async fn $test(pool: PgPool) {
                passes(pool, $name).await;
            }
        )*

        const NAMES: &[&str] = &[$($name,)*];
    };
}

scenarios! {
    on_time "on-time",
    part "part",
    small_transfer "small-transfer",
    frozen_twice "frozen-twice",
    late "late",
    part_overdue "part-overdue",
    penalty_on_interest "penalty-on-interest",
    late_at_night "late-at-night",
    two_bills_late "two-bills-late",
    unfrozen_in_grace "unfrozen-in-grace",
    missing_in_file "missing-in-file",
    taken_back "taken-back",
    refund_in_flight "refund-in-flight",
    refund_in_flight_late "refund-in-flight-late",
    pay_early "pay-early",
    paid_twice "paid-twice",
    told_of_late "told-of-late",
    payoff_told_twice "payoff-told-twice",
    payoff_across_statement "payoff-across-statement",
    payoff_across_last_statement "payoff-across-last-statement",
    payoff_fee_across_last_statement "payoff-fee-across-last-statement",
    free_period_paid_off "free-period-paid-off",
    fee_of_the_period "fee-of-the-period",
    fee_of_all_periods "fee-of-all-periods",
    guaranteed "guaranteed",
    guaranteed_charged_off "guaranteed-charged-off",
    refund_during_payoff "refund-during-payoff",
    refund_during_payoff_late "refund-during-payoff-late",
    refund_before_next_channel "refund-before-next-channel",
    refused "refused",
    unknown_then_success "unknown-then-success",
    unknown_then_failure "unknown-then-failure",
    never_heard "never-heard",
    callback_lost "callback-lost",
    callback_twice "callback-twice",
    channel_switch "channel-switch",
    void "void",
    refund_before_payout "refund-before-payout",
    refund_in_parts "refund-in-parts",
    refund_in_proportion "refund-in-proportion",
    refund_after_taken_back "refund-after-taken-back",
    refund_after_payout "refund-after-payout",
    refund_after_repaying "refund-after-repaying",
    subsidy "subsidy",
    holiday "holiday",
    payouts "payouts",
    payout_denied "payout-denied",
    payouts_held "payouts-held",
    two_funders "two-funders",
    reserve_dry "reserve-dry",
    advance "advance",
    price_tiers "price-tiers",
    methods "methods",
    silent_risk "silent-risk",
    asks_person "asks-person",
    line_changes "line-changes",
    line_ended "line-ended",
    told "told",
    cards "cards",
    late_on_another_product "late-on-another-product",
    late_after_longer_grace "late-after-longer-grace",
    owed_again_in_longer_grace "owed-again-in-longer-grace",
    taken_back_late "taken-back-late",
    taken_back_on_stage_day "taken-back-on-stage-day",
    two_loans_owed_again "two-loans-owed-again",
    transfer_twice "transfer-twice",
    transfer_taken_back "transfer-taken-back",
    transfer_recorded_late "transfer-recorded-late",
    left_over_denied "left-over-denied",
    payback_refused "payback-refused",
    billed_interest_falls "billed-interest-falls",
    billed_interest_parts "billed-interest-parts",
    interest_first_parts "interest-first-parts",
    billed_fee_falls "billed-fee-falls",
    given_back_owed_again "given-back-owed-again",
    refunded_owed_again "refunded-owed-again",
    subsidy_in_parts "subsidy-in-parts",
    purchase_risk "purchase-risk",
    charged_off "charged-off",
    charged_off_on_due_day "charged-off-on-due-day",
    charged_off_paid_off "charged-off-paid-off",
    charged_off_lost "charged-off-lost",
    charged_off_owed_again "charged-off-owed-again",
    charged_off_given_back "charged-off-given-back",
    claimed "claimed",
    claimed_written_off "claimed-written-off",
    claimed_given_back "claimed-given-back",
    claimed_twice "claimed-twice",
    claimed_taken_back "claimed-taken-back",
    claimed_taken_back_late "claimed-taken-back-late",
}

#[test]
fn every_scenario_file_is_a_test() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "fenqi"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn every_reason_for_which_a_purchase_is_refused_occurs_in_a_scenario() {
    let mut occurring = BTreeSet::new();
    for name in NAMES {
        let text = std::fs::read_to_string(folder().join(format!("{name}.fenqi"))).unwrap();
        let script = Script::parse(&text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"));
        for steps in script.steps.windows(2) {
            let (event, expected) = (&steps[0].command, &steps[1].command);
            if let (Some(Command::Event(Event::Purchase(_))), Some(Command::ExpectRefused(code))) = (event, expected) {
                occurring.insert(code.clone());
            }
        }
    }
    let codes = PurchaseRefusal::ALL.iter().map(|refusal| refusal.code());
    let missing: Vec<&str> = codes.filter(|code| !occurring.contains(*code)).collect();
    assert!(missing.is_empty(), "no scenario has a purchase refused for {missing:?}");
}

/// The sentence that refuses a word lists all that are allowed in its place, and so does the document.
#[test]
fn every_word_of_a_scenario_is_documented() {
    let document = std::fs::read_to_string(folder().join("../../docs/SCENARIOS.md")).unwrap();
    let mut missing = Vec::new();
    for (line, before) in [
        ("nonsense", ""),
        ("expect nonsense", "expect "),
        ("channel anna nonsense", ""),
        ("payout shop nonsense", ""),
        ("risk anna nonsense", ""),
    ] {
        let mistakes = Script::parse(&format!("start 2026-03-02\n{line}")).unwrap_err();
        let sentence = &mistakes[0].sentence;
        let allowed = sentence.split_once("allowed: ").unwrap_or_else(|| panic!("{sentence}")).1;
        let words = allowed.split(';').next().unwrap_or_default().split(", ");
        let is_told = |word: &str| {
            let told =
                [format!("`{word}`"), format!("`{word} "), format!("`{before}{word}`"), format!("`{before}{word} ")];
            told.iter().any(|told| document.contains(told))
        };
        missing.extend(words.filter(|word| !is_told(word)).map(|word| format!("{word} of {line}")));
    }
    for (subject, names, fields) in SUBJECTS {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{subject} {names}` | ")));
        let is_told = |field: &str| row.is_some_and(|row| row.contains(&format!("`{field}`")));
        let untold = fields.iter().filter(|(field, _)| !is_told(field));
        missing.extend(untold.map(|(field, _)| format!("{field} of {subject} {names}")));
    }
    assert!(missing.is_empty(), "docs/SCENARIOS.md does not tell of {missing:?}");
}

/// Whoever copies the example out of the documents plays what is played here.
#[test]
fn the_documents_example_is_the_shipped_file() {
    let document = std::fs::read_to_string(folder().join("../../docs/SCENARIOS.md")).unwrap();
    let (_, after) = document.split_once("## An example\n").unwrap();
    let example = after.split("```").nth(1).unwrap();
    assert_eq!(example.trim_start(), std::fs::read_to_string(folder().join("late.fenqi")).unwrap());
}

/// What `fenqi replay` prints, what it complains of, and how it ends.
fn replay(arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut fenqi = std::process::Command::new(env!("CARGO_BIN_EXE_fenqi"));
    let output = fenqi.arg("replay").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// The first line that is wrong is named, with what was found, and nothing after it is played. Where a line cannot be read, no file
/// is.
#[test]
fn the_first_line_that_fails_is_named() {
    let place = std::env::temp_dir().join(format!("fenqi-replay-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let write = |name: &str, lines: &[&str]| {
        let path = place.join(name);
        std::fs::write(&path, lines.join("\r\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let begin = ["start 2026-03-02", "funder harbour-bank", "deposit harbour-bank 10.00"];
    let wrong = ["expect reserve harbour-bank available=10.01 held=0.00", "expect reserve harbour-bank available=9.00"];
    let wrong = write("wrong.fenqi", &[&begin[..], &wrong].concat());
    let right = write("right.fenqi", &[&begin[..], &["expect reserve harbour-bank available=10.00"]].concat());
    let unread = write("unread.fenqi", &["start 2026-03-02", "deposit harbour-bank ten", "deposit"]);

    let (told, complaint, code) = replay(&[&wrong, &right]);
    let failure = format!(
        "{wrong}:4: expect reserve harbour-bank available=10.01 held=0.00\n  expected: available=10.01\n  \
         found:    available=10.00\n"
    );
    assert_eq!(told, format!("{failure}{right}: passed, 1 expectation\n"), "{complaint}");
    assert_eq!(code, Some(1));

    let (told, complaint, code) = replay(&[&right, &unread, "--json"]);
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<Option<u64>> = told.iter().map(|told| told["line"].as_u64()).collect();
    assert_eq!(lines, [Some(2), Some(3)], "{told:?}");
    assert!(told[0]["mistake"].as_str().unwrap().contains("ten"), "{told:?}");
    assert!(complaint.contains("nothing was played, because 1 of 2 files cannot be read"), "{complaint}");
    assert_eq!(code, Some(1));

    // Files that cannot be read at all are told beside the lines of the others: a folder, one that is not there, one in GBK.
    let (folder, missing) = (place.to_str().unwrap().to_owned(), place.join("missing.fenqi").display().to_string());
    let narrow = write("narrow.fenqi", &["start 2026-03-02"]);
    std::fs::write(&narrow, b"start 2026-03-02\n# \xba\xa3\n").unwrap();
    let unread_at_all = [
        (&folder, "Is a directory"),
        (&missing, "No such file"),
        (&narrow, "line 2 is not text in UTF-8; save the file in UTF-8"),
    ];
    let files = [folder.as_str(), &missing, &narrow, &unread];
    let (told, complaint, code) = replay(&files);
    for (file, why) in unread_at_all {
        assert!(told.contains(&format!("{file}: the file cannot be read: {why}")), "{told}");
    }
    assert!(told.contains(&format!("{unread}:2: deposit harbour-bank ten")), "{told}");
    assert!(complaint.contains("nothing was played, because 4 of 4 files cannot be read"), "{complaint}");
    assert_eq!(code, Some(1));
    let (told, _, _) = replay(&[&files[..], &["--json"]].concat());
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    for (object, (file, why)) in told.iter().zip(unread_at_all) {
        assert!(object["file"] == *file && object["passed"] == false && object["line"].is_null(), "{object}");
        assert!(object["mistake"].as_str().unwrap().contains(why), "{object}");
    }
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_date_that_no_known_working_day_follows_is_told_before_anything_is_played() {
    let last = WorkingCalendar::shipped().known_until("2026-01-05".parse().unwrap()).unwrap();
    let text = format!("start {}\n{last} expect verify\n{} expect verify\n", last.minus_days(1), last.next());
    let mistakes = Script::parse(&text).unwrap_err();
    assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [3]);
    assert!(mistakes[0].sentence.contains(&format!("no date after {last}")), "{mistakes:?}");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_refusal_that_nobody_expects_fails_where_it_happened(pool: PgPool) {
    let text = "start 2026-03-02\nfunder harbour-bank\nwithdraw harbour-bank 10.00\ndeposit harbour-bank 1.00\n";
    let failure = play(pool, &Script::parse(text).unwrap(), folder()).await.unwrap().failure.unwrap();
    assert_eq!((failure.line, failure.found.as_str()), (3, "refused reserve_not_available"));
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_nothing_was_told_is_expected_of_what_might_be_told_alone(pool: PgPool) {
    let text = "start 2026-03-02\nfunder harbour-bank\nexpect no message harbour-bank loan_made\n\
                expect no message harbour-bank lone_made\n";
    let failure = play(pool, &Script::parse(text).unwrap(), folder()).await.unwrap().failure.unwrap();
    assert_eq!(failure.line, 4);
    assert!(failure.found.starts_with("found lone_made where one of these is allowed: "), "{}", failure.found);
    assert!(failure.found.contains("loan_made"), "{}", failure.found);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn that_operators_were_told_nothing_is_expected_of_what_they_might_be_told_alone(pool: PgPool) {
    let text = "start 2026-03-02\nfunder harbour-bank\nmerchant shop discount=0.006\n\
                expect no notice harbour-bank reserve_low\nexpect no notice shop settlement_paid\n\
                expect no notice operator payout_failed\nexpect no notice operator payouts_failed\n";
    let failure = play(pool, &Script::parse(text).unwrap(), folder()).await.unwrap().failure.unwrap();
    assert_eq!(failure.line, 7, "{}", failure.found);
    assert!(failure.found.starts_with("found payouts_failed where one of these is allowed: "), "{}", failure.found);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn an_answer_that_nobody_asked_for_fails_the_end(pool: PgPool) {
    let text = "start 2026-03-02\nfunder harbour-bank\npayout harbour-bank refused\n";
    let failure = play(pool, &Script::parse(text).unwrap(), folder()).await.unwrap().failure.unwrap();
    assert_eq!(failure.found, "1 answer that nobody asked for");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_name_stands_for_one_merchant(pool: PgPool) {
    let text = "start 2026-03-02\nmerchant shop discount=0.006\nmerchant shop discount=0.004\n";
    let failure = play(pool, &Script::parse(text).unwrap(), folder()).await.unwrap().failure.unwrap();
    assert_eq!((failure.line, failure.found.as_str()), (3, "there is a merchant shop already"));
}
