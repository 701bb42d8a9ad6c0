//! Pages of a list: a limit, and a cursor that says where the next one begins.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Required, SchemaFormat, Type};
use utoipa::{IntoParams, ToSchema};

/// Rows of a page unless asked for otherwise, and at most.
pub const LIMIT_DEFAULT: i64 = 50;
pub const LIMIT_MAX: i64 = 200;
/// The bytes that the rows of a page with long texts may have: half of the largest answer that is signed.
const ROWS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// At most `limit` rows, in the order of the list. Rows with long texts may be fewer, although another page follows.
    pub items: Vec<T>,
    /// Send it as `cursor`, with the same other parameters, to get the next page; null on the last page.
    #[schema(example = "WyIwMTk3ZjNjMiJd")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` rows. Read `rows` with a limit of one row more: if it is there, another page follows.
    pub fn of<K: Serialize>(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(&key(last)));
        Page { items: rows, next_cursor }
    }

    /// As [`Page::of`], for a list whose key is a number, a day or a text instead of an id.
    pub fn of_listed<K: Serialize>(rows: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Page<T>
    where
        T: ToSchema,
    {
        Page::of(rows, limit, |row| Listed::<T, K>::new(key(row)))
    }
}

/// How many of the first rows a page may have, if a row may hold a text as long as a request: at most `limit`, and no more than the answer
/// has room for, but at least one.
pub fn limit_by_bytes<T: Serialize>(rows: &[T], limit: i64) -> i64 {
    let mut bytes = 0_usize;
    let fitting = rows.iter().take_while(|row| {
        bytes = bytes.saturating_add(serde_json::to_vec(row).map_or(0, |json| json.len()));
        bytes <= ROWS_BYTES_MAX
    });
    i64::try_from(fitting.count().max(1)).map_or(limit, |fitting| fitting.min(limit))
}

/// The key of the last row of the page before.
#[derive(Clone, Debug)]
pub struct Cursor<K>(pub K);

fn encode(key: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

impl<K: Serialize> Serialize for Cursor<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cursor<K>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        key.map(Cursor)
            .ok_or_else(|| serde::de::Error::custom("cursor_malformed: this is not a `next_cursor` of this list"))
    }
}

/// A number, a day or a text as the key of a cursor, tagged with the type of the list's rows. Ids say by themselves which list they belong
/// to; with the tag, such a cursor is refused by every other list too.
#[derive(Debug)]
pub struct Listed<T, K>(pub K, PhantomData<fn() -> T>);

impl<T, K> Listed<T, K> {
    pub fn new(key: K) -> Listed<T, K> {
        Listed(key, PhantomData)
    }
}

impl<T: ToSchema, K: Serialize> Serialize for Listed<T, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (T::name(), &self.0).serialize(serializer)
    }
}

impl<'de, T: ToSchema, K: Deserialize<'de>> Deserialize<'de> for Listed<T, K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Listed<T, K>, D::Error> {
        let (list, key) = <(String, K)>::deserialize(deserializer)?;
        let is_its_own = list == T::name();
        is_its_own.then(|| Listed::new(key)).ok_or_else(|| serde::de::Error::custom("a key of another list"))
    }
}

/// A text in the key of a cursor. It has no NUL, which the database would fail on.
#[derive(Clone, Debug)]
pub struct KeyText(pub String);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeyText, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain = !text.contains('\0');
        is_plain.then_some(KeyText(text)).ok_or_else(|| serde::de::Error::custom("a text holds no NUL"))
    }
}

/// A time in the key of a cursor, within the years that rows of ours may have: the database supports fewer years than this program.
#[derive(Clone, Copy, Debug)]
pub struct KeyTime(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for KeyTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeyTime, D::Error> {
        let time = DateTime::<Utc>::deserialize(deserializer)?;
        let is_ours = (1900..=2200).contains(&time.year());
        is_ours.then_some(KeyTime(time)).ok_or_else(|| serde::de::Error::custom("no row of ours is of that year"))
    }
}

/// How many rows were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limit(pub i64);

impl Default for Limit {
    fn default() -> Limit {
        Limit(LIMIT_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let wanted = || serde::de::Error::custom(format!("parameter_malformed: a limit is from 1 to {LIMIT_MAX}"));
        limit.map(Limit).ok_or_else(wanted)
    }
}

/// The parameters of a list without filters: how many rows, and after which. `K` is the key of its cursors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "K: DeserializeOwned")]
pub struct PageParams<K> {
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<Cursor<K>>,
}

/// Not derived: that would need a schema for each type of key, although a cursor is always an opaque text.
impl<K> IntoParams for PageParams<K> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_i64)).maximum(Some(LIMIT_MAX));
        let limit = limit.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        let says = format!("Most rows in a page, from 1 to {LIMIT_MAX}; {LIMIT_DEFAULT} if left out.");
        let cursor = ObjectBuilder::new().schema_type(Type::String);
        let begins = "`next_cursor` of the page before; left out for the first page.";
        vec![
            in_query("limit", limit).description(Some(says)).build(),
            in_query("cursor", cursor).description(Some(begins)).build(),
        ]
    }
}

fn in_query(name: &str, schema: ObjectBuilder) -> ParameterBuilder {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
    parameter.required(Required::False).schema(Some(schema))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_leads_on_until_the_end() {
        let page = Page::of(vec![1, 2, 3], 2, |number| *number);
        assert_eq!(page.items, [1, 2]);
        let cursor = serde_json::Value::from(page.next_cursor.unwrap());
        assert_eq!(serde_json::from_value::<Cursor<i32>>(cursor).unwrap().0, 2);
        assert_eq!(Page::of(vec![1, 2], 2, |number| *number).next_cursor, None);
        assert!(serde_json::from_value::<Cursor<i32>>("***".into()).is_err());
    }

    #[test]
    fn a_number_leads_on_in_its_own_list_alone() {
        let page = Page::of_listed(vec![1_i64, 2, 3], 2, |number| *number);
        let cursor = serde_json::Value::from(page.next_cursor.unwrap());
        assert_eq!(serde_json::from_value::<Cursor<Listed<i64, i64>>>(cursor.clone()).unwrap().0.0, 2);
        assert!(serde_json::from_value::<Cursor<Listed<String, i64>>>(cursor.clone()).is_err());
        assert!(serde_json::from_value::<Cursor<i64>>(cursor).is_err());
    }

    #[test]
    fn a_page_of_long_texts_ends_before_it_is_too_large_and_the_next_goes_on() {
        let long = |count: usize, bytes: usize| vec!["x".repeat(bytes); count];
        assert_eq!(limit_by_bytes(&long(4, 10), 3), 3, "short ones are as many as were asked for");
        assert_eq!(limit_by_bytes(&long(2, 10), 200), 2);
        let rows = long(40, 256 * 1024);
        let fitting = limit_by_bytes(&rows, 200);
        assert_eq!(fitting, 31, "with their quotes, 32 would be a little too much");
        let page = Page::of(rows, fitting, |_| 31);
        assert!(page.items.len() == 31 && page.next_cursor.is_some());
        assert_eq!(limit_by_bytes(&long(2, ROWS_BYTES_MAX), 200), 1, "a list always goes on");
        assert_eq!(limit_by_bytes(&long(0, 0), 200), 1);
    }

    #[test]
    fn a_limit_is_shown_with_the_bounds_that_it_has() {
        let shown = serde_json::to_value(PageParams::<i32>::into_params(|| None)).unwrap();
        let says = format!("Most rows in a page, from 1 to {LIMIT_MAX}; {LIMIT_DEFAULT} if left out.");
        let begins = "`next_cursor` of the page before; left out for the first page.";
        let limit = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": LIMIT_MAX });
        let cursor = json!({ "type": "string" });
        let expected = json!([
            { "name": "limit", "in": "query", "required": false, "description": says, "schema": limit },
            { "name": "cursor", "in": "query", "required": false, "description": begins, "schema": cursor },
        ]);
        assert_eq!(shown, expected);
        let read =
            |limit: &str| serde_json::from_value::<PageParams<i32>>(json!({ "limit": limit })).map(|read| read.limit.0);
        assert_eq!((read("1").unwrap(), read("200").unwrap()), (1, LIMIT_MAX));
        assert!(read("0").is_err() && read("201").is_err());
    }

    #[test]
    fn a_key_that_the_database_cannot_hold_is_no_cursor() {
        let is_cursor = |key: &str| {
            let cursor = serde_json::Value::from(BASE64_URL_SAFE_NO_PAD.encode(key));
            serde_json::from_value::<Cursor<(KeyTime, KeyText)>>(cursor).is_ok()
        };
        assert!(is_cursor(r#"["2026-03-02T00:00:00Z","FENQI-1"]"#));
        assert!(!is_cursor(r#"["2026-03-02T00:00:00Z","\u0000"]"#));
        assert!(!is_cursor(r#"["-200000-01-01T00:00:00Z","FENQI-1"]"#));
        assert!(!is_cursor(r#"["+200000-01-01T00:00:00Z","FENQI-1"]"#));
    }
}
