//! Where somebody looks whose command was refused.

use crate::error::{Fault, Refusal};

/// A refusal in its own words, and the command (such as `fenqi break list`) that lists what it is about; or the failure itself.
pub fn look_at<R: Refusal>(command: &'static str) -> impl FnOnce(Fault<R>) -> anyhow::Error {
    move |fault| match fault {
        Fault::Refused(refusal) => anyhow::anyhow!("{refusal}; see `{command}`"),
        Fault::Failed(failure) => failure,
    }
}
