//! What of a partner message may be written down: personal data is masked, the rest is cut to a limit.

use serde_json::Value;

/// Fields, at any depth, whose text is masked to its last four characters. Our protocols name personal data only so: a
/// one-time code is `sms_code`, because `code` is an answer's reason.
const MASKED_FIELDS: &[&str] = &[
    "name",
    // Who at a partner holds a key, and what that person did.
    "holder",
    "noted_by",
    "submitted_by",
    "approved_by",
    "decided_by",
    "saved_by",
    "id_number",
    "mobile",
    "card_number",
    "account_name",
    "account_number",
    "number",
    "sms_code",
    "text",
    "address",
];
/// Whatever fills in a short message: one-time codes, names, amounts.
const FILLED_IN: &str = "parameters";
const LENGTH_MAX: usize = 4_000;

/// A body of so many `bytes` as it may be logged: masked if it was read as JSON, withheld if it was not.
pub fn masked(body: Option<Value>, bytes: usize) -> String {
    match body {
        Some(mut value) => {
            mask(&mut value);
            truncated(value.to_string())
        }
        None if bytes == 0 => String::new(),
        None => format!("({bytes} bytes that are not JSON)"),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if MASKED_FIELDS.contains(&name.as_str()) => *text = masked_text(text),
                    Value::Object(filled_in) if name == FILLED_IN => {
                        filled_in.values_mut().for_each(|value| *value = Value::from("***"));
                    }
                    other => mask(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn masked_text(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    // Of a short text the last four characters would give away too much.
    let shown = if characters.len() > 8 { 4 } else { 0 };
    let tail: String = characters[characters.len() - shown..].iter().collect();
    format!("***{tail}")
}

fn truncated(mut text: String) -> String {
    if text.len() > LENGTH_MAX {
        let cut = (0..=LENGTH_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(body: &[u8]) -> String {
        masked(serde_json::from_slice(body).ok(), body.len())
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
        for field in ["holder", "noted_by", "submitted_by", "approved_by", "decided_by", "saved_by"] {
            let body = format!(r#"{{"items":[{{"{field}":"Chen Wei"}}]}}"#);
            assert_eq!(logged(body.as_bytes()), format!(r#"{{"items":[{{"{field}":"***"}}]}}"#));
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
    fn a_long_body_is_cut_between_characters() {
        let body = format!("{{\"note\":\"{}\"}}", "备".repeat(3_000));
        assert!(logged(body.as_bytes()).len() <= LENGTH_MAX + '…'.len_utf8());
    }
}
