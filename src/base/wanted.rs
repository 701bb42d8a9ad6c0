//! What of a list is read.

/// One of a list by its id, or a page of it. `A` is by what the list is in order, where that is not the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<I, A = I> {
    One(I),
    /// Those behind this one; from the first one on without it.
    After(Option<A>),
}

impl<I, A> Wanted<I, A> {
    pub fn id(self) -> Option<I> {
        match self {
            Wanted::One(id) => Some(id),
            Wanted::After(_) => None,
        }
    }

    pub fn after(self) -> Option<A> {
        match self {
            Wanted::One(_) => None,
            Wanted::After(after) => after,
        }
    }
}
