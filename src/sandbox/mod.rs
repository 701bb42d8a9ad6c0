//! A counterfeit world: every partner over HTTP, with state, signatures, scripts and faults, for the demo, for tests and for a partner's
//! own trials. It knows only the partners' protocols and `base`. Start with [`world::World`]; see README.md.

pub mod world;
pub mod clock;
pub mod fault;
pub mod script;
pub mod callback;
pub mod funder_core;
pub mod merchant_cashier;
pub mod risk;
pub mod sms;
pub mod wechat;
pub mod card_signing;
pub mod withholding;
pub mod payout;
mod control;
mod signing;

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use serde_json::json;
use tokio::net::TcpListener;

use crate::partner::signature::Identity;
use crate::partner::wechat::{Template, WeChatSettings};
use crate::partner::{PartnerKey, PartnerSettings};

pub use self::fault::{Fault, FaultShares};
pub use self::script::{Matcher, Scripted};
pub use self::world::{PARTNERS, PLATFORM, Silence, World, WorldSettings};

/// How often due callbacks are looked for while the world is served.
const CALLBACK_PAUSE: Duration = Duration::from_millis(50);

/// Every partner's routes under its name, and the control routes beside them.
pub fn router(world: Arc<World>) -> Router {
    let partners = Router::new()
        .nest("/funder_core", funder_core::router())
        .nest("/risk", risk::router())
        .nest("/sms", sms::router())
        .nest("/card_signing", card_signing::router())
        .nest("/withholding_a", withholding::alpha::router())
        .nest("/withholding_b", withholding::beta::router())
        .nest("/payout", payout::router())
        .fallback(|| async { refusal(404, "not_found", "nothing stands at this path") })
        .layer(middleware::from_fn_with_state(world.clone(), signing::signed))
        .with_state(world.clone());
    // Every other route belongs to a partner, also one that is refused.
    control::router()
        .nest("/wechat", wechat::router())
        .nest("/merchant_cashier", merchant_cashier::router())
        .with_state(world)
        .fallback_service(partners)
}

/// Serves the world and sends its callbacks until the future is dropped.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, world: Arc<World>) -> std::io::Result<()> {
    let callbacks = async {
        loop {
            world.deliver_callbacks().await;
            tokio::time::sleep(CALLBACK_PAUSE).await;
        }
    };
    tokio::select! {
        ended = async { axum::serve(listener, router(world.clone())).await } => ended,
        () = callbacks => Ok(()),
    }
}

/// The settings by which the platform reaches a world with this seed at `base_url` (without a slash at the end).
pub fn partner_settings(base_url: &str, seed: u64) -> Vec<PartnerSettings> {
    let platform = Identity::from_seed(PLATFORM, seed);
    PARTNERS
        .iter()
        .map(|name| {
            let partner = Identity::from_seed(name, seed);
            PartnerSettings {
                name: (*name).to_owned(),
                base_url: format!("{base_url}/{name}"),
                mchid: platform.mchid.clone(),
                serial_no: platform.serial_no.clone(),
                private_key: platform.private_key(),
                partner_mchid: partner.mchid.clone(),
                partner_keys: vec![PartnerKey {
                    serial_no: partner.serial_no.clone(),
                    public_key: partner.public_key(),
                }],
                references_name_batches: false,
                direct: false,
            }
        })
        .collect()
}

/// The settings by which the platform reaches this world's WeChat.
pub fn wechat_settings(base_url: &str) -> WeChatSettings {
    let url = format!("{base_url}/{}", wechat::NAME);
    WeChatSettings {
        app_id: wechat::APP_ID.to_owned(),
        secret: wechat::SECRET.to_owned(),
        api_url: url.clone(),
        authorize_url: url,
        templates: wechat::TEMPLATES
            .iter()
            .map(|(kind, keywords)| ((*kind).to_owned(), template(kind, keywords)))
            .collect(),
    }
}

fn template(kind: &str, keywords: &[(&str, &str)]) -> Template {
    let keywords = keywords.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Template { id: format!("template-{kind}"), keywords }
}

/// The answer by which a partner refuses a whole call: its status, with a code and a sentence in the body.
pub fn refusal(status: u16, code: &str, message: &str) -> Response {
    let status = axum::http::StatusCode::from_u16(status).unwrap_or(axum::http::StatusCode::BAD_REQUEST);
    (status, Json(json!({ "code": code, "message": message }))).into_response()
}
