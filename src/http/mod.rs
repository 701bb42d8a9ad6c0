//! HTTP in general: serving, limits, request log, problems, health, metrics and the start page.

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
