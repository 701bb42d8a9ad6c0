//! One line of a scenario as words: a verb, plain words in order, and `key=value` pairs in any order.

use std::collections::VecDeque;

use crate::base::{BusinessDay, Fen, WorkingCalendar};

/// The highest number for "the nth"; no scenario makes so many of anything.
const NTH_MAX: i64 = 1_000_000;

/// The words of one line that were not taken yet. The errors of its methods are sentences that say what is wrong and how the line must be
/// written.
pub struct Words<'a> {
    usage: &'static str,
    plain: VecDeque<&'a str>,
    pairs: Vec<(&'a str, &'a str)>,
    /// Keys whose value was taken.
    taken: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// The words after the verb; `usage` is how such a line is written.
    pub fn new(words: impl Iterator<Item = &'a str>, usage: &'static str) -> Words<'a> {
        let mut found = Words { usage, plain: VecDeque::new(), pairs: Vec::new(), taken: Vec::new() };
        for word in words {
            match word.split_once('=') {
                Some(pair) => found.pairs.push(pair),
                None => found.plain.push_back(word),
            }
        }
        found
    }

    /// The sentence for what is wrong with this line.
    pub fn wrong(&self, what: &str) -> String {
        format!("{what}; write: {}", self.usage)
    }

    /// Checks that every `key=` has a value.
    ///
    /// # Errors
    /// If nothing follows a `=`.
    pub fn check_values(&self) -> Result<(), String> {
        match self.pairs.iter().find(|(_, value)| value.is_empty()) {
            Some((key, _)) => Err(self.wrong(&format!("{key}= has no value, which stands behind = without a space"))),
            None => Ok(()),
        }
    }

    /// The next plain word.
    pub fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.plain.pop_front().ok_or_else(|| self.wrong(&format!("{what} is missing")))
    }

    pub fn next_word(&mut self) -> Option<&'a str> {
        self.plain.pop_front()
    }

    /// The next plain word as a name of the scenario's own.
    pub fn name(&mut self, what: &str) -> Result<String, String> {
        let word = self.word(what)?;
        self.named(what, word)
    }

    pub fn amount(&mut self, what: &str) -> Result<Fen, String> {
        let word = self.word(what)?;
        parse_amount(word).map_err(|wrong| self.wrong(&format!("{what}: {wrong}")))
    }

    pub fn day(&mut self, what: &str) -> Result<BusinessDay, String> {
        let word = self.word(what)?;
        parse_day(word).map_err(|wrong| self.wrong(&format!("{what}: {wrong}")))
    }

    /// The next plain word as a whole number from 1 to `NTH_MAX`; 1 if there is no word.
    pub fn nth(&mut self) -> Result<i64, String> {
        match self.plain.pop_front() {
            None => Ok(1),
            Some(word) => {
                let number = word.parse().ok().filter(|number| (1..=NTH_MAX).contains(number));
                let allowed = format!("a whole number from 1 to {NTH_MAX}");
                number.ok_or_else(|| self.wrong(&format!("found {word} where {allowed} is allowed")))
            }
        }
    }

    /// The value of a key, taken.
    pub fn value(&mut self, key: &str) -> Option<&'a str> {
        let place = self.pairs.iter().position(|(found, _)| *found == key)?;
        let (key, value) = self.pairs.remove(place);
        self.taken.push(key);
        Some(value)
    }

    pub fn required(&mut self, key: &str) -> Result<&'a str, String> {
        self.value(key).ok_or_else(|| self.wrong(&format!("{key}= is missing")))
    }

    /// The value of a key as a name of the scenario's own.
    pub fn named_value(&mut self, key: &str) -> Result<String, String> {
        let value = self.required(key)?;
        self.named(key, value)
    }

    pub fn amount_value(&mut self, key: &str) -> Result<Option<Fen>, String> {
        let Some(value) = self.value(key) else { return Ok(None) };
        parse_amount(value).map(Some).map_err(|wrong| self.wrong(&format!("{key}: {wrong}")))
    }

    /// The value of a key as a whole number within bounds.
    pub fn number_value(&mut self, key: &str, least: u16, most: u16) -> Result<Option<u16>, String> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| self.wrong(&format!("{key}: found {value} where {least} to {most} is allowed")))
    }

    pub fn yes_or_no(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.value(key) {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(value) => Err(self.wrong(&format!("{key}: found {value} where yes or no is allowed"))),
        }
    }

    /// All pairs that are left.
    pub fn take_pairs(&mut self) -> Vec<(&'a str, &'a str)> {
        std::mem::take(&mut self.pairs)
    }

    /// # Errors
    /// If a word was not taken.
    pub fn end(self) -> Result<(), String> {
        match (self.plain.front(), self.pairs.first()) {
            (Some(word), _) => Err(self.wrong(&format!("{word} has no meaning here"))),
            (None, Some((key, _))) if self.taken.contains(key) => Err(self.wrong(&format!("{key}= stands twice"))),
            (None, Some((key, value))) => Err(self.wrong(&format!("{key}={value} has no meaning here"))),
            (None, None) => Ok(()),
        }
    }

    fn named(&self, what: &str, word: &str) -> Result<String, String> {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
        if word.is_empty() || !word.chars().all(is_plain) {
            return Err(self.wrong(&format!("{what}: found {word} where letters, digits, - _ . and / are allowed")));
        }
        Ok(word.to_owned())
    }
}

/// Yuan with both decimals, grouped by commas or not: `1,234.50`.
///
/// # Errors
/// A sentence that says what was found and what is allowed.
pub fn parse_amount(text: &str) -> Result<Fen, String> {
    let wrong = || format!("found {text} where yuan with two decimals, such as 1,234.50, is allowed");
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (yuan, fen) = unsigned.split_once('.').ok_or_else(wrong)?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let groups: Vec<&str> = yuan.split(',').collect();
    let grouped_well = groups.len() == 1 || (groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    if fen.len() != 2 || !is_number(fen) || !groups.iter().all(|group| is_number(group)) || !grouped_well {
        return Err(wrong());
    }
    let digits = groups.concat() + fen;
    let amount = digits.parse::<i64>().ok().map(|number| Fen::new(sign * number));
    amount.filter(|amount| *amount <= Fen::MAX && -*amount <= Fen::MAX).ok_or_else(wrong)
}

/// # Errors
/// A sentence that says what was found and what is allowed.
pub fn parse_day(text: &str) -> Result<BusinessDay, String> {
    text.parse().map_err(|_| format!("found {text} where a date, such as 2026-03-05, is allowed"))
}

/// Checks that a scenario can begin on a day: working days must be known then.
///
/// # Errors
/// A sentence that says what was found and what is allowed.
pub fn check_begun(day: BusinessDay) -> Result<(), String> {
    match WorkingCalendar::shipped().known_until(day) {
        Some(_) => Ok(()),
        None => {
            Err(format!("found {day} where a date in a year whose working days are known, such as 2026, is allowed"))
        }
    }
}

/// Checks that a scenario can run from one day to another. Each day in between is closed, and its money is paid on the next working day, so
/// working days must be known that far.
///
/// # Errors
/// A sentence that says what was found and what is allowed.
pub fn check_lived(from: BusinessDay, until: BusinessDay) -> Result<(), String> {
    let calendar = WorkingCalendar::shipped();
    let mut day = from;
    while day < until {
        if calendar.next_working_day(day).is_err() {
            return Err(format!(
                "found {until} where no date after {day} is allowed: the next working day, on which its money is paid, is not known"
            ));
        }
        day = day.next();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_yuan_with_two_decimals() {
        assert_eq!(parse_amount("1,234.50"), Ok(Fen::new(123_450)));
        assert_eq!(parse_amount("1234567.05"), Ok(Fen::new(123_456_705)));
        assert_eq!(parse_amount("-0.01"), Ok(Fen::new(-1)));
        for wrong in ["1234", "12.5", "1,23.45", "", ".50", "1.234", "1e5.00", "9999999999999999.00", "￥1.00"] {
            assert!(parse_amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_scenario_begins_in_a_year_whose_working_days_are_known() {
        // Nobody of thirty had an identity number in 1920.
        let wrong = ["0001-01-01", "1920-03-02", "9999-12-31"];
        assert!(wrong.iter().all(|day| check_begun(parse_day(day).unwrap()).is_err()));
        assert_eq!(check_begun(parse_day("2026-12-31").unwrap()), Ok(()));
    }

    #[test]
    fn what_comes_after_others_has_a_number_that_can_be_counted_to() {
        let nth = |text: &'static str| Words::new(text.split_whitespace(), "unbind BORROWER [N]").nth();
        assert_eq!([nth(""), nth("2"), nth("1000000")], [Ok(1), Ok(2), Ok(1_000_000)]);
        for wrong in ["0", "-1", "1000001", "3000000000", "99999999999999999999", "two"] {
            let told = nth(wrong).unwrap_err();
            assert_eq!(
                told,
                format!("found {wrong} where a whole number from 1 to 1000000 is allowed; write: unbind BORROWER [N]")
            );
        }
    }

    #[test]
    fn nobody_lives_beyond_the_working_days_that_are_known() {
        let day = |text: &str| parse_day(text).unwrap();
        assert_eq!(check_lived(day("2025-01-01"), day("2026-12-31")), Ok(()));
        assert_eq!(check_lived(day("1999-01-01"), day("1999-01-01")), Ok(()));
        for (from, until, last) in
            [("2026-03-02", "9999-12-31", "2026-12-31"), ("2024-06-03", "2024-06-04", "2024-06-03")]
        {
            let wrong = check_lived(day(from), day(until)).unwrap_err();
            assert!(wrong.starts_with(&format!("found {until} where no date after {last} is allowed")), "{wrong}");
        }
    }

    #[test]
    fn a_key_without_a_value_is_told() {
        let told = |line: &'static str| Words::new(line.split(' '), "decide BORROWER …").check_values();
        assert_eq!(told("anna grade=B limit=5,000.00"), Ok(()));
        for (line, key) in [("anna grade= B limit=5,000.00", "grade"), ("anna grade = B", ""), ("anna limit=", "limit")]
        {
            let expected =
                format!("{key}= has no value, which stands behind = without a space; write: decide BORROWER …");
            assert_eq!(told(line), Err(expected));
        }
    }

    #[test]
    fn what_is_left_over_is_named_with_how_to_write_the_line() {
        let mut words = Words::new("shop 1.00 colour=red".split(' '), "deposit FUNDER AMOUNT");
        assert_eq!(words.name("the funder").as_deref(), Ok("shop"));
        assert_eq!(words.amount("the amount"), Ok(Fen::new(100)));
        let left = words.end().unwrap_err();
        assert_eq!(left, "colour=red has no meaning here; write: deposit FUNDER AMOUNT");
        let mut words = Words::new("limit=1.00 limit=2.00".split(' '), "limit=AMOUNT");
        assert_eq!(words.amount_value("limit"), Ok(Some(Fen::new(100))));
        assert_eq!(words.end().unwrap_err(), "limit= stands twice; write: limit=AMOUNT");
    }
}
