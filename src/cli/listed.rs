//! Lists that are cut: how many rows are listed, and whether there are more.

/// More than anyone reads through.
const LISTED_MAX: usize = 500;
/// How many rows a list asks for: one more than it lists, which tells whether there are more.
pub const ASKED_MAX: i64 = LISTED_MAX as i64 + 1;
/// What is said below a list of the newest that was cut.
pub const OLDER: &str = "there are older ones, which are not listed";

/// Drops what is not listed of at most [`ASKED_MAX`] rows; tells whether there was anything.
pub fn cut<T>(found: &mut Vec<T>) -> bool {
    let has_more = found.len() > LISTED_MAX;
    found.truncate(LISTED_MAX);
    has_more
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
