//! Every kind of event that is sent to funders' cores and merchants' systems, with the version and an example of its body.
//! Tests hold the published documents to it, and templates are checked with its examples.
//!
//! A body may gain a field within its version; a field that changes its meaning or goes makes the next version.

use serde_json::{Value, json};

use super::body_shape::{differences, find_nulls, is_empty_list};

/// Whom events of a kind are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Funder,
    Merchant,
}

/// Fields, each with all words that it may hold.
pub type Words = &'static [(&'static str, &'static [&'static str])];

/// One kind of event.
#[derive(Debug)]
pub struct EventKind {
    pub name: &'static str,
    /// The version of the body's shape.
    pub version: u16,
    pub audience: Audience,
    /// What `object_id` is the id of. Events about the same object keep their order.
    pub object: &'static str,
    pub says: &'static str,
    /// Fields of the body that may be null; no other is.
    pub nullable: &'static [&'static str],
    /// Lists of the body that may have nothing in them; no other is empty.
    pub may_be_empty: &'static [&'static str],
    /// Fields of the body that hold one of a few words, each with all of its words.
    pub words: Words,
    example: fn() -> Value,
}

impl EventKind {
    /// A whole body, in which no field is null and no list is empty.
    pub fn example(&self) -> Value {
        (self.example)()
    }

    /// For each field that may be null: the field, and a whole body in which it is.
    pub fn examples_with_null(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.nullable.iter().map(|field| {
            let mut body = self.example();
            body[*field] = Value::Null;
            (*field, body)
        })
    }

    /// For each list that may be empty: the list, and a whole body in which it is.
    pub fn examples_with_empty(&self) -> impl Iterator<Item = (&'static str, Value)> {
        self.may_be_empty.iter().map(|field| {
            let mut body = self.example();
            body[*field] = json!([]);
            (*field, body)
        })
    }

    /// For each word that a field may hold: the field, the word, and a whole body with it.
    pub fn examples_with_word(&self) -> impl Iterator<Item = (&'static str, &'static str, Value)> {
        let words = self.words.iter().flat_map(|(field, words)| words.iter().map(move |word| (*field, *word)));
        words.map(|(field, word)| {
            let mut body = self.example();
            body[field] = json!(word);
            (field, word, body)
        })
    }

    /// Where `found` is not a body of this kind: of another shape than the example, null or empty where it may not be, or
    /// with a word that its field may not hold. Empty if it is one.
    pub fn differences(&self, found: &Value) -> Vec<String> {
        let mut differences = differences(&self.example(), found);
        let mut nulls = Vec::new();
        find_nulls(found, "", &mut nulls);
        let is_strange = |at: &String| !self.nullable.iter().any(|field| at.strip_prefix('/') == Some(*field));
        differences.extend(nulls.into_iter().filter(is_strange).map(|at| format!("{at} is null")));
        let lists = found.as_object().into_iter().flatten().filter(|(_, value)| is_empty_list(value));
        let strange = lists.filter(|(field, _)| !self.may_be_empty.contains(&field.as_str()));
        differences.extend(strange.map(|(field, _)| format!("/{field} is empty")));
        for (field, words) in self.words {
            let strange = found[*field].as_str().filter(|word| !words.contains(word));
            differences.extend(strange.map(|word| format!("/{field} is {word:?}")));
        }
        differences
    }

    const fn with_nullable(self, nullable: &'static [&'static str]) -> EventKind {
        EventKind { nullable, ..self }
    }

    const fn with_empty(self, may_be_empty: &'static [&'static str]) -> EventKind {
        EventKind { may_be_empty, ..self }
    }

    const fn with_words(self, words: Words) -> EventKind {
        EventKind { words, ..self }
    }
}

/// The kind of that name, for whichever audience.
pub fn find(name: &str) -> Option<&'static EventKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// All kinds for an audience.
pub fn of(audience: Audience) -> impl Iterator<Item = &'static EventKind> {
    KINDS.iter().filter(move |kind| kind.audience == audience)
}

const fn funder(name: &'static str, object: &'static str, says: &'static str, example: fn() -> Value) -> EventKind {
    let (version, audience) = (1, Audience::Funder);
    EventKind { name, version, audience, object, says, nullable: &[], may_be_empty: &[], words: &[], example }
}

const fn merchant(name: &'static str, says: &'static str, example: fn() -> Value) -> EventKind {
    EventKind { audience: Audience::Merchant, ..funder(name, "order", says, example) }
}

/// A line may be frozen for several reasons at once, always named in this order.
const FROZEN_FOR: &[&str] =
    &["overdue", "risk", "operator", "overdue,risk", "overdue,operator", "risk,operator", "overdue,risk,operator"];

/// All kinds, in the order in which they are documented.
pub const KINDS: &[EventKind] = &[
    funder(
        "application_waiting",
        "application",
        "An application was approved and waits for your final decision. Decide by `answer_by`; after it the product's \
         decision in `default` applies.",
        || {
            let mut body = application();
            body["grade"] = json!("A");
            body["limit_fen"] = json!(2_000_000);
            body["score"] = json!(712);
            body["answer_by"] = json!("2026-03-04T02:00:00Z");
            body["default"] = json!("refuse");
            body
        },
    )
    .with_nullable(&["score"])
    .with_words(&[("default", &["approve", "refuse"])]),
    funder(
        "application_defaulted",
        "application",
        "You did not decide an application in time. `decision` is what applies: the product's default, or `refuse` if the borrower \
         had another line with you by then.",
        || {
            let mut body = application();
            body["decision"] = json!("refuse");
            body
        },
    )
    .with_words(&[("decision", &["approve", "refuse"])]),
    funder(
        "application_withdrawn",
        "application",
        "The borrower withdrew a consent before you decided an application. It is refused with `consent_withdrawn`; do not decide \
         it any more.",
        application,
    ),
    funder("line_opened", "line", "An application was approved and a credit line was opened.", || {
        json!({
            "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "borrower_id": "bor_0197f3c2a4b07cc39b1c2d3e4f506173",
            "application_id": "app_0197f3c2a4b07cc39b1c2d3e4f506174", "product": "harbour-standard", "product_version": 1,
            "grade": "A", "limit_fen": 2_000_000, "statement_day": 5, "due_day": 25, "expires_on": "2027-03-02",
            "business_day": "2026-03-02" })
    }),
    funder("line_changed", "line", "A credit line was frozen, unfrozen or closed, or its limit was changed.", || {
        json!({
            "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "change": "freeze", "status": "frozen",
            "frozen_for": "overdue", "limit_fen": 2_000_000, "used_fen": 128_800, "business_day": "2026-03-02" })
    })
    .with_nullable(&["frozen_for"])
    .with_words(&[
        ("change", &["freeze", "unfreeze", "limit", "close"]),
        ("status", &["active", "frozen", "closed"]),
        ("frozen_for", FROZEN_FOR),
    ]),
    funder(
        "loan_made",
        "loan",
        "A loan was made for a purchase, with version 1 of its repayment schedule. `subsidy_fen` is the interest or fees that the \
         merchant pays you instead of the customer.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176",
                "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "merchant_id": "mer_0197f3c2a4b07cc39b1c2d3e4f506177",
                "product": "harbour-standard", "product_version": 1, "periods": 3, "principal_fen": 128_800, "subsidy_fen": 0,
                "installments": [
                    { "period": 1, "due_on": "2026-03-25", "principal_fen": 42_933, "interest_fen": 0, "fee_fen": 515 },
                    { "period": 2, "due_on": "2026-04-25", "principal_fen": 42_933, "interest_fen": 0, "fee_fen": 515 },
                    { "period": 3, "due_on": "2026-05-25", "principal_fen": 42_934, "interest_fen": 0, "fee_fen": 515 }],
                "business_day": "2026-03-02" })
        },
    ),
    funder("loan_voided", "loan", "A purchase was voided on its own business day, and its loan with it.", || {
        json!({
            "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176",
            "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "amount_fen": 128_800, "business_day": "2026-03-02" })
    }),
    funder("plan_changed", "loan", "A loan has a new schedule after a refund, an early payoff or its reversal.", || {
        json!({
            "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
            "schedule_version": 2, "reason": "refund",
            "installments": [{ "period": 1, "due_on": "2026-04-25", "principal_fen": 42_933, "interest_fen": 0, "fee_fen": 515 }],
            "business_day": "2026-03-10" })
    })
    .with_words(&[("reason", &["refund", "payoff", "restored"])]),
    funder("repayment", "loan", "A repayment was allocated to a loan; one event for each loan that it paid.", || {
        repaid(1)
    })
    .with_words(&[("source", &["withholding", "transfer", "channel_file"])]),
    funder(
        "repayment_reversed",
        "loan",
        "The repayment in `reverses` was reversed: its money did not come, or was not for this loan. The amounts are those of the \
         repayment, with a minus sign.",
        || {
            let mut body = repaid(-1);
            body["repayment_id"] = json!("rep_0197f3c2a4b07cc39b1c2d3e4f50617e");
            body["reverses"] = json!("rep_0197f3c2a4b07cc39b1c2d3e4f50617d");
            body
        },
    )
    .with_words(&[("source", &["reversal"])]),
    funder(
        "loan_ended",
        "loan",
        "Nothing is owed on a loan any more, penalty interest included. `status` is `refunded` if refunds alone ended it. A later \
         `repayment_reversed` makes the loan open again.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
                "status": "paid", "business_day": "2026-05-25" })
        },
    )
    .with_words(&[("status", &["paid", "refunded"])]),
    funder("overdue", "loan", "A billed installment was not paid in full by the end of its grace period.", || {
        json!({
            "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
            "period": 1, "due_on": "2026-03-25", "unpaid_principal_fen": 42_933, "unpaid_interest_fen": 0,
            "unpaid_fee_fen": 515, "business_day": "2026-03-29" })
    }),
    funder(
        "claim_due",
        "loan",
        "A billed installment reached the day from which you may claim on the guarantor. The amounts are what is outstanding of it \
         on that day.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
                "period": 1, "due_on": "2026-03-25", "principal_fen": 42_933, "interest_fen": 0, "fee_fen": 515,
                "penalty_fen": 1_140, "business_day": "2026-06-13" })
        },
    ),
    funder(
        "claim_paid",
        "loan",
        "The guarantor has paid you a claim; the amounts are those of the claim. `left_fen` is what guarantors have paid on the \
         loan and not recovered yet.",
        || {
            json!({
                "claim_id": "claim_0197f3c2a4b07cc39b1c2d3e4f50617f", "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175",
                "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "principal_fen": 42_933, "interest_fen": 0, "fee_fen": 515,
                "penalty_fen": 1_153, "amount_fen": 44_601, "left_fen": 44_601, "bank_reference": "G20260614-0001",
                "business_day": "2026-06-14" })
        },
    ),
    funder(
        "claim_recovered",
        "loan",
        "A repayment or a refund brought money in on a loan after its guarantor had paid: you owe `amount_fen` of it to the \
         guarantor. It is negative if the repayment was reversed. `left_fen` is what is still to be recovered.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
                "repayment_id": "rep_0197f3c2a4b07cc39b1c2d3e4f50617d", "refund_id": "ref_0197f3c2a4b07cc39b1c2d3e4f506178",
                "amount_fen": 20_000, "left_fen": 24_601, "business_day": "2026-06-20" })
        },
    )
    .with_nullable(&["repayment_id", "refund_id"]),
    funder(
        "claim_reversed",
        "loan",
        "A claim that was reported as paid had been booked by mistake: the guarantor has not paid it. Of what was collected on the \
         loan since, `recovered_fen` is yours and no longer owed to the guarantor. `left_fen` is what is still to be recovered for \
         other claims.",
        || {
            json!({
                "claim_id": "claim_0197f3c2a4b07cc39b1c2d3e4f50617f", "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175",
                "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172", "amount_fen": 44_601, "recovered_fen": 20_000, "left_fen": 0,
                "business_day": "2026-06-22" })
        },
    ),
    funder(
        "charge_off",
        "loan",
        "A loan was charged off in your book. The amounts are its receivables on that day; `covered_fen` is what guarantors have \
         paid on it and not recovered. It is owed and collected as before.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
                "principal_fen": 128_800, "interest_fen": 0, "fee_fen": 1_545, "covered_fen": 0, "business_day": "2026-09-21" })
        },
    ),
    funder(
        "refund",
        "loan",
        "A merchant refunded part or all of a purchase. `installments` are the billed installments that it reduced; the repayment \
         schedule keeps them as they were billed. `…_back_fen` goes back to the borrower's card, and `…_recovered_fen` is the part \
         of it that was collected after the loan was charged off.",
        || {
            json!({
                "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176",
                "refund_id": "ref_0197f3c2a4b07cc39b1c2d3e4f506178", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
                "amount_fen": 28_800, "principal_fell_fen": 28_800, "owed_back_fen": 0, "subsidy_returned_fen": 0,
                "interest_waived_fen": 345,
                "interest_back_fen": 0, "interest_back_recovered_fen": 0, "fee_back_fen": 0, "fee_back_recovered_fen": 0,
                "schedule_version": 2,
                "installments": [{
                    "period": 1, "principal_fell_fen": 8_800, "interest_fell_fen": 0, "fee_fell_fen": 0, "interest_back_fen": 0,
                    "fee_back_fen": 0 }],
                "business_day": "2026-03-10" })
        },
    )
    .with_empty(&["installments"]),
    funder(
        "settlement_paid",
        "settlement",
        "Your part of a merchant's settlement for `settled_day`, with what was carried into it from earlier days, was paid out of \
         your reserve. `amount_fen` is negative if more was refunded than sold on your loans.",
        || {
            json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "settlement_id": "set_0197f3c2a4b07cc39b1c2d3e4f50617a",
            "merchant_id": "mer_0197f3c2a4b07cc39b1c2d3e4f506177", "settled_day": "2026-03-02", "amount_fen": 126_224,
            "paid_on": "2026-03-03" })
        },
    ),
    funder("remittance_paid", "remittance", "Money collected on your loans was paid to you.", || {
        json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "remittance_id": "rem_0197f3c2a4b07cc39b1c2d3e4f50617b",
            "amount_fen": 43_448, "collected_fen": 43_448, "subsidy_fen": 0, "share_fen": 0, "collected_day": "2026-03-25",
            "bank_reference": "B20260326-0001", "paid_on": "2026-03-26" })
    }),
    funder(
        "settlement_reversed",
        "settlement",
        "A payment of a merchant's settlement that was reported with `settlement_paid` was not made. Your part of it is owed \
         again.",
        || {
            json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "settlement_id": "set_0197f3c2a4b07cc39b1c2d3e4f50617a",
            "merchant_id": "mer_0197f3c2a4b07cc39b1c2d3e4f506177", "settled_day": "2026-03-02", "amount_fen": 126_224,
            "business_day": "2026-03-05" })
        },
    ),
    funder(
        "remittance_reversed",
        "remittance",
        "A payment that was reported with `remittance_paid` was not made. The amount is owed to you again.",
        || {
            json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "remittance_id": "rem_0197f3c2a4b07cc39b1c2d3e4f50617b",
            "amount_fen": 43_448, "collected_day": "2026-03-25", "bank_reference": "B20260326-0001",
            "business_day": "2026-03-28" })
        },
    ),
    funder("reserve_deposited", "funder", "A deposit was booked to your reserve.", reserve_moved),
    funder("reserve_withdrawn", "funder", "A withdrawal was booked from your reserve.", reserve_moved),
    funder("reserve_low", "funder", "Your reserve fell below a low-water mark, or is still below it a day later.", || {
        json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "available_fen": 9_500_000, "low_water_fen": 10_000_000,
            "runs_dry_on": "2026-03-09", "business_day": "2026-03-02" })
    })
    .with_nullable(&["runs_dry_on"]),
    funder(
        "advance_overdue",
        "funder",
        "Your advance was not repaid in time. Purchases are refused until it is repaid.",
        || {
            json!({
            "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "advance_fen": 120_000, "advance_since": "2026-03-02",
            "business_day": "2026-03-03" })
        },
    ),
    merchant("payment_succeeded", "A customer paid an order or a static code.", || {
        json!({
            "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176", "order_id": "code_0197f3c2a4b07cc39b1c2d3e4f50617c",
            "reference": "A-20260302-0001", "amount_fen": 128_800, "periods": 3, "business_day": "2026-03-02" })
    })
    .with_nullable(&["order_id", "reference"]),
    merchant("purchase_voided", "A payment was voided on its own business day.", || {
        json!({
            "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176", "order_id": "code_0197f3c2a4b07cc39b1c2d3e4f50617c",
            "reference": "A-20260302-0001", "amount_fen": 128_800, "business_day": "2026-03-02" })
    })
    .with_nullable(&["order_id", "reference"]),
    merchant("refund_succeeded", "Part or all of a payment was refunded.", || {
        json!({
            "purchase_id": "pur_0197f3c2a4b07cc39b1c2d3e4f506176", "order_id": "code_0197f3c2a4b07cc39b1c2d3e4f50617c",
            "reference": "A-20260302-0001", "refund_id": "ref_0197f3c2a4b07cc39b1c2d3e4f506178", "amount_fen": 28_800,
            "business_day": "2026-03-10" })
    })
    .with_nullable(&["order_id", "reference"]),
];

fn application() -> Value {
    json!({
        "application_id": "app_0197f3c2a4b07cc39b1c2d3e4f506174", "borrower_id": "bor_0197f3c2a4b07cc39b1c2d3e4f506173",
        "product": "harbour-standard", "product_version": 1, "business_day": "2026-03-02" })
}

fn repaid(sign: i64) -> Value {
    json!({
        "repayment_id": "rep_0197f3c2a4b07cc39b1c2d3e4f50617d", "line_id": "line_0197f3c2a4b07cc39b1c2d3e4f506172",
        "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506175", "source": if sign > 0 { "withholding" } else { "reversal" },
        "amount_fen": sign * 43_448,
        "installments": [{
            "period": 1, "principal_fen": sign * 42_933, "interest_fen": 0, "fee_fen": sign * 515, "penalty_fen": 0 }],
        "business_day": "2026-03-25", "value_on": "2026-03-25" })
}

fn reserve_moved() -> Value {
    json!({
        "funder_id": "fun_0197f3c2a4b07cc39b1c2d3e4f506179", "amount_fen": 500_000_000, "reference": "ICBC-20260302-7781",
        "available_fen": 509_500_000, "business_day": "2026-03-02" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_stands_twice_and_each_example_has_its_own_shape() {
        for (place, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[place + 1..].iter().all(|other| other.name != kind.name), "{}", kind.name);
            assert_eq!(kind.differences(&kind.example()), [""; 0]);
            for (field, body) in kind.examples_with_null() {
                assert!(kind.example()[field] != Value::Null && body[field] == Value::Null, "{} {field}", kind.name);
                assert_eq!(kind.differences(&body), [""; 0]);
            }
            for (field, body) in kind.examples_with_empty() {
                assert!(kind.example()[field][0] != Value::Null && body[field] == json!([]), "{} {field}", kind.name);
                assert_eq!(kind.differences(&body), [""; 0]);
            }
            for (field, word, body) in kind.examples_with_word() {
                assert!(kind.example()[field].is_string() && body[field] == word, "{} {field}", kind.name);
                assert_eq!(kind.differences(&body), [""; 0]);
            }
        }
    }

    #[test]
    fn an_empty_list_where_none_may_be_is_told() {
        for (kind, told) in [("plan_changed", vec!["/installments is empty"]), ("refund", Vec::new())] {
            let kind = find(kind).unwrap();
            let mut body = kind.example();
            body["installments"] = json!([]);
            assert_eq!(kind.differences(&body), told, "{}", kind.name);
        }
    }

    #[test]
    fn a_word_that_a_field_does_not_have_is_told() {
        let kind = find("line_changed").unwrap();
        let mut body = kind.example();
        body["change"] = json!("purchase");
        body["frozen_for"] = json!("risk,overdue");
        assert_eq!(kind.differences(&body), ["/change is \"purchase\"", "/frozen_for is \"risk,overdue\""]);
    }

    #[test]
    fn a_null_where_none_may_be_is_told() {
        let kind = find("plan_changed").unwrap();
        let mut body = kind.example();
        body["reason"] = Value::Null;
        body["installments"][0]["fee_fen"] = Value::Null;
        assert_eq!(kind.differences(&body), ["/installments/0/fee_fen is null", "/reason is null"]);
    }
}
