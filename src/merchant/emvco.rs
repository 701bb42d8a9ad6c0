//! The EMVCo merchant-presented payload (QRCPS MPM 1.1): built, read and checked, with its CRC.

use crate::base::Fen;

/// One data object: a two-digit id and its value. Lengths count characters, the CRC counts bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub id: u8,
    pub value: String,
}

/// A payload whose structure and CRC are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub objects: Vec<Object>,
}

/// Why a text is no merchant-presented payload, or why one cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadRefusal {
    #[error("the payload ends with 6304 and four upper-case hexadecimal digits")]
    CrcMissing,
    #[error("the CRC is {found}, but the payload gives {expected}")]
    CrcWrong { found: String, expected: String },
    #[error("object {at} has no two-digit id and length")]
    HeaderMalformed { at: usize },
    #[error("object {id:02} is shorter than it says")]
    Truncated { id: u8 },
    #[error("object {id:02} is there twice")]
    Repeated { id: u8 },
    #[error("the payload begins with the format indicator 000201")]
    FormatIndicator,
    #[error("object {id:02} ({name}) is missing")]
    Missing { id: u8, name: &'static str },
    #[error("object {id:02} ({name}) has the wrong form")]
    Malformed { id: u8, name: &'static str },
    #[error("object {id:02} is longer than 99 characters")]
    TooLong { id: u8 },
}

const FORMAT_INDICATOR: u8 = 0;
const INITIATION: u8 = 1;
/// The first account template that no card scheme owns.
const OUR_ACCOUNT: u8 = 26;
const MCC: u8 = 52;
const CURRENCY: u8 = 53;
const AMOUNT: u8 = 54;
const COUNTRY: u8 = 58;
const NAME: u8 = 59;
const CITY: u8 = 60;
const ADDITIONAL: u8 = 62;
const CRC: u8 = 63;
const LANGUAGE: u8 = 64;
/// Within the additional data: the reference label.
const REFERENCE_LABEL: u8 = 5;

/// The longest merchant's name that a payload holds.
pub const NAME_CHARS_MAX: usize = 25;
/// The longest city.
pub const CITY_CHARS_MAX: usize = 15;

/// Our name in the account template, as a reverse domain.
pub const GLOBALLY_UNIQUE_ID: &str = "cn.fenqi.pay";
const RENMINBI: &str = "156";

/// CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, nothing reflected, nothing inverted.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

impl Payload {
    /// Reads a payload: CRC over everything before it, then the objects. Strict: the CRC is upper-case, no id is
    /// there twice, the format indicator comes first.
    pub fn parse(text: &str) -> Result<Payload, PayloadRefusal> {
        check_crc(text)?;
        let objects = parse_objects(text)?;
        let first = objects.first().ok_or(PayloadRefusal::FormatIndicator)?;
        if first.id != FORMAT_INDICATOR || first.value != "01" {
            return Err(PayloadRefusal::FormatIndicator);
        }
        if objects.last().is_none_or(|last| last.id != CRC || last.value.len() != 4) {
            return Err(PayloadRefusal::CrcMissing);
        }
        Ok(Payload { objects })
    }

    /// The value of an object.
    pub fn value(&self, id: u8) -> Option<&str> {
        self.objects.iter().find(|object| object.id == id).map(|object| object.value.as_str())
    }

    /// The objects inside a template (account information 26 to 51, additional data 62, language 64, unreserved 80 to 99).
    pub fn template(&self, id: u8) -> Result<Vec<Object>, PayloadRefusal> {
        parse_objects(self.value(id).ok_or(PayloadRefusal::Missing { id, name: "template" })?)
    }

    /// Checks what the specification makes mandatory, beyond structure and CRC.
    pub fn validate(&self) -> Result<(), PayloadRefusal> {
        if !self.objects.iter().any(|object| (2..=51).contains(&object.id)) {
            return Err(PayloadRefusal::Missing { id: 2, name: "merchant account information" });
        }
        self.require(MCC, "merchant category code", |value| is_digits(value, 4))?;
        self.require(CURRENCY, "currency", |value| is_digits(value, 3))?;
        self.require(COUNTRY, "country", |value| value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase()))?;
        self.require(NAME, "merchant name", |value| (1..=NAME_CHARS_MAX).contains(&value.chars().count()))?;
        self.require(CITY, "merchant city", |value| (1..=CITY_CHARS_MAX).contains(&value.chars().count()))?;
        self.allow(INITIATION, "point of initiation", |value| value == "11" || value == "12")?;
        self.allow(AMOUNT, "amount", is_amount)?;
        for object in &self.objects {
            let is_template = matches!(object.id, 26..=51 | ADDITIONAL | LANGUAGE | 80..=99);
            if is_template {
                parse_objects(&object.value)?;
            }
        }
        Ok(())
    }

    fn require(&self, id: u8, name: &'static str, fits: impl Fn(&str) -> bool) -> Result<(), PayloadRefusal> {
        let value = self.value(id).ok_or(PayloadRefusal::Missing { id, name })?;
        if fits(value) { Ok(()) } else { Err(PayloadRefusal::Malformed { id, name }) }
    }

    fn allow(&self, id: u8, name: &'static str, fits: impl Fn(&str) -> bool) -> Result<(), PayloadRefusal> {
        if self.value(id).is_none_or(fits) { Ok(()) } else { Err(PayloadRefusal::Malformed { id, name }) }
    }

    /// Writes the objects in their order and closes them with the CRC; a CRC among them is replaced.
    pub fn build(objects: &[Object]) -> Result<String, PayloadRefusal> {
        let mut text = build_objects(objects.iter().filter(|object| object.id != CRC))?;
        text.push_str("6304");
        let crc = crc16(text.as_bytes());
        text.push_str(&format!("{crc:04X}"));
        Ok(text)
    }
}

/// Our own payload for a static code (no amount) or an order's.
#[derive(Clone, Debug)]
pub struct MerchantPresented {
    /// The code's token, as in its link `/q/…`.
    pub code_token: String,
    pub mcc: &'static str,
    /// At most [`NAME_CHARS_MAX`] characters, what every reader can show.
    pub latin_name: String,
    /// At most [`CITY_CHARS_MAX`] characters.
    pub latin_city: String,
    /// Cut to [`NAME_CHARS_MAX`] characters.
    pub chinese_name: String,
    /// None for a static code.
    pub amount: Option<Fen>,
    pub reference: Option<String>,
}

impl MerchantPresented {
    /// The payload as a text, which is parsed and validated once more before it is returned.
    pub fn build(&self) -> Result<String, PayloadRefusal> {
        let initiation = if self.amount.is_some() { "12" } else { "11" };
        let account = build_objects(&[object(0, GLOBALLY_UNIQUE_ID), object(1, &self.code_token)])?;
        let mut objects = vec![
            object(FORMAT_INDICATOR, "01"),
            object(INITIATION, initiation),
            object(OUR_ACCOUNT, &account),
            object(MCC, self.mcc),
            object(CURRENCY, RENMINBI),
        ];
        if let Some(amount) = self.amount {
            objects.push(object(AMOUNT, &format!("{}.{:02}", amount.get() / 100, amount.get() % 100)));
        }
        objects.push(object(COUNTRY, "CN"));
        objects.push(object(NAME, &self.latin_name));
        objects.push(object(CITY, &self.latin_city));
        if let Some(reference) = &self.reference {
            objects.push(object(ADDITIONAL, &build_objects(&[object(REFERENCE_LABEL, reference)])?));
        }
        let chinese: String = self.chinese_name.chars().take(NAME_CHARS_MAX).collect();
        objects.push(object(LANGUAGE, &build_objects(&[object(0, "ZH"), object(1, &chinese)])?));
        let text = Payload::build(&objects)?;
        Payload::parse(&text)?.validate()?;
        Ok(text)
    }
}

/// The token of our own code in a payload that was scanned; `None` for whatever is not ours.
pub fn our_token(text: &str) -> Option<String> {
    let account = Payload::parse(text).ok()?.template(OUR_ACCOUNT).ok()?;
    let value = |id: u8| account.iter().find(|object| object.id == id).map(|object| object.value.clone());
    value(1).filter(|_| value(0).as_deref() == Some(GLOBALLY_UNIQUE_ID))
}

fn object(id: u8, value: &str) -> Object {
    Object { id, value: value.to_owned() }
}

fn check_crc(text: &str) -> Result<(), PayloadRefusal> {
    let split = text.len().checked_sub(4).filter(|at| text.is_char_boundary(*at)).ok_or(PayloadRefusal::CrcMissing)?;
    let (covered, found) = text.split_at(split);
    let is_hex = found.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    if !covered.ends_with("6304") || !is_hex {
        return Err(PayloadRefusal::CrcMissing);
    }
    let expected = format!("{:04X}", crc16(covered.as_bytes()));
    if found == expected { Ok(()) } else { Err(PayloadRefusal::CrcWrong { found: found.to_owned(), expected }) }
}

fn parse_objects(text: &str) -> Result<Vec<Object>, PayloadRefusal> {
    let mut objects: Vec<Object> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let malformed = PayloadRefusal::HeaderMalformed { at: objects.len() + 1 };
        let header = rest.get(..4).filter(|header| header.bytes().all(|b| b.is_ascii_digit())).ok_or(malformed)?;
        let id = two_digits(&header[..2]);
        let length = usize::from(two_digits(&header[2..]));
        let value: String = rest[4..].chars().take(length).collect();
        if value.chars().count() < length {
            return Err(PayloadRefusal::Truncated { id });
        }
        if objects.iter().any(|earlier| earlier.id == id) {
            return Err(PayloadRefusal::Repeated { id });
        }
        rest = &rest[4 + value.len()..];
        objects.push(Object { id, value });
    }
    Ok(objects)
}

/// The number of two ASCII digits.
fn two_digits(text: &str) -> u8 {
    text.bytes().fold(0, |number, byte| number * 10 + (byte - b'0'))
}

fn build_objects<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Result<String, PayloadRefusal> {
    let mut text = String::new();
    for Object { id, value } in objects {
        let length = value.chars().count();
        if length > 99 {
            return Err(PayloadRefusal::TooLong { id: *id });
        }
        text.push_str(&format!("{id:02}{length:02}{value}"));
    }
    Ok(text)
}

fn is_digits(value: &str, count: usize) -> bool {
    value.len() == count && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_amount(value: &str) -> bool {
    let mut parts = value.splitn(2, '.');
    let whole = parts.next().unwrap_or_default();
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    value.len() <= 13 && !whole.is_empty() && digits(whole) && parts.next().is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_has_its_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn our_own_payload_is_read_back() {
        let text = MerchantPresented {
            code_token: "0123456789abcdefABCDEF".into(),
            mcc: "5812",
            latin_name: "LAO WANG NOODLES".into(),
            latin_city: "SHANGHAI".into(),
            chinese_name: "老王面馆".into(),
            amount: Some(Fen::new(12_805)),
            reference: Some("A-1".into()),
        }
        .build()
        .unwrap();
        let payload = Payload::parse(&text).unwrap();
        assert_eq!(payload.value(AMOUNT), Some("128.05"));
        assert_eq!(payload.template(OUR_ACCOUNT).unwrap()[1].value, "0123456789abcdefABCDEF");
        assert_eq!(our_token(&text).as_deref(), Some("0123456789abcdefABCDEF"));
        assert_eq!(payload.template(LANGUAGE).unwrap()[1].value, "老王面馆");
    }

    #[test]
    fn a_repeated_object_or_a_missing_crc_is_refused() {
        let text = Payload::build(&[object(0, "01"), object(58, "CN"), object(58, "CN")]).unwrap();
        assert_eq!(Payload::parse(&text), Err(PayloadRefusal::Repeated { id: 58 }));
        assert_eq!(Payload::parse(""), Err(PayloadRefusal::CrcMissing));
        assert_eq!(Payload::parse("面面6304"), Err(PayloadRefusal::CrcMissing));
    }
}
