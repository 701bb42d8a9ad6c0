//! `fenqi quote` and `fenqi product check`, as a person or a script runs them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use rust_decimal::Decimal;
use serde_json::Value;

fn fenqi(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fenqi"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments may end before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

const PLAIN: &str = "quote --method equal_installment --principal-fen 1000000 --periods 12 --annual-rate 0.14 \
                     --day-count monthly --start 2026-01-15 --first-due 2026-02-10";

#[test]
fn plain_terms_are_answered_in_json() {
    let line = format!("{PLAIN} --json");
    let output = fenqi(&words(&line), "");
    assert!(output.status.success());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 12);
    let first = serde_json::json!({
        "period": 1, "due_date": "2026-02-10", "principal_fen": 78_120, "interest_fen": 11_667, "fee_fen": 0,
        "total_fen": 89_787, "balance_fen": 921_880
    });
    assert_eq!(rows[0], first);
    assert_eq!(rows[11]["due_date"], "2027-01-10");
    assert_eq!(rows[11]["balance_fen"], 0);
    assert_eq!(answer["total_fen"], 1_077_445);
    // Rounding to fen moves the rates a little off the 14 % of the contract and its 14.934 % compounded.
    let near = |name: &str, expected: &str| {
        let found: Decimal = answer[name].as_str().unwrap().parse().unwrap();
        assert!((found - expected.parse::<Decimal>().unwrap()).abs() < Decimal::new(1, 5), "{name}: {found}");
        assert_eq!(found.scale(), 8, "{name} has eight decimals");
    };
    near("apr_nominal", "0.14");
    near("apr_effective", "0.149342");
}

#[test]
fn a_fee_a_period_is_a_guarantee_charge_beside_interest_and_the_price_of_a_flat_fee() {
    let ask = |line: &str, object: &str| -> Value {
        let single = fenqi(&words(line), "");
        assert!(single.status.success(), "{}", String::from_utf8_lossy(&single.stderr));
        assert_eq!(fenqi(&["quote", "--batch"], object).stdout, single.stdout, "the same as a line of a batch");
        serde_json::from_slice(&single.stdout).unwrap()
    };
    let charged = ask(
        &format!("{PLAIN} --fee-rate-per-period 0.006 --json"),
        r#"{"method":"equal_installment","principal_fen":1000000,"periods":12,"annual_rate":0.14,"day_count":"monthly","start":"2026-01-15","first_due":"2026-02-10","fee_rate_per_period":0.006}"#,
    );
    let first = serde_json::json!({
        "period": 1, "due_date": "2026-02-10", "principal_fen": 78_120, "interest_fen": 11_667, "fee_fen": 6_000,
        "total_fen": 95_787, "balance_fen": 921_880
    });
    assert_eq!((&charged["rows"][0], &charged["total_fen"]), (&first, &Value::from(1_077_445 + 12 * 6_000)));
    // FF-01 of the computed schedules.
    let flat = "quote --method flat_fee --principal-fen 1000000 --periods 6 --start 2026-01-15";
    let object =
        r#"{"method":"flat_fee","principal_fen":1000000,"periods":6,"start":"2026-01-15","fee_rate_per_period":0.009}"#;
    let priced = ask(&format!("{flat} --fee-rate-per-period 0.009 --json"), object);
    let first = serde_json::json!({
        "period": 1, "due_date": "2026-02-15", "principal_fen": 166_667, "interest_fen": 0, "fee_fen": 9_000,
        "total_fen": 175_667, "balance_fen": 833_333
    });
    assert_eq!((&priced["rows"][0], &priced["total_fen"]), (&first, &Value::from(1_054_000)));
    assert_eq!((&priced["apr_nominal"], &priced["apr_effective"]), (&"0.18283940".into(), &"0.19896713".into()));
    // Without it a flat fee has no price.
    let unpriced = fenqi(&words(flat), "");
    assert_eq!(unpriced.status.code(), Some(2));
    assert!(String::from_utf8(unpriced.stderr).unwrap().contains("--fee-rate-per-period is missing"));
}

#[test]
fn what_is_not_said_falls_due_by_months_from_the_start_and_clears_under_the_actual_days() {
    let ask = |more: &str| -> Value {
        let plain = "quote --method equal_installment --principal-fen 1000000 --periods 12 --annual-rate 0.14 --json";
        let line = format!("{plain} --start 2026-01-31 {more}");
        let output = fenqi(&words(&line), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let monthly = ask("");
    assert_eq!(monthly, ask("--day-count monthly"));
    let due = |period: usize| monthly["rows"][period - 1]["due_date"].as_str().unwrap();
    assert_eq!([due(1), due(2), due(3), due(12)], ["2026-02-28", "2026-03-31", "2026-04-30", "2027-01-31"]);
    let ends = |answer: &Value| [0, 11].map(|row: usize| answer["rows"][row]["total_fen"].as_i64().unwrap());
    let by_days = ask("--day-count act/365");
    assert_eq!(by_days, ask("--day-count act/365 --level actual"));
    assert_eq!(ends(&by_days), [89_739, 89_744]);
    // The payment of twelfths does not clear what runs by days: the last period absorbs the difference.
    assert_eq!(ends(&monthly)[0], 89_787);
    assert_eq!(ends(&ask("--day-count act/365 --level monthly")), [89_787, 89_180]);
}

#[test]
fn a_batch_answers_as_the_single_command_does() {
    let line = r#"{"method":"equal_installment","principal_fen":1000000,"periods":12,"annual_rate":"0.14","day_count":"monthly","start":"2026-01-15","first_due":"2026-02-10"}"#;
    let single = fenqi(&words(&format!("{PLAIN} --json")), "");
    let batch = fenqi(&["quote", "--batch"], &format!("{line}\n{line}\n"));
    assert!(batch.status.success());
    assert_eq!(batch.stdout, [single.stdout.as_slice(), &single.stdout].concat());
}

#[test]
fn a_bad_line_fails_the_batch_but_not_the_others() {
    let product =
        r#"{"product":"products/standard.toml","grade":"B","periods":3,"principal_fen":100000,"start":"2026-01-15"}"#;
    let output = fenqi(&["quote", "--batch"], &format!("{product}\nnonsense\n{product}"));
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], lines[2]);
    assert_eq!(lines[0]["subsidy_fen"], 0);
    assert_eq!(lines[1]["line"], 2);
}

#[test]
fn a_batch_is_asked_in_its_lines_alone() {
    let line = r#"{"method":"interest_free","principal_fen":100,"periods":3,"start":"2026-01-15"}"#;
    let plain = fenqi(&["quote", "--batch"], line);
    let as_json = fenqi(&["quote", "--batch", "--json"], line);
    assert!(as_json.status.success(), "it is JSON anyway");
    assert_eq!(as_json.stdout, plain.stdout);
    for flags in [["--periods", "6"], ["--product", "products/standard.toml"]] {
        let arguments: Vec<&str> = ["quote", "--batch"].into_iter().chain(flags).collect();
        let output = fenqi(&arguments, line);
        assert_eq!(output.status.code(), Some(2), "{flags:?} would be passed over");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("--batch") && told.contains(flags[0]), "{told}");
    }
}

#[test]
fn a_number_that_is_none_is_told_how_to_write_one() {
    for (right, wrong) in
        [("1000000", "10000.50"), ("1000000", "1,000,000"), ("12", "twelve"), ("12", "99999999999999999999")]
    {
        let line = PLAIN.replacen(&format!(" {right} "), &format!(" {wrong} "), 1);
        let output = fenqi(&words(&line), "");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(&format!("'{wrong}'")), "{told}");
        assert!(told.contains("allowed is a whole number of at most 18 digits, without point or comma"), "{told}");
    }
}

#[test]
fn a_number_out_of_bounds_is_told_with_them() {
    let product =
        "quote --product products/standard.toml --grade B --periods 3 --principal-fen 100000 --start 2026-01-15";
    for (line, flag, wrong, bounds) in [
        (PLAIN, "--free-periods", "-1", "0 to 600"),
        (PLAIN, "--free-periods", "601", "0 to 600"),
        (PLAIN, "--free-periods", "NaN", "0 to 600"),
        (product, "--statement-day", "-1", "1 to 28"),
        (product, "--statement-day", "29", "1 to 28"),
        (product, "--statement-day", "300", "1 to 28"),
        (product, "--due-day", "0", "1 to 31"),
        (product, "--due-day", "1e999", "1 to 31"),
    ] {
        let output = fenqi(&words(&format!("{line} {flag} {wrong}")), "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{flag} {wrong}");
        let told = String::from_utf8(output.stderr).unwrap();
        let expected = format!("allowed is a whole number from {bounds}");
        assert!(told.contains(&expected) && told.contains(flag) && told.contains(&format!("'{wrong}'")), "{told}");
    }
    for flag in ["--statement-day 28", "--due-day 31", "--statement-day 1 --due-day 1"] {
        assert!(fenqi(&words(&format!("{product} {flag}")), "").status.success(), "{flag}");
    }
}

#[test]
fn each_row_can_say_how_it_was_computed() {
    let output = fenqi(&words(&format!("{PLAIN} --explain")), "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("principal: level payment 897.87 − interest 116.67 = 781.20"), "{text}");
    assert!(text.contains("interest: balance 10,000.00 × 0.14 a year ÷ 12 = 116.67"), "{text}");
}

#[test]
fn a_missing_word_is_named_and_is_wrong_usage() {
    let output =
        fenqi(&words("quote --method equal_installment --principal-fen 100 --periods 3 --start 2026-01-15"), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--annual-rate is missing"));
    let output = fenqi(&words("quote --method equal_loan --principal-fen 100 --periods 3 --start 2026-01-15"), "");
    assert!(String::from_utf8(output.stderr).unwrap().contains("one of equal_installment, equal_principal"));
}

#[test]
fn what_is_not_sold_is_refused_with_what_is() {
    for (grade, periods, expected) in [
        ("A", "1", "this product is sold in 2 to 24 periods, not in 1"),
        ("F", "3", "this product is sold to grades A, B, C, D, E, not to \"F\""),
        ("A", "70000", "the number of periods must be from 1 to 600, found 70000"),
        ("A", "-1", "the number of periods must be from 1 to 600, found -1"),
    ] {
        let quote = format!("quote --product products/standard.toml --grade {grade} --periods {periods}");
        let output = fenqi(&words(&format!("{quote} --principal-fen 100000 --start 2026-01-15")), "");
        assert!(output.stdout.is_empty() && !output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn checking_shipped_files_succeeds_and_a_broken_one_is_told() {
    assert!(fenqi(&words("product check products/standard.toml products/interest-free.toml"), "").status.success());
    let path = std::env::temp_dir().join(format!("fenqi-broken-{}.toml", std::process::id()));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/products/standard.toml")).unwrap();
    std::fs::write(&path, text.replace("grace_days = 3", "grace_days = 99")).unwrap();
    let output = fenqi(&["product", "check", path.to_str().unwrap()], "");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("penalty.grace_days: found 99, allowed: a whole number from 0 to 15"), "{told}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_beside_what_is_wrong_with_the_others() {
    let path = std::env::temp_dir().join(format!("fenqi-beside-{}.toml", std::process::id()));
    std::fs::write(&path, "code = 1\n").unwrap();
    let broken = path.to_str().unwrap();
    let files = ["no-such-file.toml", "products", broken, "products/standard.toml"];
    let check = |more: &[&str]| fenqi(&[&["product", "check"][..], &files, more].concat(), "");
    let (plain, as_json) = (check(&[]), check(&["--json"]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!([plain.status.code(), as_json.status.code()], [Some(1), Some(1)]);
    let told = String::from_utf8(plain.stderr).unwrap();
    for expected in [
        "no-such-file.toml: the file cannot be read: No such file",
        "products: the file cannot be read: Is a directory",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(told.contains(&format!("{broken}: line 1: code: found ")), "{told}");
    let answer: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    let passed: Vec<bool> =
        answer["files"].as_array().unwrap().iter().map(|file| file["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false, false, false], "{answer}");
    assert!(answer["files"][1]["error"].as_str().unwrap().contains("No such file"), "{answer}");
}

#[test]
fn a_product_file_of_another_system_is_read_and_one_in_another_encoding_is_refused_with_what_to_do() {
    let path = std::env::temp_dir().join(format!("fenqi-encoded-{}.toml", std::process::id()));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/products/standard.toml")).unwrap();
    let place = path.to_str().unwrap();
    let quote = format!("quote --product {place} --grade B --periods 3 --principal-fen 100000 --start 2026-01-15");
    let line = r#"{"product":"FILE","grade":"B","periods":3,"principal_fen":100000,"start":"2026-01-15"}"#;
    let line = line.replace("FILE", place);
    let of_each = || {
        let ask = |arguments: &[&str], input: &str| {
            let output = fenqi(arguments, input);
            let told = [output.stdout, output.stderr].map(|told| String::from_utf8(told).unwrap()).concat();
            (output.status.code(), told)
        };
        [ask(&["product", "check", place], ""), ask(&words(&quote), ""), ask(&["quote", "--batch"], &line)]
    };
    std::fs::write(&path, format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    for (code, told) in of_each() {
        assert_eq!(code, Some(0), "{told}");
    }
    let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A remark in GBK.
    let narrow = [text.as_bytes(), b"# \xba\xa3\xb8\xdb\n"].concat();
    for (bytes, wrong_line) in [(wide, 1), (narrow, text.lines().count() + 1)] {
        std::fs::write(&path, bytes).unwrap();
        let expected = format!(": line {wrong_line} is not text in UTF-8; save the file in UTF-8");
        for (code, told) in of_each() {
            assert_eq!(code, Some(1), "{told}");
            assert!(told.contains(&expected) && told.contains(place), "{told}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_product_without_an_english_name_holds_and_is_noted() {
    let check = |path: &str| {
        let output = fenqi(&["product", "check", path], "");
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let note = "note: there is no name_en: whoever reads English reads \"海港分期\"";
    let told = check("products/standard.toml");
    assert!(!told.contains("name_en"), "{told}");
    let path = std::env::temp_dir().join(format!("fenqi-unnamed-{}.toml", std::process::id()));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/products/standard.toml")).unwrap();
    std::fs::write(&path, text.replace("name_en = \"Harbour installments\"\n", "")).unwrap();
    let told = check(path.to_str().unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(told.contains(note), "{told}");
}

#[test]
fn every_shipped_product_has_an_english_name() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/products")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let products: Vec<_> = paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    assert!(products.len() >= 6, "{products:?}");
    for path in products {
        let (terms, _) = fenqi::product::check(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(terms.name_en.is_some(), "{}", path.display());
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault_and_a_full_disk_is_one_in_a_sentence() {
    let line = format!("{PLAIN} --json");
    let check = vec!["product", "check", "products/standard.toml"];
    // It draws a bar beside what it prints.
    let bench = vec!["bench", "quote", "--quotes", "500"];
    for arguments in [words(&line), check, vec!["quote", "--batch"], bench] {
        let run = |stdout: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_fenqi"));
            command.args(&arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
            let mut child = command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            // Only the batch reads what it is asked.
            let _ = child.stdin.take().unwrap().write_all(b"{}\n");
            let output = child.wait_with_output().unwrap();
            (String::from_utf8(output.stderr).unwrap(), output.status.code())
        };
        assert_eq!(run(Stdio::piped()), (String::new(), Some(141)), "{arguments:?}");

        let (told, code) = run(std::fs::File::options().write(true).open("/dev/full").unwrap().into());
        let is_said = told.starts_with("error: ") && told.contains("standard output") && told.contains("No space left");
        assert!(is_said && told.lines().count() == 1, "{arguments:?}: {told}");
        assert_eq!(code, Some(1), "{arguments:?}: {told}");
    }
}
