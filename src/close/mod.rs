//! The daily close (日终): the run that ends a business day, in resumable steps. Start with [`step::Step`], then `engine.rs`.

pub mod step;
pub mod engine;
mod store;

pub use engine::{CloseError, Closed, close_day, close_day_in_chunks, has_ended, next_to_close};
pub use step::{CHUNK_ROWS, Step};
