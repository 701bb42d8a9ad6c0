//! The language of templates: the filters for amounts, times, days and codes, and the limits on their work.

use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate};
use chrono_tz::Asia::Shanghai;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value as TemplateValue};

use crate::base::Fen;

/// The most instructions, each of which may make about eight bytes of data; a plan of 60 periods takes a tenth of it.
const FUEL: u64 = 100_000;
/// Deeper nesting than any shape needs.
const RECURSION_MAX: usize = 40;

/// An environment for one rendering. A template reads no file and no other template, and has no time or randomness; every
/// value is written as JSON, and a missing field is an error.
pub fn environment<'source>() -> Environment<'source> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    // These would write a value without its JSON quotes.
    for name in ["safe", "escape", "e"] {
        environment.remove_filter(name);
    }
    environment.add_filter("yuan", yuan);
    environment.add_filter("time", time);
    environment.add_filter("day", day);
    environment.add_filter("code", code);
    environment
}

/// `{{ body.amount_fen | yuan }}` gives "1288.00"; null stays null.
fn yuan(fen: TemplateValue) -> Result<TemplateValue, Error> {
    if fen.is_none() {
        return Ok(fen);
    }
    let amount = i64::try_from(fen).map_err(|_| invalid("yuan takes a whole number of fen"))?;
    Ok(Fen::new(amount).to_string().replace(',', "").into())
}

/// `{{ event.occurred_at | time("%Y%m%d%H%M%S") }}`: a time in Asia/Shanghai; null stays null.
fn time(at: TemplateValue, format: &str) -> Result<TemplateValue, Error> {
    if at.is_none() {
        return Ok(at);
    }
    let at = at.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let at = at.ok_or_else(|| invalid("time takes a time such as event.occurred_at"))?.with_timezone(&Shanghai);
    let items = items(format)?;
    written(format_args!("{}", at.format_with_items(items.iter())))
}

/// `{{ body.due_on | day("%Y%m%d") }}`: a day; null stays null.
fn day(on: TemplateValue, format: &str) -> Result<TemplateValue, Error> {
    if on.is_none() {
        return Ok(on);
    }
    let on = on.as_str().and_then(|text| text.parse::<NaiveDate>().ok());
    let on = on.ok_or_else(|| invalid("day takes a day such as body.business_day"))?;
    let items = items(format)?;
    written(format_args!("{}", on.format_with_items(items.iter())))
}

/// The parsed format of strftime.
fn items(format: &str) -> Result<Vec<Item<'_>>, Error> {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    if items.contains(&Item::Error) { Err(invalid("the format is not one of strftime's")) } else { Ok(items) }
}

/// The formatted text.
fn written(text: std::fmt::Arguments<'_>) -> Result<TemplateValue, Error> {
    let mut output = String::new();
    // A day has no hour: its format then fails to write.
    output.write_fmt(text).map_err(|_| invalid("the format asks for what is not there"))?;
    Ok(output.into())
}

/// `{{ body.source | code({"withholding": "01", "transfer": "02"}, other="99") }}`: a partner's code for one of our words. A
/// word that is not in the table gives `other`, and is an error without it.
fn code(word: TemplateValue, table: TemplateValue, options: Kwargs) -> Result<TemplateValue, Error> {
    let other: Option<TemplateValue> = options.get("other")?;
    options.assert_all_used()?;
    if table.kind() != ValueKind::Map {
        return Err(invalid("code takes a table in braces"));
    }
    let found = table.get_item(&word)?;
    if !found.is_undefined() {
        return Ok(found);
    }
    other.ok_or_else(|| invalid(format!("the code table has no {word}")))
}

fn invalid(says: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, says)
}
