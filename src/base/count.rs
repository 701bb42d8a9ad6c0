//! A number with what it counts, in English: 1 day, 2 days.

use std::fmt::Display;

/// The number and its noun. `noun` is the singular, such as `day`; it gets an `s` unless the number is 1.
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
