//! One module per feature.

mod base;
mod funder;
