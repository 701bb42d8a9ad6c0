//! One module per feature.

mod base;
