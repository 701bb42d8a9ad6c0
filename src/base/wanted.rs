//! Which rows of a list a query reads.

/// One row of a list, or a page of the list. `I` is the id of a row; `A` is the key in whose order the list stands, by default the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<I, A = I> {
    One(I),
    /// The rows after this key, or from the list's beginning where there is none.
    After(Option<A>),
}

impl<I, A> Wanted<I, A> {
    /// The id of the one row, for a query's parameter; `None` for a page.
    pub fn id(self) -> Option<I> {
        match self {
            Wanted::One(id) => Some(id),
            Wanted::After(_) => None,
        }
    }

    /// The key after which a page begins, for a query's parameter; `None` for the first page, and for one row.
    pub fn after(self) -> Option<A> {
        match self {
            Wanted::One(_) => None,
            Wanted::After(after) => after,
        }
    }
}
