//! Field mapping: a template that renders an event as JSON in a partner's own names, shapes, codes and amounts.

use chrono::DateTime;
use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value as TemplateValue, context};
use serde_json::Value;

use super::catalogue::EventKind;
use super::template_language::environment;
use crate::error::Refusal;

/// The longest template and the longest expression; longer ones would be programs.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const TAKEN_WHEN_BYTES_MAX: usize = 1_000;
/// The most that a template may write, far more than any of our events.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
const PATH_BYTES_MAX: usize = 200;

/// A template, which turns events of one kind into the format of your core.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Path below the base URL of your core. Each event is then sent there by a call of its own, whose whole body is the template's output. Null, or
    /// left out: events are sent in batches to `/events`, with the template's output as the event's `body`.
    #[schema(example = "/loan/v2/loanNotify", max_length = 200)]
    #[serde(default)]
    pub path: Option<String>,
    /// The template: JSON with `{{ … }}` for each value of the event, without quotes around it. Its output must be a JSON object.
    #[schema(
        example = "{\"loanNo\": {{ body.loan_id }}, \"loanAmt\": {{ body.principal_fen | yuan }}}",
        min_length = 1,
        max_length = 16384
    )]
    pub text: String,
    /// Only with a path: an expression over `answer`, the JSON body of a 2xx answer, that is true if your core has accepted the event. Null, or left
    /// out: every 2xx answer accepts it.
    #[schema(example = "answer.retCode == \"0000\"", max_length = 1000)]
    #[serde(default)]
    pub taken_when: Option<String>,
}

/// How a kind of event is told to a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telling {
    /// In our form.
    Ours,
    By(Template),
    /// Not at all: events of this kind end without a call.
    NotTold,
}

impl Telling {
    /// What a partner asks for by the two fields of its request.
    ///
    /// # Errors
    /// `NotToldByTemplate` where it gives a template and does not want to be told.
    pub fn asked(template: Option<Template>, not_told: bool) -> Result<Telling, TemplateRefusal> {
        match (template, not_told) {
            (None, false) => Ok(Telling::Ours),
            (Some(template), false) => Ok(Telling::By(template)),
            (None, true) => Ok(Telling::NotTold),
            (Some(_), true) => Err(TemplateRefusal::NotToldByTemplate),
        }
    }

    /// The template, where the kind is told by one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Telling::By(template) => Some(template),
            Telling::Ours | Telling::NotTold => None,
        }
    }

    pub fn is_not_told(&self) -> bool {
        *self == Telling::NotTold
    }
}

/// An event as a template sees it, by the names `event` and `body`.
#[derive(Clone, Copy, Debug)]
pub struct TemplateEvent<'a> {
    pub event_no: i64,
    pub kind: &'a str,
    pub version: u16,
    pub object_id: uuid::Uuid,
    pub occurred_at: DateTime<chrono::Utc>,
    pub body: &'a Value,
}

/// Why a template is not saved, or cannot render an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateRefusal {
    #[error("line {line}: {says}")]
    Wrong { line: usize, says: String },
    #[error("the template's output is not JSON at line {line}, column {column}: {says}")]
    NotJson { line: usize, column: usize, says: String },
    #[error("the template's output must be a JSON object")]
    NotAnObject,
    #[error("the template's output is larger than {OUTPUT_BYTES_MAX} bytes, or it runs too long")]
    TooMuch,
    #[error("`taken_when` is wrong: {0}")]
    TakenWhen(String),
    #[error("`taken_when` needs a path of its own")]
    TakenWhenWithoutPath,
    #[error("a path begins with one slash and has up to {PATH_BYTES_MAX} letters, digits and -._~/ in it")]
    Path,
    #[error("a template has 1 to {TEXT_BYTES_MAX} bytes, and `taken_when` up to {TAKEN_WHEN_BYTES_MAX}")]
    Length,
    #[error("with `not_told` no template can be given")]
    NotToldByTemplate,
    #[error("with `body.{field}` null, as it may be: {why}")]
    OnNull { field: &'static str, why: Box<TemplateRefusal> },
    #[error("with `body.{field}` empty, as it may be: {why}")]
    OnEmpty { field: &'static str, why: Box<TemplateRefusal> },
    #[error("with `body.{field}` {word:?}, as it may be: {why}")]
    OnWord { field: &'static str, word: &'static str, why: Box<TemplateRefusal> },
}

impl Refusal for TemplateRefusal {
    fn code(&self) -> &'static str {
        match self {
            TemplateRefusal::Wrong { .. }
            | TemplateRefusal::TakenWhen(_)
            | TemplateRefusal::TakenWhenWithoutPath
            | TemplateRefusal::Length
            | TemplateRefusal::NotToldByTemplate => "template_wrong",
            TemplateRefusal::NotJson { .. } | TemplateRefusal::NotAnObject => "template_not_json",
            TemplateRefusal::TooMuch => "template_too_much",
            TemplateRefusal::Path => "template_path_malformed",
            TemplateRefusal::OnNull { why, .. }
            | TemplateRefusal::OnEmpty { why, .. }
            | TemplateRefusal::OnWord { why, .. } => why.code(),
        }
    }
}

impl From<serde_json::Error> for TemplateRefusal {
    fn from(error: serde_json::Error) -> TemplateRefusal {
        TemplateRefusal::NotJson { line: error.line(), column: error.column(), says: error.to_string() }
    }
}

impl Template {
    /// Checks whether it may be saved for a kind: it must render the kind's example, also with each field null and each list
    /// empty that may be, and with each word that a field may hold; and `taken_when` must be a valid expression.
    ///
    /// # Errors
    /// What is wrong, with the line where there is one.
    pub fn check(&self, kind: &EventKind) -> Result<(), TemplateRefusal> {
        let taken_when_length = self.taken_when.as_ref().map_or(0, String::len);
        if self.text.is_empty() || self.text.len() > TEXT_BYTES_MAX || taken_when_length > TAKEN_WHEN_BYTES_MAX {
            return Err(TemplateRefusal::Length);
        }
        if self.path.as_deref().is_some_and(|path| !is_path(path)) {
            return Err(TemplateRefusal::Path);
        }
        if let Some(expression) = &self.taken_when {
            if self.path.is_none() {
                return Err(TemplateRefusal::TakenWhenWithoutPath);
            }
            let parsed = environment().compile_expression(expression).map(|_| ());
            parsed.map_err(|error| TemplateRefusal::TakenWhen(says(&error)))?;
        }
        self.render_example(kind, &kind.example())?;
        for (field, body) in kind.examples_with_null() {
            let rendered = self.render_example(kind, &body);
            rendered.map_err(|why| TemplateRefusal::OnNull { field, why: Box::new(why) })?;
        }
        for (field, body) in kind.examples_with_empty() {
            let rendered = self.render_example(kind, &body);
            rendered.map_err(|why| TemplateRefusal::OnEmpty { field, why: Box::new(why) })?;
        }
        for (field, word, body) in kind.examples_with_word() {
            let rendered = self.render_example(kind, &body);
            rendered.map_err(|why| TemplateRefusal::OnWord { field, word, why: Box::new(why) })?;
        }
        Ok(())
    }

    fn render_example(&self, kind: &EventKind, body: &Value) -> Result<String, TemplateRefusal> {
        let told = TemplateEvent {
            event_no: 1,
            kind: kind.name,
            version: kind.version,
            object_id: uuid::Uuid::nil(),
            occurred_at: DateTime::UNIX_EPOCH,
            body,
        };
        self.render(&told)
    }

    /// What the partner is sent: a JSON object.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn render(&self, told: &TemplateEvent<'_>) -> Result<String, TemplateRefusal> {
        if let Some(line) = other_escaping(&self.text) {
            let says = "values are written as JSON; autoescape would let one out of its quotes".to_owned();
            return Err(TemplateRefusal::Wrong { line, says });
        }
        let environment = environment();
        let template = environment.template_from_str(&self.text).map_err(|error| refused(&error))?;
        let values = context! {
            event => context! {
                no => told.event_no,
                kind => told.kind,
                version => told.version,
                object_id => told.object_id.to_string(),
                occurred_at => told.occurred_at.to_rfc3339(),
            },
            body => TemplateValue::from(Serde(told.body)),
        };
        let mut output = Bounded(Vec::new());
        template.render_captured_to(values, &mut output).map_err(|error| refused(&error))?;
        let text = String::from_utf8(output.0).unwrap_or_default().trim().to_owned();
        match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(_)) => Ok(text),
            Ok(_) => Err(TemplateRefusal::NotAnObject),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an answer of 2xx means that the event was taken.
    pub fn is_taken(&self, answer: &[u8]) -> bool {
        let Some(expression) = &self.taken_when else { return true };
        let answer: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
        let environment = environment();
        let Ok(compiled) = environment.compile_expression(expression) else { return false };
        let values = context! { answer => TemplateValue::from(Serde(&answer)) };
        compiled.eval(values).is_ok_and(|verdict| verdict.is_true())
    }
}

/// The line of a tag that would write values in another way than as JSON.
fn other_escaping(text: &str) -> Option<usize> {
    let is_it = |(at, tag): &(usize, &str)| {
        text[at + tag.len()..].trim_start_matches(['-', '+']).trim_start().starts_with("autoescape")
    };
    text.match_indices("{%").find(is_it).map(|(at, _)| text[..at].matches('\n').count() + 1)
}

fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let has_dots = path.split('/').any(|part| part == "." || part == "..");
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= PATH_BYTES_MAX
        && path.bytes().all(is_plain)
        && !has_dots
}

fn refused(error: &Error) -> TemplateRefusal {
    if matches!(error.kind(), ErrorKind::OutOfFuel | ErrorKind::WriteFailure) {
        return TemplateRefusal::TooMuch;
    }
    TemplateRefusal::Wrong { line: error.line().unwrap_or(1), says: says(error) }
}

fn says(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// A buffer that refuses to hold more than [`OUTPUT_BYTES_MAX`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(std::io::Error::other("too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outbox::catalogue;

    fn template(text: &str) -> Template {
        Template { path: None, text: text.to_owned(), taken_when: None }
    }

    fn rendered(kind: &str, text: &str) -> Result<Value, TemplateRefusal> {
        let body = catalogue::find(kind).unwrap().example();
        let occurred_at = "2026-03-02T04:05:06Z".parse().unwrap();
        let told =
            TemplateEvent { event_no: 41, kind, version: 1, object_id: uuid::Uuid::nil(), occurred_at, body: &body };
        template(text).render(&told).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn names_shapes_codes_amounts_and_times_are_the_partners() {
        let text = r#"{
            "txnId": {{ event.no }}, "txnTime": {{ event.occurred_at | time("%Y%m%d%H%M%S") }},
            "loan": { "loanNo": {{ body.loan_id | replace("loan_", "L") }}, "amt": {{ body.amount_fen | yuan }} },
            "chan": {{ body.source | code({"withholding": "01", "transfer": "02"}) }},
            "rows": [{% for row in body.installments %}
                { "no": {{ row.period }}, "prin": {{ row.principal_fen | yuan }} }{% if not loop.last %},{% endif %}
            {% endfor %}],
            "bizDate": {{ body.business_day | day("%Y/%m/%d") }}
        }"#;
        let expected = json!({
            "txnId": 41, "txnTime": "20260302120506", "loan": { "loanNo": "L0197f3c2a4b07cc39b1c2d3e4f506175", "amt": "434.48" },
            "chan": "01", "rows": [{ "no": 1, "prin": "429.33" }], "bizDate": "2026/03/25" });
        assert_eq!(rendered("repayment", text), Ok(expected));
    }

    #[test]
    fn a_misspelt_field_is_an_error_with_its_line() {
        let refusal =
            rendered("loan_made", "{\n  \"a\": {{ body.loan_id }},\n  \"b\": {{ body.loan_no }}\n}").unwrap_err();
        assert!(
            matches!(&refusal, TemplateRefusal::Wrong { line: 3, says } if says.contains("undefined")),
            "{refusal}"
        );
    }

    #[test]
    fn a_field_that_an_older_event_lacks_may_have_a_default() {
        let of = |field: &str| rendered("loan_made", &format!("{{\"a\": {{{{ body.{field} | default(0) }}}} }}"));
        assert_eq!(of("added_since_fen"), Ok(json!({ "a": 0 })));
        assert_eq!(of("periods"), Ok(json!({ "a": 3 })));
    }

    #[test]
    fn a_template_that_breaks_on_a_null_is_refused_with_the_field() {
        let kind = catalogue::find("line_changed").unwrap();
        let check = |why: &str| {
            let text = format!("{{\"line\": {{{{ body.line_id }}}},\n\"why\": {why} }}");
            template(&text).check(kind)
        };
        let refusal = check(r#"{{ body.frozen_for | code({"overdue": "01"}) }}"#).unwrap_err();
        assert!(refusal.to_string().starts_with("with `body.frozen_for` null, as it may be: line 2: "), "{refusal}");
        assert_eq!(refusal.code(), "template_wrong");
        let refusal = check("{% if body.frozen_for %}1{% endif %}").unwrap_err();
        assert!(matches!(refusal, TemplateRefusal::OnNull { field: "frozen_for", .. }), "{refusal}");
        assert_eq!(refusal.code(), "template_not_json");
        assert_eq!(check(r#"{{ body.frozen_for | code({"overdue": "01"}, other="00") }}"#), Ok(()));
        assert_eq!(check("{{ body.frozen_for }}"), Ok(()));
    }

    #[test]
    fn a_template_that_needs_something_in_a_list_that_may_be_empty_is_refused_with_the_list() {
        let kind = catalogue::find("refund").unwrap();
        let refusal = template("{\"first\": {{ body.installments[0].period }} }").check(kind).unwrap_err();
        assert!(refusal.to_string().starts_with("with `body.installments` empty, as it may be: line 1: "), "{refusal}");
        assert_eq!(refusal.code(), "template_wrong");
        let all = "{\"of\": [{% for row in body.installments %}{{ row.period }}{% if not loop.last %},{% endif %}{% endfor %}]}";
        assert_eq!(template(all).check(kind), Ok(()));
    }

    #[test]
    fn a_code_table_that_lacks_a_word_is_refused_with_the_word() {
        let check = |kind: &str, table: &str| {
            template(&format!("{{\"chan\": {{{{ body.source | code({table}) }}}} }}"))
                .check(catalogue::find(kind).unwrap())
        };
        let some = r#"{"withholding": "01", "transfer": "02"}"#;
        let refusal = check("repayment", some).unwrap_err();
        let told = "with `body.source` \"channel_file\", as it may be: line 1: ";
        assert!(refusal.to_string().starts_with(told), "{refusal}");
        assert_eq!(refusal.code(), "template_wrong");
        assert_eq!(check("repayment", &format!("{some}, other=\"99\"")), Ok(()));
        assert_eq!(check("repayment", r#"{"withholding": "01", "transfer": "02", "channel_file": "01"}"#), Ok(()));
        assert_eq!(check("repayment_reversed", r#"{"reversal": "03"}"#), Ok(()));
    }

    #[test]
    fn a_value_never_leaves_its_quotes() {
        let body = json!({ "reference": "x\", \"amount\": 1, \"y\": \"" });
        let told = TemplateEvent {
            event_no: 1,
            kind: "reserve_deposited",
            version: 1,
            object_id: uuid::Uuid::nil(),
            occurred_at: DateTime::UNIX_EPOCH,
            body: &body,
        };
        let text = template(r#"{"ref": {{ body.reference }}}"#).render(&told).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({ "ref": body["reference"] }));
        assert!(template(r#"{"ref": "{{ body.reference | safe }}"}"#).render(&told).is_err(), "safe is not there");
        let unescaped =
            template("{\n{%-  autoescape false %}\"ref\": \"{{ body.reference }}\"{% endautoescape %}}").render(&told);
        assert!(matches!(&unescaped, Err(TemplateRefusal::Wrong { line: 2, .. })), "{unescaped:?}");
    }

    #[test]
    fn what_gives_no_object_runs_away_or_reaches_out_is_refused() {
        let wrong = |text: &str| rendered("loan_made", text).unwrap_err().code();
        assert_eq!(wrong("{\"a\": \"{{ body.loan_id }}\"}"), "template_not_json");
        assert_eq!(wrong("[1]"), "template_not_json");
        assert_eq!(
            wrong("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"),
            "template_too_much"
        );
        assert_eq!(wrong("{\"a\": {{ 'x' * 100000000 }} }"), "template_too_much");
        let doubling = "{% set x = x ~ x %}".repeat(40);
        assert_eq!(wrong(&format!("{{% set x = 'xxxxxxxx' %}}{doubling}{{\"a\": {{{{ x }}}} }}")), "template_too_much");
        let growing = "{% set x = x | replace('x', 'xxxxxxxxxx') %}".repeat(12);
        assert_eq!(wrong(&format!("{{% set x = 'x' %}}{growing}{{\"a\": {{{{ x }}}} }}")), "template_too_much");
        for huge in ["'%999999999d' | format(1)", "'x\\ny' | indent(999999999)", "[1] | batch(999999999, 1) | list"] {
            let code = wrong(&format!("{{\"a\": {{{{ {huge} }}}} }}"));
            assert!(["template_too_much", "template_wrong"].contains(&code), "{huge}: {code}");
        }
        assert_eq!(wrong("{% include 'secrets' %}"), "template_wrong");
        assert_eq!(wrong("{\"a\": {{ body.principal_fen | time('%Y') }} }"), "template_wrong");
        assert_eq!(wrong("{\"a\": {{ body.business_day | day('%H') }} }"), "template_wrong");
        assert_eq!(wrong("{\"a\": {{ body.business_day | day('%Q') }} }"), "template_wrong");
        assert_eq!(wrong("{\"a\": {{ body.product | code({'other': '1'}) }} }"), "template_wrong");
    }

    #[test]
    fn an_answer_is_judged_by_the_partners_own_code() {
        let plain = Template { path: Some("/a".into()), ..template("{}") };
        assert!(plain.is_taken(b""));
        let strict = Template { taken_when: Some("answer.retCode in ['0000', '0001']".into()), ..plain };
        assert!(strict.is_taken(br#"{"retCode":"0001"}"#));
        assert!(!strict.is_taken(br#"{"retCode":"9999"}"#) && !strict.is_taken(b"<html>"));
    }

    #[test]
    fn a_path_stays_below_the_partners_base() {
        let kind = catalogue::find("loan_made").unwrap();
        let check = |path: &str| Template { path: Some(path.into()), ..template("{}") }.check(kind);
        assert_eq!(check("/loan/v2/notify"), Ok(()));
        for wrong in ["loan", "//other.example/x", "/../admin", "/a?b=c", "/a b"] {
            assert_eq!(check(wrong), Err(TemplateRefusal::Path), "{wrong}");
        }
    }
}
