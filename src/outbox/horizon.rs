//! The horizon: the number up to which every message is visible.
//!
//! Numbers are given before their transactions commit. A reader that went by number alone would pass over a message whose
//! transaction is still open, and a core would be told a loan's later event first. So nobody reads beyond the horizon. It is
//! the highest number that was given at some moment since which every transaction that was writing messages at that moment
//! has ended.

/// What is known of the horizon, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// The horizon itself.
    pub settled_no: i64,
    /// The highest number that was given when `writers` were open: the next horizon, once they have ended.
    pub seen_no: i64,
    /// Transactions that wrote messages, by their virtual ids.
    pub writers: Vec<String>,
}

/// A look at the database: first the highest number given, then who is writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub last_no: i64,
    pub writers: Vec<String>,
}

impl Horizon {
    /// What is known after another look. A transaction that began to write after `last_no` was read has higher numbers.
    #[must_use]
    pub fn after(&self, look: Look) -> Horizon {
        if look.writers.is_empty() {
            let settled_no = self.settled_no.max(look.last_no);
            return Horizon { settled_no, seen_no: settled_no, writers: Vec::new() };
        }
        if self.writers.iter().any(|writer| look.writers.contains(writer)) {
            return self.clone();
        }
        Horizon { settled_no: self.settled_no.max(self.seen_no), seen_no: look.last_no, writers: look.writers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(last_no: i64, writers: &[&str]) -> Look {
        Look { last_no, writers: writers.iter().map(|writer| (*writer).to_owned()).collect() }
    }

    #[test]
    fn with_nobody_writing_everything_is_there() {
        assert_eq!(Horizon::default().after(look(7, &[])).settled_no, 7);
    }

    #[test]
    fn a_number_is_settled_once_all_who_wrote_when_it_was_seen_have_ended() {
        let first = Horizon::default().after(look(5, &["3/1", "4/9"]));
        assert_eq!(first.settled_no, 0);
        let second = first.after(look(8, &["4/9", "5/2"]));
        assert_eq!(second, first, "one of them still writes");
        let third = second.after(look(9, &["5/2", "3/2"]));
        assert_eq!((third.settled_no, third.seen_no), (5, 9), "others began since, with higher numbers");
        assert_eq!(third.after(look(9, &[])).settled_no, 9);
    }

    #[test]
    fn it_never_goes_back() {
        let far = Horizon { settled_no: 50, seen_no: 50, writers: Vec::new() };
        assert_eq!(far.after(look(40, &[])).settled_no, 50);
        assert_eq!(far.after(look(40, &["1/1"])).settled_no, 50);
    }
}
