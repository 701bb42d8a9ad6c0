//! Passcodes on pages: a form that asks for one (`do=send`) and then holds it in its field `passcode`.

use super::actions::{check, full_until, is_awaited, send, take_back, uncount_asked, wait_seconds};
use super::model::{Asking, PasscodeRefusal, Purpose, WRONG_PER_ADDRESS};
use crate::app::App;
use crate::base::person::Mobile;
use crate::base::typed::{typed_code, typed_mobile};
use crate::error::{Fault, Refusal};
use crate::page::Form;
use crate::page::visit::ClientAddress;

/// Where a form keeps the seconds until another code may be asked for.
const WAIT: &str = "passcode_wait";

/// Sends a code if the form asks for one (`do=send`). Then the form is shown again, and the answer says whether a code can be
/// entered in it. `None` for a form that asks for nothing and is to be acted on. Why no code was sent is noted in the form.
///
/// # Errors
/// Failures of our own.
pub async fn send_if_asked(app: &App, asking: &Asking, form: &mut Form) -> anyhow::Result<Option<bool>> {
    if form.value("do") != "send" {
        return Ok(None);
    }
    let sent = send(app, asking).await;
    note_wait(app, asking.purpose, &asking.mobile, form).await?;
    match sent {
        Ok(()) => Ok(Some(true)),
        Err(Fault::Refused(refusal)) => {
            form.refuse(&refusal);
            Ok(Some(refusal == PasscodeRefusal::TooSoon))
        }
        Err(Fault::Failed(failure)) => Err(failure),
    }
}

/// Notes in the form for how many seconds no other code is sent, so that the page counts down from there.
async fn note_wait(app: &App, purpose: Purpose, mobile: &Mobile, form: &mut Form) -> anyhow::Result<()> {
    match wait_seconds(app, purpose, mobile).await? {
        Some(seconds) => form.fill(WAIT, &seconds.to_string()),
        None => form.forget(WAIT),
    }
    Ok(())
}

/// Whether the form holds the code that was sent. A code can be used once, so everything else in the form is read before; a
/// right one is taken off the count of its address. What is wrong is noted in the form.
///
/// # Errors
/// Failures of our own.
pub async fn is_proved(app: &App, asking: &Asking, form: &mut Form) -> anyhow::Result<bool> {
    let Asking { purpose, mobile, address } = asking;
    note_wait(app, *purpose, mobile, form).await?;
    let Some(code) = form.read("passcode", typed_code) else { return Ok(false) };
    if form.is_refused() {
        return Ok(false);
    }
    match check(app, *purpose, mobile, &code).await {
        Ok(()) => {
            if let Some(address) = address {
                uncount_asked(app, address).await?;
            }
            Ok(true)
        }
        Err(Fault::Refused(refusal)) => {
            form.forget("passcode");
            form.refuse_field("passcode", refusal.code());
            Ok(false)
        }
        Err(Fault::Failed(failure)) => Err(failure),
    }
}

/// How far a sign-in form has come. What was refused is noted in the form.
#[derive(Debug)]
pub enum SignInStep {
    /// A code is on its way.
    Sent,
    /// The form is shown again; `is_sent` where a code was sent that may still be entered.
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
    let Some(mobile) = form.read("mobile", typed_mobile) else {
        if form.value("do") != "send" {
            form.read("passcode", |_| Ok(()));
        }
        return Ok(SignInStep::Refused { is_sent: false });
    };
    let asking = Asking { purpose, mobile: mobile.clone(), address: address.0 };
    Ok(match send_if_asked(app, &asking, form).await? {
        Some(_) if !form.is_refused() => SignInStep::Sent,
        Some(is_sent) => SignInStep::Refused { is_sent },
        None if is_stranger_proved(app, &asking, form).await? => SignInStep::Proved(mobile),
        None => SignInStep::Refused { is_sent: is_awaited(app, purpose, &mobile).await? },
    })
}

/// As [`is_proved`], for somebody who may name any mobile. Wrong codes are counted by address, each before it is compared, so
/// that nobody goes on guessing codes that others were sent.
///
/// # Errors
/// Failures of our own.
pub async fn is_stranger_proved(app: &App, asking: &Asking, form: &mut Form) -> anyhow::Result<bool> {
    let Some(address) = asking.address.as_ref().filter(|_| !form.value("passcode").is_empty()) else {
        return is_proved(app, asking, form).await;
    };
    if let Some(until) = full_until(app, WRONG_PER_ADDRESS, address).await? {
        form.forget("passcode");
        form.refuse(&PasscodeRefusal::TooManyWrong { until });
        return Ok(false);
    }
    let is_right = is_proved(app, asking, form).await?;
    if is_right {
        take_back(app, WRONG_PER_ADDRESS, address).await?;
    }
    Ok(is_right)
}
