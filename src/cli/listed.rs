//! Lists with a limit: how many rows are listed, whether there are more, and where that is said.

/// Rows that are listed at most; nobody reads through more.
const LISTED_MAX: usize = 500;
/// Rows that a list asks the database for: one more than it shows, to know whether there are more.
pub const ASKED_MAX: i64 = LISTED_MAX as i64 + 1;
/// The note below a list of the newest that was cut.
pub const OLDER: &str = "there are older ones, which are not listed";
/// The note below a list of the oldest waiting for a decision that was cut.
pub const NEWER: &str = "there are newer ones, which are listed once these are decided";

/// Cuts at most [`ASKED_MAX`] rows to those that are listed; returns whether any was dropped.
pub fn cut<T>(found: &mut Vec<T>) -> bool {
    cut_at(found, LISTED_MAX)
}

/// Cuts the rows to `listed_max`; returns whether any was dropped.
pub fn cut_at<T>(found: &mut Vec<T>, listed_max: usize) -> bool {
    let has_more = found.len() > listed_max;
    found.truncate(listed_max);
    has_more
}

/// Says that a list was cut: below its rows, or on standard error where they are JSON, which a program reads line by line.
pub fn say_cut(sentence: &str, is_json: bool) {
    if is_json {
        eprintln!("{sentence}");
    } else {
        println!("{sentence}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_too_many_is_not_listed() {
        for (rows, listed) in [(0, (false, 0)), (500, (false, 500)), (501, (true, 500))] {
            let mut found = vec![0; rows];
            assert_eq!((cut(&mut found), found.len()), listed);
        }
    }
}
