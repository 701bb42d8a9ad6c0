//! Errors of refused commands that name the command to look further with.

use crate::error::{Fault, Refusal};

/// Turns a fault into an error: a refusal becomes its own sentence, followed by the command (such as `fenqi break list`) that lists what it
/// is about; a failure stays as it is.
pub fn look_at<R: Refusal>(command: &'static str) -> impl FnOnce(Fault<R>) -> anyhow::Error {
    move |fault| match fault {
        Fault::Refused(refusal) => anyhow::anyhow!("{refusal}; see `{command}`"),
        Fault::Failed(failure) => failure,
    }
}
