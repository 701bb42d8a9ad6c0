//! Reads from a call's bodies the objects that it is about and the codes of how it ended: the terms by which the interface log finds it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::shape;

/// Objects of one call that are indexed: twice those of the largest batch that we send.
const OBJECTS_MAX: usize = 2_000;
/// Longer than any reference of ours or of a partner's.
const NAME_CHARS_MAX: usize = 128;

/// Fields whose values name an object although they are not ids of ours.
const NAMING_FIELDS: &[&str] = &[
    "reference",
    "bank_reference",
    "channel_reference",
    "order_key",
    "order_keys",
    "out_order_no",
    "out_order_nos",
    "reqSn",
    "reqSns",
    "trade_no",
    "serial",
    "event_no",
    "challenge",
];
/// Fields of an answer that say how something ended, in our and in each partner's protocol; texts or numbers.
const CODE_FIELDS: &[&str] = &["code", "ret_code", "retCode", "respCode", "errcode"];

/// The form in which an object is stored and searched for: an id without prefix and dashes, so that `loan_0197…` and the UUID that a
/// partner knows are the same; anything else unchanged, except that personal numbers are masked as in the bodies. `None` if it cannot be a
/// name.
pub fn object_name(text: &str) -> Option<String> {
    let text = text.trim();
    let bare: String = match text.rsplit_once('_') {
        Some((prefix, id)) if prefix.bytes().all(|byte| byte.is_ascii_lowercase()) => id.to_owned(),
        _ if text.len() == 36 => text.replace('-', ""),
        _ => String::new(),
    };
    if bare.len() == 32 && bare.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Some(bare);
    }
    let is_name = !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.contains(char::is_control);
    is_name.then(|| shape::hidden(text).unwrap_or_else(|| text.to_owned()))
}

/// Objects and codes of one call.
#[derive(Debug, Default)]
pub struct Mentions {
    pub objects: BTreeSet<String>,
    pub codes: BTreeSet<String>,
}

impl Mentions {
    /// Adds an object that the call names outside its bodies. An attempt such as `pay_…-1` also adds what it is an attempt at.
    pub fn add(&mut self, object: &str) {
        if self.objects.len() < OBJECTS_MAX {
            self.objects.extend(object_name(object));
            let attempted =
                object.rsplit_once('-').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
            self.objects.extend(attempted.filter(|(whole, _)| is_id(whole)).and_then(|(whole, _)| object_name(whole)));
        }
    }

    /// Adds the objects that a request names.
    pub fn read_request(&mut self, body: &Value) {
        self.walk("", body);
    }

    /// Adds the objects and codes that an answer names. A call that read a page of a list is not about the list's rows.
    pub fn read_answer(&mut self, body: &Value) {
        if !body["items"].is_array() {
            self.walk("", body);
        }
        self.read_codes("", body);
    }

    fn walk(&mut self, field: &str, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, inside)| self.walk(name, inside)),
            Value::Array(items) => items.iter().for_each(|item| self.walk(field, item)),
            Value::String(text) if NAMING_FIELDS.contains(&field) || is_id(text) => self.add(text),
            Value::Number(number) if NAMING_FIELDS.contains(&field) => self.add(&number.to_string()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn read_codes(&mut self, field: &str, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, inside)| self.read_codes(name, inside)),
            Value::Array(items) => items.iter().for_each(|item| self.read_codes(field, item)),
            Value::String(code) if CODE_FIELDS.contains(&field) => {
                let code = Some(code).filter(|code| !code.is_empty() && code.len() <= NAME_CHARS_MAX);
                let code = code.filter(|code| !code.contains(char::is_control));
                self.codes.extend(code.map(|code| shape::hidden(code).unwrap_or_else(|| code.clone())));
            }
            Value::Number(code) if CODE_FIELDS.contains(&field) => {
                self.codes.insert(code.to_string());
            }
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() >= 33 && object_name(text).is_some_and(|name| name.len() == 32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::partner::payout::wire as payout;
    use crate::partner::withholding::wire::{alpha, beta};

    #[test]
    fn an_id_is_the_same_in_our_form_and_in_a_partners() {
        let bare = Some("0197f3c2a4b07cc39b1c2d3e4f506172".to_owned());
        assert_eq!(object_name("loan_0197f3c2a4b07cc39b1c2d3e4f506172"), bare);
        assert_eq!(object_name("0197f3c2-a4b0-7cc3-9b1c-2d3e4f506172"), bare);
        assert_eq!(object_name("TRY_1"), Some("TRY_1".to_owned()));
        assert_eq!(object_name("a\u{0}b"), None);
    }

    #[test]
    fn a_call_about_several_names_each_and_nothing_personal() {
        let mut mentions = Mentions::default();
        mentions.read_request(&json!({ "orders": [
            { "order_key": "A-1", "payee": { "account_name": "Zhang" } },
            { "order_key": "A-2", "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506172", "amount_fen": 100 } ] }));
        mentions
            .read_answer(&json!({ "results": [{ "order_key": "A-1", "code": "card_invalid" }, { "event_no": 41 }] }));
        let objects: Vec<&str> = mentions.objects.iter().map(String::as_str).collect();
        assert_eq!(objects, ["0197f3c2a4b07cc39b1c2d3e4f506172", "41", "A-1", "A-2"]);
        assert!(mentions.codes.iter().eq(["card_invalid"]));
    }

    /// What a body names that a partner is sent, or sends.
    fn named<T: serde::Serialize>(body: &T) -> Vec<String> {
        let mut mentions = Mentions::default();
        mentions.read_request(&serde_json::to_value(body).unwrap());
        mentions.objects.into_iter().collect()
    }

    #[test]
    fn a_call_is_found_under_each_order_in_whatever_words_its_channel_has_for_it() {
        let order = "0197f3c2a4b07cc39b1c2d3e4f506172".to_owned();
        let (word, none) = ("-".to_owned(), None::<String>);
        let in_alpha = alpha::Order {
            out_order_no: order.clone(),
            agreement_no: word.clone(),
            amount: 1,
            allow_part: true,
            trade_date: word.clone(),
        };
        let in_beta = beta::Order {
            req_sn: order.clone(),
            contract_no: word.clone(),
            amt: word.clone(),
            part: word.clone(),
            settle_day: word.clone(),
        };
        let answer =
            beta::Answer { req_sn: order.clone(), ret_code: word, amt_paid: none, serial: Some("S1".to_owned()) };
        assert_eq!(named(&alpha::Batch { orders: vec![in_alpha] }), [order.as_str()]);
        assert_eq!(named(&alpha::Question { out_order_nos: vec![order.clone()] }), [order.as_str()]);
        assert_eq!(named(&beta::Batch { reqs: vec![in_beta] }), [order.as_str()]);
        assert_eq!(named(&beta::Question { req_sns: vec![order.clone()] }), [order.as_str()]);
        assert_eq!(named(&beta::Answers { rsps: vec![answer] }), [order.as_str(), "S1"]);
        // An attempt at a payout, and the payout.
        let attempt = format!("pay_{order}-1");
        let asked = payout::QueryRequest { order_keys: vec![attempt.clone()] };
        assert_eq!(named(&asked), [order.as_str(), attempt.as_str()]);
    }

    #[test]
    fn each_partners_word_for_how_it_ended_is_a_code_as_a_text_or_a_number() {
        let mut mentions = Mentions::default();
        mentions.read_answer(&json!({ "errcode": 43_101, "results": [
            { "ret_code": "1002" }, { "retCode": "9999" }, { "respCode": 5 }, { "amount_fen": 7, "retMsg": "no" } ] }));
        assert!(mentions.codes.iter().eq(["1002", "43101", "5", "9999"]), "{:?}", mentions.codes);
    }

    #[test]
    fn a_list_that_was_read_is_about_none_of_its_rows() {
        let mut mentions = Mentions::default();
        mentions.read_answer(&json!({ "items": [{ "loan_id": "loan_0197f3c2a4b07cc39b1c2d3e4f506172" }] }));
        assert!(mentions.objects.is_empty());
    }
}
