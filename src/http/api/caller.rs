//! Extractors that tell a handler who called.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use crate::access::{Admitted, FirstAnswer, Keyed, Known, Owner};
use crate::base::id::{FunderId, MerchantId};
use crate::error::Attempt;
use crate::http::Problem;

/// A request that the gate let in.
#[derive(Clone)]
pub struct Caller {
    pub known: Arc<Known>,
    /// The serial number of the key that signed, and the key's holder.
    pub serial_no: String,
    pub holder: String,
    /// The idempotency key; `None` for a request that only reads.
    pub keyed: Option<Keyed>,
    pub attempt: Attempt,
}

impl Caller {
    pub fn new(admitted: &Admitted, keyed: Option<Keyed>, attempt: Attempt) -> Caller {
        Caller {
            known: admitted.known.clone(),
            serial_no: admitted.serial_no.clone(),
            holder: admitted.holder.clone(),
            keyed,
            attempt,
        }
    }

    /// The idempotency key of a request that changes something. It is never empty then, because the gate refuses requests without one.
    pub fn key(&self) -> &str {
        self.keyed.as_ref().map_or("", |keyed| keyed.key.as_str())
    }

    /// The answer that will be given, for a use case that stores it in the same statement that does the work;
    /// [`super::idempotency::first_response`] then makes the response. `None` if the request has no key.
    pub fn first_answer(&self, status: StatusCode, body: &impl Serialize) -> Option<FirstAnswer> {
        let status = i16::try_from(status.as_u16()).ok()?;
        Some(FirstAnswer { keyed: self.keyed.clone()?, status, body: serde_json::to_vec(body).ok()? })
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        // It is missing only if a route is outside the gate.
        parts.extensions.get::<Caller>().cloned().ok_or_else(Problem::failed)
    }
}

/// A funder's system.
pub struct FunderCaller {
    pub funder_id: FunderId,
    pub caller: Caller,
}

impl<S: Sync> FromRequestParts<S> for FunderCaller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<FunderCaller, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.known.owner {
            Owner::Funder(funder_id) => Ok(FunderCaller { funder_id, caller }),
            Owner::Merchant(_) | Owner::Risk => Err(not_for_you()),
        }
    }
}

/// A merchant's system.
pub struct MerchantCaller {
    pub merchant_id: MerchantId,
    pub caller: Caller,
}

impl<S: Sync> FromRequestParts<S> for MerchantCaller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<MerchantCaller, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.known.owner {
            Owner::Merchant(merchant_id) => Ok(MerchantCaller { merchant_id, caller }),
            Owner::Funder(_) | Owner::Risk => Err(not_for_you()),
        }
    }
}

fn not_for_you() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "scope_missing", "This operation was not granted to you.")
}
