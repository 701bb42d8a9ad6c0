//! The product factory: what is sold, its immutable versions, and their proof before publication.

pub mod terms;

pub use terms::Terms;
