//! Types of values in requests, checked while they are deserialized.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Utc};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::base::{BusinessDay, Fen};

/// An amount above zero, in whole fen.
#[derive(Clone, Copy, Debug)]
pub struct AmountFen(pub Fen);

impl<'de> Deserialize<'de> for AmountFen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AmountFen, D::Error> {
        read_fen(deserializer, 1).map(AmountFen)
    }
}

impl PartialSchema for AmountFen {
    fn schema() -> RefOr<Schema> {
        fen_schema(1)
    }
}

impl ToSchema for AmountFen {}

/// A mark that money is held against, in whole fen; zero where there is none.
#[derive(Clone, Copy, Debug)]
pub struct MarkFen(pub Fen);

impl<'de> Deserialize<'de> for MarkFen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MarkFen, D::Error> {
        read_fen(deserializer, 0).map(MarkFen)
    }
}

impl PartialSchema for MarkFen {
    fn schema() -> RefOr<Schema> {
        fen_schema(0)
    }
}

impl ToSchema for MarkFen {}

fn read_fen<'de, D: Deserializer<'de>>(deserializer: D, least: i64) -> Result<Fen, D::Error> {
    let fen = i64::deserialize(deserializer)?;
    let most = Fen::MAX.get();
    if !(least..=most).contains(&fen) {
        return Err(D::Error::custom(format!("number_out_of_range: an amount is from {least} to {most} fen")));
    }
    Ok(Fen::new(fen))
}

fn fen_schema(least: i64) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(Fen::MAX.get()));
    Schema::from(object.examples([128_800])).into()
}

/// A day that any book of ours may hold.
#[derive(Clone, Copy, Debug)]
pub struct Day(pub BusinessDay);

impl FromStr for Day {
    type Err = ();
    fn from_str(text: &str) -> Result<Day, ()> {
        let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let day: Option<BusinessDay> = text.parse().ok().filter(|_| is_plain);
        day.filter(|day| (1900..=2200).contains(&day.date().year())).map(Day).ok_or(())
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| D::Error::custom("value_not_allowed: a day is written like 2026-03-02"))
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        BusinessDay::schema()
    }
}

impl ToSchema for Day {}

/// A moment in RFC 3339 with its time zone; no other form is read.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The parser also takes the typographic minus sign.
        let moment = DateTime::parse_from_rfc3339(&text).ok().filter(|_| text.is_ascii());
        let like =
            || D::Error::custom("value_not_allowed: a time is written like 2026-03-02T10:00:00+08:00, with its zone");
        // A leap second becomes the first second of the next minute, as in the database, so that a repeated request compares equal.
        let moment = moment.and_then(|moment| DateTime::from_timestamp_micros(moment.timestamp_micros()));
        moment.map(Moment).ok_or_else(like)
    }
}

/// One word of an enum, given as a text. Needed because serde would also accept an object with the word as its key.
///
/// # Errors
/// The value is not a text, or not one of the words.
pub fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::deserialize(StringDeserializer::<D::Error>::new(text))
}

/// An object, or null. Needed because serde would also accept a list of the fields' values in their order.
///
/// # Errors
/// The value is neither, or not such an object.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(ObjectOrNull(PhantomData))
}

struct ObjectOrNull<T>(PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOrNull<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Some)
    }
}

/// The `ETag` for a version of something that two people may edit at once.
pub fn etag(version: impl fmt::Display) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::super::strict;
    use super::*;

    #[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Answer {
        Yes,
        No,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        count: u8,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[serde(deserialize_with = "word")]
        answer: Answer,
        #[serde(default, deserialize_with = "object")]
        part: Option<Part>,
    }

    #[test]
    fn a_word_is_a_text_and_an_object_is_no_list() {
        let read = |body: &str| match strict::read::<Wish>(body.as_bytes()) {
            Ok(Wish { answer, part }) => Ok((answer, part.map(|part| part.count))),
            Err(problem) => Err((problem.code, problem.errors[0].pointer.clone())),
        };
        assert_eq!(read(r#"{"answer":"yes","part":{"count":1}}"#), Ok((Answer::Yes, Some(1))));
        assert_eq!(read(r#"{"answer":"no","part":null}"#), Ok((Answer::No, None)));
        assert_eq!(read(r#"{"answer":"no"}"#), Ok((Answer::No, None)));
        for (body, code, pointer) in [
            (r#"{"answer":{"yes":null}}"#, "wrong_type", "/answer"),
            (r#"{"answer":1}"#, "wrong_type", "/answer"),
            (r#"{"answer":"maybe"}"#, "value_not_allowed", "/answer"),
            (r#"{"part":null}"#, "missing_field", "/answer"),
            (r#"{"answer":"yes","part":[1]}"#, "wrong_type", "/part"),
            (r#"{"answer":"yes","part":{"count":300}}"#, "number_out_of_range", "/part/count"),
            (r#"{"answer":"yes","part":{}}"#, "missing_field", "/part/count"),
            (r#"{"answer":"yes","part":{"count":1,"more":1}}"#, "unknown_field", "/part/more"),
        ] {
            assert_eq!(read(body), Err((code, pointer.to_owned())), "{body}");
        }
    }

    #[test]
    fn a_moment_has_a_zone_and_all_its_digits() {
        let read = |text: &str| serde_json::from_value::<Moment>(text.into()).map(|moment| moment.0.to_rfc3339());
        assert_eq!(read("2026-03-02T10:00:00.5+08:00").unwrap(), "2026-03-02T02:00:00.500+00:00");
        assert_eq!(read("2026-12-31T23:59:60Z").unwrap(), "2027-01-01T00:00:00+00:00");
        assert_eq!(read("9999-12-31T23:59:59-23:59").unwrap(), "+10000-01-01T23:58:59+00:00");
        let malformed = ["2026-3-2T10:0:0Z", "2026-03-02T10:00:00", "2026-03-02", "+12026-03-02T10:00:00Z", ""];
        let offsets = ["2026-03-02T10:00:00+0800", "2026-03-02T10:00:00+08", "2026-03-02T10:00:00\u{2212}08:00"];
        for malformed in malformed.into_iter().chain(offsets) {
            assert!(read(malformed).is_err(), "{malformed}");
        }
    }
}
