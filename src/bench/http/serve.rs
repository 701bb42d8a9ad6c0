//! Serves what is measured: the API, and the same reads behind a gate that checks no signatures and behind no gate; adds the callers.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{self, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::access::actions::{NewKey, NewPartner, RATE_PER_MINUTE_MAX};
use crate::access::{self, Admitted, Known, NonceUse, Owner, PartnerKind, Scope};
use crate::app::{App, Shared};
use crate::base::id::FunderId;
use crate::error::{Attempt, Fault};
use crate::http::api::arrived::Arrived;
use crate::http::api::gate::{Call, CalledBy, answer_in_time, arrive, run_in_own_task, write_down};
use crate::http::api::{Caller, Gate};
use crate::http::{Problem, client_address};
use crate::partner::key::{Algorithm, PrivateKey};
use crate::partner::signature::{Identity, Stamp};
use crate::router::{api_document, guarded};
use crate::{loan, outbox};

/// The core as the partner directory knows it, without its keys.
pub(super) async fn known_core(app: &App, funder_id: FunderId) -> anyhow::Result<Known> {
    let mut connection = app.pool.acquire().await?;
    let partner =
        access::store::find_partner(&mut connection, "bench-core").await?.context("a partner that was added")?;
    Ok(Known {
        partner_id: partner.partner_id,
        code: partner.code,
        owner: Owner::Funder(funder_id),
        scopes: Scope::of(PartnerKind::Funder),
        addresses: Vec::new(),
        rate_per_minute: partner.rate_per_minute,
        version: partner.version,
        is_disabled: false,
        keys: std::collections::HashMap::new(),
    })
}

/// The handlers behind the same layers, and a gate that takes every request for the core's.
pub(super) fn unsigned_router(app: &App, core: Arc<Known>) -> Router {
    let gate = Gate::new(app.clone(), api_document().operations);
    guarded(reads().layer(from_fn_with_state((gate, core), unsigned_gate)), app.clone())
}

fn reads() -> Router<Shared> {
    Router::new()
        .route("/api/v1/funder/loans/{loan_id}", get(loan::api::show_loan))
        .route("/api/v1/funder/loans", get(loan::api::list_loans))
        .route("/api/v1/events", get(outbox::api::list_events))
}

/// Does what the real gate does, except for the signatures.
async fn unsigned_gate(
    State((gate, core)): State<(Gate, Arc<Known>)>,
    request: extract::Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let address = client_address(&gate.app, &parts).unwrap_or(access::address::NOWHERE);
    if gate.app.access.look(address, None).await.is_err() {
        // Means that the benchmark is broken: its only caller has never been refused.
        return Problem::failed().into_response();
    }
    match arrive(&gate, extract::Request::from_parts(parts, body)).await {
        Ok((arrived, request)) => run_in_own_task(handle(gate, core, arrived, request, next)).await,
        Err((arrived, problem)) => {
            let by = CalledBy::Nobody { why: problem.code };
            write_down(&gate.app, &arrived, by, problem.into_response()).await
        }
    }
}

async fn handle(gate: Gate, core: Arc<Known>, arrived: Arrived, request: extract::Request, next: Next) -> Response {
    let now = gate.app.access.now();
    let used = NonceUse { nonce: Stamp::fresh(now).nonce, at: now };
    let counted = match gate.app.access.count(&core, used, None).await {
        Ok(counted) => counted,
        Err(failure) => return Problem::from(failure).into_response(),
    };
    let admitted = Admitted {
        known: core,
        serial_no: String::new(),
        holder: String::new(),
        algorithm: Algorithm::Sm2Sm3,
        rate: counted.rate,
        taken: None,
    };
    let call = Arc::new(Call { gate, arrived, admitted });
    let response = answer_in_time(&call, request, next).await;
    write_down(&call.gate.app, &call.arrived, CalledBy::Partner(&call.admitted.known.code), response).await
}

/// The handlers behind the same layers, without a gate.
pub(super) fn bare_router(app: &App, core: Arc<Known>) -> Router {
    let (serial_no, holder, attempt) = (String::new(), String::new(), Attempt::First);
    let caller = Caller { known: core, serial_no, holder, keyed: None, attempt };
    let let_in = from_fn(move |mut request: extract::Request, next: Next| {
        request.extensions_mut().insert(caller.clone());
        next.run(request)
    });
    guarded(reads().layer(let_in), app.clone())
}

/// Serves on a free port of this machine until the program ends; returns the address.
pub(in crate::bench) async fn serve(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the benchmark is not served any more");
        }
    });
    Ok(address)
}

pub(super) async fn add_partner(app: &App, code: &str, kind: PartnerKind, owner: Option<String>) -> anyhow::Result<()> {
    let partner = NewPartner {
        code: code.to_owned(),
        kind,
        owner,
        scopes: Scope::of(kind),
        addresses: Vec::new(),
        rate_per_minute: RATE_PER_MINUTE_MAX,
    };
    access::add_partner(app, &partner, "bench").await.map_err(Fault::into_error)
}

pub(super) async fn add_key(
    app: &App,
    partner: &str,
    serial_no: &str,
    algorithm: Algorithm,
) -> anyhow::Result<Identity> {
    let identity = Identity::new(partner, serial_no, PrivateKey::generate(algorithm)?);
    let key = NewKey {
        partner: partner.to_owned(),
        serial_no: serial_no.to_owned(),
        public_key: identity.public_key(),
        holder: "bench".to_owned(),
        expires_at: None,
    };
    let _step = access::add_key(app, &key, "bench").await.map_err(Fault::into_error)?;
    Ok(identity)
}
