//! Callbacks of partners: authenticated by the partner's signature, then handed to the feature that had sent the order.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;
use super::client_address::CallerAddress;
use super::header::sole;
use crate::access::{Denial, KeyName};
use crate::app::App;
use crate::error::{Fault, Step};
use crate::partner::call_record::Ended;
use crate::partner::signature::Received;
use crate::partner::withholding::ChannelName;
use crate::partner::{payout, withholding};
use crate::{repayment, settlement};

/// `POST /partner/{partner}`: 204 if the callback is booked now or was before; after any other answer the partner calls again.
pub async fn take(
    State(app): State<App>,
    Path(partner): Path<String>,
    CallerAddress(address): CallerAddress,
    parts: Parts,
    body: Bytes,
) -> Response {
    let authorization = sole(&parts.headers, header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let named = authorization.and_then(|header| app.partners.known_key(header));
    let named = named.map(|(mchid, serial_no)| KeyName::of(&mchid, &serial_no));
    if let Err(denial) = app.access.check_not_blocked(address, named) {
        return Problem::from(&denial).into_response();
    }
    let received = Received {
        method: parts.method.as_str(),
        url: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        authorization,
        body: &body,
    };
    let (called_at, started) = (app.clock.now(), Instant::now());
    let believed = app.partners.believe(&partner, received).await;
    let is_believed = believed.is_ok();
    let mut object = String::new();
    let mut why_not = None;
    let booked = match believed {
        Ok(()) => book(&app, &partner, &body, &mut object).await,
        Err(Fault::Refused(error)) => {
            if Denial::Signature(error).counts_against_address() {
                app.access.count_failure(address, authorization);
            }
            why_not = Some(error.code());
            Err(Problem::from(&app.access.refusal_to_show(Denial::Signature(error), address)))
        }
        // Not a 401, after which a partner would stop calling until somebody has looked at the keys.
        Err(Fault::Failed(failure)) => Err(Problem::from(failure.context("a callback's nonce could not be kept"))),
    };
    let outcome = why_not.unwrap_or_else(|| booked.as_ref().err().map_or("ok", |problem| problem.code));
    let response = match booked {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    };
    app.partners
        .record(&Ended {
            partner: if is_believed { &partner } else { "(not believed)" },
            direction: "in",
            operation: "callback",
            call_key: &object,
            also: &[],
            // The body of a caller that was not authenticated is not kept.
            request: if is_believed { &body } else { &[] },
            response: &[],
            outcome,
            http_status: Some(response.status().as_u16()),
            duration: started.elapsed(),
            called_at,
        })
        .await;
    response
}

/// Books what an authenticated callback says. `object` is set to the order that it is about, as soon as that is known.
async fn book(app: &App, partner: &str, body: &[u8], object: &mut String) -> Result<(), Problem> {
    // PostgreSQL cannot store this character in a text, and no protocol needs it.
    if body.windows(NUL.len()).any(|piece| piece == NUL) {
        return Err(unreadable());
    }
    match partner {
        payout::NAME => {
            let heard = payout::client::read_callback(body).map_err(|_| unreadable())?;
            object.clone_from(&heard.key);
            let called_back = settlement::jobs::read_answer(&heard).ok_or_else(unreadable)?;
            let (Step::Applied | Step::AlreadyApplied) = settlement::take_callback(app, called_back).await?;
        }
        name => {
            let channel = ChannelName::from_partner(name).ok_or_else(Problem::not_found)?;
            let heard = withholding::read_callback(channel, body).ok_or_else(unreadable)?;
            *object = heard.withholding_id.to_string();
            repayment::hear(app, channel, heard).await?;
        }
    }
    Ok(())
}

/// A NUL as JSON escapes it; no JSON holds it unescaped.
const NUL: &[u8] = br"\u0000";

fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "callback_unreadable", "The callback is not in the words of your protocol.")
}
