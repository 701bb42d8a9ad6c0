//! Values that partners give, checked where they come in.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
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
        let date = SchemaFormat::KnownFormat(KnownFormat::Date);
        Schema::from(ObjectBuilder::new().schema_type(Type::String).format(Some(date)).examples(["2026-03-02"])).into()
    }
}

impl ToSchema for Day {}

/// A moment as RFC 3339 writes it, with its zone, and as nothing else does.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The parser also takes the typographic minus sign.
        let moment = DateTime::parse_from_rfc3339(&text).ok().filter(|_| text.is_ascii());
        let like =
            || D::Error::custom("value_not_allowed: a time is written like 2026-03-02T10:00:00+08:00, with its zone");
        moment.map(|moment| Moment(moment.to_utc())).ok_or_else(like)
    }
}

/// The text of an `ETag` for a version of something that two may edit.
pub fn etag(version: impl fmt::Display) -> String {
    format!("\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_zone_and_all_its_digits() {
        let read = |text: &str| serde_json::from_value::<Moment>(text.into()).map(|moment| moment.0.to_rfc3339());
        assert_eq!(read("2026-03-02T10:00:00.5+08:00").unwrap(), "2026-03-02T02:00:00.500+00:00");
        let malformed = ["2026-3-2T10:0:0Z", "2026-03-02T10:00:00", "2026-03-02", "+12026-03-02T10:00:00Z", ""];
        let offsets = ["2026-03-02T10:00:00+0800", "2026-03-02T10:00:00+08", "2026-03-02T10:00:00\u{2212}08:00"];
        for malformed in malformed.into_iter().chain(offsets) {
            assert!(read(malformed).is_err(), "{malformed}");
        }
    }
}
