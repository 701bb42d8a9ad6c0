//! Makes the body of a partner message fit for the log: personal data is masked, and the text is cut to a limit. Start with [`masked`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::shape;

/// Fields, at any depth, whose whole value is masked except its last four characters. Our protocols use only these names for personal data
/// (a one-time code is `sms_code`, because `code` is the reason in an answer). Partners may use other names, in a request that is refused
/// for that or in an answer with more than was asked for: therefore what has the shape of a personal number is masked in any field.
const MASKED_FIELDS: &[&str] = &[
    // Who did something at a partner.
    "noted_by",
    "submitted_by",
    "approved_by",
    "decided_by",
    "proposed_by",
    "saved_by",
    "number",
    "sms_code",
    "text",
];
/// Endings of field names that are masked too, whatever their spelling (`customer_name`, `customerName`). Needed because names have no
/// recognisable shape, and neither have mistyped numbers, foreign ones, and landline numbers.
const MASKED_ENDINGS: &[&str] = &[
    "name",
    // The holder of a key, or of a card.
    "holder",
    "idnumber",
    "idno",
    "idcard",
    "certno",
    "mobile",
    "phone",
    "email",
    "cardnumber",
    "cardno",
    "bankcard",
    "accountnumber",
    "accountno",
    "acctno",
    "address",
    "姓名",
    "证号",
    "号码",
    "卡号",
    "手机号",
    "电话",
    "地址",
];
/// The field with what is filled into a short message: one-time codes, names, amounts.
const FILLED_IN: &str = "parameters";
const LENGTH_MAX: usize = 4_000;
/// The smallest number with as many digits as a mobile number.
const NUMBER_MIN: u64 = 10_000_000_000;

/// A body as it may be logged: masked if it is JSON (`body`); otherwise only its length of `bytes`.
pub fn masked(body: Option<&Value>, bytes: usize) -> String {
    match body {
        Some(value) => written(&Masked(value)),
        None if bytes == 0 => String::new(),
        None => format!("({bytes} bytes that are not JSON)"),
    }
}

/// The SHA-256 of a body as it may be logged, but whole. Not of the body itself: if nothing but a mobile or a one-time code is unknown of
/// one, whoever has the log finds it from the hash by trying them all.
///
/// # Panics
/// If the body has no JSON form, which no value of JSON can lack.
pub fn masked_sha256(body: Option<&Value>, bytes: usize) -> Vec<u8> {
    let mut hashing = Hashing(Sha256::new());
    match body {
        Some(value) => serde_json::to_writer(&mut hashing, &Masked(value)).expect("a value has a JSON form"),
        None => hashing.0.update(masked(None, bytes)),
    }
    hashing.0.finalize().to_vec()
}

/// Masks a value while it is serialized, so that no work is spent on what is cut off.
struct Masked<'a>(&'a Value);

/// The value of a field that is personal by its name: masked as a whole, whatever its type.
struct MaskedWhole<'a>(&'a Value);

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => serialize_fields(fields, serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Masked)),
            Value::String(text) => match shape::hidden(text) {
                Some(hidden) => serializer.serialize_str(&hidden),
                None => serializer.serialize_str(text),
            },
            Value::Number(number) if number.as_u64().is_none_or(|number| number >= NUMBER_MIN) => {
                match shape::hidden(&number.to_string()) {
                    Some(hidden) => serializer.serialize_str(&hidden),
                    None => number.serialize(serializer),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.0.serialize(serializer),
        }
    }
}

impl Serialize for MaskedWhole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => serializer.serialize_str(&masked_text(text)),
            Value::Number(number) => serializer.serialize_str(&masked_text(&number.to_string())),
            Value::Array(items) => serializer.collect_seq(items.iter().map(MaskedWhole)),
            Value::Object(fields) => {
                let fields = by_shown_name(fields).into_iter();
                serializer.collect_map(fields.map(|(name, field)| (name, MaskedWhole(field))))
            }
            Value::Null | Value::Bool(_) => self.0.serialize(serializer),
        }
    }
}

fn serialize_fields<S: Serializer>(fields: &Map<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    let fields = by_shown_name(fields);
    let mut written = serializer.serialize_map(Some(fields.len()))?;
    for (name, field) in fields {
        match field {
            field if is_masked(&name) => written.serialize_entry(&name, &MaskedWhole(field))?,
            Value::Object(filled_in) if name == FILLED_IN => {
                let names = by_shown_name(filled_in).into_keys();
                let filled_in: BTreeMap<Cow<'_, str>, &str> = names.map(|name| (name, "***")).collect();
                written.serialize_entry(&name, &filled_in)?;
            }
            // A large amount may look like a mobile number.
            Value::Number(_) if name.ends_with("_fen") => written.serialize_entry(&name, field)?,
            other => written.serialize_entry(&name, &Masked(other))?,
        }
    }
    written.end()
}

/// Fields by their masked names: a name may be somebody's number too. Of names that are equal after masking, the last one is kept.
fn by_shown_name(fields: &Map<String, Value>) -> BTreeMap<Cow<'_, str>, &Value> {
    let shown = fields.iter().map(|(name, field)| {
        let name = shape::hidden(name).map_or(Cow::Borrowed(name.as_str()), Cow::Owned);
        (name, field)
    });
    shown.collect()
}

fn is_masked(field: &str) -> bool {
    let ends_in = |ending: &&str| {
        let letters = field.bytes().rev().filter(|byte| !matches!(byte, b'_' | b'-'));
        let mut letters = letters.map(|byte| byte.to_ascii_lowercase());
        ending.bytes().rev().all(|byte| letters.next() == Some(byte))
    };
    MASKED_FIELDS.contains(&field) || MASKED_ENDINGS.iter().any(ends_in)
}

fn masked_text(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    // The last four characters of a short text would tell too much.
    let shown = if characters.len() > 8 { 4 } else { 0 };
    let tail: String = characters[characters.len() - shown..].iter().collect();
    format!("***{tail}")
}

/// The value as text, cut to the limit. Serializing stops there, which saves most of the work for a page of a long list.
fn written(value: &impl Serialize) -> String {
    let mut beginning = Beginning::default();
    let is_whole = serde_json::to_writer(&mut beginning, value).is_ok();
    let mut text = beginning.text();
    if !is_whole {
        text.push('…');
    }
    text
}

/// A writer that takes as much of a text as is kept, and fails on what goes beyond.
#[derive(Default)]
struct Beginning {
    bytes: Vec<u8>,
}

impl Beginning {
    /// What was taken, without an incomplete character at its end.
    fn text(self) -> String {
        String::from_utf8(self.bytes).unwrap_or_else(|error| {
            let whole = error.utf8_error().valid_up_to();
            String::from_utf8_lossy(&error.as_bytes()[..whole]).into_owned()
        })
    }
}

impl io::Write for Beginning {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = LENGTH_MAX - self.bytes.len();
        if room == 0 && !piece.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let taken = piece.len().min(room);
        self.bytes.extend_from_slice(&piece[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that only hashes.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(body: &[u8]) -> String {
        masked(serde_json::from_slice(body).ok().as_ref(), body.len())
    }

    #[test]
    fn personal_fields_are_masked_at_any_depth_and_reasons_are_kept() {
        let body =
            br#"{"orders":[{"card_number":"6222021234567894","amount_fen":100,"name":"Zhang"}],"code":"card_invalid"}"#;
        let expected = r#"{"code":"card_invalid","orders":[{"amount_fen":100,"card_number":"***7894","name":"***"}]}"#;
        let (masked, expected): (Value, Value) =
            (serde_json::from_str(&logged(body)).unwrap(), serde_json::from_str(expected).unwrap());
        assert_eq!(masked, expected);
    }

    #[test]
    fn who_did_it_at_a_partner_is_masked() {
        for field in ["holder", "noted_by", "submitted_by", "approved_by", "decided_by", "proposed_by", "saved_by"] {
            let body = format!(r#"{{"items":[{{"{field}":"Chen Wei"}}]}}"#);
            assert_eq!(logged(body.as_bytes()), format!(r#"{{"items":[{{"{field}":"***"}}]}}"#));
        }
    }

    #[test]
    fn a_name_is_masked_however_its_field_is_spelt() {
        for field in
            ["name", "account_name", "customerName", "USER-NAME", "homeAddress", "accountNo", "客户姓名", "家庭地址"]
        {
            let body = format!(r#"{{"{field}":"张三"}}"#);
            assert_eq!(logged(body.as_bytes()), format!(r#"{{"{field}":"***"}}"#));
        }
    }

    #[test]
    fn what_has_no_known_shape_is_masked_by_the_name_of_its_field() {
        for (field, value, masked) in [
            ("id_no", "110105194912310021", "***0021"),
            ("customerIdCard", "110105491231002", "***1002"),
            ("certNo", "E12345678", "***5678"),
            ("bankCardNo", "6222021234567895", "***7895"),
            ("payeeAcctNo", "1234567890", "***7890"),
            ("homePhone", "010-65551234", "***1234"),
            ("e-mail", "zhang@example.com", "***.com"),
            ("cardHolder", "Zhang San", "*** San"),
            ("身份证号码", "110105194912310021", "***0021"),
            ("联系电话", "010-65551234", "***1234"),
        ] {
            let body = format!(r#"{{"payer":[{{"{field}":"{value}"}}]}}"#);
            assert_eq!(logged(body.as_bytes()), format!(r#"{{"payer":[{{"{field}":"{masked}"}}]}}"#));
        }
    }

    #[test]
    fn a_one_time_code_is_masked() {
        assert_eq!(logged(br#"{"sms_code":"482913"}"#), r#"{"sms_code":"***"}"#);
        let message = br#"{"messages":[{"parameters":{"code":"482913","minutes":5},"template":"sign_in"}]}"#;
        let expected = r#"{"messages":[{"parameters":{"code":"***","minutes":"***"},"template":"sign_in"}]}"#;
        assert_eq!(logged(message), expected);
    }

    #[test]
    fn an_account_to_be_paid_is_masked() {
        let body = br#"{"payee":{"kind":"card","name":"Zhang","number":"6222021234567894"}}"#;
        assert_eq!(logged(body), r#"{"payee":{"kind":"card","name":"***","number":"***7894"}}"#);
    }

    #[test]
    fn a_number_of_a_person_is_masked_under_any_name_and_in_any_type() {
        for (body, expected) in [
            (r#"{"customerIdNo":"11010519491231002X"}"#, r#"{"customerIdNo":"***002X"}"#),
            (r#"{"tel":13812345678}"#, r#"{"tel":"***5678"}"#),
            (r#"{"tel":13812345678.0}"#, r#"{"tel":"***5678.0"}"#),
            (r#"{"mobile":13812345678}"#, r#"{"mobile":"***5678"}"#),
            (r#"{"cards":["6222021234567894",6222021234567894]}"#, r#"{"cards":["***7894","***7894"]}"#),
            (r#"{"name":{"family":"Zhang","given":["San"]}}"#, r#"{"name":{"family":"***","given":["***"]}}"#),
            (r#"{"id_number":110105194912310029}"#, r#"{"id_number":"***0029"}"#),
            (r#"{"13812345678":true}"#, r#"{"***5678":true}"#),
            (r#"{"mobiles":{"13812345678":true}}"#, r#"{"mobiles":{"***5678":true}}"#),
            (r#"{"name":{"13812345678":"Zhang"}}"#, r#"{"name":{"***5678":"***"}}"#),
            (r#"{"parameters":{"13812345678":"Zhang"}}"#, r#"{"parameters":{"***5678":"***"}}"#),
            (r#"["13812345678"]"#, r#"["***5678"]"#),
            (r#""13812345678""#, r#""***5678""#),
        ] {
            assert_eq!(logged(body.as_bytes()), expected);
        }
    }

    #[test]
    fn what_names_no_person_is_logged_as_it_came() {
        for body in [
            r#"{"amount_fen":13812345678}"#,
            r#"{"loan_id":"loan_0197f3c2a4b07cc39b1c2d3e4f506175"}"#,
            r#"{"event_no":41,"reference":"ICBC-20260302-7781"}"#,
            r#"{"sent_at":1772417730123}"#,
        ] {
            assert_eq!(logged(body.as_bytes()), body);
        }
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let body = format!("{{\"note\":\"{}\"}}", "备".repeat(3_000));
        assert!(logged(body.as_bytes()).len() <= LENGTH_MAX + '…'.len_utf8());
    }

    #[test]
    fn what_the_cut_falls_into_was_masked_before() {
        for length in LENGTH_MAX - 90..LENGTH_MAX {
            let body = serde_json::json!([
                "-".repeat(length), "6222021234567894", 13_812_345_678_u64, { "name": "Zhang San", "13912345678": 1 } ]);
            let logged = logged(body.to_string().as_bytes());
            assert!(["6222", "1381", "1391", "Zhang"].iter().all(|part| !logged.contains(part)), "{logged}");
        }
    }

    #[test]
    fn a_body_is_cut_at_the_same_place_however_its_pieces_fall() {
        for letter in ["n", "备", "\u{1F4B0}"] {
            for length in LENGTH_MAX - 20..LENGTH_MAX + 20 {
                let note = format!("{}{}", "-".repeat(length % 7), letter.repeat(length / letter.len()));
                let body = serde_json::json!({ "items": [{ "note": note }, { "amount_fen": 7 }] }).to_string();
                let whole = (0..=LENGTH_MAX.min(body.len())).rev().find(|at| body.is_char_boundary(*at)).unwrap();
                let expected = if body.len() > LENGTH_MAX { format!("{}…", &body[..whole]) } else { body.clone() };
                assert_eq!(logged(body.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn a_hash_tells_nothing_of_what_is_masked_and_is_of_all_the_rest() {
        let hash = |body: &str| masked_sha256(serde_json::from_str(body).ok().as_ref(), body.len());
        let message = |number: u8, mobile: &str, code: &str| {
            hash(&format!(r#"{{"no":{number},"mobile":"{mobile}","parameters":{{"code":"{code}"}}}}"#))
        };
        let sent = message(1, "13812345678", "482913");
        assert_eq!(sent, message(1, "13999995678", "482914"), "whoever tries all of them finds them all");
        assert_ne!(sent, message(2, "13812345678", "482913"));
        // What is cut off of the log counts.
        let list = |last: u8| format!("[{}{last}]", "1,".repeat(LENGTH_MAX));
        assert_eq!(logged(list(1).as_bytes()), logged(list(2).as_bytes()));
        assert_ne!(hash(&list(1)), hash(&list(2)));
    }
}
