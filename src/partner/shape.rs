//! Recognises personal numbers in any text by their shape: ID numbers, card numbers and mainland mobile numbers.

use chrono::NaiveDate;

use crate::base::person::passes_luhn;
use crate::base::{BusinessDay, ResidentId};

/// The fewest and the most digits: a mobile number's, and a card number's.
const LENGTH_MIN: usize = 11;
const LENGTH_MAX: usize = 19;
const SHOWN: usize = 4;
/// The groups of digits in which people write them, with a space or a dash between: a mobile number, cards, an ID number.
const GROUPS: [&[usize]; 4] = [&[3, 4, 4], &[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[6, 8, 4]];
/// The day for checking ID numbers: the end of the calendar, so that no birth date counts as in the future.
const ANY_DAY: BusinessDay = BusinessDay::new(NaiveDate::MAX);

/// `text` with each such number masked except its last four characters; `None` if it contains none. Only whole words of letters and digits
/// count, so that hexadecimal ids of ours contain none.
pub fn hidden(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    // Most texts (names of fields, words, amounts) have too few digits to hold any.
    if bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < LENGTH_MIN {
        return None;
    }
    let mut hidden: Option<String> = None;
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let from = at;
        while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
        let found = match is_personal(&text[from..at]) {
            true => Some((at, SHOWN)),
            false => in_groups(&bytes[from..], at - from).map(|(length, last)| (from + length, last.min(SHOWN))),
        };
        if let Some((end, shown)) = found {
            let hidden = hidden.get_or_insert_default();
            hidden.push_str(&text[copied..from]);
            hidden.push_str("***");
            hidden.push_str(&text[end - shown..end]);
            (at, copied) = (end, end);
        }
        // Skip what is neither letter nor digit, byte by byte also inside a multi-byte character.
        while at < bytes.len() && !bytes[at].is_ascii_alphanumeric() {
            at += 1;
        }
    }
    hidden.map(|hidden| hidden + &text[copied..])
}

/// Somebody else's text, made fit for being stored: without control characters (PostgreSQL refuses NUL), then with personal numbers masked.
/// In this order, because a control character inside a number would hide it.
pub fn kept(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).collect();
    hidden(&plain).unwrap_or(plain)
}

/// The length of a number in groups that begins here, and the length of its last group. `first` is the length of the word that begins here.
fn in_groups(bytes: &[u8], first: usize) -> Option<(usize, usize)> {
    GROUPS.iter().filter(|groups| groups[0] == first).find_map(|groups| {
        let mut number = [0; LENGTH_MAX];
        let (mut length, mut at) = (0, 0);
        for group in *groups {
            if length > 0 {
                if !matches!(bytes.get(at), Some(b' ' | b'-')) {
                    return None;
                }
                at += 1;
            }
            let word = bytes.get(at..at + group).filter(|word| word.iter().all(u8::is_ascii_alphanumeric))?;
            number[length..length + group].copy_from_slice(word);
            (length, at) = (length + group, at + group);
        }
        let is_whole = !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let is_found = is_whole && str::from_utf8(&number[..length]).is_ok_and(is_personal);
        is_found.then_some((at, *groups.last()?))
    })
}

fn is_personal(word: &str) -> bool {
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&word.len()) {
        return false;
    }
    let (digits, last) = word.split_at(word.len() - 1);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    is_resident_id(word) || (is_number && (is_mobile(word) || is_card(word)))
}

fn is_resident_id(word: &str) -> bool {
    let is_of_these_centuries = word.len() == 18 && matches!(&word[6..8], "19" | "20");
    is_of_these_centuries && ResidentId::parse(word, ANY_DAY).is_ok()
}

/// With or without the country's code.
fn is_mobile(digits: &str) -> bool {
    let national = match digits.len() {
        13 => digits.strip_prefix("86").unwrap_or_default(),
        15 => digits.strip_prefix("0086").unwrap_or_default(),
        _ => digits,
    };
    national.len() == 11 && national.starts_with('1') && national.as_bytes()[1] >= b'3'
}

/// Timestamps are not taken for cards: no card begins with 0 or with 20, as a time of this century in digits does; milliseconds since 1970
/// begin with 1, and are shorter than the cards that do.
fn is_card(digits: &str) -> bool {
    let is_a_time = digits.starts_with("20") || (digits.starts_with('1') && digits.len() < 15);
    digits.len() >= 13 && !digits.starts_with('0') && !is_a_time && passes_luhn(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_a_person_is_found_wherever_it_stands() {
        for (text, expected) in [
            ("11010519491231002X", "***002X"),
            ("11010519491231002x", "***002x"),
            ("6222021234567894", "***7894"),
            ("4111111111111111", "***1111"),
            ("13812345678", "***5678"),
            ("+8613812345678", "+***5678"),
            ("008613812345678", "***5678"),
            ("电话13812345678，卡号6222021234567894。", "电话***5678，卡号***7894。"),
            ("wrong_type: integer 13812345678, expected a string", "wrong_type: integer ***5678, expected a string"),
            ("mobile_13812345678", "mobile_***5678"),
            ("138-1234-5678", "***5678"),
            ("+86 138 1234 5678, or later", "+86 ***5678, or later"),
            ("卡6222 0212 3456 7894。", "卡***7894。"),
            ("6222-0212-3456-7890-128", "***128"),
            ("110105-19491231-002X", "***002X"),
        ] {
            assert_eq!(hidden(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_number_with_a_control_in_it_is_found() {
        assert_eq!(kept("nobody has 138\u{0}12345678\n"), "nobody has ***5678");
        assert_eq!(kept("A\u{0}-1"), "A-1");
    }

    #[test]
    fn what_names_no_person_is_left_as_it_is() {
        for text in [
            "",
            "备",
            "loan_0197f3c2a4b07cc39b1c2d3e4f506175",
            "0197f3c2-a4b0-7cc3-9b1c-123456789012",
            "01970000-0000-7000-8000-013812345678",
            "FENQI-20260302-4F506172",
            "ICBC-20260302-7781",
            "20260302101530000123",
            "2026-03-02T10:15:30+08:00",
            "1772417730123",
            "12812345678",
            "1381234567",
            "138123456789",
            "6222021234567895",
            "110105194912310021",
            "110105194913310029",
            "128800",
            "2026-0302-1015-3000",
            "138-1234-56789",
            "138--1234-5678",
            "128-1234-5678",
            "6222 0212 3456 789",
            "6222-0212-3456-7备",
        ] {
            assert_eq!(hidden(text), None, "{text}");
        }
    }
}
