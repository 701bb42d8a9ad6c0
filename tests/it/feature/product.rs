//! The product factory: the shipped products are valid, broken files are refused field by field, and published versions never change.

use std::future::poll_fn;
use std::task::Poll;

use fenqi::base::day::MonthDay;
use fenqi::base::id::ProductId;
use fenqi::base::{BusinessDay, Fen};
use fenqi::error::{Attempt, Fault, Refusal};
use fenqi::product::actions::check_apart;
use fenqi::product::draft::DraftStatus;
use fenqi::product::draft_actions::{self, DraftRead, Signatory};
use fenqi::product::reader::PROBLEMS_MAX;
use fenqi::product::terms::Method;
use fenqi::product::{self, Problem, ProductRefusal, QuoteRequest, Terms, file};
use rust_decimal::Decimal;
use sqlx::PgPool;
use uuid::Uuid;

use crate::house;

/// The shipped product files by name. A scorecard lies in the same folder and is none.
fn shipped() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("products");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml") && !path.ends_with("scorecard.toml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

pub(super) fn text(name: &str) -> String {
    shipped().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no product {name}")).1
}

fn terms(name: &str) -> Terms {
    file::parse(&text(name)).unwrap()
}

fn request<'a>(grade: &'a str, periods: u16, amount: i64, day: &str) -> QuoteRequest<'a> {
    QuoteRequest {
        grade,
        periods,
        amount: Fen::new(amount),
        business_day: day.parse().unwrap(),
        statement_day: MonthDay::new(10).unwrap(),
        due_day: MonthDay::new(30).unwrap(),
    }
}

/// The problems of a shipped product after one replacement in its text.
fn broken(name: &str, from: &str, to: &str) -> Vec<Problem> {
    let text = text(name);
    assert!(text.contains(from), "{name} holds no {from:?}");
    file::parse(&text.replacen(from, to, 1)).expect_err("the file should be refused")
}

#[test]
fn every_shipped_product_passes_its_proof() {
    let files = shipped();
    assert!(files.len() >= 6);
    let mut methods = Vec::new();
    for (name, text) in &files {
        let (terms, proof) = product::check(text).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert!(proof.schedules > 0, "{name}");
        methods.extend(terms.plans.iter().map(|plan| plan.method));
    }
    for (word, method) in Method::ALL {
        assert!(methods.contains(&method), "no shipped product has the method {word}");
    }
}

#[test]
fn a_problem_names_its_line_field_finding_and_what_is_allowed() {
    let text = text("standard").replace("apr_cap = 0.24", "apr_cap = 0.36");
    let line = text.lines().position(|line| line.starts_with("apr_cap")).unwrap() + 1;
    let problems = file::parse(&text).unwrap_err();
    assert_eq!(
        problems,
        [Problem {
            line,
            field: "apr_cap".to_owned(),
            found: "0.36".to_owned(),
            allowed: "a fraction from 0 to 0.24, such as 0.02 for two per cent".to_owned(),
        }]
    );
}

#[test]
fn a_price_is_told_as_it_is_written_and_once() {
    let problems = broken("standard", "E = 0.180", "E = 18.0");
    let told: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.found)).collect();
    assert_eq!(told, ["plan[0].prices.E: 18.0"], "and not that there is none");
    let problems = broken("standard", "grades = [\"A\", ", "grades = [\"A\", \"A\", ");
    let told: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(told, ["purchase.grades[1]"]);
}

#[test]
fn a_product_without_a_plan_is_none() {
    let text = text("standard");
    let (before, plan) = text.split_once("[[plan]]").unwrap();
    let after = plan.split_once("\n[penalty]").unwrap().1;
    // At the top, as what stands behind a table's name is the table's.
    let without = format!("plan = []\n{before}\n[penalty]{after}");
    let problems = file::parse(&without).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let Problem { line, field, found, .. } = &problems[0];
    assert_eq!((*line, field.as_str(), found.as_str()), (1, "plan", "an empty list"));
}

#[test]
fn all_problems_are_told_at_once() {
    let text = text("standard")
        .replace("code = \"harbour-standard\"", "code = \"Harbour!\"")
        .replace("due_days_after = 20", "due_days_after = 1")
        .replace("multiple = 1.3\n", "multiple = 3\n")
        .replace("grace_days = 3", "grace_dayz = 3")
        .replace("\"principal\"]", "\"principle\"]")
        .replace("per_day_max = 50", "per_day_max = 0")
        .replace("E = 0.180", "E = 0.280, F = 0.280")
        + "\n[purchase_risk]\nask = \"rules\"\namount_per_day_max_fen = 0\nmerchant_per_day = 5\n";
    let problems = file::parse(&text).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    for field in [
        "code",
        "line.due_days_after",
        "penalty.multiple",
        "penalty.grace_days",
        "penalty.grace_dayz",
        "allocation.order[3]",
        "purchase.per_day_max",
        "plan[0].prices.E",
        "plan[0].prices.F",
        "purchase_risk.amount_per_day_max_fen",
        "purchase_risk.merchant_per_day",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
    assert!(problems.is_sorted_by_key(|problem| problem.line));
}

const GUARANTEE: &str = "plan[0].guarantee_rate_per_period";

#[test]
fn each_rule_refuses_what_it_is_for() {
    let cases = [
        ("standard", "limit_max_fen = 20_000_000", "limit_max_fen = 20_000_001", "line.limit_max_fen"),
        ("standard", "multiple = 1.3", "multiple = 1.6", "penalty.multiple"),
        ("standard", "multiple = 1.3", "multiple = 1.2", "penalty.multiple"),
        ("standard", "E = 0.180", "E = 0.18001234567891", "plan[0].prices.E"),
        ("standard", "E = 0.180", "F = 0.180", "plan[0].prices"),
        ("standard", "[2, 3,", "[61, 3,", "plan[0].periods[0]"),
        ("standard", "[2, 3,", "[3, 3,", "plan[0].periods"),
        ("standard", "\"equal_installment\"", "\"interest_first\"", "plan[0].periods"),
        ("interest-first", "[3, 6, 9]", "[3, 6, 12]", "plan[0].periods"),
        ("standard", "\"equal_installment\"", "\"flat_fee\"", "penalty.multiple"),
        ("standard", "basis_days", "base = \"interest\"\nbasis_days", "penalty.base"),
        ("merchant-subsidy", "basis_days", "base = \"principal_and_interest\"\nbasis_days", "penalty.base"),
        ("interest-free", "basis_days", "base = \"principal_and_interest\"\nbasis_days", "penalty.base"),
        ("standard", "\"penalty\", \"interest\"", "\"fee\", \"interest\"", "allocation.order"),
        ("standard", "per_day_max = 50", "per_day_max = 1_001", "purchase.per_day_max"),
        ("standard", "claim_day = 80", "claim_day = 3", "overdue.claim_day"),
        ("standard", "freeze_day = 4", "freeze_day = 3", "overdue.freeze_day"),
        ("standard", "\"15:00\"", "\"25:00\"", "withholding.times[1]"),
        ("standard", "\"15:00\"", "\"08:00\"", "withholding.times"),
        ("standard", "valid_from = 2024-01-01", "valid_from = \"soon\"", "valid_from"),
        ("standard", "name = \"海港分期", "name = \"海港分期 \\u202E%0", "name"),
        ("standard", "Harbour installments", "Harbour\\u2066installments", "name_en"),
        ("interest-free", "subsidy_rate_per_period", "subsidy_share", "plan[0].subsidy_share"),
        (
            "interest-free",
            "[3, 6, 12]\nmethod = \"interest_free\"\nsubsidy_rate_per_period = 0.005",
            "[3, 50]\nmethod = \"interest_free\"\nsubsidy_rate_per_period = 0.02",
            "plan[0].subsidy_rate_per_period",
        ),
        ("merchant-subsidy", "\"current_period\"", "\"to_date\"", "early_payoff.interest"),
        ("merchant-subsidy", "[12, 24]", "[6, 24]", "plan[1].periods"),
        ("first-months-free", "free_periods = 1", "free_periods = 6", "plan[0].free_periods"),
        ("merchant-subsidy", "\"flat_fee\"\n", "\"flat_fee\"\nguarantee_rate_per_period = 0.001\n", GUARANTEE),
        ("interest-free", "\"interest_free\"\n", "\"interest_free\"\nguarantee_rate_per_period = 0.001\n", GUARANTEE),
        ("equal-principal", "[[plan]]\n", "[[plan]]\nguarantee_rate_per_period = 0.0201\n", GUARANTEE),
        // 24 periods: 10.00 yuan are less than 2 × 24² fen.
        ("standard", "[[plan]]\n", "[[plan]]\nguarantee_rate_per_period = 0.001\n", "purchase.amount_min_fen"),
        ("first-months-free", "\"actual\"\n", "\"monthly\"\nguarantee_rate_per_period = 0.001\n", "plan[0].level"),
    ];
    for (name, from, to, field) in cases {
        let problems = broken(name, from, to);
        let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert!(fields.contains(&field), "{from:?} as {to:?}: {field} is missing in {problems:?}");
    }
}

#[test]
fn a_file_of_nothing_but_mistakes_is_refused_with_the_first_of_them() {
    let ones = format!("statement_days = [{}]", "1,".repeat(50_000));
    let days = broken("standard", "statement_days = [", &format!("{ones}\nformer_days = ["));
    let long = days.iter().find(|problem| problem.field == "line.statement_days").unwrap();
    assert_eq!((long.found.as_str(), long.allowed.as_str()), ("50000 elements", "at most 1000 elements"));
    for text in ["[[plan]]\n".repeat(25_000), (0..25_000).map(|number| format!("a{number}=1\n")).collect()] {
        let problems = file::parse(&text).unwrap_err();
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert!(serde_json::to_string(&problems).unwrap().len() < 100_000);
    }
    let letters: Vec<String> = ('A'..='Z').map(|letter| format!("\"{letter}{letter}\"")).collect();
    let grades = format!("grades = [\"A\", {}]", letters.join(", "));
    let text = text("interest-free").replacen("grades = [\"A\", \"B\", \"C\", \"D\", \"E\"]", &grades, 1);
    let fields: Vec<String> = file::parse(&text).unwrap_err().into_iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["purchase.grades"], "27 grades");
}

#[test]
fn what_is_not_toml_is_told_by_its_line() {
    let problems = file::parse("code = \"a\"\nname = \n").unwrap_err();
    assert_eq!((problems[0].line, problems[0].field.as_str()), (2, ""));
    assert!(file::parse("").is_err());
}

/// A proof takes a processor for as long as a purchase takes a hundred times.
#[tokio::test]
async fn a_proof_keeps_nothing_else_waiting() {
    let text = text("standard") + "# proven nowhere else\n";
    let mut proving = Box::pin(check_apart(text.clone()));
    let is_done = poll_fn(|context| Poll::Ready(proving.as_mut().poll(context).is_ready())).await;
    assert!(!is_done, "it is computed apart");
    let (terms, proof) = proving.await.unwrap().unwrap();
    let (again, proven) = check_apart(text).await.unwrap().unwrap();
    assert_eq!((again, proven.schedules), (terms, proof.schedules), "the same is said again");
}

#[test]
fn a_plan_that_breaks_its_cap_is_not_published() {
    let text = text("standard").replace("E = 0.180", "E = 0.225");
    match product::check(&text) {
        Err(ProductRefusal::Unproven(problems)) => {
            assert!(problems[0].reason.contains("above the cap of 0.24"), "{}", problems[0]);
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn interest_may_bear_penalty_beside_a_plan_that_has_none() {
    let priced = "[[plan]]\nperiods = [9]\nmethod = \"equal_installment\"\nprices = { A = 0.12, B = 0.12, C = 0.12, D = 0.12, E = 0.12 }\n";
    let penalty = "\n[penalty]\nbase = \"principal_and_interest\"";
    let mixed = text("interest-free").replacen("\n[penalty]", &format!("{priced}{penalty}"), 1);
    assert!(file::parse(&mixed).unwrap().penalty.base.has_interest());
    assert!(!terms("standard").penalty.base.has_interest(), "where it is left out");
}

#[test]
fn the_highest_penalty_has_the_interest_in_it_that_bears_it() {
    let on_interest = |text: &str| text.replace("basis_days", "base = \"principal_and_interest\"\nbasis_days");
    let highest = |text: &str| product::check(text).unwrap().1.penalty_a_year_max;
    // 11.5 % × 1.5 × 365 ÷ 360 of what is overdue: of the principal, and of nine months' interest, 8.625 % of it, which is rounded to fen
    // nine times.
    let first = text("interest-first");
    assert_eq!(highest(&first).to_string(), "0.17489583");
    assert_eq!(highest(&first.replace("basis_days", "base = \"principal\"\nbasis_days")).to_string(), "0.17489583");
    assert_eq!(highest(&on_interest(&first)).round_dp(4).normalize().to_string(), "0.19");
    // By 18 % in 24 periods, a fifth of the principal is interest.
    let standard = text("standard");
    assert_eq!(highest(&standard).to_string(), "0.23725");
    let (_, proof) = product::check(&on_interest(&standard)).unwrap();
    assert!(proof.notes[0].contains("a year of the principal, as interest bears it too, above the cap of 0.24"));
    // Where the merchant pays all of it, there is none.
    let free = on_interest(&first.replace("day_count", "subsidy_share = 1\nday_count"));
    assert_eq!(highest(&free).to_string(), "0.17489583");
}

/// The first case in which terms do not pass their proof.
pub(super) fn refused_for(terms: &str) -> String {
    match product::check(terms) {
        Err(ProductRefusal::Unproven(problems)) => problems[0].to_string(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn an_amount_between_those_of_the_grid_breaks_the_cap_as_any_other() {
    let sold = "periods = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]";
    let priced = |periods: &str, price: &str| {
        let price = format!("E = {price}");
        text("standard").replace(sold, &format!("periods = [{periods}]")).replace("E = 0.180", &price)
    };
    // All of the grid cost less than 23.7 % a year, 10.00 to 10.19 yuan among them; 10.42 cost 24.04 %.
    let told = refused_for(&priced("6", "0.2131"));
    assert!(told.starts_with("1042 fen in 6 periods, grade E"), "{told}");
    assert!(told.contains("above the cap of 0.24"), "{told}");
    // A fen is too little of 100 yuan to matter.
    let greater = priced("6", "0.2131").replace("amount_min_fen = 1_000", "amount_min_fen = 10_000");
    assert!(product::check(&greater).is_ok());
    // A twelfth of 21.4 % of 10.38 yuan is 18.511 fen: 19 are 1.83 % a month and 24.3 % a year. Most amounts are cheaper.
    let told = refused_for(&priced("1", "0.214"));
    assert!(told.starts_with("1038 fen in 1 period, grade E"), "{told}");
    assert!(told.contains("0.24317310 effective a year, above the cap of 0.24"), "{told}");
    assert!(product::check(&priced("1", "0.209")).is_ok());
}

/// The standard product in so many periods, at one price for every grade, with a guarantee charge.
fn guaranteed(periods: u16, price: &str, guarantee: &str) -> String {
    let text = text("standard");
    let (before, after) = text.split_once("[[plan]]").unwrap();
    let (_, after) = after.split_once("\n[penalty]").unwrap();
    let plan = format!(
        "[[plan]]\nperiods = [{periods}]\nmethod = \"equal_installment\"\nguarantee_rate_per_period = {guarantee}\n\
         prices = {{ A = {price}, B = {price}, C = {price}, D = {price}, E = {price} }}\n"
    );
    format!("{before}{plan}\n[penalty]{after}")
}

#[test]
fn a_guarantee_charge_alone_breaks_the_cap() {
    // From 100 yuan on, where a fen is too little to matter.
    let terms = |price: &str, charge: &str| {
        guaranteed(12, price, charge).replace("amount_min_fen = 1_000", "amount_min_fen = 10_000")
    };
    // No interest at all; 1.2 % of the amount each month, on a balance that is half of it on average, cost 25.6 % a year.
    let told = refused_for(&terms("0", "0.012"));
    assert!(told.contains("above the cap of 0.24"), "{told}");
    let (_, proof) = product::check(&terms("0", "0.009")).unwrap();
    let plan = &proof.plans[0];
    assert_eq!(plan.guarantee_rate_per_period.to_string(), "0.009");
    assert!(plan.apr_nominal_max > Decimal::new(193, 3), "0.9 % a month cost 19.4 % a year: {plan:?}");
    // Beside interest each takes what the other leaves.
    let told = refused_for(&terms("0.18", "0.005"));
    assert!(told.contains("above the cap of 0.24"), "{told}");
    assert!(product::check(&terms("0.10", "0.005")).is_ok());
}

#[test]
fn interest_and_a_guarantee_charge_that_are_both_rounded_up_break_the_cap_between_the_grid() {
    // 12.15 yuan bear 12.555 fen of interest and 8.505 of the charge: 22 fen are 1.81 % a month. At 10.00 yuan 17 of 10.33 and 7.00 are
    // so cheap that a fen more would hold, but not two.
    match product::check(&guaranteed(1, "0.124", "0.007")) {
        Err(ProductRefusal::Unproven(problems)) => {
            let told = problems[0].to_string();
            assert!(told.starts_with("1215 fen in 1 period, grade A"), "{told}");
            assert!(told.contains("0.24028377 effective a year, above the cap of 0.24"), "{told}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn periods_that_are_free_bear_no_guarantee_charge_and_a_subsidy_takes_none_off() {
    // Half of the interest is the merchant's, the first period is free.
    let text = text("first-months-free")
        .replace("subsidy_share = 0.5", "guarantee_rate_per_period = 0.002\nsubsidy_share = 0.5");
    let (terms, proof) = product::check(&text).unwrap();
    let apart = proof.plans[0].last_row_difference_fen;
    assert!(apart <= 6 * 3, "the payments are level from the second on, but for {apart} fen");
    let quote = product::quote(&terms, &request("A", 6, 100_000, "2026-03-01")).unwrap();
    let fees: Vec<i64> = quote.schedule.installments.iter().map(|row| row.fee.get()).collect();
    assert_eq!(fees, [0, 200, 200, 200, 200, 200]);
    let gross = quote.gross_schedule();
    for (index, (row, before)) in quote.schedule.installments.iter().zip(&gross.installments).enumerate() {
        assert_eq!((row.fee, row.interest + quote.subsidies[index]), (before.fee, before.interest));
    }
    assert!(quote.subsidy.is_positive());
    assert_eq!(quote.annual_rate.to_string(), "0.09", "the charge is no part of the contract rate");
}

#[test]
fn a_fee_on_principal_that_has_run_out_is_not_published() {
    // 20 fen in 12 parts are 2 in each of the first ten; 0.75 % of them twelve times are 2, of which the borrower pays half in the last.
    let smallest = text("merchant-subsidy").replace("amount_min_fen = 10_000", "amount_min_fen = 1");
    match product::check(&smallest) {
        Err(ProductRefusal::Unproven(problems)) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let row = "20 fen in 12 periods, grade E";
            let reason = "row 12 asks for 1 fen, though no principal is left by then";
            assert!(told.iter().any(|problem| problem.starts_with(row) && problem.ends_with(reason)), "{told:?}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
    // Of the amounts from 15 yuan on few come to it: 15.30 yuan in 60 parts are 26 fen in each of the first 58.
    let longest = text("merchant-subsidy")
        .replace("amount_min_fen = 10_000", "amount_min_fen = 1_500")
        .replace("periods = [12, 24]", "periods = [12, 60]");
    match product::check(&longest) {
        Err(ProductRefusal::Unproven(problems)) => {
            let told = problems[0].to_string();
            assert!(told.starts_with("1530 fen in 60 periods, grade A"), "{told}");
            assert!(told.ends_with("row 60 asks for 16 fen, though no principal is left by then"), "{told}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_plan_by_days_holds_its_cap_on_lines_that_another_product_opened_too() {
    // On its own lines the first period has 36 days at most, and the whole costs 22.1 %.
    let dear =
        text("equal-principal").replace("due_days_after = 20", "due_days_after = 5").replace("C = 0.126", "C = 0.19");
    let terms = file::parse(&dear).unwrap();
    let on_line = |statement_day, due_day| {
        let (statement_day, due_day) = (MonthDay::new(statement_day).unwrap(), MonthDay::new(due_day).unwrap());
        let request = QuoteRequest { statement_day, due_day, ..request("C", 6, 1_000_000, "2026-07-01") };
        product::quote(&terms, &request).unwrap().price().unwrap()
    };
    assert!(on_line(1, 6).is_within(terms.apr_cap));
    // On a line of the same funder that is due 28 days after its statement it has 59.
    assert!(!on_line(1, 29).is_within(terms.apr_cap));
    match product::check(&dear) {
        Err(ProductRefusal::Unproven(problems)) => {
            let told = problems[0].to_string();
            assert!(told.contains("above the cap of 0.24, on a line with statement day 1 and due day 29"), "{told}");
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
    assert!(product::check(&dear.replace("C = 0.19", "C = 0.16")).is_ok());
}

#[test]
fn a_first_period_that_owes_more_interest_than_the_payment_explains_a_smaller_last_payment() {
    // 59 days at 19 % are 3.1 % of the amount, and the level payment of 60 periods is 2.6 %.
    let long = text("first-months-free")
        .replace("periods = [6, 9, 12]", "periods = [60]")
        .replace("free_periods = 1\n", "")
        .replace("due_days_after = 20", "due_days_after = 28")
        .replace("D = 0.170", "D = 0.190");
    let (_, proof) = product::check(&long).unwrap();
    assert!(proof.plans[0].last_row_difference_fen > 60 * 3, "{:?}", proof.plans[0]);
}

#[test]
fn a_quote_falls_due_after_the_first_statement_after_the_purchase() {
    let terms = terms("standard");
    let quote = product::quote(&terms, &request("B", 6, 600_000, "2026-01-10")).unwrap();
    assert_eq!(quote.first_statement_on.to_string(), "2026-02-10");
    assert_eq!(quote.last_statement_on.to_string(), "2026-07-10");
    let days: Vec<String> = quote.schedule.installments.iter().map(|row| row.due_on.to_string()).collect();
    assert_eq!(days[0], "2026-02-28");
    assert_eq!(days[1], "2026-03-30");
    let earlier = product::quote(&terms, &request("B", 6, 600_000, "2026-01-09")).unwrap();
    assert_eq!(earlier.first_statement_on.to_string(), "2026-01-10");
    assert_eq!(quote.price().unwrap().nominal.round_dp(3).to_string(), "0.108");
    assert!(quote.subsidy.is_zero());
}

#[test]
fn a_merchant_pays_its_share_and_the_borrower_the_rest() {
    let terms = terms("merchant-subsidy");
    let quote = product::quote(&terms, &request("A", 3, 100_001, "2026-03-01")).unwrap();
    // 0.6 % of 1,000.01 yuan is 600.006 fen a period; half of it is 300 for each of borrower and merchant.
    assert_eq!(quote.subsidies, [Fen::new(300); 3]);
    assert_eq!(quote.subsidy, Fen::new(900));
    assert!(quote.schedule.installments.iter().all(|row| row.fee == Fen::new(300)));
    assert_eq!(quote.gross_schedule().installments[0].fee, Fen::new(600));
    assert!(quote.price_with_subsidy().unwrap().nominal > quote.price().unwrap().nominal);
    assert!(quote.annual_rate.is_zero());
}

#[test]
fn an_interest_free_purchase_costs_the_merchant_alone() {
    let terms = terms("interest-free");
    let quote = product::quote(&terms, &request("C", 12, 120_000, "2026-03-01")).unwrap();
    assert_eq!(quote.subsidy, Fen::new(7_200));
    assert_eq!(quote.schedule.total(), Fen::new(120_000));
    assert!(quote.price().unwrap().higher().is_zero());
    assert!(quote.price_with_subsidy().unwrap().nominal.round_dp(2).to_string().starts_with("0.1"));
}

#[test]
fn what_is_not_sold_is_refused_with_its_code() {
    let terms = terms("standard");
    let code = |request: &QuoteRequest<'_>| product::quote(&terms, request).unwrap_err().code();
    assert_eq!(code(&request("A", 3, 999, "2026-03-01")), "amount_out_of_bounds");
    assert_eq!(code(&request("A", 3, 5_000_001, "2026-03-01")), "amount_out_of_bounds");
    assert_eq!(code(&request("F", 3, 100_000, "2026-03-01")), "grade_not_allowed");
    assert_eq!(code(&request("A", 1, 100_000, "2026-03-01")), "periods_not_sold");
    // Of several reasons the first one in the order in which a purchase is looked at.
    assert_eq!(code(&request("F", 1, 999, "2026-03-01")), "grade_not_allowed");
    assert_eq!(code(&request("A", 1, 999, "2026-03-01")), "periods_not_sold");
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_version_is_published_once_and_never_changes(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let first = text("standard");
    let refusal = product::publish(&app, &first).await.unwrap_err();
    assert!(matches!(refusal, Fault::Refused(ProductRefusal::UnknownFunder(_))), "{refusal}");
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();

    let published = product::publish(&app, &first).await.unwrap();
    assert_eq!((published.version, published.already_published), (1, false));
    let again = product::publish(&app, &first).await.unwrap();
    assert_eq!((again.version, again.already_published), (1, true));

    let second = first.replace("E = 0.180", "E = 0.175");
    assert_eq!(product::publish(&app, &second).await.unwrap().version, 2);
    let refusal = product::publish(&app, &first).await.unwrap_err();
    assert!(matches!(refusal, Fault::Refused(ProductRefusal::TextWithdrawn(1))), "{refusal}");
    // Next month's terms would leave nothing on sale until then.
    let later = second.replace("valid_from = 2024-01-01", "valid_from = 2026-02-01");
    let refusal = product::publish(&app, &later).await.unwrap_err();
    assert!(matches!(refusal, Fault::Refused(ProductRefusal::ValidLater { .. })), "{refusal}");
    let until = |day: &str| second.replace("apr_cap", &format!("valid_until = {day}\napr_cap"));
    let refusal = product::publish(&app, &until("2026-01-04")).await.unwrap_err();
    assert!(matches!(refusal, Fault::Refused(ProductRefusal::Expired { .. })), "{refusal}");

    let mut connection = app.pool.acquire().await.unwrap();
    let current = app.catalogue.current(&mut connection, "harbour-standard").await.unwrap().unwrap();
    assert_eq!(current.version, 2);
    let old = app.catalogue.get(&mut connection, current.product_id, 1).await.unwrap();
    assert_eq!(old.terms.plans[0].prices[4].to_string(), "0.18");
    assert_eq!(app.catalogue.load_on_sale(&mut connection).await.unwrap().len(), 1);
    assert!(app.catalogue.get(&mut connection, ProductId::mint(app.clock.now()), 1).await.is_err());

    let changed = sqlx::query("update product_version set terms_text = 'x' where version = 1").execute(&app.pool).await;
    let refused = changed.unwrap_err().to_string();
    assert!(refused.contains("a published version is immutable"), "{refused}");

    assert!(product::withdraw(&app, "harbour-standard", 2).await.unwrap());
    assert!(!product::withdraw(&app, "harbour-standard", 2).await.unwrap());
    assert!(app.catalogue.current(&mut connection, "harbour-standard").await.unwrap().is_none());
    let versions = product::store::load_versions(&mut connection, current.product_id).await.unwrap();
    assert!(versions.iter().all(|version| version.withdrawn_at.is_some()));

    // What kept the rules of another day is read as it was published: there are loans under it.
    let (other, now) = (first.replace("claim_day = 80", "claim_day = 3"), app.clock.now());
    let problems: Vec<String> = file::parse(&other).unwrap_err().into_iter().map(|problem| problem.field).collect();
    assert_eq!(problems, ["overdue.claim_day"]);
    let kept = product::store::NewVersion {
        product_id: current.product_id,
        version: 3,
        terms_text: &other,
        terms_sha256: &[3; 32],
        published_at: now,
    };
    product::store::insert_version(&mut connection, kept).await.unwrap();
    let other = app.catalogue.get(&mut connection, current.product_id, 3).await.unwrap();
    assert_eq!(other.terms.overdue.claim_day, 3);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn two_who_publish_at_once_get_two_versions(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let first = text("pay-next-bill");
    let second = first.clone() + "# changed\n";
    let (one, other) = tokio::join!(product::publish(&app, &first), product::publish(&app, &second));
    let mut versions = [one.unwrap().version, other.unwrap().version];
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_version_and_its_draft_are_published_together_or_not_at_all(pool: PgPool) {
    let app = house::open(pool, "2026-01-05").await;
    let funder_id = fenqi::funder::open_funder(&app, "harbour-bank", "Harbour Bank").await.unwrap();
    let by = |holder: &str| Signatory {
        funder_id,
        partner_id: Uuid::nil(),
        holder: holder.to_owned(),
        idempotency_key: holder.to_owned(),
        attempt: Attempt::First,
    };
    let draft = draft_actions::submit(&app, &by("Chen"), text("pay-next-bill")).await.unwrap();
    let read = DraftRead { draft_id: draft.draft_id, edit_no: 1 };
    draft_actions::approve(&app, &by("Li"), read).await.unwrap();
    let spoil =
        "create function spoil() returns trigger language plpgsql as $$ begin raise exception 'spoiled'; end $$;
                 create trigger spoiled before update on product_draft for each row execute function spoil();";
    sqlx::raw_sql(spoil).execute(&app.pool).await.unwrap();
    assert!(draft_actions::publish(&app, &by("Li"), draft.draft_id).await.is_err());
    let versions: i64 = sqlx::query_scalar("select count(*) from product_version").fetch_one(&app.pool).await.unwrap();
    assert_eq!(versions, 0, "whoever asks again is not told that the text is off sale");
    sqlx::raw_sql("drop trigger spoiled on product_draft").execute(&app.pool).await.unwrap();
    let published = draft_actions::publish(&app, &by("Li"), draft.draft_id).await.unwrap();
    assert_eq!((published.status, published.published_version), (DraftStatus::Published, Some(1)));
}

#[test]
fn a_version_is_valid_within_its_dates() {
    let text = text("standard").replace("valid_from = 2024-01-01", "valid_from = 2026-01-01\nvalid_until = 2026-06-30");
    let terms = file::parse(&text).unwrap();
    let on = |day: &str| terms.is_valid_on(day.parse::<BusinessDay>().unwrap());
    assert_eq!([on("2025-12-31"), on("2026-01-01"), on("2026-06-30"), on("2026-07-01")], [false, true, true, false]);
}
