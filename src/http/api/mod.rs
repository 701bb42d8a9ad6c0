//! What every operation of the partner API shares: the gate, strict input, pages, problems with their codes, the OpenAPI document. Start
//! with [`gate::gate`], through which every request goes.

pub mod gate;
pub mod arrived;
pub mod answer;
pub mod caller;
pub mod codes;
pub mod input;
pub mod strict;
pub mod page;
pub mod pieced;
pub mod values;
pub mod idempotency;
pub mod problems;
pub mod document;
pub mod example;

pub use answer::Streamed;
pub use caller::{Caller, FunderCaller, MerchantCaller};
pub use document::{Document, Operations, complete};
pub use gate::Gate;
pub use input::{Body, IfMatch, Named, NamedWithin, Params};
pub use page::{Cursor, KeyText, KeyTime, Limit, Listed, Page, PageParams, limit_by_bytes};
pub use pieced::Pieced;
pub use values::{AmountFen, Day, MarkFen, Moment, etag, object, word};

/// Where the API's paths begin.
pub const PREFIX: &str = "/api/v1";
