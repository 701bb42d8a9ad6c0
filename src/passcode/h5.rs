//! Proving a mobile on a sign-in page: one form that asks for a code (`do=send`), and then holds it.

use super::actions::{check, send};
use super::model::{Asking, PasscodeRefusal, Purpose};
use crate::app::App;
use crate::base::person::{Mobile, NumberError};
use crate::error::Fault;
use crate::page::Form;
use crate::page::visit::ClientAddress;

/// How far a sign-in form has come. What was refused stands in the form.
#[derive(Debug)]
pub enum SignInStep {
    /// A code is on its way.
    Sent,
    /// The form is shown again; `is_sent` where a code that was sent may still be put in.
    Refused { is_sent: bool },
    /// Whoever sent the form holds this mobile.
    Proved(Mobile),
}

/// Takes one post of a sign-in form with the fields `mobile`, `passcode` and `do`.
///
/// # Errors
/// Failures of our own.
pub async fn sign_in_step(
    app: &App,
    purpose: Purpose,
    address: ClientAddress,
    form: &mut Form,
) -> anyhow::Result<SignInStep> {
    let mobile = form.read("mobile", |text| text.parse::<Mobile>().map_err(NumberError::code));
    if form.value("do") == "send" {
        let Some(mobile) = mobile else { return Ok(SignInStep::Refused { is_sent: false }) };
        return match send(app, &Asking { purpose, mobile, address: address.0 }).await {
            Ok(()) => Ok(SignInStep::Sent),
            Err(Fault::Refused(refusal)) => {
                form.refuse(&refusal);
                Ok(SignInStep::Refused { is_sent: refusal == PasscodeRefusal::TooSoon })
            }
            Err(Fault::Failed(failure)) => Err(failure),
        };
    }
    let code = form.read("passcode", |text| Ok(text.to_owned()));
    let (Some(mobile), Some(code)) = (mobile, code) else { return Ok(SignInStep::Refused { is_sent: true }) };
    match check(app, purpose, &mobile, &code).await {
        Ok(()) => Ok(SignInStep::Proved(mobile)),
        Err(Fault::Refused(refusal)) => {
            form.forget("passcode");
            form.refuse(&refusal);
            Ok(SignInStep::Refused { is_sent: true })
        }
        Err(Fault::Failed(failure)) => Err(failure),
    }
}
