//! How a use case ends when it does not do what was asked: a refusal is an answer, a failure is not.

use chrono::{DateTime, Utc};

/// Why something is refused: an enum of its feature, with a stable code and a sentence for a person.
pub trait Refusal: std::error::Error + Send + Sync + 'static {
    /// Stable, `snake_case`, part of the API.
    fn code(&self) -> &'static str;

    /// From when on the same may be asked for again, where that is known.
    fn until(&self) -> Option<DateTime<Utc>> {
        None
    }
}

/// The error of a use case. Refusals are shown; failures are logged once at the edge and never shown.
#[derive(Debug)]
pub enum Fault<R> {
    Refused(R),
    Failed(anyhow::Error),
}

/// Whether a request is carried out for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    First,
    /// It was begun before and never answered: what it asks for may have come about, and then is not refused for that.
    Again,
}

impl Attempt {
    /// Of a request whose key may have been taken over from one that was begun before.
    pub fn of(is_taken_over: bool) -> Attempt {
        if is_taken_over { Attempt::Again } else { Attempt::First }
    }
}

/// How a step ended that may be asked for more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    Applied,
    /// It was done before, with the same content; nothing changed.
    AlreadyApplied,
}

pub type Outcome<T, R> = Result<T, Fault<R>>;

impl<R> Fault<R> {
    pub fn map_refusal<S>(self, map: impl FnOnce(R) -> S) -> Fault<S> {
        match self {
            Fault::Refused(refusal) => Fault::Refused(map(refusal)),
            Fault::Failed(failure) => Fault::Failed(failure),
        }
    }
}

impl<R: Refusal> Fault<R> {
    /// The refusal or the failure itself, for whoever takes either for an error.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Fault::Refused(refusal) => refusal.into(),
            Fault::Failed(failure) => failure,
        }
    }
}

impl<R> From<sqlx::Error> for Fault<R> {
    fn from(error: sqlx::Error) -> Fault<R> {
        Fault::Failed(error.into())
    }
}

impl<R> From<anyhow::Error> for Fault<R> {
    fn from(error: anyhow::Error) -> Fault<R> {
        Fault::Failed(error)
    }
}

impl<R: Refusal> std::fmt::Display for Fault<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Refused(refusal) => write!(f, "{refusal}"),
            Fault::Failed(failure) => write!(f, "{failure}"),
        }
    }
}

impl<R: Refusal> std::error::Error for Fault<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // What a fault is displayed as is the refusal or the failure itself, so that its causes are theirs: whoever prints a whole chain
        // says each sentence once.
        match self {
            Fault::Refused(refusal) => refusal.source(),
            Fault::Failed(failure) => failure.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("this is not for sale")]
    struct NotForSale;

    impl Refusal for NotForSale {
        fn code(&self) -> &'static str {
            "not_for_sale"
        }
    }

    #[test]
    fn a_fault_that_is_taken_for_an_error_is_said_once() {
        let refused = anyhow::Error::from(Fault::Refused(NotForSale));
        assert_eq!(format!("{refused:#}"), "this is not for sale");
        let failure = anyhow::anyhow!("the disk is full").context("nothing was kept");
        let failed = anyhow::Error::from(Fault::<NotForSale>::Failed(failure));
        assert_eq!(format!("{failed:#}"), "nothing was kept: the disk is full");
    }
}
