//! `fenqi quote --batch`: lines of JSON in, lines of JSON out, in order, on every core.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::syntax::describe_value_error;
use crate::cli::NOBODY_READS;
use crate::product::Terms;
use crate::product::inquiry::{Inquiry, InquiryError};

/// Read at once; large enough that the cores share thousands of lines.
const READ_BYTES: usize = 1 << 20;
/// A longer line is refused and skipped, so that memory stays bounded.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The invisible byte order mark with which some systems begin a text.
const ENCODING_MARK: &[u8] = "\u{feff}".as_bytes();
/// Fewer lines are not worth a second thread.
const LINES_PER_THREAD_MIN: usize = 64;
/// How the parser's errors say a place, and how ours do: the line's number is stated separately.
const PLACE: [&str; 2] = [" at line 1 column ", " at column "];

/// The output for a line that was refused.
#[derive(Serialize)]
struct LineError {
    line: u64,
    error: String,
}

/// Answers every line of `input` on `output`. Ends with exit code 1 when any line had no answer.
///
/// Lines are answered as soon as they have arrived, so that a caller can also send one line at a time and wait for its answer.
pub fn run(mut input: impl Read, mut output: impl Write) -> anyhow::Result<ExitCode> {
    let mut batch = Batch { pending: Vec::new(), skipping: false, lines: 0, failed: 0 };
    let mut buffer = vec![0u8; READ_BYTES];
    let mut ended = false;
    while !ended {
        let count = match input.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count.context("cannot read standard input")?,
        };
        ended = count == 0;
        let answers = batch.take(&buffer[..count], ended);
        match output.write_all(&answers).and_then(|()| output.flush()) {
            // The reader has closed the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::from(NOBODY_READS)),
            written => written.context("cannot write standard output")?,
        }
    }
    if batch.failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: {} of {} lines have no quote; each says why in its place", batch.failed, batch.lines);
    Ok(ExitCode::FAILURE)
}

struct Batch {
    /// The beginning of a line whose end has not arrived.
    pending: Vec<u8>,
    /// The rest of a line that was too long.
    skipping: bool,
    lines: u64,
    failed: u64,
}

impl Batch {
    /// The answers to the lines that `bytes` completes.
    fn take(&mut self, bytes: &[u8], ended: bool) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let whole = match self.pending.iter().rposition(|byte| *byte == b'\n') {
            _ if ended => self.pending.len(),
            Some(end) => end + 1,
            None => 0,
        };
        let rest = self.pending.split_off(whole);
        let text = std::mem::replace(&mut self.pending, rest);
        let mut lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n').collect();
        if let (0, Some(first)) = (self.lines, lines.first_mut()) {
            let line = *first;
            *first = line.strip_prefix(ENCODING_MARK).unwrap_or(line);
        }
        if text.is_empty() {
            lines.clear();
        }
        if self.skipping && !lines.is_empty() {
            lines.remove(0);
            self.skipping = false;
        }
        let mut answers = self.answer(&lines);
        if self.pending.len() > LINE_BYTES_MAX {
            if !self.skipping {
                self.answer_one_too_long(&mut answers);
            }
            self.pending.clear();
            self.skipping = true;
        }
        answers
    }

    fn answer_one_too_long(&mut self, answers: &mut Vec<u8>) {
        self.lines += 1;
        self.failed += 1;
        write_error(answers, self.lines, format!("the line is longer than {LINE_BYTES_MAX} bytes"));
    }

    /// Answers `lines` in order, shared between the cores.
    fn answer(&mut self, lines: &[&[u8]]) -> Vec<u8> {
        if lines.is_empty() {
            return Vec::new();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = lines.len().div_ceil(cores).max(LINES_PER_THREAD_MIN);
        let mut parts: Vec<(Vec<u8>, u64)> = Vec::new();
        std::thread::scope(|scope| {
            let (mut workers, mut first) = (Vec::new(), self.lines + 1);
            for part in lines.chunks(share) {
                workers.push(scope.spawn(move || answer_lines(part, first)));
                first += part.len() as u64;
            }
            parts.extend(workers.into_iter().map(|worker| worker.join().expect("a quote does not panic")));
        });
        self.lines += lines.len() as u64;
        self.failed += parts.iter().map(|part| part.1).sum::<u64>();
        parts.into_iter().map(|part| part.0).collect::<Vec<_>>().concat()
    }
}

/// The answers to consecutive lines, the first of which has the number `first`, and how many of them failed.
fn answer_lines(lines: &[&[u8]], first: u64) -> (Vec<u8>, u64) {
    let mut products: HashMap<String, Result<Terms, String>> = HashMap::new();
    let mut answers = Vec::with_capacity(lines.len() * 1024);
    let mut failed = 0;
    for (line, number) in lines.iter().zip(first..) {
        if let Err(error) = answer_line(line, &mut products, &mut answers) {
            failed += 1;
            write_error(&mut answers, number, error);
        }
    }
    (answers, failed)
}

fn answer_line(
    line: &[u8],
    products: &mut HashMap<String, Result<Terms, String>>,
    answers: &mut Vec<u8>,
) -> Result<(), String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
    }
    // A list would be read as the values of the first fields, and anything else be told by what an inquiry is called in the program.
    match line.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err("the line is no object; allowed is an object in JSON".to_owned()),
        None => return Err("the line is empty; allowed is an object in JSON".to_owned()),
    }
    let inquiry: Inquiry = serde_json::from_slice(line).map_err(|error| unreadable(line, &error))?;
    let terms = match &inquiry.product {
        None => None,
        Some(path) => {
            if !products.contains_key(path) {
                let terms = super::read_terms(path).map_err(|error| format!("{error:#}"));
                products.insert(path.clone(), terms);
            }
            Some(products[path].as_ref().map_err(Clone::clone)?)
        }
    };
    let answer = inquiry.answer(terms).map_err(|error: InquiryError| error.to_string())?;
    serde_json::to_writer(&mut *answers, &answer).map_err(|error| error.to_string())?;
    answers.push(b'\n');
    Ok(())
}

/// The error of a line: names the field whose value has the wrong type, else the place in the JSON.
fn unreadable(line: &[u8], error: &serde_json::Error) -> String {
    wrong_field(line).unwrap_or_else(|| error.to_string().replace(PLACE[0], PLACE[1]))
}

/// The error of a field whose value has the wrong type, if there is one. Each field is parsed alone to find it, so that the error names the
/// field and not a column.
fn wrong_field(line: &[u8]) -> Option<String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
    fields.iter().find_map(|(name, value)| {
        let alone = format!("{{{}:{value}}}", serde_json::Value::from(name.as_str()));
        let error = serde_json::from_str::<Inquiry>(&alone).err()?.to_string();
        let told = error.rsplit_once(PLACE[0]).map_or(error.as_str(), |(told, _)| told);
        // An unknown field is reported for the whole line, with the list of known ones.
        (!told.starts_with("unknown field")).then(|| format!("{name}: {}", describe_value_error(told)))
    })
}

fn write_error(answers: &mut Vec<u8>, line: u64, error: String) {
    serde_json::to_writer(&mut *answers, &LineError { line, error }).expect("memory takes every line of text");
    answers.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(input: &str) -> (Vec<serde_json::Value>, bool) {
        let mut output = Vec::new();
        let code = run(input.as_bytes(), &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        let values = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (values, code == ExitCode::SUCCESS)
    }

    const GOOD: &str =
        r#"{"method":"equal_installment","principal_fen":120000,"periods":12,"annual_rate":0.12,"start":"2026-01-15"}"#;

    #[test]
    fn answers_stand_in_the_order_of_their_lines() {
        let lines: Vec<String> = (1..=1000).map(|n| GOOD.replace("120000", &(n * 100).to_string())).collect();
        let (found, clean) = answers(&lines.join("\n"));
        assert!(clean);
        for (answer, n) in found.iter().zip(1i64..) {
            let principal: i64 =
                answer["rows"].as_array().unwrap().iter().map(|row| row["principal_fen"].as_i64().unwrap()).sum();
            assert_eq!(principal, n * 100);
        }
        assert_eq!(found.len(), 1000);
    }

    #[test]
    fn a_bad_line_is_told_in_its_place_and_by_the_exit_code() {
        let unknown = GOOD.replace("periods", "period");
        let (found, clean) = answers(&format!("{GOOD}\n{{\n{unknown}\n\n{GOOD}\n"));
        assert!(!clean);
        assert_eq!(found.len(), 5);
        let numbers: Vec<Option<u64>> = found.iter().map(|answer| answer["line"].as_u64()).collect();
        assert_eq!(numbers, [None, Some(2), Some(3), Some(4), None]);
        let told = found[2]["error"].as_str().unwrap();
        assert!(told.contains("unknown field `period`"), "{told}");
        assert!(told.contains(" at column ") && !told.contains("line"), "the line's number is told once: {told}");
        assert_eq!(found[3]["error"], "the line is empty; allowed is an object in JSON");
    }

    #[test]
    fn a_line_that_is_no_object_is_refused_as_that() {
        let list = r#"[null,120000,12,"2026-01-15","interest_free"]"#;
        let (found, _) = answers(&format!("{list}\n[]\n\"word\"\n12\nnull\n  {GOOD}\n \t\r\n"));
        for answer in &found[..5] {
            assert_eq!(answer["error"], "the line is no object; allowed is an object in JSON");
        }
        assert!(found[5]["rows"].is_array());
        assert_eq!(found[6]["error"], "the line is empty; allowed is an object in JSON");
    }

    #[test]
    fn a_field_that_is_not_of_its_kind_is_named_with_what_is_allowed() {
        for (field, wrong, expected) in [
            (r#""periods":12"#, r#""periods":"12""#, "string \"12\", expected a whole number"),
            (r#""principal_fen":120000"#, r#""principal_fen":1e20"#, ", expected a whole number"),
            (r#""principal_fen":120000"#, r#""principal_fen":"12""#, "string \"12\", expected a whole number"),
            (r#""annual_rate":0.12"#, r#""annual_rate":"12 %""#, "a rate is a fraction from 0 to 10"),
            (r#""start":"2026-01-15""#, r#""start":"15.01.2026""#, "a day is written like 2026-03-02"),
            (r#""start":"2026-01-15""#, r#""start":"2026-02-30""#, "a day is written like 2026-03-02"),
        ] {
            assert!(GOOD.contains(field), "{field}");
            let (found, clean) = answers(&GOOD.replace(field, wrong));
            let told = found[0]["error"].as_str().unwrap();
            let name = field.split('"').nth(1).unwrap();
            assert!(!clean && told.starts_with(&format!("{name}: ")) && told.contains(expected), "{told}");
            assert!(!told.contains("column"), "{told}");
        }
        for periods in ["-1", "0", "601", "70000"] {
            let (found, _) = answers(&GOOD.replace(r#""periods":12"#, &format!(r#""periods":{periods}"#)));
            assert_eq!(found[0]["error"], format!("the number of periods must be from 1 to 600, found {periods}"));
        }
        let (found, _) = answers(&GOOD.replace(r#""periods":12"#, r#""periods":12,"free_periods":70000"#));
        let told = found[0]["error"].as_str().unwrap();
        assert!(told.contains("integer `70000`, expected a whole number from 0 to 65535"), "{told}");
    }

    #[test]
    fn a_day_at_the_end_of_the_calendar_is_a_bad_line_like_any_other() {
        let far = r#"{"product":"products/standard.toml","grade":"A","principal_fen":100000,"periods":3,"start":"+262142-12-31"}"#;
        let last = far.replace("+262142", "9999");
        let (found, clean) = answers(&format!("{GOOD}\n{far}\n{last}\n{GOOD}"));
        assert!(!clean);
        assert_eq!((found.len(), &found[0]), (4, &found[3]));
        let told = |answer: &serde_json::Value| answer["error"].as_str().unwrap().to_owned();
        assert!(told(&found[1]).contains("a year of four digits"), "{}", told(&found[1]));
        assert!(told(&found[2]).contains("beyond the year 2200"), "{}", told(&found[2]));
    }

    #[test]
    fn a_line_without_end_is_refused_and_skipped() {
        let long = "x".repeat(READ_BYTES * 3);
        let (found, clean) = answers(&format!("{GOOD}\n{long}\n{GOOD}"));
        assert!(!clean);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1]["line"], 2);
        assert!(found[2]["rows"].is_array());
    }

    #[test]
    fn a_text_of_another_system_is_read_too() {
        let (found, clean) = answers(&format!("\u{feff}{GOOD}\r\n{GOOD}\r\n"));
        assert!(clean, "{found:?}");
        assert_eq!((found.len(), &found[0]), (2, &found[1]));
    }

    #[test]
    fn rates_are_read_by_their_own_digits() {
        let text = GOOD.replace("0.12,", "\"0.12\",");
        let small = GOOD.replace("0.12,", "1.2e-1,");
        let (found, clean) = answers(&format!("{GOOD}\n{text}\n{small}"));
        assert!(clean);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0], found[2]);
    }

    #[test]
    fn a_rate_that_another_program_divided_in_binary_is_the_one_that_was_meant() {
        let of = |rate: &str| GOOD.replace("0.12,", &format!("{rate},"));
        // What 13.47 ÷ 100 and 0.7 ÷ 100 are in binary.
        let rates = ["0.1347", "0.13470000000000001", "0.007", "0.006999999999999999", "6.999999999999999e-3"];
        let (found, clean) = answers(&rates.map(of).join("\n"));
        assert!(clean, "{found:?}");
        assert_eq!((&found[0], &found[2], &found[2]), (&found[1], &found[3], &found[4]));
        let (found, _) = answers(&["-0.0000000000000001", "10.1", "\"0.1.2\"", "\"\""].map(of).join("\n"));
        for answer in &found {
            assert!(answer["error"].as_str().unwrap().contains("a fraction from 0 to 10"), "{answer}");
        }
        assert_eq!(found.len(), 4);
    }
}
