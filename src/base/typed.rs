//! Amounts, days and numbers as people type them, and the keypad that types amounts.

use chrono::Datelike;

use super::day::BusinessDay;
use super::money::Fen;
use super::person::{CardNumber, Mobile, NumberError, ResidentId};

/// More than any purchase or repayment that a person makes by hand: ten million yuan.
const TYPED_MAX: Fen = Fen::new(1_000_000_000);
/// What a keypad types: eight digits of yuan, a point and two decimals.
const TYPED_CHARS_MAX: usize = 11;

/// An amount in yuan as somebody typed it: digits of either width, at most two decimals; grouping, blanks and the yuan sign are
/// ignored. A comma that groups no thousands is refused: a decimal point may be meant.
///
/// # Errors
/// The code of the message shown beside the field: `amount_format`, `amount_zero`, `amount_too_fine`, `amount_too_large`.
pub fn typed_amount(text: &str) -> Result<Fen, &'static str> {
    let plain: String = text.chars().map(narrow).filter(|letter| !is_ornament(*letter)).collect();
    let (yuan, rest) = plain.split_once('.').unwrap_or((&plain, ""));
    let yuan = ungrouped(yuan).ok_or("amount_format")?;
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(&yuan) || !is_number(rest) || (yuan.is_empty() && rest.is_empty()) {
        return Err("amount_format");
    }
    if rest.trim_end_matches('0').len() > 2 {
        return Err("amount_too_fine");
    }
    let yuan = yuan.trim_start_matches('0');
    if yuan.len() > TYPED_CHARS_MAX {
        return Err("amount_too_large");
    }
    let decimals: String = rest.chars().chain("00".chars()).take(2).collect();
    let fen = format!("{yuan}{decimals}").parse().map(Fen::new).map_err(|_| "amount_format")?;
    match fen {
        Fen::ZERO => Err("amount_zero"),
        fen if fen > TYPED_MAX => Err("amount_too_large"),
        fen => Ok(fen),
    }
}

/// The digits of an amount without the commas between its thousands, or between its 万; `None` where commas stand otherwise.
fn ungrouped(yuan: &str) -> Option<String> {
    let groups: Vec<&str> = yuan.split(',').collect();
    let (first, others) = groups.split_first()?;
    let is_grouped = |size: usize| (1..=size).contains(&first.len()) && others.iter().all(|group| group.len() == size);
    // A leading zero is never grouped: 0,500 most likely means half a yuan.
    let is_whole = !first.starts_with('0') && (is_grouped(3) || is_grouped(4));
    (others.is_empty() || is_whole).then(|| groups.concat())
}

/// A day as a page's address and a browser's date field write it: `2026-03-02`, in a year of four digits since 2000.
///
/// # Errors
/// The code of the message shown beside the field.
pub fn typed_day(text: &str) -> Result<BusinessDay, &'static str> {
    let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = text.parse::<BusinessDay>().ok().filter(|day| is_plain && day.date().year() >= 2000);
    day.ok_or("day_malformed")
}

/// A mobile number as telephones fill it in and people paste it, such as `+86 138-0013-8000`.
///
/// # Errors
/// The code of the message shown beside the field.
pub fn typed_mobile(text: &str) -> Result<Mobile, &'static str> {
    let plain = plain_number(text);
    // No mobile number begins with 8 or 0.
    let national = ["+86", "0086", "86"].into_iter().find_map(|country| plain.strip_prefix(country));
    national.unwrap_or(&plain).parse::<Mobile>().map_err(NumberError::code)
}

/// A card number as it stands on the card, in groups of four.
///
/// # Errors
/// The code of the message shown beside the field.
pub fn typed_card_number(text: &str) -> Result<CardNumber, &'static str> {
    plain_number(text).parse::<CardNumber>().map_err(NumberError::code)
}

/// A resident ID number, perhaps in groups; `today` because nobody is born after it.
///
/// # Errors
/// The code of the message shown beside the field.
pub fn typed_resident_id(text: &str, today: BusinessDay) -> Result<ResidentId, &'static str> {
    ResidentId::parse(&plain_number(text), today).map_err(NumberError::code)
}

/// A code as a short message holds it, or as people type it in full-width digits.
///
/// # Errors
/// The code of the message shown beside the field, if nothing but blanks and dashes was typed.
pub fn typed_code(text: &str) -> Result<String, &'static str> {
    let plain = plain_number(text);
    if plain.is_empty() { Err("missing") } else { Ok(plain) }
}

/// A number in half-width digits, without the blanks and dashes that make it readable.
pub fn plain_number(text: &str) -> String {
    text.chars().map(narrow).filter(|letter| !letter.is_whitespace() && !matches!(letter, '-' | '－')).collect()
}

/// The amount as the keypad shows it: `1234.5` is `1234.50`.
pub fn plain_amount(amount: Fen) -> String {
    format!("{}.{:02}", amount.get() / 100, amount.get() % 100)
}

/// What the field holds after a key of the keypad (a digit, `00`, `.` or `back`) is pressed on `typed`. A key that would not
/// leave an amount changes nothing.
pub fn after_key(typed: &str, key: &str) -> String {
    let mut next = typed.to_owned();
    match key {
        "back" => {
            next.pop();
        }
        "." if !next.contains('.') => next.push_str(if next.is_empty() { "0." } else { "." }),
        "00" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" => {
            if next == "0" {
                next.clear();
            }
            next.push_str(if next.is_empty() && key == "00" { "0" } else { key });
        }
        _ => {}
    }
    let decimals = next.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if key != "back" && (decimals > 2 || next.len() > TYPED_CHARS_MAX) { typed.to_owned() } else { next }
}

/// Whether a text is shown on one line as it was typed: without control characters, Unicode's line and paragraph separators, and
/// the marks that change the direction of text (`Bidi_Control`), which could make a neighbouring amount read as another one.
pub fn is_one_line(text: &str) -> bool {
    let is_separator = |letter: char| matches!(letter, '\u{2028}' | '\u{2029}');
    let is_bidi_mark = |letter: char| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}');
    let is_bidi_embedding = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_odd =
        |letter: char| letter.is_control() || is_separator(letter) || is_bidi_mark(letter) || is_bidi_embedding(letter);
    !text.chars().any(is_odd)
}

/// The half-width form of a full-width digit, point or comma; any other letter as it is.
fn narrow(letter: char) -> char {
    match letter {
        '０'..='９' => char::from_u32(u32::from(letter) - u32::from('０') + u32::from('0')).unwrap_or(letter),
        '．' | '。' => '.',
        '，' => ',',
        other => other,
    }
}

fn is_ornament(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '¥' | '￥' | '元')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_type_them() {
        let amounts = [
            ("128", 12_800),
            ("128.5", 12_850),
            ("0.01", 1),
            (".5", 50),
            ("1,234.50", 123_450),
            ("1，2345", 1_234_500),
            ("12,345", 1_234_500),
            ("￥１２．３０", 1_230),
            (" 88 元", 8_800),
            ("5.10000", 510),
            ("0007.", 700),
        ];
        for (text, fen) in amounts {
            assert_eq!(typed_amount(text), Ok(Fen::new(fen)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_told_apart() {
        let long = "9".repeat(10_000);
        let refused = [
            ("0", "amount_zero"),
            ("0.00", "amount_zero"),
            ("0.001", "amount_too_fine"),
            ("1e9", "amount_format"),
            ("-5", "amount_format"),
            ("1.2.3", "amount_format"),
            ("12,50", "amount_format"),
            ("1,5", "amount_format"),
            (",500", "amount_format"),
            ("0,500", "amount_format"),
            ("1,234,50", "amount_format"),
            ("1.234,50", "amount_format"),
            ("一百", "amount_format"),
            ("💰", "amount_format"),
            (".", "amount_format"),
            ("1000000000", "amount_too_large"),
            (&long, "amount_too_large"),
        ];
        for (text, code) in refused {
            assert_eq!(typed_amount(text), Err(code), "{}", text.chars().take(20).collect::<String>());
        }
    }

    #[test]
    fn a_day_is_written_in_ten_characters() {
        assert_eq!(typed_day("2026-02-28"), Ok("2026-02-28".parse().unwrap()));
        let long = "2".repeat(10_000);
        for wrong in
            ["", "2026-02-30", "2026-2-28", "+262142-12-31", "-262143-01-01", "1999-12-31", "今天", "💰", &long]
        {
            assert_eq!(typed_day(wrong), Err("day_malformed"), "{wrong:.20}");
        }
    }

    #[test]
    fn numbers_are_read_as_people_type_and_paste_them() {
        let mobiles = [
            "13800138000",
            "138 0013 8000",
            "+86 138-0013-8000",
            "008613800138000",
            "8613800138000",
            "１３８００１３８０００",
        ];
        for text in mobiles {
            assert_eq!(typed_mobile(text).unwrap().reveal(), "13800138000", "{text}");
        }
        for text in ["", "+86", "1380013", "+1 13800138000", "138001380001", "+86+8613800138000", "💰"] {
            assert_eq!(typed_mobile(text).unwrap_err(), "mobile_format", "{text}");
        }
        assert_eq!(typed_card_number("6217 0063 4392 5775").unwrap().reveal(), "6217006343925775");
        assert_eq!(typed_card_number("6217006343925776").unwrap_err(), "card_number_check");
        let today = "2026-03-02".parse().unwrap();
        let id = typed_resident_id("110105 19491231 002x", today).unwrap();
        assert_eq!(id.reveal(), "11010519491231002X");
        assert_eq!(typed_resident_id("110105194912310021", today).unwrap_err(), "resident_id_check");
    }

    #[test]
    fn a_code_is_read_in_digits_of_either_width() {
        for typed in ["138000", "１３８０００", "138 000"] {
            assert_eq!(typed_code(typed).as_deref(), Ok("138000"));
        }
        assert_eq!(typed_code("- -"), Err("missing"));
    }

    #[test]
    fn the_keypad_types_amounts_only() {
        let keys = |keys: &[&str]| keys.iter().fold(String::new(), |typed, key| after_key(&typed, key));
        assert_eq!(keys(&["1", "2", ".", "5", "0", "7"]), "12.50");
        assert_eq!(keys(&[".", "0", ".", "5"]), "0.05");
        assert_eq!(keys(&["00", "0", "5", "00"]), "500");
        assert_eq!(keys(&["1", "back", "back", "x"]), "");
        assert_eq!(keys(&["9"; 20]).len(), TYPED_CHARS_MAX);
    }

    #[test]
    fn a_text_with_line_ends_or_direction_marks_is_not_one_line() {
        for plain in ["三人沙发", "Sofa, 3 seats", "👨\u{200d}👩\u{200d}👧", ""] {
            assert!(is_one_line(plain), "{plain}");
        }
        for odd in ["a\u{7}", "a\nb", "定金 \u{202e}00.01¥", "\u{2067}x\u{2069}"] {
            assert!(!is_one_line(odd), "{odd:?}");
        }
        for odd in ["ICBC-1\u{2028}confirmed", "a\u{2029}b", "\u{200f}100 / 2", "1\u{61c}-2", "a\u{200e}"] {
            assert!(!is_one_line(odd), "{odd:?}");
        }
    }
}
