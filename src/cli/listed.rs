//! Lists that are cut: how many rows are listed, whether there are more, and where that is said.

/// More than anyone reads through.
const LISTED_MAX: usize = 500;
/// How many rows a list asks for: one more than it lists, which tells whether there are more.
pub const ASKED_MAX: i64 = LISTED_MAX as i64 + 1;
/// What is said below a list of the newest that was cut.
pub const OLDER: &str = "there are older ones, which are not listed";
/// What is said below a list of the oldest that wait for somebody's decision, where it was cut.
pub const NEWER: &str = "there are newer ones, which are listed once these are decided";

/// Drops what is not listed of at most [`ASKED_MAX`] rows; tells whether there was anything.
pub fn cut<T>(found: &mut Vec<T>) -> bool {
    cut_at(found, LISTED_MAX)
}

/// Drops what is not listed of at most one row more than `listed_max`; tells whether there was anything.
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
