//! A number with what it counts, in English: 1 day, 2 days.

use std::fmt::Display;

/// `noun` is one of them, such as `day`; of any other number it takes an s.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let ending = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "day")), ["0 days", "1 day", "2 days"]);
    }
}
