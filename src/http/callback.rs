//! What partners call back: believed only when the partner itself signed it, then handed to the feature that had asked.

use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Problem;
use crate::app::App;
use crate::error::{Fault, Refusal, Step};
use crate::partner::signature::Received;
use crate::partner::withholding::ChannelName;
use crate::partner::{payout, withholding};
use crate::{repayment, settlement};

/// `POST /partner/{partner}`: 204 when it was booked, or had been; anything else makes the partner call again.
pub async fn take(
    State(app): State<App>,
    Path(partner): Path<String>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        method: method.as_str(),
        url: uri.path_and_query().map_or("/", |path| path.as_str()),
        authorization: headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()),
        body: &body,
    };
    if let Err(error) = app.partners.receive(&partner, received).await {
        return Problem::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string()).into_response();
    }
    match book(&app, &partner, &body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn book(app: &App, partner: &str, body: &[u8]) -> Result<(), Problem> {
    match partner {
        payout::NAME => {
            let heard = payout::client::read_callback(body).map_err(|_| unreadable())?;
            let called_back = settlement::jobs::read_callback(&heard).ok_or_else(unreadable)?;
            answered(settlement::take_callback(app, called_back).await)
        }
        name => {
            let channel = ChannelName::from_partner(name).ok_or_else(Problem::not_found)?;
            let heard = withholding::read_callback(channel, body).ok_or_else(unreadable)?;
            repayment::hear(app, channel, heard).await?;
            Ok(())
        }
    }
}

fn answered<R: Refusal>(outcome: Result<Step, Fault<R>>) -> Result<(), Problem> {
    match outcome {
        Ok(Step::Applied | Step::AlreadyApplied) => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "callback_unreadable", "The callback is not in the words of your protocol.")
}
