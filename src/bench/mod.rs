//! Benchmarks: each measures what the product really does and builds its own input.

pub mod quote;
