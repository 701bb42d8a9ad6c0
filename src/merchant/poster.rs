//! The printed code: an A5 sheet as one SVG, with the merchant's name, the code, and what to do in both languages.

use std::fmt::Write as _;

use super::picture;

/// The texts of the sheet, in Chinese and in English where they are printed in both.
#[derive(Clone, Debug)]
pub struct Poster<'a> {
    pub merchant_name: &'a str,
    /// What the code holds; printed below it for those who type it.
    pub link: &'a str,
    pub headline: [String; 2],
    pub steps: [[String; 2]; 3],
}

/// Widths in hundredths of an em, wide enough for any usual typeface.
const LATIN_WIDTH: usize = 58;
const WIDE_WIDTH: usize = 100;
/// An A5 sheet is 148 mm wide; this much of it is for text.
const TEXT_WIDTH_MM: usize = 124;
/// A company's name takes two lines at most, in the largest letters that allow it.
const NAME_LINES_MAX: usize = 2;
const NAME_SIZES_MM: [usize; 4] = [10, 8, 6, 5];

const OPENING: &str = concat!(
    r#"<svg xmlns="http://www.w3.org/2000/svg" width="148mm" height="210mm" viewBox="0 0 148 210" "#,
    r#"font-family="'PingFang SC','Hiragino Sans GB','Noto Sans CJK SC','Microsoft YaHei',sans-serif">"#,
    r##"<rect width="148" height="210" fill="#fff"/><rect width="148" height="34" fill="#067a4d"/>"##,
    r##"<rect x="30" y="62" width="88" height="88" rx="3" fill="none" stroke="#067a4d"/>"##,
);
const INK: &str = "#17201b";
const QUIET: &str = "#58625d";

/// A line of text around or from a point, sizes in millimetres.
struct Line<'a> {
    x: usize,
    y: usize,
    size: usize,
    weight: u16,
    fill: &'a str,
    anchor: &'a str,
}

const CENTRED: Line<'static> = Line { x: 74, y: 0, size: 4, weight: 400, fill: INK, anchor: "middle" };

impl Poster<'_> {
    /// Draws the sheet, sharp at any size.
    ///
    /// # Errors
    /// If the link is longer than a code can hold.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::with_capacity(32 * 1024);
        svg.push_str(OPENING);
        let [chinese, english] = &self.headline;
        write(&mut svg, &Line { y: 17, size: 9, weight: 700, fill: "#fff", ..CENTRED }, chinese);
        write(&mut svg, &Line { y: 27, size: 5, fill: "#fff", ..CENTRED }, english);
        self.write_name(&mut svg);
        let code = picture::svg(self.link)?;
        svg.push_str(&code.replacen("<svg ", r#"<svg x="31" y="63" width="86" height="86" "#, 1));
        write(&mut svg, &Line { y: 156, size: 3, fill: QUIET, ..CENTRED }, self.link);
        for (index, [chinese, english]) in self.steps.iter().enumerate() {
            let y = 168 + 13 * index;
            let _ = write!(svg, r##"<circle cx="20" cy="{y}" r="4" fill="#067a4d"/>"##);
            let number = (index + 1).to_string();
            write(&mut svg, &Line { x: 20, y: y + 2, size: 5, weight: 700, fill: "#fff", ..CENTRED }, &number);
            write(&mut svg, &Line { x: 28, y, size: 5, weight: 700, anchor: "start", ..CENTRED }, chinese);
            write(&mut svg, &Line { x: 28, y: y + 5, size: 3, fill: QUIET, anchor: "start", ..CENTRED }, english);
        }
        svg.push_str("</svg>");
        Ok(svg)
    }

    fn write_name(&self, svg: &mut String) {
        let wrapped = |size: usize| wrap(self.merchant_name, TEXT_WIDTH_MM * 100 / size);
        let smallest = NAME_SIZES_MM[NAME_SIZES_MM.len() - 1];
        let size = NAME_SIZES_MM.into_iter().find(|size| wrapped(*size).len() <= NAME_LINES_MAX).unwrap_or(smallest);
        let mut lines = wrapped(size);
        lines.truncate(NAME_LINES_MAX);
        // A single line is centred in the room for two.
        let first = if lines.len() == 1 { 50 } else { 46 };
        for (index, text) in lines.iter().enumerate() {
            write(svg, &Line { y: first + index * (size + 1), size, weight: 700, ..CENTRED }, text);
        }
    }
}

fn write(svg: &mut String, line: &Line<'_>, text: &str) {
    let Line { x, y, size, weight, fill, anchor } = line;
    // Writing to a string does not fail.
    let _ = write!(
        svg,
        r#"<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{}</text>"#,
        escaped(text)
    );
}

/// Cuts a text into lines of at most `width` hundredths of an em; between words where there are blanks, and within a word that is longer
/// than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(|letter: char| letter == ' ' || !letter.is_ascii()) {
        let fits = width_of(word.trim_end()) <= width;
        let pieces = if fits { vec![word] } else { word.split_inclusive(|_: char| true).collect() };
        for piece in pieces {
            let last = lines.len() - 1;
            if width_of(&lines[last]) + width_of(piece.trim_end()) > width && !lines[last].is_empty() {
                lines.push(String::new());
            }
            let last = lines.len() - 1;
            lines[last].push_str(piece);
        }
    }
    lines.iter().map(|line| line.trim().to_owned()).collect()
}

fn width_of(text: &str) -> usize {
    text.chars().map(|letter| if letter.is_ascii() { LATIN_WIDTH } else { WIDE_WIDTH }).sum()
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no other control characters and not the last two of Unicode's first plane, not even escaped.
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poster(merchant_name: &str) -> String {
        let both = |text: &str| [text.to_owned(), text.to_owned()];
        let steps = [both("one"), both("two"), both("three")];
        let link = "https://pay.example/q/0123456789abcdefABCDEF";
        Poster { merchant_name, link, headline: both("分期"), steps }.svg().unwrap()
    }

    #[test]
    fn a_sheet_is_one_picture_with_the_code_inside() {
        let svg = poster("上海老王家居有限公司");
        assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>"));
        assert_eq!(svg.matches("<svg ").count(), 2);
        assert!(svg.contains(">上海老王家居有限公司<"), "{svg}");
    }

    #[test]
    fn a_long_name_takes_two_lines_of_smaller_letters() {
        assert_eq!(wrap("上海老王家居", 400), ["上海老王", "家居"]);
        assert_eq!(wrap("Old Wang Furniture", 700), ["Old Wang", "Furniture"]);
        assert_eq!(wrap("Wang's Haushaltswaren", 700), ["Wang's Haush", "altswaren"]);
        let svg = poster("内蒙古自治区呼和浩特市某某某某某某进出口贸易股份有限公司");
        assert!(svg.contains(r#"font-size="8""#), "{svg}");
        // Longer than any name in the register: it is cut, and the sheet stays whole.
        assert!(poster(&"很".repeat(200)).ends_with("</svg>"));
    }

    #[test]
    fn a_name_is_text_and_no_drawing() {
        assert!(poster("<script>&\u{8}").contains("&lt;script&gt;&amp; "));
        assert!(poster("老王\u{ffff}家居").contains(">老王 家居<"));
    }
}
