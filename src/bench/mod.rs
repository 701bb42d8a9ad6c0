//! Benchmarks: each bar of the house measured against a baseline in the same run, on data of its own.

pub mod authorise;
pub mod close;
pub mod collect;
pub mod quote;
pub mod http;
pub mod pages;
pub mod baseline;
pub mod figure;
mod store;
mod book_store;
mod written_store;
mod world;

pub use figure::Figure;
pub use world::World;
