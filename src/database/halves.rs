//! Things that are booked many in one transaction, of which one that cannot be booked must not hold up the others.

use std::fmt::Display;

use super::is_about_rows;

/// Parts of a list, to be booked one after the other: a part that cannot be booked is halved until the thing that spoils it is alone.
pub struct Halves<'a, T> {
    /// The next one last.
    parts: Vec<&'a [T]>,
    first_failure: Option<anyhow::Error>,
}

impl<'a, T> Halves<'a, T> {
    /// The parts, in the order in which they are to be booked.
    pub fn of(parts: impl DoubleEndedIterator<Item = &'a [T]>) -> Halves<'a, T> {
        Halves { parts: parts.rev().collect(), first_failure: None }
    }

    /// The part to be booked next; `None` after the last one.
    pub fn take(&mut self) -> Option<&'a [T]> {
        self.parts.pop()
    }

    /// Takes note that a part was not booked: its halves come next. Of one thing alone the failure is kept for [`Halves::end`], and logged
    /// by the name of the thing.
    ///
    /// # Errors
    /// The failure, where it is not about the rows that were to be written: smaller parts would fail as well.
    pub fn failed<N: Display>(
        &mut self,
        part: &'a [T],
        failure: anyhow::Error,
        name: impl Fn(&T) -> N,
    ) -> anyhow::Result<()> {
        if !is_about_rows(&failure) {
            return Err(failure);
        }
        if part.len() > 1 {
            let (first, second) = part.split_at(part.len() / 2);
            self.parts.extend([second, first]);
            return Ok(());
        }
        if let Some(alone) = part.first() {
            tracing::error!("what a channel said of {} cannot be booked: {failure:#}", name(alone));
        }
        self.first_failure.get_or_insert(failure);
        Ok(())
    }

    /// Ends with what was `done`.
    ///
    /// # Errors
    /// The failure of the first thing that could not be booked.
    pub fn end<D>(self, done: D) -> anyhow::Result<D> {
        self.first_failure.map_or(Ok(done), Err)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    /// Books the numbers, three at a time, but none of a part that holds one of these; returns what was booked, and how it ended.
    fn book(numbers: &[u8], spoilt: &[u8], failure: impl Fn(u8) -> anyhow::Error) -> (Vec<u8>, anyhow::Result<()>) {
        let (mut booked, mut halves) = (Vec::new(), Halves::of(numbers.chunks(3)));
        while let Some(part) = halves.take() {
            match part.iter().find(|number| spoilt.contains(number)) {
                None => booked.extend(part),
                Some(number) => {
                    if let Err(failure) = halves.failed(part, failure(*number), |number| *number) {
                        return (booked, Err(failure));
                    }
                }
            }
        }
        (booked, halves.end(()))
    }

    #[test]
    fn all_but_those_that_cannot_be_booked_are_booked_in_order() {
        let of_row = |number: u8| anyhow!("{number} is wrong");
        let (booked, ended) = book(&[1, 2, 3, 4, 5, 6, 7], &[2, 7], of_row);
        assert_eq!(booked, [1, 3, 4, 5, 6]);
        assert_eq!(ended.unwrap_err().to_string(), "2 is wrong");
        let (booked, ended) = book(&[1, 2, 3, 4], &[], of_row);
        assert_eq!((booked, ended.is_ok()), (vec![1, 2, 3, 4], true));
    }

    #[test]
    fn a_failure_that_is_not_about_rows_ends_it_at_once() {
        let (booked, ended) = book(&[1, 2, 3, 4, 5], &[4], |_| sqlx::Error::PoolTimedOut.into());
        assert_eq!((booked, ended.is_err()), (vec![1, 2, 3], true));
    }
}
