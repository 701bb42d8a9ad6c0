//! Benchmarks: each performance target of the house measured against a baseline in the same run, on data of its own. Start with `world`
//! (the scratch database) and `figure` (what is reported); each other module is one benchmark.

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
