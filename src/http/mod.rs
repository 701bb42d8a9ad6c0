//! What all HTTP shares: the server, limits and the request log, problems, health, metrics, the start page, and partners' callbacks. The
//! routes are in `src/router.rs`; what the partner API's operations share is in [`api`].

pub mod server;
pub mod client_address;
pub mod header;
pub mod limits;
pub mod problem;
pub mod api;
pub mod docs;
pub mod health;
pub mod metrics;
pub mod start;
pub mod callback;
mod store;

pub use client_address::client_address;
pub use problem::Problem;
pub use server::{bind, serve, serve_health};
