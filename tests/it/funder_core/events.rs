//! The core that hears events alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fenqi::base::BusinessDay;
use fenqi::base::day::MonthDay;
use fenqi::outbox::store::Waiting;
use serde_json::Value;
use sqlx::PgPool;

use super::{Book, Loan, PARTS, Standing};
use crate::journey::told_to;

/// A schedule: due day, and principal, interest and fee of each installment.
type Rows = Vec<(String, [i64; 3])>;

/// What a funder's core was told.
pub struct Told {
    /// Kinds and bodies. Those about one object stand in their order; the objects stand backwards, because there is no order among them.
    events: Vec<(String, Value)>,
}

/// A core that has taken events.
#[derive(Default)]
pub struct Core {
    pub(super) book: Book,
    lines: BTreeMap<String, LineDetails>,
    loans: BTreeMap<String, LoanDetails>,
    /// What each repayment gave each installment of a loan.
    repaid: BTreeMap<(String, String), Value>,
    /// What came in on a business day: collections and subsidies.
    came_in: BTreeMap<BusinessDay, [i64; 2]>,
    /// Settlements and remittances that were paid.
    paid: Standing,
}

#[derive(Default)]
struct LineDetails {
    frozen_for: Option<String>,
    statement_day: Option<MonthDay>,
}

struct LoanDetails {
    made_on: BusinessDay,
    subsidy: i64,
    status: String,
    /// What guarantors paid and has not been recovered.
    left: i64,
    /// What each installment asked for in all, by the schedule from a day on.
    plans: Vec<(BusinessDay, Vec<i64>)>,
    /// From which day on it was ended, or open again.
    ended: Vec<(BusinessDay, bool)>,
    /// When what came in on an installment, whose place is counted from 0.
    came_in: Vec<(BusinessDay, usize, i64)>,
}

impl Told {
    pub async fn read(pool: &PgPool, partner: &str) -> Told {
        let mut events = told_to(pool, partner).await;
        events.sort_by_key(|event| (Reverse(event.object_id), event.message_no));
        let told = |event: Waiting| (event.kind, serde_json::from_str(&event.body).unwrap());
        Told { events: events.into_iter().map(told).collect() }
    }

    /// The core that has taken the events of all business days up to this one.
    pub fn until(&self, last: BusinessDay) -> Core {
        let mut core = Core::default();
        for (kind, body) in self.events.iter().filter(|(_, body)| day_of(body) <= last) {
            match kind.as_str() {
                "line_opened" | "line_changed" => core.take_line(body),
                "loan_made" => core.take_loan(body),
                "reserve_deposited" => core.book.available += fen(&body["amount_fen"]),
                "reserve_withdrawn" => core.book.available -= fen(&body["amount_fen"]),
                "settlement_paid" | "settlement_reversed" | "remittance_paid" | "remittance_reversed" => {
                    core.take_payment(kind, body);
                }
                _ if body["loan_id"].is_string() => core.take_of_loan(kind, body),
                // They ask or warn, and change nothing.
                "application_waiting"
                | "application_defaulted"
                | "application_withdrawn"
                | "reserve_low"
                | "advance_overdue" => {}
                unknown => panic!("{unknown} is not known: {body}"),
            }
        }
        core
    }
}

fn fen(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no amount"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The business day of an event: a payment has the day on which it was paid.
fn day_of(body: &Value) -> BusinessDay {
    let day = body["business_day"].as_str().or(body["paid_on"].as_str());
    day.unwrap_or_else(|| panic!("{body} has no day")).parse().unwrap()
}

/// Amounts of an installment in an event; `suffix` follows the name of each part.
fn parts<const COUNT: usize>(row: &Value, suffix: &str) -> [i64; COUNT] {
    std::array::from_fn(|part| fen(&row[format!("{}{suffix}", PARTS[part])]))
}

fn rows(body: &Value) -> impl Iterator<Item = (i64, &Value)> {
    body["installments"].as_array().unwrap().iter().map(|row| (fen(&row["period"]), row))
}

/// The whole schedule in an event.
fn planned(body: &Value) -> Rows {
    let planned: Rows = rows(body).map(|(_, row)| (text(&row["due_on"]).to_owned(), parts(row, "_fen"))).collect();
    let periods = rows(body).map(|(period, _)| period);
    assert!(periods.eq(1..=i64::try_from(planned.len()).unwrap()), "{body}");
    planned
}

impl Core {
    fn take_line(&mut self, body: &Value) {
        let line_id = text(&body["line_id"]).to_owned();
        let details = self.lines.entry(line_id.clone()).or_default();
        if let Some(day) = body["statement_day"].as_u64() {
            details.statement_day = MonthDay::new(u8::try_from(day).unwrap());
        }
        details.frozen_for = body["frozen_for"].as_str().map(str::to_owned);
        // The tests' own lines are opened without an event.
        if details.statement_day.is_some() {
            let status = body["status"].as_str().unwrap_or("active").to_owned();
            self.book.lines.insert(line_id, (fen(&body["limit_fen"]), status));
        }
    }

    fn take_loan(&mut self, body: &Value) {
        let (loan_id, made_on) = (text(&body["loan_id"]).to_owned(), day_of(body));
        let (principal, subsidy) = (fen(&body["principal_fen"]), fen(&body["subsidy_fen"]));
        let mut loan = Loan { line_id: text(&body["line_id"]).to_owned(), principal, ..Loan::default() };
        let first = planned(body);
        assert_eq!(fen(&body["periods"]), i64::try_from(first.len()).unwrap(), "{body}");
        let details = LoanDetails {
            made_on,
            subsidy,
            status: "open".to_owned(),
            left: 0,
            plans: vec![(made_on, totals(&first))],
            ended: Vec::new(),
            came_in: Vec::new(),
        };
        loan.reschedule(1, first);
        self.book.available -= principal;
        self.came_in.entry(made_on).or_default()[1] += subsidy;
        assert!(self.book.loans.insert(loan_id.clone(), loan).is_none(), "made twice: {body}");
        self.loans.insert(loan_id, details);
    }

    /// Takes an event about a loan that was made before. None may leave an installment on which more was paid than it asks for: a core
    /// that checks this would refuse it.
    fn take_of_loan(&mut self, kind: &str, body: &Value) {
        match kind {
            "loan_voided" => self.void(body),
            "plan_changed" => self.reschedule(body),
            "repayment" | "repayment_reversed" => self.repay(kind, body),
            "refund" => self.refund(body),
            "loan_ended" => {
                assert_eq!(self.details_of(body).status, "open", "{body}");
                assert!(self.loan(body).rows.iter().all(|row| row.owed() == [0; 3]), "{body} while something is owed");
                self.end(body, text(&body["status"]).to_owned());
            }
            "overdue" => self.assert_owed(body, "unpaid_"),
            "claim_due" => self.assert_owed(body, ""),
            "claim_paid" | "claim_recovered" | "claim_reversed" => self.claim(kind, body),
            "charge_off" => {
                let loan = self.loan(body);
                assert_eq!(loan.outstanding(), fen(&body["principal_fen"]), "{body}");
                loan.charged_off_on = day_of(body).to_string();
                assert_eq!(self.details_of(body).left, fen(&body["covered_fen"]), "{body}");
            }
            unknown => panic!("{unknown} is not known: {body}"),
        }
        let loan = self.loan(body);
        let is_overpaid = loan.rows.iter().any(|row| row.owed().iter().chain(&row.paid).any(|fen| *fen < 0));
        assert!(!is_overpaid, "{kind} {body} makes {loan:?}");
    }

    fn loan(&mut self, body: &Value) -> &mut Loan {
        self.book.loans.get_mut(text(&body["loan_id"])).unwrap_or_else(|| panic!("{body} came before its loan"))
    }

    fn details_of(&mut self, body: &Value) -> &mut LoanDetails {
        self.loans.get_mut(text(&body["loan_id"])).unwrap()
    }

    fn void(&mut self, body: &Value) {
        let loan = self.loan(body);
        assert_eq!(loan.principal, fen(&body["amount_fen"]), "{body}");
        loan.is_voided = true;
        self.book.available += fen(&body["amount_fen"]);
        let details = self.details_of(body);
        "voided".clone_into(&mut details.status);
        let subsidy = details.subsidy;
        self.came_in.entry(day_of(body)).or_default()[1] -= subsidy;
    }

    fn reschedule(&mut self, body: &Value) {
        let planned = planned(body);
        self.details_of(body).plans.push((day_of(body), totals(&planned)));
        self.loan(body).reschedule(fen(&body["schedule_version"]), planned);
    }

    fn repay(&mut self, kind: &str, body: &Value) {
        let (day, mut sum) = (day_of(body), 0);
        for (period, row) in rows(body) {
            let taken: [i64; 4] = parts(row, "_fen");
            sum += taken.iter().sum::<i64>();
            let paid = &mut self.loan(body).row(period).paid;
            paid.iter_mut().zip(taken).for_each(|(paid, taken)| *paid += taken);
            let place = usize::try_from(period).unwrap() - 1;
            self.details_of(body).came_in.push((day, place, taken[..3].iter().sum()));
        }
        assert_eq!(sum, fen(&body["amount_fen"]), "{body}");
        self.came_in.entry(day).or_default()[0] += sum;
        let loan_id = text(&body["loan_id"]).to_owned();
        if kind == "repayment_reversed" {
            let reversed = self.repaid.remove(&(text(&body["reverses"]).to_owned(), loan_id));
            assert_eq!(reversed.map(|rows| negated(&rows)).as_ref(), Some(&body["installments"]), "{body}");
            self.end(body, "open".to_owned());
        } else {
            let key = (text(&body["repayment_id"]).to_owned(), loan_id);
            let before = self.repaid.insert(key, body["installments"].clone());
            assert!(before.is_none(), "told twice: {body}");
        }
    }

    fn refund(&mut self, body: &Value) {
        let fell = fen(&body["principal_fell_fen"]);
        assert_eq!(fen(&body["amount_fen"]), fell + fen(&body["owed_back_fen"]), "{body}");
        let loan = self.loan(body);
        assert_eq!(loan.version, fen(&body["schedule_version"]), "{body}");
        loan.fell += fell;
        let mut given_back = 0;
        for (period, reduced) in rows(body) {
            let row = loan.row(period);
            row.fell.iter_mut().zip(parts::<3>(reduced, "_fell_fen")).for_each(|(before, fell)| *before += fell);
            let back = [fen(&reduced["interest_back_fen"]), fen(&reduced["fee_back_fen"])];
            row.back.iter_mut().zip(back).for_each(|(before, back)| *before += back);
            given_back += back.iter().sum::<i64>();
        }
        assert_eq!(given_back, fen(&body["interest_back_fen"]) + fen(&body["fee_back_fen"]), "{body}");
        self.book.available += fell;
        let came_in = self.came_in.entry(day_of(body)).or_default();
        came_in[0] -= given_back;
        came_in[1] -= fen(&body["subsidy_returned_fen"]);
    }

    fn end(&mut self, body: &Value, status: String) {
        let details = self.details_of(body);
        details.ended.push((day_of(body), status != "open"));
        details.status = status;
    }

    /// An event that says what is unpaid of an installment says the same as the events before it.
    fn assert_owed(&mut self, body: &Value, prefix: &str) {
        let told = [0, 1, 2].map(|part: usize| fen(&body[format!("{prefix}{}_fen", PARTS[part])]));
        let row = self.loan(body).row(fen(&body["period"]));
        assert_eq!((row.owed(), row.due_on.as_str()), (told, text(&body["due_on"])), "{body}");
    }

    fn claim(&mut self, kind: &str, body: &Value) {
        let amount = fen(&body["amount_fen"]);
        let details = self.details_of(body);
        details.left += match kind {
            "claim_paid" => amount,
            "claim_recovered" => -amount,
            _ => fen(&body["recovered_fen"]) - amount,
        };
        assert_eq!(details.left, fen(&body["left_fen"]), "{kind} {body}");
    }

    fn take_payment(&mut self, kind: &str, body: &Value) {
        let of_settlement = body["settlement_id"].as_str();
        let subject = of_settlement.unwrap_or_else(|| text(&body["remittance_id"])).to_owned();
        let amount = fen(&body["amount_fen"]);
        let stands = if of_settlement.is_some() {
            format!("{amount} to {} for {}", text(&body["merchant_id"]), text(&body["settled_day"]))
        } else {
            format!("{amount} for {}", text(&body["collected_day"]))
        };
        match kind {
            "settlement_paid" | "remittance_paid" => {
                if kind == "remittance_paid" {
                    let [collected, subsidy, share] =
                        ["collected", "subsidy", "share"].map(|part| fen(&body[format!("{part}_fen")]));
                    assert_eq!(amount, collected + subsidy - share, "{body}");
                }
                assert!(self.paid.insert(subject, stands).is_none(), "paid twice: {body}");
            }
            _ => assert_eq!(self.paid.remove(&subject), Some(stands), "{kind} {body}"),
        }
    }

    /// What daily files do not tell: why lines are frozen, what is billed, how loans stand, what guarantors have to get, and payments.
    pub fn details(&self, today: BusinessDay) -> Standing {
        let mut details = self.paid.clone();
        let frozen = self.lines.iter().filter_map(|(line_id, line)| Some((line_id, line.frozen_for.as_ref()?)));
        details.extend(frozen.map(|(line_id, why)| (format!("{line_id} is frozen"), why.clone())));
        for (loan_id, told) in &self.loans {
            details.insert(loan_id.clone(), format!("{}, {} left to guarantors", told.status, told.left));
            let line = self.lines.get(&self.book.loans[loan_id].line_id);
            let Some(statement_day) = line.and_then(|line| line.statement_day) else { continue };
            let billed = (0..told.plans[0].1.len()).filter(|place| told.is_billed(statement_day, *place, today));
            details.extend(billed.map(|place| (format!("{loan_id} {}", place + 1), "billed".to_owned())));
        }
        let came_in = self.came_in.iter().filter(|(day, came_in)| **day < today && **came_in != [0, 0]);
        details.extend(came_in.map(|(day, [collected, subsidy])| (day.to_string(), came_in_of(*collected, *subsidy))));
        details
    }
}

/// What came in on a day, in words.
pub fn came_in_of(collected: i64, subsidy: i64) -> String {
    format!("{collected} collected, {subsidy} of subsidies")
}

impl LoanDetails {
    /// Whether an installment, whose place is counted from 0, is billed by the beginning of `today`: at the end of its statement day it
    /// asked for something, the loan had not ended, and no early payoff had collected it.
    fn is_billed(&self, statement_day: MonthDay, place: usize, today: BusinessDay) -> bool {
        let first = statement_day.next_after(self.made_on);
        let statement_on = statement_day.months_after(first, u32::try_from(place).unwrap());
        let plan = self.plans.iter().rev().find(|(day, _)| *day <= statement_on);
        let has_ended = self.ended.iter().rev().find(|(day, _)| *day <= statement_on).is_some_and(|(_, ended)| *ended);
        let early = self.came_in.iter().filter(|(day, of, _)| *day <= statement_on && *of == place);
        let early: i64 = early.map(|(_, _, fen)| fen).sum();
        let asked = plan.map_or(0, |(_, totals)| totals[place]);
        self.status != "voided" && statement_on < today && asked > 0 && !has_ended && early == 0
    }
}

fn totals(rows: &Rows) -> Vec<i64> {
    rows.iter().map(|(_, asked)| asked.iter().sum()).collect()
}

/// The same installments with each amount negated.
fn negated(rows: &Value) -> Value {
    let negate = |row: &Value| {
        let fields = row.as_object().unwrap().iter().map(|(name, value)| {
            let is_amount = name.ends_with("_fen");
            (name.clone(), if is_amount { Value::from(-fen(value)) } else { value.clone() })
        });
        Value::Object(fields.collect())
    };
    rows.as_array().unwrap().iter().map(negate).collect()
}
