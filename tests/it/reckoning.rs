//! Test helper: recomputes the arithmetic of a page. What stands in `.sum` must be right, and any other amount must link to its
//! explanation.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::{Decimal, RoundingStrategy};

use crate::browser::{Browser, Shown};

/// Pages that are checked; links to other pages are not followed.
const EXPLAINED: [&str; 4] = ["/home", "/bills", "/loans", "/repayments"];
const VOID: [&str; 6] = ["input", "br", "img", "meta", "link", "hr"];

/// A piece of text with its elements, the innermost last.
struct Text {
    words: String,
    around: Vec<Element>,
}

#[derive(Clone, PartialEq)]
struct Element {
    number: usize,
    tag: String,
    classes: Vec<String>,
    href: Option<String>,
}

impl Text {
    fn within(&self, class: &str) -> Option<&Element> {
        self.around.iter().find(|element| element.classes.iter().any(|found| found == class))
    }

    fn link(&self) -> Option<&str> {
        self.around.iter().rev().find_map(|element| element.href.as_deref())
    }
}

/// Every piece of text of a page's content.
fn texts(page: &Shown) -> Vec<Text> {
    let main = page.text.split_once("<main").map_or("", |(_, main)| main);
    let main = main.split_once("</main>").map_or(main, |(main, _)| main);
    let (mut open, mut found): (Vec<Element>, Vec<Text>) = (Vec::new(), Vec::new());
    // The rest of the opening tag of the content itself comes first.
    for (number, piece) in main.split('<').skip(1).enumerate() {
        let (tag, words) = piece.split_once('>').unwrap_or((piece, ""));
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        if tag.starts_with('/') {
            if let Some(place) = open.iter().rposition(|element| element.tag == name) {
                open.truncate(place);
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            let attribute =
                |name: &str| tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
            let classes = attribute("class").unwrap_or_default().split(' ').map(str::to_owned).collect();
            let href = attribute("href").map(|href| href.replace("&#38;", "&"));
            open.push(Element { number, tag: name, classes, href });
        }
        if !words.trim().is_empty() {
            found.push(Text { words: words.to_owned(), around: open.clone() });
        }
    }
    found
}

/// The amounts in a text, as they are written.
fn amounts(words: &str) -> Vec<String> {
    let begin = |(place, _): (usize, &str)| &words[place..];
    let amount = |text: &str| -> String {
        text.chars().take_while(|letter| "¥,.".contains(*letter) || letter.is_ascii_digit()).collect()
    };
    words.match_indices('¥').map(begin).map(|text| amount(text).trim_end_matches(['.', ',']).to_owned()).collect()
}

/// The lines of arithmetic of a page.
pub fn sums(page: &Shown) -> Vec<String> {
    let mut lines: BTreeMap<usize, String> = BTreeMap::new();
    for text in texts(page) {
        if let Some(element) = text.within("sum") {
            lines.entry(element.number).or_default().push_str(&text.words);
        }
    }
    lines.into_values().collect()
}

/// Opens these pages and every one of [`EXPLAINED`] that they link to, and asserts that all their arithmetic is right and
/// every amount is explained. Returns how many amounts there were.
///
/// # Panics
/// If a sum is wrong, or an amount is neither part of one nor leads to a page where it is.
pub async fn hold(browser: &mut Browser, from: &[&str]) -> usize {
    let mut pages: BTreeMap<String, Shown> = BTreeMap::new();
    let mut wanted: Vec<String> = from.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = wanted.pop() {
        if pages.contains_key(&path) {
            continue;
        }
        let page = browser.get(&path).await;
        page.has_status(200);
        sums(&page).iter().for_each(|line| hold_sum(&path, line));
        let links = texts(&page).into_iter().filter_map(|text| text.link().map(str::to_owned));
        wanted.extend(links.filter(|link| EXPLAINED.iter().any(|known| link.starts_with(known))));
        pages.insert(path, page);
    }
    let unexplained = unexplained(&pages);
    assert!(unexplained.is_empty(), "nothing says where these come from: {unexplained:#?}");
    pages.values().flat_map(texts).map(|text| amounts(&text.words).len()).sum()
}

/// Amounts that are part of no sum and lead, from page to page, to none.
fn unexplained(pages: &BTreeMap<String, Shown>) -> Vec<String> {
    let mut explained: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
    let mut leads: Vec<(&String, String, String)> = Vec::new();
    let mut shown: Vec<(&String, String)> = Vec::new();
    for (path, page) in pages {
        let known = explained.entry(path).or_default();
        known.extend(sums(page).iter().filter(|line| line.contains('=')).flat_map(|line| amounts(line)));
        for text in texts(page) {
            let found = amounts(&text.words);
            // Entries of the books, and what somebody has chosen, need no further explanation.
            if text.within("entries").is_some() || text.within("given").is_some() {
                known.extend(found.iter().cloned());
            }
            if let Some(link) = text.link() {
                leads.extend(found.iter().map(|amount| (path, link.to_owned(), amount.clone())));
            }
            shown.extend(found.into_iter().map(|amount| (path, amount)));
        }
    }
    loop {
        let new: Vec<(&String, String)> = leads
            .iter()
            .filter(|(path, link, amount)| {
                explained.get(link).is_some_and(|known| known.contains(amount)) && !explained[*path].contains(amount)
            })
            .map(|(path, _, amount)| (*path, amount.clone()))
            .collect();
        if new.is_empty() {
            break;
        }
        for (path, amount) in new {
            explained.get_mut(path).unwrap().insert(amount);
        }
    }
    // An amount of zero needs no explanation.
    shown.retain(|(path, amount)| amount != "¥0.00" && !explained[*path].contains(amount));
    shown.into_iter().map(|(path, amount)| format!("{amount} on {path}")).collect()
}

/// Asserts that both sides of each equation of a line are equal.
fn hold_sum(path: &str, line: &str) {
    for part in line.split(';').filter(|part| part.contains('=')) {
        let (left, right) = part.split_once('=').unwrap();
        let found = Sum::of(left).value();
        let said = Sum::of(right).first();
        let found = if right.contains('¥') {
            found.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
        } else {
            found.round_dp(12)
        };
        assert_eq!(found, said, "{path} says {line:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Number(Decimal),
    Sign(char),
}

/// A parser of arithmetic between words, from left to right.
struct Sum {
    tokens: Vec<Token>,
    at: usize,
}

impl Sum {
    /// Skips words, and a number that stands after another one without a sign between them, such as that of a day.
    fn of(text: &str) -> Sum {
        let mut tokens: Vec<Token> = Vec::new();
        let letters: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < letters.len() {
            let letter = letters[at];
            if "×÷+−()^".contains(letter) {
                tokens.push(Token::Sign(letter));
                at += 1;
            } else if letter.is_ascii_digit() {
                let is_part = |letter: &&char| letter.is_ascii_digit() || **letter == ',' || **letter == '.';
                let digits: String = letters[at..].iter().take_while(is_part).collect();
                at += digits.chars().count();
                let number: Decimal = digits.trim_end_matches(['.', ',']).replace(',', "").parse().unwrap();
                let is_share = letters.get(at) == Some(&'%');
                let number = if is_share { number / Decimal::ONE_HUNDRED } else { number };
                if matches!(tokens.last(), None | Some(Token::Sign('×' | '÷' | '+' | '−' | '(' | '^'))) {
                    tokens.push(Token::Number(number));
                }
            } else {
                at += 1;
            }
        }
        Sum { tokens, at: 0 }
    }

    /// The first number, with the sign before it.
    fn first(&mut self) -> Decimal {
        self.factor()
    }

    fn value(&mut self) -> Decimal {
        let mut sum = self.product();
        loop {
            match self.peek() {
                Some(Token::Sign('+')) => sum += self.skip().product(),
                Some(Token::Sign('−')) => sum -= self.skip().product(),
                _ => return sum,
            }
        }
    }

    fn product(&mut self) -> Decimal {
        let mut product = self.power();
        loop {
            match self.peek() {
                Some(Token::Sign('×')) => product *= self.skip().power(),
                Some(Token::Sign('÷')) => product /= self.skip().power(),
                _ => return product,
            }
        }
    }

    fn power(&mut self) -> Decimal {
        let base = self.factor();
        if self.peek() != Some(Token::Sign('^')) {
            return base;
        }
        let exponent = self.skip().factor();
        let count: u32 = exponent.abs().try_into().unwrap();
        let power = (0..count).fold(Decimal::ONE, |power, _| power * base);
        if exponent.is_sign_negative() { Decimal::ONE / power } else { power }
    }

    fn factor(&mut self) -> Decimal {
        match self.peek() {
            Some(Token::Number(number)) => {
                self.skip();
                number
            }
            Some(Token::Sign('−')) => -self.skip().factor(),
            Some(Token::Sign('(')) => {
                let inner = self.skip().value();
                self.skip();
                inner
            }
            other => panic!("{other:?} stands where a number should, in {:?}", self.tokens),
        }
    }

    fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn skip(&mut self) -> &mut Sum {
        self.at += 1;
        self
    }
}

#[test]
fn arithmetic_is_done_as_it_is_written() {
    hold_sum("", "payment: ¥1,200.00 × 8.6% a year ÷ 12 ÷ (1 − (1 + 8.6% ÷ 12)^−12) = ¥104.72");
    hold_sum("", "overdue principal ¥96.12 × 7 days since 25 March 2026 = 672.84 yuan-days");
    hold_sum("", "contract rate 8.6% × 1.3 = 11.18%");
    hold_sum("", "¥18.00 × 1 = ¥18.00; ¥18.00 − ¥12.00 of the periods before = ¥6.00");
    hold_sum("", "¥1.00 − ¥3.00 = −¥2.00");
    for wrong in ["¥1.00 + ¥2.00 = ¥3.01", "¥100.00 × 5% ÷ 12 = ¥0.41", "8.6% × 1.3 = 11.17%"] {
        assert!(std::panic::catch_unwind(|| hold_sum("", wrong)).is_err(), "{wrong}");
    }
}
